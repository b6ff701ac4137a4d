#include "adapters/sdk/testpeer.h"

#include "proto/base/clock.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/event.h"
#include "proto/codec/proof.h"
#include "proto/codec/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include <cmocka.h>

#define FIELD(bytes)                                                                                         \
    (ProtobufCBinaryData)                                                                                    \
    {                                                                                                        \
        (bytes).size, (uint8_t *)(bytes).data                                                                \
    }

static void *alloc(struct testpeer *peer, size_t size)
{
    void *piece = arena_alloc(&peer->arena, size);
    assert_non_null(piece);
    memset(piece, 0, size);
    return piece;
}

/* --- the ledger --- */

static int subtree_read(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                        struct casebus_error *err)
{
    struct testpeer *peer = self;
    (void)err;
    tree_root_of(peer->crypter, (const uint8_t(*)[DIGEST_SIZE])(peer->leaves + (index << level)),
                 (size_t)1 << level, hash);
    return 0;
}

uint64_t testpeer_append(struct testpeer *peer, struct bytes entry)
{
    uint64_t position = peer->tree.size;
    assert_true(position < TESTPEER_LEAVES);
    tree_leaf_hash(peer->crypter, entry, peer->leaves[position]);
    tree_append(&peer->tree, peer->crypter, peer->leaves[position], NULL, NULL);
    return position;
}

static ProtobufCBinaryData *hashes_keep(struct testpeer *peer, uint8_t hashes[][DIGEST_SIZE], size_t n)
{
    ProtobufCBinaryData *list = alloc(peer, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = (ProtobufCBinaryData){DIGEST_SIZE, arena_copy(&peer->arena, hashes[i], DIGEST_SIZE)};
    return list;
}

ProtobufCBinaryData *testpeer_inclusion(struct testpeer *peer, uint64_t position, size_t *n)
{
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    assert_int_equal(
        tree_inclusion(peer->crypter, position, peer->tree.size, subtree_read, peer, path, n, NULL), 0);
    return hashes_keep(peer, path, *n);
}

Casebus__V1__SignedCheckpoint *testpeer_checkpoint(struct testpeer *peer)
{
    struct checkpoint checkpoint = {.size = peer->tree.size};
    char note[NOTE_MAX];
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    Casebus__V1__SignedCheckpoint *signed_one = alloc(peer, sizeof *signed_one);
    casebus__v1__signed_checkpoint__init(signed_one);
    strcpy(checkpoint.origin, peer->signed_as);
    tree_root(&peer->tree, peer->crypter, checkpoint.root);
    int size = checkpoint_sign(note, sizeof note, &checkpoint, peer->signed_as, peer->bed->log_key, NULL);
    assert_true(size > 0);
    signed_one->note = (ProtobufCBinaryData){(size_t)size, arena_copy(&peer->arena, note, (size_t)size)};
    signed_one->from_size = peer->known_size;
    assert_int_equal(tree_consistency(peer->crypter, peer->known_size, peer->tree.size, subtree_read, peer,
                                      proof, &signed_one->n_consistency, NULL),
                     0);
    signed_one->consistency = hashes_keep(peer, proof, signed_one->n_consistency);
    peer->known_size = peer->tree.size;
    return signed_one;
}

static void outcome_add(struct testpeer *peer, Casebus__V1__SealEntry *seal, Casebus__V1__Accepted *accepted,
                        int index, const uint8_t hash[DIGEST_SIZE], bool refused)
{
    Casebus__V1__SealOutcome *outcome = alloc(peer, sizeof *outcome);
    Casebus__V1__Outcome *words = alloc(peer, sizeof *words);
    Casebus__V1__Text *sentence = alloc(peer, sizeof *sentence);
    casebus__v1__seal_outcome__init(outcome);
    casebus__v1__outcome__init(words);
    casebus__v1__text__init(sentence);
    sentence->zh = (char *)"不收";
    sentence->en = (char *)"not taken";
    outcome->index = words->index = (uint32_t)index;
    outcome->event_hash = words->event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)hash};
    outcome->duplicate_of = words->duplicate_of = refused ? 0 : peer->duplicate_of + 1;
    outcome->code = words->code = refused ? (char *)"CB-RECORD-OWNER" : (char *)"";
    words->sentence = sentence;
    seal->outcome[seal->n_outcome++] = outcome;
    accepted->outcome[accepted->n_outcome++] = words;
}

