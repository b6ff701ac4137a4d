/* Sessions: a node against a test peer that behaves, misbehaves and goes away. */
#include "adapters/sdk/testpeer.h"
#include "casebus/node.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/event.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>
#include <zmq.h>

#include <cmocka.h>

static struct testbed bed;
static struct testpeer peer;
static struct casebus_node *node;
static struct casebus_error err;
static struct casebus_node_options options;

static struct seen {
    unsigned accepted, duplicate, refused, ready, connecting, stopped;
    uint64_t last_mark, last_position;
    char refused_code[32], refused_sentence[64], refused_record[64];
    enum casebus_code stop_code;
    unsigned deliveries;
    uint64_t last_delivery;
    unsigned again; /* how often on_delivery says "later" */
    bool confirm;   /* each delivery at once */
    unsigned erased, orders, told, retracted;
    struct casebus_erased ordered; /* the first one of the last order */
    char logged[2048];
} seen;

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    (void)self;
    assert_int_equal(outcome->mark, seen.last_mark + 1);
    seen.last_mark = outcome->mark;
    seen.accepted += outcome->kind == CASEBUS_ACCEPTED;
    seen.duplicate += outcome->kind == CASEBUS_DUPLICATE;
    if (outcome->kind == CASEBUS_ACCEPTED) {
        assert_true(outcome->position > seen.last_position);
        seen.last_position = outcome->position;
    }
    if (outcome->kind != CASEBUS_REFUSED)
        return;
    seen.refused++;
    snprintf(seen.refused_code, sizeof seen.refused_code, "%s", outcome->code);
    snprintf(seen.refused_sentence, sizeof seen.refused_sentence, "%.60s", outcome->sentence);
    casebus_event_get(outcome->event, "record_id", 0, seen.refused_record, sizeof seen.refused_record);
}

static int on_delivery(void *self, const struct casebus_delivery *delivery)
{
    char name[64];
    (void)self;
    if (seen.again > 0) {
        seen.again--;
        return 1;
    }
    seen.deliveries++;
    assert_true(delivery->id.position > seen.last_delivery);
    seen.last_delivery = delivery->id.position;
    seen.erased += delivery->erased != 0;
    if (delivery->erasure) {
        assert_int_equal(delivery->erasure->n_items, 1);
        seen.orders++;
        seen.ordered = delivery->erasure->items[0];
        seen.ordered.parts = NULL;
    }
    assert_int_equal(delivery->event == NULL,
                     delivery->erased || delivery->erasure || delivery->answers || delivery->retraction);
    if (delivery->retraction) {
        assert_int_equal(delivery->erased, 0);
        assert_string_equal(delivery->retraction->record_id, "r1");
        assert_int_equal(delivery->retraction->position, 7);
        assert_int_equal(strlen(delivery->retraction->event_id), 64);
        seen.retracted++;
    }
    if (delivery->answers) {
        assert_int_equal(delivery->erased, 0);
        assert_string_equal(delivery->answers->case_number, "case-1");
        assert_string_equal(delivery->answers->items[0].question, "finished");
        seen.told += delivery->answers->n_items == 1 && delivery->answers->items[0].yes;
    }
    if (delivery->event)
        assert_string_equal(casebus_event_get(delivery->event, "identity.name", 0, name, sizeof name),
                            "张三");
    if (seen.confirm)
        assert_int_equal(casebus_node_confirm(node, delivery->id, &err), 0);
    return 0;
}

static void on_state(void *self, enum casebus_node_state state, const struct casebus_error *reason)
{
    (void)self;
    seen.ready += state == CASEBUS_NODE_READY;
    seen.connecting += state == CASEBUS_NODE_CONNECTING;
    if (state == CASEBUS_NODE_STOPPED) {
        seen.stopped++;
        seen.stop_code = reason->code;
    }
}

static void on_log(void *self, int level, const char *id, const char *text)
{
    size_t length = strlen(seen.logged);
    (void)self;
    if (level > 0)
        snprintf(seen.logged + length, sizeof seen.logged - length, "%s %s\n", id, text);
}

static const struct casebus_node_handlers handlers = {on_outcome, on_delivery, on_state, on_log};

static void node_open(void)
{
    if (casebus_node_open(&node, &options, &err) != 0)
        fail_msg("%s", err.text);
}

static int open_all(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    testbed_open(&bed);
    testpeer_open(&peer, &bed);
    options = (struct casebus_node_options){.dir = bed.dir, .endpoint = peer.endpoint, .handlers = &handlers};
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    node = casebus_node_close(node);
    testpeer_close(&peer);
    testbed_close(&bed);
    return 0;
}

