/* A child that works, tells what it was promised, and is killed at a random moment. */
#ifndef JOURNAL_KILL_FIXTURE_H
#define JOURNAL_KILL_FIXTURE_H

#include "hub/journal/folder_fixture.h"

#include <signal.h>
#include <time.h>

struct chance {
    uint64_t seed;
};

/* CASEBUS_SEED of the environment, or the clock; printed, so that a failure can be had again. */
static inline struct chance chance_begin(void)
{
    const char *wanted = getenv("CASEBUS_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct chance chance = {wanted ? strtoull(wanted, NULL, 10) : (uint64_t)now.tv_nsec};
    print_message("CASEBUS_SEED=%llu\n", (unsigned long long)chance.seed);
    return chance;
}

/* Below @bound (splitmix64). */
static inline uint64_t chance_below(struct chance *chance, uint64_t bound)
{
    uint64_t x = chance->seed += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return (x ^ x >> 31) % bound;
}

/* For the child: what counts up to @number was promised to be on disk. */
static inline void promise(int pipe_end, uint64_t number)
{
    if (write(pipe_end, &number, sizeof number) != sizeof number)
        _exit(99);
}

/* Runs @work in a child, kills it within @within_us after its first promise, and returns its last one
 * (@before when there was none). @work must not return. */
static inline uint64_t run_and_kill(void (*work)(void *self, int pipe_end), void *self, struct chance *chance,
                                    uint64_t within_us, uint64_t before)
{
    int ends[2], status;
    uint64_t number = before;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        work(self, ends[1]);
        _exit(98);
    }
    assert_true(child > 0);
    close(ends[1]);
    uint64_t read_one;
    if (read(ends[0], &read_one, sizeof read_one) == sizeof read_one) {
        number = read_one;
        usleep((useconds_t)chance_below(chance, within_us));
    }
    kill(child, SIGKILL);
    while (read(ends[0], &read_one, sizeof read_one) == sizeof read_one)
        number = read_one;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* else it gave up by itself */
    return number;
}

#endif
