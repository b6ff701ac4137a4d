/* An attacker who has the whole directory of a hub, keys and all: finds everything in any file that looks
 * like a sealed body, whole or left over, and tries every key of the vault on it with every subject of the
 * ledger.
 *
 *   open_all DIR MARKER...
 *
 * Prints JSON: how many bodies it found and opened, and in how many of these each marker stands. */
#include "hub/keys.h"
#include "hub/ledger/ledger.h"
#include "hub/vault/vault.h"
#include "proto/codec/entry.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX    512
#define SUBJECTS_MAX 65536
#define SLOTS_MAX    8192
#define BODIES_MAX   65536
#define ITEMS_MAX    64
#define WRAPPED_SIZE (KEY_SIZE + SEAL_EXTRA)

/* What a body may be bound to, and in whose generation of the hub. */
struct subject {
    uint8_t digest[DIGEST_SIZE];
    char origin[256];
};

struct found {
    struct bytes wrapped;
    struct bytes items[ITEMS_MAX];
    size_t n_items;
};

static char *paths[FILES_MAX];
static size_t n_paths;
static struct subject subjects[SUBJECTS_MAX];
static size_t n_subjects;
static uint8_t keys[SLOTS_MAX][KEY_SIZE];
static size_t n_keys;
static struct found bodies[BODIES_MAX];
static size_t n_bodies;
static uint64_t last_slot;           /* that any body names */
static uint8_t *contents[FILES_MAX]; /* bodies point into them */
static size_t n_contents;

