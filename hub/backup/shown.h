/* Shown: what others hold of this hub's ledger, as checkpoints that its log key signed. */
#ifndef BACKUP_SHOWN_H
#define BACKUP_SHOWN_H

#include "hub/ledger/ledger.h"
#include "proto/merkle/note.h"

struct shown {
    struct checkpoint checkpoint; /* the newest; size 0: none */
    char note[NOTE_MAX];
};

/* Reads the note in @path. CASEBUS_SIGNATURE when the log key did not sign it, under any generation of
 * @origin. A newer one than *shown takes its place. */
int shown_read(struct shown *shown, const char *path, const char *origin, const struct signing_key *log_key,
               struct casebus_error *err);
int shown_add(struct shown *shown, struct bytes note, const char *origin, const struct signing_key *log_key,
              struct casebus_error *err);
/* Whether the ledger is the beginning of what was shown, as far as it reaches. CASEBUS_CONSISTENCY. */
int shown_compare(const struct shown *shown, struct ledger *ledger, struct casebus_error *err);

#endif
