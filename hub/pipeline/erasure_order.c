/* The writer's part of an erasure: the entries that order it, and the one that says done.
 *
 * The order is one entry, or several that become durable together when it names more than a leaf holds. The
 * words of whoever ordered it are personal data like any other: they are sealed beside the first of them,
 * under a slot of their own. */
#include "hub/pipeline/eraser.h"
#include "hub/pipeline/slots.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define ORDER_BYTES_MAX (JOURNAL_GROUP_MAX / 4) /* the group may hold batches, too */

struct order {
    struct erasure_plan *plans;
    size_t n;
    Casebus__V1__ErasureReason reason;
    const struct act_note *note;
};

struct done {
    const uint64_t *ordered;
    size_t n;
};

/* Whether the plan still knows every entry about the case: the writer may have taken one in since. 1 / 0 / -1
 */
static int plan_is_whole(struct pipeline *pipeline, const struct erasure_plan *plan,
                         struct casebus_error *err)
{
    const struct exchange_store *store = &pipeline->writer.store;
    struct bytes value;
    struct case_row row;
    if (plan->quarantine)
        return 1;
    int r = store->get(store->self, TABLE_CASES, bytes_of(plan->case_id, CASE_ID_SIZE), &value, err);
    if (r <= 0)
        return r < 0 ? -1
                     : error_set(err, CASEBUS_DAMAGED, _("the state does not hold a case of the ledger"));
    if (case_row_decode(value, &row, NULL, 0, err))
        return -1;
    return row.position < plan->scanned;
}

/* Seals the words beside the entry that was added last. */
static int words_seal(struct pipeline *pipeline, struct group *group, const uint8_t subject[DIGEST_SIZE],
                      const char *words, struct casebus_error *err)
{
    struct slot_key slot = {0};
    struct body_seal seal = {0};
    struct bytes item = bytes_of_text(words);
    if (slots_take(pipeline, &slot, err) || body_seal_items(pipeline->writer.crypter, pipeline->origin,
                                                            subject, &item, 1, &group->arena, &seal, err))
        return -1;
    return body_wrap(pipeline->writer.crypter, pipeline->origin, &seal, slot.slot, slot.key, &group->arena,
                     &group->entries[group->n_entries - 1].body, err);
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
}

static int contents_fill(struct group *group, Casebus__V1__ErasureOrdered *ordered,
                         const struct erased_item *items, size_t n, struct casebus_error *err)
{
    Casebus__V1__ErasedContent *contents = arena_alloc(&group->arena, n * sizeof *contents);
    ordered->content = arena_alloc(&group->arena, n * sizeof ordered->content[0]);
    if (!contents || !ordered->content)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        casebus__v1__erased_content__init(&contents[i]);
        contents[i].position = items[i].position;
        contents[i].header = items[i].header;
        contents[i].part_mask = items[i].part_mask;
        ordered->content[i] = &contents[i];
    }
    ordered->n_content = n;
    return 0;
}

static int receivers_fill(struct group *group, Casebus__V1__ErasureOrdered *ordered,
                          struct erasure_plan *plan, struct casebus_error *err)
{
    Casebus__V1__Receiver *receivers =
        arena_alloc(&group->arena, (plan->n_receivers + 1) * sizeof *receivers);
    ordered->receiver = arena_alloc(&group->arena, (plan->n_receivers + 1) * sizeof ordered->receiver[0]);
    if (!receivers || !ordered->receiver)
        return no_memory(err);
    for (size_t i = 0; i < plan->n_receivers; i++) {
        casebus__v1__receiver__init(&receivers[i]);
        receivers[i].node = plan->receivers[i];
        ordered->receiver[i] = &receivers[i];
    }
    ordered->n_receiver = plan->n_receivers;
    return 0;
}

static int records_close(struct pipeline *pipeline, const struct erased_item *items, size_t n,
                         struct casebus_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (exchange_close_record(&pipeline->writer.store, items[i].record_key, err))
            return -1;
    return 0;
}

/* One entry with the contents from @from on. Returns how many it took, or -1. */
static int order_entry(struct pipeline *pipeline, struct group *group, const struct order *order,
                       struct erasure_plan *plan, uint64_t kept_slot, size_t from, struct casebus_error *err)
{
    uint8_t subject[DIGEST_SIZE];
    size_t left = plan->n_items - from, n = left < ERASED_MAX ? left : ERASED_MAX;
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    crypter_random(pipeline->writer.crypter, subject, sizeof subject);
    ordered.reason = order->reason;
    ordered.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    if (!plan->quarantine)
        ordered.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, plan->case_id};
    ordered.slot = plan->slots;
    ordered.n_slot = plan->n_slots;
    ordered.kept_slot = kept_slot;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    if (plan->n_ordered == PLAN_ORDERS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("an order to destroy content names too many entries"));
    plan->ordered[plan->n_ordered++] = group->first_position + group->n_entries;
    if (!group_add_erasure(group))
        return no_memory(err);
    if (contents_fill(group, &ordered, plan->items + from, n, err))
        return -1;
    if (plan->quarantine) { /* one content */
        ordered.content[0]->member = plan->members;
        ordered.content[0]->n_member = plan->n_members;
    }
    if (receivers_fill(group, &ordered, plan, err) || writer_add_act(pipeline, group, &act, err) ||
        (plan->quarantine ? refused_close(&plan->refused, &pipeline->writer.store, order->reason, err)
                          : records_close(pipeline, plan->items + from, n, err)) ||
        (from == 0 && order->note->words[0] && words_seal(pipeline, group, subject, order->note->words, err)))
        return -1;
    return (int)n;
}

