/* Expiry: which certificates end within thirty days. The hub says so when it starts and once a day. */
#ifndef HUB_EXPIRY_H
#define HUB_EXPIRY_H

#include "hub/gate/registry.h"
#include "proto/base/log.h"

#define EXPIRY_TOLD_EVERY_MS (24ull * 60 * 60 * 1000)

/* A line for each node whose certificate ends or has ended, and one for @authority (DER) when it does. */
void expiry_tell(const struct registry *registry, struct bytes authority, const struct log *log);

#endif
