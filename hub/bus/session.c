/* Frames in: what each one does to its session. The protocol is told in docs/protocol.md.
 *
 * A frame's sender is its connection's User-Id, which ZAP set from the CURVE key; nothing in the payload is
 * believed about that. A peer that does what the protocol forbids is told goodbye and has to begin again. */
#include "hub/bus/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define CONTROL_FRAME_MAX (16 * 1024) /* of anything but Publish */

/* Hands the job to the pipeline. False: there is no memory or no room for it. */
static bool submit(struct bus *bus, struct session *session, struct job *job)
{
    struct casebus_error err;
    size_t size = job ? job->frame_size : 0;
    if (!job || session->peer->in_flight_frames >= PEER_FRAMES_MAX ||
        pipeline_submit(bus->pipeline, job, &err)) {
        job_free(job);
        return false;
    }
    peer_charge(session->peer, size); /* the job is the pipeline's */
    return true;
}

static void bye_busy(struct bus *bus, struct session *session)
{
    session_bye(bus, session, CASEBUS_BUSY, "the hub is busy; try again in a second", "枢纽繁忙,请稍后重试");
}

/* ---- hello ---- */

/* A node that holds a checkpoint which this hub signed and cannot meet: the hub was restored from an old
 * copy, or its ledger was changed. It must not sign anything more (architecture §5). */
static bool hello_proves_behind(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello)
{
    struct casebus_error err;
    uint64_t size = 0;
    int fits = generation_meet(bus, session, hello, &size, &err);
    if (fits < 0)
        log_error(bus->options.log, "CHECKPOINT", "%s", err.text);
    if (fits != 0)
        return false;
    bus->behind = true;
    log_error(
        bus->options.log, "HUB-BEHIND",
        _("node '%s' holds a checkpoint of %llu entries that this hub signed and does not have any more: the "
          "hub signs nothing until an operator has looked"),
        session->peer->node, (unsigned long long)size);
    return true;
}

static void bye_behind(struct bus *bus, struct session *session)
{
    session_bye(bus, session, CASEBUS_BEHIND,
                "this hub has less than it acknowledged: it accepts nothing until an operator has looked",
                "枢纽的账本少于其已确认的内容:在运维人员处理之前不再受理");
}

static bool hello_acceptable(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello,
                             const struct registry_node *node)
{
    if (hello->version_min > 1 || hello->version_max < 1) {
        session_bye(bus, session, CASEBUS_BAD_VERSION, "this hub speaks casebus/1 only",
                    "本枢纽只支持 casebus/1 协议");
        return false;
    }
    if (strcmp(hello->node, session->peer->node) != 0 || hello->key_id.len != KEY_ID_SIZE ||
        memcmp(hello->key_id.data, node->key_id, KEY_ID_SIZE) != 0) {
        session_bye(bus, session, CASEBUS_UNKNOWN_NODE, "node name and key are not those of this connection",
                    "节点名称或密钥与此连接不符");
        return false;
    }
    if (hello->nonce.len != PROOF_NONCE_SIZE) {
        session_bye(bus, session, CASEBUS_MALFORMED, "Hello has no nonce of 32 bytes",
                    "Hello 缺少 32 字节的随机数");
        return false;
    }
    if (hello_proves_behind(bus, session, hello)) {
        bye_behind(bus, session);
        return false;
    }
    return true;
}

static struct job *hello_job(const struct session *session, const Casebus__V1__Hello *hello,
                             struct registry *registry, const struct registry_node *node)
{
    struct job *job = job_new(JOB_HELLO, session->number, registry, node);
    for (size_t i = 0; job && i < hello->n_stream; i++)
        job->stream_ids[job->n_streams++] = hello->stream[i]->stream;
    return job;
}

