/* Everything that the handler needs is made ready before: it only looks into an array and writes.
 *
 * Whose fault it is, is told by the address that was touched, when it lies in a watched map, or by the way
 * that led there, when a function of the reading library is on it. Walking that way inside a handler is not
 * promised to work by any standard; if it fails, the process dies as it would have without us.
 *
 * This is a place of the house with state of its own for the whole process (the other is where a passphrase
 * comes from): a signal handler has no other. */
#include "proto/base/crash.h"

#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WATCHED_MAX = 16, TEXT_MAX = 2048, FRAMES_MAX = 48 };

struct watched_file {
    atomic_uintptr_t begin; /* 0: free */
    size_t size;
    uintptr_t code_begin, code_end;
    char text[TEXT_MAX];
};

static struct watched_file files[WATCHED_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char program_name[64];
#define N_SIGNALS 4
static struct sigaction before[N_SIGNALS];
static const int signals[N_SIGNALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
static _Thread_local uintptr_t used; /* by this thread */
static atomic_uintptr_t used_last;   /* by any */

/* ---- what is watched ---- */

struct code_search {
    uintptr_t inside, begin, end;
};

static int code_find(struct dl_phdr_info *info, size_t size, void *self)
{
    struct code_search *search = self;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        uintptr_t end = begin + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type != PT_LOAD || search->inside < begin || search->inside >= end)
            continue;
        search->begin = begin;
        search->end = end;
        return 1;
    }
    return 0;
}

void crash_watch(const void *begin, size_t size, const void *code, const char *text)
{
    struct code_search search = {.inside = (uintptr_t)code};
    if (code)
        dl_iterate_phdr(code_find, &search);
    pthread_mutex_lock(&lock);
    struct watched_file *file = files;
    while (file < files + WATCHED_MAX && atomic_load(&file->begin))
        file++;
    if (file < files + WATCHED_MAX) {
        file->size = size;
        file->code_begin = search.begin;
        file->code_end = search.end;
        snprintf(file->text, sizeof file->text, "%s", text);
        atomic_store(&file->begin, (uintptr_t)begin);
    }
    pthread_mutex_unlock(&lock);
    crash_use(begin);
}

void crash_forget(const void *begin)
{
    pthread_mutex_lock(&lock);
    for (struct watched_file *file = files; file < files + WATCHED_MAX; file++)
        if (atomic_load(&file->begin) == (uintptr_t)begin)
            atomic_store(&file->begin, 0);
    pthread_mutex_unlock(&lock);
}

void crash_use(const void *begin)
{
    used = (uintptr_t)begin;
    atomic_store_explicit(&used_last, used, memory_order_relaxed);
}

/* ---- the handler ---- */

static const struct watched_file *file_at(uintptr_t address)
{
    for (const struct watched_file *file = files; file < files + WATCHED_MAX; file++) {
        uintptr_t begin = atomic_load(&file->begin);
        if (begin && address >= begin && address - begin < file->size)
            return file;
    }
    return NULL;
}

/* The file whose reader's code is on the way to the fault. */
static const struct watched_file *file_on_the_way(void)
{
    void *frames[FRAMES_MAX];
    const struct watched_file *file = file_at(used);
    if (!file)
        file = file_at(atomic_load_explicit(&used_last, memory_order_relaxed));
    if (!file || !file->code_begin)
        return NULL;
    int n = backtrace(frames, FRAMES_MAX);
    for (int i = 0; i < n; i++)
        if ((uintptr_t)frames[i] >= file->code_begin && (uintptr_t)frames[i] < file->code_end)
            return file;
    return NULL;
}

static void say(const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t put = write(STDERR_FILENO, text, size);
        if (put <= 0)
            return;
        text += put;
        size -= (size_t)put;
    }
}

/* Lets the handler of before have it: the fault happens again. */
static void hand_back(int number)
{
    for (int i = 0; i < N_SIGNALS; i++)
        if (signals[i] == number)
            sigaction(number, &before[i], NULL);
    if (number == SIGABRT)
        raise(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct watched_file *file = number == SIGABRT ? NULL : file_at((uintptr_t)info->si_addr);
    if (!file)
        file = file_on_the_way();
    if (!file) {
        hand_back(number);
        return;
    }
    say(program_name);
    say(": ");
    say(file->text);
    say("\n");
    _exit(CRASH_EXIT);
}

void crash_words_begin(const char *program)
{
    void *frame;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    snprintf(program_name, sizeof program_name, "%s", program);
    backtrace(&frame, 1); /* loads what it needs now, not in the handler */
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &action, &before[i]);
}
