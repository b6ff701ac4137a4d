#include "hub/pipeline/pipeline.h"

#include "hub/exchange/tables.h"
#include "hub/pipeline/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* ---- who is enrolled ---- */

static int same_node(struct bytes a, struct bytes b)
{
    struct arena arena;
    struct casebus_error err;
    const struct codec_limits limits = {16384, 64, 4};
    arena_init(&arena, 8192, 131072);
    Casebus__V1__EnrolmentStatement *statements[2] = {NULL, NULL};
    struct bytes both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        Casebus__V1__NodeEnrolled *enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(
            &casebus__v1__node_enrolled__descriptor, both[i], &limits, &arena, &err);
        if (enrolled)
            statements[i] = (Casebus__V1__EnrolmentStatement *)codec_unpack(
                &casebus__v1__enrolment_statement__descriptor,
                bytes_of(enrolled->statement.data, enrolled->statement.len), &limits, &arena, &err);
    }
    int same = statements[0] && statements[1] && strcmp(statements[0]->node, statements[1]->node) == 0;
    arena_deinit(&arena);
    return same;
}

int enrolled_add(struct enrolled_list *list, struct bytes node_enrolled, struct casebus_error *err)
{
    uint8_t *copy = malloc(node_enrolled.size);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    memcpy(copy, node_enrolled.data, node_enrolled.size);
    for (size_t i = 0; i < list->n; i++)
        if (same_node(list->items[i], node_enrolled)) {
            free((void *)list->items[i].data);
            list->items[i] = bytes_of(copy, node_enrolled.size);
            return 0;
        }
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct bytes *items = realloc(list->items, capacity * sizeof(*items));
        if (!items) {
            free(copy);
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = bytes_of(copy, node_enrolled.size);
    return 0;
}

int enrolled_registry(struct pipeline *pipeline, const struct bytes *extra, struct registry **registryp,
                      struct casebus_error *err)
{
    const struct enrolled_list *list = &pipeline->enrolled;
    struct bytes *items = calloc(list->n + 1, sizeof(*items));
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        if (!extra || !same_node(list->items[i], *extra))
            items[n++] = list->items[i];
    if (extra)
        items[n++] = *extra;
    int r = registry_build(registryp, items, n, pipeline->options.authority, err);
    free(items);
    return r;
}

struct load {
    struct pipeline *pipeline;
    struct casebus_error *err;
};

static int load_node(void *self, struct bytes key, struct bytes value)
{
    struct load *load = self;
    struct node_row row;
    (void)key;
    if (node_row_decode(value, &row, load->err))
        return -1;
    return enrolled_add(&load->pipeline->enrolled, row.enrolled, load->err);
}

static int load_registry(struct pipeline *pipeline, struct casebus_error *err)
{
    struct state_view *view = NULL;
    struct load load = {pipeline, err};
    if (state_view_open(&view, pipeline->options.state, err))
        return -1;
    int r = state_view_walk(view, TABLE_NODES, bytes_of("", 0), load_node, &load, err);
    state_view_close(view);
    return r ? -1 : enrolled_registry(pipeline, NULL, &pipeline->registry, err);
}

/* ---- failure ---- */

void pipeline_fail(struct pipeline *pipeline, const struct casebus_error *err)
{
    pthread_mutex_lock(&pipeline->lock);
    bool first = !pipeline->failed;
    pipeline->failed = true;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
    if (first && pipeline->options.on_fatal)
        pipeline->options.on_fatal(pipeline->options.self, err);
}

bool pipeline_failed(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    bool failed = pipeline->failed;
    pthread_mutex_unlock(&pipeline->lock);
    return failed;
}

/* ---- life ---- */

static int start_threads(struct pipeline *pipeline, struct casebus_error *err)
{
    int r = pthread_create(&pipeline->keeper.thread, NULL, keeper_main, pipeline);
    if (!r)
        r = pthread_create(&pipeline->writer.thread, NULL, writer_main, pipeline);
    for (unsigned i = 0; !r && i < pipeline->options.n_workers && i < WORKERS_MAX; i++) {
        r = pthread_create(&pipeline->workers[i], NULL, worker_main, pipeline);
        pipeline->n_workers += !r;
    }
    if (r)
        return error_set_errno(err, r, _("cannot start a thread"));
    pipeline->started_threads = true;
    return 0;
}

int pipeline_start(struct pipeline **pipelinep, const struct pipeline_options *options,
                   struct casebus_error *err)
{
    struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
    if (!pipeline)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the pipeline"));
    pipeline->options = *options;
    snprintf(pipeline->origin, sizeof(pipeline->origin), "%s", options->origin);
    snprintf(pipeline->log_key, sizeof(pipeline->log_key), "%s", options->log_key);
    memcpy(pipeline->content_key, options->content_key, KEY_SIZE);
    memcpy(pipeline->authority, options->authority.data, options->authority.size);
    pipeline->options.authority.data = pipeline->authority;
    pipeline->options.content_key = pipeline->content_key;
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&pipeline->keeper.posted, NULL);
    queue_init(&pipeline->queue);
    if (load_registry(pipeline, err) || writer_init(pipeline, err) || start_threads(pipeline, err)) {
        pipeline_free(pipeline);
        return -1;
    }
    *pipelinep = pipeline;
    return 0;
}

