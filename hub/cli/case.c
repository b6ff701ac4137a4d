/* casebus case list and case show */
#include "hub/cli/cli.h"
#include "hub/exchange/tables.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <stdlib.h>

#define PAGE 500

static const char *status_title(const char *name)
{
    for (int i = CASE_NOTHING; name && i <= CASE_ANNULLED; i++)
        if (strcmp(case_status_name((enum case_status)i), name) == 0)
            return case_status_title((enum case_status)i);
    return name;
}

static const char *finding_title(const char *name)
{
    static const char *const titles[][2] = {
        {"second_supplement", N_("asked for supplements more than once")},
        {"special_not_begun", N_("a special procedure ended that had not begun")},
        {"finish_while_stopped", N_("finished during a special procedure")},
        {"accept_after_finish", N_("accepted after it was finished")},
        {"conflict", N_("clashing statements of one record")},
        {"other_item", N_("records about another item stand beside it and change nothing")},
    };
    for (size_t i = 0; name && i < sizeof titles / sizeof titles[0]; i++)
        if (strcmp(titles[i][0], name) == 0)
            return _(titles[i][1]);
    return name;
}

/* ---- the list ---- */

struct case_list {
    const char *status;
    const char *after;
    uint64_t limit; /* 0: all */
    uint64_t shown;
};

static const struct argp_option list_options[] = {
    {"status", 's', N_("STATE"), 0, N_("Only cases in this state, such as accepted"), 0},
    {"limit", 'n', N_("N"), 0, N_("At most N cases; 0 for all (100)"), 0},
    {"after", 'a', N_("CASE_ID"), 0, N_("Only cases opened after this one (case_id of the JSON)"), 0},
    {0}};

