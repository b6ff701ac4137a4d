/* The thread lives as long as the door is open, with a ZeroMQ context of its own: when that is gone, so is
 * the listener, and whoever comes is told by the kernel that nobody is here. */
#include "hub/door/door.h"

#include "hub/door/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define LOOK_MS        50
#define FRAMES_A_ROUND 64
#define HANDSHAKE_MS   3000
#define QUEUE_MOST     8 /* messages for one peer, and from one */
#define ARENA_MAX      (256 * 1024)

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int listen_open(struct door *door, struct casebus_error *err)
{
    int64_t message_max = JOIN_FRAME_MAX;
    door->context = zmq_ctx_new();
    door->router = door->context ? zmq_socket(door->context, ZMQ_ROUTER) : NULL;
    if (!door->router || set_int(door->router, ZMQ_LINGER, 0) || set_int(door->router, ZMQ_BACKLOG, 32) ||
        set_int(door->router, ZMQ_ROUTER_HANDOVER, 0) || set_int(door->router, ZMQ_SNDHWM, QUEUE_MOST) ||
        set_int(door->router, ZMQ_RCVHWM, QUEUE_MOST) ||
        set_int(door->router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) ||
        zmq_setsockopt(door->router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max))
        return error_set(err, CASEBUS_INTERNAL, "ROUTER: %s", zmq_strerror(zmq_errno()));
    return guard_open(door, err);
}

static void listen_close(struct door *door)
{
    guard_close(door);
    if (door->router)
        zmq_close(door->router);
    if (door->context)
        zmq_ctx_term(door->context);
    door->router = door->context = NULL;
}

/* Receives and forgets the rest of a message. */
static void receive_rest(struct door *door)
{
    int more = 1;
    size_t size = sizeof more;
    uint8_t byte;
    while (zmq_getsockopt(door->router, ZMQ_RCVMORE, &more, &size) == 0 && more)
        if (zmq_recv(door->router, &byte, 1, ZMQ_DONTWAIT) < 0)
            return;
}

/* One message: a routing id that libzmq made, and one frame. False: there is none. */
static bool receive(struct door *door)
{
    uint8_t id[256], frame[JOIN_FRAME_MAX];
    struct bytes reply = {0};
    int id_size = zmq_recv(door->router, id, sizeof id, ZMQ_DONTWAIT);
    if (id_size < 0)
        return false;
    int size = zmq_recv(door->router, frame, sizeof frame, ZMQ_DONTWAIT);
    int more = 0;
    size_t more_size = sizeof more;
    zmq_getsockopt(door->router, ZMQ_RCVMORE, &more, &more_size);
    receive_rest(door);
    if (id_size != ROUTING_ID_SIZE || id[0] != 0 || size < 0 || size > JOIN_FRAME_MAX || more)
        return true;
    arena_reset(&door->arena);
    talk_hear(door, id, bytes_of(frame, (size_t)size), &reply);
    if (reply.size && zmq_send(door->router, id, ROUTING_ID_SIZE, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send(door->router, reply.data, reply.size, ZMQ_DONTWAIT);
    return true;
}

/* Whether to go on; else it counts as shut from now on. */
static bool wanted(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    bool on = !door->stop && (door->holds || invitations_wait(door->options.book, clock_unix_us()));
    door->open = on; /* who needs it from now on has to wait for the end of this thread, and open it anew */
    pthread_mutex_unlock(&door->lock);
    return on;
}

static void *door_main(void *self)
{
    struct door *door = self;
    pthread_setname_np(pthread_self(), "door");
    while (wanted(door)) {
        zmq_pollitem_t items[] = {{door->router, 0, ZMQ_POLLIN, 0}, {door->guard.monitor, 0, ZMQ_POLLIN, 0}};
        zmq_poll(items, 2, LOOK_MS);
        guard_look(door);
        for (int i = 0; items[0].revents && i < FRAMES_A_ROUND && receive(door); i++)
            ;
    }
    listen_close(door);
    log_notice(door->options.log, "DOOR-SHUT", _("nobody is invited any more: %s is shut"),
               door->options.address);
    return NULL;
}

/* ---- life ---- */

static void authority_copy(struct door *door, struct bytes authority)
{
    door->authority_size = authority.size < sizeof door->authority ? authority.size : sizeof door->authority;
    memcpy(door->authority, authority.data, door->authority_size);
}

int door_new(struct door **doorp, const struct door_options *options, struct casebus_error *err)
{
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the door"));
    door->options = *options;
    memcpy(door->curve_key, options->curve_key, CURVE_KEY_SIZE);
    authority_copy(door, options->authority);
    pthread_mutex_init(&door->lock, NULL);
    arena_init(&door->arena, 16 * 1024, ARENA_MAX);
    *doorp = door;
    return 0;
}

static void thread_join(struct door *door)
{
    if (door->started)
        pthread_join(door->thread, NULL);
    door->started = false;
}

struct door *door_free(struct door *door)
{
    if (!door)
        return NULL;
    pthread_mutex_lock(&door->lock);
    door->stop = true;
    pthread_mutex_unlock(&door->lock);
    thread_join(door);
    arena_deinit(&door->arena);
    secret_clear(door->talks, sizeof door->talks);
    pthread_mutex_destroy(&door->lock);
    free(door);
    return NULL;
}

/* The thread that was has ended, or there was none. */
static int start(struct door *door, struct casebus_error *err)
{
    if (!*door->options.address) {
        error_set(err, CASEBUS_NETWORK, _("this hub has no door where nodes could join"));
        return error_hint(err, _("set `door: tcp://ADDRESS:PORT` in hub.yaml and start the hub again, or "
                                 "enrol the node here: casebus node add"));
    }
    if (listen_open(door, err)) {
        listen_close(door);
        return -1;
    }
    int r = pthread_create(&door->thread, NULL, door_main, door);
    if (r) {
        listen_close(door);
        return error_set_errno(err, r, _("cannot start a thread"));
    }
    log_notice(door->options.log, "DOOR-OPEN", _("somebody is invited: %s is open"), door->options.address);
    return 0;
}

int door_hold(struct door *door, struct casebus_error *err)
{
    int r = 0;
    pthread_mutex_lock(&door->lock);
    door->holds++;
    bool open = door->open;
    pthread_mutex_unlock(&door->lock);
    if (open)
        return 0;
    thread_join(door);
    r = start(door, err);
    pthread_mutex_lock(&door->lock);
    door->started = door->open = r == 0;
    door->holds -= r != 0;
    pthread_mutex_unlock(&door->lock);
    return r;
}

void door_release(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    door->holds--;
    pthread_mutex_unlock(&door->lock);
}

void door_set_curve_key(struct door *door, const uint8_t key[CURVE_KEY_SIZE])
{
    pthread_mutex_lock(&door->lock);
    memcpy(door->curve_key, key, CURVE_KEY_SIZE);
    pthread_mutex_unlock(&door->lock);
}

void door_set_authority(struct door *door, struct bytes authority)
{
    pthread_mutex_lock(&door->lock);
    authority_copy(door, authority);
    pthread_mutex_unlock(&door->lock);
}

bool door_is_open(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    bool open = door->open;
    pthread_mutex_unlock(&door->lock);
    return open;
}
