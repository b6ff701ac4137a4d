/* Answers: what one event says, as yes or no: for whoever may be told that and nothing else of it (minimum
 * necessary). An event that answers none of the questions asked is not there for the one who asks. */
#ifndef EXCHANGE_ANSWERS_H
#define EXCHANGE_ANSWERS_H

#include "proto/casebus/v1/event.pb-c.h"
#include "proto/casebus/v1/ledger.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

#define QUESTIONS_MAX 4

struct answer {
    Casebus__V1__Question question;
    bool yes;
};

/* The bit of a question in a set of them; 0 for one that this version does not know: never answered. */
uint32_t question_bit(Casebus__V1__Question question);
/* Those of the set @questions that @header answers, in the order of their numbers. Returns how many. */
size_t answers_of(const Casebus__V1__EventHeader *header, uint32_t questions,
                  struct answer answers[QUESTIONS_MAX]);
/* The set of questions that @header answers. */
uint32_t answers_known(const Casebus__V1__EventHeader *header);
/* And of those that it answers yes. */
uint32_t answers_yes(const Casebus__V1__EventHeader *header);

#endif
