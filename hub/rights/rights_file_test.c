/* A policy file is read as it is written, or refused with every fault and its line. */
#include "hub/rights/rights_file.h"

#include "hub/exchange/answers.h"
#include "hub/exchange/exchange.h"
#include "proto/base/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct rights rights;
    struct buffer faults;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 64 * 1024, RIGHTS_MEMORY);
    buffer_init(&f->faults, 64 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_deinit(&f->arena);
    buffer_deinit(&f->faults);
    free(f);
    return 0;
}

static int read_text(struct fixture *f, const char *text)
{
    buffer_reset(&f->faults);
    arena_reset(&f->arena);
    return rights_file_read(bytes_of_text(text), "policy.yaml", &f->rights, &f->arena, &f->faults, &f->err);
}

static void assert_fault(struct fixture *f, const char *text, const char *fault)
{
    assert_int_equal(read_text(f, text), -1);
    assert_int_equal(f->err.code, CASEBUS_CONFIG);
    assert_true(buffer_append(&f->faults, "", 1));
    if (!strstr((char *)f->faults.data, fault))
        fail_msg("expected \"%s\" in:\n%s", fault, (char *)f->faults.data);
}

static const char whole[] = "departments:\n"
                            "  - department: scjgj\n"
                            "    area: \"320100\"\n"
                            "    name: 市场监督管理局\n"
                            "    bodies: [\"11320100MB151234XT\"]\n"
                            "delegations:\n"
                            "  - to: {department: spj, area: \"320100\"}\n"
                            "    from: {department: scjgj, area: \"320100\"}\n"
                            "    items: \"000131001000\"\n"
                            "    since: 2024-01-01\n"
                            "    until: 2027-12-31\n"
                            "    basis: 行政许可法第二十五条\n"
                            "joint:\n"
                            "  - to: [{department: gaj}, {node: tax-1}]\n"
                            "    items: [\"000131001000\"]\n"
                            "    parts: [form]\n"
                            "    basis: 行政许可法第二十六条\n"
                            "grants:\n"
                            "  - to: {department: rsj}\n"
                            "    items: [\"000131001000\"]\n"
                            "    areas: [\"3201\"]\n"
                            "    kinds: [accept, finish]\n"
                            "    parts: [form, identity]\n"
                            "    purpose: 社会保险登记\n"
                            "    basis: 社会保险法第五十七条\n"
                            "    until: 2026-12-31\n";

static void test_each_section_becomes_its_rows(void **state)
{
    struct fixture *f = *state;
    int r = read_text(f, whole);
    if (r)
        fail_msg("%s\n%.*s", f->err.text, (int)f->faults.size, (char *)f->faults.data);
    const struct rights_row *rows = f->rights.rows;
    assert_int_equal(f->rights.n_rows, 6);
    assert_int_equal(rows[0].relation, RIGHTS_COMPETENT);
    assert_int_equal(rows[0].line, 2);
    assert_string_equal(rows[0].to.department, "scjgj");
    assert_true(rows[0].part_kinds & part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_OTHER));
    assert_int_equal(rows[1].relation, RIGHTS_DELEGATED);
    assert_int_equal(rows[1].since_us, day_to_unix_us(day_from_civil(2024, 1, 1), 480));
    assert_int_equal(rows[1].until_us, day_to_unix_us(day_from_civil(2028, 1, 1), 480));
    assert_int_equal(rows[2].relation, RIGHTS_SUPERVISING);
    assert_int_equal(rows[2].number, rows[1].number);
    assert_string_equal(rows[2].to.department, "scjgj");
    assert_int_equal(rows[2].part_kinds, 0);
    assert_int_equal(rows[3].relation, RIGHTS_JOINT);
    assert_string_equal(rows[4].to.node, "tax-1");
    assert_int_equal(rows[3].number, rows[4].number);
    assert_int_equal(rows[5].number, 4);
    assert_int_equal(rows[5].line, 19);
    assert_int_equal(rows[5].kinds, rights_kind_bit(CASEBUS__V1__KIND__KIND_ACCEPT) |
                                        rights_kind_bit(CASEBUS__V1__KIND__KIND_FINISH));
    assert_int_equal(rows[5].part_kinds, part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_FORM) |
                                             part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY));
}

