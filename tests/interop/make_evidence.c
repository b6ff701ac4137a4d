/* Writes evidence files of many shapes for the two verifiers: what an honest hub makes, and what a hub would
 * make whose ledger says something that cannot be so, though its log signs it. Ledgers are filled by hand
 * (hub_fixture), since no hub tells such lies.
 *
 *   make_evidence DIR     writes DIR/index.json, which lists the files of each ledger's directory
 */
#include "hub/console/hub_fixture.h"
#include "hub/console/prove.h"
#include "proto/codec/statement.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#define NEXT_ORIGIN "js.example/exchange/2"

struct maker {
    const char *dir;
    const char *ledger; /* the name of what is being told */
    json_t *index;
    struct hub_fixture fixture;
    uint64_t size; /* of the checkpoint */
    char note[NOTE_MAX];
};

static const char *const receivers[] = {"office", "registry"};

/* ---- files ---- */

static void put(struct maker *maker, const char *name, struct bytes content)
{
    struct casebus_error err;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%s", maker->dir, maker->ledger, name);
    must(file_write(path, content, 0644, &err), &err);
}

static void put_key(struct maker *maker, const char *name, const char *vkey)
{
    char line[600];
    snprintf(line, sizeof line, "%s\n", vkey);
    put(maker, name, bytes_of_text(line));
}

/* @witnesses: file names joined by blanks. */
static void put_evidence(struct maker *maker, const char *name, struct bytes file, bool proved,
                         const char *witnesses, int quorum)
{
    char file_name[96];
    snprintf(file_name, sizeof file_name, "%s.evidence", name);
    put(maker, file_name, file);
    json_array_append_new(maker->index,
                          json_pack("{s:s, s:s, s:b, s:s, s:i}", "ledger", maker->ledger, "file", file_name,
                                    "proved", proved, "witnesses", witnesses, "quorum", quorum));
}

static void begin(struct maker *maker, const char *ledger)
{
    char path[PATH_MAX];
    struct casebus_error err;
    maker->ledger = ledger;
    snprintf(path, sizeof path, "%s/%s", maker->dir, ledger);
    must(dir_make(path, &err), &err);
    hub_fixture_init(&maker->fixture);
    snprintf(path, sizeof path, "%s/%s/authority.pem", maker->dir, ledger);
    must(certificate_save(bytes_of(maker->fixture.keys.authority, maker->fixture.keys.authority_size), path,
                          &err),
         &err);
    put_key(maker, "log.vkey", maker->fixture.keys.log_vkey);
}

/* ---- the story ---- */

/*  0 opened  1 bureau  2 desk  3 office  4 registry  5 seal of 6, 7, 8  9 office confirms  10 seal: a
 * duplicate, 11, refused 12 quarantine  13 office and registry confirm  14 seal of 15, which nobody has
 * confirmed */
