/* Events: the form of a header, and the digests that stand for an event.
 *
 * What the schema says about a header is a table of its texts and a few questions; whether the story it tells
 * is likely is not asked here: a department's word counts. */
#include "proto/codec/event.h"

#include "proto/base/texts.h"
#include "proto/codec/check.h"
#include "proto/codec/wire.h"

#include <assert.h>
#include <stddef.h>

#define HEADER_FIELDS 512
#define ID_TEXT_MAX   64
#define KEY_TEXT_MAX  128

#define LABEL(text) bytes_of(text, sizeof text)

struct text_rule {
    const char *what;
    size_t offset; /* of a char * */
    size_t max;
    bool required;
};

#define TEXT(field, max, required)                                                                           \
    {                                                                                                        \
        "EventHeader." #field, offsetof(Casebus__V1__EventHeader, field), max, required                      \
    }

static const struct text_rule header_texts[] = {
    TEXT(record_namespace, ID_TEXT_MAX, true), /* who numbers the records */
    TEXT(record_id, KEY_TEXT_MAX, true),
    TEXT(case_number, ID_TEXT_MAX, true),
    TEXT(item, ID_TEXT_MAX, false),
    TEXT(source_code, KEY_TEXT_MAX, false),
    TEXT(handler, ID_TEXT_MAX, false),
    TEXT(department, ID_TEXT_MAX, false),
};

static int texts_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    for (size_t i = 0; i < sizeof header_texts / sizeof header_texts[0]; i++) {
        const struct text_rule *rule = &header_texts[i];
        const char *value = *(char *const *)(const void *)((const char *)header + rule->offset);
        int r = rule->required ? check_text(rule->what, value, rule->max, err)
                               : check_text_max(rule->what, value, rule->max, err);
        if (r)
            return -1;
    }
    return 0;
}

static int area_check_form(const char *area, struct casebus_error *err)
{
    if (!*area || (strlen(area) == 6 && strspn(area, "0123456789") == 6))
        return 0;
    return error_set(err, CASEBUS_BAD_FIELD, _("%s is not a code of six digits (GB/T 2260)"),
                     "EventHeader.area");
}

static int aliases_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    if (check_count("EventHeader.case_alias", header->n_case_alias, ALIASES_MAX, err))
        return -1;
    for (size_t i = 0; i < header->n_case_alias; i++)
        if (check_text("EventHeader.case_alias", header->case_alias[i], ID_TEXT_MAX, err))
            return -1;
    return 0;
}

static int enums_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    if (check_enum("EventHeader.operation", &casebus__v1__operation__descriptor, (int)header->operation,
                   err) ||
        check_enum("EventHeader.kind", &casebus__v1__kind__descriptor, (int)header->kind, err) ||
        check_enum("EventHeader.precision", &casebus__v1__precision__descriptor, (int)header->precision, err))
        return -1;
    if (header->channel &&
        check_enum("EventHeader.channel", &casebus__v1__channel__descriptor, (int)header->channel, err))
        return -1;
    if (header->real_name &&
        check_enum("EventHeader.real_name", &casebus__v1__real_name__descriptor, (int)header->real_name, err))
        return -1;
    return 0;
}

static int materials_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    if (check_count("EventHeader.material", header->n_material, MATERIALS_MAX, err))
        return -1;
    for (size_t i = 0; i < header->n_material; i++) {
        const Casebus__V1__MaterialReference *material = header->material[i];
        if (check_text("MaterialReference.type", material->type, ID_TEXT_MAX, err) ||
            check_size("MaterialReference.salted_digest", material->salted_digest, DIGEST_SIZE, err) ||
            check_text_max("MaterialReference.obtained", material->obtained, ID_TEXT_MAX, err))
            return -1;
    }
    return 0;
}

static int commitments_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    if (check_count("EventHeader.commitment", header->n_commitment, PARTS_MAX, err))
        return -1;
    for (size_t i = 0; i < header->n_commitment; i++) {
        const Casebus__V1__PartCommitment *commitment = header->commitment[i];
        if (check_enum("PartCommitment.kind", &casebus__v1__part_kind__descriptor, (int)commitment->kind,
                       err) ||
            check_size("PartCommitment.mac", commitment->mac, DIGEST_SIZE, err))
            return -1;
        if (commitment->size > PART_MAX)
            return error_set(err, CASEBUS_TOO_LARGE, _("a part of %u bytes; at most %d are allowed"),
                             (unsigned)commitment->size, PART_MAX);
    }
    return 0;
}

static int limit_check(const char *what, const Casebus__V1__Limit *limit, struct casebus_error *err)
{
    if (!limit || strcmp(limit->unit, "WD") == 0 || strcmp(limit->unit, "D") == 0 ||
        strcmp(limit->unit, "M") == 0)
        return 0;
    error_set(err, CASEBUS_BAD_FIELD, _("%s has no unit that the schema knows"), what);
    return error_hint(err, _("units are WD (working days), D (days) and M (months)"));
}

