#include "proto/crypto/authorities.h"

#include "proto/base/texts.h"

#include <stdlib.h>

struct bytes authorities_newest(const struct authorities *authorities)
{
    return authorities->n ? authorities->items[authorities->n - 1] : bytes_of(NULL, 0);
}

int authorities_add(struct authorities *authorities, struct bytes authority, struct casebus_error *err)
{
    if (authorities->n && bytes_equal(authorities_newest(authorities), authority))
        return 0;
    uint8_t *copy = malloc(authority.size + 1);
    struct bytes *grown = copy ? realloc(authorities->items, (authorities->n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the authorities of a hub"));
    }
    memcpy(copy, authority.data, authority.size);
    grown[authorities->n++] = bytes_of(copy, authority.size);
    authorities->items = grown;
    return 0;
}

int authorities_copy(struct authorities *to, const struct authorities *from, struct casebus_error *err)
{
    for (size_t i = 0; i < from->n; i++)
        if (authorities_add(to, from->items[i], err))
            return -1;
    return 0;
}

void authorities_deinit(struct authorities *authorities)
{
    for (size_t i = 0; i < authorities->n; i++)
        free((void *)(uintptr_t)authorities->items[i].data);
    free(authorities->items);
    *authorities = (struct authorities){0};
}

/* What is wrong with it by the newest says more than what is by the oldest. */
const struct bytes *authorities_check(const struct authorities *authorities, struct bytes certificate,
                                      struct certificate_info *info, struct casebus_error *err)
{
    struct casebus_error other;
    if (authorities->n == 0)
        error_set(err, CASEBUS_CERTIFICATE, _("no authority is known that could have issued it"));
    for (size_t i = authorities->n; i > 0; i--)
        if (certificate_check(certificate, authorities->items[i - 1], 0, info,
                              i == authorities->n ? err : &other) == 0)
            return &authorities->items[i - 1];
    return NULL;
}
