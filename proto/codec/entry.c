/* Entries are what stands in the ledger for ever; bodies are what can be destroyed. An entry is checked for
 * its form when it is made and when it is read back; acts of kinds that a later version adds pass here and
 * are left alone by the exchange.
 *
 * A body is sealed in two steps, because two threads do it: a worker seals the items under a fresh key, the
 * writer wraps that key under the vault slot that it chose. */
#include "proto/codec/entry.h"

#include "proto/base/texts.h"
#include "proto/codec/check.h"
#include "proto/codec/statement.h"
#include "proto/crypto/certificate.h"
#include "proto/crypto/code.h"

#include <assert.h>

#define ENTRY_FIELDS        8192
#define BODY_MAX            (FRAME_MAX + BODY_ITEMS_MAX * 64 + BATCH_MAX_EVENTS * (DIGEST_SIZE + 2))
#define RECEIVERS_MAX       64
#define EVENT_RECEIVERS_MAX 128 /* each that it is given to, and each that has what it replaces */
#define SLOTS_MAX           64  /* that the bodies of one case lie under */
#define CODE_MAX            64
#define WRAPPED_SIZE        (KEY_SIZE + SEAL_EXTRA)
#define SOFTWARE_MAX        128
#define NODE_KEYS_MAX       16
#define LOG_KEY_MAX         512
#define CHECKPOINT_MAX      4096
#define SKELETON_KEY_SIZE   16
#define ASSOCIATED_MAX      (sizeof "casebus/v1/body" + ORIGIN_MAX + DIGEST_SIZE + 4)

static int event_entry_check(const Casebus__V1__EventEntry *event, struct casebus_error *err)
{
    if (check_node("EventEntry.node", event->node, err) ||
        check_size("EventEntry.event_hash", event->event_hash, DIGEST_SIZE, err) ||
        check_size("EventEntry.case_id", event->case_id, CASE_ID_SIZE, err) ||
        check_count("EventEntry.receiver", event->n_receiver, EVENT_RECEIVERS_MAX, err))
        return -1;
    if (event->number == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "EventEntry.number");
    for (size_t i = 0; i < event->n_receiver; i++)
        if (check_node("Receiver.node", event->receiver[i]->node, err))
            return -1;
    for (size_t i = 0; i < event->n_receiver; i++)
        if (event->receiver[i]->retracts && event->replaces == 0)
            return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "EventEntry.replaces");
    return 0;
}

static int outcome_check(const Casebus__V1__SealOutcome *outcome, struct casebus_error *err)
{
    if (outcome->index >= BATCH_MAX_EVENTS)
        return error_set(err, CASEBUS_BAD_FIELD, _("%s is %u, past the end of any batch"),
                         "SealOutcome.index", (unsigned)outcome->index);
    if ((outcome->duplicate_of > 0) == (*outcome->code != '\0'))
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("the outcome of member %u is not one of duplicate and refused"),
                         (unsigned)outcome->index);
    if (check_text_max("SealOutcome.code", outcome->code, CODE_MAX, err))
        return -1;
    return check_size("SealOutcome.event_hash", outcome->event_hash, DIGEST_SIZE, err);
}

static int seal_entry_check(const Casebus__V1__SealEntry *seal, struct casebus_error *err)
{
    if (check_size_max("SealEntry.statement", seal->statement, STATEMENT_MAX, err) ||
        check_size("SealEntry.signature", seal->signature, SIGNATURE_SIZE, err) ||
        check_count("SealEntry.outcome", seal->n_outcome, BATCH_MAX_EVENTS, err))
        return -1;
    for (size_t i = 0; i < seal->n_outcome; i++) {
        if (outcome_check(seal->outcome[i], err))
            return -1;
        if (i > 0 && seal->outcome[i]->index <= seal->outcome[i - 1]->index)
            return error_set(err, CASEBUS_BAD_FIELD, _("the outcomes of a seal are not in order"));
    }
    return 0;
}

