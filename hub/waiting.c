#include "hub/waiting.h"

#include "hub/exchange/exchange.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#define CODES_OF 1000 /* the oldest ones */

struct look {
    struct state_view *state;
    struct ledger_view *ledger;
    struct exchange_store store;
};

static int view_get(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
                    struct casebus_error *err)
{
    return state_view_get(((struct look *)self)->state, table, key, value, err);
}

/* Adds the code of what was refused at @position, unless it is told already. */
static void code_add(struct look *look, uint64_t position, struct arena *arena, struct waiting *waiting)
{
    struct bytes leaf;
    size_t size = strlen(waiting->codes);
    arena_reset(arena);
    if (ledger_view_leaf(look->ledger, position, &leaf, NULL))
        return;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, NULL);
    if (!entry || entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return;
    const char *code = casebus_code_text(casebus_code_parse(entry->act->quarantined->code));
    if (strstr(waiting->codes, code) || size + strlen(code) + 3 > sizeof waiting->codes)
        return;
    snprintf(waiting->codes + size, sizeof waiting->codes - size, "%s%s", size ? ", " : "", code);
}

static int chain_look(struct look *look, struct waiting *waiting, struct casebus_error *err)
{
    struct quarantine_chain chain;
    struct quarantine_row row;
    struct arena arena;
    int r = exchange_quarantine_chain(&look->store, &chain, err);
    waiting->n = r ? 0 : chain.count;
    arena_init(&arena, 4096, 1024 * 1024);
    uint64_t link = r ? 0 : chain.first;
    for (size_t i = 0; link && i < CODES_OF && !r; i++, link = row.after) {
        r = exchange_quarantine_get(&look->store, link - 1, &row, err) <= 0 ? -1 : 0;
        if (r)
            break;
        if (i == 0)
            waiting->oldest_us = row.refused_at_us;
        if (!look->ledger)
            break;
        code_add(look, link - 1, &arena, waiting);
    }
    arena_deinit(&arena);
    return r;
}

int waiting_look(struct waiting *waiting, struct ledger *ledger, struct state *state,
                 struct casebus_error *err)
{
    struct look look = {0};
    *waiting = (struct waiting){0};
    look.store = (struct exchange_store){.self = &look, .get = view_get};
    int r = state_view_open(&look.state, state, err);
    if (!r && ledger)
        r = ledger_view_open(&look.ledger, ledger, err);
    if (!r)
        r = chain_look(&look, waiting, err);
    if (look.ledger)
        ledger_view_close(look.ledger);
    if (look.state)
        state_view_close(look.state);
    return r;
}

void waiting_tell(struct ledger *ledger, struct state *state, const struct log *log)
{
    struct waiting waiting;
    struct casebus_error err = {0};
    char since[CLOCK_TEXT];
    if (waiting_look(&waiting, ledger, state, &err))
        log_error(log, "QUARANTINE-WAITS", "%s", err.text);
    else if (waiting.n > 0)
        log_warning(
            log, "QUARANTINE-WAITS",
            _("in quarantine and undecided: %llu, the oldest since %s (%s); look: casebus quarantine list"),
            (unsigned long long)waiting.n, clock_text(since, waiting.oldest_us / 1000000), waiting.codes);
}
