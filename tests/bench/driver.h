/* Driver: the same load, the same clock and the same checks for every peer that is measured.
 *
 * An event is 512 bytes of payload: producer, sequence, time (24 bytes) and random bytes made afresh. P
 * producers, each its own thread and connection, keep at most WINDOW events unacknowledged; one consumer has
 * to get and acknowledge every event. With a rate, events are due on a fixed schedule and latency counts from
 * the time they were due, so waiting is not left out. A gap, a repeat or a stranger fails the run. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_SIZE    512
#define PRODUCERS_MAX 64

struct options {
    const char *mode;   /* a name for the result line */
    const char *target; /* of the peer: directory, host:port, connection string */
    uint64_t n;         /* events in all */
    unsigned producers;
    unsigned window;
    double rate; /* events a second over all producers; 0: as fast as the window allows */
    bool produce, consume;
    uint64_t probe; /* wait until the peer answers with so many events stored, then end */
    double max_seconds;
    int server_pid; /* whose CPU and memory are told; 0: nobody's */
};

struct histogram {
    uint64_t counts[64 * 32];
    uint64_t n, max;
};
void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
double histogram_us(const struct histogram *h, double quantile);

struct producer {
    unsigned id;
    uint64_t count, sent, acked; /* acknowledged in the order of sending */
    uint64_t *sent_ns;
    uint64_t random;
    struct histogram latency;
    uint64_t ended_ns;
};

struct consumer {
    uint64_t wanted, got, gaps, repeats;
    uint64_t next[PRODUCERS_MAX];
    struct histogram latency;
    uint64_t ended_ns;
};

struct peer {
    const char *name;
    /* Once, before the threads. */
    void (*setup)(const struct options *options);
    /* Connects, calls driver_ready, publishes producer->count events, calls driver_producer_done,
     * disconnects. */
    void (*produce)(const struct options *options, struct producer *producer);
    void (*consume)(const struct options *options, struct consumer *consumer);
    /* Events that the peer has stored and answers with; -1: it does not answer. */
    int64_t (*stored)(const struct options *options);
};

/* Parses the command line, runs, prints one JSON line. Returns the exit code: 0, 2 usage, 3 time is up, 4
 * lost or repeated. */
int driver_main(int argc, char **argv, const struct peer *peer);

uint64_t now_ns(void);
void driver_ready(void);
void driver_producer_done(struct producer *producer);
void driver_consumer_done(struct consumer *consumer);
/* Whether the window and the schedule let the next event go now; if not, *wait_ns is how long only the
 * schedule forbids it (-1: only an acknowledgement helps). */
bool producer_may_send(const struct options *options, const struct producer *producer, int64_t *wait_ns);
/* Fills in the next event; returns its sequence. */
uint64_t producer_fill(const struct options *options, struct producer *producer, uint8_t event[EVENT_SIZE]);
void producer_acked(struct producer *producer, uint64_t n);
void consumer_got(struct consumer *consumer, const void *event, size_t size);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