static void tell(struct hub_fixture *fixture)
{
    Casebus__V1__Grants publish = CASEBUS__V1__GRANTS__INIT, receive = CASEBUS__V1__GRANTS__INIT;
    publish.publish = true;
    receive.receive_all = true;
    hub_fixture_enrol(fixture, "bureau", &publish);
    hub_fixture_enrol(fixture, "desk", &publish);
    hub_fixture_enrol(fixture, "office", &receive);
    hub_fixture_enrol(fixture, "registry", &receive);
    const struct fixture_event first[] = {{.record = "r1",
                                           .number = "2026/1",
                                           .kind = CASEBUS__V1__KIND__KIND_APPLY,
                                           .name = "张三",
                                           .receivers = {"office", "registry"}},
                                          {.record = "r2",
                                           .number = "2026/1",
                                           .at_us = FIXTURE_TIME_US + 1000000,
                                           .action = "初审",
                                           .receivers = {"office"}},
                                          {.record = "r3",
                                           .number = "2026-2",
                                           .kind = CASEBUS__V1__KIND__KIND_APPLY,
                                           .name = "李四",
                                           .receivers = {"registry", "office"}}};
    hub_fixture_batch(fixture, "bureau", first, 3);
    hub_fixture_confirm(fixture, receivers, 1, 7);
    const struct fixture_event second[] = {
        {.record = "r1", .number = "2026/1", .duplicate_of = 7},
        {.record = "d1",
         .number = "2026/1",
         .kind = CASEBUS__V1__KIND__KIND_ACCEPT,
         .at_us = FIXTURE_TIME_US + 2000000,
         .receivers = {"office", "registry"}},
        {.record = "d2", .number = "2026-2", .refused = "CB-RECORD-OWNER"}};
    hub_fixture_batch(fixture, "desk", second, 3);
    hub_fixture_quarantine(fixture, "desk", "bytes of a frame");
    hub_fixture_confirm(fixture, receivers, 2, 13);
    const struct fixture_event third[] = {
        {.record = "r4", .number = "2026/1", .action = "复审", .receivers = {"office"}}};
    hub_fixture_batch(fixture, "bureau", third, 1);
}

/* ---- an honest hub ---- */

/* What the console answers about @target. */
static void ask(struct maker *maker, const char *name, const char *target, const char *witnesses, int quorum,
                bool proved)
{
    const struct console_request request = {"GET", target, bytes_of(NULL, 0), NULL};
    struct console_reply reply;
    console_handle(&maker->fixture.hub, &request, &reply, NULL);
    if (reply.status != 200) {
        char *text = json_dumps(reply.body, JSON_COMPACT);
        fail_msg("%s: %u %s", target, reply.status, text);
    }
    const char *text = json_string_value(json_object_get(reply.body, "evidence"));
    size_t size = (size_t)json_integer_value(json_object_get(reply.body, "size"));
    uint8_t *file = malloc(strlen(text) + 1);
    assert_true(EVP_DecodeBlock(file, (const unsigned char *)text, (int)strlen(text)) >= (int)size);
    put_evidence(maker, name, bytes_of(file, size), proved, witnesses, quorum);
    free(file);
    json_decref(reply.body);
}

static void settle(struct maker *maker)
{
    hub_fixture_write(&maker->fixture);
    hub_fixture_publish(&maker->fixture, maker->fixture.n_entries, NULL, true);
    hub_fixture_apply(&maker->fixture);
}

static void honest(struct maker *maker)
{
    char name[32], target[128];
    begin(maker, "honest");
    tell(&maker->fixture);
    settle(maker);
    for (unsigned i = 0; i < maker->fixture.n_entries; i++) {
        snprintf(name, sizeof name, "position-%u", i);
        snprintf(target, sizeof target, "/v1/evidence?position=%u", i);
        ask(maker, name, target, "", 0, true);
    }
    ask(maker, "case", "/v1/evidence?case=2026%2F1", "", 0, true);
    ask(maker, "case-open", "/v1/evidence?case=2026%2F1&open=identity,form", "", 0, true);
    ask(maker, "case-sealed", "/v1/evidence?case=2026%2F1&sealed=1", "", 0, true);
    ask(maker, "other-case", "/v1/evidence?case=2026-2&open=identity", "", 0, true);
    for (unsigned i = 1; i <= 3; i++) {
        snprintf(name, sizeof name, "member-%u", i);
        snprintf(target, sizeof target, "/v1/evidence?event=desk%%3A%016llx%%3A%u",
                 (unsigned long long)hub_fixture_node(&maker->fixture, "desk")->stream, i);
        ask(maker, name, target, "", 0, true);
    }
    hub_fixture_deinit(&maker->fixture);
}

/* ---- witnesses ---- */

static struct signing_key *witness_make(struct maker *maker, const char *name)
{
    struct casebus_error err;
    struct signing_key *key;
    char vkey[VKEY_MAX], file[64];
    must(signing_key_generate(&key, suite_get(SUITE_INTL), &err), &err);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, name, signing_key_public(key)) > 0);
    snprintf(file, sizeof file, "%s.vkey", name);
    put_key(maker, file, vkey);
    return key;
}

