#include "hub/backup/rows.h"

#include "proto/base/arena.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define ROUND_ROWS  4096
#define ROUND_BYTES (4u * 1024 * 1024)

/* Entries that are written in one transaction. */
struct round {
    struct ledger_row rows[ROUND_ROWS];
    uint8_t hashes[2 * ROUND_ROWS + TREE_LEVELS][DIGEST_SIZE];
    size_t n, n_hashes;
    struct arena arena;
};

struct rows {
    struct ledger *to; /* NULL: only looked at */
    struct ledger *from;
    struct ledger_view *view; /* of @from */
    struct crypter *crypter;
    struct tree tree;
    struct round *round;
    uint64_t first; /* where it began */
    uint64_t size;
    rows_progress_fn *progress;
    void *self;
};

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to copy a ledger"));
}

static void round_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct round *round = self;
    (void)level;
    (void)index;
    memcpy(round->hashes[round->n_hashes++], hash, DIGEST_SIZE);
}

static void round_reset(struct round *round)
{
    round->n = round->n_hashes = 0;
    arena_reset(&round->arena);
}

/* --- both ends ------------------------------------------------------------------------------------------ */

static int rows_init(struct rows *rows, struct casebus_error *err)
{
    rows->crypter = crypter_new(ledger_suite(rows->from));
    rows->round = calloc(1, sizeof(*rows->round));
    if (!rows->crypter || !rows->round)
        return no_memory(err);
    arena_init(&rows->round->arena, 64 * 1024, ROUND_BYTES + 4 * 1024 * 1024);
    tree_init(&rows->tree);
    return ledger_view_open(&rows->view, rows->from, err);
}

static void rows_deinit(struct rows *rows)
{
    ledger_view_close(rows->view);
    if (rows->round)
        arena_deinit(&rows->round->arena);
    free(rows->round);
    crypter_free(rows->crypter);
}

static int root_compare(const struct rows *rows, const uint8_t root[DIGEST_SIZE], struct casebus_error *err)
{
    uint8_t made[DIGEST_SIZE];
    tree_root(&rows->tree, rows->crypter, made);
    if (memcmp(made, root, DIGEST_SIZE) == 0)
        return 0;
    return error_set(err, CASEBUS_DAMAGED,
                     _("the first %llu entries do not lead to the root that was signed"),
                     (unsigned long long)rows->size);
}

/* A read transaction lives for one round. */
static int round_over(struct rows *rows, struct casebus_error *err)
{
    round_reset(rows->round);
    if (rows->progress)
        rows->progress(rows->self, rows->tree.size - rows->first, rows->size - rows->first);
    return ledger_view_renew(rows->view, err);
}

/* --- copying -------------------------------------------------------------------------------------------- */

static bool opens_generation(const struct ledger *ledger, uint64_t position)
{
    size_t n;
    const struct ledger_generation *generations = ledger_generations(ledger, &n);
    for (size_t i = 1; i < n; i++)
        if (generations[i].position == position)
            return true;
    return false;
}

static int round_write(struct rows *rows, struct casebus_error *err)
{
    struct round *round = rows->round;
    uint64_t first = rows->tree.size - round->n;
    size_t at = 0;
    for (size_t i = 0; i < round->n; i++) {
        round->rows[i].hashes = round->hashes[at];
        at += round->rows[i].n_hashes;
    }
    if (round->n && opens_generation(rows->from, first) &&
        ledger_begin_generation(rows->to, ledger_origin_at(rows->from, first), err))
        return -1;
    if (ledger_append(rows->to, first, round->rows, round->n, err))
        return -1;
    return round_over(rows, err);
}

static int row_take(struct rows *rows, struct casebus_error *err)
{
    struct round *round = rows->round;
    struct bytes leaf, body;
    uint8_t hash[DIGEST_SIZE];
    size_t before = round->n_hashes;
    if (ledger_view_leaf(rows->view, rows->tree.size, &leaf, err) ||
        ledger_view_body(rows->view, rows->tree.size, &body, err))
        return -1;
    uint8_t *leaf_copy = arena_copy(&round->arena, leaf.data, leaf.size);
    uint8_t *body_copy = body.size ? arena_copy(&round->arena, body.data, body.size) : NULL;
    if (!leaf_copy || (body.size && !body_copy))
        return no_memory(err);
    tree_leaf_hash(rows->crypter, leaf, hash);
    tree_append(&rows->tree, rows->crypter, hash, round_store, round);
    round->rows[round->n++] = (struct ledger_row){
        bytes_of(leaf_copy, leaf.size), bytes_of(body_copy, body.size), NULL, round->n_hashes - before};
    return 0;
}

static int copy_all(struct rows *rows, struct casebus_error *err)
{
    struct round *round = rows->round;
    round_reset(round);
    while (rows->tree.size < rows->size) {
        bool full = round->n == ROUND_ROWS || round->arena.used > ROUND_BYTES;
        if ((full || (round->n && opens_generation(rows->from, rows->tree.size))) && round_write(rows, err))
            return -1;
        if (row_take(rows, err))
            return -1;
    }
    return round_write(rows, err);
}

