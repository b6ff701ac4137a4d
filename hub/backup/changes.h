/* Changes: contents that were erased at the hub since they were copied. Where an order kept something of a
 * case, all bodies of it were sealed anew under another slot, since the old one is gone. The orders tell
 * where to look; what the hub has now is compared with the copy. */
#ifndef BACKUP_CHANGES_H
#define BACKUP_CHANGES_H

#include "hub/ledger/ledger.h"

struct change {
    uint64_t position;
    uint8_t digest[DIGEST_SIZE]; /* of the body that is to take the copy's place */
};

struct changes {
    struct change *items; /* by position */
    size_t n, capacity;
    uint64_t orders_from; /* every order before it is done, and has reached the copy with these changes */
    bool beyond;          /* there are orders at or above @size already, whose work may be seen */
};

/* Looks for what orders at or above @first changed of the first @size entries, which @to has. */
int changes_find(struct changes *changes, struct ledger *to, struct ledger *from, uint64_t first,
                 uint64_t size, struct casebus_error *err);
/* Makes them in @to, in one transaction together with @mark. 1: made; 0: the hub has changed one of them once
 * more, and nothing is done. */
int changes_make(const struct changes *changes, struct ledger *to, struct ledger *from, const char *mark,
                 struct casebus_error *err);
void changes_deinit(struct changes *changes); /* fine on a zeroed one */

#endif