static void cosign(char *note, struct bytes text, const char *name, int64_t time_s,
                   const struct signing_key *key)
{
    char line[512];
    int n = note_cosign(line, sizeof line, text, name, time_s, key);
    assert_true(n > 0 && strlen(note) + (size_t)n < NOTE_MAX);
    strcat(note, line);
}

static void witnessed(struct maker *maker)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes note, text, lines;
    char cosigned[NOTE_MAX];
    begin(maker, "witnessed");
    tell(&maker->fixture);
    settle(maker);
    struct signing_key *city = witness_make(maker, "city.example"),
                       *court = witness_make(maker, "court.example"),
                       *liar = witness_make(maker, "liar.example");
    signing_key_free(witness_make(maker, "absent.example"));
    must(ledger_view_open(&view, maker->fixture.ledger, &err), &err);
    must(ledger_view_checkpoint(view, UINT64_MAX, &note, &err), &err);
    snprintf(cosigned, sizeof cosigned, "%.*s", (int)note.size, (const char *)note.data);
    ledger_view_close(view);
    must(note_parts(&text, &lines, bytes_of_text(cosigned), &err), &err);
    cosign(cosigned, text, "city.example", 1790000100, city);
    cosign(cosigned, text, "court.example", 1790000050, court);
    cosign(cosigned, text, "court.example", 1790000200, court);
    cosign(cosigned, bytes_of_text("another text\n"), "liar.example", 1790000000, liar);
    must(ledger_publish(maker->fixture.ledger, maker->fixture.n_entries, bytes_of_text(cosigned), &err),
         &err);
    const char *target = "/v1/evidence?case=2026%2F1";
    ask(maker, "nobody-asked", target, "", 0, true);
    ask(maker, "one", target, "city.example.vkey", 1, true);
    ask(maker, "two", target, "city.example.vkey court.example.vkey", 2, true);
    ask(maker, "two-of-three", target, "city.example.vkey absent.example.vkey court.example.vkey", 2, true);
    ask(maker, "three-of-three", target, "city.example.vkey absent.example.vkey court.example.vkey", 3,
        false);
    ask(maker, "absent", target, "absent.example.vkey", 1, false);
    ask(maker, "absent-is-fine", target, "absent.example.vkey", 0, true);
    ask(maker, "liar", target, "liar.example.vkey", 0, false);
    signing_key_free(city);
    signing_key_free(court);
    signing_key_free(liar);
    hub_fixture_deinit(&maker->fixture);
}

/* ---- hubs that lie ---- */

/* The file of somebody who puts all that there is into it and asks nothing. */
struct blind {
    struct maker *maker;
    struct ledger_view *view;
    struct evidence_builder *builder;
};

static void blind_leaf(struct blind *blind, uint64_t position)
{
    struct casebus_error err;
    struct bytes leaf;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    size_t n;
    must(ledger_view_leaf(blind->view, position, &leaf, &err), &err);
    must(tree_inclusion(blind->maker->fixture.crypter, position, blind->maker->size, ledger_view_hash,
                        blind->view, path, &n, &err),
         &err);
    must(evidence_builder_leaf(blind->builder, position, leaf, (const uint8_t(*)[DIGEST_SIZE])path, n, &err),
         &err);
}

struct members {
    struct crypter *crypter;
    uint8_t leaves[BATCH_MAX_EVENTS][DIGEST_SIZE];
    size_t n;
};

static int members_read(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                        struct casebus_error *err)
{
    struct members *members = self;
    (void)err;
    tree_root_of(members->crypter, (const uint8_t(*)[DIGEST_SIZE])members->leaves + (index << level),
                 (size_t)1 << level, hash);
    return 0;
}

