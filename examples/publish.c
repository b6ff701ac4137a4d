/* Publishes one case event and waits until the hub has proved that it is in the ledger.
 *   cc publish.c $(pkg-config --cflags --libs casebus) -o publish && ./publish /var/lib/casebus/scjgj */
#include <casebus/node.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct casebus_error err;

static void must(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s (%s)\n", err.text, casebus_code_text(err.code));
    if (err.hint[0])
        fprintf(stderr, "%s\n", err.hint);
    exit(1);
}

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    bool *refused = self;
    *refused = outcome->kind == CASEBUS_REFUSED;
    if (*refused)
        fprintf(stderr, "refused: %s %s\n", outcome->code, outcome->sentence);
    else
        printf("in the ledger at position %llu\n", (unsigned long long)outcome->position);
}

int main(int argc, char **argv)
{
    bool refused = false;
    const struct casebus_node_handlers handlers = {.on_outcome = on_outcome};
    const struct casebus_node_options options = {
        .dir = argc > 1 ? argv[1] : ".", .handlers = &handlers, .self = &refused};
    struct casebus_event *event = casebus_event_new();
    struct casebus_node *node;
    must(casebus_event_set(event, "record_namespace", "example/cases", &err));
    must(casebus_event_set(event, "record_id", "row-1", &err));
    must(casebus_event_set(event, "kind", "apply", &err));
    must(casebus_event_set(event, "case_number", "EXAMPLE-2026-0001", &err));
    must(casebus_event_set(event, "occurred_at", "2026-11-23T09:30:00+08:00", &err));
    must(casebus_event_set(event, "identity.name", "张三", &err)); /* travels apart from the header, sealed */
    must(casebus_node_open(&node, &options, &err));
    must(casebus_node_publish(node, event, 1, NULL, &err));
    while (casebus_node_pending(node) > 0)
        must(casebus_node_run(node, 1000, &err));
    casebus_node_close(node);
    casebus_event_free(event);
    return refused ? 1 : 0;
}
