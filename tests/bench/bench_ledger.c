/* Journal and ledger alone: what is left when nobody sends, signs batches, seals or listens.
 *
 * Entries are as large as those of 512-byte events: a leaf of 190 bytes, a sealed body of 640. A group is
 * what the writer makes of it: leaf hashes, the tree, one append to the journal with its sync, a signed
 * checkpoint. The ledger follows in a thread of its own, a few megabytes at a time, as the keeper does. Each
 * figure is measured REPS times and printed as one JSON line with the spread. */
#include "hub/pipeline/group.h"
#include "hub/verify/verify.h"
#include "proto/base/files.h"
#include "proto/merkle/note.h"
#include "tests/bench/driver.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN      "bench.example/exchange/1"
#define LEAF_SIZE   190
#define GROUP_MAX   256
#define ROUND_BYTES (4u << 20) /* that the ledger takes in one transaction */
#define ROUND_NS    1000000000ull
#define REPS_MAX    64

static struct bench {
    const char *dir;
    uint64_t append, large, single;
    size_t body;
    unsigned reps;
    bool keep;
    struct crypter *crypter;
    struct signing_key *key;
} bench = {.dir = "/var/tmp/casebus-bench-ledger",
           .append = 1000000,
           .large = 10000000,
           .single = 1000,
           .body = 640,
           .reps = 3};

static void check(int r, const struct casebus_error *err)
{
    if (r < 0)
        die("%s", err->text);
}

/* ---- figures ---- */

struct figure {
    double values[REPS_MAX];
    size_t n;
};

static void figure_add(struct figure *figure, double value)
{
    if (figure->n < REPS_MAX)
        figure->values[figure->n++] = value;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void figure_print(struct figure *figure, const char *name, const char *unit)
{
    qsort(figure->values, figure->n, sizeof figure->values[0], by_value);
    printf(
        "{\"bench\":\"ledger\",\"figure\":\"%s\",\"unit\":\"%s\",\"min\":%.3f,\"median\":%.3f,\"max\":%.3f,"
        "\"reps\":%zu}\n",
        name, unit, figure->values[0], figure->values[figure->n / 2], figure->values[figure->n - 1],
        figure->n);
    fflush(stdout);
}

static double seconds_since(uint64_t began_ns)
{
    return (double)(now_ns() - began_ns) / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- a hub's two stores, and the thread between them ---- */

struct store {
    char dir[PATH_MAX];
    struct journal *journal;
    struct ledger *ledger;
    struct tree tree;
    uint64_t epoch, number;
    uint8_t leaf[GROUP_MAX][LEAF_SIZE];
    uint8_t *body;
    /* between the writer and the one who follows */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t posted, taken;
    struct group *first, *last;
    size_t bytes;
    uint64_t first_ns;
    bool ends;
};

static struct group *take_groups(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    while (!store->first && !store->ends)
        pthread_cond_wait(&store->posted, &store->lock);
    while (store->first && !store->ends && store->bytes < ROUND_BYTES &&
           now_ns() - store->first_ns < ROUND_NS) {
        pthread_mutex_unlock(&store->lock);
        usleep(1000);
        pthread_mutex_lock(&store->lock);
    }
    struct group *groups = store->first;
    store->first = store->last = NULL;
    store->bytes = 0;
    pthread_cond_signal(&store->taken);
    pthread_mutex_unlock(&store->lock);
    return groups;
}

static void *follow(void *self)
{
    struct store *store = self;
    struct group *groups;
    struct casebus_error err;
    check(journal_prepare(store->journal, &err), &err);
    while ((groups = take_groups(store))) {
        check(groups_to_ledger(groups, store->ledger, &err), &err);
        uint64_t size = 0;
        for (struct group *next; groups; groups = next) {
            next = groups->next;
            size = groups->tree_size;
            group_unref(groups);
        }
        check(journal_trim(store->journal, size, &err), &err);
        check(journal_prepare(store->journal, &err), &err);
    }
    return NULL;
}

/* What waits is bounded, as in the hub. */
static void post(struct store *store, struct group *group)
{
    pthread_mutex_lock(&store->lock);
    while (store->bytes > 8 * (size_t)ROUND_BYTES)
        pthread_cond_wait(&store->taken, &store->lock);
    if (!store->first)
        store->first_ns = now_ns();
    *(store->last ? &store->last->next : &store->first) = group;
    store->last = group;
    store->bytes += group->n_entries * (LEAF_SIZE + bench.body);
    pthread_cond_signal(&store->posted);
    pthread_mutex_unlock(&store->lock);
}

static void store_open(struct store *store, const char *name)
{
    struct casebus_error err;
    memset(store, 0, sizeof *store);
    snprintf(store->dir, sizeof store->dir, "%s/%s", bench.dir, name);
    check(dir_make(store->dir, &err), &err);
    check(journal_open(&store->journal, store->dir, 0, &err), &err);
    check(journal_claim(store->journal, &store->epoch, &err), &err);
    check(ledger_open(&store->ledger, store->dir, ORIGIN, &err), &err);
    tree_init(&store->tree);
    random_bytes(store->leaf, sizeof store->leaf);
    store->body = malloc(bench.body + 1);
    random_bytes(store->body, bench.body + 1);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->posted, NULL);
    pthread_cond_init(&store->taken, NULL);
    if (pthread_create(&store->thread, NULL, follow, store) != 0)
        die("no thread");
}

static void store_close(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->ends = true;
    pthread_cond_signal(&store->posted);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    journal_close(store->journal);
    ledger_close(store->ledger);
    free(store->body);
}

/* ---- a group ---- */

static struct group *group_make(struct store *store, size_t n)
{
    struct group *group = group_new(NULL);
    if (!group || !group_reserve_hashes(group, n))
        die("no memory");
    group->first_position = store->tree.size;
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[DIGEST_SIZE];
        struct journal_entry *entry = group_add_entry(group);
        put_u64le(store->leaf[i], store->tree.size);
        uint8_t *leaf = arena_copy(&group->arena, store->leaf[i], LEAF_SIZE);
        uint8_t *body = bench.body ? arena_copy(&group->arena, store->body, bench.body) : NULL;
        *entry = (struct journal_entry){bytes_of(leaf, LEAF_SIZE), bytes_of(body, bench.body)};
        size_t before = group->n_hashes;
        tree_leaf_hash(bench.crypter, entry->leaf, hash);
        tree_append(&store->tree, bench.crypter, hash, group_store_hash, group);
        group->hash_counts[i] = (uint32_t)(group->n_hashes - before);
    }
    group->tree_size = store->tree.size;
    tree_root(&store->tree, bench.crypter, group->root);
    return group;
}

