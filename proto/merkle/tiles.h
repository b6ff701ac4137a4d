/* Tiles: the coordinates of C2SP tlog-tiles, by which a Merkle tree is cut into files that never change.
 *
 * Tile (L, N) holds the hashes (8L, 256N) to (8L, 256N + 255) of the tree; the last one of a level may be
 * partial, of width 1 to 255. The entries are cut alike, 256 a bundle. Its path is
 *
 *   tile/L/N        tile/L/N.p/W        tile/entries/N        tile/entries/N.p/W
 *
 * with N in groups of three digits, all but the last behind an x: 1234067 is x001/x234/067. */
#ifndef MERKLE_TILES_H
#define MERKLE_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TILE_HEIGHT    8
#define TILE_WIDTH     256
#define TILE_LEVELS    8    /* of tiles, in a tree of fewer than 2^64 leaves */
#define TILE_ENTRIES   (-1) /* the level of a bundle of entries */
#define TILE_INDEX_MAX UINT64_C(999999999999999999)
#define TILE_PATH_MAX  64

struct tile {
    int level;
    uint64_t index;
    unsigned width; /* 1 .. 256; below 256: a partial one */
};

/* Writes the path, NUL-terminated. Returns @out. */
const char *tile_path(char out[TILE_PATH_MAX], const struct tile *tile);
/* Reads a path. Strictly: of all ways to write one, only the one that tile_path has is a path. */
bool tile_parse(struct tile *tile, const char *path);
/* How much of tile (@level, @index) there is in a tree of @size leaves: 0 .. 256. */
unsigned tile_width_in(int level, uint64_t index, uint64_t size);
/* How many tiles of @level a tree of @size leaves has; the last one may be partial. */
uint64_t tile_count(int level, uint64_t size);

#endif
