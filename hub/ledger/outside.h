/* Outside: a copy of a hub is not made inside a hub's own directory, where it would be lost with it. */
#ifndef LEDGER_OUTSIDE_H
#define LEDGER_OUTSIDE_H

#include "proto/base/error.h"

/* CASEBUS_ARGUMENT when @path, which need not be there yet, is a hub's directory or lies in one. */
int outside_hub(const char *path, struct casebus_error *err);

#endif
