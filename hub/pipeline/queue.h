/* Queue: jobs in the order of their arrival. Workers check them in any order; the writer takes them in this
 * order.
 *
 * A batch that is checked takes up to fifteen times what was received (small events, decoded and sealed), so
 * the workers stop ahead of the writer when they have made QUEUE_AHEAD_BYTES of that; what is not yet checked
 * is bounded by the peers' windows. */
#ifndef PIPELINE_QUEUE_H
#define PIPELINE_QUEUE_H

#include "hub/pipeline/job.h"

#include <pthread.h>

#define QUEUE_JOBS        1024
#define QUEUE_AHEAD_BYTES (4u * 1024 * 1024)

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t arrived; /* something for a worker, or the end */
    pthread_cond_t ready;   /* something for the writer: the oldest job is checked, or a word from outside */
    struct job *jobs[QUEUE_JOBS];
    uint64_t head; /* oldest not yet taken by the writer */
    uint64_t next; /* oldest not yet taken by a worker */
    uint64_t tail; /* where the next arrival goes */
    size_t ahead;  /* bytes of jobs that are checked and not yet taken by the writer */
    bool closed;   /* nothing more comes in */
    bool nudged;   /* the writer is wanted for something else */
};

void queue_init(struct queue *queue);
void queue_deinit(struct queue *queue);
/* False: full or closed. */
bool queue_push(struct queue *queue, struct job *job);
/* Worker: waits for a job to check, and for the writer when the workers are far ahead; NULL when the queue is
 * closed and empty. */
struct job *queue_take_unchecked(struct queue *queue);
void queue_checked(struct queue *queue, struct job *job);
/* Writer: the oldest job, once it is checked. Waits at most @timeout_ms for it, a nudge or the end; NULL: not
 * yet. */
struct job *queue_take_checked(struct queue *queue, int timeout_ms);
void queue_nudge(struct queue *queue);
void queue_close(struct queue *queue);
bool queue_drained(struct queue *queue); /* closed and nothing left */
size_t queue_length(struct queue *queue);

#endif
