/* Bundles are taken into files first, and into the copy only when they give the root that the hub signed:
 * what a stranger on the line puts in cannot spoil what was seen before. What they mean is then verified by
 * the same code that verifies a hub's own ledger (hub/verify), going on where it ended. */
#include "hub/watch/watch.h"

#include "hub/verify/verify.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/codec/statement.h"
#include "proto/merkle/tiles.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUNDLE_MAX ((size_t)TILE_WIDTH * (2 + 65535))

struct watch {
    struct watch_options options;
    struct note_verifier log;
    char incoming[PATH_MAX], evidence[PATH_MAX], newest[PATH_MAX], resume[PATH_MAX];
    int lock;
    struct ledger *ledger;
    struct crypter *crypter;
    struct arena arena;
    /* of the round */
    struct watch_result *result;
    struct checkpoint checkpoint;
    struct bytes note;
    uint64_t have;
};

/* ---- evidence ---- */

static void keep_note(const struct watch *watch, const char *whose, struct bytes note)
{
    char path[PATH_MAX], name[96];
    snprintf(name, sizeof name, "fork-%lld-%s.note", (long long)(clock_unix_us() / 1000000), whose);
    if (dir_make(watch->evidence, NULL) == 0 && path_join(path, sizeof path, watch->evidence, name) == 0)
        file_write(path, note, 0600, NULL);
}

/* The checkpoint that was seen before and the one that contradicts it. Returns 1. */
static int contradiction(const struct watch *watch, struct casebus_error *err)
{
    struct buffer before;
    if (file_read(watch->newest, NOTE_MAX, &before, NULL) == 0)
        keep_note(watch, "before", bytes_of(before.data, before.size));
    buffer_deinit(&before);
    keep_note(watch, "now", watch->note);
    error_hint(err, _("both signed checkpoints are kept in '%.120s'; show them to whoever oversees the hub"),
               watch->evidence);
    return 1;
}

/* ---- the tree so far ---- */

static int tree_load(struct watch *watch, uint64_t size, struct tree *tree, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    if (ledger_view_open(&view, watch->ledger, err))
        return -1;
    int r = tree_open(tree, size, ledger_view_hash, view, err);
    ledger_view_close(view);
    return r;
}

/* Nothing new was published, or less, or the same anew. */
static int compare_old(struct watch *watch, struct casebus_error *err)
{
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    if (tree_load(watch, watch->checkpoint.size, &tree, err))
        return -1;
    tree_root(&tree, watch->crypter, root);
    if (memcmp(root, watch->checkpoint.root, DIGEST_SIZE) != 0) {
        error_set(
            err, CASEBUS_CONSISTENCY,
            _("the hub has signed another tree of %" PRIu64 " entries than the one that was seen before"),
            watch->checkpoint.size);
        return contradiction(watch, err);
    }
    if (watch->checkpoint.size < watch->have) {
        error_set(err, CASEBUS_BEHIND,
                  _("the hub shows a tree of %" PRIu64 " entries; %" PRIu64 " were seen before"),
                  watch->checkpoint.size, watch->have);
        return contradiction(watch, err);
    }
    return 0;
}

/* ---- bundles ---- */

static int incoming_path(const struct watch *watch, uint64_t index, char path[PATH_MAX],
                         struct casebus_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, index);
    return path_join(path, PATH_MAX, watch->incoming, name)
               ? error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), watch->incoming)
               : 0;
}

/* A partial bundle may have given way to the full one. */
static int bundle_get(struct watch *watch, uint64_t index, struct buffer *out, struct casebus_error *err)
{
    char path[TILE_PATH_MAX];
    struct tile tile = {.level = TILE_ENTRIES,
                        .index = index,
                        .width = tile_width_in(TILE_ENTRIES, index, watch->checkpoint.size)};
    int r = source_get(watch->options.source, tile_path(path, &tile), BUNDLE_MAX, out, err);
    if (r == 0 || err->code != CASEBUS_NOT_FOUND || tile.width == TILE_WIDTH)
        return r;
    buffer_deinit(out);
    tile.width = TILE_WIDTH;
    return source_get(watch->options.source, tile_path(path, &tile), BUNDLE_MAX, out, err);
}

/* The next entry of a bundle. */
static bool entry_take(struct bytes *rest, struct bytes *entry)
{
    if (rest->size < 2)
        return false;
    size_t size = (size_t)rest->data[0] << 8 | rest->data[1];
    if (rest->size - 2 < size)
        return false;
    *entry = bytes_of(rest->data + 2, size);
    *rest = bytes_of(rest->data + 2 + size, rest->size - 2 - size);
    return true;
}

typedef int entry_fn(struct watch *watch, uint64_t position, struct bytes entry, void *self,
                     struct casebus_error *err);

