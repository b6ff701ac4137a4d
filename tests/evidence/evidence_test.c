/* What is proved of a story, and what is refused: for each thing that a file claims one forgery, with the
 * words that name it. Two ways to forge: a ledger that tells a lie and signs it, and a file of an honest
 * ledger that is changed on its way and written again as the format asks. */
#include "proto/evidence/keys.h"
#include "tests/evidence/evidence_fixture.h"

#define WITNESS "city.example"

struct story {
    struct hub_fixture hub;
    struct signing_key *witness, *stranger;
    /* as it was told, to begin again */
    struct fixture_entry told[FIXTURE_ENTRIES];
    struct fixture_node nodes[FIXTURE_NODES];
    size_t n_told;
    int64_t time_us;
    char note[NOTE_MAX]; /* a test's */
    const char *origin;  /* of the checkpoint and its trusted log */
    bool witnessed;      /* the witness is asked for */
    struct evidence_keys keys;
    struct evidence_report report;
    struct casebus_error err;
};

static int story_tell(void **state)
{
    struct story *story = calloc(1, sizeof *story);
    struct casebus_error err;
    assert_non_null(story);
    hub_fixture_init(&story->hub);
    evidence_fixture_tell(&story->hub);
    must(signing_key_generate(&story->witness, suite_get(SUITE_INTL), &err), &err);
    must(signing_key_generate(&story->stranger, suite_get(SUITE_INTL), &err), &err);
    memcpy(story->told, story->hub.entries, sizeof story->told);
    memcpy(story->nodes, story->hub.nodes, sizeof story->nodes);
    story->n_told = story->hub.n_entries;
    story->time_us = story->hub.hub_time_us;
    *state = story;
    return 0;
}

static int story_end(void **state)
{
    struct story *story = *state;
    signing_key_free(story->witness);
    signing_key_free(story->stranger);
    hub_fixture_deinit(&story->hub);
    free(story);
    return 0;
}

static int story_again(void **state)
{
    struct story *story = *state;
    memcpy(story->hub.entries, story->told, sizeof story->told);
    memcpy(story->hub.nodes, story->nodes, sizeof story->nodes);
    story->hub.n_entries = story->n_told;
    story->hub.hub_time_us = story->time_us;
    story->origin = FIXTURE_ORIGIN;
    story->witnessed = false;
    return 0;
}

static int story_rest(void **state)
{
    struct story *story = *state;
    evidence_report_deinit(&story->report);
    evidence_keys_deinit(&story->keys);
    story->keys = (struct evidence_keys){0};
    return 0;
}

/* For tests that change the hub's keys. */
static int story_alone(void **state)
{
    return story_tell(state) || story_again(state);
}

static int story_alone_end(void **state)
{
    return story_rest(state) || story_end(state);
}

/* ---- files ---- */

/* Under a checkpoint of the log. */
static struct bytes file_make(struct story *story)
{
    evidence_fixture_checkpoint(&story->hub, story->origin, story->hub.keys.log, story->note);
    return evidence_fixture_file(&story->hub, story->note, SHOWN_OPEN);
}

static Casebus__V1__Evidence *file_open(struct story *story)
{
    Casebus__V1__Evidence *evidence = evidence_decode(file_make(story), &story->hub.arena, &story->err);
    assert_non_null(evidence);
    return evidence;
}

static struct bytes file_close(struct story *story, const Casebus__V1__Evidence *evidence)
{
    struct bytes message = codec_pack(evidence, &story->hub.arena);
    size_t magic = strlen(EVIDENCE_MAGIC);
    uint8_t *file = arena_alloc(&story->hub.arena, magic + message.size);
    assert_non_null(file);
    memcpy(file, EVIDENCE_MAGIC, magic);
    memcpy(file + magic, message.data, message.size);
    return bytes_of(file, magic + message.size);
}

