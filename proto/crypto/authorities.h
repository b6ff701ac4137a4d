/* Authorities: those that a hub has had, the oldest first. A certificate is by one of them; a new one is
 * issued by the newest alone. */
#ifndef CRYPTO_AUTHORITIES_H
#define CRYPTO_AUTHORITIES_H

#include "proto/crypto/certificate.h"

struct authorities {
    struct bytes *items; /* DER */
    size_t n;
};

/* Adds a copy of @authority, unless it is the newest one. @authorities begins zeroed. */
int authorities_add(struct authorities *authorities, struct bytes authority, struct casebus_error *err);
int authorities_copy(struct authorities *to, const struct authorities *from, struct casebus_error *err);
void authorities_deinit(struct authorities *authorities); /* fine on a zeroed one */
/* The newest one; empty when there is none. */
struct bytes authorities_newest(const struct authorities *authorities);
/* certificate_check by the newest that issued it: that one, or NULL with @err. */
const struct bytes *authorities_check(const struct authorities *authorities, struct bytes certificate,
                                      struct certificate_info *info, struct casebus_error *err);

#endif
