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
    must(order_submit(f->pipeline, plan, 1, CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER,
                      &(struct act_note){"", "", ""}, &err),
         &err);
    return plan;
}

static struct erased_item item_of(struct pipeline_fixture *f, uint64_t position, const char *id,
                                  uint32_t part_mask, bool header)
{
    struct erased_item item = {.position = position, .part_mask = part_mask, .header = header};
    record_key(f->gate.crypter, f->content_key, "js.scjgj/cases", id, item.record_key);
    return item;
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
    struct erased_item items[3] = {item_of(f, seal + 1, "a-0", 1, false)};
    struct erasure_plan plan = {
        .keeps = true, .items = items, .n_items = 1, .slots = {slot}, .n_slots = 1, .scanned = UINT64_MAX};
    memcpy(plan.case_id, fixture_entry(f, seal + 1)->event->case_id.data, CASE_ID_SIZE);
    uint64_t first = order_only(f, &plan)->ordered[0];
    struct test_batch *batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "a-more");
    uint64_t more = fixture_ask(f, fixture_sign(f, batch), NULL)->seal_position + 1;
    uint64_t between = body_at(f, more)->slot;
    assert_int_equal(between, order_at(f, first)->kept_slot);
    items[0] = item_of(f, seal + 1, "a-0", 3, whole);
    items[1] = item_of(f, seal + 2, "a-1", 3, whole);
    items[2] = item_of(f, more, "a-more", 3, whole);
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

static const struct job *state_record(struct pipeline_fixture *f, const char *number, const char *id,
                                      uint64_t revision)
{
    struct test_batch *batch = fixture_batch(f, number, 1);
    strcpy(batch->events[0].record_id, id);
    batch->events[0].header.revision = revision;
    return fixture_ask(f, fixture_sign(f, batch), NULL);
}

static void expect_refused_and_not_kept(struct pipeline_fixture *f, uint64_t seal)
{
    struct bytes body = {NULL, 1};
    struct casebus_error err;
    struct ledger_view *view;
    must(pipeline_barrier(f->pipeline, 30000, &err), &err);
    must(ledger_view_open(&view, f->ledger, &err), &err);
    must(ledger_view_body(view, seal + 1, &body, &err), &err);
    assert_int_equal(body.size, 0);
    ledger_view_close(view);
    const Casebus__V1__Quarantined *quarantined = fixture_entry(f, seal + 1)->act->quarantined;
    assert_string_equal(quarantined->code, "CB-ERASED");
    assert_string_equal(quarantined->node, "desk");
    assert_true(quarantined->size > 0);
}

static void expect_replay_agrees(struct pipeline_fixture *f)
{
    struct buffer before, after;
    char path[PATH_MAX + 16];
    fixture_stop(f);
    fixture_stores_open(f);
    fixture_state_dump(f->state, &before);
    fixture_stores_close(f);
    snprintf(path, sizeof path, "%s/state", f->dir);
    folder_remove(path);
    fixture_start(f);
    fixture_state_dump(f->state, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

static void test_what_is_refused_because_it_was_erased_is_not_kept(void **state)
{
    struct pipeline_fixture *f = *state;
    state_record(f, "a", "r", 1);
    const struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    expect_refused_and_not_kept(f, state_record(f, "a", "r", 2)->seal_position);
    assert_int_equal(erase(f, &request).err.code, CASEBUS_NOT_FOUND);
    expect_replay_agrees(f);
}

/* A batch about record "r" whose signature does not hold. Returns the position of what became of it. */
static uint64_t state_forged(struct pipeline_fixture *f, const char *record, const char *other)
{
    const struct group *group;
    struct test_batch *batch = fixture_batch(f, "a", 2);
    strcpy(batch->events[0].record_id, other);
    strcpy(batch->events[1].record_id, record);
    fixture_sign(f, batch);
    batch->signature[5] ^= 1;
    assert_int_equal(fixture_ask(f, batch_pack(&f->gate, batch), &group)->refusal.code, CASEBUS_SIGNATURE);
    return group->first_position + group->n_entries - 1;
}

static void test_a_whole_batch_with_something_that_was_erased_is_not_kept(void **state)
{
    struct pipeline_fixture *f = *state;
    state_record(f, "a", "r", 1);
    const struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    uint64_t kept = state_forged(f, "other", "another");
    expect_refused_and_not_kept(f, state_forged(f, "r", "other") - 1);
    assert_string_equal(fixture_entry(f, kept)->act->quarantined->code, "CB-SIGNATURE");
    assert_int_equal(body_at(f, kept)->n_item, 1);
    uint64_t marked = state_forged(f,
                                   "\xe7\xa7\x98\xe5\xaf\x86\xe2\x98\x85"
                                   "10\xe5\xb9\xb4",
                                   "other");
    assert_string_equal(fixture_entry(f, marked)->act->quarantined->code, "CB-CLASSIFIED");
    expect_replay_agrees(f);
}

static void test_whatever_else_is_wrong_with_what_was_erased_it_is_not_kept(void **state)
{
    struct pipeline_fixture *f = *state;
    state_record(f, "a", "r", 1);
    const struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    struct test_batch *batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "r");
    batch->events[0].header.occurred_at_us = INT64_C(4102444800000000);
    expect_refused_and_not_kept(f, fixture_ask(f, fixture_sign(f, batch), NULL)->seal_position);
    batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "r");
    fixture_sign(f, batch);
    batch->events[0].parts[0].content.len--; /* not what the header commits to */
    expect_refused_and_not_kept(f, fixture_ask(f, batch_pack(&f->gate, batch), NULL)->seal_position);
    batch = fixture_batch(f, "a", 1);
    strcpy(batch->events[0].record_id, "r");
    batch->statement.first = 2; /* as from an outbox that was put back */
    const struct group *group;
    const struct job *job = fixture_ask(f, fixture_sign(f, batch), &group);
    assert_int_equal(job->refusal.code, CASEBUS_SEQ_CONFLICT);
    expect_refused_and_not_kept(f, group->first_position + group->n_entries - 2);
}

