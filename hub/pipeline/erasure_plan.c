/* What one case loses. The entries about a case are found by its id, which stands in their leaves: from the
 * one that opened it on, all leaves are looked at, so that older statements and records that moved away are
 * found as well. */
#include "hub/pipeline/eraser.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define LEAVES_A_LOOK 4096

static const struct codec_limits part_limits = {PART_MAX, 2048, 3};

void plan_deinit(struct erasure_plan *plan)
{
    free(plan->items);
    free(plan->members);
    refused_deinit(&plan->refused);
    *plan = (struct erasure_plan){0};
}

bool leaf_names_case(struct bytes leaf, const uint8_t case_id[CASE_ID_SIZE])
{
    return memmem(leaf.data, leaf.size, case_id, CASE_ID_SIZE) != NULL;
}

static int plan_add(struct erasure_plan *plan, uint64_t position, bool header, uint32_t part_mask,
                    struct casebus_error *err)
{
    if (plan->n_items == plan->capacity) {
        size_t capacity = plan->capacity ? 2 * plan->capacity : 16;
        struct erased_item *items = realloc(plan->items, capacity * sizeof *items);
        if (!items)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
        plan->items = items;
        plan->capacity = capacity;
    }
    plan->items[plan->n_items++] = (struct erased_item){position, part_mask, header, {0}};
    return 0;
}

static int plan_add_slot(struct erasure_plan *plan, uint64_t slot, struct casebus_error *err)
{
    for (size_t i = 0; i < plan->n_slots; i++)
        if (plan->slots[i] == slot)
            return 0;
    if (plan->n_slots == ERASER_SLOTS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("the content of a case lies under more than %d slots"),
                         ERASER_SLOTS_MAX);
    plan->slots[plan->n_slots++] = slot;
    return 0;
}

static int plan_add_receiver(struct erasure_plan *plan, const char *node, struct casebus_error *err)
{
    for (size_t i = 0; i < plan->n_receivers; i++)
        if (strcmp(plan->receivers[i], node) == 0)
            return 0;
    if (plan->n_receivers == RECEIVERS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("more than %d nodes have received the content of a case"),
                         RECEIVERS_MAX);
    snprintf(plan->receivers[plan->n_receivers++], NODE_NAME_MAX, "%s", node);
    return 0;
}

static int plan_add_receivers(struct erasure_plan *plan, const Casebus__V1__EventEntry *entry, bool header,
                              uint32_t part_mask, struct casebus_error *err)
{
    for (size_t i = 0; i < entry->n_receiver; i++)
        if ((header || (entry->receiver[i]->part_mask & part_mask)) &&
            plan_add_receiver(plan, entry->receiver[i]->node, err))
            return -1;
    return 0;
}

/* ---- what is sealed ---- */

static int slot_key(struct pipeline *pipeline, uint64_t slot, struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    if (eraser->slot == slot)
        return 0;
    eraser->slot = 0;
    if (vault_key(pipeline->options.vault, slot, eraser->slot_key, err))
        return -1;
    eraser->slot = slot;
    return 0;
}

int plan_open(struct pipeline *pipeline, uint64_t position, const uint8_t subject[DIGEST_SIZE],
              const Casebus__V1__SealedBody *body, size_t item, struct bytes *plain,
              struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    if (slot_key(pipeline, body->slot, err) ||
        body_open_item(eraser->crypter, ledger_origin_at(pipeline->options.ledger, position), subject, body,
                       eraser->slot_key, item, &eraser->arena, plain, err))
        return error_context(err, _("ledger entry %llu"), (unsigned long long)position);
    return 0;
}

int plan_header(struct pipeline *pipeline, uint64_t position, const Casebus__V1__EventEntry *entry,
                const Casebus__V1__SealedBody *body, Casebus__V1__EventHeader **headerp,
                struct bytes *header_bytes, struct casebus_error *err)
{
    *headerp = NULL;
    *header_bytes = bytes_of(NULL, 0);
    if (body_item_erased(body, 0))
        return 0;
    if (plan_open(pipeline, position, entry->event_hash.data, body, 0, header_bytes, err))
        return -1;
    *headerp = event_header_decode(*header_bytes, &pipeline->eraser->arena, err);
    return *headerp ? 1 : error_context(err, _("ledger entry %llu"), (unsigned long long)position);
}

static bool same_person(const struct person *person, const char *id_type, const char *id_number)
{
    return strcmp(person->id_type, id_type) == 0 && strcmp(person->id_number, id_number) == 0;
}

