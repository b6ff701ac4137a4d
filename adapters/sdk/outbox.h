/* Outbox: what this node has published and the hub has not yet answered, on disk.
 *
 * An event gets a number when it is taken; numbers run from 1 for as long as the directory lives. What the
 * hub sees are numbers of a *stream*, a random id: stream number = number - base. As long as the outbox is
 * neither copied nor restored, base is 0 and both are the same. Opening a new stream renumbers what is not
 * answered without writing any of it again.
 *
 * A batch is frozen (its statement signed and on disk) before it is first sent, and is the same bytes
 * whenever it is sent again. Batches are answered in their order. */
#ifndef SDK_OUTBOX_H
#define SDK_OUTBOX_H

#include "adapters/sdk/enrolment.h"
#include "proto/codec/batch.h"

struct outbox;

struct outbox_options {
    const char *dir;
    uint64_t max_bytes;                /* of events that are not answered */
    uint64_t keep_max_bytes;           /* of answered ones that are kept until there is a second copy */
    const struct enrolment *enrolment; /* signs the batches; outlives the outbox */
    struct crypter *crypter;           /* of the thread that uses the outbox; outlives it */
};

struct outbox_batch {
    struct outbox_batch *next;
    uint64_t stream;
    uint64_t first; /* in the stream */
    uint32_t count;
    uint64_t first_number; /* in the outbox */
    uint64_t record;       /* of the segment log */
    uint8_t hash[DIGEST_SIZE];
    uint8_t signature[SIGNATURE_SIZE];
    bool sent;
    /* Known from the first sending on: */
    size_t frame_size;
    size_t event_bytes;
    uint64_t first_record; /* of its first event */
    uint64_t *marks;
    uint8_t (*event_hashes)[DIGEST_SIZE];
    struct bytes statement; /* lies behind this struct */
};

/* Opens or makes the outbox in DIR. One process at a time: the caller holds the lock. */
int outbox_open(struct outbox **outboxp, const struct outbox_options *options, struct casebus_error *err);
struct outbox *outbox_close(struct outbox *outbox); /* syncs as well as it can; NULL in, NULL out */

/* Takes a copy of the packed @event with its event hash. CASEBUS_BUSY when the bound is reached. */
int outbox_append(struct outbox *outbox, struct bytes event, const uint8_t hash[DIGEST_SIZE], uint64_t mark,
                  uint64_t *number, struct casebus_error *err);
int outbox_sync(struct outbox *outbox, struct casebus_error *err);
/* Syncs if what is known of the hub's answers is not on disk yet; for quiet moments. */
int outbox_settle(struct outbox *outbox, struct casebus_error *err);

uint64_t outbox_last_mark(const struct outbox *outbox);
uint64_t outbox_stream(const struct outbox *outbox);
uint64_t outbox_pending(const struct outbox *outbox); /* events not answered */
uint64_t outbox_pending_bytes(const struct outbox *outbox);

/* Where the stream stands: the end of the last frozen batch, and its statement's hash (zeros when there is
 * none). */
uint64_t outbox_frozen(const struct outbox *outbox, uint8_t statement_hash[DIGEST_SIZE]);

enum outbox_agreement { OUTBOX_AGREES = 1, OUTBOX_COPIED = 2, OUTBOX_FORGOTTEN = 3 };
/* Compares with what the hub says of this stream: @last, and the hash of the statement that ends there.
 * COPIED: the hub has what this outbox does not know of. FORGOTTEN: the hub has lost what it answered. */
enum outbox_agreement outbox_compare(const struct outbox *outbox, uint64_t last, struct bytes statement_hash);
/* Opens a new stream for everything that is not answered. */
int outbox_restream(struct outbox *outbox, struct casebus_error *err);

/* The oldest batch that is frozen and was not sent since the last rewind; NULL when there is none. */
struct outbox_batch *outbox_unsent(struct outbox *outbox);
/* Freezes the next batch: 1, or 0 when nothing waits or, with @only_full, not enough for a whole batch. */
int outbox_freeze(struct outbox *outbox, size_t max_events, size_t max_bytes, bool only_full,
                  struct casebus_error *err);
/* The frame that publishes the oldest unsent batch, in memory to be freed by the caller. The batch is on disk
 * when it returns, and counts as sent. 1, or 0 when the frame has more than @max bytes. */
int outbox_send(struct outbox *outbox, size_t max, uint8_t **framep, size_t *sizep,
                struct casebus_error *err);
/* Everything that is not answered is unsent again: the session ended. */
void outbox_rewind(struct outbox *outbox);

/* The oldest batch that is sent and not answered; NULL when there is none. */
struct outbox_batch *outbox_awaited(struct outbox *outbox);
/* Reads the @index-th event of a sent @batch into @event (reset first). */
int outbox_read(struct outbox *outbox, const struct outbox_batch *batch, uint32_t index, struct buffer *event,
                struct casebus_error *err);
/* The awaited batch is answered; it is freed. @end: size that the hub's ledger has to have to hold all of it;
 * 0: it is not in the ledger. Its events leave, or stay behind until a second copy of the ledger has them. */
int outbox_answered(struct outbox *outbox, uint64_t end, struct casebus_error *err);

/* The hub's ledger has a second copy up to @size: what is in it may go. 0: none is kept, nothing is waited
 * for.
 */
int outbox_set_secured(struct outbox *outbox, uint64_t size, struct casebus_error *err);
/* True: more was kept than the bound allows, and events *first to *last went. */
bool outbox_let_go(struct outbox *outbox, uint64_t *first, uint64_t *last);
/* How many events are kept, and bytes of them (may be NULL). */
uint64_t outbox_kept(const struct outbox *outbox, uint64_t *bytes);
/* The hub was restored and holds only what lay in the first @size entries: events beyond them are unanswered
 * again, as far as they were kept: *count of them from number *first on. Opens a new stream in any case. */
int outbox_lost(struct outbox *outbox, uint64_t size, uint64_t *first, uint64_t *count,
                struct casebus_error *err);

#endif
