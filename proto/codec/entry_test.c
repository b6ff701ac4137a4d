/* Leaves of the ledger, and the bodies that are sealed beside them. */
#include "proto/codec/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct sample sample;
    uint8_t bytes[256];
    Casebus__V1__LedgerEntry entry;
    Casebus__V1__EventEntry event;
    Casebus__V1__SealEntry seal;
    Casebus__V1__SealOutcome outcome[2];
    Casebus__V1__SealOutcome *outcomes[2];
    Casebus__V1__ActEntry act;
    struct casebus_error err;
};

static ProtobufCBinaryData field(struct fixture *f, size_t size)
{
    return (ProtobufCBinaryData){size, f->bytes};
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    sample_init(&f->sample);
    casebus__v1__ledger_entry__init(&f->entry);
    casebus__v1__event_entry__init(&f->event);
    casebus__v1__seal_entry__init(&f->seal);
    casebus__v1__act_entry__init(&f->act);
    f->entry.format = 1;
    f->entry.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    f->entry.hub_time_us = INT64_C(1718245200000000);
    f->event.node = (char *)(uintptr_t) "group-1";
    f->event.number = 1;
    f->event.event_hash = field(f, DIGEST_SIZE);
    f->event.case_id = field(f, CASE_ID_SIZE);
    f->seal.statement = field(f, 200);
    f->seal.signature = field(f, SIGNATURE_SIZE);
    for (uint32_t i = 0; i < 2; i++) {
        casebus__v1__seal_outcome__init(&f->outcome[i]);
        f->outcome[i].index = i;
        f->outcome[i].event_hash = field(f, DIGEST_SIZE);
        f->outcome[i].duplicate_of = 7;
        f->outcomes[i] = &f->outcome[i];
    }
    f->seal.outcome = f->outcomes;
    f->seal.n_outcome = 2;
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

static Casebus__V1__LedgerEntry *decode(struct fixture *f)
{
    return entry_decode(codec_pack(&f->entry, &f->sample.arena), &f->sample.arena, &f->err);
}

static void put_event(struct fixture *f)
{
    f->entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT;
    f->entry.event = &f->event;
}

static void put_seal(struct fixture *f)
{
    f->entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL;
    f->entry.seal = &f->seal;
}

static void put_act(struct fixture *f)
{
    f->entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    f->entry.act = &f->act;
}

static void test_entries_decode(void **state)
{
    struct fixture *f = *state;

    put_event(f);
    assert_non_null(decode(f));
    put_seal(f);
    assert_non_null(decode(f));
    put_act(f); /* an act that a later version added */
    assert_non_null(decode(f));
}

static void test_entry_has_its_form(void **state)
{
    struct fixture *f = *state;

    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "LedgerEntry.content");
    put_event(f);
    f->entry.format = 2;
    assert_refused(decode(f), f->err, CASEBUS_BAD_VERSION, "LedgerEntry.format is 2");
    f->entry.format = 1;
    f->entry.suite = 3;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "LedgerEntry.suite");
    f->entry.suite = 0;
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "LedgerEntry.suite");
}

static void test_event_entry_has_its_form(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__Receiver receiver = CASEBUS__V1__RECEIVER__INIT;
    Casebus__V1__Receiver *receivers[129];

    put_event(f);
    f->event.case_id.len = 15;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "EventEntry.case_id");
    f->event.case_id.len = 16;
    f->event.number = 0;
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "EventEntry.number");
    f->event.number = 1;
    for (size_t i = 0; i < 129; i++)
        receivers[i] = &receiver;
    f->event.receiver = receivers;
    f->event.n_receiver = 128;
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "Receiver.node");
    receiver.node = (char *)(uintptr_t) "supervisor";
    assert_non_null(decode(f));
    f->event.n_receiver = 129;
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventEntry.receiver has 129 values");
}

