/* Keys of a hub, DIR/keys: five secrets with five purposes, so that none does another's work.
 *   log.key        signs checkpoints                  authority.key + authority.pem   issues nodes'
 * certificates curve.key      proves the hub to connecting nodes (Z85) kek.key        wraps the vault's slots
 * (hex)       content.key   keys the digests that tell a resent record (hex) */
#ifndef HUB_KEYS_H
#define HUB_KEYS_H

#include "proto/crypto/certificate.h"
#include "proto/crypto/keys.h"

struct hub_keys {
    struct signing_key *log;
    char log_vkey[512]; /* C2SP verifier key of log */
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    char curve_secret[41];
    uint8_t kek[KEY_SIZE];
    uint8_t content[KEY_SIZE];
};

/* Makes all keys; @now: seconds since 1970. Refuses to replace any. */
int hub_keys_make(const char *dir, const struct suite *suite, const char *origin, int64_t now,
                  struct casebus_error *err);
/* Loads what a running hub needs (the authority's key stays in its file until somebody is enrolled). */
int hub_keys_load(struct hub_keys *keys, const char *dir, const struct suite *suite, const char *origin,
                  struct casebus_error *err);
void hub_keys_deinit(struct hub_keys *keys); /* fine on zeroed keys */

#endif