/* Runs node and peer until @condition, for at most 20 s. */
#define UNTIL(condition)                                                                                     \
    do {                                                                                                     \
        uint64_t end = clock_monotonic_ns() + UINT64_C(20000000000);                                         \
        while (!(condition)) {                                                                               \
            if (clock_monotonic_ns() > end)                                                                  \
                fail_msg("never: %s\n%s", #condition, seen.logged);                                          \
            turn();                                                                                          \
        }                                                                                                    \
    } while (0)

static void turn(void)
{
    if (casebus_node_run(node, 5, &err) < 0)
        usleep(1000);
    testpeer_work(&peer);
}

static void publish(int n)
{
    struct casebus_event *event = casebus_event_new();
    for (int i = 0; i < n; i++) {
        uint64_t mark = casebus_node_last_mark(node) + 1;
        testpeer_event(event, mark);
        assert_int_equal(casebus_node_publish(node, event, mark, NULL, &err), 0);
    }
    casebus_event_free(event);
}

static void expect_logged(const char *id)
{
    if (!strstr(seen.logged, id))
        fail_msg("no %s in:\n%s", id, seen.logged);
}

/* --- publishing --- */

static void test_events_end_as_accepted_in_order(void **state)
{
    (void)state;
    node_open();
    publish(1000);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(seen.accepted, 1000);
    assert_int_equal(peer.events, 1000);
    assert_true(peer.batches < 100);
    publish(1);
    UNTIL(seen.accepted == 1001);
}

static void test_outcomes_are_told_apart(void **state)
{
    (void)state;
    peer.duplicate = 0;
    peer.refused = 2;
    node_open();
    publish(4);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(seen.accepted, 2);
    assert_int_equal(seen.duplicate, 1);
    assert_int_equal(seen.refused, 1);
    assert_string_equal(seen.refused_code, "CB-RECORD-OWNER");
    assert_string_equal(seen.refused_sentence, "not taken");
    assert_string_equal(seen.refused_record, "row-3");
}

static void test_small_window_lets_one_batch_go_at_a_time(void **state)
{
    (void)state;
    peer.window = 1;
    node_open();
    UNTIL(seen.ready);
    publish(100);
    casebus_node_run(node, 0, &err);
    publish(100);
    casebus_node_run(node, 0, &err);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(peer.batches, 2);
}

static void test_refusal_that_may_pass_is_tried_again_with_the_same_batch(void **state)
{
    (void)state;
    peer.refuse_code = "CB-BUSY";
    node_open();
    publish(10);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(seen.accepted, 10);
    assert_int_equal(peer.batches, 2);
    assert_memory_equal(peer.batch_hashes[0], peer.batch_hashes[1], DIGEST_SIZE);
    expect_logged("BATCH-REFUSED");
}

static void test_final_refusal_ends_each_event_and_the_next_go_on(void **state)
{
    (void)state;
    peer.refuse_code = "CB-TEXT";
    peer.refuse_final = true;
    node_open();
    publish(3);
    UNTIL(seen.refused == 3);
    assert_string_equal(seen.refused_record, "row-3");
    publish(3);
    UNTIL(seen.accepted == 3);
}

/* The operator forgot a grant: once it is given, everything comes in. */
static void test_node_that_may_not_publish_stops_and_keeps_its_events(void **state)
{
    (void)state;
    peer.refuse_code = "CB-NOT-ALLOWED";
    peer.refuse_final = true;
    node_open();
    publish(3);
    UNTIL(seen.stopped);
    assert_int_equal(seen.stop_code, CASEBUS_NOT_ALLOWED);
    assert_int_equal(seen.refused, 0);
    node = casebus_node_close(node);
    node_open();
    UNTIL(seen.accepted == 3);
}

static void test_conflict_of_numbers_opens_a_new_stream(void **state)
{
    (void)state;
    struct casebus_node_status before, after;
    peer.refuse_code = "CB-SEQ-CONFLICT";
    peer.refuse_final = true;
    node_open();
    casebus_node_get_status(node, &before);
    publish(3);
    UNTIL(casebus_node_pending(node) == 0);
    casebus_node_get_status(node, &after);
    assert_int_equal(seen.accepted, 3);
    assert_true(before.stream != after.stream);
    expect_logged("STREAM-COPY");
}

static void test_restored_outbox_opens_a_new_stream(void **state)
{
    (void)state;
    char outbox[PATH_MAX], copy[PATH_MAX];
    testbed_path(&bed, "outbox", outbox);
    testbed_path(&bed, "copy", copy);
    node_open();
    publish(3);
    UNTIL(casebus_node_pending(node) == 0);
    node = casebus_node_close(node);
    testbed_copy(outbox, copy);
    node_open();
    publish(3);
    UNTIL(casebus_node_pending(node) == 0);
    node = casebus_node_close(node);
    testbed_copy(copy, outbox);
    seen.last_mark = 3;
    node_open();
    publish(2);
    UNTIL(casebus_node_pending(node) == 0);
    expect_logged("STREAM-COPY");
    assert_int_equal(seen.accepted, 8);
}

static void test_hub_that_forgot_stops_the_node(void **state)
{
    (void)state;
    node_open();
    publish(3);
    UNTIL(casebus_node_pending(node) == 0);
    peer.n_streams = 0;
    testpeer_bye(&peer, CASEBUS_OK);
    UNTIL(seen.stopped);
    assert_int_equal(seen.stop_code, CASEBUS_BEHIND);
}

/* --- who is there --- */

static void expect_stop(enum casebus_code code)
{
    node_open();
    publish(1);
    UNTIL(seen.stopped);
    assert_string_equal(casebus_code_text(seen.stop_code), casebus_code_text(code));
    assert_int_equal(casebus_node_run(node, 10, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(casebus_node_pending(node), 1);
    expect_logged("NODE-STOPPED");
}

static void test_another_hub_stops_the_node(void **state)
{
    (void)state;
    peer.origin = "js.example/exchange/2";
    expect_stop(CASEBUS_HUB_IDENTITY);
}

/* Somebody with the hub's CURVE key: he is told the name, and nothing besides. */
static void expect_unproven(void)
{
    char path[PATH_MAX];
    unsigned hellos = peer.hellos;
    struct casebus_node_status status;
    testbed_path(&bed, "unproven", path);
    memset(seen.logged, 0, sizeof seen.logged);
    peer.refuse_code = "CB-BAD-FIELD"; /* what he would answer */
    peer.refuse_final = true;
    UNTIL(peer.hellos > hellos && strstr(seen.logged, "SESSION-LOST"));
    expect_logged("HUB-UNPROVEN");
    assert_int_equal(access(path, F_OK), 0);
    casebus_node_get_status(node, &status);
    assert_int_equal(status.last_error.code, CASEBUS_HUB_IDENTITY);
    assert_true(status.shut_out > 0);
    assert_int_equal(peer.batches, 0);
    assert_int_equal(peer.pings, 0);
    assert_int_equal(peer.subscribes, 0);
    assert_int_equal(seen.ready + seen.stopped + seen.refused, 0);
    assert_int_equal(casebus_node_pending(node), 3);
    peer.refuse_code = NULL;
}

static void expect_sent_to_the_hub(void)
{
    char path[PATH_MAX];
    testbed_path(&bed, "unproven", path);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(seen.accepted, 3);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_who_has_only_the_transport_key_gets_nothing(void **state)
{
    (void)state;
    struct signing_key *stranger;
    assert_int_equal(signing_key_generate(&stranger, bed.suite, &err), 0);
    peer.proves_not = true;
    node_open();
    publish(3);
    expect_unproven();
    node = casebus_node_close(node);
    peer.proves_not = false;
    peer.proves_by = stranger;
    node_open();
    expect_unproven();
    peer.proves_by = NULL;
    expect_sent_to_the_hub(); /* by itself */
    signing_key_free(stranger);
}

/* What the true hub signed for somebody else, or another time. */
static void test_a_proof_that_was_made_for_another_session_is_none(void **state)
{
    (void)state;
    node_open();
    publish(3);
    for (peer.proves_other = 1; peer.proves_other <= 4; peer.proves_other++) {
        expect_unproven();
        node = casebus_node_close(node);
        node_open();
    }
    peer.proves_other = 0;
    expect_sent_to_the_hub();
}

static void test_nothing_is_answered_before_the_proof(void **state)
{
    (void)state;
    peer.proves_not = true;
    peer.pings_first = true;
    node_open();
    publish(3);
    expect_unproven();
    assert_int_equal(peer.pongs, 0);
}

static void test_another_version_stops_the_node(void **state)
{
    (void)state;
    peer.version = 2;
    expect_stop(CASEBUS_BAD_VERSION);
}

static void test_false_receipt_stops_the_node(void **state)
{
    (void)state;
    peer.lie_seal = true;
    expect_stop(CASEBUS_INCLUSION);
}

static void test_rewritten_tree_stops_the_node(void **state)
{
    (void)state;
    node_open();
    publish(10);
    UNTIL(casebus_node_pending(node) == 0);
    uint64_t size = peer.tree.size;
    tree_init(&peer.tree);
    while (peer.tree.size < size + 1)
        testpeer_append(&peer, bytes_of("other", 5));
    testpeer_bye(&peer, CASEBUS_OK);
    UNTIL(seen.stopped);
    assert_int_equal(seen.stop_code, CASEBUS_CONSISTENCY);
}

/* ---- witnesses ---- */

static struct signing_key *witness_key;

/* The node believes the witness w.example; the hub shows its word from now on. */
static void witness_begin(void)
{
    char vkey[VKEY_MAX], text[VKEY_MAX + 60];
    static char path[PATH_MAX];
    assert_int_equal(signing_key_generate(&witness_key, bed.suite, &err), 0);
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, "w.example", signing_key_public(witness_key)) >
                0);
    snprintf(text, sizeof text, "witness w %s\nquorum w\n", vkey);
    testbed_path(&bed, "witness.policy", path);
    assert_int_equal(file_write(path, bytes_of_text(text), 0600, &err), 0);
    options.witnesses = path;
    peer.witness_key = witness_key;
    peer.witness_name = "w.example";
    peer.ping_ms = 100;
}

static uint64_t confirmed_size(void)
{
    struct casebus_node_status status;
    casebus_node_get_status(node, &status);
    return status.confirmed_size;
}

static void test_witnesses_word_is_kept(void **state)
{
    (void)state;
    witness_begin();
    node_open();
    publish(20);
    UNTIL(seen.accepted == 20 && confirmed_size() == peer.tree.size);
    uint64_t size = peer.tree.size;
    node = casebus_node_close(node);
    peer.witness_key = NULL;
    node_open();
    assert_int_equal(confirmed_size(), size);
    signing_key_free(witness_key);
}

static unsigned evidence_files(void)
{
    char path[PATH_MAX];
    unsigned n = 0;
    testbed_path(&bed, "evidence", path);
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        n += strncmp(entry->d_name, "fork-", 5) == 0;
    if (dir)
        closedir(dir);
    return n;
}

static void test_tree_that_witnesses_saw_otherwise_stops_the_node(void **state)
{
    (void)state;
    witness_begin();
    peer.cosigned_other = true;
    node_open();
    publish(5);
    UNTIL(seen.stopped == 1);
    assert_int_equal(seen.stop_code, CASEBUS_CONSISTENCY);
    assert_non_null(strstr(seen.logged, "it shows different records to different people"));
    assert_int_equal(evidence_files(), 2);
    signing_key_free(witness_key);
}

static void test_tree_that_is_larger_for_witnesses_stops_the_node(void **state)
{
    (void)state;
    witness_begin();
    peer.cosigned_size = 1000;
    node_open();
    publish(5);
    UNTIL(seen.stopped == 1);
    assert_int_equal(seen.stop_code, CASEBUS_CONSISTENCY);
    assert_int_equal(evidence_files(), 2);
    signing_key_free(witness_key);
}

static void test_stranger_is_no_witness(void **state)
{
    (void)state;
    witness_begin();
    peer.witness_name = "other.example";
    peer.cosigned_other = true; /* nobody believes it, so nothing follows from it */
    options.witness_patience_s = 1;
    node_open();
    publish(5);
    UNTIL(seen.accepted == 5 && strstr(seen.logged, "UNWITNESSED"));
    assert_non_null(strstr(seen.logged, " UTC+")); /* a time without its zone helps nobody */
    assert_int_equal(seen.stopped, 0);
    assert_int_equal(confirmed_size(), 0);
    peer.witness_name = "w.example";
    peer.cosigned_other = false;
    UNTIL(strstr(seen.logged, "WITNESSED-AGAIN"));
    signing_key_free(witness_key);
}

static void test_policy_of_another_log_is_refused(void **state)
{
    char vkey[VKEY_MAX], text[VKEY_MAX + 60];
    (void)state;
    witness_begin();
    assert_true(note_vkey_format(vkey, sizeof vkey, "other/1", signing_key_public(bed.log_key)) > 0);
    snprintf(text, sizeof text, "log %s\nquorum none\n", vkey);
    assert_int_equal(file_write(options.witnesses, bytes_of_text(text), 0600, &err), 0);
    assert_int_equal(casebus_node_open(&node, &options, &err), -1);
    assert_int_equal(err.code, CASEBUS_CONFIG);
    signing_key_free(witness_key);
}

static void test_wrong_hub_key_is_backed_off_from(void **state)
{
    (void)state;
    char public_key[CURVE_Z85_MAX], secret_key[CURVE_Z85_MAX];
    zmq_curve_keypair(public_key, secret_key);
    testbed_enrol(&bed, "hub_curve_key", public_key, bed.now + 1000);
    node_open();
    UNTIL(strstr(seen.logged, "SESSION-LOST"));
    assert_non_null(strstr(seen.logged, "CB-NOT-ALLOWED"));
    assert_int_equal(peer.hellos, 0);
}

static void test_second_process_is_told_who_holds_the_directory(void **state)
{
    (void)state;
    struct casebus_node *second;
    char pid[32];
    node_open();
    assert_int_equal(casebus_node_open(&second, &options, &err), -1);
    assert_int_equal(err.code, CASEBUS_LOCKED);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_non_null(strstr(err.text, pid));
}

static void test_unusable_endpoint_is_named(void **state)
{
    (void)state;
    options.endpoint = "carrier-pigeon";
    assert_int_equal(casebus_node_open(&node, &options, &err), -1);
    assert_int_equal(err.code, CASEBUS_CONFIG);
    assert_non_null(strstr(err.text, "carrier-pigeon"));
    assert_null(node);
}

static void test_wrong_clock_is_told(void **state)
{
    (void)state;
    peer.skew_us = INT64_C(3600000000);
    node_open();
    UNTIL(seen.ready);
    expect_logged("CLOCK-SKEW");
}

/* --- interruptions --- */

static void test_goodbye_of_the_hub_is_followed_by_another_session(void **state)
{
    (void)state;
    node_open();
    UNTIL(seen.ready == 1);
    testpeer_bye(&peer, CASEBUS_OK);
    UNTIL(seen.connecting == 1);
    UNTIL(seen.ready == 2);
    publish(1);
    UNTIL(seen.accepted == 1);
}

static void test_silent_hub_is_left(void **state)
{
    (void)state;
    peer.ping_ms = 100;
    node_open();
    UNTIL(seen.ready == 1);
    peer.silent = true;
    UNTIL(seen.connecting == 1);
    peer.silent = false;
    UNTIL(seen.ready == 2);
}

static void test_busy_application_does_not_lose_its_session(void **state)
{
    (void)state;
    peer.ping_ms = 100;
    node_open();
    UNTIL(seen.ready == 1);
    UNTIL(peer.pings > 0); /* the answer is under way */
    usleep(600000);        /* longer than the hub may be silent */
    for (int i = 0; i < 50; i++)
        turn();
    assert_int_equal(seen.ready, 1);
}

static void test_batches_on_the_way_survive_a_reconnection(void **state)
{
    (void)state;
    node_open();
    UNTIL(seen.ready == 1);
    peer.silent = true; /* takes the batches, and answers nothing */
    publish(600);
    for (int i = 0; i < 20; i++)
        turn();
    peer.silent = false;
    testpeer_bye(&peer, CASEBUS_OK);
    UNTIL(casebus_node_pending(node) == 0);
    assert_int_equal(seen.accepted, 600);
    assert_int_equal(peer.events, 600);
}

static void test_batches_are_the_same_after_a_restart(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE];
    peer.refuse_code = "CB-BUSY";
    node_open();
    publish(20);
    UNTIL(peer.batches == 1);
    memcpy(hash, peer.batch_hashes[0], DIGEST_SIZE);
    node = casebus_node_close(node);
    node_open();
    UNTIL(casebus_node_pending(node) == 0);
    assert_memory_equal(hash, peer.batch_hashes[1], DIGEST_SIZE);
    assert_int_equal(seen.accepted, 20);
}

static void test_rubbish_from_the_hub_ends_only_the_session(void **state)
{
    (void)state;
    uint8_t rubbish[300];
    srand(7);
    node_open();
    for (unsigned i = 1; i <= 2; i++) {
        UNTIL(seen.ready == i);
        for (size_t j = 0; j < sizeof rubbish; j++)
            rubbish[j] = (uint8_t)rand();
        rubbish[0] = (uint8_t)(2 * i << 3 | 2);
        testpeer_send_bytes(&peer, rubbish, sizeof rubbish);
        UNTIL(seen.connecting == i);
        testpeer_work(&peer);
    }
    assert_int_equal(seen.stopped, 0);
}

/* --- receiving --- */

static struct delivery_bytes {
    uint8_t header[HEADER_MAX];
    size_t header_size;
    uint8_t salt[SALT_SIZE];
    uint8_t content[64];
    size_t content_size;
    uint8_t hash[DIGEST_SIZE];
} sample;

static void sample_make(void)
{
    Casebus__V1__EventHeader header = CASEBUS__V1__EVENT_HEADER__INIT;
    Casebus__V1__IdentityPart identity = CASEBUS__V1__IDENTITY_PART__INIT;
    Casebus__V1__PartCommitment commitment = CASEBUS__V1__PART_COMMITMENT__INIT,
                                *commitments[] = {&commitment};
    uint8_t random[RANDOM_SIZE] = {1}, mac[DIGEST_SIZE];
    identity.name = (char *)"张三";
    sample.content_size = casebus__v1__identity_part__pack(&identity, sample.content);
    part_commitment(peer.crypter, sample.salt, bytes_of(sample.content, sample.content_size), mac);
    commitment.kind = CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY;
    commitment.mac = (ProtobufCBinaryData){DIGEST_SIZE, mac};
    commitment.size = (uint32_t)sample.content_size;
    header.random = (ProtobufCBinaryData){RANDOM_SIZE, random};
    header.format = 1;
    header.record_namespace = header.record_id = header.case_number = (char *)"x";
    header.kind = CASEBUS__V1__KIND__KIND_ACCEPT;
    header.operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header.precision = CASEBUS__V1__PRECISION__PRECISION_DATE;
    header.n_commitment = 1;
    header.commitment = commitments;
    sample.header_size = casebus__v1__event_header__pack(&header, sample.header);
    event_hash(peer.crypter, bytes_of(sample.header, sample.header_size), sample.hash);
}

/* Delivers @delivery at @position after @previous (0: it is the first one). */
static void deliver_this(Casebus__V1__Delivery *delivery, uint64_t position, uint64_t previous)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Deliver message = CASEBUS__V1__DELIVER__INIT;
    Casebus__V1__DeliveryId id = CASEBUS__V1__DELIVERY_ID__INIT, before = CASEBUS__V1__DELIVERY_ID__INIT;
    id.position = position;
    before.position = previous;
    delivery->id = &id;
    delivery->previous = previous ? &before : NULL;
    delivery->first = previous == 0;
    message.n_delivery = 1;
    message.delivery = &delivery;
    frame.body_case = CASEBUS__V1__FRAME__BODY_DELIVER;
    frame.deliver = &message;
    testpeer_send(&peer, &frame);
}

