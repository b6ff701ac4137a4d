/* Code: what an operator hands to a department so that its node may join, once. Sixteen symbols of
 * Crockford's base 32: fifteen random ones (75 bits) and one that finds a slip of the hand. It is made to be
 * read aloud: case, blanks and hyphens do not count, and O is 0, I and L are 1.
 *
 * Both ends derive from it the name of the invitation, which is no secret, and a key for MACs. The hash is
 * SHA-256 in every suite, because a node learns the hub's suite only behind this door. */
#ifndef CRYPTO_CODE_H
#define CRYPTO_CODE_H

#include "proto/crypto/suite.h"

#define CODE_SYMBOLS    16
#define CODE_TEXT       20 /* XXXX-XXXX-XXXX-XXXX and a NUL */
#define CODE_KEY_SIZE   32
#define INVITATION_SIZE 8

struct code {
    uint8_t symbols[CODE_SYMBOLS]; /* values 0 to 31 */
};

void code_make(struct code *code);
/* CASEBUS_ARGUMENT, with what is wrong: a symbol that is none, too few or too many, the check symbol. */
int code_parse(struct code *code, const char *text, struct casebus_error *err);
void code_format(const struct code *code, char text[CODE_TEXT]);
void code_derive(const struct code *code, uint8_t invitation[INVITATION_SIZE], uint8_t key[CODE_KEY_SIZE]);
/* mac = HMAC-SHA-256(key, parts joined). */
void code_mac(const uint8_t key[CODE_KEY_SIZE], const struct bytes *parts, size_t n_parts,
              uint8_t mac[DIGEST_SIZE]);

#endif
