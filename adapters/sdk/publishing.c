/* Publishing: batches go out as long as the hub's window is open, answers come back in the same order.
 *
 * There is no timer that gathers batches. With little to do, each turn sends what is there; when two batches
 * are under way already, events gather until they fill a batch or an answer comes. So batches are as small as
 * the hub is fast, and whole when it is not. */
#include "adapters/sdk/event.h"
#include "adapters/sdk/session.h"

#include "proto/base/texts.h"

#include <inttypes.h>

enum {
    EAGER_BATCHES = 2,  /* under way, before only whole ones are sent */
    IN_FLIGHT_MAX = 64, /* batches */
    RETRY_DEFAULT_MS = 1000,
};

void publishing_end(struct session *session)
{
    session->in_flight_bytes = session->in_flight_batches = 0;
    outbox_rewind(session->parts.outbox);
}

/* 1: there is a batch to send; 0: there is none, or none yet. */
static int batch_ready(struct session *session, struct casebus_error *err)
{
    struct outbox *outbox = session->parts.outbox;
    const struct session_limits *limits = &session->limits;
    if (outbox_unsent(outbox))
        return 1;
    return outbox_freeze(outbox, limits->batch_events, limits->batch_bytes,
                         session->in_flight_batches >= EAGER_BATCHES, err);
}

static size_t window_left(const struct session *session)
{
    size_t window = session->limits.window_bytes;
    if (session->in_flight_batches == 0)
        return SIZE_MAX; /* one batch may always be under way, however small the window */
    if (session->in_flight_batches >= IN_FLIGHT_MAX || session->in_flight_bytes >= window)
        return 0;
    return window - session->in_flight_bytes;
}

int publishing_work(struct session *session, struct casebus_error *err)
{
    struct outbox *outbox = session->parts.outbox;
    int r;
    while (window_left(session) > 0 && !connection_is_busy(session->connection) &&
           (r = batch_ready(session, err)) != 0) {
        uint8_t *frame;
        size_t size;
        if (r > 0)
            r = outbox_send(outbox, window_left(session), &frame, &size, err);
        if (r <= 0)
            return r;
        session->in_flight_bytes += size;
        session->in_flight_batches++;
        if (connection_send(session->connection, frame, size, err) != 0)
            return -1;
    }
    return 0;
}

/* --- answers --- */

/* The batch that an answer is about; NULL with @err. Answers come in order, so it can only be the oldest. */
static const struct outbox_batch *answer_match(struct session *session, uint64_t stream, uint64_t first,
                                               uint32_t count, struct casebus_error *err)
{
    const struct outbox_batch *batch = outbox_awaited(session->parts.outbox);
    if (batch && batch->stream == stream && batch->first == first && batch->count == count)
        return batch;
    error_set(err, CASEBUS_MALFORMED,
              _("the hub has answered events %" PRIu64 " to %" PRIu64 ", which were not next"), first,
              first + count - 1);
    return NULL;
}

/* The awaited batch leaves the outbox. */
static int batch_done(struct session *session, uint64_t end, struct casebus_error *err)
{
    uint64_t first, last;
    session->in_flight_bytes -= outbox_awaited(session->parts.outbox)->frame_size;
    session->in_flight_batches--;
    session->delay_ms = 0;
    if (outbox_answered(session->parts.outbox, end, err) != 0)
        return -1;
    if (outbox_let_go(session->parts.outbox, &first, &last))
        log_warning(
            session->parts.log, "OUTBOX-LET-GO",
            _("events %" PRIu64 " to %" PRIu64
              " are acknowledged but not in any backup of the hub yet; they are not kept here any more, "
              "because the outbox keeps no more than it may (outbox_keep_mb)"),
            first, last);
    return 0;
}

static void outcome_tell(struct session *session, const struct outbox_batch *batch, uint32_t index,
                         struct casebus_outcome *outcome)
{
    outcome->number = batch->first_number + index;
    outcome->mark = batch->marks[index];
    session->parts.events->on_outcome(session->parts.self, outcome);
}

/* Refused: what it was is read again from the outbox. */
static int refusal_tell(struct session *session, const struct outbox_batch *batch, uint32_t index,
                        const char *code, const Casebus__V1__Text *sentence, const Casebus__V1__Text *hint,
                        struct buffer *bytes, struct casebus_error *err)
{
    if (outbox_read(session->parts.outbox, batch, index, bytes, err) != 0 ||
        event_read_packed(session->event, bytes_of(bytes->data, bytes->size), err) != 0)
        return -1;
    const char *words = text_choose(sentence);
    struct casebus_outcome outcome = {.kind = CASEBUS_REFUSED,
                                      .code = code,
                                      .sentence =
                                          *words ? words : casebus_code_meaning(casebus_code_parse(code)),
                                      .hint = hint_choose(code, hint),
                                      .event = session->event};
    outcome_tell(session, batch, index, &outcome);
    return 0;
}

