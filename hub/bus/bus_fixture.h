/* A hub without its console in a test: a pipeline over real stores, a bus on a real port, and raw clients
 * that say whatever the test wants. */
#ifndef BUS_FIXTURE_H
#define BUS_FIXTURE_H

#include "hub/bus/bus.h"
#include "hub/pipeline/pipeline_fixture.h"

#include <zmq.h>

#define BUS_FIXTURE_CLIENTS 32

/* A DEALER with keys, and nothing of the SDK. */
struct client {
    void *socket;
    const struct test_node *node;
    char public_key[41], secret_key[41];
};

struct bus_fixture {
    struct pipeline_fixture hub;
    struct bus *bus;
    char curve_public[41], curve_secret[41];
    char desk_secret[41], office_secret[41];
    unsigned silence_ms;
    void *context; /* of the clients */
    struct client *clients[BUS_FIXTURE_CLIENTS];
    size_t n_clients;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool hold;
};

void bus_fixture_init(struct bus_fixture *f, unsigned silence_ms);
void bus_fixture_deinit(struct bus_fixture *f);
void bus_fixture_start(struct bus_fixture *f);
void bus_fixture_stop(struct bus_fixture *f); /* stores are closed; clients stay */
/* Nothing is answered until the writer is let go: it stops behind the next group. */
void bus_fixture_hold(struct bus_fixture *f, bool hold);

/* A socket with this node's keys that is not yet connected; options can be set. */
struct client *client_new(struct bus_fixture *f, const struct test_node *node);
void client_connect(struct bus_fixture *f, struct client *client);
/* Both, and Hello and Welcome; tries again while the hub is busy, as the SDK does. */
struct client *client_join(struct bus_fixture *f, const struct test_node *node);
void client_close(struct bus_fixture *f, struct client *client);

void client_send_bytes(struct client *client, struct bytes frame, int flags);
void client_send(struct bus_fixture *f, struct client *client, const Casebus__V1__Frame *frame);
/* What the node says of itself; the test may change it. Lives in the fixture's arena. */
Casebus__V1__Hello *client_hello(struct bus_fixture *f, const struct client *client);
void client_send_hello(struct bus_fixture *f, struct client *client, Casebus__V1__Hello *hello);
void client_ping(struct bus_fixture *f, struct client *client, uint64_t token);
void client_subscribe(struct bus_fixture *f, struct client *client, uint32_t window,
                      const Casebus__V1__DeliveryId *after);
void client_credit(struct bus_fixture *f, struct client *client, uint64_t position, uint32_t ordinal);
/* The next frame, which has to be of this kind. */
const Casebus__V1__Frame *client_expect(struct bus_fixture *f, struct client *client,
                                        Casebus__V1__Frame__BodyCase body);
/* The next frame, or NULL when there is none now. */
const Casebus__V1__Frame *client_look(struct bus_fixture *f, struct client *client);
void client_expect_bye(struct bus_fixture *f, struct client *client, enum casebus_code code);
/* Everything that was sent before is dealt with, and nothing was said about it. */
void client_expect_quiet(struct bus_fixture *f, struct client *client);
/* The desk publishes a batch; returns its Accepted. */
const Casebus__V1__Accepted *client_publish(struct bus_fixture *f, struct client *desk, const char *label,
                                            size_t n);

#endif
