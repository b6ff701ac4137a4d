/* The form of enrolments, confirmations and the hub's keys. */
#include "proto/codec/statement.h"

#include "proto/base/texts.h"

#include "proto/codec/check.h"
#include "proto/crypto/certificate.h"

static const struct codec_limits statement_limits = {
    .max_size = STATEMENT_MAX, .max_fields = 64, .max_depth = 2};

static int confirm_check(const Casebus__V1__ConfirmStatement *confirm, struct casebus_error *err)
{
    if (check_suite("ConfirmStatement.suite", confirm->suite, err) ||
        check_origin("ConfirmStatement.origin", confirm->origin, err) ||
        check_node("ConfirmStatement.node", confirm->node, err) ||
        check_size("ConfirmStatement.key_id", confirm->key_id, KEY_ID_SIZE, err) ||
        check_size("ConfirmStatement.running_hash", confirm->running_hash, DIGEST_SIZE, err) ||
        check_time("ConfirmStatement.confirmed_at_us", confirm->confirmed_at_us, err))
        return -1;
    if (!confirm->last)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "ConfirmStatement.last");
    /* A receiver may confirm before it has seen a checkpoint. */
    if (confirm->checkpoint_size == 0 && confirm->checkpoint_root.len == 0)
        return 0;
    return check_size("ConfirmStatement.checkpoint_root", confirm->checkpoint_root, DIGEST_SIZE, err);
}

Casebus__V1__ConfirmStatement *confirm_decode(struct bytes statement, struct arena *arena,
                                              struct casebus_error *err)
{
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__confirm_statement__descriptor, statement, &statement_limits, arena, err);
    Casebus__V1__ConfirmStatement *confirm = (Casebus__V1__ConfirmStatement *)message;

    if (!confirm || check_context("ConfirmStatement", statement, CONFIRM_CONTEXT, err) ||
        confirm_check(confirm, err))
        return NULL;
    return confirm;
}

static int enrolment_check(const Casebus__V1__EnrolmentStatement *enrolment, struct casebus_error *err)
{
    size_t key_size = public_key_size((enum suite_id)enrolment->suite);

    if (check_suite("EnrolmentStatement.suite", enrolment->suite, err) ||
        check_origin("EnrolmentStatement.origin", enrolment->origin, err) ||
        check_node("EnrolmentStatement.node", enrolment->node, err) ||
        check_text("EnrolmentStatement.department", enrolment->department, DEPARTMENT_MAX, err) ||
        check_text_max("EnrolmentStatement.area", enrolment->area, AREA_SIZE, err) ||
        check_size("EnrolmentStatement.public_key", enrolment->public_key, key_size, err))
        return -1;
    return check_size("EnrolmentStatement.curve_key", enrolment->curve_key, CURVE_KEY_SIZE, err);
}

Casebus__V1__EnrolmentStatement *enrolment_decode(struct bytes statement, struct arena *arena,
                                                  struct casebus_error *err)
{
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__enrolment_statement__descriptor, statement, &statement_limits, arena, err);
    Casebus__V1__EnrolmentStatement *enrolment = (Casebus__V1__EnrolmentStatement *)message;

    if (!enrolment || check_context("EnrolmentStatement", statement, ENROLMENT_CONTEXT, err) ||
        enrolment_check(enrolment, err))
        return NULL;
    return enrolment;
}

static int hub_keys_check(const Casebus__V1__HubKeysStatement *keys, struct casebus_error *err)
{
    if (check_suite("HubKeysStatement.suite", keys->suite, err) ||
        check_origin("HubKeysStatement.origin", keys->origin, err) ||
        check_size_max("HubKeysStatement.authority", keys->authority, CERTIFICATE_MAX, err) ||
        check_size("HubKeysStatement.curve_key", keys->curve_key, CURVE_KEY_SIZE, err) ||
        check_time("HubKeysStatement.curve_from_us", keys->curve_from_us, err) ||
        (keys->authority_before.len &&
         check_size("HubKeysStatement.authority_before", keys->authority_before, DIGEST_SIZE, err)))
        return -1;
    return keys->number > 0
               ? 0
               : error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "HubKeysStatement.number");
}

Casebus__V1__HubKeysStatement *hub_keys_decode(struct bytes statement, struct arena *arena,
                                               struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = HUB_KEYS_STATEMENT_MAX, .max_fields = 64, .max_depth = 2};
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__hub_keys_statement__descriptor, statement, &limits, arena, err);
    Casebus__V1__HubKeysStatement *keys = (Casebus__V1__HubKeysStatement *)message;

    if (!keys || check_context("HubKeysStatement", statement, HUB_KEYS_CONTEXT, err) ||
        hub_keys_check(keys, err))
        return NULL;
    return keys;
}
