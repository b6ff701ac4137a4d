/* Arena: memory that is given back all at once; one per batch, with a bound. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes handed out, all blocks */
    size_t max;                 /* bound on @used */
    size_t block_size;
};

void arena_init(struct arena *arena, size_t block_size, size_t max);
void arena_deinit(struct arena *arena); /* fine on a zeroed arena */
/* Forgets everything handed out; keeps one block for reuse. */
void arena_reset(struct arena *arena);
/* Bytes that it takes from the system, used or not. */
size_t arena_held(const struct arena *arena);
/* @size bytes aligned for any type, not cleared; NULL past the bound or without memory. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
