/* What is no fault of a policy and yet worth a look: rows whose time is over, and rows for somebody whom
 * nobody enrolled, perhaps because a code is misspelt. */
#include "hub/cli/cli.h"
#include "hub/rights/rights_book.h"
#include "proto/base/calendar.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#define CHINA_OFFSET 480 /* minutes */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_to(const struct rights_to *a, const struct rights_to *b)
{
    return same_text(a->node, b->node) && same_text(a->department, b->department) &&
           same_text(a->area, b->area);
}

/* What is told once is not told again. */
static bool told_before(const struct rights *rights, size_t row, const struct rights_to *to)
{
    for (size_t i = 0; i < row; i++)
        if (same_to(&rights->rows[i].to, to) || same_to(&rights->rows[i].from, to))
            return true;
    return false;
}

static bool enrolled(const struct rights_to *to, const json_t *nodes)
{
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *status = get_text(node, "status");
        if (status && strcmp(status, "revoked") == 0)
            continue;
        if (to->node ? same_text(to->node, get_text(node, "node"))
                     : same_text(to->department, get_text(node, "department")) &&
                           (!to->area || same_text(to->area, get_text(node, "area"))))
            return true;
    }
    return false;
}

static void nobody_note(const char *file, const struct rights *rights, size_t row, const struct rights_to *to,
                        const json_t *nodes)
{
    unsigned line = (unsigned)rights->rows[row].line;
    if ((!to->node && !to->department) || enrolled(to, nodes) || told_before(rights, row, to))
        return;
    if (to->node)
        fprintf(stderr, _("%s:%u: note: no node '%s' is enrolled\n"), file, line, to->node);
    else if (to->area)
        fprintf(stderr, _("%s:%u: note: no node of department '%s' in area '%s' is enrolled\n"), file, line,
                to->department, to->area);
    else
        fprintf(stderr, _("%s:%u: note: no node of department '%s' is enrolled\n"), file, line,
                to->department);
}

void policy_notes(const char *file, const struct rights_book *book, const json_t *nodes)
{
    const struct rights *rights = rights_book_rights(book);
    int64_t now_us = clock_unix_us();
    for (size_t i = 0; i < rights->n_rows; i++) {
        const struct rights_row *row = &rights->rows[i];
        char day[11];
        if (row->until_us && row->until_us <= now_us && (i == 0 || rights->rows[i - 1].number != row->number))
            fprintf(stderr, _("%s:%u: note: entry %u ended with %s\n"), file, (unsigned)row->line,
                    (unsigned)row->number,
                    day_format(day, day_from_unix_us(row->until_us - 1, CHINA_OFFSET)));
        if (!nodes)
            continue;
        nobody_note(file, rights, i, &row->to, nodes);
        nobody_note(file, rights, i, &row->from, nodes);
    }
}
