/* A real token: SoftHSM2, in a folder of its own. */
#include "proto/crypto/token.h"

#include "proto/base/files.h"
#include "proto/crypto/certificate.h"

#include <dlfcn.h>
#include <limits.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MODULE    "/usr/lib/softhsm/libsofthsm2.so"
#define PIN       "4711"
#define PATH_ROOM 128
#define N_THREADS 4

struct fixture {
    char dir[64], pin[PATH_ROOM], uri[TOKEN_URI_MAX];
    struct casebus_error err;
};

static void put(const char *path, const char *text)
{
    unlink(path);
    assert_int_equal(file_write(path, bytes_of_text(text), 0600, NULL), 0);
}

/* Of the whole program: the module is begun anew for each test, and then reads it. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[PATH_ROOM], text[512];
    strcpy(f->dir, "/tmp/casebus-token-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/tokens", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
             path);
    snprintf(path, sizeof path, "%s/softhsm2.conf", f->dir);
    put(path, text);
    setenv("SOFTHSM2_CONF", path, 1);
    assert_int_equal(
        system("softhsm2-util --init-token --free --label safe --pin " PIN " --so-pin 12345678 >/dev/null"),
        0);
    snprintf(f->pin, sizeof f->pin, "%s/pin", f->dir);
    put(f->pin, PIN "\n");
    snprintf(f->uri, sizeof f->uri, "pkcs11:token=safe;object=log?module-path=" MODULE "&pin-source=file:%s",
             f->pin);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[PATH_ROOM];
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct signing_key *key_open(struct fixture *f, bool make)
{
    struct signing_key *key = NULL;
    if (signing_key_of_token(&key, suite_get(SUITE_INTL), f->uri, make, &f->err))
        fail_msg("%s", f->err.text);
    return key;
}

static void signs(struct fixture *f, const struct signing_key *key, const char *text)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct verifier *verifier = verifier_new(signing_key_public(key));
    if (signing_key_sign(key, bytes_of_text(text), signature, &f->err))
        fail_msg("%s", f->err.text);
    assert_true(verifier_check(verifier, bytes_of_text(text), signature));
    verifier_free(verifier);
}

static void test_a_key_is_made_once_and_found_again(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = NULL;
    assert_int_equal(signing_key_of_token(&key, NULL, f->uri, false, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_TOKEN);
    struct signing_key *made = key_open(f, true), *found = key_open(f, true);
    assert_true(public_key_equal(signing_key_public(made), signing_key_public(found)));
    signs(f, made, "one");
    signing_key_free(made);
    signs(f, found, "two");
    signing_key_free(found);
}

static void test_its_file_names_it_and_is_loaded_like_any_key(void **state)
{
    struct fixture *f = *state;
    char path[PATH_ROOM];
    struct signing_key *made = key_open(f, true), *loaded = NULL;
    snprintf(path, sizeof path, "%s/log.key", f->dir);
    assert_int_equal(signing_key_save(made, path, &f->err), 0);
    assert_int_equal(signing_key_load(&loaded, suite_get(SUITE_INTL), path, &f->err), 0);
    assert_true(public_key_equal(signing_key_public(made), signing_key_public(loaded)));
    signs(f, loaded, "three");
    signing_key_free(loaded);
    assert_int_equal(signing_key_load(&loaded, suite_get(SUITE_GM), path, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_KEY);
    signing_key_free(made);
}

static void test_an_authority_on_a_token_issues_certificates(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = key_open(f, true), *node = NULL;
    struct certificate_info info = {.node = "desk",
                                    .department = "d",
                                    .area = "320100",
                                    .origin = "a.example/x/1"},
                            read;
    uint8_t authority[CERTIFICATE_MAX], certificate[CERTIFICATE_MAX];
    size_t authority_size = 0, size = 0;
    assert_int_equal(signing_key_generate(&node, suite_get(SUITE_INTL), NULL), 0);
    info.key = *signing_key_public(node);
    info.not_before = 1790000000;
    info.not_after = 1790003600;
    assert_int_equal(authority_make(key, info.origin, 30, 1790000000, authority, &authority_size, &f->err),
                     0);
    assert_int_equal(authority_sound(bytes_of(authority, authority_size), signing_key_public(key), &f->err),
                     0);
    assert_int_equal(
        certificate_issue(key, bytes_of(authority, authority_size), &info, certificate, &size, &f->err), 0);
    assert_int_equal(certificate_check(bytes_of(certificate, size), bytes_of(authority, authority_size),
                                       1790000001, &read, &f->err),
                     0);
    signing_key_free(node);
    signing_key_free(key);
}

/* What a module does when a card was pulled out and put back. */
static void sessions_close(void)
{
    void *library = dlopen(MODULE, RTLD_NOW);
    CK_FUNCTION_LIST *module = NULL;
    CK_SLOT_ID slots[8];
    CK_ULONG n = 8;
    assert_non_null(library);
    CK_C_GetFunctionList list;
    *(void **)&list = dlsym(library, "C_GetFunctionList");
    assert_int_equal(list(&module), CKR_OK);
    assert_int_equal(module->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
    for (CK_ULONG i = 0; i < n; i++)
        assert_int_equal(module->C_CloseAllSessions(slots[i]), CKR_OK);
    dlclose(library);
}

static void test_a_session_that_was_lost_is_opened_again(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = key_open(f, true);
    for (int i = 0; i < 3; i++) {
        signs(f, key, "before");
        sessions_close();
    }
    signs(f, key, "after");
    signing_key_free(key);
}

static void test_a_token_that_is_away_says_so_and_signs_when_it_is_back(void **state)
{
    struct fixture *f = *state;
    char here[PATH_ROOM], pocket[PATH_ROOM];
    uint8_t signature[SIGNATURE_SIZE];
    struct signing_key *key = key_open(f, true);
    snprintf(here, sizeof here, "%s/tokens", f->dir);
    snprintf(pocket, sizeof pocket, "%s/pocket", f->dir);
    assert_int_equal(rename(here, pocket), 0);
    sessions_close();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(signing_key_sign(key, bytes_of_text("x"), signature, &f->err), -1);
        assert_int_equal(f->err.code, CASEBUS_TOKEN);
        assert_non_null(strstr(f->err.text, "token=safe"));
        assert_true(f->err.hint[0]);
    }
    assert_int_equal(rename(pocket, here), 0);
    signs(f, key, "back");
    signing_key_free(key);
}

