/* Shield: keeps what is secret in this process's memory from disks and from other processes of its account.
 *
 * No core file is written, no other process may look in or attach (PR_SET_DUMPABLE), and the memory in which
 * keys lie is locked, so that it never reaches a swap device. $CASEBUS_DUMPABLE=1 lets developers look in. */
#ifndef CRYPTO_SHIELD_H
#define CRYPTO_SHIELD_H

#include <stdbool.h>
#include <stddef.h>

/* Called once by main, before the first key: from then on OpenSSL keeps private keys in locked memory. */
void shield_begin(void);
/* What is missing, in words for people, or NULL. */
const char *shield_lacks(void);

/* Zeroed memory of its own, locked if the limit allows; NULL: there is none. */
void *secret_new(size_t size);
/* Wipes and gives it back. NULL in, NULL out. */
void *secret_free(void *memory, size_t size);

#endif
