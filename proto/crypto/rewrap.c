/* All secret files of a directory get another passphrase. Each is looked at before one is changed, so that a
 * wrong passphrase changes nothing; a run that is cut short is run again, and finds some that are done. */
#include "proto/crypto/rewrap.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/shield.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

struct file {
    char path[PATH_MAX];
    uint8_t secret[SECRET_FILE_MAX];
    size_t size;
    bool done; /* it is as it shall be */
};

/* In locked memory. */
struct files {
    size_t n;
    bool wrapped; /* one of them at least */
    struct passphrase now, later;
    struct file rows[REWRAP_FILES_MAX];
};

/* node.key, node.curve, kek.new, witness.key.before: what holds a secret, whatever is behind it. */
static bool holds_secret(const char *name)
{
    return name[0] != '.' &&
           (strstr(name, ".key") || strstr(name, ".curve") || strncmp(name, "kek.", 4) == 0);
}

/* What kill -9 left of a file that was being made may hold the same secret, half of it or all. */
static int file_add(struct files *files, const char *dir, const char *name, struct casebus_error *err)
{
    if (files->n == REWRAP_FILES_MAX || path_join(files->rows[files->n].path, PATH_MAX, dir, name))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' holds too many keys, or its name is too long"), dir);
    if (file_is_unfinished(name))
        return secret_file_drop(files->rows[files->n].path, err);
    int wrapped = secret_file_wrapped(files->rows[files->n].path, err);
    if (wrapped < 0)
        return -1;
    files->wrapped |= wrapped;
    files->n++;
    return 0;
}

static int files_find(struct files *files, const char *dir, struct casebus_error *err)
{
    int r = 0;
    DIR *folder = opendir(dir);
    if (!folder)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dir);
    for (struct dirent *entry; r == 0 && (entry = readdir(folder));)
        if (holds_secret(entry->d_name))
            r = file_add(files, dir, entry->d_name, err);
    closedir(folder);
    if (r == 0 && files->n == 0)
        r = error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no keys"), dir);
    return r;
}

static int all_open(struct files *files, const struct passphrase *now, const struct passphrase *later,
                    struct casebus_error *err)
{
    for (struct file *file = files->rows; file < files->rows + files->n; file++)
        if (secret_file_open(file->path, now, later, file->secret, &file->size, &file->done, err))
            return -1;
    return 0;
}

static int all_replace(const struct files *files, const struct passphrase *later, struct casebus_error *err)
{
    for (const struct file *file = files->rows; file < files->rows + files->n; file++)
        if (!file->done && secret_file_replace(file->path, bytes_of(file->secret, file->size), later, err))
            return -1;
    return 0;
}

int secret_files_rewrap(const char *dir, const char *new_file, bool remove, size_t *np,
                        struct casebus_error *err)
{
    struct files *files = secret_new(sizeof *files);
    if (!files)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a passphrase"));
    const struct passphrase *now = NULL, *later = remove ? NULL : &files->later;
    int r = files_find(files, dir, err), known = 0;
    if (r == 0 && files->wrapped)
        known = passphrase_get(&files->now, dir, err);
    if (known > 0)
        now = &files->now;
    if (known < 0 || r || (later && passphrase_new(&files->later, new_file, err)) ||
        all_open(files, now, later, err) || all_replace(files, later, err))
        r = -1;
    *np = files->n;
    secret_free(files, sizeof *files);
    return r;
}
