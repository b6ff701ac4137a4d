/* protobuf-c describes every field of a message; so one walk serves all messages, and a field that the schema
 * gains is shown without a line of code. The schema has no recursive messages, which bounds the depth. */
#include "hub/console/message_json.h"

#include "proto/base/bytes.h"

#include <ctype.h>
#include <stdlib.h>

json_t *hex_json(const void *data, size_t size)
{
    char small[2 * 64 + 1];
    char *text = size <= 64 ? small : malloc(2 * size + 1);
    if (!text)
        return NULL;
    json_t *json = json_string(hex_encode(text, data, size));
    if (text != small)
        free(text);
    return json;
}

json_t *number_json(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *stream_json(uint64_t stream)
{
    uint8_t bytes[8];
    put_u64be(bytes, stream);
    return hex_json(bytes, sizeof bytes);
}

/* "RealName" -> "REAL_NAME_": what the schema writes before each value. */
static size_t enum_prefix(char *out, size_t size, const char *name)
{
    size_t n = 0;
    for (const char *p = name; *p && n + 3 < size; p++) {
        if (p > name && isupper((unsigned char)*p))
            out[n++] = '_';
        out[n++] = (char)toupper((unsigned char)*p);
    }
    out[n++] = '_';
    out[n] = '\0';
    return n;
}

static json_t *enum_json(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);
    if (!known)
        return json_integer(value); /* from a newer version */
    char prefix[64], lower[64];
    size_t n = enum_prefix(prefix, sizeof prefix, descriptor->short_name);
    const char *name = strncmp(known->name, prefix, n) == 0 ? known->name + n : known->name;
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[i] = '\0';
    return json_string(lower);
}

static json_t *value_json(const ProtobufCFieldDescriptor *field, const void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)member);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)member);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)member);
    case PROTOBUF_C_TYPE_UINT64:
        return number_json(*(const uint64_t *)member);
    case PROTOBUF_C_TYPE_FIXED64:
        return stream_json(*(const uint64_t *)member);
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real(*(const float *)member);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)member);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)member);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(field->descriptor, *(const int *)member);
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(char *const *)member);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = member;
        return hex_json(bytes->data, bytes->len);
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return message_json(*(ProtobufCMessage *const *)member, NULL);
    }
    return NULL;
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return 4;
    case PROTOBUF_C_TYPE_FLOAT:
        return sizeof(float);
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

/* Whether a field without presence holds its default, which proto3 does not tell from unset. */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *member)
{
    static const uint8_t zeros[8];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)member;
        return !text || !*text;
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)member)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return !*(ProtobufCMessage *const *)member;
    default:
        return memcmp(member, zeros, element_size(field->type)) == 0;
    }
}

static json_t *array_json(const ProtobufCFieldDescriptor *field, const uint8_t *elements, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, value_json(field, elements + i * element_size(field->type)));
    return array;
}

/* NULL: unset. */
static json_t *field_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    const uint8_t *member = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)(base + field->quantifier_offset);
        return n ? array_json(field, *(uint8_t *const *)member, n) : NULL;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (*(const uint32_t *)(base + field->quantifier_offset) != field->id)
            return NULL;
        return value_json(field, member);
    }
    return is_default(field, member) ? NULL : value_json(field, member);
}

static bool listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

json_t *message_json(const ProtobufCMessage *message, const char *const *skip)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        json_t *value = listed(skip, field->name) ? NULL : field_json(message, field);
        if (value)
            json_object_set_new(object, field->name, value);
    }
    return object;
}
