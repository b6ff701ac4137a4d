/* P9: what a hostile peer does costs the others nothing. Strangers, and nodes that are enrolled and lie. */
#include "hub/bus/bus_fixture.h"

#include "proto/base/languages.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"
#include "proto/merkle/note.h"

static int setup(void **state)
{
    struct bus_fixture *f = malloc(sizeof(*f));
    assert_non_null(f);
    bus_fixture_init(f, 0);
    *state = f;
    return 0;
}

static int setup_impatient(void **state)
{
    struct bus_fixture *f = malloc(sizeof(*f));
    assert_non_null(f);
    bus_fixture_init(f, 300);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    bus_fixture_deinit(*state);
    free(*state);
    return 0;
}

/* The hub is well: somebody else can join, publish and leave. */
static void expect_served(struct bus_fixture *f)
{
    static unsigned round;
    char label[16];
    snprintf(label, sizeof(label), "served-%u", round++);
    struct client *desk = client_join(f, &f->hub.gate.desk);
    client_publish(f, desk, label, 1);
    client_close(f, desk);
}

static struct bytes zeros(struct bus_fixture *f, size_t size)
{
    uint8_t *data = arena_alloc(&f->hub.gate.arena, size);
    assert_non_null(data);
    memset(data, 0, size);
    return bytes_of(data, size);
}

/* A Publish of about @size bytes that holds no batch of anybody. */
static struct bytes bogus_publish(struct bus_fixture *f, size_t size)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Publish publish = CASEBUS__V1__PUBLISH__INIT;
    Casebus__V1__Batch batch = CASEBUS__V1__BATCH__INIT;
    struct bytes statement = zeros(f, size);
    batch.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    publish.batch = &batch;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    return codec_pack(&frame, &f->hub.gate.arena);
}

/* ---- strangers ---- */

