#include "proto/codec/proof.h"

#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"

#include <string.h>

enum {
    MESSAGE_MAX = sizeof(PROOF_CONTEXT) + PROOF_NONCE_SIZE + 2 * CURVE_KEY_SIZE + ORIGIN_MAX + NODE_NAME_MAX
};

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* With the zero behind it. One that is too long is cut, and proves nothing. */
static uint8_t *put_name(uint8_t *at, const char *name, size_t room)
{
    size_t size = strnlen(name, room - 1);
    at = put(at, name, size);
    *at = 0;
    return at + 1;
}

static struct bytes message_make(uint8_t message[MESSAGE_MAX], const struct proof *proof)
{
    uint8_t *at = put(message, PROOF_CONTEXT, sizeof(PROOF_CONTEXT));
    at = put(at, proof->nonce, sizeof proof->nonce);
    at = put(at, proof->hub_curve, sizeof proof->hub_curve);
    at = put(at, proof->node_curve, sizeof proof->node_curve);
    at = put_name(at, proof->origin, ORIGIN_MAX);
    at = put_name(at, proof->node, NODE_NAME_MAX);
    return bytes_of(message, (size_t)(at - message));
}

int proof_sign(const struct proof *proof, const struct signing_key *log_key,
               uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err)
{
    uint8_t message[MESSAGE_MAX];
    return signing_key_sign(log_key, message_make(message, proof), signature, err);
}

bool proof_check(const struct proof *proof, const struct verifier *log, struct bytes signature)
{
    uint8_t message[MESSAGE_MAX];
    return signature.size == SIGNATURE_SIZE && strlen(proof->origin) < ORIGIN_MAX &&
           strlen(proof->node) < NODE_NAME_MAX &&
           verifier_check(log, message_make(message, proof), signature.data);
}
