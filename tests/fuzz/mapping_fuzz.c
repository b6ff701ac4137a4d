/* An adapter's configuration, up to the first zero byte: its YAML, its settings of every kind, and its
 * mapping, which makes an event of a row whose values stand behind it. */
#include "adapters/runner/config.h"
#include "adapters/runner/settings.h"
#include "casebus/event.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define N_COLUMNS 5

static const char *const columns[N_COLUMNS] = {"case", "seq", "time", "kind", "note"};
static const char *const presets[N_COLUMNS] = {"A-1", "1", "2026-03-02T09:00:00+08:00", "step", "a note"};

struct text {
    char *yaml;
    char *values[N_COLUMNS];
};

/* Both as the program would have them: texts of their own, that end. */
static struct text text_take(const uint8_t *data, size_t size, char *copy)
{
    struct text text = {.yaml = copy};
    memcpy(copy, data, size);
    memset(copy + size, 0, N_COLUMNS + 1);
    char *at = copy + strlen(copy) + 1;
    for (size_t i = 0; i < N_COLUMNS && at < copy + size; i++, at += strlen(at) + 1)
        text.values[i] = utf8_valid(at, strlen(at)) ? at : NULL;
    return text;
}

static struct row row_of(const struct text *text, struct row_field fields[N_COLUMNS])
{
    for (size_t i = 0; i < N_COLUMNS; i++)
        fields[i] =
            (struct row_field){.name = columns[i], .value = text->values[i] ? text->values[i] : presets[i]};
    return (struct row){.number = 1, .line = 2, .fields = fields, .n_fields = N_COLUMNS};
}

static void apply(struct mapping *mapping, const struct text *text)
{
    struct row_field fields[N_COLUMNS];
    struct row row = row_of(text, fields);
    struct casebus_error err = {0};
    struct casebus_event *event = casebus_event_new();

    CLAIM(event);
    for (int i = 0; i < 2; i++)
        CLAIM(mapping_apply(mapping, &row, event, &err) == 0 || (err.code != CASEBUS_OK && err.text[0]));
    casebus_event_free(event);
}

static void settings_try(const struct setting *rows, size_t n, const struct tree_node *section,
                         struct arena *arena, struct faults *faults)
{
    union kind_config out;
    memset(&out, 0, sizeof out);
    settings_read(rows, n, out.bytes, section, settings_any, arena, faults);
}

static void sections_try(const struct tree_node *root, struct arena *arena, struct faults *faults)
{
    const struct tree_node *source = tree_find(root, "source"), *sink = tree_find(root, "sink");
    settings_try(general_settings, n_general_settings, root, arena, faults);
    settings_try(source_settings, n_source_settings, source, arena, faults);
    settings_try(sink_settings, n_sink_settings, sink, arena, faults);
    for (size_t i = 0; source_kinds[i]; i++)
        settings_try(source_kinds[i]->settings, source_kinds[i]->n_settings, source, arena, faults);
    for (size_t i = 0; sink_kinds[i]; i++)
        settings_try(sink_kinds[i]->settings, sink_kinds[i]->n_settings, sink, arena, faults);
}

static void mapping_try(const struct tree_node *section, const struct text *text, struct arena *arena,
                        struct faults *faults)
{
    const struct text_list empty = {0};
    size_t before = faults->n_all;
    struct mapping *mapping = mapping_new(section, &empty, false, arena, faults);

    if (mapping)
        mapping_check_columns(mapping, columns, N_COLUMNS, faults);
    if (mapping && faults->n_all == before)
        apply(mapping, text);
    mapping_free(mapping);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faults faults;
    struct arena arena;
    char *copy = malloc(size + N_COLUMNS + 1);

    CLAIM(copy);
    struct text text = text_take(data, size, copy);
    faults_init(&faults);
    arena_init(&arena, 64 * 1024, 16 * 1024 * 1024);
    struct tree_node *root = tree_parse(text.yaml, "fuzz", "/nonexistent", &arena, &faults);
    CLAIM(root || faults.n_all > 0);
    if (root && root->type == TREE_MAP) {
        tree_set(root, "map.area=320100", &arena, &faults);
        sections_try(root, &arena, &faults);
        if (tree_find(root, "map"))
            mapping_try(tree_find(root, "map"), &text, &arena, &faults);
    }
    arena_deinit(&arena);
    faults_deinit(&faults);
    free(copy);
    return 0;
}
