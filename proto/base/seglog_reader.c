/* Reading. A reader takes note of the segments and their ends when it is opened and reads the files by itself
 * from then on; it checks again that each record follows the one before. */
#include "proto/base/seglog_private.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

struct seglog_reader {
    char *dir;
    uint8_t id[SEGLOG_ID_SIZE];
    struct hasher hasher;
    struct walk walk;
    struct segment *segments; /* copies of the log's, oldest first */
    size_t n_segments;
    size_t next_segment;
    uint64_t wanted; /* numbers below are passed over */
};

static bool segment_is_wanted(const struct segment *segment, uint64_t number)
{
    return segment->end > SEGLOG_PAGE && (segment->last >= number || !segment->next);
}

static int segments_copy(struct seglog_reader *reader, const struct seglog *log)
{
    size_t n = 1; /* the active one; it is always there */
    for (const struct segment *segment = log->oldest; segment != log->active; segment = segment->next)
        n++;
    reader->segments = calloc(n, sizeof *reader->segments);
    if (!reader->segments)
        return -1;
    for (const struct segment *segment = log->oldest; segment; segment = segment->next)
        if (segment_is_wanted(segment, reader->wanted))
            reader->segments[reader->n_segments++] = *segment;
    return 0;
}

int seglog_reader_open(struct seglog_reader **readerp, struct seglog *log, uint64_t number,
                       struct casebus_error *err)
{
    *readerp = NULL;
    struct seglog_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read the log '%s'"), log->dir);
    memcpy(reader->id, log->id, sizeof reader->id);
    walk_init(&reader->walk, reader->id, &reader->hasher);
    reader->wanted = number;
    reader->dir = strdup(log->dir);
    if (!reader->dir || segments_copy(reader, log) != 0) {
        seglog_reader_close(reader);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read the log '%s'"), log->dir);
    }
    if (hasher_init(&reader->hasher, err) != 0) {
        seglog_reader_close(reader);
        return -1;
    }
    *readerp = reader;
    return 0;
}

struct seglog_reader *seglog_reader_close(struct seglog_reader *reader)
{
    if (!reader)
        return NULL;
    if (reader->walk.fd >= 0)
        close(reader->walk.fd);
    walk_deinit(&reader->walk);
    hasher_deinit(&reader->hasher);
    free(reader->segments);
    free(reader->dir);
    free(reader);
    return NULL;
}

static int reader_failed(const struct seglog_reader *reader, int r, struct casebus_error *err)
{
    int reason = errno;
    char path[PATH_MAX];
    segment_path(path, sizeof path, reader->dir, &reader->segments[reader->next_segment - 1]);
    if (r < 0)
        return error_set_errno(err, reason, _("cannot read '%s' at offset %" PRIu64), path, reader->walk.at);
    return error_set(err, CASEBUS_DAMAGED,
                     _("'%s': the record at offset %" PRIu64 " was trimmed or is damaged"), path,
                     reader->walk.at);
}

/* 1: the walk stands in the next segment; 0: there is none. */
static int segment_enter(struct seglog_reader *reader, struct casebus_error *err)
{
    if (reader->next_segment == reader->n_segments)
        return 0;
    const struct segment *segment = &reader->segments[reader->next_segment++];
    char path[PATH_MAX];
    segment_path(path, sizeof path, reader->dir, segment);
    if (reader->walk.fd >= 0)
        close(reader->walk.fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    walk_enter(&reader->walk, fd, segment->end);
    return fd >= 0 ? 1 : error_set_errno(err, errno, _("cannot open '%s'"), path);
}

int seglog_reader_next(struct seglog_reader *reader, struct seglog_record *record, struct casebus_error *err)
{
    struct walk *walk = &reader->walk;
    for (;;) {
        int r = walk->at == walk->end ? segment_enter(reader, err) : 1;
        if (r != 1)
            return r;
        r = walk_next(walk);
        if (r != 1)
            return reader_failed(reader, r, err);
        if (walk->record.kind == SEGLOG_KIND_CLOSING || walk->record.number < reader->wanted)
            continue;
        *record = (struct seglog_record){walk->record.number, walk->record.kind, walk->payload};
        return 1;
    }
}
