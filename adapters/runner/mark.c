/* The file has one line, "2 ROW ROWS FIRST FILTER", sums in hexadecimal. It is written behind the outbox:
 * what it says after a crash is about fewer rows than the outbox has. The rows between them cannot be
 * compared, so they are published again: the hub recognises those that it has. */
#include "adapters/runner/mark.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { KEEP_EVERY = 4096, LINE_MAX_SIZE = 64 };

static uint32_t sum_text(uint32_t sum, const char *text)
{
    return (uint32_t)crc32(sum, (const Bytef *)text, (uInt)strlen(text) + 1);
}

static uint32_t sum_filters(const struct config *config)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < config->n_filters; i++) {
        const struct filter *filter = &config->filters[i];
        sum = sum_text(sum, filter->column);
        for (size_t k = 0; k < filter->values.n; k++)
            sum = sum_text(sum, filter->values.items[k]);
        sum = sum_text(sum, "");
    }
    return sum;
}

/* Names and values, not the text of the file: its last row may get its newline later. */
static uint32_t sum_row(uint32_t sum, const struct row *row, bool bad)
{
    if (bad)
        return (uint32_t)crc32(sum, row->raw.data, (uInt)row->raw.size);
    for (size_t i = 0; i < row->n_fields; i++)
        sum = sum_text(sum_text(sum, row->fields[i].name), row->fields[i].value);
    return sum;
}

static int kept_read(struct mark *mark, struct casebus_error *err)
{
    struct buffer text;
    struct mark_sums *kept = &mark->kept;
    char end;
    if (access(mark->path, F_OK) != 0)
        return 0;
    if (file_read(mark->path, LINE_MAX_SIZE, &text, err) != 0) {
        buffer_deinit(&text);
        return -1;
    }
    char line[LINE_MAX_SIZE + 1] = "";
    memcpy(line, text.data, text.size);
    buffer_deinit(&text);
    if (sscanf(line, "2 %" SCNu64 " %" SCNx32 " %" SCNx32 " %" SCNx32 "%c", &kept->row, &kept->rows,
               &kept->first, &kept->filter, &end) != 5 ||
        end != '\n')
        *kept = (struct mark_sums){0};
    return 0;
}

static int other(struct casebus_error *err)
{
    return error_hint(
        err,
        _("use --from-start: it is read from its first row, and the hub recognises what it has already"));
}

int mark_open(struct mark *mark, const struct config *config, uint64_t read_to, struct casebus_error *err)
{
    *mark = (struct mark){.read_to = read_to, .now = {.filter = sum_filters(config)}};
    if (path_join(mark->path, sizeof(mark->path), config->general.node, "source.mark") != 0)
        return error_set(err, CASEBUS_CONFIG, _("the path of the node's folder is too long"));
    if (read_to == 0)
        return 0;
    if (kept_read(mark, err) != 0)
        return -1;
    mark->skip_to = mark->kept.row < read_to ? mark->kept.row : read_to;
    if (mark->kept.row == 0 || mark->kept.filter == mark->now.filter)
        return 0;
    error_set(err, CASEBUS_SOURCE,
              _("the filter is another one than when rows 1 to %llu were read: what it passes now may have "
                "been left out then"),
              (unsigned long long)read_to);
    return other(err);
}

int mark_row(struct mark *mark, const struct row *row, bool bad, struct casebus_error *err)
{
    mark->now.row = row->number;
    mark->now.rows = sum_row(mark->now.rows, row, bad);
    if (row->number == 1)
        mark->now.first = mark->now.rows;
    if (row->number == mark->skip_to) /* what was not compared from here on is this */
        mark->good = mark->now;
    if (mark->kept.row == 0 || row->number > mark->kept.row)
        return 0;
    if (row->number == 1 && mark->now.first != mark->kept.first) {
        error_set(err, CASEBUS_SOURCE,
                  _("the source begins with another row than when rows 1 to %llu were read"),
                  (unsigned long long)mark->kept.row);
        return other(err);
    }
    if (row->number == mark->kept.row && mark->now.rows != mark->kept.rows) {
        error_set(err, CASEBUS_SOURCE,
                  _("rows 1 to %llu of the source are not what they were when they were read: one of them is "
                    "new, gone or changed"),
                  (unsigned long long)mark->kept.row);
        return other(err);
    }
    return 0;
}

int mark_end(struct mark *mark, uint64_t last, struct casebus_error *err)
{
    if (last >= mark->read_to)
        return 0;
    error_set(err, CASEBUS_SOURCE, _("the source ends with row %llu, but rows 1 to %llu were read before"),
              (unsigned long long)last, (unsigned long long)mark->read_to);
    return other(err);
}

void mark_published(struct mark *mark)
{
    mark->good = mark->now;
}

bool mark_due(const struct mark *mark)
{
    return mark->good.row > 0 && (mark->kept.row == 0 || mark->good.row >= mark->kept.row + KEEP_EVERY);
}

int mark_keep(struct mark *mark, struct casebus_error *err)
{
    char line[LINE_MAX_SIZE];
    const struct mark_sums *good = &mark->good;
    if (good->row == 0 || good->row == mark->kept.row)
        return 0;
    int size = snprintf(line, sizeof(line), "2 %" PRIu64 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n",
                        good->row, good->rows, good->first, good->filter);
    if (file_write(mark->path, bytes_of(line, (size_t)size), 0600, err) != 0)
        return -1;
    mark->kept = *good;
    return 0;
}
