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
/* Adds @act, whose subject is @subject, and seals the note beside it. Writer's thread. */
int act_add_noted(struct pipeline *pipeline, struct group *group, const Casebus__V1__ActEntry *act,
                  const uint8_t subject[DIGEST_SIZE], const struct act_note *note, struct casebus_error *err);
/* What @note's operator decided about what was refused at @position. Writer's thread. */
int quarantine_decided_write(struct pipeline *pipeline, struct group *group, uint64_t position,
                             Casebus__V1__QuarantineDecision decision, const struct act_note *note,
                             struct casebus_error *err);

#endif
