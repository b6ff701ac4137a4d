/* State: what the ledger amounts to, in LMDB, written behind.
 *
 * Writes go to an overlay in memory (hash table with an arena, bounded by the owner through
 * state_overlay_bytes). At a group's boundary, the writer freezes the overlay; the keeper writes the frozen
 * one in key order with the position that it reflects, in one synced transaction, while the next overlay
 * fills. A read looks into the overlay, then the frozen one, then LMDB. After a crash the tail of the ledger
 * is applied again; the whole can be deleted and rebuilt (promise P10).
 *
 * Threads: get/put/freeze belong to the writer; state_write to the keeper; views to anybody. */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "hub/exchange/store.h"

struct state;

#define STATE_FORMAT 1

int state_open(struct state **statep, const char *dir, struct casebus_error *err); /* DIR/state */
struct state *state_close(struct state *state);
/* How many ledger entries the state on disk reflects. */
uint64_t state_applied(const struct state *state);

/* The store for the exchange: self is the state. */
struct exchange_store state_store(struct state *state);
size_t state_overlay_bytes(const struct state *state);
/* Freezes the overlay as of @applied entries. 1: frozen, state_write is due; 0: the one before is still being
 * written, nothing changed. */
int state_freeze(struct state *state, uint64_t applied);
/* Writes the frozen overlay. Keeper's thread. @applied_p (may be NULL): what is reflected now. */
int state_write(struct state *state, uint64_t *applied_p, struct casebus_error *err);
bool state_frozen(const struct state *state);

/* View: a read transaction of what is on disk, under two seconds. */
struct state_view;
int state_view_open(struct state_view **viewp, struct state *state, struct casebus_error *err);
struct state_view *state_view_close(struct state_view *view);
int state_view_renew(struct state_view *view, struct casebus_error *err);
uint64_t state_view_applied(const struct state_view *view);
/* 1 / 0 / -1 as exchange_store.get */
int state_view_get(struct state_view *view, enum exchange_table table, struct bytes key, struct bytes *value,
                   struct casebus_error *err);
/* Walks the keys of @table at or after @from. @visit returns 0 to go on, 1 to stop. Returns what the last
 * visit returned, or -1. */
int state_view_walk(struct state_view *view, enum exchange_table table, struct bytes from,
                    int (*visit)(void *self, struct bytes key, struct bytes value), void *self,
                    struct casebus_error *err);
/* Entries of a table. */
uint64_t state_view_count(struct state_view *view, enum exchange_table table);

#endif
