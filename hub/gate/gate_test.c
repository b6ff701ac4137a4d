#include "hub/gate/gate_fixture.h"

#include "hub/exchange/tables.h"
#include "proto/codec/event.h"
#include "proto/codec/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = malloc(sizeof(struct gate_fixture));
    gate_fixture_init(*state);
    return 0;
}

static int teardown(void **state)
{
    gate_fixture_deinit(*state);
    free(*state);
    return 0;
}

static const uint8_t slot_key[KEY_SIZE] = {9};

/* The writer's and a later reader's part: wrap, unwrap, open. */
static struct bytes open_item(struct gate_fixture *hub, struct body_seal *seal, size_t index,
                              const Casebus__V1__SealedBody **bodyp)
{
    struct bytes body_bytes, plain;
    uint8_t subject[DIGEST_SIZE];
    memcpy(subject, seal->subject, DIGEST_SIZE);
    assert_int_equal(
        body_wrap(hub->crypter, TEST_ORIGIN, seal, 5, slot_key, &hub->arena, &body_bytes, &hub->err), 0);
    Casebus__V1__SealedBody *body = body_decode(body_bytes, &hub->arena, &hub->err);
    assert_non_null(body);
    assert_int_equal(body_open_item(hub->crypter, TEST_ORIGIN, subject, body, slot_key, index, &hub->arena,
                                    &plain, &hub->err),
                     0);
    if (bodyp)
        *bodyp = body;
    return plain;
}

static void assert_batch_refused(struct gate_fixture *hub, const struct gate_batch *out, struct bytes frame,
                                 enum casebus_code code)
{
    uint8_t hash[DIGEST_SIZE];
    assert_string_equal(casebus_code_text(out->refusal.code), casebus_code_text(code));
    assert_true(out->refusal.text[0] != '\0');
    assert_int_equal(out->n_members, 0);
    crypter_hash1(hub->crypter, frame, hash);
    assert_memory_equal(out->frame_hash, hash, DIGEST_SIZE);
    struct body_seal seal = out->refused_seal;
    assert_memory_equal(seal.subject, hash, DIGEST_SIZE);
    const Casebus__V1__SealedBody *body;
    struct bytes kept = open_item(hub, &seal, 0, &body);
    size_t size = frame.size < FRAME_MAX ? frame.size : FRAME_MAX;
    assert_true(bytes_equal(kept, bytes_of(frame.data, size)));
    assert_int_equal(body->content_digest.len, 0);
}

/* Only member @index of the batch is refused. */
static void assert_member_refused(const struct gate_batch *out, size_t index, enum casebus_code code)
{
    assert_int_equal(out->refusal.code, CASEBUS_OK);
    for (size_t i = 0; i < out->n_members; i++) {
        enum casebus_code expected = i == index ? code : CASEBUS_OK;
        assert_string_equal(
            casebus_code_text(out->members[i].refusal ? out->members[i].refusal->code : CASEBUS_OK),
            casebus_code_text(expected));
        assert_true((out->members[i].event.header != NULL) == (i != index));
    }
}

/* ---- what passes ---- */

static void test_gate_passes_a_signed_batch(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 3, 100);
    struct bytes frame = batch_sign(hub, batch);
    const struct gate_batch *out = gate_ask(hub, frame);
    assert_string_equal(out->refusal.code ? out->refusal.text : "", "");
    assert_int_equal(out->n_members, 3);
    assert_int_equal(out->statement->count, 3);
    uint8_t hash[DIGEST_SIZE];
    statement_hash(hub->crypter, bytes_of(batch->batch.statement.data, batch->batch.statement.len), hash);
    assert_memory_equal(out->statement_hash, hash, DIGEST_SIZE);
    for (size_t i = 0; i < 3; i++) {
        const struct exchange_event *event = &out->members[i].event;
        struct exchange_event expected;
        struct bytes header = bytes_of(batch->events[i].wire.header.data, batch->events[i].wire.header.len);
        assert_null(out->members[i].refusal);
        assert_string_equal(event->header->record_id, batch->events[i].record_id);
        assert_int_equal(exchange_event_init(&expected, hub->crypter, hub->content_key, event->header, header,
                                             event->content_digest, &hub->arena, &hub->err),
                         0);
        assert_memory_equal(event, &expected, sizeof expected);
    }
}

