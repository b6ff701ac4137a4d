/* Each file is written under one temporary name and renamed; all of them are synced at once, and then the
 * checkpoint is replaced. Within the tree of the checkpoint that is there nothing is written again. What lies
 * behind it was left by an export that did not come to its end, and is written again when it is not the same.
 *
 * A partial tile serves those who hold the checkpoint that it was made for. It goes when the full one has
 * come, which they may take instead (C2SP tlog-tiles). */
#include "hub/cli/export.h"

#include "hub/ledger/tile.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART         ".part" /* what is being written; never under tile/ */
#define VIEW_HELD_NS UINT64_C(1000000000)

struct export
{
    const struct export_options *options;
    struct export_result *result;
    int dir; /* descriptor, locked */
    struct ledger_view *view;
    uint64_t view_since_ns;
    struct crypter *crypter;
    struct note_verifier verifier;
    struct buffer note; /* the checkpoint to come */
    struct buffer tile; /* what is being written */
    struct buffer have; /* what is there already */
    uint64_t done, total;
};

static int fault_errno(const struct export *export, int reason, const char *name, struct casebus_error *err)
{
    return error_set_errno(err, reason, _("the file '%s' of the export to '%s'"), name, export->options->dir);
}

/* ---- the directory ---- */

static bool there(const struct export *export, const char *name)
{
    struct stat status;
    return fstatat(export->dir, name, &status, 0) == 0;
}

static int dir_open(struct export *export, struct casebus_error *err)
{
    const char *dir = export->options->dir;
    if (mkdir(dir, 0777) && errno != EEXIST)
        return error_set_errno(err, errno, _("cannot make the directory '%s'"), dir);
    export->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (export->dir < 0)
        return error_set_errno(err, errno, _("the directory '%s'"), dir);
    if (flock(export->dir, LOCK_EX | LOCK_NB))
        return error_set(err, CASEBUS_LOCKED, _("another export to '%s' is under way"), dir);
    return 0;
}

/* Makes the folders on the way to @path. Entries are for auditors: theirs is for the owner alone. */
static int folders_make(const struct export *export, const char *path, struct casebus_error *err)
{
    char part[TILE_PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        memcpy(part, path, n);
        part[n] = '\0';
        mode_t mode = strcmp(part, "tile/entries") == 0 ? 0700 : 0777;
        if (mkdirat(export->dir, part, mode) && errno != EEXIST)
            return fault_errno(export, errno, part, err);
    }
    return 0;
}

