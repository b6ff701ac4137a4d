/* casebus node enrolment: the enrolment.json of a node once more, as it is today: what a node has to know
 * that was away when the hub's keys changed. */
#include "hub/cli/cli.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/enrol/enrolment_file.h"

#define ENROLMENT_MAX (64 * 1024)

struct again {
    const char *name;
    const char *out;
};

static const struct argp_option enrolment_options[] = {
    {"out", 'o', N_("FILE"), 0, N_("Where to write it; - for the standard output (-)"), 0}, {0}};

static error_t enrolment_parse(int key, char *arg, struct argp_state *state)
{
    struct again *again = state->input;
    switch (key) {
    case 'o':
        again->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (again->name)
            cli_words_wrong(state, arg);
        again->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (!again->name)
            argp_error(state, _("which NAME?"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int enrolment_write(const struct cli *cli, const struct again *again, json_t *answer,
                           struct casebus_error *err)
{
    struct buffer content;
    buffer_init(&content, ENROLMENT_MAX);
    int r = enrolment_file_text(answer, &content, err);
    if (r == 0 && strcmp(again->out, "-") == 0)
        fwrite(content.data, 1, content.size, cli->out);
    else if (r == 0)
        r = file_write(again->out, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    return r;
}

int node_enrolment_main(struct cli *cli, int argc, char **argv)
{
    struct again again = {.out = "-"};
    struct casebus_error err = {0};
    char name[256];
    json_t *answer = NULL;
    struct argp argp = {
        .options = enrolment_options,
        .parser = enrolment_parse,
        .args_doc = N_("NAME"),
        .doc = N_(
            "Prints the enrolment.json of a node as it is today: for one that was away while the hub changed "
            "its keys, and for whoever checks evidence of a restored hub. It holds no secret.")};
    cli_parse(cli, &argp, argc, argv, &again);
    int code = cli_connect(cli);
    if (code)
        return code;
    int r = client_get(cli->client, &answer, &err, "/v1/enrolments/%s",
                       target_escape(name, sizeof name, again.name)) ||
            enrolment_write(cli, &again, answer, &err);
    json_decref(answer);
    return r ? cli_fail(cli, &err) : CLI_OK;
}
