/* Records: what an event says about its source row, and how statements of one row relate.
 *
 * Which statement counts is told by (revision, operation, figures, header digest). Every hub that saw the
 * same statements agrees as far as the figures go; two that clash in texts alone are told apart by a digest
 * under the hub's own key, since an open one could be guessed. Which statement is a repeat is told by the
 * keyed digest of all its content. The greatest few stand in the record's own row, which is at hand anyway;
 * the few records with more statements have the others in rows of their own, so that an outbox that is sent
 * again changes nothing however old it is. */
#include "hub/exchange/answers.h"
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

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

static const char header_context[] = "casebus/v1/state/header"; /* hashed with its NUL */

/* What the handling item is more than the implementation code is no other item. */
#define ITEM_HEAD 31 /* of an implementation code */

static const char item_context[] = "casebus/v1/state/item"; /* hashed with its NUL */

static void item_fill(struct exchange_event *event, struct crypter *crypter, const uint8_t key[KEY_SIZE],
                      const Casebus__V1__EventHeader *header)
{
    uint8_t mac[DIGEST_SIZE];
    size_t size = strnlen(header->item, ITEM_HEAD);
    event->item_key = 0;
    if (size == 0)
        return;
    struct bytes parts[] = {bytes_of(item_context, sizeof item_context), bytes_of(header->item, size)};
    crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, 2, mac);
    event->item_key = get_u32le(mac) | 1; /* never 0 */
    if (size == ITEM_HEAD && strncmp(header->case_number, header->item, ITEM_HEAD) == 0)
        event->flags |= RECORD_HOME;
}

/* Room for the keys of @n aliases. */
static int aliases_room(struct exchange_event *event, size_t n, struct arena *arena,
                        struct casebus_error *err)
{
    event->n_case_aliases = (uint32_t)(n < ALIASES_MAX ? n : ALIASES_MAX);
    event->case_alias_keys =
        n ? arena_alloc(arena, event->n_case_aliases * sizeof event->case_alias_keys[0]) : NULL;
    return n && !event->case_alias_keys
               ? error_set(err, CASEBUS_NO_MEMORY, _("no memory for the aliases of an event"))
               : 0;
}

int exchange_event_fill(struct exchange_event *event, struct crypter *crypter, const uint8_t key[KEY_SIZE],
                        const Casebus__V1__EventHeader *header, const uint8_t header_digest[DIGEST_SIZE],
                        struct arena *arena, struct casebus_error *err)
{
    uint8_t mac[DIGEST_SIZE];
    struct bytes parts[] = {bytes_of(header_context, sizeof header_context),
                            bytes_of(header_digest, DIGEST_SIZE)};
    event->header = header;
    crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, 2, mac);
    memcpy(event->header_digest, mac, sizeof event->header_digest);
    record_key(crypter, key, header->record_namespace, header->record_id, event->record_key);
    case_number_key(crypter, key, header->case_number, event->case_number_key);
    if (aliases_room(event, header->n_case_alias, arena, err))
        return -1;
    for (size_t i = 0; i < event->n_case_aliases; i++)
        case_number_key(crypter, key, header->case_alias[i], event->case_alias_keys[i]);
    event->revision = header->revision;
    event->occurred_at_us = header->occurred_at_us;
    event->detail = event_detail(header);
    event->operation = as_byte(header->operation);
    event->kind = as_byte(header->kind);
    event->precision = as_byte(header->precision);
    event->flags = header->backfill ? RECORD_BACKFILL : 0;
    event->item = header->item;
    event->area = header->area;
    event->answered = answers_yes(header);
    item_fill(event, crypter, key, header);
    return 0;
}

int exchange_event_init(struct exchange_event *event, struct crypter *crypter, const uint8_t key[KEY_SIZE],
                        const Casebus__V1__EventHeader *header, struct bytes header_bytes,
                        const uint8_t content_digest[DIGEST_SIZE], struct arena *arena,
                        struct casebus_error *err)
{
    uint8_t header_digest[DIGEST_SIZE];
    memset(event, 0, sizeof *event);
    event_hash(crypter, header_bytes, event->event_hash);
    memcpy(event->content_digest, content_digest, DIGEST_SIZE);
    if (event_header_digest(crypter, header_bytes, header_digest, err))
        return -1;
    return exchange_event_fill(event, crypter, key, header, header_digest, arena, err);
}

static bool copy_key(uint8_t out[TEXT_KEY_SIZE], ProtobufCBinaryData from)
{
    if (from.len != TEXT_KEY_SIZE || !from.data || !out)
        return false;
    memcpy(out, from.data, TEXT_KEY_SIZE);
    return true;
}

