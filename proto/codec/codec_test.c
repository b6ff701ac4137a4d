/* What strangers may send, and what they may not. Messages are written out as bytes where the claim is about
 * them.
 */
#include "proto/codec/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARENA_MAX (16 * 1024 * 1024)

static const struct codec_limits wide = {.max_size = FRAME_MAX, .max_fields = 4096, .max_depth = 8};

struct fixture {
    struct arena arena;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    arena_init(&f->arena, 4096, ARENA_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_deinit(&f->arena);
    free(f);
    return 0;
}

#define unpack_hex(f, descriptor, ...)                                                                       \
    codec_unpack(descriptor,                                                                                 \
                 bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})), &wide,    \
                 &(f)->arena, &(f)->err)

static void test_message_comes_back_as_it_was_packed(void **state)
{
    struct fixture *f = *state;
    struct sample sample;

    sample_init(&sample);
    struct bytes packed = sample_pack(&sample);
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__event_header__descriptor, packed, &wide, &f->arena, &f->err);
    assert_non_null(message);
    assert_true(bytes_equal(codec_pack(message, &f->arena), packed));
    sample_deinit(&sample);
}

static void test_empty_bytes_are_an_empty_message(void **state)
{
    struct fixture *f = *state;

    assert_non_null(
        codec_unpack(&casebus__v1__text__descriptor, bytes_of(NULL, 0), &wide, &f->arena, &f->err));
    Casebus__V1__Text empty = CASEBUS__V1__TEXT__INIT;
    struct bytes packed = codec_pack(&empty, &f->arena);
    assert_non_null(packed.data);
    assert_int_equal(packed.size, 0);
}

static void test_singular_field_given_twice_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x08, 1, 0x08, 1), f->err,
                   CASEBUS_MALFORMED, "Limit.amount is given twice");
}

static void test_second_member_of_a_oneof_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_refused(unpack_hex(f, &casebus__v1__frame__descriptor, 0x52, 0, 0x5A, 0), f->err,
                   CASEBUS_MALFORMED, "Frame.pong is given twice");
}

static void test_fields_may_come_in_any_order(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__Limit *limit =
        (Casebus__V1__Limit *)unpack_hex(f, &casebus__v1__limit__descriptor, 0x12, 1, 'D', 0x08, 7);

    assert_non_null(limit);
    assert_int_equal(limit->amount, 7);
    assert_string_equal(limit->unit, "D");
}

static void test_repeated_numbers_may_be_packed_or_not(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__Grants *grants =
        (Casebus__V1__Grants *)unpack_hex(f, &casebus__v1__grants__descriptor, 0x1A, 2, 1, 2, 0x18, 3);

    assert_non_null(grants);
    assert_int_equal(grants->n_receive_part_kind, 3);
    assert_int_equal(grants->receive_part_kind[2], 3);
    assert_refused(unpack_hex(f, &casebus__v1__grants__descriptor, 0x1A, 2, 1, 0x80), f->err,
                   CASEBUS_MALFORMED, "Grants.receive_part_kind: the bytes end inside this field");
}

static void test_numbers_have_one_form(void **state)
{
    struct fixture *f = *state;
    const ProtobufCMessageDescriptor *limit = &casebus__v1__limit__descriptor;

    assert_refused(unpack_hex(f, limit, 0x08, 0x81, 0x00), f->err, CASEBUS_MALFORMED, "shortest form");
    assert_refused(unpack_hex(f, limit, 0x88, 0x00, 0x01), f->err, CASEBUS_MALFORMED, "shortest form");
    assert_refused(unpack_hex(f, limit, 0x12, 0x81, 0x00, 'D'), f->err, CASEBUS_MALFORMED, "Limit.unit");
    assert_refused(unpack_hex(f, limit, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2), f->err,
                   CASEBUS_MALFORMED, "more than 64 bits");
    assert_refused(unpack_hex(f, limit, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1), f->err,
                   CASEBUS_MALFORMED, "more than 64 bits");
    assert_refused(unpack_hex(f, limit, 0x08, 255, 255), f->err, CASEBUS_MALFORMED, "Limit.amount");
}

