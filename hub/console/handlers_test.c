/* What the console answers about a small hub: two nodes, two cases, four events. */
#include "hub/console/enrol.h"
#include "hub/console/hub_fixture.h"
#include "hub/console/message_json.h"
#include "proto/codec/statement.h"
#include "proto/evidence/evidence.h"

#include <openssl/evp.h>

static int setup(void **state)
{
    struct hub_fixture *fixture = malloc(sizeof *fixture);
    hub_fixture_init(fixture);
    hub_fixture_story(fixture);
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, 10, NULL, true);
    hub_fixture_apply(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    hub_fixture_deinit(*state);
    free(*state);
    return 0;
}

static json_t *ask(struct hub_fixture *fixture, const char *method, const char *target, const char *body,
                   unsigned status)
{
    const struct console_request request = {method, target, bytes_of_text(body), "tester"};
    struct console_reply reply;
    console_handle(&fixture->hub, &request, &reply, NULL);
    if (reply.status != status) {
        char *text = json_dumps(reply.body, JSON_COMPACT);
        fail_msg("%s %s: %u %s", method, target, reply.status, text);
    }
    assert_true(json_is_object(reply.body));
    return reply.body;
}

static json_t *get(struct hub_fixture *fixture, const char *target)
{
    return ask(fixture, "GET", target, "", 200);
}

static void expect_error(struct hub_fixture *fixture, const char *method, const char *target,
                         const char *body, unsigned status, const char *code)
{
    json_t *answer = ask(fixture, method, target, body, status);
    assert_string_equal(json_string_value(json_object_get(answer, "code")), code);
    assert_true(strlen(json_string_value(json_object_get(answer, "sentence"))) > 0);
    assert_true(json_is_string(json_object_get(answer, "hint")));
    json_decref(answer);
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(none)";
}

