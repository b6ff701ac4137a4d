/* Progress: what a person sees while an adapter works. A bar on a terminal, a log line now and then
 * elsewhere. */
#ifndef RUNNER_PROGRESS_H
#define RUNNER_PROGRESS_H

#include "proto/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counts {
    uint64_t rows;     /* of this adapter: passed the filter, good or bad */
    uint64_t filtered; /* of others */
    uint64_t skipped;  /* published by an earlier run */
    uint64_t sent;
    uint64_t accepted;
    uint64_t duplicate;
    uint64_t refused;  /* by the hub */
    uint64_t rejected; /* unusable rows, kept in the rejects file */
    uint64_t delivered;
};

struct progress {
    const char *name; /* of the node */
    const struct log *log;
    bool terminal;
    bool drawn;
    uint64_t started_ns;
    uint64_t shown_ns;
    struct counts shown;
};

void progress_init(struct progress *progress, const char *name, const struct log *log);
/* Shows @counts when it is time to, and in a log only when something has happened; @part: 0 to 1 of the
 * source, below 0 when unknown. */
void progress_show(struct progress *progress, const struct counts *counts, double part, bool connected);
/* Takes the bar away, so that a line can be written. */
void progress_clear(struct progress *progress);
double progress_seconds(const struct progress *progress);

#endif
