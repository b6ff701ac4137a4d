/* Verify: reads a ledger from its first entry to its last and believes nothing that it can work out itself.
 *
 * What holds afterwards: every tree hash is the one of the entries; every published checkpoint is signed by
 * the log's key and has the root of the entries; hub time never goes back; every event stands behind a seal
 * that its sender signed with a key enrolled before and certified for that day, numbered without gaps; every
 * enrolment was signed by the node itself, a second one of a name also by the key before, and certified by
 * the authority that the first entry names; every sealed body opens and is what the event's hash and
 * commitments say, or an entry orders its erasure; what is told to be erased is; the state is what the ledger
 * amounts to.
 *
 * Of all that is wrong, the first by position is told, the same one with any number of threads: entries
 * first, then checkpoints by size, then the state by table and row. */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include "hub/ledger/ledger.h"
#include "hub/state/state.h"
#include "hub/vault/vault.h"
#include "proto/crypto/certificate.h"

#define VERIFY_JOBS_MAX 64

enum verify_phase { VERIFY_ENTRIES, VERIFY_CHECKPOINTS, VERIFY_REPLAY, VERIFY_STATE };

struct verify_options {
    struct ledger *ledger;
    struct vault *vault; /* NULL: bodies are not opened */
    const char *log_key; /* the vkey that checkpoints must be signed with; NULL: the ledger's own word */
    struct bytes
        authority;        /* DER that the first entry must name, or a change of authority; empty: its word */
    unsigned jobs;        /* threads; 0 is 1 */
    unsigned chunk_level; /* a thread takes 2^this entries at a time, up to 2^16; 0: as many as is fast */
    bool tree_only;       /* leaves and tree hashes, nothing of what they mean, and no checkpoints */
    /* The state that has to be what the ledger amounts to (needs the vault and the hub's content key), and a
     * directory for one that is made anew; NULL: it is not compared. */
    struct state *state;
    const uint8_t *content_key; /* KEY_SIZE */
    const char *temporary;
    /* A file that keeps how far it got; NULL: none. @resume: go on from there when it fits. */
    const char *resume_path;
    bool resume;
    struct bytes resume_key; /* the file is authenticated with it; empty: it is only protected from damage */
    /* Called by the caller's thread about ten times a second; each may be NULL. */
    void (*progress)(void *self, enum verify_phase phase, uint64_t done, uint64_t total);
    bool (*stop)(void *self); /* true: end soon, and keep how far it got */
    /* For this key no key before it stands good: it is the first of its node, or the one after a revocation
     * (@after_revoked). Told of all such keys by each run, those of entries that an earlier one has checked
     * too, perhaps twice; by one thread at a time. */
    void (*unvouched)(void *self, uint64_t position, const struct certificate_info *info, bool after_revoked);
    void *self;
    uint64_t stop_at; /* not 0: end behind the chunk with this entry, as if stop had said so */
};

enum verify_state { STATE_NOT_ASKED, STATE_EQUAL, STATE_DIFFERS, STATE_MOVING };

struct verify_result {
    uint64_t entries, seals, events, acts, nodes, confirms, quarantined;
    uint64_t duplicates, refused; /* members of batches that became no entry */
    uint64_t bodies;              /* opened and checked */
    uint64_t generations;
    uint64_t erased; /* entries whose content is gone, wholly or in part, by order */
    uint64_t orders; /* of erasure */
    uint64_t checkpoints;
    uint8_t root[DIGEST_SIZE]; /* of the entries that were read */
    enum verify_state state;
    uint64_t state_applied;            /* entries that the state reflects */
    uint64_t state_rows;               /* compared */
    uint64_t resumed_from;             /* entries that an earlier run had checked */
    struct casebus_error not_resumed;  /* why it began again although it was to go on */
    struct casebus_error resume_fault; /* why how far it got could not be kept */
    bool resume_saved;
    /* of a ledger that does not hold */
    bool has_position;
    uint64_t position; /* of the first entry that is wrong */
    struct casebus_error fault;
};

enum verify_answer { VERIFY_WRONG = 0, VERIFY_HOLDS = 1, VERIFY_STOPPED = 2 };

/* A verify_answer (of what is wrong, @result says where and why); -1: it could not be read at all. */
int verify_ledger(const struct verify_options *options, struct verify_result *result,
                  struct casebus_error *err);

#endif
