/* The calls of a program to its disk and its memory, each in between. A descriptor is watched when it was
 * opened below the directory; its inode tells whether the number has come to mean another file. */
#include "tests/sim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEEN    __attribute__((visibility("default")))
#define FDS_MAX 4096

struct watched {
    uint64_t inode; /* 0: not watched */
    bool appends, durable;
};

static struct watched watched[FDS_MAX];
static const char *dirs;
static long sync_us = -1;

__attribute__((constructor)) static void shim_begin(void)
{
    const char *us = getenv("CASEBUS_SIM_SYNC_US");
    dirs = getenv("CASEBUS_SIM_DIR");
    if (us)
        sync_us = strtol(us, NULL, 10);
}

/* ---- what is looked at ---- */

/* Locks, sockets and LMDB's table of readers mean nothing after a power cut. */
static bool is_passing(const char *path)
{
    static const char *const names[] = {"/lock", "/lock.mdb", "/hub.sock"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if (length > n && strcmp(path + length - n, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_ours(const char *path)
{
    for (const char *at = dirs; at && *at;) {
        size_t n = strcspn(at, ":");
        if (strncmp(path, at, n) == 0 && (path[n] == '/' || path[n] == '\0'))
            return !is_passing(path);
        at += n + (at[n] == ':');
    }
    return false;
}

static void watch(int fd, int flags)
{
    struct stat status;
    if (fd < 0 || fd >= FDS_MAX || fstat(fd, &status) != 0)
        return;
    watched[fd] = (struct watched){
        .inode = status.st_ino, .appends = (flags & O_APPEND) != 0, .durable = (flags & O_DSYNC) != 0};
}

/* NULL when it is not watched, or is another file by now. */
static const struct watched *watch_of(int fd)
{
    struct stat status;
    if (fd < 0 || fd >= FDS_MAX || !watched[fd].inode)
        return NULL;
    if (fstat(fd, &status) != 0 || status.st_ino != watched[fd].inode) {
        watched[fd].inode = 0;
        return NULL;
    }
    return &watched[fd];
}

static int failed(int error)
{
    errno = error;
    return -1;
}

/* ---- opening ---- */

static int open_real(const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int open_watched(const char *path, int flags, mode_t mode)
{
    bool shorter;
    struct stat status;
    int error = flags & O_CREAT ? fault_at(SIM_CREATE, &shorter) : 0;
    if (error)
        return failed(error);
    tape_lock();
    bool made = (flags & O_CREAT) && stat(path, &status) != 0;
    int fd = open_real(path, flags, mode);
    if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode)) {
        if (made)
            tape_put(TAPE_CREATE, 0, status.st_ino, 0, path, strlen(path), NULL, 0);
        else if (flags & O_TRUNC)
            tape_put(TAPE_RESIZE, 0, status.st_ino, 0, NULL, 0, NULL, 0);
    }
    watch(fd, flags);
    tape_unlock();
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    if (is_ours(path))
        return open_watched(path, flags, mode);
    int fd = open_real(path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX)
        watched[fd].inode = 0;
    return fd;
}

#define MODE_OF(flags, mode)                                                                                 \
    mode_t mode = 0;                                                                                         \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                   \
        va_list list;                                                                                        \
        va_start(list, flags);                                                                               \
        mode = (mode_t)va_arg(list, int);                                                                    \
        va_end(list);                                                                                        \
    }

SEEN int open(const char *path, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_any(path, flags, mode);
}

SEEN int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, mode)
    return open_any(path, flags, mode);
}

SEEN int __open_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

SEEN int __open64_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

SEEN int mkostemp(char *pattern, int flags)
{
    static unsigned n;
    size_t length = strlen(pattern);
    if (length < 6)
        return failed(EINVAL);
    for (int tries = 0; tries < 100; tries++) {
        char text[16];
        snprintf(text, sizeof text, "%06x",
                 (__atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) * 2654435761u ^ (unsigned)getpid()) & 0xffffff);
        memcpy(pattern + length - 6, text, 6);
        int fd = open_any(pattern, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

SEEN int mkostemp64(char *pattern, int flags)
{
    return mkostemp(pattern, flags);
}

SEEN int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        watched[fd].inode = 0;
    return (int)syscall(SYS_close, fd);
}

/* ---- writing ---- */

static ssize_t write_watched(int fd, const struct watched *file, const void *data, size_t size, uint64_t at)
{
    bool shorter;
    int error = fault_at(SIM_WRITE, &shorter);
    if (error)
        return failed(error);
    size_t room = fault_room(fd, at, size);
    if (room == 0 && size > 0)
        return failed(ENOSPC);
    if (shorter && size > 1)
        room = size / 2;
    tape_lock();
    ssize_t put = syscall(SYS_pwrite64, fd, data, room, (off_t)at);
    if (put > 0)
        tape_put(TAPE_WRITE, file->durable ? TAPE_DURABLE : 0, file->inode, at, NULL, 0, data, (size_t)put);
    tape_unlock();
    return put;
}

SEEN ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    const struct watched *file = watch_of(fd);
    return file ? write_watched(fd, file, data, size, (uint64_t)at)
                : syscall(SYS_pwrite64, fd, data, size, at);
}

