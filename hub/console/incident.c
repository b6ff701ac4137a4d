/* GET /v1/incidents/NODE: what the keys of a node touched in a span of the ledger. Leaves alone tell cases
 * and receivers; persons stand in sealed parts, and are shown as pseudonyms that only this hub can make. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/batch.h"

#define PSEUDONYM_SIZE 16

struct incident {
    struct reader *reader;
    const char *node;
    bool persons;
    uint64_t n_opened; /* identity parts */
    struct page page;
};

/* The caller fills it in, and ends it with touch_add. */
static json_t *touch_new(const struct reader_entry *read, const char *what)
{
    json_t *json = json_object();
    set_number(json, "position", read->position);
    set_time(json, "hub_time_us", read->entry->hub_time_us);
    set_text(json, "what", what);
    return json;
}

static int touch_add(struct incident *incident, json_t *touch)
{
    page_add(incident->page.list, touch, &incident->page.bytes);
    return 0;
}

static bool is_node(const struct incident *incident, const char *node)
{
    return strcmp(incident->node, node) == 0;
}

/* ---- persons ---- */

/* The same person has the same one at this hub, and at no other. */
static void person_add(struct incident *incident, json_t *persons, const char *id_type, const char *id_number)
{
    static const char context[] = "casebus/v1/pseudonym"; /* with its NUL */
    const uint8_t *key = incident->reader->hub->content_key;
    uint8_t digest[DIGEST_SIZE];
    struct bytes parts[] = {bytes_of(context, sizeof context), bytes_of(id_type, strlen(id_type) + 1),
                            bytes_of(id_number, strlen(id_number))};
    if (!*id_number)
        return;
    crypter_mac(incident->reader->crypter, bytes_of(key, KEY_SIZE), parts, 3, digest);
    json_array_append_new(persons, hex_json(digest, PSEUDONYM_SIZE));
}

static void identity_add(struct incident *incident, json_t *persons, struct bytes content)
{
    static const struct codec_limits limits = {PART_MAX, 2048, 3};
    const Casebus__V1__IdentityPart *identity = (const Casebus__V1__IdentityPart *)codec_unpack(
        &casebus__v1__identity_part__descriptor, content, &limits, &incident->reader->arena, NULL);
    if (!identity) /* names nobody */
        return;
    person_add(incident, persons, identity->id_type, identity->id_number);
    person_add(incident, persons, identity->agent_id_type, identity->agent_id_number);
}

static bool is_identity(const Casebus__V1__EventHeader *header, size_t index)
{
    return header->commitment[index]->kind == CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY;
}

/* Whom the parts in @mask name. Opens the event again, with its header. */
static int persons_add(struct incident *incident, uint64_t position, uint32_t mask, json_t *touch,
                       struct casebus_error *err)
{
    struct reader_entry event;
    if (!incident->persons || !incident->reader->hub->content_key)
        return 0;
    if (reader_event(incident->reader, position, &event, err))
        return -1;
    set_text(touch, "content", body_fate_name(event.fate));
    if (!event.header)
        return 0;
    json_t *persons = json_array();
    json_object_set_new(touch, "persons", persons);
    set_text(touch, "case_number", event.header->case_number);
    for (size_t i = 0; i < event.header->n_commitment && i < 32; i++) {
        struct bytes content;
        if (!(mask & UINT32_C(1) << i) || !is_identity(event.header, i) || reader_part_erased(&event, i))
            continue;
        if (reader_part(incident->reader, &event, i, &content, err))
            return -1;
        identity_add(incident, persons, content);
        incident->n_opened++;
    }
    return 0;
}

/* ---- events ---- */

static json_t *receiver_json(const Casebus__V1__Receiver *receiver)
{
    json_t *json = json_object();
    set_text(json, "node", receiver->node);
    set_number(json, "part_mask", receiver->part_mask);
    set_number(json, "rule", receiver->rule);
    set_number(json, "questions", receiver->questions);
    set_bool(json, "retracts", receiver->retracts);
    return json;
}

static const Casebus__V1__Receiver *receiver_find(const struct incident *incident,
                                                  Casebus__V1__Receiver *const *receivers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_node(incident, receivers[i]->node))
            return receivers[i];
    return NULL;
}

