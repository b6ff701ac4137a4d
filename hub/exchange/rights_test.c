/* P8: a department sees what a row lets it see, and no more. */
#include "hub/exchange/rights.h"

#include "hub/exchange/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MARKET_BODY       "113201000143244859"
#define POLICE_BODY       "11320100014324493X"
#define COMPANY           "000131001000"
#define COMPANY_AT_MARKET MARKET_BODY "4" COMPANY
#define SEAL_AT_POLICE                                                                                       \
    POLICE_BODY "4"                                                                                          \
                "000109001000"

#define ACCEPT CASEBUS__V1__KIND__KIND_ACCEPT
#define DECIDE CASEBUS__V1__KIND__KIND_DECIDE

static const struct rights_reader market = {"scjgj-nj", "scjgj", "320100"};
static const struct rights_reader market_elsewhere = {"scjgj-sz", "scjgj", "320500"};
static const struct rights_reader bureau = {"spj-nj", "spj", "320100"};
static const struct rights_reader insurance = {"rsj-nj", "rsj", "320100"};

static const char *const market_bodies[] = {MARKET_BODY};
static const char *const company[] = {COMPANY};
static const char *const nanjing[] = {"3201"};

static const struct rights_row competent = {.number = 1,
                                            .relation = RIGHTS_COMPETENT,
                                            .to = {.department = "scjgj", .area = "320100"},
                                            .items = {market_bodies, 1},
                                            .kinds = RIGHTS_ALL_KINDS,
                                            .part_kinds = 0xff};
static const struct rights_row delegated = {.number = 2,
                                            .relation = RIGHTS_DELEGATED,
                                            .to = {.department = "spj", .area = "320100"},
                                            .from = {.department = "scjgj", .area = "320100"},
                                            .items = {company, 1},
                                            .areas = {nanjing, 1},
                                            .kinds = RIGHTS_ALL_KINDS,
                                            .part_kinds = 0xff,
                                            .since_us = 1000,
                                            .until_us = 2000};

static struct rights_row supervising(void)
{
    struct rights_row row = delegated;
    row.relation = RIGHTS_SUPERVISING;
    row.to = delegated.from;
    row.kinds = rights_kind_bit(DECIDE);
    row.part_kinds = 0;
    return row;
}

static struct right right_at(const struct rights_row *rows, size_t n, const struct rights_reader *reader,
                             const char *item, const char *area, Casebus__V1__Kind kind, int64_t at_us)
{
    const struct rights rights = {.version = 1, .rows = rows, .n_rows = n};
    const struct rights_subject subject = {item, area, kind, 0};
    const struct rights_row *about[8];
    return rights_of(about, rights_rows_about(&rights, &subject, at_us, about), reader, &subject);
}

static void test_nobody_sees_anything_without_a_row(void **state)
{
    (void)state;
    assert_int_equal(right_at(NULL, 0, &market, COMPANY_AT_MARKET, "320100", ACCEPT, 1).rule, 0);
}

static void test_the_body_in_the_items_code_is_competent(void **state)
{
    (void)state;
    struct right right = right_at(&competent, 1, &market, COMPANY_AT_MARKET, "320102", ACCEPT, 1);
    assert_int_equal(right.rule, 1);
    assert_int_equal(right.relation, RIGHTS_COMPETENT);
    assert_int_equal(right.part_kinds, 0xff);
    assert_int_equal(right_at(&competent, 1, &market, SEAL_AT_POLICE, "320102", ACCEPT, 1).rule, 0);
    assert_int_equal(right_at(&competent, 1, &market_elsewhere, COMPANY_AT_MARKET, "320102", ACCEPT, 1).rule,
                     0);
    /* A basic code names no body: nobody is competent by it. */
    assert_int_equal(right_at(&competent, 1, &market, COMPANY, "320102", ACCEPT, 1).rule, 0);
}

