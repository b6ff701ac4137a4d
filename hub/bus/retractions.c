/* Retractions: what a receiver was shown or told of a record, and what does not hold any more. It may not see
 * what stands there now, so nothing of it goes out: the words are those of the event that it was delivered
 * before, which is read again, from the groups in memory or from the ledger. Once that was destroyed there is
 * nothing to say, and the delivery goes without content, as that of any event that was destroyed. */
#include "hub/bus/internal.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"

/* An event that was delivered once. */
struct former {
    uint64_t position;
    ProtobufCBinaryData hash;
    const Casebus__V1__EventHeader *header; /* NULL: destroyed */
};

/* 1: it is in memory; 0: it is not. */
static int former_in_memory(const struct bus *bus, struct former *former)
{
    for (size_t i = 0; i < bus->n_tail; i++) {
        const struct group *group = bus->tail[i];
        for (size_t k = 0; former->position >= group->first_position && k < group->n_events; k++) {
            const struct group_event *event = &group->events[k];
            if (event->position != former->position)
                continue;
            former->header = event->member->event.header;
            former->hash =
                (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)(uintptr_t)event->member->event.event_hash};
            return 1;
        }
    }
    return 0;
}

static int header_open(struct bus *bus, const Casebus__V1__SealedBody *body, struct former *former,
                       struct casebus_error *err)
{
    uint8_t key[KEY_SIZE];
    struct bytes header;
    if (vault_key(bus->options.vault, body->slot, key, err))
        return -1;
    int r = body_open_item(bus->crypter, ledger_origin_at(bus->options.ledger, former->position),
                           former->hash.data, body, key, 0, &bus->arena, &header, err);
    secret_clear(key, sizeof key);
    if (r)
        return -1;
    former->header = event_header_decode(header, &bus->arena, err);
    return former->header ? 0 : -1;
}

static int former_from_disk(struct bus *bus, struct former *former, struct casebus_error *err)
{
    struct bytes leaf, sealed;
    if (ledger_view_leaf(bus->ledger_view, former->position, &leaf, err) ||
        ledger_view_body(bus->ledger_view, former->position, &sealed, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bus->arena, err);
    const Casebus__V1__SealedBody *body = entry ? body_decode(sealed, &bus->arena, err) : NULL;
    if (!body)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_DAMAGED, _("what entry %llu replaces is no event"),
                         (unsigned long long)former->position);
    former->hash = entry->event->event_hash;
    return body_item_erased(body, 0) ? 0 : header_open(bus, body, former, err);
}

static bool no_more_so(struct bus *bus, const struct former *former, Casebus__V1__Delivery *delivery)
{
    Casebus__V1__Retraction *retraction = arena_alloc(&bus->arena, sizeof *retraction);
    if (!retraction)
        return false;
    casebus__v1__retraction__init(retraction);
    retraction->case_number = former->header->case_number;
    retraction->record_namespace = former->header->record_namespace;
    retraction->record_id = former->header->record_id;
    retraction->position = former->position;
    retraction->event_hash = former->hash;
    delivery->retraction = retraction;
    return true;
}

int retraction_fill(struct bus *bus, uint64_t replaces, uint32_t questions, Casebus__V1__Delivery *delivery,
                    struct casebus_error *err)
{
    struct former former = {.position = replaces - 1};
    uint32_t part_mask = 0;
    if (erasures_withhold(bus, former.position, &part_mask))
        return 0;
    if (!former_in_memory(bus, &former) && former_from_disk(bus, &former, err))
        return -1;
    if (!former.header)
        return 0;
    if (questions ? delivery_answer(bus, delivery, former.header, questions, false)
                  : no_more_so(bus, &former, delivery))
        return 0;
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a delivery"));
}
