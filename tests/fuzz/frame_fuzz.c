/* A frame from a stranger, looked at as deeply as a hub or a node looks before it knows who signed what. */
#include "proto/codec/batch.h"
#include "proto/codec/event.h"
#include "proto/codec/frame.h"
#include "proto/codec/statement.h"
#include "tests/fuzz/fuzz.h"

static void look_at_batch(struct crypter *crypter, struct arena *arena, const Casebus__V1__Batch *batch)
{
    static const uint8_t key[KEY_SIZE];
    struct casebus_error err = {0};
    uint8_t digest[DIGEST_SIZE];

    statement_decode(bytes_of(batch->statement.data, batch->statement.len), arena, &err);
    for (size_t i = 0; i < batch->n_event; i++) {
        const Casebus__V1__Event *event = batch->event[i];
        struct bytes bytes = bytes_of(event->header.data, event->header.len);
        Casebus__V1__EventHeader *header = event_header_decode(bytes, arena, &err);
        if (!header || event_parts_check(crypter, header, event, &err))
            continue;
        CLAIM(event_header_digest(crypter, bytes, digest, &err) == 0);
        event_content_digest(crypter, key, digest, header, event, digest);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    struct arena arena;
    struct casebus_error err = {0};

    arena_init(&arena, 64 * 1024, 32 * 1024 * 1024);
    Casebus__V1__Frame__BodyCase body = frame_peek(bytes_of(data, size));
    Casebus__V1__Frame *frame = frame_decode(bytes_of(data, size), &arena, &err);
    CLAIM(frame ? frame->body_case == body : err.code != CASEBUS_OK && err.text[0]);
    if (frame && body == CASEBUS__V1__FRAME__BODY_PUBLISH && frame->publish->batch)
        look_at_batch(crypter, &arena, frame->publish->batch);
    if (frame && body == CASEBUS__V1__FRAME__BODY_CONFIRM)
        confirm_decode(bytes_of(frame->confirm->statement.data, frame->confirm->statement.len), &arena, &err);
    if (frame)
        CLAIM(codec_pack(frame, &arena).data);
    arena_deinit(&arena);
    crypter_free(crypter);
    return 0;
}
