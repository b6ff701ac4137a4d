/* casebus policy why NODE CASE: which row of the policy lets a node see what of a case, and what forbids the
 * rest, in words. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <stdlib.h>

struct asked {
    const char *node, *number;
};

static const struct {
    const char *code, *words;
} reasons[] = {
    {"lets", N_("lets it")},
    {"other-item", N_("is about other items")},
    {"other-area", N_("is about other areas")},
    {"other-kind", N_("is about other kinds of events")},
    {"not-begun", N_("has not begun yet")},
    {"ended", N_("has ended")},
    {"no-answer", N_("asks what this event does not answer")},
    {"delegated-away", N_("does not count: another body decides in its place")},
};

static const char *reason_words(const char *code)
{
    for (size_t i = 0; code && i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].code, code) == 0)
            return _(reasons[i].words);
    return "?";
}

/* Prints " NAME: TEXT", when there is one; texts come from departments. */
static void print_text(const struct cli *cli, const char *format, const char *text)
{
    char shown[1024];
    if (!text)
        return;
    text_escape(shown, sizeof shown, text);
    fprintf(cli->out, format, shown);
}

static void print_row(const struct cli *cli, const json_t *row)
{
    char parts[128];
    bool answers = json_object_get(row, "answers");
    fprintf(cli->out, _("      row %u (line %u, %s) %s"), (unsigned)get_number(row, "number"),
            (unsigned)get_number(row, "line"), get_text(row, "relation"),
            reason_words(get_text(row, "says")));
    get_joined(row, answers ? "answers" : "parts", parts, sizeof parts);
    fprintf(cli->out, answers ? _("; yes or no alone: %s") : _("; parts: %s"), *parts ? parts : _("none"));
    print_text(cli, _("; purpose: %s"), get_text(row, "purpose"));
    print_text(cli, _("; basis: %s"), get_text(row, "basis"));
    fputc('\n', cli->out);
}

static void print_then(const struct cli *cli, const json_t *event)
{
    unsigned rule = (unsigned)get_number(event, "rule");
    char answers[128];
    if (json_object_get(event, "publish_rule"))
        fprintf(cli->out,
                _("    when it came: this node published it, by row %u of the policy then in force\n"),
                (unsigned)get_number(event, "publish_rule"));
    else if (get_bool(event, "published"))
        fprintf(cli->out, _("    when it came: this node published it\n"));
    else if (!get_bool(event, "received"))
        fprintf(cli->out, _("    when it came: it was not delivered to this node\n"));
    else if (get_bool(event, "retracts"))
        fprintf(cli->out,
                _("    when it came: this node was told that what the record said before holds no more\n"));
    else if (json_object_get(event, "answers"))
        fprintf(cli->out,
                _("    when it came: told yes or no alone (%s), by row %u of the policy then in force\n"),
                get_joined(event, "answers", answers, sizeof answers), rule);
    else if (rule)
        fprintf(cli->out, _("    when it came: delivered, by row %u of the policy then in force\n"), rule);
    else
        fprintf(cli->out, _("    when it came: delivered, by what the node was enrolled for\n"));
}

static void print_publishing(const struct cli *cli, const json_t *event)
{
    if (json_object_get(event, "may_publish_rule"))
        fprintf(cli->out, _("    now: it might publish this, by row %u\n"),
                (unsigned)get_number(event, "may_publish_rule"));
    else if (!get_bool(event, "may_publish"))
        fprintf(cli->out, _("    now: it might not publish this: no row lets it\n"));
}

static void print_event(const struct cli *cli, const json_t *event, const json_t *answer)
{
    bool receive_all = get_bool(answer, "receive_all");
    const json_t *rows = json_object_get(event, "rows");
    const char *kind = get_text(event, "kind"), *item = get_text(event, "item"),
               *area = get_text(event, "area");
    char shown[256];
    text_escape(shown, sizeof shown, item && *item ? item : "-");
    fprintf(cli->out, _("  entry %llu: %s, item %s, area %s\n"),
            (unsigned long long)get_number(event, "position"), kind ? kind : "?", shown,
            area && *area ? area : "-");
    print_then(cli, event);
    if (!kind) {
        fprintf(cli->out, _("    now: its content is not readable, so that no row can be asked\n"));
        return;
    }
    fprintf(cli->out, get_bool(event, "sees")   ? _("    now: it would get this\n")
                      : get_bool(event, "lets") ? _("    now: it would be told yes or no, and not get this\n")
                                                : _("    now: it would not get this\n"));
    if (receive_all)
        fprintf(cli->out, _("      enrolled to receive the events of all departments\n"));
    for (size_t i = 0; i < json_array_size(rows); i++)
        print_row(cli, json_array_get(rows, i));
    if (json_array_size(rows) == 0 && !receive_all)
        fprintf(cli->out, _("      no row is for this node: what no row lets is forbidden\n"));
    if (get_bool(answer, "limits_publishing"))
        print_publishing(cli, event);
}

static void print_why(const struct cli *cli, const json_t *answer)
{
    const json_t *events = json_object_get(answer, "events");
    unsigned version = (unsigned)get_number(answer, "version");
    if (version)
        fprintf(cli->out, _("node %s, department %s, area %s; version %u of the policy is in force\n"),
                get_text(answer, "node"), get_text(answer, "department"), get_text(answer, "area"), version);
    else
        fprintf(cli->out, _("node %s, department %s, area %s; no policy was ever applied\n"),
                get_text(answer, "node"), get_text(answer, "department"), get_text(answer, "area"));
    for (size_t i = 0; i < json_array_size(events); i++)
        print_event(cli, json_array_get(events, i), answer);
    if (!get_bool(answer, "whole"))
        fprintf(cli->out, _("  ... and more: the case is long\n"));
}

static int why(struct cli *cli, const struct asked *asked)
{
    struct casebus_error err = {0};
    char node[256], number[512];
    json_t *answer = NULL;
    if (client_barrier(cli->client, &err) ||
        client_get(cli->client, &answer, &err, "/v1/policy/why/%s?case=%s",
                   target_escape(node, sizeof node, asked->node),
                   target_escape(number, sizeof number, asked->number)))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, answer);
    else
        print_why(cli, answer);
    json_decref(answer);
    return CLI_OK;
}

static error_t why_parse(int key, char *arg, struct argp_state *state)
{
    struct asked *asked = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            cli_words_wrong(state, arg);
        *(state->arg_num == 0 ? &asked->node : &asked->number) = arg;
        return 0;
    case ARGP_KEY_END:
        if (!asked->number)
            argp_error(state, _("which NODE, and which CASE?"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int policy_why_main(struct cli *cli, int argc, char **argv)
{
    struct asked asked = {0};
    struct argp argp = {
        .parser = why_parse,
        .args_doc = N_("NODE CASE"),
        .doc = N_("Tells for each event of a case whether NODE received it and by which row of the "
                  "policy, and what the policy in force says of it now.")};
    cli_parse(cli, &argp, argc, argv, &asked);
    int code = cli_connect(cli);
    return code ? code : why(cli, &asked);
}
