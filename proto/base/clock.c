/* The only place in proto/ that asks what time it is. */
#include "proto/base/clock.h"

#include <stdlib.h>
#include <string.h>

#define CHINA_OFFSET_S (8 * 3600)

int64_t clock_unix_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool clock_zone_given(void)
{
    const char *zone = getenv("TZ");
    return zone && *zone;
}

bool clock_split(struct tm *tm, time_t seconds)
{
    if (clock_zone_given())
        return localtime_r(&seconds, tm) != NULL;
    seconds += CHINA_OFFSET_S;
    return gmtime_r(&seconds, tm) != NULL;
}

const char *clock_text(char out[CLOCK_TEXT], time_t seconds)
{
    const char *format = clock_zone_given() ? "%Y-%m-%d %H:%M:%S UTC%z" : "%Y-%m-%d %H:%M:%S UTC+8";
    struct tm tm;
    if (!clock_split(&tm, seconds) || strftime(out, CLOCK_TEXT, format, &tm) == 0)
        strcpy(out, "-");
    return out;
}
