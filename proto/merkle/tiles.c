#include "proto/merkle/tiles.h"

#include <stdio.h>
#include <string.h>

#define GROUP      1000
#define GROUPS_MAX 6 /* of TILE_INDEX_MAX */

/* ---- writing ---- */

static size_t groups_write(char *out, uint64_t index)
{
    unsigned groups[GROUPS_MAX];
    size_t n = 0, size = 0;
    do {
        groups[n++] = (unsigned)(index % GROUP);
        index /= GROUP;
    } while (index > 0 && n < GROUPS_MAX);
    while (n-- > 1)
        size += (size_t)sprintf(out + size, "x%03u/", groups[n]);
    return size + (size_t)sprintf(out + size, "%03u", groups[0]);
}

const char *tile_path(char out[TILE_PATH_MAX], const struct tile *tile)
{
    size_t size = tile->level == TILE_ENTRIES ? (size_t)sprintf(out, "tile/entries/")
                                              : (size_t)sprintf(out, "tile/%d/", tile->level);
    size += groups_write(out + size, tile->index);
    if (tile->width < TILE_WIDTH)
        sprintf(out + size, ".p/%u", tile->width);
    return out;
}

/* ---- reading ---- */

/* Each takes what it knows from the front of @p; NULL: it is not there. */

static const char *take_level(const char *p, int *level)
{
    static const char entries[] = "entries/";
    if (strncmp(p, entries, sizeof entries - 1) == 0) {
        *level = TILE_ENTRIES;
        return p + sizeof entries - 1;
    }
    if (p[0] < '0' || p[0] >= '0' + TILE_LEVELS || p[1] != '/')
        return NULL;
    *level = p[0] - '0';
    return p + 2;
}

static const char *take_group(const char *p, uint64_t *index)
{
    unsigned group = 0;
    for (int i = 0; i < 3; i++, p++) {
        if (*p < '0' || *p > '9')
            return NULL;
        group = group * 10 + (unsigned)(*p - '0');
    }
    *index = *index * GROUP + group;
    return p;
}

static const char *take_index(const char *p, uint64_t *index)
{
    *index = 0;
    for (int i = 1; *p == 'x'; i++) {
        p = i < GROUPS_MAX ? take_group(p + 1, index) : NULL;
        if (!p || *p++ != '/')
            return NULL;
    }
    return take_group(p, index);
}

static const char *take_width(const char *p, unsigned *width)
{
    *width = TILE_WIDTH;
    if (strncmp(p, ".p/", 3) != 0)
        return p;
    unsigned digits = 0;
    for (*width = 0, p += 3; *p >= '0' && *p <= '9' && digits < 3; p++, digits++)
        *width = *width * 10 + (unsigned)(*p - '0');
    return *width > 0 && *width < TILE_WIDTH ? p : NULL;
}

/* Zeros that lead an index or a width are not caught above: the path is written anew and compared. */
bool tile_parse(struct tile *tile, const char *path)
{
    char again[TILE_PATH_MAX];
    const char *p = strncmp(path, "tile/", 5) == 0 ? path + 5 : NULL;
    if (p)
        p = take_level(p, &tile->level);
    if (p)
        p = take_index(p, &tile->index);
    if (p)
        p = take_width(p, &tile->width);
    return p && *p == '\0' && strcmp(tile_path(again, tile), path) == 0;
}

/* ---- trees ---- */

/* Complete subtrees at the level of the tile's hashes. */
static uint64_t hashes_in(int level, uint64_t size)
{
    return level == TILE_ENTRIES ? size : size >> (TILE_HEIGHT * level);
}

unsigned tile_width_in(int level, uint64_t index, uint64_t size)
{
    uint64_t hashes = hashes_in(level, size);
    if (index >= hashes / TILE_WIDTH)
        return index == hashes / TILE_WIDTH ? (unsigned)(hashes % TILE_WIDTH) : 0;
    return TILE_WIDTH;
}

uint64_t tile_count(int level, uint64_t size)
{
    uint64_t hashes = hashes_in(level, size);
    return hashes / TILE_WIDTH + (hashes % TILE_WIDTH > 0);
}
