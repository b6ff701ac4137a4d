/* The gate looks at it in the thread of whoever asks; the writer decides it, and it is delivered like
 * anything that a peer sends.
 *
 * A single event was refused beside a batch that was taken: its seal signs for it and has counted its number.
 * A whole batch was never taken: its frame is checked as if it came now, and has to be what comes next in its
 * stream. */
#include "hub/pipeline/release.h"

#include "hub/pipeline/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"
#include "proto/codec/entry.h"

#define BACK_MAX   (2 * BATCH_MAX_EVENTS + 1) /* from a refused member to its seal */
#define BARRIER_MS 10000

struct release {
    struct pipeline *pipeline;
    uint64_t position;
    const struct act_note *note;
    const Casebus__V1__Quarantined *quarantined;
    const Casebus__V1__SealedBody *body;
    struct bytes statement; /* of a single event: its batch's, and which member it was */
    uint32_t member;
    struct job *job; /* until a group has it */
    uint64_t decided;
};

/* ---- what lies there ---- */

static int nothing_there(uint64_t position, struct casebus_error *err)
{
    error_set(err, CASEBUS_NOT_FOUND, _("entry %llu of the ledger is nothing in quarantine"),
              (unsigned long long)position);
    return error_hint(err, _("see what is: casebus quarantine list"));
}

static bool whole(const Casebus__V1__SealedBody *body)
{
    for (size_t i = 0; i < body->n_item; i++)
        if (body_item_erased(body, i))
            return false;
    return body->n_item > 0;
}

static int refused_read(struct release *release, struct ledger_view *view, struct arena *arena,
                        struct casebus_error *err)
{
    struct bytes leaf, sealed;
    if (release->position >= ledger_view_size(view))
        return nothing_there(release->position, err);
    if (ledger_view_leaf(view, release->position, &leaf, err) ||
        ledger_view_body(view, release->position, &sealed, err))
        return -1;
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        return nothing_there(release->position, err);
    release->quarantined = entry->act->quarantined;
    Casebus__V1__SealedBody *body = sealed.size ? body_decode(sealed, arena, err) : NULL;
    if (sealed.size && !body)
        return -1;
    if (!body || !whole(body))
        return error_set(err, CASEBUS_ERASED, _("what was refused at entry %llu is destroyed"),
                         (unsigned long long)release->position);
    release->body = body;
    return 0;
}

static int items_open(const struct release *release, struct arena *arena, struct bytes items[BODY_ITEMS_MAX],
                      struct casebus_error *err)
{
    const struct pipeline_options *options = &release->pipeline->options;
    uint8_t key[KEY_SIZE];
    struct crypter *crypter = crypter_new(options->suite);
    int r = crypter ? vault_key(options->vault, release->body->slot, key, err)
                    : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    for (size_t i = 0; !r && i < release->body->n_item && i < BODY_ITEMS_MAX; i++)
        r = body_open_item(crypter, ledger_origin_at(options->ledger, release->position),
                           release->quarantined->subject.data, release->body, key, i, arena, &items[i], err);
    secret_clear(key, sizeof key);
    crypter_free(crypter);
    return r;
}

static bool outcome_is(const Casebus__V1__SealOutcome *outcome, const Casebus__V1__Quarantined *quarantined)
{
    return *outcome->code && bytes_equal(bytes_of(outcome->event_hash.data, outcome->event_hash.len),
                                         bytes_of(quarantined->subject.data, quarantined->subject.len));
}

/* 1: the entry is the seal that says it was refused, and the number is known; 0; -1. */
static int seal_look(struct release *release, const Casebus__V1__LedgerEntry *entry, struct arena *arena,
                     struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = entry->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), arena, err);
    if (!statement)
        return -1;
    for (size_t i = 0; strcmp(statement->node, release->quarantined->node) == 0 && i < seal->n_outcome; i++)
        if (outcome_is(seal->outcome[i], release->quarantined)) {
            release->statement = bytes_of(seal->statement.data, seal->statement.len);
            release->member = seal->outcome[i]->index;
            return 1;
        }
    return 0;
}

