/* The form of headers, and what the digests of an event depend on. */
#include "proto/codec/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct sample sample;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    sample_init(&f->sample);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sample_deinit(&f->sample);
    free(f);
    return 0;
}

static Casebus__V1__EventHeader *decode(struct fixture *f)
{
    return event_header_decode(sample_pack(&f->sample), &f->sample.arena, &f->err);
}

static char *text(struct fixture *f, size_t size)
{
    char *out = arena_alloc(&f->sample.arena, size + 1);

    assert_non_null(out);
    memset(out, 'x', size);
    out[size] = '\0';
    return out;
}

static void test_header_decodes(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__EventHeader *header = decode(f);

    assert_non_null(header);
    assert_string_equal(header->case_number, f->sample.header.case_number);
    assert_int_equal(header->n_commitment, SAMPLE_PARTS);
    assert_int_equal(header->accept->committed->amount, 20);
}

static void test_header_names_the_field_that_is_missing(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__EventHeader good = f->sample.header;
    Casebus__V1__EventHeader *header = &f->sample.header;

#define MISSING(change, words)                                                                               \
    do {                                                                                                     \
        *header = good;                                                                                      \
        header->change;                                                                                      \
        assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, words " is missing");                       \
    } while (0)
    MISSING(random.len = 0, "EventHeader.random");
    MISSING(format = 0, "EventHeader.format");
    MISSING(record_namespace = text(f, 0), "EventHeader.record_namespace");
    MISSING(record_id = text(f, 0), "EventHeader.record_id");
    MISSING(operation = 0, "EventHeader.operation");
    MISSING(kind = 0, "EventHeader.kind");
    MISSING(case_number = text(f, 0), "EventHeader.case_number");
    MISSING(precision = 0, "EventHeader.precision");
    f->sample.commitment[1].kind = 0;
    MISSING(format = 1, "PartCommitment.kind");
    f->sample.commitment[1].kind = 1;
    f->sample.commitment[1].mac.len = 0;
    MISSING(format = 1, "PartCommitment.mac");
    f->sample.commitment[1].mac.len = DIGEST_SIZE;
    f->sample.material.type = text(f, 0);
    MISSING(format = 1, "MaterialReference.type");
#undef MISSING
}

