/* Deciding one batch: its place in the stream, each member's fate, and the entries that say so.
 *
 * Order in the ledger: the seal, the accepted members in their order, then what was refused (quarantined). */
#include "hub/pipeline/internal.h"
#include "hub/pipeline/refused.h"
#include "hub/pipeline/slots.h"
#include "proto/base/texts.h"

#define ROOM_RETRY_MS 5000

/* The seal's place is taken before the members are decided; its outcomes are known only after. */
struct sealing {
    uint64_t position;
    size_t entry_index;
    Casebus__V1__SealOutcome *outcomes;
    Casebus__V1__SealOutcome **outcome_list;
    size_t n_outcomes;
};

static uint64_t next_position(const struct group *group)
{
    return group->first_position + group->n_entries;
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a group of entries"));
}

/* Packs @entry as the leaf of the group's entry @index. */
static int pack_leaf(struct pipeline *pipeline, struct group *group, size_t index,
                     Casebus__V1__LedgerEntry *entry, struct casebus_error *err)
{
    entry->format = 1;
    entry->suite = (Casebus__V1__Suite)suite_id(pipeline->options.suite);
    entry->hub_time_us = group->hub_time_us;
    group->entries[index].leaf = codec_pack(entry, &group->arena);
    return group->entries[index].leaf.data ? 0 : no_memory(err);
}

int writer_add_act(struct pipeline *pipeline, struct group *group, const Casebus__V1__ActEntry *act,
                   struct casebus_error *err)
{
    uint64_t position = next_position(group);
    if (!group_add_entry(group))
        return no_memory(err);
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = (Casebus__V1__ActEntry *)act;
    if (pack_leaf(pipeline, group, group->n_entries - 1, &entry, err))
        return -1;
    return exchange_apply_act(&pipeline->writer.store, position, group->hub_time_us, act, err);
}

/* Keeps refused bytes, sealed under a slot of their own, as an entry that names sender and reason. What an
 * erasure destroyed is not kept a second time, nor is a state secret: such an entry has no body. */
static int quarantine(struct pipeline *pipeline, struct group *group, const char *node,
                      enum casebus_code code, struct body_seal *seal, size_t size, bool whole_batch,
                      struct casebus_error *err)
{
    struct slot_key slot = {0};
    if (!seal->n_items)
        return 0; /* nothing could be kept: no memory then; the refusal still reaches the sender */
    if (quarantine_keeps(code) && slots_take(pipeline, &slot, err))
        return -1;
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    quarantined.node = (char *)node;
    quarantined.code = (char *)casebus_code_text(code);
    quarantined.subject = (ProtobufCBinaryData){DIGEST_SIZE, seal->subject};
    quarantined.size = (uint32_t)size;
    quarantined.whole_batch = whole_batch;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    if (writer_add_act(pipeline, group, &act, err))
        return -1;
    if (!quarantine_keeps(code))
        return 0;
    return body_wrap(pipeline->writer.crypter, pipeline->origin, seal, slot.slot, slot.key, &group->arena,
                     &group->entries[group->n_entries - 1].body, err);
}

static const char *job_node(const struct job *job)
{
    return job->node ? job->node->info.node : "";
}

static void answer_refused(struct job *job, const struct casebus_error *refusal, bool final)
{
    job->answer = ANSWER_REFUSED;
    job->refusal = *refusal;
    job->final = final;
    job->retry_after_ms = final ? 0 : 1000;
}

/* Whether one of its events, as far as they can be read, is about a record that an erasure closed. */
static int batch_closed(struct pipeline *pipeline, const struct gate_batch *batch, struct casebus_error *err)
{
    struct exchange_event event = {0};
    for (size_t i = 0; i < batch->n_refused_records; i++) {
        memcpy(event.record_key, batch->refused_records[i], TEXT_KEY_SIZE);
        int closed = exchange_record_closed(&pipeline->writer.store, &event, err);
        if (closed)
            return closed;
    }
    return 0;
}

/* The whole batch is refused for good: its bytes are kept, unless something in them must not be. They are one
 * thing, so then nothing is. */
static int refuse_batch(struct pipeline *pipeline, struct group *group, struct job *job,
                        const struct casebus_error *refusal, struct casebus_error *err)
{
    bool ours = refusal->code == CASEBUS_NO_MEMORY || refusal->code == CASEBUS_INTERNAL ||
                refusal->code == CASEBUS_SUSPENDED;
    answer_refused(job, refusal, !ours);
    log_warning(pipeline->options.log, "BATCH-REFUSED", "%s: %s %s", job_node(job),
                casebus_code_text(refusal->code), refusal->text);
    if (ours || !job->node)
        return 0;
    size_t size = job->batch.refused_seal.n_items ? job->batch.refused_seal.items[0].size : 0;
    int closed = batch_closed(pipeline, &job->batch, err);
    if (closed < 0)
        return -1;
    int gone = refused_gone(&pipeline->writer.store, job_node(job), &job->batch.refused_seal, err);
    if (gone < 0)
        return -1;
    enum casebus_code code = job->batch.refused_marked ? CASEBUS_CLASSIFIED
                             : closed || gone          ? CASEBUS_ERASED
                                                       : refusal->code;
    return quarantine(pipeline, group, job_node(job), code, &job->batch.refused_seal, size, true, err);
}