static void test_all_faults_are_told_with_their_lines(void **state)
{
    struct fixture *f = *state;
    const char text[] = "grants:\n"
                        "  - to: {department: rsj}\n"
                        "    items: [\"000131001000\"]\n"
                        "    kinds: [acept]\n"
                        "    colour: red\n"
                        "    basis: x\n"
                        "    until: 2026-13-31\n"
                        "rigths: []\n";
    assert_fault(f, text, "policy.yaml:4: 'acept' is no kind of event; did you mean 'accept'?\n");
    assert_fault(f, text, "policy.yaml:5: an entry of 'grants' has no 'colour'\n");
    assert_fault(f, text, "policy.yaml:7: '2026-13-31' is no date: expected YYYY-MM-DD\n");
    assert_fault(f, text, "policy.yaml:2: an entry of 'grants' needs 'purpose'\n");
    assert_fault(f, text, "policy.yaml:8: there is no section 'rigths'\n");
    assert_non_null(strstr(f->err.text, "5"));
}

static void test_a_right_needs_its_reason_and_its_end(void **state)
{
    struct fixture *f = *state;
    const char bare[] = "grants:\n  - to: {department: rsj}\n    items: [\"*\"]\n";
    assert_fault(f, bare, "needs 'purpose'");
    assert_fault(f, bare, "needs 'basis'");
    assert_fault(f, bare, "needs 'until'");
}

static void test_what_is_no_code_is_named(void **state)
{
    struct fixture *f = *state;
    assert_fault(f, "departments:\n  - {department: a, bodies: [\"11320100MB151234X0\"]}\n",
                 ":2: body '11320100MB151234X0'");
    assert_fault(f, "departments:\n  - {department: a, area: \"32\", bodies: [\"11320100MB151234XT\"]}\n",
                 "area '32' is no area code of six digits");
    assert_fault(f, "joint:\n  - {to: {node: \"NO\"}, items: [x], basis: b}\n",
                 "'NO' is not the name of a node");
    assert_fault(f, "joint:\n  - {to: {node: a, department: b}, items: [x], basis: b}\n",
                 "expected {department");
    assert_fault(f, "cross_region:\n  - {to: {node: a}, items: [x], areas: [\"320\"], basis: b}\n",
                 "expected 2, 4 or 6 digits");
    assert_fault(f,
                 "joint:\n  - {to: {node: a}, items: [x], basis: b, since: 2026-01-02, until: 2026-01-01}\n",
                 "it ends before it begins");
}

static void test_a_row_may_give_answers_in_the_place_of_parts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        read_text(f, "joint:\n  - {to: {node: a}, items: [x], basis: b, answers: [finished, certificate]}\n"),
        0);
    assert_int_equal(f->rights.rows[0].questions,
                     question_bit(CASEBUS__V1__QUESTION__QUESTION_FINISHED) |
                         question_bit(CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE));
    assert_int_equal(f->rights.rows[0].part_kinds, 0);
    assert_fault(f, "joint:\n  - {to: {node: a}, items: [x], basis: b, answers: [name]}\n",
                 "policy.yaml:2: 'name' is no question");
    assert_fault(f, "joint:\n  - {to: {node: a}, items: [x], basis: b, answers: finished, parts: [form]}\n",
                 "it has one of them");
    assert_fault(f,
                 "departments:\n  - {department: a, bodies: [\"11320100MB151234XT\"], answers: finished}\n",
                 "an entry of 'departments' has no 'answers'");
}

