/* Source: where a log's files are read from (C2SP tlog-tiles): a hub's monitors' address, or an exported
 * directory. */
#ifndef WATCH_SOURCE_H
#define WATCH_SOURCE_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

struct source;

/* @where: http://..., https://... or a directory. @token: an auditor's, or NULL. @stop (may be NULL) is asked
 * while an answer is waited for; true: give up, with CASEBUS_CLOSED. */
int source_open(struct source **sourcep, const char *where, const char *token, bool (*stop)(void *self),
                void *self, struct casebus_error *err);
struct source *source_close(struct source *source); /* NULL in, NULL out */
/* Reads @path ("checkpoint", "tile/..."), at most @max bytes, into @out, which is initialised here and which
 * the caller deinits. CASEBUS_NOT_FOUND, CASEBUS_NOT_ALLOWED, CASEBUS_NETWORK ... */
int source_get(struct source *source, const char *path, size_t max, struct buffer *out,
               struct casebus_error *err);

#endif
