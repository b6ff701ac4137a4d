/* Commands are rows of a table; finding one and its help read the same rows. */
#include "hub/cli/cli.h"

#include "proto/base/texts.h"
#include "proto/crypto/passphrase.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

static int version_main(struct cli *cli, int argc, char **argv);
static int help_main(struct cli *cli, int argc, char **argv);

const struct cli_command cli_commands[] = {
    {"status", NULL, status_main, N_("Show what the hub does: nodes, counters, ledger")},
    {"node", "add", node_add_main, N_("Make a node's keys and enrol it")},
    {"node", "invite", node_invite_main, N_("Give out a code with which a department's node may join")},
    {"node", "requests", node_requests_main, N_("List who is invited, and who asks to be enrolled")},
    {"node", "approve", node_approve_main, N_("Enrol a node that asks")},
    {"node", "refuse", node_refuse_main, N_("Refuse a node that asks, or take its invitation back")},
    {"node", "list", node_list_main, N_("List the nodes that are enrolled")},
    {"node", "show", node_show_main, N_("Show one node: rights, streams, what waits for it")},
    {"node", "suspend", node_suspend_main, N_("Shut a node out until further notice")},
    {"node", "resume", node_resume_main, N_("Let a suspended node in again")},
    {"node", "revoke", node_revoke_main, N_("Revoke a node's keys for good")},
    {"incident", "report", incident_report_main,
     N_("Tell what the keys of a node touched in a span of time")},
    {"node", "enrolment", node_enrolment_main, N_("Print a node's enrolment.json as it is today")},
    {"hub", "keys", hub_keys_main, N_("Show the hub's authority and CURVE key, and the next one")},
    {"hub", "rotate", hub_rotate_main, N_("Give the running hub another CURVE key or authority")},
    {"case", "list", case_list_main, N_("List cases with their status")},
    {"case", "show", case_show_main, N_("Show one case: status and timeline across departments")},
    {"event", "tail", event_tail_main, N_("Show the newest events, and go on with -f")},
    {"event", "show", event_show_main, N_("Show one event")},
    {"prove", NULL, prove_main, N_("Write an evidence file about a case, an event or an entry")},
    {"verify", NULL, verify_main, N_("Check an evidence file, without any hub")},
    {"erase", NULL, erase_main, N_("Destroy content by order or by a rule of retention")},
    {"sharing", "list", sharing_list_main, N_("List who was given what a node published")},
    {"quarantine", "list", quarantine_list_main, N_("List what was refused and waits for a decision")},
    {"quarantine", "show", quarantine_show_main, N_("Show one thing that was refused")},
    {"quarantine", "release", quarantine_release_main, N_("Let something in that was refused before")},
    {"quarantine", "discard", quarantine_discard_main, N_("Destroy something that was refused")},
    {"erasure", "list", erasure_list_main, N_("List orders to destroy content, and who has confirmed")},
    {"erasure", "show", erasure_show_main, N_("Show one order to destroy content")},
    {"ledger", "verify", ledger_verify_main, N_("Check the ledger from its first entry to its last")},
    {"ledger", "watch", ledger_watch_main, N_("Watch a hub's ledger from outside, with an auditor's token")},
    {"ledger", "timestamps", ledger_timestamps_main,
     N_("List the time stamps of checkpoints, and check each")},
    {"ledger", "export", ledger_export_main, N_("Write the ledger as files that strangers can verify")},
    {"ledger", "dump", ledger_dump_main, N_("Print entries of the ledger as JSON lines")},
    {"policy", "check", policy_check_main, N_("Read a policy and tell its faults, without any hub")},
    {"policy", "show", policy_show_main, N_("Print the policy in force: who sees what")},
    {"policy", "diff", policy_diff_main, N_("Show what a file would change in the policy")},
    {"policy", "apply", policy_apply_main, N_("Make a file the policy in force")},
    {"policy", "approve", policy_approve_main, N_("Agree to the policy that another operator proposed")},
    {"policy", "refuse", policy_refuse_main, N_("Refuse the policy that is proposed")},
    {"policy", "why", policy_why_main, N_("Tell which row lets a node see a case, or what forbids it")},
    {"auditor", "add", auditor_add_main, N_("Make a token for one who audits the ledger")},
    {"auditor", "list", auditor_list_main, N_("List those who audit the ledger")},
    {"auditor", "remove", auditor_remove_main, N_("Take an auditor's token away")},
    {"codes", NULL, codes_main, N_("Tell what each code means, who must act and what to do")},
    {"state", "dump", state_dump_main, N_("Print the state in canonical form, for comparisons")},
    {"witness", "show", witness_show_main, N_("Show who witnesses this hub, and whom it witnesses")},
    {"version", NULL, version_main, N_("Print the version")},
    {"help", NULL, help_main, N_("Show this list, or with a command how it is used")},
};
const size_t cli_n_commands = sizeof cli_commands / sizeof cli_commands[0];

