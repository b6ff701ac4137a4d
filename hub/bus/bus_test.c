/* What a node may expect of the bus. */
#include "hub/bus/bus_fixture.h"

#include "proto/base/languages.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"
#include "proto/codec/proof.h"
#include "proto/merkle/note.h"
#include "proto/merkle/tree.h"

static int setup(void **state)
{
    struct bus_fixture *f = malloc(sizeof(*f));
    assert_non_null(f);
    bus_fixture_init(f, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    bus_fixture_deinit(*state);
    free(*state);
    return 0;
}

/* ---- receipts ---- */

static bool proves(struct bus_fixture *f, const struct client *client, const Casebus__V1__Hello *hello,
                   const Casebus__V1__Welcome *welcome)
{
    struct proof proof = {.origin = TEST_ORIGIN, .node = client->node->name};
    struct verifier *log = verifier_new(signing_key_public(f->hub.log_key));
    memcpy(proof.nonce, hello->nonce.data, sizeof(proof.nonce));
    assert_non_null(zmq_z85_decode(proof.hub_curve, f->curve_public));
    assert_non_null(zmq_z85_decode(proof.node_curve, client->public_key));
    bool good = proof_check(&proof, log, bytes_of(welcome->proof.data, welcome->proof.len));
    verifier_free(log);
    return good;
}

static void test_welcome_proves_that_it_is_this_hub_to_this_node_now(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_new(f, &f->hub.gate.desk), *office = client_new(f, &f->hub.gate.office);
    client_connect(f, desk);
    client_connect(f, office);
    Casebus__V1__Hello *hello = client_hello(f, desk), *other = client_hello(f, office);
    client_send_hello(f, desk, hello);
    client_send_hello(f, office, other);
    const Casebus__V1__Welcome *welcome = client_expect(f, desk, CASEBUS__V1__FRAME__BODY_WELCOME)->welcome;
    assert_true(proves(f, desk, hello, welcome));
    assert_false(proves(f, desk, other, welcome));
    assert_false(proves(f, office, hello, welcome));
    welcome = client_expect(f, office, CASEBUS__V1__FRAME__BODY_WELCOME)->welcome;
    assert_true(proves(f, office, other, welcome));
}

static void test_welcome_tells_where_the_streams_stand(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    client_publish(f, desk, "a", 3);

    struct client *again = client_new(f, &f->hub.gate.desk);
    client_connect(f, again);
    Casebus__V1__Hello *hello = client_hello(f, again);
    Casebus__V1__StreamState known = CASEBUS__V1__STREAM_STATE__INIT, other = CASEBUS__V1__STREAM_STATE__INIT;
    Casebus__V1__StreamState *list[] = {&known, &other};
    known.stream = 7;
    other.stream = 99;
    hello->stream = list;
    hello->n_stream = 2;
    client_send_hello(f, again, hello);
    const Casebus__V1__Welcome *welcome = client_expect(f, again, CASEBUS__V1__FRAME__BODY_WELCOME)->welcome;
    assert_string_equal(welcome->origin, TEST_ORIGIN);
    assert_int_equal(welcome->n_stream, 2);
    assert_int_equal(welcome->stream[0]->last, 3);
    assert_memory_equal(welcome->stream[0]->last_statement.data, f->hub.previous, DIGEST_SIZE);
    assert_int_equal(welcome->stream[1]->last, 0);
}

static void expect_receipt(struct bus_fixture *f, const Casebus__V1__Accepted *accepted)
{
    struct casebus_error err;
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    uint8_t leaf[DIGEST_SIZE], path[TREE_PROOF_MAX][DIGEST_SIZE];
    must(note_verifier_init(&verifier, f->hub.log_vkey, &err), &err);
    must(checkpoint_check(&checkpoint,
                          bytes_of(accepted->checkpoint->note.data, accepted->checkpoint->note.len),
                          &verifier, &err),
         &err);
    note_verifier_deinit(&verifier);
    tree_leaf_hash(f->hub.gate.crypter, bytes_of(accepted->seal_entry.data, accepted->seal_entry.len), leaf);
    for (size_t i = 0; i < accepted->n_inclusion; i++)
        memcpy(path[i], accepted->inclusion[i].data, DIGEST_SIZE);
    assert_true(tree_check_inclusion(f->hub.gate.crypter, accepted->seal_position, checkpoint.size, leaf,
                                     path[0], accepted->n_inclusion, checkpoint.root));
}

static void test_every_batch_gets_a_receipt_that_holds(void **state)
{
    struct bus_fixture *f = *state;
    struct casebus_error err;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    for (int i = 0; i < 20; i++) {
        char label[16];
        snprintf(label, sizeof(label), "r%d", i);
        struct bytes frame = fixture_sign(&f->hub, fixture_batch(&f->hub, label, 3));
        client_send_bytes(desk, frame, 0);
        expect_receipt(f, client_expect(f, desk, CASEBUS__V1__FRAME__BODY_ACCEPTED)->accepted);
        if (i % 7 == 0)
            must(pipeline_barrier(f->hub.pipeline, 60000, &err), &err);
        client_send_bytes(desk, frame, 0); /* again: from memory or from disk */
        const Casebus__V1__Accepted *again =
            client_expect(f, desk, CASEBUS__V1__FRAME__BODY_ACCEPTED)->accepted;
        assert_true(again->repeated_batch);
        expect_receipt(f, again);
    }
}

static void test_answers_come_in_the_order_of_the_batches(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    for (int i = 0; i < 40; i++) {
        char label[16];
        snprintf(label, sizeof(label), "o%d", i);
        client_send_bytes(desk, fixture_sign(&f->hub, fixture_batch(&f->hub, label, 2)), 0);
    }
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(client_expect(f, desk, CASEBUS__V1__FRAME__BODY_ACCEPTED)->accepted->first,
                         1 + 2 * i);
}

static bool has_chinese(const char *text)
{
    return (unsigned char)text[0] >= 0x80;
}

static void test_a_refusal_says_why_in_both_languages(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    struct test_batch *batch = fixture_batch(&f->hub, "a", 1);
    batch->statement.first = 5;
    client_send_bytes(desk, fixture_sign(&f->hub, batch), 0);
    const Casebus__V1__Refused *refused = client_expect(f, desk, CASEBUS__V1__FRAME__BODY_REFUSED)->refused;
    assert_string_equal(refused->code, "CB-SEQ-GAP");
    assert_int_equal(refused->expected, 1);
    assert_non_null(strstr(refused->sentence->en, "numbers 1 to 4 are missing"));
    assert_true(has_chinese(refused->sentence->zh));
    assert_true(refused->hint->en[0]);
}

static void test_many_refused_members_still_fit_into_a_frame(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    struct test_batch *batch = fixture_batch(&f->hub, "a", BATCH_MAX_EVENTS);
    for (size_t i = 0; i < batch->n; i++)
        batch->events[i].header.occurred_at_us = INT64_C(4000000000000000); /* a hint each */
    client_send_bytes(desk, fixture_sign(&f->hub, batch), 0);
    const Casebus__V1__Accepted *accepted =
        client_expect(f, desk, CASEBUS__V1__FRAME__BODY_ACCEPTED)->accepted;
    assert_int_equal(accepted->n_outcome, BATCH_MAX_EVENTS);
    assert_true(accepted->outcome[0]->sentence && accepted->outcome[0]->sentence->en[0]);
    assert_string_equal(accepted->outcome[BATCH_MAX_EVENTS - 1]->code, accepted->outcome[0]->code);
}

/* ---- deliveries ---- */

struct chain {
    uint64_t n, position;
    uint32_t ordinal;
};

static void follow(struct chain *chain, const Casebus__V1__Deliver *deliver)
{
    for (size_t i = 0; i < deliver->n_delivery; i++) {
        const Casebus__V1__Delivery *delivery = deliver->delivery[i];
        assert_int_equal(delivery->first, chain->n == 0);
        if (chain->n) {
            assert_int_equal(delivery->previous->position, chain->position);
            assert_int_equal(delivery->previous->ordinal, chain->ordinal);
        }
        assert_int_equal(delivery->number, chain->n + 1);
        assert_string_equal(delivery->node, "desk");
        assert_int_equal(delivery->n_part, 1); /* the form only */
        assert_int_equal(delivery->part[0]->index, 1);
        assert_int_equal(delivery->part[0]->content.len, 50);
        chain->n++;
        chain->position = delivery->id->position;
        chain->ordinal = delivery->id->ordinal;
    }
}

static void receive_up_to(struct bus_fixture *f, struct client *office, struct chain *chain, uint64_t n)
{
    while (chain->n < n) {
        follow(chain, client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver);
        client_credit(f, office, chain->position, chain->ordinal);
    }
    assert_int_equal(chain->n, n);
}

static void test_a_receiver_gets_all_from_disk_and_from_memory_once(void **state)
{
    struct bus_fixture *f = *state;
    struct chain chain = {0};
    struct client *desk = client_join(f, &f->hub.gate.desk);
    for (int i = 0; i < 10; i++) {
        char label[16];
        snprintf(label, sizeof(label), "d%d", i);
        client_publish(f, desk, label, 100);
    }
    client_close(f, desk);
    bus_fixture_stop(f);
    bus_fixture_start(f);
    desk = client_join(f, &f->hub.gate.desk);
    client_publish(f, desk, "m0", 50);
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 0, NULL);
    receive_up_to(f, office, &chain, 1050);
    client_publish(f, desk, "m1", 50);
    receive_up_to(f, office, &chain, 1100);
    client_expect_quiet(f, office);
}

