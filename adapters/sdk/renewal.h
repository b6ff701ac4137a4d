/* Renewal: the node has itself certified anew before its certificate ends, over the session that it has. Name
 * and keys stay; the old certificate is good until it ends, so nothing depends on the moment. */
#ifndef SDK_RENEWAL_H
#define SDK_RENEWAL_H

#include "casebus/error.h"
#include "proto/casebus/v1/session.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

struct renewal {
    bool offered;             /* the hub of this session answers Renew */
    bool asked;               /* in this session, and not answered */
    uint64_t asked_ms;        /* loop time */
    uint64_t due_ms;          /* loop time: not before */
    uint64_t delay_ms;        /* of the last wait; grows until it is renewed */
    struct casebus_error why; /* of the last try that failed; CASEBUS_OK: none did */
};

/* Asks when the time has come, and looks at what is unanswered. Trouble is logged and tried again: it ends no
 * session. */
void renewal_work(struct session *session);
void renewal_on_renewed(struct session *session, const Casebus__V1__Renewed *renewed);
/* The connection ended. */
void renewal_end(struct session *session);

#endif
