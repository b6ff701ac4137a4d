/* Records: what an event says about its source row, and how statements of one row relate.
 *
 * Which statement counts is told by (revision, operation, header digest): the header digest has no key and no
 * chance in it, so every hub that saw the same statements agrees. Which statement is a repeat is told by the
 * keyed digest of all its content. The greatest few stand in the record's own row, which is at hand anyway;
 * the few records with more statements have the others in rows of their own, so that an outbox that is sent
 * again changes nothing however old it is. */
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

int exchange_event_init(struct exchange_event *event, struct crypter *crypter,
                        const Casebus__V1__EventHeader *header, struct bytes header_bytes,
                        const uint8_t content_digest[DIGEST_SIZE], struct casebus_error *err)
{
    event->header = header;
    event_hash(crypter, header_bytes, event->event_hash);
    memcpy(event->content_digest, content_digest, DIGEST_SIZE);
    record_key(header->record_namespace, header->record_id, crypter, event->record_key);
    return event_header_digest(crypter, header_bytes, event->header_digest, err);
}

int event_check_key(const struct exchange_event *event, struct casebus_error *err)
{
    static const uint8_t none[RECORD_KEY_SIZE];
    if (memcmp(event->record_key, none, sizeof none) != 0)
        return 0;
    return error_set(err, CASEBUS_INTERNAL, _("an event reached the exchange without its record key"));
}

static uint32_t decision_detail(const Casebus__V1__DecideFields *decide)
{
    if (strcmp(decide->result_code, "approve") == 0)
        return 1;
    return strcmp(decide->result_code, "refuse") == 0 ? 2 : 0;
}

static uint32_t event_detail(const Casebus__V1__EventHeader *header)
{
    switch (header->fields_case) {
    case CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH:
        return header->finish->finish_kind_given ? header->finish->finish_kind + 1 : 0;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_RATE:
        return header->rate->level;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_SPECIAL:
        return header->special->special_kind;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_DECIDE:
        return decision_detail(header->decide);
    case CASEBUS__V1__EVENT_HEADER__FIELDS_MATTER:
        return header->matter->window_kind;
    default:
        return 0;
    }
}

static uint8_t as_byte(unsigned value)
{
    return value > UINT8_MAX ? UINT8_MAX : (uint8_t)value;
}

struct case_record record_of_event(const struct exchange_event *event, uint64_t position)
{
    const Casebus__V1__EventHeader *header = event->header;
    struct case_record record = {.position = position,
                                 .revision = header->revision,
                                 .occurred_at_us = header->occurred_at_us,
                                 .detail = event_detail(header),
                                 .operation = as_byte(header->operation),
                                 .kind = as_byte(header->kind),
                                 .precision = as_byte(header->precision),
                                 .flags = header->backfill ? RECORD_BACKFILL : 0};
    memcpy(record.key, event->record_key, RECORD_KEY_SIZE);
    memcpy(record.header_digest, event->header_digest, sizeof record.header_digest);
    return record;
}

struct record_statement statement_of_event(const struct exchange_event *event, uint64_t position)
{
    struct record_statement statement = {.revision = event->header->revision,
                                         .position = position,
                                         .operation = as_byte(event->header->operation)};
    memcpy(statement.content_digest, event->content_digest, sizeof statement.content_digest);
    return statement;
}

static bool same_place(const struct record_statement *statement, const struct exchange_event *event)
{
    return statement->revision == event->header->revision &&
           statement->operation == as_byte(event->header->operation);
}

static bool same_content(const struct record_statement *statement, const struct exchange_event *event)
{
    return memcmp(statement->content_digest, event->content_digest, sizeof statement->content_digest) == 0;
}

bool record_clashes(const struct record_row *row, const struct exchange_event *event)
{
    return same_place(&row->newest, event) && !same_content(&row->newest, event);
}

enum record_effect record_effect(const struct record_row *row, const struct exchange_event *event)
{
    struct case_record newest = {.revision = row->newest.revision, .operation = row->newest.operation};
    memcpy(newest.header_digest, row->header_digest, sizeof newest.header_digest);
    struct case_record record = record_of_event(event, 0);
    if (record_wins(&record, &newest))
        return EFFECT_REPLACES;
    return record_clashes(row, event) ? EFFECT_CLASHES : EFFECT_NONE;
}

static const struct record_statement *repeated_in_row(const struct record_row *row,
                                                      const struct exchange_event *event)
{
    if (same_place(&row->newest, event) && same_content(&row->newest, event))
        return &row->newest;
    for (uint32_t i = 0; i < row->n_seen; i++)
        if (same_place(&row->seen[i], event) && same_content(&row->seen[i], event))
            return &row->seen[i];
    return NULL;
}

int record_repeated(const struct exchange_store *store, const struct record_row *row,
                    const struct exchange_event *event, uint64_t *position, struct casebus_error *err)
{
    const struct record_statement *there = repeated_in_row(row, event);
    if (there) {
        *position = there->position;
        return 1;
    }
    if (row->n_seen < RECORD_STATEMENTS_MAX)
        return 0;
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    struct record_statement statement = statement_of_event(event, 0);
    size_t size = statement_key(key, event->header->record_namespace, event->header->record_id, &statement);
    int r = store->get(store->self, TABLE_STATEMENTS, bytes_of(key, size), &value, err);
    if (r <= 0)
        return r;
    if (value.size != sizeof(uint64_t))
        return error_set(err, CASEBUS_DAMAGED, _("the state holds a statement without its position"));
    *position = get_u64le(value.data);
    return 1;
}

int record_row_get(const struct exchange_store *store, const Casebus__V1__EventHeader *header,
                   struct record_row *row, struct casebus_error *err)
{
    struct bytes value;
    uint8_t key[TABLE_KEY_MAX];
    size_t size = record_row_key(key, header->record_namespace, header->record_id);
    int r = store->get(store->self, TABLE_RECORDS, bytes_of(key, size), &value, err);
    if (r <= 0)
        return r;
    return record_row_decode(value, row, err) < 0 ? -1 : 1;
}

int case_id_get(const struct exchange_store *store, const char *number, uint8_t case_id[16],
                struct casebus_error *err)
{
    struct bytes value;
    int r = store->get(store->self, TABLE_CASE_NUMBERS, bytes_of_text(number), &value, err);
    if (r <= 0)
        return r;
    if (value.size != 16)
        return error_set(err, CASEBUS_DAMAGED, _("the state names no case for a case number"));
    memcpy(case_id, value.data, 16);
    return 1;
}
