/* casebus erase, erasure list and erasure show. */
#include "hub/cli/cli.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ASK_AGAIN_MS 100

struct erase_command {
    const char *number;
    bool person;
    const char *id_type, *id_number;
    const char *material;
    const char *quarantine;
    bool retention;
    const char *parts;
    const char *order;
    bool dry_run, yes;
};

enum {
    OPT_CASE = 256,
    OPT_PERSON,
    OPT_ID_TYPE,
    OPT_ID,
    OPT_MATERIAL,
    OPT_QUARANTINE,
    OPT_RETENTION,
    OPT_PARTS,
    OPT_ORDER,
    OPT_DRY_RUN,
    OPT_YES
};

static const struct argp_option options[] = {
    {"case", OPT_CASE, N_("NUMBER"), 0, N_("All content of this case"), 0},
    {"person", OPT_PERSON, NULL, 0,
     N_("All content about a person: cases that are about nobody else, and of the others the events that "
        "name "
        "the person"),
     0},
    {"id-type", OPT_ID_TYPE, N_("TYPE"), 0, N_("With --person: citizen_id, uscc, passport ... (citizen_id)"),
     0},
    {"id", OPT_ID, N_("NUMBER"), 0, N_("With --person: the number, exactly as it was reported"), 0},
    {"quarantine", OPT_QUARANTINE, N_("POSITION"), 0, N_("What lies in quarantine at this entry"), 0},
    {"material", OPT_MATERIAL, N_("ID"), 0, N_("A material (none are kept by this version)"), 0},
    {"retention", OPT_RETENTION, NULL, 0,
     N_("What the rules in retention.yaml say has been kept long enough"), 0},
    {"parts", OPT_PARTS, N_("KINDS"), 0,
     N_("Only parts of these kinds: identity, contact, form, opinion, other, with commas between"), 0},
    {"order", OPT_ORDER, N_("TEXT"), 0,
     N_("Who ordered it and why, such as the document's number. It is kept sealed beside the entry"), 0},
    {"dry-run", OPT_DRY_RUN, NULL, 0, N_("Only look for it and count"), 0},
    {"yes", OPT_YES, NULL, 0, N_("Do not ask back"), 0},
    {0}};

/* ---- what is asked for ---- */