static Casebus__V1__EvidenceEvent *claim_of(const Casebus__V1__Evidence *evidence, uint64_t position)
{
    for (size_t i = 0; i < evidence->n_event; i++)
        if (evidence->leaf[evidence->event[i]->leaf]->position == position)
            return evidence->event[i];
    fail_msg("no event %llu", (unsigned long long)position);
    return NULL;
}

/* ---- verdicts ---- */

static int judge(struct story *story, struct bytes file)
{
    struct casebus_error err;
    char vkey[VKEY_MAX];
    const struct hub_keys *keys = &story->hub.keys;
    story_rest((void **)&story);
    assert_true(note_vkey_format(vkey, sizeof vkey, story->origin, signing_key_public(keys->log)) > 0);
    must(evidence_keys_add_hub(&story->keys, bytes_of(keys->authority, keys->authority_size), vkey, &err),
         &err);
    if (story->witnessed) {
        assert_true(note_witness_vkey_format(vkey, sizeof vkey, WITNESS, signing_key_public(story->witness)) >
                    0);
        must(evidence_keys_add_witness(&story->keys, vkey, &err), &err);
        story->keys.trust.quorum = 1;
    }
    return evidence_verify(file, &story->keys.trust, &story->report, &story->err);
}

static void proved(struct story *story, struct bytes file)
{
    if (judge(story, file))
        fail_msg("%s: %s", casebus_code_text(story->err.code), story->err.text);
    assert_true(story->report.n_facts > 0);
}

static void refused(struct story *story, struct bytes file, enum casebus_code code, const char *words)
{
    assert_int_equal(judge(story, file), -1);
    if (story->err.code != code || !strstr(story->err.text, words))
        fail_msg("%s: %s\nand not %s: %s", casebus_code_text(story->err.code), story->err.text,
                 casebus_code_text(code), words);
    assert_int_equal(story->report.n_facts + story->report.n_gaps, 0);
}

static size_t facts(const struct story *story, enum evidence_fact_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < story->report.n_facts; i++)
        n += story->report.facts[i].kind == kind;
    return n;
}

/* The bureau enrolled again under a new key. */
static size_t enrol_again(struct story *story, struct signing_key **before)
{
    Casebus__V1__Grants publish = CASEBUS__V1__GRANTS__INIT;
    *before = hub_fixture_rekey(&story->hub, "bureau");
    return hub_fixture_enrol(&story->hub, "bureau", &publish);
}

static size_t gaps(const struct story *story, enum evidence_gap_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < story->report.n_gaps; i++)
        n += story->report.gaps[i].kind == kind;
    return n;
}

/* ---- another authority ---- */

static size_t enrol_late(struct story *story)
{
    const Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    return hub_fixture_enrol(&story->hub, "late", &grants);
}

static void trust_only(struct story *story, const uint8_t *authority, size_t size)
{
    memcpy(story->hub.keys.authority, authority, size);
    story->hub.keys.authority_size = size;
}

static void test_a_file_is_proved_under_the_former_authority_and_under_the_newest(void **state)
{
    struct story *story = *state;
    uint8_t first[CERTIFICATE_MAX];
    size_t size = story->hub.keys.authority_size;
    memcpy(first, story->hub.keys.authority, size);
    hub_fixture_authority(&story->hub, true);
    enrol_late(story);
    struct bytes file = file_make(story);
    proved(story, file);
    assert_int_equal(facts(story, FACT_ENROLLED), 5);
    trust_only(story, first, size);
    proved(story, file);
    assert_int_equal(facts(story, FACT_ENROLLED), 5);
    first[40] ^= 1;
    trust_only(story, first, size);
    refused(story, file, CASEBUS_HUB_IDENTITY, "not trusted");
}

static void test_a_former_authority_certifies_no_more(void **state)
{
    struct story *story = *state;
    hub_fixture_authority(&story->hub, false);
    enrol_late(story);
    refused(story, file_make(story), CASEBUS_CERTIFICATE, "");
}

