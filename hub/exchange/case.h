/* Case: the set of its records, and what they amount to.
 *
 * A record is the newest statement of one source row: key (namespace, id), and of several statements the one
 * with the greatest (revision, operation, figures, header digest). The case's state is a function of the set
 * of its records: ordered by (occurred-at, a date counting as its local midnight, rank of the kind, other
 * figures), folded from the first to the last, always whole (promise P4). */
#ifndef EXCHANGE_CASE_H
#define EXCHANGE_CASE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#define CASE_RECORDS_MAX 4096
#define RECORD_KEY_SIZE  16

struct case_record {
    uint8_t key[RECORD_KEY_SIZE]; /* keyed digest of (namespace, id) */
    uint64_t position;            /* of the entry that holds the newest statement; not part of the state */
    uint64_t revision;
    int64_t occurred_at_us;
    uint8_t header_digest[16]; /* keyed: what the statement says, without what is random in it; breaks ties */
    uint32_t detail;           /* of the kind: finish kind + 1, rating level, special kind; 0: not told */
    uint32_t item;             /* keyed: tells its item from others; 0: it says none */
    uint32_t publisher;        /* case_publisher */
    uint8_t operation;         /* values of the schema's enums */
    uint8_t kind;
    uint8_t precision;
    uint8_t flags;
};

#define RECORD_BACKFILL   1
#define RECORD_CONFLICTED 2 /* another statement has the same revision and operation, but other content */
#define RECORD_HOME       4 /* the case number begins with the implementation code of its item */

/* Stable values and names. */
enum case_status {
    CASE_NOTHING = 0, /* no record tells a stage yet (such as only steps) */
    CASE_APPLIED = 1,
    CASE_RECEIVED = 2,
    CASE_SUPPLEMENT = 3, /* waits for the applicant */
    CASE_ACCEPTED = 4,
    CASE_REFUSED = 5, /* not accepted */
    CASE_STOPPED = 6, /* a special procedure runs */
    CASE_DECIDED = 7,
    CASE_FINISHED = 8,
    CASE_DELIVERED = 9,
    CASE_WITHDRAWN = 10,
    CASE_ANNULLED = 11
};

struct case_state {
    enum case_status status;
    uint32_t n_records; /* without deleted ones */
    uint32_t n_deleted;
    uint32_t n_conflicts;
    int64_t applied_at_us, received_at_us, accepted_at_us, decided_at_us, finished_at_us; /* 0: not told */
    int64_t first_at_us, last_at_us;
    uint8_t finish_kind_plus1; /* 0: not told */
    uint16_t findings;         /* bits below; stable */
};

#define FINDING_SECOND_SUPPLEMENT    1  /* more than one supplement notice */
#define FINDING_SPECIAL_NOT_BEGUN    2  /* more special procedures ended than began */
#define FINDING_FINISH_WHILE_STOPPED 4  /* finished while a special procedure was certainly open */
#define FINDING_ACCEPT_AFTER_FINISH  8  /* certainly after: a date counts as its whole day */
#define FINDING_CONFLICT             16 /* clashing statements of one record */
#define FINDING_OTHER_ITEM           32 /* records about another item stand beside it */

const char *case_status_name(enum case_status status);  /* "accepted" */
const char *case_status_title(enum case_status status); /* for people, in the language of the process */

/* True when statement @a of a record wins over @b. Total order: never depends on arrival. */
bool record_wins(const struct case_record *a, const struct case_record *b);
/* The record of @key, or NULL. */
struct case_record *case_find(struct case_record *records, uint32_t n, const uint8_t key[RECORD_KEY_SIZE]);
/* Takes the record of @key out of the set, if it is there. */
void case_remove(struct case_record *records, uint32_t *n, const uint8_t key[RECORD_KEY_SIZE]);
/* Puts a statement into the set: replaces the record of its key if it wins. @n grows by at most one.
 * CASEBUS_CASE_FULL past @capacity. A clash of two statements for the first place marks the record
 * RECORD_CONFLICTED; a newer revision heals it. */
int case_put(struct case_record *records, uint32_t *n, uint32_t capacity, const struct case_record *record,
             struct casebus_error *err);
/* What @node is in a case_record. */
uint32_t case_publisher(const char *node);
/* Whether one more record of a publisher who has @own of the @n records of a case has its place: nobody may
 * have more than are left, so that nobody can fill another's case. One alone: half of them. */
bool case_has_room(uint32_t n, uint32_t own);
/* The item that the case is about, of @n records in the order of case_fold; 0: none says one. The one that
 * the case number itself names; else that of the first record with which a case is opened (up to acceptance),
 * else of the first record at all. What is about another item stands beside the case: it is kept and counted,
 * and changes nothing. */
uint32_t case_about(const struct case_record *records, uint32_t n);
/* Whether @record stands beside a case about @item. */
bool case_beside(const struct case_record *record, uint32_t item);
/* Folds @n records (sorted in place) into @state. Pure. */
void case_fold(struct case_record *records, uint32_t n, struct case_state *state);

#endif
