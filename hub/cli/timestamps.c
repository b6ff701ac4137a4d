/* casebus ledger timestamps: works on the hub's files, whether it runs or not. */
#include "hub/cli/cli.h"
#include "hub/witness/stamping.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <limits.h>

struct timestamps {
    struct cli *cli;
    const char *ca;
    struct table *table;
    json_t *list;
    unsigned n, bad;
};

static const struct argp_option options[] = {
    {"ca", 'c', N_("FILE"), 0, N_("Certificates (PEM) that vouch for the authority (DIR/timestamp.pem)"), 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct timestamps *stamps = state->input;
    if (key == 'c')
        stamps->ca = arg;
    else if (key == ARGP_KEY_ARG)
        cli_words_wrong(state, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int on_stamp(void *self, const struct stamp *stamp)
{
    struct timestamps *stamps = self;
    char text[PEOPLE_TEXT];
    stamps->n++;
    stamps->bad += !stamp->holds;
    if (stamps->cli->json) {
        json_array_append_new(stamps->list,
                              json_pack("{s:I, s:b, s:I, s:s, s:s, s:s}", "size", (json_int_t)stamp->size,
                                        "holds", stamp->holds, "at_us", (json_int_t)(stamp->at_s * 1000000),
                                        "note", stamp->note_path, "token", stamp->token_path, "fault",
                                        stamp->fault.text));
        return 0;
    }
    table_printf(stamps->table, "%llu", (unsigned long long)stamp->size);
    table_text(stamps->table, time_text(text, stamp->at_s * 1000000, false));
    table_text(stamps->table, stamp->holds ? _("holds") : stamp->fault.text);
    table_text(stamps->table, stamp->token_path);
    return 0;
}

static int list(struct timestamps *stamps, const char *dir, const char *log_vkey)
{
    char at[PEOPLE_TITLE], ca[PATH_MAX];
    struct casebus_error err = {0};
    const struct table_column columns[] = {{_("ENTRIES"), TABLE_RIGHT, 0},
                                           {time_title(at, _("STAMPED")), TABLE_LEFT, 0},
                                           {_("RESULT"), TABLE_LEFT, 60},
                                           {_("FILE"), TABLE_LEFT, 0}};
    if (!stamps->ca && path_join(ca, sizeof ca, dir, "timestamp.pem") == 0)
        stamps->ca = ca;
    stamps->table = table_new(columns, sizeof columns / sizeof columns[0]);
    stamps->list = json_array();
    int r = stamps_visit(dir, stamps->ca, log_vkey, on_stamp, stamps, &err);
    if (r == 0 && stamps->cli->json) {
        json_t *answer = json_pack("{s:O}", "timestamps", stamps->list);
        cli_print_json(stamps->cli, answer);
        json_decref(answer);
    } else if (r == 0 && stamps->n) {
        table_print(stamps->table, stamps->cli->out, stamps->cli->colour);
    } else if (r == 0) {
        fprintf(stamps->cli->out, _("There are no time stamps yet.\n"));
    }
    table_free(stamps->table);
    json_decref(stamps->list);
    if (r)
        return cli_fail(stamps->cli, &err);
    return stamps->bad ? CLI_NEGATIVE : CLI_OK;
}

int ledger_timestamps_main(struct cli *cli, int argc, char **argv)
{
    struct timestamps stamps = {.cli = cli};
    struct stores *stores;
    struct casebus_error err = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = N_("Lists the time stamps (RFC 3161) that checkpoints of this hub were given, and checks "
                  "each against its checkpoint, the hub's key and the authority's certificates. Exit "
                  "code 1: one does not hold.")};
    cli_parse(cli, &argp, argc, argv, &stamps);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (client_stores(cli->client, &stores, &err))
        return cli_fail(cli, &err);
    return list(&stamps, stores->dir, stores->has_keys ? stores->keys.log_vkey : NULL);
}
