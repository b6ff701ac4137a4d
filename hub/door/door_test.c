/* The door over a real socket: a node's requests, honest and not. */
#include "hub/door/door.h"

#include "proto/base/clock.h"
#include "proto/codec/frame.h"
#include "proto/codec/joining.h"
#include "proto/codec/statement.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define ORIGIN    "door.example/exchange/1"
#define ANSWER_MS 30000
#define HOUR      INT64_C(3600000000)

struct fixture {
    char dir[PATH_MAX], address[64];
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct invitations *book;
    struct door *door;
    struct invitation desk;
    struct signing_key *key;
    void *context, *socket;
    struct arena arena;
    struct log log;
    unsigned approvals;
    struct joining joining; /* as the node sees it */
    struct bytes offer;
    uint8_t signature[SIGNATURE_SIZE], mac[DIGEST_SIZE];
};

static int on_approve(void *self, const uint8_t id[INVITATION_SIZE], struct casebus_error *err)
{
    struct fixture *f = self;
    f->approvals++;
    return invitations_enrolled(f->book, id, bytes_of("certificate", 11), err);
}

static void connect_anew(struct fixture *f)
{
    int none = 0;
    if (f->socket)
        zmq_close(f->socket);
    f->socket = zmq_socket(f->context, ZMQ_DEALER);
    zmq_setsockopt(f->socket, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_connect(f->socket, f->address), 0);
}

static void free_address(struct fixture *f)
{
    size_t size = sizeof f->address;
    void *context = zmq_ctx_new(); /* its end waits until the port is free again */
    void *probe = zmq_socket(context, ZMQ_ROUTER);
    assert_int_equal(zmq_bind(probe, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt(probe, ZMQ_LAST_ENDPOINT, f->address, &size);
    zmq_close(probe);
    zmq_ctx_term(context);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    snprintf(f.dir, sizeof f.dir, "%s/door-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f.dir));
    f.context = zmq_ctx_new();
    free_address(&f);
    assert_int_equal(invitations_open(&f.book, f.dir, NULL), 0);
    f.desk = (struct invitation){.node = "desk",
                                 .department = "scjgj",
                                 .area = "320100",
                                 .publish = true,
                                 .state = INVITATION_OPEN,
                                 .expires_at_us = clock_unix_us() + HOUR};
    random_bytes(f.desk.id, sizeof f.desk.id);
    random_bytes(f.desk.key, sizeof f.desk.key);
    assert_int_equal(signing_key_generate(&f.key, suite_get(SUITE_INTL), NULL), 0);
    arena_init(&f.arena, 16384, 4 * 1024 * 1024);
    const struct door_options options = {.address = f.address,
                                         .book = f.book,
                                         .suite = suite_get(SUITE_INTL),
                                         .origin = ORIGIN,
                                         .authority = bytes_of("authority", 9),
                                         .log_key = "vkey",
                                         .curve_key = f.curve_key,
                                         .endpoint = "tcp://127.0.0.1:7400",
                                         .log = &f.log,
                                         .approve = on_approve,
                                         .self = &f};
    assert_int_equal(door_new(&f.door, &options, NULL), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX + 16];
    door_free(f->door);
    if (f->socket)
        zmq_close(f->socket);
    zmq_ctx_term(f->context);
    invitations_close(f->book);
    signing_key_free(f->key);
    arena_deinit(&f->arena);
    snprintf(path, sizeof path, "%s/invitations", f->dir);
    unlink(path);
    rmdir(f->dir);
    return 0;
}

static void invite(struct fixture *f)
{
    assert_int_equal(door_hold(f->door, NULL), 0);
    assert_int_equal(invitations_add(f->book, &f->desk, clock_unix_us(), NULL), 0);
    door_release(f->door);
    connect_anew(f);
}

static void say(struct fixture *f, Casebus__V1__Frame__BodyCase body, void *message)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = body;
    frame.join = message;
    struct bytes bytes = codec_pack(&frame, &f->arena);
    assert_int_equal(zmq_send(f->socket, bytes.data, bytes.size, 0), bytes.size);
}

static const Casebus__V1__Frame *hear(struct fixture *f)
{
    uint8_t bytes[JOIN_FRAME_MAX];
    zmq_pollitem_t item = {f->socket, 0, ZMQ_POLLIN, 0};
    assert_int_equal(zmq_poll(&item, 1, ANSWER_MS), 1);
    int size = zmq_recv(f->socket, bytes, sizeof bytes, 0);
    const Casebus__V1__Frame *frame = frame_decode(bytes_of(bytes, (size_t)size), &f->arena, NULL);
    assert_non_null(frame);
    return frame;
}

static const Casebus__V1__Frame *join(struct fixture *f)
{
    Casebus__V1__Join message = CASEBUS__V1__JOIN__INIT;
    random_bytes(f->joining.node_nonce, JOIN_NONCE);
    memcpy(f->joining.key, f->desk.key, CODE_KEY_SIZE);
    message.version = 1;
    message.invitation = (ProtobufCBinaryData){INVITATION_SIZE, f->desk.id};
    message.nonce = (ProtobufCBinaryData){JOIN_NONCE, f->joining.node_nonce};
    say(f, CASEBUS__V1__FRAME__BODY_JOIN, &message);
    return hear(f);
}

/* Join, and what the hub proves by its answer. */
static void meet(struct fixture *f)
{
    uint8_t mac[DIGEST_SIZE];
    const Casebus__V1__Frame *frame = join(f);
    assert_int_equal(frame->body_case, CASEBUS__V1__FRAME__BODY_JOIN_OPEN);
    memcpy(f->joining.hub_nonce, frame->join_open->nonce.data, JOIN_NONCE);
    f->offer = bytes_of(frame->join_open->offer.data, frame->join_open->offer.len);
    joining_mac_open(&f->joining, f->offer, mac);
    assert_true(joining_is(mac, frame->join_open->mac));
    const Casebus__V1__JoinOffer *offer = join_offer_decode(f->offer, &f->arena, NULL);
    assert_non_null(offer);
    assert_string_equal(offer->node, "desk");
    assert_true(offer->grants->publish);
}

static Casebus__V1__JoinRequest request_for(struct fixture *f, const char *node,
                                            const struct signing_key *key)
{
    Casebus__V1__JoinRequest request = CASEBUS__V1__JOIN_REQUEST__INIT;
    const struct public_key *public = signing_key_public(key);
    Casebus__V1__EnrolmentStatement statement = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    statement.context = (char *)(uintptr_t)ENROLMENT_CONTEXT;
    statement.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    statement.origin = (char *)(uintptr_t)ORIGIN;
    statement.node = (char *)(uintptr_t)node;
    statement.department = (char *)(uintptr_t) "scjgj";
    statement.area = (char *)(uintptr_t) "320100";
    statement.public_key = (ProtobufCBinaryData){public->size, (uint8_t *)(uintptr_t) public->bytes};
    statement.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, f->curve_key};
    struct bytes bytes = codec_pack(&statement, &f->arena);
    assert_int_equal(signing_key_sign(key, bytes, f->signature, NULL), 0);
    request.statement = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    request.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, f->signature};
    request.mac = (ProtobufCBinaryData){DIGEST_SIZE, f->mac};
    return request;
}

