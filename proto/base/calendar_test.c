/* Dates and working days against the State Council's notices of 2018 to 2026. */
#include "proto/base/calendar.h"
#include "proto/base/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOLIDAYS TEST_DATA_DIR "/holidays"

static int calendar_setup(void **state)
{
    struct buffer csv;
    struct calendar *calendar = NULL;
    struct casebus_error err = {0};
    if (file_read(HOLIDAYS "/cn_special_days_2018_2026.csv", 1 << 20, &csv, &err) != 0 ||
        calendar_open(&calendar, bytes_of(csv.data, csv.size), "cn-2026", &err) != 0)
        fail_msg("%s", err.text);
    buffer_deinit(&csv);
    *state = calendar;
    return 0;
}

static int calendar_teardown(void **state)
{
    calendar_close(*state);
    return 0;
}

static void test_due_dates_are_those_of_the_vectors(void **state)
{
    struct buffer file;
    assert_int_equal(file_read(HOLIDAYS "/due_date_vectors.csv", 1 << 20, &file, NULL), 0);
    char *rest = (char *)file.data;
    char *line = strsep(&rest, "\n");
    unsigned n_rows = 0;
    while ((line = strsep(&rest, "\n")) && line[0]) {
        day_t start = day_parse(strsep(&line, ","));
        unsigned n = (unsigned)atoi(strsep(&line, ","));
        day_t due = day_parse(line);
        bool provisional = true;
        assert_int_equal(calendar_due(*state, start, n, &provisional), due);
        assert_false(provisional);
        assert_int_equal(calendar_working_days(*state, start, due), n);
        n_rows++;
    }
    assert_int_equal(n_rows, 300);
    buffer_deinit(&file);
}

static void test_months_have_the_working_days_of_the_vectors(void **state)
{
    struct buffer file;
    assert_int_equal(file_read(HOLIDAYS "/workdays_per_month.csv", 1 << 20, &file, NULL), 0);
    char *rest = (char *)file.data;
    char *line = strsep(&rest, "\n");
    unsigned n_rows = 0;
    while ((line = strsep(&rest, "\n")) && line[0]) {
        int year = atoi(strsep(&line, ","));
        int month = atoi(strsep(&line, ","));
        day_t first = day_from_civil(year, month, 1);
        day_t next = month < 12 ? day_from_civil(year, month + 1, 1) : day_from_civil(year + 1, 1, 1);
        assert_int_equal(calendar_working_days(*state, first - 1, next - 1), atoi(line));
        n_rows++;
    }
    assert_int_equal(n_rows, 108);
    buffer_deinit(&file);
}

/* The formula says what one gets by going from day to day. */
static void test_due_date_is_what_counting_on_fingers_gives(void **state)
{
    day_t from = day_from_civil(2017, 6, 1);
    day_t until = day_from_civil(2028, 1, 1);
    for (day_t start = from; start < until; start += 11) {
        day_t day = start;
        unsigned n = 0;
        while (n < 45) {
            day++;
            if (!calendar_is_working_day(*state, day))
                continue;
            n++;
            assert_int_equal(calendar_due(*state, start, n, NULL), day);
            assert_int_equal(calendar_working_days(*state, start, day), n);
        }
    }
}

static void test_no_working_days_is_the_day_itself(void **state)
{
    day_t holiday = day_parse("2026-10-01");
    bool provisional;
    assert_false(calendar_is_working_day(*state, holiday));
    assert_int_equal(calendar_due(*state, holiday, 0, &provisional), holiday);
    assert_int_equal(calendar_working_days(*state, holiday, holiday), 0);
    assert_int_equal(calendar_working_days(*state, holiday, holiday - 5), 0);
}

static void test_result_past_the_last_notice_is_provisional(void **state)
{
    bool provisional;
    char text[11];
    assert_string_equal(day_format(text, calendar_known_until(*state)), "2026-12-31");
    assert_string_equal(calendar_version(*state), "cn-2026");
    calendar_due(*state, day_parse("2026-12-01"), 5, &provisional);
    assert_false(provisional);
    calendar_due(*state, day_parse("2026-12-28"), 5, &provisional);
    assert_true(provisional);
    calendar_due(*state, day_parse("2017-12-28"), 5, &provisional);
    assert_true(provisional);
}

static void test_absurd_limits_end(void **state)
{
    assert_int_equal(calendar_due(*state, 20000, UINT32_MAX, NULL), DAY_NONE);
    assert_true(calendar_due(*state, 20000, 1000000000, NULL) > 1400000000);
    calendar_due(*state, DAY_NONE, 5, NULL);
    calendar_working_days(*state, DAY_NONE, INT32_MAX);
}

