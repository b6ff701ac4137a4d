/* The journal on the local disk: a segment log. Whoever holds its lock holds the journal, so the epoch needs
 * no second look here. */
#include "hub/journal/backend.h"

#include "proto/base/seglog.h"

#define SEGMENT_SIZE ((uint64_t)32 << 20)
#define SPARE        2
#define MAX_SIZE     ((uint64_t)1 << 30) /* the ledger is a second behind, not a gigabyte */

static int segments_open(void **selfp, const char *dir, struct casebus_error *err)
{
    static const struct seglog_options options = {
        .magic = {'C', 'B', 'J', 'R', 'N', 'L', '0', '1'},
        .segment_size = SEGMENT_SIZE,
        .spare = SPARE,
        .max_size = MAX_SIZE,
    };
    struct seglog *log;
    if (seglog_open(&log, dir, &options, err) != 0)
        return -1;
    *selfp = log;
    return 0;
}

static void segments_close(void *self)
{
    seglog_close(self);
}

static int segments_append(void *self, enum journal_kind kind, uint64_t epoch, const struct iovec *parts,
                           int n_parts, uint64_t *numberp, struct casebus_error *err)
{
    (void)epoch;
    if (seglog_append(self, kind, parts, n_parts, numberp, err) != 0)
        return -1;
    return seglog_sync(self, err);
}

static int segments_idle(void *self, struct casebus_error *err)
{
    return seglog_close_idle(self, err);
}

static int segments_trim(void *self, uint64_t number, struct casebus_error *err)
{
    return seglog_trim(self, number, err);
}

static int segments_prepare(void *self, struct casebus_error *err)
{
    return seglog_prepare(self, err);
}

static uint64_t segments_used(void *self)
{
    return seglog_used(self);
}

static int segments_reader_open(void **readerp, void *self, uint64_t number, struct casebus_error *err)
{
    struct seglog_reader *reader;
    if (seglog_reader_open(&reader, self, number, err) != 0)
        return -1;
    *readerp = reader;
    return 0;
}

static int segments_reader_next(void *reader, struct journal_record *record, struct casebus_error *err)
{
    struct seglog_record stored;
    int r = seglog_reader_next(reader, &stored, err);
    if (r == 1)
        *record = (struct journal_record){stored.number, stored.kind, stored.payload};
    return r;
}

static void segments_reader_close(void *reader)
{
    seglog_reader_close(reader);
}

const struct journal_backend journal_segments = {
    .name = "segments",
    .open = segments_open,
    .close = segments_close,
    .append = segments_append,
    .idle = segments_idle,
    .trim = segments_trim,
    .prepare = segments_prepare,
    .used = segments_used,
    .reader_open = segments_reader_open,
    .reader_next = segments_reader_next,
    .reader_close = segments_reader_close,
};
