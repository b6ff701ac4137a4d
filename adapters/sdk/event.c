/* One table of fields stands between the names that people use and the structs of Protocol Buffers. Each row
 * says where a value lies inside struct casebus_event and how it reads as text; set, get, visit and
 * field_name are loops over that table. Fields of a kind share one place, as in the schema only one group of
 * them can be used; parts have a struct each, and a part is sent when one of its fields was set.
 *
 * What a good event is, is written down once, in the codec: packing ends with the very check that a hub
 * makes.
 */
#include "adapters/sdk/event.h"

#include "proto/base/calendar.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    TEXT_BLOCK = 4096,
    TEXTS_MAX = 1024 * 1024, /* of all values in one event */
    FORM_FIELDS_MAX = 256,
    LIST_STEP = 16,
    CHINA_MINUTES = 480,
};

struct opaque_part {
    const uint8_t *content;
    size_t size;
};

struct casebus_event {
    struct arena texts;
    bool decoded; /* lists were made by the decoder and have no spare room */
    Casebus__V1__EventHeader header;
    union {
        Casebus__V1__ApplyFields apply;
        Casebus__V1__ReceiveFields receive;
        Casebus__V1__SupplementNoticeFields supplement_notice;
        Casebus__V1__AcceptFields accept;
        Casebus__V1__RefuseAcceptFields refuse_accept;
        Casebus__V1__StepFields step;
        Casebus__V1__SpecialFields special;
        Casebus__V1__ExtendFields extend;
        Casebus__V1__DecideFields decide;
        Casebus__V1__FinishFields finish;
        Casebus__V1__DeliverFields deliver;
        Casebus__V1__RateFields rate;
        Casebus__V1__MatterFields matter;
    } fields; /* which one: header.fields_case */
    struct {
        Casebus__V1__IdentityPart identity;
        Casebus__V1__ContactPart contact;
        Casebus__V1__FormPart form;
        Casebus__V1__OpinionPart opinion;
    } parts;
    uint32_t parts_set; /* bit per PartKind of the four above */
    struct opaque_part opaque[PARTS_MAX];
    size_t n_opaque;
};

/* Groups: the header itself, the fields of a kind, the parts. */
struct group {
    const char *name; /* before the point; NULL: the header */
    const ProtobufCMessageDescriptor *descriptor;
    Casebus__V1__EventHeader__FieldsCase fields; /* set: fields of a kind */
    Casebus__V1__PartKind part;                  /* set: a part */
    size_t offset;                               /* in struct casebus_event */
};

#define GROUPS(FIELDS_OF, PART_OF)                                                                           \
    FIELDS_OF(apply, APPLY)                                                                                  \
    FIELDS_OF(receive, RECEIVE)                                                                              \
    FIELDS_OF(supplement_notice, SUPPLEMENT_NOTICE)                                                          \
    FIELDS_OF(accept, ACCEPT)                                                                                \
    FIELDS_OF(refuse_accept, REFUSE_ACCEPT)                                                                  \
    FIELDS_OF(step, STEP)                                                                                    \
    FIELDS_OF(special, SPECIAL)                                                                              \
    FIELDS_OF(extend, EXTEND)                                                                                \
    FIELDS_OF(decide, DECIDE)                                                                                \
    FIELDS_OF(finish, FINISH)                                                                                \
    FIELDS_OF(deliver, DELIVER)                                                                              \
    FIELDS_OF(rate, RATE)                                                                                    \
    FIELDS_OF(matter, MATTER)                                                                                \
    PART_OF(identity, IDENTITY)                                                                              \
    PART_OF(contact, CONTACT)                                                                                \
    PART_OF(form, FORM)                                                                                      \
    PART_OF(opinion, OPINION)

#define GROUP_NAME(name, NAME) GROUP_##name,
enum group_id { GROUP_header, GROUPS(GROUP_NAME, GROUP_NAME) N_GROUPS };
#undef GROUP_NAME

#define FIELDS_GROUP(id, ID)                                                                                 \
    [GROUP_##id] = {.name = #id,                                                                             \
                    .descriptor = &casebus__v1__##id##_fields__descriptor,                                   \
                    .fields = CASEBUS__V1__EVENT_HEADER__FIELDS_##ID,                                        \
                    .offset = offsetof(struct casebus_event, fields)},
#define PART_GROUP(id, ID)                                                                                   \
    [GROUP_##id] = {.name = #id,                                                                             \
                    .descriptor = &casebus__v1__##id##_part__descriptor,                                     \
                    .part = CASEBUS__V1__PART_KIND__PART_KIND_##ID,                                          \
                    .offset = offsetof(struct casebus_event, parts.id)},
static const struct group groups[N_GROUPS] = {
    [GROUP_header] = {.descriptor = &casebus__v1__event_header__descriptor,
                      .offset = offsetof(struct casebus_event, header)},
    GROUPS(FIELDS_GROUP, PART_GROUP)};
