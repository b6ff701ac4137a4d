/* GET and POST /v1/policy, GET /v1/policy/why/NODE?case=NUMBER: who sees what, by which row, and why not. */
#include "hub/console/answers.h"
#include "hub/console/proposal.h"
#include "hub/exchange/answers.h"
#include "hub/rights/rights_ledger.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

/* ---- which policy is in force ---- */

/* 1: *bookp is the caller's; 0: none was ever applied; -1. A hub that does not run is read from its files. */
static int policy_get(const struct console_hub *hub, struct reader *reader, struct rights_book **bookp,
                      struct casebus_error *err)
{
    if (hub->policy) {
        *bookp = hub->policy(hub->self);
        return *bookp != NULL;
    }
    if (!hub->vault) {
        error_set(err, CASEBUS_KEY, _("the policy is sealed, and the hub's keys are not at hand"));
        return error_hint(err, _("run this as the hub's user"));
    }
    struct exchange_store store = reader_store(reader);
    return rights_ledger_read(bookp, &store, reader->ledger, hub->ledger, hub->vault,
                              crypter_suite(reader->crypter), err);
}

static void policy_json(json_t *json, const struct rights_book *book)
{
    struct bytes text = rights_book_text(book);
    const struct rights *rights = rights_book_rights(book);
    set_number(json, "version", rights_book_version(book));
    set_number(json, "entries", rights && rights->n_rows ? rights->rows[rights->n_rows - 1].number : 0);
    set_bool(json, "limits_publishing", rights && rights->limits_publishing);
    json_object_set_new(
        json, "text", book ? json_stringn(text.size ? (const char *)text.data : "", text.size) : json_null());
}

int handle_policy(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    struct rights_book *book = NULL;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = policy_get(call->hub, &reader, &book, err);
    if (r >= 0)
        policy_json(call->answer, book);
    if (r >= 0 && proposal_show(call->hub, rights_book_version(book), call->answer, err))
        r = -1;
    set_bool(call->answer, "four_eyes", call->hub->four_eyes);
    rights_book_unref(book);
    reader_deinit(&reader);
    return r < 0 ? -1 : 0;
}

/* ---- applying ---- */

static const char *text_of(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text ? text : "";
}

static int policy_running(const struct call *call, struct casebus_error *err)
{
    if (call->hub->apply_policy)
        return 0;
    error_set(err, CASEBUS_CLOSED, _("a policy can only be applied while the hub runs"));
    return error_hint(err, _("start it: casebus-hub run %s"), call->hub->dir);
}

static int policy_apply(struct call *call, struct bytes text, uint32_t base, const char *by, const char *why,
                        const char *second, struct casebus_error *err)
{
    uint32_t version = 0;
    if (call->hub->apply_policy(call->hub->self, text, base, by, why, second, &version, err))
        return -1;
    log_notice(call->log, "POLICY-APPLIED", _("version %u of the policy is in force"), (unsigned)version);
    set_number(call->answer, "version", version);
    call->status = 201;
    return 0;
}

/* Checked as if it were applied, and kept until a second operator has looked at it. */
static int policy_propose(struct call *call, struct bytes text, uint32_t base, const char *why,
                          struct casebus_error *err)
{
    struct rights_book *book = NULL, *now = call->hub->policy(call->hub->self);
    struct buffer faults;
    uint32_t version = rights_book_version(now);
    buffer_init(&faults, 64 * 1024);
    int r = rights_book_new(&book, text, "policy", base + 1, &faults, err);
    if (r == 0 && version != base) {
        r = error_set(err, CASEBUS_EXISTS, _("version %u of the policy is in force by now"),
                      (unsigned)version);
        error_hint(err, _("look at the difference again: casebus policy diff FILE"));
    }
    if (r == 0)
        r = proposal_make(call, text, base, why, err);
    rights_book_unref(book);
    rights_book_unref(now);
    buffer_deinit(&faults);
    if (r)
        return -1;
    log_notice(call->log, "POLICY-PROPOSED", _("version %u of the policy is proposed by '%s'"),
               (unsigned)base + 1, call->by);
    set_number(call->answer, "proposed", (uint64_t)base + 1);
    call->status = 202;
    return 0;
}

