/* Notary: this hub as a witness of other hubs' logs (C2SP tlog-witness, add-checkpoint).
 *
 * It remembers the newest checkpoint of each log in DIR/witness/seen and cosigns only what has grown from
 * there: so a log that shows different trees to different people, or takes something back, finds nobody who
 * signs the second one. It looks at trees alone, never at entries. Two trees of one size that a log
 * signed cannot both be true, and are kept as evidence; a proof that does not hold is no evidence: it may be
 * anybody's.
 *
 * Which logs it witnesses is in DIR/witness.logs, one verifier key a line, read again whenever the file
 * changed. */
#ifndef WITNESS_NOTARY_H
#define WITNESS_NOTARY_H

#include "proto/base/log.h"
#include "proto/merkle/submission.h"

#define NOTARY_LOGS_MAX 256

struct notary;

struct notary_options {
    const char *dir; /* the hub's */
    const char *name;
    const struct signing_key *key; /* outlives the notary */
    const struct suite *suite;
    const struct log *log;
};

/* Whether DIR/witness.logs can be used; *n: how many logs it names. Nothing is made. No file: none. */
int notary_logs_check(const char *dir, size_t *n, struct casebus_error *err);
/* Makes DIR/witness. A witness.logs with faults is told, each with its line. */
int notary_open(struct notary **notaryp, const struct notary_options *options, struct casebus_error *err);
struct notary *notary_close(struct notary *notary); /* NULL in, NULL out */
const char *notary_vkey(const struct notary *notary);

struct notary_answer {
    unsigned status;  /* of HTTP */
    const char *type; /* Content-Type */
    char body[1024];  /* NUL-terminated */
};

/* Answers POST add-checkpoint with @body at @now_s (seconds since 1970). Any thread; one at a time gets
 * through. */
void notary_add_checkpoint(struct notary *notary, struct bytes body, int64_t now_s,
                           struct notary_answer *answer);

/* One log as the witness knows it. */
struct notary_log {
    char origin[KEY_NAME_MAX];
    bool seen;
    uint64_t size; /* of the newest checkpoint that was cosigned */
    uint8_t root[DIGEST_SIZE];
    int64_t cosigned_at_s; /* since the hub started; 0: not since then */
};

/* Copies at most @max; returns how many logs there are. Any thread. */
size_t notary_get_logs(struct notary *notary, struct notary_log *logs, size_t max);

#endif
