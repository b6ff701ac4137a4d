/* A ledger that holds is told to hold; each kind of lie is found, at its position. */
#include "hub/verify/verify.h"

#include "hub/console/hub_fixture.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/merkle/note.h"

#include <stdlib.h>
#include <unistd.h>

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

static struct verify_options options_of(struct hub_fixture *fixture, struct vault *vault)
{
    return (struct verify_options){.ledger = fixture->ledger,
                                   .vault = vault,
                                   .log_key = fixture->keys.log_vkey,
                                   .authority =
                                       bytes_of(fixture->keys.authority, fixture->keys.authority_size),
                                   .content_key = fixture->keys.content,
                                   .temporary = fixture->dir};
}

static int verify_once(const struct verify_options *options, struct verify_result *result)
{
    struct casebus_error err = {0};
    int answer = verify_ledger(options, result, &err);
    must(answer, &err);
    return answer;
}

static void expect_same(const struct verify_result *a, const struct verify_result *b)
{
    if (strcmp(a->fault.text, b->fault.text) != 0)
        fail_msg("'%s', but '%s'", a->fault.text, b->fault.text);
    assert_int_equal(a->fault.code, b->fault.code);
    assert_int_equal(a->has_position, b->has_position);
    assert_int_equal(a->position, b->position);
    assert_memory_equal(a->root, b->root, DIGEST_SIZE);
    assert_int_equal(a->state, b->state);
    if (a->fault.code) /* how much was looked at behind a fault depends on the size of chunks */
        return;
    assert_int_equal(a->entries, b->entries);
    assert_int_equal(a->seals, b->seals);
    assert_int_equal(a->events, b->events);
    assert_int_equal(a->acts, b->acts);
    assert_int_equal(a->nodes, b->nodes);
    assert_int_equal(a->confirms, b->confirms);
    assert_int_equal(a->quarantined, b->quarantined);
    assert_int_equal(a->duplicates, b->duplicates);
    assert_int_equal(a->refused, b->refused);
    assert_int_equal(a->bodies, b->bodies);
    assert_int_equal(a->erased, b->erased);
    assert_int_equal(a->orders, b->orders);
    assert_int_equal(a->checkpoints, b->checkpoints);
}

/* Whatever a test asks is asked of 1, 2 and 4 threads, in chunks of all sizes that matter here. */
static int verify_all_ways(struct verify_options options, struct verify_result *result)
{
    static const unsigned levels[] = {0, 1, 2, 3};
    int answer = verify_once(&options, result);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        for (options.jobs = 1; options.jobs <= 4; options.jobs *= 2) {
            struct verify_result other;
            options.chunk_level = levels[i];
            assert_int_equal(verify_once(&options, &other), answer);
            expect_same(result, &other);
        }
    return answer;
}

static int verify_with(struct hub_fixture *fixture, struct vault *vault, struct verify_result *result)
{
    return verify_all_ways(options_of(fixture, vault), result);
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

static void enrol_late(struct hub_fixture *fixture)
{
    const Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    hub_fixture_enrol(fixture, "late", &grants);
}

static void test_verify_follows_the_authority_forwards_and_backwards(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    uint8_t first[CERTIFICATE_MAX];
    size_t size = fixture->keys.authority_size;
    memcpy(first, fixture->keys.authority, size);
    hub_fixture_authority(fixture, true);
    enrol_late(fixture);
    hub_fixture_authority(fixture, true);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result); /* under the newest */
    memcpy(fixture->keys.authority, first, size);
    fixture->keys.authority_size = size;
    expect_holds(fixture, &result);
    fixture->keys.authority[40] ^= 1;
    expect_wrong(fixture, 0, CASEBUS_HUB_IDENTITY);
}

static void test_verify_takes_no_certificate_of_a_former_authority(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = hub_fixture_authority(fixture, false);
    enrol_late(fixture);
    expect_wrong(fixture, position + 1, CASEBUS_CERTIFICATE);
}

