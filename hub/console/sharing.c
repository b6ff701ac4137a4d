/* GET /v1/sharing?node=NAME: who received what a node published, oldest first. From the entries of its
 * events, which name each receiver, what it was shown and by which row; and from what the receivers signed
 * for. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"

struct shares {
    struct reader *reader;
    const char *node, *to; /* to: NULL: all */
    struct page page;
};

/* The kinds of the parts that it was given; their indexes alone when the header cannot be read any more. */
static json_t *parts_json(const struct reader_entry *read, uint32_t part_mask)
{
    json_t *parts = json_array();
    for (uint32_t i = 0; i < 32; i++) {
        const char *name = read->header && i < read->header->n_commitment
                               ? part_kind_name(read->header->commitment[i]->kind)
                               : NULL;
        if (part_mask >> i & 1)
            json_array_append_new(parts, name ? json_string(name) : number_json(i));
    }
    return parts;
}

static int share_add(struct shares *shares, const struct reader_entry *read, uint32_t ordinal,
                     struct casebus_error *err)
{
    const Casebus__V1__EventEntry *event = read->entry->event;
    const Casebus__V1__Receiver *receiver = event->receiver[ordinal];
    int known = reader_confirmed(shares->reader, receiver->node, read->position, ordinal, err);
    if (known < 0)
        return -1;
    json_t *json = json_object();
    set_number(json, "position", read->position);
    set_number(json, "ordinal", ordinal);
    set_time(json, "hub_time_us", read->entry->hub_time_us);
    json_object_set_new(json, "case_id", hex_json(event->case_id.data, event->case_id.len));
    set_text(json, "content", body_fate_name(read->fate));
    set_text(json, "case_number", read->header ? read->header->case_number : NULL);
    set_text(json, "kind", read->header ? kind_name(read->header->kind) : NULL);
    set_text(json, "item", read->header ? read->header->item : NULL);
    set_text(json, "reader", receiver->node);
    json_object_set_new(json, "parts", parts_json(read, receiver->part_mask));
    if (receiver->questions)
        json_object_set_new(json, "answers", questions_json(receiver->questions));
    if (receiver->retracts)
        set_bool(json, "retracts", true);
    set_number(json, "rule", receiver->rule);
    set_bool(json, "confirmed", known);
    page_add(shares->page.list, json, &shares->page.bytes);
    return 0;
}

static int entry_look(void *self, uint64_t position, struct casebus_error *err)
{
    struct shares *shares = self;
    struct reader_entry read;
    if (reader_leaf(shares->reader, position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT ||
        strcmp(read.entry->event->node, shares->node) != 0 || read.entry->event->n_receiver == 0)
        return 0;
    if (reader_event(shares->reader, position, &read, err))
        return -1;
    for (uint32_t i = 0; i < read.entry->event->n_receiver; i++)
        if (!shares->to || strcmp(read.entry->event->receiver[i]->node, shares->to) == 0)
            if (share_add(shares, &read, i, err))
                return -1;
    return 0;
}

static int node_check(const struct call *call, const char *node, struct casebus_error *err)
{
    struct registry *registry = call->hub->registry(call->hub->self);
    if (!registry)
        return error_set(err, CASEBUS_DAMAGED, _("who is enrolled cannot be told"));
    bool known = node_find(call, registry, node, err);
    registry_unref(registry);
    return known ? 0 : -1;
}

static int shares_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    struct shares shares = {.reader = reader,
                            .node = request_param(call->request, "node"),
                            .to = request_param(call->request, "reader"),
                            .page.list = json_array()};
    uint64_t position = 0, size = reader_size(reader);
    json_object_set_new(call->answer, "sharing", shares.page.list);
    if (!shares.node || !*shares.node)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "node");
    if (node_check(call, shares.node, err) ||
        request_number(call->request, "from", UINT64_MAX - 1, &position, err) < 0 ||
        request_limit(call->request, 1000, &shares.page.limit, err) ||
        page_walk(&shares.page, reader, &position, size, entry_look, &shares, err))
        return -1;
    json_object_set_new(call->answer, "next", position < size ? number_json(position) : json_null());
    set_number(call->answer, "ledger_size", size);
    return 0;
}

int handle_sharing(struct call *call, struct casebus_error *err)
{
    return with_reader(call, shares_list, err);
}
