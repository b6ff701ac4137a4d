/* Deliveries: each receiver has a place in the ledger and moves forward through what was decided for it.
 *
 * What is newer than ledger and state on disk comes from the groups in memory; what is older from the inbox
 * table, with the bodies opened from the ledger. A receiver that is far behind costs a bounded piece of work
 * a round, and nothing in memory but its window. */
#include "hub/bus/internal.h"
#include "hub/exchange/answers.h"
#include "hub/exchange/tables.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"

#include <stdlib.h>

#define DISK_BATCH     64 /* deliveries in one page of the inbox */
#define ROUND_PAGES    4  /* of one receiver in one round, so that the others wait for a bounded piece only */
#define ROUND_FRAMES   4
#define ERASURE_BYTES  (100 * 1024) /* of an order with its list, at most about */
#define DELIVERIES_MAX 512          /* in one frame */

/* ---- one frame being filled ---- */

struct filling {
    struct bus *bus;
    struct session *session;
    Casebus__V1__Delivery *deliveries[DELIVERIES_MAX];
    size_t n;
    size_t bytes;
    unsigned frames; /* sent in this round */
    bool done;       /* for this round */
};

static struct receiver *receiver_of(struct filling *filling)
{
    return &filling->session->receiver;
}

/* Sends what was gathered. False: the session is gone. */
static bool filling_send(struct filling *filling)
{
    struct receiver *receiver = receiver_of(filling);
    if (!filling->n)
        return true;
    Casebus__V1__Deliver deliver = CASEBUS__V1__DELIVER__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    const Casebus__V1__Delivery *last = filling->deliveries[filling->n - 1];
    deliver.delivery = filling->deliveries;
    deliver.n_delivery = filling->n;
    frame.body_case = CASEBUS__V1__FRAME__BODY_DELIVER;
    frame.deliver = &deliver;
    receiver->sent[(receiver->sent_first + receiver->n_sent++) % DELIVER_FRAMES_MAX] =
        (struct sent_frame){last->id->position, last->id->ordinal, (uint32_t)filling->bytes};
    receiver->sent_bytes += filling->bytes;
    filling->session->deliveries += filling->n;
    atomic_fetch_add_explicit(&filling->bus->n_deliveries, filling->n, memory_order_relaxed);
    if (!session_send(filling->bus, filling->session, &frame))
        filling->session = NULL;
    filling->n = filling->bytes = 0;
    filling->frames++;
    arena_reset(&filling->bus->arena);
    return filling->session;
}

static bool window_open(const struct receiver *receiver, size_t more)
{
    return receiver->n_sent < DELIVER_FRAMES_MAX &&
           (receiver->sent_bytes + more < receiver->window || !receiver->n_sent);
}

/* Adds a delivery whose fields are set but for its id and the one before. False without memory. */
static bool filling_add(struct filling *filling, Casebus__V1__Delivery *delivery, uint64_t position,
                        uint32_t ordinal)
{
    struct receiver *receiver = receiver_of(filling);
    Casebus__V1__DeliveryId *ids = arena_alloc(&filling->bus->arena, 2 * sizeof(*ids));
    if (!ids)
        return false;
    casebus__v1__delivery_id__init(&ids[0]);
    casebus__v1__delivery_id__init(&ids[1]);
    ids[0].position = position;
    ids[0].ordinal = ordinal;
    ids[1].position = receiver->previous_position;
    ids[1].ordinal = receiver->previous_ordinal;
    delivery->id = &ids[0];
    delivery->previous = receiver->has_previous ? &ids[1] : NULL;
    delivery->first = !receiver->has_previous;
    filling->deliveries[filling->n++] = delivery;
    filling->bytes += casebus__v1__delivery__get_packed_size(delivery);
    receiver->has_previous = true;
    receiver->previous_position = position;
    receiver->previous_ordinal = ordinal;
    return true;
}

/* Whether one more of about @size bytes may go into this frame; sends the frame first when it is full. False:
 * it has to wait, for credit or for the next round, or the session is gone. */
