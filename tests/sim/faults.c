/* Which call fails is told by a page that the test shares with us. */
#include "tests/sim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sim_control *control;
static __thread bool thread_commits __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void control_open(void)
{
    const char *path = getenv("CASEBUS_SIM_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    long at = syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at > 0)
        control = (struct sim_control *)at;
    syscall(SYS_close, fd);
}

void fault_thread_named(const char *name)
{
    thread_commits =
        strcmp(name, "writer") == 0 || strcmp(name, "keeper") == 0 || strcmp(name, "verify") == 0;
}

static bool concerns(enum sim_class class)
{
    if (!control || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) || !(control->classes & class))
        return false;
    return class != SIM_ALLOCATE || !control->threads || thread_commits;
}

static bool strikes(uint64_t n)
{
    if (control->action == SIM_EVER)
        return n >= control->nth;
    return control->action != SIM_COUNT && n == control->nth;
}

int fault_at(enum sim_class class, bool *shorter)
{
    *shorter = false;
    if (!concerns(class) || control->action == SIM_ROOM)
        return 0;
    if (!strikes(__atomic_add_fetch(&control->seen, 1, __ATOMIC_ACQ_REL)))
        return 0;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_ACQ_REL);
    if (control->action == SIM_KILL)
        syscall(SYS_kill, (int)getpid(), SIGKILL);
    *shorter = control->action == SIM_SHORT;
    return *shorter ? 0 : (int)control->error;
}

size_t fault_room(int fd, uint64_t offset, size_t size)
{
    struct stat status;
    if (!control || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) || control->action != SIM_ROOM)
        return size;
    if (fstat(fd, &status) != 0 || offset + size <= (uint64_t)status.st_size)
        return size;
    uint64_t from = offset > (uint64_t)status.st_size ? offset : (uint64_t)status.st_size;
    int64_t wanted = (int64_t)(offset + size - from);
    int64_t room = __atomic_load_n(&control->room, __ATOMIC_ACQUIRE);
    if (wanted > room) {
        __atomic_add_fetch(&control->hits, 1, __ATOMIC_ACQ_REL);
        int64_t missing = wanted - room;
        wanted = room;
        size = (int64_t)size > missing ? size - (size_t)missing : 0;
    }
    __atomic_sub_fetch(&control->room, wanted, __ATOMIC_ACQ_REL);
    return size;
}
