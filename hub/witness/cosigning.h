/* Cosigning: this hub as a log that is witnessed.
 *
 * Each newly published checkpoint is shown to the witnesses of the policy, with the proof that it continues
 * the one that each of them knows; what they answer is kept with the checkpoint, and the newest one that
 * satisfies the policy is durable in DIR/witness/cosigned. A witness that does not answer is a dated state
 * and never stops the hub. A witness who knows more of this hub than the hub itself, or something else, does:
 * the hub was restored from an old copy or its record was changed, and it must not sign anything more
 * (docs/decisions/0010). */
#ifndef WITNESS_COSIGNING_H
#define WITNESS_COSIGNING_H

#include "hub/ledger/ledger.h"
#include "proto/base/log.h"
#include "proto/merkle/policy.h"

struct cosigning;

struct cosigning_options {
    const char *dir;             /* the hub's */
    const struct policy *policy; /* outlives it */
    const char *log_vkey;
    const struct suite *suite;
    struct ledger *ledger;
    const struct log *log;
    /* How many entries of this hub are durable, which it may have signed and shown already; any thread. NULL:
     * those in the ledger. */
    uint64_t (*committed)(void *self);
    /* From its thread. @note: NUL-terminated; the newest that satisfies the policy, or NULL arguments never.
     */
    void (*on_cosigned)(void *self, uint64_t size, const char *note);
    /* The hub is behind what @who knows: @err says it in words. At most once. */
    void (*on_behind)(void *self, const struct casebus_error *err);
    void *self;
};

/* Loads what was cosigned before. Returns 1 when the ledger does not have that any more, with @err. */
int cosigning_open(struct cosigning **cosigningp, const struct cosigning_options *options,
                   struct casebus_error *err);
/* Before the hub serves anybody: asks every witness once, for at most some seconds. Returns 1 when one of
 * them knows more than this hub has, or something else, with @err; 0 also when nobody answers. */
int cosigning_ask_first(struct cosigning *cosigning, struct casebus_error *err);
int cosigning_start(struct cosigning *cosigning, struct casebus_error *err);
struct cosigning *cosigning_close(struct cosigning *cosigning); /* ends the thread; NULL in, NULL out */

/* Copies the newest note that satisfies the policy; returns its length, 0 when there is none yet. Any thread.
 */
size_t cosigning_newest(struct cosigning *cosigning, char note[NOTE_MAX + 1], uint64_t *size);

struct cosigning_witness {
    char name[KEY_NAME_MAX];
    char url[POLICY_URL_MAX];
    uint64_t cosigned_size;  /* of the newest checkpoint that it cosigned; 0: none known */
    int64_t cosigned_at_s;   /* when, as it says; 0: not known */
    int64_t silent_since_us; /* 0: it answers */
    char trouble[200];       /* while it is silent: why */
};

struct cosigning_status {
    uint64_t size; /* of the newest that satisfies the policy; 0: none yet */
    int64_t at_us; /* when it was satisfied; of the file, when it was before the start */
    bool behind;
    struct cosigning_witness witnesses[POLICY_WITNESSES_MAX];
    size_t n_witnesses;
};

void cosigning_get_status(struct cosigning *cosigning, struct cosigning_status *status);

#endif
