/* Admission: who may finish the CURVE handshake. ZAP (RFC 27) asks with the peer's public key; the registry
 * answers with the node's name, which from then on is the User-Id of every frame of that connection.
 *
 * libzmq admits any key when nobody answers ZAP. So the handler is bound before the listener, and before
 * serving, the hub tries itself with a random key and has to be refused.
 *
 * A node comes in a bounded number of times. That is more than thrift: libzmq 4.3.4 aborts the process when
 * it gives a connection a routing id that another one has claimed for itself. It counts its own ones up from
 * a random number of 32 bits, so whoever could claim many and drive the count would hit one some day. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define PROOF_NS        5000000000ull
#define UNKNOWN_TOLD_NS 10000000000ull
#define VISIT_NS        500000000ull /* between two connections of a node, in the long run */
#define VISITS_AT_ONCE  64
#define PUT_OFF_NS      10000000000ull

struct zap_request {
    char version[8], request_id[64], mechanism[16];
    uint8_t key[CURVE_KEY_SIZE];
    size_t key_size;
};

/* Receives one frame of the request into @out, NUL-terminated. Returns its size, or -1 when there is none. */
static int receive_text(void *socket, char *out, size_t size)
{
    int n = zmq_recv(socket, out, size - 1, 0);
    if (n < 0)
        return -1;
    out[(size_t)n < size ? (size_t)n : size - 1] = 0;
    return n;
}

static bool more(void *socket)
{
    int value = 0;
    size_t size = sizeof(value);
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &value, &size) == 0 && value;
}

/* version, request id, domain, address, routing id, mechanism, credentials */
static bool request_receive(void *zap, struct zap_request *request)
{
    char ignored[256];
    char *texts[] = {request->version, request->request_id, ignored, ignored, ignored, request->mechanism};
    size_t sizes[] = {sizeof(request->version), sizeof(request->request_id), sizeof(ignored), sizeof(ignored),
                      sizeof(ignored),          sizeof(request->mechanism)};
    for (size_t i = 0; i < 6; i++)
        if (receive_text(zap, texts[i], sizes[i]) < 0 || !more(zap))
            return false;
    int n = zmq_recv(zap, request->key, sizeof(request->key), 0);
    request->key_size = n < 0 ? 0 : (size_t)n;
    while (more(zap))
        receive_text(zap, ignored, sizeof(ignored));
    return true;
}

