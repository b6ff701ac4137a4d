/* Proof: what a hub signs with its log key at the beginning of a session, so that the node knows who is
 * there. The connection's CURVE key alone does not tell: who has read it once could be the hub for ever.
 *
 *   "casebus/v1/session" 0x00 ‖ nonce ‖ CURVE key of the hub ‖ CURVE key of the node ‖ origin 0x00 ‖ node
 * 0x00
 *
 * The nonce is the node's and of this connection. Both CURVE keys are in it so that it is worth nothing to
 * somebody in between, who would have to have the node's key, too. */
#ifndef CODEC_PROOF_H
#define CODEC_PROOF_H

#include "proto/crypto/keys.h"

#define PROOF_CONTEXT    "casebus/v1/session"
#define PROOF_NONCE_SIZE 32

struct proof {
    const char *origin, *node; /* names that are in order */
    uint8_t nonce[PROOF_NONCE_SIZE];
    uint8_t hub_curve[CURVE_KEY_SIZE];
    uint8_t node_curve[CURVE_KEY_SIZE];
};

int proof_sign(const struct proof *proof, const struct signing_key *log_key,
               uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err);
bool proof_check(const struct proof *proof, const struct verifier *log, struct bytes signature);

#endif
