/* libcsv turns bytes into cells; this file gives it one physical line at a time, which is what makes two
 * things possible: every row knows the line where it began, and after quotes that make no sense reading goes
 * on at the very next line. A quoted cell may hold line ends, so a row gathers lines until libcsv says that
 * it is complete. When that does not happen within the bound, or before the end, the row is given up with all
 * of its lines: inside of a cell stands what an applicant wrote, and no line of that is ever read as a row.
 *
 * Rows are split before they are decoded: in UTF-8 and in GB18030 no byte of a longer character is a quote, a
 * comma, a tab or a line end. So a bad character spoils one cell and we can say which. */
#include "adapters/eventlog/sheet.h"

#include "proto/base/texts.h"

#include <csv.h>
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

enum {
    RAW_SHOWN_MAX = 64 * 1024,       /* of a bad row, for the rejects */
    TEXT_MAX = 2 * ROW_SIZE_MAX + 2, /* a row's bound, and one more line */
    CELLS_MAX = 4 * ROW_SIZE_MAX,    /* decoded */
};

struct cell {
    size_t offset; /* in `cells` */
    size_t size;
};

struct sheet {
    struct input *input;
    char delimiter;
    bool may_grow;
    char encoding[16];
    iconv_t decoder; /* (iconv_t)-1: already UTF-8 */

    struct csv_parser parser;
    bool parser_made;
    struct buffer text; /* physical lines not yet used up */
    size_t used;        /* of `text` */
    bool last_is_cut;   /* the newest line was longer than the bound */
    bool last_is_open;  /* it had no line end in the file */
    size_t last_begin;  /* where the newest line begins */
    uint64_t line;      /* number of the line at `used` */
    uint64_t row_number;

    struct buffer cells; /* of the row that is being read */
    struct cell cell[ROW_FIELDS_MAX];
    size_t n_cells; /* may be more than fit into `cell` */
    int n_rows;     /* rows that libcsv completed in this line */
    bool no_room;

    struct buffer decoded; /* the same cells in UTF-8 */
    struct buffer raw;     /* a bad row's text in UTF-8 */
    struct buffer names;
    const char *name[ROW_FIELDS_MAX];
    size_t n_columns;
    struct row_field fields[ROW_FIELDS_MAX];
};

/* ---- libcsv ---- */

static int never_space(unsigned char c)
{
    (void)c;
    return 0;
}

static void on_cell(void *text, size_t size, void *self)
{
    struct sheet *sheet = self;
    if (sheet->n_cells < ROW_FIELDS_MAX) {
        sheet->cell[sheet->n_cells] = (struct cell){sheet->cells.size, size};
        if (!buffer_append(&sheet->cells, text, size))
            sheet->no_room = true;
    }
    sheet->n_cells++;
}

static void on_row(int end, void *self)
{
    (void)end;
    ((struct sheet *)self)->n_rows++;
}

static int parser_restart(struct sheet *sheet, struct casebus_error *err)
{
    if (sheet->parser_made)
        csv_free(&sheet->parser);
    sheet->parser_made = csv_init(&sheet->parser, CSV_STRICT) == 0;
    if (!sheet->parser_made)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(sheet->input));
    csv_set_delim(&sheet->parser, (unsigned char)sheet->delimiter);
    csv_set_space_func(&sheet->parser, never_space);
    csv_set_blk_size(&sheet->parser, 4096);
    return 0;
}

/* ---- lines ---- */

