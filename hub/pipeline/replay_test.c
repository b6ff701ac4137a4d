/* P10: wherever a hub was interrupted, it comes back to the same state. The groups of one undisturbed run are
 * put into fresh stores, as far as each had come. */
#include "hub/pipeline/pipeline_fixture.h"

struct fixture {
    struct pipeline_fixture run; /* its journal is emptied by what the ledger has, its vault stays */
    char dirs[16][PATH_MAX];     /* stores that have the first n groups */
    size_t n_dirs;
    struct buffer dump; /* of the undisturbed run */
    uint64_t size;
};

static const struct group *group_of(struct fixture *f, size_t i)
{
    size_t k = 0;
    while (k < f->run.n_groups) {
        if (f->run.groups[k]->n_entries && i-- == 0)
            return f->run.groups[k];
        k++;
    }
    return NULL;
}

static void append(struct journal *journal, const struct group *group, uint64_t epoch, uint64_t number,
                   const uint8_t root[DIGEST_SIZE])
{
    struct casebus_error err;
    struct journal_group record = {.epoch = epoch,
                                   .number = number,
                                   .hub_time_us = group->hub_time_us,
                                   .first_position = group->first_position,
                                   .tree_size = group->tree_size,
                                   .entries = group->entries,
                                   .n_entries = group->n_entries};
    memcpy(record.root, root, DIGEST_SIZE);
    must(journal_append(journal, &record, &err), &err);
}

/* A journal in a fresh folder with the groups [@from, @to). */
static void write_journal(struct fixture *f, char dir[PATH_MAX], size_t from, size_t to)
{
    struct casebus_error err;
    struct journal *journal = NULL;
    uint64_t epoch;
    folder_make(dir, "replay");
    must(journal_open(&journal, dir, 0, &err), &err);
    must(journal_claim(journal, &epoch, &err), &err);
    for (size_t i = from; i < to; i++)
        append(journal, group_of(f, i), epoch, i - from + 1, group_of(f, i)->root);
    journal_close(journal);
}

/* Journal, ledger and state may lie in different folders. */
static int replay(struct fixture *f, const char *journal_dir, const char *dir, struct replay_result *result,
                  struct buffer *dump, struct casebus_error *err)
{
    struct replay_options options = {
        .suite = suite_get(SUITE_INTL), .origin = TEST_ORIGIN, .content_key = f->run.content_key};
    must(journal_open(&options.journal, journal_dir, 0, err), err);
    must(vault_open(&options.vault, f->run.dir, suite_get(SUITE_INTL), f->run.kek, 256, NULL, err), err);
    must(ledger_open(&options.ledger, dir, TEST_ORIGIN, err), err);
    must(state_open(&options.state, dir, err), err);
    int r = replay_run(&options, result, err);
    if (!r && dump)
        fixture_state_dump(options.state, dump);
    if (!r)
        assert_int_equal(ledger_size(options.ledger), result->size);
    state_close(options.state);
    ledger_close(options.ledger);
    vault_close(options.vault);
    journal_close(options.journal);
    return r;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    pipeline_fixture_init(&f->run);
    fixture_start(&f->run);
    fixture_enrol_both(&f->run);
    fixture_publish(&f->run, "a", 3);
    struct test_batch *mixed = fixture_batch(&f->run, "a", 4); /* three duplicates and one that is new */
    mixed->events[3].header.case_number = (char *)(uintptr_t) "another";
    assert_int_equal(fixture_ask(&f->run, fixture_sign(&f->run, mixed), NULL)->answer, ANSWER_ACCEPTED);
    fixture_ask(&f->run, bytes_of("rubbish", 7), NULL);
    fixture_confirm(&f->run, 4, NULL);
    fixture_stop(&f->run);
    fixture_stores_open(&f->run);
    fixture_state_dump(f->run.state, &f->dump);
    f->size = ledger_size(f->run.ledger);
    fixture_stores_close(&f->run);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_dirs; i++)
        folder_remove(f->dirs[i]);
    buffer_deinit(&f->dump);
    pipeline_fixture_deinit(&f->run);
    free(f);
    return 0;
}

static size_t count_groups(struct fixture *f)
{
    size_t n = 0;
    while (group_of(f, n))
        n++;
    return n;
}

static char *new_dir(struct fixture *f)
{
    assert_true(f->n_dirs < 16);
    return f->dirs[f->n_dirs++];
}

/* The stores of a hub that stopped in order after its first @n groups. */
static void stop_after(struct fixture *f, size_t n, char *dir)
{
    struct casebus_error err;
    struct replay_result result;
    write_journal(f, dir, 0, n);
    must(replay(f, dir, dir, &result, NULL, &err), &err);
}

static void copy(const char *from, const char *to, const char *name)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof(command), "cp -r '%s/%s' '%s/%s'", from, name, to, name);
    assert_int_equal(system(command), 0);
}

