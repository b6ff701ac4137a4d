/* casebus state dump.
 *
 * --cases: one canonical line a case, sorted by number, alike for every hub that has seen the same records,
 * in whatever order. --all: every key and value of every table in hex, alike for every state made from the
 * same ledger. */
#include "hub/cli/cli.h"
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
    struct case_record *records;
    struct buffer line;
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

/* Keys are numbers in order; a number that is an alias does not show its case again. */
static int case_visit(struct state_dump *dump, struct bytes key, struct bytes case_id)
{
    struct bytes value;
    struct case_row row;
    int r = state_view_get(dump->view, TABLE_CASES, case_id, &value, dump->err);
    if (r <= 0)
        return r;
    if (case_row_decode(value, &row, dump->records, CASE_RECORDS_MAX, dump->err))
        return -1;
    if (!bytes_equal(key, bytes_of_text(row.number)))
        return 0;
    buffer_reset(&dump->line);
    if (case_dump(&dump->line, &row, dump->records, dump->err))
        return -1;
    fwrite(dump->line.data, 1, dump->line.size, dump->out);
    if (dump->line.size == 0 || dump->line.data[dump->line.size - 1] != '\n')
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
    int r = dump->records ? case_visit(dump, key, value) : row_visit(dump, key, value);
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

static int cases_dump(struct state_dump *dump)
{
    dump->records = calloc(CASE_RECORDS_MAX, sizeof *dump->records);
    if (!dump->records)
        return error_set(dump->err, CASEBUS_NO_MEMORY, _("no memory for a case"));
    buffer_init(&dump->line, 8 * 1024 * 1024);
    int r = table_dump(dump, TABLE_CASE_NUMBERS);
    buffer_deinit(&dump->line);
    free(dump->records);
    return r;
}

static int all_dump(struct state_dump *dump)
{
    for (int table = 0; table < TABLE_COUNT; table++)
        if (table_dump(dump, (enum exchange_table)table))
            return -1;
    return 0;
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
        argp_usage(state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int stores_dump(struct cli *cli, struct stores *stores, bool all, struct casebus_error *err)
{
    struct state_dump dump = {.out = cli->out, .err = err};
    if (state_view_open(&dump.view, stores->state, err))
        return -1;
    uint64_t applied = state_view_applied(dump.view);
    int r = all ? all_dump(&dump) : cases_dump(&dump);
    if (r == 0 && state_view_applied(dump.view) != applied)
        fprintf(stderr, _("casebus: the state went on while it was printed: from %llu to %llu entries\n"),
                (unsigned long long)applied, (unsigned long long)state_view_applied(dump.view));
    state_view_close(dump.view);
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
