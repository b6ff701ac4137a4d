/* Environment: one LMDB folder, opened by the rules of the house. Ledger and state are built on it; nobody
 * else includes lmdb.h.
 *
 * A new one is filled under a temporary name, synced and renamed, so that a folder is either not there or
 * whole. Full sync, no read-ahead, transactions not tied to threads, a sparse map of fixed size, closed on
 * exec. */
#ifndef LEDGER_ENVIRONMENT_H
#define LEDGER_ENVIRONMENT_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <limits.h>
#include <lmdb.h>
#include <stdatomic.h>

#define ENVIRONMENT_TABLES_MAX 16

/* Sparse address space, not disk. ThreadSanitizer leaves little of it to the program. */
#if defined(__SANITIZE_THREAD__)
#define ENVIRONMENT_MAP_SIZE ((size_t)1 << 34)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ENVIRONMENT_MAP_SIZE ((size_t)1 << 34)
#endif
#endif
#ifndef ENVIRONMENT_MAP_SIZE
#define ENVIRONMENT_MAP_SIZE ((size_t)1 << 40)
#endif

struct environment_table {
    const char *name;
    unsigned flags; /* MDB_INTEGERKEY or 0 */
};

struct environment {
    char path[PATH_MAX];
    MDB_env *mdb;
    MDB_dbi tables[ENVIRONMENT_TABLES_MAX]; /* in the order of the rows given to environment_open */
    const void *map;    /* where its file is mapped, for last words (proto/base/crash.h) */
    atomic_bool broken; /* a commit failed in a way that is not understood: refuse until opened again */
};

/* Fills the tables of a new environment, inside the transaction that makes it. Returns 0 or an error of LMDB.
 */
typedef int environment_fill_fn(void *self, MDB_txn *txn, const MDB_dbi *tables);

struct environment_options {
    const char *name; /* of the folder */
    const struct environment_table *tables;
    size_t n_tables;
    environment_fill_fn *fill;
    void *self;
    bool readonly; /* beside a process that writes; a missing one is CASEBUS_NOT_FOUND */
    bool still; /* with readonly: the caller keeps writers away, so it may lie where nothing can be written */
};

/* Opens DIR/NAME, or makes it. On failure nothing is left open. */
int environment_open(struct environment *env, const char *dir, const struct environment_options *options,
                     struct casebus_error *err);
void environment_close(struct environment *env); /* fine on a zeroed one */
/* Bounds the file to @max_bytes; past it a write is CASEBUS_DISK_FULL. No transaction may be open. */
int environment_limit(struct environment *env, uint64_t max_bytes, struct casebus_error *err);

/* Begins a transaction (@flags: MDB_RDONLY or 0); refused when the environment is broken. */
int environment_begin(struct environment *env, unsigned flags, MDB_txn **txnp, struct casebus_error *err);
/* Renews a read transaction that was reset. */
int environment_renew(struct environment *env, MDB_txn *txn, struct casebus_error *err);
/* Commits, or says why not; @txn is gone in either case. */
int environment_commit(struct environment *env, MDB_txn *txn, struct casebus_error *err);
/* Gives @txn up after @rc, an error of LMDB while writing in it. Returns -1. */
int environment_abort(struct environment *env, MDB_txn *txn, int rc, struct casebus_error *err);
/* Says in words what LMDB's @rc means. Returns -1. */
int environment_error(const struct environment *env, int rc, struct casebus_error *err);

static inline MDB_val value_of(struct bytes bytes)
{
    return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)(uintptr_t)bytes.data};
}

static inline struct bytes bytes_of_value(MDB_val value)
{
    return bytes_of(value.mv_data, value.mv_size);
}

#endif
