/* ZeroMQ gives one descriptor that becomes readable when *something* changed; what, has to be asked, and
 * asked until nothing is left (zmq_getsockopt(3), ZMQ_FD). So the loop is only woken by it, and the session
 * asks before each sleep. A second socket, the monitor, tells what happens to the line itself: only there a
 * refused handshake can be told from a hub that is away. */
#include "adapters/sdk/connection.h"

#include "proto/base/texts.h"
#include "proto/codec/codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <zmq.h>

enum {
    HIGH_WATER = 64,
    MESSAGE_MAX = 320 * 1024,
    HANDSHAKE_MS = 5000,
    REASON_MAX = 160,
};

struct outgoing {
    struct outgoing *next;
    uint8_t *data;
    size_t size;
};

struct connection {
    void *socket;
    void *monitor;
    uv_poll_t socket_poll;
    uv_poll_t monitor_poll;
    int polls; /* handles that the loop still knows */
    bool closed;
    void (*on_wake)(void *self);
    void *self;
    zmq_msg_t received;
    struct outgoing *waiting; /* oldest first */
    struct outgoing **waiting_end;
    enum connection_state state;
    bool greeted; /* the handshake succeeded */
    bool unknown; /* the hub knows this node's key not */
    char reason[REASON_MAX];
};

/* libzmq takes its routing ids and some waiting times from rand(), which starts the same in every process. */
static void rand_seed(void)
{
    unsigned seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed)
        srand(seed);
}

static void rand_seed_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, rand_seed);
}

/* --- opening and closing --- */

static bool option_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool option_int64(void *socket, int option, int64_t value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool option_key(void *socket, int option, const char *z85)
{
    return zmq_setsockopt(socket, option, z85, CURVE_Z85_MAX) == 0;
}

static bool socket_set_up(void *socket, const struct enrolment *enrolment)
{
    return option_int(socket, ZMQ_LINGER, 0) && option_int(socket, ZMQ_SNDHWM, HIGH_WATER) &&
           option_int(socket, ZMQ_RCVHWM, HIGH_WATER) && option_int64(socket, ZMQ_MAXMSGSIZE, MESSAGE_MAX) &&
           option_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && option_int(socket, ZMQ_RECONNECT_IVL, -1) &&
           option_key(socket, ZMQ_CURVE_SERVERKEY, enrolment->hub_curve_tried) &&
           option_key(socket, ZMQ_CURVE_PUBLICKEY, enrolment->curve_public) &&
           option_key(socket, ZMQ_CURVE_SECRETKEY, enrolment->curve_secret);
}

static bool monitor_set_up(struct connection *connection, void *context)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://casebus-connection-%p", (void *)connection);
    if (zmq_socket_monitor(connection->socket, name, ZMQ_EVENT_ALL) != 0)
        return false;
    connection->monitor = zmq_socket(context, ZMQ_PAIR);
    return connection->monitor && option_int(connection->monitor, ZMQ_LINGER, 0) &&
           zmq_connect(connection->monitor, name) == 0;
}

static void connection_on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct connection *connection = poll->data;
    if (!connection->closed)
        connection->on_wake(connection->self);
}

static bool poll_start(struct connection *connection, uv_loop_t *loop, uv_poll_t *poll, void *socket)
{
    int fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0 || uv_poll_init(loop, poll, fd) != 0)
        return false;
    poll->data = connection;
    connection->polls++;
    return uv_poll_start(poll, UV_READABLE, connection_on_poll) == 0;
}

int connection_open(struct connection **connectionp, void *context, uv_loop_t *loop,
                    const struct enrolment *enrolment, const char *endpoint, void (*on_wake)(void *self),
                    void *self, struct casebus_error *err)
{
    *connectionp = NULL;
    rand_seed_once();
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a connection"));
    connection->state = CONNECTION_OPEN;
    connection->on_wake = on_wake;
    connection->self = self;
    connection->waiting_end = &connection->waiting;
    zmq_msg_init(&connection->received);
    connection->socket = zmq_socket(context, ZMQ_DEALER);
    int r = 0;
    if (!connection->socket || !socket_set_up(connection->socket, enrolment) ||
        !monitor_set_up(connection, context))
        r = error_set(err, CASEBUS_NETWORK, _("cannot make a socket: %s"), zmq_strerror(zmq_errno()));
    else if (zmq_connect(connection->socket, endpoint) != 0)
        r = error_set(err, CASEBUS_CONFIG, _("the hub's endpoint '%s' is not usable: %s"), endpoint,
                      zmq_strerror(zmq_errno()));
    else if (!poll_start(connection, loop, &connection->socket_poll, connection->socket) ||
             !poll_start(connection, loop, &connection->monitor_poll, connection->monitor))
        r = error_set(err, CASEBUS_INTERNAL, _("the event loop does not take the socket"));
    if (r != 0) {
        connection_close(connection, 0);
        return -1;
    }
    *connectionp = connection;
    return 0;
}

static void waiting_free(struct connection *connection)
{
    while (connection->waiting) {
        struct outgoing *outgoing = connection->waiting;
        connection->waiting = outgoing->next;
        free(outgoing->data);
        free(outgoing);
    }
}

static void connection_on_poll_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    if (--connection->polls == 0)
        free(connection);
}

static void poll_close(uv_poll_t *poll)
{
    if (poll->data)
        uv_close((uv_handle_t *)poll, connection_on_poll_closed);
}

