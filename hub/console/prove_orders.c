/* Orders to destroy. What was destroyed cannot be shown; that it was done by an order, which stands in the
 * ledger, can. */
#include "hub/console/prove.h"

#define ORDERS_MAX 64 /* of one case that are looked at */

struct order_walk {
    const uint8_t *case_id;
    uint64_t ordered[ORDERS_MAX], done[ORDERS_MAX]; /* positions; done 0: not yet */
    size_t n;
};

static int order_visit(void *self, struct bytes key, struct bytes value)
{
    struct order_walk *walk = self;
    struct erasure_row row;
    if (key.size != 8 || erasure_row_decode(value, &row, NULL) ||
        memcmp(row.case_id, walk->case_id, sizeof row.case_id) != 0)
        return 0;
    walk->ordered[walk->n] = get_u64be(key.data);
    walk->done[walk->n++] = row.done_position;
    return walk->n == ORDERS_MAX;
}

static bool order_names(const Casebus__V1__LedgerEntry *entry, uint64_t position)
{
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return false;
    const Casebus__V1__ErasureOrdered *ordered = entry->act->erasure_ordered;
    for (size_t i = 0; i < ordered->n_content; i++)
        if (ordered->content[i]->position == position)
            return true;
    return false;
}

static int order_add(struct proof *proof, uint64_t position, uint64_t ordered, uint64_t done,
                     struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_leaf(proof->reader, ordered, &read, err))
        return -1;
    if (!order_names(read.entry, position))
        return 0;
    if (proof_leaf(proof, ordered, err))
        return -1;
    return done > 0 && done < proof->checkpoint.size ? proof_leaf(proof, done, err) : 0;
}

int proof_orders(struct proof *proof, uint64_t position, const uint8_t case_id[CASE_ID_SIZE],
                 struct casebus_error *err)
{
    struct order_walk walk = {.case_id = case_id};
    if (state_view_walk(proof->reader->state, TABLE_ERASURES, bytes_of("", 0), order_visit, &walk, err) < 0)
        return -1;
    for (size_t i = 0; i < walk.n; i++)
        if (walk.ordered[i] < proof->checkpoint.size &&
            order_add(proof, position, walk.ordered[i], walk.done[i], err))
            return -1;
    return 0;
}
