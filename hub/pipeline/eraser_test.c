/* What an order to destroy does to ledger, vault and state, in one process. */
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

static void test_an_order_too_large_is_refused_and_the_hub_goes_on(void **state)
{
    struct pipeline_fixture *f = *state;
    enum { EVENTS = 500, BATCHES = 16 * ERASED_MAX / EVENTS + 1 };
    for (unsigned i = 0; i < BATCHES; i++) {
        struct test_batch *batch = fixture_batch(f, "big", EVENTS);
        for (unsigned k = 0; k < EVENTS; k++)
            snprintf(batch->events[k].record_id, sizeof batch->events[k].record_id, "big-%u",
                     (i * EVENTS + k) % 1000);
        for (unsigned k = 0; k < EVENTS; k++)
            batch->events[k].header.revision = 1 + (i * EVENTS + k) / 1000;
        assert_int_equal(fixture_ask(f, fixture_sign(f, batch), NULL)->answer, ANSWER_ACCEPTED);
    }
    const struct erasure_request request = case_request("big");
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_FAILED);
    assert_int_equal(progress.err.code, CASEBUS_TOO_LARGE);
    assert_int_equal(fixture_publish(f, "a", 1)->answer, ANSWER_ACCEPTED);
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
        T(test_an_order_too_large_is_refused_and_the_hub_goes_on),
        T(test_what_is_kept_lies_under_another_slot_as_does_what_comes),
        T(test_a_state_made_again_is_the_same_after_an_erasure),
        T(test_what_is_not_there_cannot_be_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
