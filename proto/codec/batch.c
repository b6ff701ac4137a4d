/* A batch's statement is what a node signs: which numbers of which stream, the tree root over the events'
 * hashes, and the hash of the statement before. One signature proves every member and their order. */
#include "proto/codec/batch.h"

#include "proto/base/texts.h"
#include "proto/codec/check.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/tree.h"

#include <assert.h>

#define BATCH_CONTEXT "casebus/v1/batch"
#define STATEMENT_MAX 512

static const struct codec_limits statement_limits = {
    .max_size = STATEMENT_MAX, .max_fields = 64, .max_depth = 1};

/* A label as the formulas have it: its text and the NUL behind it. */
#define LABEL(text) bytes_of(text, sizeof text)

static bool all_zero(ProtobufCBinaryData value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] != 0)
            return false;
    return true;
}

static int numbers_check(const Casebus__V1__BatchStatement *statement, struct casebus_error *err)
{
    if (statement->stream == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "BatchStatement.stream");
    if (statement->first == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "BatchStatement.first");
    if (statement->count == 0)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "BatchStatement.count");
    if (statement->count > BATCH_MAX_EVENTS)
        return error_set(err, CASEBUS_TOO_LARGE, _("a batch of %u events; at most %d are allowed"),
                         (unsigned)statement->count, BATCH_MAX_EVENTS);
    if (statement->first > UINT64_MAX - statement->count)
        return error_set(err, CASEBUS_BAD_FIELD, _("the numbers of a batch run past 2^64"));
    if (statement->first == 1 && !all_zero(statement->previous))
        return error_set(err, CASEBUS_BAD_FIELD, _("the first batch of a stream names one before it"));
    return 0;
}

static int statement_check(const Casebus__V1__BatchStatement *statement, struct casebus_error *err)
{
    if (check_suite("BatchStatement.suite", statement->suite, err) ||
        check_origin("BatchStatement.origin", statement->origin, err) ||
        check_node("BatchStatement.node", statement->node, err) ||
        check_size("BatchStatement.key_id", statement->key_id, KEY_ID_SIZE, err) ||
        check_size("BatchStatement.events_root", statement->events_root, DIGEST_SIZE, err) ||
        check_size("BatchStatement.previous", statement->previous, DIGEST_SIZE, err))
        return -1;
    return numbers_check(statement, err);
}

Casebus__V1__BatchStatement *statement_decode(struct bytes statement, struct arena *arena,
                                              struct casebus_error *err)
{
    ProtobufCMessage *message =
        codec_unpack(&casebus__v1__batch_statement__descriptor, statement, &statement_limits, arena, err);
    Casebus__V1__BatchStatement *decoded = (Casebus__V1__BatchStatement *)message;

    if (!decoded || check_context("BatchStatement", statement, BATCH_CONTEXT, err) ||
        statement_check(decoded, err))
        return NULL;
    return decoded;
}

void statement_hash(struct crypter *crypter, struct bytes statement, uint8_t hash[DIGEST_SIZE])
{
    struct bytes parts[] = {LABEL("casebus/v1/statement"), statement};

    crypter_hash(crypter, parts, 2, hash);
}

void events_root(struct crypter *crypter, const uint8_t (*event_hashes)[DIGEST_SIZE], size_t n,
                 uint8_t root[DIGEST_SIZE])
{
    uint8_t leaves[BATCH_MAX_EVENTS][DIGEST_SIZE];

    assert(n <= BATCH_MAX_EVENTS);
    for (size_t i = 0; i < n; i++)
        tree_leaf_hash(crypter, bytes_of(event_hashes[i], DIGEST_SIZE), leaves[i]);
    tree_root_of(crypter, (const uint8_t(*)[DIGEST_SIZE])leaves, n, root);
}

int statement_make(struct crypter *crypter, const Casebus__V1__BatchStatement *fields,
                   const struct signing_key *key, struct arena *arena, struct bytes *statement,
                   uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err)
{
    Casebus__V1__BatchStatement full = *fields;
    char context[] = BATCH_CONTEXT;
    uint8_t key_id[KEY_ID_SIZE];

    public_key_id(signing_key_public(key), key_id);
    full.context = context;
    full.suite = (Casebus__V1__Suite)suite_id(crypter_suite(crypter));
    full.key_id = (ProtobufCBinaryData){sizeof key_id, key_id};
    if (statement_check(&full, err))
        return -1;
    *statement = codec_pack(&full, arena);
    if (!statement->data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the statement of a batch"));
    return signing_key_sign(key, *statement, signature, err);
}

void delivered_hash(struct crypter *crypter, uint8_t hash[DIGEST_SIZE], uint64_t position, uint32_t ordinal,
                    const uint8_t event_hash[DIGEST_SIZE])
{
    uint8_t id[12];

    put_u64be(id, position);
    put_u32be(id + 8, ordinal);
    struct bytes parts[] = {LABEL("casebus/v1/delivered"), bytes_of(hash, DIGEST_SIZE),
                            bytes_of(id, sizeof id), bytes_of(event_hash, DIGEST_SIZE)};
    crypter_hash(crypter, parts, 4, hash);
}
