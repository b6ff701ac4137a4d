/* Nothing that the hub says is believed because it says so. The order of questions: is the checkpoint signed
 * by the hub's log key; has the tree only grown since the last one; is the seal in it; is the seal about my
 * very statement; does it account for each of my events; and are the words beside it about the same outcomes.
 */
#include "adapters/sdk/receipts.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/merkle/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* --- the witness --- */

int witness_open(struct witness *witness, const char *dir, const struct note_verifier *log,
                 struct crypter *crypter, struct casebus_error *err)
{
    struct buffer note;
    *witness = (struct witness){.log = log, .crypter = crypter};
    if (path_join(witness->path, sizeof witness->path, dir, "checkpoint") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (access(witness->path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(witness->path, NOTE_MAX, &note, err);
    if (r == 0 && checkpoint_check(&witness->newest, bytes_of(note.data, note.size), log, err) != 0) {
        error_context(err, "'%s'", witness->path);
        error_hint(err,
                   _("it is the hub's promise that nothing was taken back; keep a copy before removing it"));
        r = -1;
    }
    if (r == 0) {
        memcpy(witness->note, note.data, note.size);
        witness->note_size = note.size;
    }
    buffer_deinit(&note);
    return r;
}

int witness_save(struct witness *witness, struct casebus_error *err)
{
    if (!witness->stale)
        return 0;
    if (file_write(witness->path, bytes_of(witness->note, witness->note_size), 0600, err) != 0)
        return -1;
    witness->stale = false;
    return 0;
}

bool hashes_join(uint8_t out[TREE_PROOF_MAX + 1][DIGEST_SIZE], const ProtobufCBinaryData *hashes, size_t n)
{
    if (n > TREE_PROOF_MAX + 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (hashes[i].len != DIGEST_SIZE)
            return false;
        memcpy(out[i], hashes[i].data, DIGEST_SIZE);
    }
    return true;
}

static bool root_equal(const uint8_t a[DIGEST_SIZE], const uint8_t b[DIGEST_SIZE])
{
    return memcmp(a, b, DIGEST_SIZE) == 0;
}

static int inconsistent(const struct checkpoint *old, const struct checkpoint *new, struct casebus_error *err)
{
    error_set(err, CASEBUS_CONSISTENCY,
              _("the hub's tree of %" PRIu64 " entries is not shown to be an extension of that of %" PRIu64
                " entries that it signed before"),
              new->size, old->size);
    return error_hint(err, _("keep this node's directory as it is and ask the hub's operator: either the hub "
                             "was restored, or its record was altered"));
}

static int behind(const struct checkpoint *old, const struct checkpoint *new, struct casebus_error *err)
{
    error_set(err, CASEBUS_BEHIND,
              _("the hub has %" PRIu64 " entries, but acknowledged %" PRIu64 " entries before"), new->size,
              old->size);
    return error_hint(err,
                      _("the hub was restored from an old copy; its operator has to open a new generation"));
}

bool checkpoint_grown(struct crypter *crypter, const struct checkpoint *old, const struct checkpoint *new,
                      const Casebus__V1__SignedCheckpoint *sent)
{
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    if (old->size == 0)
        return true;
    if (old->size == new->size)
        return root_equal(old->root, new->root);
    return sent->from_size == old->size && hashes_join(proof, sent->consistency, sent->n_consistency) &&
           tree_check_consistency(crypter, old->size, new->size, old->root, new->root, proof[0],
                                  sent->n_consistency);
}

int witness_advance(struct witness *witness, const Casebus__V1__SignedCheckpoint *sent,
                    struct casebus_error *err)
{
    struct checkpoint next;
    const struct checkpoint *newest = &witness->newest;
    if (!sent || sent->note.len > NOTE_MAX)
        return error_set(err, CASEBUS_MALFORMED,
                         _("the hub has sent no checkpoint, or one that is too long"));
    if (checkpoint_check(&next, bytes_of(sent->note.data, sent->note.len), witness->log, err) != 0)
        return -1;
    if (next.size < newest->size)
        return behind(newest, &next, err);
    if (!checkpoint_grown(witness->crypter, newest, &next, sent))
        return inconsistent(newest, &next, err);
    if (next.size > newest->size) {
        witness->newest = next;
        memcpy(witness->note, sent->note.data, sent->note.len);
        witness->note_size = sent->note.len;
        witness->stale = true;
    }
    return 0;
}

/* --- receipts --- */

static int not_included(const Casebus__V1__Accepted *accepted, struct casebus_error *err)
{
    return error_set(err, CASEBUS_INCLUSION,
                     _("the seal of events %" PRIu64 " to %" PRIu64 " is not at position %" PRIu64
                       " of the tree that the hub signed"),
                     accepted->first, accepted->first + accepted->count - 1, accepted->seal_position);
}

static int inclusion_check(const struct witness *witness, const Casebus__V1__Accepted *accepted,
                           struct casebus_error *err)
{
    uint8_t path[TREE_PROOF_MAX + 1][DIGEST_SIZE], leaf[DIGEST_SIZE];
    tree_leaf_hash(witness->crypter, bytes_of(accepted->seal_entry.data, accepted->seal_entry.len), leaf);
    if (accepted->seal_position < witness->newest.size &&
        hashes_join(path, accepted->inclusion, accepted->n_inclusion) &&
        tree_check_inclusion(witness->crypter, accepted->seal_position, witness->newest.size, leaf, path[0],
                             accepted->n_inclusion, witness->newest.root))
        return 0;
    return not_included(accepted, err);
}

static int untrue(const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_INCLUSION, _("the hub's receipt is not for this batch: %s"), what);
}

static bool bytes_are(ProtobufCBinaryData field, const void *data, size_t size)
{
    return field.len == size && memcmp(field.data, data, size) == 0;
}

static int seal_check(const Casebus__V1__SealEntry *seal, const struct outbox_batch *batch,
                      struct casebus_error *err)
{
    if (!bytes_are(seal->statement, batch->statement.data, batch->statement.size))
        return untrue(_("another statement is sealed"), err);
    if (!bytes_are(seal->signature, batch->signature, SIGNATURE_SIZE))
        return untrue(_("another signature is sealed"), err);
    if (seal->n_outcome > batch->count)
        return untrue(_("it has more outcomes than the batch has events"), err);
    return 0;
}

/* A duplicate is of an entry that was there when its turn came: before the seal, or a member of this batch
 * that stands before it. */
static bool duplicate_possible(const struct receipt *receipt, const Casebus__V1__SealOutcome *outcome)
{
    uint64_t position = outcome->duplicate_of - 1, end = receipt->seal_position + 1;
    for (uint32_t i = 0; i < outcome->index; i++)
        end += receipt->members[i].kind == CASEBUS_ACCEPTED;
    return position < end && position != receipt->seal_position;
}

/* One member that did not become an entry, as the seal tells it. */
static int member_check(struct receipt *receipt, const Casebus__V1__SealOutcome *outcome,
                        const struct outbox_batch *batch, int64_t *before, struct casebus_error *err)
{
    bool refused = outcome->duplicate_of == 0;
    if (outcome->index >= batch->count || (int64_t)outcome->index <= *before)
        return untrue(_("its outcomes are not in order"), err);
    if (!bytes_are(outcome->event_hash, batch->event_hashes[outcome->index], DIGEST_SIZE))
        return untrue(_("an outcome is about another event"), err);
    if (refused != (*outcome->code != '\0'))
        return untrue(_("an outcome is neither a duplicate nor a refusal"), err);
    if (!refused && !duplicate_possible(receipt, outcome))
        return untrue(_("a duplicate is of an entry that was not there"), err);
    *before = outcome->index;
    receipt->members[outcome->index] =
        (struct receipt_member){.kind = refused ? CASEBUS_REFUSED : CASEBUS_DUPLICATE,
                                .position = refused ? 0 : outcome->duplicate_of - 1,
                                .code = outcome->code};
    return 0;
}

/* Words are for people; what they are about has to be as it is sealed. */
static int words_check(struct receipt *receipt, const Casebus__V1__Outcome *words, struct casebus_error *err)
{
    struct receipt_member *member = words->index < receipt->n ? &receipt->members[words->index] : NULL;
    if (!member || member->kind == CASEBUS_ACCEPTED || strcmp(words->code, member->code) != 0 ||
        (member->kind == CASEBUS_DUPLICATE && words->duplicate_of != member->position + 1))
        return untrue(_("its words and its seal differ"), err);
    member->words = words;
    return 0;
}

static int members_check(struct receipt *receipt, const Casebus__V1__SealEntry *seal,
                         const struct outbox_batch *batch, const Casebus__V1__Accepted *accepted,
                         struct casebus_error *err)
{
    int64_t before = -1;
    receipt->n = batch->count;
    for (uint32_t i = 0; i < batch->count; i++)
        receipt->members[i] = (struct receipt_member){.kind = CASEBUS_ACCEPTED};
    for (size_t i = 0; i < seal->n_outcome; i++)
        if (member_check(receipt, seal->outcome[i], batch, &before, err) != 0)
            return -1;
    for (size_t i = 0; i < accepted->n_outcome; i++)
        if (words_check(receipt, accepted->outcome[i], err) != 0)
            return -1;
    return 0;
}

/* Accepted members are the entries behind the seal, in their order. */
static int positions_fill(struct receipt *receipt, uint64_t tree_size, struct casebus_error *err)
{
    uint64_t position = receipt->seal_position;
    for (uint32_t i = 0; i < receipt->n; i++)
        if (receipt->members[i].kind == CASEBUS_ACCEPTED)
            receipt->members[i].position = ++position;
    receipt->end = position + 1;
    return position < tree_size ? 0 : untrue(_("the tree ends before its events"), err);
}

int receipt_check(struct receipt *receipt, struct witness *witness, const struct outbox_batch *batch,
                  const Casebus__V1__Accepted *accepted, struct arena *arena, struct casebus_error *err)
{
    if (witness_advance(witness, accepted->checkpoint, err) != 0 ||
        inclusion_check(witness, accepted, err) != 0)
        return -1;
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(bytes_of(accepted->seal_entry.data, accepted->seal_entry.len), arena, err);
    if (!entry)
        return -1;
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return untrue(_("the entry is not a seal"), err);
    if (seal_check(entry->seal, batch, err) != 0)
        return -1;
    receipt->seal_position = accepted->seal_position;
    if (members_check(receipt, entry->seal, batch, accepted, err) != 0)
        return -1;
    return positions_fill(receipt, witness->newest.size, err);
}
