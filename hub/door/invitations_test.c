/* The book of invitations: each change is on disk, and only those that may be are made. */
#include "hub/door/invitations.h"

#include "proto/base/files.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW  INT64_C(1700000000000000)
#define HOUR INT64_C(3600000000)

struct fixture {
    char dir[PATH_MAX], path[PATH_MAX];
    struct invitations *book;
    struct invitation desk;
    uint8_t signature[SIGNATURE_SIZE];
};

static void reopen(struct fixture *f)
{
    f->book = invitations_close(f->book);
    assert_int_equal(invitations_open(&f->book, f->dir, NULL), 0);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    snprintf(f.dir, sizeof f.dir, "%s/invitations-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f.dir));
    path_join(f.path, sizeof f.path, f.dir, "invitations");
    f.desk = (struct invitation){.node = "desk",
                                 .department = "市\"监\"",
                                 .area = "320100",
                                 .publish = true,
                                 .expires_at_us = NOW + HOUR,
                                 .state = INVITATION_OPEN,
                                 .part_kinds = 6};
    random_bytes(f.desk.id, sizeof f.desk.id);
    random_bytes(f.desk.key, sizeof f.desk.key);
    reopen(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    invitations_close(f->book);
    unlink(f->path);
    rmdir(f->dir);
    return 0;
}

static struct invitation found(struct fixture *f)
{
    struct invitation invitation;
    assert_true(invitations_find(f->book, f->desk.id, &invitation));
    return invitation;
}

static void test_what_was_written_is_there_again_and_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    struct stat file;
    uint8_t certificate[100] = {1, 2, 3};
    assert_int_equal(invitations_add(f->book, &f->desk, NOW, NULL), 0);
    assert_int_equal(
        invitations_request(f->book, f->desk.id, bytes_of("statement", 9), f->signature, NOW, NULL), 0);
    assert_int_equal(invitations_enrolled(f->book, f->desk.id, bytes_of(certificate, 100), NULL), 0);
    struct invitation before = found(f);
    reopen(f);
    struct invitation after = found(f);
    assert_memory_equal(&before, &after, sizeof before);
    assert_string_equal(after.department, "市\"监\"");
    assert_int_equal(stat(f->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void test_only_the_first_request_counts(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    invitations_add(f->book, &f->desk, NOW, NULL);
    assert_int_equal(invitations_request(f->book, f->desk.id, bytes_of("first", 5), f->signature, NOW, NULL),
                     0);
    assert_int_equal(invitations_request(f->book, f->desk.id, bytes_of("second", 6), f->signature, NOW, &err),
                     -1);
    assert_int_equal(err.code, CASEBUS_EXISTS);
    struct invitation invitation = found(f);
    assert_memory_equal(invitation.statement, "first", 5);
}

static void test_a_request_is_decided_once(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    invitations_add(f->book, &f->desk, NOW, NULL);
    assert_int_equal(invitations_enrolled(f->book, f->desk.id, bytes_of("c", 1), &err), -1); /* nobody asks */
    invitations_request(f->book, f->desk.id, bytes_of("first", 5), f->signature, NOW, NULL);
    assert_int_equal(invitations_refuse(f->book, f->desk.id, "no", NULL), 0);
    assert_int_equal(invitations_enrolled(f->book, f->desk.id, bytes_of("c", 1), &err), -1);
    assert_int_equal(err.code, CASEBUS_EXISTS);
    assert_true(invitations_wait(f->book, NOW)); /* who asked has to hear it */
    invitations_done(f->book, f->desk.id, NULL);
    assert_false(invitations_wait(f->book, NOW));
    assert_string_equal(invitation_state_name(&(struct invitation){.state = INVITATION_REFUSED}, NOW),
                        "refused");
}

static void test_ten_wrong_tries_void_it_also_across_a_restart(void **state)
{
    struct fixture *f = *state;
    bool voided = false;
    invitations_add(f->book, &f->desk, NOW, NULL);
    for (int i = 1; i <= INVITATION_WRONG_MAX; i++) {
        assert_true(invitations_wait(f->book, NOW));
        assert_int_equal(invitations_wrong(f->book, f->desk.id, &voided, NULL), 0);
        assert_int_equal(voided, i == INVITATION_WRONG_MAX);
        reopen(f);
    }
    assert_int_equal(found(f).state, INVITATION_VOID);
    assert_false(invitations_wait(f->book, NOW));
}

static void test_one_that_expired_waits_no_more_and_its_name_is_free(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    invitations_add(f->book, &f->desk, NOW, NULL);
    struct invitation again = f->desk;
    again.id[0] ^= 1;
    again.expires_at_us += 5 * HOUR;
    assert_int_equal(invitations_add(f->book, &again, NOW, &err), -1);
    assert_int_equal(err.code, CASEBUS_EXISTS);
    assert_false(invitations_wait(f->book, NOW + HOUR));
    assert_int_equal(invitations_add(f->book, &again, NOW + HOUR, NULL), 0);
    assert_true(invitations_wait(f->book, NOW + HOUR));
}

static void test_a_damaged_book_is_named(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"", "{}", "{\"format\": 1, \"invitations\": [{}]}", "[1", "\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct invitations *book;
        struct casebus_error err;
        assert_int_equal(file_write(f->path, bytes_of_text(wrong[i]), 0600, NULL), 0);
        assert_int_equal(invitations_open(&book, f->dir, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        assert_non_null(strstr(err.text, f->path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_written_is_there_again_and_for_its_owner_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_only_the_first_request_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_is_decided_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_wrong_tries_void_it_also_across_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_expired_waits_no_more_and_its_name_is_free, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_book_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