/* ---- options that all commands have ---- */

enum { OPTION_PASSPHRASE = 'P' + 0x400 };

static error_t common_parse(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case 'H':
        cli->hub = arg;
        return 0;
    case 'j':
        cli->json = true;
        return 0;
    case OPTION_PASSPHRASE:
        passphrase_begin(arg, true);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option common_options[] = {
    {"hub", 'H', N_("DIR|URL"), 0,
     N_("The hub: its directory, http+unix:///PATH or http://HOST (else: $CASEBUS_HUB)"), 10},
    {"json", 'j', NULL, 0, N_("Print JSON for programs"), 10},
    {"passphrase-file", OPTION_PASSPHRASE, N_("FILE"), 0,
     N_("The passphrase of keys that are opened here (else: a credential, or the terminal)"), 10},
    {0}};

const struct argp cli_argp = {.options = common_options, .parser = common_parse, .argp_domain = "casebus"};

/* argp hands a parent's input to its children only when the parent says so. */
struct parse_input {
    struct cli *cli;
    void *input;
    const struct argp *argp;
};

static error_t outer_parse(int key, char *arg, struct argp_state *state)
{
    struct parse_input *inputs = state->input;
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = inputs->input;
    state->child_inputs[1] = inputs->cli;
    return 0;
}

void cli_parse(struct cli *cli, struct argp *argp, int argc, char **argv, void *input)
{
    struct parse_input inputs = {cli, input, argp};
    struct argp_child children[] = {{argp, 0, NULL, 0}, {&cli_argp, 0, NULL, 0}, {0}};
    struct argp outer = {.parser = outer_parse,
                         .args_doc = argp->args_doc,
                         .doc = argp->doc,
                         .children = children,
                         .argp_domain = "casebus"};
    argp->args_doc = argp->doc = NULL; /* said once, by the outer one */
    argp->argp_domain = "casebus";
    argp_parse(&outer, argc, argv, 0, NULL, &inputs);
}

/* ---- what commands share ---- */

uint64_t cli_number(const char *text, const struct argp_state *state)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        argp_error(state, _("'%s' is not a number"), text);
    return number;
}

void cli_words_wrong(struct argp_state *state, const char *arg)
{
    if (arg)
        argp_error(state, _("too many arguments: '%s'"), arg);
    else
        argp_error(state, _("an argument is missing"));
}

json_int_t cli_seconds(const char *text)
{
    static const struct {
        const char *name;
        long seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    long n = strtol(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0] && n >= 1 && n <= 100000; i++)
        if (strcmp(end, units[i].name) == 0)
            return (json_int_t)n * units[i].seconds;
    return 0;
}

int cli_fail(const struct cli *cli, const struct casebus_error *err)
{
    error_print("casebus", err);
    if (cli->client && client_answered(cli->client)) /* and said no, whatever it could not reach itself */
        return CLI_NEGATIVE;
    if (err->code == CASEBUS_PASSPHRASE)
        return PASSPHRASE_EXIT;
    return err->code == CASEBUS_NETWORK || err->code == CASEBUS_CLOSED ? CLI_UNREACHABLE : CLI_NEGATIVE;
}

