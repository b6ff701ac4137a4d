/* Suites and crypters.
 *
 * Measured (OpenSSL 3.0, SHA-NI, 2 cores of an EPYC), ns a call. Hash of 64 bytes: 123 by EVP, 73 by the
 * deprecated SHA256_Update family; of 512 bytes: 377 and 324. That is 16 % at the event's usual size, so EVP
 * stays: it is what lets SM3 in by a name. A reused EVP_MD_CTX that is re-initialised without naming its
 * digest allocates nothing; copying a prepared one does, takes 50, and pays for HMAC under a key that comes
 * again. HMAC of 256 bytes under a new key: EVP_MAC 514 (755 with its parameters given again), RFC 2104 by
 * hand over the digest context 390. AES-256-GCM of 256 bytes under a new key: 400, and 90 more when the
 * cipher is named again. The random generator: 700 a call, for one nonce as for 64, hence the pool; callers
 * who need many salts do well to ask for all of them at once. */
#include "proto/crypto/algorithms.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

void crypto_must(int ok)
{
    if (ok == 1)
        return;
    fputs("casebus: the cryptographic library failed\n", stderr);
    abort();
}

void crypto_cipher(EVP_CIPHER_CTX *ctx, struct bytes in, uint8_t *out)
{
    int n;

    for (size_t done = 0; done < in.size;) {
        size_t chunk = in.size - done < CHUNK_MAX ? in.size - done : CHUNK_MAX;
        crypto_must(EVP_CipherUpdate(ctx, out + done, &n, in.data + done, (int)chunk));
        done += chunk;
    }
}

/* One row a suite. */
static struct suite suites[] = {
    {
        .id = SUITE_INTL,
        .name = "intl",
        .digest = "SHA256",
        .sealing = &sealing_gcm,
        .signing = &signing_ed25519,
    },
    {
        .id = SUITE_GM,
        .name = "gm",
        .digest = "SM3",
        .sealing = &sealing_sm4,
        .signing = &signing_sm2,
    },
};
#define N_SUITES (sizeof suites / sizeof *suites)

static pthread_once_t suites_once = PTHREAD_ONCE_INIT;

/* Some builds of OpenSSL come without the national algorithms; a hub of intl does not miss them. */
static void suites_fetch(void)
{
    for (size_t i = 0; i < N_SUITES; i++) {
        EVP_KEYMGMT *keys = EVP_KEYMGMT_fetch(NULL, suites[i].signing->key_type, NULL);
        suites[i].md = EVP_MD_fetch(NULL, suites[i].digest, NULL);
        suites[i].cipher = EVP_CIPHER_fetch(NULL, suites[i].sealing->cipher, NULL);
        suites[i].offered = suites[i].md && suites[i].cipher && keys;
        EVP_KEYMGMT_free(keys);
        crypto_must(suites[i].offered || suites[i].id != SUITE_INTL);
        if (!suites[i].offered)
            continue;
        assert(EVP_MD_get_size(suites[i].md) == DIGEST_SIZE);
        assert(EVP_MD_get_block_size(suites[i].md) == DIGEST_BLOCK);
    }
    ERR_clear_error();
}

const struct suite *suite_get(enum suite_id id)
{
    pthread_once(&suites_once, suites_fetch);
    for (size_t i = 0; i < N_SUITES; i++)
        if (suites[i].id == id)
            return suites[i].offered ? &suites[i] : NULL;
    return NULL;
}

size_t public_key_size(enum suite_id suite)
{
    for (size_t i = 0; i < N_SUITES; i++)
        if (suites[i].id == suite)
            return suites[i].signing->public_size;
    return 0;
}

const struct suite *suite_by_name(const char *name)
{
    for (size_t i = 0; i < N_SUITES; i++)
        if (strcmp(suites[i].name, name) == 0)
            return suite_get(suites[i].id);
    return NULL;
}

const struct suite *suite_of_key(const EVP_PKEY *key)
{
    for (size_t i = 0; i < N_SUITES; i++)
        if (EVP_PKEY_is_a(key, suites[i].signing->key_type))
            return suite_get(suites[i].id);
    return NULL;
}

