#include "hub/keys.h"

#include "hub/journal/folder_fixture.h"

#include <sys/stat.h>

#define ORIGIN "js.example/exchange/1"
#define NOW    INT64_C(1790000000)

struct fixture {
    char dir[PATH_MAX];
    struct hub_keys keys;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    folder_make(f->dir, "keys");
    must(hub_keys_make(f->dir, suite_get(SUITE_INTL), ORIGIN, NOW, NULL, &f->err), &f->err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_keys_deinit(&f->keys);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static int load(struct fixture *f)
{
    return hub_keys_load(&f->keys, f->dir, suite_get(SUITE_INTL), ORIGIN, &f->err);
}

static const char *const secrets[] = {"log.key", "authority.key", "curve.key", "kek.key", "content.key"};

static void key_path(struct fixture *f, const char *name, char path[PATH_MAX])
{
    char below[64];
    snprintf(below, sizeof(below), "keys/%s", name);
    folder_path(path, f->dir, below);
}

static void test_secrets_are_for_their_owner_only(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        char path[PATH_MAX];
        struct stat status;
        key_path(f, secrets[i], path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

static void test_what_was_made_is_loaded_and_no_two_are_alike(void **state)
{
    struct fixture *f = *state;
    must(load(f), &f->err);
    assert_int_equal(strncmp(f->keys.log_vkey, ORIGIN "+", sizeof(ORIGIN)), 0);
    assert_int_equal(strlen(f->keys.curve_secret), 40);
    assert_true(f->keys.authority_size > 0);
    assert_memory_not_equal(f->keys.kek, f->keys.content, KEY_SIZE);
    struct hub_keys again = {0};
    must(hub_keys_load(&again, f->dir, suite_get(SUITE_INTL), ORIGIN, &f->err), &f->err);
    assert_memory_equal(again.kek, f->keys.kek, KEY_SIZE);
    hub_keys_deinit(&again);
}

static void test_keys_are_never_replaced(void **state)
{
    struct fixture *f = *state;
    must(load(f), &f->err);
    assert_int_equal(hub_keys_make(f->dir, suite_get(SUITE_INTL), ORIGIN, NOW, NULL, &f->err), -1);
    struct hub_keys still = {0};
    must(hub_keys_load(&still, f->dir, suite_get(SUITE_INTL), ORIGIN, &f->err), &f->err);
    assert_memory_equal(still.kek, f->keys.kek, KEY_SIZE);
    assert_string_equal(still.log_vkey, f->keys.log_vkey);
    hub_keys_deinit(&still);
}

static void test_keys_of_another_suite_than_the_settings_say_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct suite *suite;
    struct hub_keys keys = {0};
    assert_int_equal(hub_keys_load(&keys, f->dir, suite_get(SUITE_GM), ORIGIN, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_KEY);
    assert_non_null(strstr(f->err.text, "'gm'"));
    assert_non_null(strstr(f->err.text, "'intl'"));
    assert_non_null(strstr(f->err.hint, "suite: intl"));
    must(hub_keys_load(&keys, f->dir, NULL, ORIGIN, &f->err), &f->err);
    assert_ptr_equal(keys.suite, suite_get(SUITE_INTL));
    hub_keys_deinit(&keys);
    must(hub_keys_suite(f->dir, &suite, &f->err), &f->err);
    assert_ptr_equal(suite, suite_get(SUITE_INTL));
}

static void spoil(struct fixture *f, const char *name, const char *text)
{
    char path[PATH_MAX];
    key_path(f, name, path);
    if (!text)
        assert_int_equal(unlink(path), 0);
    else
        must(file_write(path, bytes_of_text(text), 0600, &f->err), &f->err);
}

static void expect_named(struct fixture *f, const char *name)
{
    assert_int_equal(load(f), -1);
    if (!strstr(f->err.text, name))
        fail_msg("'%s' does not name '%s'", f->err.text, name);
    assert_null(f->keys.log);
}

static void test_a_key_that_is_short_or_no_key_is_named(void **state)
{
    struct fixture *f = *state;
    spoil(f, "content.key", "abc\n");
    expect_named(f, "content.key");
    spoil(f, "content.key", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n");
    expect_named(f, "content.key");
    spoil(f, "curve.key", "");
    expect_named(f, "curve.key");
    spoil(f, "authority.pem", "-----BEGIN CERTIFICATE-----\n");
    expect_named(f, "authority.pem");
    spoil(f, "log.key", "rubbish");
    expect_named(f, "log.key");
}

static void test_a_missing_key_is_named(void **state)
{
    struct fixture *f = *state;
    spoil(f, "kek.key", NULL);
    expect_named(f, "kek.key");
    spoil(f, "log.key", NULL);
    expect_named(f, "log.key");
}

static void test_another_authority_takes_the_place_of_the_one_before(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = NULL;
    uint8_t der[CERTIFICATE_MAX];
    size_t size;
    char path[PATH_MAX];
    must(load(f), &f->err);
    must(hub_authority_make(&key, f->dir, 7, f->keys.suite, ORIGIN, NOW, der, &size, &f->err), &f->err);
    signing_key_free(key);
    must(hub_authority_check(&f->keys, f->dir, &f->err), &f->err); /* nothing has changed yet */
    must(hub_authority_commit(&f->keys, f->dir, 7, bytes_of(der, size), &f->err), &f->err);
    must(hub_authority_check(&f->keys, f->dir, &f->err), &f->err);
    must(hub_authority_commit(&f->keys, f->dir, 7, bytes_of(der, size), &f->err), &f->err); /* once more */
    key_path(f, "authority-7.key", path);
    assert_int_equal(access(path, F_OK), -1);
    key_path(f, "authority.old", path);
    assert_int_equal(access(path, F_OK), -1);
    hub_keys_deinit(&f->keys);
    must(load(f), &f->err);
    assert_true(bytes_equal(bytes_of(der, size), bytes_of(f->keys.authority, f->keys.authority_size)));
    spoil(f, "authority.key", "pkcs11:token=hub;object=authority\n");
    assert_int_equal(hub_authority_make(&key, f->dir, 8, f->keys.suite, ORIGIN, NOW, der, &size, &f->err),
                     -1);
    assert_non_null(strstr(f->err.text, "token"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_secrets_are_for_their_owner_only),
        T(test_what_was_made_is_loaded_and_no_two_are_alike),
        T(test_keys_are_never_replaced),
        T(test_a_key_that_is_short_or_no_key_is_named),
        T(test_keys_of_another_suite_than_the_settings_say_are_refused),
        T(test_a_key_that_is_short_or_no_key_is_named),
        T(test_a_missing_key_is_named),
        T(test_another_authority_takes_the_place_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
