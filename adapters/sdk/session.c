/*  A session goes round until a person has to help or the node is closed:
 *
 *        .--------------------------- fault ---------------------------.
 *        v                                                             |
 *     WAITING --timer: back-off is over--> GREETING --Welcome--> READY-+
 *        ^                                    |                        |
 *        '--refused, lost, unproven, no answer'                        |
 *                                                                      |
 *     any --only a person can help--> STOPPED        any --close--> CLOSED
 *
 * Each round has a connection of its own, and begins with everything unanswered to be sent again. What the
 * hub says in Welcome decides whether this outbox is still the one that the hub knows. */
#include "adapters/sdk/session.h"

#include "adapters/sdk/generation.h"

#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>

enum {
    GREETING_MS = 10000,   /* for connection, handshake and Welcome */
    LOST_MIN_MS = 200,     /* first wait after a lost connection ... */
    REFUSED_MIN_MS = 1000, /* ... and after one that was refused */
    WAIT_MAX_MS = 60000,
    PINGS_UNANSWERED = 3,
    GOODBYE_MS = 500,
    PING_MIN_MS = 100,
    PING_MAX_MS = 60000,
    PING_DEFAULT_MS = 10000,
    WINDOW_DEFAULT = 256 * 1024,
    WINDOW_MAX = 16 * 1024 * 1024,
    ARENA_BLOCK = 64 * 1024,
    ARENA_MAX = 8 * 1024 * 1024,
};

#define SKEW_MAX_US (INT64_C(300) * 1000000)
#define DAY_MS      UINT64_C(86400000)

static void session_on_waited(struct session *session);
static void session_on_unanswered(struct session *session);
static void session_on_pulse(struct session *session);

#define TO(state) (1u << SESSION_##state)
static const struct {
    const char *name;
    unsigned next;
    void (*on_timer)(struct session *session);
} session_states[] = {
    [SESSION_NEW] = {"new", TO(GREETING) | TO(CLOSED), NULL},
    [SESSION_WAITING] = {"waiting", TO(GREETING) | TO(WAITING) | TO(CLOSED), session_on_waited},
    [SESSION_GREETING] = {"greeting", TO(READY) | TO(WAITING) | TO(STOPPED) | TO(CLOSED),
                          session_on_unanswered},
    [SESSION_READY] = {"ready", TO(WAITING) | TO(STOPPED) | TO(CLOSED), session_on_pulse},
    [SESSION_STOPPED] = {"stopped", TO(CLOSED), NULL},
    [SESSION_CLOSED] = {"closed", 0, NULL},
};

static void session_move(struct session *session, enum session_state state)
{
    assert(session_states[session->state].next & 1u << state);
    log_debug(session->parts.log, "SESSION-STATE", "%s -> %s", session_states[session->state].name,
              session_states[state].name);
    session->state = state;
}

static bool session_is_live(const struct session *session)
{
    return session->state == SESSION_GREETING || session->state == SESSION_READY;
}

static void session_on_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    if (session_states[session->state].on_timer)
        session_states[session->state].on_timer(session);
}

static void timer_set(struct session *session, uint64_t ms, uint64_t repeat_ms)
{
    uv_update_time(session->parts.loop);
    uv_timer_start(&session->timer, session_on_timer, ms, repeat_ms);
}

static void state_tell(struct session *session, enum casebus_node_state state,
                       const struct casebus_error *err)
{
    if (session->parts.events->on_state)
        session->parts.events->on_state(session->parts.self, state, err);
}

/* --- sending --- */

