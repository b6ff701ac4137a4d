/* Facts and gaps for programs. A second verifier has the same objects: docs/ledger.md is their list. */
#include "hub/cli/evidence.h"

#include "hub/console/message_json.h"

#include <stdlib.h>

static void set(json_t *json, const char *name, json_t *value)
{
    json_object_set_new(json, name, value);
}

static void set_number(json_t *json, const char *name, uint64_t value)
{
    set(json, name, number_json(value));
}

static void set_time(json_t *json, const char *name, int64_t value)
{
    set(json, name, json_integer((json_int_t)value));
}

static void set_text(json_t *json, const char *name, const char *value)
{
    set(json, name, json_string(value));
}

static void set_hex(json_t *json, const char *name, struct bytes value)
{
    set(json, name, hex_json(value.data, value.size));
}

static const char *act_name(const Casebus__V1__ActEntry *act)
{
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        return "quarantined";
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        return "deliveries_confirmed";
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return "erasure_ordered";
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        return "erasure_done";
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return "node_status_changed";
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return "node_invited";
    case CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED:
        return "hub_keys_changed";
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return "quarantine_decided";
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return "policy_applied";
    default:
        return "unknown";
    }
}

static void sealed_json(json_t *json, const struct evidence_fact *fact)
{
    set_text(json, "node", fact->name);
    set(json, "stream", stream_json(fact->stream));
    set_number(json, "first", fact->number);
    set_number(json, "count", fact->size);
    set_number(json, "enrolled", fact->other);
}

static void event_json(json_t *json, const struct evidence_fact *fact)
{
    set_text(json, "node", fact->name);
    set(json, "stream", stream_json(fact->stream));
    set_number(json, "number", fact->number);
    set_hex(json, "event_hash", fact->hash);
    set_hex(json, "case_id", fact->content);
    set_number(json, "seal", fact->other);
}

static void outcome_json(json_t *json, const struct evidence_fact *fact)
{
    const Casebus__V1__SealOutcome *outcome = fact->outcome;
    set_number(json, "seal", fact->position);
    set_text(json, "node", fact->name);
    set(json, "stream", stream_json(fact->stream));
    set_number(json, "number", fact->number);
    set_hex(json, "event_hash", fact->hash);
    set(json, "duplicate_of", outcome->duplicate_of ? number_json(outcome->duplicate_of - 1) : json_null());
    set(json, "code", *outcome->code ? json_string(outcome->code) : json_null());
}

static void confirmed_json(json_t *json, const struct evidence_fact *fact)
{
    set_number(json, "position", fact->position);
    set_text(json, "node", fact->name);
    set_number(json, "last_position", fact->number);
    set_number(json, "last_ordinal", fact->ordinal);
    set_time(json, "confirmed_at_us", fact->time_us);
    set_number(json, "enrolled", fact->other);
}

static void delivery_json(json_t *json, const struct evidence_fact *fact)
{
    set_text(json, "node", fact->name);
    set_number(json, "position", fact->position);
    set_number(json, "ordinal", fact->ordinal);
}

/* Facts about one entry begin alike. */
static void entry_json(json_t *json, const struct evidence_fact *fact)
{
    set_number(json, "position", fact->position);
    set_time(json, "hub_time_us", fact->time_us);
}

