#include "hub/pipeline/pipeline_fixture.h"

#include "proto/base/clock.h"
#include "proto/codec/statement.h"
#include "proto/merkle/note.h"

#include <errno.h>
#include <time.h>

#include "proto/codec/frame.h"

#define VAULT_AHEAD 256

/* ---- what the pipeline calls ---- */

static void keep_group(void *self, struct group *group)
{
    struct pipeline_fixture *f = self;
    if (f->on_group)
        f->on_group(f->self, group);
    pthread_mutex_lock(&f->lock);
    assert_true(f->n_groups < FIXTURE_GROUPS);
    f->groups[f->n_groups++] = group_ref(group);
    for (const struct job *job = group->jobs; job; job = job->next)
        f->n_jobs++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void keep_persisted(void *self, uint64_t size)
{
    struct pipeline_fixture *f = self;
    if (f->on_persisted)
        f->on_persisted(f->self, size);
}

static void keep_fatal(void *self, const struct casebus_error *err)
{
    struct pipeline_fixture *f = self;
    pthread_mutex_lock(&f->lock);
    f->fatal = *err;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* With the lock held. */
static void wait_changed(struct pipeline_fixture *f, const struct timespec *until, const char *what)
{
    if (pthread_cond_timedwait(&f->changed, &f->lock, until) == ETIMEDOUT)
        fail_msg("%s within %d s: %zu jobs, %zu groups, %s", what, FIXTURE_WAIT_S, f->n_jobs, f->n_groups,
                 f->fatal.text);
}

static struct timespec deadline(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FIXTURE_WAIT_S;
    return until;
}

/* ---- life ---- */

/* The gate's fixture lives in 2023; workers look at the clock. */
void fixture_renew(struct pipeline_fixture *f, struct test_node *node)
{
    size_t size;
    node->info.not_after = clock_unix_us() / 1000000 + 86400;
    must(certificate_issue(f->gate.authority_key, f->gate.authority, &node->info, node->certificate, &size,
                           &f->gate.err),
         &f->gate.err);
    node->enrolled.certificate = (ProtobufCBinaryData){size, node->certificate};
}

void pipeline_fixture_init(struct pipeline_fixture *f)
{
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    gate_fixture_init(&f->gate);
    fixture_renew(f, &f->gate.desk);
    fixture_renew(f, &f->gate.office);
    folder_make(f->dir, "pipeline");
    memset(f->content_key, 7, KEY_SIZE);
    memset(f->kek, 9, KEY_SIZE);
    must(signing_key_generate(&f->log_key, suite_get(SUITE_INTL), &f->gate.err), &f->gate.err);
    assert_true(
        note_vkey_format(f->log_vkey, sizeof(f->log_vkey), TEST_ORIGIN, signing_key_public(f->log_key)) > 0);
    f->next = 1;
}

void pipeline_fixture_deinit(struct pipeline_fixture *f)
{
    fixture_stop(f);
    for (size_t i = 0; i < f->n_groups; i++)
        group_unref(f->groups[i]);
    signing_key_free(f->log_key);
    gate_fixture_deinit(&f->gate);
    folder_remove(f->dir);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

void fixture_stores_open(struct pipeline_fixture *f)
{
    struct casebus_error err;
    must(vault_open(&f->vault, f->dir, suite_get(SUITE_INTL), f->kek, VAULT_AHEAD, NULL, &err), &err);
    must(journal_open(&f->journal, f->dir, 0, &err), &err);
    must(ledger_open(&f->ledger, f->dir, TEST_ORIGIN, &err), &err);
    must(state_open(&f->state, f->dir, &err), &err);
}

void fixture_stores_close(struct pipeline_fixture *f)
{
    f->state = state_close(f->state);
    f->ledger = ledger_close(f->ledger);
    f->journal = journal_close(f->journal);
    f->vault = vault_close(f->vault);
}

void fixture_start(struct pipeline_fixture *f)
{
    struct casebus_error err;
    if (!f->state)
        fixture_stores_open(f);
    const struct replay_options replay = {.suite = suite_get(SUITE_INTL),
                                          .origin = TEST_ORIGIN,
                                          .content_key = f->content_key,
                                          .journal = f->journal,
                                          .ledger = f->ledger,
                                          .state = f->state,
                                          .vault = f->vault};
    must(replay_run(&replay, &f->replayed, &err), &err);
    must(vault_prepare(f->vault, &err), &err);
    if (f->on_replayed)
        f->on_replayed(f->self);
    const struct pipeline_options options = {.suite = suite_get(SUITE_INTL),
                                             .origin = TEST_ORIGIN,
                                             .content_key = f->content_key,
                                             .authority = f->gate.authority,
                                             .log_key = f->log_vkey,
                                             .log_signing_key = f->log_key,
                                             .n_workers = 2,
                                             .last_hub_time_us = f->replayed.last_hub_time_us,
                                             .journal = f->journal,
                                             .ledger = f->ledger,
                                             .state = f->state,
                                             .vault = f->vault,
                                             .log = &f->log,
                                             .on_group = keep_group,
                                             .on_persisted = keep_persisted,
                                             .on_fatal = keep_fatal,
                                             .self = f};
    must(pipeline_start(&f->pipeline, &options, &err), &err);
}

void fixture_stop(struct pipeline_fixture *f)
{
    if (f->pipeline)
        pipeline_stop(f->pipeline);
    f->pipeline = pipeline_free(f->pipeline);
    fixture_stores_close(f);
}

void fixture_enrol(struct pipeline_fixture *f, struct test_node *node)
{
    struct casebus_error err;
    must(pipeline_enrol(f->pipeline, enrolment_pack(&f->gate, node), "", FIXTURE_WAIT_S * 1000, &err), &err);
}

void fixture_enrol_both(struct pipeline_fixture *f)
{
    fixture_enrol(f, &f->gate.desk);
    fixture_enrol(f, &f->gate.office);
}

/* ---- batches ---- */

struct test_batch *fixture_batch(struct pipeline_fixture *f, const char *label, size_t n)
{
    struct test_batch *batch = batch_make(&f->gate, n, 100);
    char *number = arena_alloc(&f->gate.arena, 64);
    assert_non_null(number);
    snprintf(number, 64, "case-%s", label);
    for (size_t i = 0; i < n; i++) {
        snprintf(batch->events[i].record_id, sizeof(batch->events[i].record_id), "%s-%zu", label, i);
        batch->events[i].header.case_number = number;
    }
    batch->statement.first = f->next;
    memcpy(batch->previous, f->previous, DIGEST_SIZE);
    return batch;
}

struct bytes fixture_sign(struct pipeline_fixture *f, struct test_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        event_commit(&f->gate, &batch->events[i]);
    struct bytes frame = batch_sign(&f->gate, batch);
    statement_hash(f->gate.crypter, bytes_of(batch->batch.statement.data, batch->batch.statement.len),
                   f->previous);
    f->next = batch->statement.first + batch->n;
    return frame;
}

void fixture_submit(struct pipeline_fixture *f, enum job_kind kind, struct bytes frame)
{
    struct casebus_error err;
    struct registry *registry = pipeline_registry(f->pipeline);
    const struct registry_node *desk = registry_find(registry, "desk");
    struct job *job = job_new(kind, 1, registry, desk);
    uint8_t *copy = malloc(frame.size + 1);
    assert_true(job && copy);
    memcpy(copy, frame.data ? frame.data : (const uint8_t *)"", frame.size);
    job->frame = bytes_of(copy, frame.size);
    job->frame_size = frame.size;
    job->release = free;
    job->owner = copy;
    if (kind == JOB_HELLO) {
        job->stream_ids[0] = 7; /* of batch_make */
        job->stream_ids[1] = 8;
        job->n_streams = 2;
    }
    must(pipeline_submit(f->pipeline, job, &err), &err);
    registry_unref(registry);
}

/* With the lock held. */
static const struct job *find_job(struct pipeline_fixture *f, size_t n, const struct group **groupp)
{
    for (size_t i = 0; i < f->n_groups; i++)
        for (const struct job *job = f->groups[i]->jobs; job; job = job->next)
            if (--n == 0) {
                if (groupp)
                    *groupp = f->groups[i];
                return job;
            }
    return NULL;
}

const struct job *fixture_job(struct pipeline_fixture *f, size_t n, const struct group **groupp)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&f->lock);
    while (f->n_jobs < n)
        wait_changed(f, &until, "no answer");
    const struct job *job = find_job(f, n, groupp);
    pthread_mutex_unlock(&f->lock);
    return job;
}

const struct job *fixture_ask(struct pipeline_fixture *f, struct bytes frame, const struct group **groupp)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->n_jobs;
    pthread_mutex_unlock(&f->lock);
    fixture_submit(f, JOB_BATCH, frame);
    return fixture_job(f, n + 1, groupp);
}