/* Whoever has something in quarantine destroyed has decided about it. */
static int discard_write(struct pipeline *pipeline, struct group *group, const struct act_note *note,
                         uint64_t position, struct casebus_error *err)
{
    struct quarantine_row row;
    int r = exchange_quarantine_get(&pipeline->writer.store, position, &row, err);
    if (r <= 0 || row.decided_position)
        return r < 0 ? -1 : 0;
    return quarantine_decided_write(pipeline, group, position,
                                    CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_DISCARDED, note,
                                    err);
}

/* What was refused and never kept (a marked state secret) has no content to destroy: the decision alone. */
struct discard {
    uint64_t position;
    const struct act_note *note;
    bool written;
};

static int empty_discard_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                               struct casebus_error *err)
{
    struct discard *discard = asked->self;
    size_t before = group->n_entries;
    int r = discard_write(pipeline, group, discard->note, discard->position, err);
    discard->written = group->n_entries > before;
    return r;
}

int discard_submit(struct pipeline *pipeline, uint64_t position, const struct act_note *note,
                   struct casebus_error *err)
{
    struct discard discard = {.position = position, .note = note};
    struct asked asked = {.write = empty_discard_write, .self = &discard};
    return writer_ask(pipeline, &asked, err) ? -1 : discard.written;
}

static int plan_write(struct pipeline *pipeline, struct group *group, const struct order *order,
                      struct erasure_plan *plan, struct casebus_error *err)
{
    struct slot_key kept = {0};
    int n;
    if (plan->n_items == 0)
        return 0;
    if ((plan->keeps && slots_take(pipeline, &kept, err)) ||
        (plan->quarantine && discard_write(pipeline, group, order->note, plan->items[0].position, err)))
        return -1;
    for (size_t from = 0; from < plan->n_items; from += (size_t)n)
        if ((n = order_entry(pipeline, group, order, plan, kept.slot, from, err)) < 0)
            return -1;
    for (size_t i = 0; i < plan->n_slots; i++)
        slots_forget(pipeline, plan->slots[i]);
    return 0;
}

static int order_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                       struct casebus_error *err)
{
    struct order *order = asked->self;
    for (size_t i = 0; i < order->n; i++) {
        int whole = order->plans[i].n_items ? plan_is_whole(pipeline, &order->plans[i], err) : 1;
        if (whole < 0)
            return -1;
        if (!whole) {
            asked->result = error_set(&asked->err, CASEBUS_BUSY, _("the case has gained entries meanwhile"));
            return 0;
        }
    }
    for (size_t i = 0; i < order->n; i++)
        if (plan_write(pipeline, group, order, &order->plans[i], err))
            return -1;
    return 0;
}

static int done_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                      struct casebus_error *err)
{
    const struct done *done = asked->self;
    Casebus__V1__ErasureDone entry = CASEBUS__V1__ERASURE_DONE__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    entry.ordered = (uint64_t *)(uintptr_t)done->ordered;
    entry.n_ordered = done->n;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE;
    act.erasure_done = &entry;
    if (!group_add_erasure(group))
        return no_memory(err);
    return writer_add_act(pipeline, group, &act, err);
}

/* Bytes that the plan's entries take at most. */
static size_t plan_bytes(const struct erasure_plan *plan, size_t words_size)
{
    size_t n_entries = (plan->n_items + ERASED_MAX - 1) / ERASED_MAX;
    size_t each = 1024 + plan->n_slots * 10 + plan->n_receivers * (NODE_NAME_MAX + 16);
    return n_entries * each + plan->n_items * 32 + plan->n_members * 4 +
           (n_entries ? 2 * words_size + 1024 : 0);
}

/* How many of the plans one group has room for; at least one. */
static size_t plans_that_fit(const struct erasure_plan *plans, size_t n, const char *words)
{
    size_t size = 0, words_size = strlen(words), fit = 0;
    while (fit < n && (size += plan_bytes(&plans[fit], words_size)) <= ORDER_BYTES_MAX)
        fit++;
    return fit ? fit : 1;
}

int order_submit(struct pipeline *pipeline, struct erasure_plan *plans, size_t n,
                 Casebus__V1__ErasureReason reason, const struct act_note *note, struct casebus_error *err)
{
    for (size_t i = 0; i < n; i++)
        plans[i].n_ordered = 0;
    for (size_t from = 0, fit; from < n; from += fit) {
        fit = plans_that_fit(plans + from, n - from, note->words);
        struct order order = {plans + from, fit, reason, note};
        struct asked asked = {.write = order_write, .self = &order};
        if (writer_ask(pipeline, &asked, err))
            return -1;
    }
    return 0;
}

int done_submit(struct pipeline *pipeline, const uint64_t *ordered, size_t n, struct casebus_error *err)
{
    struct done done = {ordered, n};
    struct asked asked = {.write = done_write, .self = &done};
    return writer_ask(pipeline, &asked, err);
}