int session_send(struct session *session, const Casebus__V1__Frame *frame, struct casebus_error *err)
{
    size_t size = casebus__v1__frame__get_packed_size(frame);
    uint8_t *data = malloc(size);
    if (!data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a frame"));
    casebus__v1__frame__pack(frame, data);
    return connection_send(session->connection, data, size, err);
}

static int hello_send(struct session *session, struct casebus_error *err)
{
    const struct session_parts *parts = &session->parts;
    const struct witness *witness = parts->witness;
    uint8_t hash[DIGEST_SIZE];
    Casebus__V1__StreamState stream = CASEBUS__V1__STREAM_STATE__INIT, *streams[] = {&stream};
    Casebus__V1__Hello hello = CASEBUS__V1__HELLO__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    stream.stream = outbox_stream(parts->outbox);
    stream.last = outbox_frozen(parts->outbox, hash);
    if (stream.last > 0)
        stream.last_statement = (ProtobufCBinaryData){DIGEST_SIZE, hash};
    hello.version_min = hello.version_max = 1;
    hello.software = (char *)"libcasebus/" CASEBUS_RELEASE;
    hello.node = (char *)parts->enrolment->node;
    hello.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, (uint8_t *)parts->enrolment->key_id};
    hello.n_stream = 1;
    hello.stream = streams;
    hello.node_time_us = clock_unix_us();
    random_bytes(session->nonce, sizeof session->nonce);
    hello.nonce = (ProtobufCBinaryData){sizeof session->nonce, session->nonce};
    if (witness->newest.size > 0) {
        hello.checkpoint_size = witness->newest.size;
        hello.checkpoint_root = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)witness->newest.root};
        hello.checkpoint_note = (ProtobufCBinaryData){witness->note_size, (uint8_t *)witness->note};
    }
    frame.body_case = CASEBUS__V1__FRAME__BODY_HELLO;
    frame.hello = &hello;
    return session_send(session, &frame, err);
}

static int ping_send(struct session *session, struct casebus_error *err)
{
    Casebus__V1__Ping ping = CASEBUS__V1__PING__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    ping.token = ++session->pings;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PING;
    frame.ping = &ping;
    return session_send(session, &frame, err);
}

static int pong_send(struct session *session, const Casebus__V1__Ping *ping, struct casebus_error *err)
{
    Casebus__V1__Pong pong = CASEBUS__V1__PONG__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    pong.token = ping->token;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PONG;
    frame.pong = &pong;
    return session_send(session, &frame, err);
}

static void bye_send(struct session *session)
{
    Casebus__V1__Bye bye = CASEBUS__V1__BYE__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;
    bye.code = (char *)casebus_code_text(CASEBUS_OK);
    frame.body_case = CASEBUS__V1__FRAME__BODY_BYE;
    frame.bye = &bye;
    session_send(session, &frame, NULL);
}

/* --- rounds --- */

static void session_on_wake(void *self)
{
    session_work(self);
}

static int session_greet(struct session *session, struct casebus_error *err)
{
    const struct session_parts *parts = &session->parts;
    enrolment_choose_key(parts->enrolment, session->key_turn, clock_unix_us());
    if (connection_open(&session->connection, parts->context, parts->loop, parts->enrolment, parts->endpoint,
                        session_on_wake, session, err) != 0)
        return -1;
    session_move(session, SESSION_GREETING);
    timer_set(session, GREETING_MS, 0);
    return hello_send(session, err);
}

static void session_on_waited(struct session *session)
{
    struct casebus_error err;
    if (session_greet(session, &err) != 0)
        session_fault(session, &err, false, 0);
}

static void session_on_unanswered(struct session *session)
{
    struct casebus_error err;
    session_work(session);
    if (session->state != SESSION_GREETING)
        return;
    error_set(&err, CASEBUS_TIMEOUT, _("the hub at '%s' did not answer within %d s"), session->parts.endpoint,
              GREETING_MS / 1000);
    session->key_turn++;
    session_fault(session, &err, false, REFUSED_MIN_MS);
}

/* Ends what belongs to this round. */
static void round_end(struct session *session, int linger_ms)
{
    session->connection = connection_close(session->connection, linger_ms);
    publishing_end(session);
    receiving_end(session);
    renewal_end(session);
    uv_timer_stop(&session->timer);
}

/* Doubles from @min_ms to the maximum, give or take a quarter, so that many nodes do not come back at once.
 */
static uint64_t delay_next(struct session *session, uint64_t min_ms)
{
    uint16_t chance;
    session->delay_ms *= 2;
    if (session->delay_ms < min_ms)
        session->delay_ms = min_ms;
    if (session->delay_ms > WAIT_MAX_MS)
        session->delay_ms = WAIT_MAX_MS;
    random_bytes(&chance, sizeof chance);
    return session->delay_ms * 3 / 4 + session->delay_ms * chance / 2 / 65536;
}