static void test_numbers_fit_their_field(void **state)
{
    struct fixture *f = *state;

    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x08, 0x80, 0x80, 0x80, 0x80, 0x10), f->err,
                   CASEBUS_MALFORMED, "Limit.amount: the number is too large");
    assert_refused(unpack_hex(f, &casebus__v1__grants__descriptor, 0x08, 2), f->err, CASEBUS_MALFORMED,
                   "Grants.publish: the number is too large");
    assert_refused(
        unpack_hex(f, &casebus__v1__batch_statement__descriptor, 0x10, 0x80, 0x80, 0x80, 0x80, 0x08), f->err,
        CASEBUS_MALFORMED, "BatchStatement.suite: the number is too large");
    assert_non_null(unpack_hex(f, &casebus__v1__batch_statement__descriptor, 0x10, 255, 255, 255, 255, 255,
                               255, 255, 255, 255, 1));
}

static void test_groups_and_strange_tags_are_refused(void **state)
{
    struct fixture *f = *state;
    const ProtobufCMessageDescriptor *limit = &casebus__v1__limit__descriptor;

    for (uint8_t type = 0; type < 8; type++) {
        f->err.code = CASEBUS_OK;
        bool skipped = type == 0 || type == 1 || type == 2 || type == 5;
        /* field 9 is unknown here; its value is 0 in every type that exists */
        ProtobufCMessage *message =
            codec_unpack(limit,
                         bytes_of((const uint8_t[9]){(uint8_t)(9 << 3 | type)}, type == 1   ? 9
                                                                                : type == 5 ? 5
                                                                                            : 2),
                         &wide, &f->arena, &f->err);
        if (skipped)
            assert_non_null(message);
        else
            assert_refused(message, f->err, CASEBUS_MALFORMED, "no such field number or wire type");
    }
    assert_refused(unpack_hex(f, limit, 0x00, 0x00), f->err, CASEBUS_MALFORMED, "no such field number");
    assert_refused(unpack_hex(f, limit, 0xF8, 0xFF, 0xFF, 0xFF, 0x1F, 0), f->err, CASEBUS_MALFORMED,
                   "no such field number");
}

static void test_wrong_wire_type_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x0A, 0), f->err, CASEBUS_MALFORMED,
                   "Limit.amount: the wire type 2 does not fit");
    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x10, 0), f->err, CASEBUS_MALFORMED,
                   "Limit.unit: the wire type 0 does not fit");
}

static void test_length_past_the_end_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x12, 2, 'D'), f->err, CASEBUS_MALFORMED,
                   "the bytes end inside this field");
    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x12, 255, 255, 255, 255, 255, 255, 255,
                              255, 255, 1, 'D'),
                   f->err, CASEBUS_MALFORMED, "the bytes end inside this field");
    assert_refused(unpack_hex(f, &casebus__v1__ping__descriptor, 0x09, 1, 2, 3, 4, 5, 6, 7), f->err,
                   CASEBUS_MALFORMED, "Ping.token");
}

static void test_unknown_fields_are_walked_and_not_kept(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__Frame *frame = (Casebus__V1__Frame *)unpack_hex(f, &casebus__v1__frame__descriptor, 0x52, 2,
                                                                 0x78, 5, 0xFA, 0x07, 3, 'a', 'b', 'c');

    assert_non_null(frame);
    assert_int_equal(frame->base.n_unknown_fields, 0);
    assert_int_equal(frame->ping->base.n_unknown_fields, 0);
    assert_int_equal(codec_pack(frame, &f->arena).size, 2);
}

static void test_text_is_utf8_without_nul(void **state)
{
    struct fixture *f = *state;
    uint8_t message[2 + 40] = {0x12, 40};

    /* one bad byte anywhere in a text: NUL, a lone continuation, an overlong form */
    for (size_t at = 0; at < 40; at++)
        for (size_t bad = 0; bad < 3; bad++) {
            memset(message + 2, 'x', 40);
            message[2 + at] = (const uint8_t[]){0x00, 0x80, 0xC0}[bad];
            assert_refused(codec_unpack(&casebus__v1__limit__descriptor, bytes_of(message, sizeof message),
                                        &wide, &f->arena, &f->err),
                           f->err, CASEBUS_TEXT, "Limit.unit is not valid UTF-8");
        }
    for (size_t at = 0; at < 38; at++) {
        memset(message + 2, 'x', 40);
        memcpy(message + 2 + at, "窗", 3);
        assert_non_null(codec_unpack(&casebus__v1__limit__descriptor, bytes_of(message, sizeof message),
                                     &wide, &f->arena, &f->err));
    }
    assert_refused(unpack_hex(f, &casebus__v1__limit__descriptor, 0x12, 4, 0xB4, 0xB0, 0xBF, 0xDA), f->err,
                   CASEBUS_TEXT, "Limit.unit");
    assert_non_null(strstr(f->err.hint, "GB18030"));
}

