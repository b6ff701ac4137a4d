/* A new key-encryption key. Every call that changes the disk fails once, and once is the last one before a
 * kill: the vault opens with the key that is there, no key of a slot is lost, and what was erased stays so.
 */
#include "hub/keys.h"
#include "hub/vault/vault.h"

#include "hub/journal/folder_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define ORIGIN "js.example/exchange/1"
#define SLOTS  40

/* --- the n-th call fails, or ends the process ------------------------------------------------------------
 */

static struct {
    unsigned calls, fails_at; /* 0: none */
    bool kills;
} fault;

static bool fault_comes(void)
{
    if (!fault.fails_at || ++fault.calls != fault.fails_at)
        return false;
    if (fault.kills)
        _exit(77);
    errno = EIO;
    return true;
}

#define WRAP(type, name, parameters, arguments)                                                              \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return fault_comes() ? -1 : __real_##name arguments;                                                 \
    }
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))

/* --- a hub's keys and vault ------------------------------------------------------------------------------
 */

struct fixture {
    char dir[PATH_MAX];
    uint8_t first[KEY_SIZE]; /* key-encryption key before any rotation */
    uint8_t keys[SLOTS][KEY_SIZE];
    struct casebus_error err;
};

static int open_vault(struct vault **vaultp, const char *dir, struct casebus_error *err)
{
    uint8_t kek[KEY_SIZE];
    return hub_keys_load_kek(dir, kek, err) ||
                   vault_open(vaultp, dir, suite_get(SUITE_INTL), kek, SLOTS, NULL, err)
               ? -1
               : 0;
}

/* As the command does it (rotate.c). */
static int rotate(const char *dir, struct vault_counts *counts, struct casebus_error *err)
{
    uint8_t fresh[KEY_SIZE];
    struct vault *vault = NULL;
    int r = open_vault(&vault, dir, err) || hub_kek_settle(dir, err) || hub_kek_begin(dir, fresh, err) ||
            vault_rewrap(vault, fresh, counts, err) || hub_kek_commit(dir, err);
    vault_close(vault);
    vault = NULL;
    if (!r)
        r = open_vault(&vault, dir, err) || hub_kek_settle(dir, err);
    vault_close(vault);
    return r ? -1 : 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct vault *vault = NULL;
    folder_make(f->dir, "rotate");
    must(hub_keys_make(f->dir, suite_get(SUITE_INTL), ORIGIN, 1790000000, NULL, &f->err), &f->err);
    must(hub_keys_load_kek(f->dir, f->first, &f->err), &f->err);
    must(open_vault(&vault, f->dir, &f->err), &f->err);
    must(vault_prepare(vault, &f->err), &f->err);
    for (uint64_t i = 0, slot; i < SLOTS; i++)
        must(vault_take(vault, &slot, f->keys[i], &f->err), &f->err);
    for (uint64_t slot = 5; slot <= SLOTS; slot += 5)
        must(vault_erase(vault, slot, &f->err), &f->err);
    vault_close(vault);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    folder_remove(f->dir);
    free(f);
    return 0;
}

static void expect_keys(struct fixture *f)
{
    struct vault *vault = NULL;
    uint8_t key[KEY_SIZE];
    must(open_vault(&vault, f->dir, &f->err), &f->err);
    must(hub_kek_settle(f->dir, &f->err), &f->err);
    for (uint64_t slot = 1; slot <= SLOTS; slot++) {
        int r = vault_key(vault, slot, key, &f->err);
        assert_int_equal(r, slot % 5 ? 0 : -1);
        if (r)
            assert_int_equal(f->err.code, CASEBUS_NOT_FOUND);
        else
            assert_memory_equal(key, f->keys[slot - 1], KEY_SIZE);
    }
    vault_close(vault);
}

static bool is_there(struct fixture *f, const char *name)
{
    char path[PATH_MAX];
    folder_path(path, f->dir, name);
    return access(path, F_OK) == 0;
}

