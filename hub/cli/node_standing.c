/* casebus node suspend, resume and revoke */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <unistd.h>

struct standing {
    const char *node;
    const char *status; /* as the hub's API names it */
    const char *why;
    const char *since;
    bool yes;
    bool takes_since;
};

enum { OPT_WHY = 256, OPT_SINCE, OPT_YES };

static const struct argp_option resume_options[] = {
    {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: kept, sealed, beside the entry in the ledger"), 0}, {0}};
static const struct argp_option stop_options[] = {
    {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: kept, sealed, beside the entry in the ledger"), 0},
    {"since", OPT_SINCE, N_("TIME"), 0,
     N_("Since when its key may have been in other hands: 2026-11-25 or 2026-11-25T14:00:00+08:00"), 0},
    {"yes", OPT_YES, NULL, 0, N_("Do not ask"), 0},
    {0}};

static error_t standing_parse(int key, char *arg, struct argp_state *state)
{
    struct standing *standing = state->input;
    switch (key) {
    case OPT_WHY:
        standing->why = arg;
        return 0;
    case OPT_SINCE:
        standing->since = arg;
        return 0;
    case OPT_YES:
        standing->yes = true;
        return 0;
    case ARGP_KEY_ARG:
        if (standing->node)
            cli_words_wrong(state, arg);
        standing->node = arg;
        return 0;
    case ARGP_KEY_END:
        if (!standing->node)
            argp_error(state, _("which NAME?"));
        if (!standing->why || !*standing->why)
            argp_error(state, _("--%s is missing"), "why");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool confirmed(const char *node)
{
    char answer[16];
    fprintf(stderr, _("Revoke the keys of '%s' for good? It has to be enrolled with new ones. [y/N] "), node);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* What cannot be undone is asked back. 0, or the exit code. */
static int ask_back(const struct standing *standing)
{
    struct casebus_error err;
    if (standing->yes || strcmp(standing->status, "revoked") != 0)
        return CLI_OK;
    if (isatty(STDIN_FILENO))
        return confirmed(standing->node) ? CLI_OK : CLI_NEGATIVE;
    error_set(&err, CASEBUS_ARGUMENT, _("there is nobody to ask"));
    error_hint(&err, _("give --yes"));
    error_print("casebus", &err);
    return CLI_USAGE;
}

static void say(const struct cli *cli, const struct standing *standing, const json_t *answer)
{
    unsigned long long position = get_number(answer, "status_position");
    if (strcmp(standing->status, "revoked") == 0)
        fprintf(
            cli->out,
            _("the keys of node '%s' are revoked from entry %llu on; what they signed before stays valid\n"),
            standing->node, position);
    else if (strcmp(standing->status, "suspended") == 0)
        fprintf(cli->out, _("node '%s' is suspended from entry %llu on; what comes for it waits\n"),
                standing->node, position);
    else
        fprintf(cli->out, _("node '%s' is active again from entry %llu on\n"), standing->node, position);
}

static int change(struct cli *cli, const struct standing *standing, int64_t since_us)
{
    struct casebus_error err = {0};
    char name[256], target[300];
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:I}", "status", standing->status, "why", standing->why,
                             "compromised_since_us", (json_int_t)since_us);
    snprintf(target, sizeof target, "/v1/nodes/%s", target_escape(name, sizeof name, standing->node));
    int r = body ? client_post(cli->client, target, body, &answer, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the reason is not UTF-8"));
    if (r == 0)
        backup_note_add(cli, answer);
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0)
        say(cli, standing, answer);
    int code = backup_note_print(cli, answer);
    json_decref(answer);
    json_decref(body);
    return r ? cli_fail(cli, &err) : code;
}

static int standing_main(struct cli *cli, int argc, char **argv, struct standing *standing, const char *doc)
{
    struct casebus_error err = {0};
    struct argp argp = {.options = standing->takes_since ? stop_options : resume_options,
                        .parser = standing_parse,
                        .args_doc = N_("NAME"),
                        .doc = doc};
    int64_t since_us = 0;
    cli_parse(cli, &argp, argc, argv, standing);
    if (standing->since && time_read(standing->since, &since_us, NULL, &err)) {
        error_print("casebus", &err);
        return CLI_USAGE;
    }
    int code = ask_back(standing);
    if (code == CLI_OK)
        code = cli_connect(cli);
    return code ? code : change(cli, standing, since_us);
}

int node_suspend_main(struct cli *cli, int argc, char **argv)
{
    struct standing standing = {.status = "suspended", .takes_since = true};
    return standing_main(
        cli, argc, argv, &standing,
        N_("Shuts a node out until it is resumed: its connections end within a second, and nothing "
           "of it is taken. What comes for it waits."));
}

int node_resume_main(struct cli *cli, int argc, char **argv)
{
    struct standing standing = {.status = "active"};
    return standing_main(cli, argc, argv, &standing, N_("Lets a suspended node in again."));
}

int node_revoke_main(struct cli *cli, int argc, char **argv)
{
    struct standing standing = {.status = "revoked", .takes_since = true};
    return standing_main(
        cli, argc, argv, &standing,
        N_("Revokes a node's keys for good: its connections end within a second, and nothing they "
           "sign is taken any more. What they signed before stays valid. The department enrols "
           "with new keys."));
}
