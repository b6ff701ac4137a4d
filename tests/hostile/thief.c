/* Thief: has a hub's CURVE key and nothing else of it. Listens as the hub would, welcomes whoever comes and
 * refuses for good what is sent; says what it hears, a line each. Ends with its standard input.
 *
 *   thief ENDPOINT SECRET ORIGIN        SECRET: the CURVE key in Z85
 *
 * Its Welcome is made of the node's own Hello, with a proof by a log key that it has made itself. */
#include "proto/base/clock.h"
#include "proto/codec/batch.h"
#include "proto/codec/frame.h"
#include "proto/codec/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { ROUTING_ID_MAX = 255 };

struct thief {
    void *socket;
    const char *origin;
    struct signing_key *key;
    uint8_t hub_curve[CURVE_KEY_SIZE];
    struct arena arena;
    uint8_t id[ROUTING_ID_MAX];
    size_t id_size;
};

static void *need(void *pointer)
{
    if (!pointer)
        abort();
    return pointer;
}

static void say(struct thief *thief, const Casebus__V1__Frame *frame)
{
    struct bytes bytes = codec_pack(frame, &thief->arena);
    zmq_send(thief->socket, thief->id, thief->id_size, ZMQ_SNDMORE);
    zmq_send(thief->socket, bytes.data, bytes.size, 0);
}

static void ping(struct thief *thief)
{
    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PING;
    frame.ping = &ping;
    say(thief, &frame);
}

/* All that can be known of the proof without the log key; the node's CURVE key is in its enrolment. */
static void welcome(struct thief *thief, const Casebus__V1__Hello *hello)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct proof proof = {.origin = thief->origin, .node = hello->node};
    Casebus__V1__Welcome welcome = CASEBUS__V1__WELCOME__INIT;
    Casebus__V1__SignedCheckpoint checkpoint = CASEBUS__V1__SIGNED_CHECKPOINT__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    memcpy(proof.nonce, hello->nonce.data, hello->nonce.len == PROOF_NONCE_SIZE ? PROOF_NONCE_SIZE : 0);
    memcpy(proof.hub_curve, thief->hub_curve, CURVE_KEY_SIZE);
    if (proof_sign(&proof, thief->key, signature, NULL) != 0)
        abort();
    checkpoint.note = hello->checkpoint_note;
    welcome.version = 1;
    welcome.origin = (char *)(uintptr_t)thief->origin;
    welcome.software = (char *)(uintptr_t) "casebus-hub/0";
    welcome.hub_time_us = clock_unix_us();
    welcome.checkpoint = &checkpoint;
    welcome.stream = hello->stream;
    welcome.n_stream = hello->n_stream;
    welcome.proof = (ProtobufCBinaryData){sizeof signature, signature};
    frame.body_case = CASEBUS__V1__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    say(thief, &frame);
}

static void refuse(struct thief *thief, const Casebus__V1__Batch *batch)
{
    struct bytes bytes = bytes_of(batch->statement.data, batch->statement.len);
    const Casebus__V1__BatchStatement *statement = need(statement_decode(bytes, &thief->arena, NULL));
    Casebus__V1__Refused refused = CASEBUS__V1__REFUSED__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    refused.stream = statement->stream;
    refused.first = statement->first;
    refused.count = statement->count;
    refused.code = (char *)(uintptr_t) "CB-BAD-FIELD";
    refused.final = true;
    frame.body_case = CASEBUS__V1__FRAME__BODY_REFUSED;
    frame.refused = &refused;
    say(thief, &frame);
}

static void answer(struct thief *thief, struct bytes bytes)
{
    const Casebus__V1__Frame *frame = frame_decode(bytes, &thief->arena, NULL);
    printf("heard %s\n", frame ? frame_name(frame->body_case) : "?");
    if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_HELLO) {
        ping(thief);
        welcome(thief, frame->hello);
    } else if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_PUBLISH) {
        refuse(thief, frame->publish->batch);
    }
}

static void hear(struct thief *thief)
{
    zmq_msg_t message;
    int size = zmq_recv(thief->socket, thief->id, sizeof thief->id, 0);
    if (size < 0)
        return;
    thief->id_size = (size_t)size;
    zmq_msg_init(&message);
    zmq_msg_recv(&message, thief->socket, 0);
    arena_reset(&thief->arena);
    answer(thief, bytes_of(zmq_msg_data(&message), zmq_msg_size(&message)));
    zmq_msg_close(&message);
}

static int listen_at(struct thief *thief, const char *endpoint, const char *secret)
{
    int one = 1, zero = 0;
    zmq_setsockopt(thief->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(thief->socket, ZMQ_CURVE_SERVER, &one, sizeof one);
    if (zmq_setsockopt(thief->socket, ZMQ_CURVE_SECRETKEY, secret, 41) != 0 ||
        zmq_bind(thief->socket, endpoint) != 0) {
        fprintf(stderr, "thief: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        return -1;
    }
    puts("listens");
    return 0;
}

int main(int argc, char **argv)
{
    static struct thief thief;
    char public_key[41], ignored[256];
    void *context = zmq_ctx_new();
    if (argc != 4 || zmq_curve_public(public_key, argv[2]) != 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    zmq_z85_decode(thief.hub_curve, public_key);
    thief.origin = argv[3];
    thief.socket = need(zmq_socket(context, ZMQ_ROUTER));
    arena_init(&thief.arena, 1 << 20, 64u << 20);
    if (signing_key_generate(&thief.key, suite_get(SUITE_INTL), NULL) != 0 ||
        listen_at(&thief, argv[1], argv[2]) != 0)
        return 1;
    for (bool ended = false; !ended;) {
        zmq_pollitem_t items[] = {{thief.socket, 0, ZMQ_POLLIN, 0}, {NULL, STDIN_FILENO, ZMQ_POLLIN, 0}};
        zmq_poll(items, 2, -1);
        if (items[0].revents)
            hear(&thief);
        ended = items[1].revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0;
    }
    zmq_close(thief.socket);
    zmq_ctx_term(context);
    arena_deinit(&thief.arena);
    signing_key_free(thief.key);
    return 0;
}
