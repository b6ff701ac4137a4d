/* Two files and a ring.
 *
 * Slots are written to both copies and synced; only then does the header count them, and only then are their
 * keys put into the ring, a piece of locked memory from which the writer takes them. The ring has one
 * producer (vault_prepare, keeper) and one consumer (vault_take, writer): `loaded` is the keeper's word,
 * `taken` the writer's, and the keys of (taken, loaded] are in the ring.
 *
 * The files grow by twice what has to be ahead, so that the syncs are paid once for that many slots.
 *
 * Erasing goes first to one copy, then to the other, and is completed when the vault is opened: an erased
 * slot in one copy outweighs a key in the other.
 *
 * A new key-encryption key needs no state of its own. Both copies are written anew beside the old ones; the
 * owner then replaces the key, which is the one moment that counts; and the vault is opened with whichever
 * key there is. What stands beside a copy is put in its place when it is of that key, and is dropped when the
 * copy itself is. With a key that is neither's, nothing is touched. */
#include "hub/vault/vault.h"

#include "hub/vault/copy.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 1024 /* slots read or written at once */

struct ring_cell {
    uint8_t key[KEY_SIZE];
    bool usable; /* false: damaged before it was ever used; take steps over it */
};

/* Lives in locked memory. */
struct secrets {
    uint8_t kek[KEY_SIZE];
    struct ring_cell ring[];
};

struct vault {
    struct copy copies[2];
    struct vault_header header; /* the keeper's, but for... */
    atomic_uint_fast64_t count; /* ...header.count, which anyone may ask */
    unsigned ahead;             /* 0: opened to read; nothing is written, mended or taken */
    uint64_t ring_size;         /* a power of two, not below ahead */
    struct secrets *secrets;
    size_t secrets_size;
    atomic_uint_fast64_t taken;
    atomic_uint_fast64_t loaded;
    pthread_mutex_t crypter_lock;
    struct crypter *crypter;
};

/* --- keys ---------------------------------------------------------------------------------------------- */

#define AAD_CONTEXT "casebus/v1/vault"
#define AAD_SIZE    (sizeof AAD_CONTEXT + 8)

static struct bytes slot_aad(uint8_t aad[AAD_SIZE], uint64_t slot)
{
    memcpy(aad, AAD_CONTEXT, sizeof AAD_CONTEXT); /* with its NUL */
    put_u64be(aad + sizeof AAD_CONTEXT, slot);
    return bytes_of(aad, AAD_SIZE);
}

static void slot_wrap(struct vault *vault, const uint8_t kek[KEY_SIZE], const uint8_t key[KEY_SIZE],
                      uint8_t record[SLOT_SIZE], uint64_t slot)
{
    uint8_t aad[AAD_SIZE];

    pthread_mutex_lock(&vault->crypter_lock);
    crypter_seal(vault->crypter, kek, NULL, slot_aad(aad, slot), bytes_of(key, KEY_SIZE), record);
    pthread_mutex_unlock(&vault->crypter_lock);
    slot_finish(record, slot);
}

static void slot_make(struct vault *vault, uint8_t record[SLOT_SIZE], uint64_t slot)
{
    uint8_t key[KEY_SIZE];

    random_bytes(key, sizeof key);
    slot_wrap(vault, vault->secrets->kek, key, record, slot);
    secret_clear(key, sizeof key);
}

static bool slot_open(struct vault *vault, const uint8_t record[SLOT_SIZE], uint64_t slot,
                      uint8_t key[KEY_SIZE])
{
    uint8_t aad[AAD_SIZE];

    pthread_mutex_lock(&vault->crypter_lock);
    bool opened = crypter_open(vault->crypter, vault->secrets->kek, slot_aad(aad, slot),
                               bytes_of(record, SEALED_SIZE), key);
    pthread_mutex_unlock(&vault->crypter_lock);
    return opened;
}

