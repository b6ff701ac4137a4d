/* Policies: what the standard says is read, and everything wrong is told at once with its line. */
#include "proto/merkle/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ORIGIN    "js.example/exchange/1"
#define WITNESSES 6

struct fixture {
    struct signing_key *log, *keys[WITNESSES];
    char log_vkey[VKEY_MAX], vkeys[WITNESSES][VKEY_MAX];
    char note[NOTE_MAX + 1];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct checkpoint checkpoint = {.origin = ORIGIN, .size = 7};
    char name[20];

    assert_non_null(f);
    assert_int_equal(signing_key_generate(&f->log, suite_get(SUITE_INTL), NULL), 0);
    assert_true(note_vkey_format(f->log_vkey, VKEY_MAX, ORIGIN, signing_key_public(f->log)) > 0);
    for (int i = 0; i < WITNESSES; i++) {
        snprintf(name, sizeof name, "w%d.example", i);
        assert_int_equal(signing_key_generate(&f->keys[i], suite_get(SUITE_INTL), NULL), 0);
        assert_true(note_witness_vkey_format(f->vkeys[i], VKEY_MAX, name, signing_key_public(f->keys[i])) >
                    0);
    }
    assert_true(checkpoint_sign(f->note, sizeof f->note, &checkpoint, ORIGIN, f->log, NULL) > 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    signing_key_free(f->log);
    for (int i = 0; i < WITNESSES; i++)
        signing_key_free(f->keys[i]);
    free(f);
    return 0;
}

static int parse(struct policy **policy, const char *text, struct casebus_error *err)
{
    return policy_parse(policy, bytes_of_text(text), "p", err);
}

/* The standard's example: two of three, and one of three. */
static struct policy *example(const struct fixture *f)
{
    struct policy *policy;
    char text[4096];
    char(*v)[VKEY_MAX] = (char(*)[VKEY_MAX])f->vkeys;

