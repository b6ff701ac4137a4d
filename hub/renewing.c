#include "hub/renewing.h"

#include "hub/console/enrol.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <pthread.h>
#include <stdlib.h>

#define WAITING_MAX 256

struct question {
    uint64_t session;
    char node[NODE_NAME_MAX];
    uint8_t statement[STATEMENT_MAX], signature[SIGNATURE_SIZE];
    size_t statement_size, signature_size;
    struct question *next;
};

struct renewing {
    const struct console_hub *hub;
    struct bus *bus;
    const struct log *log;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct question *first, **end;
    size_t n;
    bool stop;
};

static struct question *question_next(struct renewing *renewing)
{
    pthread_mutex_lock(&renewing->lock);
    while (!renewing->first && !renewing->stop)
        pthread_cond_wait(&renewing->changed, &renewing->lock);
    struct question *question = renewing->stop ? NULL : renewing->first;
    if (question) {
        renewing->first = question->next;
        renewing->n--;
        if (!renewing->first)
            renewing->end = &renewing->first;
    }
    pthread_mutex_unlock(&renewing->lock);
    return question;
}

static void question_answer(struct renewing *renewing, const struct question *question)
{
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size = 0;
    struct casebus_error why = {0};
    if (console_renew(renewing->hub, renewing->log, question->node,
                      bytes_of(question->statement, question->statement_size),
                      bytes_of(question->signature, question->signature_size), certificate, &size, &why)) {
        size = 0;
        log_warning(renewing->log, "RENEWAL-REFUSED", _("the certificate of node '%s' was not renewed: %s"),
                    question->node, why.text);
    }
    bus_post_renewed(renewing->bus, question->session, bytes_of(certificate, size), &why);
}

static void *renewing_main(void *self)
{
    struct renewing *renewing = self;
    struct question *question;
    pthread_setname_np(pthread_self(), "renewing");
    while ((question = question_next(renewing))) {
        question_answer(renewing, question);
        free(question);
    }
    return NULL;
}

int renewing_start(struct renewing **renewingp, const struct console_hub *hub, struct bus *bus,
                   const struct log *log, struct casebus_error *err)
{
    struct renewing *renewing = calloc(1, sizeof *renewing);
    if (!renewing)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub"));
    renewing->hub = hub;
    renewing->bus = bus;
    renewing->log = log;
    renewing->end = &renewing->first;
    pthread_mutex_init(&renewing->lock, NULL);
    pthread_cond_init(&renewing->changed, NULL);
    int r = pthread_create(&renewing->thread, NULL, renewing_main, renewing);
    if (r) {
        pthread_cond_destroy(&renewing->changed);
        pthread_mutex_destroy(&renewing->lock);
        free(renewing);
        return error_set_errno(err, r, _("cannot start a thread"));
    }
    *renewingp = renewing;
    return 0;
}

void renewing_stop(struct renewing *renewing)
{
    if (!renewing)
        return;
    pthread_mutex_lock(&renewing->lock);
    bool stopped = renewing->stop;
    renewing->stop = true;
    pthread_cond_signal(&renewing->changed);
    pthread_mutex_unlock(&renewing->lock);
    if (!stopped)
        pthread_join(renewing->thread, NULL);
}

struct renewing *renewing_free(struct renewing *renewing)
{
    if (!renewing)
        return NULL;
    renewing_stop(renewing);
    while (renewing->first) {
        struct question *question = renewing->first;
        renewing->first = question->next;
        free(question);
    }
    pthread_cond_destroy(&renewing->changed);
    pthread_mutex_destroy(&renewing->lock);
    free(renewing);
    return NULL;
}

int renewing_ask(struct renewing *renewing, uint64_t session, const char *node, struct bytes statement,
                 struct bytes signature, struct casebus_error *err)
{
    if (statement.size == 0 || statement.size > STATEMENT_MAX || signature.size != SIGNATURE_SIZE)
        return error_set(err, CASEBUS_MALFORMED, _("this is not the enrolment of a node"));
    struct question *question = calloc(1, sizeof *question);
    if (!question)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    question->session = session;
    snprintf(question->node, sizeof question->node, "%s", node);
    memcpy(question->statement, statement.data, statement.size);
    memcpy(question->signature, signature.data, signature.size);
    question->statement_size = statement.size;
    question->signature_size = signature.size;
    pthread_mutex_lock(&renewing->lock);
    bool room = renewing->n < WAITING_MAX && !renewing->stop;
    if (room) {
        *renewing->end = question;
        renewing->end = &question->next;
        renewing->n++;
        pthread_cond_signal(&renewing->changed);
    }
    pthread_mutex_unlock(&renewing->lock);
    if (room)
        return 0;
    free(question);
    return error_set(err, CASEBUS_BUSY, _("the hub has as much under way as it can take"));
}
