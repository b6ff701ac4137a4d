/* Eventlog: a source that reads an event log, CSV or XES, plain or gzip. */
#ifndef EVENTLOG_EVENTLOG_H
#define EVENTLOG_EVENTLOG_H

#include "adapters/runner/kinds.h"

extern const struct source_kind eventlog_source;

#endif