static int ledger_opened_check(const Casebus__V1__LedgerOpened *opened, struct casebus_error *err)
{
    if (check_origin("LedgerOpened.origin", opened->origin, err) ||
        check_text("LedgerOpened.log_key", opened->log_key, LOG_KEY_MAX, err) ||
        check_size_max("LedgerOpened.authority", opened->authority, CERTIFICATE_MAX, err) ||
        check_text_max("LedgerOpened.software", opened->software, SOFTWARE_MAX, err))
        return -1;
    if (opened->previous_checkpoint.len > CHECKPOINT_MAX)
        return check_size_max("LedgerOpened.previous_checkpoint", opened->previous_checkpoint, CHECKPOINT_MAX,
                              err);
    return *opened->previous_origin
               ? check_origin("LedgerOpened.previous_origin", opened->previous_origin, err)
               : 0;
}

static int node_enrolled_check(const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    if (check_size_max("NodeEnrolled.statement", enrolled->statement, STATEMENT_MAX, err) ||
        check_size("NodeEnrolled.signature", enrolled->signature, SIGNATURE_SIZE, err))
        return -1;
    if (enrolled->invitation.len &&
        check_size("NodeEnrolled.invitation", enrolled->invitation, INVITATION_SIZE, err))
        return -1;
    if (enrolled->subject.len && check_size("NodeEnrolled.subject", enrolled->subject, DIGEST_SIZE, err))
        return -1;
    return check_size_max("NodeEnrolled.certificate", enrolled->certificate, CERTIFICATE_MAX, err);
}

static int node_invited_check(const Casebus__V1__NodeInvited *invited, struct casebus_error *err)
{
    if (check_size("NodeInvited.invitation", invited->invitation, INVITATION_SIZE, err) ||
        check_node("NodeInvited.node", invited->node, err) ||
        check_text("NodeInvited.department", invited->department, DEPARTMENT_MAX, err) ||
        check_text_max("NodeInvited.area", invited->area, AREA_SIZE, err) ||
        check_time("NodeInvited.expires_at_us", invited->expires_at_us, err))
        return -1;
    return check_size("NodeInvited.subject", invited->subject, DIGEST_SIZE, err);
}

static bool grants_equal(const Casebus__V1__Grants *a, const Casebus__V1__Grants *b)
{
    const Casebus__V1__Grants none = CASEBUS__V1__GRANTS__INIT;
    a = a ? a : &none;
    b = b ? b : &none;
    if (!a->publish != !b->publish || !a->receive_all != !b->receive_all ||
        a->n_receive_part_kind != b->n_receive_part_kind)
        return false;
    for (size_t i = 0; i < a->n_receive_part_kind; i++)
        if (a->receive_part_kind[i] != b->receive_part_kind[i])
            return false;
    return true;
}

bool invitation_is_for(const Casebus__V1__NodeInvited *invited, const char *node, const char *department,
                       const char *area, const Casebus__V1__Grants *grants)
{
    return strcmp(invited->node, node) == 0 && strcmp(invited->department, department) == 0 &&
           strcmp(invited->area, area) == 0 && grants_equal(invited->grants, grants);
}