static void on_hello(struct bus *bus, struct session *session, const Casebus__V1__Hello *hello,
                     struct registry *registry, const struct registry_node *node)
{
    if (!hello_acceptable(bus, session, hello, node))
        return;
    if (hello->n_stream > JOB_STREAMS_MAX) {
        session_bye(bus, session, CASEBUS_TOO_LARGE, "too many streams in Hello", "Hello 中的流过多");
        return;
    }
    snprintf(session->software, sizeof(session->software), "%s", hello->software);
    utf8_cut(session->software);
    memcpy(session->key_id, node->key_id, KEY_ID_SIZE);
    memcpy(session->nonce, hello->nonce.data, PROOF_NONCE_SIZE);
    session->state = SESSION_ASKED;
    if (!submit(bus, session, hello_job(session, hello, registry, node)))
        bye_busy(bus, session);
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
    if (session->peer->in_flight_bytes > PEER_WINDOW_BYTES + FRAME_MAX) {
        session_bye(bus, session, CASEBUS_BUSY, "more was sent than the window allows", "发送量超出窗口限制");
        return;
    }
    if (submit(bus, session, job_of(session, JOB_BATCH, registry, node, payload)))
        session->batches++;
    else
        bye_busy(bus, session);
}

/* Each confirmation contains those before it: one is under way, the newest waits, others are forgotten. */
static void on_confirm(struct bus *bus, struct session *session, struct registry *registry,
                       const struct registry_node *node, zmq_msg_t *payload)
{
    atomic_fetch_add_explicit(&bus->n_confirms, 1, memory_order_relaxed);
    if (session->confirm_under_way) {
        if (!session->confirm_waits)
            zmq_msg_init(&session->confirm);
        session->confirm_waits = true;
        zmq_msg_move(&session->confirm, payload);
        return;
    }
    session->confirm_under_way = submit(bus, session, job_of(session, JOB_CONFIRM, registry, node, payload));
}

void session_next_confirm(struct bus *bus, struct session *session)
{
    session->confirm_under_way = false;
    if (!session->confirm_waits)
        return;
    struct registry *registry = pipeline_registry(bus->pipeline);
    const struct registry_node *node = registry_find(registry, session->peer->node);
    struct job *job = node ? job_of(session, JOB_CONFIRM, registry, node, &session->confirm) : NULL;
    zmq_msg_close(&session->confirm);
    session->confirm_waits = false;
    session->confirm_under_way = submit(bus, session, job);
    registry_unref(registry);
}

static void on_ping(struct bus *bus, struct session *session, const Casebus__V1__Ping *ping)
{
    struct casebus_error err;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    Casebus__V1__Pong pong = CASEBUS__V1__PONG__INIT;
    pong.token = ping->token;
    bool cosigned = session->cosigned_serial != bus->cosigned_serial;
    if (session->state == SESSION_READY && (cosigned || session->known_size != bus->size))
        pong.checkpoint = receipts_checkpoint(bus, session, &err);
    pong.secured_up_to_size = atomic_load_explicit(&bus->secured, memory_order_relaxed);
    if (pong.checkpoint && cosigned && (pong.cosigned = receipts_cosigned(bus)))
        session->cosigned_serial = bus->cosigned_serial;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PONG;
    frame.pong = &pong;
    session_send(bus, session, &frame);
}

/* ---- any frame ---- */

static void on_bye(struct bus *bus, struct session *session)
{
    log_info(bus->options.log, "SESSION-BYE", _("node '%s' said goodbye"), session->peer->node);
    session_remove(bus, session);
}

static void on_malformed(struct bus *bus, struct session *session, const struct casebus_error *err)
{
    log_warning(bus->options.log, "FRAME-MALFORMED", _("node '%s' sent a frame that is none: %s"),
                session->peer->node, err->text);
    session_bye_error(bus, session, err);
}

static void on_control(struct bus *bus, struct session *session, struct registry *registry,
                       const struct registry_node *node, zmq_msg_t *payload)
{
    struct casebus_error err;
    Casebus__V1__Frame *frame =
        frame_decode(bytes_of(zmq_msg_data(payload), zmq_msg_size(payload)), &bus->arena, &err);
    if (!frame) {
        on_malformed(bus, session, &err);
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
        delivery_credit(session, frame->credit);
        break;
    case CASEBUS__V1__FRAME__BODY_PING:
        on_ping(bus, session, frame->ping);
        break;
    case CASEBUS__V1__FRAME__BODY_PONG:
        break;
    case CASEBUS__V1__FRAME__BODY_RENEW:
        renewals_ask(bus, session, frame->renew);
        break;
    case CASEBUS__V1__FRAME__BODY_BYE:
        on_bye(bus, session);
        break;
    default:
        session_bye(bus, session, CASEBUS_MALFORMED, "a node does not send this kind of frame",
                    "节点不应发送此类帧");
    }
}