/* ---- what was never accepted ---- */

/* A record of "case-NUMBER" under a number that was used before, as from an outbox that was put back. It is
 * refused now, and nothing is wrong with it. Returns where it lies. */
static uint64_t state_misplaced(struct pipeline_fixture *f, const char *number, const char *id)
{
    const struct group *group;
    struct test_batch *batch = fixture_batch(f, number, 1);
    strcpy(batch->events[0].record_id, id);
    memset(batch->events[0].random, (int)f->n_groups, RANDOM_SIZE); /* as each time it is read */
    batch->statement.first = 2;
    const uint64_t next = f->next;
    uint8_t previous[DIGEST_SIZE];
    memcpy(previous, f->previous, DIGEST_SIZE);
    const struct job *job = fixture_ask(f, fixture_sign(f, batch), &group);
    assert_int_equal(job->refusal.code, CASEBUS_SEQ_CONFLICT);
    f->next = next;
    memcpy(f->previous, previous, DIGEST_SIZE);
    return group->first_position + group->n_entries - 1;
}

static struct erasure_request quarantine_request(uint64_t position, bool discard)
{
    struct erasure_request request = {.what = ERASE_QUARANTINE, .position = position, .discard = discard};
    strcpy(request.words, "by order of a test");
    return request;
}

static void expect_not_kept(struct pipeline_fixture *f, uint64_t position)
{
    expect_refused_and_not_kept(f, position - 1);
}
/* The record comes now, and nothing is wrong with it. */
static void expect_comes_in(struct pipeline_fixture *f, const char *number, const char *id, bool comes)
{
    uint64_t seal = state_record(f, number, id, 0)->seal_position;
    if (comes)
        assert_string_equal(fixture_entry(f, seal + 1)->event->node, "desk");
    else
        expect_refused_and_not_kept(f, seal);
    assert_int_equal(fixture_entry(f, seal)->seal->n_outcome, !comes);
    if (!comes)
        assert_string_equal(fixture_entry(f, seal)->seal->outcome[0]->code, "CB-ERASED");
}

static void test_what_was_refused_and_destroyed_by_order_does_not_come_in(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "z", 2);
    uint64_t position = state_misplaced(f, "a", "r");
    state_misplaced(f, "a", "s");
    assert_int_equal(body_at(f, position)->content_digest.len, DIGEST_SIZE);
    struct erasure_request request = quarantine_request(position, false);
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    expect_not_kept(f, state_misplaced(f, "a", "r"));
    expect_comes_in(f, "a", "r", false);
    expect_comes_in(f, "a", "s", true); /* nobody ordered anything about it */
    expect_replay_agrees(f);
    expect_comes_in(f, "a", "r", false);
    assert_string_equal(fixture_entry(f, state_record(f, "a", "r", 2)->seal_position + 1)->event->node,
                        "desk"); /* it never was a record: what is said newly is welcome */
}

