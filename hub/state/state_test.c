/* The state answers the same whichever layer holds the answer, and writes behind what it was given. */
#include "hub/state/state.h"

#include "hub/journal/folder_fixture.h"
#include "hub/state/overlay.h"

#include <pthread.h>
#include <stdatomic.h>

struct fixture {
    char dir[PATH_MAX];
    struct state *state;
    struct exchange_store store;
};

static void fixture_open(struct fixture *f)
{
    struct casebus_error err;
    must(state_open(&f->state, f->dir, &err), &err);
    f->store = state_store(f->state);
}

static void fixture_reopen(struct fixture *f)
{
    f->state = state_close(f->state);
    fixture_open(f);
}

static int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    folder_make(f->dir, "state");
    fixture_open(f);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    state_close(f->state);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static void put(struct fixture *f, enum exchange_table table, const char *key, const char *value)
{
    struct casebus_error err;
    must(f->store.put(f->store.self, table, bytes_of_text(key), bytes_of_text(value), &err), &err);
}

/* @value NULL: not there. */
static void expect(struct fixture *f, enum exchange_table table, const char *key, const char *value)
{
    struct casebus_error err;
    struct bytes found;
    int r = f->store.get(f->store.self, table, bytes_of_text(key), &found, &err);
    must(r, &err);
    assert_int_equal(r, value ? 1 : 0);
    if (value)
        assert_true(bytes_equal(found, bytes_of_text(value)));
}

static void write_out(struct fixture *f, uint64_t applied)
{
    struct casebus_error err;
    uint64_t written;
    assert_int_equal(state_freeze(f->state, applied), 1);
    must(state_write(f->state, &written, &err), &err);
    assert_int_equal(written, applied);
}

static void test_get_finds_the_newest_in_every_layer(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    expect(f, TABLE_CASES, "disk", NULL);
    put(f, TABLE_CASES, "disk", "1");
    put(f, TABLE_CASES, "frozen", "1");
    put(f, TABLE_CASES, "new", "1");
    write_out(f, 10);
    put(f, TABLE_CASES, "frozen", "2");
    put(f, TABLE_CASES, "new", "2");
    assert_int_equal(state_freeze(f->state, 20), 1);
    put(f, TABLE_CASES, "new", "3");
    expect(f, TABLE_CASES, "disk", "1");
    expect(f, TABLE_CASES, "frozen", "2");
    expect(f, TABLE_CASES, "new", "3");
    expect(f, TABLE_CASES, "nothing", NULL);
    expect(f, TABLE_NODES, "disk", NULL);
    must(state_write(f->state, NULL, &err), &err);
    expect(f, TABLE_CASES, "frozen", "2"); /* from the frozen one: its boundary has not come */
    expect(f, TABLE_CASES, "new", "3");
    state_rest(f->state);
    expect(f, TABLE_CASES, "frozen", "2"); /* from disk */
    expect(f, TABLE_CASES, "new", "3");
}

static void test_what_is_not_written_is_gone_after_reopening(void **state)
{
    struct fixture *f = *state;

    put(f, TABLE_META, "a", "old");
    write_out(f, 7);
    put(f, TABLE_META, "a", "new");
    assert_int_equal(state_freeze(f->state, 9), 1);
    fixture_reopen(f);
    assert_int_equal(state_applied(f->state), 7);
    expect(f, TABLE_META, "a", "old");
}

static void test_freeze_waits_for_the_write_before_it(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    put(f, TABLE_META, "a", "1");
    assert_false(state_frozen(f->state));
    assert_int_equal(state_freeze(f->state, 1), 1);
    assert_true(state_frozen(f->state));
    put(f, TABLE_META, "a", "2");
    assert_int_equal(state_freeze(f->state, 2), 0);
    must(state_write(f->state, NULL, &err), &err);
    assert_int_equal(state_applied(f->state), 1);
    assert_false(state_frozen(f->state));
    assert_int_equal(state_freeze(f->state, 2), 1);
    must(state_write(f->state, NULL, &err), &err);
    must(state_write(f->state, NULL, &err), &err); /* nothing to do */
    assert_int_equal(state_applied(f->state), 2);
    expect(f, TABLE_META, "a", "2");
}

