/* Connections: every TCP connection to the bus, whoever is behind it, from the moment it was accepted.
 *
 * libzmq tells of them by its monitor, and the kernel how much they have fed. What libzmq bounds by itself is
 * a message's size and the time of a handshake; it does not bound how many connections there are, how long
 * one lasts that says nothing, and how many parts it gathers of a message that never ends. So a connection
 * without a session, one that feeds bytes and completes no message, and one too many are shut down here; what
 * libzmq kept of them goes with them. Only their descriptors are touched: closing them is libzmq's.
 *
 * When there are too many, the oldest one without a session goes, of those addresses that have most of them:
 * a crowd displaces itself, and neither those who are in nor those who come from elsewhere. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <linux/tcp.h>

#define MONITOR            "inproc://casebus.connections"
#define LOOK_NS            (CONNECTIONS_LOOK_MS * 1000000ull)
#define LOOK_MORE_NS       25000ull /* for each connection: looking takes a fiftieth of the time at most */
#define TOLD_NS            10000000000ull
#define IDLE_LEAST_NS      2000000000ull
#define DESCRIPTORS_OTHERS 128 /* left to the stores and the console */
#define CONNECTIONS_MOST   (SESSIONS_MAX + 1024)
#define CROWD_MOST         128         /* without a session, of one group of addresses */
#define HANDSHAKE_BYTES    (32 * 1024) /* of handshake and Hello */
#define UNFINISHED_BYTES   (1024 * 1024)

/* ---- one connection ---- */

static struct connection *connection_at(struct bus *bus, int fd)
{
    struct connections *all = &bus->connections;
    return fd >= 0 && (size_t)fd < all->n && all->at[fd].open ? &all->at[fd] : NULL;
}

/* Whether it has a session counts for its crowd. */
static void connection_know(struct bus *bus, struct connection *connection, bool known)
{
    if (known != connection->known)
        bus->connections.strangers[connection->crowd] += known ? -1 : 1;
    connection->known = known;
}

/* The address, IPv4 as IPv6; all zeros for a peer that has none. */
static struct sockaddr_in6 address_of(int fd)
{
    struct sockaddr_in6 address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
    socklen_t size = sizeof(address);
    memset(&address, 0, sizeof(address));
    if (getpeername(fd, (struct sockaddr *)(void *)&address, &size) == 0 && address.sin6_family == AF_INET) {
        struct sockaddr_in plain = *v4;
        memset(&address, 0, sizeof(address));
        address.sin6_port = plain.sin_port;
        memcpy(&address.sin6_addr.s6_addr[12], &plain.sin_addr, sizeof(plain.sin_addr));
    } else if (address.sin6_family != AF_INET6) {
        memset(&address, 0, sizeof(address));
    }
    return address;
}

/* Of IPv6 addresses a person has a whole network of 2^64. */
static uint8_t crowd_of(const struct bus *bus, const struct sockaddr_in6 *address)
{
    const uint8_t *bytes = address->sin6_addr.s6_addr;
    static const uint8_t v4[12];
    size_t from = memcmp(bytes, v4, sizeof(v4)) == 0 ? 12 : 0;
    uint32_t hash = bus->connections.salt;
    for (size_t i = from; i < (from ? 16 : 8); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (uint8_t)(hash >> 24);
}

static void connection_forget(struct bus *bus, struct connection *connection)
{
    if (!connection->cut) {
        connection_know(bus, connection, true);
        bus->connections.n_open--;
    }
    connection->open = false;
}

/* A descriptor may be somebody else's by now: only one that still leads to this peer is touched. Without
 * lingering the kernel keeps nothing of it either, once libzmq has closed it. */
static void connection_shut(struct bus *bus, struct connection *connection, enum cut_reason reason)
{
    int fd = (int)(connection - bus->connections.at);
    struct sockaddr_in6 address = address_of(fd);
    const struct linger none = {.l_onoff = 1};
    if (connection->cut)
        return;
    connection_know(bus, connection, true);
    bus->connections.n_open--;
    bus->connections.n_cut[reason]++;
    connection->cut = true;
    if (memcmp(&address, &connection->address, sizeof(address)) == 0 &&
        (address.sin6_port || !bus->connections.over_tcp)) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        shutdown(fd, SHUT_RDWR);
    }
}

void connection_cut(struct bus *bus, int fd, enum cut_reason reason)
{
    struct connection *connection = connection_at(bus, fd);
    if (connection)
        connection_shut(bus, connection, reason);
}

