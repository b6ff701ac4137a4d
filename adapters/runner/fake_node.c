/* A node without a hub, for the tests of the runner: it implements casebus/node.h in memory and in a file
 * "fake.state" that stands for the outbox. What it does with each event is written in its folder:
 *
 *   fake.plan    a line each: "refuse N" (the event of row N), "duplicate N", "busy N" (answers BUSY once
 * before row N), "crash N" (_exit when row N is published), "deliver N" (N deliveries in all), "away N" (the
 * hub answers after N turns), "stranger" (it shuts this node out) fake.sent what was published: row, kind,
 * record_id fake.state   the last mark */
#include "casebus/node.h"
#include "proto/base/error.h"
#include "proto/base/files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PENDING_MAX = 100000 };

struct casebus_node {
    char dir[PATH_MAX];
    const struct casebus_node_handlers *handlers;
    void *self;
    bool subscribed;
    uint64_t last_mark;
    uint64_t number;
    uint64_t pending[PENDING_MAX];
    size_t n_pending;
    uint64_t delivered;
    uint64_t deliveries;
    struct casebus_delivery_id confirmed;
    char plan[4096];
    uint64_t away;
    bool was_busy;
    bool was_ready;
    FILE *sent;
};

static bool planned(const struct casebus_node *node, const char *what, uint64_t row)
{
    char line[64];
    snprintf(line, sizeof line, "%s %llu\n", what, (unsigned long long)row);
    return strstr(node->plan, line) != NULL;
}

static void state_path(const struct casebus_node *node, const char *name, char path[PATH_MAX])
{
    path_join(path, PATH_MAX, node->dir, name);
}

static void plan_read(struct casebus_node *node)
{
    char path[PATH_MAX];
    state_path(node, "fake.plan", path);
    FILE *file = fopen(path, "r");
    if (file) {
        node->plan[fread(node->plan, 1, sizeof node->plan - 1, file)] = '\0';
        fclose(file);
    }
    const char *deliver = strstr(node->plan, "deliver "), *away = strstr(node->plan, "away ");
    node->away = away ? strtoull(away + 5, NULL, 10) : 0;
    node->deliveries = deliver ? strtoull(deliver + 8, NULL, 10) : 0;
}

static void state_read(struct casebus_node *node)
{
    char path[PATH_MAX];
    state_path(node, "fake.state", path);
    FILE *file = fopen(path, "r");
    unsigned long long mark = 0, position = 0;
    if (file) {
        if (fscanf(file, "%llu %llu", &mark, &position) < 1)
            mark = 0;
        fclose(file);
    }
    node->last_mark = mark;
    node->confirmed.position = position;
    node->delivered = position;
}

static void state_write(const struct casebus_node *node)
{
    char path[PATH_MAX];
    state_path(node, "fake.state", path);
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fprintf(file, "%llu %llu\n", (unsigned long long)node->last_mark,
            (unsigned long long)node->confirmed.position);
    fclose(file);
}

int casebus_node_open(struct casebus_node **nodep, const struct casebus_node_options *options,
                      struct casebus_error *err)
{
    struct casebus_node *node = calloc(1, sizeof *node);
    char path[PATH_MAX];
    if (!node)
        return error_set(err, CASEBUS_NO_MEMORY, "no memory");
    snprintf(node->dir, sizeof node->dir, "%s", options->dir);
    node->handlers = options->handlers;
    node->self = options->self;
    node->subscribed = options->subscribe != 0;
    plan_read(node);
    state_read(node);
    state_path(node, "fake.sent", path);
    node->sent = fopen(path, "a");
    if (!node->sent)
        abort();
    *nodep = node;
    return 0;
}

struct casebus_node *casebus_node_close(struct casebus_node *node)
{
    if (node) {
        fclose(node->sent);
        free(node);
    }
    return NULL;
}

