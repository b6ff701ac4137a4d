/* What the proven leaves say: batches and their members, parts, acts, and what receivers signed for. */
#include "proto/evidence/private.h"

#include "proto/base/texts.h"

#include <stdlib.h>

/* The certificate's own period is no part of the rule (positions are), but a reader should know. */
static int period_look(struct verification *v, const struct enrolment *enrolment,
                       const struct proven_leaf *leaf, struct casebus_error *err)
{
    int64_t at = leaf->entry->hub_time_us / 1000000;
    if (at >= enrolment->info.not_before && at <= enrolment->info.not_after)
        return 0;
    struct evidence_gap *gap = gap_add(v, GAP_KEY_PERIOD, err);
    if (!gap)
        return -1;
    gap->name = enrolment->info.node;
    gap->position = leaf->position;
    return 0;
}

/* ---- seals ---- */

static int statement_check(const struct proven_leaf *leaf, const Casebus__V1__BatchStatement *statement,
                           struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = leaf->entry->seal;
    if (statement->first > INT64_MAX - BATCH_MAX_EVENTS)
        return error_set(err, CASEBUS_BAD_FIELD, _("a batch ends with a number that no stream reaches"));
    for (size_t i = 0; i < seal->n_outcome; i++)
        if (seal->outcome[i]->index >= statement->count || seal->outcome[i]->duplicate_of > INT64_MAX)
            return error_set(err, CASEBUS_BAD_FIELD,
                             _("a seal tells of a member that its batch does not have"));
    return 0;
}

static int seal_check(struct verification *v, struct proven_leaf *leaf, struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = leaf->entry->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of_data(seal->statement), v->arena, err);
    if (!statement || statement_check(leaf, statement, err) ||
        origin_check(v, statement->origin, leaf->position, err))
        return -1;
    const struct enrolment *enrolment = signature_check(v, statement->node, leaf->position, statement->key_id,
                                                        seal->statement, seal->signature, err);
    if (!enrolment || standing_check(v, enrolment, leaf->position, err))
        return -1;
    struct evidence_fact *fact = fact_add(v, FACT_SEALED, err);
    if (!fact)
        return -1;
    leaf->statement = statement;
    fact->name = statement->node;
    fact->position = leaf->position;
    fact->other = enrolment->position;
    fact->stream = statement->stream;
    fact->number = statement->first;
    fact->size = statement->count;
    fact->time_us = leaf->entry->hub_time_us;
    fact->entry = leaf->entry;
    return period_look(v, enrolment, leaf, err);
}

int verify_seals(struct verification *v, struct casebus_error *err)
{
    for (size_t i = 0; i < v->n_leaves; i++)
        if (v->leaves[i].entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL &&
            seal_check(v, &v->leaves[i], err))
            return error_context(err, _("entry %llu"), (unsigned long long)v->leaves[i].position);
    return 0;
}

/* ---- acts ---- */

