#include "hub/pipeline/pipeline.h"

#include "hub/exchange/tables.h"
#include "hub/pipeline/eraser.h"
#include "hub/pipeline/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROOM_TOLD_EVERY 60 /* seconds */

/* ---- who is enrolled ---- */

/* The name of the node that a NodeEnrolled enrols. */
static int enrolled_name(struct bytes message, char node[NODE_NAME_MAX], struct casebus_error *err)
{
    struct arena arena;
    const struct codec_limits limits = {16384, 64, 4};
    arena_init(&arena, 8192, 131072);
    Casebus__V1__NodeEnrolled *enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(
        &casebus__v1__node_enrolled__descriptor, message, &limits, &arena, err);
    Casebus__V1__EnrolmentStatement *statement =
        enrolled ? enrolment_decode(bytes_of(enrolled->statement.data, enrolled->statement.len), &arena, err)
                 : NULL;
    if (statement)
        snprintf(node, NODE_NAME_MAX, "%s", statement->node);
    arena_deinit(&arena);
    return statement ? 0 : -1;
}

/* The place of @node in the list, or the one behind its end. */
static size_t enrolled_place(const struct enrolled_list *list, const char *node)
{
    size_t i = 0;
    while (i < list->n && strcmp(list->items[i].node, node) != 0)
        i++;
    return i;
}

static int enrolled_room(struct enrolled_list *list, struct casebus_error *err)
{
    if (list->n < list->capacity)
        return 0;
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    struct enrolled *items = realloc(list->items, capacity * sizeof(*items));
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    list->items = items;
    list->capacity = capacity;
    return 0;
}