static void group_commit(struct store *store, struct group *group)
{
    struct casebus_error err;
    char note[NOTE_MAX];
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = group->tree_size};
    const struct journal_group record = {.epoch = store->epoch,
                                         .number = ++store->number,
                                         .hub_time_us = 1,
                                         .first_position = group->first_position,
                                         .tree_size = group->tree_size,
                                         .entries = group->entries,
                                         .n_entries = group->n_entries};
    struct journal_group rooted = record;
    memcpy(rooted.root, group->root, DIGEST_SIZE);
    check(journal_append(store->journal, &rooted, &err), &err);
    memcpy(checkpoint.root, group->root, DIGEST_SIZE);
    if (checkpoint_sign(note, sizeof note, &checkpoint, ORIGIN, bench.key, NULL) < 0)
        die("a checkpoint cannot be signed");
}

/* ---- measurements ---- */

static void files_remove(const char *path)
{
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    if (system(command) != 0)
        die("cannot remove '%s'", path);
}

static double append_rate(uint64_t n)
{
    struct store *store = malloc(sizeof *store);
    store_open(store, "append");
    usleep(300000); /* spare segments are there in a hub that runs */
    uint64_t began = now_ns();
    for (uint64_t done = 0; done < n; done += GROUP_MAX) {
        struct group *group = group_make(store, GROUP_MAX);
        group_commit(store, group);
        post(store, group);
    }
    double rate = (double)n / seconds_since(began);
    store_close(store);
    files_remove(store->dir);
    free(store);
    return rate;
}

/* A file of its own whose blocks are there: only its data has to reach the disk. */
static int bare_open(char path[PATH_MAX])
{
    static uint8_t block[1 << 20];
    snprintf(path, PATH_MAX, "%s/bare", bench.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; fd >= 0 && i < 64; i++)
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            die("cannot write '%s'", path);
    if (fd < 0 || fsync(fd) != 0)
        die("cannot make '%s'", path);
    return fd;
}

