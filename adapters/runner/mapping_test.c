#include "adapters/runner/mapping.h"
#include "adapters/runner/pattern.h"
#include "adapters/runner/times.h"
#include "casebus/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- times ---- */

/* The time as "seconds.microseconds", with " date" behind a date, or the word "no". */
static const char *time_of(const char *format, const char *zone, const char *text)
{
    static char out[64];
    struct time_format parsed;
    struct casebus_error err;
    int64_t us;
    bool is_date;
    assert_int_equal(time_format_parse(&parsed, format, zone, &err), 0);
    if (time_read(&parsed, text, &us, &is_date, &err) != 0)
        return "no";
    snprintf(out, sizeof out, "%lld.%06d%s", (long long)(us / 1000000), (int)(us % 1000000),
             is_date ? " date" : "");
    return out;
}

static void test_rfc3339_times_are_read_with_zone_and_fraction(void **state)
{
    (void)state;
    assert_string_equal(time_of("rfc3339", NULL, "1970-01-01T00:00:00Z"), "0.000000");
    assert_string_equal(time_of("rfc3339", NULL, "2011-10-11T13:45:40.276+02:00"), "1318333540.276000");
    assert_string_equal(time_of("rfc3339", NULL, "2011-10-11 13:45:40,276123999+0200"), "1318333540.276123");
    assert_string_equal(time_of("rfc3339", NULL, "2011-10-11t11:45:40z"), "1318333540.000000");
    assert_string_equal(time_of("rfc3339", NULL, "2020-02-29T23:59:60-05:30"), "1583040599.000000");
    assert_string_equal(time_of("rfc3339", "+08:00", "1970-01-01T08:00:00"), "0.000000");
    assert_string_equal(time_of("rfc3339", "+08:00", "1970-01-01T00:00:00Z"), "0.000000");
}

static void test_what_is_no_time_or_no_day_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2011",
                                      "2011-10-11",
                                      "2011-10-11T13:45:40",
                                      "2011-02-30T00:00:00Z",
                                      "2011-13-01T00:00:00Z",
                                      "2011-00-01T00:00:00Z",
                                      "2011-01-00T00:00:00Z",
                                      "2011-01-01T24:00:00Z",
                                      "2011-01-01T00:60:00Z",
                                      "2011-01-01T00:00:61Z",
                                      "2100-02-29T00:00:00Z",
                                      "1899-12-30T00:00:00Z",
                                      "9999-12-31T00:00:00Z",
                                      "2011-01-01T00:00:00.Z",
                                      "2011-01-01T00:00:00+25:00",
                                      "2011-01-01T00:00:00+08:00x",
                                      "2011-01-01T00:00:00 +08:00",
                                      "+011-01-01T00:00:00Z",
                                      "2011-01-01T 1:00:00Z",
                                      "2011-01-01T00:00:00+8:00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(time_of("rfc3339", NULL, bad[i]), "no");
}

static void test_dates_and_patterns_are_chinese_time_unless_told(void **state)
{
    (void)state;
    assert_string_equal(time_of("date", NULL, "1970-01-02"), "57600.000000 date");
    assert_string_equal(time_of("date", "Z", "1970-01-02"), "86400.000000 date");
    assert_string_equal(time_of("date", NULL, "1970-01-02 00:00"), "no");
    assert_string_equal(time_of("date", NULL, "2021-02-29"), "no");
    assert_string_equal(time_of("%Y-%m-%d %H:%M:%S", NULL, "1970-01-01 08:00:01.5"), "1.500000");
    assert_string_equal(time_of("%Y/%m/%d", NULL, "1970/1/2"), "57600.000000 date");
    assert_string_equal(time_of("%d-%m-%Y %H:%M", "+01:00", "1-1-1970 1:00 "), "0.000000");
    assert_string_equal(time_of("%Y-%m-%d %H:%M:%S%z", NULL, "1970-01-01 01:00:00+0100"), "0.000000");
    assert_string_equal(time_of("%Y年%m月%d日", NULL, "1970年01月02日"), "57600.000000 date");
    assert_string_equal(time_of("%Y%m%d", NULL, "20210231"), "no");
}

