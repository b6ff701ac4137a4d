/* Keys: signing keys, their public halves and files (mode 0600: PKCS#8 in PEM, or the PKCS#11 URI of a key
 * that a token holds). */
#ifndef CRYPTO_KEYS_H
#define CRYPTO_KEYS_H

#include "proto/crypto/suite.h"

#define SIGNATURE_SIZE  64 /* Ed25519 (RFC 8032), or SM2's r ‖ s, 32 bytes each */
#define PUBLIC_KEY_SIZE 64 /* room for any suite: Ed25519 uses the first 32; SM2's x ‖ y */
#define KEY_ID_SIZE     16

struct signing_key;

struct public_key {
    enum suite_id suite;
    uint8_t size; /* 32 for Ed25519, 64 for SM2 */
    uint8_t bytes[PUBLIC_KEY_SIZE];
};

int signing_key_generate(struct signing_key **keyp, const struct suite *suite, struct casebus_error *err);
/* The key of a token (proto/crypto/token.h) that @uri names; with @make a key that is not there is made
 * there. From here on it is a signing key like any other; its file holds the URI. */
int signing_key_of_token(struct signing_key **keyp, const struct suite *suite, const char *uri, bool make,
                         struct casebus_error *err);
/* From a file, which holds a key or the URI of one that a token holds. @suite: the one that the key has to be
 * of; NULL: any. */
int signing_key_load(struct signing_key **keyp, const struct suite *suite, const char *path,
                     struct casebus_error *err);
/* Refuses to replace a file that is there (CASEBUS_EXISTS). */
int signing_key_save(const struct signing_key *key, const char *path, struct casebus_error *err);
struct signing_key *signing_key_free(struct signing_key *key);
const struct public_key *signing_key_public(const struct signing_key *key);
/* Thread-safe. A key that is held by a token can fail to sign, at any time; nothing is in @signature then. */
__attribute__((warn_unused_result)) int signing_key_sign(const struct signing_key *key, struct bytes message,
                                                         uint8_t signature[SIGNATURE_SIZE],
                                                         struct casebus_error *err);

static inline bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
    return a->suite == b->suite && bytes_equal(bytes_of(a->bytes, a->size), bytes_of(b->bytes, b->size));
}
/* Bytes of a public key of @suite, also of one that OpenSSL does not offer here; 0: there is no such suite.
 */
size_t public_key_size(enum suite_id suite);
/* First 16 bytes of hash(suite id byte ‖ public key bytes). */
void public_key_id(const struct public_key *key, uint8_t id[KEY_ID_SIZE]);

/* Verifier: a public key made ready once for many checks. Immutable, shared between threads. */
struct verifier;
struct verifier *verifier_new(const struct public_key *key); /* NULL when the bytes are no key */
struct verifier *verifier_free(struct verifier *verifier);
bool verifier_check(const struct verifier *verifier, struct bytes message,
                    const uint8_t signature[SIGNATURE_SIZE]);

/* CURVE key pair of ZeroMQ: file (proto/crypto/secret_file.h) holds the secret in Z85 and a newline, mode
 * 0600 (zmq_curve_keypair makes pairs). */
#define CURVE_KEY_SIZE 32

#endif
