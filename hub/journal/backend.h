/* Backend: where a journal's records are kept. The front (journal.c) knows what a record holds, a back-end
 * only that it must be durable, in order, and appended by nobody but the holder of the newest epoch.
 *
 * segments: files on the local disk, fenced by their lock. A replicated one (etcd) is to come: one
 * transaction for each record, "the epoch is mine and number n is empty: put". */
#ifndef JOURNAL_BACKEND_H
#define JOURNAL_BACKEND_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <sys/uio.h>

enum journal_kind { JOURNAL_GROUP = 1, JOURNAL_CLAIM = 2 }; /* on disk: never renumbered */

struct journal_record {
    uint64_t number; /* from 1, without gaps; groups and claims together */
    uint32_t kind;
    struct bytes payload; /* valid until the next call on the same reader */
};

struct journal_backend {
    const char *name;
    int (*open)(void **selfp, const char *dir, struct casebus_error *err);
    void (*close)(void *self);
    /* Durable when it returns 0. A claim raises the epoch; a group is refused when @epoch is not the newest.
     */
    int (*append)(void *self, enum journal_kind kind, uint64_t epoch, const struct iovec *parts, int n_parts,
                  uint64_t *numberp, struct casebus_error *err);
    int (*idle)(void *self, struct casebus_error *err);
    /* Records below @number are no longer needed. */
    int (*trim)(void *self, uint64_t number, struct casebus_error *err);
    int (*prepare)(void *self, struct casebus_error *err); /* beside all others, in another thread */
    uint64_t (*used)(void *self);

    /* Reads from record @number on, or the first that is there, to the newest at this moment. */
    int (*reader_open)(void **readerp, void *self, uint64_t number, struct casebus_error *err);
    int (*reader_next)(void *reader, struct journal_record *record, struct casebus_error *err); /* 1, 0, -1 */
    void (*reader_close)(void *reader);
};

extern const struct journal_backend journal_segments;

#endif
