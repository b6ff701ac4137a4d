/* Prove: gathers from ledger and state what an evidence file (proto/evidence) needs: for each thing asked
 * about its entries, their paths under one published checkpoint, and who signed. Each lookup touches as many
 * rows as a path has hashes, however large the ledger is. */
#ifndef CONSOLE_PROVE_H
#define CONSOLE_PROVE_H

#include "hub/console/reader.h"
#include "proto/evidence/builder.h"

struct proof {
    struct reader *reader;
    struct evidence_builder *builder;
    struct checkpoint checkpoint;
    char note[NOTE_MAX]; /* of the same */
    bool cosigned;
    size_t note_size;
    bool sealed;                                                 /* headers stay closed, too */
    uint32_t open_kinds;                                         /* parts to show; of part_kind_bit */
    size_t n_events, n_outcomes, n_confirms, n_headers, n_parts; /* claimed and opened */
    struct batch_hashes *batch;                                  /* the last one looked at */
    struct evidence_claim_link *links;
};

enum proof_checkpoint {
    PROOF_COSIGNED = 1, /* the newest one that witnesses cosigned */
    PROOF_NEWEST = 2    /* the newest published one */
};

/* Takes that checkpoint. Returns 1 when there is no cosigned one; CASEBUS_BUSY when none was published yet.
 * The caller deinits in any case. */
int proof_init(struct proof *proof, struct reader *reader, enum proof_checkpoint which,
               struct casebus_error *err);
void proof_deinit(struct proof *proof); /* fine on a zeroed one */

/* Adds what proves the entry at @position, whatever it is: an event with its seal, its sender's key and its
 * receivers' confirmations; a seal with its key; an act. CASEBUS_BUSY when the checkpoint does not reach it.
 */
int proof_entry(struct proof *proof, uint64_t position, struct casebus_error *err);
/* Adds what the seal at @seal says of member @index, which became no entry. */
int proof_outcome(struct proof *proof, uint64_t seal, uint32_t index, struct casebus_error *err);
/* The file, in memory of @proof, after it was verified: nothing leaves that would not convince. */
int proof_finish(struct proof *proof, struct bytes *file, struct casebus_error *err);

/* For the files of this module: the leaf at @position with its path; the key that @node had before
 * @position. */
int proof_leaf(struct proof *proof, uint64_t position, struct casebus_error *err);
int proof_enrolment(struct proof *proof, const char *node, uint64_t position, struct casebus_error *err);
/* The confirmation that first covers the delivery, if there is one, with the deliveries up to its last one if
 * they are few enough. */
int proof_receipt(struct proof *proof, const char *node, uint64_t position, uint32_t ordinal,
                  struct casebus_error *err);
/* The orders by which something of the event at @position was destroyed, as far as the checkpoint reaches. */
int proof_orders(struct proof *proof, uint64_t position, const uint8_t case_id[CASE_ID_SIZE],
                 struct casebus_error *err);
/* All confirmations of the act at @position. */
int proof_confirms(struct proof *proof, uint64_t position, struct casebus_error *err);

#endif
