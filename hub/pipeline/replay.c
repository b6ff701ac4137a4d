/* Replay. Two passes: journal -> ledger (entries as they are, tree hashes made again, roots compared), ledger
 * -> state (each entry applied, the header of an event opened from its sealed body). */
#include "hub/pipeline/replay.h"

#include "hub/exchange/exchange.h"
#include "hub/pipeline/group.h"
#include "hub/pipeline/refused.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"
#include "proto/codec/event.h"
#include "proto/merkle/tree.h"

#include <stdlib.h>

#define STATE_ROUND_BYTES  (8u * 1024 * 1024) /* of the overlay, before it is written */
#define LEDGER_ROUND_BYTES (4u * 1024 * 1024) /* of entries, before they are written */
#define VIEW_ROUND_ENTRIES 4096               /* a read transaction is renewed so often */

struct replay {
    const struct replay_options *options;
    struct replay_result *result;
    struct crypter *crypter;
    struct exchange_store store;
    struct arena arena, older; /* of the entry being applied; of one that it names */
    int64_t entry_time_us;     /* of the entry being applied */
    uint64_t slot_seen;        /* highest vault slot of a body */
};

/* ---- journal to ledger ---- */

/* What was read and is not yet written: many small groups make one transaction. */
struct catch_up {
    struct replay *replay;
    struct tree tree;
    struct group *group;
};

static int catch_up_write(struct catch_up *catch_up, struct casebus_error *err)
{
    struct replay *replay = catch_up->replay;
    int r = 0;
    if (catch_up->group && catch_up->group->n_entries)
        r = groups_to_ledger(catch_up->group, replay->options->ledger, err);
    if (!r && catch_up->group)
        replay->result->from_journal += catch_up->group->n_entries;
    catch_up->group = group_unref(catch_up->group);
    return r;
}

static int catch_up_entry(struct catch_up *catch_up, const struct journal_entry *from,
                          struct casebus_error *err)
{
    uint8_t leaf_hash[DIGEST_SIZE];
    struct crypter *crypter = catch_up->replay->crypter;
    struct group *group = catch_up->group;
    struct journal_entry *entry = group_add_entry(group);
    uint8_t *leaf = arena_copy(&group->arena, from->leaf.data, from->leaf.size);
    uint8_t *body = from->body.size ? arena_copy(&group->arena, from->body.data, from->body.size) : NULL;
    if (!entry || !leaf || (from->body.size && !body))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to replay the journal"));
    *entry = (struct journal_entry){bytes_of(leaf, from->leaf.size), bytes_of(body, from->body.size)};
    size_t before = group->n_hashes;
    tree_leaf_hash(crypter, entry->leaf, leaf_hash);
    tree_append(&catch_up->tree, crypter, leaf_hash, group_store_hash, group);
    group->hash_counts[group->n_entries - 1] = (uint32_t)(group->n_hashes - before);
    return 0;
}

static int check_follows(const struct tree *tree, const struct journal_group *record,
                         struct casebus_error *err)
{
    if (record->first_position == tree->size)
        return 0;
    return error_set(err, CASEBUS_DAMAGED,
                     _("the journal's group %llu begins at entry %llu, but the ledger has %llu entries"),
                     (unsigned long long)record->number, (unsigned long long)record->first_position,
                     (unsigned long long)tree->size);
}

static int check_root(struct catch_up *catch_up, const struct journal_group *record,
                      struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    tree_root(&catch_up->tree, catch_up->replay->crypter, root);
    if (catch_up->tree.size == record->tree_size && memcmp(root, record->root, DIGEST_SIZE) == 0)
        return 0;
    return error_set(err, CASEBUS_DAMAGED,
                     _("the journal's group %llu does not lead to the root that it names"),
                     (unsigned long long)record->number);
}

/* The first entry of a ledger names its origin; a journal beside an empty ledger has to be of the same one.
 */