static void test_header_texts_are_bounded(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__EventHeader good = f->sample.header;
    Casebus__V1__EventHeader *header = &f->sample.header;

#define BOUND(field, max)                                                                                    \
    do {                                                                                                     \
        *header = good;                                                                                      \
        header->field = text(f, max);                                                                        \
        assert_non_null(decode(f));                                                                          \
        header->field = text(f, max + 1);                                                                    \
        assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader." #field);                         \
    } while (0)
    BOUND(record_namespace, 64);
    BOUND(record_id, 128);
    BOUND(case_number, 64);
    BOUND(item, 64);
    BOUND(source_code, 128);
    BOUND(handler, 64);
    BOUND(department, 64);
#undef BOUND
    *header = good;
    f->sample.aliases[1] = text(f, 65);
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader.case_alias");
}

static void test_header_counts_are_bounded(void **state)
{
    struct fixture *f = *state;
    char *aliases[ALIASES_MAX + 1];
    Casebus__V1__MaterialReference *materials[MATERIALS_MAX + 1];
    Casebus__V1__PartCommitment *commitments[PARTS_MAX + 1];

    for (size_t i = 0; i <= ALIASES_MAX; i++)
        aliases[i] = text(f, 1);
    for (size_t i = 0; i <= MATERIALS_MAX; i++)
        materials[i] = &f->sample.material;
    for (size_t i = 0; i <= PARTS_MAX; i++)
        commitments[i] = &f->sample.commitment[0];
    f->sample.header.case_alias = aliases;
    f->sample.header.n_case_alias = ALIASES_MAX;
    f->sample.header.material = materials;
    f->sample.header.n_material = MATERIALS_MAX;
    f->sample.header.commitment = commitments;
    f->sample.header.n_commitment = PARTS_MAX;
    assert_non_null(decode(f));
    f->sample.header.n_case_alias++;
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader.case_alias has 9 values");
    f->sample.header.n_case_alias--;
    f->sample.header.n_commitment++;
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader.commitment has 9 values");
    f->sample.header.n_commitment--;
    f->sample.header.n_material++;
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader.material has 17 values");
}

static void test_header_over_1536_bytes_is_refused(void **state)
{
    struct fixture *f = *state;
    char *missing[8];
    Casebus__V1__SupplementNoticeFields notice = CASEBUS__V1__SUPPLEMENT_NOTICE_FIELDS__INIT;

    for (size_t i = 0; i < 8; i++)
        missing[i] = text(f, 128);
    notice.missing = missing;
    notice.n_missing = 8;
    f->sample.header.kind = CASEBUS__V1__KIND__KIND_SUPPLEMENT_NOTICE;
    f->sample.header.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_SUPPLEMENT_NOTICE;
    f->sample.header.supplement_notice = &notice;
    size_t size = sample_pack(&f->sample).size;
    missing[7] = text(f, 128 + HEADER_MAX - size);
    assert_int_equal(sample_pack(&f->sample).size, HEADER_MAX);
    assert_non_null(decode(f));
    missing[7] = text(f, 128 + HEADER_MAX - size + 1);
    assert_refused(decode(f), f->err, CASEBUS_TOO_LARGE, "EventHeader has 1537 bytes; at most 1536");
}

static void test_header_values_are_those_of_the_schema(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__EventHeader good = f->sample.header;
    Casebus__V1__EventHeader *header = &f->sample.header;

#define WRONG(change, want, words)                                                                           \
    do {                                                                                                     \
        *header = good;                                                                                      \
        header->change;                                                                                      \
        assert_refused(decode(f), f->err, want, words);                                                      \
    } while (0)
    WRONG(format = 2, CASEBUS_BAD_VERSION, "EventHeader.format is 2");
    WRONG(random.len = 31, CASEBUS_BAD_FIELD, "EventHeader.random has 31 bytes instead of 32");
    WRONG(kind = 25, CASEBUS_BAD_FIELD, "EventHeader.kind has the value 25");
    WRONG(operation = 4, CASEBUS_BAD_FIELD, "EventHeader.operation");
    WRONG(precision = -1, CASEBUS_BAD_FIELD, "EventHeader.precision");
    WRONG(channel = 5, CASEBUS_BAD_FIELD, "EventHeader.channel");
    WRONG(real_name = 4, CASEBUS_BAD_FIELD, "EventHeader.real_name");
    WRONG(area = text(f, 6), CASEBUS_BAD_FIELD, "EventHeader.area");
    WRONG(kind = CASEBUS__V1__KIND__KIND_APPLY, CASEBUS_BAD_FIELD, "fields of another kind than 'apply'");
    WRONG(occurred_at_us = INT64_C(253402300800000000), CASEBUS_BAD_FIELD, "EventHeader.occurred_at_us");
    WRONG(occurred_at_us = INT64_C(-2208988800000001), CASEBUS_BAD_FIELD, "between 1900 and 9999");
    f->sample.committed.unit = text(f, 1);
    WRONG(format = 1, CASEBUS_BAD_FIELD, "AcceptFields.committed");
    assert_non_null(strstr(f->err.hint, "WD"));
#undef WRONG
}

static void test_header_takes_what_need_not_be_said(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__EventHeader *header = &f->sample.header;

    header->channel = 0;
    header->real_name = 0;
    header->area = text(f, 0);
    header->item = text(f, 0);
    header->occurred_at_us = 0;
    header->fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET;
    header->n_commitment = 0;
    header->n_material = 0;
    header->n_case_alias = 0;
    assert_non_null(decode(f));
}

static void test_event_of_kind_other_keeps_the_source_code(void **state)
{
    struct fixture *f = *state;

    f->sample.header.kind = CASEBUS__V1__KIND__KIND_OTHER;
    f->sample.header.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET;
    assert_non_null(decode(f));
    f->sample.header.source_code = text(f, 0);
    assert_refused(decode(f), f->err, CASEBUS_MISSING_FIELD, "EventHeader.source_code is missing");
}

static void test_parts_match_their_commitments(void **state)
{
    struct fixture *f = *state;
    struct sample *s = &f->sample;
    Casebus__V1__EventHeader *header = decode(f);
    uint8_t other[] = "other bytes of another size";

    assert_non_null(header);
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), 0);

    s->event.n_part = 1;
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_COMMITMENT);
    s->event.n_part = SAMPLE_PARTS;

    s->salts[1][31] ^= 1;
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    assert_string_equal(f->err.text, "part 1 is not the one that the header commits to");
    s->salts[1][31] ^= 1;

    s->part[0].salt.len = 31;
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_BAD_FIELD);
    s->part[0].salt.len = SALT_SIZE;

    s->part[0].content = (ProtobufCBinaryData){sizeof other, other};
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_COMMITMENT);
    s->part[0].content.len = header->commitment[0]->size;
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    s->part[0].content.len = PART_MAX + 1;
    assert_int_equal(event_parts_check(s->crypter, header, &s->event, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_TOO_LARGE);
}

