/* casebus node requests, approve and refuse */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

/* ---- who asks ---- */

static const char *state_text(const json_t *invitation)
{
    static const char *const names[] = {"open", "requested", "enrolled", "refused",
                                        "void", "done",      "expired"};
    static const char *const words[] = {N_("invited"), N_("asks"),   N_("enrolled"), N_("refused"),
                                        N_("void"),    N_("joined"), N_("expired")};
    const char *state = get_text(invitation, "state");
    for (size_t i = 0; state && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], state) == 0)
            return _(words[i]);
    return state;
}

static void requests_print(const struct cli *cli, const json_t *list)
{
    const struct table_column columns[] = {{_("NODE"), TABLE_LEFT, 0},  {_("DEPARTMENT"), TABLE_LEFT, 0},
                                           {_("AREA"), TABLE_LEFT, 0},  {_("STATE"), TABLE_LEFT, 0},
                                           {_("UNTIL"), TABLE_LEFT, 0}, {_("ASKED"), TABLE_LEFT, 0},
                                           {_("KEY"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    char text[64];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        table_text(table, get_text(one, "node"));
        table_text(table, get_text(one, "department"));
        table_text(table, get_text(one, "area"));
        table_text(table, state_text(one));
        table_text(table, time_text(text, get_time(one, "expires_us"), false));
        table_text(table, time_text(text, get_time(one, "requested_us"), false));
        table_text(table, get_text(one, "key_id"));
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

static int requests(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *answer;
    if (client_get(cli->client, &answer, &err, "/v1/invitations"))
        return cli_fail(cli, &err);
    const json_t *list = json_object_get(answer, "invitations");
    if (cli->json)
        cli_print_json(cli, answer);
    else if (json_array_size(list) == 0)
        fprintf(cli->out, _("nobody is invited; invite with: casebus node invite\n"));
    else
        requests_print(cli, list);
    json_decref(answer);
    return CLI_OK;
}

int node_requests_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .doc = N_("Lists who is invited, and who asks to be enrolled, with the id of the key that was made "
                  "on the department's machine: it says the same, by casebus-adapter join.")};
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    return code ? code : requests(cli);
}

/* ---- what is decided ---- */

struct decision {
    const char *node;
    const char *why;
    bool refuse;
};

enum { OPT_WHY = 256 };

static const struct argp_option approve_options[] = {{0}};
static const struct argp_option refuse_options[] = {
    {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: the department is told so"), 0}, {0}};

static error_t decision_parse(int key, char *arg, struct argp_state *state)
{
    struct decision *decision = state->input;
    switch (key) {
    case OPT_WHY:
        decision->why = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (decision->node)
            cli_words_wrong(state, arg);
        decision->node = arg;
        return 0;
    case ARGP_KEY_END:
        if (!decision->node)
            argp_error(state, _("which NAME?"));
        if (decision->refuse && (!decision->why || !*decision->why))
            argp_error(state, _("--%s is missing"), "why");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int decide(struct cli *cli, const struct decision *decision)
{
    struct casebus_error err = {0};
    char name[256], target[300];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s}", "decision", decision->refuse ? "refuse" : "approve", "why",
                             decision->why ? decision->why : "");
    snprintf(target, sizeof target, "/v1/invitations/%s", target_escape(name, sizeof name, decision->node));
    int r = body ? client_post(cli->client, target, body, &answer, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the reason is not UTF-8"));
    if (r == 0 && !decision->refuse)
        backup_note_add(cli, answer);
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0)
        fprintf(cli->out,
                decision->refuse
                    ? _("'%s' is refused; its code counts no more\n")
                    : _("node '%s' is enrolled; its adapter fetches the certificate by itself\n"),
                decision->node);
    int code = backup_note_print(cli, answer);
    json_decref(answer);
    json_decref(body);
    return r ? cli_fail(cli, &err) : code;
}

static int decision_main(struct cli *cli, int argc, char **argv, struct decision *decision, const char *doc)
{
    struct argp argp = {.options = decision->refuse ? refuse_options : approve_options,
                        .parser = decision_parse,
                        .args_doc = N_("NAME"),
                        .doc = doc};
    cli_parse(cli, &argp, argc, argv, decision);
    int code = cli_connect(cli);
    return code ? code : decide(cli, decision);
}

int node_approve_main(struct cli *cli, int argc, char **argv)
{
    struct decision decision = {.refuse = false};
    return decision_main(cli, argc, argv, &decision,
                         N_("Enrols a node that was invited and asks. Compare the id of its key with what "
                            "the department sees."));
}

int node_refuse_main(struct cli *cli, int argc, char **argv)
{
    struct decision decision = {.refuse = true};
    return decision_main(cli, argc, argv, &decision,
                         N_("Refuses a node that asks to be enrolled, or takes an invitation back that "
                            "nobody has used. Its code counts no more."));
}