#undef FIELDS_GROUP
#undef PART_GROUP

enum field_type {
    FIELD_TEXT,
    FIELD_TEXTS, /* repeated */
    FIELD_U32,
    FIELD_U64,
    FIELD_FLAG,
    FIELD_TIME,
    FIELD_LIMIT,
    FIELD_OCCURRED,    /* a time that knows whether it is only a date */
    FIELD_FINISH_KIND, /* a number of which zero is a value */
    FIELD_KIND,
    FIELD_OPERATION,
    FIELD_CHANNEL,
    FIELD_REAL_NAME,
    FIELD_FORM, /* any name behind "form." */
};

struct field {
    const char *name; /* the whole name */
    uint8_t length;
    uint8_t group;
    uint8_t type;
    uint16_t offset; /* in struct casebus_event */
    uint16_t count;  /* repeated: where its number stands */
};

#define ROW(text, id, kind, place, ...)                                                                      \
    {                                                                                                        \
        text, sizeof text - 1, GROUP_##id, FIELD_##kind, offsetof(struct casebus_event, place), __VA_ARGS__  \
    }
#define HEADER(member, kind)             ROW(#member, header, kind, header.member, 0)
#define OF(id, member, kind)             ROW(#id "." #member, id, kind, fields.id.member, 0)
#define OF_PLACE(id, name, member, kind) ROW(#id "." #name, id, kind, fields.id.member, 0)
#define LIST_OF(id, member)                                                                                  \
    ROW(#id "." #member, id, TEXTS, fields.id.member, offsetof(struct casebus_event, fields.id.n_##member))
#define PART(id, member) ROW(#id "." #member, id, TEXT, parts.id.member, 0)

/* In the order of the schema. */
static const struct field field_table[] = {
    HEADER(record_namespace, TEXT),
    HEADER(record_id, TEXT),
    HEADER(revision, U64),
    HEADER(operation, OPERATION),
    HEADER(kind, KIND),
    HEADER(case_number, TEXT),
    ROW("case_alias", header, TEXTS, header.case_alias, offsetof(struct casebus_event, header.n_case_alias)),
    HEADER(item, TEXT),
    HEADER(area, TEXT),
    HEADER(channel, CHANNEL),
    HEADER(real_name, REAL_NAME),
    HEADER(truth_commitment, FLAG),
    ROW("occurred_at", header, OCCURRED, header.occurred_at_us, 0),
    HEADER(backfill, FLAG),
    HEADER(source_code, TEXT),
    HEADER(handler, TEXT),
    HEADER(department, TEXT),
    OF(apply, project_code, TEXT),
    OF(apply, apply_type, TEXT),
    OF(receive, window, TEXT),
    LIST_OF(supplement_notice, missing),
    OF_PLACE(supplement_notice, answer_until, answer_until_us, TIME),
    OF(accept, document_number, TEXT),
    OF(accept, committed, LIMIT),
    LIST_OF(accept, to_follow),
    OF_PLACE(accept, to_follow_until, to_follow_until_us, TIME),
    OF(refuse_accept, reason_code, TEXT),
    OF(refuse_accept, document_number, TEXT),
    OF(step, step, TEXT),
    OF(step, action, TEXT),
    OF_PLACE(step, ended_at, ended_at_us, TIME),
    OF(step, state, TEXT),
    OF(special, special_kind, U32),
    OF(special, name, TEXT),
    OF(special, expected, LIMIT),
    OF(special, special_id, TEXT),
    OF(extend, by, LIMIT),
    OF(extend, reason_code, TEXT),
    OF(decide, result_code, TEXT),
    OF(decide, document_number, TEXT),
    OF(decide, on_commitment, FLAG),
    OF(finish, finish_kind, FINISH_KIND),
    OF(finish, certificate_name, TEXT),
    OF(finish, certificate_number, TEXT),
    OF(deliver, by_courier, FLAG),
    OF(deliver, logistics_number, TEXT),
    OF(rate, level, U32),
    OF(rate, rating_id, TEXT),
    OF(matter, matter_id, TEXT),
    OF(matter, window_kind, U32),
    OF(matter, assigned_to, TEXT),
    PART(identity, name),
    PART(identity, holder_type),
    PART(identity, id_type),
    PART(identity, id_number),
    PART(identity, agent_name),
    PART(identity, agent_id_type),
    PART(identity, agent_id_number),
    PART(contact, phone),
    PART(contact, address),
    PART(contact, email),
    ROW("form.", form, FORM, parts.form.field, 0),
    PART(opinion, handler_name),
    PART(opinion, opinion),
};

#define N_FIELDS (sizeof field_table / sizeof field_table[0])

/* The row of @name; for "form.NAME" the row of all forms. */
static const struct field *field_find(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *field = &field_table[i];
        if (field->length == length && memcmp(field->name, name, length) == 0)
            return field->type == FIELD_FORM ? NULL : field;
        if (field->type == FIELD_FORM && length > field->length &&
            memcmp(field->name, name, field->length) == 0)
            return field;
    }
    return NULL;
}

