/* The HTTP side, spoken to by hand: what a stranger could send to the socket. */
#include "hub/console/hub_fixture.h"
#include "hub/console/socket_place.h"

#include <sys/stat.h>

struct harness {
    struct hub_fixture fixture;
    struct console *console;
    struct log log;
    char path[PATH_MAX];
};

static int setup(void **state)
{
    struct harness *harness = calloc(1, sizeof *harness);
    struct casebus_error err;
    hub_fixture_init(&harness->fixture);
    hub_fixture_story(&harness->fixture);
    hub_fixture_write(&harness->fixture);
    hub_fixture_apply(&harness->fixture);
    folder_path(harness->path, harness->fixture.dir, "hub.sock");
    must(console_start(&harness->console, &harness->fixture.hub, harness->path, &harness->log, &err), &err);
    *state = harness;
    return 0;
}

static int teardown(void **state)
{
    struct harness *harness = *state;
    console_stop(harness->console);
    hub_fixture_deinit(&harness->fixture);
    free(harness);
    return 0;
}

static int dial(const char *path)
{
    struct socket_place place;
    struct casebus_error err;
    must(socket_place_open(&place, path, &err), &err);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&place.address, sizeof place.address), 0);
    socket_place_close(&place);
    return fd;
}

/* Sends as much of @request as is taken, reads to the end; the caller frees. */
static char *talk(const char *path, const char *request, size_t size)
{
    int fd = dial(path);
    char *answer = calloc(1, 1 << 20);
    size_t sent = 0, got = 0;
    ssize_t n;
    while (sent < size && (n = send(fd, request + sent, size - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    shutdown(fd, SHUT_WR);
    while (got < (1 << 20) - 1 && (n = read(fd, answer + got, (1 << 20) - 1 - got)) > 0)
        got += (size_t)n;
    close(fd);
    return answer;
}

static void expect_status(const char *path, const char *request, const char *status)
{
    char *answer = talk(path, request, strlen(request));
    if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, status, 3) != 0)
        fail_msg("'%.40s' is answered with '%.60s'", request, answer);
    free(answer);
}

static void test_console_answers_over_its_socket(void **state)
{
    struct harness *harness = *state;
    const char *request = "GET /v1/cases/2026%2F1 HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n";
    char *answer = talk(harness->path, request, strlen(request));
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    assert_non_null(strstr(answer, "Content-Type: application/json"));
    assert_non_null(strstr(answer, "\"number\":\"2026/1\""));
    free(answer);
}

static void test_console_socket_is_its_owners_alone(void **state)
{
    struct harness *harness = *state;
    struct stat status;
    assert_int_equal(stat(harness->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_console_refuses_what_is_no_request(void **state)
{
    struct harness *harness = *state;
    expect_status(harness->path, "GET /v1/nothing HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "404");
    expect_status(harness->path, "PUT /v1/nodes HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n", "405");
    expect_status(harness->path, "GET /v1/cases/%zz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
                  "400");
    expect_status(harness->path, "GET /v1/cases/%00 HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
                  "400");
    expect_status(harness->path, "POST /v1/nodes HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\n{x}",
                  "400");
    char *answer = talk(harness->path, "\x16\x03\x01\x02\r\n\r\n", 8); /* TLS, as it were */
    free(answer);
}

static void test_console_bounds_headers_and_bodies(void **state)
{
    struct harness *harness = *state;
    size_t size = 300 * 1024;
    char *request = malloc(size + 200);
    int n = sprintf(request, "POST /v1/nodes HTTP/1.1\r\nHost: hub\r\nContent-Length: %zu\r\n\r\n", size);
    memset(request + n, 'x', size);
    char *answer = talk(harness->path, request, (size_t)n + size);
    assert_int_equal(strncmp(answer, "HTTP/1.1 413", 12), 0);
    free(answer);
    n = sprintf(request, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nX-Long: ");
    memset(request + n, 'x', size);
    memcpy(request + n + size - 4, "\r\n\r\n", 4);
    answer = talk(harness->path, request, (size_t)n + size);
    assert_int_not_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    free(answer);
    free(request);
    expect_status(harness->path, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "200");
}

static void test_console_serves_others_while_one_is_silent(void **state)
{
    struct harness *harness = *state;
    int silent[20];
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        silent[i] = dial(harness->path);
        assert_int_equal(send(silent[i], "GET /v1/st", 10, MSG_NOSIGNAL), 10);
    }
    expect_status(harness->path, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "200");
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        close(silent[i]);
}

static void test_console_does_not_take_the_socket_of_another(void **state)
{
    struct harness *harness = *state;
    struct console *second;
    struct casebus_error err;
    assert_int_equal(console_start(&second, &harness->fixture.hub, harness->path, &harness->log, &err), -1);
    assert_int_equal(err.code, CASEBUS_LOCKED);
    expect_status(harness->path, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "200");
}

static void test_console_replaces_a_socket_that_nobody_answers_on(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    console_stop(harness->console);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, harness->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* as a crash leaves it */
    must(console_start(&harness->console, &harness->fixture.hub, harness->path, &harness->log, &err), &err);
    expect_status(harness->path, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "200");
}

static void test_console_listens_at_the_end_of_a_long_path(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    char dir[PATH_MAX], path[PATH_MAX];
    struct console *console;
    folder_path(
        dir, harness->fixture.dir,
        "a-directory-whose-name-is-so-long-that-no-socket-in-it-fits-into-the-address-of-a-socket-of-unix");
    must(dir_make(dir, &err), &err);
    folder_path(path, dir, "hub.sock");
    assert_true(strlen(path) > 108);
    must(console_start(&console, &harness->fixture.hub, path, &harness->log, &err), &err);
    expect_status(path, "GET /v1/status HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n", "200");
    console_stop(console);
    assert_int_not_equal(access(path, F_OK), 0);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        claim(test_console_answers_over_its_socket),
        claim(test_console_socket_is_its_owners_alone),
        claim(test_console_refuses_what_is_no_request),
        claim(test_console_bounds_headers_and_bodies),
        claim(test_console_serves_others_while_one_is_silent),
        claim(test_console_does_not_take_the_socket_of_another),
        claim(test_console_replaces_a_socket_that_nobody_answers_on),
        claim(test_console_listens_at_the_end_of_a_long_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
