/* libcurl speaks HTTP, over the hub's socket or TCP; without a hub the console's handlers are called here. */
#include "hub/cli/client.h"

#include "hub/console/socket_place.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_MAX        (64 * 1024 * 1024)
#define CONNECT_TIMEOUT_S 5L
#define ANSWER_TIMEOUT_S  60L

struct client {
    bool answered; /* the last call */
    CURL *curl;    /* NULL: offline */
    char base[512];
    char dir[PATH_MAX]; /* "" when only a URL is known */
    struct socket_place place;
    struct stores *stores;
};

const char *target_escape(char *out, size_t size, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 4 <= size; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            strchr("-._~", *p)) {
            out[n++] = (char)*p;
        } else {
            out[n++] = '%';
            out[n++] = hex[*p >> 4];
            out[n++] = hex[*p & 15];
        }
    }
    out[n] = '\0';
    return out;
}

/* ---- opening ---- */

static int http_open(struct client *client, const char *socket, const char *base, struct casebus_error *err)
{
    client->curl = curl_easy_init();
    if (!client->curl)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a connection"));
    if (socket)
        curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
    curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (snprintf(client->base, sizeof client->base, "%s", base) >= (int)sizeof client->base)
        return error_set(err, CASEBUS_ARGUMENT, _("the address of the hub is too long"));
    size_t n = strlen(client->base);
    while (n > 0 && client->base[n - 1] == '/')
        client->base[--n] = '\0';
    return 0;
}

static void journal_notice(const struct stores *stores)
{
    struct casebus_error err;
    uint64_t ahead;
    if (stores_journal_ahead(stores, &ahead, &err)) {
        error_print("casebus", &err);
    } else if (ahead > 0) {
        fprintf(stderr,
                _n("casebus: the journal holds %llu entry that the ledger has not yet\n",
                   "casebus: the journal holds %llu entries that the ledger has not yet\n", ahead),
                (unsigned long long)ahead);
        fprintf(stderr, _("  start the hub once, or run: casebus-hub rebuild %s\n"), stores->dir);
    }
}

static int offline_open(struct client *client, const char *socket, struct casebus_error *err)
{
    if (stores_open(&client->stores, client->dir, err))
        return -1;
    fprintf(stderr, _("casebus: no hub answers on '%s'; reading its files\n"), socket);
    journal_notice(client->stores);
    return 0;
}

/* 1: a hub listens there, client->place is open; 0: none does; -1: failure. */
static int socket_find(struct client *client, const char *path, struct casebus_error *err)
{
    if (socket_place_open(&client->place, path, err))
        return -1;
    return socket_place_alive(&client->place);
}

