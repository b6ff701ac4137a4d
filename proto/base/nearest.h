/* Nearest: which of the names that there are somebody probably meant who wrote another. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* The name that @name was probably meant to be, of those that @name_at counts off (NULL past the end); or
 * NULL. */
const char *name_nearest(const char *name, const char *(*name_at)(void *self, size_t index), void *self);

#endif
