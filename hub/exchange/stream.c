/* Streams: numbers without gaps. A batch is next, a repeat of one that is in the ledger, or not what was
 * promised. */
#include "hub/exchange/exchange_private.h"

int exchange_stream_get(const struct exchange_store *store, const char *node, uint64_t stream_id,
                        struct exchange_stream *stream, struct casebus_error *err)
{
    *stream = (struct exchange_stream){0};
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    struct stream_row row;
    int r =
        store->get(store->self, TABLE_STREAMS, bytes_of(key, stream_key(key, node, stream_id)), &value, err);
    if (r <= 0)
        return r;
    if (stream_row_decode(value, &row, err) < 0)
        return -1;
    stream->last = row.last;
    memcpy(stream->last_statement, row.last_statement, DIGEST_SIZE);
    return 0;
}

static bool digest_equal(ProtobufCBinaryData data, const uint8_t digest[DIGEST_SIZE])
{
    return data.len == DIGEST_SIZE && memcmp(data.data, digest, DIGEST_SIZE) == 0;
}

/* The numbers were used before: by this very batch, or by something else. */
static int find_repeated(const struct exchange_store *store, const char *node,
                         const Casebus__V1__BatchStatement *statement,
                         const uint8_t statement_hash[DIGEST_SIZE], struct exchange_stream *stream,
                         struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    size_t size = batch_key(key, node, statement->stream, statement->first);
    struct bytes value;
    struct batch_row row;
    int r = store->get(store->self, TABLE_BATCHES, bytes_of(key, size), &value, err);
    if (r <= 0)
        return r < 0 ? -1 : SEQUENCE_CONFLICT;
    if (batch_row_decode(value, &row, err) < 0)
        return -1;
    if (row.count != statement->count || memcmp(row.statement_hash, statement_hash, DIGEST_SIZE) != 0)
        return SEQUENCE_CONFLICT;
    stream->seal_position = row.seal_position;
    return SEQUENCE_REPEATED;
}

int exchange_sequence(const struct exchange_store *store, const char *node,
                      const Casebus__V1__BatchStatement *statement, const uint8_t statement_hash[DIGEST_SIZE],
                      struct exchange_stream *stream, struct casebus_error *err)
{
    if (exchange_stream_get(store, node, statement->stream, stream, err) < 0)
        return -1;
    if (statement->first <= stream->last)
        return find_repeated(store, node, statement, statement_hash, stream, err);
    if (statement->first - stream->last > 1)
        return SEQUENCE_GAP;
    return digest_equal(statement->previous, stream->last_statement) ? SEQUENCE_NEXT : SEQUENCE_CONFLICT;
}
