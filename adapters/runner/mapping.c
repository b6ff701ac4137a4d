/* A mapping is a list of rules, one for each field of the event:
 *
 *   case_number: "{case_id}"                                        a pattern
 *   occurred_at: {column: time_timestamp, format: rfc3339}          a time
 *   kind: {column: activity, file: codes.csv, default: other}       a table of codes
 *   form: [clerk, group]                                            columns kept under their own names
 *
 * `kind` is made first, because fields of a kind ("step.action") are for events of that kind only and are
 * passed over for all others. What cannot depend on a row is tried on a scratch event while the configuration
 * is read: field names, constant values and every value of every table, so that they are faults of the
 * configuration and not of ten thousand rows. */
#include "adapters/runner/mapping.h"

#include "adapters/runner/pattern.h"
#include "adapters/runner/times.h"
#include "casebus/event.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <unistd.h>

enum { RULES_MAX = 320, VALUE_MAX = 256 * 1024, FORMATS_MAX = 4 };

enum rule_type { RULE_PATTERN, RULE_TIME, RULE_CODES };

struct rule {
    const char *field;
    enum rule_type type;
    struct pattern pattern;                /* what is read from the row, for all types */
    struct time_format times[FORMATS_MAX]; /* tried in this order */
    size_t n_times;
    struct codes values; /* of the configuration; they come before those of the file */
    struct codes file;
    const char *otherwise; /* for codes in neither, or an empty value; NULL: none */
    const char *group;     /* the kind whose field it is, such as "step"; NULL: of all */
    struct place place;
};

struct mapping {
    struct rule *rules; /* kind's is the first */
    size_t n;
    bool has_source_code;
    bool has_operation;
    bool backfill;
    const struct text_list *empty;
    struct buffer value;
    struct tally unmapped;
    struct casebus_event *scratch;
    struct arena *arena;
    struct faults *faults; /* while it is read */
};

struct rule_settings {
    const char *column;
    const char *pattern;
    const char *file;
    const char *from;
    const char *to;
    const char *otherwise;
    struct text_list formats;
    const char *zone;
    bool midnight;
};

#define AT(member) offsetof(struct rule_settings, member)

const struct setting mapping_settings[] = {
    {"column", SETTING_TEXT, "", AT(column), N_("The column to take"), NULL},
    {"pattern", SETTING_TEXT, "", AT(pattern), N_("A text with columns in it, such as \"{case_id}#{seq}\""),
     NULL},
    {"file", SETTING_READ, "", AT(file), N_("A CSV table of codes"), NULL},
    {"from", SETTING_TEXT, "from", AT(from), N_("Its column with the source's codes"), NULL},
    {"to", SETTING_TEXT, "to", AT(to), N_("Its column with the values to set"), NULL},
    {"default", SETTING_TEXT, "", AT(otherwise), N_("For codes that no table knows, and for empty values"),
     NULL},
    {"format", SETTING_LIST, "", AT(formats),
     N_("A time: rfc3339, date, or a pattern of strptime(3); or a list of them"), NULL},
    {"zone", SETTING_TEXT, "", AT(zone),
     N_("Of times that name none, such as \"+08:00\" (the default, but for rfc3339)"), NULL},
    {"midnight_is_date", SETTING_BOOL, "false", AT(midnight), N_("The source writes a date as its midnight"),
     NULL},
};
const size_t n_mapping_settings = sizeof mapping_settings / sizeof mapping_settings[0];

static const char *const required_fields[] = {"record_namespace", "record_id", "case_number", "kind",
                                              "occurred_at"};

/* ---- names ---- */

static const char *field_name_at(void *self, size_t index)
{
    (void)self;
    return casebus_event_field_name(index);
}

