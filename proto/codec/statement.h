/* Statements that a node signs besides its batches: its enrolment, and what it received. Formulas:
 * proto/casebus/v1/ledger.proto and session.proto. */
#ifndef CODEC_STATEMENT_H
#define CODEC_STATEMENT_H

#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"

#define CONFIRM_CONTEXT   "casebus/v1/confirm"
#define ENROLMENT_CONTEXT "casebus/v1/enrolment"

/* Decode and check the form (context first, suite, names, sizes). Whether it is for this hub, from this node
 * and well signed is the caller's question. */
Casebus__V1__ConfirmStatement *confirm_decode(struct bytes statement, struct arena *arena,
                                              struct casebus_error *err);
Casebus__V1__EnrolmentStatement *enrolment_decode(struct bytes statement, struct arena *arena,
                                                  struct casebus_error *err);

#endif