static void blind_batch(struct blind *blind, uint64_t seal_position)
{
    struct casebus_error err;
    struct hub_fixture *fixture = &blind->maker->fixture;
    const Casebus__V1__SealEntry *seal = hub_fixture_edit(fixture, seal_position)->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &fixture->arena, &err);
    struct members members = {.crypter = fixture->crypter, .n = statement->count};
    uint64_t positions[BATCH_MAX_EVENTS] = {0}, next = seal_position + 1;
    for (size_t i = 0, told = 0; i < members.n; i++) {
        ProtobufCBinaryData hash;
        if (told < seal->n_outcome && seal->outcome[told]->index == i) {
            hash = seal->outcome[told++]->event_hash;
        } else {
            const Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, next);
            if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
                break;
            positions[i] = next++;
            hash = entry->event->event_hash;
        }
        tree_leaf_hash(fixture->crypter, bytes_of(hash.data, hash.len), members.leaves[i]);
    }
    for (size_t i = 0; i < members.n; i++) {
        uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
        struct evidence_claim_event claim = {.position = positions[i],
                                             .seal = seal_position,
                                             .batch_path = (const uint8_t(*)[DIGEST_SIZE])path,
                                             .header_withheld = CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED};
        must(tree_inclusion(fixture->crypter, i, members.n, members_read, &members, path, &claim.n_batch_path,
                            &err),
             &err);
        if (positions[i])
            must(evidence_builder_event(blind->builder, &claim, &err), &err);
        else
            must(evidence_builder_outcome(blind->builder, seal_position, (uint32_t)i, claim.batch_path,
                                          claim.n_batch_path, &err),
                 &err);
    }
}

static void blind_entry(struct blind *blind, uint64_t position)
{
    struct casebus_error err;
    const Casebus__V1__LedgerEntry *entry = hub_fixture_edit(&blind->maker->fixture, position);
    blind_leaf(blind, position);
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        blind_batch(blind, position);
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED)
        for (uint32_t i = 0; i < entry->act->deliveries_confirmed->n_confirm; i++)
            must(evidence_builder_confirm(blind->builder, position, i, NULL, NULL, 0, &err), &err);
}

/* Signs the tree of all entries as @origin, and puts everything into one file. */
static void blind_file(struct maker *maker, const char *name, const char *origin,
                       const struct signing_key *key, bool proved)
{
    struct casebus_error err;
    struct bytes file;
    struct blind blind = {.maker = maker, .builder = evidence_builder_new(suite_get(SUITE_INTL))};
    struct checkpoint checkpoint = {.size = maker->fixture.n_entries};
    maker->size = checkpoint.size;
    snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", origin);
    must(ledger_view_open(&blind.view, maker->fixture.ledger, &err), &err);
    must(tree_root_at(maker->fixture.crypter, checkpoint.size, ledger_view_hash, blind.view, checkpoint.root,
                      &err),
         &err);
    assert_true(checkpoint_sign(maker->note, sizeof maker->note, &checkpoint, origin, key) > 0);
    for (uint64_t i = 0; i < maker->size; i++)
        blind_entry(&blind, i);
    must(evidence_builder_finish(blind.builder, bytes_of_text(maker->note), &file, &err), &err);
    put_evidence(maker, name, file, proved, "", 0);
    ledger_view_close(blind.view);
    evidence_builder_free(blind.builder);
}