/* An identity part that cannot be read names nobody. */
void plan_identity(struct pipeline *pipeline, struct bytes content, const struct person *person, bool *names,
                   bool *other)
{
    const Casebus__V1__IdentityPart *identity = (const Casebus__V1__IdentityPart *)codec_unpack(
        &casebus__v1__identity_part__descriptor, content, &part_limits, &pipeline->eraser->arena, NULL);
    if (!identity)
        return;
    bool holder = same_person(person, identity->id_type, identity->id_number);
    bool agent = same_person(person, identity->agent_id_type, identity->agent_id_number);
    *names |= holder || agent;
    *other |= (*identity->id_number && !holder) || (*identity->agent_id_number && !agent);
}

int plan_names(struct pipeline *pipeline, uint64_t position, const Casebus__V1__EventEntry *entry,
               const Casebus__V1__SealedBody *body, const Casebus__V1__EventHeader *header,
               const struct person *person, bool *names, bool *other, struct casebus_error *err)
{
    for (size_t i = 0; i < header->n_commitment; i++) {
        struct bytes plain = {0};
        if (header->commitment[i]->kind != CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY ||
            body_item_erased(body, i + 1))
            continue;
        if (plan_open(pipeline, position, entry->event_hash.data, body, i + 1, &plain, err))
            return -1;
        if (plain.size >= SALT_SIZE)
            plan_identity(pipeline, bytes_of(plain.data + SALT_SIZE, plain.size - SALT_SIZE), person, names,
                          other);
    }
    return 0;
}

/* ---- a case ---- */

struct looking {
    struct pipeline *pipeline;
    struct erasure_plan *plan;
    uint32_t part_kinds;
    const struct person *person;
    bool only_others; /* with a person: somebody else is in the case, too; then only events that name it */
    bool other;       /* found on the way */
    struct casebus_error *err;
};

/* Every part that is still there. */
static uint32_t all_parts(const Casebus__V1__SealedBody *body)
{
    size_t n = body->n_item - 1;
    return n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;
}

static uint32_t parts_left(const Casebus__V1__SealedBody *body)
{
    uint32_t mask = 0;
    for (size_t i = 1; i < body->n_item && i <= 32; i++)
        if (!body_item_erased(body, i))
            mask |= UINT32_C(1) << (i - 1);
    return mask;
}

static uint32_t parts_of_kinds(const Casebus__V1__EventHeader *header, uint32_t kinds)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < header->n_commitment && i < 32; i++)
        if (kinds & part_kind_bit(header->commitment[i]->kind))
            mask |= UINT32_C(1) << i;
    return mask;
}

/* What the event loses: nothing (0), parts, or all (header); and its record's key. */
static int event_loses(struct looking *looking, uint64_t position, const Casebus__V1__EventEntry *entry,
                       const Casebus__V1__SealedBody *body, bool *header_goes, uint32_t *mask,
                       uint8_t key[TEXT_KEY_SIZE])
{
    Casebus__V1__EventHeader *header = NULL;
    struct bytes bytes = {0};
    bool names = false;
    *header_goes = !looking->part_kinds && !looking->only_others;
    *mask = all_parts(body);
    if (plan_header(looking->pipeline, position, entry, body, &header, &bytes, looking->err) != 1)
        return -1;
    record_key(looking->pipeline->eraser->crypter, looking->pipeline->content_key, header->record_namespace,
               header->record_id, key);
    if (looking->person && plan_names(looking->pipeline, position, entry, body, header, looking->person,
                                      &names, &looking->other, looking->err))
        return -1;
    if (*header_goes)
        return 0;
    uint32_t wanted = looking->part_kinds ? parts_of_kinds(header, looking->part_kinds) : UINT32_MAX;
    *mask = looking->only_others && !names ? 0 : parts_left(body) & wanted;
    return 0;
}

static int event_look(struct looking *looking, uint64_t position, const Casebus__V1__EventEntry *entry)
{
    struct erasure_plan *plan = looking->plan;
    struct bytes sealed;
    bool header_goes;
    uint32_t mask;
    uint8_t key[TEXT_KEY_SIZE];
    if (entry->case_id.len != CASE_ID_SIZE || memcmp(entry->case_id.data, plan->case_id, CASE_ID_SIZE) != 0)
        return 0;
    if (ledger_view_body(looking->pipeline->eraser->ledger, position, &sealed, looking->err))
        return -1;
    Casebus__V1__SealedBody *body = body_decode(sealed, &looking->pipeline->eraser->arena, looking->err);
    if (!body)
        return -1;
    if (body_item_erased(body, 0))
        return 0; /* it has nothing left */
    if (event_loses(looking, position, entry, body, &header_goes, &mask, key) ||
        plan_add_slot(plan, body->slot, looking->err))
        return -1;
    bool loses = header_goes || mask;
    if (loses && !plan->whole && plan->n_items == PLAN_ITEMS_MAX) {
        plan->more = true;
        loses = header_goes = false;
    }
    plan->keeps |= !header_goes;
    if (!loses)
        return 0;
    if (plan_add_receivers(plan, entry, header_goes, mask, looking->err) ||
        plan_add(plan, position, header_goes, mask, looking->err))
        return -1;
    memcpy(plan->items[plan->n_items - 1].record_key, key, sizeof key);
    return 0;
}

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct looking *looking = self;
    if (!leaf_names_case(leaf, looking->plan->case_id))
        return 0;
    arena_reset(&looking->pipeline->eraser->arena);
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(leaf, &looking->pipeline->eraser->arena, looking->err);
    if (!entry)
        return -1;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT
               ? event_look(looking, position, entry->event)
               : 0;
}

