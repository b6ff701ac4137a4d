/* Reserve: room on the disk that nodes do not get. Whoever may publish could fill it, by events or by what is
 * refused and kept; what is left then is for those who end that: revocations, orders to destroy, and what
 * receivers confirm. */
#ifndef PIPELINE_RESERVE_H
#define PIPELINE_RESERVE_H

#include "proto/base/log.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct reserve {
    char dir[PATH_MAX]; /* the hub's */
    uint64_t bytes;     /* 0: none */
    uint64_t looked_ns, told_ns;
    atomic_bool touched; /* any thread may look */
};

/* @dir is copied; "": there is none. */
void reserve_init(struct reserve *reserve, const char *dir, uint64_t bytes);
/* Whether less than the reserve is left. Looks a few times a second, and tells the log, then and each hour.
 */
bool reserve_look(struct reserve *reserve, const struct log *log);

#endif