const char *casebus_event_field_name(size_t index)
{
    return index < N_FIELDS ? field_table[index].name : NULL;
}

/* --- life --- */

static void event_reset(struct casebus_event *event)
{
    event->decoded = false;
    event->parts_set = 0;
    event->n_opaque = 0;
    casebus__v1__event_header__init(&event->header);
    casebus__v1__form_part__init(&event->parts.form);
}

struct casebus_event *casebus_event_new(void)
{
    struct casebus_event *event = calloc(1, sizeof *event);
    if (!event)
        return NULL;
    arena_init(&event->texts, TEXT_BLOCK, TEXTS_MAX);
    event_reset(event);
    return event;
}

struct casebus_event *casebus_event_free(struct casebus_event *event)
{
    if (event) {
        arena_deinit(&event->texts);
        free(event);
    }
    return NULL;
}

void casebus_event_clear(struct casebus_event *event)
{
    arena_reset(&event->texts);
    event_reset(event);
}

/* Whether the struct that @group's fields lie in is in use. */
static bool group_is_open(const struct casebus_event *event, const struct group *group)
{
    if (group->part)
        return event->parts_set & 1u << group->part;
    return !group->fields || event->header.fields_case == group->fields;
}

static int group_open(struct casebus_event *event, const struct group *group, const char *name,
                      struct casebus_error *err)
{
    if (group_is_open(event, group))
        return 0;
    if (group->fields && event->header.fields_case)
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("'%s' cannot be set: the event has fields of another kind"), name);
    protobuf_c_message_init(group->descriptor, (uint8_t *)event + group->offset);
    if (group->part) {
        event->parts_set |= 1u << group->part;
        return 0;
    }
    event->header.fields_case = group->fields;
    event->header.apply = &event->fields.apply; /* all kinds share this pointer and this place */
    return 0;
}

/* --- texts to values --- */

static int value_refuse(const struct field *field, const char *value, const char *expected,
                        struct casebus_error *err)
{
    return error_set(err, CASEBUS_BAD_FIELD, _("field '%s': '%.80s' is not %s"), field->name, value,
                     expected);
}

static int event_full(struct casebus_error *err)
{
    return error_set(err, CASEBUS_TOO_LARGE, _("the values of one event are larger than %d bytes together"),
                     TEXTS_MAX);
}

static bool number_parse(const char *value, uint64_t max, uint64_t *number)
{
    char *end;
    if (*value < '0' || *value > '9')
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(value, &end, 10);
    *number = parsed;
    return errno == 0 && *end == '\0' && parsed <= max;
}

/* Microseconds behind the point; more than six digits are cut. */
static const char *fraction_parse(const char *text, int64_t *us)
{
    *us = 0;
    if (*text != '.')
        return text;
    int64_t digit = 100000;
    for (text++; *text >= '0' && *text <= '9'; text++, digit /= 10)
        *us += digit * (*text - '0');
    return text[-1] == '.' ? NULL : text;
}

/* RFC 3339, always with a zone. */
static bool instant_parse(const char *value, int64_t *unix_us)
{
    struct tm tm = {0};
    int64_t fraction;
    if (strlen(value) < 20 || value[4] != '-' || value[7] != '-')
        return false;
    const char *rest = strptime(value, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || rest != value + 19)
        return false;
    rest = fraction_parse(rest, &fraction);
    if (!rest || (*rest != 'Z' && *rest != '+' && *rest != '-'))
        return false;
    int mday = tm.tm_mday;
    bool leap = tm.tm_sec == 60; /* may pass midnight */
    int64_t seconds = timegm(&tm);
    if (tm.tm_mday != mday && !leap) /* such as 30 February */
        return false;
    struct tm zone = {0};
    rest = strptime(rest, "%z", &zone);
    if (!rest || *rest != '\0')
        return false;
    *unix_us = (seconds - zone.tm_gmtoff) * 1000000 + fraction;
    return true;
}

static bool time_parse(const char *value, int64_t *unix_us, bool *is_date)
{
    day_t day = day_parse(value);
    *is_date = day != DAY_NONE;
    if (!*is_date)
        return instant_parse(value, unix_us);
    *unix_us = day_to_unix_us(day, CHINA_MINUTES);
    return true;
}

static void *event_at(const struct casebus_event *event, size_t offset)
{
    return (uint8_t *)event + offset;
}

