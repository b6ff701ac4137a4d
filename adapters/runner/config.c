/* Every section is read whatever was wrong with the one before it, and the source is opened too, so that a
 * missing column is told together with a misspelt setting. */
#include "adapters/runner/config.h"

#include "adapters/runner/pattern.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/policy.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONFIG_SIZE_MAX = 64 << 20 };

#define GENERAL(member) offsetof(struct general, member)

const struct setting general_settings[] = {
    {"node", SETTING_DIR, NULL, GENERAL(node),
     N_("The folder that `casebus node add` wrote: enrolment and keys"), NULL},
    {"endpoint", SETTING_TEXT, "", GENERAL(endpoint), N_("Where the hub is, if not where the enrolment says"),
     NULL},
    {"witnesses", SETTING_READ, "", GENERAL(witnesses),
     N_("Policy file: whose cosignatures show that the hub shows everybody the same record"), NULL},
    {"witness_patience", SETTING_TEXT, "3600", GENERAL(witness_patience),
     N_("Seconds without their word after which a warning is logged"), NULL},
    {"outbox_keep_mb", SETTING_TEXT, "512", GENERAL(outbox_keep_mb),
     N_("MiB of acknowledged events that are kept until the hub has a second copy of them"), NULL},
    {"renew_days", SETTING_TEXT, "60", GENERAL(renew_days_text),
     N_("Days before its end on which the node's certificate is renewed, over the session"), NULL},
    {"rejects", SETTING_WRITE, "", GENERAL(rejects),
     N_("Where rows go that cannot be used; NODE/rejects.csv else"), NULL},
    {"backfill", SETTING_BOOL, "false", GENERAL(backfill), N_("This is history: it rings no clock"), NULL},
};
const size_t n_general_settings = sizeof general_settings / sizeof general_settings[0];

struct section {
    const char *kind;
    struct text_list empty_values;
};

#define SECTION(member) offsetof(struct section, member)

const struct setting source_settings[] = {
    {"kind", SETTING_TEXT, NULL, SECTION(kind), N_("What kind of source it is"), NULL},
    {"empty_values", SETTING_LIST, "", SECTION(empty_values),
     N_("What the source writes for nothing: [EMPTY, NIL]"), NULL},
};
const size_t n_source_settings = sizeof source_settings / sizeof source_settings[0];

const struct setting sink_settings[] = {
    {"kind", SETTING_TEXT, NULL, SECTION(kind), N_("What kind of sink it is"), NULL},
};
const size_t n_sink_settings = sizeof sink_settings / sizeof sink_settings[0];

/* ---- kinds ---- */

static const char *source_name_at(void *self, size_t index)
{
    (void)self;
    return source_kinds[index] ? source_kinds[index]->name : NULL;
}

static const char *sink_name_at(void *self, size_t index)
{
    (void)self;
    return sink_kinds[index] ? sink_kinds[index]->name : NULL;
}

static void kind_unknown(const struct tree_node *node, const char *(*name_at)(void *, size_t),
                         struct faults *faults)
{
    const char *near = name_nearest(node->text, name_at, NULL);
    faults_add(faults, &node->place, _("there is no kind '%s'"), node->text);
    if (near)
        faults_hint(faults, _("did you mean '%s'?"), near);
    else
        faults_hint(faults, _("`casebus-adapter explain` lists the kinds"));
}

static const struct source_kind *source_kind_find(const char *name)
{
    for (size_t i = 0; source_kinds[i]; i++)
        if (strcmp(source_kinds[i]->name, name) == 0)
            return source_kinds[i];
    return NULL;
}

static const struct sink_kind *sink_kind_find(const char *name)
{
    for (size_t i = 0; sink_kinds[i]; i++)
        if (strcmp(sink_kinds[i]->name, name) == 0)
            return sink_kinds[i];
    return NULL;
}

/* ---- sections ---- */

