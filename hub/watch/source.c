#include "hub/watch/source.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 30000
#define URL_MAX    2048

struct source {
    char where[URL_MAX];
    CURL *curl; /* NULL: a directory */
    struct curl_slist *headers;
    bool (*stop)(void *self);
    void *self;
};

static size_t on_data(char *data, size_t one, size_t n, void *self)
{
    return buffer_append(self, data, one * n) ? one * n : 0;
}

static int on_wait(void *self, curl_off_t to_get, curl_off_t got, curl_off_t to_put, curl_off_t put)
{
    const struct source *source = self;
    (void)to_get, (void)got, (void)to_put, (void)put;
    return source->stop && source->stop(source->self);
}

static int http_open(struct source *source, const char *token, struct casebus_error *err)
{
    char header[512];
    source->curl = curl_easy_init();
    if (!source->curl)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for asking others over HTTP"));
    if (token) {
        if ((size_t)snprintf(header, sizeof header, "Authorization: Bearer %s", token) >= sizeof header)
            return error_set(err, CASEBUS_ARGUMENT, _("the auditor's token is too long"));
        source->headers = curl_slist_append(NULL, header);
    }
    curl_easy_setopt(source->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(source->curl, CURLOPT_HTTPHEADER, source->headers);
    curl_easy_setopt(source->curl, CURLOPT_USERAGENT, "casebus/" CASEBUS_RELEASE);
    curl_easy_setopt(source->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(source->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(source->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(source->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(source->curl, CURLOPT_XFERINFOFUNCTION, on_wait);
    curl_easy_setopt(source->curl, CURLOPT_XFERINFODATA, source);
    return 0;
}

int source_open(struct source **sourcep, const char *where, const char *token, bool (*stop)(void *self),
                void *self, struct casebus_error *err)
{
    struct source *source = calloc(1, sizeof *source);
    bool http = strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0;
    int r = 0;
    *sourcep = NULL;
    if (!source)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    source->stop = stop;
    source->self = self;
    if ((size_t)snprintf(source->where, sizeof source->where, "%s", where) >= sizeof source->where)
        r = error_set(err, CASEBUS_ARGUMENT, _("the address '%.40s…' is too long"), where);
    for (size_t n = strlen(source->where); n > 1 && source->where[n - 1] == '/'; n--)
        source->where[n - 1] = '\0';
    if (r == 0 && http)
        r = http_open(source, token, err);
    *sourcep = r ? source_close(source) : source;
    return r;
}

struct source *source_close(struct source *source)
{
    if (!source)
        return NULL;
    curl_easy_cleanup(source->curl);
    curl_slist_free_all(source->headers);
    free(source);
    return NULL;
}

static int http_fault(const struct source *source, const char *url, CURLcode code, long status,
                      struct casebus_error *err)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(err, CASEBUS_CLOSED, _("stopped before everything was read"));
    if (code == CURLE_WRITE_ERROR)
        return error_set(err, CASEBUS_TOO_LARGE, _("%s: the answer is too long"), url);
    if (code != CURLE_OK)
        return error_set(err, CASEBUS_NETWORK, "%s: %s", url, curl_easy_strerror(code));
    if (status == 404)
        return error_set(err, CASEBUS_NOT_FOUND, _("%s: there is no such thing"), url);
    if (status == 401 || status == 403) {
        error_set(err, CASEBUS_NOT_ALLOWED, _("%s: entries are shown to auditors alone"), url);
        return source->headers
                   ? error_hint(err, _("the token that was given is not one of this hub's auditors: casebus "
                                       "auditor list, and casebus auditor add NAME for another one"))
                   : error_hint(err, _("the hub's operator makes a token: casebus auditor add NAME; give it "
                                       "with --token"));
    }
    return error_set(err, CASEBUS_NETWORK, _("%s: it answers with status %ld"), url, status);
}

static int http_get(struct source *source, const char *path, struct buffer *out, struct casebus_error *err)
{
    char url[URL_MAX + 200];
    long status = 0;
    snprintf(url, sizeof url, "%s/%s", source->where, path);
    curl_easy_setopt(source->curl, CURLOPT_URL, url);
    curl_easy_setopt(source->curl, CURLOPT_WRITEDATA, out);
    CURLcode code = curl_easy_perform(source->curl);
    curl_easy_getinfo(source->curl, CURLINFO_RESPONSE_CODE, &status);
    return code == CURLE_OK && status == 200 ? 0 : http_fault(source, url, code, status, err);
}

int source_get(struct source *source, const char *path, size_t max, struct buffer *out,
               struct casebus_error *err)
{
    char file[PATH_MAX];
    if (source->curl) {
        buffer_init(out, max);
        return http_get(source, path, out, err);
    }
    *out = (struct buffer){0};
    if (path_join(file, sizeof file, source->where, path))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), source->where);
    if (access(file, F_OK))
        return error_set(err, CASEBUS_NOT_FOUND, _("%s: there is no such thing"), file);
    return file_read(file, max, out, err);
}
