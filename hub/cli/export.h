/* Export: a ledger as static files in the layout of C2SP tlog-tiles, so that any web server, or none, can
 * show it: checkpoint, tile/..., tile/entries/... and log.vkey, the key to check it with. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "hub/console/console.h"

struct export_options {
    const struct console_hub *hub;
    const char *log_key; /* the verifier key that the checkpoint has to be signed with */
    const char *dir;     /* made when it is missing */
    bool entries;        /* the bundles of entries, too */
    void (*progress)(void *self, uint64_t done, uint64_t total); /* may be NULL */
    void *self;
};

struct export_result {
    uint64_t size;        /* of the exported tree */
    uint64_t ledger_size; /* more than that while witnesses have not confirmed the rest */
    uint8_t root[DIGEST_SIZE];
    uint64_t old_size; /* of the one that @dir held before; 0: none */
    uint64_t tiles;    /* of the tree, bundles of entries included */
    uint64_t written;  /* of them, now */
};

/* Exports the tree of the checkpoint that is shown to the world. What an older export wrote stays as it is:
 * it is checked to be of this log and a prefix of this tree, or refused. The checkpoint comes last, when all
 * that it speaks of is on disk: whatever happens on the way, the one that is there holds. */
int export_ledger(const struct export_options *options, struct export_result *result,
                  struct casebus_error *err);

#endif