static void test_a_small_window_lets_one_frame_through_at_a_time(void **state)
{
    struct bus_fixture *f = *state;
    struct chain chain = {0};
    struct client *desk = client_join(f, &f->hub.gate.desk);
    for (int i = 0; i < 12; i++) {
        char label[16];
        snprintf(label, sizeof(label), "w%d", i);
        client_publish(f, desk, label, 256);
    }
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 1, NULL);
    unsigned frames = 0;
    while (chain.n < 12 * 256) {
        follow(&chain, client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver);
        client_expect_quiet(f, office); /* no second one before the credit */
        client_credit(f, office, chain.position, chain.ordinal);
        frames++;
    }
    assert_true(frames > 5);
}

static void test_a_receiver_goes_on_behind_what_it_holds(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    uint64_t seal = client_publish(f, desk, "a", 5)->seal_position;
    struct client *office = client_join(f, &f->hub.gate.office);
    Casebus__V1__DeliveryId after = CASEBUS__V1__DELIVERY_ID__INIT;
    after.position = seal + 2;
    client_subscribe(f, office, 0, &after);
    struct chain chain = {.n = 2, .position = seal + 2};
    receive_up_to(f, office, &chain, 5);
}

static void test_deliveries_go_to_the_newest_subscription_only(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    struct client *old = client_join(f, &f->hub.gate.office), *new = client_join(f, &f->hub.gate.office);
    client_subscribe(f, old, 0, NULL);
    client_expect_quiet(f, old);
    client_subscribe(f, new, 0, NULL);
    client_expect_quiet(f, new);
    client_publish(f, desk, "a", 4);
    struct chain chain = {0};
    receive_up_to(f, new, &chain, 4);
    client_expect_quiet(f, old);
}

