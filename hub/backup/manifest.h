/* Manifest: DEST/backup.json, the one file that says what a backup holds.
 *
 * The contents that are erased in a copy and the vault that belongs to them have to change in one moment.
 * That moment is a transaction of the copy's ledger, which leaves the new vault's name there as its mark. So
 * a new manifest is written beside the former one before (backup.next.json), counts from that transaction on,
 * and takes the former one's place after it. A backup that is cut short leaves the former one or the new one.
 *
 * It lists the papers (papers.h) with their digests, has the vault's (wrapped.h), and ends in a digest of
 * itself. */
#ifndef BACKUP_MANIFEST_H
#define BACKUP_MANIFEST_H

#include "hub/backup/papers.h"
#include "proto/base/error.h"
#include "proto/merkle/note.h"

/* 1: without orders_from, its ledger without a mark. 2: without digests, its papers in DEST/files. 3: without
 * a digest of the vault. All are still read, for a copy may be all that is left of a hub; the next run goes
 * on from them in this format. */
#define BACKUP_FORMAT 4

struct manifest {
    char origin[KEY_NAME_MAX];
    char log_key[VKEY_MAX]; /* the log's verifier key under that origin */
    uint64_t size;          /* entries */
    char note[NOTE_MAX];    /* the checkpoint of that size, as the hub signed it */
    char vault[64];         /* name of the copy of the vault */
    uint64_t slots;         /* in it */
    bool has_vault_digest;  /* from format 4 on */
    uint8_t vault_digest[DIGEST_SIZE];
    uint64_t orders_from; /* every order to erase before it is done in this copy */
    char made_at[32];     /* for people: UTC */
    struct papers papers;
};

/* The one that counts, which the caller deinits. 1: read; 0: there is none; -1: unreadable, damaged, or not
 * of the ledger beside it. */
int manifest_read(struct manifest *manifest, const char *dest, struct casebus_error *err);
void manifest_deinit(struct manifest *manifest); /* fine on a zeroed one */
/* Writes it down, without effect until the ledger in DEST is marked with the name of its vault. */
int manifest_propose(const struct manifest *manifest, const char *dest, struct casebus_error *err);
/* Puts what was proposed, if it counts, in the former one's place. */
int manifest_settle(const char *dest, struct casebus_error *err);
/* Checks the note's signature; tells the tree. */
int manifest_checkpoint(const struct manifest *manifest, struct checkpoint *checkpoint,
                        struct casebus_error *err);

#endif