static uint8_t no_case[CASE_ID_SIZE];

static void deliver(uint64_t position, uint64_t previous)
{
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT;
    Casebus__V1__DeliveredPart part = CASEBUS__V1__DELIVERED_PART__INIT, *parts[] = {&part};
    part.salt = (ProtobufCBinaryData){SALT_SIZE, sample.salt};
    part.content = (ProtobufCBinaryData){sample.content_size, sample.content};
    delivery.node = (char *)"group-2";
    delivery.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, no_case};
    delivery.header = (ProtobufCBinaryData){sample.header_size, sample.header};
    delivery.n_part = 1;
    delivery.part = parts;
    deliver_this(&delivery, position, previous);
}

/* The event without its content, which was destroyed. */
static void deliver_erased(uint64_t position, uint64_t previous, size_t hash_size)
{
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT;
    delivery.node = (char *)"group-2";
    delivery.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, no_case};
    delivery.event_hash = (ProtobufCBinaryData){hash_size, sample.hash};
    deliver_this(&delivery, position, previous);
}

/* Yes to @question, in the place of the event. */
static void deliver_answer(uint64_t position, uint64_t previous, const char *question)
{
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT;
    Casebus__V1__Answer answer = CASEBUS__V1__ANSWER__INIT, *list[] = {&answer};
    Casebus__V1__Answers answers = CASEBUS__V1__ANSWERS__INIT;
    answer.question = (char *)(uintptr_t)question;
    answer.yes = true;
    answers.case_number = (char *)"case-1";
    answers.answer = list;
    answers.n_answer = question ? 1 : 0;
    delivery.node = (char *)"group-2";
    delivery.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, no_case};
    delivery.event_hash = (ProtobufCBinaryData){DIGEST_SIZE, sample.hash};
    delivery.answers = &answers;
    deliver_this(&delivery, position, previous);
}