static void test_verify_finds_an_authority_that_did_not_sign(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = hub_fixture_authority(fixture, true);
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    entry->act->hub_keys_changed->authority_signature.data[7] ^= 1;
    hub_fixture_put(fixture, position, entry);
    expect_wrong(fixture, position, CASEBUS_SIGNATURE);
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

static void test_verify_finds_content_where_none_belongs(void **state)
{
    struct hub_fixture *fixture = *state;
    fixture->entries[3].body = fixture->entries[4].body;
    expect_wrong(fixture, 3, CASEBUS_DAMAGED);
}

/* ---- many entries ---- */

static void publish_many(struct hub_fixture *fixture, int n)
{
    for (int i = 0; i < n; i++) {
        char *record = arena_printf(&fixture->arena, "m%zu", fixture->n_entries);
        const struct fixture_event event = {.record = record, .number = "2026/1", .name = "王五"};
        hub_fixture_batch(fixture, i % 2 ? "desk" : "bureau", &event, 1);
    }
}

static void test_verify_finds_a_wrong_hash_above_a_chunk(void **state)
{
    struct hub_fixture *fixture = *state;
    publish_many(fixture, 20);
    fixture->entries[31].top_altered = true; /* of the first 32 */
    expect_wrong(fixture, 31, CASEBUS_DAMAGED);
}

static void test_verify_tells_the_first_of_many_lies(void **state)
{
    struct hub_fixture *fixture = *state;
    publish_many(fixture, 20);
    for (size_t i = 17; i < fixture->n_entries; i += 3) {
        fixture->entries[i].shown_altered = i % 2;
        fixture->entries[i].body = bytes_of("x", 1);
    }
    expect_wrong(fixture, 17, CASEBUS_DAMAGED);
}

static void test_tree_alone_is_verified_without_understanding_it(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 3);
    entry->seal->signature.data[10] ^= 1;
    hub_fixture_put(fixture, 3, entry);
    publish_many(fixture, 20);
    hub_fixture_write(fixture);
    struct verify_options options = options_of(fixture, NULL);
    options.tree_only = true;
    assert_int_equal(verify_all_ways(options, &result), VERIFY_HOLDS);
    assert_int_equal(result.entries, fixture->n_entries);
    assert_int_equal(result.seals, 0);
}

static void test_tree_alone_finds_an_altered_leaf(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    publish_many(fixture, 20);
    fixture->entries[22].shown_altered = true;
    hub_fixture_write(fixture);
    struct verify_options options = options_of(fixture, NULL);
    options.tree_only = true;
    assert_int_equal(verify_all_ways(options, &result), VERIFY_WRONG);
    assert_int_equal(result.position, 22);
}

static void test_verify_finds_an_entry_of_another_suite(void **state)
{
    struct hub_fixture *fixture = *state;
    publish_many(fixture, 5);
    size_t position = fixture->n_entries - 2;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    entry->suite = CASEBUS__V1__SUITE__SUITE_GM;
    hub_fixture_put(fixture, position, entry);
    expect_wrong(fixture, position, CASEBUS_BAD_FIELD);
}

/* ---- certificates and keys ---- */

static void test_verify_finds_a_batch_under_an_expired_certificate(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "late", .number = "2026/1"};
    fixture->hub_time_us += 2 * FIXTURE_VALID_S * 1000000;
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_CERTIFICATE);
}

/* Enrols @name again with another key; the one before signs it when @signs. */
static size_t enrol_again(struct hub_fixture *fixture, const char *name, bool signs)
{
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    struct signing_key *before = hub_fixture_rekey(fixture, name);
    uint8_t signature[SIGNATURE_SIZE];
    size_t position = hub_fixture_enrol(fixture, name, &grants);
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    Casebus__V1__NodeEnrolled *enrolled = entry->act->node_enrolled;
    assert_int_equal(signing_key_sign(before, bytes_of(enrolled->statement.data, enrolled->statement.len),
                                      signature, NULL),
                     0);
    if (signs)
        enrolled->previous_signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    hub_fixture_put(fixture, position, entry);
    signing_key_free(before);
    return position;
}

static void test_verify_finds_a_key_that_the_one_before_did_not_sign(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = enrol_again(fixture, "desk", false);
    expect_wrong(fixture, position, CASEBUS_SIGNATURE);
}

static void test_verify_accepts_a_key_that_the_one_before_signed(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    enrol_again(fixture, "desk", true);
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.nodes, 2);
}

struct met {
    uint64_t positions[16];
    bool revoked[16];
    size_t n;
};

static void on_unvouched(void *self, uint64_t position, const struct certificate_info *info, bool revoked)
{
    struct met *met = self;
    assert_true(met->n < 16);
    assert_true(node_name_valid(info->node));
    met->positions[met->n] = position;
    met->revoked[met->n++] = revoked;
}

static void test_verify_tells_of_keys_for_which_no_key_before_them_stands_good(void **state)
{
    struct hub_fixture *fixture = *state;
    enrol_again(fixture, "bureau", true); /* 10 */
    hub_fixture_standing(fixture, "desk", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED);
    hub_fixture_enrol_anew(fixture, "desk"); /* 12 */
    publish_many(fixture, 3);
    hub_fixture_write(fixture);
    for (unsigned level = 0; level < 4; level++)
        for (int run = 0; run < 2; run++) { /* the second one goes on behind them, and tells all the same */
            struct met met = {.n = 0};
            struct verify_result result;
            struct verify_options options = options_of(fixture, NULL);
            char path[PATH_MAX];
            folder_path(path, fixture->dir, level % 2 ? "odd.resume" : "even.resume");
            if (run == 0)
                unlink(path);
            options.resume_path = path;
            options.resume = true;
            options.chunk_level = level;
            options.unvouched = on_unvouched;
            options.self = &met;
            if (verify_once(&options, &result) != VERIFY_HOLDS)
                fail_msg("%s", result.fault.text);
            assert_int_equal(result.resumed_from > 12, run == 1 && level > 0);
            assert_int_equal(met.n, 3);
            assert_int_equal(met.positions[0], 1);
            assert_false(met.revoked[1]);
            assert_int_equal(met.positions[2], 12);
            assert_true(met.revoked[2]);
        }
}

