/* What the parts of verify share.
 *
 *   scanner (chunk.c, body.c)       any thread: what can be said of entries without knowing those before
 *   follower (follow.c, batch.c,   one thread at a time, chunks in their order: what an entry means after
 *     nodes.c, erasures.c)         those before it
 *   crew.c                         the threads, and the ring of chunks between the two
 *   checkpoints.c, state.c         after the entries
 *   resume.c                       the follower's knowledge, in a file
 *
 * The scanner works ahead of the follower, so it may lack a key or an origin that the follower has by then;
 * what it could not check, or checked with another one, the follower checks again. So the verdict never
 * depends on who was faster. */
#ifndef VERIFY_INTERNAL_H
#define VERIFY_INTERNAL_H

#include "hub/verify/verify.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/codec/succession.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/code.h"
#include "proto/merkle/note.h"

#include <pthread.h>
#include <stdatomic.h>

#define VERIFY_SLACK_S 300 /* between the hub's look at the clock and the entry's hub time */
#define CHUNK_LEVEL    10  /* unless told otherwise: 1024 entries, a subtree, are read at a time */

/* ---- faults ---- */

/* In which order the checks of one entry are made. */
enum fault_rank { RANK_TREE, RANK_ENTRY, RANK_BODY, RANK_END };

struct fault {
    bool set;
    uint64_t position;
    enum fault_rank rank;
    struct casebus_error err;
};

/* Keeps the earlier one. */
void fault_note(struct fault *fault, uint64_t position, enum fault_rank rank,
                const struct casebus_error *err);

/* ---- what is gone ---- */

/* Content of an entry that cannot be read any more: it needs an order that names it. */
struct missing {
    uint64_t position;
    uint64_t slot; /* whose key the vault says was erased; 0: none, the content itself is gone */
    bool whole;    /* there is no body at all: how many parts it had cannot be told */
    bool header;
    uint32_t part_mask;
};

/* What one order destroys of one entry. */
struct erasure {
    uint64_t ordered; /* position of the order */
    uint64_t position;
    bool header;
    uint32_t part_mask;
};

/* A slot of the vault that an order destroys. */
struct erased_slot {
    uint64_t ordered;
    uint64_t slot;
};

/* ---- chunks ---- */

/* A signature, as the scanner found it. */
struct signed_fact {
    const struct verifier *by; /* whose key it was checked with; NULL: not yet */
    bool holds;
};

struct fact {
    Casebus__V1__LedgerEntry *entry;           /* NULL: it cannot be decoded */
    Casebus__V1__BatchStatement *statement;    /* of a seal; NULL: it cannot be decoded */
    Casebus__V1__ConfirmStatement **confirmed; /* of confirmations, each NULL or decoded */
    struct signed_fact *signatures;            /* one of a seal, one each of confirmations */
    struct casebus_error *statement_fault;     /* why the first of them could not be decoded */
};

struct chunk {
    uint64_t first;
    size_t n;
    struct fault fault; /* the earliest that the scanner found */
    struct tree tree;   /* over these leaves alone */
    size_t n_above;
    uint8_t above[TREE_LEVELS][DIGEST_SIZE]; /* stored with the last leaf for subtrees larger than a chunk */
    struct arena arena;                      /* of what follows; empty when only the tree is looked at */
    struct fact *facts;
    char origin[ORIGIN_MAX]; /* with which the bodies were opened */
    struct fault body_fault; /* kept apart: bodies may have to be opened again under another origin */
    struct missing *missing;
    size_t n_missing;
    uint64_t n_bodies;
};

struct verify;

/* What a thread needs to read. */
struct scanner {
    struct verify *verify;
    struct ledger_view *view;
    uint64_t view_ns; /* when it was taken */
    struct crypter *crypter;
    struct arena arena;             /* of one body */
    uint8_t (*stored)[DIGEST_SIZE]; /* tree hashes of the chunk at hand */
    uint64_t slot;                  /* whose key is at hand */
    uint8_t slot_key[KEY_SIZE];
};

int scanner_init(struct scanner *scanner, struct verify *verify, struct casebus_error *err);
void scanner_deinit(struct scanner *scanner); /* fine on a zeroed one */
/* A fresh snapshot when the one at hand is old; bytes got before are gone then. */
int scanner_refresh(struct scanner *scanner, struct casebus_error *err);

/* Fills in @chunk, whose first and n are set. -1: it could not be read for lack of memory and the like. */
int chunk_read(struct chunk *chunk, struct scanner *scanner, struct casebus_error *err);
/* Opens the bodies, those before @chunk->fault, under @origin. */
int chunk_bodies(struct chunk *chunk, struct scanner *scanner, const char *origin, struct casebus_error *err);
void chunk_deinit(struct chunk *chunk);