/* What came with the delivery at 7 holds no more. */
static void deliver_retraction(uint64_t position, uint64_t previous, size_t hash_size)
{
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT;
    Casebus__V1__Retraction retraction = CASEBUS__V1__RETRACTION__INIT;
    retraction.case_number = (char *)"case-1";
    retraction.record_namespace = (char *)"js.test/cases";
    retraction.record_id = (char *)"r1";
    retraction.position = 7;
    retraction.event_hash = (ProtobufCBinaryData){hash_size, sample.hash};
    delivery.node = (char *)"group-2";
    delivery.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, no_case};
    delivery.event_hash = (ProtobufCBinaryData){DIGEST_SIZE, sample.hash};
    delivery.retraction = &retraction;
    deliver_this(&delivery, position, previous);
}

/* An order to destroy the delivery at @erased; @hash: of its entry as a leaf. */
static void deliver_order(uint64_t position, uint64_t previous, uint64_t erased, uint8_t hash[DIGEST_SIZE])
{
    Casebus__V1__Delivery delivery = CASEBUS__V1__DELIVERY__INIT;
    Casebus__V1__Erasure erasure = CASEBUS__V1__ERASURE__INIT;
    Casebus__V1__ErasedDelivery item = CASEBUS__V1__ERASED_DELIVERY__INIT, *items[] = {&item};
    Casebus__V1__DeliveryId id = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__ErasedContent content = CASEBUS__V1__ERASED_CONTENT__INIT, *contents[] = {&content};
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    uint8_t subject[DIGEST_SIZE] = {1}, packed[512];
    uint32_t part = 0;
    content.position = erased;
    content.header = true;
    content.part_mask = 1;
    ordered.reason = CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER;
    ordered.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    ordered.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, no_case};
    ordered.content = contents;
    ordered.n_content = 1;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    entry.format = 1;
    entry.suite = (Casebus__V1__Suite)suite_id(bed.suite);
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = &act;
    size_t size = casebus__v1__ledger_entry__pack(&entry, packed);
    assert_true(size <= sizeof packed);
    tree_leaf_hash(peer.crypter, bytes_of(packed, size), hash);
    id.position = erased;
    item.id = &id;
    item.event_hash = (ProtobufCBinaryData){DIGEST_SIZE, sample.hash};
    item.header = true;
    item.part = &part;
    item.n_part = 1;
    erasure.entry = (ProtobufCBinaryData){size, packed};
    erasure.delivery = items;
    erasure.n_delivery = 1;
    delivery.erasure = &erasure;
    deliver_this(&delivery, position, previous);
}

