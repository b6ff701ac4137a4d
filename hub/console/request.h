/* Request: what was asked, taken apart and checked. The target is decoded here and nowhere else, so that a
 * request over the socket and one in process are read alike. */
#ifndef CONSOLE_REQUEST_H
#define CONSOLE_REQUEST_H

#include "hub/console/console.h"

#define REQUEST_PARAMS_MAX 16

struct request_param {
    const char *name;
    const char *value;
};

struct request {
    const char *method;
    char *path; /* decoded; '/' that was written %2F is told apart by nobody but the last segment's reader */
    const char *rest; /* set by the router: what stands for the '*' of the route */
    struct request_param params[REQUEST_PARAMS_MAX];
    size_t n_params;
    json_t *body; /* an object; NULL when there is none */
    char *memory;
};

/* Refuses targets that are too long, hold a NUL, are not UTF-8 or are badly encoded, parameters that come
 * twice, and bodies that are no JSON object. The caller deinits in any case. */
int request_init(struct request *request, const struct console_request *raw, struct casebus_error *err);
void request_deinit(struct request *request); /* fine on a zeroed request */

/* The value of a parameter; NULL when it was not given. */
const char *request_param(const struct request *request, const char *name);
/* Whether it was given, and not as 0. */
bool request_flag(const struct request *request, const char *name);
/* A number in decimal, at most @max. Returns 1: given, @value is set; 0: not given; -1: no such number. */
int request_number(const struct request *request, const char *name, uint64_t max, uint64_t *value,
                   struct casebus_error *err);
/* How many to show: `limit`, else a hundred, at most @max. */
int request_limit(const struct request *request, uint64_t max, uint64_t *limit, struct casebus_error *err);
/* Decimal digits only, whole text. */
bool number_parse(const char *text, uint64_t max, uint64_t *value);

#endif