static void filters_read(struct config *config, const struct tree_node *section, struct faults *faults)
{
    const struct tree_node *node = tree_find(section, "filter");
    if (!node || (node->type == TREE_TEXT && node->text[0] == '\0'))
        return;
    if (node->type != TREE_MAP) {
        faults_add(faults, &node->place,
                   _("'filter' has to be a mapping (column: value, or a list of values)"));
        return;
    }
    size_t n = 0;
    for (const struct tree_node *child = node->first; child; child = child->next)
        n++;
    config->filters = arena_alloc(&config->arena, n * sizeof *config->filters + 1);
    if (!config->filters)
        return;
    for (const struct tree_node *child = node->first; child; child = child->next) {
        struct filter *filter = &config->filters[config->n_filters++];
        *filter = (struct filter){.column = child->key, .place = child->place};
        text_list_read(&filter->values, child, &config->arena, faults);
    }
}

static void source_open(struct config *config, const struct tree_node *section, struct faults *faults)
{
    struct casebus_error err;
    if (config->source_kind->open(&config->source, config->source_config.bytes, &err) != 0) {
        faults_add_error(faults, &section->place, &err);
        return;
    }
    const char *const *names;
    size_t n = config->source_kind->columns(config->source, &names);
    if (n == 0)
        return;
    for (size_t i = 0; i < config->n_filters; i++)
        column_check(config->filters[i].column, names, n, &config->filters[i].place, faults);
    if (config->mapping)
        mapping_check_columns(config->mapping, names, n, faults);
}

static void source_read(struct config *config, const struct tree_node *section, struct faults *faults)
{
    static const char *const others[] = {"kind", "filter", "empty_values", NULL};
    struct section common = {0};
    const struct tree_node *map = tree_find(config->root, "map");
    settings_read(source_settings, n_source_settings, &common, section, settings_any, &config->arena, faults);
    config->empty_values = common.empty_values;
    filters_read(config, section, faults);
    if (map)
        config->mapping =
            mapping_new(map, &config->empty_values, config->general.backfill, &config->arena, faults);
    else
        faults_add(faults, &section->place,
                   _("there is a 'source', but no 'map' that makes events of its rows"));
    if (!common.kind)
        return;
    config->source_kind = source_kind_find(common.kind);
    if (!config->source_kind) {
        kind_unknown(tree_find(section, "kind"), source_name_at, faults);
        return;
    }
    size_t before = faults->n_all;
    settings_read(config->source_kind->settings, config->source_kind->n_settings, config->source_config.bytes,
                  section, others, &config->arena, faults);
    if (faults->n_all == before)
        source_open(config, section, faults);
}

static void sink_read(struct config *config, const struct tree_node *section, struct faults *faults)
{
    static const char *const others[] = {"kind", NULL};
    struct section common = {0};
    settings_read(sink_settings, n_sink_settings, &common, section, settings_any, &config->arena, faults);
    if (!common.kind)
        return;
    config->sink_kind = sink_kind_find(common.kind);
    if (!config->sink_kind) {
        kind_unknown(tree_find(section, "kind"), sink_name_at, faults);
        return;
    }
    settings_read(config->sink_kind->settings, config->sink_kind->n_settings, config->sink_config.bytes,
                  section, others, &config->arena, faults);
}

/* Before anything starts: the folder is a node's. */
static void node_check(struct config *config, struct faults *faults)
{
    char path[PATH_MAX];
    const struct tree_node *node = tree_find(config->root, "node");
    if (!config->general.node || !node)
        return;
    if (path_join(path, sizeof path, config->general.node, "enrolment.json") == 0 && access(path, R_OK) == 0)
        return;
    faults_add(faults, &node->place, _("'%s' holds no enrolment.json that can be read"),
               config->general.node);
    faults_hint(faults, _("the hub's operator makes the folder: casebus node add NAME --out DIR"));
}

