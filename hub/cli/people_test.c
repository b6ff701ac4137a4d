#include "hub/cli/people.h"

#include "hub/cli/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void test_a_date_is_that_date_in_every_zone(void **state)
{
    char text[PEOPLE_TEXT];
    int64_t midnight_in_china = INT64_C(1318262400000000); /* 2011-10-11T00:00:00+08:00 */
    (void)state;
    for (const char *const *zone = (const char *const[]){"UTC", "Asia/Shanghai", "America/Lima", NULL}; *zone;
         zone++) {
        setenv("TZ", *zone, 1);
        tzset();
        assert_string_equal(time_text(text, midnight_in_china, true), "2011-10-11");
    }
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(time_text(text, midnight_in_china, false), "2011-10-10 16:00:00");
    assert_string_equal(time_text(text, -1, false), "1969-12-31 23:59:59");
    assert_string_equal(time_text(text, 0, false), "-");
}

static void test_times_are_in_china_unless_tz_says_otherwise(void **state)
{
    char text[PEOPLE_TEXT], title[PEOPLE_TITLE];
    int64_t noon_in_china = INT64_C(1318305600000000); /* 2011-10-11T12:00:00+08:00 */
    (void)state;
    unsetenv("TZ");
    tzset();
    assert_string_equal(time_text(text, noon_in_china, false), "2011-10-11 12:00:00");
    assert_string_equal(time_zone_text(text, noon_in_china, false), "2011-10-11 12:00:00 UTC+8");
    assert_string_equal(time_zone_text(text, noon_in_china, true), "2011-10-11");
    assert_string_equal(time_zone_text(text, 0, false), "-");
    assert_string_equal(time_title(title, "WHEN"), "WHEN (UTC+8)");
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(time_zone_text(text, noon_in_china, false), "2011-10-11 04:00:00 UTC+0000");
    assert_string_equal(time_title(title, "WHEN"), "WHEN (UTC)");
    assert_false(time_is_midnight(noon_in_china));
    assert_true(time_is_midnight(noon_in_china - INT64_C(43200000000)));
}

static void test_sizes_and_durations_have_fitting_units(void **state)
{
    char text[PEOPLE_TEXT];
    (void)state;
    assert_string_equal(size_text(text, 1023), "1023 B");
    assert_string_equal(size_text(text, 1536), "1.5 KiB");
    assert_string_equal(size_text(text, UINT64_MAX), "16384.0 PiB");
    assert_string_equal(duration_text(text, 59), "59 s");
    assert_string_equal(duration_text(text, 3600), "1 h 0 min");
    assert_string_equal(duration_text(text, 90000), "1 d 1 h");
}

static void test_members_that_are_missing_have_a_value(void **state)
{
    char text[64];
    (void)state;
    json_t *object = json_pack("{s:s, s:i, s:[s, s]}", "a", "x", "n", -3, "l", "one", "two");
    assert_null(get_text(object, "n"));
    assert_null(get_text(NULL, "a"));
    assert_int_equal(get_number(object, "n"), 0);
    assert_int_equal(get_time(object, "n"), -3);
    assert_false(get_bool(object, "a"));
    assert_string_equal(get_joined(object, "l", text, sizeof text), "one,two");
    assert_string_equal(get_joined(object, "l", text, 6), "one");
    assert_string_equal(get_joined(object, "none", text, sizeof text), "");
    json_decref(object);
}

static void test_targets_are_escaped_and_cut_between_escapes(void **state)
{
    char text[16];
    (void)state;
    assert_string_equal(target_escape(text, sizeof text, "2026/1 a"), "2026%2F1%20a");
    assert_string_equal(target_escape(text, sizeof text, "中中中"), "%E4%B8%AD%E4%B8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_date_is_that_date_in_every_zone),
        cmocka_unit_test(test_times_are_in_china_unless_tz_says_otherwise),
        cmocka_unit_test(test_sizes_and_durations_have_fitting_units),
        cmocka_unit_test(test_members_that_are_missing_have_a_value),
        cmocka_unit_test(test_targets_are_escaped_and_cut_between_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
