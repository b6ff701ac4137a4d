/* casebus incident report: what the keys of a node touched in a span of the ledger. The hub tells it page by
 * page; rows go out as they come, and only sums are kept, of which there is an end. */
#include "hub/cli/cli.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NAMED_MAX 100000 /* cases, persons or nodes that a sum tells apart */

enum { OPT_FROM = 256, OPT_TO, OPT_CSV, OPT_NO_PERSONS };

struct report {
    const char *node, *from_text, *to_text, *out_path;
    bool csv, no_persons;
    uint64_t from, to; /* entries [from, to) */
    FILE *out;
    uint64_t shown_ns; /* progress */
    uint64_t n_published, n_received, n_refused, n_duplicate;
    json_t *cases, *persons, *receivers, *senders; /* objects: name -> number of events */
    json_t *acts;                                  /* the rest, in its order */
    bool more_acts;
};

static const struct argp_option options[] = {
    {"from", OPT_FROM, N_("WHEN"), 0,
     N_("Since when: an entry's position or a time (else: since when the keys may have been stolen, as was "
        "said when it was suspended or revoked; else from the beginning)"),
     0},
    {"to", OPT_TO, N_("WHEN"), 0, N_("Up to and with this entry, or this time or day (else: to the end)"), 0},
    {"out", 'o', N_("FILE"), 0, N_("Write to this new file (else: standard output)"), 0},
    {"csv", OPT_CSV, NULL, 0, N_("One line for each entry, for spreadsheets"), 0},
    {"no-persons", OPT_NO_PERSONS, NULL, 0,
     N_("Open nothing: without case numbers and pseudonyms of persons"), 0},
    {0}};

