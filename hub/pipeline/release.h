/* Release: something in quarantine goes through the door again, with nodes and policy as they are now. */
#ifndef PIPELINE_RELEASE_H
#define PIPELINE_RELEASE_H

#include "hub/pipeline/act_note.h"

/* Releases what was refused at @position and returns when that is durable; *@decided is where it says so, and
 * what passed stands behind it. What does not pass stays: @err says why, with the code of the door, and
 * nothing is written. CASEBUS_NOT_FOUND: nothing lies there; CASEBUS_EXISTS: it was decided about, or has
 * come in meanwhile. */
int pipeline_release(struct pipeline *pipeline, uint64_t position, const struct act_note *note,
                     uint64_t *decided, struct casebus_error *err);

#endif
