/* Preloaded into a program: once the file KILL_WHEN is there, the KILL_AT-th write or sync to a file is its
 * last: the process is killed right before it. So every moment between two steps of what is going on can be
 * tried, one after the other. Writes to its log and to sockets do not count. With KILL_NAMES, files that are
 * made or replaced whole count, too: write, rename, unlink, sync of a directory; with KILL_NAME nothing but a
 * rename to a path with this in it. KILL_WITH=STOP: it is stopped there, and goes on when it is continued.
 * KILL_AT=0: at every one. With FAIL_SYNC, once the file FAIL_WHEN is there, the next sync of data to a path
 * that ends so fails as on a broken disk, once. */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

static atomic_long steps;

static bool armed(void)
{
    const char *when = getenv("KILL_WHEN");
    return when && access(when, F_OK) == 0;
}

static void count(void)
{
    const char *at = getenv("KILL_AT");
    if (!at || !armed())
        return;
    long n = atomic_fetch_add(&steps, 1) + 1, wanted = atol(at);
    if (wanted == 0 || n == wanted)
        kill(getpid(), getenv("KILL_WITH") ? SIGSTOP : SIGKILL);
}

static void step_data(int fd, bool more)
{
    struct stat status;
    if (fd <= 2 || getenv("KILL_NAME") || fstat(fd, &status) != 0 || (more && !getenv("KILL_NAMES")))
        return;
    if (S_ISREG(status.st_mode) || (S_ISDIR(status.st_mode) && getenv("KILL_NAMES")))
        count();
}

static void step(int fd)
{
    step_data(fd, false);
}

static void step_name(const char *path)
{
    const char *name = getenv("KILL_NAME");
    if (name ? path && strstr(path, name) : getenv("KILL_NAMES") != NULL)
        count();
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

SHIM ssize_t write(int fd, const void *data, size_t size)
{
    step_data(fd, true);
    return REAL(write)(fd, data, size);
}

SHIM int rename(const char *from, const char *to)
{
    step_name(to);
    return REAL(rename)(from, to);
}

SHIM int unlink(const char *path)
{
    step_name(NULL);
    return REAL(unlink)(path);
}

SHIM ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    step(fd);
    return REAL(pwrite)(fd, data, size, offset);
}

SHIM ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    step(fd);
    return REAL(pwrite64)(fd, data, size, offset);
}

SHIM ssize_t pwritev(int fd, const struct iovec *pieces, int n, off_t offset)
{
    step(fd);
    return REAL(pwritev)(fd, pieces, n, offset);
}

SHIM ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    step(fd);
    return REAL(writev)(fd, pieces, n);
}

static bool fails(int fd)
{
    const char *end = getenv("FAIL_SYNC"), *when = getenv("FAIL_WHEN");
    char link[64], path[4096] = "";
    if (!end || !when || access(when, F_OK) != 0)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < (ssize_t)strlen(end) || strcmp(path + size - strlen(end), end) != 0)
        return false;
    return REAL(unlink)(when) == 0;
}

SHIM int fdatasync(int fd)
{
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    step(fd);
    return REAL(fdatasync)(fd);
}

SHIM int fsync(int fd)
{
    step(fd);
    return REAL(fsync)(fd);
}