static void spoilt(struct story *story, size_t position, bool successor)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&story->hub, position);
    Casebus__V1__HubKeysChanged *changed = entry->act->hub_keys_changed;
    (successor ? changed->authority_signature : changed->signature).data[9] ^= 1;
    hub_fixture_put(&story->hub, position, entry);
    refused(story, file_make(story), CASEBUS_SIGNATURE, "authority");
}

static void test_both_authorities_have_to_sign(void **state)
{
    struct story *story = *state;
    spoilt(story, hub_fixture_authority(&story->hub, true), true);
}

static void test_nobody_names_an_authority_but_the_one_before(void **state)
{
    struct story *story = *state;
    spoilt(story, hub_fixture_authority(&story->hub, true), false);
}

/* ---- the truth ---- */

static void test_all_that_the_story_tells_is_proved(void **state)
{
    struct story *story = *state;
    proved(story, file_make(story));
    assert_string_equal(story->report.origin, FIXTURE_ORIGIN);
    assert_int_equal(facts(story, FACT_CHECKPOINT), 1);
    assert_int_equal(facts(story, FACT_OPENED), 1);
    assert_int_equal(facts(story, FACT_ENROLLED), 4);
    assert_int_equal(facts(story, FACT_SEALED), 3);
    assert_int_equal(facts(story, FACT_EVENT), 5);
    assert_int_equal(facts(story, FACT_RECEIVER), 8);
    assert_int_equal(facts(story, FACT_HEADER), 5);
    assert_int_equal(facts(story, FACT_PART), 2);
    assert_int_equal(facts(story, FACT_OUTCOME), 2);
    assert_int_equal(facts(story, FACT_ACT), 3);
    assert_int_equal(facts(story, FACT_CONFIRMED), 3);
    assert_true(facts(story, FACT_RECEIVED) >= 7);
    assert_int_equal(facts(story, FACT_PASSED), 7);
}

static void test_what_is_not_proved_is_told(void **state)
{
    struct story *story = *state;
    proved(story, file_make(story));
    assert_int_equal(gaps(story, GAP_UNWITNESSED), 1);
    assert_int_equal(gaps(story, GAP_COMPLETE), 1);
    assert_int_equal(gaps(story, GAP_TRUE), 1);
    assert_int_equal(gaps(story, GAP_KEY_BEFORE), 4);
    assert_int_equal(gaps(story, GAP_RECEIPT), 1);
    assert_int_equal(gaps(story, GAP_EXACT) + gaps(story, GAP_HEADER) + gaps(story, GAP_PART), 0);
}

/* ---- the tree ---- */

static void test_a_leaf_that_is_changed_is_not_in_the_tree(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->leaf[12]->entry.data[evidence->leaf[12]->entry.len - 1] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_INCLUSION,
            "entry 12 is not in the tree of the checkpoint");
}

static void test_a_leaf_at_another_place_is_not_in_the_tree(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    ProtobufCBinaryData entry = evidence->leaf[6]->entry;
    evidence->leaf[6]->entry = evidence->leaf[7]->entry;
    evidence->leaf[7]->entry = entry;
    refused(story, file_close(story, evidence), CASEBUS_INCLUSION,
            "entry 6 is not in the tree of the checkpoint");
}

static void test_a_path_that_is_changed_leads_nowhere(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->leaf[3]->inclusion[1].data[0] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_INCLUSION,
            "entry 3 is not in the tree of the checkpoint");
    evidence = file_open(story);
    evidence->leaf[3]->n_inclusion--;
    refused(story, file_close(story, evidence), CASEBUS_INCLUSION,
            "entry 3 is not in the tree of the checkpoint");
}

/* ---- the checkpoint, and who saw it ---- */