static void test_a_bureau_takes_over_for_its_time_and_the_department_supervises(void **state)
{
    (void)state;
    const struct rights_row rows[] = {competent, delegated, supervising()};
    assert_int_equal(right_at(rows, 3, &bureau, COMPANY_AT_MARKET, "320100", ACCEPT, 1500).relation,
                     RIGHTS_DELEGATED);
    assert_int_equal(right_at(rows, 3, &market, COMPANY_AT_MARKET, "320100", ACCEPT, 1500).rule, 0);
    struct right watching = right_at(rows, 3, &market, COMPANY_AT_MARKET, "320100", DECIDE, 1500);
    assert_int_equal(watching.relation, RIGHTS_SUPERVISING);
    assert_int_equal(watching.part_kinds, 0);
    for (size_t i = 0; i < 2; i++) {
        int64_t outside = i ? 2000 : 999; /* the day after, and the day before */
        assert_int_equal(right_at(rows, 3, &bureau, COMPANY_AT_MARKET, "320100", ACCEPT, outside).rule, 0);
        assert_int_equal(right_at(rows, 3, &market, COMPANY_AT_MARKET, "320100", ACCEPT, outside).relation,
                         RIGHTS_COMPETENT);
    }
    /* What it did not delegate stays the department's. */
    assert_int_equal(right_at(rows, 3, &market, MARKET_BODY "4000131002000", "320100", ACCEPT, 1500).relation,
                     RIGHTS_COMPETENT);
    assert_int_equal(right_at(rows, 3, &market, COMPANY_AT_MARKET, "320500", ACCEPT, 1500).relation,
                     RIGHTS_COMPETENT);
}

static void test_a_grant_ends_at_its_kinds_areas_and_days(void **state)
{
    (void)state;
    const struct rights_row grant = {.number = 7,
                                     .relation = RIGHTS_GRANT,
                                     .to = {.department = "rsj"},
                                     .items = {company, 1},
                                     .areas = {nanjing, 1},
                                     .kinds = rights_kind_bit(ACCEPT),
                                     .part_kinds = 8,
                                     .until_us = 100};
    assert_int_equal(right_at(&grant, 1, &insurance, COMPANY_AT_MARKET, "320102", ACCEPT, 99).part_kinds, 8);
    assert_int_equal(right_at(&grant, 1, &insurance, COMPANY_AT_MARKET, "320102", ACCEPT, 100).rule, 0);
    assert_int_equal(right_at(&grant, 1, &insurance, COMPANY_AT_MARKET, "320102", DECIDE, 99).rule, 0);
    assert_int_equal(right_at(&grant, 1, &insurance, COMPANY_AT_MARKET, "320500", ACCEPT, 99).rule, 0);
    assert_int_equal(right_at(&grant, 1, &insurance, COMPANY_AT_MARKET, "", ACCEPT, 99).rule, 0);
    assert_int_equal(right_at(&grant, 1, &insurance, SEAL_AT_POLICE, "320102", ACCEPT, 99).rule, 0);
    assert_int_equal(right_at(&grant, 1, &market, COMPANY_AT_MARKET, "320102", ACCEPT, 99).rule, 0);
}

static void test_rows_add_up_and_the_first_one_is_named(void **state)
{
    (void)state;
    struct rights_row rows[2] = {{.number = 4,
                                  .relation = RIGHTS_GRANT,
                                  .to = {.node = "rsj-nj"},
                                  .items = {company, 1},
                                  .kinds = RIGHTS_ALL_KINDS,
                                  .part_kinds = 2}};
    rows[1] = rows[0];
    rows[1].number = 5;
    rows[1].part_kinds = 4;
    struct right right = right_at(rows, 2, &insurance, COMPANY_AT_MARKET, "320100", ACCEPT, 1);
    assert_int_equal(right.rule, 4);
    assert_int_equal(right.part_kinds, 6);
}

/* Whatever was asked before, in whatever order, and across the days on which rows begin and end. */
static void test_what_is_remembered_is_what_would_be_found(void **state)
{
    (void)state;
    const struct rights_row rows[] = {competent, delegated, supervising()};
    const struct rights_row changed[] = {competent};
    const struct rights policies[] = {{1, rows, 3, false}, {2, changed, 1, false}};
    static const char *const items[] = {COMPANY_AT_MARKET, SEAL_AT_POLICE, COMPANY, "",
                                        "a name of an item that is too long to be remembered, by far"};
    static const char *const areas[] = {"320100", "320500", ""};
    static struct rights_memo memo;
    uint32_t seed = 7;
    for (unsigned i = 0; i < 20000; i++) {
        const struct rights_row *found[4], *recalled[4];
        seed = seed * 1664525u + 1013904223u;
        const struct rights *rights = &policies[seed >> 30 & 1];
        const struct rights_subject subject = {items[(seed >> 8) % 5], areas[(seed >> 16) % 3],
                                               seed >> 20 & 1 ? ACCEPT : DECIDE, 0};
        int64_t at_us = (int64_t[]){0, 999, 1000, 1999, 2000, 5000}[(seed >> 24) % 6];
        size_t n = rights_rows_about(rights, &subject, at_us, found);
        assert_int_equal(rights_rows_recall(&memo, rights, &subject, at_us, recalled), n);
        assert_memory_equal(recalled, found, n * sizeof *found);
    }
}

