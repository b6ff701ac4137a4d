/* What an operator decided about something in quarantine, and what became of what was released.
 *
 * A released member was accounted for as refused by the seal of its batch, which signs for it still. So its
 * entry takes no number of its stream a second time: it stands right behind the decision and names it, and
 * the seal says of its number that its event, the one in quarantine, was refused. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#define BACK_MAX (2 * BATCH_MAX_EVENTS + 1) /* from a refused member to its seal */

/* The entry before the one at hand; NULL with @err. */
static Casebus__V1__LedgerEntry *entry_before(struct verify *verify, uint64_t position,
                                              struct casebus_error *err)
{
    struct bytes leaf;
    if (position >= verify->position) {
        error_set(err, CASEBUS_DAMAGED, _("it names entry %llu, which comes later"),
                  (unsigned long long)position);
        return NULL;
    }
    if (ledger_view_leaf(verify->scanner.view, position, &leaf, err))
        return NULL;
    return entry_decode(leaf, &verify->scanner.arena, err);
}

static bool is_act(const Casebus__V1__LedgerEntry *entry, Casebus__V1__ActEntry__ActCase act)
{
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT && entry->act->act_case == act;
}

static const Casebus__V1__Quarantined *quarantined_at(struct verify *verify, uint64_t position,
                                                      struct casebus_error *err)
{
    const Casebus__V1__LedgerEntry *entry = entry_before(verify, position, err);
    if (!entry)
        return NULL;
    if (is_act(entry, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED))
        return entry->act->quarantined;
    error_set(err, CASEBUS_DAMAGED, _("entry %llu of the ledger is nothing in quarantine"),
              (unsigned long long)position);
    return NULL;
}

/* Where the position is among those decided about, or belongs. */
static size_t decided_place(const struct verify *verify, uint64_t position)
{
    size_t low = 0, high = verify->n_decided;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (verify->decided[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int verify_quarantine_decided(struct verify *verify, const Casebus__V1__QuarantineDecided *decided,
                              struct casebus_error *err)
{
    if (!quarantined_at(verify, decided->quarantined, err))
        return -1;
    if (decided->decision != CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED &&
        decided->decision != CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_DISCARDED)
        return error_set(err, CASEBUS_DAMAGED, _("it decides nothing about what was refused at entry %llu"),
                         (unsigned long long)decided->quarantined);
    size_t place = decided_place(verify, decided->quarantined);
    if (place < verify->n_decided && verify->decided[place] == decided->quarantined)
        return error_set(err, CASEBUS_DAMAGED,
                         _("the ledger decides twice about what was refused at entry %llu"),
                         (unsigned long long)decided->quarantined);
    if (verify_grow((void **)&verify->decided, verify->n_decided, sizeof *verify->decided, err))
        return -1;
    memmove(verify->decided + place + 1, verify->decided + place,
            (verify->n_decided - place) * sizeof *verify->decided);
    verify->decided[place] = decided->quarantined;
    verify->n_decided++;
    return 0;
}

/* ---- what was released ---- */

static bool outcome_says(const Casebus__V1__SealEntry *seal, uint64_t index,
                         const Casebus__V1__EventEntry *event)
{
    for (size_t i = 0; i < seal->n_outcome; i++)
        if (seal->outcome[i]->index == index)
            return *seal->outcome[i]->code &&
                   bytes_equal(bytes_of(seal->outcome[i]->event_hash.data, seal->outcome[i]->event_hash.len),
                               bytes_of(event->event_hash.data, event->event_hash.len));
    return false;
}

/* The seal that stands before what was refused at @quarantined says that @event's number was refused. */
static int seal_check(struct verify *verify, uint64_t quarantined, const Casebus__V1__EventEntry *event,
                      struct casebus_error *err)
{
    for (uint64_t back = 1; back <= BACK_MAX && back <= quarantined; back++) {
        const Casebus__V1__LedgerEntry *entry = entry_before(verify, quarantined - back, err);
        if (!entry)
            return -1;
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
            continue;
        const Casebus__V1__SealEntry *seal = entry->seal;
        const Casebus__V1__BatchStatement *statement = statement_decode(
            bytes_of(seal->statement.data, seal->statement.len), &verify->scanner.arena, err);
        if (!statement)
            return -1;
        if (strcmp(statement->node, event->node) == 0 && statement->stream == event->stream &&
            event->number >= statement->first && outcome_says(seal, event->number - statement->first, event))
            return 0;
        break;
    }
    return error_set(err, CASEBUS_DAMAGED,
                     _("event %llu of node '%s' was released, but no seal says that it was refused"),
                     (unsigned long long)event->number, event->node);
}

int verify_released(struct verify *verify, const Casebus__V1__EventEntry *event,
                    const uint64_t *seal_position, struct casebus_error *err)
{
    uint64_t from = event->released_from - 1;
    uint64_t behind = seal_position ? *seal_position : verify->position;
    const Casebus__V1__LedgerEntry *before = behind ? entry_before(verify, behind - 1, err) : NULL;
    const Casebus__V1__Quarantined *quarantined = before ? quarantined_at(verify, from, err) : NULL;
    if (!quarantined)
        return -1;
    if (!is_act(before, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED) ||
        before->act->quarantine_decided->quarantined != from ||
        before->act->quarantine_decided->decision !=
            CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED)
        return error_set(err, CASEBUS_DAMAGED,
                         _("event %llu of node '%s' stands as released, but no operator released it"),
                         (unsigned long long)event->number, event->node);
    bool same = strcmp(quarantined->node, event->node) == 0 &&
                quarantined->whole_batch == (seal_position != NULL) &&
                (seal_position || bytes_equal(bytes_of(quarantined->subject.data, quarantined->subject.len),
                                              bytes_of(event->event_hash.data, event->event_hash.len)));
    if (!same)
        return error_set(err, CASEBUS_DAMAGED,
                         _("event %llu of node '%s' is not what was released from entry %llu"),
                         (unsigned long long)event->number, event->node, (unsigned long long)from);
    return seal_position ? 0 : seal_check(verify, from, event, err);
}