static json_int_t number_at(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

/* ---- status, nodes ---- */

static void test_incident_tells_what_a_node_touched_in_pages(void **state)
{
    struct hub_fixture *fixture = *state;
    json_t *all = ask(fixture, "GET", "/v1/incidents/desk?persons=1", "", 200), *page;
    const json_t *touches = json_object_get(all, "touches");
    size_t n = json_array_size(touches), published = 0, refused = 0;
    assert_true(n > 3);
    for (size_t i = 0; i < n; i++) {
        const char *what = json_string_value(json_object_get(json_array_get(touches, i), "what"));
        published += strcmp(what, "published") == 0;
        refused += strcmp(what, "refused") == 0;
    }
    assert_true(published > 0 && refused > 0);
    assert_true(json_is_null(json_object_get(all, "next")));
    page = ask(fixture, "GET", "/v1/incidents/desk?limit=1", "", 200);
    assert_true(json_is_integer(json_object_get(page, "next")));
    json_decref(page);
    page = ask(fixture, "GET", "/v1/incidents/desk?from=99&to=200", "", 200);
    assert_int_equal(json_array_size(json_object_get(page, "touches")), 0);
    json_decref(page);
    json_decref(ask(fixture, "GET", "/v1/incidents/desk?from=x", "", 400));
    json_decref(all);
}

static void test_status_tells_what_the_stores_hold(void **state)
{
    json_t *answer = get(*state, "/v1/status");
    assert_string_equal(text_at(answer, "origin"), FIXTURE_ORIGIN);
    assert_true(json_is_false(json_object_get(answer, "running")));
    assert_int_equal(number_at(answer, "ledger_size"), 10);
    assert_int_equal(number_at(answer, "state_applied"), 10);
    assert_int_equal(number_at(answer, "cases"), 2);
    assert_int_equal(number_at(json_object_get(answer, "checkpoint"), "size"), 10);
    json_decref(answer);
}

static void test_barrier_needs_a_running_hub(void **state)
{
    expect_error(*state, "POST", "/v1/barrier", "", 503, "CB-CLOSED");
}

static void test_nodes_are_listed_with_their_counters(void **state)
{
    json_t *answer = get(*state, "/v1/nodes");
    const json_t *nodes = json_object_get(answer, "nodes");
    assert_int_equal(json_array_size(nodes), 2);
    const json_t *desk = json_array_get(nodes, 1);
    assert_string_equal(text_at(desk, "node"), "desk");
    assert_string_equal(text_at(desk, "department"), "市监局");
    assert_int_equal(number_at(desk, "accepted"), 1);
    assert_int_equal(number_at(desk, "duplicate"), 1);
    assert_int_equal(number_at(desk, "refused"), 1);
    assert_int_equal(number_at(desk, "enrolled_position"), 2);
    json_decref(answer);
}

static void test_node_shows_its_streams(void **state)
{
    json_t *answer = get(*state, "/v1/nodes/bureau");
    const json_t *streams = json_object_get(answer, "streams");
    assert_int_equal(json_array_size(streams), 1);
    assert_string_equal(text_at(json_array_get(streams, 0), "stream"), "1122334455667701");
    assert_int_equal(number_at(json_array_get(streams, 0), "last"), 3);
    json_decref(answer);
    expect_error(*state, "GET", "/v1/nodes/nobody", "", 404, "CB-UNKNOWN-NODE");
}

/* ---- cases ---- */

static void test_cases_come_in_pages(void **state)
{
    json_t *first = get(*state, "/v1/cases?limit=1");
    assert_int_equal(json_array_size(json_object_get(first, "cases")), 1);
    const json_t *one = json_array_get(json_object_get(first, "cases"), 0);
    char target[128];
    assert_string_equal(text_at(one, "number"), "2026/1");
    assert_string_equal(text_at(one, "status"), "accepted");
    assert_string_equal(text_at(first, "next"), text_at(one, "case_id"));
    snprintf(target, sizeof target, "/v1/cases?limit=1&after=%s", text_at(first, "next"));
    json_t *second = get(*state, target);
    one = json_array_get(json_object_get(second, "cases"), 0);
    assert_string_equal(text_at(one, "number"), "2026-2");
    assert_string_equal(text_at(one, "status"), "applied");
    assert_true(json_is_null(json_object_get(second, "next")));
    json_decref(first);
    json_decref(second);
    expect_error(*state, "GET", "/v1/cases?after=2026-2", "", 400, "CB-ARGUMENT");
}

static void test_cases_are_chosen_by_status(void **state)
{
    json_t *answer = get(*state, "/v1/cases?status=accepted");
    assert_int_equal(json_array_size(json_object_get(answer, "cases")), 1);
    json_decref(answer);
    expect_error(*state, "GET", "/v1/cases?status=lost", "", 400, "CB-ARGUMENT");
}

static void test_case_shows_a_timeline_across_departments(void **state)
{
    json_t *answer = get(*state, "/v1/cases/2026%2F1");
    const json_t *timeline = json_object_get(answer, "timeline");
    assert_string_equal(text_at(answer, "number"), "2026/1");
    assert_int_equal(json_array_size(timeline), 3);
    const json_t *apply = json_array_get(timeline, 0), *step = json_array_get(timeline, 1),
                 *accept = json_array_get(timeline, 2);
    assert_string_equal(text_at(apply, "kind"), "apply");
    assert_string_equal(text_at(apply, "node"), "bureau");
    assert_string_equal(text_at(step, "what"), "初审");
    assert_string_equal(text_at(step, "handler"), "一组");
    assert_int_equal(number_at(step, "position"), 5);
    assert_string_equal(text_at(accept, "node"), "desk");
    assert_true(json_is_true(json_object_get(answer, "timeline_whole")));
    json_decref(answer);
    expect_error(*state, "GET", "/v1/cases/nothing", "", 404, "CB-NOT-FOUND");
}

static void test_case_stays_readable_when_its_content_is_erased(void **state)
{
    struct hub_fixture *fixture = *state;
    struct casebus_error err;
    must(vault_erase(fixture->vault, fixture->cases[0].slot, &err), &err);
    json_t *answer = get(fixture, "/v1/cases/2026%2F1");
    const json_t *apply = json_array_get(json_object_get(answer, "timeline"), 0);
    assert_string_equal(text_at(apply, "content"), "erased");
    assert_string_equal(text_at(apply, "kind"), "apply");
    json_decref(answer);
}

/* ---- events ---- */

static void test_who_was_given_what_is_read_with_a_cursor(void **state)
{
    struct hub_fixture *fixture = *state;
    const struct fixture_event events[] = {
        {.record = "s1", .number = "2026/9", .name = "张三", .receivers = {"bureau"}},
        {.record = "s2", .number = "2026/9", .name = "张三", .receivers = {"bureau"}}};
    uint64_t seal = hub_fixture_batch(fixture, "desk", events, 2), next = 0;
    hub_fixture_write(fixture);
    for (unsigned i = 0; i < 2; i++) {
        char target[128];
        snprintf(target, sizeof target, "/v1/sharing?node=desk&reader=bureau&limit=1&from=%llu",
                 (unsigned long long)next);
        json_t *answer = get(fixture, target);
        const json_t *share = json_array_get(json_object_get(answer, "sharing"), 0);
        assert_string_equal(text_at(share, "reader"), "bureau");
        assert_string_equal(text_at(share, "case_number"), "2026/9");
        assert_string_equal(json_string_value(json_array_get(json_object_get(share, "parts"), 0)),
                            "identity");
        assert_int_equal(number_at(share, "position"), seal + 1 + i);
        assert_int_equal(json_is_false(json_object_get(share, "confirmed")), 1);
        assert_int_equal(json_is_null(json_object_get(answer, "next")), i == 1);
        next = i == 0 ? (uint64_t)number_at(answer, "next") : 0;
        json_decref(answer);
    }
    json_t *answer = get(fixture, "/v1/sharing?node=bureau&reader=bureau");
    assert_int_equal(json_array_size(json_object_get(answer, "sharing")), 0);
    json_decref(answer);
    expect_error(fixture, "GET", "/v1/sharing", "", 400, "CB-MISSING-FIELD");
    expect_error(fixture, "GET", "/v1/sharing?node=nobody", "", 404, "CB-UNKNOWN-NODE");
}

static void test_events_are_read_with_a_cursor(void **state)
{
    json_t *answer = get(*state, "/v1/events?limit=2");
    const json_t *events = json_object_get(answer, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_int_equal(number_at(json_array_get(events, 0), "position"), 4);
    assert_int_equal(number_at(answer, "next"), 5);
    assert_true(json_is_true(json_object_get(answer, "more")));
    json_decref(answer);
    answer = get(*state, "/v1/events?after=5");
    events = json_object_get(answer, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_int_equal(number_at(json_array_get(events, 1), "position"), 8);
    assert_int_equal(number_at(answer, "next"), 9);
    assert_true(json_is_false(json_object_get(answer, "more")));
    json_decref(answer);
    answer = get(*state, "/v1/events?after=9");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 0);
    assert_int_equal(number_at(answer, "next"), 9);
    json_decref(answer);
}

/* More than one answer holds: the page ends, and says where the next begins. */
static void test_a_page_of_large_events_ends_and_the_next_goes_on(void **state)
{
    struct hub_fixture *fixture = *state;
    hub_fixture_large(fixture, "desk");
    hub_fixture_write(fixture);
    char target[128] = "/v1/events?after=9&limit=1000&parts=1";
    size_t n_events = 0, n_pages = 0;
    for (bool more = true; more; n_pages++) {
        json_t *answer = get(fixture, target);
        const json_t *list = json_object_get(answer, "events");
        assert_in_range(json_dumpb(answer, NULL, 0, 0), 1, 8 * 1024 * 1024);
        assert_true(json_array_size(list) > 0 || json_is_false(json_object_get(answer, "more")));
        n_events += json_array_size(list);
        more = json_is_true(json_object_get(answer, "more"));
        snprintf(target, sizeof target, "/v1/events?after=%lld&limit=1000&parts=1",
                 (long long)number_at(answer, "next"));
        json_decref(answer);
    }
    assert_int_equal(n_events, FIXTURE_LARGE);
    assert_in_range(n_pages, 2, FIXTURE_LARGE);
}

static void test_last_events_and_those_of_a_node(void **state)
{
    json_t *answer = get(*state, "/v1/events?last=2");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 2);
    assert_int_equal(number_at(json_array_get(json_object_get(answer, "events"), 0), "position"), 6);
    json_decref(answer);
    answer = get(*state, "/v1/events?node=desk");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 1);
    json_decref(answer);
    expect_error(*state, "GET", "/v1/events?last=2&after=1", "", 400, "CB-ARGUMENT");
}

