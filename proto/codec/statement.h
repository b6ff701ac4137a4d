/* Statements that are signed besides batches: a node's enrolment and what it received, and the authority's
 * word on the hub's own keys. Formulas: proto/casebus/v1/ledger.proto and session.proto. */
#ifndef CODEC_STATEMENT_H
#define CODEC_STATEMENT_H

#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"

#define CONFIRM_CONTEXT   "casebus/v1/confirm"
#define ENROLMENT_CONTEXT "casebus/v1/enrolment"
#define HUB_KEYS_CONTEXT  "casebus/v1/hub-keys"

#define STATEMENT_MAX          1024 /* bytes of one */
#define DEPARTMENT_MAX         63   /* bytes of a department's code */
#define AREA_SIZE              6
#define HUB_KEYS_STATEMENT_MAX 4096 /* an authority's certificate is in it */

/* Decode and check the form (context first, suite, names, sizes). Whether it is for this hub, from this node
 * and well signed is the caller's question. */
Casebus__V1__ConfirmStatement *confirm_decode(struct bytes statement, struct arena *arena,
                                              struct casebus_error *err);
Casebus__V1__EnrolmentStatement *enrolment_decode(struct bytes statement, struct arena *arena,
                                                  struct casebus_error *err);
Casebus__V1__HubKeysStatement *hub_keys_decode(struct bytes statement, struct arena *arena,
                                               struct casebus_error *err);

#endif