static int part_write(const struct export *export, struct bytes content)
{
    int fd = openat(export->dir, PART, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return -1;
    while (content.size > 0) {
        ssize_t n = write(fd, content.data, content.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int reason = errno;
            close(fd);
            errno = reason;
            return -1;
        }
        content.data += n;
        content.size -= (size_t)n;
    }
    return close(fd);
}

static int put(const struct export *export, const char *name, struct bytes content, struct casebus_error *err)
{
    if (part_write(export, content) || renameat(export->dir, PART, export->dir, name)) {
        int reason = errno;
        unlinkat(export->dir, PART, 0);
        return fault_errno(export, reason, name, err);
    }
    return 0;
}

/* Everything of the export's file system: one wait instead of thousands. */
static int sync_all(const struct export *export, struct casebus_error *err)
{
    return syncfs(export->dir) ? error_set_errno(err, errno, _("cannot sync '%s'"), export->options->dir) : 0;
}

/* Reads @name into export->have. 1: it is there; 0: it is not. */
static int have_read(struct export *export, const char *name, struct casebus_error *err)
{
    buffer_reset(&export->have);
    int fd = openat(export->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fault_errno(export, errno, name, err);
    ssize_t n = -1;
    for (uint8_t *to; (to = buffer_reserve(&export->have, 65536)) && (n = read(fd, to, 65536)) > 0;)
        export->have.size += (size_t)n;
    int reason = errno;
    close(fd);
    return n == 0  ? 1
           : n < 0 ? fault_errno(export, reason, name, err)
                   : error_set(err, CASEBUS_TOO_LARGE, _("'%s' in '%s' is larger than such a file"), name,
                               export->options->dir);
}

/* ---- is it this log, and a prefix of it? ---- */

/* The name of something in the directory that no export has made, in @name. */
static bool foreign_find(const struct export *export, char *name, size_t size)
{
    int fd = openat(export->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    bool found = false;
    if (!entries && fd >= 0)
        close(fd);
    for (const struct dirent *entry; entries && !found && (entry = readdir(entries));) {
        static const char *const fine[] = {".", "..", PART, "lost+found"};
        found = true;
        for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
            found = found && strcmp(entry->d_name, fine[i]) != 0;
        snprintf(name, size, "%s", entry->d_name);
    }
    if (entries)
        closedir(entries);
    return found;
}

static int strange_dir(const struct export *export, struct casebus_error *err)
{
    const char *dir = export->options->dir;
    char name[NAME_MAX + 1];
    if (there(export, "checkpoint") || there(export, "tile")) {
        error_set(err, CASEBUS_EXISTS,
                  _("'%s' holds an export without 'log.vkey': it does not say of which log"), dir);
        return error_hint(err, _("give a directory of its own to each log"));
    }
    if (!foreign_find(export, name, sizeof name))
        return 0;
    error_set(err, CASEBUS_EXISTS, _("'%s' is not empty and holds no export of a log: '%s' is in it"), dir,
              name);
    return error_hint(err, _("give a directory of its own: one that is missing is made, an empty one is "
                             "filled, an earlier export of this log is brought up to date"));
}

/* Of this log, or of none. */
static int log_check(struct export *export, struct casebus_error *err)
{
    const char *dir = export->options->dir, *key = export->options->log_key;
    int r = have_read(export, "log.vkey", err);
    if (r < 0)
        return -1;
    if (r == 0)
        return strange_dir(export, err);
    size_t n = export->have.size;
    while (n > 0 && export->have.data[n - 1] == '\n')
        n--;
    if (bytes_equal(bytes_of(export->have.data, n), bytes_of_text(key)))
        return 0;
    error_set(err, CASEBUS_EXISTS, _("'%s' holds another log: its key is '%.*s', not '%s'"), dir,
              (int)(n < 120 ? n : 120), (const char *)export->have.data, key);
    return error_hint(err, _("give a directory of its own to each log"));
}

/* The root of the ledger's first @size entries is @root. */
static int root_check(struct export *export, const struct checkpoint *checkpoint, const char *what,
                      struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    if (tree_root_at(export->crypter, checkpoint->size, ledger_view_hash, export->view, root, err))
        return -1;
    if (memcmp(root, checkpoint->root, DIGEST_SIZE) == 0)
        return 0;
    return error_set(err, CASEBUS_CONSISTENCY,
                     _("%s of size %llu is not that of this ledger: one of the two was rewritten"), what,
                     (unsigned long long)checkpoint->size);
}

/* Sets result->size and root. */
static int new_checkpoint(struct export *export, struct casebus_error *err)
{
    struct checkpoint checkpoint;
    if (console_checkpoint(export->options->hub, export->view, &export->note, err) ||
        checkpoint_check(&checkpoint, bytes_of(export->note.data, export->note.size), &export->verifier, err))
        return -1;
    if (checkpoint.size > ledger_view_size(export->view))
        return error_set(err, CASEBUS_DAMAGED,
                         _("the checkpoint of size %llu speaks of more than the ledger has"),
                         (unsigned long long)checkpoint.size);
    export->result->size = checkpoint.size;
    export->result->ledger_size = ledger_view_size(export->view);
    memcpy(export->result->root, checkpoint.root, DIGEST_SIZE);
    return root_check(export, &checkpoint, _("the ledger's own checkpoint"), err);
}

/* The export knows more than what is to be shown now: because this ledger was put back, or because it was
 * exported when nobody had to cosign it. */
static int refuse_shrinking(struct export *export, const struct checkpoint *old, struct casebus_error *err)
{
    uint64_t shown = export->result->size;
    if (old->size > ledger_view_size(export->view)) {
        error_set(err, CASEBUS_BEHIND, _("'%s' holds %llu entries, this ledger's checkpoint %llu"),
                  export->options->dir, (unsigned long long)old->size, (unsigned long long)shown);
        return error_hint(err, _("an older copy of the ledger? keep the export: it shows what is missing"));
    }
    if (root_check(export, old, _("the exported checkpoint"), err))
        return -1;
    error_set(err, CASEBUS_BEHIND,
              _("'%s' holds %llu entries, and witnesses have confirmed only %llu of this ledger"),
              export->options->dir, (unsigned long long)old->size, (unsigned long long)shown);
    return error_hint(err, _("export again when they have confirmed more: casebus witness show"));
}

/* Sets result->old_size. */
static int old_checkpoint(struct export *export, struct casebus_error *err)
{
    struct checkpoint old;
    int r = have_read(export, "checkpoint", err);
    if (r <= 0)
        return r;
    if (checkpoint_check(&old, bytes_of(export->have.data, export->have.size), &export->verifier, err))
        return error_context(err, _("the checkpoint in '%s'"), export->options->dir);
    if (old.size > export->result->size)
        return refuse_shrinking(export, &old, err);
    export->result->old_size = old.size;
    return root_check(export, &old, _("the exported checkpoint"), err);
}

/* ---- tiles ---- */

static int view_refresh(struct export *export, struct casebus_error *err)
{
    uint64_t now = clock_monotonic_ns();
    if (now - export->view_since_ns < VIEW_HELD_NS)
        return 0;
    export->view_since_ns = now;
    return ledger_view_renew(export->view, err);
}

static bool exported_before(const struct export *export, const struct tile *tile, const char *path)
{
    return tile->width <= tile_width_in(tile->level, tile->index, export->result->old_size) &&
           there(export, path);
}

static int tile_write(struct export *export, const struct tile *tile, const char *path,
                      struct casebus_error *err)
{
    buffer_reset(&export->tile);
    if (view_refresh(export, err) || ledger_view_tile(export->view, tile, &export->tile, err))
        return -1;
    struct bytes content = bytes_of(export->tile.data, export->tile.size);
    int r = have_read(export, path, err);
    if (r < 0)
        return -1;
    if (r > 0 && bytes_equal(content, bytes_of(export->have.data, export->have.size)))
        return 0;
    export->result->written++;
    return folders_make(export, path, err) || put(export, path, content, err) ? -1 : 0;
}

static int level_write(struct export *export, int level, struct casebus_error *err)
{
    uint64_t size = export->result->size, n = tile_count(level, size);
    for (uint64_t index = 0; index < n; index++) {
        char path[TILE_PATH_MAX];
        struct tile tile = {level, index, tile_width_in(level, index, size)};
        tile_path(path, &tile);
        if (!exported_before(export, &tile, path) && tile_write(export, &tile, path, err))
            return -1;
        if (export->options->progress)
            export->options->progress(export->options->self, ++export->done, export->total);
    }
    return 0;
}

static int tiles_write(struct export *export, struct casebus_error *err)
{
    int first = export->options->entries ? TILE_ENTRIES : 0;
    for (int level = first; level < TILE_LEVELS; level++)
        export->total += tile_count(level, export->result->size);
    export->result->tiles = export->total;
    for (int level = first; level < TILE_LEVELS; level++)
        if (level_write(export, level, err))
            return -1;
    return 0;
}

/* ---- the end ---- */

static void partial_remove(const struct export *export, int level, uint64_t index)
{
    char path[TILE_PATH_MAX], *end;
    for (unsigned width = 1; width < TILE_WIDTH; width++) {
        const struct tile tile = {level, index, width};
        tile_path(path, &tile);
        unlinkat(export->dir, path, 0);
    }
    if ((end = strrchr(path, '/')))
        *end = '\0';
    unlinkat(export->dir, path, AT_REMOVEDIR);
}

/* Only the tile that was partial in the old tree can have become full. */
static void partials_remove(const struct export *export)
{
    for (int level = export->options->entries ? TILE_ENTRIES : 0; level < TILE_LEVELS; level++) {
        uint64_t n = tile_count(level, export->result->old_size);
        if (n > 0 && tile_width_in(level, n - 1, export->result->old_size) < TILE_WIDTH &&
            tile_width_in(level, n - 1, export->result->size) == TILE_WIDTH)
            partial_remove(export, level, n - 1);
    }
}

static int key_write(struct export *export, struct casebus_error *err)
{
    char line[600];
    int n = snprintf(line, sizeof line, "%s\n", export->options->log_key);
    if (there(export, "log.vkey"))
        return 0;
    return put(export, "log.vkey", bytes_of(line, (size_t)n), err);
}

static int export_run(struct export *export, struct casebus_error *err)
{
    if (dir_open(export, err) || log_check(export, err) || new_checkpoint(export, err) ||
        old_checkpoint(export, err) || key_write(export, err) || tiles_write(export, err) ||
        sync_all(export, err) ||
        put(export, "checkpoint", bytes_of(export->note.data, export->note.size), err) ||
        sync_all(export, err))
        return -1;
    partials_remove(export);
    return 0;
}

static int export_open(struct export *export, const struct export_options *options, struct casebus_error *err)
{
    export->options = options;
    export->dir = -1;
    buffer_init(&export->note, NOTE_MAX);
    buffer_init(&export->tile, TILE_BUNDLE_MAX);
    buffer_init(&export->have, TILE_BUNDLE_MAX + 2 * 65536);
    if (note_verifier_init(&export->verifier, options->log_key, err))
        return -1;
    export->crypter = crypter_new(suite_get(export->verifier.key.suite));
    if (!export->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an export"));
    export->view_since_ns = clock_monotonic_ns();
    return ledger_view_open(&export->view, options->hub->ledger, err);
}

static void export_close(struct export *export)
{
    ledger_view_close(export->view);
    note_verifier_deinit(&export->verifier);
    crypter_free(export->crypter);
    buffer_deinit(&export->note);
    buffer_deinit(&export->tile);
    buffer_deinit(&export->have);
    if (export->dir >= 0)
        close(export->dir);
}

int export_ledger(const struct export_options *options, struct export_result *result,
                  struct casebus_error *err)
{
    struct export export = {.result = result};
    *result = (struct export_result){0};
    int r = export_open(&export, options, err);
    if (r == 0)
        r = export_run(&export, err);
    export_close(&export);
    return r;
}
