/* What an order to destroy does to ledger, vault and state, in one process. */
#include "hub/pipeline/eraser.h"
#include "hub/pipeline/pipeline_fixture.h"

#include "proto/codec/entry.h"

static int setup(void **state)
{
    struct pipeline_fixture *f = malloc(sizeof(*f));
    assert_non_null(f);
    pipeline_fixture_init(f);
    fixture_start(f);
    fixture_enrol_both(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    pipeline_fixture_deinit(*state);
    free(*state);
    return 0;
}

static struct erasure_request case_request(const char *number)
{
    struct erasure_request request = {.what = ERASE_CASE};
    snprintf(request.number, sizeof request.number, "case-%s", number);
    strcpy(request.words, "by order of a test");
    return request;
}

static struct erasure_progress erase(struct pipeline_fixture *f, const struct erasure_request *request)
{
    struct casebus_error err;
    struct erasure_progress progress;
    uint64_t ticket = 0;
    must(pipeline_erase(f->pipeline, request, &ticket, &err), &err);
    for (unsigned tries = 0; tries < FIXTURE_WAIT_S * 100; tries++) {
        assert_true(pipeline_erasure(f->pipeline, ticket, &progress));
        if (progress.stage == ERASURE_FAILED)
            print_message("%s\n", progress.err.text);
        if (progress.stage == ERASURE_DONE || progress.stage == ERASURE_FAILED)
            return progress;
        usleep(10000);
    }
    fail_msg("the erasure did not end");
    return progress;
}

/* The body of an entry of the ledger; in the gate's arena. */
static Casebus__V1__SealedBody *body_at(struct pipeline_fixture *f, uint64_t position)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes bytes;
    must(pipeline_barrier(f->pipeline, 30000, &err), &err);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    must(ledger_view_body(view, position, &bytes, &err), &err);
    Casebus__V1__SealedBody *body = body_decode(bytes, &f->gate.arena, &err);
    ledger_view_close(view);
    assert_non_null(body);
    return body;
}

static const Casebus__V1__ErasureOrdered *order_at(struct pipeline_fixture *f, uint64_t position)
{
    const Casebus__V1__LedgerEntry *entry = fixture_entry(f, position);
    assert_int_equal(entry->content_case, CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT);
    assert_int_equal(entry->act->act_case, CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED);
    return entry->act->erasure_ordered;
}

