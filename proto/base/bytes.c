/* Bytes and growing buffers. UTF-8 is judged by one small decoder (RFC 3629, table of section 4), which the
 * escaping for logs and terminals uses as well. */
#include "proto/base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char hex_digits[] = "0123456789abcdef";

char *hex_encode(char *out, const void *data, size_t size)
{
    const uint8_t *in = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex_digits[in[i] >> 4];
        out[2 * i + 1] = hex_digits[in[i] & 15];
    }
    out[2 * size] = '\0';
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(void *out, size_t size, const char *text)
{
    uint8_t *bytes = out;
    if (strnlen(text, 2 * size + 1) != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Length of the well-formed character at @text, 0 when there is none. Sets its code point. */
static size_t utf8_next(const uint8_t *text, size_t size, uint32_t *point)
{
    if (size == 0)
        return 0;
    if (text[0] < 0x80) {
        *point = text[0];
        return 1;
    }
    size_t length = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
    if (text[0] < 0xC2 || text[0] > 0xF4 || length > size)
        return 0;
    uint32_t value = text[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3Fu);
    }
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < lowest[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *point = value;
    return length;
}

bool utf8_valid(const void *text, size_t size)
{
    const uint8_t *at = text;
    const uint8_t *end = at + size;
    while (at < end) {
        uint32_t point;
        size_t length = utf8_next(at, (size_t)(end - at), &point);
        if (length == 0 || point == 0)
            return false;
        at += length;
    }
    return true;
}

void utf8_cut(char *text)
{
    size_t size = strlen(text);
    size_t start = size;
    while (start > 0 && size - start < 4) {
        start--;
        if (((uint8_t)text[start] & 0xC0) != 0x80)
            break;
    }
    uint32_t point;
    if (start < size && utf8_next((const uint8_t *)text + start, size - start, &point) != size - start)
        text[start] = '\0';
}

/* Control characters, those that turn the writing direction, and those that nobody sees: with any of them a
 * line could read as another. The joiners U+200C and U+200D stay: there are scripts that need them. */
static bool point_is_unsafe(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } unsafe[] = {{0x7F, 0x9F},     {0xAD, 0xAD},     {0x61C, 0x61C},    {0x180E, 0x180E},
                  {0x200B, 0x200B}, {0x200E, 0x200F}, {0x2028, 0x202E},  {0x2060, 0x206F},
                  {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};
    if (point >= 0x20 && point < unsafe[0].first)
        return false; /* nearly all of them */
    bool found = point < 0x20;
    for (size_t i = 0; !found && i < sizeof unsafe / sizeof unsafe[0]; i++)
        found = point >= unsafe[i].first && point <= unsafe[i].last;
    return found;
}

size_t text_point(const char *text, uint32_t *point, bool *unsafe)
{
    size_t length = utf8_next((const uint8_t *)text, strnlen(text, 4), point);
    *unsafe = length == 0 || point_is_unsafe(*point);
    if (length == 0)
        *point = 0xFFFD;
    return length ? length : 1;
}

const char *point_json(char out[POINT_JSON], uint32_t point)
{
    if (point >= 0x10000)
        snprintf(out, POINT_JSON, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((point - 0x10000) >> 10) % 0x400),
                 (unsigned)(0xDC00 + point % 0x400));
    else
        snprintf(out, POINT_JSON, "\\u%04x", (unsigned)point);
    return out;
}

size_t text_escape(char *out, size_t size, const char *text)
{
    assert(size > 0);
    const uint8_t *at = (const uint8_t *)text;
    const uint8_t *end = at + strlen(text);
    size_t used = 0;
    while (at < end) {
        uint32_t point = 0;
        size_t length = utf8_next(at, (size_t)(end - at), &point);
        bool plain = length > 0 && !point_is_unsafe(point);
        if (length == 0)
            length = 1;
        size_t need = plain ? length : 4 * length;
        if (need >= size - used)
            break;
        if (plain)
            memcpy(out + used, at, length);
        for (size_t i = 0; !plain && i < length; i++) {
            char *to = out + used + 4 * i;
            to[0] = '\\';
            to[1] = 'x';
            to[2] = hex_digits[at[i] >> 4];
            to[3] = hex_digits[at[i] & 15];
        }
        used += need;
        at += length;
    }
    out[used] = '\0';
    return used;
}

void buffer_init(struct buffer *buffer, size_t max)
{
    *buffer = (struct buffer){.max = max};
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (size > buffer->max - buffer->size)
        return NULL;
    size_t need = buffer->size + size;
    if (need > buffer->capacity || !buffer->data) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity < need)
            capacity = capacity > buffer->max / 2 ? buffer->max : 2 * capacity;
        uint8_t *data = realloc(buffer->data, capacity);
        if (!data)
            return NULL;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return true;
    uint8_t *to = buffer_reserve(buffer, size);
    if (!to)
        return false;
    memcpy(to, data, size);
    buffer->size += size;
    return true;
}

bool buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return false;
    bool fits = buffer_append(buffer, text, (size_t)length);
    free(text);
    return fits;
}
