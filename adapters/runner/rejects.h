/* Rejects: the file that keeps each row that did not become an event, with the reason, so that nothing ends
 * silently. CSV: row,line,code,reason,remedy,raw. */
#ifndef RUNNER_REJECTS_H
#define RUNNER_REJECTS_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <stdio.h>

struct rejects {
    const char *path;
    FILE *file;        /* NULL until there is something to keep */
    uint64_t last_row; /* rows up to it are kept already */
    bool unsynced;
};

/* @anew: the source is read from its first row, so what an earlier pass kept is removed. @path outlives it.
 */
int rejects_open(struct rejects *rejects, const char *path, bool anew, struct casebus_error *err);
void rejects_close(struct rejects *rejects); /* fine on a zeroed one */
/* Keeps a row that is unusable. A row that the file has already is not written twice. */
int rejects_add_row(struct rejects *rejects, uint64_t row, uint64_t line, const struct casebus_error *why,
                    struct bytes raw, struct casebus_error *err);
/* Notes that the hub refused the event of @row. */
int rejects_add_refusal(struct rejects *rejects, uint64_t row, const char *code, const char *sentence,
                        const char *hint, struct casebus_error *err);
/* Makes it durable: before anything is published that comes after these rows. */
int rejects_sync(struct rejects *rejects, struct casebus_error *err);

#endif
