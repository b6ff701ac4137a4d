/* wcwidth() knows the width of a character, but in the C locale it knows only ASCII; a log of an operator who
 * works with LANG=C shows Chinese all the same, so what it does not know is looked up in the blocks that are
 * wide. */
#include "hub/cli/table.h"

#include "proto/base/bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define CELL_MAX 1024

struct table {
    const struct table_column *columns;
    size_t n_columns;
    char **cells;
    size_t n_cells;
};

/* ---- width ---- */

/* One character of UTF-8 that was checked before; returns its bytes. */
static size_t utf8_next(const char *text, uint32_t *character)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *character = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *character = 0xfffd;
            return i;
        }
        *character = *character << 6 | (p[i] & 0x3f);
    }
    return n;
}

static size_t wide_block_width(uint32_t c)
{
    static const uint32_t wide[][2] = {
        {0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},
        {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x20000, 0x3fffd}};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    return 1;
}

static size_t character_width(uint32_t c)
{
    int width = wcwidth((wchar_t)c);
    return width >= 0 ? (size_t)width : wide_block_width(c);
}

size_t text_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        uint32_t character;
        text += utf8_next(text, &character);
        width += character_width(character);
    }
    return width;
}

void text_cut(char *text, size_t size, size_t width)
{
    static const char ellipsis[] = "…";
    size_t used = 0, at = 0;
    if (width == 0 || text_width(text) <= width)
        return;
    while (text[at]) {
        uint32_t character;
        size_t n = utf8_next(text + at, &character);
        size_t cells = character_width(character);
        if (used + cells > width - 1)
            break;
        used += cells;
        at += n;
    }
    if (at + sizeof ellipsis <= size)
        memcpy(text + at, ellipsis, sizeof ellipsis);
    else
        text[at] = '\0';
}

/* ---- the table ---- */

struct table *table_new(const struct table_column *columns, size_t n_columns)
{
    struct table *table = calloc(1, sizeof *table);
    if (table) {
        table->columns = columns;
        table->n_columns = n_columns;
    }
    return table;
}

struct table *table_free(struct table *table)
{
    for (size_t i = 0; table && i < table->n_cells; i++)
        free(table->cells[i]);
    if (table)
        free(table->cells);
    free(table);
    return NULL;
}

static void cell_add(struct table *table, const char *text)
{
    char shown[CELL_MAX];
    if (table->n_cells % 64 == 0) {
        char **grown = realloc(table->cells, (table->n_cells + 64) * sizeof *grown);
        if (!grown)
            return;
        table->cells = grown;
    }
    text_escape(shown, sizeof shown - 4, text);
    text_cut(shown, sizeof shown, table->columns[table->n_cells % table->n_columns].max_width);
    char *copy = strdup(shown);
    if (copy)
        table->cells[table->n_cells++] = copy;
}

void table_text(struct table *table, const char *text)
{
    if (table)
        cell_add(table, text ? text : "-");
}

void table_printf(struct table *table, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;
    if (!table)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    utf8_cut(text);
    cell_add(table, text);
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = text_width(table->columns[column].title);
    for (size_t i = column; i < table->n_cells; i += table->n_columns) {
        size_t cell = text_width(table->cells[i]);
        width = cell > width ? cell : width;
    }
    return width;
}

/* The last column gets no blanks behind it. */
static void cell_print(FILE *out, const char *text, size_t width, enum table_align align, bool last)
{
    size_t gap = width - text_width(text);
    if (align == TABLE_RIGHT)
        fprintf(out, "%*s%s", (int)gap, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : (int)gap, "");
    fputs(last ? "\n" : "  ", out);
}

void table_print(const struct table *table, FILE *out, bool colour)
{
    if (!table)
        return;
    size_t *widths = calloc(table->n_columns, sizeof *widths);
    if (!widths)
        return;
    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = column_width(table, i);
    fputs(colour ? "\033[1m" : "", out);
    for (size_t i = 0; i < table->n_columns; i++)
        cell_print(out, table->columns[i].title, widths[i], table->columns[i].align,
                   i + 1 == table->n_columns);
    fputs(colour ? "\033[0m" : "", out);
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;
        cell_print(out, table->cells[i], widths[column], table->columns[column].align,
                   column + 1 == table->n_columns);
    }
    free(widths);
}
