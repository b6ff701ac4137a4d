/* Tables: how the exchange's keys and values are written. Internal to the hub: state is derived and can be
 * made again. */
#ifndef EXCHANGE_TABLES_H
#define EXCHANGE_TABLES_H

#include "hub/exchange/case.h"
#include "hub/exchange/store.h"

#define TABLE_KEY_MAX 256

/* A case as TABLE_CASES holds it. */
struct case_row {
    char number[65];
    uint64_t slot;
    int64_t opened_at_us; /* hub time of its first entry */
    struct case_state state;
    uint32_t n_records;
};
/* Reads the row; @records (may be NULL) gets up to @capacity records. */
int case_row_decode(struct bytes value, struct case_row *row, struct case_record *records, uint32_t capacity,
                    struct casebus_error *err);

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

struct node_row {
    struct bytes enrolled; /* serialised NodeEnrolled, points into the value */
    uint64_t position;     /* of its enrolment */
    uint64_t n_accepted, n_duplicate, n_refused;
    int64_t last_hub_time_us;
};
int node_row_decode(struct bytes value, struct node_row *row, struct casebus_error *err);

/* Keys into @out (TABLE_KEY_MAX); return the length. */
size_t inbox_key(uint8_t *out, const char *node, uint64_t position, uint32_t ordinal);
bool inbox_key_decode(struct bytes key, const char *node, uint64_t *position, uint32_t *ordinal);
size_t stream_key(uint8_t *out, const char *node, uint64_t stream);
size_t batch_key(uint8_t *out, const char *node, uint64_t stream, uint64_t first);
void record_key(const char *record_namespace, const char *record_id, struct crypter *crypter,
                uint8_t out[16]);

#endif
