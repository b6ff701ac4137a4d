/* casebus ledger verify: what hub/verify finds, for people and for programs. */
#include "hub/cli/cli.h"
#include "hub/verify/verify.h"
#include "hub/watch/vouched.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define RESUME_FILE "verify.resume"
#define TELL_NS     100000000ull

/* ---- the command line ---- */

struct verify_command {
    bool no_bodies, no_state, tree_only, resume;
    const char *log_key;
    const char *resume_file;
    const char *temporary;
    uint64_t jobs; /* 0: as many as there is room for */
};

enum { OPT_NO_BODIES = 256, OPT_NO_STATE, OPT_TREE_ONLY, OPT_RESUME, OPT_LOG_KEY, OPT_TEMPORARY };

static const struct argp_option verify_options[] = {
    {"jobs", 'J', N_("N"), 0, N_("Check with N threads (else: one a core, or half of them beside a hub)"), 0},
    {"resume", OPT_RESUME, N_("FILE"), OPTION_ARG_OPTIONAL,
     N_("Go on where the last run ended, and keep how far this one gets (in DIR/verify.resume)"), 0},
    {"tree-only", OPT_TREE_ONLY, NULL, 0, N_("Only leaves and tree hashes"), 0},
    {"no-bodies", OPT_NO_BODIES, NULL, 0, N_("Do not open sealed content; needs no keys"), 0},
    {"no-state", OPT_NO_STATE, NULL, 0, N_("Do not make the state again to compare it"), 0},
    {"temp", OPT_TEMPORARY, N_("DIR"), 0, N_("Where that state is made for a while (the hub's directory)"),
     0},
    {"log-key", OPT_LOG_KEY, N_("VKEY"), 0,
     N_("The key that checkpoints must be signed with (else keys/log.key)"), 0},
    {0}};

static error_t verify_parse(int key, char *arg, struct argp_state *state)
{
    struct verify_command *command = state->input;
    switch (key) {
    case OPT_NO_BODIES:
        command->no_bodies = true;
        return 0;
    case OPT_NO_STATE:
        command->no_state = true;
        return 0;
    case OPT_TREE_ONLY:
        command->tree_only = true;
        return 0;
    case OPT_RESUME:
        command->resume = true;
        command->resume_file = arg;
        return 0;
    case OPT_TEMPORARY:
        command->temporary = arg;
        return 0;
    case OPT_LOG_KEY:
        command->log_key = arg;
        return 0;
    case 'J':
        if (!number_parse(arg, VERIFY_JOBS_MAX, &command->jobs) || command->jobs == 0)
            argp_error(state, _("'%s' is not a number from 1 to %d"), arg, VERIFY_JOBS_MAX);
        return 0;
    case ARGP_KEY_ARG:
        cli_words_wrong(state, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- while it runs ---- */

#define PATIENCE 3 /* signals: some senders send two at once */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    if (++interrupted >= PATIENCE)
        signal(number, SIG_DFL); /* whoever asks again wants it to end at once */
}

static void signals_catch(struct sigaction before[2])
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before[0]);
    sigaction(SIGTERM, &action, &before[1]);
}

static void signals_restore(const struct sigaction before[2])
{
    sigaction(SIGINT, &before[0], NULL);
    sigaction(SIGTERM, &before[1], NULL);
}

static bool on_stop(void *self)
{
    (void)self;
    return interrupted > 0;
}

struct progress {
    enum verify_phase phase;
    bool begun;
    uint64_t began_ns, shown_ns;
    uint64_t first; /* done when the phase began */
};

struct run {
    struct progress progress;
    struct vouched vouched; /* keys behind a revocation: the operator alone says whose they are */
};

static const char *phase_name(enum verify_phase phase)
{
    switch (phase) {
    case VERIFY_ENTRIES:
        return _("entries");
    case VERIFY_CHECKPOINTS:
        return _("checkpoints");
    case VERIFY_REPLAY:
        return _("making the state again");
    case VERIFY_STATE:
        return _("comparing the state");
    }
    return "";
}

