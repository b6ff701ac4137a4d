#include "tests/bench/driver.h"

#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x43425553u

struct stamp {
    uint32_t magic, producer;
    uint64_t sequence, due_ns;
};

static struct options options = {.mode = "e2e",
                                 .target = "",
                                 .n = 100000,
                                 .producers = 8,
                                 .window = 256,
                                 .produce = true,
                                 .consume = true,
                                 .max_seconds = 300};
static const struct peer *peer;
static struct producer producers[PRODUCERS_MAX];
static struct consumer consumer;
static pthread_barrier_t ready, go, produced, ended;
static uint64_t begun_ns;

_Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", peer ? peer->name : "bench");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- histogram: 32 steps for each doubling, so within about 3 % ---- */

static unsigned slot_of(uint64_t ns)
{
    if (ns < 32)
        return (unsigned)ns;
    unsigned top = 63 - (unsigned)__builtin_clzll(ns);
    return (top - 4) * 32 + (unsigned)((ns >> (top - 5)) & 31);
}

static double slot_ns(unsigned slot)
{
    if (slot < 32)
        return slot;
    unsigned top = slot / 32 + 4;
    return (double)(((uint64_t)32 + slot % 32) << (top - 5)) * 1.015;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->counts[slot_of(ns)]++;
    h->n++;
    if (ns > h->max)
        h->max = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < sizeof(into->counts) / sizeof(into->counts[0]); i++)
        into->counts[i] += from->counts[i];
    into->n += from->n;
    if (from->max > into->max)
        into->max = from->max;
}

double histogram_us(const struct histogram *h, double quantile)
{
    uint64_t before = 0, wanted = (uint64_t)((double)h->n * quantile);
    for (unsigned i = 0; i < sizeof(h->counts) / sizeof(h->counts[0]); i++)
        if ((before += h->counts[i]) > wanted)
            return slot_ns(i) / 1e3;
    return (double)h->max / 1e3;
}

/* ---- producers and consumer ---- */

void driver_ready(void)
{
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&go);
}

void driver_producer_done(struct producer *p)
{
    p->ended_ns = now_ns();
    pthread_barrier_wait(&produced);
    pthread_barrier_wait(&ended);
}

void driver_consumer_done(struct consumer *c)
{
    c->ended_ns = now_ns();
    pthread_barrier_wait(&ended);
}

static uint64_t due_ns(const struct options *o, const struct producer *p)
{
    if (o->rate <= 0)
        return 0;
    return begun_ns + (uint64_t)((double)(p->sent * o->producers + p->id) * 1e9 / o->rate);
}

bool producer_may_send(const struct options *o, const struct producer *p, int64_t *wait_ns)
{
    *wait_ns = -1;
    if (p->sent >= p->count || p->sent - p->acked >= o->window)
        return false;
    uint64_t due = due_ns(o, p), now = now_ns();
    *wait_ns = due > now ? (int64_t)(due - now) : 0;
    return *wait_ns == 0;
}

uint64_t producer_fill(const struct options *o, struct producer *p, uint8_t event[EVENT_SIZE])
{
    struct stamp stamp = {MAGIC, p->id, p->sent, o->rate > 0 ? due_ns(o, p) : now_ns()};
    for (size_t i = sizeof(stamp); i < EVENT_SIZE; i += 8) { /* xorshift64 */
        p->random ^= p->random << 13;
        p->random ^= p->random >> 7;
        p->random ^= p->random << 17;
        memcpy(event + i, &p->random, EVENT_SIZE - i < 8 ? EVENT_SIZE - i : 8);
    }
    memcpy(event, &stamp, sizeof(stamp));
    p->sent_ns[p->sent % (o->window + 1)] = stamp.due_ns;
    return p->sent++;
}

void producer_acked(struct producer *p, uint64_t n)
{
    uint64_t now = now_ns();
    while (n--) {
        uint64_t sent = p->sent_ns[p->acked++ % (options.window + 1)];
        histogram_add(&p->latency, now > sent ? now - sent : 0);
    }
}