void connection_heard(struct bus *bus, int fd, const struct session *session)
{
    struct connection *connection = connection_at(bus, fd);
    if (!connection || connection->cut)
        return;
    connection->moved = true;
    if (session) {
        connection->session = session->number;
        connection->welcome_ns = session->last_heard_ns;
        connection_know(bus, connection, true);
    }
}

/* ---- crowds ---- */

static struct connection *oldest_stranger(struct bus *bus, uint8_t crowd)
{
    struct connections *all = &bus->connections;
    struct connection *oldest = NULL;
    for (size_t i = 0; i < all->n; i++) {
        struct connection *c = &all->at[i];
        if (c->open && !c->cut && !c->known && c->crowd == crowd &&
            (!oldest || c->welcome_ns < oldest->welcome_ns))
            oldest = c;
    }
    return oldest;
}

static uint8_t largest_crowd(const struct bus *bus)
{
    size_t largest = 0;
    for (size_t i = 1; i < CROWDS; i++)
        if (bus->connections.strangers[i] > bus->connections.strangers[largest])
            largest = i;
    return (uint8_t)largest;
}

/* After one more has come. */
static void make_room(struct bus *bus, uint8_t crowd)
{
    struct connections *all = &bus->connections;
    struct connection *one = NULL;
    if (all->strangers[crowd] > CROWD_MOST)
        one = oldest_stranger(bus, crowd);
    else if (all->n_open > all->most)
        one = oldest_stranger(bus, largest_crowd(bus));
    if (one)
        connection_shut(bus, one, CUT_CROWD);
}

/* ---- coming and going ---- */

static struct connection *slot_of(struct bus *bus, int fd)
{
    struct connections *all = &bus->connections;
    size_t n = all->n ? all->n : 64;
    while (n <= (size_t)fd)
        n *= 2;
    if (n > all->n) {
        struct connection *at = realloc(all->at, n * sizeof(*at));
        if (!at)
            return NULL;
        memset(at + all->n, 0, (n - all->n) * sizeof(*at));
        all->at = at;
        all->n = n;
    }
    return &all->at[fd];
}

static void on_accepted(struct bus *bus, int fd)
{
    struct connection *connection = slot_of(bus, fd);
    if (!connection) {
        shutdown(fd, SHUT_RDWR); /* nobody would watch it */
        return;
    }
    if (connection->open)
        connection_forget(bus, connection);
    *connection = (struct connection){.open = true,
                                      .known = true,
                                      .measured = true, /* from its first byte on */
                                      .welcome_ns = clock_monotonic_ns(),
                                      .address = address_of(fd)};
    connection->crowd = crowd_of(bus, &connection->address);
    bus->connections.n_open++;
    connection_know(bus, connection, false);
    make_room(bus, connection->crowd);
}

static void on_disconnected(struct bus *bus, int fd)
{
    struct connection *connection = connection_at(bus, fd);
    if (connection)
        connection_forget(bus, connection);
}

void connections_on_monitor(struct bus *bus)
{
    uint32_t value;
    int event;
    while ((event = monitor_event(bus->monitor, &value))) {
        if (event == ZMQ_EVENT_ACCEPTED)
            on_accepted(bus, (int)value);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            on_disconnected(bus, (int)value);
    }
}

/* ---- looking at all of them ---- */

/* Bytes that have come; 0 where the kernel does not count them. */
static uint64_t bytes_fed(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);
    memset(&info, 0, sizeof(info));
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) ? 0 : info.tcpi_bytes_received;
}

/* Feeds more than any message has, while none comes to its end. What lies in a node's window is less. */
static bool endless(struct connection *connection, int fd)
{
    if (connection->moved) {
        connection->moved = connection->measured = false;
        return false;
    }
    uint64_t fed = bytes_fed(fd);
    if (!connection->measured || fed < connection->fed_bytes)
        connection->fed_bytes = fed;
    connection->measured = true;
    return fed - connection->fed_bytes > (connection->session ? UNFINISHED_BYTES : HANDSHAKE_BYTES);
}

void connections_leave(struct bus *bus, uint64_t number, uint64_t at_ns)
{
    for (size_t i = 0; i < bus->connections.n; i++)
        if (bus->connections.at[i].open && bus->connections.at[i].session == number)
            bus->connections.at[i].leave_ns = at_ns;
}

