/* What the parts of verify share. */
#ifndef VERIFY_INTERNAL_H
#define VERIFY_INTERNAL_H

#include "hub/verify/verify.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/crypto/certificate.h"

/* A node as enrolled by the newest entry so far. */
struct verify_node {
    struct certificate_info info;
    uint8_t key_id[KEY_ID_SIZE];
    struct verifier *verifier;
};

struct verify_stream {
    size_t node; /* index in nodes */
    uint64_t id;
    uint64_t last;
    uint8_t last_statement[DIGEST_SIZE];
};

/* The batch whose seal was read and whose members are being met. */
struct verify_batch {
    bool open;
    uint64_t seal_position;
    char node[NODE_NAME_MAX];
    uint64_t stream;
    uint64_t first;
    uint32_t count;
    uint32_t next; /* index of the member that has to come next */
    uint8_t root[DIGEST_SIZE];
    bool told[BATCH_MAX_EVENTS]; /* its hash is known */
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE];
    uint64_t duplicate_of[BATCH_MAX_EVENTS]; /* position + 1 */
};

struct verify {
    const struct verify_options *options;
    struct verify_result *result;
    struct ledger_view *view;
    uint64_t view_ns; /* when it was taken */
    uint64_t size;
    uint64_t position;  /* of the entry being looked at */
    struct arena arena; /* of that entry */
    struct crypter *crypter;
    struct tree tree;
    int64_t hub_time_us;

    char origin[ORIGIN_MAX];
    char log_key[512];
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;

    struct verify_node *nodes;
    size_t n_nodes;
    struct verify_stream *streams; /* sorted by node, id */
    size_t n_streams;
    struct verify_batch batch;

    uint64_t slot; /* whose key is at hand */
    uint8_t slot_key[KEY_SIZE];
};

/* Each: 0, or -1 with what is wrong. */
int verify_opened(struct verify *verify, const Casebus__V1__LedgerOpened *opened, struct casebus_error *err);
int verify_enrolled(struct verify *verify, const Casebus__V1__NodeEnrolled *enrolled,
                    struct casebus_error *err);
int verify_confirmed(struct verify *verify, const Casebus__V1__DeliveriesConfirmed *confirmed,
                     struct casebus_error *err);
int verify_quarantined(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                       struct casebus_error *err);
int verify_seal(struct verify *verify, const Casebus__V1__SealEntry *seal, struct casebus_error *err);
int verify_event(struct verify *verify, const Casebus__V1__EventEntry *event, struct casebus_error *err);
/* That no batch waits for a member. */
int verify_batch_closed(const struct verify *verify, struct casebus_error *err);
int verify_event_body(struct verify *verify, const Casebus__V1__EventEntry *event, struct casebus_error *err);
int verify_quarantined_body(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                            struct casebus_error *err);
int verify_checkpoints(struct verify *verify, struct casebus_error *err);

/* A fresh snapshot when the one at hand is old; bytes got before are gone then. */
int verify_view_fresh(struct verify *verify, struct casebus_error *err);
/* NULL with @err when no such node is enrolled so far. */
const struct verify_node *verify_node_find(const struct verify *verify, const char *name,
                                           struct casebus_error *err);
/* Makes room for one more element. */
int verify_grow(void **array, size_t n, size_t element, struct casebus_error *err);

#endif