static void test_an_unknown_key_does_not_get_in(void **state)
{
    struct bus_fixture *f = *state;
    struct client *stranger = client_new(f, &f->hub.gate.desk);
    assert_int_equal(zmq_curve_keypair(stranger->public_key, stranger->secret_key), 0);
    void *monitor = zmq_socket(f->context, ZMQ_PAIR);
    uint8_t event[8];
    char address[256];
    assert_int_equal(zmq_socket_monitor(stranger->socket, "inproc://monitor",
                                        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_SUCCEEDED),
                     0);
    assert_int_equal(zmq_connect(monitor, "inproc://monitor"), 0);
    client_connect(f, stranger);
    assert_true(zmq_recv(monitor, event, sizeof(event), 0) > 0);
    assert_int_equal(event[0] | event[1] << 8, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    zmq_recv(monitor, address, sizeof(address), 0);
    zmq_socket_monitor(stranger->socket, NULL, 0);
    zmq_close(monitor);
    expect_served(f);
}

/* ---- who one is ---- */

static void expect_hello_refused(struct bus_fixture *f, struct client *client, Casebus__V1__Hello *hello,
                                 enum casebus_code code)
{
    client_send_hello(f, client, hello);
    client_expect_bye(f, client, code);
}

static void test_hello_has_to_be_true(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_new(f, &f->hub.gate.desk);
    client_connect(f, client);
    Casebus__V1__Hello *hello = client_hello(f, client);
    hello->node = (char *)(uintptr_t) "office";
    expect_hello_refused(f, client, hello, CASEBUS_UNKNOWN_NODE);
    hello = client_hello(f, client);
    hello->key_id.data[0] ^= 1;
    expect_hello_refused(f, client, hello, CASEBUS_UNKNOWN_NODE);
    hello = client_hello(f, client);
    hello->key_id.len = 0;
    expect_hello_refused(f, client, hello, CASEBUS_UNKNOWN_NODE);
    hello = client_hello(f, client);
    hello->version_min = 2, hello->version_max = 9;
    expect_hello_refused(f, client, hello, CASEBUS_BAD_VERSION);
    hello = client_hello(f, client);
    hello->nonce.len = 31;
    expect_hello_refused(f, client, hello, CASEBUS_MALFORMED);
    client_send_hello(f, client, client_hello(f, client)); /* and may be said better */
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
}

static void test_giant_lists_of_streams_are_refused(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_new(f, &f->hub.gate.desk);
    Casebus__V1__StreamState stream = CASEBUS__V1__STREAM_STATE__INIT, *list[10000];
    client_connect(f, client);
    stream.stream = 1;
    for (size_t i = 0; i < 10000; i++)
        list[i] = &stream;
    Casebus__V1__Hello *hello = client_hello(f, client);
    hello->stream = list;
    hello->n_stream = 17;
    expect_hello_refused(f, client, hello, CASEBUS_TOO_LARGE);
    hello->n_stream = 10000; /* not even read */
    expect_hello_refused(f, client, hello, CASEBUS_TOO_LARGE);
    hello->n_stream = 16;
    client_send_hello(f, client, hello);
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
}

static void test_a_name_for_the_connection_is_not_accepted(void **state)
{
    struct bus_fixture *f = *state;
    static const char long_id[200] = {'x'};
    struct client *named = client_new(f, &f->hub.gate.desk), *long_named = client_new(f, &f->hub.gate.desk);
    assert_int_equal(zmq_setsockopt(named->socket, ZMQ_ROUTING_ID, "named", 5), 0);
    assert_int_equal(zmq_setsockopt(long_named->socket, ZMQ_ROUTING_ID, long_id, sizeof(long_id)), 0);
    client_connect(f, named);
    client_connect(f, long_named);
    client_send_hello(f, named, client_hello(f, named));
    client_send_hello(f, long_named, client_hello(f, long_named));
    expect_served(f);
    assert_null(client_look(f, named));
    assert_null(client_look(f, long_named));
}

static void test_a_node_with_another_key_has_to_begin_again(void **state)
{
    struct bus_fixture *f = *state;
    struct test_node *desk = &f->hub.gate.desk;
    struct client *client = client_join(f, desk);
    struct signing_key *old = desk->key;
    struct casebus_error err;
    must(signing_key_generate(&desk->key, suite_get(SUITE_INTL), &err), &err);
    desk->info.key = *signing_key_public(desk->key);
    fixture_renew(&f->hub, desk);
    fixture_enrol(&f->hub, desk);
    signing_key_free(old);
    client_ping(f, client, 1);
    client_expect_bye(f, client, CASEBUS_UNKNOWN_NODE);
    client_send_hello(f, client, client_hello(f, client));
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
}

/* ---- frames at the wrong time, or none ---- */

static void test_nothing_is_heard_before_hello(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_new(f, &f->hub.gate.desk);
    client_connect(f, client);
    client_ping(f, client, 1); /* a session that ended must not look alive */
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_subscribe(f, client, 0, NULL);
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_credit(f, client, 1, 1);
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_send_bytes(client, bogus_publish(f, 100), 0);
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_send_bytes(client, zeros(f, 1000), 0);
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_send_hello(f, client, client_hello(f, client));
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
}

static void test_hello_is_said_once(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    client_send_hello(f, client, client_hello(f, client));
    client_expect_bye(f, client, CASEBUS_MALFORMED);

    /* While the first one still waits for the writer. */
    bus_fixture_hold(f, true);
    client_send_hello(f, client, client_hello(f, client));
    client_send_hello(f, client, client_hello(f, client));
    client_expect_bye(f, client, CASEBUS_CLOSED);
    bus_fixture_hold(f, false);
    client_send_hello(f, client, client_hello(f, client)); /* the answer to the first one goes nowhere */
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
    client_expect_quiet(f, client);
}

static void test_rubbish_ends_the_session_and_nothing_else(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    static const uint8_t two_bodies[] = {0x52, 0x00, 0x5a, 0x00};
    const struct bytes rubbish[] = {bytes_of("", 0), zeros(f, 1), zeros(f, 10000),
                                    bytes_of_text("GET / HTTP"), bytes_of(two_bodies, sizeof(two_bodies))};
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
        client_send_bytes(client, rubbish[i], 0);
        client_expect_bye(f, client, CASEBUS_MALFORMED);
        client_send_hello(f, client, client_hello(f, client));
        client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
    }
    client_send_bytes(client, bytes_of("\x12\x00", 2), 0); /* a Welcome, from a node */
    client_expect_bye(f, client, CASEBUS_MALFORMED);
}

