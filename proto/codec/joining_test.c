/* Frames of the door: their form, and that a MAC holds for one message of one conversation alone. */
#include "proto/codec/joining.h"

#include "proto/codec/frame.h"
#include "proto/crypto/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct joining joining;
    uint8_t bytes[64];
    Casebus__V1__JoinRequest request;
    Casebus__V1__JoinAnswer answer;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    arena_init(&f.arena, 4096, 64 * 1024);
    random_bytes(&f.joining, sizeof f.joining);
    random_bytes(f.bytes, sizeof f.bytes);
    casebus__v1__join_request__init(&f.request);
    casebus__v1__join_answer__init(&f.answer);
    f.request.statement = (ProtobufCBinaryData){16, f.bytes};
    f.request.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, f.bytes};
    f.answer.state = CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_deinit(&f->arena);
    return 0;
}

static bool decodes(struct fixture *f, Casebus__V1__Frame__BodyCase body, void *message,
                    struct casebus_error *err)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = body;
    frame.join = message;
    return frame_decode(codec_pack(&frame, &f->arena), &f->arena, err);
}

static void test_frames_of_the_wrong_form_are_refused(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    Casebus__V1__Join join = CASEBUS__V1__JOIN__INIT;
    join.version = 1;
    join.invitation = (ProtobufCBinaryData){INVITATION_SIZE, f->bytes};
    join.nonce = (ProtobufCBinaryData){JOIN_NONCE, f->bytes};
    assert_true(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN, &join, &err));
    join.nonce.len = JOIN_NONCE - 1;
    assert_false(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN, &join, &err));
    assert_int_equal(err.code, CASEBUS_BAD_FIELD);
    join.nonce.len = JOIN_NONCE;
    join.version = 2;
    assert_false(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN, &join, &err));
    assert_int_equal(err.code, CASEBUS_BAD_VERSION);

    f->request.mac = (ProtobufCBinaryData){DIGEST_SIZE, f->bytes};
    assert_true(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &f->request, &err));
    f->request.statement.len = 0;
    assert_false(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, &f->request, &err));

    f->answer.mac = (ProtobufCBinaryData){DIGEST_SIZE, f->bytes};
    assert_true(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &f->answer, &err));
    f->answer.certificate = (ProtobufCBinaryData){8, f->bytes};
    assert_false(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &f->answer, &err));
    f->answer.state = CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED;
    assert_true(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &f->answer, &err));
    f->answer.state = 99;
    assert_false(decodes(f, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &f->answer, &err));
}

static void request_mac(struct fixture *f, struct bytes offer, uint8_t mac[DIGEST_SIZE])
{
    joining_mac_request(&f->joining, offer, &f->request, mac);
}

static void test_a_request_altered_in_any_field_has_another_mac(void **state)
{
    struct fixture *f = *state;
    uint8_t mac[DIGEST_SIZE], other[DIGEST_SIZE];
    struct bytes offer = bytes_of(f->bytes + 20, 20);
    request_mac(f, offer, mac);
    request_mac(f, bytes_of(f->bytes + 20, 19), other);
    assert_false(joining_is(other, (ProtobufCBinaryData){DIGEST_SIZE, mac}));
    f->request.kept = true;
    request_mac(f, offer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
    f->request.kept = false;
    f->request.statement.len = 15;
    request_mac(f, offer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
    f->request.statement.len = 16;
    uint8_t signature[SIGNATURE_SIZE];
    memcpy(signature, f->bytes, sizeof signature);
    signature[63] ^= 1;
    f->request.signature.data = signature;
    request_mac(f, offer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
    f->request.signature.data = f->bytes;
    request_mac(f, offer, other);
    assert_true(joining_is(other, (ProtobufCBinaryData){DIGEST_SIZE, mac}));
    uint8_t *places[] = {f->joining.key, f->joining.node_nonce, f->joining.hub_nonce};
    for (size_t i = 0; i < 3; i++) {
        places[i][7] ^= 1;
        request_mac(f, offer, other);
        assert_memory_not_equal(mac, other, DIGEST_SIZE);
        places[i][7] ^= 1;
    }
    assert_false(joining_is(mac, (ProtobufCBinaryData){0, NULL}));
    assert_false(joining_is(mac, (ProtobufCBinaryData){DIGEST_SIZE - 1, mac}));
}

static void test_an_answer_altered_in_any_field_has_another_mac(void **state)
{
    struct fixture *f = *state;
    uint8_t mac[DIGEST_SIZE], other[DIGEST_SIZE];
    joining_mac_answer(&f->joining, &f->answer, mac);
    f->answer.state = CASEBUS__V1__JOIN_STATE__JOIN_STATE_USED;
    joining_mac_answer(&f->joining, &f->answer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
    f->answer.state = CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING;
    f->answer.words = (char *)(uintptr_t) "x";
    joining_mac_answer(&f->joining, &f->answer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
    f->answer.words = (char *)(uintptr_t) "";
    f->answer.certificate = (ProtobufCBinaryData){8, f->bytes};
    joining_mac_answer(&f->joining, &f->answer, other);
    assert_memory_not_equal(mac, other, DIGEST_SIZE);
}

static void test_one_message_s_mac_is_none_of_another(void **state)
{
    struct fixture *f = *state;
    uint8_t open[DIGEST_SIZE], answer[DIGEST_SIZE];
    joining_mac_open(&f->joining, bytes_of("", 0), open);
    casebus__v1__join_answer__init(&f->answer);
    joining_mac_answer(&f->joining, &f->answer, answer);
    assert_memory_not_equal(open, answer, DIGEST_SIZE);
}

static void test_an_offer_without_its_context_is_none(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    Casebus__V1__JoinOffer offer = CASEBUS__V1__JOIN_OFFER__INIT;
    offer.context = (char *)(uintptr_t) "casebus/v1/enrolment";
    assert_null(join_offer_decode(codec_pack(&offer, &f->arena), &f->arena, &err));
    assert_int_equal(err.code, CASEBUS_BAD_FIELD);
    offer.context = (char *)(uintptr_t)JOIN_CONTEXT;
    assert_null(join_offer_decode(codec_pack(&offer, &f->arena), &f->arena, &err));
    assert_int_equal(err.code, CASEBUS_MISSING_FIELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_frames_of_the_wrong_form_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_altered_in_any_field_has_another_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_altered_in_any_field_has_another_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_message_s_mac_is_none_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_offer_without_its_context_is_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
