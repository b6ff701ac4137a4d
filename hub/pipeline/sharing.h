/* Sharing: the policy, who sees what, as the ledger has it. Applying one is an act: from its entry on, events
 * are decided by it, and a hub that starts again reads it from there. */
#ifndef PIPELINE_SHARING_H
#define PIPELINE_SHARING_H

#include "hub/pipeline/act_note.h"
#include "hub/rights/rights_book.h"

/* Makes @text the policy and returns when that is durable. @base: the version that it was made from
 * (CASEBUS_EXISTS when another one is in force by now). @faults: as rights_file_read. *version: the new one's
 * number. */
int pipeline_apply_policy(struct pipeline *pipeline, struct bytes text, uint32_t base,
                          const struct act_note *note, uint32_t *version, struct buffer *faults,
                          struct casebus_error *err);
/* A new reference to the one in force, NULL: none was ever applied. Any thread. */
struct rights_book *pipeline_policy(struct pipeline *pipeline);

#endif