    snprintf(text, sizeof text,
             "# whom we believe\nlog %s\n\n\twitness X1 %s\nwitness X2 %s http://127.0.0.1:1/\n"
             "witness X3 %s  \ngroup X 2 X1 X2 X3\nwitness Y1 %s\nwitness Y2 %s\nwitness Y3 %s\n"
             "group Y any Y1 Y2 Y3\ngroup both all X Y\nquorum both\n",
             f->log_vkey, v[0], v[1], v[2], v[3], v[4], v[5]);
    assert_int_equal(parse(&policy, text, NULL), 0);
    return policy;
}

static void cosign(const struct fixture *f, char *note, const struct policy *policy, int i)
{
    struct bytes text, lines;
    char line[400], name[20];

    snprintf(name, sizeof name, "w%d.example", i);
    assert_int_equal(note_parts(&text, &lines, bytes_of_text(note), NULL), 0);
    assert_true(note_cosign(line, sizeof line, text, name, 1000 + i, f->keys[i], NULL) > 0);
    assert_int_equal(note_add_cosignature(note, NOTE_MAX + 1, bytes_of_text(line),
                                          &policy->witnesses[i].verifier, NULL, NULL),
                     1);
}

static void test_quorum_is_counted_as_the_policy_says(void **state)
{
    const struct fixture *f = *state;
    struct policy *policy = example(f);

    assert_int_equal(policy->n_witnesses, 6);
    assert_string_equal(policy->witnesses[1].url, "http://127.0.0.1:1/");
    assert_string_equal(policy->witnesses[2].url, "");
    for (unsigned set = 0; set < 64; set++) {
        int x = __builtin_popcount(set & 7), y = __builtin_popcount(set >> 3);
        assert_int_equal(policy_quorum(policy, set), x >= 2 && y >= 1);
    }
    policy_free(policy);
}

static void test_note_with_enough_cosignatures_is_good(void **state)
{
    const struct fixture *f = *state;
    struct policy *policy = example(f);
    struct casebus_error err = {0};
    char note[NOTE_MAX + 1];
    uint64_t who = 0;

    strcpy(note, f->note);
    cosign(f, note, policy, 0);
    cosign(f, note, policy, 4);
    assert_int_equal(policy_check(policy, bytes_of_text(note), &who, &err), 0);
    assert_int_equal(who, 1 | 1 << 4);
    assert_non_null(strstr(err.text, "X2, X3, Y1, Y3"));
    cosign(f, note, policy, 2);
    assert_int_equal(policy_check(policy, bytes_of_text(note), &who, &err), 1);
    note[strlen(note) - 20] ^= 1;
    assert_int_equal(policy_check(policy, bytes_of_text(note), &who, &err), -1);
    policy_free(policy);
}

static void test_policy_knows_whose_log_it_speaks_of(void **state)
{
    const struct fixture *f = *state;
    struct policy *policy = example(f), *open;
    struct note_verifier ours, other;
    char vkey[VKEY_MAX];

    assert_int_equal(note_verifier_init(&ours, f->log_vkey, NULL), 0);
    assert_true(note_vkey_format(vkey, sizeof vkey, "other/1", signing_key_public(f->keys[0])) > 0);
    assert_int_equal(note_verifier_init(&other, vkey, NULL), 0);
    assert_int_equal(parse(&open, "quorum none\n", NULL), 0);
    assert_true(policy_knows_log(policy, &ours));
    assert_false(policy_knows_log(policy, &other));
    assert_true(policy_knows_log(open, &other));
    assert_int_equal(policy_check(open, bytes_of_text(f->note), NULL, NULL), 1);
    note_verifier_deinit(&ours);
    note_verifier_deinit(&other);
    policy_free(policy);
    policy_free(open);
}

static void test_each_fault_is_told_with_its_line(void **state)
{
    const struct fixture *f = *state;
    struct policy *policy;
    struct casebus_error err = {0};
    char text[4096];

    snprintf(text, sizeof text,
             "witness a %s\nwitness b %s\nwitness a %s\nfriend x\ngroup g 3 a b\ngroup h any a c\nquorum g\n",
             f->vkeys[0], f->vkeys[0], f->vkeys[1]);
    assert_int_equal(parse(&policy, text, &err), -1);
    assert_null(policy);
    assert_int_equal(err.code, CASEBUS_CONFIG);
    assert_non_null(strstr(err.text, "p:2: "));
    assert_non_null(strstr(err.text, "line 3: 'a' is defined twice"));
    assert_non_null(strstr(err.text, "line 4: 'friend'"));
    assert_non_null(strstr(err.text, "line 5: '3'"));
    assert_non_null(strstr(err.text, "line 6: 'c' is not defined above"));
    assert_non_null(strstr(err.text, "line 7: 'g' is not defined above"));
}

static void test_malformed_policies_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "quorum none",
        "quorum\n",
        "quorum none none\n",
        "quorum none\nquorum none\n",
        "quorum none\r\n",
        "quorum w\nwitness w %s\n",
        "witness none %s\nquorum none\n",
        "witness w %s ftp://x\nquorum w\n",
        "witness w %s http://x y\nquorum w\n",
        "witness w\nquorum none\n",
        "witness %s\nquorum none\n",
        "log %s\nquorum none\n",
        "log\nquorum none\n",
        "witness w %s\ngroup g 0 w\nquorum g\n",
        "witness w %s\ngroup g 01 w\nquorum g\n",
        "witness w %s\ngroup g -1 w\nquorum g\n",
        "witness w %s\ngroup g all w w\nquorum g\n",
        "witness w %s\ngroup g all w\ngroup h all w\nquorum g\n",
        "witness w %s\ngroup g all g\nquorum none\n",
        "witness w %s\ngroup g all\nquorum none\n",
        "witness w %s\ngroup w all w\nquorum none\n",
        "witness w %s\ngroup g all none\nquorum none\n",
        "\x01quorum none\n",
        "Quorum none\n",
    };
    const struct fixture *f = *state;
    struct policy *policy;
    char text[4096];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct casebus_error err = {0};
        snprintf(text, sizeof text, bad[i], f->vkeys[0]);
        assert_int_equal(parse(&policy, text, &err), -1);
        assert_int_equal(err.code, CASEBUS_CONFIG);
        assert_true(err.text[0] != '\0');
    }
}

static void test_policy_is_bounded(void **state)
{
    struct policy *policy;
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < 2000; i++)
        buffer_printf(&text, "witness w%d x\n", i);
    assert_int_equal(policy_parse(&policy, bytes_of(text.data, text.size), "p", NULL), -1);
    buffer_reset(&text);
    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "group ");
    buffer_printf(&text, "\nquorum none\n");
    assert_int_equal(policy_parse(&policy, bytes_of(text.data, text.size), "p", NULL), -1);
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum_is_counted_as_the_policy_says),
        cmocka_unit_test(test_note_with_enough_cosignatures_is_good),
        cmocka_unit_test(test_policy_knows_whose_log_it_speaks_of),
        cmocka_unit_test(test_each_fault_is_told_with_its_line),
        cmocka_unit_test(test_malformed_policies_are_refused),
        cmocka_unit_test(test_policy_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
