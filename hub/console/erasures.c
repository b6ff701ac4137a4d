/* POST /v1/erasures, GET /v1/erasures/tickets/N, GET /v1/erasures and /v1/erasures/POSITION.
 *
 * An erasure takes as long as it has to look for, so whoever orders one gets a ticket and asks how far it is.
 * The list tells of each order when it was given and done, and which receivers have confirmed it. */
#include "hub/console/answers.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define DAY_US INT64_C(86400000000)

/* ---- ordering ---- */

static int text_field(const json_t *body, const char *name, size_t max, bool needed, char *out,
                      struct casebus_error *err)
{
    const json_t *value = json_object_get(body, name);
    const char *text = json_string_value(value);
    if (value && !text)
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' is no text"), name);
    if (needed && (!text || !*text))
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), name);
    if (text && strlen(text) > max)
        return error_set(err, CASEBUS_TOO_LARGE, _("'%s' is longer than %zu bytes"), name, max);
    strcpy(out, text ? text : "");
    return 0;
}

static int parts_field(const json_t *body, struct erasure_request *request, struct casebus_error *err)
{
    const json_t *parts = json_object_get(body, "parts");
    if (!parts)
        return 0;
    if (!json_is_array(parts) || json_array_size(parts) == 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("'parts' is no list of kinds of parts"));
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const char *name = json_string_value(json_array_get(parts, i));
        uint32_t bit = name ? part_kind_bit(part_kind_parse(name)) : 0;
        if (!bit)
            return error_set(err, CASEBUS_BAD_FIELD, _("'%s' is no kind of part"), name ? name : "");
        request->part_kinds |= bit;
    }
    return 0;
}

static int person_field(const json_t *person, struct erasure_request *request, struct casebus_error *err)
{
    request->what = ERASE_PERSON;
    if (!json_is_object(person))
        return error_set(err, CASEBUS_BAD_FIELD, _("'person' has to have 'id_type' and 'id_number'"));
    return text_field(person, "id_type", sizeof request->id_type - 1, true, request->id_type, err) ||
                   text_field(person, "id_number", sizeof request->id_number - 1, true, request->id_number,
                              err)
               ? -1
               : 0;
}

static int target_field(const json_t *body, struct erasure_request *request, struct casebus_error *err)
{
    const json_t *number = json_object_get(body, "case"), *person = json_object_get(body, "person"),
                 *position = json_object_get(body, "quarantine"),
                 *retention = json_object_get(body, "retention");
    if ((number != NULL) + (person != NULL) + (position != NULL) + (retention != NULL) != 1) {
        error_set(err, CASEBUS_ARGUMENT,
                  _("one of 'case', 'person', 'quarantine' and 'retention' has to be given"));
        return error_hint(err,
                          _("materials are not kept by this version: there is nothing of them to destroy"));
    }
    if (person)
        return person_field(person, request, err);
    if (number) {
        request->what = ERASE_CASE;
        return text_field(body, "case", CASE_NUMBER_MAX, true, request->number, err);
    }
    request->what = position ? ERASE_QUARANTINE : ERASE_RETENTION;
    if (position && (!json_is_integer(position) || json_integer_value(position) < 0))
        return error_set(err, CASEBUS_BAD_FIELD, _("'quarantine' is no position of an entry"));
    if (retention && !json_is_true(retention))
        return error_set(err, CASEBUS_BAD_FIELD, _("'retention' can only be true"));
    request->discard = json_is_true(json_object_get(body, "discard"));
    if (request->discard && !position)
        return error_set(err, CASEBUS_ARGUMENT, _("'discard' goes with 'quarantine'"));
    request->position = position ? (uint64_t)json_integer_value(position) : 0;
    return 0;
}

static int request_read(const json_t *body, struct erasure_request *request, struct casebus_error *err)
{
    if (!body)
        return error_set(err, CASEBUS_MISSING_FIELD, _("what has to be destroyed is not said"));
    request->dry_run = json_is_true(json_object_get(body, "dry_run"));
    if (target_field(body, request, err) || parts_field(body, request, err))
        return -1;
    bool needs_words = !request->dry_run && request->what != ERASE_RETENTION;
    if (request->part_kinds && request->what != ERASE_CASE && request->what != ERASE_PERSON)
        return error_set(err, CASEBUS_ARGUMENT, _("'parts' goes with a case or a person"));
    return text_field(body, "order", ERASURE_WORDS_MAX, needs_words, request->words, err);
}

static int erase(struct call *call, struct erasure_request *request, struct casebus_error *err)
{
    uint64_t ticket = 0;
    if (request_read(call->request->body, request, err))
        return -1;
    snprintf(request->by, sizeof request->by, "%s", call->by);
    if (!call->hub->erase) {
        error_set(err, CASEBUS_CLOSED, _("content can only be destroyed while the hub runs"));
        return error_hint(err, _("start it: casebus-hub run %s"), call->hub->dir);
    }
    if (call->hub->erase(call->hub->self, request, &ticket, err))
        return -1;
    call->status = 202;
    set_number(call->answer, "ticket", ticket);
    return 0;
}

