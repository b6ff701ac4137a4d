/* A batch in the ledger: its seal, then an entry for each member that was accepted; the others have their
 * outcome in the seal. Together they are the events that the sender signed, in its order. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdio.h>
#include <stdlib.h>

int verify_batch_closed(const struct verify *verify, struct casebus_error *err)
{
    const struct verify_batch *batch = &verify->batch;
    if (!batch->open)
        return 0;
    return error_set(err, CASEBUS_DAMAGED,
                     _("the seal at %llu stands for event %llu of node '%s', whose entry is missing"),
                     (unsigned long long)batch->seal_position,
                     (unsigned long long)(batch->first + batch->next), batch->node);
}

/* ---- streams ---- */

/* Index of the stream, or where it belongs; *found tells which. */
static size_t stream_place(const struct verify *verify, size_t node, uint64_t id, bool *found)
{
    size_t low = 0, high = verify->n_streams;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct verify_stream *stream = &verify->streams[middle];
        if (stream->node < node || (stream->node == node && stream->id < id))
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < verify->n_streams && verify->streams[low].node == node && verify->streams[low].id == id;
    return low;
}

static struct verify_stream *stream_get(struct verify *verify, const struct verify_node *node, uint64_t id,
                                        struct casebus_error *err)
{
    bool found;
    size_t index = (size_t)(node - verify->nodes);
    size_t place = stream_place(verify, index, id, &found);
    if (found)
        return &verify->streams[place];
    if (verify_grow((void **)&verify->streams, verify->n_streams, sizeof *verify->streams, err))
        return NULL;
    memmove(verify->streams + place + 1, verify->streams + place,
            (verify->n_streams - place) * sizeof *verify->streams);
    verify->n_streams++;
    verify->streams[place] = (struct verify_stream){.node = index, .id = id};
    return &verify->streams[place];
}