static void test_a_pin_that_was_refused_is_not_tried_again(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = NULL;
    put(f->pin, "0000\n");
    const char *sentences[] = {"tried once", "not tried again", "not tried again"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(signing_key_of_token(&key, NULL, f->uri, true, &f->err), -1);
        assert_int_equal(f->err.code, CASEBUS_PASSPHRASE);
        assert_non_null(strstr(f->err.text, sentences[i]));
    }
    put(f->pin, PIN "\n");
    key = key_open(f, true);
    signs(f, key, "x");
    signing_key_free(key);
}

static void *sign_much(void *self)
{
    struct signing_key *key = self;
    struct verifier *verifier = verifier_new(signing_key_public(key));
    uint8_t signature[SIGNATURE_SIZE];
    bool good = true;
    for (uint8_t i = 0; i < 50; i++) {
        struct bytes message = bytes_of(&i, 1);
        good = good && signing_key_sign(key, message, signature, NULL) == 0 &&
               verifier_check(verifier, message, signature);
    }
    verifier_free(verifier);
    return good ? self : NULL;
}

static void test_each_of_many_threads_gets_its_own_signature(void **state)
{
    struct fixture *f = *state;
    struct signing_key *key = key_open(f, true);
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_much, key), 0);
    for (size_t i = 0; i < N_THREADS; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_non_null(good);
    }
    signing_key_free(key);
}

static void test_two_keys_of_one_name_are_not_guessed_between(void **state)
{
    struct fixture *f = *state;
    char one[2 * TOKEN_URI_MAX], *query = strchr(f->uri, '?');
    struct signing_key *key = NULL;
    for (int i = 1; i <= 2; i++) {
        snprintf(one, sizeof one, "%.*s;id=%%0%d%s", (int)(query - f->uri), f->uri, i, query);
        assert_int_equal(signing_key_of_token(&key, NULL, one, true, &f->err), 0);
        signing_key_free(key);
    }
    assert_int_equal(signing_key_of_token(&key, NULL, f->uri, true, &f->err), -1);
    assert_int_equal(f->err.code, CASEBUS_KEY);
    assert_non_null(strstr(f->err.text, "more than one key"));
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CLAIM(test_a_key_is_made_once_and_found_again),
        CLAIM(test_its_file_names_it_and_is_loaded_like_any_key),
        CLAIM(test_an_authority_on_a_token_issues_certificates),
        CLAIM(test_a_session_that_was_lost_is_opened_again),
        CLAIM(test_a_token_that_is_away_says_so_and_signs_when_it_is_back),
        CLAIM(test_a_pin_that_was_refused_is_not_tried_again),
        CLAIM(test_each_of_many_threads_gets_its_own_signature),
        CLAIM(test_two_keys_of_one_name_are_not_guessed_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
