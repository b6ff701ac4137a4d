/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds torn and damaged bytes; no protection against a forger.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues @crc (0 at the beginning) over @size bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The two ways to the same number; crc32c takes the fast one where the processor has it. */
typedef uint32_t crc32c_function(uint32_t crc, const void *data, size_t size);
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size);
crc32c_function *crc32c_by_processor(void); /* NULL when it cannot */

#endif
