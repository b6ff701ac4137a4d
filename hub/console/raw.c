/* A path is taken as it came: an escape, a query or a doubled slash is another path, and there is nothing at
 * it. Nothing is decoded, so nothing can be said in two ways. */
#include "hub/console/raw.h"

#include "hub/console/answers.h"
#include "hub/console/auditors.h"
#include "proto/base/texts.h"

struct raw_route {
    const char *method; /* GET serves HEAD, too */
    const char *path;   /* a final '*' stands for anything */
    bool auditors;      /* for auditors alone */
    size_t body_max;
    raw_handler_fn *handler;
};

static const struct raw_route raw_routes[] = {
    {"GET", "/checkpoint", false, 0, raw_checkpoint},
    {"GET", "/tile/entries/*", true, 0, raw_entries},
    {"GET", "/tile/*", false, 0, raw_tile},
    {"POST", "/add-checkpoint", false, SUBMISSION_MAX, raw_add_checkpoint},
};
#define N_RAW_ROUTES (sizeof raw_routes / sizeof raw_routes[0])

static bool path_fits(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? strncmp(pattern, path, n - 1) == 0 : strcmp(pattern, path) == 0;
}

static const struct raw_route *route_of(const char *path)
{
    for (size_t i = 0; i < N_RAW_ROUTES; i++)
        if (path_fits(raw_routes[i].path, path))
            return &raw_routes[i];
    return NULL;
}

static bool method_fits(const struct raw_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static int refuse_method(const struct raw_route *route, const struct server_request *request,
                         struct server_reply *reply, struct casebus_error *err)
{
    reply->status = 405;
    server_reply_header(reply, "Allow", strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method);
    return error_set(err, CASEBUS_NOT_ALLOWED, _("'%.200s' cannot be asked with %.20s"), request->target,
                     request->method);
}

/* RFC 6750 names Bearer, RFC 7617 Basic; a browser asks for the token when it reads the latter. */
static int refuse_stranger(struct server_reply *reply, struct casebus_error *err)
{
    reply->status = 401;
    server_reply_header(reply, "WWW-Authenticate", "Basic realm=\"casebus auditors\", charset=\"UTF-8\"");
    error_set(err, CASEBUS_NOT_ALLOWED, _("entries are shown to auditors alone"));
    return error_hint(err, _("an operator makes a token with `casebus auditor add NAME`; it is sent as the "
                             "password of HTTP Basic, or as a Bearer token"));
}

static int raw_run(const struct raw_route *route, const struct server_request *request, enum raw_from from,
                   struct raw_call *call, struct casebus_error *err)
{
    if (!method_fits(route, request->method))
        return refuse_method(route, request, call->reply, err);
    if (route->auditors && from == RAW_FROM_STRANGER) {
        int r = auditors_know(call->hub->dir, call->hub->suite, request->authorization, err);
        if (r <= 0)
            return r ? r : refuse_stranger(call->reply, err);
    }
    if (request->too_large || request->body.size > route->body_max)
        return error_set(err, CASEBUS_TOO_LARGE, _("the body has more than %d bytes"), (int)route->body_max);
    return route->handler(call, err);
}

static void reply_error(struct server_reply *reply, const struct casebus_error *err)
{
    if (reply->status == 200)
        reply->status = status_of_code(err->code);
    reply->content_type = "text/plain; charset=utf-8";
    reply->cache_control = "no-store";
    buffer_reset(&reply->body);
    buffer_printf(&reply->body, "%s: %s\n", casebus_code_text(err->code), err->text);
    if (err->hint[0])
        buffer_printf(&reply->body, "%s\n", err->hint);
}

bool raw_handle(const struct console_hub *hub, const struct server_request *request, enum raw_from from,
                struct server_reply *reply, const struct log *log)
{
    const struct raw_route *route = route_of(request->target);
    struct raw_call call = {
        .hub = hub, .path = request->target, .body = request->body, .log = log, .reply = reply};
    struct casebus_error err = {0};
    if (!route)
        return false;
    if (raw_run(route, request, from, &call, &err) == 0)
        return true;
    reply_error(reply, &err);
    if (reply->status >= 500 && reply->status != 503)
        log_warning(log, "MONITOR-FAILED", "%s", err.text);
    return true;
}

void raw_nothing(const char *path, struct server_reply *reply)
{
    struct casebus_error err;
    error_set(&err, CASEBUS_NOT_FOUND, _("there is nothing at '%.200s'"), path);
    reply_error(reply, &err);
}
