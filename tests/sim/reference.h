/* Reference: what a hub's directory held when all was well, kept in memory to compare others with. */
#ifndef SIM_REFERENCE_H
#define SIM_REFERENCE_H

#include "hub/stores.h"

struct reference {
    uint64_t size;
    struct bytes *leaves, *bodies; /* by position */
    uint8_t (*roots)[DIGEST_SIZE]; /* of the first n entries */
    uint64_t n_slots;
    uint8_t (*keys)[KEY_SIZE]; /* of slot n at n - 1 */
    bool *has_key;
    struct bytes *checkpoints; /* by the size of the tree; empty: none */
    uint8_t state[DIGEST_SIZE];
};

/* Reads everything of open stores that were brought up to date. */
int reference_load(struct reference *reference, struct stores *stores, struct casebus_error *err);
/* Whether the stores hold at least @min_size of the entries, no entry that is another, and all that belongs
 * to them;
 * @all_checkpoints: also every checkpoint. Ends with -1 and a sentence. */
int reference_compare(const struct reference *reference, struct stores *stores, uint64_t min_size,
                      bool all_checkpoints, struct casebus_error *err);
/* A digest of everything in the derived state. */
int state_digest(struct stores *stores, uint8_t digest[DIGEST_SIZE], struct casebus_error *err);

#endif