static error_t report_parse(int key, char *arg, struct argp_state *state)
{
    struct report *report = state->input;
    switch (key) {
    case OPT_FROM:
        report->from_text = arg;
        return 0;
    case OPT_TO:
        report->to_text = arg;
        return 0;
    case 'o':
        report->out_path = arg;
        return 0;
    case OPT_CSV:
        report->csv = true;
        return 0;
    case OPT_NO_PERSONS:
        report->no_persons = true;
        return 0;
    case ARGP_KEY_ARG:
        if (report->node)
            argp_usage(state);
        report->node = arg;
        return 0;
    case ARGP_KEY_END:
        if (!report->node)
            argp_error(state, _("the name of a node is needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the span ---- */

static int entry_time(struct cli *cli, uint64_t position, int64_t *us, struct casebus_error *err)
{
    json_t *page = NULL;
    if (client_get(cli->client, &page, err, "/v1/ledger/entries?from=%llu&limit=1",
                   (unsigned long long)position))
        return -1;
    *us = get_time(json_array_get(json_object_get(page, "entries"), 0), "hub_time_us");
    json_decref(page);
    return 0;
}

/* The first entry at or behind @us: the time of the hub never goes back. */
static int position_at(struct cli *cli, uint64_t size, int64_t us, uint64_t *position,
                       struct casebus_error *err)
{
    uint64_t low = 0, high = size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t there;
        if (entry_time(cli, middle, &there, err))
            return -1;
        if (there < us)
            low = middle + 1;
        else
            high = middle;
    }
    *position = low;
    return 0;
}

/* @behind: the end of the span, which is the entry behind what was said. */
static int when_read(struct cli *cli, const char *text, bool behind, uint64_t size, uint64_t *position,
                     struct casebus_error *err)
{
    int64_t us;
    bool is_date;
    if (number_parse(text, UINT64_MAX / 2, position)) {
        *position += behind;
        return 0;
    }
    if (time_read(text, &us, &is_date, err))
        return -1;
    if (behind)
        us += is_date ? INT64_C(86400000000) : 1;
    return position_at(cli, size, us, position, err);
}

static int span_find(struct cli *cli, struct report *report, struct casebus_error *err)
{
    char name[256];
    json_t *node = NULL, *checkpoint = NULL;
    if (client_barrier(cli->client, err) ||
        client_get(cli->client, &node, err, "/v1/nodes/%s", target_escape(name, sizeof name, report->node)) ||
        client_get(cli->client, &checkpoint, err, "/v1/ledger/entries?limit=1")) {
        json_decref(node);
        return -1;
    }
    uint64_t size = get_number(checkpoint, "ledger_size");
    int64_t stolen_us = get_time(node, "compromised_since_us");
    json_decref(node);
    json_decref(checkpoint);
    report->from = 0;
    report->to = size;
    if ((report->from_text && when_read(cli, report->from_text, false, size, &report->from, err)) ||
        (!report->from_text && stolen_us && position_at(cli, size, stolen_us, &report->from, err)) ||
        (report->to_text && when_read(cli, report->to_text, true, size, &report->to, err)))
        return -1;
    report->to = report->to < size ? report->to : size;
    return 0;
}

/* ---- sums ---- */

static void count(json_t *sums, const char *name)
{
    json_t *sum = name ? json_object_get(sums, name) : NULL;
    if (sum)
        json_integer_set(sum, json_integer_value(sum) + 1);
    else if (name && json_object_size(sums) < NAMED_MAX)
        json_object_set_new(sums, name, json_integer(1));
}

static bool is(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

static void event_count(struct report *report, const json_t *touch, bool published)
{
    const char *number = get_text(touch, "case_number");
    const json_t *persons = json_object_get(touch, "persons"),
                 *receivers = json_object_get(touch, "receivers");
    count(report->cases, number && *number ? number : get_text(touch, "case_id"));
    for (size_t i = 0; i < json_array_size(persons); i++)
        count(report->persons, json_string_value(json_array_get(persons, i)));
    if (!published)
        count(report->senders, get_text(touch, "sender"));
    for (size_t i = 0; published && i < json_array_size(receivers); i++)
        count(report->receivers, get_text(json_array_get(receivers, i), "node"));
}

static void touch_count(struct report *report, json_t *touch)
{
    const char *what = get_text(touch, "what");
    if (is(what, "published") || is(what, "received")) {
        bool published = is(what, "published");
        report->n_published += published;
        report->n_received += !published;
        event_count(report, touch, published);
    } else if (is(what, "refused"))
        report->n_refused++;
    else if (is(what, "duplicate"))
        report->n_duplicate++;
    else if (!is(what, "confirmed") && json_array_size(report->acts) < NAMED_MAX)
        json_array_append(report->acts, touch);
    else if (!is(what, "confirmed"))
        report->more_acts = true;
}

/* ---- rows ---- */

/* RFC 4180; and a spreadsheet takes what begins so for a formula. */
static void cell(FILE *out, const char *text, char end)
{
    bool formula = text && *text && strchr("=+-@\t\r", *text);
    fputc('"', out);
    if (formula)
        fputc('\'', out);
    for (; text && *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputs("\"", out);
    fputc(end, out);
}

/* Names of an array, a space between them. There are at most 64 receivers and 16 persons. */
static void joined(const json_t *array, const char *member, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(array) && n < size; i++) {
        const json_t *one = json_array_get(array, i);
        const char *text = member ? get_text(one, member) : json_string_value(one);
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", text ? text : "");
    }
}

static void number_cell(FILE *out, const json_t *touch, const char *name)
{
    if (json_is_integer(json_object_get(touch, name)))
        fprintf(out, "%llu", (unsigned long long)get_number(touch, name));
    fputc(',', out);
}

static void csv_head(FILE *out)
{
    fputs(
        "position,time,what,case_id,case_number,sender,stream,number,receivers,persons,about_position,code\n",
        out);
}

static void csv_row(FILE *out, const json_t *touch)
{
    char text[8192];
    number_cell(out, touch, "position");
    cell(out, time_zone_text(text, get_time(touch, "hub_time_us"), false), ',');
    cell(out, get_text(touch, "what"), ',');
    cell(out, get_text(touch, "case_id"), ',');
    cell(out, get_text(touch, "case_number"), ',');
    cell(out, get_text(touch, "sender"), ',');
    cell(out, get_text(touch, "stream"), ',');
    number_cell(out, touch, "number");
    joined(json_object_get(touch, "receivers"), "node", text, sizeof text);
    cell(out, text, ',');
    joined(json_object_get(touch, "persons"), NULL, text, sizeof text);
    cell(out, text, ',');
    number_cell(out, touch, "about_position");
    cell(out, get_text(touch, "code"), '\n');
}

/* ---- in words ---- */

static const char *act_title(const char *what)
{
    static const struct {
        const char *what, *title;
    } titles[] = {{"enrolled", N_("keys were enrolled")},
                  {"invited", N_("an invitation was given out")},
                  {"resumed", N_("let in again")},
                  {"suspended", N_("suspended")},
                  {"revoked", N_("keys were revoked")},
                  {"released", N_("something of it was released from quarantine")},
                  {"discarded", N_("something of it in quarantine was destroyed")},
                  {"policy", N_("a policy was put in force: who sees what")},
                  {"erasure", N_("it was told to destroy what it had received")}};
    for (size_t i = 0; what && i < sizeof titles / sizeof *titles; i++)
        if (strcmp(titles[i].what, what) == 0)
            return _(titles[i].title);
    return what;
}

static void sums_print(const struct report *report, const char *title, json_t *sums)
{
    char shown[1024];
    const char *name;
    json_t *sum;
    size_t n = json_object_size(sums);
    fprintf(report->out, "\n%s: %zu%s\n", title, n, n >= NAMED_MAX ? _(" or more") : "");
    json_object_foreach(sums, name, sum)
    {
        text_escape(shown, sizeof shown, name);
        fprintf(report->out, "  %s  %lld\n", shown, (long long)json_integer_value(sum));
    }
}

static void acts_print(const struct report *report)
{
    char text[PEOPLE_TEXT];
    fprintf(report->out, "\n%s: %zu%s\n", _("acts about it, and about who sees what"),
            json_array_size(report->acts), report->more_acts ? _(" or more") : "");
    for (size_t i = 0; i < json_array_size(report->acts); i++) {
        const json_t *act = json_array_get(report->acts, i);
        fprintf(report->out, "  %llu  %s  %s\n", (unsigned long long)get_number(act, "position"),
                time_zone_text(text, get_time(act, "hub_time_us"), false), act_title(get_text(act, "what")));
    }
}

static void words_print(const struct report *report)
{
    fprintf(report->out, _("What the keys of node '%s' touched, entries %llu to %llu of the ledger\n\n"),
            report->node, (unsigned long long)report->from,
            (unsigned long long)(report->to > report->from ? report->to - 1 : report->from));
    fprintf(report->out, _("events that it published: %llu\n"), (unsigned long long)report->n_published);
    fprintf(report->out, _("events that it was to receive: %llu\n"), (unsigned long long)report->n_received);
    fprintf(report->out, _("sent again, and no entry: %llu\n"), (unsigned long long)report->n_duplicate);
    fprintf(report->out, _("refused: %llu\n"), (unsigned long long)report->n_refused);
    sums_print(report, _("cases, and how many events of each"), report->cases);
    sums_print(report, _("who was to receive what it published"), report->receivers);
    sums_print(report, _("whose events it was to receive"), report->senders);
    if (!report->no_persons)
        sums_print(report, _("persons, under pseudonyms that this hub alone can make"), report->persons);
    acts_print(report);
}

/* ---- the report ---- */

static void progress(struct report *report, uint64_t at)
{
    uint64_t now = clock_monotonic_ns();
    if (!isatty(STDERR_FILENO) || now - report->shown_ns < 100000000)
        return;
    report->shown_ns = now;
    uint64_t done = at - report->from, total = report->to - report->from;
    fprintf(stderr, "\r\033[K%3u %%  %llu / %llu", (unsigned)(total ? done * 100 / total : 100),
            (unsigned long long)done, (unsigned long long)total);
}

static void page_take(const struct cli *cli, struct report *report, const json_t *page)
{
    const json_t *touches = json_object_get(page, "touches");
    for (size_t i = 0; i < json_array_size(touches); i++) {
        json_t *touch = json_array_get(touches, i);
        if (report->csv)
            csv_row(report->out, touch);
        else if (cli->json)
            cli_print_json(&(struct cli){.out = report->out}, touch);
        else
            touch_count(report, touch);
    }
}

static int pages_take(struct cli *cli, struct report *report, struct casebus_error *err)
{
    char name[256];
    uint64_t next = report->from;
    target_escape(name, sizeof name, report->node);
    for (bool more = next < report->to; more && !ferror(report->out);) {
        json_t *page = NULL;
        if (client_get(cli->client, &page, err, "/v1/incidents/%s?from=%llu&to=%llu&limit=1000%s", name,
                       (unsigned long long)next, (unsigned long long)report->to,
                       report->no_persons ? "" : "&persons=1"))
            return -1;
        page_take(cli, report, page);
        more = json_is_integer(json_object_get(page, "next"));
        next = get_number(page, "next");
        if (more)
            progress(report, next);
        json_decref(page);
    }
    if (report->shown_ns)
        fprintf(stderr, "\r\033[K");
    return 0;
}

static int report_write(struct cli *cli, struct report *report, struct casebus_error *err)
{
    if (report->csv)
        csv_head(report->out);
    if (pages_take(cli, report, err))
        return -1;
    if (!report->csv && !cli->json)
        words_print(report);
    if (fflush(report->out) != 0 || ferror(report->out))
        return error_set_errno(err, errno, _("the report cannot be written"));
    return 0;
}

/* A report that was not finished is no report. */
static int file_write(struct cli *cli, struct report *report, struct casebus_error *err)
{
    int fd = open(report->out_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    report->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!report->out)
        return error_set_errno(err, errno, _("cannot write '%s'"), report->out_path);
    int r = report_write(cli, report, err);
    if (fclose(report->out) != 0 && r == 0)
        r = error_set_errno(err, errno, _("cannot write '%s'"), report->out_path);
    if (r)
        unlink(report->out_path);
    return r;
}

static void report_deinit(struct report *report)
{
    json_decref(report->cases);
    json_decref(report->persons);
    json_decref(report->receivers);
    json_decref(report->senders);
    json_decref(report->acts);
}

int incident_report_main(struct cli *cli, int argc, char **argv)
{
    struct report report = {.out = cli->out};
    struct casebus_error err = {0};
    struct argp argp = {
        .options = options,
        .parser = report_parse,
        .args_doc = N_("NODE"),
        .doc = N_(
            "Tells what the keys of a node touched in a span of the ledger: cases, persons, who was to "
            "receive what it published, what it was to receive, and what was decided about it. With "
            "--json, a line for each entry.\vPersons are shown as pseudonyms that this hub alone can make; "
            "for that their identity parts are opened, which the hub notes in its log.")};
    cli_parse(cli, &argp, argc, argv, &report);
    int code = cli_connect(cli);
    if (code)
        return code;
    report.cases = json_object();
    report.persons = json_object();
    report.receivers = json_object();
    report.senders = json_object();
    report.acts = json_array();
    int r = span_find(cli, &report, &err);
    if (r == 0)
        r = report.out_path ? file_write(cli, &report, &err) : report_write(cli, &report, &err);
    report_deinit(&report);
    return r ? cli_fail(cli, &err) : CLI_OK;
}