/* Visits those entries of bundle @index that are new. */
static int bundle_visit(struct watch *watch, uint64_t index, struct bytes bundle, entry_fn *visit, void *self,
                        struct casebus_error *err)
{
    unsigned width = tile_width_in(TILE_ENTRIES, index, watch->checkpoint.size);
    for (unsigned i = 0; i < width; i++) {
        struct bytes entry;
        uint64_t position = index * TILE_WIDTH + i;
        if (!entry_take(&bundle, &entry))
            return error_set(err, CASEBUS_MALFORMED,
                             _("the bundle of entries %" PRIu64 " ends before its entry %u"), index, i);
        if (position >= watch->have && visit(watch, position, entry, self, err))
            return -1;
    }
    return 0;
}

static int on_leaf(struct watch *watch, uint64_t position, struct bytes entry, void *self,
                   struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    (void)position, (void)err;
    tree_leaf_hash(watch->crypter, entry, hash);
    tree_append(self, watch->crypter, hash, NULL, NULL);
    return 0;
}

/* All new bundles into files. 1: they do not give the root that the hub signed. */
static int bundles_fetch(struct watch *watch, struct casebus_error *err)
{
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    char path[PATH_MAX];
    if (tree_load(watch, watch->have, &tree, err))
        return -1;
    for (uint64_t i = watch->have / TILE_WIDTH; i < tile_count(TILE_ENTRIES, watch->checkpoint.size); i++) {
        struct buffer bundle;
        int r = bundle_get(watch, i, &bundle, err);
        struct bytes bytes = bytes_of(bundle.data, bundle.size);
        if (r == 0)
            r = bundle_visit(watch, i, bytes, on_leaf, &tree, err) || incoming_path(watch, i, path, err) ||
                        file_write(path, bytes, 0600, err)
                    ? -1
                    : 0;
        buffer_deinit(&bundle);
        if (r)
            return -1;
    }
    tree_root(&tree, watch->crypter, root);
    if (memcmp(root, watch->checkpoint.root, DIGEST_SIZE) == 0)
        return 0;
    error_set(err, CASEBUS_CONSISTENCY,
              _("the hub has signed a tree of %" PRIu64 " entries; the %" PRIu64
                " entries seen before and those that it shows now give another one"),
              watch->checkpoint.size, watch->have);
    return contradiction(watch, err);
}

/* ---- into the copy ---- */

struct rows {
    struct tree *tree;
    struct ledger_row rows[TILE_WIDTH];
    uint8_t hashes[TILE_WIDTH][TREE_LEVELS][DIGEST_SIZE];
    size_t n;
};

static void on_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct rows *rows = self;
    (void)level, (void)index;
    memcpy(rows->hashes[rows->n][rows->rows[rows->n].n_hashes++], hash, DIGEST_SIZE);
}

/* Who gets a key is said in words: that is what a department watches for. */
static void enrolment_tell(struct watch *watch, uint64_t position, struct bytes entry)
{
    struct casebus_error err;
    arena_reset(&watch->arena);
    Casebus__V1__LedgerEntry *decoded = entry_decode(entry, &watch->arena, &err);
    if (!decoded || decoded->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        decoded->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
        return;
    ProtobufCBinaryData bytes = decoded->act->node_enrolled->statement;
    Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of(bytes.data, bytes.len), &watch->arena, &err);
    watch->result->enrolled++;
    if (statement)
        log_notice(watch->options.log, "WATCH-ENROLLED",
                   _("entry %" PRIu64 " enrols a key for node '%s' of department '%s'"), position,
                   statement->node, statement->department);
}

static int on_row(struct watch *watch, uint64_t position, struct bytes entry, void *self,
                  struct casebus_error *err)
{
    struct rows *rows = self;
    uint8_t hash[DIGEST_SIZE];
    (void)err;
    rows->rows[rows->n] = (struct ledger_row){.leaf = entry, .hashes = rows->hashes[rows->n][0]};
    tree_leaf_hash(watch->crypter, entry, hash);
    tree_append(rows->tree, watch->crypter, hash, on_hash, rows);
    rows->n++;
    enrolment_tell(watch, position, entry);
    return 0;
}

static int bundle_store(struct watch *watch, uint64_t index, struct rows *rows, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer bundle;
    uint64_t first = rows->tree->size;
    if (incoming_path(watch, index, path, err))
        return -1;
    rows->n = 0;
    int r = file_read(path, BUNDLE_MAX, &bundle, err);
    if (r == 0)
        r = bundle_visit(watch, index, bytes_of(bundle.data, bundle.size), on_row, rows, err);
    if (r == 0)
        r = ledger_append(watch->ledger, first, rows->rows, rows->n, err);
    buffer_deinit(&bundle);
    unlink(path);
    return r;
}

