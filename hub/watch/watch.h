/* Watch: somebody else's look at a hub's ledger, that shares nothing with the hub (P6).
 *
 * Entries are read as they are published, and a copy of them is kept (without contents, which are not shown).
 * So each round knows by itself that the tree has only grown, that the entries give the root that the hub
 * signed, that every seal was signed by the department's own key, and who was enrolled: a second key of a
 * name that the first did not sign is an alarm. DIR holds the copy (ledger/), how far it was verified, and
 * evidence/. */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "hub/ledger/ledger.h"
#include "hub/watch/source.h"
#include "proto/base/log.h"
#include "proto/merkle/policy.h"

struct watch_options {
    const char *dir;
    struct source *source;
    const char *log_vkey;        /* whose checkpoints */
    struct bytes authority;      /* DER: who certifies departments' keys */
    const struct policy *policy; /* whose cosignatures are demanded; NULL: nobody's */
    const struct log *log;       /* tells what is new */
};

struct watch;

int watch_open(struct watch **watchp, const struct watch_options *options, struct casebus_error *err);
struct watch *watch_close(struct watch *watch); /* NULL in, NULL out */

struct watch_result {
    uint64_t size;     /* entries seen and verified */
    uint64_t fresh;    /* of them in this round */
    uint64_t enrolled; /* enrolments among these */
    uint8_t root[DIGEST_SIZE];
};

/* One look. 0: all is well; 1: alarm, @err says what is wrong; -1: it could not be looked at, @err says why.
 */
int watch_round(struct watch *watch, struct watch_result *result, struct casebus_error *err);

#endif
