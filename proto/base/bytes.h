/* Bytes: a view of memory that somebody else owns, and little helpers to read and write integers. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline void put_u16le(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void put_u32le(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void put_u64le(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint16_t get_u16le(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_u32le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64le(const uint8_t *p)
{
    return (uint64_t)get_u32le(p) | (uint64_t)get_u32le(p + 4) << 32;
}

static inline void put_u32be(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline void put_u64be(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static inline uint32_t get_u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t get_u64be(const uint8_t *p)
{
    return (uint64_t)get_u32be(p) << 32 | get_u32be(p + 4);
}

/* Writes 2 * @size lower-case hex digits and a NUL to @out. Returns @out. */
char *hex_encode(char *out, const void *data, size_t size);
/* Reads exactly 2 * @size hex digits from @text into @out. Returns false when @text is anything else. */
bool hex_decode(void *out, size_t size, const char *text);
/* True when @text is well-formed UTF-8 without NUL (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(const void *text, size_t size);
/* Drops an incomplete character from the end of @text, after a copy that was cut. */
void utf8_cut(char *text);
/* The character at the start of @text, which is not empty: returns its length in bytes. @unsafe: it is one
 * that text_escape does not let through. A byte that is not UTF-8 is unsafe and reads as U+FFFD. */
size_t text_point(const char *text, uint32_t *point, bool *unsafe);
/* As JSON writes it out: \uNNNN, of those beyond U+FFFF twice. */
#define POINT_JSON 13
const char *point_json(char out[POINT_JSON], uint32_t point);
/* Copies @text for a log or a terminal: control characters, those that turn the writing direction or are not
 * seen, and bytes that are not UTF-8 become \xNN. Cut between characters to fit @size. Returns the length. */
size_t text_escape(char *out, size_t size, const char *text);

/* Buffer: bytes that grow up to a bound fixed at birth. */
struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
};

void buffer_init(struct buffer *buffer, size_t max);
void buffer_deinit(struct buffer *buffer); /* fine on a zeroed buffer */
/* Each returns false, and changes nothing, when the bound or memory is exhausted. */
bool buffer_append(struct buffer *buffer, const void *data, size_t size);
bool buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for @size more bytes and returns where they go, or NULL; the caller then adds to @size itself.
 */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
static inline void buffer_reset(struct buffer *buffer)
{
    buffer->size = 0;
}

#endif