struct connection *connection_close(struct connection *connection, int linger_ms)
{
    if (!connection)
        return NULL;
    connection->closed = true;
    bool polled = connection->polls > 0;
    poll_close(&connection->socket_poll);
    poll_close(&connection->monitor_poll);
    if (connection->monitor) {
        zmq_socket_monitor(connection->socket, NULL, 0);
        zmq_close(connection->monitor);
    }
    if (connection->socket) {
        option_int(connection->socket, ZMQ_LINGER, linger_ms);
        zmq_close(connection->socket);
    }
    zmq_msg_close(&connection->received);
    waiting_free(connection);
    if (!polled)
        free(connection);
    return NULL;
}

/* --- what happens to the connection --- */

static void connection_end(struct connection *connection, enum connection_state state, const char *reason)
{
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->state = state;
    snprintf(connection->reason, sizeof connection->reason, "%s", reason);
}

/* A hub that goes away during the handshake looks like one that refuses; both are asked again later. */
static void connection_on_event(struct connection *connection, uint16_t event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        connection->greeted = true;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        connection->unknown = true;
        connection_end(connection, CONNECTION_REFUSED,
                       _("the hub does not know this node's key, or has shut it out"));
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        connection_end(connection, CONNECTION_REFUSED,
                       _("the other end is not this hub, or does not speak its protocol"));
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        connection_end(connection, CONNECTION_REFUSED,
                       _("the hub ended the handshake; its key may be another one"));
        break;
    case ZMQ_EVENT_DISCONNECTED:
        if (connection->greeted)
            connection_end(connection, CONNECTION_LOST, _("the connection ended"));
        else
            connection_end(connection, CONNECTION_REFUSED,
                           _("the hub ended the handshake; its key may be another one"));
        break;
    case ZMQ_EVENT_CLOSED:
        connection_end(connection, CONNECTION_LOST, _("nobody answers there"));
        break;
    default:
        (void)value;
    }
}

static void monitor_work(struct connection *connection)
{
    uint8_t event[6];
    char address[256];
    while (zmq_recv(connection->monitor, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
        uint16_t kind;
        uint32_t value;
        memcpy(&kind, event, sizeof kind);
        memcpy(&value, event + 2, sizeof value);
        zmq_recv(connection->monitor, address, sizeof address, ZMQ_DONTWAIT);
        connection_on_event(connection, kind, value);
    }
}

bool connection_doubts_hub(const struct connection *connection)
{
    return connection->state == CONNECTION_REFUSED && !connection->unknown;
}

const char *connection_reason(const struct connection *connection)
{
    return connection->reason;
}

/* --- frames --- */

static void frame_free(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* 1: sent, and the frame is ZeroMQ's; 0: not now; -1: never. */
static int frame_send(struct connection *connection, uint8_t *data, size_t size)
{
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, data, size, frame_free, NULL) != 0)
        return -1;
    if (zmq_msg_send(&message, connection->socket, ZMQ_DONTWAIT) >= 0)
        return 1;
    int reason = zmq_errno();
    zmq_msg_close(&message); /* frees the frame */
    return reason == EAGAIN ? 0 : -1;
}

bool connection_is_busy(const struct connection *connection)
{
    return connection->waiting != NULL;
}

static bool socket_is_ready(void *socket, int events)
{
    int ready;
    size_t size = sizeof ready;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &ready, &size) == 0 && (ready & events);
}

static void waiting_work(struct connection *connection)
{
    while (connection->waiting && socket_is_ready(connection->socket, ZMQ_POLLOUT)) {
        struct outgoing *outgoing = connection->waiting;
        connection->waiting = outgoing->next;
        if (!connection->waiting)
            connection->waiting_end = &connection->waiting;
        if (frame_send(connection, outgoing->data, outgoing->size) != 1)
            connection_end(connection, CONNECTION_LOST, _("the connection takes no frames"));
        free(outgoing);
    }
}

int connection_send(struct connection *connection, uint8_t *frame, size_t size, struct casebus_error *err)
{
    struct outgoing *outgoing = malloc(sizeof *outgoing);
    if (!outgoing) {
        free(frame);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a frame"));
    }
    *outgoing = (struct outgoing){.data = frame, .size = size};
    *connection->waiting_end = outgoing;
    connection->waiting_end = &outgoing->next;
    waiting_work(connection);
    return 0;
}

enum connection_state connection_work(struct connection *connection)
{
    monitor_work(connection);
    waiting_work(connection);
    return connection->state;
}

int connection_receive(struct connection *connection, struct bytes *frame)
{
    while (zmq_msg_recv(&connection->received, connection->socket, ZMQ_DONTWAIT) >= 0) {
        bool more = zmq_msg_more(&connection->received);
        bool single = !more;
        while (more && zmq_msg_recv(&connection->received, connection->socket, ZMQ_DONTWAIT) >= 0)
            more = zmq_msg_more(&connection->received);
        if (!single)
            continue; /* a message of several parts is nothing that a hub sends */
        *frame = bytes_of(zmq_msg_data(&connection->received), zmq_msg_size(&connection->received));
        return 1;
    }
    return 0;
}

bool connection_has_work(struct connection *connection)
{
    int events = ZMQ_POLLIN | (connection->waiting ? ZMQ_POLLOUT : 0);
    return socket_is_ready(connection->socket, events) || socket_is_ready(connection->monitor, ZMQ_POLLIN);
}