static void on_progress(void *self, enum verify_phase phase, uint64_t done, uint64_t total)
{
    struct progress *progress = &((struct run *)self)->progress;
    uint64_t now = clock_monotonic_ns();
    if (!progress->begun || progress->phase != phase)
        *progress = (struct progress){.phase = phase, .begun = true, .began_ns = now, .first = done};
    if (now - progress->shown_ns < TELL_NS || total == 0 || done > total)
        return;
    progress->shown_ns = now;
    double seconds = (double)(now - progress->began_ns) / 1e9;
    double rate = seconds > 0 ? (double)(done - progress->first) / seconds : 0;
    int filled = (int)(done * 30 / total);
    fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d%%  %.0f/s", phase_name(phase), filled,
            "##############################", 30 - filled, "", (int)(done * 100 / total), rate);
    if (rate > 0) {
        unsigned long long left = (unsigned long long)((double)(total - done) / rate);
        fprintf(stderr, _("  %llu:%02llu left "), left / 60, left % 60);
    }
}

static void on_unvouched(void *self, uint64_t position, const struct certificate_info *info,
                         bool after_revoked)
{
    vouched_meet(&((struct run *)self)->vouched, position, info, after_revoked);
}

/* ---- what came out ---- */

static const char *state_word(enum verify_state state)
{
    switch (state) {
    case STATE_EQUAL:
        return "equal";
    case STATE_DIFFERS:
        return "differs";
    case STATE_MOVING:
        return "moving";
    case STATE_NOT_ASKED:
        break;
    }
    return "not-compared";
}

static const char *answer_word(int answer)
{
    return answer == VERIFY_HOLDS ? "OK" : answer == VERIFY_STOPPED ? "STOPPED" : "FAILED";
}

static json_t *counters_json(const struct verify_result *result)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "entries",
                     (json_int_t)result->entries, "seals", (json_int_t)result->seals, "events",
                     (json_int_t)result->events, "duplicates", (json_int_t)result->duplicates, "refused",
                     (json_int_t)result->refused, "acts", (json_int_t)result->acts, "nodes",
                     (json_int_t)result->nodes, "confirms", (json_int_t)result->confirms, "bodies",
                     (json_int_t)result->bodies, "erased", (json_int_t)result->erased, "erasures",
                     (json_int_t)result->orders, "checkpoints", (json_int_t)result->checkpoints,
                     "resumed_from", (json_int_t)result->resumed_from);
}

static json_t *vouched_json(const struct vouched *vouched)
{
    json_t *list = json_array();
    for (size_t i = 0; i < vouched->n; i++) {
        const struct vouched_key *key = &vouched->keys[i];
        char id[2 * KEY_ID_SIZE + 1];
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s}", "position", (json_int_t)key->position,
                                              "node", key->node, "department", key->department, "key",
                                              hex_encode(id, key->id, KEY_ID_SIZE)));
    }
    return list;
}

static void summary_json(const struct cli *cli, const struct verify_result *result,
                         const struct vouched *vouched, int answer)
{
    char root[2 * DIGEST_SIZE + 1];
    json_t *json = counters_json(result);
    json_object_set_new(json, "result", json_string(answer_word(answer)));
    json_object_set_new(json, "state", json_string(state_word(result->state)));
    json_object_set_new(json, "vouched", vouched_json(vouched));
    if (result->state == STATE_EQUAL) {
        json_object_set_new(json, "state_applied", json_integer((json_int_t)result->state_applied));
        json_object_set_new(json, "state_rows", json_integer((json_int_t)result->state_rows));
    }
    if (answer == VERIFY_HOLDS)
        json_object_set_new(json, "root", json_string(hex_encode(root, result->root, DIGEST_SIZE)));
    if (result->has_position)
        json_object_set_new(json, "position", json_integer((json_int_t)result->position));
    if (answer == VERIFY_WRONG) {
        json_object_set_new(json, "code", json_string(casebus_code_text(result->fault.code)));
        json_object_set_new(json, "sentence", json_string(result->fault.text));
    }
    cli_print_json(cli, json);
    json_decref(json);
}

static void result_line(const struct cli *cli, const struct verify_result *result, int answer)
{
    fprintf(cli->out, "%sRESULT %s%s entries=%llu seals=%llu events=%llu checkpoints=%llu",
            answer == VERIFY_HOLDS ? cli_green(cli) : cli_red(cli), answer_word(answer), cli_plain(cli),
            (unsigned long long)result->entries, (unsigned long long)result->seals,
            (unsigned long long)result->events, (unsigned long long)result->checkpoints);
    if (answer == VERIFY_WRONG)
        fprintf(cli->out, " code=%s", casebus_code_text(result->fault.code));
    if (result->has_position)
        fprintf(cli->out, " position=%llu", (unsigned long long)result->position);
    fputc('\n', cli->out);
}