int enrolled_add(struct enrolled_list *list, struct bytes node_enrolled, struct casebus_error *err)
{
    char node[NODE_NAME_MAX];
    if (enrolled_name(node_enrolled, node, err) || enrolled_room(list, err))
        return -1;
    uint8_t *copy = malloc(node_enrolled.size);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    memcpy(copy, node_enrolled.data, node_enrolled.size);
    size_t place = enrolled_place(list, node);
    if (place == list->n)
        list->items[list->n++] = (struct enrolled){.status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
    if (list->items[place].status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        list->items[place].status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE;
    free((void *)list->items[place].message.data);
    list->items[place].message = bytes_of(copy, node_enrolled.size);
    memcpy(list->items[place].node, node, sizeof(node));
    return 0;
}

struct enrolled *enrolled_find(struct enrolled_list *list, const char *node)
{
    size_t place = enrolled_place(list, node);
    return place < list->n ? &list->items[place] : NULL;
}

/* What @extra counts as when it takes the place of @before (NULL: none). */
static Casebus__V1__NodeStatus status_after(const struct enrolled *before)
{
    return before && before->status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED
               ? before->status
               : CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE;
}

int enrolled_registry(struct pipeline *pipeline, const struct bytes *extra, struct registry **registryp,
                      struct casebus_error *err)
{
    const struct enrolled_list *list = &pipeline->enrolled;
    char node[NODE_NAME_MAX] = "";
    if (extra && enrolled_name(*extra, node, err))
        return -1;
    struct registry_fact *items = calloc(list->n + 1, sizeof(*items));
    if (!items)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    size_t n = 0, replaced = extra ? enrolled_place(list, node) : list->n;
    for (size_t i = 0; i < list->n; i++)
        if (i != replaced)
            items[n++] = (struct registry_fact){list->items[i].message, list->items[i].status};
    if (extra)
        items[n++] =
            (struct registry_fact){*extra, status_after(replaced < list->n ? &list->items[replaced] : NULL)};
    int r = registry_build(registryp, items, n, &pipeline->authorities, err);
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
    if (node_row_decode(value, &row, load->err))
        return -1;
    struct enrolled_list *list = &load->pipeline->enrolled;
    if (enrolled_add(list, row.enrolled, load->err))
        return -1;
    char node[NODE_NAME_MAX];
    snprintf(node, sizeof(node), "%.*s", (int)key.size, (const char *)key.data);
    struct enrolled *enrolled = enrolled_find(list, node);
    if (!enrolled)
        return error_set(load->err, CASEBUS_DAMAGED, _("an enrolment names no usable node"));
    enrolled->status = (Casebus__V1__NodeStatus)row.status;
    return 0;
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
    if (pipeline->eraser)
        pthread_cond_signal(&pipeline->eraser->posted);
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

static bool wait_a_second(struct pipeline *pipeline, unsigned *tries, const char *id, const char *words,
                          const struct casebus_error *err)
{
    pthread_mutex_lock(&pipeline->lock);
    bool hopeless = pipeline->failed || pipeline->stopping;
    pthread_mutex_unlock(&pipeline->lock);
    if (hopeless)
        return false;
    if ((*tries)++ % ROOM_TOLD_EVERY == 0)
        log_error(pipeline->options.log, id, "%s; %s", err->text, words);
    sleep(1);
    return true;
}

bool pipeline_wait_for_room(struct pipeline *pipeline, unsigned *tries, const char *id,
                            const struct casebus_error *err)
{
    return wait_a_second(pipeline, tries, id, _("nothing is lost: senders wait until there is room again"),
                         err);
}

bool pipeline_wait_for_token(struct pipeline *pipeline, unsigned *tries, const struct casebus_error *err)
{
    return wait_a_second(pipeline, tries, "TOKEN-GONE",
                         _("nothing is lost: senders wait until it signs again"), err);
}

/* ---- life ---- */

static int start_threads(struct pipeline *pipeline, struct casebus_error *err)
{
    int r = pthread_create(&pipeline->keeper.thread, NULL, keeper_main, pipeline);
    pipeline->keeper.started = !r;
    if (!r) {
        r = pthread_create(&pipeline->writer.thread, NULL, writer_main, pipeline);
        pipeline->writer.started = !r;
    }
    for (unsigned i = 0; !r && i < pipeline->options.n_workers && i < WORKERS_MAX; i++) {
        r = pthread_create(&pipeline->workers[i], NULL, worker_main, pipeline);
        pipeline->n_workers += !r;
    }
    if (!r) {
        r = pthread_create(&pipeline->eraser->thread, NULL, eraser_main, pipeline);
        pipeline->eraser->started = !r;
    }
    return r ? error_set_errno(err, r, _("cannot start a thread")) : 0;
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
    pipeline->options.content_key = pipeline->content_key;
    reserve_init(&pipeline->reserve, options->dir ? options->dir : "", options->keep_free_bytes);
    reserve_look(&pipeline->reserve, options->log);
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&pipeline->keeper.posted, NULL);
    queue_init(&pipeline->queue);
    const struct authorities alone = {(struct bytes *)(uintptr_t)&options->authority, 1};
    if (authorities_copy(&pipeline->authorities, options->authorities ? options->authorities : &alone, err) ||
        load_registry(pipeline, err) || policy_load(pipeline, err) || writer_init(pipeline, err) ||
        eraser_init(pipeline, err) || start_threads(pipeline, err)) {
        pipeline_stop(pipeline);
        pipeline_free(pipeline);
        return -1;
    }
    *pipelinep = pipeline;
    return 0;
}

void pipeline_stopping(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->stopping = true;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

static void join_keeper(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->keeper.stop = true;
    pthread_cond_signal(&pipeline->keeper.posted);
    pthread_mutex_unlock(&pipeline->lock);
    if (pipeline->keeper.started)
        pthread_join(pipeline->keeper.thread, NULL);
    pipeline->keeper.started = false;
}

/* While the writer still answers it. What it has ordered and not destroyed, it does at the next start. */
static void join_eraser(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    if (!eraser || !eraser->started)
        return;
    pthread_mutex_lock(&pipeline->lock);
    eraser->stop = true;
    pthread_cond_signal(&eraser->posted);
    pthread_mutex_unlock(&pipeline->lock);
    pthread_join(eraser->thread, NULL);
    eraser->started = false;
}

void pipeline_stop(struct pipeline *pipeline)
{
    pipeline_stopping(pipeline);
    join_eraser(pipeline);
    queue_close(&pipeline->queue);
    while (pipeline->n_workers)
        pthread_join(pipeline->workers[--pipeline->n_workers], NULL);
    queue_nudge(&pipeline->queue);
    if (pipeline->writer.started)
        pthread_join(pipeline->writer.thread, NULL);
    pipeline->writer.started = false;
    join_keeper(pipeline);
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
    eraser_deinit(pipeline);
    for (size_t i = 0; i < pipeline->enrolled.n; i++)
        free((void *)pipeline->enrolled.items[i].message.data);
    free(pipeline->enrolled.items);
    authorities_deinit(&pipeline->authorities);
    registry_unref(pipeline->registry);
    rights_book_unref(pipeline->policy);
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

struct enrolment *enrolment_free(struct enrolment *enrolment)
{
    if (enrolment)
        free((void *)enrolment->node_enrolled.data);
    free(enrolment);
    return NULL;
}

static struct enrolment *enrolment_new(struct bytes node_enrolled, const char *by)
{
    struct enrolment *enrolment = calloc(1, sizeof(*enrolment));
    uint8_t *copy = malloc(node_enrolled.size + 1);
    if (!enrolment || !copy) {
        free(enrolment);
        free(copy);
        return NULL;
    }
    memcpy(copy, node_enrolled.data, node_enrolled.size);
    enrolment->node_enrolled = bytes_of(copy, node_enrolled.size);
    snprintf(enrolment->by, sizeof enrolment->by, "%s", by);
    return enrolment;
}

/* With the lock held: waits for the writer's answer. False: not in time. */
static bool enrolment_wait(struct pipeline *pipeline, const struct enrolment *enrolment, int timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    int r = 0;
    while (!enrolment->done && !pipeline->failed && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&pipeline->changed, &pipeline->lock, &until);
    return enrolment->done;
}

static void enrolment_submit(struct pipeline *pipeline, struct enrolment *enrolment)
{
    pthread_mutex_lock(&pipeline->lock);
    struct enrolment **at = &pipeline->enrolments;
    while (*at)
        at = &(*at)->next;
    *at = enrolment;
    pthread_mutex_unlock(&pipeline->lock);
    queue_nudge(&pipeline->queue);
}

int pipeline_enrol(struct pipeline *pipeline, struct bytes node_enrolled, const char *by, int timeout_ms,
                   struct casebus_error *err)
{
    struct enrolment *enrolment = enrolment_new(node_enrolled, by);
    if (!enrolment)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    enrolment_submit(pipeline, enrolment);

    pthread_mutex_lock(&pipeline->lock);
    bool done = enrolment_wait(pipeline, enrolment, timeout_ms);
    int r = done ? enrolment->result : -1;
    if (done && r)
        *err = enrolment->err;
    enrolment->abandoned = !done && !enrolment_withdraw(pipeline, enrolment);
    if (!enrolment->abandoned)
        enrolment_free(enrolment);
    pthread_mutex_unlock(&pipeline->lock);
    return done ? (r ? -1 : 0)
                : error_set(err, CASEBUS_TIMEOUT, _("the hub did not take the enrolment in time"));
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
    bool failed = pipeline->failed;
    pthread_mutex_unlock(&pipeline->lock);
    if (failed && !reached)
        return error_set(err, CASEBUS_CLOSED, _("the hub is stopping"));
    return reached ? 0 : error_set(err, CASEBUS_TIMEOUT, _("ledger and state are not up to the journal yet"));
}

void pipeline_get_counters(struct pipeline *pipeline, struct pipeline_counters *counters)
{
    pthread_mutex_lock(&pipeline->lock);
    *counters = pipeline->counters;
    pthread_mutex_unlock(&pipeline->lock);
    counters->queued = queue_length(&pipeline->queue);
    counters->disk_low = pipeline->reserve.touched;
}
