/* casebus quarantine list, show, release and discard */
#include "hub/cli/cli.h"
#include "proto/base/error.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <unistd.h>

enum { OPT_NODE = 256, OPT_CODE, OPT_ALL, OPT_PARTS, OPT_WHY, OPT_YES };

struct quarantine {
    const char *position;
    const char *node, *code;
    const char *why;
    bool all, parts, yes;
};

static error_t quarantine_parse(int key, char *arg, struct argp_state *state)
{
    struct quarantine *quarantine = state->input;
    switch (key) {
    case OPT_NODE:
        quarantine->node = arg;
        return 0;
    case OPT_CODE:
        quarantine->code = arg;
        return 0;
    case OPT_ALL:
        quarantine->all = true;
        return 0;
    case OPT_PARTS:
        quarantine->parts = true;
        return 0;
    case OPT_WHY:
        quarantine->why = arg;
        return 0;
    case OPT_YES:
        quarantine->yes = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t list_parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        cli_words_wrong(state, arg);
    return quarantine_parse(key, arg, state);
}

static error_t position_parse(int key, char *arg, struct argp_state *state)
{
    struct quarantine *quarantine = state->input;
    if (key == ARGP_KEY_ARG && !quarantine->position)
        quarantine->position = arg;
    else if (key == ARGP_KEY_ARG || key == ARGP_KEY_NO_ARGS)
        cli_words_wrong(state, arg);
    else
        return quarantine_parse(key, arg, state);
    return 0;
}

/* Where a reason has to be given. */
static error_t decision_parse(int key, char *arg, struct argp_state *state)
{
    const struct quarantine *quarantine = state->input;
    if (key == ARGP_KEY_END && (!quarantine->why || !*quarantine->why))
        argp_error(state, _("--%s is missing"), "why");
    return position_parse(key, arg, state);
}

/* ---- the list ---- */

static const char *what_title(const json_t *refused)
{
    const char *what = get_text(refused, "refused");
    return what && strcmp(what, "batch") == 0 ? _("batch") : _("event");
}

static const char *decision_title(const json_t *refused)
{
    const char *decision = get_text(refused, "decision");
    if (!decision)
        return "-";
    return strcmp(decision, "released") == 0 ? _("released") : _("discarded");
}

static void list_print(const struct cli *cli, const json_t *list)
{
    char refused_title[PEOPLE_TITLE], text[PEOPLE_TEXT];
    const struct table_column columns[] = {
        {_("ENTRY"), TABLE_RIGHT, 0}, {time_title(refused_title, _("REFUSED")), TABLE_LEFT, 0},
        {_("NODE"), TABLE_LEFT, 40},  {_("CODE"), TABLE_LEFT, 0},
        {_("WHAT"), TABLE_LEFT, 0},   {_("BYTES"), TABLE_RIGHT, 0},
        {_("DECIDED"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *refused = json_array_get(list, i);
        table_printf(table, "%llu", (unsigned long long)get_number(refused, "position"));
        table_text(table, time_text(text, get_time(refused, "refused_at_us"), false));
        table_text(table, get_text(refused, "node"));
        table_text(table, get_text(refused, "code"));
        table_text(table, what_title(refused));
        table_text(table, size_text(text, get_number(refused, "size")));
        table_text(table, decision_title(refused));
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

/* All pages as one answer; the caller's. */
static int list_get(struct cli *cli, const struct quarantine *quarantine, json_t **all,
                    struct casebus_error *err)
{
    char node[256] = "", code[256] = "", after[64] = "";
    target_escape(node, sizeof node, quarantine->node ? quarantine->node : "");
    target_escape(code, sizeof code, quarantine->code ? quarantine->code : "");
    *all = json_array();
    for (;;) {
        json_t *page = NULL;
        if (client_get(cli->client, &page, err, "/v1/quarantine?limit=1000%s%s%s%s%s%s",
                       *node ? "&node=" : "", node, *code ? "&code=" : "", code,
                       quarantine->all ? "&all=1" : "", after))
            return -1;
        json_array_extend(*all, json_object_get(page, "quarantine"));
        bool more = json_is_integer(json_object_get(page, "next"));
        snprintf(after, sizeof after, "&after=%llu", (unsigned long long)get_number(page, "next"));
        json_decref(page);
        if (!more)
            return 0;
    }
}

int quarantine_list_main(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"node", OPT_NODE, N_("NAME"), 0, N_("Only what came from this node"), 0},
        {"code", OPT_CODE, N_("CODE"), 0, N_("Only what was refused for this: CB-..."), 0},
        {"all", OPT_ALL, NULL, 0, N_("Also what was decided about"), 0},
        {0}};
    struct quarantine quarantine = {0};
    struct casebus_error err = {0};
    json_t *all = NULL;
    struct argp argp = {.options = options,
                        .parser = list_parse,
                        .doc = N_("Lists what was refused and lies in quarantine until somebody decides "
                                  "about it.")};
    cli_parse(cli, &argp, argc, argv, &quarantine);
    int code = cli_connect(cli);
    if (code)
        return code;
    int r = client_barrier(cli->client, &err);
    if (r == 0)
        r = list_get(cli, &quarantine, &all, &err);
    if (r == 0 && cli->json) {
        json_t *json = json_pack("{s:O}", "quarantine", all);
        cli_print_json(cli, json);
        json_decref(json);
    } else if (r == 0 && json_array_size(all) == 0)
        fprintf(cli->out, "%s", _("nothing waits in quarantine\n"));
    else if (r == 0)
        list_print(cli, all);
    json_decref(all);
    return r == 0 ? CLI_OK : cli_fail(cli, &err);
}

/* ---- one of them ---- */

static int refused_get(struct cli *cli, const struct quarantine *quarantine, json_t **refused,
                       struct casebus_error *err)
{
    char target[256];
    return client_barrier(cli->client, err) ||
                   client_get(cli->client, refused, err, "/v1/quarantine/%s%s",
                              target_escape(target, sizeof target, quarantine->position),
                              quarantine->parts ? "?parts=1" : "")
               ? -1
               : 0;
}

static void line(const struct cli *cli, const char *name, const char *value)
{
    cli_field(cli, name, 22, value);
}

static void refused_print(const struct cli *cli, const json_t *refused)
{
    char text[256];
    const char *code = get_text(refused, "code");
    const json_t *events = json_object_get(refused, "events");
    snprintf(text, sizeof text, "%llu", (unsigned long long)get_number(refused, "position"));
    line(cli, _("entry"), text);
    line(cli, _("refused"), time_zone_text(text, get_time(refused, "refused_at_us"), false));
    line(cli, _("what"), what_title(refused));
    line(cli, _("node"), get_text(refused, "node"));
    line(cli, _("code"), code);
    line(cli, _("reason"), code ? casebus_code_meaning(casebus_code_parse(code)) : NULL);
    if (code) {
        enum casebus_code known = casebus_code_parse(code);
        line(cli, _("who must act"), casebus_actor_words(casebus_code_actor(known)));
        line(cli, _("way out"), casebus_code_hint(known));
        line(cli, _("does sending help"), casebus_resend_words(casebus_code_resend(known)));
    }
    line(cli, _("size"), size_text(text, get_number(refused, "size")));
    line(cli, _("decided"), decision_title(refused));
    if (get_text(refused, "stream")) {
        snprintf(text, sizeof text, "%s:%llu (%llu)", get_text(refused, "stream"),
                 (unsigned long long)get_number(refused, "first"),
                 (unsigned long long)get_number(refused, "count"));
        line(cli, _("numbers in stream"), text);
    }
    if (json_array_size(events) == 0)
        line(cli, _("content"), get_text(refused, "content"));
    for (size_t i = 0; i < json_array_size(events); i++) {
        fputc('\n', cli->out);
        event_print(cli, json_array_get(events, i));
    }
}

int quarantine_show_main(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"parts", OPT_PARTS, NULL, 0,
         N_("What the parts hold, too (personal data; the hub notes the access)"), 0},
        {0}};
    struct quarantine quarantine = {0};
    struct casebus_error err = {0};
    json_t *refused = NULL;
    struct argp argp = {.options = options,
                        .parser = position_parse,
                        .args_doc = N_("POSITION"),
                        .doc =
                            N_("Shows one thing that was refused: whose it is, why it was refused, and what "
                               "it holds as far as it can be read.")};
    cli_parse(cli, &argp, argc, argv, &quarantine);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (refused_get(cli, &quarantine, &refused, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, refused);
    else
        refused_print(cli, refused);
    json_decref(refused);
    return CLI_OK;
}

/* ---- deciding ---- */

static int decided_already(const json_t *refused, struct casebus_error *err)
{
    unsigned long long position = get_number(refused, "position");
    if (!get_text(refused, "decision"))
        return 0;
    return error_set(err, CASEBUS_EXISTS,
                     _("what was refused at entry %llu is settled: it was %s by entry %llu"), position,
                     decision_title(refused), (unsigned long long)get_number(refused, "decided_position"));
}

/* What cannot be undone is asked back. 0, or the exit code. */
static int ask_back(const struct quarantine *quarantine)
{
    char answer[16] = "";
    if (quarantine->yes)
        return CLI_OK;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "%s",
                _("casebus: nobody can be asked whether to go on: there is no terminal; say --yes\n"));
        return CLI_USAGE;
    }
    fprintf(stderr, _("Destroy what was refused at entry %s? It cannot be brought back. [y/N] "),
            quarantine->position);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y') ? CLI_OK
                                                                                         : CLI_NEGATIVE;
}

