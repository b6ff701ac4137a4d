/* Invite: requests of nodes that were invited, decided. */
#ifndef CONSOLE_INVITE_H
#define CONSOLE_INVITE_H

#include "hub/console/console.h"

/* Enrols whoever asks by the invitation @id. CASEBUS_NOT_FOUND when nobody does, CASEBUS_CLOSED when it has
 * expired. Any thread. */
int console_approve(const struct console_hub *hub, const struct log *log, const uint8_t id[INVITATION_SIZE],
                    struct casebus_error *err);

#endif
