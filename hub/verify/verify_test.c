/* A ledger that holds is told to hold; each kind of lie is found, at its position. */
#include "hub/verify/verify.h"

#include "hub/console/hub_fixture.h"

static int setup(void **state)
{
    struct hub_fixture *fixture = malloc(sizeof *fixture);
    hub_fixture_init(fixture);
    hub_fixture_story(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    hub_fixture_deinit(*state);
    free(*state);
    return 0;
}

static int verify_with(struct hub_fixture *fixture, struct vault *vault, struct verify_result *result)
{
    struct casebus_error err = {0};
    const struct verify_options options = {
        .ledger = fixture->ledger,
        .vault = vault,
        .log_key = fixture->keys.log_vkey,
        .authority = bytes_of(fixture->keys.authority, fixture->keys.authority_size)};
    int holds = verify_ledger(&options, result, &err);
    must(holds, &err);
    return holds;
}

static void expect_holds(struct hub_fixture *fixture, struct verify_result *result)
{
    if (!verify_with(fixture, fixture->vault, result))
        fail_msg("%s: %s", casebus_code_text(result->fault.code), result->fault.text);
}

/* Writes what was gathered and expects it to be wrong at @position with @code. */
static void expect_wrong(struct hub_fixture *fixture, uint64_t position, enum casebus_code code)
{
    struct verify_result result;
    hub_fixture_write(fixture);
    assert_int_equal(verify_with(fixture, fixture->vault, &result), 0);
    if (result.fault.code != code || !result.has_position || result.position != position)
        fail_msg("at %llu: %s: %s", (unsigned long long)result.position, casebus_code_text(result.fault.code),
                 result.fault.text);
}

/* ---- a ledger that holds ---- */

static void test_verify_accepts_a_true_ledger(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 1, NULL, true);
    hub_fixture_publish(fixture, 7, NULL, true);
    hub_fixture_publish(fixture, 10, NULL, true);
    expect_holds(fixture, &result);
    assert_int_equal(result.entries, 10);
    assert_int_equal(result.seals, 2);
    assert_int_equal(result.events, 4);
    assert_int_equal(result.duplicates, 1);
    assert_int_equal(result.refused, 1);
    assert_int_equal(result.nodes, 2);
    assert_int_equal(result.quarantined, 1);
    assert_int_equal(result.bodies, 5);
    assert_int_equal(result.checkpoints, 3);
}

static void test_verify_without_bodies_needs_no_vault(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    fixture->entries[4].body = bytes_of(NULL, 0);
    hub_fixture_write(fixture);
    assert_int_equal(verify_with(fixture, NULL, &result), 1);
    assert_int_equal(result.bodies, 0);
}

static void test_verify_accepts_many_batches(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    for (int i = 0; i < 60; i++) {
        char *record = arena_printf(&fixture->arena, "m%d", i);
        const struct fixture_event event = {.record = record, .number = "2026/1", .name = "王五"};
        hub_fixture_batch(fixture, i % 2 ? "desk" : "bureau", &event, 1);
    }
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 64, NULL, true);
    expect_holds(fixture, &result);
    assert_int_equal(result.events, 64);
}

/* ---- the tree ---- */

static void test_verify_finds_an_altered_leaf(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->entries[5].shown_altered = true;
    expect_wrong(fixture, 5, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_altered_tree_hash(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->entries[6].hash_altered = true;
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

static void expect_checkpoint_wrong(struct hub_fixture *fixture, enum casebus_code code)
{
    struct verify_result result;
    assert_int_equal(verify_with(fixture, fixture->vault, &result), 0);
    assert_int_equal(result.fault.code, code);
    assert_false(result.has_position);
}

static void test_verify_finds_a_checkpoint_of_other_entries(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 10, NULL, true);
    hub_fixture_publish(fixture, 6, NULL, false);
    expect_checkpoint_wrong(fixture, CASEBUS_CONSISTENCY);
}

static void test_verify_finds_a_checkpoint_by_another_key(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 6, hub_fixture_node(fixture, "desk")->key, true);
    expect_checkpoint_wrong(fixture, CASEBUS_SIGNATURE);
}

/* ---- the opening entry ---- */

static void test_verify_finds_another_authority(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->keys.authority[40] ^= 1;
    expect_wrong(fixture, 0, CASEBUS_HUB_IDENTITY);
}

static void test_verify_finds_another_log_key(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 0);
    entry->act->ledger_opened->log_key[0] = 'x';
    hub_fixture_put(fixture, 0, entry);
    expect_wrong(fixture, 0, CASEBUS_HUB_IDENTITY);
}

