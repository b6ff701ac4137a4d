/* What is sealed beside an entry: it opens under its slot's key, and it is what the entry's hash and the
 * header's commitments say. A body that is missing or whose key is gone needs an entry that says who erased
 * it; there is none of that kind yet, so it is a fault. */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"

static int key_get(struct verify *verify, uint64_t slot, struct casebus_error *err)
{
    if (slot != 0 && verify->slot == slot)
        return 0;
    verify->slot = 0;
    if (vault_key(verify->options->vault, slot, verify->slot_key, err))
        return error_context(err, _("the key of its content"));
    verify->slot = slot;
    return 0;
}

/* The body of the entry at hand, with its key at hand. */
static Casebus__V1__SealedBody *body_get(struct verify *verify, struct casebus_error *err)
{
    struct bytes sealed;
    if (ledger_view_body(verify->view, verify->position, &sealed, err))
        return NULL;
    if (sealed.size == 0) {
        error_set(err, CASEBUS_DAMAGED, _("its content is missing, and no entry says why"));
        return NULL;
    }
    Casebus__V1__SealedBody *body = body_decode(sealed, &verify->arena, err);
    return body && key_get(verify, body->slot, err) == 0 ? body : NULL;
}

static int item_open(struct verify *verify, const Casebus__V1__SealedBody *body, const uint8_t *subject,
                     size_t index, struct bytes *plain, struct casebus_error *err)
{
    if (body_open_item(verify->crypter, verify->origin, subject, body, verify->slot_key, index,
                       &verify->arena, plain, err))
        return error_context(err, index ? _("part %zu") : _("the header"), index - 1);
    return 0;
}

static int part_check(struct verify *verify, const Casebus__V1__SealedBody *body, const uint8_t *subject,
                      const Casebus__V1__PartCommitment *commitment, size_t index, struct casebus_error *err)
{
    struct bytes plain;
    uint8_t mac[DIGEST_SIZE];
    if (item_open(verify, body, subject, index + 1, &plain, err))
        return -1;
    if (plain.size < SALT_SIZE || plain.size - SALT_SIZE != commitment->size)
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu has not the size that the header states"),
                         index);
    part_commitment(verify->crypter, plain.data, bytes_of(plain.data + SALT_SIZE, plain.size - SALT_SIZE),
                    mac);
    if (commitment->mac.len != DIGEST_SIZE || memcmp(mac, commitment->mac.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_COMMITMENT, _("part %zu is not the one that the header commits to"),
                         index);
    return 0;
}

int verify_event_body(struct verify *verify, const Casebus__V1__EventEntry *event, struct casebus_error *err)
{
    struct bytes plain;
    uint8_t hash[DIGEST_SIZE];
    if (!verify->options->vault)
        return 0;
    Casebus__V1__SealedBody *body = body_get(verify, err);
    if (!body || item_open(verify, body, event->event_hash.data, 0, &plain, err))
        return -1;
    event_hash(verify->crypter, plain, hash);
    if (memcmp(hash, event->event_hash.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("its content is another event than the entry's hash says"));
    Casebus__V1__EventHeader *header = event_header_decode(plain, &verify->arena, err);
    if (!header)
        return -1;
    if (body->n_item != header->n_commitment + 1)
        return error_set(err, CASEBUS_DAMAGED, _("its content has %zu parts; the header commits to %zu"),
                         body->n_item - 1, header->n_commitment);
    for (size_t i = 0; i < header->n_commitment; i++)
        if (part_check(verify, body, event->event_hash.data, header->commitment[i], i, err))
            return -1;
    verify->result->bodies++;
    return 0;
}

int verify_quarantined_body(struct verify *verify, const Casebus__V1__Quarantined *quarantined,
                            struct casebus_error *err)
{
    struct bytes plain;
    uint8_t hash[DIGEST_SIZE];
    if (quarantined->subject.len != DIGEST_SIZE)
        return error_set(err, CASEBUS_MALFORMED, _("what is in quarantine has no hash"));
    if (!verify->options->vault)
        return 0;
    Casebus__V1__SealedBody *body = body_get(verify, err);
    if (!body || item_open(verify, body, quarantined->subject.data, 0, &plain, err))
        return -1;
    if (quarantined->whole_batch)
        crypter_hash1(verify->crypter, plain, hash);
    else
        event_hash(verify->crypter, plain, hash);
    if (memcmp(hash, quarantined->subject.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("what is in quarantine is not what the entry's hash says"));
    verify->result->bodies++;
    return 0;
}