static void test_a_checkpoint_of_another_size_is_not_signed(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    char *size = strstr(story->note, "\n16\n");
    assert_non_null(size);
    size[2] = '7';
    evidence->checkpoint = data_of(bytes_of_text(story->note));
    refused(story, file_close(story, evidence), CASEBUS_SIGNATURE, "the evidence's checkpoint");
}

static void test_a_checkpoint_by_a_stranger_is_not_the_logs(void **state)
{
    struct story *story = *state;
    evidence_fixture_checkpoint(&story->hub, FIXTURE_ORIGIN, story->stranger, story->note);
    refused(story, evidence_fixture_file(&story->hub, story->note, SHOWN_OPEN), CASEBUS_SIGNATURE,
            "the evidence's checkpoint");
    evidence_fixture_checkpoint(&story->hub, "zj.example/exchange/1", story->stranger, story->note);
    refused(story, evidence_fixture_file(&story->hub, story->note, SHOWN_OPEN), CASEBUS_HUB_IDENTITY,
            "the hub 'zj.example/exchange/1', whose log's key is not trusted");
}

/* The file under a checkpoint that @key cosigned as @claimed. */
static struct bytes cosigned(struct story *story, const struct signing_key *claimed,
                             const struct signing_key *key, uint64_t time_s)
{
    story->witnessed = true;
    evidence_fixture_checkpoint(&story->hub, story->origin, story->hub.keys.log, story->note);
    evidence_fixture_cosign(story->note, WITNESS, signing_key_public(claimed), key, time_s);
    return evidence_fixture_file(&story->hub, story->note, SHOWN_SEALED);
}

static void test_a_witness_is_told_with_its_time(void **state)
{
    struct story *story = *state;
    proved(story, cosigned(story, story->witness, story->witness, 1790000000));
    assert_int_equal(facts(story, FACT_COSIGNED), 1);
    assert_int_equal(gaps(story, GAP_UNWITNESSED), 0);
    assert_int_equal(story->report.facts[1].time_us, INT64_C(1790000000000000));
    proved(story, cosigned(story, story->witness, story->witness, COSIGNED_TIME_MAX));
}

static void test_a_cosignature_by_a_key_outside_the_policy_does_not_count(void **state)
{
    struct story *story = *state;
    refused(story, cosigned(story, story->stranger, story->stranger, 1790000000), CASEBUS_SIGNATURE,
            "0 of the witnesses cosigned the checkpoint; 1 have to");
}

static void test_a_cosignature_that_only_claims_the_key_does_not_hold(void **state)
{
    struct story *story = *state;
    refused(story, cosigned(story, story->witness, story->stranger, 1790000000), CASEBUS_SIGNATURE,
            "the note's signature by '" WITNESS "' does not hold");
}

static void test_a_cosignature_of_a_time_that_is_none_does_not_hold(void **state)
{
    static const uint64_t times[] = {COSIGNED_TIME_MAX + 1, INT64_MAX / 1000000 + 1, INT64_MAX, UINT64_MAX};
    struct story *story = *state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        refused(story, cosigned(story, story->witness, story->witness, times[i]), CASEBUS_SIGNATURE,
                "the note's signature by '" WITNESS "' does not hold");
}

/* ---- seals and their chain to what they are about ---- */

static void test_a_seal_that_its_node_did_not_sign_is_refused(void **state)
{
    struct story *story = *state;
    evidence_fixture_reseal(&story->hub, 5, NULL, "desk");
    refused(story, file_make(story), CASEBUS_SIGNATURE,
            "the signature of node 'bureau' in entry 5 does not hold");
}

static void one_member_fewer(Casebus__V1__BatchStatement *statement)
{
    statement->count--;
}

static void test_an_event_that_the_seal_does_not_count_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence_fixture_reseal(&story->hub, 5, one_member_fewer, "bureau");
    refused(story, file_make(story), CASEBUS_INCLUSION, "is not what node 'bureau' signed in entry 5");
    claim_of(evidence, 6)->batch_path[0].data[0] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_INCLUSION,
            "event 1 is not what node 'bureau' signed in entry 5");
}

