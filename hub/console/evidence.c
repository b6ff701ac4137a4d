/* GET /v1/evidence: an evidence file about a case, an event or an entry. */
#include "hub/console/answers.h"
#include "hub/console/event_name.h"
#include "hub/console/prove.h"
#include "hub/exchange/exchange.h"
#include "proto/base/texts.h"
#include "proto/crypto/base64.h"

#include <stdlib.h>

/* "identity,form" as bits of part_kind_bit. */
static int kinds_parse(const char *text, uint32_t *kinds, struct casebus_error *err)
{
    *kinds = 0;
    for (const char *at = text; *at;) {
        char name[32];
        size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), at);
        Casebus__V1__PartKind kind = part_kind_parse(name);
        if (!kind) {
            error_set(err, CASEBUS_ARGUMENT, _("'%s' is no kind of part"), name);
            return error_hint(err, _("one of identity, contact, form, opinion, other"));
        }
        *kinds |= part_kind_bit(kind);
        at += n + (at[n] == ',');
    }
    return 0;
}

static int by_position(const void *a, const void *b)
{
    const struct case_record *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* In the order of the ledger, so that a confirmation is first met by the earliest delivery that it covers. */
static int records_prove(struct proof *proof, struct case_record *records, size_t n,
                         struct casebus_error *err)
{
    qsort(records, n, sizeof *records, by_position);
    for (size_t i = 0; i < n; i++)
        if (proof_entry(proof, records[i].position, err))
            return -1;
    return 0;
}

static int case_prove(struct proof *proof, const char *number, struct casebus_error *err)
{
    struct bytes case_id = {0}, value = {0};
    struct case_row row;
    struct case_record *records = calloc(CASE_RECORDS_MAX, sizeof *records);
    int r = records ? case_find_number(proof->reader, number, &case_id, &value, err)
                    : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a case"));
    if (r == 0)
        r = case_row_decode(value, &row, records, CASE_RECORDS_MAX, err);
    if (r == 0)
        r = records_prove(proof, records, row.n_records, err);
    free(records);
    return r;
}

/* An entry that is there has to be an event. */
static int event_entry_check(struct proof *proof, uint64_t position, struct casebus_error *err)
{
    struct reader_entry read = {0};
    if (position >= reader_size(proof->reader))
        return 0; /* proof_entry says it */
    if (reader_leaf(proof->reader, position, &read, err))
        return -1;
    if (read.entry && read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return 0;
    return error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger is no event"),
                     (unsigned long long)position);
}

static int event_prove(struct call *call, struct proof *proof, const char *name, struct casebus_error *err)
{
    struct event_place place;
    if (event_find(proof->reader, call->request, name, &place, err))
        return -1;
    if (place.no_entry)
        return proof_outcome(proof, place.seal_position, place.index, err);
    return event_entry_check(proof, place.position, err) ? -1 : proof_entry(proof, place.position, err);
}

static int asked_prove(struct call *call, struct proof *proof, struct casebus_error *err)
{
    const char *number = request_param(call->request, "case"), *event = request_param(call->request, "event");
    uint64_t position = 0;
    int has_position = request_number(call->request, "position", UINT64_MAX - 1, &position, err);
    if (has_position < 0)
        return -1;
    if ((number != NULL) + (event != NULL) + has_position != 1)
        return error_set(err, CASEBUS_ARGUMENT, _("one of case, event and position has to be given"));
    if (number)
        return case_prove(proof, number, err);
    return event ? event_prove(call, proof, event, err) : proof_entry(proof, position, err);
}

static json_t *base64_json(struct bytes bytes)
{
    char *text = base64_encode(bytes);
    json_t *json = text ? json_string(text) : NULL;
    free(text);
    return json;
}

static int evidence_answer(struct call *call, struct proof *proof, struct casebus_error *err)
{
    struct bytes file;
    json_t *answer = call->answer;
    if (proof_finish(proof, &file, err))
        return -1;
    if (proof->n_parts > 0)
        log_notice(call->log, "PARTS-READ", "%zu parts of events were put into an evidence file",
                   proof->n_parts);
    json_object_set_new(answer, "evidence", base64_json(file));
    set_number(answer, "size", file.size);
    set_text(answer, "origin", proof->checkpoint.origin);
    set_number(answer, "checkpoint_size", proof->checkpoint.size);
    set_bool(answer, "cosigned", proof->cosigned);
    set_number(answer, "events", proof->n_events);
    set_number(answer, "outcomes", proof->n_outcomes);
    set_number(answer, "confirmations", proof->n_confirms);
    set_number(answer, "headers", proof->n_headers);
    set_number(answer, "parts", proof->n_parts);
    return 0;
}

static int evidence_make(struct call *call, struct proof *proof, struct casebus_error *err)
{
    const char *open = request_param(call->request, "open"), *sealed = request_param(call->request, "sealed");
    proof->sealed = sealed && strcmp(sealed, "0") != 0;
    if (open && kinds_parse(open, &proof->open_kinds, err))
        return -1;
    if (proof->sealed && proof->open_kinds)
        return error_set(err, CASEBUS_ARGUMENT, _("parts cannot be shown of headers that stay sealed"));
    return asked_prove(call, proof, err) ? -1 : evidence_answer(call, proof, err);
}

/* 1: there is no cosigned checkpoint, or it does not reach all that is asked about. */
static int evidence_under(struct call *call, struct reader *reader, enum proof_checkpoint which,
                          struct casebus_error *err)
{
    struct proof proof = {0};
    int r = proof_init(&proof, reader, which, err);
    if (r == 0)
        r = evidence_make(call, &proof, err);
    if (r < 0 && which == PROOF_COSIGNED && err->code == CASEBUS_BUSY)
        r = 1;
    proof_deinit(&proof);
    return r;
}

int handle_evidence(struct call *call, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = evidence_under(call, &reader, PROOF_COSIGNED, err);
    if (r > 0)
        r = evidence_under(call, &reader, PROOF_NEWEST, err);
    reader_deinit(&reader);
    return r;
}