static void test_gate_seals_header_and_parts(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 101);
    const struct gate_batch *out = gate_ask(hub, batch_sign(hub, batch));
    const struct test_event *event = &batch->events[1];
    const Casebus__V1__SealedBody *body;
    for (size_t item = 0; item <= 2; item++) {
        struct body_seal seal = out->members[1].seal;
        struct bytes plain = open_item(hub, &seal, item, &body);
        assert_int_equal(body->n_item, 3);
        assert_memory_equal(body->content_digest.data, out->members[1].event.content_digest, DIGEST_SIZE);
        if (item == 0) {
            assert_true(bytes_equal(plain, bytes_of(event->wire.header.data, event->wire.header.len)));
            continue;
        }
        const Casebus__V1__Part *part = &event->parts[item - 1];
        assert_int_equal(plain.size, SALT_SIZE + part->content.len);
        assert_memory_equal(plain.data, event->salts[item - 1], SALT_SIZE);
        assert_memory_equal(plain.data + SALT_SIZE, part->content.data, part->content.len);
    }
}

static enum casebus_code refusal_of(struct gate_fixture *hub, const char *handler, const char *form)
{
    struct test_batch *batch = batch_make(hub, 2, 100);
    struct test_event *event = &batch->events[1];
    event->header.handler = (char *)(uintptr_t)handler;
    if (form)
        event->parts[0].content = (ProtobufCBinaryData){strlen(form), (uint8_t *)(uintptr_t)form};
    event_commit(hub, event);
    const struct gate_batch *out = gate_ask(hub, batch_sign(hub, batch));
    assert_int_equal(out->refusal.code, CASEBUS_OK);
    assert_null(out->members[0].refusal); /* its neighbour goes on */
    return out->members[1].refusal ? out->members[1].refusal->code : CASEBUS_OK;
}

static void test_gate_refuses_what_is_marked_as_a_state_secret(void **state)
{
    struct gate_fixture *hub = *state;
    assert_int_equal(refusal_of(hub, "window 秘密★10年", NULL), CASEBUS_CLASSIFIED);
    assert_int_equal(refusal_of(hub, "window", "批复 机密★"), CASEBUS_CLASSIFIED);
    assert_int_equal(refusal_of(hub, "window", "绝密★长期"), CASEBUS_CLASSIFIED);
    /* The words alone are ordinary Chinese. */
    assert_int_equal(refusal_of(hub, "保密科", "密★ 秘密会议 机密档案室 ★★★"), CASEBUS_OK);
}

static void test_gate_tells_a_resent_record_by_its_content(void **state)
{
    struct gate_fixture *hub = *state;
    uint8_t digests[3][DIGEST_SIZE], hashes[3][DIGEST_SIZE];
    for (size_t i = 0; i < 3; i++) {
        struct test_batch *batch =
            batch_make(hub, 1, i == 2 ? 90 : 100); /* other randoms and salts each time */
        const struct gate_batch *out = gate_ask(hub, batch_sign(hub, batch));
        memcpy(digests[i], out->members[0].event.content_digest, DIGEST_SIZE);
        memcpy(hashes[i], out->members[0].event.event_hash, DIGEST_SIZE);
    }
    assert_memory_equal(digests[0], digests[1], DIGEST_SIZE);
    assert_memory_not_equal(digests[0], digests[2], DIGEST_SIZE);
    assert_memory_not_equal(hashes[0], hashes[1], DIGEST_SIZE);
}

