/* PINs of tokens, of this process. A PIN comes from the file that the key's URI names (pin-source), or from
 * systemd as the credential casebus.pin, or from a person at the terminal; never from an argument or a
 * variable. One that a token took is kept in locked memory for the next session; one that it refused is not
 * tried on it again: a token locks itself after a few. */
#ifndef CRYPTO_PINS_H
#define CRYPTO_PINS_H

#include "proto/crypto/passphrase.h"

#define PIN_TOKEN_MAX 64 /* a token's name here: label and serial number */

/* The caller wipes @pin. */
int pin_get(struct passphrase *pin, const char *token, const char *file, struct casebus_error *err);
/* What @token said to it. */
void pin_told(const char *token, bool taken);

#endif
