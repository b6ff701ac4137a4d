/* casebus event show: what an answer of the hub says, with names for people. The schema may gain a field that
 * has no name here yet; it is shown under its own. */
#include "hub/cli/cli.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <stdlib.h>

enum { NAME_WIDTH = 22 };

struct show {
    const char *id;
    bool parts;
};

static const struct argp_option show_options[] = {
    {"parts", 'p', NULL, 0, N_("What the parts hold, too (personal data; the hub notes the access)"), 0},
    {0}};

static error_t show_parse(int key, char *arg, struct argp_state *state)
{
    struct show *show = state->input;
    if (key == 'p')
        show->parts = true;
    else if (key == ARGP_KEY_ARG && !show->id)
        show->id = arg;
    else if (key == ARGP_KEY_ARG || (key == ARGP_KEY_END && !show->id))
        cli_words_wrong(state, arg);
    else if (key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    return 0;
}

/* ---- names ---- */

static const char *const titles[][2] = {
    {"position", N_("entry")},
    {"hub_time_us", N_("taken by the hub")},
    {"node", N_("node")},
    {"stream", N_("stream")},
    {"number", N_("number in stream")},
    {"event_id", N_("hash")},
    {"case_id", N_("case's hash")},
    {"receivers", N_("receiver")},
    {"content", N_("content")},
    {"outcome", N_("outcome")},
    {"seal_position", N_("answered in entry")},
    {"duplicate_of", N_("duplicate of entry")},
    {"code", N_("code")},
    {"sentence", N_("reason")},
    {"what", N_("detail")},
    {"record_namespace", N_("records of")},
    {"record_id", N_("record")},
    {"revision", N_("revision")},
    {"operation", N_("operation")},
    {"kind", N_("what happened")},
    {"case_number", N_("case")},
    {"case_alias", N_("also")},
    {"item", N_("item")},
    {"area", N_("area")},
    {"channel", N_("channel")},
    {"real_name", N_("real name checked")},
    {"truth_commitment", N_("committed to truth")},
    {"occurred_at_us", N_("when")},
    {"backfill", N_("history")},
    {"source_code", N_("source's code")},
    {"handler", N_("handler")},
    {"department", N_("department")},
    {"material", N_("material")},
    {"salted_digest", N_("digest")},
    {"obtained", N_("obtained")},
    {"project_code", N_("project code")},
    {"apply_type", N_("type of application")},
    {"window", N_("window")},
    {"missing", N_("missing")},
    {"answer_until_us", N_("answer until")},
    {"document_number", N_("document")},
    {"committed", N_("committed limit")},
    {"to_follow", N_("may follow")},
    {"to_follow_until_us", N_("may follow until")},
    {"reason_code", N_("reason's code")},
    {"step", N_("step")},
    {"action", N_("action")},
    {"ended_at_us", N_("ended")},
    {"state", N_("state of the step")},
    {"special_kind", N_("kind of procedure")},
    {"special_id", N_("procedure's number")},
    {"expected", N_("expected to take")},
    {"by", N_("extended by")},
    {"result_code", N_("result")},
    {"on_commitment", N_("on commitment")},
    {"finish_kind", N_("kind of finish")},
    {"certificate_name", N_("certificate")},
    {"certificate_number", N_("certificate's number")},
    {"by_courier", N_("by courier")},
    {"logistics_number", N_("consignment")},
    {"level", N_("rating")},
    {"rating_id", N_("rating's number")},
    {"matter_id", N_("matter's number")},
    {"window_kind", N_("kind of matter")},
    {"assigned_to", N_("assigned to")},
    {"name", N_("name")},
    {"holder_type", N_("type of holder")},
    {"id_type", N_("type of document")},
    {"id_number", N_("number of document")},
    {"agent_name", N_("agent")},
    {"agent_id_type", N_("agent's document")},
    {"agent_id_number", N_("agent's number")},
    {"phone", N_("phone")},
    {"address", N_("address")},
    {"email", N_("e-mail")},
    {"handler_name", N_("official")},
    {"opinion", N_("opinion")},
};

/* What programs need and people do not, or what another line says already. */
static bool is_hidden(const char *name)
{
    static const char *const hidden[] = {"format", "precision", "finish_kind_given", "parts"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (strcmp(name, hidden[i]) == 0)
            return true;
    return false;
}

static const char *title_of(const char *name)
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (strcmp(titles[i][0], name) == 0)
            return _(titles[i][1]);
    return name;
}

static const char *part_title(const char *kind)
{
    static const char *const parts[][2] = {{"identity", N_("identity")},
                                           {"contact", N_("contact")},
                                           {"form", N_("form")},
                                           {"opinion", N_("opinion")}};
    for (size_t i = 0; kind && i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(parts[i][0], kind) == 0)
            return _(parts[i][1]);
    return kind ? kind : "-";
}

/* ---- values ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* NULL: what goes without saying. */
static const char *value_title(const char *name, const char *value)
{
    static const char *const values[][3] = {
        {"content", "open", NULL},
        {"operation", "put", NULL},
        {"operation", "correct", N_("replaces an earlier revision")},
        {"operation", "delete", N_("takes the record back")},
        {"outcome", "accepted", N_("taken")},
        {"outcome", "duplicate", N_("duplicate")},
        {"outcome", "refused", N_("refused")},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i][0], name) == 0 && strcmp(values[i][1], value) == 0)
            return values[i][2] ? _(values[i][2]) : NULL;
    return value;
}