/* Which group of fields goes with a kind; NOT_SET: none. */
static Casebus__V1__EventHeader__FieldsCase fields_of_kind(Casebus__V1__Kind kind)
{
    switch (kind) {
    case CASEBUS__V1__KIND__KIND_APPLY:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_APPLY;
    case CASEBUS__V1__KIND__KIND_RECEIVE:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_RECEIVE;
    case CASEBUS__V1__KIND__KIND_SUPPLEMENT_NOTICE:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_SUPPLEMENT_NOTICE;
    case CASEBUS__V1__KIND__KIND_ACCEPT:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_ACCEPT;
    case CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_REFUSE_ACCEPT;
    case CASEBUS__V1__KIND__KIND_STEP:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_STEP;
    case CASEBUS__V1__KIND__KIND_SPECIAL_BEGIN:
    case CASEBUS__V1__KIND__KIND_SPECIAL_END:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_SPECIAL;
    case CASEBUS__V1__KIND__KIND_EXTEND:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_EXTEND;
    case CASEBUS__V1__KIND__KIND_DECIDE:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_DECIDE;
    case CASEBUS__V1__KIND__KIND_FINISH:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH;
    case CASEBUS__V1__KIND__KIND_DELIVER:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_DELIVER;
    case CASEBUS__V1__KIND__KIND_RATE:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_RATE;
    case CASEBUS__V1__KIND__KIND_MATTER_RAISED:
    case CASEBUS__V1__KIND__KIND_MATTER_CLASSIFIED:
    case CASEBUS__V1__KIND__KIND_MATTER_ASSIGNED:
    case CASEBUS__V1__KIND__KIND_MATTER_MEETING:
    case CASEBUS__V1__KIND__KIND_MATTER_ANSWERED:
    case CASEBUS__V1__KIND__KIND_MATTER_CHECKED:
    case CASEBUS__V1__KIND__KIND_MATTER_CLOSED:
        return CASEBUS__V1__EVENT_HEADER__FIELDS_MATTER;
    default:
        return CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET;
    }
}

static int fields_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    switch (header->fields_case) {
    case CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET:
        return 0;
    case CASEBUS__V1__EVENT_HEADER__FIELDS_SUPPLEMENT_NOTICE:
        return check_time("SupplementNoticeFields.answer_until_us",
                          header->supplement_notice->answer_until_us, err);
    case CASEBUS__V1__EVENT_HEADER__FIELDS_ACCEPT:
        if (limit_check("AcceptFields.committed", header->accept->committed, err))
            return -1;
        return check_time("AcceptFields.to_follow_until_us", header->accept->to_follow_until_us, err);
    case CASEBUS__V1__EVENT_HEADER__FIELDS_STEP:
        return check_time("StepFields.ended_at_us", header->step->ended_at_us, err);
    case CASEBUS__V1__EVENT_HEADER__FIELDS_SPECIAL:
        return limit_check("SpecialFields.expected", header->special->expected, err);
    case CASEBUS__V1__EVENT_HEADER__FIELDS_EXTEND:
        return limit_check("ExtendFields.by", header->extend->by, err);
    default:
        return 0;
    }
}

static int kind_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    const char *name = kind_name(header->kind);

    if (header->kind == CASEBUS__V1__KIND__KIND_OTHER && !*header->source_code) {
        error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "EventHeader.source_code");
        return error_hint(err, _("an event of kind 'other' keeps the source's own code"));
    }
    if (header->fields_case != CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET &&
        header->fields_case != fields_of_kind(header->kind))
        return error_set(err, CASEBUS_BAD_FIELD, _("the header has fields of another kind than '%s'"),
                         name ? name : "?");
    return fields_check(header, err);
}

static int header_check(const Casebus__V1__EventHeader *header, struct casebus_error *err)
{
    if (check_format("EventHeader.format", header->format, err) ||
        check_size("EventHeader.random", header->random, RANDOM_SIZE, err) || texts_check(header, err) ||
        enums_check(header, err) || area_check_form(header->area, err) || aliases_check(header, err))
        return -1;
    if (check_time("EventHeader.occurred_at_us", header->occurred_at_us, err) ||
        materials_check(header, err) || commitments_check(header, err))
        return -1;
    return kind_check(header, err);
}

Casebus__V1__EventHeader *event_header_decode(struct bytes header, struct arena *arena,
                                              struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = HEADER_MAX, .max_fields = HEADER_FIELDS, .max_depth = 3};
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__event_header__descriptor, header, &limits, arena, err);
    Casebus__V1__EventHeader *decoded = (Casebus__V1__EventHeader *)message;

    if (!decoded || header_check(decoded, err))
        return NULL;
    return decoded;
}

void event_hash(struct crypter *crypter, struct bytes header, uint8_t hash[DIGEST_SIZE])
{
    struct bytes parts[] = {LABEL("casebus/v1/event"), header};

    crypter_hash(crypter, parts, 2, hash);
}

void part_commitment(struct crypter *crypter, const uint8_t salt[SALT_SIZE], struct bytes content,
                     uint8_t mac[DIGEST_SIZE])
{
    crypter_mac(crypter, bytes_of(salt, SALT_SIZE), &content, 1, mac);
}

