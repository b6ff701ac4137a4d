/* The phases in their order: entries, checkpoints, state. What each checks is told in its own file; here it
 * is put together to one answer. */
#include "hub/verify/verify.h"

#include "hub/verify/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define CHUNK_LEVEL_MAX 16

/* ---- beginning and end ---- */

/* A first guess for the scanners; the follower finds out. */
static void origin_guess(struct verify *verify)
{
    struct bytes leaf;
    struct casebus_error ignored;
    arena_reset(&verify->scanner.arena);
    if (ledger_view_leaf(verify->scanner.view, 0, &leaf, &ignored))
        return;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &verify->scanner.arena, &ignored);
    if (entry && entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED &&
        origin_valid(entry->act->ledger_opened->origin))
        strcpy(verify->origin, entry->act->ledger_opened->origin);
}

static int verify_begin(struct verify *verify, struct casebus_error *err)
{
    tree_init(&verify->upper);
    tree_init(&verify->remainder);
    pthread_mutex_init(&verify->lock, NULL);
    buffer_init(&verify->saved, (size_t)1 << 30);
    verify->saved_ns = clock_monotonic_ns();
    verify->chunk_level = verify->options->chunk_level ? verify->options->chunk_level : CHUNK_LEVEL;
    if (verify->chunk_level > CHUNK_LEVEL_MAX)
        verify->chunk_level = CHUNK_LEVEL_MAX;
    verify->chunk_size = UINT64_C(1) << verify->chunk_level;
    verify->suite = ledger_suite(verify->options->ledger);
    if (scanner_init(&verify->scanner, verify, err))
        return -1;
    verify->size = ledger_view_size(verify->scanner.view);
    origin_guess(verify);
    if (verify->options->resume && verify->options->resume_path)
        resume_load(verify, &verify->result->not_resumed);
    return 0;
}

static void verify_end(struct verify *verify)
{
    for (size_t i = 0; i < verify->n_verifiers; i++)
        verifier_free(verify->verifiers[i]);
    free(verify->verifiers);
    free(verify->shelf);
    free(verify->nodes);
    free(verify->revoked);
    free(verify->invitations);
    free(verify->streams);
    free(verify->generations);
    free(verify->missing);
    free(verify->erasures);
    free(verify->slots);
    free(verify->done);
    free(verify->decided);
    free(verify->acts);
    buffer_deinit(&verify->saved);
    scanner_deinit(&verify->scanner);
    pthread_mutex_destroy(&verify->lock);
}

/* ---- verdict ---- */

static int entry_wrong(struct verify *verify, struct casebus_error *err)
{
    struct verify_result *result = verify->result;
    if (verify->fault.err.code == CASEBUS_NO_MEMORY) { /* that says nothing about the ledger */
        *err = verify->fault.err;
        return -1;
    }
    result->has_position = true;
    result->position = verify->fault.position;
    result->fault = verify->fault.err;
    error_context(&result->fault, _("entry %llu"), (unsigned long long)result->position);
    return VERIFY_WRONG;
}

/* The ledger's own list of generations, by which contents are opened, is the one of its entries. */
static int generations_check(const struct verify *verify, uint64_t *position, struct casebus_error *err)
{
    size_t n, i = 0;
    const struct ledger_generation *listed = ledger_generations(verify->options->ledger, &n);
    while (i < n && i < verify->n_generations && listed[i].position == verify->generations[i].position &&
           strcmp(listed[i].origin, verify->generations[i].origin) == 0)
        i++;
    if (i == n && i == verify->n_generations)
        return 0;
    *position = i < verify->n_generations ? verify->generations[i].position : listed[i].position;
    if (i < verify->n_generations)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it opens the ledger of '%s', but this is the one of '%s'"),
                         verify->generations[i].origin, listed[i < n ? i : n - 1].origin);
    return error_set(err, CASEBUS_HUB_IDENTITY, _("it does not open the ledger of '%s', which begins there"),
                     listed[i].origin);
}