static ProtobufCBinaryData data_of(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

/* Changes the statement of the seal at @position and signs it again as @signer. */
static void reseal(struct hub_fixture *fixture, size_t position,
                   void (*change)(Casebus__V1__BatchStatement *statement), const char *signer)
{
    struct casebus_error err;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    Casebus__V1__BatchStatement *statement = statement_decode(
        bytes_of(entry->seal->statement.data, entry->seal->statement.len), &fixture->arena, &err);
    if (change)
        change(statement);
    struct bytes packed = codec_pack(statement, &fixture->arena);
    entry->seal->statement = data_of(packed);
    signing_key_sign(hub_fixture_node(fixture, signer)->key, packed, entry->seal->signature.data);
    hub_fixture_put(fixture, position, entry);
}

static void to_other_hub(Casebus__V1__BatchStatement *statement)
{
    statement->origin = (char *)"zj.example/exchange/1";
}

static void to_next_generation(Casebus__V1__BatchStatement *statement)
{
    statement->origin = (char *)NEXT_ORIGIN;
}

static void of_other_key(Casebus__V1__BatchStatement *statement)
{
    statement->key_id.data[0] ^= 1;
}

static void one_fewer(Casebus__V1__BatchStatement *statement)
{
    statement->count--;
}

static void numbered_higher(Casebus__V1__BatchStatement *statement)
{
    statement->first++;
    memset(statement->previous.data, 7, DIGEST_SIZE);
}

static void truth(struct hub_fixture *fixture)
{
    (void)fixture;
}

static void seal_is_by_another_node(struct hub_fixture *fixture)
{
    reseal(fixture, 5, NULL, "desk");
}

static void seal_is_for_another_hub(struct hub_fixture *fixture)
{
    reseal(fixture, 5, to_other_hub, "bureau");
}

static void seal_names_another_key(struct hub_fixture *fixture)
{
    reseal(fixture, 5, of_other_key, "bureau");
}

static void seal_has_fewer_members(struct hub_fixture *fixture)
{
    reseal(fixture, 5, one_fewer, "bureau");
}

static void seal_has_other_numbers(struct hub_fixture *fixture)
{
    reseal(fixture, 5, numbered_higher, "bureau");
}

static void signature_is_altered(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 5);
    entry->seal->signature.data[40] ^= 1;
    hub_fixture_put(fixture, 5, entry);
}

static void swap_entries(struct hub_fixture *fixture, size_t a, size_t b)
{
    Casebus__V1__LedgerEntry *first = hub_fixture_edit(fixture, a), *second = hub_fixture_edit(fixture, b);
    int64_t time = first->hub_time_us;
    first->hub_time_us = second->hub_time_us;
    second->hub_time_us = time;
    hub_fixture_put(fixture, a, second);
    hub_fixture_put(fixture, b, first);
}

static void enrolment_comes_late(struct hub_fixture *fixture)
{
    swap_entries(fixture, 1, 14);
}

static void events_change_places(struct hub_fixture *fixture)
{
    swap_entries(fixture, 6, 7);
}

static void event_is_another(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 6);
    entry->event->event_hash.data[0] ^= 1;
    hub_fixture_put(fixture, 6, entry);
}

static void event_is_of_another_node(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 6);
    entry->event->node = (char *)"desk";
    hub_fixture_put(fixture, 6, entry);
}

static void accepted_is_told_as_refused(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 10);
    entry->seal->outcome[1]->index = 1;
    hub_fixture_put(fixture, 10, entry);
}

static void outcome_has_no_member(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 10);
    entry->seal->outcome[1]->index = 3;
    hub_fixture_put(fixture, 10, entry);
}

static void outcome_is_of_another_event(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 10);
    entry->seal->outcome[1]->event_hash.data[0] ^= 1;
    hub_fixture_put(fixture, 10, entry);
}

static void time_goes_back(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 9);
    entry->hub_time_us -= 3600 * INT64_C(1000000);
    hub_fixture_put(fixture, 9, entry);
}

static void confirmation_is_altered(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 9);
    entry->act->deliveries_confirmed->confirm[0]->signature.data[3] ^= 1;
    hub_fixture_put(fixture, 9, entry);
}

static void confirmation_is_of_what_comes_later(struct hub_fixture *fixture)
{
    swap_entries(fixture, 4, 13);
}

static void enrolment_is_not_signed(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 1);
    entry->act->node_enrolled->signature.data[0] ^= 1;
    hub_fixture_put(fixture, 1, entry);
}

