/* Published checkpoints: filed under their size, signed by the log's key of their generation, and with the
 * root of the entries. The tree hashes that the roots are put together from have been compared with the
 * entries before. Threads take stretches of sizes. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define STRETCHES 64

struct checkpoints {
    struct note_verifier *verifiers; /* one a generation */
    uint64_t from;                   /* smallest size to look at */
    uint64_t step;                   /* sizes in a stretch */
    atomic_uint_fast64_t next;       /* stretch */
    atomic_uint_fast64_t checked;
    atomic_uint_fast64_t newer; /* that the hub published since the entries were counted */
    struct fault *fault;        /* position: the size */
};

/* A tree of @size entries is signed with the key of the generation that its last entry lies in. */
static size_t generation_of(const struct verify *verify, uint64_t size)
{
    size_t i = verify->n_generations - 1;
    while (i > 0 && verify->generations[i].position >= size)
        i--;
    return i;
}

static int root_check(struct verify *verify, struct scanner *scanner, const struct checkpoint *checkpoint,
                      struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    if (checkpoint->size > verify->size)
        return error_set(err, CASEBUS_CONSISTENCY, _("the ledger has only %llu entries"),
                         (unsigned long long)verify->size);
    if (tree_root_at(scanner->crypter, checkpoint->size, ledger_view_hash, scanner->view, root, err))
        return -1;
    if (memcmp(root, checkpoint->root, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_CONSISTENCY, _("it was signed for other entries than these"));
    return 0;
}

/* Whoever asks for the checkpoint of @size gets it: damage above the rows can hide one from a look-up alone.
 */
static int found_check(struct scanner *scanner, uint64_t size, struct bytes note, struct casebus_error *err)
{
    struct bytes found;
    if (ledger_view_checkpoint(scanner->view, size, &found, err))
        return -1;
    if (bytes_equal(found, note))
        return 0;
    return error_set(err, CASEBUS_DAMAGED,
                     _("it stands in the ledger, but is not found when it is asked for"));
}

static int checkpoint_one(struct verify *verify, struct scanner *scanner, const struct checkpoints *all,
                          uint64_t size, struct bytes note, struct casebus_error *err)
{
    struct checkpoint checkpoint;
    if (checkpoint_check(&checkpoint, note, &all->verifiers[generation_of(verify, size)], err))
        return -1;
    if (checkpoint.size != size)
        return error_set(err, CASEBUS_CONSISTENCY, _("it is of size %llu and filed under another one"),
                         (unsigned long long)checkpoint.size);
    if (found_check(scanner, size, note, err))
        return -1;
    return root_check(verify, scanner, &checkpoint, err);
}

/* A hub that runs has published it since the entries were counted: the next verification is about it. */
static bool is_newer(const struct verify *verify, const struct scanner *scanner, uint64_t size)
{
    return size > verify->size && size <= ledger_view_size(scanner->view);
}

static void wrong(struct verify *verify, struct fault *fault, uint64_t size, struct casebus_error *err)
{
    error_context(err, _("the checkpoint of size %llu"), (unsigned long long)size);
    pthread_mutex_lock(&verify->lock);
    fault_note(fault, size, RANK_END, err);
    pthread_mutex_unlock(&verify->lock);
}

/* Those with sizes in [from, to), up to the first that is wrong. */
static int stretch_check(struct verify *verify, struct scanner *scanner, struct checkpoints *all,
                         uint64_t from, uint64_t to, struct casebus_error *err)
{
    while (from < to && !atomic_load(&verify->stopping)) {
        struct casebus_error why = {0};
        struct bytes note;
        uint64_t size = from;
        if (scanner_refresh(scanner, err))
            return -1;
        int r = ledger_view_checkpoint_next(scanner->view, from, &size, &note, &why);
        if ((r && why.code == CASEBUS_NOT_FOUND) || (r == 0 && size >= to))
            return 0;
        if (r == 0 && is_newer(verify, scanner, size)) {
            atomic_fetch_add(&all->newer, 1);
            from = size + 1;
            continue;
        }
        if (r || checkpoint_one(verify, scanner, all, size, note, &why)) {
            wrong(verify, all->fault, size, &why);
            return 0;
        }
        atomic_fetch_add(&all->checked, 1);
        atomic_fetch_add(&verify->progress, 1);
        from = size + 1;
    }
    return 0;
}

static int checkpoints_work(struct verify *verify, struct scanner *scanner, void *self,
                            struct casebus_error *err)
{
    struct checkpoints *all = self;
    uint64_t i;
    while ((i = atomic_fetch_add(&all->next, 1)) < STRETCHES) {
        uint64_t from = all->from + i * all->step;
        /* The last stretch holds what is filed under sizes that the ledger has not. */
        uint64_t to = i + 1 < STRETCHES ? from + all->step : UINT64_MAX;
        if (stretch_check(verify, scanner, all, from, to, err))
            return -1;
    }
    return 0;
}

/* A walk meets as many as the ledger holds. */
static void count_check(struct verify *verify, const struct checkpoints *all, uint64_t stored)
{
    struct casebus_error err;
    uint64_t met = verify->result->checkpoints + atomic_load(&all->newer);
    if (all->fault->set || atomic_load(&verify->stopping) || met >= stored)
        return;
    error_set(&err, CASEBUS_DAMAGED, _("the ledger holds %llu checkpoints, but only %llu are found in it"),
              (unsigned long long)stored, (unsigned long long)met);
    fault_note(all->fault, verify->size, RANK_END, &err);
}

static int verifiers_init(struct verify *verify, struct note_verifier *verifiers, struct casebus_error *err)
{
    for (size_t i = 0; i < verify->n_generations; i++)
        if (note_verifier_init(&verifiers[i], verify->generations[i].log_key, err))
            return error_context(err, _("the log's key"));
    return 0;
}

int verify_checkpoints(struct verify *verify, struct fault *fault)
{
    struct casebus_error err = {0};
    struct checkpoints all = {.fault = fault, .from = verify->checkpoints_from};
    all.step = (verify->size + 1 - all.from) / STRETCHES + 1;
    all.verifiers = calloc(verify->n_generations, sizeof *all.verifiers);
    if (!all.verifiers) {
        verify->failed = true;
        return error_set(&verify->err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    }
    int r = 0;
    uint64_t stored = ledger_view_checkpoints(verify->scanner.view);
    atomic_store(&verify->progress, verify->result->checkpoints);
    if (verifiers_init(verify, all.verifiers, &err))
        fault_note(fault, 0, RANK_END, &err);
    else
        r = crew_run(verify, VERIFY_CHECKPOINTS, stored, checkpoints_work, &all);
    verify->result->checkpoints += atomic_load(&all.checked);
    if (r == 0)
        count_check(verify, &all, stored);
    for (size_t i = 0; i < verify->n_generations; i++)
        note_verifier_deinit(&all.verifiers[i]);
    free(all.verifiers);
    return r;
}
