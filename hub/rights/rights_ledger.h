/* Rights out of the ledger: the policy in force, from the body of its entry. */
#ifndef RIGHTS_RIGHTS_LEDGER_H
#define RIGHTS_RIGHTS_LEDGER_H

#include "hub/exchange/store.h"
#include "hub/ledger/ledger.h"
#include "hub/rights/rights_book.h"
#include "hub/vault/vault.h"

#define RIGHTS_PIECE_SIZE (64u * 1024) /* of the policy's bytes in one item of the body */

/* Reads the policy that the state (@store) names. 1: *bookp is it, the caller unrefs it; 0: none was ever
 * applied; -1: it cannot be read, or is not the one that its entry names. */
int rights_ledger_read(struct rights_book **bookp, const struct exchange_store *store,
                       struct ledger_view *view, struct ledger *ledger, struct vault *vault,
                       const struct suite *suite, struct casebus_error *err);

#endif
