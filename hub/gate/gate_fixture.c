#include "hub/gate/gate_fixture.h"

#include "proto/codec/event.h"
#include "proto/codec/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static ProtobufCBinaryData data_of(const void *data, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
}

static ProtobufCBinaryData data_of_bytes(struct bytes bytes)
{
    return data_of(bytes.data, bytes.size);
}

static struct bytes pack(struct gate_fixture *fixture, const void *message)
{
    struct bytes packed = codec_pack(message, &fixture->arena);
    assert_non_null(packed.data);
    return packed;
}

/* ---- nodes ---- */

static void issue_certificate(struct gate_fixture *fixture, struct test_node *node)
{
    size_t size;
    assert_int_equal(certificate_issue(fixture->authority_key, fixture->authority, &node->info,
                                       node->certificate, &size, &fixture->err),
                     0);
    node->enrolled.certificate = data_of(node->certificate, size);
}

void test_node_init(struct gate_fixture *fixture, struct test_node *node, const char *name)
{
    *node = (struct test_node){.name = name};
    assert_int_equal(signing_key_generate(&node->key, suite_get(SUITE_INTL), &fixture->err), 0);
    node->info.key = *signing_key_public(node->key);
    node->info.not_before = TEST_NOW_S - 1000;
    node->info.not_after = TEST_NOW_S + 1000;
    snprintf(node->info.node, sizeof node->info.node, "%s", name);
    snprintf(node->info.department, sizeof node->info.department, "%s", "js.scjgj");
    snprintf(node->info.area, sizeof node->info.area, "%s", "320100");
    snprintf(node->info.origin, sizeof node->info.origin, "%s", TEST_ORIGIN);
    random_bytes(node->info.curve_key, CURVE_KEY_SIZE);
    casebus__v1__node_enrolled__init(&node->enrolled);
    issue_certificate(fixture, node);

    Casebus__V1__EnrolmentStatement *statement = &node->statement;
    casebus__v1__enrolment_statement__init(statement);
    statement->context = (char *)(uintptr_t)ENROLMENT_CONTEXT;
    statement->suite = CASEBUS__V1__SUITE__SUITE_INTL;
    statement->origin = (char *)(uintptr_t)TEST_ORIGIN;
    statement->node = node->info.node;
    statement->department = node->info.department;
    statement->area = node->info.area;
    statement->public_key = data_of(node->info.key.bytes, node->info.key.size);
    statement->curve_key = data_of(node->info.curve_key, CURVE_KEY_SIZE);

    casebus__v1__grants__init(&node->grants);
    node->grants.publish = true;
    node->grants.receive_part_kind = node->part_kinds;
    node->enrolled.grants = &node->grants;
}

void test_node_deinit(struct test_node *node)
{
    signing_key_free(node->key);
}

struct bytes enrolment_pack(struct gate_fixture *fixture, struct test_node *node)
{
    struct bytes statement = pack(fixture, &node->statement);
    assert_int_equal(signing_key_sign(node->key, statement, node->signature, NULL), 0);
    node->enrolled.statement = data_of_bytes(statement);
    node->enrolled.signature = data_of(node->signature, SIGNATURE_SIZE);
    return pack(fixture, &node->enrolled);
}