static void key_check(struct vault *vault, const uint8_t kek[KEY_SIZE], const uint8_t id[VAULT_ID_SIZE],
                      uint8_t check[CHECK_SIZE])
{
    uint8_t mac[DIGEST_SIZE];
    struct bytes parts[] = {bytes_of("casebus/v1/vault-key", sizeof "casebus/v1/vault-key"),
                            bytes_of(id, VAULT_ID_SIZE)};
    crypter_mac(vault->crypter, bytes_of(kek, KEY_SIZE), parts, 2, mac);
    memcpy(check, mac, CHECK_SIZE);
}

/* Whether the header tells the key that the vault is opened with. */
static bool header_is_ours(struct vault *vault, const struct vault_header *header)
{
    uint8_t check[CHECK_SIZE];
    key_check(vault, vault->secrets->kek, header->id, check);
    return secret_equal(check, header->check, CHECK_SIZE);
}

/* --- opening: two copies become one ----------------------------------------------------------------------
 */

static int secrets_make(struct vault *vault, const uint8_t kek[KEY_SIZE], struct casebus_error *err)
{
    for (vault->ring_size = 1; vault->ring_size < vault->ahead;)
        vault->ring_size *= 2;
    vault->secrets_size = sizeof *vault->secrets + vault->ring_size * sizeof(struct ring_cell);
    void *memory =
        mmap(NULL, vault->secrets_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the keys of the vault '%s'"),
                         vault->copies[0].path);
    vault->secrets = memory;
    if (mlock(memory, vault->secrets_size) != 0) {
        error_set_errno(err, errno, _("cannot lock the vault's keys in memory"));
        return error_hint(err, _("allow this user %zu KiB of locked memory (ulimit -l, LimitMEMLOCK)"),
                          vault->secrets_size / 1024 + 64);
    }
    madvise(memory, vault->secrets_size, MADV_DONTDUMP);
    memcpy(vault->secrets->kek, kek, KEY_SIZE);
    return 0;
}

static int vault_make(struct vault *vault, struct casebus_error *err)
{
    random_bytes(vault->header.id, VAULT_ID_SIZE);
    key_check(vault, vault->secrets->kek, vault->header.id, vault->header.check);
    vault->header.count = 0;
    for (int i = 0; i < 2; i++)
        if (copy_make(&vault->copies[i], &vault->header, err) != 0)
            return -1;
    return 0;
}

