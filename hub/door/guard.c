/* libzmq bounds a message's size and a handshake's time. It bounds neither how many connections there are,
 * nor how long one lasts, nor the parts of a message that never ends; so the guard does, by the descriptors.
 */
#include "hub/door/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/tcp.h>

#define MONITOR     "inproc://casebus.door"
#define LASTS_NS    15000000000ull /* one conversation takes milliseconds */
#define BYTES_MOST  (64 * 1024)
#define EVENTS_MOST 256

int guard_open(struct door *door, struct casebus_error *err)
{
    char address[256];
    size_t size = sizeof address;
    memset(&door->guard, 0, sizeof door->guard);
    if (zmq_socket_monitor(door->router, MONITOR,
                           ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED) != 0)
        return error_set(err, CASEBUS_INTERNAL, "ROUTER: %s", zmq_strerror(zmq_errno()));
    door->guard.monitor = zmq_socket(door->context, ZMQ_PAIR);
    if (!door->guard.monitor || zmq_connect(door->guard.monitor, MONITOR) != 0 ||
        zmq_bind(door->router, door->options.address) != 0 ||
        zmq_getsockopt(door->router, ZMQ_LAST_ENDPOINT, address, &size) != 0) {
        error_set(err, CASEBUS_NETWORK, _("cannot listen on %s: %s"), door->options.address,
                  zmq_strerror(zmq_errno()));
        return error_hint(err, _("choose another address with `door:` in hub.yaml"));
    }
    const char *colon = strrchr(address, ':');
    door->guard.port = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
    return 0;
}

void guard_close(struct door *door)
{
    if (door->guard.monitor)
        zmq_close(door->guard.monitor);
    door->guard.monitor = NULL;
}

/* A descriptor may be somebody else's by now: only one of the door's own port is touched. */
static bool is_ours(const struct door *door, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return false;
    int port = address.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)(void *)&address)->sin_port)
               : address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port)
                                               : 0;
    return port == door->guard.port;
}

static void shut(struct door *door, struct guarded *guarded)
{
    const struct linger none = {.l_onoff = 1};
    guarded->open = false;
    if (!is_ours(door, guarded->fd))
        return;
    setsockopt(guarded->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    shutdown(guarded->fd, SHUT_RDWR);
}

static bool fed_too_much(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_bytes_received > BYTES_MOST;
}

/* A free place; when all are taken, the oldest one is put out for it. */
static void came(struct door *door, int fd)
{
    struct guarded *place = &door->guard.at[0];
    for (size_t i = 0; i < GUARD_MAX && place->open; i++)
        if (!door->guard.at[i].open || door->guard.at[i].since_ns < place->since_ns)
            place = &door->guard.at[i];
    if (place->open)
        shut(door, place);
    *place = (struct guarded){fd, clock_monotonic_ns(), true};
}

static void went(struct door *door, int fd)
{
    for (size_t i = 0; i < GUARD_MAX; i++)
        if (door->guard.at[i].fd == fd)
            door->guard.at[i].open = false;
}

/* One event: number and value, then the address. False: there is none. */
static bool event_take(struct door *door)
{
    uint8_t event[6];
    char address[256];
    if (zmq_recv(door->guard.monitor, event, sizeof event, ZMQ_DONTWAIT) != sizeof event)
        return false;
    zmq_recv(door->guard.monitor, address, sizeof address, ZMQ_DONTWAIT);
    uint16_t number;
    int32_t fd;
    memcpy(&number, event, sizeof number);
    memcpy(&fd, event + 2, sizeof fd);
    if (number == ZMQ_EVENT_ACCEPTED)
        came(door, fd);
    else
        went(door, fd);
    return true;
}

void guard_look(struct door *door)
{
    for (int i = 0; i < EVENTS_MOST && event_take(door); i++)
        ;
    uint64_t now = clock_monotonic_ns(); /* after those that came */
    for (size_t i = 0; i < GUARD_MAX; i++) {
        struct guarded *guarded = &door->guard.at[i];
        if (guarded->open && (now - guarded->since_ns > LASTS_NS || fed_too_much(guarded->fd)))
            shut(door, guarded);
    }
}
