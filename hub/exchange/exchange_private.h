/* What decide and apply share. */
#ifndef EXCHANGE_PRIVATE_H
#define EXCHANGE_PRIVATE_H

#include "hub/exchange/exchange.h"
#include "hub/exchange/tables.h"

/* Whether @item has the form of a code, which tells a matter and no person: only such stand in the state. */
bool item_is_code(const char *item);
/* @event as a record of its case, whoever published it. */
struct case_record record_of_event(const struct exchange_event *event, uint64_t position);
/* @event as a statement of its record. */
struct record_statement statement_of_event(const struct exchange_event *event, uint64_t position);

/* -1 when nobody filled in the record key (exchange_event_init does): all records would be taken for one. */
int event_check_key(const struct exchange_event *event, struct casebus_error *err);

/* What a statement does to a record that is known already. */
enum record_effect {
    EFFECT_REPLACES = 1, /* it counts from now on */
    EFFECT_CLASHES = 2,  /* it does not count, but says otherwise what counts: the record is conflicted */
    EFFECT_NONE = 3      /* it came too late */
};
enum record_effect record_effect(const struct record_row *row, const struct exchange_event *event);
/* Whether @event says something else in the place (revision, operation) of the statement that counts. */
bool record_clashes(const struct record_row *row, const struct exchange_event *event);
/* 1: @event repeats the statement of the entry at @position; 0: it says something new; -1. */
int record_repeated(const struct exchange_store *store, const struct record_row *row,
                    const struct exchange_event *event, uint64_t *position, struct casebus_error *err);

/* 1: found and decoded; 0: not there; -1. */
int record_row_get(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                   struct record_row *row, struct casebus_error *err);
int record_row_put(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                   const struct record_row *row, struct casebus_error *err);
/* The case whose number has @number_key. 1 / 0 / -1. */
int case_id_get(const struct exchange_store *store, const uint8_t number_key[TEXT_KEY_SIZE],
                uint8_t case_id[16], struct casebus_error *err);
/* Puts a delivery into the inbox of @receiver. */
int apply_to_receiver(const struct exchange_store *store, const Casebus__V1__Receiver *receiver,
                      uint64_t position, uint32_t ordinal, struct casebus_error *err);
/* apply_erasure.c */
int apply_erasure_ordered(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                          const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err);
int apply_erasure_done(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                       const Casebus__V1__ErasureDone *done, struct casebus_error *err);

/* apply_quarantine.c */
int apply_quarantined(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                      const Casebus__V1__Quarantined *quarantined, struct casebus_error *err);
int apply_quarantine_decided(const struct exchange_store *store, uint64_t position,
                             const Casebus__V1__QuarantineDecided *decided, struct casebus_error *err);
/* An order to destroy it, by itself, is a decision, too. */
int apply_quarantine_erased(const struct exchange_store *store, uint64_t position,
                            const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err);

/* One case on the workbench: read, changed and put back whole. */
struct bench {
    struct case_row row;
    struct case_record records[CASE_RECORDS_MAX];
    uint8_t encoded[CASE_ROW_MAX];
};
int bench_load(struct bench *bench, const struct exchange_store *store, const uint8_t case_id[16],
               struct casebus_error *err);
int bench_store(struct bench *bench, const struct exchange_store *store, const uint8_t case_id[16],
                struct casebus_error *err);

static inline struct bytes case_key(const uint8_t case_id[16])
{
    return bytes_of(case_id, 16);
}

#endif