/* Takes the header that counts more: its slots are in both copies. A header that differs is written again. */
static int headers_join(struct vault *vault, struct casebus_error *err)
{
    struct vault_header headers[2];
    bool good[2];

    for (int i = 0; i < 2; i++) {
        int r = vault->copies[i].fd >= 0 ? copy_read_header(&vault->copies[i], &headers[i], err) : 0;
        if (r < 0)
            return -1;
        good[i] = r == 1;
    }
    if (!good[0] && !good[1])
        return error_set(err, CASEBUS_DAMAGED, _("the vault '%s' is damaged, and so is its other copy"),
                         vault->copies[0].path);
    if (good[0] && good[1] && memcmp(headers[0].id, headers[1].id, VAULT_ID_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' and '%s' are not copies of the same vault"),
                         vault->copies[0].path, vault->copies[1].path);
    int better = !good[0] || (good[1] && headers[1].count > headers[0].count);
    vault->header = headers[better];
    int other = !better;
    if (!vault->ahead)
        return 0;
    if (vault->copies[other].fd < 0)
        return copy_make(&vault->copies[other], &vault->header, err);
    if (good[other] && headers[other].count == vault->header.count)
        return 0;
    return copy_write_header(&vault->copies[other], &vault->header, err);
}

static int check_kek(struct vault *vault, struct casebus_error *err)
{
    if (header_is_ours(vault, &vault->header))
        return 0;
    error_set(err, CASEBUS_KEY, _("the vault '%s' was made under another key"), vault->copies[0].path);
    return error_hint(err, _("put back the file keys/kek.key that belongs to it"));
}

/* Reads the other file from now on, without renaming anything. */
static int copy_take(struct copy *copy, struct copy *from)
{
    int fd = copy->fd;
    copy->fd = from->fd;
    from->fd = fd;
    return 0;
}

/* What a rotation of the key left beside this copy: put in its place, dropped, or left alone (see above). */
static int copy_settle(struct vault *vault, const char *folder, int which, struct casebus_error *err)
{
    struct vault_header header, beside;
    struct copy *copy = &vault->copies[which];
    struct copy fresh = {.fd = -1};
    int r = copy_open(&fresh, folder, which ? "b.new" : "a.new", !vault->ahead, err);
    if (r <= 0)
        return r;
    r = copy_read_header(&fresh, &beside, err);
    int ours = copy->fd >= 0 && r >= 0 ? copy_read_header(copy, &header, err) : 0;
    if (r < 0 || ours < 0)
        r = -1;
    else if (r == 1 && header_is_ours(vault, &beside) && vault->ahead)
        r = copy_replace(copy, &fresh, err);
    else if (r == 1 && header_is_ours(vault, &beside))
        r = copy_take(copy, &fresh);
    else if (ours == 1 && header_is_ours(vault, &header) && vault->ahead)
        r = copy_remove(&fresh, err);
    else
        r = 0;
    copy_close(&fresh);
    return r;
}

/* Which copy has to be written from the other: 0, 1, or -1 for none. */
static int slot_worse(const uint8_t *a, const uint8_t *b, uint64_t slot)
{
    enum slot_kind kind_a = slot_kind(a, slot);
    enum slot_kind kind_b = slot_kind(b, slot);
    if (kind_a == kind_b)
        return -1;
    if (kind_a == SLOT_ERASED || kind_b == SLOT_DAMAGED)
        return 1;
    return 0;
}

static int chunk_mend(struct vault *vault, uint64_t first, uint8_t *records[2], size_t n, unsigned *mended,
                      struct casebus_error *err)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *pair[2] = {records[0] + i * SLOT_SIZE, records[1] + i * SLOT_SIZE};
        if (memcmp(pair[0], pair[1], SLOT_SIZE) == 0)
            continue;
        int worse = slot_worse(pair[0], pair[1], first + i);
        if (worse < 0)
            continue;
        if (copy_write_slots(&vault->copies[worse], first + i, pair[!worse], 1, err) != 0)
            return -1;
        (*mended)++;
    }
    return 0;
}

/* Slots that are alike need no look: either they are good or both are damaged. */
static int range_mend(struct vault *vault, uint64_t first, uint8_t *records[2], size_t n, unsigned *mended,
                      struct casebus_error *err)
{
    for (int i = 0; i < 2; i++)
        if (copy_read_slots(&vault->copies[i], first, records[i], n, err) != 0)
            return -1;
    if (memcmp(records[0], records[1], n * SLOT_SIZE) == 0)
        return 0;
    return chunk_mend(vault, first, records, n, mended, err);
}

static int slots_mend(struct vault *vault, unsigned *mended, struct casebus_error *err)
{
    uint8_t *memory = malloc((size_t)2 * CHUNK * SLOT_SIZE);
    if (!memory)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the vault"));
    uint8_t *records[2] = {memory, memory + (size_t)CHUNK * SLOT_SIZE};
    int r = 0;

    for (uint64_t first = 1; r == 0 && first <= vault->header.count; first += CHUNK) {
        uint64_t left = vault->header.count - first + 1;
        r = range_mend(vault, first, records, left < CHUNK ? (size_t)left : CHUNK, mended, err);
    }
    free(memory);
    for (int i = 0; r == 0 && *mended > 0 && i < 2; i++)
        r = copy_sync(&vault->copies[i], err);
    return r;
}

