/* Join is answered with the offer, JoinRequest with how it stands. Nothing is kept of a peer that names no
 * invitation; a MAC that does not hold is not answered and counts against the invitation. A node asks anew
 * for each answer, so a broken line, a restart of the hub or of the node changes nothing. */
#include "hub/door/internal.h"
#include "hub/exchange/exchange.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"
#include "proto/codec/statement.h"

#define PART_KINDS_MOST 8

static struct bytes frame_of(struct door *door, Casebus__V1__Frame__BodyCase body, void *message)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = body;
    frame.join = message; /* any body: a union of pointers */
    return codec_pack(&frame, &door->arena);
}

/* In both languages of the product: the node's is not known. */
static void refuse(struct door *door, enum casebus_code code, const char *en, const char *zh,
                   struct bytes *reply)
{
    Casebus__V1__Refused refused = CASEBUS__V1__REFUSED__INIT;
    Casebus__V1__Text sentence = CASEBUS__V1__TEXT__INIT;
    sentence.en = (char *)(uintptr_t)en;
    sentence.zh = (char *)(uintptr_t)zh;
    refused.code = (char *)(uintptr_t)casebus_code_text(code);
    refused.sentence = &sentence;
    refused.final = true;
    *reply = frame_of(door, CASEBUS__V1__FRAME__BODY_REFUSED, &refused);
}

/* ---- conversations ---- */

static struct talk *talk_find(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE])
{
    for (size_t i = 0; i < TALKS_MAX; i++)
        if (door->talks[i].serial && memcmp(door->talks[i].routing_id, routing_id, ROUTING_ID_SIZE) == 0)
            return &door->talks[i];
    return NULL;
}

/* The peer's own place, or the oldest one. */
static struct talk *talk_new(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE])
{
    struct talk *talk = talk_find(door, routing_id);
    if (!talk) {
        talk = &door->talks[0];
        for (size_t i = 1; i < TALKS_MAX; i++)
            if (door->talks[i].serial < talk->serial)
                talk = &door->talks[i];
    }
    memset(talk, 0, sizeof *talk);
    memcpy(talk->routing_id, routing_id, ROUTING_ID_SIZE);
    talk->serial = ++door->serial;
    return talk;
}

/* The same bytes each time. */
static struct bytes offer_pack(struct door *door, const struct invitation *invitation)
{
    const struct door_options *options = &door->options;
    uint32_t kinds[PART_KINDS_MOST];
    uint8_t curve_key[CURVE_KEY_SIZE], authority[CERTIFICATE_MAX];
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    Casebus__V1__JoinOffer offer = CASEBUS__V1__JOIN_OFFER__INIT;
    for (uint32_t kind = 1; kind < 32 && grants.n_receive_part_kind < PART_KINDS_MOST; kind++)
        if (invitation->part_kinds & part_kind_bit((Casebus__V1__PartKind)kind))
            kinds[grants.n_receive_part_kind++] = kind;
    grants.receive_part_kind = kinds;
    grants.publish = invitation->publish;
    grants.receive_all = invitation->receive_all;
    offer.context = (char *)(uintptr_t)JOIN_CONTEXT;
    offer.suite = (Casebus__V1__Suite)suite_id(options->suite);
    offer.origin = (char *)(uintptr_t)options->origin;
    offer.log_key = (char *)(uintptr_t)options->log_key;
    pthread_mutex_lock(&door->lock);
    memcpy(curve_key, door->curve_key, CURVE_KEY_SIZE);
    memcpy(authority, door->authority, door->authority_size);
    offer.authority = (ProtobufCBinaryData){door->authority_size, authority};
    pthread_mutex_unlock(&door->lock);
    offer.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, curve_key};
    offer.endpoint = (char *)(uintptr_t)options->endpoint;
    offer.node = (char *)(uintptr_t)invitation->node;
    offer.department = (char *)(uintptr_t)invitation->department;
    offer.area = (char *)(uintptr_t)invitation->area;
    offer.grants = &grants;
    offer.automatic = invitation->automatic;
    offer.expires_at_us = invitation->expires_at_us;
    return codec_pack(&offer, &door->arena);
}

/* ---- Join ---- */