static void test_what_was_discarded_is_not_kept_again_but_may_come_in(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "z", 2);
    struct erasure_request request = quarantine_request(state_misplaced(f, "a", "r"), true);
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    assert_int_equal(order_at(f, progress.ordered[0])->reason,
                     CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_DISCARDED);
    expect_not_kept(f, state_misplaced(f, "a", "r"));
    expect_replay_agrees(f);
    expect_not_kept(f, state_misplaced(f, "a", "r"));
    expect_comes_in(f, "a", "r", true);
}

static void test_an_order_about_a_case_closes_what_was_refused_of_it(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "z", 2);
    uint64_t first = publish_refused(f, "a", 2); /* dated too late */
    const struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).n_entries, 2);
    assert_true(body_item_erased(body_at(f, first + 1), 0));
    uint64_t again = publish_refused(f, "a", 2);
    expect_not_kept(f, again);
    expect_not_kept(f, again + 1);
    assert_int_equal(erase(f, &request).err.code, CASEBUS_NOT_FOUND);
    expect_replay_agrees(f);
}

/* An event whose header cannot be read, with @n_parts. Returns where it lies. */
static uint64_t send_rubbish(struct pipeline_fixture *f, size_t n_parts)
{
    static uint8_t rubbish[] = {0x07, 0x07};
    struct test_batch *batch = fixture_batch(f, "a", 1);
    uint8_t hash[1][DIGEST_SIZE];
    fixture_sign(f, batch);
    batch->events[0].wire.header = (ProtobufCBinaryData){sizeof rubbish, rubbish};
    batch->events[0].wire.n_part = n_parts;
    event_hash(f->gate.crypter, bytes_of(rubbish, sizeof rubbish), hash[0]);
    events_root(f->gate.crypter, (const uint8_t(*)[DIGEST_SIZE])hash, 1, batch->root);
    struct bytes frame = batch_sign(&f->gate, batch);
    statement_hash(f->gate.crypter, bytes_of(batch->batch.statement.data, batch->batch.statement.len),
                   f->previous);
    return fixture_ask(f, frame, NULL)->seal_position + 1;
}

/* What cannot be read is told by its bytes. */
static void test_rubbish_that_was_destroyed_is_not_kept_again(void **state)
{
    struct pipeline_fixture *f = *state;
    struct erasure_request request = quarantine_request(send_rubbish(f, 0), true);
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    expect_not_kept(f, send_rubbish(f, 0));
    request = quarantine_request(send_rubbish(f, 1), false);
    assert_int_equal(body_at(f, request.position)->n_item, 2); /* it is something else */
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    expect_not_kept(f, send_rubbish(f, 1));
    expect_replay_agrees(f);
}

/* A batch of one event about "case-a" and one about "case-b" that is refused as a whole. */
static struct bytes two_cases_forged(struct pipeline_fixture *f)
{
    struct test_batch *batch = fixture_batch(f, "a", 2);
    const uint64_t next = f->next;
    strcpy(batch->events[1].record_id, "b-0");
    batch->events[1].header.case_number = "case-b";
    fixture_sign(f, batch);
    f->next = next;
    batch->signature[5] ^= 1;
    return batch_pack(&f->gate, batch);
}

static void test_of_a_batch_only_the_events_that_an_order_is_about_are_closed(void **state)
{
    struct pipeline_fixture *f = *state;
    const struct group *group;
    struct bytes frame = two_cases_forged(f);
    assert_int_equal(fixture_ask(f, frame, &group)->refusal.code, CASEBUS_SIGNATURE);
    uint64_t position = group->first_position + group->n_entries - 1;
    assert_int_equal(body_at(f, position)->n_member_digest, 2);
    const struct erasure_request request = case_request("b");
    struct erasure_progress progress = erase(f, &request);
    assert_int_equal(progress.stage, ERASURE_DONE);
    const Casebus__V1__ErasureOrdered *ordered = order_at(f, progress.ordered[0]);
    assert_int_equal(ordered->content[0]->n_member, 1);
    assert_int_equal(ordered->content[0]->member[0], 1);
    fixture_ask(f, frame, &group);
    expect_not_kept(f, group->first_position + group->n_entries - 1);
    expect_replay_agrees(f);
    memset(f->previous, 0, DIGEST_SIZE);
    expect_comes_in(f, "b", "b-0", false);
    expect_comes_in(f, "a", "a-0", true);
}

