/* What is sealed beside an entry: it opens under its slot's key, and it is what the entry's hash and the
 * header's commitments say. Content that is gone is not judged here: whether an entry orders its erasure is
 * known only at the end of the ledger. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdio.h>

#define NOTE_TEXT_MAX 16384 /* bytes of an operator's note */

/* What there is to open, and under what. */
struct opening {
    struct scanner *scanner;
    const char *origin;
    const uint8_t *subject;
    const Casebus__V1__SealedBody *body;
    struct missing *missing;
};

/* 1: at hand; 0: it was erased; -1. */
static int key_get(struct scanner *scanner, uint64_t slot, struct casebus_error *err)
{
    if (slot == 0)
        return 0; /* nothing is left that had a key */
    if (scanner->slot == slot)
        return 1;
    scanner->slot = 0;
    if (vault_key(scanner->verify->options->vault, slot, scanner->slot_key, err)) {
        if (err->code == CASEBUS_NOT_FOUND || err->code == CASEBUS_ERASED)
            return 0;
        return error_context(err, _("the key of its content"));
    }
    scanner->slot = slot;
    return 1;
}

static int item_open(const struct opening *opening, size_t index, struct bytes *plain,
                     struct casebus_error *err)
{
    struct scanner *scanner = opening->scanner;
    if (body_open_item(scanner->crypter, opening->origin, opening->subject, opening->body, scanner->slot_key,
                       index, &scanner->arena, plain, err))
        return error_context(err, index ? _("part %zu") : _("the header"), index - 1);
    return 0;
}

static int part_check(const struct opening *opening, const Casebus__V1__PartCommitment *commitment,
                      size_t index, struct casebus_error *err)
{
    struct bytes plain;
    uint8_t mac[DIGEST_SIZE];
    if (item_open(opening, index + 1, &plain, err))
        return -1;
    if (plain.size < SALT_SIZE || plain.size - SALT_SIZE != commitment->size)
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu has not the size that the header states"),
                         index);
    part_commitment(opening->scanner->crypter, plain.data,
                    bytes_of(plain.data + SALT_SIZE, plain.size - SALT_SIZE), mac);
    if (commitment->mac.len != DIGEST_SIZE || memcmp(mac, commitment->mac.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu is not the one that the header commits to"),
                         index);
    return 0;
}

