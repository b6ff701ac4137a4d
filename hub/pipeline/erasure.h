/* Erasure: content is destroyed by order or because a rule of retention ran out, while every entry and proof
 * stays.
 *
 * A thread of its own, the eraser, takes one request after the other:
 *
 *   search   what of which cases has to go (views, bounded in time)
 *   order    the writer puts ErasureOrdered into the journal: from here on nothing of it is delivered, and a
 *            crash makes the hub go on with what follows when it starts again
 *   destroy  once the ledger has all bodies: they are overwritten in one synced transaction (a skeleton
 *            stays, or what is kept, sealed anew under another slot); then the slots of the vault in both
 *            copies
 *   done     the writer puts ErasureDone into the journal
 *
 * Who asks gets a ticket and looks at it. */
#ifndef PIPELINE_ERASURE_H
#define PIPELINE_ERASURE_H

#include "hub/exchange/exchange.h"

#define ERASURE_WORDS_MAX     4096
#define ERASURE_BY_MAX        127
#define ERASURE_TICKETS       64 /* that are remembered */
#define ERASURE_RULES_MAX     64
#define ERASURE_POSITIONS_MAX 64 /* of orders that a ticket names; more are counted */

struct pipeline;

enum erasure_what {
    ERASE_CASE = 1,
    ERASE_PERSON =
        2, /* a case goes as a whole when this is its only person; else the events that name them */
    ERASE_QUARANTINE = 3,
    ERASE_RETENTION = 4
};

/* Cases whose item begins with @item ("" is every one) and that were finished @days ago or earlier. The rule
 * with the longest item counts. */
struct erasure_rule {
    char item[64];
    uint32_t days;
};

struct erasure_request {
    enum erasure_what what;
    bool dry_run; /* search and count, nothing else */
    char number[CASE_NUMBER_MAX + 1];
    uint32_t part_kinds; /* of part_kind_bit; 0: everything, headers too. Of a case or person */
    char id_type[64], id_number[128];
    uint64_t position;                 /* in quarantine */
    bool discard;                      /* an operator's decision about it, and no order */
    char words[ERASURE_WORDS_MAX + 1]; /* of the order; UTF-8 */
    char by[ERASURE_BY_MAX + 1];       /* who ordered it, as this machine knows them */
    struct erasure_rule rules[ERASURE_RULES_MAX];
    size_t n_rules;
};

enum erasure_stage { ERASURE_SEARCHING = 1, ERASURE_DESTROYING = 2, ERASURE_DONE = 3, ERASURE_FAILED = 4 };

struct erasure_progress {
    uint64_t ticket;
    enum erasure_stage stage;
    bool dry_run;
    uint64_t searched, to_search; /* entries or cases */
    uint64_t n_cases, n_entries;  /* that lose something, so far */
    uint64_t n_receivers;         /* that were told */
    uint64_t ordered[ERASURE_POSITIONS_MAX];
    uint64_t n_ordered;
    struct casebus_error err; /* of ERASURE_FAILED */
};

/* Takes the request. CASEBUS_BUSY: too many wait. Any thread. */
int pipeline_erase(struct pipeline *pipeline, const struct erasure_request *request, uint64_t *ticket,
                   struct casebus_error *err);
/* How far it got. False: no such ticket is remembered. Any thread. */
bool pipeline_erasure(struct pipeline *pipeline, uint64_t ticket, struct erasure_progress *progress);

#endif
