/* Evidence: what an alarm was about, kept in DIR/evidence. Each thing has the name of what it is, so that the
 * same alarm, raised again, takes no more room. */
#ifndef WATCH_EVIDENCE_H
#define WATCH_EVIDENCE_H

#include "hub/watch/bundles.h"
#include "proto/base/bytes.h"
#include "proto/base/error.h"

/* Keeps the checkpoint that was agreed with before (a file; it may be missing), @note, which contradicts it,
 * and the bundles that were taken for it. The hint of @err says what is kept where, or why it is not. */
void evidence_keep(const char *dir, const char *before_path, struct bytes note, struct bundles *bundles,
                   struct casebus_error *err);

#endif
