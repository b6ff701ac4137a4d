/* Tiles of a ledger, as bytes (C2SP tlog-tiles): hashes one behind the other, or entries, each behind its
 * length in two bytes, big end first. */
#ifndef LEDGER_TILE_H
#define LEDGER_TILE_H

#include "hub/ledger/ledger.h"
#include "proto/merkle/tiles.h"

#define TILE_ENTRY_MAX  65535
#define TILE_BUNDLE_MAX (TILE_WIDTH * (2 + TILE_ENTRY_MAX))

/* Appends @tile to @out. CASEBUS_NOT_FOUND past the end of the ledger. */
int ledger_view_tile(struct ledger_view *view, const struct tile *tile, struct buffer *out,
                     struct casebus_error *err);

#endif