/* What only a person can mend. */
static bool code_stops(enum casebus_code code, bool from_hub)
{
    switch (code) {
    case CASEBUS_HUB_IDENTITY:
    case CASEBUS_BAD_VERSION:
    case CASEBUS_BEHIND:
    case CASEBUS_CONSISTENCY:
    case CASEBUS_INCLUSION:
    case CASEBUS_CERTIFICATE:
    case CASEBUS_KEY:
    case CASEBUS_SIGNATURE:
        return true;
    case CASEBUS_CONFIG:
    case CASEBUS_FILE:
    case CASEBUS_DAMAGED:
    case CASEBUS_COMMITMENT:
        return !from_hub; /* it is here */
    case CASEBUS_NOT_ALLOWED:
    case CASEBUS_REVOKED:
        return from_hub; /* else the handshake: a node may be enrolled in a moment */
    default:
        return false;
    }
}

static void session_stop(struct session *session)
{
    const struct casebus_error *err = &session->last_error;
    session_move(session, SESSION_STOPPED);
    log_error(session->parts.log, "NODE-STOPPED", _("node '%s' stops: %s (%s)%s%s"),
              session->parts.enrolment->node, err->text, casebus_code_text(err->code),
              err->hint[0] ? "; " : "", err->hint);
    state_tell(session, CASEBUS_NODE_STOPPED, err);
}

static void session_wait(struct session *session, uint64_t min_ms)
{
    const struct casebus_error *err = &session->last_error;
    uint64_t delay_ms = delay_next(session, min_ms);
    bool was_ready = session->state == SESSION_READY;
    session_move(session, SESSION_WAITING);
    timer_set(session, delay_ms, 0);
    log_notice(session->parts.log, "SESSION-LOST",
               _("node '%s': %s (%s)%s%s; trying again in %" PRIu64 " ms"), session->parts.enrolment->node,
               err->text, casebus_code_text(err->code), err->hint[0] ? "; " : "", err->hint, delay_ms);
    if (was_ready)
        state_tell(session, CASEBUS_NODE_CONNECTING, err);
}

void session_fault(struct session *session, const struct casebus_error *err, bool from_hub, uint64_t wait_ms)
{
    session->last_error = *err;
    round_end(session, 0);
    if (code_stops(err->code, from_hub) && session->state != SESSION_WAITING)
        session_stop(session);
    else
        session_wait(session, wait_ms > LOST_MIN_MS ? wait_ms : LOST_MIN_MS);
}

/* Somebody else may have the hub's CURVE key, and be in its place for as long as it pleases him. That is no
 * reason to stop: the hub may be behind the next door, by another key or at another time. */
static void session_unproven(struct session *session, const struct casebus_error *err)
{
    struct casebus_error fault;
    log_error(session->parts.log, "HUB-UNPROVEN", "%s", err->text);
    if (proven_note(session->parts.dir, false, &fault) != 0)
        log_warning(session->parts.log, "HUB-UNPROVEN", "%s", fault.text);
    session->key_turn++;
    session->shut_out++;
    session->last_error = *err;
    round_end(session, 0);
    session_wait(session, REFUSED_MIN_MS);
}

/* --- what the hub says --- */

const char *text_choose(const Casebus__V1__Text *text)
{
    if (!text)
        return "";
    const char *language = setlocale(LC_MESSAGES, NULL);
    bool chinese = language && strncmp(language, "zh", 2) == 0;
    const char *wanted = chinese ? text->zh : text->en;
    return *wanted ? wanted : chinese ? text->en : text->zh;
}

const char *hint_choose(const char *code, const Casebus__V1__Text *hint)
{
    const char *words = text_choose(hint);
    enum casebus_code known = casebus_code_parse(code);
    bool general = !*words && known != CASEBUS_OK && strcmp(casebus_code_text(known), code) == 0;
    return general ? casebus_code_hint(known) : words;
}

void error_from_hub(struct casebus_error *err, const char *code, const Casebus__V1__Text *sentence,
                    const Casebus__V1__Text *hint)
{
    const char *words = text_choose(sentence);
    enum casebus_code known = casebus_code_parse(code);
    error_set(err, known, _("the hub says: %s"), *words ? words : casebus_code_meaning(known));
    error_hint(err, "%s", hint_choose(code, hint));
}

static size_t within(size_t value, size_t min, size_t max)
{
    return value < min ? min : value > max ? max : value;
}

