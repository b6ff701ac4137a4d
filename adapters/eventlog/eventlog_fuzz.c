/* Fuzz target: whatever the bytes are, both readers end, stay inside their bounds and give only texts. The
 * first byte chooses the reader, its encoding and the delimiter. */
#include "adapters/eventlog/sheet.h"
#include "adapters/eventlog/xes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void row_demand(const struct row *row, int answer)
{
    if (row->n_fields > 2 * ROW_FIELDS_MAX + 1 || row->number == 0)
        abort();
    for (size_t i = 0; answer == SOURCE_ROW && i < row->n_fields; i++)
        if (!utf8_valid(row->fields[i].value, strlen(row->fields[i].value)))
            abort();
}

static void sheet_fuzz(struct input *input, uint8_t choice)
{
    static const char *const encodings[] = {NULL, "UTF-8", "GB18030", "GB18030"};
    struct sheet_options options = {choice & 4 ? ';' : ',', encodings[choice & 3], choice & 8};
    struct sheet *sheet;
    struct row row;
    struct casebus_error err;
    int r;
    if (sheet_open(&sheet, input, &options, &err) != 0)
        return;
    while ((r = sheet_next(sheet, &row, &err)) > 0)
        row_demand(&row, r);
    sheet_close(sheet);
}

static void xes_fuzz(struct input *input, uint8_t choice)
{
    static const char *const encodings[] = {NULL, "UTF-8", "GB18030", "GB18030"};
    struct xes *xes;
    struct row row;
    struct casebus_error err;
    int r;
    if (xes_open(&xes, input, encodings[choice & 3], &err) != 0)
        return;
    while ((r = xes_next(xes, &row, &err)) > 0)
        row_demand(&row, r);
    xes_close(xes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input *input;
    if (size == 0 || input_open_memory(&input, "fuzz", bytes_of(data + 1, size - 1), NULL) != 0)
        return 0;
    if (data[0] & 8)
        xes_fuzz(input, data[0]);
    else
        sheet_fuzz(input, data[0]);
    return 0;
}
