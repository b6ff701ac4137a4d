/* The segment log against a disk that is cut, damaged, full, failing or without power. Records carry what
 * their number says they must, so that a stale or foreign one is seen wherever it turns up. */
#include "proto/base/crc32c.h"
#include "proto/base/files.h"
#include "proto/base/seglog_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { KIND = 7, SEGMENT = 8192, SECTOR = 512, FILES_MAX = 200, CACHED_MAX = 400 };

static const struct seglog_options small = {.magic = "TESTLOG1", .segment_size = SEGMENT, .spare = 1};

/* ---- a disk that only pretends to sync, and fails when told to ---- */

struct disk {
    unsigned fail_write; /* the n-th write from now fails; 0: none */
    unsigned fail_sync;
    bool fail_for_good; /* and so does everything after it */
    unsigned n_writes;
    unsigned n_syncs;
};

static bool fault_is_due(const struct disk *disk, unsigned n, unsigned fail)
{
    return fail != 0 && (n == fail || (disk->fail_for_good && n > fail));
}

static ssize_t disk_write(void *self, int fd, const void *data, size_t size, off_t at)
{
    struct disk *disk = self;
    if (fault_is_due(disk, ++disk->n_writes, disk->fail_write)) {
        (void)!pwrite(fd, data, size / 2, at); /* half of it got there */
        errno = EIO;
        return -1;
    }
    return pwrite(fd, data, size, at);
}

static int disk_sync(void *self, int fd, bool with_metadata)
{
    struct disk *disk = self;
    (void)fd;
    (void)with_metadata;
    if (!fault_is_due(disk, ++disk->n_syncs, disk->fail_sync))
        return 0;
    errno = EIO;
    return -1;
}

static struct seglog_io disk_io(struct disk *disk)
{
    *disk = (struct disk){0};
    return (struct seglog_io){.self = disk, .write = disk_write, .sync = disk_sync};
}

/* ---- folders and files ---- */

struct room {
    char dir[64];
    struct disk disk;
    struct seglog_io io;
};

static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof *room);
    snprintf(room->dir, sizeof room->dir, "/tmp/seglog_test.XXXXXX");
    room->io = disk_io(&room->disk);
    *state = room;
    return mkdtemp(room->dir) ? 0 : -1;
}

static void dir_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char file[512];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(file);
    }
    if (dir)
        closedir(dir);
}

static int room_teardown(void **state)
{
    struct room *room = *state;
    dir_empty(room->dir);
    rmdir(room->dir);
    free(room);
    return 0;
}

struct content {
    char name[32];
    uint8_t *data;
    size_t size;
};

/* All segment files of the room, as they are now. */
struct snapshot {
    struct content files[FILES_MAX];
    size_t n;
};

static void snapshot_take(struct snapshot *snapshot, const struct room *room)
{
    *snapshot = (struct snapshot){0};
    DIR *dir = opendir(room->dir);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, ".seg"))
            continue;
        char path[512];
        struct buffer buffer;
        snprintf(path, sizeof path, "%s/%s", room->dir, entry->d_name);
        assert_true(snapshot->n < FILES_MAX);
        assert_int_equal(file_read(path, 1 << 24, &buffer, NULL), 0);
        struct content *content = &snapshot->files[snapshot->n++];
        snprintf(content->name, sizeof content->name, "%.31s", entry->d_name);
        content->data = buffer.data;
        content->size = buffer.size;
    }
    closedir(dir);
}

static void snapshot_put(const struct snapshot *snapshot, const struct room *room)
{
    dir_empty(room->dir);
    for (size_t i = 0; i < snapshot->n; i++) {
        const struct content *content = &snapshot->files[i];
        char path[512];
        snprintf(path, sizeof path, "%s/%s", room->dir, content->name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, content->data, content->size), content->size);
        close(fd);
    }
}

static void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n; i++)
        free(snapshot->files[i].data);
}

static size_t count_files(const struct room *room)
{
    struct snapshot snapshot;
    snapshot_take(&snapshot, room);
    snapshot_free(&snapshot);
    return snapshot.n;
}

/* ---- records that know their number ---- */

static size_t payload_make(uint8_t *out, uint64_t number)
{
    size_t size = 20 + (size_t)(number * 37 % 100);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number * 131 + i * 7 + 1);
    return size;
}

static int append(struct seglog *log, struct casebus_error *err)
{
    uint8_t payload[128];
    uint64_t number;
    uint64_t last = seglog_last(log);
    size_t size = payload_make(payload, last + 1);
    struct iovec parts[] = {{payload, 10}, {payload + 10, 0}, {payload + 10, size - 10}};
    int r = seglog_append(log, KIND, parts, 3, &number, err);
    if (r == 0)
        assert_int_equal(number, last + 1);
    else
        assert_int_equal(seglog_last(log), last);
    return r;
}

static void append_synced(struct seglog *log, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(append(log, NULL), 0);
        assert_int_equal(seglog_sync(log, NULL), 0);
    }
}

static struct seglog *open_log(struct room *room, const struct seglog_options *options)
{
    struct seglog *log;
    struct casebus_error err = {0};
    if (seglog_open_io(&log, room->dir, options, &room->io, &err) != 0)
        fail_msg("%s", err.text);
    return log;
}

