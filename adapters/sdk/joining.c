/* Whatever comes in is a stranger's until its MAC holds. A refusal that carries none is believed: who can
 * forge one could cut the line as well. */
#include "adapters/sdk/joining.h"

#include "adapters/sdk/session.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"

#include <stdlib.h>
#include <zmq.h>

struct line {
    const struct joiner *joiner;
    void *context, *socket;
    struct arena *arena;
    struct joining joining;
    struct bytes offer; /* exact bytes */
};

/* ---- the line ---- */

static int line_open(struct line *line, struct casebus_error *err)
{
    int zero = 0, handshake_ms = line->joiner->timeout_ms;
    int64_t most = JOIN_FRAME_MAX;
    line->context = zmq_ctx_new();
    line->socket = line->context ? zmq_socket(line->context, ZMQ_DEALER) : NULL;
    if (!line->socket || zmq_setsockopt(line->socket, ZMQ_LINGER, &zero, sizeof zero) ||
        zmq_setsockopt(line->socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms) ||
        zmq_setsockopt(line->socket, ZMQ_MAXMSGSIZE, &most, sizeof most))
        return error_set(err, CASEBUS_INTERNAL, "DEALER: %s", zmq_strerror(zmq_errno()));
    if (zmq_connect(line->socket, line->joiner->door))
        return error_set(err, CASEBUS_ARGUMENT, _("cannot connect to '%s': %s"), line->joiner->door,
                         zmq_strerror(zmq_errno()));
    return 0;
}

static void line_close(struct line *line)
{
    if (line->socket)
        zmq_close(line->socket);
    if (line->context)
        zmq_ctx_term(line->context);
    secret_clear(&line->joining, sizeof line->joining);
}

static int say(struct line *line, Casebus__V1__Frame__BodyCase body, void *message, struct casebus_error *err)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = body;
    frame.join = message; /* any body: a union of pointers */
    struct bytes bytes = codec_pack(&frame, line->arena);
    if (!bytes.data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    return zmq_send(line->socket, bytes.data, bytes.size, ZMQ_DONTWAIT) >= 0
               ? 0
               : error_set(err, CASEBUS_NETWORK, "%s: %s", line->joiner->door, zmq_strerror(zmq_errno()));
}

/* One frame of the kind @body. NULL with @err. */
static const Casebus__V1__Frame *hear(struct line *line, Casebus__V1__Frame__BodyCase body,
                                      struct casebus_error *err)
{
    uint8_t bytes[JOIN_FRAME_MAX];
    zmq_pollitem_t item = {line->socket, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, line->joiner->timeout_ms) <= 0) {
        error_set(err, CASEBUS_TIMEOUT, _("nobody answers at %s"), line->joiner->door);
        return NULL;
    }
    int size = zmq_recv(line->socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0 || size > JOIN_FRAME_MAX) {
        error_set(err, CASEBUS_MALFORMED, _("what answers at %s is no hub"), line->joiner->door);
        return NULL;
    }
    const Casebus__V1__Frame *frame = frame_decode(bytes_of(bytes, (size_t)size), line->arena, err);
    if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_REFUSED) {
        error_from_hub(err, frame->refused->code, frame->refused->sentence, frame->refused->hint);
        return NULL;
    }
    if (frame && frame->body_case != body) {
        error_set(err, CASEBUS_MALFORMED, _("what answers at %s is no hub"), line->joiner->door);
        return NULL;
    }
    return frame;
}

/* ---- the conversation ---- */

static int not_the_hub(const struct line *line, struct casebus_error *err)
{
    error_set(err, CASEBUS_HUB_IDENTITY, _("what answers at %s does not know the code: it is not the hub"),
              line->joiner->door);
    return error_hint(err, _("check the address with the operator; somebody may be between you and the hub"));
}

static const Casebus__V1__JoinOffer *offer_get(struct line *line, struct casebus_error *err)
{
    uint8_t mac[DIGEST_SIZE];
    Casebus__V1__Join join = CASEBUS__V1__JOIN__INIT;
    random_bytes(line->joining.node_nonce, JOIN_NONCE);
    memcpy(line->joining.key, line->joiner->key, CODE_KEY_SIZE);
    join.version = 1;
    join.invitation = (ProtobufCBinaryData){INVITATION_SIZE, (uint8_t *)(uintptr_t)line->joiner->invitation};
    join.nonce = (ProtobufCBinaryData){JOIN_NONCE, line->joining.node_nonce};
    join.software = (char *)(uintptr_t) "libcasebus/" CASEBUS_RELEASE;
    if (say(line, CASEBUS__V1__FRAME__BODY_JOIN, &join, err))
        return NULL;
    const Casebus__V1__Frame *frame = hear(line, CASEBUS__V1__FRAME__BODY_JOIN_OPEN, err);
    if (!frame)
        return NULL;
    const Casebus__V1__JoinOpen *open = frame->join_open;
    memcpy(line->joining.hub_nonce, open->nonce.data, JOIN_NONCE);
    line->offer = bytes_of(open->offer.data, open->offer.len);
    joining_mac_open(&line->joining, line->offer, mac);
    if (!joining_is(mac, open->mac)) {
        not_the_hub(line, err);
        return NULL;
    }
    return join_offer_decode(line->offer, line->arena, err);
}

static const Casebus__V1__JoinAnswer *answer_get(struct line *line, Casebus__V1__JoinRequest *request,
                                                 struct casebus_error *err)
{
    uint8_t mac[DIGEST_SIZE];
    joining_mac_request(&line->joining, line->offer, request, mac);
    request->mac = (ProtobufCBinaryData){DIGEST_SIZE, mac};
    if (say(line, CASEBUS__V1__FRAME__BODY_JOIN_REQUEST, request, err))
        return NULL;
    const Casebus__V1__Frame *frame = hear(line, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, err);
    if (!frame)
        return NULL;
    joining_mac_answer(&line->joining, frame->join_answer, mac);
    if (!joining_is(mac, frame->join_answer->mac)) {
        not_the_hub(line, err);
        return NULL;
    }
    return frame->join_answer;
}

const Casebus__V1__JoinAnswer *joiner_ask(const struct joiner *joiner, bool kept, joiner_state_fn *state,
                                          void *self, struct arena *arena, struct casebus_error *err)
{
    struct line line = {.joiner = joiner, .arena = arena};
    const Casebus__V1__JoinAnswer *answer = NULL;
    Casebus__V1__JoinRequest request = CASEBUS__V1__JOIN_REQUEST__INIT;
    const Casebus__V1__JoinOffer *offer = line_open(&line, err) ? NULL : offer_get(&line, err);
    request.kept = kept;
    if (offer && state(self, offer, arena, &request, err) == 0)
        answer = answer_get(&line, &request, err);
    line_close(&line);
    return answer;
}

bool joiner_door(char *out, size_t size, const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    return strncmp(endpoint, "tcp://", 6) == 0 && port > 0 && port < 65535 &&
           (size_t)snprintf(out, size, "%.*s:%lu", (int)(colon - endpoint), endpoint, port + 1) < size;
}