static void receiver_open(void)
{
    options.subscribe = 1;
    sample_make();
    unsigned before = peer.subscribes;
    node_open();
    UNTIL(peer.subscribes == before + 1);
}

static void test_deliveries_come_once_and_in_order(void **state)
{
    (void)state;
    receiver_open();
    assert_false(peer.resumed);
    deliver(5, 0);
    deliver(7, 5);
    deliver(5, 0);
    deliver(7, 5);
    deliver(9, 7);
    UNTIL(seen.last_delivery == 9);
    assert_int_equal(seen.deliveries, 3);
    UNTIL(peer.credits == 5);
}

static void test_hole_is_asked_for_again(void **state)
{
    (void)state;
    receiver_open();
    deliver(5, 0);
    UNTIL(seen.deliveries == 1);
    deliver(9, 7);
    UNTIL(peer.subscribes == 2);
    assert_true(peer.resumed);
    assert_int_equal(peer.subscribed.position, 5);
    deliver(7, 5);
    deliver(9, 7);
    UNTIL(seen.last_delivery == 9);
    expect_logged("DELIVERY-HOLE");
}

static void test_full_sink_gets_the_same_delivery_later(void **state)
{
    (void)state;
    receiver_open();
    seen.again = 3;
    deliver(5, 0);
    deliver(7, 5);
    UNTIL(seen.last_delivery == 7);
    assert_int_equal(seen.deliveries, 2);
}

