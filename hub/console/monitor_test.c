/* The monitors' listener, spoken to by hand: what strangers may read, what auditors may, and what anybody
 * could send to it. */
#include "hub/console/monitor.h"

#include "hub/console/auditors.h"
#include "hub/console/hub_fixture.h"
#include "hub/console/socket_place.h"
#include "hub/ledger/tile.h"
#include "proto/merkle/note.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PUBLISHED  8 /* of the story's entries */
#define ANSWER_MAX (1 << 20)

struct harness {
    struct hub_fixture fixture;
    struct monitor *monitor;
    struct console *console;
    struct log log;
    char token[AUDITOR_TOKEN_TEXT];
};

static int setup(void **state)
{
    struct harness *harness = calloc(1, sizeof *harness);
    struct casebus_error err;
    char path[PATH_MAX];
    hub_fixture_init(&harness->fixture);
    hub_fixture_story(&harness->fixture);
    hub_fixture_write(&harness->fixture);
    hub_fixture_publish(&harness->fixture, PUBLISHED, NULL, true);
    hub_fixture_apply(&harness->fixture);
    must(monitor_start(&harness->monitor, &harness->fixture.hub, "127.0.0.1:0", &harness->log, &err), &err);
    folder_path(path, harness->fixture.dir, "hub.sock");
    must(console_start(&harness->console, &harness->fixture.hub, path, &harness->log, &err), &err);
    must(auditors_add(harness->fixture.dir, suite_get(SUITE_INTL), "audit-office", harness->token, &err),
         &err);
    *state = harness;
    return 0;
}

static int teardown(void **state)
{
    struct harness *harness = *state;
    console_stop(harness->console);
    monitor_stop(harness->monitor);
    hub_fixture_deinit(&harness->fixture);
    free(harness);
    return 0;
}

/* ---- speaking ---- */