static int text_copy(struct casebus_event *event, const char *value, char **copy, struct casebus_error *err)
{
    size_t length = strlen(value);
    *copy = length > PART_MAX ? NULL : arena_copy(&event->texts, value, length + 1);
    return *copy ? 0 : event_full(err);
}

/* Puts @item behind the @n items of @list, which moves when it has to grow. */
static int list_add(struct casebus_event *event, void *listp, size_t *n, void *item,
                    struct casebus_error *err)
{
    void **list;
    memcpy(&list, listp, sizeof list);
    if (*n % LIST_STEP == 0 || event->decoded) {
        void **grown = arena_alloc(&event->texts, (*n + LIST_STEP) * sizeof *grown);
        if (!grown)
            return event_full(err);
        if (*n > 0)
            memcpy(grown, list, *n * sizeof *grown);
        list = grown;
        memcpy(listp, &list, sizeof list);
    }
    list[(*n)++] = item;
    return 0;
}

static int form_add(struct casebus_event *event, const char *name, const char *value,
                    struct casebus_error *err)
{
    Casebus__V1__FormField *field = arena_alloc(&event->texts, sizeof *field);
    if (!field)
        return event_full(err);
    casebus__v1__form_field__init(field);
    if (event->parts.form.n_field >= FORM_FIELDS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("a form has at most %d fields"), FORM_FIELDS_MAX);
    if (text_copy(event, name, &field->name, err) != 0 || text_copy(event, value, &field->value, err) != 0)
        return -1;
    return list_add(event, &event->parts.form.field, &event->parts.form.n_field, field, err);
}

/* "20 WD": an amount and its unit. */
static int limit_set(struct casebus_event *event, const struct field *field, const char *value,
                     struct casebus_error *err)
{
    unsigned long amount;
    char unit[3], behind;
    errno = 0;
    bool good = *value >= '0' && *value <= '9' && sscanf(value, "%lu %2[A-Z]%c", &amount, unit, &behind) == 2;
    if (!good || amount == 0 || amount > UINT32_MAX || errno == ERANGE ||
        (strcmp(unit, "WD") != 0 && strcmp(unit, "D") != 0 && strcmp(unit, "M") != 0))
        return value_refuse(field, value, _("an amount and a unit, such as \"20 WD\", \"30 D\" or \"2 M\""),
                            err);
    Casebus__V1__Limit *limit = arena_alloc(&event->texts, sizeof *limit);
    if (!limit)
        return event_full(err);
    casebus__v1__limit__init(limit);
    limit->amount = (uint32_t)amount;
    *(Casebus__V1__Limit **)event_at(event, field->offset) = limit;
    return text_copy(event, unit, &limit->unit, err);
}

static int number_set(struct casebus_event *event, const struct field *field, const char *value,
                      struct casebus_error *err)
{
    uint64_t number;
    if (!number_parse(value, field->type == FIELD_U64 ? UINT64_MAX : UINT32_MAX, &number))
        return value_refuse(field, value, _("a number"), err);
    if (field->type == FIELD_U64)
        *(uint64_t *)event_at(event, field->offset) = number;
    else
        *(uint32_t *)event_at(event, field->offset) = (uint32_t)number;
    if (field->type == FIELD_FINISH_KIND)
        event->fields.finish.finish_kind_given = true;
    return 0;
}

static int flag_set(struct casebus_event *event, const struct field *field, const char *value,
                    struct casebus_error *err)
{
    bool flag = strcmp(value, "true") == 0;
    if (!flag && strcmp(value, "false") != 0)
        return value_refuse(field, value, _("\"true\" or \"false\""), err);
    *(protobuf_c_boolean *)event_at(event, field->offset) = flag;
    return 0;
}

static void time_store(struct casebus_event *event, const struct field *field, int64_t unix_us, bool is_date)
{
    *(int64_t *)event_at(event, field->offset) = unix_us;
    if (field->type == FIELD_OCCURRED)
        event->header.precision =
            is_date ? CASEBUS__V1__PRECISION__PRECISION_DATE : CASEBUS__V1__PRECISION__PRECISION_INSTANT;
}

static int time_set(struct casebus_event *event, const struct field *field, const char *value,
                    struct casebus_error *err)
{
    int64_t unix_us;
    bool is_date;
    if (!time_parse(value, &unix_us, &is_date))
        return value_refuse(
            field, value,
            _("a date that exists (\"2011-10-11\") or a time with its zone (\"2011-10-11T13:45:40+02:00\")"),
            err);
    time_store(event, field, unix_us, is_date);
    return 0;
}

static int enum_parse(const struct field *field, const char *value)
{
    switch (field->type) {
    case FIELD_KIND:
        return (int)kind_parse(value);
    case FIELD_OPERATION:
        return (int)operation_parse(value);
    case FIELD_CHANNEL:
        return (int)channel_parse(value);
    default:
        return (int)real_name_parse(value);
    }
}