static void test_seal_names_each_outcome_once(void **state)
{
    struct fixture *f = *state;
    char code[] = "CB-TEXT";

    put_seal(f);
    f->outcome[1].code = code;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "member 1 is not one of duplicate and refused");
    f->outcome[1].duplicate_of = 0;
    assert_non_null(decode(f));
    f->outcome[1].index = 0;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "not in order");
    f->outcome[1].index = 256;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "SealOutcome.index is 256");
    f->outcome[1].index = 1;
    f->seal.signature.len = 63;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "SealEntry.signature");
}

static void test_acts_about_nodes_and_the_policy_have_their_form(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__NodeInvited invited = CASEBUS__V1__NODE_INVITED__INIT;
    Casebus__V1__NodeStatusChanged changed = CASEBUS__V1__NODE_STATUS_CHANGED__INIT;
    Casebus__V1__QuarantineDecided decided = CASEBUS__V1__QUARANTINE_DECIDED__INIT;
    Casebus__V1__PolicyApplied applied = CASEBUS__V1__POLICY_APPLIED__INIT;
    Casebus__V1__HubKeysChanged keys = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;

    put_act(f);
    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED;
    f->act.node_invited = &invited;
    invited.invitation = field(f, 8);
    invited.node = (char *)(uintptr_t) "group-1";
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "NodeInvited.department");
    invited.department = (char *)(uintptr_t) "scjgj";
    invited.subject = field(f, DIGEST_SIZE);
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED;
    f->act.node_status_changed = &changed;
    changed.node = (char *)(uintptr_t) "group-1";
    changed.subject = field(f, DIGEST_SIZE);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "NodeStatusChanged.status");
    changed.status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED;
    assert_non_null(decode(f));
    ProtobufCBinaryData key_id = field(f, KEY_ID_SIZE);
    changed.key_id = &key_id;
    changed.n_key_id = 1;
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "can be revoked, not suspended");
    changed.status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED;
    f->act.quarantine_decided = &decided;
    decided.subject = field(f, DIGEST_SIZE);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "QuarantineDecided.decision");
    decided.decision = CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED;
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED;
    f->act.policy_applied = &applied;
    applied.digest = applied.subject = field(f, DIGEST_SIZE);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "PolicyApplied.version");
    applied.version = 1;
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED;
    f->act.hub_keys_changed = &keys;
    keys.statement = field(f, 100);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "HubKeysChanged.signature");
    keys.signature = field(f, SIGNATURE_SIZE);
    assert_non_null(decode(f));
}

static void test_acts_have_their_form(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    Casebus__V1__SignedConfirm confirm = CASEBUS__V1__SIGNED_CONFIRM__INIT;
    Casebus__V1__SignedConfirm *confirms[] = {&confirm};
    Casebus__V1__DeliveriesConfirmed confirmed = CASEBUS__V1__DELIVERIES_CONFIRMED__INIT;

    put_act(f);
    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    f->act.ledger_opened = &opened;
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "LedgerOpened.origin");
    opened.origin = (char *)(uintptr_t)SAMPLE_ORIGIN;
    opened.log_key = (char *)(uintptr_t) "js.example/exchange/1+00000000+AQ==";
    opened.authority = field(f, 200);
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    f->act.node_enrolled = &enrolled;
    enrolled.statement = field(f, 100);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "NodeEnrolled.signature");
    enrolled.signature = field(f, SIGNATURE_SIZE);
    enrolled.certificate = field(f, 200);
    assert_non_null(decode(f));
    enrolled.subject = field(f, DIGEST_SIZE - 1);
    assert_refused(decode(f), f->err, CASEBUS_BAD_FIELD, "NodeEnrolled.subject");
    enrolled.subject = field(f, DIGEST_SIZE);
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    f->act.quarantined = &quarantined;
    quarantined.node = (char *)(uintptr_t) "group-1";
    quarantined.code = (char *)(uintptr_t) "CB-TEXT";
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "Quarantined.subject");
    quarantined.subject = field(f, DIGEST_SIZE);
    assert_non_null(decode(f));

    f->act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED;
    f->act.deliveries_confirmed = &confirmed;
    confirmed.confirm = confirms;
    confirmed.n_confirm = 1;
    confirm.statement = field(f, 100);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "SignedConfirm.signature");
    confirm.signature = field(f, SIGNATURE_SIZE);
    assert_non_null(decode(f));
}

