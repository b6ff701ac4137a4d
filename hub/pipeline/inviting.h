/* Inviting: that somebody may join is an act of the ledger, before anybody is told the code. */
#ifndef PIPELINE_INVITING_H
#define PIPELINE_INVITING_H

#include "hub/pipeline/act_note.h"

/* Commits @invited (its subject is chosen here) and returns when that is durable. */
int pipeline_invite(struct pipeline *pipeline, const Casebus__V1__NodeInvited *invited,
                    const struct act_note *note, struct casebus_error *err);

#endif
