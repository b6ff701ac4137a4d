/* Clock: the two clocks, read in one place so that a test or the simulator can be given others. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_unix_us(void);       /* CLOCK_REALTIME, microseconds since 1970 */
uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC */

#endif