static void test_entry_cut_or_flipped_is_survived(void **state)
{
    struct fixture *f = *state;

    put_seal(f);
    struct bytes packed = codec_pack(&f->entry, &f->sample.arena);
    for (size_t size = 0; size < packed.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, packed.data, size);
        assert_null(entry_decode(bytes_of(copy, size), &f->sample.arena, &f->err));
        free(copy);
    }
    uint8_t *copy = arena_copy(&f->sample.arena, packed.data, packed.size);
    for (size_t bit = 0; bit < 8 * packed.size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        entry_decode(bytes_of(copy, packed.size), &f->sample.arena, &f->err);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* --- bodies -------------------------------------------------------------------------------------------- */

static const uint8_t subject[DIGEST_SIZE] = {1, 2, 3};
static const uint8_t slot_key[KEY_SIZE] = {4, 5, 6};

static struct bytes sealed_body(struct fixture *f, const struct bytes *items, size_t n)
{
    struct body_seal seal = {.content_digest = {8}};
    struct bytes body;

    assert_int_equal(body_seal_items(f->sample.crypter, SAMPLE_ORIGIN, subject, items, n, &f->sample.arena,
                                     &seal, &f->err),
                     0);
    assert_int_equal(
        body_wrap(f->sample.crypter, SAMPLE_ORIGIN, &seal, 77, slot_key, &f->sample.arena, &body, &f->err),
        0);
    assert_memory_equal(seal.key, ((const uint8_t[KEY_SIZE]){0}), KEY_SIZE);
    return body;
}

static Casebus__V1__SealedBody *three_items(struct fixture *f, struct bytes items[3])
{
    items[0] = bytes_of_text("header");
    items[1] = bytes_of_text("salt and name");
    items[2] = bytes_of_text("");
    Casebus__V1__SealedBody *body = body_decode(sealed_body(f, items, 3), &f->sample.arena, &f->err);
    assert_non_null(body);
    return body;
}

static int open_item(struct fixture *f, const char *origin, const uint8_t *about,
                     const Casebus__V1__SealedBody *body, const uint8_t *key, size_t i, struct bytes *plain)
{
    return body_open_item(f->sample.crypter, origin, about, body, key, i, &f->sample.arena, plain, &f->err);
}

static void test_sealed_items_open_again(void **state)
{
    struct fixture *f = *state;
    struct bytes items[3], plain;
    Casebus__V1__SealedBody *body = three_items(f, items);

    assert_int_equal(body->slot, 77);
    assert_int_equal(body->content_digest.data[0], 8);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(open_item(f, SAMPLE_ORIGIN, subject, body, slot_key, i, &plain), 0);
        assert_true(bytes_equal(plain, items[i]));
    }
    assert_int_equal(open_item(f, SAMPLE_ORIGIN, subject, body, slot_key, 3, &plain), -1);
    assert_int_equal(f->err.code, CASEBUS_NOT_FOUND);
}

static void test_body_opens_only_in_its_own_place(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other[32] = {9};
    struct bytes items[3], plain;
    Casebus__V1__SealedBody *body = three_items(f, items);

    assert_int_equal(open_item(f, SAMPLE_ORIGIN, subject, body, other, 0, &plain), -1);
    assert_int_equal(f->err.code, CASEBUS_DAMAGED);
    assert_int_equal(open_item(f, SAMPLE_ORIGIN, other, body, slot_key, 0, &plain), -1);
    assert_int_equal(open_item(f, "js.example/exchange/2", subject, body, slot_key, 0, &plain), -1);
    ProtobufCBinaryData kept = body->item[0];
    body->item[0] = body->item[1];
    assert_int_equal(open_item(f, SAMPLE_ORIGIN, subject, body, slot_key, 0, &plain), -1);
    assert_string_equal(f->err.text, "item 0 of a sealed body does not open");
    body->item[0] = kept;
    body->item[0].data[20] ^= 1;
    assert_int_equal(open_item(f, SAMPLE_ORIGIN, subject, body, slot_key, 0, &plain), -1);
    assert_int_equal(f->err.code, CASEBUS_DAMAGED);
}

