/* Rejoin: a folder that holds a node comes to its hub again. A hub that was restored from a backup does not
 * know a node that was enrolled after it; the node's keys, its outbox and what the hub had signed for it are
 * still there, and have to be, for the node to bring what the hub has lost.
 *
 * So the node stays in the generation that its folder knows, and gets only a new certificate: when it
 * connects, the hub proves the later generation to it like to any other node. */
#ifndef CLI_REJOIN_H
#define CLI_REJOIN_H

#include "proto/base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct rejoin {
    const char *dir;
    json_t *before; /* DIR/enrolment.json; NULL: there is none */
};

/* Who the command says the node is, and which hub answers. */
struct rejoin_wanted {
    const char *node;
    const char *department;
    const char *area;
    const char *origin;  /* of the hub */
    const char *log_key; /* of the hub; NULL when it does not tell */
};

/* Reads what @dir holds. To be closed whatever comes of it. */
int rejoin_open(struct rejoin *rejoin, const char *dir, struct casebus_error *err);
void rejoin_close(struct rejoin *rejoin);
/* Whether the folder is of this very node and hub: CASEBUS_EXISTS or CASEBUS_HUB_IDENTITY when not. */
int rejoin_check(const struct rejoin *rejoin, const struct rejoin_wanted *wanted, struct casebus_error *err);
/* Makes of the hub's @answer what has to stand in enrolment.json, and puts the old one into DIR/evidence.
 * Returns 1, or 0 when the hub knew the node: then the old one stays. */
int rejoin_take(const struct rejoin *rejoin, json_t *answer, struct casebus_error *err);

#endif