/* Opens the files, or makes them; afterwards both say the same. */
static int copies_open(struct vault *vault, const char *dir, unsigned *mended, struct casebus_error *err)
{
    char folder[PATH_MAX];
    int there = 0;

    if (path_join(folder, sizeof folder, dir, "vault") != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    if (vault->ahead && dir_make(folder, err) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        int r = copy_open(&vault->copies[i], folder, i ? "b" : "a", !vault->ahead, err);
        if (r < 0 || copy_settle(vault, folder, i, err) != 0)
            return -1;
        there += vault->copies[i].fd >= 0;
    }
    if (there == 0 && !vault->ahead)
        return error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no vault"), folder);
    if (there == 0)
        return vault_make(vault, err);
    if (headers_join(vault, err) != 0 || check_kek(vault, err) != 0)
        return -1;
    return vault->ahead ? slots_mend(vault, mended, err) : 0;
}

static void ring_load(struct vault *vault, uint64_t target, uint64_t taken);

/* Makes no slots: which ones are taken is not known yet, and a new key in one of them would be a lie. */
static int vault_begin(struct vault **vaultp, const char *dir, const struct suite *suite,
                       const uint8_t kek[KEY_SIZE], unsigned ahead, unsigned *mended,
                       struct casebus_error *err)
{
    struct vault *vault = calloc(1, sizeof *vault);
    if (!vault)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the vault"));
    vault->ahead = ahead;
    vault->copies[0].fd = vault->copies[1].fd = -1;
    pthread_mutex_init(&vault->crypter_lock, NULL);
    vault->crypter = crypter_new(suite);
    int r = vault->crypter ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the vault"));
    if (r == 0)
        r = secrets_make(vault, kek, err);
    if (r == 0)
        r = copies_open(vault, dir, mended, err);
    atomic_init(&vault->count, vault->header.count);
    if (r == 0 && ahead)
        ring_load(vault, vault->header.count < ahead ? vault->header.count : ahead, 0);
    if (r != 0) {
        vault_close(vault);
        return -1;
    }
    *vaultp = vault;
    return 0;
}

int vault_open(struct vault **vaultp, const char *dir, const struct suite *suite, const uint8_t kek[KEY_SIZE],
               unsigned ahead, unsigned *mended, struct casebus_error *err)
{
    unsigned n_mended = 0;
    assert(ahead > 0);
    int r = vault_begin(vaultp, dir, suite, kek, ahead, &n_mended, err);
    if (mended)
        *mended = n_mended;
    return r;
}

int vault_open_readonly(struct vault **vaultp, const char *dir, const struct suite *suite,
                        const uint8_t kek[KEY_SIZE], struct casebus_error *err)
{
    unsigned ignored = 0;
    return vault_begin(vaultp, dir, suite, kek, 0, &ignored, err);
}

struct vault *vault_close(struct vault *vault)
{
    if (!vault)
        return NULL;
    for (int i = 0; i < 2; i++)
        copy_close(&vault->copies[i]);
    if (vault->secrets) {
        secret_clear(vault->secrets, vault->secrets_size);
        munmap(vault->secrets, vault->secrets_size);
    }
    crypter_free(vault->crypter);
    pthread_mutex_destroy(&vault->crypter_lock);
    free(vault);
    return NULL;
}

/* --- the writer's side --------------------------------------------------------------------------------- */

static struct ring_cell *ring_cell(const struct vault *vault, uint64_t slot)
{
    return &vault->secrets->ring[slot & (vault->ring_size - 1)];
}

uint64_t vault_taken(const struct vault *vault)
{
    return atomic_load_explicit(&vault->taken, memory_order_acquire);
}

uint64_t vault_ready(const struct vault *vault)
{
    uint64_t taken = vault_taken(vault);
    uint64_t loaded = atomic_load_explicit(&vault->loaded, memory_order_acquire);
    return loaded > taken ? loaded - taken : 0;
}

void vault_set_taken(struct vault *vault, uint64_t slot)
{
    uint64_t taken = atomic_load_explicit(&vault->taken, memory_order_relaxed);
    uint64_t loaded = atomic_load_explicit(&vault->loaded, memory_order_acquire);
    for (uint64_t i = taken + 1; i <= slot && i <= loaded; i++)
        secret_clear(ring_cell(vault, i)->key, KEY_SIZE);
    if (slot > taken)
        atomic_store_explicit(&vault->taken, slot, memory_order_release);
}

int vault_take(struct vault *vault, uint64_t *slotp, uint8_t key[KEY_SIZE], struct casebus_error *err)
{
    uint64_t loaded = atomic_load_explicit(&vault->loaded, memory_order_acquire);
    uint64_t slot = atomic_load_explicit(&vault->taken, memory_order_relaxed) + 1;

    for (; slot <= loaded && !ring_cell(vault, slot)->usable; slot++)
        atomic_store_explicit(&vault->taken, slot, memory_order_release);
    if (slot > loaded)
        return error_set(err, CASEBUS_BUSY, _("no slot of the vault is ready: making them is behind"));
    struct ring_cell *cell = ring_cell(vault, slot);
    memcpy(key, cell->key, KEY_SIZE);
    secret_clear(cell->key, KEY_SIZE);
    *slotp = slot;
    atomic_store_explicit(&vault->taken, slot, memory_order_release);
    return 0;
}

/* --- any thread ---------------------------------------------------------------------------------------- */

static int check_made(const struct vault *vault, uint64_t slot, struct casebus_error *err)
{
    uint64_t count = atomic_load_explicit(&vault->count, memory_order_acquire);
    if (slot >= 1 && slot <= count)
        return 0;
    return error_set(err, CASEBUS_DAMAGED, _("the vault '%s' has %llu slots, there is no slot %llu"),
                     vault->copies[0].path, (unsigned long long)count, (unsigned long long)slot);
}

int vault_key(struct vault *vault, uint64_t slot, uint8_t key[KEY_SIZE], struct casebus_error *err)
{
    uint8_t record[SLOT_SIZE];

    if (check_made(vault, slot, err) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (copy_read_slots(&vault->copies[i], slot, record, 1, err) != 0)
            continue; /* a sector that cannot be read is a damaged one */
        enum slot_kind kind = slot_kind(record, slot);
        if (kind == SLOT_ERASED)
            return error_set(err, CASEBUS_NOT_FOUND, _("the key in slot %llu was erased"),
                             (unsigned long long)slot);
        if (kind == SLOT_KEY && slot_open(vault, record, slot, key))
            return 0;
    }
    return error_set(err, CASEBUS_DAMAGED, _("slot %llu is damaged in both copies of the vault '%s'"),
                     (unsigned long long)slot, vault->copies[0].path);
}

static int check_taken(const struct vault *vault, uint64_t slot, struct casebus_error *err)
{
    if (check_made(vault, slot, err) != 0)
        return -1;
    if (slot > vault_taken(vault))
        return error_set(err, CASEBUS_ARGUMENT, _("slot %llu was never taken: there is nothing to erase"),
                         (unsigned long long)slot);
    return 0;
}

int vault_erase_slots(struct vault *vault, const uint64_t *slots, size_t n, struct casebus_error *err)
{
    uint8_t record[SLOT_SIZE];

    for (size_t k = 0; k < n; k++)
        if (check_taken(vault, slots[k], err) != 0)
            return -1;
    for (int i = 0; i < 2 && n > 0; i++) {
        for (size_t k = 0; k < n; k++) {
            slot_make_erased(record, slots[k]);
            if (copy_write_slots(&vault->copies[i], slots[k], record, 1, err) != 0)
                return -1;
        }
        if (copy_sync(&vault->copies[i], err) != 0)
            return -1;
    }
    return 0;
}

int vault_erase(struct vault *vault, uint64_t slot, struct casebus_error *err)
{
    return vault_erase_slots(vault, &slot, 1, err);
}

/* --- the keeper's side --------------------------------------------------------------------------------- */

/* Writes slots up to @count to both copies. */
static int slots_write(struct vault *vault, uint64_t count, struct casebus_error *err)
{
    uint8_t *records = malloc((size_t)CHUNK * SLOT_SIZE);
    if (!records)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to make slots of the vault"));
    int r = 0;

    for (uint64_t first = vault->header.count + 1; r == 0 && first <= count; first += CHUNK) {
        size_t n = count - first + 1 < CHUNK ? (size_t)(count - first + 1) : CHUNK;
        for (size_t i = 0; i < n; i++)
            slot_make(vault, records + i * SLOT_SIZE, first + i);
        for (int i = 0; r == 0 && i < 2; i++)
            r = copy_write_slots(&vault->copies[i], first, records, n, err);
    }
    free(records);
    return r;
}

static int slots_grow(struct vault *vault, uint64_t count, struct casebus_error *err)
{
    if (slots_write(vault, count, err) != 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (copy_sync(&vault->copies[i], err) != 0)
            return -1;
    struct vault_header header = vault->header;
    header.count = count;
    for (int i = 0; i < 2; i++)
        if (copy_write_header(&vault->copies[i], &header, err) != 0)
            return -1;
    vault->header.count = count;
    atomic_store_explicit(&vault->count, count, memory_order_release);
    return 0;
}

/* Puts the keys of the slots up to @target into the ring. */
static void ring_load(struct vault *vault, uint64_t target, uint64_t taken)
{
    uint64_t loaded = atomic_load_explicit(&vault->loaded, memory_order_relaxed);
    for (uint64_t slot = (loaded > taken ? loaded : taken) + 1; slot <= target; slot++) {
        struct ring_cell *cell = ring_cell(vault, slot);
        cell->usable = vault_key(vault, slot, cell->key, NULL) == 0;
        atomic_store_explicit(&vault->loaded, slot, memory_order_release);
    }
}

/* Slots are made before they are taken: a vault that has fewer is not the one that the bodies belong to. */
static int lost(const struct vault *vault, uint64_t taken, struct casebus_error *err)
{
    error_set(err, CASEBUS_DAMAGED, _("the vault '%s' has %llu slots, but %llu are in use: keys were lost"),
              vault->copies[0].path, (unsigned long long)vault->header.count, (unsigned long long)taken);
    return error_hint(err, _("put back the newest copy of the folder 'vault'; without it contents cannot be "
                             "read any more"));
}

int vault_prepare(struct vault *vault, struct casebus_error *err)
{
    uint64_t taken = vault_taken(vault);
    uint64_t target = taken + vault->ahead;
    if (taken > vault->header.count)
        return lost(vault, taken, err);
    if (vault->header.count < target && slots_grow(vault, target + vault->ahead, err) != 0)
        return -1;
    ring_load(vault, target, taken);
    return 0;
}

/* --- another key, and a look at all slots -------------------------------------------------------------- */

/* The better record of two. */
static enum slot_kind slot_of_pair(uint8_t *pair[2], uint64_t slot, const uint8_t **record)
{
    int worse = slot_worse(pair[0], pair[1], slot);
    *record = pair[worse == 0];
    return slot_kind(*record, slot);
}

struct slot_seen {
    uint64_t slot;
    enum slot_kind kind;
    const uint8_t *record;
    bool unlike; /* the other copy has something worse */
};

typedef void slot_visit_fn(void *self, const struct slot_seen *seen);

static int slots_read(struct vault *vault, uint64_t first, uint8_t *records[2], size_t n,
                      struct casebus_error *err)
{
    unsigned unreadable = 0;
    for (int i = 0; i < 2; i++) {
        memset(records[i], 0, n * SLOT_SIZE);
        unreadable +=
            vault->copies[i].fd < 0 || copy_read_slots(&vault->copies[i], first, records[i], n, err) != 0;
    }
    return unreadable == 2 ? -1 : 0;
}

/* Shows the slots [first, first + n), n <= CHUNK. */
static int slots_visit(struct vault *vault, uint64_t first, size_t n, slot_visit_fn *visit, void *self,
                       struct casebus_error *err)
{
    uint8_t *memory = malloc((size_t)2 * CHUNK * SLOT_SIZE);
    if (!memory)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read the vault"));
    uint8_t *records[2] = {memory, memory + (size_t)CHUNK * SLOT_SIZE};
    int r = slots_read(vault, first, records, n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        uint8_t *pair[2] = {records[0] + i * SLOT_SIZE, records[1] + i * SLOT_SIZE};
        struct slot_seen seen = {.slot = first + i, .unlike = slot_worse(pair[0], pair[1], first + i) >= 0};
        seen.kind = slot_of_pair(pair, first + i, &seen.record);
        visit(self, &seen);
    }
    free(memory);
    return r;
}

struct rewrap {
    struct vault *vault;
    const uint8_t *kek;
    struct vault_counts *counts;
    uint64_t first;
    uint8_t records[CHUNK][SLOT_SIZE];
};

/* A record that cannot be opened goes over as it is: it stays as damaged as it was. */
static void rewrap_slot(void *self, const struct slot_seen *seen)
{
    struct rewrap *rewrap = self;
    uint64_t slot = seen->slot;
    const uint8_t *record = seen->record;
    uint8_t *out = rewrap->records[slot - rewrap->first];
    uint8_t key[KEY_SIZE];

    if (seen->kind == SLOT_ERASED) {
        slot_make_erased(out, slot);
        rewrap->counts->erased++;
    } else if (seen->kind == SLOT_KEY && slot_open(rewrap->vault, record, slot, key)) {
        slot_wrap(rewrap->vault, rewrap->kek, key, out, slot);
        rewrap->counts->keys++;
    } else {
        memcpy(out, record, SLOT_SIZE);
        rewrap->counts->damaged++;
    }
    secret_clear(key, sizeof key);
}

static int rewrap_fill(struct rewrap *rewrap, struct copy fresh[2], struct casebus_error *err)
{
    struct vault *vault = rewrap->vault;
    int r = 0;
    for (uint64_t first = 1; r == 0 && first <= vault->header.count; first += CHUNK) {
        uint64_t left = vault->header.count - first + 1;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        rewrap->first = first;
        r = slots_visit(vault, first, n, rewrap_slot, rewrap, err);
        for (int i = 0; r == 0 && i < 2; i++)
            r = copy_write_slots(&fresh[i], first, rewrap->records[0], n, err);
    }
    for (int i = 0; r == 0 && i < 2; i++)
        r = copy_sync(&fresh[i], err);
    return r;
}

/* The header gets its check last: a file that is not whole is of no key. */
static int rewrap_write(struct rewrap *rewrap, struct copy fresh[2], struct casebus_error *err)
{
    struct vault *vault = rewrap->vault;
    struct vault_header header = vault->header;
    memset(header.check, 0, CHECK_SIZE);
    for (int i = 0; i < 2; i++) {
        int length = snprintf(fresh[i].path, PATH_MAX, "%s.new", vault->copies[i].path);
        if (length < 0 || length >= PATH_MAX)
            return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), vault->copies[i].path);
        if (copy_make(&fresh[i], &header, err) != 0)
            return -1;
    }
    if (rewrap_fill(rewrap, fresh, err) != 0)
        return -1;
    key_check(vault, rewrap->kek, header.id, header.check);
    return copy_write_header(&fresh[0], &header, err) || copy_write_header(&fresh[1], &header, err) ? -1 : 0;
}

