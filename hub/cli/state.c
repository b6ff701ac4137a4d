/* casebus state dump.
 *
 * --cases: one canonical line a case, sorted by number, alike for every hub that has seen the same records,
 * in whatever order. The state holds no texts; they are opened from the headers in the ledger. --all: every
 * key and value of every table in hex, alike for every state made from the same ledger. */
#include "hub/cli/cli.h"
#include "hub/console/reader.h"
#include "hub/exchange/case_dump.h"
#include "hub/exchange/tables.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define VIEW_NS 1000000000ull

struct state_dump {
    FILE *out;
    struct state_view *view;
    enum exchange_table table;
    uint64_t began_ns;
    uint8_t last[TABLE_KEY_MAX]; /* key shown last */
    size_t last_size;
    bool begun;
    struct casebus_error *err;
    bool failed;
};

static void hex_print(FILE *out, struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        fputc(digits[bytes.data[i] >> 4], out);
        fputc(digits[bytes.data[i] & 15], out);
    }
}

static int row_visit(struct state_dump *dump, struct bytes key, struct bytes value)
{
    fprintf(dump->out, "%s ", exchange_table_names[dump->table]);
    hex_print(dump->out, key);
    fputc(' ', dump->out);
    hex_print(dump->out, value);
    fputc('\n', dump->out);
    return 0;
}

/* Ends when the view is old; the next walk begins behind the last key. */
static int on_row(void *self, struct bytes key, struct bytes value)
{
    struct state_dump *dump = self;
    if (dump->begun && bytes_equal(key, bytes_of(dump->last, dump->last_size)))
        return 0;
    if (clock_monotonic_ns() - dump->began_ns > VIEW_NS)
        return 1;
    int r = row_visit(dump, key, value);
    if (r < 0 || key.size > sizeof dump->last) {
        dump->failed = true;
        return 1;
    }
    memcpy(dump->last, key.data, key.size);
    dump->last_size = key.size;
    dump->begun = true;
    return 0;
}

static int table_dump(struct state_dump *dump, enum exchange_table table)
{
    int r;
    dump->table = table;
    dump->begun = false;
    dump->last_size = 0;
    do {
        dump->began_ns = clock_monotonic_ns();
        if (state_view_renew(dump->view, dump->err))
            return -1;
        r = state_view_walk(dump->view, table, bytes_of(dump->last, dump->last_size), on_row, dump,
                            dump->err);
    } while (r == 1 && !dump->failed);
    return dump->failed ? -1 : r;
}

static int all_dump(struct state_dump *dump)
{
    for (int table = 0; table < TABLE_COUNT; table++)
        if (table_dump(dump, (enum exchange_table)table))
            return -1;
    return 0;
}

/* ---- cases ---- */

struct numbered {
    char number[CASE_NUMBER_MAX + 1];
    uint8_t id[CASE_ID_SIZE];
};

struct cases_dump {
    FILE *out;
    struct reader *reader;
    struct numbered *cases;
    size_t n, capacity;
    uint64_t began_ns;
    uint8_t last[CASE_ID_SIZE];
    struct case_record *records;
    struct buffer line;
    struct casebus_error *err;
    bool failed;
};

static int numbered_add(struct cases_dump *dump, struct bytes id, struct bytes value)
{
    struct case_row row;
    if (dump->n == dump->capacity) {
        size_t capacity = dump->capacity ? 2 * dump->capacity : 1024;
        struct numbered *grown = realloc(dump->cases, capacity * sizeof *grown);
        if (!grown)
            return error_set(dump->err, CASEBUS_NO_MEMORY, _("no memory for the numbers of the cases"));
        dump->cases = grown;
        dump->capacity = capacity;
    }
    if (id.size != CASE_ID_SIZE || case_row_decode(value, &row, NULL, 0, dump->err) ||
        reader_case_number(dump->reader, &row, dump->cases[dump->n].number, dump->err))
        return -1;
    memcpy(dump->cases[dump->n++].id, id.data, CASE_ID_SIZE);
    memcpy(dump->last, id.data, CASE_ID_SIZE);
    return 0;
}

static int on_case(void *self, struct bytes id, struct bytes value)
{
    struct cases_dump *dump = self;
    if (dump->n > 0 && bytes_equal(id, bytes_of(dump->last, CASE_ID_SIZE)))
        return 0;
    if (clock_monotonic_ns() - dump->began_ns > VIEW_NS)
        return 1;
    dump->failed = numbered_add(dump, id, value) != 0;
    return dump->failed;
}

static int views_renew(struct cases_dump *dump)
{
    dump->began_ns = clock_monotonic_ns();
    return state_view_renew(dump->reader->state, dump->err) ||
                   ledger_view_renew(dump->reader->ledger, dump->err)
               ? -1
               : 0;
}

static int cases_number(struct cases_dump *dump)
{
    int r;
    do {
        if (views_renew(dump))
            return -1;
        r = state_view_walk(dump->reader->state, TABLE_CASES,
                            bytes_of(dump->last, dump->n ? CASE_ID_SIZE : 0), on_case, dump, dump->err);
    } while (r == 1 && !dump->failed);
    return dump->failed ? -1 : r;
}

