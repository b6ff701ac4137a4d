#include "hub/pipeline/act_note.h"

#include "hub/pipeline/internal.h"
#include "hub/pipeline/slots.h"
#include "proto/base/texts.h"

#define MORE_MAX 8

static struct bytes note_pack(const struct act_note *note, struct arena *arena)
{
    Casebus__V1__OperatorNote message = CASEBUS__V1__OPERATOR_NOTE__INIT;
    message.operator_ = (char *)(uintptr_t)note->by;
    message.words = (char *)(uintptr_t)note->words;
    message.second = (char *)(uintptr_t)note->second;
    return codec_pack(&message, arena);
}

int act_note_seal(struct pipeline *pipeline, struct group *group, const uint8_t subject[DIGEST_SIZE],
                  const struct act_note *note, const struct bytes *more, size_t n_more,
                  struct casebus_error *err)
{
    struct bytes items[1 + MORE_MAX] = {note_pack(note, &group->arena)};
    struct slot_key slot = {0};
    struct body_seal seal = {0};
    assert(n_more <= MORE_MAX);
    if (!items[0].data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an operator's note"));
    for (size_t i = 0; i < n_more; i++)
        items[1 + i] = more[i];
    if (slots_take(pipeline, &slot, err) ||
        body_seal_items(pipeline->writer.crypter, pipeline->origin, subject, items, 1 + n_more, &group->arena,
                        &seal, err))
        return -1;
    return body_wrap(pipeline->writer.crypter, pipeline->origin, &seal, slot.slot, slot.key, &group->arena,
                     &group->entries[group->n_entries - 1].body, err);
}

int act_add_noted(struct pipeline *pipeline, struct group *group, const Casebus__V1__ActEntry *act,
                  const uint8_t subject[DIGEST_SIZE], const struct act_note *note, struct casebus_error *err)
{
    return writer_add_act(pipeline, group, act, err) ||
                   act_note_seal(pipeline, group, subject, note, NULL, 0, err)
               ? -1
               : 0;
}

int quarantine_decided_write(struct pipeline *pipeline, struct group *group, uint64_t position,
                             Casebus__V1__QuarantineDecision decision, const struct act_note *note,
                             struct casebus_error *err)
{
    uint8_t subject[DIGEST_SIZE];
    Casebus__V1__QuarantineDecided decided = CASEBUS__V1__QUARANTINE_DECIDED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    crypter_random(pipeline->writer.crypter, subject, sizeof subject);
    decided.quarantined = position;
    decided.decision = decision;
    decided.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED;
    act.quarantine_decided = &decided;
    return act_add_noted(pipeline, group, &act, subject, note, err);
}