static void test_altered_part_stops_the_node(void **state)
{
    (void)state;
    receiver_open();
    sample.content[3] ^= 1;
    deliver(5, 0);
    UNTIL(seen.stopped);
    assert_int_equal(seen.stop_code, CASEBUS_COMMITMENT);
    assert_int_equal(seen.deliveries, 0);
}

static void test_confirmation_signs_the_running_hash(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE] = {0};
    receiver_open();
    seen.confirm = true;
    for (uint64_t i = 1; i <= 50; i++) {
        deliver(i, i - 1);
        delivered_hash(peer.crypter, hash, i, 0, sample.hash);
    }
    UNTIL(peer.confirmed.position == 50);
    assert_true(peer.confirmed.signed_well);
    assert_memory_equal(peer.confirmed.running_hash, hash, DIGEST_SIZE);
    assert_true(peer.confirms < 50); /* merged */
}

static void test_orders_to_destroy_take_their_place_in_what_is_signed(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE] = {0}, order[DIGEST_SIZE];
    receiver_open();
    seen.confirm = true;
    deliver(3, 0);
    deliver_erased(5, 3, DIGEST_SIZE);
    deliver_order(9, 5, 3, order);
    UNTIL(seen.orders == 1);
    assert_int_equal(seen.deliveries, 3);
    assert_int_equal(seen.erased, 1);
    assert_int_equal(seen.ordered.id.position, 3);
    assert_true(seen.ordered.header);
    assert_int_equal(seen.ordered.n_parts, 1);
    delivered_hash(peer.crypter, hash, 3, 0, sample.hash);
    delivered_hash(peer.crypter, hash, 5, 0, sample.hash);
    delivered_hash(peer.crypter, hash, 9, 0, order);
    UNTIL(peer.confirmed.position == 9);
    assert_true(peer.confirmed.signed_well);
    assert_memory_equal(peer.confirmed.running_hash, hash, DIGEST_SIZE);
}