static void answer(void *zap, const struct zap_request *request, const char *status, const char *text,
                   const char *node)
{
    zmq_send(zap, request->version, strlen(request->version), ZMQ_SNDMORE);
    zmq_send(zap, request->request_id, strlen(request->request_id), ZMQ_SNDMORE);
    zmq_send(zap, status, 3, ZMQ_SNDMORE);
    zmq_send(zap, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(zap, node, strlen(node), ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

/* ---- nodes that come too often ---- */

struct visitor *admission_visitor(struct bus *bus, const char *node)
{
    struct visitor *visitor = bus->first_visitor;
    while (visitor && strcmp(visitor->node, node) != 0)
        visitor = visitor->next;
    if (visitor || !(visitor = calloc(1, sizeof(*visitor))))
        return visitor;
    snprintf(visitor->node, sizeof(visitor->node), "%s", node);
    visitor->next = bus->first_visitor;
    bus->first_visitor = visitor;
    return visitor;
}

static bool visit_allowed(struct bus *bus, const char *node)
{
    uint64_t now = clock_monotonic_ns();
    struct visitor *visitor = admission_visitor(bus, node);
    if (!visitor)
        return false;
    if (visitor->due_ns < now)
        visitor->due_ns = now;
    if (visitor->due_ns - now < VISITS_AT_ONCE * VISIT_NS) {
        visitor->due_ns += VISIT_NS;
        return true;
    }
    if (!visitor->told_ns || now - visitor->told_ns > UNKNOWN_TOLD_NS) {
        log_warning(bus->options.log, "NODE-RESTLESS",
                    _("node '%s' connects again and again: it has to wait; look at its adapter"), node);
        visitor->told_ns = now;
    }
    return false;
}

void admission_put_off(struct bus *bus, const char *node)
{
    struct visitor *visitor = admission_visitor(bus, node);
    if (visitor)
        visitor->due_ns = clock_monotonic_ns() + VISITS_AT_ONCE * VISIT_NS + PUT_OFF_NS;
}

void admission_close(struct bus *bus)
{
    while (bus->first_visitor) {
        struct visitor *visitor = bus->first_visitor;
        bus->first_visitor = visitor->next;
        free(visitor);
    }
}

/* ---- answers ---- */

/* Strangers may knock as often as they like without filling the log. */
static void refuse_unknown(struct bus *bus)
{
    uint64_t now = clock_monotonic_ns();
    bus->n_unknown++;
    if (bus->proving)
        return; /* that stranger was the hub itself */
    if (bus->unknown_told_ns && now - bus->unknown_told_ns < UNKNOWN_TOLD_NS)
        return;
    log_notice(bus->options.log, "NODE-UNKNOWN", _("peers with unknown keys were refused: %llu"),
               (unsigned long long)bus->n_unknown);
    bus->unknown_told_ns = now;
    bus->n_unknown = 0;
}

void admission_answer(struct bus *bus)
{
    struct zap_request request;
    memset(&request, 0, sizeof(request));
    if (!request_receive(bus->zap, &request)) {
        answer(bus->zap, &request, "500", "malformed request", "");
        return;
    }
    struct registry *registry = pipeline_registry(bus->pipeline);
    const struct registry_node *node = NULL;
    if (strcmp(request.mechanism, "CURVE") == 0 && request.key_size == CURVE_KEY_SIZE)
        node = registry_find_curve(registry, request.key);
    if (node && !registry_node_active(node)) {
        answer(bus->zap, &request, "400", "this node is suspended or revoked", "");
    } else if (node && visit_allowed(bus, node->info.node)) {
        answer(bus->zap, &request, "200", "OK", node->info.node);
    } else if (node) {
        answer(bus->zap, &request, "300", "too many connections", "");
    } else {
        refuse_unknown(bus);
        answer(bus->zap, &request, "400", "this key is not enrolled", "");
    }
    registry_unref(registry);
}

int admission_open(struct bus *bus, struct casebus_error *err)
{
    int linger = 0;
    bus->zap = zmq_socket(bus->context, ZMQ_REP);
    if (!bus->zap || zmq_setsockopt(bus->zap, ZMQ_LINGER, &linger, sizeof(linger)) ||
        zmq_bind(bus->zap, "inproc://zeromq.zap.01"))
        return error_set(err, CASEBUS_INTERNAL, "ZAP: %s", zmq_strerror(zmq_errno()));
    return 0;
}

int monitor_event(void *monitor, uint32_t *value)
{
    struct {
        uint16_t event;
        uint8_t value[4];
    } told;
    char address[256];
    if (zmq_recv(monitor, &told, sizeof(told), ZMQ_DONTWAIT) < 6)
        return 0;
    if (more(monitor))
        zmq_recv(monitor, address, sizeof(address), 0);
    memcpy(value, told.value, sizeof(*value));
    return told.event;
}

static int probe_wait(struct bus *bus, void *monitor, struct casebus_error *err)
{
    uint64_t until = clock_monotonic_ns() + PROOF_NS;
    uint32_t value;
    while (clock_monotonic_ns() < until) {
        zmq_pollitem_t items[] = {{bus->zap, 0, ZMQ_POLLIN, 0}, {monitor, 0, ZMQ_POLLIN, 0}};
        zmq_poll(items, 2, 100);
        if (items[0].revents)
            admission_answer(bus);
        int event = items[1].revents ? monitor_event(monitor, &value) : 0;
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return 0;
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return error_set(err, CASEBUS_INTERNAL,
                             _("a peer with a random key was let in: this hub would admit anybody"));
    }
    return error_set(err, CASEBUS_TIMEOUT, _("could not prove in time that an unknown key is refused"));
}

static int probe_watch(struct bus *bus, void *monitor, struct casebus_error *err)
{
    bus->proving = true;
    int r = probe_wait(bus, monitor, err);
    bus->proving = false;
    bus->n_unknown = 0;
    return r;
}

int admission_prove(struct bus *bus, const char *endpoint, const char *server_key, struct casebus_error *err)
{
    char public_key[41], secret_key[41];
    int linger = 0, r = -1;
    void *probe = zmq_socket(bus->context, ZMQ_DEALER);
    void *monitor = zmq_socket(bus->context, ZMQ_PAIR);
    if (!probe || !monitor || zmq_curve_keypair(public_key, secret_key) ||
        zmq_setsockopt(probe, ZMQ_LINGER, &linger, sizeof(linger)) ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof(linger)) ||
        zmq_setsockopt(probe, ZMQ_CURVE_SERVERKEY, server_key, 41) ||
        zmq_setsockopt(probe, ZMQ_CURVE_PUBLICKEY, public_key, 41) ||
        zmq_setsockopt(probe, ZMQ_CURVE_SECRETKEY, secret_key, 41) ||
        zmq_socket_monitor(probe, "inproc://casebus.probe", ZMQ_EVENT_ALL) ||
        zmq_connect(monitor, "inproc://casebus.probe") || zmq_connect(probe, endpoint))
        error_set(err, CASEBUS_INTERNAL, "%s: %s", endpoint, zmq_strerror(zmq_errno()));
    else
        r = probe_watch(bus, monitor, err);
    if (probe) {
        zmq_socket_monitor(probe, NULL, 0);
        zmq_close(probe);
    }
    if (monitor)
        zmq_close(monitor);
    return r;
}
