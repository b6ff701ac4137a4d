/* Clock: the two clocks, read in one place so that a test or the simulator can be given others. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT 48

int64_t clock_unix_us(void);       /* CLOCK_REALTIME, microseconds since 1970 */
uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC */

/* Times are shown to people in China's zone, where the law counts days, or in that of TZ when it is set. */
bool clock_zone_given(void);
bool clock_split(struct tm *tm, time_t seconds);
/* "2026-11-23 14:38:34 UTC+8". Returns @out. */
const char *clock_text(char out[CLOCK_TEXT], time_t seconds);

#endif