static void test_answers_take_the_place_of_the_event_in_what_is_signed(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE] = {0};
    receiver_open();
    seen.confirm = true;
    deliver_answer(4, 0, "finished");
    UNTIL(seen.told == 1);
    delivered_hash(peer.crypter, hash, 4, 0, sample.hash);
    UNTIL(peer.confirmed.position == 4);
    assert_true(peer.confirmed.signed_well);
    assert_memory_equal(peer.confirmed.running_hash, hash, DIGEST_SIZE);
}

static void test_answers_have_to_answer_something(void **state)
{
    (void)state;
    receiver_open();
    deliver_answer(5, 0, NULL);
    UNTIL(strstr(seen.logged, "delivery 5.0") || seen.stopped);
    assert_int_equal(seen.deliveries, 0);
}

static void test_a_retraction_takes_the_place_of_the_event_and_says_of_which(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE] = {0};
    receiver_open();
    seen.confirm = true;
    deliver_retraction(8, 0, DIGEST_SIZE);
    UNTIL(seen.retracted == 1);
    delivered_hash(peer.crypter, hash, 8, 0, sample.hash);
    UNTIL(peer.confirmed.position == 8);
    assert_memory_equal(peer.confirmed.running_hash, hash, DIGEST_SIZE);
    deliver_retraction(9, 8, DIGEST_SIZE - 1);
    UNTIL(strstr(seen.logged, "delivery 9.0") || seen.stopped);
    assert_int_equal(seen.deliveries, 1);
}

static void test_delivery_without_content_has_to_say_of_what(void **state)
{
    (void)state;
    receiver_open();
    deliver_erased(5, 0, DIGEST_SIZE - 1);
    UNTIL(strstr(seen.logged, "delivery 5.0") || seen.stopped);
    assert_int_equal(seen.deliveries, 0);
}