/* Opens the tree of what is there already, and asks whether the other ledger begins with it. */
static int prefix_check(struct rows *rows, struct casebus_error *err)
{
    uint8_t here[DIGEST_SIZE], there[DIGEST_SIZE];
    struct ledger_view *view = NULL;
    uint64_t size = ledger_size(rows->to);
    if (ledger_view_open(&view, rows->to, err))
        return -1;
    int r = tree_open(&rows->tree, size, ledger_view_hash, view, err);
    ledger_view_close(view);
    if (r)
        return -1;
    rows->first = size;
    tree_root(&rows->tree, rows->crypter, here);
    if (size <= rows->size && tree_root_at(rows->crypter, size, ledger_view_hash, rows->view, there, err))
        return -1;
    if (size <= rows->size && memcmp(here, there, DIGEST_SIZE) == 0)
        return 0;
    error_set(err, CASEBUS_CONSISTENCY,
              _("the copy has %llu entries that are not the beginning of this ledger"),
              (unsigned long long)size);
    return error_hint(err, _("give another directory: this one holds the backup of another ledger, or of one "
                             "that has lost entries since"));
}

int rows_copy(struct ledger *to, struct ledger *from, uint64_t size, const uint8_t root[DIGEST_SIZE],
              rows_progress_fn *progress, void *self, struct casebus_error *err)
{
    struct rows rows = {.to = to, .from = from, .size = size, .progress = progress, .self = self};
    int r = rows_init(&rows, err) || prefix_check(&rows, err) || copy_all(&rows, err) ||
            root_compare(&rows, root, err);
    rows_deinit(&rows);
    return r ? -1 : 0;
}

/* --- looking -------------------------------------------------------------------------------------------- */

static int hashes_compare(struct rows *rows, uint64_t position, struct casebus_error *err)
{
    struct round *round = rows->round;
    uint8_t stored[DIGEST_SIZE];
    for (unsigned level = 0; level < round->n_hashes; level++) {
        if (ledger_view_hash(rows->view, level, position >> level, stored, err))
            return -1;
        if (memcmp(stored, round->hashes[level], DIGEST_SIZE) != 0)
            return error_set(err, CASEBUS_DAMAGED, _("entry %llu is not the one whose hash was kept"),
                             (unsigned long long)position);
    }
    round->n_hashes = 0;
    return 0;
}

static int row_look(struct rows *rows, rows_visit_fn *visit, void *visitor, struct casebus_error *err)
{
    struct bytes leaf, body;
    uint8_t hash[DIGEST_SIZE];
    uint64_t position = rows->tree.size;
    if (ledger_view_leaf(rows->view, position, &leaf, err) ||
        ledger_view_body(rows->view, position, &body, err))
        return -1;
    tree_leaf_hash(rows->crypter, leaf, hash);
    tree_append(&rows->tree, rows->crypter, hash, round_store, rows->round);
    if (hashes_compare(rows, position, err))
        return -1;
    return visit ? visit(visitor, position, leaf, body, err) : 0;
}

static int check_all(struct rows *rows, rows_visit_fn *visit, void *visitor, struct casebus_error *err)
{
    round_reset(rows->round);
    while (rows->tree.size < rows->size) {
        if (row_look(rows, visit, visitor, err))
            return -1;
        if (rows->tree.size % ROUND_ROWS == 0 && round_over(rows, err))
            return -1;
    }
    return round_over(rows, err);
}

int rows_check(struct ledger *ledger, uint64_t size, const uint8_t root[DIGEST_SIZE], rows_visit_fn *visit,
               void *visitor, rows_progress_fn *progress, void *self, struct casebus_error *err)
{
    struct rows rows = {.from = ledger, .size = size, .progress = progress, .self = self};
    int r = rows_init(&rows, err) || check_all(&rows, visit, visitor, err) || root_compare(&rows, root, err);
    rows_deinit(&rows);
    return r ? -1 : 0;
}

int rows_root(struct ledger *ledger, uint64_t size, uint8_t root[DIGEST_SIZE], struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct crypter *crypter = crypter_new(ledger_suite(ledger));
    if (!crypter)
        return no_memory(err);
    int r = ledger_view_open(&view, ledger, err);
    if (!r)
        r = tree_root_at(crypter, size, ledger_view_hash, view, root, err);
    ledger_view_close(view);
    crypter_free(crypter);
    return r;
}

int rows_add(struct ledger *to, struct bytes leaf, struct casebus_error *err)
{
    struct rows rows = {.to = to, .from = to};
    uint8_t hash[DIGEST_SIZE];
    uint64_t first = ledger_size(to);
    if (rows_init(&rows, err) || tree_open(&rows.tree, first, ledger_view_hash, rows.view, err)) {
        rows_deinit(&rows);
        return -1;
    }
    tree_leaf_hash(rows.crypter, leaf, hash);
    tree_append(&rows.tree, rows.crypter, hash, round_store, rows.round);
    const struct ledger_row row = {
        .leaf = leaf, .hashes = rows.round->hashes[0], .n_hashes = rows.round->n_hashes};
    int r = ledger_append(to, first, &row, 1, err);
    rows_deinit(&rows);
    return r;
}
