/* Writes evidence files of many shapes for the two verifiers: what an honest hub makes, and what a hub would
 * make whose ledger says something that cannot be so, though its log signs it. Ledgers are filled by hand
 * (hub_fixture), since no hub tells such lies.
 *
 *   make_evidence DIR     writes DIR/index.json, which lists the files of each ledger's directory
 */
#include "hub/console/prove.h"
#include "tests/evidence/evidence_fixture.h"

#include <openssl/evp.h>
#include <sys/stat.h>

struct maker {
    const char *dir;
    const char *ledger; /* the name of what is being told */
    const char *code;   /* with which it has to be refused; NULL: not said here */
    json_t *index;
    struct hub_fixture fixture;
};

#define OTHER_ORIGIN "zj.example/exchange/2"

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
    json_array_append_new(maker->index, json_pack("{s:s, s:s, s:b, s:s, s:i, s:s}", "ledger", maker->ledger,
                                                  "file", file_name, "proved", proved, "witnesses", witnesses,
                                                  "quorum", quorum, "code", maker->code ? maker->code : ""));
}

static void begin_suite(struct maker *maker, const char *ledger, enum suite_id suite)
{
    char path[PATH_MAX];
    struct casebus_error err;
    maker->ledger = ledger;
    snprintf(path, sizeof path, "%s/%s", maker->dir, ledger);
    must(dir_make(path, &err), &err);
    hub_fixture_init_suite(&maker->fixture, suite);
    snprintf(path, sizeof path, "%s/%s/authority.pem", maker->dir, ledger);
    must(certificate_save(bytes_of(maker->fixture.keys.authority, maker->fixture.keys.authority_size), path,
                          &err),
         &err);
    put_key(maker, "log.vkey", maker->fixture.keys.log_vkey);
}

static void begin(struct maker *maker, const char *ledger)
{
    begin_suite(maker, ledger, SUITE_INTL);
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
    evidence_fixture_tell(&maker->fixture);
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
    must(signing_key_generate(&key, maker->fixture.suite, &err), &err);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, name, signing_key_public(key)) > 0);
    snprintf(file, sizeof file, "%s.vkey", name);
    put_key(maker, file, vkey);
    return key;
}

static void cosign(char *note, struct bytes text, const char *name, int64_t time_s,
                   const struct signing_key *key)
{
    char line[512];
    int n = note_cosign(line, sizeof line, text, name, time_s, key, NULL);
    assert_true(n > 0 && strlen(note) + (size_t)n < NOTE_MAX);
    strcat(note, line);
}

/* The file of all that there is, under @note. */
static void put_under(struct maker *maker, const char *name, const char *note, bool proved,
                      const char *witnesses, int quorum)
{
    put_evidence(maker, name, evidence_fixture_file(&maker->fixture, note, SHOWN_SEALED), proved, witnesses,
                 quorum);
}

static void witnessed(struct maker *maker)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct bytes note, text, lines;
    char cosigned[NOTE_MAX];
    begin(maker, "witnessed");
    evidence_fixture_tell(&maker->fixture);
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

/* The words of witnesses whom nobody asked, or who are not what they seem. */
static void strangely_witnessed(struct maker *maker)
{
    const char *const city = "city.example", *const policy = "city.example.vkey";
    const struct hub_fixture *fixture = &maker->fixture;
    char notes[5][NOTE_MAX];
    begin(maker, "strangely-witnessed");
    evidence_fixture_tell(&maker->fixture);
    struct signing_key *key = witness_make(maker, city), *stranger = witness_make(maker, "stranger.example");
    const struct public_key *right = signing_key_public(key), *other = signing_key_public(stranger);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        evidence_fixture_checkpoint(&maker->fixture, FIXTURE_ORIGIN, fixture->keys.log, notes[i]);
    evidence_fixture_cosign(notes[0], "stranger.example", other, stranger, 1790000000);
    evidence_fixture_cosign(notes[1], city, other, stranger, 1790000000);
    evidence_fixture_cosign(notes[2], city, right, stranger, 1790000000);
    evidence_fixture_cosign(notes[3], city, right, key, COSIGNED_TIME_MAX);
    evidence_fixture_cosign(notes[4], city, right, key, COSIGNED_TIME_MAX + 1);
    put_under(maker, "key-is-not-in-the-policy", notes[0], false, policy, 1);
    put_under(maker, "key-is-not-in-the-policy-and-none-is-asked", notes[0], true, policy, 0);
    put_under(maker, "name-is-of-the-policy-and-its-key-is-not", notes[1], false, policy, 1);
    put_under(maker, "key-is-only-claimed", notes[2], false, policy, 0);
    put_under(maker, "time-is-the-last", notes[3], true, policy, 1);
    put_under(maker, "time-is-beyond-all", notes[4], false, policy, 0);
    signing_key_free(key);
    signing_key_free(stranger);
    hub_fixture_deinit(&maker->fixture);
}

