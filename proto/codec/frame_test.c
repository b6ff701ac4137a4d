/* Frames from hostile peers: cut, flipped, mutated, of unknown kinds. */
#include "proto/codec/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct sample sample;
    struct arena arena;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    sample_init(&f->sample);
    arena_init(&f->arena, 64 * 1024, 16 * 1024 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_deinit(&f->arena);
    sample_deinit(&f->sample);
    free(f);
    return 0;
}

/* All that a receiver does with a frame before it believes anything. The bytes are copied to their own piece
 * of memory, so that a sanitizer sees a read past their end. */
static Casebus__V1__Frame *receive(struct fixture *f, struct bytes frame)
{
    uint8_t *copy = malloc(frame.size ? frame.size : 1);

    assert_non_null(copy);
    memcpy(copy, frame.data, frame.size);
    arena_reset(&f->arena);
    Casebus__V1__Frame__BodyCase peeked = frame_peek(bytes_of(copy, frame.size));
    Casebus__V1__Frame *decoded = frame_decode(bytes_of(copy, frame.size), &f->arena, &f->err);
    if (decoded)
        assert_int_equal(peeked, decoded->body_case);
    else
        assert_true(f->err.code != CASEBUS_OK && f->err.text[0]);
    free(copy);
    return decoded;
}

/* Looks at every event of a frame as the gate does; what comes of it is of no interest here. */
static void examine(struct fixture *f, const Casebus__V1__Frame *frame)
{
    uint8_t digest[DIGEST_SIZE];

    if (!frame || frame->body_case != CASEBUS__V1__FRAME__BODY_PUBLISH || !frame->publish->batch)
        return;
    statement_decode(bytes_of(frame->publish->batch->statement.data, frame->publish->batch->statement.len),
                     &f->arena, &f->err);
    for (size_t i = 0; i < frame->publish->batch->n_event; i++) {
        const Casebus__V1__Event *event = frame->publish->batch->event[i];
        struct bytes bytes = bytes_of(event->header.data, event->header.len);
        Casebus__V1__EventHeader *header = event_header_decode(bytes, &f->arena, &f->err);
        if (header && event_parts_check(f->sample.crypter, header, event, &f->err) == 0 &&
            event_header_digest(f->sample.crypter, bytes, digest, &f->err) == 0)
            event_content_digest(f->sample.crypter, f->sample.random, digest, header, event, digest);
    }
}

static void test_frame_decodes_and_is_told_by_its_first_bytes(void **state)
{
    struct fixture *f = *state;
    struct bytes bytes = sample_frame(&f->sample, 3);
    Casebus__V1__Frame *frame = receive(f, bytes);

    assert_non_null(frame);
    assert_int_equal(frame->publish->batch->n_event, 3);
    assert_string_equal(frame_name(frame_peek(bytes)), "publish");
    assert_string_equal(frame_name(CASEBUS__V1__FRAME__BODY_BYE), "bye");
    assert_string_equal(frame_name(CASEBUS__V1__FRAME__BODY__NOT_SET), "?");
    assert_string_equal(frame_name((Casebus__V1__Frame__BodyCase)31), "?");
}

static void test_every_kind_of_frame_is_known_by_name(void **state)
{
    struct fixture *f = *state;

    for (uint8_t body = 1; body <= 19; body++) {
        if (body == 13)
            body = 17; /* those of the door are not empty: joining_test.c */
        const uint8_t tag = (uint8_t)(body << 3 | 2), bytes[] = {tag, body > 15, 0};
        Casebus__V1__Frame *frame = receive(f, bytes_of(bytes, body > 15 ? 3 : 2));
        assert_non_null(frame);
        assert_int_equal(frame->body_case, body);
        assert_string_not_equal(frame_name(frame->body_case), "?");
    }
}

static void test_frame_without_body_is_malformed(void **state)
{
    struct fixture *f = *state;

    assert_refused(receive(f, bytes_of("", 0)), f->err, CASEBUS_MALFORMED, "without a body");
    assert_refused(receive(f, bytes_of("\xFA\x01\x01x", 4)), f->err, CASEBUS_MALFORMED, "without a body");
}

