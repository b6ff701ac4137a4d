/* A ledger in a folder of its own, filled with entries that can be told from their positions. For tests. */
#ifndef LEDGER_LEDGER_FIXTURE_H
#define LEDGER_LEDGER_FIXTURE_H

#include "hub/ledger/ledger.h"

#include "hub/journal/folder_fixture.h"

#define ORIGIN   "js.example/exchange/1"
#define BODY_MAX 4096

struct fixture {
    char dir[PATH_MAX];
    struct ledger *ledger;
    struct crypter *crypter;
    struct tree tree;
};

static inline struct bytes entry_leaf(char text[BODY_MAX], uint64_t position)
{
    int length = snprintf(text, BODY_MAX, "leaf %llu ", (unsigned long long)position);
    memset(text + length, 'l', 150);
    return bytes_of(text, (size_t)length + position % 150);
}

/* Some entries have none, some have a long one. */
static inline struct bytes entry_body(char text[BODY_MAX], uint64_t position)
{
    if (position % 5 == 0)
        return bytes_of(NULL, 0);
    int length = snprintf(text, BODY_MAX, "body %llu ", (unsigned long long)position);
    memset(text + length, 'b', 3800);
    return bytes_of(text, (size_t)length + (position % 37 == 0 ? 3800 : position % 700));
}

struct row_memory {
    char leaf[BODY_MAX], body[BODY_MAX];
    uint8_t hashes[TREE_LEVELS][DIGEST_SIZE];
    size_t n;
};

static inline void row_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct row_memory *row = self;
    (void)level;
    (void)index;
    memcpy(row->hashes[row->n++], hash, DIGEST_SIZE);
}

/* Makes the row that follows the tree's last leaf. */
static inline struct ledger_row row_make(struct row_memory *memory, struct tree *tree,
                                         struct crypter *crypter)
{
    uint8_t hash[DIGEST_SIZE];
    uint64_t position = tree->size;
    struct bytes leaf = entry_leaf(memory->leaf, position);

    memory->n = 0;
    tree_leaf_hash(crypter, leaf, hash);
    tree_append(tree, crypter, hash, row_store, memory);
    return (struct ledger_row){leaf, entry_body(memory->body, position), memory->hashes[0], memory->n};
}

/* As ledger_append; the tree moves on only when it succeeds. */
static inline int entries_append(struct ledger *ledger, struct tree *tree, struct crypter *crypter, size_t n,
                                 struct casebus_error *err)
{
    struct row_memory *memory = calloc(n, sizeof *memory);
    struct ledger_row *rows = calloc(n, sizeof *rows);
    struct tree grown = *tree;

    for (size_t i = 0; i < n; i++)
        rows[i] = row_make(&memory[i], &grown, crypter);
    int r = ledger_append(ledger, tree->size, rows, n, err);
    if (r == 0)
        *tree = grown;
    free(memory);
    free(rows);
    return r;
}

static inline void fixture_open(struct fixture *f)
{
    struct casebus_error err;
    must(ledger_open(&f->ledger, f->dir, ORIGIN, &err), &err);
}

static inline void fixture_close(struct fixture *f)
{
    f->ledger = ledger_close(f->ledger);
}

static inline void fixture_remove(struct fixture *f)
{
    folder_remove(f->dir);
}

static inline void fixture_append(struct fixture *f, size_t n)
{
    struct casebus_error err;
    must(entries_append(f->ledger, &f->tree, f->crypter, n, &err), &err);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    folder_make(f->dir, "ledger");
    f->crypter = crypter_new(suite_get(SUITE_INTL));
    tree_init(&f->tree);
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    ledger_close(f->ledger);
    crypter_free(f->crypter);
    folder_remove(f->dir);
    free(f);
    return 0;
}

#endif
