/* Four kinds of records in a segment log say everything:
 *
 *   EVENT  number 8 | mark 8 | a serialised Event
 *   BATCH  stream 8 | first 8 | count 4 | statement size 4 | statement | signature 64
 *   STATE  stream 8 | base 8 | answered 8 | last mark 8 | hash of the last answered statement 32
 *   KEPT   first number 8 | last number 8 | end 8 | record of the first event 8 | bytes 8
 *
 * The newest STATE says which events are done with and in which stream the rest is numbered; BATCH records of
 * that stream behind it are frozen. STATE is written with each answer but synced only with what comes next:
 * if it is lost, some batches are sent again as the same bytes, and the hub gives the same answers again.
 * What lies before the first unanswered event is trimmed, but not before the STATE that says so is on disk.
 * When the hub has told that its ledger gets a second copy, answered batches stay until that copy reaches the
 * ledger size `end`; KEPT says so. A restored hub that has less makes them unanswered again.
 *
 *      answered        taken (sent)      fed (in memory)      last
 *   ------|----------------|-----------------|------------------|      numbers
 *         '--- batches, frozen and sent or unsent ---'
 */
#include "adapters/sdk/outbox.h"

#include "adapters/sdk/feed.h"
#include "adapters/sdk/kept.h"
#include "proto/base/seglog.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    RECORD_EVENT = 1,
    RECORD_BATCH = 2,
    RECORD_STATE = 3,
    RECORD_KEPT = 4,

    EVENT_HEAD = 16,
    BATCH_HEAD = 24,
    STATE_SIZE = 64,
    KEPT_SIZE = 40,
    STATEMENT_MAX = 1024,

    SEGMENT_SIZE = 4 * 1024 * 1024,
    UNSYNCED_MAX = 1024 * 1024,
};

struct outbox {
    struct seglog *log;
    const struct enrolment *enrolment;
    struct crypter *crypter;
    uint64_t max_bytes;

    uint64_t stream;
    uint64_t base;
    uint64_t answered;
    uint8_t answered_hash[DIGEST_SIZE]; /* of the statement that ended there; zeros at a stream's beginning */
    uint64_t last;
    uint64_t last_mark;
    uint64_t pending_bytes;

    struct outbox_batch *batches; /* oldest first */
    struct outbox_batch **batches_end;

    struct feed feed;
    uint64_t taken;
    uint64_t fed;
    uint64_t feed_record;         /* where the log is read on for the feed */
    struct seglog_reader *reader; /* while the feed is behind */

    struct seglog_reader *back; /* reads sent events again */
    uint64_t back_next;

    uint64_t unanswered_record; /* of the event behind `answered`, or where it will be */
    uint64_t trim_record;       /* as the newest STATE record saw it */
    uint64_t trim_synced;       /* as the newest one that is on disk saw it */
    struct kept kept;           /* answered, and kept until there is a second copy */
    uint64_t keep_max_bytes;
    uint64_t secured;  /* size of the ledger that has a second copy, as the hub said; 0: it keeps none */
    uint64_t last_end; /* of the last answer */
    uint64_t synced_record;
    size_t unsynced_bytes;
    bool state_stale; /* the newest STATE is not synced, or does not say everything */
};

/* --- records --- */

/* Bytes of a length-delimited field with a number below 16; so events are counted, too. */
static size_t field_size(size_t content)
{
    size_t n = 2;
    for (size_t rest = content; rest >= 0x80; rest >>= 7)
        n++;
    return n + content;
}

static int state_append(struct outbox *outbox, struct casebus_error *err)
{
    uint8_t payload[STATE_SIZE];
    put_u64le(payload, outbox->stream);
    put_u64le(payload + 8, outbox->base);
    put_u64le(payload + 16, outbox->answered);
    put_u64le(payload + 24, outbox->last_mark);
    memcpy(payload + 32, outbox->answered_hash, DIGEST_SIZE);
    struct iovec part = {payload, sizeof payload};
    uint64_t record;
    if (seglog_append(outbox->log, RECORD_STATE, &part, 1, &record, err) != 0)
        return -1;
    outbox->trim_record = outbox->unanswered_record < record ? outbox->unanswered_record : record;
    outbox->state_stale = true;
    return 0;
}