/* Drops what is used up and reads one more line behind the rest. Returns 1, 0 at the end, or -1. */
static int line_more(struct sheet *sheet, struct casebus_error *err)
{
    if (sheet->used > 0) {
        memmove(sheet->text.data, sheet->text.data + sheet->used, sheet->text.size - sheet->used);
        sheet->text.size -= sheet->used;
        sheet->last_begin -= sheet->last_begin < sheet->used ? sheet->last_begin : sheet->used;
        sheet->used = 0;
    }
    size_t begin = sheet->text.size;
    int r = input_line(sheet->input, &sheet->text, ROW_SIZE_MAX, &sheet->last_is_cut, err);
    if (r < 0) {
        sheet->text.size = begin; /* half a line is no line */
        return error_context(err, _("line %llu"), (unsigned long long)sheet->line);
    }
    if (r == 0)
        return 0;
    sheet->last_is_open = !sheet->last_is_cut && sheet->text.data[sheet->text.size - 1] != '\n';
    if (sheet->text.data[sheet->text.size - 1] != '\n' && !buffer_append(&sheet->text, "\n", 1))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(sheet->input));
    sheet->last_begin = begin;
    return 1;
}

static size_t line_size(const struct sheet *sheet, size_t begin)
{
    const uint8_t *from = sheet->text.data + begin;
    const uint8_t *end = memchr(from, '\n', sheet->text.size - begin);
    return (size_t)(end - from) + 1;
}

static bool line_is_blank(const struct sheet *sheet, size_t begin, size_t size)
{
    return size == 1 || (size == 2 && sheet->text.data[begin] == '\r');
}

/* ---- encodings ---- */

static const char *encoding_guess(struct bytes ahead)
{
    size_t size = ahead.size;
    for (int cut = 0; cut < 4 && size > 0; cut++, size--) /* a character may be cut off at the end */
        if (utf8_valid(ahead.data, size) || memchr(ahead.data, 0, size))
            return "UTF-8";
    return size > 0 ? "GB18030" : "UTF-8";
}

static bool has_prefix(struct bytes ahead, const char *prefix, size_t size)
{
    return ahead.size >= size && memcmp(ahead.data, prefix, size) == 0;
}

/* The one that stands most often in the row of column names, outside of quotes. */
static char delimiter_guess(struct bytes ahead)
{
    static const char candidates[] = {',', ';', '\t'};
    size_t n[sizeof candidates] = {0}, best = 0;
    bool quoted = false, begun = false;
    for (size_t i = 0; i < ahead.size; i++) {
        char c = (char)ahead.data[i];
        if (c == '"')
            quoted = !quoted;
        if (c == '\n' && begun && !quoted)
            break;
        begun |= c != '\n' && c != '\r';
        for (size_t j = 0; j < sizeof candidates && !quoted; j++)
            n[j] += c == candidates[j];
    }
    for (size_t j = 1; j < sizeof candidates; j++)
        if (n[j] > n[best])
            best = j;
    return candidates[best];
}

static bool is_workbook(struct bytes ahead)
{
    return has_prefix(ahead, "PK\x03\x04", 4) || has_prefix(ahead, "\xd0\xcf\x11\xe0", 4);
}

static int encoding_open(struct sheet *sheet, const char *encoding, struct casebus_error *err)
{
    struct bytes ahead;
    int r = input_peek(sheet->input, &ahead, err);
    if (r < 0)
        return -1;
    if (is_workbook(ahead)) {
        error_set(err, CASEBUS_SOURCE, _("'%s' is a spreadsheet or another packed file, not CSV"),
                  input_name(sheet->input));
        return error_hint(err, _("save it again as CSV UTF-8"));
    }
    if (!sheet->delimiter)
        sheet->delimiter = delimiter_guess(ahead);
    if (has_prefix(ahead, "\xff\xfe", 2) || has_prefix(ahead, "\xfe\xff", 2)) {
        error_set(err, CASEBUS_SOURCE, _("'%s' is in UTF-16, which is not read here"),
                  input_name(sheet->input));
        return error_hint(err, _("save it again as CSV UTF-8"));
    }
    bool marked = has_prefix(ahead, "\xef\xbb\xbf", 3);
    if (marked)
        input_consume(sheet->input, 3);
    if (!encoding)
        encoding = marked ? "UTF-8" : encoding_guess(ahead);
    snprintf(sheet->encoding, sizeof sheet->encoding, "%s", encoding);
    if (strcmp(encoding, "UTF-8") == 0)
        return 0;
    sheet->decoder = iconv_open("UTF-8", encoding);
    if (sheet->decoder == (iconv_t)-1)
        return error_set(err, CASEBUS_SOURCE, _("the encoding '%s' is not known to this system"), encoding);
    return 0;
}

