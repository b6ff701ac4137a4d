/* JSON that several handlers share. */
#include "hub/console/answers.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

void set_time(json_t *object, const char *name, int64_t us)
{
    json_object_set_new(object, name, us ? json_integer(us) : json_null());
}

void set_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, number_json(number));
}

void set_text(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, text && *text ? json_string(text) : json_null());
}

void set_bool(json_t *object, const char *name, bool value)
{
    json_object_set_new(object, name, json_boolean(value));
}

int with_reader(struct call *call, int (*look)(struct call *, struct reader *, struct casebus_error *),
                struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = look(call, &reader, err);
    reader_deinit(&reader);
    return r;
}

#define PAGE_BYTES (4 * 1024 * 1024) /* and what the last one adds: well below SERVER_REPLY_MAX */

void page_add(json_t *list, json_t *json, size_t *bytes)
{
    *bytes += json_dumpb(json, NULL, 0, JSON_COMPACT);
    json_array_append_new(list, json);
}

bool page_full(size_t bytes)
{
    return bytes >= PAGE_BYTES;
}

int page_walk(const struct page *page, const struct reader *reader, uint64_t *position, uint64_t end,
              int (*look)(void *self, uint64_t position, struct casebus_error *err), void *self,
              struct casebus_error *err)
{
    bool looked = false;
    while (*position < end && json_array_size(page->list) < page->limit && !page_full(page->bytes) &&
           (!looked || !reader_late(reader))) {
        if (look(self, *position, err))
            return -1;
        ++*position;
        looked = true;
    }
    return 0;
}

json_t *part_kinds_json(uint32_t kinds)
{
    static const Casebus__V1__PartKind all[] = {
        CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY, CASEBUS__V1__PART_KIND__PART_KIND_CONTACT,
        CASEBUS__V1__PART_KIND__PART_KIND_FORM, CASEBUS__V1__PART_KIND__PART_KIND_OPINION,
        CASEBUS__V1__PART_KIND__PART_KIND_OTHER};
    json_t *names = json_array();
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (kinds & part_kind_bit(all[i]))
            json_array_append_new(names, json_string(part_kind_name(all[i])));
    return names;
}

json_t *questions_json(uint32_t questions)
{
    json_t *names = json_array();
    for (int question = 1; question < 32; question++) {
        const char *name = question_name((Casebus__V1__Question)question);
        if (name && questions >> question & 1)
            json_array_append_new(names, json_string(name));
    }
    return names;
}

const struct registry_node *node_find(const struct call *call, const struct registry *registry,
                                      const char *name, struct casebus_error *err)
{
    const struct registry_node *node = registry_find(registry, name);
    if (!node) {
        error_set(err, CASEBUS_UNKNOWN_NODE, _("no node '%s' is enrolled at %s"), name, call->hub->origin);
        error_hint(err, _("see who is: casebus node list"));
    }
    return node;
}

int running_check(const struct call *call, bool can, struct casebus_error *err)
{
    if (can)
        return 0;
    error_set(err, CASEBUS_CLOSED, _("this can only be done while the hub runs"));
    return error_hint(err, _("start it: casebus-hub run %s"), call->hub->dir);
}

const struct hub_peer *hub_peer_find(const struct hub_status *status, const char *node)
{
    for (size_t i = 0; status && i < status->n_peers; i++)
        if (strcmp(status->peers[i].node, node) == 0)
            return &status->peers[i];
    return NULL;
}

const char *event_what(const Casebus__V1__EventHeader *header)
{
    switch (header->fields_case) {
    case CASEBUS__V1__EVENT_HEADER__FIELDS_STEP: /* the source's own word first: people know it */
        if (*header->source_code)
            return header->source_code;
        return *header->step->step ? header->step->step : header->step->action;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_SPECIAL:
        return header->special->name;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_DECIDE:
        return header->decide->result_code;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_REFUSE_ACCEPT:
        return header->refuse_accept->reason_code;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_MATTER:
        return header->matter->assigned_to;
    default:
        return header->source_code;
    }
}

json_t *part_content_json(struct reader *reader, Casebus__V1__PartKind kind, struct bytes content)
{
    static const struct codec_limits limits = {PART_MAX, 2048, 3};
    const ProtobufCMessageDescriptor *descriptor = NULL;
    if (kind == CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY)
        descriptor = &casebus__v1__identity_part__descriptor;
    else if (kind == CASEBUS__V1__PART_KIND__PART_KIND_CONTACT)
        descriptor = &casebus__v1__contact_part__descriptor;
    else if (kind == CASEBUS__V1__PART_KIND__PART_KIND_FORM)
        descriptor = &casebus__v1__form_part__descriptor;
    else if (kind == CASEBUS__V1__PART_KIND__PART_KIND_OPINION)
        descriptor = &casebus__v1__opinion_part__descriptor;
    ProtobufCMessage *message =
        descriptor ? codec_unpack(descriptor, content, &limits, &reader->arena, NULL) : NULL;
    return message ? message_json(message, NULL) : hex_json(content.data, content.size);
}

