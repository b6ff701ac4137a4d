/* Sessions: what the hub knows of each connected node, and what each frame does. The protocol is told in
 * docs/protocol.md.
 *
 * A frame's sender is its connection's User-Id, which ZAP set from the CURVE key; nothing in the payload is
 * believed about that. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

/* ---- the table of sessions ---- */

static size_t bucket(const void *routing_id, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a: the ids are libzmq's random ones */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)routing_id)[i]) * 16777619u;
    return hash % SESSION_BUCKETS;
}

struct session *session_find(struct bus *bus, const void *routing_id, size_t size)
{
    struct session *session = bus->sessions[bucket(routing_id, size)];
    while (session &&
           (session->routing_id_size != size || memcmp(session->routing_id, routing_id, size) != 0))
        session = session->next;
    return session;
}

struct session *session_by_number(struct bus *bus, uint64_t number)
{
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        for (struct session *session = bus->sessions[i]; session; session = session->next)
            if (session->number == number)
                return session;
    return NULL;
}

struct session *session_add(struct bus *bus, const void *routing_id, size_t size, const char *node)
{
    if (size > ROUTING_ID_MAX || bus->n_sessions >= SESSIONS_MAX)
        return NULL;
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    memcpy(session->routing_id, routing_id, size);
    session->routing_id_size = size;
    session->number = ++bus->last_session;
    session->last_heard_ns = clock_monotonic_ns();
    snprintf(session->node, sizeof(session->node), "%s", node);
    struct session **at = &bus->sessions[bucket(routing_id, size)];
    session->next = *at;
    *at = session;
    bus->n_sessions++;
    return session;
}

void session_remove(struct bus *bus, struct session *session)
{
    struct session **at = &bus->sessions[bucket(session->routing_id, session->routing_id_size)];
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    bus->n_sessions--;
    free(session->receiver.sent);
    free(session);
}

void sessions_expire(struct bus *bus, uint64_t now_ns)
{
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        for (struct session *session = bus->sessions[i], *next; session; session = next) {
            next = session->next;
            if (now_ns - session->last_heard_ns < SILENCE_NS)
                continue;
            log_notice(bus->options.log, "SESSION-SILENT",
                       _("node '%s' was not heard for %llu s: its session ends"), session->node,
                       (unsigned long long)(SILENCE_NS / 1000000000));
            session_remove(bus, session);
        }
}

/* ---- sending ---- */

static int send_to(struct bus *bus, const void *routing_id, size_t size, const Casebus__V1__Frame *frame)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, casebus__v1__frame__get_packed_size(frame)))
        return -1;
    casebus__v1__frame__pack(frame, zmq_msg_data(&message));
    if (zmq_send(bus->router, routing_id, size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_msg_send(&message, bus->router, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&message);
        return -1;
    }
    return 0;
}

bool session_send(struct bus *bus, struct session *session, const Casebus__V1__Frame *frame)
{
    if (!send_to(bus, session->routing_id, session->routing_id_size, frame))
        return true;
    log_notice(bus->options.log, "SESSION-LOST", _("node '%s' is gone or does not read: its session ends"),
               session->node);
    session_remove(bus, session);
    return false;
}

static void send_bye(struct bus *bus, const void *routing_id, size_t size, enum casebus_code code,
                     const char *en, const char *zh)
{
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Bye bye = CASEBUS__V1__BYE__INIT;
    Casebus__V1__Text sentence = CASEBUS__V1__TEXT__INIT;
    sentence.en = (char *)en;
    sentence.zh = (char *)zh;
    bye.code = (char *)casebus_code_text(code);
    bye.sentence = &sentence;
    frame.body_case = CASEBUS__V1__FRAME__BODY_BYE;
    frame.bye = &bye;
    send_to(bus, routing_id, size, &frame);
}

void session_bye(struct bus *bus, struct session *session, enum casebus_code code, const char *en,
                 const char *zh)
{
    send_bye(bus, session->routing_id, session->routing_id_size, code, en, zh);
    session_remove(bus, session);
}

/* ---- hello ---- */

