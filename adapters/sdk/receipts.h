/* Receipts: does the hub's answer prove what it says?
 *
 * A witness remembers the newest checkpoint that this node has seen of the hub's tree, and takes the next one
 * only with a proof that the tree has grown from it. A receipt shows that a batch's seal is in that tree,
 * word for word as the node signed it. */
#ifndef SDK_RECEIPTS_H
#define SDK_RECEIPTS_H

#include "adapters/sdk/outbox.h"
#include "casebus/node.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/merkle/tree.h"

#include <limits.h>

struct witness {
    const struct note_verifier *log;
    struct crypter *crypter;
    char path[PATH_MAX];
    struct checkpoint newest; /* size 0: none seen */
    uint8_t note[NOTE_MAX];   /* the hub's signed words for it */
    size_t note_size;
    bool stale; /* the file does not hold the newest */
};

/* Loads DIR/checkpoint if it is there. */
int witness_open(struct witness *witness, const char *dir, const struct note_verifier *log,
                 struct crypter *crypter, struct casebus_error *err);
/* Writes the file if there is something newer. */
int witness_save(struct witness *witness, struct casebus_error *err);
/* Takes a checkpoint that the hub has sent: signed by its log key, not smaller than the newest, and
 * consistent with it. CASEBUS_BEHIND, CASEBUS_CONSISTENCY or CASEBUS_SIGNATURE. */
int witness_advance(struct witness *witness, const Casebus__V1__SignedCheckpoint *checkpoint,
                    struct casebus_error *err);

/* Joins hashes from outside; false when one of them is no hash or there are too many. */
bool hashes_join(uint8_t out[TREE_PROOF_MAX + 1][DIGEST_SIZE], const ProtobufCBinaryData *hashes, size_t n);
/* Whether @sent proves that the tree of @new has grown from that of @old. */
bool checkpoint_grown(struct crypter *crypter, const struct checkpoint *old, const struct checkpoint *new,
                      const Casebus__V1__SignedCheckpoint *sent);

struct receipt {
    uint64_t seal_position;
    uint64_t end; /* size of the ledger that has all of the batch */
    uint32_t n;
    struct receipt_member {
        enum casebus_outcome_kind kind;
        uint64_t position;                 /* accepted, or of what it duplicates */
        const char *code;                  /* refused */
        const Casebus__V1__Outcome *words; /* of the hub about it; may be NULL */
    } members[BATCH_MAX_EVENTS];
};

/* Checks all of @accepted against the @batch that it answers, and advances the witness. What @receipt points
 * to lives as long as @accepted. */
int receipt_check(struct receipt *receipt, struct witness *witness, const struct outbox_batch *batch,
                  const Casebus__V1__Accepted *accepted, struct arena *arena, struct casebus_error *err);

#endif
