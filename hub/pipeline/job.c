#include "hub/pipeline/job.h"

#include <stdlib.h>

struct job *job_new(enum job_kind kind, uint64_t session, struct registry *registry,
                    const struct registry_node *node)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->kind = kind;
    job->session = session;
    job->registry = registry_ref(registry);
    job->node = node;
    gate_batch_init(&job->batch);
    return job;
}

void job_release_frame(struct job *job)
{
    if (job->release)
        job->release(job->owner);
    job->release = NULL;
    job->owner = NULL;
    job->frame = (struct bytes){NULL, 0};
}

struct job *job_free(struct job *job)
{
    if (!job)
        return NULL;
    job_release_frame(job);
    gate_batch_deinit(&job->batch);
    registry_unref(job->registry);
    free(job);
    return NULL;
}