/* ---- invitations ---- */

static const uint8_t invitation[INVITATION_SIZE] = {1, 2, 3};

static const Casebus__V1__Grants *granted(void)
{
    static uint32_t kinds[] = {CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY,
                               CASEBUS__V1__PART_KIND__PART_KIND_FORM};
    static Casebus__V1__Grants grants;
    casebus__v1__grants__init(&grants);
    grants.receive_all = true;
    grants.receive_part_kind = kinds;
    grants.n_receive_part_kind = 2;
    return &grants;
}

static void test_verify_accepts_a_node_that_was_invited(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    hub_fixture_invite(fixture, "office", granted(), invitation);
    hub_fixture_enrol_invited(fixture, "office", granted(), invitation);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.nodes, 3);
    assert_int_equal(result.bodies, 6);
}

static void test_verify_finds_an_invitation_that_nobody_gave(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = hub_fixture_enrol_invited(fixture, "office", granted(), invitation);
    hub_fixture_invite(fixture, "office", granted(), invitation); /* too late */
    expect_wrong(fixture, position, CASEBUS_NOT_ALLOWED);
}

static void test_verify_finds_a_node_that_came_by_the_invitation_of_another(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_invite(fixture, "office", granted(), invitation);
    expect_wrong(fixture, hub_fixture_enrol_invited(fixture, "registry", granted(), invitation),
                 CASEBUS_NOT_ALLOWED);
}

static void test_verify_finds_more_rights_than_were_offered(void **state)
{
    struct hub_fixture *fixture = *state;
    Casebus__V1__Grants more = *granted();
    hub_fixture_invite(fixture, "office", granted(), invitation);
    more.publish = true;
    expect_wrong(fixture, hub_fixture_enrol_invited(fixture, "office", &more, invitation),
                 CASEBUS_NOT_ALLOWED);
}

static void test_verify_finds_an_invitation_that_is_used_twice(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_invite(fixture, "office", granted(), invitation);
    hub_fixture_enrol_invited(fixture, "office", granted(), invitation);
    expect_wrong(fixture, hub_fixture_enrol_invited(fixture, "office", granted(), invitation),
                 CASEBUS_NOT_ALLOWED);
}

static void test_verify_finds_an_invitation_that_had_expired(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_invite(fixture, "office", granted(), invitation);
    fixture->hub_time_us += 2 * INT64_C(3600000000);
    expect_wrong(fixture, hub_fixture_enrol_invited(fixture, "office", granted(), invitation),
                 CASEBUS_NOT_ALLOWED);
}

/* ---- what was refused ---- */

/* Of the batch at @*seal the second member is refused as a state secret. */
static void refuse_one(struct hub_fixture *fixture, size_t *seal)
{
    const struct fixture_event events[] = {{.record = "n1", .number = "2026/1"},
                                           {.record = "n2", .number = "2026/1", .refused = "CB-CLASSIFIED"}};
    *seal = hub_fixture_batch(fixture, "desk", events, 2);
}

static void test_verify_accepts_what_was_refused_for_the_reason_in_its_seal(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    size_t seal;
    refuse_one(fixture, &seal);
    hub_fixture_refused(fixture, seal, 0, "CB-CLASSIFIED");
    refuse_one(fixture, &seal);
    hub_fixture_refused(fixture, seal, 0, "CB-ERASED"); /* whatever else was wrong with it */
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.quarantined, 3);
}

static void test_verify_finds_something_refused_for_another_reason_than_its_seal_says(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t seal;
    refuse_one(fixture, &seal);
    expect_wrong(fixture, hub_fixture_refused(fixture, seal, 0, "CB-TEXT"), CASEBUS_DAMAGED);
}

/* ---- generations ---- */

#define NEXT_ORIGIN "js.example/exchange/2"

