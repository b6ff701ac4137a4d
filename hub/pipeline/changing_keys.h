/* Changing the hub's own keys: an act of the ledger, before any of them is used. */
#ifndef PIPELINE_CHANGING_KEYS_H
#define PIPELINE_CHANGING_KEYS_H

#include "hub/pipeline/pipeline.h"

/* Commits @changed and returns when that is durable. */
int pipeline_change_keys(struct pipeline *pipeline, const Casebus__V1__HubKeysChanged *changed,
                         struct casebus_error *err);

#endif
