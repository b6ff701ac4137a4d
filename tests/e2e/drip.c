/* A department's program with the public SDK alone, for tests that have to say when something is published.
 *
 *   drip DIR      reads "RECORD CASE\n" from standard input and publishes each at once; ends at the end of
 * input when all is answered
 *
 * It writes a line for everything that it is told: "state ready", "state stopped CB-...", "accepted MARK
 * POSITION", "duplicate MARK POSITION", "refused MARK CB-...", and log lines as "log ID text"; at first "mark
 * MARK", the last one that the outbox has. With DRIP_CLOCK in the environment, what was accepted or a
 * duplicate is followed by the monotonic clock in nanoseconds. */
#include <casebus/node.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *clock_text(void)
{
    static char text[32];
    struct timespec now;
    if (!getenv("DRIP_CLOCK"))
        return "";
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, " %lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    return text;
}

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    unsigned long long mark = outcome->mark, position = outcome->position;
    (void)self;
    if (outcome->kind == CASEBUS_REFUSED)
        printf("refused %llu %s\n", mark, outcome->code);
    else
        printf("%s %llu %llu%s\n", outcome->kind == CASEBUS_ACCEPTED ? "accepted" : "duplicate", mark,
               position, clock_text());
}

static void on_state(void *self, enum casebus_node_state state, const struct casebus_error *err)
{
    static const char *const names[] = {[CASEBUS_NODE_CONNECTING] = "connecting",
                                        [CASEBUS_NODE_READY] = "ready",
                                        [CASEBUS_NODE_STOPPED] = "stopped"};
    (void)self;
    printf("state %s %s\n", names[state], err ? casebus_code_text(err->code) : "");
}

static void on_log(void *self, int level, const char *id, const char *text)
{
    (void)self;
    if (level > 0)
        printf("log %s %s\n", id, text);
}

static int publish(struct casebus_node *node, const char *record, const char *case_number, uint64_t mark,
                   struct casebus_error *err)
{
    struct casebus_event *event = casebus_event_new();
    int r = event && casebus_event_set(event, "record_namespace", "e2e/drip", err) == 0 &&
                    casebus_event_set(event, "record_id", record, err) == 0 &&
                    casebus_event_set(event, "case_number", case_number, err) == 0 &&
                    casebus_event_set(event, "kind", "step", err) == 0 &&
                    casebus_event_set(event, "occurred_at", "2026-03-02T09:00:00+08:00", err) == 0
                ? casebus_node_publish(node, event, mark, NULL, err)
                : -1;
    casebus_event_free(event);
    return r;
}

/* Publishes every whole line that has come. Returns 1, 0 at the end of the input, or -1. */
static int lines_publish(struct casebus_node *node, uint64_t *mark, struct casebus_error *err)
{
    static char text[65536];
    static size_t size;
    char record[128], case_number[64];
    ssize_t got = read(STDIN_FILENO, text + size, sizeof text - 1 - size);
    if (got == 0)
        return 0;
    if (got > 0)
        size += (size_t)got;
    text[size] = '\0';
    for (char *end; (end = strchr(text, '\n'));) {
        if (sscanf(text, "%127s %63s", record, case_number) == 2 &&
            publish(node, record, case_number, ++*mark, err) != 0)
            return -1;
        size -= (size_t)(end + 1 - text);
        memmove(text, end + 1, size + 1);
    }
    return 1;
}

int main(int argc, char **argv)
{
    const struct casebus_node_handlers handlers = {
        .on_outcome = on_outcome, .on_state = on_state, .on_log = on_log};
    const struct casebus_node_options options = {.dir = argc > 1 ? argv[1] : ".", .handlers = &handlers};
    struct casebus_error err = {0};
    struct casebus_node *node;
    setvbuf(stdout, NULL, _IOLBF, 0);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (casebus_node_open(&node, &options, &err) != 0) {
        printf("failed %s %s\n", casebus_code_text(err.code), err.text);
        return EXIT_FAILURE;
    }
    uint64_t mark = casebus_node_last_mark(node);
    printf("mark %llu\n", (unsigned long long)mark);
    int more = 1;
    bool works = true;
    while (works && (more > 0 || casebus_node_pending(node) > 0)) {
        if (more > 0)
            more = lines_publish(node, &mark, &err);
        works = more >= 0 && casebus_node_run(node, 20, &err) >= 0;
    }
    if (!works)
        printf("failed %s %s\n", casebus_code_text(err.code), err.text);
    casebus_node_close(node);
    return works ? EXIT_SUCCESS : EXIT_FAILURE;
}