/* Opens @origin behind @previous, whose newest checkpoint is of @size entries. */
static size_t open_again(struct hub_fixture *fixture, const char *origin, const char *previous, uint64_t size,
                         bool true_root)
{
    struct casebus_error err;
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct checkpoint checkpoint = {.size = size};
    struct ledger_view *view;
    char vkey[512], note[NOTE_MAX];
    hub_fixture_write(fixture);
    must(ledger_view_open(&view, fixture->ledger, &err), &err);
    if (size <= fixture->n_entries)
        must(tree_root_at(fixture->crypter, size, ledger_view_hash, view, checkpoint.root, &err), &err);
    ledger_view_close(view);
    checkpoint.root[3] ^= !true_root;
    strcpy(checkpoint.origin, previous);
    int length = checkpoint_sign(note, sizeof note, &checkpoint, previous, fixture->keys.log, NULL);
    assert_true(length > 0);
    assert_true(note_vkey_format(vkey, sizeof vkey, origin, signing_key_public(fixture->keys.log)) > 0);
    opened.origin = (char *)origin;
    opened.log_key = vkey;
    opened.authority = (ProtobufCBinaryData){fixture->keys.authority_size, fixture->keys.authority};
    opened.previous_origin = (char *)previous;
    opened.previous_checkpoint = (ProtobufCBinaryData){(size_t)length, (uint8_t *)note};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    size_t position = hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
    must(ledger_begin_generation(fixture->ledger, origin, &err), &err);
    hub_fixture_write(fixture);
    strcpy(fixture->keys.log_vkey, vkey);
    return position;
}

static void test_verify_follows_the_ledger_into_the_next_generation(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 10, NULL, true);
    open_again(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN, 10, true);
    expect_holds(fixture, &result);
    assert_int_equal(result.generations, 2);
    assert_int_equal(result.checkpoints, 1);
}

static void quarantine_under(struct hub_fixture *fixture, const char *origin)
{
    struct casebus_error err;
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct bytes item = bytes_of_text("bytes of a frame"), body;
    struct body_seal seal = {0};
    uint8_t subject[DIGEST_SIZE], key[KEY_SIZE];
    uint64_t slot;
    crypter_hash1(fixture->crypter, item, subject);
    must(vault_take(fixture->vault, &slot, key, &err), &err);
    must(body_seal_items(fixture->crypter, origin, subject, &item, 1, &fixture->arena, &seal, &err), &err);
    must(body_wrap(fixture->crypter, origin, &seal, slot, key, &fixture->arena, &body, &err), &err);
    quarantined.node = (char *)"desk";
    quarantined.code = (char *)"CB-MALFORMED";
    quarantined.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    quarantined.whole_batch = true;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    hub_fixture_act(fixture, &act, body);
}

/* Readers come to the second generation before the follower has told them of it. */
static void test_verify_opens_each_content_under_the_origin_of_its_time(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    for (int i = 0; i < 11; i++)
        quarantine_under(fixture, FIXTURE_ORIGIN);
    open_again(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN, 10, true);
    for (int i = 0; i < 21; i++)
        quarantine_under(fixture, NEXT_ORIGIN);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.bodies, 5 + 11 + 21);
    size_t wrong = fixture->n_entries + 2;
    for (int i = 0; i < 5; i++)
        quarantine_under(fixture, i == 2 ? FIXTURE_ORIGIN : NEXT_ORIGIN);
    expect_wrong(fixture, wrong, CASEBUS_DAMAGED);
}

static void test_verify_follows_a_generation_whose_end_was_lost(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    open_again(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN, 5000, true);
    expect_holds(fixture, &result);
}

static void test_verify_finds_a_generation_that_hides_the_one_before(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = open_again(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN, 8, false);
    expect_wrong(fixture, position, CASEBUS_CONSISTENCY);
}

static void test_verify_finds_a_generation_behind_another_hub(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t position = open_again(fixture, NEXT_ORIGIN, "zj.example/exchange/1", 8, true);
    expect_wrong(fixture, position, CASEBUS_HUB_IDENTITY);
}

static void test_verify_finds_a_batch_for_the_generation_before(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event event = {.record = "r9", .number = "2026-2"};
    open_again(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN, 10, true);
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    expect_wrong(fixture, seal, CASEBUS_HUB_IDENTITY);
}

/* ---- erasures ---- */

static const uint8_t skeleton_key[16] = {1, 2, 3};

static void empty_body(struct hub_fixture *fixture, size_t position)
{
    struct casebus_error err;
    ProtobufCBinaryData key = {sizeof skeleton_key, (uint8_t *)skeleton_key};
    Casebus__V1__EventSkeleton skeleton = CASEBUS__V1__EVENT_SKELETON__INIT;
    skeleton.record_key = skeleton.header_digest = skeleton.case_number_key = key;
    Casebus__V1__SealedBody *body = body_decode(fixture->entries[position].body, &fixture->arena, &err);
    assert_non_null(body);
    must(body_emptied(body, &skeleton, &fixture->arena, &fixture->entries[position].body, &err), &err);
}

