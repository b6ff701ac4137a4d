/* Applying an order to destroy content, and that it was done.
 *
 * The order takes effect in the state as soon as it is in the ledger: the records that lose something, be it
 * in an old statement, take nothing new (exchange_close_record), the case goes on under another slot of the
 * vault, and each receiver finds the order in its inbox. Nothing in the rows depends on whether the content
 * is still there. */
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"

int exchange_close_record(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                          struct casebus_error *err)
{
    struct record_row row;
    int r = record_row_get(store, record_key, &row, err);
    if (r < 0)
        return -1;
    if (r == 0)
        return error_set(err, CASEBUS_DAMAGED,
                         _("content of a record is destroyed that the state does not know"));
    if (row.erased)
        return 0;
    row.erased = true;
    row.item[0] = row.area[0] = 0; /* as a replay finds it, which knows the header no more */
    row.answered = 0;
    return record_row_put(store, record_key, &row, err);
}

int exchange_record_closed(const struct exchange_store *store, const struct exchange_event *event,
                           struct casebus_error *err)
{
    static const uint8_t none[TEXT_KEY_SIZE];
    struct record_row row;
    if (memcmp(event->record_key, none, sizeof none) == 0)
        return 0; /* it could not be read so far */
    int r = record_row_get(store, event->record_key, &row, err);
    return r < 0 ? -1 : r > 0 && row.erased;
}

static int apply_to_case(const struct exchange_store *store, const Casebus__V1__ErasureOrdered *ordered,
                         struct casebus_error *err)
{
    struct bench bench;
    const uint8_t *case_id = ordered->case_id.data;
    if (bench_load(&bench, store, case_id, err) < 0)
        return -1;
    bench.row.slot = ordered->kept_slot;
    return bench_store(&bench, store, case_id, err);
}

int apply_erasure_ordered(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                          const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[ERASURE_ROW_SIZE];
    struct erasure_row row = {.ordered_at_us = hub_time_us};
    if (ordered->case_id.len == sizeof row.case_id)
        memcpy(row.case_id, ordered->case_id.data, sizeof row.case_id);
    size_t size = erasure_key(key, position);
    erasure_row_encode(encoded, &row);
    if (store->put(store->self, TABLE_ERASURES, bytes_of(key, size), bytes_of(encoded, sizeof encoded), err))
        return -1;
    if (ordered->case_id.len == sizeof row.case_id ? apply_to_case(store, ordered, err)
                                                   : apply_quarantine_erased(store, position, ordered, err))
        return -1;
    for (size_t i = 0; i < ordered->n_receiver; i++)
        if (apply_to_receiver(store, ordered->receiver[i], position, (uint32_t)i, err))
            return -1;
    return 0;
}

int apply_erasure_done(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                       const Casebus__V1__ErasureDone *done, struct casebus_error *err)
{
    for (size_t i = 0; i < done->n_ordered; i++) {
        uint8_t key[TABLE_KEY_MAX], encoded[ERASURE_ROW_SIZE];
        struct bytes value;
        struct erasure_row row;
        size_t size = erasure_key(key, done->ordered[i]);
        int r = store->get(store->self, TABLE_ERASURES, bytes_of(key, size), &value, err);
        if (r < 0 || (r > 0 && erasure_row_decode(value, &row, err)))
            return -1;
        if (r == 0)
            return error_set(err, CASEBUS_DAMAGED,
                             _("the ledger says done to an order that it does not hold"));
        row.done_position = position;
        row.done_at_us = hub_time_us;
        erasure_row_encode(encoded, &row);
        if (store->put(store->self, TABLE_ERASURES, bytes_of(key, size), bytes_of(encoded, sizeof encoded),
                       err))
            return -1;
    }
    return 0;
}