static void test_parts_are_shown_only_when_asked_for(void **state)
{
    json_t *answer = get(*state, "/v1/events/4");
    const json_t *part = json_array_get(json_object_get(answer, "parts"), 0);
    assert_string_equal(text_at(part, "kind"), "identity");
    assert_null(json_object_get(part, "content"));
    assert_null(json_object_get(json_object_get(answer, "header"), "random"));
    json_decref(answer);
    answer = get(*state, "/v1/events/4?parts=1");
    part = json_array_get(json_object_get(answer, "parts"), 0);
    assert_string_equal(text_at(json_object_get(part, "content"), "name"), "张三");
    json_decref(answer);
}

static void test_event_has_three_names(void **state)
{
    char target[128];
    json_t *by_position = get(*state, "/v1/events/5");
    snprintf(target, sizeof target, "/v1/events/%s", text_at(by_position, "event_id"));
    json_t *by_hash = get(*state, target);
    json_t *by_number = get(*state, "/v1/events/bureau:1122334455667701:2");
    assert_int_equal(number_at(by_hash, "position"), 5);
    assert_int_equal(number_at(by_number, "position"), 5);
    assert_string_equal(text_at(by_number, "outcome"), "accepted");
    json_decref(by_position);
    json_decref(by_hash);
    json_decref(by_number);
}