/* A number from 1 on, with at most eight digits. */
static void number_check(struct config *config, const char *name, const char *value, unsigned *out,
                         struct faults *faults, const char *hint)
{
    const struct tree_node *node = tree_find(config->root, name);
    char *end = NULL;
    if (value)
        *out = (unsigned)strtoul(value, &end, 10);
    if (node && value && (*end || value[0] < '1' || value[0] > '9' || strlen(value) > 8)) {
        faults_add(faults, &node->place, _("'%s' cannot be '%s'"), name, value);
        faults_hint(faults, "%s", hint);
    }
}

static void numbers_check(struct config *config, struct faults *faults)
{
    number_check(config, "witness_patience", config->general.witness_patience,
                 &config->general.witness_patience_s, faults,
                 _("it is a number of seconds, from 1 to 99999999"));
    number_check(config, "outbox_keep_mb", config->general.outbox_keep_mb, &config->general.outbox_keep,
                 faults, _("it is a number of MiB, from 1 to 99999999"));
    number_check(config, "renew_days", config->general.renew_days_text, &config->general.renew_days, faults,
                 _("it is a number of days, from 1 on; hubs renew from 90 days before the end on"));
}

/* Whose word counts is known before anything starts. */
static void witnesses_check(struct config *config, struct faults *faults)
{
    const struct tree_node *node = tree_find(config->root, "witnesses");
    struct policy *policy;
    struct casebus_error err;
    if (!node || !config->general.witnesses || access(config->general.witnesses, R_OK) != 0)
        return;
    if (policy_read(&policy, config->general.witnesses, &err) != 0)
        faults_add_error(faults, &node->place, &err);
    policy_free(policy);
}

static void rejects_default(struct config *config)
{
    if (!config->general.rejects && config->general.node)
        config->general.rejects = arena_printf(&config->arena, "%s/rejects.csv", config->general.node);
}

static void sections_read(struct config *config, bool backfill, enum config_purpose purpose,
                          struct faults *faults)
{
    static const char *const others[] = {"source", "map", "sink", NULL};
    settings_read(general_settings, n_general_settings, &config->general, config->root, others,
                  &config->arena, faults);
    config->general.backfill |= backfill;
    rejects_default(config);
    numbers_check(config, faults);
    witnesses_check(config, faults);
    if (purpose == CONFIG_TO_RUN)
        node_check(config, faults);
    const struct tree_node *source = tree_find(config->root, "source");
    const struct tree_node *sink = tree_find(config->root, "sink");
    if (source)
        source_read(config, source, faults);
    if (sink)
        sink_read(config, sink, faults);
    if (!source && !sink) {
        faults_add(faults, &config->root->place, _("there is neither a 'source' nor a 'sink'"));
        faults_hint(faults, _("`casebus-adapter explain` shows a whole configuration"));
    }
}

void config_init(struct config *config, const char *path, const char *const *sets, bool backfill,
                 enum config_purpose purpose, struct faults *faults)
{
    *config = (struct config){0};
    arena_init(&config->arena, 64 * 1024, CONFIG_SIZE_MAX);
    config->root = tree_read(path, &config->arena, faults);
    if (!config->root)
        return;
    if (config->root->type != TREE_MAP) {
        faults_add(faults, &config->root->place, _("the configuration has to be a mapping (name: value)"));
        return;
    }
    for (size_t i = 0; sets[i]; i++)
        tree_set(config->root, sets[i], &config->arena, faults);
    sections_read(config, backfill, purpose, faults);
}

void config_deinit(struct config *config)
{
    if (config->source)
        config->source_kind->close(config->source);
    mapping_free(config->mapping);
    arena_deinit(&config->arena);
    *config = (struct config){0};
}

bool config_row_passes(struct config *config, const struct row *row)
{
    for (size_t i = 0; i < config->n_filters; i++) {
        struct filter *filter = &config->filters[i];
        const char *value = row_find(row, filter->column, &filter->found_at);
        if (!text_list_has(&filter->values, value ? value : ""))
            return false;
    }
    return true;
}