static int parts_check(const struct opening *opening, struct casebus_error *err)
{
    struct bytes plain;
    uint8_t hash[DIGEST_SIZE];
    struct scanner *scanner = opening->scanner;
    if (item_open(opening, 0, &plain, err))
        return -1;
    event_hash(scanner->crypter, plain, hash);
    if (memcmp(hash, opening->subject, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("its content is another event than the entry's hash says"));
    const Casebus__V1__EventHeader *header = event_header_decode(plain, &scanner->arena, err);
    if (!header)
        return -1;
    if (opening->body->n_item != header->n_commitment + 1)
        return error_set(err, CASEBUS_DAMAGED, _("its content has %zu parts; the header commits to %zu"),
                         opening->body->n_item - 1, header->n_commitment);
    for (size_t i = 0; i < header->n_commitment; i++)
        if (!body_item_erased(opening->body, i + 1) && part_check(opening, header->commitment[i], i, err))
            return -1;
    return 0;
}

/* What is in quarantine, and an order's words: one thing, known by the hash of item 0 or not at all. */
static int single_check(const struct opening *opening, const Casebus__V1__Quarantined *quarantined,
                        struct casebus_error *err)
{
    struct bytes plain;
    uint8_t hash[DIGEST_SIZE];
    if (item_open(opening, 0, &plain, err))
        return -1;
    if (!quarantined)
        return utf8_valid(plain.data, plain.size)
                   ? 0
                   : error_set(err, CASEBUS_TEXT, _("the words of the order are no text"));
    if (quarantined->whole_batch)
        crypter_hash1(opening->scanner->crypter, plain, hash);
    else
        event_hash(opening->scanner->crypter, plain, hash);
    if (memcmp(hash, opening->subject, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("what is in quarantine is not what the entry's hash says"));
    return 0;
}

/* Beside an operator's act: who did it and why, and, behind that, a policy's bytes. */
static int operator_note_check(const struct opening *opening, const Casebus__V1__PolicyApplied *applied,
                               struct casebus_error *err)
{
    static const struct codec_limits limits = {NOTE_TEXT_MAX, 16, 1};
    struct bytes plain, pieces[BODY_ITEMS_MAX];
    uint8_t digest[DIGEST_SIZE];
    size_t n = opening->body->n_item - 1;
    if (item_open(opening, 0, &plain, err) ||
        !codec_unpack(&casebus__v1__operator_note__descriptor, plain, &limits, &opening->scanner->arena, err))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (item_open(opening, i + 1, &pieces[i], err))
            return -1;
    crypter_hash(opening->scanner->crypter, pieces, n, digest);
    if (applied ? memcmp(digest, applied->digest.data, DIGEST_SIZE) != 0 : n > 0)
        return error_set(err, CASEBUS_DAMAGED, _("the policy is not the one that its entry names"));
    return 0;
}

/* The state is made again from a skeleton, so there is one exactly where an event's header is gone. */
static int skeleton_check(const struct opening *opening, bool event, struct casebus_error *err)
{
    bool gone = body_item_erased(opening->body, 0);
    if (event && gone && !opening->body->skeleton)
        return error_set(err, CASEBUS_DAMAGED,
                         _("its header was destroyed without leaving what the state needs"));
    if (opening->body->skeleton && (!gone || !event))
        return error_set(err, CASEBUS_DAMAGED, _("it has a skeleton, but its content was not destroyed"));
    return 0;
}

/* Notes what is gone; true when anything is. */
static bool missing_fill(const struct opening *opening, bool key)
{
    struct missing *missing = opening->missing;
    missing->slot = key ? 0 : opening->body->slot;
    missing->header = !key || body_item_erased(opening->body, 0);
    for (size_t i = 1; i < opening->body->n_item && i <= 32; i++)
        if (!key || body_item_erased(opening->body, i))
            missing->part_mask |= (uint32_t)1 << (i - 1);
    return missing->header || missing->part_mask;
}

static bool is_act(const Casebus__V1__LedgerEntry *entry, Casebus__V1__ActEntry__ActCase kind)
{
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT && entry->act->act_case == kind;
}

static int content_check(const struct opening *opening, const Casebus__V1__LedgerEntry *entry,
                         struct casebus_error *err)
{
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return parts_check(opening, err);
    if (entry_is_noted(entry))
        return operator_note_check(
            opening,
            is_act(entry, CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED) ? entry->act->policy_applied : NULL,
            err);
    return single_check(
        opening, is_act(entry, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED) ? entry->act->quarantined : NULL,
        err);
}

/* Subject of the entry's body; NULL when it has none. */
static const uint8_t *subject_of(const Casebus__V1__LedgerEntry *entry)
{
    ProtobufCBinaryData subject = entry_subject(entry);
    return subject.len == DIGEST_SIZE ? subject.data : NULL;
}

static int body_open(struct opening *opening, const Casebus__V1__LedgerEntry *entry,
                     struct casebus_error *err)
{
    bool event = entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT;
    bool emptied = body_item_erased(opening->body, 0);
    int key = emptied ? 1 : key_get(opening->scanner, opening->body->slot, err);
    if (key < 0 || skeleton_check(opening, event, err))
        return -1;
    bool gone = missing_fill(opening, key);
    if (!emptied && key && content_check(opening, entry, err))
        return -1;
    return !gone;
}

/* A rule of retention has no words, and what an erasure destroyed is not kept again when it is refused. */
static bool may_be_bare(const Casebus__V1__LedgerEntry *entry)
{
    return is_act(entry, CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED) ||
           (is_act(entry, CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED) &&
            !quarantine_keeps(casebus_code_parse(entry->act->quarantined->code)));
}

int body_check(struct scanner *scanner, uint64_t position, const char *origin,
               const Casebus__V1__LedgerEntry *entry, struct missing *missing, struct casebus_error *err)
{
    struct bytes sealed;
    struct opening opening = {
        .scanner = scanner, .origin = origin, .subject = subject_of(entry), .missing = missing};
    *missing = (struct missing){.position = position};
    if (ledger_view_body(scanner->view, position, &sealed, err))
        return -1;
    if (sealed.size == 0 && (!opening.subject || may_be_bare(entry)))
        return 2;
    if (!opening.subject)
        return error_set(err, CASEBUS_DAMAGED,
                         _("it has sealed content, though it is no entry of that kind"));
    if (sealed.size == 0) {
        missing->header = missing->whole = true;
        return 0;
    }
    opening.body = body_decode(sealed, &scanner->arena, err);
    return opening.body ? body_open(&opening, entry, err) : -1;
}