static void test_each_no_has_its_reason(void **state)
{
    (void)state;
    const struct rights_row rows[] = {competent, delegated};
    const struct rights rights = {.version = 1, .rows = rows, .n_rows = 2};
    const struct rights_subject mine = {COMPANY_AT_MARKET, "320100", ACCEPT, 0};
    const struct rights_subject other = {SEAL_AT_POLICE, "320100", ACCEPT, 0};
    const struct rights_subject elsewhere = {COMPANY_AT_MARKET, "320500", ACCEPT, 0};
    assert_int_equal(rights_row_says(&rights, &competent, &market, &mine, 1), RIGHTS_LETS);
    assert_int_equal(rights_row_says(&rights, &competent, &bureau, &mine, 1), RIGHTS_OTHER_READER);
    assert_int_equal(rights_row_says(&rights, &competent, &market, &other, 1), RIGHTS_OTHER_ITEM);
    assert_int_equal(rights_row_says(&rights, &competent, &market, &mine, 1500), RIGHTS_DELEGATED_AWAY);
    assert_int_equal(rights_row_says(&rights, &delegated, &bureau, &elsewhere, 1500), RIGHTS_OTHER_AREA);
    assert_int_equal(rights_row_says(&rights, &delegated, &bureau, &mine, 999), RIGHTS_NOT_BEGUN);
    assert_int_equal(rights_row_says(&rights, &delegated, &bureau, &mine, 2000), RIGHTS_ENDED);
    struct rights_row watching = supervising();
    assert_int_equal(rights_row_says(&rights, &watching, &market, &mine, 1500), RIGHTS_OTHER_KIND);
}

static void test_whoever_may_be_answered_sees_nothing_and_whoever_sees_needs_no_answer(void **state)
{
    (void)state;
    struct rights_row rows[2] = {{.number = 1,
                                  .relation = RIGHTS_GRANT,
                                  .to = {.department = "rsj"},
                                  .items = {company, 1},
                                  .kinds = RIGHTS_ALL_KINDS,
                                  .questions = 12}};
    const struct rights rights = {.version = 1, .rows = rows, .n_rows = 2};
    const struct rights_subject answers = {COMPANY, "320100", DECIDE, 4},
                                silent = {COMPANY, "320100", DECIDE, 2};
    const struct rights_row *one = rows, *both[] = {&rows[0], &rows[1]};
    rows[1] = rows[0];
    rows[1].number = 2;
    rows[1].questions = 0;
    rows[1].part_kinds = 8;
    struct right right = rights_of(&one, 1, &insurance, &answers);
    assert_int_equal(right.rule, 1);
    assert_int_equal(right.questions, 12);
    assert_int_equal(right.part_kinds, 0);
    assert_int_equal(rights_of(&one, 1, &insurance, &silent).rule, 0);
    assert_int_equal(rights_row_says(&rights, one, &insurance, &silent, 1), RIGHTS_NO_ANSWER);
    assert_int_equal(rights_row_says(&rights, one, &insurance, &answers, 1), RIGHTS_LETS);
    right = rights_of(both, 2, &insurance, &answers);
    assert_int_equal(right.rule, 2);
    assert_int_equal(right.questions, 0);
    assert_int_equal(right.part_kinds, 8);
}

static uint32_t publish_rule(const struct rights_row *rows, size_t n, const struct rights_reader *sender,
                             const char *item, Casebus__V1__Kind kind, int64_t at_us)
{
    const struct rights rights = {.version = 1, .rows = rows, .n_rows = n};
    const struct rights_subject subject = {item, "320100", kind, 0};
    const struct rights_row *about[8];
    return rights_publish_rule(about, rights_rows_about(&rights, &subject, at_us, about), sender, &subject);
}