/* 2: there is none to check; 1: it is there and right; 0: @missing says what is gone; -1: it is wrong. */
int body_check(struct scanner *scanner, uint64_t position, const char *origin,
               const Casebus__V1__LedgerEntry *entry, struct missing *missing, struct casebus_error *err);

/* ---- the follower's knowledge ---- */

/* A stretch of the ledger under one origin: from one LedgerOpened to the next. */
struct generation {
    uint64_t position;
    char origin[ORIGIN_MAX];
    char log_key[512];
};

/* A node as enrolled by the newest entry so far. */
struct verify_node {
    struct certificate_info info;
    uint8_t key_id[KEY_ID_SIZE];
    struct verifier *verifier; /* lives in verify->verifiers */
    Casebus__V1__NodeStatus status;
};

struct revoked_keys {
    struct public_key public_key;
    uint8_t curve_key[CURVE_KEY_SIZE];
};

/* Somebody may join: what the entry at @position says. */
struct verify_invitation {
    uint8_t id[INVITATION_SIZE];
    uint64_t position;
    bool used;
};

struct verify_stream {
    size_t node; /* index in nodes */
    uint64_t id;
    uint64_t last;
    uint8_t last_statement[DIGEST_SIZE];
};

/* The batch whose seal was read last, and whose members are being met while it is open. */
struct verify_batch {
    bool open;
    uint64_t seal_position;
    char node[NODE_NAME_MAX];
    uint64_t stream;
    uint64_t first;
    uint32_t count;
    uint32_t next; /* index of the member that has to come next */
    uint8_t root[DIGEST_SIZE];
    bool told[BATCH_MAX_EVENTS]; /* its hash is known */
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE];
    uint64_t duplicate_of[BATCH_MAX_EVENTS]; /* position + 1 */
    enum casebus_code refused[BATCH_MAX_EVENTS];
};

struct verify {
    const struct verify_options *options;
    struct verify_result *result;
    uint64_t size;
    unsigned chunk_level;
    uint64_t chunk_size; /* 2^chunk_level */
    const struct suite *suite;
    struct fault fault;
    bool failed; /* err below: not the ledger's fault */
    struct casebus_error err;

    /* the follower's */
    struct scanner scanner;
    uint64_t position;     /* of the entry being looked at */
    struct tree upper;     /* over the roots of whole chunks */
    struct tree remainder; /* over the entries behind them */
    int64_t hub_time_us;
    bool trusted; /* options.authority was met */
    struct succession succession;
    struct generation *generations;
    size_t n_generations;
    struct verify_node *nodes;
    size_t n_nodes;
    struct verify_stream *streams; /* sorted by node, id */
    size_t n_streams;
    struct verify_batch batch;
    struct missing *missing; /* in the order of positions */
    size_t n_missing;
    struct erasure *erasures;
    size_t n_erasures;
    struct erased_slot *slots;
    size_t n_slots;
    uint64_t *done; /* orders that are told to be done */
    size_t n_done;
    uint64_t *decided; /* what in quarantine was decided about, sorted */
    size_t n_decided;
    struct revoked_keys *revoked;
    size_t n_revoked;
    struct verify_invitation *invitations;
    size_t n_invitations;
    uint32_t policy_version; /* of the last one that was applied */
    uint64_t *acts;          /* positions of what resume.c reads again: openings, enrolments, erasures */
    size_t n_acts;
    uint64_t checkpoints_from; /* smaller ones were checked by an earlier run */
    struct buffer saved;       /* what the resume file is to hold */
    uint64_t saved_ns;         /* when it was written last */

    /* between scanner and follower */
    pthread_mutex_t lock;
    char origin[ORIGIN_MAX]; /* newest that is known */
    struct verifier **verifiers;
    size_t n_verifiers;
    struct verify_shelf {
        char node[NODE_NAME_MAX];
        const struct verifier *verifier;
    } * shelf; /* newest verifier of each node */
    size_t n_shelf;
    atomic_bool stopping;
    atomic_uint_fast64_t progress;
};

/* Makes room for one more element. */
int verify_grow(void **array, size_t n, size_t element, struct casebus_error *err);

/* Takes the chunk behind the one followed last; faults go to verify->fault. -1: not the ledger's fault. */
int verify_follow(struct verify *verify, struct chunk *chunk, struct casebus_error *err);
/* Tree over all entries followed so far. */
void verify_tree(const struct verify *verify, struct tree *tree);

