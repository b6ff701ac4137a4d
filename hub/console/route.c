/* The routes are rows; the router finds the row, refuses what the row does not know, and turns an error into
 * a status and JSON. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"

#include <stdlib.h>

struct route {
    const char *method;
    const char *path; /* a final '*' stands for one name, which may hold anything */
    const char *params;
    handler_fn *handler;
};

static const struct route routes[] = {
    {"GET", "/v1/status", "", handle_status},
    {"POST", "/v1/barrier", " timeout_ms ", handle_barrier},
    {"POST", "/v1/secured", "", handle_secured},
    {"GET", "/v1/backup", "", handle_backup},
    {"GET", "/v1/nodes", "", handle_nodes},
    {"POST", "/v1/nodes", " timeout_ms ", handle_enrol},
    {"GET", "/v1/nodes/*", "", handle_node},
    {"POST", "/v1/nodes/*", "", handle_node_standing},
    {"GET", "/v1/enrolments/*", "", handle_enrolment},
    {"GET", "/v1/hub-keys", "", handle_hub_keys},
    {"POST", "/v1/hub-keys", "", handle_hub_keys_rotate},
    {"GET", "/v1/invitations", "", handle_invitations},
    {"POST", "/v1/invitations", "", handle_invite},
    {"POST", "/v1/invitations/*", "", handle_invitation_decide},
    {"GET", "/v1/cases", " after limit status ", handle_cases},
    {"GET", "/v1/cases/*", "", handle_case},
    {"GET", "/v1/policy", "", handle_policy},
    {"POST", "/v1/policy", "", handle_policy_apply},
    {"POST", "/v1/policy/proposal", "", handle_policy_decide},
    {"GET", "/v1/policy/why/*", " case ", handle_policy_why},
    {"POST", "/v1/erasures", "", handle_erase},
    {"GET", "/v1/erasures/tickets/*", "", handle_erasure_ticket},
    {"GET", "/v1/erasures", " after limit ", handle_erasures},
    {"GET", "/v1/erasures/*", "", handle_erasure},
    {"GET", "/v1/quarantine", " after limit node code all ", handle_quarantine},
    {"GET", "/v1/quarantine/*", " parts ", handle_quarantined},
    {"POST", "/v1/quarantine/*", "", handle_release},
    {"GET", "/v1/events", " after last limit node parts ", handle_events},
    {"GET", "/v1/events/*", " before parts ", handle_event},
    {"GET", "/v1/sharing", " node reader from limit ", handle_sharing},
    {"GET", "/v1/evidence", " case event position open sealed before ", handle_evidence},
    {"GET", "/v1/incidents/*", " from to limit persons ", handle_incident},
    {"GET", "/v1/ledger/checkpoint", " size ", handle_checkpoint},
    {"GET", "/v1/witness", "", handle_witness},
    {"GET", "/v1/ledger/entries", " from limit notes ", handle_entries},
};

#define N_ROUTES (sizeof routes / sizeof routes[0])

/* Where the '*' of @pattern begins in @path ("" when there is none), or NULL when it does not match. */
static const char *path_match(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] != '*')
        return strcmp(pattern, path) == 0 ? "" : NULL;
    return strncmp(pattern, path, n - 1) == 0 && path[n - 1] ? path + n - 1 : NULL;
}

static int route_find(struct call *call, struct request *request, const struct route **routep,
                      struct casebus_error *err)
{
    bool path_known = false;
    for (size_t i = 0; i < N_ROUTES; i++) {
        const char *rest = path_match(routes[i].path, request->path);
        if (!rest)
            continue;
        path_known = true;
        if (strcmp(routes[i].method, request->method) != 0)
            continue;
        request->rest = rest;
        *routep = &routes[i];
        return 0;
    }
    call->status = path_known ? 405 : 404;
    if (path_known)
        return error_set(err, CASEBUS_NOT_ALLOWED, _("'%s' cannot be asked with %s"), request->path,
                         request->method);
    error_set(err, CASEBUS_NOT_FOUND, _("there is nothing at '%s'"), request->path);
    return error_hint(err, _("see docs/api.md for what can be asked"));
}

static int params_check(const struct route *route, const struct request *request, struct casebus_error *err)
{
    for (size_t i = 0; i < request->n_params; i++) {
        char word[64];
        int n = snprintf(word, sizeof word, " %s ", request->params[i].name);
        if (n >= (int)sizeof word || strchr(request->params[i].name, ' ') || !strstr(route->params, word)) {
            error_set(err, CASEBUS_ARGUMENT, _("'%s' has no parameter '%s'"), route->path,
                      request->params[i].name);
            char names[128]; /* without the space before the first and behind the last */
            size_t size = strlen(route->params);
            snprintf(names, sizeof names, "%.*s", size > 2 ? (int)size - 2 : 0, route->params + (size > 0));
            return error_hint(err, _("it has: %s"), names[0] ? names : _("none"));
        }
    }
    return 0;
}

static void answer_error(struct console_reply *reply, unsigned status, const struct casebus_error *err)
{
    reply->status = status == 200 ? status_of_code(err->code) : status;
    reply->body = json_pack("{s:s, s:s, s:s}", "code", casebus_code_text(err->code), "sentence", err->text,
                            "hint", err->hint);
}

static int call_run(struct call *call, const struct console_request *raw, struct request *request,
                    struct casebus_error *err)
{
    const struct route *route = NULL;
    if (request_init(request, raw, err) || route_find(call, request, &route, err) ||
        params_check(route, request, err))
        return -1;
    call->status = 200;
    return route->handler(call, err);
}

void console_handle(const struct console_hub *hub, const struct console_request *raw,
                    struct console_reply *reply, const struct log *log)
{
    static const struct log nowhere;
    struct request request = {0};
    struct casebus_error err = {0};
    struct call call = {.hub = hub,
                        .request = &request,
                        .log = log ? log : &nowhere,
                        .by = raw->by ? raw->by : "",
                        .status = 200,
                        .answer = json_object()};
    if (call_run(&call, raw, &request, &err) == 0) {
        *reply = (struct console_reply){call.status, json_incref(call.answer)};
    } else {
        if (status_of_code(err.code) >= 500)
            log_warning(call.log, "CONSOLE-FAILED", "%s", err.text);
        answer_error(reply, call.status, &err);
    }
    json_decref(call.answer);
    request_deinit(&request);
}