/* What may come in which state of a session. */
static bool allowed(enum session_state state, Casebus__V1__Frame__BodyCase body)
{
    switch (body) {
    case CASEBUS__V1__FRAME__BODY_HELLO:
        return state == SESSION_NEW;
    case CASEBUS__V1__FRAME__BODY_BYE:
        return true;
    case CASEBUS__V1__FRAME__BODY_PING:
    case CASEBUS__V1__FRAME__BODY_PONG:
        return state != SESSION_NEW; /* a session that ended must not look alive to its node */
    default:
        return state == SESSION_READY;
    }
}

/* Says goodbye to who may not send this. */
static bool frame_acceptable(struct bus *bus, struct session *session, const struct registry_node *node,
                             Casebus__V1__Frame__BodyCase body, size_t size)
{
    if (bus->behind)
        bye_behind(bus, session);
    else if (size > FRAME_MAX || (size > CONTROL_FRAME_MAX && body != CASEBUS__V1__FRAME__BODY_PUBLISH))
        session_bye(bus, session, CASEBUS_TOO_LARGE, "this frame is too large", "帧过大");
    else if (session->state != SESSION_NEW && memcmp(session->key_id, node->key_id, KEY_ID_SIZE) != 0)
        session_bye(bus, session, CASEBUS_UNKNOWN_NODE, "this node has another key now",
                    "该节点的密钥已更换");
    else if (!allowed(session->state, body) && session->state == SESSION_READY)
        session_bye(bus, session, CASEBUS_MALFORMED, "this session is open already", "会话已经建立");
    else if (!allowed(session->state, body))
        session_bye(bus, session, CASEBUS_CLOSED, "this session is not open: say Hello first",
                    "会话尚未建立:请先发送 Hello");
    else
        return true;
    return false;
}

static void dispatch(struct bus *bus, struct session *session, struct registry *registry,
                     const struct registry_node *node, zmq_msg_t *payload)
{
    size_t size = zmq_msg_size(payload);
    Casebus__V1__Frame__BodyCase body = frame_peek(bytes_of(zmq_msg_data(payload), size));
    session->last_heard_ns = clock_monotonic_ns();
    session->last_seen_us = clock_unix_us();
    if (!frame_acceptable(bus, session, node, body, size))
        return;
    if (body == CASEBUS__V1__FRAME__BODY_PUBLISH)
        on_publish(bus, session, registry, node, payload);
    else if (body == CASEBUS__V1__FRAME__BODY_CONFIRM)
        on_confirm(bus, session, registry, node, payload);
    else
        on_control(bus, session, registry, node, payload);
}

/* The session of this connection, made when there is none. */
static struct session *session_of(struct bus *bus, const void *routing_id, const char *name)
{
    struct session *session = session_find(bus, routing_id);
    if (session && strcmp(session->peer->node, name) != 0) { /* a connection of somebody else by now */
        session_remove(bus, session);
        session = NULL;
    }
    return session ? session : session_add(bus, routing_id, name);
}

void session_on_frame(struct bus *bus, const void *routing_id, const char *name, zmq_msg_t *payload)
{
    struct registry *registry = pipeline_registry(bus->pipeline);
    const struct registry_node *node = registry_find(registry, name);
    struct session *session = node ? session_of(bus, routing_id, name) : session_find(bus, routing_id);
    arena_reset(&bus->arena);
    if (!node && session)
        session_remove(bus, session); /* no longer enrolled: its frames are dropped */
    else if (node && session)
        dispatch(bus, session, registry, node, payload);
    else if (node)
        bye_send(bus, routing_id, CASEBUS_BUSY, "the hub has as many sessions as it can take",
                 "枢纽的会话数已达上限");
    registry_unref(registry);
}