/* Each: 0, or -1 with what is wrong. */
int verify_opened(struct verify *verify, const Casebus__V1__LedgerOpened *opened, struct casebus_error *err);
int verify_enrolled(struct verify *verify, const Casebus__V1__NodeEnrolled *enrolled,
                    struct casebus_error *err);
int verify_invited(struct verify *verify, const Casebus__V1__NodeInvited *invited, struct casebus_error *err);
/* That @node, whose enrolment is at hand, is the one that was invited, if it came by an invitation. */
int verify_invitation_used(struct verify *verify, const struct certificate_info *node,
                           const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err);
int verify_standing(struct verify *verify, const Casebus__V1__NodeStatusChanged *changed,
                    struct casebus_error *err);
/* That the node was neither suspended nor revoked at the entry at hand. */
int verify_node_active(const struct verify_node *node, struct casebus_error *err);
int verify_hub_keys(struct verify *verify, const Casebus__V1__HubKeysChanged *changed,
                    struct casebus_error *err);
int verify_policy(struct verify *verify, const Casebus__V1__PolicyApplied *applied,
                  struct casebus_error *err);
int verify_confirmed(struct verify *verify, const struct fact *fact, struct casebus_error *err);
int verify_quarantined(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                       struct casebus_error *err);
int verify_quarantine_decided(struct verify *verify, const Casebus__V1__QuarantineDecided *decided,
                              struct casebus_error *err);
/* That an operator released what @event was made of: it is the refused member of a batch whose seal stands in
 * the ledger; or, behind the seal at @seal_position, one of a batch that was refused as a whole. */
int verify_released(struct verify *verify, const Casebus__V1__EventEntry *event,
                    const uint64_t *seal_position, struct casebus_error *err);
/* That the seal of the batch that it was a member of refused it for the same reason. */
int verify_refused_alike(const struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                         struct casebus_error *err);
int verify_seal(struct verify *verify, const struct fact *fact, struct casebus_error *err);
int verify_event(struct verify *verify, const Casebus__V1__EventEntry *event, struct casebus_error *err);
/* That no batch waits for a member. */
int verify_batch_closed(const struct verify *verify, struct casebus_error *err);
int verify_ordered(struct verify *verify, const Casebus__V1__ErasureOrdered *ordered,
                   struct casebus_error *err);
int verify_done(struct verify *verify, const Casebus__V1__ErasureDone *done, struct casebus_error *err);
/* At the end of the ledger, or at a fault: all that is missing was ordered. Notes faults. */
int verify_erasures(struct verify *verify, struct casebus_error *err);

/* The origin under which the entry lies. */
const char *verify_origin_at(const struct verify *verify, uint64_t position);
/* The origin under which the newest entries lie; "" before the first. */
const char *verify_origin(const struct verify *verify);
/* NULL with @err when no such node is enrolled so far. */
const struct verify_node *verify_node_find(const struct verify *verify, const char *name,
                                           struct casebus_error *err);
/* That the node's certificate is valid at the hub time of the entry at hand. */
int verify_node_dates(const struct verify *verify, const struct verify_node *node, struct casebus_error *err);
/* For scanners: the newest verifier of a node that the follower knows, or NULL. Any thread. */
const struct verifier *verify_shelf_find(struct verify *verify, const char *node);

/* ---- the phases ---- */

/* Reads and follows all chunks from the follower's position on. 0: to the end, to a fault or until it was
 * stopped; -1 with verify->err. */
int verify_entries(struct verify *verify);
/* Notes the fault with the smallest size in @fault; its position is the size. */
int verify_checkpoints(struct verify *verify, struct fault *fault);
/* Runs @work in as many threads as asked for, each with a scanner of its own, and tells the progress. */
typedef int crew_fn(struct verify *verify, struct scanner *scanner, void *self, struct casebus_error *err);
int crew_run(struct verify *verify, enum verify_phase phase, uint64_t total, crew_fn *work, void *self);
/* 0, or -1 with @err: not the ledger's fault. Notes in @fault how the state differs. */
int verify_state(struct verify *verify, struct fault *fault, struct casebus_error *err);

/* Writes the follower's knowledge into verify->saved; only between chunks. */
int resume_keep(struct verify *verify, struct casebus_error *err);
/* Writes verify->saved to the file. */
int resume_save(struct verify *verify, struct casebus_error *err);
/* 0: the follower goes on where the file says, or there is none; -1: @err says why not, and it begins at the
 * first entry. */
int resume_load(struct verify *verify, struct casebus_error *err);
/* What is in such a file, but for the HMAC at its end. */
int resume_read(struct verify *verify, struct bytes content, struct casebus_error *err);

#endif
