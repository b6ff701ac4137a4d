/* Answers: what a durable group says to those who asked: Welcome, Accepted, Refused. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#define OUTCOME_WORDS_BYTES (64 * 1024) /* of refused members with words, in one Accepted */

/* From which numbers on the node has to bring what this hub has lost. */
static void generation_tell(struct bus *bus, const struct session *session, const struct job *job)
{
    for (size_t i = 0; i < job->n_streams; i++)
        log_notice(
            bus->options.log, "GENERATION-MET",
            _("node '%s' comes from an earlier generation: of its stream %016llx this hub has the numbers up "
              "to %llu, and is sent again what follows"),
            session->peer->node, (unsigned long long)job->stream_ids[i],
            (unsigned long long)job->streams[i].last);
}

static void send_welcome(struct bus *bus, struct session *session, const struct job *job)
{
    struct casebus_error err;
    uint8_t proof[SIGNATURE_SIZE];
    Casebus__V1__StreamState states[JOB_STREAMS_MAX], *list[JOB_STREAMS_MAX];
    Casebus__V1__Welcome welcome = CASEBUS__V1__WELCOME__INIT;
    if (!proving_sign(bus, session, job->node, proof))
        return;
    for (size_t i = 0; i < job->n_streams; i++) {
        casebus__v1__stream_state__init(&states[i]);
        states[i].stream = job->stream_ids[i];
        states[i].last = job->streams[i].last;
        if (states[i].last)
            states[i].last_statement =
                (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)job->streams[i].last_statement};
        list[i] = &states[i];
    }
    welcome.version = 1;
    welcome.origin = bus->origin;
    welcome.software = (char *)"casebus-hub/" CASEBUS_RELEASE;
    welcome.hub_time_us = clock_unix_us();
    welcome.max_batch_events = BATCH_MAX_EVENTS;
    welcome.max_batch_bytes = BATCH_MAX_BYTES;
    welcome.window_bytes = PEER_WINDOW_BYTES;
    welcome.ping_interval_ms = (uint32_t)(bus->silence_ns / PINGS_IN_SILENCE / 1000000);
    welcome.secured_up_to_size = atomic_load_explicit(&bus->secured, memory_order_relaxed);
    welcome.renews = bus->options.renew != NULL;
    welcome.proof = (ProtobufCBinaryData){sizeof(proof), proof};
    welcome.n_stream = job->n_streams;
    welcome.stream = list;
    welcome.checkpoint = receipts_checkpoint(bus, session, &err);
    if (session->generation)
        welcome.generation = generation_show(bus, session, &err);
    if (!welcome.checkpoint || (session->generation && !welcome.generation)) {
        log_error(bus->options.log, "CHECKPOINT", "%s", err.text);
        session_bye_error(bus, session, &err);
        return;
    }
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    session->state = SESSION_READY;
    if (session->generation && session->generation_met)
        generation_tell(bus, session, job);
    if (!session_send(bus, session, &frame))
        return;
    log_info(bus->options.log, "SESSION-READY", _("node '%s' (%s) is connected"), session->peer->node,
             session->software);
    hub_keys_tell(bus, session);
}

/* The refused members with words for people, as long as these have room in the frame; the seal holds the same
 * outcomes without words. */
static size_t outcomes_of(struct bus *bus, const struct job *job, Casebus__V1__Outcome ***listp)
{
    struct arena *arena = &bus->arena;
    size_t n = 0, bytes = 0;
    Casebus__V1__Outcome *outcomes = arena_alloc(arena, (job->batch.n_members + 1) * sizeof(*outcomes));
    Casebus__V1__Outcome **list = arena_alloc(arena, (job->batch.n_members + 1) * sizeof(*list));
    if (!outcomes || !list)
        return 0;
    for (size_t i = 0; i < job->batch.n_members; i++) {
        const struct gate_member *member = &job->batch.members[i];
        if (!member->refusal)
            continue;
        casebus__v1__outcome__init(&outcomes[n]);
        outcomes[n].index = (uint32_t)i;
        outcomes[n].event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)member->event.event_hash};
        outcomes[n].code = (char *)casebus_code_text(member->refusal->code);
        if (bytes < OUTCOME_WORDS_BYTES) {
            outcomes[n].sentence = words_of(bus, member->refusal->code, member->refusal->text);
            outcomes[n].hint = words_only(bus, member->refusal->hint);
        }
        bytes += casebus__v1__outcome__get_packed_size(&outcomes[n]);
        list[n] = &outcomes[n];
        n++;
    }
    *listp = list;
    return n;
}