static void certificate_is_of_another_node(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 1), *other = hub_fixture_edit(fixture, 2);
    entry->act->node_enrolled->certificate = other->act->node_enrolled->certificate;
    hub_fixture_put(fixture, 1, entry);
}

static void certificate_is_altered(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 1);
    entry->act->node_enrolled->certificate.data[entry->act->node_enrolled->certificate.len - 1] ^= 1;
    hub_fixture_put(fixture, 1, entry);
}

/* The same node, certified by somebody who calls himself the same authority. */
static void authority_is_another(struct hub_fixture *fixture)
{
    struct casebus_error err;
    struct signing_key *key;
    struct certificate_info info;
    uint8_t authority[CERTIFICATE_MAX], der[CERTIFICATE_MAX];
    size_t authority_size, size;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 1);
    Casebus__V1__NodeEnrolled *enrolled = entry->act->node_enrolled;
    must(certificate_check(bytes_of(enrolled->certificate.data, enrolled->certificate.len),
                           bytes_of(fixture->keys.authority, fixture->keys.authority_size), 0, &info, &err),
         &err);
    must(signing_key_generate(&key, suite_get(SUITE_INTL), &err), &err);
    must(
        authority_make(key, FIXTURE_ORIGIN, 36500, info.not_before - 86400, authority, &authority_size, &err),
        &err);
    must(certificate_issue(key, bytes_of(authority, authority_size), &info, der, &size, &err), &err);
    enrolled->certificate = data_of(bytes_of(der, size));
    hub_fixture_put(fixture, 1, entry);
    signing_key_free(key);
}

static void log_is_another(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, 0);
    char vkey[VKEY_MAX];
    assert_true(
        note_vkey_format(vkey, sizeof vkey, FIXTURE_ORIGIN, signing_key_public(fixture->nodes[0].key)) > 0);
    entry->act->ledger_opened->log_key = vkey;
    hub_fixture_put(fixture, 0, entry);
}

static void opening_comes_second(struct hub_fixture *fixture)
{
    swap_entries(fixture, 0, 12);
}

/* ---- keys that change ---- */

static struct signing_key *rekey(struct hub_fixture *fixture, const char *name)
{
    struct casebus_error err;
    struct fixture_node *node = hub_fixture_node(fixture, name);
    struct signing_key *before = node->key;
    must(signing_key_generate(&node->key, suite_get(SUITE_INTL), &err), &err);
    return before;
}

static void enrol_again(struct hub_fixture *fixture, bool with_its_word)
{
    Casebus__V1__Grants publish = CASEBUS__V1__GRANTS__INIT;
    uint8_t signature[SIGNATURE_SIZE];
    publish.publish = true;
    struct signing_key *before = rekey(fixture, "bureau");
    size_t position = hub_fixture_enrol(fixture, "bureau", &publish);
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    Casebus__V1__NodeEnrolled *enrolled = entry->act->node_enrolled;
    signing_key_sign(before, bytes_of(enrolled->statement.data, enrolled->statement.len), signature);
    enrolled->previous_signature = data_of(bytes_of(signature, with_its_word ? sizeof signature : 0));
    hub_fixture_put(fixture, position, entry);
    const struct fixture_event event[] = {
        {.record = "r5", .number = "2026/1", .action = "终审", .receivers = {"office"}}};
    hub_fixture_batch(fixture, "bureau", event, 1);
    signing_key_free(before);
}

static void key_changes_with_its_word(struct hub_fixture *fixture)
{
    enrol_again(fixture, true);
}

static void key_changes_without_its_word(struct hub_fixture *fixture)
{
    enrol_again(fixture, false);
}

static void old_key_signs_on(struct hub_fixture *fixture)
{
    enrol_again(fixture, true);
    signing_key_free(rekey(fixture, "bureau"));
    const struct fixture_event event[] = {{.record = "r6", .number = "2026/1", .action = "终审"}};
    hub_fixture_batch(fixture, "bureau", event, 1);
}

