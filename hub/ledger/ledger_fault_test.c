/* P1 for the ledger: kills and full disks leave it whole, and what it said is synced is there. */
#include "hub/ledger/ledger.h"

#include "hub/journal/kill_fixture.h"
#include "hub/ledger/ledger_fixture.h"

#include <sys/resource.h>

#define ROUNDS 25

/* The child: goes on where the ledger ends. */
static void append_for_ever(void *self, int pipe_end)
{
    struct fixture *f = self;
    struct casebus_error err;
    struct ledger_view *view;
    struct chance chance = {(uint64_t)getpid()};

    if (ledger_open(&f->ledger, f->dir, ORIGIN, &err) != 0 || ledger_view_open(&view, f->ledger, &err) != 0 ||
        tree_open(&f->tree, ledger_size(f->ledger), ledger_view_hash, view, &err) != 0)
        _exit(1);
    ledger_view_close(view);
    for (;;) {
        size_t n = 1 + chance_below(&chance, 200);
        if (entries_append(f->ledger, &f->tree, f->crypter, n, &err) != 0)
            _exit(2);
        promise(pipe_end, ledger_size(f->ledger));
    }
}

/* Every entry is what it should be, and the stored hashes are those of the entries. */
static void check_entries(struct fixture *f, uint64_t promised)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct tree tree;
    uint8_t stored[DIGEST_SIZE], made[DIGEST_SIZE], hash[DIGEST_SIZE];
    char text[BODY_MAX];
    struct bytes found;

    must(ledger_view_open(&view, f->ledger, &err), &err);
    assert_true(ledger_view_size(view) >= promised);
    tree_init(&tree);
    for (uint64_t i = 0; i < ledger_view_size(view); i++) {
        must(ledger_view_leaf(view, i, &found, &err), &err);
        assert_true(bytes_equal(found, entry_leaf(text, i)));
        must(ledger_view_body(view, i, &found, &err), &err);
        assert_true(bytes_equal(found, entry_body(text, i)));
        tree_leaf_hash(f->crypter, entry_leaf(text, i), hash);
        tree_append(&tree, f->crypter, hash, NULL, NULL);
    }
    tree_root(&tree, f->crypter, made);
    must(tree_root_at(f->crypter, ledger_view_size(view), ledger_view_hash, view, stored, &err), &err);
    assert_memory_equal(made, stored, DIGEST_SIZE);
    ledger_view_close(view);
}

static void test_what_was_synced_survives_a_kill(void **state)
{
    struct fixture *f = *state;
    struct chance chance = chance_begin();
    uint64_t size = 0;

    for (int round = 0; round < ROUNDS; round++) {
        fixture_close(f);
        uint64_t promised = run_and_kill(append_for_ever, f, &chance, 30000, size);
        fixture_open(f);
        check_entries(f, promised);
        size = ledger_size(f->ledger);
    }
}

/* Appends until there is no room; returns the size then. */
static uint64_t fill_up(struct fixture *f)
{
    struct casebus_error err;
    uint64_t size;
    do
        size = ledger_size(f->ledger);
    while (entries_append(f->ledger, &f->tree, f->crypter, 100, &err) == 0);
    assert_int_equal(err.code, CASEBUS_DISK_FULL);
    assert_true(err.hint[0] != '\0');
    assert_int_equal(ledger_size(f->ledger), size);
    return size;
}

static void test_full_map_is_a_refusal_and_work_goes_on(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    must(ledger_limit(f->ledger, 4 << 20, &err), &err);
    uint64_t size = fill_up(f);
    assert_true(size > 0);
    check_entries(f, size);
    assert_int_equal(fill_up(f), ledger_size(f->ledger)); /* refused again, in the same way */
    must(ledger_limit(f->ledger, 64 << 20, &err), &err);
    fixture_append(f, 1000);
    check_entries(f, size + 1000);
    fixture_close(f);
    fixture_open(f);
    check_entries(f, size + 1000);
}

static void file_limit(rlim_t max)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = max < limit.rlim_max ? max : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk_is_a_refusal_and_work_goes_on(void **state)
{
    struct fixture *f = *state;

    signal(SIGXFSZ, SIG_IGN);
    file_limit(3 << 20);
    uint64_t size = fill_up(f);
    file_limit(RLIM_INFINITY);
    check_entries(f, size);
    fixture_append(f, 1000);
    check_entries(f, size + 1000);
    fixture_close(f);
    fixture_open(f);
    check_entries(f, size + 1000);
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_what_was_synced_survives_a_kill),
        LEDGER_TEST(test_full_map_is_a_refusal_and_work_goes_on),
        LEDGER_TEST(test_full_disk_is_a_refusal_and_work_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
