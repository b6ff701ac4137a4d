/* A hash table with open addressing over blocks of memory that only grow.
 *
 * Keys come from nodes, so the hash is keyed (SipHash-1-3, as in Python and Rust): nobody can choose keys
 * that collide. A value that fits into its room is written over in place; one that outgrew it gets half as
 * much room again elsewhere, and the old room is wasted until the overlay is freed as a whole. Order is made
 * once, at the end, when everything is written. */
#include "hub/state/overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#define BLOCK_SIZE ((size_t)1 << 20)
#define SLOTS_MIN  1024

struct slot {
    uint64_t hash;
    struct overlay_entry *entry; /* NULL: free */
};

struct block {
    struct block *next;
    _Alignas(16) uint8_t data[];
};

struct overlay {
    uint64_t seed[2];
    struct slot *slots;
    size_t n_slots; /* a power of two, at most three quarters taken */
    size_t n_entries;
    struct block *blocks; /* newest first */
    uint8_t *free;        /* rest of the newest block */
    size_t n_free;
    size_t bytes;
    size_t wasted;
};

/* --- SipHash-1-3 (Aumasson and Bernstein, 2012), with the table as the last word -------------------------
 */

struct sip {
    uint64_t v[4];
};

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(struct sip *s)
{
    s->v[0] += s->v[1];
    s->v[1] = rotate(s->v[1], 13) ^ s->v[0];
    s->v[0] = rotate(s->v[0], 32);
    s->v[2] += s->v[3];
    s->v[3] = rotate(s->v[3], 16) ^ s->v[2];
    s->v[0] += s->v[3];
    s->v[3] = rotate(s->v[3], 21) ^ s->v[0];
    s->v[2] += s->v[1];
    s->v[1] = rotate(s->v[1], 17) ^ s->v[2];
    s->v[2] = rotate(s->v[2], 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v[3] ^= word;
    sip_round(s);
    s->v[0] ^= word;
}

static uint64_t key_hash(const struct overlay *overlay, unsigned table, struct bytes key)
{
    struct sip s = {{overlay->seed[0] ^ 0x736f6d6570736575, overlay->seed[1] ^ 0x646f72616e646f6d,
                     overlay->seed[0] ^ 0x6c7967656e657261, overlay->seed[1] ^ 0x7465646279746573}};
    uint64_t word;
    size_t at = 0;

    for (; at + 8 <= key.size; at += 8) {
        memcpy(&word, key.data + at, 8);
        sip_word(&s, word);
    }
    word = 0;
    memcpy(&word, key.data + at, key.size - at);
    sip_word(&s, word);
    sip_word(&s, (uint64_t)table << 32 | key.size);
    s.v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

/* --- memory -------------------------------------------------------------------------------------------- */

struct overlay *overlay_new(size_t expected)
{
    struct overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay)
        return NULL;
    overlay->n_slots = SLOTS_MIN;
    while (overlay->n_slots / 4 * 3 < expected && overlay->n_slots < OVERLAY_MAX / sizeof(struct slot))
        overlay->n_slots *= 2;
    overlay->slots = calloc(overlay->n_slots, sizeof *overlay->slots);
    if (!overlay->slots || getrandom(overlay->seed, sizeof overlay->seed, 0) != sizeof overlay->seed)
        return overlay_free(overlay);
    overlay->bytes = overlay->n_slots * sizeof *overlay->slots;
    return overlay;
}

struct overlay *overlay_free(struct overlay *overlay)
{
    if (!overlay)
        return NULL;
    for (struct block *block = overlay->blocks; block;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(overlay->slots);
    free(overlay);
    return NULL;
}

size_t overlay_count(const struct overlay *overlay)
{
    return overlay->n_entries;
}

size_t overlay_bytes(const struct overlay *overlay)
{
    return overlay->bytes;
}

size_t overlay_wasted(const struct overlay *overlay)
{
    return overlay->wasted;
}

static bool block_add(struct overlay *overlay, size_t size)
{
    size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    if (room > OVERLAY_MAX - overlay->bytes)
        return false;
    struct block *block = malloc(sizeof *block + room);
    if (!block)
        return false;
    block->next = overlay->blocks;
    overlay->blocks = block;
    overlay->free = block->data;
    overlay->n_free = room;
    overlay->bytes += sizeof *block + room;
    return true;
}

static void *room_take(struct overlay *overlay, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (size > overlay->n_free && !block_add(overlay, size))
        return NULL;
    void *taken = overlay->free;
    overlay->free += size;
    overlay->n_free -= size;
    return taken;
}

/* --- the table ----------------------------------------------------------------------------------------- */

static bool entry_is(const struct overlay_entry *entry, unsigned table, struct bytes key)
{
    return entry->table == table && bytes_equal(bytes_of(entry->key, entry->key_size), key);
}

/* The slot that holds the key, or the free one where it belongs. */
static struct slot *slot_find(const struct overlay *overlay, uint64_t hash, unsigned table, struct bytes key)
{
    size_t mask = overlay->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &overlay->slots[i];
        if (!slot->entry || (slot->hash == hash && entry_is(slot->entry, table, key)))
            return slot;
    }
}

static bool slots_grow(struct overlay *overlay)
{
    size_t n_slots = overlay->n_slots * 2;
    if (n_slots * sizeof(struct slot) > OVERLAY_MAX - overlay->bytes)
        return false;
    struct slot *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < overlay->n_slots; i++) {
        if (!overlay->slots[i].entry)
            continue;
        size_t at = overlay->slots[i].hash & (n_slots - 1);
        while (slots[at].entry)
            at = (at + 1) & (n_slots - 1);
        slots[at] = overlay->slots[i];
    }
    overlay->bytes += (n_slots - overlay->n_slots) * sizeof *slots;
    free(overlay->slots);
    overlay->slots = slots;
    overlay->n_slots = n_slots;
    return true;
}