static void test_an_order_that_waits_closes_what_was_refused(void **state)
{
    struct pipeline_fixture *f = *state;
    struct casebus_error err;
    fixture_publish(f, "z", 2);
    uint64_t position = state_misplaced(f, "a", "r");
    const Casebus__V1__SealedBody *body = body_at(f, position);
    struct erased_item item = item_of(f, position, "r", 3, true);
    struct erasure_plan plan = {
        .quarantine = true, .items = &item, .n_items = 1, .slots = {body->slot}, .n_slots = 1};
    must(refused_read(&plan.refused, fixture_entry(f, position)->act->quarantined, body, NULL, 0, &err),
         &err);
    order_only(f, &plan);
    refused_deinit(&plan.refused);
    expect_comes_in(f, "a", "r", false);
    expect_replay_agrees(f);
    wait_done(f);
    expect_replay_agrees(f);
    expect_comes_in(f, "a", "r", false);
}

static void test_a_record_is_closed_by_an_order_that_names_an_old_statement_of_it(void **state)
{
    struct pipeline_fixture *f = *state;
    uint64_t seal = state_record(f, "a", "r", 1)->seal_position;
    state_record(f, "a", "r", 2);
    struct erased_item item = item_of(f, seal + 1, "r", 1, false);
    struct erasure_plan plan = {.keeps = true,
                                .items = &item,
                                .n_items = 1,
                                .slots = {body_at(f, seal + 1)->slot},
                                .n_slots = 1,
                                .scanned = UINT64_MAX};
    memcpy(plan.case_id, fixture_entry(f, seal + 1)->event->case_id.data, CASE_ID_SIZE);
    order_only(f, &plan);
    expect_refused_and_not_kept(f, state_record(f, "a", "r", 3)->seal_position);
    expect_replay_agrees(f);
    wait_done(f);
    expect_replay_agrees(f);
    expect_refused_and_not_kept(f, state_record(f, "a", "r", 4)->seal_position);
}

static void test_a_record_that_moved_to_another_case_is_closed(void **state)
{
    struct pipeline_fixture *f = *state;
    state_record(f, "a", "r", 1);
    state_record(f, "b", "r", 2);
    const struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).n_entries, 1);
    expect_refused_and_not_kept(f, state_record(f, "b", "r", 3)->seal_position);
    expect_refused_and_not_kept(f, state_record(f, "a", "r", 3)->seal_position);
    expect_replay_agrees(f);
}

/* A department that sends what is refused, at every moment of an erasure. */
static void *send_refused(void *self)
{
    struct pipeline_fixture *f = self;
    for (unsigned i = 0; i < 60; i++)
        publish_refused(f, "busy", 1);
    return NULL;
}

static void test_what_is_refused_until_the_order_is_given_goes_too(void **state)
{
    struct pipeline_fixture *f = *state;
    pthread_t sender;
    const struct erasure_request request = case_request("busy");
    uint64_t first = fixture_publish(f, "busy", 1)->seal_position + 1;
    assert_int_equal(pthread_create(&sender, NULL, send_refused, f), 0);
    struct erasure_progress progress = erase(f, &request);
    pthread_join(sender, NULL);
    assert_int_equal(progress.stage, ERASURE_DONE);
    for (uint64_t position = first + 1; position < progress.ordered[0]; position++) {
        const Casebus__V1__LedgerEntry *entry = fixture_entry(f, position);
        if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
            entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
            assert_true(body_item_erased(body_at(f, position), 0));
    }
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
    fixture_publish(f, "a", 3);
    fixture_publish(f, "b", 2);
    struct erasure_request request = case_request("a");
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    request = case_request("b");
    request.part_kinds = part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY);
    assert_int_equal(erase(f, &request).stage, ERASURE_DONE);
    expect_replay_agrees(f);
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
        T(test_what_is_refused_because_it_was_erased_is_not_kept),
        T(test_a_whole_batch_with_something_that_was_erased_is_not_kept),
        T(test_whatever_else_is_wrong_with_what_was_erased_it_is_not_kept),
        T(test_what_was_refused_and_destroyed_by_order_does_not_come_in),
        T(test_what_was_discarded_is_not_kept_again_but_may_come_in),
        T(test_an_order_about_a_case_closes_what_was_refused_of_it),
        T(test_rubbish_that_was_destroyed_is_not_kept_again),
        T(test_of_a_batch_only_the_events_that_an_order_is_about_are_closed),
        T(test_an_order_that_waits_closes_what_was_refused),
        T(test_a_record_is_closed_by_an_order_that_names_an_old_statement_of_it),
        T(test_a_record_that_moved_to_another_case_is_closed),
        T(test_what_is_refused_until_the_order_is_given_goes_too),
        T(test_what_is_kept_lies_under_another_slot_as_does_what_comes),
        T(test_a_state_made_again_is_the_same_after_an_erasure),
        T(test_what_is_not_there_cannot_be_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