/* Everything from @from to @to can be read and is what it should be. */
static void expect_records(struct seglog *log, uint64_t from, uint64_t to)
{
    struct seglog_reader *reader;
    struct seglog_record record;
    struct casebus_error err = {0};
    uint8_t payload[128];
    assert_int_equal(seglog_reader_open(&reader, log, from, NULL), 0);
    for (uint64_t number = from; number <= to; number++) {
        if (seglog_reader_next(reader, &record, &err) != 1)
            fail_msg("record %" PRIu64 ": %s", number, err.text);
        size_t size = payload_make(payload, number);
        assert_int_equal(record.number, number);
        assert_int_equal(record.kind, KIND);
        assert_true(bytes_equal(record.payload, bytes_of(payload, size)));
    }
    assert_int_equal(seglog_reader_next(reader, &record, NULL), 0);
    assert_null(seglog_reader_close(reader));
}

/* ---- plain life ---- */

static void test_log_gives_back_what_was_appended(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    assert_int_equal(seglog_last(log), 0);
    assert_int_equal(seglog_first(log), 1);
    append_synced(log, 100);
    expect_records(log, 1, 100);
    expect_records(log, 61, 100);
    expect_records(log, 101, 100);
    assert_true(count_files(room) > 2);
    seglog_close(log);
}

static void test_log_goes_on_after_reopening(void **state)
{
    struct room *room = *state;
    uint8_t id[16];
    for (unsigned i = 0; i < 40; i++) {
        struct seglog *log = open_log(room, &small);
        if (i == 0)
            memcpy(id, seglog_id(log), sizeof id);
        assert_memory_equal(id, seglog_id(log), sizeof id);
        assert_int_equal(seglog_last(log), 3 * i);
        expect_records(log, 1, 3 * i);
        append_synced(log, 3);
        if (i % 3 == 0)
            assert_int_equal(seglog_close_idle(log, NULL), 0);
        seglog_close(log);
    }
}

static void test_reader_sees_what_was_synced_before_it_was_opened(void **state)
{
    struct seglog *log = open_log(*state, &small);
    struct seglog_reader *reader;
    struct seglog_record record;
    append_synced(log, 2);
    assert_int_equal(append(log, NULL), 0);
    expect_records(log, 1, 2);
    assert_int_equal(seglog_reader_open(&reader, log, 2, NULL), 0);
    append_synced(log, 90);
    assert_int_equal(seglog_reader_next(reader, &record, NULL), 1);
    assert_int_equal(record.number, 2);
    assert_int_equal(seglog_reader_next(reader, &record, NULL), 0);
    seglog_reader_close(reader);
    expect_records(log, 1, 93);
    seglog_close(log);
}

static void test_sync_costs_one_write_and_one_sync(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    for (int i = 0; i < 5; i++)
        assert_int_equal(append(log, NULL), 0);
    unsigned writes = room->disk.n_writes;
    unsigned syncs = room->disk.n_syncs;
    assert_int_equal(seglog_sync(log, NULL), 0);
    assert_int_equal(seglog_sync(log, NULL), 0); /* nothing new: nothing to do */
    assert_int_equal(room->disk.n_writes - writes, 1);
    assert_int_equal(room->disk.n_syncs - syncs, 1);
    seglog_close(log);
}

static void test_closing_record_takes_no_number(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    assert_int_equal(seglog_close_idle(log, NULL), 0);
    for (int i = 0; i < 60; i++) {
        append_synced(log, 1);
        assert_int_equal(seglog_close_idle(log, NULL), 0);
        assert_int_equal(seglog_close_idle(log, NULL), 0);
    }
    expect_records(log, 1, 60);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, 1, 60);
    expect_records(log, 30, 60);
    seglog_close(log);
}

