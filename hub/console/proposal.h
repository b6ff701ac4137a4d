/* Proposal: a policy that one operator wants and a second one has to agree to (four eyes). One at a time
 * waits, as a file in the hub's directory; it is in the ledger once it is agreed to, with both names. */
#ifndef CONSOLE_PROPOSAL_H
#define CONSOLE_PROPOSAL_H

#include "hub/console/handlers.h"

/* The one that waits, for @hub whose policy in force is @version; the caller gives up *jsonp. 1; 0: none
 * waits, or it was made from another version; -1. */
int proposal_load(json_t **jsonp, const struct console_hub *hub, uint32_t version, struct casebus_error *err);
/* What the caller of GET /v1/policy sees of it; also where none waits: null. */
int proposal_show(const struct console_hub *hub, uint32_t version, json_t *answer, struct casebus_error *err);
/* For status: the version that is proposed, or null. */
int proposal_status(const struct console_hub *hub, json_t *status, struct casebus_error *err);
/* Keeps that @call wants @text in place of @version, because of @why. CASEBUS_EXISTS when one waits already.
 */
int proposal_make(struct call *call, struct bytes text, uint32_t version, const char *why,
                  struct casebus_error *err);
int proposal_drop(const struct console_hub *hub, struct casebus_error *err);

#endif
