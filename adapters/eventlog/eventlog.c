/* The descriptor of the kind "eventlog": its settings, and which of the two readers does the work. */
#include "adapters/eventlog/eventlog.h"

#include "adapters/eventlog/sheet.h"
#include "adapters/eventlog/xes.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum format { FORMAT_AUTO, FORMAT_CSV, FORMAT_CSV_GZ, FORMAT_XES, FORMAT_XES_GZ };
enum encoding { ENCODING_AUTO, ENCODING_UTF8, ENCODING_GB18030 };

static const char *const format_names[] = {"auto", "csv", "csv.gz", "xes", "xes.gz", NULL};
enum last_row { LAST_ROW_ENDED, LAST_ROW_ANY };

static const char *const last_row_names[] = {"ended", "any", NULL};
static const char *const encoding_names[] = {"auto", "UTF-8", "GB18030", NULL};

struct eventlog_config {
    const char *file;
    int format;
    int encoding;
    int last_row;
    char delimiter;
};

static_assert(sizeof(struct eventlog_config) <= KIND_CONFIG_MAX, "the runner makes room for it");

#define AT(member) offsetof(struct eventlog_config, member)

static const struct setting eventlog_settings[] = {
    {"file", SETTING_READ, NULL, AT(file), N_("The event log to read"), NULL},
    {"format", SETTING_CHOICE, "auto", AT(format), N_("What the file is; auto looks into it"), format_names},
    {"encoding", SETTING_CHOICE, "auto", AT(encoding), N_("Its characters; auto looks at the first 128 KiB"),
     encoding_names},
    {"delimiter", SETTING_CHAR, "auto", AT(delimiter),
     N_("Between two values of a CSV row, such as ; or tab; auto looks at the column names"), NULL},
    {"last_row", SETTING_CHOICE, "ended", AT(last_row),
     N_("The last row of a CSV file is read when it has a line end, or as it stands (any)"), last_row_names},
};

struct eventlog {
    struct sheet *sheet; /* one of the two */
    struct xes *xes;
    const struct input *input;
};

static bool format_is_xes(int format)
{
    return format == FORMAT_XES || format == FORMAT_XES_GZ;
}

/* XES begins with '<', perhaps behind a byte order mark; no row of column names does. */
static int format_find(struct input *input, int *format, struct casebus_error *err)
{
    struct bytes ahead;
    int r = input_peek(input, &ahead, err);
    if (r < 0)
        return -1;
    size_t i = 0;
    while (i < ahead.size && i < 64 && strchr("\xef\xbb\xbf \t\r\n", ahead.data[i]) && ahead.data[i])
        i++;
    *format = i < ahead.size && ahead.data[i] == '<' ? FORMAT_XES : FORMAT_CSV;
    return 0;
}

static int gzip_check(const struct input *input, int format, struct casebus_error *err)
{
    bool wants_gzip = format == FORMAT_CSV_GZ || format == FORMAT_XES_GZ;
    if (format == FORMAT_AUTO || wants_gzip == input_is_gzip(input))
        return 0;
    error_set(err, CASEBUS_SOURCE, wants_gzip ? _("'%s' is not a gzip file") : _("'%s' is a gzip file"),
              input_name(input));
    return error_hint(err, _("set source.format to auto, or to what the file is"));
}

static int reader_open(struct eventlog *log, struct input *input, const struct eventlog_config *config,
                       int format, struct casebus_error *err)
{
    const char *encoding = config->encoding == ENCODING_AUTO ? NULL : encoding_names[config->encoding];
    if (format_is_xes(format)) {
        int r = xes_open(&log->xes, input, encoding, err);
        log->input = r == 0 ? xes_input(log->xes) : NULL;
        return r;
    }
    struct sheet_options options = {
        .delimiter = config->delimiter, .encoding = encoding, .may_grow = config->last_row == LAST_ROW_ENDED};
    int r = sheet_open(&log->sheet, input, &options, err);
    log->input = r == 0 ? sheet_input(log->sheet) : NULL;
    return r;
}

static int input_prepare(struct input **inputp, const struct eventlog_config *config, int *format,
                         struct casebus_error *err)
{
    if (input_open(inputp, config->file, err) != 0)
        return -1;
    if (gzip_check(*inputp, config->format, err) == 0 &&
        (config->format != FORMAT_AUTO || format_find(*inputp, format, err) == 0))
        return 0;
    *inputp = input_close(*inputp);
    return -1;
}

static int eventlog_open(void **sourcep, const void *settings, struct casebus_error *err)
{
    const struct eventlog_config *config = settings;
    struct input *input;
    int format = config->format;
    if (input_prepare(&input, config, &format, err) != 0)
        return -1;
    struct eventlog *log = calloc(1, sizeof *log);
    if (!log) {
        input_close(input);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), config->file);
    }
    if (reader_open(log, input, config, format, err) != 0) {
        free(log);
        return -1;
    }
    *sourcep = log;
    return 0;
}

static size_t eventlog_columns(void *source, const char *const **names)
{
    struct eventlog *log = source;
    return log->sheet ? sheet_columns(log->sheet, names) : 0;
}

static int eventlog_next(void *source, struct row *row, struct casebus_error *err)
{
    struct eventlog *log = source;
    return log->sheet ? sheet_next(log->sheet, row, err) : xes_next(log->xes, row, err);
}

static void eventlog_describe(void *source, char *out, size_t size)
{
    struct eventlog *log = source;
    snprintf(out, size, "%s%s, %s", log->sheet ? "CSV" : "XES", input_is_gzip(log->input) ? ", gzip" : "",
             log->sheet ? sheet_encoding(log->sheet) : xes_encoding(log->xes));
}

static double eventlog_progress(void *source)
{
    return input_progress(((struct eventlog *)source)->input);
}

static void eventlog_close(void *source)
{
    struct eventlog *log = source;
    if (!log)
        return;
    sheet_close(log->sheet);
    xes_close(log->xes);
    free(log);
}

const struct source_kind eventlog_source = {
    .name = "eventlog",
    .summary = N_("Reads an event log: CSV or XES, plain or gzip"),
    .settings = eventlog_settings,
    .n_settings = sizeof eventlog_settings / sizeof eventlog_settings[0],
    .config_size = sizeof(struct eventlog_config),
    .open = eventlog_open,
    .columns = eventlog_columns,
    .next = eventlog_next,
    .describe = eventlog_describe,
    .progress = eventlog_progress,
    .close = eventlog_close,
};
