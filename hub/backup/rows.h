/* Rows: entries that go from one ledger into another one, with all tree hashes made again. What is already
 * there is not copied again. */
#ifndef BACKUP_ROWS_H
#define BACKUP_ROWS_H

#include "hub/ledger/ledger.h"

typedef void rows_progress_fn(void *self, uint64_t done, uint64_t size);

/* Appends to @to what @from has up to @size, and compares the root then. What @to has has to be the beginning
 * of @from. Generations go with it. */
int rows_copy(struct ledger *to, struct ledger *from, uint64_t size, const uint8_t root[DIGEST_SIZE],
              rows_progress_fn *progress, void *self, struct casebus_error *err);
/* Reads the first @size entries of @ledger, makes the tree from them, and compares the root and every stored
 * hash. @visit (may be NULL) sees each. */
typedef int rows_visit_fn(void *self, uint64_t position, struct bytes leaf, struct bytes body,
                          struct casebus_error *err);
int rows_check(struct ledger *ledger, uint64_t size, const uint8_t root[DIGEST_SIZE], rows_visit_fn *visit,
               void *visitor, rows_progress_fn *progress, void *self, struct casebus_error *err);
/* Appends one entry without a body. */
int rows_add(struct ledger *to, struct bytes leaf, struct casebus_error *err);
/* The root of the first @size entries, from the stored hashes. */
int rows_root(struct ledger *ledger, uint64_t size, uint8_t root[DIGEST_SIZE], struct casebus_error *err);

#endif