static void test_gate_lets_the_frame_go(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 100);
    struct bytes frame = batch_sign(hub, batch);
    uint8_t *copy = malloc(frame.size);
    assert_non_null(copy);
    memcpy(copy, frame.data, frame.size);
    const struct gate_batch *out = gate_ask(hub, bytes_of(copy, frame.size));
    memset(copy, 0, frame.size);
    free(copy);
    assert_int_equal(out->refusal.code, CASEBUS_OK);
    assert_string_equal(out->members[1].event.header->record_id, "row-1");
    assert_memory_equal(out->members[1].wire->header.data, batch->events[1].wire.header.data,
                        batch->events[1].wire.header.len);
}

static void test_gate_batch_is_used_again(void **state)
{
    struct gate_fixture *hub = *state;
    for (size_t round = 0; round < 4; round++) {
        struct test_batch *batch = batch_make(hub, round % 2 ? 256 : 2, 100);
        struct bytes frame = batch_sign(hub, batch);
        assert_int_equal(gate_ask(hub, frame)->refusal.code, CASEBUS_OK);
        assert_int_equal(hub->out.n_members, batch->n);
        assert_int_equal(gate_ask(hub, bytes_of(frame.data, frame.size - 1))->n_members, 0);
        assert_true(hub->out.refusal.code != CASEBUS_OK);
    }
}

static void test_gate_takes_a_full_batch_and_a_large_event(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *full = batch_make(hub, BATCH_MAX_EVENTS, 200);
    assert_int_equal(gate_ask(hub, batch_sign(hub, full))->refusal.code, CASEBUS_OK);
    assert_int_equal(hub->out.n_members, BATCH_MAX_EVENTS);
    struct test_batch *large = batch_make(hub, 1, 2 * PART_MAX);
    assert_int_equal(gate_ask(hub, batch_sign(hub, large))->refusal.code, CASEBUS_OK);
    assert_member_refused(&hub->out, 1, CASEBUS_OK);
}

/* ---- faults of the batch ---- */

static void test_gate_refuses_a_stranger(void **state)
{
    struct gate_fixture *hub = *state;
    struct bytes frame = batch_sign(hub, batch_make(hub, 1, 10));
    gate_check(hub->gate, NULL, frame, TEST_NOW_S * 1000000, &hub->out);
    assert_batch_refused(hub, &hub->out, frame, CASEBUS_UNKNOWN_NODE);
    assert_non_null(hub->out.statement); /* the answer can say which batch */
}

static void test_gate_refuses_who_may_not_publish(void **state)
{
    struct gate_fixture *hub = *state;
    struct bytes frame = batch_sign(hub, batch_make(hub, 1, 10));
    gate_check(hub->gate, registry_find(hub->registry, "office"), frame, TEST_NOW_S * 1000000, &hub->out);
    assert_batch_refused(hub, &hub->out, frame, CASEBUS_NOT_ALLOWED);
}

static void test_gate_refuses_an_ended_certificate(void **state)
{
    struct gate_fixture *hub = *state;
    const struct registry_node *desk = registry_find(hub->registry, "desk");
    struct bytes frame = batch_sign(hub, batch_make(hub, 1, 10));
    gate_check(hub->gate, desk, frame, (TEST_NOW_S + 1001) * 1000000, &hub->out);
    assert_batch_refused(hub, &hub->out, frame, CASEBUS_CERTIFICATE);
    gate_check(hub->gate, desk, frame, (TEST_NOW_S - 1001) * 1000000, &hub->out);
    assert_batch_refused(hub, &hub->out, frame, CASEBUS_CERTIFICATE);
}

