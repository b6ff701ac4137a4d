/* Rows are fixed little-endian layouts: a row is read on every event, so it costs a few loads and no parsing.
 * Decoding checks sizes all the same; the state may be damaged on disk, and is then made again. */
#include "hub/exchange/tables.h"

#include <assert.h>

#include "proto/base/texts.h"

const char *const exchange_table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",
    [TABLE_NODES] = "nodes",
    [TABLE_STREAMS] = "streams",
    [TABLE_BATCHES] = "batches",
    [TABLE_RECORDS] = "records",
    [TABLE_CASE_NUMBERS] = "case_numbers",
    [TABLE_CASES] = "cases",
    [TABLE_INBOX] = "inbox",
    [TABLE_RECEIVERS] = "receivers",
    [TABLE_STATEMENTS] = "statements",
    [TABLE_CONFIRMS] = "confirms",
    [TABLE_ERASURES] = "erasures",
    [TABLE_QUARANTINE] = "quarantine",
};

#define ROW_FORMAT        3
#define CASE_FIXED_SIZE   104
#define CASE_ALIAS_SIZE   24
#define CASE_RECORD_SIZE  72
#define RECORD_FIXED_SIZE 90 /* before the owner */
#define STATEMENT_SIZE    33
#define AREA_NUMBERS      1000000 /* of AREA_DIGITS */

static int damaged(struct casebus_error *err, const char *what)
{
    error_set(err, CASEBUS_DAMAGED, _("the state holds a row for a %s that cannot be read"), what);
    return error_hint(err, _("stop the hub and run: casebus-hub rebuild DIR"));
}

/* ---- keys ---- */

static size_t put_node(uint8_t *out, const char *node)
{
    size_t size = strnlen(node, NODE_TEXT_MAX - 1);
    memcpy(out, node, size);
    out[size] = 0;
    return size + 1;
}

size_t receiver_key(uint8_t *out, const char *node)
{
    return put_node(out, node) - 1;
}

size_t refused_key(uint8_t *out, const char *node, const uint8_t digest[DIGEST_SIZE])
{
    static const char label[] = REFUSED_LABEL; /* and its NUL */
    memcpy(out, label, sizeof label);
    size_t size = sizeof label + put_node(out + sizeof label, node);
    memcpy(out + size, digest, DIGEST_SIZE);
    return size + DIGEST_SIZE;
}

size_t inbox_key(uint8_t *out, const char *node, uint64_t position, uint32_t ordinal)
{
    size_t size = put_node(out, node);
    put_u64be(out + size, position);
    put_u32be(out + size + 8, ordinal);
    return size + 12;
}

uint8_t inbox_given(uint32_t questions, bool retracts)
{
    return (uint8_t)((questions & ~(uint32_t)INBOX_RETRACTION) | (retracts ? INBOX_RETRACTION : 0));
}

bool inbox_key_decode(struct bytes key, const char *node, uint64_t *position, uint32_t *ordinal)
{
    size_t size = strlen(node) + 1;
    if (key.size != size + 12 || memcmp(key.data, node, size) != 0)
        return false;
    *position = get_u64be(key.data + size);
    *ordinal = get_u32be(key.data + size + 8);
    return true;
}

size_t statement_key(uint8_t *out, const uint8_t record_key[TEXT_KEY_SIZE],
                     const struct record_statement *statement)
{
    memcpy(out, record_key, TEXT_KEY_SIZE);
    put_u64be(out + TEXT_KEY_SIZE, statement->revision);
    out[TEXT_KEY_SIZE + 8] = statement->operation;
    memcpy(out + TEXT_KEY_SIZE + 9, statement->content_digest, sizeof statement->content_digest);
    return TEXT_KEY_SIZE + 9 + sizeof statement->content_digest;
}

size_t erasure_key(uint8_t *out, uint64_t position)
{
    put_u64be(out, position);
    return 8;
}

size_t stream_key(uint8_t *out, const char *node, uint64_t stream)
{
    size_t size = put_node(out, node);
    put_u64be(out + size, stream);
    return size + 8;
}

size_t batch_key(uint8_t *out, const char *node, uint64_t stream, uint64_t first)
{
    size_t size = stream_key(out, node, stream);
    put_u64be(out + size, first);
    return size + 8;
}

/* ---- keys of texts ---- */

