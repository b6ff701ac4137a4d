/* Opening: every segment is read once. The records that follow each other from a segment's beginning are its
 * *run*; whatever whole record stands behind the run is left over from earlier use, or proof of damage.
 *
 *   head    the run that knows of the most synced records; of equals the one that reaches farthest
 *   chain   from the head backwards, each time to the run that holds the record before, known by its hash,
 *           until the lowest number that is still needed
 *   proof   the highest number that any whole record calls synced
 *
 * The log is whole when the chain reaches from what is needed up to the proof. All other segments are spare.
 *
 * What we read may stand in the page cache only, because an earlier process ended before its sync, or after
 * one that failed. So what the head holds beyond its own knowledge of syncs is written and synced again
 * before anybody hears of it. And where a failure has left the same records in two segments, nobody knows
 * which copy is on the disk: the one in the chain is written again before the other one goes. */
#include "proto/base/seglog_private.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct found {
    struct segment *segment;
    bool has_run;
    bool in_chain;
    struct record first;
    struct record last;
    uint64_t end;    /* offset behind the run */
    uint64_t beyond; /* highest number of a whole record behind the run */
};

struct recovery {
    struct seglog *log;
    struct walk walk;
    struct found *found;
    size_t n_found;
    uint64_t proof;
    uint64_t kept;
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* "00000012.seg": 12; 0 for any other name, as numbering begins at 1. */
static uint64_t name_parse(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 8 || digits > 15 || strcmp(text + digits, ".seg") != 0)
        return 0;
    return strtoull(text, NULL, 10);
}

static int found_add(struct recovery *recovery, uint64_t name, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    struct found *found = reallocarray(recovery->found, recovery->n_found + 1, sizeof *found);
    if (!found)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the segments of '%s'"), log->dir);
    recovery->found = found;
    found += recovery->n_found;
    *found = (struct found){0};
    if (segment_load(log, name, recovery->n_found > 0, &found->segment, err) != 0)
        return -1;
    recovery->n_found++;
    log->total_size += found->segment->size;
    log->next_name = max_u64(log->next_name, name + 1);
    return 0;
}

/* A segment that was being made when the process ended. */
static void unfinished_remove(const struct seglog *log, const char *name)
{
    char path[PATH_MAX];
    const char *dot = strrchr(name, '.');
    if (!dot || strcmp(dot, ".new") != 0 || strspn(name, "0123456789") != (size_t)(dot - name))
        return;
    int length = snprintf(path, sizeof path, "%s/%s", log->dir, name);
    if (length > 0 && (size_t)length < sizeof path)
        unlink(path);
}

static int segments_find(struct recovery *recovery, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    DIR *dir = opendir(log->dir);
    if (!dir)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), log->dir);
    int r = 0;
    struct dirent *entry;
    errno = 0;
    while (r == 0 && (entry = readdir(dir))) {
        uint64_t name = name_parse(entry->d_name);
        if (name != 0)
            r = found_add(recovery, name, err);
        else
            unfinished_remove(log, entry->d_name);
        errno = 0;
    }
    if (r == 0 && errno != 0)
        r = error_set_errno(err, errno, _("cannot read the directory '%s'"), log->dir);
    closedir(dir);
    return r;
}

static int walk_failed(const struct recovery *recovery, const struct segment *segment,
                       struct casebus_error *err)
{
    int reason = errno;
    char path[PATH_MAX];
    segment_path(path, sizeof path, recovery->log->dir, segment);
    return error_set_errno(err, reason, _("cannot read '%s' at offset %" PRIu64), path, recovery->walk.at);
}

static void record_note(struct recovery *recovery, const struct record *record)
{
    recovery->proof = max_u64(recovery->proof, record->synced);
    recovery->kept = max_u64(recovery->kept, record->kept);
}

/* Goes once through the segment that the walk has entered. */
static int found_walk(struct recovery *recovery, struct found *found)
{
    struct walk *walk = &recovery->walk;
    int r;
    found->end = SEGLOG_PAGE;
    while ((r = walk_next(walk)) == 1) {
        if (!found->has_run)
            found->first = walk->record;
        found->has_run = true;
        found->last = walk->record;
        found->end = walk->at;
        record_note(recovery, &walk->record);
    }
    if (r != 0)
        return r;
    while ((r = walk_search(walk)) == 1) {
        record_note(recovery, &walk->record);
        found->beyond = max_u64(found->beyond, walk->record.number);
    }
    return r;
}

static int found_scan(struct recovery *recovery, struct found *found, struct casebus_error *err)
{
    int fd = segment_open_file(recovery->log, found->segment, err);
    if (fd < 0)
        return -1;
    walk_forget(&recovery->walk);
    walk_enter(&recovery->walk, fd, found->segment->size);
    int r = found_walk(recovery, found);
    if (r != 0)
        r = walk_failed(recovery, found->segment, err);
    close(fd);
    return r;
}

static bool head_before(const struct found *a, const struct found *b)
{
    if (a->last.synced != b->last.synced)
        return a->last.synced < b->last.synced;
    if (a->last.number != b->last.number)
        return a->last.number < b->last.number;
    return a->first.number < b->first.number;
}

