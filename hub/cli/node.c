/* casebus node list and node show */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <stdlib.h>

static const char *rights_text(const json_t *node, char *out, size_t size)
{
    char parts[128];
    snprintf(out, size, "%s%s%s", get_bool(node, "publish") ? _("publish") : "",
             get_bool(node, "publish") && get_bool(node, "receive_all") ? ", " : "",
             get_bool(node, "receive_all") ? _("receive all") : "");
    get_joined(node, "receive_parts", parts, sizeof parts);
    size_t n = strlen(out);
    if (*parts)
        snprintf(out + n, size - n, " (%s)", parts);
    return *out ? out : _("none");
}

static const char *status_text(const json_t *node)
{
    const char *status = get_text(node, "status");
    if (!status)
        return "-";
    return strcmp(status, "active") == 0      ? _("active")
           : strcmp(status, "suspended") == 0 ? _("suspended")
           : strcmp(status, "revoked") == 0   ? _("revoked")
                                              : status;
}

static const char *connected_text(const json_t *node)
{
    if (!json_is_boolean(json_object_get(node, "connected")))
        return "-";
    return get_bool(node, "connected") ? _("yes") : _("no");
}

/* The day, and how near it is when that is near. */
static const char *ends_text(const json_t *node, char *out, size_t size)
{
    char day[PEOPLE_TEXT];
    const char *text = time_text(day, get_time(node, "certificate_ends_us"), true);
    if (!get_bool(node, "certificate_ends_soon") || strcmp(status_text(node), _("revoked")) == 0)
        return text == day ? strcpy(out, day) : text;
    snprintf(out, size,
             _n("%s LOOK: %lld day", "%s LOOK: %lld days",
                json_integer_value(json_object_get(node, "certificate_days_left"))),
             text, (long long)json_integer_value(json_object_get(node, "certificate_days_left")));
    return out;
}

static void list_print(const struct cli *cli, const json_t *nodes)
{
    char last[PEOPLE_TITLE];
    const struct table_column columns[] = {{_("NODE"), TABLE_LEFT, 40},
                                           {_("DEPARTMENT"), TABLE_LEFT, 30},
                                           {_("AREA"), TABLE_LEFT, 0},
                                           {_("RIGHTS"), TABLE_LEFT, 60},
                                           {_("STATUS"), TABLE_LEFT, 0},
                                           {_("CONNECTED"), TABLE_LEFT, 0},
                                           {_("ACCEPTED"), TABLE_RIGHT, 0},
                                           {_("DUPLICATE"), TABLE_RIGHT, 0},
                                           {_("REFUSED"), TABLE_RIGHT, 0},
                                           {time_title(last, _("LAST EVENT")), TABLE_LEFT, 0},
                                           {_("CERTIFICATE ENDS"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    char text[256];
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        table_text(table, get_text(node, "node"));
        table_text(table, get_text(node, "department"));
        table_text(table, get_text(node, "area"));
        table_text(table, rights_text(node, text, sizeof text));
        table_text(table, status_text(node));
        table_text(table, connected_text(node));
        table_printf(table, "%llu", (unsigned long long)get_number(node, "accepted"));
        table_printf(table, "%llu", (unsigned long long)get_number(node, "duplicate"));
        table_printf(table, "%llu", (unsigned long long)get_number(node, "refused"));
        table_text(table, time_text(text, get_time(node, "last_accepted_us"), false));
        table_text(table, ends_text(node, text, sizeof text));
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

static int node_list(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *answer;
    if (client_get(cli->client, &answer, &err, "/v1/nodes"))
        return cli_fail(cli, &err);
    const json_t *nodes = json_object_get(answer, "nodes");
    if (cli->json)
        cli_print_json(cli, answer);
    else if (json_array_size(nodes) == 0)
        fprintf(cli->out, _("no node is enrolled; add one with: casebus node add\n"));
    else
        list_print(cli, nodes);
    json_decref(answer);
    return CLI_OK;
}

int node_list_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {.doc = N_("Lists the nodes that are enrolled at the hub.")};
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    return code ? code : node_list(cli);
}

static void line(const struct cli *cli, const char *name, const char *value)
{
    cli_field(cli, name, 18, value);
}

static void streams_print(const struct cli *cli, const json_t *streams)
{
    const struct table_column columns[] = {{_("STREAM"), TABLE_LEFT, 0}, {_("LAST NUMBER"), TABLE_RIGHT, 0}};
    struct table *table = table_new(columns, 2);
    for (size_t i = 0; i < json_array_size(streams); i++) {
        table_text(table, get_text(json_array_get(streams, i), "stream"));
        table_printf(table, "%llu", (unsigned long long)get_number(json_array_get(streams, i), "last"));
    }
    if (json_array_size(streams) > 0) {
        fputc('\n', cli->out);
        table_print(table, cli->out, cli->colour);
    }
    table_free(table);
}

static void show_print(const struct cli *cli, const json_t *node)
{
    char text[256];
    line(cli, _("node"), get_text(node, "node"));
    line(cli, _("department"), get_text(node, "department"));
    line(cli, _("area"), get_text(node, "area"));
    line(cli, _("rights"), rights_text(node, text, sizeof text));
    line(cli, _("status"), status_text(node));
    line(cli, _("connected"), connected_text(node));
    line(cli, _("software"), get_text(node, "software"));
    line(cli, _("last seen"), time_zone_text(text, get_time(node, "last_seen_us"), false));
    snprintf(text, sizeof text, _("%llu accepted, %llu duplicate, %llu refused"),
             (unsigned long long)get_number(node, "accepted"),
             (unsigned long long)get_number(node, "duplicate"),
             (unsigned long long)get_number(node, "refused"));
    line(cli, _("events"), text);
    line(cli, _("last event"), time_zone_text(text, get_time(node, "last_accepted_us"), false));
    snprintf(text, sizeof text, _("%llu decided, %llu wait"),
             (unsigned long long)get_number(node, "deliveries_decided"),
             (unsigned long long)get_number(node, "backlog"));
    line(cli, _("deliveries"), text);
    line(cli, _("key"), get_text(node, "key_id"));
    line(cli, _("certificate ends"), ends_text(node, text, sizeof text));
    streams_print(cli, json_object_get(node, "streams"));
}

static error_t name_parse(int key, char *arg, struct argp_state *state)
{
    const char **name = state->input;
    if (key == ARGP_KEY_ARG && state->arg_num == 0)
        *name = arg;
    else if (key == ARGP_KEY_ARG || key == ARGP_KEY_NO_ARGS)
        cli_words_wrong(state, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int node_show(struct cli *cli, const char *name)
{
    struct casebus_error err = {0};
    char target[256];
    json_t *node;
    if (client_get(cli->client, &node, &err, "/v1/nodes/%s", target_escape(target, sizeof target, name)))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, node);
    else
        show_print(cli, node);
    json_decref(node);
    return CLI_OK;
}

int node_show_main(struct cli *cli, int argc, char **argv)
{
    const char *name = NULL;
    struct argp argp = {.parser = name_parse,
                        .args_doc = N_("NAME"),
                        .doc = N_("Shows one node: its rights, its streams and what waits for it.")};
    cli_parse(cli, &argp, argc, argv, &name);
    int code = cli_connect(cli);
    return code ? code : node_show(cli, name);
}