static bool filling_ready(struct filling *filling, size_t size)
{
    bool frame_full =
        filling->n == DELIVERIES_MAX || (filling->n && filling->bytes + size > DELIVER_FRAME_BYTES);
    if (frame_full && !filling_send(filling))
        return false;
    if (!window_open(receiver_of(filling), filling->bytes + size))
        filling->done = receiver_of(filling)->blocked = true;
    if (filling->frames == ROUND_FRAMES)
        filling->done = true;
    return !filling->done;
}

/* ---- answers in place of an event ---- */

bool delivery_answer(struct bus *bus, Casebus__V1__Delivery *delivery, const Casebus__V1__EventHeader *header,
                     uint32_t questions, bool holds)
{
    struct answer found[QUESTIONS_MAX];
    size_t n = answers_of(header, questions, found);
    Casebus__V1__Answers *answers = arena_alloc(&bus->arena, sizeof *answers);
    Casebus__V1__Answer *answer = arena_alloc(&bus->arena, (n + 1) * sizeof *answer);
    Casebus__V1__Answer **list = arena_alloc(&bus->arena, (n + 1) * sizeof *list);
    if (!answers || !answer || !list)
        return false;
    casebus__v1__answers__init(answers);
    answers->case_number = header->case_number;
    answers->item = header->item;
    answers->area = header->area;
    answers->answer = list;
    for (size_t i = 0; i < n; i++) {
        casebus__v1__answer__init(&answer[i]);
        answer[i].question = (char *)(uintptr_t)question_name(found[i].question);
        answer[i].yes = holds && found[i].yes;
        list[answers->n_answer++] = &answer[i];
    }
    delivery->answers = answers;
    return true;
}

/* ---- from memory ---- */

static Casebus__V1__Delivery *delivery_of_event(struct bus *bus, const struct group *group,
                                                const struct group_event *event,
                                                const struct exchange_receiver *to)
{
    const Casebus__V1__Event *wire = event->member->wire;
    const struct exchange_event *said = &event->member->event;
    uint32_t part_mask = to->part_mask;
    Casebus__V1__Delivery *delivery = arena_alloc(&bus->arena, sizeof(*delivery));
    Casebus__V1__DeliveredPart *parts = arena_alloc(&bus->arena, (wire->n_part + 1) * sizeof(*parts));
    Casebus__V1__DeliveredPart **list = arena_alloc(&bus->arena, (wire->n_part + 1) * sizeof(*list));
    if (!delivery || !parts || !list)
        return NULL;
    casebus__v1__delivery__init(delivery);
    delivery->hub_time_us = group->hub_time_us;
    delivery->node = (char *)event->node;
    delivery->stream = event->stream;
    delivery->number = event->number;
    delivery->case_id = (ProtobufCBinaryData){CASE_ID_SIZE, (uint8_t *)event->case_id};
    if (erasures_withhold(bus, event->position, &part_mask)) {
        delivery->event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)(uintptr_t)said->event_hash};
        return delivery;
    }
    if (to->retracts || to->questions) {
        struct casebus_error err;
        delivery->event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)(uintptr_t)said->event_hash};
        bool filled = to->retracts ? !retraction_fill(bus, event->replaces, to->questions, delivery, &err)
                                   : delivery_answer(bus, delivery, said->header, to->questions, true);
        return filled ? delivery : NULL;
    }
    delivery->header = wire->header;
    delivery->part = list;
    for (size_t i = 0; i < wire->n_part; i++) {
        if (!(part_mask & 1u << i))
            continue;
        Casebus__V1__DeliveredPart *part = &parts[delivery->n_part];
        casebus__v1__delivered_part__init(part);
        part->index = (uint32_t)i;
        part->salt = wire->part[i]->salt;
        part->content = wire->part[i]->content;
        list[delivery->n_part++] = part;
    }
    return delivery;
}

static size_t event_size(const struct group_event *event)
{
    size_t size = event->member->wire->header.len + 200;
    for (size_t i = 0; i < event->member->wire->n_part; i++)
        size += event->member->wire->part[i]->content.len + 48;
    return size;
}

