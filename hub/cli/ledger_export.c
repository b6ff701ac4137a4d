/* casebus ledger export */
#include "hub/cli/cli.h"
#include "hub/cli/export.h"
#include "hub/ledger/outside.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <unistd.h>

struct export_command {
    const char *dir;
    bool no_entries;
    const char *log_key;
};

enum { OPT_NO_ENTRIES = 256, OPT_LOG_KEY };

static const struct argp_option export_options[] = {
    {"no-entries", OPT_NO_ENTRIES, NULL, 0, N_("Hashes and checkpoint alone, for everybody"), 0},
    {"log-key", OPT_LOG_KEY, N_("VKEY"), 0,
     N_("The key that the checkpoint must be signed with (else keys/log.key)"), 0},
    {0}};

static error_t export_parse(int key, char *arg, struct argp_state *state)
{
    struct export_command *command = state->input;
    switch (key) {
    case OPT_NO_ENTRIES:
        command->no_entries = true;
        return 0;
    case OPT_LOG_KEY:
        command->log_key = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (command->dir)
            cli_words_wrong(state, arg);
        command->dir = arg;
        return 0;
    case ARGP_KEY_END:
        if (!command->dir)
            argp_error(state, _("a directory to export to is needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void on_progress(void *self, uint64_t done, uint64_t total)
{
    uint64_t *shown_ns = self, now = clock_monotonic_ns();
    if (now - *shown_ns < 100000000)
        return;
    *shown_ns = now;
    fprintf(stderr, "\r\033[K%3u %%  %llu / %llu", (unsigned)(total ? done * 100 / total : 100),
            (unsigned long long)done, (unsigned long long)total);
}

static void result_show(const struct cli *cli, const struct export_result *result, const char *dir)
{
    char root[2 * DIGEST_SIZE + 1];
    hex_encode(root, result->root, DIGEST_SIZE);
    if (cli->json) {
        json_t *json =
            json_pack("{s:I, s:I, s:s, s:I, s:I, s:I}", "size", (json_int_t)result->size, "ledger_size",
                      (json_int_t)result->ledger_size, "root", root, "old_size", (json_int_t)result->old_size,
                      "tiles", (json_int_t)result->tiles, "written", (json_int_t)result->written);
        cli_print_json(cli, json);
        json_decref(json);
        return;
    }
    fprintf(cli->out,
            _n("%llu entry is in '%s'; files: %llu, new ones: %llu; root %s\n",
               "%llu entries are in '%s'; files: %llu, new ones: %llu; root %s\n", result->size),
            (unsigned long long)result->size, dir, (unsigned long long)result->tiles,
            (unsigned long long)result->written, root);
    if (result->ledger_size > result->size)
        fprintf(cli->out,
                _("The ledger has %llu entries: nobody is shown more before witnesses have confirmed it; see "
                  "casebus witness show\n"),
                (unsigned long long)result->ledger_size);
}

/* The key that the ledger's first entry names: for those who may not read the hub's keys. */
static int key_in_ledger(struct ledger *ledger, char *out, size_t size, struct casebus_error *err)
{
    struct ledger_view *view;
    struct arena arena;
    struct bytes leaf;
    if (ledger_view_open(&view, ledger, err))
        return -1;
    arena_init(&arena, 4096, 1024 * 1024);
    const Casebus__V1__LedgerEntry *entry =
        ledger_view_leaf(view, 0, &leaf, err) == 0 ? entry_decode(leaf, &arena, err) : NULL;
    int r = entry ? 0 : -1;
    if (entry && entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
        snprintf(out, size, "%s", entry->act->ledger_opened->log_key);
    else if (entry)
        r = error_set(err, CASEBUS_KEY, _("the ledger's first entry names no key of the log"));
    arena_deinit(&arena);
    ledger_view_close(view);
    return r;
}

static int stores_export(struct cli *cli, const struct export_command *command, const struct stores *stores)
{
    struct casebus_error err = {0};
    struct export_result result;
    uint64_t shown_ns = 0;
    bool show = !cli->json && isatty(STDERR_FILENO);
    char named[512];
    struct export_options options = {.hub = &stores->hub,
                                     .log_key = command->log_key,
                                     .dir = command->dir,
                                     .entries = !command->no_entries,
                                     .progress = show ? on_progress : NULL,
                                     .self = &shown_ns};
    if (!options.log_key && !stores->has_keys && key_in_ledger(stores->ledger, named, sizeof named, &err))
        return cli_fail(cli, &err);
    if (!options.log_key)
        options.log_key = stores->has_keys ? stores->keys.log_vkey : named;
    int r = export_ledger(&options, &result, &err);
    if (shown_ns)
        fputs("\r\033[K", stderr);
    if (r)
        return cli_fail(cli, &err);
    result_show(cli, &result, command->dir);
    return CLI_OK;
}

int ledger_export_main(struct cli *cli, int argc, char **argv)
{
    struct export_command command = {0};
    struct casebus_error err = {0};
    struct stores *stores;
    struct argp argp = {
        .options = export_options,
        .parser = export_parse,
        .args_doc = "DIR",
        .doc = N_(
            "Writes the ledger into DIR as static files that other people's tools verify (C2SP tlog-tiles): "
            "checkpoint, tile/..., tile/entries/... and log.vkey.\vAn older export of this log in DIR is "
            "brought up to date. It reads the hub's files, so --hub has to be a directory; the hub may be "
            "running.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (outside_hub(command.dir, &err) || client_barrier(cli->client, &err) ||
        client_stores(cli->client, &stores, &err))
        return cli_fail(cli, &err);
    return stores_export(cli, &command, stores);
}
