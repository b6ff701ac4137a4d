#include "hub/exchange/exchange_fixture.h"

#include "proto/codec/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.memory = store_memory_new(),
                                .crypter = crypter_new(suite_get(SUITE_INTL)),
                                .position = 1,
                                .hub_time_us = NOON_US + 365 * DAY_US,
                                .next_case_id = 1,
                                .next_slot = 1,
                                .n_nodes = 4};
    assert_non_null(fixture->memory);
    assert_non_null(fixture->crypter);
    fixture->store = store_memory_store(fixture->memory);
    arena_init(&fixture->arena, 1 << 20, SIZE_MAX);
    fixture->nodes[0] =
        (struct exchange_node){.name = "bureau", .department = "spj", .area = "320100", .publish = true};
    fixture->nodes[1] =
        (struct exchange_node){.name = "desk", .department = "desk", .area = "", .publish = true};
    fixture->nodes[2] = (struct exchange_node){.name = "office",
                                               .department = "office",
                                               .area = "",
                                               .receive_all = true,
                                               .receive_part_kinds =
                                                   part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY) |
                                                   part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_FORM)};
    fixture->nodes[3] = (struct exchange_node){.name = "quiet", .department = "rsj", .area = "320100"};
}

void fixture_deinit(struct fixture *fixture)
{
    store_memory_free(fixture->memory);
    crypter_free(fixture->crypter);
    arena_deinit(&fixture->arena);
}

static void *keep(struct fixture *fixture, const void *data, size_t size)
{
    void *copy = arena_copy(&fixture->arena, data, size);
    assert_non_null(copy);
    return copy;
}

static char *keep_text(struct fixture *fixture, const char *text)
{
    return keep(fixture, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void set_fields(struct fixture *fixture, const struct statement *statement,
                       Casebus__V1__EventHeader *header)
{
    if (statement->kind == CASEBUS__V1__KIND__KIND_FINISH &&
        (statement->finish_kind_plus1 || statement->certificate)) {
        Casebus__V1__FinishFields finish = CASEBUS__V1__FINISH_FIELDS__INIT;
        finish.finish_kind = statement->finish_kind_plus1 ? statement->finish_kind_plus1 - 1 : 0;
        finish.finish_kind_given = statement->finish_kind_plus1 > 0;
        finish.certificate_number = keep_text(fixture, statement->certificate);
        header->fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH;
        header->finish = keep(fixture, &finish, sizeof finish);
    }
    if (statement->special_kind) {
        Casebus__V1__SpecialFields special = CASEBUS__V1__SPECIAL_FIELDS__INIT;
        special.special_kind = statement->special_kind;
        header->fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_SPECIAL;
        header->special = keep(fixture, &special, sizeof special);
    }
}

static void add_commitments(struct fixture *fixture, Casebus__V1__EventHeader *header)
{
    static const Casebus__V1__PartKind kinds[] = {CASEBUS__V1__PART_KIND__PART_KIND_CONTACT,
                                                  CASEBUS__V1__PART_KIND__PART_KIND_FORM};
    header->n_commitment = 2;
    header->commitment = arena_alloc(&fixture->arena, 2 * sizeof(void *));
    assert_non_null(header->commitment);
    for (size_t i = 0; i < 2; i++) {
        uint8_t mac[DIGEST_SIZE] = {0};
        Casebus__V1__PartCommitment commitment = CASEBUS__V1__PART_COMMITMENT__INIT;
        commitment.kind = kinds[i];
        commitment.mac = (ProtobufCBinaryData){DIGEST_SIZE, keep(fixture, mac, sizeof mac)};
        header->commitment[i] = keep(fixture, &commitment, sizeof commitment);
    }
}

static Casebus__V1__EventHeader *make_header(struct fixture *fixture, const struct statement *statement)
{
    Casebus__V1__EventHeader empty = CASEBUS__V1__EVENT_HEADER__INIT;
    Casebus__V1__EventHeader *header = keep(fixture, &empty, sizeof empty);
    uint8_t random[RANDOM_SIZE];
    random_bytes(random, sizeof random);
    header->random = (ProtobufCBinaryData){RANDOM_SIZE, keep(fixture, random, sizeof random)};
    header->format = 1;
    header->record_namespace = keep_text(fixture, "js.test/cases");
    header->record_id = keep_text(fixture, statement->record);
    header->revision = statement->revision;
    header->operation = statement->operation ? statement->operation : CASEBUS__V1__OPERATION__OPERATION_PUT;
    header->kind = statement->kind ? statement->kind : CASEBUS__V1__KIND__KIND_STEP;
    header->case_number = keep_text(fixture, statement->number);
    header->occurred_at_us = statement->at_us ? statement->at_us : NOON_US;
    header->precision = statement->is_date ? CASEBUS__V1__PRECISION__PRECISION_DATE
                                           : CASEBUS__V1__PRECISION__PRECISION_INSTANT;
    header->backfill = statement->backfill;
    header->handler = keep_text(fixture, statement->handler);
    header->item = keep_text(fixture, statement->item);
    header->area = keep_text(fixture, statement->area);
    if (statement->alias) {
        char *alias = keep_text(fixture, statement->alias);
        header->n_case_alias = 1;
        header->case_alias = keep(fixture, &alias, sizeof alias);
    }
    set_fields(fixture, statement, header);
    add_commitments(fixture, header);
    return header;
}

void fixture_event(struct fixture *fixture, const struct statement *statement, struct exchange_event *event)
{
    Casebus__V1__EventHeader *header = make_header(fixture, statement);
    struct bytes packed = codec_pack(header, &fixture->arena);
    assert_non_null(packed.data);
    uint8_t none[DIGEST_SIZE] = {0}, digest[DIGEST_SIZE];
    assert_int_equal(exchange_event_init(event, fixture->crypter, fixture->key, header, packed, none,
                                         &fixture->arena, &fixture->err),
                     0);
    struct bytes parts[] = {bytes_of(event->header_digest, sizeof event->header_digest),
                            bytes_of_text(statement->text ? statement->text : "")};
    crypter_hash(fixture->crypter, parts, 2, digest);
    memcpy(event->content_digest, digest, DIGEST_SIZE);
}

void fixture_apply(struct fixture *fixture, const char *node, const struct exchange_event *event)
{
    const struct exchange_decision *decision = &fixture->decision;
    Casebus__V1__EventEntry entry = CASEBUS__V1__EVENT_ENTRY__INIT;
    Casebus__V1__Receiver receivers[DECIDED_MAX], *pointers[DECIDED_MAX];
    for (size_t i = 0; i < decision->n_receivers; i++) {
        casebus__v1__receiver__init(&receivers[i]);
        receivers[i].node = (char *)(uintptr_t)decision->receivers[i].node;
        receivers[i].part_mask = decision->receivers[i].part_mask;
        receivers[i].questions = decision->receivers[i].questions;
        receivers[i].retracts = decision->receivers[i].retracts;
        pointers[i] = &receivers[i];
    }
    entry.node = (char *)(uintptr_t)node;
    entry.case_id = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)decision->case_id};
    entry.n_receiver = decision->n_receivers;
    entry.replaces = decision->replaces;
    entry.receiver = pointers;
    uint64_t slot = decision->slot ? decision->slot : fixture->next_slot++;
    assert_int_equal(exchange_apply_event(&fixture->store, fixture->position, fixture->hub_time_us, &entry,
                                          event, slot, &fixture->err),
                     0);
    fixture->position++;
}

