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
    if (missing->key_gone)
        error_set(&err, CASEBUS_NOT_FOUND,
                  _("the key of its content in slot %llu was erased, and no entry orders that"),
                  (unsigned long long)missing->slot);
    else if (missing->slot == 0)
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
        sum.ordered = verify->erasures[i].ordered;
    }
    return sum;
}

static void missing_check(struct verify *verify)
{
    size_t next = 0;
    for (size_t i = 0; i < verify->n_missing; i++) {
        const struct missing *missing = &verify->missing[i];
        struct erasure sum = allowed(verify, missing->position, &next);
        bool whole = missing->slot == 0; /* how many parts there were cannot be seen any more */
        if (sum.ordered && (!missing->header || sum.header) &&
            (whole || (missing->part_mask & ~sum.part_mask) == 0)) {
            verify->result->erased++;
            continue;
        }
        not_ordered(verify, missing);
        return;
    }
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

/* The content is gone, and where the header was to go, the key of the case with it. */
static bool destroyed(const struct erasure *erasure, const struct missing *missing)
{
    if (!missing || (erasure->part_mask & ~missing->part_mask) != 0)
        return false;
    return !erasure->header || (missing->header && (missing->key_gone || missing->slot == 0));
}

/* What was told to be done is not there any more. */
static void done_check(struct verify *verify)
{
    struct casebus_error err = {0};
    qsort(verify->done, verify->n_done, sizeof *verify->done, by_number);
    for (size_t i = 0; i < verify->n_erasures; i++) {
        const struct erasure *erasure = &verify->erasures[i];
        if (!bsearch(&erasure->ordered, verify->done, verify->n_done, sizeof *verify->done, by_number))
            continue;
        if (destroyed(erasure, missing_find(verify, erasure->position)))
            continue;
        error_set(&err, CASEBUS_DAMAGED,
                  _("its content or its key is still there, although the erasure that entry %llu orders is "
                    "told to be "
                    "done"),
                  (unsigned long long)erasure->ordered);
        fault_note(&verify->fault, erasure->position, RANK_END, &err);
        return; /* they are in the order of positions */
    }
}

/* Behind a fault only orders are looked for: they tell which of two faults is the first. */
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
    for (uint64_t at = from; at < verify->size; at += CHUNK_SIZE) {
        struct casebus_error ignored; /* of a ledger that is known to be wrong */
        size_t n = verify->size - at < CHUNK_SIZE ? (size_t)(verify->size - at) : CHUNK_SIZE;
        if (scanner_refresh(&verify->scanner, err))
            return -1;
        ledger_view_leaves(verify->scanner.view, at, n, on_leaf_behind, verify, &ignored);
    }
    return 0;
}

static bool fault_behind_missing(const struct verify *verify)
{
    return verify->fault.set && verify->n_missing && verify->missing[0].position < verify->fault.position;
}

int verify_erasures(struct verify *verify, struct casebus_error *err)
{
    bool whole = !verify->fault.set;
    if (!verify->options->vault)
        return 0;
    if (fault_behind_missing(verify) && orders_gather(verify, verify->fault.position + 1, err))
        return -1;
    qsort(verify->erasures, verify->n_erasures, sizeof *verify->erasures, by_position);
    missing_check(verify);
    if (whole)
        done_check(verify);
    return 0;
}
