/* casebus-hub: makes, runs and rebuilds a hub. */
#include "hub/hub.h"
#include "proto/base/crash.h"
#include "proto/base/languages.h"
#include "proto/base/texts.h"
#include "proto/crypto/passphrase.h"
#include "proto/crypto/shield.h"

#include <argp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct arguments {
    const char *command, *dir, *dest, *passphrase, *new_passphrase;
    bool verify, full, remove;
    struct hub_wish wish;
    struct hub_restore restore;
};

CASEBUS_API const char *argp_program_version = "casebus-hub " CASEBUS_RELEASE; /* argp looks it up by name */

static const struct argp_option options[] = {
    {"origin", 'o', "NAME", 0,
     N_("with init: name of the exchange and its generation, such as js.example/exchange/1"), 0},
    {"suite", 's', "NAME", 0,
     N_("with init: intl (SHA-256, AES-256-GCM, Ed25519; the preset) or gm (SM3, SM4, SM2); for ever"), 0},
    {"listen", 'l', "URL", 0, N_("with init: where nodes connect (tcp://127.0.0.1:7400)"), 0},
    {"log-key", 'T' + 256, "pkcs11:URI", 0,
     N_("with init: the key that signs checkpoints is held by a token; one that is not there is made there"),
     0},
    {"authority-key", 'A' + 256, "pkcs11:URI", 0,
     N_("with init: and the key that issues the nodes' certificates"), 0},
    {"verify", 'V' + 256, NULL, 0, N_("with backup: copy nothing, but read DEST and say whether it is whole"),
     0},
    {"keys", 'K' + 256, "DIR", 0, N_("with restore: the copy of the hub's keys, which was kept apart"), 0},
    {"checkpoint", 'C' + 256, "FILE", 0,
     N_("with restore: a checkpoint of this hub that somebody else holds (a node's DIR/checkpoint, a "
        "witness's "
        "note); may be given several times"),
     0},
    {"same-generation", 'G' + 256, NULL, 0,
     N_("with restore: go on under the same origin, if a checkpoint shows that nothing is missing"), 0},
    {"leave-damaged", 'L' + 256, NULL, 0,
     N_("with restore: leave settings and certificates out that are damaged in the backup, and name them"),
     0},
    {"full", 'F' + 256, NULL, 0, N_("with doctor: read the whole ledger"), 0},
    {"passphrase-file", 'P' + 256, "FILE", 0,
     N_("the passphrase of the keys, in a file of mode 0600 (else the credential casebus.passphrase, or the "
        "terminal)"),
     0},
    {"new-passphrase-file", 'N' + 256, "FILE", 0,
     N_("with passphrase: the new one (else the credential casebus.new-passphrase, or the terminal)"), 0},
    {"remove", 'R' + 256, NULL, 0, N_("with passphrase: no passphrase any more"), 0},
    {0},
};

