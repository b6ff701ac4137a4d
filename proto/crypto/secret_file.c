/* Secret files. A new one is written under a temporary name and linked into place, so that it is there whole
 * or not at all and replaces nothing, also when two processes make it at once. Whether others can read it is
 * asked of the open descriptor, not of the path. */
#include "proto/crypto/secret_file.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int secret_file_open(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        int reason = errno;
        error_set_errno(err, reason, _("the key file '%s' cannot be opened"), path);
        if (err && reason == ENOENT)
            err->code = CASEBUS_KEY;
        return -1;
    }
    if (fstat(fd, &st) != 0)
        error_set_errno(err, errno, _("the key file '%s' cannot be examined"), path);
    else if (!S_ISREG(st.st_mode))
        error_set(err, CASEBUS_KEY, _("the key file '%s' is not an ordinary file"), path);
    else if (st.st_mode & 077) {
        error_set(err, CASEBUS_KEY, _("the key file '%s' is open to others than its owner (mode %04o)"), path,
                  (unsigned)st.st_mode & 07777);
        error_hint(err, _("Run: chmod 600 '%s'. If strangers may have read it, make a new key."), path);
    } else if (st.st_size > SECRET_FILE_MAX)
        error_set(err, CASEBUS_KEY, _("the key file '%s' is larger than a key can be"), path);
    else
        return fd;
    close(fd);
    return -1;
}

/* Returns the bytes read, at most @size, or -1. */
static ssize_t read_whole(int fd, uint8_t *out, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, out + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int secret_file_load(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep, struct casebus_error *err)
{
    int fd = secret_file_open(path, err);

    if (fd < 0)
        return -1;
    ssize_t size = read_whole(fd, out, SECRET_FILE_MAX);
    int reason = errno;
    close(fd);
    if (size < 0) {
        secret_clear(out, SECRET_FILE_MAX);
        return error_set_errno(err, reason, _("the key file '%s' cannot be read"), path);
    }
    *sizep = (size_t)size;
    return 0;
}

static int write_whole(int fd, struct bytes secret)
{
    while (secret.size) {
        ssize_t n = write(fd, secret.data, secret.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        secret.data += n;
        secret.size -= (size_t)n;
    }
    return fsync(fd);
}

static int link_refused(int reason, const char *path, struct casebus_error *err)
{
    if (reason != EEXIST)
        return error_set_errno(err, reason, _("the key file '%s' cannot be made"), path);
    error_set(err, CASEBUS_EXISTS, _("the key file '%s' exists already"), path);
    return error_hint(err, _("A key is never replaced; move the old one away first."));
}

/* @temporary ends in XXXXXX. mkostemp makes it with mode 0600. */
static int write_and_link(char *temporary, const char *path, struct bytes secret, struct casebus_error *err)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return error_set_errno(err, errno, _("the key file '%s' cannot be made"), path);
    if (write_whole(fd, secret) != 0)
        r = error_set_errno(err, errno, _("the key file '%s' cannot be written"), path);
    else if (link(temporary, path) != 0)
        r = link_refused(errno, path, err);
    close(fd);
    unlink(temporary);
    return r;
}

int secret_file_save(const char *path, struct bytes secret, struct casebus_error *err)
{
    char temporary[PATH_MAX];
    char dir[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return error_set(err, CASEBUS_FILE, _("the path '%s' is too long"), path);
    if (write_and_link(temporary, path, secret, err) != 0)
        return -1;
    snprintf(dir, sizeof dir, "%s", path);
    return dir_sync(dirname(dir), err);
}
