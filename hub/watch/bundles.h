/* Bundles: the entries of a published tree, 256 a file (C2SP tlog-tiles), taken from a source into a
 * directory before anything is believed: what a stranger on the line puts in cannot spoil what was seen
 * before. */
#ifndef WATCH_BUNDLES_H
#define WATCH_BUNDLES_H

#include "hub/watch/source.h"
#include "proto/crypto/suite.h"
#include "proto/merkle/tree.h"

#include <limits.h>

struct bundles {
    char dir[PATH_MAX];
    struct source *source;
    uint64_t size; /* of the tree that is shown */
    uint64_t from; /* those from this one on are in @dir */
    uint64_t kept; /* of them an earlier look took */
    /* each may be NULL */
    void (*progress)(void *self, uint64_t done, uint64_t total); /* entries */
    bool (*stop)(void *self);
    void *self;
};

/* Begins with a tree of @size entries. Whole bundles that an earlier look took and could not use, since it
 * was interrupted, are not taken again: whoever finds that they do not give the root drops them first. */
void bundles_begin(struct bundles *bundles, uint64_t size);
/* Takes all bundles from the one with the entry @position on, that are not there yet. */
int bundles_take(struct bundles *bundles, uint64_t position, struct casebus_error *err);
/* Visits the entries [@first, @end) in their order, all of which were taken. 0; what the last visit returned,
 * when it was not 0; -1. Bytes are valid until the visit returns. */
typedef int bundles_visit_fn(void *self, uint64_t position, struct bytes entry, struct casebus_error *err);
int bundles_visit(const struct bundles *bundles, uint64_t first, uint64_t end, bundles_visit_fn *visit,
                  void *self, struct casebus_error *err);
/* Adds the entries [@tree->size, bundles->size) to @tree. */
int bundles_grow(const struct bundles *bundles, struct tree *tree, struct crypter *crypter,
                 struct casebus_error *err);
/* Removes the files. */
void bundles_drop(struct bundles *bundles);

#endif
