/* Working days. A weekday is a working day unless a notice says otherwise, and a Saturday or Sunday is none
 * unless a notice makes it up. So the number of working days up to a day is a formula (five in each week)
 * plus what the notices before it have added and taken, kept as a running sum beside each of their dates. Any
 * question is a difference of two such numbers; a due date is found by halving. */
#include "proto/base/calendar.h"

#include "proto/base/texts.h"

#include <assert.h>
#include <csv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECONDS_A_DAY = 86400, SPECIAL_MAX = 100000 };

struct special {
    day_t day;
    bool works;
    int change; /* working days that all notices up to this one have added to the formula */
};

struct calendar {
    struct special *specials; /* by date */
    size_t n_specials;
    day_t known_from;
    day_t known_until;
    char version[64];
};

/* ---- dates ---- */

day_t day_from_civil(int year, int month, int day)
{
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31)
        return DAY_NONE;
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    time_t seconds = timegm(&tm);
    if (tm.tm_mon != month - 1) /* timegm made 1 March of 29 February */
        return DAY_NONE;
    return (day_t)(seconds / SECONDS_A_DAY);
}

void day_to_civil(day_t day, int *year, int *month, int *mday)
{
    time_t seconds = (time_t)day * SECONDS_A_DAY;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    *year = tm.tm_year + 1900;
    *month = tm.tm_mon + 1;
    *mday = tm.tm_mday;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

day_t day_from_unix_us(int64_t unix_us, int offset_minutes)
{
    return (day_t)divide_down(divide_down(unix_us, 1000000) + offset_minutes * 60, SECONDS_A_DAY);
}

int64_t day_to_unix_us(day_t day, int offset_minutes)
{
    assert(day > -100000000 && day < 100000000);
    return ((int64_t)day * SECONDS_A_DAY - offset_minutes * 60) * 1000000;
}

day_t day_parse(const char *text)
{
    if (strnlen(text, 11) != 10 || text[4] != '-' || text[7] != '-')
        return DAY_NONE;
    int parts[3] = {0};
    for (int i = 0, part = 0; i < 10; i++) {
        if (i == 4 || i == 7) {
            part++;
            continue;
        }
        if (text[i] < '0' || text[i] > '9')
            return DAY_NONE;
        parts[part] = parts[part] * 10 + (text[i] - '0');
    }
    return day_from_civil(parts[0], parts[1], parts[2]);
}

char *day_format(char out[11], day_t day)
{
    int year;
    int month;
    int mday;
    day_to_civil(day, &year, &month, &mday);
    if (year < 1 || year > 9999)
        year = month = mday = 0; /* not a date that can be written this way */
    snprintf(out, 11, "%04u-%02u-%02u", (unsigned)year % 10000, (unsigned)month % 100, (unsigned)mday % 100);
    return out;
}

/* ---- reading the notices ---- */

struct reading {
    struct calendar *calendar;
    struct csv_parser parser;
    struct buffer faults;
    unsigned n_faults;
    unsigned line;     /* of the byte that is read */
    unsigned row_line; /* of the row's first byte */
    int column;
    int date_column; /* -1 until the header has named it */
    int works_column;
    bool header_read;
    bool out_of_memory;
    day_t date;
    int works; /* -1: neither 0 nor 1 */
};

static void fault(struct reading *reading, unsigned line, const char *what)
{
    reading->n_faults++;
    if (reading->n_faults <= 5)
        buffer_printf(&reading->faults, _("%sline %u: %s"), reading->n_faults > 1 ? "; " : "", line, what);
}

static void header_field(struct reading *reading, struct bytes field)
{
    if (bytes_equal(field, bytes_of_text("date")))
        reading->date_column = reading->column;
    if (bytes_equal(field, bytes_of_text("is_work_day")))
        reading->works_column = reading->column;
}

static void reading_on_field(void *data, size_t size, void *self)
{
    struct reading *reading = self;
    struct bytes field = bytes_of(data, size);
    if (!reading->header_read) {
        header_field(reading, field);
    } else if (reading->column == reading->date_column) {
        bool plain = size == 10 && !memchr(data, '\0', size);
        reading->date = plain ? day_parse(data) : DAY_NONE;
    } else if (reading->column == reading->works_column) {
        reading->works = bytes_equal(field, bytes_of_text("1"))   ? 1
                         : bytes_equal(field, bytes_of_text("0")) ? 0
                                                                  : -1;
    }
    reading->column++;
}

static void special_add(struct reading *reading, day_t day, bool works)
{
    struct calendar *calendar = reading->calendar;
    if (calendar->n_specials == SPECIAL_MAX) {
        fault(reading, reading->row_line, _("too many rows"));
        return;
    }
    struct special *specials =
        reallocarray(calendar->specials, calendar->n_specials + 1, sizeof *calendar->specials);
    if (!specials) {
        reading->out_of_memory = true;
        return;
    }
    calendar->specials = specials;
    specials[calendar->n_specials++] = (struct special){.day = day, .works = works};
}

static void row_end(struct reading *reading)
{
    if (!reading->header_read) {
        if (reading->date_column < 0 || reading->works_column < 0)
            fault(reading, reading->row_line, _("the columns 'date' and 'is_work_day' are missing"));
        reading->header_read = true;
    } else if (reading->date_column >= 0 && reading->works_column >= 0) {
        if (reading->date == DAY_NONE)
            fault(reading, reading->row_line, _("no date of the form 2026-01-31 that exists"));
        else if (reading->works < 0)
            fault(reading, reading->row_line, _("'is_work_day' is neither 0 nor 1"));
        else
            special_add(reading, reading->date, reading->works == 1);
    }
}

static void reading_on_row(int end, void *self)
{
    struct reading *reading = self;
    (void)end;
    row_end(reading);
    reading->column = 0;
    reading->date = DAY_NONE;
    reading->works = -1;
}

/* Byte by byte, because the parser does not tell lines; a calendar is a few pages. */
static void reading_feed(struct reading *reading, struct bytes csv)
{
    reading->line = reading->row_line = 1;
    for (size_t i = 0; i < csv.size; i++) {
        if (reading->column == 0 && i > 0 && csv.data[i - 1] == '\n')
            reading->row_line = reading->line;
        if (csv_parse(&reading->parser, csv.data + i, 1, reading_on_field, reading_on_row, reading) != 1) {
            fault(reading, reading->line, _("a quotation mark stands where none may stand"));
            return;
        }
        reading->line += csv.data[i] == '\n';
    }
    if (csv_fini(&reading->parser, reading_on_field, reading_on_row, reading) != 0)
        fault(reading, reading->row_line, _("a quoted field does not end"));
    if (!reading->header_read)
        fault(reading, 1, _("the columns 'date' and 'is_work_day' are missing"));
}

static int special_compare(const void *a, const void *b)
{
    const struct special *x = a;
    const struct special *y = b;
    return (x->day > y->day) - (x->day < y->day);
}

/* Monday 0 … Sunday 6; 1970-01-01 was a Thursday. */
static int weekday(int64_t day)
{
    return (int)(((day + 3) % 7 + 7) % 7);
}

static int specials_settle(struct calendar *calendar, struct casebus_error *err)
{
    struct special *specials = calendar->specials;
    if (calendar->n_specials == 0)
        return error_set(err, CASEBUS_MALFORMED, _("the calendar holds no days"));
    qsort(specials, calendar->n_specials, sizeof *specials, special_compare);
    int change = 0;
    for (size_t i = 0; i < calendar->n_specials; i++) {
        char text[11];
        if (i > 0 && specials[i].day == specials[i - 1].day)
            return error_set(err, CASEBUS_MALFORMED, _("the calendar names the day %s twice"),
                             day_format(text, specials[i].day));
        change += specials[i].works - (weekday(specials[i].day) < 5);
        specials[i].change = change;
    }
    int year;
    int month;
    int mday;
    day_to_civil(specials[0].day, &year, &month, &mday);
    calendar->known_from = day_from_civil(year, 1, 1);
    day_to_civil(specials[calendar->n_specials - 1].day, &year, &month, &mday);
    calendar->known_until = day_from_civil(year, 12, 31);
    return 0;
}

static int reading_judge(struct reading *reading, struct casebus_error *err)
{
    if (reading->out_of_memory)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the calendar"));
    if (reading->n_faults == 0)
        return specials_settle(reading->calendar, err);
    if (reading->n_faults > 5)
        buffer_printf(&reading->faults, _("; and %u more"), reading->n_faults - 5);
    return error_set(err, CASEBUS_MALFORMED, _("the calendar has faults: %.*s"), (int)reading->faults.size,
                     reading->faults.data ? (const char *)reading->faults.data : "");
}

static int calendar_read(struct calendar *calendar, struct bytes csv, struct casebus_error *err)
{
    struct reading reading = {
        .calendar = calendar, .date_column = -1, .works_column = -1, .date = DAY_NONE, .works = -1};
    buffer_init(&reading.faults, 1024);
    if (csv_init(&reading.parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the calendar"));
    reading_feed(&reading, csv);
    int r = reading_judge(&reading, err);
    csv_free(&reading.parser);
    buffer_deinit(&reading.faults);
    return r;
}

int calendar_open(struct calendar **calendarp, struct bytes csv, const char *version,
                  struct casebus_error *err)
{
    *calendarp = NULL;
    struct calendar *calendar = calloc(1, sizeof *calendar);
    if (!calendar)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the calendar"));
    snprintf(calendar->version, sizeof calendar->version, "%s", version);
    utf8_cut(calendar->version);
    if (calendar_read(calendar, csv, err) != 0) {
        calendar_close(calendar);
        return -1;
    }
    *calendarp = calendar;
    return 0;
}

struct calendar *calendar_close(struct calendar *calendar)
{
    if (!calendar)
        return NULL;
    free(calendar->specials);
    free(calendar);
    return NULL;
}

const char *calendar_version(const struct calendar *calendar)
{
    return calendar->version;
}

day_t calendar_known_until(const struct calendar *calendar)
{
    return calendar->known_until;
}

/* ---- counting ---- */

/* How many notices speak of @day or of days before it. */
static size_t specials_until(const struct calendar *calendar, int64_t day)
{
    size_t low = 0;
    size_t high = calendar->n_specials;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (calendar->specials[middle].day <= day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Working days up to and with @day, from a beginning that does not matter. */
static int64_t working_days_until(const struct calendar *calendar, int64_t day)
{
    int64_t in_week = weekday(day) < 5 ? weekday(day) + 1 : 5;
    int64_t by_formula = divide_down(day + 3, 7) * 5 + in_week;
    size_t n = specials_until(calendar, day);
    return by_formula + (n > 0 ? calendar->specials[n - 1].change : 0);
}

bool calendar_is_working_day(const struct calendar *calendar, day_t day)
{
    size_t n = specials_until(calendar, day);
    if (n > 0 && calendar->specials[n - 1].day == day)
        return calendar->specials[n - 1].works;
    return weekday(day) < 5;
}

day_t calendar_due(const struct calendar *calendar, day_t start, unsigned n, bool *provisional)
{
    int64_t goal = working_days_until(calendar, start) + n;
    int64_t low = start;
    /* Five in seven, a broken week at either end, and each notice may have taken a day. */
    int64_t high = start + (int64_t)n * 7 / 5 + 14 + 2 * (int64_t)calendar->n_specials;
    while (n > 0 && low < high) {
        int64_t middle = low + (high - low) / 2;
        if (working_days_until(calendar, middle) < goal)
            low = middle + 1;
        else
            high = middle;
    }
    if (provisional)
        *provisional = low > calendar->known_until || start < calendar->known_from;
    return low <= INT32_MAX ? (day_t)low : DAY_NONE;
}

unsigned calendar_working_days(const struct calendar *calendar, day_t from, day_t to)
{
    if (to <= from)
        return 0;
    return (unsigned)(working_days_until(calendar, to) - working_days_until(calendar, from));
}
