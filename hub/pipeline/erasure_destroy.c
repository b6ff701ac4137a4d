/* What an order in the ledger says is done to the bodies and the vault.
 *
 * All orders that are not done are taken together, so that a body which two of them name is written once,
 * without anything that either destroys. The bodies come first: once they are on disk nothing needs the old
 * slots any more, and these are destroyed last. Done again after a crash, each step finds what is done and
 * leaves it alone: a body that is empty or lies under the slot of what is kept, a slot that is erased. */
#include "hub/pipeline/eraser.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define LEAVES_A_LOOK 4096

/* An order that is not done. */
struct pending {
    uint64_t position;
    uint8_t case_id[CASE_ID_SIZE];
    bool quarantine;
    uint64_t kept_slot;
    uint64_t slots[ERASER_SLOTS_MAX];
    size_t n_slots;
};

struct destroying {
    struct pipeline *pipeline;
    struct pending *orders; /* oldest first */
    size_t n_orders, orders_capacity;
    struct erased_item *items; /* of all orders, by position, each once */
    size_t n_items, items_capacity;
    uint64_t *positions; /* of the bodies to be written */
    size_t n_positions, positions_capacity;
    uint64_t *slots; /* of the vault, to be erased */
    size_t n_slots, slots_capacity;
    const struct pending *looking; /* for */
    uint64_t old_slot;             /* whose key is at hand; 0: none */
    uint8_t old_key[KEY_SIZE];
    uint64_t new_slot;
    uint8_t new_key[KEY_SIZE];
    struct casebus_error *err;
};

static int grown(void **itemsp, size_t n, size_t *capacity, size_t size, struct casebus_error *err)
{
    if (n < *capacity)
        return 0;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *items = realloc(*itemsp, wanted * size);
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    *itemsp = items;
    *capacity = wanted;
    return 0;
}

/* ---- gathering ---- */

static int item_add(struct destroying *destroying, const Casebus__V1__ErasedContent *content)
{
    if (grown((void **)&destroying->items, destroying->n_items, &destroying->items_capacity,
              sizeof *destroying->items, destroying->err))
        return -1;
    destroying->items[destroying->n_items++] =
        (struct erased_item){content->position, content->part_mask, content->header != 0, {0}};
    return 0;
}

static int order_add(struct destroying *destroying, uint64_t position,
                     const Casebus__V1__ErasureOrdered *ordered)
{
    if (grown((void **)&destroying->orders, destroying->n_orders, &destroying->orders_capacity,
              sizeof *destroying->orders, destroying->err))
        return -1;
    struct pending *order = &destroying->orders[destroying->n_orders++];
    *order = (struct pending){.position = position,
                              .quarantine = ordered->case_id.len == 0,
                              .kept_slot = ordered->kept_slot,
                              .n_slots = ordered->n_slot};
    if (!order->quarantine)
        memcpy(order->case_id, ordered->case_id.data, CASE_ID_SIZE);
    memcpy(order->slots, ordered->slot, ordered->n_slot * sizeof order->slots[0]);
    for (size_t i = 0; i < ordered->n_content; i++)
        if (item_add(destroying, ordered->content[i]))
            return -1;
    return 0;
}

