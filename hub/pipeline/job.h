/* Job: one thing that a peer asked for, on its way from the bus through a verify worker to the writer, and
 * its answer.
 *
 * A job is owned by one thread at a time: bus -> worker -> writer -> (with its group) bus and keeper, which
 * only read it. */
#ifndef PIPELINE_JOB_H
#define PIPELINE_JOB_H

#include "hub/gate/gate.h"

enum job_kind {
    JOB_BATCH = 1,
    JOB_CONFIRM = 2,
    JOB_HELLO = 3 /* where do my streams stand? Behind everything the node sent before */
};

#define JOB_STREAMS_MAX 16

enum job_answer {
    ANSWER_NONE = 0,
    ANSWER_ACCEPTED = 1,
    ANSWER_REPEATED = 2, /* it had been accepted before */
    ANSWER_REFUSED = 3
};

struct job {
    enum job_kind kind;
    uint64_t session;                 /* the bus's number of the session that asked */
    struct registry *registry;        /* a reference: keeps @node alive */
    const struct registry_node *node; /* who asked, as ZAP said; NULL: no longer enrolled */
    struct bytes frame;               /* what was received */
    size_t frame_size;                /* of it, also when it is given back */
    void (*release)(void *owner);     /* gives the frame's memory back */
    void *owner;

    struct gate_batch batch;                           /* JOB_BATCH: what the gate made of it */
    struct bytes confirm_statement, confirm_signature; /* JOB_CONFIRM, checked; in batch.arena */
    uint64_t confirm_position;                         /* of the newest delivery that it confirms */
    uint64_t stream_ids[JOB_STREAMS_MAX];              /* JOB_HELLO: asked */
    struct exchange_stream streams[JOB_STREAMS_MAX];   /* and answered */
    size_t n_streams;

    uint64_t released_from; /* position + 1 of the Quarantined that this was; 0: a peer sent it */

    enum job_answer answer;
    uint64_t seal_position;       /* accepted or repeated */
    struct casebus_error refusal; /* refused */
    bool final;
    uint32_t retry_after_ms;
    uint64_t expected; /* CB-SEQ-GAP */

    bool checked; /* under the queue's lock: a worker is done with it */
    struct job *next;
};

struct job *job_new(enum job_kind kind, uint64_t session, struct registry *registry,
                    const struct registry_node *node);
struct job *job_free(struct job *job); /* NULL in, NULL out */
/* Gives the received frame back early: the gate copied what it needs. */
void job_release_frame(struct job *job);

#endif
