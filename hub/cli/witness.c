/* casebus witness show */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#define WIDTH 16

static void witnesses_print(const struct cli *cli, const json_t *list)
{
    char at[PEOPLE_TITLE], since[PEOPLE_TITLE], text[PEOPLE_TEXT];
    const struct table_column columns[] = {{_("WITNESS"), TABLE_LEFT, 40},
                                           {_("COSIGNED"), TABLE_RIGHT, 0},
                                           {time_title(at, _("AT")), TABLE_LEFT, 0},
                                           {time_title(since, _("SILENT SINCE")), TABLE_LEFT, 0},
                                           {_("WHY"), TABLE_LEFT, 60}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *witness = json_array_get(list, i);
        table_text(table, get_text(witness, "name"));
        table_printf(table, "%llu", (unsigned long long)get_number(witness, "cosigned_size"));
        table_text(table, time_text(text, get_time(witness, "cosigned_at_us"), false));
        table_text(table, time_text(text, get_time(witness, "silent_since_us"), false));
        table_text(table, get_text(witness, "trouble"));
    }
    fputc('\n', cli->out);
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

static void logs_print(const struct cli *cli, const json_t *list)
{
    char at[PEOPLE_TITLE], text[PEOPLE_TEXT];
    const struct table_column columns[] = {{_("LOG THAT THIS HUB WITNESSES"), TABLE_LEFT, 60},
                                           {_("SIZE"), TABLE_RIGHT, 0},
                                           {time_title(at, _("COSIGNED")), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *log = json_array_get(list, i);
        table_text(table, get_text(log, "origin"));
        if (json_is_null(json_object_get(log, "size")))
            table_text(table, "-");
        else
            table_printf(table, "%llu", (unsigned long long)get_number(log, "size"));
        table_text(table, time_text(text, get_time(log, "cosigned_at_us"), false));
    }
    if (json_array_size(list) > 0) {
        fputc('\n', cli->out);
        table_print(table, cli->out, cli->colour);
    }
    table_free(table);
}

static void timestamps_print(const struct cli *cli, const json_t *stamps)
{
    char text[PEOPLE_TEXT], words[400];
    unsigned long long size = get_number(stamps, "size");
    snprintf(words, sizeof words, _n("%llu entry, at %s", "%llu entries, at %s", size), size,
             time_zone_text(text, get_time(stamps, "stamped_at_us"), false));
    cli_field(cli, _("time stamp"), WIDTH, size ? words : _("nothing yet"));
    if (!get_time(stamps, "silent_since_us"))
        return;
    snprintf(words, sizeof words, _("%s since %s: %s"), get_text(stamps, "url"),
             time_zone_text(text, get_time(stamps, "silent_since_us"), false), get_text(stamps, "trouble"));
    cli_field(cli, _("no time stamp"), WIDTH, words);
}

static void show(const struct cli *cli, const json_t *answer)
{
    char text[PEOPLE_TEXT], words[200];
    cli_field(cli, _("hub"), WIDTH, get_text(answer, "origin"));
    cli_field(cli, _("as a witness"), WIDTH, get_text(answer, "vkey"));
    if (!get_bool(answer, "witnessed")) {
        cli_field(cli, _("witnessed by"), WIDTH, _("nobody: there is no policy of witnesses"));
    } else {
        unsigned long long size = get_number(answer, "cosigned_size");
        snprintf(words, sizeof words, _n("%llu entry, at %s", "%llu entries, at %s", size), size,
                 time_zone_text(text, get_time(answer, "cosigned_at_us"), false));
        cli_field(cli, _("confirmed"), WIDTH, size ? words : _("nothing yet"));
        if (get_bool(answer, "behind"))
            cli_field(cli, _("BEHIND"), WIDTH,
                      _("witnesses know more of this hub than it has: it signs nothing"));
        witnesses_print(cli, json_object_get(answer, "witnesses"));
    }
    if (json_object_get(answer, "timestamps"))
        timestamps_print(cli, json_object_get(answer, "timestamps"));
    logs_print(cli, json_object_get(answer, "logs"));
}

static int witness_show(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *answer;
    if (client_get(cli->client, &answer, &err, "/v1/witness"))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, answer);
    else
        show(cli, answer);
    json_decref(answer);
    return CLI_OK;
}

int witness_show_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .doc = N_("Shows the hub's key as a witness, which witnesses confirm its ledger and since when "
                  "one is silent, and the logs that it witnesses itself.")};
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    return code ? code : witness_show(cli);
}
