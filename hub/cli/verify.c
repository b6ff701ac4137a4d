/* casebus verify: an evidence file, checked with what a stranger knows and without any hub. */
#include "hub/cli/evidence.h"
#include "hub/cli/trust.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/evidence/keys.h"

#include <stdlib.h>

struct verify_command {
    const char *path;
    const char *trusts[EVIDENCE_TRUST_MAX];
    size_t n_trusts;
    const char *witnesses[EVIDENCE_WITNESSES_MAX];
    size_t n_witnesses;
    uint64_t quorum;
    bool has_quorum;
};

enum { OPT_QUORUM = 256 };

static const struct argp_option options[] = {
    {"trust", 't', N_("CA,VKEY"), 0,
     N_("The authority's certificate (PEM file) and the log's verifier key (itself, or a file with it), or "
        "the "
        "enrolment.json of a node, which holds both; once for each generation of the hub that the file is "
        "about"),
     0},
    {"witness", 'w', N_("VKEY"), 0,
     N_("A witness whose cosignature counts (verifier key or file); may be repeated"), 0},
    {"quorum", OPT_QUORUM, N_("N"), 0,
     N_("How many of the witnesses have to have cosigned (all that are given)"), 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct verify_command *command = state->input;
    switch (key) {
    case 't':
        if (command->n_trusts == EVIDENCE_TRUST_MAX)
            argp_error(state, _("--trust is given too often"));
        else
            command->trusts[command->n_trusts++] = arg;
        return 0;
    case 'w':
        if (command->n_witnesses == EVIDENCE_WITNESSES_MAX)
            argp_error(state, _("--witness is given too often"));
        else
            command->witnesses[command->n_witnesses++] = arg;
        return 0;
    case OPT_QUORUM:
        command->has_quorum = true;
        if (!number_parse(arg, EVIDENCE_WITNESSES_MAX, &command->quorum))
            argp_error(state, _("'%s' is not a number"), arg);
        return 0;
    case ARGP_KEY_ARG:
        if (command->path)
            cli_words_wrong(state, arg);
        command->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (!command->path || command->n_trusts == 0)
            argp_error(state,
                       _("a file and --trust are needed: nothing is proved to somebody who trusts nobody"));
        if (command->has_quorum && command->quorum > command->n_witnesses)
            argp_error(state, _("--quorum is more than the witnesses that are given"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- trust ---- */

static int trust_load(struct evidence_keys *keys, const char *text, struct casebus_error *err)
{
    uint8_t authority[CERTIFICATE_MAX];
    char vkey[VKEY_MAX];
    size_t size;
    if (trust_read(text, authority, &size, vkey, err))
        return -1;
    return evidence_keys_add_hub(keys, bytes_of(authority, size), vkey, err);
}

static int all_load(struct evidence_keys *keys, const struct verify_command *command,
                    struct casebus_error *err)
{
    for (size_t i = 0; i < command->n_trusts; i++)
        if (trust_load(keys, command->trusts[i], err))
            return -1;
    for (size_t i = 0; i < command->n_witnesses; i++) {
        char vkey[VKEY_MAX];
        if (trust_vkey_read(vkey, command->witnesses[i], err) || evidence_keys_add_witness(keys, vkey, err))
            return -1;
    }
    keys->trust.quorum = command->has_quorum ? command->quorum : command->n_witnesses;
    return 0;
}

/* ---- what came of it ---- */

static void answer_json(const struct cli *cli, bool proved, const struct evidence_report *report,
                        const struct casebus_error *err)
{
    json_t *json = json_pack("{s:s}", "verdict", proved ? "proved" : "not proved");
    if (!proved) {
        json_object_set_new(json, "code", json_string(casebus_code_text(err->code)));
        json_object_set_new(json, "sentence", json_string(err->text));
    }
    json_object_set_new(json, "facts", facts_json(report));
    json_object_set_new(json, "not_proved", gaps_json(report));
    cli_print_json(cli, json);
    json_decref(json);
}

static void answer_print(const struct cli *cli, bool proved, const struct evidence_report *report,
                         const struct casebus_error *err)
{
    char shown[4 * sizeof err->text], hint[4 * sizeof err->hint];
    if (!proved) {
        text_escape(shown, sizeof shown, err->text);
        text_escape(hint, sizeof hint, err->hint);
        fprintf(cli->out, "%s%s%s\n", cli_red(cli), _("NOT PROVED"), cli_plain(cli));
        fprintf(cli->out, "  %s (%s)\n", shown, casebus_code_text(err->code));
        if (*err->hint)
            fprintf(cli->out, "  %s\n", hint);
        fprintf(cli->out, "%s\n", _("Nothing in this file counts: it is proved as a whole or not at all."));
        return;
    }
    fprintf(cli->out, "%s%s%s\n", cli_green(cli), _("PROVED"), cli_plain(cli));
    facts_print(cli, report);
    fprintf(cli->out, "%s\n", _("NOT PROVED BY THIS FILE"));
    gaps_print(cli, report);
}

static int file_verify(struct cli *cli, const struct evidence_keys *keys, struct bytes file)
{
    struct evidence_report report = {0};
    struct casebus_error err = {0};
    bool proved = evidence_verify(file, &keys->trust, &report, &err) == 0;
    if (cli->json)
        answer_json(cli, proved, &report, &err);
    else
        answer_print(cli, proved, &report, &err);
    evidence_report_deinit(&report);
    return proved ? CLI_OK : CLI_NEGATIVE;
}

static int verify(struct cli *cli, const struct verify_command *command)
{
    struct casebus_error err = {0};
    struct buffer file = {0};
    struct evidence_keys *keys = calloc(1, sizeof *keys);
    int code = CLI_USAGE;
    if (!keys)
        error_set(&err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    if (!keys || all_load(keys, command, &err) || file_read(command->path, EVIDENCE_MAX, &file, &err))
        error_print("casebus", &err);
    else
        code = file_verify(cli, keys, bytes_of(file.data, file.size));
    buffer_deinit(&file);
    if (keys)
        evidence_keys_deinit(keys);
    free(keys);
    return code;
}

int verify_main(struct cli *cli, int argc, char **argv)
{
    struct verify_command command = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = N_("FILE"),
        .doc = N_(
            "Checks an evidence file, as casebus prove writes it, without any hub, and says in words what it "
            "proves and what it does not.\vThe exit code is 0 when the file is proved, 1 when it is not, 2 "
            "when "
            "the command line makes no sense or names what cannot be read. Get the authority's certificate "
            "and "
            "the log's verifier key from the hub's operator, on a way that you trust, or from the "
            "enrolment.json "
            "of any node. The format and every check stand in docs/ledger.md.")};
    cli_parse(cli, &argp, argc, argv, &command);
    return verify(cli, &command);
}
