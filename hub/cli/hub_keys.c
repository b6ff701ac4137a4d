/* casebus hub keys and hub rotate: the hub's own CURVE key and authority, and the next ones. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

/* Who is not connected does not learn of a next key before it comes back. */
static void away_print(const struct cli *cli, const json_t *keys)
{
    const json_t *away = json_object_get(keys, "away"), *name;
    size_t i, n = json_array_size(away);
    if (n == 0)
        return;
    fprintf(cli->out,
            _n("%zu node is not connected; what it has not learnt when the key changes, it has to be given "
               "(casebus node enrolment NAME):\n",
               "%zu nodes are not connected; what they have not learnt when the key changes, they have to be "
               "given (casebus node enrolment NAME):\n",
               n),
            n);
    json_array_foreach(away, i, name) fprintf(cli->out, "  %s\n", json_string_value(name));
}

static void keys_print(const struct cli *cli, const json_t *keys)
{
    char text[PEOPLE_TEXT];
    const char *next = get_text(keys, "next_curve_key");
    cli_field(cli, _("authority"), 16, get_text(keys, "authority_sha256"));
    cli_field(cli, _("ends"), 16, time_zone_text(text, get_time(keys, "authority_ends_us"), false));
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

/* Before anything is done. */
static int away_tell(struct cli *cli, struct casebus_error *err)
{
    json_t *answer;
    if (client_get(cli->client, &answer, err, "/v1/hub-keys"))
        return -1;
    if (!cli->json)
        away_print(cli, answer);
    fflush(cli->out);
    json_decref(answer);
    return 0;
}

int hub_keys_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .doc = N_("Shows the hub's authority (SHA-256 of its certificate), its CURVE key, and the one "
                  "that will take its place.")};
    struct casebus_error err = {0};
    json_t *answer;
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (client_get(cli->client, &answer, &err, "/v1/hub-keys"))
        return cli_fail(cli, &err);
    json_incref(answer);
    keys_answer(cli, answer);
    if (!cli->json)
        away_print(cli, answer);
    json_decref(answer);
    return CLI_OK;
}

/* ---- rotate ---- */

#define IN_PRESET "7d"

struct rotating {
    const char *what;
    const char *in;
    bool force;
};

enum { OPT_IN = 256, OPT_FORCE };

static const struct argp_option rotate_options[] = {
    {"in", OPT_IN, N_("TIME"), 0,
     N_("When the next key takes over, such as 30s, 90m, 12h or 7d (7d): nodes that connect until then learn "
        "of it"),
     0},
    {"force", OPT_FORCE, NULL, 0,
     N_("Let it be less than a day: a node that is not connected until then is shut out"), 0},
    {0}};

static error_t rotate_parse(int key, char *arg, struct argp_state *state)
{
    struct rotating *rotating = state->input;
    switch (key) {
    case OPT_IN:
        rotating->in = arg;
        return 0;
    case OPT_FORCE:
        rotating->force = true;
        return 0;
    case ARGP_KEY_ARG:
        if (rotating->what)
            cli_words_wrong(state, arg);
        rotating->what = arg;
        return 0;
    case ARGP_KEY_END:
        if (!rotating->what ||
            (strcmp(rotating->what, "curve") != 0 && strcmp(rotating->what, "authority") != 0))
            argp_error(state, _("which key? There are: curve, authority"));
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
        .args_doc = "curve|authority",
        .doc = N_(
            "curve: makes the running hub's next CURVE key. The ledger has it at once, signed by the "
            "authority, and "
            "nodes learn it over their sessions; when the time has come the hub changes to it and they "
            "connect anew. A node that was not connected in between needs the new enrolment.json: "
            "casebus node enrolment NAME.\n\n"
            "authority: makes another authority, which certifies nodes from now on. The one before names it "
            "in the ledger, and both sign that; what the one before has certified stays good. Nodes learn it "
            "over their sessions, and whoever was away learns it when it comes.")};
    json_t *answer = NULL;
    cli_parse(cli, &argp, argc, argv, &rotating);
    int code = cli_connect(cli);
    if (code)
        return code;
    bool curve = strcmp(rotating.what, "curve") == 0;
    if (curve && away_tell(cli, &err))
        return cli_fail(cli, &err);
    json_t *body = json_pack("{s:s, s:I, s:b}", "rotate", rotating.what, "after_s",
                             (json_int_t)cli_seconds(rotating.in), "force", rotating.force);
    int r = client_post(cli->client, "/v1/hub-keys", body, &answer, &err);
    json_decref(body);
    if (r)
        return cli_fail(cli, &err);
    keys_answer(cli, answer);
    if (!cli->json)
        fputs(_("Copy the hub's keys/ anew to where you keep it: the next key is in it.\n"), cli->out);
    if (!cli->json && !curve)
        fputs(
            _("Give keys/authority.pem to those who verify evidence; the former one goes on to prove what it "
              "proved.\n"),
            cli->out);
    return CLI_OK;
}
