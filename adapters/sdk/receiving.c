/* Receiving: frames of deliveries wait here until the application has taken them one by one; each frame that
 * is done gives its credit back to the hub, so no more waits than the window that was asked for. When the
 * application cannot take one, it is asked again a little later. Confirmations are gathered for a tenth of a
 * second, because each costs two signatures and a place in the ledger. */
#include "adapters/sdk/event.h"
#include "adapters/sdk/session.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/statement.h"
#include "proto/merkle/tree.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    CONFIRM_MS = 100,
    PAUSE_MIN_MS = 20,
    PAUSE_MAX_MS = 1000,
    FRAME_ARENA_MAX = 4 * 1024 * 1024,
    STATEMENT_ARENA = 4096,
    ANSWERS_MAX = 32, /* in one delivery */
    ANSWER_TEXT_MAX = 64,
    RECORD_TEXT_MAX = 128,
};

struct deliveries {
    struct deliveries *next;
    struct arena arena;
    const Casebus__V1__Deliver *deliver;
    size_t at; /* the next one to hand over */
    size_t bytes;
};

static struct deliveries *deliveries_free(struct deliveries *deliveries)
{
    arena_deinit(&deliveries->arena);
    free(deliveries);
    return NULL;
}

static void waiting_drop(struct receiver *receiver)
{
    struct deliveries *first = receiver->waiting;
    receiver->waiting = first->next;
    receiver->waiting_bytes -= first->bytes;
    if (!receiver->waiting)
        receiver->waiting_end = &receiver->waiting;
    deliveries_free(first);
}

static void waiting_add(struct receiver *receiver, struct deliveries *deliveries)
{
    *receiver->waiting_end = deliveries;
    receiver->waiting_end = &deliveries->next;
    receiver->waiting_bytes += deliveries->bytes;
}

/* --- the two things that wait for a time --- */

static void receiver_on_timer(uv_timer_t *timer);

static void timer_set(struct session *session)
{
    struct receiver *receiver = &session->receiver;
    uint64_t at = receiver->resume_at_ms;
    if (receiver->confirm_at_ms && (!at || receiver->confirm_at_ms < at))
        at = receiver->confirm_at_ms;
    uint64_t now = uv_now(session->parts.loop);
    if (at)
        uv_timer_start(&receiver->timer, receiver_on_timer, at > now ? at - now : 0, 0);
}

static void receiver_pause(struct session *session)
{
    struct receiver *receiver = &session->receiver;
    receiver->pause_ms = receiver->pause_ms ? 2 * receiver->pause_ms : PAUSE_MIN_MS;
    if (receiver->pause_ms > PAUSE_MAX_MS)
        receiver->pause_ms = PAUSE_MAX_MS;
    receiver->resume_at_ms = uv_now(session->parts.loop) + receiver->pause_ms;
    timer_set(session);
}

void session_confirm(struct session *session)
{
    struct receiver *receiver = &session->receiver;
    if (receiver->confirm_at_ms || session->state == SESSION_CLOSED)
        return;
    uv_update_time(session->parts.loop);
    receiver->confirm_at_ms = uv_now(session->parts.loop) + CONFIRM_MS;
    timer_set(session);
}

/* --- confirming --- */

static struct bytes statement_pack(const struct session *session, struct arena *arena)
{
    const struct session_parts *parts = &session->parts;
    const struct inbox_mark *confirmed = &parts->inbox->confirmed;
    const struct checkpoint *checkpoint = &parts->witness->newest;
    Casebus__V1__DeliveryId last = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__ConfirmStatement statement = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    last.position = confirmed->id.position;
    last.ordinal = confirmed->id.ordinal;
    statement.context = (char *)CONFIRM_CONTEXT;
    statement.suite = (Casebus__V1__Suite)suite_id(parts->enrolment->suite);
    statement.origin = (char *)parts->enrolment->origin;
    statement.node = (char *)parts->enrolment->node;
    statement.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, (uint8_t *)parts->enrolment->key_id};
    statement.last = &last;
    statement.running_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)confirmed->hash};
    statement.checkpoint_size = checkpoint->size;
    if (checkpoint->size > 0)
        statement.checkpoint_root = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)checkpoint->root};
    statement.confirmed_at_us = clock_unix_us();
    return codec_pack(&statement, arena);
}

