/* The calendar is libc's: strptime(3) reads and timegm(3) computes. Added here are what they lack: fractions
 * of a second, zones, and the check that a day exists, which timegm does not make (it turns 30 February into
 * 2 March). */
#include "adapters/runner/times.h"

#include "proto/base/bytes.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

/* Nothing that a department reports happened before, and a wrong column or century shows. */
enum { YEAR_MIN = 1900, YEAR_MAX = 2199 };

/* "+08:00", "+0800", "-05:30" or "Z". Moves @text behind it. */
static bool zone_read(const char **text, int *minutes)
{
    const char *at = *text;
    int hours, rest, length = 0;
    if (*at == 'Z' || *at == 'z') {
        *minutes = 0;
        *text = at + 1;
        return true;
    }
    if ((*at != '+' && *at != '-') || !isdigit((unsigned char)at[1]))
        return false;
    if (sscanf(at + 1, "%2d:%2d%n", &hours, &rest, &length) != 2 || length != 5) {
        length = 0;
        if (sscanf(at + 1, "%2d%2d%n", &hours, &rest, &length) != 2 || length != 4)
            return false;
    }
    if (hours > 14 || rest > 59 || rest < 0)
        return false;
    *minutes = (hours * 60 + rest) * (*at == '-' ? -1 : 1);
    *text = at + 1 + length;
    return true;
}

/* ".276": at most nine digits, kept to the microsecond. Moves @text behind it. */
static bool fraction_read(const char **text, int64_t *us)
{
    *us = 0;
    if (**text != '.' && **text != ',')
        return true;
    const char *at = *text + 1;
    int64_t unit = 100000;
    size_t n = 0;
    for (; isdigit((unsigned char)*at) && n < 9; at++, n++, unit /= 10)
        *us += (*at - '0') * unit;
    *text = at;
    return n > 0;
}

/* What follows "%Y-%m-%dT%H:%M:%S" before its fraction: strptime is lenient about digits and blanks. */
static bool shape_fits(const char *text, const char *shape)
{
    for (; *shape; text++, shape++)
        if (*shape == '0'   ? !isdigit((unsigned char)*text)
            : *shape == 'T' ? !strchr("Tt ", *text) || !*text
                            : *text != *shape)
            return false;
    return true;
}

static int not_a_time(const char *text, const char *expected, struct casebus_error *err)
{
    error_set(err, CASEBUS_ROW, _("'%.60s' is not a time"), text);
    return error_hint(err, _("expected is %s"), expected);
}

static int not_a_day(const char *text, struct casebus_error *err)
{
    error_set(err, CASEBUS_ROW, _("'%.60s' names a day or hour that does not exist"), text);
    return error_hint(err, _("correct it in the source"));
}

/* @tm as it was read, in a zone @minutes east of Greenwich. */
static int time_compute(const struct tm *read, int minutes, const char *text, int64_t *unix_us,
                        struct casebus_error *err)
{
    struct tm tm = *read;
    tm.tm_isdst = 0;
    if (tm.tm_sec > 59)
        tm.tm_sec = 59; /* a leap second belongs to its minute */
    int day = tm.tm_mday, hour = tm.tm_hour, minute = tm.tm_min;
    time_t seconds = timegm(&tm);
    if (tm.tm_mday != day || tm.tm_hour != hour || tm.tm_min != minute)
        return not_a_day(text, err);
    if (tm.tm_year + 1900 < YEAR_MIN || tm.tm_year + 1900 > YEAR_MAX) {
        error_set(err, CASEBUS_ROW, _("'%.60s' lies in the year %d"), text, tm.tm_year + 1900);
        return error_hint(err, _("years from %d to %d are read; is it the right column?"), YEAR_MIN,
                          YEAR_MAX);
    }
    *unix_us = ((int64_t)seconds - minutes * 60) * 1000000;
    return 0;
}

static bool is_midnight(const struct tm *tm, int64_t us)
{
    return tm->tm_hour == 0 && tm->tm_min == 0 && tm->tm_sec == 0 && us == 0;
}

