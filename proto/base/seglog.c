/* Appending. A record is encoded into memory; a sync writes everything that gathered with one pwrite into
 * blocks that exist already, and makes it durable with one fdatasync. Nothing else happens on the way of an
 * acknowledgement. Because the bytes stay in memory until then, a disk that fails is left alone: the segment
 * is retired and the same bytes go to a fresh one; what the page cache says about a failed sync is not
 * believed. Each write ends with zeros up to the page's end, so the kernel never has to read a page back. */
#include "proto/base/crc32c.h"
#include "proto/base/files.h"
#include "proto/base/seglog_private.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

enum { PENDING_MAX = 8 * 1024 * 1024 }; /* what an owner may append before we sync by ourselves */

static ssize_t real_write(void *self, int fd, const void *data, size_t size, off_t at)
{
    (void)self;
    return pwrite(fd, data, size, at);
}

static int real_sync(void *self, int fd, bool with_metadata)
{
    (void)self;
    return with_metadata ? fsync(fd) : fdatasync(fd);
}

static const struct seglog_io real_io = {.write = real_write, .sync = real_sync};

static uint64_t page_round(uint64_t size)
{
    return (size + SEGLOG_PAGE - 1) / SEGLOG_PAGE * SEGLOG_PAGE;
}

static int options_check(const struct seglog_options *options, const char *dir, struct casebus_error *err)
{
    if (strlen(dir) > PATH_MAX - 64)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    if (options->segment_size < SEGLOG_PAGE || options->segment_size > SEGMENT_SIZE_MAX - SEGLOG_PAGE)
        return error_set(err, CASEBUS_ARGUMENT, _("a segment of '%s' must have 4096 bytes to 2 GiB"), dir);
    if (options->max_size != 0 && options->max_size < 2 * page_round(options->segment_size))
        return error_set(err, CASEBUS_ARGUMENT, _("the bound of the log '%s' must allow two segments"), dir);
    return 0;
}

static int log_start(struct seglog *log, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (dir_make(log->dir, err) != 0 || path_join(path, sizeof path, log->dir, "lock") != 0)
        return -1;
    log->lock_fd = file_lock(path, err);
    if (log->lock_fd < 0 || hasher_init(&log->hasher, err) != 0)
        return -1;
    if (RAND_bytes(log->id, sizeof log->id) != 1 ||
        RAND_bytes((unsigned char *)&log->incarnation, sizeof log->incarnation) != 1)
        return error_set(err, CASEBUS_INTERNAL, _("the system gives no random numbers"));
    return seglog_recover(log, err);
}

int seglog_open_io(struct seglog **logp, const char *dir, const struct seglog_options *options,
                   const struct seglog_io *io, struct casebus_error *err)
{
    *logp = NULL;
    if (options_check(options, dir, err) != 0)
        return -1;
    struct seglog *log = calloc(1, sizeof *log);
    char *copy = strdup(dir);
    if (!log || !copy) {
        free(log);
        free(copy);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the log '%s'"), dir);
    }
    log->dir = copy;
    log->io = *io;
    log->options = *options;
    log->options.segment_size = page_round(options->segment_size);
    if (log->options.segment_size < 2 * SEGLOG_PAGE)
        log->options.segment_size = 2 * SEGLOG_PAGE;
    log->fd = log->lock_fd = -1;
    log->next_name = 1;
    log->last_kind = SEGLOG_KIND_CLOSING; /* nothing stands open in an empty log */
    pthread_mutex_init(&log->mutex, NULL);
    buffer_init(&log->pending, SEGMENT_SIZE_MAX);
    if (log_start(log, err) != 0) {
        seglog_close(log);
        return -1;
    }
    *logp = log;
    return 0;
}

int seglog_open(struct seglog **logp, const char *dir, const struct seglog_options *options,
                struct casebus_error *err)
{
    return seglog_open_io(logp, dir, options, &real_io, err);
}

static void segments_free(struct segment *segment)
{
    while (segment) {
        struct segment *next = segment->next;
        free(segment);
        segment = next;
    }
}

struct seglog *seglog_close(struct seglog *log)
{
    if (!log)
        return NULL;
    segments_free(log->oldest);
    segments_free(log->spares);
    if (log->fd >= 0)
        close(log->fd);
    if (log->lock_fd >= 0)
        close(log->lock_fd);
    hasher_deinit(&log->hasher);
    buffer_deinit(&log->pending);
    pthread_mutex_destroy(&log->mutex);
    free(log->dir);
    free(log);
    return NULL;
}

const uint8_t *seglog_id(const struct seglog *log)
{
    return log->id;
}

uint64_t seglog_first(const struct seglog *log)
{
    return log->oldest->first;
}

uint64_t seglog_last(const struct seglog *log)
{
    return log->last;
}

