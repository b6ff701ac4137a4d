/* What is gathered is verified as a stranger would, before it is handed out: a file that does not convince
 * means that the ledger is damaged or that this code is wrong, and either has to be known here and not in
 * court. */
#include "hub/console/prove.h"

#include "hub/console/event_name.h"
#include "hub/exchange/exchange.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/batch.h"

#include <limits.h>
#include <stdlib.h>

/* Leaf hashes of a batch's members, in their order. */
struct batch_hashes {
    uint64_t seal_position;
    size_t n; /* 0: none */
    uint8_t leaves[BATCH_MAX_EVENTS][DIGEST_SIZE];
};

/* ---- life ---- */

/* The note is believed when the file is verified. */
static int note_take(struct proof *proof, struct bytes note, struct casebus_error *err)
{
    if (note.size > sizeof proof->note || checkpoint_parse(&proof->checkpoint, note, err))
        return -1;
    memcpy(proof->note, note.data, note.size);
    proof->note_size = note.size;
    return 0;
}

static int newest_take(struct proof *proof, struct casebus_error *err)
{
    struct bytes note;
    struct casebus_error why;
    if (ledger_view_checkpoint(proof->reader->ledger, reader_size(proof->reader), &note, &why)) {
        error_set(err, CASEBUS_BUSY, _("the hub has published no checkpoint yet"));
        return error_hint(err, _("it publishes one a second; try again"));
    }
    return note_take(proof, note, err);
}

/* What hub/witness keeps; also while no hub runs. Anything odd about it means that there is none. */
static int cosigned_take(struct proof *proof)
{
    const struct console_hub *hub = proof->reader->hub;
    char path[PATH_MAX];
    struct buffer note;
    if (!hub->dir || path_join(path, sizeof path, hub->dir, "witness/cosigned"))
        return 1;
    bool taken = file_read(path, NOTE_MAX, &note, NULL) == 0 &&
                 note_take(proof, bytes_of(note.data, note.size), NULL) == 0 &&
                 proof->checkpoint.size <= reader_size(proof->reader) &&
                 strcmp(proof->checkpoint.origin, ledger_origin(hub->ledger)) == 0;
    buffer_deinit(&note);
    proof->cosigned = taken;
    return taken ? 0 : 1;
}

struct changes {
    struct proof *proof;
    struct casebus_error *err;
};

/* Only those that another authority has signed. */
static int change_visit(void *self, struct bytes key, struct bytes value)
{
    struct changes *changes = self;
    struct reader *reader = changes->proof->reader;
    struct bytes leaf;
    size_t label = sizeof HUB_KEYS_LABEL;
    (void)value;
    if (key.size != label + 8 || memcmp(key.data, HUB_KEYS_LABEL, label) != 0)
        return 1;
    uint64_t position = get_u64be(key.data + label);
    if (position >= changes->proof->checkpoint.size)
        return 1;
    if (ledger_view_leaf(reader->ledger, position, &leaf, changes->err))
        return -1;
    arena_reset(&reader->arena);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &reader->arena, changes->err);
    if (!entry)
        return -1;
    bool other = entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
                 entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED &&
                 entry->act->hub_keys_changed->authority_signature.len > 0;
    return other ? proof_leaf(changes->proof, position, changes->err) : 0;
}

static int authorities_add_all(struct proof *proof, struct casebus_error *err)
{
    struct changes changes = {proof, err};
    return state_view_walk(proof->reader->state, TABLE_META, bytes_of(HUB_KEYS_LABEL, sizeof HUB_KEYS_LABEL),
                           change_visit, &changes, err) < 0
               ? -1
               : 0;
}

/* Who the authority is, and under which names the hub has gone on. */
static int generations_add(struct proof *proof, struct casebus_error *err)
{
    size_t n;
    const struct ledger_generation *generations = ledger_generations(proof->reader->hub->ledger, &n);
    for (size_t i = 0; i < n; i++)
        if (generations[i].position < proof->checkpoint.size &&
            proof_leaf(proof, generations[i].position, err))
            return -1;
    return authorities_add_all(proof, err);
}

int proof_init(struct proof *proof, struct reader *reader, enum proof_checkpoint which,
               struct casebus_error *err)
{
    *proof = (struct proof){.reader = reader, .builder = evidence_builder_new(reader->hub->suite)};
    proof->batch = calloc(1, sizeof *proof->batch);
    proof->links = calloc(EVIDENCE_LINKS_MAX, sizeof *proof->links);
    if (!proof->builder || !proof->batch || !proof->links)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    int r = which == PROOF_COSIGNED ? cosigned_take(proof) : newest_take(proof, err);
    return r ? r : generations_add(proof, err);
}