static void test_event_tells_what_became_of_duplicates_and_refused_ones(void **state)
{
    json_t *answer = get(*state, "/v1/events/desk:1122334455667702:1");
    assert_string_equal(text_at(answer, "outcome"), "duplicate");
    assert_int_equal(number_at(answer, "duplicate_of"), 4);
    json_decref(answer);
    answer = get(*state, "/v1/events/desk:1122334455667702:2");
    assert_int_equal(number_at(answer, "position"), 8);
    json_decref(answer);
    answer = get(*state, "/v1/events/desk:1122334455667702:3");
    assert_string_equal(text_at(answer, "outcome"), "refused");
    assert_string_equal(text_at(answer, "code"), "CB-RECORD-OWNER");
    json_decref(answer);
    expect_error(*state, "GET", "/v1/events/desk:1122334455667702:4", "", 404, "CB-NOT-FOUND");
}

static void test_event_refuses_names_that_are_none(void **state)
{
    expect_error(*state, "GET", "/v1/events/10", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "GET", "/v1/events/3", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "GET", "/v1/events/desk:12:1", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/events/x", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/events/0000000000000000000000000000000000000000000000000000000000000000",
                 "", 404, "CB-NOT-FOUND");
}

/* ---- the ledger ---- */

static void test_entries_are_decoded(void **state)
{
    json_t *answer = get(*state, "/v1/ledger/entries?limit=9");
    const json_t *entries = json_object_get(answer, "entries");
    assert_int_equal(json_array_size(entries), 9);
    assert_string_equal(text_at(json_array_get(entries, 0), "type"), "ledger_opened");
    assert_string_equal(text_at(json_array_get(entries, 3), "type"), "seal");
    const json_t *statement =
        json_object_get(json_object_get(json_array_get(entries, 3), "seal"), "statement");
    assert_string_equal(text_at(statement, "node"), "bureau");
    assert_int_equal(number_at(statement, "count"), 3);
    assert_int_equal(strlen(text_at(json_array_get(entries, 3), "leaf_hash")), 64);
    assert_int_equal(number_at(answer, "next"), 9);
    json_decref(answer);
    answer = get(*state, "/v1/ledger/entries?from=9");
    assert_string_equal(text_at(json_array_get(json_object_get(answer, "entries"), 0), "type"),
                        "quarantined");
    assert_true(json_is_null(json_object_get(answer, "next")));
    json_decref(answer);
}

static void test_checkpoint_is_the_newest_at_a_size(void **state)
{
    json_t *answer = get(*state, "/v1/ledger/checkpoint");
    assert_int_equal(number_at(answer, "size"), 10);
    assert_int_equal(strncmp(text_at(answer, "note"), FIXTURE_ORIGIN "\n10\n", 25), 0);
    json_decref(answer);
    expect_error(*state, "GET", "/v1/ledger/checkpoint?size=9", "", 404, "CB-NOT-FOUND");
}

/* ---- enrolment ---- */

struct newcomer {
    struct signing_key *key;
    Casebus__V1__EnrolmentStatement statement;
    uint8_t curve[CURVE_KEY_SIZE];
};

static void newcomer_init(struct newcomer *newcomer)
{
    struct casebus_error err;
    must(signing_key_generate(&newcomer->key, suite_get(SUITE_INTL), &err), &err);
    memset(newcomer->curve, 0x77, sizeof newcomer->curve);
    casebus__v1__enrolment_statement__init(&newcomer->statement);
    newcomer->statement.context = (char *)ENROLMENT_CONTEXT;
    newcomer->statement.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    newcomer->statement.origin = (char *)FIXTURE_ORIGIN;
    newcomer->statement.node = (char *)"newcomer";
    newcomer->statement.department = (char *)"数据局";
    newcomer->statement.area = (char *)"320100";
    const struct public_key *public = signing_key_public(newcomer->key);
    newcomer->statement.public_key = (ProtobufCBinaryData){public->size, (uint8_t *)public->bytes};
    newcomer->statement.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, newcomer->curve};
}

