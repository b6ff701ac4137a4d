/* Node: a department's end of the bus. Publishes events over an on-disk outbox and receives what it is
 * entitled to.
 *
 *   struct casebus_node *node;
 *   casebus_node_open(&node, &(struct casebus_node_options){.dir = "/var/lib/casebus/scjgj"}, &err);
 *   casebus_node_publish(node, event, mark, &number, &err); // in the outbox, a number is given
 *   while (casebus_node_pending(node) > 0)
 *       casebus_node_run(node, 1000, &err); // works until something happened or the time is up
 *   node = casebus_node_close(node);
 *
 * What publish has taken survives crashes of this process and of the hub from the next casebus_node_sync (or
 * the batch's first sending) on. An event leaves the outbox only when the hub's receipt has been checked:
 * signature of the checkpoint, inclusion of the batch, consistency with every checkpoint seen before.
 *
 * One thread at a time per node; nodes are independent; no global state. With `loop` the node lives on the
 * caller's libuv loop and casebus_node_run must not be called; without, it has its own and works inside
 * casebus_node_run. The longer guide is docs/sdk.md. */
#ifndef CASEBUS_NODE_H
#define CASEBUS_NODE_H

#include <casebus/error.h>
#include <casebus/event.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;
struct casebus_node;

enum casebus_node_state {
    CASEBUS_NODE_CONNECTING = 1, /* no session; tries again with back-off */
    CASEBUS_NODE_READY = 2,      /* welcomed by the hub */
    CASEBUS_NODE_STOPPED = 3     /* something only a person can mend: the error says what */
};

enum casebus_outcome_kind { CASEBUS_ACCEPTED = 1, CASEBUS_DUPLICATE = 2, CASEBUS_REFUSED = 3 };

/* What became of one published event, told in the order of the numbers. Texts are valid during the call.
 * After a crash the last outcomes may be told once more: the hub has the event once all the same. */
struct casebus_outcome {
    enum casebus_outcome_kind kind;
    uint64_t number;   /* as publish gave it */
    uint64_t mark;     /* as given to publish */
    uint64_t position; /* accepted: in the ledger; duplicate: of the entry that holds the record */
    const char *code;  /* refused: "CB-..." */
    const char *sentence;
    const char *hint;
    const struct casebus_event *event; /* refused only: what it was; else NULL */
};

struct casebus_delivery_id {
    uint64_t position;
    uint32_t ordinal;
};

/* What an order to destroy is about: something that was delivered before. */
struct casebus_erased {
    struct casebus_delivery_id id;
    char event_id[65];     /* as that delivery had it */
    int header;            /* non-zero: all of the event; else only the parts below */
    const uint32_t *parts; /* their indexes in the event */
    size_t n_parts;
};

/* An order to destroy what this node was delivered, with all that was made of it. Confirming the delivery
 * says that it was done. */
struct casebus_erasure {
    int retention; /* non-zero: a rule of retention ran out; else somebody entitled ordered it */
    const struct casebus_erased *items;
    size_t n_items;
};

/* An event that this node may not see: what it may be told of it, in the hub's words. */
struct casebus_answer {
    const char *question; /* "accepted", "approved", "finished", "certificate" */
    int yes;              /* 0: no */
};
struct casebus_answers {
    const char *case_number, *item, *area;
    const struct casebus_answer *items;
    size_t n_items;
};

/* A record that this node was delivered was corrected or deleted, and it may not see what stands there now:
 * what the event of that delivery said holds no more. */
struct casebus_retraction {
    const char *case_number, *record_namespace, *record_id; /* as that event said */
    uint64_t position;                                      /* of that delivery */
    char event_id[65];                                      /* as that delivery had it */
};

struct casebus_delivery {
    struct casebus_delivery_id id;
    int64_t hub_time_us;
    const char *node;                      /* who published it */
    uint64_t number;                       /* in the publisher's stream */
    char case_id[33];                      /* hex; the hub's name for the case */
    char event_id[65];                     /* hex of the event hash */
    const struct casebus_event *event;     /* valid during the call; NULL with one of the following */
    const struct casebus_erasure *erasure; /* an order to destroy; valid during the call. event_id is the hash
                                              of the order's entry, node is empty */
    int erased; /* non-zero: the event's content was destroyed before it was delivered */
    const struct casebus_answers *answers; /* yes or no in the place of an event; valid during the call */
    const struct casebus_retraction *retraction; /* in the place of an event; valid during the call */
};

/* All are optional and are called from inside casebus_node_run (or the loop), never from another thread. They
 * may use the node, but not run it or close it (casebus_node_close_async is fine). */
struct casebus_node_handlers {
    void (*on_outcome)(void *self, const struct casebus_outcome *outcome);
    /* Returns 0 to go on; 1 to have this delivery again later (the sink is full), which pauses deliveries for
     * a while. Each delivery comes once, in order; after a crash, again from the last confirmed one on. At
     * most 65,536 may be unconfirmed: more are not made before some are. */
    int (*on_delivery)(void *self, const struct casebus_delivery *delivery);
    void (*on_state)(void *self, enum casebus_node_state state,
                     const struct casebus_error *err); /* err may be NULL */
    /* level 0 debug .. 4 error, an id such as "SESSION-READY", a sentence */
    void (*on_log)(void *self, int level, const char *id, const char *text);
};