SEEN ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return pwrite(fd, data, size, at);
}

/* At the descriptor's own place, which moves on. */
static ssize_t write_here(int fd, const struct watched *file, const void *data, size_t size)
{
    off_t at = file->appends ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t put = write_watched(fd, file, data, size, (uint64_t)at);
    if (put > 0)
        lseek(fd, at + put, SEEK_SET);
    return put;
}

SEEN ssize_t write(int fd, const void *data, size_t size)
{
    const struct watched *file = watch_of(fd);
    return file ? write_here(fd, file, data, size) : syscall(SYS_write, fd, data, size);
}

static size_t vector_size(const struct iovec *parts, int n)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    return size;
}

/* One write of all parts, so that it fails or is torn as one. */
static uint8_t *vector_join(const struct iovec *parts, int n)
{
    uint8_t *all = (uint8_t *)syscall(SYS_mmap, NULL, vector_size(parts, n) + 1, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0, at = 0; i < (size_t)n; at += parts[i++].iov_len)
        memcpy(all + at, parts[i].iov_base, parts[i].iov_len);
    return all;
}

SEEN ssize_t writev(int fd, const struct iovec *parts, int n)
{
    const struct watched *file = watch_of(fd);
    if (!file)
        return syscall(SYS_writev, fd, parts, n);
    uint8_t *all = vector_join(parts, n);
    ssize_t put = write_here(fd, file, all, vector_size(parts, n));
    int error = errno;
    munmap(all, vector_size(parts, n) + 1);
    errno = error;
    return put;
}

SEEN ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    const struct watched *file = watch_of(fd);
    if (!file)
        return syscall(SYS_pwritev, fd, parts, n, at, 0);
    uint8_t *all = vector_join(parts, n);
    ssize_t put = write_watched(fd, file, all, vector_size(parts, n), (uint64_t)at);
    int error = errno;
    munmap(all, vector_size(parts, n) + 1);
    errno = error;
    return put;
}

SEEN ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
    return pwritev(fd, parts, n, at);
}

SEEN int ftruncate(int fd, off_t size)
{
    bool shorter;
    const struct watched *file = watch_of(fd);
    if (!file)
        return (int)syscall(SYS_ftruncate, fd, size);
    int error = fault_at(SIM_RESIZE, &shorter);
    if (error)
        return failed(error);
    tape_lock();
    int r = (int)syscall(SYS_ftruncate, fd, size);
    if (r == 0)
        tape_put(TAPE_RESIZE, 0, file->inode, (uint64_t)size, NULL, 0, NULL, 0);
    tape_unlock();
    return r;
}

SEEN int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

SEEN int fallocate(int fd, int mode, off_t at, off_t size)
{
    bool shorter;
    struct stat status;
    const struct watched *file = watch_of(fd);
    if (!file)
        return (int)syscall(SYS_fallocate, fd, mode, at, size);
    int error = fault_at(SIM_RESIZE, &shorter);
    if (error)
        return failed(error);
    if (fault_room(fd, (uint64_t)at, (size_t)size) < (size_t)size)
        return failed(ENOSPC);
    tape_lock();
    int r = (int)syscall(SYS_fallocate, fd, mode, at, size);
    if (r == 0 && fstat(fd, &status) == 0)
        tape_put(TAPE_RESIZE, 0, file->inode, (uint64_t)status.st_size, NULL, 0, NULL, 0);
    tape_unlock();
    return r;
}

SEEN int fallocate64(int fd, int mode, off64_t at, off64_t size)
{
    return fallocate(fd, mode, at, size);
}

/* ---- syncing ---- */