#define TAIL_SIZE                                                                                            \
    4 /* of a text, that stays apart: ten thousand numbers that follow each other lie together */
#define STEM_SIZE (TEXT_KEY_SIZE - TAIL_SIZE)

/* The text without its tail is hashed; the tail is hidden under bytes that all texts of this stem share, so
 * that nothing of it can be read and no two texts meet. A short text is hashed whole, under another label. */
static void text_key(struct crypter *crypter, const uint8_t key[KEY_SIZE], const char *what,
                     const char *name_space, const char *text, uint8_t out[TEXT_KEY_SIZE])
{
    static const char context[] = "casebus/v1/state"; /* hashed with its NUL, as are the other texts */
    size_t size = strlen(text), tail = size > TAIL_SIZE ? TAIL_SIZE : 0;
    const char *form = tail ? "stem" : "whole";
    uint8_t mac[DIGEST_SIZE];
    struct bytes parts[] = {bytes_of(context, sizeof context), bytes_of(what, strlen(what) + 1),
                            bytes_of(form, strlen(form) + 1), bytes_of(name_space, strlen(name_space) + 1),
                            bytes_of(text, size - tail)};
    crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, 5, mac);
    memcpy(out, mac, TEXT_KEY_SIZE);
    for (size_t i = 0; i < tail; i++)
        out[STEM_SIZE + i] ^= (uint8_t)text[size - tail + i];
}

void record_key(struct crypter *crypter, const uint8_t key[KEY_SIZE], const char *record_namespace,
                const char *record_id, uint8_t out[TEXT_KEY_SIZE])
{
    text_key(crypter, key, "record", record_namespace, record_id, out);
}

void case_number_key(struct crypter *crypter, const uint8_t key[KEY_SIZE], const char *number,
                     uint8_t out[TEXT_KEY_SIZE])
{
    text_key(crypter, key, "case", "", number, out);
}

void record_name(struct crypter *crypter, const char *record_namespace, const char *record_id,
                 uint8_t out[RECORD_KEY_SIZE])
{
    static const char context[] = "casebus/v1/record"; /* hashed with its NUL, as is the namespace */
    struct bytes parts[] = {bytes_of(context, sizeof context),
                            bytes_of(record_namespace, strlen(record_namespace) + 1),
                            bytes_of_text(record_id)};
    uint8_t digest[DIGEST_SIZE];
    crypter_hash(crypter, parts, 3, digest);
    memcpy(out, digest, RECORD_KEY_SIZE);
}

/* ---- cases ---- */

/*  0 format  1 status  2 finish kind + 1  3 aliases  4 findings(2)  6 zeros(2)
 *  8 records  12 live ones  16 deleted  20 conflicts  24 slot(8)  32 opened(8)  40 position(8)
 * 48 seven times(8 each)  104 aliases(24 each), records(72 each) */
static const uint8_t *times_decode(const uint8_t *p, struct case_state *state)
{
    int64_t *times[] = {&state->applied_at_us, &state->received_at_us, &state->accepted_at_us,
                        &state->decided_at_us, &state->finished_at_us, &state->first_at_us,
                        &state->last_at_us};
    for (size_t i = 0; i < 7; i++, p += 8)
        *times[i] = (int64_t)get_u64le(p);
    return p;
}

static uint8_t *times_encode(uint8_t *p, const struct case_state *state)
{
    const int64_t times[] = {state->applied_at_us, state->received_at_us, state->accepted_at_us,
                             state->decided_at_us, state->finished_at_us, state->first_at_us,
                             state->last_at_us};
    for (size_t i = 0; i < 7; i++, p += 8)
        put_u64le(p, (uint64_t)times[i]);
    return p;
}

static void case_record_decode(const uint8_t *p, struct case_record *record)
{
    memcpy(record->key, p, RECORD_KEY_SIZE);
    record->position = get_u64le(p + 16);
    record->revision = get_u64le(p + 24);
    record->occurred_at_us = (int64_t)get_u64le(p + 32);
    memcpy(record->header_digest, p + 40, sizeof record->header_digest);
    record->detail = get_u32le(p + 56);
    record->operation = p[60];
    record->kind = p[61];
    record->precision = p[62];
    record->flags = p[63];
    record->item = get_u32le(p + 64);
    record->publisher = get_u32le(p + 68);
}