static int part_json(struct reader *reader, const struct reader_entry *event, size_t index, bool content,
                     json_t *part, struct casebus_error *err)
{
    const Casebus__V1__PartCommitment *commitment = event->header->commitment[index];
    set_number(part, "index", index);
    set_text(part, "kind", part_kind_name(commitment->kind));
    set_number(part, "size", commitment->size);
    if (reader_part_erased(event, index))
        set_bool(part, "erased", true);
    if (!content || reader_part_erased(event, index))
        return 0;
    struct bytes plain;
    if (reader_part(reader, event, index, &plain, err))
        return -1;
    json_object_set_new(part, "content", part_content_json(reader, commitment->kind, plain));
    return 0;
}

static int parts_json(struct reader *reader, const struct reader_entry *event, bool content, json_t *parts,
                      struct casebus_error *err)
{
    for (size_t i = 0; i < event->header->n_commitment; i++) {
        json_t *part = json_object();
        json_array_append_new(parts, part);
        if (part_json(reader, event, i, content, part, err))
            return -1;
    }
    return 0;
}

static json_t *receivers_json(const Casebus__V1__EventEntry *entry)
{
    json_t *receivers = json_array();
    for (size_t i = 0; i < entry->n_receiver; i++) {
        json_t *parts = json_array();
        for (unsigned bit = 0; bit < 32; bit++)
            if (entry->receiver[i]->part_mask & 1u << bit)
                json_array_append_new(parts, json_integer((json_int_t)bit));
        json_t *receiver = json_pack("{s:s, s:o}", "node", entry->receiver[i]->node, "parts", parts);
        if (entry->receiver[i]->questions)
            json_object_set_new(receiver, "answers", questions_json(entry->receiver[i]->questions));
        if (entry->receiver[i]->retracts)
            json_object_set_new(receiver, "retracts", json_true());
        json_array_append_new(receivers, receiver);
    }
    return receivers;
}

static void entry_fields(json_t *json, const struct reader_entry *read)
{
    const Casebus__V1__EventEntry *entry = read->entry->event;
    set_number(json, "position", read->position);
    set_time(json, "hub_time_us", read->entry->hub_time_us);
    set_text(json, "node", entry->node);
    json_object_set_new(json, "stream", stream_json(entry->stream));
    set_number(json, "number", entry->number);
    json_object_set_new(json, "event_id", hex_json(entry->event_hash.data, entry->event_hash.len));
    json_object_set_new(json, "case_id", hex_json(entry->case_id.data, entry->case_id.len));
    json_object_set_new(json, "receivers", receivers_json(entry));
    set_text(json, "content", body_fate_name(read->fate));
}

static int header_fields(struct reader *reader, const struct reader_entry *read, bool parts, json_t *json,
                         struct casebus_error *err)
{
    static const char *const skip[] = {"random", "commitment", NULL};
    json_object_set_new(json, "header", message_json(&read->header->base, skip));
    set_text(json, "what", event_what(read->header));
    json_t *list = json_array();
    json_object_set_new(json, "parts", list);
    return parts_json(reader, read, parts, list, err);
}

int event_json(struct reader *reader, uint64_t position, bool parts, json_t **out, struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_event(reader, position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT) {
        error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger is no event"),
                  (unsigned long long)position);
        return error_hint(err, _("see it with: casebus ledger dump --from %llu --limit 1"),
                          (unsigned long long)position);
    }
    json_t *json = json_object();
    entry_fields(json, &read);
    if (read.header && header_fields(reader, &read, parts, json, err)) {
        json_decref(json);
        return -1;
    }
    *out = json;
    return 0;
}

unsigned status_of_code(enum casebus_code code)
{
    switch (code) {
    case CASEBUS_ARGUMENT:
    case CASEBUS_MALFORMED:
    case CASEBUS_TEXT:
    case CASEBUS_MISSING_FIELD:
    case CASEBUS_BAD_FIELD:
    case CASEBUS_BAD_VERSION:
    case CASEBUS_KEY:
    case CASEBUS_CERTIFICATE:
    case CASEBUS_SIGNATURE:
    case CASEBUS_HUB_IDENTITY:
        return 400;
    case CASEBUS_NOT_ALLOWED:
        return 403;
    case CASEBUS_NOT_FOUND:
    case CASEBUS_UNKNOWN_NODE:
        return 404;
    case CASEBUS_EXISTS:
        return 409;
    case CASEBUS_TOO_LARGE:
        return 413;
    case CASEBUS_BUSY:
    case CASEBUS_CLOSED:
        return 503;
    case CASEBUS_TIMEOUT:
        return 504;
    case CASEBUS_DISK_FULL:
        return 507;
    default:
        return 500;
    }
}

void certificate_left_json(json_t *json, int64_t not_after)
{
    int64_t days = certificate_days_left(not_after, clock_unix_us() / 1000000);
    json_object_set_new(json, "certificate_days_left", json_integer(days));
    set_bool(json, "certificate_ends_soon", days < CERTIFICATE_WARN_DAYS);
}
