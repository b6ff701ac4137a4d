/* Phone: asks the hub that runs on this directory, over its socket. */
#ifndef BACKUP_PHONE_H
#define BACKUP_PHONE_H

#include "proto/base/error.h"

/* POST @target with @body (JSON, or NULL) to DIR/hub.sock. 1: done; 0: no hub runs there; -1: it failed, @err
 * is in the hub's words. */
int phone_post(const char *dir, const char *target, const char *body, struct casebus_error *err);

#endif
