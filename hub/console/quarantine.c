/* GET /v1/quarantine and /v1/quarantine/POSITION: what was refused, and what was decided about it. What it
 * holds may be anything: it is shown as far as it can be read. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"
#include "proto/codec/frame.h"

#define EVENTS_SHOWN_MAX 64 /* of a batch */

static const char *decision_name(unsigned decision)
{
    static const char *const names[] = {"", "released", "discarded"};
    return names[decision < sizeof names / sizeof *names ? decision : 0];
}

static void refused_fields(json_t *json, uint64_t position, const Casebus__V1__Quarantined *quarantined,
                           const struct quarantine_row *row)
{
    set_number(json, "position", position);
    set_text(json, "node", quarantined->node);
    set_text(json, "code", quarantined->code);
    enum casebus_code known = casebus_code_parse(quarantined->code);
    set_text(json, "sentence", casebus_code_meaning(known));
    set_text(json, "hint", casebus_code_hint(known));
    set_text(json, "actor", casebus_actor_text(casebus_code_actor(known)));
    set_text(json, "resend", casebus_resend_text(casebus_code_resend(known)));
    set_time(json, "refused_at_us", row->refused_at_us);
    set_number(json, "size", quarantined->size);
    set_text(json, "refused", quarantined->whole_batch ? "batch" : "event");
    set_text(json, "decision", decision_name(row->decision));
    json_object_set_new(json, "decided_position",
                        row->decided_position ? number_json(row->decided_position) : json_null());
}

/* ---- the list ---- */

struct refused_walk {
    struct reader *reader;
    const char *node, *code;
    bool all;
    uint64_t after, limit, next;
    bool has_after, more, failed;
    json_t *list;
    size_t bytes;
    struct casebus_error *err;
};