static int check_origin(struct replay *replay, const struct journal_group *record, struct casebus_error *err)
{
    if (record->first_position != 0 || !record->n_entries)
        return 0;
    const Casebus__V1__LedgerEntry *entry = entry_decode(record->entries[0].leaf, &replay->arena, err);
    if (!entry)
        return error_context(err, _("the journal's first entry"));
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED &&
        strcmp(entry->act->ledger_opened->origin, replay->options->origin) == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("the journal is not that of '%s'"), replay->options->origin);
    return error_hint(err, _("put back the folder journal/ that belongs to this hub"));
}

/* Nothing of a group is written before its root was compared. */
static int catch_up_group(struct catch_up *catch_up, const struct journal_group *record,
                          struct casebus_error *err)
{
    if (check_follows(&catch_up->tree, record, err) || check_origin(catch_up->replay, record, err))
        return -1;
    if (!catch_up->group) {
        catch_up->group = group_new(NULL);
        if (catch_up->group)
            catch_up->group->first_position = record->first_position;
    }
    if (!catch_up->group || !group_reserve_hashes(catch_up->group, record->n_entries))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to replay the journal"));
    for (size_t i = 0; i < record->n_entries; i++)
        if (catch_up_entry(catch_up, &record->entries[i], err))
            return -1;
    if (check_root(catch_up, record, err))
        return -1;
    return arena_held(&catch_up->group->arena) > LEDGER_ROUND_BYTES ? catch_up_write(catch_up, err) : 0;
}

/* A journal that ends before the ledger does was put back from an older copy: what is written next would not
 * follow. */
static int check_reach(const struct replay *replay, uint64_t size, struct casebus_error *err)
{
    uint64_t reach = journal_tree_size(replay->options->journal);
    if (!journal_last(replay->options->journal) || reach >= size)
        return 0;
    error_set(
        err, CASEBUS_DAMAGED,
        _("the journal ends at entry %llu, but the ledger has %llu: the folder journal/ is an older copy"),
        (unsigned long long)reach, (unsigned long long)size);
    return error_hint(
        err, _("put back the newer journal/; if there is none, move this one away: what only the lost one "
               "held will be missed by its senders, who name it"));
}

/* Opens the tree as the ledger has it. */
static int tree_of_ledger(struct tree *tree, struct ledger *ledger, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    if (ledger_view_open(&view, ledger, err))
        return -1;
    int r = tree_open(tree, ledger_view_size(view), ledger_view_hash, view, err);
    ledger_view_close(view);
    return r;
}

static int journal_to_ledger(struct replay *replay, struct casebus_error *err)
{
    struct catch_up catch_up = {.replay = replay};
    struct journal_reader *reader = NULL;
    struct journal_group record;
    if (tree_of_ledger(&catch_up.tree, replay->options->ledger, err) ||
        check_reach(replay, catch_up.tree.size, err) ||
        journal_reader_open(&reader, replay->options->journal, catch_up.tree.size, err))
        return -1;
    int r;
    while ((r = journal_reader_next(reader, &replay->arena, &record, err)) == 1)
        if (record.tree_size > catch_up.tree.size && catch_up_group(&catch_up, &record, err)) {
            r = -1;
            break;
        }
    journal_reader_close(reader);
    if (!r)
        r = catch_up_write(&catch_up, err);
    group_unref(catch_up.group);
    return r;
}

/* ---- ledger to state ---- */

static int damaged(uint64_t position, struct casebus_error *err)
{
    return error_context(err, _("ledger entry %llu"), (unsigned long long)position);
}

static void note_slot(struct replay *replay, uint64_t slot)
{
    if (slot > replay->slot_seen)
        replay->slot_seen = slot;
}

