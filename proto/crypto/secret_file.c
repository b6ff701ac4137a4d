/* Secret files. A new one is written under a temporary name and linked into place, so that it is there whole
 * or not at all and replaces nothing, also when two processes make it at once. Whether others can read it is
 * asked of the open descriptor, not of the path. */
#include "proto/crypto/secret_file.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/suite.h"
#include "proto/crypto/wrapped.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_private(const char *path, struct casebus_error *err)
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

static int load_as_is(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep,
                      struct casebus_error *err)
{
    int fd = open_private(path, err);

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

/* ---- under a passphrase ---- */

static int passphrase_missing(const char *path, struct casebus_error *err)
{
    error_set(err, CASEBUS_PASSPHRASE, _("the key file '%s' is under a passphrase, and none was given"),
              path);
    return error_hint(err, _("give --passphrase-file FILE, or the credential casebus.passphrase "
                             "(systemd's LoadCredential)"));
}

static int passphrase_wrong(const char *path, struct casebus_error *err)
{
    return error_set(err, CASEBUS_PASSPHRASE,
                     _("the passphrase that was given does not open the key file '%s'"), path);
}

/* Opens in place with whatever this process was given. */
static int open_wrapped(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep,
                        struct casebus_error *err)
{
    struct passphrase passphrase;
    uint8_t plain[SECRET_FILE_MAX];
    int r = passphrase_get(&passphrase, path, err);
    if (r == 0)
        return passphrase_missing(path, err);
    if (r < 0)
        return -1;
    bool opened = unwrap(bytes_of(out, *sizep), &passphrase, plain, sizep);
    secret_clear(&passphrase, sizeof passphrase);
    if (opened)
        memcpy(out, plain, *sizep);
    secret_clear(plain, sizeof plain);
    if (opened)
        return 0;
    passphrase_forget();
    return passphrase_wrong(path, err);
}

int secret_file_load(const char *path, uint8_t out[SECRET_FILE_MAX], size_t *sizep, struct casebus_error *err)
{
    if (load_as_is(path, out, sizep, err))
        return -1;
    return wrapped_is(bytes_of(out, *sizep)) ? open_wrapped(path, out, sizep, err) : 0;
}

int secret_file_wrapped(const char *path, struct casebus_error *err)
{
    uint8_t bytes[SECRET_FILE_MAX];
    size_t size = 0;
    if (load_as_is(path, bytes, &size, err))
        return -1;
    int r = wrapped_is(bytes_of(bytes, size));
    secret_clear(bytes, sizeof bytes);
    return r;
}

/* ---- writing ---- */

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

static int save_as_is(const char *path, struct bytes secret, struct casebus_error *err)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s" FILE_UNFINISHED, path) >= (int)sizeof temporary)
        return error_set(err, CASEBUS_FILE, _("the path '%s' is too long"), path);
    return write_and_link(temporary, path, secret, err) ? -1 : file_sync_name(path, err);
}

int secret_file_save(const char *path, struct bytes secret, struct casebus_error *err)
{
    struct passphrase passphrase;
    uint8_t wrapped[SECRET_FILE_MAX];
    size_t size = 0;
    int known = passphrase_known(&passphrase, err);

    if (known <= 0)
        return known < 0 ? -1 : save_as_is(path, secret, err);
    int r = wrap(secret, &passphrase, wrapped, &size, err);
    secret_clear(&passphrase, sizeof passphrase);
    return r ? -1 : save_as_is(path, bytes_of(wrapped, size), err);
}

int secret_file_copy(const char *from, const char *to, struct casebus_error *err)
{
    uint8_t bytes[SECRET_FILE_MAX];
    size_t size = 0;
    int r = load_as_is(from, bytes, &size, err) || save_as_is(to, bytes_of(bytes, size), err);
    secret_clear(bytes, sizeof bytes);
    return r ? -1 : 0;
}

/* ---- another passphrase ---- */

int secret_file_open(const char *path, const struct passphrase *now, const struct passphrase *later,
                     uint8_t out[SECRET_FILE_MAX], size_t *sizep, bool *donep, struct casebus_error *err)
{
    uint8_t file[SECRET_FILE_MAX];
    size_t size = 0;
    if (load_as_is(path, file, &size, err))
        return -1;
    int r = 0;
    struct bytes bytes = bytes_of(file, size);
    *donep = false;
    if (!wrapped_is(bytes)) {
        memcpy(out, file, size);
        *sizep = size;
        *donep = !later;
    } else if (!now || !unwrap(bytes, now, out, sizep)) {
        *donep = later && unwrap(bytes, later, out, sizep);
        if (!*donep)
            r = now ? passphrase_wrong(path, err) : passphrase_missing(path, err);
    }
    secret_clear(file, sizeof file);
    return r;
}

/* The old bytes have lost their name; they go from the disk, as far as it writes in place. Another name of
 * theirs is somebody's copy. */
static void overwrite(int fd)
{
    uint8_t noise[SECRET_FILE_MAX];
    struct stat status;
    if (fstat(fd, &status) || status.st_nlink > 0 || status.st_size > (off_t)sizeof noise)
        return;
    random_bytes(noise, sizeof noise);
    if (pwrite(fd, noise, (size_t)status.st_size, 0) == status.st_size)
        fsync(fd);
}

static int replace(const char *path, struct bytes bytes, struct casebus_error *err)
{
    int old = open(path, O_WRONLY | O_CLOEXEC);
    int r = file_write(path, bytes, 0600, err);
    if (old >= 0 && r == 0)
        overwrite(old);
    if (old >= 0)
        close(old);
    return r;
}

int secret_file_drop(const char *path, struct casebus_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || unlink(path)) {
        error_set_errno(err, errno, _("the file '%s', which is not needed any more, cannot be removed"),
                        path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    overwrite(fd);
    close(fd);
    return 0;
}

int secret_file_replace(const char *path, struct bytes secret, const struct passphrase *later,
                        struct casebus_error *err)
{
    uint8_t wrapped[SECRET_FILE_MAX];
    size_t size = 0;
    if (!later)
        return replace(path, secret, err);
    return wrap(secret, later, wrapped, &size, err) || replace(path, bytes_of(wrapped, size), err) ? -1 : 0;
}
