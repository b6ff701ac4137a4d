/* A fault is kept as text at once, so it outlives whatever it speaks of. */
#include "adapters/runner/faults.h"

#include "proto/base/bytes.h"
#include "proto/base/texts.h"

#include <stdarg.h>
#include <stdlib.h>

void faults_init(struct faults *faults)
{
    *faults = (struct faults){0};
}

void faults_deinit(struct faults *faults)
{
    free(faults->items);
    *faults = (struct faults){0};
}

static struct fault *fault_new(struct faults *faults, const struct place *place)
{
    faults->n_all++;
    if (!faults->items)
        faults->items = calloc(FAULTS_MAX, sizeof *faults->items);
    if (!faults->items || faults->n == FAULTS_MAX)
        return NULL;
    struct fault *fault = &faults->items[faults->n];
    fault->order = faults->n++;
    fault->line = place ? place->line : 0;
    fault->column = place ? place->column : 0;
    snprintf(fault->file, sizeof fault->file, "%s", place && place->file ? place->file : "");
    return fault;
}

void faults_add(struct faults *faults, const struct place *place, const char *format, ...)
{
    struct fault *fault = fault_new(faults, place);
    if (!fault)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    utf8_cut(fault->text);
}

void faults_hint(struct faults *faults, const char *format, ...)
{
    if (faults->n == 0 || faults->n_all != faults->n)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(faults->items[faults->n - 1].hint, sizeof faults->items[0].hint, format, args);
    va_end(args);
    utf8_cut(faults->items[faults->n - 1].hint);
}

void faults_add_error(struct faults *faults, const struct place *place, const struct casebus_error *err)
{
    faults_add(faults, place, "%s", err->text);
    if (err->hint[0])
        faults_hint(faults, "%s", err->hint);
}

static void line_print(FILE *out, const char *before, const char *text)
{
    char shown[2048];
    text_escape(shown, sizeof shown, text);
    fprintf(out, "%s%s\n", before, shown);
}

static void where_print(char *out, size_t size, const struct fault *fault)
{
    char file[sizeof fault->file];
    text_escape(file, sizeof file, fault->file);
    if (fault->line)
        snprintf(out, size, "%s:%u:%u: ", file, fault->line, fault->column);
    else
        snprintf(out, size, "%s%s", file, file[0] ? ": " : "");
}

/* In the order of the file, so that a person can go through it; what was given on the command line is last.
 */
static int fault_compare(const void *left, const void *right)
{
    const struct fault *a = left, *b = right;
    if ((a->line == 0) != (b->line == 0))
        return a->line == 0 ? 1 : -1;
    if (strcmp(a->file, b->file) != 0)
        return strcmp(a->file, b->file);
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

void faults_print(const struct faults *faults, FILE *out)
{
    if (faults->n > 1)
        qsort(faults->items, faults->n, sizeof *faults->items, fault_compare);
    for (size_t i = 0; i < faults->n; i++) {
        char where[sizeof faults->items[i].file + 32];
        where_print(where, sizeof where, &faults->items[i]);
        line_print(out, where, faults->items[i].text);
        if (faults->items[i].hint[0])
            line_print(out, "    ", faults->items[i].hint);
    }
    if (faults->n_all > faults->n)
        fprintf(out, _("... and %zu more\n"), faults->n_all - faults->n);
}
