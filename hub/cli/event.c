/* casebus event tail */
#include "proto/codec/event.h"
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define FOLLOW_MS 500

static void event_line(const struct cli *cli, const json_t *event)
{
    const json_t *header = json_object_get(event, "header");
    const char *kind = get_text(header, "kind");
    Casebus__V1__Kind known = kind ? kind_parse(kind) : 0;
    char when[PEOPLE_TEXT], number[PEOPLE_TEXT], node[256], what[512], case_number[256];
    snprintf(number, sizeof number, "%llu", (unsigned long long)get_number(event, "position"));
    text_escape(node, sizeof node, get_text(event, "node") ? get_text(event, "node") : "-");
    text_escape(case_number, sizeof case_number,
                get_text(header, "case_number") ? get_text(header, "case_number") : "-");
    text_escape(what, sizeof what, get_text(event, "what") ? get_text(event, "what") : "");
    const char *title = header ? (known ? kind_title(known) : kind ? kind : "-") : get_text(event, "content");
    size_t node_width = text_width(node), title_width = text_width(title ? title : "");
    fprintf(cli->out, "%s%8s%s  %s  %s%*s  %s  %s%*s  %s\n", cli_dim(cli), number, cli_plain(cli),
            time_text(when, get_time(event, "hub_time_us"), false), node,
            (int)(node_width < 16 ? 16 - node_width : 0), "", case_number, title ? title : "-",
            (int)(title_width < 20 ? 20 - title_width : 0), "", what);
}

/* The zone of the times below is said once. */
static void head_line(const struct cli *cli)
{
    char when[PEOPLE_TITLE];
    const char *entry = _("ENTRY"), *node = _("NODE");
    size_t entry_width = text_width(entry), node_width = text_width(node);
    size_t when_width = text_width(time_title(when, _("WHEN")));
    fprintf(cli->out, "%s%*s%s  %s%*s  %s%*s  %s%s\n", cli_dim(cli),
            (int)(entry_width < 8 ? 8 - entry_width : 0), "", entry, when,
            (int)(when_width < 19 ? 19 - when_width : 0), "", node,
            (int)(node_width < 16 ? 16 - node_width : 0), "", _("CASE"), cli_plain(cli));
}

struct tail {
    uint64_t last;
    const char *node;
    bool follow;
    bool parts;
};

static const struct argp_option tail_options[] = {
    {"follow", 'f', NULL, 0, N_("Go on with what comes"), 0},
    {"last", 'n', N_("N"), 0, N_("Begin with the last N events, at most 1000 (20)"), 0},
    {"node", 'N', N_("NAME"), 0, N_("Only events of this node"), 0},
    {"parts", 'p', NULL, 0, N_("With --json: what the parts hold, too (personal data)"), 0},
    {0}};

