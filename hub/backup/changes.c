/* An order that is done changes nothing any more, so its bodies are looked at when the entry is met that says
 * so, and else at the end: each of them once, and as late as can be. Orders that are not done then are looked
 * for again by the next run, however old they are. */
#include "hub/backup/changes.h"

#include "hub/backup/grown.h"

#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <stdlib.h>
#include <string.h>

#define LEAVES_A_LOOK 4096 /* a read transaction lives no longer */

struct order {
    uint64_t position;
    bool done;
};

struct search {
    struct changes *changes;
    struct ledger_view *here;  /* of the copy, which does not change meanwhile */
    struct ledger_view *there; /* of the hub's ledger */
    struct crypter *crypter;
    struct arena acts, ordered;
    struct order *orders; /* rising */
    size_t n_orders, orders_capacity;
    uint64_t size;
    const uint8_t *case_id; /* that is looked for */
    struct casebus_error *err;
};

/* --- bodies --------------------------------------------------------------------------------------------- */

static int body_look(struct search *search, uint64_t position)
{
    struct changes *changes = search->changes;
    struct bytes old, body;
    if (position >= search->size)
        return 0;
    if (ledger_view_body(search->here, position, &old, search->err) ||
        ledger_view_body(search->there, position, &body, search->err))
        return -1;
    if (bytes_equal(old, body))
        return 0;
    if (grown(&changes->items, changes->n, &changes->capacity, sizeof(*changes->items), search->err))
        return -1;
    struct change *change = &changes->items[changes->n++];
    change->position = position;
    crypter_hash1(search->crypter, body, change->digest);
    return 0;
}

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct search *search = self;
    if (!memmem(leaf.data, leaf.size, search->case_id, CASE_ID_SIZE))
        return 0;
    return body_look(search, position);
}

/* Every entry about the case before the order: its id begins with the position at which it was opened. */
static int kept_look(struct search *search, uint64_t end, const uint8_t case_id[CASE_ID_SIZE])
{
    search->case_id = case_id;
    for (uint64_t at = get_u64be(case_id); at < end;) {
        size_t n = end - at < LEAVES_A_LOOK ? (size_t)(end - at) : LEAVES_A_LOOK;
        if (ledger_view_renew(search->there, search->err) ||
            ledger_view_leaves(search->there, at, n, on_leaf, search, search->err))
            return -1;
        at += n;
    }
    return 0;
}

/* --- orders --------------------------------------------------------------------------------------------- */

static const Casebus__V1__ActEntry *act_at(struct search *search, uint64_t position, struct arena *arena)
{
    static const Casebus__V1__ActEntry none = CASEBUS__V1__ACT_ENTRY__INIT;
    struct bytes leaf;
    arena_reset(arena);
    if (ledger_view_leaf(search->there, position, &leaf, search->err))
        return NULL;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, search->err);
    if (!entry)
        return NULL;
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ? entry->act : &none;
}

