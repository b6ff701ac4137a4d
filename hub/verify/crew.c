/* The threads. Chunks are handed out in order and read in any order; whoever has read the one that is due
 * next follows it, and those behind it that are ready. So no thread only waits for others to work, and one
 * thread alone does all of it. The caller's thread looks at the clock and tells the progress. */
#include "hub/verify/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define TELL_MS 100
#define SAVE_NS 10000000000ull

/* ---- threads ---- */

struct crew {
    struct verify *verify;
    crew_fn *work;
    void *self;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned running;
};

static void fail(struct verify *verify, const struct casebus_error *err)
{
    pthread_mutex_lock(&verify->lock);
    if (!verify->failed)
        verify->err = *err;
    verify->failed = true;
    pthread_mutex_unlock(&verify->lock);
    atomic_store(&verify->stopping, true);
}

static void *crew_thread(void *self)
{
    struct crew *crew = self;
    struct scanner scanner = {0};
    struct casebus_error err = {0};
    if (scanner_init(&scanner, crew->verify, &err) || crew->work(crew->verify, &scanner, crew->self, &err))
        fail(crew->verify, &err);
    scanner_deinit(&scanner);
    pthread_mutex_lock(&crew->lock);
    crew->running--;
    pthread_cond_signal(&crew->ended);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static void tell(struct crew *crew, enum verify_phase phase, uint64_t total)
{
    const struct verify_options *options = crew->verify->options;
    if (options->progress)
        options->progress(options->self, phase, atomic_load(&crew->verify->progress), total);
    if (options->stop && options->stop(options->self))
        atomic_store(&crew->verify->stopping, true);
}

static void wait_for_end(struct crew *crew, enum verify_phase phase, uint64_t total)
{
    pthread_mutex_lock(&crew->lock);
    while (crew->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TELL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&crew->ended, &crew->lock, &until);
        pthread_mutex_unlock(&crew->lock);
        tell(crew, phase, total);
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
}

/* Signals are for the caller's thread. */
static unsigned crew_start(struct crew *crew, pthread_t *threads, unsigned jobs)
{
    sigset_t all, before;
    unsigned n = 0;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV); /* what damage does to a thread is its own to tell (proto/base/crash.h) */
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&crew->lock);
    while (n < jobs && pthread_create(&threads[n], NULL, crew_thread, crew) == 0)
        n++;
    crew->running = n;
    pthread_mutex_unlock(&crew->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

int crew_run(struct verify *verify, enum verify_phase phase, uint64_t total, crew_fn *work, void *self)
{
    struct crew crew = {.verify = verify, .work = work, .self = self};
    unsigned jobs = verify->options->jobs ? verify->options->jobs : 1;
    pthread_t threads[VERIFY_JOBS_MAX];
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&crew.ended, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&crew.lock, NULL);
    unsigned n = crew_start(&crew, threads, jobs < VERIFY_JOBS_MAX ? jobs : VERIFY_JOBS_MAX);
    if (n == 0) {
        struct casebus_error err;
        error_set(&err, CASEBUS_NO_MEMORY, _("no thread could be started"));
        fail(verify, &err);
    }
    wait_for_end(&crew, phase, total);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&crew.ended);
    pthread_mutex_destroy(&crew.lock);
    return verify->failed ? -1 : 0;
}

/* ---- chunks ---- */

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t room;
    uint64_t base;     /* position of chunk 0 */
    uint64_t n_chunks; /* in all */
    uint64_t next;     /* to be read */
    uint64_t followed; /* so many are */
    bool following;    /* somebody is at it */
    bool ended;        /* a fault, or told to stop */
    size_t n_slots;
    struct ring_slot {
        struct chunk chunk;
        bool ready;
    } * slots;
};

static struct ring_slot *ring_slot(struct ring *ring, uint64_t number)
{
    return &ring->slots[number % ring->n_slots];
}

/* Number of a chunk to read; false when there is nothing more to do. */
static bool ring_take(struct ring *ring, const struct verify *verify, uint64_t *number)
{
    pthread_mutex_lock(&ring->lock);
    while (!ring->ended && ring->next < ring->n_chunks && ring->next - ring->followed >= ring->n_slots)
        pthread_cond_wait(&ring->room, &ring->lock);
    if (atomic_load(&verify->stopping) && !ring->ended) {
        ring->ended = true;
        pthread_cond_broadcast(&ring->room);
    }
    bool taken = !ring->ended && ring->next < ring->n_chunks;
    if (taken)
        *number = ring->next++;
    pthread_mutex_unlock(&ring->lock);
    return taken;
}

