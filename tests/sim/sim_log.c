/* A program that keeps a segment log, and one that looks whether the log kept its word.
 *
 *   sim_log run DIR ROUNDS   appends, syncs, trims, idles, prepares and opens again; says on standard output
 * what it was told to be safe ("safe NUMBER NS") and what it gave away ("trim NUMBER NS"), with the monotonic
 * clock sim_log check            reads "DIR TRIMMED SAFE" lines and answers each with "ok LAST" or "bad
 * SENTENCE"
 *
 * Segments are small, so that they are filled, changed and used again often. A record's content follows from
 * its number. */
#include "proto/base/seglog.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEGMENT = 64 * 1024, PAYLOAD_MAX = 9000, KEPT = 60 };

static const struct seglog_options options = {
    .magic = {'C', 'B', 'S', 'I', 'M', 'L', '0', '1'}, .segment_size = SEGMENT, .spare = 1};

static uint64_t mix(uint64_t n)
{
    n = (n ^ n >> 33) * 0xff51afd7ed558ccdull;
    n = (n ^ n >> 29) * 0xc4ceb9fe1a85ec53ull;
    return n ^ n >> 32;
}

/* Most records are small, some span pages. */
static size_t content_make(uint8_t out[PAYLOAD_MAX], uint64_t number)
{
    size_t size = mix(number) % 5 == 0 ? mix(number + 1) % PAYLOAD_MAX : mix(number + 2) % 700;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)mix(number * 16384 + i);
    return size;
}

static void tell(const char *what, uint64_t number)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%s %" PRIu64 " %lld%09ld\n", what, number, (long long)now.tv_sec, now.tv_nsec);
    fflush(stdout);
}

static int append(struct seglog *log, struct casebus_error *err)
{
    uint8_t content[PAYLOAD_MAX];
    struct iovec part = {content, content_make(content, seglog_last(log) + 1)};
    return seglog_append(log, 7, &part, 1, NULL, err);
}

static int trim(struct seglog *log, struct casebus_error *err)
{
    uint64_t last = seglog_last(log);
    if (last <= KEPT)
        return 0;
    tell("trim", last - KEPT);
    return seglog_trim(log, last - KEPT, err);
}

static int step(struct seglog **log, const char *dir, uint64_t chance, struct casebus_error *err)
{
    switch (chance % 16) {
    case 0:
        return trim(*log, err);
    case 1:
        return seglog_close_idle(*log, err);
    case 2:
        return seglog_prepare(*log, err);
    case 3:
        if (chance / 16 % 8 != 0)
            return 0;
        *log = seglog_close(*log);
        return seglog_open(log, dir, &options, err);
    default:
        for (uint64_t n = 1 + chance / 16 % 3; n > 0; n--)
            if (append(*log, err) != 0)
                return -1;
        if (seglog_sync(*log, err) != 0)
            return -1;
        tell("safe", seglog_last(*log));
        return 0;
    }
}

static int run(const char *dir, uint64_t rounds)
{
    struct casebus_error err = {0};
    struct seglog *log = NULL;
    int r = seglog_open(&log, dir, &options, &err);
    for (uint64_t i = 0; r == 0 && i < rounds; i++)
        r = step(&log, dir, mix(seglog_last(log) * 1000 + i), &err);
    seglog_close(log);
    if (r != 0)
        printf("failed %s %s\n", casebus_code_text(err.code), err.text);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- looking ---- */

static int records_check(struct seglog *log, uint64_t trimmed, uint64_t safe, struct casebus_error *err)
{
    struct seglog_reader *reader;
    struct seglog_record record;
    uint8_t content[PAYLOAD_MAX];
    uint64_t next = seglog_first(log);
    int r;
    if (next > (trimmed ? trimmed : 1))
        return error_set(err, CASEBUS_DAMAGED, "begins with %" PRIu64 ", but was trimmed to %" PRIu64, next,
                         trimmed);
    if (seglog_last(log) < safe)
        return error_set(err, CASEBUS_DAMAGED, "ends with %" PRIu64 ", but %" PRIu64 " was safe",
                         seglog_last(log), safe);
    if (seglog_reader_open(&reader, log, 1, err) != 0)
        return -1;
    while ((r = seglog_reader_next(reader, &record, err)) == 1) {
        size_t size = content_make(content, next);
        if (record.number != next || record.kind != 7 ||
            !bytes_equal(record.payload, bytes_of(content, size))) {
            r = error_set(err, CASEBUS_DAMAGED, "record %" PRIu64 " is not what was written", next);
            break;
        }
        next++;
    }
    seglog_reader_close(reader);
    if (r == 0 && next != seglog_last(log) + 1)
        r = error_set(err, CASEBUS_DAMAGED, "the reader ends before %" PRIu64, next);
    return r;
}

/* Also that work goes on, and that what comes then is there too. */
static int dir_check(const char *dir, uint64_t trimmed, uint64_t safe, uint64_t *last,
                     struct casebus_error *err)
{
    struct seglog *log;
    if (seglog_open(&log, dir, &options, err) != 0)
        return -1;
    int r = records_check(log, trimmed, safe, err);
    *last = seglog_last(log);
    if (r == 0 && (append(log, err) != 0 || seglog_sync(log, err) != 0))
        r = -1;
    seglog_close(log);
    if (r != 0 || seglog_open(&log, dir, &options, err) != 0)
        return -1;
    r = records_check(log, trimmed, *last + 1, err);
    seglog_close(log);
    return r;
}

static void check_one(const char *dir, uint64_t trimmed, uint64_t safe)
{
    struct casebus_error err = {0};
    uint64_t last = 0;
    if (dir_check(dir, trimmed, safe, &last, &err) == 0)
        printf("ok %" PRIu64 "\n", last);
    else
        printf("bad %s %s\n", casebus_code_text(err.code), err.text);
    fflush(stdout);
    _exit(0);
}

static int check(void)
{
    char line[PATH_MAX + 64], dir[PATH_MAX];
    uint64_t trimmed, safe;
    int status;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%4095s %" SCNu64 " %" SCNu64, dir, &trimmed, &safe) != 3)
            return EXIT_FAILURE;
        pid_t child = fork();
        if (child == 0)
            check_one(dir, trimmed, safe);
        if (child < 0 || waitpid(child, &status, 0) != child)
            return EXIT_FAILURE;
        if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)
            printf("bad crash %d\n", status);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "run") == 0)
        return run(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return check();
    fprintf(stderr, "sim_log run DIR ROUNDS | sim_log check\n");
    return 2;
}