struct casebus_node_options {
    const char *dir;        /* holds enrolment.json and keys as `casebus node add` wrote them; outbox/ and
                               inbox.state are made in it */
    const char *endpoint;   /* NULL: the one in enrolment.json */
    struct uv_loop_s *loop; /* NULL: a loop of its own */
    const struct casebus_node_handlers *handlers;
    void *self;                /* passed to the handlers */
    uint64_t outbox_max_bytes; /* 0: 1 GiB; publish answers CASEBUS_BUSY past it */
    uint64_t
        outbox_keep_bytes; /* of acknowledged events that the hub has no second copy of yet; 0: 512 MiB */
    int subscribe;         /* non-zero: receive deliveries */
    uint32_t receive_window_bytes; /* asked for; 0: 4 MiB. A hub may send less (docs/protocol.md) */
    /* A policy file (C2SP tlog-policy): whose cosignatures show that the hub shows everybody the same record.
     * A contradiction stops the node (CASEBUS_CONSISTENCY); no confirmation for longer than the patience is
     * logged (UNWITNESSED). NULL: nobody is asked for. */
    const char *witnesses;
    unsigned witness_patience_s; /* 0: one hour */
    unsigned
        renew_days; /* before its end the node has its certificate renewed; 0: 60. Hubs do it from 90 on */
    /* The file with the passphrase of the keys in @dir, if they are under one; NULL: the credential
     * casebus.passphrase that systemd gave to the process, if it did. Read while the node is opened. */
    const char *passphrase_file;
};

/* Opens the outbox (locked against a second process) and begins to connect. */
CASEBUS_API int casebus_node_open(struct casebus_node **nodep, const struct casebus_node_options *options,
                                  struct casebus_error *err);
/* Says goodbye, waits at most a second, frees. NULL in, NULL out. With a caller's loop its handles are closed
 * when the loop next runs: use casebus_node_close_async there. */
CASEBUS_API struct casebus_node *casebus_node_close(struct casebus_node *node);
CASEBUS_API void casebus_node_close_async(struct casebus_node *node, void (*on_closed)(void *self),
                                          void *self);

/* Puts a copy of @event into the outbox and gives it the next number; refuses what a hub would refuse for the
 * event alone. The number is that of the node's stream as long as the outbox is neither copied nor restored.
 * @numberp may be NULL. @mark: any value the caller wants back
 * with the outcome and from casebus_node_last_mark, such as a row number. CASEBUS_BUSY: the outbox is full,
 * run the node and try again. */
CASEBUS_API int casebus_node_publish(struct casebus_node *node, const struct casebus_event *event,
                                     uint64_t mark, uint64_t *numberp, struct casebus_error *err);
/* Makes everything published so far durable in the outbox. */
CASEBUS_API int casebus_node_sync(struct casebus_node *node, struct casebus_error *err);
/* Mark of the newest event that the outbox ever took (it outlives the event); 0 when there was none. */
CASEBUS_API uint64_t casebus_node_last_mark(const struct casebus_node *node);
/* Events published and not yet answered. */
CASEBUS_API uint64_t casebus_node_pending(const struct casebus_node *node);

/* Works for at most @timeout_ms (0: only what is ready; -1: until something happened). Returns 1 when
 * handlers were called, 0 when not, -1 when the node is stopped. */
CASEBUS_API int casebus_node_run(struct casebus_node *node, int timeout_ms, struct casebus_error *err);

/* Says that everything up to @id is safe with the receiver: a signed proof of receipt goes to the hub
 * (merged, within about 100 ms), and deliveries are not repeated after it. */
CASEBUS_API int casebus_node_confirm(struct casebus_node *node, struct casebus_delivery_id id,
                                     struct casebus_error *err);
/* The last confirmed delivery; 0 when there is none. */
CASEBUS_API int casebus_node_last_confirmed(const struct casebus_node *node, struct casebus_delivery_id *id);

struct casebus_node_status {
    enum casebus_node_state state;
    uint64_t stream;
    uint64_t published, accepted, duplicate, refused; /* since open */
    uint64_t pending, pending_bytes;
    uint64_t kept, kept_bytes; /* acknowledged, and kept until the hub has a second copy */
    uint64_t delivered, confirmed;
    uint64_t checkpoint_size;
    uint64_t confirmed_size;   /* of the newest checkpoint that witnesses confirmed; 0: none */
    int64_t unconfirmed_since; /* seconds since 1970; 0: all that the node was shown is confirmed, or nobody
                                  is asked */
    int64_t certificate_ends;  /* seconds since 1970 */
    uint64_t shut_out;         /* how often in a row the hub has refused the handshake, or seemed to */
    struct casebus_error last_error;
    struct casebus_error renewal_error; /* why the certificate could not be renewed when last tried;
                                           CASEBUS_OK: it could, or it is not yet time */
};
CASEBUS_API void casebus_node_get_status(const struct casebus_node *node, struct casebus_node_status *status);
CASEBUS_API const char *casebus_node_name(const struct casebus_node *node);
/* The hub's name with its generation: positions of deliveries count within it alone. */
CASEBUS_API const char *casebus_node_origin(const struct casebus_node *node);
CASEBUS_API const char *casebus_version(void);

#ifdef __cplusplus
}
#endif
#endif
