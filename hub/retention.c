#include "hub/retention.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <libfyaml.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(struct fy_node *map, const char *name)
{
    struct fy_node *node = fy_node_mapping_lookup_by_string(map, name, (size_t)-1);
    return node ? fy_node_get_scalar0(node) : NULL;
}

static int rule_wrong(const char *path, size_t index, const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_CONFIG, _("'%s': rule %zu: %s"), path, index + 1, what);
}

static int rule_read(const char *path, size_t index, struct fy_node *node, struct erasure_rule *rule,
                     struct casebus_error *err)
{
    if (!fy_node_is_mapping(node))
        return rule_wrong(path, index, _("expected item and days"), err);
    const char *item = text_of(node, "item"), *days = text_of(node, "days"), *basis = text_of(node, "basis");
    if (!item || !*item || strlen(item) >= sizeof rule->item)
        return rule_wrong(path, index, _("item is missing or too long; \"*\" is every one"), err);
    size_t size = days ? strlen(days) : 0;
    if (size == 0 || size > 6 || strspn(days, "0123456789") != size || strtoul(days, NULL, 10) == 0)
        return rule_wrong(path, index, _("days is no number of days"), err);
    rule->days = (uint32_t)strtoul(days, NULL, 10);
    if (rule->days < RETENTION_DAYS_LEAST && (!basis || !*basis))
        return rule_wrong(path, index, _("fewer than three years need a basis: name what allows it"), err);
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
        if (rule_read(path, *n, node, &rules[*n], err))
            return -1;
        ++*n;
    }
    return *n > 0 ? 0 : error_set(err, CASEBUS_CONFIG, _("'%s' is no list of rules"), path);
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
    struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET};
    struct fy_document *document = fy_document_build_from_file(&quiet, path);
    if (!document)
        return error_set(err, CASEBUS_CONFIG, _("'%s' cannot be read as YAML"), path);
    int r = rules_read(path, fy_document_root(document), rules, n, max, err);
    fy_document_destroy(document);
    return r;
}
