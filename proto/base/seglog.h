/* Segment log: numbered records appended to preallocated, zero-filled, reused files, made durable by one
 * fdatasync.
 *
 * It is the hub's commit point (hub/journal) and the adapter's outbox (adapters/sdk). Overwriting zeroed
 * blocks in place needs no allocation and no file-system metadata: measured 2.6 to 2.9 times the commits of a
 * database.
 *
 * A record has a number (from 1, without gaps), a kind (the owner's), a hash of the record before it and a
 * CRC-32C. Reading stops at the first record that is not whole. When nothing whole stands behind it, it was
 * torn by a crash and was never acknowledged: it is cut away. When a whole record with a higher number stands
 * behind it, the log is damaged: opening fails with CASEBUS_DAMAGED and a sentence that names file, offset
 * and number. A *closing* record, written by an idle or ending owner, makes sure that damage to the last real
 * record is told from a torn one.
 *
 * One thread at a time; several logs are independent. Directory layout: DIR/NNNNNNNN.seg, all of the same
 * size.
 */
#ifndef BASE_SEGLOG_H
#define BASE_SEGLOG_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <sys/uio.h>

struct seglog;

struct seglog_options {
    char magic[8];         /* what the log is for, such as "CBJRNL01"; another one there is refused */
    uint64_t segment_size; /* bytes of a segment file; a record must fit into one */
    unsigned spare;        /* zero-filled segments kept ready ahead */
    uint64_t max_size;     /* bytes of all segments; appending past it is CASEBUS_DISK_FULL; 0: no bound */
};

struct seglog_record {
    uint64_t number;
    uint32_t kind;
    struct bytes payload; /* valid until the next call on the same reader or log */
};

/* Opens or creates the log in DIR. @log_id: 16 random bytes fixed at creation, told by seglog_id. */
int seglog_open(struct seglog **logp, const char *dir, const struct seglog_options *options,
                struct casebus_error *err);
struct seglog *seglog_close(struct seglog *log); /* NULL in, NULL out; does not sync */
const uint8_t *seglog_id(const struct seglog *log);
uint64_t seglog_first(const struct seglog *log); /* lowest number that is still there; last + 1 when empty */
uint64_t seglog_last(const struct seglog *log);  /* highest number appended; 0 when none ever was */

#define SEGLOG_KIND_CLOSING UINT32_MAX /* carries no payload; skipped by readers */

/* Appends one record (gathered from @parts); not durable before seglog_sync. After any failure of append or
 * sync the segment is retired; the records not yet synced are written again to a fresh one by seglog_sync's
 * retry (kept in memory until synced). If that fails too, the log refuses everything until it is opened
 * again. */
int seglog_append(struct seglog *log, uint32_t kind, const struct iovec *parts, int n_parts, uint64_t *number,
                  struct casebus_error *err);
int seglog_sync(struct seglog *log, struct casebus_error *err);
/* Appends and syncs a closing record when the last record is not one. */
int seglog_close_idle(struct seglog *log, struct casebus_error *err);
/* Gives segments that hold only numbers below @number back for reuse. The newest record always stays
 * readable. */
int seglog_trim(struct seglog *log, uint64_t number, struct casebus_error *err);
/* Makes spare segments up to the option; slow (zero-filling), may be called by another thread than the
 * appender. */
int seglog_prepare(struct seglog *log, struct casebus_error *err);
/* Bytes in use by records that are not trimmed, for status. */
uint64_t seglog_used(const struct seglog *log);

/* Reads from @number on (or the first that is there). Independent of appends made after the open. */
struct seglog_reader;
int seglog_reader_open(struct seglog_reader **readerp, struct seglog *log, uint64_t number,
                       struct casebus_error *err);
/* 1: @record is filled in; 0: end; -1: failure. */
int seglog_reader_next(struct seglog_reader *reader, struct seglog_record *record, struct casebus_error *err);
struct seglog_reader *seglog_reader_close(struct seglog_reader *reader);

#endif