/* One after the other, so that both see the same disk. */
static void single_measure(struct figure *group_us, struct figure *bare_us, struct figure *ratio)
{
    struct histogram *with = calloc(1, sizeof *with), *bare = calloc(1, sizeof *bare);
    struct store *store = malloc(sizeof *store);
    char path[PATH_MAX];
    uint8_t block[4096];
    store_open(store, "single");
    int fd = bare_open(path);
    usleep(300000);
    for (uint64_t i = 0; i < bench.single; i++) {
        uint64_t began = now_ns();
        struct group *group = group_make(store, 1);
        group_commit(store, group);
        uint64_t between = now_ns();
        histogram_add(with, between - began);
        post(store, group);
        random_bytes(block, sizeof block);
        between = now_ns();
        if (pwrite(fd, block, sizeof block, (off_t)(i % 16384 * sizeof block)) != (ssize_t)sizeof block ||
            fdatasync(fd) != 0)
            die("cannot write '%s'", path);
        histogram_add(bare, now_ns() - between);
    }
    figure_add(group_us, histogram_us(with, 0.5));
    figure_add(bare_us, histogram_us(bare, 0.5));
    figure_add(ratio, histogram_us(with, 0.5) / histogram_us(bare, 0.5));
    close(fd);
    unlink(path);
    store_close(store);
    files_remove(store->dir);
    free(store);
    free(with);
    free(bare);
}

/* ---- a large ledger ---- */

static void large_make(const char *dir)
{
    struct casebus_error err;
    struct ledger *ledger;
    struct store *store = calloc(1, sizeof *store);
    size_t body = bench.body;
    uint64_t began = now_ns();
    bench.body = 0; /* the tree is what is asked for */
    random_bytes(store->leaf, sizeof store->leaf);
    check(dir_make(dir, &err), &err);
    check(ledger_open(&ledger, dir, ORIGIN, &err), &err);
    while (store->tree.size < bench.large) {
        struct group *first = NULL, **next = &first;
        for (int i = 0; i < 256 && store->tree.size < bench.large; i++) {
            uint64_t left = bench.large - store->tree.size;
            *next = group_make(store, left < GROUP_MAX ? (size_t)left : GROUP_MAX);
            next = &(*next)->next;
        }
        check(groups_to_ledger(first, ledger, &err), &err);
        for (struct group *after; first; first = after) {
            after = first->next;
            group_unref(first);
        }
    }
    bench.body = body;
    ledger_close(ledger);
    free(store);
    fprintf(stderr, "%llu entries made in %.1f s\n", (unsigned long long)bench.large, seconds_since(began));
}

/* Nothing of it in memory any more. */
static void make_cold(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/ledger/data.mdb", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        die("'%s' stays in memory", path);
    close(fd);
}

static double open_ms(const char *dir, struct ledger **ledger)
{
    struct casebus_error err;
    uint64_t began = now_ns();
    check(ledger_open(ledger, dir, ORIGIN, &err), &err);
    return seconds_since(began) * 1e3;
}

/* Opens a view, proves one random entry to be in the tree, closes it. */
static double proof_ms(struct ledger *ledger)
{
    struct casebus_error err;
    struct ledger_view *view;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    size_t n;
    uint64_t position;
    struct bytes leaf;
    random_bytes(&position, sizeof position);
    uint64_t began = now_ns();
    check(ledger_view_open(&view, ledger, &err), &err);
    uint64_t size = ledger_view_size(view);
    check(ledger_view_leaf(view, position % size, &leaf, &err), &err);
    check(tree_inclusion(bench.crypter, position % size, size, ledger_view_hash, view, path, &n, &err), &err);
    ledger_view_close(view);
    return seconds_since(began) * 1e3;
}

static void proofs_measure(const char *dir, bool cold, unsigned n, struct figure *p50, struct figure *p99)
{
    struct histogram *all = calloc(1, sizeof *all);
    struct ledger *ledger;
    open_ms(dir, &ledger);
    for (unsigned i = 0; i < n; i++) {
        if (cold) {
            ledger_close(ledger);
            make_cold(dir);
            open_ms(dir, &ledger);
        }
        histogram_add(all, (uint64_t)(proof_ms(ledger) * 1e6));
    }
    ledger_close(ledger);
    figure_add(p50, histogram_us(all, 0.5) / 1e3);
    figure_add(p99, histogram_us(all, 0.99) / 1e3);
    free(all);
}

static void verify_once(const char *dir, unsigned jobs, struct figure *rate, struct figure *per_core)
{
    struct casebus_error err;
    struct verify_result result;
    struct ledger *ledger;
    open_ms(dir, &ledger);
    const struct verify_options options = {.ledger = ledger, .jobs = jobs, .tree_only = true};
    double cpu = cpu_seconds();
    uint64_t began = now_ns();
    int r = verify_ledger(&options, &result, &err);
    check(r, &err);
    if (r != VERIFY_HOLDS || result.entries != bench.large)
        die("the ledger does not hold: %s", result.fault.text);
    figure_add(rate, (double)bench.large / seconds_since(began));
    figure_add(per_core, (double)bench.large / (cpu_seconds() - cpu));
    ledger_close(ledger);
}

