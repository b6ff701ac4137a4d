/* Segment files. A new one is filled with zeros by real writes and synced under a name that nobody reads,
 * then renamed: what is called NNNNNNNN.seg always has its whole header and all of its blocks. From then on
 * its size and its place on the disk never change, which is why overwriting it needs only fdatasync. */
#include "proto/base/crc32c.h"
#include "proto/base/files.h"
#include "proto/base/seglog_private.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILL_SIZE = 1024 * 1024, PATIENCE_MS = 2000, PATIENCE_STEP_MS = 5 };

void segment_path(char *out, size_t size, const char *dir, const struct segment *segment)
{
    snprintf(out, size, "%s/%08" PRIu64 ".seg", dir, segment->name);
}

int io_write_all(const struct seglog_io *io, int fd, const void *data, size_t size, uint64_t at)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        ssize_t put = io->write(io->self, fd, bytes, size, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        bytes += put;
        size -= (size_t)put;
        at += (uint64_t)put;
    }
    return 0;
}

static int zeros_write(const struct seglog *log, int fd, uint64_t from, uint64_t to)
{
    uint8_t *zeros = calloc(1, FILL_SIZE);
    if (!zeros)
        return -1;
    int r = 0;
    while (r == 0 && from < to) {
        size_t size = to - from < FILL_SIZE ? (size_t)(to - from) : FILL_SIZE;
        r = io_write_all(&log->io, fd, zeros, size, from);
        from += size;
    }
    int reason = errno;
    free(zeros);
    errno = reason;
    return r;
}

static void header_encode(const struct seglog *log, uint64_t size, uint8_t out[SEGLOG_PAGE])
{
    memset(out, 0, SEGLOG_PAGE);
    memcpy(out, log->options.magic, 8);
    put_u32le(out + 8, SEGLOG_FORMAT);
    memcpy(out + 16, log->id, SEGLOG_ID_SIZE);
    put_u64le(out + 32, size);
    put_u32le(out + 40, crc32c(0, out, 40));
}

/* A flood of connections can take the last descriptor of a process for a moment, until they are shut down.
 * That is no reason to give up a log. */
static int open_patiently(const char *path, int flags)
{
    for (unsigned waited_ms = 0;; waited_ms += PATIENCE_STEP_MS) {
        int fd = open(path, flags | O_CLOEXEC, 0600);
        if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || waited_ms >= PATIENCE_MS)
            return fd;
        nanosleep(&(struct timespec){.tv_nsec = PATIENCE_STEP_MS * 1000000l}, NULL);
    }
}