uint64_t seglog_used(const struct seglog *log)
{
    uint64_t used = log->pending.size;
    for (const struct segment *segment = log->oldest; segment; segment = segment->next)
        used += segment->end - SEGLOG_PAGE;
    return used;
}

unsigned seglog_faults(const struct seglog *log)
{
    return log->faults;
}

/* Puts a fresh segment behind the active one. When there is none, nothing has changed. */
static int fresh_activate(struct seglog *log, struct casebus_error *err)
{
    struct segment *segment = spare_take(log);
    if (!segment && segment_make(log, &segment, err) != 0)
        return -1;
    int fd = segment_open_file(log, segment, err);
    if (fd < 0) {
        spare_put(log, segment);
        return -1;
    }
    if (log->fd >= 0)
        close(log->fd);
    log->fd = fd;
    segment->next = NULL;
    segment->first = log->synced + 1;
    segment->last = log->synced;
    segment->end = SEGLOG_PAGE;
    if (log->active)
        log->active->next = segment;
    else
        log->oldest = segment;
    log->active = segment;
    return 0;
}

/* Writes what is pending behind the active segment's end, and syncs it. */
static int pending_write(struct seglog *log, struct casebus_error *err)
{
    struct segment *active = log->active;
    size_t size = log->pending.size;
    size_t padded = (size_t)(page_round(active->end + size) - active->end);
    uint8_t *padding = buffer_reserve(&log->pending, padded - size);
    assert(padding); /* room for it came with the last record */
    memset(padding, 0, padded - size);
    if (io_write_all(&log->io, log->fd, log->pending.data, padded, active->end) != 0 ||
        log->io.sync(log->io.self, log->fd, false) != 0) {
        int reason = errno;
        char path[PATH_MAX];
        segment_path(path, sizeof path, log->dir, active);
        return error_set_errno(err, reason, _("cannot write '%s'"), path);
    }
    active->end += size;
    active->last = log->synced = log->last;
    buffer_reset(&log->pending);
    return 0;
}

/* Takes the active segment out of use after a failure. If nothing durable stands in it, it leaves the log. */
static int active_retire(struct seglog *log, struct casebus_error *err)
{
    struct segment *failed = log->active;
    log->faults++;
    failed->retired = true;
    if (fresh_activate(log, err) != 0)
        return -1;
    if (failed->end > SEGLOG_PAGE)
        return 0;
    struct segment **link = &log->oldest;
    while (*link && *link != failed)
        link = &(*link)->next;
    *link = failed->next;
    segment_remove(log, failed);
    return 0;
}

static int broken_refuse(const struct seglog *log, struct casebus_error *err)
{
    error_set(err, CASEBUS_FILE, _("the log '%s' takes nothing more after a failure of its disk"), log->dir);
    return error_hint(err, _("look at the disk, then start again"));
}

int seglog_flush(struct seglog *log, struct casebus_error *err)
{
    if (log->broken)
        return broken_refuse(log, err);
    if (log->pending.size == 0 || pending_write(log, err) == 0)
        return 0;
    if (active_retire(log, err) == 0 && pending_write(log, err) == 0)
        return 0;
    log->broken = true;
    return -1;
}

int seglog_sync(struct seglog *log, struct casebus_error *err)
{
    return seglog_flush(log, err);
}

int seglog_switch(struct seglog *log, struct casebus_error *err)
{
    if (seglog_flush(log, err) != 0)
        return -1;
    return fresh_activate(log, err);
}

static int no_memory(const struct seglog *log, struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a record of the log '%s'"), log->dir);
}

/* Encodes a record behind what is pending; the caller has seen to it that it fits. */
static int record_put(struct seglog *log, struct record *record, const struct iovec *parts, int n_parts,
                      struct casebus_error *err)
{
    uint64_t size = record_size(record->size);
    uint8_t *start = buffer_reserve(&log->pending, (size_t)size + SEGLOG_PAGE);
    if (!start)
        return no_memory(log, err);
    uint8_t *to = start + RECORD_HEADER_SIZE;
    for (int i = 0; i < n_parts; i++) {
        if (parts[i].iov_len == 0)
            continue;
        memcpy(to, parts[i].iov_base, parts[i].iov_len);
        to += parts[i].iov_len;
    }
    record->payload_crc = crc32c(0, start + RECORD_HEADER_SIZE, record->size);
    memset(to, 0, (size_t)(start + size - to));
    record->incarnation = log->incarnation;
    record->synced = log->synced;
    record->kept = log->kept;
    memcpy(record->before, log->last_hash, RECORD_HASH_SIZE);
    if (!record_encode(start, record, log->id, &log->hasher))
        return no_memory(log, err);
    log->pending.size += (size_t)size;
    log->last = record->number;
    log->last_kind = record->kind;
    memcpy(log->last_hash, record->hash, RECORD_HASH_SIZE);
    return 0;
}