static int order_follow(struct search *search, uint64_t position)
{
    const Casebus__V1__ActEntry *act = act_at(search, position, &search->ordered);
    if (!act)
        return -1;
    if (act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return error_set(search->err, CASEBUS_DAMAGED, _("entry %llu is not an order to erase"),
                         (unsigned long long)position);
    const Casebus__V1__ErasureOrdered *ordered = act->erasure_ordered;
    for (size_t i = 0; i < ordered->n_content; i++)
        if (body_look(search, ordered->content[i]->position))
            return -1;
    if (!ordered->kept_slot || ordered->case_id.len != CASE_ID_SIZE)
        return 0;
    return kept_look(search, position, ordered->case_id.data);
}

static int order_note(struct search *search, uint64_t position)
{
    if (grown(&search->orders, search->n_orders, &search->orders_capacity, sizeof(*search->orders),
              search->err))
        return -1;
    search->orders[search->n_orders++] = (struct order){.position = position};
    search->changes->beyond |= position >= search->size;
    return 0;
}

static int by_position(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int done_follow(struct search *search, const Casebus__V1__ErasureDone *done)
{
    for (size_t i = 0; i < done->n_ordered; i++) {
        const struct order wanted = {.position = done->ordered[i]};
        struct order *order = search->n_orders ? bsearch(&wanted, search->orders, search->n_orders,
                                                         sizeof(*search->orders), by_position)
                                               : NULL;
        if (order)
            order->done = true;
        if (order_follow(search, wanted.position))
            return -1;
    }
    return 0;
}

static int entry_look(struct search *search, uint64_t position)
{
    const Casebus__V1__ActEntry *act = act_at(search, position, &search->acts);
    if (!act)
        return -1;
    if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return order_note(search, position);
    return act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE ? done_follow(search, act->erasure_done)
                                                                     : 0;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

/* From *position to the hub's end, as it is when that is reached. */
static int orders_look(struct search *search, uint64_t *position)
{
    for (; *position < ledger_view_size(search->there); ++*position) {
        if (entry_look(search, *position) ||
            (*position % LEAVES_A_LOOK == 0 && ledger_view_renew(search->there, search->err)))
            return -1;
    }
    return 0;
}

static int pending_look(struct search *search)
{
    search->changes->orders_from = search->size;
    for (size_t i = search->n_orders; i-- > 0;) {
        if (search->orders[i].done)
            continue;
        if (search->orders[i].position < search->size)
            search->changes->orders_from = search->orders[i].position;
        if (ledger_view_renew(search->there, search->err) || order_follow(search, search->orders[i].position))
            return -1;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

static void changes_sort(struct changes *changes)
{
    size_t n = 0;
    if (changes->n)
        qsort(changes->items, changes->n, sizeof(*changes->items), by_place);
    for (size_t i = 0; i < changes->n; i++)
        if (n == 0 || changes->items[n - 1].position != changes->items[i].position)
            changes->items[n++] = changes->items[i];
    changes->n = n;
}

/* An order is in the ledger before anything of its work is. So whatever was seen in a body, its order is seen
 * by who looks for orders last. */
static int look(struct search *search, uint64_t first)
{
    return orders_look(search, &first) || pending_look(search) || orders_look(search, &first) ? -1 : 0;
}

int changes_find(struct changes *changes, struct ledger *to, struct ledger *from, uint64_t first,
                 uint64_t size, struct casebus_error *err)
{
    struct search search = {.changes = changes, .size = size, .err = err};
    *changes = (struct changes){.n = 0};
    arena_init(&search.acts, 64 * 1024, 16 * 1024 * 1024);
    arena_init(&search.ordered, 64 * 1024, 16 * 1024 * 1024);
    search.crypter = crypter_new(ledger_suite(from));
    int r = search.crypter ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
    if (!r)
        r = ledger_view_open(&search.here, to, err) || ledger_view_open(&search.there, from, err) ||
            look(&search, first);
    changes_sort(changes);
    free(search.orders);
    crypter_free(search.crypter);
    ledger_view_close(search.there);
    ledger_view_close(search.here);
    arena_deinit(&search.ordered);
    arena_deinit(&search.acts);
    return r ? -1 : 0;
}

void changes_deinit(struct changes *changes)
{
    free(changes->items);
    *changes = (struct changes){.n = 0};
}

/* --- making them ---------------------------------------------------------------------------------------- */

struct making {
    const struct changes *changes;
    struct ledger_view *there;
    struct crypter *crypter;
    uint64_t *positions;
    size_t next;
    bool moved_on;
};

static int on_body(void *self, uint64_t position, struct bytes leaf, struct bytes body, struct bytes *left,
                   struct casebus_error *err)
{
    struct making *making = self;
    const struct change *change = &making->changes->items[making->next++];
    uint8_t digest[DIGEST_SIZE];
    (void)leaf, (void)body;
    if ((making->next % LEAVES_A_LOOK == 0 && ledger_view_renew(making->there, err)) ||
        ledger_view_body(making->there, position, left, err))
        return -1;
    crypter_hash1(making->crypter, *left, digest);
    making->moved_on = memcmp(digest, change->digest, DIGEST_SIZE) != 0;
    return making->moved_on ? -1 : 1;
}

static int make_all(struct making *making, struct ledger *to, struct ledger *from, const char *mark,
                    struct casebus_error *err)
{
    const struct changes *changes = making->changes;
    making->crypter = crypter_new(ledger_suite(from));
    making->positions = calloc(changes->n + 1, sizeof(*making->positions));
    if (!making->crypter || !making->positions)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
    for (size_t i = 0; i < changes->n; i++)
        making->positions[i] = changes->items[i].position;
    if (ledger_view_open(&making->there, from, err))
        return -1;
    return ledger_rewrite_marked(to, making->positions, changes->n, on_body, making, mark, err);
}

int changes_make(const struct changes *changes, struct ledger *to, struct ledger *from, const char *mark,
                 struct casebus_error *err)
{
    struct making making = {.changes = changes};
    int r = make_all(&making, to, from, mark, err);
    ledger_view_close(making.there);
    free(making.positions);
    crypter_free(making.crypter);
    return r == 0 ? 1 : making.moved_on ? 0 : -1;
}