/* ---- hubs that lie ---- */

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
    evidence_fixture_reseal(fixture, 5, NULL, "desk");
}

static void seal_is_for_another_hub(struct hub_fixture *fixture)
{
    evidence_fixture_reseal(fixture, 5, to_other_hub, "bureau");
}

static void seal_names_another_key(struct hub_fixture *fixture)
{
    evidence_fixture_reseal(fixture, 5, of_other_key, "bureau");
}

static void seal_has_fewer_members(struct hub_fixture *fixture)
{
    evidence_fixture_reseal(fixture, 5, one_fewer, "bureau");
}

static void seal_has_other_numbers(struct hub_fixture *fixture)
{
    evidence_fixture_reseal(fixture, 5, numbered_higher, "bureau");
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
    must(signing_key_generate(&key, fixture->suite, &err), &err);
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

static void enrol_again(struct hub_fixture *fixture, bool with_its_word)
{
    Casebus__V1__Grants publish = CASEBUS__V1__GRANTS__INIT;
    uint8_t signature[SIGNATURE_SIZE];
    publish.publish = true;
    struct signing_key *before = hub_fixture_rekey(fixture, "bureau");
    size_t position = hub_fixture_enrol(fixture, "bureau", &publish);
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    Casebus__V1__NodeEnrolled *enrolled = entry->act->node_enrolled;
    assert_int_equal(signing_key_sign(before, bytes_of(enrolled->statement.data, enrolled->statement.len),
                                      signature, NULL),
                     0);
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
    signing_key_free(hub_fixture_rekey(fixture, "bureau"));
    const struct fixture_event event[] = {{.record = "r6", .number = "2026/1", .action = "终审"}};
    hub_fixture_batch(fixture, "bureau", event, 1);
}

static void certificate_had_ended(struct hub_fixture *fixture)
{
    const struct fixture_event event[] = {{.record = "r6", .number = "2026/1", .action = "终审"}};
    fixture->hub_time_us += 2 * FIXTURE_VALID_S * INT64_C(1000000);
    hub_fixture_batch(fixture, "bureau", event, 1);
}

/* ---- shut out ---- */

#define REVOKED   CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED
#define SUSPENDED CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED
#define ACTIVE    CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE

static void bureau_goes_on(struct hub_fixture *fixture)
{
    const struct fixture_event event[] = {
        {.record = "r7", .number = "2026/1", .action = "终审", .receivers = {"office"}}};
    hub_fixture_batch(fixture, "bureau", event, 1);
}

static void seal_is_behind_a_revocation(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", REVOKED);
    bureau_goes_on(fixture);
}

static void seal_is_behind_a_suspension(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", SUSPENDED);
    bureau_goes_on(fixture);
}

static void seal_is_behind_the_end_of_a_suspension(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", SUSPENDED);
    hub_fixture_standing(fixture, "bureau", ACTIVE);
    bureau_goes_on(fixture);
}

static void revocation_is_of_another(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "desk", REVOKED);
    bureau_goes_on(fixture);
}

static void revoked_key_is_followed(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", REVOKED);
    enrol_again(fixture, false);
}

