/* Session: the conversation with the hub. It says Hello, is welcomed, publishes what the outbox holds,
 * receives what this node is entitled to, and begins again after every interruption.
 *
 * The parts belong to the node; a session only uses them. Everything runs on the node's loop, and what is
 * reported goes up through session_events. */
#ifndef SDK_SESSION_H
#define SDK_SESSION_H

#include "adapters/sdk/confirmed.h"
#include "adapters/sdk/connection.h"
#include "adapters/sdk/inbox.h"
#include "adapters/sdk/proven.h"
#include "adapters/sdk/receipts.h"
#include "adapters/sdk/renewal.h"
#include "proto/base/log.h"
#include "proto/codec/frame.h"

struct session_events {
    void (*on_state)(void *self, enum casebus_node_state state, const struct casebus_error *err);
    void (*on_outcome)(void *self, const struct casebus_outcome *outcome);
    int (*on_delivery)(void *self, const struct casebus_delivery *delivery);
};

struct session_parts {
    uv_loop_t *loop;
    void *context; /* of ZeroMQ */
    const char *endpoint;
    const char *dir; /* of the node */
    struct enrolment *enrolment;
    struct crypter *crypter;
    struct outbox *outbox;
    struct witness *witness;
    struct confirmed *confirmed;
    struct inbox *inbox;
    const struct log *log;
    bool subscribe;
    uint32_t receive_window;
    unsigned renew_days; /* before its end the certificate is renewed */
    const struct session_events *events;
    void *self; /* of the events */
};

enum session_state {
    SESSION_NEW = 0,
    SESSION_WAITING,
    SESSION_GREETING,
    SESSION_READY,
    SESSION_STOPPED,
    SESSION_CLOSED,
};

/* What the hub has said about this session. */
struct session_limits {
    size_t batch_events;
    size_t batch_bytes;
    size_t window_bytes;
    uint64_t ping_interval_ms;
};

struct deliveries; /* a frame of them that waits for the application */

struct receiver {
    struct deliveries *waiting; /* oldest first */
    struct deliveries **waiting_end;
    size_t waiting_bytes;
    uint64_t pause_ms;      /* how long the application was last given before it is asked again */
    uint64_t resume_at_ms;  /* loop time; 0: not paused */
    uint64_t confirm_at_ms; /* loop time; 0: no confirmation is due */
    bool full_told;         /* that too much is unconfirmed was logged */
    struct casebus_event *event;
    uv_timer_t timer; /* for the nearer of both */
};

struct session {
    struct session_parts parts;
    enum session_state state;
    struct connection *connection;
    struct session_limits limits;
    size_t in_flight_bytes;
    size_t in_flight_batches;
    uint64_t heard_ms; /* loop time of the last frame */
    uint64_t delay_ms; /* of the last wait; grows until something was answered */
    uint64_t pings;
    uint64_t reminded_ms;            /* loop time: of the certificate's end */
    uint64_t shut_out;               /* handshakes refused in a row */
    uint8_t nonce[PROOF_NONCE_SIZE]; /* of this round's Hello */
    unsigned key_turn;               /* which of the hub's keys is tried next */
    bool working;                    /* inside session_work: handlers may call back */
    bool close_wanted;               /* by such a handler */
    struct arena arena;              /* of the frame at hand */
    struct casebus_event *event;
    struct casebus_error last_error;
    uv_timer_t timer; /* its meaning depends on the state */
    struct receiver receiver;
    struct renewal renewal;
    int handles; /* that the loop still knows */
    void (*on_closed)(void *self);
};

/* Begins to connect. CASEBUS_CONFIG when the endpoint is not usable. To be closed whatever comes of it. */
int session_open(struct session *session, const struct session_parts *parts, struct casebus_error *err);
/* Says goodbye and lets go of the loop; @on_closed(parts.self) is called when the loop knows nothing of it.
 */
void session_close(struct session *session, void (*on_closed)(void *self));
/* Does everything that can be done without waiting. Called before and after the loop sleeps. */
void session_work(struct session *session);
/* An id was confirmed in the inbox: tell the hub soon. */
void session_confirm(struct session *session);

/* --- shared by session.c, publishing.c and receiving.c --- */

/* Packs @frame and hands it to the connection. */
int session_send(struct session *session, const Casebus__V1__Frame *frame, struct casebus_error *err);
/* Ends the connection and tries again, at the earliest after @wait_ms, or stops for good when only a person
 * can help. @from_hub: the error came in words from the hub. */
void session_fault(struct session *session, const struct casebus_error *err, bool from_hub, uint64_t wait_ms);
/* The hub's sentence in the language of the process; never NULL. */
const char *text_choose(const Casebus__V1__Text *text);
/* What the hub says is the way out; where it says nothing, what is in general for @code. */
const char *hint_choose(const char *code, const Casebus__V1__Text *hint);
/* Fills @err from code and sentences of the hub. */
void error_from_hub(struct casebus_error *err, const char *code, const Casebus__V1__Text *sentence,
                    const Casebus__V1__Text *hint);

/* publishing.c. Each returns 0, or -1 with an error of ours. */
int publishing_work(struct session *session, struct casebus_error *err);
int publishing_on_accepted(struct session *session, const Casebus__V1__Accepted *accepted,
                           struct casebus_error *err);
int publishing_on_refused(struct session *session, const Casebus__V1__Refused *refused,
                          struct casebus_error *err);
void publishing_end(struct session *session);

/* receiving.c */
int receiving_open(struct session *session, struct casebus_error *err);
int receiving_begin(struct session *session, struct casebus_error *err); /* after Welcome */
int receiving_on_deliver(struct session *session, struct bytes frame, struct casebus_error *err);
int receiving_work(struct session *session, struct casebus_error *err);
void receiving_end(struct session *session);   /* the connection ended */
void receiving_close(struct session *session); /* frees; the timer is closed by the session */

#endif