static const char *unit_title(const char *unit)
{
    return strcmp(unit, "WD") == 0  ? _("working days")
           : strcmp(unit, "D") == 0 ? _("days")
           : strcmp(unit, "M") == 0 ? _("months")
                                    : unit;
}

/* @object: where @value stands, since a date is told by its neighbour. False: nothing to show. */
static bool value_text(char *out, size_t size, const json_t *object, const char *name, const json_t *value)
{
    char when[PEOPLE_TEXT];
    const char *text = json_string_value(value), *precision = get_text(object, "precision");
    *out = '\0';
    if (json_is_integer(value) && ends_with(name, "_us")) {
        bool is_date = strcmp(name, "occurred_at_us") == 0 && precision && strcmp(precision, "date") == 0;
        snprintf(out, size, "%s", time_zone_text(when, json_integer_value(value), is_date));
    } else if (json_is_integer(value)) {
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(out, size, "%s", json_is_true(value) ? _("yes") : _("no"));
    } else if (text && strcmp(name, "kind") == 0 && kind_parse(text)) {
        snprintf(out, size, "%s", kind_title(kind_parse(text)));
    } else if (text && value_title(name, text)) {
        snprintf(out, size, "%s", value_title(name, text));
    }
    return *out != '\0';
}

static void line(const struct cli *cli, const char *name, const char *value)
{
    char shown[256];
    text_escape(shown, sizeof shown, name); /* a form's names come from departments */
    cli_field(cli, shown, NAME_WIDTH, value);
}

static void object_print(const struct cli *cli, const json_t *object);

static void array_print(const struct cli *cli, const char *name, const json_t *array)
{
    char text[4096];
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);
        if (strcmp(name, "receivers") == 0)
            line(cli, title_of(name), get_text(value, "node"));
        else if (strcmp(name, "material") == 0)
            line(cli, title_of(name), get_text(value, "type"));
        else if (strcmp(name, "field") == 0) /* of a form */
            line(cli, get_text(value, "name") ? get_text(value, "name") : "-", get_text(value, "value"));
        else if (json_is_object(value))
            object_print(cli, value);
        else if (value_text(text, sizeof text, NULL, name, value))
            line(cli, title_of(name), text);
    }
}

static void member_print(const struct cli *cli, const json_t *object, const char *name, const json_t *value)
{
    char text[4096];
    const char *unit = get_text(value, "unit");
    if (json_is_array(value)) {
        array_print(cli, name, value);
    } else if (unit) {
        snprintf(text, sizeof text, "%llu %s", (unsigned long long)get_number(value, "amount"),
                 unit_title(unit));
        line(cli, title_of(name), text);
    } else if (json_is_object(value)) {
        object_print(cli, value);
    } else if (value_text(text, sizeof text, object, name, value)) {
        line(cli, title_of(name), text);
    }
}

/* Depth is bounded by the answer's: an event has four levels. */
static void object_print(const struct cli *cli, const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!is_hidden(name))
            member_print(cli, object, name, value);
    }
}

static void parts_print(const struct cli *cli, const json_t *parts)
{
    char text[PEOPLE_TEXT];
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *content = json_object_get(part, "content");
        fputc('\n', cli->out);
        line(cli, part_title(get_text(part, "kind")), size_text(text, get_number(part, "size")));
        if (json_is_object(content))
            object_print(cli, content);
        else if (json_is_string(content))
            line(cli, title_of("content"), json_string_value(content));
    }
}

void event_print(const struct cli *cli, const json_t *event)
{
    object_print(cli, event);
    parts_print(cli, json_object_get(event, "parts"));
}

static int event_show(struct cli *cli, const struct show *show)
{
    struct casebus_error err = {0};
    char target[512];
    json_t *event;
    if (client_barrier(cli->client, &err) ||
        client_get(cli->client, &event, &err, "/v1/events/%s%s",
                   target_escape(target, sizeof target, show->id), show->parts ? "?parts=1" : ""))
        return cli_fail(cli, &err);
    if (cli->json)
        cli_print_json(cli, event);
    else
        event_print(cli, event);
    json_decref(event);
    return CLI_OK;
}

int event_show_main(struct cli *cli, int argc, char **argv)
{
    struct show show = {0};
    struct argp argp = {
        .options = show_options,
        .parser = show_parse,
        .args_doc = N_("ID"),
        .doc = N_("Shows one event. ID is its position in the ledger, its hash (64 hex digits), or "
                  "NODE:STREAM:NUMBER as its sender counted it; the last also tells of a duplicate or "
                  "refused event what became of it.")};
    cli_parse(cli, &argp, argc, argv, &show);
    int code = cli_connect(cli);
    return code ? code : event_show(cli, &show);
}