/* Its word is worth nothing, and does no harm. */
static void revoked_key_signs_for_the_next(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", REVOKED);
    enrol_again(fixture, true);
}

static void suspended_key_is_followed_without_its_word(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", SUSPENDED);
    enrol_again(fixture, false);
}

static void followed_key_is_revoked_as_well(struct hub_fixture *fixture)
{
    hub_fixture_standing(fixture, "bureau", REVOKED);
    enrol_again(fixture, false);
    seal_is_behind_a_revocation(fixture);
}

/* ---- invited ---- */

static void invite_and_enrol(struct hub_fixture *fixture, const char *invited, const char *enrolled,
                             bool publish)
{
    static const uint8_t invitation[INVITATION_SIZE] = {8, 7, 6};
    Casebus__V1__Grants offered = CASEBUS__V1__GRANTS__INIT, granted = CASEBUS__V1__GRANTS__INIT;
    offered.receive_all = granted.receive_all = true;
    granted.publish = publish;
    hub_fixture_invite(fixture, invited, &offered, invitation);
    hub_fixture_enrol_invited(fixture, enrolled, &granted, invitation);
}

static void node_was_invited(struct hub_fixture *fixture)
{
    invite_and_enrol(fixture, "court", "court", false);
}

static void invitation_was_for_another(struct hub_fixture *fixture)
{
    invite_and_enrol(fixture, "court", "county", false);
}

static void invitation_offered_less(struct hub_fixture *fixture)
{
    invite_and_enrol(fixture, "court", "court", true);
}

static void invitation_comes_behind(struct hub_fixture *fixture)
{
    node_was_invited(fixture);
    swap_entries(fixture, fixture->n_entries - 2, fixture->n_entries - 1);
}

/* ---- refused ---- */

static void desk_is_refused(struct hub_fixture *fixture, const char *kept)
{
    const struct fixture_event events[] = {
        {.record = "d8", .number = "2026/1", .action = "补正", .receivers = {"office"}},
        {.record = "d9", .number = "2026-2", .refused = "CB-RECORD-OWNER"}};
    size_t seal = hub_fixture_batch(fixture, "desk", events, 2);
    hub_fixture_refused(fixture, seal, 0, kept);
}

static void refused_for_what_its_seal_says(struct hub_fixture *fixture)
{
    desk_is_refused(fixture, "CB-RECORD-OWNER");
}

static void refused_and_not_kept(struct hub_fixture *fixture)
{
    desk_is_refused(fixture, "CB-ERASED");
}

static void refused_for_something_else(struct hub_fixture *fixture)
{
    desk_is_refused(fixture, "CB-CLASSIFIED");
}

/* Of another batch, which nobody sealed. */
static void refused_again_without_a_seal(struct hub_fixture *fixture)
{
    desk_is_refused(fixture, "CB-RECORD-OWNER");
    hub_fixture_refused(fixture, fixture->n_entries - 3, 0, "CB-SEQ-CONFLICT");
}

/* ---- two in one ---- */

/* The leaf @position with the bytes of a second act behind those of the first, inside of the same field. */
static void act_join(struct hub_fixture *fixture, size_t position, const Casebus__V1__ActEntry *second)
{
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    struct bytes first = codec_pack(entry->act, &fixture->arena), more = codec_pack(second, &fixture->arena);
    entry->content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT__NOT_SET;
    struct bytes head = codec_pack(entry, &fixture->arena);
    size_t size = first.size + more.size;
    uint8_t *leaf = arena_alloc(&fixture->arena, head.size + 2 + size);
    assert_true(leaf && size < 128);
    memcpy(leaf, head.data, head.size);
    leaf[head.size] = 6 << 3 | 2; /* LedgerEntry.act */
    leaf[head.size + 1] = (uint8_t)size;
    memcpy(leaf + head.size + 2, first.data, first.size);
    memcpy(leaf + head.size + 2 + first.size, more.data, more.size);
    fixture->entries[position].leaf = bytes_of(leaf, head.size + 2 + size);
}

