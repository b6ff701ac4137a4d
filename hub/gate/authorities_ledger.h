/* The authorities that a ledger names, one after the other. */
#ifndef GATE_AUTHORITIES_LEDGER_H
#define GATE_AUTHORITIES_LEDGER_H

#include "hub/ledger/ledger.h"
#include "hub/state/state.h"
#include "proto/crypto/authorities.h"

/* Into @authorities, which begins zeroed: that of the entry that opened the ledger, and each that a change of
 * the hub's keys names. Whether they signed one another is not asked. @state says which entries change keys;
 * NULL: every entry is read. An empty ledger names none. */
int authorities_read(struct authorities *authorities, struct ledger *ledger, struct state *state,
                     struct casebus_error *err);

#endif