static void add_outcome(struct sealing *sealing, size_t index, const struct gate_member *member,
                        uint64_t duplicate_of, enum casebus_code code)
{
    Casebus__V1__SealOutcome *outcome = &sealing->outcomes[sealing->n_outcomes];
    casebus__v1__seal_outcome__init(outcome);
    outcome->index = (uint32_t)index;
    outcome->event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)member->event.event_hash};
    outcome->duplicate_of = duplicate_of;
    if (code)
        outcome->code = (char *)casebus_code_text(code);
    sealing->outcome_list[sealing->n_outcomes++] = outcome;
}

/* A case is named by where it began in the ledger and eight random bytes: nothing about it can be guessed,
 * and cases that are young together lie together in the state's tables. */
static void moment_fill(struct writer *writer, const struct group *group, struct exchange_moment *moment)
{
    const size_t n_random = sizeof(moment->fresh_case_id) - 8;
    if (writer->pool_used + n_random > sizeof(writer->pool)) {
        random_bytes(writer->pool, sizeof(writer->pool));
        writer->pool_used = 0;
    }
    put_u64be(moment->fresh_case_id, next_position(group));
    memcpy(moment->fresh_case_id + 8, writer->pool + writer->pool_used, n_random);
    writer->pool_used += n_random;
    moment->hub_time_us = group->hub_time_us;
}

/* Writes the entry of an accepted member, wraps its body's key and applies it. */
int writer_accept_member(struct pipeline *pipeline, struct group *group, struct job *job, size_t index,
                         const struct exchange_decision *decision, struct casebus_error *err)
{
    struct gate_member *member = &job->batch.members[index];
    uint64_t position = next_position(group);
    struct group_event *delivery = group_add_event(group);
    Casebus__V1__Receiver *receivers =
        arena_alloc(&group->arena, (decision->n_receivers + 1) * (sizeof(*receivers) + sizeof(void *)));
    struct exchange_receiver *kept =
        arena_copy(&group->arena, decision->receivers, decision->n_receivers * sizeof(*kept));
    if (!group_add_entry(group) || !delivery || !receivers || (!kept && decision->n_receivers))
        return no_memory(err);
    Casebus__V1__Receiver **list = (Casebus__V1__Receiver **)(receivers + decision->n_receivers + 1);
    for (size_t i = 0; i < decision->n_receivers; i++) {
        casebus__v1__receiver__init(&receivers[i]);
        receivers[i].node = (char *)decision->receivers[i].node;
        receivers[i].part_mask = decision->receivers[i].part_mask;
        receivers[i].rule = decision->receivers[i].rule;
        receivers[i].questions = decision->receivers[i].questions;
        receivers[i].retracts = decision->receivers[i].retracts;
        list[i] = &receivers[i];
    }

    Casebus__V1__EventEntry event = CASEBUS__V1__EVENT_ENTRY__INIT;
    event.node = job->batch.statement->node;
    event.stream = job->batch.statement->stream;
    event.number = job->batch.statement->first + index;
    event.event_hash = (ProtobufCBinaryData){DIGEST_SIZE, member->event.event_hash};
    event.case_id = (ProtobufCBinaryData){CASE_ID_SIZE, (uint8_t *)decision->case_id};
    event.n_receiver = decision->n_receivers;
    event.receiver = list;
    event.rule = decision->rule;
    event.replaces = decision->replaces;
    event.released_from = job->released_from;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT;
    entry.event = &event;
    struct slot_key slot = {.slot = decision->slot};
    if (pack_leaf(pipeline, group, group->n_entries - 1, &entry, err) ||
        (slot.slot ? slots_key(pipeline, &slot, err) : slots_take(pipeline, &slot, err)) ||
        body_wrap(pipeline->writer.crypter, pipeline->origin, &member->seal, slot.slot, slot.key,
                  &group->arena, &group->entries[group->n_entries - 1].body, err) ||
        exchange_apply_event(&pipeline->writer.store, position, group->hub_time_us, &event, &member->event,
                             slot.slot, err))
        return -1;

    *delivery = (struct group_event){position, member, job->node->info.node,  event.stream,      event.number,
                                     {0},      kept,   decision->n_receivers, decision->replaces};
    memcpy(delivery->case_id, decision->case_id, CASE_ID_SIZE);
    return 0;
}