static void limits_take(struct session *session, const Casebus__V1__Welcome *welcome)
{
    struct session_limits *limits = &session->limits;
    size_t window = welcome->window_bytes ? welcome->window_bytes : WINDOW_DEFAULT;
    size_t ping = welcome->ping_interval_ms ? welcome->ping_interval_ms : PING_DEFAULT_MS;
    size_t events = welcome->max_batch_events ? welcome->max_batch_events : BATCH_MAX_EVENTS;
    size_t bytes = welcome->max_batch_bytes ? welcome->max_batch_bytes : BATCH_MAX_BYTES;
    limits->batch_events = within(events, 1, BATCH_MAX_EVENTS);
    limits->batch_bytes = within(bytes, 1, BATCH_MAX_BYTES);
    limits->window_bytes = within(window, 1, WINDOW_MAX);
    limits->ping_interval_ms = within(ping, PING_MIN_MS, PING_MAX_MS);
}

/* The hub was restored and proves how it goes on: this node goes with it, and everything that the hub has
 * lost and that is kept here is unanswered again. The outbox is changed first: if this is cut short, the hub
 * says the same again. */
static int generation_follow(struct session *session, const Casebus__V1__Welcome *welcome,
                             struct casebus_error *err)
{
    const struct session_parts *parts = &session->parts;
    struct generation generation;
    uint64_t held = parts->witness->newest.size, first = 0, count = 0;
    if (generation_check(&generation, welcome, parts->enrolment, parts->witness, &session->arena, err) != 0 ||
        outbox_lost(parts->outbox, generation.position, &first, &count, err) != 0 ||
        inbox_cut(parts->inbox, generation.position, err) != 0 ||
        generation_adopt(&generation, parts->enrolment, parts->dir, parts->witness, parts->confirmed, err) !=
            0)
        return -1;
    log_warning(parts->log, "HUB-GENERATION",
                _("the hub was restored and goes on as '%s': entries from %" PRIu64
                  " on are not those that were there before"),
                generation.origin, generation.position);
    if (held > generation.shown.size && held > generation.position)
        log_warning(parts->log, "GENERATION-LACKS",
                    _("the hub names %" PRIu64
                      " entries as the most that anybody had seen, but had shown %" PRIu64
                      " to this node; the signed checkpoint is kept in '%s/evidence'"),
                    generation.shown.size, held, parts->dir);
    if (count > 0)
        log_notice(parts->log, "SENT-AGAIN",
                   _("%" PRIu64 " events from number %" PRIu64 " on were lost by the hub and are sent again"),
                   count, first);
    return 0;
}

static int identity_check(struct session *session, const Casebus__V1__Welcome *welcome,
                          struct casebus_error *err)
{
    const char *origin = session->parts.enrolment->origin;
    if (welcome->version != 1)
        return error_set(err, CASEBUS_BAD_VERSION, _("the hub speaks casebus/%u, this node casebus/1"),
                         welcome->version);
    if (strcmp(welcome->origin, origin) != 0 && welcome->generation)
        return generation_follow(session, welcome, err);
    if (strcmp(welcome->origin, origin) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the hub is '%s', this node belongs to '%s'"),
                         welcome->origin, origin);
    return 0;
}

static void clock_compare(struct session *session, int64_t hub_time_us)
{
    int64_t skew_us = clock_unix_us() - hub_time_us;
    if (skew_us > SKEW_MAX_US)
        log_warning(session->parts.log, "CLOCK-SKEW",
                    _("the clock of this computer is %" PRId64 " s ahead of that of the hub; set it right"),
                    skew_us / 1000000);
    else if (skew_us < -SKEW_MAX_US)
        log_warning(session->parts.log, "CLOCK-SKEW",
                    _("the clock of this computer is %" PRId64 " s behind that of the hub; set it right"),
                    -skew_us / 1000000);
}

/* At each beginning of a session, and once a day. */
static void certificate_remind(struct session *session)
{
    const struct enrolment *enrolment = session->parts.enrolment;
    int64_t days = certificate_days_left(enrolment->certificate_ends, clock_unix_us() / 1000000);
    session->reminded_ms = uv_now(session->parts.loop);
    if (days < 0)
        log_warning(session->parts.log, "CERTIFICATE-ENDED",
                    _("the certificate of node '%s' has ended: the hub's operator enrols it again"),
                    enrolment->node);
    else if (days < CERTIFICATE_WARN_DAYS)
        log_warning(session->parts.log, "CERTIFICATE-ENDS",
                    _("the certificate of node '%s' ends in %" PRId64 " days and was not renewed yet"),
                    enrolment->node, days);
}