/* What the sealed header says. */
static int event_of_header(struct replay *replay, uint64_t position, const Casebus__V1__EventEntry *entry,
                           const Casebus__V1__SealedBody *body, struct arena *arena,
                           struct exchange_event *event, struct casebus_error *err)
{
    const struct replay_options *options = replay->options;
    uint8_t key[KEY_SIZE];
    struct bytes header;
    if (vault_key(options->vault, body->slot, key, err))
        return -1;
    int r = body_open_item(replay->crypter, ledger_origin_at(options->ledger, position),
                           entry->event_hash.data, body, key, 0, arena, &header, err);
    secret_clear(key, sizeof(key));
    if (r)
        return -1;
    const Casebus__V1__EventHeader *fields = event_header_decode(header, arena, err);
    if (!fields || exchange_event_init(event, replay->crypter, options->content_key, fields, header,
                                       body->content_digest.data, arena, err))
        return -1;
    if (memcmp(event->event_hash, entry->event_hash.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("the sealed header is not the one that the entry names"));
    return 0;
}

/* Opens the header of an event, or takes what a destroyed one left. NULL on error. */
static const Casebus__V1__SealedBody *event_read(struct replay *replay, uint64_t position,
                                                 const Casebus__V1__EventEntry *entry,
                                                 struct bytes body_bytes, struct arena *arena,
                                                 struct exchange_event *event, struct casebus_error *err)
{
    Casebus__V1__SealedBody *body = body_decode(body_bytes, arena, err);
    if (!body)
        return NULL;
    if (body->content_digest.len != DIGEST_SIZE) {
        error_set(err, CASEBUS_DAMAGED, _("the sealed body carries no digest of its content"));
        return NULL;
    }
    int r = body->skeleton ? exchange_event_of_skeleton(event, body->skeleton, entry->event_hash.data,
                                                        body->content_digest.data, arena, err)
                           : event_of_header(replay, position, entry, body, arena, event, err);
    return r ? NULL : body;
}

static int apply_event(struct replay *replay, uint64_t position, const Casebus__V1__EventEntry *entry,
                       struct bytes body_bytes, struct casebus_error *err)
{
    struct exchange_event event;
    const Casebus__V1__SealedBody *body =
        event_read(replay, position, entry, body_bytes, &replay->arena, &event, err);
    if (!body)
        return -1;
    note_slot(replay, body->slot);
    return exchange_apply_event(&replay->store, position, replay->entry_time_us, entry, &event, body->slot,
                                err);
}

static int apply_seal(struct replay *replay, uint64_t position, const Casebus__V1__SealEntry *seal,
                      struct casebus_error *err)
{
    struct bytes statement = {seal->statement.data, seal->statement.len};
    uint8_t hash[DIGEST_SIZE];
    Casebus__V1__BatchStatement *fields = statement_decode(statement, &replay->arena, err);
    if (!fields)
        return -1;
    statement_hash(replay->crypter, statement, hash);
    return exchange_apply_seal(&replay->store, position, replay->entry_time_us, seal, fields, hash, err);
}

/* Slots that were destroyed stand in no body any more, but are taken all the same. */
static void note_erasure(struct replay *replay, const Casebus__V1__ActEntry *act)
{
    if (act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return;
    for (size_t i = 0; i < act->erasure_ordered->n_slot; i++)
        note_slot(replay, act->erasure_ordered->slot[i]);
    note_slot(replay, act->erasure_ordered->kept_slot);
}

/* The record that the entry @position states takes nothing new. */
static int close_stated(struct replay *replay, struct ledger_view *view, uint64_t position,
                        struct casebus_error *err)
{
    struct bytes leaf, body;
    struct exchange_event event;
    arena_reset(&replay->older);
    if (ledger_view_leaf(view, position, &leaf, err) || ledger_view_body(view, position, &body, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &replay->older, err);
    if (!entry)
        return damaged(position, err);
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_DAMAGED, _("an order about a case names entry %llu, which is no event"),
                         (unsigned long long)position);
    if (!event_read(replay, position, entry->event, body, &replay->older, &event, err))
        return damaged(position, err);
    return exchange_close_record(&replay->store, event.record_key, err);
}

/* What was refused at @content's position is not kept again when it is sent again. */
static int close_refused(struct replay *replay, struct ledger_view *view,
                         const Casebus__V1__ErasedContent *content, Casebus__V1__ErasureReason reason,
                         struct casebus_error *err)
{
    struct bytes leaf, sealed;
    struct refused refused;
    uint64_t position = content->position;
    arena_reset(&replay->older);
    if (ledger_view_leaf(view, position, &leaf, err) || ledger_view_body(view, position, &sealed, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &replay->older, err);
    if (!entry)
        return damaged(position, err);
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu of the ledger is nothing in quarantine"),
                         (unsigned long long)position);
    const Casebus__V1__SealedBody *body = body_decode(sealed, &replay->older, err);
    if (!body ||
        refused_read(&refused, entry->act->quarantined, body, content->member, content->n_member, err))
        return damaged(position, err);
    int r = refused_close(&refused, &replay->store, reason, err);
    refused_deinit(&refused);
    return r;
}

static int close_records(struct replay *replay, struct ledger_view *view, uint64_t position,
                         const Casebus__V1__ErasureOrdered *ordered, struct casebus_error *err)
{
    for (size_t i = 0; i < ordered->n_content; i++) {
        if (ordered->content[i]->position >= position)
            return error_set(err, CASEBUS_DAMAGED, _("an order to destroy names an entry that comes later"));
        if (ordered->case_id.len ? close_stated(replay, view, ordered->content[i]->position, err)
                                 : close_refused(replay, view, ordered->content[i], ordered->reason, err))
            return -1;
    }
    return 0;
}

static int apply_act(struct replay *replay, struct ledger_view *view, uint64_t position,
                     const Casebus__V1__ActEntry *act, struct bytes body_bytes, struct casebus_error *err)
{
    if (body_bytes.size) {
        Casebus__V1__SealedBody *body = body_decode(body_bytes, &replay->arena, err);
        if (!body)
            return -1;
        note_slot(replay, body->slot);
    }
    note_erasure(replay, act);
    if (act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED &&
        close_records(replay, view, position, act->erasure_ordered, err))
        return -1;
    return exchange_apply_act(&replay->store, position, replay->entry_time_us, act, err);
}

static int apply_entry(struct replay *replay, struct ledger_view *view, uint64_t position,
                       struct casebus_error *err)
{
    struct bytes leaf, body;
    arena_reset(&replay->arena);
    if (ledger_view_leaf(view, position, &leaf, err) || ledger_view_body(view, position, &body, err))
        return -1;
    Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &replay->arena, err);
    if (!entry)
        return damaged(position, err);
    replay->entry_time_us = replay->result->last_hub_time_us = entry->hub_time_us;
    int r = -1;
    switch (entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        r = apply_event(replay, position, entry->event, body, err);
        break;
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL:
        r = apply_seal(replay, position, entry->seal, err);
        break;
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT:
        r = apply_act(replay, view, position, entry->act, body, err);
        break;
    default:
        error_set(err, CASEBUS_BAD_VERSION, _("an entry of a kind that this version does not know"));
    }
    return r ? damaged(position, err) : 0;
}

static int state_flush(struct replay *replay, uint64_t applied, struct casebus_error *err)
{
    uint8_t taken[8];
    put_u64be(taken, replay->slot_seen);
    if (replay->store.put(replay->store.self, TABLE_META, bytes_of_text("vault"),
                          bytes_of(taken, sizeof(taken)), err))
        return -1;
    if (state_freeze(replay->options->state, applied) != 1)
        return error_set(err, CASEBUS_INTERNAL, "the state's overlay could not be frozen");
    return state_write(replay->options->state, NULL, err);
}

static int vault_mark_read(struct replay *replay, struct casebus_error *err)
{
    struct bytes value;
    int r = replay->store.get(replay->store.self, TABLE_META, bytes_of_text("vault"), &value, err);
    if (r < 0)
        return -1;
    if (r == 1 && value.size == 8)
        replay->slot_seen = get_u64be(value.data);
    return 0;
}

/* Applies what the state lacks of the first @limit entries. */
static int ledger_to_state(struct replay *replay, uint64_t limit, struct casebus_error *err)
{
    const struct replay_options *options = replay->options;
    struct ledger_view *view = NULL;
    uint64_t position = state_applied(options->state);
    if (vault_mark_read(replay, err) || ledger_view_open(&view, options->ledger, err))
        return -1;
    uint64_t size = ledger_view_size(view), from = position;
    uint64_t end = size < limit ? size : limit;
    int r = 0;
    if (position > size)
        r = error_set(err, CASEBUS_DAMAGED, _("the state reflects %llu entries, but the ledger has %llu"),
                      (unsigned long long)position, (unsigned long long)size);
    while (!r && position < end) {
        r = apply_entry(replay, view, position++, err);
        if (!r && position % VIEW_ROUND_ENTRIES == 0) {
            if (options->stop && options->stop(options->self))
                break;
            r = ledger_view_renew(view, err);
            if (!r && state_overlay_bytes(options->state) > STATE_ROUND_BYTES)
                r = state_flush(replay, position, err);
            if (options->on_progress)
                options->on_progress(options->self, position - from, end - from);
        }
    }
    ledger_view_close(view);
    if (!r && position > from)
        r = state_flush(replay, position, err);
    state_rest(options->state);
    replay->result->size = size;
    replay->result->applied = position - from;
    return r;
}

/* The hub's clock must not fall behind the newest entry. */
static int last_time_read(struct replay *replay, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct bytes leaf;
    if (ledger_view_open(&view, replay->options->ledger, err))
        return -1;
    int r = 0;
    uint64_t size = ledger_view_size(view);
    arena_reset(&replay->arena);
    if (size > 0 && !(r = ledger_view_leaf(view, size - 1, &leaf, err))) {
        Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &replay->arena, err);
        if (entry)
            replay->result->last_hub_time_us = entry->hub_time_us;
        else
            r = damaged(size - 1, err);
    }
    ledger_view_close(view);
    return r;
}