static void wrong_print(const struct cli *cli, const struct verify_result *result)
{
    char shown[4 * sizeof result->fault.text]; /* a ledger may name anything */
    text_escape(shown, sizeof shown, result->fault.text);
    fprintf(cli->out, "%s\n", shown);
    if (*result->fault.hint)
        fprintf(cli->out, "  %s\n", result->fault.hint);
}

static void stopped_print(const struct cli *cli, const struct verify_result *result,
                          const struct verify_options *options)
{
    if (!result->resume_saved) {
        fprintf(cli->out, _("stopped; the next run begins again\n"));
        return;
    }
    fprintf(cli->out, _("stopped; how far it got is kept in '%s'\n"), options->resume_path);
    fprintf(cli->out, _("  go on with the same command and: --resume=%s\n"), options->resume_path);
}

static void state_print(const struct cli *cli, const struct verify_result *result)
{
    unsigned long long applied = (unsigned long long)result->state_applied;
    if (result->state == STATE_EQUAL)
        fprintf(cli->out,
                _n("the state at %llu entry is what the ledger amounts to; rows compared: %llu\n",
                   "the state at %llu entries is what the ledger amounts to; rows compared: %llu\n", applied),
                applied, (unsigned long long)result->state_rows);
    else if (result->state == STATE_MOVING)
        fprintf(cli->out, _("the state was not compared: the hub goes on faster than that takes\n"));
}

/* No fault: a revoked key signs for no other. But only the department knows whether the next one is its own.
 */
static void vouched_print(const struct cli *cli, const struct vouched *vouched)
{
    char id[2 * KEY_ID_SIZE + 1], department[4 * sizeof vouched->keys->department];
    if (vouched->n == 0)
        return;
    fprintf(cli->out,
            _n("for %zu key the hub's operator alone vouches, since the one before is revoked; ask the "
               "department whether it is its own:\n",
               "for %zu keys the hub's operator alone vouches, since the ones before are revoked; ask the "
               "departments whether they are their own:\n",
               vouched->n),
            vouched->n);
    for (size_t i = 0; i < vouched->n; i++) {
        const struct vouched_key *key = &vouched->keys[i];
        text_escape(department, sizeof department, key->department);
        fprintf(cli->out, _("  entry %llu: node '%s' of department '%s', key %s\n"),
                (unsigned long long)key->position, key->node, department,
                hex_encode(id, key->id, KEY_ID_SIZE));
    }
}

static void holds_print(const struct cli *cli, const struct verify_result *result,
                        const struct verify_options *options, const struct vouched *vouched)
{
    char root[2 * DIGEST_SIZE + 1];
    if (options->tree_only)
        fprintf(cli->out, _("only leaves and tree hashes were looked at\n"));
    else
        fprintf(cli->out, _("members of batches: %llu duplicate, %llu refused; nodes: %llu\n"),
                (unsigned long long)result->duplicates, (unsigned long long)result->refused,
                (unsigned long long)result->nodes);
    vouched_print(cli, vouched);
    if (options->vault)
        fprintf(cli->out,
                _n("%llu sealed content was opened and is what its hashes say\n",
                   "%llu sealed contents were opened and are what their hashes say\n", result->bodies),
                (unsigned long long)result->bodies);
    if (result->erased)
        fprintf(cli->out,
                _n("%llu content is gone, by an order in the ledger\n",
                   "%llu contents are gone, each by an order in the ledger\n", result->erased),
                (unsigned long long)result->erased);
    state_print(cli, result);
    fprintf(cli->out, _("root %s\n"), hex_encode(root, result->root, DIGEST_SIZE));
}

static void summary_print(const struct cli *cli, const struct verify_result *result,
                          const struct verify_options *options, const struct vouched *vouched, int answer)
{
    if (result->resumed_from)
        fprintf(cli->out,
                _n("%llu entry was checked by earlier runs\n", "%llu entries were checked by earlier runs\n",
                   result->resumed_from),
                (unsigned long long)result->resumed_from);
    if (answer == VERIFY_WRONG)
        wrong_print(cli, result);
    else if (answer == VERIFY_STOPPED)
        stopped_print(cli, result, options);
    else
        holds_print(cli, result, options, vouched);
    result_line(cli, result, answer);
}

/* What went wrong beside the question itself. */
static void notices_print(const struct verify_result *result)
{
    if (result->not_resumed.code) {
        error_print("casebus", &result->not_resumed);
        fprintf(stderr, _("  verifying began at the first entry\n"));
    }
    if (result->resume_fault.code)
        error_print("casebus", &result->resume_fault);
}

/* ---- the command ---- */

