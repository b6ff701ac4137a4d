/* Erasures: from the group that orders one on, nothing of its content is delivered, wherever it still lies;
 * and the order itself is delivered, with a list of what this receiver had got.
 *
 * What is ordered is remembered here as long as bodies on disk or groups in memory may still have it. */
#include "hub/bus/internal.h"
#include "hub/exchange/tables.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <stdlib.h>

struct withheld {
    uint64_t position;
    uint64_t order;
    uint32_t part_mask;
    bool header;
    bool done;
};

struct withheld_set {
    struct withheld *items; /* by position */
    size_t n, capacity;
};

static int by_position(const void *a, const void *b)
{
    const struct withheld *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
}

static int withhold(struct bus *bus, uint64_t position, const Casebus__V1__ErasureOrdered *ordered,
                    struct casebus_error *err)
{
    struct withheld_set *set = bus->withheld;
    if (!set && !(set = bus->withheld = calloc(1, sizeof *set)))
        return no_memory(err);
    if (set->n + ordered->n_content > set->capacity) {
        size_t capacity = 2 * set->capacity + ordered->n_content;
        struct withheld *items = realloc(set->items, capacity * sizeof *items);
        if (!items)
            return no_memory(err);
        set->items = items;
        set->capacity = capacity;
    }
    for (size_t i = 0; i < ordered->n_content; i++)
        set->items[set->n++] =
            (struct withheld){ordered->content[i]->position, position, ordered->content[i]->part_mask,
                              ordered->content[i]->header != 0, false};
    if (set->n > 0)
        qsort(set->items, set->n, sizeof *set->items, by_position);
    return 0;
}

static void mark_done(struct bus *bus, const Casebus__V1__ErasureDone *done)
{
    struct withheld_set *set = bus->withheld;
    for (size_t i = 0; set && i < set->n; i++)
        for (size_t k = 0; k < done->n_ordered; k++)
            set->items[i].done |= done->ordered[k] == set->items[i].order;
}

/* What is destroyed on disk may still be in a group in memory: the keeper's word comes by itself. */
void erasures_let_go(struct bus *bus)
{
    struct withheld_set *set = bus->withheld;
    uint64_t memory_from = bus->n_tail ? bus->tail[0]->first_position : UINT64_MAX;
    size_t n = 0;
    for (size_t i = 0; set && i < set->n; i++)
        if (!set->items[i].done || set->items[i].position >= memory_from)
            set->items[n++] = set->items[i];
    if (set)
        set->n = n;
}

bool erasures_withhold(const struct bus *bus, uint64_t position, uint32_t *part_mask)
{
    const struct withheld_set *set = bus->withheld;
    bool header = false;
    size_t low = 0, high = set ? set->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    for (; set && low < set->n && set->items[low].position == position; low++) {
        header |= set->items[low].header;
        *part_mask &= ~set->items[low].part_mask;
    }
    if (header)
        *part_mask = 0;
    return header;
}

static Casebus__V1__ActEntry *act_read(struct bus *bus, struct bytes leaf, struct casebus_error *err)
{
    Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bus->arena, err);
    if (!entry)
        return NULL;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        return entry->act;
    error_set(err, CASEBUS_DAMAGED, _("an entry about an erasure is no act"));
    return NULL;
}

int erasures_on_group(struct bus *bus, const struct group *group, struct casebus_error *err)
{
    for (size_t i = 0; i < group->n_erasures; i++) {
        arena_reset(&bus->arena);
        const Casebus__V1__ActEntry *act = act_read(bus, group_leaf(group, group->erasures[i]), err);
        if (!act)
            return -1;
        if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED) {
            if (withhold(bus, group->erasures[i], act->erasure_ordered, err))
                return -1;
        } else if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE) {
            /* A snapshot from before would show bodies whose key is gone. */
            if (ledger_view_renew(bus->ledger_view, err) || state_view_renew(bus->state_view, err))
                return -1;
            mark_done(bus, act->erasure_done);
        }
    }
    return 0;
}

/* ---- what is pending at the start ---- */

struct loading {
    struct bus *bus;
    struct casebus_error *err;
};

static int on_row(void *self, struct bytes key, struct bytes value)
{
    struct loading *loading = self;
    struct bus *bus = loading->bus;
    struct erasure_row row;
    struct bytes leaf;
    if (key.size != 8 || erasure_row_decode(value, &row, loading->err))
        return -1;
    if (row.done_position)
        return 0;
    uint64_t position = get_u64be(key.data);
    arena_reset(&bus->arena);
    if (ledger_view_leaf(bus->ledger_view, position, &leaf, loading->err))
        return -1;
    const Casebus__V1__ActEntry *act = act_read(bus, leaf, loading->err);
    if (!act)
        return -1;
    return act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED
               ? withhold(bus, position, act->erasure_ordered, loading->err)
               : 0;
}