static int forgotten(struct session *session, uint64_t last, struct casebus_error *err)
{
    error_set(err, CASEBUS_BEHIND,
              _("the hub knows events of node '%s' up to %" PRIu64 ", but acknowledged later ones"),
              session->parts.enrolment->node, last);
    return error_hint(err,
                      _("the hub was restored from an old copy; its operator has to open a new generation"));
}

/* Is this outbox still the one that the hub knows? */
static int stream_compare(struct session *session, const Casebus__V1__Welcome *welcome,
                          struct casebus_error *err)
{
    struct outbox *outbox = session->parts.outbox;
    uint64_t last = 0;
    struct bytes hash = {0};
    for (size_t i = 0; i < welcome->n_stream; i++) {
        if (welcome->stream[i]->stream != outbox_stream(outbox))
            continue;
        last = welcome->stream[i]->last;
        hash = bytes_of(welcome->stream[i]->last_statement.data, welcome->stream[i]->last_statement.len);
    }
    switch (outbox_compare(outbox, last, hash)) {
    case OUTBOX_AGREES:
        return 0;
    case OUTBOX_FORGOTTEN:
        return forgotten(session, last, err);
    case OUTBOX_COPIED:
        break;
    }
    log_warning(session->parts.log, "STREAM-COPY",
                _("the outbox of node '%s' is a copy or was restored: the hub has %" PRIu64
                  " events of its stream; what is unanswered goes out in a new stream, and the hub tells "
                  "what it has already"),
                session->parts.enrolment->node, last);
    return outbox_restream(outbox, err);
}

static int welcome_take(struct session *session, const Casebus__V1__Welcome *welcome,
                        struct casebus_error *err)
{
    if (session->state != SESSION_GREETING)
        return error_set(err, CASEBUS_MALFORMED, _("the hub has sent a second Welcome"));
    struct casebus_error unproven;
    if (proven_check(session->parts.enrolment, session->nonce, welcome, session->parts.endpoint, &unproven) !=
        0) {
        session_unproven(session, &unproven);
        return 0;
    }
    if (proven_note(session->parts.dir, true, err) != 0 || identity_check(session, welcome, err) != 0 ||
        witness_advance(session->parts.witness, welcome->checkpoint, err) != 0 ||
        stream_compare(session, welcome, err) != 0 ||
        outbox_set_secured(session->parts.outbox, welcome->secured_up_to_size, err) != 0)
        return -1;
    limits_take(session, welcome);
    session->shut_out = 0;
    session_move(session, SESSION_READY);
    timer_set(session, session->limits.ping_interval_ms, session->limits.ping_interval_ms);
    log_info(session->parts.log, "SESSION-READY", _("node '%s' is connected to '%s' (%s)"),
             session->parts.enrolment->node, welcome->origin, welcome->software);
    clock_compare(session, welcome->hub_time_us);
    certificate_remind(session);
    session->renewal.offered = welcome->renews;
    renewal_work(session);
    if (receiving_begin(session, err) != 0)
        return -1;
    /* What witnesses have confirmed is asked for at once: a run may be short. */
    if (session->parts.confirmed->policy && ping_send(session, err) != 0)
        return -1;
    session->last_error = (struct casebus_error){0};
    state_tell(session, CASEBUS_NODE_READY, NULL);
    return 0;
}

static int pong_take(struct session *session, const Casebus__V1__Pong *pong, struct casebus_error *err)
{
    session->delay_ms = 0;
    if (pong->checkpoint && witness_advance(session->parts.witness, pong->checkpoint, err) != 0)
        return -1;
    if (pong->cosigned &&
        confirmed_take(session->parts.confirmed, session->parts.witness, pong->cosigned, err) != 0)
        return -1;
    confirmed_look(session->parts.confirmed, session->parts.witness);
    return outbox_set_secured(session->parts.outbox, pong->secured_up_to_size, err);
}