int handle_policy_apply(struct call *call, struct casebus_error *err)
{
    const json_t *body = call->request->body;
    const json_t *text = json_object_get(body, "text"), *base = json_object_get(body, "base");
    if (!json_is_string(text))
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "text");
    if (!json_is_integer(base) || json_integer_value(base) < 0 || json_integer_value(base) >= UINT32_MAX)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "base");
    if (!*text_of(body, "why"))
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "why");
    if (policy_running(call, err))
        return -1;
    struct bytes bytes = bytes_of(json_string_value(text), json_string_length(text));
    uint32_t from = (uint32_t)json_integer_value(base);
    return call->hub->four_eyes ? policy_propose(call, bytes, from, text_of(body, "why"), err)
                                : policy_apply(call, bytes, from, call->by, text_of(body, "why"), "", err);
}

/* ---- a second operator ---- */

/* It is the one that the second operator looked at: of this version, and proposed at that moment. */
static int proposal_is(const struct call *call, const json_t *proposal, uint32_t version,
                       struct casebus_error *err)
{
    const json_t *body = call->request->body;
    if (json_integer_value(json_object_get(body, "version")) == (json_int_t)version + 1 &&
        json_integer_value(json_object_get(body, "proposed_at_us")) ==
            json_integer_value(json_object_get(proposal, "proposed_at_us")))
        return 0;
    error_set(err, CASEBUS_EXISTS, _("another version of the policy is proposed by now"));
    return error_hint(err, _("look at it: casebus policy diff"));
}

static int proposal_approve(struct call *call, const json_t *proposal, uint32_t version,
                            struct casebus_error *err)
{
    const char *by = json_string_value(json_object_get(proposal, "by"));
    const json_t *text = json_object_get(proposal, "text");
    if (strcmp(by, call->by) == 0) {
        error_set(err, CASEBUS_NOT_ALLOWED, _("'%s' proposed this policy: another account has to approve it"),
                  by);
        return error_hint(err, _("docs/sharing.md tells how a second operator comes to the hub"));
    }
    if (policy_apply(call, bytes_of(json_string_value(text), json_string_length(text)), version, by,
                     json_string_value(json_object_get(proposal, "why")), call->by, err))
        return -1;
    return proposal_drop(call->hub, err);
}

static int proposal_refuse(struct call *call, uint32_t version, struct casebus_error *err)
{
    if (proposal_drop(call->hub, err))
        return -1;
    log_notice(call->log, "POLICY-REFUSED", _("version %u of the policy, as proposed, was refused by '%s'"),
               (unsigned)version + 1, call->by);
    set_number(call->answer, "refused", (uint64_t)version + 1);
    return 0;
}

int handle_policy_decide(struct call *call, struct casebus_error *err)
{
    const char *decision = text_of(call->request->body, "decision");
    bool approve = strcmp(decision, "approve") == 0;
    if (!approve && strcmp(decision, "refuse") != 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' is neither %s nor %s"), decision, "approve",
                         "refuse");
    if (policy_running(call, err))
        return -1;
    struct rights_book *book = call->hub->policy(call->hub->self);
    uint32_t version = rights_book_version(book);
    json_t *proposal;
    rights_book_unref(book);
    int r = proposal_load(&proposal, call->hub, version, err);
    if (r == 0)
        r = error_set(err, CASEBUS_NOT_FOUND, _("no policy is proposed"));
    if (r > 0)
        r = proposal_is(call, proposal, version, err);
    if (r == 0)
        r = approve ? proposal_approve(call, proposal, version, err) : proposal_refuse(call, version, err);
    json_decref(proposal);
    return r;
}

