#include "proto/base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_COMPARED = 64 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits that turn @a into @b, letters' case aside (Levenshtein, one row at a time). */
static unsigned name_distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_COMPARED + 1];
    size_t n = strlen(b);
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned replaced = diagonal + !same;
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const char *name_nearest(const char *name, const char *(*name_at)(void *self, size_t index), void *self)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    const char *candidate;
    if (strlen(name) > NAME_MAX_COMPARED)
        return NULL;
    for (size_t i = 0; (candidate = name_at(self, i)); i++) {
        if (strlen(candidate) > NAME_MAX_COMPARED)
            continue;
        unsigned distance = name_distance(name, candidate);
        if (!best || distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best && best_distance <= 1 + strlen(name) / 4 ? best : NULL;
}
