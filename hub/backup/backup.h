/* Backup: a second copy of what a hub cannot make again, on another disk, made while the hub runs.
 *
 *   DEST/backup.json    what the backup holds (manifest.h)
 *   DEST/ledger/        the entries, appended to from run to run
 *   DEST/vault-...      the vault's wrapped keys, whole; the key that opens them is never in a backup
 *   DEST/papers/        settings, certificates, evidence (papers.h)
 *
 * The ledger grows only as far as a checkpoint that the hub has published, and is compared with its root.
 * Where content was erased at the hub since the last run, it is erased here too: that, and the new vault that
 * goes with it, take effect in one moment. Before it the copy is the former one, after it the new one. */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include "hub/backup/manifest.h"
#include "hub/backup/rows.h"
#include "hub/vault/vault.h"

struct backup_options {
    const char *dir; /* the hub's */
    const char *dest;
    const char *origin;        /* the hub's */
    const char *log_key;       /* its verifier key */
    const struct suite *suite; /* of the hub */
    const uint8_t *kek;
    rows_progress_fn *progress; /* may be NULL */
    void *self;
};

struct backup_result {
    struct manifest manifest;
    uint64_t entries; /* that were new */
    uint64_t erased;  /* bodies that were replaced */
};

/* Brings DEST up to the newest published checkpoint of the hub; the caller deinits the manifest, whatever
 * comes of it. CASEBUS_BUSY, and DEST holds the former copy, when the hub erases so much meanwhile that no
 * moment is found in which contents and keys agree. */
int backup_run(const struct backup_options *options, struct backup_result *result, struct casebus_error *err);
/* Reads all of DEST and says whether it is what it says. The caller deinits the manifest. */
int backup_check(const char *dest, struct manifest *manifest, rows_progress_fn *progress, void *self,
                 struct casebus_error *err);
/* Only what is quick, the manifest and the papers, and writes nothing. 1: fine; 0: a run has DEST just now.
 */
int backup_glance(const char *dest, struct manifest *manifest, struct casebus_error *err);
/* Locks DEST against a run, and writes nothing. Returns the descriptor. */
int backup_lock_shared(const char *dest, struct casebus_error *err);

#endif
