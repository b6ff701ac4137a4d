/* Sheet: a CSV file (RFC 4180, any delimiter) with a header row, read row by row. */
#ifndef EVENTLOG_SHEET_H
#define EVENTLOG_SHEET_H

#include "adapters/eventlog/input.h"
#include "adapters/runner/kinds.h"

struct sheet;

struct sheet_options {
    char delimiter;       /* 0: found out from the row of column names: ',', ';' or a tab */
    const char *encoding; /* "UTF-8", "GB18030"; NULL: found out from the first 128 KiB */
    bool may_grow;        /* a last row without a line end may still be being written: SOURCE_OPEN_ROW */
};

/* Reads the header. The sheet owns @input from here on, also when this fails. */
int sheet_open(struct sheet **sheetp, struct input *input, const struct sheet_options *options,
               struct casebus_error *err);
struct sheet *sheet_close(struct sheet *sheet); /* NULL in, NULL out */
/* A source_answer, or -1 when the file cannot be read any further. */
int sheet_next(struct sheet *sheet, struct row *row, struct casebus_error *err);
size_t sheet_columns(const struct sheet *sheet, const char *const **names);
const char *sheet_encoding(const struct sheet *sheet);
const struct input *sheet_input(const struct sheet *sheet);

#endif
