/* The vault gives each slot its own key, keeps it through damage to one copy, and loses it for ever when
 * told. */
#include "hub/vault/vault.h"

#include "hub/journal/folder_fixture.h"
#include "hub/vault/copy.h"

#include <fcntl.h>
#include <pthread.h>

#define AHEAD 20

struct fixture {
    char dir[PATH_MAX];
    char files[2][PATH_MAX];
    uint8_t kek[KEY_SIZE];
    struct vault *vault;
    unsigned mended;
};

static void fixture_open(struct fixture *f)
{
    struct casebus_error err;
    must(vault_open(&f->vault, f->dir, suite_get(SUITE_INTL), f->kek, AHEAD, &f->mended, &err), &err);
}

static void fixture_reopen(struct fixture *f, uint64_t taken)
{
    f->vault = vault_close(f->vault);
    fixture_open(f);
    vault_set_taken(f->vault, taken);
}

static int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct casebus_error err;
    folder_make(f->dir, "vault");
    folder_path(f->files[0], f->dir, "vault/a");
    folder_path(f->files[1], f->dir, "vault/b");
    memset(f->kek, 7, sizeof f->kek);
    fixture_open(f);
    must(vault_prepare(f->vault, &err), &err);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    vault_close(f->vault);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static uint64_t take(struct fixture *f, uint8_t key[KEY_SIZE])
{
    struct casebus_error err;
    uint64_t slot;
    must(vault_take(f->vault, &slot, key, &err), &err);
    return slot;
}

static void expect_key(struct fixture *f, uint64_t slot, const uint8_t key[KEY_SIZE])
{
    struct casebus_error err;
    uint8_t found[KEY_SIZE];
    must(vault_key(f->vault, slot, found, &err), &err);
    assert_memory_equal(found, key, KEY_SIZE);
}

static void expect_no_key(struct fixture *f, uint64_t slot, enum casebus_code code)
{
    struct casebus_error err;
    uint8_t found[KEY_SIZE];
    assert_int_equal(vault_key(f->vault, slot, found, &err), -1);
    assert_int_equal(err.code, code);
}

static long slot_offset(uint64_t slot)
{
    return (long)(slot * SLOT_SIZE); /* behind a header of the same size, counted from 1 */
}

/* Overwrites a piece of a file; @data NULL: turns one bit of each byte. */
static void file_poke(const char *path, long offset, const uint8_t *data, size_t size)
{
    uint8_t bytes[256];
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && size <= sizeof bytes);
    assert_int_equal(pread(fd, bytes, size, offset), size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = data ? data[i] : bytes[i] ^ 0x10;
    assert_int_equal(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

static void file_peek(const char *path, long offset, uint8_t *out, size_t size)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, out, size, offset), size);
    close(fd);
}

static void test_every_slot_has_its_own_key(void **state)
{
    struct fixture *f = *state;
    uint8_t keys[AHEAD][KEY_SIZE];

    assert_int_equal(vault_ready(f->vault), AHEAD);
    for (unsigned i = 0; i < AHEAD; i++)
        assert_int_equal(take(f, keys[i]), i + 1);
    for (unsigned i = 0; i < AHEAD; i++) {
        expect_key(f, i + 1, keys[i]);
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], KEY_SIZE);
    }
    fixture_reopen(f, AHEAD);
    assert_int_equal(f->mended, 0);
    for (unsigned i = 0; i < AHEAD; i++)
        expect_key(f, i + 1, keys[i]);
}

static void test_take_is_busy_until_slots_are_prepared(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    uint64_t slot;

    for (unsigned i = 0; i < AHEAD; i++)
        take(f, key);
    assert_int_equal(vault_take(f->vault, &slot, key, &err), -1);
    assert_int_equal(err.code, CASEBUS_BUSY);
    for (int round = 0; round < 10; round++) {
        must(vault_prepare(f->vault, &err), &err);
        assert_int_equal(vault_ready(f->vault), AHEAD);
        for (int i = 0; i < 13; i++)
            take(f, key);
    }
    assert_int_equal(vault_taken(f->vault), AHEAD + 130);
    expect_key(f, vault_taken(f->vault), key);
}

