/* Suite: one consistent choice of hash, MAC, cipher and signature. Everything above asks a suite, never an
 * algorithm.
 *
 * intl: SHA-256, HMAC-SHA-256, AES-256-GCM, Ed25519. gm, the national algorithms: SM3, HMAC-SM3, SM4-CTR with
 * HMAC-SM3, SM2. All digests are 32 bytes. Algorithms are fetched once (OpenSSL 3: an implicit fetch costs
 * more than hashing an event). */
#ifndef CRYPTO_SUITE_H
#define CRYPTO_SUITE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#define DIGEST_SIZE 32
#define KEY_SIZE    32 /* of a sealing key */
#define SEAL_EXTRA  28 /* bytes that sealing adds: nonce 12 before, tag 16 behind */

enum suite_id { SUITE_INTL = 1, SUITE_GM = 2 };

struct suite; /* immutable, shared by all threads */

/* The suite, set up on first use; NULL when there is none of that id, or OpenSSL was built without it. */
const struct suite *suite_get(enum suite_id id);
const struct suite *suite_by_name(const char *name); /* "intl", "gm" */
enum suite_id suite_id(const struct suite *suite);
const char *suite_name(const struct suite *suite);
/* digest = hash(parts joined), for what happens rarely and where no crypter is at hand; allocates. */
void suite_hash(const struct suite *suite, const struct bytes *parts, size_t n_parts,
                uint8_t digest[DIGEST_SIZE]);

void random_bytes(void *out,
                  size_t size); /* from the operating system's generator by OpenSSL; aborts if it fails */
/* Compares in constant time. */
bool secret_equal(const void *a, const void *b, size_t size);
void secret_clear(void *data, size_t size);

/* Crypter: the contexts one thread needs to hash, commit, seal and verify without allocating. Not shared
 * between threads. */
struct crypter;
struct crypter *crypter_new(const struct suite *suite); /* NULL without memory */
struct crypter *crypter_free(struct crypter *crypter);
const struct suite *crypter_suite(const struct crypter *crypter);

/* Random bytes out of a pool that is drawn in bulk: an operating system's generator asked for each key costs
 * more than sealing under it. What is handed out is wiped from the pool. */
void crypter_random(struct crypter *crypter, void *out, size_t size);

/* digest = hash(parts joined). Cannot fail. */
void crypter_hash(struct crypter *crypter, const struct bytes *parts, size_t n_parts,
                  uint8_t digest[DIGEST_SIZE]);
static inline void crypter_hash1(struct crypter *crypter, struct bytes data, uint8_t digest[DIGEST_SIZE])
{
    crypter_hash(crypter, &data, 1, digest);
}
/* digest = HMAC(key, parts joined): the commitment to a part under its salt, and the pseudonym of a person. A
 * key that comes again and again is half as dear. */
void crypter_mac(struct crypter *crypter, struct bytes key, const struct bytes *parts, size_t n_parts,
                 uint8_t digest[DIGEST_SIZE]);
/* Seals @plain under @key: out = nonce ‖ ciphertext ‖ tag, @plain.size + SEAL_EXTRA bytes. @nonce: 12 bytes
 * that never repeat under this key, or NULL for random ones. */
void crypter_seal(struct crypter *crypter, const uint8_t key[KEY_SIZE], const uint8_t *nonce,
                  struct bytes aad, struct bytes plain, uint8_t *out);
/* Opens what crypter_seal made into @out (sealed.size - SEAL_EXTRA bytes). False: wrong key, wrong aad or
 * altered. */
bool crypter_open(struct crypter *crypter, const uint8_t key[KEY_SIZE], struct bytes aad, struct bytes sealed,
                  uint8_t *out);

#endif