static void test_formats_and_zones_that_cannot_be_used_are_refused(void **state)
{
    (void)state;
    struct time_format format;
    struct casebus_error err;
    assert_int_equal(time_format_parse(&format, "iso", NULL, &err), -1);
    assert_int_equal(time_format_parse(&format, "rfc3339", "China", &err), -1);
    assert_int_equal(time_format_parse(&format, "rfc3339", "+08:00 ", &err), -1);
}

/* ---- patterns ---- */

static const char *rendered(const char *text, int *answer)
{
    static char out[256];
    static const struct row_field fields[] = {{"a", "1"}, {"b", ""}, {"c d", "3"}, {"n", "NIL"}};
    static const char *nothing[] = {"NIL"};
    struct text_list empty = {nothing, 1};
    struct row row = {.fields = fields, .n_fields = 4};
    struct arena arena;
    struct pattern pattern;
    struct buffer value;
    struct casebus_error err;
    arena_init(&arena, 4096, 65536);
    buffer_init(&value, sizeof out);
    *answer = -2;
    out[0] = '\0';
    if (pattern_parse(&pattern, text, &arena, &err) == 0) {
        *answer = pattern_render(&pattern, &row, &empty, &value);
        snprintf(out, sizeof out, "%s", (const char *)value.data);
    }
    buffer_deinit(&value);
    arena_deinit(&arena);
    return out;
}

static void test_patterns_put_columns_into_texts(void **state)
{
    (void)state;
    int answer;
    assert_string_equal(rendered("{a}#{c d}", &answer), "1#3");
    assert_int_equal(answer, PATTERN_FULL);
    assert_string_equal(rendered("plain", &answer), "plain");
    assert_int_equal(answer, PATTERN_FULL);
    assert_string_equal(rendered("{{{a}}}", &answer), "{1}");
    assert_string_equal(rendered("{a}-{b}", &answer), "1-");
    assert_int_equal(answer, PATTERN_PARTLY);
    rendered("{b}{n}{missing}", &answer);
    assert_int_equal(answer, PATTERN_EMPTY);
    static const char *const bad[] = {"{", "}", "{a", "a}", "{}", "{a{b}}", "{a}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rendered(bad[i], &answer);
        assert_int_equal(answer, -2);
    }
}

/* ---- mappings ---- */

struct place_of_test {
    struct arena arena;
    struct faults faults;
    struct mapping *mapping;
    struct casebus_event *event;
    struct text_list empty;
};

static const char *const nil[] = {"NIL"};

static int test_begin(void **state)
{
    struct place_of_test *place = calloc(1, sizeof *place);
    arena_init(&place->arena, 65536, 16 << 20);
    faults_init(&place->faults);
    place->event = casebus_event_new();
    place->empty = (struct text_list){(const char **)(uintptr_t)nil, 1};
    *state = place;
    return 0;
}

static int test_end(void **state)
{
    struct place_of_test *place = *state;
    mapping_free(place->mapping);
    casebus_event_free(place->event);
    faults_deinit(&place->faults);
    arena_deinit(&place->arena);
    free(place);
    return 0;
}

static void map(struct place_of_test *place, const char *yaml)
{
    struct tree_node *root = tree_parse(yaml, "test.yaml", ".", &place->arena, &place->faults);
    assert_non_null(root);
    place->mapping = mapping_new(root, &place->empty, false, &place->arena, &place->faults);
    assert_non_null(place->mapping);
}

static int apply(struct place_of_test *place, const char *activity, const char *time, const char *note,
                 struct casebus_error *err)
{
    struct row_field fields[] = {
        {"case", "c1"}, {"seq", "1"}, {"activity", activity}, {"time", time}, {"note", note}};
    struct row row = {.number = 1, .line = 2, .fields = fields, .n_fields = 5};
    return mapping_apply(place->mapping, &row, place->event, err);
}

