/* Each row is looked at alone, in the order of the file; the one thing that rows say of each other is that a
 * competent department sees nothing of what it delegated but what supervision needs. */
#include "hub/exchange/rights.h"

#include <string.h>

#define BODY_SIZE      18 /* of a unified social credit code */
#define BASIC_SIZE     12
#define IMPLEMENT_SIZE 31 /* body 18, level 1, basic code 12 */
#define BASIC_AT       19 /* in an implementation code */
#define OTHER_BIT      63

uint64_t rights_kind_bit(Casebus__V1__Kind kind)
{
    if (kind == CASEBUS__V1__KIND__KIND_OTHER)
        return UINT64_C(1) << OTHER_BIT;
    return kind > 0 && kind < OTHER_BIT ? UINT64_C(1) << kind : 0;
}

bool rights_item_matches(const char *pattern, const char *item)
{
    size_t size = strlen(pattern), item_size = strlen(item);
    if (strcmp(pattern, "*") == 0)
        return true;
    if (size == BASIC_SIZE && item_size >= IMPLEMENT_SIZE)
        return strncmp(item + BASIC_AT, pattern, BASIC_SIZE) == 0;
    if (size == BODY_SIZE && item_size < IMPLEMENT_SIZE)
        return false;
    return size > 0 && strncmp(item, pattern, size) == 0;
}

static bool item_among(const struct rights_texts *items, const char *item)
{
    for (size_t i = 0; i < items->n; i++)
        if (rights_item_matches(items->items[i], item))
            return true;
    return items->n == 0;
}

static bool area_among(const struct rights_texts *areas, const char *area)
{
    for (size_t i = 0; i < areas->n; i++)
        if (*area && strncmp(area, areas->items[i], strlen(areas->items[i])) == 0)
            return true;
    return areas->n == 0;
}

bool rights_row_is_for(const struct rights_row *row, const struct rights_reader *reader)
{
    const struct rights_to *to = &row->to;
    if (to->node)
        return strcmp(to->node, reader->node) == 0;
    return to->department && strcmp(to->department, reader->department) == 0 &&
           (!to->area || strcmp(to->area, reader->area) == 0);
}

static bool same_to(const struct rights_to *a, const struct rights_to *b)
{
    return a->department && b->department && strcmp(a->department, b->department) == 0 &&
           (!a->area || !b->area || strcmp(a->area, b->area) == 0);
}

bool rights_row_runs(const struct rights_row *row, int64_t at_us)
{
    return at_us >= row->since_us && (row->until_us == 0 || at_us < row->until_us);
}

static bool row_covers(const struct rights_row *row, uint64_t kinds, const struct rights_subject *subject,
                       int64_t at_us)
{
    return rights_row_runs(row, at_us) && (kinds & rights_kind_bit(subject->kind)) != 0 &&
           item_among(&row->items, subject->item) && area_among(&row->areas, subject->area);
}

/* Whether somebody else decides what the row's department would be competent for. */
static bool delegated_away(const struct rights *rights, const struct rights_row *competent,
                           const struct rights_subject *subject, int64_t at_us)
{
    for (size_t i = 0; i < rights->n_rows; i++) {
        const struct rights_row *row = &rights->rows[i];
        if (row->relation == RIGHTS_DELEGATED && same_to(&row->from, &competent->to) &&
            row_covers(row, row->kinds, subject, at_us))
            return true;
    }
    return false;
}

enum rights_reason rights_row_says(const struct rights *rights, const struct rights_row *row,
                                   const struct rights_reader *reader, const struct rights_subject *subject,
                                   int64_t at_us)
{
    if (!rights_row_is_for(row, reader))
        return RIGHTS_OTHER_READER;
    if (!item_among(&row->items, subject->item))
        return RIGHTS_OTHER_ITEM;
    if (!area_among(&row->areas, subject->area))
        return RIGHTS_OTHER_AREA;
    if (!(row->kinds & rights_kind_bit(subject->kind)))
        return RIGHTS_OTHER_KIND;
    if (at_us < row->since_us)
        return RIGHTS_NOT_BEGUN;
    if (!rights_row_runs(row, at_us))
        return RIGHTS_ENDED;
    if (row->relation == RIGHTS_COMPETENT && delegated_away(rights, row, subject, at_us))
        return RIGHTS_DELEGATED_AWAY;
    return row->questions && !(row->questions & subject->answered) ? RIGHTS_NO_ANSWER : RIGHTS_LETS;
}

