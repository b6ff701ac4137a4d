/* The door's own rooms: its thread, its guard and what is said. */
#ifndef DOOR_INTERNAL_H
#define DOOR_INTERNAL_H

#include "hub/door/door.h"
#include "proto/codec/joining.h"

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#define ROUTING_ID_SIZE 5
#define TALKS_MAX       64
#define GUARD_MAX       64 /* connections at a time */

/* One conversation: from Join until another takes its place. */
struct talk {
    uint8_t routing_id[ROUTING_ID_SIZE];
    uint8_t invitation[INVITATION_SIZE];
    struct joining joining;
    uint64_t serial; /* 0: free */
};

struct guarded {
    int fd;
    uint64_t since_ns;
    bool open;
};

/* Who is connected, for how long and with how many bytes. */
struct guard {
    void *monitor;
    int port; /* of the door; only descriptors of that port are touched */
    struct guarded at[GUARD_MAX];
};

struct door {
    struct door_options options;
    void *context, *router; /* of the thread, while it runs */
    struct guard guard;
    struct talk talks[TALKS_MAX];
    uint64_t serial;
    struct arena arena;
    pthread_mutex_t lock; /* guards what follows */
    pthread_t thread;
    bool started; /* there is a thread to join */
    bool open;    /* it listens */
    bool stop;
    unsigned holds;
    uint8_t curve_key[CURVE_KEY_SIZE];
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
};

int guard_open(struct door *door, struct casebus_error *err);
void guard_close(struct door *door);
/* Takes what the monitor tells; shuts who has had enough. */
void guard_look(struct door *door);

/* Answers one frame. @reply stays empty when nothing is to be said; it lies in the door's arena. */
void talk_hear(struct door *door, const uint8_t routing_id[ROUTING_ID_SIZE], struct bytes frame,
               struct bytes *reply);

#endif
