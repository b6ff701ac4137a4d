/* The same keys, certified once more. New keys would be safer if they came from a person: but whoever has
 * stolen a node's keys could have them replaced by his own in this way, and shut the department out of its
 * own name. So a key is changed at the door, by an operator, and over the session a key is only prolonged. */
#include "adapters/sdk/renewal.h"

#include "adapters/sdk/session.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/enrol/node_keys.h"

#include <inttypes.h>
#include <time.h>
#include <zmq.h>

enum {
    UNANSWERED_PINGS = 6, /* in which an answer has to come ... */
    RETRY_PINGS = 6,      /* ... and after which it is asked again, then twice as long, and so on */
    RETRY_MAX_MS = 6 * 3600000,
};

#define SECONDS_A_DAY 86400

static void renewal_failed(struct session *session, const struct casebus_error *why)
{
    struct renewal *renewal = &session->renewal;
    const struct enrolment *enrolment = session->parts.enrolment;
    int64_t days = certificate_days_left(enrolment->certificate_ends, clock_unix_us() / 1000000);
    renewal->delay_ms *= 2;
    if (renewal->delay_ms < RETRY_PINGS * session->limits.ping_interval_ms)
        renewal->delay_ms = RETRY_PINGS * session->limits.ping_interval_ms;
    if (renewal->delay_ms > RETRY_MAX_MS)
        renewal->delay_ms = RETRY_MAX_MS;
    renewal->asked = false;
    renewal->due_ms = uv_now(session->parts.loop) + renewal->delay_ms;
    renewal->why = *why;
    log_warning(session->parts.log, "RENEWAL-FAILED",
                _("the certificate of node '%s' ends in %" PRId64 " days and was not renewed: %s (%s)%s%s; "
                  "trying again in %" PRIu64 " s"),
                enrolment->node, days, why->text, casebus_code_text(why->code), why->hint[0] ? "; " : "",
                why->hint, renewal->delay_ms / 1000);
}

static int renew_send(struct session *session, struct arena *arena, struct casebus_error *err)
{
    const struct enrolment *enrolment = session->parts.enrolment;
    const struct node_claim claim = {enrolment->origin, enrolment->node, enrolment->department,
                                     enrolment->area};
    struct node_keys keys = {.key = enrolment->key};
    struct bytes statement;
    uint8_t signature[SIGNATURE_SIZE];
    Casebus__V1__Renew renew = CASEBUS__V1__RENEW__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    if (!zmq_z85_decode(keys.curve_public, enrolment->curve_public))
        return error_set(err, CASEBUS_KEY, _("the node's CURVE key is not usable"));
    if (node_keys_state(&keys, &claim, arena, &statement, signature, err) != 0)
        return -1;
    renew.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    renew.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    frame.body_case = CASEBUS__V1__FRAME__BODY_RENEW;
    frame.renew = &renew;
    return session_send(session, &frame, err);
}

static int renewal_ask(struct session *session, struct casebus_error *err)
{
    struct arena arena;
    arena_init(&arena, 2048, 16 * 1024);
    int r = renew_send(session, &arena, err);
    arena_deinit(&arena);
    return r;
}

static bool renewal_is_due(const struct session *session)
{
    const struct renewal *renewal = &session->renewal;
    int64_t left_s = session->parts.enrolment->certificate_ends - clock_unix_us() / 1000000;
    return renewal->offered && left_s < (int64_t)session->parts.renew_days * SECONDS_A_DAY &&
           uv_now(session->parts.loop) >= renewal->due_ms;
}

void renewal_work(struct session *session)
{
    struct renewal *renewal = &session->renewal;
    struct casebus_error err;
    uint64_t waited_ms = uv_now(session->parts.loop) - renewal->asked_ms;
    if (renewal->asked && waited_ms >= UNANSWERED_PINGS * session->limits.ping_interval_ms) {
        error_set(&err, CASEBUS_TIMEOUT, _("the hub did not answer"));
        renewal_failed(session, &err);
    }
    if (renewal->asked || !renewal_is_due(session))
        return;
    if (renewal_ask(session, &err) != 0) {
        renewal_failed(session, &err);
        return;
    }
    renewal->asked = true;
    renewal->asked_ms = uv_now(session->parts.loop);
}

void renewal_on_renewed(struct session *session, const Casebus__V1__Renewed *renewed)
{
    struct renewal *renewal = &session->renewal;
    struct enrolment *enrolment = session->parts.enrolment;
    struct casebus_error err;
    char day[32] = "";
    struct tm tm;
    if (!renewal->asked)
        return; /* too late: it was asked anew, or will be */
    if (renewed->certificate.len == 0) {
        error_from_hub(&err, renewed->code, renewed->sentence, renewed->hint);
        renewal_failed(session, &err);
        return;
    }
    if (enrolment_renew(enrolment, session->parts.dir,
                        bytes_of(renewed->certificate.data, renewed->certificate.len), &err) != 0) {
        renewal_failed(session, &err);
        return;
    }
    *renewal = (struct renewal){.offered = true};
    time_t ends = (time_t)enrolment->certificate_ends;
    if (gmtime_r(&ends, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    log_notice(session->parts.log, "CERTIFICATE-RENEWED",
               _("the certificate of node '%s' was renewed: it ends on %s"), enrolment->node, day);
}

void renewal_end(struct session *session)
{
    session->renewal.asked = session->renewal.offered = false;
}
