/* The file as bytes: the magic line, a message that could not have been written in any other way, and
 * references that lead somewhere. After this no step has to ask whether an index or a size is sane.
 *
 * The canonical form is checked by packing the message again: unknown fields, other orders and values written
 * out that need not be are all gone then, and the bytes differ. */
#include "proto/evidence/evidence.h"

#include "proto/base/texts.h"
#include "proto/crypto/suite.h"
#include "proto/merkle/tree.h"

#include <string.h>

#define BATCH_PATH_MAX 8 /* of 256 events */
#define FIELDS_MAX     (1 << 20)

static int malformed(struct casebus_error *err, const char *what)
{
    return error_set(err, CASEBUS_MALFORMED, "%s", what);
}

static int count_check(const char *what, size_t n, size_t max, struct casebus_error *err)
{
    if (n <= max)
        return 0;
    return error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu values; at most %zu are allowed"), what, n, max);
}

static int path_check(const ProtobufCBinaryData *path, size_t n, size_t max, struct casebus_error *err)
{
    if (count_check("Evidence path", n, max, err))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (path[i].len != DIGEST_SIZE)
            return malformed(err, _("a path in the evidence holds something that is no hash"));
    return 0;
}

static int index_check(const Casebus__V1__Evidence *evidence, uint32_t index, struct casebus_error *err)
{
    return index < evidence->n_leaf
               ? 0
               : malformed(err, _("the evidence speaks of a leaf that it does not hold"));
}

static int leaves_check(const Casebus__V1__Evidence *evidence, struct casebus_error *err)
{
    if (count_check("Evidence.leaf", evidence->n_leaf, EVIDENCE_LEAVES_MAX, err))
        return -1;
    for (size_t i = 0; i < evidence->n_leaf; i++) {
        const Casebus__V1__EvidenceLeaf *leaf = evidence->leaf[i];
        if (i > 0 && leaf->position <= evidence->leaf[i - 1]->position)
            return malformed(err, _("the leaves of the evidence are not in order"));
        if (path_check(leaf->inclusion, leaf->n_inclusion, TREE_PROOF_MAX, err))
            return -1;
    }
    return 0;
}

static bool withheld_known(Casebus__V1__Withheld withheld)
{
    return withheld >= CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED &&
           withheld <= CASEBUS__V1__WITHHELD__WITHHELD_SEALED;
}

static int part_check(const Casebus__V1__EvidencePart *part, struct casebus_error *err)
{
    bool shown = part->salt.len > 0;
    if ((shown && part->salt.len != SALT_SIZE) || (!shown && part->content.len > 0) ||
        (shown ? part->withheld != 0 : !withheld_known(part->withheld)))
        return malformed(err, _("a part in the evidence is neither shown nor withheld"));
    if (part->content.len > PART_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("%s has %zu bytes; at most %zu are allowed"),
                         "EvidencePart.content", part->content.len, (size_t)PART_MAX);
    return 0;
}

static int event_check(const Casebus__V1__Evidence *evidence, const Casebus__V1__EvidenceEvent *event,
                       struct casebus_error *err)
{
    bool shown = event->header.len > 0;
    if (index_check(evidence, event->leaf, err) || index_check(evidence, event->seal, err) ||
        path_check(event->batch_path, event->n_batch_path, BATCH_PATH_MAX, err) ||
        count_check("EvidenceEvent.part", event->n_part, PARTS_MAX, err))
        return -1;
    if ((shown ? event->header_withheld != 0 : !withheld_known(event->header_withheld)) ||
        (!shown && event->n_part > 0))
        return malformed(err, _("a header in the evidence is neither shown nor withheld"));
    for (size_t i = 0; i < event->n_part; i++)
        if (part_check(event->part[i], err))
            return -1;
    return 0;
}

static int events_check(const Casebus__V1__Evidence *evidence, struct casebus_error *err)
{
    if (count_check("Evidence.event", evidence->n_event, EVIDENCE_EVENTS_MAX, err))
        return -1;
    for (size_t i = 0; i < evidence->n_event; i++) {
        if (i > 0 && evidence->event[i]->leaf <= evidence->event[i - 1]->leaf)
            return malformed(err, _("the events of the evidence are not in order"));
        if (event_check(evidence, evidence->event[i], err))
            return -1;
    }
    return 0;
}

/* Whether (a, b) stands before (c, d). */
static bool in_order(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return a < c || (a == c && b < d);
}