/* The same way as casebus erase --quarantine; but it is no order, so what is good may come in later. */
static int discard(struct cli *cli, const struct quarantine *quarantine)
{
    struct casebus_error err = {0};
    json_t *refused = NULL, *ticket = NULL, *done = NULL, *body = NULL;
    int r = refused_get(cli, quarantine, &refused, &err);
    if (r == 0)
        r = decided_already(refused, &err);
    if (r == 0) {
        body = json_pack("{s:I, s:b, s:s}", "quarantine", (json_int_t)get_number(refused, "position"),
                         "discard", 1, "order", quarantine->why);
        r = body ? client_post(cli->client, "/v1/erasures", body, &ticket, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the reason is not UTF-8"));
    }
    if (r == 0)
        r = erasure_wait(cli, get_number(ticket, "ticket"), &done, &err);
    if (r == 0)
        backup_note_add(cli, done);
    if (r == 0 && cli->json)
        cli_print_json(cli, done);
    else if (r == 0)
        fprintf(cli->out, _("what was refused at entry %s is destroyed\n"), quarantine->position);
    int code = backup_note_print(cli, done);
    json_decref(refused);
    json_decref(body);
    json_decref(ticket);
    json_decref(done);
    return r == 0 ? code : cli_fail(cli, &err);
}

int quarantine_discard_main(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: kept, sealed, beside the entry in the ledger"), 0},
        {"yes", OPT_YES, NULL, 0, N_("Do not ask"), 0},
        {0}};
    struct quarantine quarantine = {0};
    struct argp argp = {
        .options = options,
        .parser = decision_parse,
        .args_doc = N_("POSITION"),
        .doc = N_("Destroys something that was refused, for good. That it was refused stays in the "
                  "ledger.")};
    cli_parse(cli, &argp, argc, argv, &quarantine);
    int code = ask_back(&quarantine);
    if (code == CLI_OK)
        code = cli_connect(cli);
    return code ? code : discard(cli, &quarantine);
}

