/* Calendar: local dates (China, UTC+8, no daylight saving) and working days by the State Council's notices.
 *
 * Counting: the first day is not counted (Civil Code art. 201); a limit in working days ends on the n-th
 * working day after the start. A calendar knows the notices up to a date; a result past it is provisional. */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

typedef int32_t day_t; /* days since 1970-01-01, proleptic Gregorian, local */

#define DAY_NONE INT32_MIN

day_t day_from_civil(int year, int month, int day); /* DAY_NONE when there is no such date */
void day_to_civil(day_t day, int *year, int *month, int *mday);
day_t day_from_unix_us(int64_t unix_us, int offset_minutes); /* local date of an instant; China is 480 */
int64_t day_to_unix_us(day_t day, int offset_minutes);       /* local midnight of the day */
/* "YYYY-MM-DD"; DAY_NONE for anything else or a date that does not exist. */
day_t day_parse(const char *text);
char *day_format(char out[11], day_t day); /* "0000-00-00" when it cannot be written so */

struct calendar;

/* Reads "date,is_work_day,..." rows (RFC 4180; the columns are found by name, others are passed over).
 * @version names it in due dates. Faults are reported all at once, each with its line. */
int calendar_open(struct calendar **calendarp, struct bytes csv, const char *version,
                  struct casebus_error *err);
struct calendar *calendar_close(struct calendar *calendar);
const char *calendar_version(const struct calendar *calendar);
day_t calendar_known_until(const struct calendar *calendar); /* 31 December of the last notice's year */
bool calendar_is_working_day(const struct calendar *calendar, day_t day);
/* The @n-th working day after @start (n = 0: @start itself). *provisional (may be NULL): reaches out of what
 * is known, on either side. DAY_NONE past the end of time. */
day_t calendar_due(const struct calendar *calendar, day_t start, unsigned n, bool *provisional);
/* Working days in (from, to]; 0 when to <= from. */
unsigned calendar_working_days(const struct calendar *calendar, day_t from, day_t to);

#endif