static uint64_t seal_append(struct testpeer *peer, const Casebus__V1__SealEntry *seal,
                            Casebus__V1__Accepted *accepted)
{
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.format = 1;
    entry.suite = (Casebus__V1__Suite)suite_id(peer->bed->suite);
    entry.hub_time_us = clock_unix_us();
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL;
    entry.seal = (Casebus__V1__SealEntry *)seal;
    struct bytes bytes = codec_pack(&entry, &peer->arena);
    accepted->seal_entry = FIELD(bytes);
    return testpeer_append(peer, bytes);
}

Casebus__V1__Accepted *testpeer_accept(struct testpeer *peer, struct bytes statement,
                                       const uint8_t signature[SIGNATURE_SIZE],
                                       const uint8_t (*event_hashes)[DIGEST_SIZE])
{
    Casebus__V1__SealEntry seal = CASEBUS__V1__SEAL_ENTRY__INIT;
    Casebus__V1__SealOutcome *outcomes[2];
    Casebus__V1__Accepted *accepted = alloc(peer, sizeof *accepted);
    const Casebus__V1__BatchStatement *fields = statement_decode(statement, &peer->arena, NULL);
    assert_non_null(fields);
    casebus__v1__accepted__init(accepted);
    accepted->outcome = alloc(peer, 2 * sizeof *accepted->outcome);
    seal.outcome = outcomes;
    seal.statement = FIELD(statement);
    seal.signature =
        (ProtobufCBinaryData){SIGNATURE_SIZE, arena_copy(&peer->arena, signature, SIGNATURE_SIZE)};
    if (peer->lie_seal)
        seal.signature.data[0] ^= 1;
    if (peer->duplicate >= 0)
        outcome_add(peer, &seal, accepted, peer->duplicate, event_hashes[peer->duplicate], false);
    if (peer->refused >= 0)
        outcome_add(peer, &seal, accepted, peer->refused, event_hashes[peer->refused], true);
    accepted->stream = fields->stream;
    accepted->first = fields->first;
    accepted->count = fields->count;
    accepted->seal_position = seal_append(peer, &seal, accepted);
    for (uint32_t i = (uint32_t)seal.n_outcome; i < fields->count; i++)
        testpeer_append(peer, bytes_of("event", 5));
    accepted->checkpoint = testpeer_checkpoint(peer);
    accepted->inclusion = testpeer_inclusion(peer, accepted->seal_position, &accepted->n_inclusion);
    return accepted;
}

/* --- the session --- */

void testpeer_send_bytes(struct testpeer *peer, const void *data, size_t size)
{
    zmq_send(peer->router, peer->id, peer->id_size, ZMQ_SNDMORE);
    zmq_send(peer->router, data, size, 0);
}

void testpeer_send(struct testpeer *peer, const Casebus__V1__Frame *frame)
{
    struct bytes bytes = codec_pack(frame, &peer->arena);
    testpeer_send_bytes(peer, bytes.data, bytes.size);
}

void testpeer_bye(struct testpeer *peer, enum casebus_code code)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Bye bye = CASEBUS__V1__BYE__INIT;
    bye.code = (char *)casebus_code_text(code);
    frame.body_case = CASEBUS__V1__FRAME__BODY_BYE;
    frame.bye = &bye;
    testpeer_send(peer, &frame);
}

void testpeer_event(struct casebus_event *event, uint64_t mark)
{
    struct casebus_error err;
    char record[32];
    snprintf(record, sizeof record, "row-%u", (unsigned)mark);
    casebus_event_clear(event);
    assert_int_equal(casebus_event_set(event, "record_namespace", "t", &err), 0);
    assert_int_equal(casebus_event_set(event, "record_id", record, &err), 0);
    assert_int_equal(casebus_event_set(event, "kind", "accept", &err), 0);
    assert_int_equal(casebus_event_set(event, "case_number", "C", &err), 0);
    assert_int_equal(casebus_event_set(event, "occurred_at", "2020-01-02", &err), 0);
}

static struct testpeer_stream *stream_of(struct testpeer *peer, uint64_t stream)
{
    for (size_t i = 0; i < peer->n_streams; i++)
        if (peer->streams[i].stream == stream)
            return &peer->streams[i];
    assert_true(peer->n_streams < TESTPEER_STREAMS);
    peer->streams[peer->n_streams] = (struct testpeer_stream){.stream = stream};
    return &peer->streams[peer->n_streams++];
}

