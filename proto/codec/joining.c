/* Each MAC is over a label, both nonces and every field of its message, with its length: nothing of it can be
 * altered, moved into another message, or used in another conversation. */
#include "proto/codec/joining.h"

#include "proto/base/texts.h"
#include "proto/codec/check.h"
#include "proto/codec/statement.h"
#include "proto/crypto/certificate.h"

#define OFFER_MAX  4096
#define WORDS_MAX  512
#define TEXT_MAX   512
#define PARTS_MOST 8

/* ---- form ---- */

static int join_check(const Casebus__V1__Join *join, struct casebus_error *err)
{
    if (join->version != 1)
        return error_set(err, CASEBUS_BAD_VERSION, _("this hub speaks version 1 of joining, not %u"),
                         (unsigned)join->version);
    return check_size("Join.invitation", join->invitation, INVITATION_SIZE, err) ||
                   check_size("Join.nonce", join->nonce, JOIN_NONCE, err) ||
                   check_text_max("Join.software", join->software, 63, err)
               ? -1
               : 0;
}

static int open_check(const Casebus__V1__JoinOpen *open, struct casebus_error *err)
{
    return check_size("JoinOpen.nonce", open->nonce, JOIN_NONCE, err) ||
                   check_size_max("JoinOpen.offer", open->offer, OFFER_MAX, err) ||
                   check_size("JoinOpen.mac", open->mac, DIGEST_SIZE, err)
               ? -1
               : 0;
}

static int request_check(const Casebus__V1__JoinRequest *request, struct casebus_error *err)
{
    return check_size_max("JoinRequest.statement", request->statement, STATEMENT_MAX, err) ||
                   check_size("JoinRequest.signature", request->signature, SIGNATURE_SIZE, err) ||
                   check_size("JoinRequest.mac", request->mac, DIGEST_SIZE, err)
               ? -1
               : 0;
}

static int answer_check(const Casebus__V1__JoinAnswer *answer, struct casebus_error *err)
{
    if (check_enum("JoinAnswer.state", &casebus__v1__join_state__descriptor, (int)answer->state, err) ||
        check_text_max("JoinAnswer.words", answer->words, WORDS_MAX, err) ||
        check_size("JoinAnswer.mac", answer->mac, DIGEST_SIZE, err))
        return -1;
    bool enrolled = answer->state == CASEBUS__V1__JOIN_STATE__JOIN_STATE_ENROLLED;
    if (!enrolled && answer->certificate.len)
        return error_set(err, CASEBUS_BAD_FIELD, _("%s is there, but nobody was enrolled"),
                         "JoinAnswer.certificate");
    return enrolled ? check_size_max("JoinAnswer.certificate", answer->certificate, CERTIFICATE_MAX, err) : 0;
}

int joining_check(const Casebus__V1__Frame *frame, struct casebus_error *err)
{
    switch (frame->body_case) {
    case CASEBUS__V1__FRAME__BODY_JOIN:
        return join_check(frame->join, err);
    case CASEBUS__V1__FRAME__BODY_JOIN_OPEN:
        return open_check(frame->join_open, err);
    case CASEBUS__V1__FRAME__BODY_JOIN_REQUEST:
        return request_check(frame->join_request, err);
    case CASEBUS__V1__FRAME__BODY_JOIN_ANSWER:
        return answer_check(frame->join_answer, err);
    default:
        return 0;
    }
}

static int offer_check(const Casebus__V1__JoinOffer *offer, struct casebus_error *err)
{
    if (check_suite("JoinOffer.suite", offer->suite, err) ||
        check_origin("JoinOffer.origin", offer->origin, err) ||
        check_size_max("JoinOffer.authority", offer->authority, CERTIFICATE_MAX, err) ||
        check_text("JoinOffer.log_key", offer->log_key, TEXT_MAX, err) ||
        check_size("JoinOffer.curve_key", offer->curve_key, CURVE_KEY_SIZE, err) ||
        check_text("JoinOffer.endpoint", offer->endpoint, 255, err) ||
        check_node("JoinOffer.node", offer->node, err) ||
        check_text("JoinOffer.department", offer->department, DEPARTMENT_MAX, err) ||
        check_text_max("JoinOffer.area", offer->area, AREA_SIZE, err) ||
        check_time("JoinOffer.expires_at_us", offer->expires_at_us, err))
        return -1;
    if (!offer->grants)
        return error_set(err, CASEBUS_MISSING_FIELD, _("%s is missing"), "JoinOffer.grants");
    return check_count("Grants.receive_part_kind", offer->grants->n_receive_part_kind, PARTS_MOST, err);
}

Casebus__V1__JoinOffer *join_offer_decode(struct bytes bytes, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {.max_size = OFFER_MAX, .max_fields = 64, .max_depth = 3};
    Casebus__V1__JoinOffer *offer = (Casebus__V1__JoinOffer *)codec_unpack(
        &casebus__v1__join_offer__descriptor, bytes, &limits, arena, err);
    if (!offer || check_context("JoinOffer", bytes, JOIN_CONTEXT, err) || offer_check(offer, err))
        return NULL;
    return offer;
}

/* ---- MACs ---- */

static void mac_over(const struct joining *joining, const char *label, const struct bytes *fields, size_t n,
                     uint8_t mac[DIGEST_SIZE])
{
    struct bytes parts[3 + 2 * 4] = {bytes_of(label, strlen(label) + 1),
                                     bytes_of(joining->node_nonce, JOIN_NONCE),
                                     bytes_of(joining->hub_nonce, JOIN_NONCE)};
    uint8_t sizes[4][4];
    for (size_t i = 0; i < n; i++) {
        put_u32be(sizes[i], (uint32_t)fields[i].size);
        parts[3 + 2 * i] = bytes_of(sizes[i], 4);
        parts[4 + 2 * i] = fields[i];
    }
    code_mac(joining->key, parts, 3 + 2 * n, mac);
}

void joining_mac_open(const struct joining *joining, struct bytes offer, uint8_t mac[DIGEST_SIZE])
{
    mac_over(joining, "casebus/v1/join/open", &offer, 1, mac);
}

void joining_mac_request(const struct joining *joining, struct bytes offer,
                         const Casebus__V1__JoinRequest *request, uint8_t mac[DIGEST_SIZE])
{
    const uint8_t kept = request->kept ? 1 : 0;
    const struct bytes fields[] = {offer, bytes_of_field(request->statement),
                                   bytes_of_field(request->signature), bytes_of(&kept, 1)};
    mac_over(joining, "casebus/v1/join/request", fields, 4, mac);
}

void joining_mac_answer(const struct joining *joining, const Casebus__V1__JoinAnswer *answer,
                        uint8_t mac[DIGEST_SIZE])
{
    const uint8_t state = (uint8_t)answer->state;
    const struct bytes fields[] = {bytes_of(&state, 1), bytes_of_field(answer->certificate),
                                   bytes_of_text(answer->words)};
    mac_over(joining, "casebus/v1/join/answer", fields, 3, mac);
}

bool joining_is(const uint8_t mac[DIGEST_SIZE], ProtobufCBinaryData given)
{
    return given.len == DIGEST_SIZE && secret_equal(mac, given.data, DIGEST_SIZE);
}