static const char *enum_name(const struct field *field, int value)
{
    switch (field->type) {
    case FIELD_KIND:
        return kind_name((Casebus__V1__Kind)value);
    case FIELD_OPERATION:
        return operation_name((Casebus__V1__Operation)value);
    case FIELD_CHANNEL:
        return channel_name((Casebus__V1__Channel)value);
    default:
        return real_name_name((Casebus__V1__RealName)value);
    }
}

/* Every enum of protobuf-c has the size of an int. */
static int enum_set(struct casebus_event *event, const struct field *field, const char *value,
                    struct casebus_error *err)
{
    int number = enum_parse(field, value);
    if (number == 0)
        return value_refuse(field, value, _("one of the names that the schema knows"), err);
    memcpy(event_at(event, field->offset), &number, sizeof number);
    return 0;
}

static int texts_add(struct casebus_event *event, const struct field *field, const char *value,
                     struct casebus_error *err)
{
    char *copy;
    if (text_copy(event, value, &copy, err) != 0)
        return -1;
    return list_add(event, event_at(event, field->offset), event_at(event, field->count), copy, err);
}

static int value_set(struct casebus_event *event, const struct field *field, const char *name,
                     const char *value, struct casebus_error *err)
{
    switch ((enum field_type)field->type) {
    case FIELD_TEXT:
        return text_copy(event, value, event_at(event, field->offset), err);
    case FIELD_TEXTS:
        return texts_add(event, field, value, err);
    case FIELD_FORM:
        return form_add(event, name + field->length, value, err);
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_FINISH_KIND:
        return number_set(event, field, value, err);
    case FIELD_FLAG:
        return flag_set(event, field, value, err);
    case FIELD_TIME:
    case FIELD_OCCURRED:
        return time_set(event, field, value, err);
    case FIELD_LIMIT:
        return limit_set(event, field, value, err);
    case FIELD_KIND:
    case FIELD_OPERATION:
    case FIELD_CHANNEL:
    case FIELD_REAL_NAME:
        return enum_set(event, field, value, err);
    }
    return error_set(err, CASEBUS_INTERNAL, "field '%s' has no type", field->name);
}

static int no_such_field(const char *name, struct casebus_error *err)
{
    error_set(err, CASEBUS_ARGUMENT, _("an event has no field '%.80s'"), name);
    return error_hint(err, _("casebus_event_field_name lists them all"));
}

int casebus_event_set(struct casebus_event *event, const char *name, const char *value,
                      struct casebus_error *err)
{
    const struct field *field = field_find(name);
    if (!field)
        return no_such_field(name, err);
    if (!utf8_valid(value, strlen(value)) || !utf8_valid(name, strlen(name)))
        return error_set(err, CASEBUS_TEXT, _("field '%s': the value is not UTF-8"), field->name);
    if (group_open(event, &groups[field->group], name, err) != 0)
        return -1;
    return value_set(event, field, name, value, err);
}

int casebus_event_set_time(struct casebus_event *event, const char *name, int64_t unix_us, int is_date,
                           struct casebus_error *err)
{
    const struct field *field = field_find(name);
    if (!field)
        return no_such_field(name, err);
    if (field->type != FIELD_TIME && field->type != FIELD_OCCURRED)
        return error_set(err, CASEBUS_ARGUMENT, _("field '%s' is not a time"), name);
    if (group_open(event, &groups[field->group], name, err) != 0)
        return -1;
    time_store(event, field, unix_us, is_date != 0);
    return 0;
}

static size_t parts_count(const struct casebus_event *event)
{
    return (size_t)__builtin_popcount(event->parts_set) + event->n_opaque;
}

int casebus_event_add_part(struct casebus_event *event, const void *content, size_t size,
                           struct casebus_error *err)
{
    if (size > PART_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("a part has at most %d bytes, this one has %zu"), PART_MAX,
                         size);
    if (parts_count(event) >= PARTS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("an event has at most %d parts"), PARTS_MAX);
    uint8_t *copy = arena_copy(&event->texts, content, size);
    if (!copy)
        return event_full(err);
    event->opaque[event->n_opaque++] = (struct opaque_part){copy, size};
    return 0;
}

const void *casebus_event_part(const struct casebus_event *event, size_t index, size_t *size)
{
    if (index >= event->n_opaque)
        return NULL;
    *size = event->opaque[index].size;
    return event->opaque[index].content;
}

/* --- values to texts --- */

enum { SCRATCH = 64 }; /* holds any value that is not a text */