static void case_record_encode(uint8_t *p, const struct case_record *record)
{
    memcpy(p, record->key, RECORD_KEY_SIZE);
    put_u64le(p + 16, record->position);
    put_u64le(p + 24, record->revision);
    put_u64le(p + 32, (uint64_t)record->occurred_at_us);
    memcpy(p + 40, record->header_digest, sizeof record->header_digest);
    put_u32le(p + 56, record->detail);
    p[60] = record->operation;
    p[61] = record->kind;
    p[62] = record->precision;
    p[63] = record->flags;
    put_u32le(p + 64, record->item);
    put_u32le(p + 68, record->publisher);
}

uint32_t case_row_published(struct bytes value, const struct case_row *row, uint32_t publisher)
{
    const uint8_t *p = value.data + CASE_FIXED_SIZE + (size_t)row->n_aliases * CASE_ALIAS_SIZE;
    uint32_t n = 0;
    for (uint32_t i = 0; i < row->n_records; i++, p += CASE_RECORD_SIZE)
        n += get_u32le(p + 68) == publisher;
    return n;
}

int case_row_decode(struct bytes value, struct case_row *row, struct case_record *records, uint32_t capacity,
                    struct casebus_error *err)
{
    const uint8_t *p = value.data;
    if (value.size < CASE_FIXED_SIZE || p[0] != ROW_FORMAT || p[3] > CASE_ALIASES_MAX)
        return damaged(err, _("case"));
    row->n_aliases = p[3];
    row->n_records = get_u32le(p + 8);
    uint64_t size = CASE_FIXED_SIZE + (uint64_t)row->n_aliases * CASE_ALIAS_SIZE +
                    (uint64_t)row->n_records * CASE_RECORD_SIZE;
    if (size != value.size || (records && row->n_records > capacity))
        return damaged(err, _("case"));
    row->state = (struct case_state){.status = (enum case_status)p[1],
                                     .finish_kind_plus1 = p[2],
                                     .findings = get_u16le(p + 4),
                                     .n_records = get_u32le(p + 12),
                                     .n_deleted = get_u32le(p + 16),
                                     .n_conflicts = get_u32le(p + 20)};
    row->slot = get_u64le(p + 24);
    row->opened_at_us = (int64_t)get_u64le(p + 32);
    row->position = get_u64le(p + 40);
    p = times_decode(p + 48, &row->state);
    for (uint32_t i = 0; i < row->n_aliases; i++, p += CASE_ALIAS_SIZE) {
        memcpy(row->aliases[i].key, p, TEXT_KEY_SIZE);
        row->aliases[i].position = get_u64le(p + TEXT_KEY_SIZE);
    }
    for (uint32_t i = 0; records && i < row->n_records; i++, p += CASE_RECORD_SIZE)
        case_record_decode(p, &records[i]);
    return 0;
}

size_t case_row_encode(uint8_t *out, const struct case_row *row, const struct case_record *records)
{
    const struct case_state *state = &row->state;
    memset(out, 0, CASE_FIXED_SIZE);
    out[0] = ROW_FORMAT;
    out[1] = (uint8_t)state->status;
    out[2] = state->finish_kind_plus1;
    out[3] = (uint8_t)row->n_aliases;
    put_u16le(out + 4, state->findings);
    put_u32le(out + 8, row->n_records);
    put_u32le(out + 12, state->n_records);
    put_u32le(out + 16, state->n_deleted);
    put_u32le(out + 20, state->n_conflicts);
    put_u64le(out + 24, row->slot);
    put_u64le(out + 32, (uint64_t)row->opened_at_us);
    put_u64le(out + 40, row->position);
    uint8_t *p = times_encode(out + 48, state);
    for (uint32_t i = 0; i < row->n_aliases; i++, p += CASE_ALIAS_SIZE) {
        memcpy(p, row->aliases[i].key, TEXT_KEY_SIZE);
        put_u64le(p + TEXT_KEY_SIZE, row->aliases[i].position);
    }
    for (uint32_t i = 0; i < row->n_records; i++, p += CASE_RECORD_SIZE)
        case_record_encode(p, &records[i]);
    return (size_t)(p - out);
}

/* ---- records ---- */