int vault_rewrap(struct vault *vault, const uint8_t new_kek[KEY_SIZE], struct vault_counts *counts,
                 struct casebus_error *err)
{
    struct copy fresh[2] = {{.fd = -1}, {.fd = -1}};
    struct rewrap *rewrap = calloc(1, sizeof *rewrap);
    if (!rewrap)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to wrap the vault's keys anew"));
    assert(vault->ahead > 0);
    *counts = (struct vault_counts){0};
    *rewrap = (struct rewrap){.vault = vault, .kek = new_kek, .counts = counts};
    int r = rewrap_write(rewrap, fresh, err);
    for (int i = 0; i < 2; i++)
        copy_close(&fresh[i]);
    free(rewrap);
    return r;
}

static void survey_slot(void *self, const struct slot_seen *seen)
{
    struct vault_counts *counts = self;
    bool key = seen->kind == SLOT_KEY, erased = seen->kind == SLOT_ERASED;
    *(key ? &counts->keys : erased ? &counts->erased : &counts->damaged) += 1;
    counts->unlike += seen->unlike;
}

static int slots_walk(struct vault *vault, slot_visit_fn *visit, void *self, struct casebus_error *err)
{
    int r = 0;
    for (uint64_t first = 1; r == 0 && first <= vault->header.count; first += CHUNK) {
        uint64_t left = vault->header.count - first + 1;
        r = slots_visit(vault, first, left < CHUNK ? (size_t)left : CHUNK, visit, self, err);
    }
    return r;
}