/* Orders say of which entries they destroy what; told of the events that the file holds. */
static int erasure_look(struct verification *v, const struct proven_leaf *leaf, struct casebus_error *err)
{
    const Casebus__V1__ErasureOrdered *ordered = leaf->entry->act->erasure_ordered;
    if (leaf->entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return 0;
    for (size_t i = 0; i < ordered->n_content; i++) {
        const struct proven_leaf *event = leaf_find(v, ordered->content[i]->position);
        if (!event || event->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
            continue;
        struct evidence_fact *fact = fact_add(v, FACT_ERASURE, err);
        if (!fact)
            return -1;
        fact->position = event->position;
        fact->other = leaf->position;
        fact->ordinal = ordered->content[i]->header;
        fact->mask = ordered->content[i]->part_mask;
    }
    return 0;
}

/* The seal of the batch behind whose members @leaf stands, if the file has it. */
static const struct proven_leaf *seal_before(const struct verification *v, const struct proven_leaf *leaf)
{
    const struct proven_leaf *seal = leaf;
    while (seal > v->leaves && !seal->statement)
        seal--;
    return seal->statement && leaf->position <= seal->position + seal->statement->count ? seal : NULL;
}

/* What is kept of a refused member names the reason that its seal names. */
static int refused_look(const struct verification *v, const struct proven_leaf *leaf,
                        struct casebus_error *err)
{
    const Casebus__V1__Quarantined *quarantined = leaf->entry->act->quarantined;
    const struct proven_leaf *seal = seal_before(v, leaf);
    const char *told = NULL;
    if (quarantined->whole_batch || !seal || strcmp(quarantined->node, seal->statement->node) != 0)
        return 0;
    enum casebus_code kept = casebus_code_parse(quarantined->code);
    for (size_t i = 0; i < seal->entry->seal->n_outcome; i++) {
        const Casebus__V1__SealOutcome *outcome = seal->entry->seal->outcome[i];
        if (!*outcome->code ||
            !bytes_equal(bytes_of_data(outcome->event_hash), bytes_of_data(quarantined->subject)))
            continue;
        told = outcome->code;
        if (strcmp(told, quarantined->code) == 0 || kept == CASEBUS_ERASED)
            return 0;
    }
    if (!told)
        return 0;
    return error_set(err, CASEBUS_BAD_FIELD,
                     _("entry %llu says that an event was refused with %s; its seal at %llu says with %s"),
                     (unsigned long long)leaf->position, quarantined->code,
                     (unsigned long long)seal->position, told);
}

int verify_acts(struct verification *v, struct casebus_error *err)
{
    for (size_t i = 0; i < v->n_leaves; i++) {
        const struct proven_leaf *leaf = &v->leaves[i];
        if (leaf->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
            leaf->entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED ||
            leaf->entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
            continue;
        struct evidence_fact *fact = fact_add(v, FACT_ACT, err);
        if (!fact)
            return -1;
        fact->name = "";
        fact->position = leaf->position;
        fact->time_us = leaf->entry->hub_time_us;
        fact->hash = bytes_of(leaf->hash, DIGEST_SIZE);
        fact->entry = leaf->entry;
        if (erasure_look(v, leaf, err) ||
            (leaf->entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED &&
             refused_look(v, leaf, err)))
            return -1;
    }
    return 0;
}

/* ---- members of batches ---- */

static const struct proven_leaf *seal_of(const struct verification *v, uint32_t index,
                                         struct casebus_error *err)
{
    const struct proven_leaf *leaf = &v->leaves[index];
    if (leaf->statement)
        return leaf;
    error_set(err, CASEBUS_BAD_FIELD, _("entry %llu is spoken of as a seal and is none"),
              (unsigned long long)leaf->position);
    return NULL;
}

/* That the event hash @hash is member @index of what was signed. */
static int member_check(const struct verification *v, const struct proven_leaf *seal, uint64_t index,
                        ProtobufCBinaryData hash, const ProtobufCBinaryData *path, size_t n_path,
                        struct casebus_error *err)
{
    uint8_t joined[TREE_PROOF_MAX * DIGEST_SIZE], leaf[DIGEST_SIZE];
    for (size_t i = 0; i < n_path; i++)
        memcpy(joined + i * DIGEST_SIZE, path[i].data, DIGEST_SIZE);
    tree_leaf_hash(v->crypter, bytes_of_data(hash), leaf);
    if (tree_check_inclusion(v->crypter, index, seal->statement->count, leaf, joined, n_path,
                             seal->statement->events_root.data))
        return 0;
    return error_set(err, CASEBUS_INCLUSION, _("event %llu is not what node '%s' signed in entry %llu"),
                     (unsigned long long)(seal->statement->first + index), seal->statement->node,
                     (unsigned long long)seal->position);
}

/* Whether the entry is what the seal's outcome says was refused: an operator released it from quarantine. */
static bool released(const struct proven_leaf *leaf, const struct proven_leaf *seal,
                     const Casebus__V1__SealOutcome *outcome)
{
    const Casebus__V1__EventEntry *event = leaf->entry->event;
    return event->released_from && *outcome->code && leaf->position > seal->position &&
           bytes_equal(bytes_of_data(outcome->event_hash), bytes_of_data(event->event_hash));
}

/* Members that became entries stand behind their seal without gaps; what was released from quarantine comes
 * later. */
static int place_check(const struct proven_leaf *seal, const struct proven_leaf *leaf, uint64_t index,
                       struct casebus_error *err)
{
    uint64_t before = 0;
    for (size_t i = 0; i < seal->entry->seal->n_outcome; i++) {
        uint32_t told = seal->entry->seal->outcome[i]->index;
        if (told == index && released(leaf, seal, seal->entry->seal->outcome[i]))
            return 0;
        if (told == index)
            return error_set(err, CASEBUS_BAD_FIELD,
                             _("the seal at %llu says that entry %llu became no entry"),
                             (unsigned long long)seal->position, (unsigned long long)leaf->position);
        before += told < index;
    }
    if (leaf->position == seal->position + 1 + index - before)
        return 0;
    return error_set(err, CASEBUS_BAD_FIELD,
                     _("entry %llu does not stand where the seal at %llu has its place"),
                     (unsigned long long)leaf->position, (unsigned long long)seal->position);
}

/* ---- events ---- */

static int event_fact(struct verification *v, const struct proven_leaf *leaf, const struct proven_leaf *seal,
                      struct casebus_error *err)
{
    const Casebus__V1__EventEntry *event = leaf->entry->event;
    struct evidence_fact *fact = fact_add(v, FACT_EVENT, err);
    if (!fact)
        return -1;
    fact->name = event->node;
    fact->position = leaf->position;
    fact->other = seal->position;
    fact->stream = event->stream;
    fact->number = event->number;
    fact->time_us = leaf->entry->hub_time_us;
    fact->hash = bytes_of_data(event->event_hash);
    fact->content = bytes_of_data(event->case_id);
    fact->entry = leaf->entry;
    for (size_t i = 0; i < event->n_receiver; i++) {
        fact = fact_add(v, FACT_RECEIVER, err);
        if (!fact)
            return -1;
        fact->name = event->receiver[i]->node;
        fact->position = leaf->position;
        fact->ordinal = (uint32_t)i;
        fact->mask = event->receiver[i]->part_mask;
        fact->questions = event->receiver[i]->questions;
        fact->retracts = event->receiver[i]->retracts;
    }
    return 0;
}

static int part_gap(struct verification *v, uint64_t position, uint32_t index, Casebus__V1__PartKind kind,
                    Casebus__V1__Withheld withheld, struct casebus_error *err)
{
    struct evidence_gap *gap = gap_add(v, GAP_PART, err);
    if (!gap)
        return -1;
    gap->position = position;
    gap->ordinal = index;
    gap->part = kind;
    gap->withheld = withheld;
    return 0;
}

static int part_look(struct verification *v, uint64_t position, uint32_t index,
                     const Casebus__V1__EventHeader *header, const Casebus__V1__EvidencePart *part,
                     struct casebus_error *err)
{
    const Casebus__V1__PartCommitment *commitment = header->commitment[index];
    uint8_t mac[DIGEST_SIZE];
    if (part->salt.len == 0)
        return part_gap(v, position, index, commitment->kind, part->withheld, err);
    part_commitment(v->crypter, part->salt.data, bytes_of_data(part->content), mac);
    if (commitment->size != part->content.len ||
        !bytes_equal(bytes_of_data(commitment->mac), bytes_of(mac, DIGEST_SIZE)))
        return error_set(err, CASEBUS_COMMITMENT,
                         _("part %u of event %llu is not what its header commits to"), (unsigned)index,
                         (unsigned long long)position);
    struct evidence_fact *fact = fact_add(v, FACT_PART, err);
    if (!fact)
        return -1;
    fact->position = position;
    fact->ordinal = index;
    fact->content = bytes_of_data(part->content);
    fact->header = header;
    return 0;
}

/* Read by the rules of the schema and no others: what a header may say is the gate's question, and grows. */
static Casebus__V1__EventHeader *header_decode(struct verification *v, struct bytes header,
                                               struct casebus_error *err)
{
    static const struct codec_limits limits = {.max_size = HEADER_MAX, .max_fields = 512, .max_depth = 3};
    Casebus__V1__EventHeader *decoded = (Casebus__V1__EventHeader *)codec_unpack(
        &casebus__v1__event_header__descriptor, header, &limits, v->arena, err);
    if (decoded && decoded->n_commitment > PARTS_MAX) {
        error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu values; at most %zu are allowed"),
                  "EventHeader.commitment", decoded->n_commitment, (size_t)PARTS_MAX);
        return NULL;
    }
    return decoded;
}

static int header_look(struct verification *v, const struct proven_leaf *leaf,
                       const Casebus__V1__EvidenceEvent *claim, struct casebus_error *err)
{
    uint8_t hash[DIGEST_SIZE];
    event_hash(v->crypter, bytes_of_data(claim->header), hash);
    if (memcmp(hash, leaf->entry->event->event_hash.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_COMMITMENT, _("the header shown is not the one of event %llu"),
                         (unsigned long long)leaf->position);
    const Casebus__V1__EventHeader *header = header_decode(v, bytes_of_data(claim->header), err);
    if (!header)
        return -1;
    if (header->n_commitment != claim->n_part)
        return error_set(err, CASEBUS_COMMITMENT, _("event %llu has %zu parts; the evidence speaks of %zu"),
                         (unsigned long long)leaf->position, header->n_commitment, claim->n_part);
    struct evidence_fact *fact = fact_add(v, FACT_HEADER, err);
    if (!fact)
        return -1;
    fact->position = leaf->position;
    fact->content = bytes_of_data(claim->header);
    fact->header = header;
    for (size_t i = 0; i < claim->n_part; i++)
        if (part_look(v, leaf->position, (uint32_t)i, header, claim->part[i], err))
            return -1;
    return 0;
}

static int header_gap(struct verification *v, uint64_t position, Casebus__V1__Withheld withheld,
                      struct casebus_error *err)
{
    struct evidence_gap *gap = gap_add(v, GAP_HEADER, err);
    if (!gap)
        return -1;
    gap->position = position;
    gap->withheld = withheld;
    return 0;
}

static int event_check(struct verification *v, const Casebus__V1__EvidenceEvent *claim,
                       struct casebus_error *err)
{
    struct proven_leaf *leaf = &v->leaves[claim->leaf];
    const struct proven_leaf *seal = seal_of(v, claim->seal, err);
    if (!seal)
        return -1;
    if (leaf->entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_BAD_FIELD, _("entry %llu is spoken of as an event and is none"),
                         (unsigned long long)leaf->position);
    const Casebus__V1__EventEntry *event = leaf->entry->event;
    const Casebus__V1__BatchStatement *statement = seal->statement;
    if (strcmp(event->node, statement->node) != 0 || event->stream != statement->stream ||
        event->number < statement->first || event->number - statement->first >= statement->count)
        return error_set(err, CASEBUS_BAD_FIELD, _("event %llu does not belong to the seal at %llu"),
                         (unsigned long long)leaf->position, (unsigned long long)seal->position);
    uint64_t index = event->number - statement->first;
    if (place_check(seal, leaf, index, err) ||
        member_check(v, seal, index, event->event_hash, claim->batch_path, claim->n_batch_path, err) ||
        event_fact(v, leaf, seal, err))
        return -1;
    leaf->claimed = true;
    return claim->header.len > 0 ? header_look(v, leaf, claim, err)
                                 : header_gap(v, leaf->position, claim->header_withheld, err);
}

int verify_events(struct verification *v, struct casebus_error *err)
{
    for (size_t i = 0; i < v->evidence->n_event; i++)
        if (event_check(v, v->evidence->event[i], err))
            return -1;
    for (size_t i = 0; i < v->n_leaves; i++)
        if (v->leaves[i].entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT &&
            !v->leaves[i].claimed)
            return error_set(err, CASEBUS_BAD_FIELD, _("the evidence holds event %llu without its seal"),
                             (unsigned long long)v->leaves[i].position);
    return 0;
}

/* ---- outcomes ---- */

static const Casebus__V1__SealOutcome *outcome_find(const Casebus__V1__SealEntry *seal, uint32_t index)
{
    for (size_t i = 0; i < seal->n_outcome; i++)
        if (seal->outcome[i]->index == index)
            return seal->outcome[i];
    return NULL;
}

static int outcome_check(struct verification *v, const Casebus__V1__EvidenceOutcome *claim,
                         struct casebus_error *err)
{
    const struct proven_leaf *seal = seal_of(v, claim->seal, err);
    if (!seal)
        return -1;
    const Casebus__V1__SealOutcome *outcome = outcome_find(seal->entry->seal, claim->index);
    if (!outcome)
        return error_set(err, CASEBUS_BAD_FIELD, _("the seal at %llu has no outcome of member %u"),
                         (unsigned long long)seal->position, (unsigned)claim->index);
    if (member_check(v, seal, claim->index, outcome->event_hash, claim->batch_path, claim->n_batch_path, err))
        return -1;
    struct evidence_fact *fact = fact_add(v, FACT_OUTCOME, err);
    if (!fact)
        return -1;
    fact->name = seal->statement->node;
    fact->position = seal->position;
    fact->stream = seal->statement->stream;
    fact->number = seal->statement->first + claim->index;
    fact->time_us = seal->entry->hub_time_us;
    fact->hash = bytes_of_data(outcome->event_hash);
    fact->outcome = outcome;
    return 0;
}

int verify_outcomes(struct verification *v, struct casebus_error *err)
{
    for (size_t i = 0; i < v->evidence->n_outcome; i++)
        if (outcome_check(v, v->evidence->outcome[i], err))
            return -1;
    return 0;
}
