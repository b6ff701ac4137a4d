/* Which suite a ledger is of is written in each of its entries; the first one is as good as any, and who puts
 * another word into it gets other hashes. */
#include "hub/ledger/ledger.h"

#include "proto/codec/entry.h"

static enum suite_id suite_of_leaf(struct bytes leaf)
{
    struct arena arena;
    arena_init(&arena, 4096, ENTRY_MAX * 4);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &arena, NULL);
    enum suite_id id = entry ? (enum suite_id)entry->suite : SUITE_INTL;
    arena_deinit(&arena);
    return id;
}

const struct suite *ledger_suite(struct ledger *ledger)
{
    struct ledger_view *view = NULL;
    struct bytes leaf;
    const struct suite *suite = NULL;
    if (ledger_view_open(&view, ledger, NULL) == 0 && ledger_view_leaf(view, 0, &leaf, NULL) == 0)
        suite = suite_get(suite_of_leaf(leaf));
    ledger_view_close(view);
    return suite ? suite : suite_get(SUITE_INTL);
}