static unsigned jobs_of(const struct cli *cli, const struct verify_command *command)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (command->jobs)
        return (unsigned)command->jobs;
    if (client_running(cli->client))
        cores /= 2; /* the hub has work to do */
    return cores < 1 ? 1 : cores > VERIFY_JOBS_MAX ? VERIFY_JOBS_MAX : (unsigned)cores;
}

/* Who can write the file but not read the hub's keys shall not be believed. */
static struct bytes resume_key(const struct stores *stores, uint8_t key[DIGEST_SIZE])
{
    struct bytes purpose = bytes_of_text("casebus/v1/verify-resume");
    struct crypter *crypter = stores->has_keys ? crypter_new(stores->suite) : NULL;
    if (!crypter)
        return bytes_of(NULL, 0);
    crypter_mac(crypter, bytes_of(stores->keys.content, KEY_SIZE), &purpose, 1, key);
    crypter_free(crypter);
    return bytes_of(key, DIGEST_SIZE);
}

static int verify_told(struct cli *cli, const struct verify_options *options)
{
    struct casebus_error err = {0};
    struct verify_result result;
    struct sigaction before[2];
    signals_catch(before);
    int answer = verify_ledger(options, &result, &err);
    signals_restore(before);
    const struct vouched *vouched = &((struct run *)options->self)->vouched;
    if (vouched->failed && answer >= 0)
        answer = error_set(&err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    if (options->progress)
        fputs("\r\033[K", stderr);
    notices_print(&result);
    if (answer < 0)
        return cli_fail(cli, &err);
    if (cli->json)
        summary_json(cli, &result, vouched, answer);
    else
        summary_print(cli, &result, options, vouched, answer);
    return answer == VERIFY_HOLDS ? CLI_OK : CLI_NEGATIVE;
}

static int stores_verify(struct cli *cli, const struct verify_command *command, struct stores *stores)
{
    char path[PATH_MAX];
    uint8_t key[DIGEST_SIZE];
    struct run run = {.vouched = {.n = 0}};
    bool bodies = stores->state && !command->no_bodies && !command->tree_only; /* a copy has none */
    if (bodies && !stores->vault) {
        struct casebus_error err = stores->no_vault;
        error_hint(&err, _("without the keys the rest can be checked: --no-bodies"));
        return cli_fail(cli, &err);
    }
    path_join(path, sizeof path, stores->dir, RESUME_FILE);
    const struct verify_options options = {
        .ledger = stores->ledger,
        .vault = bodies ? stores->vault : NULL,
        .content_key = stores->has_keys ? stores->keys.content : NULL,
        .log_key = command->log_key   ? command->log_key
                   : stores->has_keys ? stores->keys.log_vkey
                                      : NULL,
        .authority = stores->has_keys ? bytes_of(stores->keys.authority, stores->keys.authority_size)
                                      : bytes_of(NULL, 0),
        .jobs = jobs_of(cli, command),
        .tree_only = command->tree_only,
        .state = bodies && !command->no_state ? stores->state : NULL,
        .temporary = command->temporary ? command->temporary : stores->dir,
        /* the copy of a watch has a file of its own for that */
        .resume_path = command->resume_file ? command->resume_file
                       : stores->state      ? path
                                            : NULL,
        .resume = command->resume,
        .resume_key = resume_key(stores, key),
        .progress = !cli->json && isatty(STDERR_FILENO) ? on_progress : NULL,
        .stop = on_stop,
        .unvouched = on_unvouched,
        .self = &run};
    int code = verify_told(cli, &options);
    vouched_deinit(&run.vouched);
    return code;
}

static int ledger_verify(struct cli *cli, const struct verify_command *command)
{
    struct casebus_error err = {0};
    struct stores *stores;
    if (client_barrier(cli->client, &err) || client_stores(cli->client, &stores, &err))
        return cli_fail(cli, &err);
    return stores_verify(cli, command, stores);
}

int ledger_verify_main(struct cli *cli, int argc, char **argv)
{
    struct verify_command command = {0};
    struct argp argp = {
        .options = verify_options,
        .parser = verify_parse,
        .doc = N_("Checks the ledger from its first entry to its last: tree hashes, checkpoints, signatures, "
                  "numbers, enrolments, sealed contents, erasures, and that the state is what the ledger "
                  "amounts to.\vThe last line is RESULT OK, RESULT FAILED or RESULT STOPPED; the exit code "
                  "is 0, or 1 for the other two. It reads the hub's files, so --hub has to be a directory.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect_ledger(cli);
    return code ? code : ledger_verify(cli, &command);
}
