#include "hub/pipeline/pipeline_fixture.h"

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

static uint64_t committed(struct pipeline_fixture *f)
{
    struct pipeline_counters counters;
    pipeline_get_counters(f->pipeline, &counters);
    return counters.committed_size;
}

static const Casebus__V1__ActEntry *act_at(struct pipeline_fixture *f, uint64_t position)
{
    const Casebus__V1__LedgerEntry *entry = fixture_entry(f, position);
    assert_int_equal(entry->content_case, CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT);
    return entry->act;
}

/* ---- what an accepted batch becomes ---- */

static void test_a_ledger_begins_by_saying_whose_it_is(void **state)
{
    struct pipeline_fixture *f = *state;
    const Casebus__V1__ActEntry *act = act_at(f, 0);
    assert_int_equal(act->act_case, CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED);
    assert_string_equal(act->ledger_opened->origin, TEST_ORIGIN);
    assert_string_equal(act->ledger_opened->log_key, f->log_vkey);
    assert_int_equal(committed(f), 3); /* and who was enrolled */
}

static void test_the_seal_comes_first_then_members_then_what_was_refused(void **state)
{
    struct pipeline_fixture *f = *state;
    struct test_batch *batch = fixture_batch(f, "a", 4);
    strcpy(batch->events[1].record_id, "a-0"); /* the record before, to the last byte of its content */
    batch->events[1].header.random = batch->events[0].header.random;
    memcpy(batch->events[1].salts, batch->events[0].salts, sizeof(batch->events[0].salts));
    batch->events[2].header.case_number = (char *)(uintptr_t) ""; /* of no case */
    const struct group *group;
    const struct job *job = fixture_ask(f, fixture_sign(f, batch), &group);
    assert_int_equal(job->answer, ANSWER_ACCEPTED);

    uint64_t seal = job->seal_position;
    assert_int_equal(seal, group->first_position);
    const Casebus__V1__SealEntry *sealed = fixture_entry(f, seal)->seal;
    assert_non_null(sealed);
    assert_int_equal(sealed->n_outcome, 2);
    assert_int_equal(sealed->outcome[0]->index, 1);
    assert_int_equal(sealed->outcome[0]->duplicate_of, seal + 1 + 1);
    assert_int_equal(sealed->outcome[1]->index, 2);
    assert_string_equal(sealed->outcome[1]->code, casebus_code_text(job->batch.members[2].refusal->code));
    assert_int_equal(fixture_entry(f, seal + 1)->event->number, 1);
    assert_int_equal(fixture_entry(f, seal + 2)->event->number, 4);
    const Casebus__V1__ActEntry *act = act_at(f, seal + 3);
    assert_int_equal(act->act_case, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED);
    assert_string_equal(act->quarantined->node, "desk");
    assert_string_equal(act->quarantined->code, sealed->outcome[1]->code);
    assert_false(act->quarantined->whole_batch);
    assert_int_equal(group->n_entries, 4);
    assert_int_equal(group->n_events, 2);
}

static void test_each_event_goes_to_the_entitled_with_the_parts_granted(void **state)
{
    struct pipeline_fixture *f = *state;
    const struct group *group;
    fixture_ask(f, fixture_sign(f, fixture_batch(f, "a", 2)), &group);
    assert_int_equal(group->n_events, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(group->events[i].n_receivers, 1);
        assert_string_equal(group->events[i].receivers[0].node, "office");
        assert_int_equal(group->events[i].receivers[0].part_mask, 2); /* the form, not the identity */
        assert_string_equal(group->events[i].node, "desk");
    }
}

static void test_a_batch_of_duplicates_is_a_seal_alone(void **state)
{
    struct pipeline_fixture *f = *state;
    struct test_batch *first = fixture_batch(f, "a", 3);
    const struct job *original = fixture_ask(f, fixture_sign(f, first), NULL);
    first->statement.first = f->next;
    memcpy(first->previous, f->previous, DIGEST_SIZE);
    const struct group *group;
    const struct job *again = fixture_ask(f, fixture_sign(f, first), &group);
    assert_int_equal(again->answer, ANSWER_ACCEPTED);
    assert_int_equal(group->n_entries, 1);
    const Casebus__V1__SealEntry *seal = fixture_entry(f, again->seal_position)->seal;
    assert_int_equal(seal->n_outcome, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seal->outcome[i]->duplicate_of, original->seal_position + 1 + i + 1);
}