static int sync_real(int fd, bool with_metadata)
{
    if (sync_us < 0)
        return (int)syscall(with_metadata ? SYS_fsync : SYS_fdatasync, fd);
    if (sync_us > 0)
        usleep((unsigned)sync_us);
    return 0;
}

static int sync_watched(int fd, const struct watched *file, bool with_metadata)
{
    static uint64_t n;
    bool shorter;
    uint64_t inode = file->inode;
    int error = fault_at(SIM_SYNC, &shorter);
    if (error)
        return failed(error);
    tape_lock();
    uint64_t number = ++n;
    tape_put(TAPE_SYNC_BEGIN, 0, inode, number, NULL, 0, NULL, 0);
    tape_unlock();
    int r = sync_real(fd, with_metadata);
    tape_lock();
    if (r == 0)
        tape_put(TAPE_SYNC_END, 0, inode, number, NULL, 0, NULL, 0);
    tape_unlock();
    return r;
}

SEEN int fsync(int fd)
{
    const struct watched *file = watch_of(fd);
    return file ? sync_watched(fd, file, true) : sync_real(fd, true);
}

SEEN int fdatasync(int fd)
{
    const struct watched *file = watch_of(fd);
    return file ? sync_watched(fd, file, false) : sync_real(fd, false);
}

/* ---- names ---- */

SEEN int rename(const char *old, const char *new)
{
    bool shorter;
    char names[2 * PATH_MAX];
    if (!is_ours(new))
        return (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    int error = fault_at(SIM_RENAME, &shorter);
    if (error)
        return failed(error);
    int size = snprintf(names, sizeof names, "%s%c%s", old, '\0', new);
    tape_lock();
    int r = (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    if (r == 0)
        tape_put(TAPE_RENAME, 0, 0, 0, names, (size_t)size, NULL, 0);
    tape_unlock();
    return r;
}

static int remove_any(const char *path, int flags)
{
    bool shorter;
    if (!is_ours(path))
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    int error = fault_at(SIM_UNLINK, &shorter);
    if (error)
        return failed(error);
    tape_lock();
    int r = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    if (r == 0)
        tape_put(flags ? TAPE_RMDIR : TAPE_UNLINK, 0, 0, 0, path, strlen(path), NULL, 0);
    tape_unlock();
    return r;
}

SEEN int unlink(const char *path)
{
    return remove_any(path, 0);
}

SEEN int rmdir(const char *path)
{
    return remove_any(path, AT_REMOVEDIR);
}

SEEN int mkdir(const char *path, mode_t mode)
{
    bool shorter;
    struct stat status;
    if (!is_ours(path))
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    int error = fault_at(SIM_CREATE, &shorter);
    if (error)
        return failed(error);
    tape_lock();
    int r = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (r == 0 && stat(path, &status) == 0)
        tape_put(TAPE_MKDIR, 0, status.st_ino, 0, path, strlen(path), NULL, 0);
    tape_unlock();
    return r;
}

/* ---- memory ---- */

SEEN void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    bool shorter;
    const struct watched *file = flags & MAP_ANONYMOUS ? NULL : watch_of(fd);
    int error = flags & MAP_ANONYMOUS ? fault_at(SIM_ALLOCATE, &shorter) : 0;
    if (error) {
        errno = error;
        return MAP_FAILED;
    }
    if (file && (flags & MAP_SHARED) && (protection & PROT_WRITE) && tape_runs())
        tape_put(TAPE_UNFIT, 0, file->inode, 0, NULL, 0, NULL, 0);
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

SEEN void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
    return mmap(at, size, protection, flags, fd, offset);
}

SEEN int pthread_setname_np(pthread_t thread, const char *name)
{
    if (thread == pthread_self())
        fault_thread_named(name);
    return 0;
}

#ifdef SIM_ALLOCATIONS /* a sanitizer has functions of its own */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static bool memory_refused(void)
{
    bool shorter;
    int error = fault_at(SIM_ALLOCATE, &shorter);
    if (error)
        errno = ENOMEM;
    return error != 0;
}

SEEN void *malloc(size_t size)
{
    return memory_refused() ? NULL : __libc_malloc(size);
}

SEEN void *calloc(size_t n, size_t size)
{
    return memory_refused() ? NULL : __libc_calloc(n, size);
}

SEEN void *realloc(void *memory, size_t size)
{
    return memory_refused() ? NULL : __libc_realloc(memory, size);
}
#endif