static void send_welcome(struct bus *bus, struct session *session, const struct job *job)
{
    struct casebus_error err;
    Casebus__V1__StreamState states[JOB_STREAMS_MAX], *list[JOB_STREAMS_MAX];
    Casebus__V1__Welcome welcome = CASEBUS__V1__WELCOME__INIT;
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
    welcome.ping_interval_ms = PING_INTERVAL_MS;
    welcome.n_stream = job->n_streams;
    welcome.stream = list;
    welcome.checkpoint = receipts_checkpoint(bus, session, &err);
    if (!welcome.checkpoint) {
        log_error(bus->options.log, "CHECKPOINT", "%s", err.text);
        session_bye(bus, session, CASEBUS_INTERNAL, err.text, err.text);
        return;
    }
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_WELCOME;
    frame.welcome = &welcome;
    session->state = SESSION_READY;
    if (session_send(bus, session, &frame))
        log_info(bus->options.log, "SESSION-READY", _("node '%s' (%s) is connected"), session->node,
                 session->software);
}

/* A node that holds a checkpoint which this hub signed and cannot meet: the hub was restored from an old
 * copy, or its ledger was changed. It must not sign anything more (architecture §5). */
static bool hello_proves_behind(struct bus *bus, const struct session *session,
                                const Casebus__V1__Hello *hello)
{
    struct casebus_error err;
    if (bus->behind || !hello->checkpoint_note.len)
        return bus->behind;
    int fits = receipts_fits(bus, bytes_of(hello->checkpoint_note.data, hello->checkpoint_note.len), &err);
    if (fits < 0)
        log_error(bus->options.log, "CHECKPOINT", "%s", err.text);
    if (fits != 0)
        return false;
    bus->behind = true;
    log_error(
        bus->options.log, "HUB-BEHIND",
        _("node '%s' holds a checkpoint of %llu entries that this hub signed and does not have any more: the "
          "hub signs nothing until an operator has looked"),
        session->node, (unsigned long long)hello->checkpoint_size);
    return true;
}

static bool hello_acceptable(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello,
                             const struct registry_node *node)
{
    if (hello->version_min > 1 || hello->version_max < 1) {
        session_bye(bus, session, CASEBUS_BAD_VERSION, "this hub speaks casebus/1 only",
                    "本枢纽只支持 casebus/1 协议");
        return false;
    }
    if (strcmp(hello->node, session->node) != 0 || hello->key_id.len != KEY_ID_SIZE ||
        memcmp(hello->key_id.data, node->key_id, KEY_ID_SIZE) != 0) {
        session_bye(bus, session, CASEBUS_UNKNOWN_NODE, "node name and key are not those of this connection",
                    "节点名称或密钥与此连接不符");
        return false;
    }
    if (hello_proves_behind(bus, session, hello)) {
        session_bye(bus, session, CASEBUS_BEHIND,
                    "this hub has less than it acknowledged: it accepts nothing until an operator has looked",
                    "枢纽的账本少于其已确认的内容:在运维人员处理之前不再受理");
        return false;
    }
    return true;
}

static void on_hello(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello,
                     struct registry *registry, const struct registry_node *node)
{
    struct casebus_error err;
    if (!hello_acceptable(bus, session, hello, node))
        return;
    snprintf(session->software, sizeof(session->software), "%.60s", hello->software);
    session->known_size = hello->checkpoint_size <= bus->size ? hello->checkpoint_size : 0;
    struct job *job = job_new(JOB_HELLO, session->number, registry, node);
    if (!job || hello->n_stream > JOB_STREAMS_MAX) {
        job_free(job);
        session_bye(bus, session, CASEBUS_TOO_LARGE, "too many streams in Hello", "Hello 中的流过多");
        return;
    }
    for (size_t i = 0; i < hello->n_stream; i++)
        job->stream_ids[job->n_streams++] = hello->stream[i]->stream;
    session->state = SESSION_ASKED;
    if (pipeline_submit(bus->pipeline, job, &err)) {
        job_free(job);
        session_bye(bus, session, CASEBUS_BUSY, "the hub is busy; try again in a second",
                    "枢纽繁忙,请稍后重试");
    }
}

/* ---- publish and confirm ---- */