static void act_is_two_acts(struct hub_fixture *fixture)
{
    size_t position = hub_fixture_standing(fixture, "desk", SUSPENDED);
    const Casebus__V1__ActEntry *quarantined = hub_fixture_edit(fixture, 12)->act;
    act_join(fixture, position, quarantined);
}

static void act_is_given_twice(struct hub_fixture *fixture)
{
    size_t position = hub_fixture_standing(fixture, "desk", SUSPENDED);
    act_join(fixture, position, hub_fixture_edit(fixture, position)->act);
}

static void entry_is_two_things(struct hub_fixture *fixture)
{
    size_t position = hub_fixture_standing(fixture, "desk", SUSPENDED);
    struct bytes act = fixture->entries[position].leaf;
    Casebus__V1__LedgerEntry *event = hub_fixture_edit(fixture, 15);
    event->format = 0;
    event->suite = 0;
    event->hub_time_us = 0;
    struct bytes more = codec_pack(event, &fixture->arena);
    uint8_t *leaf = arena_alloc(&fixture->arena, act.size + more.size);
    assert_non_null(leaf);
    memcpy(leaf, act.data, act.size);
    memcpy(leaf + act.size, more.data, more.size);
    fixture->entries[position].leaf = bytes_of(leaf, act.size + more.size);
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

/* Behind the entry that opens it stands what was signed for the generation before. */
static size_t open_next(struct hub_fixture *fixture, const char *origin, const char *previous)
{
    const struct fixture_event event = {
        .record = "g", .number = "2026-3", .action = "续办", .receivers = {"office"}};
    size_t position = evidence_fixture_open(fixture, origin, previous);
    hub_fixture_batch(fixture, "bureau", &event, 1);
    return position;
}

static void generation_goes_on(struct hub_fixture *fixture)
{
    const struct fixture_event event = {.record = "g2", .number = "2026-3", .action = "续办"};
    open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    size_t seal = hub_fixture_batch(fixture, "bureau", &event, 1);
    evidence_fixture_reseal(fixture, seal, to_next_generation, "bureau");
}

static void generation_has_no_one_before(struct hub_fixture *fixture)
{
    open_next(fixture, NEXT_ORIGIN, "");
}

static void generation_follows_another(struct hub_fixture *fixture)
{
    open_next(fixture, NEXT_ORIGIN, "zj.example/exchange/1");
}

static void generation_is_of_another_name(struct hub_fixture *fixture)
{
    open_next(fixture, OTHER_ORIGIN, FIXTURE_ORIGIN);
}

static void generation_is_the_same_again(struct hub_fixture *fixture)
{
    open_next(fixture, FIXTURE_ORIGIN, FIXTURE_ORIGIN);
}

static void generation_is_signed_for_early(struct hub_fixture *fixture)
{
    open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    evidence_fixture_reseal(fixture, 14, to_next_generation, "bureau");
}

/* ---- a log key that is taken over ---- */

#define THIRD_ORIGIN "js.example/exchange/3"

static void generation_goes_on_twice(struct hub_fixture *fixture)
{
    generation_goes_on(fixture);
    open_next(fixture, THIRD_ORIGIN, NEXT_ORIGIN);
}

static Casebus__V1__LedgerOpened *opened_at(struct hub_fixture *fixture, size_t position,
                                            Casebus__V1__LedgerEntry **entry)
{
    *entry = hub_fixture_edit(fixture, position);
    return (*entry)->act->ledger_opened;
}

/* What the next generation says of the one before, signed by @key. */
static void shows_before(struct hub_fixture *fixture, size_t position, const char *origin,
                         const struct signing_key *key)
{
    static char note[NOTE_MAX];
    Casebus__V1__LedgerEntry *entry;
    Casebus__V1__LedgerOpened *opened = opened_at(fixture, position, &entry);
    evidence_fixture_checkpoint(fixture, origin, key, note);
    opened->previous_checkpoint = data_of(bytes_of_text(note));
    hub_fixture_put(fixture, position, entry);
}

static void a_generation_was_lost(struct hub_fixture *fixture)
{
    size_t position = open_next(fixture, THIRD_ORIGIN, FIXTURE_ORIGIN);
    shows_before(fixture, position, NEXT_ORIGIN, fixture->keys.log);
}

static void names_a_strangers_key(struct hub_fixture *fixture, size_t position)
{
    Casebus__V1__LedgerEntry *entry;
    Casebus__V1__LedgerOpened *opened = opened_at(fixture, position, &entry);
    char vkey[VKEY_MAX];
    assert_true(
        note_vkey_format(vkey, sizeof vkey, opened->origin, signing_key_public(fixture->nodes[0].key)) > 0);
    opened->log_key = vkey;
    hub_fixture_put(fixture, position, entry);
}

static void next_key_is_a_strangers(struct hub_fixture *fixture)
{
    names_a_strangers_key(fixture, open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN));
}

