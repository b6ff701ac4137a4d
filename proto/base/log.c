/* A log line is built whole, cleaned and written with one call, so that lines of several threads and programs
 * never mix. Under systemd the journal keeps the time itself and takes the level from a "<n>" prefix
 * (sd-daemon(3)); whether our file really is the journal's is told by JOURNAL_STREAM=device:inode. */
#include "proto/base/log.h"

#include "proto/base/bytes.h"
#include "proto/base/clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { LOG_TEXT_MAX = 2048 };

static const struct {
    const char *name;
    int priority; /* of syslog(3) */
} levels[] = {
    [LOG_DEBUG] = {"DEBUG", 7},     [LOG_INFO] = {"INFO", 6},   [LOG_NOTICE] = {"NOTICE", 5},
    [LOG_WARNING] = {"WARNING", 4}, [LOG_ERROR] = {"ERROR", 3},
};

static bool file_is_journal(FILE *file)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!stream || fstat(fileno(file), &status) != 0)
        return false;
    char ours[64];
    snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return strcmp(stream, ours) == 0;
}

static void time_format(char *out, size_t size, int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03dZ", date, (int)(unix_us / 1000 % 1000));
}

static void line_write(const struct log *log, enum log_level level, const char *id, const char *text)
{
    const char *program = log->program ? log->program : "";
    const char *colon = log->program ? ": " : "";
    char time[64];
    if (file_is_journal(log->file)) {
        fprintf(log->file, "<%d>%s %s\n", levels[level].priority, id, text);
    } else {
        time_format(time, sizeof time, clock_unix_us());
        fprintf(log->file, "%s %s %s %s%s%s\n", time, levels[level].name, id, program, colon, text);
    }
    fflush(log->file);
}

void log_line(const struct log *log, enum log_level level, const char *id, const char *format, ...)
{
    if (!log || level < log->min_level || (!log->sink && !log->file))
        return;
    char raw[LOG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (length < 0)
        return;
    if ((size_t)length >= sizeof raw)
        utf8_cut(raw);
    char text[2 * LOG_TEXT_MAX];
    text_escape(text, sizeof text, raw);
    if (log->sink)
        log->sink(log->self, level, id, text);
    else
        line_write(log, level, id, text);
}
