/* Suites and crypters.
 *
 * Measured (OpenSSL 3.0, SHA-NI, 2 cores of an EPYC), ns a call. Hash of 64 bytes: 123 by EVP, 73 by the
 * deprecated SHA256_Update family; of 512 bytes: 377 and 324. That is 16 % at the event's usual size, so EVP
 * stays: it is what lets SM3 in by a name. A reused EVP_MD_CTX that is re-initialised without naming its
 * digest allocates nothing; copying a prepared one is hardly faster and does. HMAC of 256 bytes under a new
 * key: EVP_MAC 514 (755 with its parameters given again), RFC 2104 by hand over the digest context 390.
 * AES-256-GCM of 256 bytes under a new key: 400, and 90 more when the cipher is named again. The random
 * generator: 700 a call, for one nonce as for 64, hence the pool; callers who need many salts do well to ask
 * for all of them at once. */
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
    crypter->sealer = EVP_CIPHER_CTX_new();
    crypter->opener = EVP_CIPHER_CTX_new();
    if (!crypter->digest || !crypter->sealer || !crypter->opener ||
        EVP_DigestInit_ex2(crypter->digest, suite->md, NULL) != 1 || !suite->sealing->prepare(crypter))
        return crypter_free(crypter);
    return crypter;
}

struct crypter *crypter_free(struct crypter *crypter)
{
    if (!crypter)
        return NULL;
    EVP_MD_CTX_free(crypter->digest);
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

static void digest_parts(EVP_MD_CTX *ctx, struct bytes first, const struct bytes *parts, size_t n_parts,
                         uint8_t digest[DIGEST_SIZE])
{
    crypto_must(EVP_DigestInit_ex2(ctx, NULL, NULL));
    if (first.size)
        crypto_must(EVP_DigestUpdate(ctx, first.data, first.size));
    for (size_t i = 0; i < n_parts; i++)
        if (parts[i].size)
            crypto_must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].size));
    crypto_must(EVP_DigestFinal_ex(ctx, digest, NULL));
}

void crypter_hash(struct crypter *crypter, const struct bytes *parts, size_t n_parts,
                  uint8_t digest[DIGEST_SIZE])
{
    digest_parts(crypter->digest, (struct bytes){0}, parts, n_parts, digest);
}

void suite_hash(const struct suite *suite, const struct bytes *parts, size_t n_parts,
                uint8_t digest[DIGEST_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    crypto_must(ctx && EVP_DigestInit_ex2(ctx, suite->md, NULL) == 1);
    digest_parts(ctx, (struct bytes){0}, parts, n_parts, digest);
    EVP_MD_CTX_free(ctx);
}

/* RFC 2104: H((K ^ opad) ‖ H((K ^ ipad) ‖ text)). */
void crypter_mac(struct crypter *crypter, struct bytes key, const struct bytes *parts, size_t n_parts,
                 uint8_t digest[DIGEST_SIZE])
{
    uint8_t pad[DIGEST_BLOCK] = {0};
    uint8_t inner[DIGEST_SIZE];

    if (key.size > sizeof pad)
        crypter_hash1(crypter, key, pad);
    else if (key.size)
        memcpy(pad, key.data, key.size);

    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36;
    digest_parts(crypter->digest, bytes_of(pad, sizeof pad), parts, n_parts, inner);

    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    struct bytes rest = bytes_of(inner, sizeof inner);
    digest_parts(crypter->digest, bytes_of(pad, sizeof pad), &rest, 1, digest);
    secret_clear(pad, sizeof pad);
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