enum exchange_verdict fixture_give(struct fixture *fixture, const char *node,
                                   const struct exchange_event *event)
{
    struct exchange_moment moment = {.hub_time_us = fixture->hub_time_us};
    put_u64be(moment.fresh_case_id, fixture->next_case_id++);
    assert_int_equal(exchange_decide(&fixture->store,
                                     &(struct exchange_parties){fixture->nodes, fixture->n_nodes,
                                                                fixture->rights, &fixture->memo},
                                     node, event, &moment, &fixture->decision, &fixture->err),
                     0);
    if (fixture->decision.verdict == VERDICT_ACCEPTED)
        fixture_apply(fixture, node, event);
    return fixture->decision.verdict;
}

enum exchange_verdict fixture_publish(struct fixture *fixture, const char *node,
                                      const struct statement *statement)
{
    struct exchange_event event;
    fixture_event(fixture, statement, &event);
    return fixture_give(fixture, node, &event);
}

void fixture_number_key(struct fixture *fixture, const char *number, uint8_t key[TEXT_KEY_SIZE])
{
    case_number_key(fixture->crypter, fixture->key, number, key);
}

bool fixture_case(struct fixture *fixture, const char *number, struct case_row *row,
                  struct case_record *records)
{
    struct bytes id, value;
    uint8_t key[TEXT_KEY_SIZE];
    const struct exchange_store *store = &fixture->store;
    fixture_number_key(fixture, number, key);
    if (store->get(store->self, TABLE_CASE_NUMBERS, bytes_of(key, sizeof key), &id, NULL) != 1)
        return false;
    assert_int_equal(store->get(store->self, TABLE_CASES, id, &value, NULL), 1);
    assert_int_equal(case_row_decode(value, row, records, CASE_RECORDS_MAX, &fixture->err), 0);
    return true;
}

struct dumping {
    struct fixture *fixture;
    struct buffer *out;
    struct case_record *records;
};

static int dump_case(void *self, struct bytes number_key, struct bytes id)
{
    struct dumping *dumping = self;
    struct case_row row;
    struct bytes value;
    char number[2 * TEXT_KEY_SIZE + 1], aliases[CASE_ALIASES_MAX][2 * TEXT_KEY_SIZE + 1];
    const struct exchange_store *store = &dumping->fixture->store;
    assert_int_equal(store->get(store->self, TABLE_CASES, id, &value, NULL), 1);
    assert_int_equal(case_row_decode(value, &row, dumping->records, CASE_RECORDS_MAX, NULL), 0);
    struct case_told told = {.number = hex_encode(number, number_key.data, number_key.size),
                             .records = dumping->records,
                             .n_records = row.n_records,
                             .n_aliases = row.n_aliases};
    for (size_t i = 0; i < row.n_aliases; i++)
        told.aliases[i] = hex_encode(aliases[i], row.aliases[i].key, TEXT_KEY_SIZE);
    assert_int_equal(case_dump(dumping->out, &told, &dumping->fixture->err), 0);
    return 0;
}

void fixture_dump(struct fixture *fixture, struct buffer *out)
{
    struct dumping dumping = {fixture, out, malloc(CASE_RECORDS_MAX * sizeof(struct case_record))};
    assert_non_null(dumping.records);
    assert_int_equal(store_memory_walk(fixture->memory, TABLE_CASE_NUMBERS, dump_case, &dumping), 0);
    free(dumping.records);
}

static int dump_row(void *self, struct bytes key, struct bytes value)
{
    uint8_t sizes[8];
    put_u32le(sizes, (uint32_t)key.size);
    put_u32le(sizes + 4, (uint32_t)value.size);
    assert_true(buffer_append(self, sizes, sizeof sizes));
    assert_true(buffer_append(self, key.data, key.size));
    assert_true(buffer_append(self, value.data, value.size));
    return 0;
}

void fixture_dump_table(struct fixture *fixture, enum exchange_table table, struct buffer *out)
{
    assert_int_equal(store_memory_walk(fixture->memory, table, dump_row, out), 0);
}