/* ---- where a batch stands in its stream ---- */

static void test_a_batch_sent_again_gets_its_receipt_again(void **state)
{
    struct pipeline_fixture *f = *state;
    struct bytes frame = fixture_sign(f, fixture_batch(f, "a", 2));
    uint64_t position = fixture_ask(f, frame, NULL)->seal_position;
    fixture_publish(f, "b", 1);
    uint64_t size = committed(f);
    const struct job *again = fixture_ask(f, frame, NULL);
    assert_int_equal(again->answer, ANSWER_REPEATED);
    assert_int_equal(again->seal_position, position);
    assert_int_equal(committed(f), size);
}

static void test_other_content_under_a_used_number_is_a_conflict_for_good(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "a", 2);
    struct test_batch *other = fixture_batch(f, "b", 2);
    other->statement.first = 1;
    memset(other->previous, 0, DIGEST_SIZE);
    uint64_t size = committed(f);
    const struct job *job = fixture_ask(f, fixture_sign(f, other), NULL);
    assert_int_equal(job->answer, ANSWER_REFUSED);
    assert_int_equal(job->refusal.code, CASEBUS_SEQ_CONFLICT);
    assert_true(job->final);
    assert_int_equal(committed(f), size + 2); /* each event is kept in quarantine */
}

static void test_a_gap_tells_which_number_is_expected(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "a", 2);
    struct test_batch *later = fixture_batch(f, "b", 1);
    later->statement.first = 10;
    uint64_t size = committed(f);
    const struct job *job = fixture_ask(f, fixture_sign(f, later), NULL);
    assert_int_equal(job->answer, ANSWER_REFUSED);
    assert_int_equal(job->refusal.code, CASEBUS_SEQ_GAP);
    assert_false(job->final);
    assert_int_equal(job->expected, 3);
    assert_int_equal(committed(f), size);
}

static void test_a_forged_batch_is_kept_and_changes_nothing(void **state)
{
    struct pipeline_fixture *f = *state;
    struct test_batch *batch = fixture_batch(f, "a", 1);
    fixture_sign(f, batch);
    batch->signature[0] ^= 1;
    uint64_t size = committed(f);
    const struct job *job = fixture_ask(f, batch_pack(&f->gate, batch), NULL);
    assert_int_equal(job->answer, ANSWER_REFUSED);
    assert_int_equal(job->refusal.code, CASEBUS_SIGNATURE);
    assert_true(job->final);
    const Casebus__V1__ActEntry *act = act_at(f, size);
    assert_int_equal(act->act_case, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED);
    assert_true(act->quarantined->whole_batch);

    f->next = 1; /* the stream has not moved */
    memset(f->previous, 0, DIGEST_SIZE);
    fixture_publish(f, "b", 1);
}

static void test_rubbish_is_kept_and_can_be_replayed(void **state)
{
    struct pipeline_fixture *f = *state;
    uint8_t *rubbish = calloc(1, FRAME_MAX);
    assert_non_null(rubbish);
    assert_int_equal(fixture_ask(f, bytes_of(rubbish, 1), NULL)->answer, ANSWER_REFUSED);
    assert_int_equal(fixture_ask(f, bytes_of(rubbish, FRAME_MAX), NULL)->answer, ANSWER_REFUSED);
    memset(rubbish, 0x1a, FRAME_MAX);
    assert_int_equal(fixture_ask(f, bytes_of(rubbish, FRAME_MAX), NULL)->answer, ANSWER_REFUSED);
    free(rubbish);
    uint64_t size = committed(f);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(committed(f), size);
}

static void test_hello_is_answered_behind_what_was_sent_before(void **state)
{
    struct pipeline_fixture *f = *state;
    struct bytes frame = fixture_sign(f, fixture_batch(f, "a", 5));
    fixture_submit(f, JOB_BATCH, frame);
    fixture_submit(f, JOB_HELLO, bytes_of("", 0));
    const struct job *hello = fixture_job(f, 2, NULL);
    assert_int_equal(hello->streams[0].last, 5);
    assert_memory_equal(hello->streams[0].last_statement, f->previous, DIGEST_SIZE);
    assert_int_equal(hello->streams[1].last, 0);
}