int casebus_node_publish(struct casebus_node *node, const struct casebus_event *event, uint64_t mark,
                         uint64_t *numberp, struct casebus_error *err)
{
    char kind[64], id[160];
    if ((planned(node, "busy", mark) && !node->was_busy) || node->n_pending == PENDING_MAX) {
        node->was_busy = true;
        return error_set(err, CASEBUS_BUSY, "the outbox is full");
    }
    if (planned(node, "crash", mark))
        _exit(137);
    fprintf(node->sent, "%llu %s %s\n", (unsigned long long)mark,
            casebus_event_get(event, "kind", 0, kind, sizeof kind),
            casebus_event_get(event, "record_id", 0, id, sizeof id));
    fflush(node->sent);
    node->pending[node->n_pending++] = mark;
    node->last_mark = mark;
    *numberp = ++node->number;
    state_write(node);
    return 0;
}

int casebus_node_sync(struct casebus_node *node, struct casebus_error *err)
{
    (void)node;
    (void)err;
    return 0;
}

uint64_t casebus_node_last_mark(const struct casebus_node *node)
{
    return node->last_mark;
}

uint64_t casebus_node_pending(const struct casebus_node *node)
{
    return node->n_pending;
}

static void answer(struct casebus_node *node, uint64_t mark)
{
    struct casebus_outcome outcome = {.kind = CASEBUS_ACCEPTED, .mark = mark};
    if (planned(node, "duplicate", mark))
        outcome.kind = CASEBUS_DUPLICATE;
    if (planned(node, "refuse", mark)) {
        outcome.kind = CASEBUS_REFUSED;
        outcome.code = "CB-NOT-ALLOWED";
        outcome.sentence = "this node may not, \"really\"";
        outcome.hint = "ask";
    }
    node->handlers->on_outcome(node->self, &outcome);
}

static int deliver(struct casebus_node *node)
{
    struct casebus_event *event = casebus_event_new();
    struct casebus_delivery delivery = {.id = {node->delivered + 1, 0}, .node = "elsewhere", .event = event};
    casebus_event_set(event, "kind", "accept", NULL);
    casebus_event_set(event, "case_number", "c-1", NULL);
    int later = node->handlers->on_delivery(node->self, &delivery);
    casebus_event_free(event);
    if (!later)
        node->delivered++;
    return later;
}

int casebus_node_run(struct casebus_node *node, int timeout_ms, struct casebus_error *err)
{
    (void)err;
    size_t n = node->n_pending;
    if (strstr(node->plan, "stranger") || node->away) {
        node->away -= node->away > 0;
        return 0;
    }
    if (!node->was_ready) {
        node->handlers->on_state(node->self, CASEBUS_NODE_READY, NULL);
        node->handlers->on_log(node->self, 1, "SESSION-READY", "the fake hub is there");
    }
    node->was_ready = true;
    for (size_t i = 0; i < n; i++)
        answer(node, node->pending[i]);
    node->n_pending = 0;
    while (node->subscribed && node->delivered < node->deliveries && !deliver(node))
        n++;
    if (n == 0 && timeout_ms > 0)
        usleep((unsigned)timeout_ms * 1000);
    return n > 0;
}

void casebus_node_get_status(const struct casebus_node *node, struct casebus_node_status *status)
{
    *status = (struct casebus_node_status){.pending = node->n_pending};
    if (!strstr(node->plan, "stranger"))
        return;
    status->shut_out = 3;
    error_set(&status->last_error, CASEBUS_NOT_ALLOWED, "the hub does not know this node's key");
}

int casebus_node_confirm(struct casebus_node *node, struct casebus_delivery_id id, struct casebus_error *err)
{
    (void)err;
    node->confirmed = id;
    state_write(node);
    return 0;
}

int casebus_node_last_confirmed(const struct casebus_node *node, struct casebus_delivery_id *id)
{
    *id = node->confirmed;
    return 0;
}

const char *casebus_node_name(const struct casebus_node *node)
{
    (void)node;
    return "fake";
}

const char *casebus_node_origin(const struct casebus_node *node)
{
    (void)node;
    return "fake.example/1";
}
