/* Unsecured: what the ledger has that the newest backup has not, and of which kinds. It would be lost if the
 * hub had to be restored now: nodes send their events again, but nobody gives an operator's orders again. */
#ifndef CONSOLE_UNSECURED_H
#define CONSOLE_UNSECURED_H

#include "hub/ledger/secured.h"
#include "hub/state/state.h"

#include <jansson.h>

struct unsecured {
    uint64_t entries;    /* in all */
    uint64_t erasures;   /* orders to destroy */
    uint64_t enrolments; /* of nodes */
    uint64_t standings;  /* nodes that were suspended, resumed or revoked */
    uint64_t policies;   /* 1: another one is in force */
};

/* Of a ledger of @size entries, as the state tells. */
int unsecured_count(struct unsecured *unsecured, const struct secured *secured, uint64_t size,
                    struct state_view *state, struct casebus_error *err);
/* Whether there is anything that an operator would have to give again. */
bool unsecured_acts(const struct unsecured *unsecured);

#endif