static int confirm_send(struct session *session, struct casebus_error *err)
{
    struct arena arena;
    uint8_t signature[SIGNATURE_SIZE];
    Casebus__V1__Confirm confirm = CASEBUS__V1__CONFIRM__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    arena_init(&arena, STATEMENT_ARENA, STATEMENT_ARENA);
    struct bytes statement = statement_pack(session, &arena);
    int r = statement.data ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a confirmation"));
    if (r == 0)
        r = signing_key_sign(session->parts.enrolment->key, statement, signature, err);
    if (r == 0) {
        confirm.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)statement.data};
        confirm.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
        frame.body_case = CASEBUS__V1__FRAME__BODY_CONFIRM;
        frame.confirm = &confirm;
        r = session_send(session, &frame, err);
    }
    arena_deinit(&arena);
    return r;
}

/* On disk first: what the hub knows to be confirmed, this node must never ask for again. */
static int confirm_work(struct session *session, struct casebus_error *err)
{
    session->receiver.confirm_at_ms = 0;
    if (inbox_save(session->parts.inbox, err) != 0)
        return -1;
    return session->state == SESSION_READY ? confirm_send(session, err) : 0;
}

static void receiver_on_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct receiver *receiver = &session->receiver;
    struct casebus_error err;
    uint64_t now = uv_now(session->parts.loop);
    if (receiver->resume_at_ms && receiver->resume_at_ms <= now)
        receiver->resume_at_ms = 0;
    if (receiver->confirm_at_ms && receiver->confirm_at_ms <= now && confirm_work(session, &err) != 0) {
        log_error(session->parts.log, "INBOX-STATE", "%s", err.text);
        if (session->state == SESSION_READY)
            session_fault(session, &err, false, 0);
    }
    timer_set(session);
    session_work(session);
}

/* --- handing over --- */

static int malformed(const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_MALFORMED, "%s", what);
}

/* That the parts are those which the publisher committed to. */
static int parts_check(struct session *session, const Casebus__V1__Delivery *delivery,
                       const Casebus__V1__EventHeader *header, struct event_part *parts,
                       struct casebus_error *err)
{
    uint8_t mac[DIGEST_SIZE];
    if (delivery->n_part > PARTS_MAX)
        return malformed(_("the hub has sent a delivery with too many parts"), err);
    for (size_t i = 0; i < delivery->n_part; i++) {
        const Casebus__V1__DeliveredPart *part = delivery->part[i];
        struct bytes content = bytes_of(part->content.data, part->content.len);
        if (part->index >= header->n_commitment || part->salt.len != SALT_SIZE)
            return malformed(_("the hub has sent a delivery with a part that is not in its header"), err);
        part_commitment(session->parts.crypter, part->salt.data, content, mac);
        if (!secret_equal(mac, header->commitment[part->index]->mac.data, DIGEST_SIZE))
            return error_set(err, CASEBUS_COMMITMENT,
                             _("part %" PRIu32 " of delivery %" PRIu64 ".%" PRIu32
                               " is not what its publisher committed to"),
                             part->index, delivery->id->position, delivery->id->ordinal);
        parts[i] = (struct event_part){part->index, content};
    }
    return 0;
}

/* Reads the delivery into the receiver's event and fills in what stands beside it. */
static int delivery_read(struct session *session, const Casebus__V1__Delivery *sent,
                         struct casebus_delivery *delivery, uint8_t hash[DIGEST_SIZE],
                         struct casebus_error *err)
{
    struct event_part parts[PARTS_MAX];
    struct bytes header = bytes_of(sent->header.data, sent->header.len);
    arena_reset(&session->arena);
    const Casebus__V1__EventHeader *decoded = event_header_decode(header, &session->arena, err);
    if (sent->case_id.len != CASE_ID_SIZE)
        return malformed(_("the hub has sent a delivery without the id of its case"), err);
    if (!decoded || parts_check(session, sent, decoded, parts, err) != 0 ||
        event_read(session->receiver.event, header, parts, sent->n_part, err) != 0)
        return error_context(err, _("delivery %" PRIu64 ".%" PRIu32), sent->id->position, sent->id->ordinal);
    event_hash(session->parts.crypter, header, hash);
    *delivery = (struct casebus_delivery){.id = {sent->id->position, sent->id->ordinal},
                                          .hub_time_us = sent->hub_time_us,
                                          .node = sent->node,
                                          .number = sent->number,
                                          .event = session->receiver.event};
    hex_encode(delivery->case_id, sent->case_id.data, CASE_ID_SIZE);
    hex_encode(delivery->event_id, hash, DIGEST_SIZE);
    return 0;
}

