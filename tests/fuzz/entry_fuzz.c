/* A leaf or a sealed body, as read from a damaged ledger or from a file that a stranger calls evidence. */
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/statement.h"
#include "tests/fuzz/fuzz.h"

static void look_at_entry(struct arena *arena, struct bytes data)
{
    struct casebus_error err = {0};
    Casebus__V1__LedgerEntry *entry = entry_decode(data, arena, &err);

    if (!entry) {
        CLAIM(err.code != CASEBUS_OK && err.text[0]);
        return;
    }
    struct bytes packed = codec_pack(entry, arena);
    Casebus__V1__LedgerEntry *again = entry_decode(packed, arena, &err);
    CLAIM(packed.size > ENTRY_MAX || (again && bytes_equal(codec_pack(again, arena), packed)));
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        statement_decode(bytes_of(entry->seal->statement.data, entry->seal->statement.len), arena, &err);
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
        enrolment_decode(
            bytes_of(entry->act->node_enrolled->statement.data, entry->act->node_enrolled->statement.len),
            arena, &err);
}

static void look_at_body(struct crypter *crypter, struct arena *arena, struct bytes data)
{
    static const uint8_t zeros[32];
    struct casebus_error err = {0};
    struct bytes plain;
    Casebus__V1__SealedBody *body = body_decode(data, arena, &err);

    for (size_t i = 0; body && i <= body->n_item; i++)
        body_open_item(crypter, "js.example/exchange/1", zeros, body, zeros, i, arena, &plain, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    struct arena arena;

    arena_init(&arena, 64 * 1024, 32 * 1024 * 1024);
    look_at_entry(&arena, bytes_of(data, size));
    look_at_body(crypter, &arena, bytes_of(data, size));
    arena_deinit(&arena);
    crypter_free(crypter);
    return 0;
}