static char *request_of(struct hub_fixture *fixture, struct newcomer *newcomer, const char *grants)
{
    uint8_t signature[SIGNATURE_SIZE];
    char statement64[2048], signature64[128];
    struct bytes statement = codec_pack(&newcomer->statement, &fixture->arena);
    assert_int_equal(signing_key_sign(newcomer->key, statement, signature, NULL), 0);
    EVP_EncodeBlock((unsigned char *)statement64, statement.data, (int)statement.size);
    EVP_EncodeBlock((unsigned char *)signature64, signature, sizeof signature);
    return arena_printf(&fixture->arena, "{\"statement\":\"%s\",\"signature\":\"%s\",\"grants\":%s}",
                        statement64, signature64, grants);
}

/* Commits as a hub does: the entry, and the state that follows from it. */
static int on_enrol(void *self, struct bytes statement, struct bytes signature, struct bytes certificate,
                    const Casebus__V1__Grants *grants, struct bytes invitation, const char *by,
                    int timeout_ms, struct casebus_error *err)
{
    struct hub_fixture *fixture = self;
    struct certificate_info info;
    assert_int_equal(invitation.size, 0);
    assert_string_equal(by, "tester");
    (void)timeout_ms;
    assert_int_equal(signature.size, SIGNATURE_SIZE);
    assert_true(statement.size > 0);
    assert_true(grants->publish);
    if (certificate_check(certificate, bytes_of(fixture->keys.authority, fixture->keys.authority_size), 0,
                          &info, err))
        return -1;
    assert_string_equal(info.node, "newcomer");
    assert_string_equal(info.department, "数据局");
    fixture->n_enrolled++;
    return 0;
}

static void test_enrolment_answers_what_the_node_has_to_know(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer newcomer;
    newcomer_init(&newcomer);
    fixture->hub.enrol = on_enrol;
    const char *body = request_of(fixture, &newcomer, "{\"publish\":true}");
    json_t *answer = ask(fixture, "POST", "/v1/nodes", body, 201);
    assert_int_equal(fixture->n_enrolled, 1);
    assert_int_equal(number_at(answer, "format"), 1);
    assert_string_equal(text_at(answer, "node"), "newcomer");
    assert_string_equal(text_at(answer, "origin"), FIXTURE_ORIGIN);
    assert_string_equal(text_at(answer, "endpoint"), "tcp://127.0.0.1:7400");
    assert_string_equal(text_at(answer, "log_key"), fixture->keys.log_vkey);
    assert_int_equal(strlen(text_at(answer, "hub_curve_key")), 40);
    assert_non_null(strstr(text_at(answer, "certificate"), "BEGIN CERTIFICATE"));
    assert_non_null(strstr(text_at(answer, "authority"), "BEGIN CERTIFICATE"));
    json_decref(answer);
    signing_key_free(newcomer.key);
}

static void test_enrolment_needs_a_running_hub(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer newcomer;
    newcomer_init(&newcomer);
    expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, "{\"publish\":true}"), 503,
                 "CB-CLOSED");
    signing_key_free(newcomer.key);
}

static void test_enrolment_refuses_what_is_not_signed_by_the_node(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer newcomer;
    newcomer_init(&newcomer);
    fixture->hub.enrol = on_enrol;
    const struct public_key *other = signing_key_public(hub_fixture_node(fixture, "desk")->key);
    newcomer.statement.public_key.data = (uint8_t *)other->bytes;
    expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, "{\"publish\":true}"), 400,
                 "CB-SIGNATURE");
    assert_int_equal(fixture->n_enrolled, 0);
    signing_key_free(newcomer.key);
}

static void test_enrolment_refuses_names_that_are_taken(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer newcomer;
    newcomer_init(&newcomer);
    fixture->hub.enrol = on_enrol;
    newcomer.statement.node = (char *)"desk";
    expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, "{\"publish\":true}"), 409,
                 "CB-EXISTS");
    newcomer.statement.node = (char *)"newcomer";
    memcpy(newcomer.curve, hub_fixture_node(fixture, "desk")->curve, CURVE_KEY_SIZE);
    expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, "{\"publish\":true}"), 409,
                 "CB-EXISTS");
    assert_int_equal(fixture->n_enrolled, 0);
    signing_key_free(newcomer.key);
}

/* What a node that is enrolled asks when it asks again. */
static void desk_again(struct hub_fixture *fixture, struct newcomer *again)
{
    struct fixture_node *desk = hub_fixture_node(fixture, "desk");
    newcomer_init(again);
    signing_key_free(again->key);
    again->key = desk->key;
    again->statement.node = (char *)"desk";
    again->statement.department = (char *)"市监局";
    again->statement.public_key.data = (uint8_t *)signing_key_public(desk->key)->bytes;
    memcpy(again->curve, desk->curve, CURVE_KEY_SIZE);
}

