/* Standing: whoever is suspended or revoked is told so and goes, within one round of the bus. ZAP refuses
 * only who comes; a connection that is there stays as long as its peer likes, so it is shut down here, and
 * what it says until then is dropped by its principal. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"

#define GOODBYE_NS 250000000ull /* for the last frame to arrive */

static void send_away(struct bus *bus, struct session *session, const struct casebus_error *why)
{
    log_notice(bus->options.log, "SESSION-SENT-AWAY", "%s", why->text);
    connections_leave(bus, session->number, clock_monotonic_ns() + GOODBYE_NS);
    session_bye_error(bus, session, why);
}

void standing_enforce(struct bus *bus)
{
    struct registry *registry = pipeline_registry(bus->pipeline);
    if (registry == bus->standing) {
        registry_unref(registry);
        return;
    }
    registry_unref(bus->standing);
    bus->standing = registry; /* held, so that no other one can have its address */
    for (size_t i = 0; i < bus->n_slots; i++) {
        struct casebus_error why;
        struct session *session = bus->slots[i];
        const struct registry_node *node = session ? registry_find(registry, session->peer->node) : NULL;
        if (node && gate_check_status(node, &why) < 0)
            send_away(bus, session, &why);
    }
}

bool standing_lets(const struct bus *bus, const char *name)
{
    const struct registry_node *node = bus->standing ? registry_find(bus->standing, name) : NULL;
    return !node || registry_node_active(node);
}
