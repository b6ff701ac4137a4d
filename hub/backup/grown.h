/* Grown: a list that has room for one more. */
#ifndef BACKUP_GROWN_H
#define BACKUP_GROWN_H

#include "proto/base/error.h"

#include <stddef.h>

/* @itemsp: the address of a pointer to @n items of @size bytes, with room for *@capacity. */
int grown(void *itemsp, size_t n, size_t *capacity, size_t size, struct casebus_error *err);

#endif
