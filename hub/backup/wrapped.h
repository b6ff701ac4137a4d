/* Wrapped: the copy of the vault in a backup, against the manifest and against the ledger beside it.
 *
 * Whoever can write to a backup could put an older vault into it, so that a key that was destroyed is there
 * again. The manifest has its digest; but a manifest can be written anew. The ledger cannot, for its root is
 * signed: a slot whose destruction it orders and says is done has to be destroyed in the vault as well. */
#ifndef BACKUP_WRAPPED_H
#define BACKUP_WRAPPED_H

#include "hub/backup/manifest.h"
#include "hub/ledger/ledger.h"
#include "proto/casebus/v1/ledger.pb-c.h"

/* A slot that an order names. */
struct wrapped_order {
    uint64_t position; /* of the order */
    uint64_t slot;
};

struct wrapped {
    char path[PATH_MAX]; /* of the vault */
    uint64_t *erased;    /* slots that are destroyed in it, rising */
    size_t n_erased, erased_capacity;
    struct wrapped_order *ordered;
    size_t n_ordered, ordered_capacity;
    uint64_t *done; /* orders */
    size_t n_done, done_capacity;
};

/* Of the file at @path, as the manifest has it: a chain, d = H(d before ‖ the next MiB), from zeros. */
int wrapped_digest(const struct suite *suite, const char *path, uint8_t digest[DIGEST_SIZE],
                   struct casebus_error *err);
/* CASEBUS_DAMAGED: it is not the one that was copied. Quick. */
int wrapped_check(const char *dest, const struct manifest *manifest, struct casebus_error *err);
/* wrapped_check, and all slots. The caller deinits it, whatever comes of it. */
int wrapped_read(struct wrapped *wrapped, const char *dest, const struct manifest *manifest,
                 struct casebus_error *err);
void wrapped_deinit(struct wrapped *wrapped);
bool wrapped_erased(const struct wrapped *wrapped, uint64_t slot);

/* What the entry at @position says of slots; all entries in their order. */
int wrapped_hear(struct wrapped *wrapped, uint64_t position, const Casebus__V1__LedgerEntry *entry,
                 struct casebus_error *err);
/* The same of a whole ledger. */
int wrapped_hear_all(struct wrapped *wrapped, struct ledger *ledger, struct casebus_error *err);
/* CASEBUS_DAMAGED: a slot has to be destroyed and is not. @wrapped->ordered has such slots alone then. */
int wrapped_judge(struct wrapped *wrapped, struct casebus_error *err);

#endif