static void test_body_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct bytes items[BODY_ITEMS_MAX + 1];
    struct body_seal seal = {0};

    for (size_t i = 0; i <= BODY_ITEMS_MAX; i++)
        items[i] = bytes_of_text("x");
    assert_non_null(body_decode(sealed_body(f, items, BODY_ITEMS_MAX), &f->sample.arena, &f->err));
    assert_int_equal(body_seal_items(f->sample.crypter, SAMPLE_ORIGIN, subject, items, BODY_ITEMS_MAX + 1,
                                     &f->sample.arena, &seal, &f->err),
                     -1);
    assert_int_equal(f->err.code, CASEBUS_TOO_LARGE);
    static uint8_t frame[FRAME_MAX]; /* a whole frame in quarantine */
    struct bytes whole = bytes_of(frame, sizeof frame);
    assert_non_null(body_decode(sealed_body(f, &whole, 1), &f->sample.arena, &f->err));
}

static void test_body_has_its_form(void **state)
{
    struct fixture *f = *state;
    struct bytes items[3];
    Casebus__V1__SealedBody *body = three_items(f, items);

#define DECODE() body_decode(codec_pack(body, &f->sample.arena), &f->sample.arena, &f->err)
    body->content_digest.len = 31;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "SealedBody.content_digest");
    body->content_digest.len = 0;
    assert_non_null(DECODE());
    body->item[2].len = 27;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "item 2 of a sealed body has only 27 bytes");
    body->item[2].len = 0; /* destroyed */
    body->wrapped_key.len = 59;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "SealedBody.wrapped_key");
    body->n_item = 0;
    assert_refused(DECODE(), f->err, CASEBUS_MISSING_FIELD, "SealedBody.item");
    body->format = 2;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_VERSION, "SealedBody.format");
#undef DECODE
}

static void test_body_without_a_part_keeps_the_others_under_another_key(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other_key[KEY_SIZE] = {9};
    struct bytes items[3], left, plain;
    Casebus__V1__SealedBody *body = three_items(f, items);

    assert_int_equal(body_without(f->sample.crypter, SAMPLE_ORIGIN, subject, body, slot_key, 1 << 1, 77,
                                  other_key, &f->sample.arena, &left, &f->err),
                     0);
    body = body_decode(left, &f->sample.arena, &f->err);
    assert_non_null(body);
    assert_int_equal(body->slot, 77);
    for (size_t i = 0; i < 3; i++) {
        int r = body_open_item(f->sample.crypter, SAMPLE_ORIGIN, subject, body, other_key, i,
                               &f->sample.arena, &plain, &f->err);
        assert_int_equal(r, i == 1 ? -1 : 0);
        assert_int_equal(body_item_erased(body, i), i == 1);
        if (i == 1)
            assert_int_equal(f->err.code, CASEBUS_ERASED);
        else
            assert_true(bytes_equal(plain, items[i]));
        assert_int_equal(body_open_item(f->sample.crypter, SAMPLE_ORIGIN, subject, body, slot_key, i,
                                        &f->sample.arena, &plain, &f->err),
                         -1);
    }
}

static Casebus__V1__EventSkeleton skeleton_of(uint8_t key[16])
{
    Casebus__V1__EventSkeleton skeleton = CASEBUS__V1__EVENT_SKELETON__INIT;
    skeleton.record_key = skeleton.header_digest = skeleton.case_number_key = (ProtobufCBinaryData){16, key};
    return skeleton;
}