/* Adds the event for each time that @name is among its receivers. */
static bool work_event(struct filling *filling, const struct group *group, const struct group_event *event,
                       const char *name)
{
    struct receiver *receiver = receiver_of(filling);
    uint32_t from = event->position == receiver->scan ? receiver->scan_ordinal : 0;
    for (uint32_t ordinal = from; ordinal < event->n_receivers; ordinal++) {
        if (event->receivers[ordinal].node != name)
            continue;
        if (!filling_ready(filling, event_size(event)))
            return false;
        Casebus__V1__Delivery *delivery =
            delivery_of_event(filling->bus, group, event, &event->receivers[ordinal]);
        if (!delivery || !filling_add(filling, delivery, event->position, ordinal)) {
            filling->done = true;
            return false;
        }
        receiver->scan = event->position;
        receiver->scan_ordinal = ordinal + 1;
    }
    return true;
}

/* Adds the orders to destroy that the group brings this node. */
static bool work_erasures(struct filling *filling, const struct group *group, const char *name)
{
    struct receiver *receiver = receiver_of(filling);
    struct casebus_error err;
    for (size_t i = 0; i < group->n_erasures; i++) {
        uint64_t position = group->erasures[i];
        uint32_t ordinal;
        if (position < receiver->scan || (position == receiver->scan && receiver->scan_ordinal > 0))
            continue;
        if (!filling_ready(filling, ERASURE_BYTES))
            return false;
        int told = erasures_ordinal(filling->bus, group, i, name, &ordinal, &err);
        Casebus__V1__Delivery *delivery =
            told > 0 ? erasures_delivery(filling->bus, position, ordinal, &err) : NULL;
        if (told < 0 || (told > 0 && (!delivery || !filling_add(filling, delivery, position, ordinal)))) {
            filling->done = true;
            return false;
        }
        receiver->scan = position;
        receiver->scan_ordinal = told ? ordinal + 1 : 1;
    }
    return true;
}

/* Walks the events of one group. False: the receiver has to wait, or is gone. The receivers' names lie in the
 * group's registry, so one search tells which pointer to look for. */
static bool work_group(struct filling *filling, const struct group *group)
{
    struct receiver *receiver = receiver_of(filling);
    const struct registry_node *node = registry_find(group->registry, filling->session->peer->node);
    for (size_t i = 0; node && i < group->n_events; i++)
        if (group->events[i].position >= receiver->scan &&
            !work_event(filling, group, &group->events[i], node->info.node))
            return false;
    if (node && group->n_erasures && !work_erasures(filling, group, node->info.node))
        return false;
    receiver->scan = group->tree_size;
    receiver->scan_ordinal = 0;
    return true;
}

/* ---- from disk ---- */

struct inbox_page {
    const char *node;
    uint64_t positions[DISK_BATCH];
    uint32_t ordinals[DISK_BATCH];
    size_t n;
};

static int inbox_visit(void *self, struct bytes key, struct bytes value)
{
    struct inbox_page *page = self;
    (void)value;
    if (!inbox_key_decode(key, page->node, &page->positions[page->n], &page->ordinals[page->n]))
        return 1; /* another node's inbox begins */
    return ++page->n == DISK_BATCH;
}

static bool open_part(struct bus *bus, uint64_t position, const Casebus__V1__EventEntry *entry,
                      const Casebus__V1__SealedBody *body, const uint8_t key[KEY_SIZE], size_t item,
                      struct bytes *plain, struct casebus_error *err)
{
    return body_open_item(bus->crypter, ledger_origin_at(bus->options.ledger, position),
                          entry->event_hash.data, body, key, item, &bus->arena, plain, err) == 0;
}