/* The vault slot of the entry at @position. */
static uint64_t slot_of(struct bus_fixture *f, uint64_t position)
{
    struct casebus_error err;
    struct ledger_view *view = NULL;
    struct bytes bytes;
    must(ledger_view_open(&view, f->hub.ledger, &err), &err);
    must(ledger_view_body(view, position, &bytes, &err), &err);
    const Casebus__V1__SealedBody *body = body_decode(bytes, &f->hub.gate.arena, &err);
    assert_non_null(body);
    ledger_view_close(view);
    return body->slot;
}

static void test_what_was_erased_is_passed_over(void **state)
{
    struct bus_fixture *f = *state;
    struct casebus_error err;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    client_publish(f, desk, "a", 2);
    uint64_t seal = client_publish(f, desk, "erased", 2)->seal_position;
    client_publish(f, desk, "b", 2);
    client_close(f, desk);
    bus_fixture_stop(f);
    bus_fixture_start(f);
    must(vault_erase(f->hub.vault, slot_of(f, seal + 1), &err), &err);
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 0, NULL);
    unsigned n = 0;
    while (n < 4)
        n += (unsigned)client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver->n_delivery;
    assert_int_equal(n, 4);
    client_expect_quiet(f, office);
}

/* ---- orders to destroy ---- */