void proof_deinit(struct proof *proof)
{
    evidence_builder_free(proof->builder);
    free(proof->batch);
    free(proof->links);
    *proof = (struct proof){0};
}

/* ---- leaves and keys ---- */

int proof_leaf(struct proof *proof, uint64_t position, struct casebus_error *err)
{
    struct bytes leaf;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    size_t n;
    if (evidence_builder_has(proof->builder, position))
        return 0;
    if (position >= proof->checkpoint.size && position < reader_size(proof->reader)) {
        error_set(err, CASEBUS_BUSY, _("the newest checkpoint covers %llu entries; entry %llu comes later"),
                  (unsigned long long)proof->checkpoint.size, (unsigned long long)position);
        return error_hint(err, _("the hub publishes one a second; try again"));
    }
    if (ledger_view_leaf(proof->reader->ledger, position, &leaf, err) ||
        tree_inclusion(proof->reader->crypter, position, proof->checkpoint.size, ledger_view_hash,
                       proof->reader->ledger, path, &n, err))
        return -1;
    return evidence_builder_leaf(proof->builder, position, leaf, (const uint8_t(*)[DIGEST_SIZE])path, n, err);
}

int proof_enrolment(struct proof *proof, const char *node, uint64_t position, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct node_row row;
    struct bytes value;
    size_t size = receiver_key(key, node);
    int r = state_view_get(proof->reader->state, TABLE_NODES, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && node_row_decode(value, &row, err)))
        return -1;
    size_t i = r ? row.n_enrolments : 0;
    while (i > 0 && row.enrolments[i - 1] >= position)
        i--;
    if (i == 0 && r && row.n_enrolments == ENROLMENTS_MAX) {
        error_set(
            err, CASEBUS_NOT_FOUND,
            _("node '%s' signed entry %llu with a key from before its last %d enrolments, which the state "
              "does not remember"),
            node, (unsigned long long)position, ENROLMENTS_MAX);
        return error_hint(err, _("casebus ledger verify still checks it; no file can be made of it"));
    }
    if (i == 0)
        return error_set(err, CASEBUS_UNKNOWN_NODE, _("the state does not know the key that node '%s' had"),
                         node);
    /* With the revocation of these keys, so that a later key of the name is not taken for a minted one. */
    uint64_t revoked = row.revoked[i - 1];
    if (revoked && revoked < proof->checkpoint.size && proof_leaf(proof, revoked, err))
        return -1;
    return proof_leaf(proof, row.enrolments[i - 1], err);
}

/* ---- batches ---- */

/* A tree_read_fn over the members of a batch: self is a struct proof. */
static int batch_hash_read(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                           struct casebus_error *err)
{
    struct proof *proof = self;
    size_t n = (size_t)1 << level, from = (size_t)index << level;
    if (level > 8 || from + n > proof->batch->n)
        return error_set(err, CASEBUS_INTERNAL, _("a batch has no such hash"));
    tree_root_of(proof->reader->crypter, (const uint8_t(*)[DIGEST_SIZE])proof->batch->leaves + from, n, hash);
    return 0;
}

/* The hash of a member that became an entry: the next one behind the seal. */
static int member_hash(struct proof *proof, uint64_t position, size_t index, struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_leaf(proof->reader, position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu should be an event and is not"),
                         (unsigned long long)position);
    tree_leaf_hash(proof->reader->crypter,
                   bytes_of(read.entry->event->event_hash.data, read.entry->event->event_hash.len),
                   proof->batch->leaves[index]);
    return 0;
}

/* The node and the number of members; those that became no entry get their hashes. */
static int seal_take(struct proof *proof, uint64_t position, char node[NODE_NAME_MAX],
                     bool told[BATCH_MAX_EVENTS], size_t *count, struct casebus_error *err)
{
    struct reader_entry read;
    if (seal_read(proof->reader, position, &read, err))
        return -1;
    const Casebus__V1__SealEntry *seal = read.entry->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &proof->reader->arena, err);
    if (!statement)
        return -1;
    snprintf(node, NODE_NAME_MAX, "%s", statement->node);
    *count = statement->count;
    for (size_t i = 0; i < seal->n_outcome; i++) {
        const Casebus__V1__SealOutcome *outcome = seal->outcome[i];
        told[outcome->index] = true;
        tree_leaf_hash(proof->reader->crypter, bytes_of(outcome->event_hash.data, outcome->event_hash.len),
                       proof->batch->leaves[outcome->index]);
    }
    return 0;
}

