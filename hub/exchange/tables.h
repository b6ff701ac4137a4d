/* Tables: how the exchange's keys and values are written. Internal to the hub: state is derived and can be
 * made again. */
#ifndef EXCHANGE_TABLES_H
#define EXCHANGE_TABLES_H

#include "hub/exchange/case.h"
#include "hub/exchange/store.h"
#include "proto/crypto/suite.h"

/* What each table is called in dumps and findings. */
extern const char *const exchange_table_names[TABLE_COUNT];

#define TABLE_KEY_MAX    256
#define NODE_TEXT_MAX    64 /* a node's name with its NUL */
#define CASE_NUMBER_MAX  64
#define CASE_ALIASES_MAX 16 /* that are remembered: the first ones in the order of their keys */
#define CASE_ROW_MAX     (104 + CASE_ALIASES_MAX * 24 + CASE_RECORDS_MAX * 72)

/* The state holds no text that came from a department. A record or a number stands in it as a key that only
 * this hub can make: HMAC under the hub's own key. What is shown to people is opened from a sealed header. */
#define TEXT_KEY_SIZE 16

/* Another number of a case that was asserted, and the newest entry whose header says it. */
struct case_alias {
    uint8_t key[TEXT_KEY_SIZE];
    uint64_t position;
};

/* A case as TABLE_CASES holds it. */
struct case_row {
    uint64_t position;    /* of the newest entry about it: its header says the number */
    uint64_t slot;        /* of the vault; 0: the next entry takes one */
    int64_t opened_at_us; /* hub time of its first entry */
    struct case_state state;
    uint32_t n_records;
    uint32_t n_aliases; /* sorted by their keys */
    struct case_alias aliases[CASE_ALIASES_MAX];
};
/* Reads the row; @records (may be NULL) gets them, CASEBUS_DAMAGED when there are more than @capacity. */
int case_row_decode(struct bytes value, struct case_row *row, struct case_record *records, uint32_t capacity,
                    struct casebus_error *err);

/* How many of the records in @value, which is @row, @publisher has published. */
uint32_t case_row_published(struct bytes value, const struct case_row *row, uint32_t publisher);

/* Writes a row into @out (CASE_ROW_MAX); returns its size. */
size_t case_row_encode(uint8_t *out, const struct case_row *row, const struct case_record *records);

/* A statement of a record, told from others by the keyed digest of its content. */
struct record_statement {
    uint64_t revision;
    uint64_t position;
    uint8_t content_digest[16];
    uint8_t operation;
};

#define RECORD_STATEMENTS_MAX 8 /* in the record's row; older ones have rows of their own */
#define RECORD_ROW_MAX        512
#define RECORD_ITEM_SIZE      65 /* with its NUL */
#define AREA_DIGITS           6

/* A record as TABLE_RECORDS holds it: whose it is, which statement counts, and which ones would be repeats.
 */
struct record_row {
    char owner[NODE_TEXT_MAX];
    uint8_t case_id[16];         /* of the statement that counts */
    struct case_record counting; /* what else ranks it; key and position are not in the row */
    char item[RECORD_ITEM_SIZE]; /* of the statement that counts, when it is a code; else empty */
    char area[AREA_DIGITS + 1];
    uint32_t answered; /* questions that this statement answers yes */
    bool erased;       /* some of its content was destroyed: it takes nothing new, and says no item */
    struct record_statement newest;
    struct record_statement seen[RECORD_STATEMENTS_MAX]; /* the greatest ones, falling */
    uint32_t n_seen;
};
int record_row_decode(struct bytes value, struct record_row *row, struct casebus_error *err);
size_t record_row_encode(uint8_t *out, const struct record_row *row); /* RECORD_ROW_MAX */

#define STREAM_ROW_SIZE       40
#define ERASURE_ROW_SIZE      40
#define QUARANTINE_ROW_SIZE   33
#define QUARANTINE_CHAIN_SIZE 24
#define BATCH_ROW_SIZE        44
#define RECEIVER_ROW_SIZE     48
#define CONFIRM_ROW_SIZE      25
#define HUB_KEYS_LABEL        "hub-keys"     /* NUL, position: in TABLE_META, for each HubKeysChanged */
#define REFUSED_LABEL         "refused-gone" /* NUL, node, NUL, digest: in TABLE_META */
#define ENROLMENTS_MAX        16             /* of one node, that are remembered: the newest ones */
#define NODE_ROW_SIZE         (59 + 16 * ENROLMENTS_MAX) /* before the enrolment */

struct stream_row {
    uint64_t last;
    uint8_t last_statement[DIGEST_SIZE];
};
int stream_row_decode(struct bytes value, struct stream_row *row, struct casebus_error *err);
size_t stream_row_encode(uint8_t *out, const struct stream_row *row);

struct batch_row {
    uint64_t seal_position;
    uint32_t count;
    uint8_t statement_hash[DIGEST_SIZE];
};
int batch_row_decode(struct bytes value, struct batch_row *row, struct casebus_error *err);
size_t batch_row_encode(uint8_t *out, const struct batch_row *row);

struct receiver_row {
    uint64_t last_position; /* last delivery decided */
    uint32_t last_ordinal;
    uint64_t n_decided;
    uint64_t confirmed_position;
    uint32_t confirmed_ordinal;
    bool has_last, has_confirmed;
    uint64_t n_confirmed; /* not counted yet: 0 */
};
int receiver_row_decode(struct bytes value, struct receiver_row *row, struct casebus_error *err);
size_t receiver_row_encode(uint8_t *out, const struct receiver_row *row);