static const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* In Chinese local time, since that is what the people who read it live in. */
static const char *time_text(int64_t unix_us, bool is_date, char out[SCRATCH])
{
    if (unix_us == 0 && !is_date)
        return NULL;
    if (is_date)
        return day_format(out, day_from_unix_us(unix_us, CHINA_MINUTES));
    int64_t us = ((unix_us % 1000000) + 1000000) % 1000000;
    time_t seconds = (time_t)((unix_us - us) / 1000000 + CHINA_MINUTES * 60);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return NULL;
    size_t length = strftime(out, SCRATCH, "%Y-%m-%dT%H:%M:%S", &tm);
    if (us % 1000)
        length += (size_t)snprintf(out + length, SCRATCH - length, ".%06d", (int)us);
    else if (us)
        length += (size_t)snprintf(out + length, SCRATCH - length, ".%03d", (int)(us / 1000));
    snprintf(out + length, SCRATCH - length, "+08:00");
    return out;
}

static const char *number_text(uint64_t number, bool given, char out[SCRATCH])
{
    if (!given)
        return NULL;
    snprintf(out, SCRATCH, "%" PRIu64, number);
    return out;
}

static const char *occurred_text(const struct casebus_event *event, char out[SCRATCH])
{
    if (!event->header.precision)
        return NULL;
    if (event->header.occurred_at_us == 0 &&
        event->header.precision == CASEBUS__V1__PRECISION__PRECISION_INSTANT)
        return strcpy(out, "1970-01-01T08:00:00+08:00");
    return time_text(event->header.occurred_at_us,
                     event->header.precision == CASEBUS__V1__PRECISION__PRECISION_DATE, out);
}

static const char *limit_text(const Casebus__V1__Limit *limit, char out[SCRATCH])
{
    if (!limit)
        return NULL;
    snprintf(out, SCRATCH, "%" PRIu32 " %.16s", limit->amount, limit->unit);
    return out;
}

static const char *list_text(char *const *list, size_t n, size_t index)
{
    return index < n ? list[index] : NULL;
}

static const char *enum_text(const struct casebus_event *event, const struct field *field)
{
    int value;
    memcpy(&value, event_at(event, field->offset), sizeof value);
    return value ? enum_name(field, value) : NULL;
}

/* The value as text, or NULL when it is not set. Texts are not copied; others are written to @scratch. */
static const char *value_text(const struct casebus_event *event, const struct field *field, size_t index,
                              char scratch[SCRATCH])
{
    const void *at = event_at(event, field->offset);
    if (!group_is_open(event, &groups[field->group]))
        return NULL;
    if (field->type == FIELD_TEXTS)
        return list_text(*(char *const *const *)at, *(size_t *)event_at(event, field->count), index);
    if (index > 0)
        return NULL;
    switch ((enum field_type)field->type) {
    case FIELD_TEXT:
        return text_or_null(*(char *const *)at);
    case FIELD_U32:
        return number_text(*(const uint32_t *)at, *(const uint32_t *)at != 0, scratch);
    case FIELD_U64:
        return number_text(*(const uint64_t *)at, *(const uint64_t *)at != 0, scratch);
    case FIELD_FINISH_KIND:
        return number_text(*(const uint32_t *)at, event->fields.finish.finish_kind_given, scratch);
    case FIELD_FLAG:
        return *(const protobuf_c_boolean *)at ? "true" : NULL;
    case FIELD_TIME:
        return time_text(*(const int64_t *)at, false, scratch);
    case FIELD_OCCURRED:
        return occurred_text(event, scratch);
    case FIELD_LIMIT:
        return limit_text(*(Casebus__V1__Limit *const *)at, scratch);
    case FIELD_KIND:
    case FIELD_OPERATION:
    case FIELD_CHANNEL:
    case FIELD_REAL_NAME:
        return enum_text(event, field);
    case FIELD_TEXTS:
    case FIELD_FORM:
        break;
    }
    return NULL;
}

/* The @index-th value of the form's fields that are called @name. */
static const char *form_text(const struct casebus_event *event, const char *name, size_t index)
{
    for (size_t i = 0; i < event->parts.form.n_field; i++)
        if (strcmp(event->parts.form.field[i]->name, name) == 0 && index-- == 0)
            return event->parts.form.field[i]->value;
    return NULL;
}

const char *casebus_event_get(const struct casebus_event *event, const char *name, size_t index, char *out,
                              size_t size)
{
    char scratch[SCRATCH];
    const struct field *field = field_find(name);
    if (!field || size == 0)
        return NULL;
    const char *value = field->type == FIELD_FORM ? form_text(event, name + field->length, index)
                                                  : value_text(event, field, index, scratch);
    if (!value)
        return NULL;
    size_t length = strlen(value);
    bool cut = length >= size;
    if (cut)
        length = size - 1;
    memcpy(out, value, length);
    out[length] = '\0';
    if (cut)
        utf8_cut(out);
    return out;
}

typedef int visit_fn(void *self, const char *field, const char *value);