static void first_key_is_a_strangers(struct hub_fixture *fixture)
{
    generation_goes_on(fixture);
    names_a_strangers_key(fixture, 0);
}

static void key_was_another_in_between(struct hub_fixture *fixture)
{
    size_t position = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    open_next(fixture, THIRD_ORIGIN, NEXT_ORIGIN);
    names_a_strangers_key(fixture, position);
}

static void nothing_is_shown_of_before(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerEntry *entry;
    size_t position = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    opened_at(fixture, position, &entry)->previous_checkpoint = data_of(bytes_of(NULL, 0));
    hub_fixture_put(fixture, position, entry);
}

static void a_stranger_signed_what_was_before(struct hub_fixture *fixture)
{
    size_t position = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    shows_before(fixture, position, FIXTURE_ORIGIN, fixture->nodes[0].key);
}

static void before_is_itself(struct hub_fixture *fixture)
{
    size_t position = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    shows_before(fixture, position, NEXT_ORIGIN, fixture->keys.log);
}

static void before_is_older(struct hub_fixture *fixture)
{
    generation_goes_on(fixture);
    size_t position = open_next(fixture, THIRD_ORIGIN, NEXT_ORIGIN);
    shows_before(fixture, position, FIXTURE_ORIGIN, fixture->keys.log);
}

static void before_is_of_another_hub(struct hub_fixture *fixture)
{
    size_t position = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    shows_before(fixture, position, "zj.example/exchange/1", fixture->keys.log);
}

/* What the office signed for the generation before, entered by the next one. */
static void confirmation_is_of_the_generation_before(struct hub_fixture *fixture)
{
    static const char *const office[] = {"office"};
    size_t opened = open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    hub_fixture_confirm(fixture, office, 1, opened);
}

/* It was about other entries, which are not in this ledger. */
static void confirmation_reaches_past_its_generation(struct hub_fixture *fixture)
{
    static const char *const office[] = {"office"};
    open_next(fixture, NEXT_ORIGIN, FIXTURE_ORIGIN);
    hub_fixture_confirm(fixture, office, 1, fixture->n_entries);
}

/* ---- all of them ---- */

struct lie {
    const char *name;
    void (*tell)(struct hub_fixture *fixture);
    bool proved;
    const char *origin; /* of the checkpoint; NULL: the first one */
    const char *code;   /* with which it is refused; NULL: both verifiers' choice */
    bool suites;        /* told in both suites */
};

