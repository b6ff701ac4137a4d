/* How long a hub takes to make a proof out of a large ledger: entries of one sort fill it, in their midst are
 * those that are asked about, at its end those that are newest.
 *
 *   bench_evidence [ENTRIES]      10,000,000 when not given: about 2 GB of disk and a minute of filling */
#include "hub/console/hub_fixture.h"
#include "proto/base/clock.h"

#include <stdio.h>
#include <time.h>

#define CHUNK  50000
#define ROUNDS 200

struct filled {
    struct hub_fixture fixture;
    struct tree tree;
    struct bytes leaf; /* of every entry that fills */
};

struct filled_row {
    uint8_t hashes[TREE_LEVELS][DIGEST_SIZE];
    size_t n;
};

static void on_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct filled_row *row = self;
    (void)level, (void)index;
    memcpy(row->hashes[row->n++], hash, DIGEST_SIZE);
}

static void append(struct filled *filled, const struct fixture_entry *entries, size_t n)
{
    struct casebus_error err;
    struct hub_fixture *fixture = &filled->fixture;
    struct filled_row *memory = calloc(n, sizeof *memory);
    struct ledger_row *rows = calloc(n, sizeof *rows);
    uint64_t first = filled->tree.size;
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[DIGEST_SIZE];
        struct bytes leaf = entries ? entries[i].leaf : filled->leaf;
        tree_leaf_hash(fixture->crypter, leaf, hash);
        tree_append(&filled->tree, fixture->crypter, hash, on_store, &memory[i]);
        rows[i] = (struct ledger_row){leaf, entries ? entries[i].body : bytes_of(NULL, 0),
                                      memory[i].hashes[0], memory[i].n};
    }
    must(ledger_append(fixture->ledger, first, rows, n, &err), &err);
    free(memory);
    free(rows);
}

static void tell(struct hub_fixture *fixture)
{
    static const char *const office[] = {"office"};
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    grants.publish = true;
    hub_fixture_enrol(fixture, "bureau", &grants);
    hub_fixture_enrol(fixture, "office", &grants);
    for (unsigned i = 0; i < 20; i++) {
        char record[16];
        snprintf(record, sizeof record, "r%u", i);
        const struct fixture_event event = {
            .record = record, .number = "2026/1", .action = "初审", .name = "张三", .receivers = {"office"}};
        hub_fixture_batch(fixture, "bureau", &event, 1);
    }
    hub_fixture_confirm(fixture, office, 1, fixture->n_entries);
}

/* Of this process: what is measured beside others says little in wall time. */
static uint64_t cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static void measure(struct filled *filled, const char *what, const char *target)
{
    uint64_t began = clock_monotonic_ns(), cpu_began = cpu_ns(), most = 0;
    json_int_t size = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t at = clock_monotonic_ns();
        const struct console_request request = {.method = "GET", .target = target};
        struct console_reply reply;
        console_handle(&filled->fixture.hub, &request, &reply, NULL);
        assert_int_equal(reply.status, 200);
        size = json_integer_value(json_object_get(reply.body, "size"));
        json_decref(reply.body);
        at = clock_monotonic_ns() - at;
        most = at > most ? at : most;
    }
    printf("%-28s %7.3f ms each (%.3f of CPU), %7.3f ms at most, %lld bytes\n", what,
           (double)(clock_monotonic_ns() - began) / 1e6 / ROUNDS,
           (double)(cpu_ns() - cpu_began) / 1e6 / ROUNDS, (double)most / 1e6, (long long)size);
}

int main(int argc, char **argv)
{
    static struct filled filled;
    struct hub_fixture *fixture = &filled.fixture;
    uint64_t entries = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    hub_fixture_init(fixture);
    tree_init(&filled.tree);
    tell(fixture);
    append(&filled, fixture->entries, fixture->n_entries);
    size_t told = fixture->n_entries;
    size_t filler = hub_fixture_quarantine(fixture, "bureau", "filler");
    filled.leaf = fixture->entries[filler].leaf;
    fixture->n_entries = told;
    uint64_t began = clock_monotonic_ns();
    while (filled.tree.size < entries)
        append(&filled, NULL,
               entries - filled.tree.size < CHUNK ? (size_t)(entries - filled.tree.size) : CHUNK);
    printf("%llu entries, filled in %.1f s\n", (unsigned long long)filled.tree.size,
           (double)(clock_monotonic_ns() - began) / 1e9);
    hub_fixture_publish(fixture, filled.tree.size, NULL, true);
    hub_fixture_apply(fixture);
    measure(&filled, "one event, with its receipt", "/v1/evidence?event=4");
    measure(&filled, "the same, sealed", "/v1/evidence?event=4&sealed=1");
    measure(&filled, "an act", "/v1/evidence?position=43");
    measure(&filled, "a case of 20 events", "/v1/evidence?case=2026%2F1");
    hub_fixture_deinit(fixture);
    return 0;
}