/* The seal of the batch that it was a member of. */
static int seal_find(struct release *release, struct ledger_view *view, struct arena *arena,
                     struct casebus_error *err)
{
    for (uint64_t back = 1; back <= BACK_MAX && back <= release->position; back++) {
        struct bytes leaf;
        if (ledger_view_leaf(view, release->position - back, &leaf, err))
            return -1;
        const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, arena, err);
        if (!entry)
            return -1;
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
            continue;
        int r = seal_look(release, entry, arena, err);
        if (r)
            return r < 0 ? -1 : 0;
        break;
    }
    error_set(
        err, CASEBUS_NOT_FOUND,
        _("its batch was not taken, and nothing is kept of what the node signed: it cannot be released"));
    return error_hint(err, _("let its sender send it again, and discard this one"));
}

/* ---- the door ---- */

static int door_check(struct release *release, const struct bytes *items, struct casebus_error *err)
{
    struct pipeline *pipeline = release->pipeline;
    struct job *job = release->job;
    struct gate *gate = gate_new(pipeline->options.suite, pipeline->origin, pipeline->content_key);
    if (!gate)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    if (release->quarantined->whole_batch)
        gate_check(gate, job->node, items[0], clock_unix_us(), &job->batch);
    else
        gate_check_again(gate, items, release->body->n_item, &job->batch);
    gate_free(gate);
    const struct casebus_error *refusal = job->batch.refusal.code ? &job->batch.refusal
                                          : !release->quarantined->whole_batch && job->batch.n_members
                                              ? job->batch.members[0].refusal
                                              : NULL;
    if (!refusal)
        return 0;
    *err = *refusal;
    return -1;
}

/* Its batch's, which signs for it, cut to its number. It has to live as long as the job. */
static int statement_give(struct release *release, struct casebus_error *err)
{
    struct gate_batch *batch = &release->job->batch;
    Casebus__V1__BatchStatement *statement = statement_decode(release->statement, &batch->arena, err);
    if (!statement)
        return -1;
    statement->first += release->member;
    statement->count = 1;
    batch->statement = statement;
    return 0;
}

static int job_make(struct release *release, const struct bytes *items, struct casebus_error *err)
{
    struct registry *registry = pipeline_registry(release->pipeline);
    const struct registry_node *node = registry_find(registry, release->quarantined->node);
    int r = 0;
    if (!node)
        r = error_set(err, CASEBUS_UNKNOWN_NODE, _("no node '%s' is enrolled"), release->quarantined->node);
    else if (gate_check_status(node, err))
        r = -1;
    if (!r && !(release->job = job_new(JOB_BATCH, 0, registry, node)))
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for a request"));
    registry_unref(registry);
    if (r || !release->job)
        return -1;
    release->job->released_from = release->position + 1;
    return door_check(release, items, err) ||
                   (!release->quarantined->whole_batch && statement_give(release, err))
               ? -1
               : 0;
}

/* ---- the writer's part ---- */

static int decided_write(struct release *release, struct group *group, struct casebus_error *err)
{
    release->decided = group->first_position + group->n_entries;
    return quarantine_decided_write(release->pipeline, group, release->position,
                                    CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED,
                                    release->note, err);
}

/* The group delivers what the job holds. */
static struct job *job_hand_over(struct release *release, struct group *group)
{
    struct job **tail = &group->jobs, *job = release->job;
    while (*tail)
        tail = &(*tail)->next;
    *tail = job;
    release->job = NULL;
    return job;
}

static int member_write(struct release *release, struct group *group, struct asked *asked,
                        struct casebus_error *err)
{
    struct pipeline *pipeline = release->pipeline;
    struct exchange_decision decision = {0};
    if (writer_decide_member(&pipeline->writer, group, release->job, 0, &decision, err))
        return -1;
    if (decision.verdict == VERDICT_DUPLICATE) {
        asked->result = error_set(&asked->err, CASEBUS_EXISTS, _("it has come in meanwhile, as entry %llu"),
                                  (unsigned long long)decision.duplicate_of);
        error_hint(&asked->err, _("discard this one: casebus quarantine discard"));
        return 0;
    }
    if (decision.verdict == VERDICT_REFUSED) {
        asked->err = decision.refusal;
        asked->result = -1;
        return 0;
    }
    if (decided_write(release, group, err))
        return -1;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->counters.accepted++;
    pthread_mutex_unlock(&pipeline->lock);
    return writer_accept_member(pipeline, group, job_hand_over(release, group), 0, &decision, err);
}

