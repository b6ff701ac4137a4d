/* GET /v1/events and /v1/events/ID. An event has three names: its position in the ledger, its hash, and
 * NODE:STREAM:NUMBER as its sender counted it. The third also finds what became no entry: a duplicate or a
 * refused one (promise P2). */
#include "hub/console/answers.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"

#include <stdlib.h>

/* ---- the list ---- */

struct event_list {
    struct reader *reader;
    const char *node;
    bool parts;
    uint64_t limit;
    json_t *list;
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

static int event_add(struct event_list *list, uint64_t position, struct casebus_error *err)
{
    json_t *json;
    int wanted = event_wanted(list, position, err);
    if (wanted <= 0)
        return wanted;
    if (event_json(list->reader, position, list->parts, &json, err))
        return -1;
    json_array_append_new(list->list, json);
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
        list->limit = last;
        return find_last(list, last, from, err);
    }
    *from = has_after ? after + 1 : 0;
    return 0;
}

static int events_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    const char *parts = request_param(call->request, "parts");
    uint64_t position = 0;
    struct event_list list = {.reader = reader,
                              .node = request_param(call->request, "node"),
                              .parts = parts && strcmp(parts, "0") != 0,
                              .list = json_array()};
    json_object_set_new(call->answer, "events", list.list);
    if (request_limit(call->request, 1000, &list.limit, err) || list_begin(call, &list, &position, err))
        return -1;
    uint64_t size = reader_size(reader);
    bool looked = false; /* at least one entry a request, so that a caller gets on */
    while (position < size && json_array_size(list.list) < list.limit && (!looked || !reader_late(reader))) {
        if (event_add(&list, position++, err))
            return -1;
        looked = true;
    }
    if (list.parts && json_array_size(list.list) > 0)
        log_notice(call->log, "PARTS-READ",
                   "the parts of %zu events up to entry %llu were read through the console",
                   json_array_size(list.list), (unsigned long long)position - 1);
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
    const char *parts = request_param(call->request, "parts");
    bool open = parts && strcmp(parts, "0") != 0;
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

/* The ledger has no index by hash: it is read backwards, as far as a request's time allows. */
static int show_hash(struct call *call, struct reader *reader, const uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    uint64_t position = reader_size(reader), before = 0;
    int given = request_number(call->request, "before", UINT64_MAX, &before, err);
    if (given < 0)
        return -1;
    if (given && before < position)
        position = before;
    while (position > 0 && !reader_late(reader)) {
        struct reader_entry read;
        if (reader_leaf(reader, --position, &read, err))
            return -1;
        if (read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT &&
            memcmp(read.entry->event->event_hash.data, hash, DIGEST_SIZE) == 0)
            return show_position(call, reader, position, err);
    }
    error_set(err, CASEBUS_NOT_FOUND, _("no event from entry %llu on has this hash"),
              (unsigned long long)position);
    return position ? error_hint(err, _("go on with before=%llu"), (unsigned long long)position) : -1;
}

struct sent_event {
    char node[NODE_NAME_MAX];
    uint64_t stream;
    uint64_t number;
};

static bool sent_event_parse(const char *text, struct sent_event *event)
{
    const char *colon = strchr(text, ':');
    uint8_t stream[8];
    char hex[17];
    if (!colon || (size_t)(colon - text) >= sizeof event->node || strlen(colon) < 19 || colon[17] != ':')
        return false;
    memcpy(event->node, text, (size_t)(colon - text));
    event->node[colon - text] = '\0';
    memcpy(hex, colon + 1, 16);
    hex[16] = '\0';
    if (!hex_decode(stream, sizeof stream, hex))
        return false;
    event->stream = get_u64be(stream);
    return number_parse(colon + 18, UINT64_MAX - 1, &event->number) && event->number > 0;
}

struct batch_walk {
    const struct sent_event *event;
    uint64_t first;
    uint64_t seal_position;
    bool found;
};