static const uint8_t *seen_decode(const uint8_t *p, struct record_statement *statement)
{
    statement->revision = get_u64le(p);
    statement->position = get_u64le(p + 8);
    memcpy(statement->content_digest, p + 16, sizeof statement->content_digest);
    statement->operation = p[32];
    return p + STATEMENT_SIZE;
}

static uint8_t *seen_encode(uint8_t *p, const struct record_statement *statement)
{
    put_u64le(p, statement->revision);
    put_u64le(p + 8, statement->position);
    memcpy(p + 16, statement->content_digest, sizeof statement->content_digest);
    p[32] = statement->operation;
    return p + STATEMENT_SIZE;
}

/* An area as a number that is one more than its digits; none: 0. */
static uint32_t area_number(const char *area)
{
    uint32_t number = 0;
    for (const char *p = area; *p; p++)
        number = number * 10 + (uint32_t)(*p - '0');
    return *area ? number + 1 : 0;
}

static void area_decode(uint32_t number, char area[AREA_DIGITS + 1])
{
    memset(area, 0, AREA_DIGITS + 1);
    if (number == 0)
        return;
    number--;
    for (size_t i = AREA_DIGITS; i-- > 0; number /= 10)
        area[i] = (char)('0' + number % 10);
}

/* 0 format  1 length of owner  2 statements seen  3 erased  4 case id(16)  20 header digest(16)
 * 36 occurred(8)  44 detail(4)  48 kind  49 precision  50 flags  51 answered yes  52 newest(33)
 * 85 length of item  86 area + 1 (4)  90 owner, item, statements */
int record_row_decode(struct bytes value, struct record_row *row, struct casebus_error *err)
{
    const uint8_t *p = value.data;
    if (value.size < RECORD_FIXED_SIZE || p[0] != ROW_FORMAT || p[1] >= NODE_TEXT_MAX ||
        p[2] > RECORD_STATEMENTS_MAX || p[85] >= RECORD_ITEM_SIZE || get_u32le(p + 86) > AREA_NUMBERS ||
        value.size != RECORD_FIXED_SIZE + p[1] + p[85] + (size_t)p[2] * STATEMENT_SIZE)
        return damaged(err, _("record"));
    size_t owner_size = p[1], item_size = p[85];
    row->n_seen = p[2];
    row->erased = p[3] != 0;
    memcpy(row->case_id, p + 4, sizeof row->case_id);
    row->counting = (struct case_record){.occurred_at_us = (int64_t)get_u64le(p + 36),
                                         .detail = get_u32le(p + 44),
                                         .kind = p[48],
                                         .precision = p[49],
                                         .flags = p[50]};
    memcpy(row->counting.header_digest, p + 20, sizeof row->counting.header_digest);
    row->answered = p[51];
    area_decode(get_u32le(p + 86), row->area);
    seen_decode(p + 52, &row->newest);
    row->counting.revision = row->newest.revision;
    row->counting.operation = row->newest.operation;
    p += RECORD_FIXED_SIZE;
    memcpy(row->owner, p, owner_size);
    row->owner[owner_size] = 0;
    p += owner_size;
    memcpy(row->item, p, item_size);
    row->item[item_size] = 0;
    p += item_size;
    for (uint32_t i = 0; i < row->n_seen; i++)
        p = seen_decode(p, &row->seen[i]);
    return 0;
}

size_t record_row_encode(uint8_t *out, const struct record_row *row)
{
    const struct case_record *counting = &row->counting;
    size_t owner_size = strlen(row->owner), item_size = strlen(row->item);
    out[0] = ROW_FORMAT;
    out[1] = (uint8_t)owner_size;
    out[2] = (uint8_t)row->n_seen;
    out[3] = row->erased;
    memcpy(out + 4, row->case_id, sizeof row->case_id);
    memcpy(out + 20, counting->header_digest, sizeof counting->header_digest);
    put_u64le(out + 36, (uint64_t)counting->occurred_at_us);
    put_u32le(out + 44, counting->detail);
    out[48] = counting->kind;
    out[49] = counting->precision;
    out[50] = counting->flags;
    out[51] = (uint8_t)row->answered;
    uint8_t *p = seen_encode(out + 52, &row->newest);
    *p = (uint8_t)item_size;
    put_u32le(p + 1, area_number(row->area));
    p += RECORD_FIXED_SIZE - 85;
    memcpy(p, row->owner, owner_size);
    p += owner_size;
    memcpy(p, row->item, item_size);
    p += item_size;
    for (uint32_t i = 0; i < row->n_seen; i++)
        p = seen_encode(p, &row->seen[i]);
    return (size_t)(p - out);
}