/* Adds the seal and its signer, and has the hashes of its members at hand. */
static int proof_seal(struct proof *proof, uint64_t position, struct casebus_error *err)
{
    char node[NODE_NAME_MAX];
    bool told[BATCH_MAX_EVENTS] = {false};
    size_t count;
    if (proof->batch->n > 0 && proof->batch->seal_position == position)
        return 0;
    proof->batch->n = 0;
    if (seal_take(proof, position, node, told, &count, err) || proof_leaf(proof, position, err) ||
        proof_enrolment(proof, node, position, err))
        return -1;
    uint64_t next = position + 1;
    for (size_t i = 0; i < count; i++)
        if (!told[i] && member_hash(proof, next++, i, err))
            return -1;
    proof->batch->seal_position = position;
    proof->batch->n = count;
    return 0;
}

static int batch_path(struct proof *proof, uint64_t index, uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE],
                      size_t *n, struct casebus_error *err)
{
    return tree_inclusion(proof->reader->crypter, index, proof->batch->n, batch_hash_read, proof, path, n,
                          err);
}

/* ---- events ---- */

static Casebus__V1__Withheld withheld_why(enum body_fate fate)
{
    return fate == BODY_ERASED   ? CASEBUS__V1__WITHHELD__WITHHELD_ERASED
           : fate == BODY_SEALED ? CASEBUS__V1__WITHHELD__WITHHELD_SEALED
                                 : CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED;
}

static int part_claim(struct proof *proof, const struct reader_entry *read, size_t index,
                      struct evidence_claim_part *part, struct casebus_error *err)
{
    part->withheld = CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED;
    if (reader_part_erased(read, index)) {
        part->withheld = CASEBUS__V1__WITHHELD__WITHHELD_ERASED;
        return 0;
    }
    if (!(proof->open_kinds & part_kind_bit(read->header->commitment[index]->kind)))
        return 0;
    if (reader_part(proof->reader, read, index, &part->content, err))
        return -1;
    part->salt = bytes_of(part->content.data - SALT_SIZE, SALT_SIZE);
    part->withheld = CASEBUS__V1__WITHHELD__WITHHELD_UNSPECIFIED;
    proof->n_parts++;
    return 0;
}

/* The header and parts of @read, as far as they are asked for and there. */
static int content_claim(struct proof *proof, const struct reader_entry *read,
                         struct evidence_claim_event *claim, struct casebus_error *err)
{
    if (proof->sealed || !read->header) {
        claim->header_withheld =
            proof->sealed ? CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED : withheld_why(read->fate);
        return 0;
    }
    claim->header = read->header_bytes;
    claim->n_parts = read->header->n_commitment;
    proof->n_headers++;
    for (size_t i = 0; i < claim->n_parts; i++)
        if (part_claim(proof, read, i, &claim->parts[i], err))
            return -1;
    return 0;
}

/* What has to be known of an event when its entry is no longer at hand. */
struct event_rest {
    uint8_t case_id[CASE_ID_SIZE];
    bool erased; /* some of its content */
    char nodes[DECIDED_MAX][NODE_NAME_MAX];
    size_t n;
};

static int event_claim(struct proof *proof, uint64_t position, uint64_t seal_position, uint64_t index,
                       struct event_rest *rest, struct casebus_error *err)
{
    struct reader_entry read;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    struct evidence_claim_event claim = {
        .position = position, .seal = seal_position, .batch_path = (const uint8_t(*)[DIGEST_SIZE])path};
    if (batch_path(proof, index, path, &claim.n_batch_path, err) ||
        reader_event(proof->reader, position, &read, err) || content_claim(proof, &read, &claim, err) ||
        evidence_builder_event(proof->builder, &claim, err))
        return -1;
    const Casebus__V1__EventEntry *event = read.entry->event;
    memcpy(rest->case_id, event->case_id.data, CASE_ID_SIZE);
    rest->erased = claim.header_withheld == CASEBUS__V1__WITHHELD__WITHHELD_ERASED;
    for (size_t i = 0; i < claim.n_parts; i++)
        rest->erased |= claim.parts[i].withheld == CASEBUS__V1__WITHHELD__WITHHELD_ERASED;
    for (rest->n = 0; rest->n < event->n_receiver && rest->n < DECIDED_MAX; rest->n++)
        snprintf(rest->nodes[rest->n], NODE_NAME_MAX, "%s", event->receiver[rest->n]->node);
    proof->n_events++;
    return 0;
}

