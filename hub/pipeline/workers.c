/* Verify workers: the public-key and hashing work, in parallel, before anything is decided. */
#include "hub/pipeline/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/frame.h"
#include "proto/codec/statement.h"

/* Whether the confirmation is for this hub and from this node, with the key that it has. */
static bool confirm_is_from(const struct pipeline *pipeline, const struct registry_node *node,
                            const Casebus__V1__ConfirmStatement *fields)
{
    return (unsigned)fields->suite == (unsigned)suite_id(pipeline->options.suite) &&
           strcmp(fields->origin, pipeline->origin) == 0 && strcmp(fields->node, node->info.node) == 0 &&
           memcmp(fields->key_id.data, node->key_id, KEY_ID_SIZE) == 0;
}

/* What is not right is dropped: the receiver will confirm again, and nothing depends on it. */
static void check_confirm(struct pipeline *pipeline, struct job *job)
{
    struct arena *arena = &job->batch.arena;
    struct casebus_error err;
    Casebus__V1__Frame *frame = frame_decode(job->frame, arena, &err);
    if (!frame || frame->body_case != CASEBUS__V1__FRAME__BODY_CONFIRM || !job->node)
        return;
    struct bytes statement = {frame->confirm->statement.data, frame->confirm->statement.len};
    struct bytes signature = {frame->confirm->signature.data, frame->confirm->signature.len};
    const Casebus__V1__ConfirmStatement *fields = confirm_decode(statement, arena, &err);
    if (!fields || signature.size != SIGNATURE_SIZE || !confirm_is_from(pipeline, job->node, fields))
        return;
    if (!verifier_check(job->node->verifier, statement, signature.data)) {
        log_warning(pipeline->options.log, "CONFIRM-SIGNATURE",
                    _("node '%s': the signature of a confirmation does not verify"), job->node->info.node);
        return;
    }
    job->confirm_statement = statement;
    job->confirm_signature = signature;
    job->confirm_position = fields->last->position;
}

void *worker_main(void *self)
{
    struct pipeline *pipeline = self;
    pthread_setname_np(pthread_self(), "verify");
    struct gate *gate = gate_new(pipeline->options.suite, pipeline->origin, pipeline->content_key);
    struct job *job;
    while ((job = queue_take_unchecked(&pipeline->queue))) {
        if (job->kind == JOB_BATCH && gate)
            gate_check(gate, job->node, job->frame, clock_unix_us(), &job->batch);
        else if (job->kind == JOB_BATCH)
            error_set(&job->batch.refusal, CASEBUS_NO_MEMORY, _("no memory for a verify worker"));
        else if (job->kind == JOB_CONFIRM)
            check_confirm(pipeline, job);
        job_release_frame(job); /* the job's arena holds what is needed */
        queue_checked(&pipeline->queue, job);
    }
    gate_free(gate);
    return NULL;
}
