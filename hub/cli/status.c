/* casebus status */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"

static void field(const struct cli *cli, const char *name, const char *value)
{
    cli_field(cli, name, 16, value);
}

static void __attribute__((format(printf, 3, 4)))
fieldf(const struct cli *cli, const char *name, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    field(cli, name, text);
}

static unsigned long long n(const json_t *object, const char *name)
{
    return get_number(object, name);
}

/* The stores are looked at a moment after the counters, and may be further. */
static unsigned long long behind(const json_t *status, const char *name)
{
    unsigned long long committed = n(status, "committed_size"), stored = n(status, name);
    return committed > stored ? committed - stored : 0;
}

static void running_print(const struct cli *cli, const json_t *status)
{
    char text[PEOPLE_TEXT];
    field(cli, _("running for"), duration_text(text, get_number(status, "uptime_s")));
    field(cli, _("nodes connect to"), get_text(status, "endpoint") ? get_text(status, "endpoint") : "-");
    if (get_text(status, "monitor"))
        fieldf(cli, _("monitors read"), "http://%s", get_text(status, "monitor"));
    fieldf(cli, _("events"), _("%llu accepted, %llu duplicate, %llu refused (since it started)"),
           n(status, "events_accepted"), n(status, "events_duplicate"), n(status, "events_refused"));
    fieldf(cli, _("written"), _("entries: %llu, writes to disk: %llu"), n(status, "entries"),
           n(status, "groups"));
    fieldf(cli, _("deliveries"),
           _n("%llu sent, %llu confirmation", "%llu sent, %llu confirmations", n(status, "confirms")),
           n(status, "deliveries"), n(status, "confirms"));
    field(cli, _("journal"), size_text(text, get_number(status, "journal_bytes")));
    fieldf(cli, _("behind journal"), _("ledger %llu, state %llu entries"), behind(status, "ledger_size"),
           behind(status, "state_applied"));
}

static long long days_left(const json_t *certificate)
{
    return json_integer_value(json_object_get(certificate, "certificate_days_left"));
}

/* What ends within thirty days: a line for the authority, and one for each node. */
static void certificates_print(const struct cli *cli, const json_t *certificates)
{
    char day[PEOPLE_TEXT];
    const json_t *authority = json_object_get(certificates, "authority");
    const json_t *ending = json_object_get(certificates, "ending");
    if (get_bool(authority, "certificate_ends_soon"))
        fieldf(cli, _("certificates"),
               _n("LOOK: the authority's ends %s (%lld day)", "LOOK: the authority's ends %s (%lld days)",
                  days_left(authority)),
               time_text(day, get_time(authority, "certificate_ends_us"), true), days_left(authority));
    for (size_t i = 0; i < json_array_size(ending); i++) {
        const json_t *node = json_array_get(ending, i);
        fieldf(cli, _("certificates"),
               days_left(node) < 0
                   ? _("LOOK: that of '%s' ended %s (%lld days): casebus node add")
                   : _n("LOOK: that of '%s' ends %s (%lld day); is its adapter running?",
                        "LOOK: that of '%s' ends %s (%lld days); is its adapter running?", days_left(node)),
               get_text(node, "node"), time_text(day, get_time(node, "certificate_ends_us"), true),
               days_left(node));
    }
}

static void backup_print(const struct cli *cli, const json_t *backup)
{
    const json_t *behind = json_object_get(backup, "behind");
    char at[PEOPLE_TEXT];
    if (!backup) /* an older hub */
        return;
    if (n(backup, "size") > 0)
        fieldf(cli, _("backup"), _("of %s, with %llu entries"),
               time_zone_text(at, get_time(backup, "at_us"), false), n(backup, "size"));
    else
        fieldf(cli, _("backup"), _("none is known: casebus-hub backup DIR DEST"));
    fieldf(cli, _("in no backup"),
           _("entries: %llu; orders to destroy: %llu, enrolments: %llu, suspensions and revocations: %llu, "
             "policies: %llu"),
           n(behind, "entries"), n(behind, "erasures"), n(behind, "enrolments"), n(behind, "standings"),
           n(behind, "policies"));
}