static void expect_key_gone(struct pipeline_fixture *f, uint64_t slot)
{
    uint8_t key[KEY_SIZE];
    struct casebus_error err;
    assert_int_equal(vault_key(f->vault, slot, key, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
}

static void test_an_order_leaves_entries_and_no_key(void **state)
{
    struct pipeline_fixture *f = *state;
    uint64_t seal = fixture_publish(f, "a", 3)->seal_position;
    uint64_t slot = body_at(f, seal + 1)->slot;
    const struct erasure_request request = case_request("a");
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    assert_int_equal(progress.n_cases, 1);
    assert_int_equal(progress.n_entries, 3);
    assert_int_equal(progress.n_ordered, 1);
    const Casebus__V1__ErasureOrdered *ordered = order_at(f, progress.ordered[0]);
    assert_int_equal(ordered->n_content, 3);
    assert_int_equal(ordered->content[0]->position, seal + 1);
    assert_true(ordered->content[2]->header);
    assert_int_equal(ordered->n_receiver, 1);
    assert_int_equal(ordered->kept_slot, 0);
    expect_key_gone(f, slot);
    for (uint64_t i = 1; i <= 3; i++)
        assert_non_null(body_at(f, seal + i)->skeleton);
    assert_int_equal(body_at(f, progress.ordered[0])->n_item, 1); /* the words */
}

static void test_more_content_than_a_leaf_holds_is_several_orders(void **state)
{
    struct pipeline_fixture *f = *state;
    enum { BATCHES = 5, EVENTS = 250 };
    uint64_t first = 0;
    for (unsigned i = 0; i < BATCHES; i++) {
        struct test_batch *batch = fixture_batch(f, "big", EVENTS);
        for (unsigned k = 0; k < EVENTS; k++)
            snprintf(batch->events[k].record_id, sizeof batch->events[k].record_id, "big-%u", i * EVENTS + k);
        const struct job *job = fixture_ask(f, fixture_sign(f, batch), NULL);
        assert_int_equal(job->answer, ANSWER_ACCEPTED);
        first = first ? first : job->seal_position + 1;
    }
    const struct erasure_request request = case_request("big");
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    assert_int_equal(progress.n_entries, BATCHES * EVENTS);
    assert_int_equal(progress.n_ordered, 2);
    assert_int_equal(progress.ordered[1], progress.ordered[0] + 1);
    assert_int_equal(order_at(f, progress.ordered[0])->n_content, ERASED_MAX);
    assert_int_equal(order_at(f, progress.ordered[1])->n_content, BATCHES * EVENTS - ERASED_MAX);
    assert_non_null(body_at(f, first)->skeleton);
    assert_non_null(body_at(f, progress.ordered[0] - 1)->skeleton);
}

static void test_a_case_with_more_statements_than_an_order_names_goes_in_rounds(void **state)
{
    struct pipeline_fixture *f = *state;
    enum { EVENTS = 250, RECORDS = 1000, BATCHES = PLAN_ITEMS_MAX / EVENTS + 1 };
    uint64_t last = 0;
    for (unsigned i = 0; i < BATCHES; i++) {
        struct test_batch *batch = fixture_batch(f, "big", EVENTS);
        for (unsigned k = 0; k < EVENTS; k++) {
            snprintf(batch->events[k].record_id, sizeof batch->events[k].record_id, "big-%u",
                     (i * EVENTS + k) % RECORDS);
            batch->events[k].header.revision = 1 + (i * EVENTS + k) / RECORDS;
        }
        const struct job *job = fixture_ask(f, fixture_sign(f, batch), NULL);
        assert_int_equal(job->answer, ANSWER_ACCEPTED);
        last = job->seal_position + EVENTS;
    }
    uint64_t slot = body_at(f, last)->slot;
    struct erasure_request request = case_request("big");
    request.dry_run = true;
    assert_int_equal(erase(f, &request).n_entries, BATCHES * EVENTS);
    request.dry_run = false;
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    assert_int_equal(progress.n_cases, 1);
    assert_int_equal(progress.n_entries, BATCHES * EVENTS);
    assert_int_equal(progress.n_ordered, PLAN_ORDERS_MAX + 1);
    expect_key_gone(f, slot);
    expect_key_gone(f, order_at(f, progress.ordered[0])->kept_slot);
    assert_non_null(body_at(f, last)->skeleton);
    assert_int_equal(erase(f, &request).err.code, CASEBUS_NOT_FOUND);
}

/* @n events of the case that are dated too late. Returns the position of the first one in quarantine. */
static uint64_t publish_refused(struct pipeline_fixture *f, const char *label, size_t n)
{
    struct test_batch *batch = fixture_batch(f, label, n);
    for (size_t i = 0; i < n; i++)
        batch->events[i].header.occurred_at_us = INT64_MAX;
    return fixture_ask(f, fixture_sign(f, batch), NULL)->seal_position + 1;
}

static void test_more_orders_than_an_entry_names_are_carried_out_at_once(void **state)
{
    struct pipeline_fixture *f = *state;
    enum { BATCHES = 5, EVENTS = ERASED_MAX / BATCHES + 1 };
    uint64_t first = publish_refused(f, "many", EVENTS), last = 0;
    for (unsigned i = 1; i < BATCHES; i++)
        last = publish_refused(f, "many", EVENTS) + EVENTS - 1;
    const struct erasure_request request = case_request("many");
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    assert_int_equal(progress.n_ordered, BATCHES * EVENTS);
    assert_true(body_item_erased(body_at(f, first), 0));
    assert_true(body_item_erased(body_at(f, last), 0));
}

/* An order that is given and not carried out. */
static struct erasure_plan *order_only(struct pipeline_fixture *f, const struct erasure_plan *wanted)
{
    struct erasure_plan *plan = arena_copy(&f->gate.arena, wanted, sizeof *wanted);
    struct casebus_error err;
    assert_non_null(plan);
    must(order_submit(f->pipeline, plan, 1, CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER, "", &err),
         &err);
    return plan;
}

static void wait_done(struct pipeline_fixture *f)
{
    for (unsigned tries = 0; tries < FIXTURE_WAIT_S * 100; tries++) {
        pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->n_groups; i++)
            for (size_t k = 0; k < f->groups[i]->n_entries; k++) {
                const Casebus__V1__LedgerEntry *entry =
                    entry_decode(f->groups[i]->entries[k].leaf, &f->gate.arena, NULL);
                if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
                    entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE) {
                    pthread_mutex_unlock(&f->lock);
                    return;
                }
            }
        pthread_mutex_unlock(&f->lock);
        usleep(10000);
    }
    fail_msg("nothing is said to be done");
}

