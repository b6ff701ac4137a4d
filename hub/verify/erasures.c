/* Content may be gone when an entry orders its erasure, and that entry comes later. So what is missing and
 * what was ordered are gathered on the way and laid beside each other at the end: nothing is missing without
 * an order, and nothing that is told to be done is still there. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdlib.h>

static int erasure_add(struct verify *verify, const Casebus__V1__ErasedContent *content,
                       struct casebus_error *err)
{
    if (verify_grow((void **)&verify->erasures, verify->n_erasures, sizeof *verify->erasures, err))
        return -1;
    verify->erasures[verify->n_erasures++] = (struct erasure){.ordered = verify->position,
                                                              .position = content->position,
                                                              .header = content->header,
                                                              .part_mask = content->part_mask};
    return 0;
}

int verify_ordered(struct verify *verify, const Casebus__V1__ErasureOrdered *ordered,
                   struct casebus_error *err)
{
    if (ordered->reason == CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_UNSPECIFIED)
        return error_set(err, CASEBUS_MISSING_FIELD, _("an erasure is ordered without a reason"));
    for (size_t i = 0; i < ordered->n_content; i++) {
        const Casebus__V1__ErasedContent *content = ordered->content[i];
        if (content->position >= verify->position ||
            (i > 0 && content->position <= ordered->content[i - 1]->position))
            return error_set(err, CASEBUS_DAMAGED,
                             _("the erasure names entry %llu, which comes later or stands out of order"),
                             (unsigned long long)content->position);
        if (erasure_add(verify, content, err))
            return -1;
    }
    for (size_t i = 0; i < ordered->n_slot; i++) {
        if (verify_grow((void **)&verify->slots, verify->n_slots, sizeof *verify->slots, err))
            return -1;
        verify->slots[verify->n_slots++] =
            (struct erased_slot){.ordered = verify->position, .slot = ordered->slot[i]};
    }
    verify->result->orders++;
    return 0;
}

static bool order_known(const struct verify *verify, uint64_t position)
{
    size_t low = 0, high = verify->n_erasures;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (verify->erasures[middle].ordered < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < verify->n_erasures && verify->erasures[low].ordered == position;
}

int verify_done(struct verify *verify, const Casebus__V1__ErasureDone *done, struct casebus_error *err)
{
    for (size_t i = 0; i < done->n_ordered; i++) {
        if (!order_known(verify, done->ordered[i]))
            return error_set(err, CASEBUS_DAMAGED,
                             _("it says that entry %llu is done, which orders no erasure"),
                             (unsigned long long)done->ordered[i]);
        if (verify_grow((void **)&verify->done, verify->n_done, sizeof *verify->done, err))
            return -1;
        verify->done[verify->n_done++] = done->ordered[i];
    }
    return 0;
}

/* ---- at the end ---- */

static int by_position(const void *a, const void *b)
{
    const struct erasure *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->ordered < y->ordered ? -1 : x->ordered > y->ordered;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void not_ordered(struct verify *verify, const struct missing *missing)
{
    struct casebus_error err = {0};
    if (missing->slot)
        error_set(&err, CASEBUS_NOT_FOUND,
                  _("the key of its content in slot %llu was erased, and no entry orders that"),
                  (unsigned long long)missing->slot);
    else if (missing->whole)
        error_set(&err, CASEBUS_DAMAGED, _("its content is missing, and no entry says why"));
    else
        error_set(&err, CASEBUS_DAMAGED, _("a part of its content is missing, and no entry says why"));
    fault_note(&verify->fault, missing->position, RANK_END, &err);
}

/* What all orders together allow to be missing of one entry. @next walks with the missing ones. */
static struct erasure allowed(const struct verify *verify, uint64_t position, size_t *next)
{
    struct erasure sum = {.position = position};
    while (*next < verify->n_erasures && verify->erasures[*next].position < position)
        ++*next;
    for (size_t i = *next; i < verify->n_erasures && verify->erasures[i].position == position; i++) {
        sum.header |= verify->erasures[i].header;
        sum.part_mask |= verify->erasures[i].part_mask;
    }
    return sum;
}

/* The first that no order names; NULL when there is none. */
static const struct missing *missing_check(struct verify *verify)
{
    size_t next = 0;
    if (verify->n_erasures)
        qsort(verify->erasures, verify->n_erasures, sizeof *verify->erasures, by_position);
    verify->result->erased = 0;
    for (size_t i = 0; i < verify->n_missing; i++) {
        const struct missing *missing = &verify->missing[i];
        struct erasure sum = allowed(verify, missing->position, &next);
        if ((missing->header && !sum.header) || (missing->part_mask & ~sum.part_mask))
            return missing;
        verify->result->erased++;
    }
    return NULL;
}

/* ---- what is told to be done ---- */

/* What is missing of the entry now. 1: something, 0: nothing or it cannot be told, -1. */
static int missing_now(struct verify *verify, uint64_t position, struct missing *missing,
                       struct casebus_error *err)
{
    struct bytes leaf;
    struct scanner *scanner = &verify->scanner;
    struct casebus_error why = {0};
    if (scanner_refresh(scanner, err))
        return -1;
    arena_reset(&scanner->arena);
    if (ledger_view_leaf(scanner->view, position, &leaf, &why))
        return 0;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &scanner->arena, &why);
    return entry &&
           body_check(scanner, position, verify_origin_at(verify, position), entry, missing, &why) == 0;
}