static void test_large_frames_are_refused(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    client_send_bytes(client, bogus_publish(f, FRAME_MAX + 1), 0);
    client_expect_bye(f, client, CASEBUS_TOO_LARGE);
    client_send_hello(f, client, client_hello(f, client));
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
    client_send_bytes(client, zeros(f, 100 * 1024), 0); /* small enough for a batch only */
    client_expect_bye(f, client, CASEBUS_TOO_LARGE);
    client_send_bytes(client, zeros(f, 1 << 20), 0); /* this one libzmq cuts off */
    expect_served(f);
}

static void test_messages_of_several_parts_are_not_heard(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    for (int i = 0; i < 3; i++) {
        client_send_bytes(client, bytes_of("\x52\x00", 2), ZMQ_SNDMORE);
        client_send_bytes(client, zeros(f, 5), ZMQ_SNDMORE);
        client_send_bytes(client, bogus_publish(f, 100), 0);
    }
    client_expect_quiet(f, client);
    expect_served(f);
}

/* ---- more than is allowed ---- */

static void test_who_publishes_beyond_the_window_is_cut_off_and_others_are_not(void **state)
{
    struct bus_fixture *f = *state;
    struct client *greedy = client_join(f, &f->hub.gate.desk);
    bus_fixture_hold(f, true);
    for (int i = 0; i < 20; i++)
        client_send_bytes(greedy, bogus_publish(f, 200 * 1024), 0);
    client_expect_bye(f, greedy, CASEBUS_BUSY);

    /* Nor does a new session bring a new window. */
    struct client *again = client_new(f, &f->hub.gate.desk);
    client_connect(f, again);
    for (int i = 0; i < 5000; i++) {
        client_send_hello(f, again, client_hello(f, again));
        Casebus__V1__Frame bye = CASEBUS__V1__FRAME__INIT;
        Casebus__V1__Bye words = CASEBUS__V1__BYE__INIT;
        bye.body_case = CASEBUS__V1__FRAME__BODY_BYE;
        bye.bye = &words;
        client_send(f, again, &bye);
    }
    client_expect_bye(f, again, CASEBUS_BUSY);
    struct pipeline_counters counters;
    pipeline_get_counters(f->hub.pipeline, &counters);
    assert_true(counters.queued <= 200);

    struct client *office = client_new(f, &f->hub.gate.office);
    client_connect(f, office);
    client_send_hello(f, office, client_hello(f, office));
    bus_fixture_hold(f, false);
    client_expect(f, office, CASEBUS__V1__FRAME__BODY_WELCOME);
    client_close(f, greedy);
    client_close(f, again);
    expect_served(f);
}

static void test_small_frames_are_bounded_too(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    bus_fixture_hold(f, true);
    for (int i = 0; i < 1000; i++)
        client_send_bytes(client, bogus_publish(f, 1), 0);
    client_expect_bye(f, client, CASEBUS_BUSY);
    bus_fixture_hold(f, false);
    client_join(f, &f->hub.gate.office); /* its Hello is answered behind all of these */
    expect_served(f);
}

