/* Joining: the form of the four frames of the door, and the MACs by which node and hub show each other that
 * they know the code of the invitation. Formulas: docs/protocol.md. */
#ifndef CODEC_JOINING_H
#define CODEC_JOINING_H

#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/code.h"

#define JOIN_CONTEXT   "casebus/v1/join"
#define JOIN_NONCE     32
#define JOIN_FRAME_MAX 8192 /* bytes of one frame at the door */

/* One conversation at the door, as both sides know it. */
struct joining {
    uint8_t key[CODE_KEY_SIZE];
    uint8_t node_nonce[JOIN_NONCE];
    uint8_t hub_nonce[JOIN_NONCE];
};

/* That a frame of the door is well formed; 0 for a frame of any other kind. */
int joining_check(const Casebus__V1__Frame *frame, struct casebus_error *err);
/* The form of an offer. NULL with @err. */
Casebus__V1__JoinOffer *join_offer_decode(struct bytes offer, struct arena *arena, struct casebus_error *err);

/* mac = what the message has to carry; the other side compares with joining_is. */
void joining_mac_open(const struct joining *joining, struct bytes offer, uint8_t mac[DIGEST_SIZE]);
void joining_mac_request(const struct joining *joining, struct bytes offer,
                         const Casebus__V1__JoinRequest *request, uint8_t mac[DIGEST_SIZE]);
void joining_mac_answer(const struct joining *joining, const Casebus__V1__JoinAnswer *answer,
                        uint8_t mac[DIGEST_SIZE]);
bool joining_is(const uint8_t mac[DIGEST_SIZE], ProtobufCBinaryData given);

#endif
