#include "hub/pipeline/slots.h"

#include "hub/pipeline/internal.h"
#include "proto/base/texts.h"

static struct slot_key *cached(struct pipeline *pipeline, uint64_t slot)
{
    return &pipeline->writer.slot_keys[slot % SLOTS_CACHED];
}

/* Slots are made ahead by the thousand, by the keeper alone; a burst of new cases can outrun it. */
static int wait_for_slots(struct pipeline *pipeline, struct casebus_error *err)
{
    pthread_mutex_lock(&pipeline->lock);
    bool hopeless = pipeline->failed;
    while (!vault_ready(pipeline->options.vault) && !hopeless) {
        pipeline->keeper.slots_wanted = true;
        pthread_cond_signal(&pipeline->keeper.posted);
        pthread_cond_wait(&pipeline->changed, &pipeline->lock);
        hopeless = pipeline->failed || (pipeline->stopping && pipeline->keeper.no_slots);
    }
    pthread_mutex_unlock(&pipeline->lock);
    return hopeless ? error_set(err, CASEBUS_CLOSED, _("the vault can make no more slots")) : 0;
}

int slots_take(struct pipeline *pipeline, struct slot_key *slot, struct casebus_error *err)
{
    while (vault_take(pipeline->options.vault, &slot->slot, slot->key, err))
        if (err->code != CASEBUS_BUSY || wait_for_slots(pipeline, err))
            return -1;
    *cached(pipeline, slot->slot) = *slot;
    return 0;
}

int slots_key(struct pipeline *pipeline, struct slot_key *slot, struct casebus_error *err)
{
    const struct slot_key *known = cached(pipeline, slot->slot);
    if (known->slot == slot->slot) {
        *slot = *known;
        return 0;
    }
    if (vault_key(pipeline->options.vault, slot->slot, slot->key, err))
        return -1;
    *cached(pipeline, slot->slot) = *slot;
    return 0;
}

void slots_forget(struct pipeline *pipeline, uint64_t slot)
{
    struct slot_key *known = cached(pipeline, slot);
    if (known->slot == slot)
        secret_clear(known, sizeof(*known));
}
