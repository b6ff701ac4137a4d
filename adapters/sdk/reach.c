#include "adapters/sdk/reach.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_MAX 256

/* "tcp://[::1]:7401" and "tcp://host:7401" into host and port. */
static bool split(const char *endpoint, char host[HOST_MAX], char port[8])
{
    const char *from = endpoint + 6, *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) != 0 || colon <= from)
        return false;
    bool bracket = *from == '[' && colon[-1] == ']';
    int size = (int)(colon - from) - (bracket ? 2 : 0);
    return size > 0 && size < HOST_MAX && snprintf(host, HOST_MAX, "%.*s", size, from + bracket) == size &&
           snprintf(port, 8, "%s", colon + 1) < 8;
}

/* 0, or the system's number of what went wrong. */
static int connected(const struct addrinfo *address, int timeout_ms)
{
    int reason = 0;
    socklen_t size = sizeof reason;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    struct pollfd item = {fd, POLLOUT, 0};
    bool begun = connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS;
    if (begun && poll(&item, 1, timeout_ms) <= 0)
        reason = ETIMEDOUT;
    else if (!begun || getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size))
        reason = errno;
    close(fd);
    return reason;
}

int reach(const char *endpoint, int timeout_ms, struct casebus_error *err)
{
    char host[HOST_MAX], port[8];
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    if (!split(endpoint, host, port))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' is not an endpoint: tcp://HOST:PORT"), endpoint);
    int unknown = getaddrinfo(host, port, &wanted, &found);
    if (unknown)
        return error_set(err, CASEBUS_NETWORK, _("there is no machine '%s': %s"), host,
                         gai_strerror(unknown));
    int reason = ETIMEDOUT;
    for (const struct addrinfo *at = found; at && reason; at = at->ai_next)
        reason = connected(at, timeout_ms);
    freeaddrinfo(found);
    if (reason == 0)
        return 0;
    return error_set(err,
                     reason == ECONNREFUSED ? CASEBUS_CLOSED
                     : reason == ETIMEDOUT  ? CASEBUS_TIMEOUT
                                            : CASEBUS_NETWORK,
                     _("cannot connect to '%s': %s"), endpoint, strerror(reason));
}