static bool open_parts(struct bus *bus, uint64_t position, const Casebus__V1__EventEntry *entry,
                       const Casebus__V1__SealedBody *body, const uint8_t key[KEY_SIZE], uint32_t part_mask,
                       Casebus__V1__Delivery *delivery, struct casebus_error *err)
{
    Casebus__V1__DeliveredPart *parts = arena_alloc(&bus->arena, (body->n_item + 1) * sizeof(*parts));
    Casebus__V1__DeliveredPart **list = arena_alloc(&bus->arena, (body->n_item + 1) * sizeof(*list));
    if (!parts || !list)
        return false;
    delivery->part = list;
    for (size_t i = 0; i + 1 < body->n_item && i < PARTS_MAX; i++) {
        struct bytes plain;
        if (!(part_mask & 1u << i) || body_item_erased(body, i + 1))
            continue;
        if (!open_part(bus, position, entry, body, key, i + 1, &plain, err) || plain.size < SALT_SIZE)
            return false;
        Casebus__V1__DeliveredPart *part = &parts[delivery->n_part];
        casebus__v1__delivered_part__init(part);
        part->index = (uint32_t)i;
        part->salt = (ProtobufCBinaryData){SALT_SIZE, (uint8_t *)plain.data};
        part->content = (ProtobufCBinaryData){plain.size - SALT_SIZE, (uint8_t *)plain.data + SALT_SIZE};
        list[delivery->n_part++] = part;
    }
    return true;
}

static bool answer_opened(struct bus *bus, const Casebus__V1__EventEntry *entry, struct bytes header,
                          uint32_t questions, Casebus__V1__Delivery *delivery, struct casebus_error *err)
{
    const Casebus__V1__EventHeader *decoded = event_header_decode(header, &bus->arena, err);
    if (!decoded)
        return false;
    delivery->event_hash = entry->event_hash;
    if (delivery_answer(bus, delivery, decoded, questions, true))
        return true;
    error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
    return false;
}

/* Opens what the receiver may see of the event. */
static bool event_open(struct bus *bus, uint64_t position, const Casebus__V1__EventEntry *entry,
                       const Casebus__V1__SealedBody *body, const Casebus__V1__Receiver *to,
                       Casebus__V1__Delivery *delivery, struct casebus_error *err)
{
    uint8_t key[KEY_SIZE];
    struct bytes header;
    if (vault_key(bus->options.vault, body->slot, key, err))
        return false;
    bool opened =
        open_part(bus, position, entry, body, key, 0, &header, err) &&
        (to->questions || open_parts(bus, position, entry, body, key, to->part_mask, delivery, err));
    secret_clear(key, sizeof(key));
    if (opened && to->questions)
        return answer_opened(bus, entry, header, to->questions, delivery, err);
    if (opened)
        delivery->header = (ProtobufCBinaryData){header.size, (uint8_t *)header.data};
    return opened;
}

/* An event whose content was destroyed is delivered without it: a receiver sees no hole, and every hub chain
 * goes on. */
static Casebus__V1__Delivery *event_from_disk(struct bus *bus, uint64_t position,
                                              const Casebus__V1__LedgerEntry *entry, uint32_t ordinal,
                                              struct casebus_error *err)
{
    struct bytes sealed;
    Casebus__V1__Delivery *delivery = arena_alloc(&bus->arena, sizeof(*delivery));
    if (!delivery || ledger_view_body(bus->ledger_view, position, &sealed, err))
        return NULL;
    Casebus__V1__SealedBody *body = body_decode(sealed, &bus->arena, err);
    if (!body || ordinal >= entry->event->n_receiver)
        return NULL;
    Casebus__V1__Receiver to = *entry->event->receiver[ordinal];
    casebus__v1__delivery__init(delivery);
    if (erasures_withhold(bus, position, &to.part_mask) || body_item_erased(body, 0))
        delivery->event_hash = entry->event->event_hash;
    else if (to.retracts) {
        delivery->event_hash = entry->event->event_hash;
        if (retraction_fill(bus, entry->event->replaces, to.questions, delivery, err))
            return NULL;
    } else if (!event_open(bus, position, entry->event, body, &to, delivery, err))
        return NULL;
    delivery->hub_time_us = entry->hub_time_us;
    delivery->node = entry->event->node;
    delivery->stream = entry->event->stream;
    delivery->number = entry->event->number;
    delivery->case_id = entry->event->case_id;
    return delivery;
}

