/* Where the hub's tree leaves the one that was seen before is found by comparing entries, from the end
 * backwards, and is believed when the entries before that place and those shown now give the root that was
 * signed. A restored hub leaves it with an entry that opens a later generation; anything else is a fork.
 *
 * To follow, a second copy is made beside the first (DIR/next), verified, and put in its place; the first one
 * is kept whole as DIR/before-DATE, since it and the checkpoint in it prove what the hub had signed. */
#include "hub/watch/aside.h"
#include "hub/watch/internal.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/tiles.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* ---- where they part ---- */

struct comparison {
    struct ledger_view *view;
    uint64_t differs; /* the first position that does */
};

static int on_compare(void *self, uint64_t position, struct bytes entry, struct casebus_error *err)
{
    struct comparison *comparison = self;
    struct bytes leaf;
    if (ledger_view_leaf(comparison->view, position, &leaf, err))
        return -1;
    if (bytes_equal(leaf, entry))
        return 0;
    comparison->differs = position;
    return 1;
}

/* 1: an entry of the bundle before @shared is another one than in the copy, the first of them at *at. */
static int bundle_compare(struct watch *watch, uint64_t index, uint64_t shared, uint64_t *at,
                          struct casebus_error *err)
{
    struct comparison comparison = {.view = NULL};
    uint64_t first = index * TILE_WIDTH, end = first + TILE_WIDTH < shared ? first + TILE_WIDTH : shared;
    if (bundles_take(&watch->bundles, first, err) ||
        ledger_view_open(&comparison.view, watch->seen.ledger, err))
        return -1;
    int r = bundles_visit(&watch->bundles, first, end, on_compare, &comparison, err);
    ledger_view_close(comparison.view);
    if (r == 1)
        *at = comparison.differs;
    return r;
}

/* @whole: on to the first bundle; otherwise up to the last one that is the same. */
static int first_difference(struct watch *watch, bool whole, uint64_t *at, struct casebus_error *err)
{
    uint64_t shared = watch->checkpoint.size < watch->have ? watch->checkpoint.size : watch->have;
    int r = 1;
    *at = shared;
    for (uint64_t i = tile_count(TILE_ENTRIES, shared); i-- > 0 && (r == 1 || whole) && r >= 0;)
        r = bundle_compare(watch, i, shared, at, err);
    return r < 0 ? -1 : 0;
}

/* 1: with the entries before *at, those that are shown now give the root that was signed. */
static int proves(struct watch *watch, uint64_t at, struct casebus_error *err)
{
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    if (seen_tree(&watch->seen, at, &tree, err) ||
        bundles_grow(&watch->bundles, &tree, watch->seen.crypter, err))
        return -1;
    tree_root(&tree, watch->seen.crypter, root);
    return memcmp(root, watch->checkpoint.root, DIGEST_SIZE) == 0;
}

/* 1: at *at; 0: what is shown gives the root nowhere. A hub that was restored differs from one place on; one
 * that was altered may differ here and there. */
static int parting_look(struct watch *watch, uint64_t *at, struct casebus_error *err)
{
    int r = 0;
    for (int whole = 0; whole <= 1 && r == 0; whole++)
        r = first_difference(watch, whole, at, err) ? -1 : proves(watch, *at, err);
    return r;
}

static int parting_find(struct watch *watch, uint64_t *at, struct casebus_error *err)
{
    int r = parting_look(watch, at, err);
    return watch_again(watch, r, err) ? parting_look(watch, at, err) : r;
}

/* ---- a fork ---- */

static int fork_tell(struct watch *watch, int found, uint64_t at, struct casebus_error *err)
{
    uint64_t size = watch->checkpoint.size;
    if (found == 1)
        error_set(err, CASEBUS_CONSISTENCY,
                  _("the hub has signed another tree of %" PRIu64
                    " entries than the one that was seen before: entry %" PRIu64 " is another one"),
                  size, at);
    else if (size <= watch->have)
        error_set(
            err, CASEBUS_CONSISTENCY,
            _("the hub has signed another tree of %" PRIu64 " entries than the one that was seen before"),
            size);
    else
        error_set(err, CASEBUS_CONSISTENCY,
                  _("the hub has signed a tree of %" PRIu64 " entries; the %" PRIu64
                    " entries seen before and those that are shown now give another one"),
                  size, watch->have);
    return watch_alarm(watch, err);
}

/* ---- a restored hub ---- */

struct opening {
    struct arena *arena;
    const Casebus__V1__LedgerOpened *opened;
};

static int on_opening(void *self, uint64_t position, struct bytes entry, struct casebus_error *err)
{
    struct opening *opening = self;
    (void)position, (void)err;
    opening->opened = opening_of(entry, opening->arena);
    return 0;
}