static int proof_event(struct proof *proof, const struct reader_entry *read, struct casebus_error *err)
{
    struct event_rest rest;
    const Casebus__V1__EventEntry *event = read->entry->event;
    uint64_t position = read->position, number = event->number, first, seal_position;
    if (seal_find(proof->reader, event->node, event->stream, number, &first, &seal_position, err) ||
        proof_leaf(proof, position, err) || proof_seal(proof, seal_position, err) ||
        event_claim(proof, position, seal_position, number - first, &rest, err) ||
        (rest.erased && proof_orders(proof, position, rest.case_id, err)))
        return -1;
    for (size_t i = 0; i < rest.n; i++)
        if (proof_receipt(proof, rest.nodes[i], position, (uint32_t)i, err))
            return -1;
    return 0;
}

/* ---- what can be asked for ---- */

static int late(struct casebus_error *err)
{
    error_set(err, CASEBUS_TIMEOUT, _("gathering the evidence took too long"));
    return error_hint(err, _("ask for single events"));
}

int proof_entry(struct proof *proof, uint64_t position, struct casebus_error *err)
{
    struct reader_entry read;
    if (reader_late(proof->reader))
        return late(err);
    if (position >= reader_size(proof->reader))
        return error_set(err, CASEBUS_NOT_FOUND, _("the ledger has %llu entries; there is none at %llu"),
                         (unsigned long long)reader_size(proof->reader), (unsigned long long)position);
    if (reader_leaf(proof->reader, position, &read, err))
        return -1;
    switch (read.entry->content_case) {
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT:
        return proof_event(proof, &read, err);
    case CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL:
        return proof_seal(proof, position, err);
    default:
        if (read.entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED)
            return proof_confirms(proof, position, err);
        return proof_leaf(proof, position, err);
    }
}

/* What is kept of a refused member: it lies behind those of its batch that were accepted. Of some nothing
 * is. */
