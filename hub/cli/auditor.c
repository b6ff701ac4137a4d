/* casebus auditor add, list and remove */
#include "hub/cli/cli.h"
#include "hub/console/auditors.h"
#include "hub/keys.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct auditor_command {
    bool takes_name;
    const char *name;
};

static error_t auditor_parse(int key, char *arg, struct argp_state *state)
{
    struct auditor_command *command = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (!command->takes_name || command->name)
            cli_words_wrong(state, arg);
        command->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (command->takes_name && !command->name)
            argp_error(state, _("an auditor's name is needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The file of auditors is the hub's, whether it runs or not. */
static int hub_dir(struct cli *cli, const char **dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    *dir = cli->hub ? cli->hub : getenv("CASEBUS_HUB");
    if (!*dir || !**dir || strncmp(*dir, "http", 4) == 0) {
        error_set(err, CASEBUS_ARGUMENT, _("auditors are kept in the hub's directory"));
        return error_hint(err, _("give it with --hub, or in CASEBUS_HUB"));
    }
    if (path_join(path, sizeof path, *dir, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), *dir);
    if (access(path, R_OK) == 0)
        return 0;
    if (errno != ENOENT && errno != ENOTDIR)
        return error_set_errno(err, errno, _("'%s' cannot be looked into"), *dir);
    return error_set(err, CASEBUS_NOT_FOUND, _("'%s' is not the directory of a hub"), *dir);
}

/* 0, or the exit code. */
static int prepare(struct cli *cli, int argc, char **argv, const char *doc, struct auditor_command *command,
                   const char **dir)
{
    struct casebus_error err = {0};
    struct argp argp = {
        .parser = auditor_parse, .doc = doc, .args_doc = command->takes_name ? N_("NAME") : NULL};
    cli_parse(cli, &argp, argc, argv, command);
    if (hub_dir(cli, dir, &err) == 0)
        return CLI_OK;
    error_print("casebus", &err);
    return err.code == CASEBUS_ARGUMENT ? CLI_USAGE : CLI_NEGATIVE;
}

int auditor_add_main(struct cli *cli, int argc, char **argv)
{
    struct auditor_command command = {.takes_name = true};
    struct casebus_error err = {0};
    char token[AUDITOR_TOKEN_TEXT];
    const struct suite *suite;
    const char *dir;
    int code =
        prepare(cli, argc, argv,
                N_("Makes a token with which NAME reads the ledger's entries over the monitors' listener. It "
                   "is shown once; the hub keeps its hash. It counts at once."),
                &command, &dir);
    if (code)
        return code;
    if (hub_keys_suite(dir, &suite, &err) || auditors_add(dir, suite, command.name, token, &err))
        return cli_fail(cli, &err);
    if (cli->json) {
        json_t *json = json_pack("{s:s, s:s}", "auditor", command.name, "token", token);
        cli_print_json(cli, json);
        json_decref(json);
    } else {
        fprintf(stderr, _("The token of '%s', which is shown this once:\n"), command.name);
        fprintf(cli->out, "%s\n", token);
    }
    secret_clear(token, sizeof token);
    return CLI_OK;
}

int auditor_list_main(struct cli *cli, int argc, char **argv)
{
    struct auditor_command command = {.takes_name = false};
    struct casebus_error err = {0};
    struct auditors auditors;
    const char *dir;
    int code = prepare(cli, argc, argv, N_("Lists the auditors, without their tokens."), &command, &dir);
    if (code)
        return code;
    if (auditors_load(&auditors, dir, &err))
        return cli_fail(cli, &err);
    json_t *list = json_array();
    for (size_t i = 0; i < auditors.n; i++) {
        if (cli->json)
            json_array_append_new(list, json_pack("{s:s}", "auditor", auditors.list[i].name));
        else
            fprintf(cli->out, "%s\n", auditors.list[i].name);
    }
    json_t *json = json_pack("{s:o}", "auditors", list);
    if (cli->json)
        cli_print_json(cli, json);
    json_decref(json);
    auditors_free(&auditors);
    return CLI_OK;
}

int auditor_remove_main(struct cli *cli, int argc, char **argv)
{
    struct auditor_command command = {.takes_name = true};
    struct casebus_error err = {0};
    const char *dir;
    int code =
        prepare(cli, argc, argv, N_("Takes an auditor's token away. It counts at once."), &command, &dir);
    if (code)
        return code;
    return auditors_remove(dir, command.name, &err) ? cli_fail(cli, &err) : CLI_OK;
}