static void send_accepted(struct bus *bus, struct session *session, const struct group *group,
                          const struct job *job)
{
    struct casebus_error err;
    struct bytes leaf = group_leaf(group, job->seal_position);
    Casebus__V1__Accepted accepted = CASEBUS__V1__ACCEPTED__INIT;
    accepted.stream = job->batch.statement->stream;
    accepted.first = job->batch.statement->first;
    accepted.count = job->batch.statement->count;
    accepted.seal_position = job->seal_position;
    if (job->seal_position + accepted.count < atomic_load_explicit(&bus->secured, memory_order_relaxed))
        accepted.secured_up_to = accepted.first + accepted.count - 1;
    accepted.repeated_batch = job->answer == ANSWER_REPEATED;
    if ((!leaf.size && receipts_leaf(bus, job->seal_position, &leaf, &err)) ||
        receipts_inclusion(bus, job->seal_position, &accepted.inclusion, &accepted.n_inclusion, &err) ||
        !(accepted.checkpoint = receipts_checkpoint(bus, session, &err))) {
        log_error(bus->options.log, "RECEIPT", _("node '%s': no receipt for entry %llu: %s"),
                  session->peer->node, (unsigned long long)job->seal_position, err.text);
        session_bye_error(bus, session, &err);
        return;
    }
    accepted.seal_entry = (ProtobufCBinaryData){leaf.size, (uint8_t *)leaf.data};
    if (job->answer == ANSWER_ACCEPTED)
        accepted.n_outcome = outcomes_of(bus, job, &accepted.outcome);
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_ACCEPTED;
    frame.accepted = &accepted;
    session_send(bus, session, &frame);
}

static void send_refused(struct bus *bus, struct session *session, const struct job *job)
{
    Casebus__V1__Refused refused = CASEBUS__V1__REFUSED__INIT;
    if (job->batch.statement) {
        refused.stream = job->batch.statement->stream;
        refused.first = job->batch.statement->first;
        refused.count = job->batch.statement->count;
    }
    refused.code = (char *)casebus_code_text(job->refusal.code);
    refused.sentence = words_of(bus, job->refusal.code, job->refusal.text);
    refused.hint = words_only(bus, job->refusal.hint);
    refused.final = job->final;
    refused.retry_after_ms = job->retry_after_ms;
    refused.expected = job->expected;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_REFUSED;
    frame.refused = &refused;
    session_send(bus, session, &frame);
}

static void answer_batch(struct bus *bus, struct session *session, const struct group *group,
                         const struct job *job)
{
    if (job->answer == ANSWER_REFUSED)
        send_refused(bus, session, job);
    else
        send_accepted(bus, session, group, job);
}

void session_on_job(struct bus *bus, const struct group *group, const struct job *job)
{
    struct session *session = session_by_number(bus, job->session);
    if (job->released_from)
        return; /* an operator asked, no peer */
    peer_give_back(bus, session, job);
    if (!session || bus->behind)
        return; /* it went away and will ask again; or nothing more is signed */
    arena_reset(&bus->arena);
    switch (job->kind) {
    case JOB_HELLO:
        send_welcome(bus, session, job);
        break;
    case JOB_BATCH:
        answer_batch(bus, session, group, job);
        break;
    case JOB_CONFIRM:
        session_next_confirm(bus, session);
        break;
    }
}