int vault_survey(struct vault *vault, struct vault_counts *counts, struct casebus_error *err)
{
    *counts = (struct vault_counts){0};
    return slots_walk(vault, survey_slot, counts, err);
}

uint64_t vault_made(const struct vault *vault)
{
    return atomic_load_explicit(&vault->count, memory_order_acquire);
}

/* --- a copy in one file ------------------------------------------------------------------------------- */

struct export
{
    struct vault_counts *counts;
    uint64_t first;
    uint8_t records[CHUNK][SLOT_SIZE];
};

static void export_slot(void *self, const struct slot_seen *seen)
{
    struct export *export = self;
    memcpy(export->records[seen->slot - export->first], seen->record, SLOT_SIZE);
    survey_slot(export->counts, seen);
}

/* @to has a header already. */
static int export_fill(struct vault *vault, struct copy *to, struct export *export, struct casebus_error *err)
{
    int r = 0;
    for (uint64_t first = 1; r == 0 && first <= vault->header.count; first += CHUNK) {
        uint64_t left = vault->header.count - first + 1;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        export->first = first;
        r = slots_visit(vault, first, n, export_slot, export, err);
        if (r == 0)
            r = copy_write_slots(to, first, export->records[0], n, err);
    }
    return r == 0 ? copy_sync(to, err) : -1;
}