/* ---- erasures ---- */

/* 0 case id(16)  16 ordered(8)  24 done at entry(8)  32 done(8) */
int erasure_row_decode(struct bytes value, struct erasure_row *row, struct casebus_error *err)
{
    if (value.size != ERASURE_ROW_SIZE)
        return damaged(err, _("erasure"));
    memcpy(row->case_id, value.data, sizeof row->case_id);
    row->ordered_at_us = (int64_t)get_u64le(value.data + 16);
    row->done_position = get_u64le(value.data + 24);
    row->done_at_us = (int64_t)get_u64le(value.data + 32);
    return 0;
}

size_t erasure_row_encode(uint8_t *out, const struct erasure_row *row)
{
    memcpy(out, row->case_id, sizeof row->case_id);
    put_u64le(out + 16, (uint64_t)row->ordered_at_us);
    put_u64le(out + 24, row->done_position);
    put_u64le(out + 32, (uint64_t)row->done_at_us);
    return ERASURE_ROW_SIZE;
}

int quarantine_row_decode(struct bytes value, struct quarantine_row *row, struct casebus_error *err)
{
    if (value.size != QUARANTINE_ROW_SIZE)
        return damaged(err, _("refused event"));
    row->before = get_u64le(value.data);
    row->after = get_u64le(value.data + 8);
    row->refused_at_us = (int64_t)get_u64le(value.data + 16);
    row->decided_position = get_u64le(value.data + 24);
    row->decision = value.data[32];
    return 0;
}

size_t quarantine_row_encode(uint8_t *out, const struct quarantine_row *row)
{
    put_u64le(out, row->before);
    put_u64le(out + 8, row->after);
    put_u64le(out + 16, (uint64_t)row->refused_at_us);
    put_u64le(out + 24, row->decided_position);
    out[32] = row->decision;
    return QUARANTINE_ROW_SIZE;
}

int quarantine_chain_decode(struct bytes value, struct quarantine_chain *chain, struct casebus_error *err)
{
    if (value.size != QUARANTINE_CHAIN_SIZE)
        return damaged(err, _("refused event"));
    chain->count = get_u64le(value.data);
    chain->first = get_u64le(value.data + 8);
    chain->last = get_u64le(value.data + 16);
    return 0;
}

size_t quarantine_chain_encode(uint8_t *out, const struct quarantine_chain *chain)
{
    put_u64le(out, chain->count);
    put_u64le(out + 8, chain->first);
    put_u64le(out + 16, chain->last);
    return QUARANTINE_CHAIN_SIZE;
}

/* ---- streams, batches, receivers, nodes ---- */

int stream_row_decode(struct bytes value, struct stream_row *row, struct casebus_error *err)
{
    if (value.size != STREAM_ROW_SIZE)
        return damaged(err, _("stream"));
    row->last = get_u64le(value.data);
    memcpy(row->last_statement, value.data + 8, DIGEST_SIZE);
    return 0;
}

size_t stream_row_encode(uint8_t *out, const struct stream_row *row)
{
    put_u64le(out, row->last);
    memcpy(out + 8, row->last_statement, DIGEST_SIZE);
    return STREAM_ROW_SIZE;
}

int batch_row_decode(struct bytes value, struct batch_row *row, struct casebus_error *err)
{
    if (value.size != BATCH_ROW_SIZE)
        return damaged(err, _("batch"));
    row->seal_position = get_u64le(value.data);
    row->count = get_u32le(value.data + 8);
    memcpy(row->statement_hash, value.data + 12, DIGEST_SIZE);
    return 0;
}

size_t batch_row_encode(uint8_t *out, const struct batch_row *row)
{
    put_u64le(out, row->seal_position);
    put_u32le(out + 8, row->count);
    memcpy(out + 12, row->statement_hash, DIGEST_SIZE);
    return BATCH_ROW_SIZE;
}

