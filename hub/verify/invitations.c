/* Invitations: a node that came by one is the one that was invited, in time, once, and may do no more than
 * the invitation says. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

static struct verify_invitation *invitation_find(const struct verify *verify, ProtobufCBinaryData id)
{
    for (size_t i = 0; i < verify->n_invitations; i++)
        if (memcmp(verify->invitations[i].id, id.data, INVITATION_SIZE) == 0)
            return &verify->invitations[i];
    return NULL;
}

int verify_invited(struct verify *verify, const Casebus__V1__NodeInvited *invited, struct casebus_error *err)
{
    if (invitation_find(verify, invited->invitation))
        return error_set(err, CASEBUS_DAMAGED, _("the invitation of '%s' stands in the ledger twice"),
                         invited->node);
    if (verify_grow((void **)&verify->invitations, verify->n_invitations, sizeof *verify->invitations, err))
        return -1;
    struct verify_invitation *invitation = &verify->invitations[verify->n_invitations++];
    *invitation = (struct verify_invitation){.position = verify->position};
    memcpy(invitation->id, invited->invitation.data, INVITATION_SIZE);
    return 0;
}

static const Casebus__V1__NodeInvited *invited_read(struct verify *verify, uint64_t position,
                                                    struct casebus_error *err)
{
    struct bytes leaf;
    if (ledger_view_leaf(verify->scanner.view, position, &leaf, err))
        return NULL;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &verify->scanner.arena, err);
    if (!entry)
        return NULL;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED)
        return entry->act->node_invited;
    error_set(err, CASEBUS_DAMAGED, _("entry %llu of the ledger is no invitation any more"),
              (unsigned long long)position);
    return NULL;
}

int verify_invitation_used(struct verify *verify, const struct certificate_info *node,
                           const Casebus__V1__NodeEnrolled *enrolled, struct casebus_error *err)
{
    if (enrolled->invitation.len == 0)
        return 0;
    struct verify_invitation *invitation = invitation_find(verify, enrolled->invitation);
    if (!invitation)
        return error_set(err, CASEBUS_NOT_ALLOWED,
                         _("node '%s' is enrolled by an invitation that no entry before gives"), node->node);
    if (invitation->used)
        return error_set(err, CASEBUS_NOT_ALLOWED,
                         _("node '%s' is enrolled by the invitation at entry %llu, which was used before"),
                         node->node, (unsigned long long)invitation->position);
    const Casebus__V1__NodeInvited *invited = invited_read(verify, invitation->position, err);
    if (!invited)
        return -1;
    if (!invitation_is_for(invited, node->node, node->department, node->area, enrolled->grants))
        return error_set(err, CASEBUS_NOT_ALLOWED,
                         _("node '%s' is enrolled by the invitation at entry %llu, which is for another node "
                           "or other rights"),
                         node->node, (unsigned long long)invitation->position);
    if (verify->hub_time_us > invited->expires_at_us + VERIFY_SLACK_S * INT64_C(1000000))
        return error_set(err, CASEBUS_NOT_ALLOWED,
                         _("node '%s' is enrolled by the invitation at entry %llu, which had expired"),
                         node->node, (unsigned long long)invitation->position);
    invitation->used = true;
    return 0;
}