static void test_an_event_away_from_its_seal_is_refused(void **state)
{
    struct story *story = *state;
    struct bytes leaf = story->hub.entries[6].leaf;
    struct hub_fixture *hub = &story->hub;
    Casebus__V1__LedgerEntry *first = hub_fixture_edit(hub, 6), *second = hub_fixture_edit(hub, 7);
    int64_t time = first->hub_time_us;
    first->hub_time_us = second->hub_time_us;
    second->hub_time_us = time;
    hub_fixture_put(hub, 6, second);
    hub_fixture_put(hub, 7, first);
    assert_false(bytes_equal(leaf, hub->entries[6].leaf));
    evidence_fixture_checkpoint(hub, FIXTURE_ORIGIN, hub->keys.log, story->note);
    refused(story, evidence_fixture_file(hub, story->note, SHOWN_SEALED), CASEBUS_BAD_FIELD,
            "does not stand where the seal at 5 has its place");
}

/* Entry 4 shuts the sender out instead of enrolling the registry: what it seals from here on is worth
 * nothing.
 */
static struct bytes file_with_standing(struct story *story, Casebus__V1__NodeStatus status)
{
    struct hub_fixture *hub = &story->hub;
    static uint8_t subject[DIGEST_SIZE];
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(hub, 4);
    Casebus__V1__NodeStatusChanged changed = CASEBUS__V1__NODE_STATUS_CHANGED__INIT;
    changed.node = (char *)(uintptr_t) "desk";
    changed.status = status;
    changed.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    entry->act->act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED;
    entry->act->node_status_changed = &changed;
    hub_fixture_put(hub, 4, entry);
    evidence_fixture_checkpoint(hub, FIXTURE_ORIGIN, hub->keys.log, story->note);
    return evidence_fixture_file(hub, story->note, SHOWN_SEALED);
}

static void test_a_seal_behind_the_revocation_of_its_key_is_refused(void **state)
{
    struct story *story = *state;
    refused(story, file_with_standing(story, CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED), CASEBUS_REVOKED,
            "the keys of node 'desk' were revoked before entry 10");
    story_again(state);
    refused(story, file_with_standing(story, CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED),
            CASEBUS_SUSPENDED, "node 'desk' was suspended before entry 10");
}

/* Nobody but the operator speaks for the next key: not even the key before, whose word is worth nothing. */
static void test_a_key_behind_a_revocation_is_told_to_be_vouched_for(void **state)
{
    struct story *story = *state;
    struct signing_key *before;
    hub_fixture_standing(&story->hub, "bureau", CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED);
    enrol_again(story, &before);
    proved(story, file_make(story));
    assert_int_equal(gaps(story, GAP_VOUCHED), 1);
    assert_int_equal(gaps(story, GAP_KEY_BEFORE), 4);
    signing_key_free(hub_fixture_node(&story->hub, "bureau")->key);
    hub_fixture_node(&story->hub, "bureau")->key = before;
}

static void test_what_was_refused_for_another_reason_than_its_seal_says_is_refused(void **state)
{
    struct story *story = *state;
    const struct fixture_event event = {.record = "d8", .number = "2026-2", .refused = "CB-RECORD-OWNER"};
    size_t seal = hub_fixture_batch(&story->hub, "desk", &event, 1);
    size_t kept = hub_fixture_refused(&story->hub, seal, 0, "CB-RECORD-OWNER");
    proved(story, file_make(story));
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&story->hub, kept);
    entry->act->quarantined->code = (char *)(uintptr_t) "CB-TEXT";
    hub_fixture_put(&story->hub, kept, entry);
    refused(story, file_make(story), CASEBUS_BAD_FIELD,
            "entry 17 says that an event was refused with CB-TEXT; its seal at 16 says with CB-RECORD-OWNER");
}