static void test_second_process_is_told_who_holds_the_log(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    pid_t pid = fork();
    if (pid == 0) {
        struct seglog *other;
        struct casebus_error err = {0};
        char holder[32];
        snprintf(holder, sizeof holder, "%ld", (long)getppid());
        bool refused = seglog_open(&other, room->dir, &small, &err) == -1 && err.code == CASEBUS_LOCKED;
        _exit(refused && strstr(err.text, holder) && err.hint[0] ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    seglog_close(log);
}

static void test_log_of_another_kind_is_refused(void **state)
{
    struct room *room = *state;
    seglog_close(open_log(room, &small));
    struct seglog_options other = small;
    other.magic[0] = 'X';
    struct seglog *log;
    struct casebus_error err = {0};
    assert_int_equal(seglog_open(&log, room->dir, &other, &err), -1);
    assert_int_equal(err.code, CASEBUS_CONFIG);
}

static void test_unusable_options_are_refused(void **state)
{
    struct room *room = *state;
    struct seglog *log;
    struct casebus_error err = {0};
    struct seglog_options options = {.magic = "TESTLOG1", .segment_size = 100};
    assert_int_equal(seglog_open(&log, room->dir, &options, &err), -1);
    assert_int_equal(err.code, CASEBUS_ARGUMENT);
    options = (struct seglog_options){.magic = "TESTLOG1", .segment_size = SEGMENT, .max_size = SEGMENT};
    assert_int_equal(seglog_open(&log, room->dir, &options, &err), -1);
    assert_int_equal(err.code, CASEBUS_ARGUMENT);
}

static rlim_t descriptors_limit(rlim_t soft)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void *descriptors_give_back(void *limit)
{
    usleep(50 * 1000);
    descriptors_limit(*(rlim_t *)limit);
    return NULL;
}

static void test_log_waits_for_a_descriptor_that_a_flood_has_taken(void **state)
{
    struct seglog *log = open_log(*state, &small);
    pthread_t thread;
    rlim_t before = descriptors_limit(3); /* those that are open stay open */
    assert_int_equal(pthread_create(&thread, NULL, descriptors_give_back, &before), 0);
    append_synced(log, 100); /* several segments */
    pthread_join(thread, NULL);
    expect_records(log, 1, 100);
    seglog_close(log);
}

static void test_segment_size_may_change(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 60);
    seglog_close(log);
    struct seglog_options larger = small;
    larger.segment_size = 3 * 4096 + 1;
    log = open_log(room, &larger);
    append_synced(log, 60);
    expect_records(log, 1, 120);
    assert_int_equal(seglog_trim(log, 110, NULL), 0);
    append_synced(log, 60);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, 110, 180);
    seglog_close(log);
}

static void test_record_larger_than_a_segment_is_refused(void **state)
{
    struct seglog *log = open_log(*state, &small);
    static uint8_t bytes[SEGMENT];
    struct iovec part = {bytes, SEGMENT - 4096 - 3 * RECORD_HEADER_SIZE + 1};
    struct casebus_error err = {0};
    assert_int_equal(seglog_append(log, KIND, &part, 1, NULL, &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
    part.iov_len--;
    assert_int_equal(seglog_append(log, KIND, &part, 1, NULL, NULL), 0);
    assert_int_equal(seglog_sync(log, NULL), 0);
    assert_int_equal(seglog_last(log), 1);
    seglog_close(log);
}

static void test_large_unsynced_appends_stay_bounded_in_memory(void **state)
{
    struct seglog_options options = {.magic = "TESTLOG1", .segment_size = 16 << 20};
    struct seglog *log = open_log(*state, &options);
    static uint8_t bytes[1 << 20];
    struct iovec part = {bytes, sizeof bytes};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(seglog_append(log, KIND, &part, 1, NULL, NULL), 0);
        assert_true(log->pending.size <= 9u << 20);
    }
    seglog_close(log);
}

/* ---- damage ---- */

/* Where the records of a small log lie: offsets of 1..n, and the end. */
static size_t offsets_find(const uint8_t *data, uint64_t *offsets, size_t max)
{
    size_t n = 0;
    uint64_t at = SEGLOG_PAGE;
    while (memcmp(data + at, "CBSR", 4) == 0 && n + 1 < max) {
        offsets[n++] = at;
        at += record_size(get_u32le(data + at + 40));
    }
    offsets[n] = at;
    return n;
}

static size_t record_at(const uint64_t *offsets, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        if (at < offsets[i + 1])
            return i + 1;
    return n + 1;
}

static bool is_padding(const uint8_t *data, const uint64_t *offsets, size_t record, uint64_t at)
{
    uint64_t start = offsets[record - 1];
    return at >= start + RECORD_HEADER_SIZE + get_u32le(data + start + 40);
}

static void expect_cut_after(struct room *room, uint64_t last)
{
    struct seglog *log = open_log(room, &small);
    assert_int_equal(seglog_last(log), last);
    expect_records(log, 1, last);
    append_synced(log, 3);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, 1, last + 3);
    seglog_close(log);
}

static void expect_damage(struct room *room, uint64_t number, uint64_t offset)
{
    struct seglog *log;
    struct casebus_error err = {0};
    char words[64];
    snprintf(words, sizeof words, "record %" PRIu64 " at offset %" PRIu64 " ", number, offset);
    assert_int_equal(seglog_open_io(&log, room->dir, &small, &room->io, &err), -1);
    assert_null(log);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    if (!strstr(err.text, words) || !strstr(err.text, "00000001.seg"))
        fail_msg("expected '%s' in '%s'", words, err.text);
}

/* A log of six records in one segment; @closed: with a closing record behind them. */
static void six_records(struct room *room, bool closed, struct snapshot *snapshot)
{
    struct seglog_options options = small;
    options.spare = 0;
    struct seglog *log = open_log(room, &options);
    append_synced(log, 6);
    if (closed)
        assert_int_equal(seglog_close_idle(log, NULL), 0);
    seglog_close(log);
    snapshot_take(snapshot, room);
    assert_int_equal(snapshot->n, 1);
}