static int batch_write(struct release *release, struct group *group, struct asked *asked,
                       struct casebus_error *err)
{
    struct pipeline *pipeline = release->pipeline;
    const struct gate_batch *batch = &release->job->batch;
    struct exchange_stream stream = {0};
    int place = exchange_sequence(&pipeline->writer.store, release->job->node->info.node, batch->statement,
                                  batch->statement_hash, &stream, err);
    if (place < 0)
        return -1;
    if (place == SEQUENCE_NEXT)
        return decided_write(release, group, err) ||
                       writer_decide_next(pipeline, group, job_hand_over(release, group), err)
                   ? -1
                   : 0;
    if (place == SEQUENCE_REPEATED)
        error_set(&asked->err, CASEBUS_EXISTS, _("it has come in meanwhile, as entry %llu"),
                  (unsigned long long)stream.seal_position);
    else
        error_set(&asked->err, place == SEQUENCE_GAP ? CASEBUS_SEQ_GAP : CASEBUS_SEQ_CONFLICT,
                  _("its numbers are not what comes next in stream %016llx: the hub has up to %llu"),
                  (unsigned long long)batch->statement->stream, (unsigned long long)stream.last);
    asked->result = error_hint(&asked->err, _("discard this one: casebus quarantine discard"));
    return 0;
}

/* Node and policy may have changed since the gate looked. 0, or -1 with the answer to whoever asked. */
static int release_check(const struct release *release, const struct group *group,
                         const struct quarantine_row *row, struct casebus_error *err)
{
    const struct writer *writer = &release->pipeline->writer;
    const struct registry_node *node = registry_find(writer->registry, release->quarantined->node);
    if (row->decided_position)
        return error_set(err, CASEBUS_EXISTS, _("what was refused at entry %llu is settled: see entry %llu"),
                         (unsigned long long)release->position, (unsigned long long)row->decided_position);
    if (!node || writer->registry != group->registry)
        return error_set(err, CASEBUS_BUSY, _("nodes have changed at this very moment; try again"));
    return gate_check_status(node, err);
}

static int release_write(struct pipeline *pipeline, struct group *group, struct asked *asked,
                         struct casebus_error *err)
{
    struct release *release = asked->self;
    struct quarantine_row row = {0};
    int r = exchange_quarantine_get(&pipeline->writer.store, release->position, &row, err);
    if (r < 0)
        return -1;
    asked->result =
        r ? release_check(release, group, &row, &asked->err) : nothing_there(release->position, &asked->err);
    if (asked->result)
        return 0;
    return release->quarantined->whole_batch ? batch_write(release, group, asked, err)
                                             : member_write(release, group, asked, err);
}

/* ---- asked from outside ---- */

static int release_prepare(struct release *release, struct ledger_view *view, struct arena *arena,
                           struct casebus_error *err)
{
    struct bytes items[BODY_ITEMS_MAX] = {{0}};
    if (refused_read(release, view, arena, err) || !release->body)
        return -1;
    return (!release->quarantined->whole_batch && seal_find(release, view, arena, err)) ||
                   items_open(release, arena, items, err) || job_make(release, items, err)
               ? -1
               : 0;
}

int pipeline_release(struct pipeline *pipeline, uint64_t position, const struct act_note *note,
                     uint64_t *decided, struct casebus_error *err)
{
    struct release release = {.pipeline = pipeline, .position = position, .note = note};
    struct ledger_view *view = NULL;
    struct arena arena;
    if (pipeline_barrier(pipeline, BARRIER_MS, err) || ledger_view_open(&view, pipeline->options.ledger, err))
        return -1;
    arena_init(&arena, 64 * 1024, 16 * 1024 * 1024);
    int r = release_prepare(&release, view, &arena, err);
    ledger_view_close(view);
    if (!r) {
        struct asked asked = {.write = release_write, .self = &release};
        r = writer_ask(pipeline, &asked, err);
    }
    *decided = release.decided;
    job_free(release.job);
    arena_deinit(&arena);
    return r;
}
