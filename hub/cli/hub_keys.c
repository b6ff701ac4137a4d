/* casebus hub keys and hub rotate: the hub's own CURVE key, and the next one. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

static void keys_print(const struct cli *cli, const json_t *keys)
{
    char text[PEOPLE_TEXT];
    const char *next = get_text(keys, "next_curve_key");
    cli_field(cli, _("CURVE key"), 16, get_text(keys, "curve_key"));
    if (!next)
        return;
    cli_field(cli, _("next key"), 16, next);
    cli_field(cli, _("holds from"), 16, time_zone_text(text, get_time(keys, "next_from_us"), false));
}

static int keys_answer(struct cli *cli, json_t *answer)
{
    if (cli->json)
        cli_print_json(cli, answer);
    else
        keys_print(cli, answer);
    json_decref(answer);
    return CLI_OK;
}

int hub_keys_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {.doc = N_("Shows the hub's CURVE key, and the one that will take its place.")};
    struct casebus_error err = {0};
    json_t *answer;
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    if (code)
        return code;
    return client_get(cli->client, &answer, &err, "/v1/hub-keys") ? cli_fail(cli, &err)
                                                                  : keys_answer(cli, answer);
}

/* ---- rotate ---- */

#define IN_PRESET "7d"

struct rotating {
    const char *what;
    const char *in;
};

enum { OPT_IN = 256 };

static const struct argp_option rotate_options[] = {
    {"in", OPT_IN, N_("TIME"), 0,
     N_("When the next key takes over, such as 30s, 90m, 12h or 7d (7d): nodes that connect until then learn "
        "of it"),
     0},
    {0}};

static error_t rotate_parse(int key, char *arg, struct argp_state *state)
{
    struct rotating *rotating = state->input;
    switch (key) {
    case OPT_IN:
        rotating->in = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (rotating->what)
            cli_words_wrong(state, arg);
        rotating->what = arg;
        return 0;
    case ARGP_KEY_END:
        if (!rotating->what || strcmp(rotating->what, "curve") != 0)
            argp_error(state, _("which key? There is: curve"));
        if (!cli_seconds(rotating->in))
            argp_error(state, _("'%s' is no length of time: expected 30s, 90m, 12h or 3d"), rotating->in);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int hub_rotate_main(struct cli *cli, int argc, char **argv)
{
    struct rotating rotating = {.in = IN_PRESET};
    struct casebus_error err = {0};
    struct argp argp = {
        .options = rotate_options,
        .parser = rotate_parse,
        .args_doc = "curve",
        .doc = N_(
            "Makes the running hub's next CURVE key. The ledger has it at once, signed by the authority, and "
            "nodes learn it over their sessions; when the time has come the hub changes to it and they "
            "connect anew. A node that was not connected in between needs the new enrolment.json: "
            "casebus node enrolment NAME.")};
    json_t *answer = NULL;
    cli_parse(cli, &argp, argc, argv, &rotating);
    int code = cli_connect(cli);
    if (code)
        return code;
    json_t *body = json_pack("{s:s, s:I}", "rotate", "curve", "after_s", cli_seconds(rotating.in));
    int r = client_post(cli->client, "/v1/hub-keys", body, &answer, &err);
    json_decref(body);
    if (r)
        return cli_fail(cli, &err);
    keys_answer(cli, answer);
    if (!cli->json)
        fputs(_("Copy the hub's keys/ anew to where you keep it: the next key is in it.\n"), cli->out);
    return CLI_OK;
}
