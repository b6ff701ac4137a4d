/* Watch: somebody else's look at a hub's ledger, that shares nothing with the hub (P6).
 *
 * Entries are read as they are published, and a copy of them is kept (without contents, which are not shown).
 * So each round knows by itself that the tree has only grown, that the entries give the root that the hub
 * signed, that every seal was signed by the department's own key, and who was enrolled: a second key of a
 * name that the first did not sign is an alarm; one for which the hub's operator alone vouches is asked about
 * until it is accepted.
 *
 * A hub that was restored is followed into its next generation. What it has lost of what was seen here is set
 * aside, named, and kept.
 *
 * DIR holds
 *   ledger/             the copy            checkpoint      the newest one that it agrees with
 *   verify.resume       how far it was verified
 *   incoming/           bundles of the round at hand, and of one that was cut short
 *   evidence/           what an alarm was about
 *   accepted            keys that a department has said to be its own
 *   before-DATE/        a copy of what a restored hub has lost, with its checkpoint, and what of it
 *                       nobody was told yet
 *   next/               one that is being made in its place */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "hub/ledger/ledger.h"
#include "hub/watch/source.h"
#include "hub/watch/vouched.h"
#include "proto/base/log.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/policy.h"

#include <limits.h>

enum watch_phase { WATCH_READING, WATCH_VERIFYING };

struct watch_options {
    const char *dir;
    struct source *source;
    /* Whose checkpoints: a key counts for its generation and, under their names, for later ones. */
    const char *const *log_vkeys;
    size_t n_logs;
    struct bytes authority;         /* DER: who certifies departments' keys */
    const struct policy *policy;    /* whose cosignatures are demanded; NULL: nobody's */
    const struct log *log;          /* tells what is new */
    const char *const *departments; /* of which the first key of each node is asked about as well */
    size_t n_departments;
    const uint8_t (*accepted)[KEY_ID_SIZE]; /* keys about which need not be asked; remembered */
    size_t n_accepted;
    /* Each may be NULL. */
    void (*progress)(void *self, enum watch_phase phase, uint64_t done, uint64_t total);
    bool (*stop)(void *self); /* true: give the round up soon; watch_round is -1 with CASEBUS_CLOSED */
    void *self;
};

struct watch;

int watch_open(struct watch **watchp, const struct watch_options *options, struct casebus_error *err);
struct watch *watch_close(struct watch *watch); /* NULL in, NULL out */

/* Entries that were seen here and that a restored hub has not. */
struct watch_lost {
    uint64_t from, end;      /* positions */
    char origin[ORIGIN_MAX]; /* under which it goes on */
    char kept[PATH_MAX];     /* a copy that has them */
};

#define WATCH_LOST_MAX 8 /* at a time */

struct watch_result {
    uint64_t size;     /* entries seen and verified */
    uint64_t fresh;    /* of them in this round */
    uint64_t enrolled; /* enrolments among these */
    uint8_t root[DIGEST_SIZE];
    char origin[ORIGIN_MAX];                /* with its generation */
    struct watch_lost lost[WATCH_LOST_MAX]; /* of which nobody was told yet; oldest first */
    size_t n_lost;
    /* Keys for which the hub's operator alone vouches, of which @n_open nobody has accepted; valid until the
     * next round. */
    const struct vouched_key *vouched;
    size_t n_vouched, n_open;
};

/* One look. 0: all is well, but for keys to be asked about; 1: alarm, @err says what is wrong; -1: it could
 * not be looked at, @err says why (CASEBUS_BEHIND: an older tree is shown, of which nothing else is wrong).
 */
int watch_round(struct watch *watch, struct watch_result *result, struct casebus_error *err);
/* Whoever had to be told of what @result says is lost has been told; until then, each round says it again. */
int watch_told(const struct watch_result *result, struct casebus_error *err);

#endif
