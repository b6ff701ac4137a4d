/* Store: the exchange's memory, seen as tables of keys and values. The daemon gives it the state (hub/state),
 * tests and the simulator give it plain memory. */
#ifndef EXCHANGE_STORE_H
#define EXCHANGE_STORE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

/* Values on disk: never renumbered. Keys are big-endian so that they sort. What a key and value holds is told
 * in tables.h. */
enum exchange_table {
    TABLE_META = 0,    /* name -> value */
    TABLE_NODES = 1,   /* node name -> serialised NodeEnrolled and counters */
    TABLE_STREAMS = 2, /* node name 0x00 stream(8) -> last number, last statement hash */
    TABLE_BATCHES = 3, /* node name 0x00 stream(8) first(8) -> seal position, count, statement hash */
    TABLE_RECORDS =
        4, /* key of the record(16) -> owner, newest revision, content digests, position, case id */
    TABLE_CASE_NUMBERS = 5, /* key of a case number(16) -> case id */
    TABLE_CASES = 6,        /* case id(16) -> the case: slot, its records, folded state */
    TABLE_INBOX = 7,        /* node name 0x00 position(8) ordinal(4) -> what it was given (1) */
    TABLE_RECEIVERS = 8,    /* node name -> last delivery decided, last confirmed */
    TABLE_STATEMENTS =
        9, /* older statements of a record: its key 0x00 revision operation digest -> position */
    TABLE_CONFIRMS = 10, /* node name 0x00 last position(8) ordinal(4) -> where its confirmation stands, and
                            which one came before */
    TABLE_ERASURES = 11, /* position(8) of an order to destroy -> case id, when, whether it is done */
    TABLE_QUARANTINE =
        12, /* position(8) of a Quarantined -> when, what was decided, its undecided neighbours */
    TABLE_COUNT = 13
};

struct exchange_store {
    void *self;
    /* 1: @value is set and stays valid until the next put to the same table; 0: not there; -1: failure. */
    int (*get)(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
               struct casebus_error *err);
    /* Copies both. An existing value is replaced. */
    int (*put)(void *self, enum exchange_table table, struct bytes key, struct bytes value,
               struct casebus_error *err);
};

#endif
