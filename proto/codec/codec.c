/* A message is walked by its descriptor before protobuf-c sees it, so that what protobuf-c then allocates is
 * known to be in proportion, and texts are texts. The walk is stricter than Protocol Buffers where it leaves
 * room for two readings of the same bytes: a singular field or a oneof that is given twice is refused
 * (elsewhere the last one wins, or they are merged), varints are in their shortest form, and numbers fit
 * their type. */
#include "proto/codec/codec.h"

#include "proto/base/texts.h"
#include "proto/codec/wire.h"

#include <assert.h>

struct walk {
    const struct codec_limits *limits;
    size_t n_fields;
    size_t n_unknown;
    struct casebus_error *err;
};

/* A name for the sentences; field numbers that the schema does not know have none. */
static const char *field_name(const ProtobufCFieldDescriptor *field)
{
    return field ? field->name : "?";
}

static int walk_refuse_bytes(struct walk *walk, const ProtobufCMessageDescriptor *message, uint32_t number,
                             enum wire_answer answer)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message, (unsigned)number);
    const char *name = field_name(field);

    if (answer == WIRE_E_CUT)
        return error_set(walk->err, CASEBUS_MALFORMED, _("%s.%s: the bytes end inside this field"),
                         message->short_name, name);
    if (answer == WIRE_E_VARINT)
        return error_set(walk->err, CASEBUS_MALFORMED,
                         _("%s.%s: a number is not in its shortest form or has more than 64 bits"),
                         message->short_name, name);
    return error_set(walk->err, CASEBUS_MALFORMED, _("%s: there is no such field number or wire type"),
                     message->short_name);
}

static int walk_refuse_type(struct walk *walk, const ProtobufCMessageDescriptor *message,
                            const ProtobufCFieldDescriptor *field, enum wire_type type)
{
    return error_set(walk->err, CASEBUS_MALFORMED, _("%s.%s: the wire type %d does not fit this field"),
                     message->short_name, field->name, (int)type);
}

static int walk_count(struct walk *walk, const ProtobufCMessageDescriptor *message, size_t n)
{
    walk->n_fields += n;
    if (walk->n_fields <= walk->limits->max_fields)
        return 0;
    return error_set(walk->err, CASEBUS_TOO_LARGE, _("%s: more than %zu fields"), message->short_name,
                     walk->limits->max_fields);
}

/* How a value of this type is encoded when it is not packed. */
static enum wire_type type_on_wire(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LENGTH;
    default:
        return WIRE_VARINT;
    }
}

static bool varint_fits(ProtobufCType type, uint64_t value)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return value <= 1;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_SINT32:
        return value <= UINT32_MAX;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM: /* negative ones are extended to 64 bits */
        return value <= INT32_MAX || value >= (uint64_t)(int64_t)INT32_MIN;
    default:
        return true;
    }
}

static int walk_varint(struct walk *walk, const ProtobufCMessageDescriptor *message,
                       const ProtobufCFieldDescriptor *field, uint64_t value)
{
    if (varint_fits(field->type, value))
        return 0;
    return error_set(walk->err, CASEBUS_MALFORMED, _("%s.%s: the number is too large for this field"),
                     message->short_name, field->name);
}

/* Eight bytes of ASCII: none has its high bit set, none is NUL. */
static bool word_is_ascii(const uint8_t *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = ones << 7;
    uint64_t word;

    memcpy(&word, at, 8);
    return !(word & highs) && !((word - ones) & ~word & highs);
}

/* Most texts are ASCII: looked at eight bytes at a time until one of them is not. */
static bool text_valid(struct bytes text)
{
    size_t i = 0;

    while (i + 8 <= text.size && word_is_ascii(text.data + i))
        i += 8;
    if (i > 0 && text.size - i < 8 && word_is_ascii(text.data + text.size - 8))
        return true;
    return utf8_valid(text.data + i, text.size - i);
}

static int walk_text(struct walk *walk, const ProtobufCMessageDescriptor *message,
                     const ProtobufCFieldDescriptor *field, struct bytes text)
{
    if (text.size == 0 || text_valid(text))
        return 0;
    error_set(walk->err, CASEBUS_TEXT, _("%s.%s is not valid UTF-8 or holds a NUL"), message->short_name,
              field->name);
    return error_hint(walk->err, _("check which encoding the source uses, such as GB18030"));
}

/* A repeated number in packed form. */
static int walk_packed(struct walk *walk, const ProtobufCMessageDescriptor *message,
                       const ProtobufCFieldDescriptor *field, struct bytes content)
{
    enum wire_type type = type_on_wire(field->type);
    struct wire wire = wire_open(content);

    while (wire.at < wire.end) {
        uint64_t value = 0;
        enum wire_answer answer = type == WIRE_VARINT  ? wire_varint(&wire, &value)
                                  : type == WIRE_64BIT ? wire_skip(&wire, 8)
                                                       : wire_skip(&wire, 4);
        if (answer < 0)
            return walk_refuse_bytes(walk, message, field->id, answer);
        if (walk_varint(walk, message, field, value) || walk_count(walk, message, 1))
            return -1;
    }
    return 0;
}

static int walk_message(struct walk *walk, const ProtobufCMessageDescriptor *message, struct bytes data,
                        unsigned depth);

