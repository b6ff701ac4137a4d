/* Keeper: brings ledger and state up behind the journal, a few megabytes at a time, and makes room ahead.
 *
 * Order of a round: spare segments and vault slots, then the ledger (one synced transaction), its checkpoint
 * and the state; then the journal may forget. A crash in between is mended by replay: each store says itself
 * how far it is. */
#include "hub/pipeline/internal.h"

#include <malloc.h>
#include <unistd.h>

#define TRIM_KEEPS                                                                                           \
    (1024 * 1024) /* free memory in the middle of the heap goes back, but for this much at its end */

void keeper_post(struct pipeline *pipeline, struct group *groups)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->keeper.groups = groups;
    pipeline->keeper.busy = true;
    pipeline->flush_wanted = false;
    pthread_cond_signal(&pipeline->keeper.posted);
    pthread_mutex_unlock(&pipeline->lock);
}

/* Writes until there is room on the disk: what waits is in the journal. */
static int ledger_write(struct pipeline *pipeline, const struct group *groups, struct casebus_error *err)
{
    unsigned tries = 0;
    while (groups_to_ledger(groups, pipeline->options.ledger, err))
        if (err->code != CASEBUS_DISK_FULL || !pipeline_wait_for_room(pipeline, &tries, "LEDGER-FULL", err))
            return -1;
    return 0;
}

static int state_write_out(struct pipeline *pipeline, struct casebus_error *err)
{
    unsigned tries = 0;
    while (state_write(pipeline->options.state, NULL, err))
        if (err->code != CASEBUS_DISK_FULL || !pipeline_wait_for_room(pipeline, &tries, "STATE-FULL", err))
            return -1;
    return 0;
}

/* A token that was pulled out comes back: until then what waits is in the journal, and nobody has a receipt.
 */
static int sign(struct pipeline *pipeline, char note[NOTE_MAX], const struct checkpoint *checkpoint,
                struct casebus_error *err)
{
    unsigned tries = 0;
    for (;;) {
        int size = checkpoint_sign(note, NOTE_MAX, checkpoint, pipeline->origin,
                                   pipeline->options.log_signing_key, err);
        if (size >= 0 || err->code != CASEBUS_TOKEN || !pipeline_wait_for_token(pipeline, &tries, err))
            return size;
    }
}

static int publish_checkpoint(struct pipeline *pipeline, const struct group *last, struct casebus_error *err)
{
    char note[NOTE_MAX];
    struct checkpoint checkpoint = {.size = last->tree_size};
    snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", pipeline->origin);
    memcpy(checkpoint.root, last->root, DIGEST_SIZE);
    int size = sign(pipeline, note, &checkpoint, err);
    if (size < 0)
        return -1;
    return ledger_publish(pipeline->options.ledger, last->tree_size, bytes_of(note, (size_t)size), err);
}

static int keep(struct pipeline *pipeline, struct group *groups, struct casebus_error *err)
{
    const struct group *last = groups;
    while (last->next)
        last = last->next;
    /* The checkpoint rides in the transaction of the entries that it is about. */
    if (publish_checkpoint(pipeline, last, err) || ledger_write(pipeline, groups, err) ||
        state_write_out(pipeline, err))
        return -1;
    uint64_t size = last->tree_size;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->counters.persisted_size = size;
    pthread_mutex_unlock(&pipeline->lock);
    pipeline->options.on_persisted(pipeline->options.self, size);
    return journal_trim(pipeline->options.journal, size, err);
}

/* Spare segments can wait, slots cannot: whoever needs one waits for it. */
static void make_room(struct pipeline *pipeline)
{
    struct casebus_error err;
    bool ready = journal_prepare(pipeline->options.journal, &err) == 0;
    if (!ready && !pipeline->keeper.no_segments)
        log_warning(pipeline->options.log, "JOURNAL-PREPARE", "%s", err.text);
    pipeline->keeper.no_segments = !ready;
    bool failed = vault_prepare(pipeline->options.vault, &err) != 0;
    if (failed && err.code == CASEBUS_DISK_FULL) {
        log_warning(pipeline->options.log, "VAULT-PREPARE", "%s", err.text);
        sleep(1); /* who waits for slots asks again */
    } else if (failed) {
        pipeline_fail(pipeline, &err);
    }
    pthread_mutex_lock(&pipeline->lock);
    pipeline->keeper.no_slots = failed;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

void *keeper_main(void *self)
{
    struct pipeline *pipeline = self;
    pthread_setname_np(pthread_self(), "keeper");
    struct keeper *keeper = &pipeline->keeper;
    for (;;) {
        pthread_mutex_lock(&pipeline->lock);
        while (!keeper->groups && !keeper->slots_wanted && !keeper->stop)
            pthread_cond_wait(&keeper->posted, &pipeline->lock);
        struct group *groups = keeper->groups;
        bool ends = !groups && !keeper->slots_wanted;
        keeper->groups = NULL;
        keeper->slots_wanted = false;
        pthread_mutex_unlock(&pipeline->lock);
        if (ends)
            return NULL;

        struct casebus_error err;
        make_room(pipeline);
        if (groups && keep(pipeline, groups, &err))
            pipeline_fail(pipeline, &err);
        while (groups) {
            struct group *group = groups;
            groups = group->next;
            group_unref(group);
        }
        malloc_trim(TRIM_KEEPS);
        pthread_mutex_lock(&pipeline->lock);
        keeper->busy = keeper->groups != NULL;
        pthread_cond_broadcast(&pipeline->changed);
        pthread_mutex_unlock(&pipeline->lock);
        queue_nudge(&pipeline->queue);
    }
}