int writer_decide_member(struct writer *writer, const struct group *group, const struct job *job,
                         size_t index, struct exchange_decision *decision, struct casebus_error *err)
{
    const struct exchange_parties parties = {writer->registry->exchange, writer->registry->n_nodes,
                                             rights_book_rights(writer->policy), writer->memo};
    struct exchange_moment moment;
    moment_fill(writer, group, &moment);
    return exchange_decide(&writer->store, &parties, job->node->info.node, &job->batch.members[index].event,
                           &moment, decision, err);
}

static int decide_member(struct pipeline *pipeline, struct group *group, struct job *job, size_t index,
                         struct sealing *sealing, struct casebus_error *err)
{
    struct gate_member *member = &job->batch.members[index];
    if (member->refusal) {
        add_outcome(sealing, index, member, 0, member->refusal->code);
        return 0;
    }
    struct exchange_decision decision = {0};
    if (writer_decide_member(&pipeline->writer, group, job, index, &decision, err))
        return -1;
    switch (decision.verdict) {
    case VERDICT_ACCEPTED:
        return writer_accept_member(pipeline, group, job, index, &decision, err);
    case VERDICT_DUPLICATE:
        add_outcome(sealing, index, member, decision.duplicate_of + 1, CASEBUS_OK);
        return 0;
    case VERDICT_REFUSED:
        member->refusal = arena_copy(&job->batch.arena, &decision.refusal, sizeof(decision.refusal));
        if (!member->refusal)
            return no_memory(err);
        add_outcome(sealing, index, member, 0, decision.refusal.code);
        return 0;
    }
    return error_set(err, CASEBUS_INTERNAL, "verdict %d", (int)decision.verdict);
}

static int seal_batch(struct pipeline *pipeline, struct group *group, struct job *job,
                      struct sealing *sealing, struct casebus_error *err)
{
    Casebus__V1__SealEntry seal = CASEBUS__V1__SEAL_ENTRY__INIT;
    seal.statement = job->batch.batch->statement;
    seal.signature = job->batch.batch->signature;
    seal.n_outcome = sealing->n_outcomes;
    seal.outcome = sealing->outcome_list;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL;
    entry.seal = &seal;
    if (pack_leaf(pipeline, group, sealing->entry_index, &entry, err))
        return -1;
    return exchange_apply_seal(&pipeline->writer.store, sealing->position, group->hub_time_us, &seal,
                               job->batch.statement, job->batch.statement_hash, err);
}

/* Whatever else is wrong with it: of a record that an erasure closed nothing is kept, nor of what was refused
 * and destroyed before. */
static int quarantine_member(struct pipeline *pipeline, struct group *group, const struct job *job,
                             struct gate_member *member, enum casebus_code code, struct casebus_error *err)
{
    size_t size = member->wire ? member->wire->header.len : 0;
    int closed = exchange_record_closed(&pipeline->writer.store, &member->event, err);
    int gone = closed < 0 ? -1 : refused_gone(&pipeline->writer.store, job_node(job), &member->seal, err);
    if (gone < 0)
        return -1;
    return quarantine(pipeline, group, job_node(job), closed || gone ? CASEBUS_ERASED : code, &member->seal,
                      size, false, err);
}

/* Each refused member's bytes become an entry of their own behind the batch. */
static int quarantine_members(struct pipeline *pipeline, struct group *group, struct job *job,
                              uint64_t *n_refused, struct casebus_error *err)
{
    for (size_t i = 0; i < job->batch.n_members; i++) {
        struct gate_member *member = &job->batch.members[i];
        if (!member->refusal)
            continue;
        (*n_refused)++;
        if (quarantine_member(pipeline, group, job, member, member->refusal->code, err))
            return -1;
    }
    return 0;
}

/* A batch that comes next in its stream. */
int writer_decide_next(struct pipeline *pipeline, struct group *group, struct job *job,
                       struct casebus_error *err)
{
    size_t n = job->batch.n_members;
    struct sealing sealing = {.position = next_position(group), .entry_index = group->n_entries};
    sealing.outcomes = arena_alloc(&group->arena, n * sizeof(*sealing.outcomes));
    sealing.outcome_list = arena_alloc(&group->arena, n * sizeof(*sealing.outcome_list));
    if (!sealing.outcomes || !sealing.outcome_list || !group_add_entry(group))
        return no_memory(err);
    size_t before = group->n_events;
    for (size_t i = 0; i < n; i++)
        if (decide_member(pipeline, group, job, i, &sealing, err))
            return -1;
    uint64_t n_refused = 0;
    if (seal_batch(pipeline, group, job, &sealing, err) ||
        quarantine_members(pipeline, group, job, &n_refused, err))
        return -1;
    job->answer = ANSWER_ACCEPTED;
    job->seal_position = sealing.position;

