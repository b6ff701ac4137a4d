#include "hub/rights/rights_ledger.h"

#include "proto/base/texts.h"
#include "proto/codec/entry.h"

struct opening {
    struct ledger_view *view;
    struct ledger *ledger;
    struct vault *vault;
    struct crypter *crypter;
    struct arena arena;
    struct buffer text;
    uint64_t position;
};

static int text_open(struct opening *opening, const Casebus__V1__SealedBody *body,
                     const uint8_t subject[DIGEST_SIZE], struct casebus_error *err)
{
    uint8_t key[KEY_SIZE];
    if (vault_key(opening->vault, body->slot, key, err))
        return -1;
    int r = 0;
    for (size_t i = 1; i < body->n_item && r == 0; i++) { /* item 0 is the operator's note */
        struct bytes piece;
        r = body_open_item(opening->crypter, ledger_origin_at(opening->ledger, opening->position), subject,
                           body, key, i, &opening->arena, &piece, err);
        if (r == 0 && !buffer_append(&opening->text, piece.data, piece.size))
            r = error_set(err, CASEBUS_DAMAGED, _("the policy is longer than any can be"));
    }
    secret_clear(key, sizeof key);
    return r;
}

static int book_open(struct opening *opening, const Casebus__V1__PolicyApplied *applied,
                     struct rights_book **bookp, struct casebus_error *err)
{
    uint8_t digest[DIGEST_SIZE];
    struct bytes text = bytes_of(opening->text.data, opening->text.size);
    struct buffer faults;
    crypter_hash1(opening->crypter, text, digest);
    if (memcmp(digest, applied->digest.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("the policy is not the one that its entry names"));
    buffer_init(&faults, 64 * 1024);
    int r = rights_book_new(bookp, text, "policy", applied->version, &faults, err);
    buffer_deinit(&faults);
    return r;
}

static int entry_open(struct opening *opening, struct rights_book **bookp, struct casebus_error *err)
{
    struct bytes leaf, body_bytes;
    if (ledger_view_leaf(opening->view, opening->position, &leaf, err) ||
        ledger_view_body(opening->view, opening->position, &body_bytes, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &opening->arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED)
        return error_set(err, CASEBUS_DAMAGED, _("it holds no policy"));
    const Casebus__V1__SealedBody *body = body_decode(body_bytes, &opening->arena, err);
    const Casebus__V1__PolicyApplied *applied = entry->act->policy_applied;
    return body && text_open(opening, body, applied->subject.data, err) == 0
               ? book_open(opening, applied, bookp, err)
               : -1;
}

int rights_ledger_read(struct rights_book **bookp, const struct exchange_store *store,
                       struct ledger_view *view, struct ledger *ledger, struct vault *vault,
                       const struct suite *suite, struct casebus_error *err)
{
    struct opening opening = {.view = view, .ledger = ledger, .vault = vault};
    struct bytes value;
    int r = store->get(store->self, TABLE_META, bytes_of_text("policy"), &value, err);
    if (r <= 0)
        return r;
    if (value.size != 8)
        return error_set(err, CASEBUS_DAMAGED, _("the state does not say where the policy stands"));
    opening.position = get_u64be(value.data);
    opening.crypter = crypter_new(suite);
    if (!opening.crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), "policy");
    arena_init(&opening.arena, 64 * 1024, 4u * 1024 * 1024);
    buffer_init(&opening.text, RIGHTS_FILE_MAX);
    r = entry_open(&opening, bookp, err);
    if (r < 0)
        error_context(err, _("the policy in ledger entry %llu"), (unsigned long long)opening.position);
    buffer_deinit(&opening.text);
    arena_deinit(&opening.arena);
    crypter_free(opening.crypter);
    return r < 0 ? -1 : 1;
}
