#include "hub/console/monitor.h"

#include "hub/console/raw.h"
#include "hub/console/server.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLACES    64
#define SILENCE_S 15
#define TEXT_MAX  64 /* "[an address of IPv6%an interface]:65535" */
#define BODY_MAX  (64 * 1024)

struct monitor {
    struct console_hub hub;
    const struct log *log;
    struct server *server;
    char address[TEXT_MAX];
};

static void monitor_answer(void *self, const struct server_request *request, struct server_reply *reply)
{
    const struct monitor *monitor = self;
    if (!raw_handle(&monitor->hub, request, RAW_FROM_STRANGER, reply, monitor->log))
        raw_nothing(request->target, reply);
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT"; numbers alone, so that nobody else is asked what they mean. */
static int resolve(const char *text, struct addrinfo **found, struct casebus_error *err)
{
    const struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char host[TEXT_MAX];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed)
        text++, n -= 2;
    if (n > 0 && n < sizeof host && colon[1]) {
        memcpy(host, text, n);
        host[n] = '\0';
        if (getaddrinfo(host, colon + 1, &wanted, found) == 0)
            return 0;
    }
    error_set(err, CASEBUS_CONFIG, _("the monitor's listener: '%s' is no address of a machine and a port"),
              text);
    return error_hint(err, _("in hub.yaml, such as: monitor: 127.0.0.1:7480"));
}

static int socket_listen(const struct addrinfo *at, const char *text, struct casebus_error *err)
{
    static const int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, errno, _("a socket for '%s'"), text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) || listen(fd, PLACES)) {
        int reason = errno;
        close(fd);
        error_set_errno(err, reason, _("the monitor's listener: cannot listen on '%s'"), text);
        return error_hint(err, _("choose another port with `monitor` in hub.yaml, or `off`"));
    }
    return fd;
}

/* What the socket is bound to, in the words of the setting. */
static void address_tell(struct monitor *monitor, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[48] = "?", port[8] = "?";
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(monitor->address, sizeof monitor->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int listen_and_serve(struct monitor *monitor, const char *address, struct casebus_error *err)
{
    struct addrinfo *at = NULL;
    if (resolve(address, &at, err) || !at)
        return -1;
    int fd = socket_listen(at, address, err);
    freeaddrinfo(at);
    if (fd < 0)
        return -1;
    address_tell(monitor, fd);
    const struct server_options options = {.fd = fd,
                                           .where = monitor->address,
                                           .n_places = PLACES,
                                           .body_max = BODY_MAX,
                                           .silence_s = SILENCE_S,
                                           .answer = monitor_answer,
                                           .self = monitor,
                                           .log = monitor->log};
    return server_start(&monitor->server, &options, err);
}

int monitor_start(struct monitor **monitorp, const struct console_hub *hub, const char *address,
                  const struct log *log, struct casebus_error *err)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the monitor's listener"));
    monitor->hub = *hub;
    monitor->log = log;
    if (listen_and_serve(monitor, address, err)) {
        free(monitor);
        return -1;
    }
    log_notice(log, "MONITOR-READY", _("checkpoints and tiles are served on http://%s"), monitor->address);
    *monitorp = monitor;
    return 0;
}

const char *monitor_address(const struct monitor *monitor)
{
    return monitor ? monitor->address : NULL;
}

struct monitor *monitor_stop(struct monitor *monitor)
{
    if (!monitor)
        return NULL;
    server_stop(monitor->server);
    free(monitor);
    return NULL;
}
