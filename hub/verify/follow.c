/* The follower takes chunks in their order and says what each entry means after those before it: time,
 * enrolments, seals and their events, orders of erasure. It compares the tree hashes that stand above a chunk
 * as well. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <stdlib.h>

int verify_grow(void **array, size_t n, size_t element, struct casebus_error *err)
{
    if (n & (n - 1) || (n > 0 && n < 8)) /* there is room up to the next power of two */
        return 0;
    void *grown = realloc(*array, (n ? 2 * n : 8) * element);
    if (!grown)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    *array = grown;
    return 0;
}

void fault_note(struct fault *fault, uint64_t position, enum fault_rank rank, const struct casebus_error *err)
{
    if (fault->set && (position > fault->position || (position == fault->position && rank >= fault->rank)))
        return;
    *fault = (struct fault){.set = true, .position = position, .rank = rank, .err = *err};
}

static void fault_merge(struct fault *into, const struct fault *from)
{
    if (from->set)
        fault_note(into, from->position, from->rank, &from->err);
}

/* ---- the tree above chunks ---- */

struct above {
    struct verify *verify;
    const struct chunk *chunk;
};

static void on_above(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct above *above = self;
    struct casebus_error err = {0};
    if (level == 0 ||
        (level <= above->chunk->n_above && memcmp(above->chunk->above[level - 1], hash, DIGEST_SIZE) == 0))
        return; /* the chunk's own root was compared by the scanner */
    error_set(&err, CASEBUS_DAMAGED,
              _("the tree's hash at level %u, index %llu is not the one of the entries"),
              above->verify->chunk_level + level, (unsigned long long)index);
    fault_note(&above->verify->fault, above->chunk->first + above->chunk->n - 1, RANK_TREE, &err);
}

static void tree_follow(struct verify *verify, const struct chunk *chunk)
{
    struct above above = {verify, chunk};
    if (chunk->fault.set)
        return;
    verify->remainder = chunk->tree;
    if (chunk->n < verify->chunk_size)
        return;
    tree_append(&verify->upper, verify->scanner.crypter, chunk->tree.frontier[verify->chunk_level], on_above,
                &above);
    tree_init(&verify->remainder);
}

void verify_tree(const struct verify *verify, struct tree *tree)
{
    *tree = verify->remainder;
    tree->size = verify->upper.size * verify->chunk_size + verify->remainder.size;
    unsigned level = verify->chunk_level;
    memcpy(tree->frontier + level, verify->upper.frontier, (TREE_LEVELS - level) * sizeof tree->frontier[0]);
}

/* ---- entries ---- */

static int act_kept(struct verify *verify, struct casebus_error *err)
{
    if (verify_grow((void **)&verify->acts, verify->n_acts, sizeof *verify->acts, err))
        return -1;
    verify->acts[verify->n_acts++] = verify->position;
    return 0;
}

static int act_follow(struct verify *verify, const struct fact *fact, struct casebus_error *err)
{
    const Casebus__V1__ActEntry *act = fact->entry->act;
    verify->result->acts++;
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        return verify_opened(verify, act->ledger_opened, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return verify_enrolled(verify, act->node_enrolled, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return verify_quarantined(verify, act->quarantined, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return verify_quarantine_decided(verify, act->quarantine_decided, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        return verify_confirmed(verify, fact, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return verify_ordered(verify, act->erasure_ordered, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        return verify_done(verify, act->erasure_done, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return verify_standing(verify, act->node_status_changed, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED:
        return verify_hub_keys(verify, act->hub_keys_changed, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return verify_policy(verify, act->policy_applied, err) || act_kept(verify, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED: /* who came of it says so in its own enrolment */
        return verify_invited(verify, act->node_invited, err) || act_kept(verify, err);
    default:
        error_set(err, CASEBUS_BAD_VERSION, _("an act of a kind that this version does not know"));
        return error_hint(err, _("verify with the version of casebus that wrote it"));
    }
}

static int time_check(struct verify *verify, int64_t hub_time_us, struct casebus_error *err)
{
    if (hub_time_us < verify->hub_time_us)
        return error_set(err, CASEBUS_CLOCK,
                         _("its hub time lies %lld microseconds before the entry before it"),
                         (long long)(verify->hub_time_us - hub_time_us));
    verify->hub_time_us = hub_time_us;
    return 0;
}

static int entry_follow(struct verify *verify, const struct fact *fact, struct casebus_error *err)
{
    const Casebus__V1__LedgerEntry *entry = fact->entry;
    if (time_check(verify, entry->hub_time_us, err))
        return -1;
    if (verify->position == 0 && (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
                                  entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED))
        return error_set(err, CASEBUS_DAMAGED, _("the first entry does not open a ledger"));
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return verify_event(verify, entry->event, err);
    if (verify_batch_closed(verify, err))
        return -1;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return verify_seal(verify, fact, err);
    return act_follow(verify, fact, err) ? -1 : 0;
}

/* The scanner's faults are at hand, so what stands behind the first of them is not looked at. */
static void entries_follow(struct verify *verify, struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->n && chunk->facts[i].entry; i++) {
        struct casebus_error err = {0};
        verify->position = chunk->first + i;
        if (verify->fault.set && verify->fault.position < verify->position)
            return;
        arena_reset(&verify->scanner.arena);
        if (entry_follow(verify, &chunk->facts[i], &err)) {
            fault_note(&verify->fault, verify->position, RANK_ENTRY, &err);
            return;
        }
        verify->result->entries++;
    }
}

/* ---- bodies ---- */

static int missing_take(struct verify *verify, const struct chunk *chunk, struct casebus_error *err)
{
    for (size_t i = 0; i < chunk->n_missing; i++) {
        if (verify_grow((void **)&verify->missing, verify->n_missing, sizeof *verify->missing, err))
            return -1;
        verify->missing[verify->n_missing++] = chunk->missing[i];
    }
    return 0;
}

/* The scanner may not have known under which origin this chunk lies. */
static int bodies_follow(struct verify *verify, struct chunk *chunk, const char *origin,
                         struct casebus_error *err)
{
    if (strcmp(chunk->origin, origin) != 0 && chunk_bodies(chunk, &verify->scanner, origin, err))
        return -1;
    fault_merge(&verify->fault, &chunk->body_fault);
    verify->result->bodies += chunk->n_bodies;
    return missing_take(verify, chunk, err);
}

/* ---- the whole ---- */

int verify_follow(struct verify *verify, struct chunk *chunk, struct casebus_error *err)
{
    char origin[ORIGIN_MAX];
    snprintf(origin, sizeof origin, "%s", verify_origin(verify));
    if (scanner_refresh(&verify->scanner, err))
        return -1;
    fault_merge(&verify->fault, &chunk->fault);
    tree_follow(verify, chunk);
    if (chunk->facts)
        entries_follow(verify, chunk);
    else
        verify->result->entries += chunk->fault.set ? chunk->fault.position - chunk->first : chunk->n;
    /* Only the first entry tells the origin of the chunk that it opens. */
    if (chunk->facts && verify->options->vault && bodies_follow(verify, chunk, origin, err))
        return -1;
    return 0;
}