static void test_entries_that_change_nothing_still_move_the_position(void **state)
{
    struct fixture *f = *state;

    write_out(f, 5);
    assert_int_equal(state_freeze(f->state, 5), 0);
    fixture_reopen(f);
    assert_int_equal(state_applied(f->state), 5);
    assert_int_equal(state_freeze(f->state, 5), 0);
}

static void test_value_stays_valid_while_its_layer_is_written(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes held;

    put(f, TABLE_CASES, "held", "value");
    assert_int_equal(state_freeze(f->state, 1), 1);
    must(f->store.get(f->store.self, TABLE_CASES, bytes_of_text("held"), &held, &err), &err);
    must(state_write(f->state, NULL, &err), &err);
    expect(f, TABLE_NODES, "other", NULL);
    put(f, TABLE_NODES, "other", "x");
    assert_true(bytes_equal(held, bytes_of_text("value")));
}

static void test_value_may_be_put_back_as_it_was_told(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes told;

    put(f, TABLE_CASES, "a", "0123456789");
    must(f->store.get(f->store.self, TABLE_CASES, bytes_of_text("a"), &told, &err), &err);
    told = bytes_of(told.data + 4, 6);
    must(f->store.put(f->store.self, TABLE_CASES, bytes_of_text("a"), told, &err), &err);
    expect(f, TABLE_CASES, "a", "456789");
}

static void test_empty_values_are_there(void **state)
{
    struct fixture *f = *state;

    put(f, TABLE_INBOX, "key", "");
    expect(f, TABLE_INBOX, "key", "");
    write_out(f, 1);
    state_rest(f->state);
    expect(f, TABLE_INBOX, "key", "");
}

static void test_store_refuses_keys_that_no_table_has(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct bytes found;
    uint8_t key[512] = {0};

    assert_int_equal(f->store.put(f->store.self, TABLE_META, bytes_of(key, 0), bytes_of(key, 1), &err), -1);
    assert_int_equal(f->store.put(f->store.self, TABLE_META, bytes_of(key, 512), bytes_of(key, 1), &err), -1);
    assert_int_equal(f->store.get(f->store.self, TABLE_COUNT, bytes_of(key, 1), &found, &err), -1);
    assert_int_equal(err.code, CASEBUS_INTERNAL);
    must(f->store.put(f->store.self, TABLE_META, bytes_of(key, 511), bytes_of(key, 1), &err), &err);
    write_out(f, 1);
}

static void test_overlay_memory_is_counted_and_given_back(void **state)
{
    struct fixture *f = *state;
    char key[32], value[1000];
    size_t at_first = state_overlay_bytes(f->state);

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(f, TABLE_CASES, key, value);
    }
    size_t full = state_overlay_bytes(f->state);
    assert_true(full > at_first + 10000 * 1000);
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(f, TABLE_CASES, key, value + 1); /* in place */
    }
    assert_int_equal(state_overlay_bytes(f->state), full);
    write_out(f, 1);
    state_rest(f->state);
    assert_true(state_overlay_bytes(f->state) < full / 10);
}

static void test_growing_value_wastes_less_than_it_holds(void **state)
{
    struct overlay *overlay = overlay_new(0);
    uint8_t value[100000] = {0};

    (void)state;
    for (size_t size = 0; size < sizeof value; size += 100)
        assert_true(overlay_put(overlay, 1, bytes_of_text("key"), bytes_of(value, size)));
    assert_int_equal(overlay_get(overlay, 1, bytes_of_text("key"))->value_size, sizeof value - 100);
    assert_int_equal(overlay_count(overlay), 1);
    assert_true(overlay_wasted(overlay) < 3 * sizeof value);
    overlay_free(overlay);
}