/* The delivery of the entry at @position to its @ordinal-th receiver; NULL with @err. */
static Casebus__V1__Delivery *delivery_from_disk(struct bus *bus, uint64_t position, uint32_t ordinal,
                                                 struct casebus_error *err)
{
    struct bytes leaf;
    if (ledger_view_leaf(bus->ledger_view, position, &leaf, err))
        return NULL;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bus->arena, err);
    if (!entry)
        return NULL;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT
               ? event_from_disk(bus, position, entry, ordinal, err)
               : erasures_delivery(bus, position, ordinal, err);
}

/* A snapshot from before an erasure shows bodies whose key is gone by now: a fresh one shows what is left. */
static Casebus__V1__Delivery *delivery_read(struct bus *bus, uint64_t position, uint32_t ordinal,
                                            struct casebus_error *err)
{
    Casebus__V1__Delivery *delivery = delivery_from_disk(bus, position, ordinal, err);
    if (delivery || err->code != CASEBUS_NOT_FOUND)
        return delivery;
    if (ledger_view_renew(bus->ledger_view, err) || state_view_renew(bus->state_view, err))
        return NULL;
    return delivery_from_disk(bus, position, ordinal, err);
}

static int inbox_read(struct filling *filling, struct inbox_page *page, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    const struct receiver *receiver = receiver_of(filling);
    page->node = filling->session->peer->node;
    size_t key_size = inbox_key(key, page->node, receiver->scan, receiver->scan_ordinal);
    return state_view_walk(filling->bus->state_view, TABLE_INBOX, bytes_of(key, key_size), inbox_visit, page,
                           err);
}

/* What cannot be opened any more is passed over when its key was destroyed, as the law may want it. Anything
 * else is damage: going on would hide it, so the receiver is told, and stays where it is. */
static bool work_unreadable(struct filling *filling, uint64_t position, const struct casebus_error *err)
{
    if (err->code == CASEBUS_NOT_FOUND)
        return true;
    log_error(filling->bus->options.log, "DELIVERY", _("entry %llu cannot be delivered to '%s': %s"),
              (unsigned long long)position, filling->session->peer->node, err->text);
    session_bye_error(filling->bus, filling->session, err);
    filling->session = NULL;
    return false;
}

static bool work_inbox_row(struct filling *filling, uint64_t position, uint32_t ordinal)
{
    struct casebus_error err = {.code = CASEBUS_DAMAGED, .text = ""};
    struct receiver *receiver = receiver_of(filling);
    if (!filling_ready(filling, 1024))
        return false;
    Casebus__V1__Delivery *delivery = delivery_read(filling->bus, position, ordinal, &err);
    if (delivery ? !filling_add(filling, delivery, position, ordinal)
                 : !work_unreadable(filling, position, &err))
        return false;
    receiver->scan = position;
    receiver->scan_ordinal = ordinal + 1;
    return true;
}

/* One page of the inbox. False: the receiver has to wait, or is gone. */
static bool work_disk(struct filling *filling, uint64_t disk_size)
{
    struct inbox_page page = {.n = 0};
    struct casebus_error err;
    if (inbox_read(filling, &page, &err) < 0) {
        bus_fatal(filling->bus, &err);
        filling->done = receiver_of(filling)->blocked = true;
        return false;
    }
    for (size_t i = 0; i < page.n && page.positions[i] < disk_size; i++)
        if (!work_inbox_row(filling, page.positions[i], page.ordinals[i]))
            return false;
    if (page.n == DISK_BATCH && page.positions[page.n - 1] < disk_size)
        return true; /* more of it */
    receiver_of(filling)->scan = disk_size;
    receiver_of(filling)->scan_ordinal = 0;
    return true;
}

/* ---- work ---- */

/* The first group in memory that holds something at or above @position. */
static size_t tail_from(const struct bus *bus, uint64_t position)
{
    size_t low = 0, high = bus->n_tail;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bus->tail[middle]->tree_size > position)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool receiver_waits(const struct bus *bus, const struct session *session)
{
    return session && session->receiver.subscribed && !session->receiver.blocked && !bus->behind &&
           session->receiver.scan < bus->size;
}

