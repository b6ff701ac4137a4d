/* What the steps of a verification hand to each other. Private to this folder. */
#ifndef EVIDENCE_PRIVATE_H
#define EVIDENCE_PRIVATE_H

#include "proto/evidence/evidence.h"

#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/codec/statement.h"
#include "proto/merkle/tree.h"

/* A leaf that was found in the tree. */
struct proven_leaf {
    uint64_t position;
    uint8_t hash[DIGEST_SIZE];
    Casebus__V1__LedgerEntry *entry;
    const Casebus__V1__BatchStatement *statement; /* of a seal */
    bool claimed;                                 /* an event that somebody speaks of */
};

/* The origin of a statement counts from the entry on that opened it. */
struct generation {
    uint64_t position;
    const char *origin;
};

/* Certifies from the entry on that names it. */
struct named_authority {
    uint64_t position;
    struct bytes der;
};

struct enrolment {
    uint64_t position;
    struct certificate_info info;
    uint8_t key_id[KEY_ID_SIZE];
    struct verifier *verifier;
};

/* The key that signed the checkpoint, under the name of the checkpoint's origin. */
struct log_key {
    struct note_verifier verifier;
    char vkey[VKEY_MAX];
    const char *former; /* the origin for which it is trusted, when that is an earlier generation; or NULL */
};

struct verification {
    const struct evidence_trust *trust;
    struct evidence_report *report;
    struct arena *arena;
    struct crypter *crypter;
    const Casebus__V1__Evidence *evidence;
    struct checkpoint checkpoint;
    struct log_key log;
    struct proven_leaf *leaves;
    size_t n_leaves;
    struct generation generations[EVIDENCE_GENERATIONS_MAX];
    size_t n_generations;
    struct named_authority authorities[EVIDENCE_AUTHORITIES_MAX];
    size_t n_authorities;
    bool trusted;                 /* one of them, and so all: they lead from one to the next */
    struct enrolment *enrolments; /* in the order of their positions */
    size_t n_enrolments;
    size_t facts_room, gaps_room;
};

/* The steps, in this order. */
int verify_checkpoint(struct verification *v, struct casebus_error *err);
int verify_leaves(struct verification *v, struct casebus_error *err);
int verify_generations(struct verification *v, struct casebus_error *err);
int verify_enrolments(struct verification *v, struct casebus_error *err);
int verify_seals(struct verification *v, struct casebus_error *err);
int verify_acts(struct verification *v, struct casebus_error *err);
int verify_events(struct verification *v, struct casebus_error *err);
int verify_outcomes(struct verification *v, struct casebus_error *err);
int verify_confirms(struct verification *v, struct casebus_error *err);

/* The fact or gap to fill in; NULL with @err. */
struct evidence_fact *fact_add(struct verification *v, enum evidence_fact_kind kind,
                               struct casebus_error *err);
struct evidence_gap *gap_add(struct verification *v, enum evidence_gap_kind kind, struct casebus_error *err);

/* Writes @vkey, the text of the log key @key under the name @name, and makes it ready. */
int log_key_name(struct note_verifier *verifier, char vkey[VKEY_MAX], const struct public_key *key,
                 const char *name, struct casebus_error *err);
/* The leaf at @position; NULL when the file does not hold it. */
const struct proven_leaf *leaf_find(const struct verification *v, uint64_t position);
/* That @origin was opened before entry @position. */
int origin_check(const struct verification *v, const char *origin, uint64_t position,
                 struct casebus_error *err);
/* That @signature over @statement is by the key that @node had at entry @position, whose id is @key_id.
 * Returns the enrolment, or NULL with @err. */
const struct enrolment *signature_check(const struct verification *v, const char *node, uint64_t position,
                                        ProtobufCBinaryData key_id, ProtobufCBinaryData statement,
                                        ProtobufCBinaryData signature, struct casebus_error *err);
/* That nothing in the file says that the node was suspended or revoked at @position, under this enrolment. */
int standing_check(const struct verification *v, const struct enrolment *enrolment, uint64_t position,
                   struct casebus_error *err);

static inline struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

#endif