static int refused_add(struct refused_walk *walk, uint64_t position, const struct quarantine_row *row)
{
    struct reader_entry read;
    if (reader_leaf(walk->reader, position, &read, walk->err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        read.entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return error_set(walk->err, CASEBUS_DAMAGED, _("entry %llu of the ledger is nothing in quarantine"),
                         (unsigned long long)position);
    const Casebus__V1__Quarantined *quarantined = read.entry->act->quarantined;
    if ((walk->node && strcmp(walk->node, quarantined->node) != 0) ||
        (walk->code && strcmp(walk->code, quarantined->code) != 0))
        return 0;
    json_t *json = json_object();
    refused_fields(json, position, quarantined, row);
    page_add(walk->list, json, &walk->bytes);
    return 0;
}

static int on_refused(void *self, struct bytes key, struct bytes value)
{
    struct refused_walk *walk = self;
    struct quarantine_row row;
    uint64_t position = key.size == 8 ? get_u64be(key.data) : 0;
    if ((walk->has_after && position <= walk->after) || position >= reader_size(walk->reader))
        return 0;
    if (json_array_size(walk->list) >= walk->limit || page_full(walk->bytes) || reader_late(walk->reader)) {
        walk->more = true;
        return 1;
    }
    walk->next = position;
    walk->failed = quarantine_row_decode(value, &row, walk->err) ||
                   ((walk->all || !row.decided_position) && refused_add(walk, position, &row));
    return walk->failed;
}

/* Where the undecided ones begin: what lies before was settled. */
static int walk_begin(struct refused_walk *walk, struct casebus_error *err)
{
    struct exchange_store store = reader_store(walk->reader);
    struct quarantine_chain chain;
    if (walk->all)
        return 0;
    if (exchange_quarantine_chain(&store, &chain, err))
        return -1;
    if (chain.first > 1 && (!walk->has_after || walk->after < chain.first - 2)) {
        walk->has_after = true;
        walk->after = chain.first - 2;
    }
    return 0;
}

static int refused_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    const char *all = request_param(call->request, "all");
    struct refused_walk walk = {.reader = reader,
                                .node = request_param(call->request, "node"),
                                .code = request_param(call->request, "code"),
                                .all = all && strcmp(all, "0") != 0,
                                .list = json_array(),
                                .err = err};
    json_object_set_new(call->answer, "quarantine", walk.list);
    int has_after = request_number(call->request, "after", UINT64_MAX - 1, &walk.after, err);
    if (has_after < 0 || request_limit(call->request, 1000, &walk.limit, err))
        return -1;
    walk.has_after = has_after > 0;
    if (walk_begin(&walk, err))
        return -1;
    size_t size = erasure_key(key, walk.after);
    if (state_view_walk(reader->state, TABLE_QUARANTINE, bytes_of(key, size), on_refused, &walk, err) < 0 ||
        walk.failed)
        return -1;
    json_object_set_new(call->answer, "next", walk.more ? number_json(walk.next) : json_null());
    return quarantine_status(reader, call->answer, err);
}

/* ---- one of them ---- */

static json_t *part_shown(struct reader *reader, const Casebus__V1__EventHeader *header, size_t index,
                          struct bytes content, bool open)
{
    Casebus__V1__PartKind kind = header && index < header->n_commitment
                                     ? header->commitment[index]->kind
                                     : CASEBUS__V1__PART_KIND__PART_KIND_OTHER;
    const char *name = part_kind_name(kind);
    json_t *json = json_object();
    set_number(json, "index", index);
    set_text(json, "kind", name ? name : "other");
    set_number(json, "size", content.size);
    if (open)
        json_object_set_new(json, "content", part_content_json(reader, kind, content));
    return json;
}

/* A header that breaks a rule is shown all the same, when it is one at all. */
static const Casebus__V1__EventHeader *header_shown(struct reader *reader, struct bytes bytes, json_t *json)
{
    static const struct codec_limits limits = {EVENT_MAX, 256, 3};
    static const char *const skip[] = {"random", "commitment", NULL};
    const Casebus__V1__EventHeader *header = (const Casebus__V1__EventHeader *)codec_unpack(
        &casebus__v1__event_header__descriptor, bytes, &limits, &reader->arena, NULL);
    json_object_set_new(json, "header", header ? message_json(&header->base, skip) : json_null());
    return header;
}

static int member_shown(struct reader *reader, const struct reader_entry *read, bool open, json_t *events,
                        struct casebus_error *err)
{
    struct bytes plain;
    json_t *json = json_object(), *parts = json_array();
    json_array_append_new(events, json);
    if (reader_refused_item(reader, read, 0, &plain, err))
        return -1;
    const Casebus__V1__EventHeader *header = header_shown(reader, plain, json);
    json_object_set_new(json, "parts", parts);
    for (size_t i = 1; i < read->body->n_item; i++) {
        if (body_item_erased(read->body, i))
            continue;
        if (reader_refused_item(reader, read, i, &plain, err))
            return -1;
        size_t salt = plain.size < SALT_SIZE ? plain.size : SALT_SIZE;
        json_array_append_new(
            parts, part_shown(reader, header, i - 1, bytes_of(plain.data + salt, plain.size - salt), open));
    }
    return 0;
}

static void statement_shown(struct reader *reader, const Casebus__V1__Batch *batch, json_t *json)
{
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(batch->statement.data, batch->statement.len), &reader->arena, NULL);
    if (!statement)
        return;
    json_object_set_new(json, "stream", stream_json(statement->stream));
    set_number(json, "first", statement->first);
    set_number(json, "count", statement->count);
}

