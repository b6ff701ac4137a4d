/* The tape: every change of the disk, in its order, with the time at which it was done. A test makes from it
 * what a power cut could have left at any moment (cuts.py). */
#include "tests/sim/shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int tape = -1;

__attribute__((constructor)) static void tape_open(void)
{
    const char *path = getenv("CASEBUS_SIM_TAPE");
    if (path)
        tape = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

bool tape_runs(void)
{
    return tape >= 0;
}

void tape_lock(void)
{
    pthread_mutex_lock(&lock);
}

void tape_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static bool all_zeros(const uint8_t *data, size_t size)
{
    return size > 0 && data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

void tape_put(enum tape_op op, unsigned flags, uint64_t inode, uint64_t offset, const char *name,
              size_t name_size, const void *data, size_t size)
{
    struct timespec now;
    if (tape < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct tape_head head = {.op = op,
                             .flags = flags,
                             .time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
                             .inode = inode,
                             .offset = offset,
                             .size = size,
                             .name_size = (uint32_t)name_size,
                             .data_size = data && !all_zeros(data, size) ? (uint32_t)size : 0};
    struct iovec parts[3] = {{&head, sizeof head},
                             {(void *)(uintptr_t)name, name_size},
                             {(void *)(uintptr_t)data, head.data_size}};
    size_t whole = sizeof head + name_size + head.data_size;
    if (syscall(SYS_writev, tape, parts, 3) != (long)whole)
        abort(); /* half a tape is no evidence */
}