    uint64_t n_accepted = group->n_events - before;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->counters.batches++;
    pipeline->counters.accepted += n_accepted;
    pipeline->counters.refused += n_refused;
    pipeline->counters.duplicate += n - n_accepted - n_refused;
    pthread_mutex_unlock(&pipeline->lock);
    return 0;
}

/* The batch itself was good, so its events are sealed one by one: each is kept. */
static int refuse_members(struct pipeline *pipeline, struct group *group, struct job *job,
                          const struct casebus_error *refusal, struct casebus_error *err)
{
    answer_refused(job, refusal, true);
    log_warning(pipeline->options.log, "BATCH-REFUSED", "%s: %s %s", job_node(job),
                casebus_code_text(refusal->code), refusal->text);
    for (size_t i = 0; i < job->batch.n_members; i++) {
        struct gate_member *member = &job->batch.members[i];
        enum casebus_code code = member->refusal ? member->refusal->code : refusal->code;
        if (quarantine_member(pipeline, group, job, member, code, err))
            return -1;
    }
    return 0;
}

static int refuse_sequence(struct pipeline *pipeline, struct group *group, struct job *job,
                           const struct exchange_stream *stream, struct casebus_error *err)
{
    struct casebus_error refusal;
    const Casebus__V1__BatchStatement *statement = job->batch.statement;
    error_set(
        &refusal, CASEBUS_SEQ_CONFLICT,
        "node '%s': number %llu of stream %016llx was used before for other content (the hub has up to %llu)",
        job_node(job), (unsigned long long)statement->first, (unsigned long long)statement->stream,
        (unsigned long long)stream->last);
    error_hint(&refusal,
               "the outbox was copied or restored: open a new stream and send what is unacknowledged again");
    return refuse_members(pipeline, group, job, &refusal, err);
}

/* Its status changed after the gate had looked at the batch. Who is suspended keeps what it has and sends it
 * again when it may; what keys signed that are revoked for good is refused and kept. */
static int refuse_inactive(struct pipeline *pipeline, struct group *group, struct job *job,
                           const struct casebus_error *refusal, struct casebus_error *err)
{
    if (refusal->code == CASEBUS_REVOKED)
        return refuse_members(pipeline, group, job, refusal, err);
    answer_refused(job, refusal, false);
    return 0;
}

static void refuse_gap(struct job *job, const struct exchange_stream *stream)
{
    struct casebus_error refusal;
    error_set(&refusal, CASEBUS_SEQ_GAP, "numbers %llu to %llu are missing before this batch",
              (unsigned long long)stream->last + 1, (unsigned long long)job->batch.statement->first - 1);
    error_hint(&refusal, "send again from number %llu", (unsigned long long)stream->last + 1);
    answer_refused(job, &refusal, false);
    job->retry_after_ms = 0;
    job->expected = stream->last + 1;
}

/* Not even what would be refused: that is kept, too. */
static void refuse_for_room(struct job *job)
{
    struct casebus_error refusal;
    error_set(&refusal, CASEBUS_BUSY, "the hub's disk is nearly full; nothing is taken until there is room");
    answer_refused(job, &refusal, false);
    job->retry_after_ms = ROOM_RETRY_MS;
}

int writer_decide_batch(struct pipeline *pipeline, struct group *group, struct job *job,
                        struct casebus_error *err)
{
    if (reserve_look(&pipeline->reserve, pipeline->options.log)) {
        refuse_for_room(job);
        return 0;
    }
    if (job->batch.refusal.code)
        return refuse_batch(pipeline, group, job, &job->batch.refusal, err);
    struct casebus_error refusal;
    const struct registry_node *node = registry_find(pipeline->writer.registry, job->node->info.node);
    if (node && gate_check_status(node, &refusal) < 0)
        return refuse_inactive(pipeline, group, job, &refusal, err);
    struct exchange_stream stream = {0};
    switch (exchange_sequence(&pipeline->writer.store, job->node->info.node, job->batch.statement,
                              job->batch.statement_hash, &stream, err)) {
    case SEQUENCE_NEXT:
        return writer_decide_next(pipeline, group, job, err);
    case SEQUENCE_REPEATED:
        job->answer = ANSWER_REPEATED;
        job->seal_position = stream.seal_position;
        pthread_mutex_lock(&pipeline->lock);
        pipeline->counters.repeated++;
        pthread_mutex_unlock(&pipeline->lock);
        return 0;
    case SEQUENCE_CONFLICT:
        return refuse_sequence(pipeline, group, job, &stream, err);
    case SEQUENCE_GAP:
        refuse_gap(job, &stream);
        return 0;
    default:
        return -1;
    }
}