/* Appends @in as UTF-8 to @out. Returns how many bytes of @in were good: all of them when it went well. */
static size_t text_decode(struct sheet *sheet, struct bytes in, struct buffer *out)
{
    if (sheet->decoder == (iconv_t)-1)
        return utf8_valid(in.data, in.size) && buffer_append(out, in.data, in.size) ? in.size : 0;
    size_t room = 2 * in.size + 8; /* two bytes of GB18030 become at most three, four at most four */
    char *to = (char *)buffer_reserve(out, room);
    if (!to)
        return 0;
    char *from = (char *)(uintptr_t)in.data;
    size_t left = in.size;
    size_t room_left = room;
    iconv(sheet->decoder, NULL, NULL, NULL, NULL);
    bool good = iconv(sheet->decoder, &from, &left, &to, &room_left) != (size_t)-1;
    if (good)
        out->size += room - room_left;
    return in.size - left;
}

/* ---- a row ---- */

static void cells_reset(struct sheet *sheet)
{
    buffer_reset(&sheet->cells);
    sheet->n_cells = 0;
    sheet->n_rows = 0;
    sheet->no_room = false;
}

static uint64_t lines_in(const struct sheet *sheet, size_t begin, size_t size)
{
    const uint8_t *at = sheet->text.data + begin;
    const uint8_t *end = at + size;
    uint64_t n = 0;
    for (; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        n++;
    return n;
}

/* The row's own text, for the rejects; what is not text is shown as \xNN. */
static struct bytes row_raw(struct sheet *sheet, size_t begin, size_t size)
{
    struct bytes in = bytes_of(sheet->text.data + begin, size);
    while (in.size > 0 && (in.data[in.size - 1] == '\n' || in.data[in.size - 1] == '\r'))
        in.size--;
    if (in.size > RAW_SHOWN_MAX)
        in.size = RAW_SHOWN_MAX;
    bool plain_text = in.size > 0 && !memchr(in.data, 0, in.size);
    if (plain_text && sheet->decoder == (iconv_t)-1 && utf8_valid(in.data, in.size))
        return in;
    buffer_reset(&sheet->raw);
    if (plain_text && text_decode(sheet, in, &sheet->raw) == in.size)
        return bytes_of(sheet->raw.data, sheet->raw.size);
    buffer_reset(&sheet->raw);
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        bool plain = (c >= ' ' && c < 127) || c == '\n' || c == '\t';
        if (!(plain ? buffer_append(&sheet->raw, &c, 1) : buffer_printf(&sheet->raw, "\\x%02x", c)))
            break;
    }
    return bytes_of(sheet->raw.data, sheet->raw.size);
}

/* Gives up @size bytes of what was tried as a row; the error is set already. */
static int row_refuse(struct sheet *sheet, struct row *row, size_t size)
{
    row->raw = row_raw(sheet, sheet->used, size);
    row->fields = NULL;
    row->n_fields = 0;
    sheet->line += lines_in(sheet, sheet->used, size);
    sheet->used += size;
    return SOURCE_BAD_ROW;
}

static int bad_quotes(struct sheet *sheet, struct row *row, struct casebus_error *err)
{
    if (parser_restart(sheet, err) != 0)
        return -1;
    error_set(err, CASEBUS_ROW, _("a quote stands where none may stand, in column %zu"), sheet->n_cells + 1);
    error_hint(err, _("a value with quotes is written \"like \"\"this\"\"\""));
    return row_refuse(sheet, row, line_size(sheet, sheet->used));
}

static int bad_length(struct sheet *sheet, struct row *row, size_t size, struct casebus_error *err)
{
    error_set(err, CASEBUS_ROW, _("the row is longer than %d bytes"), ROW_SIZE_MAX);
    error_hint(err,
               _("is a quote or a line end missing? large contents belong into materials, not into rows"));
    return row_refuse(sheet, row, size);
}

