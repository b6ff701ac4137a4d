/* Applying an event and a seal. The ledger has the last word here: nothing is decided, nothing is refused;
 * what does not fit together is damage. A case is read, changed and put back whole. */
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"

int bench_load(struct bench *bench, const struct exchange_store *store, const uint8_t case_id[16],
               struct casebus_error *err)
{
    struct bytes value;
    bench->row = (struct case_row){0};
    int r = store->get(store->self, TABLE_CASES, case_key(case_id), &value, err);
    if (r < 0)
        return -1;
    if (r == 0)
        return error_set(err, CASEBUS_DAMAGED, _("the state names a case that it does not hold"));
    return case_row_decode(value, &bench->row, bench->records, CASE_RECORDS_MAX, err);
}

int bench_store(struct bench *bench, const struct exchange_store *store, const uint8_t case_id[16],
                struct casebus_error *err)
{
    case_fold(bench->records, bench->row.n_records, &bench->row.state);
    size_t size = case_row_encode(bench->encoded, &bench->row, bench->records);
    return store->put(store->self, TABLE_CASES, case_key(case_id), bytes_of(bench->encoded, size), err);
}

/* Keeps the set sorted and bounded: past the bound the greatest falls out, whatever came when. The entry that
 * is shown for an alias is the newest one: when older ones are destroyed, it stays. */
static void bench_add_alias(struct bench *bench, const uint8_t key[TEXT_KEY_SIZE], uint64_t position)
{
    struct case_row *row = &bench->row;
    uint32_t at = 0;
    int order = 1;
    while (at < row->n_aliases && (order = memcmp(row->aliases[at].key, key, TEXT_KEY_SIZE)) < 0)
        at++;
    if (at < row->n_aliases && order == 0) {
        row->aliases[at].position = position;
        return;
    }
    if (at == CASE_ALIASES_MAX)
        return;
    row->n_aliases += row->n_aliases < CASE_ALIASES_MAX;
    memmove(&row->aliases[at + 1], &row->aliases[at], (row->n_aliases - 1 - at) * sizeof row->aliases[0]);
    memcpy(row->aliases[at].key, key, TEXT_KEY_SIZE);
    row->aliases[at].position = position;
}

/* Puts the case that the event names on the bench; opens it if nobody named it before. */
static int bench_open(struct bench *bench, const struct exchange_store *store,
                      const struct exchange_event *event, const uint8_t case_id[16], int64_t hub_time_us,
                      struct casebus_error *err)
{
    const uint8_t *number_key = event->case_number_key;
    uint8_t known_id[16];
    int known = case_id_get(store, number_key, known_id, err);
    if (known < 0)
        return -1;
    if (known && memcmp(known_id, case_id, sizeof known_id) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("the ledger gives a case a second id"));
    if (known)
        return bench_load(bench, store, case_id, err);
    bench->row = (struct case_row){.opened_at_us = hub_time_us};
    return store->put(store->self, TABLE_CASE_NUMBERS, bytes_of(number_key, TEXT_KEY_SIZE), case_key(case_id),
                      err);
}

static int apply_to_named_case(const struct exchange_store *store, const struct exchange_event *event,
                               const uint8_t case_id[16], uint64_t position, uint64_t slot,
                               int64_t hub_time_us, const struct case_record *record,
                               struct casebus_error *err)
{
    struct bench bench;
    bench.row = (struct case_row){.slot = 0};
    if (bench_open(&bench, store, event, case_id, hub_time_us, err) < 0)
        return -1;
    bench.row.position = position;
    if (bench.row.slot == 0)
        bench.row.slot = slot;
    for (size_t i = 0; i < event->n_case_aliases; i++)
        if (memcmp(event->case_alias_keys[i], event->case_number_key, TEXT_KEY_SIZE) != 0)
            bench_add_alias(&bench, event->case_alias_keys[i], position);
    if (record && case_put(bench.records, &bench.row.n_records, CASE_RECORDS_MAX, record, NULL) < 0)
        return error_set(err, CASEBUS_DAMAGED, _("the ledger puts too many records into one case"));
    return bench_store(&bench, store, case_id, err);
}

/* The other case: @record leaves it, or marks a clash in it. */
static int apply_to_old_case(const struct exchange_store *store, const uint8_t case_id[16],
                             const struct case_record *record, bool leaves, struct casebus_error *err)
{
    struct bench bench;
    if (bench_load(&bench, store, case_id, err) < 0)
        return -1;
    if (leaves)
        case_remove(bench.records, &bench.row.n_records, record->key);
    else if (case_put(bench.records, &bench.row.n_records, CASE_RECORDS_MAX, record, err) < 0)
        return -1;
    return bench_store(&bench, store, case_id, err);
}