static void expect(const struct place_of_test *place, const char *field, const char *value)
{
    char got[200];
    const char *text = casebus_event_get(place->event, field, 0, got, sizeof got);
    if (!value) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, value);
}

#define BASE                                                                                                 \
    "record_namespace: t\nrecord_id: '{case}#{seq}'\ncase_number: '{case}'\n"                                \
    "occurred_at: {column: time, format: rfc3339}\n"

static void test_a_row_becomes_an_event(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, BASE "kind: {column: activity, values: {in: step}, default: other}\n"
                    "step.step: '{note}'\nfinish.finish_kind: '6'\nform: [note, seq]\n");
    assert_int_equal(place->faults.n_all, 0);
    assert_int_equal(apply(place, "in", "2020-01-01T00:00:00Z", "x", &err), 0);
    expect(place, "kind", "step");
    expect(place, "record_id", "c1#1");
    expect(place, "operation", "put");
    expect(place, "source_code", "in");
    expect(place, "step.step", "x");
    expect(place, "finish.finish_kind", NULL);
    expect(place, "form.note", "x");
    expect(place, "form.seq", "1");
}

static void test_unknown_codes_become_the_default_and_are_counted(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, BASE "kind: {column: activity, values: {in: apply}, default: other}\n");
    assert_int_equal(apply(place, "odd", "2020-01-01T00:00:00Z", "", &err), 0);
    assert_int_equal(apply(place, "odd", "2020-01-01T00:00:00Z", "", &err), 0);
    expect(place, "kind", "other");
    expect(place, "source_code", "odd");
    assert_int_equal(mapping_unmapped(place->mapping)->n, 1);
    assert_int_equal(mapping_unmapped(place->mapping)->rows[0].n, 2);
}

static void test_a_source_that_names_the_kinds_itself_needs_no_table(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, BASE "kind: {column: activity, default: other}\n");
    assert_int_equal(apply(place, "special_begin", "2020-01-01T00:00:00Z", "", &err), 0);
    expect(place, "kind", "special_begin");
    assert_int_equal(apply(place, "in", "2020-01-01T00:00:00Z", "", &err), 0);
    expect(place, "kind", "other");
    assert_int_equal(mapping_unmapped(place->mapping)->n, 1);
}

static void test_an_unknown_code_without_default_is_a_bad_row(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, BASE "kind: {column: activity, values: {in: apply}}\n");
    assert_int_equal(apply(place, "odd", "2020-01-01T00:00:00Z", "", &err), -1);
    assert_int_equal(err.code, CASEBUS_ROW);
    assert_non_null(strstr(err.text, "column 'activity': the code 'odd' is in no table"));
}

static void test_values_for_nothing_leave_a_field_unset(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, BASE "kind: {column: activity, values: {in: apply}}\nhandler: '{note}'\n"
                    "area: {column: note, default: '320100'}\n");
    assert_int_equal(apply(place, "in", "2020-01-01T00:00:00Z", "NIL", &err), 0);
    expect(place, "handler", NULL);
    expect(place, "area", "320100");
    assert_int_equal(apply(place, "in", "NIL", "x", &err), -1);
    assert_non_null(strstr(err.text, "column 'time': it is empty"));
}

static void test_dates_keep_their_precision(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, "record_namespace: t\nrecord_id: '{seq}'\ncase_number: '{case}'\nkind: apply\n"
               "occurred_at: {column: time, format: rfc3339, midnight_is_date: true}\n");
    assert_int_equal(apply(place, "in", "2020-01-02T00:00:00+08:00", "", &err), 0);
    expect(place, "occurred_at", "2020-01-02");
    assert_int_equal(apply(place, "in", "2020-01-02T00:00:01+08:00", "", &err), 0);
    expect(place, "occurred_at", "2020-01-02T00:00:01+08:00");
}

