/* Where a socket lies. The kernel's address has room for 107 bytes; a longer path is reached through an open
 * descriptor of its directory. */
#ifndef CONSOLE_SOCKET_PLACE_H
#define CONSOLE_SOCKET_PLACE_H

#include "proto/base/error.h"

#include <sys/socket.h>
#include <sys/un.h>

struct socket_place {
    struct sockaddr_un address; /* good while the place is open */
    int dir_fd;                 /* -1: not needed */
};

int socket_place_open(struct socket_place *place, const char *path, struct casebus_error *err);
void socket_place_close(struct socket_place *place);
/* Whether somebody listens there. */
bool socket_place_alive(const struct socket_place *place);

/* Opens the socket that was bound there to the hub's user and, unless it is NULL, to the members of @group.
 */
int socket_place_admit(const struct socket_place *place, const char *group, struct casebus_error *err);

#endif