static struct found *head_choose(const struct recovery *recovery)
{
    struct found *head = NULL;
    for (size_t i = 0; i < recovery->n_found; i++) {
        struct found *found = &recovery->found[i];
        if (found->has_run && (!head || head_before(head, found)))
            head = found;
    }
    return head;
}

/* 1: the run holds the record before @next, which ends at *endp; 0: it does not. */
static int found_precedes(struct recovery *recovery, const struct found *found, const struct record *next,
                          uint64_t *endp, struct casebus_error *err)
{
    struct walk *walk = &recovery->walk;
    uint64_t number = record_number_before(next);
    if (!found->has_run || found->in_chain || found->first.number > number || found->last.number < number)
        return 0;
    int fd = segment_open_file(recovery->log, found->segment, err);
    if (fd < 0)
        return -1;
    walk_forget(walk);
    walk_enter(walk, fd, found->segment->size);
    bool precedes = false;
    int r;
    while (!precedes && (r = walk_next(walk)) == 1 && walk->record.number <= number)
        precedes = record_follows(next, &walk->record);
    *endp = walk->at;
    if (r == -1)
        walk_failed(recovery, found->segment, err);
    close(fd);
    return r == -1 ? -1 : precedes;
}

/* The run before that of @of, NULL when there is none; of several copies the one that was begun last, since
 * it is where the records went after a failure. */
static int predecessor_find(struct recovery *recovery, const struct found *of, struct found **foundp,
                            struct casebus_error *err)
{
    struct found *best = NULL;
    for (size_t i = 0; i < recovery->n_found; i++) {
        struct found *found = &recovery->found[i];
        uint64_t end;
        int r = found_precedes(recovery, found, &of->first, &end, err);
        if (r == -1)
            return -1;
        if (r == 0 || (best && best->first.number >= found->first.number))
            continue;
        best = found;
        best->segment->end = end;
        best->segment->last = record_number_before(&of->first);
    }
    *foundp = best;
    return 0;
}

static void chain_put(struct recovery *recovery, struct found *found)
{
    struct seglog *log = recovery->log;
    found->in_chain = true;
    found->segment->first = record_number_before(&found->first) + 1;
    found->segment->next = log->oldest;
    log->oldest = found->segment;
}

static int chain_build(struct recovery *recovery, struct found *head, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    log->active = head->segment;
    head->segment->end = head->end;
    head->segment->last = head->last.number;
    for (struct found *found = head; found;) {
        chain_put(recovery, found);
        if (log->oldest->first <= log->kept)
            return 0;
        if (predecessor_find(recovery, found, &found, err) != 0)
            return -1;
    }
    return 0;
}

/* Where record @number should stand: behind the run that ends before it, best where more stands behind. */
static const struct found *place_find(const struct recovery *recovery, uint64_t number)
{
    const struct found *place = NULL;
    for (size_t i = 0; i < recovery->n_found; i++) {
        const struct found *found = &recovery->found[i];
        bool run_ends_here = found->has_run && found->last.number == number - 1;
        if (found->beyond >= number && (run_ends_here || !found->has_run))
            return found;
        if (run_ends_here)
            place = found;
    }
    return place;
}

static int damaged(const struct recovery *recovery, uint64_t number, struct casebus_error *err)
{
    const struct found *place = place_find(recovery, number);
    char path[PATH_MAX];
    if (place) {
        segment_path(path, sizeof path, recovery->log->dir, place->segment);
        error_set(err, CASEBUS_DAMAGED,
                  _("'%s': record %" PRIu64 " at offset %" PRIu64
                    " is damaged; later ones say that it was on disk"),
                  path, number, place->end);
    } else {
        error_set(err, CASEBUS_DAMAGED,
                  _("record %" PRIu64 " of the log '%s' is missing: a segment file is gone"), number,
                  recovery->log->dir);
    }
    return error_hint(err,
                      _("nothing was changed; keep the directory as it is and restore it from its copy"));
}

/* The lowest number that is missing below the chain. */
static uint64_t gap_find(const struct recovery *recovery)
{
    const struct seglog *log = recovery->log;
    uint64_t number = log->kept;
    for (size_t i = 0; i < recovery->n_found; i++) {
        const struct found *found = &recovery->found[i];
        if (found->has_run && !found->in_chain && found->last.number < log->oldest->first)
            number = max_u64(number, found->last.number + 1);
    }
    return number;
}

/* A copy of records that the chain holds too, or of some that were never acknowledged. */
static bool is_leftover(const struct recovery *recovery, const struct found *found)
{
    return found->has_run && !found->in_chain && found->last.number >= recovery->log->kept;
}

static void spares_collect(struct recovery *recovery)
{
    struct seglog *log = recovery->log;
    for (size_t i = 0; i < recovery->n_found; i++) {
        struct found *found = &recovery->found[i];
        if (found->in_chain)
            continue;
        if (found->segment->size == log->options.segment_size && !is_leftover(recovery, found))
            spare_put(log, found->segment);
        else
            segment_remove(log, found->segment);
        found->segment = NULL;
    }
}