int handle_erase(struct call *call, struct casebus_error *err)
{
    struct erasure_request *request = calloc(1, sizeof *request);
    if (!request)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    int r = erase(call, request, err);
    secret_clear(request, sizeof *request);
    free(request);
    return r;
}

/* ---- how far it is ---- */

static const char *stage_name(enum erasure_stage stage)
{
    static const char *const names[] = {"", "searching", "destroying", "done", "failed"};
    return names[stage];
}

int handle_erasure_ticket(struct call *call, struct casebus_error *err)
{
    uint64_t ticket;
    struct erasure_progress progress;
    if (!call->hub->erasure)
        return error_set(err, CASEBUS_CLOSED, _("the hub does not run"));
    if (!number_parse(call->request->rest, UINT64_MAX, &ticket) ||
        !call->hub->erasure(call->hub->self, ticket, &progress))
        return error_set(err, CASEBUS_NOT_FOUND, _("no erasure has the ticket '%s'"), call->request->rest);
    if (progress.stage == ERASURE_FAILED) {
        *err = progress.err;
        return -1;
    }
    json_t *ordered = json_array();
    for (size_t i = 0; i < progress.n_ordered && i < ERASURE_POSITIONS_MAX; i++)
        json_array_append_new(ordered, number_json(progress.ordered[i]));
    set_text(call->answer, "stage", stage_name(progress.stage));
    set_bool(call->answer, "dry_run", progress.dry_run);
    set_number(call->answer, "searched", progress.searched);
    set_number(call->answer, "to_search", progress.to_search);
    set_number(call->answer, "cases", progress.n_cases);
    set_number(call->answer, "entries", progress.n_entries);
    set_number(call->answer, "receivers", progress.n_receivers);
    set_number(call->answer, "orders", progress.n_ordered);
    json_object_set_new(call->answer, "ordered", ordered);
    return 0;
}

/* ---- what was ordered ---- */

static const Casebus__V1__ErasureOrdered *order_read(struct reader *reader, uint64_t position,
                                                     struct reader_entry *read, struct casebus_error *err)
{
    if (reader_leaf(reader, position, read, err))
        return NULL;
    if (read->entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        read->entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return read->entry->act->erasure_ordered;
    error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger orders no erasure"),
              (unsigned long long)position);
    return NULL;
}

/* Which receivers have confirmed. Returns how many have not, or -1. */
static int receivers_look(struct reader *reader, uint64_t position,
                          const Casebus__V1__ErasureOrdered *ordered, json_t *list, struct casebus_error *err)
{
    int n_waiting = 0;
    for (size_t i = 0; i < ordered->n_receiver; i++) {
        int r = reader_confirmed(reader, ordered->receiver[i]->node, position, (uint32_t)i, err);
        if (r < 0)
            return -1;
        n_waiting += r == 0;
        if (list)
            json_array_append_new(
                list, json_pack("{s:s, s:b}", "node", ordered->receiver[i]->node, "confirmed", r));
    }
    return n_waiting;
}

static int64_t patience_us(const struct console_hub *hub)
{
    return (hub->erasure_days ? hub->erasure_days : ERASURE_DAYS_PRESET) * DAY_US;
}

static bool overdue(const struct console_hub *hub, const struct erasure_row *row, int n_waiting)
{
    return n_waiting > 0 && clock_unix_us() - row->ordered_at_us > patience_us(hub);
}

static bool destroys_headers(const Casebus__V1__ErasureOrdered *ordered)
{
    return ordered->n_content > 0 && ordered->content[0]->header;
}

static const char *reason_name(Casebus__V1__ErasureReason reason)
{
    return reason == CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_RETENTION   ? "retention"
           : reason == CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_DISCARDED ? "discarded"
                                                                             : "order";
}

/* @json gets what there is to say; @words with the order's own words. */
static int order_json(struct reader *reader, uint64_t position, const struct erasure_row *row, bool whole,
                      json_t *json, struct casebus_error *err)
{
    struct reader_entry read;
    const Casebus__V1__ErasureOrdered *ordered = order_read(reader, position, &read, err);
    if (!ordered)
        return -1;
    json_t *receivers = json_array();
    json_object_set_new(json, "receivers", receivers);
    set_number(json, "position", position);
    set_text(json, "reason", reason_name(ordered->reason));
    json_object_set_new(json, "case_id",
                        ordered->case_id.len ? hex_json(ordered->case_id.data, ordered->case_id.len)
                                             : json_null());
    set_text(json, "destroys", destroys_headers(ordered) ? "all" : "parts");
    set_number(json, "entries", ordered->n_content);
    set_time(json, "ordered_at_us", row->ordered_at_us);
    set_time(json, "done_at_us", row->done_at_us);
    if (row->done_position)
        set_number(json, "done_position", row->done_position);
    int n_waiting = receivers_look(reader, position, ordered, receivers, err);
    if (n_waiting < 0)
        return -1;
    set_number(json, "unconfirmed", (uint64_t)n_waiting);
    set_bool(json, "overdue", overdue(reader->hub, row, n_waiting));
    if (!whole)
        return 0;
    json_t *contents = json_array();
    json_object_set_new(json, "contents", contents);
    for (size_t i = 0; i < ordered->n_content; i++)
        json_array_append_new(contents, message_json(&ordered->content[i]->base, NULL));
    char *words = NULL;
    if (reader_words(reader, &read, &words, err))
        return -1;
    set_text(json, "order", words);
    return 0;
}

