/* Settings and public keys: every small file in the hub's directory, and what in keys/ is not secret. And
 * what is evidence for ever: time stamps of this ledger, and proofs against the logs that this hub witnesses.
 * What it has cosigned last (witness/seen) is not: an older copy of that would let it sign a fork. */
#include "proto/base/files.h"
#include "hub/backup/backup.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTINGS_MAX (1024 * 1024)

static const char public_end[] = ".pem"; /* in keys/; what is secret ends in .key */
static const char *const evidence[] = {"witness/evidence", "witness/timestamps"};

static bool of_this_run_only(const char *name)
{
    return strcmp(name, "lock") == 0 || strcmp(name, "secured") == 0 || strcmp(name, "invitations") == 0 ||
           name[0] == '.';
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

static bool copied_before(const char *copy, const struct stat *source)
{
    struct stat status;
    return stat(copy, &status) == 0 && status.st_size == source->st_size;
}

/* Copies the ordinary files of a folder but for @except; with @end only those whose names end so. */
static int folder_copy(const char *from, const char *to, const char *end, const char *except, bool only_new,
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
        else if (lstat(source, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= SETTINGS_MAX &&
                 !(only_new && copied_before(copy, &status)))
            r = file_copy(source, copy, err);
    }
    closedir(folder);
    return r;
}

/* Its files never change once they are written. */
static int evidence_copy(const char *from, const char *to, const char *name, struct casebus_error *err)
{
    char source[PATH_MAX], target[PATH_MAX];
    if (path_join(source, sizeof(source), from, name) || path_join(target, sizeof(target), to, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), to);
    return access(source, F_OK) ? 0 : folder_copy(source, target, NULL, NULL, true, err);
}

static int pair_copy(const char *from, const char *to, const char *except, struct casebus_error *err)
{
    char from_keys[PATH_MAX], to_keys[PATH_MAX];
    if (path_join(from_keys, sizeof(from_keys), from, "keys") ||
        path_join(to_keys, sizeof(to_keys), to, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), to);
    if (folder_copy(from, to, NULL, except, false, err) ||
        folder_copy(from_keys, to_keys, public_end, NULL, false, err))
        return -1;
    for (size_t i = 0; i < sizeof(evidence) / sizeof(evidence[0]); i++)
        if (evidence_copy(from, to, evidence[i], err))
            return -1;
    return 0;
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
