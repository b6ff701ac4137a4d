#include "hub/retention.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <libfyaml.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETENTION_MAX (1024 * 1024) /* bytes of the file */

static const char *text_of(struct fy_node *map, const char *name)
{
    struct fy_node *node = fy_node_mapping_lookup_by_string(map, name, (size_t)-1);
    return node ? fy_node_get_scalar0(node) : NULL;
}

/* Where a rule begins: at its first name. */
static int line_of(struct fy_node *rule)
{
    void *iterator = NULL;
    struct fy_node_pair *pair = fy_node_is_mapping(rule) ? fy_node_mapping_iterate(rule, &iterator) : NULL;
    struct fy_node *first = pair ? fy_node_pair_key(pair) : rule;
    struct fy_token *token = fy_node_is_scalar(first) ? fy_node_get_scalar_token(first) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

static int rule_wrong(const char *path, struct fy_node *rule, const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_CONFIG, _("'%s' line %d: %s"), path, line_of(rule), what);
}

static int rule_read(const char *path, struct fy_node *node, struct erasure_rule *rule,
                     struct casebus_error *err)
{
    if (!fy_node_is_mapping(node))
        return rule_wrong(path, node, _("expected item and days"), err);
    const char *item = text_of(node, "item"), *days = text_of(node, "days"), *basis = text_of(node, "basis");
    if (!item || !*item || strlen(item) >= sizeof rule->item)
        return rule_wrong(path, node, _("item is missing or too long; \"*\" is every one"), err);
    size_t size = days ? strlen(days) : 0;
    if (size == 0 || size > 6 || strspn(days, "0123456789") != size || strtoul(days, NULL, 10) == 0)
        return rule_wrong(path, node, _("days is no number of days"), err);
    rule->days = (uint32_t)strtoul(days, NULL, 10);
    if (rule->days < RETENTION_DAYS_LEAST && (!basis || !*basis))
        return rule_wrong(path, node, _("fewer than three years need a basis: name what allows it"), err);
    snprintf(rule->item, sizeof rule->item, "%s", strcmp(item, "*") == 0 ? "" : item);
    return 0;
}

static int rules_read(const char *path, struct fy_node *root, struct erasure_rule *rules, size_t *n,
                      size_t max, struct casebus_error *err)
{
    void *iterator = NULL;
    struct fy_node *node;
    *n = 0;
    if (!root || !fy_node_is_sequence(root))
        return error_set(err, CASEBUS_CONFIG, _("'%s' is no list of rules"), path);
    while ((node = fy_node_sequence_iterate(root, &iterator))) {
        if (*n == max)
            return error_set(err, CASEBUS_CONFIG, _("'%s' has more than %zu rules"), path, max);
        if (rule_read(path, node, &rules[*n], err))
            return -1;
        ++*n;
    }
    return *n > 0 ? 0 : error_set(err, CASEBUS_CONFIG, _("'%s' is no list of rules"), path);
}

static int syntax_wrong(const char *path, struct fy_diag *diag, struct casebus_error *err)
{
    void *iterator = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(diag, &iterator);
    if (!first)
        return error_set(err, CASEBUS_CONFIG, _("'%s' cannot be read as YAML"), path);
    return error_set(err, CASEBUS_CONFIG, _("'%s' line %d: %s"), path, first->line, first->msg);
}

int retention_read(const char *dir, struct erasure_rule *rules, size_t *n, size_t max,
                   struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof path, dir, "retention.yaml"))
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    if (access(path, R_OK) != 0) {
        error_set(err, CASEBUS_NOT_FOUND, _("there are no rules of retention: '%s' cannot be read"), path);
        return error_hint(err, _("see docs/erasure.md for what stands in it"));
    }
    struct buffer text;
    if (file_read(path, RETENTION_MAX, &text, err)) {
        buffer_deinit(&text);
        return -1;
    }
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (!diag) {
        buffer_deinit(&text);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), path);
    }
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET, .diag = diag};
    struct fy_document *document =
        utf8_valid(text.data, text.size) /* libfyaml does not come back from every text that is none */
            ? fy_document_build_from_string(&config, (const char *)text.data, text.size)
            : NULL;
    int r = document ? rules_read(path, fy_document_root(document), rules, n, max, err)
                     : syntax_wrong(path, diag, err);
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    buffer_deinit(&text);
    return r;
}
