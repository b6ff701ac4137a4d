/* Keeper: brings ledger and state up behind the journal, a few megabytes at a time, and makes room ahead.
 *
 * Order of a round: spare segments and vault slots, then the ledger (one synced transaction), its checkpoint
 * and the state; then the journal may forget. A crash in between is mended by replay: each store says itself
 * how far it is. */
#include "hub/pipeline/internal.h"
#include "proto/base/texts.h"

#include <stdlib.h>
#include <unistd.h>

void keeper_post(struct pipeline *pipeline, struct group *groups)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->keeper.groups = groups;
    pipeline->keeper.busy = true;
    pipeline->flush_wanted = false;
    pthread_cond_signal(&pipeline->keeper.posted);
    pthread_mutex_unlock(&pipeline->lock);
}

static int ledger_write(struct pipeline *pipeline, const struct group *groups, const struct group **last,
                        struct casebus_error *err)
{
    size_t n = 0, i = 0;
    for (const struct group *group = groups; group; group = group->next)
        n += group->n_entries;
    struct ledger_row *rows = calloc(n, sizeof(*rows));
    if (!rows)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to write %zu ledger entries"), n);
    for (const struct group *group = groups; group; group = group->next) {
        const uint8_t *hashes = group->hashes ? group->hashes[0] : NULL;
        for (size_t k = 0; k < group->n_entries; k++, i++) {
            rows[i] = (struct ledger_row){group->entries[k].leaf, group->entries[k].body, hashes,
                                          group->hash_counts[k]};
            hashes += (size_t)group->hash_counts[k] * DIGEST_SIZE;
        }
        *last = group;
    }
    int r;
    while ((r = ledger_append(pipeline->options.ledger, groups->first_position, rows, n, err)) &&
           err->code == CASEBUS_DISK_FULL) {
        log_error(pipeline->options.log, "LEDGER-FULL", "%s; %s", err->text,
                  _("nothing is lost: it waits in the journal"));
        sleep(1);
        if (pipeline_failed(pipeline))
            break;
    }
    free(rows);
    return r;
}

static int publish_checkpoint(struct pipeline *pipeline, const struct group *last, struct casebus_error *err)
{
    char note[NOTE_MAX];
    struct checkpoint checkpoint = {.size = last->tree_size};
    snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", pipeline->origin);
    memcpy(checkpoint.root, last->root, DIGEST_SIZE);
    int size =
        checkpoint_sign(note, sizeof(note), &checkpoint, pipeline->origin, pipeline->options.log_signing_key);
    if (size < 0)
        return error_set(err, CASEBUS_INTERNAL, "a checkpoint does not fit into %d bytes", NOTE_MAX);
    return ledger_publish(pipeline->options.ledger, last->tree_size, bytes_of(note, (size_t)size), err);
}

static int keep(struct pipeline *pipeline, struct group *groups, struct casebus_error *err)
{
    const struct group *last = groups;
    if (ledger_write(pipeline, groups, &last, err) || publish_checkpoint(pipeline, last, err))
        return -1;
    if (state_write(pipeline->options.state, NULL, err))
        return -1;
    uint64_t size = last->tree_size;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->counters.persisted_size = size;
    pthread_mutex_unlock(&pipeline->lock);
    pipeline->options.on_persisted(pipeline->options.self, size);
    return journal_trim(pipeline->options.journal, size, err);
}

static void make_room(struct pipeline *pipeline)
{
    struct casebus_error err;
    if (journal_prepare(pipeline->options.journal, &err))
        log_warning(pipeline->options.log, "JOURNAL-PREPARE", "%s", err.text);
    if (vault_prepare(pipeline->options.vault, &err)) {
        log_warning(pipeline->options.log, "VAULT-PREPARE", "%s", err.text);
        sleep(1); /* a full disk: who waits for slots asks again */
    }
    pthread_mutex_lock(&pipeline->lock);
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
        pthread_mutex_lock(&pipeline->lock);
        keeper->busy = keeper->groups != NULL;
        pthread_cond_broadcast(&pipeline->changed);
        pthread_mutex_unlock(&pipeline->lock);
        queue_nudge(&pipeline->queue);
    }
}