static int part_check(struct crypter *crypter, const Casebus__V1__PartCommitment *commitment,
                      const Casebus__V1__Part *part, size_t index, struct casebus_error *err)
{
    if (part->content.len > PART_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("part %zu has %zu bytes; at most %d are allowed"), index,
                         part->content.len, PART_MAX);
    if (check_size("Part.salt", part->salt, SALT_SIZE, err))
        return -1;
    if (part->content.len != commitment->size)
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu has %zu bytes, the header says %u"), index,
                         part->content.len, (unsigned)commitment->size);

    uint8_t mac[DIGEST_SIZE];
    part_commitment(crypter, part->salt.data, bytes_of_field(part->content), mac);
    if (commitment->mac.len != DIGEST_SIZE || !secret_equal(mac, commitment->mac.data, DIGEST_SIZE))
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu is not the one that the header commits to"),
                         index);
    return 0;
}

int event_parts_check(struct crypter *crypter, const Casebus__V1__EventHeader *header,
                      const Casebus__V1__Event *event, struct casebus_error *err)
{
    if (event->n_part != header->n_commitment)
        return error_set(err, CASEBUS_COMMITMENT, _("the event has %zu parts, the header commits to %zu"),
                         event->n_part, header->n_commitment);
    for (size_t i = 0; i < event->n_part; i++)
        if (part_check(crypter, header->commitment[i], event->part[i], i, err))
            return -1;
    return 0;
}

/* --- digests of content -------------------------------------------------------------------------------- */

/* Fields that are random, and so differ each time the same record is stated. */
static bool field_is_random(uint32_t number)
{
    return number == 1 || number == 22;
}

/* Runs of kept bytes. At most one run before each commitment and the random field, and one behind the last; a
 * header with more of them does not pass event_header_decode. */
#define RUNS_MAX (PARTS_MAX + 2)

static int header_runs(struct bytes header, struct bytes runs[RUNS_MAX], size_t *n_runs,
                       struct casebus_error *err)
{
    struct wire wire = wire_open(header);
    struct wire_field field;
    enum wire_answer answer;
    const uint8_t *run = header.data;

    *n_runs = 0;
    while ((answer = wire_next(&wire, &field)) == WIRE_FIELD) {
        if (!field_is_random(field.number))
            continue;
        if (*n_runs == RUNS_MAX - 1)
            return error_set(err, CASEBUS_MALFORMED, _("the header has more commitments than it may have"));
        runs[(*n_runs)++] = bytes_of(run, (size_t)(field.start - run));
        run = wire.at;
    }
    if (answer != WIRE_END)
        return error_set(err, CASEBUS_MALFORMED, _("the header cannot be read"));
    runs[(*n_runs)++] = bytes_of(run, (size_t)(wire.end - run));
    return 0;
}

int event_header_digest(struct crypter *crypter, struct bytes header, uint8_t digest[DIGEST_SIZE],
                        struct casebus_error *err)
{
    struct bytes parts[1 + RUNS_MAX] = {LABEL("casebus/v1/header")};
    size_t n_runs;

    if (header_runs(header, parts + 1, &n_runs, err))
        return -1;
    crypter_hash(crypter, parts, 1 + n_runs, digest);
    return 0;
}

void event_content_digest(struct crypter *crypter, const uint8_t key[KEY_SIZE],
                          const uint8_t header_digest[DIGEST_SIZE], const Casebus__V1__EventHeader *header,
                          const Casebus__V1__Event *event, uint8_t digest[DIGEST_SIZE])
{
    struct bytes parts[2 + 2 * PARTS_MAX] = {LABEL("casebus/v1/content"),
                                             bytes_of(header_digest, DIGEST_SIZE)};
    uint8_t frames[PARTS_MAX][8];
    size_t n = 2;

    assert(header->n_commitment <= PARTS_MAX && event->n_part == header->n_commitment);
    for (size_t i = 0; i < event->n_part; i++) {
        struct bytes content = bytes_of_field(event->part[i]->content);
        put_u32be(frames[i], (uint32_t)header->commitment[i]->kind);
        put_u32be(frames[i] + 4, (uint32_t)content.size);
        parts[n++] = bytes_of(frames[i], sizeof frames[i]);
        parts[n++] = content;
    }
    crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, n, digest);
}

void event_refused_digest(struct crypter *crypter, const uint8_t key[KEY_SIZE],
                          const Casebus__V1__Event *event, uint8_t digest[DIGEST_SIZE])
{
    struct bytes header = bytes_of_field(event->header);
    struct bytes parts[3] = {LABEL("casebus/v1/refused"), bytes_of(digest, DIGEST_SIZE)};
    uint8_t size[4];

    if (event_header_digest(crypter, header, digest, NULL))
        crypter_hash1(crypter, header, digest);
    crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, 2, digest);
    parts[0] = bytes_of(size, sizeof size);
    for (size_t i = 0; i < event->n_part; i++) { /* there may be any number of them */
        const struct bytes content = bytes_of_field(event->part[i]->content);
        put_u32be(size, (uint32_t)content.size);
        parts[2] = content;
        crypter_mac(crypter, bytes_of(key, KEY_SIZE), parts, 3, digest);
    }
}