static void test_a_column_may_be_written_in_several_formats(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    map(place, "record_namespace: t\nrecord_id: '{seq}'\ncase_number: '{case}'\nkind: apply\n"
               "occurred_at: {column: time, format: ['%Y-%m-%d %H:%M:%S', date, rfc3339]}\n");
    assert_int_equal(place->faults.n_all, 0);
    assert_int_equal(apply(place, "in", "2020-01-02 03:04:05", "", &err), 0);
    expect(place, "occurred_at", "2020-01-02T03:04:05+08:00");
    assert_int_equal(apply(place, "in", "2020-01-02", "", &err), 0);
    expect(place, "occurred_at", "2020-01-02");
    assert_int_equal(apply(place, "in", "2020-01-02T03:04:05Z", "", &err), 0);
    expect(place, "occurred_at", "2020-01-02T11:04:05+08:00");
    assert_int_equal(apply(place, "in", "2020-02-30", "", &err), -1);
    assert_non_null(strstr(err.hint, "none of its 3 formats"));
}

static void test_faults_that_no_row_is_needed_for_are_found_while_reading(void **state)
{
    struct place_of_test *place = *state;
    map(place, BASE "kind: {column: activity, values: {in: aply, ok: accept}, default: otter}\n"
                    "channel: windw\nhandlr: x\nstep.step: {column: a, pattern: b}\narea: {colum: a}\n"
                    "revision: {column: seq, format: date}\n");
    assert_int_equal(place->faults.n_all, 8);
}

static void test_columns_that_are_not_there_are_found_with_a_proposal(void **state)
{
    struct place_of_test *place = *state;
    static const char *const names[] = {"case", "seq", "activitie", "time"};
    map(place, BASE "kind: {column: activity, default: other}\nform: [note]\n");
    mapping_check_columns(place->mapping, names, 4, &place->faults);
    assert_int_equal(place->faults.n_all, 2);
    assert_non_null(strstr(place->faults.items[0].hint, "activitie"));
}

static void test_hostile_rows_are_bad_rows_and_nothing_worse(void **state)
{
    struct place_of_test *place = *state;
    struct casebus_error err;
    char *long_text = malloc(400000);
    memset(long_text, 'x', 399999);
    long_text[399999] = '\0';
    map(place, BASE "kind: {column: activity, default: other}\nhandler: '{note}'\nform: [note]\n");
    assert_int_equal(apply(place, "in", "2020-01-01T00:00:00Z", long_text, &err), -1);
    assert_non_null(strstr(err.text, "column 'note'"));
    assert_int_equal(apply(place, "in", long_text, "x", &err), -1);
    assert_int_equal(apply(place, long_text, "2020-01-01T00:00:00Z", "x", &err), -1);
    assert_int_equal(apply(place, "in", "2020-01-01T00:00:00Z", "%n%s'; DROP TABLE cases; --", &err), 0);
    free(long_text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_begin, test_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3339_times_are_read_with_zone_and_fraction),
        cmocka_unit_test(test_what_is_no_time_or_no_day_is_refused),
        cmocka_unit_test(test_dates_and_patterns_are_chinese_time_unless_told),
        cmocka_unit_test(test_formats_and_zones_that_cannot_be_used_are_refused),
        cmocka_unit_test(test_patterns_put_columns_into_texts),
        TEST(test_a_row_becomes_an_event),
        TEST(test_unknown_codes_become_the_default_and_are_counted),
        TEST(test_a_source_that_names_the_kinds_itself_needs_no_table),
        TEST(test_an_unknown_code_without_default_is_a_bad_row),
        TEST(test_values_for_nothing_leave_a_field_unset),
        TEST(test_dates_keep_their_precision),
        TEST(test_a_column_may_be_written_in_several_formats),
        TEST(test_faults_that_no_row_is_needed_for_are_found_while_reading),
        TEST(test_columns_that_are_not_there_are_found_with_a_proposal),
        TEST(test_hostile_rows_are_bad_rows_and_nothing_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