const struct job *fixture_publish(struct pipeline_fixture *f, const char *label, size_t n)
{
    const struct job *job = fixture_ask(f, fixture_sign(f, fixture_batch(f, label, n)), NULL);
    if (job->answer != ANSWER_ACCEPTED)
        fail_msg("not accepted: %s", job->refusal.text);
    return job;
}

void fixture_confirm(struct pipeline_fixture *f, uint64_t position, const uint8_t *signature)
{
    uint8_t key_id[KEY_ID_SIZE], hash[DIGEST_SIZE] = {1}, signed_by_desk[SIGNATURE_SIZE];
    Casebus__V1__DeliveryId last = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__ConfirmStatement fields = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    public_key_id(signing_key_public(f->gate.desk.key), key_id);
    last.position = position;
    fields.context = (char *)(uintptr_t)CONFIRM_CONTEXT;
    fields.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    fields.origin = (char *)(uintptr_t)TEST_ORIGIN;
    fields.node = (char *)(uintptr_t) "desk";
    fields.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, key_id};
    fields.last = &last;
    fields.running_hash = (ProtobufCBinaryData){DIGEST_SIZE, hash};
    fields.confirmed_at_us = clock_unix_us();
    struct bytes statement = codec_pack(&fields, &f->gate.arena);
    must(signing_key_sign(f->gate.desk.key, statement, signed_by_desk, &f->gate.err), &f->gate.err);
    Casebus__V1__Confirm confirm = CASEBUS__V1__CONFIRM__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    confirm.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    confirm.signature =
        (ProtobufCBinaryData){SIGNATURE_SIZE, signature ? (uint8_t *)(uintptr_t)signature : signed_by_desk};
    frame.body_case = CASEBUS__V1__FRAME__BODY_CONFIRM;
    frame.confirm = &confirm;
    fixture_submit(f, JOB_CONFIRM, codec_pack(&frame, &f->gate.arena));
}