static void test_a_section_for_publishing_limits_it_also_when_it_is_empty(void **state)
{
    struct fixture *f = *state;
    const uint64_t accept = rights_kind_bit(CASEBUS__V1__KIND__KIND_ACCEPT);
    assert_int_equal(read_text(f, whole), 0);
    assert_false(f->rights.limits_publishing);
    assert_true(f->rights.rows[0].publish_kinds == RIGHTS_ALL_KINDS); /* the competent department */
    assert_true(f->rights.rows[1].publish_kinds == RIGHTS_ALL_KINDS); /* its delegate */
    assert_int_equal(f->rights.rows[2].publish_kinds, 0);             /* who supervises */
    assert_true(f->rights.rows[3].publish_kinds == RIGHTS_ALL_KINDS); /* who takes part */
    assert_int_equal(f->rights.rows[5].publish_kinds, 0);             /* a grant */
    assert_int_equal(read_text(f, "publish: []\n"), 0);
    assert_true(f->rights.limits_publishing);
    assert_int_equal(f->rights.n_rows, 0);
    assert_int_equal(
        read_text(f,
                  "publish:\n  - {by: [{node: a}, {department: b}], items: [x], kinds: accept, basis: c}\n"),
        0);
    assert_int_equal(f->rights.n_rows, 2);
    assert_string_equal(f->rights.rows[1].to.department, "b");
    assert_int_equal(f->rights.rows[0].kinds, 0);
    assert_true(f->rights.rows[0].publish_kinds == accept);
    assert_fault(f, "publish:\n  - {to: {node: a}, items: [x], basis: c}\n",
                 "an entry of 'publish' has no 'to'");
    assert_fault(f, "publish:\n  - {by: {node: a}, items: [x]}\n", "needs 'basis'");
}

static void test_what_is_no_yaml_or_no_policy_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_fault(f, "", "departments, delegations, joint, cross_region, grants and publish");
    assert_fault(f, "- a\n", "departments, delegations");
    assert_fault(f, "grants: [\n", "policy.yaml:");
    assert_fault(f, "grants: 7\n", "'grants' is a list of entries");
    assert_fault(f, "grants: [7]\n", "an entry of 'grants' is `name: value` lines");
    char *large = malloc(RIGHTS_FILE_MAX + 2);
    assert_non_null(large);
    memset(large, '#', RIGHTS_FILE_MAX + 1);
    large[RIGHTS_FILE_MAX + 1] = 0;
    assert_int_equal(read_text(f, large), -1);
    assert_int_equal(f->err.code, CASEBUS_TOO_LARGE);
    free(large);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void test_nothing_in_a_policy_hides_from_who_agrees_to_it(void **state)
{
    struct fixture *f = *state;
    assert_fault(f, "grants: []\r# nothing\n",
                 "policy.yaml:1: there is a character that is not seen: U+000D");
    assert_fault(f, "grants: []\n# \x1b[2K\n",
                 "policy.yaml:2: there is a character that is not seen: U+001B");
    assert_fault(f, "grants: []\n# \u202e\n", "U+202E");
    assert_fault(f, "grants: []\n# \u200b", "U+200B");
    assert_int_equal(read_text(f, "\xef\xbb\xbfgrants: []\r\n# \t市场\r\n"), 0);
}

static void test_a_word_that_is_nearly_right_is_named(void **state)
{
    assert_fault(*state, "grant: []\n", "policy.yaml:1: there is no section 'grant'; did you mean 'grants'?");
    assert_fault(*state, "publish:\n  - {by: {department: a}, item: [x], basis: b}\n",
                 "policy.yaml:2: an entry of 'publish' has no 'item'; did you mean 'items'?");
    assert_fault(*state, "publish:\n  - {by: {department: a}, items: [x], kinds: [acept], basis: b}\n",
                 "'acept' is no kind of event; did you mean 'accept'?");
    assert_fault(*state, "joint:\n  - {to: {department: a}, items: [x], parts: [forms], basis: b}\n",
                 "'forms' is no kind of part; did you mean 'form'?");
    assert_fault(*state, "whatever: []\n", "there is no section 'whatever'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_each_section_becomes_its_rows),
        T(test_all_faults_are_told_with_their_lines),
        T(test_a_right_needs_its_reason_and_its_end),
        T(test_what_is_no_code_is_named),
        T(test_a_section_for_publishing_limits_it_also_when_it_is_empty),
        T(test_a_row_may_give_answers_in_the_place_of_parts),
        T(test_what_is_no_yaml_or_no_policy_is_refused),
        T(test_nothing_in_a_policy_hides_from_who_agrees_to_it),
        T(test_a_word_that_is_nearly_right_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