int vault_export(struct vault *vault, const char *path, struct vault_counts *counts,
                 struct casebus_error *err)
{
    struct copy to = {.fd = -1};
    struct export *export = calloc(1, sizeof *export);
    if (!export)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read the vault"));
    *counts = (struct vault_counts){0};
    export->counts = counts;
    int r = snprintf(to.path, sizeof to.path, "%s", path) >= PATH_MAX
                ? error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), path)
                : 0;
    if (r == 0 && (copy_make(&to, &vault->header, err) != 0 || export_fill(vault, &to, export, err) != 0))
        r = -1;
    copy_close(&to);
    free(export);
    return r;
}

/* Opens such a file as both copies of a vault without keys. */
static int export_open(struct vault *vault, const char *path, struct casebus_error *err)
{
    *vault = (struct vault){.copies = {{.fd = -1}, {.fd = -1}}};
    if (snprintf(vault->copies[0].path, PATH_MAX, "%s", path) >= PATH_MAX)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), path);
    vault->copies[0].fd = open(path, O_RDONLY | O_CLOEXEC);
    if (vault->copies[0].fd < 0)
        return error_set_errno(err, errno, _("cannot open '%s'"), path);
    int r = copy_read_header(&vault->copies[0], &vault->header, err);
    if (r == 0)
        error_set(err, CASEBUS_DAMAGED, _("'%s' is not the copy of a vault"), path);
    if (r == 1)
        return 0;
    copy_close(&vault->copies[0]);
    return -1;
}

