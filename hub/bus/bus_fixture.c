#include "hub/bus/bus_fixture.h"

#include "proto/codec/frame.h"
#include "proto/codec/proof.h"

/* ---- the hub ---- */

static void make_bus(void *self)
{
    struct bus_fixture *f = self;
    struct casebus_error err;
    const struct bus_options options = {.listen = "tcp://127.0.0.1:*",
                                        .curve_secret = f->curve_secret,
                                        .origin = TEST_ORIGIN,
                                        .suite = suite_get(SUITE_INTL),
                                        .log_key = f->hub.log_key,
                                        .log_vkey = f->hub.log_vkey,
                                        .ledger = f->hub.ledger,
                                        .state = f->hub.state,
                                        .vault = f->hub.vault,
                                        .log = &f->hub.log,
                                        .silence_ms = f->silence_ms};
    must(bus_new(&f->bus, &options, &err), &err);
}

static void post_group(void *self, struct group *group)
{
    struct bus_fixture *f = self;
    pthread_mutex_lock(&f->lock);
    while (f->hold)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    bus_post_group(f->bus, group);
}

static void post_persisted(void *self, uint64_t size)
{
    bus_post_persisted(((struct bus_fixture *)self)->bus, size);
}

static void give_curve_key(struct bus_fixture *f, struct test_node *node, char secret[41])
{
    char public_key[41];
    assert_int_equal(zmq_curve_keypair(public_key, secret), 0);
    assert_non_null(zmq_z85_decode(node->info.curve_key, public_key));
    fixture_renew(&f->hub, node);
}

void bus_fixture_init(struct bus_fixture *f, unsigned silence_ms)
{
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->silence_ms = silence_ms;
    pipeline_fixture_init(&f->hub);
    f->hub.on_replayed = make_bus;
    f->hub.on_group = post_group;
    f->hub.on_persisted = post_persisted;
    f->hub.self = f;
    give_curve_key(f, &f->hub.gate.desk, f->desk_secret);
    give_curve_key(f, &f->hub.gate.office, f->office_secret);
    assert_int_equal(zmq_curve_keypair(f->curve_public, f->curve_secret), 0);
    f->context = zmq_ctx_new();
    assert_non_null(f->context);
    bus_fixture_start(f);
    fixture_enrol_both(&f->hub);
}

void bus_fixture_start(struct bus_fixture *f)
{
    struct casebus_error err;
    fixture_start(&f->hub);
    must(bus_start(f->bus, f->hub.pipeline, &err), &err);
}

void bus_fixture_stop(struct bus_fixture *f)
{
    bus_fixture_hold(f, false);
    pipeline_stop(f->hub.pipeline);
    bus_stop(f->bus);
    f->bus = bus_free(f->bus);
    fixture_stop(&f->hub);
}

void bus_fixture_deinit(struct bus_fixture *f)
{
    bus_fixture_stop(f);
    while (f->n_clients)
        client_close(f, f->clients[f->n_clients - 1]);
    zmq_ctx_term(f->context);
    pipeline_fixture_deinit(&f->hub);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

void bus_fixture_hold(struct bus_fixture *f, bool hold)
{
    pthread_mutex_lock(&f->lock);
    f->hold = hold;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* ---- clients ---- */

static void set_int(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof(value)), 0);
}

struct client *client_new(struct bus_fixture *f, const struct test_node *node)
{
    struct client *client = calloc(1, sizeof(*client));
    assert_true(client && f->n_clients < BUS_FIXTURE_CLIENTS);
    f->clients[f->n_clients++] = client;
    client->node = node;
    memcpy(client->secret_key, node == &f->hub.gate.desk ? f->desk_secret : f->office_secret, 41);
    assert_int_equal(zmq_curve_public(client->public_key, client->secret_key), 0);
    client->socket = zmq_socket(f->context, ZMQ_DEALER);
    assert_non_null(client->socket);
    set_int(client->socket, ZMQ_LINGER, 0);
    set_int(client->socket, ZMQ_RCVTIMEO, FIXTURE_WAIT_S * 1000);
    set_int(client->socket, ZMQ_SNDTIMEO, FIXTURE_WAIT_S * 1000);
    set_int(client->socket, ZMQ_SNDHWM, 0);
    return client;
}

void client_connect(struct bus_fixture *f, struct client *client)
{
    assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_SERVERKEY, f->curve_public, 41), 0);
    assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_PUBLICKEY, client->public_key, 41), 0);
    assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_SECRETKEY, client->secret_key, 41), 0);
    assert_int_equal(zmq_connect(client->socket, bus_endpoint(f->bus)), 0);
}

void client_close(struct bus_fixture *f, struct client *client)
{
    size_t i = 0;
    while (f->clients[i] != client)
        i++;
    f->clients[i] = f->clients[--f->n_clients];
    zmq_close(client->socket);
    free(client);
}

/* ---- saying ---- */

void client_send_bytes(struct client *client, struct bytes frame, int flags)
{
    assert_int_equal(zmq_send(client->socket, frame.data, frame.size, flags), frame.size);
}

void client_send(struct bus_fixture *f, struct client *client, const Casebus__V1__Frame *frame)
{
    client_send_bytes(client, codec_pack(frame, &f->hub.gate.arena), 0);
}

static void *take(struct bus_fixture *f, size_t size)
{
    void *memory = arena_alloc(&f->hub.gate.arena, size);
    assert_non_null(memory);
    return memory;
}