static void test_gate_refuses_what_is_no_batch(void **state)
{
    struct gate_fixture *hub = *state;
    static const uint8_t rubbish[] = {0xFF, 0x01, 0x02};
    struct bytes frame = bytes_of(rubbish, sizeof rubbish);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_MALFORMED);
    assert_null(hub->out.statement);
    assert_batch_refused(hub, gate_ask(hub, bytes_of(rubbish, 0)), bytes_of(rubbish, 0), CASEBUS_MALFORMED);

    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    Casebus__V1__Publish empty = CASEBUS__V1__PUBLISH__INIT;
    Casebus__V1__Frame message = CASEBUS__V1__FRAME__INIT;
    message.body_case = CASEBUS__V1__FRAME__BODY_PING;
    message.ping = &ping;
    frame = codec_pack(&message, &hub->arena);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_MALFORMED);
    message.body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    message.publish = &empty;
    frame = codec_pack(&message, &hub->arena);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_MALFORMED);
}

static void test_gate_refuses_a_frame_past_the_bound(void **state)
{
    struct gate_fixture *hub = *state;
    static uint8_t huge[FRAME_MAX + 1];
    struct bytes frame = bytes_of(huge, sizeof huge);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_TOO_LARGE);
}

static void test_gate_refuses_every_cut_frame(void **state)
{
    struct gate_fixture *hub = *state;
    struct bytes frame = batch_sign(hub, batch_make(hub, 2, 20));
    for (size_t size = 0; size < frame.size; size++)
        assert_true(gate_ask(hub, bytes_of(frame.data, size))->refusal.code != CASEBUS_OK);
}

static void test_gate_survives_every_flipped_bit(void **state)
{
    struct gate_fixture *hub = *state;
    struct bytes frame = batch_sign(hub, batch_make(hub, 1, 20));
    uint8_t *bent = malloc(frame.size);
    assert_non_null(bent);
    for (size_t bit = 0; bit < 8 * frame.size; bit++) {
        memcpy(bent, frame.data, frame.size);
        bent[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const struct gate_batch *out = gate_ask(hub, bytes_of(bent, frame.size));
        /* a bit of a salt or a content is not signed; the commitment finds it */
        if (out->refusal.code == CASEBUS_OK)
            assert_non_null(out->members[0].refusal);
    }
    free(bent);
}

static void test_gate_refuses_a_batch_for_another_hub(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch->statement.origin = (char *)(uintptr_t) "js.example/exchange/2";
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_HUB_IDENTITY);
}

static void test_gate_refuses_a_batch_of_another_node(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch->statement.node = (char *)(uintptr_t) "office";
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_NOT_ALLOWED);
}

static void test_gate_refuses_another_key(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch->key_id[0] ^= 1;
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_KEY);
}

static void test_gate_refuses_another_suite(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch->statement.suite = CASEBUS__V1__SUITE__SUITE_GM;
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_BAD_VERSION);
}

static void test_gate_refuses_a_bad_statement(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch->statement.stream = 0;
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_MISSING_FIELD);
}

static void test_gate_refuses_a_wrong_signature(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    batch_sign(hub, batch);
    batch->signature[3] ^= 1;
    struct bytes frame = batch_pack(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_SIGNATURE);
    batch->batch.signature.len = SIGNATURE_SIZE - 1;
    frame = batch_pack(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_SIGNATURE);
}

static void test_gate_refuses_events_that_were_not_signed(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch_sign(hub, batch);
    batch->events[1].header.occurred_at_us++;
    event_commit(hub, &batch->events[1]);
    struct bytes frame = batch_pack(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_SIGNATURE);
}

static void test_gate_refuses_another_number_of_events(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch->statement.count = 3;
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_MALFORMED);
    batch->statement.count = BATCH_MAX_EVENTS + 1;
    frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_TOO_LARGE);
}

static void test_gate_refuses_a_batch_past_its_size(void **state)
{
    struct gate_fixture *hub = *state;
    struct bytes frame = batch_sign(hub, batch_make(hub, 2, 40 * 1024));
    assert_int_equal(gate_ask(hub, frame)->refusal.code, CASEBUS_OK);
    frame = batch_sign(hub, batch_make(hub, 2, 80 * 1024));
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_TOO_LARGE);
}

