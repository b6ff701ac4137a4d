#include "hub/witness/asking.h"

#include "proto/base/texts.h"

#include <curl/curl.h>
#include <stdio.h>

#define CONNECT_MS 3000
#define POLL_MS    1000

static size_t on_data(char *data, size_t one, size_t n, void *self)
{
    struct question *question = self;

    return buffer_append(&question->answer, data, one * n) ? one * n : 0;
}

int asking_init(struct asking *asking, struct casebus_error *err)
{
    asking->stop = false;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted; to be called before there are threads */
    asking->multi = curl_multi_init();
    return asking->multi ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for asking others over HTTP"));
}

void asking_deinit(struct asking *asking)
{
    curl_multi_cleanup(asking->multi);
    curl_global_cleanup();
    asking->multi = NULL;
}

void asking_stop(struct asking *asking)
{
    asking->stop = true;
    curl_multi_wakeup(asking->multi);
}

static CURL *question_open(struct question *question, struct curl_slist **headers)
{
    char type[128];
    CURL *curl = curl_easy_init();

    buffer_init(&question->answer, question->answer_most ? question->answer_most : ASKING_ANSWER_MAX);
    question->status = 0;
    question->answer_type[0] = question->reason[0] = '\0';
    snprintf(type, sizeof type, "Content-Type: %s", question->type);
    *headers = curl_slist_append(*headers, type);
    if (!curl || !*headers) {
        curl_easy_cleanup(curl);
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_URL, question->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)question->body.size);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)question->body.data);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "casebus-hub/" CASEBUS_RELEASE);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, question->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, question);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, question);
    return curl;
}

/* What came, or why nothing did. */
static void question_close(struct question *question, CURL *curl, CURLcode code)
{
    const char *type = NULL;
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        snprintf(question->answer_type, sizeof question->answer_type, "%s", type);
    if (code == CURLE_WRITE_ERROR)
        snprintf(question->reason, sizeof question->reason, "%s", _("the answer is too long"));
    else if (code != CURLE_OK)
        snprintf(question->reason, sizeof question->reason, "%s", curl_easy_strerror(code));
    question->status = code == CURLE_OK ? status : 0;
    uint8_t *end = buffer_reserve(&question->answer, 1);
    if (end)
        *end = 0;
    else
        question->status = 0;
}

static void answers_take(struct asking *asking, void (*on_answer)(struct question *question))
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(asking->multi, &left))) {
        struct question *question = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *curl = message->easy_handle;
        CURLcode code = message->data.result;
        curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&question);
        question_close(question, curl, code);
        on_answer(question);
    }
}

void asking_run(struct asking *asking, struct question *questions, size_t n,
                void (*on_answer)(struct question *question))
{
    CURL *handles[64] = {NULL};
    struct curl_slist *headers[64] = {NULL};
    int running = 1;

    if (n > 64)
        n = 64;
    for (size_t i = 0; i < n; i++)
        if ((handles[i] = question_open(&questions[i], &headers[i])))
            curl_multi_add_handle(asking->multi, handles[i]);
    while (running && !asking->stop) {
        if (curl_multi_perform(asking->multi, &running) != CURLM_OK)
            break;
        answers_take(asking, on_answer);
        if (running && curl_multi_poll(asking->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            break;
    }
    for (size_t i = 0; i < n; i++) {
        if (handles[i])
            curl_multi_remove_handle(asking->multi, handles[i]);
        curl_easy_cleanup(handles[i]);
        curl_slist_free_all(headers[i]);
        buffer_deinit(&questions[i].answer);
    }
}
