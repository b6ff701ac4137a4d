/* Slots: the writer's way to vault keys, with a small cache so that a busy case costs no unwrapping. */
#ifndef PIPELINE_SLOTS_H
#define PIPELINE_SLOTS_H

#include "hub/pipeline/pipeline.h"

#define SLOTS_CACHED 4096

struct slot_key {
    uint64_t slot; /* 0: none */
    uint8_t key[KEY_SIZE];
};

/* Takes a new slot; waits for the keeper when none is ready. */
int slots_take(struct pipeline *pipeline, struct slot_key *slot, struct casebus_error *err);
/* Fills in the key of slot->slot. */
int slots_key(struct pipeline *pipeline, struct slot_key *slot, struct casebus_error *err);
/* The slot is about to be destroyed: its key is wiped from the cache. */
void slots_forget(struct pipeline *pipeline, uint64_t slot);

#endif