static void test_too_large_message_is_refused(void **state)
{
    struct fixture *f = *state;
    static uint8_t many[FRAME_MAX + 1];

    assert_refused(
        codec_unpack(&casebus__v1__frame__descriptor, bytes_of(many, sizeof many), &wide, &f->arena, &f->err),
        f->err, CASEBUS_TOO_LARGE, "at most 262144");
}

static void test_field_bomb_is_refused_before_it_costs_memory(void **state)
{
    struct fixture *f = *state;
    static uint8_t bomb[FRAME_MAX];

    for (size_t i = 0; i < sizeof bomb; i += 2) { /* 131,072 empty deliveries */
        bomb[i] = 0x0A;
        bomb[i + 1] = 0;
    }
    assert_refused(codec_unpack(&casebus__v1__deliver__descriptor, bytes_of(bomb, sizeof bomb), &wide,
                                &f->arena, &f->err),
                   f->err, CASEBUS_TOO_LARGE, "Deliver: more than 4096 fields");
    assert_int_equal(f->arena.used, 0);
    bomb[0] = 0x1A; /* and as packed numbers */
    bomb[1] = 0xFD;
    bomb[2] = 0xFF;
    bomb[3] = 0x0F;
    assert_refused(codec_unpack(&casebus__v1__grants__descriptor, bytes_of(bomb, 4 + 0x3FFFD - 1), &wide,
                                &f->arena, &f->err),
                   f->err, CASEBUS_MALFORMED, "end inside");
    memset(bomb + 4, 1, sizeof bomb - 4);
    bomb[1] = 0xFC;
    assert_refused(codec_unpack(&casebus__v1__grants__descriptor, bytes_of(bomb, sizeof bomb), &wide,
                                &f->arena, &f->err),
                   f->err, CASEBUS_TOO_LARGE, "Grants: more than 4096 fields");
    for (size_t i = 0; i < sizeof bomb; i += 2) { /* unknown fields count as well */
        bomb[i] = 0x78;
        bomb[i + 1] = 0;
    }
    assert_refused(
        codec_unpack(&casebus__v1__text__descriptor, bytes_of(bomb, sizeof bomb), &wide, &f->arena, &f->err),
        f->err, CASEBUS_TOO_LARGE, "Text: more than 4096 fields");
    assert_int_equal(f->arena.used, 0);
}

static void test_nesting_is_bounded(void **state)
{
    struct fixture *f = *state;
    const struct codec_limits flat = {.max_size = 100, .max_fields = 100, .max_depth = 2};
    const uint8_t deep[] = {0x1A, 4, 0x0A, 2, 0x1A, 0}; /* frame, publish, batch, event */

    assert_refused(
        codec_unpack(&casebus__v1__frame__descriptor, bytes_of(deep, sizeof deep), &flat, &f->arena, &f->err),
        f->err, CASEBUS_TOO_LARGE, "nested deeper than 2");
    assert_non_null(codec_unpack(&casebus__v1__frame__descriptor, bytes_of(deep, sizeof deep), &wide,
                                 &f->arena, &f->err));
}

static void test_every_failing_allocation_is_survived(void **state)
{
    struct fixture *f = *state;
    struct sample sample;
    size_t max = 0;

    sample_init(&sample);
    struct bytes frame = sample_frame(&sample, 40); /* enough to make protobuf-c ask for its own tables */
    for (ProtobufCMessage *message = NULL; !message; max += 97) {
        struct arena small;
        arena_init(&small, 512, max);
        message = codec_unpack(&casebus__v1__frame__descriptor, frame, &wide, &small, &f->err);
        if (!message)
            assert_int_equal(f->err.code, CASEBUS_NO_MEMORY);
        arena_deinit(&small);
    }
    struct arena none;
    arena_init(&none, 512, 10);
    assert_null(codec_pack(&sample.header, &none).data);
    arena_deinit(&none);
    sample_deinit(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_message_comes_back_as_it_was_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_bytes_are_an_empty_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_singular_field_given_twice_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_member_of_a_oneof_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_may_come_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeated_numbers_may_be_packed_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_have_one_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_fit_their_field, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups_and_strange_tags_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_wire_type_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_length_past_the_end_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_fields_are_walked_and_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_is_utf8_without_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_message_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_field_bomb_is_refused_before_it_costs_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nesting_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_failing_allocation_is_survived, setup, teardown),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
