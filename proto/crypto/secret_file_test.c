/* Secret files: with and without a passphrase, and from one to another. */
#include "proto/crypto/secret_file.h"

#include "proto/base/files.h"
#include "proto/crypto/keys.h"
#include "proto/crypto/rewrap.h"
#include "proto/crypto/shield.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CURVE "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\n"

/* openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 1000, passphrase "correct horse battery staple". */
static const char by_openssl[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                 "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjjFSV3NRYuPAICA+gw\n"
                                 "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMWeRFe4dWhUptzt0it2CckEQB+5\n"
                                 "nxRgd9YUjAxPHEr5ceLYhL5aL//y3OBQsmZp7UuzW5YoenUcbII8CNk8yWeo1kPP\n"
                                 "H/5JZ+NqixUSAbn5VBM=\n"
                                 "-----END ENCRYPTED PRIVATE KEY-----\n";

struct fixture {
    char dir[64];
    char key[96], curve[96], first[96], second[96]; /* two keys, files of two passphrases */
    char credential[96];
    struct casebus_error err;
};

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, bytes_of_text(text), 0600, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->dir, "/tmp/secret_file_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->key, sizeof f->key, "%s/node.key", f->dir);
    snprintf(f->curve, sizeof f->curve, "%s/node.curve", f->dir);
    snprintf(f->first, sizeof f->first, "%s/first", f->dir);
    snprintf(f->second, sizeof f->second, "%s/second", f->dir);
    snprintf(f->credential, sizeof f->credential, "%s/casebus.passphrase", f->dir);
    write_text(f->first, "correct horse battery staple\n");
    write_text(f->second, "\xe9\xa9\xac\xe6\xad\xa3\xe7\xa1\xae");
    passphrase_begin(NULL, false);
    unsetenv("CREDENTIALS_DIRECTORY");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    const char *const paths[] = {f->key, f->curve, f->first, f->second, f->credential};
    passphrase_begin(NULL, false);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        unlink(paths[i]);
    assert_int_equal(rmdir(f->dir), 0); /* nothing temporary was left behind */
    free(f);
    return 0;
}

static bool file_has(const char *path, const char *text)
{
    struct buffer content;
    assert_int_equal(file_read(path, 8192, &content, NULL), 0);
    bool has = strstr((const char *)content.data, text) != NULL;
    buffer_deinit(&content);
    return has;
}

