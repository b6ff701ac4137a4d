/* casebus sharing list: who received what a node published, what of it, by which row, and whether it signed
 * for it. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define SHOWN_PRESET 1000

enum { OPT_OF = 256, OPT_READER, OPT_FROM, OPT_LIMIT };

struct sharing_command {
    const char *node, *reader;
    uint64_t from, limit;
};

static error_t sharing_parse(int key, char *arg, struct argp_state *state)
{
    struct sharing_command *command = state->input;
    switch (key) {
    case OPT_OF:
        command->node = arg;
        return 0;
    case OPT_READER:
        command->reader = arg;
        return 0;
    case OPT_FROM:
        command->from = cli_number(arg, state);
        return 0;
    case OPT_LIMIT:
        command->limit = cli_number(arg, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_usage(state);
        return 0;
    case ARGP_KEY_END:
        if (!command->node)
            argp_error(state, _("--%s is missing"), "of");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "form, identity"; "yes/no: finished"; "header alone" */
static const char *what_text(char out[160], const json_t *share)
{
    char names[120];
    if (get_bool(share, "retracts")) {
        get_joined(share, "answers", names, sizeof names);
        snprintf(out, 160, *names ? _("no more: %s") : _("that it is no more so"), names);
    } else if (json_object_get(share, "answers")) {
        get_joined(share, "answers", names, sizeof names);
        snprintf(out, 160, _("yes/no: %s"), names);
    } else {
        get_joined(share, "parts", names, sizeof names);
        snprintf(out, 160, "%s", *names ? names : _("header alone"));
    }
    return out;
}

static void shares_print(const struct cli *cli, const json_t *list)
{
    char title[PEOPLE_TITLE], text[PEOPLE_TEXT], what[160];
    const struct table_column columns[] = {
        {_("ENTRY"), TABLE_RIGHT, 0},  {time_title(title, _("TIME")), TABLE_LEFT, 0},
        {_("CASE"), TABLE_LEFT, 40},   {_("EVENT"), TABLE_LEFT, 0},
        {_("READER"), TABLE_LEFT, 40}, {_("WHAT"), TABLE_LEFT, 60},
        {_("ROW"), TABLE_RIGHT, 0},    {_("SIGNED FOR"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *share = json_array_get(list, i);
        const char *number = get_text(share, "case_number");
        table_printf(table, "%llu", (unsigned long long)get_number(share, "position"));
        table_text(table, time_text(text, get_time(share, "hub_time_us"), false));
        table_text(table, number ? number : get_text(share, "case_id"));
        table_text(table, get_text(share, "kind"));
        table_text(table, get_text(share, "reader"));
        table_text(table, what_text(what, share));
        table_printf(table, "%llu", (unsigned long long)get_number(share, "rule"));
        table_text(table, get_bool(share, "confirmed") ? _("yes") : _("not yet"));
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

/* Pages until there are @limit rows or no more; *next is where to go on, or none. */
static int shares_get(struct cli *cli, const struct sharing_command *command, json_t **answer,
                      struct casebus_error *err)
{
    char node[256], reader[256] = "";
    uint64_t from = command->from;
    json_t *all = json_array(), *next;
    target_escape(node, sizeof node, command->node);
    if (command->reader)
        target_escape(reader, sizeof reader, command->reader);
    do {
        json_t *page = NULL;
        uint64_t left = command->limit - json_array_size(all);
        if (client_get(cli->client, &page, err, "/v1/sharing?node=%s&from=%llu&limit=%llu%s%s", node,
                       (unsigned long long)from, (unsigned long long)(left < 1000 ? left : 1000),
                       *reader ? "&reader=" : "", reader)) {
            json_decref(all);
            return -1;
        }
        json_array_extend(all, json_object_get(page, "sharing"));
        next = json_incref(json_object_get(page, "next"));
        from = get_number(page, "next");
        json_decref(page);
        if (!json_is_integer(next) || json_array_size(all) >= command->limit)
            break;
        json_decref(next);
    } while (true);
    *answer = json_pack("{s:o, s:o}", "sharing", all, "next", next);
    return 0;
}

static int list(struct cli *cli, const struct sharing_command *command)
{
    struct casebus_error err = {0};
    json_t *answer = NULL;
    if (client_barrier(cli->client, &err) || shares_get(cli, command, &answer, &err))
        return cli_fail(cli, &err);
    const json_t *all = json_object_get(answer, "sharing");
    if (cli->json)
        cli_print_json(cli, answer);
    else if (json_array_size(all) == 0)
        fprintf(cli->out, _("nobody was given anything that node '%s' published\n"), command->node);
    else
        shares_print(cli, all);
    if (!cli->json && json_is_integer(json_object_get(answer, "next")))
        fprintf(stderr, _("there may be more: --from %llu\n"),
                (unsigned long long)get_number(answer, "next"));
    json_decref(answer);
    return CLI_OK;
}

int sharing_list_main(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"of", OPT_OF, N_("NODE"), 0, N_("What this node published"), 0},
        {"reader", OPT_READER, N_("NODE"), 0, N_("Only what this one was given"), 0},
        {"from", OPT_FROM, N_("ENTRY"), 0, N_("From this entry of the ledger on"), 0},
        {"limit", OPT_LIMIT, N_("N"), 0, N_("At most so many (preset 1000)"), 0},
        {0}};
    struct sharing_command command = {.limit = SHOWN_PRESET};
    struct argp argp = {.options = options,
                        .parser = sharing_parse,
                        .doc = N_("Lists who was given what a node published: which parts, or yes and no "
                                  "alone, by which row of the policy then in force, and whether the reader "
                                  "signed that it has it.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    return code ? code : list(cli, &command);
}