enum suite_id suite_id(const struct suite *suite)
{
    return suite->id;
}

const char *suite_name(const struct suite *suite)
{
    return suite->name;
}

void random_bytes(void *out, size_t size)
{
    const size_t chunk = 1 << 30;
    uint8_t *p = out;

    for (; size > chunk; p += chunk, size -= chunk)
        crypto_must(RAND_bytes(p, (int)chunk));
    crypto_must(RAND_bytes(p, (int)size));
}

bool secret_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void secret_clear(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

struct crypter *crypter_new(const struct suite *suite)
{
    struct crypter *crypter = calloc(1, sizeof *crypter);

    if (!crypter)
        return NULL;
    crypter->suite = suite;
    crypter->digest = EVP_MD_CTX_new();
    crypter->mac.inner = EVP_MD_CTX_new();
    crypter->mac.outer = EVP_MD_CTX_new();
    crypter->sealer = EVP_CIPHER_CTX_new();
    crypter->opener = EVP_CIPHER_CTX_new();
    if (!crypter->digest || !crypter->mac.inner || !crypter->mac.outer || !crypter->sealer ||
        !crypter->opener || EVP_DigestInit_ex2(crypter->digest, suite->md, NULL) != 1 ||
        EVP_DigestInit_ex2(crypter->mac.inner, suite->md, NULL) != 1 ||
        EVP_DigestInit_ex2(crypter->mac.outer, suite->md, NULL) != 1 || !suite->sealing->prepare(crypter))
        return crypter_free(crypter);
    return crypter;
}

struct crypter *crypter_free(struct crypter *crypter)
{
    if (!crypter)
        return NULL;
    EVP_MD_CTX_free(crypter->digest);
    EVP_MD_CTX_free(crypter->mac.inner);
    EVP_MD_CTX_free(crypter->mac.outer);
    EVP_CIPHER_CTX_free(crypter->sealer);
    EVP_CIPHER_CTX_free(crypter->opener);
    secret_clear(crypter, sizeof *crypter);
    free(crypter);
    return NULL;
}

const struct suite *crypter_suite(const struct crypter *crypter)
{
    return crypter->suite;
}

static void digest_end(EVP_MD_CTX *ctx, const struct bytes *parts, size_t n_parts,
                       uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < n_parts; i++)
        if (parts[i].size)
            crypto_must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].size));
    crypto_must(EVP_DigestFinal_ex(ctx, digest, NULL));
}

static void digest_parts(EVP_MD_CTX *ctx, const struct bytes *parts, size_t n_parts,
                         uint8_t digest[DIGEST_SIZE])
{
    crypto_must(EVP_DigestInit_ex2(ctx, NULL, NULL));
    digest_end(ctx, parts, n_parts, digest);
}

void crypter_hash(struct crypter *crypter, const struct bytes *parts, size_t n_parts,
                  uint8_t digest[DIGEST_SIZE])
{
    digest_parts(crypter->digest, parts, n_parts, digest);
}

