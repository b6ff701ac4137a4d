/* Door: where a node joins that does not know the hub's key yet: a ROUTER without CURVE, of its own. It is
 * open only while somebody is invited; then nothing listens there any more. What is said there is no secret:
 * each side shows that it knows the code by MACs (proto/codec/joining.h). A peer costs little, gets few bytes
 * and little time, and hears nothing that it has not earned. */
#ifndef DOOR_DOOR_H
#define DOOR_DOOR_H

#include "hub/door/invitations.h"
#include "proto/base/log.h"

struct door;

struct door_options {
    const char *address; /* tcp://...; "" : this hub has no door */
    struct invitations *book;
    const struct suite *suite;
    const char *origin;
    struct bytes authority;   /* DER; copied */
    const char *log_key;      /* vkey */
    const uint8_t *curve_key; /* CURVE_KEY_SIZE, public; copied */
    const char *endpoint;     /* where nodes connect */
    const struct log *log;
    /* Enrols who asks by @id without an operator; the door's thread. */
    int (*approve)(void *self, const uint8_t id[INVITATION_SIZE], struct casebus_error *err);
    void *self;
};

/* The texts and keys of @options live as long as the door. */
int door_new(struct door **doorp, const struct door_options *options, struct casebus_error *err);
struct door *door_free(struct door *door); /* shuts it; NULL in, NULL out */

/* Opens it if it is shut, and keeps it open until door_release, from when on it is open as long as the book
 * wants. CASEBUS_NETWORK when it cannot listen. Any thread. */
int door_hold(struct door *door, struct casebus_error *err);
void door_release(struct door *door);
/* The hub has another CURVE key, or another authority, from now on. Any thread. */
void door_set_curve_key(struct door *door, const uint8_t key[CURVE_KEY_SIZE]);
void door_set_authority(struct door *door, struct bytes authority);
/* Whether it listens now. */
bool door_is_open(struct door *door);

#endif