static error_t tail_parse(int key, char *arg, struct argp_state *state)
{
    struct tail *tail = state->input;
    switch (key) {
    case 'f':
        tail->follow = true;
        return 0;
    case 'n':
        if (!number_parse(arg, 1000, &tail->last))
            argp_error(state, _("'%s' is not a number from 0 to 1000"), arg);
        return 0;
    case 'N':
        tail->node = arg;
        return 0;
    case 'p':
        tail->parts = true;
        return 0;
    case ARGP_KEY_ARG:
        cli_words_wrong(state, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void events_show(struct cli *cli, const json_t *page)
{
    const json_t *events = json_object_get(page, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        if (cli->json)
            cli_print_json(cli, json_array_get(events, i));
        else
            event_line(cli, json_array_get(events, i));
    }
    fflush(cli->out);
}

static bool is_empty(const json_t *page)
{
    return json_array_size(json_object_get(page, "events")) == 0;
}

static int tail_ask(struct cli *cli, const struct tail *tail, const char *from, json_t **page,
                    struct casebus_error *err)
{
    char node[256];
    return client_get(cli->client, page, err, "/v1/events?%s%s%s%s", from, tail->node ? "&node=" : "",
                      tail->node ? target_escape(node, sizeof node, tail->node) : "",
                      tail->parts ? "&parts=1" : "");
}

/* Where the page after @page begins, in @from, for at most @limit events. */
static void from_next(char from[64], const json_t *page, uint64_t limit)
{
    const json_t *next = json_object_get(page, "next");
    if (json_is_integer(next))
        snprintf(from, 64, "limit=%llu&after=%llu", (unsigned long long)limit,
                 (unsigned long long)json_integer_value(next));
    else
        snprintf(from, 64, "limit=%llu", (unsigned long long)limit);
}

/* Shows @page, and the pages behind it until there are @wanted events: the hub ends a page before it is too
 * long. *pagep is the last one then. */
static int pages_show(struct cli *cli, const struct tail *tail, json_t **pagep, uint64_t wanted,
                      struct casebus_error *err)
{
    char from[64];
    for (;;) {
        uint64_t n = json_array_size(json_object_get(*pagep, "events"));
        events_show(cli, *pagep);
        wanted -= n < wanted ? n : wanted;
        if (wanted == 0 || !get_bool(*pagep, "more") || ferror(cli->out))
            return 0;
        from_next(from, *pagep, wanted);
        json_decref(*pagep);
        *pagep = NULL;
        if (tail_ask(cli, tail, from, pagep, err))
            return -1;
    }
}

static int follow(struct cli *cli, const struct tail *tail, json_t *page, struct casebus_error *err)
{
    char from[64];
    while (!ferror(cli->out)) {
        bool more = get_bool(page, "more");
        from_next(from, page, 500);
        json_decref(page);
        if (!more)
            nanosleep(&(struct timespec){FOLLOW_MS / 1000, FOLLOW_MS % 1000 * 1000000L}, NULL);
        if (tail_ask(cli, tail, from, &page, err))
            return -1;
        events_show(cli, page);
    }
    json_decref(page);
    return 0;
}

static int event_tail(struct cli *cli, const struct tail *tail)
{
    struct casebus_error err = {0};
    char from[64];
    json_t *page;
    snprintf(from, sizeof from, "last=%llu", (unsigned long long)tail->last);
    if (tail->follow && !client_running(cli->client)) {
        error_set(&err, CASEBUS_CLOSED, _("nothing comes while the hub does not run"));
        return cli_fail(cli, &err);
    }
    if (client_barrier(cli->client, &err) || tail_ask(cli, tail, from, &page, &err))
        return cli_fail(cli, &err);
    if (!cli->json && !is_empty(page))
        head_line(cli);
    bool nothing = tail->node && tail->last > 0 && is_empty(page);
    if (pages_show(cli, tail, &page, tail->last, &err))
        return cli_fail(cli, &err);
    if (tail->follow)
        return follow(cli, tail, page, &err) ? cli_fail(cli, &err) : CLI_OK;
    json_decref(page);
    if (nothing)
        fprintf(stderr, _("casebus: there is no event of a node '%s'\n"), tail->node);
    return nothing ? CLI_NEGATIVE : CLI_OK;
}

int event_tail_main(struct cli *cli, int argc, char **argv)
{
    struct tail tail = {.last = 20};
    struct argp argp = {.options = tail_options,
                        .parser = tail_parse,
                        .doc = N_("Shows the newest events, one a line; with -f, goes on with what comes.")};
    cli_parse(cli, &argp, argc, argv, &tail);
    if (tail.parts && !cli->json) {
        fprintf(
            stderr,
            _("casebus: --parts needs --json here; for people there is: casebus event show ID --parts\n"));
        return CLI_USAGE;
    }
    signal(SIGPIPE, SIG_DFL); /* `casebus event tail -f | head` ends with head */
    int code = cli_connect(cli);
    return code ? code : event_tail(cli, &tail);
}
