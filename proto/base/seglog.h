/* Segment log: numbered records appended to preallocated, zero-filled, reused files, made durable by one
 * fdatasync.
 *
 * It is the hub's commit point (hub/journal) and the adapter's outbox (adapters/sdk). Overwriting zeroed
 * blocks in place needs no allocation and no file-system metadata: measured 2.6 to 2.9 times the commits of a
 * database.
 *
 * A record has a number (from 1, without gaps), a kind (the owner's), a hash of the record before it and a
 * CRC-32C; it also says up to which number everything was on disk when it was appended. Reading stops at the
 * first record that is not whole. When no later record calls it synced, it was torn by a crash and was never
 * acknowledged: it is cut away. When one does, the log is damaged: opening fails with CASEBUS_DAMAGED and a
 * sentence that names file, offset and number. A *closing* record, written by an idle or ending owner, makes
 * sure that damage to the last real record is told from a torn one. It takes no number of its own.
 *
 * One thread at a time, seglog_prepare and readers excepted; several logs are independent. Directory layout:
 * DIR/NNNNNNNN.seg, and DIR/lock held by the one process that has the log open.
 */
#ifndef BASE_SEGLOG_H
#define BASE_SEGLOG_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

#include <sys/uio.h>

struct seglog;

struct seglog_options {
    char magic[8];         /* what the log is for, such as "CBJRNL01"; another one there is refused */
    uint64_t segment_size; /* bytes of a segment file, made whole pages; a record must fit into one */
    unsigned spare;        /* zero-filled segments kept ready ahead */
    uint64_t max_size;     /* bytes of all segments; appending past it is CASEBUS_DISK_FULL; 0: no bound */
};

struct seglog_record {
    uint64_t number;
    uint32_t kind;
    struct bytes payload; /* valid until the next call on the same reader or log */
};

/* Opens or creates the log in DIR; CASEBUS_LOCKED when a process has it open. Its id, 16 random bytes fixed
 * at creation, is told by seglog_id; it is not for strangers. */
int seglog_open(struct seglog **logp, const char *dir, const struct seglog_options *options,
                struct casebus_error *err);
struct seglog *seglog_close(struct seglog *log); /* NULL in, NULL out; does not sync */
const uint8_t *seglog_id(const struct seglog *log);
uint64_t seglog_first(const struct seglog *log); /* lowest number that is still there; last + 1 when empty */
uint64_t seglog_last(const struct seglog *log);  /* highest number appended; 0 when none ever was */

#define SEGLOG_KIND_CLOSING UINT32_MAX /* carries no payload; skipped by readers */

/* Appends one record (gathered from @parts): in memory, not durable and not readable before seglog_sync,
 * except that it syncs by itself what no longer fits into the segment or into 8 MiB. When it fails with
 * CASEBUS_DISK_FULL or CASEBUS_TOO_LARGE, nothing was appended and the log goes on.
 * After a failed write or sync the segment is retired and everything not yet synced is written to a fresh one
 * within the same call. If that fails too, the log refuses everything until it is opened again. */
int seglog_append(struct seglog *log, uint32_t kind, const struct iovec *parts, int n_parts, uint64_t *number,
                  struct casebus_error *err);
int seglog_sync(struct seglog *log, struct casebus_error *err);
/* Appends and syncs a closing record when the last record is not one. */
int seglog_close_idle(struct seglog *log, struct casebus_error *err);
/* Gives segments that hold only numbers below @number back for reuse; syncs when it does. The newest record
 * always stays readable, and a full disk or bound does not hinder it. */
int seglog_trim(struct seglog *log, uint64_t number, struct casebus_error *err);
/* Makes spare segments up to the option, as far as the bound allows; slow (zero-filling), may be called by
 * another thread than the appender, which ends before seglog_close. Removes what is spare far beyond it. */
int seglog_prepare(struct seglog *log, struct casebus_error *err);
/* Bytes in use by records that are not trimmed, for status. */
uint64_t seglog_used(const struct seglog *log);
/* Writes or syncs that failed since the open and were made good in another segment, for status. */
unsigned seglog_faults(const struct seglog *log);

/* Reads from @number on (or the first that is there) what was synced before the open. After it, the reader
 * does not touch the log: it may be used by another thread and outlive it, as long as nothing that it still
 * has to read is trimmed and written over; that it names as an error. */
struct seglog_reader;
int seglog_reader_open(struct seglog_reader **readerp, struct seglog *log, uint64_t number,
                       struct casebus_error *err);
/* 1: @record is filled in; 0: end; -1: failure. */
int seglog_reader_next(struct seglog_reader *reader, struct seglog_record *record, struct casebus_error *err);
struct seglog_reader *seglog_reader_close(struct seglog_reader *reader);

#endif
