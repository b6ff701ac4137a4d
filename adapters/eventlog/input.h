/* Input: the bytes of a file, plain or gzip, with a little to look ahead at. */
#ifndef EVENTLOG_INPUT_H
#define EVENTLOG_INPUT_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

struct input;

/* Opens the file @path; gzip is recognised by its first bytes. */
int input_open(struct input **inputp, const char *path, struct casebus_error *err);
/* Reads @content, which outlives it, as if it were a file called @name. */
int input_open_memory(struct input **inputp, const char *name, struct bytes content,
                      struct casebus_error *err);
struct input *input_close(struct input *input); /* NULL in, NULL out */

/* What has been read and not yet consumed, at least a byte. Returns 1, 0 at the end, or -1. */
int input_peek(struct input *input, struct bytes *ahead, struct casebus_error *err);
void input_consume(struct input *input, size_t size);
/* Appends the next line with its '\n' to @line, at most @max bytes of it; @cut: the rest of it is still to be
 * read. The last line of a file may lack its '\n'. Returns 1, 0 at the end, or -1. */
int input_line(struct input *input, struct buffer *line, size_t max, bool *cut, struct casebus_error *err);
/* Passes over what is left of a row of which the reader stands inside (@quoted: of a quoted cell, too), and
 * adds its line ends to @lines. Returns 1, 0 when the file ends before the row does, or -1. */
int input_skip_row(struct input *input, bool quoted, uint64_t *lines, struct casebus_error *err);

const char *input_name(const struct input *input);
bool input_is_gzip(const struct input *input);
double input_progress(const struct input *input); /* 0 to 1 of the file as it lies on disk */

#endif
