/* Gate: may this batch come in? Runs in the verify workers, one gate each; looks only at the batch and the
 * registry.
 *
 * Who sent it (the payload frame's User-Id, set by ZAP), did they sign it, is it meant for this hub, are its
 * bytes what the schema says. What passes leaves decoded, hashed and sealed: the writer has only to decide
 * and to wrap keys. What does not pass leaves with a code, a sentence and a hint, and its bytes sealed for
 * quarantine. */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "hub/gate/registry.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"

struct gate_member {
    struct exchange_event event;
    const Casebus__V1__Event *wire;      /* header bytes and parts as they came */
    struct body_seal seal;               /* wrapped by the writer */
    const struct casebus_error *refusal; /* NULL: passed. A refused member still has event_hash and seal, and
                                            content_digest, and its record_key if the header could be read */
};

struct gate_batch {
    struct arena arena;                           /* owns all that is below */
    const Casebus__V1__Batch *batch;              /* NULL: could not be read */
    const Casebus__V1__BatchStatement *statement; /* NULL: could not be read */
    uint8_t statement_hash[DIGEST_SIZE];
    struct gate_member *members;
    size_t n_members;
    struct casebus_error refusal;  /* code CASEBUS_OK: the batch passed as a whole */
    struct body_seal refused_seal; /* of the frame's bytes when it did not */
    uint8_t frame_hash[DIGEST_SIZE];
    /* Of a batch that did not pass: what its events are about, as far as they can be read, and whether they
     * are marked as a state secret. It tells what must not be kept. */
    uint8_t (*refused_records)[TEXT_KEY_SIZE];
    size_t n_refused_records;
    bool refused_marked;
};

struct gate;
/* @content_key: the hub's key for content digests. @origin is copied. */
struct gate *gate_new(const struct suite *suite, const char *origin, const uint8_t content_key[KEY_SIZE]);
struct gate *gate_free(struct gate *gate);
/* Whether the node may do anything: CASEBUS_SUSPENDED or CASEBUS_REVOKED when it may not. */
int gate_check_status(const struct registry_node *node, struct casebus_error *err);
void gate_batch_init(struct gate_batch *batch);
void gate_batch_deinit(struct gate_batch *batch); /* fine on a zeroed batch */
/* Checks @frame, which @node sent (NULL when it is not in the registry). @batch was inited once and may be
 * used again and again: what it held before is gone. Everything it points to lives in its arena, wire bytes
 * too, so @frame may go. Never fails: a fault of ours is a refusal with CASEBUS_INTERNAL or
 * CASEBUS_NO_MEMORY. With a refusal of the whole batch, batch and statement are set as far as they could be
 * read. */
void gate_check(struct gate *gate, const struct registry_node *node, struct bytes frame, int64_t now_us,
                struct gate_batch *batch);
/* Checks one event again whose batch was checked before: @items are what its sealed body holds (the header;
 * salt ‖ content of each part). It becomes the one member of @batch, which has no statement. */
void gate_check_again(struct gate *gate, const struct bytes *items, size_t n_items, struct gate_batch *batch);

#endif