/* ---- nodes ---- */

static void test_an_enrolment_that_is_none_is_refused_and_harms_nobody(void **state)
{
    struct pipeline_fixture *f = *state;
    struct casebus_error err;
    uint64_t size = committed(f);
    assert_int_equal(pipeline_enrol(f->pipeline, bytes_of("\x01", 1), "", 60000, &err), -1);
    struct test_node *desk = &f->gate.desk;
    desk->info.area[0] = '9';
    desk->statement.area = desk->info.area; /* not what the certificate says */
    assert_int_equal(pipeline_enrol(f->pipeline, enrolment_pack(&f->gate, desk), "", 60000, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    assert_int_equal(committed(f), size);
    fixture_publish(f, "a", 1);
}

static void test_a_node_enrolled_again_replaces_itself(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_enrol(f, &f->gate.desk);
    struct registry *registry = pipeline_registry(f->pipeline);
    assert_int_equal(registry->n_nodes, 2);
    registry_unref(registry);
    fixture_stop(f);
    fixture_start(f);
    registry = pipeline_registry(f->pipeline);
    assert_int_equal(registry->n_nodes, 2);
    registry_unref(registry);
}

static void test_confirmations_are_merged_and_written_at_the_end(void **state)
{
    struct pipeline_fixture *f = *state;
    fixture_publish(f, "a", 3);
    uint64_t size = committed(f);
    for (uint64_t i = 0; i < size; i++)
        fixture_confirm(f, i, NULL);
    fixture_job(f, 1 + size, NULL);
    assert_int_equal(committed(f), size);
    fixture_stop(f);
    const Casebus__V1__ActEntry *act = act_at(f, size);
    assert_int_equal(act->act_case, CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED);
    assert_int_equal(act->deliveries_confirmed->n_confirm, 1);
}

static void test_a_confirmation_that_is_forged_or_of_the_future_is_dropped(void **state)
{
    struct pipeline_fixture *f = *state;
    static const uint8_t forged[SIGNATURE_SIZE] = {1};
    uint64_t size = committed(f);
    fixture_confirm(f, 1, forged);
    fixture_confirm(f, size, NULL);
    fixture_confirm(f, UINT64_MAX, NULL);
    fixture_submit(f, JOB_CONFIRM, bytes_of("rubbish", 7));
    fixture_job(f, 4, NULL);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(committed(f), size);
}

/* ---- behind the journal ---- */

static void test_a_barrier_returns_when_ledger_and_state_have_everything(void **state)
{
    struct pipeline_fixture *f = *state;
    struct casebus_error err;
    for (int i = 0; i < 20; i++) {
        char label[16];
        snprintf(label, sizeof(label), "b%d", i);
        fixture_publish(f, label, 3);
        must(pipeline_barrier(f->pipeline, 60000, &err), &err);
        assert_int_equal(ledger_size(f->ledger), committed(f));
        assert_int_equal(state_applied(f->state), committed(f));
    }
    struct ledger_view *view = NULL;
    struct bytes note;
    must(ledger_view_open(&view, f->ledger, &err), &err);
    must(ledger_view_checkpoint(view, committed(f), &note, &err), &err); /* published with its entries */
    ledger_view_close(view);
}

static void test_stopping_decides_what_was_taken(void **state)
{
    struct pipeline_fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        char label[16];
        snprintf(label, sizeof(label), "s%d", i);
        fixture_submit(f, JOB_BATCH, fixture_sign(f, fixture_batch(f, label, 10)));
    }
    pipeline_stop(f->pipeline);
    for (size_t n = 1; n <= 50; n++)
        assert_int_equal(fixture_job(f, n, NULL)->answer, ANSWER_ACCEPTED);
    assert_int_equal(ledger_size(f->ledger), committed(f));
    assert_int_equal(state_applied(f->state), committed(f));
    uint64_t size = committed(f);

    struct casebus_error err;
    struct job *late = job_new(JOB_HELLO, 1, NULL, NULL);
    assert_int_equal(pipeline_submit(f->pipeline, late, &err), -1);
    assert_int_equal(err.code, CASEBUS_BUSY);
    job_free(late);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(committed(f), size);
    assert_int_equal(f->replayed.applied, 0);
    fixture_publish(f, "after", 1);
}

static void test_a_burst_of_large_batches_makes_groups_that_the_journal_takes(void **state)
{
    struct pipeline_fixture *f = *state;
    enum { BATCHES = 60 };
    for (int i = 0; i < BATCHES; i++) {
        char label[16];
        snprintf(label, sizeof(label), "l%d", i);
        struct test_batch *batch = fixture_batch(f, label, BATCH_MAX_EVENTS);
        fixture_submit(f, JOB_BATCH, fixture_sign(f, batch));
    }
    assert_int_equal(fixture_job(f, BATCHES, NULL)->answer, ANSWER_ACCEPTED);
    for (size_t i = 0; i < f->n_groups; i++) {
        size_t bytes = 0;
        for (size_t k = 0; k < f->groups[i]->n_entries; k++)
            bytes += f->groups[i]->entries[k].leaf.size + f->groups[i]->entries[k].body.size;
        assert_true(bytes < JOURNAL_GROUP_MAX / 2);
    }
}

/* ---- a full disk ---- */

static void publish_much(struct pipeline_fixture *f)
{
    for (int i = 0; i < 20; i++) {
        char label[16];
        snprintf(label, sizeof(label), "d%d", i);
        fixture_submit(f, JOB_BATCH, fixture_sign(f, fixture_batch(f, label, 64)));
    }
    fixture_job(f, 20, NULL); /* answered: the journal has room */
}

static void expect_full_then_fine(struct pipeline_fixture *f)
{
    struct casebus_error err;
    assert_int_equal(pipeline_barrier(f->pipeline, 10, &err), -1);
    assert_int_equal(err.code, CASEBUS_TIMEOUT);
    uint64_t size = committed(f);
    pipeline_stop(f->pipeline); /* and does not wait for room */
    fixture_wait_fatal(f);
    assert_int_equal(f->fatal.code, CASEBUS_DISK_FULL);
    f->fatal.code = CASEBUS_OK;
    fixture_stop(f);
    fixture_start(f);
    assert_true(committed(f) >= size);
    assert_int_equal(state_applied(f->state), ledger_size(f->ledger));
    fixture_publish(f, "after", 1);
}

static void test_a_hub_whose_ledger_is_full_waits_and_can_be_stopped(void **state)
{
    struct pipeline_fixture *f = *state;
    struct casebus_error err;
    fixture_stop(f);
    fixture_stores_open(f);
    must(ledger_limit(f->ledger, 256 * 1024, &err), &err);
    fixture_start(f);
    publish_much(f);
    expect_full_then_fine(f);
}

static void test_a_hub_whose_state_is_full_waits_and_can_be_stopped(void **state)
{
    struct pipeline_fixture *f = *state;
    struct casebus_error err;
    fixture_stop(f);
    fixture_stores_open(f);
    must(state_limit(f->state, 128 * 1024, &err), &err);
    fixture_start(f);
    publish_much(f);
    expect_full_then_fine(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_a_ledger_begins_by_saying_whose_it_is),
        T(test_the_seal_comes_first_then_members_then_what_was_refused),
        T(test_each_event_goes_to_the_entitled_with_the_parts_granted),
        T(test_a_batch_of_duplicates_is_a_seal_alone),
        T(test_a_batch_sent_again_gets_its_receipt_again),
        T(test_other_content_under_a_used_number_is_a_conflict_for_good),
        T(test_a_gap_tells_which_number_is_expected),
        T(test_a_forged_batch_is_kept_and_changes_nothing),
        T(test_rubbish_is_kept_and_can_be_replayed),
        T(test_hello_is_answered_behind_what_was_sent_before),
        T(test_an_enrolment_that_is_none_is_refused_and_harms_nobody),
        T(test_a_node_enrolled_again_replaces_itself),
        T(test_confirmations_are_merged_and_written_at_the_end),
        T(test_a_confirmation_that_is_forged_or_of_the_future_is_dropped),
        T(test_a_barrier_returns_when_ledger_and_state_have_everything),
        T(test_stopping_decides_what_was_taken),
        T(test_a_burst_of_large_batches_makes_groups_that_the_journal_takes),
        T(test_a_hub_whose_ledger_is_full_waits_and_can_be_stopped),
        T(test_a_hub_whose_state_is_full_waits_and_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