/* A confirmation as TABLE_CONFIRMS holds it, for proving that something was received: its key says up to
 * which delivery it reaches. */
struct confirm_row {
    uint64_t position;        /* of the entry DeliveriesConfirmed */
    uint32_t index;           /* in it */
    uint64_t before_position; /* the delivery that the node had confirmed before */
    uint32_t before_ordinal;
    bool has_before;
};
int confirm_row_decode(struct bytes value, struct confirm_row *row, struct casebus_error *err);
size_t confirm_row_encode(uint8_t *out, const struct confirm_row *row);

struct node_row {
    struct bytes enrolled;               /* serialised NodeEnrolled, the newest; points into the value */
    uint64_t enrolments[ENROLMENTS_MAX]; /* positions, rising: what an old seal is proved by */
    uint64_t revoked[ENROLMENTS_MAX];    /* where the keys of each were revoked; 0: they were not */
    uint8_t n_enrolments;
    uint64_t position;            /* of its enrolment */
    uint8_t status;               /* Casebus__V1__NodeStatus */
    uint64_t status_position;     /* since which entry; 0: since its enrolment */
    int64_t compromised_since_us; /* 0: not said */
    uint64_t n_accepted, n_duplicate, n_refused;
    int64_t last_hub_time_us;
};
int node_row_decode(struct bytes value, struct node_row *row, struct casebus_error *err);
/* @out: NODE_ROW_SIZE + row->enrolled.size bytes, not overlapping the enrolment. */
size_t node_row_encode(uint8_t *out, const struct node_row *row);

/* An order to destroy content, as TABLE_ERASURES holds it. */
struct erasure_row {
    uint8_t case_id[16]; /* zeros: something in quarantine */
    int64_t ordered_at_us;
    uint64_t done_position; /* 0: not done yet */
    int64_t done_at_us;
};
int erasure_row_decode(struct bytes value, struct erasure_row *row, struct casebus_error *err);
size_t erasure_row_encode(uint8_t *out, const struct erasure_row *row);

/* Something in quarantine, as TABLE_QUARANTINE holds it. What nobody has decided about is a chain in the
 * order of positions: a link is position + 1, 0 ends it. */
struct quarantine_row {
    uint64_t before, after; /* links */
    int64_t refused_at_us;
    uint64_t decided_position; /* of the QuarantineDecided, or of an ErasureOrdered alone; 0: undecided */
    uint8_t decision;          /* Casebus__V1__QuarantineDecision */
};
int quarantine_row_decode(struct bytes value, struct quarantine_row *row, struct casebus_error *err);
size_t quarantine_row_encode(uint8_t *out, const struct quarantine_row *row);

/* The row "quarantine" of TABLE_META. */
struct quarantine_chain {
    uint64_t count;       /* undecided */
    uint64_t first, last; /* links */
};
int quarantine_chain_decode(struct bytes value, struct quarantine_chain *chain, struct casebus_error *err);
size_t quarantine_chain_encode(uint8_t *out, const struct quarantine_chain *chain);

/* Keys into @out (TABLE_KEY_MAX); return the length. */
size_t statement_key(uint8_t *out, const uint8_t record_key[TEXT_KEY_SIZE],
                     const struct record_statement *statement);
size_t erasure_key(uint8_t *out, uint64_t position); /* and TABLE_QUARANTINE */
size_t inbox_key(uint8_t *out, const char *node, uint64_t position,
                 uint32_t ordinal); /* and TABLE_CONFIRMS */
/* What a node was given, as the inbox says it: a statement, answers to questions, or that one is taken back.
 */
#define INBOX_RETRACTION 0x80
uint8_t inbox_given(uint32_t questions, bool retracts);
bool inbox_key_decode(struct bytes key, const char *node, uint64_t *position, uint32_t *ordinal);
size_t stream_key(uint8_t *out, const char *node, uint64_t stream);
size_t batch_key(uint8_t *out, const char *node, uint64_t stream, uint64_t first);
size_t receiver_key(uint8_t *out, const char *node); /* TABLE_RECEIVERS and TABLE_NODES */
size_t refused_key(uint8_t *out, const char *node, const uint8_t digest[DIGEST_SIZE]); /* TABLE_META */

/* Keys of texts, under the hub's own key. Texts that differ in their last four bytes alone have keys that
 * differ in their last four bytes alone: rows of numbers that follow each other lie together, so that a burst
 * of them touches few pages. */
void record_key(struct crypter *crypter, const uint8_t key[KEY_SIZE], const char *record_namespace,
                const char *record_id, uint8_t out[TEXT_KEY_SIZE]);
void case_number_key(struct crypter *crypter, const uint8_t key[KEY_SIZE], const char *number,
                     uint8_t out[TEXT_KEY_SIZE]);
/* A name of a record that is the same at every hub, for comparisons; it can be guessed, so nobody keeps it:
 * first half of H("casebus/v1/record" 0x00 namespace 0x00 id). */
void record_name(struct crypter *crypter, const char *record_namespace, const char *record_id,
                 uint8_t out[RECORD_KEY_SIZE]);

#endif
