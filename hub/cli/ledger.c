/* casebus ledger dump */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

struct dump {
    uint64_t from;
    uint64_t limit; /* 0: to the end */
    bool notes;
};

enum { OPT_NOTES = 256 };

static const struct argp_option dump_options[] = {
    {"from", 'f', N_("POSITION"), 0, N_("Begin here (0)"), 0},
    {"limit", 'n', N_("N"), 0, N_("At most N entries; 0 for all (0)"), 0},
    {"notes", OPT_NOTES, NULL, 0, N_("Open who did what an operator did, and why"), 0},
    {0}};

static error_t dump_parse(int key, char *arg, struct argp_state *state)
{
    struct dump *dump = state->input;
    if (key == OPT_NOTES) {
        dump->notes = true;
        return 0;
    }
    if (key != 'f' && key != 'n' && key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (key == ARGP_KEY_ARG)
        cli_words_wrong(state, arg);
    else if (!number_parse(arg, UINT64_MAX / 2, key == 'f' ? &dump->from : &dump->limit))
        argp_error(state, _("'%s' is not a number"), arg);
    return 0;
}

static int dump_nothing(const struct dump *dump, json_t *page)
{
    fprintf(stderr, _("casebus: there is no entry %llu; the ledger's size is %llu\n"),
            (unsigned long long)dump->from, (unsigned long long)get_number(page, "ledger_size"));
    json_decref(page);
    return CLI_NEGATIVE;
}

static int ledger_dump(struct cli *cli, const struct dump *dump)
{
    struct casebus_error err = {0};
    uint64_t next = dump->from, left = dump->limit ? dump->limit : UINT64_MAX;
    if (client_barrier(cli->client, &err))
        return cli_fail(cli, &err);
    for (bool more = true; more && left > 0 && !ferror(cli->out);) {
        json_t *page;
        unsigned limit = left < 1000 ? (unsigned)left : 1000;
        if (client_get(cli->client, &page, &err, "/v1/ledger/entries?from=%llu&limit=%u%s",
                       (unsigned long long)next, limit, dump->notes ? "&notes=1" : ""))
            return cli_fail(cli, &err);
        const json_t *entries = json_object_get(page, "entries");
        if (next == dump->from && json_array_size(entries) == 0)
            return dump_nothing(dump, page);
        for (size_t i = 0; i < json_array_size(entries); i++)
            cli_print_json(cli, json_array_get(entries, i));
        left -= json_array_size(entries);
        more = json_is_integer(json_object_get(page, "next"));
        next = get_number(page, "next");
        json_decref(page);
    }
    return CLI_OK;
}

int ledger_dump_main(struct cli *cli, int argc, char **argv)
{
    struct dump dump = {0};
    struct argp argp = {.options = dump_options,
                        .parser = dump_parse,
                        .doc = N_("Prints entries of the ledger, decoded and not opened, as JSON lines.")};
    cli_parse(cli, &argp, argc, argv, &dump);
    int code = cli_connect_ledger(cli);
    return code ? code : ledger_dump(cli, &dump);
}
