/* Bodies that were overwritten at the hub since the last run, found by the acts that say so. Where an order
 * kept something of a case, all bodies of it were sealed anew under another slot, since the old one is gone.
 * The body as the hub has it now takes the place of the one that was copied then. */
#include "hub/backup/backup.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <string.h>

#define ROUND_ENTRIES 4096

struct erased {
    struct ledger *to;
    struct ledger_view *view; /* of the hub's ledger */
    struct arena arena, ordered;
    uint64_t copied;
    uint64_t *replaced;
};

static const Casebus__V1__ActEntry *act_at(struct erased *erased, uint64_t position, struct arena *arena,
                                           struct casebus_error *err)
{
    struct bytes leaf;
    arena_reset(arena);
    if (ledger_view_leaf(erased->view, position, &leaf, err))
        return NULL;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, err);
    if (!entry)
        return NULL;
    static const Casebus__V1__ActEntry none = CASEBUS__V1__ACT_ENTRY__INIT;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ? entry->act : &none;
}

/* 1: the copy has this body already. */
static int body_same(struct erased *erased, uint64_t position, struct bytes body, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct bytes old;
    if (ledger_view_open(&view, erased->to, err))
        return -1;
    int r = ledger_view_body(view, position, &old, err);
    if (!r)
        r = old.size == body.size && (!body.size || memcmp(old.data, body.data, body.size) == 0);
    ledger_view_close(view);
    return r;
}

static int body_replace(struct erased *erased, uint64_t position, struct casebus_error *err)
{
    struct bytes body;
    if (position >= erased->copied)
        return 0;
    if (ledger_view_body(erased->view, position, &body, err))
        return -1;
    int same = body_same(erased, position, body, err);
    if (same)
        return same < 0 ? -1 : 0;
    if (ledger_replace_body(erased->to, position, body, err))
        return -1;
    ++*erased->replaced;
    return 0;
}

/* Every entry about the case before the order: its id begins with the position at which it was opened. */
static int kept_follow(struct erased *erased, uint64_t position, const Casebus__V1__ErasureOrdered *ordered,
                       struct casebus_error *err)
{
    uint8_t case_id[CASE_ID_SIZE];
    if (ordered->case_id.len != CASE_ID_SIZE)
        return 0;
    memcpy(case_id, ordered->case_id.data, CASE_ID_SIZE);
    for (uint64_t at = get_u64be(case_id); at < position && at < erased->copied; at++) {
        struct bytes leaf;
        if (ledger_view_leaf(erased->view, at, &leaf, err))
            return -1;
        if (memmem(leaf.data, leaf.size, case_id, CASE_ID_SIZE) && body_replace(erased, at, err))
            return -1;
    }
    return 0;
}

static int order_follow(struct erased *erased, uint64_t position, struct casebus_error *err)
{
    const Casebus__V1__ActEntry *act = act_at(erased, position, &erased->ordered, err);
    if (!act)
        return -1;
    if (act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu is not an order to erase"),
                         (unsigned long long)position);
    const Casebus__V1__ErasureOrdered *ordered = act->erasure_ordered;
    for (size_t i = 0; i < ordered->n_content; i++)
        if (body_replace(erased, ordered->content[i]->position, err))
            return -1;
    return ordered->kept_slot ? kept_follow(erased, position, ordered, err) : 0;
}

static int entry_look(struct erased *erased, uint64_t position, struct casebus_error *err)
{
    const Casebus__V1__ActEntry *act = act_at(erased, position, &erased->arena, err);
    if (!act)
        return -1;
    if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED) /* it may be under way */
        return order_follow(erased, position, err);
    if (act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE)
        return 0;
    for (size_t i = 0; i < act->erasure_done->n_ordered; i++)
        if (order_follow(erased, act->erasure_done->ordered[i], err))
            return -1;
    return 0;
}

int erased_copy(struct ledger *to, struct ledger *from, uint64_t first, uint64_t end, uint64_t copied,
                uint64_t *replaced, struct casebus_error *err)
{
    struct erased erased = {.to = to, .copied = copied, .replaced = replaced};
    if (ledger_view_open(&erased.view, from, err))
        return -1;
    arena_init(&erased.arena, 64 * 1024, 16 * 1024 * 1024);
    arena_init(&erased.ordered, 64 * 1024, 16 * 1024 * 1024);
    int r = 0;
    if (end > ledger_view_size(erased.view))
        end = ledger_view_size(erased.view);
    for (uint64_t position = first; !r && position < end; position++) {
        r = entry_look(&erased, position, err);
        if (!r && position % ROUND_ENTRIES == 0)
            r = ledger_view_renew(erased.view, err);
    }
    arena_deinit(&erased.ordered);
    arena_deinit(&erased.arena);
    ledger_view_close(erased.view);
    return r;
}
