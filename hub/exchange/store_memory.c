/* A hash table per exchange table: open addressing, grown at half full. Rows are sorted only when somebody
 * walks them. */
#include "hub/exchange/store_memory.h"

#include "proto/base/texts.h"

#include <stdlib.h>

struct row {
    uint8_t *key; /* NULL: free */
    uint8_t *value;
    size_t key_size;
    size_t value_size;
    size_t value_capacity;
};

struct rows {
    struct row *slots;
    size_t n;
    size_t capacity; /* a power of two, or 0 */
};

struct store_memory {
    struct rows tables[TABLE_COUNT];
};

static uint64_t hash_of(struct bytes key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* The row of @key, or the free one where it goes. */
static struct row *rows_find(const struct rows *rows, struct bytes key)
{
    size_t mask = rows->capacity - 1;
    for (size_t i = (size_t)hash_of(key) & mask;; i = (i + 1) & mask) {
        struct row *row = &rows->slots[i];
        if (!row->key || bytes_equal(bytes_of(row->key, row->key_size), key))
            return row;
    }
}

static bool rows_grow(struct rows *rows)
{
    if (2 * (rows->n + 1) <= rows->capacity)
        return true;
    struct rows grown = {.n = rows->n, .capacity = rows->capacity ? 2 * rows->capacity : 64};
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < rows->capacity; i++)
        if (rows->slots[i].key)
            *rows_find(&grown, bytes_of(rows->slots[i].key, rows->slots[i].key_size)) = rows->slots[i];
    free(rows->slots);
    *rows = grown;
    return true;
}

static bool row_set_value(struct row *row, struct bytes value)
{
    if (value.size > row->value_capacity || !row->value) {
        size_t capacity = value.size + value.size / 2 + 1;
        uint8_t *grown = realloc(row->value, capacity);
        if (!grown)
            return false;
        row->value = grown;
        row->value_capacity = capacity;
    }
    if (value.size > 0)
        memcpy(row->value, value.data, value.size);
    row->value_size = value.size;
    return true;
}

static bool row_set_key(struct row *row, struct bytes key)
{
    row->key = malloc(key.size + 1);
    if (!row->key)
        return false;
    if (key.size > 0)
        memcpy(row->key, key.data, key.size);
    row->key_size = key.size;
    return true;
}

static int memory_get(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
                      struct casebus_error *err)
{
    (void)err;
    struct rows *rows = &((struct store_memory *)self)->tables[table];
    const struct row *row = rows->capacity ? rows_find(rows, key) : NULL;
    if (!row || !row->key)
        return 0;
    *value = bytes_of(row->value, row->value_size);
    return 1;
}

static int memory_put(void *self, enum exchange_table table, struct bytes key, struct bytes value,
                      struct casebus_error *err)
{
    struct rows *rows = &((struct store_memory *)self)->tables[table];
    if (!rows_grow(rows))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for another row"));
    struct row *row = rows_find(rows, key);
    bool fresh = !row->key;
    if (!row_set_value(row, value) || (fresh && !row_set_key(row, key)))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a row"));
    rows->n += fresh;
    return 0;
}

struct store_memory *store_memory_new(void)
{
    return calloc(1, sizeof(struct store_memory));
}

struct store_memory *store_memory_free(struct store_memory *memory)
{
    for (size_t t = 0; memory && t < TABLE_COUNT; t++) {
        struct rows *rows = &memory->tables[t];
        for (size_t i = 0; i < rows->capacity; i++) {
            free(rows->slots[i].key);
            free(rows->slots[i].value);
        }
        free(rows->slots);
    }
    free(memory);
    return NULL;
}

struct exchange_store store_memory_store(struct store_memory *memory)
{
    return (struct exchange_store){.self = memory, .get = memory_get, .put = memory_put};
}

size_t store_memory_count(const struct store_memory *memory, enum exchange_table table)
{
    return memory->tables[table].n;
}

struct sorted_row {
    const struct row *row;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = ((const struct sorted_row *)a)->row, *y = ((const struct sorted_row *)b)->row;
    size_t size = x->key_size < y->key_size ? x->key_size : y->key_size;
    int order = memcmp(x->key, y->key, size);
    return order ? order : (x->key_size > y->key_size) - (x->key_size < y->key_size);
}

int store_memory_walk(struct store_memory *memory, enum exchange_table table,
                      int (*visit)(void *self, struct bytes key, struct bytes value), void *self)
{
    struct rows *rows = &memory->tables[table];
    struct sorted_row *sorted = malloc((rows->n + 1) * sizeof *sorted);
    if (!sorted)
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < rows->capacity; i++)
        if (rows->slots[i].key)
            sorted[n++].row = &rows->slots[i];
    qsort(sorted, n, sizeof *sorted, compare_rows);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = visit(self, bytes_of(sorted[i].row->key, sorted[i].row->key_size),
                  bytes_of(sorted[i].row->value, sorted[i].row->value_size));
    free(sorted);
    return r;
}
