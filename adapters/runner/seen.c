/* A statement is its key (what the hub holds two statements of one record against each other by) and its
 * content, each as 64 bits: among three million records a chance meeting of two keys is as likely as one in
 * four million. Open addressing, at most three quarters full. */
#include "adapters/runner/seen.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 1024, SLOTS_MOST = 4 << 20 };

struct seen_slot {
    uint64_t key;
    uint64_t content;
    uint64_t row; /* 0: free */
};

struct statement {
    uint64_t key;
    uint64_t content;
};

/* FNV-1a with the end of the text in it, so that "ab", "c" is not "a", "bc". */
static uint64_t text_hash(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    } while (*text++);
    return hash;
}

static bool is_of_key(const char *field)
{
    static const char *const fields[] = {"record_namespace", "record_id", "revision", "operation"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(field, fields[i]) == 0)
            return true;
    return false;
}

static int field_hash(void *self, const char *name, const char *value)
{
    struct statement *statement = self;
    uint64_t *hash = is_of_key(name) ? &statement->key : &statement->content;
    *hash = text_hash(text_hash(*hash, name), value);
    return 0;
}

static struct seen_slot *slot_find(const struct seen *seen, uint64_t key)
{
    uint64_t at = key ^ key >> 32;
    while (seen->slots[at & (seen->n_slots - 1)].row && seen->slots[at & (seen->n_slots - 1)].key != key)
        at++;
    return &seen->slots[at & (seen->n_slots - 1)];
}

/* False: no room, or no memory. */
static bool room_make(struct seen *seen)
{
    if (seen->n < seen->n_slots / 4 * 3)
        return true;
    if (seen->n_slots == SLOTS_MOST)
        return false;
    struct seen grown = {.n_slots = seen->n_slots ? 2 * seen->n_slots : SLOTS_FIRST, .n = seen->n};
    grown.slots = calloc(grown.n_slots, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < seen->n_slots; i++)
        if (seen->slots[i].row)
            *slot_find(&grown, seen->slots[i].key) = seen->slots[i];
    free(seen->slots);
    *seen = grown;
    return true;
}

uint64_t seen_add(struct seen *seen, const struct casebus_event *event, uint64_t row)
{
    struct statement statement = {UINT64_C(0xcbf29ce484222325), UINT64_C(0xcbf29ce484222325)};
    casebus_event_visit(event, field_hash, &statement);
    struct seen_slot *slot = seen->n_slots ? slot_find(seen, statement.key) : NULL;
    if (slot && slot->row)
        return slot->content == statement.content ? 0 : slot->row;
    if (seen->full || !room_make(seen)) {
        seen->full = true;
        return 0;
    }
    *slot_find(seen, statement.key) = (struct seen_slot){statement.key, statement.content, row};
    seen->n++;
    return 0;
}

void seen_deinit(struct seen *seen)
{
    free(seen->slots);
    *seen = (struct seen){0};
}