int erasures_open(struct bus *bus, struct casebus_error *err)
{
    struct loading loading = {bus, err};
    return state_view_walk(bus->state_view, TABLE_ERASURES, bytes_of("", 0), on_row, &loading, err);
}

void erasures_close(struct bus *bus)
{
    if (bus->withheld)
        free(bus->withheld->items);
    free(bus->withheld);
    bus->withheld = NULL;
}

/* ---- the delivery of an order ---- */

static uint32_t *indexes_of(struct arena *arena, uint32_t mask, size_t *n)
{
    uint32_t *indexes = arena_alloc(arena, 32 * sizeof *indexes);
    *n = 0;
    for (uint32_t bit = 0; indexes && bit < 32; bit++)
        if (mask >> bit & 1)
            indexes[(*n)++] = bit;
    return indexes;
}

/* What @node had got of the entry at @content->position. 0 or -1. */
static int list_content(struct bus *bus, const Casebus__V1__ErasedContent *content, const char *node,
                        Casebus__V1__Erasure *erasure, struct casebus_error *err)
{
    struct bytes leaf;
    if (receipts_leaf(bus, content->position, &leaf, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bus->arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return 0; /* nobody received it */
    for (size_t i = 0; i < entry->event->n_receiver; i++) {
        const Casebus__V1__Receiver *receiver = entry->event->receiver[i];
        uint32_t mask = receiver->part_mask & content->part_mask;
        if (strcmp(receiver->node, node) != 0 || (!content->header && !mask))
            continue;
        Casebus__V1__ErasedDelivery *erased = arena_alloc(&bus->arena, sizeof *erased);
        Casebus__V1__DeliveryId *id = arena_alloc(&bus->arena, sizeof *id);
        if (!erased || !id)
            return no_memory(err);
        casebus__v1__erased_delivery__init(erased);
        casebus__v1__delivery_id__init(id);
        id->position = content->position;
        id->ordinal = (uint32_t)i;
        erased->id = id;
        erased->event_hash = entry->event->event_hash;
        erased->header = content->header;
        erased->part = indexes_of(&bus->arena, mask, &erased->n_part);
        if (!erased->part)
            return no_memory(err);
        erasure->delivery[erasure->n_delivery++] = erased;
        return 0;
    }
    return 0;
}

Casebus__V1__Delivery *erasures_delivery(struct bus *bus, uint64_t position, uint32_t ordinal,
                                         struct casebus_error *err)
{
    struct bytes leaf;
    if (receipts_leaf(bus, position, &leaf, err))
        return NULL;
    uint8_t *copy = arena_copy(&bus->arena, leaf.data, leaf.size);
    Casebus__V1__Delivery *delivery = arena_alloc(&bus->arena, sizeof *delivery);
    Casebus__V1__Erasure *erasure = arena_alloc(&bus->arena, sizeof *erasure);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bus->arena, err);
    if (!entry)
        return NULL;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED ||
        ordinal >= entry->act->erasure_ordered->n_receiver) {
        error_set(err, CASEBUS_DAMAGED, _("an inbox names an entry that was not meant for it"));
        return NULL;
    }
    const Casebus__V1__ErasureOrdered *ordered = entry->act->erasure_ordered;
    Casebus__V1__ErasedDelivery **list = arena_alloc(&bus->arena, (ordered->n_content + 1) * sizeof(*list));
    if (!copy || !delivery || !erasure || !list) {
        no_memory(err);
        return NULL;
    }
    casebus__v1__delivery__init(delivery);
    casebus__v1__erasure__init(erasure);
    erasure->entry = (ProtobufCBinaryData){leaf.size, copy};
    erasure->delivery = list;
    for (size_t i = 0; i < ordered->n_content; i++)
        if (list_content(bus, ordered->content[i], ordered->receiver[ordinal]->node, erasure, err))
            return NULL;
    delivery->hub_time_us = entry->hub_time_us;
    delivery->erasure = erasure;
    return delivery;
}

int erasures_ordinal(struct bus *bus, const struct group *group, size_t index, const char *node,
                     uint32_t *ordinal, struct casebus_error *err)
{
    const Casebus__V1__ActEntry *act = act_read(bus, group_leaf(group, group->erasures[index]), err);
    if (!act)
        return -1;
    for (size_t i = 0;
         act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED && i < act->erasure_ordered->n_receiver;
         i++)
        if (strcmp(act->erasure_ordered->receiver[i]->node, node) == 0) {
            *ordinal = (uint32_t)i;
            return 1;
        }
    return 0;
}