static ProtobufCBinaryData proof_make(struct testpeer *peer, const Casebus__V1__Hello *hello)
{
    const struct signing_key *key = peer->proves_by ? peer->proves_by : peer->bed->log_key;
    struct proof proof = {.origin = peer->origin, .node = hello->node};
    uint8_t *signature = alloc(peer, SIGNATURE_SIZE);
    assert_int_equal(hello->nonce.len, PROOF_NONCE_SIZE);
    memcpy(proof.nonce, hello->nonce.data, PROOF_NONCE_SIZE);
    assert_non_null(zmq_z85_decode(proof.hub_curve, peer->bed->hub_curve_public));
    assert_non_null(zmq_z85_decode(proof.node_curve, peer->bed->curve_public));
    uint8_t *others[] = {NULL, proof.nonce, proof.hub_curve, proof.node_curve};
    if (peer->proves_other == 4)
        proof.node = "group-2";
    else if (peer->proves_other)
        others[peer->proves_other][0] ^= 1;
    assert_int_equal(proof_sign(&proof, key, signature, NULL), 0);
    return (ProtobufCBinaryData){peer->proves_not ? 0 : SIGNATURE_SIZE, signature};
}

static void ping(struct testpeer *peer)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PING;
    frame.ping = &ping;
    testpeer_send(peer, &frame);
}

static void on_hello(struct testpeer *peer, const Casebus__V1__Hello *hello)
{
    struct testpeer_stream *known = stream_of(peer, hello->stream[0]->stream);
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Welcome welcome = CASEBUS__V1__WELCOME__INIT;
    Casebus__V1__StreamState state = CASEBUS__V1__STREAM_STATE__INIT, *states[] = {&state};
    assert_string_equal(hello->node, TESTBED_NODE);
    peer->hellos++;
    if (peer->pings_first)
        ping(peer);
    peer->known_size = hello->checkpoint_size <= peer->tree.size ? hello->checkpoint_size : 0;
    state.stream = known->stream;
    state.last = known->last;
    if (known->last > 0)
        state.last_statement = (ProtobufCBinaryData){DIGEST_SIZE, known->hash};
    welcome.version = peer->version;
    welcome.origin = (char *)peer->origin;
    welcome.software = (char *)"test peer";
    welcome.hub_time_us = clock_unix_us() + peer->skew_us;
    welcome.window_bytes = peer->window;
    welcome.ping_interval_ms = peer->ping_ms;
    welcome.n_stream = 1;
    welcome.stream = states;
    welcome.checkpoint = testpeer_checkpoint(peer);
    welcome.generation = peer->generation;
    welcome.renews = peer->renews;
    welcome.proof = proof_make(peer, hello);
    frame.body_case = CASEBUS__V1__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    testpeer_send(peer, &frame);
}

static void refuse(struct testpeer *peer, const Casebus__V1__BatchStatement *fields)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Refused refused = CASEBUS__V1__REFUSED__INIT;
    refused.stream = fields->stream;
    refused.first = fields->first;
    refused.count = fields->count;
    refused.code = (char *)peer->refuse_code;
    refused.final = peer->refuse_final;
    frame.body_case = CASEBUS__V1__FRAME__BODY_REFUSED;
    frame.refused = &refused;
    peer->refuse_code = NULL;
    testpeer_send(peer, &frame);
}

static void on_publish(struct testpeer *peer, const Casebus__V1__Batch *batch)
{
    struct bytes statement = bytes_of(batch->statement.data, batch->statement.len);
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE];
    const Casebus__V1__BatchStatement *fields = statement_decode(statement, &peer->arena, NULL);
    assert_non_null(fields);
    statement_hash(peer->crypter, statement, peer->batch_hashes[peer->batches % 64]);
    peer->batches++;
    if (peer->refuse_code) {
        refuse(peer, fields);
        return;
    }
    struct testpeer_stream *known = stream_of(peer, fields->stream);
    if (fields->first != known->last + 1)
        return; /* built on one that was refused */
    for (size_t i = 0; i < batch->n_event; i++)
        event_hash(peer->crypter, bytes_of(batch->event[i]->header.data, batch->event[i]->header.len),
                   hashes[i]);
    peer->events += fields->count;
    known->last = fields->first + fields->count - 1;
    statement_hash(peer->crypter, statement, known->hash);
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_ACCEPTED;
    frame.accepted =
        testpeer_accept(peer, statement, batch->signature.data, (const uint8_t(*)[DIGEST_SIZE])hashes);
    testpeer_send(peer, &frame);
}