static int form_visit(const struct casebus_event *event, visit_fn *visit, void *self)
{
    int r = 0;
    for (size_t i = 0; i < event->parts.form.n_field && r == 0; i++) {
        char name[256];
        snprintf(name, sizeof name, "form.%s", event->parts.form.field[i]->name);
        utf8_cut(name);
        r = visit(self, name, event->parts.form.field[i]->value);
    }
    return r;
}

int casebus_event_visit(const struct casebus_event *event, visit_fn *visit, void *self)
{
    int r = 0;
    for (const struct field *field = field_table; field < field_table + N_FIELDS && r == 0; field++) {
        char scratch[SCRATCH];
        const char *value;
        if (field->type == FIELD_FORM)
            r = form_visit(event, visit, self);
        for (size_t i = 0; r == 0 && (value = value_text(event, field, i, scratch)); i++)
            r = visit(self, field->name, value);
    }
    return r;
}

/* --- packing --- */

/* The parts of one event while it is packed. */
struct packing {
    Casebus__V1__PartCommitment commitments[PARTS_MAX];
    Casebus__V1__PartCommitment *commitment_list[PARTS_MAX];
    Casebus__V1__Part parts[PARTS_MAX];
    Casebus__V1__Part *part_list[PARTS_MAX];
    size_t n;
    uint8_t random[(1 + PARTS_MAX) * RANDOM_SIZE]; /* of the header, then a salt for each part */
    uint8_t macs[PARTS_MAX][DIGEST_SIZE];
};

/* The next part: its content under a salt of its own. Without @crypter the commitment stays empty. */
static int packing_add(struct packing *packing, Casebus__V1__PartKind kind, struct bytes content,
                       struct crypter *crypter, struct casebus_error *err)
{
    if (packing->n >= PARTS_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("an event has at most %d parts"), PARTS_MAX);
    if (content.size > PART_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("part '%s' has at most %d bytes, this one has %zu"),
                         part_kind_name(kind), PART_MAX, content.size);
    size_t i = packing->n++;
    uint8_t *salt = packing->random + (1 + i) * RANDOM_SIZE;
    if (crypter)
        part_commitment(crypter, salt, content, packing->macs[i]);
    Casebus__V1__PartCommitment *commitment = packing->commitment_list[i] = &packing->commitments[i];
    casebus__v1__part_commitment__init(commitment);
    commitment->kind = kind;
    commitment->mac = (ProtobufCBinaryData){DIGEST_SIZE, packing->macs[i]};
    commitment->size = (uint32_t)content.size;
    Casebus__V1__Part *part = packing->part_list[i] = &packing->parts[i];
    casebus__v1__part__init(part);
    part->salt = (ProtobufCBinaryData){SALT_SIZE, salt};
    part->content = (ProtobufCBinaryData){content.size, (uint8_t *)content.data};
    return 0;
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to pack an event"));
}

