/* Connection: one line to the hub, a ZeroMQ DEALER under CURVE, on a libuv loop. It is used for one session
 * and thrown away: reconnecting, and how long to wait before, is the session's business. */
#ifndef SDK_CONNECTION_H
#define SDK_CONNECTION_H

#include "adapters/sdk/enrolment.h"

#include <uv.h>

struct connection;

enum connection_state {
    CONNECTION_OPEN = 1,    /* connecting or connected */
    CONNECTION_LOST = 2,    /* nobody answers, or the connection ended */
    CONNECTION_REFUSED = 3, /* the hub did not let us in */
};

/* Begins to connect. @on_wake(self) is called from the loop when something may have happened; it then uses
 * connection_receive until nothing is left. CASEBUS_CONFIG when @endpoint is not usable. */
int connection_open(struct connection **connectionp, void *context, uv_loop_t *loop,
                    const struct enrolment *enrolment, const char *endpoint, void (*on_wake)(void *self),
                    void *self, struct casebus_error *err);
/* Ends it at once, but for frames that were sent, which get @linger_ms to leave. Its memory goes when the
 * loop next runs. NULL in, NULL out. */
struct connection *connection_close(struct connection *connection, int linger_ms);

/* Sends a frame in memory from malloc, which is the connection's from here on. Frames wait in the connection
 * while the connection is busy. */
int connection_send(struct connection *connection, uint8_t *frame, size_t size, struct casebus_error *err);
/* Whether frames wait, so that it is better not to make more. */
bool connection_is_busy(const struct connection *connection);

/* Does what there is to do with waiting frames and the connection; returns its state. */
enum connection_state connection_work(struct connection *connection);
/* With CONNECTION_REFUSED: not this node's key was refused; the hub may have another one. */
bool connection_doubts_hub(const struct connection *connection);
/* Why the connection is not open any more, for people. */
const char *connection_reason(const struct connection *connection);
/* 1: @frame is filled in, valid until the next call; 0: there is none now. */
int connection_receive(struct connection *connection, struct bytes *frame);
/* Whether connection_receive or connection_work have something to do without waiting. Has to be false before
 * the loop may sleep, since the descriptor of ZeroMQ wakes it only once for everything that happened. */
bool connection_has_work(struct connection *connection);

#endif
