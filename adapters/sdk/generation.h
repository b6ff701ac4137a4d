/* Generation: a hub that was restored from a backup goes on under the next generation of its origin, with the
 * same keys and in the same tree, up to where the backup reached. This node follows when the hub proves that,
 * keeps what the generation before had signed as evidence, and sends again what was lost.
 *
 * DIR/generation holds the origin that was adopted; what enrolment.json says is older. */
#ifndef SDK_GENERATION_H
#define SDK_GENERATION_H

#include "adapters/sdk/confirmed.h"
#include "adapters/sdk/inbox.h"

/* Applies DIR/generation to what enrolment.json said, and moves aside what an earlier generation signed. */
int generation_load(struct enrolment *enrolment, const char *dir, struct casebus_error *err);

struct generation {
    char origin[ORIGIN_MAX]; /* under which the hub goes on */
    uint64_t position;       /* entries from here on are not those that were there before */
    struct checkpoint shown; /* the newest that others had seen, as far as the hub knows */
};

/* Whether @welcome proves that the hub of @enrolment goes on under another generation. The checkpoint that
 * @witness holds must lie in the tree before it, or is known to be lost. */
int generation_check(struct generation *generation, const Casebus__V1__Welcome *welcome,
                     const struct enrolment *enrolment, const struct witness *witness, struct arena *arena,
                     struct casebus_error *err);
/* Makes it this node's, on disk: the origin, and no checkpoint yet. */
int generation_adopt(const struct generation *generation, struct enrolment *enrolment, const char *dir,
                     struct witness *witness, struct confirmed *confirmed, struct casebus_error *err);

#endif
