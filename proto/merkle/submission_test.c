/* Submissions: what is written is read back, and nothing else is read. */
#include "proto/merkle/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HASH "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw="
#define NOTE                                                                                                 \
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"                \
    "\u2014 example.com/behind-the-sofa "                                                                    \
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"

static void test_published_submission_is_read(void **state)
{
    struct submission submission;
    char again[SUBMISSION_MAX];
    static const char body[] = "old 20852014\n" HASH "\n" HASH "\n\n" NOTE;

    (void)state;
    assert_int_equal(submission_parse(&submission, bytes_of_text(body), NULL), 0);
    assert_int_equal(submission.old_size, 20852014);
    assert_int_equal(submission.n_proof, 2);
    assert_true(bytes_equal(submission.note, bytes_of_text(NOTE)));
    int n = submission_write(again, sizeof again, submission.old_size,
                             (const uint8_t(*)[DIGEST_SIZE])submission.proof, 2, submission.note);
    assert_int_equal(n, strlen(body));
    assert_string_equal(again, body);
    assert_int_equal(submission_write(again, 60, 0, NULL, 0, submission.note), -1);
}

static void test_malformed_submissions_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "old",
        "old 1",
        "old 1\n",
        "old 1\n\n",
        "old 01\n\n" NOTE,
        "old -1\n\n" NOTE,
        "old 9223372036854775808\n\n" NOTE,
        "old  1\n\n" NOTE,
        "old\t1\n\n" NOTE,
        "Old 1\n\n" NOTE,
        "old 1 \n\n" NOTE,
        "old 1\r\n\r\n" NOTE,
        "old 1\nAAAA\n\n" NOTE,
        "old 1\n " HASH "\n\n" NOTE,
        "old 1\n" HASH NOTE,
        "old 1\n" NOTE,
        "old 1\n" HASH "\n" NOTE,
        "old 1\n\nno note\n",
        "old 1\n\n" NOTE "x",
        "\nold 1\n\n" NOTE,
    };
    struct submission submission;
    struct casebus_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct casebus_error){0};
        assert_int_equal(submission_parse(&submission, bytes_of_text(bad[i]), &err), -1);
        assert_int_equal(err.code, CASEBUS_MALFORMED);
        assert_true(err.text[0] != '\0');
    }
}

static void test_submission_is_bounded(void **state)
{
    struct submission submission;
    struct casebus_error err;
    struct buffer body;

    (void)state;
    buffer_init(&body, 1 << 20);
    buffer_printf(&body, "old 1\n");
    for (int i = 0; i < 63; i++)
        buffer_printf(&body, HASH "\n");
    size_t most = body.size;
    buffer_printf(&body, "\n" NOTE);
    assert_int_equal(submission_parse(&submission, bytes_of(body.data, body.size), NULL), 0);
    body.size = most;
    buffer_printf(&body, HASH "\n\n" NOTE);
    assert_int_equal(submission_parse(&submission, bytes_of(body.data, body.size), &err), -1);
    while (body.size <= SUBMISSION_MAX)
        buffer_printf(&body, HASH "\n");
    assert_int_equal(submission_parse(&submission, bytes_of(body.data, body.size), &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
    buffer_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_submission_is_read),
        cmocka_unit_test(test_malformed_submissions_are_refused),
        cmocka_unit_test(test_submission_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
