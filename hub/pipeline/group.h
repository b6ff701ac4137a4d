/* Group: the entries that became durable together, and what the threads behind the journal need of them.
 *
 * Built by the writer; immutable once it is in the journal. The bus answers and delivers from it, the keeper
 * copies it into the ledger; each holds a reference. It keeps its jobs alive, because their arenas hold the
 * plaintext that is delivered. */
#ifndef PIPELINE_GROUP_H
#define PIPELINE_GROUP_H

#include "hub/journal/journal.h"
#include "hub/ledger/ledger.h"
#include "hub/pipeline/job.h"

#include <stdatomic.h>

/* What the bus needs to deliver one accepted event. */
struct group_event {
    uint64_t position;
    const struct gate_member *member;
    const char *node;
    uint64_t stream;
    uint64_t number;
    uint8_t case_id[CASE_ID_SIZE];
    const struct exchange_receiver *receivers; /* index = ordinal */
    size_t n_receivers;
    uint64_t replaces; /* position + 1, as the entry says */
};

struct group {
    atomic_int references;
    struct arena arena; /* leaves, bodies, receivers */
    uint64_t first_position;
    uint64_t tree_size;
    uint8_t root[DIGEST_SIZE];
    int64_t hub_time_us;

    struct journal_entry *entries;
    uint32_t *hash_counts; /* of each entry, into @hashes */
    size_t n_entries, entries_capacity;
    uint8_t (*hashes)[DIGEST_SIZE]; /* in stored order */
    size_t n_hashes, hashes_capacity;
    struct group_event *events;
    size_t n_events, events_capacity;

    uint64_t *erasures; /* positions of ErasureOrdered and ErasureDone; behind all of @events */
    size_t n_erasures, erasures_capacity;

    struct job *jobs;          /* in the order of their arrival */
    struct registry *registry; /* names in @events point into it */
    size_t bytes;              /* memory it holds, about */
    struct group *next;        /* in the keeper's list */
    struct group *next_posted; /* in the bus's list of what it has not looked at */
};

struct group *group_new(struct registry *registry);
struct group *group_ref(struct group *group);
struct group *group_unref(struct group *group);
/* Room for one more entry (leaf and body filled in by the caller). NULL without memory. */
struct journal_entry *group_add_entry(struct group *group);
struct group_event *group_add_event(struct group *group);
/* Notes that the entry that is added next is about an erasure. False without memory. */
bool group_add_erasure(struct group *group);
/* Makes room for the hashes of @n more leaves. False without memory. */
bool group_reserve_hashes(struct group *group, size_t n);
/* A tree_store_fn; self is the group. */
void group_store_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE]);
/* Appends the entries of a list of groups to the ledger, in one transaction. */
int groups_to_ledger(const struct group *groups, struct ledger *ledger, struct casebus_error *err);
/* The leaf at @position, or empty when it is not in this group. */
struct bytes group_leaf(const struct group *group, uint64_t position);

#endif