/* The digest by which the hub tells a resent record. */
static void content_digest(struct fixture *f, uint8_t digest[DIGEST_SIZE])
{
    static const uint8_t key[KEY_SIZE] = {7};
    uint8_t header_digest[DIGEST_SIZE];
    struct bytes bytes = sample_pack(&f->sample);
    Casebus__V1__EventHeader *header = event_header_decode(bytes, &f->sample.arena, &f->err);

    assert_non_null(header);
    assert_int_equal(event_parts_check(f->sample.crypter, header, &f->sample.event, &f->err), 0);
    assert_int_equal(event_header_digest(f->sample.crypter, bytes, header_digest, &f->err), 0);
    event_content_digest(f->sample.crypter, key, header_digest, header, &f->sample.event, digest);
}

static void test_resent_record_has_the_same_content_digest(void **state)
{
    struct fixture *f = *state;
    uint8_t first[DIGEST_SIZE], again[DIGEST_SIZE], first_hash[DIGEST_SIZE], again_hash[DIGEST_SIZE];

    content_digest(f, first);
    event_hash(f->sample.crypter, sample_pack(&f->sample), first_hash);
    sample_salt(&f->sample, 100);
    content_digest(f, again);
    event_hash(f->sample.crypter, sample_pack(&f->sample), again_hash);
    assert_memory_equal(first, again, DIGEST_SIZE);
    assert_memory_not_equal(first_hash, again_hash, DIGEST_SIZE);
}

static void test_any_change_of_content_changes_the_digest(void **state)
{
    struct fixture *f = *state;
    struct sample *s = &f->sample;
    uint8_t digests[16][DIGEST_SIZE];
    size_t n = 0;
    uint8_t other[] = "\x0a\x0b"
                      "13900000001";

    content_digest(f, digests[n++]);
    s->header.record_id = text(f, 10);
    content_digest(f, digests[n++]);
    s->header.revision++;
    content_digest(f, digests[n++]);
    s->header.backfill = 1;
    content_digest(f, digests[n++]);
    s->committed.amount++;
    content_digest(f, digests[n++]);
    s->commitment[0].kind = CASEBUS__V1__PART_KIND__PART_KIND_OTHER;
    content_digest(f, digests[n++]);
    s->part[1].content.data = other;
    sample_salt(s, 1);
    content_digest(f, digests[n++]);
    s->header.n_commitment = s->event.n_part = 1;
    content_digest(f, digests[n++]);
    s->header.n_commitment = s->event.n_part = 0;
    content_digest(f, digests[n++]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            assert_memory_not_equal(digests[i], digests[j], DIGEST_SIZE);
}

static void test_part_cut_elsewhere_changes_the_digest(void **state)
{
    struct fixture *f = *state;
    struct sample *s = &f->sample;
    uint8_t joined[] = "abcdef";
    uint8_t one[DIGEST_SIZE], two[DIGEST_SIZE];

    for (size_t i = 0; i < 2; i++) {
        s->commitment[i].kind = CASEBUS__V1__PART_KIND__PART_KIND_OTHER;
        s->commitment[i].size = 3;
        s->part[i].content = (ProtobufCBinaryData){3, joined + 3 * i};
    }
    sample_salt(s, 1);
    content_digest(f, one);
    s->part[0].content.len = s->commitment[0].size = 2;
    s->part[1].content = (ProtobufCBinaryData){4, joined + 2};
    s->commitment[1].size = 4;
    sample_salt(s, 1);
    content_digest(f, two);
    assert_memory_not_equal(one, two, DIGEST_SIZE);
}

static void test_digest_of_a_broken_header_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    uint8_t bomb[200];

    for (size_t i = 0; i < sizeof bomb; i += 2) {
        bomb[i] = 0x0A;
        bomb[i + 1] = 0;
    }
    assert_int_equal(event_header_digest(f->sample.crypter, bytes_of(bomb, sizeof bomb), digest, &f->err),
                     -1);
    assert_int_equal(f->err.code, CASEBUS_MALFORMED);
    assert_int_equal(event_header_digest(f->sample.crypter, bytes_of("\x0a", 1), digest, &f->err), -1);
    assert_int_equal(event_header_digest(f->sample.crypter, bytes_of(NULL, 0), digest, &f->err), 0);
}

