/* One pass in the order of positions, then the checkpoints against the tree hashes that the pass has found to
 * be right. What an entry means is checked in nodes.c, batch.c and body.c. */
#include "hub/verify/verify.h"

#include "hub/verify/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define VIEW_NS        1000000000ull
#define PROGRESS_EVERY 512

int verify_view_fresh(struct verify *verify, struct casebus_error *err)
{
    uint64_t now = clock_monotonic_ns();
    if (now - verify->view_ns < VIEW_NS)
        return 0;
    verify->view_ns = now;
    return ledger_view_renew(verify->view, err);
}

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

/* ---- the tree ---- */

struct stored_check {
    struct verify *verify;
    struct casebus_error *err;
    bool wrong;
};

/* Compares what the ledger stores with what its entries give. */
static void on_stored(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct stored_check *check = self;
    uint8_t stored[DIGEST_SIZE];
    if (check->wrong)
        return;
    if (ledger_view_hash(check->verify->view, level, index, stored, check->err)) {
        check->wrong = true;
    } else if (memcmp(stored, hash, DIGEST_SIZE) != 0) {
        check->wrong = true;
        error_set(check->err, CASEBUS_DAMAGED,
                  _("the tree's hash at level %u, index %llu is not the one of the entries"), level,
                  (unsigned long long)index);
    }
}

static int tree_check(struct verify *verify, struct bytes leaf, struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    struct stored_check check = {.verify = verify, .err = err};
    tree_leaf_hash(verify->crypter, leaf, hash);
    tree_append(&verify->tree, verify->crypter, hash, on_stored, &check);
    return check.wrong ? -1 : 0;
}

/* ---- entries ---- */

static int act_check(struct verify *verify, const Casebus__V1__ActEntry *act, struct casebus_error *err)
{
    verify->result->acts++;
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        return verify_opened(verify, act->ledger_opened, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return verify_enrolled(verify, act->node_enrolled, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return verify_quarantined(verify, act->quarantined, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        return verify_confirmed(verify, act->deliveries_confirmed, err);
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

static int content_check(struct verify *verify, const Casebus__V1__LedgerEntry *entry,
                         struct casebus_error *err)
{
    if (verify->position == 0 && (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
                                  entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED))
        return error_set(err, CASEBUS_DAMAGED, _("the first entry does not open a ledger"));
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return verify_event(verify, entry->event, err);
    if (verify_batch_closed(verify, err))
        return -1;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return verify_seal(verify, entry->seal, err);
    return act_check(verify, entry->act, err);
}

static int entry_check(struct verify *verify, struct casebus_error *err)
{
    struct bytes leaf;
    if (ledger_view_leaf(verify->view, verify->position, &leaf, err) || tree_check(verify, leaf, err))
        return -1;
    Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &verify->arena, err);
    if (!entry || time_check(verify, entry->hub_time_us, err))
        return -1;
    return content_check(verify, entry, err);
}

static int entries_check(struct verify *verify, struct casebus_error *err)
{
    for (; verify->position < verify->size; verify->position++) {
        arena_reset(&verify->arena);
        if (verify_view_fresh(verify, err) || entry_check(verify, err)) {
            verify->result->has_position = true;
            verify->result->position = verify->position;
            return error_context(err, _("entry %llu"), (unsigned long long)verify->position);
        }
        verify->result->entries++;
        if (verify->options->progress && verify->position % PROGRESS_EVERY == 0)
            verify->options->progress(verify->options->self, verify->position, verify->size);
    }
    if (verify_batch_closed(verify, err)) {
        verify->result->has_position = true;
        verify->result->position = verify->batch.seal_position;
        return error_context(err, _("the end of the ledger"));
    }
    return 0;
}

/* ---- the whole ---- */

static int verify_begin(struct verify *verify, struct casebus_error *err)
{
    arena_init(&verify->arena, 64 * 1024, 4 * 1024 * 1024);
    tree_init(&verify->tree);
    verify->crypter = crypter_new(suite_get(SUITE_INTL));
    if (!verify->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    verify->view_ns = clock_monotonic_ns();
    if (ledger_view_open(&verify->view, verify->options->ledger, err))
        return -1;
    verify->size = ledger_view_size(verify->view);
    return 0;
}

static void verify_end(struct verify *verify)
{
    for (size_t i = 0; i < verify->n_nodes; i++)
        verifier_free(verify->nodes[i].verifier);
    free(verify->nodes);
    free(verify->streams);
    if (verify->view)
        ledger_view_close(verify->view);
    if (verify->crypter)
        crypter_free(verify->crypter);
    arena_deinit(&verify->arena);
    secret_clear(verify->slot_key, sizeof verify->slot_key);
}

static int verify_run(struct verify *verify)
{
    struct casebus_error *fault = &verify->result->fault;
    if (verify->size == 0)
        return error_set(fault, CASEBUS_DAMAGED, _("the ledger is empty; it has not even been opened"));
    if (entries_check(verify, fault) || verify_checkpoints(verify, fault))
        return -1;
    tree_root(&verify->tree, verify->crypter, verify->result->root);
    return 0;
}

int verify_ledger(const struct verify_options *options, struct verify_result *result,
                  struct casebus_error *err)
{
    *result = (struct verify_result){0};
    struct verify *verify = calloc(1, sizeof *verify);
    if (!verify)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    verify->options = options;
    verify->result = result;
    int answer = verify_begin(verify, err);
    if (answer == 0)
        answer = verify_run(verify) == 0;
    verify_end(verify);
    free(verify);
    return answer;
}