static int packing_add_parts(struct packing *packing, const struct casebus_event *event,
                             struct crypter *crypter, struct arena *arena, struct casebus_error *err)
{
    for (const struct group *group = groups; event->parts_set && group < groups + N_GROUPS; group++) {
        if (!group->part || !group_is_open(event, group))
            continue;
        struct bytes content = codec_pack(event_at(event, group->offset), arena);
        if (!content.data)
            return no_memory(err);
        if (content.size == 0) /* only empty texts were set */
            continue;
        if (packing_add(packing, group->part, content, crypter, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < event->n_opaque; i++) {
        struct bytes content = bytes_of(event->opaque[i].content, event->opaque[i].size);
        if (packing_add(packing, CASEBUS__V1__PART_KIND__PART_KIND_OTHER, content, crypter, err) != 0)
            return -1;
    }
    return 0;
}

static struct bytes packing_header(struct packing *packing, const struct casebus_event *event,
                                   struct arena *arena)
{
    Casebus__V1__EventHeader header = event->header;
    header.format = 1;
    header.random = (ProtobufCBinaryData){RANDOM_SIZE, packing->random};
    if (!header.operation)
        header.operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header.n_commitment = packing->n;
    header.commitment = packing->commitment_list;
    return codec_pack(&header, arena);
}

/* Packs parts and header and checks the header as a hub does. Without @crypter it is a rehearsal. */
static int packing_make(struct packing *packing, const struct casebus_event *event, struct crypter *crypter,
                        struct arena *arena, struct bytes *header, struct casebus_error *err)
{
    packing->n = 0;
    if (packing_add_parts(packing, event, crypter, arena, err) != 0)
        return -1;
    *header = packing_header(packing, event, arena);
    if (!header->data)
        return no_memory(err);
    return event_header_decode(*header, arena, err) ? 0 : -1;
}

int event_pack(const struct casebus_event *event, struct crypter *crypter, struct arena *arena,
               struct bytes *packed, uint8_t hash[DIGEST_SIZE], struct casebus_error *err)
{
    struct packing packing;
    struct bytes header;
    random_bytes(packing.random, (1 + parts_count(event)) * RANDOM_SIZE);
    if (packing_make(&packing, event, crypter, arena, &header, err) != 0)
        return -1;
    event_hash(crypter, header, hash);
    Casebus__V1__Event message = CASEBUS__V1__EVENT__INIT;
    message.header = (ProtobufCBinaryData){header.size, (uint8_t *)header.data};
    message.n_part = packing.n;
    message.part = packing.part_list;
    *packed = codec_pack(&message, arena);
    if (!packed->data)
        return no_memory(err);
    if (packed->size > EVENT_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("an event has at most %d bytes, this one has %zu"),
                         EVENT_MAX, packed->size);
    return 0;
}

int casebus_event_check(const struct casebus_event *event, struct casebus_error *err)
{
    struct packing packing;
    struct bytes header;
    struct arena arena;
    memset(&packing, 0, sizeof packing);
    arena_init(&arena, TEXT_BLOCK, 4 * TEXTS_MAX);
    int r = packing_make(&packing, event, NULL, &arena, &header, err);
    size_t size = HEADER_MAX;
    for (size_t i = 0; r == 0 && i < packing.n; i++)
        size += packing.parts[i].content.len + SALT_SIZE;
    if (r == 0 && size > EVENT_MAX)
        r = error_set(err, CASEBUS_TOO_LARGE, _("an event has at most %d bytes, this one has %zu"), EVENT_MAX,
                      size);
    arena_deinit(&arena);
    return r;
}

/* --- reading --- */

static const struct codec_limits part_limits = {
    .max_size = PART_MAX, .max_fields = 3 * FORM_FIELDS_MAX + 16, .max_depth = 2};
static const struct codec_limits event_limits = {
    .max_size = EVENT_MAX, .max_fields = 3 * PARTS_MAX + 8, .max_depth = 2};

static const struct group *group_of_part(Casebus__V1__PartKind kind)
{
    for (const struct group *group = groups; group < groups + N_GROUPS; group++)
        if (group->part && group->part == kind)
            return group;
    return NULL;
}

/* A part of a kind that this version does not know, or a second one of a kind, is kept as it is. */
static int part_read(struct casebus_event *event, Casebus__V1__PartKind kind, struct bytes content,
                     struct casebus_error *err)
{
    const struct group *group = group_of_part(kind);
    if (!group || group_is_open(event, group))
        return casebus_event_add_part(event, content.data, content.size, err);
    const ProtobufCMessage *part = codec_unpack(group->descriptor, content, &part_limits, &event->texts, err);
    if (!part)
        return error_context(err, _("part '%s'"), group->name);
    memcpy(event_at(event, group->offset), part, group->descriptor->sizeof_message);
    event->parts_set |= 1u << group->part;
    return 0;
}

static void fields_read(struct casebus_event *event)
{
    for (const struct group *group = groups; group < groups + N_GROUPS; group++) {
        if (!group->fields || group->fields != event->header.fields_case)
            continue;
        memcpy(&event->fields, event->header.apply, group->descriptor->sizeof_message);
        event->header.apply = &event->fields.apply;
    }
}

int event_read(struct casebus_event *event, struct bytes header, const struct event_part *parts,
               size_t n_parts, struct casebus_error *err)
{
    casebus_event_clear(event);
    const Casebus__V1__EventHeader *decoded = event_header_decode(header, &event->texts, err);
    if (!decoded)
        return -1;
    event->header = *decoded;
    event->decoded = true;
    fields_read(event);
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].index >= decoded->n_commitment)
            return error_set(err, CASEBUS_MALFORMED, _("part %u is not in the event's header"),
                             parts[i].index);
        if (part_read(event, decoded->commitment[parts[i].index]->kind, parts[i].content, err) != 0)
            return -1;
    }
    return 0;
}

int event_read_packed(struct casebus_event *event, struct bytes packed, struct casebus_error *err)
{
    struct event_part parts[PARTS_MAX];
    struct arena arena;
    arena_init(&arena, TEXT_BLOCK, TEXTS_MAX);
    const Casebus__V1__Event *message = (const Casebus__V1__Event *)codec_unpack(
        &casebus__v1__event__descriptor, packed, &event_limits, &arena, err);
    int r = message ? 0 : -1;
    if (r == 0 && message->n_part > PARTS_MAX)
        r = error_set(err, CASEBUS_TOO_LARGE, _("an event has at most %d parts"), PARTS_MAX);
    for (size_t i = 0; r == 0 && i < message->n_part; i++)
        parts[i] = (struct event_part){
            (uint32_t)i, bytes_of(message->part[i]->content.data, message->part[i]->content.len)};
    if (r == 0)
        r = event_read(event, bytes_of(message->header.data, message->header.len), parts, message->n_part,
                       err);
    arena_deinit(&arena);
    return r;
}