static const struct lie lies[] = {
    {"truth", truth, true, NULL, NULL, true},
    {"signature-is-altered", signature_is_altered, false, NULL, NULL, false},
    {"seal-is-by-another-node", seal_is_by_another_node, false, NULL, NULL, false},
    {"seal-is-for-another-hub", seal_is_for_another_hub, false, NULL, NULL, false},
    {"seal-names-another-key", seal_names_another_key, false, NULL, NULL, false},
    {"seal-has-fewer-members", seal_has_fewer_members, false, NULL, NULL, false},
    {"seal-has-other-numbers", seal_has_other_numbers, false, NULL, NULL, false},
    {"enrolment-comes-late", enrolment_comes_late, false, NULL, NULL, false},
    {"events-change-places", events_change_places, false, NULL, NULL, false},
    {"event-is-another", event_is_another, false, NULL, NULL, false},
    {"event-is-of-another-node", event_is_of_another_node, false, NULL, NULL, false},
    {"accepted-is-told-as-refused", accepted_is_told_as_refused, false, NULL, NULL, false},
    {"outcome-has-no-member", outcome_has_no_member, false, NULL, NULL, false},
    {"outcome-is-of-another-event", outcome_is_of_another_event, false, NULL, NULL, false},
    {"time-goes-back", time_goes_back, false, NULL, NULL, false},
    {"confirmation-is-altered", confirmation_is_altered, false, NULL, NULL, false},
    {"confirmation-is-of-what-comes-later", confirmation_is_of_what_comes_later, false, NULL, NULL, false},
    {"enrolment-is-not-signed", enrolment_is_not_signed, false, NULL, NULL, false},
    {"certificate-is-of-another-node", certificate_is_of_another_node, false, NULL, NULL, false},
    {"certificate-is-altered", certificate_is_altered, false, NULL, NULL, false},
    {"authority-is-another", authority_is_another, false, NULL, NULL, false},
    {"log-is-another", log_is_another, false, NULL, NULL, false},
    {"opening-comes-second", opening_comes_second, false, NULL, NULL, false},
    {"key-changes-with-its-word", key_changes_with_its_word, true, NULL, NULL, true},
    {"key-changes-without-its-word", key_changes_without_its_word, false, NULL, "CB-SIGNATURE", true},
    {"certificate-had-ended", certificate_had_ended, true, NULL, NULL, true},
    {"old-key-signs-on", old_key_signs_on, false, NULL, NULL, false},
    {"content-is-destroyed", content_is_destroyed, true, NULL, NULL, false},
    {"generation-goes-on", generation_goes_on, true, NEXT_ORIGIN, NULL, false},
    {"generation-has-no-one-before", generation_has_no_one_before, false, NEXT_ORIGIN, NULL, false},
    {"generation-follows-another", generation_follows_another, false, NEXT_ORIGIN, NULL, false},
    {"generation-is-signed-for-early", generation_is_signed_for_early, false, NEXT_ORIGIN, NULL, false},
    {"generation-is-of-another-name", generation_is_of_another_name, false, OTHER_ORIGIN, NULL, false},
    {"generation-is-the-same-again", generation_is_the_same_again, false, NULL, NULL, false},
    {"confirmation-is-of-the-generation-before", confirmation_is_of_the_generation_before, true, NEXT_ORIGIN,
     NULL, false},
    {"confirmation-reaches-past-its-generation", confirmation_reaches_past_its_generation, false, NEXT_ORIGIN,
     NULL, false},
    {"generation-is-not-signed-for", generation_goes_on, false, NULL, NULL, false},
    {"seal-is-behind-a-revocation", seal_is_behind_a_revocation, false, NULL, "CB-REVOKED", true},
    {"seal-is-behind-a-suspension", seal_is_behind_a_suspension, false, NULL, "CB-SUSPENDED", true},
    {"seal-is-behind-the-end-of-a-suspension", seal_is_behind_the_end_of_a_suspension, true, NULL, NULL,
     true},
    {"revocation-is-of-another", revocation_is_of_another, true, NULL, NULL, true},
    {"revoked-key-is-followed", revoked_key_is_followed, true, NULL, NULL, true},
    {"revoked-key-signs-for-the-next", revoked_key_signs_for_the_next, true, NULL, NULL, true},
    {"suspended-key-is-followed-without-its-word", suspended_key_is_followed_without_its_word, false, NULL,
     "CB-SIGNATURE", true},
    {"followed-key-is-revoked-as-well", followed_key_is_revoked_as_well, false, NULL, "CB-REVOKED", true},
    {"node-was-invited", node_was_invited, true, NULL, NULL, true},
    {"invitation-was-for-another", invitation_was_for_another, false, NULL, "CB-NOT-ALLOWED", true},
    {"invitation-offered-less", invitation_offered_less, false, NULL, "CB-NOT-ALLOWED", true},
    {"invitation-comes-behind", invitation_comes_behind, false, NULL, "CB-NOT-ALLOWED", true},
    {"refused-for-what-its-seal-says", refused_for_what_its_seal_says, true, NULL, NULL, true},
    {"refused-and-not-kept", refused_and_not_kept, true, NULL, NULL, true},
    {"refused-for-something-else", refused_for_something_else, false, NULL, "CB-BAD-FIELD", true},
    {"refused-again-without-a-seal", refused_again_without_a_seal, true, NULL, NULL, true},
    {"act-is-two-acts", act_is_two_acts, false, NULL, "CB-MALFORMED", true},
    {"act-is-given-twice", act_is_given_twice, false, NULL, "CB-MALFORMED", true},
    {"entry-is-two-things", entry_is_two_things, false, NULL, "CB-MALFORMED", true},
};

