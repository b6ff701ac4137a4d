/* A row of a table becomes a value of a struct. Every value is looked at, whatever was wrong with the one
 * before, so that all faults are told at once. */
#include "adapters/runner/settings.h"

#include "adapters/runner/faults.h"
#include "adapters/runner/tree.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct reader {
    void *out;
    struct arena *arena;
    struct faults *faults;
};

#define VALUE(reader, setting, type) (*(type *)(void *)((char *)(reader)->out + (setting)->offset))

/* ---- kinds of values ---- */

static const char *path_resolve(const struct reader *reader, const char *folder, const char *path)
{
    if (path[0] == '/' || strcmp(folder, ".") == 0)
        return arena_printf(reader->arena, "%s", path);
    return arena_printf(reader->arena, "%s/%s", folder, path);
}

static void file_check(const struct reader *reader, const char *path, const struct tree_node *node)
{
    struct stat status;
    if (access(path, R_OK) != 0) {
        faults_add(reader->faults, &node->place, _("the file '%s' cannot be read: %s"), path,
                   strerror(errno));
        faults_hint(reader->faults, _("check the path; a relative one starts at the configuration's folder"));
    } else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        faults_add(reader->faults, &node->place, _("'%s' is a folder, not a file"), path);
    }
}

static void folder_check(const struct reader *reader, const char *path, const struct tree_node *node)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length =
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (length < 0 || (size_t)length >= sizeof folder || access(folder, W_OK) != 0) {
        faults_add(reader->faults, &node->place, _("nothing can be written into the folder of '%s': %s"),
                   path, strerror(errno));
        faults_hint(reader->faults, _("make the folder, or give this user the right to write there"));
    }
}

static void path_read(const struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, const char *text)
{
    const char *path = path_resolve(reader, node ? node->folder : ".", text);
    VALUE(reader, setting, const char *) = path;
    if (!path || !node)
        return;
    if (setting->type == SETTING_READ)
        file_check(reader, path, node);
    else if (setting->type == SETTING_WRITE)
        folder_check(reader, path, node);
}

static const char *choice_at(void *self, size_t index)
{
    const char *const *choices = self;
    return choices[index];
}

static void choice_read(const struct reader *reader, const struct setting *setting,
                        const struct tree_node *node, const char *text)
{
    char all[200] = "";
    size_t length = 0;
    for (int i = 0; setting->choices[i]; i++) {
        if (strcasecmp(setting->choices[i], text) == 0) {
            VALUE(reader, setting, int) = i;
            return;
        }
        length +=
            (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "", setting->choices[i]);
        if (length >= sizeof all)
            length = sizeof all - 1;
    }
    const char *near = name_nearest(text, choice_at, (void *)(uintptr_t)setting->choices);
    faults_add(reader->faults, &node->place, _("'%s' cannot be '%s'"), setting->name, text);
    if (near)
        faults_hint(reader->faults, _("did you mean '%s'? it is one of: %s"), near, all);
    else
        faults_hint(reader->faults, _("it is one of: %s"), all);
}

static void char_read(const struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, const char *text)
{
    if (strcmp(text, "auto") == 0) {
        VALUE(reader, setting, char) = '\0';
        return;
    }
    bool is_tab = strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0;
    char c = is_tab ? '\t' : text[0];
    bool usable = (is_tab || (c && text[1] == '\0')) && (c == '\t' || (c >= ' ' && c < 127)) && c != '"';
    if (!usable) {
        faults_add(reader->faults, &node->place, _("'%s' cannot be '%s'"), setting->name, text);
        faults_hint(reader->faults, _("it is one ASCII character, such as ';' or tab, or auto"));
        return;
    }
    VALUE(reader, setting, char) = c;
}

static void bool_read(const struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, const char *text)
{
    bool yes = strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0;
    if (!yes && strcasecmp(text, "false") != 0 && strcasecmp(text, "no") != 0) {
        faults_add(reader->faults, &node->place, _("'%s' cannot be '%s'"), setting->name, text);
        faults_hint(reader->faults, _("it is true or false"));
        return;
    }
    VALUE(reader, setting, bool) = yes;
}

