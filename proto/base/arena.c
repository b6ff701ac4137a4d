/* An arena hands out memory from a chain of blocks by moving a mark; a piece larger than a block gets a block
 * of its own. Everything is given back at once, which makes the end of a batch one short loop. The bound
 * counts what was asked for, so hostile input runs into it at the same place on every machine. */
#include "proto/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *arena, size_t block_size, size_t max)
{
    *arena = (struct arena){.block_size = block_size, .max = max};
}

static struct arena_block *block_free_all(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    return NULL;
}

void arena_deinit(struct arena *arena)
{
    block_free_all(arena->blocks);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    struct arena_block *kept = arena->blocks;
    if (!kept)
        return;
    kept->next = block_free_all(kept->next);
    kept->used = 0;
    if (kept->size > arena->block_size) /* made for one large piece: not worth holding on to */
        arena->blocks = block_free_all(kept);
}

size_t arena_held(const struct arena *arena)
{
    size_t held = 0;
    for (const struct arena_block *block = arena->blocks; block; block = block->next)
        held += sizeof *block + block->size;
    return held;
}

static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
    size_t room = size > arena->block_size ? size : arena->block_size;
    if (room > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = malloc(sizeof *block + room);
    if (!block)
        return NULL;
    *block = (struct arena_block){.next = arena->blocks, .size = room};
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > arena->max - arena->used || size > SIZE_MAX - align)
        return NULL;
    size_t rounded = (size + align - 1) / align * align;
    if (rounded == 0)
        rounded = align;
    struct arena_block *block = arena->blocks;
    if (!block || rounded > block->size - block->used)
        block = arena_grow(arena, rounded);
    if (!block)
        return NULL;
    void *piece = block->data + block->used;
    block->used += rounded;
    arena->used += size;
    return piece;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *piece = arena_alloc(arena, size);
    if (piece && size > 0)
        memcpy(piece, data, size);
    return piece;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    char *piece = arena_copy(arena, text, (size_t)length + 1);
    free(text);
    return piece;
}
