/* Reach: whether anybody listens at a TCP address, and if not, in what way: libzmq tries again in silence. */
#ifndef SDK_REACH_H
#define SDK_REACH_H

#include "proto/base/error.h"

/* Connects to tcp://HOST:PORT and lets go again. CASEBUS_CLOSED: the machine is there, and nobody listens;
 * CASEBUS_TIMEOUT: nothing comes back; CASEBUS_NETWORK: anything else, such as a name that nobody knows. */
int reach(const char *endpoint, int timeout_ms, struct casebus_error *err);

#endif
