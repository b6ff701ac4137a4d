/* Events: what is set can be read back, what is packed can be read again, what is wrong is named. */
#include "adapters/sdk/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct casebus_event *event;
static struct casebus_error err;
static struct arena arena;
static struct crypter *crypter;

static int open_all(void **state)
{
    (void)state;
    event = casebus_event_new();
    crypter = crypter_new(suite_get(SUITE_INTL));
    arena_init(&arena, 65536, 4 << 20);
    memset(&err, 0, sizeof err);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    event = casebus_event_free(event);
    crypter = crypter_free(crypter);
    arena_deinit(&arena);
    return 0;
}

static void set(const char *field, const char *value)
{
    if (casebus_event_set(event, field, value, &err) != 0)
        fail_msg("%s = %s: %s", field, value, err.text);
}

static void expect(const char *field, const char *value)
{
    char out[512];
    const char *found = casebus_event_get(event, field, 0, out, sizeof out);
    if (!found)
        fail_msg("%s is not set", field);
    assert_string_equal(found, value);
}

static void expect_unset(const char *field)
{
    char out[64];
    assert_null(casebus_event_get(event, field, 0, out, sizeof out));
}

static void expect_refused(const char *field, const char *value, enum casebus_code code)
{
    assert_int_equal(casebus_event_set(event, field, value, &err), -1);
    assert_int_equal(err.code, code);
}

static void set_minimum(void)
{
    set("record_namespace", "js.scjgj/cases");
    set("record_id", "row-1");
    set("kind", "accept");
    set("case_number", "CASE-1");
    set("occurred_at", "2011-10-11T13:45:40.276+02:00");
}

static void test_fields_are_read_back_as_they_were_set(void **state)
{
    (void)state;
    set_minimum();
    set("revision", "18446744073709551615");
    set("operation", "correct");
    set("channel", "window");
    set("real_name", "advanced");
    set("truth_commitment", "true");
    set("backfill", "false");
    set("area", "320100");
    set("accept.document_number", "受理〔2026〕1号");
    set("accept.committed", "20 WD");
    set("accept.to_follow_until", "2011-11-01");
    set("identity.name", "张三");
    set("form.Kosten (€)", "12.5");
    set("opinion.opinion", "同意");
    expect("revision", "18446744073709551615");
    expect("operation", "correct");
    expect("kind", "accept");
    expect("channel", "window");
    expect("real_name", "advanced");
    expect("truth_commitment", "true");
    expect_unset("backfill");
    expect("accept.committed", "20 WD");
    expect("accept.to_follow_until", "2011-11-01T00:00:00+08:00");
    expect("occurred_at", "2011-10-11T19:45:40.276+08:00");
    expect("identity.name", "张三");
    expect("form.Kosten (€)", "12.5");
    expect_unset("contact.phone");
    expect_unset("step.action");
}

static void test_every_name_can_be_set_and_is_listed_once(void **state)
{
    (void)state;
    const char *values[] = {"1", "true", "2020-01-02", "5 D", "accept", "put", "window", "basic"};
    const char *name;
    size_t n = 0;
    for (; (name = casebus_event_field_name(n)); n++) {
        char full[64], out[64];
        snprintf(full, sizeof full, "%s%s", name, strcmp(name, "form.") == 0 ? "x" : "");
        casebus_event_clear(event);
        bool taken = false;
        for (size_t i = 0; i < sizeof values / sizeof values[0] && !taken; i++)
            taken = casebus_event_set(event, full, values[i], &err) == 0;
        if (!taken || !casebus_event_get(event, full, 0, out, sizeof out))
            fail_msg("field %s takes none of the values", full);
    }
    assert_true(n > 60);
}

static void test_dates_are_local_midnight_in_china(void **state)
{
    (void)state;
    set_minimum();
    set("occurred_at", "2011-10-11");
    expect("occurred_at", "2011-10-11");
    assert_int_equal(casebus_event_set_time(event, "occurred_at", 1318262400000000, 0, &err), 0);
    expect("occurred_at", "2011-10-11T00:00:00+08:00");
    set("occurred_at", "1969-12-31T23:59:59.999999Z");
    expect("occurred_at", "1970-01-01T07:59:59.999999+08:00");
    set("occurred_at", "1970-01-01T00:00:00Z");
    expect("occurred_at", "1970-01-01T08:00:00+08:00");
}

