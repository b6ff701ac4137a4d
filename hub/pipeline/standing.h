/* Standing: whether a node may do anything. Suspending and revoking are acts of the ledger; they count from
 * their entry on, also after a restart. What the node signed before stays what it is. */
#ifndef PIPELINE_STANDING_H
#define PIPELINE_STANDING_H

#include "hub/pipeline/act_note.h"

struct standing_change {
    const char *node;
    Casebus__V1__NodeStatus status;
    int64_t compromised_since_us; /* with REVOKED or SUSPENDED; 0: not said */
};

/* Changes the status of a node and returns when that is durable and the registry says so.
 * CASEBUS_UNKNOWN_NODE; CASEBUS_EXISTS when it has that status; CASEBUS_REVOKED when it is revoked: that is
 * for good. */
int pipeline_change_standing(struct pipeline *pipeline, const struct standing_change *change,
                             const struct act_note *note, struct casebus_error *err);

#endif