/* Room for two closing records is left at the end of each segment, one for an idle owner and one for
 * trimming, so that neither ever needs a new segment: a full disk can always be made empty. */
enum { CLOSING_RESERVE = RECORD_HEADER_SIZE, APPEND_RESERVE = 2 * CLOSING_RESERVE };

static bool active_has_room(const struct seglog *log, uint64_t size, uint64_t reserve)
{
    return log->active->end + log->pending.size + size + reserve <= log->active->size &&
           !log->active->retired;
}

static int room_make(struct seglog *log, uint64_t size, uint64_t reserve, struct casebus_error *err)
{
    if (!active_has_room(log, size, reserve))
        return seglog_switch(log, err);
    if (log->pending.size + size > PENDING_MAX)
        return seglog_flush(log, err);
    return 0;
}

/* The size of all parts together, or more than any segment holds. */
static uint64_t parts_size(const struct iovec *parts, int n_parts)
{
    uint64_t size = 0;
    for (int i = 0; i < n_parts; i++) {
        if (parts[i].iov_len > SEGMENT_SIZE_MAX)
            return UINT64_MAX / 2;
        size += parts[i].iov_len;
    }
    return size;
}

int seglog_append(struct seglog *log, uint32_t kind, const struct iovec *parts, int n_parts, uint64_t *number,
                  struct casebus_error *err)
{
    assert(kind != SEGLOG_KIND_CLOSING);
    if (log->broken)
        return broken_refuse(log, err);
    uint64_t payload_size = parts_size(parts, n_parts);
    uint64_t room = log->options.segment_size - SEGLOG_PAGE - APPEND_RESERVE;
    if (record_size(payload_size) > room)
        return error_set(err, CASEBUS_TOO_LARGE,
                         _("a record of %" PRIu64 " bytes does not fit into a segment of the log '%s'"),
                         payload_size, log->dir);
    if (room_make(log, record_size(payload_size), APPEND_RESERVE, err) != 0)
        return -1;
    struct record record = {.kind = kind, .number = log->last + 1, .size = (uint32_t)payload_size};
    if (record_put(log, &record, parts, n_parts, err) != 0)
        return -1;
    if (number)
        *number = record.number;
    return 0;
}

/* A closing record, itself durable, that calls everything before it synced. */
static int closing_write(struct seglog *log, uint64_t reserve, struct casebus_error *err)
{
    if (seglog_flush(log, err) != 0 || room_make(log, RECORD_HEADER_SIZE, reserve, err) != 0)
        return -1;
    struct record record = {.kind = SEGLOG_KIND_CLOSING, .number = log->last};
    if (record_put(log, &record, NULL, 0, err) != 0)
        return -1;
    return seglog_flush(log, err);
}

int seglog_close_idle(struct seglog *log, struct casebus_error *err)
{
    if (log->last_kind == SEGLOG_KIND_CLOSING)
        return seglog_flush(log, err);
    return closing_write(log, CLOSING_RESERVE, err);
}

static void oldest_release(struct seglog *log)
{
    struct segment *segment = log->oldest;
    log->oldest = segment->next;
    if (segment->retired || segment->size != log->options.segment_size)
        segment_remove(log, segment);
    else
        spare_put(log, segment);
}

int seglog_trim(struct seglog *log, uint64_t number, struct casebus_error *err)
{
    if (log->broken)
        return broken_refuse(log, err);
    if (number > log->last)
        number = log->last;
    if (number > log->kept)
        log->kept = number;
    if (log->oldest == log->active || log->oldest->last >= log->kept)
        return 0;
    /* What may be missing is on disk before it goes, or a later opening would take it for damage. */
    if (closing_write(log, 0, err) != 0)
        return -1;
    while (log->oldest != log->active && log->oldest->last < log->kept)
        oldest_release(log);
    return 0;
}

static bool spare_is_wanted(struct seglog *log)
{
    uint64_t max = log->options.max_size;
    pthread_mutex_lock(&log->mutex);
    bool wanted = log->n_spares < log->options.spare &&
                  (max == 0 || log->total_size + log->options.segment_size <= max);
    pthread_mutex_unlock(&log->mutex);
    return wanted;
}

/* After a pile-up has been worked off, the disk gets back what nobody will need soon. */
static struct segment *spare_take_surplus(struct seglog *log)
{
    pthread_mutex_lock(&log->mutex);
    bool surplus = log->n_spares > 2 * log->options.spare + 2;
    pthread_mutex_unlock(&log->mutex);
    return surplus ? spare_take(log) : NULL;
}

int seglog_prepare(struct seglog *log, struct casebus_error *err)
{
    struct segment *segment;
    while ((segment = spare_take_surplus(log)))
        segment_remove(log, segment);
    while (spare_is_wanted(log)) {
        if (segment_make(log, &segment, err) != 0)
            return -1;
        spare_put(log, segment);
    }
    return 0;
}
