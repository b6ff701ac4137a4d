/* A table is filled, closed (sorted), and then only looked up. */
#include "adapters/runner/codes.h"

#include "adapters/eventlog/sheet.h"
#include "proto/base/texts.h"

#include <stdlib.h>

void codes_deinit(struct codes *codes)
{
    free(codes->rows);
    *codes = (struct codes){0};
}

bool codes_add(struct codes *codes, const char *from, const char *to, const struct place *place)
{
    if (codes->n == CODES_MAX)
        return false;
    if (codes->n == codes->capacity) {
        size_t capacity = codes->capacity ? 2 * codes->capacity : 64;
        struct code *rows = realloc(codes->rows, capacity * sizeof *rows);
        if (!rows)
            return false;
        codes->rows = rows;
        codes->capacity = capacity;
    }
    codes->rows[codes->n++] = (struct code){from, to, *place};
    return true;
}

static int code_compare(const void *left, const void *right)
{
    return strcmp(((const struct code *)left)->from, ((const struct code *)right)->from);
}

void codes_close(struct codes *codes, struct faults *faults)
{
    if (codes->n == 0)
        return;
    qsort(codes->rows, codes->n, sizeof *codes->rows, code_compare);
    size_t kept = 1;
    for (size_t i = 1; i < codes->n; i++) {
        struct code *last = &codes->rows[kept - 1];
        struct code *row = &codes->rows[i];
        if (strcmp(last->from, row->from) != 0) {
            codes->rows[kept++] = *row;
        } else if (strcmp(last->to, row->to) != 0) {
            faults_add(faults, &row->place, _("the code '%s' means '%s' here and '%s' elsewhere"), row->from,
                       row->to, last->to);
            faults_hint(faults, _("keep one of them"));
        }
    }
    codes->n = kept;
}

const char *codes_find(const struct codes *codes, const char *from)
{
    struct code wanted = {.from = from};
    const struct code *found =
        codes->n ? bsearch(&wanted, codes->rows, codes->n, sizeof wanted, code_compare) : NULL;
    return found ? found->to : NULL;
}

/* ---- from a file ---- */

static const char *cell(const struct row *row, const char *name)
{
    for (size_t i = 0; i < row->n_fields; i++)
        if (strcmp(row->fields[i].name, name) == 0)
            return row->fields[i].value;
    return NULL;
}

static const char *column_at(void *self, size_t index)
{
    const char *const *names;
    return index < sheet_columns(self, &names) ? names[index] : NULL;
}

static bool sheet_column_check(struct sheet *sheet, const char *path, const char *name,
                               const struct place *place, struct faults *faults)
{
    const char *known;
    for (size_t i = 0; (known = column_at(sheet, i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    const char *near = name_nearest(name, column_at, sheet);
    faults_add(faults, place, _("the file '%s' has no column '%s'"), path, name);
    if (near)
        faults_hint(faults, _("did you mean '%s'?"), near);
    else
        faults_hint(faults, _("name its columns with from: and to:"));
    return false;
}

static void file_rows_add(struct codes *codes, struct sheet *sheet, const char *path, const char *from,
                          const char *to, struct arena *arena, struct faults *faults)
{
    struct row row;
    struct casebus_error err;
    int r;
    while ((r = sheet_next(sheet, &row, &err)) > 0) {
        struct place place = {path, (unsigned)row.line, 1};
        if (r == SOURCE_BAD_ROW) {
            faults_add_error(faults, &place, &err);
            continue;
        }
        char *key = arena_printf(arena, "%s", cell(&row, from));
        char *value = arena_printf(arena, "%s", cell(&row, to));
        if (!key || !value || !codes_add(codes, key, value, &place)) {
            faults_add(faults, &place, _("a table of codes has at most %d rows"), CODES_MAX);
            return;
        }
    }
    if (r < 0)
        faults_add_error(faults, &(struct place){.file = path}, &err);
}

void codes_add_file(struct codes *codes, const char *path, const char *from, const char *to,
                    struct arena *arena, const struct place *place, struct faults *faults)
{
    struct casebus_error err;
    struct input *input;
    struct sheet *sheet;
    if (input_open(&input, path, &err) != 0 ||
        sheet_open(&sheet, input, &(struct sheet_options){0}, &err) != 0) {
        faults_add_error(faults, place, &err);
        return;
    }
    bool has_from = sheet_column_check(sheet, path, from, place, faults);
    if (sheet_column_check(sheet, path, to, place, faults) && has_from)
        file_rows_add(codes, sheet, path, from, to, arena, faults);
    sheet_close(sheet);
}

/* ---- tally ---- */

void tally_deinit(struct tally *tally)
{
    free(tally->rows);
    *tally = (struct tally){0};
}

void tally_count(struct tally *tally, const char *text)
{
    char shown[sizeof tally->rows[0].text];
    text_escape(shown, sizeof shown, text);
    for (size_t i = 0; i < tally->n; i++)
        if (strcmp(tally->rows[i].text, shown) == 0) {
            tally->rows[i].n++;
            return;
        }
    if (!tally->rows)
        tally->rows = calloc(TALLY_MAX, sizeof *tally->rows);
    if (!tally->rows || tally->n == TALLY_MAX) {
        tally->rest++;
        return;
    }
    struct tally_row *row = &tally->rows[tally->n++];
    memcpy(row->text, shown, sizeof shown);
    row->n = 1;
}

static int tally_compare(const void *left, const void *right)
{
    const struct tally_row *a = left, *b = right;
    if (a->n != b->n)
        return a->n < b->n ? 1 : -1;
    return strcmp(a->text, b->text);
}

void tally_sort(struct tally *tally)
{
    if (tally->n)
        qsort(tally->rows, tally->n, sizeof *tally->rows, tally_compare);
}
