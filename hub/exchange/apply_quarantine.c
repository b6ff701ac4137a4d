/* What was refused waits until somebody decides about it. The undecided ones are a chain through their rows,
 * so that how many there are and which is the oldest is known without looking at those that are settled. */
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"

static int chain_put(const struct exchange_store *store, const struct quarantine_chain *chain,
                     struct casebus_error *err)
{
    uint8_t encoded[QUARANTINE_CHAIN_SIZE];
    quarantine_chain_encode(encoded, chain);
    return store->put(store->self, TABLE_META, bytes_of_text("quarantine"), bytes_of(encoded, sizeof encoded),
                      err);
}

static int row_put(const struct exchange_store *store, uint64_t position, const struct quarantine_row *row,
                   struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[QUARANTINE_ROW_SIZE];
    size_t size = erasure_key(key, position);
    quarantine_row_encode(encoded, row);
    return store->put(store->self, TABLE_QUARANTINE, bytes_of(key, size), bytes_of(encoded, sizeof encoded),
                      err);
}

int exchange_quarantine_chain(const struct exchange_store *store, struct quarantine_chain *chain,
                              struct casebus_error *err)
{
    struct bytes value;
    *chain = (struct quarantine_chain){0};
    int r = store->get(store->self, TABLE_META, bytes_of_text("quarantine"), &value, err);
    return r > 0 ? quarantine_chain_decode(value, chain, err) : r;
}

int exchange_quarantine_get(const struct exchange_store *store, uint64_t position, struct quarantine_row *row,
                            struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    size_t size = erasure_key(key, position);
    int r = store->get(store->self, TABLE_QUARANTINE, bytes_of(key, size), &value, err);
    return r > 0 && quarantine_row_decode(value, row, err) ? -1 : r;
}

static int not_there(uint64_t position, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("entry %llu of the ledger is nothing in quarantine"),
                     (unsigned long long)position);
}

/* Sets one link of the neighbour at @link. */
static int neighbour_put(const struct exchange_store *store, uint64_t link, bool before, uint64_t to,
                         struct casebus_error *err)
{
    struct quarantine_row row;
    int r = exchange_quarantine_get(store, link - 1, &row, err);
    if (r <= 0)
        return r < 0 ? -1 : not_there(link - 1, err);
    if (before)
        row.before = to;
    else
        row.after = to;
    return row_put(store, link - 1, &row, err);
}

/* Of what an erasure destroyed nothing is kept: there is nothing to decide. */
int apply_quarantined(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                      const Casebus__V1__Quarantined *quarantined, struct casebus_error *err)
{
    struct quarantine_chain chain;
    struct quarantine_row row = {.refused_at_us = hub_time_us};
    if (strcmp(quarantined->code, casebus_code_text(CASEBUS_ERASED)) == 0)
        return 0;
    if (exchange_quarantine_chain(store, &chain, err))
        return -1;
    row.before = chain.last;
    if (chain.last && neighbour_put(store, chain.last, false, position + 1, err))
        return -1;
    if (!chain.first)
        chain.first = position + 1;
    chain.last = position + 1;
    chain.count++;
    return row_put(store, position, &row, err) || chain_put(store, &chain, err) ? -1 : 0;
}

/* Takes the row out of the chain. */
static int settle(const struct exchange_store *store, uint64_t position, struct quarantine_row *row,
                  uint64_t decided_position, uint8_t decision, struct casebus_error *err)
{
    struct quarantine_chain chain;
    if (exchange_quarantine_chain(store, &chain, err))
        return -1;
    if ((row->before && neighbour_put(store, row->before, false, row->after, err)) ||
        (row->after && neighbour_put(store, row->after, true, row->before, err)))
        return -1;
    if (!row->before)
        chain.first = row->after;
    if (!row->after)
        chain.last = row->before;
    chain.count -= chain.count > 0;
    row->before = row->after = 0;
    row->decided_position = decided_position;
    row->decision = decision;
    return row_put(store, position, row, err) || chain_put(store, &chain, err) ? -1 : 0;
}

int apply_quarantine_decided(const struct exchange_store *store, uint64_t position,
                             const Casebus__V1__QuarantineDecided *decided, struct casebus_error *err)
{
    struct quarantine_row row;
    int r = exchange_quarantine_get(store, decided->quarantined, &row, err);
    if (r <= 0)
        return r < 0 ? -1 : not_there(decided->quarantined, err);
    if (row.decided_position)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the ledger decides twice about what was refused at entry %llu"),
                         (unsigned long long)decided->quarantined);
    return settle(store, decided->quarantined, &row, position, (uint8_t)decided->decision, err);
}

int apply_quarantine_erased(const struct exchange_store *store, uint64_t position,
                            const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err)
{
    for (size_t i = 0; i < ordered->n_content; i++) {
        struct quarantine_row row;
        uint64_t at = ordered->content[i]->position;
        int r = exchange_quarantine_get(store, at, &row, err);
        if (r < 0 || (r > 0 && !row.decided_position &&
                      settle(store, at, &row, position,
                             CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_DISCARDED, err)))
            return -1;
    }
    return 0;
}

/* ---- what was destroyed there ---- */

int exchange_refused_gone(const struct exchange_store *store, const char *node,
                          const uint8_t digest[DIGEST_SIZE], struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    size_t size = refused_key(key, node, digest);
    int r = store->get(store->self, TABLE_META, bytes_of(key, size), &value, err);
    if (r <= 0)
        return r < 0 ? -1 : GONE_NOT;
    if (value.size != 1 || (value.data[0] != GONE_DISCARDED && value.data[0] != GONE_ORDERED))
        return error_set(err, CASEBUS_DAMAGED, _("a row of what was destroyed in quarantine cannot be read"));
    return value.data[0];
}

/* An order is stronger than a discard. */
int exchange_refused_close(const struct exchange_store *store, const char *node,
                           const uint8_t digest[DIGEST_SIZE], enum exchange_gone gone,
                           struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], value = (uint8_t)gone;
    int before = exchange_refused_gone(store, node, digest, err);
    if (before < 0 || before >= (int)gone)
        return before < 0 ? -1 : 0;
    size_t size = refused_key(key, node, digest);
    return store->put(store->self, TABLE_META, bytes_of(key, size), bytes_of(&value, 1), err);
}
