/* The files need not survive a crash: what is missing or torn the next look takes anew. So they are written
 * without a sync. The name of a whole bundle is its index; one that may still grow has ".p" behind it and is
 * taken by each look. */
#include "hub/watch/bundles.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/tiles.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUNDLE_MAX ((size_t)TILE_WIDTH * (2 + 65535))

/* ---- taking ---- */

/* Removes the files, but for whole bundles before @keep. */
static void files_drop(const char *path, uint64_t keep)
{
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        bool whole = name[strspn(name, "0123456789")] == '\0';
        if (isdigit((unsigned char)*name) && (!whole || strtoull(name, NULL, 10) >= keep))
            unlinkat(dirfd(dir), name, 0);
    }
    closedir(dir);
}

void bundles_begin(struct bundles *bundles, uint64_t size)
{
    files_drop(bundles->dir, size / TILE_WIDTH);
    bundles->size = size;
    bundles->from = tile_count(TILE_ENTRIES, size);
    bundles->kept = 0;
}

void bundles_drop(struct bundles *bundles)
{
    files_drop(bundles->dir, 0);
    bundles->from = tile_count(TILE_ENTRIES, bundles->size);
    bundles->kept = 0;
}

static bool is_whole(const struct bundles *bundles, uint64_t index)
{
    return tile_width_in(TILE_ENTRIES, index, bundles->size) == TILE_WIDTH;
}

static int bundle_path(const struct bundles *bundles, uint64_t index, char path[PATH_MAX],
                       struct casebus_error *err)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64 "%s", index, is_whole(bundles, index) ? "" : ".p");
    return path_join(path, PATH_MAX, bundles->dir, name)
               ? error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), bundles->dir)
               : 0;
}

/* A partial bundle may have given way to the full one. */
static int bundle_get(const struct bundles *bundles, uint64_t index, struct buffer *out,
                      struct casebus_error *err)
{
    char path[TILE_PATH_MAX];
    struct tile tile = {
        .level = TILE_ENTRIES, .index = index, .width = tile_width_in(TILE_ENTRIES, index, bundles->size)};
    int r = source_get(bundles->source, tile_path(path, &tile), BUNDLE_MAX, out, err);
    if (r == 0 || err->code != CASEBUS_NOT_FOUND || tile.width == TILE_WIDTH)
        return r;
    buffer_deinit(out);
    tile.width = TILE_WIDTH;
    return source_get(bundles->source, tile_path(path, &tile), BUNDLE_MAX, out, err);
}

static int plain_write(const char *path, struct bytes content, struct casebus_error *err)
{
    char part[PATH_MAX + 8];
    snprintf(part, sizeof part, "%s.new", path);
    FILE *file = fopen(part, "we");
    bool written = file && fwrite(content.data, 1, content.size, file) == content.size;
    int reason = errno;
    if (file && fclose(file) != 0 && written) {
        written = false;
        reason = errno;
    }
    if (written && rename(part, path) == 0)
        return 0;
    return error_set_errno(err, written ? errno : reason, _("cannot write '%s'"), path);
}

static int bundle_take(struct bundles *bundles, uint64_t index, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer bundle;
    if (bundles->stop && bundles->stop(bundles->self))
        return error_set(err, CASEBUS_CLOSED, _("stopped before everything was read"));
    if (bundle_path(bundles, index, path, err))
        return -1;
    if (is_whole(bundles, index) && access(path, F_OK) == 0) {
        bundles->kept++;
        return 0;
    }
    int r = bundle_get(bundles, index, &bundle, err);
    if (r == 0)
        r = plain_write(path, bytes_of(bundle.data, bundle.size), err);
    buffer_deinit(&bundle);
    return r ? -1 : 0;
}

int bundles_take(struct bundles *bundles, uint64_t position, struct casebus_error *err)
{
    uint64_t first = position / TILE_WIDTH, end = bundles->from;
    for (uint64_t i = first; i < end; i++) {
        if (bundle_take(bundles, i, err))
            return -1;
        if (bundles->progress)
            bundles->progress(bundles->self, (i + 1 - first) * TILE_WIDTH, (end - first) * TILE_WIDTH);
    }
    if (first < end)
        bundles->from = first;
    return 0;
}

/* ---- visiting ---- */

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

struct visit {
    uint64_t first, end;
    bundles_visit_fn *visit;
    void *self;
};

static int bundle_visit(const struct visit *visit, uint64_t index, struct bytes bundle,
                        struct casebus_error *err)
{
    for (unsigned i = 0; i < TILE_WIDTH && index * TILE_WIDTH + i < visit->end; i++) {
        struct bytes entry;
        uint64_t position = index * TILE_WIDTH + i;
        if (!entry_take(&bundle, &entry))
            return error_set(err, CASEBUS_MALFORMED,
                             _("the bundle of entries %" PRIu64 " ends before its entry %u"), index, i);
        int r = position >= visit->first ? visit->visit(visit->self, position, entry, err) : 0;
        if (r)
            return r;
    }
    return 0;
}

int bundles_visit(const struct bundles *bundles, uint64_t first, uint64_t end, bundles_visit_fn *visit,
                  void *self, struct casebus_error *err)
{
    const struct visit all = {.first = first, .end = end, .visit = visit, .self = self};
    int r = 0;
    for (uint64_t i = first / TILE_WIDTH; r == 0 && i * TILE_WIDTH < end; i++) {
        char path[PATH_MAX];
        struct buffer bundle;
        if (bundle_path(bundles, i, path, err))
            return -1;
        r = file_read(path, BUNDLE_MAX, &bundle, err);
        if (r == 0)
            r = bundle_visit(&all, i, bytes_of(bundle.data, bundle.size), err);
        buffer_deinit(&bundle);
    }
    return r;
}

struct growing {
    struct tree *tree;
    struct crypter *crypter;
};

static int on_leaf(void *self, uint64_t position, struct bytes entry, struct casebus_error *err)
{
    struct growing *growing = self;
    uint8_t hash[DIGEST_SIZE];
    (void)position, (void)err;
    tree_leaf_hash(growing->crypter, entry, hash);
    tree_append(growing->tree, growing->crypter, hash, NULL, NULL);
    return 0;
}

int bundles_grow(const struct bundles *bundles, struct tree *tree, struct crypter *crypter,
                 struct casebus_error *err)
{
    struct growing growing = {.tree = tree, .crypter = crypter};
    return bundles_visit(bundles, tree->size, bundles->size, on_leaf, &growing, err);
}
