#include "hub/ledger/tile.h"

#include "proto/base/texts.h"

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a tile"));
}

static int hashes_append(struct ledger_view *view, const struct tile *tile, struct buffer *out,
                         struct casebus_error *err)
{
    uint8_t *to = buffer_reserve(out, tile->width * DIGEST_SIZE);
    if (!to)
        return no_memory(err);
    for (unsigned i = 0; i < tile->width; i++)
        if (ledger_view_hash(view, TILE_HEIGHT * (unsigned)tile->level, tile->index * TILE_WIDTH + i,
                             to + i * DIGEST_SIZE, err))
            return -1;
    out->size += tile->width * DIGEST_SIZE;
    return 0;
}

static int entry_append(struct bytes leaf, uint64_t position, struct buffer *out, struct casebus_error *err)
{
    if (leaf.size > TILE_ENTRY_MAX)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu has %zu bytes; an entry has at most %d"),
                         (unsigned long long)position, leaf.size, TILE_ENTRY_MAX);
    const uint8_t length[2] = {(uint8_t)(leaf.size >> 8), (uint8_t)leaf.size};
    return buffer_append(out, length, 2) && buffer_append(out, leaf.data, leaf.size) ? 0 : no_memory(err);
}

static int entries_append(struct ledger_view *view, const struct tile *tile, struct buffer *out,
                          struct casebus_error *err)
{
    for (unsigned i = 0; i < tile->width; i++) {
        uint64_t position = tile->index * TILE_WIDTH + i;
        struct bytes leaf;
        if (ledger_view_leaf(view, position, &leaf, err) || entry_append(leaf, position, out, err))
            return -1;
    }
    return 0;
}

int ledger_view_tile(struct ledger_view *view, const struct tile *tile, struct buffer *out,
                     struct casebus_error *err)
{
    return tile->level == TILE_ENTRIES ? entries_append(view, tile, out, err)
                                       : hashes_append(view, tile, out, err);
}