static int erased_read(struct arena *arena, const Casebus__V1__ErasedDelivery *sent,
                       struct casebus_erased *erased, struct casebus_error *err)
{
    if (!sent->id || sent->event_hash.len != DIGEST_SIZE || sent->n_part > PARTS_MAX)
        return malformed(_("the hub has sent an order to destroy that does not say what"), err);
    *erased = (struct casebus_erased){
        .id = {sent->id->position, sent->id->ordinal}, .header = sent->header != 0, .n_parts = sent->n_part};
    hex_encode(erased->event_id, sent->event_hash.data, DIGEST_SIZE);
    erased->parts = arena_copy(arena, sent->part, sent->n_part * sizeof sent->part[0]);
    return erased->parts || !sent->n_part ? 0
                                          : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
}

/* An order to destroy. What stands for the event hash is the hash of the order's entry as a leaf, so that
 * confirming it is bound to the very entry that the ledger has. */
static int erasure_read(struct session *session, const Casebus__V1__Erasure *sent,
                        struct casebus_delivery *delivery, struct casebus_erasure *erasure,
                        uint8_t hash[DIGEST_SIZE], struct casebus_error *err)
{
    struct bytes leaf = bytes_of(sent->entry.data, sent->entry.len);
    Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &session->arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return malformed(_("the hub has sent an order to destroy whose entry is none"), err);
    const Casebus__V1__ErasureOrdered *ordered = entry->act->erasure_ordered;
    if (sent->n_delivery > ordered->n_content)
        return malformed(_("the hub has sent an order to destroy that lists more than its entry"), err);
    struct casebus_erased *items = arena_alloc(&session->arena, (sent->n_delivery + 1) * sizeof *items);
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
    for (size_t i = 0; i < sent->n_delivery; i++)
        if (erased_read(&session->arena, sent->delivery[i], &items[i], err) != 0)
            return -1;
    *erasure = (struct casebus_erasure){.retention = ordered->reason ==
                                                     CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_RETENTION,
                                        .items = items,
                                        .n_items = sent->n_delivery};
    tree_leaf_hash(session->parts.crypter, leaf, hash);
    delivery->erasure = erasure;
    delivery->node = "";
    if (ordered->case_id.len == CASE_ID_SIZE)
        hex_encode(delivery->case_id, ordered->case_id.data, CASE_ID_SIZE);
    return 0;
}

static int gone_read(const Casebus__V1__Delivery *sent, struct casebus_delivery *delivery,
                     uint8_t hash[DIGEST_SIZE], struct casebus_error *err)
{
    if (sent->event_hash.len != DIGEST_SIZE || sent->case_id.len != CASE_ID_SIZE || sent->n_part > 0)
        return malformed(_("the hub has sent a delivery without content that does not say of what"), err);
    memcpy(hash, sent->event_hash.data, DIGEST_SIZE);
    delivery->erased = !sent->answers && !sent->retraction;
    delivery->node = sent->node;
    delivery->number = sent->number;
    hex_encode(delivery->case_id, sent->case_id.data, CASE_ID_SIZE);
    return 0;
}

/* What a delivery without an event points to. */
struct beside {
    struct casebus_erasure erasure;
    struct casebus_answers answers;
    struct casebus_retraction retraction;
};

/* Yes or no in place of the event. The hub's own words, but checked all the same: they go into programs. */
static int answers_read(struct session *session, const Casebus__V1__Answers *sent,
                        struct casebus_answers *answers, struct casebus_error *err)
{
    struct casebus_answer *items = arena_alloc(&session->arena, (sent->n_answer + 1) * sizeof *items);
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
    if (sent->n_answer == 0 || sent->n_answer > ANSWERS_MAX || strlen(sent->case_number) > ANSWER_TEXT_MAX)
        return malformed(_("the hub has sent answers that answer nothing, or too much"), err);
    for (size_t i = 0; i < sent->n_answer; i++) {
        if (!sent->answer[i]->question[0] || strlen(sent->answer[i]->question) > ANSWER_TEXT_MAX)
            return malformed(_("the hub has sent an answer without its question"), err);
        items[i] = (struct casebus_answer){sent->answer[i]->question, sent->answer[i]->yes != 0};
    }
    *answers = (struct casebus_answers){sent->case_number, sent->item, sent->area, items, sent->n_answer};
    return 0;
}

