/* Retention: rules for how long content is kept, DIR/retention.yaml. Nothing is destroyed unless a rule says
 * so and somebody runs it (casebus erase --retention).
 *
 *   - item: "320100-0042"   # cases whose item begins with this; "*" is every one
 *     days: 3650            # after the case was finished
 *
 * The law wants most files kept for three years at least: a rule with fewer days has to name what allows it
 * (basis). */
#ifndef HUB_RETENTION_H
#define HUB_RETENTION_H

#include "hub/pipeline/erasure.h"

#define RETENTION_DAYS_LEAST 1096

/* CASEBUS_NOT_FOUND when there is no file; CASEBUS_CONFIG names what is wrong. */
int retention_read(const char *dir, struct erasure_rule *rules, size_t *n, size_t max,
                   struct casebus_error *err);

#endif