struct registry_fact fact_pack(struct gate_fixture *fixture, struct test_node *node)
{
    return (struct registry_fact){enrolment_pack(fixture, node),
                                  CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
}

/* ---- the hub ---- */

void gate_fixture_init(struct gate_fixture *fixture)
{
    const struct suite *suite = suite_get(SUITE_INTL);
    size_t size;
    memset(fixture, 0, sizeof *fixture);
    arena_init(&fixture->arena, 1 << 20, SIZE_MAX);
    fixture->crypter = crypter_new(suite);
    assert_non_null(fixture->crypter);
    assert_int_equal(signing_key_generate(&fixture->authority_key, suite, &fixture->err), 0);
    assert_int_equal(authority_make(fixture->authority_key, TEST_ORIGIN, 3650, TEST_NOW_S - 5000,
                                    fixture->authority_der, &size, &fixture->err),
                     0);
    fixture->authority = bytes_of(fixture->authority_der, size);
    fixture->authorities = (struct authorities){&fixture->authority, 1};
    test_node_init(fixture, &fixture->desk, "desk");
    test_node_init(fixture, &fixture->office, "office");
    fixture->office.grants.publish = false;
    fixture->office.grants.receive_all = true;
    fixture->office.part_kinds[0] = CASEBUS__V1__PART_KIND__PART_KIND_FORM;
    fixture->office.grants.n_receive_part_kind = 1;
    struct registry_fact enrolled[] = {fact_pack(fixture, &fixture->office),
                                       fact_pack(fixture, &fixture->desk)};
    assert_int_equal(registry_build(&fixture->registry, enrolled, 2, &fixture->authorities, &fixture->err),
                     0);
    fixture->gate = gate_new(suite, TEST_ORIGIN, fixture->content_key);
    assert_non_null(fixture->gate);
    gate_batch_init(&fixture->out);
}

void gate_fixture_deinit(struct gate_fixture *fixture)
{
    gate_batch_deinit(&fixture->out);
    gate_free(fixture->gate);
    registry_unref(fixture->registry);
    test_node_deinit(&fixture->desk);
    test_node_deinit(&fixture->office);
    signing_key_free(fixture->authority_key);
    crypter_free(fixture->crypter);
    arena_deinit(&fixture->arena);
}

/* ---- batches ---- */

void event_commit(struct gate_fixture *fixture, struct test_event *event)
{
    for (size_t i = 0; i < event->wire.n_part; i++) {
        const Casebus__V1__Part *part = &event->parts[i];
        part_commitment(fixture->crypter, event->salts[i], bytes_of(part->content.data, part->content.len),
                        event->macs[i]);
        event->commitments[i].size = (uint32_t)part->content.len;
    }
    event->wire.header = data_of_bytes(pack(fixture, &event->header));
}

static void add_part(struct gate_fixture *fixture, struct test_event *event, Casebus__V1__PartKind kind,
                     size_t size)
{
    size_t i = event->wire.n_part++;
    uint8_t *content = arena_alloc(&fixture->arena, size + 1);
    assert_non_null(content);
    memset(content, 'x', size);
    casebus__v1__part_commitment__init(&event->commitments[i]);
    event->commitments[i].kind = kind;
    event->commitments[i].mac = data_of(event->macs[i], DIGEST_SIZE);
    event->commitment_list[i] = &event->commitments[i];
    random_bytes(event->salts[i], SALT_SIZE);
    casebus__v1__part__init(&event->parts[i]);
    event->parts[i].salt = data_of(event->salts[i], SALT_SIZE);
    event->parts[i].content = data_of(content, size);
    event->part_list[i] = &event->parts[i];
    event->header.n_commitment = i + 1;
}

static void event_make(struct gate_fixture *fixture, struct test_event *event, size_t number,
                       size_t part_size)
{
    Casebus__V1__EventHeader *header = &event->header;
    casebus__v1__event_header__init(header);
    casebus__v1__event__init(&event->wire);
    random_bytes(event->random, RANDOM_SIZE);
    snprintf(event->record_id, sizeof event->record_id, "row-%zu", number);
    header->random = data_of(event->random, RANDOM_SIZE);
    header->format = 1;
    header->record_namespace = (char *)(uintptr_t) "js.scjgj/cases";
    header->record_id = event->record_id;
    header->operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header->kind = CASEBUS__V1__KIND__KIND_STEP;
    header->case_number = (char *)(uintptr_t) "11320000T123456789100000000000000020231114";
    header->area = (char *)(uintptr_t) "320100";
    header->occurred_at_us = TEST_NOW_S * 1000000;
    header->precision = CASEBUS__V1__PRECISION__PRECISION_INSTANT;
    header->commitment = event->commitment_list;
    event->wire.part = event->part_list;
    add_part(fixture, event, CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY, part_size / 2);
    add_part(fixture, event, CASEBUS__V1__PART_KIND__PART_KIND_FORM, part_size - part_size / 2);
    event_commit(fixture, event);
}

struct test_batch *batch_make(struct gate_fixture *fixture, size_t n, size_t part_size)
{
    struct test_batch *batch = arena_alloc(&fixture->arena, sizeof *batch);
    assert_non_null(batch);
    memset(batch, 0, sizeof *batch);
    batch->n = n;
    batch->events = arena_alloc(&fixture->arena, (n + 1) * sizeof *batch->events);
    batch->event_list = arena_alloc(&fixture->arena, (n + 1) * sizeof(void *));
    assert_true(batch->events && batch->event_list);
    memset(batch->events, 0, (n + 1) * sizeof *batch->events);
    for (size_t i = 0; i < n; i++) {
        event_make(fixture, &batch->events[i], i, part_size);
        batch->event_list[i] = &batch->events[i].wire;
    }
    Casebus__V1__BatchStatement *statement = &batch->statement;
    casebus__v1__batch_statement__init(statement);
    public_key_id(signing_key_public(fixture->desk.key), batch->key_id);
    statement->context = (char *)(uintptr_t) "casebus/v1/batch";
    statement->suite = CASEBUS__V1__SUITE__SUITE_INTL;
    statement->origin = (char *)(uintptr_t)TEST_ORIGIN;
    statement->node = (char *)(uintptr_t) "desk";
    statement->key_id = data_of(batch->key_id, KEY_ID_SIZE);
    statement->stream = 7;
    statement->first = 1;
    statement->count = (uint32_t)n;
    statement->events_root = data_of(batch->root, DIGEST_SIZE);
    statement->previous = data_of(batch->previous, DIGEST_SIZE);
    casebus__v1__batch__init(&batch->batch);
    batch->batch.n_event = n;
    batch->batch.event = batch->event_list;
    return batch;
}

struct bytes batch_pack(struct gate_fixture *fixture, struct test_batch *batch)
{
    Casebus__V1__Publish publish = CASEBUS__V1__PUBLISH__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    publish.batch = &batch->batch;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    return pack(fixture, &frame);
}

struct bytes batch_sign(struct gate_fixture *fixture, struct test_batch *batch)
{
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE];
    size_t n = batch->n < BATCH_MAX_EVENTS ? batch->n : BATCH_MAX_EVENTS;
    for (size_t i = 0; i < n; i++)
        event_hash(fixture->crypter,
                   bytes_of(batch->event_list[i]->header.data, batch->event_list[i]->header.len), hashes[i]);
    events_root(fixture->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, n, batch->root);
    struct bytes statement = pack(fixture, &batch->statement);
    assert_int_equal(signing_key_sign(fixture->desk.key, statement, batch->signature, NULL), 0);
    batch->batch.statement = data_of_bytes(statement);
    batch->batch.signature = data_of(batch->signature, SIGNATURE_SIZE);
    return batch_pack(fixture, batch);
}

const struct gate_batch *gate_ask(struct gate_fixture *fixture, struct bytes frame)
{
    gate_check(fixture->gate, registry_find(fixture->registry, "desk"), frame, TEST_NOW_S * 1000000,
               &fixture->out);
    return &fixture->out;
}
