/* Durable files. A file is on disk when its bytes are synced and the directory that names it is synced too;
 * every function here does both. Everything is opened close-on-exec. */
#include "proto/base/files.h"

#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Fills @out from @fd until the end or until @max + 1 bytes have come, which tells that there are too many.
 */
static int fd_read(int fd, const char *path, size_t max, struct buffer *out, struct casebus_error *err)
{
    for (;;) {
        size_t want = max + 1 - out->size < 65536 ? max + 1 - out->size : 65536;
        if (want == 0)
            return error_set(err, CASEBUS_TOO_LARGE, _("file '%s' is larger than %zu bytes"), path, max);
        uint8_t *to = buffer_reserve(out, want + 1);
        if (!to)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), path);
        ssize_t got = read(fd, to, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, _("cannot read '%s'"), path);
        to[got] = '\0';
        if (got == 0)
            return 0;
        out->size += (size_t)got;
    }
}

int file_read(const char *path, size_t max, struct buffer *out, struct casebus_error *err)
{
    assert(max < SIZE_MAX - 2);
    buffer_init(out, max + 2);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot open '%s'"), path);
    int r = fd_read(fd, path, max, out, err);
    close(fd);
    return r;
}

static int fd_write(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t put = write(fd, content.data, content.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        content.data += put;
        content.size -= (size_t)put;
    }
    return 0;
}

/* The directory part of @path. */
static int path_parent(char *out, size_t size, const char *path)
{
    size_t length = strlen(path);
    if (length >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0) {
        memcpy(out, ".", 2);
        return 0;
    }
    memcpy(out, path, length);
    out[length] = '\0';
    return 0;
}

int file_sync_name(const char *path, struct casebus_error *err)
{
    char parent[PATH_MAX];
    if (path_parent(parent, sizeof parent, path) != 0)
        return error_set_errno(err, errno, _("cannot use the path '%s'"), path);
    return dir_sync(parent, err);
}

uint64_t disk_free(const char *path)
{
    struct statvfs disk;
    return statvfs(path, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
}

bool file_is_unfinished(const char *name)
{
    size_t size = strlen(name), n = sizeof FILE_UNFINISHED - 1;
    return size > n && memcmp(name + size - n, FILE_UNFINISHED, n - 6) == 0;
}

int file_write(const char *path, struct bytes content, unsigned mode, struct casebus_error *err)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s" FILE_UNFINISHED, path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return error_set_errno(err, ENAMETOOLONG, _("cannot write '%s'"), path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot write '%s'"), path);
    bool written = fchmod(fd, mode) == 0 && fd_write(fd, content) == 0 && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0 && written) {
        written = false;
        reason = errno;
    }
    if (written && rename(temporary, path) == 0)
        return file_sync_name(path, err);
    if (written)
        reason = errno;
    unlink(temporary);
    return error_set_errno(err, reason, _("cannot write '%s'"), path);
}

static int dir_make_one(const char *path, struct casebus_error *err)
{
    struct stat status;
    if (mkdir(path, 0700) == 0)
        return file_sync_name(path, err);
    int reason = errno;
    if (reason == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    return error_set_errno(err, reason == EEXIST ? ENOTDIR : reason, _("cannot make the directory '%s'"),
                           path);
}

int dir_make(const char *path, struct casebus_error *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return error_set_errno(err, length ? ENAMETOOLONG : ENOENT, _("cannot make the directory '%s'"),
                               path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (dir_make_one(part, err) != 0)
            return -1;
    }
    return 0;
}

int dir_sync(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), path);
    int r = fsync(fd) == 0 ? 0 : error_set_errno(err, errno, _("cannot sync the directory '%s'"), path);
    close(fd);
    return r;
}

/* Says who holds the lock, as far as the holder has written it down. */
static int lock_refused(int fd, const char *path, struct casebus_error *err)
{
    char holder[16] = "";
    ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
    holder[got > 0 ? got : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    if (holder[0])
        error_set(err, CASEBUS_LOCKED, _("'%s' is held by process %s"), path, holder);
    else
        error_set(err, CASEBUS_LOCKED, _("'%s' is held by another process"), path);
    return error_hint(err, _("stop that process, or give this one a directory of its own"));
}

/* The number of our process, for the one who finds the door closed. Written over spaces, so that no reader
 * sees a mixture of two numbers' digits. */
static int lock_sign(int fd)
{
    char line[17];
    snprintf(line, sizeof line, "%-15ld\n", (long)getpid());
    return pwrite(fd, line, 16, 0) == 16 ? 0 : -1;
}

int file_lock(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot open '%s'"), path);
    int r = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        r = errno == EWOULDBLOCK ? lock_refused(fd, path, err)
                                 : error_set_errno(err, errno, _("cannot lock '%s'"), path);
    else if (lock_sign(fd) != 0)
        r = error_set_errno(err, errno, _("cannot write '%s'"), path);
    if (r == 0)
        return fd;
    close(fd);
    return -1;
}

int file_lock_shared(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* something that can be closed */
    else if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0) {
        int r = errno == EWOULDBLOCK ? lock_refused(fd, path, err)
                                     : error_set_errno(err, errno, _("cannot lock '%s'"), path);
        close(fd);
        return r;
    }
    return fd >= 0 ? fd : error_set_errno(err, errno, _("cannot open '%s'"), path);
}

int path_join(char *out, size_t size, const char *dir, const char *name)
{
    size_t length = strlen(dir);
    const char *slash = length > 0 && dir[length - 1] == '/' ? "" : "/";
    int written = snprintf(out, size, "%s%s%s", dir, slash, name);
    return written >= 0 && (size_t)written < size ? 0 : -1;
}