int receiver_row_decode(struct bytes value, struct receiver_row *row, struct casebus_error *err)
{
    const uint8_t *p = value.data;
    if (value.size != RECEIVER_ROW_SIZE)
        return damaged(err, _("receiver"));
    *row = (struct receiver_row){.last_position = get_u64le(p),
                                 .confirmed_position = get_u64le(p + 8),
                                 .n_decided = get_u64le(p + 16),
                                 .n_confirmed = get_u64le(p + 24),
                                 .last_ordinal = get_u32le(p + 32),
                                 .confirmed_ordinal = get_u32le(p + 36),
                                 .has_last = p[40] != 0,
                                 .has_confirmed = p[41] != 0};
    return 0;
}

size_t receiver_row_encode(uint8_t *out, const struct receiver_row *row)
{
    put_u64le(out, row->last_position);
    put_u64le(out + 8, row->confirmed_position);
    put_u64le(out + 16, row->n_decided);
    put_u64le(out + 24, row->n_confirmed);
    put_u32le(out + 32, row->last_ordinal);
    put_u32le(out + 36, row->confirmed_ordinal);
    memset(out + 40, 0, 8);
    out[40] = row->has_last;
    out[41] = row->has_confirmed;
    return RECEIVER_ROW_SIZE;
}

/* 0 position(8)  8 index(4)  12 before position(8)  20 before ordinal(4)  24 has before */
int confirm_row_decode(struct bytes value, struct confirm_row *row, struct casebus_error *err)
{
    const uint8_t *p = value.data;
    if (value.size != CONFIRM_ROW_SIZE)
        return damaged(err, _("confirmation"));
    *row = (struct confirm_row){.position = get_u64le(p),
                                .index = get_u32le(p + 8),
                                .before_position = get_u64le(p + 12),
                                .before_ordinal = get_u32le(p + 20),
                                .has_before = p[24] != 0};
    return 0;
}

size_t confirm_row_encode(uint8_t *out, const struct confirm_row *row)
{
    put_u64le(out, row->position);
    put_u32le(out + 8, row->index);
    put_u64le(out + 12, row->before_position);
    put_u32le(out + 20, row->before_ordinal);
    out[24] = row->has_before;
    return CONFIRM_ROW_SIZE;
}

int node_row_decode(struct bytes value, struct node_row *row, struct casebus_error *err)
{
    const uint8_t *p = value.data;
    if (value.size < NODE_ROW_SIZE || p[0] != ROW_FORMAT || p[58] > ENROLMENTS_MAX)
        return damaged(err, _("node"));
    *row = (struct node_row){.position = get_u64le(p + 1),
                             .n_accepted = get_u64le(p + 9),
                             .n_duplicate = get_u64le(p + 17),
                             .n_refused = get_u64le(p + 25),
                             .last_hub_time_us = (int64_t)get_u64le(p + 33),
                             .status = p[41],
                             .status_position = get_u64le(p + 42),
                             .compromised_since_us = (int64_t)get_u64le(p + 50),
                             .n_enrolments = p[58],
                             .enrolled = bytes_of(p + NODE_ROW_SIZE, value.size - NODE_ROW_SIZE)};
    for (size_t i = 0; i < ENROLMENTS_MAX; i++) {
        row->enrolments[i] = get_u64le(p + 59 + 16 * i);
        row->revoked[i] = get_u64le(p + 67 + 16 * i);
    }
    return 0;
}

size_t node_row_encode(uint8_t *out, const struct node_row *row)
{
    out[0] = ROW_FORMAT;
    put_u64le(out + 1, row->position);
    put_u64le(out + 9, row->n_accepted);
    put_u64le(out + 17, row->n_duplicate);
    put_u64le(out + 25, row->n_refused);
    put_u64le(out + 33, (uint64_t)row->last_hub_time_us);
    out[41] = row->status;
    put_u64le(out + 42, row->status_position);
    put_u64le(out + 50, (uint64_t)row->compromised_since_us);
    out[58] = row->n_enrolments;
    for (size_t i = 0; i < ENROLMENTS_MAX; i++) {
        put_u64le(out + 59 + 16 * i, row->enrolments[i]);
        put_u64le(out + 67 + 16 * i, row->revoked[i]);
    }
    if (row->enrolled.size > 0)
        memcpy(out + NODE_ROW_SIZE, row->enrolled.data, row->enrolled.size);
    return NODE_ROW_SIZE + row->enrolled.size;
}