/* ---- destroyed ---- */

/* Orders of what stands in the ledger; an entry of another kind is made into each act. */
static void content_is_destroyed(struct hub_fixture *fixture)
{
    static uint8_t subject[DIGEST_SIZE] = {1};
    size_t ordered = hub_fixture_quarantine(fixture, "desk", "order"),
           done = hub_fixture_quarantine(fixture, "desk", "done");
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, ordered);
    Casebus__V1__ErasureOrdered order = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ErasureDone end = CASEBUS__V1__ERASURE_DONE__INIT;
    Casebus__V1__ErasedContent contents[] = {CASEBUS__V1__ERASED_CONTENT__INIT,
                                             CASEBUS__V1__ERASED_CONTENT__INIT,
                                             CASEBUS__V1__ERASED_CONTENT__INIT},
                               *list[] = {&contents[0], &contents[1], &contents[2]};
    uint64_t ends[] = {ordered}, slots[] = {3, 300};
    contents[0].position = 6;
    contents[0].header = true;
    contents[1].position = 8;
    contents[1].part_mask = 1;
    contents[2].position = 12; /* no event */
    contents[2].header = true;
    order.reason = CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER;
    order.subject = (ProtobufCBinaryData){sizeof subject, subject};
    order.content = list;
    order.n_content = 3;
    order.slot = slots;
    order.n_slot = 2;
    entry->act->act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    entry->act->erasure_ordered = &order;
    hub_fixture_put(fixture, ordered, entry);
    entry = hub_fixture_edit(fixture, done);
    end.ordered = ends;
    end.n_ordered = 1;
    entry->act->act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE;
    entry->act->erasure_done = &end;
    hub_fixture_put(fixture, done, entry);
}

/* ---- generations ---- */

static size_t open_next(struct hub_fixture *fixture, const char *previous)
{
    struct fixture_event nothing = {.record = "g", .number = "2026-3", .action = "续办"};
    char vkey[VKEY_MAX];
    /* an entry of any kind, made into the one that opens */
    size_t position = hub_fixture_quarantine(fixture, "desk", "place");
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position),
                             *first = hub_fixture_edit(fixture, 0);
    Casebus__V1__LedgerOpened opened = *first->act->ledger_opened;
    assert_true(note_vkey_format(vkey, sizeof vkey, NEXT_ORIGIN, signing_key_public(fixture->keys.log)) > 0);
    opened.origin = (char *)NEXT_ORIGIN;
    opened.log_key = vkey;
    opened.previous_origin = (char *)previous;
    entry->act->act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    entry->act->ledger_opened = &opened;
    hub_fixture_put(fixture, position, entry);
    hub_fixture_batch(fixture, "bureau", &nothing, 1); /* frozen before, for the generation before */
    return position;
}

static void generation_goes_on(struct hub_fixture *fixture)
{
    const struct fixture_event event = {.record = "g2", .number = "2026-3", .action = "续办"};
    open_next(fixture, FIXTURE_ORIGIN);
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    reseal(fixture, seal, to_next_generation, "bureau");
}

static void generation_has_no_one_before(struct hub_fixture *fixture)
{
    open_next(fixture, "");
}

static void generation_follows_another(struct hub_fixture *fixture)
{
    open_next(fixture, "zj.example/exchange/1");
}

static void generation_is_signed_for_early(struct hub_fixture *fixture)
{
    open_next(fixture, FIXTURE_ORIGIN);
    reseal(fixture, 14, to_next_generation, "bureau");
}

/* ---- all of them ---- */

struct lie {
    const char *name;
    void (*tell)(struct hub_fixture *fixture);
    bool proved;
    bool next_generation;
};