static void keep_to_itself(void *self, uint64_t size)
{
    (void)self, (void)size; /* so the bus goes on delivering from memory */
}

static uint64_t erase_and_wait(struct bus_fixture *f, const char *number)
{
    struct casebus_error err;
    struct erasure_request request = {.what = ERASE_CASE};
    struct erasure_progress progress = {.stage = ERASURE_SEARCHING};
    uint64_t ticket = 0;
    snprintf(request.number, sizeof request.number, "%s", number);
    strcpy(request.words, "by order of a test");
    must(pipeline_erase(f->hub.pipeline, &request, &ticket, &err), &err);
    for (unsigned tries = 0; tries < FIXTURE_WAIT_S * 100 && progress.stage != ERASURE_DONE; tries++) {
        usleep(10000);
        assert_true(pipeline_erasure(f->hub.pipeline, ticket, &progress));
        assert_int_not_equal(progress.stage, ERASURE_FAILED);
    }
    assert_int_equal(progress.n_ordered, 1);
    return progress.ordered[0];
}

/* Four events, of which the first two were destroyed, and the order. */
static void expect_without_content(struct bus_fixture *f, uint64_t order)
{
    const Casebus__V1__Delivery *deliveries[5];
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 0, NULL);
    for (unsigned n = 0; n < 5;) {
        const Casebus__V1__Deliver *deliver =
            client_expect(f, office, CASEBUS__V1__FRAME__BODY_DELIVER)->deliver;
        for (size_t i = 0; i < deliver->n_delivery && n < 5; i++)
            deliveries[n++] = deliver->delivery[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(deliveries[i]->header.len == 0, i < 2);
        assert_int_equal(deliveries[i]->n_part == 0, i < 2);
        assert_int_equal(deliveries[i]->event_hash.len, i < 2 ? DIGEST_SIZE : 0);
        assert_int_equal(deliveries[i]->first, i == 0);
        if (i > 0)
            assert_int_equal(deliveries[i]->previous->position, deliveries[i - 1]->id->position);
    }
    const Casebus__V1__Erasure *erasure = deliveries[4]->erasure;
    assert_non_null(erasure);
    assert_int_equal(deliveries[4]->id->position, order);
    assert_int_equal(deliveries[4]->previous->position, deliveries[3]->id->position);
    assert_int_equal(erasure->n_delivery, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(erasure->delivery[i]->id->position, deliveries[i]->id->position);
        assert_memory_equal(erasure->delivery[i]->event_hash.data, deliveries[i]->event_hash.data,
                            DIGEST_SIZE);
        assert_true(erasure->delivery[i]->header);
    }
    client_expect_quiet(f, office);
}

static void test_what_is_ordered_destroyed_is_not_delivered_from_memory(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    f->hub.on_persisted = keep_to_itself;
    client_publish(f, desk, "a", 2);
    client_publish(f, desk, "b", 2);
    expect_without_content(f, erase_and_wait(f, "case-a"));
}

