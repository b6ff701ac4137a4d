/* Links are followed: what counts is where the files would lie. */
#include "hub/ledger/outside.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of what is there of @path: itself, or the nearest folder above it. */
static bool nearest(char real[PATH_MAX], const char *path)
{
    char part[PATH_MAX];
    int n = snprintf(part, sizeof(part), "%s", path);
    if (n < 0 || n >= (int)sizeof(part))
        return false;
    while (!realpath(part, real)) {
        char *slash = strrchr(part, '/');
        if (errno != ENOENT)
            return false;
        if (!slash)
            return realpath(".", real) != NULL;
        slash[slash == part] = '\0';
    }
    return true;
}

int outside_hub(const char *path, struct casebus_error *err)
{
    char real[PATH_MAX], file[PATH_MAX], *slash;
    if (!nearest(real, path))
        return error_set_errno(err, errno, _("cannot use the path '%s'"), path);
    for (bool itself = access(path, F_OK) == 0;; itself = false) {
        if (path_join(file, sizeof(file), real[0] ? real : "/", "hub.yaml") == 0 && access(file, F_OK) == 0) {
            if (itself)
                error_set(err, CASEBUS_ARGUMENT, _("'%s' is the directory of a hub"), path);
            else
                error_set(err, CASEBUS_ARGUMENT, _("'%s' lies in the directory of a hub, '%s'"), path, real);
            return error_hint(err, _("give a directory elsewhere, best on another disk"));
        }
        if (!(slash = strrchr(real, '/')))
            return 0;
        *slash = '\0';
    }
}
