/* Test peer: stands in for a hub in the tests of this folder, and lies on demand. It keeps a real Merkle tree
 * and signs real checkpoints; it decides nothing, stores nothing and checks nothing of what a hub has to. */
#ifndef SDK_TESTPEER_H
#define SDK_TESTPEER_H

#include "adapters/sdk/testbed.h"
#include "casebus/event.h"
#include "proto/codec/batch.h"
#include "proto/codec/frame.h"
#include "proto/merkle/tree.h"

#define TESTPEER_LEAVES  8192
#define TESTPEER_STREAMS 16

struct testpeer {
    struct testbed *bed;
    struct crypter *crypter;
    struct arena arena;

    struct tree tree;
    uint8_t leaves[TESTPEER_LEAVES][DIGEST_SIZE];
    uint64_t known_size; /* what the node has seen */
    struct testpeer_stream {
        uint64_t stream, last;
        uint8_t hash[DIGEST_SIZE];
    } streams[TESTPEER_STREAMS];
    size_t n_streams;

    void *context;
    void *router;
    char endpoint[128];
    uint8_t id[64]; /* of the node's connection */
    size_t id_size;

    /* What the test wants. */
    const char *origin;
    const char *signed_as;               /* the origin in its checkpoints */
    Casebus__V1__Generation *generation; /* that it shows in Welcome; NULL: none */
    const struct signing_key *proves_by; /* that it is the hub; NULL: the log key */
    bool proves_not;                     /* without a proof in Welcome */
    unsigned proves_other; /* over another: 1 nonce, 2 key of the hub, 3 key of the node, 4 node */
    bool pings_first;      /* before Welcome */
    uint32_t version;
    uint32_t window;
    uint32_t ping_ms;
    int64_t skew_us;
    bool silent;             /* hears, but says nothing */
    const char *refuse_code; /* for the next batch */
    bool refuse_final;
    int duplicate;         /* index of a member that counts as duplicate; -1: none */
    uint64_t duplicate_of; /* position of the entry that it repeats */
    int refused;           /* index of a member that is refused; -1: none */
    bool lie_seal;         /* seals another signature */
    /* What it says witnesses cosigned: sent with the next Pongs. */
    const struct signing_key *witness_key; /* NULL: nothing */
    const char *witness_name;
    bool renews;              /* answers Renew: by */
    bool renews_not;          /* nothing at all */
    const char *refuse_renew; /* this code; else by a certificate */
    const char *renew_node;   /* of this node; NULL: of the one that asks */
    int64_t renewed_until;    /* seconds since 1970 */
    bool cosigned_other;      /* of another tree than this one */
    uint64_t cosigned_size;   /* 0: of the whole tree */

    /* What it has seen. */
    unsigned hellos, batches, events, confirms, credits, subscribes, pings, pongs, byes, renewals;
    size_t in_flight_max;
    uint8_t batch_hashes[64][DIGEST_SIZE]; /* of the statements, as they came */
    Casebus__V1__DeliveryId subscribed;    /* after which */
    bool resumed;
    struct casebus_delivery_seen {
        uint64_t position;
        uint8_t running_hash[DIGEST_SIZE];
        bool signed_well;
    } confirmed;
};

void testpeer_open(struct testpeer *peer, struct testbed *bed);
void testpeer_close(struct testpeer *peer);
/* Answers everything that has come. */
void testpeer_work(struct testpeer *peer);
void testpeer_send(struct testpeer *peer, const Casebus__V1__Frame *frame);
void testpeer_send_bytes(struct testpeer *peer, const void *data, size_t size);
void testpeer_bye(struct testpeer *peer, enum casebus_code code);

/* An event that passes, of the record "row-MARK". */
void testpeer_event(struct casebus_event *event, uint64_t mark);

/* The ledger alone, for receipts. */
uint64_t testpeer_append(struct testpeer *peer, struct bytes entry);
Casebus__V1__SignedCheckpoint *testpeer_checkpoint(struct testpeer *peer);
/* The path from the leaf at @position to the root; lives in the peer's arena. */
ProtobufCBinaryData *testpeer_inclusion(struct testpeer *peer, uint64_t position, size_t *n);
/* Seals a batch and makes the answer; lives in the peer's arena. */
Casebus__V1__Accepted *testpeer_accept(struct testpeer *peer, struct bytes statement,
                                       const uint8_t signature[SIGNATURE_SIZE],
                                       const uint8_t (*event_hashes)[DIGEST_SIZE]);

#endif