static void test_the_same_state_comes_back_from_every_point(void **state)
{
    struct fixture *f = *state;
    size_t n = count_groups(f);
    assert_true(n >= 6 && n < 15);
    for (size_t i = 0; i <= n; i++)
        stop_after(f, i, new_dir(f));
    for (size_t ledger = 0; ledger <= n; ledger++)
        for (size_t applied = 0; applied <= ledger; applied++) {
            char dir[PATH_MAX];
            struct casebus_error err;
            struct replay_result result;
            struct buffer dump;
            folder_make(dir, "replay");
            copy(f->dirs[ledger], dir, "ledger");
            copy(f->dirs[applied], dir, "state");
            must(replay(f, f->dirs[n], dir, &result, &dump, &err), &err);
            assert_int_equal(result.size, f->size);
            uint64_t before = ledger ? group_of(f, ledger - 1)->tree_size : 0;
            assert_int_equal(result.from_journal, f->size - before);
            before = applied ? group_of(f, applied - 1)->tree_size : 0;
            assert_int_equal(result.applied, f->size - before);
            assert_int_equal(result.last_hub_time_us, group_of(f, n - 1)->hub_time_us);
            assert_int_equal(dump.size, f->dump.size);
            assert_memory_equal(dump.data, f->dump.data, dump.size);
            buffer_deinit(&dump);
            folder_remove(dir);
        }
}

static void expect_damaged(struct fixture *f, const char *journal_dir, const char *dir, const char *words)
{
    struct casebus_error err;
    struct replay_result result;
    assert_int_equal(replay(f, journal_dir, dir, &result, NULL, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
}

static void test_a_group_with_another_root_is_named_and_nothing_of_it_is_written(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct journal *journal = NULL;
    uint64_t epoch;
    char *dir = new_dir(f);
    folder_make(dir, "replay");
    must(journal_open(&journal, dir, 0, &err), &err);
    must(journal_claim(journal, &epoch, &err), &err);
    append(journal, group_of(f, 0), epoch, 1, group_of(f, 0)->root);
    append(journal, group_of(f, 1), epoch, 2, group_of(f, 0)->root);
    journal_close(journal);
    expect_damaged(f, dir, dir, "group 2 does not lead to the root");
    struct ledger *ledger = NULL;
    must(ledger_open(&ledger, dir, TEST_ORIGIN, &err), &err);
    assert_true(ledger_size(ledger) <= group_of(f, 0)->tree_size);
    ledger_close(ledger);
}

static void test_a_hole_between_ledger_and_journal_is_named(void **state)
{
    struct fixture *f = *state;
    char *dir = new_dir(f);
    write_journal(f, dir, 2, count_groups(f));
    expect_damaged(f, dir, dir, "group 1 begins at entry");
}

static void test_a_journal_from_an_older_copy_is_named(void **state)
{
    struct fixture *f = *state;
    char *old = new_dir(f), *all = new_dir(f);
    write_journal(f, old, 0, 2);
    stop_after(f, count_groups(f), all);
    expect_damaged(f, old, all, "older copy");
}

static void test_the_journal_of_another_hub_is_not_taken_into_an_empty_ledger(void **state)
{
    static const char other[] = "other.example/exchange/1";
    struct fixture *f = *state;
    struct casebus_error err;
    struct replay_result result;
    char *dir = new_dir(f);
    write_journal(f, dir, 0, 2);
    struct replay_options options = {
        .suite = suite_get(SUITE_INTL), .origin = other, .content_key = f->run.content_key};
    must(journal_open(&options.journal, dir, 0, &err), &err);
    must(vault_open(&options.vault, f->run.dir, suite_get(SUITE_INTL), f->run.kek, 256, NULL, &err), &err);
    must(ledger_open(&options.ledger, dir, other, &err), &err);
    must(state_open(&options.state, dir, &err), &err);
    assert_int_equal(replay_run(&options, &result, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    assert_int_equal(ledger_size(options.ledger), 0);
    state_close(options.state);
    ledger_close(options.ledger);
    vault_close(options.vault);
    journal_close(options.journal);
}

static void test_a_state_ahead_of_its_ledger_is_named(void **state)
{
    struct fixture *f = *state;
    char *one = new_dir(f), *all = new_dir(f), *mixed = new_dir(f);
    stop_after(f, 1, one);
    stop_after(f, count_groups(f), all);
    folder_make(mixed, "replay");
    copy(one, mixed, "ledger");
    copy(all, mixed, "state");
    expect_damaged(f, one, mixed, "the state reflects");
}

static void test_a_body_that_does_not_open_is_named_by_its_entry(void **state)
{
    struct fixture *f = *state;
    size_t i = 0, k = 0;
    while (!group_of(f, i)->n_events)
        i++;
    const struct group *group = group_of(f, i);
    while (!group->entries[k].body.size)
        k++;
    struct bytes body = group->entries[k].body;
    ((uint8_t *)(uintptr_t)body.data)[150] ^= 1; /* in the header */
    char *dir = new_dir(f), words[64];
    write_journal(f, dir, 0, count_groups(f));
    snprintf(words, sizeof(words), "entry %llu", (unsigned long long)(group->first_position + k));
    expect_damaged(f, dir, dir, words);
}

static void test_an_empty_hub_replays_to_nothing(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct replay_result result;
    char *dir = new_dir(f);
    folder_make(dir, "replay");
    must(replay(f, dir, dir, &result, NULL, &err), &err);
    assert_int_equal(result.size + result.from_journal + result.applied, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_the_same_state_comes_back_from_every_point),
        T(test_a_group_with_another_root_is_named_and_nothing_of_it_is_written),
        T(test_a_hole_between_ledger_and_journal_is_named),
        T(test_a_journal_from_an_older_copy_is_named),
        T(test_the_journal_of_another_hub_is_not_taken_into_an_empty_ledger),
        T(test_a_state_ahead_of_its_ledger_is_named),
        T(test_a_body_that_does_not_open_is_named_by_its_entry),
        T(test_an_empty_hub_replays_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
