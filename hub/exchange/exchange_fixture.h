/* A hub in a test: the pure core over a store in memory, three nodes, and a clock that the test turns. */
#ifndef EXCHANGE_FIXTURE_H
#define EXCHANGE_FIXTURE_H

#include "hub/exchange/case_dump.h"
#include "hub/exchange/exchange.h"
#include "hub/exchange/store_memory.h"
#include "proto/base/arena.h"

#define DAY_US  INT64_C(86400000000)
#define NOON_US INT64_C(1700000000000000) /* some moment; cases of the tests happen around it */

/* What an event says; zero means what is usual: a step, put, at NOON_US, an instant. */
struct statement {
    const char *record;
    const char *number;
    Casebus__V1__Kind kind;
    int64_t at_us;
    uint64_t revision;
    Casebus__V1__Operation operation;
    bool is_date;
    bool backfill;
    const char *text;  /* lies in a part, not in the header */
    const char *alias; /* may be NULL */
    const char *handler;
    uint32_t special_kind;      /* with special_begin and special_end */
    uint32_t finish_kind_plus1; /* with finish */
    const char *certificate;    /* with finish */
    const char *item, *area;    /* may be NULL */
};

struct fixture {
    struct store_memory *memory;
    struct exchange_store store;
    struct crypter *crypter;
    uint8_t key[KEY_SIZE]; /* the hub's content key */
    struct arena arena;    /* of events */
    struct exchange_node nodes[4];
    const struct rights *rights; /* NULL unless a test sets it */
    struct rights_memo memo;
    size_t n_nodes;
    uint64_t position; /* the next one */
    int64_t hub_time_us;
    uint64_t next_case_id;
    uint64_t next_slot;
    struct exchange_decision decision; /* the last one */
    struct casebus_error err;
};

/* Nodes: "bureau" and "desk" publish, "office" receives all with identity and form, "quiet" may do nothing.
 */
void fixture_init(struct fixture *fixture);
void fixture_deinit(struct fixture *fixture);
/* @statement as the gate would hand it in. Lives in the fixture's arena. */
void fixture_event(struct fixture *fixture, const struct statement *statement, struct exchange_event *event);
/* Applies @event as fixture->decision says. */
void fixture_apply(struct fixture *fixture, const char *node, const struct exchange_event *event);
/* Decides, and applies what is accepted. */
enum exchange_verdict fixture_give(struct fixture *fixture, const char *node,
                                   const struct exchange_event *event);
enum exchange_verdict fixture_publish(struct fixture *fixture, const char *node,
                                      const struct statement *statement);
void fixture_number_key(struct fixture *fixture, const char *number, uint8_t key[TEXT_KEY_SIZE]);
/* The row of a case and its records (CASE_RECORDS_MAX; may be NULL). False when there is none. */
bool fixture_case(struct fixture *fixture, const char *number, struct case_row *row,
                  struct case_record *records);
/* The dumps of all cases in the order of their numbers' keys, which stand for the numbers: hubs with the same
 * key are alike. */
void fixture_dump(struct fixture *fixture, struct buffer *out);
/* Bytes of every row of a table, for comparing whole states. */
void fixture_dump_table(struct fixture *fixture, enum exchange_table table, struct buffer *out);

#endif
