/* Base64 (RFC 4648 section 4, padded), by OpenSSL, whose decoder counts padding as bytes and asks for no
 * bound. */
#ifndef CRYPTO_BASE64_H
#define CRYPTO_BASE64_H

#include "proto/base/bytes.h"

/* @out has room for 3 bytes for each 4 characters of @text. Returns the bytes, or -1 when it is no base64;
 * blanks around it, and bits behind the last byte, are passed over. */
int base64_decode(uint8_t *out, struct bytes text);
/* The caller frees it; NULL: there is no memory. */
char *base64_encode(struct bytes bytes);

#endif
