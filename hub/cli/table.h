/* Table: rows for people, in aligned columns. A Chinese character takes two cells of a terminal. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
    const char *title;
    enum table_align align;
    size_t max_width; /* longer texts are cut with an ellipsis; 0: never */
};

struct table;

/* @columns outlives the table. NULL without memory; every verb takes NULL. */
struct table *table_new(const struct table_column *columns, size_t n_columns);
struct table *table_free(struct table *table);
/* Adds the next cell; the row ends by itself after the last column. Control characters are shown as \xNN. */
void table_text(struct table *table, const char *text); /* NULL is shown as "-" */
void table_printf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Title line and rows; with @colour the titles stand out. */
void table_print(const struct table *table, FILE *out, bool colour);

/* Cells that @text takes on a terminal; independent of the locale's character set. */
size_t text_width(const char *text);
/* Cuts @text to @width cells, the last one an ellipsis. */
void text_cut(char *text, size_t size, size_t width);

#endif