static int order_read(struct destroying *destroying, uint64_t position)
{
    struct eraser *eraser = destroying->pipeline->eraser;
    struct bytes leaf;
    arena_reset(&eraser->arena);
    if (ledger_view_leaf(eraser->ledger, position, &leaf, destroying->err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &eraser->arena, destroying->err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return error_set(destroying->err, CASEBUS_DAMAGED,
                         _("the state says that entry %llu orders an erasure, but it does not"),
                         (unsigned long long)position);
    return order_add(destroying, position, entry->act->erasure_ordered);
}

static int on_row(void *self, struct bytes key, struct bytes value)
{
    struct destroying *destroying = self;
    struct erasure_row row;
    if (key.size != 8 || erasure_row_decode(value, &row, destroying->err))
        return -1;
    if (row.done_position)
        return 0;
    return order_read(destroying, get_u64be(key.data)) ? -1 : 0;
}

static int by_position(const void *a, const void *b)
{
    const struct erased_item *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* What several orders say about one entry becomes one. */
static void items_merge(struct destroying *destroying)
{
    size_t n = 0;
    if (destroying->n_items > 0)
        qsort(destroying->items, destroying->n_items, sizeof *destroying->items, by_position);
    for (size_t i = 0; i < destroying->n_items; i++) {
        struct erased_item *last = n > 0 ? &destroying->items[n - 1] : NULL;
        if (last && last->position == destroying->items[i].position) {
            last->part_mask |= destroying->items[i].part_mask;
            last->header |= destroying->items[i].header;
        } else {
            destroying->items[n++] = destroying->items[i];
        }
    }
    destroying->n_items = n;
}

/* ---- which bodies ---- */

static int position_add(struct destroying *destroying, uint64_t position)
{
    if (grown((void **)&destroying->positions, destroying->n_positions, &destroying->positions_capacity,
              sizeof *destroying->positions, destroying->err))
        return -1;
    destroying->positions[destroying->n_positions++] = position;
    return 0;
}

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct destroying *destroying = self;
    struct eraser *eraser = destroying->pipeline->eraser;
    if (!leaf_names_case(leaf, destroying->looking->case_id))
        return 0;
    arena_reset(&eraser->arena);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &eraser->arena, destroying->err);
    if (!entry)
        return -1;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT
               ? position_add(destroying, position)
               : 0;
}

/* Where something is kept, all bodies of the case get another slot, since the old one goes. */
static int kept_find(struct destroying *destroying, const struct pending *order)
{
    struct pipeline *pipeline = destroying->pipeline;
    destroying->looking = order;
    for (uint64_t position = case_opened_at(order->case_id); position < order->position;) {
        uint64_t left = order->position - position;
        size_t n = left < LEAVES_A_LOOK ? (size_t)left : LEAVES_A_LOOK;
        if (eraser_breathe(pipeline, destroying->err) ||
            ledger_view_leaves(pipeline->eraser->ledger, position, n, on_leaf, destroying, destroying->err))
            return -1;
        position += n;
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int bodies_find(struct destroying *destroying)
{
    for (size_t i = 0; i < destroying->n_items; i++)
        if (position_add(destroying, destroying->items[i].position))
            return -1;
    for (size_t i = 0; i < destroying->n_orders; i++)
        if (destroying->orders[i].kept_slot && kept_find(destroying, &destroying->orders[i]))
            return -1;
    size_t n = 0;
    if (destroying->n_positions > 0)
        qsort(destroying->positions, destroying->n_positions, sizeof *destroying->positions, by_number);
    for (size_t i = 0; i < destroying->n_positions; i++)
        if (n == 0 || destroying->positions[n - 1] != destroying->positions[i])
            destroying->positions[n++] = destroying->positions[i];
    destroying->n_positions = n;
    return 0;
}

/* ---- overwriting ---- */

static int key_at_hand(struct destroying *destroying, uint64_t slot, uint64_t *at_hand, uint8_t key[KEY_SIZE])
{
    if (*at_hand == slot)
        return 0;
    *at_hand = 0;
    if (vault_key(destroying->pipeline->options.vault, slot, key, destroying->err))
        return -1;
    *at_hand = slot;
    return 0;
}

static const struct erased_item *item_find(const struct destroying *destroying, uint64_t position)
{
    const struct erased_item wanted = {.position = position};
    return destroying->n_items ? bsearch(&wanted, destroying->items, destroying->n_items,
                                         sizeof *destroying->items, by_position)
                               : NULL;
}

/* The slot of what is kept of the case: the newest order has the last word. What an older one that waits,
 * too, would keep, it may destroy. */
static uint64_t kept_slot(const struct destroying *destroying, const Casebus__V1__EventEntry *event)
{
    for (size_t i = destroying->n_orders; i-- > 0;)
        if (!destroying->orders[i].quarantine &&
            memcmp(destroying->orders[i].case_id, event->case_id.data, CASE_ID_SIZE) == 0)
            return destroying->orders[i].kept_slot;
    return 0;
}

static int event_empty(struct destroying *destroying, uint64_t position, const Casebus__V1__EventEntry *event,
                       const Casebus__V1__SealedBody *body, struct bytes *left)
{
    struct pipeline *pipeline = destroying->pipeline;
    Casebus__V1__EventHeader *header;
    Casebus__V1__EventSkeleton skeleton;
    ProtobufCBinaryData aliases[ALIASES_MAX];
    struct exchange_event statement;
    struct bytes bytes;
    if (body->content_digest.len != DIGEST_SIZE)
        return error_set(destroying->err, CASEBUS_DAMAGED,
                         _("the sealed body carries no digest of its content"));
    if (plan_header(pipeline, position, event, body, &header, &bytes, destroying->err) != 1 ||
        exchange_event_init(&statement, pipeline->eraser->crypter, pipeline->content_key, header, bytes,
                            body->content_digest.data, &pipeline->eraser->arena, destroying->err))
        return -1;
    exchange_event_skeleton(&statement, &skeleton, aliases);
    return body_emptied(body, &skeleton, &pipeline->eraser->arena, left, destroying->err) ? -1 : 1;
}

/* Whether something is still there that the orders destroy. */
static bool loses(const Casebus__V1__SealedBody *body, const struct erased_item *item)
{
    for (size_t i = 1; item && i < body->n_item && i <= 32; i++)
        if ((item->part_mask >> (i - 1) & 1) && !body_item_erased(body, i))
            return true;
    return false;
}

static int event_reseal(struct destroying *destroying, uint64_t position,
                        const Casebus__V1__EventEntry *event, const Casebus__V1__SealedBody *body,
                        const struct erased_item *item, struct bytes *left)
{
    struct eraser *eraser = destroying->pipeline->eraser;
    uint64_t slot = kept_slot(destroying, event);
    if (body->slot == slot && !loses(body, item))
        return 0;
    if (slot == 0)
        return error_set(destroying->err, CASEBUS_DAMAGED,
                         _("an order keeps parts, but names no slot for them"));
    if (key_at_hand(destroying, body->slot, &destroying->old_slot, destroying->old_key) ||
        key_at_hand(destroying, slot, &destroying->new_slot, destroying->new_key) ||
        body_without(eraser->crypter, ledger_origin_at(destroying->pipeline->options.ledger, position),
                     event->event_hash.data, body, destroying->old_key,
                     item ? (uint64_t)item->part_mask << 1 : 0, slot, destroying->new_key, &eraser->arena,
                     left, destroying->err))
        return -1;
    return 1;
}

static int on_body(void *self, uint64_t position, struct bytes leaf, struct bytes sealed, struct bytes *left,
                   struct casebus_error *err)
{
    struct destroying *destroying = self;
    struct eraser *eraser = destroying->pipeline->eraser;
    const struct erased_item *item = item_find(destroying, position);
    arena_reset(&eraser->arena);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &eraser->arena, err);
    const Casebus__V1__SealedBody *body = entry ? body_decode(sealed, &eraser->arena, err) : NULL;
    if (!body)
        return -1;
    if (body_item_erased(body, 0))
        return 0;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return body_emptied(body, NULL, &eraser->arena, left, err) ? -1 : 1;
    return item && item->header ? event_empty(destroying, position, entry->event, body, left)
                                : event_reseal(destroying, position, entry->event, body, item, left);
}

static int bodies_write(struct destroying *destroying)
{
    struct pipeline *pipeline = destroying->pipeline;
    unsigned tries = 0;
    while (ledger_rewrite_bodies(pipeline->options.ledger, destroying->positions, destroying->n_positions,
                                 on_body, destroying, destroying->err))
        if (destroying->err->code != CASEBUS_DISK_FULL ||
            !pipeline_wait_for_room(pipeline, &tries, "ERASURE-FULL", destroying->err))
            return -1;
    return 0;
}

/* ---- the keys ---- */

/* Whether the order @by, or one after it, keeps something under @slot. What an older one would have kept
 * there went with @by. */
static bool slot_is_kept(const struct destroying *destroying, uint64_t slot, const struct pending *by)
{
    for (const struct pending *order = by; order < destroying->orders + destroying->n_orders; order++)
        if (order->kept_slot == slot)
            return true;
    return false;
}

static int slot_add(struct destroying *destroying, uint64_t slot)
{
    if (grown((void **)&destroying->slots, destroying->n_slots, &destroying->slots_capacity,
              sizeof *destroying->slots, destroying->err))
        return -1;
    destroying->slots[destroying->n_slots++] = slot;
    return 0;
}

static int slots_destroy(struct destroying *destroying)
{
    struct eraser *eraser = destroying->pipeline->eraser;
    secret_clear(eraser->slot_key, sizeof eraser->slot_key);
    eraser->slot = 0;
    for (size_t i = 0; i < destroying->n_orders; i++) {
        const struct pending *order = &destroying->orders[i];
        for (size_t k = 0; k < order->n_slots; k++)
            if (!slot_is_kept(destroying, order->slots[k], order) && slot_add(destroying, order->slots[k]))
                return -1;
    }
    return vault_erase_slots(destroying->pipeline->options.vault, destroying->slots, destroying->n_slots,
                             destroying->err);
}

/* ---- the whole ---- */

static int destroy(struct destroying *destroying, uint64_t **donep)
{
    struct pipeline *pipeline = destroying->pipeline;
    int r = state_view_walk(pipeline->eraser->state, TABLE_ERASURES, bytes_of("", 0), on_row, destroying,
                            destroying->err);
    if (r)
        return -1;
    items_merge(destroying);
    if (bodies_find(destroying) || (destroying->n_positions && bodies_write(destroying)) ||
        slots_destroy(destroying))
        return -1;
    uint64_t *done = *donep = malloc((destroying->n_orders + 1) * sizeof *done);
    if (!done)
        return error_set(destroying->err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    for (size_t i = 0; i < destroying->n_orders; i++)
        done[i] = destroying->orders[i].position;
    return (int)destroying->n_orders;
}

int destroy_pending(struct pipeline *pipeline, uint64_t **donep, struct casebus_error *err)
{
    struct destroying destroying = {.pipeline = pipeline, .err = err};
    int n = destroy(&destroying, donep);
    secret_clear(destroying.old_key, sizeof destroying.old_key);
    secret_clear(destroying.new_key, sizeof destroying.new_key);
    free(destroying.orders);
    free(destroying.items);
    free(destroying.positions);
    free(destroying.slots);
    return n;
}
