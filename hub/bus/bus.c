#include "hub/bus/bus.h"

#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLL_MS        250
#define IDLE_MS        1000
#define GOODBYE_MS     300 /* for the last frames to leave */
#define FRAMES_A_ROUND 64
#define VIEW_RENEW_NS  1000000000ull
#define HANDSHAKE_MS   5000
#define MESSAGE_MAX    (320 * 1024)
#define BUS_ARENA_MAX  (64u * 1024 * 1024)

/* ---- posted from other threads ---- */

void bus_wake(struct bus *bus)
{
    uint64_t one = 1;
    if (write(bus->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error(bus->options.log, "WAKE", "eventfd: %s", strerror(errno));
}

void bus_post_group(struct bus *bus, struct group *group)
{
    group_ref(group)->next_posted = NULL;
    pthread_mutex_lock(&bus->lock);
    if (bus->last_posted)
        bus->last_posted->next_posted = group;
    else
        bus->posted = group;
    bus->last_posted = group;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

void bus_post_persisted(struct bus *bus, uint64_t size)
{
    pthread_mutex_lock(&bus->lock);
    bus->posted_persisted = size;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

/* What witnesses say; the lock is held. */
static void take_witnesses_word(struct bus *bus)
{
    if (bus->posted_behind && !bus->behind) {
        bus->behind = true;
        log_error(bus->options.log, "HUB-BEHIND",
                  _("%s: the hub signs nothing until an operator has looked%s%s"), bus->behind_why.text,
                  bus->behind_why.hint[0] ? "; " : "", bus->behind_why.hint);
    }
    if (bus->posted_cosigned_serial == bus->cosigned_serial)
        return;
    bus->cosigned_serial = bus->posted_cosigned_serial;
    bus->cosigned_size = bus->posted_cosigned_size;
    memcpy(bus->cosigned, bus->posted_cosigned, sizeof(bus->cosigned));
}

void bus_post_behind(struct bus *bus, const struct casebus_error *err)
{
    pthread_mutex_lock(&bus->lock);
    bus->posted_behind = true;
    bus->behind_why = *err;
    if (!bus->running)
        take_witnesses_word(bus); /* before anybody could be answered */
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

bool bus_behind(struct bus *bus)
{
    return bus->behind;
}

void bus_post_cosigned(struct bus *bus, uint64_t size, const char *note)
{
    pthread_mutex_lock(&bus->lock);
    snprintf(bus->posted_cosigned, sizeof(bus->posted_cosigned), "%s", note);
    bus->posted_cosigned_size = size;
    bus->posted_cosigned_serial++;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

void bus_fatal(struct bus *bus, const struct casebus_error *err)
{
    if (bus->options.on_fatal)
        bus->options.on_fatal(bus->options.self, err);
}

/* ---- the loop ---- */

static void renew_views(struct bus *bus)
{
    struct casebus_error err;
    bus->views_renewed_ns = clock_monotonic_ns();
    if (ledger_view_renew(bus->ledger_view, &err) || state_view_renew(bus->state_view, &err))
        bus_fatal(bus, &err);
}

static void on_group(struct bus *bus, struct group *group)
{
    struct casebus_error err;
    if (group->n_entries && receipts_add_group(bus, group, &err)) {
        bus_fatal(bus, &err);
        return;
    }
    if (group->n_erasures && erasures_on_group(bus, group, &err)) {
        bus_fatal(bus, &err);
        return;
    }
    for (const struct job *job = group->jobs; job; job = job->next)
        session_on_job(bus, group, job);
}

/* Takes what was posted: groups are answered; what is on disk is let go of. */
static void on_wake(struct bus *bus)
{
    uint64_t count;
    if (read(bus->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error(bus->options.log, "WAKE", "eventfd: %s", strerror(errno));
    pthread_mutex_lock(&bus->lock);
    struct group *groups = bus->posted;
    uint64_t persisted = bus->posted_persisted;
    bus->posted = bus->last_posted = NULL;
    take_witnesses_word(bus);
    pthread_mutex_unlock(&bus->lock);
    while (groups) {
        struct group *group = groups;
        groups = group->next_posted;
        on_group(bus, group);
        group_unref(group);
    }
    if (persisted && bus->n_tail && bus->tail[0]->tree_size <= persisted) {
        renew_views(bus);
        receipts_persisted(bus, persisted);
    }
    erasures_let_go(bus);
    renewals_answer(bus);
}

/* Receives and forgets the rest of a message. */
static void receive_rest(struct bus *bus)
{
    zmq_msg_t extra;
    bool more = true;
    while (more) {
        zmq_msg_init(&extra);
        more = zmq_msg_recv(&extra, bus->router, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&extra);
        zmq_msg_close(&extra);
    }
}

/* Only libzmq's own ids are unique: one that a peer chose could be taken over by another peer, with what is
 * sent to it. */
static bool anonymous(const uint8_t *routing_id, int size)
{
    return size == ROUTING_ID_SIZE && routing_id[0] == 0;
}

/* Receives one message: routing id and one payload. Anything else is not of this protocol. False: nothing is
 * there. */
static bool receive(struct bus *bus)
{
    uint8_t routing_id[256];
    zmq_msg_t payload;
    int size = zmq_recv(bus->router, routing_id, sizeof(routing_id), ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    zmq_msg_init(&payload);
    bool whole = zmq_msg_recv(&payload, bus->router, ZMQ_DONTWAIT) >= 0;
    if (whole && zmq_msg_more(&payload)) {
        receive_rest(bus);
        whole = false;
    }
    int fd = zmq_msg_get(&payload, ZMQ_SRCFD);
    const char *node = whole ? zmq_msg_gets(&payload, "User-Id") : NULL;
    bus->asking = routing_id;
    bus->unread = false;
    if (!anonymous(routing_id, size))
        connection_cut(bus, fd, CUT_NAMED);
    else if (node && *node && !standing_lets(bus, node))
        connection_cut(bus, fd, CUT_STANDING);
    else if (node && *node)
        session_on_frame(bus, routing_id, node, &payload);
    if (bus->unread) /* it asks on and on, and reads no answer */
        connection_cut(bus, fd, CUT_DEAF);
    bus->asking = NULL;
    connection_heard(bus, fd, anonymous(routing_id, size) ? session_find(bus, routing_id) : NULL);
    zmq_msg_close(&payload);
    return true;
}

static struct bus_peer peer_of(const struct session *session)
{
    struct bus_peer peer = {.last_seen_us = session->last_seen_us,
                            .in_flight = session->peer->in_flight_bytes,
                            .delivering = session->receiver.sent_bytes,
                            .batches = session->batches,
                            .deliveries = session->deliveries,
                            .subscribed = session->receiver.subscribed};
    memcpy(peer.node, session->peer->node, sizeof(peer.node));
    memcpy(peer.software, session->software, sizeof(peer.software));
    return peer;
}

static void copy_peers(struct bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    struct bus_peer *peers = realloc(bus->peers, (bus->n_slots + 1) * sizeof(*peers));
    if (peers) {
        bus->peers = peers;
        bus->n_peers = 0;
        for (size_t i = 0; i < bus->n_slots; i++)
            if (bus->slots[i])
                peers[bus->n_peers++] = peer_of(bus->slots[i]);
    }
    pthread_mutex_unlock(&bus->lock);
}

size_t bus_get_peers(struct bus *bus, struct bus_peer *peers, size_t max, uint64_t *deliveries,
                     uint64_t *confirms)
{
    pthread_mutex_lock(&bus->lock);
    size_t n = bus->n_peers;
    if (n && max)
        memcpy(peers, bus->peers, (n < max ? n : max) * sizeof(*peers));
    pthread_mutex_unlock(&bus->lock);
    if (deliveries)
        *deliveries = atomic_load_explicit(&bus->n_deliveries, memory_order_relaxed);
    if (confirms)
        *confirms = atomic_load_explicit(&bus->n_confirms, memory_order_relaxed);
    return n;
}

static bool stopping(struct bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    bool stop = bus->stop;
    pthread_mutex_unlock(&bus->lock);
    return stop;
}

static void housekeeping(struct bus *bus, uint64_t *last_ns)
{
    uint64_t now = clock_monotonic_ns();
    standing_enforce(bus);
    hub_keys_look(bus);
    connections_look(bus, now);
    if (now - bus->views_renewed_ns > VIEW_RENEW_NS)
        renew_views(bus);
    if (now - *last_ns < POLL_MS * 1000000ull)
        return;
    *last_ns = now;
    sessions_expire(bus, now);
    copy_peers(bus);
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

/* What became durable is still answered, then everybody is told. */
static void say_goodbye(struct bus *bus)
{
    on_wake(bus);
    set_int(bus->router, ZMQ_LINGER, GOODBYE_MS);
    for (size_t i = 0; i < bus->n_slots; i++)
        if (bus->slots[i])
            session_bye(bus, bus->slots[i], CASEBUS_OK, "the hub is stopping; it will be back",
                        "枢纽正在停止,稍后恢复");
}

static int poll_ms(const struct bus *bus)
{
    if (delivery_waiting(bus))
        return 0;
    return bus->connections.n_open ? CONNECTIONS_LOOK_MS : IDLE_MS;
}

static void *bus_main(void *self)
{
    struct bus *bus = self;
    uint64_t housekept_ns = 0;
    pthread_setname_np(pthread_self(), "bus");
    renew_views(bus);
    on_wake(bus); /* a hub that is behind must know it before its first answer */
    while (!stopping(bus)) {
        zmq_pollitem_t items[] = {{bus->router, 0, ZMQ_POLLIN, 0},
                                  {bus->zap, 0, ZMQ_POLLIN, 0},
                                  {NULL, bus->wake, ZMQ_POLLIN, 0},
                                  {bus->monitor, 0, ZMQ_POLLIN, 0}};
        zmq_poll(items, 4, poll_ms(bus));
        if (items[3].revents)
            connections_on_monitor(bus);
        if (items[1].revents)
            admission_answer(bus);
        for (int i = 0; items[0].revents && i < FRAMES_A_ROUND && receive(bus); i++)
            ;
        if (items[2].revents)
            on_wake(bus);
        delivery_work_all(bus);
        housekeeping(bus, &housekept_ns);
    }
    say_goodbye(bus);
    return NULL;
}

/* ---- life ---- */

int bus_new(struct bus **busp, const struct bus_options *options, struct casebus_error *err)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    if (!bus)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the bus"));
    bus->options = *options;
    bus->wake = -1;
    snprintf(bus->origin, sizeof(bus->origin), "%s", options->origin);
    bus->silence_ns = options->silence_ms ? options->silence_ms * 1000000ull : SILENCE_NS;
    pthread_mutex_init(&bus->lock, NULL);
    languages_init(&bus->languages);
    arena_init(&bus->arena, 512 * 1024, BUS_ARENA_MAX);
    bus->crypter = crypter_new(options->suite);
    bus->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!bus->crypter || bus->wake < 0) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for the bus"));
        bus_free(bus);
        return -1;
    }
    if (receipts_open(bus, err) || erasures_open(bus, err)) {
        bus_free(bus);
        return -1;
    }
    *busp = bus;
    return 0;
}

void bus_set_secured(struct bus *bus, uint64_t size)
{
    atomic_store_explicit(&bus->secured, size, memory_order_relaxed);
}

static int router_open(struct bus *bus, struct casebus_error *err)
{
    int64_t message_max = MESSAGE_MAX;
    bus->router = zmq_socket(bus->context, ZMQ_ROUTER);
    if (!bus->router || set_int(bus->router, ZMQ_LINGER, 0) ||
        set_int(bus->router, ZMQ_ROUTER_MANDATORY, 1) || set_int(bus->router, ZMQ_ROUTER_HANDOVER, 0) ||
        set_int(bus->router, ZMQ_CURVE_SERVER, 1) || set_int(bus->router, ZMQ_SNDHWM, ROUTER_HWM) ||
        set_int(bus->router, ZMQ_RCVHWM, ROUTER_HWM) ||
        set_int(bus->router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) ||
        zmq_setsockopt(bus->router, ZMQ_MAXMSGSIZE, &message_max, sizeof(message_max)) ||
        zmq_setsockopt(bus->router, ZMQ_ZAP_DOMAIN, "casebus", 7) ||
        zmq_setsockopt(bus->router, ZMQ_CURVE_SECRETKEY, bus->options.curve_secret, 41))
        return error_set(err, CASEBUS_INTERNAL, "ROUTER: %s", zmq_strerror(zmq_errno()));
    if (connections_open(bus, err))
        return -1;
    if (zmq_bind(bus->router, bus->options.listen)) {
        error_set(err, CASEBUS_NETWORK, _("cannot listen on %s: %s"), bus->options.listen,
                  zmq_strerror(zmq_errno()));
        return error_hint(
            err,
            _("choose another address with `listen:` in hub.yaml, or end the program that uses this one"));
    }
    return 0;
}

int bus_start(struct bus *bus, struct pipeline *pipeline, struct casebus_error *err)
{
    char server_key[41];
    size_t size = sizeof(bus->endpoint);
    unsigned seed;
    bus->pipeline = pipeline;
    random_bytes(&seed, sizeof(seed));
    srand(seed); /* libzmq draws routing ids from rand() */
    bus->context = zmq_ctx_new();
    if (!bus->context)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the bus"));
    zmq_ctx_set(bus->context, ZMQ_MAX_SOCKETS, SESSIONS_MAX + 64);
    if (zmq_curve_public(server_key, bus->options.curve_secret))
        return error_set(err, CASEBUS_KEY, _("the hub's CURVE key is not usable"));
    if (proving_open(bus, bus->options.curve_secret, err) || admission_open(bus, err) ||
        router_open(bus, err))
        return -1;
    if (zmq_getsockopt(bus->router, ZMQ_LAST_ENDPOINT, bus->endpoint, &size))
        return error_set(err, CASEBUS_INTERNAL, "ROUTER: %s", zmq_strerror(zmq_errno()));
    if (admission_prove(bus, bus->endpoint, server_key, err))
        return -1;
    int r = pthread_create(&bus->thread, NULL, bus_main, bus);
    if (r)
        return error_set_errno(err, r, _("cannot start a thread"));
    bus->running = true;
    return 0;
}

const char *bus_endpoint(const struct bus *bus)
{
    return bus->endpoint;
}

void bus_stop(struct bus *bus)
{
    if (!bus->running)
        return;
    pthread_mutex_lock(&bus->lock);
    bus->stop = true;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
    pthread_join(bus->thread, NULL);
    bus->running = false;
}

struct bus *bus_free(struct bus *bus)
{
    if (!bus)
        return NULL;
    connections_close(bus);
    registry_unref(bus->standing);
    admission_close(bus);
    if (bus->router)
        zmq_close(bus->router);
    if (bus->zap)
        zmq_close(bus->zap);
    if (bus->context)
        zmq_ctx_term(bus->context);
    while (bus->n_slots)
        session_remove(bus, bus->slots[bus->n_slots - 1]);
    peers_free(bus);
    while (bus->posted) {
        struct group *group = bus->posted;
        bus->posted = group->next_posted;
        group_unref(group);
    }
    renewals_free(bus);
    free(bus->posted_hub_keys);
    free(bus->hub_keys);
    secret_clear(bus->posted_curve, sizeof(bus->posted_curve));
    free(bus->peers);
    erasures_close(bus);
    receipts_close(bus);
    arena_deinit(&bus->arena);
    crypter_free(bus->crypter);
    if (bus->wake >= 0)
        close(bus->wake);
    languages_deinit(&bus->languages);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
    return NULL;
}
