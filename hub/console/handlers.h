/* Handlers: one function a route. Each fills in the answer of a call, or fails with an error that the router
 * turns into a status and JSON. */
#ifndef CONSOLE_HANDLERS_H
#define CONSOLE_HANDLERS_H

#include "hub/console/console.h"
#include "hub/console/request.h"

struct call {
    const struct console_hub *hub;
    const struct request *request;
    const struct log *log;
    const char *by;  /* who asks */
    unsigned status; /* 200 unless the handler says otherwise */
    json_t *answer;  /* an object; owned by the call */
};

typedef int handler_fn(struct call *call, struct casebus_error *err);

handler_fn handle_erase, handle_erasure_ticket, handle_erasures, handle_erasure;
handler_fn handle_status, handle_barrier, handle_secured, handle_backup;
handler_fn handle_hub_keys, handle_hub_keys_rotate, handle_enrolment;
handler_fn handle_nodes, handle_node, handle_enrol, handle_node_standing;
handler_fn handle_invitations, handle_invite, handle_invitation_decide;
handler_fn handle_cases, handle_case;
handler_fn handle_events, handle_event;
handler_fn handle_sharing;
handler_fn handle_checkpoint, handle_entries;
handler_fn handle_witness;
handler_fn handle_policy, handle_policy_apply, handle_policy_decide, handle_policy_why;
handler_fn handle_evidence;
handler_fn handle_incident;
handler_fn handle_quarantine, handle_quarantined, handle_release;

/* Peers of the running hub; NULL when it does not tell. The caller frees. */
struct hub_status *hub_status_get(const struct console_hub *hub);

#endif