static void test_receiver_resumes_after_what_it_confirmed(void **state)
{
    (void)state;
    struct casebus_delivery_id id;
    receiver_open();
    deliver(3, 0);
    deliver(4, 3);
    deliver(6, 4);
    UNTIL(seen.deliveries == 3);
    assert_int_equal(casebus_node_confirm(node, (struct casebus_delivery_id){5, 0}, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    assert_int_equal(casebus_node_confirm(node, (struct casebus_delivery_id){4, 0}, &err), 0);
    node = casebus_node_close(node);
    receiver_open();
    assert_int_equal(casebus_node_last_confirmed(node, &id), 1);
    assert_int_equal(id.position, 4);
    assert_true(peer.resumed);
    assert_int_equal(peer.subscribed.position, 4);
    seen.last_delivery = 4;
    deliver(6, 4);
    UNTIL(seen.last_delivery == 6);
    assert_int_equal(casebus_node_confirm(node, (struct casebus_delivery_id){6, 0}, &err), 0);
    uint8_t hash[DIGEST_SIZE] = {0};
    delivered_hash(peer.crypter, hash, 3, 0, sample.hash);
    delivered_hash(peer.crypter, hash, 4, 0, sample.hash);
    delivered_hash(peer.crypter, hash, 6, 0, sample.hash);
    UNTIL(peer.confirmed.position == 6);
    assert_memory_equal(peer.confirmed.running_hash, hash, DIGEST_SIZE);
}

/* --- on the caller's loop --- */

static bool closed;

static void on_closed(void *self)
{
    (void)self;
    closed = true;
}

static void test_node_lives_on_the_callers_loop(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    options.loop = &loop;
    node_open();
    publish(100);
    while (casebus_node_pending(node) > 0) {
        uv_run(&loop, UV_RUN_NOWAIT);
        testpeer_work(&peer);
    }
    assert_int_equal(seen.accepted, 100);
    assert_int_equal(casebus_node_run(node, 0, &err), -1);
    closed = false;
    casebus_node_close_async(node, on_closed, NULL);
    node = NULL;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_goodbye_is_said(void **state)
{
    (void)state;
    node_open();
    UNTIL(seen.ready);
    node = casebus_node_close(node);
    for (int i = 0; i < 2000 && !peer.byes; i++) {
        usleep(1000);
        testpeer_work(&peer);
    }
    assert_int_equal(peer.byes, 1);
}

/* --- renewal --- */

static int64_t certificate_ends(void)
{
    struct casebus_node_status status;
    casebus_node_get_status(node, &status);
    return status.certificate_ends;
}

static enum casebus_code renewal_code(void)
{
    struct casebus_node_status status;
    casebus_node_get_status(node, &status);
    return status.renewal_error.code;
}

static void test_a_certificate_that_ends_is_renewed_within_the_session(void **state)
{
    (void)state;
    struct enrolment again;
    peer.renews = true;
    peer.renewed_until = bed.now + 30000000;
    node_open();
    publish(10);
    UNTIL(casebus_node_pending(node) == 0 && certificate_ends() == peer.renewed_until);
    assert_int_equal(peer.hellos, 1);
    assert_int_equal(peer.renewals, 1);
    expect_logged("CERTIFICATE-RENEWED");
    assert_int_equal(enrolment_load(&again, bed.dir, bed.now, &err), 0);
    assert_int_equal(again.certificate_ends, peer.renewed_until);
    enrolment_deinit(&again);
}

static void test_a_hub_that_does_not_offer_renewal_is_not_asked(void **state)
{
    (void)state;
    peer.ping_ms = 100;
    node_open();
    UNTIL(peer.pings > 2);
    assert_int_equal(peer.renewals, 0);
    expect_logged("CERTIFICATE-ENDS");
}

static void test_a_refused_renewal_is_told_and_tried_again(void **state)
{
    (void)state;
    peer.renews = true;
    peer.ping_ms = 100;
    peer.refuse_renew = "CB-NOT-ALLOWED";
    peer.renewed_until = bed.now + 30000000;
    node_open();
    UNTIL(renewal_code() == CASEBUS_NOT_ALLOWED);
    expect_logged("RENEWAL-FAILED");
    peer.refuse_renew = NULL;
    UNTIL(certificate_ends() == peer.renewed_until);
    assert_int_equal(peer.renewals, 2);
    assert_int_equal(peer.hellos, 1);
    assert_int_equal(renewal_code(), CASEBUS_OK);
}

static void test_an_unanswered_renewal_is_told_and_tried_again(void **state)
{
    (void)state;
    peer.renews = peer.renews_not = true;
    peer.ping_ms = 100;
    peer.renewed_until = bed.now + 30000000;
    node_open();
    UNTIL(renewal_code() == CASEBUS_TIMEOUT);
    peer.renews_not = false;
    UNTIL(certificate_ends() == peer.renewed_until);
    assert_int_equal(peer.hellos, 1);
}

static void test_a_certificate_that_is_not_this_node_s_or_not_later_is_not_taken(void **state)
{
    (void)state;
    int64_t before = bed.now + 1000000;
    peer.renews = true;
    peer.ping_ms = 100;
    peer.renew_node = "group-2";
    peer.renewed_until = bed.now + 30000000;
    node_open();
    UNTIL(renewal_code() == CASEBUS_CERTIFICATE);
    assert_int_equal(certificate_ends(), before);
    peer.renew_node = NULL;
    peer.renewed_until = before;
    seen.logged[0] = '\0';
    UNTIL(peer.renewals > 1 && strstr(seen.logged, "does not end later"));
    assert_int_equal(certificate_ends(), before);
    assert_int_equal(seen.stopped, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_events_end_as_accepted_in_order),
        TEST(test_outcomes_are_told_apart),
        TEST(test_small_window_lets_one_batch_go_at_a_time),
        TEST(test_refusal_that_may_pass_is_tried_again_with_the_same_batch),
        TEST(test_final_refusal_ends_each_event_and_the_next_go_on),
        TEST(test_node_that_may_not_publish_stops_and_keeps_its_events),
        TEST(test_conflict_of_numbers_opens_a_new_stream),
        TEST(test_restored_outbox_opens_a_new_stream),
        TEST(test_hub_that_forgot_stops_the_node),
        TEST(test_another_hub_stops_the_node),
        TEST(test_who_has_only_the_transport_key_gets_nothing),
        TEST(test_a_proof_that_was_made_for_another_session_is_none),
        TEST(test_nothing_is_answered_before_the_proof),
        TEST(test_another_version_stops_the_node),
        TEST(test_false_receipt_stops_the_node),
        TEST(test_rewritten_tree_stops_the_node),
        TEST(test_witnesses_word_is_kept),
        TEST(test_tree_that_witnesses_saw_otherwise_stops_the_node),
        TEST(test_tree_that_is_larger_for_witnesses_stops_the_node),
        TEST(test_stranger_is_no_witness),
        TEST(test_policy_of_another_log_is_refused),
        TEST(test_wrong_hub_key_is_backed_off_from),
        TEST(test_second_process_is_told_who_holds_the_directory),
        TEST(test_unusable_endpoint_is_named),
        TEST(test_wrong_clock_is_told),
        TEST(test_goodbye_of_the_hub_is_followed_by_another_session),
        TEST(test_silent_hub_is_left),
        TEST(test_busy_application_does_not_lose_its_session),
        TEST(test_batches_on_the_way_survive_a_reconnection),
        TEST(test_batches_are_the_same_after_a_restart),
        TEST(test_rubbish_from_the_hub_ends_only_the_session),
        TEST(test_deliveries_come_once_and_in_order),
        TEST(test_hole_is_asked_for_again),
        TEST(test_full_sink_gets_the_same_delivery_later),
        TEST(test_altered_part_stops_the_node),
        TEST(test_confirmation_signs_the_running_hash),
        TEST(test_orders_to_destroy_take_their_place_in_what_is_signed),
        TEST(test_answers_take_the_place_of_the_event_in_what_is_signed),
        TEST(test_answers_have_to_answer_something),
        TEST(test_a_retraction_takes_the_place_of_the_event_and_says_of_which),
        TEST(test_delivery_without_content_has_to_say_of_what),
        TEST(test_receiver_resumes_after_what_it_confirmed),
        TEST(test_node_lives_on_the_callers_loop),
        TEST(test_a_certificate_that_ends_is_renewed_within_the_session),
        TEST(test_a_hub_that_does_not_offer_renewal_is_not_asked),
        TEST(test_a_refused_renewal_is_told_and_tried_again),
        TEST(test_an_unanswered_renewal_is_told_and_tried_again),
        TEST(test_a_certificate_that_is_not_this_node_s_or_not_later_is_not_taken),
        TEST(test_goodbye_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