/* Orders that what the story's second case holds (entry 6) is destroyed. */
static size_t order_erasure(struct hub_fixture *fixture, uint64_t position, uint32_t part_mask)
{
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ErasedContent content = CASEBUS__V1__ERASED_CONTENT__INIT;
    Casebus__V1__ErasedContent *contents[] = {&content};
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    uint8_t subject[DIGEST_SIZE] = {7};
    content.position = position;
    content.header = true;
    content.part_mask = part_mask;
    ordered.reason = CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_RETENTION;
    ordered.subject = (ProtobufCBinaryData){sizeof subject, subject};
    ordered.case_id = (ProtobufCBinaryData){16, fixture->cases[1].id};
    ordered.content = contents;
    ordered.n_content = 1;
    ordered.slot = &fixture->cases[1].slot;
    ordered.n_slot = 1;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

static size_t say_done(struct hub_fixture *fixture, uint64_t ordered)
{
    Casebus__V1__ErasureDone done = CASEBUS__V1__ERASURE_DONE__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    done.ordered = &ordered;
    done.n_ordered = 1;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE;
    act.erasure_done = &done;
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

static void erase_slot(struct hub_fixture *fixture, uint64_t slot)
{
    struct casebus_error err;
    must(vault_erase(fixture->vault, slot, &err), &err);
}

static void test_verify_accepts_what_was_ordered_to_be_destroyed(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    empty_body(fixture, 6);
    erase_slot(fixture, fixture->cases[1].slot);
    publish_many(fixture, 3);
    size_t order = order_erasure(fixture, 6, 1);
    publish_many(fixture, 3);
    say_done(fixture, order);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.orders, 1);
    assert_int_equal(result.erased, 1);
}

static void test_verify_accepts_an_erasure_that_is_under_way(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    erase_slot(fixture, fixture->cases[1].slot); /* the key is gone, the body not yet */
    order_erasure(fixture, 6, 1);
    hub_fixture_write(fixture);
    expect_holds(fixture, &result);
    assert_int_equal(result.erased, 1);
}

static void test_verify_finds_more_missing_than_was_ordered(void **state)
{
    struct hub_fixture *fixture = *state;
    empty_body(fixture, 6);
    erase_slot(fixture, fixture->cases[1].slot);
    order_erasure(fixture, 6, 0); /* the header, but not its part */
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

static void test_verify_finds_content_that_was_told_to_be_destroyed(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t order = order_erasure(fixture, 6, 1);
    say_done(fixture, order);
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

static void test_verify_finds_a_key_that_was_told_to_be_destroyed(void **state)
{
    struct hub_fixture *fixture = *state;
    empty_body(fixture, 6);
    size_t order = order_erasure(fixture, 6, 1);
    say_done(fixture, order);
    expect_wrong(fixture, order, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_erasure_done_that_nobody_ordered(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t done = say_done(fixture, 4);
    expect_wrong(fixture, done, CASEBUS_DAMAGED);
}

static void test_verify_finds_an_order_about_the_future(void **state)
{
    struct hub_fixture *fixture = *state;
    size_t order = order_erasure(fixture, 12, 1);
    publish_many(fixture, 3);
    expect_wrong(fixture, order, CASEBUS_DAMAGED);
}

/* The order stands behind another lie; the missing content is no lie because of it. */
static void test_verify_looks_for_orders_behind_a_fault(void **state)
{
    struct hub_fixture *fixture = *state;
    empty_body(fixture, 6);
    erase_slot(fixture, fixture->cases[1].slot);
    publish_many(fixture, 3);
    fixture->entries[11].shown_altered = true;
    order_erasure(fixture, 6, 1);
    expect_wrong(fixture, 11, CASEBUS_DAMAGED);
}

static void test_verify_tells_missing_content_before_a_later_fault(void **state)
{
    struct hub_fixture *fixture = *state;
    empty_body(fixture, 6);
    publish_many(fixture, 3);
    fixture->entries[11].shown_altered = true;
    expect_wrong(fixture, 6, CASEBUS_DAMAGED);
}

/* ---- state ---- */

static int verify_state_of(struct hub_fixture *fixture, struct verify_result *result)
{
    struct verify_options options = options_of(fixture, fixture->vault);
    options.state = fixture->state;
    int answer = verify_all_ways(options, result);
    char path[PATH_MAX];
    folder_path(path, fixture->dir, "verify.tmp");
    assert_int_not_equal(access(path, F_OK), 0); /* nothing is left */
    return answer;
}

static void state_put(struct hub_fixture *fixture, enum exchange_table table, const char *key,
                      const char *value)
{
    struct casebus_error err;
    struct exchange_store store = state_store(fixture->state);
    must(store.put(store.self, table, bytes_of_text(key), bytes_of_text(value), &err), &err);
    assert_int_equal(state_freeze(fixture->state, fixture->n_entries), 1);
    must(state_write(fixture->state, NULL, &err), &err);
    state_rest(fixture->state);
}

static void test_state_is_what_the_ledger_amounts_to(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    hub_fixture_apply(fixture);
    assert_int_equal(verify_state_of(fixture, &result), VERIFY_HOLDS);
    assert_int_equal(result.state, STATE_EQUAL);
    assert_int_equal(result.state_applied, fixture->n_entries);
    assert_true(result.state_rows > 20);
}

static void test_state_may_be_behind_the_ledger(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    hub_fixture_write(fixture);
    hub_fixture_apply(fixture);
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    assert_int_equal(verify_state_of(fixture, &result), VERIFY_HOLDS);
    assert_int_equal(result.state_applied, 10);
}

static void expect_state_differs(struct hub_fixture *fixture, const char *table)
{
    struct verify_result result;
    assert_int_equal(verify_state_of(fixture, &result), VERIFY_WRONG);
    assert_int_equal(result.state, STATE_DIFFERS);
    assert_false(result.has_position);
    assert_non_null(strstr(result.fault.text, table));
}

static void test_verify_finds_an_altered_row_of_the_state(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_write(fixture);
    hub_fixture_apply(fixture);
    state_put(fixture, TABLE_NODES, "desk", "altered");
    expect_state_differs(fixture, "'nodes'");
}

static void test_verify_finds_a_row_that_comes_from_no_entry(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_write(fixture);
    hub_fixture_apply(fixture);
    state_put(fixture, TABLE_RECEIVERS, "nobody", "made up");
    expect_state_differs(fixture, "'receivers'");
}

static void test_what_a_killed_run_left_is_removed(void **state)
{
    struct hub_fixture *fixture = *state;
    struct casebus_error err;
    struct verify_result result;
    char path[PATH_MAX];
    hub_fixture_write(fixture);
    hub_fixture_apply(fixture);
    folder_path(path, fixture->dir, "verify.tmp/state");
    must(dir_make(path, &err), &err);
    folder_path(path, fixture->dir, "verify.tmp/state/data.mdb");
    must(file_write(path, bytes_of_text("half of a state"), 0600, &err), &err);
    assert_int_equal(verify_state_of(fixture, &result), VERIFY_HOLDS);
}

/* ---- going on ---- */

/* What of acts is kept between two runs. */
static void with_acts(struct hub_fixture *fixture)
{
    hub_fixture_invite(fixture, "office", granted(), invitation);
    hub_fixture_enrol_invited(fixture, "office", granted(), invitation);
    hub_fixture_standing(fixture, "office", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED);
}

struct resumed {
    struct hub_fixture *fixture;
    struct verify_options options;
    char path[PATH_MAX];
};

static void resumed_init(struct resumed *resumed, struct hub_fixture *fixture)
{
    resumed->fixture = fixture;
    resumed->options = options_of(fixture, fixture->vault);
    folder_path(resumed->path, fixture->dir, "verify.resume");
    resumed->options.resume_path = resumed->path;
    resumed->options.resume = true;
    resumed->options.resume_key = bytes_of(fixture->keys.content, KEY_SIZE);
    resumed->options.chunk_level = 2;
    resumed->options.jobs = 2;
}

static void test_a_later_run_reads_only_what_is_new(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result first, second, whole;
    struct resumed resumed;
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 20, NULL, true);
    resumed_init(&resumed, fixture);
    assert_int_equal(verify_once(&resumed.options, &first), VERIFY_HOLDS);
    assert_true(first.resume_saved);
    assert_int_equal(first.resumed_from, 0);
    publish_many(fixture, 11);
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 43, NULL, true);
    assert_int_equal(verify_once(&resumed.options, &second), VERIFY_HOLDS);
    assert_int_equal(second.not_resumed.code, CASEBUS_OK);
    assert_int_equal(second.resumed_from, 28); /* whole chunks of four below 30 */
    expect_holds(fixture, &whole);
    expect_same(&second, &whole);
}

static void test_resuming_is_bound_to_the_root(void **state)
{
    struct hub_fixture *fixture = *state, *other = malloc(sizeof *other);
    struct verify_result result;
    struct resumed resumed;
    struct casebus_error err;
    struct buffer file;
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    resumed_init(&resumed, fixture);
    assert_int_equal(verify_once(&resumed.options, &result), VERIFY_HOLDS);
    must(file_read(resumed.path, 1 << 20, &file, &err), &err);

    hub_fixture_init(other);
    hub_fixture_story(other);
    publish_many(other, 10);
    hub_fixture_write(other);
    struct bytes key = resumed.options.resume_key; /* even when whoever wrote it is believed */
    resumed_init(&resumed, other);
    resumed.options.resume_key = key;
    must(file_write(resumed.path, bytes_of(file.data, file.size), 0600, &err), &err);
    assert_int_equal(verify_once(&resumed.options, &result), VERIFY_HOLDS);
    assert_int_equal(result.not_resumed.code, CASEBUS_CONSISTENCY);
    assert_int_equal(result.resumed_from, 0);
    assert_int_equal(result.entries, other->n_entries);
    hub_fixture_deinit(other);
    free(other);
    buffer_deinit(&file);
}

static void expect_begun_again(const struct resumed *resumed, const struct verify_result *whole,
                               struct bytes content)
{
    struct casebus_error err;
    struct verify_result result;
    must(file_write(resumed->path, content, 0600, &err), &err);
    assert_int_equal(verify_once(&resumed->options, &result), VERIFY_HOLDS);
    assert_int_not_equal(result.not_resumed.code, CASEBUS_OK);
    assert_int_equal(result.resumed_from, 0);
    expect_same(&result, whole);
}

static void test_a_damaged_resume_file_is_as_good_as_none(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result whole;
    struct resumed resumed;
    struct casebus_error err;
    struct buffer file;
    publish_many(fixture, 5);
    with_acts(fixture);
    publish_many(fixture, 5);
    hub_fixture_write(fixture);
    resumed_init(&resumed, fixture);
    assert_int_equal(verify_once(&resumed.options, &whole), VERIFY_HOLDS);
    must(file_read(resumed.path, 1 << 20, &file, &err), &err);
    for (size_t i = 0; i < file.size; i += 17) {
        file.data[i] ^= 0x20;
        expect_begun_again(&resumed, &whole, bytes_of(file.data, file.size));
        file.data[i] ^= 0x20;
    }
    for (size_t size = 0; size < file.size; size += 31)
        expect_begun_again(&resumed, &whole, bytes_of(file.data, size));
    resumed.options.resume_key = bytes_of_text("of another hub");
    expect_begun_again(&resumed, &whole, bytes_of(file.data, file.size));
    buffer_deinit(&file);
}

/* Whoever has the key may write anything: it must do no harm to the process. */
static void test_a_hostile_resume_file_is_bounded(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result result;
    struct resumed resumed;
    struct casebus_error err;
    struct buffer file;
    publish_many(fixture, 10);
    hub_fixture_write(fixture);
    resumed_init(&resumed, fixture);
    assert_int_equal(verify_once(&resumed.options, &result), VERIFY_HOLDS);
    must(file_read(resumed.path, 1 << 20, &file, &err), &err);
    for (size_t i = 0; i + DIGEST_SIZE < file.size; i += 5) {
        struct bytes content = bytes_of(file.data, file.size - DIGEST_SIZE);
        uint8_t kept = file.data[i];
        file.data[i] ^= 0xff;
        crypter_mac(fixture->crypter, resumed.options.resume_key, &content, 1, file.data + content.size);
        must(file_write(resumed.path, bytes_of(file.data, file.size), 0600, &err), &err);
        verify_once(&resumed.options, &result);
        file.data[i] = kept;
    }
    buffer_deinit(&file);
}

/* A ledger with some of all, and a lie or none. */
static void random_ledger(struct hub_fixture *fixture)
{
    size_t seal;
    with_acts(fixture);
    publish_many(fixture, 10 + rand() % 20);
    refuse_one(fixture, &seal);
    hub_fixture_refused(fixture, seal, 0, rand() % 4 ? "CB-CLASSIFIED" : "CB-TEXT");
    hub_fixture_quarantine(fixture, "desk", "bytes");
    size_t order = rand() % 2 ? order_erasure(fixture, 6, 1) : 0;
    if (order) {
        empty_body(fixture, 6);
        erase_slot(fixture, fixture->cases[1].slot);
    }
    publish_many(fixture, rand() % 20);
    if (order)
        say_done(fixture, order);
    struct fixture_entry *entry = &fixture->entries[rand() % (int)fixture->n_entries];
    switch (rand() % 6) {
    case 0:
        entry->shown_altered = true;
        break;
    case 1:
        entry->top_altered = true;
        break;
    case 2:
        entry->body = bytes_of(NULL, 0);
        break;
    case 3:
        entry->body = fixture->entries[4].body;
        break;
    default:
        break;
    }
    hub_fixture_write(fixture);
    for (uint64_t size = 1; size <= fixture->n_entries; size += 7)
        hub_fixture_publish(fixture, size, NULL, rand() % 40 != 0);
}

static void test_interrupted_runs_come_to_the_same_verdict(void **state)
{
    struct hub_fixture *fixture = *state;
    struct verify_result whole, result;
    struct resumed resumed;
    random_ledger(fixture);
    int verdict = verify_all_ways(options_of(fixture, fixture->vault), &whole);
    for (int round = 0; round < 8; round++) {
        int answer = VERIFY_STOPPED;
        uint64_t reached = 0;
        resumed_init(&resumed, fixture);
        unlink(resumed.path);
        resumed.options.chunk_level = 1 + (unsigned)rand() % 3;
        for (int runs = 0; answer == VERIFY_STOPPED; runs++) {
            resumed.options.jobs = 1 + (unsigned)rand() % 4;
            resumed.options.stop_at = reached + 1 + (uint64_t)rand() % 20;
            resumed.options.resume = true;
            answer = verify_once(&resumed.options, &result);
            assert_int_equal(result.not_resumed.code, CASEBUS_OK);
            assert_int_equal(result.resume_fault.code, CASEBUS_OK);
            reached = resumed.options.stop_at;
            assert_true(runs < 200);
        }
        assert_int_equal(answer, verdict);
        expect_same(&result, &whole);
    }
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const char *given = getenv("CASEBUS_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_unix_us();
    printf("seed %u (CASEBUS_SEED)\n", seed);
    srand(seed);
    const struct CMUnitTest tests[] = {
        claim(test_verify_accepts_a_true_ledger),
        claim(test_verify_without_bodies_needs_no_vault),
        claim(test_verify_accepts_many_batches),
        claim(test_verify_finds_an_altered_leaf),
        claim(test_verify_finds_an_altered_tree_hash),
        claim(test_verify_finds_a_checkpoint_of_other_entries),
        claim(test_verify_finds_a_checkpoint_by_another_key),
        claim(test_verify_finds_another_authority),
        claim(test_verify_follows_the_authority_forwards_and_backwards),
        claim(test_verify_takes_no_certificate_of_a_former_authority),
        claim(test_verify_finds_an_authority_that_did_not_sign),
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
        claim(test_verify_finds_content_where_none_belongs),
        claim(test_verify_finds_a_wrong_hash_above_a_chunk),
        claim(test_verify_tells_the_first_of_many_lies),
        claim(test_tree_alone_is_verified_without_understanding_it),
        claim(test_tree_alone_finds_an_altered_leaf),
        claim(test_verify_finds_an_entry_of_another_suite),
        claim(test_verify_finds_a_batch_under_an_expired_certificate),
        claim(test_verify_finds_a_key_that_the_one_before_did_not_sign),
        claim(test_verify_accepts_a_key_that_the_one_before_signed),
        claim(test_verify_tells_of_keys_for_which_no_key_before_them_stands_good),
        claim(test_verify_accepts_a_node_that_was_invited),
        claim(test_verify_finds_an_invitation_that_nobody_gave),
        claim(test_verify_finds_a_node_that_came_by_the_invitation_of_another),
        claim(test_verify_finds_more_rights_than_were_offered),
        claim(test_verify_finds_an_invitation_that_is_used_twice),
        claim(test_verify_finds_an_invitation_that_had_expired),
        claim(test_verify_accepts_what_was_refused_for_the_reason_in_its_seal),
        claim(test_verify_finds_something_refused_for_another_reason_than_its_seal_says),
        claim(test_verify_follows_the_ledger_into_the_next_generation),
        claim(test_verify_opens_each_content_under_the_origin_of_its_time),
        claim(test_verify_follows_a_generation_whose_end_was_lost),
        claim(test_verify_finds_a_generation_that_hides_the_one_before),
        claim(test_verify_finds_a_generation_behind_another_hub),
        claim(test_verify_finds_a_batch_for_the_generation_before),
        claim(test_verify_accepts_what_was_ordered_to_be_destroyed),
        claim(test_verify_accepts_an_erasure_that_is_under_way),
        claim(test_verify_finds_more_missing_than_was_ordered),
        claim(test_verify_finds_content_that_was_told_to_be_destroyed),
        claim(test_verify_finds_a_key_that_was_told_to_be_destroyed),
        claim(test_verify_finds_an_erasure_done_that_nobody_ordered),
        claim(test_verify_finds_an_order_about_the_future),
        claim(test_verify_looks_for_orders_behind_a_fault),
        claim(test_verify_tells_missing_content_before_a_later_fault),
        claim(test_state_is_what_the_ledger_amounts_to),
        claim(test_state_may_be_behind_the_ledger),
        claim(test_verify_finds_an_altered_row_of_the_state),
        claim(test_verify_finds_a_row_that_comes_from_no_entry),
        claim(test_what_a_killed_run_left_is_removed),
        claim(test_a_later_run_reads_only_what_is_new),
        claim(test_resuming_is_bound_to_the_root),
        claim(test_a_damaged_resume_file_is_as_good_as_none),
        claim(test_a_hostile_resume_file_is_bounded),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
        claim(test_interrupted_runs_come_to_the_same_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