static void check(struct argp_state *state, const struct erase_command *command)
{
    int n = (command->number != NULL) + command->person + (command->quarantine != NULL) +
            (command->material != NULL) + command->retention;
    if (n != 1)
        argp_error(state, _("one of --case, --person, --quarantine and --retention has to be given"));
    if (command->person && !command->id_number)
        argp_error(state, _("whom? Give --id"));
    if (!command->person && (command->id_number || command->id_type))
        argp_error(state, _("--id and --id-type go with --person"));
    if (command->parts && !command->number && !command->person)
        argp_error(state, _("--parts goes with --case or --person"));
    if (!command->order && !command->dry_run && !command->retention && !command->material)
        argp_error(state, _("who ordered it? Give --order"));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct erase_command *command = state->input;
    switch (key) {
    case OPT_CASE:
        command->number = arg;
        return 0;
    case OPT_PERSON:
        command->person = true;
        return 0;
    case OPT_ID_TYPE:
        command->id_type = arg;
        return 0;
    case OPT_ID:
        command->id_number = arg;
        return 0;
    case OPT_MATERIAL:
        command->material = arg;
        return 0;
    case OPT_QUARANTINE:
        command->quarantine = arg;
        return 0;
    case OPT_RETENTION:
        command->retention = true;
        return 0;
    case OPT_PARTS:
        command->parts = arg;
        return 0;
    case OPT_ORDER:
        command->order = arg;
        return 0;
    case OPT_DRY_RUN:
        command->dry_run = true;
        return 0;
    case OPT_YES:
        command->yes = true;
        return 0;
    case ARGP_KEY_ARG:
        cli_words_wrong(state, arg);
        return 0;
    case ARGP_KEY_END:
        check(state, command);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static json_t *parts_json(const char *kinds)
{
    json_t *list = json_array();
    while (*kinds) {
        size_t n = strcspn(kinds, ",");
        json_array_append_new(list, json_stringn(kinds, n));
        kinds += n + (kinds[n] == ',');
    }
    return list;
}

static json_t *request_json(const struct erase_command *command)
{
    json_t *body = json_object();
    if (command->number)
        json_object_set_new(body, "case", json_string(command->number));
    if (command->person)
        json_object_set_new(body, "person",
                            json_pack("{s:s, s:s}", "id_type",
                                      command->id_type ? command->id_type : "citizen_id", "id_number",
                                      command->id_number));
    if (command->quarantine)
        json_object_set_new(body, "quarantine", json_integer(strtoll(command->quarantine, NULL, 10)));
    if (command->retention)
        json_object_set_new(body, "retention", json_true());
    if (command->parts)
        json_object_set_new(body, "parts", parts_json(command->parts));
    if (command->order)
        json_object_set_new(body, "order", json_string(command->order));
    if (command->dry_run)
        json_object_set_new(body, "dry_run", json_true());
    return body;
}

/* ---- asking back, and waiting ---- */

static bool sure(const struct erase_command *command)
{
    char answer[16] = "";
    if (command->yes || command->dry_run)
        return true;
    fprintf(stderr, "%s",
            _("What is destroyed cannot be brought back, and every receiver is told to destroy it, "
              "too. Go on? [yes/no] "));
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, "yes") == 0 || strcmp(answer, _("yes")) == 0;
}

static void progress_print(const json_t *ticket, bool *printed)
{
    if (!isatty(STDERR_FILENO) || get_number(ticket, "to_search") == 0)
        return;
    fprintf(stderr, _("\rlooked at %llu of %llu "), (unsigned long long)get_number(ticket, "searched"),
            (unsigned long long)get_number(ticket, "to_search"));
    *printed = true;
}

/* Until it is done; @done is the caller's. */
int erasure_wait(struct cli *cli, uint64_t ticket, json_t **done, struct casebus_error *err)
{
    static const struct timespec pause = {.tv_nsec = ASK_AGAIN_MS * 1000000L};
    bool printed = false;
    for (;;) {
        if (client_get(cli->client, done, err, "/v1/erasures/tickets/%llu", (unsigned long long)ticket))
            return -1;
        const char *stage = get_text(*done, "stage");
        if (stage && strcmp(stage, "done") == 0)
            break;
        progress_print(*done, &printed);
        json_decref(*done);
        *done = NULL;
        nanosleep(&pause, NULL);
    }
    if (printed)
        fputc('\n', stderr);
    return 0;
}

static void done_print(const struct cli *cli, const struct erase_command *command, const json_t *done)
{
    char entries[PEOPLE_TEXT], cases[PEOPLE_TEXT], orders[PEOPLE_TEXT];
    entries_text(entries, get_number(done, "entries"));
    cases_text(cases, get_number(done, "cases"));
    if (cli->json) {
        cli_print_json(cli, done);
        return;
    }
    if (command->dry_run) {
        fprintf(cli->out, _("would destroy content of %s of %s\n"), entries, cases);
        return;
    }
    fprintf(cli->out, _("destroyed content of %s of %s, by %s\n"), entries, cases,
            orders_text(orders, get_number(done, "orders")));
    if (get_number(done, "receivers") > 0)
        fprintf(cli->out,
                _n("%llu receiver is told; see who has confirmed with: casebus erasure list\n",
                   "%llu receivers are told; see who has confirmed with: casebus erasure list\n",
                   get_number(done, "receivers")),
                (unsigned long long)get_number(done, "receivers"));
}

static int erase(struct cli *cli, const struct erase_command *command)
{
    struct casebus_error err = {0};
    json_t *answer = NULL, *done = NULL;
    if (!sure(command)) {
        fprintf(stderr, "%s", _("casebus: nothing was destroyed\n"));
        return CLI_NEGATIVE;
    }
    json_t *body = request_json(command);
    int code = CLI_OK;
    int r = client_post(cli->client, "/v1/erasures", body, &answer, &err);
    if (r == 0)
        r = erasure_wait(cli, get_number(answer, "ticket"), &done, &err);
    if (r == 0 && !command->dry_run && get_number(done, "orders") > 0)
        backup_note_add(cli, done);
    if (r == 0) {
        done_print(cli, command, done);
        code = backup_note_print(cli, done);
    }
    json_decref(body);
    json_decref(answer);
    json_decref(done);
    return r == 0 ? code : cli_fail(cli, &err);
}

int erase_main(struct cli *cli, int argc, char **argv)
{
    struct erase_command command = {0};
    struct casebus_error err = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            N_("Destroys content for ever, by order or because it was kept long enough. Entries and proofs "
               "stay; whoever received any of it is told to destroy it, too.")};
    cli_parse(cli, &argp, argc, argv, &command);
    if (command.material) {
        error_set(&err, CASEBUS_NOT_FOUND,
                  _("no materials are kept by this version: there is nothing to destroy"));
        return cli_fail(cli, &err);
    }
    if (!command.yes && !command.dry_run && !isatty(STDIN_FILENO)) {
        fprintf(stderr, "%s",
                _("casebus: nobody can be asked whether to go on: there is no terminal; say --yes\n"));
        return CLI_USAGE;
    }
    int code = cli_connect(cli);
    return code ? code : erase(cli, &command);
}