static void test_verify_finds_a_ledger_without_beginning(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_remove(fixture, 0);
    expect_wrong(fixture, 0, CASEBUS_DAMAGED);
}

/* ---- time and nodes ---- */

static void test_verify_finds_time_going_back(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 7);
    entry->hub_time_us = FIXTURE_TIME_US;
    hub_fixture_put(fixture, 7, entry);
    expect_wrong(fixture, 7, CASEBUS_CLOCK);
}

static void test_verify_finds_a_batch_before_its_enrolment(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_remove(fixture, 2); /* the desk's; its seal is at 6 now */
    expect_wrong(fixture, 6, CASEBUS_UNKNOWN_NODE);
}

static void test_verify_finds_an_enrolment_that_the_node_did_not_sign(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 2);
    entry->act->node_enrolled->signature.data[3] ^= 1;
    hub_fixture_put(fixture, 2, entry);
    expect_wrong(fixture, 2, CASEBUS_SIGNATURE);
}

static void test_verify_finds_a_certificate_for_another_key(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 2);
    Casebus__V1__LedgerEntry *other = hub_fixture_edit(fixture, 1);
    entry->act->node_enrolled->certificate = other->act->node_enrolled->certificate;
    hub_fixture_put(fixture, 2, entry);
    expect_wrong(fixture, 2, CASEBUS_CERTIFICATE);
}

/* ---- batches ---- */

static void test_verify_finds_a_seal_with_another_signature(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 3);
    entry->seal->signature.data[10] ^= 1;
    hub_fixture_put(fixture, 3, entry);
    expect_wrong(fixture, 3, CASEBUS_SIGNATURE);
}

static void test_verify_finds_an_event_that_was_not_signed(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event other = {.record = "r9", .number = "2026-2", .name = "赵六"};
    size_t seal = hub_fixture_batch(fixture, "bureau", &other, 1);
    Casebus__V1__LedgerEntry *mine = hub_fixture_edit(fixture, 6);
    Casebus__V1__LedgerEntry *its = hub_fixture_edit(fixture, seal + 1);
    mine->event->event_hash = its->event->event_hash; /* with the body that goes with it */
    fixture->entries[6].body = fixture->entries[seal + 1].body;
    hub_fixture_put(fixture, 6, mine);
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

static void test_verify_finds_a_missing_member(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_remove(fixture, 6); /* the third of the batch; the desk's seal stands there now */
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

static void test_verify_finds_a_member_missing_at_the_end(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->n_entries = 8; /* ends with the desk's seal */
    expect_wrong(fixture, 7, CASEBUS_DAMAGED);
}

static void test_verify_finds_swapped_members(void **state)
{
    struct hub_fixture *fixture = *state;
    struct fixture_entry entry = fixture->entries[4];
    Casebus__V1__LedgerEntry *a = hub_fixture_edit(fixture, 4), *b = hub_fixture_edit(fixture, 5);
    int64_t time = a->hub_time_us;
    a->hub_time_us = b->hub_time_us;
    b->hub_time_us = time;
    fixture->entries[4] = fixture->entries[5];
    fixture->entries[5] = entry;
    hub_fixture_put(fixture, 4, b);
    hub_fixture_put(fixture, 5, a);
    expect_wrong(fixture, 4, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_event_without_seal(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_remove(fixture, 3);
    expect_wrong(fixture, 3, CASEBUS_DAMAGED);
}

static void test_verify_finds_a_gap_in_the_numbers(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "r9", .number = "2026-2"};
    hub_fixture_node(fixture, "bureau")->last++;
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_SEQ_GAP);
}

static void test_verify_finds_a_number_used_twice(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "r9", .number = "2026-2"};
    hub_fixture_node(fixture, "bureau")->last--;
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_SEQ_GAP);
}

