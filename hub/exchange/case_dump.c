/* Written by hand, since the core links no JSON library and the only texts in it are case numbers. Fields
 * stand in a fixed order. */
#include "hub/exchange/case_dump.h"

#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <inttypes.h>

/* @text is valid UTF-8 (the codec checked it). */
static bool put_text(struct buffer *out, const char *text)
{
    bool ok = buffer_append(out, "\"", 1);
    for (const char *p = text; ok && *p;) {
        char escaped[POINT_JSON];
        uint32_t point;
        bool unsafe;
        size_t n = text_point(p, &point, &unsafe);
        if (*p == '"' || *p == '\\')
            ok = buffer_printf(out, "\\%c", *p);
        else if (unsafe)
            ok = buffer_printf(out, "%s", point_json(escaped, point));
        else
            ok = buffer_append(out, p, n);
        p += n;
    }
    return ok && buffer_append(out, "\"", 1);
}

static bool put_name(struct buffer *out, const char *field, const char *name, unsigned value)
{
    return name ? buffer_printf(out, ",\"%s\":\"%s\"", field, name)
                : buffer_printf(out, ",\"%s\":%u", field, value);
}

static bool put_state(struct buffer *out, const struct case_state *state)
{
    return buffer_printf(out,
                         ",\"status\":\"%s\",\"n_records\":%" PRIu32 ",\"n_deleted\":%" PRIu32
                         ",\"n_conflicts\":%" PRIu32 ",\"applied_at_us\":%" PRId64
                         ",\"received_at_us\":%" PRId64 ",\"accepted_at_us\":%" PRId64,
                         case_status_name(state->status), state->n_records, state->n_deleted,
                         state->n_conflicts, state->applied_at_us, state->received_at_us,
                         state->accepted_at_us) &&
           buffer_printf(out,
                         ",\"decided_at_us\":%" PRId64 ",\"finished_at_us\":%" PRId64
                         ",\"first_at_us\":%" PRId64 ",\"last_at_us\":%" PRId64
                         ",\"finish_kind_plus1\":%u,\"findings\":%u",
                         state->decided_at_us, state->finished_at_us, state->first_at_us, state->last_at_us,
                         state->finish_kind_plus1, state->findings);
}

static bool put_record(struct buffer *out, const struct case_record *record, bool first)
{
    char key[2 * RECORD_KEY_SIZE + 1];
    hex_encode(key, record->key, RECORD_KEY_SIZE);
    return buffer_printf(out, "%s{\"key\":\"%s\",\"revision\":%" PRIu64, first ? "" : ",", key,
                         record->revision) &&
           put_name(out, "operation", operation_name((Casebus__V1__Operation)record->operation),
                    record->operation) &&
           put_name(out, "kind", kind_name((Casebus__V1__Kind)record->kind), record->kind) &&
           buffer_printf(
               out, ",\"occurred_at_us\":%" PRId64 ",\"precision\":%u,\"detail\":%" PRIu32 ",\"flags\":%u}",
               record->occurred_at_us, record->precision, record->detail, record->flags);
}

static void sort_texts(const char **texts, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && strcmp(texts[j - 1], texts[j]) > 0; j--) {
            const char *kept = texts[j];
            texts[j] = texts[j - 1];
            texts[j - 1] = kept;
        }
}

static bool put_aliases(struct buffer *out, const struct case_told *told)
{
    bool ok = buffer_printf(out, ",\"aliases\":[");
    for (size_t i = 0; ok && i < told->n_aliases; i++)
        ok = (i == 0 || buffer_append(out, ",", 1)) && put_text(out, told->aliases[i]);
    return ok && buffer_printf(out, "]");
}

static bool put_case(struct buffer *out, const struct case_told *told, const struct case_state *state)
{
    bool ok = buffer_printf(out, "{\"number\":") && put_text(out, told->number) && put_aliases(out, told) &&
              put_state(out, state) && buffer_printf(out, ",\"records\":[");
    for (uint32_t i = 0; ok && i < told->n_records; i++)
        ok = put_record(out, &told->records[i], i == 0);
    return ok && buffer_printf(out, "]}\n");
}

int case_dump(struct buffer *out, struct case_told *told, struct casebus_error *err)
{
    struct case_state state;
    sort_texts(told->aliases, told->n_aliases);
    case_fold(told->records, told->n_records, &state); /* puts them into their order, too */
    if (put_case(out, told, &state))
        return 0;
    return error_set(err, CASEBUS_TOO_LARGE, _("the dump of a case does not fit into memory"));
}
