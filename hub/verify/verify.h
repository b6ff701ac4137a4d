/* Verify: reads a ledger from its first entry to its last and believes nothing that it can work out itself.
 *
 * What holds afterwards: every tree hash is the one of the entries; every published checkpoint is signed by
 * the log's key and has the root of the entries; hub time never goes back; every event stands behind a seal
 * that its sender signed with a key enrolled before, numbered without gaps; every enrolment was signed by the
 * node itself and certified by the authority that the first entry names; every sealed body opens and is what
 * the event's hash and commitments say. */
#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H

#include "hub/ledger/ledger.h"
#include "hub/vault/vault.h"

struct verify_options {
    struct ledger *ledger;
    struct vault *vault;    /* NULL: bodies are not opened */
    const char *log_key;    /* the vkey that checkpoints must be signed with; NULL: the ledger's own word */
    struct bytes authority; /* DER that the first entry must name; empty: its own word */
    void (*progress)(void *self, uint64_t done, uint64_t size); /* may be NULL */
    void *self;
};

struct verify_result {
    uint64_t entries, seals, events, acts, nodes, confirms, quarantined;
    uint64_t duplicates, refused; /* members of batches that became no entry */
    uint64_t bodies;              /* opened and checked */
    uint64_t checkpoints;
    uint8_t root[DIGEST_SIZE]; /* of the entries that were read */
    /* of a ledger that does not hold */
    bool has_position;
    uint64_t position; /* of the first entry that is wrong */
    struct casebus_error fault;
};

/* 1: it holds; 0: it does not, @result says where and why; -1: it could not be read at all. */
int verify_ledger(const struct verify_options *options, struct verify_result *result,
                  struct casebus_error *err);

#endif
