/* The HTTP side: libmicrohttpd's own thread and epoll, on a socket that only the hub's user can open.
 *
 * Bounded in every direction: connections, bytes of headers and body, idle time. The target of a request is
 * kept as it came and taken apart by request.c. */
#include "hub/console/console.h"

#include "hub/console/request.h"
#include "hub/console/socket_place.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECTIONS_MAX      32
#define CONNECTION_MEMORY    (32 * 1024) /* request line, headers and buffers */
#define CONNECTION_TIMEOUT_S 15
#define ANSWER_WHEN_NO_MEMORY                                                                                \
    "{\"code\":\"CB-NO-MEMORY\",\"sentence\":\"no memory for an answer\",\"hint\":\"\"}"

struct console {
    struct console_hub hub;
    struct log *log;
    struct MHD_Daemon *daemon;
    struct socket_place place;
};

/* One request on its way in. */
struct incoming {
    char *target;
    struct buffer body;
    bool begun;
    bool too_large;
};

/* ---- the socket ---- */

/* Between bind and listen nobody can connect: the mode is set before anyone could come in. */
static int socket_listen(const struct socket_place *place, struct casebus_error *err)
{
    const struct sockaddr_un *address = &place->address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, errno, _("a socket for '%s'"), address->sun_path);
    unlink(address->sun_path);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) || chmod(address->sun_path, 0600) ||
        listen(fd, CONNECTIONS_MAX)) {
        error_set_errno(err, errno, _("cannot listen on '%s'"), address->sun_path);
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- requests ---- */

static void *on_target(void *self, const char *target, struct MHD_Connection *connection)
{
    (void)self, (void)connection;
    struct incoming *incoming = calloc(1, sizeof *incoming);
    if (!incoming)
        return NULL;
    buffer_init(&incoming->body, CONSOLE_BODY_MAX);
    incoming->target = strdup(target);
    return incoming;
}

static void on_completed(void *self, struct MHD_Connection *connection, void **cls,
                         enum MHD_RequestTerminationCode code)
{
    (void)self, (void)connection, (void)code;
    struct incoming *incoming = *cls;
    if (!incoming)
        return;
    buffer_deinit(&incoming->body);
    free(incoming->target);
    free(incoming);
    *cls = NULL;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE)
             : MHD_create_response_from_buffer(strlen(ANSWER_WHEN_NO_MEMORY), (void *)ANSWER_WHEN_NO_MEMORY,
                                               MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    enum MHD_Result result = MHD_queue_response(connection, text ? status : 500, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_too_large(struct MHD_Connection *connection)
{
    char sentence[160];
    snprintf(sentence, sizeof sentence, _("the body has more than %d bytes"), CONSOLE_BODY_MAX);
    json_t *body = json_pack("{s:s, s:s, s:s}", "code", casebus_code_text(CASEBUS_TOO_LARGE), "sentence",
                             sentence, "hint", "");
    enum MHD_Result result = respond(connection, 413, body);
    json_decref(body);
    return result;
}

static enum MHD_Result answer(struct console *console, struct MHD_Connection *connection, const char *method,
                              const struct incoming *incoming)
{
    struct console_request request = {.method = method,
                                      .target = incoming->target,
                                      .body = bytes_of(incoming->body.data, incoming->body.size)};
    struct console_reply reply;
    console_handle(&console->hub, &request, &reply, console->log);
    enum MHD_Result result = respond(connection, reply.status, reply.body);
    json_decref(reply.body);
    return result;
}

/* Called by libmicrohttpd with the headers, then with each piece of the body, then with the end. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **cls)
{
    (void)url, (void)version;
    struct incoming *incoming = *cls;
    if (!incoming || !incoming->target)
        return MHD_NO;
    if (!incoming->begun) {
        incoming->begun = true;
        return MHD_YES;
    }
    if (*size > 0) {
        if (!incoming->too_large && !buffer_append(&incoming->body, data, *size))
            incoming->too_large = true;
        *size = 0;
        return MHD_YES;
    }
    if (incoming->too_large)
        return respond_too_large(connection);
    return answer(self, connection, method, incoming);
}

static void on_log(void *self, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *self, const char *format, va_list args)
{
    struct console *console = self;
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug(console->log, "CONSOLE-HTTP", "%s", text);
}

/* ---- life ---- */

static int daemon_start(struct console *console, int fd, struct casebus_error *err)
{
    console->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC, 0, NULL, NULL, on_request, console,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, console, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, console, MHD_OPTION_NOTIFY_COMPLETED, on_completed, console,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_END);
    if (console->daemon)
        return 0;
    close(fd);
    return error_set(err, CASEBUS_INTERNAL, _("the console cannot be started on '%s'"),
                     console->place.address.sun_path);
}

static int listen_and_start(struct console *console, const char *socket_path, struct casebus_error *err)
{
    if (socket_place_open(&console->place, socket_path, err))
        return -1;
    if (socket_place_alive(&console->place))
        return error_set(err, CASEBUS_LOCKED, _("another process answers on '%s'"), socket_path);
    int fd = socket_listen(&console->place, err);
    return fd < 0 || daemon_start(console, fd, err) ? -1 : 0;
}

int console_start(struct console **consolep, const struct console_hub *hub, const char *socket_path,
                  struct log *log, struct casebus_error *err)
{
    struct console *console = calloc(1, sizeof *console);
    if (!console)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the console"));
    console->hub = *hub;
    console->log = log;
    console->place.dir_fd = -1;
    if (listen_and_start(console, socket_path, err)) {
        socket_place_close(&console->place);
        free(console);
        return -1;
    }
    *consolep = console;
    return 0;
}

struct console *console_stop(struct console *console)
{
    if (!console)
        return NULL;
    unlink(console->place.address.sun_path); /* nobody new */
    MHD_stop_daemon(console->daemon);
    socket_place_close(&console->place);
    free(console);
    return NULL;
}