static void stores_print(const struct cli *cli, const json_t *status)
{
    const json_t *checkpoint = json_object_get(status, "checkpoint");
    fieldf(cli, _("ledger"), _n("%llu entry", "%llu entries", n(status, "ledger_size")),
           n(status, "ledger_size"));
    if (json_is_object(checkpoint))
        fieldf(cli, _("checkpoint"), _("size %llu, root %s"), n(checkpoint, "size"),
               get_text(checkpoint, "root"));
    fieldf(cli, _("state"),
           _n("%llu entry applied; cases: %llu, records: %llu",
              "%llu entries applied; cases: %llu, records: %llu", n(status, "state_applied")),
           n(status, "state_applied"), n(status, "cases"), n(status, "records"));
    const json_t *erasures = json_object_get(status, "erasures");
    if (n(erasures, "ordered") > 0)
        fieldf(cli, _("erasures"),
               _("%llu ordered, %llu under way; receivers have not confirmed %llu, overdue %llu"),
               n(erasures, "ordered"), n(erasures, "pending"), n(erasures, "unconfirmed"),
               n(erasures, "overdue"));
    const json_t *disk = json_object_get(status, "disk");
    fieldf(cli, _("disk"),
           get_bool(disk, "low") ? _("LOOK: %llu MiB are free, and nothing is taken from nodes: make room")
                                 : _("%llu MiB are free"),
           n(disk, "free_bytes") >> 20);
    backup_print(cli, json_object_get(status, "backup"));
    const json_t *waiting = json_object_get(status, "waiting_in_quarantine");
    char since[PEOPLE_TEXT];
    if (n(waiting, "undecided") > 0)
        fieldf(cli, _("quarantine"), _("%llu undecided, the oldest since %s: casebus quarantine list"),
               n(waiting, "undecided"), time_zone_text(since, get_time(waiting, "oldest_us"), false));
    if (n(status, "policy_proposed") > 0)
        fieldf(cli, _("policy"),
               _("version %llu is proposed and waits for a second operator: casebus policy diff"),
               n(status, "policy_proposed"));
    const json_t *witnessing = json_object_get(status, "witnessing");
    if (n(witnessing, "silent") > 0)
        fieldf(cli, _("witnesses"),
               _("LOOK: %llu of %llu silent since %s; confirmed for everybody: %llu entries: casebus witness "
                 "show"),
               n(witnessing, "silent"), n(witnessing, "witnesses"),
               time_zone_text(since, get_time(witnessing, "silent_since_us"), false),
               n(witnessing, "cosigned_size"));
    else if (witnessing)
        fieldf(cli, _("witnesses"), _("%llu, confirmed: %llu entries"), n(witnessing, "witnesses"),
               n(witnessing, "cosigned_size"));
    fieldf(cli, _("nodes"), _("%llu enrolled, %llu connected"), n(status, "nodes"), n(status, "connected"));
}

static void peers_print(const struct cli *cli, const json_t *peers)
{
    char seen[PEOPLE_TITLE];
    const struct table_column columns[] = {{_("NODE"), TABLE_LEFT, 40},
                                           {_("CONNECTED"), TABLE_LEFT, 0},
                                           {_("EVENTS"), TABLE_RIGHT, 0},
                                           {_("DELIVERIES"), TABLE_RIGHT, 0},
                                           {_("IN FLIGHT"), TABLE_RIGHT, 0},
                                           {_("WAITING"), TABLE_RIGHT, 0},
                                           {time_title(seen, _("LAST SEEN")), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    char text[PEOPLE_TEXT];
    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        table_text(table, get_text(peer, "node"));
        table_text(table, get_bool(peer, "connected") ? _("yes") : _("no"));
        table_printf(table, "%llu", n(peer, "events"));
        table_printf(table, "%llu", n(peer, "deliveries"));
        table_text(table, size_text(text, get_number(peer, "in_flight_bytes")));
        table_printf(table, "%llu", n(peer, "backlog"));
        table_text(table, time_text(text, get_time(peer, "last_seen_us"), false));
    }
    if (json_array_size(peers) > 0) {
        fputc('\n', cli->out);
        table_print(table, cli->out, cli->colour);
    }
    table_free(table);
}

static int status_show(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *status;
    if (client_get(cli->client, &status, &err, "/v1/status"))
        return cli_fail(cli, &err);
    if (cli->json) {
        cli_print_json(cli, status);
    } else {
        field(cli, _("hub"), get_text(status, "origin"));
        field(cli, _("log key"), get_text(status, "log_key"));
        if (get_bool(status, "running"))
            running_print(cli, status);
        else
            field(cli, _("running"), _("no; its files hold what follows"));
        stores_print(cli, status);
        certificates_print(cli, json_object_get(status, "certificates"));
        peers_print(cli, json_object_get(status, "peers"));
    }
    json_decref(status);
    return CLI_OK;
}

int status_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {.doc =
                            N_("Shows what the hub does and holds; without a running hub, what it holds.")};
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    return code ? code : status_show(cli);
}