/* What is kept is not trimmed. */
static int log_trim(struct outbox *outbox, struct casebus_error *err)
{
    uint64_t kept = kept_record(&outbox->kept);
    uint64_t record = kept < outbox->trim_synced ? kept : outbox->trim_synced;
    return record ? seglog_trim(outbox->log, record, err) : 0;
}

int outbox_sync(struct outbox *outbox, struct casebus_error *err)
{
    if (seglog_sync(outbox->log, err) != 0)
        return -1;
    outbox->synced_record = seglog_last(outbox->log);
    outbox->unsynced_bytes = 0;
    outbox->state_stale = false;
    outbox->trim_synced = outbox->trim_record;
    return log_trim(outbox, err);
}

int outbox_settle(struct outbox *outbox, struct casebus_error *err)
{
    return outbox->state_stale ? outbox_sync(outbox, err) : 0;
}

static int damaged(const struct seglog_record *record, const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("outbox record %" PRIu64 ": %s"), record->number, what);
}

/* The header inside a serialised Event; our packing puts it first. */
static bool event_header_bytes(struct bytes event, struct bytes *header)
{
    size_t size = 0, at = 1;
    if (event.size < 2 || event.data[0] != (1 << 3 | 2))
        return false;
    for (unsigned shift = 0; shift < 21; shift += 7) {
        if (at == event.size)
            return false;
        uint8_t byte = event.data[at++];
        size |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    if (size > event.size - at)
        return false;
    *header = bytes_of(event.data + at, size);
    return true;
}

/* --- batches --- */

static struct outbox_batch *batch_new(struct bytes statement, const uint8_t signature[SIGNATURE_SIZE],
                                      struct crypter *crypter)
{
    struct outbox_batch *batch = calloc(1, sizeof *batch + statement.size);
    if (!batch)
        return NULL;
    memcpy(batch + 1, statement.data, statement.size);
    memcpy(batch->signature, signature, SIGNATURE_SIZE);
    batch->statement = bytes_of(batch + 1, statement.size);
    statement_hash(crypter, batch->statement, batch->hash);
    return batch;
}

static struct outbox_batch *batch_free(struct outbox_batch *batch)
{
    if (batch) {
        free(batch->marks);
        free(batch->event_hashes);
        free(batch);
    }
    return NULL;
}

static void batches_free(struct outbox *outbox)
{
    while (outbox->batches) {
        struct outbox_batch *batch = outbox->batches;
        outbox->batches = batch->next;
        batch_free(batch);
    }
    outbox->batches_end = &outbox->batches;
}

static void batch_add(struct outbox *outbox, struct outbox_batch *batch)
{
    *outbox->batches_end = batch;
    outbox->batches_end = &batch->next;
}

static struct outbox_batch *batch_last(const struct outbox *outbox)
{
    struct outbox_batch *batch = outbox->batches;
    while (batch && batch->next)
        batch = batch->next;
    return batch;
}

/* Number of the last event in a batch. */
static uint64_t frozen_number(const struct outbox *outbox, const uint8_t **hash)
{
    const struct outbox_batch *batch = batch_last(outbox);
    *hash = batch ? batch->hash : outbox->answered_hash;
    return batch ? batch->first_number + batch->count - 1 : outbox->answered;
}

uint64_t outbox_frozen(const struct outbox *outbox, uint8_t hash[DIGEST_SIZE])
{
    const uint8_t *last_hash;
    uint64_t number = frozen_number(outbox, &last_hash);
    memcpy(hash, last_hash, DIGEST_SIZE);
    return number - outbox->base;
}

/* --- opening --- */

typedef int record_fn(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err);

static int log_walk(struct outbox *outbox, record_fn *visit, struct casebus_error *err)
{
    struct seglog_reader *reader;
    struct seglog_record record;
    if (seglog_reader_open(&reader, outbox->log, seglog_first(outbox->log), err) != 0)
        return -1;
    int r;
    while ((r = seglog_reader_next(reader, &record, err)) == 1)
        if (visit(outbox, &record, err) != 0) {
            r = -1;
            break;
        }
    seglog_reader_close(reader);
    return r;
}

/* First walk: the newest STATE. */
static int state_recover(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    if (record->kind != RECORD_STATE)
        return 0;
    const uint8_t *at = record->payload.data;
    if (record->payload.size != STATE_SIZE)
        return damaged(record, _("a state of the wrong size"), err);
    outbox->stream = get_u64le(at);
    outbox->base = get_u64le(at + 8);
    outbox->answered = get_u64le(at + 16);
    outbox->last_mark = get_u64le(at + 24);
    memcpy(outbox->answered_hash, at + 32, DIGEST_SIZE);
    outbox->last = outbox->answered;
    if (outbox->stream == 0 || outbox->base > outbox->answered)
        return damaged(record, _("a state that cannot be"), err);
    return 0;
}

static int event_recover(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    if (record->payload.size < EVENT_HEAD)
        return damaged(record, _("an event of the wrong size"), err);
    uint64_t number = get_u64le(record->payload.data);
    if (number <= outbox->answered)
        return 0;
    if (number != outbox->last + 1)
        return damaged(record, _("an event that is out of order"), err);
    if (number == outbox->answered + 1)
        outbox->unanswered_record = record->number;
    outbox->last = number;
    outbox->last_mark = get_u64le(record->payload.data + 8);
    outbox->pending_bytes += field_size(record->payload.size - EVENT_HEAD);
    return 0;
}

static int batch_recover(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    const uint8_t *at = record->payload.data;
    if (record->payload.size < BATCH_HEAD + SIGNATURE_SIZE ||
        get_u32le(at + 20) != record->payload.size - BATCH_HEAD - SIGNATURE_SIZE)
        return damaged(record, _("a batch of the wrong size"), err);
    uint64_t first = get_u64le(at + 8);
    uint32_t count = get_u32le(at + 16);
    if (get_u64le(at) != outbox->stream || outbox->base + first <= outbox->answered)
        return 0; /* of a stream that was left, or answered */
    const uint8_t *hash;
    uint64_t frozen = frozen_number(outbox, &hash);
    if (outbox->base + first != frozen + 1 || count == 0 || count > BATCH_MAX_EVENTS ||
        frozen + count > outbox->last)
        return damaged(record, _("a batch that does not fit its events"), err);
    struct bytes statement = bytes_of(at + BATCH_HEAD, get_u32le(at + 20));
    struct outbox_batch *batch = batch_new(statement, statement.data + statement.size, outbox->crypter);
    if (!batch)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the outbox"));
    batch->stream = outbox->stream;
    batch->first = first;
    batch->count = count;
    batch->first_number = outbox->base + first;
    batch->record = record->number;
    batch_add(outbox, batch);
    return 0;
}

static int kept_recover(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    const uint8_t *at = record->payload.data;
    if (record->payload.size != KEPT_SIZE)
        return damaged(record, _("a note of what is kept, of the wrong size"), err);
    const struct kept_batch batch = {get_u64le(at), get_u64le(at + 8), get_u64le(at + 16), get_u64le(at + 24),
                                     get_u64le(at + 32)};
    if (batch.last_number > outbox->answered || batch.first_record < seglog_first(outbox->log))
        return 0; /* taken back, or trimmed */
    if (batch.first_number == 0 || batch.first_number > batch.last_number ||
        batch.first_record >= record->number)
        return damaged(record, _("a note of what is kept that cannot be"), err);
    outbox->last_end = batch.end;
    return kept_add(&outbox->kept, &batch)
               ? 0
               : error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the outbox"));
}

/* Second walk: what is not answered. */
static int rest_recover(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    switch (record->kind) {
    case RECORD_EVENT:
        return event_recover(outbox, record, err);
    case RECORD_BATCH:
        return batch_recover(outbox, record, err);
    case RECORD_KEPT:
        return kept_recover(outbox, record, err);
    case RECORD_STATE:
        return 0;
    default:
        return damaged(record, _("a record of an unknown kind"), err);
    }
}

static uint64_t stream_random(void)
{
    uint64_t stream;
    do
        random_bytes(&stream, sizeof stream);
    while (stream == 0);
    return stream;
}

/* A batch is good for the hub, node and key that its statement names. After another enrolment the events go
 * out in new batches. */
static bool batch_is_ours(const struct outbox *outbox, const struct outbox_batch *batch)
{
    const struct enrolment *enrolment = outbox->enrolment;
    struct arena arena;
    arena_init(&arena, 4096, 64 * 1024);
    const Casebus__V1__BatchStatement *statement = statement_decode(batch->statement, &arena, NULL);
    bool ours = statement && strcmp(statement->origin, enrolment->origin) == 0 &&
                strcmp(statement->node, enrolment->node) == 0 &&
                memcmp(statement->key_id.data, enrolment->key_id, KEY_ID_SIZE) == 0;
    arena_deinit(&arena);
    return ours;
}

static int outbox_recover(struct outbox *outbox, struct casebus_error *err)
{
    outbox->unanswered_record = seglog_last(outbox->log) + 1;
    if (log_walk(outbox, state_recover, err) != 0)
        return -1;
    if (outbox->stream == 0 && seglog_last(outbox->log) > 0)
        return error_set(err, CASEBUS_DAMAGED, _("the outbox holds no state"));
    if (log_walk(outbox, rest_recover, err) != 0)
        return -1;
    outbox_rewind(outbox);
    outbox->synced_record = seglog_last(outbox->log);
    if (outbox->stream == 0 || (outbox->batches && !batch_is_ours(outbox, outbox->batches)))
        return outbox_restream(outbox, err);
    return 0;
}

int outbox_open(struct outbox **outboxp, const struct outbox_options *options, struct casebus_error *err)
{
    const struct seglog_options log_options = {
        .magic = {'C', 'B', 'O', 'U', 'T', 'B', '0', '1'}, .segment_size = SEGMENT_SIZE, .spare = 0};
    *outboxp = NULL;
    struct outbox *outbox = calloc(1, sizeof *outbox);
    if (!outbox || !feed_init(&outbox->feed)) {
        outbox_close(outbox);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open the outbox"));
    }
    outbox->batches_end = &outbox->batches;
    outbox->enrolment = options->enrolment;
    outbox->crypter = options->crypter;
    outbox->max_bytes = options->max_bytes;
    outbox->keep_max_bytes = options->keep_max_bytes;
    if (seglog_open(&outbox->log, options->dir, &log_options, err) != 0 || outbox_recover(outbox, err) != 0) {
        error_context(err, _("outbox '%s'"), options->dir);
        outbox->log = seglog_close(outbox->log); /* leaves the files as they were found */
        outbox_close(outbox);
        return -1;
    }
    *outboxp = outbox;
    return 0;
}

struct outbox *outbox_close(struct outbox *outbox)
{
    if (!outbox)
        return NULL;
    if (outbox->log && outbox_sync(outbox, NULL) == 0)
        seglog_close_idle(outbox->log, NULL);
    seglog_reader_close(outbox->reader);
    seglog_reader_close(outbox->back);
    seglog_close(outbox->log);
    batches_free(outbox);
    feed_deinit(&outbox->feed);
    kept_deinit(&outbox->kept);
    free(outbox);
    return NULL;
}

/* --- taking events --- */

int outbox_append(struct outbox *outbox, struct bytes event, const uint8_t hash[DIGEST_SIZE], uint64_t mark,
                  uint64_t *number, struct casebus_error *err)
{
    uint8_t head[EVENT_HEAD];
    uint64_t record;
    if (outbox->pending_bytes + event.size > outbox->max_bytes) {
        error_set(err, CASEBUS_BUSY, _("the outbox holds %" PRIu64 " bytes that the hub has not answered"),
                  outbox->pending_bytes);
        return error_hint(err, _("wait until the hub has taken some of it"));
    }
    if (outbox->unsynced_bytes > UNSYNCED_MAX && outbox_sync(outbox, err) != 0)
        return -1;
    put_u64le(head, outbox->last + 1);
    put_u64le(head + 8, mark);
    struct iovec parts[] = {{head, sizeof head}, {(void *)event.data, event.size}};
    if (seglog_append(outbox->log, RECORD_EVENT, parts, 2, &record, err) != 0)
        return -1;
    if (outbox->last == outbox->answered)
        outbox->unanswered_record = record;
    if (outbox->fed == outbox->last && feed_add(&outbox->feed, event, record, mark, hash)) {
        outbox->fed++;
        outbox->feed_record = record + 1;
    }
    *number = ++outbox->last;
    outbox->last_mark = mark;
    outbox->pending_bytes += field_size(event.size);
    outbox->unsynced_bytes += event.size;
    return 0;
}

uint64_t outbox_last_mark(const struct outbox *outbox)
{
    return outbox->last_mark;
}

uint64_t outbox_stream(const struct outbox *outbox)
{
    return outbox->stream;
}

uint64_t outbox_pending(const struct outbox *outbox)
{
    return outbox->last - outbox->answered;
}

uint64_t outbox_pending_bytes(const struct outbox *outbox)
{
    return outbox->pending_bytes;
}

/* --- the feed --- */

static int feed_read(struct outbox *outbox, const struct seglog_record *record, struct casebus_error *err)
{
    struct bytes header;
    uint8_t hash[DIGEST_SIZE];
    outbox->feed_record = record->number + 1;
    if (record->kind != RECORD_EVENT || record->payload.size < EVENT_HEAD ||
        get_u64le(record->payload.data) <= outbox->fed)
        return 0;
    struct bytes event = bytes_of(record->payload.data + EVENT_HEAD, record->payload.size - EVENT_HEAD);
    if (!event_header_bytes(event, &header))
        return damaged(record, _("an event without a header"), err);
    event_hash(outbox->crypter, header, hash);
    bool added = feed_add(&outbox->feed, event, record->number, get_u64le(record->payload.data + 8), hash);
    assert(added);
    (void)added;
    outbox->fed++;
    return 0;
}

/* Reads on from the log until the feed is full or has everything. What is appended while a reader is open is
 * seen by the next one. */
static int feed_fill(struct outbox *outbox, struct casebus_error *err)
{
    while (outbox->fed < outbox->last && feed_has_room(&outbox->feed)) {
        struct seglog_record record;
        if (!outbox->reader &&
            (outbox_sync(outbox, err) != 0 ||
             seglog_reader_open(&outbox->reader, outbox->log, outbox->feed_record, err) != 0))
            return -1;
        int r = seglog_reader_next(outbox->reader, &record, err);
        if (r == 1)
            r = feed_read(outbox, &record, err);
        else if (r == 0)
            outbox->reader = seglog_reader_close(outbox->reader);
        if (r < 0)
            return -1;
    }
    if (outbox->fed == outbox->last)
        outbox->reader = seglog_reader_close(outbox->reader);
    return 0;
}

/* Fills the feed when it runs low. */
static int feed_need(struct outbox *outbox, size_t n, struct casebus_error *err)
{
    return outbox->feed.n >= n || outbox->fed == outbox->last ? 0 : feed_fill(outbox, err);
}

void outbox_rewind(struct outbox *outbox)
{
    for (struct outbox_batch *batch = outbox->batches; batch; batch = batch->next)
        batch->sent = false;
    outbox->reader = seglog_reader_close(outbox->reader);
    feed_reset(&outbox->feed);
    outbox->taken = outbox->fed = outbox->answered;
    outbox->feed_record = outbox->unanswered_record;
}

/* --- streams --- */

enum outbox_agreement outbox_compare(const struct outbox *outbox, uint64_t last, struct bytes hash)
{
    uint64_t answered = outbox->answered - outbox->base;
    if (last < answered)
        return OUTBOX_FORGOTTEN;
    if (last == 0)
        return OUTBOX_AGREES;
    if (last == answered)
        return bytes_equal(hash, bytes_of(outbox->answered_hash, DIGEST_SIZE)) ? OUTBOX_AGREES
                                                                               : OUTBOX_COPIED;
    for (const struct outbox_batch *batch = outbox->batches; batch; batch = batch->next)
        if (batch->first + batch->count - 1 == last && bytes_equal(hash, bytes_of(batch->hash, DIGEST_SIZE)))
            return OUTBOX_AGREES;
    return OUTBOX_COPIED;
}

int outbox_restream(struct outbox *outbox, struct casebus_error *err)
{
    outbox->stream = stream_random();
    outbox->base = outbox->answered;
    memset(outbox->answered_hash, 0, DIGEST_SIZE);
    batches_free(outbox);
    outbox_rewind(outbox);
    return state_append(outbox, err) != 0 ? -1 : outbox_sync(outbox, err);
}

/* --- freezing and sending --- */

struct outbox_batch *outbox_unsent(struct outbox *outbox)
{
    struct outbox_batch *batch = outbox->batches;
    while (batch && batch->sent)
        batch = batch->next;
    return batch;
}

static int batch_sign(struct outbox *outbox, uint64_t first, const struct feed_event *events, size_t count,
                      const uint8_t *previous, struct arena *arena, struct bytes *statement,
                      uint8_t signature[SIGNATURE_SIZE], struct casebus_error *err)
{
    const struct enrolment *enrolment = outbox->enrolment;
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE], root[DIGEST_SIZE];
    for (size_t i = 0; i < count; i++)
        memcpy(hashes[i], events[i].hash, DIGEST_SIZE);
    events_root(outbox->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, count, root);
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    fields.suite = (Casebus__V1__Suite)suite_id(enrolment->suite);
    fields.origin = (char *)enrolment->origin;
    fields.node = (char *)enrolment->node;
    fields.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, (uint8_t *)enrolment->key_id};
    fields.stream = outbox->stream;
    fields.first = first;
    fields.count = (uint32_t)count;
    fields.events_root = (ProtobufCBinaryData){DIGEST_SIZE, root};
    fields.previous = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)previous};
    return statement_make(outbox->crypter, &fields, enrolment->key, arena, statement, signature, err);
}