static const struct missing *missing_find(const struct verify *verify, uint64_t position)
{
    size_t low = 0, high = verify->n_missing;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (verify->missing[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < verify->n_missing && verify->missing[low].position == position ? &verify->missing[low]
                                                                                : NULL;
}

/* 1, 0 or -1. It may have been there when the body was read, by this run or an earlier one. */
static int destroyed(struct verify *verify, const struct erasure *erasure, struct casebus_error *err)
{
    struct missing now;
    const struct missing *missing = missing_find(verify, erasure->position);
    if (!missing || (erasure->header && !missing->header) || (erasure->part_mask & ~missing->part_mask)) {
        int r = missing_now(verify, erasure->position, &now, err);
        if (r <= 0)
            return r;
        missing = &now;
    }
    return missing->whole ||
           ((!erasure->header || missing->header) && (erasure->part_mask & ~missing->part_mask) == 0);
}

static bool is_done(const struct verify *verify, uint64_t ordered)
{
    return verify->n_done &&
           bsearch(&ordered, verify->done, verify->n_done, sizeof *verify->done, by_number) != NULL;
}

static int contents_check(struct verify *verify, struct casebus_error *err)
{
    for (size_t i = 0; i < verify->n_erasures; i++) {
        const struct erasure *erasure = &verify->erasures[i];
        struct casebus_error why = {0};
        int r = is_done(verify, erasure->ordered) ? destroyed(verify, erasure, err) : 1;
        if (r < 0)
            return -1;
        if (r == 1)
            continue;
        error_set(&why, CASEBUS_DAMAGED,
                  _("its content is still there, although the erasure that entry %llu orders is told to be "
                    "done"),
                  (unsigned long long)erasure->ordered);
        fault_note(&verify->fault, erasure->position, RANK_END, &why);
        return 0; /* they are in the order of positions */
    }
    return 0;
}

static void slots_check(struct verify *verify)
{
    for (size_t i = 0; i < verify->n_slots; i++) {
        const struct erased_slot *erased = &verify->slots[i];
        struct casebus_error err = {0};
        uint8_t key[KEY_SIZE];
        if (!is_done(verify, erased->ordered))
            continue;
        int r = vault_key(verify->options->vault, erased->slot, key, &err);
        secret_clear(key, sizeof key);
        if (r && (err.code == CASEBUS_NOT_FOUND || err.code == CASEBUS_ERASED))
            continue;
        error_set(&err, CASEBUS_DAMAGED,
                  _("it orders that the key in slot %llu is destroyed and is told to be done, but the vault "
                    "does not say so"),
                  (unsigned long long)erased->slot);
        fault_note(&verify->fault, erased->ordered, RANK_END, &err);
    }
}

/* ---- orders that the follower has not met ---- */

/* What does not hold there is no matter: orders only tell which of two faults is the first. */
static int on_leaf_behind(void *self, uint64_t position, struct bytes leaf)
{
    struct verify *verify = self;
    struct casebus_error err = {0};
    arena_reset(&verify->scanner.arena);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &verify->scanner.arena, &err);
    verify->position = position;
    if (entry && entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        verify_ordered(verify, entry->act->erasure_ordered, &err);
    return 0;
}

static int orders_gather(struct verify *verify, uint64_t from, struct casebus_error *err)
{
    if (ledger_view_renew(verify->scanner.view, err))
        return -1;
    uint64_t size = ledger_view_size(verify->scanner.view);
    for (uint64_t at = from; at < size; at += verify->chunk_size) {
        struct casebus_error ignored;
        size_t n = (size_t)(size - at < verify->chunk_size ? size - at : verify->chunk_size);
        if (scanner_refresh(&verify->scanner, err))
            return -1;
        ledger_view_leaves(verify->scanner.view, at, n, on_leaf_behind, verify, &ignored);
    }
    return 0;
}

/* An order may stand behind the fault, or behind the end that the ledger had when this run began. */
int verify_erasures(struct verify *verify, struct casebus_error *err)
{
    bool whole = !verify->fault.set;
    uint64_t n_orders = verify->result->orders;
    const struct missing *first;
    if (!verify->options->vault)
        return 0;
    if (verify->n_done)
        qsort(verify->done, verify->n_done, sizeof *verify->done, by_number);
    if (missing_check(verify) &&
        orders_gather(verify, whole ? verify->size : verify->fault.position + 1, err))
        return -1;
    verify->result->orders = n_orders;
    if ((first = missing_check(verify)))
        not_ordered(verify, first);
    if (whole && contents_check(verify, err))
        return -1;
    if (whole)
        slots_check(verify);
    return 0;
}
