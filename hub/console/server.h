/* Server: HTTP/1.1 on a socket that listens already: one thread, one epoll loop (libmicrohttpd), bounded in
 * every direction. What is asked and answered is bytes; who may ask what is the caller's business. */
#ifndef CONSOLE_SERVER_H
#define CONSOLE_SERVER_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"
#include "proto/base/log.h"

#define SERVER_REPLY_MAX   (16 * 1024 * 1024)
#define SERVER_HEADERS_MAX 4
#define SERVER_PLACES_MAX  256 /* connections that a server may be given */

struct server_request {
    const char *method;        /* "GET", "POST" */
    const char *target;        /* as in the request line: percent-encoded path and query */
    const char *authorization; /* that header's value; NULL: none */
    struct bytes body;
    bool too_large; /* the body had more than body_max bytes, and is not here */
    int64_t uid;    /* of the process that asks, over a Unix socket; -1: not known */
};

struct server_header {
    const char *name;
    char value[128];
};

/* Born as 200, text/plain, no-store, and empty. */
struct server_reply {
    unsigned status;
    const char *content_type;
    const char *cache_control;
    struct server_header headers[SERVER_HEADERS_MAX];
    size_t n_headers;
    struct buffer body; /* at most SERVER_REPLY_MAX */
};

void server_reply_init(struct server_reply *reply);
void server_reply_deinit(struct server_reply *reply);
/* Adds a header; what does not fit is cut. */
void server_reply_header(struct server_reply *reply, const char *name, const char *value);

/* Fills in @reply. Called from the server's thread; the body of an answer to HEAD is left out by the server.
 */
typedef void server_answer_fn(void *self, const struct server_request *request, struct server_reply *reply);

struct server;

struct server_options {
    int fd; /* a listening socket, not blocking; the server closes it, also when it fails to start */
    const char *where;  /* for errors */
    unsigned n_places;  /* connections served at a time. One more makes one of the address that has most of
                         * them  give up its place, the one that has waited longest, so that silent, slow or
                         * many  peers do not keep others out. */
    size_t body_max;    /* bytes of a request's body */
    unsigned silence_s; /* after so much silence a connection is closed */
    server_answer_fn *answer;
    void *self;
    const struct log *log;
};

int server_start(struct server **serverp, const struct server_options *options, struct casebus_error *err);
/* Lets requests under way end. NULL in, NULL out. */
struct server *server_stop(struct server *server);

#endif
