/* Waiting: what lies in quarantine and nobody has decided about. The hub says so when it starts and every
 * hour, until each of them was released or discarded. */
#ifndef HUB_WAITING_H
#define HUB_WAITING_H

#include "hub/ledger/ledger.h"
#include "hub/state/state.h"
#include "proto/base/log.h"

#define WAITING_TOLD_EVERY_MS (60ull * 60 * 1000)

struct waiting {
    uint64_t n;
    int64_t oldest_us;
    char codes[256]; /* of the oldest ones: "CB-FUTURE, CB-TEXT" */
};

/* @ledger may be NULL: then no codes are told. */
int waiting_look(struct waiting *waiting, struct ledger *ledger, struct state *state,
                 struct casebus_error *err);
/* One line of the log, when something waits. */
void waiting_tell(struct ledger *ledger, struct state *state, const struct log *log);

#endif