void suite_hash(const struct suite *suite, const struct bytes *parts, size_t n_parts,
                uint8_t digest[DIGEST_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    crypto_must(ctx && EVP_DigestInit_ex2(ctx, suite->md, NULL) == 1);
    digest_parts(ctx, parts, n_parts, digest);
    EVP_MD_CTX_free(ctx);
}

static void mac_begin(EVP_MD_CTX *ctx, const uint8_t key[DIGEST_BLOCK], uint8_t with)
{
    uint8_t pad[DIGEST_BLOCK];

    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = key[i] ^ with;
    crypto_must(EVP_DigestInit_ex2(ctx, NULL, NULL));
    crypto_must(EVP_DigestUpdate(ctx, pad, sizeof pad));
    secret_clear(pad, sizeof pad);
}

/* A key that comes twice, one MAC behind the other but for those under other keys once each, will come again:
 * the hub's content key between salts that are used once. */
static bool mac_known(struct crypter *crypter, const uint8_t key[DIGEST_BLOCK])
{
    struct mac_state *mac = &crypter->mac;

    if (mac->known && secret_equal(mac->key, key, DIGEST_BLOCK))
        return true;
    if (!secret_equal(crypter->mac_before, key, DIGEST_BLOCK)) {
        memcpy(crypter->mac_before, key, DIGEST_BLOCK);
        return false;
    }
    mac_begin(mac->inner, key, 0x36);
    mac_begin(mac->outer, key, 0x5c);
    memcpy(mac->key, key, DIGEST_BLOCK);
    mac->known = true;
    return true;
}

static void mac_pad(struct crypter *crypter, struct bytes key, uint8_t padded[DIGEST_BLOCK])
{
    memset(padded, 0, DIGEST_BLOCK);
    if (key.size > DIGEST_BLOCK)
        crypter_hash1(crypter, key, padded);
    else if (key.size)
        memcpy(padded, key.data, key.size);
}

/* RFC 2104: H((K ^ opad) ‖ H((K ^ ipad) ‖ text)), ipad = 0x36, opad = 0x5c. */
void crypter_mac_once(struct crypter *crypter, struct bytes key, const struct bytes *parts, size_t n_parts,
                      uint8_t digest[DIGEST_SIZE])
{
    uint8_t padded[DIGEST_BLOCK];
    uint8_t inner[DIGEST_SIZE];
    struct bytes rest = bytes_of(inner, sizeof inner);

    mac_pad(crypter, key, padded);
    mac_begin(crypter->digest, padded, 0x36);
    digest_end(crypter->digest, parts, n_parts, inner);
    mac_begin(crypter->digest, padded, 0x5c);
    digest_end(crypter->digest, &rest, 1, digest);
    secret_clear(padded, sizeof padded);
}

void crypter_mac(struct crypter *crypter, struct bytes key, const struct bytes *parts, size_t n_parts,
                 uint8_t digest[DIGEST_SIZE])
{
    uint8_t padded[DIGEST_BLOCK];
    uint8_t inner[DIGEST_SIZE];
    struct bytes rest = bytes_of(inner, sizeof inner);

    mac_pad(crypter, key, padded);
    bool known = mac_known(crypter, padded);
    secret_clear(padded, sizeof padded);
    if (!known) {
        crypter_mac_once(crypter, key, parts, n_parts, digest);
        return;
    }
    crypto_must(EVP_MD_CTX_copy_ex(crypter->digest, crypter->mac.inner));
    digest_end(crypter->digest, parts, n_parts, inner);
    crypto_must(EVP_MD_CTX_copy_ex(crypter->digest, crypter->mac.outer));
    digest_end(crypter->digest, &rest, 1, digest);
}

/* A process that forks gives each side its own crypters. */
void crypter_random(struct crypter *crypter, void *out, size_t size)
{
    if (size > sizeof crypter->random) {
        random_bytes(out, size);
        return;
    }
    if (crypter->n_random < size) {
        random_bytes(crypter->random, sizeof crypter->random);
        crypter->n_random = sizeof crypter->random;
    }
    crypter->n_random -= size;
    memcpy(out, crypter->random + crypter->n_random, size);
    secret_clear(crypter->random + crypter->n_random, size);
}

void crypter_seal(struct crypter *crypter, const uint8_t key[KEY_SIZE], const uint8_t *nonce,
                  struct bytes aad, struct bytes plain, uint8_t *out)
{
    uint8_t fresh[NONCE_SIZE];

    if (!nonce)
        crypter_random(crypter, fresh, sizeof fresh);
    crypter->suite->sealing->seal(crypter, key, nonce ? nonce : fresh, aad, plain, out);
}

bool crypter_open(struct crypter *crypter, const uint8_t key[KEY_SIZE], struct bytes aad, struct bytes sealed,
                  uint8_t *out)
{
    if (sealed.size < SEAL_EXTRA)
        return false;
    return crypter->suite->sealing->open(crypter, key, aad, sealed, out);
}