static void test_an_invitation_of_another_lets_nobody_in(void **state)
{
    struct story *story = *state;
    static const uint8_t invitation[INVITATION_SIZE] = {1};
    const Casebus__V1__Grants none = CASEBUS__V1__GRANTS__INIT;
    hub_fixture_invite(&story->hub, "court", &none, invitation);
    hub_fixture_enrol_invited(&story->hub, "court", &none, invitation);
    proved(story, file_make(story));
    hub_fixture_enrol_invited(&story->hub, "county", &none, invitation);
    refused(story, file_make(story), CASEBUS_NOT_ALLOWED,
            "node 'county' came by the invitation at entry 16, which was for another node");
    for (size_t i = 4; i < story->hub.n_nodes; i++)
        signing_key_free(story->hub.nodes[i].key);
    story->hub.n_nodes = 4;
}

static void test_an_event_without_its_seal_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->n_event--;
    refused(story, file_close(story, evidence), CASEBUS_BAD_FIELD,
            "the evidence holds event 15 without its seal");
}

static void test_an_outcome_that_the_seal_does_not_tell_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->outcome[0]->index = 1;
    refused(story, file_close(story, evidence), CASEBUS_BAD_FIELD,
            "the seal at 10 has no outcome of member 1");
}

/* ---- who may sign ---- */

static void test_a_key_is_followed_only_by_one_that_it_signed_for(void **state)
{
    struct story *story = *state;
    struct signing_key *before;
    uint8_t signature[SIGNATURE_SIZE];
    size_t position = enrol_again(story, &before);
    refused(story, file_make(story), CASEBUS_SIGNATURE,
            "entry 16 gives node 'bureau' a key that its key before did not sign for");
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&story->hub, position);
    Casebus__V1__NodeEnrolled *enrolled = entry->act->node_enrolled;
    assert_int_equal(signing_key_sign(before, bytes_of(enrolled->statement.data, enrolled->statement.len),
                                      signature, NULL),
                     0);
    enrolled->previous_signature = data_of(bytes_of(signature, sizeof signature));
    hub_fixture_put(&story->hub, position, entry);
    proved(story, file_make(story));
    assert_int_equal(facts(story, FACT_ENROLLED), 5);
    signing_key_free(hub_fixture_node(&story->hub, "bureau")->key);
    hub_fixture_node(&story->hub, "bureau")->key = before;
}

static void test_a_signature_without_its_enrolment_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&story->hub, 1);
    entry->act->node_enrolled->signature.data[0] ^= 1;
    hub_fixture_put(&story->hub, 1, entry);
    refused(story, file_make(story), CASEBUS_SIGNATURE, "node 'bureau' did not sign its enrolment");
}

/* ---- what was opened ---- */

static void test_a_header_of_another_event_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    Casebus__V1__EvidenceEvent *one = claim_of(evidence, 6), *other = claim_of(evidence, 8);
    one->header = other->header;
    one->part = other->part;
    refused(story, file_close(story, evidence), CASEBUS_COMMITMENT,
            "the header shown is not the one of event 6");
}

static void test_a_part_that_was_not_committed_to_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    Casebus__V1__EvidencePart *part = claim_of(evidence, 6)->part[0];
    part->content.data[part->content.len - 1] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_COMMITMENT,
            "part 0 of event 6 is not what its header commits to");
    part->content.data[part->content.len - 1] ^= 1;
    part->salt.data[0] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_COMMITMENT,
            "part 0 of event 6 is not what its header commits to");
}

static void test_a_part_that_is_kept_quiet_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    claim_of(evidence, 6)->n_part = 0;
    refused(story, file_close(story, evidence), CASEBUS_COMMITMENT,
            "event 6 has 1 parts; the evidence speaks of 0");
}

/* ---- what receivers signed for ---- */