/* Told to somebody who trusts the log's key for another generation than that of the checkpoint. */
struct taking_over {
    struct lie lie;
    const char *trusted;
};

static const struct taking_over taking_over[] = {
    {{"key-is-taken-over", generation_goes_on, true, NEXT_ORIGIN, NULL, true}, FIXTURE_ORIGIN},
    {{"key-is-taken-over-twice", generation_goes_on_twice, true, THIRD_ORIGIN, NULL, false}, FIXTURE_ORIGIN},
    {{"key-is-taken-over-from-the-second", generation_goes_on_twice, true, THIRD_ORIGIN, NULL, false},
     NEXT_ORIGIN},
    {{"key-is-taken-over-a-lost-generation", a_generation_was_lost, true, THIRD_ORIGIN, NULL, false},
     FIXTURE_ORIGIN},
    {{"key-is-taken-over-from-a-lost-generation", a_generation_was_lost, true, THIRD_ORIGIN, NULL, false},
     NEXT_ORIGIN},
    {{"key-is-not-taken-back", truth, false, NULL, "CB-HUB-IDENTITY", true}, NEXT_ORIGIN},
    {{"key-is-of-another-hub", generation_goes_on, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", false},
     "zj.example/exchange/1"},
    {{"key-is-of-no-origin", generation_goes_on, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", false},
     "js.example/exchange"},
    {{"next-key-is-a-strangers", next_key_is_a_strangers, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", true},
     FIXTURE_ORIGIN},
    {{"first-key-is-a-strangers", first_key_is_a_strangers, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", false},
     FIXTURE_ORIGIN},
    {{"key-was-another-in-between", key_was_another_in_between, false, THIRD_ORIGIN, "CB-HUB-IDENTITY", true},
     FIXTURE_ORIGIN},
    {{"nothing-is-shown-of-before", nothing_is_shown_of_before, false, NEXT_ORIGIN, NULL, false},
     FIXTURE_ORIGIN},
    {{"nothing-is-shown-of-before-a-key-that-is-given", nothing_is_shown_of_before, true, NEXT_ORIGIN, NULL,
      false},
     NULL},
    {{"a-stranger-signed-what-was-before", a_stranger_signed_what_was_before, false, NEXT_ORIGIN,
      "CB-SIGNATURE", true},
     FIXTURE_ORIGIN},
    {{"before-is-itself", before_is_itself, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", false}, FIXTURE_ORIGIN},
    {{"before-is-older", before_is_older, false, THIRD_ORIGIN, "CB-HUB-IDENTITY", false}, FIXTURE_ORIGIN},
    {{"before-is-of-another-hub", before_is_of_another_hub, false, NEXT_ORIGIN, "CB-HUB-IDENTITY", false},
     FIXTURE_ORIGIN},
};

/* Signed by @key as @origin, and everything put into one file. */
static void put_all(struct maker *maker, const char *origin, const struct signing_key *key, bool proved)
{
    char note[NOTE_MAX];
    evidence_fixture_checkpoint(&maker->fixture, origin, key, note);
    put_under(maker, "all", note, proved, "", 0);
}

/* @trusted: as whose the log's key is given. */
static void lie(struct maker *maker, const struct lie *lie, const char *trusted, enum suite_id suite)
{
    struct hub_fixture *fixture = &maker->fixture;
    const char *origin = lie->origin ? lie->origin : FIXTURE_ORIGIN;
    char vkey[VKEY_MAX], name[96];
    snprintf(name, sizeof name, "%s%s", suite == SUITE_GM ? "gm-" : "", lie->name);
    begin_suite(maker, name, suite);
    evidence_fixture_tell(fixture);
    lie->tell(fixture);
    assert_true(note_vkey_format(vkey, sizeof vkey, trusted ? trusted : origin,
                                 signing_key_public(fixture->keys.log)) > 0);
    put_key(maker, "log.vkey", vkey);
    maker->code = lie->code;
    put_all(maker, origin, fixture->keys.log, lie->proved);
    maker->code = NULL;
    hub_fixture_deinit(fixture);
}

/* In gm those that are told in both. */
static void all_told(struct maker *maker, enum suite_id suite)
{
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        if (suite == SUITE_INTL || lies[i].suites)
            lie(maker, &lies[i], NULL, suite);
    for (size_t i = 0; i < sizeof taking_over / sizeof taking_over[0]; i++)
        if (suite == SUITE_INTL || taking_over[i].lie.suites)
            lie(maker, &taking_over[i].lie, taking_over[i].trusted, suite);
}

/* What departments wrote to turn a reader's terminal around, to break its lines, or to hide. */
#define STEERING "\u202E\u2028\u2066\u200F\uFEFF\xC2\x85\U000E0041\x1b[2J"

static void words_steer_a_terminal(struct maker *maker)
{
    char note[NOTE_MAX];
    const struct fixture_event events[] = {{.record = "r" STEERING "9",
                                            .number = "2026/" STEERING "9",
                                            .action = STEERING,
                                            .name = "张" STEERING},
                                           {.record = "r10", .number = "2026/9", .refused = STEERING}};
    begin(maker, "words-steer-a-terminal");
    evidence_fixture_tell(&maker->fixture);
    hub_fixture_batch(&maker->fixture, "bureau", events, 2);
    evidence_fixture_checkpoint(&maker->fixture, FIXTURE_ORIGIN, maker->fixture.keys.log, note);
    put_evidence(maker, "all", evidence_fixture_file(&maker->fixture, note, SHOWN_OPEN), true, "", 0);
    /* The origin is nobody's, so that the sentence which refuses it names it. */
    evidence_fixture_checkpoint(&maker->fixture, "js\u202E\u2066.example/exchange/1", maker->fixture.keys.log,
                                note);
    put_evidence(maker, "origin", evidence_fixture_file(&maker->fixture, note, SHOWN_OPEN), false, "", 0);
    hub_fixture_deinit(&maker->fixture);
}

/* Whoever has only the key that he gave to the next generation. */
static void next_log_is_a_strangers(struct maker *maker)
{
    begin(maker, "next-log-is-a-strangers");
    evidence_fixture_tell(&maker->fixture);
    next_key_is_a_strangers(&maker->fixture);
    put_all(maker, NEXT_ORIGIN, maker->fixture.nodes[0].key, false);
    hub_fixture_deinit(&maker->fixture);
}

static void log_key_is_a_strangers(struct maker *maker)
{
    begin(maker, "log-key-is-a-strangers");
    evidence_fixture_tell(&maker->fixture);
    put_all(maker, FIXTURE_ORIGIN, maker->fixture.nodes[0].key, false);
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
    strangely_witnessed(&maker);
    all_told(&maker, SUITE_INTL);
    if (suite_get(SUITE_GM))
        all_told(&maker, SUITE_GM);
    words_steer_a_terminal(&maker);
    log_key_is_a_strangers(&maker);
    next_log_is_a_strangers(&maker);
    snprintf(path, sizeof path, "%s/index.json", maker.dir);
    int r = json_dump_file(maker.index, path, JSON_INDENT(1));
    json_decref(maker.index);
    return r ? 1 : 0;
}
