/* A hub's authority, nodes with keys and certificates, and batches that they sign; every part can be bent by
 * a test. */
#ifndef GATE_FIXTURE_H
#define GATE_FIXTURE_H

#include "hub/gate/gate.h"
#include "proto/crypto/keys.h"

#define TEST_ORIGIN "js.example/exchange/1"
#define TEST_NOW_S  INT64_C(1700000000)

struct test_node {
    const char *name;
    struct signing_key *key;
    struct certificate_info info;
    Casebus__V1__EnrolmentStatement statement;
    Casebus__V1__NodeEnrolled enrolled;
    Casebus__V1__Grants grants;
    uint32_t part_kinds[2];
    uint8_t certificate[CERTIFICATE_MAX];
    uint8_t signature[SIGNATURE_SIZE];
};

/* An event before it is packed. */
struct test_event {
    Casebus__V1__EventHeader header;
    uint8_t random[RANDOM_SIZE];
    Casebus__V1__PartCommitment commitments[9], *commitment_list[9];
    uint8_t macs[9][DIGEST_SIZE];
    Casebus__V1__Part parts[9], *part_list[9];
    uint8_t salts[9][SALT_SIZE];
    Casebus__V1__Event wire;
    char record_id[32];
};

/* A batch before it is signed. */
struct test_batch {
    Casebus__V1__BatchStatement statement;
    Casebus__V1__Batch batch;
    struct test_event *events;
    Casebus__V1__Event **event_list;
    uint8_t root[DIGEST_SIZE], previous[DIGEST_SIZE], key_id[KEY_ID_SIZE], signature[SIGNATURE_SIZE];
    size_t n;
};

struct gate_fixture {
    uint8_t content_key[KEY_SIZE];
    struct signing_key *authority_key;
    uint8_t authority_der[CERTIFICATE_MAX];
    struct bytes authority;
    struct authorities authorities; /* it alone */
    struct crypter *crypter;
    struct arena arena;
    struct test_node desk, office;
    struct registry *registry;
    struct gate *gate;
    struct gate_batch out;
    struct casebus_error err;
};

void gate_fixture_init(struct gate_fixture *fixture);
void gate_fixture_deinit(struct gate_fixture *fixture);
/* Issues a certificate and fills in an enrolment; enrolment_pack signs and packs it. */
void test_node_init(struct gate_fixture *fixture, struct test_node *node, const char *name);
void test_node_deinit(struct test_node *node);
struct bytes enrolment_pack(struct gate_fixture *fixture, struct test_node *node);
/* The same, of an active node. */
struct registry_fact fact_pack(struct gate_fixture *fixture, struct test_node *node);

/* @n events with two parts each, @part_size bytes together, headers of some 200 bytes. */
struct test_batch *batch_make(struct gate_fixture *fixture, size_t n, size_t part_size);
/* Commits to the parts and packs the header again. */
void event_commit(struct gate_fixture *fixture, struct test_event *event);
/* Packs everything; signs with the desk's key. */
struct bytes batch_sign(struct gate_fixture *fixture, struct test_batch *batch);
/* Packs without signing again. */
struct bytes batch_pack(struct gate_fixture *fixture, struct test_batch *batch);
/* Asks the gate as the desk. */
const struct gate_batch *gate_ask(struct gate_fixture *fixture, struct bytes frame);

#endif
