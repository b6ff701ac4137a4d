/* Node keys: the two secrets of a node, made in its own directory, where they stay: node.key signs,
 * node.curve encrypts. And what the node signs about itself with the first when it is enrolled. */
#ifndef ENROL_NODE_KEYS_H
#define ENROL_NODE_KEYS_H

#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"

struct node_keys {
    const char *dir;
    struct signing_key *key;
    uint8_t curve_public[CURVE_KEY_SIZE];
    bool key_made, curve_made; /* by this run */
};

/* Who asks to be enrolled, and where. */
struct node_claim {
    const char *origin;
    const char *node;
    const char *department;
    const char *area;
};

/* Takes the keys that @dir has, or makes those that it lacks; with @must_exist it makes none. @token: the URI
 * of the key that signs, on a token (proto/crypto/token.h), if it is not there yet; NULL: in a file. To be
 * closed whatever comes of it. */
int node_keys_open(struct node_keys *keys, const char *dir, const struct suite *suite, const char *token,
                   bool must_exist, struct casebus_error *err);
void node_keys_close(struct node_keys *keys); /* fine on a zeroed one */
/* Removes again what this run made. */
void node_keys_drop(const struct node_keys *keys);
/* A serialised EnrolmentStatement in @arena, checked as the hub will, and its signature. */
int node_keys_state(const struct node_keys *keys, const struct node_claim *claim, struct arena *arena,
                    struct bytes *statement, uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err);

#endif