static void test_a_confirmation_that_its_node_did_not_sign_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&story->hub, 9);
    entry->act->deliveries_confirmed->confirm[0]->signature.data[3] ^= 1;
    hub_fixture_put(&story->hub, 9, entry);
    refused(story, file_make(story), CASEBUS_SIGNATURE,
            "the signature of node 'office' in entry 9 does not hold");
}

static void test_deliveries_that_were_not_signed_for_are_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->confirm[0]->link[0]->event_hash.data[0] ^= 1;
    refused(story, file_close(story, evidence), CASEBUS_BAD_FIELD,
            "the deliveries shown do not lead to what node 'office' signed");
    evidence = file_open(story);
    evidence->confirm[1]->n_link--;
    refused(story, file_close(story, evidence), CASEBUS_BAD_FIELD,
            "the deliveries shown do not lead to what node 'office' signed");
}

static void test_a_confirmation_that_is_not_there_is_refused(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->confirm[0]->index = 1;
    refused(story, file_close(story, evidence), CASEBUS_BAD_FIELD, "entry 9 holds no confirmation 1");
}

/* ---- generations ---- */

/* The next generation, with something in it that was signed for the one before. */
static size_t open_next(struct story *story, const char *previous)
{
    const struct fixture_event event = {
        .record = "g", .number = "2026-3", .action = "续办", .receivers = {"office"}};
    size_t position = evidence_fixture_open(&story->hub, NEXT_ORIGIN, previous);
    hub_fixture_batch(&story->hub, "bureau", &event, 1);
    story->origin = NEXT_ORIGIN;
    return position;
}

static void test_generations_are_told_in_their_order(void **state)
{
    struct story *story = *state;
    open_next(story, FIXTURE_ORIGIN);
    proved(story, file_make(story));
    assert_int_equal(facts(story, FACT_OPENED), 2);
    assert_string_equal(story->report.origin, NEXT_ORIGIN);
}

static void test_a_forged_link_between_generations_is_refused(void **state)
{
    struct story *story = *state;
    open_next(story, "zj.example/exchange/1");
    refused(story, file_make(story), CASEBUS_HUB_IDENTITY,
            "entry 16 opens 'js.example/exchange/2', which does not follow 'js.example/exchange/1'");
    story_again(state);
    open_next(story, "");
    refused(story, file_make(story), CASEBUS_HUB_IDENTITY,
            "entry 16 opens 'js.example/exchange/2', which does not follow 'js.example/exchange/1'");
    story_again(state);
    evidence_fixture_open(&story->hub, "zj.example/exchange/2", FIXTURE_ORIGIN);
    story->origin = "zj.example/exchange/2";
    refused(story, file_make(story), CASEBUS_HUB_IDENTITY,
            "entry 16 opens 'zj.example/exchange/2', which does not follow 'js.example/exchange/1'");
}

static void test_a_confirmation_reaches_no_further_than_its_generation(void **state)
{
    static const char *const office[] = {"office"};
    struct story *story = *state;
    size_t opened = open_next(story, FIXTURE_ORIGIN);
    hub_fixture_confirm(&story->hub, office, 1, opened);
    proved(story, file_make(story));
    assert_int_equal(facts(story, FACT_CONFIRMED), 4);
    assert_int_equal(gaps(story, GAP_RECEIPT), 1);
    hub_fixture_confirm(&story->hub, office, 1, story->hub.n_entries);
    refused(story, file_make(story), CASEBUS_BAD_FIELD, "node 'office' confirms entry 18, which comes later");
}

/* ---- the bytes ---- */

static void test_a_file_is_written_in_one_way_only(void **state)
{
    struct story *story = *state;
    struct bytes file = file_make(story);
    uint8_t *longer = arena_alloc(&story->hub.arena, file.size + 3);
    memcpy(longer, file.data, file.size);
    memcpy(longer + file.size, "\x98\x06\x01", 3); /* a field that nobody knows */
    refused(story, bytes_of(longer, file.size + 3), CASEBUS_MALFORMED,
            "the evidence is not written in the one way that its format allows");
    refused(story, bytes_of(file.data + 1, file.size - 1), CASEBUS_MALFORMED, "it is no evidence file");
}

