/* Wire: the fields of a message one after another, straight from its bytes (Protocol Buffers encoding).
 * Private to this folder. Stricter than the format asks: every varint is in its shortest form and fits into
 * 64 bits, field numbers are 1 to 2^29 - 1, groups do not exist. So there is one way to read given bytes. */
#ifndef CODEC_WIRE_H
#define CODEC_WIRE_H

#include "proto/base/bytes.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };

enum wire_answer {
    WIRE_END = 0,
    WIRE_FIELD = 1,
    WIRE_E_CUT = -1,    /* the bytes end inside a field */
    WIRE_E_VARINT = -2, /* not the shortest form, or more than 64 bits */
    WIRE_E_TAG = -3,    /* no such field number or wire type */
};

struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

struct wire_field {
    const uint8_t *start; /* its tag */
    uint32_t number;
    enum wire_type type;
    uint64_t value;       /* of a varint */
    struct bytes content; /* of a length-delimited field */
};

static inline struct wire wire_open(struct bytes data)
{
    return (struct wire){data.data, data.size ? data.data + data.size : data.data};
}

static inline enum wire_answer wire_varint_long(struct wire *wire, uint64_t *value)
{
    size_t left = (size_t)(wire->end - wire->at);
    size_t most = left < 10 ? left : 10;
    uint64_t result = 0;

    for (size_t i = 0; i < most; i++) {
        uint8_t byte = wire->at[i];
        result |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80)
            continue;
        if ((i > 0 && byte == 0) || (i == 9 && byte > 1))
            return WIRE_E_VARINT;
        wire->at += i + 1;
        *value = result;
        return WIRE_FIELD;
    }
    return most == 10 ? WIRE_E_VARINT : WIRE_E_CUT;
}

static inline enum wire_answer wire_varint(struct wire *wire, uint64_t *value)
{
    if (wire->at < wire->end && *wire->at < 0x80) {
        *value = *wire->at++;
        return WIRE_FIELD;
    }
    return wire_varint_long(wire, value);
}

static inline enum wire_answer wire_skip(struct wire *wire, size_t size)
{
    if ((size_t)(wire->end - wire->at) < size)
        return WIRE_E_CUT;
    wire->at += size;
    return WIRE_FIELD;
}

static inline enum wire_answer wire_content(struct wire *wire, struct bytes *content)
{
    uint64_t size = 0;
    enum wire_answer answer = wire_varint(wire, &size);

    if (answer < 0)
        return answer;
    if (size > (size_t)(wire->end - wire->at))
        return WIRE_E_CUT;
    *content = bytes_of(wire->at, (size_t)size);
    wire->at += size;
    return WIRE_FIELD;
}

/* The next field into @field. After an error @field->number is that of the field it happened in, or 0. */
static inline enum wire_answer wire_next(struct wire *wire, struct wire_field *field)
{
    if (wire->at == wire->end)
        return WIRE_END;

    uint64_t tag = 0;
    *field = (struct wire_field){.start = wire->at};
    enum wire_answer answer = wire_varint(wire, &tag);
    if (answer < 0)
        return answer;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return WIRE_E_TAG;
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)(tag & 7);
    switch (field->type) {
    case WIRE_VARINT:
        return wire_varint(wire, &field->value);
    case WIRE_64BIT:
        return wire_skip(wire, 8);
    case WIRE_LENGTH:
        return wire_content(wire, &field->content);
    case WIRE_32BIT:
        return wire_skip(wire, 4);
    default:
        return WIRE_E_TAG;
    }
}

#endif
