/* The console's socket: one that only the hub's user can open, and the group of operators if one is named.
 * Whoever can is an operator, and may ask for what stands in either table of routes. */
#include "hub/console/console.h"

#include "hub/console/answers.h"
#include "hub/console/raw.h"
#include "hub/console/server.h"
#include "hub/console/socket_place.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECTIONS_MAX      32
#define CONNECTION_TIMEOUT_S 15
#define OPERATOR_MAX         64
#define ANSWER_WHEN_NO_MEMORY                                                                                \
    "{\"code\":\"CB-NO-MEMORY\",\"sentence\":\"no memory for an answer\",\"hint\":\"\"}"

struct console {
    struct console_hub hub;
    const struct log *log;
    struct server *server;
    struct socket_place place;
};

/* Between bind and listen nobody can connect: the mode is set before anyone could come in. */
static int socket_listen(const struct socket_place *place, const char *operators, struct casebus_error *err)
{
    const struct sockaddr_un *address = &place->address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, errno, _("a socket for '%s'"), address->sun_path);
    unlink(address->sun_path);
    int r = bind(fd, (const struct sockaddr *)address, sizeof *address)
                ? error_set_errno(err, errno, _("cannot listen on '%s'"), address->sun_path)
                : socket_place_admit(place, operators, err);
    if (r == 0 && listen(fd, CONNECTIONS_MAX))
        r = error_set_errno(err, errno, _("cannot listen on '%s'"), address->sun_path);
    if (r) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- requests ---- */

static json_t *error_json(enum casebus_code code, const char *sentence)
{
    return json_pack("{s:s, s:s, s:s}", "code", casebus_code_text(code), "sentence", sentence, "hint", "");
}

/* Writes @body and gives it up; 0 when it does not fit. */
static size_t body_write(struct server_reply *reply, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    if (!buffer_append(&reply->body, text, size))
        size = 0;
    free(text);
    json_decref(body);
    return size;
}

static void reply_json(struct server_reply *reply, unsigned status, json_t *body)
{
    char sentence[160];
    bool there = body;
    reply->content_type = "application/json; charset=utf-8";
    reply->status = status;
    if (body_write(reply, body))
        return;
    reply->status = 500;
    snprintf(sentence, sizeof sentence, _("the answer has more than %d bytes: ask for less of it"),
             SERVER_REPLY_MAX);
    if (!there || !body_write(reply, error_json(CASEBUS_TOO_LARGE, sentence)))
        buffer_append(&reply->body, ANSWER_WHEN_NO_MEMORY, strlen(ANSWER_WHEN_NO_MEMORY));
}

static void reply_too_large(struct server_reply *reply)
{
    char sentence[160];
    snprintf(sentence, sizeof sentence, _("the body has more than %d bytes"), CONSOLE_BODY_MAX);
    reply_json(reply, 413, error_json(CASEBUS_TOO_LARGE, sentence));
}

/* The name of the account, or its number where it has none. */
static void operator_name(int64_t uid, char out[OPERATOR_MAX])
{
    struct passwd entry, *found = NULL;
    char memory[4096];
    if (uid >= 0 && getpwuid_r((uid_t)uid, &entry, memory, sizeof memory, &found) == 0 && found)
        snprintf(out, OPERATOR_MAX, "%s", found->pw_name);
    else
        snprintf(out, OPERATOR_MAX, "uid %lld", (long long)uid);
}

static void console_answer(void *self, const struct server_request *request, struct server_reply *reply)
{
    const struct console *console = self;
    char by[OPERATOR_MAX];
    const struct console_request asked = {
        .method = request->method, .target = request->target, .body = request->body, .by = by};
    struct console_reply answered;
    if (raw_handle(&console->hub, request, RAW_FROM_OPERATOR, reply, console->log))
        return;
    if (request->too_large) {
        reply_too_large(reply);
        return;
    }
    operator_name(request->uid, by);
    console_handle(&console->hub, &asked, &answered, console->log);
    reply_json(reply, answered.status, answered.body);
}

/* ---- life ---- */

static int listen_and_start(struct console *console, const char *socket_path, struct casebus_error *err)
{
    if (socket_place_open(&console->place, socket_path, err))
        return -1;
    if (socket_place_alive(&console->place))
        return error_set(err, CASEBUS_LOCKED, _("another process answers on '%s'"), socket_path);
    const struct server_options options = {.fd = socket_listen(&console->place, console->hub.operators, err),
                                           .where = console->place.address.sun_path,
                                           .n_places = CONNECTIONS_MAX,
                                           .body_max = CONSOLE_BODY_MAX,
                                           .silence_s = CONNECTION_TIMEOUT_S,
                                           .answer = console_answer,
                                           .self = console,
                                           .log = console->log};
    return options.fd < 0 ? -1 : server_start(&console->server, &options, err);
}

int console_start(struct console **consolep, const struct console_hub *hub, const char *socket_path,
                  const struct log *log, struct casebus_error *err)
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
    server_stop(console->server);
    socket_place_close(&console->place);
    free(console);
    return NULL;
}
