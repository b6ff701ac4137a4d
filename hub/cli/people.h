/* People: times, sizes and names as people read them. */
#ifndef CLI_PEOPLE_H
#define CLI_PEOPLE_H

#include "proto/base/clock.h"
#include "proto/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEOPLE_TEXT  CLOCK_TEXT
#define PEOPLE_TITLE 96

/* "2026-11-23 14:38:34" in China's zone, where the law counts days, or in that of TZ when it is set; "-" for
 * 0. A date was told as local midnight in China and is shown as "2026-11-23" in every zone. Returns @out. */
const char *time_text(char out[PEOPLE_TEXT], int64_t us, bool is_date);
/* The same where it stands alone: "2026-11-23 14:38:34 UTC+8". Returns @out. */
const char *time_zone_text(char out[PEOPLE_TEXT], int64_t us, bool is_date);
/* "LAST EVENT (UTC+8)": says the zone once, above a column of times. Returns @out. */
const char *time_title(char out[PEOPLE_TITLE], const char *title);
/* Whether it is midnight in China, as dates are told. */
bool time_is_midnight(int64_t us);
/* Reads "2026-11-25T14:00:00+08:00", or a date, which counts from its first moment in China. @is_date may be
 * NULL. CASEBUS_ARGUMENT when it is neither. */
int time_read(const char *text, int64_t *us, bool *is_date, struct casebus_error *err);
/* "3 d 4 h", "12 s" */
const char *duration_text(char out[PEOPLE_TEXT], uint64_t seconds);
/* "12.4 MiB" */
const char *size_text(char out[PEOPLE_TEXT], uint64_t bytes);

/* "1 entry", "12 entries". Returns @out. */
const char *entries_text(char out[PEOPLE_TEXT], uint64_t n);
const char *cases_text(char out[PEOPLE_TEXT], uint64_t n);
const char *orders_text(char out[PEOPLE_TEXT], uint64_t n);

/* Members of a JSON object, with something sane when they are missing or of another type. */
const char *get_text(const json_t *object, const char *name); /* NULL */
uint64_t get_number(const json_t *object, const char *name);  /* 0 */
int64_t get_time(const json_t *object, const char *name);     /* 0 */
bool get_bool(const json_t *object, const char *name);        /* false */
/* Texts of an array joined by commas; "" */
const char *get_joined(const json_t *object, const char *name, char *out, size_t size);

#endif