static uint32_t chance(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void test_sorted_overlay_is_in_the_order_of_the_tables(void **state)
{
    struct overlay *overlay = overlay_new(0);
    uint32_t seed = 1;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint8_t key[8];
        size_t size = 1 + chance(&seed) % sizeof key;
        for (size_t j = 0; j < size; j++)
            key[j] = (uint8_t)(chance(&seed) % 3 * 127);
        assert_true(overlay_put(overlay, chance(&seed) % 4, bytes_of(key, size), bytes_of("v", 1)));
    }
    struct overlay_row *sorted = overlay_sorted(overlay);
    for (size_t i = 1; i < overlay_count(overlay); i++) {
        const struct overlay_entry *a = sorted[i - 1].entry, *b = sorted[i].entry;
        size_t common = a->key_size < b->key_size ? a->key_size : b->key_size;
        int order = memcmp(a->key, b->key, common);
        assert_true(a->table < b->table ||
                    (a->table == b->table && (order < 0 || (order == 0 && a->key_size < b->key_size))));
    }
    free(sorted);
    overlay_free(overlay);
}

/* --- views --- */

struct walk {
    char keys[200];
    int stop_after;
};

static int walk_visit(void *self, struct bytes key, struct bytes value)
{
    struct walk *walk = self;
    size_t length = strlen(walk->keys);
    snprintf(walk->keys + length, sizeof walk->keys - length, "%.*s=%.*s ", (int)key.size,
             (const char *)key.data, (int)value.size, (const char *)value.data);
    return --walk->stop_after == 0;
}

static void test_view_walks_in_order_from_a_key(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct state_view *view;
    struct bytes value;

    put(f, TABLE_INBOX, "c", "3");
    put(f, TABLE_INBOX, "a", "1");
    put(f, TABLE_INBOX, "bb", "2");
    put(f, TABLE_CASES, "z", "0");
    write_out(f, 4);
    must(state_view_open(&view, f->state, &err), &err);
    assert_int_equal(state_view_applied(view), 4);
    assert_int_equal(state_view_count(view, TABLE_INBOX), 3);
    struct walk all = {"", 0}, some = {"", 0}, first = {"", 1}, none = {"", 0};
    assert_int_equal(state_view_walk(view, TABLE_INBOX, bytes_of(NULL, 0), walk_visit, &all, &err), 0);
    assert_string_equal(all.keys, "a=1 bb=2 c=3 ");
    assert_int_equal(state_view_walk(view, TABLE_INBOX, bytes_of_text("b"), walk_visit, &some, &err), 0);
    assert_string_equal(some.keys, "bb=2 c=3 ");
    assert_int_equal(state_view_walk(view, TABLE_INBOX, bytes_of(NULL, 0), walk_visit, &first, &err), 1);
    assert_string_equal(first.keys, "a=1 ");
    assert_int_equal(state_view_walk(view, TABLE_NODES, bytes_of(NULL, 0), walk_visit, &none, &err), 0);
    assert_string_equal(none.keys, "");
    assert_int_equal(state_view_get(view, TABLE_CASES, bytes_of_text("z"), &value, &err), 1);
    assert_int_equal(state_view_get(view, TABLE_CASES, bytes_of_text("y"), &value, &err), 0);
    state_view_close(view);
}

static void test_view_sees_what_is_on_disk_when_renewed(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct state_view *view;
    struct bytes value;

    must(state_view_open(&view, f->state, &err), &err);
    put(f, TABLE_CASES, "a", "1");
    write_out(f, 2);
    assert_int_equal(state_view_applied(view), 0);
    assert_int_equal(state_view_get(view, TABLE_CASES, bytes_of_text("a"), &value, &err), 0);
    must(state_view_renew(view, &err), &err);
    assert_int_equal(state_view_applied(view), 2);
    assert_int_equal(state_view_get(view, TABLE_CASES, bytes_of_text("a"), &value, &err), 1);
    state_view_close(view);
}