/* Whether the invitation still counts; else it was told. */
static bool counts(struct door *door, const struct invitation *invitation, struct bytes *reply)
{
    if (invitation->state == INVITATION_DONE)
        refuse(door, CASEBUS_EXISTS, "this invitation was used already", "该邀请已被使用", reply);
    else if (invitation->state == INVITATION_VOID)
        refuse(door, CASEBUS_CLOSED, "this invitation is void: somebody tried to guess its code",
               "该邀请已作废：有人试图猜测邀请码", reply);
    else if (invitation->state != INVITATION_REFUSED && clock_unix_us() >= invitation->expires_at_us)
        refuse(door, CASEBUS_CLOSED, "this invitation has expired", "该邀请已过期", reply);
    else
        return true;
    return false;
}

static void on_join(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE],
                    const Casebus__V1__Join *join, struct bytes *reply)
{
    struct invitation invitation;
    uint8_t mac[DIGEST_SIZE];
    Casebus__V1__JoinOpen open = CASEBUS__V1__JOIN_OPEN__INIT;
    if (!invitations_find(door->options.book, join->invitation.data, &invitation)) {
        refuse(door, CASEBUS_NOT_FOUND, "nobody is invited by this code", "没有与此邀请码对应的邀请", reply);
        return;
    }
    if (!counts(door, &invitation, reply))
        return;
    struct talk *talk = talk_new(door, routing_id);
    memcpy(talk->invitation, invitation.id, INVITATION_SIZE);
    memcpy(talk->joining.key, invitation.key, CODE_KEY_SIZE);
    memcpy(talk->joining.node_nonce, join->nonce.data, JOIN_NONCE);
    random_bytes(talk->joining.hub_nonce, JOIN_NONCE);
    struct bytes offer = offer_pack(door, &invitation);
    joining_mac_open(&talk->joining, offer, mac);
    open.nonce = (ProtobufCBinaryData){JOIN_NONCE, talk->joining.hub_nonce};
    open.offer = (ProtobufCBinaryData){offer.size, (uint8_t *)(uintptr_t)offer.data};
    open.mac = (ProtobufCBinaryData){DIGEST_SIZE, mac};
    *reply = frame_of(door, CASEBUS__V1__FRAME__BODY_JOIN_OPEN, &open);
}

/* ---- JoinRequest ---- */

static void on_wrong(struct door *door, const struct invitation *invitation)
{
    struct casebus_error err = {0};
    bool voided;
    if (invitations_wrong(door->options.book, invitation->id, &voided, &err))
        log_error(door->options.log, "INVITATION-FAILED", "%s", err.text);
    else if (voided)
        log_warning(door->options.log, "INVITATION-VOID",
                    _("the invitation of '%s' is void: %d requests came that did not know its code"),
                    invitation->node, INVITATION_WRONG_MAX);
    else
        log_info(door->options.log, "JOIN-WRONG", _("a request that did not know the code of '%s'"),
                 invitation->node);
}

/* That the statement says what was offered, and its key signed it. */
static bool statement_holds(struct door *door, const struct invitation *invitation,
                            const Casebus__V1__JoinRequest *request, struct casebus_error *err)
{
    struct bytes bytes = bytes_of(request->statement.data, request->statement.len);
    const Casebus__V1__EnrolmentStatement *statement = enrolment_decode(bytes, &door->arena, err);
    if (!statement)
        return false;
    if (strcmp(statement->origin, door->options.origin) != 0 ||
        (unsigned)statement->suite != (unsigned)suite_id(door->options.suite) ||
        strcmp(statement->node, invitation->node) != 0 ||
        strcmp(statement->department, invitation->department) != 0 ||
        strcmp(statement->area, invitation->area) != 0) {
        error_set(err, CASEBUS_BAD_FIELD, _("the request of '%s' does not say what it was offered"),
                  invitation->node);
        return false;
    }
    struct public_key key = {.suite = (enum suite_id)statement->suite,
                             .size = (uint8_t)statement->public_key.len};
    memcpy(key.bytes, statement->public_key.data, key.size);
    struct verifier *verifier = verifier_new(&key);
    bool good = verifier && verifier_check(verifier, bytes, request->signature.data);
    verifier_free(verifier);
    if (!good)
        error_set(err, CASEBUS_SIGNATURE, _("the enrolment of '%s' is not signed with the key that it names"),
                  invitation->node);
    return good;
}

