/* Nearly always the opening entry tells. Only when it names another one are the acts after it read. */
#include "hub/authority.h"

#include "proto/base/arena.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#define LEAVES_A_LOOK 4096 /* a read transaction lives no longer */
#define STATEMENT_MAX 4096

static struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static bool changed_to(const Casebus__V1__HubKeysChanged *changed, struct bytes authority,
                       struct arena *arena)
{
    static const struct codec_limits limits = {.max_size = STATEMENT_MAX, .max_fields = 32, .max_depth = 1};
    const Casebus__V1__HubKeysStatement *statement = (const Casebus__V1__HubKeysStatement *)codec_unpack(
        &casebus__v1__hub_keys_statement__descriptor, bytes_of_data(changed->statement), &limits, arena,
        NULL);
    return statement && bytes_equal(bytes_of_data(statement->authority), authority);
}

/* 1: this entry names it; 0: it does not. */
static int entry_look(struct ledger_view *view, uint64_t position, struct bytes authority,
                      struct arena *arena, struct casebus_error *err)
{
    struct bytes leaf;
    arena_reset(arena);
    if (ledger_view_leaf(view, position, &leaf, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, err);
    if (!entry)
        return error_context(err, _("entry %llu of the ledger"), (unsigned long long)position);
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        return 0;
    if (entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
        return bytes_equal(bytes_of_data(entry->act->ledger_opened->authority), authority);
    return entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED &&
           changed_to(entry->act->hub_keys_changed, authority, arena);
}

int authority_fits(struct ledger *ledger, struct bytes authority, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct arena arena;
    size_t n;
    const struct ledger_generation *generations = ledger_generations(ledger, &n);
    uint64_t first = generations[n - 1].position, position = first;
    if (ledger_view_open(&view, ledger, err))
        return -1;
    arena_init(&arena, 64 * 1024, 16 * 1024 * 1024);
    int found = ledger_view_size(view) == 0;
    for (; !found && position < ledger_view_size(view); position++) {
        found = entry_look(view, position, authority, &arena, err);
        if (!found && position % LEAVES_A_LOOK == 0 && ledger_view_renew(view, err))
            found = -1;
    }
    arena_deinit(&arena);
    ledger_view_close(view);
    if (found)
        return found > 0 ? 0 : -1;
    return error_set(err, CASEBUS_CERTIFICATE,
                     _("keys/authority.pem is another certificate than the one that entry %llu of the ledger "
                       "names: it is damaged, or another hub's"),
                     (unsigned long long)first);
}