/* Remembers the last batch that begins at or before the number. */
static int batch_visit(void *self, struct bytes key, struct bytes value)
{
    struct batch_walk *walk = self;
    uint8_t prefix[TABLE_KEY_MAX];
    size_t n = stream_key(prefix, walk->event->node, walk->event->stream);
    struct batch_row row;
    if (key.size != n + 8 || memcmp(key.data, prefix, n) != 0)
        return 1;
    uint64_t first = get_u64be(key.data + n);
    if (first > walk->event->number)
        return 1;
    if (batch_row_decode(value, &row, NULL) || walk->event->number - first >= row.count)
        return 0;
    walk->first = first;
    walk->seal_position = row.seal_position;
    walk->found = true;
    return 1;
}

static int batch_find(struct reader *reader, struct batch_walk *walk, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    uint64_t number = walk->event->number;
    uint64_t from = number >= BATCH_MAX_EVENTS ? number - BATCH_MAX_EVENTS + 1 : 1;
    size_t n = batch_key(key, walk->event->node, walk->event->stream, from);
    if (state_view_walk(reader->state, TABLE_BATCHES, bytes_of(key, n), batch_visit, walk, err) < 0)
        return -1;
    if (!walk->found || walk->seal_position >= reader_size(reader))
        return error_set(err, CASEBUS_NOT_FOUND, _("node '%s' has sent no number %llu in stream %016llx"),
                         walk->event->node, (unsigned long long)number,
                         (unsigned long long)walk->event->stream);
    return 0;
}

static void outcome_json(struct call *call, const struct sent_event *event, uint64_t seal_position,
                         const Casebus__V1__SealOutcome *outcome)
{
    json_t *json = call->answer;
    set_text(json, "node", event->node);
    json_object_set_new(json, "stream", stream_json(event->stream));
    set_number(json, "number", event->number);
    json_object_set_new(json, "event_id", hex_json(outcome->event_hash.data, outcome->event_hash.len));
    set_number(json, "seal_position", seal_position);
    set_text(json, "outcome", outcome->duplicate_of ? "duplicate" : "refused");
    json_object_set_new(json, "duplicate_of",
                        outcome->duplicate_of ? number_json(outcome->duplicate_of - 1) : json_null());
    set_text(json, "code", outcome->code);
    set_text(json, "sentence",
             *outcome->code ? casebus_code_meaning(casebus_code_parse(outcome->code)) : NULL);
}

/* What the seal says of member @index; else it is an entry: the members that are stand behind the seal in
 * their order. */
static int show_member(struct call *call, struct reader *reader, const struct batch_walk *walk,
                       struct casebus_error *err)
{
    struct reader_entry read;
    uint64_t index = walk->event->number - walk->first, before = 0;
    if (reader_leaf(reader, walk->seal_position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu should be a seal and is not"),
                         (unsigned long long)walk->seal_position);
    const Casebus__V1__SealEntry *seal = read.entry->seal;
    for (size_t i = 0; i < seal->n_outcome; i++) {
        if (seal->outcome[i]->index == index) {
            outcome_json(call, walk->event, walk->seal_position, seal->outcome[i]);
            return 0;
        }
        before += seal->outcome[i]->index < index;
    }
    if (show_position(call, reader, walk->seal_position + 1 + index - before, err))
        return -1;
    set_text(call->answer, "outcome", "accepted");
    return 0;
}

static int event_show(struct call *call, struct reader *reader, struct casebus_error *err)
{
    const char *name = call->request->rest;
    uint8_t hash[DIGEST_SIZE];
    struct sent_event sent;
    uint64_t position;
    if (number_parse(name, UINT64_MAX - 1, &position))
        return show_position(call, reader, position, err);
    if (hex_decode(hash, sizeof hash, name))
        return show_hash(call, reader, hash, err);
    if (sent_event_parse(name, &sent)) {
        struct batch_walk walk = {.event = &sent};
        return batch_find(reader, &walk, err) || show_member(call, reader, &walk, err) ? -1 : 0;
    }
    error_set(err, CASEBUS_ARGUMENT, _("'%s' is no name of an event"), name);
    return error_hint(err,
                      _("its position in the ledger, its hash (64 hex digits), or NODE:STREAM:NUMBER with "
                        "the stream in 16 hex digits"));
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