static void die(const char *what, const struct casebus_error *err)
{
    fprintf(stderr, "open_all: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

static int on_file(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)where;
    if (type == FTW_F && n_paths < FILES_MAX)
        paths[n_paths++] = strdup(path);
    return 0;
}

static bool varint(struct bytes data, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *at < data.size && shift < 64; shift += 7) {
        uint8_t byte = data.data[(*at)++];
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

/* format 1, suite, slot, wrapped key, items: what every body begins with. */
static void body_look(struct bytes data, size_t at)
{
    struct found found = {.n_items = 0};
    uint64_t number, slot;
    at += 4;
    if (at >= data.size || data.data[at++] != 0x18 || !varint(data, &at, &slot) ||
        at + 2 + WRAPPED_SIZE > data.size || data.data[at] != 0x22 || data.data[at + 1] != WRAPPED_SIZE)
        return;
    found.wrapped = bytes_of(data.data + at + 2, WRAPPED_SIZE);
    at += 2 + WRAPPED_SIZE;
    while (at < data.size && data.data[at] == 0x2a && found.n_items < ITEMS_MAX) {
        at++;
        if (!varint(data, &at, &number) || number > data.size - at)
            break;
        found.items[found.n_items++] = bytes_of(data.data + at, (size_t)number);
        at += (size_t)number;
    }
    if (n_bodies < BODIES_MAX)
        bodies[n_bodies++] = found;
    if (slot < SLOTS_MAX && slot > last_slot)
        last_slot = slot;
}

static void file_scan(const char *path, const struct suite *suite)
{
    const uint8_t begin[] = {0x08, 0x01, 0x10, (uint8_t)suite_id(suite)};
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *data = size > 0 ? malloc((size_t)size) : NULL;
    size_t n = data ? fread(data, 1, (size_t)size, file) : 0;
    fclose(file);
    contents[n_contents++] = data;
    for (const uint8_t *p = data; p && (p = memmem(p, n - (size_t)(p - data), begin, sizeof begin)); p++)
        body_look(bytes_of(data, n), (size_t)(p - data));
}

static void subject_add(ProtobufCBinaryData digest, const char *origin)
{
    if (digest.len != DIGEST_SIZE || n_subjects == SUBJECTS_MAX)
        return;
    struct subject *subject = &subjects[n_subjects++];
    memcpy(subject->digest, digest.data, DIGEST_SIZE);
    snprintf(subject->origin, sizeof subject->origin, "%s", origin);
}

static void subjects_read(const char *dir)
{
    struct casebus_error err;
    struct ledger *ledger;
    struct ledger_view *view = NULL;
    struct arena arena;
    arena_init(&arena, 65536, SIZE_MAX);
    if (ledger_open_readonly(&ledger, dir, &err) || ledger_view_open(&view, ledger, &err))
        die("ledger", &err);
    for (uint64_t position = 0; position < ledger_view_size(view); position++) {
        struct bytes leaf;
        if (ledger_view_leaf(view, position, &leaf, &err))
            die("leaf", &err);
        const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &arena, &err);
        if (!entry)
            die("entry", &err);
        subject_add(entry_subject(entry), ledger_origin_at(ledger, position));
    }
    ledger_view_close(view);
    ledger_close(ledger);
    arena_deinit(&arena);
}

/* Slots are taken in order; far behind the last one that any body names there are only unused ones. */
static void keys_read(const char *dir, const struct suite *suite, uint64_t max)
{
    struct casebus_error err;
    struct vault *vault;
    uint8_t kek[KEY_SIZE];
    if (hub_keys_load_kek(dir, kek, &err) || vault_open_readonly(&vault, dir, suite, kek, &err))
        die("vault", &err);
    for (uint64_t slot = 1; slot <= max && n_keys < SLOTS_MAX; slot++)
        n_keys += vault_key(vault, slot, keys[n_keys], &err) == 0;
    vault_close(vault);
}

static size_t data_make(uint8_t *out, const char *label, const struct subject *subject)
{
    size_t label_size = strlen(label) + 1, origin_size = strlen(subject->origin) + 1;
    memcpy(out, label, label_size);
    memcpy(out + label_size, subject->origin, origin_size);
    memcpy(out + label_size + origin_size, subject->digest, DIGEST_SIZE);
    return label_size + origin_size + DIGEST_SIZE;
}

/* Opens every item of @body; true when one did. @plain gets them behind each other. */
static bool body_open(struct crypter *crypter, const struct found *body, struct buffer *plain)
{
    uint8_t data[512], key[KEY_SIZE];
    bool opened = false;
    for (size_t s = 0; s < n_subjects && !opened; s++)
        for (size_t k = 0; k < n_keys && !opened; k++) {
            size_t size = data_make(data, "casebus/v1/wrap", &subjects[s]);
            if (!crypter_open(crypter, keys[k], bytes_of(data, size), body->wrapped, key))
                continue;
            size = data_make(data, "casebus/v1/body", &subjects[s]);
            for (uint32_t i = 0; i < body->n_items; i++) {
                put_u32be(data + size, i);
                size_t item = body->items[i].size;
                uint8_t *out = item >= SEAL_EXTRA ? buffer_reserve(plain, item) : NULL;
                if (out && crypter_open(crypter, key, bytes_of(data, size + 4), body->items[i], out)) {
                    plain->size += item - SEAL_EXTRA;
                    opened = true;
                }
            }
        }
    return opened;
}

int main(int argc, char **argv)
{
    struct casebus_error err;
    struct crypter *crypter = NULL;
    const struct suite *suite = NULL;
    struct buffer plain;
    size_t n_opened = 0, *hits = calloc((size_t)argc, sizeof *hits);
    if (argc > 1 && hub_keys_suite(argv[1], &suite, &err))
        die("keys", &err);
    if (suite)
        crypter = crypter_new(suite);
    if (argc < 2 || !hits || !crypter || nftw(argv[1], on_file, 16, FTW_PHYS))
        die("usage: open_all DIR MARKER...", NULL);
    for (size_t i = 0; i < n_paths; i++)
        file_scan(paths[i], suite);
    subjects_read(argv[1]);
    keys_read(argv[1], suite, last_slot + 64);
    buffer_init(&plain, 64 << 20);
    for (size_t i = 0; i < n_bodies; i++) {
        buffer_reset(&plain);
        n_opened += body_open(crypter, &bodies[i], &plain);
        for (int m = 2; m < argc; m++)
            hits[m] += plain.size && memmem(plain.data, plain.size, argv[m], strlen(argv[m]));
    }
    printf("{\"bodies\": %zu, \"opened\": %zu, \"keys\": %zu, \"markers\": {", n_bodies, n_opened, n_keys);
    for (int m = 2; m < argc; m++)
        printf("%s\"%s\": %zu", m > 2 ? ", " : "", argv[m], hits[m]);
    printf("}}\n");
    free(hits);
    buffer_deinit(&plain);
    crypter_free(crypter);
    for (size_t i = 0; i < n_contents; i++)
        free(contents[i]);
    for (size_t i = 0; i < n_paths; i++)
        free(paths[i]);
    return 0;
}