/* ---- why ---- */

static const char *const reasons[] = {
    [RIGHTS_LETS] = "lets",
    [RIGHTS_OTHER_READER] = "other-reader",
    [RIGHTS_OTHER_ITEM] = "other-item",
    [RIGHTS_OTHER_AREA] = "other-area",
    [RIGHTS_OTHER_KIND] = "other-kind",
    [RIGHTS_NOT_BEGUN] = "not-begun",
    [RIGHTS_ENDED] = "ended",
    [RIGHTS_DELEGATED_AWAY] = "delegated-away",
    [RIGHTS_NO_ANSWER] = "no-answer",
};

struct asking {
    struct call *call;
    struct reader *reader;
    const struct rights *rights; /* NULL: none was ever applied */
    const struct registry_node *node;
    struct rights_reader who;
    int64_t now_us;
};

static json_t *row_json(const struct rights_row *row, enum rights_reason reason)
{
    json_t *json = json_object();
    set_number(json, "number", row->number);
    set_number(json, "line", row->line);
    set_text(json, "relation", rights_relation_name(row->relation));
    set_text(json, "says", reasons[reason]);
    json_object_set_new(json, "parts", part_kinds_json(row->part_kinds));
    if (row->questions)
        json_object_set_new(json, "answers", questions_json(row->questions));
    set_text(json, "purpose", row->purpose);
    set_text(json, "basis", row->basis);
    set_time(json, "until_us", row->until_us);
    return json;
}

/* What was decided when the event came. */
static void decided_json(const struct asking *asking, const Casebus__V1__EventEntry *event, json_t *json)
{
    const Casebus__V1__Receiver *receiver = NULL;
    for (size_t i = 0; i < event->n_receiver; i++)
        if (strcmp(event->receiver[i]->node, asking->node->info.node) == 0 &&
            (!receiver || !event->receiver[i]->retracts))
            receiver = event->receiver[i];
    set_bool(json, "published", strcmp(event->node, asking->node->info.node) == 0);
    set_bool(json, "received", receiver != NULL);
    if (event->rule && strcmp(event->node, asking->node->info.node) == 0)
        set_number(json, "publish_rule", event->rule);
    if (receiver)
        set_number(json, "rule", receiver->rule);
    if (receiver && receiver->questions)
        json_object_set_new(json, "answers", questions_json(receiver->questions));
    if (receiver && receiver->retracts)
        set_bool(json, "retracts", true);
    json_t *parts = json_array();
    for (uint32_t i = 0; receiver && i < 32; i++)
        if (receiver->part_mask >> i & 1)
            json_array_append_new(parts, number_json(i));
    json_object_set_new(json, "part_indexes", parts);
}

/* Whether the node might publish the like now, and by which row. */
static int publishing_json(const struct asking *asking, const struct rights_subject *subject, json_t *json,
                           struct casebus_error *err)
{
    const struct rights *rights = asking->rights;
    const struct rights_row **rows = rights ? calloc(rights->n_rows + 1, sizeof(*rows)) : NULL;
    if (rights && !rows)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    size_t n = rights ? rights_rows_about(rights, subject, asking->now_us, rows) : 0;
    uint32_t rule = rights_publish_rule(rows, n, &asking->who, subject);
    bool limited = rights && rights->limits_publishing;
    set_bool(json, "may_publish", asking->node->publish && (rule || !limited));
    if (limited && rule)
        set_number(json, "may_publish_rule", rule);
    free(rows);
    return 0;
}

