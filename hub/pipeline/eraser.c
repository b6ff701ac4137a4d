/* The eraser's thread: takes requests, and at the start what a crash left half done. It reads from snapshots
 * of what is on disk, asks the writer for entries, and overwrites by itself. */
#include "hub/pipeline/eraser.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define VIEWS_NS    1000000000ull
#define ORDER_TRIES 20
#define DONE_MAX    ERASED_MAX

/* ---- for the others ---- */

static bool stops(struct pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    bool stop = pipeline->stopping || pipeline->failed || pipeline->eraser->stop;
    pthread_mutex_unlock(&pipeline->lock);
    return stop;
}

int eraser_renew(struct pipeline *pipeline, struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    eraser->views_ns = clock_monotonic_ns();
    int r = eraser->ledger ? ledger_view_renew(eraser->ledger, err)
                           : ledger_view_open(&eraser->ledger, pipeline->options.ledger, err);
    if (r)
        return -1;
    return eraser->state ? state_view_renew(eraser->state, err)
                         : state_view_open(&eraser->state, pipeline->options.state, err);
}

void eraser_rest(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    eraser->ledger = ledger_view_close(eraser->ledger);
    eraser->state = state_view_close(eraser->state);
    secret_clear(eraser->slot_key, sizeof eraser->slot_key);
    eraser->slot = 0;
}

int eraser_breathe(struct pipeline *pipeline, struct casebus_error *err)
{
    if (stops(pipeline))
        return error_set(err, CASEBUS_CLOSED, _("the hub is stopping"));
    return clock_monotonic_ns() - pipeline->eraser->views_ns > VIEWS_NS ? eraser_renew(pipeline, err) : 0;
}

void eraser_show(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    pthread_mutex_lock(&pipeline->lock);
    if (eraser->now.ticket)
        eraser->tickets[eraser->now.ticket % ERASURE_TICKETS] = eraser->now;
    pthread_mutex_unlock(&pipeline->lock);
}

/* ---- one order, from the journal to the vault ---- */

int eraser_catch_up(struct pipeline *pipeline, struct casebus_error *err)
{
    eraser_rest(pipeline);
    while (pipeline_barrier(pipeline, 1000, err)) {
        if (err->code != CASEBUS_TIMEOUT)
            return -1;
        if (stops(pipeline))
            return error_set(err, CASEBUS_CLOSED, _("the hub is stopping"));
    }
    return eraser_renew(pipeline, err);
}

/* Destroys what is ordered and not done. Returns how many orders that were, or -1. */
static int destroy_and_say_done(struct pipeline *pipeline, struct casebus_error *err)
{
    uint64_t done[DONE_MAX];
    if (eraser_catch_up(pipeline, err))
        return -1;
    int n = destroy_pending(pipeline, done, DONE_MAX, err);
    if (n > 0 && done_submit(pipeline, done, (size_t)n, err))
        return -1;
    return n;
}

static void count_plan(struct eraser *eraser, const struct erasure_plan *plan)
{
    struct erasure_progress *now = &eraser->now;
    now->n_cases += !plan->quarantine;
    now->n_entries += plan->n_items;
    now->n_receivers += plan->n_receivers;
    for (size_t i = 0; i < plan->n_ordered; i++, now->n_ordered++)
        if (now->n_ordered < ERASURE_POSITIONS_MAX)
            now->ordered[now->n_ordered] = plan->ordered[i];
}

int eraser_carry_out(struct pipeline *pipeline, struct erasure_plan *plan,
                     const struct erasure_request *request, struct casebus_error *err)
{
    bool old = request->what == ERASE_RETENTION;
    if (!request->dry_run) {
        if (order_submit(pipeline, plan,
                         old ? CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_RETENTION
                             : CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER,
                         request->words, err))
            return -1;
        log_notice(pipeline->options.log, "ERASURE-ORDERED",
                   _("entry %llu orders that content of %zu entries is destroyed"),
                   (unsigned long long)plan->ordered[0], plan->n_items);
    }
    count_plan(pipeline->eraser, plan);
    pipeline->eraser->now.stage = request->dry_run ? ERASURE_SEARCHING : ERASURE_DESTROYING;
    eraser_show(pipeline);
    if (request->dry_run)
        return 0;
    return destroy_and_say_done(pipeline, err) < 0 ? -1 : 0;
}

/* ---- requests ---- */

