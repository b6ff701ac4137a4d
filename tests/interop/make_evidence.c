/* Writes evidence files of many shapes for the two verifiers: what an honest hub makes, and what a hub would
 * make whose ledger says something that cannot be so, though its log signs it. Ledgers are filled by hand
 * (hub_fixture), since no hub tells such lies.
 *
 *   make_evidence DIR     writes DIR/index.json, which lists the files of each ledger's directory
 */
#include "hub/console/prove.h"
#include "proto/evidence/evidence_fixture.h"

#include <openssl/evp.h>
#include <sys/stat.h>

struct maker {
    const char *dir;
    const char *ledger; /* the name of what is being told */
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
};

static const struct lie lies[] = {
    {"truth", truth, true, NULL},
    {"signature-is-altered", signature_is_altered, false, NULL},
    {"seal-is-by-another-node", seal_is_by_another_node, false, NULL},
    {"seal-is-for-another-hub", seal_is_for_another_hub, false, NULL},
    {"seal-names-another-key", seal_names_another_key, false, NULL},
    {"seal-has-fewer-members", seal_has_fewer_members, false, NULL},
    {"seal-has-other-numbers", seal_has_other_numbers, false, NULL},
    {"enrolment-comes-late", enrolment_comes_late, false, NULL},
    {"events-change-places", events_change_places, false, NULL},
    {"event-is-another", event_is_another, false, NULL},
    {"event-is-of-another-node", event_is_of_another_node, false, NULL},
    {"accepted-is-told-as-refused", accepted_is_told_as_refused, false, NULL},
    {"outcome-has-no-member", outcome_has_no_member, false, NULL},
    {"outcome-is-of-another-event", outcome_is_of_another_event, false, NULL},
    {"time-goes-back", time_goes_back, false, NULL},
    {"confirmation-is-altered", confirmation_is_altered, false, NULL},
    {"confirmation-is-of-what-comes-later", confirmation_is_of_what_comes_later, false, NULL},
    {"enrolment-is-not-signed", enrolment_is_not_signed, false, NULL},
    {"certificate-is-of-another-node", certificate_is_of_another_node, false, NULL},
    {"certificate-is-altered", certificate_is_altered, false, NULL},
    {"authority-is-another", authority_is_another, false, NULL},
    {"log-is-another", log_is_another, false, NULL},
    {"opening-comes-second", opening_comes_second, false, NULL},
    {"key-changes-with-its-word", key_changes_with_its_word, true, NULL},
    {"key-changes-without-its-word", key_changes_without_its_word, false, NULL},
    {"old-key-signs-on", old_key_signs_on, false, NULL},
    {"content-is-destroyed", content_is_destroyed, true, NULL},
    {"generation-goes-on", generation_goes_on, true, NEXT_ORIGIN},
    {"generation-has-no-one-before", generation_has_no_one_before, false, NEXT_ORIGIN},
    {"generation-follows-another", generation_follows_another, false, NEXT_ORIGIN},
    {"generation-is-signed-for-early", generation_is_signed_for_early, false, NEXT_ORIGIN},
    {"generation-is-of-another-name", generation_is_of_another_name, false, OTHER_ORIGIN},
    {"generation-is-the-same-again", generation_is_the_same_again, false, NULL},
    {"confirmation-is-of-the-generation-before", confirmation_is_of_the_generation_before, true, NEXT_ORIGIN},
    {"confirmation-reaches-past-its-generation", confirmation_reaches_past_its_generation, false,
     NEXT_ORIGIN},
    {"generation-is-not-signed-for", generation_goes_on, false, NULL},
};

/* Signed by @key as @origin, and everything put into one file. */
static void put_all(struct maker *maker, const char *origin, const struct signing_key *key, bool proved)
{
    char note[NOTE_MAX];
    evidence_fixture_checkpoint(&maker->fixture, origin, key, note);
    put_under(maker, "all", note, proved, "", 0);
}

static void lie(struct maker *maker, const struct lie *lie)
{
    struct hub_fixture *fixture = &maker->fixture;
    const char *origin = lie->origin ? lie->origin : FIXTURE_ORIGIN;
    char vkey[VKEY_MAX];
    begin(maker, lie->name);
    evidence_fixture_tell(fixture);
    lie->tell(fixture);
    assert_true(note_vkey_format(vkey, sizeof vkey, origin, signing_key_public(fixture->keys.log)) > 0);
    put_key(maker, "log.vkey", vkey);
    put_all(maker, origin, fixture->keys.log, lie->proved);
    hub_fixture_deinit(fixture);
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
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        lie(&maker, &lies[i]);
    log_key_is_a_strangers(&maker);
    snprintf(path, sizeof path, "%s/index.json", maker.dir);
    int r = json_dump_file(maker.index, path, JSON_INDENT(1));
    json_decref(maker.index);
    return r ? 1 : 0;
}
