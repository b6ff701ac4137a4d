#include "proto/codec/sample.h"

#include <assert.h>

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static void sample_header(struct sample *sample)
{
    Casebus__V1__EventHeader *header = &sample->header;

    header->format = 1;
    header->random = (ProtobufCBinaryData){RANDOM_SIZE, sample->random};
    header->record_namespace = text("js.scjgj/cases");
    header->record_id = text("0b7c6a52-5d1e-4d7e-9a55-6a1f3d0c9b21");
    header->revision = 3;
    header->operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header->kind = CASEBUS__V1__KIND__KIND_ACCEPT;
    header->case_number = text("11320000MB1234567X20240613000");
    header->case_alias = sample->aliases;
    header->n_case_alias = 2;
    header->item = text("11320000MB1234567X2000131001000");
    header->area = text("320100");
    header->channel = CASEBUS__V1__CHANNEL__CHANNEL_WEB;
    header->real_name = CASEBUS__V1__REAL_NAME__REAL_NAME_ADVANCED;
    header->truth_commitment = 1;
    header->occurred_at_us = INT64_C(1718245200000000);
    header->precision = CASEBUS__V1__PRECISION__PRECISION_INSTANT;
    header->source_code = text("T10");
    header->handler = text("窗口三组");
    header->department = text("js.scjgj");
    header->material = sample->materials;
    header->n_material = 1;
    header->commitment = sample->commitments;
    header->n_commitment = SAMPLE_PARTS;
    header->fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_ACCEPT;
    header->accept = &sample->accept;
}

void sample_init(struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    arena_init(&sample->arena, 64 * 1024, 64 * 1024 * 1024);
    sample->crypter = crypter_new(suite_get(SUITE_INTL));
    assert(sample->crypter);
    casebus__v1__limit__init(&sample->committed);
    sample->committed.amount = 20;
    sample->committed.unit = text("WD");
    casebus__v1__accept_fields__init(&sample->accept);
    sample->accept.document_number = text("苏市监受〔2024〕17号");
    sample->accept.committed = &sample->committed;
    casebus__v1__material_reference__init(&sample->material);
    sample->material.type = text("M-LICENCE");
    sample->material.salted_digest = (ProtobufCBinaryData){DIGEST_SIZE, sample->salted_digest};
    sample->materials[0] = &sample->material;
    sample->aliases[0] = text("2024-0613-17");
    sample->aliases[1] = text("A17");
    memset(sample->salted_digest, 0x5A, DIGEST_SIZE);

    static const char *const contents[SAMPLE_PARTS] = {"\x0a\x06张三", "\x0a\x0b"
                                                                       "13900000000"};
    for (size_t i = 0; i < SAMPLE_PARTS; i++) {
        struct bytes content = bytes_of_text(contents[i]);
        casebus__v1__part__init(&sample->part[i]);
        sample->part[i].salt = (ProtobufCBinaryData){SALT_SIZE, sample->salts[i]};
        sample->part[i].content = (ProtobufCBinaryData){content.size, (uint8_t *)text(contents[i])};
        sample->parts[i] = &sample->part[i];
        casebus__v1__part_commitment__init(&sample->commitment[i]);
        sample->commitment[i].kind = (Casebus__V1__PartKind)(i + 1);
        sample->commitment[i].mac = (ProtobufCBinaryData){DIGEST_SIZE, sample->macs[i]};
        sample->commitment[i].size = (uint32_t)content.size;
        sample->commitments[i] = &sample->commitment[i];
    }
    casebus__v1__event_header__init(&sample->header);
    sample_header(sample);
    casebus__v1__event__init(&sample->event);
    sample->event.part = sample->parts;
    sample->event.n_part = SAMPLE_PARTS;
    sample_salt(sample, 1);
}

void sample_deinit(struct sample *sample)
{
    crypter_free(sample->crypter);
    arena_deinit(&sample->arena);
}

void sample_salt(struct sample *sample, uint8_t seed)
{
    memset(sample->random, seed, RANDOM_SIZE);
    for (size_t i = 0; i < SAMPLE_PARTS; i++) {
        memset(sample->salts[i], seed + 1 + (int)i, SALT_SIZE);
        part_commitment(sample->crypter, sample->salts[i],
                        bytes_of(sample->part[i].content.data, sample->part[i].content.len), sample->macs[i]);
    }
}

struct bytes sample_pack(struct sample *sample)
{
    struct bytes header = codec_pack(&sample->header, &sample->arena);

    assert(header.data);
    sample->event.header = (ProtobufCBinaryData){header.size, (uint8_t *)(uintptr_t)header.data};
    return header;
}

struct bytes sample_frame(struct sample *sample, size_t n)
{
    static uint8_t statement[100];
    static uint8_t signature[SIGNATURE_SIZE];
    Casebus__V1__Event *events[BATCH_MAX_EVENTS];
    Casebus__V1__Batch batch = CASEBUS__V1__BATCH__INIT;
    Casebus__V1__Publish publish = CASEBUS__V1__PUBLISH__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;

    sample_pack(sample);
    for (size_t i = 0; i < n; i++)
        events[i] = &sample->event;
    batch.statement = (ProtobufCBinaryData){sizeof statement, statement};
    batch.signature = (ProtobufCBinaryData){sizeof signature, signature};
    batch.event = events;
    batch.n_event = n;
    publish.batch = &batch;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    frame.traceparent = text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    return codec_pack(&frame, &sample->arena);
}