static const struct lie lies[] = {
    {"truth", truth, true, false},
    {"signature-is-altered", signature_is_altered, false, false},
    {"seal-is-by-another-node", seal_is_by_another_node, false, false},
    {"seal-is-for-another-hub", seal_is_for_another_hub, false, false},
    {"seal-names-another-key", seal_names_another_key, false, false},
    {"seal-has-fewer-members", seal_has_fewer_members, false, false},
    {"seal-has-other-numbers", seal_has_other_numbers, false, false},
    {"enrolment-comes-late", enrolment_comes_late, false, false},
    {"events-change-places", events_change_places, false, false},
    {"event-is-another", event_is_another, false, false},
    {"event-is-of-another-node", event_is_of_another_node, false, false},
    {"accepted-is-told-as-refused", accepted_is_told_as_refused, false, false},
    {"outcome-has-no-member", outcome_has_no_member, false, false},
    {"outcome-is-of-another-event", outcome_is_of_another_event, false, false},
    {"time-goes-back", time_goes_back, false, false},
    {"confirmation-is-altered", confirmation_is_altered, false, false},
    {"confirmation-is-of-what-comes-later", confirmation_is_of_what_comes_later, false, false},
    {"enrolment-is-not-signed", enrolment_is_not_signed, false, false},
    {"certificate-is-of-another-node", certificate_is_of_another_node, false, false},
    {"certificate-is-altered", certificate_is_altered, false, false},
    {"authority-is-another", authority_is_another, false, false},
    {"log-is-another", log_is_another, false, false},
    {"opening-comes-second", opening_comes_second, false, false},
    {"key-changes-with-its-word", key_changes_with_its_word, true, false},
    {"key-changes-without-its-word", key_changes_without_its_word, false, false},
    {"old-key-signs-on", old_key_signs_on, false, false},
    {"content-is-destroyed", content_is_destroyed, true, false},
    {"generation-goes-on", generation_goes_on, true, true},
    {"generation-has-no-one-before", generation_has_no_one_before, false, true},
    {"generation-follows-another", generation_follows_another, false, true},
    {"generation-is-signed-for-early", generation_is_signed_for_early, false, true},
    {"generation-is-not-signed-for", generation_goes_on, false, false},
};

static void lie(struct maker *maker, const struct lie *lie)
{
    struct hub_fixture *fixture = &maker->fixture;
    char vkey[VKEY_MAX];
    begin(maker, lie->name);
    tell(fixture);
    lie->tell(fixture);
    hub_fixture_write(fixture);
    assert_true(note_vkey_format(vkey, sizeof vkey, lie->next_generation ? NEXT_ORIGIN : FIXTURE_ORIGIN,
                                 signing_key_public(fixture->keys.log)) > 0);
    put_key(maker, "log.vkey", vkey);
    blind_file(maker, "all", lie->next_generation ? NEXT_ORIGIN : FIXTURE_ORIGIN, fixture->keys.log,
               lie->proved);
    hub_fixture_deinit(fixture);
}

static void log_key_is_a_strangers(struct maker *maker)
{
    begin(maker, "log-key-is-a-strangers");
    tell(&maker->fixture);
    hub_fixture_write(&maker->fixture);
    blind_file(maker, "all", FIXTURE_ORIGIN, maker->fixture.nodes[0].key, false);
    hub_fixture_deinit(&maker->fixture);
}

int main(int argc, char **argv)
{
    static struct maker maker;
    char path[PATH_MAX];
    if (argc != 2) {
        fprintf(stderr, "usage: make_evidence DIR\n");
        return 2;
    }
    maker.dir = argv[1];
    maker.index = json_array();
    honest(&maker);
    witnessed(&maker);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        lie(&maker, &lies[i]);
    log_key_is_a_strangers(&maker);
    snprintf(path, sizeof path, "%s/index.json", maker.dir);
    int r = json_dump_file(maker.index, path, JSON_INDENT(1));
    json_decref(maker.index);
    return r ? 1 : 0;
}
