/* The crc32 instruction of SSE 4.2, asked for at run time: one build runs on every x86-64. */
#include "proto/base/crc32c.h"

#include <nmmintrin.h>
#include <string.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_by_sse42(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t wide = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; size > 0; size--, p++)
        narrow = _mm_crc32_u8(narrow, *p);
    return ~narrow;
}

crc32c_function *crc32c_by_processor(void)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_by_sse42 : NULL;
}