static void test_a_flood_of_confirmations_takes_one_place(void **state)
{
    struct bus_fixture *f = *state;
    struct client *office = client_join(f, &f->hub.gate.office);
    bus_fixture_hold(f, true);
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Confirm confirm = CASEBUS__V1__CONFIRM__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_CONFIRM;
    frame.confirm = &confirm;
    for (int i = 0; i < 5000; i++)
        client_send(f, office, &frame);
    client_expect_quiet(f, office);
    struct pipeline_counters counters;
    pipeline_get_counters(f->hub.pipeline, &counters);
    assert_true(counters.queued <= 2);
    bus_fixture_hold(f, false);
    expect_served(f);
}

static void test_games_with_credit_harm_the_player_only(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk), *office = client_join(f, &f->hub.gate.office);
    client_credit(f, office, 5, 5); /* without a subscription */
    client_publish(f, desk, "a", 3);
    client_subscribe(f, office, 1, NULL);
    client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER);
    client_credit(f, office, UINT64_MAX, UINT32_MAX); /* never sent: more than what was */
    client_credit(f, office, 0, 0);                   /* and less */
    client_publish(f, desk, "b", 3);
    const Casebus__V1__Deliver *deliver = client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver;
    assert_false(deliver->delivery[0]->first);
    client_subscribe(f, office, 1, NULL); /* from the beginning again */
    deliver = client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver;
    assert_true(deliver->delivery[0]->first);

    Casebus__V1__DeliveryId future = CASEBUS__V1__DELIVERY_ID__INIT;
    future.position = UINT64_MAX;
    future.ordinal = UINT32_MAX;
    client_subscribe(f, office, UINT32_MAX, &future);
    client_expect_quiet(f, office);
    client_publish(f, desk, "c", 1);
    client_expect_quiet(f, office); /* it said that it has this */
}

static void test_a_node_cannot_take_all_places(void **state)
{
    struct bus_fixture *f = *state;
    struct client *office = client_join(f, &f->hub.gate.office);
    for (int i = 0; i < 20; i++)
        client_join(f, &f->hub.gate.desk);
    struct client *newest = client_join(f, &f->hub.gate.desk);
    client_expect_quiet(f, newest);
    client_expect_quiet(f, office);
    struct bus_peer peers[32];
    while (bus_get_peers(f->bus, peers, 32, NULL, NULL) != 9) /* eight and the office; told now and then */
        usleep(1000);
    client_expect_bye(f, f->clients[1], CASEBUS_BUSY); /* the oldest was told */
}

static void test_ghosts_do_not_hinder_the_one_who_comes_back(void **state)
{
    struct bus_fixture *f = *state;
    for (int i = 0; i < 30; i++) {
        struct client *office = client_join(f, &f->hub.gate.office);
        client_subscribe(f, office, 0, NULL);
        client_close(f, office); /* without a word */
    }
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 0, NULL);
    expect_served(f);
    assert_int_equal(client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver->n_delivery, 1);
}

static void test_who_is_silent_is_told_goodbye(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_join(f, &f->hub.gate.desk);
    client_expect_bye(f, client, CASEBUS_TIMEOUT);
    client_ping(f, client, 1); /* it wakes up and is not led to believe that all is well */
    client_expect_bye(f, client, CASEBUS_CLOSED);
    client_send_hello(f, client, client_hello(f, client));
    client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME);
}

/* ---- checkpoints ---- */

static struct bytes note_of(struct bus_fixture *f, uint64_t size, const struct signing_key *key)
{
    char *note = arena_alloc(&f->hub.gate.arena, NOTE_MAX);
    struct checkpoint checkpoint = {.size = size, .origin = TEST_ORIGIN};
    assert_non_null(note);
    int n = checkpoint_sign(note, NOTE_MAX, &checkpoint, TEST_ORIGIN, key, NULL);
    assert_true(n > 0);
    return bytes_of(note, (size_t)n);
}

