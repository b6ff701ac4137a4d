/* Act note: who did an operator's act, and why. It lies sealed beside the entry, because people are named in
 * it. */
#ifndef PIPELINE_ACT_NOTE_H
#define PIPELINE_ACT_NOTE_H

#include "hub/pipeline/pipeline.h"

#define ACT_BY_MAX 64

struct act_note {
    const char *by;     /* as the hub's machine knows them */
    const char *words;  /* may be empty */
    const char *second; /* who agreed; may be empty */
};

/* Seals the note and then @n_more things beside the entry of @group that was added last, under a slot of its
 * own. @subject: the act's. Writer's thread. */
int act_note_seal(struct pipeline *pipeline, struct group *group, const uint8_t subject[DIGEST_SIZE],
                  const struct act_note *note, const struct bytes *more, size_t n_more,
                  struct casebus_error *err);

#endif
