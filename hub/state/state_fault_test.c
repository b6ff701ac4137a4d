/* The state on disk is always that of one position: never half of a group, never older than what was said. */
#include "hub/state/state.h"

#include "hub/journal/kill_fixture.h"

#include <pthread.h>
#include <sys/stat.h>

#define ROUNDS 25
#define N_KEYS 500

struct fixture {
    char dir[PATH_MAX];
};

/* The toy exchange: entry @n raises the counter of key n % N_KEYS; so the counters of all keys tell the
 * position, and a state that mixes two positions does not add up. */
static uint64_t counter_at(uint64_t applied, uint64_t key)
{
    return applied / N_KEYS + (key < applied % N_KEYS ? 1 : 0);
}

static int apply(struct exchange_store *store, uint64_t n, struct casebus_error *err)
{
    uint8_t key[8], value[200] = {0};
    put_u64be(key, n % N_KEYS);
    put_u64le(value, n / N_KEYS + 1);
    return store->put(store->self, TABLE_CASES, bytes_of(key, 8), bytes_of(value, 8 + n % 190), err);
}

struct keeper {
    struct state *state;
    int pipe_end;
};

static void *keeper_main(void *self)
{
    struct keeper *keeper = self;
    struct casebus_error err;
    uint64_t applied, promised = 0;
    for (;;) {
        if (state_write(keeper->state, &applied, &err) != 0)
            _exit(3);
        if (applied > promised)
            promise(keeper->pipe_end, promised = applied);
    }
    return NULL;
}

static void apply_for_ever(void *self, int pipe_end)
{
    struct fixture *f = self;
    struct casebus_error err;
    struct keeper keeper = {.pipe_end = pipe_end};
    pthread_t thread;

    if (state_open(&keeper.state, f->dir, &err) != 0)
        _exit(1);
    struct exchange_store store = state_store(keeper.state);
    pthread_create(&thread, NULL, keeper_main, &keeper);
    for (uint64_t n = state_applied(keeper.state);; n++) {
        if (apply(&store, n, &err) != 0)
            _exit(2);
        if (n % 7 == 0)
            state_freeze(keeper.state, n + 1);
        if (state_overlay_bytes(keeper.state) > 8 << 20)
            usleep(1000);
    }
}

static void check_counters(struct state *state, uint64_t promised)
{
    struct casebus_error err;
    struct state_view *view;
    struct bytes value;

    must(state_view_open(&view, state, &err), &err);
    uint64_t applied = state_view_applied(view);
    assert_true(applied >= promised);
    assert_int_equal(applied, state_applied(state));
    for (uint64_t i = 0; i < N_KEYS; i++) {
        uint8_t key[8];
        put_u64be(key, i);
        int r = state_view_get(view, TABLE_CASES, bytes_of(key, 8), &value, &err);
        must(r, &err);
        assert_int_equal(r == 1 ? get_u64le(value.data) : 0, counter_at(applied, i));
    }
    state_view_close(view);
}

static void test_state_is_of_one_position_after_a_kill(void **state)
{
    struct fixture f;
    struct chance chance = chance_begin();
    uint64_t applied = 0;

    (void)state;
    folder_make(f.dir, "state");
    for (int round = 0; round < ROUNDS; round++) {
        struct casebus_error err;
        struct state *opened;
        uint64_t promised = run_and_kill(apply_for_ever, &f, &chance, 30000, applied);
        must(state_open(&opened, f.dir, &err), &err);
        check_counters(opened, promised);
        applied = state_applied(opened);
        state_close(opened);
    }
    folder_remove(f.dir);
}

static void look_for_ever(void *self, int pipe_end)
{
    struct fixture *f = self;
    struct casebus_error err;
    struct state *state;
    struct state_view *view;

    if (state_open_readonly(&state, f->dir, &err) != 0 || state_view_open(&view, state, &err) != 0)
        _exit(1);
    promise(pipe_end, 1);
    pause();
}

static void test_reader_that_was_killed_does_not_make_the_file_grow(void **state)
{
    struct chance chance = chance_begin();
    struct casebus_error err;
    struct state *opened;
    struct stat status;
    struct fixture f;
    char path[PATH_MAX];

    (void)state;
    folder_make(f.dir, "state");
    must(state_open(&opened, f.dir, &err), &err);
    struct exchange_store store = state_store(opened);
    run_and_kill(look_for_ever, &f, &chance, 1, 0);
    for (uint64_t n = 0; n < 100 * N_KEYS; n++) {
        must(apply(&store, n, &err), &err);
        if (n % N_KEYS != 0)
            continue;
        assert_int_equal(state_freeze(opened, n + 1), 1);
        must(state_write(opened, NULL, &err), &err);
    }
    folder_path(path, f.dir, "state/data.mdb");
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < 2 << 20);
    state_close(opened);
    folder_remove(f.dir);
}

static void test_full_map_keeps_the_overlay_until_there_is_room(void **state)
{
    struct casebus_error err;
    struct state *opened;
    struct fixture f;
    uint64_t n = 0, applied;

    (void)state;
    folder_make(f.dir, "state");
    must(state_open(&opened, f.dir, &err), &err);
    must(state_limit(opened, 256 << 10, &err), &err);
    struct exchange_store store = state_store(opened);
    for (; n < N_KEYS; n++)
        must(apply(&store, n, &err), &err);
    for (uint8_t i = 0; i < 100; i++) { /* what does not fit */
        uint8_t large[10000] = {i};
        must(store.put(store.self, TABLE_RECORDS, bytes_of(&i, 1), bytes_of(large, sizeof large), &err),
             &err);
    }
    assert_int_equal(state_freeze(opened, n), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(state_write(opened, &applied, &err), -1);
        assert_int_equal(err.code, CASEBUS_DISK_FULL);
        assert_true(state_frozen(opened));
        assert_int_equal(state_applied(opened), 0);
        must(apply(&store, n++, &err), &err); /* the writer goes on */
    }
    state_rest(opened);
    must(state_limit(opened, 64 << 20, &err), &err);
    must(state_write(opened, &applied, &err), &err);
    assert_int_equal(applied, N_KEYS);
    check_counters(opened, N_KEYS);
    assert_int_equal(state_freeze(opened, n), 1);
    must(state_write(opened, &applied, &err), &err);
    check_counters(opened, n);
    state_close(opened);
    folder_remove(f.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_is_of_one_position_after_a_kill),
        cmocka_unit_test(test_reader_that_was_killed_does_not_make_the_file_grow),
        cmocka_unit_test(test_full_map_keeps_the_overlay_until_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