static void test_emptied_body_keeps_a_skeleton_and_no_key(void **state)
{
    struct fixture *f = *state;
    uint8_t key[16] = {1};
    struct bytes items[3], left;
    Casebus__V1__EventSkeleton skeleton = skeleton_of(key);
    Casebus__V1__SealedBody *body = three_items(f, items);

    assert_int_equal(body_emptied(body, &skeleton, &f->sample.arena, &left, &f->err), 0);
    body = body_decode(left, &f->sample.arena, &f->err);
    assert_non_null(body);
    assert_int_equal(body->slot, 0);
    assert_int_equal(body->wrapped_key.len, 0);
    assert_int_equal(body->n_item, 3);
    assert_non_null(body->skeleton);
    assert_int_equal(body->content_digest.len, DIGEST_SIZE);
#define DECODE() body_decode(codec_pack(body, &f->sample.arena), &f->sample.arena, &f->err)
    body->slot = 3;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "a key or parts");
    body->slot = 0;
    body->skeleton->record_key.len = 15;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "EventSkeleton.record_key");
    body->skeleton->record_key.len = 16;
    body->content_digest.len = 0;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "not whole");
    body->content_digest.len = DIGEST_SIZE;
    body->skeleton = NULL; /* something in quarantine */
    assert_non_null(DECODE());
    uint8_t digest[31] = {0};
    ProtobufCBinaryData members[BATCH_MAX_EVENTS + 1] = {{sizeof digest, digest}};
    body->member_digest = members;
    body->n_member_digest = 1;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "SealedBody.member_digest");
    body->n_member_digest = BATCH_MAX_EVENTS + 1;
    assert_refused(DECODE(), f->err, CASEBUS_TOO_LARGE, "SealedBody.member_digest");
    body = three_items(f, items);
    body->skeleton = &skeleton;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "a header and what is left");
#undef DECODE
}

static void test_order_to_destroy_has_its_form(void **state)
{
    struct fixture *f = *state;
    uint8_t id[16] = {1}, order_subject[DIGEST_SIZE] = {2};
    Casebus__V1__ErasedContent contents[2], *list[2] = {&contents[0], &contents[1]};
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.format = 1;
    entry.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = &act;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    ordered.reason = CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER;
    ordered.subject = (ProtobufCBinaryData){DIGEST_SIZE, order_subject};
    ordered.case_id = (ProtobufCBinaryData){16, id};
    ordered.content = list;
    for (size_t i = 0; i < 2; i++) {
        casebus__v1__erased_content__init(&contents[i]);
        contents[i].position = i + 4;
        contents[i].part_mask = 1;
    }
#define DECODE() entry_decode(codec_pack(&entry, &f->sample.arena), &f->sample.arena, &f->err)
    assert_refused(DECODE(), f->err, CASEBUS_MISSING_FIELD, "ErasureOrdered.content");
    ordered.n_content = 2;
    assert_non_null(DECODE());
    contents[1].position = 4;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "not in the order");
    contents[0].part_mask = 0;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "destroys nothing");
    ordered.case_id.len = 15;
    assert_refused(DECODE(), f->err, CASEBUS_BAD_FIELD, "ErasureOrdered.case_id");
    ordered.reason = CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_UNSPECIFIED;
    assert_refused(DECODE(), f->err, CASEBUS_MISSING_FIELD, "ErasureOrdered.reason");
#undef DECODE
}

static void test_same_content_is_never_sealed_the_same(void **state)
{
    struct fixture *f = *state;
    struct bytes item = bytes_of_text("header");
    struct bytes first = sealed_body(f, &item, 1);

    assert_false(bytes_equal(first, sealed_body(f, &item, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries_decode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_entry_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal_names_each_outcome_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acts_have_their_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acts_about_nodes_and_the_policy_have_their_form, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_entry_cut_or_flipped_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_items_open_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_opens_only_in_its_own_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_without_a_part_keeps_the_others_under_another_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_emptied_body_keeps_a_skeleton_and_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_to_destroy_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_content_is_never_sealed_the_same, setup, teardown),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
