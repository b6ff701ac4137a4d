/* Whoever may be told yes or no is told that, and only what the event says for sure. */
#include "hub/exchange/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ACCEPTED    CASEBUS__V1__QUESTION__QUESTION_ACCEPTED
#define APPROVED    CASEBUS__V1__QUESTION__QUESTION_APPROVED
#define FINISHED    CASEBUS__V1__QUESTION__QUESTION_FINISHED
#define CERTIFICATE CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE

enum { UNSAID = -1, NO = 0, YES = 1 };

static Casebus__V1__EventHeader header_of(Casebus__V1__Kind kind)
{
    Casebus__V1__EventHeader header = CASEBUS__V1__EVENT_HEADER__INIT;
    header.kind = kind;
    header.operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    return header;
}

static int answer(const Casebus__V1__EventHeader *header, Casebus__V1__Question question)
{
    struct answer answers[QUESTIONS_MAX];
    size_t n = answers_of(header, question_bit(question), answers);
    assert_true(n <= 1);
    assert_int_equal(n == 1, (answers_known(header) & question_bit(question)) != 0);
    if (n == 1)
        assert_int_equal(answers[0].question, question);
    return n == 1 ? answers[0].yes : UNSAID;
}

static void test_an_acceptance_says_accepted_and_nothing_else(void **state)
{
    (void)state;
    Casebus__V1__EventHeader accept = header_of(CASEBUS__V1__KIND__KIND_ACCEPT);
    Casebus__V1__EventHeader refuse = header_of(CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT);
    assert_int_equal(answer(&accept, ACCEPTED), YES);
    assert_int_equal(answer(&refuse, ACCEPTED), NO);
    assert_int_equal(answer(&accept, APPROVED), UNSAID);
    assert_int_equal(answer(&accept, FINISHED), UNSAID);
    assert_int_equal(answer(&accept, CERTIFICATE), UNSAID);
}

static void test_a_step_answers_nothing(void **state)
{
    (void)state;
    Casebus__V1__EventHeader step = header_of(CASEBUS__V1__KIND__KIND_STEP);
    assert_int_equal(answers_known(&step), 0);
}

static void test_a_finish_tells_the_certificate_and_never_its_number(void **state)
{
    (void)state;
    Casebus__V1__FinishFields fields = CASEBUS__V1__FINISH_FIELDS__INIT;
    Casebus__V1__EventHeader finish = header_of(CASEBUS__V1__KIND__KIND_FINISH);
    finish.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH;
    finish.finish = &fields;
    assert_int_equal(answer(&finish, FINISHED), YES);
    assert_int_equal(answer(&finish, CERTIFICATE), NO);
    assert_int_equal(answer(&finish, APPROVED), UNSAID);
    fields.certificate_number = (char *)(uintptr_t) "320100-7";
    fields.finish_kind_given = true;
    assert_int_equal(answer(&finish, CERTIFICATE), YES);
    assert_int_equal(answer(&finish, APPROVED), YES);
    fields.finish_kind = 1;
    assert_int_equal(answer(&finish, APPROVED), NO);
    fields.finish_kind = 4;
    assert_int_equal(answer(&finish, APPROVED), UNSAID);
}

static void test_a_decision_answers_only_what_its_code_says_for_sure(void **state)
{
    (void)state;
    Casebus__V1__DecideFields fields = CASEBUS__V1__DECIDE_FIELDS__INIT;
    Casebus__V1__EventHeader decide = header_of(CASEBUS__V1__KIND__KIND_DECIDE);
    decide.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_DECIDE;
    decide.decide = &fields;
    assert_int_equal(answer(&decide, APPROVED), UNSAID);
    fields.result_code = (char *)(uintptr_t) "approve";
    assert_int_equal(answer(&decide, APPROVED), YES);
    fields.result_code = (char *)(uintptr_t) "refuse";
    assert_int_equal(answer(&decide, APPROVED), NO);
    fields.result_code = (char *)(uintptr_t) "07";
    assert_int_equal(answer(&decide, APPROVED), UNSAID);
}

static void test_what_was_a_mistake_or_annulled_is_answered_no(void **state)
{
    (void)state;
    Casebus__V1__EventHeader finish = header_of(CASEBUS__V1__KIND__KIND_FINISH);
    Casebus__V1__EventHeader annul = header_of(CASEBUS__V1__KIND__KIND_ANNUL);
    finish.operation = CASEBUS__V1__OPERATION__OPERATION_DELETE;
    assert_int_equal(answer(&finish, FINISHED), NO);
    assert_int_equal(answer(&annul, APPROVED), NO);
    assert_int_equal(answer(&annul, CERTIFICATE), NO);
    assert_int_equal(answer(&annul, FINISHED), UNSAID);
}

static void test_only_what_is_asked_is_answered(void **state)
{
    (void)state;
    struct answer answers[QUESTIONS_MAX];
    Casebus__V1__EventHeader accept = header_of(CASEBUS__V1__KIND__KIND_ACCEPT);
    assert_int_equal(answers_of(&accept, 0, answers), 0);
    assert_int_equal(answers_of(&accept, question_bit(FINISHED) | UINT32_C(1) << 30, answers), 0);
    assert_int_equal(question_bit((Casebus__V1__Question)31), 0);
    assert_int_equal(question_bit((Casebus__V1__Question)0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_acceptance_says_accepted_and_nothing_else),
        cmocka_unit_test(test_a_step_answers_nothing),
        cmocka_unit_test(test_a_finish_tells_the_certificate_and_never_its_number),
        cmocka_unit_test(test_a_decision_answers_only_what_its_code_says_for_sure),
        cmocka_unit_test(test_what_was_a_mistake_or_annulled_is_answered_no),
        cmocka_unit_test(test_only_what_is_asked_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
