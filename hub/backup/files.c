/* Settings and public keys: every small file in the hub's directory, and what in keys/ is not secret. */
#include "proto/base/files.h"
#include "hub/backup/backup.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define SETTINGS_MAX (1024 * 1024)

static const char public_end[] = ".pem"; /* in keys/; what is secret ends in .key */

static bool of_this_run_only(const char *name)
{
    return strcmp(name, "lock") == 0 || strcmp(name, "secured") == 0 || name[0] == '.';
}

static int file_copy(const char *from, const char *to, struct casebus_error *err)
{
    struct buffer content;
    int r = file_read(from, SETTINGS_MAX, &content, err);
    if (r == 0)
        r = file_write(to, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    return r;
}

/* Copies the ordinary files of a folder but for @except; with @end only those whose names end so. */
static int folder_copy(const char *from, const char *to, const char *end, const char *except,
                       struct casebus_error *err)
{
    DIR *folder = opendir(from);
    if (!folder)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), from);
    int r = dir_make(to, err);
    for (struct dirent *entry; !r && (entry = readdir(folder));) {
        char source[PATH_MAX], copy[PATH_MAX];
        struct stat status;
        size_t n = strlen(entry->d_name);
        if (of_this_run_only(entry->d_name) || (except && strcmp(entry->d_name, except) == 0) ||
            (end && (n < strlen(end) || strcmp(entry->d_name + n - strlen(end), end) != 0)))
            continue;
        if (path_join(source, sizeof(source), from, entry->d_name) ||
            path_join(copy, sizeof(copy), to, entry->d_name))
            r = error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), to);
        else if (lstat(source, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= SETTINGS_MAX)
            r = file_copy(source, copy, err);
    }
    closedir(folder);
    return r;
}

static int pair_copy(const char *from, const char *to, const char *except, struct casebus_error *err)
{
    char from_keys[PATH_MAX], to_keys[PATH_MAX];
    if (path_join(from_keys, sizeof(from_keys), from, "keys") ||
        path_join(to_keys, sizeof(to_keys), to, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), to);
    return folder_copy(from, to, NULL, except, err) || folder_copy(from_keys, to_keys, public_end, NULL, err)
               ? -1
               : 0;
}

int files_copy(const char *dir, const char *dest, struct casebus_error *err)
{
    char files[PATH_MAX];
    if (path_join(files, sizeof(files), dest, "files"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return pair_copy(dir, files, NULL, err);
}

int files_restore(const char *dest, const char *dir, struct casebus_error *err)
{
    char files[PATH_MAX];
    if (path_join(files, sizeof(files), dest, "files"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return pair_copy(files, dir, "hub.yaml", err);
}