/* The file ends inside the row; all that was read and not used is of it. */
static int ends_in_row(struct sheet *sheet, struct row *row, bool quoted, struct casebus_error *err)
{
    if (parser_restart(sheet, err) != 0)
        return -1;
    if (quoted) {
        error_set(err, CASEBUS_ROW, _("the quote that opens column %zu is never closed"), sheet->n_cells + 1);
        error_hint(err, _("close it, or check that the file was not cut off"));
    } else {
        error_set(err, CASEBUS_ROW, _("the file ends inside its last row, which has no line end"));
        error_hint(
            err, _("it is read once it has one; if the file is whole as it is, set source.last_row to any"));
    }
    if (!sheet->may_grow)
        return row_refuse(sheet, row, sheet->text.size - sheet->used);
    sheet->used = sheet->text.size;
    return SOURCE_OPEN_ROW;
}

static bool quote_is_open(const struct sheet *sheet)
{
    size_t n = 0;
    for (size_t i = sheet->used; i < sheet->text.size; i++)
        n += sheet->text.data[i] == '"';
    return n % 2 != 0;
}

/* A row beyond the bound. All that was read and not used is of it; the rest is passed over. */
static int row_pass_over(struct sheet *sheet, struct row *row, struct casebus_error *err)
{
    bool quoted = quote_is_open(sheet);
    uint64_t lines = 0;
    if (parser_restart(sheet, err) != 0)
        return -1;
    int r = input_skip_row(sheet->input, quoted, &lines, err);
    if (r < 0)
        return -1;
    if (r == 0 && (quoted || sheet->may_grow))
        return ends_in_row(sheet, row, quoted, err);
    sheet->line += lines - (r > 0 && sheet->last_is_cut);
    return bad_length(sheet, row, sheet->text.size - sheet->used, err);
}

/* Gathers lines until libcsv has a whole row. Sets @sizep to its length in `text`. Returns a source_answer or
 * -1; with SOURCE_BAD_ROW the row is refused already. */
static int row_gather(struct sheet *sheet, struct row *row, size_t *sizep, struct casebus_error *err)
{
    size_t size = 0;
    cells_reset(sheet);
    while (sheet->n_rows == 0) {
        if (sheet->used + size == sheet->text.size) {
            if (size > ROW_SIZE_MAX)
                return row_pass_over(sheet, row, err);
            int r = line_more(sheet, err);
            if (r <= 0)
                return r < 0 ? -1 : ends_in_row(sheet, row, true, err);
        }
        size_t begin = sheet->used + size;
        size_t more = line_size(sheet, begin);
        if (sheet->last_is_cut && begin == sheet->last_begin)
            return row_pass_over(sheet, row, err);
        if (sheet->may_grow && sheet->last_is_open && begin == sheet->last_begin)
            return ends_in_row(sheet, row, false, err);
        if (csv_parse(&sheet->parser, sheet->text.data + begin, more, on_cell, on_row, sheet) != more)
            return bad_quotes(sheet, row, err);
        size += more;
    }
    *sizep = size;
    return size > ROW_SIZE_MAX ? bad_length(sheet, row, size, err) : SOURCE_ROW;
}

static const char *cell_name(const struct sheet *sheet, size_t i)
{
    return i < sheet->n_columns ? sheet->name[i] : "?";
}

