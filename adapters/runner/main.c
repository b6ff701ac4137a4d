/* casebus-adapter: a department's own end of the bus, from its system's rows to events and back. */
#include "adapters/runner/commands.h"
#include "casebus/node.h"
#include "proto/base/texts.h"
#include "proto/crypto/passphrase.h"
#include "proto/crypto/shield.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETS_MAX = 64, ROWS_SHOWN = 3 };
enum {
    OPT_ONCE = 256,
    OPT_BACKFILL,
    OPT_LANGUAGE,
    OPT_FROM_START,
    OPT_IDLE,
    OPT_ROWS,
    OPT_CODES,
    OPT_DIR,
    OPT_DOOR,
    OPT_SIGNING_KEY,
    OPT_JSON,
    OPT_PASSPHRASE,
    OPT_NEW_PASSPHRASE,
    OPT_REMOVE
};

struct command {
    const char *name;
    int (*main)(const struct options *options);
    bool needs_argument;
};

static const struct command commands[] = {
    {"run", run_command, true},   {"check", check_command, true},   {"explain", explain_command, false},
    {"join", join_command, true}, {"status", status_command, true}, {"passphrase", passphrase_command, true},
};

struct arguments {
    struct options options;
    const char *sets[SETS_MAX + 1];
    size_t n_sets;
    size_t n_words;
};

static const char doc[] =
    N_("Publishes a source's rows as case events, and writes what is received to a\n"
       "sink.\v"
       "Commands:\n"
       "  run CONFIG      work until stopped; with --once, until all is answered\n"
       "  check CONFIG    show what would be sent and all that is wrong; send nothing\n"
       "  explain [KIND]  show the settings there are: eventlog, jsonl, map\n"
       "  join HUB CODE   become a node of the hub at tcp://HOST:PORT, by the code that\n"
       "                  its operator gave out; the keys are made here, in --dir\n"
       "  status DIR      show who the node in DIR is and until when its certificate\n"
       "                  lasts\n"
       "  passphrase DIR  put the node's keys in DIR under a passphrase, another one, or\n"
       "                  none\n"
       "\n"
       "Exit codes: 0 fine; 1 some rows were rejected or refused, or the certificate\n"
       "ends within 30 days (status); 2 wrong usage or configuration; 3 it cannot go\n"
       "on; 77 the keys' passphrase is missing or wrong.\n"
       "\n"
       "To begin:  casebus-adapter explain > adapter.yaml\n"
       "           casebus-adapter check adapter.yaml\n"
       "See also:  man casebus-adapter; docs/adapters.md");

static const struct argp_option argp_options[] = {
    {"set", 's', N_("NAME=VALUE"), 0, N_("Replace a setting, such as source.file=today.csv (repeatable)"), 0},
    {"once", OPT_ONCE, NULL, 0, N_("run: end when the source is exhausted and everything is answered"), 0},
    {"idle", OPT_IDLE, N_("SECONDS"), 0, N_("with --once: and nothing was received for so long"), 0},
    {"backfill", OPT_BACKFILL, NULL, 0, N_("Mark every event as history, which rings no clock"), 0},
    {"from-start", OPT_FROM_START, NULL, 0,
     N_("run: read the source from its first row; the hub recognises what it has"), 0},
    {"rows", OPT_ROWS, N_("N"), 0, N_("check: how many rows to show as events (3)"), 0},
    {"codes", OPT_CODES, N_("FILE"), 0,
     N_("check: write the codes that no table knows as a table to fill in"), 0},
    {"dir", OPT_DIR, N_("DIR"), 0, N_("join: where keys and enrolment.json go (node)"), 0},
    {"door", OPT_DOOR, N_("tcp://HOST:PORT"), 0, N_("join: the hub's door, if not one port behind HUB"), 0},
    {"signing-key", OPT_SIGNING_KEY, "pkcs11:URI", 0,
     N_("join: the key that signs is held by a token; one that is not there is made there"), 0},
    {"json", OPT_JSON, NULL, 0, N_("status: for programs"), 0},
    {"passphrase-file", OPT_PASSPHRASE, N_("FILE"), 0,
     N_("run, join, status, passphrase: the passphrase of the node's keys, in a file of mode 0600 (else the "
        "credential casebus.passphrase, or the terminal)"),
     0},
    {"new-passphrase-file", OPT_NEW_PASSPHRASE, N_("FILE"), 0,
     N_("passphrase: the new one (else the credential casebus.new-passphrase, or the terminal)"), 0},
    {"remove", OPT_REMOVE, NULL, 0, N_("passphrase: none any more"), 0},
    {"verbose", 'v', NULL, 0, N_("More log lines"), 0},
    {"language", OPT_LANGUAGE, N_("zh|en"), 0, N_("Language of messages, if not that of the locale"), 0},
    {0},
};

static void language_set(const char *language, struct argp_state *state)
{
    if (strcmp(language, "zh") != 0 && strcmp(language, "en") != 0)
        argp_error(state, _("'%s' is not a language of this program: zh or en"), language);
    setenv("CASEBUS_LANG", language, 1);
    texts_init();
}

static unsigned number_parse(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n > 1000000)
        argp_error(state, _("'%s' is not a number from 0 to 1000000"), text);
    return (unsigned)n;
}

