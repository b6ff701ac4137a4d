#include "hub/watch/seen.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS_MAX   4096 /* in one transaction */
#define ROWS_BYTES (4u * 1024 * 1024)

struct seen_rows {
    struct ledger_row rows[ROWS_MAX];
    uint8_t hashes[2 * ROWS_MAX + TREE_LEVELS][DIGEST_SIZE];
    size_t n, n_hashes;
    struct arena arena;   /* their leaves */
    struct arena decoded; /* one entry */
};

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
}

/* ---- life ---- */

int seen_open(struct seen *seen, const char *dir, const struct suite *suite, struct casebus_error *err)
{
    char path[PATH_MAX];
    *seen = (struct seen){.crypter = crypter_new(suite), .rows = calloc(1, sizeof *seen->rows)};
    if (!seen->crypter || !seen->rows)
        return no_memory(err);
    arena_init(&seen->rows->arena, 64 * 1024, ROWS_BYTES + 1024 * 1024);
    arena_init(&seen->rows->decoded, 64 * 1024, 4 * 1024 * 1024);
    if (strlen(dir) >= sizeof seen->dir || path_join(path, sizeof path, dir, "ledger"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    strcpy(seen->dir, dir);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    return ledger_open_any(&seen->ledger, dir, err) || seen_tree(seen, seen_size(seen), &seen->tree, err) ? -1
                                                                                                          : 0;
}

void seen_close(struct seen *seen)
{
    ledger_close(seen->ledger);
    crypter_free(seen->crypter);
    if (seen->rows) {
        arena_deinit(&seen->rows->arena);
        arena_deinit(&seen->rows->decoded);
    }
    free(seen->rows);
    *seen = (struct seen){.ledger = NULL};
}

/* ---- looking ---- */

uint64_t seen_size(const struct seen *seen)
{
    return seen->ledger ? ledger_size(seen->ledger) : 0;
}

const char *seen_origin(const struct seen *seen)
{
    return seen->ledger ? ledger_origin(seen->ledger) : "";
}

int seen_tree(const struct seen *seen, uint64_t size, struct tree *tree, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    tree_init(tree);
    if (size == 0)
        return 0;
    if (ledger_view_open(&view, seen->ledger, err))
        return -1;
    int r = tree_open(tree, size, ledger_view_hash, view, err);
    ledger_view_close(view);
    return r;
}

int seen_root(const struct seen *seen, uint64_t size, uint8_t root[DIGEST_SIZE], struct casebus_error *err)
{
    struct tree tree;
    if (seen_tree(seen, size, &tree, err))
        return -1;
    tree_root(&tree, seen->crypter, root);
    return 0;
}

/* Empty when there is none. */
static int checkpoint_newest(const struct seen *seen, struct buffer *note, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct bytes newest;
    buffer_init(note, NOTE_MAX);
    if (!seen->ledger)
        return 0;
    if (ledger_view_open(&view, seen->ledger, err))
        return -1;
    int r = ledger_view_checkpoint(view, ledger_view_size(view), &newest, err);
    if (r && err->code == CASEBUS_NOT_FOUND)
        r = 0;
    else if (r == 0 && !buffer_append(note, newest.data, newest.size))
        r = no_memory(err);
    ledger_view_close(view);
    return r;
}

static bool file_is(const char *path, struct bytes content)
{
    struct buffer file = {0};
    bool same = access(path, F_OK) == 0 && file_read(path, NOTE_MAX, &file, NULL) == 0 &&
                bytes_equal(bytes_of(file.data, file.size), content);
    buffer_deinit(&file);
    return same;
}

int seen_checkpoint_beside(const struct seen *seen, const char *path, struct casebus_error *err)
{
    struct buffer note;
    int r = checkpoint_newest(seen, &note, err);
    struct bytes newest = bytes_of(note.data, note.size);
    if (r == 0 && newest.size > 0 && !file_is(path, newest))
        r = file_write(path, newest, 0600, err);
    buffer_deinit(&note);
    return r;
}

const Casebus__V1__LedgerOpened *opening_of(struct bytes entry, struct arena *arena)
{
    arena_reset(arena);
    const Casebus__V1__LedgerEntry *decoded = entry_decode(entry, arena, NULL);
    if (!decoded || decoded->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        decoded->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED ||
        !origin_valid(decoded->act->ledger_opened->origin))
        return NULL;
    return decoded->act->ledger_opened;
}

/* ---- growing ---- */

int seen_flush(struct seen *seen, struct casebus_error *err)
{
    struct seen_rows *rows = seen->rows;
    size_t at = 0;
    for (size_t i = 0; i < rows->n; i++) {
        rows->rows[i].hashes = rows->hashes[at];
        at += rows->rows[i].n_hashes;
    }
    int r = rows->n ? ledger_append(seen->ledger, seen->tree.size - rows->n, rows->rows, rows->n, err) : 0;
    rows->n = rows->n_hashes = 0;
    arena_reset(&rows->arena);
    return r;
}

/* Whether the copy can hold it is asked here; whether it is right is for hub/verify to say. */
static int generation_begin(struct seen *seen, const char *origin, struct casebus_error *err)
{
    if (!seen->ledger)
        return ledger_open(&seen->ledger, seen->dir, origin, err);
    if (seen_flush(seen, err))
        return -1;
    const char *before = ledger_origin(seen->ledger);
    if (seen_size(seen) == 0 || !origin_follows(origin, before) || strcmp(origin, before) == 0)
        return 0;
    return ledger_begin_generation(seen->ledger, origin, err);
}

static void on_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct seen_rows *rows = self;
    (void)level, (void)index;
    memcpy(rows->hashes[rows->n_hashes++], hash, DIGEST_SIZE);
}

int seen_add(struct seen *seen, struct bytes entry, struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    struct seen_rows *rows = seen->rows;
    const Casebus__V1__LedgerOpened *opened = opening_of(entry, &rows->decoded);
    if (opened && generation_begin(seen, opened->origin, err))
        return -1;
    if (!seen->ledger)
        return error_set(err, CASEBUS_DAMAGED, _("the first entry does not open a ledger"));
    if ((rows->n == ROWS_MAX || rows->arena.used > ROWS_BYTES) && seen_flush(seen, err))
        return -1;
    const uint8_t *leaf = arena_copy(&rows->arena, entry.data, entry.size);
    if (!leaf)
        return no_memory(err);
    size_t before = rows->n_hashes;
    tree_leaf_hash(seen->crypter, entry, hash);
    tree_append(&seen->tree, seen->crypter, hash, on_hash, rows);
    rows->rows[rows->n++] =
        (struct ledger_row){.leaf = bytes_of(leaf, entry.size), .n_hashes = rows->n_hashes - before};
    return 0;
}

struct adding {
    struct seen *seen;
    struct casebus_error *err;
};

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct adding *adding = self;
    (void)position;
    return seen_add(adding->seen, leaf, adding->err);
}

int seen_begin_with(struct seen *seen, const struct seen *from, uint64_t size, struct casebus_error *err)
{
    struct adding adding = {.seen = seen, .err = err};
    while (seen->tree.size < size) { /* a view is held for a short time */
        struct ledger_view *view = NULL;
        size_t n = size - seen->tree.size < ROWS_MAX ? (size_t)(size - seen->tree.size) : ROWS_MAX;
        if (ledger_view_open(&view, from->ledger, err))
            return -1;
        int r = ledger_view_leaves(view, seen->tree.size, n, on_leaf, &adding, err);
        ledger_view_close(view);
        if (r)
            return -1;
    }
    return seen_flush(seen, err);
}
