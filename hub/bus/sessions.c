/* The table of sessions. A session is found by its connection's routing id when a frame comes, by its number
 * when a job comes back, and all of them are walked through their slots.
 *
 * What a node has under way is counted for the node, not for the session: a session that was left and begun
 * again gives nobody a fresh window, and sessions of one node are few. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <stdlib.h>

/* ---- peers: nodes that have a session or something under way ---- */

static struct peer *peer_find(struct bus *bus, const char *node)
{
    struct peer *peer = bus->first_peer;
    while (peer && strcmp(peer->node, node) != 0)
        peer = peer->next;
    return peer;
}

static struct peer *peer_get(struct bus *bus, const char *node)
{
    struct peer *peer = peer_find(bus, node);
    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    snprintf(peer->node, sizeof(peer->node), "%s", node);
    peer->next = bus->first_peer;
    bus->first_peer = peer;
    return peer;
}

static void peer_drop_if_idle(struct bus *bus, struct peer *peer)
{
    if (peer->n_sessions || peer->in_flight_frames)
        return;
    struct peer **at = &bus->first_peer;
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    free(peer);
}

void peer_charge(struct peer *peer, size_t bytes)
{
    peer->in_flight_frames++;
    peer->in_flight_bytes += bytes;
}

void peer_give_back(struct bus *bus, const struct session *session, const struct job *job)
{
    struct peer *peer = session ? session->peer : peer_find(bus, job->node->info.node);
    assert(peer && peer->in_flight_frames > 0 && peer->in_flight_bytes >= job->frame_size);
    peer->in_flight_frames--;
    peer->in_flight_bytes -= job->frame_size;
    peer_drop_if_idle(bus, peer);
}

void peers_free(struct bus *bus)
{
    while (bus->first_peer) {
        struct peer *peer = bus->first_peer;
        bus->first_peer = peer->next;
        free(peer);
    }
}

/* ---- finding ---- */

static size_t bucket(const void *routing_id)
{
    return get_u32be((const uint8_t *)routing_id + 1) % SESSION_BUCKETS; /* libzmq counts them */
}

struct session *session_find(struct bus *bus, const void *routing_id)
{
    struct session *session = bus->buckets[bucket(routing_id)];
    while (session && memcmp(session->routing_id, routing_id, ROUTING_ID_SIZE) != 0)
        session = session->next;
    return session;
}

struct session *session_by_number(struct bus *bus, uint64_t number)
{
    struct session *session = bus->slots[number % SESSIONS_MAX];
    return session && session->number == number ? session : NULL;
}

/* ---- coming and going ---- */

/* A node that opens one connection after the other keeps its newest ones: ghosts of a program that was
 * restarted go first, and nobody can use up the places of others. */
static void make_place(struct bus *bus, const struct peer *peer)
{
    struct session *oldest = NULL;
    if (peer->n_sessions < SESSIONS_PER_NODE)
        return;
    for (size_t i = 0; i < bus->n_slots; i++)
        if (bus->slots[i] && bus->slots[i]->peer == peer &&
            (!oldest || bus->slots[i]->last_heard_ns < oldest->last_heard_ns))
            oldest = bus->slots[i];
    if (!oldest)
        return;
    session_bye(bus, oldest, CASEBUS_BUSY, "this node has too many sessions; a newer one takes this place",
                "该节点会话过多,此会话由更新的会话取代");
}

/* The lowest free slot; SESSIONS_MAX when there is none. */
static size_t free_slot(const struct bus *bus)
{
    size_t i = 0;
    while (i < bus->n_slots && bus->slots[i])
        i++;
    return i;
}