static void expect_two_orders_together(struct pipeline_fixture *f, bool whole)
{
    uint64_t seal = fixture_publish(f, "a", 2)->seal_position;
    uint64_t slot = body_at(f, seal + 1)->slot;
    struct erased_item items[3] = {{.position = seal + 1, .part_mask = 1}};
    struct erasure_plan plan = {
        .keeps = true, .items = items, .n_items = 1, .slots = {slot}, .n_slots = 1, .scanned = UINT64_MAX};
    memcpy(plan.case_id, fixture_entry(f, seal + 1)->event->case_id.data, CASE_ID_SIZE);
    uint64_t first = order_only(f, &plan)->ordered[0];
    struct test_batch *batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "a-more");
    uint64_t more = fixture_ask(f, fixture_sign(f, batch), NULL)->seal_position + 1;
    uint64_t between = body_at(f, more)->slot;
    assert_int_equal(between, order_at(f, first)->kept_slot);
    items[0] = (struct erased_item){.position = seal + 1, .part_mask = 3, .header = whole};
    items[1] = (struct erased_item){.position = seal + 2, .part_mask = 3, .header = whole};
    items[2] = (struct erased_item){.position = more, .part_mask = 3, .header = whole};
    plan.keeps = !whole;
    plan.n_items = 3;
    plan.slots[plan.n_slots++] = between;
    uint64_t second = order_only(f, &plan)->ordered[0];
    fixture_stop(f);
    fixture_start(f);
    wait_done(f);
    expect_key_gone(f, slot);
    expect_key_gone(f, between);
    assert_int_equal(body_at(f, more)->slot, order_at(f, second)->kept_slot);
    assert_true(body_item_erased(body_at(f, more), 1));
}

static void test_two_orders_of_one_case_that_wait_destroy_what_both_say(void **state)
{
    expect_two_orders_together(*state, false);
}

static void test_an_order_of_the_whole_case_takes_what_one_before_it_would_keep(void **state)
{
    expect_two_orders_together(*state, true);
}

static void test_what_is_kept_lies_under_another_slot_as_does_what_comes(void **state)
{
    struct pipeline_fixture *f = *state;
    uint64_t seal = fixture_publish(f, "a", 2)->seal_position;
    uint64_t slot = body_at(f, seal + 1)->slot;
    struct erasure_request request = case_request("a");
    request.part_kinds = part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY);
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    uint64_t kept = order_at(f, progress.ordered[0])->kept_slot;
    assert_true(kept > slot);
    expect_key_gone(f, slot);
    assert_int_equal(body_at(f, seal + 1)->slot, kept);
    assert_int_equal(body_at(f, seal + 2)->slot, kept);
    struct test_batch *batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "a-more");
    uint64_t next = fixture_ask(f, fixture_sign(f, batch), NULL)->seal_position + 1;
    assert_int_equal(body_at(f, next)->slot, kept);
}

static void test_a_state_made_again_is_the_same_after_an_erasure(void **state)
{
    struct pipeline_fixture *f = *state;
    struct buffer before, after;
    char path[PATH_MAX + 16];
    fixture_publish(f, "a", 3);
    fixture_publish(f, "b", 2);
    struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    request = case_request("b");
    request.part_kinds = part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY);
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    fixture_stop(f);
    fixture_stores_open(f);
    buffer_init(&before, 16 << 20);
    fixture_state_dump(f->state, &before);
    fixture_stores_close(f);
    snprintf(path, sizeof path, "%s/state", f->dir);
    folder_remove(path);
    fixture_start(f);
    buffer_init(&after, 16 << 20);
    fixture_state_dump(f->state, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

static void test_what_is_not_there_cannot_be_destroyed(void **state)
{
    struct pipeline_fixture *f = *state;
    struct erasure_progress progress;
    fixture_publish(f, "a", 1);
    struct erasure_request request = case_request("b");
    progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_FAILED);
    assert_int_equal(progress.err.code, CASEBUS_NOT_FOUND);
    request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    assert_int_equal(erase(f, &request).stage, ERASURE_FAILED);
    assert_false(pipeline_erasure(f->pipeline, 4711, &progress));
    assert_false(pipeline_erasure(f->pipeline, 0, &progress));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_order_leaves_entries_and_no_key),
        T(test_more_content_than_a_leaf_holds_is_several_orders),
        T(test_a_case_with_more_statements_than_an_order_names_goes_in_rounds),
        T(test_more_orders_than_an_entry_names_are_carried_out_at_once),
        T(test_two_orders_of_one_case_that_wait_destroy_what_both_say),
        T(test_an_order_of_the_whole_case_takes_what_one_before_it_would_keep),
        T(test_what_is_kept_lies_under_another_slot_as_does_what_comes),
        T(test_a_state_made_again_is_the_same_after_an_erasure),
        T(test_what_is_not_there_cannot_be_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