static int node_status_changed_check(const Casebus__V1__NodeStatusChanged *changed, struct casebus_error *err)
{
    if (check_node("NodeStatusChanged.node", changed->node, err) ||
        check_enum("NodeStatusChanged.status", &casebus__v1__node_status__descriptor, (int)changed->status,
                   err) ||
        check_count("NodeStatusChanged.key_id", changed->n_key_id, NODE_KEYS_MAX, err) ||
        check_size("NodeStatusChanged.subject", changed->subject, DIGEST_SIZE, err))
        return -1;
    for (size_t i = 0; i < changed->n_key_id; i++)
        if (check_size("NodeStatusChanged.key_id", changed->key_id[i], KEY_ID_SIZE, err))
            return -1;
    if (changed->n_key_id > 0 && changed->status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        return error_set(err, CASEBUS_BAD_FIELD, _("keys alone can be revoked, not suspended"));
    return 0;
}

static int hub_keys_changed_check(const Casebus__V1__HubKeysChanged *changed, struct casebus_error *err)
{
    if (check_size_max("HubKeysChanged.statement", changed->statement, HUB_KEYS_STATEMENT_MAX, err))
        return -1;
    if (changed->authority_signature.len &&
        check_size("HubKeysChanged.authority_signature", changed->authority_signature, SIGNATURE_SIZE, err))
        return -1;
    return check_size("HubKeysChanged.signature", changed->signature, SIGNATURE_SIZE, err);
}

static int quarantine_decided_check(const Casebus__V1__QuarantineDecided *decided, struct casebus_error *err)
{
    if (check_enum("QuarantineDecided.decision", &casebus__v1__quarantine_decision__descriptor,
                   (int)decided->decision, err))
        return -1;
    return check_size("QuarantineDecided.subject", decided->subject, DIGEST_SIZE, err);
}

static int policy_applied_check(const Casebus__V1__PolicyApplied *applied, struct casebus_error *err)
{
    if (applied->version == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "PolicyApplied.version");
    if (check_size("PolicyApplied.digest", applied->digest, DIGEST_SIZE, err))
        return -1;
    return check_size("PolicyApplied.subject", applied->subject, DIGEST_SIZE, err);
}

static int quarantined_check(const Casebus__V1__Quarantined *quarantined, struct casebus_error *err)
{
    if (check_node("Quarantined.node", quarantined->node, err) ||
        check_text("Quarantined.code", quarantined->code, CODE_MAX, err))
        return -1;
    return check_size("Quarantined.subject", quarantined->subject, DIGEST_SIZE, err);
}

static int deliveries_confirmed_check(const Casebus__V1__DeliveriesConfirmed *confirmed,
                                      struct casebus_error *err)
{
    for (size_t i = 0; i < confirmed->n_confirm; i++)
        if (check_size_max("SignedConfirm.statement", confirmed->confirm[i]->statement, STATEMENT_MAX, err) ||
            check_size("SignedConfirm.signature", confirmed->confirm[i]->signature, SIGNATURE_SIZE, err))
            return -1;
    return 0;
}

static int erased_content_check(const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err)
{
    for (size_t i = 0; i < ordered->n_content; i++) {
        const Casebus__V1__ErasedContent *content = ordered->content[i];
        for (size_t k = 0; k < content->n_member; k++)
            if (content->member[k] >= BATCH_MAX_EVENTS ||
                (k > 0 && content->member[k] <= content->member[k - 1]))
                return error_set(err, CASEBUS_BAD_FIELD,
                                 _("the events of a batch that an order is about are not in their order"));
        if (!ordered->content[i]->header && !ordered->content[i]->part_mask)
            return error_set(err, CASEBUS_BAD_FIELD,
                             _("an order to destroy content destroys nothing of an entry"));
        if (i > 0 && ordered->content[i]->position <= ordered->content[i - 1]->position)
            return error_set(err, CASEBUS_BAD_FIELD,
                             _("the contents of an order are not in the order of entries"));
    }
    return 0;
}

static int erasure_ordered_check(const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err)
{
    if (check_enum("ErasureOrdered.reason", &casebus__v1__erasure_reason__descriptor, (int)ordered->reason,
                   err) ||
        check_size("ErasureOrdered.subject", ordered->subject, DIGEST_SIZE, err) ||
        (ordered->case_id.len > 0 &&
         check_size("ErasureOrdered.case_id", ordered->case_id, CASE_ID_SIZE, err)) ||
        check_count("ErasureOrdered.content", ordered->n_content, ERASED_MAX, err) ||
        check_count("ErasureOrdered.receiver", ordered->n_receiver, RECEIVERS_MAX, err) ||
        check_count("ErasureOrdered.slot", ordered->n_slot, SLOTS_MAX, err))
        return -1;
    if (ordered->n_content == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "ErasureOrdered.content");
    for (size_t i = 0; i < ordered->n_receiver; i++)
        if (check_node("Receiver.node", ordered->receiver[i]->node, err))
            return -1;
    return erased_content_check(ordered, err);
}

static int act_entry_check(const Casebus__V1__ActEntry *act, struct casebus_error *err)
{
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        return ledger_opened_check(act->ledger_opened, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return node_enrolled_check(act->node_enrolled, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return quarantined_check(act->quarantined, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        return deliveries_confirmed_check(act->deliveries_confirmed, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return node_invited_check(act->node_invited, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return node_status_changed_check(act->node_status_changed, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED:
        return hub_keys_changed_check(act->hub_keys_changed, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return quarantine_decided_check(act->quarantine_decided, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return policy_applied_check(act->policy_applied, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return erasure_ordered_check(act->erasure_ordered, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        return check_count("ErasureDone.ordered", act->erasure_done->n_ordered, ERASED_MAX, err);
    default:
        return 0;
    }
}

static int entry_check(const Casebus__V1__LedgerEntry *entry, struct casebus_error *err)
{
    if (check_format("LedgerEntry.format", entry->format, err) ||
        check_suite("LedgerEntry.suite", entry->suite, err) ||
        check_time("LedgerEntry.hub_time_us", entry->hub_time_us, err))
        return -1;
    switch (entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        return event_entry_check(entry->event, err);
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL:
        return seal_entry_check(entry->seal, err);
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT:
        return act_entry_check(entry->act, err);
    default:
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "LedgerEntry.content");
    }
}

/* @noted: what lies beside it is an operator's note. */
static ProtobufCBinaryData act_subject(const Casebus__V1__ActEntry *act, bool *noted)
{
    *noted = act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED &&
             act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return act->node_enrolled->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return act->node_invited->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return act->node_status_changed->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return act->quarantine_decided->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return act->policy_applied->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return act->quarantined->subject;
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return act->erasure_ordered->subject;
    default:
        *noted = false;
        return (ProtobufCBinaryData){0};
    }
}

ProtobufCBinaryData entry_subject(const Casebus__V1__LedgerEntry *entry)
{
    bool noted;
    switch (entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        return entry->event->event_hash;
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT:
        return act_subject(entry->act, &noted);
    default:
        return (ProtobufCBinaryData){0};
    }
}

bool entry_is_noted(const Casebus__V1__LedgerEntry *entry)
{
    bool noted = false;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        (void)act_subject(entry->act, &noted);
    return noted;
}

Casebus__V1__LedgerEntry *entry_decode(struct bytes entry, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = ENTRY_MAX, .max_fields = ENTRY_FIELDS, .max_depth = 6};
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__ledger_entry__descriptor, entry, &limits, arena, err);
    Casebus__V1__LedgerEntry *decoded = (Casebus__V1__LedgerEntry *)message;

    if (!decoded || entry_check(decoded, err))
        return NULL;
    return decoded;
}

/* --- bodies -------------------------------------------------------------------------------------------- */

static int skeleton_check(const Casebus__V1__EventSkeleton *skeleton, struct casebus_error *err)
{
    if (check_size("EventSkeleton.record_key", skeleton->record_key, SKELETON_KEY_SIZE, err) ||
        check_size("EventSkeleton.header_digest", skeleton->header_digest, SKELETON_KEY_SIZE, err) ||
        check_size("EventSkeleton.case_number_key", skeleton->case_number_key, SKELETON_KEY_SIZE, err) ||
        check_count("EventSkeleton.case_alias_key", skeleton->n_case_alias_key, ALIASES_MAX, err))
        return -1;
    for (size_t i = 0; i < skeleton->n_case_alias_key; i++)
        if (check_size("EventSkeleton.case_alias_key", skeleton->case_alias_key[i], SKELETON_KEY_SIZE, err))
            return -1;
    return 0;
}

/* Parts can be destroyed alone; a header only with all its parts, and then no key is left. */
static int body_erasure_check(const Casebus__V1__SealedBody *body, size_t n_erased, struct casebus_error *err)
{
    if (body->item[0].len > 0)
        return body->skeleton ? error_set(err, CASEBUS_BAD_FIELD,
                                          _("a sealed body has a header and what is left of a destroyed one"))
                              : check_size("SealedBody.wrapped_key", body->wrapped_key, WRAPPED_SIZE, err);
    if (n_erased != body->n_item || body->wrapped_key.len > 0 || body->slot != 0)
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("a sealed body has no header, but a key or parts without one"));
    if (body->skeleton && body->content_digest.len == 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("what is left of a destroyed event is not whole"));
    return body->skeleton ? skeleton_check(body->skeleton, err) : 0;
}

static int body_check(const Casebus__V1__SealedBody *body, struct casebus_error *err)
{
    size_t n_erased = 0;
    if (check_format("SealedBody.format", body->format, err) ||
        check_suite("SealedBody.suite", body->suite, err) ||
        check_count("SealedBody.item", body->n_item, BODY_ITEMS_MAX, err))
        return -1;
    if (body->n_item == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "SealedBody.item");
    for (size_t i = 0; i < body->n_item; i++) {
        n_erased += body->item[i].len == 0;
        if (body->item[i].len > 0 && body->item[i].len < SEAL_EXTRA)
            return error_set(err, CASEBUS_BAD_FIELD, _("item %zu of a sealed body has only %zu bytes"), i,
                             body->item[i].len);
    }
    if (body_erasure_check(body, n_erased, err) ||
        check_count("SealedBody.member_digest", body->n_member_digest, BATCH_MAX_EVENTS, err))
        return -1;
    for (size_t i = 0; i < body->n_member_digest; i++)
        if (check_size("SealedBody.member_digest", body->member_digest[i], DIGEST_SIZE, err))
            return -1;
    return body->content_digest.len == 0
               ? 0
               : check_size("SealedBody.content_digest", body->content_digest, DIGEST_SIZE, err);
}

Casebus__V1__SealedBody *body_decode(struct bytes body, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = BODY_MAX, .max_fields = BODY_ITEMS_MAX + BATCH_MAX_EVENTS + 64, .max_depth = 2};
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__sealed_body__descriptor, body, &limits, arena, err);
    Casebus__V1__SealedBody *decoded = (Casebus__V1__SealedBody *)message;

    if (!decoded || body_check(decoded, err))
        return NULL;
    return decoded;
}

/* label 0x00 origin 0x00 subject, and room for an index behind it. */
static struct bytes associated_data(uint8_t out[ASSOCIATED_MAX], const char *label, const char *origin,
                                    const uint8_t subject[DIGEST_SIZE])
{
    size_t label_size = strlen(label) + 1;
    size_t origin_size = strnlen(origin, ORIGIN_MAX) + 1;

    assert(origin_size <= ORIGIN_MAX);
    memcpy(out, label, label_size);
    memcpy(out + label_size, origin, origin_size);
    memcpy(out + label_size + origin_size, subject, DIGEST_SIZE);
    return bytes_of(out, label_size + origin_size + DIGEST_SIZE);
}

static struct bytes item_data(uint8_t out[ASSOCIATED_MAX], const char *origin,
                              const uint8_t subject[DIGEST_SIZE], uint32_t index)
{
    struct bytes data = associated_data(out, "casebus/v1/body", origin, subject);

    put_u32be(out + data.size, index);
    data.size += 4;
    return data;
}

int body_seal_items(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                    const struct bytes *items, size_t n_items, struct arena *arena, struct body_seal *seal,
                    struct casebus_error *err)
{
    assert(n_items > 0);
    if (check_count("SealedBody.item", n_items, BODY_ITEMS_MAX, err))
        return -1;
    crypter_random(crypter, seal->key, sizeof seal->key);
    memcpy(seal->subject, subject, DIGEST_SIZE);
    seal->n_items = n_items;
    seal->items = arena_alloc(arena, n_items * sizeof seal->items[0]);
    if (!seal->items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to seal a body"));
    for (size_t i = 0; i < n_items; i++) {
        uint8_t associated[ASSOCIATED_MAX];
        uint8_t nonce[12] = {0};
        uint8_t *out = arena_alloc(arena, items[i].size + SEAL_EXTRA);
        if (!out)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to seal a body"));
        put_u32be(nonce + 8, (uint32_t)i);
        crypter_seal(crypter, seal->key, nonce, item_data(associated, origin, subject, (uint32_t)i), items[i],
                     out);
        seal->items[i] = bytes_of(out, items[i].size + SEAL_EXTRA);
    }
    return 0;
}

static bool digest_is_set(const uint8_t digest[DIGEST_SIZE])
{
    static const uint8_t none[DIGEST_SIZE];

    return memcmp(digest, none, DIGEST_SIZE) != 0;
}

int body_wrap(struct crypter *crypter, const char *origin, struct body_seal *seal, uint64_t slot,
              const uint8_t slot_key[KEY_SIZE], struct arena *arena, struct bytes *body,
              struct casebus_error *err)
{
    uint8_t associated[ASSOCIATED_MAX];
    uint8_t wrapped[WRAPPED_SIZE];
    ProtobufCBinaryData *items = arena_alloc(arena, seal->n_items * sizeof items[0]);
    ProtobufCBinaryData *members = arena_alloc(arena, (seal->n_member_digests + 1) * sizeof members[0]);
    Casebus__V1__SealedBody message = CASEBUS__V1__SEALED_BODY__INIT;

    if (!items || !members)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack a sealed body"));
    crypter_seal(crypter, slot_key, NULL,
                 associated_data(associated, "casebus/v1/wrap", origin, seal->subject),
                 bytes_of(seal->key, KEY_SIZE), wrapped);
    secret_clear(seal->key, sizeof seal->key);
    for (size_t i = 0; i < seal->n_items; i++)
        items[i] = (ProtobufCBinaryData){seal->items[i].size, (uint8_t *)(uintptr_t)seal->items[i].data};
    message.format = 1;
    message.suite = (Casebus__V1__Suite)suite_id(crypter_suite(crypter));
    message.slot = slot;
    message.wrapped_key = (ProtobufCBinaryData){sizeof wrapped, wrapped};
    message.item = items;
    message.n_item = seal->n_items;
    for (size_t i = 0; i < seal->n_member_digests; i++)
        members[i] = (ProtobufCBinaryData){DIGEST_SIZE, seal->member_digests[i]};
    message.member_digest = members;
    message.n_member_digest = seal->n_member_digests;
    if (digest_is_set(seal->content_digest))
        message.content_digest = (ProtobufCBinaryData){DIGEST_SIZE, seal->content_digest};
    *body = codec_pack(&message, arena);
    if (!body->data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack a sealed body"));
    return 0;
}

int body_open_item(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                   const Casebus__V1__SealedBody *body, const uint8_t slot_key[KEY_SIZE], size_t index,
                   struct arena *arena, struct bytes *plain, struct casebus_error *err)
{
    uint8_t associated[ASSOCIATED_MAX];
    uint8_t key[KEY_SIZE];

    if (index >= body->n_item)
        return error_set(err, CASEBUS_NOT_FOUND, _("a sealed body has %zu items; there is no item %zu"),
                         body->n_item, index);
    if (body->item[index].len == 0)
        return error_set(err, CASEBUS_ERASED, _("item %zu of a sealed body was destroyed"), index);
    size_t size = body->item[index].len - SEAL_EXTRA;
    uint8_t *out = arena_alloc(arena, size);
    if (!out)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open a sealed body"));
    if (!crypter_open(crypter, slot_key, associated_data(associated, "casebus/v1/wrap", origin, subject),
                      bytes_of_field(body->wrapped_key), key))
        return error_set(err, CASEBUS_DAMAGED, _("the key of a sealed body does not open under slot %llu"),
                         (unsigned long long)body->slot);
    bool opened = crypter_open(crypter, key, item_data(associated, origin, subject, (uint32_t)index),
                               bytes_of_field(body->item[index]), out);
    secret_clear(key, sizeof key);
    if (!opened)
        return error_set(err, CASEBUS_DAMAGED, _("item %zu of a sealed body does not open"), index);
    *plain = bytes_of(out, size);
    return 0;
}

/* --- what is left after an erasure --------------------------------------------------------------------- */

/* Opens item @index under @key, the body's own, and seals it under @new_key. */
static int item_reseal(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                       const uint8_t key[KEY_SIZE], const uint8_t new_key[KEY_SIZE], uint32_t index,
                       ProtobufCBinaryData *item, struct arena *arena, struct casebus_error *err)
{
    uint8_t associated[ASSOCIATED_MAX], nonce[12] = {0};
    size_t size = item->len - SEAL_EXTRA;
    uint8_t *plain = arena_alloc(arena, size + 1), *sealed = arena_alloc(arena, item->len);
    if (!plain || !sealed)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to seal a body"));
    struct bytes data = item_data(associated, origin, subject, index);
    if (!crypter_open(crypter, key, data, bytes_of_field(*item), plain))
        return error_set(err, CASEBUS_DAMAGED, _("item %zu of a sealed body does not open"), (size_t)index);
    put_u32be(nonce + 8, index);
    crypter_seal(crypter, new_key, nonce, data, bytes_of(plain, size), sealed);
    secret_clear(plain, size);
    *item = (ProtobufCBinaryData){size + SEAL_EXTRA, sealed};
    return 0;
}

static int items_reseal(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                        const uint8_t key[KEY_SIZE], const uint8_t new_key[KEY_SIZE], uint64_t erased,
                        Casebus__V1__SealedBody *body, struct arena *arena, struct casebus_error *err)
{
    for (size_t i = 0; i < body->n_item; i++) {
        if (i < 64 && (erased >> i & 1))
            body->item[i] = (ProtobufCBinaryData){0, NULL};
        if (body->item[i].len > 0 &&
            item_reseal(crypter, origin, subject, key, new_key, (uint32_t)i, &body->item[i], arena, err))
            return -1;
    }
    return 0;
}

int body_without(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                 const Casebus__V1__SealedBody *body, const uint8_t slot_key[KEY_SIZE], uint64_t erased,
                 uint64_t new_slot, const uint8_t new_slot_key[KEY_SIZE], struct arena *arena,
                 struct bytes *out, struct casebus_error *err)
{
    uint8_t associated[ASSOCIATED_MAX], key[KEY_SIZE], new_key[KEY_SIZE], wrapped[WRAPPED_SIZE];
    Casebus__V1__SealedBody left = *body;
    left.item = arena_copy(arena, body->item, body->n_item * sizeof body->item[0]);
    if (!left.item)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to seal a body"));
    struct bytes data = associated_data(associated, "casebus/v1/wrap", origin, subject);
    if (!crypter_open(crypter, slot_key, data, bytes_of_field(body->wrapped_key), key))
        return error_set(err, CASEBUS_DAMAGED, _("the key of a sealed body does not open under slot %llu"),
                         (unsigned long long)body->slot);
    crypter_random(crypter, new_key, sizeof new_key);
    crypter_seal(crypter, new_slot_key, NULL, data, bytes_of(new_key, sizeof new_key), wrapped);
    int r = items_reseal(crypter, origin, subject, key, new_key, erased, &left, arena, err);
    secret_clear(key, sizeof key);
    secret_clear(new_key, sizeof new_key);
    if (r)
        return -1;
    left.slot = new_slot;
    left.wrapped_key = (ProtobufCBinaryData){sizeof wrapped, wrapped};
    *out = codec_pack(&left, arena);
    return out->data ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack a sealed body"));
}

int body_emptied(const Casebus__V1__SealedBody *body, const Casebus__V1__EventSkeleton *skeleton,
                 struct arena *arena, struct bytes *out, struct casebus_error *err)
{
    Casebus__V1__SealedBody left = *body;
    ProtobufCBinaryData *items = arena_alloc(arena, body->n_item * sizeof items[0]);
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack a sealed body"));
    for (size_t i = 0; i < body->n_item; i++)
        items[i] = (ProtobufCBinaryData){0, NULL};
    left.item = items;
    left.slot = 0;
    left.wrapped_key = (ProtobufCBinaryData){0, NULL};
    left.skeleton = (Casebus__V1__EventSkeleton *)(uintptr_t)skeleton;
    *out = codec_pack(&left, arena);
    return out->data ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack a sealed body"));
}
