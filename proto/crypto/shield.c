/* Not all of the process is locked (mlockall): the ledger's map is a terabyte wide, and each of its pages
 * that is touched would be locked with it. Our own secrets lie in pages of their own and not in OpenSSL's
 * locked heap: that one ends at its size, and a library may not set it up in somebody else's process. What
 * OpenSSL and libzmq copy into contexts of their own lies in ordinary memory: against swapping of that, the
 * service's unit says MemorySwapMax=0. */
#include "proto/crypto/shield.h"

#include "proto/base/texts.h"
#include "proto/crypto/suite.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define KEYS_SIZE  ((size_t)128 * 1024) /* of OpenSSL's locked heap: private keys, states of generators */
#define KEYS_LEAST 32                   /* of one piece of it */

static bool open_to_look; /* set once, before there are threads */
static atomic_bool unlocked;

void shield_begin(void)
{
    const char *look = getenv("CASEBUS_DUMPABLE");
    open_to_look = look && strcmp(look, "1") == 0;
    if (!open_to_look) {
        const struct rlimit none = {0, 0};
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        setrlimit(RLIMIT_CORE, &none);
    }
    if (CRYPTO_secure_malloc_init(KEYS_SIZE, KEYS_LEAST) != 1)
        atomic_store(&unlocked, true);
}

const char *shield_lacks(void)
{
    if (open_to_look)
        return _("CASEBUS_DUMPABLE=1: whoever runs programs of this account can read the keys in memory");
    if (atomic_load(&unlocked))
        return _("keys in memory are not locked and may be swapped to a disk: allow this user more locked "
                 "memory (ulimit -l, LimitMEMLOCK)");
    return NULL;
}

void *secret_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (mlock(memory, size))
        atomic_store(&unlocked, true);
    madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

void *secret_free(void *memory, size_t size)
{
    if (!memory)
        return NULL;
    secret_clear(memory, size);
    munmap(memory, size);
    return NULL;
}