static int batch_append(struct outbox *outbox, struct outbox_batch *batch, struct casebus_error *err)
{
    uint8_t head[BATCH_HEAD];
    put_u64le(head, batch->stream);
    put_u64le(head + 8, batch->first);
    put_u32le(head + 16, batch->count);
    put_u32le(head + 20, (uint32_t)batch->statement.size);
    struct iovec parts[] = {{head, sizeof head},
                            {(void *)batch->statement.data, batch->statement.size},
                            {batch->signature, SIGNATURE_SIZE}};
    return seglog_append(outbox->log, RECORD_BATCH, parts, 3, &batch->record, err);
}

/* Makes a batch of the first @count events of the feed. */
static int batch_freeze(struct outbox *outbox, size_t count, struct arena *arena, struct casebus_error *err)
{
    struct bytes bytes, statement;
    uint8_t signature[SIGNATURE_SIZE];
    const uint8_t *previous;
    uint64_t first_number = frozen_number(outbox, &previous) + 1;
    const struct feed_event *events = feed_peek(&outbox->feed, count, &bytes);
    assert(first_number == outbox->taken + 1);
    if (batch_sign(outbox, first_number - outbox->base, events, count, previous, arena, &statement, signature,
                   err) != 0)
        return -1;
    struct outbox_batch *batch = batch_new(statement, signature, outbox->crypter);
    if (!batch)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a batch"));
    batch->stream = outbox->stream;
    batch->first = first_number - outbox->base;
    batch->first_number = first_number;
    batch->count = (uint32_t)count;
    if (batch_append(outbox, batch, err) != 0) {
        batch_free(batch);
        return -1;
    }
    batch_add(outbox, batch);
    return 0;
}