static void bye_take(struct session *session, const Casebus__V1__Bye *bye)
{
    struct casebus_error err;
    bool clean = strcmp(bye->code, casebus_code_text(CASEBUS_OK)) == 0;
    if (clean)
        error_set(&err, CASEBUS_CLOSED, _("the hub has said goodbye"));
    else
        error_from_hub(&err, bye->code, bye->sentence, bye->hint);
    session_fault(session, &err, true, clean ? LOST_MIN_MS : REFUSED_MIN_MS);
}

/* What cannot be followed is told, and the session goes on with the key that it has. */
static void hub_keys_take(struct session *session, const Casebus__V1__HubKeys *keys)
{
    struct enrolment *enrolment = session->parts.enrolment;
    struct casebus_error err;
    char from[CLOCK_TEXT];
    for (size_t i = 0; i < keys->n_change; i++) {
        int r = enrolment_follow(enrolment, session->parts.dir, keys->change[i], &err);
        if (r > 0 && keys->change[i]->authority_signature.len)
            log_notice(
                session->parts.log, "HUB-AUTHORITY", "%s",
                _("the hub has another authority, which the one before has named: this node knows it"));
        else if (r > 0)
            log_notice(session->parts.log, "HUB-KEYS",
                       _("the hub's CURVE key is another one from %s on: this node knows it"),
                       clock_text(from, enrolment->succession.curve_from_us / 1000000));
        else if (r < 0)
            log_warning(session->parts.log, "HUB-KEYS-REFUSED",
                        _("what the hub says of its next keys was not taken: %s (%s)"), err.text,
                        casebus_code_text(err.code));
    }
}

static int unexpected(const Casebus__V1__Frame *frame, struct casebus_error *err)
{
    return error_set(err, CASEBUS_MALFORMED, _("the hub has sent a frame '%s' that does not belong here"),
                     frame_name(frame->body_case));
}

/* Before Welcome has proved who is there, nothing is said and nothing is believed but a goodbye. */
static int frame_take(struct session *session, const Casebus__V1__Frame *frame, struct casebus_error *err)
{
    bool ready = session->state == SESSION_READY;
    switch (frame->body_case) {
    case CASEBUS__V1__FRAME__BODY_WELCOME:
        return welcome_take(session, frame->welcome, err);
    case CASEBUS__V1__FRAME__BODY_BYE:
        bye_take(session, frame->bye);
        return 0;
    case CASEBUS__V1__FRAME__BODY_PING:
        return ready ? pong_send(session, frame->ping, err) : 0;
    case CASEBUS__V1__FRAME__BODY_PONG:
        return ready ? pong_take(session, frame->pong, err) : 0;
    case CASEBUS__V1__FRAME__BODY_ACCEPTED:
        return ready ? publishing_on_accepted(session, frame->accepted, err) : unexpected(frame, err);
    case CASEBUS__V1__FRAME__BODY_REFUSED:
        return ready ? publishing_on_refused(session, frame->refused, err) : unexpected(frame, err);
    case CASEBUS__V1__FRAME__BODY_HUB_KEYS:
        if (ready)
            hub_keys_take(session, frame->hub_keys);
        return 0;
    case CASEBUS__V1__FRAME__BODY_RENEWED:
        if (ready)
            renewal_on_renewed(session, frame->renewed);
        return 0;
    default:
        return unexpected(frame, err);
    }
}

/* Frames of a later version are passed over; anything else that cannot be read ends the round. */
static int frame_read(struct session *session, struct bytes bytes, struct casebus_error *err)
{
    session->heard_ms = uv_now(session->parts.loop);
    if (frame_peek(bytes) == CASEBUS__V1__FRAME__BODY_DELIVER && session->state == SESSION_READY)
        return receiving_on_deliver(session, bytes, err);
    arena_reset(&session->arena);
    const Casebus__V1__Frame *frame = frame_decode(bytes, &session->arena, err);
    if (frame)
        return frame_take(session, frame, err);
    return err->code == CASEBUS_BAD_VERSION ? 0 : -1;
}

