/* A pattern is cut into parts once and put together for every row. */
#include "adapters/runner/pattern.h"

#include "proto/base/arena.h"
#include "proto/base/error.h"
#include "proto/base/texts.h"

enum { PARTS_MAX = 32 };

static int part_add(struct pattern *pattern, const char *text, size_t size, bool is_column,
                    struct arena *arena, struct casebus_error *err)
{
    if (pattern->n == PARTS_MAX)
        return error_set(err, CASEBUS_CONFIG, _("a text with at most %d parts can be used"), PARTS_MAX);
    char *copy = arena_printf(arena, "%.*s", (int)size, text);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("the configuration is too large"));
    pattern->parts[pattern->n++] = (struct pattern_part){.text = copy, .is_column = is_column};
    pattern->n_columns += is_column;
    return 0;
}

static int pattern_init(struct pattern *pattern, struct arena *arena, struct casebus_error *err)
{
    *pattern = (struct pattern){.parts = arena_alloc(arena, PARTS_MAX * sizeof *pattern->parts)};
    return pattern->parts ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("the configuration is too large"));
}

int pattern_of_column(struct pattern *pattern, const char *name, struct arena *arena,
                      struct casebus_error *err)
{
    if (pattern_init(pattern, arena, err) != 0)
        return -1;
    return part_add(pattern, name, strlen(name), true, arena, err);
}

static int brace_unclosed(const char *text, struct casebus_error *err)
{
    error_set(err, CASEBUS_CONFIG, _("in \"%s\" a brace has no partner"), text);
    return error_hint(err, _("a column is written {name}; a brace itself is written {{ or }}"));
}

int pattern_parse(struct pattern *pattern, const char *text, struct arena *arena, struct casebus_error *err)
{
    if (pattern_init(pattern, arena, err) != 0)
        return -1;
    for (const char *at = text; *at;) {
        size_t plain = strcspn(at, "{}");
        if (plain > 0) {
            if (part_add(pattern, at, plain, false, arena, err) != 0)
                return -1;
            at += plain;
        } else if (at[0] == at[1]) {
            if (part_add(pattern, at, 1, false, arena, err) != 0)
                return -1;
            at += 2;
        } else {
            size_t size = at[0] == '{' ? strcspn(at + 1, "{}") : 0;
            if (size == 0 || at[1 + size] != '}')
                return brace_unclosed(text, err);
            if (part_add(pattern, at + 1, size, true, arena, err) != 0)
                return -1;
            at += size + 2;
        }
    }
    return 0;
}

const char *row_find(const struct row *row, const char *name, size_t *hint)
{
    if (hint && *hint < row->n_fields && strcmp(row->fields[*hint].name, name) == 0)
        return row->fields[*hint].value;
    for (size_t i = 0; i < row->n_fields; i++)
        if (strcmp(row->fields[i].name, name) == 0) {
            if (hint)
                *hint = i;
            return row->fields[i].value;
        }
    return NULL;
}

bool text_list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; list && i < list->n; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

int pattern_render(struct pattern *pattern, const struct row *row, const struct text_list *empty,
                   struct buffer *out)
{
    size_t n_empty = 0;
    buffer_reset(out);
    for (size_t i = 0; i < pattern->n; i++) {
        struct pattern_part *part = &pattern->parts[i];
        const char *text = part->is_column ? row_find(row, part->text, &part->found_at) : part->text;
        if (part->is_column && (!text || text[0] == '\0' || text_list_has(empty, text))) {
            n_empty++;
            continue;
        }
        if (!buffer_append(out, text, strlen(text)))
            return -1;
    }
    if (!buffer_append(out, "", 1))
        return -1;
    if (n_empty == 0)
        return PATTERN_FULL;
    return n_empty == pattern->n_columns ? PATTERN_EMPTY : PATTERN_PARTLY;
}
