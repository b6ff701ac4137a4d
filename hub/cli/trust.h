/* Trust: what a stranger to the hub believes: a certificate authority and a log's key, as the command line
 * names them. */
#ifndef CLI_TRUST_H
#define CLI_TRUST_H

#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

/* "NAME+HASH+KEY", or the name of a file that holds it, which may be written @FILE. */
int trust_vkey_read(char out[VKEY_MAX], const char *text, struct casebus_error *err);
/* "CA,VKEY": a certificate file, a comma, and the log's verifier key or a file with it; or the enrolment.json
 * of a node, which holds both and came to it from the hub's operator. */
int trust_read(const char *text, uint8_t authority[CERTIFICATE_MAX], size_t *size, char vkey[VKEY_MAX],
               struct casebus_error *err);
/* The id of a node's signing key: in hex, or out of the enrolment.json of the node, whose certificate
 * @authority has to have issued. */
int trust_key_read(uint8_t id[KEY_ID_SIZE], const char *text, struct bytes authority,
                   struct casebus_error *err);

#endif