static void release_message(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

/* Moves the payload into a job; the frame's memory is the job's from here on. */
static struct job *job_of(struct session *session, enum job_kind kind, struct registry *registry,
                          const struct registry_node *node, zmq_msg_t *payload)
{
    struct job *job = job_new(kind, session->number, registry, node);
    zmq_msg_t *owned = malloc(sizeof(*owned));
    if (!job || !owned || zmq_msg_init(owned)) {
        job_free(job);
        free(owned);
        return NULL;
    }
    zmq_msg_move(owned, payload);
    job->frame = bytes_of(zmq_msg_data(owned), zmq_msg_size(owned));
    job->frame_size = job->frame.size;
    job->release = release_message;
    job->owner = owned;
    return job;
}

static void on_publish(struct bus *bus, struct session *session, struct registry *registry,
                       const struct registry_node *node, zmq_msg_t *payload)
{
    struct casebus_error err;
    size_t size = zmq_msg_size(payload);
    if (session->in_flight_bytes > PEER_WINDOW_BYTES + FRAME_MAX ||
        session->in_flight_frames >= 2 * PEER_WINDOW_FRAMES) {
        session_bye(bus, session, CASEBUS_BUSY, "more was sent than the window allows", "发送量超出窗口限制");
        return;
    }
    struct job *job = job_of(session, JOB_BATCH, registry, node, payload);
    if (!job || pipeline_submit(bus->pipeline, job, &err)) {
        job_free(job);
        session_bye(bus, session, CASEBUS_BUSY, "the hub is busy; try again in a second",
                    "枢纽繁忙,请稍后重试");
        return;
    }
    job = NULL; /* the pipeline's */
    session->in_flight_bytes += size;
    session->in_flight_frames++;
    session->batches++;
}

static void on_confirm(struct bus *bus, struct session *session, struct registry *registry,
                       const struct registry_node *node, zmq_msg_t *payload)
{
    struct casebus_error err;
    struct job *job = job_of(session, JOB_CONFIRM, registry, node, payload);
    if (!job || pipeline_submit(bus->pipeline, job, &err))
        job_free(job); /* it will be confirmed again */
    pthread_mutex_lock(&bus->lock);
    bus->n_confirms++;
    pthread_mutex_unlock(&bus->lock);
}

static void on_ping(struct bus *bus, struct session *session, const Casebus__V1__Ping *ping)
{
    struct casebus_error err;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Pong pong = CASEBUS__V1__PONG__INIT;
    pong.token = ping->token;
    if (session->state == SESSION_READY && session->known_size != bus->size)
        pong.checkpoint = receipts_checkpoint(bus, session, &err);
    frame.body_case = CASEBUS__V1__FRAME__BODY_PONG;
    frame.pong = &pong;
    session_send(bus, session, &frame);
}

/* ---- frames in ---- */

static void on_control(struct bus *bus, struct session *session, struct registry *registry,
                       const struct registry_node *node, zmq_msg_t *payload)
{
    struct casebus_error err;
    Casebus__V1__Frame *frame =
        frame_decode(bytes_of(zmq_msg_data(payload), zmq_msg_size(payload)), &bus->arena, &err);
    if (!frame) {
        log_warning(bus->options.log, "FRAME-MALFORMED", _("node '%s' sent a frame that is none: %s"),
                    session->node, err.text);
        session_bye(bus, session, err.code, err.text, err.text);
        return;
    }
    switch (frame->body_case) {
    case CASEBUS__V1__FRAME__BODY_HELLO:
        on_hello(bus, session, frame->hello, registry, node);
        break;
    case CASEBUS__V1__FRAME__BODY_SUBSCRIBE:
        delivery_subscribe(bus, session, frame->subscribe);
        break;
    case CASEBUS__V1__FRAME__BODY_CREDIT:
        delivery_credit(bus, session, frame->credit);
        break;
    case CASEBUS__V1__FRAME__BODY_PING:
        on_ping(bus, session, frame->ping);
        break;
    case CASEBUS__V1__FRAME__BODY_PONG:
        break;
    case CASEBUS__V1__FRAME__BODY_BYE:
        log_info(bus->options.log, "SESSION-BYE", _("node '%s' said goodbye"), session->node);
        session_remove(bus, session);
        break;
    default:
        session_bye(bus, session, CASEBUS_MALFORMED, "a node does not send this kind of frame",
                    "节点不应发送此类帧");
    }
}

static void dispatch(struct bus *bus, struct session *session, struct registry *registry,
                     const struct registry_node *node, zmq_msg_t *payload)
{
    Casebus__V1__Frame__BodyCase body = frame_peek(bytes_of(zmq_msg_data(payload), zmq_msg_size(payload)));
    session->last_heard_ns = clock_monotonic_ns();
    session->last_seen_us = clock_unix_us();
    if (session->state != SESSION_READY && body != CASEBUS__V1__FRAME__BODY_HELLO &&
        body != CASEBUS__V1__FRAME__BODY_PING && body != CASEBUS__V1__FRAME__BODY_BYE) {
        session_bye(bus, session, CASEBUS_CLOSED, "this session is not open: say Hello first",
                    "会话尚未建立:请先发送 Hello");
        return;
    }
    if (body == CASEBUS__V1__FRAME__BODY_PUBLISH)
        on_publish(bus, session, registry, node, payload);
    else if (body == CASEBUS__V1__FRAME__BODY_CONFIRM)
        on_confirm(bus, session, registry, node, payload);
    else
        on_control(bus, session, registry, node, payload);
}

void session_on_frame(struct bus *bus, const void *routing_id, size_t size, const char *name,
                      zmq_msg_t *payload)
{
    struct registry *registry = pipeline_registry(bus->pipeline);
    const struct registry_node *node = registry_find(registry, name);
    struct session *session = session_find(bus, routing_id, size);
    if (!node) {
        if (session)
            session_remove(bus, session);
        registry_unref(registry);
        return; /* no longer enrolled: its frames are dropped */
    }
    if (!session)
        session = session_add(bus, routing_id, size, name);
    arena_reset(&bus->arena);
    if (session)
        dispatch(bus, session, registry, node, payload);
    else
        send_bye(bus, routing_id, size, CASEBUS_BUSY, "the hub has as many sessions as it can take",
                 "枢纽的会话数已达上限");
    registry_unref(registry);
}

/* ---- answers ---- */

static Casebus__V1__Text *text_of(struct arena *arena, const char *text)
{
    Casebus__V1__Text *both = arena_alloc(arena, sizeof(*both));
    if (!both)
        return NULL;
    casebus__v1__text__init(both);
    both->en = (char *)text;
    return both;
}

/* The refused members with words for people; the seal holds the same outcomes without words. */
static size_t outcomes_of(struct arena *arena, const struct job *job, Casebus__V1__Outcome ***listp)
{
    size_t n = 0;
    Casebus__V1__Outcome *outcomes = arena_alloc(arena, (job->batch.n_members + 1) * sizeof(*outcomes));
    Casebus__V1__Outcome **list = arena_alloc(arena, (job->batch.n_members + 1) * sizeof(*list));
    if (!outcomes || !list)
        return 0;
    for (size_t i = 0; i < job->batch.n_members; i++) {
        const struct gate_member *member = &job->batch.members[i];
        if (!member->refusal.code)
            continue;
        casebus__v1__outcome__init(&outcomes[n]);
        outcomes[n].index = (uint32_t)i;
        outcomes[n].event_hash = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)member->event.event_hash};
        outcomes[n].code = (char *)casebus_code_text(member->refusal.code);
        outcomes[n].sentence = text_of(arena, member->refusal.text);
        outcomes[n].hint = text_of(arena, member->refusal.hint);
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
    accepted.repeated_batch = job->answer == ANSWER_REPEATED;
    if ((!leaf.size && receipts_leaf(bus, job->seal_position, &leaf, &err)) ||
        receipts_inclusion(bus, job->seal_position, &accepted.inclusion, &accepted.n_inclusion, &err) ||
        !(accepted.checkpoint = receipts_checkpoint(bus, session, &err))) {
        log_error(bus->options.log, "RECEIPT", _("node '%s': no receipt for entry %llu: %s"), session->node,
                  (unsigned long long)job->seal_position, err.text);
        session_bye(bus, session, CASEBUS_INTERNAL, err.text, err.text);
        return;
    }
    accepted.seal_entry = (ProtobufCBinaryData){leaf.size, (uint8_t *)leaf.data};
    if (job->answer == ANSWER_ACCEPTED)
        accepted.n_outcome = outcomes_of(&bus->arena, job, &accepted.outcome);
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
    refused.sentence = text_of(&bus->arena, job->refusal.text);
    refused.hint = text_of(&bus->arena, job->refusal.hint);
    refused.final = job->final;
    refused.retry_after_ms = job->retry_after_ms;
    refused.expected = job->expected;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    frame.body_case = CASEBUS__V1__FRAME__BODY_REFUSED;
    frame.refused = &refused;
    session_send(bus, session, &frame);
}

void session_on_job(struct bus *bus, const struct group *group, const struct job *job)
{
    struct session *session = session_by_number(bus, job->session);
    if (!session)
        return; /* it went away; it will ask again */
    arena_reset(&bus->arena);
    if (job->kind == JOB_HELLO) {
        send_welcome(bus, session, job);
        return;
    }
    if (job->kind != JOB_BATCH)
        return;
    session->in_flight_frames--;
    session->in_flight_bytes -=
        job->frame_size < session->in_flight_bytes ? job->frame_size : session->in_flight_bytes;
    if (bus->behind)
        return; /* nothing more is signed */
    if (job->answer == ANSWER_REFUSED)
        send_refused(bus, session, job);
    else
        send_accepted(bus, session, group, job);
}
