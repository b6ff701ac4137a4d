/* Registry: who is enrolled. An immutable picture, replaced whole when somebody is enrolled or suspended;
 * each user holds a reference. */
#ifndef GATE_REGISTRY_H
#define GATE_REGISTRY_H

#include "hub/exchange/exchange.h"
#include "proto/crypto/certificate.h"

#include <stdatomic.h>

struct registry_node {
    struct certificate_info info; /* name, department, area, CURVE key, signing key, validity */
    uint8_t key_id[KEY_ID_SIZE];
    struct verifier *verifier;
    bool publish;
    bool receive_all;
    uint32_t receive_part_kinds;
};

struct registry {
    struct registry_node *nodes; /* sorted by name */
    size_t n_nodes;
    struct exchange_node *exchange; /* the same nodes, as the exchange sees them; n_nodes of them */
    /* private */
    atomic_int references;
};

/* Builds a registry from serialised NodeEnrolled messages (as the ledger holds them), checking each
 * certificate against the authority and the node's own signature of its enrolment. Whether a certificate is
 * valid today is asked by the gate. The caller unrefs it. */
int registry_build(struct registry **registryp, const struct bytes *enrolled, size_t n,
                   struct bytes authority, struct casebus_error *err);
struct registry *registry_ref(struct registry *registry);   /* any thread */
struct registry *registry_unref(struct registry *registry); /* any thread; NULL in, NULL out */
/* NULL when there is none. What is found lives as long as the registry. */
const struct registry_node *registry_find(const struct registry *registry, const char *name);
const struct registry_node *registry_find_curve(const struct registry *registry,
                                                const uint8_t key[CURVE_KEY_SIZE]);

#endif
