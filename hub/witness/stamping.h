/* Stamping: now and then, the newest checkpoint gets a time stamp of an authority that the operator chose
 * (RFC 3161).
 *
 * Kept in DIR/witness/timestamps: SIZE.note, the bytes that were stamped, and SIZE.tsr, the authority's
 * answer. An authority that does not answer is a dated state and never stops anything. */
#ifndef WITNESS_STAMPING_H
#define WITNESS_STAMPING_H

#include "hub/ledger/ledger.h"
#include "hub/witness/cosigning.h"

struct stamping;

struct stamping_options {
    const char *dir; /* the hub's */
    const char *url; /* of the authority */
    const char *ca_path;
    unsigned minutes; /* between two stamps */
    struct ledger *ledger;
    struct cosigning *cosigning; /* may be NULL; its newest checkpoint is stamped when it has one */
    const struct log *log;
};

struct stamping_status {
    char url[512];
    uint64_t size;           /* of the checkpoint stamped last; 0: none yet */
    int64_t stamped_at_s;    /* the token's time */
    int64_t silent_since_us; /* 0: the authority answers */
    char trouble[200];
};

/* @options is copied, and its texts outlive the thread. */
int stamping_start(struct stamping **stampingp, const struct stamping_options *options,
                   struct casebus_error *err);
struct stamping *stamping_stop(struct stamping *stamping); /* NULL in, NULL out */
void stamping_get_status(struct stamping *stamping, struct stamping_status *status);

/* One kept time stamp. */
struct stamp {
    uint64_t size;
    char note_path[4096], token_path[4096];
    bool holds;
    int64_t at_s;
    struct casebus_error fault; /* of one that does not hold */
};

/* Visits the kept ones by size, each checked against its note and @ca_path, the note against @log_vkey (NULL:
 * not). Stops when @visit returns non-zero, and returns that; -1: they cannot be listed. */
int stamps_visit(const char *dir, const char *ca_path, const char *log_vkey,
                 int (*visit)(void *self, const struct stamp *stamp), void *self, struct casebus_error *err);

#endif