static int cell_decode(struct sheet *sheet, size_t i, struct casebus_error *err)
{
    size_t n = sheet->cell[i].size; /* as long as all cells are empty, there is no memory for them */
    struct bytes in = bytes_of(n > 0 ? sheet->cells.data + sheet->cell[i].offset : NULL, n);
    size_t begin = sheet->decoded.size;
    if (in.size > 0 && memchr(in.data, 0, in.size)) {
        error_set(err, CASEBUS_ROW, _("column %zu ('%s') holds a NUL byte"), i + 1, cell_name(sheet, i));
        return error_hint(err, _("export the file as text; NUL is no character of a text"));
    }
    if (in.size > 0 && text_decode(sheet, in, &sheet->decoded) != in.size) {
        error_set(err, CASEBUS_ROW, _("column %zu ('%s') is not %s text"), i + 1, cell_name(sheet, i),
                  sheet->encoding);
        return error_hint(err, _("set source.encoding to what the file really is: UTF-8 or GB18030"));
    }
    sheet->cell[i] = (struct cell){begin, sheet->decoded.size - begin};
    if (!buffer_append(&sheet->decoded, "", 1))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a row of '%s'"), input_name(sheet->input));
    return 0;
}

static int cells_decode(struct sheet *sheet, struct casebus_error *err)
{
    buffer_reset(&sheet->decoded);
    for (size_t i = 0; i < sheet->n_cells; i++)
        if (cell_decode(sheet, i, err) != 0)
            return -1;
    return 0;
}

static int row_check(struct sheet *sheet, struct casebus_error *err)
{
    if (sheet->no_room)
        return error_set(err, CASEBUS_ROW, _("the row is longer than %d bytes"), ROW_SIZE_MAX);
    if (sheet->n_rows > 1) {
        error_set(err, CASEBUS_ROW, _("a carriage return stands inside the row, outside of quotes"));
        return error_hint(err, _("end rows with a line feed (LF or CR LF)"));
    }
    if (sheet->n_cells != sheet->n_columns) {
        error_set(err, CASEBUS_ROW, _("the row has %zu columns, the header has %zu"), sheet->n_cells,
                  sheet->n_columns);
        return error_hint(err, _("a value that holds '%c' or a line end has to stand in quotes"),
                          sheet->delimiter);
    }
    return cells_decode(sheet, err);
}

/* The first line of the next row is at `used`; blank lines are no rows. Returns 1, 0 at the end, or -1. */
static int row_find(struct sheet *sheet, struct casebus_error *err)
{
    for (;;) {
        if (sheet->used == sheet->text.size) {
            int r = line_more(sheet, err);
            if (r <= 0)
                return r;
        }
        size_t size = line_size(sheet, sheet->used);
        if (!line_is_blank(sheet, sheet->used, size))
            return 1;
        sheet->used += size;
        sheet->line++;
    }
}

int sheet_next(struct sheet *sheet, struct row *row, struct casebus_error *err)
{
    int r = row_find(sheet, err);
    if (r <= 0)
        return r < 0 ? -1 : SOURCE_END;
    *row = (struct row){.number = ++sheet->row_number, .line = sheet->line};
    size_t size = 0;
    r = row_gather(sheet, row, &size, err);
    if (r != SOURCE_ROW)
        return r;
    if (row_check(sheet, err) != 0) {
        return row_refuse(sheet, row, size);
    }
    for (size_t i = 0; i < sheet->n_columns; i++)
        sheet->fields[i] =
            (struct row_field){sheet->name[i], (const char *)sheet->decoded.data + sheet->cell[i].offset};
    row->fields = sheet->fields;
    row->n_fields = sheet->n_columns;
    row->raw = row_raw(sheet, sheet->used, size);
    sheet->used += size;
    sheet->line += lines_in(sheet, sheet->used - size, size);
    return SOURCE_ROW;
}

/* ---- the header ---- */

static int header_check(struct sheet *sheet, struct casebus_error *err)
{
    for (size_t i = 0; i < sheet->n_columns; i++) {
        if (sheet->name[i][0] == '\0') {
            error_set(err, CASEBUS_SOURCE, _("'%s', line 1: column %zu has no name"),
                      input_name(sheet->input), i + 1);
            return error_hint(err, _("the first row names the columns; is source.delimiter right?"));
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(sheet->name[i], sheet->name[j]) == 0) {
                error_set(err, CASEBUS_SOURCE, _("'%s', line 1: columns %zu and %zu are both called '%s'"),
                          input_name(sheet->input), j + 1, i + 1, sheet->name[i]);
                return error_hint(err, _("give each column a name of its own"));
            }
    }
    return 0;
}

