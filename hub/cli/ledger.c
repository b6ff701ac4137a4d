/* casebus ledger verify and ledger dump */
#include "hub/cli/cli.h"
#include "hub/verify/verify.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <unistd.h>

/* ---- verify ---- */

struct verify_command {
    bool no_bodies;
    const char *log_key;
};

enum { OPT_NO_BODIES = 256, OPT_LOG_KEY };

static const struct argp_option verify_options[] = {
    {"no-bodies", OPT_NO_BODIES, NULL, 0, N_("Do not open sealed content; needs no keys"), 0},
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
    case OPT_LOG_KEY:
        command->log_key = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct progress {
    uint64_t began_ns;
    uint64_t shown_ns;
};

static void on_progress(void *self, uint64_t done, uint64_t size)
{
    struct progress *progress = self;
    uint64_t now = clock_monotonic_ns();
    if (now - progress->shown_ns < 100000000)
        return;
    progress->shown_ns = now;
    double seconds = (double)(now - progress->began_ns) / 1e9;
    int filled = size ? (int)(done * 40 / size) : 0;
    fprintf(stderr, "\r[%.*s%*s] %3d%%  %.0f/s ", filled, "########################################",
            40 - filled, "", size ? (int)(done * 100 / size) : 100, seconds > 0 ? (double)done / seconds : 0);
}

static void progress_end(bool shown)
{
    if (shown)
        fputs("\r\033[K", stderr);
}

static void summary_json(const struct cli *cli, const struct verify_result *result, bool holds)
{
    char root[2 * DIGEST_SIZE + 1];
    json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "result",
                             holds ? "OK" : "FAILED", "entries", (json_int_t)result->entries, "seals",
                             (json_int_t)result->seals, "events", (json_int_t)result->events, "duplicates",
                             (json_int_t)result->duplicates, "refused", (json_int_t)result->refused, "acts",
                             (json_int_t)result->acts, "nodes", (json_int_t)result->nodes, "confirms",
                             (json_int_t)result->confirms, "bodies", (json_int_t)result->bodies,
                             "checkpoints", (json_int_t)result->checkpoints);
    if (holds)
        json_object_set_new(json, "root", json_string(hex_encode(root, result->root, DIGEST_SIZE)));
    if (result->has_position)
        json_object_set_new(json, "position", json_integer((json_int_t)result->position));
    if (!holds) {
        json_object_set_new(json, "code", json_string(casebus_code_text(result->fault.code)));
        json_object_set_new(json, "sentence", json_string(result->fault.text));
    }
    cli_print_json(cli, json);
    json_decref(json);
}

static void summary_print(const struct cli *cli, const struct verify_result *result, bool holds, bool bodies)
{
    char root[2 * DIGEST_SIZE + 1];
    unsigned long long entries = result->entries, seals = result->seals, events = result->events,
                       checkpoints = result->checkpoints;
    if (!holds) {
        char shown[4 * sizeof result->fault.text]; /* a ledger may name anything */
        text_escape(shown, sizeof shown, result->fault.text);
        fprintf(cli->out, "%s\n", shown);
        if (*result->fault.hint)
            fprintf(cli->out, "  %s\n", result->fault.hint);
        fprintf(cli->out, "%sRESULT FAILED%s entries=%llu seals=%llu events=%llu checkpoints=%llu code=%s",
                cli_red(cli), cli_plain(cli), entries, seals, events, checkpoints,
                casebus_code_text(result->fault.code));
        if (result->has_position)
            fprintf(cli->out, " position=%llu", (unsigned long long)result->position);
        fputc('\n', cli->out);
        return;
    }
    fprintf(cli->out, _("%llu members of batches were duplicates, %llu were refused; %llu nodes\n"),
            (unsigned long long)result->duplicates, (unsigned long long)result->refused,
            (unsigned long long)result->nodes);
    if (bodies)
        fprintf(cli->out, _("%llu sealed contents were opened and are what their hashes say\n"),
                (unsigned long long)result->bodies);
    fprintf(cli->out, _("root %s\n"), hex_encode(root, result->root, DIGEST_SIZE));
    fprintf(cli->out, "%sRESULT OK%s entries=%llu seals=%llu events=%llu checkpoints=%llu\n", cli_green(cli),
            cli_plain(cli), entries, seals, events, checkpoints);
}