static void test_taken_slots_are_not_given_again_after_replay(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];

    for (int i = 0; i < 5; i++)
        take(f, key);
    fixture_reopen(f, 3);
    assert_int_equal(vault_ready(f->vault), AHEAD - 3);
    vault_set_taken(f->vault, 2); /* never goes back */
    vault_set_taken(f->vault, 5);
    must(vault_prepare(f->vault, &err), &err);
    assert_int_equal(vault_ready(f->vault), AHEAD);
    assert_int_equal(take(f, key), 6);
}

static void test_replay_far_beyond_the_ring_goes_on_after_prepare(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    uint64_t slot;

    for (int i = 0; i < 100; i++) {
        if (vault_ready(f->vault) == 0)
            must(vault_prepare(f->vault, &err), &err);
        take(f, key);
    }
    fixture_reopen(f, 100);
    assert_int_equal(vault_ready(f->vault), 0);
    assert_int_equal(vault_take(f->vault, &slot, key, &err), -1);
    must(vault_prepare(f->vault, &err), &err);
    assert_int_equal(take(f, key), 101);
    expect_key(f, 101, key);
}

/* Slots are known to be taken only after replay: opening must not make any, or bodies of old cases would be
 * sealed under new keys, and the old keys could not be put back. */
static void test_lost_vault_is_named_and_makes_up_no_keys(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];

    take(f, key);
    f->vault = vault_close(f->vault);
    for (int i = 0; i < 2; i++)
        assert_int_equal(unlink(f->files[i]), 0);
    for (int round = 0; round < 2; round++) {
        fixture_reopen(f, 1);
        assert_int_equal(vault_prepare(f->vault, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        expect_no_key(f, 1, CASEBUS_DAMAGED);
        assert_int_equal(vault_ready(f->vault), 0);
    }
}

static void test_old_copy_of_the_vault_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    vault_set_taken(f->vault, 2 * AHEAD + 1);
    assert_int_equal(vault_prepare(f->vault, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    expect_no_key(f, 2 * AHEAD + 1, CASEBUS_DAMAGED);
    expect_no_key(f, 0, CASEBUS_DAMAGED);
}

static void test_slot_damaged_in_one_copy_is_mended_from_the_other(void **state)
{
    struct fixture *f = *state;
    uint8_t keys[AHEAD][KEY_SIZE];

    for (int i = 0; i < AHEAD; i++)
        take(f, keys[i]);
    file_poke(f->files[0], slot_offset(3) + 20, NULL, 1);
    file_poke(f->files[1], slot_offset(7) + 62, NULL, 1);
    expect_key(f, 3, keys[2]); /* also before it is mended */
    fixture_reopen(f, AHEAD);
    assert_int_equal(f->mended, 2);
    fixture_reopen(f, AHEAD);
    assert_int_equal(f->mended, 0);
    file_poke(f->files[1], slot_offset(3), NULL, 60);
    expect_key(f, 3, keys[2]); /* the mended one */
    expect_key(f, 7, keys[6]);
}

static void test_slot_damaged_in_both_copies_is_named_when_asked(void **state)
{
    struct fixture *f = *state;
    uint8_t keys[3][KEY_SIZE];

    for (int i = 0; i < 3; i++)
        take(f, keys[i]);
    file_poke(f->files[0], slot_offset(2) + 5, NULL, 1);
    file_poke(f->files[1], slot_offset(2) + 6, NULL, 1);
    fixture_reopen(f, 3);
    expect_key(f, 1, keys[0]);
    expect_no_key(f, 2, CASEBUS_DAMAGED);
    expect_key(f, 3, keys[2]);
}

static void test_slot_in_another_slots_place_is_not_its_key(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t record[SLOT_SIZE], key[KEY_SIZE];

    take(f, key);
    take(f, key);
    must(vault_erase(f->vault, 1, &err), &err);
    file_peek(f->files[0], slot_offset(1), record, sizeof record); /* an erasure in the wrong place is none */
    file_poke(f->files[0], slot_offset(2), record, sizeof record);
    expect_key(f, 2, key);
    file_peek(f->files[0], slot_offset(3), record, sizeof record);
    for (int i = 0; i < 2; i++)
        file_poke(f->files[i], slot_offset(2), record, sizeof record);
    expect_no_key(f, 2, CASEBUS_DAMAGED);
}

static void test_slots_damaged_before_use_are_stepped_over(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    uint64_t slot;

    for (uint64_t i = 1; i <= AHEAD; i++)
        if (i != 2)
            for (int copy = 0; copy < 2; copy++)
                file_poke(f->files[copy], slot_offset(i), NULL, 1);
    fixture_reopen(f, 0);
    assert_int_equal(take(f, key), 2);
    assert_int_equal(vault_take(f->vault, &slot, key, &err), -1);
    must(vault_prepare(f->vault, &err), &err);
    assert_int_equal(take(f, key), AHEAD + 1);
    expect_key(f, AHEAD + 1, key);
}

static void test_lost_copy_is_made_again(void **state)
{
    struct fixture *f = *state;
    uint8_t key[KEY_SIZE];

    take(f, key);
    for (int lost = 0; lost < 2; lost++) {
        assert_int_equal(unlink(f->files[lost]), 0);
        fixture_reopen(f, 1);
        assert_true(f->mended >= AHEAD);
        expect_key(f, 1, key);
    }
}

static void test_damaged_header_is_mended_from_the_other(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];

    take(f, key);
    for (int damaged = 0; damaged < 2; damaged++) {
        file_poke(f->files[damaged], 50, NULL, 1);
        fixture_reopen(f, 1);
        expect_key(f, 1, key);
    }
    file_poke(f->files[0], 3, NULL, 1);
    file_poke(f->files[1], 60, NULL, 1);
    f->vault = vault_close(f->vault);
    assert_int_equal(vault_open(&f->vault, f->dir, suite_get(SUITE_INTL), f->kek, AHEAD, NULL, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
}

static void test_growth_that_one_header_missed_is_kept(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t before[SLOT_SIZE], key[KEY_SIZE];

    file_peek(f->files[1], 0, before, sizeof before);
    vault_set_taken(f->vault, AHEAD);
    must(vault_prepare(f->vault, &err), &err);
    vault_set_taken(f->vault, 2 * AHEAD);
    must(vault_prepare(f->vault, &err), &err);
    assert_int_equal(take(f, key), 2 * AHEAD + 1);
    file_poke(f->files[1], 0, before, sizeof before); /* as if power failed between the two */
    fixture_reopen(f, 2 * AHEAD + 1);
    expect_key(f, 2 * AHEAD + 1, key);
}

static void test_wrong_key_encryption_key_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    f->vault = vault_close(f->vault);
    f->kek[0] ^= 1;
    assert_int_equal(vault_open(&f->vault, f->dir, suite_get(SUITE_INTL), f->kek, AHEAD, NULL, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
}

static void test_copies_of_two_vaults_are_refused(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    char aside[PATH_MAX];

    f->vault = vault_close(f->vault);
    folder_path(aside, f->dir, "aside");
    assert_int_equal(rename(f->files[1], aside), 0);
    assert_int_equal(unlink(f->files[0]), 0);
    fixture_open(f);
    f->vault = vault_close(f->vault);
    assert_int_equal(rename(aside, f->files[1]), 0);
    assert_int_equal(vault_open(&f->vault, f->dir, suite_get(SUITE_INTL), f->kek, AHEAD, NULL, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
}

static void test_erased_key_is_gone_from_both_copies(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t before[SLOT_SIZE], after[SLOT_SIZE], keys[3][KEY_SIZE];

    for (int i = 0; i < 3; i++)
        take(f, keys[i]);
    file_peek(f->files[0], slot_offset(2), before, sizeof before);
    must(vault_erase(f->vault, 2, &err), &err);
    must(vault_erase(f->vault, 2, &err), &err);
    for (int i = 0; i < 2; i++) {
        file_peek(f->files[i], slot_offset(2), after, sizeof after);
        assert_memory_not_equal(before, after, 16);
        assert_memory_not_equal(before + 44, after + 44, 16);
    }
    expect_no_key(f, 2, CASEBUS_NOT_FOUND);
    fixture_reopen(f, 3);
    assert_int_equal(f->mended, 0);
    expect_key(f, 1, keys[0]);
    expect_no_key(f, 2, CASEBUS_NOT_FOUND);
    expect_key(f, 3, keys[2]);
}

static void test_erasure_that_reached_one_copy_is_completed(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t before[SLOT_SIZE], after[SLOT_SIZE], key[KEY_SIZE];

    for (int kept = 0; kept < 2; kept++) { /* whichever copy still has the key */
        uint64_t slot = take(f, key);
        file_peek(f->files[kept], slot_offset(slot), before, sizeof before);
        must(vault_erase(f->vault, slot, &err), &err);
        file_poke(f->files[kept], slot_offset(slot), before, sizeof before);
        fixture_reopen(f, slot);
        assert_int_equal(f->mended, 1);
        expect_no_key(f, slot, CASEBUS_NOT_FOUND);
        file_peek(f->files[kept], slot_offset(slot), after, sizeof after);
        assert_memory_not_equal(before, after, sizeof before);
    }
}

static void test_slot_that_was_never_taken_is_not_erased(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];

    assert_int_equal(vault_erase(f->vault, 1, &err), -1);
    assert_int_equal(err.code, CASEBUS_ARGUMENT);
    assert_int_equal(take(f, key), 1);
    expect_key(f, 1, key);
}

static void *keeper_main(void *self)
{
    struct fixture *f = self;
    struct casebus_error err;
    while (vault_taken(f->vault) < 2000)
        must(vault_prepare(f->vault, &err), &err);
    return NULL;
}

static void test_writer_takes_while_keeper_prepares(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    pthread_t keeper;
    uint64_t slot;

    assert_int_equal(pthread_create(&keeper, NULL, keeper_main, f), 0);
    for (uint64_t next = 1; next <= 2000;) {
        if (vault_take(f->vault, &slot, key, &err) != 0)
            continue;
        assert_int_equal(slot, next);
        if (next++ % 50 == 0)
            expect_key(f, slot, key);
    }
    pthread_join(keeper, NULL);
}

static int on_erased(void *self, uint64_t slot, struct casebus_error *err)
{
    uint64_t *seen = self;
    (void)err;
    *seen = *seen * 1000 + slot;
    return 0;
}

static void test_a_copy_in_one_file_tells_which_slots_are_erased_without_a_key(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct vault_counts counts;
    char path[PATH_MAX];
    uint8_t key[KEY_SIZE];
    uint64_t seen = 0;

    for (int i = 0; i < 3; i++)
        take(f, key);
    must(vault_erase(f->vault, 1, &err), &err);
    must(vault_erase(f->vault, 3, &err), &err);
    folder_path(path, f->dir, "exported");
    must(vault_export(f->vault, path, &counts, &err), &err);
    must(vault_export_survey(path, &counts, on_erased, &seen, &err), &err);
    assert_int_equal(seen, 1003);
    assert_int_equal(counts.erased, 2);
    assert_int_equal(counts.keys + counts.erased, vault_made(f->vault));
    must(vault_export_survey(path, &counts, NULL, NULL, &err), &err);
    assert_int_equal(counts.erased, 2);
}

#define VAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VAULT_TEST(test_every_slot_has_its_own_key),
        VAULT_TEST(test_take_is_busy_until_slots_are_prepared),
        VAULT_TEST(test_taken_slots_are_not_given_again_after_replay),
        VAULT_TEST(test_replay_far_beyond_the_ring_goes_on_after_prepare),
        VAULT_TEST(test_lost_vault_is_named_and_makes_up_no_keys),
        VAULT_TEST(test_old_copy_of_the_vault_is_named),
        VAULT_TEST(test_slot_damaged_in_one_copy_is_mended_from_the_other),
        VAULT_TEST(test_slot_damaged_in_both_copies_is_named_when_asked),
        VAULT_TEST(test_slot_in_another_slots_place_is_not_its_key),
        VAULT_TEST(test_slots_damaged_before_use_are_stepped_over),
        VAULT_TEST(test_lost_copy_is_made_again),
        VAULT_TEST(test_damaged_header_is_mended_from_the_other),
        VAULT_TEST(test_growth_that_one_header_missed_is_kept),
        VAULT_TEST(test_wrong_key_encryption_key_is_named),
        VAULT_TEST(test_copies_of_two_vaults_are_refused),
        VAULT_TEST(test_erased_key_is_gone_from_both_copies),
        VAULT_TEST(test_erasure_that_reached_one_copy_is_completed),
        VAULT_TEST(test_slot_that_was_never_taken_is_not_erased),
        VAULT_TEST(test_a_copy_in_one_file_tells_which_slots_are_erased_without_a_key),
        VAULT_TEST(test_writer_takes_while_keeper_prepares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