static json_t *fact_json(const struct evidence_fact *fact)
{
    json_t *json = json_object();
    set_text(json, "fact", evidence_fact_name(fact->kind));
    switch (fact->kind) {
    case FACT_CHECKPOINT:
        set_text(json, "origin", fact->name);
        set_number(json, "size", fact->size);
        set_hex(json, "root", fact->hash);
        break;
    case FACT_COSIGNED:
        set_text(json, "witness", fact->name);
        set_time(json, "time_s", fact->time_us / 1000000);
        break;
    case FACT_OPENED:
        entry_json(json, fact);
        set_text(json, "origin", fact->name);
        break;
    case FACT_TAKEN_OVER:
        set_number(json, "position", fact->position);
        set_text(json, "origin", fact->name);
        set_text(json, "former", fact->former);
        break;
    case FACT_ENROLLED:
        entry_json(json, fact);
        set_text(json, "node", fact->name);
        set_text(json, "department", fact->node->department);
        set_text(json, "area", fact->node->area);
        set_hex(json, "key_id", fact->hash);
        break;
    case FACT_SEALED:
        entry_json(json, fact);
        sealed_json(json, fact);
        break;
    case FACT_EVENT:
        entry_json(json, fact);
        event_json(json, fact);
        break;
    case FACT_RECEIVER:
        delivery_json(json, fact);
        set_number(json, "parts", fact->mask);
        set_number(json, "questions", fact->questions);
        json_object_set_new(json, "retracts", json_boolean(fact->retracts));
        break;
    case FACT_HEADER:
        set_number(json, "position", fact->position);
        set_text(json, "case_number", fact->header->case_number);
        set_number(json, "kind", (uint64_t)fact->header->kind);
        set_time(json, "occurred_at_us", fact->header->occurred_at_us);
        set_hex(json, "header", fact->content);
        break;
    case FACT_PART:
        set_number(json, "position", fact->position);
        set_number(json, "part", fact->ordinal);
        set_number(json, "kind", (uint64_t)fact->header->commitment[fact->ordinal]->kind);
        set_hex(json, "content", fact->content);
        break;
    case FACT_OUTCOME:
        outcome_json(json, fact);
        break;
    case FACT_ACT:
        entry_json(json, fact);
        set_text(json, "act", act_name(fact->entry->act));
        set_hex(json, "leaf_hash", fact->hash);
        break;
    case FACT_ERASURE:
        set_number(json, "position", fact->position);
        set_number(json, "ordered", fact->other);
        set(json, "header", json_boolean(fact->ordinal));
        set_number(json, "parts", fact->mask);
        break;
    case FACT_CONFIRMED:
        confirmed_json(json, fact);
        break;
    case FACT_PASSED:
        delivery_json(json, fact);
        break;
    case FACT_RECEIVED:
        delivery_json(json, fact);
        set_hex(json, "event_hash", fact->hash);
        set_number(json, "confirmed_by", fact->other);
        break;
    }
    return json;
}

json_t *facts_json(const struct evidence_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->n_facts; i++)
        json_array_append_new(list, fact_json(&report->facts[i]));
    return list;
}

/* ---- gaps ---- */

/* Which members a gap has. */
struct gap_row {
    bool has_node, has_position, has_ordinal, has_withheld;
};

json_t *gaps_json(const struct evidence_report *report)
{
    static const struct gap_row rows[] = {
        [GAP_UNWITNESSED] = {false, false, false, false}, [GAP_COMPLETE] = {false, false, false, false},
        [GAP_TRUE] = {false, false, false, false},        [GAP_KEY_BEFORE] = {true, true, false, false},
        [GAP_KEY_PERIOD] = {true, true, false, false},    [GAP_HEADER] = {false, true, false, true},
        [GAP_PART] = {false, true, true, true},           [GAP_RECEIPT] = {true, true, true, false},
        [GAP_EXACT] = {true, true, true, false},          [GAP_VOUCHED] = {true, true, false, false},
    };
    static const char *const why[] = {"", "not_asked", "erased", "sealed"};
    json_t *list = json_array();
    for (size_t i = 0; i < report->n_gaps; i++) {
        const struct evidence_gap *gap = &report->gaps[i];
        const struct gap_row *row = &rows[gap->kind];
        json_t *json = json_object();
        json_array_append_new(list, json);
        set_text(json, "gap", evidence_gap_name(gap->kind));
        if (row->has_node)
            set_text(json, "node", gap->name);
        if (row->has_position)
            set_number(json, "position", gap->position);
        if (row->has_ordinal)
            set_number(json, gap->kind == GAP_PART ? "part" : "ordinal", gap->ordinal);
        if (row->has_withheld)
            set_text(json, "withheld", why[gap->withheld]);
    }
    return list;
}
