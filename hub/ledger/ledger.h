/* Ledger: the record for ever. LMDB, append-only, full sync; follows the journal in large batches.
 *
 * Tables: leaves and bodies by position; tree hashes in stored order (a leaf's hash, then the subtrees that
 * it completes, upwards: the order in which tree_append stores them), 32 of them a row; published checkpoints
 * by size; meta (format, origin). LMDB is opened with NORDAHEAD, NOTLS, a 1 TiB sparse map, close-on-exec;
 * made under a temporary name, synced, renamed. */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "proto/crypto/suite.h"
#include "proto/merkle/tree.h"

#define LEDGER_FORMAT   2 /* 1: bodies without check sums; still read and continued */
#define LEDGER_MARK_MAX 64

struct ledger;

struct ledger_row {
    struct bytes leaf;
    struct bytes body;     /* may be empty */
    const uint8_t *hashes; /* n_hashes * 32: as tree_append stored them for this leaf */
    size_t n_hashes;
};

/* Index in stored order of the hash (level, index). */
uint64_t stored_hash_index(unsigned level, uint64_t index);
/* How many hashes are stored for the first @size leaves. */
uint64_t stored_hash_count(uint64_t size);

/* Opens DIR/ledger, or makes it for @origin. CASEBUS_DAMAGED names what does not fit (another origin, a
 * format from the future). */
int ledger_open(struct ledger **ledgerp, const char *dir, const char *origin, struct casebus_error *err);
/* The same for a ledger that is there, whatever its origin. CASEBUS_NOT_FOUND when there is none. */
int ledger_open_any(struct ledger **ledgerp, const char *dir, struct casebus_error *err);
/* Opens DIR/ledger to look at it, also while a hub is writing it: views see what was synced when they were
 * opened or renewed; ledger_size stays what it was here. CASEBUS_NOT_FOUND when there is none. */
int ledger_open_readonly(struct ledger **ledgerp, const char *dir, struct casebus_error *err);
/* The same of a copy that nobody writes meanwhile, the caller sees to that: DIR may be where nothing can be
 * written. */
int ledger_open_still(struct ledger **ledgerp, const char *dir, struct casebus_error *err);
struct ledger *ledger_close(struct ledger *ledger);
/* Entries that are in the ledger and synced. Any thread. */
uint64_t ledger_size(const struct ledger *ledger);
const char *ledger_origin(const struct ledger *ledger); /* of the newest generation */

/* Generations: a hub that was restored from a backup goes on in the same tree under the next origin. What was
 * sealed or signed belongs to the origin of its own time. */
struct ledger_generation {
    uint64_t position; /* of the entry that opens it */
    char origin[256];
};
/* Oldest first; there is one at least. */
const struct ledger_generation *ledger_generations(const struct ledger *ledger, size_t *n);
/* The origin in whose generation @position lies. */
const char *ledger_origin_at(const struct ledger *ledger, uint64_t position);
/* The entry that ledger_append adds next opens a generation: @origin is kept in the same transaction. */
int ledger_begin_generation(struct ledger *ledger, const char *origin, struct casebus_error *err);
/* Bounds the file to @max_bytes instead of 1 TiB. Called right after opening. */
int ledger_limit(struct ledger *ledger, uint64_t max_bytes, struct casebus_error *err);
/* Appends rows [first, first + n) in one synced transaction; @first must be the size. MAP_FULL and ENOSPC are
 * CASEBUS_DISK_FULL; after any other commit error the ledger answers CASEBUS_DAMAGED until it is opened
 * again. */
int ledger_append(struct ledger *ledger, uint64_t first, const struct ledger_row *rows, size_t n,
                  struct casebus_error *err);
/* Rewrites bodies of the entries at @positions (rising) in one synced transaction; whoever appends waits.
 * @rewrite: 1 with @left, which takes the body's place; 0 when it stays as it is; -1, then nothing is
 * changed. What it is given is valid until it returns. Any thread. */
typedef int ledger_rewrite_fn(void *self, uint64_t position, struct bytes leaf, struct bytes body,
                              struct bytes *left, struct casebus_error *err);
int ledger_rewrite_bodies(struct ledger *ledger, const uint64_t *positions, size_t n,
                          ledger_rewrite_fn *rewrite, void *self, struct casebus_error *err);
/* The same, and in the same transaction @mark: a short text of whoever keeps this copy of a ledger. */
int ledger_rewrite_marked(struct ledger *ledger, const uint64_t *positions, size_t n,
                          ledger_rewrite_fn *rewrite, void *self, const char *mark,
                          struct casebus_error *err);
/* Adds a published checkpoint (size of the tree, signed note). One above the ledger's size waits and rides in
 * the transaction of the ledger_append that reaches it (a newer one that waits takes its place); otherwise it
 * makes its own. Same thread as ledger_append. */
int ledger_publish(struct ledger *ledger, uint64_t size, struct bytes note, struct casebus_error *err);

/* The suite that the entries are hashed with, as the first one says; intl while there is none that says it.
 */
const struct suite *ledger_suite(struct ledger *ledger);

/* View: a read transaction, to be held for less than two seconds. One thread. Bytes are valid until it is
 * closed. */
struct ledger_view;
int ledger_view_open(struct ledger_view **viewp, struct ledger *ledger, struct casebus_error *err);
struct ledger_view *ledger_view_close(struct ledger_view *view);
/* Keeps the object, gives the snapshot back, and takes a fresh one. */
int ledger_view_renew(struct ledger_view *view, struct casebus_error *err);
uint64_t ledger_view_size(const struct ledger_view *view);
/* CASEBUS_NOT_FOUND past the end. */
int ledger_view_leaf(struct ledger_view *view, uint64_t position, struct bytes *leaf,
                     struct casebus_error *err);
/* Empty bytes when the entry has none. */
int ledger_view_body(struct ledger_view *view, uint64_t position, struct bytes *body,
                     struct casebus_error *err);
/* The newest mark; "" when there is none. */
int ledger_view_mark(struct ledger_view *view, char mark[LEDGER_MARK_MAX], struct casebus_error *err);
/* A tree_read_fn: self is a struct ledger_view. */
int ledger_view_hash(void *view, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err);
/* Walks the leaves [first, first + n): faster than asking for each. @visit returns 0 to go on. Returns what
 * the last visit returned, or -1: a leaf is missing, or there are fewer. */
int ledger_view_leaves(struct ledger_view *view, uint64_t first, size_t n,
                       int (*visit)(void *self, uint64_t position, struct bytes leaf), void *self,
                       struct casebus_error *err);
/* Reads @n hashes in stored order, from the one at index @at. Returns how many it could read; when these are
 * fewer, @err says why. */
size_t ledger_view_hashes(struct ledger_view *view, uint64_t at, size_t n, uint8_t (*hashes)[DIGEST_SIZE],
                          struct casebus_error *err);
/* The oldest published checkpoint at or above @from, and the size that it is filed under. CASEBUS_NOT_FOUND
 * when there is none. */
int ledger_view_checkpoint_next(struct ledger_view *view, uint64_t from, uint64_t *size, struct bytes *note,
                                struct casebus_error *err);
/* How many checkpoints are published. */
uint64_t ledger_view_checkpoints(struct ledger_view *view);
/* The newest published checkpoint at or below @size; CASEBUS_NOT_FOUND when there is none. */
int ledger_view_checkpoint(struct ledger_view *view, uint64_t size, struct bytes *note,
                           struct casebus_error *err);

#endif