static void test_frame_of_a_later_version_is_told_from_nonsense(void **state)
{
    struct fixture *f = *state;

    assert_refused(receive(f, bytes_of("\xF2\x01\x00", 3)), f->err, CASEBUS_BAD_VERSION,
                   "a frame of kind 30");
    assert_refused(receive(f, bytes_of("\x52\x00\x52\x00", 4)), f->err, CASEBUS_MALFORMED, "given twice");
    assert_refused(receive(f, bytes_of("\xF2\x01\x00\x52\x00", 5)), f->err, CASEBUS_MALFORMED, "2 bodies");
}

static void test_frame_cut_anywhere_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bytes bytes = sample_frame(&f->sample, 2);
    size_t body_end = bytes.size - 58; /* the trace context stands behind the body and may be missing */

    for (size_t size = 0; size < bytes.size; size++)
        if (size != body_end)
            assert_null(receive(f, bytes_of(bytes.data, size)));
    assert_non_null(receive(f, bytes_of(bytes.data, body_end)));
}

static void test_frame_with_any_bit_flipped_is_survived(void **state)
{
    struct fixture *f = *state;
    struct bytes bytes = sample_frame(&f->sample, 1);
    uint8_t *copy = malloc(bytes.size);

    assert_non_null(copy);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        memcpy(copy, bytes.data, bytes.size);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        examine(f, receive(f, bytes_of(copy, bytes.size)));
    }
    free(copy);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* One to eight changes: a byte written, a piece cut out, doubled or moved. */
static size_t mutate(uint8_t *data, size_t size, size_t room, uint32_t *seed)
{
    for (uint32_t n = 1 + next_random(seed) % 8; n > 0 && size > 8; n--) {
        size_t at = next_random(seed) % (size - 8);
        size_t length = 1 + next_random(seed) % 8;
        switch (next_random(seed) % 4) {
        case 0:
            data[at] = (uint8_t)next_random(seed);
            break;
        case 1:
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
            break;
        case 2:
            if (size + length <= room) {
                memmove(data + at + length, data + at, size - at);
                size += length;
            }
            break;
        default:
            memmove(data + at, data + next_random(seed) % (size - 8), length);
        }
    }
    return size;
}

static void test_ten_thousand_mutations_are_survived(void **state)
{
    struct fixture *f = *state;
    struct bytes bytes = sample_frame(&f->sample, 2);
    size_t room = bytes.size + 64;
    uint8_t *copy = malloc(room);
    uint32_t seed = 20241123;

    assert_non_null(copy);
    for (int i = 0; i < 10000; i++) {
        memcpy(copy, bytes.data, bytes.size);
        size_t size = mutate(copy, bytes.size, room, &seed);
        examine(f, receive(f, bytes_of(copy, size)));
    }
    free(copy);
}

static void test_frame_bombs_are_refused(void **state)
{
    struct fixture *f = *state;
    static uint8_t bomb[FRAME_MAX + 1];

    for (size_t i = 4; i + 1 < FRAME_MAX; i += 2) {
        bomb[i] = 0x0A;
        bomb[i + 1] = 0;
    }
    memcpy(bomb, "\x42\xFC\xFF\x0F", 4); /* a Deliver that fills the frame with empty deliveries */
    assert_refused(receive(f, bytes_of(bomb, FRAME_MAX)), f->err, CASEBUS_TOO_LARGE, "fields");
    assert_refused(receive(f, bytes_of(bomb, FRAME_MAX + 1)), f->err, CASEBUS_TOO_LARGE, "at most 262144");
    assert_int_equal(frame_peek(bytes_of(bomb, FRAME_MAX)), CASEBUS__V1__FRAME__BODY_DELIVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frame_decodes_and_is_told_by_its_first_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_kind_of_frame_is_known_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_without_body_is_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_of_a_later_version_is_told_from_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_cut_anywhere_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_with_any_bit_flipped_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_thousand_mutations_are_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_bombs_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
