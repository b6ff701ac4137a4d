/* Keys of a hub, DIR/keys: secrets with one purpose each, so that none does another's work.
 *   log.key         signs checkpoints
 *   authority.key   issues nodes' certificates; authority.pem is its own
 *   curve.key       proves the hub to connecting nodes (Z85)
 *   kek.key         wraps the vault's slots (hex)
 *   content.key     keys the digests that tell a resent record (hex)
 *   witness.key     cosigns the checkpoints of other hubs
 *   succession      what became of authority and CURVE key, signed by the authorities; no secret
 * log.key and authority.key may hold the URI of a key that a token holds instead. */
#ifndef HUB_KEYS_H
#define HUB_KEYS_H

#include "proto/crypto/certificate.h"
#include "proto/crypto/keys.h"

struct hub_keys {
    const struct suite *suite; /* of log */
    struct signing_key *log;
    char log_vkey[512]; /* C2SP verifier key of log */
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    char curve_secret[41];
    uint8_t kek[KEY_SIZE];
    uint8_t content[KEY_SIZE];
};

/* URIs of keys that a token holds (proto/crypto/token.h); NULL: in a file. */
struct hub_tokens {
    const char *log, *authority;
};
/* Makes all keys; @now: seconds since 1970; @tokens: NULL for none. Refuses to replace any. */
int hub_keys_make(const char *dir, const struct suite *suite, const char *origin, int64_t now,
                  const struct hub_tokens *tokens, struct casebus_error *err);
/* The key with which the hub cosigns the checkpoints of others, keys/witness.key; made when there is none
 * yet, as in the directory of an older hub. */
int hub_witness_key(struct signing_key **keyp, const char *dir, const struct suite *suite,
                    struct casebus_error *err);
/* Its name as a witness: the origin and "/witness". A hub that was restored goes on under another origin, and
 * so as another witness: it may have forgotten what it cosigned. */
int hub_witness_name(char *out, size_t size, const char *origin, struct casebus_error *err);
/* Loads what a running hub needs (the authority's key stays in its file until somebody is enrolled). @suite:
 * the one that hub.yaml names, for which the keys must have been made; NULL: any. */
int hub_keys_load(struct hub_keys *keys, const char *dir, const struct suite *suite, const char *origin,
                  struct casebus_error *err);
/* Whether authority.key is there and belongs to the certificate. */
int hub_authority_check(const struct hub_keys *keys, const char *dir, struct casebus_error *err);
/* How a damaged authority.pem comes back: the hint of every error about it. */
int hub_authority_hint(const char *dir, struct casebus_error *err);
/* The suite of the hub in DIR, as its log's key tells. */
int hub_keys_suite(const char *dir, const struct suite **suitep, struct casebus_error *err);
int hub_keys_load_kek(const char *dir, uint8_t kek[KEY_SIZE], struct casebus_error *err);
void hub_keys_deinit(struct hub_keys *keys); /* fine on zeroed keys */

/* A new key-encryption key, in three steps; what a crash leaves between them is settled by the third.
 *   begin   keys/kek.new is made
 *   commit  it takes the place of keys/kek.key, which is kept as keys/kek.old
 *   settle  the vault opens with keys/kek.key: any other is overwritten, synced and removed */
int hub_kek_begin(const char *dir, uint8_t kek[KEY_SIZE], struct casebus_error *err);
int hub_kek_commit(const char *dir, struct casebus_error *err);
int hub_kek_settle(const char *dir, struct casebus_error *err);

/* The authority's key, which otherwise stays in its file. */
int hub_authority_key(struct signing_key **keyp, const char *dir, const struct suite *suite,
                      struct casebus_error *err);

/* Another authority: keys/authority-NUMBER.key is made, and the certificate (DER, CERTIFICATE_MAX bytes) that
 * goes into the ledger. Once it is there, the file takes the place of keys/authority.key, whose bytes are
 * overwritten, and the certificate that of keys/authority.pem. */
int hub_authority_make(struct signing_key **keyp, const char *dir, uint64_t number, const struct suite *suite,
                       const char *origin, int64_t now, uint8_t *certificate, size_t *sizep,
                       struct casebus_error *err);
/* Does so, or what a crash left of it to do; @keys has the new one then. CASEBUS_KEY when keys/ is an older
 * copy. */
int hub_authority_commit(struct hub_keys *keys, const char *dir, uint64_t number, struct bytes certificate,
                         struct casebus_error *err);
/* The authorities' words on the hub's keys (a serialised HubKeys), as the ledger has them: for a hub that is
 * restored from a backup older than they are. @changes: bounded by HUB_CHANGES_MAX; empty when there are
 * none.
 */
#define HUB_CHANGES_MAX (1024 * 1024)
int hub_changes_save(const char *dir, struct bytes changes, struct casebus_error *err);
int hub_changes_load(const char *dir, struct buffer *changes, struct casebus_error *err);

/* Another CURVE key: keys/curve-NUMBER.key is made; when its time has come it takes the place of
 * keys/curve.key. */
int hub_curve_make(const char *dir, uint64_t number, char public_key[41], struct casebus_error *err);
/* That it is there and has this public half; CASEBUS_KEY when keys/ is an older copy. */
int hub_curve_check(const char *dir, uint64_t number, const char *public_key, struct casebus_error *err);
int hub_curve_commit(const char *dir, uint64_t number, struct casebus_error *err);
int hub_curve_load(const char *dir, char secret[41], struct casebus_error *err);

#endif