static int outcomes_check(const Casebus__V1__Evidence *evidence, struct casebus_error *err)
{
    if (count_check("Evidence.outcome", evidence->n_outcome, EVIDENCE_OUTCOMES_MAX, err))
        return -1;
    for (size_t i = 0; i < evidence->n_outcome; i++) {
        const Casebus__V1__EvidenceOutcome *outcome = evidence->outcome[i];
        if (i > 0 && !in_order(evidence->outcome[i - 1]->seal, evidence->outcome[i - 1]->index, outcome->seal,
                               outcome->index))
            return malformed(err, _("the outcomes of the evidence are not in order"));
        if (index_check(evidence, outcome->seal, err) ||
            path_check(outcome->batch_path, outcome->n_batch_path, BATCH_PATH_MAX, err))
            return -1;
    }
    return 0;
}

static int links_check(const Casebus__V1__EvidenceConfirm *confirm, struct casebus_error *err)
{
    if (count_check("EvidenceConfirm.link", confirm->n_link, EVIDENCE_LINKS_MAX, err))
        return -1;
    if (confirm->running_before.len != (confirm->n_link > 0 ? DIGEST_SIZE : 0))
        return malformed(err, _("a confirmation in the evidence has no running hash for its deliveries"));
    for (size_t i = 0; i < confirm->n_link; i++) {
        const Casebus__V1__EvidenceLink *link = confirm->link[i];
        if (link->event_hash.len != DIGEST_SIZE)
            return malformed(err, _("a delivery in the evidence has no hash"));
        if (i > 0 && !in_order(confirm->link[i - 1]->position, confirm->link[i - 1]->ordinal, link->position,
                               link->ordinal))
            return malformed(err, _("the deliveries of the evidence are not in order"));
    }
    return 0;
}

static int confirms_check(const Casebus__V1__Evidence *evidence, struct casebus_error *err)
{
    if (count_check("Evidence.confirm", evidence->n_confirm, EVIDENCE_CONFIRMS_MAX, err))
        return -1;
    for (size_t i = 0; i < evidence->n_confirm; i++) {
        const Casebus__V1__EvidenceConfirm *confirm = evidence->confirm[i];
        if (i > 0 && !in_order(evidence->confirm[i - 1]->leaf, evidence->confirm[i - 1]->index, confirm->leaf,
                               confirm->index))
            return malformed(err, _("the confirmations of the evidence are not in order"));
        if (index_check(evidence, confirm->leaf, err) || links_check(confirm, err))
            return -1;
    }
    return 0;
}

static int form_check(const Casebus__V1__Evidence *evidence, struct casebus_error *err)
{
    if (evidence->format != 1)
        return error_set(err, CASEBUS_BAD_VERSION, _("%s is %u; this version knows only format 1"),
                         "Evidence.format", (unsigned)evidence->format);
    if (!suite_get((enum suite_id)evidence->suite))
        return error_set(err, CASEBUS_BAD_VERSION,
                         _("the evidence is of a suite that this version cannot check"));
    if (leaves_check(evidence, err) || events_check(evidence, err) || outcomes_check(evidence, err))
        return -1;
    return confirms_check(evidence, err);
}

static Casebus__V1__Evidence *unpack(struct bytes message, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {
        .max_size = EVIDENCE_MAX, .max_fields = FIELDS_MAX, .max_depth = 3};
    Casebus__V1__Evidence *evidence = (Casebus__V1__Evidence *)codec_unpack(
        &casebus__v1__evidence__descriptor, message, &limits, arena, err);
    if (!evidence)
        return NULL;
    struct bytes again = codec_pack(evidence, arena);
    if (message.size > 0 && !again.data) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
        return NULL;
    }
    if (bytes_equal(again, message))
        return evidence;
    malformed(err, _("the evidence is not written in the one way that its format allows"));
    return NULL;
}

static void hint_at_cut(struct casebus_error *err)
{
    error_hint(err,
               _("the file ends in the middle, as a copy does that broke off: copy it again from where it "
                 "came, and compare the sizes"));
}

Casebus__V1__Evidence *evidence_decode(struct bytes file, struct arena *arena, struct casebus_error *err)
{
    size_t magic = strlen(EVIDENCE_MAGIC);
    if (file.size > EVIDENCE_MAX) {
        error_set(err, CASEBUS_TOO_LARGE, _("the evidence has %zu bytes; at most %d are allowed"), file.size,
                  EVIDENCE_MAX);
        return NULL;
    }
    if (file.size < magic || memcmp(file.data, EVIDENCE_MAGIC, magic) != 0) {
        error_set(err, CASEBUS_MALFORMED, _("it is no evidence file: it does not begin with the line '%.*s'"),
                  (int)magic - 1, EVIDENCE_MAGIC);
        if (file.size < magic && (file.size == 0 || memcmp(file.data, EVIDENCE_MAGIC, file.size) == 0))
            hint_at_cut(err);
        return NULL;
    }
    struct bytes message = bytes_of(file.data + magic, file.size - magic);
    Casebus__V1__Evidence *evidence = unpack(message, arena, err);
    if (!evidence && codec_cut(message))
        hint_at_cut(err);
    return evidence && form_check(evidence, err) == 0 ? evidence : NULL;
}