static int stores_verify(struct cli *cli, const struct verify_command *command, struct stores *stores)
{
    struct casebus_error err = {0};
    struct verify_result result;
    struct progress progress = {.began_ns = clock_monotonic_ns()};
    bool show = !cli->json && isatty(STDERR_FILENO);
    if (!command->no_bodies && !stores->vault) {
        err = stores->no_vault;
        error_hint(&err, _("without the keys the rest can be checked: --no-bodies"));
        return cli_fail(cli, &err);
    }
    const struct verify_options options = {
        .ledger = stores->ledger,
        .vault = command->no_bodies ? NULL : stores->vault,
        .log_key = command->log_key   ? command->log_key
                   : stores->has_keys ? stores->keys.log_vkey
                                      : NULL,
        .authority = stores->has_keys ? bytes_of(stores->keys.authority, stores->keys.authority_size)
                                      : bytes_of(NULL, 0),
        .progress = show ? on_progress : NULL,
        .self = &progress};
    int holds = verify_ledger(&options, &result, &err);
    progress_end(show);
    if (holds < 0)
        return cli_fail(cli, &err);
    if (cli->json)
        summary_json(cli, &result, holds);
    else
        summary_print(cli, &result, holds, !command->no_bodies);
    return holds ? CLI_OK : CLI_NEGATIVE;
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
        .doc = N_(
            "Checks the ledger from its first entry to its last: tree hashes, checkpoints, signatures, "
            "numbers, enrolments and sealed contents.\vThe last line is RESULT OK or RESULT FAILED; the exit "
            "code is 0 or 1. It reads the hub's files, so --hub has to be a directory.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    return code ? code : ledger_verify(cli, &command);
}

/* ---- dump ---- */

struct dump {
    uint64_t from;
    uint64_t limit; /* 0: to the end */
};

static const struct argp_option dump_options[] = {
    {"from", 'f', N_("POSITION"), 0, N_("Begin here (0)"), 0},
    {"limit", 'n', N_("N"), 0, N_("At most N entries; 0 for all (0)"), 0},
    {0}};

static error_t dump_parse(int key, char *arg, struct argp_state *state)
{
    struct dump *dump = state->input;
    if (key != 'f' && key != 'n' && key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (key == ARGP_KEY_ARG)
        argp_usage(state);
    else if (!number_parse(arg, UINT64_MAX / 2, key == 'f' ? &dump->from : &dump->limit))
        argp_error(state, _("'%s' is not a number"), arg);
    return 0;
}

static int dump_nothing(const struct dump *dump, json_t *page)
{
    fprintf(stderr, _("casebus: there is no entry %llu; the ledger's size is %llu\n"),
            (unsigned long long)dump->from, (unsigned long long)get_number(page, "ledger_size"));
    json_decref(page);
    return CLI_NEGATIVE;
}

static int ledger_dump(struct cli *cli, const struct dump *dump)
{
    struct casebus_error err = {0};
    uint64_t next = dump->from, left = dump->limit ? dump->limit : UINT64_MAX;
    if (client_barrier(cli->client, &err))
        return cli_fail(cli, &err);
    for (bool more = true; more && left > 0 && !ferror(cli->out);) {
        json_t *page;
        unsigned limit = left < 1000 ? (unsigned)left : 1000;
        if (client_get(cli->client, &page, &err, "/v1/ledger/entries?from=%llu&limit=%u",
                       (unsigned long long)next, limit))
            return cli_fail(cli, &err);
        const json_t *entries = json_object_get(page, "entries");
        if (next == dump->from && json_array_size(entries) == 0)
            return dump_nothing(dump, page);
        for (size_t i = 0; i < json_array_size(entries); i++)
            cli_print_json(cli, json_array_get(entries, i));
        left -= json_array_size(entries);
        more = json_is_integer(json_object_get(page, "next"));
        next = get_number(page, "next");
        json_decref(page);
    }
    return CLI_OK;
}

int ledger_dump_main(struct cli *cli, int argc, char **argv)
{
    struct dump dump = {0};
    struct argp argp = {.options = dump_options,
                        .parser = dump_parse,
                        .doc = N_("Prints entries of the ledger, decoded and not opened, as JSON lines.")};
    cli_parse(cli, &argp, argc, argv, &dump);
    int code = cli_connect(cli);
    return code ? code : ledger_dump(cli, &dump);
}