static int retraction_read(const Casebus__V1__Retraction *sent, struct casebus_retraction *retraction,
                           struct casebus_error *err)
{
    if (sent->event_hash.len != DIGEST_SIZE || strlen(sent->case_number) > ANSWER_TEXT_MAX ||
        strlen(sent->record_namespace) > RECORD_TEXT_MAX || strlen(sent->record_id) > RECORD_TEXT_MAX)
        return malformed(_("the hub has sent word that an event holds no more, and does not say which"), err);
    *retraction = (struct casebus_retraction){.case_number = sent->case_number,
                                              .record_namespace = sent->record_namespace,
                                              .record_id = sent->record_id,
                                              .position = sent->position};
    hex_encode(retraction->event_id, sent->event_hash.data, DIGEST_SIZE);
    return 0;
}

/* Of any kind. */
static int any_read(struct session *session, const Casebus__V1__Delivery *sent,
                    struct casebus_delivery *delivery, struct beside *beside, uint8_t hash[DIGEST_SIZE],
                    struct casebus_error *err)
{
    if (!sent->erasure && sent->header.len > 0)
        return delivery_read(session, sent, delivery, hash, err);
    arena_reset(&session->arena);
    delivery->id = (struct casebus_delivery_id){sent->id->position, sent->id->ordinal};
    delivery->hub_time_us = sent->hub_time_us;
    int r = sent->erasure ? erasure_read(session, sent->erasure, delivery, &beside->erasure, hash, err)
                          : gone_read(sent, delivery, hash, err);
    if (r == 0 && !sent->erasure && sent->answers) {
        r = answers_read(session, sent->answers, &beside->answers, err);
        delivery->answers = &beside->answers;
    } else if (r == 0 && !sent->erasure && sent->retraction) {
        r = retraction_read(sent->retraction, &beside->retraction, err);
        delivery->retraction = &beside->retraction;
    }
    if (r != 0)
        return error_context(err, _("delivery %" PRIu64 ".%" PRIu32), sent->id->position, sent->id->ordinal);
    hex_encode(delivery->event_id, hash, DIGEST_SIZE);
    return 0;
}

static int hole_found(struct session *session, const Casebus__V1__Delivery *sent, struct casebus_error *err)
{
    const struct inbox_mark *last = &session->parts.inbox->last;
    log_warning(session->parts.log, "DELIVERY-HOLE",
                _("delivery %" PRIu64 ".%" PRIu32 " does not follow %" PRIu64 ".%" PRIu32
                  ": asking for what is missing"),
                sent->id->position, sent->id->ordinal, last->id.position, last->id.ordinal);
    return error_set(err, CASEBUS_MALFORMED, _("deliveries were missing before %" PRIu64 ".%" PRIu32),
                     sent->id->position, sent->id->ordinal);
}

/* 0: handed over; 1: the application wants it again later; -1: a fault. */
static int delivery_hand_over(struct session *session, const Casebus__V1__Delivery *sent,
                              struct casebus_error *err)
{
    struct inbox *inbox = session->parts.inbox;
    struct casebus_delivery delivery = {0};
    struct beside beside = {0};
    struct inbox_mark before = inbox->last;
    uint8_t hash[DIGEST_SIZE];
    if (any_read(session, sent, &delivery, &beside, hash, err) != 0 ||
        inbox_take(inbox, delivery.id, hash, err) != 0)
        return -1;
    if (session->parts.events->on_delivery(session->parts.self, &delivery) == 0)
        return 0;
    inbox_untake(inbox, &before);
    return 1;
}

static int delivery_work(struct session *session, const Casebus__V1__Delivery *sent,
                         struct casebus_error *err)
{
    if (!sent->id)
        return malformed(_("the hub has sent a delivery without an id"), err);
    switch (inbox_look(session->parts.inbox, sent)) {
    case INBOX_NEXT:
        return delivery_hand_over(session, sent, err);
    case INBOX_REPEATED:
        return 0;
    case INBOX_HOLE:
        break;
    }
    return hole_found(session, sent, err);
}

/* Too many are unconfirmed: says so once, and waits. */
static bool inbox_blocks(struct session *session)
{
    struct receiver *receiver = &session->receiver;
    if (!inbox_is_full(session->parts.inbox)) {
        receiver->full_told = false;
        return false;
    }
    if (!receiver->full_told)
        log_warning(session->parts.log, "DELIVERY-UNCONFIRMED",
                    _("%d deliveries are not confirmed: no more are taken before some are"),
                    INBOX_UNCONFIRMED_MAX);
    receiver->full_told = true;
    return true;
}

