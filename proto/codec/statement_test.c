/* Enrolments and confirmations: their form. */
#include "proto/codec/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct sample sample;
    uint8_t bytes[64];
    Casebus__V1__ConfirmStatement confirm;
    Casebus__V1__EnrolmentStatement enrolment;
    Casebus__V1__HubKeysStatement hub_keys;
    Casebus__V1__DeliveryId last;
    struct casebus_error err;
};

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    sample_init(&f->sample);
    casebus__v1__delivery_id__init(&f->last);
    casebus__v1__confirm_statement__init(&f->confirm);
    f->confirm.context = text(CONFIRM_CONTEXT);
    f->confirm.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    f->confirm.origin = text(SAMPLE_ORIGIN);
    f->confirm.node = text("supervisor");
    f->confirm.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, f->bytes};
    f->confirm.last = &f->last;
    f->confirm.running_hash = (ProtobufCBinaryData){DIGEST_SIZE, f->bytes};
    casebus__v1__enrolment_statement__init(&f->enrolment);
    f->enrolment.context = text(ENROLMENT_CONTEXT);
    f->enrolment.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    f->enrolment.origin = text(SAMPLE_ORIGIN);
    f->enrolment.node = text("group-1");
    f->enrolment.department = text("Group 1");
    f->enrolment.public_key = (ProtobufCBinaryData){32, f->bytes};
    f->enrolment.curve_key = (ProtobufCBinaryData){32, f->bytes};
    casebus__v1__hub_keys_statement__init(&f->hub_keys);
    f->hub_keys.context = text(HUB_KEYS_CONTEXT);
    f->hub_keys.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    f->hub_keys.origin = text(SAMPLE_ORIGIN);
    f->hub_keys.number = 1;
    f->hub_keys.authority = (ProtobufCBinaryData){64, f->bytes};
    f->hub_keys.curve_key = (ProtobufCBinaryData){32, f->bytes};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sample_deinit(&f->sample);
    free(f);
    return 0;
}

static Casebus__V1__ConfirmStatement *confirm(struct fixture *f)
{
    return confirm_decode(codec_pack(&f->confirm, &f->sample.arena), &f->sample.arena, &f->err);
}

static Casebus__V1__EnrolmentStatement *enrolment(struct fixture *f)
{
    return enrolment_decode(codec_pack(&f->enrolment, &f->sample.arena), &f->sample.arena, &f->err);
}

static void test_confirm_has_its_form(void **state)
{
    struct fixture *f = *state;

    assert_non_null(confirm(f));
    f->confirm.checkpoint_size = 5;
    assert_refused(confirm(f), f->err, CASEBUS_MISSING_FIELD, "ConfirmStatement.checkpoint_root");
    f->confirm.checkpoint_root = f->confirm.running_hash;
    assert_non_null(confirm(f));
    f->confirm.last = NULL;
    assert_refused(confirm(f), f->err, CASEBUS_MISSING_FIELD, "ConfirmStatement.last");
    f->confirm.key_id.len = 15;
    assert_refused(confirm(f), f->err, CASEBUS_BAD_FIELD, "ConfirmStatement.key_id");
}

static void test_enrolment_has_its_form(void **state)
{
    struct fixture *f = *state;

    assert_non_null(enrolment(f));
    f->enrolment.curve_key.len = 31;
    assert_refused(enrolment(f), f->err, CASEBUS_BAD_FIELD, "EnrolmentStatement.curve_key");
    f->enrolment.public_key.len = 64;
    assert_refused(enrolment(f), f->err, CASEBUS_BAD_FIELD, "EnrolmentStatement.public_key");
    f->enrolment.node = text("Group 1");
    assert_refused(enrolment(f), f->err, CASEBUS_BAD_FIELD, "EnrolmentStatement.node");
}

static Casebus__V1__HubKeysStatement *hub_keys(struct fixture *f)
{
    return hub_keys_decode(codec_pack(&f->hub_keys, &f->sample.arena), &f->sample.arena, &f->err);
}

static void test_hub_keys_have_their_form(void **state)
{
    struct fixture *f = *state;

    assert_non_null(hub_keys(f));
    f->hub_keys.curve_key.len = 31;
    assert_refused(hub_keys(f), f->err, CASEBUS_BAD_FIELD, "HubKeysStatement.curve_key");
    f->hub_keys.curve_key.len = 32;
    f->hub_keys.number = 0;
    assert_refused(hub_keys(f), f->err, CASEBUS_MISSING_FIELD, "HubKeysStatement.number");
    f->hub_keys.number = 1;
    f->hub_keys.context = text(ENROLMENT_CONTEXT);
    assert_refused(hub_keys(f), f->err, CASEBUS_BAD_FIELD, "does not begin with its context");
}

static void test_one_statement_is_never_another(void **state)
{
    struct fixture *f = *state;
    struct bytes packed = codec_pack(&f->confirm, &f->sample.arena);

    assert_null(enrolment_decode(packed, &f->sample.arena, &f->err));
    assert_null(statement_decode(packed, &f->sample.arena, &f->err));
    f->confirm.context = text(ENROLMENT_CONTEXT);
    assert_refused(confirm(f), f->err, CASEBUS_BAD_FIELD, "does not begin with its context");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_confirm_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_enrolment_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hub_keys_have_their_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_statement_is_never_another, setup, teardown),
    };
    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