/* A first request is kept; @invitation is then as the book has it. */
static bool take(struct door *door, struct invitation *invitation, const Casebus__V1__JoinRequest *request,
                 struct bytes *reply)
{
    struct casebus_error err = {0};
    if (invitation->state != INVITATION_OPEN)
        return true;
    if (!statement_holds(door, invitation, request, &err)) {
        log_warning(door->options.log, "JOIN-REFUSED", "%s", err.text);
        refuse(door, err.code, "the request does not say what was offered, or is not signed with its own key",
               "请求内容与邀请不符，或未用其自身密钥签名", reply);
        return false;
    }
    if (invitations_request(door->options.book, invitation->id,
                            bytes_of(request->statement.data, request->statement.len),
                            request->signature.data, clock_unix_us(), &err)) {
        log_error(door->options.log, "INVITATION-FAILED", "%s", err.text);
        return false; /* it will ask again */
    }
    log_notice(door->options.log, "JOIN-REQUEST", _("'%s' of department '%s' asks to be enrolled"),
               invitation->node, invitation->department);
    return invitations_find(door->options.book, invitation->id, invitation);
}

static bool same_statement(const struct invitation *invitation, const Casebus__V1__JoinRequest *request)
{
    return bytes_equal(bytes_of(invitation->statement, invitation->statement_size),
                       bytes_of(request->statement.data, request->statement.len));
}

static Casebus__V1__JoinState state_for(const struct invitation *invitation,
                                        const Casebus__V1__JoinRequest *request)
{
    if (invitation->state == INVITATION_REFUSED)
        return CASEBUS__V1__JOIN_STATE__JOIN_STATE_REFUSED;
    if (!same_statement(invitation, request))
        return CASEBUS__V1__JOIN_STATE__JOIN_STATE_USED;
    return invitation->state == INVITATION_REQUESTED ? CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING
                                                     : CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED;
}

static void approve(struct door *door, struct invitation *invitation)
{
    struct casebus_error err = {0};
    if (door->options.approve(door->options.self, invitation->id, &err))
        log_warning(door->options.log, "JOIN-FAILED", "%s", err.text);
    invitations_find(door->options.book, invitation->id, invitation);
}

static void done(struct door *door, struct invitation *invitation)
{
    struct casebus_error err = {0};
    if (invitations_done(door->options.book, invitation->id, &err))
        log_error(door->options.log, "INVITATION-FAILED", "%s", err.text);
}

static void answer(struct door *door, const struct talk *talk, struct invitation *invitation,
                   const Casebus__V1__JoinRequest *request, struct bytes *reply)
{
    uint8_t mac[DIGEST_SIZE];
    Casebus__V1__JoinAnswer message = CASEBUS__V1__JOIN_ANSWER__INIT;
    message.state = state_for(invitation, request);
    if (message.state == CASEBUS__V1__JOIN_STATE__JOIN_STATE_WAITING && invitation->automatic) {
        approve(door, invitation);
        message.state = state_for(invitation, request);
    }
    if (message.state == CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED) {
        message.certificate = (ProtobufCBinaryData){invitation->certificate_size, invitation->certificate};
        if (request->kept)
            done(door, invitation);
    }
    if (message.state == CASEBUS__V1__JOIN_STATE__JOIN_STATE_REFUSED) {
        message.words = invitation->words;
        if (!invitation->told && same_statement(invitation, request))
            done(door, invitation);
    }
    joining_mac_answer(&talk->joining, &message, mac);
    message.mac = (ProtobufCBinaryData){DIGEST_SIZE, mac};
    *reply = frame_of(door, CASEBUS__V1__FRAME__BODY_JOIN_ANSWER, &message);
}

static void on_request(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE],
                       const Casebus__V1__JoinRequest *request, struct bytes *reply)
{
    struct invitation invitation;
    uint8_t mac[DIGEST_SIZE];
    const struct talk *talk = talk_find(door, routing_id);
    if (!talk || !invitations_find(door->options.book, talk->invitation, &invitation))
        return;
    joining_mac_request(&talk->joining, offer_pack(door, &invitation), request, mac);
    if (!joining_is(mac, request->mac)) {
        on_wrong(door, &invitation);
        return;
    }
    if (counts(door, &invitation, reply) && take(door, &invitation, request, reply))
        answer(door, talk, &invitation, request, reply);
}

void talk_hear(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE], struct bytes bytes,
               struct bytes *reply)
{
    struct casebus_error err;
    const Casebus__V1__Frame *frame = frame_decode(bytes, &door->arena, &err);
    if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_JOIN)
        on_join(door, routing_id, frame->join, reply);
    else if (frame && frame->body_case == CASEBUS__V1__FRAME__BODY_JOIN_REQUEST)
        on_request(door, routing_id, frame->join_request, reply);
}
