/* Seen: the entries that were seen and verified, as a copy of the ledger without bodies (DIR/ledger). It
 * begins with nothing; its first entry gives it its origin, and each later opening begins a generation. */
#ifndef WATCH_SEEN_H
#define WATCH_SEEN_H

#include "hub/ledger/ledger.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/entry.h"

#include <limits.h>

struct seen_rows;

struct seen {
    char dir[PATH_MAX];
    struct ledger *ledger; /* NULL: nothing was seen yet */
    struct crypter *crypter;
    struct tree tree; /* with what was added and is not written yet */
    struct seen_rows *rows;
};

/* Opens DIR/ledger when it is there. @suite: of the log. */
int seen_open(struct seen *seen, const char *dir, const struct suite *suite, struct casebus_error *err);
void seen_close(struct seen *seen); /* fine on a zeroed one */
uint64_t seen_size(const struct seen *seen);
/* Of the newest generation; "" of an empty one. */
const char *seen_origin(const struct seen *seen);
/* The tree over the first @size entries, and its root. */
int seen_tree(const struct seen *seen, uint64_t size, struct tree *tree, struct casebus_error *err);
int seen_root(const struct seen *seen, uint64_t size, uint8_t root[DIGEST_SIZE], struct casebus_error *err);

/* Writes the newest checkpoint that the copy agrees with into @path, when it is not there yet and when there
 * is one (the first round may have been cut short). */
int seen_checkpoint_beside(const struct seen *seen, const char *path, struct casebus_error *err);

/* Adds the next entry; it is written with others, at the latest by seen_flush. */
int seen_add(struct seen *seen, struct bytes entry, struct casebus_error *err);
int seen_flush(struct seen *seen, struct casebus_error *err);
/* Adds the first @size entries of @from to an empty one. */
int seen_begin_with(struct seen *seen, const struct seen *from, uint64_t size, struct casebus_error *err);

/* What @entry opens, decoded into @arena; NULL when it opens nothing, or not under a usable origin. */
const Casebus__V1__LedgerOpened *opening_of(struct bytes entry, struct arena *arena);

#endif
