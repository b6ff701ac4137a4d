/* Confirmed: what witnesses say of the hub's ledger, as far as this node was shown it.
 *
 * The node itself sees that the hub takes nothing back from *it*. Whether others are shown the same, only
 * somebody can say who sees all: the witnesses of the node's policy. The newest checkpoint that they cosigned
 * is kept in DIR/cosigned. One that contradicts what the node was shown is proof that the hub shows different
 * records to different people: both are kept in DIR/evidence, and the node stops. None for a long time is a
 * dated state. */
#ifndef SDK_CONFIRMED_H
#define SDK_CONFIRMED_H

#include "adapters/sdk/receipts.h"
#include "proto/base/log.h"
#include "proto/merkle/policy.h"

struct confirmed {
    struct policy *policy; /* NULL: nobody is asked for */
    const struct note_verifier *log;
    struct crypter *crypter;
    const struct log *lines;
    char path[PATH_MAX], since_path[PATH_MAX], evidence[PATH_MAX];
    struct checkpoint newest;     /* that satisfies the policy; size 0: none yet */
    int64_t newest_at_s;          /* when a witness signed it last */
    int64_t unconfirmed_since_us; /* something that the node was shown is not confirmed; 0: all is */
    int64_t patience_us;
    bool since_kept; /* in the file */
    bool told;
};

/* @policy_path: NULL or "" for none. @patience_s: 0 for an hour. The caller closes, whatever comes of it. */
int confirmed_open(struct confirmed *confirmed, const char *dir, const char *policy_path, unsigned patience_s,
                   const struct note_verifier *log, struct crypter *crypter, const struct log *lines,
                   struct casebus_error *err);
/* Keeps since when something is unconfirmed, for the next time. Fine on a zeroed one. */
void confirmed_close(struct confirmed *confirmed);
/* Takes a cosigned checkpoint that the hub has sent beside a checkpoint that @witness has just taken. One
 * with too few cosignatures, or an older one, changes nothing. CASEBUS_CONSISTENCY or CASEBUS_SIGNATURE. */
int confirmed_take(struct confirmed *confirmed, const struct witness *witness,
                   const Casebus__V1__SignedCheckpoint *sent, struct casebus_error *err);
/* Now and then: tells when nobody has confirmed for too long, and when that is over. */
void confirmed_look(struct confirmed *confirmed, const struct witness *witness);

#endif