static int add_checkpoint(struct argp_state *state, struct hub_restore *restore, const char *file)
{
    if (restore->n_checkpoints == sizeof(restore->checkpoints) / sizeof(restore->checkpoints[0]))
        argp_error(state, _("too many checkpoints"));
    else
        restore->checkpoints[restore->n_checkpoints++] = file;
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'o':
        arguments->wish.origin = value;
        return 0;
    case 's':
        arguments->wish.suite = value;
        return 0;
    case 'l':
        arguments->wish.listen = value;
        return 0;
    case 'T' + 256:
        arguments->wish.log_key = value;
        return 0;
    case 'A' + 256:
        arguments->wish.authority_key = value;
        return 0;
    case 'V' + 256:
        arguments->verify = true;
        return 0;
    case 'F' + 256:
        arguments->full = true;
        return 0;
    case 'P' + 256:
        arguments->passphrase = value;
        return 0;
    case 'N' + 256:
        arguments->new_passphrase = value;
        return 0;
    case 'R' + 256:
        arguments->remove = true;
        return 0;
    case 'K' + 256:
        arguments->restore.keys = value;
        return 0;
    case 'C' + 256:
        return add_checkpoint(state, &arguments->restore, value);
    case 'G' + 256:
        arguments->restore.same_generation = true;
        return 0;
    case 'L' + 256:
        arguments->restore.leave_damaged = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!arguments->command)
            arguments->command = value;
        else if (!arguments->dir)
            arguments->dir = value;
        else if (!arguments->dest &&
                 (strcmp(arguments->command, "backup") == 0 || strcmp(arguments->command, "restore") == 0))
            arguments->dest = value;
        else
            argp_error(state, _("too many arguments: '%s'"), value);
        return 0;
    case ARGP_KEY_END:
        if (arguments->command && strcmp(arguments->command, "help") == 0)
            argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        if (!arguments->command)
            argp_error(state, _("a command and a directory are needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int command_init(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    (void)log;
    if (!arguments->wish.origin) {
        error_set(err, CASEBUS_ARGUMENT, _("init needs --origin NAME"));
        return error_hint(err, _("such as --origin js.example/exchange/1"));
    }
    if (hub_init(arguments->dir, &arguments->wish, err))
        return -1;
    printf(_("The hub %s is made in %s.\nNext: casebus-hub run %s\n"), arguments->wish.origin, arguments->dir,
           arguments->dir);
    return 0;
}

static int command_run(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    return hub_run(arguments->dir, log, err);
}

static int command_rebuild(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    return hub_rebuild(arguments->dir, log, err);
}

static int command_rotate_kek(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    (void)log;
    return hub_rotate_kek(arguments->dir, err);
}

/* With --verify the only directory is the backup's. */
static int command_backup(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    if (arguments->verify)
        return hub_backup_verify(arguments->dest ? arguments->dest : arguments->dir, err);
    if (!arguments->dest) {
        error_set(err, CASEBUS_ARGUMENT, _("backup needs the hub's directory and one for the backup"));
        return error_hint(err, _("such as: casebus-hub backup %s /mnt/backup/casebus"), arguments->dir);
    }
    log->min_level = LOG_WARNING;
    return hub_backup(arguments->dir, arguments->dest, log, err);
}

static int command_restore(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    struct hub_restore restore = arguments->restore;
    if (!arguments->dest) {
        error_set(err, CASEBUS_ARGUMENT, _("restore needs the backup and a new directory for the hub"));
        return error_hint(err, _("such as: casebus-hub restore %s /var/lib/casebus/hub --keys /media/keys"),
                          arguments->dir);
    }
    restore.dest = arguments->dir;
    restore.dir = arguments->dest;
    log->min_level = LOG_WARNING;
    return hub_restore(&restore, log, err);
}

static int command_doctor(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    (void)log;
    return hub_doctor(arguments->dir, arguments->full, err);
}

static int command_passphrase(const struct arguments *arguments, struct log *log, struct casebus_error *err)
{
    (void)log;
    if (arguments->remove && arguments->new_passphrase)
        return error_set(err, CASEBUS_ARGUMENT, _("--remove goes without --new-passphrase-file"));
    return hub_passphrase(arguments->dir, arguments->new_passphrase, arguments->remove, err);
}

static const struct command {
    const char *name;
    int (*run)(const struct arguments *arguments, struct log *log, struct casebus_error *err);
} commands[] = {
    {"init", command_init},
    {"run", command_run},
    {"rebuild", command_rebuild},
    {"backup", command_backup},
    {"restore", command_restore},
    {"doctor", command_doctor},
    {"rotate-kek", command_rotate_kek},
    {"passphrase", command_passphrase},
};

/* Batches are allocated in one thread and freed in another: several heaps would only grow. The blocks of
 * large batches lie apart, so that they go back to the system when they are freed. */
static void memory_prepare(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 16 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

static int exit_code(const struct casebus_error *err)
{
    if (err->code == CASEBUS_PASSPHRASE)
        return PASSPHRASE_EXIT;
    return err->code == CASEBUS_ARGUMENT || err->code == CASEBUS_CONFIG ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct casebus_error err = {.code = CASEBUS_OK};
    struct log log = {.file = stderr, .min_level = LOG_INFO, .program = "casebus-hub"};
    texts_init();
    crash_words_begin("casebus-hub");
    languages_prepare();
    shield_begin();
    memory_prepare();
    const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "init DIR --origin NAME\nrun DIR\nrebuild DIR\nbackup DIR DEST\nbackup --verify "
                    "DEST\nrestore DEST DIR\ndoctor DIR\nrotate-kek DIR\npassphrase DIR",
        .doc = N_("Makes, runs and rebuilds a casebus hub, whose files are all in DIR.\v"
                  "init        makes keys, settings and empty stores\n"
                  "run         serves until SIGTERM or Ctrl-C\n"
                  "rebuild     makes the derived state again from the ledger\n"
                  "backup      copies ledger, wrapped keys and settings to DEST, also while the hub runs\n"
                  "restore     makes DIR from a backup and opens the next generation of the hub\n"
                  "doctor      looks at everything in DIR and names damage and the way out\n"
                  "rotate-kek  wraps the vault under a new key and destroys the old one\n"
                  "passphrase  puts the keys under a passphrase, or another one, or none\n\n"
                  "Exit status: 0 fine, 1 it failed, 2 wrong usage, 77 no passphrase or a wrong one. See "
                  "casebus-hub(8)."),
        .argp_domain = "casebus",
    };
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    passphrase_begin(arguments.passphrase, true);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, arguments.command) == 0) {
            if (!arguments.dir) {
                fprintf(stderr, _("casebus-hub: %s: which directory? see casebus-hub --help\n"),
                        arguments.command);
                return EXIT_USAGE;
            }
            if (commands[i].run(&arguments, &log, &err) == 0)
                return EXIT_SUCCESS;
            error_print("casebus-hub", &err);
            return exit_code(&err);
        }
    fprintf(stderr, _("casebus-hub: there is no command '%s'; see casebus-hub --help\n"), arguments.command);
    return EXIT_USAGE;
}
