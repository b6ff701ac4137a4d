#include "hub/backup/phone.h"

#include "hub/console/socket_place.h"
#include "proto/base/bytes.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <curl/curl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#define ANSWER_MAX (1024 * 1024)
#define TIMEOUT_S  60L

static size_t on_answer(char *data, size_t size, size_t n, void *self)
{
    return buffer_append(self, data, size * n) ? size * n : 0;
}

static int answer_read(const struct buffer *answer, long status, struct casebus_error *err)
{
    json_t *json = json_loadb((const char *)answer->data, answer->size, 0, NULL);
    const char *code = json_string_value(json_object_get(json, "code"));
    const char *sentence = json_string_value(json_object_get(json, "sentence"));
    int r = 1;
    if (status < 200 || status > 299)
        r = code && sentence ? error_set(err, casebus_code_parse(code), "%s", sentence)
                             : error_set(err, CASEBUS_NETWORK,
                                         _("what answers is no casebus hub (HTTP status %ld)"), status);
    json_decref(json);
    return r;
}

static int perform(CURL *curl, const char *socket, const char *target, const char *body,
                   struct casebus_error *err)
{
    char url[256];
    struct buffer answer;
    long status = 0;
    buffer_init(&answer, ANSWER_MAX);
    snprintf(url, sizeof(url), "http://hub%s", target);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    int r = code == CURLE_OK ? answer_read(&answer, status, err)
                             : error_set(err, CASEBUS_NETWORK, _("the hub does not answer at '%s': %s"),
                                         socket, curl_easy_strerror(code));
    buffer_deinit(&answer);
    return r;
}

int phone_post(const char *dir, const char *target, const char *body, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct socket_place place = {.dir_fd = -1};
    if (path_join(path, sizeof(path), dir, "hub.sock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    if (socket_place_open(&place, path, NULL) || !socket_place_alive(&place)) {
        socket_place_close(&place);
        return 0;
    }
    CURL *curl = curl_easy_init();
    int r = curl ? perform(curl, place.address.sun_path, target, body, err)
                 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a connection"));
    if (curl)
        curl_easy_cleanup(curl);
    socket_place_close(&place);
    return r;
}