static int header_bad(struct sheet *sheet, struct casebus_error *err)
{
    return error_context(err, _("'%s', line 1, the row of column names"), input_name(sheet->input));
}

static int header_read(struct sheet *sheet, struct casebus_error *err)
{
    struct row row = {0};
    size_t size = 0;
    int r = row_find(sheet, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        error_set(err, CASEBUS_SOURCE, _("'%s' is empty"), input_name(sheet->input));
        return error_hint(err, _("its first row has to name the columns"));
    }
    r = row_gather(sheet, &row, &size, err);
    if (r != SOURCE_ROW)
        return header_bad(sheet, err);
    if (sheet->n_cells > ROW_FIELDS_MAX) {
        error_set(err, CASEBUS_SOURCE, _("'%s' has %zu columns; at most %d can be read"),
                  input_name(sheet->input), sheet->n_cells, ROW_FIELDS_MAX);
        return error_hint(err, _("export only the columns that are needed"));
    }
    sheet->n_columns = sheet->n_cells;
    for (size_t i = 0; i < sheet->n_columns; i++)
        sheet->name[i] = "?"; /* until they are decoded */
    if (row_check(sheet, err) != 0)
        return header_bad(sheet, err);
    if (!buffer_append(&sheet->names, sheet->decoded.data, sheet->decoded.size))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(sheet->input));
    for (size_t i = 0; i < sheet->n_columns; i++)
        sheet->name[i] = (const char *)sheet->names.data + sheet->cell[i].offset;
    sheet->line += lines_in(sheet, sheet->used, size);
    sheet->used += size;
    return header_check(sheet, err);
}

static int sheet_begin(struct sheet *sheet, const struct sheet_options *options, struct casebus_error *err)
{
    if (encoding_open(sheet, options->encoding, err) != 0 || parser_restart(sheet, err) != 0)
        return -1;
    return header_read(sheet, err);
}

int sheet_open(struct sheet **sheetp, struct input *input, const struct sheet_options *options,
               struct casebus_error *err)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);
    if (!sheet) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input_name(input));
        input_close(input);
        return -1;
    }
    sheet->input = input;
    sheet->delimiter = options->delimiter;
    sheet->decoder = (iconv_t)-1;
    sheet->line = 1;
    buffer_init(&sheet->text, TEXT_MAX);
    buffer_init(&sheet->cells, CELLS_MAX);
    buffer_init(&sheet->decoded, CELLS_MAX + ROW_FIELDS_MAX);
    buffer_init(&sheet->raw, 8 * RAW_SHOWN_MAX);
    buffer_init(&sheet->names, CELLS_MAX);
    if (sheet_begin(sheet, options, err) != 0) {
        sheet_close(sheet);
        return -1;
    }
    sheet->may_grow = options->may_grow; /* the row of column names is read as it stands */
    *sheetp = sheet;
    return 0;
}

struct sheet *sheet_close(struct sheet *sheet)
{
    if (!sheet)
        return NULL;
    if (sheet->parser_made)
        csv_free(&sheet->parser);
    if (sheet->decoder != (iconv_t)-1)
        iconv_close(sheet->decoder);
    buffer_deinit(&sheet->text);
    buffer_deinit(&sheet->cells);
    buffer_deinit(&sheet->decoded);
    buffer_deinit(&sheet->raw);
    buffer_deinit(&sheet->names);
    input_close(sheet->input);
    free(sheet);
    return NULL;
}

size_t sheet_columns(const struct sheet *sheet, const char *const **names)
{
    *names = sheet->name;
    return sheet->n_columns;
}

const char *sheet_encoding(const struct sheet *sheet)
{
    return sheet->encoding;
}

const struct input *sheet_input(const struct sheet *sheet)
{
    return sheet->input;
}
