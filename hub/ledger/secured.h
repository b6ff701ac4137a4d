/* Secured: DIR/secured, what a hub knows of its newest backup. */
#ifndef LEDGER_SECURED_H
#define LEDGER_SECURED_H

#include "proto/base/error.h"

#include <limits.h>
#include <stdint.h>

struct secured {
    uint64_t size;       /* entries that are in it; 0: no backup is known */
    int64_t at_us;       /* when it was made */
    char dest[PATH_MAX]; /* where; "": not known */
};

int secured_write(const char *dir, const struct secured *secured, struct casebus_error *err);
/* What cannot be read, or has more than @ledger_size entries, counts as nothing: the next backup says it
 * again. */
void secured_read(struct secured *secured, const char *dir, uint64_t ledger_size);

#endif