static void test_state_can_be_looked_at_by_another_process(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    put(f, TABLE_CASES, "a", "1");
    write_out(f, 2);
    f->state = state_close(f->state); /* not to be carried over fork */
    pid_t child = fork();
    if (child == 0) {
        struct state *other;
        struct state_view *view;
        struct bytes value;
        if (state_open_readonly(&other, f->dir, &err) != 0 || state_view_open(&view, other, &err) != 0)
            _exit(1);
        int r = state_view_get(view, TABLE_CASES, bytes_of_text("a"), &value, &err);
        state_view_close(view);
        state_close(other);
        _exit(r == 1 ? 0 : 2);
    }
    expect_exit(child, 0);
    folder_remove(f->dir);
    assert_int_equal(state_open_readonly(&f->state, f->dir, &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
}

/* --- two threads --- */

struct pair {
    struct fixture *f;
    atomic_bool done;
};

static void *keeper_main(void *self)
{
    struct pair *pair = self;
    struct casebus_error err;
    while (!atomic_load(&pair->done))
        must(state_write(pair->f->state, NULL, &err), &err);
    must(state_write(pair->f->state, NULL, &err), &err);
    return NULL;
}

#define N_KEYS   300
#define N_ROUNDS 20000

/* A writer that only reads and adds, beside a keeper that writes behind: every count must come out right. */
static void test_writer_and_keeper_agree(void **state)
{
    struct fixture *f = *state;
    struct pair pair = {.f = f};
    struct casebus_error err;
    pthread_t keeper;
    uint32_t counts[N_KEYS] = {0}, seed = 42;

    atomic_init(&pair.done, false);
    assert_int_equal(pthread_create(&keeper, NULL, keeper_main, &pair), 0);
    for (uint64_t round = 1; round <= N_ROUNDS; round++) {
        uint32_t number = chance(&seed) % N_KEYS, count = 0;
        uint8_t key[4];
        struct bytes found;
        put_u32be(key, number);
        int r = f->store.get(f->store.self, TABLE_RECORDS, bytes_of(key, 4), &found, &err);
        must(r, &err);
        if (r == 1)
            memcpy(&count, found.data, sizeof count);
        assert_int_equal(count, counts[number]);
        counts[number] = ++count;
        must(f->store.put(f->store.self, TABLE_RECORDS, bytes_of(key, 4), bytes_of(&count, 4), &err), &err);
        if (round % 10 == 0)
            state_freeze(f->state, round);
        if (round % 777 == 0)
            state_rest(f->state);
    }
    while (state_applied(f->state) < N_ROUNDS)
        state_freeze(f->state, N_ROUNDS);
    atomic_store(&pair.done, true);
    pthread_join(keeper, NULL);
    fixture_reopen(f);
    assert_int_equal(state_applied(f->state), N_ROUNDS);
    for (uint32_t i = 0; i < N_KEYS; i++) {
        uint8_t key[4];
        struct bytes found;
        put_u32be(key, i);
        assert_int_equal(f->store.get(f->store.self, TABLE_RECORDS, bytes_of(key, 4), &found, &err), 1);
        assert_memory_equal(found.data, &counts[i], 4);
    }
}

#define STATE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_get_finds_the_newest_in_every_layer),
        STATE_TEST(test_what_is_not_written_is_gone_after_reopening),
        STATE_TEST(test_freeze_waits_for_the_write_before_it),
        STATE_TEST(test_entries_that_change_nothing_still_move_the_position),
        STATE_TEST(test_value_stays_valid_while_its_layer_is_written),
        STATE_TEST(test_value_may_be_put_back_as_it_was_told),
        STATE_TEST(test_empty_values_are_there),
        STATE_TEST(test_store_refuses_keys_that_no_table_has),
        STATE_TEST(test_overlay_memory_is_counted_and_given_back),
        STATE_TEST(test_view_walks_in_order_from_a_key),
        STATE_TEST(test_view_sees_what_is_on_disk_when_renewed),
        STATE_TEST(test_state_can_be_looked_at_by_another_process),
        STATE_TEST(test_writer_and_keeper_agree),
        cmocka_unit_test(test_growing_value_wastes_less_than_it_holds),
        cmocka_unit_test(test_sorted_overlay_is_in_the_order_of_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
