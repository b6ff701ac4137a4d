/* Positions, slots and sizes are small here; everything is held in arrays. */
#include "tests/sim/reference.h"

#include "proto/merkle/note.h"
#include "proto/merkle/tree.h"

#include <inttypes.h>
#include <stdlib.h>

static struct bytes copy_of(struct bytes from)
{
    uint8_t *copy = malloc(from.size + 1);
    if (!copy)
        abort();
    if (from.size)
        memcpy(copy, from.data, from.size);
    return bytes_of(copy, from.size);
}

static void *array_of(uint64_t n, size_t element)
{
    void *array = calloc(n + 1, element);
    if (!array)
        abort();
    return array;
}

static int entries_load(struct reference *reference, struct ledger_view *view, struct casebus_error *err)
{
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    struct tree tree;
    struct bytes leaf, body;
    uint8_t hash[DIGEST_SIZE];
    tree_init(&tree);
    tree_root(&tree, crypter, reference->roots[0]);
    for (uint64_t i = 0; i < reference->size; i++) {
        if (ledger_view_leaf(view, i, &leaf, err) || ledger_view_body(view, i, &body, err))
            return -1;
        reference->leaves[i] = copy_of(leaf);
        reference->bodies[i] = copy_of(body);
        tree_leaf_hash(crypter, leaf, hash);
        tree_append(&tree, crypter, hash, NULL, NULL);
        tree_root(&tree, crypter, reference->roots[i + 1]);
    }
    crypter_free(crypter);
    return 0;
}

/* The size that a checkpoint is about; false: its second line is no number. */
static bool checkpoint_size(struct bytes note, uint64_t *size)
{
    char text[512];
    size_t n = note.size < sizeof text - 1 ? note.size : sizeof text - 1;
    memcpy(text, note.data, n);
    text[n] = '\0';
    const char *line = strchr(text, '\n');
    return line && sscanf(line + 1, "%" SCNu64, size) == 1;
}

static int checkpoints_load(struct reference *reference, struct ledger_view *view, struct casebus_error *err)
{
    struct bytes note;
    uint64_t size = reference->size;
    while (ledger_view_checkpoint(view, size, &note, err) == 0) {
        if (!checkpoint_size(note, &size) || size > reference->size)
            return error_set(err, CASEBUS_DAMAGED, "a checkpoint without a size");
        reference->checkpoints[size] = copy_of(note);
        if (size-- == 0)
            return 0;
    }
    return err->code == CASEBUS_NOT_FOUND ? 0 : -1;
}

static void keys_load(struct reference *reference, struct vault *vault)
{
    struct casebus_error ignored;
    for (uint64_t i = 0; i < reference->n_slots; i++)
        reference->has_key[i] = vault_key(vault, i + 1, reference->keys[i], &ignored) == 0;
}

int reference_load(struct reference *reference, struct stores *stores, struct casebus_error *err)
{
    struct ledger_view *view;
    if (ledger_view_open(&view, stores->ledger, err))
        return -1;
    reference->size = ledger_view_size(view);
    reference->n_slots = vault_taken(stores->vault);
    reference->leaves = array_of(reference->size, sizeof *reference->leaves);
    reference->bodies = array_of(reference->size, sizeof *reference->bodies);
    reference->roots = array_of(reference->size + 1, sizeof *reference->roots);
    reference->checkpoints = array_of(reference->size + 1, sizeof *reference->checkpoints);
    reference->keys = array_of(reference->n_slots, sizeof *reference->keys);
    reference->has_key = array_of(reference->n_slots, sizeof *reference->has_key);
    int r = entries_load(reference, view, err);
    if (r == 0)
        r = checkpoints_load(reference, view, err);
    keys_load(reference, stores->vault);
    ledger_view_close(view);
    return r == 0 ? state_digest(stores, reference->state, err) : r;
}

/* ---- comparing ---- */

static int entry_compare(const struct reference *reference, struct ledger_view *view, uint64_t i,
                         struct casebus_error *err)
{
    struct bytes leaf, body;
    if (ledger_view_leaf(view, i, &leaf, err) || ledger_view_body(view, i, &body, err))
        return -1;
    if (!bytes_equal(leaf, reference->leaves[i]))
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: leaf %" PRIu64, i);
    if (!bytes_equal(body, reference->bodies[i]))
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: body %" PRIu64, i);
    return 0;
}

