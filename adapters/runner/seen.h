/* Seen: which records a source has named so far, to find a record_id that does not tell its rows apart.
 * Bounded: it remembers hashes, and stops remembering when it is full. */
#ifndef RUNNER_SEEN_H
#define RUNNER_SEEN_H

#include "casebus/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_MAX = 3 << 20 }; /* records; they take 96 MiB */

struct seen_slot;

struct seen {
    struct seen_slot *slots;
    size_t n_slots; /* a power of two */
    size_t n;
    bool full; /* records came that it could not remember */
};

void seen_deinit(struct seen *seen); /* fine on a zeroed one */
/* Remembers what @event, made of row @row, states. Returns the row that made another statement of the same
 * record, revision and operation; 0: none did, or the very same one. */
uint64_t seen_add(struct seen *seen, const struct casebus_event *event, uint64_t row);

#endif