/* The case may gain entries between the look and the order; then it is looked at again. */
static int case_erase(struct pipeline *pipeline, const uint8_t case_id[CASE_ID_SIZE],
                      const struct erasure_request *request, const struct person *person,
                      struct casebus_error *err)
{
    struct erasure_plan plan = {0};
    int r = -1;
    for (unsigned tries = 0; tries < ORDER_TRIES; tries++) {
        r = plan_case(pipeline, case_id, request->part_kinds, person, &plan, err);
        if (r || plan.n_items == 0)
            break;
        r = eraser_carry_out(pipeline, &plan, request, err);
        if (!r || err->code != CASEBUS_BUSY)
            break;
    }
    plan_deinit(&plan);
    return r;
}

static int cases_erase(struct pipeline *pipeline, const struct case_set *set,
                       const struct erasure_request *request, const struct person *person,
                       struct casebus_error *err)
{
    for (size_t i = 0; i < set->n; i++)
        if (case_erase(pipeline, set->ids[i], request, person, err))
            return -1;
    return 0;
}

static int nothing_found(struct pipeline *pipeline, const char *what, struct casebus_error *err)
{
    if (pipeline->eraser->now.n_entries > 0)
        return 0;
    return error_set(err, CASEBUS_NOT_FOUND, "%s", what);
}

static int erase_case(struct pipeline *pipeline, const struct erasure_request *request,
                      struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    uint8_t key[TEXT_KEY_SIZE], case_id[CASE_ID_SIZE];
    struct bytes value;
    if (eraser_catch_up(pipeline, err))
        return -1;
    case_number_key(eraser->crypter, pipeline->content_key, request->number, key);
    int r = state_view_get(eraser->state, TABLE_CASE_NUMBERS, bytes_of(key, sizeof key), &value, err);
    if (r < 0)
        return -1;
    if (r == 0 || value.size != CASE_ID_SIZE)
        return error_set(err, CASEBUS_NOT_FOUND, _("no case has this number"));
    memcpy(case_id, value.data, sizeof case_id);
    if (case_erase(pipeline, case_id, request, NULL, err))
        return -1;
    return nothing_found(pipeline, _("there is nothing left of the case that could be destroyed"), err);
}

static int erase_person(struct pipeline *pipeline, const struct erasure_request *request,
                        struct casebus_error *err)
{
    const struct person person = {request->id_type, request->id_number};
    struct case_set set = {0};
    int r = find_person(pipeline, &person, &set, err);
    if (!r)
        r = cases_erase(pipeline, &set, request, &person, err);
    case_set_deinit(&set);
    return r ? -1 : nothing_found(pipeline, _("no identity part that is left names this person"), err);
}

static int erase_quarantine(struct pipeline *pipeline, const struct erasure_request *request,
                            struct casebus_error *err)
{
    struct erasure_plan plan = {0};
    int r = plan_quarantine(pipeline, request->position, &plan, err);
    if (!r && plan.n_items > 0)
        r = eraser_carry_out(pipeline, &plan, request, err);
    plan_deinit(&plan);
    return r ? -1 : nothing_found(pipeline, _("it was destroyed before"), err);
}

static int erase_old(struct pipeline *pipeline, const struct erasure_request *request,
                     struct casebus_error *err)
{
    struct case_set set = {0};
    int r = find_retention(pipeline, request->rules, request->n_rules, clock_unix_us(), &set, err);
    if (!r)
        r = cases_erase(pipeline, &set, request, NULL, err);
    case_set_deinit(&set);
    return r;
}

static int request_run(struct pipeline *pipeline, const struct erasure_request *request,
                       struct casebus_error *err)
{
    switch (request->what) {
    case ERASE_CASE:
        return erase_case(pipeline, request, err);
    case ERASE_PERSON:
        return erase_person(pipeline, request, err);
    case ERASE_QUARANTINE:
        return erase_quarantine(pipeline, request, err);
    case ERASE_RETENTION:
        return erase_old(pipeline, request, err);
    }
    return error_set(err, CASEBUS_INTERNAL, "erasure %d", (int)request->what);
}

static void take_request(struct pipeline *pipeline, struct erasure_request *request, uint64_t ticket)
{
    struct eraser *eraser = pipeline->eraser;
    eraser->now =
        (struct erasure_progress){.ticket = ticket, .stage = ERASURE_SEARCHING, .dry_run = request->dry_run};
    eraser_show(pipeline);
    int r = request_run(pipeline, request, &eraser->now.err);
    eraser->now.stage = r ? ERASURE_FAILED : ERASURE_DONE;
    if (r && eraser->now.err.code != CASEBUS_NOT_FOUND && eraser->now.err.code != CASEBUS_CLOSED)
        log_error(pipeline->options.log, "ERASURE-FAILED", "%s", eraser->now.err.text);
    else if (!r && !request->dry_run)
        log_notice(pipeline->options.log, "ERASED",
                   _("content of %llu entries was destroyed; %llu receivers are told"),
                   (unsigned long long)eraser->now.n_entries, (unsigned long long)eraser->now.n_receivers);
    eraser_show(pipeline);
    secret_clear(request, sizeof *request);
    free(request);
}

