/* casebus policy check, show, diff and apply: who sees what, as a file that operators keep.
 *
 * The file is read here with the hub's own reader, so that all its faults are told, with their lines, before
 * a hub is asked. */
#include "hub/cli/cli.h"
#include "hub/rights/rights_book.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct policy_command {
    const char *file;
    const char *why;
    bool yes;
    bool takes_file, takes_why, takes_version;
    bool file_optional;
    uint64_t version;
};

enum { OPT_WHY = 256, OPT_YES };

static const struct argp_option apply_options[] = {
    {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: kept, sealed, beside the entry in the ledger"), 0},
    {"yes", OPT_YES, NULL, 0, N_("Do not ask"), 0},
    {0}};

static error_t command_parse(int key, char *arg, struct argp_state *state)
{
    struct policy_command *command = state->input;
    switch (key) {
    case OPT_WHY:
        command->why = arg;
        return 0;
    case OPT_YES:
        command->yes = true;
        return 0;
    case ARGP_KEY_ARG:
        if (command->takes_version && command->version == 0) {
            command->version = cli_number(arg, state);
            return 0;
        }
        if (!command->takes_file || command->file)
            cli_words_wrong(state, arg);
        command->file = arg;
        return 0;
    case ARGP_KEY_END:
        if (command->takes_file && !command->file && !command->file_optional)
            argp_error(state, _("which FILE?"));
        if (command->takes_version && command->version == 0)
            argp_error(state, _("which VERSION?"));
        if (command->takes_why && (!command->why || !*command->why))
            argp_error(state, _("--%s is missing"), "why");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- reading ---- */

/* Reads and checks FILE; its faults go to stderr. The caller unrefs it. */
static int book_read(const char *path, struct rights_book **bookp, struct casebus_error *err)
{
    struct buffer text, faults;
    buffer_init(&faults, 256 * 1024);
    int r = file_read(path, RIGHTS_FILE_MAX, &text, err);
    if (r == 0)
        r = rights_book_new(bookp, bytes_of(text.data, text.size), path, 0, &faults, err);
    if (faults.size > 0)
        fwrite(faults.data, 1, faults.size, stderr);
    if (r < 0 && faults.size > 0)
        error_hint(err, "%s", "");
    buffer_deinit(&faults);
    buffer_deinit(&text);
    return r;
}

static int policy_of_hub(struct cli *cli, json_t **policy, struct casebus_error *err)
{
    return client_get(cli->client, policy, err, "/v1/policy");
}

static uint32_t entries_of(const struct rights_book *book)
{
    const struct rights *rights = rights_book_rights(book);
    return rights->n_rows ? rights->rows[rights->n_rows - 1].number : 0;
}

int policy_check_main(struct cli *cli, int argc, char **argv)
{
    struct policy_command command = {.takes_file = true};
    struct casebus_error err = {0};
    struct rights_book *book = NULL;
    struct argp argp = {.parser = command_parse,
                        .args_doc = N_("FILE"),
                        .doc =
                            N_("Reads a policy and tells all its faults, each with its line. Needs no hub.")};
    cli_parse(cli, &argp, argc, argv, &command);
    if (book_read(command.file, &book, &err))
        return cli_fail(cli, &err);
    unsigned n = (unsigned)entries_of(book);
    bool limits = rights_book_rights(book)->limits_publishing;
    if (cli->json)
        fprintf(cli->out, "{\"entries\":%u,\"limits_publishing\":%s}\n", n, limits ? "true" : "false");
    else
        fprintf(cli->out, _n("'%s' is good: %u entry\n", "'%s' is good: %u entries\n", n), command.file, n);
    if (!cli->json && !limits)
        fprintf(cli->out,
                _("it does not say who publishes what: whoever may publish may do so about any item "
                  "(section 'publish')\n"));
    policy_notes(command.file, book, NULL);
    rights_book_unref(book);
    return CLI_OK;
}

/* ---- show ---- */

static int show(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *policy = NULL;
    if (policy_of_hub(cli, &policy, &err))
        return cli_fail(cli, &err);
    const char *text = get_text(policy, "text");
    if (cli->json)
        cli_print_json(cli, policy);
    else if (!text)
        fprintf(stderr,
                _("no policy was ever applied: nodes see what they were enrolled for, and no more\n"));
    else
        fputs(text, cli->out);
    json_decref(policy);
    return CLI_OK;
}

int policy_show_main(struct cli *cli, int argc, char **argv)
{
    struct policy_command command = {0};
    struct argp argp = {.parser = command_parse, .doc = N_("Prints the policy in force, as it was applied.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    return code ? code : show(cli);
}

/* ---- diff ---- */

/* The text in force as a file that diff can read; its descriptor, or -1. */
static int text_as_file(const char *text, struct casebus_error *err)
{
    FILE *file = tmpfile();
    int fd = file && fputs(text, file) >= 0 && fflush(file) == 0 ? dup(fileno(file)) : -1;
    if (fd < 0)
        error_set_errno(err, errno, _("cannot make a temporary file"));
    if (file)
        fclose(file);
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

/* 0: the same; 1: they differ, and it was printed; -1 */
static int diff_run(const struct cli *cli, int before_fd, const char *before_label, const char *after,
                    const char *after_label, struct casebus_error *err)
{
    char before[32], *argv[] = {"diff",    "-u",
                                "--label", (char *)(uintptr_t)before_label,
                                "--label", (char *)(uintptr_t)after_label,
                                before,    (char *)(uintptr_t)after,
                                NULL};
    int status = -1;
    pid_t pid;
    snprintf(before, sizeof before, "/dev/fd/%d", before_fd);
    fflush(cli->out);
    int r = posix_spawnp(&pid, "diff", NULL, NULL, argv, environ);
    if (r)
        return error_set_errno(err, r, _("cannot start diff"));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        return error_set(err, CASEBUS_INTERNAL, _("diff failed"));
    return WEXITSTATUS(status);
}

/* Prints what @file, called @name, would change in @policy, the hub's answer. */
static int difference_to(const struct cli *cli, const json_t *policy, const char *file, const char *name,
                         struct casebus_error *err)
{
    char label[64];
    const char *text = get_text(policy, "text");
    snprintf(label, sizeof label, _("in force: version %u"), (unsigned)get_number(policy, "version"));
    int fd = text_as_file(text ? text : "", err);
    int r = fd < 0 ? -1 : diff_run(cli, fd, label, file, name, err);
    if (fd >= 0)
        close(fd);
    return r;
}

/* Prints what @file would change; *version is the one in force. */
static int difference(struct cli *cli, const char *file, uint32_t *version, struct casebus_error *err)
{
    json_t *policy = NULL;
    if (policy_of_hub(cli, &policy, err))
        return -1;
    *version = (uint32_t)get_number(policy, "version");
    int r = difference_to(cli, policy, file, file, err);
    json_decref(policy);
    return r;
}

/* Says what the proposal in @policy is, and prints what it would change. 0: the same; 1; -1 */
static int proposal_print(const struct cli *cli, const json_t *policy, struct casebus_error *err)
{
    const json_t *proposal = json_object_get(policy, "proposal");
    unsigned version = (unsigned)get_number(proposal, "version");
    char file[32], when[PEOPLE_TEXT], name[64], by[256], why[4096];
    text_escape(by, sizeof by, get_text(proposal, "by") ? get_text(proposal, "by") : "");
    text_escape(why, sizeof why, get_text(proposal, "why") ? get_text(proposal, "why") : "");
    fprintf(cli->out, _("version %u is proposed by '%s', %s: %s\n"), version, by,
            time_zone_text(when, get_time(proposal, "proposed_at_us"), false), why);
    int fd = text_as_file(get_text(proposal, "text"), err);
    snprintf(file, sizeof file, "/dev/fd/%d", fd);
    snprintf(name, sizeof name, _("proposed: version %u"), version);
    int r = fd < 0 ? -1 : difference_to(cli, policy, file, name, err);
    if (fd >= 0)
        close(fd);
    return r;
}

static int diff_proposal(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *policy = NULL;
    if (policy_of_hub(cli, &policy, &err))
        return cli_fail(cli, &err);
    int r = 0;
    if (json_is_object(json_object_get(policy, "proposal")))
        r = proposal_print(cli, policy, &err);
    else
        fprintf(stderr, _("no policy is proposed\n"));
    json_decref(policy);
    return r < 0 ? cli_fail(cli, &err) : r == 0 ? CLI_OK : CLI_NEGATIVE;
}

static int notes_with_nodes(struct cli *cli, const char *file, const struct rights_book *book,
                            struct casebus_error *err)
{
    json_t *answer = NULL;
    if (client_get(cli->client, &answer, err, "/v1/nodes"))
        return -1;
    policy_notes(file, book, json_object_get(answer, "nodes"));
    json_decref(answer);
    return 0;
}

static int diff(struct cli *cli, const char *file)
{
    struct casebus_error err = {0};
    struct rights_book *book = NULL;
    uint32_t version;
    if (book_read(file, &book, &err))
        return cli_fail(cli, &err);
    int r = difference(cli, file, &version, &err);
    if (r >= 0)
        r = notes_with_nodes(cli, file, book, &err) ? -1 : r;
    rights_book_unref(book);
    if (r < 0)
        return cli_fail(cli, &err);
    if (r == 0)
        fprintf(stderr, _("'%s' is what is in force: version %u\n"), file, (unsigned)version);
    return r == 0 ? CLI_OK : CLI_NEGATIVE;
}

int policy_diff_main(struct cli *cli, int argc, char **argv)
{
    struct policy_command command = {.takes_file = true, .file_optional = true};
    struct argp argp = {
        .parser = command_parse,
        .args_doc = N_("[FILE]"),
        .doc =
            N_("Shows what FILE, or the policy that is proposed, would change in the policy in force. Exit "
               "code 0: nothing, 1: something.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    if (code)
        return code;
    return command.file ? diff(cli, command.file) : diff_proposal(cli);
}

/* ---- apply ---- */

static bool confirmed(const char *question)
{
    char answer[16];
    fputs(question, stderr);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* CLI_OK: they want it. */
static int agreed(const struct policy_command *command, const char *question)
{
    struct casebus_error err = {0};
    if (command->yes)
        return CLI_OK;
    if (isatty(STDIN_FILENO))
        return confirmed(question) ? CLI_OK : CLI_NEGATIVE;
    error_set(&err, CASEBUS_ARGUMENT, _("there is nobody to ask"));
    error_hint(&err, _("give --yes"));
    error_print("casebus", &err);
    return CLI_USAGE;
}

static int post(struct cli *cli, const struct policy_command *command, const struct rights_book *book,
                uint32_t base)
{
    struct casebus_error err = {0};
    struct bytes text = rights_book_text(book);
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s%, s:I, s:s}", "text", (const char *)text.data, text.size, "base",
                             (json_int_t)base, "why", command->why);
    int r = body ? client_post(cli->client, "/v1/policy", body, &answer, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the policy or its reason is not UTF-8"));
    if (r == 0)
        backup_note_add(cli, answer);
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0 && get_number(answer, "proposed"))
        fprintf(
            cli->out,
            _("version %u of the policy is proposed. It is in force when another operator has approved it: "
              "casebus policy approve %u\n"),
            (unsigned)get_number(answer, "proposed"), (unsigned)get_number(answer, "proposed"));
    else if (r == 0)
        fprintf(cli->out, _("version %u of the policy is in force\n"),
                (unsigned)get_number(answer, "version"));
    int code = backup_note_print(cli, answer);
    json_decref(answer);
    json_decref(body);
    return r ? cli_fail(cli, &err) : code;
}

static int apply_book(struct cli *cli, const struct policy_command *command, const struct rights_book *book)
{
    struct casebus_error err = {0};
    uint32_t base = 0;
    int r = difference(cli, command->file, &base, &err);
    if (r < 0)
        return cli_fail(cli, &err);
    if (r == 0) {
        fprintf(stderr, _("'%s' is what is in force: version %u\n"), command->file, (unsigned)base);
        return CLI_OK;
    }
    if (notes_with_nodes(cli, command->file, book, &err))
        return cli_fail(cli, &err);
    int code = agreed(command, _("Apply this? [y/N] "));
    if (code)
        return code;
    return post(cli, command, book, base);
}

int policy_apply_main(struct cli *cli, int argc, char **argv)
{
    struct policy_command command = {.takes_file = true, .takes_why = true};
    struct casebus_error err = {0};
    struct rights_book *book = NULL;
    struct argp argp = {
        .options = apply_options,
        .parser = command_parse,
        .args_doc = N_("FILE"),
        .doc = N_("Shows what FILE changes, asks, and makes it the policy in force. It counts for "
                  "events that come from then on; what was decided stays.")};
    cli_parse(cli, &argp, argc, argv, &command);
    if (book_read(command.file, &book, &err))
        return cli_fail(cli, &err);
    int code = cli_connect(cli);
    if (code == CLI_OK)
        code = apply_book(cli, &command, book);
    rights_book_unref(book);
    return code;
}

/* ---- four eyes ---- */

static int decision_post(struct cli *cli, const json_t *proposal, const char *decision)
{
    struct casebus_error err = {0};
    json_t *answer = NULL, *body = json_pack("{s:s, s:I, s:I}", "decision", decision, "version",
                                             (json_int_t)get_number(proposal, "version"), "proposed_at_us",
                                             (json_int_t)get_time(proposal, "proposed_at_us"));
    int code = CLI_OK, r = client_post(cli->client, "/v1/policy/proposal", body, &answer, &err);
    if (r == 0)
        backup_note_add(cli, answer);
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0 && get_number(answer, "refused"))
        fprintf(cli->out, _("version %u, as it was proposed, is refused\n"),
                (unsigned)get_number(answer, "refused"));
    else if (r == 0)
        fprintf(cli->out, _("version %u of the policy is in force\n"),
                (unsigned)get_number(answer, "version"));
    if (get_number(answer, "version"))
        code = backup_note_print(cli, answer);
    json_decref(answer);
    json_decref(body);
    return r ? cli_fail(cli, &err) : code;
}

/* The one that the operator looked at is the one that is decided about: its moment goes back to the hub. */
static int decide(struct cli *cli, const struct policy_command *command, bool approve)
{
    struct casebus_error err = {0};
    json_t *policy = NULL;
    if (policy_of_hub(cli, &policy, &err))
        return cli_fail(cli, &err);
    const json_t *proposal = json_object_get(policy, "proposal");
    int code = CLI_OK, r = 0;
    if (!json_is_object(proposal) || get_number(proposal, "version") != command->version) {
        r = error_set(&err, CASEBUS_NOT_FOUND, _("version %llu of the policy is not proposed"),
                      (unsigned long long)command->version);
        error_hint(&err, _("see what is: casebus policy diff"));
    } else if (approve) {
        r = proposal_print(cli, policy, &err) < 0 ? -1 : 0;
        code = r == 0 ? agreed(command, _("Approve this? [y/N] ")) : CLI_OK;
    }
    if (r == 0 && code == CLI_OK)
        code = decision_post(cli, proposal, approve ? "approve" : "refuse");
    json_decref(policy);
    return r ? cli_fail(cli, &err) : code;
}

static int decide_main(struct cli *cli, int argc, char **argv, struct argp *argp, bool approve)
{
    struct policy_command command = {.takes_version = true};
    cli_parse(cli, argp, argc, argv, &command);
    int code = cli_connect(cli);
    return code ? code : decide(cli, &command, approve);
}

int policy_approve_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .options = &apply_options[1],
        .parser = command_parse,
        .args_doc = N_("VERSION"),
        .doc =
            N_("Shows what the proposed policy changes, asks, and puts it in force. Another account proposed "
               "it: both names are kept beside the entry in the ledger.")};
    return decide_main(cli, argc, argv, &argp, true);
}

int policy_refuse_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .parser = command_parse,
        .args_doc = N_("VERSION"),
        .doc = N_("Takes the proposed policy away: as a second operator, or as the one who proposed it.")};
    return decide_main(cli, argc, argv, &argp, false);
}
