#include "hub/watch/evidence.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"
#include "proto/merkle/tiles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_BYTES 4 /* of a root, in a name */

/* "SIZE-ROOT" of the checkpoint in @note. */
static int name_of(char *name, size_t size, struct bytes note, struct casebus_error *err)
{
    struct checkpoint checkpoint;
    char root[2 * NAME_BYTES + 1];
    if (checkpoint_parse(&checkpoint, note, err))
        return -1;
    snprintf(name, size, "%" PRIu64 "-%s", checkpoint.size, hex_encode(root, checkpoint.root, NAME_BYTES));
    return 0;
}

static int path_in(char path[PATH_MAX], const char *dir, const char *name, const char *suffix,
                   struct casebus_error *err)
{
    char file[96];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    return path_join(path, PATH_MAX, dir, file)
               ? error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir)
               : 0;
}

static int note_keep(const char *dir, struct bytes note, struct casebus_error *err)
{
    char path[PATH_MAX], name[64];
    return name_of(name, sizeof name, note, err) || path_in(path, dir, name, ".note", err) ||
                   file_write(path, note, 0600, err)
               ? -1
               : 0;
}

/* 1: kept; 0: there is none; -1. */
static int before_keep(const char *dir, const char *path, struct casebus_error *err)
{
    struct buffer before;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(path, NOTE_MAX, &before, err);
    if (r == 0)
        r = note_keep(dir, bytes_of(before.data, before.size), err);
    buffer_deinit(&before);
    return r ? -1 : 1;
}

/* The directory itself goes there, and an empty one takes its place. */
static int bundles_keep(const char *dir, struct bytes note, struct bundles *bundles,
                        struct casebus_error *err)
{
    char path[PATH_MAX], name[64];
    if (bundles->from >= tile_count(TILE_ENTRIES, bundles->size))
        return 0;
    if (name_of(name, sizeof name, note, err) || path_in(path, dir, name, "-entries", err))
        return -1;
    if (access(path, F_OK) == 0)
        return 0; /* from an earlier alarm about the same */
    if (rename(bundles->dir, path) != 0)
        return error_set_errno(err, errno, _("cannot rename '%s'"), bundles->dir);
    bundles->from = tile_count(TILE_ENTRIES, bundles->size);
    return dir_sync(dir, err) || dir_make(bundles->dir, err) ? -1 : 0;
}

void evidence_keep(const char *dir, const char *before_path, struct bytes note, struct bundles *bundles,
                   struct casebus_error *err)
{
    struct casebus_error why = {0};
    int before = dir_make(dir, &why) ? -1 : before_keep(dir, before_path, &why);
    if (before < 0 || note_keep(dir, note, &why) || bundles_keep(dir, note, bundles, &why))
        error_hint(err, _("what proves it could not be kept: %.150s"), why.text);
    else if (before)
        error_hint(err,
                   _("both signed checkpoints are kept in '%.120s'; show them to whoever oversees the hub"),
                   dir);
    else
        error_hint(err, _("the signed checkpoint is kept in '%.120s'; show it to whoever oversees the hub"),
                   dir);
}