struct session *session_add(struct bus *bus, const void *routing_id, const char *node)
{
    struct peer *peer = peer_get(bus, node);
    if (!peer)
        return NULL;
    make_place(bus, peer);
    size_t slot = free_slot(bus);
    struct session *session = slot < SESSIONS_MAX ? calloc(1, sizeof(*session)) : NULL;
    if (!session) {
        peer_drop_if_idle(bus, peer);
        return NULL;
    }
    memcpy(session->routing_id, routing_id, ROUTING_ID_SIZE);
    session->number = ++bus->last_session * SESSIONS_MAX + slot;
    session->last_heard_ns = clock_monotonic_ns();
    session->peer = peer;
    peer->n_sessions++;
    session->next = bus->buckets[bucket(routing_id)];
    bus->buckets[bucket(routing_id)] = session;
    bus->slots[slot] = session;
    if (slot == bus->n_slots)
        bus->n_slots++;
    return session;
}

void session_remove(struct bus *bus, struct session *session)
{
    struct session **at = &bus->buckets[bucket(session->routing_id)];
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    bus->slots[session->number % SESSIONS_MAX] = NULL;
    while (bus->n_slots && !bus->slots[bus->n_slots - 1])
        bus->n_slots--;
    session->peer->n_sessions--;
    peer_drop_if_idle(bus, session->peer);
    if (session->confirm_waits)
        zmq_msg_close(&session->confirm);
    free(session->receiver.sent);
    free(session);
}

void sessions_expire(struct bus *bus, uint64_t now_ns)
{
    for (size_t i = 0; i < bus->n_slots; i++) {
        struct session *session = bus->slots[i];
        if (!session || now_ns - session->last_heard_ns < bus->silence_ns)
            continue;
        log_notice(bus->options.log, "SESSION-SILENT",
                   _("node '%s' was not heard for %llu s: its session ends"), session->peer->node,
                   (unsigned long long)(bus->silence_ns / 1000000000));
        session_bye(bus, session, CASEBUS_TIMEOUT, "this node was not heard for too long",
                    "节点长时间无响应");
    }
}

/* ---- sending ---- */

static int send_to(struct bus *bus, const void *routing_id, const Casebus__V1__Frame *frame)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, casebus__v1__frame__get_packed_size(frame)))
        return -1;
    casebus__v1__frame__pack(frame, zmq_msg_data(&message));
    if (zmq_send(bus->router, routing_id, ROUTING_ID_SIZE, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_msg_send(&message, bus->router, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EAGAIN && bus->asking && memcmp(bus->asking, routing_id, ROUTING_ID_SIZE) == 0)
            bus->unread = true;
        zmq_msg_close(&message);
        return -1;
    }
    return 0;
}

bool session_send(struct bus *bus, struct session *session, const Casebus__V1__Frame *frame)
{
    if (!send_to(bus, session->routing_id, frame))
        return true;
    log_notice(bus->options.log, "SESSION-LOST", _("node '%s' is gone or does not read: its session ends"),
               session->peer->node);
    session_remove(bus, session);
    return false;
}

void bye_send(struct bus *bus, const void *routing_id, enum casebus_code code, const char *en, const char *zh)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Bye bye = CASEBUS__V1__BYE__INIT;
    Casebus__V1__Text sentence = CASEBUS__V1__TEXT__INIT;
    sentence.en = (char *)en;
    sentence.zh = (char *)zh;
    bye.code = (char *)casebus_code_text(code);
    bye.sentence = &sentence;
    frame.body_case = CASEBUS__V1__FRAME__BODY_BYE;
    frame.bye = &bye;
    send_to(bus, routing_id, &frame);
}

void session_bye(struct bus *bus, struct session *session, enum casebus_code code, const char *en,
                 const char *zh)
{
    if (code != CASEBUS_OK && code != CASEBUS_CLOSED)
        log_info(bus->options.log, "SESSION-ENDED", "%s: %s %s", session->peer->node, casebus_code_text(code),
                 casebus_code_meaning(code));
    bye_send(bus, session->routing_id, code, en, zh);
    session_remove(bus, session);
}

void session_bye_error(struct bus *bus, struct session *session, const struct casebus_error *err)
{
    const Casebus__V1__Text *words = words_of(bus, err->code, err->text);
    session_bye(bus, session, err->code, words ? words->en : "", words ? words->zh : "");
}