static void test_gate_refuses_an_event_of_too_many_parts(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 1, 10);
    Casebus__V1__Part *parts[PARTS_MAX + 1];
    for (size_t i = 0; i <= PARTS_MAX; i++)
        parts[i] = &batch->events[0].parts[0];
    batch->events[0].wire.n_part = PARTS_MAX + 1;
    batch->events[0].wire.part = parts;
    struct bytes frame = batch_sign(hub, batch);
    assert_batch_refused(hub, gate_ask(hub, frame), frame, CASEBUS_TOO_LARGE);
}

/* ---- faults of one event ---- */

static void test_gate_refuses_one_event_and_takes_its_neighbours(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 3, 10);
    batch->events[1].header.case_number = (char *)(uintptr_t) "";
    event_commit(hub, &batch->events[1]);
    struct bytes frame = batch_sign(hub, batch);
    const struct gate_batch *out = gate_ask(hub, frame);
    assert_member_refused(out, 1, CASEBUS_MISSING_FIELD);
    uint8_t hash[DIGEST_SIZE];
    struct bytes header = bytes_of(batch->events[1].wire.header.data, batch->events[1].wire.header.len);
    event_hash(hub->crypter, header, hash);
    assert_memory_equal(out->members[1].event.event_hash, hash, DIGEST_SIZE);
    struct body_seal seal = out->members[1].seal;
    const Casebus__V1__SealedBody *body;
    assert_true(bytes_equal(open_item(hub, &seal, 0, &body), header));
    assert_int_equal(body->n_item, 3);
    assert_int_equal(body->content_digest.len, DIGEST_SIZE);
    assert_memory_equal(body->content_digest.data, out->members[1].event.content_digest, DIGEST_SIZE);
}

static void test_gate_tells_what_it_refuses_when_it_is_sent_again(void **state)
{
    struct gate_fixture *hub = *state;
    uint8_t first[3][DIGEST_SIZE];
    for (unsigned round = 0; round < 2; round++) {
        struct test_batch *batch = batch_make(hub, 3, 10);
        batch->events[1].header.case_number = (char *)(uintptr_t) "";
        for (size_t i = 0; i < 3; i++) { /* what is random in it is another each time */
            memset(batch->events[i].random, 1 + (int)round, RANDOM_SIZE);
            memset(batch->events[i].salts, 7 + (int)round, sizeof batch->events[i].salts);
            event_commit(hub, &batch->events[i]);
        }
        batch_sign(hub, batch);
        const struct gate_batch *out = gate_ask(hub, batch_pack(hub, batch));
        for (size_t i = 0; i < 3; i++) {
            if (round)
                assert_memory_equal(out->members[i].event.content_digest, first[i], DIGEST_SIZE);
            memcpy(first[i], out->members[i].event.content_digest, DIGEST_SIZE);
        }
        batch->signature[3] ^= 1; /* as a whole the same */
        out = gate_ask(hub, batch_pack(hub, batch));
        assert_int_equal(out->refused_seal.n_member_digests, 3);
        for (size_t i = 0; i < 3; i++)
            assert_memory_equal(out->refused_seal.member_digests[i], first[i], DIGEST_SIZE);
    }
    assert_memory_not_equal(first[0], first[1], DIGEST_SIZE);
    assert_memory_not_equal(first[1], first[2], DIGEST_SIZE);
}

static void test_gate_refuses_a_header_that_cannot_be_read(void **state)
{
    struct gate_fixture *hub = *state;
    static uint8_t rubbish[] = {0x07, 0x07};
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch->events[0].wire.header = (ProtobufCBinaryData){sizeof rubbish, rubbish};
    struct bytes frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 0, CASEBUS_MALFORMED);
    batch->events[0].wire.header.len = 0;
    frame = batch_sign(hub, batch);
    const struct gate_batch *out = gate_ask(hub, frame);
    assert_non_null(out->members[0].refusal);
    assert_int_equal(out->members[0].seal.n_items, 3);
}