/* The tree from its stored hashes. */
static int root_compare(const struct reference *reference, struct ledger_view *view,
                        struct casebus_error *err)
{
    uint64_t size = ledger_view_size(view);
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    uint8_t root[DIGEST_SIZE];
    int r = 0;
    for (uint64_t n = size < 8 ? 1 : size - 7; r == 0 && n <= size; n++) {
        r = tree_root_at(crypter, n, ledger_view_hash, view, root, err);
        if (r == 0 && memcmp(root, reference->roots[n], DIGEST_SIZE) != 0)
            r = error_set(err, CASEBUS_INTERNAL, "DIFFERS: root of %" PRIu64, n);
    }
    crypter_free(crypter);
    return r;
}

static int checkpoint_compare(const struct reference *reference, struct ledger_view *view, uint64_t size,
                              bool all, struct casebus_error *err)
{
    struct bytes note;
    uint64_t found;
    if (ledger_view_checkpoint(view, size, &note, err) != 0)
        return err->code != CASEBUS_NOT_FOUND ? -1
               : all && reference->checkpoints[size].size
                   ? error_set(err, CASEBUS_INTERNAL, "DIFFERS: no checkpoint of %" PRIu64, size)
                   : 0;
    if (!checkpoint_size(note, &found) ||
        (found == size && !bytes_equal(note, reference->checkpoints[size])) ||
        (found != size && all && reference->checkpoints[size].size))
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: checkpoint of %" PRIu64, size);
    return 0;
}

static int ledger_compare(const struct reference *reference, struct ledger_view *view, uint64_t min_size,
                          bool all, struct casebus_error *err)
{
    uint64_t size = ledger_view_size(view);
    if (size < min_size)
        return error_set(err, CASEBUS_INTERNAL,
                         "DIFFERS: %" PRIu64 " entries, but %" PRIu64 " were acknowledged", size, min_size);
    if (size > reference->size)
        return error_set(err, CASEBUS_INTERNAL, "DIFFERS: %" PRIu64 " entries of %" PRIu64, size,
                         reference->size);
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < size; i++)
        r = entry_compare(reference, view, i, err);
    for (uint64_t i = 0; r == 0 && i <= size; i++)
        r = checkpoint_compare(reference, view, i, all, err);
    return r == 0 ? root_compare(reference, view, err) : r;
}

static int keys_compare(const struct reference *reference, struct vault *vault, struct casebus_error *err)
{
    uint8_t key[KEY_SIZE];
    uint64_t taken = vault_taken(vault);
    for (uint64_t i = 0; i < taken && i < reference->n_slots; i++) {
        bool there = vault_key(vault, i + 1, key, err) == 0;
        if (there != reference->has_key[i] || (there && memcmp(key, reference->keys[i], KEY_SIZE) != 0))
            return error_set(err, CASEBUS_INTERNAL, "DIFFERS: key of slot %" PRIu64, i + 1);
    }
    return 0;
}

int reference_compare(const struct reference *reference, struct stores *stores, uint64_t min_size,
                      bool all_checkpoints, struct casebus_error *err)
{
    struct ledger_view *view;
    if (ledger_view_open(&view, stores->ledger, err))
        return -1;
    int r = ledger_compare(reference, view, min_size, all_checkpoints, err);
    ledger_view_close(view);
    return r == 0 ? keys_compare(reference, stores->vault, err) : r;
}

/* ---- the state ---- */

struct digesting {
    struct crypter *crypter;
    uint8_t sum[DIGEST_SIZE];
};

static int row_add(void *self, struct bytes key, struct bytes value)
{
    struct digesting *digesting = self;
    uint8_t sizes[16];
    put_u64le(sizes, key.size);
    put_u64le(sizes + 8, value.size);
    struct bytes parts[] = {bytes_of(digesting->sum, DIGEST_SIZE), bytes_of(sizes, sizeof sizes), key, value};
    crypter_hash(digesting->crypter, parts, 4, digesting->sum);
    return 0;
}

int state_digest(struct stores *stores, uint8_t digest[DIGEST_SIZE], struct casebus_error *err)
{
    struct digesting digesting = {.crypter = crypter_new(suite_get(SUITE_INTL))};
    struct state_view *view;
    if (state_view_open(&view, stores->state, err))
        return -1;
    int r = 0;
    for (int table = 0; r == 0 && table < TABLE_COUNT; table++)
        r = state_view_walk(view, (enum exchange_table)table, bytes_of("", 0), row_add, &digesting, err);
    state_view_close(view);
    crypter_free(digesting.crypter);
    memcpy(digest, digesting.sum, DIGEST_SIZE);
    return r < 0 ? -1 : 0;
}
