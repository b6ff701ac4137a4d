/* The hub's own keys: nodes are told of those to come, and the listener is bound anew when one has come.
 * libzmq ends the connections of a listener with it; the nodes connect again, and what was under way is
 * asked for again as after any lost line. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define BIND_TOLD_NS 10000000000ull

/* ---- told ---- */

void bus_post_hub_keys(struct bus *bus, const struct bytes *changes, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += changes[i].size;
    struct hub_keys_told *told = malloc(sizeof(*told) + n * sizeof(*told->changes) + size);
    if (!told)
        return; /* those that connect later are told */
    uint8_t *bytes = (uint8_t *)(told->changes + n);
    told->n = n;
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes, changes[i].data, changes[i].size);
        told->changes[i] = bytes_of(bytes, changes[i].size);
        bytes += changes[i].size;
    }
    pthread_mutex_lock(&bus->lock);
    free(bus->posted_hub_keys);
    bus->posted_hub_keys = told;
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

static Casebus__V1__HubKeys *keys_message(struct bus *bus)
{
    static const struct codec_limits limits = {.max_size = 8192, .max_fields = 64, .max_depth = 2};
    const struct hub_keys_told *told = bus->hub_keys;
    Casebus__V1__HubKeys *keys = arena_alloc(&bus->arena, sizeof(*keys));
    Casebus__V1__HubKeysChanged **list = arena_alloc(&bus->arena, told->n * sizeof(*list));
    if (!keys || !list)
        return NULL;
    casebus__v1__hub_keys__init(keys);
    keys->change = list;
    for (size_t i = 0; i < told->n; i++) {
        list[i] = (Casebus__V1__HubKeysChanged *)codec_unpack(&casebus__v1__hub_keys_changed__descriptor,
                                                              told->changes[i], &limits, &bus->arena, NULL);
        if (!list[i])
            return NULL;
    }
    keys->n_change = told->n;
    return keys;
}

void hub_keys_tell(struct bus *bus, struct session *session)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__HubKeys *keys = bus->hub_keys ? keys_message(bus) : NULL;
    if (!keys)
        return;
    frame.body_case = CASEBUS__V1__FRAME__BODY_HUB_KEYS;
    frame.hub_keys = keys;
    session_send(bus, session, &frame);
}

/* ---- changed ---- */

void bus_post_curve(struct bus *bus, const char secret[41])
{
    pthread_mutex_lock(&bus->lock);
    memcpy(bus->posted_curve, secret, sizeof(bus->posted_curve));
    pthread_mutex_unlock(&bus->lock);
    bus_wake(bus);
}

/* The next one has the key @secret. */
static void listener_end(struct bus *bus, const char secret[41])
{
    struct casebus_error err;
    if (zmq_setsockopt(bus->router, ZMQ_CURVE_SECRETKEY, secret, 41) ||
        zmq_unbind(bus->router, bus->endpoint))
        log_error(bus->options.log, "CURVE-KEY", "%s: %s", bus->endpoint, zmq_strerror(zmq_errno()));
    if (proving_open(bus, secret, &err))
        log_error(bus->options.log, "CURVE-KEY", "%s", err.text);
    bus->unbound = true;
}

/* The old listener goes in its own time: until then its address is taken. */
static void listener_begin(struct bus *bus)
{
    uint64_t now = clock_monotonic_ns();
    if (zmq_bind(bus->router, bus->endpoint) == 0) {
        bus->unbound = false;
        return;
    }
    if (!bus->bind_told_ns || now - bus->bind_told_ns > BIND_TOLD_NS)
        log_notice(bus->options.log, "CURVE-KEY", _("%s is not free yet: %s"), bus->endpoint,
                   zmq_strerror(zmq_errno()));
    bus->bind_told_ns = now;
}

void hub_keys_look(struct bus *bus)
{
    char secret[41];
    pthread_mutex_lock(&bus->lock);
    struct hub_keys_told *told = bus->posted_hub_keys;
    bus->posted_hub_keys = NULL;
    memcpy(secret, bus->posted_curve, sizeof(secret));
    secret_clear(bus->posted_curve, sizeof(bus->posted_curve));
    pthread_mutex_unlock(&bus->lock);
    if (told) {
        free(bus->hub_keys);
        bus->hub_keys = told;
        for (size_t i = 0; i < bus->n_slots; i++) {
            arena_reset(&bus->arena);
            if (bus->slots[i] && bus->slots[i]->state == SESSION_READY)
                hub_keys_tell(bus, bus->slots[i]);
        }
    }
    if (secret[0])
        listener_end(bus, secret);
    secret_clear(secret, sizeof(secret));
    if (bus->unbound)
        listener_begin(bus);
}
