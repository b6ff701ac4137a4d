#include "hub/cli/people.h"

#include "proto/base/bytes.h"
#include "proto/base/calendar.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHINA_OFFSET_S (8 * 3600)

/* Dates are told as China's whatever the zone. */
static bool time_split(struct tm *tm, int64_t us, bool is_date)
{
    time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
    if (!is_date)
        return clock_split(tm, seconds);
    seconds += CHINA_OFFSET_S;
    return gmtime_r(&seconds, tm) != NULL;
}

const char *time_text(char out[PEOPLE_TEXT], int64_t us, bool is_date)
{
    struct tm tm;
    if (us == 0 || !time_split(&tm, us, is_date))
        strcpy(out, "-");
    else
        strftime(out, PEOPLE_TEXT, is_date ? "%Y-%m-%d" : "%Y-%m-%d %H:%M:%S", &tm);
    return out;
}

const char *time_zone_text(char out[PEOPLE_TEXT], int64_t us, bool is_date)
{
    if (is_date || us == 0)
        return time_text(out, us, is_date);
    return clock_text(out, (time_t)(us / 1000000 - (us % 1000000 < 0)));
}

const char *time_title(char out[PEOPLE_TITLE], const char *title)
{
    snprintf(out, PEOPLE_TITLE, "%s (%.30s)", title, clock_zone_given() ? getenv("TZ") : "UTC+8");
    return out;
}

bool time_is_midnight(int64_t us)
{
    return us != 0 && (us + CHINA_OFFSET_S * INT64_C(1000000)) % (86400 * INT64_C(1000000)) == 0;
}

int time_read(const char *text, int64_t *us, bool *is_date, struct casebus_error *err)
{
    struct tm when = {0};
    day_t day = day_parse(text);
    const char *end;
    *us = 0;
    if (day != DAY_NONE) {
        *us = day_to_unix_us(day, CHINA_OFFSET_S / 60);
    } else if ((end = strptime(text, "%Y-%m-%dT%H:%M:%S%z", &when)) && !*end) {
        long offset = when.tm_gmtoff;
        *us = ((int64_t)timegm(&when) - offset) * 1000000;
    }
    if (is_date)
        *is_date = day != DAY_NONE;
    return *us > 0 ? 0
                   : error_set(err, CASEBUS_ARGUMENT,
                               _("'%s' is no time: expected 2026-11-25 or 2026-11-25T14:00:00+08:00"), text);
}

const char *duration_text(char out[PEOPLE_TEXT], uint64_t seconds)
{
    unsigned long long s = seconds;
    if (s < 60)
        snprintf(out, PEOPLE_TEXT, "%llu s", s);
    else if (s < 3600)
        snprintf(out, PEOPLE_TEXT, "%llu min %llu s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, PEOPLE_TEXT, "%llu h %llu min", s / 3600, s / 60 % 60);
    else
        snprintf(out, PEOPLE_TEXT, "%llu d %llu h", s / 86400, s / 3600 % 24);
    return out;
}

const char *size_text(char out[PEOPLE_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        size /= 1024;
        unit++;
    }
    snprintf(out, PEOPLE_TEXT, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
    return out;
}

const char *entries_text(char out[PEOPLE_TEXT], uint64_t n)
{
    snprintf(out, PEOPLE_TEXT, _n("%llu entry", "%llu entries", n), (unsigned long long)n);
    return out;
}

const char *cases_text(char out[PEOPLE_TEXT], uint64_t n)
{
    snprintf(out, PEOPLE_TEXT, _n("%llu case", "%llu cases", n), (unsigned long long)n);
    return out;
}

const char *orders_text(char out[PEOPLE_TEXT], uint64_t n)
{
    snprintf(out, PEOPLE_TEXT, _n("%llu order", "%llu orders", n), (unsigned long long)n);
    return out;
}

const char *get_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

uint64_t get_number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

int64_t get_time(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

bool get_bool(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

const char *get_joined(const json_t *object, const char *name, char *out, size_t size)
{
    const json_t *array = json_object_get(object, name);
    struct buffer joined;
    buffer_init(&joined, size - 1);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!buffer_printf(&joined, "%s%s", i ? "," : "", text ? text : ""))
            break;
    }
    memcpy(out, joined.size ? (const char *)joined.data : "", joined.size);
    out[joined.size] = '\0';
    buffer_deinit(&joined);
    return out;
}
