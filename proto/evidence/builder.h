/* Builder: puts an evidence file together. Who uses it reads the entries and their paths; this keeps them
 * once each, in order, and writes the file. Entries are named by their positions here. */
#ifndef EVIDENCE_BUILDER_H
#define EVIDENCE_BUILDER_H

#include "proto/evidence/evidence.h"

struct evidence_builder;

/* @suite: of the ledger. NULL without memory. */
struct evidence_builder *evidence_builder_new(const struct suite *suite);
struct evidence_builder *evidence_builder_free(struct evidence_builder *builder); /* NULL in, NULL out */

bool evidence_builder_has(const struct evidence_builder *builder, uint64_t position);
/* The leaf at @position with its path; copied. One that is there already stays. */
int evidence_builder_leaf(struct evidence_builder *builder, uint64_t position, struct bytes entry,
                          const uint8_t (*path)[DIGEST_SIZE], size_t n_path, struct casebus_error *err);
/* Positions of the leaves so far, each of which was added; @at runs from 0. False: no more. */
bool evidence_builder_position(const struct evidence_builder *builder, size_t at, uint64_t *position);

struct evidence_claim_part {
    struct bytes salt; /* empty: withheld */
    struct bytes content;
    Casebus__V1__Withheld withheld;
};

struct evidence_claim_event {
    uint64_t position;
    uint64_t seal;
    const uint8_t (*batch_path)[DIGEST_SIZE];
    size_t n_batch_path;
    struct bytes header; /* empty: withheld */
    Casebus__V1__Withheld header_withheld;
    struct evidence_claim_part parts[PARTS_MAX];
    size_t n_parts;
};

struct evidence_claim_link {
    uint64_t position;
    uint32_t ordinal;
    uint8_t event_hash[DIGEST_SIZE];
};

/* Each copies what it is given. An event, outcome or confirmation that is there already stays. */
int evidence_builder_event(struct evidence_builder *builder, const struct evidence_claim_event *event,
                           struct casebus_error *err);
int evidence_builder_outcome(struct evidence_builder *builder, uint64_t seal, uint32_t index,
                             const uint8_t (*batch_path)[DIGEST_SIZE], size_t n_batch_path,
                             struct casebus_error *err);
/* @n_links may be 0; then @running_before is not looked at. */
int evidence_builder_confirm(struct evidence_builder *builder, uint64_t position, uint32_t index,
                             const uint8_t running_before[DIGEST_SIZE],
                             const struct evidence_claim_link *links, size_t n_links,
                             struct casebus_error *err);
bool evidence_builder_confirms(const struct evidence_builder *builder, uint64_t position, uint32_t index);

/* The file under @checkpoint, in memory of the builder. CASEBUS_TOO_LARGE when it is over what a file may
 * hold. */
int evidence_builder_finish(struct evidence_builder *builder, struct bytes checkpoint, struct bytes *file,
                            struct casebus_error *err);

#endif
