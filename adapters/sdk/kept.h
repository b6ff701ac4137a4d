/* Kept: what the hub has answered and this node keeps all the same, until a second copy of the hub's ledger
 * has it. If the hub is lost and restored from that copy, the rest is sent again.
 *
 * Neighbours are kept as one as long as they are small, so that many small batches cost little memory. */
#ifndef SDK_KEPT_H
#define SDK_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kept_batch {
    uint64_t first_number, last_number; /* in the outbox */
    uint64_t end;                       /* size that the ledger has to have for all of it */
    uint64_t first_record;              /* of the segment log */
    uint64_t bytes;
};

struct kept {
    struct kept_batch *batches; /* oldest first, numbers without gaps */
    size_t first, n, capacity;
    uint64_t bytes;
};

void kept_deinit(struct kept *kept); /* fine on a zeroed one */
/* Adds at the end. What is there of these numbers or later ones is forgotten: it was sent again. False
 * without memory. */
bool kept_add(struct kept *kept, const struct kept_batch *batch);
/* Lets go what is in the first @size entries of the ledger. True when something went. */
bool kept_secure(struct kept *kept, uint64_t size);
/* Lets the oldest go until at most @max_bytes are left: numbers *first to *last. False: nothing went. */
bool kept_bound(struct kept *kept, uint64_t max_bytes, uint64_t *first, uint64_t *last);
/* Takes back from @kept what lies beyond the first @size entries. Tells its first number and where it is;
 * false when there is nothing. */
bool kept_take_lost(struct kept *kept, uint64_t size, uint64_t *first_number, uint64_t *first_record);
/* Record of the oldest; UINT64_MAX when there is none. */
uint64_t kept_record(const struct kept *kept);
uint64_t kept_events(const struct kept *kept);

#endif
