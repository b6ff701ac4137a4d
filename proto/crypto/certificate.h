/* Certificates: X.509 v3 (RFC 5280) by the hub's own authority. A node's certificate binds its signing key,
 * its name, its department and area, and its CURVE key: subject CN = node name, O = department, L = area (six
 * digits); SAN URIs "casebus:origin:ORIGIN" and "casebus:curve:HEX64". The authority's: CN = origin, CA:TRUE,
 * keyCertSign. */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include "proto/crypto/keys.h"

#define CERTIFICATE_MAX       2048 /* bytes of DER */
#define NODE_NAME_MAX         64   /* [a-z0-9][a-z0-9.-]*, at most 63 characters */
#define CERTIFICATE_WARN_DAYS 30   /* before its end everybody who could do something is told */
#define ORIGIN_MAX            65   /* at most 64 characters: the common name's bound (RFC 5280 A.1) */

struct certificate_info {
    char node[NODE_NAME_MAX];
    char department[64];
    char area[8];
    char origin[256]; /* valid ones are shorter than ORIGIN_MAX */
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct public_key key;
    int64_t not_before; /* seconds since 1970 */
    int64_t not_after;
    uint8_t serial[16];
};

bool node_name_valid(const char *name);
bool origin_valid(const char *origin); /* DNS-like name and path segments, last one a generation number:
                                          "js.example/exchange/1" */
/* Whether @later is @earlier, or a later generation of the same name; never when one of them is not valid. */
bool origin_follows(const char *later, const char *earlier);
/* The next generation of @origin; false when there is no room for its number. */
bool origin_next(char next[], size_t size, const char *origin);

/* DER of a self-signed authority for @origin, @days long. @out: CERTIFICATE_MAX bytes. */
int authority_make(const struct signing_key *key, const char *origin, unsigned days, int64_t now,
                   uint8_t *out, size_t *sizep, struct casebus_error *err);
/* Checks its form and that it is signed by itself; and, unless @key is NULL, that it is this key's. */
int authority_sound(struct bytes authority, const struct public_key *key, struct casebus_error *err);
/* Issues a node's certificate (serial is chosen at random). */
int certificate_issue(const struct signing_key *authority_key, struct bytes authority,
                      const struct certificate_info *info, uint8_t *out, size_t *sizep,
                      struct casebus_error *err);
/* Checks signature, form and names against the authority and fills in @info. @at: seconds since 1970 at which
 * it has to be valid, or 0 not to ask. */
int certificate_check(struct bytes certificate, struct bytes authority, int64_t at,
                      struct certificate_info *info, struct casebus_error *err);
/* Whether the key of the authority has signed @message. */
bool authority_signed(struct bytes authority, struct bytes message, const uint8_t signature[SIGNATURE_SIZE]);
/* From when until when it is valid, seconds since 1970, whoever issued it; false when it is no certificate.
 */
bool certificate_times(struct bytes certificate, int64_t *not_before, int64_t *not_after);
/* Whole days from now to @not_after; below zero: it has ended. */
int64_t certificate_days_left(int64_t not_after, int64_t now);
/* The first block of @pem, which has to be a certificate, as DER; false when it is not. */
bool certificate_from_pem(struct bytes pem, uint8_t *out, size_t *sizep);
/* Appends it in PEM, and a NUL that does not count. */
int certificate_to_pem(struct bytes certificate, struct buffer *pem, struct casebus_error *err);
/* PEM files. */
int certificate_save(struct bytes certificate, const char *path, struct casebus_error *err);
int certificate_load(const char *path, uint8_t *out, size_t *sizep, struct casebus_error *err);

#endif