static void expect_nothing_left(struct fixture *f)
{
    static const char *const names[] = {"vault/a.new", "vault/b.new", "keys/kek.new", "keys/kek.old"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_false(is_there(f, names[i]));
}

static void file_copy(const char *from, const char *to)
{
    struct casebus_error err;
    struct buffer content;
    must(file_read(from, 1 << 20, &content, &err), &err);
    must(file_write(to, bytes_of(content.data, content.size), 0600, &err), &err);
    buffer_deinit(&content);
}

static void test_keys_of_slots_are_the_same_under_the_new_key(void **state)
{
    struct fixture *f = *state;
    struct vault_counts counts = {0};
    uint8_t kek[KEY_SIZE];
    for (int i = 0; i < 3; i++) {
        must(rotate(f->dir, &counts, &f->err), &f->err);
        assert_int_equal(counts.erased, SLOTS / 5);
        assert_int_equal(counts.damaged, 0);
        expect_keys(f);
        expect_nothing_left(f);
    }
    must(hub_keys_load_kek(f->dir, kek, &f->err), &f->err);
    assert_memory_not_equal(kek, f->first, KEY_SIZE);
}

/* Somebody who has an old backup and every key that the hub still has. */
static void test_copy_made_before_does_not_open_with_the_key_that_is_left(void **state)
{
    struct fixture *f = *state;
    struct vault_counts counts;
    struct vault *vault = NULL;
    char live[2][PATH_MAX], old[2][PATH_MAX];
    uint8_t key[KEY_SIZE];
    for (int i = 0; i < 2; i++) {
        folder_path(live[i], f->dir, i ? "vault/b" : "vault/a");
        folder_path(old[i], f->dir, i ? "old-b" : "old-a");
        file_copy(live[i], old[i]);
    }
    must(rotate(f->dir, &counts, &f->err), &f->err);
    for (int i = 0; i < 2; i++)
        file_copy(old[i], live[i]);
    assert_int_equal(open_vault(&vault, f->dir, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_KEY);
    must(vault_open(&vault, f->dir, suite_get(SUITE_INTL), f->first, SLOTS, NULL, &f->err),
         &f->err); /* the destroyed one would */
    must(vault_key(vault, 1, key, &f->err), &f->err);
    vault_close(vault);
}

static void test_old_key_is_overwritten_on_the_disk(void **state)
{
    struct fixture *f = *state;
    struct vault_counts counts;
    char path[PATH_MAX], text[2 * KEY_SIZE + 1] = "", was[2 * KEY_SIZE + 1];
    folder_path(path, f->dir, "keys/kek.key");
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    must(rotate(f->dir, &counts, &f->err), &f->err);
    assert_int_equal(pread(fd, text, 2 * KEY_SIZE, 0), 2 * KEY_SIZE); /* the file that has no name any more */
    hex_encode(was, f->first, KEY_SIZE);
    assert_string_not_equal(text, was);
    assert_memory_not_equal(text, was, 8);
    close(fd);
}

static void test_wrong_key_touches_nothing_of_a_rotation_that_was_cut(void **state)
{
    struct fixture *f = *state;
    struct vault *vault = NULL;
    uint8_t wrong[KEY_SIZE] = {1}, fresh[KEY_SIZE];
    struct vault_counts counts;
    must(open_vault(&vault, f->dir, &f->err), &f->err);
    must(hub_kek_begin(f->dir, fresh, &f->err), &f->err);
    must(vault_rewrap(vault, fresh, &counts, &f->err), &f->err);
    vault_close(vault);
    assert_int_equal(vault_open(&vault, f->dir, suite_get(SUITE_INTL), wrong, SLOTS, NULL, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_KEY);
    assert_true(is_there(f, "vault/a.new") && is_there(f, "vault/b.new"));
    must(hub_kek_commit(f->dir, &f->err), &f->err);
    must(vault_open_readonly(&vault, f->dir, suite_get(SUITE_INTL), fresh, &f->err),
         &f->err); /* beside it, before it is settled */
    vault_close(vault);
    expect_keys(f);
    expect_nothing_left(f);
}

static void test_every_call_may_fail(void **state)
{
    struct fixture *f = *state;
    struct vault_counts counts;
    int r = -1;
    for (unsigned n = 1; r; n++) {
        fault.calls = 0;
        fault.fails_at = n;
        r = rotate(f->dir, &counts, &f->err);
        fault.fails_at = 0;
        expect_keys(f);
        expect_nothing_left(f);
        assert_true(n < 200);
    }
    assert_true(fault.calls > 20);
}

static void test_every_call_may_be_the_last_before_a_kill(void **state)
{
    struct fixture *f = *state;
    int status = -1;
    for (unsigned n = 1; status != 0; n++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            struct vault_counts counts;
            fault.fails_at = n;
            fault.kills = true;
            _exit(rotate(f->dir, &counts, &f->err) ? 1 : 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || status == 0));
        expect_keys(f);
        expect_nothing_left(f);
        assert_true(n < 200);
    }
}

#define ROTATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROTATE_TEST(test_keys_of_slots_are_the_same_under_the_new_key),
        ROTATE_TEST(test_copy_made_before_does_not_open_with_the_key_that_is_left),
        ROTATE_TEST(test_old_key_is_overwritten_on_the_disk),
        ROTATE_TEST(test_wrong_key_touches_nothing_of_a_rotation_that_was_cut),
        ROTATE_TEST(test_every_call_may_fail),
        ROTATE_TEST(test_every_call_may_be_the_last_before_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