void consumer_got(struct consumer *c, const void *event, size_t size)
{
    struct stamp stamp;
    if (size < sizeof(stamp))
        return;
    memcpy(&stamp, event, sizeof(stamp));
    if (stamp.magic != MAGIC || stamp.producer >= PRODUCERS_MAX)
        return;
    uint64_t *next = &c->next[stamp.producer];
    if (stamp.sequence < *next) {
        c->repeats++;
        return;
    }
    c->gaps += stamp.sequence - *next;
    *next = stamp.sequence + 1;
    c->got++;
    uint64_t now = now_ns();
    histogram_add(&c->latency, now > stamp.due_ns ? now - stamp.due_ns : 0);
}

/* ---- the server: CPU seconds and memory of one process ---- */

static double server_cpu(void)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", options.server_pid);
    FILE *file = options.server_pid ? fopen(path, "r") : NULL;
    if (!file)
        return 0;
    const char *rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    if (rest)
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Anonymous memory: what the process itself holds, without the files it maps. */
static double server_anonymous_mb(void)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", options.server_pid);
    FILE *file = options.server_pid ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "RssAnon: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return (double)kb / 1024;
}

static double own_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- a run ---- */

static void *producer_thread(void *p)
{
    peer->produce(&options, p);
    return NULL;
}

static void *consumer_thread(void *c)
{
    peer->consume(&options, c);
    return NULL;
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    static const char text[] = "bench: time is up\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    uint64_t acked = 0;
    for (unsigned i = 0; i < options.producers; i++)
        acked += producers[i].acked;
    dprintf(STDERR_FILENO, "acknowledged %llu of %llu, received %llu of %llu\n", (unsigned long long)acked,
            (unsigned long long)options.n, (unsigned long long)consumer.got,
            (unsigned long long)consumer.wanted);
    _exit(3);
}

static int run_probe(void)
{
    uint64_t from = now_ns();
    while (peer->stored(&options) < (int64_t)options.probe)
        usleep(2000);
    printf("{\"peer\":\"%s\",\"mode\":\"%s\",\"n\":%llu,\"ready_s\":%.3f}\n", peer->name, options.mode,
           (unsigned long long)options.probe, (double)(now_ns() - from) / 1e9);
    return 0;
}

static void print_result(double cpu, double client_cpu)
{
    static struct histogram latency;
    uint64_t last = begun_ns;
    for (unsigned i = 0; i < options.producers; i++) {
        histogram_merge(&latency, &producers[i].latency);
        if (producers[i].ended_ns > last)
            last = producers[i].ended_ns;
    }
    double n = (double)options.n;
    printf("{\"peer\":\"%s\",\"mode\":\"%s\",\"n\":%llu,\"producers\":%u,\"window\":%u,\"rate\":%.0f",
           peer->name, options.mode, (unsigned long long)options.n, options.producers, options.window,
           options.rate);
    if (options.produce)
        printf(",\"published_s\":%.0f,\"ack_p50_us\":%.0f,\"ack_p99_us\":%.0f,\"ack_p999_us\":%.0f",
               n / ((double)(last - begun_ns) / 1e9), histogram_us(&latency, .5), histogram_us(&latency, .99),
               histogram_us(&latency, .999));
    if (options.consume)
        printf(",\"delivered_s\":%.0f,\"got\":%llu,\"gaps\":%llu,\"repeats\":%llu,\"e2e_p50_us\":%.0f,\"e2e_"
               "p99_us\":%.0f",
               (double)consumer.got / ((double)(consumer.ended_ns - begun_ns) / 1e9),
               (unsigned long long)consumer.got, (unsigned long long)consumer.gaps,
               (unsigned long long)consumer.repeats, histogram_us(&consumer.latency, .5),
               histogram_us(&consumer.latency, .99));
    if (options.server_pid)
        printf(",\"server_cpu_us_per_event\":%.2f,\"server_anon_mb\":%.1f", cpu / n * 1e6,
               server_anonymous_mb());
    printf(",\"client_cpu_us_per_event\":%.2f}\n", client_cpu / n * 1e6);
    fflush(stdout);
}

