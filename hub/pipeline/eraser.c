/* The eraser's thread: takes requests, and at the start what a crash left half done. It reads from snapshots
 * of what is on disk, asks the writer for entries, and overwrites by itself. */
#include "hub/pipeline/eraser.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define VIEWS_NS    1000000000ull
#define ORDER_TRIES 20
#define DONE_MAX    ERASED_MAX
#define RETRY_MAX_S 60

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
    uint64_t *done = NULL;
    if (eraser_catch_up(pipeline, err))
        return -1;
    int n = destroy_pending(pipeline, &done, err), r = 0;
    for (int from = 0; from < n && !r; from += DONE_MAX)
        r = done_submit(pipeline, done + from, n - from < DONE_MAX ? (size_t)(n - from) : DONE_MAX, err);
    free(done);
    return r ? -1 : n;
}

static void count_plan(struct eraser *eraser, const struct erasure_plan *plan)
{
    struct erasure_progress *now = &eraser->now;
    now->n_cases += !plan->quarantine && plan->n_items > 0 && !plan->more;
    now->n_entries += plan->n_items;
    now->n_receivers += plan->n_receivers;
    for (size_t i = 0; i < plan->n_ordered; i++, now->n_ordered++)
        if (now->n_ordered < ERASURE_POSITIONS_MAX)
            now->ordered[now->n_ordered] = plan->ordered[i];
}

static int order(struct pipeline *pipeline, struct erasure_plan *plans, size_t n,
                 const struct erasure_request *request, struct casebus_error *err)
{
    Casebus__V1__ErasureReason reason =
        request->what == ERASE_RETENTION ? CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_RETENTION
        : request->discard               ? CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_DISCARDED
                                         : CASEBUS__V1__ERASURE_REASON__ERASURE_REASON_ORDER;
    const struct act_note note = {request->by, request->words, ""};
    if (order_submit(pipeline, plans, n, reason, &note, err))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (plans[i].n_ordered > 0)
            log_notice(pipeline->options.log, "ERASURE-ORDERED",
                       _n("entry %llu orders that content of %zu entry is destroyed",
                          "entry %llu orders that content of %zu entries is destroyed", plans[i].n_items),
                       (unsigned long long)plans[i].ordered[0], plans[i].n_items);
    return 0;
}

/* ---- requests ---- */

/* What goes together: a case (or none), and what is about it in quarantine. */
struct plans {
    struct erasure_plan *list; /* the first one is of the case */
    size_t n;
};

static void plans_deinit(struct plans *plans)
{
    for (size_t i = 0; i < plans->n; i++)
        plan_deinit(&plans->list[i]);
    free(plans->list);
}

/* @naming: see plan_quarantine. */
static int plans_init(struct pipeline *pipeline, const struct position_set *quarantined,
                      const struct naming *naming, struct plans *plans, struct casebus_error *err)
{
    plans->n = 0;
    plans->list = calloc(1 + quarantined->n, sizeof *plans->list);
    if (!plans->list)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an order to destroy content"));
    plans->n = 1 + quarantined->n;
    for (size_t i = 0; i < quarantined->n; i++)
        if (plan_quarantine(pipeline, quarantined->positions[i], naming, &plans->list[1 + i], err))
            return -1;
    return 0;
}

/* What became refused between the look through quarantine and the order: a department may have sent it at
 * that very moment. What comes after the order is another matter: of closed records nothing is kept. */
static int latecomers_order(struct pipeline *pipeline, const struct erasure_request *request,
                            struct casebus_error *err)
{
    const struct person person = {request->id_type, request->id_number};
    bool of_case = request->what == ERASE_CASE;
    const struct naming naming = {of_case ? request->number : NULL, of_case ? NULL : &person};
    struct position_set set = {0};
    struct plans plans = {0};
    if (!of_case && request->what != ERASE_PERSON)
        return 0;
    int r = find_quarantined(pipeline, &pipeline->eraser->sifted, &naming, &set, err);
    if (!r && set.n > 0)
        r = plans_init(pipeline, &set, &naming, &plans, err) ||
                    order(pipeline, plans.list, plans.n, request, err)
                ? -1
                : 0;
    for (size_t i = 0; !r && i < plans.n; i++)
        count_plan(pipeline->eraser, &plans.list[i]);
    plans_deinit(&plans);
    position_set_deinit(&set);
    return r;
}