static void test_gate_refuses_a_part_that_was_not_committed(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch->events[1].salts[0][0] ^= 1;
    struct bytes frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 1, CASEBUS_COMMITMENT);
    batch->events[1].salts[0][0] ^= 1;
    batch->events[1].wire.n_part = 1;
    frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 1, CASEBUS_COMMITMENT);
}

static void test_gate_refuses_a_header_past_its_size(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    char code[HEADER_MAX + 1];
    memset(code, 'c', sizeof code);
    code[HEADER_MAX] = 0;
    batch->events[0].header.source_code = code;
    event_commit(hub, &batch->events[0]);
    struct bytes frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 0, CASEBUS_TOO_LARGE);
}

static void test_gate_refuses_a_bad_value(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch->events[0].header.area = (char *)(uintptr_t) "Nanjing";
    event_commit(hub, &batch->events[0]);
    struct bytes frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 0, CASEBUS_BAD_FIELD);
}

static void test_gate_refuses_text_that_is_no_text(void **state)
{
    struct gate_fixture *hub = *state;
    struct test_batch *batch = batch_make(hub, 2, 10);
    batch->events[0].header.handler = (char *)(uintptr_t) "\xC0\x80";
    event_commit(hub, &batch->events[0]);
    struct bytes frame = batch_sign(hub, batch);
    assert_member_refused(gate_ask(hub, frame), 0, CASEBUS_TEXT);
}

#define GATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GATE_TEST(test_gate_passes_a_signed_batch),
        GATE_TEST(test_gate_seals_header_and_parts),
        GATE_TEST(test_gate_refuses_what_is_marked_as_a_state_secret),
        GATE_TEST(test_gate_tells_a_resent_record_by_its_content),
        GATE_TEST(test_gate_lets_the_frame_go),
        GATE_TEST(test_gate_batch_is_used_again),
        GATE_TEST(test_gate_takes_a_full_batch_and_a_large_event),
        GATE_TEST(test_gate_refuses_a_stranger),
        GATE_TEST(test_gate_refuses_who_may_not_publish),
        GATE_TEST(test_gate_refuses_an_ended_certificate),
        GATE_TEST(test_gate_refuses_what_is_no_batch),
        GATE_TEST(test_gate_refuses_a_frame_past_the_bound),
        GATE_TEST(test_gate_refuses_every_cut_frame),
        GATE_TEST(test_gate_survives_every_flipped_bit),
        GATE_TEST(test_gate_refuses_a_batch_for_another_hub),
        GATE_TEST(test_gate_refuses_a_batch_of_another_node),
        GATE_TEST(test_gate_refuses_another_key),
        GATE_TEST(test_gate_refuses_another_suite),
        GATE_TEST(test_gate_refuses_a_bad_statement),
        GATE_TEST(test_gate_refuses_a_wrong_signature),
        GATE_TEST(test_gate_refuses_events_that_were_not_signed),
        GATE_TEST(test_gate_refuses_another_number_of_events),
        GATE_TEST(test_gate_refuses_a_batch_past_its_size),
        GATE_TEST(test_gate_refuses_an_event_of_too_many_parts),
        GATE_TEST(test_gate_refuses_one_event_and_takes_its_neighbours),
        GATE_TEST(test_gate_tells_what_it_refuses_when_it_is_sent_again),
        GATE_TEST(test_gate_refuses_a_header_that_cannot_be_read),
        GATE_TEST(test_gate_refuses_a_part_that_was_not_committed),
        GATE_TEST(test_gate_refuses_a_header_past_its_size),
        GATE_TEST(test_gate_refuses_a_bad_value),
        GATE_TEST(test_gate_refuses_text_that_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