static int dir_open(struct client *client, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (strlen(dir) >= sizeof client->dir || path_join(path, sizeof path, dir, "hub.sock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    strcpy(client->dir, dir);
    int alive = socket_find(client, path, NULL);
    return alive > 0 ? http_open(client, client->place.address.sun_path, "http://hub", err)
                     : offline_open(client, path, err);
}

/* "http+unix:///run/casebus/hub.sock" */
static int unix_url_open(struct client *client, const char *path, struct casebus_error *err)
{
    int alive = socket_find(client, path, err);
    if (alive > 0)
        return http_open(client, client->place.address.sun_path, "http://hub", err);
    if (alive == 0 && errno == EACCES) {
        error_set(err, CASEBUS_NETWORK, _("this account may not use '%s'"), path);
        return error_hint(err,
                          _("be the account of the hub, or of the group that `operators` in hub.yaml names"));
    }
    if (alive == 0)
        error_set(err, CASEBUS_NETWORK, _("no hub answers on '%s'"), path);
    err->code = CASEBUS_NETWORK;
    return error_hint(err, _("start it with casebus-hub run, or give its directory with --hub"));
}

int client_open(struct client **clientp, const char *hub, struct casebus_error *err)
{
    static const char unix_scheme[] = "http+unix://";
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a connection"));
    client->place.dir_fd = -1;
    int r;
    if (strncmp(hub, unix_scheme, sizeof unix_scheme - 1) == 0)
        r = unix_url_open(client, hub + sizeof unix_scheme - 1, err);
    else if (strncmp(hub, "http://", 7) == 0 || strncmp(hub, "https://", 8) == 0)
        r = http_open(client, NULL, hub, err);
    else
        r = dir_open(client, hub, err);
    if (r) {
        client_close(client);
        return -1;
    }
    *clientp = client;
    return 0;
}

bool client_is_copy(const char *dir)
{
    char ledger[PATH_MAX], settings[PATH_MAX];
    return path_join(ledger, sizeof ledger, dir, "ledger/data.mdb") == 0 &&
           path_join(settings, sizeof settings, dir, "hub.yaml") == 0 && access(ledger, F_OK) == 0 &&
           access(settings, F_OK) != 0;
}

int client_open_copy(struct client **clientp, const char *dir, struct casebus_error *err)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a connection"));
    client->place.dir_fd = -1;
    if (stores_open_copy(&client->stores, dir, err)) {
        client_close(client);
        return -1;
    }
    *clientp = client;
    return 0;
}

struct client *client_close(struct client *client)
{
    if (!client)
        return NULL;
    if (client->curl)
        curl_easy_cleanup(client->curl);
    stores_close(client->stores);
    socket_place_close(&client->place);
    free(client);
    return NULL;
}

bool client_answered(const struct client *client)
{
    return client->answered;
}

bool client_running(const struct client *client)
{
    return client->curl;
}

int client_stores(struct client *client, struct stores **storesp, struct casebus_error *err)
{
    if (!client->stores && !*client->dir) {
        error_set(err, CASEBUS_ARGUMENT, _("this reads the hub's files, so it has to know its directory"));
        return error_hint(err, _("give the directory instead of the URL: --hub DIR"));
    }
    if (!client->stores && stores_open(&client->stores, client->dir, err))
        return -1;
    *storesp = client->stores;
    return 0;
}

/* ---- asking ---- */

static size_t on_answer(char *data, size_t size, size_t n, void *self)
{
    return buffer_append(self, data, size * n) ? size * n : 0;
}

static int http_perform(struct client *client, const char *method, const char *target, const char *body,
                        struct buffer *answer, long *status, struct casebus_error *err)
{
    char url[sizeof client->base + CONSOLE_TARGET_MAX + 64];
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (snprintf(url, sizeof url, "%s%s", client->base, target) >= (int)sizeof url) {
        curl_slist_free_all(headers);
        return error_set(err, CASEBUS_ARGUMENT, _("the request is too long"));
    }
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
    if (!body)
        curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(client->curl);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    if (code == CURLE_OK)
        return 0;
    error_set(err, CASEBUS_NETWORK, _("the hub does not answer at '%s': %s"),
              *client->dir ? client->dir : client->base, curl_easy_strerror(code));
    return error_hint(err, _("does it run? casebus-hub run DIR"));
}

/* An answer that is no success: the hub's own words. */
static int answer_error(const json_t *answer, long status, struct casebus_error *err)
{
    const char *code = json_string_value(json_object_get(answer, "code"));
    const char *sentence = json_string_value(json_object_get(answer, "sentence"));
    const char *hint = json_string_value(json_object_get(answer, "hint"));
    if (!code || !sentence)
        return error_set(err, CASEBUS_NETWORK, _("what answers is no casebus hub (HTTP status %ld)"), status);
    error_set(err, casebus_code_parse(code), "%s", sentence);
    return hint && *hint ? error_hint(err, "%s", hint) : -1;
}

static int http_call(struct client *client, const char *method, const char *target, const char *body,
                     json_t **answer, struct casebus_error *err)
{
    struct buffer text;
    long status = 0;
    *answer = NULL;
    buffer_init(&text, ANSWER_MAX);
    int r = http_perform(client, method, target, body, &text, &status, err);
    if (r == 0)
        *answer = json_loadb(text.size ? (const char *)text.data : "", text.size, 0, NULL);
    client->answered = json_is_object(*answer);
    if (r == 0 && (status < 200 || status > 299 || !json_is_object(*answer)))
        r = answer_error(*answer, status, err);
    buffer_deinit(&text);
    if (r) {
        json_decref(*answer);
        *answer = NULL;
    }
    return r;
}

static int offline_call(struct client *client, const char *method, const char *target, const char *body,
                        json_t **answer, struct casebus_error *err)
{
    struct console_request request = {method, target, body ? bytes_of_text(body) : bytes_of(NULL, 0), NULL};
    struct console_reply reply;
    console_handle(&client->stores->hub, &request, &reply, NULL);
    *answer = reply.body;
    if (reply.status < 300)
        return 0;
    int r = answer_error(reply.body, (long)reply.status, err);
    json_decref(reply.body);
    *answer = NULL;
    return r;
}

static int client_call(struct client *client, const char *method, const char *target, const char *body,
                       json_t **answer, struct casebus_error *err)
{
    return client->curl ? http_call(client, method, target, body, answer, err)
                        : offline_call(client, method, target, body, answer, err);
}

int client_get(struct client *client, json_t **answer, struct casebus_error *err, const char *target, ...)
{
    char text[CONSOLE_TARGET_MAX];
    va_list args;
    va_start(args, target);
    int n = vsnprintf(text, sizeof text, target, args);
    va_end(args);
    *answer = NULL;
    if (n >= (int)sizeof text)
        return error_set(err, CASEBUS_ARGUMENT, _("the request is too long"));
    return client_call(client, "GET", text, NULL, answer, err);
}

int client_post(struct client *client, const char *target, const json_t *body, json_t **answer,
                struct casebus_error *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    *answer = NULL;
    if (!text)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    int r = client_call(client, "POST", target, text, answer, err);
    free(text);
    return r;
}

int client_barrier(struct client *client, struct casebus_error *err)
{
    json_t *answer = NULL;
    if (!client->curl)
        return 0;
    int r = http_call(client, "POST", "/v1/barrier", "", &answer, err);
    json_decref(answer);
    return r;
}