/* ---- what was ordered ---- */

static void receivers_text(const json_t *erasure, bool wanted, char *out, size_t size)
{
    const json_t *list = json_object_get(erasure, "receivers");
    size_t n = 0;
    *out = '\0';
    for (size_t i = 0; i < json_array_size(list) && n < size; i++) {
        const json_t *receiver = json_array_get(list, i);
        if (get_bool(receiver, "confirmed") == wanted)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", get_text(receiver, "node"));
    }
}

static const char *destroys_text(const json_t *erasure)
{
    const char *destroys = get_text(erasure, "destroys");
    return destroys && strcmp(destroys, "all") == 0 ? _("all") : _("parts");
}

static const char *reason_text(const json_t *erasure)
{
    const char *reason = get_text(erasure, "reason");
    if (reason && strcmp(reason, "discarded") == 0)
        return _("discarded");
    return reason && strcmp(reason, "retention") == 0 ? _("retention") : _("order");
}

static const char *waiting_text(const json_t *erasure, char out[PEOPLE_TEXT])
{
    int64_t since = clock_unix_us() - get_time(erasure, "ordered_at_us");
    if (get_number(erasure, "unconfirmed") == 0)
        return "-";
    return duration_text(out, since > 0 ? (uint64_t)since / 1000000 : 0);
}

static void list_print(const struct cli *cli, const json_t *erasures)
{
    char ordered[PEOPLE_TITLE], text[512];
    const struct table_column columns[] = {{_("ENTRY"), TABLE_RIGHT, 0},
                                           {time_title(ordered, _("ORDERED")), TABLE_LEFT, 0},
                                           {_("REASON"), TABLE_LEFT, 0},
                                           {_("DESTROYS"), TABLE_LEFT, 0},
                                           {_("ENTRIES"), TABLE_RIGHT, 0},
                                           {_("DONE"), TABLE_LEFT, 0},
                                           {_("NOT CONFIRMED BY"), TABLE_LEFT, 50},
                                           {_("FOR"), TABLE_LEFT, 0},
                                           {_("OVERDUE"), TABLE_LEFT, 0}};
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(erasures); i++) {
        const json_t *erasure = json_array_get(erasures, i);
        table_printf(table, "%llu", (unsigned long long)get_number(erasure, "position"));
        table_text(table, time_text(text, get_time(erasure, "ordered_at_us"), false));
        table_text(table, reason_text(erasure));
        table_text(table, destroys_text(erasure));
        table_printf(table, "%llu", (unsigned long long)get_number(erasure, "entries"));
        table_text(table, time_text(text, get_time(erasure, "done_at_us"), false));
        receivers_text(erasure, false, text, sizeof text);
        table_text(table, *text ? text : "-");
        table_text(table, waiting_text(erasure, text));
        table_text(table, get_bool(erasure, "overdue") ? _("yes") : "-");
    }
    table_print(table, cli->out, cli->colour);
    table_free(table);
}