static int walk_value(struct walk *walk, const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field, const struct wire_field *value, unsigned depth)
{
    enum wire_type type = type_on_wire(field->type);

    if (value->type != type) {
        if (field->label == PROTOBUF_C_LABEL_REPEATED && value->type == WIRE_LENGTH)
            return walk_packed(walk, message, field, value->content);
        return walk_refuse_type(walk, message, field, value->type);
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return walk_text(walk, message, field, value->content);
    case PROTOBUF_C_TYPE_MESSAGE:
        return walk_message(walk, field->descriptor, value->content, depth + 1);
    default:
        return type == WIRE_VARINT ? walk_varint(walk, message, field, value->value) : 0;
    }
}

/* The bits of @field, or of all members of its oneof. */
static uint64_t field_mask(const ProtobufCMessageDescriptor *message, size_t index)
{
    const ProtobufCFieldDescriptor *field = &message->fields[index];
    uint64_t mask = UINT64_C(1) << index;

    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return mask;
    for (size_t i = 0; i < message->n_fields; i++)
        if ((message->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
            message->fields[i].quantifier_offset == field->quantifier_offset)
            mask |= UINT64_C(1) << i;
    return mask;
}

static int walk_once(struct walk *walk, const ProtobufCMessageDescriptor *message, size_t index,
                     uint64_t *seen)
{
    if (message->fields[index].label == PROTOBUF_C_LABEL_REPEATED)
        return 0;
    if (*seen >> index & 1)
        return error_set(walk->err, CASEBUS_MALFORMED, _("%s.%s is given twice"), message->short_name,
                         message->fields[index].name);
    *seen |= field_mask(message, index);
    return 0;
}

/* Index of the field with @number. Senders write fields in order, so @guess (one past the last) is mostly
 * right. */
static size_t field_index(const ProtobufCMessageDescriptor *message, uint32_t number, size_t guess)
{
    if (guess < message->n_fields && message->fields[guess].id == number)
        return guess;
    if (guess > 0 && message->fields[guess - 1].id == number)
        return guess - 1;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(message, number);
    return field ? (size_t)(field - message->fields) : SIZE_MAX;
}

static int walk_message(struct walk *walk, const ProtobufCMessageDescriptor *message, struct bytes data,
                        unsigned depth)
{
    assert(message->n_fields <= 64);
    if (depth > walk->limits->max_depth)
        return error_set(walk->err, CASEBUS_TOO_LARGE, _("%s: messages are nested deeper than %u"),
                         message->short_name, walk->limits->max_depth);

    struct wire wire = wire_open(data);
    struct wire_field value;
    enum wire_answer answer;
    uint64_t seen = 0;
    size_t next = 0;
    while ((answer = wire_next(&wire, &value)) == WIRE_FIELD) {
        if (walk_count(walk, message, 1))
            return -1;
        size_t index = field_index(message, value.number, next);
        if (index == SIZE_MAX) {
            walk->n_unknown++;
            continue;
        }
        if (walk_once(walk, message, index, &seen) ||
            walk_value(walk, message, &message->fields[index], &value, depth))
            return -1;
        next = index + 1;
    }
    return answer == WIRE_END ? 0 : walk_refuse_bytes(walk, message, value.number, answer);
}

static ProtobufCMessage *message_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                    size_t i)
{
    char *base = (char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return (*(ProtobufCMessage ***)(void *)(base + field->offset))[i];
    return *(ProtobufCMessage **)(void *)(base + field->offset);
}

static size_t message_count(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(base + field->quantifier_offset);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
        return 0;
    return message_at(message, field, 0) ? 1 : 0;
}

/* Forgets unknown fields, so that packing a decoded message again does not pass on what nobody here
 * understood. */
static void message_strip(ProtobufCMessage *message)
{
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
    for (size_t i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        size_t n = message_count(message, field);
        for (size_t j = 0; j < n; j++)
            message_strip(message_at(message, field, j));
    }
}

static void *take(void *self, size_t size)
{
    return arena_alloc(self, size);
}

static void give_back(void *self, void *piece)
{
    (void)self;
    (void)piece;
}

ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *descriptor, struct bytes data,
                               const struct codec_limits *limits, struct arena *arena,
                               struct casebus_error *err)
{
    if (data.size > limits->max_size) {
        error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu bytes; at most %zu are allowed"),
                  descriptor->short_name, data.size, limits->max_size);
        return NULL;
    }

    struct walk walk = {.limits = limits, .err = err};
    if (walk_message(&walk, descriptor, data, 1))
        return NULL;

    ProtobufCAllocator allocator = {take, give_back, arena};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, data.size, data.data);
    if (!message) {
        error_set(err, CASEBUS_NO_MEMORY, _("%s: no memory to unpack it"), descriptor->short_name);
        return NULL;
    }
    if (walk.n_unknown > 0)
        message_strip(message);
    return message;
}

bool codec_cut(struct bytes data)
{
    struct wire wire = wire_open(data);
    struct wire_field field;
    enum wire_answer answer;
    do
        answer = wire_next(&wire, &field);
    while (answer == WIRE_FIELD);
    return answer == WIRE_E_CUT;
}

struct bytes codec_pack(const void *message, struct arena *arena)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size);

    if (!data)
        return bytes_of(NULL, 0);
    return bytes_of(data, protobuf_c_message_pack(message, data));
}