static int instant_read(const struct time_format *format, const char *text, int64_t *unix_us, bool *is_date,
                        struct casebus_error *err)
{
    const char *expected = _("a time as in 2011-10-11T13:45:40.276+02:00 (RFC 3339)");
    struct tm tm = {0};
    int64_t us;
    int minutes = format->zone_minutes;
    if (!shape_fits(text, "0000-00-00T00:00:00"))
        return not_a_time(text, expected, err);
    if (sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return not_a_time(text, expected, err);
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_sec > 60)
        return not_a_day(text, err);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    const char *rest = text + strlen("0000-00-00T00:00:00");
    if (!fraction_read(&rest, &us))
        return not_a_time(text, expected, err);
    if (*rest == '\0' && minutes == ZONE_NONE) {
        error_set(err, CASEBUS_ROW, _("'%.60s' does not say in which zone it is"), text);
        return error_hint(err, _("add for example zone: \"+08:00\" to this field of the mapping"));
    }
    if (*rest && (!zone_read(&rest, &minutes) || *rest))
        return not_a_time(text, expected, err);
    if (time_compute(&tm, minutes, text, unix_us, err) != 0)
        return -1;
    *unix_us += us;
    *is_date = format->midnight_is_date && is_midnight(&tm, us);
    return 0;
}

static int pattern_read(const struct time_format *format, const char *text, int64_t *unix_us, bool *is_date,
                        struct casebus_error *err)
{
    struct tm tm = {.tm_mday = 1};
    int64_t us = 0;
    const char *rest = strptime(text, format->pattern, &tm);
    if (rest && format->has_clock && !fraction_read(&rest, &us))
        rest = NULL;
    while (rest && isspace((unsigned char)*rest))
        rest++;
    if (!rest || *rest)
        return not_a_time(text, format->pattern, err);
    int minutes = strstr(format->pattern, "%z") ? (int)(tm.tm_gmtoff / 60) : format->zone_minutes;
    if (time_compute(&tm, minutes, text, unix_us, err) != 0)
        return -1;
    *unix_us += us;
    *is_date = !format->has_clock || (format->midnight_is_date && is_midnight(&tm, us));
    return 0;
}

static int date_read(const struct time_format *format, const char *text, int64_t *unix_us, bool *is_date,
                     struct casebus_error *err)
{
    struct time_format pattern = *format;
    pattern.pattern = "%Y-%m-%d";
    if (!shape_fits(text, "0000-00-00") || text[10])
        return not_a_time(text, _("a date as in 2011-10-11"), err);
    return pattern_read(&pattern, text, unix_us, is_date, err);
}

int time_read(const struct time_format *format, const char *text, int64_t *unix_us, bool *is_date,
              struct casebus_error *err)
{
    switch (format->type) {
    case TIME_DATE:
        return date_read(format, text, unix_us, is_date, err);
    case TIME_PATTERN:
        return pattern_read(format, text, unix_us, is_date, err);
    case TIME_RFC3339:
        break;
    }
    return instant_read(format, text, unix_us, is_date, err);
}

/* What strptime(3) of glibc knows; it says of an unknown one only that no text fits. */
static int pattern_check(const char *pattern, struct casebus_error *err)
{
    for (const char *at = strchr(pattern, '%'); at; at = strchr(at + 1, '%')) {
        at++;
        if (*at == 'E' || *at == 'O')
            at++;
        if (*at && strchr("%aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ", *at))
            continue;
        error_set(err, CASEBUS_CONFIG, _("in the pattern \"%.100s\", '%%%.*s' stands for nothing"), pattern,
                  (unsigned char)*at < 128 ? 1 : 0, at);
        return error_hint(err, _("see strptime(3) for the letters; a fraction of a second behind %%S is read "
                                 "without one"));
    }
    return 0;
}

int time_format_parse(struct time_format *format, const char *text, const char *zone,
                      struct casebus_error *err)
{
    *format = (struct time_format){.type = TIME_RFC3339, .zone_minutes = ZONE_NONE};
    if (strcmp(text, "date") == 0) {
        format->type = TIME_DATE;
    } else if (strcmp(text, "rfc3339") != 0) {
        format->type = TIME_PATTERN;
        format->pattern = text;
    }
    if (format->type == TIME_PATTERN && !strchr(text, '%')) {
        error_set(err, CASEBUS_CONFIG, _("'%s' is not a format of times"), text);
        return error_hint(err, _("it is rfc3339, date, or a pattern such as \"%%Y-%%m-%%d %%H:%%M:%%S\""));
    }
    if (format->type == TIME_PATTERN && pattern_check(text, err) != 0)
        return -1;
    if (format->type == TIME_PATTERN)
        format->has_clock = strstr(text, "%H") || strstr(text, "%T") || strstr(text, "%R") ||
                            strstr(text, "%I") || strstr(text, "%s") || strstr(text, "%r");
    if (format->type != TIME_RFC3339)
        format->zone_minutes = ZONE_CHINA;
    if (zone && zone[0] && (!zone_read(&zone, &format->zone_minutes) || *zone)) {
        error_set(err, CASEBUS_CONFIG, _("this zone cannot be used"));
        return error_hint(err, _("it is an offset such as \"+08:00\", or Z"));
    }
    return 0;
}
