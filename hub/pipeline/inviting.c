#include "hub/pipeline/inviting.h"

#include "hub/pipeline/internal.h"

struct inviting {
    const Casebus__V1__NodeInvited *invited;
    const struct act_note *note;
};

static int invited_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                         struct casebus_error *err)
{
    const struct inviting *inviting = asked->self;
    uint8_t subject[DIGEST_SIZE];
    Casebus__V1__NodeInvited invited = *inviting->invited;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    crypter_random(pipeline->writer.crypter, subject, sizeof subject);
    invited.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED;
    act.node_invited = &invited;
    return act_add_noted(pipeline, group, &act, subject, inviting->note, err);
}

int pipeline_invite(struct pipeline *pipeline, const Casebus__V1__NodeInvited *invited,
                    const struct act_note *note, struct casebus_error *err)
{
    struct inviting inviting = {invited, note};
    struct asked asked = {.write = invited_write, .self = &inviting};
    return writer_ask(pipeline, &asked, err);
}