void pipeline_stop(struct pipeline *pipeline)
{
    if (!pipeline->started_threads)
        return;
    queue_close(&pipeline->queue);
    for (unsigned i = 0; i < pipeline->n_workers; i++)
        pthread_join(pipeline->workers[i], NULL);
    queue_nudge(&pipeline->queue);
    pthread_join(pipeline->writer.thread, NULL);
    pthread_mutex_lock(&pipeline->lock);
    pipeline->keeper.stop = true;
    pthread_cond_signal(&pipeline->keeper.posted);
    pthread_mutex_unlock(&pipeline->lock);
    pthread_join(pipeline->keeper.thread, NULL);
    pipeline->started_threads = false;
}

struct pipeline *pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return NULL;
    struct job *job;
    while (pipeline->queue.head < pipeline->queue.tail) {
        job = pipeline->queue.jobs[pipeline->queue.head++ % QUEUE_JOBS];
        job_free(job);
    }
    writer_deinit(pipeline);
    for (size_t i = 0; i < pipeline->enrolled.n; i++)
        free((void *)pipeline->enrolled.items[i].data);
    free(pipeline->enrolled.items);
    registry_unref(pipeline->registry);
    queue_deinit(&pipeline->queue);
    pthread_cond_destroy(&pipeline->keeper.posted);
    pthread_cond_destroy(&pipeline->changed);
    pthread_mutex_destroy(&pipeline->lock);
    secret_clear(pipeline->content_key, sizeof(pipeline->content_key));
    free(pipeline);
    return NULL;
}

/* ---- asked from outside ---- */

int pipeline_submit(struct pipeline *pipeline, struct job *job, struct casebus_error *err)
{
    if (pipeline_failed(pipeline) || !queue_push(&pipeline->queue, job))
        return error_set(err, CASEBUS_BUSY, _("the hub has as much under way as it can take"));
    return 0;
}

struct registry *pipeline_registry(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct registry *registry = registry_ref(pipeline->registry);
    pthread_mutex_unlock(&pipeline->lock);
    return registry;
}

static struct timespec deadline_in(int timeout_ms)
{
    uint64_t at = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    return (struct timespec){(time_t)(at / 1000000000), (long)(at % 1000000000)};
}

/* Takes the enrolment back from the list if the writer has not seen it. */
static bool enrolment_withdraw(struct pipeline *pipeline, struct enrolment *enrolment)
{
    for (struct enrolment **at = &pipeline->enrolments; *at; at = &(*at)->next)
        if (*at == enrolment) {
            *at = enrolment->next;
            return true;
        }
    return false;
}

int pipeline_enrol(struct pipeline *pipeline, struct bytes node_enrolled, int timeout_ms,
                   struct casebus_error *err)
{
    struct enrolment enrolment = {.node_enrolled = node_enrolled};
    struct timespec until = deadline_in(timeout_ms);
    pthread_mutex_lock(&pipeline->lock);
    enrolment.next = pipeline->enrolments;
    pipeline->enrolments = &enrolment;
    pthread_mutex_unlock(&pipeline->lock);
    queue_nudge(&pipeline->queue);

    pthread_mutex_lock(&pipeline->lock);
    bool late = false;
    while (!enrolment.done && !pipeline->failed) {
        if (late)
            pthread_cond_wait(&pipeline->changed,
                              &pipeline->lock); /* it is being written: the answer comes */
        else if (pthread_cond_timedwait(&pipeline->changed, &pipeline->lock, &until) == ETIMEDOUT) {
            if (enrolment_withdraw(pipeline, &enrolment))
                break;
            late = true;
        }
    }
    if (!enrolment.done)
        enrolment_withdraw(pipeline, &enrolment);
    bool done = enrolment.done;
    pthread_mutex_unlock(&pipeline->lock);
    if (!done)
        return error_set(err, CASEBUS_TIMEOUT, _("the hub did not take the enrolment in time"));
    if (enrolment.result)
        *err = enrolment.err;
    return enrolment.result ? -1 : 0;
}

int pipeline_barrier(struct pipeline *pipeline, int timeout_ms, struct casebus_error *err)
{
    struct timespec until = deadline_in(timeout_ms);
    pthread_mutex_lock(&pipeline->lock);
    uint64_t target = pipeline->counters.committed_size;
    int r = 0;
    while (pipeline->counters.persisted_size < target && !pipeline->failed && r != ETIMEDOUT) {
        pipeline->flush_wanted = true;
        pthread_mutex_unlock(&pipeline->lock);
        queue_nudge(&pipeline->queue);
        pthread_mutex_lock(&pipeline->lock);
        if (pipeline->counters.persisted_size < target)
            r = pthread_cond_timedwait(&pipeline->changed, &pipeline->lock, &until);
    }
    bool reached = pipeline->counters.persisted_size >= target;
    pthread_mutex_unlock(&pipeline->lock);
    return reached ? 0 : error_set(err, CASEBUS_TIMEOUT, _("ledger and state are not up to the journal yet"));
}

void pipeline_get_counters(struct pipeline *pipeline, struct pipeline_counters *counters)
{
    pthread_mutex_lock(&pipeline->lock);
    *counters = pipeline->counters;
    pthread_mutex_unlock(&pipeline->lock);
    counters->queued = queue_length(&pipeline->queue);
}
