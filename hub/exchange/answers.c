/* Each question reads one event by itself. A record that was a mistake (delete) says no to whatever it said
 * yes to: who was told "finished" hears that it is not. A code of the source that could mean either answers
 * nothing: better no answer than a wrong one. */
#include "hub/exchange/answers.h"

#include <string.h>

enum { UNSAID = -1, NO = 0, YES = 1 };

static int accepted(const Casebus__V1__EventHeader *header)
{
    if (header->kind == CASEBUS__V1__KIND__KIND_ACCEPT)
        return YES;
    return header->kind == CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT ? NO : UNSAID;
}

static int decided(const char *result)
{
    if (strcmp(result, "approve") == 0)
        return YES;
    return strcmp(result, "refuse") == 0 ? NO : UNSAID;
}

/* Forwarded (4) and "other" (6) leave it open. */
static int finished_as(const Casebus__V1__FinishFields *finish)
{
    if (!finish->finish_kind_given || finish->finish_kind == 4 || finish->finish_kind >= 6)
        return UNSAID;
    return finish->finish_kind == 0 ? YES : NO;
}

static int approved(const Casebus__V1__EventHeader *header)
{
    if (header->kind == CASEBUS__V1__KIND__KIND_ANNUL)
        return NO;
    if (header->fields_case == CASEBUS__V1__EVENT_HEADER__FIELDS_DECIDE)
        return decided(header->decide->result_code);
    if (header->fields_case == CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH)
        return finished_as(header->finish);
    return UNSAID;
}

static int finished(const Casebus__V1__EventHeader *header)
{
    return header->kind == CASEBUS__V1__KIND__KIND_FINISH ? YES : UNSAID;
}

static int certificate(const Casebus__V1__EventHeader *header)
{
    if (header->kind == CASEBUS__V1__KIND__KIND_ANNUL)
        return NO;
    if (header->fields_case != CASEBUS__V1__EVENT_HEADER__FIELDS_FINISH)
        return UNSAID;
    return header->finish->certificate_number[0] ? YES : NO;
}

static const struct {
    Casebus__V1__Question question;
    int (*says)(const Casebus__V1__EventHeader *header);
} questions_known[QUESTIONS_MAX] = {
    {CASEBUS__V1__QUESTION__QUESTION_ACCEPTED, accepted},
    {CASEBUS__V1__QUESTION__QUESTION_APPROVED, approved},
    {CASEBUS__V1__QUESTION__QUESTION_FINISHED, finished},
    {CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE, certificate},
};

uint32_t question_bit(Casebus__V1__Question question)
{
    for (size_t i = 0; i < QUESTIONS_MAX; i++)
        if (questions_known[i].question == question)
            return UINT32_C(1) << question;
    return 0;
}

size_t answers_of(const Casebus__V1__EventHeader *header, uint32_t questions,
                  struct answer answers[QUESTIONS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        Casebus__V1__Question question = questions_known[i].question;
        int says = questions & question_bit(question) ? questions_known[i].says(header) : UNSAID;
        if (says != UNSAID)
            answers[n++] = (struct answer){
                question, says == YES && header->operation != CASEBUS__V1__OPERATION__OPERATION_DELETE};
    }
    return n;
}

static uint32_t answered(const Casebus__V1__EventHeader *header, bool yes_alone)
{
    struct answer answers[QUESTIONS_MAX];
    uint32_t questions = 0;
    size_t n = answers_of(header, UINT32_MAX, answers);
    for (size_t i = 0; i < n; i++)
        if (answers[i].yes || !yes_alone)
            questions |= question_bit(answers[i].question);
    return questions;
}

uint32_t answers_known(const Casebus__V1__EventHeader *header)
{
    return answered(header, false);
}

uint32_t answers_yes(const Casebus__V1__EventHeader *header)
{
    return answered(header, true);
}