static int event_touch(struct incident *incident, const struct reader_entry *read, struct casebus_error *err)
{
    const Casebus__V1__EventEntry *event = read->entry->event;
    bool published = is_node(incident, event->node);
    const Casebus__V1__Receiver *own = receiver_find(incident, event->receiver, event->n_receiver);
    if (!published && !own)
        return 0;
    uint32_t mask = published ? UINT32_MAX : own->part_mask;
    json_t *touch = touch_new(read, published ? "published" : "received"), *receivers = json_array();
    json_object_set_new(touch, "case_id", hex_json(event->case_id.data, event->case_id.len));
    set_text(touch, "sender", event->node);
    json_object_set_new(touch, "stream", stream_json(event->stream));
    set_number(touch, "number", event->number);
    json_object_set_new(touch, "event_id", hex_json(event->event_hash.data, event->event_hash.len));
    for (size_t i = 0; i < event->n_receiver; i++)
        if (published || event->receiver[i] == own)
            json_array_append_new(receivers, receiver_json(event->receiver[i]));
    json_object_set_new(touch, "receivers", receivers);
    int r = persons_add(incident, read->position, mask, touch, err); /* @read is gone now */
    touch_add(incident, touch);
    return r;
}

/* Members of its batches that became no entry because they were there before. */
static int seal_touch(struct incident *incident, const struct reader_entry *read, struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = read->entry->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &incident->reader->arena, err);
    if (!statement)
        return -1;
    for (size_t i = 0; is_node(incident, statement->node) && i < seal->n_outcome; i++) {
        const Casebus__V1__SealOutcome *outcome = seal->outcome[i];
        if (!outcome->duplicate_of)
            continue; /* refused: an entry of its own */
        json_t *touch = touch_new(read, "duplicate");
        json_object_set_new(touch, "stream", stream_json(statement->stream));
        set_number(touch, "number", statement->first + outcome->index);
        json_object_set_new(touch, "event_id", hex_json(outcome->event_hash.data, outcome->event_hash.len));
        set_number(touch, "about_position", outcome->duplicate_of - 1);
        touch_add(incident, touch);
    }
    return 0;
}

/* ---- acts ---- */

static int enrolled_touch(struct incident *incident, const struct reader_entry *read,
                          const Casebus__V1__NodeEnrolled *enrolled)
{
    static const struct codec_limits limits = {ENTRY_MAX, 256, 3};
    const Casebus__V1__EnrolmentStatement *statement = (const Casebus__V1__EnrolmentStatement *)codec_unpack(
        &casebus__v1__enrolment_statement__descriptor,
        bytes_of(enrolled->statement.data, enrolled->statement.len), &limits, &incident->reader->arena, NULL);
    if (!statement || !is_node(incident, statement->node))
        return 0;
    uint8_t hash[DIGEST_SIZE];
    json_t *touch = touch_new(read, "enrolled");
    crypter_hash1(incident->reader->crypter, bytes_of(statement->public_key.data, statement->public_key.len),
                  hash);
    set_text(touch, "department", statement->department);
    set_text(touch, "area", statement->area);
    json_object_set_new(touch, "public_key_hash", hex_json(hash, sizeof hash));
    return touch_add(incident, touch);
}

static int standing_touch(struct incident *incident, const struct reader_entry *read,
                          const Casebus__V1__NodeStatusChanged *changed)
{
    static const char *const names[] = {"unknown", "resumed", "suspended", "revoked"};
    if (!is_node(incident, changed->node))
        return 0;
    unsigned status = (unsigned)changed->status;
    json_t *touch = touch_new(read, names[status < sizeof names / sizeof *names ? status : 0]);
    set_time(touch, "compromised_since_us", changed->compromised_since_us);
    return touch_add(incident, touch);
}

static int refused_touch(struct incident *incident, const struct reader_entry *read,
                         const Casebus__V1__Quarantined *quarantined)
{
    if (!is_node(incident, quarantined->node))
        return 0;
    json_t *touch = touch_new(read, "refused");
    set_text(touch, "code", quarantined->code);
    set_text(touch, "refused", quarantined->whole_batch ? "batch" : "event");
    json_object_set_new(touch, "event_id", hex_json(quarantined->subject.data, quarantined->subject.len));
    return touch_add(incident, touch);
}

/* What an operator did with something of this node's in quarantine. */
static int decided_touch(struct incident *incident, const struct reader_entry *read,
                         const Casebus__V1__QuarantineDecided *decided, struct casebus_error *err)
{
    struct reader_entry refused;
    uint64_t about = decided->quarantined;
    if (about >= read->position)
        return 0;
    json_t *touch =
        touch_new(read, decided->decision == CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED
                            ? "released"
                            : "discarded");
    set_number(touch, "about_position", about);
    int r = reader_leaf(incident->reader, about, &refused, err); /* @read is gone now */
    if (r == 0 && refused.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        refused.entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED &&
        is_node(incident, refused.entry->act->quarantined->node))
        return touch_add(incident, touch);
    json_decref(touch);
    return r;
}

