/* Authority: whether the certificate in DIR/keys is the one that the ledger names. */
#ifndef HUB_AUTHORITY_H
#define HUB_AUTHORITY_H

#include "hub/ledger/ledger.h"

/* CASEBUS_CERTIFICATE when neither the entry that opened the newest generation nor a change of the hub's keys
 * after it names @authority. An empty ledger names none yet. */
int authority_fits(struct ledger *ledger, struct bytes authority, struct casebus_error *err);

#endif