int outbox_freeze(struct outbox *outbox, size_t max_events, size_t max_bytes, bool only_full,
                  struct casebus_error *err)
{
    bool full;
    assert(!outbox_unsent(outbox));
    if (feed_need(outbox, max_events, err) != 0)
        return -1;
    size_t count = feed_batch(&outbox->feed, max_events, max_bytes, &full);
    if (count == 0 || (only_full && !full))
        return 0;
    struct arena arena;
    arena_init(&arena, 4096, 64 * 1024);
    int r = batch_freeze(outbox, count, &arena, err);
    arena_deinit(&arena);
    return r == 0 ? 1 : -1;
}

/* Tag and length of a length-delimited field. */
static uint8_t *field_open(uint8_t *out, unsigned number, size_t size)
{
    *out++ = (uint8_t)(number << 3 | 2);
    for (; size >= 0x80; size >>= 7)
        *out++ = (uint8_t)(size | 0x80);
    *out++ = (uint8_t)size;
    return out;
}

static uint8_t *bytes_put(uint8_t *out, struct bytes bytes)
{
    memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

/* Frame { publish: Publish { batch: Batch { statement, signature, event... } } } without a message in
 * between: the events' bytes must not be serialised again. */
struct frame_sizes {
    size_t batch;
    size_t publish;
    size_t frame;
};

static struct frame_sizes frame_measure(const struct outbox_batch *batch, struct bytes events)
{
    struct frame_sizes sizes;
    sizes.batch = field_size(batch->statement.size) + field_size(SIGNATURE_SIZE) + events.size;
    sizes.publish = field_size(sizes.batch);
    sizes.frame = field_size(sizes.publish);
    return sizes;
}

static uint8_t *frame_make(const struct outbox_batch *batch, struct bytes events)
{
    struct frame_sizes sizes = frame_measure(batch, events);
    uint8_t *frame = malloc(sizes.frame);
    if (!frame)
        return NULL;
    uint8_t *at = field_open(frame, 3, sizes.publish);
    at = field_open(at, 1, sizes.batch);
    at = bytes_put(field_open(at, 1, batch->statement.size), batch->statement);
    at = bytes_put(field_open(at, 2, SIGNATURE_SIZE), bytes_of(batch->signature, SIGNATURE_SIZE));
    at = bytes_put(at, events);
    assert(at == frame + sizes.frame);
    (void)at;
    return frame;
}

/* Keeps what is needed to check the answer. */
static bool batch_note(struct outbox_batch *batch, const struct feed_event *events, size_t event_bytes)
{
    if (!batch->marks)
        batch->marks = calloc(batch->count, sizeof *batch->marks);
    if (!batch->event_hashes)
        batch->event_hashes = calloc(batch->count, sizeof *batch->event_hashes);
    if (!batch->marks || !batch->event_hashes)
        return false;
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->marks[i] = events[i].mark;
        memcpy(batch->event_hashes[i], events[i].hash, DIGEST_SIZE);
    }
    batch->first_record = events[0].record;
    batch->event_bytes = event_bytes;
    return true;
}

