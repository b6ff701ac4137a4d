/* Vouched: keys for which the hub's operator alone vouches, since no key before them does: the next one of a
 * name whose keys were revoked, and, for departments that are watched closely, the first one of each node.
 * Whether the department made it has to be asked of the department; what it has said stands in DIR/accepted,
 * the id of a key a line, and counts in advance as well. */
#ifndef WATCH_VOUCHED_H
#define WATCH_VOUCHED_H

#include "proto/crypto/certificate.h"

#include <limits.h>

struct vouched_key {
    uint64_t position; /* of its enrolment */
    char node[NODE_NAME_MAX];
    char department[64];
    uint8_t id[KEY_ID_SIZE];
    bool first; /* of its node; otherwise the next one after a revocation */
    bool accepted;
};

struct vouched {
    char path[PATH_MAX]; /* of DIR/accepted */
    const char *const *departments;
    size_t n_departments; /* whose first keys count */
    struct vouched_key *keys;
    size_t n, room;
    size_t n_open; /* of them not accepted */
    bool failed;   /* there was no memory for one */
};

void vouched_deinit(struct vouched *vouched);
/* Adds @ids to those that are accepted; @n may be 0. */
int vouched_accept(const struct vouched *vouched, const uint8_t (*ids)[KEY_ID_SIZE], size_t n,
                   struct casebus_error *err);
/* Forgets all keys; what is accepted stays. */
void vouched_begin(struct vouched *vouched);
/* A key for which no key before it stands good. */
void vouched_meet(struct vouched *vouched, uint64_t position, const struct certificate_info *info,
                  bool after_revoked);
/* Reads what is accepted. */
int vouched_judge(struct vouched *vouched, struct casebus_error *err);

#endif