static bool field_is_known(const char *name)
{
    const char *known;
    if (strncmp(name, "form.", 5) == 0)
        return name[5] != '\0';
    for (size_t i = 0; (known = casebus_event_field_name(i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

/* Groups of fields that every event may have. */
static bool group_is_part(const char *group)
{
    static const char *const parts[] = {"identity", "contact", "form", "opinion"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(group, parts[i]) == 0)
            return true;
    return false;
}

static const char *group_of(const char *field, struct arena *arena)
{
    const char *point = strchr(field, '.');
    const char *group = point ? arena_printf(arena, "%.*s", (int)(point - field), field) : NULL;
    return group && !group_is_part(group) ? group : NULL;
}

/* Kinds that share their fields: special_begin and special_end, the matter_* ones. */
static bool group_is_of_kind(const char *group, const char *kind)
{
    size_t length = strlen(group);
    if (strcmp(group, "special") == 0 || strcmp(group, "matter") == 0)
        return strncmp(kind, group, length) == 0 && kind[length] == '_';
    return strcmp(group, kind) == 0;
}

struct column_names {
    const char *const *names;
    size_t n;
};

static const char *column_name_at(void *self, size_t index)
{
    const struct column_names *columns = self;
    return index < columns->n ? columns->names[index] : NULL;
}

void column_check(const char *column, const char *const *names, size_t n_names, const struct place *place,
                  struct faults *faults)
{
    struct column_names columns = {names, n_names};
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(names[i], column) == 0)
            return;
    const char *near = name_nearest(column, column_name_at, &columns);
    faults_add(faults, place, _("the source has no column '%s'"), column);
    if (near) {
        faults_hint(faults, _("did you mean '%s'?"), near);
        return;
    }
    char all[160] = "";
    size_t length = 0;
    for (size_t i = 0; i < n_names && length < sizeof all; i++)
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "", names[i]);
    utf8_cut(all);
    faults_hint(faults, _("it has: %s"), all);
}

/* ---- trying values while the configuration is read ---- */

static void value_try(struct mapping *mapping, const struct rule *rule, const char *value,
                      const struct place *place)
{
    struct casebus_error err = {0};
    if (value[0] == '\0')
        return;
    casebus_event_clear(mapping->scratch);
    if (casebus_event_set(mapping->scratch, rule->field, value, &err) != 0) {
        faults_add_error(mapping->faults, place, &err);
        if (strcmp(rule->field, "kind") == 0 && !err.hint[0])
            faults_hint(mapping->faults, _("`casebus-adapter explain map` lists the kinds"));
    }
}

static void rule_try(struct mapping *mapping, const struct rule *rule)
{
    if (rule->type == RULE_PATTERN && rule->pattern.n_columns == 0 && rule->pattern.n > 0) {
        struct row row = {0};
        struct pattern pattern = rule->pattern;
        if (pattern_render(&pattern, &row, NULL, &mapping->value) >= 0)
            value_try(mapping, rule, (const char *)mapping->value.data, &rule->place);
    }
    for (size_t i = 0; i < rule->values.n; i++)
        value_try(mapping, rule, rule->values.rows[i].to, &rule->values.rows[i].place);
    for (size_t i = 0; i < rule->file.n; i++)
        value_try(mapping, rule, rule->file.rows[i].to, &rule->file.rows[i].place);
    if (rule->otherwise)
        value_try(mapping, rule, rule->otherwise, &rule->place);
    if (rule->type == RULE_TIME) {
        struct casebus_error err;
        casebus_event_clear(mapping->scratch);
        if (casebus_event_set_time(mapping->scratch, rule->field, 0, 0, &err) != 0)
            faults_add_error(mapping->faults, &rule->place, &err);
    }
}

/* ---- reading ---- */

static struct rule *rule_new(struct mapping *mapping, const char *field, const struct place *place)
{
    if (mapping->n == RULES_MAX) {
        faults_add(mapping->faults, place, _("a mapping has at most %d fields"), RULES_MAX);
        return NULL;
    }
    struct rule *rule = &mapping->rules[mapping->n++];
    *rule = (struct rule){.field = field, .place = *place, .group = group_of(field, mapping->arena)};
    return rule;
}

static void pattern_take(struct mapping *mapping, struct rule *rule, const char *text)
{
    struct casebus_error err;
    if (pattern_parse(&rule->pattern, text, mapping->arena, &err) != 0)
        faults_add_error(mapping->faults, &rule->place, &err);
}

static void column_take(struct mapping *mapping, struct rule *rule, const char *column)
{
    struct casebus_error err;
    if (pattern_of_column(&rule->pattern, column, mapping->arena, &err) != 0)
        faults_add_error(mapping->faults, &rule->place, &err);
}

static void time_take(struct mapping *mapping, struct rule *rule, const struct rule_settings *settings)
{
    static const char *only[] = {"rfc3339"};
    struct text_list formats = settings->formats.n ? settings->formats : (struct text_list){only, 1};
    struct casebus_error err;
    rule->type = RULE_TIME;
    if (formats.n > FORMATS_MAX) {
        faults_add(mapping->faults, &rule->place, _("a time can have at most %d formats"), FORMATS_MAX);
        return;
    }
    for (size_t i = 0; i < formats.n; i++) {
        struct time_format *time = &rule->times[rule->n_times++];
        if (time_format_parse(time, formats.items[i], settings->zone, &err) != 0) {
            faults_add_error(mapping->faults, &rule->place, &err);
            return; /* the same zone would be wrong for each format */
        }
        time->midnight_is_date = settings->midnight;
    }
}

static void codes_take(struct mapping *mapping, struct rule *rule, const struct rule_settings *settings,
                       const struct tree_node *values)
{
    rule->type = RULE_CODES;
    if (values && values->type != TREE_MAP) {
        faults_add(mapping->faults, &values->place, _("'values' has to be a mapping (code: value)"));
        return;
    }
    for (const struct tree_node *value = values ? values->first : NULL; value; value = value->next) {
        if (value->type != TREE_TEXT)
            faults_add(mapping->faults, &value->place, _("the code '%s' has to have a single value"),
                       value->key);
        else if (!codes_add(&rule->values, value->key, value->text, &value->place))
            faults_add(mapping->faults, &value->place, _("a table of codes has at most %d rows"), CODES_MAX);
    }
    if (settings->file && access(settings->file, R_OK) == 0) /* else a fault told already */
        codes_add_file(&rule->file, settings->file, settings->from, settings->to, mapping->arena,
                       &rule->place, mapping->faults);
    codes_close(&rule->values, mapping->faults);
    codes_close(&rule->file, mapping->faults);
}

static void rule_take_map(struct mapping *mapping, struct rule *rule, const struct tree_node *node)
{
    static const char *const others[] = {"values", NULL};
    struct rule_settings settings = {0};
    settings_read(mapping_settings, n_mapping_settings, &settings, node, others, mapping->arena,
                  mapping->faults);
    if (!settings.column == !settings.pattern) {
        faults_add(mapping->faults, &node->place, _("'%s' needs either 'column' or 'pattern'"), rule->field);
        faults_hint(mapping->faults, _("such as %s: {column: NAME}"), rule->field);
    } else if (settings.column) {
        column_take(mapping, rule, settings.column);
    } else {
        pattern_take(mapping, rule, settings.pattern);
    }
    const struct tree_node *values = tree_find(node, "values");
    bool is_time = settings.formats.n || settings.zone || settings.midnight;
    if (is_time && (values || settings.file))
        faults_add(mapping->faults, &node->place, _("'%s' is either a time or a code, not both"),
                   rule->field);
    else if (is_time)
        time_take(mapping, rule, &settings);
    else if (values || settings.file)
        codes_take(mapping, rule, &settings, values);
    rule->otherwise = settings.otherwise;
}

static void rule_take(struct mapping *mapping, const char *field, const struct tree_node *node)
{
    if (!field_is_known(field)) {
        const char *near = name_nearest(field, field_name_at, NULL);
        faults_add(mapping->faults, &node->place, _("an event has no field '%s'"), field);
        if (near)
            faults_hint(mapping->faults, _("did you mean '%s'?"), near);
        else
            faults_hint(mapping->faults,
                        _("`casebus-adapter explain map` lists the fields; form.NAME takes any name"));
        return;
    }
    if (node->type == TREE_LIST) {
        for (const struct tree_node *item = node->first; item; item = item->next)
            rule_take(mapping, field, item); /* a field with several values */
        return;
    }
    struct rule *rule = rule_new(mapping, field, &node->place);
    if (!rule)
        return;
    size_t before = mapping->faults->n_all;
    if (node->type == TREE_TEXT)
        pattern_take(mapping, rule, node->text);
    else
        rule_take_map(mapping, rule, node);
    if (mapping->faults->n_all == before)
        rule_try(mapping, rule);
}

/* form: [a, b] keeps columns under their names; form: {name: rule} names them. */
static void form_take(struct mapping *mapping, const struct tree_node *node)
{
    if (node->type == TREE_TEXT)
        faults_add(mapping->faults, &node->place,
                   _("'form' is a list of columns, or a mapping (name: rule)"));
    for (const struct tree_node *item = node->first; item; item = item->next) {
        const char *name = item->key ? item->key : item->text;
        const char *field = arena_printf(mapping->arena, "form.%s", name);
        if (!field || name[0] == '\0' || (!item->key && item->type != TREE_TEXT)) {
            faults_add(mapping->faults, &item->place,
                       _("'form' is a list of columns, or a mapping (name: rule)"));
        } else if (item->key) {
            rule_take(mapping, field, item);
        } else {
            struct rule *rule = rule_new(mapping, field, &item->place);
            if (rule)
                column_take(mapping, rule, name);
        }
    }
}

static void kind_to_front(struct mapping *mapping)
{
    for (size_t i = 1; i < mapping->n; i++)
        if (strcmp(mapping->rules[i].field, "kind") == 0) {
            struct rule kind = mapping->rules[i];
            memmove(&mapping->rules[1], &mapping->rules[0], i * sizeof kind);
            mapping->rules[0] = kind;
            return;
        }
}

static bool has_field(const struct mapping *mapping, const char *field)
{
    for (size_t i = 0; i < mapping->n; i++)
        if (strcmp(mapping->rules[i].field, field) == 0)
            return true;
    return false;
}

static void required_check(struct mapping *mapping, const struct tree_node *section)
{
    for (size_t i = 0; i < sizeof required_fields / sizeof required_fields[0]; i++)
        if (!tree_find(section, required_fields[i])) {
            faults_add(mapping->faults, &section->place, _("the mapping lacks '%s'"), required_fields[i]);
            faults_hint(mapping->faults, _("every event needs it; `casebus-adapter explain map` shows how"));
        }
}

static void mapping_read(struct mapping *mapping, const struct tree_node *section)
{
    for (const struct tree_node *node = section->first; node; node = node->next) {
        if (strcmp(node->key, "form") == 0)
            form_take(mapping, node);
        else
            rule_take(mapping, node->key, node);
    }
    required_check(mapping, section);
    kind_to_front(mapping);
    mapping->has_source_code = has_field(mapping, "source_code");
    mapping->has_operation = has_field(mapping, "operation");
}

struct mapping *mapping_new(const struct tree_node *section, const struct text_list *empty, bool backfill,
                            struct arena *arena, struct faults *faults)
{
    if (section->type != TREE_MAP) {
        faults_add(faults, &section->place, _("'map' has to be a mapping (field: rule)"));
        return NULL;
    }
    struct mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping) {
        *mapping = (struct mapping){.empty = empty, .backfill = backfill, .arena = arena, .faults = faults};
        buffer_init(&mapping->value, VALUE_MAX);
        mapping->rules = calloc(RULES_MAX, sizeof *mapping->rules);
        mapping->scratch = casebus_event_new();
    }
    if (mapping && mapping->rules && mapping->scratch) {
        mapping_read(mapping, section);
        return mapping;
    }
    faults_add(faults, &section->place, _("no memory for the mapping"));
    return mapping_free(mapping);
}

struct mapping *mapping_free(struct mapping *mapping)
{
    if (!mapping)
        return NULL;
    for (size_t i = 0; mapping->rules && i < mapping->n; i++) {
        codes_deinit(&mapping->rules[i].values);
        codes_deinit(&mapping->rules[i].file);
    }
    free(mapping->rules);
    casebus_event_free(mapping->scratch);
    buffer_deinit(&mapping->value);
    tally_deinit(&mapping->unmapped);
    free(mapping);
    return NULL;
}

void mapping_check_columns(const struct mapping *mapping, const char *const *names, size_t n_names,
                           struct faults *faults)
{
    for (size_t i = 0; i < mapping->n; i++) {
        const struct rule *rule = &mapping->rules[i];
        for (size_t j = 0; j < rule->pattern.n; j++)
            if (rule->pattern.parts[j].is_column)
                column_check(rule->pattern.parts[j].text, names, n_names, &rule->place, faults);
    }
}

struct tally *mapping_unmapped(struct mapping *mapping)
{
    return &mapping->unmapped;
}

bool mapping_kind_has_default(const struct mapping *mapping)
{
    return mapping->n > 0 && mapping->rules[0].otherwise;
}

/* ---- applying ---- */

/* The column that a message should name: a rule mostly has one. */
static const char *rule_column(const struct rule *rule)
{
    for (size_t i = 0; i < rule->pattern.n; i++)
        if (rule->pattern.parts[i].is_column)
            return rule->pattern.parts[i].text;
    return NULL;
}

static int rule_failed(const struct rule *rule, struct casebus_error *err)
{
    const char *column = rule_column(rule);
    char hint[sizeof err->hint];
    memcpy(hint, err->hint, sizeof hint);
    if (column)
        error_context(err, _("column '%s'"), column);
    error_hint(err, "%s", hint);
    return -1;
}

static bool field_is_required(const char *field)
{
    for (size_t i = 0; i < sizeof required_fields / sizeof required_fields[0]; i++)
        if (strcmp(required_fields[i], field) == 0)
            return true;
    return false;
}

static int value_missing(const struct rule *rule, struct casebus_error *err)
{
    error_set(err, CASEBUS_ROW, _("it is empty, and '%s' needs it"), rule->field);
    error_hint(err, _("fill it in the source, or filter such rows out"));
    return rule_failed(rule, err);
}

static int code_unknown(const struct rule *rule, const char *code, struct casebus_error *err)
{
    error_set(err, CASEBUS_ROW, _("the code '%.80s' is in no table of '%s'"), code, rule->field);
    error_hint(err, _("add it to the table, or give '%s' a default"), rule->field);
    return rule_failed(rule, err);
}

/* The value for @code. Codes of `kind` that only its default covers are counted. */
static const char *code_translate(struct mapping *mapping, const struct rule *rule, const char *code)
{
    const char *to = codes_find(&rule->values, code);
    if (!to)
        to = codes_find(&rule->file, code);
    if (!to && rule == &mapping->rules[0])
        tally_count(&mapping->unmapped, code);
    return to ? to : rule->otherwise;
}

static int time_apply(const struct rule *rule, const char *value, struct casebus_event *event,
                      struct casebus_error *err)
{
    struct casebus_error further;
    int64_t unix_us;
    bool is_date;
    int r = -1;
    for (size_t i = 0; r != 0 && i < rule->n_times; i++)
        r = time_read(&rule->times[i], value, &unix_us, &is_date, i == 0 ? err : &further);
    if (r != 0 && rule->n_times > 1)
        error_hint(err, _("none of its %zu formats fits"), rule->n_times);
    if (r != 0 || casebus_event_set_time(event, rule->field, unix_us, is_date, err) != 0)
        return rule_failed(rule, err);
    return 0;
}

static int text_apply(const struct rule *rule, const char *value, struct casebus_event *event,
                      struct casebus_error *err)
{
    return value[0] == '\0' || casebus_event_set(event, rule->field, value, err) == 0
               ? 0
               : rule_failed(rule, err);
}

/* A source that writes the names of kinds itself, and perhaps others. */
static int kind_apply(struct mapping *mapping, const struct rule *rule, const char *value,
                      struct casebus_event *event, struct casebus_error *err)
{
    if (casebus_event_set(event, rule->field, value, err) == 0)
        return 0;
    tally_count(&mapping->unmapped, value);
    return rule->otherwise ? text_apply(rule, rule->otherwise, event, err) : rule_failed(rule, err);
}

static int rule_apply(struct mapping *mapping, struct rule *rule, const struct row *row,
                      struct casebus_event *event, struct casebus_error *err)
{
    bool required = field_is_required(rule->field);
    int answer = pattern_render(&rule->pattern, row, mapping->empty, &mapping->value);
    if (answer < 0) {
        error_set(err, CASEBUS_ROW, _("the value is longer than %d bytes"), VALUE_MAX);
        return rule_failed(rule, err);
    }
    const char *value = (const char *)mapping->value.data;
    if (required && answer == PATTERN_PARTLY)
        return value_missing(rule, err);
    if (answer == PATTERN_EMPTY || value[0] == '\0') {
        if (rule->otherwise)
            return text_apply(rule, rule->otherwise, event, err);
        return required ? value_missing(rule, err) : 0;
    }
    if (rule->type == RULE_TIME)
        return time_apply(rule, value, event, err);
    if (rule->type == RULE_PATTERN && rule == &mapping->rules[0])
        return kind_apply(mapping, rule, value, event, err);
    if (rule->type == RULE_PATTERN)
        return text_apply(rule, value, event, err);
    const char *to = code_translate(mapping, rule, value);
    return to ? text_apply(rule, to, event, err) : code_unknown(rule, value, err);
}

/* The code that `kind` was made from stays with the event. */
static int source_code_keep(struct mapping *mapping, struct casebus_event *event, struct casebus_error *err)
{
    const struct rule *kind = &mapping->rules[0];
    const char *code = (const char *)mapping->value.data; /* as kind's rule left it */
    if (mapping->has_source_code || kind->pattern.n_columns == 0 || code[0] == '\0')
        return 0;
    return casebus_event_set(event, "source_code", code, err) == 0 ? 0 : rule_failed(kind, err);
}

static int constants_apply(const struct mapping *mapping, struct casebus_event *event,
                           struct casebus_error *err)
{
    if (!mapping->has_operation && casebus_event_set(event, "operation", "put", err) != 0)
        return -1;
    return mapping->backfill ? casebus_event_set(event, "backfill", "true", err) : 0;
}

int mapping_apply(struct mapping *mapping, const struct row *row, struct casebus_event *event,
                  struct casebus_error *err)
{
    char kind[64];
    casebus_event_clear(event);
    if (rule_apply(mapping, &mapping->rules[0], row, event, err) != 0 ||
        source_code_keep(mapping, event, err) != 0 || constants_apply(mapping, event, err) != 0)
        return -1;
    if (!casebus_event_get(event, "kind", 0, kind, sizeof kind))
        kind[0] = '\0';
    for (size_t i = 1; i < mapping->n; i++) {
        struct rule *rule = &mapping->rules[i];
        if (rule->group && !group_is_of_kind(rule->group, kind))
            continue;
        if (rule_apply(mapping, rule, row, event, err) != 0)
            return -1;
    }
    return casebus_event_check(event, err);
}