int outbox_send(struct outbox *outbox, size_t max, uint8_t **framep, size_t *sizep, struct casebus_error *err)
{
    struct outbox_batch *batch = outbox_unsent(outbox);
    struct bytes events;
    assert(batch && batch->first_number == outbox->taken + 1);
    if (batch->record > outbox->synced_record && outbox_sync(outbox, err) != 0)
        return -1;
    if (feed_need(outbox, batch->count, err) != 0)
        return -1;
    if (outbox->feed.n < batch->count)
        return error_set(err, CASEBUS_DAMAGED, _("the outbox has lost events of a batch"));
    const struct feed_event *known = feed_peek(&outbox->feed, batch->count, &events);
    *sizep = frame_measure(batch, events).frame;
    if (*sizep > max)
        return 0;
    *framep = frame_make(batch, events);
    if (!*framep || !batch_note(batch, known, events.size)) {
        free(*framep);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a batch"));
    }
    batch->frame_size = *sizep;
    batch->sent = true;
    feed_drop(&outbox->feed, batch->count);
    outbox->taken += batch->count;
    return 1;
}

/* --- answers --- */

struct outbox_batch *outbox_awaited(struct outbox *outbox)
{
    return outbox->batches && outbox->batches->sent ? outbox->batches : NULL;
}

