/* Succession: which authority and which CURVE key a hub has, by the word of the authority before. Nodes, hub
 * and whoever verifies the ledger follow the same statements (HubKeysChanged) in the order of their numbers.
 *
 * Another authority is named by the one before it and signs the same words itself: so whoever trusts the one
 * can go on to the other, and whoever trusts the other can go back. */
#ifndef CODEC_SUCCESSION_H
#define CODEC_SUCCESSION_H

#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"

struct succession {
    uint64_t number;                    /* of the newest statement; 0: there was none */
    uint8_t authority[CERTIFICATE_MAX]; /* DER, the one that holds now */
    size_t authority_size;
    uint8_t curve_key[CURVE_KEY_SIZE];
    uint64_t curve_number; /* of the statement that first named it */
    int64_t curve_from_us;
    bool has_before;
    uint8_t curve_before[CURVE_KEY_SIZE]; /* the key before this one */
};

/* Begins with @authority (DER), of which nothing has become yet. */
void succession_init(struct succession *succession, struct bytes authority);
/* The authority that holds now; it lives as long as @succession. */
struct bytes succession_authority(const struct succession *succession);
/* Takes @change when it is newer than what is known, and signed by the authority that holds until then, for a
 * hub of the name of @origin, whichever generation; and by the new one, when it names another. 1: it was
 * taken; 0: it was known; -1 with @err. */
int succession_add(struct succession *succession, const char *origin,
                   const Casebus__V1__HubKeysChanged *change, struct casebus_error *err);
/* Whether @change names another authority than @before, without asking who signed it: @authority then is its
 * DER, in @change's memory or @arena's. */
bool succession_names(const Casebus__V1__HubKeysChanged *change, struct bytes before, struct arena *arena,
                      struct bytes *authority);
/* The least number of a change that a hub makes as @origin at @now (seconds since 1970): no later generation
 * has one that is as small, whatever its clock says. */
uint64_t succession_number(const char *origin, int64_t now);

#endif
