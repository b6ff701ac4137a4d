/* Registry: who is enrolled. An immutable picture, replaced whole when somebody is enrolled or suspended;
 * each user holds a reference. */
#ifndef GATE_REGISTRY_H
#define GATE_REGISTRY_H

#include "hub/exchange/exchange.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/crypto/authorities.h"

#include <stdatomic.h>

struct registry_node {
    struct certificate_info info; /* name, department, area, CURVE key, signing key, validity */
    uint8_t key_id[KEY_ID_SIZE];
    struct verifier *verifier;
    bool publish;
    bool receive_all;
    uint32_t receive_part_kinds;
    Casebus__V1__NodeStatus status;
};

/* What the ledger says of a node: its serialised NodeEnrolled, and what became of it since. */
struct registry_fact {
    struct bytes enrolled;
    Casebus__V1__NodeStatus status;
};

struct registry {
    struct registry_node *nodes; /* sorted by name */
    size_t n_nodes;
    struct exchange_node *exchange; /* the same nodes, as the exchange sees them; n_nodes of them */
    /* private */
    atomic_int references;
};

/* Builds a registry from what the ledger holds, checking each
 * certificate against the authorities and the node's own signature of its enrolment. Whether a certificate is
 * valid today is asked by the gate. The caller unrefs it. */
int registry_build(struct registry **registryp, const struct registry_fact *facts, size_t n,
                   const struct authorities *authorities, struct casebus_error *err);
struct registry *registry_ref(struct registry *registry);   /* any thread */
struct registry *registry_unref(struct registry *registry); /* any thread; NULL in, NULL out */
/* NULL when there is none. What is found lives as long as the registry. */
const struct registry_node *registry_find(const struct registry *registry, const char *name);
/* A node that is neither suspended nor revoked. */
static inline bool registry_node_active(const struct registry_node *node)
{
    return node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE;
}
/* Whose key it is, active or not. */
const struct registry_node *registry_find_curve(const struct registry *registry,
                                                const uint8_t key[CURVE_KEY_SIZE]);

#endif