static void test_dates_go_there_and_back(void **state)
{
    (void)state;
    char text[11];
    for (day_t day = day_from_civil(1, 1, 1); day < day_from_civil(9999, 12, 31); day += 97) {
        int year;
        int month;
        int mday;
        day_to_civil(day, &year, &month, &mday);
        assert_int_equal(day_from_civil(year, month, mday), day);
        assert_int_equal(day_parse(day_format(text, day)), day);
        if (day > -100000)
            assert_int_equal(day_from_unix_us(day_to_unix_us(day, 480), 480), day);
    }
    assert_int_equal(day_from_civil(1970, 1, 1), 0);
    assert_int_equal(day_from_civil(2000, 2, 29), 11016);
}

static void test_dates_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31",  "2026-1-01",
                                        "20260101",   "2026-01-0 ", "",           "2026-01-011", "0000-01-01",
                                        "2026/01/01", "-026-01-01", "2026-01-1x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(day_parse(wrong[i]), DAY_NONE);
    assert_int_equal(day_from_civil(2026, 2, 0), DAY_NONE);
    assert_int_equal(day_from_civil(10000, 1, 1), DAY_NONE);
    assert_int_not_equal(day_parse("2024-02-29"), DAY_NONE);
    char text[11];
    assert_string_equal(day_format(text, DAY_NONE), "0000-00-00");
}

static void test_local_date_changes_at_local_midnight(void **state)
{
    (void)state;
    int64_t midnight = day_to_unix_us(day_parse("2026-03-01"), 480);
    assert_int_equal(midnight, 1772294400000000); /* 2026-02-28T16:00:00Z */
    assert_int_equal(day_from_unix_us(midnight, 480), day_parse("2026-03-01"));
    assert_int_equal(day_from_unix_us(midnight - 1, 480), day_parse("2026-02-28"));
    assert_int_equal(day_from_unix_us(-1, 0), -1);
    day_from_unix_us(INT64_MIN, -840);
    day_from_unix_us(INT64_MAX, 840);
}

static void expect_faults(const char *csv, const char *words)
{
    struct calendar *calendar;
    struct casebus_error err = {0};
    assert_int_equal(calendar_open(&calendar, bytes_of_text(csv), "x", &err), -1);
    assert_null(calendar);
    assert_int_equal(err.code, CASEBUS_MALFORMED);
    if (!strstr(err.text, words))
        fail_msg("expected '%s' in '%s'", words, err.text);
}

static void test_faults_of_a_calendar_are_named_with_their_lines(void **state)
{
    (void)state;
    expect_faults("", "date");
    expect_faults("date,name\n2026-01-01,x\n", "line 1");
    expect_faults("date,is_work_day\n", "no days");
    expect_faults("date,is_work_day\n2026-01-01,0\n2026-02-30,0\n", "line 3");
    expect_faults("date,is_work_day\n2026-01-01,yes\n\n2026-02-30,0\n", "line 2");
    expect_faults("date,is_work_day\n2026-01-01,yes\n\n2026-02-30,0\n", "line 4");
    expect_faults("date,is_work_day\n2026-01-01\n", "line 2");
    expect_faults("date,is_work_day\n2026-01-01,0\n2026-01-01,1\n", "2026-01-01 twice");
    expect_faults("date,is_work_day\n\"2026-01-01,0\n", "quoted");
    expect_faults("date,is_work_day\n2026-01-01,0\na\"b,0\n", "line 3");
    expect_faults("date,is_work_day\nx,0\nx,0\nx,0\nx,0\nx,0\nx,0\nx,0\n", "and 2 more");
}

static void test_columns_of_a_calendar_are_found_by_name(void **state)
{
    (void)state;
    struct calendar *calendar;
    const char *csv = "name,is_work_day,date\r\n\"New, \"\"Year\"\"\",0,2026-01-01\r\n,1,2026-01-04";
    assert_int_equal(calendar_open(&calendar, bytes_of_text(csv), "x", NULL), 0);
    assert_false(calendar_is_working_day(calendar, day_parse("2026-01-01")));
    assert_true(calendar_is_working_day(calendar, day_parse("2026-01-04")));
    assert_null(calendar_close(calendar));
}

#define WITH_CALENDAR(test) cmocka_unit_test_setup_teardown(test, calendar_setup, calendar_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CALENDAR(test_due_dates_are_those_of_the_vectors),
        WITH_CALENDAR(test_months_have_the_working_days_of_the_vectors),
        WITH_CALENDAR(test_due_date_is_what_counting_on_fingers_gives),
        WITH_CALENDAR(test_no_working_days_is_the_day_itself),
        WITH_CALENDAR(test_result_past_the_last_notice_is_provisional),
        WITH_CALENDAR(test_absurd_limits_end),
        cmocka_unit_test(test_dates_go_there_and_back),
        cmocka_unit_test(test_dates_that_do_not_exist_are_refused),
        cmocka_unit_test(test_local_date_changes_at_local_midnight),
        cmocka_unit_test(test_faults_of_a_calendar_are_named_with_their_lines),
        cmocka_unit_test(test_columns_of_a_calendar_are_found_by_name),
    };
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