static int member_tell(struct session *session, const struct outbox_batch *batch, uint32_t index,
                       const struct receipt_member *member, struct buffer *bytes, struct casebus_error *err)
{
    const Casebus__V1__Outcome *words = member->words;
    if (member->kind == CASEBUS_REFUSED)
        return refusal_tell(session, batch, index, member->code, words ? words->sentence : NULL,
                            words ? words->hint : NULL, bytes, err);
    outcome_tell(session, batch, index,
                 &(struct casebus_outcome){.kind = member->kind, .position = member->position});
    return 0;
}

int publishing_on_accepted(struct session *session, const Casebus__V1__Accepted *accepted,
                           struct casebus_error *err)
{
    struct receipt receipt;
    struct buffer bytes;
    const struct outbox_batch *batch =
        answer_match(session, accepted->stream, accepted->first, accepted->count, err);
    if (!batch || receipt_check(&receipt, session->parts.witness, batch, accepted, &session->arena, err) != 0)
        return -1;
    int r = 0;
    buffer_init(&bytes, EVENT_MAX);
    for (uint32_t i = 0; i < receipt.n && r == 0; i++)
        r = member_tell(session, batch, i, &receipt.members[i], &bytes, err);
    buffer_deinit(&bytes);
    return r == 0 ? batch_done(session, receipt.end, err) : -1;
}

/* Every member of the batch is refused with the same words. The hub's count of this stream did not move, so
 * what follows goes out in a new one. */
static int batch_refused(struct session *session, const struct outbox_batch *batch,
                         const Casebus__V1__Refused *refused, struct casebus_error *err)
{
    struct buffer bytes;
    int r = 0;
    buffer_init(&bytes, EVENT_MAX);
    for (uint32_t i = 0; i < batch->count && r == 0; i++)
        r = refusal_tell(session, batch, i, refused->code, refused->sentence, refused->hint, &bytes, err);
    buffer_deinit(&bytes);
    if (r != 0 || batch_done(session, 0, err) != 0)
        return -1;
    return outbox_restream(session->parts.outbox, err);
}

/* Refusals that are about who we are or may do; the events are not at fault and stay. */
static bool refusal_is_personal(enum casebus_code code)
{
    return code == CASEBUS_NOT_ALLOWED || code == CASEBUS_SUSPENDED || code == CASEBUS_REVOKED ||
           code == CASEBUS_SIGNATURE || code == CASEBUS_KEY || code == CASEBUS_CERTIFICATE ||
           code == CASEBUS_UNKNOWN_NODE || code == CASEBUS_HUB_IDENTITY || code == CASEBUS_BAD_VERSION;
}

/* After a refusal the round ends: whatever else is under way was built on the refused batch. */
int publishing_on_refused(struct session *session, const Casebus__V1__Refused *refused,
                          struct casebus_error *err)
{
    struct casebus_error reason;
    error_from_hub(&reason, refused->code, refused->sentence, refused->hint);
    log_warning(session->parts.log, "BATCH-REFUSED", _("events %" PRIu64 " to %" PRIu64 ": %s (%s)"),
                refused->first, refused->first + refused->count - 1, reason.text, refused->code);
    uint64_t wait_ms = 0;
    if (reason.code == CASEBUS_SEQ_CONFLICT) {
        log_warning(session->parts.log, "STREAM-COPY",
                    _("another copy of the outbox of node '%s' has used its numbers: what is unanswered goes "
                      "out in a new stream"),
                    session->parts.enrolment->node);
        if (outbox_restream(session->parts.outbox, err) != 0)
            return -1;
    } else if (refused->final && !refusal_is_personal(reason.code)) {
        const struct outbox_batch *batch =
            answer_match(session, refused->stream, refused->first, refused->count, err);
        if (!batch || batch_refused(session, batch, refused, err) != 0)
            return -1;
    } else {
        wait_ms = refused->retry_after_ms > RETRY_DEFAULT_MS ? refused->retry_after_ms : RETRY_DEFAULT_MS;
    }
    session_fault(session, &reason, refused->final && refusal_is_personal(reason.code), wait_ms);
    return 0;
}
