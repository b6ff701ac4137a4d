/* A request is bounded in time rather than in rows: LMDB cannot reuse the pages of a snapshot that is held,
 * so a page of a list ends when READER_TIME_MS are over and says where to go on. */
#include "hub/console/reader.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

#define READER_ARENA_MAX (4 * 1024 * 1024) /* one entry with all that is sealed beside it, decoded */
#define NOTE_BYTES_MAX   16384             /* of an operator's note */

int reader_init(struct reader *reader, const struct console_hub *hub, struct casebus_error *err)
{
    *reader = (struct reader){.hub = hub, .began_ns = clock_monotonic_ns()};
    arena_init(&reader->arena, 64 * 1024, READER_ARENA_MAX);
    reader->crypter = crypter_new(hub->suite);
    if (!reader->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    if (ledger_view_open(&reader->ledger, hub->ledger, err))
        return -1;
    return hub->state ? state_view_open(&reader->state, hub->state, err)
                      : 0; /* a copy of a ledger has none */
}

void reader_deinit(struct reader *reader)
{
    if (reader->ledger)
        ledger_view_close(reader->ledger);
    if (reader->state)
        state_view_close(reader->state);
    if (reader->crypter)
        crypter_free(reader->crypter);
    arena_deinit(&reader->arena);
    secret_clear(reader->slot_key, sizeof reader->slot_key);
    *reader = (struct reader){0};
}

bool reader_late(const struct reader *reader)
{
    return clock_monotonic_ns() - reader->began_ns > (uint64_t)READER_TIME_MS * 1000000;
}

uint64_t reader_size(const struct reader *reader)
{
    return ledger_view_size(reader->ledger);
}

const char *body_fate_name(enum body_fate fate)
{
    switch (fate) {
    case BODY_NONE:
        return "none";
    case BODY_OPEN:
        return "open";
    case BODY_SEALED:
        return "sealed";
    case BODY_ERASED:
        return "erased";
    }
    return "none";
}

int reader_leaf(struct reader *reader, uint64_t position, struct reader_entry *out, struct casebus_error *err)
{
    *out = (struct reader_entry){.position = position};
    arena_reset(&reader->arena);
    if (ledger_view_leaf(reader->ledger, position, &out->leaf, err))
        return -1;
    out->entry = entry_decode(out->leaf, &reader->arena, err);
    if (!out->entry)
        return error_context(err, _("entry %llu of the ledger"), (unsigned long long)position);
    return 0;
}

/* Sets reader->slot_key. 1: it is at hand; 0: it was erased or there is no vault. */
static int slot_key(struct reader *reader, uint64_t slot, enum body_fate *fate, struct casebus_error *err)
{
    *fate = BODY_OPEN;
    if (reader->slot == slot)
        return 1;
    reader->slot = 0;
    if (!reader->hub->vault) {
        *fate = BODY_SEALED;
        return 0;
    }
    struct casebus_error why;
    if (vault_key(reader->hub->vault, slot, reader->slot_key, &why) == 0) {
        reader->slot = slot;
        return 1;
    }
    if (why.code != CASEBUS_NOT_FOUND) {
        if (err)
            *err = why;
        return -1;
    }
    *fate = BODY_ERASED;
    return 0;
}

static int header_open(struct reader *reader, struct reader_entry *out, struct casebus_error *err)
{
    struct bytes plain;
    const uint8_t *subject = out->entry->event->event_hash.data;
    if (body_open_item(reader->crypter, ledger_origin_at(reader->hub->ledger, out->position), subject,
                       out->body, reader->slot_key, 0, &reader->arena, &plain, err))
        return -1;
    out->header = event_header_decode(plain, &reader->arena, err);
    out->header_bytes = plain;
    return out->header ? 0 : -1;
}

/* Decodes the body and has its slot's key at hand. 1: out->body is set; 0: out->fate says why not; -1. */
static int body_reach(struct reader *reader, struct reader_entry *out, struct casebus_error *err)
{
    struct bytes sealed;
    if (ledger_view_body(reader->ledger, out->position, &sealed, err))
        return -1;
    if (sealed.size == 0)
        return 0;
    Casebus__V1__SealedBody *body = body_decode(sealed, &reader->arena, err);
    if (!body)
        return -1;
    if (body_item_erased(body, 0)) {
        out->fate = BODY_ERASED;
        return 0;
    }
    int r = slot_key(reader, body->slot, &out->fate, err);
    if (r <= 0)
        return r;
    out->body = body;
    return 1;
}

static int body_open(struct reader *reader, struct reader_entry *out, struct casebus_error *err)
{
    int r = body_reach(reader, out, err);
    return r > 0 ? header_open(reader, out, err) : r;
}

int reader_event(struct reader *reader, uint64_t position, struct reader_entry *out,
                 struct casebus_error *err)
{
    if (reader_leaf(reader, position, out, err))
        return -1;
    if (out->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return 0;
    if (body_open(reader, out, err))
        return error_context(err, _("the content of entry %llu"), (unsigned long long)position);
    return 0;
}

int reader_quarantined(struct reader *reader, uint64_t position, struct reader_entry *out,
                       struct casebus_error *err)
{
    if (position < reader_size(reader) && reader_leaf(reader, position, out, err))
        return -1;
    if (position >= reader_size(reader) ||
        out->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        out->entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED) {
        error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger is nothing in quarantine"),
                  (unsigned long long)position);
        return error_hint(err, _("see what is: casebus quarantine list"));
    }
    if (body_reach(reader, out, err) < 0)
        return error_context(err, _("the content of entry %llu"), (unsigned long long)position);
    return 0;
}

int reader_refused_item(struct reader *reader, const struct reader_entry *refused, size_t index,
                        struct bytes *plain, struct casebus_error *err)
{
    return body_open_item(reader->crypter, ledger_origin_at(reader->hub->ledger, refused->position),
                          refused->entry->act->quarantined->subject.data, refused->body, reader->slot_key,
                          index, &reader->arena, plain, err);
}

int reader_part(struct reader *reader, const struct reader_entry *event, size_t index, struct bytes *content,
                struct casebus_error *err)
{
    const uint8_t *subject = event->entry->event->event_hash.data;
    if (body_open_item(reader->crypter, ledger_origin_at(reader->hub->ledger, event->position), subject,
                       event->body, reader->slot_key, index + 1, &reader->arena, content, err))
        return -1;
    if (content->size < SALT_SIZE)
        return error_set(err, CASEBUS_DAMAGED, _("part %zu of entry %llu is too short"), index,
                         (unsigned long long)event->position);
    *content = bytes_of(content->data + SALT_SIZE, content->size - SALT_SIZE);
    return 0;
}

/* Opens the first thing that is sealed beside an act. 1: @plain is set; 0: there is none or it cannot be
 * opened; -1. */
static int beside_open(struct reader *reader, const struct reader_entry *read, const uint8_t *subject,
                       struct bytes *plain, struct casebus_error *err)
{
    struct reader_entry sealed = *read;
    int r = body_reach(reader, &sealed, err);
    if (r <= 0)
        return r;
    return body_open_item(reader->crypter, ledger_origin_at(reader->hub->ledger, read->position), subject,
                          sealed.body, reader->slot_key, 0, &reader->arena, plain, err)
               ? -1
               : 1;
}

int reader_words(struct reader *reader, const struct reader_entry *read, char **words,
                 struct casebus_error *err)
{
    struct bytes plain;
    *words = NULL;
    int r = beside_open(reader, read, read->entry->act->erasure_ordered->subject.data, &plain, err);
    if (r <= 0)
        return r;
    *words = arena_printf(&reader->arena, "%.*s", (int)plain.size, (const char *)plain.data);
    return *words ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
}

int reader_note(struct reader *reader, const struct reader_entry *read, Casebus__V1__OperatorNote **note,
                struct casebus_error *err)
{
    static const struct codec_limits limits = {NOTE_BYTES_MAX, 16, 1};
    struct bytes plain;
    ProtobufCBinaryData subject = entry_subject(read->entry);
    *note = NULL;
    if (!entry_is_noted(read->entry) || subject.len != DIGEST_SIZE)
        return 0;
    int r = beside_open(reader, read, subject.data, &plain, err);
    if (r <= 0)
        return r;
    *note = (Casebus__V1__OperatorNote *)codec_unpack(&casebus__v1__operator_note__descriptor, plain, &limits,
                                                      &reader->arena, err);
    return *note ? 0 : -1;
}

bool reader_part_erased(const struct reader_entry *event, size_t index)
{
    return body_item_erased(event->body, index + 1);
}

/* ---- the texts of a case, which the state does not hold ---- */

int reader_case_id(struct reader *reader, const char *number, struct bytes *case_id,
                   struct casebus_error *err)
{
    uint8_t key[TEXT_KEY_SIZE];
    if (!reader->hub->content_key) {
        error_set(err, CASEBUS_KEY, _("a case cannot be looked up by its number without the hub's keys"));
        return error_hint(err, _("read as the user whose hub it is"));
    }
    if (strlen(number) > CASE_NUMBER_MAX)
        return 0;
    case_number_key(reader->crypter, reader->hub->content_key, number, key);
    return state_view_get(reader->state, TABLE_CASE_NUMBERS, bytes_of(key, sizeof key), case_id, err);
}

/* What stands for a text of an entry whose header is not at hand; NULL when it is. */
static const char *stand_in(const struct reader_entry *read)
{
    if (read->header)
        return NULL;
    return read->fate == BODY_SEALED ? READER_SEALED : READER_ERASED;
}

static int header_read(struct reader *reader, uint64_t position, struct reader_entry *read,
                       struct casebus_error *err)
{
    if (position >= reader_size(reader)) { /* the state is ahead of the ledger by a moment */
        *read = (struct reader_entry){.fate = BODY_SEALED};
        return 0;
    }
    return reader_event(reader, position, read, err);
}

int reader_case_number(struct reader *reader, const struct case_row *row, char number[CASE_NUMBER_MAX + 1],
                       struct casebus_error *err)
{
    struct reader_entry read;
    if (header_read(reader, row->position, &read, err))
        return -1;
    const char *text = stand_in(&read);
    snprintf(number, CASE_NUMBER_MAX + 1, "%s", text ? text : read.header->case_number);
    return 0;
}

/* The alias of @header whose key is @key; NULL when it has none. */
static const char *alias_find(struct reader *reader, const Casebus__V1__EventHeader *header,
                              const uint8_t key[TEXT_KEY_SIZE])
{
    uint8_t other[TEXT_KEY_SIZE];
    for (size_t i = 0; reader->hub->content_key && i < header->n_case_alias; i++) {
        case_number_key(reader->crypter, reader->hub->content_key, header->case_alias[i], other);
        if (memcmp(key, other, sizeof other) == 0)
            return header->case_alias[i];
    }
    return NULL;
}

int reader_case_alias(struct reader *reader, const struct case_row *row, size_t index,
                      char alias[CASE_NUMBER_MAX + 1], struct casebus_error *err)
{
    struct reader_entry read;
    if (header_read(reader, row->aliases[index].position, &read, err))
        return -1;
    const char *text = stand_in(&read);
    if (!text)
        text = alias_find(reader, read.header, row->aliases[index].key);
    snprintf(alias, CASE_NUMBER_MAX + 1, "%s", text ? text : READER_SEALED);
    return 0;
}

int reader_receiver(struct reader *reader, const char *node, struct receiver_row *row,
                    struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    size_t size = receiver_key(key, node);
    *row = (struct receiver_row){0};
    int r = state_view_get(reader->state, TABLE_RECEIVERS, bytes_of(key, size), &value, err);
    return r < 0 || (r > 0 && receiver_row_decode(value, row, err)) ? -1 : 0;
}

int reader_confirmed(struct reader *reader, const char *node, uint64_t position, uint32_t ordinal,
                     struct casebus_error *err)
{
    struct receiver_row row;
    if (reader_receiver(reader, node, &row, err))
        return -1;
    return row.has_confirmed && (row.confirmed_position > position ||
                                 (row.confirmed_position == position && row.confirmed_ordinal >= ordinal));
}

static int store_get(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
                     struct casebus_error *err)
{
    struct reader *reader = self;
    return state_view_get(reader->state, table, key, value, err);
}

static int store_put(void *self, enum exchange_table table, struct bytes key, struct bytes value,
                     struct casebus_error *err)
{
    (void)self, (void)table, (void)key, (void)value;
    return error_set(err, CASEBUS_INTERNAL, _("the console does not write the state"));
}

struct exchange_store reader_store(struct reader *reader)
{
    return (struct exchange_store){.self = reader, .get = store_get, .put = store_put};
}
