/* libmicrohttpd reads and writes; this file bounds it. Connections, bytes of headers and body, and silence
 * are options of the library. It knows no bound for a peer that says a byte now and then, and closes no
 * connection on demand: so there is one place more than are meant to be used, and when that one is taken, a
 * connection is shut down under the library's hands, which then finds it ended. It is one of the address that
 * holds the most, and among those the one whose last request lies furthest back: so nobody can push out
 * others by opening many. */
#include "hub/console/server.h"

#include "proto/base/texts.h"

#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY (32 * 1024) /* request line, headers and buffers */

/* Who is at the other end, as far as places are shared out: an IPv4 address, the /64 of an IPv6 one, which is
 * one customer's, or everybody on a local socket. */
struct peer {
    uint8_t family;
    uint8_t address[8];
};

/* One connection. */
struct place {
    struct MHD_Connection *connection; /* NULL: free */
    int fd;
    struct peer peer;
    uint64_t since; /* turn at which it came or was answered last */
    bool shut;
};

struct server {
    struct server_options options;
    struct MHD_Daemon *daemon;
    struct place places[SERVER_PLACES_MAX + 1];
    unsigned n_taken;
    uint64_t turn;
};

/* One request on its way in. */
struct incoming {
    char *target;
    struct buffer body;
    bool begun;
    bool too_large;
};

/* ---- replies ---- */

void server_reply_init(struct server_reply *reply)
{
    *reply = (struct server_reply){
        .status = 200, .content_type = "text/plain; charset=utf-8", .cache_control = "no-store"};
    buffer_init(&reply->body, SERVER_REPLY_MAX);
}

void server_reply_deinit(struct server_reply *reply)
{
    buffer_deinit(&reply->body);
}

void server_reply_header(struct server_reply *reply, const char *name, const char *value)
{
    assert(reply->n_headers < SERVER_HEADERS_MAX);
    struct server_header *header = &reply->headers[reply->n_headers++];
    header->name = name;
    snprintf(header->value, sizeof header->value, "%s", value);
}

/* ---- places ---- */

static struct peer peer_of(const struct sockaddr *address)
{
    struct peer peer = {0};
    if (address && address->sa_family == AF_INET) {
        peer.family = AF_INET;
        memcpy(peer.address, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(in6);
        peer.family = mapped ? AF_INET : AF_INET6;
        memcpy(peer.address, in6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
    return peer;
}

static bool place_counts(const struct place *place)
{
    return place->connection && !place->shut;
}

static unsigned places_of(const struct server *server, const struct peer *peer)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= server->options.n_places; i++)
        if (place_counts(&server->places[i]))
            n += memcmp(&server->places[i].peer, peer, sizeof *peer) == 0;
    return n;
}

static void give_up_one(struct server *server)
{
    struct place *worst = NULL;
    unsigned most = 0;
    for (unsigned i = 0; i <= server->options.n_places; i++) {
        struct place *place = &server->places[i];
        unsigned n = place_counts(place) ? places_of(server, &place->peer) : 0;
        if (n == 0 || n < most || (n == most && place->since >= worst->since))
            continue;
        worst = place;
        most = n;
    }
    if (!worst)
        return;
    worst->shut = true;
    shutdown(worst->fd, SHUT_RDWR);
}

static struct place *place_take(struct server *server, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    for (unsigned i = 0; i <= server->options.n_places; i++) {
        struct place *place = &server->places[i];
        if (place->connection)
            continue;
        *place = (struct place){.connection = connection,
                                .fd = info ? info->connect_fd : -1,
                                .peer = peer_of(from ? from->client_addr : NULL),
                                .since = server->turn++};
        server->n_taken++;
        return place;
    }
    return NULL; /* not reached: the library takes no more than there are */
}

static void on_connection(void *self, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = self;
    struct place *place = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = place_take(server, connection);
        if (server->n_taken > server->options.n_places)
            give_up_one(server);
    } else if (place) {
        *place = (struct place){0};
        server->n_taken--;
    }
}

/* ---- requests ---- */

static void *on_target(void *self, const char *target, struct MHD_Connection *connection)
{
    const struct server *server = self;
    (void)connection;
    struct incoming *incoming = calloc(1, sizeof *incoming);
    if (!incoming)
        return NULL;
    buffer_init(&incoming->body, server->options.body_max);
    incoming->target = strdup(target);
    return incoming;
}

static void on_completed(void *self, struct MHD_Connection *connection, void **cls,
                         enum MHD_RequestTerminationCode code)
{
    struct server *server = self;
    struct incoming *incoming = *cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct place *place = info ? info->socket_context : NULL;
    if (place && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        place->since = server->turn++;
    if (!incoming)
        return;
    buffer_deinit(&incoming->body);
    free(incoming->target);
    free(incoming);
    *cls = NULL;
}

/* The reply's body becomes the library's. */
static struct MHD_Response *response_of(struct server_reply *reply)
{
    struct MHD_Response *response =
        reply->body.size > 0
            ? MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE)
            : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!response)
        return NULL;
    if (reply->body.size > 0)
        buffer_init(&reply->body, SERVER_REPLY_MAX);
    MHD_add_response_header(response, "Content-Type", reply->content_type);
    MHD_add_response_header(response, "Cache-Control", reply->cache_control);
    for (size_t i = 0; i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    return response;
}

/* Whose process is at the other end. */
static int64_t uid_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t size = sizeof peer;
    return info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                   peer.uid != (uid_t)-1
               ? (int64_t)peer.uid
               : -1;
}

static enum MHD_Result answer(struct server *server, struct MHD_Connection *connection, const char *method,
                              const struct incoming *incoming)
{
    const struct server_request request = {
        .method = method,
        .target = incoming->target,
        .authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"),
        .body = bytes_of(incoming->body.data, incoming->body.size),
        .too_large = incoming->too_large,
        .uid = uid_of(connection)};
    struct server_reply reply;
    enum MHD_Result result = MHD_NO;
    server_reply_init(&reply);
    server->options.answer(server->options.self, &request, &reply);
    struct MHD_Response *response = response_of(&reply);
    if (response) {
        result = MHD_queue_response(connection, reply.status, response);
        MHD_destroy_response(response);
    }
    server_reply_deinit(&reply);
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
    return answer(self, connection, method, incoming);
}

static void on_log(void *self, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *self, const char *format, va_list args)
{
    struct server *server = self;
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug(server->options.log, "CONSOLE-HTTP", "%s", text);
}

/* ---- life ---- */

static int daemon_start(struct server *server, struct casebus_error *err)
{
    const struct server_options *options = &server->options;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC, 0, NULL, NULL, on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET, options->fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
        options->n_places + 1, MHD_OPTION_CONNECTION_TIMEOUT, options->silence_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    return server->daemon
               ? 0
               : error_set(err, CASEBUS_INTERNAL, _("no HTTP server can be started on '%s'"), options->where);
}

int server_start(struct server **serverp, const struct server_options *options, struct casebus_error *err)
{
    assert(options->n_places <= SERVER_PLACES_MAX);
    struct server *server = calloc(1, sizeof *server);
    int r = server ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an HTTP server"));
    if (server) {
        server->options = *options;
        r = daemon_start(server, err);
    }
    if (r) {
        close(options->fd);
        free(server);
        return -1;
    }
    *serverp = server;
    return 0;
}

struct server *server_stop(struct server *server)
{
    if (!server)
        return NULL;
    MHD_stop_daemon(server->daemon);
    free(server);
    return NULL;
}