static void test_leaves_and_claims_stand_in_their_order(void **state)
{
    struct story *story = *state;
    Casebus__V1__Evidence *evidence = file_open(story);
    evidence->leaf[1] = evidence->leaf[0];
    refused(story, file_close(story, evidence), CASEBUS_MALFORMED,
            "the leaves of the evidence are not in order");
    evidence = file_open(story);
    evidence->confirm[2]->leaf = 99;
    refused(story, file_close(story, evidence), CASEBUS_MALFORMED,
            "the evidence speaks of a leaf that it does not hold");
}

#define ALONE(name)    cmocka_unit_test_setup_teardown(name, story_alone, story_alone_end)
#define OF_STORY(name) cmocka_unit_test_setup_teardown(name, story_again, story_rest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_STORY(test_all_that_the_story_tells_is_proved),
        ALONE(test_a_file_is_proved_under_the_former_authority_and_under_the_newest),
        ALONE(test_a_former_authority_certifies_no_more),
        ALONE(test_both_authorities_have_to_sign),
        ALONE(test_nobody_names_an_authority_but_the_one_before),
        OF_STORY(test_what_is_not_proved_is_told),
        OF_STORY(test_a_leaf_that_is_changed_is_not_in_the_tree),
        OF_STORY(test_a_leaf_at_another_place_is_not_in_the_tree),
        OF_STORY(test_a_path_that_is_changed_leads_nowhere),
        OF_STORY(test_a_checkpoint_of_another_size_is_not_signed),
        OF_STORY(test_a_checkpoint_by_a_stranger_is_not_the_logs),
        OF_STORY(test_a_witness_is_told_with_its_time),
        OF_STORY(test_a_cosignature_by_a_key_outside_the_policy_does_not_count),
        OF_STORY(test_a_cosignature_that_only_claims_the_key_does_not_hold),
        OF_STORY(test_a_cosignature_of_a_time_that_is_none_does_not_hold),
        OF_STORY(test_a_seal_that_its_node_did_not_sign_is_refused),
        OF_STORY(test_an_event_that_the_seal_does_not_count_is_refused),
        OF_STORY(test_an_event_away_from_its_seal_is_refused),
        OF_STORY(test_a_seal_behind_the_revocation_of_its_key_is_refused),
        OF_STORY(test_a_key_behind_a_revocation_is_told_to_be_vouched_for),
        OF_STORY(test_what_was_refused_for_another_reason_than_its_seal_says_is_refused),
        OF_STORY(test_an_invitation_of_another_lets_nobody_in),
        OF_STORY(test_an_event_without_its_seal_is_refused),
        OF_STORY(test_an_outcome_that_the_seal_does_not_tell_is_refused),
        OF_STORY(test_a_key_is_followed_only_by_one_that_it_signed_for),
        OF_STORY(test_a_signature_without_its_enrolment_is_refused),
        OF_STORY(test_a_header_of_another_event_is_refused),
        OF_STORY(test_a_part_that_was_not_committed_to_is_refused),
        OF_STORY(test_a_part_that_is_kept_quiet_is_refused),
        OF_STORY(test_a_confirmation_that_its_node_did_not_sign_is_refused),
        OF_STORY(test_deliveries_that_were_not_signed_for_are_refused),
        OF_STORY(test_a_confirmation_that_is_not_there_is_refused),
        OF_STORY(test_generations_are_told_in_their_order),
        OF_STORY(test_a_forged_link_between_generations_is_refused),
        OF_STORY(test_a_confirmation_reaches_no_further_than_its_generation),
        OF_STORY(test_a_file_is_written_in_one_way_only),
        OF_STORY(test_leaves_and_claims_stand_in_their_order),
    };
    return cmocka_run_group_tests(tests, story_tell, story_end);
}
