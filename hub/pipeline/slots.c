#include "hub/pipeline/slots.h"

#include "hub/pipeline/internal.h"

static struct slot_key *cached(struct pipeline *pipeline, uint64_t slot)
{
    return &pipeline->writer.slot_keys[slot % SLOTS_CACHED];
}

int slots_take(struct pipeline *pipeline, struct slot_key *slot, struct casebus_error *err)
{
    struct casebus_error busy = {.code = CASEBUS_OK};
    if (vault_take(pipeline->options.vault, &slot->slot, slot->key, &busy)) {
        if (busy.code != CASEBUS_BUSY) {
            *err = busy;
            return -1;
        }
        /* The keeper makes slots ahead by the thousand; a burst of new cases can outrun it. */
        if (vault_prepare(pipeline->options.vault, err) ||
            vault_take(pipeline->options.vault, &slot->slot, slot->key, err))
            return -1;
    }
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
