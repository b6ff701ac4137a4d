/* Wrapped: a secret file's bytes under a passphrase, and out of it again: EncryptedPrivateKeyInfo (RFC 5958)
 * in PEM, by scrypt (RFC 7914) and AES-256-CBC (PBES2, RFC 8018). Any other PBES2 that OpenSSL knows is read,
 * too.
 *
 * A private key in PEM becomes what `openssl pkcs8` makes and reads. A secret of another form (a CURVE key, a
 * key of digits) goes in as the octets of a key of the type id-data. Private to this folder. */
#ifndef CRYPTO_WRAPPED_H
#define CRYPTO_WRAPPED_H

#include "proto/crypto/passphrase.h"
#include "proto/crypto/secret_file.h"

bool wrapped_is(struct bytes file);
/* @out: SECRET_FILE_MAX bytes. */
int wrap(struct bytes secret, const struct passphrase *passphrase, uint8_t *out, size_t *sizep,
         struct casebus_error *err);
/* False: the passphrase is wrong, or the bytes are damaged: nobody can tell. */
bool unwrap(struct bytes file, const struct passphrase *passphrase, uint8_t *out, size_t *sizep);

#endif
