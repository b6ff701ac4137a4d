#include "hub/watch/aside.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PREFIX     "before-"
#define UNTOLD     "untold"
#define UNTOLD_MAX 512

struct aside {
    struct watch_lost lost;
    uint64_t said;
};

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool holds(const char *kept, const char *name)
{
    char path[PATH_MAX];
    return path_join(path, sizeof path, kept, name) == 0 && access(path, F_OK) == 0;
}

/* ---- what has to be told ---- */

static int untold_path(char path[PATH_MAX], const char *kept, struct casebus_error *err)
{
    return path_join(path, PATH_MAX, kept, UNTOLD)
               ? error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), kept)
               : 0;
}

static int untold_write(const struct aside *aside, struct casebus_error *err)
{
    char path[PATH_MAX], text[UNTOLD_MAX];
    const struct watch_lost *lost = &aside->lost;
    int size = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", lost->from, lost->end,
                        aside->said, lost->origin);
    return untold_path(path, lost->kept, err) || file_write(path, bytes_of(text, (size_t)size), 0600, err)
               ? -1
               : 0;
}

static bool untold_parse(const char *text, struct aside *aside)
{
    char origin[UNTOLD_MAX], behind;
    struct watch_lost *lost = &aside->lost;
    if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %511s%c", &lost->from, &lost->end, &aside->said,
               origin, &behind) != 5 ||
        behind != '\n' || !origin_valid(origin) || lost->from >= lost->end)
        return false;
    strcpy(lost->origin, origin); /* a valid one fits */
    return true;
}

/* 1: nobody was told of what is in @kept; 0: everybody; -1. */
static int untold_read(const char *kept, struct aside *aside, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer file;
    *aside = (struct aside){.said = 0};
    if (!holds(kept, UNTOLD))
        return 0;
    if (untold_path(path, kept, err) || strlen(kept) >= sizeof aside->lost.kept)
        return -1;
    strcpy(aside->lost.kept, kept);
    int r = file_read(path, UNTOLD_MAX - 1, &file, err);
    if (r == 0 && !untold_parse((const char *)file.data, aside))
        r = error_set(err, CASEBUS_DAMAGED, _("'%s' does not say what was lost"), path);
    buffer_deinit(&file);
    return r ? -1 : 1;
}

/* ---- the directories ---- */

static int is_aside(const struct dirent *entry)
{
    return begins(entry->d_name, PREFIX);
}

typedef int aside_fn(void *self, const char *kept, struct casebus_error *err);

/* Oldest first. */
static int asides_visit(const char *dir, aside_fn *visit, void *self, struct casebus_error *err)
{
    struct dirent **entries;
    int r = 0, n = scandir(dir, &entries, is_aside, alphasort);
    if (n < 0)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dir);
    for (int i = 0; i < n; i++) {
        char kept[PATH_MAX];
        if (r == 0 && path_join(kept, sizeof kept, dir, entries[i]->d_name) == 0)
            r = visit(self, kept, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* A name of its own, even twice within a second. */
static int directory_make(const char *dir, char kept[PATH_MAX], struct casebus_error *err)
{
    char name[64];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    size_t n = strftime(name, sizeof name, PREFIX "%Y-%m-%dT%H-%M-%SZ", &utc);
    for (unsigned i = 2; path_join(kept, PATH_MAX, dir, name) == 0 && i < 100; i++) {
        if (access(kept, F_OK) != 0)
            return dir_make(kept, err);
        snprintf(name + n, sizeof name - n, "-%u", i);
    }
    return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
}

int aside_make(const char *dir, struct watch_lost *lost, uint64_t said, struct casebus_error *err)
{
    struct aside aside = {.said = said};
    if (directory_make(dir, lost->kept, err))
        return -1;
    aside.lost = *lost;
    return untold_write(&aside, err);
}

/* A file that was being written has a longer name. */
static void files_drop(const char *kept, struct dirent **entries, int n, const char *prefix)
{
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        if (begins(entries[i]->d_name, prefix) && path_join(path, sizeof path, kept, entries[i]->d_name) == 0)
            unlink(path);
    }
}

/* Only what was made for a change of copies is removed, and last what says that it was. */
static int sweep(void *self, const char *kept, struct casebus_error *err)
{
    struct dirent **entries;
    bool ours = false;
    (void)self, (void)err;
    int n = holds(kept, "ledger") ? -1 : scandir(kept, &entries, NULL, alphasort);
    if (n < 0)
        return 0;
    for (int i = 0; i < n; i++)
        ours = ours || begins(entries[i]->d_name, UNTOLD);
    if (ours) {
        files_drop(kept, entries, n, "checkpoint");
        files_drop(kept, entries, n, UNTOLD);
    }
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    rmdir(kept); /* when nothing else is in it */
    return 0;
}

void aside_sweep(const char *dir)
{
    asides_visit(dir, sweep, NULL, NULL);
}

/* ---- telling ---- */

struct telling {
    const struct log *log;
    struct watch_result *result;
};

/* The size of the checkpoint that the hub had signed for the copy; 0 when there is none. */
static uint64_t signed_before(const char *kept)
{
    char path[PATH_MAX];
    struct buffer note;
    struct checkpoint checkpoint;
    if (!holds(kept, "checkpoint") || path_join(path, sizeof path, kept, "checkpoint"))
        return 0;
    bool fine = file_read(path, NOTE_MAX, &note, NULL) == 0 &&
                checkpoint_parse(&checkpoint, bytes_of(note.data, note.size), NULL) == 0;
    buffer_deinit(&note);
    return fine ? checkpoint.size : 0;
}

static void one_tell(const struct log *log, const struct aside *aside)
{
    const struct watch_lost *lost = &aside->lost;
    uint64_t size = signed_before(lost->kept);
    log_warning(log, "WATCH-LOST",
                _("the hub was restored and goes on as '%s' from entry %" PRIu64 ": the entries %" PRIu64
                  " to %" PRIu64 ", which it had shown here, are missing; they are kept in '%s'"),
                lost->origin, lost->from, lost->from, lost->end - 1, lost->kept);
    if (size > aside->said && size > lost->from)
        log_warning(log, "WATCH-LACKS",
                    _("the hub names %" PRIu64
                      " entries as the most that anybody had seen, but had signed %" PRIu64
                      " here; the signed checkpoint is kept in '%s'"),
                    aside->said, size, lost->kept);
}

static int tell(void *self, const char *kept, struct casebus_error *err)
{
    struct telling *telling = self;
    struct watch_result *result = telling->result;
    struct aside aside;
    if (result->n_lost == WATCH_LOST_MAX || !holds(kept, "ledger"))
        return 0;
    int r = untold_read(kept, &aside, err);
    if (r <= 0)
        return r;
    one_tell(telling->log, &aside);
    result->lost[result->n_lost++] = aside.lost;
    return 0;
}

int aside_tell(const char *dir, const struct log *log, struct watch_result *result, struct casebus_error *err)
{
    struct telling telling = {.log = log, .result = result};
    return asides_visit(dir, tell, &telling, err);
}

int aside_told(const struct watch_lost *lost, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (untold_path(path, lost->kept, err))
        return -1;
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_errno(err, errno, _("cannot remove '%s'"), path);
    return dir_sync(lost->kept, err);
}
