/* Entries: the ledger's leaves, and the sealed bodies beside them. Formulas: proto/casebus/v1/ledger.proto.
 */
#ifndef CODEC_ENTRY_H
#define CODEC_ENTRY_H

#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/codec.h"
#include "proto/crypto/keys.h"

/* Whether what was refused with @code is kept in quarantine: not what was destroyed, and no state secrets. */
static inline bool quarantine_keeps(enum casebus_code code)
{
    return code != CASEBUS_ERASED && code != CASEBUS_CLASSIFIED;
}

/* Whether what was refused with @code may stand in quarantine under @kept: of what an erasure closed,
 * whatever else is wrong with it, nothing is kept. */
static inline bool quarantine_code_fits(enum casebus_code code, enum casebus_code kept)
{
    return code == kept || kept == CASEBUS_ERASED;
}

/* Whether @invited is for this node, with these rights. */
bool invitation_is_for(const Casebus__V1__NodeInvited *invited, const char *node, const char *department,
                       const char *area, const Casebus__V1__Grants *grants);

#define ENTRY_MAX      (32 * 1024) /* bytes of one leaf; an ordinary one has under 300 */
#define ERASED_MAX     1000 /* contents in one order to destroy: leaf and delivery stay within bounds */
#define BODY_ITEMS_MAX 512  /* an event that was refused may have more parts than a good one */

/* Decodes and checks the form of a leaf (format, suite, content present, sizes of digests and ids). */
Casebus__V1__LedgerEntry *entry_decode(struct bytes entry, struct arena *arena, struct casebus_error *err);
Casebus__V1__SealedBody *body_decode(struct bytes body, struct arena *arena, struct casebus_error *err);

/* What the sealed body beside @entry is bound to: an event's hash, or the subject that an act names. Empty
 * when nothing lies beside it. */
ProtobufCBinaryData entry_subject(const Casebus__V1__LedgerEntry *entry);
/* Whether what may lie beside it is an operator's note (OperatorNote). */
bool entry_is_noted(const Casebus__V1__LedgerEntry *entry);

/* Seals @items under a fresh single-use key (item 0 a header, then salt ‖ content of each part), as the
 * verify workers do; the writer wraps the key later, when it knows the slot. The digests in @seal are not
 * touched. CASEBUS_TOO_LARGE past BODY_ITEMS_MAX items. */
struct body_seal {
    uint8_t key[KEY_SIZE]; /* cleared by body_wrap */
    struct bytes *items;   /* sealed, in the arena */
    size_t n_items;
    uint8_t subject[DIGEST_SIZE];
    uint8_t content_digest[DIGEST_SIZE];    /* set by the caller before body_wrap; zeros: none */
    uint8_t (*member_digests)[DIGEST_SIZE]; /* of a batch, set like it */
    size_t n_member_digests;
};
int body_seal_items(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                    const struct bytes *items, size_t n_items, struct arena *arena, struct body_seal *seal,
                    struct casebus_error *err);
/* Wraps the key under the slot's key and packs the SealedBody into @arena. */
int body_wrap(struct crypter *crypter, const char *origin, struct body_seal *seal, uint64_t slot,
              const uint8_t slot_key[KEY_SIZE], struct arena *arena, struct bytes *body,
              struct casebus_error *err);
/* Opens item @index of a decoded body with the slot's key into @arena. CASEBUS_DAMAGED when it does not open,
 * CASEBUS_ERASED when it was destroyed. */
int body_open_item(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                   const Casebus__V1__SealedBody *body, const uint8_t slot_key[KEY_SIZE], size_t index,
                   struct arena *arena, struct bytes *plain, struct casebus_error *err);

/* Whether item @index was destroyed. */
static inline bool body_item_erased(const Casebus__V1__SealedBody *body, size_t index)
{
    return index >= body->n_item || body->item[index].len == 0;
}
/* @body again without the items whose bits are set in @erased (bit i: item i): what is left is sealed anew
 * under a fresh key, wrapped under @slot; the old key opens none of it. */
int body_without(struct crypter *crypter, const char *origin, const uint8_t subject[DIGEST_SIZE],
                 const Casebus__V1__SealedBody *body, const uint8_t slot_key[KEY_SIZE], uint64_t erased,
                 uint64_t new_slot, const uint8_t new_slot_key[KEY_SIZE], struct arena *arena,
                 struct bytes *out, struct casebus_error *err);
/* What is left of @body when nothing is kept: digests that tell it when it is sent again, and of an event its
 * @skeleton; else NULL. */
int body_emptied(const Casebus__V1__SealedBody *body, const Casebus__V1__EventSkeleton *skeleton,
                 struct arena *arena, struct bytes *out, struct casebus_error *err);

#endif
