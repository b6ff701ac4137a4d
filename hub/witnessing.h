/* Witnessing: both sides of it in one hub: it cosigns what others publish, and has cosigned what it publishes
 * itself. */
#ifndef HUB_WITNESSING_H
#define HUB_WITNESSING_H

#include "hub/stores.h"
#include "hub/witness/cosigning.h"
#include "hub/witness/notary.h"
#include "hub/witness/stamping.h"

struct witnessing {
    struct signing_key *key; /* of this hub as a witness */
    struct notary *notary;
    struct policy *policy;       /* NULL: nobody witnesses this hub */
    struct cosigning *cosigning; /* NULL likewise */
    struct stamping *stamping;   /* NULL: no time stamps */
    char ca_path[4096];
    bool behind; /* this hub has less than its witnesses know */
    struct casebus_error behind_why;
};

struct witnessing_events {
    uint64_t (*committed)(void *self); /* entries that are durable */
    void (*on_cosigned)(void *self, uint64_t size, const char *note);
    void (*on_behind)(void *self, const struct casebus_error *err);
    void *self;
};

/* Opens both sides, and asks the witnesses whether this hub still has what it showed them: the stores have
 * been replayed, and nobody is served yet. To be closed whatever comes of it. */
int witnessing_open(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                    const struct witnessing_events *events, const struct log *log, struct casebus_error *err);
int witnessing_start(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                     const struct log *log, struct casebus_error *err);
void witnessing_close(struct witnessing *witnessing); /* fine on a zeroed one */

#endif
