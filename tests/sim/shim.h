/* Shim: stands between a program and its disk (LD_PRELOAD), for tests that make the disk or the memory fail.
 *
 *   CASEBUS_SIM_DIR=DIR        only what lies in DIR is looked at (several: separated by ':')
 *   CASEBUS_SIM_CONTROL=FILE   a page shared with the test, struct sim_control: which call fails, and how
 *   CASEBUS_SIM_TAPE=FILE      every change to DIR is written here, in the order in which it happened
 *   CASEBUS_SIM_SYNC_US=N      a sync waits N microseconds and does nothing else: the tape is the disk
 *
 * Calls are made as raw system calls and memory comes from glibc's own functions, so nothing here can meet
 * itself.
 */
#ifndef SIM_SHIM_H
#define SIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- what is made to fail ---- */

enum sim_class {
    SIM_WRITE = 1,
    SIM_SYNC = 2,
    SIM_RENAME = 4,
    SIM_CREATE = 8,
    SIM_RESIZE = 16, /* ftruncate, fallocate */
    SIM_UNLINK = 32,
    SIM_ALLOCATE = 64,
};

enum sim_action {
    SIM_COUNT, /* only counts */
    SIM_ONCE,  /* the n-th call fails */
    SIM_EVER,  /* it and all behind it fail */
    SIM_KILL,  /* the process is killed instead of the n-th call */
    SIM_SHORT, /* the n-th write writes half of it */
    SIM_ROOM,  /* files may grow by so many bytes more */
};

/* Little page, shared with the test, which may write it at any time. */
struct sim_control {
    uint64_t armed;
    uint64_t classes;
    uint64_t nth; /* from 1 */
    uint64_t action;
    uint64_t error; /* errno */
    uint64_t seen;  /* calls while armed */
    uint64_t hits;
    int64_t room;
    uint64_t threads; /* 1: allocations of writer, keeper and verify workers only */
};

/* What a call shall do: 0 to go on, or an errno. *@shorter is set when it shall write only a part. */
int fault_at(enum sim_class class, bool *shorter);
/* How much of a write may be done that ends at @end in a file of @size bytes; 0: no room. */
size_t fault_room(int fd, uint64_t offset, size_t size);
/* The calling thread has got a name. */
void fault_thread_named(const char *name);

/* ---- what is written down ---- */

enum tape_op {
    TAPE_WRITE = 1,
    TAPE_RESIZE, /* offset: the size */
    TAPE_SYNC_BEGIN,
    TAPE_SYNC_END, /* offset: which began */
    TAPE_CREATE,
    TAPE_RENAME, /* name: old, NUL, new */
    TAPE_UNLINK,
    TAPE_MKDIR,
    TAPE_RMDIR,
    TAPE_UNFIT, /* something that the tape cannot tell, such as a shared map that is written */
};

#define TAPE_DURABLE 1 /* a write through O_DSYNC */

struct tape_head {
    uint32_t op, flags;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t inode;
    uint64_t offset;
    uint64_t size; /* of a write; without data behind it, zeros were written */
    uint32_t name_size, data_size;
};

bool tape_runs(void);
/* Between these, nothing else is put on the tape. */
void tape_lock(void);
void tape_unlock(void);
void tape_put(enum tape_op op, unsigned flags, uint64_t inode, uint64_t offset, const char *name,
              size_t name_size, const void *data, size_t size);

#endif