/* Writes the records of a segment over themselves and syncs them. */
static int segment_rewrite(const struct seglog *log, const struct segment *segment, int fd)
{
    uint8_t bytes[16 * SEGLOG_PAGE];
    for (uint64_t at = SEGLOG_PAGE; at < segment->end;) {
        size_t want = segment->end - at < sizeof bytes ? (size_t)(segment->end - at) : sizeof bytes;
        ssize_t got = pread(fd, bytes, want, (off_t)at);
        if (got == 0)
            errno = EIO;
        if (got <= 0 || io_write_all(&log->io, fd, bytes, (size_t)got, at) != 0)
            return -1;
        at += (uint64_t)got;
    }
    return log->io.sync(log->io.self, fd, false);
}

static int chain_rewrite(const struct seglog *log, uint64_t number, struct casebus_error *err)
{
    for (const struct segment *segment = log->oldest; segment; segment = segment->next) {
        if (segment->last < number)
            continue;
        int fd = segment_open_file(log, segment, err);
        if (fd < 0)
            return -1;
        int r = segment_rewrite(log, segment, fd);
        int reason = errno;
        close(fd);
        if (r != 0) {
            char path[PATH_MAX];
            segment_path(path, sizeof path, log->dir, segment);
            return error_set_errno(err, reason, _("cannot write '%s'"), path);
        }
    }
    return 0;
}

static int copies_settle(const struct recovery *recovery, struct casebus_error *err)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < recovery->n_found; i++) {
        const struct found *found = &recovery->found[i];
        if (is_leftover(recovery, found) && found->first.number < lowest)
            lowest = found->first.number;
    }
    return lowest == UINT64_MAX ? 0 : chain_rewrite(recovery->log, lowest, err);
}

static bool record_is_proven(const struct record *record, uint64_t synced)
{
    return record->kind == SEGLOG_KIND_CLOSING ? record->number < synced : record->number <= synced;
}

/* Takes the end of the head that nobody has called synced back into memory, to be written again. */
static int tail_take(struct recovery *recovery, const struct found *head, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    struct walk *walk = &recovery->walk;
    struct segment *active = log->active;
    uint64_t start = SEGLOG_PAGE;
    walk_forget(walk);
    walk_enter(walk, log->fd, active->end);
    while (walk_next(walk) == 1 && record_is_proven(&walk->record, head->last.synced))
        start = walk->at;
    size_t size = (size_t)(active->end - start);
    uint8_t *to = buffer_reserve(&log->pending, size + SEGLOG_PAGE);
    if (!to)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the last records of '%s'"), log->dir);
    if (pread(log->fd, to, size, (off_t)start) != (ssize_t)size)
        return walk_failed(recovery, active, err);
    log->pending.size = size;
    log->synced = head->last.synced;
    active->end = start;
    active->last = log->synced;
    return 0;
}

static int head_adopt(struct recovery *recovery, struct found *head, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    log->kept = max_u64(1, head->last.kept);
    log->last = head->last.number;
    log->last_kind = head->last.kind;
    memcpy(log->last_hash, head->last.hash, RECORD_HASH_SIZE);
    if (chain_build(recovery, head, err) != 0)
        return -1;
    if (log->oldest->first > log->kept)
        return damaged(recovery, gap_find(recovery), err);
    if (recovery->proof > log->last)
        return damaged(recovery, log->last + 1, err);
    if (copies_settle(recovery, err) != 0)
        return -1;
    spares_collect(recovery);
    log->fd = segment_open_file(log, log->active, err);
    if (log->fd < 0 || tail_take(recovery, head, err) != 0)
        return -1;
    return seglog_flush(log, err);
}

/* A log without any record: new, or its very first one was torn. */
static int empty_adopt(struct recovery *recovery, struct casebus_error *err)
{
    struct seglog *log = recovery->log;
    if (recovery->proof > 0)
        return damaged(recovery, max_u64(1, recovery->kept), err);
    spares_collect(recovery);
    log->kept = 1;
    return seglog_switch(log, err);
}

static void recovery_deinit(struct recovery *recovery)
{
    for (size_t i = 0; i < recovery->n_found; i++)
        if (!recovery->found[i].in_chain)
            free(recovery->found[i].segment);
    free(recovery->found);
    walk_deinit(&recovery->walk);
}

int seglog_recover(struct seglog *log, struct casebus_error *err)
{
    struct recovery recovery = {.log = log};
    walk_init(&recovery.walk, log->id, &log->hasher);
    int r = segments_find(&recovery, err);
    for (size_t i = 0; r == 0 && i < recovery.n_found; i++)
        r = found_scan(&recovery, &recovery.found[i], err);
    if (r == 0) {
        struct found *head = head_choose(&recovery);
        r = head ? head_adopt(&recovery, head, err) : empty_adopt(&recovery, err);
    }
    recovery_deinit(&recovery);
    return r;
}