static int connect_to(struct cli *cli, bool copies)
{
    struct casebus_error err = {0};
    if (!cli->hub)
        cli->hub = getenv("CASEBUS_HUB");
    if (!cli->hub || !*cli->hub) {
        error_set(&err, CASEBUS_ARGUMENT, _("which hub?"));
        error_hint(&err, _("give its directory or URL with --hub, or in CASEBUS_HUB"));
        error_print("casebus", &err);
        return CLI_USAGE;
    }
    int r = copies && client_is_copy(cli->hub) ? client_open_copy(&cli->client, cli->hub, &err)
                                               : client_open(&cli->client, cli->hub, &err);
    return r ? cli_fail(cli, &err) : CLI_OK;
}

int cli_connect(struct cli *cli)
{
    return connect_to(cli, false);
}

int cli_connect_ledger(struct cli *cli)
{
    return connect_to(cli, true);
}

/* JSON lets characters through that steer a terminal, such as U+009B. They stand in texts alone, where \uNNNN
 * says the same. */
static void json_write(const char *text, FILE *out)
{
    const char *plain = text;
    for (const char *at = text; *at;) {
        char escaped[POINT_JSON];
        uint32_t point;
        bool unsafe;
        size_t n = text_point(at, &point, &unsafe);
        if (unsafe) {
            fwrite(plain, 1, (size_t)(at - plain), out);
            fputs(point_json(escaped, point), out);
            plain = at + n;
        }
        at += n;
    }
    fputs(plain, out);
}

void cli_print_json(const struct cli *cli, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (text)
        json_write(text, cli->out);
    free(text);
    fputc('\n', cli->out);
}

void cli_field(const struct cli *cli, const char *name, size_t width, const char *value)
{
    char shown[4096];
    size_t name_width = text_width(name);
    text_escape(shown, sizeof shown, value ? value : "-");
    fprintf(cli->out, "%s%s%s%*s  %s\n", cli_dim(cli), name, cli_plain(cli),
            (int)(name_width < width ? width - name_width : 0), "", shown);
}

const char *cli_red(const struct cli *cli)
{
    return cli->colour ? "\033[31m" : "";
}

const char *cli_green(const struct cli *cli)
{
    return cli->colour ? "\033[32m" : "";
}

const char *cli_dim(const struct cli *cli)
{
    return cli->colour ? "\033[2m" : "";
}

const char *cli_plain(const struct cli *cli)
{
    return cli->colour ? "\033[0m" : "";
}

/* ---- finding the command ---- */

#define NAME_TEXT 48

/* "ledger verify" */
static const char *command_name(char out[NAME_TEXT], const struct cli_command *command)
{
    snprintf(out, NAME_TEXT, "%s%s%s", command->group, command->verb ? " " : "",
             command->verb ? command->verb : "");
    return out;
}

/* Those of @group, or all (NULL). */
static void commands_print(FILE *out, const char *group)
{
    char name[NAME_TEXT];
    int width = 0;
    for (size_t i = 0; i < cli_n_commands; i++) {
        int n = (int)strlen(command_name(name, &cli_commands[i]));
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < cli_n_commands; i++)
        if (!group || strcmp(cli_commands[i].group, group) == 0)
            fprintf(out, "  %-*s  %s\n", width, command_name(name, &cli_commands[i]),
                    _(cli_commands[i].summary));
}

static void usage(FILE *out)
{
    fprintf(out, _("Usage: casebus [--hub DIR|URL] [--json] COMMAND [ARGUMENTS]\n\n"));
    fprintf(out, _("The command of a casebus hub's operators and of developers.\n\n"));
    commands_print(out, NULL);
    fprintf(out,
            _("\nA command tells more with --help. Exit codes: 0 yes, 1 no or failed, 2 the command line\n"
              "makes no sense, 3 no hub answers. See casebus(1).\n"));
}

static int help_main(struct cli *cli, int argc, char **argv)
{
    (void)argc, (void)argv;
    usage(cli->out);
    return CLI_OK;
}