/* The batch continues its stream: no number missing, none twice, chained to the statement before. */
static int stream_advance(struct verify *verify, const struct verify_node *node,
                          const Casebus__V1__BatchStatement *statement, struct bytes bytes,
                          struct casebus_error *err)
{
    struct verify_stream *stream = stream_get(verify, node, statement->stream, err);
    if (!stream)
        return -1;
    if (statement->first != stream->last + 1)
        return error_set(err, CASEBUS_SEQ_GAP, _("node '%s', stream %016llx: number %llu follows %llu"),
                         statement->node, (unsigned long long)statement->stream,
                         (unsigned long long)statement->first, (unsigned long long)stream->last);
    if (memcmp(statement->previous.data, stream->last_statement, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_SEQ_CONFLICT,
                         _("node '%s', stream %016llx: batch %llu is not chained to the one before it"),
                         statement->node, (unsigned long long)statement->stream,
                         (unsigned long long)statement->first);
    stream->last = statement->first + statement->count - 1;
    statement_hash(verify->scanner.crypter, bytes, stream->last_statement);
    return 0;
}

/* ---- the seal ---- */

/* Whether the batch was signed with the node's key: as the scanner found it, if it had that key. */
static bool signature_holds(const Casebus__V1__SealEntry *seal, const struct signed_fact *fact,
                            const struct verify_node *node)
{
    if (fact->by == node->verifier)
        return fact->holds;
    return seal->signature.len == SIGNATURE_SIZE &&
           verifier_check(node->verifier, bytes_of(seal->statement.data, seal->statement.len),
                          seal->signature.data);
}

static int signer_check(struct verify *verify, const struct fact *fact, const struct verify_node *node,
                        struct casebus_error *err)
{
    const Casebus__V1__BatchStatement *statement = fact->statement;
    if (strcmp(statement->origin, verify_origin(verify)) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the batch is for hub '%s'"), statement->origin);
    if (!bytes_equal(bytes_of(statement->key_id.data, statement->key_id.len),
                     bytes_of(node->key_id, KEY_ID_SIZE)))
        return error_set(err, CASEBUS_KEY,
                         _("the batch of node '%s' is signed with a key that is not enrolled"),
                         statement->node);
    if (verify_node_active(node, err))
        return -1;
    if (!signature_holds(fact->entry->seal, fact->signatures, node))
        return error_set(err, CASEBUS_SIGNATURE, _("batch by node '%s': the signature does not verify"),
                         statement->node);
    return verify_node_dates(verify, node, err);
}

static int outcome_check(struct verify *verify, const Casebus__V1__SealOutcome *outcome,
                         struct casebus_error *err)
{
    struct verify_batch *batch = &verify->batch;
    if (outcome->index >= batch->count || batch->told[outcome->index])
        return error_set(err, CASEBUS_DAMAGED, _("the seal tells of member %u, which is none or told twice"),
                         outcome->index);
    if (outcome->event_hash.len != DIGEST_SIZE || !outcome->duplicate_of == !*outcome->code)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the seal's outcome of member %u is neither duplicate nor refused"),
                         outcome->index);
    batch->told[outcome->index] = true;
    batch->duplicate_of[outcome->index] = outcome->duplicate_of;
    batch->refused[outcome->index] = *outcome->code ? casebus_code_parse(outcome->code) : CASEBUS_OK;
    memcpy(batch->hashes[outcome->index], outcome->event_hash.data, DIGEST_SIZE);
    if (outcome->duplicate_of)
        verify->result->duplicates++;
    else
        verify->result->refused++;
    return 0;
}

/* A duplicate is one of an event that is there. */
static int duplicate_check(struct verify *verify, uint64_t of, struct casebus_error *err)
{
    struct bytes leaf;
    Casebus__V1__LedgerEntry *entry = NULL;
    if (of <= verify->position) {
        if (ledger_view_leaf(verify->scanner.view, of, &leaf, err))
            return -1;
        entry = entry_decode(leaf, &verify->scanner.arena, err);
    }
    if (!entry || entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(
            err, CASEBUS_DAMAGED,
            _("the seal at %llu calls a member the duplicate of entry %llu, which is no event before it"),
            (unsigned long long)verify->batch.seal_position, (unsigned long long)of);
    return 0;
}

/* When all members are known: they are the ones that were signed. */
static int batch_finish(struct verify *verify, struct casebus_error *err)
{
    struct verify_batch *batch = &verify->batch;
    uint8_t root[DIGEST_SIZE];
    while (batch->next < batch->count && batch->told[batch->next])
        batch->next++;
    if (batch->next < batch->count)
        return 0;
    batch->open = false;
    events_root(verify->scanner.crypter, (const uint8_t(*)[DIGEST_SIZE])batch->hashes, batch->count, root);
    if (memcmp(root, batch->root, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the events behind the seal at %llu are not the ones that node '%s' signed"),
                         (unsigned long long)batch->seal_position, batch->node);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->duplicate_of[i] && duplicate_check(verify, batch->duplicate_of[i] - 1, err))
            return -1;
    return 0;
}

int verify_seal(struct verify *verify, const struct fact *fact, struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = fact->entry->seal;
    const Casebus__V1__BatchStatement *statement = fact->statement;
    if (!statement) {
        *err = *fact->statement_fault;
        return -1;
    }
    const struct verify_node *node = verify_node_find(verify, statement->node, err);
    if (!node || signer_check(verify, fact, node, err) ||
        stream_advance(verify, node, statement, bytes_of(seal->statement.data, seal->statement.len), err))
        return -1;
    struct verify_batch *batch = &verify->batch;
    memset(batch, 0, sizeof *batch);
    batch->open = true;
    batch->seal_position = verify->position;
    snprintf(batch->node, sizeof batch->node, "%s", statement->node);
    batch->stream = statement->stream;
    batch->first = statement->first;
    batch->count = statement->count;
    memcpy(batch->root, statement->events_root.data, DIGEST_SIZE);
    for (size_t i = 0; i < seal->n_outcome; i++)
        if (outcome_check(verify, seal->outcome[i], err))
            return -1;
    verify->result->seals++;
    return batch_finish(verify, err);
}

/* ---- members ---- */

int verify_event(struct verify *verify, const Casebus__V1__EventEntry *event, struct casebus_error *err)
{
    struct verify_batch *batch = &verify->batch;
    if (event->released_from &&
        verify_released(verify, event, batch->open ? &batch->seal_position : NULL, err))
        return -1;
    if (event->released_from && !batch->open) {
        verify->result->events++;
        return 0;
    }
    if (!batch->open)
        return error_set(err, CASEBUS_DAMAGED, _("event %llu of node '%s' stands behind no seal"),
                         (unsigned long long)event->number, event->node);
    if (strcmp(event->node, batch->node) != 0 || event->stream != batch->stream ||
        event->number != batch->first + batch->next)
        return error_set(
            err, CASEBUS_DAMAGED,
            _("event %llu of node '%s' stands where event %llu of node '%s' belongs (seal at %llu)"),
            (unsigned long long)event->number, event->node, (unsigned long long)(batch->first + batch->next),
            batch->node, (unsigned long long)batch->seal_position);
    batch->told[batch->next] = true;
    memcpy(batch->hashes[batch->next], event->event_hash.data, DIGEST_SIZE);
    verify->result->events++;
    return batch_finish(verify, err);
}

/* ---- what was refused ---- */

/* It lies behind the members that were accepted. What stands further on was refused without a seal. */
int verify_refused_alike(const struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                         struct casebus_error *err)
{
    const struct verify_batch *batch = &verify->batch;
    enum casebus_code told = CASEBUS_OK, kept = casebus_code_parse(quarantined->code);
    if (verify->position > batch->seal_position + batch->count || strcmp(batch->node, quarantined->node) != 0)
        return 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (memcmp(batch->hashes[i], quarantined->subject.data, DIGEST_SIZE) != 0)
            continue;
        told = batch->refused[i];
        if (told && quarantine_code_fits(told, kept))
            return 0;
    }
    if (!told)
        return 0;
    return error_set(
        err, CASEBUS_DAMAGED, _("it says that an event was refused with %s; the seal at %llu says with %s"),
        casebus_code_text(kept), (unsigned long long)batch->seal_position, casebus_code_text(told));
}
