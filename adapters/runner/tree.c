/* libfyaml reads the file; the rest of the program sees only these nodes. So --set can change a value like
 * the file would have written it, every value can tell its line, and no lifetime depends on the parser's.
 * Aliases are refused: they save nothing in a file of one page, and they are how a small file becomes a large
 * one. */
#include "adapters/runner/tree.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <libfyaml.h>
#include <limits.h>
#include <stdlib.h>

enum { FILE_MAX = 4 << 20, DEPTH_MAX = 16 };

struct reading {
    const char *name;
    const char *folder;
    struct arena *arena;
    struct faults *faults;
};

static void out_of_memory(const struct reading *reading)
{
    faults_add(reading->faults, &(struct place){.file = reading->name}, _("the configuration is too large"));
}

static struct tree_node *node_new(const struct reading *reading, enum tree_type type, struct place place)
{
    struct tree_node *node = arena_alloc(reading->arena, sizeof *node);
    if (!node) {
        out_of_memory(reading);
        return NULL;
    }
    *node = (struct tree_node){.type = type, .place = place, .folder = reading->folder, .text = ""};
    return node;
}

static void child_append(struct tree_node *parent, struct tree_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static struct fy_token *first_token(struct fy_node *from)
{
    return fy_node_is_scalar(from) ? fy_node_get_scalar_token(from) : NULL;
}

static struct place place_of(const struct reading *reading, struct fy_node *from, struct place otherwise)
{
    struct fy_token *token = first_token(from);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return otherwise;
    return (struct place){reading->name, (unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static const char *text_of(const struct reading *reading, struct fy_node *from, const struct place *place)
{
    size_t size = 0;
    const char *text = fy_node_get_scalar(from, &size);
    if (!text)
        return "";
    if (!utf8_valid(text, size)) {
        faults_add(reading->faults, place, _("this text is not valid UTF-8 or holds a NUL"));
        return "";
    }
    char *copy = arena_alloc(reading->arena, size + 1);
    if (!copy) {
        out_of_memory(reading);
        return "";
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static struct tree_node *node_take(const struct reading *reading, struct fy_node *from, struct place place,
                                   unsigned depth);

static void map_take(const struct reading *reading, struct fy_node *from, struct tree_node *node,
                     unsigned depth)
{
    void *at = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(from, &at))) {
        struct fy_node *key = fy_node_pair_key(pair);
        struct place place = place_of(reading, key, node->place);
        if (!key || !fy_node_is_scalar(key) || fy_node_is_alias(key)) {
            faults_add(reading->faults, &place, _("a name has to be a plain text"));
            continue;
        }
        struct tree_node *child = node_take(reading, fy_node_pair_value(pair), place, depth + 1);
        if (!child)
            continue;
        child->key = text_of(reading, key, &place);
        child_append(node, child);
    }
}

static void list_take(const struct reading *reading, struct fy_node *from, struct tree_node *node,
                      unsigned depth)
{
    void *at = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(from, &at))) {
        struct tree_node *child = node_take(reading, item, place_of(reading, item, node->place), depth + 1);
        if (child)
            child_append(node, child);
    }
}

/* @place: of its key, or of itself. */
static struct tree_node *node_take(const struct reading *reading, struct fy_node *from, struct place place,
                                   unsigned depth)
{
    if (depth > DEPTH_MAX) {
        faults_add(reading->faults, &place, _("more than %d levels are nested"), DEPTH_MAX);
        return NULL;
    }
    if (from && fy_node_is_alias(from)) {
        faults_add(reading->faults, &place, _("an alias (*name) cannot be used here"));
        faults_hint(reading->faults, _("write the value out"));
        return NULL;
    }
    if (!from || fy_node_is_scalar(from)) {
        struct tree_node *node = node_new(reading, TREE_TEXT, place);
        if (node && from)
            node->text = text_of(reading, from, &place);
        return node;
    }
    bool is_map = fy_node_is_mapping(from);
    struct tree_node *node = node_new(reading, is_map ? TREE_MAP : TREE_LIST, place);
    if (node && is_map)
        map_take(reading, from, node, depth);
    else if (node)
        list_take(reading, from, node, depth);
    return node;
}

static void syntax_faults(const struct reading *reading, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *error;
    size_t before = reading->faults->n_all;
    while ((error = fy_diag_errors_iterate(diag, &at))) {
        struct place place = {reading->name, error->line > 0 ? (unsigned)error->line : 0,
                              error->column > 0 ? (unsigned)error->column : 0};
        faults_add(reading->faults, &place, _("not valid YAML: %s"), error->msg ? error->msg : "?");
    }
    if (reading->faults->n_all > before)
        return;
    faults_add(reading->faults, &(struct place){.file = reading->name}, _("there is no YAML in this file"));
    faults_hint(reading->faults, _("`casebus-adapter explain` shows a whole configuration"));
}

/* libfyaml 0.7.2 never comes back from a directive (%...) with a byte in it that is no UTF-8. */
static struct tree_node *document_take(const struct reading *reading, const char *text, size_t size)
{
    if (!utf8_valid(text, size)) {
        faults_add(reading->faults, &(struct place){.file = reading->name},
                   _("the configuration is not UTF-8 text"));
        return NULL;
    }
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (!diag)
        return NULL;
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_AUTO | FYPCF_JSON_NONE,
                                  .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&config, text, size);
    struct tree_node *root = NULL;
    if (!document) {
        syntax_faults(reading, diag);
    } else {
        struct place begin = {reading->name, 1, 1};
        root = node_take(reading, fy_document_root(document), begin, 0);
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    return root;
}

struct tree_node *tree_parse(const char *text, const char *name, const char *folder, struct arena *arena,
                             struct faults *faults)
{
    struct reading reading = {name, folder, arena, faults};
    return document_take(&reading, text, strlen(text));
}

static const char *folder_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return arena_printf(arena, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

struct tree_node *tree_read(const char *path, struct arena *arena, struct faults *faults)
{
    struct buffer content;
    struct casebus_error err;
    struct tree_node *root = NULL;
    const char *name = arena_printf(arena, "%s", path);
    const char *folder = folder_of(path, arena);
    if (file_read(path, FILE_MAX, &content, &err) != 0)
        faults_add_error(faults, NULL, &err);
    else if (name && folder) {
        struct reading reading = {name, folder, arena, faults};
        root = document_take(&reading, (const char *)content.data, content.size);
    }
    buffer_deinit(&content);
    return root;
}

struct tree_node *tree_find(const struct tree_node *node, const char *key)
{
    if (!node || node->type != TREE_MAP)
        return NULL;
    for (struct tree_node *child = node->first; child; child = child->next)
        if (child->key && strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

/* ---- --set ---- */

/* The next name of a dotted path; "\." is a dot. Moves @path behind it. */
static char *path_step(const char **path, const char *end, struct arena *arena)
{
    char *name = arena_alloc(arena, (size_t)(end - *path) + 1);
    size_t n = 0;
    if (!name)
        return NULL;
    for (; *path < end && **path != '.'; (*path)++) {
        if (**path == '\\' && *path + 1 < end)
            (*path)++;
        name[n++] = **path;
    }
    name[n] = '\0';
    if (*path < end)
        (*path)++;
    return name;
}

static struct tree_node *child_make(struct tree_node *parent, const char *key, const struct reading *reading)
{
    struct tree_node *child = tree_find(parent, key);
    if (child)
        return child;
    if (parent->type != TREE_MAP) { /* an empty value, or one that is replaced by what is below it */
        parent->type = TREE_MAP;
        parent->first = parent->last = NULL;
    }
    child = node_new(reading, TREE_TEXT, (struct place){.file = reading->name});
    if (child) {
        child->key = key;
        child_append(parent, child);
    }
    return child;
}

static void value_put(struct tree_node *node, const char *value, const struct reading *reading)
{
    node->place = (struct place){.file = reading->name};
    node->folder = reading->folder;
    node->type = TREE_TEXT;
    node->text = value;
    if (value[0] != '[' && value[0] != '{')
        return;
    struct tree_node *parsed = document_take(reading, value, strlen(value));
    if (!parsed)
        return;
    node->type = parsed->type;
    node->first = parsed->first;
    node->last = parsed->last;
}

void tree_set(struct tree_node *root, const char *assignment, struct arena *arena, struct faults *faults)
{
    const char *name = arena_printf(arena, "--set %s", assignment);
    char *copy = arena_copy(arena, assignment, strlen(assignment) + 1);
    struct reading reading = {name, ".", arena, faults};
    char *equals = copy ? strchr(copy, '=') : NULL;
    if (!name || !copy)
        return;
    if (!equals || equals == copy) {
        faults_add(faults, &(struct place){.file = name}, _("it has to be NAME=VALUE"));
        faults_hint(faults, _("such as --set source.file=/data/today.csv"));
        return;
    }
    struct tree_node *node = root;
    for (const char *path = copy; node && path < equals;) {
        const char *key = path_step(&path, equals, arena);
        node = key ? child_make(node, key, &reading) : NULL;
    }
    if (node)
        value_put(node, equals + 1, &reading);
}
