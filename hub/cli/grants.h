/* Grants: the rights of a node as the command line says them, for the hub's API. */
#ifndef CLI_GRANTS_H
#define CLI_GRANTS_H

#include "proto/base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct grants_wanted {
    bool publish;
    bool receive_all;
    const char *parts; /* "identity,form", "all" or NULL */
};

/* A new reference, or NULL with @err. */
json_t *grants_wanted_json(const struct grants_wanted *wanted, struct casebus_error *err);

#endif
