/* Proven: whether what answers at the hub's address is this node's hub. A CURVE key alone does not tell,
 * since somebody else may have it; the hub shows by its log key that it is there (proto/codec/proof.h). What
 * could not show it is told by a file in the node's directory, for whoever asks for its status, until the hub
 * is met again. */
#ifndef SDK_PROVEN_H
#define SDK_PROVEN_H

#include "adapters/sdk/enrolment.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/proof.h"

/* CASEBUS_HUB_IDENTITY unless @welcome answers @nonce, over the connection at hand, by the hub's log key. */
int proven_check(const struct enrolment *enrolment, const uint8_t nonce[PROOF_NONCE_SIZE],
                 const Casebus__V1__Welcome *welcome, const char *endpoint, struct casebus_error *err);

/* The hub was not met (@met false), or was. */
int proven_note(const char *dir, bool met, struct casebus_error *err);
/* Since when (seconds since 1970) somebody else answers; 0: nobody does. */
int64_t proven_not_since(const char *dir);

#endif
