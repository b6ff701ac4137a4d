/* Pattern: a text with columns in it, such as "{case_id}#{seq}"; "{{" and "}}" are single braces. */
#ifndef RUNNER_PATTERN_H
#define RUNNER_PATTERN_H

#include "adapters/runner/kinds.h"

struct arena;

struct pattern_part {
    const char *text; /* a column's name, or the text itself */
    bool is_column;
    size_t found_at; /* where the column was in the last row: it mostly is there again */
};

struct pattern {
    struct pattern_part *parts;
    size_t n;
    size_t n_columns;
};

int pattern_parse(struct pattern *pattern, const char *text, struct arena *arena, struct casebus_error *err);
/* A pattern of nothing but the column @name. */
int pattern_of_column(struct pattern *pattern, const char *name, struct arena *arena,
                      struct casebus_error *err);

enum pattern_answer { PATTERN_FULL = 1, PATTERN_PARTLY, PATTERN_EMPTY };
/* Writes the text for @row into @out, with a NUL. PATTERN_EMPTY: it has columns and all are empty;
 * PATTERN_PARTLY: some are. Values in @empty count as empty. -1: too long. */
int pattern_render(struct pattern *pattern, const struct row *row, const struct text_list *empty,
                   struct buffer *out);
/* The value of the column @name, or NULL. @hint may be NULL. */
const char *row_find(const struct row *row, const char *name, size_t *hint);
bool text_list_has(const struct text_list *list, const char *text);

#endif