static void hello_with_note(struct bus_fixture *f, struct client *client, uint64_t size, struct bytes note)
{
    Casebus__V1__Hello *hello = client_hello(f, client);
    hello->checkpoint_size = size;
    hello->checkpoint_note = (ProtobufCBinaryData){note.size, (uint8_t *)(uintptr_t)note.data};
    client_send_hello(f, client, hello);
}

static void test_nobody_stops_a_hub_by_inventing_a_checkpoint(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_new(f, &f->hub.gate.desk);
    client_connect(f, client);
    hello_with_note(f, client, 1000000, note_of(f, 1000000, f->hub.gate.desk.key));
    const Casebus__V1__Welcome *welcome = client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME)->welcome;
    assert_int_equal(welcome->checkpoint->from_size, 0);
    client_close(f, client);
    expect_served(f);
}

static void test_a_hub_that_is_behind_what_it_signed_takes_nothing_from_anybody(void **state)
{
    struct bus_fixture *f = *state;
    struct client *office = client_join(f, &f->hub.gate.office), *busy = client_join(f, &f->hub.gate.desk);
    client_subscribe(f, office, 0, NULL);
    struct client *witness = client_new(f, &f->hub.gate.desk);
    client_connect(f, witness);
    hello_with_note(f, witness, 1000000, note_of(f, 1000000, f->hub.log_key));
    client_expect_bye(f, witness, CASEBUS_BEHIND);
    struct pipeline_counters before, after;
    pipeline_get_counters(f->hub.pipeline, &before);
    client_send_bytes(busy, fixture_sign(&f->hub, fixture_batch(&f->hub, "a", 1)), 0);
    client_expect_bye(f, busy, CASEBUS_BEHIND);
    client_ping(f, office, 1);
    client_expect_bye(f, office, CASEBUS_BEHIND);
    pipeline_get_counters(f->hub.pipeline, &after);
    assert_int_equal(after.committed_size, before.committed_size);
}

static void test_a_lie_about_the_checkpoint_size_is_answered_consistently(void **state)
{
    struct bus_fixture *f = *state;
    struct client *client = client_new(f, &f->hub.gate.desk);
    client_connect(f, client);
    for (uint64_t size = 0; size < 6; size++) {
        hello_with_note(f, client, size, bytes_of("", 0));
        const Casebus__V1__Welcome *welcome =
            client_expect(f, client, CASEBUS__V1__FRAME__BODY_WELCOME)->welcome;
        assert_true(welcome->checkpoint->from_size == size || size > 3);
        client_send_bytes(client, bytes_of("\x62\x00", 2), 0); /* Bye */
    }
}

int main(void)
{
    setenv("CASEBUS_LANG", "en", 1);
    texts_init();
    languages_prepare();
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_an_unknown_key_does_not_get_in),
        T(test_hello_has_to_be_true),
        T(test_giant_lists_of_streams_are_refused),
        T(test_a_name_for_the_connection_is_not_accepted),
        T(test_a_node_with_another_key_has_to_begin_again),
        T(test_nothing_is_heard_before_hello),
        T(test_hello_is_said_once),
        T(test_rubbish_ends_the_session_and_nothing_else),
        T(test_large_frames_are_refused),
        T(test_messages_of_several_parts_are_not_heard),
        T(test_who_publishes_beyond_the_window_is_cut_off_and_others_are_not),
        T(test_small_frames_are_bounded_too),
        T(test_a_flood_of_confirmations_takes_one_place),
        T(test_games_with_credit_harm_the_player_only),
        T(test_a_node_cannot_take_all_places),
        T(test_ghosts_do_not_hinder_the_one_who_comes_back),
        cmocka_unit_test_setup_teardown(test_who_is_silent_is_told_goodbye, setup_impatient, teardown),
        T(test_nobody_stops_a_hub_by_inventing_a_checkpoint),
        T(test_a_hub_that_is_behind_what_it_signed_takes_nothing_from_anybody),
        T(test_a_lie_about_the_checkpoint_size_is_answered_consistently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
