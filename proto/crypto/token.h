/* Token: a signing key in a device that does not give it out, reached through its maker's PKCS#11 module. It
 * is named by a PKCS#11 URI (RFC 7512):
 *
 *   pkcs11:token=hub;object=log?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/casebus/pin
 *
 * Without module-path the module is that of $CASEBUS_PKCS11_MODULE, without pin-source the PIN comes as
 * pins.h says. Keys are Ed25519 (CKK_EC_EDWARDS, CKM_EDDSA); for SM2 PKCS#11 has no mechanism.
 *
 * A token can be pulled out, lose its session, or not answer: each call is bounded in time, and one that
 * fails begins anew with the module before it gives up. Thread-safe. */
#ifndef CRYPTO_TOKEN_H
#define CRYPTO_TOKEN_H

#include "proto/crypto/keys.h"

#define TOKEN_URI_MAX 1024
#define TOKEN_SCHEME  "pkcs11:"

struct token;

/* @make: a key that is not there is made there. CASEBUS_TOKEN: it is not to be had now; CASEBUS_PASSPHRASE:
 * the PIN is missing or wrong; CASEBUS_KEY, CASEBUS_ARGUMENT: it does not hold what the URI says. */
int token_open(struct token **tokenp, const char *uri, bool make, struct casebus_error *err);
struct token *token_free(struct token *token);
const char *token_uri(const struct token *token);
const struct public_key *token_public(const struct token *token);
int token_sign(struct token *token, struct bytes message, uint8_t signature[SIGNATURE_SIZE],
               struct casebus_error *err);

#endif