static void test_verify_finds_a_broken_chain(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "r9", .number = "2026-2"};
    hub_fixture_node(fixture, "bureau")->previous[0] ^= 1;
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_SEQ_CONFLICT);
}

static void test_verify_finds_a_duplicate_of_nothing(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "r1", .number = "2026/1", .duplicate_of = 3 + 1};
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_outcome_of_no_member(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 7);
    entry->seal->outcome[1]->index = 3;
    hub_fixture_put(fixture, 7, entry);
    expect_wrong(fixture, 7, CASEBUS_DAMAGED);
}

/* ---- bodies ---- */

static void test_verify_finds_a_missing_body(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->entries[4].body = bytes_of(NULL, 0);
    expect_wrong(fixture, 4, CASEBUS_DAMAGED);
}

static void test_verify_finds_a_body_of_another_event(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->entries[4].body = fixture->entries[5].body;
    expect_wrong(fixture, 4, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_altered_part(void **state)
{
    struct hub_fixture *fixture = *state;
    struct casebus_error err;
    Casebus__V1__SealedBody *body = body_decode(fixture->entries[4].body, &fixture->arena, &err);
    assert_non_null(body);
    body->item[1].data[body->item[1].len - 20] ^= 1;
    fixture->entries[4].body = codec_pack(body, &fixture->arena);
    expect_wrong(fixture, 4, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_erased_key_that_nobody_accounts_for(void **state)
{
    struct hub_fixture *fixture = *state;
    struct casebus_error err;
    must(vault_erase(fixture->vault, fixture->cases[0].slot, &err), &err);
    expect_wrong(fixture, 4, CASEBUS_NOT_FOUND);
}

static void test_verify_finds_other_bytes_in_quarantine(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 9);
    entry->act->quarantined->whole_batch = false; /* then its hash is an event's */
    hub_fixture_put(fixture, 9, entry);
    expect_wrong(fixture, 9, CASEBUS_DAMAGED);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        claim(test_verify_accepts_a_true_ledger),
        claim(test_verify_without_bodies_needs_no_vault),
        claim(test_verify_accepts_many_batches),
        claim(test_verify_finds_an_altered_leaf),
        claim(test_verify_finds_an_altered_tree_hash),
        claim(test_verify_finds_a_checkpoint_of_other_entries),
        claim(test_verify_finds_a_checkpoint_by_another_key),
        claim(test_verify_finds_another_authority),
        claim(test_verify_finds_another_log_key),
        claim(test_verify_finds_a_ledger_without_beginning),
        claim(test_verify_finds_time_going_back),
        claim(test_verify_finds_a_batch_before_its_enrolment),
        claim(test_verify_finds_an_enrolment_that_the_node_did_not_sign),
        claim(test_verify_finds_a_certificate_for_another_key),
        claim(test_verify_finds_a_seal_with_another_signature),
        claim(test_verify_finds_an_event_that_was_not_signed),
        claim(test_verify_finds_a_missing_member),
        claim(test_verify_finds_a_member_missing_at_the_end),
        claim(test_verify_finds_swapped_members),
        claim(test_verify_finds_an_event_without_seal),
        claim(test_verify_finds_a_gap_in_the_numbers),
        claim(test_verify_finds_a_number_used_twice),
        claim(test_verify_finds_a_broken_chain),
        claim(test_verify_finds_a_duplicate_of_nothing),
        claim(test_verify_finds_an_outcome_of_no_member),
        claim(test_verify_finds_a_missing_body),
        claim(test_verify_finds_a_body_of_another_event),
        claim(test_verify_finds_an_altered_part),
        claim(test_verify_finds_an_erased_key_that_nobody_accounts_for),
        claim(test_verify_finds_other_bytes_in_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
