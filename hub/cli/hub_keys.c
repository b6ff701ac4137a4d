/* casebus hub keys, hub rotate and node enrolment: the hub's own CURVE key, the next one, and what a node has
 * to know that was away when it changed. */
#include "hub/cli/cli.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define ENROLMENT_FILE_MAX (64 * 1024)

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

/* ---- a node's enrolment, once more ---- */

struct again {
    const char *name;
    const char *out;
};

static const struct argp_option enrolment_options[] = {
    {"out", 'o', N_("FILE"), 0, N_("Where to write it; - for the standard output (-)"), 0}, {0}};

static error_t enrolment_parse(int key, char *arg, struct argp_state *state)
{
    struct again *again = state->input;
    switch (key) {
    case 'o':
        again->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (again->name)
            cli_words_wrong(state, arg);
        again->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (!again->name)
            argp_error(state, _("which NAME?"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int enrolment_write(const struct cli *cli, const struct again *again, json_t *answer,
                           struct casebus_error *err)
{
    struct buffer content;
    json_object_set_new(answer, "signing_key", json_string("node.key"));
    json_object_set_new(answer, "curve_key", json_string("node.curve"));
    char *text = json_dumps(answer, JSON_INDENT(2));
    int r = 0;
    buffer_init(&content, ENROLMENT_FILE_MAX);
    if (!text || !buffer_printf(&content, "%s\n", text))
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    else if (strcmp(again->out, "-") == 0)
        fwrite(content.data, 1, content.size, cli->out);
    else
        r = file_write(again->out, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    free(text);
    return r;
}

int node_enrolment_main(struct cli *cli, int argc, char **argv)
{
    struct again again = {.out = "-"};
    struct casebus_error err = {0};
    char name[256];
    json_t *answer = NULL;
    struct argp argp = {
        .options = enrolment_options,
        .parser = enrolment_parse,
        .args_doc = N_("NAME"),
        .doc = N_(
            "Prints the enrolment.json of a node as it is today: for one that was away while the hub changed "
            "its keys, and for whoever checks evidence of a restored hub. It holds no secret.")};
    cli_parse(cli, &argp, argc, argv, &again);
    int code = cli_connect(cli);
    if (code)
        return code;
    int r = client_get(cli->client, &answer, &err, "/v1/enrolments/%s",
                       target_escape(name, sizeof name, again.name)) ||
            enrolment_write(cli, &again, answer, &err);
    json_decref(answer);
    return r ? cli_fail(cli, &err) : CLI_OK;
}