static void test_impossible_values_are_refused(void **state)
{
    (void)state;
    set_minimum();
    const char *times[] = {"2011-02-30",
                           "2011-10-11T13:45:40",
                           "2011-02-30T00:00:00Z",
                           "2011-10-11T25:00:00Z",
                           "2011-10-11T13:45:40.Z",
                           "11.10.2011",
                           "",
                           "2011-10-11T13:45:40Zx",
                           " 2011-10-11T13:45:40Z"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        expect_refused("occurred_at", times[i], CASEBUS_BAD_FIELD);
    expect("occurred_at", "2011-10-11T19:45:40.276+08:00");
    expect_refused("revision", "-1", CASEBUS_BAD_FIELD);
    expect_refused("revision", "18446744073709551616", CASEBUS_BAD_FIELD);
    expect_refused("backfill", "yes", CASEBUS_BAD_FIELD);
    expect_refused("kind", "acceptance", CASEBUS_BAD_FIELD);
    expect_refused("accept.committed", "20", CASEBUS_BAD_FIELD);
    expect_refused("accept.committed", "0 WD", CASEBUS_BAD_FIELD);
    expect_refused("accept.committed", "20 Y", CASEBUS_BAD_FIELD);
    expect_refused("colour", "red", CASEBUS_ARGUMENT);
    expect_refused("form.", "x", CASEBUS_ARGUMENT);
    expect_refused("record_id", "\xff", CASEBUS_TEXT);
}

static void test_fields_of_two_kinds_do_not_mix(void **state)
{
    (void)state;
    set("accept.document_number", "1");
    expect_refused("step.action", "look", CASEBUS_BAD_FIELD);
    expect("accept.document_number", "1");
}

static void test_repeated_fields_gain_values(void **state)
{
    (void)state;
    char out[64];
    for (int i = 0; i < 40; i++)
        set("accept.to_follow", "m");
    set("accept.to_follow", "last");
    assert_string_equal(casebus_event_get(event, "accept.to_follow", 40, out, sizeof out), "last");
    assert_null(casebus_event_get(event, "accept.to_follow", 41, out, sizeof out));
    set("form.a", "1");
    set("form.b", "2");
    set("form.a", "3");
    assert_string_equal(casebus_event_get(event, "form.a", 1, out, sizeof out), "3");
}

static void test_get_cuts_between_characters(void **state)
{
    (void)state;
    char out[5];
    set("identity.name", "张三");
    assert_string_equal(casebus_event_get(event, "identity.name", 0, out, sizeof out), "张");
}

static void test_zero_is_a_finish_kind(void **state)
{
    (void)state;
    set("finish.finish_kind", "0");
    expect("finish.finish_kind", "0");
}

static int write_line(void *self, const char *field, const char *value)
{
    struct buffer *lines = self;
    return buffer_printf(lines, "%s=%s\n", field, value) ? 0 : 1;
}

static void test_packed_event_reads_as_the_same_fields(void **state)
{
    (void)state;
    struct buffer before, after;
    struct bytes packed;
    uint8_t hash[DIGEST_SIZE];
    size_t size;
    set_minimum();
    set("case_alias", "A1");
    set("case_alias", "A2");
    set("accept.committed", "20 WD");
    set("accept.to_follow", "m1");
    set("identity.name", "张三");
    set("contact.phone", "123");
    set("form.x", "1");
    set("form.y", "2");
    set("opinion.handler_name", "李四");
    assert_int_equal(casebus_event_add_part(event, "\0raw", 4, &err), 0);
    buffer_init(&before, 65536);
    buffer_init(&after, 65536);
    set("operation", "put");
    casebus_event_visit(event, write_line, &before);
    assert_int_equal(casebus_event_check(event, &err), 0);
    assert_int_equal(event_pack(event, crypter, &arena, &packed, hash, &err), 0);
    if (event_read_packed(event, packed, &err) != 0)
        fail_msg("%s", err.text);
    casebus_event_visit(event, write_line, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    assert_memory_equal(casebus_event_part(event, 0, &size), "\0raw", 4);
    set("case_alias", "A3"); /* a decoded event can be changed and published again */
    set("form.z", "3");
    assert_int_equal(event_pack(event, crypter, &arena, &packed, hash, &err), 0);
    buffer_deinit(&before);
    buffer_deinit(&after);
}

static void test_packed_event_passes_the_hubs_checks(void **state)
{
    (void)state;
    static const struct codec_limits limits = {.max_size = EVENT_MAX, .max_fields = 100, .max_depth = 2};
    struct bytes packed;
    uint8_t hash[DIGEST_SIZE], again[DIGEST_SIZE];
    set_minimum();
    set("identity.id_number", "x");
    set("form.x", "1");
    assert_int_equal(event_pack(event, crypter, &arena, &packed, hash, &err), 0);
    Casebus__V1__Event *message =
        (Casebus__V1__Event *)codec_unpack(&casebus__v1__event__descriptor, packed, &limits, &arena, &err);
    assert_non_null(message);
    struct bytes header = bytes_of(message->header.data, message->header.len);
    Casebus__V1__EventHeader *decoded = event_header_decode(header, &arena, &err);
    assert_non_null(decoded);
    assert_int_equal(event_parts_check(crypter, decoded, message, &err), 0);
    event_hash(crypter, header, again);
    assert_memory_equal(hash, again, DIGEST_SIZE);
}

static void test_packing_twice_reveals_nothing(void **state)
{
    (void)state;
    struct bytes packed;
    uint8_t first[DIGEST_SIZE], second[DIGEST_SIZE];
    set_minimum();
    assert_int_equal(event_pack(event, crypter, &arena, &packed, first, &err), 0);
    assert_int_equal(event_pack(event, crypter, &arena, &packed, second, &err), 0);
    assert_memory_not_equal(first, second, DIGEST_SIZE);
}

static void test_what_is_missing_or_too_much_is_named(void **state)
{
    (void)state;
    static char large[PART_MAX + 1];
    assert_int_equal(casebus_event_check(event, &err), -1);
    assert_int_equal(err.code, CASEBUS_MISSING_FIELD);
    set_minimum();
    for (int i = 0; i < ALIASES_MAX + 1; i++)
        set("case_alias", "alias");
    assert_int_equal(casebus_event_check(event, &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
    casebus_event_clear(event);
    set_minimum();
    assert_int_equal(casebus_event_add_part(event, large, sizeof large, &err), -1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(casebus_event_add_part(event, large, PART_MAX, &err), 0);
    assert_int_equal(casebus_event_check(event, &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_fields_are_read_back_as_they_were_set), TEST(test_every_name_can_be_set_and_is_listed_once),
        TEST(test_dates_are_local_midnight_in_china),     TEST(test_impossible_values_are_refused),
        TEST(test_fields_of_two_kinds_do_not_mix),        TEST(test_repeated_fields_gain_values),
        TEST(test_get_cuts_between_characters),           TEST(test_zero_is_a_finish_kind),
        TEST(test_packed_event_reads_as_the_same_fields), TEST(test_packed_event_passes_the_hubs_checks),
        TEST(test_packing_twice_reveals_nothing),         TEST(test_what_is_missing_or_too_much_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