static int confirmed_touch(struct incident *incident, const struct reader_entry *read,
                           const Casebus__V1__DeliveriesConfirmed *confirmed)
{
    static const struct codec_limits limits = {ENTRY_MAX, 256, 3};
    for (size_t i = 0; i < confirmed->n_confirm; i++) {
        ProtobufCBinaryData bytes = confirmed->confirm[i]->statement;
        const Casebus__V1__ConfirmStatement *statement = (const Casebus__V1__ConfirmStatement *)codec_unpack(
            &casebus__v1__confirm_statement__descriptor, bytes_of(bytes.data, bytes.len), &limits,
            &incident->reader->arena, NULL);
        if (!statement || !is_node(incident, statement->node))
            continue;
        json_t *touch = touch_new(read, "confirmed");
        if (statement->last)
            set_number(touch, "about_position", statement->last->position);
        touch_add(incident, touch);
    }
    return 0;
}

static int policy_touch(struct incident *incident, const struct reader_entry *read,
                        const Casebus__V1__PolicyApplied *policy)
{
    json_t *touch = touch_new(read, "policy");
    set_number(touch, "version", policy->version);
    return touch_add(incident, touch);
}

/* It was told to destroy what it had received. */
static int erasure_touch(struct incident *incident, const struct reader_entry *read,
                         const Casebus__V1__ErasureOrdered *ordered)
{
    if (!receiver_find(incident, ordered->receiver, ordered->n_receiver))
        return 0;
    json_t *touch = touch_new(read, "erasure");
    json_object_set_new(touch, "case_id", hex_json(ordered->case_id.data, ordered->case_id.len));
    return touch_add(incident, touch);
}

static int act_touch(struct incident *incident, const struct reader_entry *read, struct casebus_error *err)
{
    const Casebus__V1__ActEntry *act = read->entry->act;
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return enrolled_touch(incident, read, act->node_enrolled);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return is_node(incident, act->node_invited->node) ? touch_add(incident, touch_new(read, "invited"))
                                                          : 0;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return standing_touch(incident, read, act->node_status_changed);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return refused_touch(incident, read, act->quarantined);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return decided_touch(incident, read, act->quarantine_decided, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        return confirmed_touch(incident, read, act->deliveries_confirmed);
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return policy_touch(incident, read, act->policy_applied);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return erasure_touch(incident, read, act->erasure_ordered);
    default:
        return 0;
    }
}

static int entry_touch(void *self, uint64_t position, struct casebus_error *err)
{
    struct incident *incident = self;
    struct reader_entry read;
    if (reader_leaf(incident->reader, position, &read, err))
        return -1;
    switch (read.entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        return event_touch(incident, &read, err);
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL:
        return seal_touch(incident, &read, err);
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT:
        return act_touch(incident, &read, err);
    default:
        return 0;
    }
}

/* ---- a page ---- */

static int incident_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    struct incident incident = {.reader = reader,
                                .node = call->request->rest,
                                .persons = request_flag(call->request, "persons"),
                                .page.list = json_array()};
    uint64_t from = 0, size = reader_size(reader), to = size;
    json_object_set_new(call->answer, "touches", incident.page.list);
    if (request_number(call->request, "from", UINT64_MAX - 1, &from, err) < 0 ||
        request_number(call->request, "to", UINT64_MAX, &to, err) < 0 ||
        request_limit(call->request, 1000, &incident.page.limit, err))
        return -1;
    to = to < size ? to : size;
    if (page_walk(&incident.page, reader, &from, to, entry_touch, &incident, err))
        return -1;
    if (incident.n_opened)
        log_notice(call->log, "PARTS-READ",
                   "%llu identity parts up to entry %llu were opened for an incident report about node '%s'",
                   (unsigned long long)incident.n_opened, (unsigned long long)from - 1, incident.node);
    json_object_set_new(call->answer, "next", from < to ? number_json(from) : json_null());
    set_number(call->answer, "to", to);
    set_number(call->answer, "ledger_size", size);
    return 0;
}

int handle_incident(struct call *call, struct casebus_error *err)
{
    return with_reader(call, incident_show, err);
}
