/* casebus prove: an evidence file about a case, an event or an entry. */
#include "hub/cli/cli.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct prove_command {
    const char *number; /* of a case */
    const char *event;
    const char *position;
    const char *out;
    const char *open;
    bool sealed;
};

enum { OPT_CASE = 256, OPT_EVENT, OPT_POSITION, OPT_OPEN, OPT_SEALED };

static const struct argp_option options[] = {
    {"case", OPT_CASE, N_("NUMBER"), 0, N_("The events that this case stands on"), 0},
    {"event", OPT_EVENT, N_("ID"), 0, N_("One event: its position, its hash or NODE:STREAM:NUMBER"), 0},
    {"position", OPT_POSITION, N_("N"), 0, N_("One entry of the ledger, whatever it is"), 0},
    {"out", 'o', N_("FILE"), 0, N_("Where to write it; - for the standard output"), 0},
    {"open", OPT_OPEN, N_("KINDS"), 0,
     N_("Show parts of these kinds: identity, contact, form, opinion, with commas between (none; personal "
        "data)"),
     0},
    {"sealed", OPT_SEALED, NULL, 0, N_("Do not even show what the events say: hashes and signatures alone"),
     0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct prove_command *command = state->input;
    switch (key) {
    case OPT_CASE:
        command->number = arg;
        return 0;
    case OPT_EVENT:
        command->event = arg;
        return 0;
    case OPT_POSITION:
        command->position = arg;
        return 0;
    case 'o':
        command->out = arg;
        return 0;
    case OPT_OPEN:
        command->open = arg;
        return 0;
    case OPT_SEALED:
        command->sealed = true;
        return 0;
    case ARGP_KEY_ARG:
        cli_words_wrong(state, arg);
        return 0;
    case ARGP_KEY_END:
        if ((command->number != NULL) + (command->event != NULL) + (command->position != NULL) != 1)
            argp_error(state, _("one of --case, --event and --position has to be given"));
        if (!command->out)
            argp_error(state, _("where shall it be written? Give --out"));
        if (command->sealed && command->open)
            argp_error(state, _("--open and --sealed exclude each other"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Decodes what the hub answered; @out is the caller's to free. */
static int file_decode(const json_t *answer, uint8_t **out, size_t *size, struct casebus_error *err)
{
    const char *text = get_text(answer, "evidence");
    size_t length = text ? strlen(text) : 0, wanted = (size_t)get_number(answer, "size");
    *out = length > 0 && length % 4 == 0 ? malloc(length / 4 * 3) : NULL;
    int n = *out ? EVP_DecodeBlock(*out, (const unsigned char *)text, (int)length) : -1;
    if (n < 0 || wanted > (size_t)n || (size_t)n - wanted > 2)
        return error_set(err, CASEBUS_MALFORMED, _("the hub's answer holds no evidence"));
    *size = wanted;
    return 0;
}

static int file_put(struct cli *cli, const char *path, struct bytes file, struct casebus_error *err)
{
    if (strcmp(path, "-") != 0)
        return file_write(path, file, 0600, err);
    return fwrite(file.data, 1, file.size, cli->out) == file.size
               ? 0
               : error_set(err, CASEBUS_FILE, _("cannot write the output"));
}

static void made_print(const struct cli *cli, const struct prove_command *command, json_t *answer)
{
    char size[PEOPLE_TEXT];
    if (cli->json) {
        json_object_del(answer, "evidence");
        json_object_set_new(answer, "file", json_string(command->out));
        cli_print_json(cli, answer);
        return;
    }
    fprintf(cli->out,
            _n("'%s': %s of evidence under the checkpoint of %llu entry\n",
               "'%s': %s of evidence under the checkpoint of %llu entries\n",
               get_number(answer, "checkpoint_size")),
            command->out, size_text(size, get_number(answer, "size")),
            (unsigned long long)get_number(answer, "checkpoint_size"));
    fprintf(
        cli->out,
        _("events %llu, headers opened %llu, parts opened %llu; members without an entry %llu; confirmations "
          "%llu\n"),
        (unsigned long long)get_number(answer, "events"), (unsigned long long)get_number(answer, "headers"),
        (unsigned long long)get_number(answer, "parts"), (unsigned long long)get_number(answer, "outcomes"),
        (unsigned long long)get_number(answer, "confirmations"));
    fprintf(cli->out,
            _("whoever gets it checks it with: casebus verify FILE --trust ENROLMENT, the enrolment.json of "
              "a department, or CA,VKEY, which come by another way than the file\n"));
}

static int evidence_get(struct cli *cli, const struct prove_command *command, json_t **answer,
                        struct casebus_error *err)
{
    char name[800], open[256] = "";
    const char *what = command->number ? "case" : command->event ? "event" : "position";
    const char *value = command->number  ? command->number
                        : command->event ? command->event
                                         : command->position;
    if (command->open)
        target_escape(open, sizeof open, command->open);
    return client_get(cli->client, answer, err, "/v1/evidence?%s=%s%s%s%s", what,
                      target_escape(name, sizeof name, value), *open ? "&open=" : "", open,
                      command->sealed ? "&sealed=1" : "");
}

static int prove(struct cli *cli, const struct prove_command *command)
{
    struct casebus_error err = {0};
    json_t *answer = NULL;
    uint8_t *file = NULL;
    size_t size = 0;
    int r = client_barrier(cli->client, &err);
    if (r == 0)
        r = evidence_get(cli, command, &answer, &err);
    if (r == 0)
        r = file_decode(answer, &file, &size, &err);
    if (r == 0)
        r = file_put(cli, command->out, bytes_of(file, size), &err);
    if (r == 0 && strcmp(command->out, "-") != 0)
        made_print(cli, command, answer);
    free(file);
    json_decref(answer);
    return r == 0 ? CLI_OK : cli_fail(cli, &err);
}

int prove_main(struct cli *cli, int argc, char **argv)
{
    struct prove_command command = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = N_(
            "Writes an evidence file: what proves to a stranger, without the hub, that entries stand in its "
            "ledger, who signed them, to whom the hub decided to send them, and which "
            "receivers signed that they came.\vBy default the file shows what the events say "
            "but "
            "none of their private parts. It is for whoever it is given to: treat it like the contents it "
            "shows.")};
    cli_parse(cli, &argp, argc, argv, &command);
    int code = cli_connect(cli);
    return code ? code : prove(cli, &command);
}