/* P4: which case a record is in follows from the statement that counts, not from the one that came last. */
static int apply_to_cases(const struct exchange_store *store, const Casebus__V1__EventEntry *entry,
                          const struct exchange_event *event, const struct record_row *known,
                          uint64_t position, uint64_t slot, int64_t hub_time_us, struct casebus_error *err)
{
    const uint8_t *case_id = entry->case_id.data;
    struct case_record record = record_of_event(event, position);
    record.publisher = case_publisher(entry->node);
    enum record_effect effect = known ? record_effect(known, event) : EFFECT_REPLACES;
    if (known && record_clashes(known, event))
        record.flags |= RECORD_CONFLICTED;
    bool elsewhere = known && memcmp(known->case_id, case_id, 16) != 0;
    if (elsewhere && effect != EFFECT_NONE &&
        apply_to_old_case(store, known->case_id, &record, effect == EFFECT_REPLACES, err) < 0)
        return -1;
    bool here = effect == EFFECT_REPLACES || (effect == EFFECT_CLASHES && !elsewhere);
    return apply_to_named_case(store, event, case_id, position, slot, hub_time_us, here ? &record : NULL,
                               err);
}

/* ---- the record's own row ---- */

static int compare_seen(const struct record_statement *a, const struct record_statement *b)
{
    if (a->revision != b->revision)
        return a->revision < b->revision ? -1 : 1;
    if (a->operation != b->operation)
        return a->operation < b->operation ? -1 : 1;
    return memcmp(a->content_digest, b->content_digest, sizeof a->content_digest);
}

/* Puts @statement among those in the row; true when there are too many: then @oldest has to go elsewhere. */
static bool remember(struct record_row *row, const struct record_statement *statement,
                     struct record_statement *oldest)
{
    bool full = row->n_seen == RECORD_STATEMENTS_MAX;
    uint32_t at = 0;
    while (at < row->n_seen && compare_seen(&row->seen[at], statement) > 0)
        at++;
    *oldest = full && at < row->n_seen ? row->seen[row->n_seen - 1] : *statement;
    if (at == RECORD_STATEMENTS_MAX)
        return true;
    row->n_seen += !full;
    memmove(&row->seen[at + 1], &row->seen[at], (row->n_seen - 1 - at) * sizeof *row->seen);
    row->seen[at] = *statement;
    return full;
}

static int put_statement(const struct exchange_store *store, const uint8_t record_key[TEXT_KEY_SIZE],
                         const struct record_statement *statement, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], position[8];
    size_t size = statement_key(key, record_key, statement);
    put_u64le(position, statement->position);
    return store->put(store->self, TABLE_STATEMENTS, bytes_of(key, size), bytes_of(position, sizeof position),
                      err);
}

/* What the record says now, for whoever changes it later. The state holds no texts (docs/decisions/0011): an
 * item that is no code is not kept. */
static void record_says(struct record_row *row, const struct exchange_event *event)
{
    row->item[0] = row->area[0] = 0;
    if (item_is_code(event->item))
        memcpy(row->item, event->item, strlen(event->item) + 1);
    if (strlen(event->area) == AREA_DIGITS && strspn(event->area, "0123456789") == AREA_DIGITS)
        memcpy(row->area, event->area, AREA_DIGITS + 1);
    row->answered = event->answered;
}

static int apply_to_record(const struct exchange_store *store, const Casebus__V1__EventEntry *entry,
                           const struct exchange_event *event, struct record_row *row, bool known,
                           uint64_t position, struct casebus_error *err)
{
    struct record_statement statement = statement_of_event(event, position);
    bool counts = !known || record_effect(row, event) == EFFECT_REPLACES;
    if (!known) {
        *row = (struct record_row){0};
        memcpy(row->owner, entry->node, strlen(entry->node) + 1);
    }
    if (counts) {
        row->newest = statement;
        memcpy(row->case_id, entry->case_id.data, sizeof row->case_id);
        row->counting = record_of_event(event, position);
        record_says(row, event);
    }
    struct record_statement oldest;
    if (remember(row, &statement, &oldest) && put_statement(store, event->record_key, &oldest, err) < 0)
        return -1;
    return record_row_put(store, event->record_key, row, err);
}

/* ---- receivers ---- */

static bool name_fits(const char *name)
{
    return name[0] && strlen(name) < NODE_TEXT_MAX;
}