int exchange_event_of_skeleton(struct exchange_event *event, const Casebus__V1__EventSkeleton *skeleton,
                               const uint8_t event_hash[DIGEST_SIZE],
                               const uint8_t content_digest[DIGEST_SIZE], struct arena *arena,
                               struct casebus_error *err)
{
    memset(event, 0, sizeof *event);
    memcpy(event->event_hash, event_hash, DIGEST_SIZE);
    memcpy(event->content_digest, content_digest, DIGEST_SIZE);
    if (aliases_room(event, skeleton->n_case_alias_key, arena, err))
        return -1;
    bool good = skeleton->n_case_alias_key <= ALIASES_MAX &&
                copy_key(event->record_key, skeleton->record_key) &&
                copy_key(event->header_digest, skeleton->header_digest) &&
                copy_key(event->case_number_key, skeleton->case_number_key);
    for (size_t i = 0; good && i < skeleton->n_case_alias_key; i++)
        good = copy_key(event->case_alias_keys[i], skeleton->case_alias_key[i]);
    event->revision = skeleton->revision;
    event->occurred_at_us = skeleton->occurred_at_us;
    event->detail = skeleton->detail;
    event->operation = as_byte(skeleton->operation);
    event->kind = as_byte(skeleton->kind);
    event->precision = as_byte(skeleton->precision);
    event->flags = as_byte(skeleton->flags);
    event->item = event->area = "";
    event->item_key = skeleton->item_key;
    return good ? 0 : error_set(err, CASEBUS_DAMAGED, _("what a destroyed header left cannot be read"));
}

static ProtobufCBinaryData field_of(const uint8_t key[TEXT_KEY_SIZE])
{
    return (ProtobufCBinaryData){TEXT_KEY_SIZE, (uint8_t *)(uintptr_t)key};
}

void exchange_event_skeleton(const struct exchange_event *event, Casebus__V1__EventSkeleton *skeleton,
                             ProtobufCBinaryData aliases[ALIASES_MAX])
{
    casebus__v1__event_skeleton__init(skeleton);
    skeleton->record_key = field_of(event->record_key);
    skeleton->header_digest = field_of(event->header_digest);
    skeleton->revision = event->revision;
    skeleton->operation = event->operation;
    skeleton->kind = event->kind;
    skeleton->occurred_at_us = event->occurred_at_us;
    skeleton->precision = event->precision;
    skeleton->flags = event->flags;
    skeleton->detail = event->detail;
    skeleton->item_key = event->item_key;
    skeleton->case_number_key = field_of(event->case_number_key);
    for (size_t i = 0; i < event->n_case_aliases; i++)
        aliases[i] = field_of(event->case_alias_keys[i]);
    skeleton->case_alias_key = aliases;
    skeleton->n_case_alias_key = event->n_case_aliases;
}

bool item_is_code(const char *item)
{
    static const char code[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
    size_t size = strspn(item, code);
    return item[size] == 0 && size < RECORD_ITEM_SIZE;
}

struct case_record record_of_event(const struct exchange_event *event, uint64_t position)
{
    struct case_record record = {.position = position,
                                 .revision = event->revision,
                                 .occurred_at_us = event->occurred_at_us,
                                 .detail = event->detail,
                                 .item = event->item_key,
                                 .operation = event->operation,
                                 .kind = event->kind,
                                 .precision = event->precision,
                                 .flags = event->flags};
    memcpy(record.key, event->record_key, RECORD_KEY_SIZE);
    memcpy(record.header_digest, event->header_digest, sizeof record.header_digest);
    return record;
}

struct record_statement statement_of_event(const struct exchange_event *event, uint64_t position)
{
    struct record_statement statement = {
        .revision = event->revision, .position = position, .operation = event->operation};
    memcpy(statement.content_digest, event->content_digest, sizeof statement.content_digest);
    return statement;
}

static bool same_place(const struct record_statement *statement, const struct exchange_event *event)
{
    return statement->revision == event->revision && statement->operation == event->operation;
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
    struct case_record record = record_of_event(event, 0);
    if (record_wins(&record, &row->counting))
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
    size_t size = statement_key(key, event->record_key, &statement);
    int r = store->get(store->self, TABLE_STATEMENTS, bytes_of(key, size), &value, err);
    if (r <= 0)
        return r;
    if (value.size != sizeof(uint64_t))
        return error_set(err, CASEBUS_DAMAGED, _("the state holds a statement without its position"));
    *position = get_u64le(value.data);
    return 1;
}

int record_row_get(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                   struct record_row *row, struct casebus_error *err)
{
    struct bytes value;
    int r = store->get(store->self, TABLE_RECORDS, bytes_of(record_key, TEXT_KEY_SIZE), &value, err);
    if (r <= 0)
        return r;
    return record_row_decode(value, row, err) < 0 ? -1 : 1;
}

int record_row_put(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                   const struct record_row *row, struct casebus_error *err)
{
    uint8_t encoded[RECORD_ROW_MAX];
    size_t size = record_row_encode(encoded, row);
    return store->put(store->self, TABLE_RECORDS, bytes_of(record_key, TEXT_KEY_SIZE),
                      bytes_of(encoded, size), err);
}

int case_id_get(const struct exchange_store *store, const uint8_t number_key[TEXT_KEY_SIZE],
                uint8_t case_id[16], struct casebus_error *err)
{
    struct bytes value;
    int r = store->get(store->self, TABLE_CASE_NUMBERS, bytes_of(number_key, TEXT_KEY_SIZE), &value, err);
    if (r <= 0)
        return r;
    if (value.size != 16)
        return error_set(err, CASEBUS_DAMAGED, _("the state names no case for a case number"));
    memcpy(case_id, value.data, 16);
    return 1;
}