static int run_load(void)
{
    unsigned n_producers = options.produce ? options.producers : 0;
    unsigned n_consumers = options.consume ? 1 : 0;
    pthread_t threads[PRODUCERS_MAX + 1];
    options.n -= options.n % options.producers;
    pthread_barrier_init(&ready, NULL, n_producers + n_consumers + 1);
    pthread_barrier_init(&go, NULL, n_producers + n_consumers + 1);
    pthread_barrier_init(&produced, NULL, n_producers + 1);
    pthread_barrier_init(&ended, NULL, n_producers + n_consumers + 1);
    for (unsigned i = 0; i < n_producers; i++) {
        producers[i] = (struct producer){
            .id = i, .count = options.n / options.producers, .random = now_ns() * 2654435761u + i + 1};
        producers[i].sent_ns = calloc(options.window + 1, sizeof(uint64_t));
        pthread_create(&threads[i], NULL, producer_thread, &producers[i]);
    }
    consumer.wanted = options.n;
    if (n_consumers)
        pthread_create(&threads[n_producers], NULL, consumer_thread, &consumer);
    pthread_barrier_wait(&ready);
    usleep(100000);
    double cpu = server_cpu(), client_cpu = own_cpu();
    begun_ns = now_ns();
    pthread_barrier_wait(&go);
    if (n_producers)
        pthread_barrier_wait(&produced);
    pthread_barrier_wait(&ended);
    cpu = server_cpu() - cpu;
    client_cpu = own_cpu() - client_cpu;
    for (unsigned i = 0; i < n_producers + n_consumers; i++)
        pthread_join(threads[i], NULL);
    print_result(cpu, client_cpu);
    return consumer.gaps || consumer.repeats ? 4 : 0;
}

/* ---- command line ---- */

static const struct argp_option argp_options[] = {
    {"mode", 'm', "NAME", 0, "a name for the result line", 0},
    {"target", 't', "TARGET", 0, "directory, host:port or connection string of the peer", 0},
    {"events", 'n', "N", 0, "events in all (100000)", 0},
    {"producers", 'p', "N", 0, "producers (8)", 0},
    {"window", 'w', "N", 0, "unacknowledged events of one producer (256)", 0},
    {"rate", 'r', "N", 0, "events a second on a fixed schedule (as fast as the window allows)", 0},
    {"no-produce", 'P', NULL, 0, "only consume", 0},
    {"no-consume", 'C', NULL, 0, "only produce", 0},
    {"probe", 'b', "N", 0, "wait until the peer answers with N stored events", 0},
    {"max", 'x', "SECONDS", 0, "end with status 3 after so long (300)", 0},
    {"server", 's', "PID", 0, "tell this process's CPU and memory", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    (void)state;
    switch (key) {
    case 'm':
        options.mode = value;
        return 0;
    case 't':
        options.target = value;
        return 0;
    case 'n':
        options.n = strtoull(value, NULL, 10);
        return 0;
    case 'p':
        options.producers = (unsigned)atoi(value);
        return options.producers < 1 || options.producers > PRODUCERS_MAX ? EINVAL : 0;
    case 'w':
        options.window = (unsigned)atoi(value);
        return 0;
    case 'r':
        options.rate = atof(value);
        return 0;
    case 'P':
        options.produce = false;
        return 0;
    case 'C':
        options.consume = false;
        return 0;
    case 'b':
        options.probe = strtoull(value, NULL, 10);
        return 0;
    case 'x':
        options.max_seconds = atof(value);
        return 0;
    case 's':
        options.server_pid = atoi(value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int driver_main(int argc, char **argv, const struct peer *which)
{
    const struct argp argp = {
        .options = argp_options, .parser = parse_option, .doc = "Measures one peer; prints one JSON line."};
    peer = which;
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm((unsigned)options.max_seconds);
    if (options.probe)
        return run_probe();
    if (peer->setup)
        peer->setup(&options);
    return run_load();
}
