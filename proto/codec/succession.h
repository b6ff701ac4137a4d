/* Succession: which CURVE key a hub has, and which one it will have, by the word of its authority. Nodes, hub
 * and whoever verifies the ledger follow the same statements (HubKeysChanged) in the order of their numbers.
 *
 * The schema has room for another authority, too. Nobody follows that yet: such a statement is refused. */
#ifndef CODEC_SUCCESSION_H
#define CODEC_SUCCESSION_H

#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"

struct succession {
    uint64_t number; /* of the newest statement; 0: there was none */
    uint8_t curve_key[CURVE_KEY_SIZE];
    int64_t curve_from_us;
    bool has_before;
    uint8_t curve_before[CURVE_KEY_SIZE]; /* of the statement before */
};

/* Takes @change when it is newer than what is known, and signed by @authority (DER) for a hub of the name of
 * @origin, whichever generation. 1: it was taken; 0: it was known; -1 with @err. */
int succession_add(struct succession *succession, struct bytes authority, const char *origin,
                   const Casebus__V1__HubKeysChanged *change, struct casebus_error *err);

/* The least number of a change that a hub makes as @origin at @now (seconds since 1970): no later generation
 * has one that is as small, whatever its clock says. */
uint64_t succession_number(const char *origin, int64_t now);

#endif