static int version_main(struct cli *cli, int argc, char **argv)
{
    (void)argc, (void)argv;
    if (cli->json)
        fprintf(cli->out, "{\"version\":\"%s\"}\n", CASEBUS_RELEASE);
    else
        fprintf(cli->out, "casebus %s\n", CASEBUS_RELEASE);
    return CLI_OK;
}

static const struct cli_command *command_find(const char *group, const char *verb)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *command = &cli_commands[i];
        if (strcmp(command->group, group) == 0 &&
            (!command->verb || (verb && strcmp(command->verb, verb) == 0)))
            return command;
    }
    return NULL;
}

static bool help_wanted(const char *word)
{
    return word && (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 || strcmp(word, "-h") == 0);
}

static int no_command(const char *group, const char *verb)
{
    bool known = false;
    for (size_t i = 0; i < cli_n_commands; i++)
        known = known || strcmp(cli_commands[i].group, group) == 0;
    if (known && help_wanted(verb)) {
        commands_print(stdout, group);
        return CLI_OK;
    }
    if (!known)
        fprintf(stderr, _("casebus: there is no command '%s'; see casebus help\n"), group);
    else if (verb && verb[0] != '-')
        fprintf(stderr, _("casebus: '%s' has no command '%s'; it has:"), group, verb);
    else
        fprintf(stderr, _("casebus: '%s' needs one more word:"), group);
    for (size_t i = 0; known && i < cli_n_commands; i++)
        if (strcmp(cli_commands[i].group, group) == 0)
            fprintf(stderr, " %s", cli_commands[i].verb);
    if (known)
        fputc('\n', stderr);
    return CLI_USAGE;
}

/* Options before the command's name; returns the index of the name. */
static int leading_options(struct cli *cli, int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
            cli->json = true;
        else if (strncmp(argv[i], "--hub=", 6) == 0)
            cli->hub = argv[i] + 6;
        else if ((strcmp(argv[i], "--hub") == 0 || strcmp(argv[i], "-H") == 0) && i + 1 < argc)
            cli->hub = argv[++i];
        else
            break;
    }
    return i;
}

static int command_run(struct cli *cli, const struct cli_command *command, int argc, char **argv)
{
    char name[64];
    int words = command->verb ? 2 : 1;
    snprintf(name, sizeof name, "casebus %s%s%s", command->group, command->verb ? " " : "",
             command->verb ? command->verb : "");
    argv[words - 1] = name; /* so that argp shows it */
    int code = command->run(cli, argc - words + 1, argv + words - 1);
    if (fflush(cli->out) != 0 || ferror(cli->out)) {
        fprintf(stderr, _("casebus: cannot write the output\n"));
        return CLI_NEGATIVE;
    }
    return code;
}

/* "help node invite" is "node invite --help". */
static int help_rewrite(char *words[4], int argc, char **argv)
{
    static char option[] = "--help";
    int n = argc < 3 ? argc : 3;
    for (int i = 1; i < n; i++)
        words[i - 1] = argv[i];
    words[n - 1] = option;
    words[n] = NULL;
    return n;
}

int cli_main(int argc, char **argv)
{
    char *words[4];
    struct cli cli = {.out = stdout, .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    argp_err_exit_status = CLI_USAGE;
    int first = leading_options(&cli, argc, argv);
    if (first >= argc) {
        usage(stderr);
        return CLI_USAGE;
    }
    argc -= first;
    argv += first;
    if (argc > 1 && strcmp(argv[0], "help") == 0) {
        argc = help_rewrite(words, argc, argv);
        argv = words;
    }
    const char *group = argv[0];
    if (help_wanted(group))
        group = "help";
    if (strcmp(group, "--version") == 0 || strcmp(group, "-V") == 0)
        group = "version";
    const char *verb = argc > 1 ? argv[1] : NULL;
    const struct cli_command *command = command_find(group, verb);
    if (!command)
        return no_command(group, verb);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = command_run(&cli, command, argc, argv);
    client_close(cli.client);
    curl_global_cleanup();
    return code;
}