/* Reads on until event @number, which has to come. */
static int back_read(struct outbox *outbox, uint64_t number, struct buffer *event, struct casebus_error *err)
{
    struct seglog_record record;
    int r;
    while ((r = seglog_reader_next(outbox->back, &record, err)) == 1) {
        if (record.kind != RECORD_EVENT || get_u64le(record.payload.data) != number)
            continue;
        outbox->back_next = number + 1;
        buffer_reset(event);
        if (buffer_append(event, record.payload.data + EVENT_HEAD, record.payload.size - EVENT_HEAD))
            return 0;
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read an event"));
    }
    return r < 0 ? -1 : error_set(err, CASEBUS_DAMAGED, _("event %" PRIu64 " is not in the outbox"), number);
}

int outbox_read(struct outbox *outbox, const struct outbox_batch *batch, uint32_t index, struct buffer *event,
                struct casebus_error *err)
{
    uint64_t number = batch->first_number + index;
    if (outbox->back && outbox->back_next > batch->first_number && outbox->back_next <= number)
        return back_read(outbox, number, event, err);
    outbox->back = seglog_reader_close(outbox->back);
    if (seglog_reader_open(&outbox->back, outbox->log, batch->first_record, err) != 0)
        return -1;
    return back_read(outbox, number, event, err);
}

