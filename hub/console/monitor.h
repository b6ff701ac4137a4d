/* Monitor: the hub's listener for those who watch the log from outside: HTTP over TCP, raw routes only. It
 * serves checkpoints and tiles (C2SP tlog-tiles) to everybody, entries to auditors, and none of the console.
 * Plain HTTP: beyond this machine it stands behind a proxy that speaks TLS. */
#ifndef CONSOLE_MONITOR_H
#define CONSOLE_MONITOR_H

#include "hub/console/console.h"

#define MONITOR_OFF "off"

struct monitor;

/* Listens on @address, "ADDRESS:PORT" (port 0: one that is free). @hub is copied. */
int monitor_start(struct monitor **monitorp, const struct console_hub *hub, const char *address,
                  const struct log *log, struct casebus_error *err);
/* The address that it is bound to; NULL for no monitor. */
const char *monitor_address(const struct monitor *monitor);
/* Lets requests under way end. NULL in, NULL out. */
struct monitor *monitor_stop(struct monitor *monitor);

#endif