Casebus__V1__Hello *client_hello(struct bus_fixture *f, const struct client *client)
{
    Casebus__V1__Hello *hello = take(f, sizeof(*hello));
    uint8_t *key_id = take(f, KEY_ID_SIZE);
    casebus__v1__hello__init(hello);
    public_key_id(signing_key_public(client->node->key), key_id);
    hello->version_min = hello->version_max = 1;
    hello->software = (char *)(uintptr_t) "a raw client";
    hello->node = (char *)(uintptr_t)client->node->name;
    hello->key_id = (ProtobufCBinaryData){KEY_ID_SIZE, key_id};
    hello->nonce = (ProtobufCBinaryData){PROOF_NONCE_SIZE, take(f, PROOF_NONCE_SIZE)};
    random_bytes(hello->nonce.data, PROOF_NONCE_SIZE);
    return hello;
}

void client_send_hello(struct bus_fixture *f, struct client *client, Casebus__V1__Hello *hello)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_HELLO;
    frame.hello = hello;
    client_send(f, client, &frame);
}

void client_ping(struct bus_fixture *f, struct client *client, uint64_t token)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    ping.token = token;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PING;
    frame.ping = &ping;
    client_send(f, client, &frame);
}

void client_subscribe(struct bus_fixture *f, struct client *client, uint32_t window,
                      const Casebus__V1__DeliveryId *after)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Subscribe subscribe = CASEBUS__V1__SUBSCRIBE__INIT;
    subscribe.window_bytes = window;
    subscribe.resume = after != NULL;
    subscribe.after = (Casebus__V1__DeliveryId *)(uintptr_t)after;
    frame.body_case = CASEBUS__V1__FRAME__BODY_SUBSCRIBE;
    frame.subscribe = &subscribe;
    client_send(f, client, &frame);
}

void client_credit(struct bus_fixture *f, struct client *client, uint64_t position, uint32_t ordinal)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Credit credit = CASEBUS__V1__CREDIT__INIT;
    Casebus__V1__DeliveryId consumed = CASEBUS__V1__DELIVERY_ID__INIT;
    consumed.position = position;
    consumed.ordinal = ordinal;
    credit.consumed = &consumed;
    frame.body_case = CASEBUS__V1__FRAME__BODY_CREDIT;
    frame.credit = &credit;
    client_send(f, client, &frame);
}

/* ---- hearing ---- */

static const Casebus__V1__Frame *receive(struct bus_fixture *f, struct client *client, int flags)
{
    struct casebus_error err;
    zmq_msg_t message;
    zmq_msg_init(&message);
    const Casebus__V1__Frame *frame = NULL;
    if (zmq_msg_recv(&message, client->socket, flags) >= 0) {
        assert_false(zmq_msg_more(&message));
        assert_true(zmq_msg_size(&message) <= FRAME_MAX);
        frame =
            frame_decode(bytes_of(zmq_msg_data(&message), zmq_msg_size(&message)), &f->hub.gate.arena, &err);
        assert_non_null(frame);
    }
    zmq_msg_close(&message);
    return frame;
}

const Casebus__V1__Frame *client_look(struct bus_fixture *f, struct client *client)
{
    return receive(f, client, ZMQ_DONTWAIT);
}

static const Casebus__V1__Frame *expect_frame(const Casebus__V1__Frame *frame,
                                              Casebus__V1__Frame__BodyCase body)
{
    if (!frame) {
        fail_msg("expected %s: heard nothing", frame_name(body));
        return NULL;
    }
    if (frame->body_case != body)
        fail_msg("expected %s: heard %s %s", frame_name(body), frame_name(frame->body_case),
                 frame->body_case == CASEBUS__V1__FRAME__BODY_BYE ? frame->bye->code : "");
    return frame;
}

const Casebus__V1__Frame *client_expect(struct bus_fixture *f, struct client *client,
                                        Casebus__V1__Frame__BodyCase body)
{
    return expect_frame(receive(f, client, 0), body);
}

/* A node's hub may have frames of its former connections under way: it says so, and the node tries again. */
static bool told_to_try_again(const Casebus__V1__Frame *frame)
{
    return frame && frame->body_case == CASEBUS__V1__FRAME__BODY_BYE &&
           strcmp(frame->bye->code, casebus_code_text(CASEBUS_BUSY)) == 0;
}

struct client *client_join(struct bus_fixture *f, const struct test_node *node)
{
    struct client *client = client_new(f, node);
    client_connect(f, client);
    for (unsigned tries = 0; tries < FIXTURE_WAIT_S * 100; tries++) {
        client_send_hello(f, client, client_hello(f, client));
        const Casebus__V1__Frame *frame = receive(f, client, 0);
        if (!told_to_try_again(frame)) {
            expect_frame(frame, CASEBUS__V1__FRAME__BODY_WELCOME);
            return client;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    fail_msg("the hub is busy for more than %d s", FIXTURE_WAIT_S);
    return NULL;
}

void client_expect_bye(struct bus_fixture *f, struct client *client, enum casebus_code code)
{
    const Casebus__V1__Bye *bye = client_expect(f, client, CASEBUS__V1__FRAME__BODY_BYE)->bye;
    assert_string_equal(bye->code, casebus_code_text(code));
    assert_true(bye->sentence && bye->sentence->en[0] && bye->sentence->zh[0]);
}

void client_expect_quiet(struct bus_fixture *f, struct client *client)
{
    client_ping(f, client, 4711);
    const Casebus__V1__Frame *frame = client_expect(f, client, CASEBUS__V1__FRAME__BODY_PONG);
    assert_int_equal(frame->pong->token, 4711);
}

const Casebus__V1__Accepted *client_publish(struct bus_fixture *f, struct client *desk, const char *label,
                                            size_t n)
{
    client_send_bytes(desk, fixture_sign(&f->hub, fixture_batch(&f->hub, label, n)), 0);
    return client_expect(f, desk, CASEBUS__V1__FRAME__BODY_ACCEPTED)->accepted;
}