/* Where the first event that is not answered lies in the log. */
static uint64_t unanswered_find(const struct outbox *outbox)
{
    const struct outbox_batch *next = outbox->batches;
    if (next && next->sent)
        return next->first_record;
    if (outbox->feed.n > 0)
        return outbox->feed.events[outbox->feed.first].record;
    return outbox->fed < outbox->last ? outbox->feed_record : seglog_last(outbox->log) + 1;
}

/* A batch that was refused as a whole has no place in the ledger; it counts as lying where the one before
 * ends, so that numbers are kept without gaps. */
static int batch_keep(struct outbox *outbox, const struct outbox_batch *batch, uint64_t end,
                      struct casebus_error *err)
{
    uint8_t payload[KEPT_SIZE];
    struct iovec part = {payload, sizeof payload};
    uint64_t record;
    if (end > outbox->last_end)
        outbox->last_end = end;
    if (outbox->secured == 0 || outbox->keep_max_bytes == 0)
        return 0;
    const struct kept_batch kept = {batch->first_number, batch->first_number + batch->count - 1,
                                    outbox->last_end, batch->first_record, batch->event_bytes};
    put_u64le(payload, kept.first_number);
    put_u64le(payload + 8, kept.last_number);
    put_u64le(payload + 16, kept.end);
    put_u64le(payload + 24, kept.first_record);
    put_u64le(payload + 32, kept.bytes);
    if (!kept_add(&outbox->kept, &kept))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to keep what was sent"));
    return seglog_append(outbox->log, RECORD_KEPT, &part, 1, &record, err);
}