/* Before the last chunk, which may grow until the next run; and now and then, for whoever is killed. */
static int keep(struct verify *verify, const struct chunk *chunk, struct casebus_error *err)
{
    const struct verify_options *options = verify->options;
    uint64_t now = clock_monotonic_ns();
    bool due = options->resume && now - verify->saved_ns > SAVE_NS;
    if (!options->resume_path || (chunk->n == verify->chunk_size && !due))
        return 0;
    if (resume_keep(verify, err))
        return -1;
    verify->saved_ns = now;
    if (due)
        resume_save(verify, &verify->result->resume_fault);
    return 0;
}

/* Called with the lock held, and only by one thread at a time; gives it back while it follows. */
static int ring_follow(struct ring *ring, struct verify *verify, struct casebus_error *err)
{
    int r = 0;
    uint64_t stop_at = verify->options->stop_at;
    struct ring_slot *slot;
    ring->following = true;
    while (r == 0 && !ring->ended && ring->followed < ring->next &&
           (slot = ring_slot(ring, ring->followed))->ready) {
        pthread_mutex_unlock(&ring->lock);
        r = keep(verify, &slot->chunk, err);
        if (r == 0)
            r = verify_follow(verify, &slot->chunk, err);
        atomic_store(&verify->progress, slot->chunk.first + slot->chunk.n);
        pthread_mutex_lock(&ring->lock);
        slot->ready = false;
        ring->followed++;
        if (stop_at && atomic_load(&verify->progress) > stop_at)
            atomic_store(&verify->stopping, true);
        ring->ended = ring->ended || r != 0 || verify->fault.set || atomic_load(&verify->stopping);
        pthread_cond_broadcast(&ring->room);
    }
    ring->following = false;
    return r;
}

static int ring_ready(struct ring *ring, struct verify *verify, struct ring_slot *slot,
                      struct casebus_error *err)
{
    pthread_mutex_lock(&ring->lock);
    slot->ready = true;
    int r = ring->following ? 0 : ring_follow(ring, verify, err);
    pthread_mutex_unlock(&ring->lock);
    return r;
}

static void ring_end(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->ended = true;
    pthread_cond_broadcast(&ring->room);
    pthread_mutex_unlock(&ring->lock);
}

static int entries_work(struct verify *verify, struct scanner *scanner, void *self, struct casebus_error *err)
{
    struct ring *ring = self;
    uint64_t number;
    while (ring_take(ring, verify, &number)) {
        struct ring_slot *slot = ring_slot(ring, number);
        uint64_t first = ring->base + number * verify->chunk_size;
        slot->chunk.first = first;
        uint64_t left = verify->size - first;
        slot->chunk.n = (size_t)(left < verify->chunk_size ? left : verify->chunk_size);
        if (chunk_read(&slot->chunk, scanner, err) || ring_ready(ring, verify, slot, err)) {
            ring_end(ring);
            return -1;
        }
    }
    return 0;
}

int verify_entries(struct verify *verify)
{
    unsigned jobs = verify->options->jobs ? verify->options->jobs : 1;
    uint64_t base = verify->upper.size * verify->chunk_size;
    struct ring ring = {.base = base,
                        .n_chunks = (verify->size - base + verify->chunk_size - 1) / verify->chunk_size,
                        .n_slots = 2 * (size_t)jobs + 1};
    ring.slots = calloc(ring.n_slots, sizeof *ring.slots);
    if (!ring.slots) {
        verify->failed = true;
        return error_set(&verify->err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    }
    pthread_mutex_init(&ring.lock, NULL);
    pthread_cond_init(&ring.room, NULL);
    atomic_store(&verify->progress, base);
    int r = crew_run(verify, VERIFY_ENTRIES, verify->size, entries_work, &ring);
    for (size_t i = 0; i < ring.n_slots; i++)
        chunk_deinit(&ring.slots[i].chunk);
    pthread_cond_destroy(&ring.room);
    pthread_mutex_destroy(&ring.lock);
    free(ring.slots);
    return r;
}
