/* Stores: a hub's directory opened to be read, whether a hub runs on it or not. */
#ifndef CLI_STORES_H
#define CLI_STORES_H

#include "hub/console/console.h"
#include "hub/keys.h"

#include <limits.h>

struct stores {
    char dir[PATH_MAX];
    struct console_hub hub; /* for console_handle; without vault when its key cannot be read */
    struct ledger *ledger;
    struct state *state;
    struct vault *vault;
    struct casebus_error no_vault; /* why there is none */
    const struct suite *suite;
    struct hub_keys keys;
    bool has_keys; /* else: no_keys says why */
    struct casebus_error no_keys;
};

/* CASEBUS_NOT_FOUND when @dir is no hub's directory, or has no ledger or state. */
int stores_open(struct stores **storesp, const char *dir, struct casebus_error *err);
/* A ledger alone, such as the copies of a monitor: no state, no keys, and no contents. Good for its entries.
 */
int stores_open_copy(struct stores **storesp, const char *dir, struct casebus_error *err);
struct stores *stores_close(struct stores *stores); /* NULL in, NULL out */

/* How many entries the journal holds that the ledger has not, of a hub that does not run. CASEBUS_LOCKED when
 * one does. */
int stores_journal_ahead(const struct stores *stores, uint64_t *entries, struct casebus_error *err);
#endif