static int case_look(struct looking *looking)
{
    struct pipeline *pipeline = looking->pipeline;
    struct erasure_plan *plan = looking->plan;
    plan->n_items = plan->n_slots = plan->n_receivers = 0;
    plan->keeps = plan->more = looking->other = false;
    uint64_t position = case_opened_at(plan->case_id);
    for (;;) {
        if (eraser_breathe(pipeline, looking->err))
            return -1;
        uint64_t size = ledger_view_size(pipeline->eraser->ledger);
        uint64_t left = position < size ? size - position : 0;
        size_t n = left < LEAVES_A_LOOK ? (size_t)left : LEAVES_A_LOOK;
        if (n == 0)
            break;
        if (ledger_view_leaves(pipeline->eraser->ledger, position, n, on_leaf, looking, looking->err))
            return -1;
        position += n;
    }
    plan->scanned = position;
    return 0;
}

int plan_case(struct pipeline *pipeline, const uint8_t case_id[CASE_ID_SIZE], uint32_t part_kinds,
              const struct person *person, struct erasure_plan *plan, struct casebus_error *err)
{
    struct looking looking = {
        .pipeline = pipeline, .plan = plan, .part_kinds = part_kinds, .person = person, .err = err};
    memcpy(plan->case_id, case_id, CASE_ID_SIZE);
    plan->quarantine = false;
    if (eraser_catch_up(pipeline, err))
        return -1;
    looking.only_others = person && part_kinds;
    if (case_look(&looking))
        return -1;
    if (!person || !looking.other || looking.only_others)
        return 0;
    looking.only_others = true; /* somebody else is in the case: only what names this person goes */
    return case_look(&looking);
}

/* ---- quarantine ---- */

/* Of a batch only the events that are about it are closed: its others are not what was asked for. */
static int plan_members(struct pipeline *pipeline, uint64_t position,
                        const Casebus__V1__Quarantined *quarantined, const Casebus__V1__SealedBody *body,
                        const struct naming *naming, struct erasure_plan *plan, struct casebus_error *err)
{
    uint32_t members[BATCH_MAX_EVENTS];
    if (!naming || !quarantined->whole_batch)
        return 0;
    if (find_members(pipeline, position, quarantined, body, naming, members, &plan->n_members, err))
        return -1;
    plan->members = calloc(plan->n_members + 1, sizeof members[0]);
    if (!plan->members)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    memcpy(plan->members, members, plan->n_members * sizeof members[0]);
    return 0;
}

int plan_quarantine(struct pipeline *pipeline, uint64_t position, const struct naming *naming,
                    struct erasure_plan *plan, struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    struct bytes leaf, sealed;
    *plan = (struct erasure_plan){.quarantine = true};
    if (eraser_catch_up(pipeline, err))
        return -1;
    arena_reset(&eraser->arena);
    if (ledger_view_leaf(eraser->ledger, position, &leaf, err) ||
        ledger_view_body(eraser->ledger, position, &sealed, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &eraser->arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger is nothing in quarantine"),
                         (unsigned long long)position);
    if (sealed.size == 0)
        return 0; /* refused as CB-ERASED: nothing was kept */
    const Casebus__V1__SealedBody *body = body_decode(sealed, &eraser->arena, err);
    if (!body)
        return -1;
    if (body_item_erased(body, 0))
        return 0;
    const Casebus__V1__Quarantined *quarantined = entry->act->quarantined;
    if (plan_members(pipeline, position, quarantined, body, naming, plan, err) ||
        refused_read(&plan->refused, quarantined, body, plan->members, plan->n_members, err))
        return -1;
    return plan_add_slot(plan, body->slot, err) || plan_add(plan, position, true, all_parts(body), err) ? -1
                                                                                                        : 0;
}