size_t rights_rows_about(const struct rights *rights, const struct rights_subject *subject, int64_t at_us,
                         const struct rights_row **rows)
{
    size_t n = 0;
    for (size_t i = 0; i < rights->n_rows; i++) {
        const struct rights_row *row = &rights->rows[i];
        if (row_covers(row, row->kinds | row->publish_kinds, subject, at_us) &&
            (row->relation != RIGHTS_COMPETENT || !delegated_away(rights, row, subject, at_us)))
            rows[n++] = row;
    }
    return n;
}

/* ---- remembered ---- */

static void memo_begin(struct rights_memo *memo, const struct rights *rights, int64_t at_us)
{
    memset(memo, 0, sizeof *memo);
    memo->rights = rights;
    memo->version = rights->version;
    memo->from_us = at_us;
    memo->until_us = INT64_MAX;
    for (size_t i = 0; i < rights->n_rows; i++) {
        const struct rights_row *row = &rights->rows[i];
        if (row->since_us > at_us && row->since_us < memo->until_us)
            memo->until_us = row->since_us;
        if (row->until_us > at_us && row->until_us < memo->until_us)
            memo->until_us = row->until_us;
    }
}

static bool memo_fits(const struct rights_memo *memo, const struct rights *rights, int64_t at_us)
{
    return memo->rights == rights && memo->version == rights->version && at_us >= memo->from_us &&
           at_us < memo->until_us;
}

static size_t memo_place(const struct rights_subject *subject)
{
    uint32_t hash = 2166136261u ^ (uint32_t)subject->kind;
    for (const char *p = subject->item; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    for (const char *p = subject->area; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    return (hash ^ hash >> 15) % RIGHTS_MEMO_SLOTS;
}

size_t rights_rows_recall(struct rights_memo *memo, const struct rights *rights,
                          const struct rights_subject *subject, int64_t at_us, const struct rights_row **rows)
{
    if (strlen(subject->item) >= sizeof memo->slots[0].item ||
        strlen(subject->area) >= sizeof memo->slots[0].area || subject->kind == 0)
        return rights_rows_about(rights, subject, at_us, rows);
    if (!memo_fits(memo, rights, at_us))
        memo_begin(memo, rights, at_us);
    size_t place = memo_place(subject);
    if (memo->slots[place].kind == subject->kind && strcmp(memo->slots[place].item, subject->item) == 0 &&
        strcmp(memo->slots[place].area, subject->area) == 0) {
        memcpy(rows, memo->slots[place].rows, memo->slots[place].n * sizeof *rows);
        return memo->slots[place].n;
    }
    size_t n = rights_rows_about(rights, subject, at_us, rows);
    memo->slots[place].kind = (Casebus__V1__Kind)0;
    if (n > RIGHTS_MEMO_ROWS)
        return n;
    strcpy(memo->slots[place].item, subject->item);
    strcpy(memo->slots[place].area, subject->area);
    memo->slots[place].kind = subject->kind;
    memo->slots[place].n = (uint32_t)n;
    memcpy(memo->slots[place].rows, rows, n * sizeof *rows);
    return n;
}

static void right_note(struct right *right, const struct rights_row *row)
{
    right->rule = row->number;
    right->relation = row->relation;
}

struct right rights_of(const struct rights_row *const *rows, size_t n, const struct rights_reader *reader,
                       const struct rights_subject *subject)
{
    struct right seen = {0}, told = {0};
    for (size_t i = 0; i < n; i++) {
        uint32_t answered = rows[i]->questions & subject->answered;
        struct right *right = rows[i]->questions ? &told : &seen;
        if (!(rows[i]->kinds & rights_kind_bit(subject->kind)) || !rights_row_is_for(rows[i], reader) ||
            (rows[i]->questions && !answered))
            continue;
        if (right->rule == 0)
            right_note(right, rows[i]);
        right->part_kinds |= rows[i]->part_kinds;
        right->questions |= rows[i]->questions;
    }
    return seen.rule ? seen : told;
}

uint32_t rights_publish_rule(const struct rights_row *const *rows, size_t n,
                             const struct rights_reader *sender, const struct rights_subject *subject)
{
    for (size_t i = 0; i < n; i++)
        if ((rows[i]->publish_kinds & rights_kind_bit(subject->kind)) && rights_row_is_for(rows[i], sender))
            return rows[i]->number;
    return 0;
}

const char *rights_relation_name(enum rights_relation relation)
{
    static const char *const names[] = {"none",        "grant", "competent",    "delegated",
                                        "supervising", "joint", "cross-region", "publishing"};
    return (unsigned)relation < sizeof names / sizeof *names ? names[relation] : names[0];
}
