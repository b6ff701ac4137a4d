/* Manifest: DEST/backup.json, the one file that says what a backup holds. It is replaced whole when
 * everything that it names is on disk, so a backup that is cut short leaves the former one as it was. */
#ifndef BACKUP_MANIFEST_H
#define BACKUP_MANIFEST_H

#include "proto/base/error.h"
#include "proto/merkle/note.h"

#define BACKUP_FORMAT 1

struct manifest {
    char origin[KEY_NAME_MAX];
    char log_key[VKEY_MAX]; /* the log's verifier key under that origin */
    uint64_t size;          /* entries */
    char note[NOTE_MAX];    /* the checkpoint of that size, as the hub signed it */
    char vault[64];         /* name of the copy of the vault */
    uint64_t slots;         /* in it */
    char made_at[32];       /* for people: UTC */
};

/* 1: read; 0: there is none; -1: unreadable. */
int manifest_read(struct manifest *manifest, const char *dest, struct casebus_error *err);
int manifest_write(const struct manifest *manifest, const char *dest, struct casebus_error *err);
/* Checks the note's signature; tells the tree. */
int manifest_checkpoint(const struct manifest *manifest, struct checkpoint *checkpoint,
                        struct casebus_error *err);

#endif