const struct overlay_entry *overlay_get(const struct overlay *overlay, unsigned table, struct bytes key)
{
    return slot_find(overlay, key_hash(overlay, table, key), table, key)->entry;
}

/* Key and value in one piece; the value can move away later. */
static struct overlay_entry *entry_new(struct overlay *overlay, unsigned table, struct bytes key,
                                       struct bytes value)
{
    size_t head = (sizeof(struct overlay_entry) + key.size + 7) & ~(size_t)7;
    size_t room = (value.size + 7) & ~(size_t)7;
    struct overlay_entry *entry = room_take(overlay, head + room);
    if (!entry)
        return NULL;
    entry->table = (uint16_t)table;
    entry->key_size = (uint16_t)key.size;
    memcpy(entry->key, key.data, key.size);
    entry->value = (uint8_t *)entry + head;
    entry->value_room = (uint32_t)room;
    entry->value_size = (uint32_t)value.size;
    if (value.size > 0)
        memcpy(entry->value, value.data, value.size);
    return entry;
}

static bool entry_replace(struct overlay *overlay, struct overlay_entry *entry, struct bytes value)
{
    if (value.size > entry->value_room) {
        size_t room = (value.size + value.size / 2 + 7) & ~(size_t)7;
        uint8_t *moved = room_take(overlay, room);
        if (!moved)
            return false;
        overlay->wasted += entry->value_room;
        entry->value = moved;
        entry->value_room = (uint32_t)room;
    }
    if (value.size > 0)
        memmove(entry->value, value.data, value.size); /* it may be what get told of this very entry */
    entry->value_size = (uint32_t)value.size;
    return true;
}

bool overlay_put(struct overlay *overlay, unsigned table, struct bytes key, struct bytes value)
{
    assert(key.size <= UINT16_MAX && value.size <= UINT32_MAX / 2);
    uint64_t hash = key_hash(overlay, table, key);
    struct slot *slot = slot_find(overlay, hash, table, key);
    if (slot->entry)
        return entry_replace(overlay, slot->entry, value);
    if (overlay->n_entries >= overlay->n_slots / 4 * 3) {
        if (!slots_grow(overlay))
            return false;
        slot = slot_find(overlay, hash, table, key);
    }
    struct overlay_entry *entry = entry_new(overlay, table, key, value);
    if (!entry)
        return false;
    *slot = (struct slot){hash, entry};
    overlay->n_entries++;
    return true;
}

static uint64_t key_prefix(const struct overlay_entry *entry)
{
    uint8_t first[8] = {0};
    memcpy(first, entry->key, entry->key_size < sizeof first ? entry->key_size : sizeof first);
    return get_u64be(first);
}

static int row_compare(const void *left, const void *right)
{
    const struct overlay_row *x = left;
    const struct overlay_row *y = right;
    const struct overlay_entry *a = x->entry;
    const struct overlay_entry *b = y->entry;
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    return order ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

struct overlay_row *overlay_sorted(const struct overlay *overlay)
{
    struct overlay_row *rows = calloc(overlay->n_entries + 1, sizeof *rows);
    size_t n = 0;
    if (!rows)
        return NULL;
    for (size_t i = 0; i < overlay->n_slots; i++) {
        const struct overlay_entry *entry = overlay->slots[i].entry;
        if (entry)
            rows[n++] = (struct overlay_row){key_prefix(entry), entry};
    }
    qsort(rows, n, sizeof *rows, row_compare);
    return rows;
}
