/* casebus, through its public SDK. Target: a directory that holds node directories p0 .. pN and c (the
 * consumer), as run.sh makes them.
 *
 * The 512 bytes of payload lie half in the header (as source code text would) and half in an opaque part. */
#include "tests/bench/driver.h"

#include <casebus/node.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_A_CASE 8

static void check(int result, const struct casebus_error *err)
{
    if (result < 0)
        die("%s (%s)", err->text, err->hint);
}

static struct casebus_node *open_node(const struct options *options, const char *name, bool subscribe,
                                      const struct casebus_node_handlers *handlers, void *self)
{
    char dir[4096];
    struct casebus_node *node;
    struct casebus_error err;
    snprintf(dir, sizeof(dir), "%s/%s", options->target, name);
    const struct casebus_node_options node_options = {.dir = dir,
                                                      .handlers = handlers,
                                                      .self = self,
                                                      .subscribe = subscribe,
                                                      .receive_window_bytes = 4 << 20};
    check(casebus_node_open(&node, &node_options, &err), &err);
    for (int i = 0; i < 1000; i++) {
        struct casebus_node_status status;
        casebus_node_get_status(node, &status);
        if (status.state == CASEBUS_NODE_READY)
            return node;
        check(casebus_node_run(node, 10, &err), &err);
    }
    die("%s: no session with the hub", name);
}

/* ---- producer ---- */

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    if (outcome->kind != CASEBUS_ACCEPTED)
        die("event %llu was not accepted: %s %s", (unsigned long long)outcome->number,
            outcome->code ? outcome->code : "duplicate", outcome->sentence ? outcome->sentence : "");
    producer_acked(self, 1);
}

static void set(struct casebus_event *event, const char *field, const char *value)
{
    struct casebus_error err;
    check(casebus_event_set(event, field, value, &err), &err);
}

static void fill(struct casebus_event *event, const struct options *options, struct producer *producer)
{
    static const char *const kinds[EVENTS_A_CASE] = {"apply", "receive", "accept", "step",
                                                     "step",  "step",    "decide", "finish"};
    struct casebus_error err;
    uint8_t payload[EVENT_SIZE];
    char text[128];
    uint64_t sequence = producer_fill(options, producer, payload);
    casebus_event_clear(event);
    set(event, "kind", kinds[sequence % EVENTS_A_CASE]);
    set(event, "operation", "put");
    set(event, "record_namespace", "bench");
    snprintf(text, sizeof(text), "%u-%llu", producer->id, (unsigned long long)sequence);
    set(event, "record_id", text);
    snprintf(text, sizeof(text), "bench-%u-%llu", producer->id,
             (unsigned long long)(sequence / EVENTS_A_CASE));
    set(event, "case_number", text);
    set(event, "item", "11320000T00000263A4990726001000");
    set(event, "area", "320100");
    set(event, "channel", "web");
    check(
        casebus_event_set_time(event, "occurred_at", 1700000000000000 + (int64_t)sequence * 1000000, 0, &err),
        &err);
    for (int i = 0; i < 64; i++) /* random text: the header grows to about 256 bytes */
        text[i] = (char)('a' + payload[256 + i] % 26);
    text[64] = 0;
    set(event, "source_code", text);
    check(casebus_event_add_part(event, payload, EVENT_SIZE / 2, &err), &err);
}

static void produce(const struct options *options, struct producer *producer)
{
    static const struct casebus_node_handlers handlers = {.on_outcome = on_outcome};
    struct casebus_error err;
    char name[16];
    int64_t wait_ns;
    snprintf(name, sizeof(name), "p%u", producer->id);
    struct casebus_node *node = open_node(options, name, false, &handlers, producer);
    struct casebus_event *event = casebus_event_new();
    driver_ready();
    while (producer->acked < producer->count) {
        while (producer_may_send(options, producer, &wait_ns)) {
            fill(event, options, producer);
            check(casebus_node_publish(node, event, producer->sent, NULL, &err), &err);
        }
        int timeout_ms = wait_ns < 0 ? 1000 : (int)(wait_ns / 1000000);
        if (wait_ns > 0 &&
            timeout_ms == 0) { /* due within a millisecond: the loop's timeouts are coarser than that */
            check(casebus_node_run(node, 0, &err), &err);
            nanosleep(&(struct timespec){0, wait_ns > 200000 ? 200000 : (long)wait_ns}, NULL);
        } else {
            check(casebus_node_run(node, timeout_ms, &err), &err);
        }
    }
    driver_producer_done(producer);
    casebus_event_free(event);
    casebus_node_close(node);
}

/* ---- consumer ---- */

struct receiving {
    struct consumer *consumer;
    struct casebus_delivery_id last;
    bool something;
};

static int on_delivery(void *self, const struct casebus_delivery *delivery)
{
    struct receiving *receiving = self;
    size_t size = 0;
    const void *part = casebus_event_part(delivery->event, 0, &size);
    consumer_got(receiving->consumer, part, part ? size : 0);
    receiving->last = delivery->id;
    receiving->something = true;
    return 0;
}

static void consume(const struct options *options, struct consumer *consumer)
{
    static const struct casebus_node_handlers handlers = {.on_delivery = on_delivery};
    struct casebus_error err;
    struct receiving receiving = {.consumer = consumer};
    struct casebus_node *node = NULL;
    if (options->produce) {
        node = open_node(options, "c", true, &handlers, &receiving);
        driver_ready();
    } else {
        driver_ready();
        node = open_node(options, "c", true, &handlers, &receiving);
    }
    while (consumer->got < consumer->wanted) {
        check(casebus_node_run(node, 1000, &err), &err);
        if (receiving.something)
            check(casebus_node_confirm(node, receiving.last, &err), &err);
        receiving.something = false;
    }
    driver_consumer_done(consumer);
    casebus_node_close(node);
}

/* ---- probe: the last stored event is delivered to a fresh subscriber; run.sh gives the target of one ----
 */

static int on_probed(void *self, const struct casebus_delivery *delivery)
{
    uint64_t *n = self;
    (void)delivery;
    (*n)++;
    return 0;
}

static int64_t stored(const struct options *options)
{
    static const struct casebus_node_handlers handlers = {.on_delivery = on_probed};
    uint64_t n = 0;
    struct casebus_error err;
    struct casebus_node *node;
    struct casebus_node_status status;
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/c", options->target);
    const struct casebus_node_options node_options = {
        .dir = dir, .handlers = &handlers, .self = &n, .subscribe = 1};
    if (casebus_node_open(&node, &node_options, &err))
        die("%s", err.text);
    for (int i = 0; i < 100; i++) {
        casebus_node_run(node, 10, &err);
        casebus_node_get_status(node, &status);
        if (status.checkpoint_size >= options->probe)
            break;
    }
    casebus_node_close(node);
    return (int64_t)status.checkpoint_size;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {
        .name = "casebus", .produce = produce, .consume = consume, .stored = stored};
    return driver_main(argc, argv, &peer);
}