void text_list_read(struct text_list *list, const struct tree_node *node, struct arena *arena,
                    struct faults *faults)
{
    size_t n = 0;
    bool usable = node->type != TREE_MAP;
    *list = (struct text_list){0};
    for (const struct tree_node *item = node->first; item; item = item->next, n++)
        usable &= item->type == TREE_TEXT;
    if (!usable) {
        faults_add(faults, &node->place, _("'%s' has to be a value or a list of values"), node->key);
        return;
    }
    list->items = arena_alloc(arena, (n + 1) * sizeof *list->items);
    if (!list->items)
        return;
    if (node->type == TREE_TEXT)
        list->items[list->n++] = node->text;
    for (const struct tree_node *item = node->first; item; item = item->next)
        list->items[list->n++] = item->text;
}

/* ---- a table ---- */

static void value_read(const struct reader *reader, const struct setting *setting,
                       const struct tree_node *node, const char *text)
{
    switch (setting->type) {
    case SETTING_TEXT:
        VALUE(reader, setting, const char *) = text;
        break;
    case SETTING_READ:
    case SETTING_WRITE:
    case SETTING_DIR:
        path_read(reader, setting, node, text);
        break;
    case SETTING_CHOICE:
        choice_read(reader, setting, node, text);
        break;
    case SETTING_CHAR:
        char_read(reader, setting, node, text);
        break;
    case SETTING_BOOL:
        bool_read(reader, setting, node, text);
        break;
    case SETTING_LIST:
        break;
    }
}

static void setting_read(const struct reader *reader, const struct setting *setting,
                         const struct tree_node *section, const struct tree_node *node)
{
    if (node && setting->type == SETTING_LIST) {
        text_list_read(&VALUE(reader, setting, struct text_list), node, reader->arena, reader->faults);
        return;
    }
    if (node && node->type != TREE_TEXT) {
        faults_add(reader->faults, &node->place, _("'%s' has to be a single value"), setting->name);
        return;
    }
    bool given = node && node->text[0];
    if (!given && !setting->fallback) {
        faults_add(reader->faults,
                   node      ? &node->place
                   : section ? &section->place
                             : NULL,
                   _("'%s' is missing"), setting->name);
        faults_hint(reader->faults, "%s: %s", setting->name, _(setting->summary));
    } else if (given) {
        value_read(reader, setting, node, node->text);
    } else if (setting->fallback[0]) {
        value_read(reader, setting, NULL, setting->fallback);
    }
}

struct names {
    const struct setting *rows;
    size_t n_rows;
    const char *const *others;
};

static const char *names_at(void *self, size_t index)
{
    const struct names *names = self;
    return index < names->n_rows ? names->rows[index].name
                                 : (names->others ? names->others[index - names->n_rows] : NULL);
}

const char *const settings_any[] = {NULL};

static bool names_have(const struct names *names, const char *name)
{
    const char *known;
    if (names->others == settings_any)
        return true;
    for (size_t i = 0; (known = names_at((void *)(uintptr_t)names, i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

void settings_read(const struct setting *rows, size_t n_rows, void *out, const struct tree_node *section,
                   const char *const *others, struct arena *arena, struct faults *faults)
{
    struct reader reader = {out, arena, faults};
    struct names names = {rows, n_rows, others};
    if (section && section->type != TREE_MAP) {
        faults_add(faults, &section->place, _("'%s' has to be a mapping (name: value)"),
                   section->key ? section->key : "configuration");
        return;
    }
    for (const struct tree_node *node = section ? section->first : NULL; node; node = node->next) {
        if (names_have(&names, node->key))
            continue;
        const char *near = name_nearest(node->key, names_at, &names);
        faults_add(faults, &node->place, _("there is no setting '%s' here"), node->key);
        if (near)
            faults_hint(faults, _("did you mean '%s'?"), near);
        else
            faults_hint(faults, _("`casebus-adapter explain` shows what there is"));
    }
    for (size_t i = 0; i < n_rows; i++)
        setting_read(&reader, &rows[i], section, tree_find(section, rows[i].name));
}

/* ---- explain ---- */

void settings_print(const struct setting *rows, size_t n_rows, int indent)
{
    for (size_t i = 0; i < n_rows; i++) {
        const struct setting *row = &rows[i];
        char left[64];
        snprintf(left, sizeof left, "%s: %s", row->name, row->fallback ? row->fallback : "...");
        printf("%*s%-*s # %s%s", indent, "", 26 - indent, left, row->fallback ? "" : _("required. "),
               _(row->summary));
        for (size_t j = 0; row->choices && row->choices[j]; j++)
            printf("%s%s", j ? ", " : " (", row->choices[j]);
        printf("%s\n", row->choices ? ")" : "");
    }
}