static void check_every_flip(struct room *room, bool closed)
{
    struct snapshot snapshot;
    uint64_t offsets[16];
    six_records(room, closed, &snapshot);
    uint8_t *data = snapshot.files[0].data;
    size_t n = offsets_find(data, offsets, 16);
    assert_int_equal(n, closed ? 7 : 6);
    for (uint64_t at = SEGLOG_PAGE; at < offsets[n] + 16; at++) {
        size_t record = record_at(offsets, n, at);
        uint8_t good = data[at];
        for (int way = 0; way < 2; way++) {
            data[at] = way == 0 ? (uint8_t)(good ^ 0x10) : 0;
            snapshot_put(&snapshot, room);
            data[at] = good;
            if (record > n || is_padding(data, offsets, record, at) || (way == 1 && good == 0))
                expect_cut_after(room, 6);
            else if (record == n)
                expect_cut_after(room, closed ? 6 : 5);
            else
                expect_damage(room, record, offsets[record - 1]);
        }
    }
    snapshot_free(&snapshot);
}

static void test_flip_of_any_byte_is_cut_at_the_end_and_named_before(void **state)
{
    check_every_flip(*state, false);
}

static void test_closing_record_tells_damage_of_the_last_record(void **state)
{
    check_every_flip(*state, true);
}

static void test_tail_torn_at_any_byte_is_cut(void **state)
{
    struct room *room = *state;
    struct snapshot snapshot;
    uint64_t offsets[16];
    six_records(room, false, &snapshot);
    struct content *file = &snapshot.files[0];
    size_t n = offsets_find(file->data, offsets, 16);
    for (uint64_t at = offsets[n]; at >= SEGLOG_PAGE; at--) {
        size_t record = record_at(offsets, n, at);
        bool whole = record <= n && is_padding(file->data, offsets, record, at);
        uint64_t left = whole ? record : record - 1;
        memset(file->data + at, 0, (size_t)(offsets[n] - at)); /* zeroed from here on */
        snapshot_put(&snapshot, room);
        expect_cut_after(room, left);
        file->size = (size_t)at; /* and cut off here */
        snapshot_put(&snapshot, room);
        expect_cut_after(room, left);
        file->size = SEGMENT;
    }
    snapshot_free(&snapshot);
}

