/* What is sealed beside an entry: it opens under its slot's key, and it is what the entry's hash and the
 * header's commitments say. Content that is gone is not judged here: whether an entry orders its erasure is
 * known only at the end of the ledger. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

#include <stdio.h>

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
        if (err->code == CASEBUS_NOT_FOUND)
            return 0;
        return error_context(err, _("the key of its content"));
    }
    scanner->slot = slot;
    return 1;
}

static bool item_gone(const struct opening *opening, size_t index)
{
    return index < opening->body->n_item && opening->body->item[index].len == 0;
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

/* What is left of a body whose header is gone: parts that nothing can be compared with still have to open. */
static int parts_alone(const struct opening *opening, struct casebus_error *err)
{
    struct bytes plain;
    for (size_t i = 1; i < opening->body->n_item; i++)
        if (!item_gone(opening, i) && item_open(opening, i, &plain, err))
            return -1;
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
        if (!item_gone(opening, i + 1) && part_check(opening, header->commitment[i], i, err))
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

/* The state is made again from a skeleton, so there has to be one exactly where the header is gone. */
static int skeleton_check(const struct opening *opening, bool event, struct casebus_error *err)
{
    const Casebus__V1__SealedBody *body = opening->body;
    bool gone = item_gone(opening, 0);
    if (body->skeleton && (!gone || !event))
        return error_set(err, CASEBUS_DAMAGED, _("it has a skeleton, but its content was not destroyed"));
    if (event && gone && !body->skeleton)
        return error_set(err, CASEBUS_DAMAGED,
                         _("its header was destroyed without leaving what the state needs"));
    return 0;
}

/* Notes what is gone; true when anything is. */
static bool missing_fill(const struct opening *opening, bool key)
{
    struct missing *missing = opening->missing;
    missing->slot = opening->body->slot;
    missing->key_gone = !key;
    missing->header = !key || item_gone(opening, 0);
    for (size_t i = 1; i < opening->body->n_item; i++)
        if ((!key || item_gone(opening, i)) && i <= 32)
            missing->part_mask |= (uint32_t)1 << (i - 1);
    return missing->header || missing->part_mask;
}

static int opened_check(const struct opening *opening, const Casebus__V1__LedgerEntry *entry,
                        struct casebus_error *err)
{
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT) {
        if (item_gone(opening, 0))
            return parts_alone(opening, err);
        return single_check(
            opening,
            entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED ? entry->act->quarantined : NULL,
            err);
    }
    return item_gone(opening, 0) ? parts_alone(opening, err) : parts_check(opening, err);
}

/* Subject of the entry's body; NULL when it has none. */
static const uint8_t *subject_of(const Casebus__V1__LedgerEntry *entry)
{
    ProtobufCBinaryData subject = {0};
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        subject = entry->event->event_hash;
    else if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
             entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED)
        subject = entry->act->quarantined->subject;
    else if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
             entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        subject = entry->act->erasure_ordered->subject;
    return subject.len == DIGEST_SIZE ? subject.data : NULL;
}

/* A rule of retention has no words. */
static bool body_optional(const Casebus__V1__LedgerEntry *entry)
{
    return entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
           entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
}

static int body_open(struct opening *opening, const Casebus__V1__LedgerEntry *entry,
                     struct casebus_error *err)
{
    int key = key_get(opening->scanner, opening->body->slot, err);
    if (key < 0 ||
        skeleton_check(opening, entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT, err))
        return -1;
    bool gone = missing_fill(opening, key);
    if (key && opened_check(opening, entry, err))
        return -1;
    return !gone;
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
    if (sealed.size == 0 && (!opening.subject || body_optional(entry)))
        return 2;
    if (!opening.subject)
        return error_set(err, CASEBUS_DAMAGED,
                         _("it has sealed content, though it is no entry of that kind"));
    if (sealed.size == 0) {
        missing->header = true;
        missing->part_mask = UINT32_MAX;
        return 0;
    }
    opening.body = body_decode(sealed, &scanner->arena, err);
    return opening.body ? body_open(&opening, entry, err) : -1;
}