static void test_enrolment_asked_again_gets_the_same_certificate(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer again;
    desk_again(fixture, &again);
    json_t *answer =
        ask(fixture, "POST", "/v1/nodes", request_of(fixture, &again, "{\"publish\":true}"), 200);
    assert_non_null(strstr(text_at(answer, "certificate"), "BEGIN CERTIFICATE"));
    json_decref(answer);
}

/* Whose enrolment.json was lost on the way, and the hub was restored since: what he gets belongs together. */
static void test_enrolment_asked_again_after_a_restore_speaks_of_the_generation_that_certified(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer again;
    desk_again(fixture, &again);
    fixture->hub.origin = "js.example/exchange/2";
    again.statement.origin = (char *)fixture->hub.origin;
    json_t *answer =
        ask(fixture, "POST", "/v1/nodes", request_of(fixture, &again, "{\"publish\":true}"), 200);
    assert_string_equal(text_at(answer, "origin"), FIXTURE_ORIGIN);
    assert_string_equal(text_at(answer, "log_key"), fixture->keys.log_vkey);
    json_decref(answer);
    answer = ask(fixture, "GET", "/v1/status", "", 200);
    assert_int_equal(strncmp(text_at(answer, "log_key"), "js.example/exchange/2+", 22), 0);
    json_decref(answer);
}

/* Whoever forgot a right and asks again must not believe that it was given. */
/* --- renewals */

static int renew(struct hub_fixture *fixture, const char *session, const struct newcomer *newcomer,
                 struct casebus_error *err)
{
    const struct log silent = {.file = NULL};
    uint8_t certificate[CERTIFICATE_MAX], signature[SIGNATURE_SIZE];
    size_t size = 0;
    struct bytes statement = codec_pack(&newcomer->statement, &fixture->arena);
    assert_int_equal(signing_key_sign(newcomer->key, statement, signature, NULL), 0);
    return console_renew(&fixture->hub, &silent, session, statement, bytes_of(signature, sizeof signature),
                         certificate, &size, err) == 0 &&
                   size > 0
               ? 0
               : -1;
}

static void test_renewal_long_before_the_end_gets_the_certificate_that_there_is(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer desk;
    struct casebus_error err;
    desk_again(fixture, &desk);
    fixture->hub.enrol = on_enrol;
    must(renew(fixture, "desk", &desk, &err), &err);
    assert_int_equal(fixture->n_enrolled, 0);
}

static void test_renewal_keeps_name_department_and_keys(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer desk, other;
    struct casebus_error err;
    desk_again(fixture, &desk);
    fixture->hub.enrol = on_enrol;
    assert_int_equal(renew(fixture, "bureau", &desk, &err), -1); /* of another's session */
    assert_int_equal(err.code, CASEBUS_NOT_ALLOWED);
    desk.statement.department = (char *)"数据局";
    assert_int_equal(renew(fixture, "desk", &desk, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    newcomer_init(&other); /* a key that nobody vouches for */
    other.statement.node = (char *)"desk";
    other.statement.department = (char *)"市监局";
    assert_int_equal(renew(fixture, "desk", &other, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    other.statement.node = (char *)"newcomer";
    assert_int_equal(renew(fixture, "newcomer", &other, &err), -1); /* who is not enrolled */
    assert_int_equal(err.code, CASEBUS_NOT_ALLOWED);
    assert_int_equal(fixture->n_enrolled, 0);
    signing_key_free(other.key);
}

static void test_enrolment_asked_again_with_other_rights_is_refused(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer again;
    desk_again(fixture, &again);
    const char *const rights[] = {"{}", "{\"publish\":true,\"receive_all\":true}", "{\"receive_all\":true}"};
    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++)
        expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &again, rights[i]), 409, "CB-EXISTS");
    assert_int_equal(fixture->n_enrolled, 0);
}

static void test_enrolment_checks_its_fields(void **state)
{
    struct hub_fixture *fixture = *state;
    struct newcomer newcomer;
    newcomer_init(&newcomer);
    fixture->hub.enrol = on_enrol;
    expect_error(fixture, "POST", "/v1/nodes", "", 400, "CB-MISSING-FIELD");
    expect_error(fixture, "POST", "/v1/nodes", "{}", 400, "CB-MISSING-FIELD");
    expect_error(fixture, "POST", "/v1/nodes", "{\"statement\":\"####\",\"signature\":\"\",\"grants\":{}}",
                 400, "CB-BAD-FIELD");
    const char *bad_grants[] = {"{\"rule\":true}", "{\"publish\":1}", "{\"receive_parts\":[\"identity\"]}",
                                "{\"receive_all\":true,\"receive_parts\":[\"soul\"]}",
                                "{\"receive_all\":true,\"receive_parts\":\"identity\"}"};
    for (size_t i = 0; i < sizeof bad_grants / sizeof bad_grants[0]; i++)
        expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, bad_grants[i]), 400,
                     "CB-BAD-FIELD");
    newcomer.statement.origin = (char *)"zj.example/exchange/1";
    expect_error(fixture, "POST", "/v1/nodes", request_of(fixture, &newcomer, "{\"publish\":true}"), 400,
                 "CB-HUB-IDENTITY");
    assert_int_equal(fixture->n_enrolled, 0);
    signing_key_free(newcomer.key);
}

