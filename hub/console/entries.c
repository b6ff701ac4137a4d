/* GET /v1/ledger/entries and /v1/ledger/checkpoint: the ledger as it is, decoded and not opened. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/merkle/note.h"

/* Shows a signed message instead of its bytes; its signature and hash stand beside it. */
static void set_statement(struct reader *reader, json_t *json, const ProtobufCMessageDescriptor *descriptor,
                          ProtobufCBinaryData bytes)
{
    static const struct codec_limits limits = {ENTRY_MAX, 256, 3};
    ProtobufCMessage *statement =
        codec_unpack(descriptor, bytes_of(bytes.data, bytes.len), &limits, &reader->arena, NULL);
    if (statement)
        json_object_set_new(json, "statement", message_json(statement, NULL));
}

static void confirms_json(struct reader *reader, json_t *json,
                          const Casebus__V1__DeliveriesConfirmed *confirmed)
{
    json_t *list = json_object_get(json, "confirm");
    for (size_t i = 0; i < confirmed->n_confirm; i++)
        set_statement(reader, json_array_get(list, i), &casebus__v1__confirm_statement__descriptor,
                      confirmed->confirm[i]->statement);
}

static const char *act_json(struct reader *reader, const Casebus__V1__ActEntry *act, json_t *json)
{
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        set_statement(reader, json_object_get(json, "node_enrolled"),
                      &casebus__v1__enrolment_statement__descriptor, act->node_enrolled->statement);
        return "node_enrolled";
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        confirms_json(reader, json_object_get(json, "deliveries_confirmed"), act->deliveries_confirmed);
        return "deliveries_confirmed";
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        return "ledger_opened";
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return "quarantined";
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return "quarantine_decided";
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return "node_status_changed";
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return "node_invited";
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return "policy_applied";
    default:
        return "act"; /* its member tells which */
    }
}

/* Who did it and why, when that is asked for. */
static int note_json(struct reader *reader, const struct reader_entry *read, json_t *json,
                     struct casebus_error *err)
{
    Casebus__V1__OperatorNote *note;
    if (reader_note(reader, read, &note, err))
        return error_context(err, _("the content of entry %llu"), (unsigned long long)read->position);
    if (note)
        json_object_set_new(json, "note",
                            json_pack("{s:s, s:s, s:s}", "operator", note->operator_, "words", note->words,
                                      "second", note->second));
    return 0;
}

static json_t *entry_json(struct reader *reader, const struct reader_entry *read)
{
    static const char *const skip[] = {"format", "suite", "hub_time_us", NULL};
    uint8_t hash[DIGEST_SIZE];
    json_t *json = json_object();
    set_number(json, "position", read->position);
    set_time(json, "hub_time_us", read->entry->hub_time_us);
    json_t *content = message_json(&read->entry->base, skip);
    const char *type = "act";
    switch (read->entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        type = "event";
        break;
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL:
        type = "seal";
        set_statement(reader, json_object_get(content, "seal"), &casebus__v1__batch_statement__descriptor,
                      read->entry->seal->statement);
        break;
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT:
        type = act_json(reader, read->entry->act, json_object_get(content, "act"));
        break;
    default:
        break;
    }
    set_text(json, "type", type);
    json_object_update(json, content);
    json_decref(content);
    tree_leaf_hash(reader->crypter, read->leaf, hash);
    json_object_set_new(json, "leaf_hash", hex_json(hash, sizeof hash));
    return json;
}

struct entry_list {
    struct reader *reader;
    bool notes;
    struct page page;
};

static int entry_add(void *self, uint64_t position, struct casebus_error *err)
{
    struct entry_list *list = self;
    struct reader_entry read;
    if (reader_leaf(list->reader, position, &read, err))
        return -1;
    json_t *json = entry_json(list->reader, &read);
    int r = list->notes ? note_json(list->reader, &read, json, err) : 0;
    page_add(list->page.list, json, &list->page.bytes);
    return r;
}

static int entries_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    struct entry_list list = {.reader = reader, .page.list = json_array()};
    uint64_t position = 0, notes = 0, size = reader_size(reader);
    json_object_set_new(call->answer, "entries", list.page.list);
    if (request_number(call->request, "from", UINT64_MAX - 1, &position, err) < 0 ||
        request_number(call->request, "notes", 1, &notes, err) < 0 ||
        request_limit(call->request, 1000, &list.page.limit, err))
        return -1;
    list.notes = notes;
    if (page_walk(&list.page, reader, &position, size, entry_add, &list, err))
        return -1;
    json_object_set_new(call->answer, "next", position < size ? number_json(position) : json_null());
    set_number(call->answer, "ledger_size", size);
    return 0;
}

int handle_entries(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = entries_list(call, &reader, err);
    reader_deinit(&reader);
    return r;
}

static int checkpoint_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint64_t size = reader_size(reader);
    struct bytes note;
    struct checkpoint checkpoint;
    if (request_number(call->request, "size", UINT64_MAX, &size, err) < 0)
        return -1;
    if (ledger_view_checkpoint(reader->ledger, size, &note, err) || checkpoint_parse(&checkpoint, note, err))
        return -1;
    set_text(call->answer, "origin", checkpoint.origin);
    set_number(call->answer, "size", checkpoint.size);
    json_object_set_new(call->answer, "root", hex_json(checkpoint.root, DIGEST_SIZE));
    json_object_set_new(call->answer, "note", json_stringn((const char *)note.data, note.size));
    return 0;
}

int handle_checkpoint(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = checkpoint_show(call, &reader, err);
    reader_deinit(&reader);
    return r;
}