int apply_to_receiver(const struct exchange_store *store, const Casebus__V1__Receiver *receiver,
                      uint64_t position, uint32_t ordinal, struct casebus_error *err)
{
    const char *node = receiver->node;
    if (!name_fits(node))
        return error_set(err, CASEBUS_DAMAGED, _("the ledger names a receiver that cannot be one"));
    uint8_t key[TABLE_KEY_MAX], given = inbox_given(receiver->questions, receiver->retracts);
    size_t size = inbox_key(key, node, position, ordinal);
    if (store->put(store->self, TABLE_INBOX, bytes_of(key, size), bytes_of(&given, 1), err) < 0)
        return -1;
    struct receiver_row row = {0};
    struct bytes value;
    size = receiver_key(key, node);
    int r = store->get(store->self, TABLE_RECEIVERS, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && receiver_row_decode(value, &row, err) < 0))
        return -1;
    row.last_position = position;
    row.last_ordinal = ordinal;
    row.has_last = true;
    row.n_decided++;
    uint8_t encoded[RECEIVER_ROW_SIZE];
    receiver_row_encode(encoded, &row);
    return store->put(store->self, TABLE_RECEIVERS, bytes_of(key, size), bytes_of(encoded, sizeof encoded),
                      err);
}

int exchange_apply_event(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                         const Casebus__V1__EventEntry *entry, const struct exchange_event *event,
                         uint64_t slot, struct casebus_error *err)
{
    if (!name_fits(entry->node) || entry->case_id.len != 16)
        return error_set(err, CASEBUS_DAMAGED, _("an event of the ledger names no node or no case"));
    struct record_row row;
    if (event_check_key(event, err) < 0)
        return -1;
    int known = record_row_get(store, event->record_key, &row, err);
    if (known < 0)
        return -1;
    if (known && strcmp(row.owner, entry->node) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("the ledger gives a record a second owner, '%s'"),
                         entry->node);
    if (apply_to_cases(store, entry, event, known ? &row : NULL, position, slot, hub_time_us, err) < 0 ||
        apply_to_record(store, entry, event, &row, known, position, err) < 0)
        return -1;
    for (size_t i = 0; i < entry->n_receiver; i++)
        if (apply_to_receiver(store, entry->receiver[i], position, (uint32_t)i, err) < 0)
            return -1;
    return 0;
}

/* ---- seals ---- */

static int apply_to_stream(const struct exchange_store *store, uint64_t position,
                           const Casebus__V1__BatchStatement *statement,
                           const uint8_t statement_hash[DIGEST_SIZE], struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[BATCH_ROW_SIZE];
    struct stream_row stream = {.last = statement->first + statement->count - 1};
    memcpy(stream.last_statement, statement_hash, DIGEST_SIZE);
    size_t key_size = stream_key(key, statement->node, statement->stream);
    size_t size = stream_row_encode(encoded, &stream);
    if (store->put(store->self, TABLE_STREAMS, bytes_of(key, key_size), bytes_of(encoded, size), err) < 0)
        return -1;
    struct batch_row batch = {.seal_position = position, .count = statement->count};
    memcpy(batch.statement_hash, statement_hash, DIGEST_SIZE);
    key_size = batch_key(key, statement->node, statement->stream, statement->first);
    size = batch_row_encode(encoded, &batch);
    return store->put(store->self, TABLE_BATCHES, bytes_of(key, key_size), bytes_of(encoded, size), err);
}

#define NODE_VALUE_MAX (16 * 1024)

static int apply_to_node(const struct exchange_store *store, const Casebus__V1__SealEntry *seal,
                         const Casebus__V1__BatchStatement *statement, int64_t hub_time_us,
                         struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[NODE_VALUE_MAX];
    size_t size = receiver_key(key, statement->node);
    struct bytes value;
    struct node_row row;
    int r = store->get(store->self, TABLE_NODES, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && node_row_decode(value, &row, err) < 0))
        return -1;
    if (r == 0 || value.size > sizeof encoded)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the ledger holds a batch of node '%s', which is not enrolled"), statement->node);
    uint64_t n_duplicate = 0;
    for (size_t i = 0; i < seal->n_outcome; i++)
        n_duplicate += seal->outcome[i]->duplicate_of > 0;
    row.n_duplicate += n_duplicate;
    row.n_refused += seal->n_outcome - n_duplicate;
    row.n_accepted += statement->count - seal->n_outcome;
    row.last_hub_time_us = hub_time_us;
    return store->put(store->self, TABLE_NODES, bytes_of(key, size),
                      bytes_of(encoded, node_row_encode(encoded, &row)), err);
}

int exchange_apply_seal(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                        const Casebus__V1__SealEntry *seal, const Casebus__V1__BatchStatement *statement,
                        const uint8_t statement_hash[DIGEST_SIZE], struct casebus_error *err)
{
    if (!name_fits(statement->node) || seal->n_outcome > statement->count || statement->count == 0)
        return error_set(err, CASEBUS_DAMAGED, _("a seal of the ledger does not fit its batch"));
    if (apply_to_stream(store, position, statement, statement_hash, err) < 0)
        return -1;
    return apply_to_node(store, seal, statement, hub_time_us, err);
}