static void word_take(struct arguments *arguments, const char *word, struct argp_state *state)
{
    if (arguments->n_words == 0)
        arguments->options.command = word;
    else if (arguments->n_words == 1)
        arguments->options.argument = word;
    else if (arguments->n_words == 2 && strcmp(arguments->options.command, "join") == 0)
        arguments->options.code = word;
    else
        argp_error(state, _("'%s' is one word too many"), word);
    arguments->n_words++;
}

static error_t option_parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct options *options = &arguments->options;
    switch (key) {
    case 's':
        if (arguments->n_sets == SETS_MAX)
            argp_error(state, _("--set can be given %d times"), SETS_MAX);
        arguments->sets[arguments->n_sets++] = value;
        return 0;
    case OPT_ONCE:
        options->once = true;
        return 0;
    case OPT_IDLE:
        options->idle_seconds = number_parse(value, state);
        return 0;
    case OPT_BACKFILL:
        options->backfill = true;
        return 0;
    case OPT_FROM_START:
        options->from_start = true;
        return 0;
    case OPT_ROWS:
        options->rows_shown = number_parse(value, state);
        return 0;
    case OPT_CODES:
        options->codes_file = value;
        return 0;
    case OPT_DIR:
        options->dir = value;
        return 0;
    case OPT_DOOR:
        options->door = value;
        return 0;
    case OPT_SIGNING_KEY:
        options->signing_key = value;
        return 0;
    case OPT_JSON:
        options->json = true;
        return 0;
    case OPT_PASSPHRASE:
        options->passphrase_file = value;
        return 0;
    case OPT_NEW_PASSPHRASE:
        options->new_passphrase_file = value;
        return 0;
    case OPT_REMOVE:
        options->remove = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case OPT_LANGUAGE:
        language_set(value, state);
        return 0;
    case ARGP_KEY_ARG:
        word_take(arguments, value, state);
        return 0;
    case ARGP_KEY_END:
        if (arguments->n_words == 0)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void version_print(FILE *out, struct argp_state *state)
{
    (void)state;
    fprintf(out, "casebus-adapter %s\n", CASEBUS_RELEASE);
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* An option that a command does not know would do nothing, in silence. */
static const char *option_foreign(const struct options *options, const struct command *command)
{
    bool run = command->main == run_command, check = command->main == check_command,
         join = command->main == join_command, status = command->main == status_command,
         passphrase = command->main == passphrase_command;
    const struct {
        bool given, fits;
        const char *name;
    } rows[] = {{options->once, run, "--once"},
                {options->idle_seconds > 0, run, "--idle"},
                {options->from_start, run, "--from-start"},
                {options->backfill, run || check, "--backfill"},
                {options->rows_shown != ROWS_SHOWN, check, "--rows"},
                {options->codes_file != NULL, check, "--codes"},
                {options->dir != NULL, join, "--dir"},
                {options->door != NULL, join, "--door"},
                {options->json, status, "--json"},
                {options->passphrase_file != NULL, run || join || status || passphrase, "--passphrase-file"},
                {options->new_passphrase_file != NULL, passphrase, "--new-passphrase-file"},
                {options->remove, passphrase, "--remove"},
                {options->sets && options->sets[0], !join && !status && !passphrase, "--set"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].given && !rows[i].fits)
            return rows[i].name;
    return NULL;
}

/* Returns 0, or -1 when the words and options make no sense together. */
static int command_check(const struct command *command, const struct options *options)
{
    const char *foreign = command ? option_foreign(options, command) : NULL;
    if (!command)
        fprintf(stderr, _("casebus-adapter: there is no command '%s'\n"), options->command);
    else if (command->main == join_command && !options->code)
        fprintf(stderr, _("casebus-adapter: 'join' needs the hub's address and the code\n"));
    else if ((command->main == status_command || command->main == passphrase_command) && !options->argument)
        fprintf(stderr, _("casebus-adapter: '%s' needs the node's directory\n"), command->name);
    else if (options->remove && options->new_passphrase_file)
        fprintf(stderr, _("casebus-adapter: --remove goes without --new-passphrase-file\n"));
    else if (command->needs_argument && !options->argument)
        fprintf(stderr, _("casebus-adapter: '%s' needs a configuration file\n"), command->name);
    else if (foreign)
        fprintf(stderr, _("casebus-adapter: '%s' has no option %s\n"), command->name, foreign);
    else if (options->idle_seconds > 0 && !options->once)
        fprintf(stderr, _("casebus-adapter: --idle goes with --once\n"));
    else
        return 0;
    fputs(_("  try: casebus-adapter --help\n"), stderr);
    return -1;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.options = {.rows_shown = ROWS_SHOWN}};
    texts_init();
    shield_begin();
    setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version_hook = version_print;
    struct argp argp = {
        .options = argp_options,
        .parser = option_parse,
        .args_doc = N_("run CONFIG\ncheck CONFIG\nexplain [KIND]\njoin HUB CODE\nstatus DIR\npassphrase DIR"),
        .doc = doc,
        .argp_domain = "casebus"};
    arguments.options.sets = arguments.sets;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return EXIT_USAGE;
    const struct command *command = command_find(arguments.options.command);
    if (command_check(command, &arguments.options) != 0)
        return EXIT_USAGE;
    passphrase_begin(arguments.options.passphrase_file, true);
    return command->main(&arguments.options);
}
