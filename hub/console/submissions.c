/* POST /add-checkpoint: a log asks this hub, as a witness, to cosign (C2SP tlog-witness). Open to everybody:
 * what counts is whose key signed the checkpoint. */
#include "hub/console/raw.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

int raw_add_checkpoint(struct raw_call *call, struct casebus_error *err)
{
    struct notary_answer answer;
    if (!call->hub->notary)
        return error_set(err, CASEBUS_CLOSED, _("the hub does not run"));
    notary_add_checkpoint(call->hub->notary, call->body, clock_unix_us() / 1000000, &answer);
    call->reply->status = answer.status;
    call->reply->content_type = answer.type;
    return buffer_append(&call->reply->body, answer.body, strlen(answer.body))
               ? 0
               : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an answer"));
}
