/* GET /v1/cases and /v1/cases/NUMBER: what the events of all departments amount to.
 *
 * The list is in the order in which the cases were opened; a case's id is the cursor. The state holds no
 * numbers: they are opened from the newest header of each case. The timeline is put together from the
 * records that the case stands on: each names the entry that holds its newest statement, whose header is
 * opened. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"

#include <stdlib.h>

struct finding_row {
    unsigned bit;
    const char *name;
};

static const struct finding_row findings[] = {
    {FINDING_SECOND_SUPPLEMENT, "second_supplement"},
    {FINDING_SPECIAL_NOT_BEGUN, "special_not_begun"},
    {FINDING_FINISH_WHILE_STOPPED, "finish_while_stopped"},
    {FINDING_ACCEPT_AFTER_FINISH, "accept_after_finish"},
    {FINDING_CONFLICT, "conflict"},
    {FINDING_OTHER_ITEM, "other_item"},
};

static json_t *findings_json(unsigned bits)
{
    json_t *names = json_array();
    for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++)
        if (bits & findings[i].bit)
            json_array_append_new(names, json_string(findings[i].name));
    return names;
}

static int texts_json(struct reader *reader, const struct case_row *row, json_t *json,
                      struct casebus_error *err)
{
    char text[CASE_NUMBER_MAX + 1];
    json_t *aliases = json_array();
    if (reader_case_number(reader, row, text, err)) {
        json_decref(aliases);
        return -1;
    }
    set_text(json, "number", text);
    json_object_set_new(json, "aliases", aliases);
    for (uint32_t i = 0; i < row->n_aliases; i++) {
        if (reader_case_alias(reader, row, i, text, err))
            return -1;
        json_array_append_new(aliases, json_string(text));
    }
    return 0;
}

/* NULL with @err. */
static json_t *case_json(struct reader *reader, const struct case_row *row, struct bytes case_id,
                         struct casebus_error *err)
{
    const struct case_state *state = &row->state;
    json_t *json = json_object();
    json_object_set_new(json, "case_id", hex_json(case_id.data, case_id.size));
    if (texts_json(reader, row, json, err)) {
        json_decref(json);
        return NULL;
    }
    set_text(json, "status", case_status_name(state->status));
    set_number(json, "records", state->n_records);
    set_number(json, "deleted", state->n_deleted);
    set_number(json, "conflicts", state->n_conflicts);
    set_time(json, "opened_at_us", row->opened_at_us);
    set_time(json, "first_at_us", state->first_at_us);
    set_time(json, "last_at_us", state->last_at_us);
    set_time(json, "applied_at_us", state->applied_at_us);
    set_time(json, "received_at_us", state->received_at_us);
    set_time(json, "accepted_at_us", state->accepted_at_us);
    set_time(json, "decided_at_us", state->decided_at_us);
    set_time(json, "finished_at_us", state->finished_at_us);
    json_object_set_new(json, "finish_kind",
                        state->finish_kind_plus1 ? json_integer(state->finish_kind_plus1 - 1) : json_null());
    json_object_set_new(json, "findings", findings_json(state->findings));
    return json;
}

/* ---- the list ---- */

struct case_walk {
    struct reader *reader;
    struct bytes after; /* empty: from the first one */
    const char *status;
    uint64_t limit;
    json_t *list;
    char next[2 * CASE_ID_SIZE + 1];
    bool more;
    bool failed;
    struct casebus_error *err;
};

static bool status_wanted(const struct case_walk *walk, const struct case_row *row)
{
    return !walk->status || strcmp(walk->status, case_status_name(row->state.status)) == 0;
}

static int case_add(struct case_walk *walk, struct bytes case_id, struct bytes value)
{
    struct case_row row;
    if (case_row_decode(value, &row, NULL, 0, walk->err))
        return -1;
    if (!status_wanted(walk, &row))
        return 0;
    json_t *json = case_json(walk->reader, &row, case_id, walk->err);
    return json ? json_array_append_new(walk->list, json) : -1;
}

static int case_visit(void *self, struct bytes case_id, struct bytes value)
{
    struct case_walk *walk = self;
    if (bytes_equal(case_id, walk->after))
        return 0;
    if (json_array_size(walk->list) >= walk->limit || reader_late(walk->reader)) {
        walk->more = true;
        return 1;
    }
    if (case_id.size == CASE_ID_SIZE)
        hex_encode(walk->next, case_id.data, case_id.size);
    walk->failed = case_add(walk, case_id, value) != 0;
    return walk->failed;
}

static int status_check(const char *status, struct casebus_error *err)
{
    if (!status)
        return 0;
    for (int i = CASE_NOTHING; i <= CASE_ANNULLED; i++)
        if (strcmp(status, case_status_name((enum case_status)i)) == 0)
            return 0;
    error_set(err, CASEBUS_ARGUMENT, _("'%s' is no status of a case"), status);
    return error_hint(err, _("one of nothing, applied, received, supplement, accepted, refused, stopped, "
                             "decided, finished, delivered, withdrawn, annulled"));
}