static const Casebus__V1__Frame *ask(struct fixture *f, Casebus__V1__JoinRequest *request)
{
    joining_mac_request(&f->joining, f->offer, request, f->mac);
    say(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, request);
    return hear(f);
}

static Casebus__V1__JoinState asked(struct fixture *f, Casebus__V1__JoinRequest *request)
{
    uint8_t mac[DIGEST_SIZE];
    const Casebus__V1__Frame *frame = ask(f, request);
    assert_int_equal(frame->body_case, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER);
    joining_mac_answer(&f->joining, frame->join_answer, mac);
    assert_true(joining_is(mac, frame->join_answer->mac));
    return frame->join_answer->state;
}

static void assert_refused(const Casebus__V1__Frame *frame, const char *code)
{
    assert_int_equal(frame->body_case, CASEBUS__V1__FRAME__BODY_REFUSED);
    assert_string_equal(frame->refused->code, code);
    assert_true(*frame->refused->sentence->zh && *frame->refused->sentence->en);
}

static unsigned wrong_tries(struct fixture *f)
{
    struct invitation invitation;
    assert_true(invitations_find(f->book, f->desk.id, &invitation));
    return invitation.wrong;
}

static void wait_for(bool (*condition)(struct fixture *f), struct fixture *f)
{
    const struct timespec moment = {0, 5000000};
    for (int i = 0; i < 6000 && !condition(f); i++)
        nanosleep(&moment, NULL);
    assert_true(condition(f));
}

static bool is_shut(struct fixture *f)
{
    return !door_is_open(f->door);
}

static void test_an_invited_node_waits_is_enrolled_and_the_door_shuts(void **state)
{
    struct fixture *f = *state;
    assert_false(door_is_open(f->door));
    invite(f);
    assert_true(door_is_open(f->door));
    meet(f);
    Casebus__V1__JoinRequest request = request_for(f, "desk", f->key);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING);
    assert_int_equal(f->approvals, 0);
    invitations_enrolled(f->book, f->desk.id, bytes_of("certificate", 11), NULL);
    connect_anew(f); /* each question may be a line of its own */
    meet(f);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED);
    request.kept = true;
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED);
    wait_for(is_shut, f);
}