static error_t list_parse(int key, char *arg, struct argp_state *state)
{
    struct case_list *list = state->input;
    switch (key) {
    case 's':
        list->status = arg;
        return 0;
    case 'a':
        list->after = arg;
        return 0;
    case 'n':
        if (!number_parse(arg, UINT32_MAX, &list->limit))
            argp_error(state, _("'%s' is not a number"), arg);
        return 0;
    case ARGP_KEY_ARG:
        cli_words_wrong(state, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A case knows instants only: what is midnight to the microsecond was a date. */
static const char *list_time(char out[PEOPLE_TEXT], int64_t us)
{
    return time_text(out, us, time_is_midnight(us));
}

static void list_row(struct table *table, const json_t *one)
{
    char text[PEOPLE_TEXT];
    table_text(table, get_text(one, "number"));
    table_text(table, status_title(get_text(one, "status")));
    table_printf(table, "%llu", (unsigned long long)get_number(one, "records"));
    table_text(table, list_time(text, get_time(one, "first_at_us")));
    table_text(table, list_time(text, get_time(one, "last_at_us")));
    table_printf(table, "%zu", json_array_size(json_object_get(one, "findings")));
}

static int page_get(struct cli *cli, const struct case_list *list, const char *after, json_t **page,
                    struct casebus_error *err)
{
    char status[64], from[4 * CASE_NUMBER_MAX];
    uint64_t left = list->limit ? list->limit - list->shown : PAGE;
    return client_get(cli->client, page, err, "/v1/cases?limit=%u%s%s%s%s",
                      (unsigned)(left < PAGE ? left : PAGE), list->status ? "&status=" : "",
                      list->status ? target_escape(status, sizeof status, list->status) : "",
                      after ? "&after=" : "", after ? target_escape(from, sizeof from, after) : "");
}

/* JSON is printed a case a line as it comes; a table waits for its widest cell. */
static void page_show(const struct cli *cli, struct case_list *list, struct table *table, const json_t *page)
{
    const json_t *cases = json_object_get(page, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        if (cli->json)
            cli_print_json(cli, json_array_get(cases, i));
        else
            list_row(table, json_array_get(cases, i));
        list->shown++;
    }
}

static int list_pages(struct cli *cli, struct case_list *list, struct table *table, bool *more,
                      struct casebus_error *err)
{
    char next[2 * CASE_ID_SIZE + 1];
    const char *after = list->after;
    *more = true;
    while (*more && (list->limit == 0 || list->shown < list->limit)) {
        json_t *page;
        if (page_get(cli, list, after, &page, err))
            return -1;
        page_show(cli, list, table, page);
        const char *from = get_text(page, "next");
        *more = from;
        snprintf(next, sizeof next, "%s", from ? from : "");
        after = next;
        json_decref(page);
    }
    return 0;
}

static int case_list(struct cli *cli, struct case_list *list)
{
    char first[PEOPLE_TITLE];
    const struct table_column columns[] = {
        {_("CASE"), TABLE_LEFT, 0},       {_("STATUS"), TABLE_LEFT, 0},
        {_("RECORDS"), TABLE_RIGHT, 0},   {time_title(first, _("FIRST EVENT")), TABLE_LEFT, 0},
        {_("LAST EVENT"), TABLE_LEFT, 0}, {_("FINDINGS"), TABLE_RIGHT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    struct casebus_error err = {0};
    bool more = false;
    int r = client_barrier(cli->client, &err) || list_pages(cli, list, table, &more, &err)
                ? cli_fail(cli, &err)
                : CLI_OK;
    if (r == CLI_OK && !cli->json) {
        table_print(table, cli->out, cli->colour);
        if (more)
            fprintf(cli->out, _("... and more: -n 0 shows all\n"));
    }
    table_free(table);
    return r;
}

int case_list_main(struct cli *cli, int argc, char **argv)
{
    struct case_list list = {.limit = 100};
    struct argp argp = {.options = list_options,
                        .parser = list_parse,
                        .doc =
                            N_("Lists cases in the order of their numbers. With --json, one case a line.")};
    cli_parse(cli, &argp, argc, argv, &list);
    int code = cli_connect(cli);
    return code ? code : case_list(cli, &list);
}

/* ---- one case ---- */

static void timeline_row(struct table *table, const json_t *record)
{
    char text[PEOPLE_TEXT];
    const char *kind = get_text(record, "kind"), *precision = get_text(record, "precision");
    Casebus__V1__Kind known = kind ? kind_parse(kind) : 0;
    const char *operation = get_text(record, "operation"), *content = get_text(record, "content");
    bool beside = get_bool(record, "beside");
    table_text(table,
               time_text(text, get_time(record, "occurred_at_us"), precision && !strcmp(precision, "date")));
    table_text(table, get_text(record, "node"));
    table_text(table, known ? kind_title(known) : kind);
    if (content && strcmp(content, "open") != 0)
        table_printf(table, "(%s)", content);
    else
        table_text(table, get_text(record, "what"));
    table_text(table, get_text(record, "handler"));
    table_printf(table, "%s%s%s%s", operation && strcmp(operation, "put") != 0 ? operation : "",
                 get_bool(record, "conflicted") ? " !" : "", beside ? " " : "", beside ? _("beside") : "");
    table_printf(table, "%llu", (unsigned long long)get_number(record, "position"));
}

static void timeline_print(const struct cli *cli, const json_t *timeline)
{
    char when[PEOPLE_TITLE];
    const struct table_column columns[] = {{time_title(when, _("WHEN")), TABLE_LEFT, 0},
                                           {_("NODE"), TABLE_LEFT, 24},
                                           {_("WHAT"), TABLE_LEFT, 30},
                                           {_("DETAIL"), TABLE_LEFT, 48},
                                           {_("HANDLER"), TABLE_LEFT, 24},
                                           {"", TABLE_LEFT, 0},
                                           {_("ENTRY"), TABLE_RIGHT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(timeline); i++)
        timeline_row(table, json_array_get(timeline, i));
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

static void field(const struct cli *cli, const char *name, const char *value)
{
    cli_field(cli, name, 10, value);
}

/* The case itself knows only instants; what its source gave as a date is a date in the timeline. */
static bool is_date(const json_t *one, int64_t unix_us)
{
    const json_t *timeline = json_object_get(one, "timeline");
    for (size_t i = 0; i < json_array_size(timeline); i++) {
        const json_t *record = json_array_get(timeline, i);
        const char *precision = get_text(record, "precision");
        if (get_time(record, "occurred_at_us") == unix_us && precision && strcmp(precision, "date") == 0)
            return true;
    }
    return false;
}

static void time_field(const struct cli *cli, const char *title, const json_t *one, const char *name)
{
    char text[PEOPLE_TEXT];
    int64_t unix_us = get_time(one, name);
    if (unix_us)
        field(cli, title, time_zone_text(text, unix_us, is_date(one, unix_us)));
}

static void case_print(const struct cli *cli, const json_t *one)
{
    char text[1024];
    field(cli, _("case"), get_text(one, "number"));
    if (*get_joined(one, "aliases", text, sizeof text))
        field(cli, _("also"), text);
    field(cli, _("status"), status_title(get_text(one, "status")));
    time_field(cli, _("applied"), one, "applied_at_us");
    time_field(cli, _("received"), one, "received_at_us");
    time_field(cli, _("accepted"), one, "accepted_at_us");
    time_field(cli, _("decided"), one, "decided_at_us");
    time_field(cli, _("finished"), one, "finished_at_us");
    const json_t *findings = json_object_get(one, "findings");
    for (size_t i = 0; i < json_array_size(findings); i++)
        fprintf(cli->out, "%s%s%s%*s  %s\n", cli_red(cli), _("finding"), cli_plain(cli),
                (int)(text_width(_("finding")) < 10 ? 10 - text_width(_("finding")) : 0), "",
                finding_title(json_string_value(json_array_get(findings, i))));
    fputc('\n', cli->out);
    timeline_print(cli, json_object_get(one, "timeline"));
    if (!get_bool(one, "timeline_whole"))
        fprintf(cli->out, _("... the newest records are not in the ledger yet; ask again\n"));
}

static error_t show_parse(int key, char *arg, struct argp_state *state)
{
    const char **number = state->input;
    if (key == ARGP_KEY_ARG && state->arg_num == 0)
        *number = arg;
    else if (key == ARGP_KEY_ARG || key == ARGP_KEY_NO_ARGS)
        cli_words_wrong(state, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static int case_show(struct cli *cli, const char *number)
{
    struct casebus_error err = {0};
    char target[512];
    json_t *one;
    if (client_barrier(cli->client, &err) ||
        client_get(cli->client, &one, &err, "/v1/cases/%s", target_escape(target, sizeof target, number)))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, one);
    else
        case_print(cli, one);
    json_decref(one);
    return CLI_OK;
}

int case_show_main(struct cli *cli, int argc, char **argv)
{
    const char *number = NULL;
    struct argp argp = {.parser = show_parse,
                        .args_doc = N_("NUMBER"),
                        .doc = N_("Shows one case: its status and its timeline across departments.")};
    cli_parse(cli, &argp, argc, argv, &number);
    int code = cli_connect(cli);
    return code ? code : case_show(cli, number);
}
