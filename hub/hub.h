/* Hub: the daemon. Its parts are brought up in one written order and end in the reverse one. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "proto/base/error.h"
#include "proto/base/log.h"

/* Makes DIR: settings, keys, empty stores. */
struct hub_wish {
    const char *origin;
    const char *suite, *listen;          /* NULL for the preset */
    const char *log_key, *authority_key; /* PKCS#11 URIs; NULL: in files */
};
int hub_init(const char *dir, const struct hub_wish *wish, struct casebus_error *err);
/* Serves until SIGTERM or SIGINT. Returns 0 after a clean end. */
int hub_run(const char *dir, struct log *log, struct casebus_error *err);
/* Throws the derived state away and makes it again from the ledger. */
int hub_rebuild(const char *dir, struct log *log, struct casebus_error *err);
/* Wraps the vault under a new key and destroys the old one. The hub must not run. */
int hub_rotate_kek(const char *dir, struct casebus_error *err);
/* Puts the keys under a passphrase: that of @new_file, or as passphrase_new says; with @remove under none.
 * The hub must not run. */
int hub_passphrase(const char *dir, const char *new_file, bool remove, struct casebus_error *err);
/* Copies what cannot be made again to DEST, while the hub runs or not; and says whether a copy is whole. */
int hub_backup(const char *dir, const char *dest, struct log *log, struct casebus_error *err);
int hub_backup_verify(const char *dest, struct casebus_error *err);
/* Looks at everything in DIR, changes nothing, and prints a line for each thing. -1 with CASEBUS_DAMAGED when
 * something needs a person. @full: read the whole ledger. */
int hub_doctor(const char *dir, bool full, struct casebus_error *err);
/* Makes a hub's directory from a backup (hub/backup/restore.h). */
struct hub_restore {
    const char *dest, *dir;
    const char *keys; /* where the keys were kept; NULL: they are in DIR/keys already */
    const char *checkpoints[64];
    size_t n_checkpoints;
    bool same_generation;
    bool leave_damaged; /* settings, certificates and evidence that are damaged are left out */
};
int hub_restore(const struct hub_restore *wanted, struct log *log, struct casebus_error *err);

#endif
