/* Evidence: a file that proves to a stranger what stands in a hub's ledger, checked without any hub.
 *
 *   struct casebus_evidence *evidence;
 *   if (casebus_evidence_verify(&evidence, file, size, &trust, &err) == 0)
 *       for (size_t i = 0; casebus_evidence_fact(evidence, i, &fact); i++)
 *           ...
 *   evidence = casebus_evidence_free(evidence);
 *
 * A file is proved as a whole or not at all. What it proves comes out as facts, what a reader might take for
 * proved and is not as gaps; both are told in docs/ledger.md, under the same names. No clock, network or node
 * is needed. */
#ifndef CASEBUS_EVIDENCE_H
#define CASEBUS_EVIDENCE_H

#include <casebus/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What you know from elsewhere. More than one hub key: of a hub's generations. */
struct casebus_evidence_trust {
    const char *const *authorities; /* files with the authority's certificate (PEM) */
    const char *const *log_keys;    /* verifier keys of the log, NAME+HASH+KEY; as many */
    size_t n_hubs;                  /* at most 8 */
    const char *const *witnesses;   /* verifier keys of witnesses; may be NULL */
    size_t n_witnesses;             /* at most 32 */
    size_t quorum;                  /* of them that have to have cosigned */
};

struct casebus_evidence;

/* Which members are set depends on the fact (docs/ledger.md); the others are zero or NULL. Texts and bytes
 * live as long as the evidence. */
struct casebus_evidence_fact {
    const char *fact;  /* "event", "received", ... */
    const char *name;  /* node, witness or origin */
    uint64_t position; /* of the entry that it is about (outcome: of the seal) */
    uint64_t other;    /* of the entry that it rests on: enrolment, seal, confirmation, order */
    uint64_t number;   /* event, outcome: in its stream; sealed: the first; confirmed: last position */
    uint64_t stream;
    uint64_t count;      /* sealed: events; checkpoint: entries */
    uint32_t ordinal;    /* of a delivery; part: its index */
    uint32_t parts;      /* receiver, erasure: bit i is part i */
    int64_t time_us;     /* the hub's, the witness's or the receiver's */
    const uint8_t *hash; /* 32 bytes: root, event hash, leaf hash; enrolled: 16, the key's id */
    const void *content; /* header, part: the very bytes; event: the case's id, 16 bytes */
    size_t content_size;
};

/* What is not proved. */
struct casebus_evidence_gap {
    const char *gap; /* "complete", "receipt", ... */
    const char *node;
    uint64_t position;
    uint32_t ordinal;  /* part: its index */
    unsigned withheld; /* 1 not asked for, 2 erased, 3 no key at hand: the word of the file's maker */
};

/* Returns 0 when @file is proved under @trust; -1 with the reason, and *evidencep is NULL. */
CASEBUS_API int casebus_evidence_verify(struct casebus_evidence **evidencep, const void *file, size_t size,
                                        const struct casebus_evidence_trust *trust,
                                        struct casebus_error *err);
CASEBUS_API struct casebus_evidence *
casebus_evidence_free(struct casebus_evidence *evidence); /* NULL in, NULL out */
/* The fact or gap @i, from 0; 0 behind the last one, else 1. */
CASEBUS_API int casebus_evidence_fact(const struct casebus_evidence *evidence, size_t i,
                                      struct casebus_evidence_fact *fact);
CASEBUS_API int casebus_evidence_gap(const struct casebus_evidence *evidence, size_t i,
                                     struct casebus_evidence_gap *gap);

#ifdef __cplusplus
}
#endif
#endif