static int release(struct cli *cli, const struct quarantine *quarantine)
{
    struct casebus_error err = {0};
    char position[256], target[300];
    json_t *answer = NULL, *body = json_pack("{s:s, s:s}", "decision", "released", "why", quarantine->why);
    snprintf(target, sizeof target, "/v1/quarantine/%s",
             target_escape(position, sizeof position, quarantine->position));
    int r = body ? client_post(cli->client, target, body, &answer, &err)
                 : error_set(&err, CASEBUS_TEXT, _("the reason is not UTF-8"));
    if (r == 0 && cli->json)
        cli_print_json(cli, answer);
    else if (r == 0)
        fprintf(cli->out,
                _("what was refused at entry %s is released by entry %llu; what passed stands behind it\n"),
                quarantine->position, (unsigned long long)get_number(answer, "decided_position"));
    json_decref(body);
    json_decref(answer);
    return r == 0 ? CLI_OK : cli_fail(cli, &err);
}

int quarantine_release_main(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"why", OPT_WHY, N_("WORDS"), 0, N_("Why: kept, sealed, beside the entry in the ledger"), 0}, {0}};
    struct quarantine quarantine = {0};
    struct argp argp = {.options = options,
                        .parser = decision_parse,
                        .args_doc = N_("POSITION"),
                        .doc =
                            N_("Takes something that was refused through the door again, as nodes and policy "
                               "are now. What passes is delivered; what does not, stays in quarantine.")};
    cli_parse(cli, &argp, argc, argv, &quarantine);
    int code = cli_connect(cli);
    return code ? code : release(cli, &quarantine);
}