int outbox_answered(struct outbox *outbox, uint64_t end, struct casebus_error *err)
{
    struct outbox_batch *batch = outbox_awaited(outbox);
    assert(batch);
    if (batch_keep(outbox, batch, end, err) != 0)
        return -1;
    outbox->answered += batch->count;
    memcpy(outbox->answered_hash, batch->hash, DIGEST_SIZE);
    assert(batch->event_bytes <= outbox->pending_bytes);
    outbox->pending_bytes -= batch->event_bytes;
    outbox->batches = batch->next;
    if (!outbox->batches)
        outbox->batches_end = &outbox->batches;
    batch_free(batch);
    outbox->back = seglog_reader_close(outbox->back);
    outbox->unanswered_record = unanswered_find(outbox);
    return state_append(outbox, err);
}

/* --- kept until there is a second copy --- */

int outbox_set_secured(struct outbox *outbox, uint64_t size, struct casebus_error *err)
{
    outbox->secured = size;
    return kept_secure(&outbox->kept, size ? size : UINT64_MAX) ? log_trim(outbox, err) : 0;
}

bool outbox_let_go(struct outbox *outbox, uint64_t *first, uint64_t *last)
{
    return kept_bound(&outbox->kept, outbox->keep_max_bytes, first, last);
}

uint64_t outbox_kept(const struct outbox *outbox, uint64_t *bytes)
{
    if (bytes)
        *bytes = outbox->kept.bytes;
    return kept_events(&outbox->kept);
}

static int pending_recover(struct outbox *outbox, const struct seglog_record *record,
                           struct casebus_error *err)
{
    return record->kind == RECORD_EVENT ? event_recover(outbox, record, err) : 0;
}

int outbox_lost(struct outbox *outbox, uint64_t size, uint64_t *first, uint64_t *count,
                struct casebus_error *err)
{
    uint64_t record;
    *count = 0;
    if (kept_take_lost(&outbox->kept, size, first, &record)) {
        *count = outbox->answered + 1 - *first;
        outbox->answered = outbox->last = *first - 1;
        outbox->pending_bytes = 0;
        outbox->trim_record = record; /* they must not be trimmed any more */
        if (outbox_sync(outbox, err) != 0 || log_walk(outbox, pending_recover, err) != 0)
            return -1;
    }
    outbox->last_end = 0;
    outbox->secured = 0;
    return outbox_restream(outbox, err);
}