static int compare_numbered(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    int order = strcmp(x->number, y->number);
    return order ? order : memcmp(x->id, y->id, CASE_ID_SIZE);
}

/* Names a record as every hub does; one whose header was destroyed keeps this hub's own key. */
static int record_rename(struct cases_dump *dump, struct case_record *record)
{
    struct reader_entry read;
    if (reader_event(dump->reader, record->position, &read, dump->err))
        return -1;
    if (read.header)
        record_name(dump->reader->crypter, read.header->record_namespace, read.header->record_id,
                    record->key);
    return 0;
}

static int case_tell(struct cases_dump *dump, const struct numbered *numbered, const struct case_row *row)
{
    char aliases[CASE_ALIASES_MAX][CASE_NUMBER_MAX + 1];
    struct case_told told = {.number = numbered->number,
                             .n_aliases = row->n_aliases,
                             .records = dump->records,
                             .n_records = row->n_records};
    for (uint32_t i = 0; i < row->n_aliases; i++) {
        if (reader_case_alias(dump->reader, row, i, aliases[i], dump->err))
            return -1;
        told.aliases[i] = aliases[i];
    }
    for (uint32_t i = 0; i < row->n_records; i++)
        if (record_rename(dump, &dump->records[i]))
            return -1;
    buffer_reset(&dump->line);
    if (case_dump(&dump->line, &told, dump->err))
        return -1;
    fwrite(dump->line.data, 1, dump->line.size, dump->out);
    return 0;
}

static int cases_print(struct cases_dump *dump)
{
    for (size_t i = 0; i < dump->n; i++) {
        struct bytes value;
        struct case_row row;
        if (clock_monotonic_ns() - dump->began_ns > VIEW_NS && views_renew(dump))
            return -1;
        int r = state_view_get(dump->reader->state, TABLE_CASES, bytes_of(dump->cases[i].id, CASE_ID_SIZE),
                               &value, dump->err);
        if (r < 0)
            return -1;
        if (r == 1 && (case_row_decode(value, &row, dump->records, CASE_RECORDS_MAX, dump->err) ||
                       case_tell(dump, &dump->cases[i], &row)))
            return -1;
    }
    return 0;
}

static int cases_dump(FILE *out, struct reader *reader, struct casebus_error *err)
{
    struct cases_dump dump = {.out = out, .reader = reader, .err = err};
    dump.records = calloc(CASE_RECORDS_MAX, sizeof *dump.records);
    if (!dump.records)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a case"));
    buffer_init(&dump.line, 8 * 1024 * 1024);
    int r = cases_number(&dump);
    if (r == 0 && dump.n > 0)
        qsort(dump.cases, dump.n, sizeof *dump.cases, compare_numbered);
    if (r == 0)
        r = cases_print(&dump);
    buffer_deinit(&dump.line);
    free(dump.records);
    free(dump.cases);
    return r;
}

/* ---- the command ---- */

enum { OPT_CASES = 256, OPT_ALL };

static const struct argp_option options[] = {
    {"cases", OPT_CASES, NULL, 0, N_("Cases, for comparisons between hubs (the default)"), 0},
    {"all", OPT_ALL, NULL, 0, N_("Every table in hex, for comparisons with a rebuilt state"), 0},
    {0}};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
    bool *all = state->input;
    (void)arg;
    if (key == OPT_CASES || key == OPT_ALL)
        *all = key == OPT_ALL;
    else if (key == ARGP_KEY_ARG)
        cli_words_wrong(state, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int stores_dump(struct cli *cli, struct stores *stores, bool all, struct casebus_error *err)
{
    struct reader reader;
    if (!all && !stores->vault) {
        *err = stores->no_vault;
        return error_context(err, _("the texts of the cases"));
    }
    int r = reader_init(&reader, &stores->hub, err);
    uint64_t applied = r == 0 ? state_view_applied(reader.state) : 0;
    struct state_dump dump = {.out = cli->out, .view = reader.state, .err = err};
    if (r == 0)
        r = all ? all_dump(&dump) : cases_dump(cli->out, &reader, err);
    if (r == 0 && state_view_applied(reader.state) != applied)
        fprintf(stderr, _("casebus: the state went on while it was printed: from %llu to %llu entries\n"),
                (unsigned long long)applied, (unsigned long long)state_view_applied(reader.state));
    reader_deinit(&reader);
    return r;
}

int state_dump_main(struct cli *cli, int argc, char **argv)
{
    bool all = false;
    struct casebus_error err = {0};
    struct stores *stores;
    struct argp argp = {
        .options = options,
        .parser = option_parse,
        .doc = N_("Prints the state in a canonical form, for comparisons. It reads the hub's files, so "
                  "--hub has to be a directory.")};
    cli_parse(cli, &argp, argc, argv, &all);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (client_barrier(cli->client, &err) || client_stores(cli->client, &stores, &err) ||
        stores_dump(cli, stores, all, &err))
        return cli_fail(cli, &err);
    return CLI_OK;
}
