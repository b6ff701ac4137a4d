/* Policy: whose cosignatures make a checkpoint good (C2SP tlog-policy).
 *
 *   log js.example/exchange/1+5c3f1a20+AQ...                  whose checkpoints; none: known from elsewhere
 *   witness city-a city-a.example+c0ffee01+BA... http://...   name here, verifier key, where it is asked
 *   witness city-b city-b.example+c0ffee02+BA...
 *   group two-cities all city-a city-b                        all, any, or how many
 *   quorum two-cities                                         a group, a witness, or none
 *
 * The same file serves a hub, which asks the witnesses, and an adapter or auditor, who demands their words.
 */
#ifndef MERKLE_POLICY_H
#define MERKLE_POLICY_H

#include "proto/merkle/note.h"

#define POLICY_LOGS_MAX      32
#define POLICY_WITNESSES_MAX 32
#define POLICY_GROUPS_MAX    32
#define POLICY_MEMBERS_MAX   (POLICY_WITNESSES_MAX + POLICY_GROUPS_MAX)
#define POLICY_URL_MAX       512
#define POLICY_FILE_MAX      (64 * 1024)

struct policy_log {
    struct note_verifier verifier;
    char url[POLICY_URL_MAX]; /* "": none */
};

struct policy_witness {
    char name[KEY_NAME_MAX]; /* in this file */
    struct note_verifier verifier;
    char url[POLICY_URL_MAX]; /* submission prefix; "": none */
};

/* What can be a member of a group or the quorum: a witness, or a group that stands before it. */
struct policy_member {
    bool is_group;
    uint8_t index;
};

struct policy_group {
    char name[KEY_NAME_MAX];
    unsigned needed; /* members that have to have cosigned */
    struct policy_member members[POLICY_MEMBERS_MAX];
    size_t n_members;
};

struct policy {
    struct policy_log logs[POLICY_LOGS_MAX];
    size_t n_logs;
    struct policy_witness witnesses[POLICY_WITNESSES_MAX];
    size_t n_witnesses;
    struct policy_group groups[POLICY_GROUPS_MAX];
    size_t n_groups;
    bool demands; /* false: `quorum none` */
    struct policy_member quorum;
};

/* Reads @text as the policy file @path; every fault is told at once, each with its line (CASEBUS_CONFIG). */
int policy_parse(struct policy **policyp, struct bytes text, const char *path, struct casebus_error *err);
int policy_read(struct policy **policyp, const char *path, struct casebus_error *err);
struct policy *policy_free(struct policy *policy); /* NULL in, NULL out */

/* Whether @policy speaks of the log with this key: it lists it, or no log at all. */
bool policy_knows_log(const struct policy *policy, const struct note_verifier *log);
/* Whether those witnesses whose bit is set are enough. */
bool policy_quorum(const struct policy *policy, uint64_t cosigned);
/* Whether @note carries enough cosignatures; the log's own signature is the caller's to check. 1: enough; 0:
 * not enough, @err names what is missing; -1: malformed, or a line of a known witness does not hold.
 * *cosigned (may be NULL): a bit for each witness who did. */
int policy_check(const struct policy *policy, struct bytes note, uint64_t *cosigned,
                 struct casebus_error *err);

#endif
