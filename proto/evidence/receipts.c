/* What receivers signed for. A confirmation names one delivery, the last one, and a running hash over all
 * before it; who knows the links from one delivery to the last sees that this very delivery is inside.
 * Without them only this much is sure: the receiver confirmed something at or behind it. */
#include "proto/evidence/private.h"

#include "proto/base/texts.h"

#include <stdlib.h>

/* How far a node has confirmed, by all that the file shows. */
struct reach {
    const char *node;
    uint64_t position;
    uint32_t ordinal;
};

/* Received deliveries, to tell the events that nobody was shown to have received. */
struct receipt {
    uint64_t position;
    uint32_t ordinal;
};

struct receipts {
    struct reach *reaches; /* by node, each once */
    size_t n_reaches;
    struct receipt *list; /* in order, possibly repeated */
    size_t n;
};

static bool at_or_behind(uint64_t position, uint32_t ordinal, uint64_t other, uint32_t other_ordinal)
{
    return position > other || (position == other && ordinal >= other_ordinal);
}

/* ---- one confirmation ---- */

/* A link to an event of the file: it has to say what the entry says. 1: it does; 0: the file holds no such
 * event. */
static int link_look(const struct verification *v, const Casebus__V1__EvidenceLink *link, const char *node,
                     struct casebus_error *err)
{
    const struct proven_leaf *leaf = leaf_find(v, link->position);
    if (!leaf || leaf->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return 0;
    const Casebus__V1__EventEntry *event = leaf->entry->event;
    if (link->ordinal >= event->n_receiver || strcmp(event->receiver[link->ordinal]->node, node) != 0 ||
        memcmp(event->event_hash.data, link->event_hash.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("node '%s' signed for another delivery than that of event %llu"), node,
                         (unsigned long long)link->position);
    return 1;
}

static int links_check(struct verification *v, const Casebus__V1__EvidenceConfirm *claim,
                       const Casebus__V1__ConfirmStatement *statement, struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    const Casebus__V1__EvidenceLink *last = claim->link[claim->n_link - 1];
    memcpy(hash, claim->running_before.data, DIGEST_SIZE);
    for (size_t i = 0; i < claim->n_link; i++)
        delivered_hash(v->crypter, hash, claim->link[i]->position, claim->link[i]->ordinal,
                       claim->link[i]->event_hash.data);
    if (last->position == statement->last->position && last->ordinal == statement->last->ordinal &&
        memcmp(hash, statement->running_hash.data, DIGEST_SIZE) == 0)
        return 0;
    return error_set(err, CASEBUS_BAD_FIELD, _("the deliveries shown do not lead to what node '%s' signed"),
                     statement->node);
}

static int received_add(struct verification *v, const struct proven_leaf *leaf, const char *node,
                        const Casebus__V1__EvidenceLink *link, struct receipts *receipts,
                        struct casebus_error *err)
{
    struct evidence_fact *fact = fact_add(v, FACT_RECEIVED, err);
    if (!fact)
        return -1;
    fact->name = node;
    fact->position = link->position;
    fact->ordinal = link->ordinal;
    fact->other = leaf->position;
    fact->hash = bytes_of_data(link->event_hash);
    receipts->list[receipts->n++] = (struct receipt){link->position, link->ordinal};
    return 0;
}

static int confirmed_fact(struct verification *v, const struct proven_leaf *leaf,
                          const Casebus__V1__ConfirmStatement *statement, const struct enrolment *enrolment,
                          struct casebus_error *err)
{
    struct evidence_fact *fact = fact_add(v, FACT_CONFIRMED, err);
    if (!fact)
        return -1;
    fact->name = statement->node;
    fact->position = leaf->position;
    fact->other = enrolment->position;
    fact->number = statement->last->position;
    fact->ordinal = statement->last->ordinal;
    fact->time_us = statement->confirmed_at_us;
    return 0;
}

static Casebus__V1__ConfirmStatement *statement_find(struct verification *v, const struct proven_leaf *leaf,
                                                     const Casebus__V1__EvidenceConfirm *claim,
                                                     const Casebus__V1__SignedConfirm **signedp,
                                                     struct casebus_error *err)
{
    const Casebus__V1__LedgerEntry *entry = leaf->entry;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED ||
        claim->index >= entry->act->deliveries_confirmed->n_confirm) {
        error_set(err, CASEBUS_BAD_FIELD, _("entry %llu holds no confirmation %u"),
                  (unsigned long long)leaf->position, (unsigned)claim->index);
        return NULL;
    }
    *signedp = entry->act->deliveries_confirmed->confirm[claim->index];
    return confirm_decode(bytes_of_data((*signedp)->statement), v->arena, err);
}

/* An earlier generation had other entries from where the next one was opened: a confirmation of it that
 * reaches there speaks of deliveries which are not in this ledger. */
static int reach_check(const struct verification *v, const struct proven_leaf *leaf,
                       const Casebus__V1__ConfirmStatement *statement, struct casebus_error *err)
{
    uint64_t end = leaf->position;
    for (size_t i = 0; i + 1 < v->n_generations; i++)
        if (strcmp(v->generations[i].origin, statement->origin) == 0 && v->generations[i + 1].position < end)
            end = v->generations[i + 1].position;
    if (statement->last->position < end)
        return 0;
    return error_set(err, CASEBUS_BAD_FIELD, _("node '%s' confirms entry %llu, which comes later"),
                     statement->node, (unsigned long long)statement->last->position);
}

static int confirm_check(struct verification *v, const Casebus__V1__EvidenceConfirm *claim,
                         struct receipts *receipts, struct casebus_error *err)
{
    const struct proven_leaf *leaf = &v->leaves[claim->leaf];
    const Casebus__V1__SignedConfirm *confirm;
    Casebus__V1__ConfirmStatement *statement = statement_find(v, leaf, claim, &confirm, err);
    if (!statement || origin_check(v, statement->origin, leaf->position, err) ||
        reach_check(v, leaf, statement, err))
        return -1;
    const struct enrolment *enrolment = signature_check(v, statement->node, leaf->position, statement->key_id,
                                                        confirm->statement, confirm->signature, err);
    if (!enrolment || (claim->n_link > 0 && links_check(v, claim, statement, err)) ||
        confirmed_fact(v, leaf, statement, enrolment, err))
        return -1;
    for (size_t i = 0; i < claim->n_link; i++) {
        int r = link_look(v, claim->link[i], statement->node, err);
        if (r < 0 || (r > 0 && received_add(v, leaf, statement->node, claim->link[i], receipts, err)))
            return -1;
    }
    receipts->reaches[receipts->n_reaches++] =
        (struct reach){statement->node, statement->last->position, statement->last->ordinal};
    return 0;
}

/* ---- all of them ---- */

static int compare_reaches(const void *a, const void *b)
{
    const struct reach *x = a, *y = b;
    int order = strcmp(x->node, y->node);
    if (order)
        return order;
    if (x->position == y->position && x->ordinal == y->ordinal)
        return 0;
    return at_or_behind(x->position, x->ordinal, y->position, y->ordinal) ? -1 : 1; /* the farthest first */
}

static int compare_receipts(const void *a, const void *b)
{
    const struct receipt *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static void receipts_sort(struct receipts *receipts)
{
    size_t n = 0;
    if (receipts->n > 0)
        qsort(receipts->list, receipts->n, sizeof *receipts->list, compare_receipts);
    if (receipts->n_reaches > 0)
        qsort(receipts->reaches, receipts->n_reaches, sizeof *receipts->reaches, compare_reaches);
    for (size_t i = 0; i < receipts->n_reaches; i++)
        if (i == 0 || strcmp(receipts->reaches[i].node, receipts->reaches[n - 1].node) != 0)
            receipts->reaches[n++] = receipts->reaches[i];
    receipts->n_reaches = n;
}

static bool confirmed_past(const struct receipts *receipts, const char *node, uint64_t position,
                           uint32_t ordinal)
{
    size_t low = 0, high = receipts->n_reaches;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(receipts->reaches[middle].node, node);
        if (order == 0)
            return at_or_behind(receipts->reaches[middle].position, receipts->reaches[middle].ordinal,
                                position, ordinal);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* What is sure, or missing, of one delivery of an event. */
static int delivery_look(struct verification *v, const struct receipts *receipts, const char *node,
                         uint64_t position, uint32_t ordinal, struct casebus_error *err)
{
    const struct receipt wanted = {position, ordinal};
    bool past = confirmed_past(receipts, node, position, ordinal);
    bool exact =
        receipts->n > 0 && bsearch(&wanted, receipts->list, receipts->n, sizeof wanted, compare_receipts);
    struct evidence_fact *fact = past ? fact_add(v, FACT_PASSED, err) : NULL;
    struct evidence_gap *gap = exact ? NULL : gap_add(v, past ? GAP_EXACT : GAP_RECEIPT, err);
    if ((past && !fact) || (!exact && !gap))
        return -1;
    if (fact) {
        fact->name = node;
        fact->position = position;
        fact->ordinal = ordinal;
        fact->mask = exact;
    }
    if (gap) {
        gap->name = node;
        gap->position = position;
        gap->ordinal = ordinal;
    }
    return 0;
}

static int deliveries_look(struct verification *v, struct receipts *receipts, struct casebus_error *err)
{
    receipts_sort(receipts);
    for (size_t i = 0; i < v->n_leaves; i++) {
        const Casebus__V1__LedgerEntry *entry = v->leaves[i].entry;
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
            continue;
        for (size_t k = 0; k < entry->event->n_receiver; k++)
            if (delivery_look(v, receipts, entry->event->receiver[k]->node, v->leaves[i].position,
                              (uint32_t)k, err))
                return -1;
    }
    return 0;
}

int verify_confirms(struct verification *v, struct casebus_error *err)
{
    const Casebus__V1__Evidence *evidence = v->evidence;
    struct receipts receipts = {0};
    size_t n_links = 0;
    for (size_t i = 0; i < evidence->n_confirm; i++)
        n_links += evidence->confirm[i]->n_link;
    receipts.list = arena_alloc(v->arena, (n_links + 1) * sizeof *receipts.list);
    receipts.reaches = arena_alloc(v->arena, (evidence->n_confirm + 1) * sizeof *receipts.reaches);
    if (!receipts.list || !receipts.reaches)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    for (size_t i = 0; i < evidence->n_confirm; i++)
        if (confirm_check(v, evidence->confirm[i], &receipts, err))
            return -1;
    return deliveries_look(v, &receipts, err);
}