static void test_who_is_competent_publishes_until_another_decides_in_its_place(void **state)
{
    (void)state;
    struct rights_row rows[] = {competent, delegated, supervising()};
    rows[0].publish_kinds = rows[1].publish_kinds = RIGHTS_ALL_KINDS;
    assert_int_equal(publish_rule(rows, 3, &market, COMPANY_AT_MARKET, ACCEPT, 999), 1);
    assert_int_equal(publish_rule(rows, 3, &bureau, COMPANY_AT_MARKET, ACCEPT, 999), 0);
    assert_int_equal(publish_rule(rows, 3, &market, COMPANY_AT_MARKET, ACCEPT, 1500), 0);
    assert_int_equal(publish_rule(rows, 3, &bureau, COMPANY_AT_MARKET, ACCEPT, 1500), 2);
    assert_int_equal(publish_rule(rows, 3, &market, COMPANY_AT_MARKET, DECIDE, 1500), 0); /* it watches */
    assert_int_equal(publish_rule(rows, 3, &market, SEAL_AT_POLICE, ACCEPT, 999), 0);
    assert_int_equal(publish_rule(rows, 3, &insurance, COMPANY_AT_MARKET, ACCEPT, 999), 0);
}

static void test_seeing_and_publishing_are_two_rights(void **state)
{
    (void)state;
    const struct rights_row rows[] = {{.number = 1,
                                       .relation = RIGHTS_PUBLISHING,
                                       .to = {.department = "rsj"},
                                       .items = {company, 1},
                                       .publish_kinds = rights_kind_bit(ACCEPT)},
                                      {.number = 2,
                                       .relation = RIGHTS_GRANT,
                                       .to = {.department = "scjgj"},
                                       .items = {company, 1},
                                       .kinds = RIGHTS_ALL_KINDS}};
    assert_int_equal(publish_rule(rows, 2, &insurance, COMPANY, ACCEPT, 1), 1);
    assert_int_equal(publish_rule(rows, 2, &insurance, COMPANY, DECIDE, 1), 0);
    assert_int_equal(right_at(rows, 2, &insurance, COMPANY, "320100", ACCEPT, 1).rule, 0);
    assert_int_equal(publish_rule(rows, 2, &market, COMPANY, ACCEPT, 1), 0);
    assert_int_equal(right_at(rows, 2, &market, COMPANY, "320100", ACCEPT, 1).rule, 2);
}

static void test_a_pattern_matches_what_it_says(void **state)
{
    (void)state;
    assert_true(rights_item_matches("*", "anything"));
    assert_true(rights_item_matches(COMPANY, COMPANY_AT_MARKET));
    assert_true(rights_item_matches(COMPANY, COMPANY_AT_MARKET "01"));
    assert_true(rights_item_matches(COMPANY, COMPANY));
    assert_true(rights_item_matches(MARKET_BODY, COMPANY_AT_MARKET));
    assert_false(rights_item_matches(POLICE_BODY, COMPANY_AT_MARKET));
    assert_false(rights_item_matches(MARKET_BODY, MARKET_BODY)); /* no implementation code */
    assert_true(rights_item_matches("320100-0042", "320100-0042-7"));
    assert_false(rights_item_matches("320100-0042", "320100-004"));
    assert_false(rights_item_matches("", "320100"));
    assert_false(rights_item_matches(COMPANY, ""));
}

static void test_a_kind_of_a_later_version_is_let_by_no_row(void **state)
{
    (void)state;
    const struct rights_row all = {.number = 1,
                                   .relation = RIGHTS_GRANT,
                                   .to = {.department = "rsj"},
                                   .kinds = RIGHTS_ALL_KINDS,
                                   .part_kinds = 1};
    assert_int_equal(right_at(&all, 1, &insurance, COMPANY, "320100", CASEBUS__V1__KIND__KIND_OTHER, 1).rule,
                     1);
    assert_int_equal(right_at(&all, 1, &insurance, COMPANY, "320100", (Casebus__V1__Kind)77, 1).rule, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_sees_anything_without_a_row),
        cmocka_unit_test(test_the_body_in_the_items_code_is_competent),
        cmocka_unit_test(test_a_bureau_takes_over_for_its_time_and_the_department_supervises),
        cmocka_unit_test(test_a_grant_ends_at_its_kinds_areas_and_days),
        cmocka_unit_test(test_rows_add_up_and_the_first_one_is_named),
        cmocka_unit_test(test_what_is_remembered_is_what_would_be_found),
        cmocka_unit_test(test_each_no_has_its_reason),
        cmocka_unit_test(test_whoever_may_be_answered_sees_nothing_and_whoever_sees_needs_no_answer),
        cmocka_unit_test(test_who_is_competent_publishes_until_another_decides_in_its_place),
        cmocka_unit_test(test_seeing_and_publishing_are_two_rights),
        cmocka_unit_test(test_a_pattern_matches_what_it_says),
        cmocka_unit_test(test_a_kind_of_a_later_version_is_let_by_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