struct export_survey {
    struct vault_counts *counts;
    vault_erased_fn *visit;
    void *self;
    struct casebus_error *err;
    int r;
};

static void export_survey_slot(void *self, const struct slot_seen *seen)
{
    struct export_survey *survey = self;
    survey_slot(survey->counts, seen);
    if (seen->kind == SLOT_ERASED && survey->visit && survey->r == 0)
        survey->r = survey->visit(survey->self, seen->slot, survey->err);
}

int vault_export_survey(const char *path, struct vault_counts *counts, vault_erased_fn *visit, void *self,
                        struct casebus_error *err)
{
    struct vault vault;
    struct export_survey survey = {counts, visit, self, err, 0};
    if (export_open(&vault, path, err) != 0)
        return -1;
    *counts = (struct vault_counts){0};
    int r = slots_walk(&vault, export_survey_slot, &survey, err);
    copy_close(&vault.copies[0]);
    return r ? r : survey.r;
}

int vault_import(const char *dir, const char *path, struct casebus_error *err)
{
    char folder[PATH_MAX], copy[PATH_MAX];
    struct vault vault;
    struct vault_counts counts;
    if (path_join(folder, sizeof folder, dir, "vault") != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    if (dir_make(folder, err) != 0 || export_open(&vault, path, err) != 0)
        return -1;
    int r = 0;
    for (int i = 0; r == 0 && i < 2; i++)
        r = path_join(copy, sizeof copy, folder, i ? "b" : "a") != 0
                ? error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir)
                : vault_export(&vault, copy, &counts, err);
    copy_close(&vault.copies[0]);
    return r;
}
