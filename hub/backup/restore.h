/* Restore: a hub's directory from a backup, and the proof of what is in it.
 *
 * A backup is older than the hub was. Checkpoints that others hold (nodes, witnesses) tell how much was shown
 * to them. What the backup has must be the beginning of it; what is missing is said. The hub must never sign
 * other entries at places that it has signed before, so it goes on under the next generation of its origin:
 * one act, in the same tree, that names the generation before and the newest checkpoint of it. */
#ifndef BACKUP_RESTORE_H
#define BACKUP_RESTORE_H

#include "hub/backup/backup.h"

struct restore_options {
    const char *dest; /* the backup */
    const char *dir;  /* the hub's, with keys in it */
    const struct signing_key *log_key;
    const uint8_t *kek;
    const char *const *checkpoints; /* files: notes that others hold */
    size_t n_checkpoints;
    papers_left_fn *left_out; /* papers that are damaged are told and left out; NULL: they are the end */
    bool same_generation;     /* go on as before, if a checkpoint shows that nothing is missing */
    rows_progress_fn *progress;
    void *self;
};

struct restore_result {
    struct manifest manifest;
    char origin[KEY_NAME_MAX]; /* that the hub goes on under */
    char log_key[VKEY_MAX];    /* under that name */
    uint64_t shown;            /* entries that others have seen; 0: nobody's checkpoint was given */
    size_t others;             /* checkpoints that were given */
};

/* Fills DIR with ledger, vault and papers, but for hub.yaml, which the caller writes last. Nothing is
 * signed. The caller deinits the manifest, whatever comes of it. */
int restore_run(const struct restore_options *options, struct restore_result *result,
                struct casebus_error *err);

#endif