static int batch_shown(struct reader *reader, const struct reader_entry *read, bool open, json_t *answer,
                       json_t *events, struct casebus_error *err)
{
    struct bytes plain;
    if (reader_refused_item(reader, read, 0, &plain, err))
        return -1;
    const Casebus__V1__Frame *frame = frame_decode(plain, &reader->arena, NULL);
    if (!frame || frame->body_case != CASEBUS__V1__FRAME__BODY_PUBLISH || !frame->publish->batch)
        return 0; /* rubbish */
    const Casebus__V1__Batch *batch = frame->publish->batch;
    statement_shown(reader, batch, answer);
    for (size_t i = 0; i < batch->n_event && i < EVENTS_SHOWN_MAX; i++) {
        const Casebus__V1__Event *event = batch->event[i];
        json_t *json = json_object(), *parts = json_array();
        json_array_append_new(events, json);
        const Casebus__V1__EventHeader *header =
            header_shown(reader, bytes_of(event->header.data, event->header.len), json);
        json_object_set_new(json, "parts", parts);
        for (size_t k = 0; k < event->n_part; k++)
            json_array_append_new(
                parts, part_shown(reader, header, k,
                                  bytes_of(event->part[k]->content.data, event->part[k]->content.len), open));
    }
    return 0;
}

static int refused_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint64_t position;
    struct reader_entry read;
    struct quarantine_row row = {0};
    struct exchange_store store = reader_store(reader);
    bool open = request_flag(call->request, "parts");
    if (!number_parse(call->request->rest, UINT64_MAX - 1, &position))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is no position of an entry"), call->request->rest);
    if (reader_quarantined(reader, position, &read, err) ||
        exchange_quarantine_get(&store, position, &row, err) < 0)
        return -1;
    row.refused_at_us = read.entry->hub_time_us; /* with CB-ERASED there is no row */
    refused_fields(call->answer, position, read.entry->act->quarantined, &row);
    set_text(call->answer, "content", body_fate_name(read.fate));
    json_t *events = json_array();
    json_object_set_new(call->answer, "events", events);
    if (!read.body)
        return 0;
    if (open)
        log_notice(call->log, "PARTS-READ", "the parts of entry %llu were read through the console",
                   (unsigned long long)position);
    return read.entry->act->quarantined->whole_batch
               ? batch_shown(reader, &read, open, call->answer, events, err)
               : member_shown(reader, &read, open, events, err);
}

int handle_quarantine(struct call *call, struct casebus_error *err)
{
    return with_reader(call, refused_list, err);
}

int handle_quarantined(struct call *call, struct casebus_error *err)
{
    return with_reader(call, refused_show, err);
}

/* ---- released ---- */

int handle_release(struct call *call, struct casebus_error *err)
{
    const char *why = json_string_value(json_object_get(call->request->body, "why"));
    const char *decision = json_string_value(json_object_get(call->request->body, "decision"));
    uint64_t position, decided = 0;
    if (!number_parse(call->request->rest, UINT64_MAX - 1, &position))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is no position of an entry"), call->request->rest);
    if (!why || !*why)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "why");
    if (!decision || strcmp(decision, "released") != 0) {
        error_set(err, CASEBUS_BAD_FIELD, _("'decision' can only be released"));
        return error_hint(err, _("to destroy it, ask POST /v1/erasures"));
    }
    if (running_check(call, call->hub->release, err))
        return -1;
    if (call->hub->release(call->hub->self, position, call->by, why, &decided, err) ||
        (call->hub->barrier && call->hub->barrier(call->hub->self, 10000, err)))
        return -1;
    log_notice(call->log, "QUARANTINE-RELEASED",
               _("what was refused at entry %llu is released by entry %llu"), (unsigned long long)position,
               (unsigned long long)decided);
    return handle_quarantined(call, err);
}

/* ---- for status ---- */

int quarantine_status(struct reader *reader, json_t *json, struct casebus_error *err)
{
    struct exchange_store store = reader_store(reader);
    struct quarantine_chain chain;
    struct quarantine_row oldest = {0};
    if (exchange_quarantine_chain(&store, &chain, err) ||
        (chain.first && exchange_quarantine_get(&store, chain.first - 1, &oldest, err) < 0))
        return -1;
    json_t *part = json_object();
    set_number(part, "undecided", chain.count);
    set_time(part, "oldest_us", oldest.refused_at_us);
    json_object_set_new(json, "waiting_in_quarantine", part);
    return 0;
}