void fixture_wait_fatal(struct pipeline_fixture *f)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&f->lock);
    while (f->fatal.code == CASEBUS_OK)
        wait_changed(f, &until, "nothing failed");
    pthread_mutex_unlock(&f->lock);
}

/* ---- looking ---- */

const Casebus__V1__LedgerEntry *fixture_entry(struct pipeline_fixture *f, uint64_t position)
{
    struct casebus_error err;
    struct bytes leaf = {NULL, 0};
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_groups && !leaf.size; i++)
        leaf = group_leaf(f->groups[i], position);
    pthread_mutex_unlock(&f->lock);
    assert_true(leaf.size > 0);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &f->gate.arena, &err);
    assert_non_null(entry);
    return entry;
}

static int dump_row(void *self, struct bytes key, struct bytes value)
{
    struct buffer *out = self;
    uint8_t sizes[8];
    put_u32be(sizes, (uint32_t)key.size);
    put_u32be(sizes + 4, (uint32_t)value.size);
    assert_true(buffer_append(out, sizes, sizeof(sizes)) && buffer_append(out, key.data, key.size) &&
                buffer_append(out, value.data, value.size));
    return 0;
}

void fixture_state_dump(struct state *state, struct buffer *out)
{
    struct casebus_error err;
    struct state_view *view = NULL;
    buffer_init(out, (size_t)64 << 20);
    must(state_view_open(&view, state, &err), &err);
    for (int table = 0; table < TABLE_COUNT; table++)
        must(state_view_walk(view, (enum exchange_table)table, bytes_of("", 0), dump_row, out, &err), &err);
    state_view_close(view);
}