static int proof_refused(struct proof *proof, uint64_t seal, const uint8_t event_hash[DIGEST_SIZE],
                         struct casebus_error *err)
{
    uint64_t end = seal + 1 + proof->batch->n;
    for (uint64_t position = seal + 1; position < end && position < proof->checkpoint.size; position++) {
        struct reader_entry read;
        if (reader_leaf(proof->reader, position, &read, err))
            return -1;
        if (read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
            break;
        if (read.entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
            read.entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED &&
            !read.entry->act->quarantined->whole_batch &&
            memcmp(read.entry->act->quarantined->subject.data, event_hash, DIGEST_SIZE) == 0)
            return proof_leaf(proof, position, err);
    }
    return 0;
}

int proof_outcome(struct proof *proof, uint64_t seal, uint32_t index, struct casebus_error *err)
{
    struct reader_entry read;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    uint64_t duplicate_of = 0;
    uint8_t event_hash[DIGEST_SIZE] = {0};
    size_t n;
    if (proof_seal(proof, seal, err) || batch_path(proof, index, path, &n, err) ||
        evidence_builder_outcome(proof->builder, seal, index, (const uint8_t(*)[DIGEST_SIZE])path, n, err) ||
        seal_read(proof->reader, seal, &read, err))
        return -1;
    proof->n_outcomes++;
    for (size_t i = 0; i < read.entry->seal->n_outcome; i++)
        if (read.entry->seal->outcome[i]->index == index) {
            duplicate_of = read.entry->seal->outcome[i]->duplicate_of;
            memcpy(event_hash, read.entry->seal->outcome[i]->event_hash.data, DIGEST_SIZE);
        }
    return duplicate_of > 0 ? proof_entry(proof, duplicate_of - 1, err)
                            : proof_refused(proof, seal, event_hash, err);
}

/* ---- invitations ---- */

#define INVITED_BEFORE                                                                                       \
    262144 /* entries between an invitation and the enrolment by it, that are looked through */

/* Whether the entry gives the invitation @id; most are told apart without being decoded. */
static int is_invitation(struct proof *proof, uint64_t position, struct bytes id, struct casebus_error *err)
{
    struct bytes leaf;
    struct reader_entry read;
    if (ledger_view_leaf(proof->reader->ledger, position, &leaf, err))
        return -1;
    if (!memmem(leaf.data, leaf.size, id.data, id.size))
        return 0;
    if (reader_leaf(proof->reader, position, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        read.entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED)
        return 0;
    ProtobufCBinaryData invitation = read.entry->act->node_invited->invitation;
    return bytes_equal(bytes_of(invitation.data, invitation.len), id);
}

/* The invitation by which the node of entry @enrolled came: 1, it is added now; 0: there is none near, or it
 * was there. */
static int proof_invitation(struct proof *proof, uint64_t enrolled, struct casebus_error *err)
{
    uint8_t id[INVITATION_SIZE];
    struct reader_entry read;
    if (reader_leaf(proof->reader, enrolled, &read, err))
        return -1;
    if (read.entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
        read.entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED ||
        read.entry->act->node_enrolled->invitation.len != sizeof id)
        return 0;
    memcpy(id, read.entry->act->node_enrolled->invitation.data, sizeof id);
    uint64_t last = enrolled > INVITED_BEFORE ? enrolled - INVITED_BEFORE : 0;
    for (uint64_t at = enrolled; at > last && !reader_late(proof->reader); at--) {
        int found = is_invitation(proof, at - 1, bytes_of(id, sizeof id), err);
        if (found < 0)
            return -1;
        if (found)
            return evidence_builder_has(proof->builder, at - 1) ? 0 : proof_leaf(proof, at - 1, err) ? -1 : 1;
    }
    return 0;
}

/* Who was let in by whom is for the reader to see; the names lie sealed beside it. */
static int proof_invitations(struct proof *proof, struct casebus_error *err)
{
    uint64_t position;
    for (size_t at = 0; evidence_builder_position(proof->builder, at, &position); at++) {
        int added = proof_invitation(proof, position, err);
        if (added < 0)
            return -1;
        at += (size_t)added; /* in front of this one */
    }
    return 0;
}

/* ---- the end ---- */

/* Believes what the ledger itself says: the authorities of all generations, the log key of the newest. */
static int self_trust(struct proof *proof, struct evidence_trust *trust, struct note_verifier *log,
                      struct casebus_error *err)
{
    size_t n;
    const char *vkey = "";
    const struct ledger_generation *generations = ledger_generations(proof->reader->hub->ledger, &n);
    for (size_t i = 0; i < n && generations[i].position < proof->checkpoint.size; i++) {
        struct bytes leaf;
        if (ledger_view_leaf(proof->reader->ledger, generations[i].position, &leaf, err))
            return -1;
        Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &proof->reader->arena, err);
        if (!entry)
            return -1;
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT ||
            entry->act->act_case != CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
            return error_set(err, CASEBUS_DAMAGED, _("entry %llu should open a generation and does not"),
                             (unsigned long long)generations[i].position);
        const Casebus__V1__LedgerOpened *opened = entry->act->ledger_opened;
        trust->authorities[i % EVIDENCE_TRUST_MAX] = bytes_of(opened->authority.data, opened->authority.len);
        trust->n_authorities = i < EVIDENCE_TRUST_MAX ? i + 1 : EVIDENCE_TRUST_MAX;
        vkey = opened->log_key;
    }
    if (note_verifier_init(log, vkey, err))
        return -1;
    trust->logs[0] = log;
    trust->n_logs = 1;
    return 0;
}

static int file_check(struct proof *proof, struct bytes file, struct casebus_error *err)
{
    struct note_verifier log = {0};
    struct evidence_trust trust = {0};
    struct evidence_report report = {0};
    arena_reset(&proof->reader->arena);
    int r = self_trust(proof, &trust, &log, err) ? -1 : evidence_verify(file, &trust, &report, err);
    evidence_report_deinit(&report);
    note_verifier_deinit(&log);
    if (r == 0)
        return 0;
    error_context(err, "%s", _("the evidence does not hold"));
    return error_hint(err, _("the ledger may be damaged: casebus ledger verify"));
}

int proof_finish(struct proof *proof, struct bytes *file, struct casebus_error *err)
{
    if (proof_invitations(proof, err))
        return -1;
    if (evidence_builder_finish(proof->builder, bytes_of(proof->note, proof->note_size), file, err))
        return -1;
    return file_check(proof, *file, err);
}