/* What the policy in force says of it now: each row that is for the node. */
static int today_json(const struct asking *asking, const Casebus__V1__EventHeader *header, json_t *json,
                      struct casebus_error *err)
{
    const struct rights_subject subject = {header->item, header->area, header->kind, answers_known(header)};
    json_t *rows = json_array();
    bool lets = asking->node->receive_all, sees = lets;
    for (size_t i = 0; asking->rights && i < asking->rights->n_rows; i++) {
        const struct rights_row *row = &asking->rights->rows[i];
        enum rights_reason reason =
            rights_row_says(asking->rights, row, &asking->who, &subject, asking->now_us);
        if (reason != RIGHTS_OTHER_READER && row->relation != RIGHTS_PUBLISHING)
            json_array_append_new(rows, row_json(row, reason));
        lets = lets || reason == RIGHTS_LETS;
        sees = sees || (reason == RIGHTS_LETS && !row->questions);
    }
    set_bool(json, "lets", lets);
    set_bool(json, "sees", sees);
    json_object_set_new(json, "rows", rows);
    return publishing_json(asking, &subject, json, err);
}

static int event_why(const struct asking *asking, uint64_t position, json_t *json, struct casebus_error *err)
{
    struct reader_entry read;
    set_number(json, "position", position);
    if (reader_event(asking->reader, position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_DAMAGED,
                         _("a record of the case stands on entry %llu, which is no event"),
                         (unsigned long long)position);
    decided_json(asking, read.entry->event, json);
    set_text(json, "content", body_fate_name(read.fate));
    if (!read.header)
        return 0;
    set_text(json, "kind", kind_name(read.header->kind));
    set_text(json, "item", read.header->item);
    set_text(json, "area", read.header->area);
    return today_json(asking, read.header, json, err);
}

static int case_why(struct asking *asking, const char *number, struct case_record *records,
                    struct casebus_error *err)
{
    struct bytes case_id, value;
    struct case_row row;
    if (case_find_number(asking->reader, number, &case_id, &value, err) ||
        case_row_decode(value, &row, records, CASE_RECORDS_MAX, err))
        return -1;
    json_t *events = json_array();
    bool whole = true;
    json_object_set_new(asking->call->answer, "events", events);
    for (uint32_t i = 0; i < row.n_records && whole; i++) {
        json_t *json = json_object();
        json_array_append_new(events, json);
        if (event_why(asking, records[i].position, json, err))
            return -1;
        whole = !reader_late(asking->reader);
    }
    set_bool(asking->call->answer, "whole", whole);
    return 0;
}

static int why(struct asking *asking, struct registry *registry, struct casebus_error *err)
{
    struct call *call = asking->call;
    const char *number = request_param(call->request, "case");
    if (!number || !*number)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "case");
    asking->node = node_find(call, registry, call->request->rest, err);
    if (!asking->node)
        return -1;
    const struct certificate_info *info = &asking->node->info;
    asking->who = (struct rights_reader){info->node, info->department, info->area};
    asking->now_us = clock_unix_us();
    set_text(call->answer, "node", info->node);
    set_text(call->answer, "department", info->department);
    set_text(call->answer, "area", info->area);
    set_bool(call->answer, "receive_all", asking->node->receive_all);
    set_number(call->answer, "version", asking->rights ? asking->rights->version : 0);
    set_bool(call->answer, "limits_publishing", asking->rights && asking->rights->limits_publishing);
    struct case_record *records = calloc(CASE_RECORDS_MAX, sizeof *records);
    int r = records ? case_why(asking, number, records, err)
                    : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a case"));
    free(records);
    return r;
}

int handle_policy_why(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    struct rights_book *book = NULL;
    struct registry *registry = call->hub->registry(call->hub->self);
    if (!registry)
        return error_set(err, CASEBUS_DAMAGED, _("who is enrolled cannot be told"));
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = policy_get(call->hub, &reader, &book, err);
    struct asking asking = {.call = call, .reader = &reader, .rights = rights_book_rights(book)};
    if (r >= 0)
        r = why(&asking, registry, err);
    rights_book_unref(book);
    reader_deinit(&reader);
    registry_unref(registry);
    return r < 0 ? -1 : 0;
}
