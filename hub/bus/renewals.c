/* Renewals: a node asks over its session to be certified anew. Whoever issues certificates needs a while and
 * waits for the ledger, so the bus only passes the question on, and the answer when it comes. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define AGAIN_NS 1000000000ull /* between two questions of a session */

/* An answer that waits for the bus's thread. */
struct renewed {
    uint64_t session;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size; /* 0: it was refused */
    struct casebus_error why;
    struct renewed *next;
};

static void answer(struct bus *bus, struct session *session, struct bytes certificate,
                   const struct casebus_error *why)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Renewed renewed = CASEBUS__V1__RENEWED__INIT;
    renewed.certificate = (ProtobufCBinaryData){certificate.size, (uint8_t *)(uintptr_t)certificate.data};
    if (certificate.size == 0) {
        renewed.code = (char *)(uintptr_t)casebus_code_text(why->code);
        renewed.sentence = words_of(bus, why->code, why->text);
        renewed.hint = words_only(bus, why->hint);
    }
    frame.body_case = CASEBUS__V1__FRAME__BODY_RENEWED;
    frame.renewed = &renewed;
    session_send(bus, session, &frame);
}

void renewals_ask(struct bus *bus, struct session *session, const Casebus__V1__Renew *renew)
{
    struct casebus_error err;
    uint64_t now = clock_monotonic_ns();
    if (session->renewing || (session->renew_asked_ns && now - session->renew_asked_ns < AGAIN_NS))
        error_set(&err, CASEBUS_BUSY, _("the node has asked for a new certificate a moment ago"));
    else if (!bus->options.renew)
        error_set(&err, CASEBUS_NOT_ALLOWED, _("this hub renews no certificates"));
    else if (bus->options.renew(bus->options.self, session->number, session->peer->node,
                                bytes_of(renew->statement.data, renew->statement.len),
                                bytes_of(renew->signature.data, renew->signature.len), &err) == 0) {
        session->renewing = true;
        session->renew_asked_ns = now;
        return;
    }
    answer(bus, session, bytes_of("", 0), &err);
}

void bus_post_renewed(struct bus *bus, uint64_t session, struct bytes certificate,
                      const struct casebus_error *why)
{
    struct renewed *renewed = calloc(1, sizeof(*renewed));
    if (!renewed || certificate.size > CERTIFICATE_MAX) {
        free(renewed);
        return; /* the node asks again */
    }
    renewed->session = session;
    renewed->size = certificate.size;
    if (certificate.size)
        memcpy(renewed->certificate, certificate.data, certificate.size);
    if (why)
        renewed->why = *why;
    pthread_mutex_lock(&bus->lock);
    renewed->next = bus->posted_renewed;
    bus->posted_renewed = renewed;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

void renewals_answer(struct bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    struct renewed *renewed = bus->posted_renewed;
    bus->posted_renewed = NULL;
    pthread_mutex_unlock(&bus->lock);
    while (renewed) {
        struct renewed *next = renewed->next;
        struct session *session = session_by_number(bus, renewed->session);
        arena_reset(&bus->arena);
        if (session && !bus->behind) {
            session->renewing = false;
            answer(bus, session, bytes_of(renewed->certificate, renewed->size), &renewed->why);
        }
        free(renewed);
        renewed = next;
    }
}

void renewals_free(struct bus *bus)
{
    while (bus->posted_renewed) {
        struct renewed *renewed = bus->posted_renewed;
        bus->posted_renewed = renewed->next;
        free(renewed);
    }
}