/* ---- the thread ---- */

/* What was ordered before the hub went down. */
static void go_on(struct pipeline *pipeline)
{
    struct casebus_error err = {.code = CASEBUS_OK};
    int n = destroy_and_say_done(pipeline, &err);
    if (n > 0)
        log_notice(pipeline->options.log, "ERASURE-RESUMED",
                   _("%d orders to destroy content, which were not carried out when the hub went down, are"),
                   n);
    else if (n < 0 && err.code != CASEBUS_CLOSED)
        log_error(pipeline->options.log, "ERASURE-FAILED", "%s", err.text);
}

void *eraser_main(void *self)
{
    struct pipeline *pipeline = self;
    struct eraser *eraser = pipeline->eraser;
    pthread_setname_np(pthread_self(), "eraser");
    go_on(pipeline);
    for (;;) {
        eraser_rest(pipeline);
        pthread_mutex_lock(&pipeline->lock);
        while (eraser->first == eraser->last && !eraser->stop && !pipeline->failed)
            pthread_cond_wait(&eraser->posted, &pipeline->lock);
        bool ends = eraser->stop || pipeline->failed;
        struct erasure_request *request = NULL;
        uint64_t ticket = eraser->first + 1;
        if (!ends) {
            request = eraser->requests[ticket % ERASURE_TICKETS];
            eraser->requests[ticket % ERASURE_TICKETS] = NULL;
            eraser->first = ticket;
        }
        pthread_mutex_unlock(&pipeline->lock);
        if (ends)
            return NULL;
        take_request(pipeline, request, ticket);
    }
}

int eraser_init(struct pipeline *pipeline, struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser = calloc(1, sizeof *eraser);
    if (!eraser)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the pipeline"));
    pthread_cond_init(&eraser->posted, NULL);
    arena_init(&eraser->arena, 64 * 1024, 16 * 1024 * 1024);
    eraser->crypter = crypter_new(pipeline->options.suite);
    if (!eraser->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the pipeline"));
    return 0;
}

void eraser_deinit(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    if (!eraser)
        return;
    for (size_t i = 0; i < ERASURE_TICKETS; i++)
        free(eraser->requests[i]);
    eraser_rest(pipeline);
    crypter_free(eraser->crypter);
    arena_deinit(&eraser->arena);
    pthread_cond_destroy(&eraser->posted);
    secret_clear(eraser, sizeof *eraser);
    free(eraser);
    pipeline->eraser = NULL;
}

/* ---- asked from outside ---- */

int pipeline_erase(struct pipeline *pipeline, const struct erasure_request *request, uint64_t *ticketp,
                   struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    struct erasure_request *copy = malloc(sizeof *copy);
    if (!copy)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    *copy = *request;
    pthread_mutex_lock(&pipeline->lock);
    bool full = eraser->last - eraser->first >= ERASURE_TICKETS / 2 || eraser->stop || pipeline->failed;
    if (!full) {
        uint64_t ticket = ++eraser->last;
        eraser->requests[ticket % ERASURE_TICKETS] = copy;
        eraser->tickets[ticket % ERASURE_TICKETS] = (struct erasure_progress){
            .ticket = ticket, .stage = ERASURE_SEARCHING, .dry_run = request->dry_run};
        *ticketp = ticket;
        pthread_cond_signal(&eraser->posted);
    }
    pthread_mutex_unlock(&pipeline->lock);
    if (!full)
        return 0;
    secret_clear(copy, sizeof *copy);
    free(copy);
    return error_set(err, CASEBUS_BUSY, _("too many orders to destroy content wait"));
}

bool pipeline_erasure(struct pipeline *pipeline, uint64_t ticket, struct erasure_progress *progress)
{
    struct eraser *eraser = pipeline->eraser;
    pthread_mutex_lock(&pipeline->lock);
    *progress = eraser->tickets[ticket % ERASURE_TICKETS];
    pthread_mutex_unlock(&pipeline->lock);
    return ticket > 0 && progress->ticket == ticket;
}
