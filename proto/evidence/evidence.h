/* Evidence: a file that proves to a stranger what stands in a hub's ledger, checked without any hub. The
 * format and the checks in their order: docs/ledger.md; the schema: proto/casebus/v1/evidence.proto.
 *
 * A file is proved as a whole or not at all: one thing that does not hold, and nothing in it counts. What it
 * proves comes out as facts, what it leaves open as gaps; both are values, and the words for them are their
 * reader's. Nothing here reads a clock, a file or a network. */
#ifndef EVIDENCE_EVIDENCE_H
#define EVIDENCE_EVIDENCE_H

#include "proto/casebus/v1/event.pb-c.h"
#include "proto/casebus/v1/evidence.pb-c.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

#define EVIDENCE_MAGIC           "casebus evidence 1\n"
#define EVIDENCE_MAX             (16 * 1024 * 1024) /* bytes of a file */
#define EVIDENCE_LEAVES_MAX      8192
#define EVIDENCE_EVENTS_MAX      4096
#define EVIDENCE_OUTCOMES_MAX    4096
#define EVIDENCE_CONFIRMS_MAX    1024
#define EVIDENCE_LINKS_MAX       4096 /* of one confirmation */
#define EVIDENCE_GENERATIONS_MAX 64
#define EVIDENCE_AUTHORITIES_MAX 256
#define EVIDENCE_TRUST_MAX       8
#define EVIDENCE_WITNESSES_MAX   32

/* What the stranger knows from elsewhere. More than one authority or log: of a hub's generations. A log's key
 * counts for the generation in its name, and is taken over into later ones that no other key is given for. */
struct evidence_trust {
    struct bytes authorities[EVIDENCE_TRUST_MAX]; /* DER */
    size_t n_authorities;
    const struct note_verifier *logs[EVIDENCE_TRUST_MAX];
    size_t n_logs;
    const struct note_verifier *witnesses[EVIDENCE_WITNESSES_MAX];
    size_t n_witnesses;
    size_t quorum; /* how many of the witnesses have to have cosigned */
};

enum evidence_fact_kind {
    FACT_CHECKPOINT = 1, /* the log signed a tree of `size` entries with the root `hash` */
    FACT_COSIGNED,       /* the witness `name` had seen it at time_us */
    FACT_OPENED,         /* entry `position` opens the ledger as `name` */
    FACT_TAKEN_OVER, /* the log key trusted for `former` counts for `name` too: entry `position` names it */
    FACT_ENROLLED,   /* entry `position` enrols node `name`, who signed it, under key `hash` (its id) */
    FACT_SEALED,     /* entry `position` holds a batch that `name` signed under the key of entry `other` */
    FACT_EVENT,      /* entry `position` is event `number` of `stream` of `name`; entry `other` is its seal */
    FACT_RECEIVER,   /* the hub decided that event `position` goes to `name` as delivery `ordinal` */
    FACT_HEADER,     /* the header of event `position` */
    FACT_PART,       /* part `ordinal` of event `position` */
    FACT_OUTCOME,
    /* member `number` of `stream` of `name`, sealed by `position`, became no entry */
    FACT_ACT,       /* entry `position` is an act of the hub */
    FACT_ERASURE,   /* entry `other` orders that content of event `position` is destroyed: the header when
                       `ordinal`   is 1, the parts in `mask` */
    FACT_CONFIRMED, /* by entry `position`, `name` confirmed all up to delivery `number`.`ordinal` */
    FACT_PASSED,    /* `name` confirmed a delivery at or behind `position`.`ordinal` */
    FACT_RECEIVED   /* `name` confirmed delivery `position`.`ordinal`: event `hash`; by entry `other` */
};

struct evidence_fact {
    enum evidence_fact_kind kind;
    const char *name;
    const char *former; /* TAKEN_OVER */
    uint64_t position;
    uint64_t other;
    uint64_t number;
    uint64_t stream;
    uint32_t ordinal;
    uint32_t questions; /* RECEIVER: it was told yes or no to these (bit: Question) and shown nothing */
    bool retracts;      /* RECEIVER: it was told that what the record said before holds no more */
    uint32_t mask;      /* RECEIVER: parts granted; PASSED: 1 when RECEIVED says more */
    int64_t time_us;
    struct bytes
        hash; /* 32 bytes; of CHECKPOINT the root, of EVENT and OUTCOME the event's, of ACT the leaf's */
    struct bytes content;                    /* HEADER, PART: the very bytes; EVENT: the case's id */
    uint64_t size;                           /* CHECKPOINT: of the tree */
    const struct certificate_info *node;     /* ENROLLED */
    const Casebus__V1__LedgerEntry *entry;   /* OPENED, ENROLLED, SEALED, EVENT, ACT */
    const Casebus__V1__SealOutcome *outcome; /* OUTCOME */
    const Casebus__V1__EventHeader *header;  /* HEADER, PART */
};

/* What a reader might take for proved and is not. */
enum evidence_gap_kind {
    GAP_UNWITNESSED = 1, /* no witness cosigned: others may have been shown another ledger */
    GAP_COMPLETE,        /* that there is nothing else about this case, or behind the checkpoint */
    GAP_TRUE,            /* that what the senders said is so; that the hub's clock was right */
    GAP_KEY_BEFORE,      /* that `name` never had a key before that of entry `position` */
    GAP_KEY_PERIOD,      /* `name`'s certificate did not cover the hub's time of entry `position` */
    GAP_HEADER,          /* what event `position` says; `withheld` is the maker's word why */
    GAP_PART,            /* what part `ordinal` of event `position` says */
    GAP_RECEIPT,         /* that `name` received delivery `position`.`ordinal`: no confirmation is shown */
    GAP_EXACT,           /* that it is inside of what `name` signed: later deliveries were confirmed */
    GAP_VOUCHED          /* that the key of `name` in entry `position` is the department's: its key before was
                            revoked, and the hub's operator alone vouches */
};

struct evidence_gap {
    enum evidence_gap_kind kind;
    const char *name;
    uint64_t position;
    uint32_t ordinal;
    Casebus__V1__Withheld withheld;
    Casebus__V1__PartKind part; /* PART */
};

struct evidence_report {
    struct arena arena; /* everything below lies in it */
    struct evidence_fact *facts;
    size_t n_facts;
    struct evidence_gap *gaps;
    size_t n_gaps;
    const char *origin; /* of the checkpoint */
};

/* Whether @file is proved under @trust: 0, and @report says what; -1 with @err. The report is initialised in
 * any case; it keeps nothing of @file. */
int evidence_verify(struct bytes file, const struct evidence_trust *trust, struct evidence_report *report,
                    struct casebus_error *err);
void evidence_report_deinit(struct evidence_report *report); /* fine on a zeroed one */

/* As docs/ledger.md names them. */
const char *evidence_fact_name(enum evidence_fact_kind kind);
const char *evidence_gap_name(enum evidence_gap_kind kind);

/* The message in @file, of the right form and nothing more asked; lives in @arena. NULL with @err. */
Casebus__V1__Evidence *evidence_decode(struct bytes file, struct arena *arena, struct casebus_error *err);

#endif