/* Orders, destroys and says done. */
static int carry_out(struct pipeline *pipeline, struct erasure_plan *plans, size_t n,
                     const struct erasure_request *request, struct casebus_error *err)
{
    size_t n_items = 0;
    for (size_t i = 0; i < n; i++)
        n_items += plans[i].n_items;
    if (n_items == 0)
        return 0;
    if (!request->dry_run && order(pipeline, plans, n, request, err))
        return -1;
    for (size_t i = 0; i < n; i++)
        count_plan(pipeline->eraser, &plans[i]);
    pipeline->eraser->now.stage = request->dry_run ? ERASURE_SEARCHING : ERASURE_DESTROYING;
    eraser_show(pipeline);
    if (request->dry_run)
        return 0;
    return latecomers_order(pipeline, request, err) || destroy_and_say_done(pipeline, err) < 0 ? -1 : 0;
}

/* The case may gain entries between the look and the order; then it is looked at again. @case_id may be NULL.
 */
static int round_carry_out(struct pipeline *pipeline, struct plans *plans, size_t n, const uint8_t *case_id,
                           const struct erasure_request *request, const struct person *person,
                           struct casebus_error *err)
{
    int r = -1;
    for (unsigned tries = 0; tries < ORDER_TRIES; tries++) {
        if (case_id && plan_case(pipeline, case_id, request->part_kinds, person, &plans->list[0], err))
            return -1;
        r = carry_out(pipeline, plans->list, n, request, err);
        if (!r || err->code != CASEBUS_BUSY)
            break;
    }
    return r;
}

/* A case with more statements than one order names goes in rounds; what was refused of it, in the first. */
static int plans_carry_out(struct pipeline *pipeline, struct plans *plans, const uint8_t *case_id,
                           const struct erasure_request *request, const struct person *person,
                           struct casebus_error *err)
{
    size_t n = plans->n;
    int r;
    plans->list[0].whole = request->dry_run;
    do {
        r = round_carry_out(pipeline, plans, n, case_id, request, person, err);
        n = 1;
    } while (!r && plans->list[0].more);
    return r;
}

/* @naming: what made one look into quarantine, or NULL. */
static int together_erase(struct pipeline *pipeline, const uint8_t *case_id,
                          const struct position_set *quarantined, const struct naming *naming,
                          const struct erasure_request *request, const struct person *person,
                          struct casebus_error *err)
{
    struct plans plans;
    int r = plans_init(pipeline, quarantined, naming, &plans, err);
    if (!r)
        r = plans_carry_out(pipeline, &plans, case_id, request, person, err);
    plans_deinit(&plans);
    return r;
}

static int cases_erase(struct pipeline *pipeline, const struct case_set *set,
                       const struct erasure_request *request, const struct person *person,
                       struct casebus_error *err)
{
    const struct position_set none = {0};
    for (size_t i = 0; i < set->n; i++)
        if (together_erase(pipeline, set->ids[i], &none, NULL, request, person, err))
            return -1;
    return 0;
}

static int nothing_found(struct pipeline *pipeline, const char *what, struct casebus_error *err)
{
    if (pipeline->eraser->now.n_entries > 0)
        return 0;
    return error_set(err, CASEBUS_NOT_FOUND, "%s", what);
}

/* The id of the case that the request names. 1 / 0 / -1 */
static int case_find_id(struct pipeline *pipeline, const struct erasure_request *request,
                        uint8_t case_id[CASE_ID_SIZE], struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser;
    uint8_t key[TEXT_KEY_SIZE];
    struct bytes value = {0};
    if (eraser_catch_up(pipeline, err))
        return -1;
    case_number_key(eraser->crypter, pipeline->content_key, request->number, key);
    int r = state_view_get(eraser->state, TABLE_CASE_NUMBERS, bytes_of(key, sizeof key), &value, err);
    if (r == 1 && value.size == CASE_ID_SIZE)
        memcpy(case_id, value.data, CASE_ID_SIZE);
    return r;
}

static int erase_case(struct pipeline *pipeline, const struct erasure_request *request,
                      struct casebus_error *err)
{
    uint8_t case_id[CASE_ID_SIZE];
    struct position_set set = {0};
    const struct naming naming = {request->number, NULL};
    int r = find_quarantined(pipeline, &pipeline->eraser->sifted, &naming, &set, err);
    int known = r ? -1 : case_find_id(pipeline, request, case_id, err);
    if (known >= 0)
        r = together_erase(pipeline, known ? case_id : NULL, &set, &naming, request, NULL, err);
    position_set_deinit(&set);
    if (known < 0 || r)
        return -1;
    if (known)
        return nothing_found(pipeline, _("there is nothing left of the case that could be destroyed"), err);
    if (pipeline->eraser->now.n_entries > 0)
        return 0;
    error_set(err, CASEBUS_NOT_FOUND, _("no case has the number '%s'"), request->number);
    return error_hint(err, _("see which there are: casebus case list"));
}