/* It costs the most of all that a node can do, so it may not be done again at once. */
static void shut_endless(struct bus *bus, struct connection *connection)
{
    const struct session *session = connection->session ? session_by_number(bus, connection->session) : NULL;
    if (session)
        admission_put_off(bus, session->peer->node);
    connection_shut(bus, connection, CUT_UNFINISHED);
}

static void look_at(struct bus *bus, struct connection *connection, uint64_t now)
{
    bool known = connection->session && session_by_number(bus, connection->session);
    connection_know(bus, connection, known);
    if (known)
        connection->welcome_ns = now;
    if (connection->leave_ns && now >= connection->leave_ns)
        connection_shut(bus, connection, CUT_STANDING);
    else if (now - connection->welcome_ns > bus->connections.idle_ns)
        connection_shut(bus, connection, CUT_IDLE);
    else if (endless(connection, (int)(connection - bus->connections.at)))
        shut_endless(bus, connection);
}

/* Whoever does this may do it as often as they like without filling the log. */
static void tell(struct bus *bus, uint64_t now)
{
    struct connections *all = &bus->connections;
    uint64_t n = 0;
    for (size_t i = 0; i < CUT_REASONS; i++)
        n += all->n_cut[i];
    if (!n || (all->told_ns && now - all->told_ns < TOLD_NS))
        return;
    log_notice(
        bus->options.log, "CONNECTIONS-CUT",
        _("connections were shut down: %llu without a session, %llu whose messages do not end, %llu that do "
          "not read, %llu too many at once, %llu with a name of their own, %llu of nodes that are suspended "
          "or revoked"),
        (unsigned long long)all->n_cut[CUT_IDLE], (unsigned long long)all->n_cut[CUT_UNFINISHED],
        (unsigned long long)all->n_cut[CUT_DEAF], (unsigned long long)all->n_cut[CUT_CROWD],
        (unsigned long long)all->n_cut[CUT_NAMED], (unsigned long long)all->n_cut[CUT_STANDING]);
    all->told_ns = now;
    memset(all->n_cut, 0, sizeof(all->n_cut));
}

void connections_look(struct bus *bus, uint64_t now_ns)
{
    struct connections *all = &bus->connections;
    if (now_ns - all->looked_ns < LOOK_NS + all->n_open * LOOK_MORE_NS)
        return;
    all->looked_ns = now_ns;
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].open && !all->at[i].cut)
            look_at(bus, &all->at[i], now_ns);
    tell(bus, now_ns);
}

/* ---- life ---- */

/* As many as there are descriptors for. */
static unsigned connections_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= CONNECTIONS_MOST + DESCRIPTORS_OTHERS)
        return CONNECTIONS_MOST;
    return limit.rlim_cur > 2 * DESCRIPTORS_OTHERS ? (unsigned)limit.rlim_cur - DESCRIPTORS_OTHERS
                                                   : (unsigned)limit.rlim_cur / 2;
}

int connections_open(struct bus *bus, struct casebus_error *err)
{
    int all_of_them = 0, linger = 0; /* libzmq's thread shall never wait for this one */
    random_bytes(&bus->connections.salt, sizeof(bus->connections.salt));
    bus->connections.most = connections_most();
    bus->connections.over_tcp = strncmp(bus->options.listen, "tcp:", 4) == 0;
    bus->connections.idle_ns = bus->silence_ns / 2 > IDLE_LEAST_NS ? bus->silence_ns / 2 : IDLE_LEAST_NS;
    bus->monitor = zmq_socket(bus->context, ZMQ_PAIR);
    if (!bus->monitor || zmq_setsockopt(bus->monitor, ZMQ_RCVHWM, &all_of_them, sizeof(all_of_them)) ||
        zmq_setsockopt(bus->monitor, ZMQ_LINGER, &linger, sizeof(linger)) ||
        zmq_socket_monitor(bus->router, MONITOR, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) ||
        zmq_connect(bus->monitor, MONITOR))
        return error_set(err, CASEBUS_INTERNAL, "MONITOR: %s", zmq_strerror(zmq_errno()));
    return 0;
}

void connections_close(struct bus *bus)
{
    if (bus->router && bus->monitor)
        zmq_socket_monitor(bus->router, NULL, 0);
    if (bus->monitor)
        zmq_close(bus->monitor);
    free(bus->connections.at);
}
