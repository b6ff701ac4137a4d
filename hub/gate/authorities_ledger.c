#include "hub/gate/authorities_ledger.h"

#include "hub/exchange/tables.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/succession.h"

#define LEAVES_A_LOOK 4096 /* a read transaction lives no longer */

struct reading {
    struct authorities *authorities;
    struct ledger_view *ledger;
    struct arena arena;
    struct casebus_error *err;
};

static int act_take(struct reading *reading, const Casebus__V1__ActEntry *act)
{
    struct bytes authority;
    if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
        return authorities_add(
            reading->authorities,
            bytes_of(act->ledger_opened->authority.data, act->ledger_opened->authority.len), reading->err);
    if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED &&
        succession_names(act->hub_keys_changed, authorities_newest(reading->authorities), &reading->arena,
                         &authority))
        return authorities_add(reading->authorities, authority, reading->err);
    return 0;
}

static int entry_take(struct reading *reading, uint64_t position)
{
    struct bytes leaf;
    arena_reset(&reading->arena);
    if (ledger_view_leaf(reading->ledger, position, &leaf, reading->err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &reading->arena, reading->err);
    if (!entry)
        return error_context(reading->err, _("entry %llu of the ledger"), (unsigned long long)position);
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ? act_take(reading, entry->act) : 0;
}

static int change_visit(void *self, struct bytes key, struct bytes value)
{
    size_t label = sizeof HUB_KEYS_LABEL;
    (void)value;
    if (key.size != label + 8 || memcmp(key.data, HUB_KEYS_LABEL, label) != 0)
        return 1;
    return entry_take(self, get_u64be(key.data + label));
}

static int changes_take(struct reading *reading, struct state *state)
{
    struct state_view *view = NULL;
    if (state_view_open(&view, state, reading->err))
        return -1;
    int r = state_view_walk(view, TABLE_META, bytes_of(HUB_KEYS_LABEL, sizeof HUB_KEYS_LABEL), change_visit,
                            reading, reading->err);
    state_view_close(view);
    return r < 0 ? -1 : 0;
}

static int all_take(struct reading *reading)
{
    for (uint64_t i = 1; i < ledger_view_size(reading->ledger); i++)
        if (entry_take(reading, i) ||
            (i % LEAVES_A_LOOK == 0 && ledger_view_renew(reading->ledger, reading->err)))
            return -1;
    return 0;
}

int authorities_read(struct authorities *authorities, struct ledger *ledger, struct state *state,
                     struct casebus_error *err)
{
    struct reading reading = {.authorities = authorities, .err = err};
    arena_init(&reading.arena, 16 * 1024, 16 * 1024 * 1024);
    int r = ledger_view_open(&reading.ledger, ledger, err);
    if (r == 0 && ledger_view_size(reading.ledger) > 0)
        r = entry_take(&reading, 0) || (state ? changes_take(&reading, state) : all_take(&reading));
    if (reading.ledger)
        ledger_view_close(reading.ledger);
    arena_deinit(&reading.arena);
    return r ? -1 : 0;
}
