/* Renewing: certifies nodes anew that ask for it over their sessions, one after the other, in a thread of its
 * own: issuing takes the authority's key from its file, and waits for the ledger. */
#ifndef HUB_RENEWING_H
#define HUB_RENEWING_H

#include "hub/bus/bus.h"
#include "hub/console/console.h"

struct renewing;

/* @hub and @bus outlive it. */
int renewing_start(struct renewing **renewingp, const struct console_hub *hub, struct bus *bus,
                   const struct log *log, struct casebus_error *err);
/* What waits is not answered: the nodes ask again. From here on nothing is taken any more. Fine on NULL. */
void renewing_stop(struct renewing *renewing);
struct renewing *renewing_free(struct renewing *renewing); /* NULL in, NULL out */
/* Takes copies; the answer goes to the bus. CASEBUS_BUSY when too many wait. Any thread. */
int renewing_ask(struct renewing *renewing, uint64_t session, const char *node, struct bytes statement,
                 struct bytes signature, struct casebus_error *err);

#endif
