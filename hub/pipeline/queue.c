#include "hub/pipeline/queue.h"

#include <errno.h>
#include <time.h>

void queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof(*queue));
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->arrived, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->ready, &attributes);
    pthread_condattr_destroy(&attributes);
}

void queue_deinit(struct queue *queue)
{
    pthread_cond_destroy(&queue->ready);
    pthread_cond_destroy(&queue->arrived);
    pthread_mutex_destroy(&queue->lock);
}

bool queue_push(struct queue *queue, struct job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool fits = !queue->closed && queue->tail - queue->head < QUEUE_JOBS;
    if (fits) {
        job->checked = false;
        queue->jobs[queue->tail++ % QUEUE_JOBS] = job;
        pthread_cond_signal(&queue->arrived);
    }
    pthread_mutex_unlock(&queue->lock);
    return fits;
}

static size_t job_bytes(const struct job *job)
{
    return arena_held(&job->batch.arena);
}

/* The writer's next job is always checked, however much there is: nobody waits for ever. */
static bool far_ahead(const struct queue *queue)
{
    return queue->ahead >= QUEUE_AHEAD_BYTES && queue->next > queue->head;
}

struct job *queue_take_unchecked(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while ((queue->next == queue->tail && !queue->closed) || far_ahead(queue))
        pthread_cond_wait(&queue->arrived, &queue->lock);
    struct job *job = queue->next < queue->tail ? queue->jobs[queue->next++ % QUEUE_JOBS] : NULL;
    pthread_mutex_unlock(&queue->lock);
    return job;
}

static bool head_checked(const struct queue *queue)
{
    return queue->head < queue->next && queue->jobs[queue->head % QUEUE_JOBS]->checked;
}

void queue_checked(struct queue *queue, struct job *job)
{
    pthread_mutex_lock(&queue->lock);
    job->checked = true;
    queue->ahead += job_bytes(job);
    if (head_checked(queue))
        pthread_cond_signal(&queue->ready);
    pthread_mutex_unlock(&queue->lock);
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* With the lock held. */
static void wait_for_head(struct queue *queue, int timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    while (!head_checked(queue) && !queue->nudged && !(queue->closed && queue->head == queue->tail))
        if (pthread_cond_timedwait(&queue->ready, &queue->lock, &until) == ETIMEDOUT)
            return;
}

struct job *queue_take_checked(struct queue *queue, int timeout_ms)
{
    pthread_mutex_lock(&queue->lock);
    if (timeout_ms > 0) {
        wait_for_head(queue, timeout_ms);
        queue->nudged = false;
    }
    struct job *job = head_checked(queue) ? queue->jobs[queue->head++ % QUEUE_JOBS] : NULL;
    if (job) {
        bool waited_for = queue->ahead >= QUEUE_AHEAD_BYTES;
        queue->ahead -= job_bytes(job);
        if (waited_for)
            pthread_cond_broadcast(&queue->arrived);
    }
    pthread_mutex_unlock(&queue->lock);
    return job;
}

void queue_nudge(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->nudged = true;
    pthread_cond_signal(&queue->ready);
    pthread_mutex_unlock(&queue->lock);
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->arrived);
    pthread_cond_signal(&queue->ready);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_drained(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool drained = queue->closed && queue->head == queue->tail;
    pthread_mutex_unlock(&queue->lock);
    return drained;
}

size_t queue_length(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t length = queue->tail - queue->head;
    pthread_mutex_unlock(&queue->lock);
    return length;
}