/* 1: the entry that is shown at @at opens a later generation than the one that the copy has there. *said: the
 * most entries that it admits to have been shown. */
static int opens_later(struct watch *watch, uint64_t at, uint64_t *said, struct casebus_error *err)
{
    struct opening opening = {.arena = &watch->arena};
    struct checkpoint shown;
    if (at == 0 || at >= watch->checkpoint.size)
        return 0;
    if (bundles_visit(&watch->bundles, at, at + 1, on_opening, &opening, err))
        return -1;
    const Casebus__V1__LedgerOpened *opened = opening.opened;
    const char *before = ledger_origin_at(watch->seen.ledger, at);
    if (!opened || !origin_follows(opened->origin, before) || strcmp(opened->origin, before) == 0)
        return 0;
    struct bytes note = bytes_of(opened->previous_checkpoint.data, opened->previous_checkpoint.len);
    *said = checkpoint_parse(&shown, note, NULL) == 0 ? shown.size : 0;
    return 1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

static int folder_rename(const char *from, const char *from_name, const char *to, const char *to_name,
                         struct casebus_error *err)
{
    char old[PATH_MAX], new[PATH_MAX];
    if (path_join(old, sizeof old, from, from_name) || path_join(new, sizeof new, to, to_name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), to);
    if (rename(old, new) != 0)
        return error_set_errno(err, errno, _("cannot rename '%s'"), old);
    return dir_sync(to, err);
}

int watch_seen_open(struct watch *watch, struct casebus_error *err)
{
    char ledger[PATH_MAX], next[PATH_MAX];
    const char *dir = watch->options.dir;
    if (path_join(ledger, sizeof ledger, dir, "ledger") ||
        path_join(next, sizeof next, watch->next, "ledger"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (access(ledger, F_OK) != 0 && access(next, F_OK) == 0 &&
        folder_rename(watch->next, "ledger", dir, "ledger", err))
        return -1;
    nftw(watch->next, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    aside_sweep(dir);
    return seen_open(&watch->seen, dir, logs_suite(&watch->logs), err) ||
                   seen_checkpoint_beside(&watch->seen, watch->newest, err)
               ? -1
               : 0;
}

/* The order is what watch_seen_open relies on: no ledger in DIR means that the next one is whole. */
static int seen_change(struct watch *watch, const char *kept, struct casebus_error *err)
{
    const char *dir = watch->options.dir;
    seen_close(&watch->seen);
    if (folder_rename(dir, "ledger", kept, "ledger", err) || dir_sync(dir, err) ||
        folder_rename(watch->next, "ledger", dir, "ledger", err))
        return -1;
    folder_rename(watch->next, "verify.resume", dir, "verify.resume", NULL); /* a short one has none */
    return watch_seen_open(watch, err);
}

/* The second copy: what both share, and what is shown behind it. */
static int next_make(struct watch *watch, struct seen *next, uint64_t at, struct casebus_error *err)
{
    nftw(watch->next, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (dir_make(watch->next, err) || seen_open(next, watch->next, logs_suite(&watch->logs), err) ||
        seen_begin_with(next, &watch->seen, at, err))
        return -1;
    int r = watch_store(watch, next, err);
    return r ? r : watch_meaning(watch, next, err);
}

/* What is lost is noted before it is lost from DIR/ledger; aside_tell tells it. */
static int restored_follow(struct watch *watch, uint64_t at, uint64_t said, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct seen next = {.ledger = NULL};
    struct watch_lost lost = {.from = at, .end = watch->have};
    int r = next_make(watch, &next, at, err);
    strcpy(lost.origin, watch->checkpoint.origin);
    seen_close(&next);
    if (r)
        return r > 0 ? watch_alarm(watch, err) : -1;
    if (aside_make(watch->options.dir, &lost, said, err))
        return -1;
    if (path_join(path, sizeof path, lost.kept, "checkpoint"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), lost.kept);
    if (seen_checkpoint_beside(&watch->seen, path, err) || seen_change(watch, lost.kept, err))
        return -1;
    watch->stays = at;
    return 0;
}

int watch_part(struct watch *watch, struct casebus_error *err)
{
    uint64_t at = 0, said = 0;
    const char *shown = watch->checkpoint.origin, *known = seen_origin(&watch->seen);
    bool later = watch->have && strcmp(shown, known) != 0 && origin_follows(shown, known);
    int found = watch->have ? parting_find(watch, &at, err) : 0;
    if (found < 0 && (later || err->code == CASEBUS_CLOSED))
        return -1; /* it may have been restored */
    int opens = found == 1 && later ? opens_later(watch, at, &said, err) : 0;
    if (opens)
        return opens < 0 ? -1 : restored_follow(watch, at, said, err);
    return fork_tell(watch, found, at, err);
}
