/* GET /v1/events and /v1/events/ID. */
#include "hub/console/answers.h"
#include "hub/console/event_name.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"

#include <stdlib.h>

/* ---- the list ---- */

struct event_list {
    struct reader *reader;
    const char *node;
    bool parts;
    struct page page;
};

/* 1: it is an event that is asked for; 0: not. */
static int event_wanted(struct event_list *list, uint64_t position, struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_leaf(list->reader, position, &read, err))
        return -1;
    return read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT &&
           (!list->node || strcmp(list->node, read.entry->event->node) == 0);
}

static int event_add(void *self, uint64_t position, struct casebus_error *err)
{
    struct event_list *list = self;
    json_t *json;
    int wanted = event_wanted(list, position, err);
    if (wanted <= 0)
        return wanted;
    if (event_json(list->reader, position, list->parts, &json, err))
        return -1;
    page_add(list->page.list, json, &list->page.bytes);
    return 0;
}

/* Where the last @n events begin, going back from the end as far as time allows. */
static int find_last(struct event_list *list, uint64_t n, uint64_t *from, struct casebus_error *err)
{
    uint64_t position = reader_size(list->reader);
    while (position > 0 && n > 0 && !reader_late(list->reader)) {
        int wanted = event_wanted(list, --position, err);
        if (wanted < 0)
            return -1;
        n -= (uint64_t)wanted;
    }
    *from = position;
    return 0;
}

/* Where to begin: behind `after`, at the `last` so many, or at the beginning. */
static int list_begin(struct call *call, struct event_list *list, uint64_t *from, struct casebus_error *err)
{
    uint64_t after = 0, last = 0;
    int has_after = request_number(call->request, "after", UINT64_MAX - 1, &after, err);
    int has_last = request_number(call->request, "last", 1000, &last, err);
    if (has_after < 0 || has_last < 0)
        return -1;
    if (has_after && has_last)
        return error_set(err, CASEBUS_ARGUMENT, _("'after' and 'last' cannot both be asked for"));
    if (has_last) {
        list->page.limit = last;
        return find_last(list, last, from, err);
    }
    *from = has_after ? after + 1 : 0;
    return 0;
}

static int events_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    uint64_t position = 0, size = reader_size(reader);
    struct event_list list = {.reader = reader,
                              .node = request_param(call->request, "node"),
                              .parts = request_flag(call->request, "parts"),
                              .page.list = json_array()};
    json_object_set_new(call->answer, "events", list.page.list);
    if (request_limit(call->request, 1000, &list.page.limit, err) ||
        list_begin(call, &list, &position, err) ||
        page_walk(&list.page, reader, &position, size, event_add, &list, err))
        return -1;
    if (list.parts && json_array_size(list.page.list) > 0)
        log_notice(call->log, "PARTS-READ",
                   "the parts of %zu events up to entry %llu were read through the console",
                   json_array_size(list.page.list), (unsigned long long)position - 1);
    json_object_set_new(call->answer, "next", position > 0 ? number_json(position - 1) : json_null());
    set_bool(call->answer, "more", position < size);
    set_number(call->answer, "ledger_size", size);
    return 0;
}

int handle_events(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = events_list(call, &reader, err);
    reader_deinit(&reader);
    return r;
}

/* ---- one event ---- */

static int show_position(struct call *call, struct reader *reader, uint64_t position,
                         struct casebus_error *err)
{
    bool open = request_flag(call->request, "parts");
    json_t *json;
    if (position >= reader_size(reader))
        return error_set(err, CASEBUS_NOT_FOUND, _("the ledger has %llu entries; there is none at %llu"),
                         (unsigned long long)reader_size(reader), (unsigned long long)position);
    if (event_json(reader, position, open, &json, err))
        return -1;
    if (open) /* the access will be an entry of the ledger one day; a line of the log until then */
        log_notice(call->log, "PARTS-READ", "the parts of entry %llu were read through the console",
                   (unsigned long long)position);
    json_object_update(call->answer, json);
    json_decref(json);
    return 0;
}

static void outcome_json(json_t *json, const Casebus__V1__BatchStatement *statement,
                         const struct event_place *place, const Casebus__V1__SealOutcome *outcome)
{
    set_text(json, "node", statement->node);
    json_object_set_new(json, "stream", stream_json(statement->stream));
    set_number(json, "number", statement->first + place->index);
    json_object_set_new(json, "event_id", hex_json(outcome->event_hash.data, outcome->event_hash.len));
    set_number(json, "seal_position", place->seal_position);
    set_text(json, "outcome", outcome->duplicate_of ? "duplicate" : "refused");
    json_object_set_new(json, "duplicate_of",
                        outcome->duplicate_of ? number_json(outcome->duplicate_of - 1) : json_null());
    set_text(json, "code", outcome->code);
    set_text(json, "sentence",
             *outcome->code ? casebus_code_meaning(casebus_code_parse(outcome->code)) : NULL);
}

static int show_outcome(struct call *call, struct reader *reader, const struct event_place *place,
                        struct casebus_error *err)
{
    struct reader_entry read;
    if (seal_read(reader, place->seal_position, &read, err))
        return -1;
    const Casebus__V1__SealEntry *seal = read.entry->seal;
    Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &reader->arena, err);
    for (size_t i = 0; statement && i < seal->n_outcome; i++)
        if (seal->outcome[i]->index == place->index)
            outcome_json(call->answer, statement, place, seal->outcome[i]);
    return statement ? 0 : -1;
}

static int event_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    struct event_place place;
    if (event_find(reader, call->request, call->request->rest, &place, err))
        return -1;
    if (place.no_entry)
        return show_outcome(call, reader, &place, err);
    if (show_position(call, reader, place.position, err))
        return -1;
    if (place.by_number)
        set_text(call->answer, "outcome", "accepted");
    return 0;
}

int handle_event(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = event_show(call, &reader, err);
    reader_deinit(&reader);
    return r;
}