static void on_confirm(struct testpeer *peer, const Casebus__V1__Confirm *confirm)
{
    struct bytes statement = bytes_of(confirm->statement.data, confirm->statement.len);
    const Casebus__V1__ConfirmStatement *fields = confirm_decode(statement, &peer->arena, NULL);
    struct verifier *verifier = verifier_new(signing_key_public(peer->bed->node_key));
    assert_non_null(fields);
    peer->confirms++;
    peer->confirmed.position = fields->last->position;
    memcpy(peer->confirmed.running_hash, fields->running_hash.data, DIGEST_SIZE);
    peer->confirmed.signed_well = verifier_check(verifier, statement, confirm->signature.data);
    verifier_free(verifier);
}

/* A cosigned checkpoint as it would come from a hub whose witness is @witness_key, true or not. */
static Casebus__V1__SignedCheckpoint *cosigned(struct testpeer *peer)
{
    struct checkpoint checkpoint = {.size = peer->cosigned_size ? peer->cosigned_size : peer->tree.size};
    char note[NOTE_MAX + 1], line[400];
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    struct bytes text, lines;
    Casebus__V1__SignedCheckpoint *out = alloc(peer, sizeof *out);
    casebus__v1__signed_checkpoint__init(out);
    strcpy(checkpoint.origin, TESTBED_ORIGIN);
    if (checkpoint.size <= peer->tree.size) {
        assert_int_equal(
            tree_root_at(peer->crypter, checkpoint.size, subtree_read, peer, checkpoint.root, NULL), 0);
        assert_int_equal(tree_consistency(peer->crypter, checkpoint.size, peer->tree.size, subtree_read, peer,
                                          proof, &out->n_consistency, NULL),
                         0);
    }
    checkpoint.root[0] ^= peer->cosigned_other;
    assert_true(checkpoint_sign(note, sizeof note, &checkpoint, TESTBED_ORIGIN, peer->bed->log_key, NULL) >
                0);
    assert_int_equal(note_parts(&text, &lines, bytes_of_text(note), NULL), 0);
    assert_true(note_cosign(line, sizeof line, text, peer->witness_name, clock_unix_us() / 1000000,
                            peer->witness_key, NULL) > 0);
    strcat(note, line);
    out->note = (ProtobufCBinaryData){strlen(note), arena_copy(&peer->arena, note, strlen(note))};
    out->from_size = checkpoint.size;
    out->consistency = hashes_keep(peer, proof, out->n_consistency);
    return out;
}

static void on_ping(struct testpeer *peer, const Casebus__V1__Ping *ping)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Pong pong = CASEBUS__V1__PONG__INIT;
    peer->pings++;
    pong.token = ping->token;
    if (peer->witness_key) {
        pong.checkpoint = testpeer_checkpoint(peer);
        pong.cosigned = cosigned(peer);
    }
    frame.body_case = CASEBUS__V1__FRAME__BODY_PONG;
    frame.pong = &pong;
    testpeer_send(peer, &frame);
}

static void on_renew(struct testpeer *peer, const Casebus__V1__Renew *renew)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Renewed renewed = CASEBUS__V1__RENEWED__INIT;
    struct bytes statement = bytes_of(renew->statement.data, renew->statement.len);
    const Casebus__V1__EnrolmentStatement *fields = enrolment_decode(statement, &peer->arena, NULL);
    struct verifier *verifier = verifier_new(signing_key_public(peer->bed->node_key));
    assert_non_null(fields);
    assert_int_equal(renew->signature.len, SIGNATURE_SIZE);
    assert_true(verifier_check(verifier, statement, renew->signature.data));
    verifier_free(verifier);
    peer->renewals++;
    if (peer->renews_not)
        return;
    struct certificate_info info = {.key = *signing_key_public(peer->bed->node_key),
                                    .not_before = peer->bed->now - 100,
                                    .not_after = peer->renewed_until};
    uint8_t certificate[CERTIFICATE_MAX];
    snprintf(info.node, sizeof info.node, "%s", peer->renew_node ? peer->renew_node : fields->node);
    snprintf(info.department, sizeof info.department, "%s", fields->department);
    snprintf(info.area, sizeof info.area, "%s", fields->area);
    snprintf(info.origin, sizeof info.origin, "%s", fields->origin);
    memcpy(info.curve_key, fields->curve_key.data, CURVE_KEY_SIZE);
    assert_int_equal(certificate_issue(peer->bed->authority_key,
                                       bytes_of(peer->bed->authority, peer->bed->authority_size), &info,
                                       certificate, &renewed.certificate.len, NULL),
                     0);
    renewed.certificate.data = certificate;
    if (peer->refuse_renew) {
        renewed.certificate.len = 0;
        renewed.code = (char *)peer->refuse_renew;
    }
    frame.body_case = CASEBUS__V1__FRAME__BODY_RENEWED;
    frame.renewed = &renewed;
    testpeer_send(peer, &frame);
}