static void test_what_was_destroyed_is_delivered_from_disk_without_content(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk);
    client_publish(f, desk, "a", 2);
    client_publish(f, desk, "b", 2);
    uint64_t order = erase_and_wait(f, "case-a");
    client_close(f, desk);
    bus_fixture_stop(f);
    bus_fixture_start(f);
    expect_without_content(f, order);
}

/* ---- life ---- */

static void test_a_port_in_use_is_said_in_a_sentence(void **state)
{
    struct bus_fixture *f = *state;
    struct casebus_error err;
    struct bus *second = NULL;
    const struct bus_options options = {.listen = bus_endpoint(f->bus),
                                        .curve_secret = f->curve_secret,
                                        .origin = TEST_ORIGIN,
                                        .suite = suite_get(SUITE_INTL),
                                        .log_key = f->hub.log_key,
                                        .log_vkey = f->hub.log_vkey,
                                        .ledger = f->hub.ledger,
                                        .state = f->hub.state,
                                        .vault = f->hub.vault,
                                        .log = &f->hub.log};
    must(bus_new(&second, &options, &err), &err);
    assert_int_equal(bus_start(second, f->hub.pipeline, &err), -1);
    assert_int_equal(err.code, CASEBUS_NETWORK);
    assert_non_null(strstr(err.text, bus_endpoint(f->bus)));
    assert_true(err.hint[0]);
    bus_free(second);
}

static void test_a_hub_that_stops_answers_what_it_took_and_says_goodbye(void **state)
{
    struct bus_fixture *f = *state;
    struct client *desk = client_join(f, &f->hub.gate.desk), *office = client_join(f, &f->hub.gate.office);
    client_send_bytes(desk, fixture_sign(&f->hub, fixture_batch(&f->hub, "a", 2)), 0);
    client_expect_quiet(f, office); /* not about the desk: its batch may still be on its way */
    bus_fixture_stop(f);
    client_expect_bye(f, office, CASEBUS_OK);
    const Casebus__V1__Frame *frame = client_look(f, desk);
    if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_ACCEPTED)
        client_expect_bye(f, desk, CASEBUS_OK);
    bus_fixture_start(f);
}

static void test_peers_are_told_to_the_console(void **state)
{
    struct bus_fixture *f = *state;
    struct bus_peer peers[4];
    uint64_t deliveries, confirms;
    struct client *office = client_join(f, &f->hub.gate.office);
    client_subscribe(f, office, 0, NULL);
    client_expect_quiet(f, office);
    while (bus_get_peers(f->bus, peers, 4, &deliveries, &confirms) != 1 || !peers[0].subscribed)
        usleep(1000);
    assert_string_equal(peers[0].node, "office");
    assert_string_equal(peers[0].software, "a raw client");
    assert_int_equal(bus_get_peers(f->bus, NULL, 0, NULL, NULL), 1);
}

int main(void)
{
    setenv("CASEBUS_LANG", "en", 1);
    texts_init();
    languages_prepare();
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_welcome_tells_where_the_streams_stand),
        T(test_welcome_proves_that_it_is_this_hub_to_this_node_now),
        T(test_every_batch_gets_a_receipt_that_holds),
        T(test_answers_come_in_the_order_of_the_batches),
        T(test_a_refusal_says_why_in_both_languages),
        T(test_many_refused_members_still_fit_into_a_frame),
        T(test_a_receiver_gets_all_from_disk_and_from_memory_once),
        T(test_a_small_window_lets_one_frame_through_at_a_time),
        T(test_a_receiver_goes_on_behind_what_it_holds),
        T(test_deliveries_go_to_the_newest_subscription_only),
        T(test_what_was_erased_is_passed_over),
        T(test_what_is_ordered_destroyed_is_not_delivered_from_memory),
        T(test_what_was_destroyed_is_delivered_from_disk_without_content),
        T(test_a_port_in_use_is_said_in_a_sentence),
        T(test_a_hub_that_stops_answers_what_it_took_and_says_goodbye),
        T(test_peers_are_told_to_the_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