/* ---- routes ---- */

/* ---- evidence ---- */

/* What the evidence that @target asks for proves to somebody who has the hub's keys. */
static void evidence_get(struct hub_fixture *fixture, const char *target, struct evidence_report *report)
{
    json_t *answer = get(fixture, target);
    const char *text = text_at(answer, "evidence");
    struct note_verifier log;
    struct casebus_error err;
    uint8_t *file = malloc(strlen(text));
    int n = EVP_DecodeBlock(file, (const unsigned char *)text, (int)strlen(text));
    assert_true(n > 0);
    must(note_verifier_init(&log, fixture->keys.log_vkey, &err), &err);
    const struct evidence_trust trust = {
        .authorities = {bytes_of(fixture->keys.authority, fixture->keys.authority_size)},
        .n_authorities = 1,
        .logs = {&log},
        .n_logs = 1};
    must(evidence_verify(bytes_of(file, (size_t)number_at(answer, "size")), &trust, report, &err), &err);
    note_verifier_deinit(&log);
    free(file);
    json_decref(answer);
}

static size_t count_facts(const struct evidence_report *report, enum evidence_fact_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < report->n_facts; i++)
        n += report->facts[i].kind == kind;
    return n;
}

static void test_a_case_is_proved_with_all_who_signed(void **state)
{
    struct evidence_report report;
    evidence_get(*state, "/v1/evidence?case=2026%2F1", &report);
    assert_int_equal(count_facts(&report, FACT_EVENT), 3);
    assert_int_equal(count_facts(&report, FACT_HEADER), 3);
    assert_int_equal(count_facts(&report, FACT_ENROLLED), 2);
    assert_int_equal(count_facts(&report, FACT_SEALED), 2);
    assert_int_equal(count_facts(&report, FACT_PART), 0);
    evidence_report_deinit(&report);
}

static void test_every_entry_can_be_proved(void **state)
{
    for (unsigned position = 0; position < 10; position++) {
        struct evidence_report report;
        char target[64];
        snprintf(target, sizeof target, "/v1/evidence?position=%u", position);
        evidence_get(*state, target, &report);
        assert_true(report.n_facts > 1);
        evidence_report_deinit(&report);
    }
}