/* The file's content and its name, both on disk. */
static int file_make(const struct seglog *log, const struct segment *segment, struct casebus_error *err)
{
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    segment_path(path, sizeof path, log->dir, segment);
    snprintf(temporary, sizeof temporary, "%s/%08" PRIu64 ".new", log->dir, segment->name);
    int fd = open_patiently(temporary, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot make '%s'"), temporary);
    uint8_t header[SEGLOG_PAGE];
    header_encode(log, segment->size, header);
    bool made = io_write_all(&log->io, fd, header, sizeof header, 0) == 0 &&
                zeros_write(log, fd, sizeof header, segment->size) == 0 &&
                log->io.sync(log->io.self, fd, true) == 0 && rename(temporary, path) == 0;
    int reason = errno;
    close(fd);
    if (made && dir_sync(log->dir, err) == 0)
        return 0;
    unlink(temporary);
    unlink(path);
    return made ? -1 : error_set_errno(err, reason, _("cannot make '%s'"), path);
}

/* Takes a name and the bytes of a segment from the bound. */
static int segment_reserve(struct seglog *log, struct segment *segment, struct casebus_error *err)
{
    uint64_t max = log->options.max_size;
    int r = 0;
    pthread_mutex_lock(&log->mutex);
    if (max != 0 && log->total_size + segment->size > max) {
        error_set(err, CASEBUS_DISK_FULL, _("the log '%s' has reached its bound of %" PRIu64 " bytes"),
                  log->dir, max);
        r = error_hint(err, _("wait until the other side has taken what is there, or raise the bound"));
    } else {
        log->total_size += segment->size;
        segment->name = log->next_name++;
    }
    pthread_mutex_unlock(&log->mutex);
    return r;
}

static void segment_unreserve(struct seglog *log, const struct segment *segment)
{
    pthread_mutex_lock(&log->mutex);
    log->total_size -= segment->size;
    pthread_mutex_unlock(&log->mutex);
}

int segment_make(struct seglog *log, struct segment **segmentp, struct casebus_error *err)
{
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a segment of '%s'"), log->dir);
    segment->size = log->options.segment_size;
    segment->end = SEGLOG_PAGE;
    if (segment_reserve(log, segment, err) != 0) {
        free(segment);
        return -1;
    }
    if (file_make(log, segment, err) != 0) {
        segment_unreserve(log, segment);
        free(segment);
        return -1;
    }
    *segmentp = segment;
    return 0;
}

int segment_open_file(const struct seglog *log, const struct segment *segment, struct casebus_error *err)
{
    char path[PATH_MAX];
    segment_path(path, sizeof path, log->dir, segment);
    int fd = open_patiently(path, O_RDWR);
    return fd >= 0 ? fd : error_set_errno(err, errno, _("cannot open '%s'"), path);
}

void segment_remove(struct seglog *log, struct segment *segment)
{
    char path[PATH_MAX];
    segment_path(path, sizeof path, log->dir, segment);
    unlink(path);
    segment_unreserve(log, segment);
    free(segment);
}

void spare_put(struct seglog *log, struct segment *segment)
{
    segment->first = segment->last = 0;
    segment->end = SEGLOG_PAGE;
    pthread_mutex_lock(&log->mutex);
    segment->next = log->spares;
    log->spares = segment;
    log->n_spares++;
    pthread_mutex_unlock(&log->mutex);
}

struct segment *spare_take(struct seglog *log)
{
    pthread_mutex_lock(&log->mutex);
    struct segment *segment = log->spares;
    if (segment) {
        log->spares = segment->next;
        log->n_spares--;
        segment->next = NULL;
    }
    pthread_mutex_unlock(&log->mutex);
    return segment;
}

static int header_check(struct seglog *log, struct segment *segment, const uint8_t *header, const char *path,
                        bool id_known, struct casebus_error *err)
{
    if (get_u32le(header + 40) != crc32c(0, header, 40))
        return error_set(err, CASEBUS_DAMAGED, _("'%s': the header of the segment is damaged"), path);
    if (memcmp(header, log->options.magic, 8) != 0) {
        error_set(err, CASEBUS_CONFIG, _("'%s' belongs to a log of another kind"), path);
        return error_hint(err, _("check the directory in the settings"));
    }
    if (get_u32le(header + 8) != SEGLOG_FORMAT)
        return error_set(err, CASEBUS_BAD_VERSION,
                         _("'%s' has format %" PRIu32 "; this version reads format %u"), path,
                         get_u32le(header + 8), SEGLOG_FORMAT);
    if (!id_known)
        memcpy(log->id, header + 16, SEGLOG_ID_SIZE);
    if (memcmp(log->id, header + 16, SEGLOG_ID_SIZE) != 0) {
        error_set(err, CASEBUS_DAMAGED, _("'%s' is a segment of another log"), path);
        return error_hint(err, _("move it out of this directory"));
    }
    segment->size = get_u64le(header + 32);
    if (segment->size < 2 * SEGLOG_PAGE || segment->size > SEGMENT_SIZE_MAX ||
        segment->size % SEGLOG_PAGE != 0)
        return error_set(err, CASEBUS_DAMAGED, _("'%s': the header of the segment is damaged"), path);
    return 0;
}

/* Gives a file that was cut its length back: its blocks have to be there before they are overwritten. */
static int length_mend(const struct seglog *log, int fd, const struct segment *segment)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -1;
    if ((uint64_t)status.st_size >= segment->size)
        return 0;
    if (zeros_write(log, fd, (uint64_t)status.st_size, segment->size) != 0)
        return -1;
    return log->io.sync(log->io.self, fd, true);
}

int segment_load(struct seglog *log, uint64_t name, bool id_known, struct segment **segmentp,
                 struct casebus_error *err)
{
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a segment of '%s'"), log->dir);
    segment->name = name;
    segment->end = SEGLOG_PAGE;
    char path[PATH_MAX];
    segment_path(path, sizeof path, log->dir, segment);
    uint8_t header[SEGLOG_PAGE] = {0};
    int r = -1;
    int fd = segment_open_file(log, segment, err);
    if (fd < 0)
        goto out;
    if (pread(fd, header, sizeof header, 0) < 0)
        r = error_set_errno(err, errno, _("cannot read '%s'"), path);
    else
        r = header_check(log, segment, header, path, id_known, err);
    if (r == 0 && length_mend(log, fd, segment) != 0)
        r = error_set_errno(err, errno, _("cannot mend the length of '%s'"), path);
    close(fd);
out:
    if (r == 0)
        *segmentp = segment;
    else
        free(segment);
    return r;
}
