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
#define FRAMES_A_ROUND 64
#define VIEW_RENEW_NS  1000000000ull
#define ROUTER_HWM     256
#define HANDSHAKE_MS   5000
#define MESSAGE_MAX    (320 * 1024)
#define BUS_ARENA_MAX  (64u * 1024 * 1024)

/* ---- posted from other threads ---- */

static void wake(struct bus *bus)
{
    uint64_t one = 1;
    if (write(bus->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error(bus->options.log, "WAKE", "eventfd: %s", strerror(errno));
}

void bus_post_group(struct bus *bus, struct group *group)
{
    pthread_mutex_lock(&bus->lock);
    if (bus->n_posted == bus->posted_capacity) {
        size_t capacity = bus->posted_capacity * 2 + 64;
        struct group **posted = realloc(bus->posted, capacity * sizeof(struct group *));
        if (!posted)
            abort(); /* a durable group must not go unanswered: restart and replay */
        bus->posted = posted;
        bus->posted_capacity = capacity;
    }
    bus->posted[bus->n_posted++] = group_ref(group);
    pthread_mutex_unlock(&bus->lock);
    wake(bus);
}

void bus_post_persisted(struct bus *bus, uint64_t size)
{
    pthread_mutex_lock(&bus->lock);
    bus->posted_persisted = size;
    pthread_mutex_unlock(&bus->lock);
    wake(bus);
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
    for (const struct job *job = group->jobs; job; job = job->next)
        session_on_job(bus, group, job);
}

/* Takes what was posted: groups are answered, then delivered; what is on disk is let go of. */
static void on_wake(struct bus *bus)
{
    uint64_t count;
    if (read(bus->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error(bus->options.log, "WAKE", "eventfd: %s", strerror(errno));
    pthread_mutex_lock(&bus->lock);
    struct group **groups = bus->posted;
    size_t n = bus->n_posted;
    uint64_t persisted = bus->posted_persisted;
    bus->posted = NULL;
    bus->n_posted = bus->posted_capacity = 0;
    pthread_mutex_unlock(&bus->lock);
    for (size_t i = 0; i < n; i++) {
        on_group(bus, groups[i]);
        group_unref(groups[i]);
    }
    free(groups);
    if (n)
        delivery_work_all(bus);
    if (persisted && bus->n_tail && bus->tail[0]->tree_size <= persisted) {
        renew_views(bus);
        receipts_persisted(bus, persisted);
    }
}

/* Receives one message: routing id and one payload. Anything longer is not of this protocol. False: nothing
 * is there. */
static bool receive(struct bus *bus)
{
    uint8_t routing_id[64];
    zmq_msg_t payload, extra;
    int size = zmq_recv(bus->router, routing_id, sizeof(routing_id), ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    zmq_msg_init(&payload);
    bool ok = zmq_msg_recv(&payload, bus->router, ZMQ_DONTWAIT) >= 0;
    while (ok && zmq_msg_more(&payload)) {
        zmq_msg_init(&extra);
        int more = zmq_msg_recv(&extra, bus->router, ZMQ_DONTWAIT) < 0 ? 0 : zmq_msg_more(&extra);
        zmq_msg_close(&extra);
        ok = false;
        while (more) {
            zmq_msg_init(&extra);
            more = zmq_msg_recv(&extra, bus->router, ZMQ_DONTWAIT) < 0 ? 0 : zmq_msg_more(&extra);
            zmq_msg_close(&extra);
        }
    }
    const char *node = ok ? zmq_msg_gets(&payload, "User-Id") : NULL;
    if (node && *node)
        session_on_frame(bus, routing_id, (size_t)size, node, &payload);
    zmq_msg_close(&payload);
    return true;
}

static void copy_peers(struct bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    struct bus_peer *peers = realloc(bus->peers, (bus->n_sessions + 1) * sizeof(*peers));
    if (peers) {
        bus->peers = peers;
        bus->n_peers = 0;
        for (size_t i = 0; i < SESSION_BUCKETS; i++)
            for (const struct session *s = bus->sessions[i]; s; s = s->next) {
                struct bus_peer *peer = &peers[bus->n_peers++];
                *peer = (struct bus_peer){.last_seen_us = s->last_seen_us,
                                          .in_flight = s->in_flight_bytes,
                                          .delivering = s->receiver.sent_bytes,
                                          .batches = s->batches,
                                          .deliveries = s->deliveries,
                                          .subscribed = s->receiver.subscribed};
                memcpy(peer->node, s->node, sizeof(peer->node));
                memcpy(peer->software, s->software, sizeof(peer->software));
            }
    }
    pthread_mutex_unlock(&bus->lock);
}

size_t bus_get_peers(struct bus *bus, struct bus_peer *peers, size_t max, uint64_t *deliveries,
                     uint64_t *confirms)
{
    pthread_mutex_lock(&bus->lock);
    size_t n = bus->n_peers < max ? bus->n_peers : max;
    if (n)
        memcpy(peers, bus->peers, n * sizeof(*peers));
    if (deliveries)
        *deliveries = bus->n_deliveries;
    if (confirms)
        *confirms = bus->n_confirms;
    n = bus->n_peers;
    pthread_mutex_unlock(&bus->lock);
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
    if (now - bus->views_renewed_ns > VIEW_RENEW_NS)
        renew_views(bus);
    if (now - *last_ns < POLL_MS * 1000000ull)
        return;
    *last_ns = now;
    sessions_expire(bus, now);
    copy_peers(bus);
}

static void *bus_main(void *self)
{
    struct bus *bus = self;
    uint64_t housekept_ns = 0;
    pthread_setname_np(pthread_self(), "bus");
    renew_views(bus);
    while (!stopping(bus)) {
        zmq_pollitem_t items[] = {
            {bus->router, 0, ZMQ_POLLIN, 0}, {bus->zap, 0, ZMQ_POLLIN, 0}, {NULL, bus->wake, ZMQ_POLLIN, 0}};
        zmq_poll(items, 3, delivery_waiting(bus) ? 0 : POLL_MS);
        if (items[1].revents)
            admission_answer(bus);
        for (int i = 0; items[0].revents && i < FRAMES_A_ROUND && receive(bus); i++)
            ;
        if (items[2].revents)
            on_wake(bus);
        if (delivery_waiting(bus))
            delivery_work_all(bus);
        housekeeping(bus, &housekept_ns);
    }
    on_wake(bus); /* what became durable is still answered */
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        while (bus->sessions[i])
            session_bye(bus, bus->sessions[i], CASEBUS_OK, "the hub is stopping; it will be back",
                        "枢纽正在停止,稍后恢复");
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
    pthread_mutex_init(&bus->lock, NULL);
    arena_init(&bus->arena, 512 * 1024, BUS_ARENA_MAX);
    bus->crypter = crypter_new(options->suite);
    bus->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!bus->crypter || bus->wake < 0) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for the bus"));
        bus_free(bus);
        return -1;
    }
    if (receipts_open(bus, err)) {
        bus_free(bus);
        return -1;
    }
    *busp = bus;
    return 0;
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
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
    char server_key[41], endpoint[256];
    size_t size = sizeof(endpoint);
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
    if (admission_open(bus, err) || router_open(bus, err))
        return -1;
    if (zmq_getsockopt(bus->router, ZMQ_LAST_ENDPOINT, endpoint, &size))
        return error_set(err, CASEBUS_INTERNAL, "ROUTER: %s", zmq_strerror(zmq_errno()));
    if (admission_prove(bus, endpoint, server_key, err))
        return -1;
    int r = pthread_create(&bus->thread, NULL, bus_main, bus);
    if (r)
        return error_set_errno(err, r, _("cannot start a thread"));
    bus->running = true;
    return 0;
}

void bus_stop(struct bus *bus)
{
    if (!bus->running)
        return;
    pthread_mutex_lock(&bus->lock);
    bus->stop = true;
    pthread_mutex_unlock(&bus->lock);
    wake(bus);
    pthread_join(bus->thread, NULL);
    bus->running = false;
}

struct bus *bus_free(struct bus *bus)
{
    if (!bus)
        return NULL;
    if (bus->router)
        zmq_close(bus->router);
    if (bus->zap)
        zmq_close(bus->zap);
    if (bus->context)
        zmq_ctx_term(bus->context);
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        while (bus->sessions[i])
            session_remove(bus, bus->sessions[i]);
    for (size_t i = 0; i < bus->n_posted; i++)
        group_unref(bus->posted[i]);
    free(bus->posted);
    free(bus->peers);
    receipts_close(bus);
    arena_deinit(&bus->arena);
    crypter_free(bus->crypter);
    if (bus->wake >= 0)
        close(bus->wake);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
    return NULL;
}