/* Of the newest generation: the key that the hub signs with. */
static int identity_check(const struct verify *verify, uint64_t *position, struct casebus_error *err)
{
    const struct generation *newest = &verify->generations[verify->n_generations - 1];
    const struct verify_options *options = verify->options;
    if (generations_check(verify, position, err))
        return -1;
    *position = verify->generations[0].position;
    if (options->authority.size && !verify->trusted)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it names another authority than the one that is trusted"));
    *position = newest->position;
    if (options->log_key && strcmp(newest->log_key, options->log_key) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY,
                         _("it names another key for checkpoints than the one that is trusted"));
    return 0;
}

/* What can only be said when all entries are known. */
static int end_check(struct verify *verify, struct casebus_error *err)
{
    struct casebus_error why = {0};
    uint64_t position;
    if (verify->options->tree_only)
        return 0;
    if (!verify->fault.set && verify_batch_closed(verify, &why))
        fault_note(&verify->fault, verify->batch.seal_position, RANK_END, &why);
    if (!verify->fault.set && identity_check(verify, &position, &why))
        fault_note(&verify->fault, position, RANK_END, &why);
    return verify_erasures(verify, err);
}

/* ---- phases ---- */

static bool stopped(const struct verify *verify)
{
    return atomic_load(&verify->stopping);
}

/* Where a run ends that was told to stop; the last chunk was not followed, or was whole. */
static enum verify_answer stop_here(struct verify *verify)
{
    struct verify_result *result = verify->result;
    if (verify->options->resume_path &&
        (verify->remainder.size > 0 || resume_keep(verify, &result->resume_fault) == 0))
        resume_save(verify, &result->resume_fault);
    return VERIFY_STOPPED;
}

static int entries_run(struct verify *verify, struct casebus_error *err)
{
    if (verify_entries(verify)) {
        *err = verify->err;
        return -1;
    }
    if (!verify->fault.set && stopped(verify))
        return stop_here(verify);
    if (end_check(verify, err))
        return -1;
    return verify->fault.set ? entry_wrong(verify, err) : VERIFY_HOLDS;
}

static int checkpoints_run(struct verify *verify, struct casebus_error *err)
{
    struct fault fault = {0};
    if (verify->options->tree_only)
        return VERIFY_HOLDS;
    if (verify_checkpoints(verify, &fault)) {
        *err = verify->err;
        return -1;
    }
    verify->result->fault = fault.err;
    if (fault.set)
        return VERIFY_WRONG;
    return stopped(verify) ? stop_here(verify) : VERIFY_HOLDS;
}

/* Entries and checkpoints hold: the next run has to look only at what is new. */
static void end_keep(struct verify *verify)
{
    struct verify_result *result = verify->result;
    if (!verify->options->resume_path)
        return;
    verify->checkpoints_from = verify->options->tree_only ? 0 : verify->size + 1;
    if (verify->remainder.size > 0 || resume_keep(verify, &result->resume_fault) == 0)
        resume_save(verify, &result->resume_fault);
}

static int state_run(struct verify *verify, struct casebus_error *err)
{
    struct fault fault = {0};
    if (!verify->options->state || !verify->options->vault || verify->options->tree_only)
        return VERIFY_HOLDS;
    if (verify_state(verify, &fault, err))
        return -1;
    verify->result->fault = fault.err;
    if (fault.set || !stopped(verify))
        return fault.set ? VERIFY_WRONG : VERIFY_HOLDS;
    end_keep(verify);
    return VERIFY_STOPPED;
}

static int verify_run(struct verify *verify, struct casebus_error *err)
{
    struct tree tree;
    if (verify->size == 0) {
        error_set(&verify->result->fault, CASEBUS_DAMAGED,
                  _("the ledger is empty; it has not even been opened"));
        return VERIFY_WRONG;
    }
    int r = entries_run(verify, err);
    if (r == VERIFY_HOLDS)
        r = checkpoints_run(verify, err);
    if (r == VERIFY_HOLDS) {
        verify_tree(verify, &tree);
        tree_root(&tree, verify->scanner.crypter, verify->result->root);
        if (verify->options->resume)
            end_keep(verify);
        r = state_run(verify, err);
    }
    return r;
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
        answer = verify_run(verify, err);
    verify_end(verify);
    free(verify);
    return answer;
}