static int connected(const struct harness *harness, int fd)
{
    const char *address = monitor_address(harness->monitor);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int dial(const struct harness *harness)
{
    return connected(harness, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/* For what may be left without an answer: the library waits for the end of a request that never comes. */
static int dial_impatiently(const struct harness *harness)
{
    const struct timeval patience = {.tv_usec = 50000};
    int fd = dial(harness);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

struct answer {
    char *text;
    size_t size;
    const uint8_t *body;
    size_t body_size;
    unsigned status;
};

/* Sends as much of @request as is taken, reads to the end. */
static struct answer talk_over(int fd, const char *request, size_t size)
{
    struct answer answer = {.text = calloc(1, ANSWER_MAX)};
    size_t sent = 0;
    ssize_t n;
    while (sent < size && (n = send(fd, request + sent, size - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    shutdown(fd, SHUT_WR);
    while (answer.size < ANSWER_MAX - 1 &&
           (n = read(fd, answer.text + answer.size, ANSWER_MAX - 1 - answer.size)) > 0)
        answer.size += (size_t)n;
    close(fd);
    if (strncmp(answer.text, "HTTP/1.1 ", 9) == 0)
        answer.status = (unsigned)atoi(answer.text + 9);
    const char *end = strstr(answer.text, "\r\n\r\n");
    if (end) {
        answer.body = (const uint8_t *)end + 4;
        answer.body_size = answer.size - (size_t)(end + 4 - answer.text);
    }
    return answer;
}

static struct answer ask(const struct harness *harness, const char *method, const char *path,
                         const char *headers)
{
    char request[4096];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n%s\r\n",
                     method, path, headers ? headers : "");
    return talk_over(dial(harness), request, (size_t)n);
}

static void expect(const struct harness *harness, const char *method, const char *path, const char *headers,
                   unsigned status)
{
    struct answer answer = ask(harness, method, path, headers);
    if (answer.status != status)
        fail_msg("%s '%.100s' is answered with '%.60s', not %u", method, path, answer.text, status);
    free(answer.text);
}

static const char *bearer(const struct harness *harness, char *header)
{
    sprintf(header, "Authorization: Bearer %s\r\n", harness->token);
    return header;
}

static const char *basic(const char *name, const char *token, char *header)
{
    char pair[256], base64[512];
    int n = snprintf(pair, sizeof pair, "%s:%s", name, token);
    EVP_EncodeBlock((uint8_t *)base64, (uint8_t *)pair, n);
    sprintf(header, "Authorization: Basic %s\r\n", base64);
    return header;
}

/* ---- what is served ---- */

static void test_checkpoint_is_the_newest_published_one(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    struct answer answer = ask(harness, "GET", "/checkpoint", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(answer.text, "Cache-Control: no-store\r\n"));
    must(note_verifier_init(&verifier, harness->fixture.keys.log_vkey, &err), &err);
    must(checkpoint_check(&checkpoint, bytes_of(answer.body, answer.body_size), &verifier, &err), &err);
    assert_int_equal(checkpoint.size, PUBLISHED);
    note_verifier_deinit(&verifier);
    free(answer.text);
}

static int own_checkpoint(void *self, struct ledger_view *view, struct buffer *note,
                          struct casebus_error *err)
{
    (void)self, (void)view, (void)err;
    return buffer_printf(note, "with cosignatures\n") ? 0 : -1;
}

static void test_checkpoint_is_the_hubs_choice_when_it_makes_one(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    monitor_stop(harness->monitor);
    harness->fixture.hub.checkpoint = own_checkpoint;
    must(monitor_start(&harness->monitor, &harness->fixture.hub, "127.0.0.1:0", &harness->log, &err), &err);
    struct answer answer = ask(harness, "GET", "/checkpoint", NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal((const char *)answer.body, "with cosignatures\n");
    free(answer.text);
}

static void test_an_empty_ledger_has_the_checkpoint_of_the_empty_tree(void **state)
{
    struct hub_fixture fixture;
    struct harness harness = {0};
    struct casebus_error err;
    struct note_verifier verifier;
    struct checkpoint checkpoint;
    uint8_t root[DIGEST_SIZE];
    (void)state;
    hub_fixture_init(&fixture);
    fixture.hub = (struct console_hub){.dir = fixture.dir,
                                       .suite = suite_get(SUITE_INTL),
                                       .origin = FIXTURE_ORIGIN,
                                       .log_key = fixture.keys.log,
                                       .ledger = fixture.ledger};
    must(monitor_start(&harness.monitor, &fixture.hub, "127.0.0.1:0", &harness.log, &err), &err);
    struct answer answer = ask(&harness, "GET", "/checkpoint", NULL);
    assert_int_equal(answer.status, 200);
    must(note_verifier_init(&verifier, fixture.keys.log_vkey, &err), &err);
    must(checkpoint_check(&checkpoint, bytes_of(answer.body, answer.body_size), &verifier, &err), &err);
    suite_hash(suite_get(SUITE_INTL), NULL, 0, root);
    assert_int_equal(checkpoint.size, 0);
    assert_memory_equal(checkpoint.root, root, DIGEST_SIZE);
    note_verifier_deinit(&verifier);
    free(answer.text);
    expect(&harness, "GET", "/tile/0/000.p/1", NULL, 404);
    monitor_stop(harness.monitor);
    hub_fixture_deinit(&fixture);
}

static void test_tiles_hold_the_hashes_of_the_leaves(void **state)
{
    struct harness *harness = *state;
    struct answer answer = ask(harness, "GET", "/tile/0/000.p/5", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "Content-Type: application/octet-stream\r\n"));
    assert_non_null(strstr(answer.text, "immutable\r\n"));
    assert_int_equal(answer.body_size, 5 * DIGEST_SIZE);
    for (size_t i = 0; i < 5; i++) {
        uint8_t hash[DIGEST_SIZE];
        tree_leaf_hash(harness->fixture.crypter, harness->fixture.entries[i].leaf, hash);
        assert_memory_equal(answer.body + i * DIGEST_SIZE, hash, DIGEST_SIZE);
    }
    free(answer.text);
}

/* The ledger holds more, but nobody has vouched for it yet. */
static void test_tiles_end_at_the_published_checkpoint(void **state)
{
    struct harness *harness = *state;
    char header[256];
    assert_true(harness->fixture.n_entries > PUBLISHED);
    for (unsigned width = 1; width <= PUBLISHED; width++) {
        char path[64];
        snprintf(path, sizeof path, "/tile/0/000.p/%u", width);
        expect(harness, "GET", path, NULL, 200);
    }
    expect(harness, "GET", "/tile/0/000.p/9", NULL, 404);
    expect(harness, "GET", "/tile/0/000", NULL, 404);
    expect(harness, "GET", "/tile/0/001.p/1", NULL, 404);
    expect(harness, "GET", "/tile/1/000.p/1", NULL, 404);
    expect(harness, "GET", "/tile/7/000.p/1", NULL, 404);
    expect(harness, "GET", "/tile/0/x999/x999/x999/x999/x999/999", NULL, 404);
    expect(harness, "GET", "/tile/entries/000.p/9", bearer(harness, header), 404);
}

static void test_head_tells_the_length_without_the_bytes(void **state)
{
    struct harness *harness = *state;
    struct answer answer = ask(harness, "HEAD", "/tile/0/000.p/8", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "Content-Length: 256\r\n"));
    assert_int_equal(answer.body_size, 0);
    free(answer.text);
    expect(harness, "HEAD", "/checkpoint", NULL, 200);
    expect(harness, "HEAD", "/tile/entries/000.p/8", NULL, 401);
}

/* ---- auditors ---- */

static void test_entries_are_for_auditors(void **state)
{
    struct harness *harness = *state;
    char header[1024];
    struct answer answer = ask(harness, "GET", "/tile/entries/000.p/8", NULL);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(answer.text, "WWW-Authenticate: Basic realm="));
    assert_non_null(strstr(answer.text, "CB-NOT-ALLOWED"));
    assert_non_null(strstr(answer.text, "Cache-Control: no-store\r\n"));
    free(answer.text);
    expect(harness, "GET", "/tile/entries/000.p/8", basic("auditor", harness->token, header), 200);
    expect(harness, "GET", "/tile/entries/000.p/8", basic("", harness->token, header), 200);
    answer = ask(harness, "GET", "/tile/entries/000.p/8", bearer(harness, header));
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.text, "Cache-Control: private"));
    const uint8_t *p = answer.body;
    for (size_t i = 0; i < PUBLISHED; i++) {
        struct bytes leaf = harness->fixture.entries[i].leaf;
        assert_int_equal(p[0] << 8 | p[1], leaf.size);
        assert_memory_equal(p + 2, leaf.data, leaf.size);
        p += 2 + leaf.size;
    }
    assert_ptr_equal(p, answer.body + answer.body_size);
    free(answer.text);
}

static void test_what_is_no_token_opens_nothing(void **state)
{
    struct harness *harness = *state;
    char header[2048], other[AUDITOR_TOKEN_TEXT];
    static const char *const headers[] = {
        "Authorization:\r\n",
        "Authorization: Basic\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic \r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Basic ====\r\n",
        "Authorization: Basic YTpi\r\n",
        "Authorization: Basic YWJj\r\n",
        "Authorization: Basic !!!!\r\n",
        "Authorization: Basic Og==\r\n",
        "Authorization: Digest username=\"auditor\"\r\n",
        "Authorization: Bearer 0000000000000000000000000000000000000000000000000000000000000000\r\n",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        expect(harness, "GET", "/tile/entries/000.p/1", headers[i], 401);
    strcpy(other, harness->token);
    other[63] = other[63] == '0' ? '1' : '0';
    expect(harness, "GET", "/tile/entries/000.p/1", basic("auditor", other, header), 401);
    other[63] = '\0';
    expect(harness, "GET", "/tile/entries/000.p/1", basic("auditor", other, header), 401);
    int n = sprintf(header, "Authorization: Basic ");
    memset(header + n, 'Q', 1600);
    strcpy(header + n + 1600, "\r\n");
    expect(harness, "GET", "/tile/entries/000.p/1", header, 401);
}

static void test_an_auditor_comes_and_goes_without_a_restart(void **state)
{
    struct harness *harness = *state;
    char token[AUDITOR_TOKEN_TEXT], header[1024];
    struct casebus_error err;
    const char *dir = harness->fixture.dir;
    must(auditors_add(dir, suite_get(SUITE_INTL), "second", token, &err), &err);
    assert_int_equal(auditors_add(dir, suite_get(SUITE_INTL), "second", token, &err), -1);
    assert_int_equal(err.code, CASEBUS_EXISTS);
    assert_int_equal(auditors_add(dir, suite_get(SUITE_INTL), "No Name", token, &err), -1);
    assert_int_equal(err.code, CASEBUS_ARGUMENT);
    must(auditors_remove(dir, "second", &err), &err);
    assert_int_equal(auditors_remove(dir, "second", &err), -1);
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    expect(harness, "GET", "/tile/entries/000.p/1", bearer(harness, header), 200);
    must(auditors_remove(dir, "audit-office", &err), &err);
    expect(harness, "GET", "/tile/entries/000.p/1", header, 401);
    must(auditors_add(dir, suite_get(SUITE_INTL), "audit-office", harness->token, &err), &err);
    expect(harness, "GET", "/tile/entries/000.p/1", header, 401);
    expect(harness, "GET", "/tile/entries/000.p/1", bearer(harness, header), 200);
}

static void test_the_file_of_auditors_holds_no_token_and_is_its_owners_alone(void **state)
{
    struct harness *harness = *state;
    char path[PATH_MAX], header[1024];
    struct casebus_error err;
    struct buffer text;
    struct stat status;
    folder_path(path, harness->fixture.dir, "keys/auditors");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    must(file_read(path, 4096, &text, &err), &err);
    assert_null(strstr((char *)text.data, harness->token));
    assert_non_null(strstr((char *)text.data, "audit-office "));
    buffer_deinit(&text);
    assert_int_equal(chmod(path, 0644), 0);
    expect(harness, "GET", "/tile/entries/000.p/1", bearer(harness, header), 400);
    assert_int_equal(chmod(path, 0600), 0);
    must(file_write(path, bytes_of_text("no auditor at all\n"), 0600, &err), &err);
    expect(harness, "GET", "/tile/entries/000.p/1", bearer(harness, header), 400);
}

/* ---- what is not served ---- */

static void test_the_console_is_not_served(void **state)
{
    struct harness *harness = *state;
    char header[1024];
    static const char *const paths[] = {
        "/",         "/v1/status",        "/v1/cases", "/v1/ledger/entries", "/v1/ledger/checkpoint",
        "/v1/nodes", "/v1/events?parts=1"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        expect(harness, "GET", paths[i], NULL, 404);
        expect(harness, "GET", paths[i], bearer(harness, header), 404);
        expect(harness, "POST", paths[i], "Content-Length: 0\r\n", 404);
    }
}

static void test_paths_are_taken_as_they_come(void **state)
{
    struct harness *harness = *state;
    char header[1024];
    static const char *const paths[] = {"/checkpoint/",
                                        "/checkpoint?",
                                        "/checkpoint?x=1",
                                        "//checkpoint",
                                        "/./checkpoint",
                                        "/x/../checkpoint",
                                        "/%63heckpoint",
                                        "/checkpoint%00",
                                        "checkpoint",
                                        "*",
                                        "/CHECKPOINT",
                                        "/checkpoint.1",
                                        "http://hub/checkpoint",
                                        "/tile",
                                        "/tile/",
                                        "/tile/0",
                                        "/tile/0/",
                                        "/tile/0/000.p/0",
                                        "/tile/0/000.p/08",
                                        "/tile/0/000.p/256",
                                        "/tile/0/000.p/1?x",
                                        "/tile/0/000%2ep/1",
                                        "/tile/0/000.p%2f1",
                                        "/tile/0/%30%30%30.p/1",
                                        "/tile//0/000.p/1",
                                        "/tile/0/../0/000.p/1",
                                        "/tile/00/000.p/1",
                                        "/tile/0/x000/000.p/1",
                                        "/tile/8/000.p/1",
                                        "/tile/-1/000.p/1",
                                        "/tile/0/000.p/1/",
                                        "/tile/0/18446744073709551616",
                                        "/tile/0/x999/x999/x999/x999/x999/x999/x999/999"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        expect(harness, "GET", paths[i], bearer(harness, header), 404);
    /* What might be entries is not told apart for a stranger. */
    expect(harness, "GET", "/tile/entries/", NULL, 401);
    expect(harness, "GET", "/tile/entries/../0/000.p/1", NULL, 401);
    expect(harness, "GET", "/tile/entries/../0/000.p/1", bearer(harness, header), 404);
    expect(harness, "GET", "/tile/%65ntries/000.p/1", NULL, 404);
    char deep[3000] = "/tile/0/";
    for (size_t n = 8; n + 5 < sizeof deep; n += 5)
        memcpy(deep + n, "x001/", 6);
    expect(harness, "GET", deep, NULL, 404);
}

static void test_other_methods_are_refused(void **state)
{
    struct harness *harness = *state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "TRACE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        expect(harness, methods[i], "/checkpoint", "Content-Length: 0\r\n", 405);
        expect(harness, methods[i], "/tile/entries/000.p/1", "Content-Length: 0\r\n", 405);
    }
    struct answer answer = ask(harness, "POST", "/checkpoint", "Content-Length: 0\r\n");
    assert_non_null(strstr(answer.text, "Allow: GET, HEAD\r\n"));
    free(answer.text);
}

static void test_headers_and_bodies_are_bounded(void **state)
{
    struct harness *harness = *state;
    size_t size = 200 * 1024;
    char *request = malloc(size + 400);
    int n = sprintf(request, "GET /checkpoint HTTP/1.1\r\nHost: hub\r\nContent-Length: %zu\r\n\r\n", size);
    memset(request + n, 'x', size);
    struct answer answer = talk_over(dial(harness), request, (size_t)n + size);
    assert_int_equal(answer.status, 413);
    free(answer.text);
    n = sprintf(request, "GET /checkpoint HTTP/1.1\r\nHost: hub\r\nX-Long: ");
    memset(request + n, 'x', size);
    memcpy(request + n + size - 4, "\r\n\r\n", 4);
    answer = talk_over(dial_impatiently(harness), request, (size_t)n + size);
    assert_int_not_equal(answer.status, 200);
    free(answer.text);
    n = sprintf(request, "GET /");
    memset(request + n, 'x', size);
    strcpy(request + n + size, " HTTP/1.1\r\nHost: hub\r\n\r\n");
    answer = talk_over(dial_impatiently(harness), request, strlen(request));
    assert_int_not_equal(answer.status, 200);
    free(answer.text);
    free(request);
    expect(harness, "GET", "/checkpoint", NULL, 200);
}

struct drip {
    int fds[140];
    atomic_bool over;
};

static void *drip_main(void *self)
{
    struct drip *drip = self;
    while (!atomic_load(&drip->over)) {
        for (size_t i = 0; i < sizeof drip->fds / sizeof drip->fds[0]; i++)
            send(drip->fds[i], "o", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        usleep(20000);
    }
    return NULL;
}

/* Twice as many as there are places, each in the middle of a request and saying a byte now and then, so that
 * none falls silent: who asks and waits for the answer is served all the same. */
static void test_slow_peers_do_not_keep_others_out(void **state)
{
    struct harness *harness = *state;
    struct drip drip = {.over = false};
    size_t n = sizeof drip.fds / sizeof drip.fds[0];
    pthread_t thread;
    for (size_t i = 0; i < n; i++) {
        drip.fds[i] = dial(harness);
        assert_int_equal(send(drip.fds[i], "GET /checkp", 11, MSG_NOSIGNAL), 11);
    }
    assert_int_equal(pthread_create(&thread, NULL, drip_main, &drip), 0);
    for (int round = 0; round < 5; round++) {
        expect(harness, "GET", "/checkpoint", NULL, 200);
        expect(harness, "GET", "/tile/0/000.p/8", NULL, 200);
    }
    atomic_store(&drip.over, true);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < n; i++)
        close(drip.fds[i]);
    expect(harness, "GET", "/checkpoint", NULL, 200);
}

/* All of 127.0.0.0/8 is this machine. */
static int dial_from(const struct harness *harness, const char *from)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return connected(harness, fd);
}

/* The quiet one came first and has said least: by waiting alone it would be the first to go. */
static void test_one_address_does_not_push_out_others(void **state)
{
    struct harness *harness = *state;
    static const char half[] = "GET /checkpoint HTTP/1.1\r\nHost: h";
    static const char rest[] = "ub\r\nConnection: close\r\n\r\n";
    int greedy[140];
    int quiet = dial_from(harness, "127.0.0.2");
    assert_int_equal(send(quiet, half, sizeof half - 1, MSG_NOSIGNAL), sizeof half - 1);
    expect(harness, "GET", "/checkpoint", NULL, 200); /* the quiet one has its place */
    for (size_t i = 0; i < sizeof greedy / sizeof greedy[0]; i++)
        greedy[i] = dial(harness);
    expect(harness, "GET", "/checkpoint", NULL, 200); /* and all others have had theirs */
    struct answer answer = talk_over(quiet, rest, sizeof rest - 1);
    assert_int_equal(answer.status, 200);
    free(answer.text);
    for (size_t i = 0; i < sizeof greedy / sizeof greedy[0]; i++)
        close(greedy[i]);
}

static void test_a_connection_serves_many_requests(void **state)
{
    struct harness *harness = *state;
    char requests[4096] = "";
    for (int i = 0; i < 20; i++)
        strcat(requests, "GET /tile/0/000.p/1 HTTP/1.1\r\nHost: hub\r\n\r\n");
    strcat(requests, "GET /checkpoint HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
    struct answer answer = talk_over(dial(harness), requests, strlen(requests));
    size_t answers = 0;
    for (size_t at = 0; at + 8 < answer.size; at++)
        answers += memcmp(answer.text + at, "HTTP/1.1", 8) == 0;
    assert_int_equal(answers, 21);
    free(answer.text);
}

static void test_bytes_that_are_no_http_end_the_connection(void **state)
{
    struct harness *harness = *state;
    uint32_t seed = 20261125;
    for (int round = 0; round < 200; round++) {
        char noise[600];
        size_t size = round < 20 ? (size_t)round : 20 + seed % 500;
        for (size_t i = 0; i < size; i++)
            noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
        struct answer answer = talk_over(dial_impatiently(harness), noise, size);
        assert_int_not_equal(answer.status, 200);
        free(answer.text);
    }
    expect(harness, "GET", "/checkpoint", NULL, 200);
}

/* ---- the operators' socket, and life ---- */

static void test_operators_read_the_same_and_need_no_token(void **state)
{
    struct harness *harness = *state;
    static const char *const paths[] = {"/checkpoint", "/tile/0/000.p/8", "/tile/entries/000.p/8"};
    char path[PATH_MAX], request[512], header[1024];
    folder_path(path, harness->fixture.dir, "hub.sock");
    for (size_t i = 0; i < 3; i++) {
        struct socket_place place;
        struct casebus_error err;
        int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
                         paths[i]);
        must(socket_place_open(&place, path, &err), &err);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
        struct answer here = talk_over(fd, request, (size_t)n);
        struct answer there = ask(harness, "GET", paths[i], bearer(harness, header));
        assert_int_equal(here.status, 200);
        assert_int_equal(here.body_size, there.body_size);
        assert_memory_equal(here.body, there.body, here.body_size);
        socket_place_close(&place);
        free(here.text);
        free(there.text);
    }
}

static void test_an_address_that_cannot_be_had_is_named(void **state)
{
    struct harness *harness = *state;
    struct monitor *second;
    struct casebus_error err;
    static const char *const wrong[] = {"",           "7480",        ":7480", "localhost:7480",
                                        "127.0.0.1:", "127.0.0.1:x", "[]:1",  "999.1.1.1:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(monitor_start(&second, &harness->fixture.hub, wrong[i], &harness->log, &err), -1);
        assert_int_equal(err.code, CASEBUS_CONFIG);
    }
    assert_int_equal(
        monitor_start(&second, &harness->fixture.hub, monitor_address(harness->monitor), &harness->log, &err),
        -1);
    assert_non_null(strstr(err.text, monitor_address(harness->monitor)));
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        claim(test_checkpoint_is_the_newest_published_one),
        claim(test_checkpoint_is_the_hubs_choice_when_it_makes_one),
        cmocka_unit_test(test_an_empty_ledger_has_the_checkpoint_of_the_empty_tree),
        claim(test_tiles_hold_the_hashes_of_the_leaves),
        claim(test_tiles_end_at_the_published_checkpoint),
        claim(test_head_tells_the_length_without_the_bytes),
        claim(test_entries_are_for_auditors),
        claim(test_what_is_no_token_opens_nothing),
        claim(test_an_auditor_comes_and_goes_without_a_restart),
        claim(test_the_file_of_auditors_holds_no_token_and_is_its_owners_alone),
        claim(test_the_console_is_not_served),
        claim(test_paths_are_taken_as_they_come),
        claim(test_other_methods_are_refused),
        claim(test_headers_and_bodies_are_bounded),
        claim(test_slow_peers_do_not_keep_others_out),
        claim(test_one_address_does_not_push_out_others),
        claim(test_a_connection_serves_many_requests),
        claim(test_bytes_that_are_no_http_end_the_connection),
        claim(test_operators_read_the_same_and_need_no_token),
        claim(test_an_address_that_cannot_be_had_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
