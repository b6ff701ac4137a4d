/* Store in memory: for tests and the simulator. Runs the exchange without a disk. */
#ifndef EXCHANGE_STORE_MEMORY_H
#define EXCHANGE_STORE_MEMORY_H

#include "hub/exchange/store.h"

struct store_memory;

struct store_memory *store_memory_new(void); /* NULL without memory */
struct store_memory *store_memory_free(struct store_memory *memory);
struct exchange_store store_memory_store(struct store_memory *memory);
size_t store_memory_count(const struct store_memory *memory, enum exchange_table table);
/* Calls @visit for every row in the order of the keys' bytes, until it returns non-zero; returns that. */
int store_memory_walk(struct store_memory *memory, enum exchange_table table,
                      int (*visit)(void *self, struct bytes key, struct bytes value), void *self);

#endif
