/* Overlay: keys and values in memory, written over in place, until they are written to disk in key order. */
#ifndef STATE_OVERLAY_H
#define STATE_OVERLAY_H

#include "proto/base/bytes.h"

#define OVERLAY_MAX ((size_t)1 << 30) /* a stop for runaways; the owner bounds it much lower */

struct overlay_entry {
    uint8_t *value;
    uint32_t value_size;
    uint32_t value_room;
    uint16_t table;
    uint16_t key_size;
    uint8_t key[];
};

struct overlay;

/* @expected: how many entries to make room for at first. NULL without memory. */
struct overlay *overlay_new(size_t expected);
struct overlay *overlay_free(struct overlay *overlay);
size_t overlay_count(const struct overlay *overlay);
size_t overlay_bytes(const struct overlay *overlay);  /* memory it holds */
size_t overlay_wasted(const struct overlay *overlay); /* of it, room of values that outgrew it */

/* NULL when it is not there. */
const struct overlay_entry *overlay_get(const struct overlay *overlay, unsigned table, struct bytes key);
/* Copies both. False without memory or past OVERLAY_MAX; nothing is changed then. */
bool overlay_put(struct overlay *overlay, unsigned table, struct bytes key, struct bytes value);
/* An entry in its order: by table, then key. */
struct overlay_row {
    uint64_t prefix; /* first eight bytes of the key, so that sorting seldom looks at the entry */
    const struct overlay_entry *entry;
};

/* All entries in order, in an array for the caller to free. NULL without memory. */
struct overlay_row *overlay_sorted(const struct overlay *overlay);

#endif
