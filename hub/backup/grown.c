#include "hub/backup/grown.h"

#include "proto/base/texts.h"

#include <stdlib.h>

int grown(void *itemsp, size_t n, size_t *capacity, size_t size, struct casebus_error *err)
{
    if (n < *capacity)
        return 0;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *items = realloc(*(void **)itemsp, wanted * size);
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
    *(void **)itemsp = items;
    *capacity = wanted;
    return 0;
}