static void test_evidence_shows_what_was_asked_for(void **state)
{
    struct evidence_report report;
    evidence_get(*state, "/v1/evidence?event=4&open=identity", &report);
    assert_int_equal(count_facts(&report, FACT_PART), 1);
    evidence_report_deinit(&report);
    evidence_get(*state, "/v1/evidence?event=4&open=contact,form", &report);
    assert_int_equal(count_facts(&report, FACT_PART), 0);
    evidence_report_deinit(&report);
    evidence_get(*state, "/v1/evidence?event=4&sealed=1", &report);
    assert_int_equal(count_facts(&report, FACT_HEADER), 0);
    evidence_report_deinit(&report);
    expect_error(*state, "GET", "/v1/evidence?event=4&open=face", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/evidence?event=4&open=form&sealed=1", "", 400, "CB-ARGUMENT");
}

static void test_what_became_no_entry_is_proved_too(void **state)
{
    struct evidence_report report;
    const struct fixture_node *desk = hub_fixture_node(*state, "desk");
    char target[96];
    for (unsigned number = 1; number <= 3; number += 2) {
        snprintf(target, sizeof target, "/v1/evidence?event=desk%%3A%016llx%%3A%u",
                 (unsigned long long)desk->stream, number);
        evidence_get(*state, target, &report);
        assert_int_equal(count_facts(&report, FACT_OUTCOME), 1);
        assert_int_equal(count_facts(&report, FACT_EVENT), number == 1); /* the one that it repeats */
        evidence_report_deinit(&report);
    }
}

static void test_evidence_is_about_one_thing_that_is_there(void **state)
{
    expect_error(*state, "GET", "/v1/evidence", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/evidence?event=4&position=4", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/evidence?position=10", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "GET", "/v1/evidence?event=3", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "GET", "/v1/evidence?case=nowhere", "", 404, "CB-NOT-FOUND");
}

static int setup_enrolled_often(void **state)
{
    struct hub_fixture *fixture = malloc(sizeof *fixture);
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    const struct fixture_event later = {.record = "r9", .number = "2026-9"};
    hub_fixture_init(fixture);
    hub_fixture_story(fixture);
    for (int i = 0; i < ENROLMENTS_MAX; i++)
        hub_fixture_enrol(fixture, "desk", &grants);
    hub_fixture_batch(fixture, "desk", &later, 1);
    hub_fixture_write(fixture);
    hub_fixture_publish(fixture, fixture->n_entries, NULL, true);
    hub_fixture_apply(fixture);
    *state = fixture;
    return 0;
}

/* The state remembers so many enrolments of a node: what it signed before them is not proved by a file. */
static void test_evidence_of_a_key_that_is_forgotten_is_refused_with_the_reason(void **state)
{
    struct hub_fixture *fixture = *state;
    struct evidence_report report;
    char target[64];
    expect_error(fixture, "GET", "/v1/evidence?event=8", "", 404, "CB-NOT-FOUND");
    for (unsigned i = 0; i < 2; i++) { /* the bureau's, and what the desk signed since */
        snprintf(target, sizeof target, "/v1/evidence?event=%u", i ? (unsigned)fixture->n_entries - 1 : 4);
        evidence_get(fixture, target, &report);
        assert_int_equal(count_facts(&report, FACT_EVENT), 1);
        evidence_report_deinit(&report);
    }
}

static void test_routes_refuse_what_they_do_not_know(void **state)
{
    expect_error(*state, "GET", "/", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "GET", "/v1/cases/", "", 404, "CB-NOT-FOUND");
    expect_error(*state, "DELETE", "/v1/nodes", "", 405, "CB-NOT-ALLOWED");
    expect_error(*state, "GET", "/v1/nodes?limit=1", "", 400, "CB-ARGUMENT");
    expect_error(*state, "GET", "/v1/cases?limit=x", "", 400, "CB-ARGUMENT");
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        claim(test_status_tells_what_the_stores_hold),
        claim(test_barrier_needs_a_running_hub),
        claim(test_nodes_are_listed_with_their_counters),
        claim(test_node_shows_its_streams),
        claim(test_cases_come_in_pages),
        claim(test_cases_are_chosen_by_status),
        claim(test_case_shows_a_timeline_across_departments),
        claim(test_case_stays_readable_when_its_content_is_erased),
        claim(test_who_was_given_what_is_read_with_a_cursor),
        claim(test_events_are_read_with_a_cursor),
        claim(test_a_page_of_large_events_ends_and_the_next_goes_on),
        claim(test_last_events_and_those_of_a_node),
        claim(test_parts_are_shown_only_when_asked_for),
        claim(test_event_has_three_names),
        claim(test_event_tells_what_became_of_duplicates_and_refused_ones),
        claim(test_event_refuses_names_that_are_none),
        claim(test_entries_are_decoded),
        claim(test_checkpoint_is_the_newest_at_a_size),
        claim(test_enrolment_answers_what_the_node_has_to_know),
        claim(test_enrolment_needs_a_running_hub),
        claim(test_enrolment_refuses_what_is_not_signed_by_the_node),
        claim(test_enrolment_refuses_names_that_are_taken),
        claim(test_enrolment_asked_again_gets_the_same_certificate),
        claim(test_enrolment_asked_again_after_a_restore_speaks_of_the_generation_that_certified),
        claim(test_renewal_long_before_the_end_gets_the_certificate_that_there_is),
        claim(test_renewal_keeps_name_department_and_keys),
        claim(test_enrolment_asked_again_with_other_rights_is_refused),
        claim(test_enrolment_checks_its_fields),
        claim(test_a_case_is_proved_with_all_who_signed),
        claim(test_every_entry_can_be_proved),
        claim(test_evidence_shows_what_was_asked_for),
        claim(test_incident_tells_what_a_node_touched_in_pages),
        claim(test_what_became_no_entry_is_proved_too),
        claim(test_evidence_is_about_one_thing_that_is_there),
        cmocka_unit_test_setup_teardown(test_evidence_of_a_key_that_is_forgotten_is_refused_with_the_reason,
                                        setup_enrolled_often, teardown),
        claim(test_routes_refuse_what_they_do_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
