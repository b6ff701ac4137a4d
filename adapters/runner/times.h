/* Times: what a column says about when, as an instant or a date. */
#ifndef RUNNER_TIMES_H
#define RUNNER_TIMES_H

#include "proto/base/error.h"

#include <stdint.h>

enum { ZONE_NONE = INT32_MIN, ZONE_CHINA = 8 * 60 };

struct time_format {
    enum { TIME_RFC3339, TIME_DATE, TIME_PATTERN } type;
    const char *pattern;   /* of strptime(3) */
    bool has_clock;        /* the pattern names an hour; else it is a date */
    int zone_minutes;      /* for times that name no zone; ZONE_NONE: they are refused */
    bool midnight_is_date; /* the source writes dates as midnights */
};

/* @format: "rfc3339", "date" (2011-10-11) or a pattern of strptime(3), which outlives the result. @zone:
 * "+08:00", "Z" or NULL: China's for dates and patterns, none for rfc3339. */
int time_format_parse(struct time_format *format, const char *text, const char *zone,
                      struct casebus_error *err);
/* Returns -1 when @text is no such time, or no day of the calendar. */
int time_read(const struct time_format *format, const char *text, int64_t *unix_us, bool *is_date,
              struct casebus_error *err);

#endif