static void expect_content(const char *path, const char *content)
{
    uint8_t secret[SECRET_FILE_MAX];
    size_t size = 0;
    struct casebus_error err = {.text = ""};
    int r = secret_file_load(path, secret, &size, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(secret, content, size);
}

/* A file under the first passphrase, which costs no time to open. */
static void write_wrapped(const char *path)
{
    write_text(path, by_openssl);
}

static void expect_key(const char *path)
{
    uint8_t secret[SECRET_FILE_MAX];
    size_t size = 0;
    struct casebus_error err = {.text = ""};
    (void)secret_file_load(path, secret, &size, &err);
    assert_string_equal(err.text, "");
    assert_memory_equal(secret, "-----BEGIN PRIVATE KEY-----", 27);
}

static void expect_locked(const char *path, const char *words)
{
    uint8_t secret[SECRET_FILE_MAX];
    size_t size;
    struct casebus_error err;
    assert_int_equal(secret_file_load(path, secret, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_PASSPHRASE);
    assert_non_null(strstr(err.text, words));
    assert_non_null(strstr(err.text, path));
}

static void test_what_is_written_while_a_passphrase_is_known_is_under_it(void **state)
{
    struct fixture *f = *state;
    passphrase_begin(f->first, false);
    assert_int_equal(secret_file_save(f->curve, bytes_of_text(CURVE), &f->err), 0);
    assert_int_equal(secret_file_wrapped(f->curve, &f->err), 1);
    assert_false(file_has(f->curve, "JTKVSB"));
    expect_content(f->curve, CURVE);
}

static void test_without_a_passphrase_a_file_is_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(secret_file_save(f->curve, bytes_of_text(CURVE), &f->err), 0);
    assert_int_equal(secret_file_wrapped(f->curve, &f->err), 0);
    assert_true(file_has(f->curve, "JTKVSB"));
    passphrase_begin(f->first, false); /* and opens, whatever is known */
    expect_content(f->curve, CURVE);
}

static void test_missing_and_wrong_passphrase_are_told_apart(void **state)
{
    struct fixture *f = *state;
    write_wrapped(f->curve);
    expect_locked(f->curve, "none was given");
    passphrase_begin(f->second, false);
    expect_locked(f->curve, "does not open");
}

static void test_passphrase_comes_from_a_credential_of_systemd(void **state)
{
    struct fixture *f = *state;
    write_text(f->credential, "correct horse battery staple");
    assert_int_equal(chmod(f->credential, 0440), 0); /* as systemd's ACL shows */
    setenv("CREDENTIALS_DIRECTORY", f->dir, 1);
    write_wrapped(f->curve);
    expect_key(f->curve);
    passphrase_begin(f->first, false); /* the same one, from a file */
    expect_key(f->curve);
    passphrase_here(f->second); /* what a thread says goes before */
    expect_locked(f->curve, "does not open");
    passphrase_here(NULL);
    expect_key(f->curve);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_a_passphrase_that_others_can_read_is_refused(void **state)
{
    struct fixture *f = *state;
    struct passphrase passphrase;
    assert_int_equal(chmod(f->first, 0640), 0);
    assert_int_equal(passphrase_read(&passphrase, f->first, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_PASSPHRASE);
    assert_non_null(strstr(f->err.text, "0640"));
    write_text(f->second, "\n");
    assert_int_equal(passphrase_read(&passphrase, f->second, &f->err), -1);
    assert_non_null(strstr(f->err.text, "holds no passphrase"));
    assert_int_equal(passphrase_read(&passphrase, f->dir, &f->err), -1);
}

static void test_signing_keys_of_both_suites_live_under_a_passphrase(void **state)
{
    struct fixture *f = *state;
    const enum suite_id suites[] = {SUITE_INTL, SUITE_GM};
    for (int i = 0; i < 2; i++) {
        struct signing_key *made = NULL, *loaded = NULL;
        passphrase_begin(f->first, false);
        assert_int_equal(signing_key_generate(&made, suite_get(suites[i]), &f->err), 0);
        assert_int_equal(signing_key_save(made, f->key, &f->err), 0);
        assert_true(file_has(f->key, "-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert_int_equal(signing_key_load(&loaded, suite_get(suites[i]), f->key, &f->err), 0);
        assert_true(public_key_equal(signing_key_public(made), signing_key_public(loaded)));
        loaded = signing_key_free(loaded);
        passphrase_begin(NULL, false);
        assert_int_equal(signing_key_load(&loaded, suite_get(suites[i]), f->key, &f->err), -1);
        assert_int_equal(f->err.code, CASEBUS_PASSPHRASE);
        signing_key_free(made);
        assert_int_equal(unlink(f->key), 0);
    }
}

static void test_what_openssl_has_put_under_a_passphrase_opens(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = NULL;
    write_text(f->key, by_openssl);
    passphrase_begin(f->first, false);
    assert_int_equal(signing_key_load(&key, suite_get(SUITE_INTL), f->key, &f->err), 0);
    signing_key_free(key);
}

static void test_cut_and_changed_files_open_nowhere_and_stop_nobody(void **state)
{
    struct fixture *f = *state;
    uint8_t secret[SECRET_FILE_MAX];
    struct buffer content;
    size_t size;
    passphrase_begin(f->first, false);
    write_text(f->key, by_openssl);
    assert_int_equal(file_read(f->key, 8192, &content, NULL), 0);
    for (size_t i = 40; i < content.size; i += 13) {
        content.data[i] ^= 1;
        file_write(f->key, bytes_of(content.data, content.size), 0600, NULL);
        (void)secret_file_load(f->key, secret, &size, &f->err);
        content.data[i] ^= 1;
        file_write(f->key, bytes_of(content.data, i), 0600, NULL);
        assert_int_equal(secret_file_load(f->key, secret, &size, &f->err), -1);
    }
    buffer_deinit(&content);
}

static int rewrap(struct fixture *f, const char *new_file, bool remove)
{
    size_t n = 0;
    int r = secret_files_rewrap(f->dir, new_file, remove, &n, &f->err);
    if (r == 0)
        assert_int_equal(n, 2);
    return r;
}

static void two_keys(struct fixture *f)
{
    assert_int_equal(secret_file_save(f->key, bytes_of_text("0123456789abcdef\n"), &f->err), 0);
    assert_int_equal(secret_file_save(f->curve, bytes_of_text(CURVE), &f->err), 0);
}

static void test_keys_come_under_a_passphrase_and_another_and_none(void **state)
{
    struct fixture *f = *state;
    struct stat status;
    two_keys(f);
    assert_int_equal(rewrap(f, f->first, false), 0);
    assert_int_equal(stat(f->key, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    passphrase_begin(f->first, false);
    expect_content(f->key, "0123456789abcdef\n");
    expect_content(f->curve, CURVE);
    assert_int_equal(rewrap(f, f->second, false), 0);
    expect_locked(f->key, "does not open");
    passphrase_begin(f->second, false);
    expect_content(f->curve, CURVE);
    assert_int_equal(rewrap(f, NULL, true), 0);
    passphrase_begin(NULL, false);
    expect_content(f->key, "0123456789abcdef\n");
    assert_int_equal(rewrap(f, NULL, true), 0); /* nothing to do */
}

static void test_a_wrong_passphrase_changes_no_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(secret_file_save(f->key, bytes_of_text("0123456789abcdef\n"), &f->err), 0);
    write_wrapped(f->curve);
    passphrase_begin(f->second, false);
    assert_int_equal(rewrap(f, NULL, true), -1);
    assert_int_equal(f->err.code, CASEBUS_PASSPHRASE);
    write_text(f->credential, "a third one");
    assert_int_equal(rewrap(f, f->credential, false), -1);
    passphrase_begin(NULL, false);
    expect_content(f->key, "0123456789abcdef\n");
    assert_int_equal(rewrap(f, f->credential, false), -1); /* none was given */
    passphrase_begin(f->first, false);
    expect_key(f->curve);
}

static void test_a_change_that_was_cut_short_goes_on(void **state)
{
    struct fixture *f = *state;
    write_wrapped(f->key);
    passphrase_begin(f->second, false);
    assert_int_equal(secret_file_save(f->curve, bytes_of_text(CURVE), &f->err), 0);
    passphrase_begin(f->first, false);
    assert_int_equal(rewrap(f, f->second, false), 0);
    passphrase_begin(f->second, false);
    expect_key(f->key);
    expect_content(f->curve, CURVE);
}

static void test_what_kill_9_left_unfinished_is_destroyed(void **state)
{
    struct fixture *f = *state;
    char torn[PATH_MAX], linked[PATH_MAX];
    two_keys(f);
    snprintf(torn, sizeof torn, "%s.unfinished-ab12CD", f->key);
    snprintf(linked, sizeof linked, "%s.unfinished-ab12CE", f->key);
    write_text(torn, "-----BEGIN ENCRYPTED PRI");
    assert_int_equal(link(f->key, linked), 0);
    assert_int_equal(rewrap(f, f->first, false), 0);
    assert_int_equal(access(torn, F_OK), -1);
    assert_int_equal(access(linked, F_OK), -1);
    passphrase_begin(f->first, false);
    expect_content(f->key, "0123456789abcdef\n");
}

static void test_a_copy_is_under_the_same_passphrase(void **state)
{
    struct fixture *f = *state;
    write_wrapped(f->curve);
    assert_int_equal(secret_file_copy(f->curve, f->key, &f->err), 0);
    passphrase_begin(f->first, false);
    expect_key(f->key);
}

static void test_memory_for_secrets_is_wiped_and_given_back(void **state)
{
    (void)state;
    char *memory = secret_new(5000);
    assert_non_null(memory);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(memory[i], 0);
    strcpy(memory, "secret");
    assert_null(secret_free(memory, 5000));
    assert_null(secret_free(NULL, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_while_a_passphrase_is_known_is_under_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_a_passphrase_a_file_is_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_and_wrong_passphrase_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_passphrase_comes_from_a_credential_of_systemd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_passphrase_that_others_can_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signing_keys_of_both_suites_live_under_a_passphrase, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_openssl_has_put_under_a_passphrase_opens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_and_changed_files_open_nowhere_and_stop_nobody, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_keys_come_under_a_passphrase_and_another_and_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_wrong_passphrase_changes_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_change_that_was_cut_short_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_kill_9_left_unfinished_is_destroyed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_is_under_the_same_passphrase, setup, teardown),
        cmocka_unit_test(test_memory_for_secrets_is_wiped_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