/* Hands over what is in the oldest frame. 0: all of it; 1: paused; -1. */
static int deliveries_work(struct session *session, struct deliveries *deliveries, struct casebus_error *err)
{
    while (deliveries->at < deliveries->deliver->n_delivery) {
        int r = inbox_blocks(session)
                    ? 1
                    : delivery_work(session, deliveries->deliver->delivery[deliveries->at], err);
        if (r == 1)
            receiver_pause(session);
        if (r != 0)
            return r;
        session->receiver.pause_ms = 0;
        deliveries->at++;
    }
    return 0;
}

static int credit_send(struct session *session, const Casebus__V1__DeliveryId *id, struct casebus_error *err)
{
    Casebus__V1__Credit credit = CASEBUS__V1__CREDIT__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    credit.consumed = (Casebus__V1__DeliveryId *)id;
    frame.body_case = CASEBUS__V1__FRAME__BODY_CREDIT;
    frame.credit = &credit;
    return session_send(session, &frame, err);
}

int receiving_work(struct session *session, struct casebus_error *err)
{
    struct receiver *receiver = &session->receiver;
    while (receiver->waiting && !receiver->resume_at_ms) {
        const Casebus__V1__Deliver *deliver = receiver->waiting->deliver;
        int r = deliveries_work(session, receiver->waiting, err);
        if (r == 0 && deliver->n_delivery > 0)
            r = credit_send(session, deliver->delivery[deliver->n_delivery - 1]->id, err);
        if (r != 0)
            return r < 0 ? -1 : 0;
        waiting_drop(receiver);
    }
    return 0;
}

/* --- the session's events --- */

static int subscribe_send(struct session *session, struct casebus_error *err)
{
    const struct inbox_mark *last = &session->parts.inbox->last;
    Casebus__V1__DeliveryId after = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__Subscribe subscribe = CASEBUS__V1__SUBSCRIBE__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    after.position = last->id.position;
    after.ordinal = last->id.ordinal;
    subscribe.resume = last->any;
    subscribe.after = last->any ? &after : NULL;
    subscribe.window_bytes = session->parts.receive_window;
    frame.body_case = CASEBUS__V1__FRAME__BODY_SUBSCRIBE;
    frame.subscribe = &subscribe;
    return session_send(session, &frame, err);
}

int receiving_open(struct session *session, struct casebus_error *err)
{
    session->receiver.waiting_end = &session->receiver.waiting;
    session->receiver.event = casebus_event_new();
    return session->receiver.event ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a session"));
}

int receiving_begin(struct session *session, struct casebus_error *err)
{
    if (!session->parts.subscribe)
        return 0;
    if (session->parts.inbox->confirmed.any)
        session_confirm(session); /* the hub may have missed the last one */
    return subscribe_send(session, err);
}

static int checkpoint_take(struct session *session, const Casebus__V1__Deliver *deliver,
                           struct casebus_error *err)
{
    return deliver->checkpoint ? witness_advance(session->parts.witness, deliver->checkpoint, err) : 0;
}

int receiving_on_deliver(struct session *session, struct bytes bytes, struct casebus_error *err)
{
    struct receiver *receiver = &session->receiver;
    if (!session->parts.subscribe ||
        receiver->waiting_bytes + bytes.size > (size_t)session->parts.receive_window + FRAME_MAX)
        return malformed(_("the hub has sent a delivery that was not asked for"), err);
    struct deliveries *deliveries = calloc(1, sizeof *deliveries);
    if (!deliveries)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
    deliveries->bytes = bytes.size;
    arena_init(&deliveries->arena, 2 * bytes.size, FRAME_ARENA_MAX);
    const Casebus__V1__Frame *frame = frame_decode(bytes, &deliveries->arena, err);
    if (!frame || checkpoint_take(session, frame->deliver, err) != 0) {
        deliveries_free(deliveries);
        return -1;
    }
    deliveries->deliver = frame->deliver;
    waiting_add(receiver, deliveries);
    return 0;
}

/* What was not handed over comes again in the next session. */
void receiving_end(struct session *session)
{
    while (session->receiver.waiting)
        waiting_drop(&session->receiver);
    session->receiver.resume_at_ms = session->receiver.pause_ms = 0;
}

void receiving_close(struct session *session)
{
    session->receiver.event = casebus_event_free(session->receiver.event);
}