struct order_walk {
    struct reader *reader;
    json_t *list;
    size_t bytes;
    uint64_t after, limit, next;
    bool has_after, more, failed;
    struct casebus_error *err;
};

static int on_order(void *self, struct bytes key, struct bytes value)
{
    struct order_walk *walk = self;
    struct erasure_row row;
    uint64_t position = key.size == 8 ? get_u64be(key.data) : 0;
    if ((walk->has_after && position <= walk->after) || position >= reader_size(walk->reader))
        return 0;
    if (json_array_size(walk->list) >= walk->limit || page_full(walk->bytes) || reader_late(walk->reader)) {
        walk->more = true;
        return 1;
    }
    json_t *json = json_object();
    walk->next = position;
    walk->failed = erasure_row_decode(value, &row, walk->err) ||
                   order_json(walk->reader, position, &row, false, json, walk->err);
    page_add(walk->list, json, &walk->bytes);
    return walk->failed;
}

static int orders_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct order_walk walk = {.reader = reader, .list = json_array(), .err = err};
    json_object_set_new(call->answer, "erasures", walk.list);
    int has_after = request_number(call->request, "after", UINT64_MAX - 1, &walk.after, err);
    if (has_after < 0 || request_limit(call->request, 1000, &walk.limit, err))
        return -1;
    walk.has_after = has_after > 0;
    size_t size = erasure_key(key, walk.after);
    if (state_view_walk(reader->state, TABLE_ERASURES, bytes_of(key, size), on_order, &walk, err) < 0 ||
        walk.failed)
        return -1;
    if (walk.more)
        set_number(call->answer, "next", walk.next);
    else
        json_object_set_new(call->answer, "next", json_null());
    return 0;
}

static int order_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    uint64_t position;
    struct bytes value;
    struct erasure_row row;
    if (!number_parse(call->request->rest, UINT64_MAX, &position))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is no position of an entry"), call->request->rest);
    size_t size = erasure_key(key, position);
    int r = state_view_get(reader->state, TABLE_ERASURES, bytes_of(key, size), &value, err);
    if (r == 0)
        error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger orders no erasure"),
                  (unsigned long long)position);
    if (r <= 0 || erasure_row_decode(value, &row, err))
        return -1;
    return order_json(reader, position, &row, true, call->answer, err);
}

int handle_erasures(struct call *call, struct casebus_error *err)
{
    return with_reader(call, orders_list, err);
}

int handle_erasure(struct call *call, struct casebus_error *err)
{
    return with_reader(call, order_show, err);
}

/* ---- for status ---- */

struct order_count {
    struct reader *reader;
    uint64_t ordered, pending, unconfirmed, overdue;
    bool failed;
    struct casebus_error *err;
};

static int count_order(void *self, struct bytes key, struct bytes value)
{
    struct order_count *count = self;
    struct erasure_row row;
    struct reader_entry read;
    uint64_t position = key.size == 8 ? get_u64be(key.data) : 0;
    if (position >= reader_size(count->reader) || reader_late(count->reader))
        return 1;
    count->failed = true;
    if (erasure_row_decode(value, &row, count->err))
        return 1;
    const Casebus__V1__ErasureOrdered *ordered = order_read(count->reader, position, &read, count->err);
    int n_waiting = ordered ? receivers_look(count->reader, position, ordered, NULL, count->err) : -1;
    if (n_waiting < 0)
        return 1;
    count->failed = false;
    count->pending += !row.done_position;
    count->unconfirmed += n_waiting > 0;
    count->overdue += overdue(count->reader->hub, &row, n_waiting);
    return 0;
}

int erasures_status(struct reader *reader, json_t *json, struct casebus_error *err)
{
    struct order_count count = {.reader = reader, .err = err};
    if (state_view_walk(reader->state, TABLE_ERASURES, bytes_of("", 0), count_order, &count, err) < 0 ||
        count.failed)
        return -1;
    json_t *part = json_object();
    set_number(part, "ordered", state_view_count(reader->state, TABLE_ERASURES));
    set_number(part, "pending", count.pending);
    set_number(part, "unconfirmed", count.unconfirmed);
    set_number(part, "overdue", count.overdue);
    json_object_set_new(json, "erasures", part);
    return 0;
}
