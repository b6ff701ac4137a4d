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

#define STATE_FORMAT 9

int state_open(struct state **statep, const char *dir, struct casebus_error *err); /* DIR/state */
/* Opens DIR/state to look at it (views only), also while a hub is writing it. CASEBUS_NOT_FOUND when there is
 * none. */
int state_open_readonly(struct state **statep, const char *dir, struct casebus_error *err);
struct state *state_close(struct state *state);
/* Bounds the file to @max_bytes instead of 1 TiB. Called right after opening. */
int state_limit(struct state *state, uint64_t max_bytes, struct casebus_error *err);
/* How many ledger entries the state on disk reflects. */
uint64_t state_applied(const struct state *state);

/* The store for the exchange: self is the state. What get tells stays valid until the next put to the same
 * table, state_freeze or state_rest. */
struct exchange_store state_store(struct state *state);
/* Memory of what is not yet on disk, and of what is but was not given back yet (state_freeze and state_rest
 * give back). Any thread. */
size_t state_overlay_bytes(const struct state *state);
/* A group's boundary: freezes the overlay as of @applied entries. 1: frozen, state_write is due; 0: the one
 * before is still being written, or there is nothing new. */
int state_freeze(struct state *state, uint64_t applied);
/* The writer goes idle: gives its read transaction and what was written back; the next get takes a fresh one.
 */
void state_rest(struct state *state);
/* Writes the frozen overlay, if there is one. Keeper's thread. @applied_p (may be NULL): what is reflected
 * now. After CASEBUS_DISK_FULL it can be tried again. */
int state_write(struct state *state, uint64_t *applied_p, struct casebus_error *err);
/* True while a frozen overlay waits for state_write or is being written. Any thread. */
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