/* Names are the schema's values in lower case without the prefix, and there is one for each. */
static void names_agree(const ProtobufCEnumDescriptor *descriptor, const char *prefix,
                        const char *(*name_of)(int), int (*parse)(const char *))
{
    assert_null(name_of(0));
    assert_int_equal(parse("nonsense"), 0);
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        char expected[64] = "";
        const char *value = descriptor->values[i].name;
        if (descriptor->values[i].value == 0)
            continue;
        assert_memory_equal(value, prefix, strlen(prefix));
        for (size_t j = strlen(prefix); value[j]; j++)
            expected[j - strlen(prefix)] = (char)(value[j] == '_' ? '_' : value[j] | 0x20);
        assert_string_equal(name_of(descriptor->values[i].value), expected);
        assert_int_equal(parse(expected), descriptor->values[i].value);
    }
}

#define AS_INT(type, name)                                                                                   \
    static const char *name##_name_int(int value)                                                            \
    {                                                                                                        \
        return name##_name((type)value);                                                                     \
    }                                                                                                        \
    static int name##_parse_int(const char *text)                                                            \
    {                                                                                                        \
        return (int)name##_parse(text);                                                                      \
    }
AS_INT(Casebus__V1__Kind, kind)
AS_INT(Casebus__V1__Operation, operation)
AS_INT(Casebus__V1__Channel, channel)
AS_INT(Casebus__V1__RealName, real_name)
AS_INT(Casebus__V1__PartKind, part_kind)
AS_INT(Casebus__V1__Question, question)

static void test_names_are_those_of_the_schema(void **state)
{
    (void)state;
    names_agree(&casebus__v1__kind__descriptor, "KIND_", kind_name_int, kind_parse_int);
    names_agree(&casebus__v1__operation__descriptor, "OPERATION_", operation_name_int, operation_parse_int);
    names_agree(&casebus__v1__channel__descriptor, "CHANNEL_", channel_name_int, channel_parse_int);
    names_agree(&casebus__v1__real_name__descriptor, "REAL_NAME_", real_name_name_int, real_name_parse_int);
    names_agree(&casebus__v1__part_kind__descriptor, "PART_KIND_", part_kind_name_int, part_kind_parse_int);
    names_agree(&casebus__v1__question__descriptor, "QUESTION_", question_name_int, question_parse_int);
    for (unsigned i = 1; i < casebus__v1__kind__descriptor.n_values; i++)
        assert_non_null(kind_title((Casebus__V1__Kind)casebus__v1__kind__descriptor.values[i].value));
    assert_null(kind_title(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_header_decodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_names_the_field_that_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_texts_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_counts_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_over_1536_bytes_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_values_are_those_of_the_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_takes_what_need_not_be_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_of_kind_other_keeps_the_source_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_match_their_commitments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resent_record_has_the_same_content_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_change_of_content_changes_the_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_cut_elsewhere_changes_the_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digest_of_a_broken_header_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_are_those_of_the_schema, setup, teardown),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
