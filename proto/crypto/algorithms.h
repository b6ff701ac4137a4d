/* Algorithms: what a suite is made of. Private to this folder.
 *
 * A suite is a row of names and two tables of functions, one for sealing and one for signatures. Hash and
 * HMAC need no table: every suite's digest has 32 bytes and blocks of 64. */
#ifndef CRYPTO_ALGORITHMS_H
#define CRYPTO_ALGORITHMS_H

#include "proto/crypto/keys.h"

#include <openssl/evp.h>

#define NONCE_SIZE   12
#define TAG_SIZE     16
#define DIGEST_BLOCK 64
/* Bytes drawn at once: a call of the generator costs as much as sealing two parts. */
#define RANDOM_POOL 4096

struct sealing {
    const char *cipher; /* OpenSSL's name */
    bool (*prepare)(struct crypter *crypter);
    void (*seal)(struct crypter *crypter, const uint8_t key[KEY_SIZE], const uint8_t nonce[NONCE_SIZE],
                 struct bytes aad, struct bytes plain, uint8_t *out);
    bool (*open)(struct crypter *crypter, const uint8_t key[KEY_SIZE], struct bytes aad, struct bytes sealed,
                 uint8_t *out);
};

struct signing {
    const char *key_type; /* OpenSSL's name */
    size_t public_size;
    int certificate_nid;                      /* signature algorithm of certificates */
    const EVP_MD *(*certificate_md)(void);    /* digest that X509_sign wants, may be NULL */
    EVP_PKEY *(*generate)(void);              /* NULL when OpenSSL fails */
    EVP_PKEY *(*import)(struct bytes public); /* NULL when the bytes are no usable public key */
    bool (*export)(const EVP_PKEY *key, uint8_t public[PUBLIC_KEY_SIZE]);
    bool (*sign)(EVP_PKEY *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE]);
    bool (*check)(EVP_PKEY *key, struct bytes message, const uint8_t signature[SIGNATURE_SIZE]);
};

struct suite {
    enum suite_id id;
    const char *name;
    const char *digest; /* OpenSSL's name */
    const struct sealing *sealing;
    const struct signing *signing;
    EVP_MD *md; /* fetched once */
    EVP_CIPHER *cipher;
};

struct crypter {
    const struct suite *suite;
    EVP_MD_CTX *digest;
    EVP_CIPHER_CTX *sealer; /* keep their cipher, take a new key and nonce each time */
    EVP_CIPHER_CTX *opener;
    size_t n_random; /* bytes left in the pool */
    uint8_t random[RANDOM_POOL];
    bool sealed_before;            /* sealer has the schedule of... */
    uint8_t sealed_with[KEY_SIZE]; /* ...this key: a body's items are sealed under one */
};

extern const struct sealing sealing_gcm;
extern const struct signing signing_ed25519;

/* Stops the process when OpenSSL fails at what cannot fail with contexts that were set up (or memory is out):
 * going on would mean unhashed or unsealed data. */
void crypto_must(int ok);

/* The suite whose signature keys are of @key's type, or NULL. */
const struct suite *suite_of_key(const EVP_PKEY *key);
EVP_PKEY *signing_key_pkey(const struct signing_key *key);
/* Fills in @public; false when the key is of no suite or unusable. */
bool public_key_from(struct public_key *public, const EVP_PKEY *key);

#endif