static void test_damaged_segment_header_is_named(void **state)
{
    struct room *room = *state;
    struct snapshot snapshot;
    struct seglog *log;
    six_records(room, false, &snapshot);
    for (int at = 0; at < 44; at++) {
        struct casebus_error err = {0};
        snapshot.files[0].data[at] ^= 1;
        snapshot_put(&snapshot, room);
        snapshot.files[0].data[at] ^= 1;
        assert_int_equal(seglog_open_io(&log, room->dir, &small, &room->io, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_non_null(strstr(err.text, "00000001.seg"));
    }
    snapshot_free(&snapshot);
}

/* Unsynced records of one sync may reach the disk in any order: a hole among them is no damage. */
static void test_hole_among_records_that_were_never_synced_is_cut(void **state)
{
    struct room *room = *state;
    struct snapshot snapshot;
    uint64_t offsets[16];
    struct seglog *log = open_log(room, &small);
    append_synced(log, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(append(log, NULL), 0);
    assert_int_equal(seglog_sync(log, NULL), 0);
    seglog_close(log);
    snapshot_take(&snapshot, room);
    offsets_find(snapshot.files[0].data, offsets, 16);
    snapshot.files[0].data[offsets[4] + 100] ^=
        1; /* the fifth; the sixth is whole, but knows of three only */
    snapshot_put(&snapshot, room);
    expect_cut_after(room, 4);
    snapshot_free(&snapshot);
}

static void append_filled(struct seglog *log, uint8_t fill, size_t size)
{
    uint8_t bytes[SEGLOG_PAGE];
    memset(bytes, fill, size);
    struct iovec part = {bytes, size};
    assert_int_equal(seglog_append(log, KIND, &part, 1, NULL, NULL), 0);
}

/* The first record is torn, the second one, which was never synced, stays whole on the next page. Then the
 * first number is given again, to the same number of bytes: @fill as before, or others. */
static void check_left_over_record(struct room *room, uint8_t fill)
{
    struct seglog_options options = {.magic = "TESTLOG1", .segment_size = 4 * SEGLOG_PAGE};
    struct snapshot snapshot;
    struct seglog *log = open_log(room, &options);
    append_filled(log, 'a', SEGLOG_PAGE - RECORD_HEADER_SIZE);
    append_filled(log, 'b', 100);
    assert_int_equal(seglog_sync(log, NULL), 0);
    seglog_close(log);
    snapshot_take(&snapshot, room);
    snapshot.files[0].data[SEGLOG_PAGE + 1000] ^= 1;
    snapshot_put(&snapshot, room);
    snapshot_free(&snapshot);
    log = open_log(room, &options);
    assert_int_equal(seglog_last(log), 0);
    append_filled(log, fill, SEGLOG_PAGE - RECORD_HEADER_SIZE);
    assert_int_equal(seglog_sync(log, NULL), 0);
    seglog_close(log);
    log = open_log(room, &options);
    assert_int_equal(seglog_last(log), 1);
    seglog_close(log);
    dir_empty(room->dir);
}

static void test_record_left_behind_a_cut_never_comes_back(void **state)
{
    check_left_over_record(*state, 'a');
    check_left_over_record(*state, 'z');
}

static void test_missing_segment_in_the_middle_is_named(void **state)
{
    struct room *room = *state;
    struct snapshot snapshot;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 100);
    seglog_close(log);
    snapshot_take(&snapshot, room);
    assert_true(snapshot.n > 3);
    for (size_t i = 0; i < snapshot.n; i++) {
        char path[512];
        struct casebus_error err = {0};
        if (strcmp(snapshot.files[i].name, "00000002.seg") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", room->dir, snapshot.files[i].name);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(seglog_open_io(&log, room->dir, &small, &room->io, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_non_null(strstr(err.text, "00000001.seg"));
        snapshot_put(&snapshot, room);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(seglog_open_io(&log, room->dir, &small, &room->io, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_non_null(strstr(err.text, snapshot.files[i].name));
    }
    snapshot_free(&snapshot);
}

/* Damage anywhere in a log of several segments, byte by stride. */
static void test_damage_in_any_segment_is_named(void **state)
{
    struct room *room = *state;
    struct snapshot snapshot;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 80);
    assert_int_equal(seglog_close_idle(log, NULL), 0);
    seglog_close(log);
    snapshot_take(&snapshot, room);
    for (size_t i = 0; i < snapshot.n; i++) {
        uint64_t offsets[64];
        struct content *file = &snapshot.files[i];
        size_t n = offsets_find(file->data, offsets, 64);
        for (size_t record = 0; record < n; record++) {
            bool closing = get_u32le(file->data + offsets[record] + 4) == SEGLOG_KIND_CLOSING;
            struct casebus_error err = {0};
            file->data[offsets[record] + 70] ^= 0x80;
            snapshot_put(&snapshot, room);
            file->data[offsets[record] + 70] ^= 0x80;
            int r = seglog_open_io(&log, room->dir, &small, &room->io, &err);
            assert_int_equal(r, closing ? 0 : -1);
            if (r == 0)
                expect_records(log, 1, 80);
            else if (!strstr(err.text, file->name) && !strstr(err.text, "offset"))
                fail_msg("%s", err.text);
            seglog_close(log);
        }
    }
    snapshot_free(&snapshot);
}

static void test_segment_of_another_log_is_named(void **state)
{
    struct room *room = *state;
    struct snapshot first;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 10);
    seglog_close(log);
    snapshot_take(&first, room);
    dir_empty(room->dir);
    log = open_log(room, &small);
    append_synced(log, 10);
    seglog_close(log);
    char path[512];
    snprintf(path, sizeof path, "%s/00000009.seg", room->dir);
    assert_int_equal(file_write(path, bytes_of(first.files[0].data, first.files[0].size), 0600, NULL), 0);
    struct casebus_error err = {0};
    assert_int_equal(seglog_open_io(&log, room->dir, &small, &room->io, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    snapshot_free(&first);
}

/* ---- trimming, reuse, bounds ---- */

static void test_trimmed_segments_are_reused_and_stale_records_stay_hidden(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    for (unsigned i = 0; i < 300; i++) {
        append_synced(log, 1);
        if (seglog_last(log) > 40)
            assert_int_equal(seglog_trim(log, seglog_last(log) - 40, NULL), 0);
        if (i % 7 == 0) {
            uint64_t last = seglog_last(log);
            uint64_t first = seglog_first(log);
            seglog_close(log);
            log = open_log(room, &small);
            assert_int_equal(seglog_last(log), last);
            assert_true(seglog_first(log) >= first && (last <= 40 || seglog_first(log) <= last - 40));
        }
        expect_records(log, seglog_first(log), seglog_last(log));
    }
    assert_true(count_files(room) <= 5);
    seglog_close(log);
}

static void test_newest_record_survives_trimming(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    assert_int_equal(seglog_trim(log, 5, NULL), 0); /* nothing there yet */
    append_synced(log, 77);
    assert_int_equal(seglog_trim(log, UINT64_MAX, NULL), 0);
    assert_int_equal(seglog_trim(log, UINT64_MAX, NULL), 0);
    expect_records(log, 77, 77);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, 77, 77);
    append_synced(log, 1);
    expect_records(log, 77, 78);
    seglog_close(log);
}

static void test_bound_refuses_until_something_is_trimmed(void **state)
{
    struct room *room = *state;
    struct seglog_options options = small;
    options.max_size = 3 * SEGMENT;
    struct seglog *log = open_log(room, &options);
    for (int round = 0; round < 20; round++) {
        struct casebus_error err = {0};
        int n = 0;
        while (append(log, &err) == 0 && n++ < 1000)
            assert_int_equal(seglog_sync(log, NULL), 0);
        assert_int_equal(err.code, CASEBUS_DISK_FULL);
        assert_true(err.hint[0]);
        assert_int_equal(seglog_close_idle(log, NULL), 0);
        assert_int_equal(append(log, &err), -1); /* still full, still alive */
        expect_records(log, seglog_first(log), seglog_last(log));
        if (round % 3 == 0) {
            seglog_close(log);
            log = open_log(room, &options);
        }
        assert_int_equal(seglog_trim(log, seglog_last(log) - 10, NULL), 0);
        assert_true(count_files(room) <= 3);
        append_synced(log, 1);
    }
    seglog_close(log);
}

static void *prepare_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        if (seglog_prepare(arg, NULL) != 0)
            return arg;
    return NULL;
}

static void test_spares_are_made_beside_the_appender(void **state)
{
    struct room *room = *state;
    struct seglog *log;
    pthread_t thread;
    void *failed;
    assert_int_equal(seglog_open(&log, room->dir, &small, NULL), 0); /* the real disk: two threads use it */
    assert_int_equal(pthread_create(&thread, NULL, prepare_often, log), 0);
    for (int i = 0; i < 500; i++) {
        append_synced(log, 1);
        if (i % 50 == 49)
            assert_int_equal(seglog_trim(log, seglog_last(log) - 20, NULL), 0);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    expect_records(log, seglog_first(log), 500);
    seglog_close(log);
}

static void test_prepare_gives_back_what_a_pile_up_left(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 600);
    assert_true(count_files(room) > 15);
    assert_int_equal(seglog_trim(log, 600, NULL), 0);
    assert_int_equal(seglog_prepare(log, NULL), 0);
    assert_true(count_files(room) <= 6);
    append_synced(log, 200);
    expect_records(log, 600, 800);
    seglog_close(log);
}

static void test_unfinished_segment_is_swept_away(void **state)
{
    struct room *room = *state;
    char path[512];
    snprintf(path, sizeof path, "%s/00000004.new", room->dir);
    assert_int_equal(file_write(path, bytes_of("half", 4), 0600, NULL), 0);
    seglog_close(open_log(room, &small));
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- failing disks ---- */

/* A life of appends with a reopening; counts what was acknowledged. Ends early when the log gives up. */
static uint64_t life(struct room *room)
{
    struct seglog *log;
    uint64_t acknowledged = 0;
    if (seglog_open_io(&log, room->dir, &small, &room->io, NULL) != 0)
        return 0;
    for (int i = 0; i < 60; i++) {
        if (append(log, NULL) != 0 || (i % 3 == 0 && append(log, NULL) != 0))
            break;
        if (seglog_sync(log, NULL) != 0)
            break;
        acknowledged = seglog_last(log);
        if (i == 40 && seglog_trim(log, 10, NULL) != 0)
            break;
    }
    seglog_close(log);
    return acknowledged;
}

static void check_after_life(struct room *room, uint64_t acknowledged, uint64_t at_most)
{
    struct seglog *log = open_log(room, &small);
    assert_true(seglog_last(log) >= acknowledged && seglog_last(log) <= at_most);
    expect_records(log, seglog_first(log), seglog_last(log));
    append_synced(log, 5);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, seglog_first(log), seglog_last(log));
    seglog_close(log);
}

static void test_one_failed_write_or_sync_loses_nothing(void **state)
{
    struct room *room = *state;
    for (int which = 0; which < 2; which++) {
        for (unsigned nth = 1;; nth++) {
            dir_empty(room->dir);
            room->io = disk_io(&room->disk);
            *(which ? &room->disk.fail_sync : &room->disk.fail_write) = nth;
            uint64_t acknowledged = life(room);
            bool reached = (which ? room->disk.n_syncs : room->disk.n_writes) >= nth;
            room->io = disk_io(&room->disk);
            check_after_life(room, acknowledged, 82);
            if (!reached) {
                assert_int_equal(acknowledged, 80);
                break;
            }
        }
    }
}

static void test_failed_sync_moves_the_records_to_a_fresh_segment(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    append_synced(log, 3);
    assert_int_equal(seglog_faults(log), 0);
    room->disk.fail_sync = room->disk.n_syncs + 1;
    assert_int_equal(append(log, NULL), 0);
    assert_int_equal(append(log, NULL), 0);
    assert_int_equal(seglog_sync(log, NULL), 0);
    assert_int_equal(seglog_faults(log), 1);
    assert_int_equal(count_files(room), 2);
    append_synced(log, 3);
    expect_records(log, 1, 8);
    seglog_close(log);
    log = open_log(room, &small);
    expect_records(log, 1, 8);
    seglog_close(log);
}

static void test_disk_that_fails_for_good_stops_the_log_and_keeps_what_was_synced(void **state)
{
    struct room *room = *state;
    for (unsigned nth = 1; nth < 100; nth += 3) {
        dir_empty(room->dir);
        room->io = disk_io(&room->disk);
        room->disk.fail_sync = nth;
        room->disk.fail_for_good = true;
        uint64_t acknowledged = life(room);
        room->io = disk_io(&room->disk);
        check_after_life(room, acknowledged, 82);
    }
}

/* Without memory OpenSSL hashes nothing. A record with another hash than its own would end the log there. */
static void test_record_that_cannot_be_hashed_is_refused_and_breaks_nothing(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    struct casebus_error err = {0};
    append_synced(log, 3);
    struct hasher good = log->hasher;
    log->hasher = (struct hasher){.context = EVP_MD_CTX_new()}; /* hashes nothing either */
    assert_int_equal(append(log, &err), -1);
    assert_int_equal(err.code, CASEBUS_NO_MEMORY);
    assert_int_equal(seglog_close_idle(log, &err), -1);
    EVP_MD_CTX_free(log->hasher.context);
    log->hasher = good;
    append_synced(log, 3);
    seglog_close(log);
    log = open_log(room, &small);
    assert_int_equal(seglog_last(log), 6);
    expect_records(log, 1, 6);
    seglog_close(log);
}

static void test_broken_log_refuses_everything(void **state)
{
    struct room *room = *state;
    struct seglog *log = open_log(room, &small);
    struct casebus_error err = {0};
    append_synced(log, 3);
    room->disk.fail_write = room->disk.n_writes + 1;
    room->disk.fail_for_good = true;
    assert_int_equal(append(log, NULL), 0);
    assert_int_equal(seglog_sync(log, NULL), -1);
    room->disk.fail_write = 0;
    assert_int_equal(append(log, &err), -1);
    assert_int_equal(err.code, CASEBUS_FILE);
    assert_int_equal(seglog_sync(log, NULL), -1);
    assert_int_equal(seglog_trim(log, 2, NULL), -1);
    assert_int_equal(seglog_close_idle(log, NULL), -1);
    seglog_close(log);
}

/* ---- power cuts: a disk with a page cache, in the sectors of which any part may be lost ---- */

struct cached_file {
    ino_t inode;
    uint8_t durable[4 * SEGMENT];
    bool dirty[4 * SEGMENT / SECTOR];
};

struct cache {
    struct cached_file files[CACHED_MAX];
    size_t n;
    uint64_t random;
    unsigned sync_fails_one_in; /* 0: never */
};

static uint64_t random_next(uint64_t *random) /* splitmix64 */
{
    uint64_t z = (*random += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static struct cached_file *cache_find(struct cache *cache, int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    for (size_t i = 0; i < cache->n; i++)
        if (cache->files[i].inode == status.st_ino)
            return &cache->files[i];
    assert_true(cache->n < CACHED_MAX);
    struct cached_file *file = &cache->files[cache->n++];
    *file = (struct cached_file){.inode = status.st_ino};
    return file;
}

static ssize_t cache_write(void *self, int fd, const void *data, size_t size, off_t at)
{
    struct cached_file *file = cache_find(self, fd);
    ssize_t put = pwrite(fd, data, size, at);
    for (off_t sector = at / SECTOR; put > 0 && sector <= (at + put - 1) / SECTOR; sector++)
        file->dirty[sector] = true;
    return put;
}

/* A failed sync forgets what was dirty without having written it, as kernels do. */
static int cache_sync(void *self, int fd, bool with_metadata)
{
    struct cache *cache = self;
    struct cached_file *file = cache_find(cache, fd);
    bool fails = !with_metadata && cache->sync_fails_one_in != 0 &&
                 random_next(&cache->random) % cache->sync_fails_one_in == 0;
    for (size_t sector = 0; sector < sizeof file->dirty; sector++) {
        if (file->dirty[sector] && (!fails || random_next(&cache->random) % 2 == 0))
            (void)!pread(fd, file->durable + sector * SECTOR, SECTOR, (off_t)(sector * SECTOR));
        file->dirty[sector] = false;
    }
    if (!fails)
        return 0;
    errno = EIO;
    return -1;
}

/* What was not synced is lost or not, sector by sector. */
static void cache_power_cut(struct cache *cache, struct room *room)
{
    struct snapshot snapshot;
    snapshot_take(&snapshot, room);
    for (size_t i = 0; i < snapshot.n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", room->dir, snapshot.files[i].name);
        int fd = open(path, O_RDWR);
        struct cached_file *file = cache_find(cache, fd);
        for (size_t sector = 0; sector < snapshot.files[i].size / SECTOR; sector++) {
            bool survives = file->dirty[sector] && random_next(&cache->random) % 2 == 0;
            if (!survives)
                (void)!pwrite(fd, file->durable + sector * SECTOR, SECTOR, (off_t)(sector * SECTOR));
            else
                memcpy(file->durable + sector * SECTOR, snapshot.files[i].data + sector * SECTOR, SECTOR);
            file->dirty[sector] = false;
        }
        close(fd);
    }
    snapshot_free(&snapshot);
}

static void one_life(struct room *room, struct cache *cache, unsigned sync_fails_one_in,
                     uint64_t *acknowledged)
{
    cache->sync_fails_one_in = 0; /* an opening that fails is tried again by its owner */
    struct seglog *log = open_log(room, &small);
    cache->sync_fails_one_in = sync_fails_one_in;
    if (seglog_last(log) < *acknowledged)
        fail_msg("lost: %" PRIu64 " of %" PRIu64, seglog_last(log), *acknowledged);
    expect_records(log, seglog_first(log), seglog_last(log));
    *acknowledged = seglog_last(log);
    uint64_t steps = random_next(&cache->random) % 40;
    for (uint64_t i = 0; i < steps; i++) {
        uint64_t dice = random_next(&cache->random) % 20;
        int r = append(log, NULL);
        if (r == 0 && dice < 12 && (r = seglog_sync(log, NULL)) == 0)
            *acknowledged = seglog_last(log);
        if (r == 0 && dice == 13 && (r = seglog_close_idle(log, NULL)) == 0)
            *acknowledged = seglog_last(log);
        if (r == 0 && dice == 14 && seglog_last(log) > 20)
            r = seglog_trim(log, seglog_last(log) - 15, NULL);
        if (r == 0 && dice == 15)
            r = seglog_prepare(log, NULL);
        if (r != 0)
            break; /* two failures in a row: the owner opens again */
    }
    seglog_close(log);
}

static void check_power_cuts(struct room *room, uint64_t seed, unsigned sync_fails_one_in)
{
    struct cache *cache = calloc(1, sizeof *cache);
    cache->random = seed;
    room->io = (struct seglog_io){.self = cache, .write = cache_write, .sync = cache_sync};
    uint64_t acknowledged = 0;
    print_message("seed %" PRIu64 "\n", seed);
    for (int i = 0; i < 150; i++) {
        one_life(room, cache, sync_fails_one_in, &acknowledged);
        if (random_next(&cache->random) % 2 == 0) /* otherwise only the process dies */
            cache_power_cut(cache, room);
    }
    room->io = disk_io(&room->disk);
    struct seglog *log = open_log(room, &small);
    assert_true(seglog_last(log) >= acknowledged);
    seglog_close(log);
    free(cache);
    dir_empty(room->dir);
}

static void test_power_cuts_lose_nothing_acknowledged(void **state)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        check_power_cuts(*state, seed, 0);
}

static void test_power_cuts_and_failed_syncs_lose_nothing_acknowledged(void **state)
{
    for (uint64_t seed = 11; seed <= 20; seed++)
        check_power_cuts(*state, seed, seed % 2 ? 7 : 2);
}

/* ---- CRC-32C ---- */

static void test_crc32c_matches_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(0, bytes, 32), 0x8A9136AA); /* RFC 3720 B.4 */
    memset(bytes, 0xFF, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62A8AB43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46DD794E);
}

static void test_crc32c_of_processor_and_table_agree(void **state)
{
    (void)state;
    crc32c_function *fast = crc32c_by_processor();
    uint8_t bytes[300];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random_next(&random);
    for (size_t size = 0; fast && size < 280; size++)
        assert_int_equal(fast((uint32_t)size, bytes + size % 9, size),
                         crc32c_by_table((uint32_t)size, bytes + size % 9, size));
}

#define IN_A_ROOM(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_matches_the_published_values),
        cmocka_unit_test(test_crc32c_of_processor_and_table_agree),
        IN_A_ROOM(test_log_gives_back_what_was_appended),
        IN_A_ROOM(test_log_goes_on_after_reopening),
        IN_A_ROOM(test_reader_sees_what_was_synced_before_it_was_opened),
        IN_A_ROOM(test_sync_costs_one_write_and_one_sync),
        IN_A_ROOM(test_closing_record_takes_no_number),
        IN_A_ROOM(test_second_process_is_told_who_holds_the_log),
        IN_A_ROOM(test_log_of_another_kind_is_refused),
        IN_A_ROOM(test_unusable_options_are_refused),
        IN_A_ROOM(test_log_waits_for_a_descriptor_that_a_flood_has_taken),
        IN_A_ROOM(test_segment_size_may_change),
        IN_A_ROOM(test_record_larger_than_a_segment_is_refused),
        IN_A_ROOM(test_large_unsynced_appends_stay_bounded_in_memory),
        IN_A_ROOM(test_flip_of_any_byte_is_cut_at_the_end_and_named_before),
        IN_A_ROOM(test_closing_record_tells_damage_of_the_last_record),
        IN_A_ROOM(test_tail_torn_at_any_byte_is_cut),
        IN_A_ROOM(test_damaged_segment_header_is_named),
        IN_A_ROOM(test_hole_among_records_that_were_never_synced_is_cut),
        IN_A_ROOM(test_record_left_behind_a_cut_never_comes_back),
        IN_A_ROOM(test_missing_segment_in_the_middle_is_named),
        IN_A_ROOM(test_damage_in_any_segment_is_named),
        IN_A_ROOM(test_segment_of_another_log_is_named),
        IN_A_ROOM(test_trimmed_segments_are_reused_and_stale_records_stay_hidden),
        IN_A_ROOM(test_newest_record_survives_trimming),
        IN_A_ROOM(test_bound_refuses_until_something_is_trimmed),
        IN_A_ROOM(test_spares_are_made_beside_the_appender),
        IN_A_ROOM(test_prepare_gives_back_what_a_pile_up_left),
        IN_A_ROOM(test_unfinished_segment_is_swept_away),
        IN_A_ROOM(test_one_failed_write_or_sync_loses_nothing),
        IN_A_ROOM(test_failed_sync_moves_the_records_to_a_fresh_segment),
        IN_A_ROOM(test_disk_that_fails_for_good_stops_the_log_and_keeps_what_was_synced),
        IN_A_ROOM(test_broken_log_refuses_everything),
        IN_A_ROOM(test_record_that_cannot_be_hashed_is_refused_and_breaks_nothing),
        IN_A_ROOM(test_power_cuts_lose_nothing_acknowledged),
        IN_A_ROOM(test_power_cuts_and_failed_syncs_lose_nothing_acknowledged),
    };
    return cmocka_run_group_tests_name("seglog", tests, NULL, NULL);
}
