/* Proving: the hub shows each node that it is this hub, by its log key (proto/codec/proof.h).
 *
 * Whoever says Hello has the hub sign once, on the thread that serves everybody; a token may take its time
 * for that. So a node is given a share of the time, and not a number of proofs: it costs the others the same
 * whatever a signature costs. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#define SHARE    8                       /* one part of so many of the time, in the long run */
#define AHEAD_NS (SHARE * 1000000000ull) /* and a second at once */

int proving_open(struct bus *bus, const char *curve_secret, struct casebus_error *err)
{
    char public_key[41];
    if (zmq_curve_public(public_key, curve_secret) || !zmq_z85_decode(bus->curve_public, public_key))
        return error_set(err, CASEBUS_KEY, _("the hub's CURVE key is not usable"));
    return 0;
}

static int sign(struct bus *bus, const struct session *session, const struct registry_node *node,
                uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err)
{
    struct proof proof = {.origin = bus->origin, .node = node->info.node};
    memcpy(proof.nonce, session->nonce, sizeof(proof.nonce));
    memcpy(proof.hub_curve, bus->curve_public, sizeof(proof.hub_curve));
    memcpy(proof.node_curve, node->info.curve_key, sizeof(proof.node_curve));
    return proof_sign(&proof, bus->options.log_key, signature, err);
}

bool proving_sign(struct bus *bus, struct session *session, const struct registry_node *node,
                  uint8_t signature[SIGNATURE_SIZE])
{
    struct casebus_error err;
    struct visitor *visitor = admission_visitor(bus, node->info.node);
    uint64_t now = clock_monotonic_ns();
    if (!visitor || bus->unbound ||
        (visitor->proofs_due_ns > now && visitor->proofs_due_ns - now >= AHEAD_NS)) {
        session_bye(bus, session, CASEBUS_BUSY,
                    "the hub cannot begin this session now; try again in a second",
                    "枢纽目前无法建立此会话，请稍后重试");
        return false;
    }
    int r = sign(bus, session, node, signature, &err);
    if (visitor->proofs_due_ns < now)
        visitor->proofs_due_ns = now;
    visitor->proofs_due_ns += (clock_monotonic_ns() - now) * SHARE;
    if (r == 0)
        return true;
    log_error(bus->options.log, err.code == CASEBUS_TOKEN ? "TOKEN-GONE" : "PROOF",
              _("node '%s' cannot be shown that this is the hub: %s"), node->info.node, err.text);
    session_bye(bus, session, CASEBUS_BUSY, "the hub's key does not sign now; try again in a second",
                "枢纽的密钥目前无法签名，请稍后重试");
    return false;
}
