/* Stores: the four that a hub keeps, opened together, in the order in which they depend on each other. */
#ifndef HUB_STORES_H
#define HUB_STORES_H

#include "hub/keys.h"
#include "hub/ledger/secured.h"
#include "hub/pipeline/replay.h"
#include "hub/settings.h"
#include "proto/base/log.h"

struct stores {
    int lock; /* descriptor of DIR/lock; -1: none */
    struct settings settings;
    const struct suite *suite;
    struct hub_keys keys;
    struct journal *journal;
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    struct secured secured; /* the newest backup */
};

/* Takes the directory's lock and reads the settings, no more. */
int stores_lock(struct stores *stores, const char *dir, struct casebus_error *err);
/* Takes the directory's lock, reads settings and keys, opens the stores. With @fresh_state the derived state
 * is thrown away first. */
int stores_open(struct stores *stores, const char *dir, bool fresh_state, const struct log *log,
                struct casebus_error *err);
void stores_close(struct stores *stores); /* fine on zeroed stores with lock -1 */
/* Brings ledger and state up to the journal. */
int stores_replay(struct stores *stores, const struct log *log,
                  void (*on_progress)(void *self, uint64_t done, uint64_t total), void *self,
                  struct replay_result *result, struct casebus_error *err);

/* Publishes a checkpoint of all that is in the ledger, unless there is one. */
int stores_publish(struct stores *stores, struct casebus_error *err);

#endif