static int bundles_store(struct watch *watch, struct casebus_error *err)
{
    struct tree tree;
    struct rows *rows = calloc(1, sizeof *rows);
    uint64_t have = watch->have;
    if (!rows)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    rows->tree = &tree;
    int r = tree_load(watch, have, &tree, err);
    for (uint64_t i = have / TILE_WIDTH; r == 0 && i < tile_count(TILE_ENTRIES, watch->checkpoint.size); i++)
        r = bundle_store(watch, i, rows, err);
    free(rows);
    if (r == 0)
        r = ledger_publish(watch->ledger, watch->checkpoint.size, watch->note, err);
    return r ? -1 : file_write(watch->newest, watch->note, 0600, err);
}

/* ---- what it means ---- */

static int meaning_check(struct watch *watch, struct casebus_error *err)
{
    struct verify_result *verified = calloc(1, sizeof *verified);
    const struct verify_options options = {.ledger = watch->ledger,
                                           .log_key = watch->options.log_vkey,
                                           .authority = watch->options.authority,
                                           .resume_path = watch->resume,
                                           .resume = true};
    if (!verified)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    int answer = verify_ledger(&options, verified, err);
    if (answer == VERIFY_WRONG)
        *err = verified->fault;
    free(verified);
    return answer < 0 ? -1 : answer == VERIFY_WRONG;
}

/* ---- a round ---- */

static int checkpoint_get(struct watch *watch, struct buffer *note, struct casebus_error *err)
{
    if (source_get(watch->options.source, "checkpoint", NOTE_MAX, note, err))
        return -1;
    watch->note = bytes_of(note->data, note->size);
    if (checkpoint_check(&watch->checkpoint, watch->note, &watch->log, err))
        return 1;
    if (!watch->options.policy)
        return 0;
    int enough = policy_check(watch->options.policy, watch->note, NULL, err);
    return enough == 1 ? 0 : enough == 0 ? -1 : 1; /* too few may be more in a moment; a false one is a lie */
}

static int round_run(struct watch *watch, struct casebus_error *err)
{
    watch->have = ledger_size(watch->ledger);
    watch->result->size = watch->have;
    int r = 0;
    if (watch->checkpoint.size <= watch->have) {
        r = compare_old(watch, err);
    } else {
        r = bundles_fetch(watch, err);
        if (r == 0)
            r = bundles_store(watch, err);
    }
    if (r == 0 && ledger_size(watch->ledger) > 0)
        r = meaning_check(watch, err);
    if (r == 0) {
        watch->result->size = ledger_size(watch->ledger);
        watch->result->fresh = watch->result->size - watch->have;
        memcpy(watch->result->root, watch->checkpoint.root, DIGEST_SIZE);
    }
    return r;
}

int watch_round(struct watch *watch, struct watch_result *result, struct casebus_error *err)
{
    struct buffer note;
    *result = (struct watch_result){0};
    watch->result = result;
    int r = checkpoint_get(watch, &note, err);
    if (r == 0)
        r = round_run(watch, err);
    buffer_deinit(&note);
    return r;
}

/* ---- life ---- */

static int parts_open(struct watch *watch, struct casebus_error *err)
{
    const char *dir = watch->options.dir;
    char lock[PATH_MAX];
    if (path_join(lock, PATH_MAX, dir, "lock") || path_join(watch->incoming, PATH_MAX, dir, "incoming") ||
        path_join(watch->evidence, PATH_MAX, dir, "evidence") ||
        path_join(watch->newest, PATH_MAX, dir, "checkpoint") ||
        path_join(watch->resume, PATH_MAX, dir, "verify.resume"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (dir_make(dir, err) || dir_make(watch->incoming, err) ||
        note_verifier_init(&watch->log, watch->options.log_vkey, err))
        return -1;
    watch->lock = file_lock(lock, err);
    if (watch->lock < 0)
        return -1;
    watch->crypter = crypter_new(suite_get(SUITE_INTL));
    if (!watch->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    return ledger_open(&watch->ledger, dir, watch->log.name, err);
}

int watch_open(struct watch **watchp, const struct watch_options *options, struct casebus_error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    *watchp = NULL;
    if (!watch)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    watch->options = *options;
    watch->lock = -1;
    arena_init(&watch->arena, 64 * 1024, 4 * 1024 * 1024);
    int r = parts_open(watch, err);
    *watchp = r ? watch_close(watch) : watch;
    return r;
}

struct watch *watch_close(struct watch *watch)
{
    if (!watch)
        return NULL;
    ledger_close(watch->ledger);
    crypter_free(watch->crypter);
    note_verifier_deinit(&watch->log);
    arena_deinit(&watch->arena);
    if (watch->lock >= 0)
        close(watch->lock);
    free(watch);
    return NULL;
}