static void on_frame(struct testpeer *peer, const Casebus__V1__Frame *frame)
{
    switch (frame->body_case) {
    case CASEBUS__V1__FRAME__BODY_HELLO:
        on_hello(peer, frame->hello);
        break;
    case CASEBUS__V1__FRAME__BODY_PUBLISH:
        on_publish(peer, frame->publish->batch);
        break;
    case CASEBUS__V1__FRAME__BODY_SUBSCRIBE:
        peer->subscribes++;
        peer->resumed = frame->subscribe->resume;
        if (peer->resumed)
            peer->subscribed = *frame->subscribe->after;
        break;
    case CASEBUS__V1__FRAME__BODY_CREDIT:
        peer->credits++;
        break;
    case CASEBUS__V1__FRAME__BODY_CONFIRM:
        on_confirm(peer, frame->confirm);
        break;
    case CASEBUS__V1__FRAME__BODY_PING:
        on_ping(peer, frame->ping);
        break;
    case CASEBUS__V1__FRAME__BODY_PONG:
        peer->pongs++;
        break;
    case CASEBUS__V1__FRAME__BODY_RENEW:
        on_renew(peer, frame->renew);
        break;
    case CASEBUS__V1__FRAME__BODY_BYE:
        peer->byes++;
        break;
    default:
        fail_msg("a node does not send this frame");
    }
}

void testpeer_work(struct testpeer *peer)
{
    static uint8_t bytes[FRAME_MAX];
    uint8_t id[sizeof peer->id];
    int id_size, size;
    while ((id_size = zmq_recv(peer->router, id, sizeof id, ZMQ_DONTWAIT)) > 0) {
        size = zmq_recv(peer->router, bytes, sizeof bytes, 0);
        assert_true(size > 0);
        memcpy(peer->id, id, (size_t)id_size);
        peer->id_size = (size_t)id_size;
        arena_reset(&peer->arena);
        const Casebus__V1__Frame *frame = frame_decode(bytes_of(bytes, (size_t)size), &peer->arena, NULL);
        assert_non_null(frame);
        if (!peer->silent)
            on_frame(peer, frame);
    }
}

static void router_open(struct testpeer *peer)
{
    int one = 1, zero = 0;
    size_t size = sizeof peer->endpoint;
    peer->context = zmq_ctx_new();
    peer->router = zmq_socket(peer->context, ZMQ_ROUTER);
    zmq_setsockopt(peer->router, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(peer->router, ZMQ_CURVE_SERVER, &one, sizeof one);
    zmq_setsockopt(peer->router, ZMQ_CURVE_SECRETKEY, peer->bed->hub_curve_secret, CURVE_Z85_MAX);
    assert_int_equal(zmq_bind(peer->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(peer->router, ZMQ_LAST_ENDPOINT, peer->endpoint, &size), 0);
}

void testpeer_open(struct testpeer *peer, struct testbed *bed)
{
    memset(peer, 0, sizeof *peer);
    peer->bed = bed;
    peer->crypter = crypter_new(bed->suite);
    arena_init(&peer->arena, 65536, 64 << 20);
    tree_init(&peer->tree);
    testpeer_append(peer, bytes_of("opened", 6));
    peer->origin = peer->signed_as = TESTBED_ORIGIN;
    peer->version = 1;
    peer->window = 1 << 20;
    peer->ping_ms = 1000;
    peer->duplicate = peer->refused = -1;
    router_open(peer);
}

void testpeer_close(struct testpeer *peer)
{
    zmq_close(peer->router);
    zmq_ctx_term(peer->context);
    arena_deinit(&peer->arena);
    crypter_free(peer->crypter);
}
