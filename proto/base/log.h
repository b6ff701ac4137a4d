/* Log: lines with an id, a sentence and the names. Passed in, so that a test can read them. Never holds
 * personal data. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>
#include <stdio.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR };

struct log {
    FILE *file;               /* where lines go; NULL: nowhere */
    enum log_level min_level; /* lines below it are dropped */
    const char *program;      /* may be NULL */
    /* If set, gets every line instead of @file: (self, level, id, sentence). Called from any thread. */
    void (*sink)(void *self, enum log_level level, const char *id, const char *text);
    void *self;
};

/* One line: "2026-11-23T14:38:34.123Z LEVEL ID sentence", with "program: " before the sentence when it is set
 * ("<4>ID sentence", priority first, when JOURNAL_STREAM names the file). Control characters in names are
 * shown as \xNN, so a peer cannot forge lines. Thread-safe. */
void log_line(const struct log *log, enum log_level level, const char *id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_debug(log, id, ...)   log_line(log, LOG_DEBUG, id, __VA_ARGS__)
#define log_info(log, id, ...)    log_line(log, LOG_INFO, id, __VA_ARGS__)
#define log_notice(log, id, ...)  log_line(log, LOG_NOTICE, id, __VA_ARGS__)
#define log_warning(log, id, ...) log_line(log, LOG_WARNING, id, __VA_ARGS__)
#define log_error(log, id, ...)   log_line(log, LOG_ERROR, id, __VA_ARGS__)

#endif
