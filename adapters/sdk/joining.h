/* Joining: a node's side of the hub's door. Each question is a conversation of its own over a new line, so
 * that neither a restart of the hub nor one of this program changes anything. */
#ifndef SDK_JOINING_H
#define SDK_JOINING_H

#include "proto/codec/joining.h"

struct joiner {
    const char *door; /* tcp://HOST:PORT */
    uint8_t invitation[INVITATION_SIZE];
    uint8_t key[CODE_KEY_SIZE];
    int timeout_ms; /* for one answer */
};

/* What this node says once it has seen the offer: its statement and signature into @request. -1: do not go
 * on. @arena lasts as long as the conversation. */
typedef int joiner_state_fn(void *self, const Casebus__V1__JoinOffer *offer, struct arena *arena,
                            Casebus__V1__JoinRequest *request, struct casebus_error *err);

/* Asks once: the hub shows that it knows the code, this node states itself, the hub says how it stands. The
 * answer lives in @arena. NULL: CASEBUS_NETWORK or CASEBUS_TIMEOUT when nobody answers, CASEBUS_HUB_IDENTITY
 * when the hub does not know the code, or with the hub's refusal. */
const Casebus__V1__JoinAnswer *joiner_ask(const struct joiner *joiner, bool kept, joiner_state_fn *state,
                                          void *self, struct arena *arena, struct casebus_error *err);

/* The address behind @endpoint's port: where a hub has its door unless it was set otherwise. False when
 * there is none. */
bool joiner_door(char *out, size_t size, const char *endpoint);

#endif
