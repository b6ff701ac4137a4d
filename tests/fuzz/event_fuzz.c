/* A header from a stranger. What passes comes back the same when it is packed and decoded again, and has its
 * digests.
 */
#include "proto/codec/event.h"
#include "tests/fuzz/fuzz.h"

static void check_again(struct crypter *crypter, struct arena *arena, struct bytes data,
                        const Casebus__V1__EventHeader *header)
{
    struct casebus_error err;
    struct bytes packed = codec_pack(header, arena);
    uint8_t digest[DIGEST_SIZE];

    CLAIM(packed.data && packed.size <= data.size);
    Casebus__V1__EventHeader *again = event_header_decode(packed, arena, &err);
    CLAIM(again && bytes_equal(codec_pack(again, arena), packed));
    CLAIM(event_header_digest(crypter, data, digest, &err) == 0);
    event_hash(crypter, data, digest);
    CLAIM(kind_name(header->kind) && kind_parse(kind_name(header->kind)) == header->kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    struct arena arena;
    struct casebus_error err = {0};
    uint8_t digest[DIGEST_SIZE];

    arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
    Casebus__V1__EventHeader *header = event_header_decode(bytes_of(data, size), &arena, &err);
    if (header)
        check_again(crypter, &arena, bytes_of(data, size), header);
    else
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
    event_header_digest(crypter, bytes_of(data, size), digest, &err);
    arena_deinit(&arena);
    crypter_free(crypter);
    return 0;
}
