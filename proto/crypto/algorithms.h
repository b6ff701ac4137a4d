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

#define SIGNATURE_DER_MAX 80 /* SM2's two numbers: 72 bytes at most */

struct signing {
    const char *key_type;          /* OpenSSL's name */
    const char *digest;            /* that is signed, OpenSSL's name; NULL: the algorithm hashes for itself */
    const char *distinguishing_id; /* that is signed along (SM2); NULL: none */
    size_t public_size;
    int certificate_nid;                      /* signature algorithm of certificates */
    EVP_PKEY *(*generate)(void);              /* NULL when OpenSSL fails */
    EVP_PKEY *(*import)(struct bytes public); /* NULL when the bytes are no usable public key */
    bool (*export)(const EVP_PKEY *key, uint8_t public[PUBLIC_KEY_SIZE]);
    bool (*sign)(EVP_PKEY *key, struct bytes message, uint8_t signature[SIGNATURE_SIZE]);
    bool (*check)(EVP_PKEY *key, struct bytes message, const uint8_t signature[SIGNATURE_SIZE]);
    /* As certificates have it; returns its size, or 0 without memory. */
    size_t (*encode)(uint8_t out[SIGNATURE_DER_MAX], const uint8_t signature[SIGNATURE_SIZE]);
};

struct suite {
    enum suite_id id;
    const char *name;
    const char *digest; /* OpenSSL's name */
    const struct sealing *sealing;
    const struct signing *signing;
    bool offered; /* by this OpenSSL */
    EVP_MD *md;   /* fetched once */
    EVP_CIPHER *cipher;
};

/* HMAC's two hashes with the key gone in: half of the work for short texts. */
struct mac_state {
    bool known;
    uint8_t key[DIGEST_BLOCK]; /* padded */
    EVP_MD_CTX *inner, *outer;
};

struct crypter {
    const struct suite *suite;
    EVP_MD_CTX *digest;
    struct mac_state mac;             /* of the key that comes again and again: the hub's own */
    uint8_t mac_before[DIGEST_BLOCK]; /* padded key of the last MAC that was under another one */
    EVP_CIPHER_CTX *sealer;           /* keep their cipher, take a new key and nonce each time */
    EVP_CIPHER_CTX *opener;
    size_t n_random; /* bytes left in the pool */
    uint8_t random[RANDOM_POOL];
    bool sealed_before;            /* sealer has the schedule of... */
    uint8_t sealed_with[KEY_SIZE]; /* ...this key: a body's items are sealed under one */
    uint8_t derived[KEY_SIZE];     /* what the sealing made of it, if it derives keys */
};

/* crypter_mac under a key that is not expected again. */
void crypter_mac_once(struct crypter *crypter, struct bytes key, const struct bytes *parts, size_t n_parts,
                      uint8_t digest[DIGEST_SIZE]);

extern const struct sealing sealing_gcm;
extern const struct sealing sealing_sm4;
extern const struct signing signing_ed25519;
extern const struct signing signing_sm2;

/* Stops the process when OpenSSL fails at what cannot fail with contexts that were set up (or memory is out):
 * going on would mean unhashed or unsealed data. */
void crypto_must(int ok);
/* OpenSSL counts in int. */
#define CHUNK_MAX ((size_t)1 << 30)
/* @in under the key that @ctx has, to as many bytes at @out. */
void crypto_cipher(EVP_CIPHER_CTX *ctx, struct bytes in, uint8_t *out);

/* Makes @ctx ready to sign or to check with @key, with digest and distinguishing id. */
bool signing_begin(EVP_MD_CTX *ctx, const struct signing *signing, EVP_PKEY *key);
bool checking_begin(EVP_MD_CTX *ctx, const struct signing *signing, EVP_PKEY *key);

/* The suite whose signature keys are of @key's type, or NULL. */
const struct suite *suite_of_key(const EVP_PKEY *key);
/* Of a token's key the public half alone. */
EVP_PKEY *signing_key_pkey(const struct signing_key *key);
/* Fills in @public; false when the key is of no suite or unusable. */
bool public_key_from(struct public_key *public, const EVP_PKEY *key);

#endif