static int replay_init(struct replay *replay, const struct replay_options *options,
                       struct replay_result *result, struct casebus_error *err)
{
    *replay = (struct replay){.options = options, .result = result};
    memset(result, 0, sizeof(*result));
    replay->crypter = crypter_new(options->suite);
    if (!replay->crypter) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory to replay the ledger"));
        return -1;
    }
    arena_init(&replay->arena, 256 * 1024, 256u * 1024 * 1024);
    arena_init(&replay->older, 64 * 1024, 16u * 1024 * 1024);
    replay->store = state_store(options->state);
    return 0;
}

static void replay_deinit(struct replay *replay)
{
    arena_deinit(&replay->arena);
    arena_deinit(&replay->older);
    crypter_free(replay->crypter);
}

int replay_run(const struct replay_options *options, struct replay_result *result, struct casebus_error *err)
{
    struct replay replay;
    if (replay_init(&replay, options, result, err))
        return -1;
    int r = journal_to_ledger(&replay, err);
    if (!r)
        r = ledger_to_state(&replay, UINT64_MAX, err);
    if (!r)
        r = last_time_read(&replay, err);
    if (!r)
        vault_set_taken(options->vault, replay.slot_seen);
    replay_deinit(&replay);
    return r;
}

int replay_state(const struct replay_options *options, uint64_t size, struct replay_result *result,
                 struct casebus_error *err)
{
    struct replay replay;
    if (replay_init(&replay, options, result, err))
        return -1;
    int r = ledger_to_state(&replay, size, err);
    replay_deinit(&replay);
    return r;
}