static void delivery_work(struct bus *bus, struct session *session)
{
    struct filling filling = {.bus = bus, .session = session};
    struct receiver *receiver = &session->receiver;
    uint64_t memory_from = bus->n_tail ? bus->tail[0]->first_position : bus->size;
    bool go = true;
    arena_reset(&bus->arena);
    for (int pages = 0; go && receiver->scan < memory_from && pages < ROUND_PAGES; pages++)
        go = work_disk(&filling, memory_from);
    if (go && receiver->scan >= memory_from)
        for (size_t i = tail_from(bus, receiver->scan); go && i < bus->n_tail; i++)
            go = work_group(&filling, bus->tail[i]);
    if (filling.session)
        filling_send(&filling);
}

void delivery_work_all(struct bus *bus)
{
    for (size_t i = 0; i < bus->n_slots; i++)
        if (receiver_waits(bus, bus->slots[i]))
            delivery_work(bus, bus->slots[i]);
}

bool delivery_waiting(const struct bus *bus)
{
    for (size_t i = 0; i < bus->n_slots; i++)
        if (receiver_waits(bus, bus->slots[i]))
            return true;
    return false;
}

/* ---- asked by the receiver ---- */

/* Only one session of a node is delivered to: the newest that asked. */
static void supersede(struct bus *bus, const struct session *newest)
{
    for (size_t i = 0; i < bus->n_slots; i++) {
        struct session *session = bus->slots[i];
        if (!session || session == newest || session->peer != newest->peer || !session->receiver.subscribed)
            continue;
        session->receiver.subscribed = false;
        log_notice(bus->options.log, "SUBSCRIPTION-MOVED",
                   _("node '%s' subscribed in another session: deliveries go there"), newest->peer->node);
    }
}

void delivery_subscribe(struct bus *bus, struct session *session, const Casebus__V1__Subscribe *subscribe)
{
    struct receiver *receiver = &session->receiver;
    if (!receiver->sent)
        receiver->sent = calloc(DELIVER_FRAMES_MAX, sizeof(*receiver->sent));
    if (!receiver->sent) {
        session_bye(bus, session, CASEBUS_NO_MEMORY, "the hub has no memory for this now", "枢纽内存不足");
        return;
    }
    supersede(bus, session);
    *receiver = (struct receiver){.subscribed = true, .sent = receiver->sent};
    uint32_t window = subscribe->window_bytes ? subscribe->window_bytes : DELIVER_WINDOW_MAX;
    receiver->window = window < DELIVER_WINDOW_MAX ? window : DELIVER_WINDOW_MAX;
    if (subscribe->resume && subscribe->after) {
        receiver->scan = subscribe->after->position;
        receiver->scan_ordinal = subscribe->after->ordinal + 1;
        receiver->has_previous = true;
        receiver->previous_position = subscribe->after->position;
        receiver->previous_ordinal = subscribe->after->ordinal;
    }
    log_info(bus->options.log, "SUBSCRIBED", _("node '%s' receives from entry %llu on"), session->peer->node,
             (unsigned long long)receiver->scan);
}

static bool at_or_before(const struct sent_frame *frame, const Casebus__V1__DeliveryId *id)
{
    return frame->position < id->position ||
           (frame->position == id->position && frame->ordinal <= id->ordinal);
}

void delivery_credit(struct session *session, const Casebus__V1__Credit *credit)
{
    struct receiver *receiver = &session->receiver;
    if (!credit->consumed)
        return;
    while (receiver->n_sent && at_or_before(&receiver->sent[receiver->sent_first], credit->consumed)) {
        receiver->sent_bytes -= receiver->sent[receiver->sent_first].bytes;
        receiver->sent_first = (receiver->sent_first + 1) % DELIVER_FRAMES_MAX;
        receiver->n_sent--;
        receiver->blocked = false;
    }
}