static int cases_list(struct call *call, struct reader *reader, struct casebus_error *err)
{
    const char *after = request_param(call->request, "after");
    uint8_t after_id[CASE_ID_SIZE];
    struct case_walk walk = {.reader = reader, .status = request_param(call->request, "status"), .err = err};
    if (request_limit(call->request, 1000, &walk.limit, err) || status_check(walk.status, err))
        return -1;
    if (after && !hex_decode(after_id, sizeof after_id, after))
        return error_set(err, CASEBUS_ARGUMENT, _("parameter 'after' is no id of a case: 32 hex digits"));
    if (after)
        walk.after = bytes_of(after_id, sizeof after_id);
    walk.list = json_array();
    json_object_set_new(call->answer, "cases", walk.list);
    int r = state_view_walk(reader->state, TABLE_CASES, walk.after, case_visit, &walk, err);
    if (r < 0 || walk.failed)
        return -1;
    set_text(call->answer, "next", walk.more ? walk.next : NULL);
    set_number(call->answer, "state_applied", state_view_applied(reader->state));
    return 0;
}

int handle_cases(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = cases_list(call, &reader, err);
    reader_deinit(&reader);
    return r;
}

/* ---- one case ---- */

static int by_time(const void *a, const void *b)
{
    const struct case_record *x = a, *y = b;
    if (x->occurred_at_us != y->occurred_at_us)
        return x->occurred_at_us < y->occurred_at_us ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static void record_header_json(json_t *json, const Casebus__V1__EventHeader *header)
{
    set_text(json, "what", event_what(header));
    set_text(json, "source_code", header->source_code);
    set_text(json, "handler", header->handler);
    set_text(json, "department", header->department);
    set_text(json, "item", header->item);
    set_text(json, "record_namespace", header->record_namespace);
    set_text(json, "record_id", header->record_id);
    json_t *parts = json_array();
    for (size_t i = 0; i < header->n_commitment; i++)
        json_array_append_new(parts,
                              json_pack("{s:s, s:i}", "kind", part_kind_name(header->commitment[i]->kind),
                                        "size", (int)header->commitment[i]->size));
    json_object_set_new(json, "parts", parts);
}

static int record_json(struct reader *reader, const struct case_record *record, uint32_t about, json_t *json,
                       struct casebus_error *err)
{
    struct reader_entry read;
    const char *kind = kind_name((Casebus__V1__Kind)record->kind);
    set_number(json, "position", record->position);
    set_time(json, "occurred_at_us", record->occurred_at_us);
    set_text(json, "precision",
             record->precision == CASEBUS__V1__PRECISION__PRECISION_DATE ? "date" : "instant");
    set_text(json, "kind", kind ? kind : "unknown");
    set_text(json, "operation", operation_name((Casebus__V1__Operation)record->operation));
    set_number(json, "revision", record->revision);
    set_bool(json, "backfill", record->flags & RECORD_BACKFILL);
    set_bool(json, "conflicted", record->flags & RECORD_CONFLICTED);
    set_bool(json, "beside", case_beside(record, about));
    if (reader_event(reader, record->position, &read, err))
        return -1;
    set_text(json, "content", body_fate_name(read.fate));
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_DAMAGED,
                         _("a record of the case stands on entry %llu, which is no event"),
                         (unsigned long long)record->position);
    set_time(json, "hub_time_us", read.entry->hub_time_us);
    set_text(json, "node", read.entry->event->node);
    set_number(json, "number", read.entry->event->number);
    if (read.header)
        record_header_json(json, read.header);
    return 0;
}

/* The state may be ahead of the ledger on disk by a moment, or the other way round. */
static int timeline_json(struct reader *reader, struct case_record *records, size_t n, json_t *list,
                         bool *whole, struct casebus_error *err)
{
    uint32_t about = case_about(records, (uint32_t)n); /* they come in the order of the fold */
    qsort(records, n, sizeof *records, by_time);
    size_t bytes = 0;
    *whole = true;
    for (size_t i = 0; i < n; i++) {
        if (records[i].position >= reader_size(reader) || page_full(bytes) || reader_late(reader)) {
            *whole = false;
            continue;
        }
        json_t *json = json_object();
        if (record_json(reader, &records[i], about, json, err)) {
            json_decref(json);
            return -1;
        }
        page_add(list, json, &bytes);
    }
    return 0;
}

static int case_fill(struct call *call, struct reader *reader, struct bytes case_id, struct bytes value,
                     struct case_record *records, struct casebus_error *err)
{
    struct case_row row;
    bool whole;
    if (case_row_decode(value, &row, records, CASE_RECORDS_MAX, err))
        return -1;
    json_t *json = case_json(reader, &row, case_id, err);
    if (!json)
        return -1;
    json_t *timeline = json_array();
    json_object_update(call->answer, json);
    json_decref(json);
    json_object_set_new(call->answer, "timeline", timeline);
    if (timeline_json(reader, records, row.n_records, timeline, &whole, err))
        return -1;
    set_bool(call->answer, "timeline_whole", whole);
    return 0;
}

int case_find_number(struct reader *reader, const char *number, struct bytes *case_id, struct bytes *value,
                     struct casebus_error *err)
{
    int r = reader_case_id(reader, number, case_id, err);
    if (r > 0)
        r = state_view_get(reader->state, TABLE_CASES, *case_id, value, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        error_set(err, CASEBUS_NOT_FOUND, _("no case has the number '%s'"), number);
        return error_hint(err, _("see which there are: casebus case list"));
    }
    return 0;
}

int handle_case(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    struct bytes case_id = {0}, value = {0};
    struct case_record *records = calloc(CASE_RECORDS_MAX, sizeof *records);
    int r = reader_init(&reader, call->hub, err);
    if (r == 0 && !records)
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for a case"));
    if (r == 0)
        r = case_find_number(&reader, call->request->rest, &case_id, &value, err);
    if (r == 0)
        r = case_fill(call, &reader, case_id, value, records, err);
    reader_deinit(&reader);
    free(records);
    return r;
}