static int erase_person(struct pipeline *pipeline, const struct erasure_request *request,
                        struct casebus_error *err)
{
    const struct person person = {request->id_type, request->id_number};
    const struct naming naming = {NULL, &person};
    struct case_set cases = {0};
    struct position_set set = {0};
    int r = find_person(pipeline, &person, &cases, err) ||
                    find_quarantined(pipeline, &pipeline->eraser->sifted, &naming, &set, err) ||
                    cases_erase(pipeline, &cases, request, &person, err) ||
                    together_erase(pipeline, NULL, &set, &naming, request, NULL, err)
                ? -1
                : 0;
    case_set_deinit(&cases);
    position_set_deinit(&set);
    return r ? -1 : nothing_found(pipeline, _("no identity part that is left names this person"), err);
}

static int erase_quarantine(struct pipeline *pipeline, const struct erasure_request *request,
                            struct casebus_error *err)
{
    uint64_t position = request->position;
    const struct position_set one = {.positions = &position, .n = 1};
    if (together_erase(pipeline, NULL, &one, NULL, request, NULL, err))
        return -1;
    if (pipeline->eraser->now.n_entries == 0 && !request->dry_run) {
        const struct act_note note = {request->by, request->words, ""};
        int r = discard_submit(pipeline, position, &note, err);
        if (r)
            return r < 0 ? -1 : 0;
    }
    return nothing_found(pipeline, _("it was destroyed before"), err);
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
    eraser->sifted = 0;
    eraser_show(pipeline);
    int r = request_run(pipeline, request, &eraser->now.err);
    eraser->now.stage = r ? ERASURE_FAILED : ERASURE_DONE;
    if (r && eraser->now.err.code != CASEBUS_NOT_FOUND && eraser->now.err.code != CASEBUS_CLOSED) {
        log_error(pipeline->options.log, "ERASURE-FAILED", "%s", eraser->now.err.text);
        eraser->retry_s = 1;
    }
    if (!r && !request->dry_run)
        log_notice(pipeline->options.log, "ERASED",
                   _("content was destroyed; entries: %llu, receivers that are told: %llu"),
                   (unsigned long long)eraser->now.n_entries, (unsigned long long)eraser->now.n_receivers);
    eraser_show(pipeline);
    secret_clear(request, sizeof *request);
    free(request);
}

/* ---- the thread ---- */

/* What was ordered before the hub went down, or before something failed. */
static void go_on(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    struct casebus_error err = {.code = CASEBUS_OK};
    int n = destroy_and_say_done(pipeline, &err);
    unsigned next_s = eraser->retry_s ? 2 * eraser->retry_s : 1;
    eraser->retry_s = n >= 0 ? 0 : next_s < RETRY_MAX_S ? next_s : RETRY_MAX_S;
    if (n > 0)
        log_notice(pipeline->options.log, "ERASURE-RESUMED",
                   _n("%d order to destroy content, which had not been carried out, is",
                      "%d orders to destroy content, which had not been carried out, are", n),
                   n);
    else if (n < 0 && err.code != CASEBUS_CLOSED)
        log_error(pipeline->options.log, "ERASURE-FAILED", "%s", err.text);
}

/* Waits for a request, or until it is time to try again. With the lock held. */
static void wait_for_work(struct pipeline *pipeline)
{
    struct eraser *eraser = pipeline->eraser;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += eraser->retry_s;
    while (eraser->first == eraser->last && !eraser->stop && !pipeline->failed)
        if (!eraser->retry_s)
            pthread_cond_wait(&eraser->posted, &pipeline->lock);
        else if (pthread_cond_timedwait(&eraser->posted, &pipeline->lock, &until) == ETIMEDOUT)
            return;
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
        wait_for_work(pipeline);
        bool ends = eraser->stop || pipeline->failed;
        struct erasure_request *request = NULL;
        uint64_t ticket = eraser->first + 1;
        if (!ends && eraser->first != eraser->last) {
            request = eraser->requests[ticket % ERASURE_TICKETS];
            eraser->requests[ticket % ERASURE_TICKETS] = NULL;
            eraser->first = ticket;
        }
        pthread_mutex_unlock(&pipeline->lock);
        if (ends)
            return NULL;
        if (request)
            take_request(pipeline, request, ticket);
        else
            go_on(pipeline);
    }
}

int eraser_init(struct pipeline *pipeline, struct casebus_error *err)
{
    struct eraser *eraser = pipeline->eraser = calloc(1, sizeof *eraser);
    if (!eraser)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the pipeline"));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&eraser->posted, &monotonic);
    pthread_condattr_destroy(&monotonic);
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