static void connection_check(struct session *session)
{
    struct casebus_error err;
    enum connection_state state = connection_work(session->connection);
    if (state == CONNECTION_OPEN)
        return;
    bool refused = state == CONNECTION_REFUSED;
    session->shut_out = refused ? session->shut_out + 1 : 0;
    error_set(&err, refused ? CASEBUS_NOT_ALLOWED : CASEBUS_NETWORK, _("hub '%s': %s"),
              session->parts.endpoint, connection_reason(session->connection));
    bool doubtful = refused && connection_doubts_hub(session->connection);
    if (doubtful)
        error_hint(&err,
                   _("if the hub's key was changed while this node was away, its operator has the new "
                     "enrolment.json: casebus node enrolment %s"),
                   session->parts.enrolment->node);
    else if (refused)
        error_hint(&err,
                   _("the hub's operator sees why: casebus node show %s; one that was never enrolled, or "
                     "before a restore, is enrolled with its folder: casebus node add %s --out '%s' ..."),
                   session->parts.enrolment->node, session->parts.enrolment->node, session->parts.dir);
    session->key_turn += doubtful;
    session_fault(session, &err, false, refused ? REFUSED_MIN_MS : LOST_MIN_MS);
}

/* One turn: what came, then what can go. */
static int session_turn(struct session *session, struct casebus_error *err)
{
    struct bytes frame;
    while (session_is_live(session) && connection_receive(session->connection, &frame))
        if (frame_read(session, frame, err) != 0)
            return -1;
    if (session->state == SESSION_READY && receiving_work(session, err) != 0)
        return -1;
    if (session->state == SESSION_READY && publishing_work(session, err) != 0)
        return -1;
    return 0;
}

void session_work(struct session *session)
{
    struct casebus_error err;
    if (session->working)
        return;
    session->working = true;
    while (session_is_live(session)) {
        if (session_turn(session, &err) != 0)
            session_fault(session, &err, false, REFUSED_MIN_MS);
        else if (session_is_live(session))
            connection_check(session);
        if (session_is_live(session) && !connection_has_work(session->connection))
            break;
    }
    session->working = false;
    if (session->close_wanted)
        session_close(session, session->on_closed);
}

static void session_on_pulse(struct session *session)
{
    struct casebus_error err;
    uint64_t silence_ms = PINGS_UNANSWERED * session->limits.ping_interval_ms;
    session_work(session); /* what came while the application was busy counts as heard */
    if (session->state != SESSION_READY)
        return;
    if (uv_now(session->parts.loop) - session->heard_ms > silence_ms) {
        error_set(&err, CASEBUS_TIMEOUT, _("the hub was silent for %" PRIu64 " ms"), silence_ms);
        session_fault(session, &err, false, LOST_MIN_MS);
        return;
    }
    if (ping_send(session, &err) != 0 ||
        (outbox_pending(session->parts.outbox) == 0 && outbox_settle(session->parts.outbox, &err) != 0) ||
        witness_save(session->parts.witness, &err) != 0)
        session_fault(session, &err, false, REFUSED_MIN_MS);
    else
        renewal_work(session);
    if (session->state == SESSION_READY && uv_now(session->parts.loop) - session->reminded_ms >= DAY_MS)
        certificate_remind(session);
}

/* --- opening and closing --- */

static void handle_add(struct session *session, uv_timer_t *timer)
{
    uv_timer_init(session->parts.loop, timer);
    timer->data = session;
    session->handles++;
}

static void session_on_handle_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    if (--session->handles > 0)
        return;
    arena_deinit(&session->arena);
    casebus_event_free(session->event);
    receiving_close(session);
    if (session->on_closed)
        session->on_closed(session->parts.self);
}

int session_open(struct session *session, const struct session_parts *parts, struct casebus_error *err)
{
    *session = (struct session){.parts = *parts};
    arena_init(&session->arena, ARENA_BLOCK, ARENA_MAX);
    session->event = casebus_event_new();
    handle_add(session, &session->timer);
    handle_add(session, &session->receiver.timer);
    if (!session->event)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a session"));
    return receiving_open(session, err) != 0 ? -1 : session_greet(session, err);
}

void session_close(struct session *session, void (*on_closed)(void *self))
{
    session->on_closed = on_closed;
    session->close_wanted = session->working;
    if (session->working)
        return;
    bool polite = session->state == SESSION_READY;
    if (polite)
        bye_send(session);
    round_end(session, polite ? GOODBYE_MS : 0);
    session_move(session, SESSION_CLOSED);
    uv_close((uv_handle_t *)&session->timer, session_on_handle_closed);
    uv_close((uv_handle_t *)&session->receiver.timer, session_on_handle_closed);
}