/* All pages as one answer; the caller's. */
static int list_get(struct cli *cli, json_t **all, struct casebus_error *err)
{
    char after[64] = "";
    *all = json_array();
    for (;;) {
        json_t *page = NULL;
        if (client_get(cli->client, &page, err, "/v1/erasures?limit=1000%s", after))
            return -1;
        json_array_extend(*all, json_object_get(page, "erasures"));
        bool more = json_is_integer(json_object_get(page, "next"));
        snprintf(after, sizeof after, "&after=%llu", (unsigned long long)get_number(page, "next"));
        json_decref(page);
        if (!more)
            return 0;
    }
}

static int erasure_list(struct cli *cli)
{
    struct casebus_error err = {0};
    json_t *all = NULL;
    int r = client_barrier(cli->client, &err);
    if (r == 0)
        r = list_get(cli, &all, &err);
    if (r == 0 && cli->json) {
        json_t *json = json_pack("{s:O}", "erasures", all);
        cli_print_json(cli, json);
        json_decref(json);
    } else if (r == 0 && json_array_size(all) == 0)
        fprintf(cli->out, "%s", _("nothing was ordered to be destroyed\n"));
    else if (r == 0)
        list_print(cli, all);
    json_decref(all);
    return r == 0 ? CLI_OK : cli_fail(cli, &err);
}

int erasure_list_main(struct cli *cli, int argc, char **argv)
{
    struct argp argp = {
        .doc = N_("Lists the orders to destroy content, whether they were carried out, and which "
                  "receivers have not confirmed that they did, too.")};
    cli_parse(cli, &argp, argc, argv, NULL);
    int code = cli_connect(cli);
    return code ? code : erasure_list(cli);
}

static void line(const struct cli *cli, const char *name, const char *value)
{
    cli_field(cli, name, 18, value);
}

static void show_print(const struct cli *cli, const json_t *erasure)
{
    char text[1024];
    snprintf(text, sizeof text, "%llu", (unsigned long long)get_number(erasure, "position"));
    line(cli, _("entry"), text);
    line(cli, _("order"), get_text(erasure, "order"));
    line(cli, _("reason"), reason_text(erasure));
    line(cli, _("case"), get_text(erasure, "case_id"));
    line(cli, _("destroys"), destroys_text(erasure));
    snprintf(text, sizeof text, "%llu", (unsigned long long)get_number(erasure, "entries"));
    line(cli, _("entries"), text);
    line(cli, _("ordered"), time_zone_text(text, get_time(erasure, "ordered_at_us"), false));
    line(cli, _("done"), time_zone_text(text, get_time(erasure, "done_at_us"), false));
    receivers_text(erasure, true, text, sizeof text);
    line(cli, _("confirmed by"), *text ? text : NULL);
    receivers_text(erasure, false, text, sizeof text);
    line(cli, _("not confirmed by"), *text ? text : NULL);
    line(cli, _("for"), waiting_text(erasure, text));
    line(cli, _("overdue"), get_bool(erasure, "overdue") ? _("yes") : _("no"));
}

static error_t position_parse(int key, char *arg, struct argp_state *state)
{
    const char **position = state->input;
    if (key == ARGP_KEY_ARG && state->arg_num == 0)
        *position = arg;
    else if (key == ARGP_KEY_ARG || key == ARGP_KEY_NO_ARGS)
        cli_words_wrong(state, arg);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

int erasure_show_main(struct cli *cli, int argc, char **argv)
{
    const char *position = NULL;
    struct casebus_error err = {0};
    char target[256];
    json_t *erasure = NULL;
    struct argp argp = {.parser = position_parse,
                        .args_doc = N_("POSITION"),
                        .doc = N_("Shows one order to destroy content, with its words.")};
    cli_parse(cli, &argp, argc, argv, &position);
    int code = cli_connect(cli);
    if (code)
        return code;
    if (client_barrier(cli->client, &err) || client_get(cli->client, &erasure, &err, "/v1/erasures/%s",
                                                        target_escape(target, sizeof target, position)))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, erasure);
    else
        show_print(cli, erasure);
    json_decref(erasure);
    return CLI_OK;
}