static void test_an_automatic_one_is_enrolled_at_once(void **state)
{
    struct fixture *f = *state;
    f->desk.automatic = true;
    invite(f);
    meet(f);
    Casebus__V1__JoinRequest request = request_for(f, "desk", f->key);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED);
    assert_int_equal(f->approvals, 1);
}

static void test_a_second_one_with_the_code_is_told_that_it_was_used(void **state)
{
    struct fixture *f = *state;
    struct signing_key *other;
    assert_int_equal(signing_key_generate(&other, suite_get(SUITE_INTL), NULL), 0);
    invite(f);
    meet(f);
    Casebus__V1__JoinRequest request = request_for(f, "desk", f->key);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING);
    request = request_for(f, "desk", other);
    assert_int_equal(asked(f, &request), CASEBUS__V1__JOIN_STATE__JOIN_STATE_USED);
    signing_key_free(other);
}

static void test_a_statement_of_something_else_or_ill_signed_is_refused(void **state)
{
    struct fixture *f = *state;
    invite(f);
    meet(f);
    Casebus__V1__JoinRequest request = request_for(f, "boss", f->key);
    assert_refused(ask(f, &request), "CB-BAD-FIELD");
    request = request_for(f, "desk", f->key);
    f->signature[5] ^= 1;
    assert_refused(ask(f, &request), "CB-SIGNATURE");
    assert_int_equal(wrong_tries(f), 0); /* they knew the code */
}

/* What is refused in silence is seen by what is answered after it. */
static void test_each_altered_or_replayed_request_is_silent_and_ten_void_the_invitation(void **state)
{
    struct fixture *f = *state;
    invite(f);
    meet(f);
    Casebus__V1__JoinRequest request = request_for(f, "desk", f->key);
    joining_mac_request(&f->joining, f->offer, &request, f->mac);
    uint8_t *places[] = {f->mac, request.statement.data, f->signature};
    for (size_t i = 0; i < 3; i++) {
        places[i][9] ^= 1;
        say(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &request);
        places[i][9] ^= 1;
    }
    request.kept = true;
    say(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &request);
    request.kept = false;
    meet(f); /* new nonces: the old request is a replay */
    for (int i = 4; i < INVITATION_WRONG_MAX; i++)
        say(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &request);
    assert_refused(join(f), "CB-CLOSED");
    assert_int_equal(wrong_tries(f), INVITATION_WRONG_MAX);
    wait_for(is_shut, f);
}

static void test_an_unknown_an_expired_and_a_used_code_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct invitation other = f->desk;
    invite(f);
    snprintf(other.node, sizeof other.node, "other");
    other.id[0] ^= 1;
    other.expires_at_us = clock_unix_us() - 1;
    assert_int_equal(invitations_add(f->book, &other, clock_unix_us(), NULL), 0);
    f->desk.id[0] ^= 1;
    assert_refused(join(f), "CB-CLOSED");
    f->desk.id[0] ^= 2;
    assert_refused(join(f), "CB-NOT-FOUND");
    f->desk.id[0] ^= 3;
    invitations_request(f->book, f->desk.id, bytes_of("x", 1), f->signature, 1, NULL);
    invitations_enrolled(f->book, f->desk.id, bytes_of("c", 1), NULL);
    assert_int_equal(door_hold(f->door, NULL), 0);
    invitations_done(f->book, f->desk.id, NULL);
    assert_refused(join(f), "CB-EXISTS");
    door_release(f->door);
}

static void test_it_opens_again_for_the_next_one(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        f->desk.id[0]++;
        invite(f);
        meet(f);
        assert_int_equal(invitations_refuse(f->book, f->desk.id, "no", NULL), 0);
        wait_for(is_shut, f);
    }
}

static void test_random_frames_are_not_answered(void **state)
{
    struct fixture *f = *state;
    uint8_t noise[600];
    invite(f);
    for (int i = 0; i < 2000; i++) {
        size_t size;
        random_bytes(&size, sizeof size);
        size %= sizeof noise;
        random_bytes(noise, sizeof noise);
        zmq_send(f->socket, noise, size, i % 7 == 0 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(f->socket, noise, 1, 0);
    connect_anew(f);
    meet(f);
    assert_int_equal(wrong_tries(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_invited_node_waits_is_enrolled_and_the_door_shuts),
        TEST(test_an_automatic_one_is_enrolled_at_once),
        TEST(test_a_second_one_with_the_code_is_told_that_it_was_used),
        TEST(test_a_statement_of_something_else_or_ill_signed_is_refused),
        TEST(test_each_altered_or_replayed_request_is_silent_and_ten_void_the_invitation),
        TEST(test_an_unknown_an_expired_and_a_used_code_are_told_apart),
        TEST(test_it_opens_again_for_the_next_one),
        TEST(test_random_frames_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