static void verify_measure(const char *dir, unsigned jobs, bool cold)
{
    struct figure rate = {0}, per_core = {0};
    char name[64];
    for (unsigned i = 0; i < bench.reps; i++) {
        if (cold)
            make_cold(dir);
        verify_once(dir, jobs, &rate, &per_core);
    }
    snprintf(name, sizeof name, "verify_tree_jobs%u%s", jobs, cold ? "_cold" : "");
    figure_print(&rate, name, "entries/s");
    snprintf(name, sizeof name, "verify_tree_jobs%u%s_core", jobs, cold ? "_cold" : "");
    figure_print(&per_core, name, "entries/CPU-s");
}

static void opens_measure(const char *dir)
{
    struct figure cold = {0}, warm = {0};
    struct ledger *ledger;
    for (unsigned i = 0; i < 2 * bench.reps + 1; i++) {
        make_cold(dir);
        figure_add(&cold, open_ms(dir, &ledger));
        ledger_close(ledger);
        figure_add(&warm, open_ms(dir, &ledger));
        ledger_close(ledger);
    }
    figure_print(&cold, "open_cold", "ms");
    figure_print(&warm, "open_warm", "ms");
}

static void large_measure(const char *dir)
{
    struct figure cold50 = {0}, cold99 = {0}, warm50 = {0}, warm99 = {0};
    opens_measure(dir);
    for (unsigned i = 0; i < bench.reps; i++)
        proofs_measure(dir, true, 200, &cold50, &cold99);
    verify_measure(dir, 2, true);
    verify_measure(dir, 1, false);
    verify_measure(dir, 2, false);
    for (unsigned i = 0; i < bench.reps; i++)
        proofs_measure(dir, false, 10000, &warm50, &warm99);
    figure_print(&cold50, "proof_cold_p50", "ms");
    figure_print(&cold99, "proof_cold_p99", "ms");
    figure_print(&warm50, "proof_warm_p50", "ms");
    figure_print(&warm99, "proof_warm_p99", "ms");
}

static void append_measure(void)
{
    struct figure rate = {0}, group_us = {0}, bare_us = {0}, ratio = {0};
    for (unsigned i = 0; i < bench.reps; i++) {
        figure_add(&rate, append_rate(bench.append));
        single_measure(&group_us, &bare_us, &ratio);
    }
    figure_print(&rate, "append_256", "entries/s");
    figure_print(&group_us, "group_1_p50", "us");
    figure_print(&bare_us, "bare_4k_p50", "us");
    figure_print(&ratio, "group_1_to_bare", "ratio");
}

/* ---- the command line ---- */

static void usage(void)
{
    fprintf(stderr, "usage: bench_ledger [--dir DIR] [--append N] [--single N] [--large N] [--body BYTES] "
                    "[--reps N] [--keep]\n"
                    "DIR is made when missing; 0 leaves a part out; --keep keeps the large ledger\n");
    exit(2);
}

static void options_parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},   {"append", required_argument, NULL, 'a'},
        {"large", required_argument, NULL, 'l'}, {"single", required_argument, NULL, 's'},
        {"body", required_argument, NULL, 'b'},  {"reps", required_argument, NULL, 'r'},
        {"keep", no_argument, NULL, 'k'},        {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t number = c == 'd' || c == 'k' || c == '?' ? 0 : strtoull(optarg, NULL, 10);
        switch (c) {
        case 'd':
            bench.dir = optarg;
            break;
        case 'a':
            bench.append = number;
            break;
        case 'l':
            bench.large = number;
            break;
        case 's':
            bench.single = number;
            break;
        case 'b':
            bench.body = (size_t)number;
            break;
        case 'r':
            bench.reps = (unsigned)number;
            break;
        case 'k':
            bench.keep = true;
            break;
        default:
            usage();
        }
    }
    if (optind < argc || bench.reps == 0 || bench.reps > REPS_MAX / 2 - 1 || strchr(bench.dir, '\''))
        usage();
}

int main(int argc, char **argv)
{
    struct casebus_error err;
    struct stat there;
    char large[PATH_MAX];
    options_parse(argc, argv);
    check(dir_make(bench.dir, &err), &err);
    bench.crypter = crypter_new(suite_get(SUITE_INTL));
    check(signing_key_generate(&bench.key, suite_get(SUITE_INTL), &err), &err);
    if (bench.append)
        append_measure();
    snprintf(large, sizeof large, "%s/large-%llu", bench.dir, (unsigned long long)bench.large);
    if (bench.large) {
        if (stat(large, &there) != 0)
            large_make(large);
        large_measure(large);
    }
    if (!bench.keep)
        files_remove(large);
    rmdir(bench.dir); /* unless something of others, or of this, is left there */
    return 0;
}
