/* One small story, told in bytes: a node enrols, publishes two records, then sends the first one again with
 * other salts; the hub keeps seven entries; a receiver confirms. Every number that a stranger's
 * implementation has to meet stands in the document beside what it is computed from. All keys are published
 * test values. */
#include "tests/interop/vectors.h"

#include "proto/codec/proof.h"
#include "proto/codec/sample.h"
#include "proto/merkle/note.h"
#include "proto/merkle/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HUB_TIME_US   INT64_C(1718246000000000)
#define STREAM        UINT64_C(0x1122334455667788)
#define ENTRIES       7
#define SLOT          77
#define PUBLISHER     "group-1"
#define RECEIVER      "supervisor"
#define SOFTWARE      "casebus-hub/0.1.0"
#define DEPARTMENT    "Group 1"
#define OLD_TREE_SIZE 3

/* RFC 8032 section 7.1, test 1. */
static const char seed_hex[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";

struct entry {
    const char *name;
    struct bytes bytes;
    uint8_t leaf[DIGEST_SIZE];
};

struct story {
    struct sample sample; /* its arena holds everything */
    struct crypter *crypter;
    struct arena *arena;
    struct signing_key *key;
    uint8_t key_id[KEY_ID_SIZE];
    char vkey[KEY_NAME_MAX + 64];
    uint8_t event_hash[3][DIGEST_SIZE];
    Casebus__V1__Event *event[3];
    struct bytes statement[2];
    uint8_t signature[2][SIGNATURE_SIZE];
    struct bytes enrolment;
    uint8_t enrolment_signature[SIGNATURE_SIZE];
    struct bytes confirm;
    uint8_t confirm_signature[SIGNATURE_SIZE];
    struct entry entry[ENTRIES];
    size_t n_entries;
    uint8_t hashes[4][ENTRIES][DIGEST_SIZE]; /* of complete subtrees: level, index */
    struct casebus_error err;
};

/* --- helpers ------------------------------------------------------------------------------------------- */

static void must(struct story *story, int r)
{
    if (r >= 0)
        return;
    error_print("vectors", &story->err);
    exit(1);
}

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static ProtobufCBinaryData field(const void *data, size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)data};
}

static ProtobufCBinaryData field_of(struct bytes bytes)
{
    return field(bytes.data, bytes.size);
}

static json_t *hex(const void *data, size_t size)
{
    char *out = malloc(2 * size + 1);
    json_t *value = json_string(hex_encode(out, data, size));

    free(out);
    return value;
}

static json_t *hex_of(struct bytes bytes)
{
    return hex(bytes.data, bytes.size);
}

static struct bytes pack(struct story *story, const void *message)
{
    return codec_pack(message, story->arena);
}

static struct bytes signed_statement(struct story *story, const void *message,
                                     uint8_t signature[SIGNATURE_SIZE])
{
    struct bytes packed = pack(story, message);

    must(story, signing_key_sign(story->key, packed, signature, &story->err));
    return packed;
}

/* --- keys ---------------------------------------------------------------------------------------------- */

static void key_load(struct story *story)
{
    char path[] = "/tmp/casebus-vectors-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, key_pem, sizeof key_pem - 1) != (ssize_t)(sizeof key_pem - 1) || close(fd)) {
        perror(path);
        exit(1);
    }
    must(story, signing_key_load(&story->key, suite_get(SUITE_INTL), path, &story->err));
    unlink(path);
    public_key_id(signing_key_public(story->key), story->key_id);
    must(story,
         note_vkey_format(story->vkey, sizeof story->vkey, SAMPLE_ORIGIN, signing_key_public(story->key)));
}

static json_t *key_vector(struct story *story)
{
    return json_pack("{ss so so ss ss}", "seed", seed_hex, "public",
                     hex(signing_key_public(story->key)->bytes, 32), "id", hex(story->key_id, KEY_ID_SIZE),
                     "pkcs8", key_pem, "vkey", story->vkey);
}

/* --- events -------------------------------------------------------------------------------------------- */

static json_t *parts_vector(struct story *story)
{
    const Casebus__V1__EventHeader *header = &story->sample.header;
    json_t *parts = json_array();

    for (size_t i = 0; i < header->n_commitment; i++) {
        const Casebus__V1__Part *part = &story->sample.part[i];
        json_array_append_new(parts,
                              json_pack("{ss so so so}", "kind", part_kind_name(header->commitment[i]->kind),
                                        "salt", hex(part->salt.data, part->salt.len), "content",
                                        hex(part->content.data, part->content.len), "commitment",
                                        hex(header->commitment[i]->mac.data, DIGEST_SIZE)));
    }
    return parts;
}

static json_t *event_vector(struct story *story, size_t i, const char *what)
{
    static const uint8_t content_key[KEY_SIZE] = "content key of the hub (32 byte)";
    struct sample *sample = &story->sample;
    struct bytes header = sample_pack(sample);
    uint8_t header_digest[DIGEST_SIZE], content_digest[DIGEST_SIZE];

    if (!event_header_decode(header, story->arena, &story->err))
        must(story, -1);
    must(story, event_parts_check(story->crypter, &sample->header, &sample->event, &story->err));
    event_hash(story->crypter, header, story->event_hash[i]);
    must(story, event_header_digest(story->crypter, header, header_digest, &story->err));
    event_content_digest(story->crypter, content_key, header_digest, &sample->header, &sample->event,
                         content_digest);

    struct codec_limits wide = {.max_size = EVENT_MAX, .max_fields = 256, .max_depth = 3};
    story->event[i] = (Casebus__V1__Event *)codec_unpack(
        &casebus__v1__event__descriptor, pack(story, &sample->event), &wide, story->arena, &story->err);
    return json_pack("{ss so ss ss so so so so so}", "what", what, "header", hex_of(header), "kind",
                     kind_name(sample->header.kind), "record_id", sample->header.record_id, "parts",
                     parts_vector(story), "event_hash", hex(story->event_hash[i], DIGEST_SIZE),
                     "header_digest", hex(header_digest, DIGEST_SIZE), "content_key",
                     hex(content_key, KEY_SIZE), "content_digest", hex(content_digest, DIGEST_SIZE));
}

static json_t *events_vector(struct story *story)
{
    struct sample *sample = &story->sample;
    json_t *events = json_array();

    json_array_append_new(events, event_vector(story, 0, "an acceptance with two parts"));
    sample_salt(sample, 100);
    json_array_append_new(
        events, event_vector(story, 1, "the same record sent again: other salts, the same content digest"));

    sample->header.record_id = text("7");
    sample->header.kind = CASEBUS__V1__KIND__KIND_OTHER;
    sample->header.fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS__NOT_SET;
    sample->header.precision = CASEBUS__V1__PRECISION__PRECISION_DATE;
    sample->header.n_case_alias = sample->header.n_material = 0;
    sample->header.n_commitment = sample->event.n_part = 0;
    json_array_append_new(events, event_vector(story, 2, "a record of an unknown kind, without parts"));
    return events;
}

/* --- batches ------------------------------------------------------------------------------------------- */

static json_t *batch_vector(struct story *story, size_t b, uint64_t first, const size_t *members, size_t n)
{
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    uint8_t hashes[2][DIGEST_SIZE], root[DIGEST_SIZE], previous[DIGEST_SIZE] = {0}, hash[DIGEST_SIZE];
    json_t *leaves = json_array();

    for (size_t i = 0; i < n; i++) {
        memcpy(hashes[i], story->event_hash[members[i]], DIGEST_SIZE);
        json_array_append_new(leaves, hex(hashes[i], DIGEST_SIZE));
    }
    events_root(story->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, n, root);
    if (b > 0)
        statement_hash(story->crypter, story->statement[b - 1], previous);
    fields.origin = text(SAMPLE_ORIGIN);
    fields.node = text(PUBLISHER);
    fields.stream = STREAM;
    fields.first = first;
    fields.count = (uint32_t)n;
    fields.events_root = field(root, DIGEST_SIZE);
    fields.previous = field(previous, DIGEST_SIZE);
    must(story, statement_make(story->crypter, &fields, story->key, story->arena, &story->statement[b],
                               story->signature[b], &story->err));
    statement_hash(story->crypter, story->statement[b], hash);
    return json_pack("{so so so so so so so}", "first", json_integer((json_int_t)first), "event_hashes",
                     leaves, "events_root", hex(root, DIGEST_SIZE), "previous", hex(previous, DIGEST_SIZE),
                     "statement", hex_of(story->statement[b]), "statement_hash", hex(hash, DIGEST_SIZE),
                     "signature", hex(story->signature[b], SIGNATURE_SIZE));
}

static json_t *batches_vector(struct story *story)
{
    json_t *batches = json_array();

    json_array_append_new(batches, batch_vector(story, 0, 1, (const size_t[]){0, 2}, 2));
    json_array_append_new(batches, batch_vector(story, 1, 3, (const size_t[]){1}, 1));
    return batches;
}

static json_t *publish_vector(struct story *story)
{
    Casebus__V1__Event *events[] = {story->event[0], story->event[2]};
    Casebus__V1__Batch batch = CASEBUS__V1__BATCH__INIT;
    Casebus__V1__Publish publish = CASEBUS__V1__PUBLISH__INIT;
    Casebus__V1__Frame frame = CASEBUS__V1__FRAME__INIT;

    batch.statement = field_of(story->statement[0]);
    batch.signature = field(story->signature[0], SIGNATURE_SIZE);
    batch.event = events;
    batch.n_event = 2;
    publish.batch = &batch;
    frame.body_case = CASEBUS__V1__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    return hex_of(pack(story, &frame));
}

/* --- what nodes sign besides -----------------------------------------------------------------------------
 */

static json_t *enrolment_vector(struct story *story)
{
    Casebus__V1__EnrolmentStatement enrolment = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    uint8_t curve_key[CURVE_KEY_SIZE];

    memset(curve_key, 0xC5, sizeof curve_key);
    enrolment.context = text(ENROLMENT_CONTEXT);
    enrolment.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    enrolment.origin = text(SAMPLE_ORIGIN);
    enrolment.node = text(PUBLISHER);
    enrolment.department = text(DEPARTMENT);
    enrolment.area = text("320100");
    enrolment.public_key = field(signing_key_public(story->key)->bytes, 32);
    enrolment.curve_key = field(curve_key, sizeof curve_key);
    story->enrolment = signed_statement(story, &enrolment, story->enrolment_signature);
    if (!enrolment_decode(story->enrolment, story->arena, &story->err))
        must(story, -1);
    return json_pack("{so so}", "statement", hex_of(story->enrolment), "signature",
                     hex(story->enrolment_signature, SIGNATURE_SIZE));
}

/* The hub has its own log key in this story: the node's. */
static json_t *session_vector(struct story *story)
{
    struct proof proof = {.origin = SAMPLE_ORIGIN, .node = PUBLISHER};
    uint8_t signature[SIGNATURE_SIZE];

    memset(proof.nonce, 0x4E, sizeof proof.nonce);
    memset(proof.hub_curve, 0xC4, sizeof proof.hub_curve);
    memset(proof.node_curve, 0xC5, sizeof proof.node_curve);
    must(story, proof_sign(&proof, story->key, signature, &story->err));
    return json_pack("{so so so ss ss so}", "nonce", hex(proof.nonce, sizeof proof.nonce), "hub_curve_key",
                     hex(proof.hub_curve, sizeof proof.hub_curve), "node_curve_key",
                     hex(proof.node_curve, sizeof proof.node_curve), "origin", proof.origin, "node",
                     proof.node, "proof", hex(signature, SIGNATURE_SIZE));
}

/* The receiver has had the two events, at positions 3 and 4. */
static json_t *confirm_vector(struct story *story)
{
    Casebus__V1__DeliveryId last = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__ConfirmStatement confirm = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    uint8_t running[DIGEST_SIZE] = {0};
    json_t *deliveries = json_array();

    for (size_t i = 0; i < 2; i++) {
        const uint8_t *hash = story->event_hash[i == 0 ? 0 : 2];
        last.position = 3 + i;
        last.ordinal = (uint32_t)i;
        delivered_hash(story->crypter, running, last.position, last.ordinal, hash);
        json_array_append_new(deliveries,
                              json_pack("{so so so so}", "position", json_integer((json_int_t)last.position),
                                        "ordinal", json_integer(last.ordinal), "event_hash",
                                        hex(hash, DIGEST_SIZE), "running_hash", hex(running, DIGEST_SIZE)));
    }
    confirm.context = text(CONFIRM_CONTEXT);
    confirm.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    confirm.origin = text(SAMPLE_ORIGIN);
    confirm.node = text(RECEIVER);
    confirm.key_id = field(story->key_id, KEY_ID_SIZE);
    confirm.last = &last;
    confirm.running_hash = field(running, DIGEST_SIZE);
    confirm.confirmed_at_us = HUB_TIME_US;
    story->confirm = signed_statement(story, &confirm, story->confirm_signature);
    if (!confirm_decode(story->confirm, story->arena, &story->err))
        must(story, -1);
    return json_pack("{so so so}", "deliveries", deliveries, "statement", hex_of(story->confirm), "signature",
                     hex(story->confirm_signature, SIGNATURE_SIZE));
}

/* --- the ledger ---------------------------------------------------------------------------------------- */

static void entry_add(struct story *story, const char *name, Casebus__V1__LedgerEntry__ContentCase content,
                      void *message)
{
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    struct entry *added = &story->entry[story->n_entries];

    entry.format = 1;
    entry.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    entry.hub_time_us = HUB_TIME_US + (int64_t)story->n_entries;
    entry.content_case = content;
    entry.event = message; /* all members of the union are pointers */
    added->name = name;
    added->bytes = pack(story, &entry);
    if (!entry_decode(added->bytes, story->arena, &story->err))
        must(story, -1);
    tree_leaf_hash(story->crypter, added->bytes, added->leaf);
    story->n_entries++;
}

static void opening_entries(struct story *story)
{
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    static const char der[] = "here stands the DER of a certificate";

    opened.origin = text(SAMPLE_ORIGIN);
    opened.log_key = story->vkey;
    opened.authority = field(der, sizeof der - 1);
    opened.software = text(SOFTWARE);
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    entry_add(story, "ledger opened", CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT, &act);

    grants.publish = 1;
    enrolled.statement = field_of(story->enrolment);
    enrolled.signature = field(story->enrolment_signature, SIGNATURE_SIZE);
    enrolled.certificate = field(der, sizeof der - 1);
    enrolled.grants = &grants;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    entry_add(story, "node enrolled", CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT, &act);
}

static void event_entry(struct story *story, size_t i, uint64_t number)
{
    Casebus__V1__Receiver receiver = CASEBUS__V1__RECEIVER__INIT, *receivers[] = {&receiver};
    Casebus__V1__EventEntry entry = CASEBUS__V1__EVENT_ENTRY__INIT;
    uint8_t case_id[CASE_ID_SIZE];

    memset(case_id, 0xCA, sizeof case_id);
    receiver.node = text(RECEIVER);
    receiver.part_mask = (1u << story->event[i]->n_part) - 1;
    entry.node = text(PUBLISHER);
    entry.stream = STREAM;
    entry.number = number;
    entry.event_hash = field(story->event_hash[i], DIGEST_SIZE);
    entry.case_id = field(case_id, sizeof case_id);
    entry.receiver = receivers;
    entry.n_receiver = 1;
    entry_add(story, "event", CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT, &entry);
}

static void seal_entry(struct story *story, size_t b, Casebus__V1__SealOutcome **outcomes, size_t n)
{
    Casebus__V1__SealEntry seal = CASEBUS__V1__SEAL_ENTRY__INIT;

    seal.statement = field_of(story->statement[b]);
    seal.signature = field(story->signature[b], SIGNATURE_SIZE);
    seal.outcome = outcomes;
    seal.n_outcome = n;
    entry_add(story, n ? "seal of a batch whose member is a duplicate" : "seal",
              CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL, &seal);
}

static void batch_entries(struct story *story)
{
    Casebus__V1__SealOutcome outcome = CASEBUS__V1__SEAL_OUTCOME__INIT, *outcomes[] = {&outcome};

    seal_entry(story, 0, NULL, 0);
    event_entry(story, 0, 1);
    event_entry(story, 2, 2);
    outcome.event_hash = field(story->event_hash[1], DIGEST_SIZE);
    outcome.duplicate_of = 3 + 1; /* position 3 */
    seal_entry(story, 1, outcomes, 1);
}

static void confirmed_entry(struct story *story)
{
    Casebus__V1__SignedConfirm confirm = CASEBUS__V1__SIGNED_CONFIRM__INIT, *confirms[] = {&confirm};
    Casebus__V1__DeliveriesConfirmed confirmed = CASEBUS__V1__DELIVERIES_CONFIRMED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;

    confirm.statement = field_of(story->confirm);
    confirm.signature = field(story->confirm_signature, SIGNATURE_SIZE);
    confirmed.confirm = confirms;
    confirmed.n_confirm = 1;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED;
    act.deliveries_confirmed = &confirmed;
    entry_add(story, "deliveries confirmed", CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT, &act);
}

static json_t *ledger_vector(struct story *story)
{
    json_t *entries = json_array();

    opening_entries(story);
    batch_entries(story);
    confirmed_entry(story);
    for (size_t i = 0; i < story->n_entries; i++)
        json_array_append_new(entries, json_pack("{ss so so}", "what", story->entry[i].name, "entry",
                                                 hex_of(story->entry[i].bytes), "leaf_hash",
                                                 hex(story->entry[i].leaf, DIGEST_SIZE)));
    return entries;
}

static void hash_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct story *story = self;

    memcpy(story->hashes[level][index], hash, DIGEST_SIZE);
}

static int hash_read(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct story *story = self;

    (void)err;
    memcpy(hash, story->hashes[level][index], DIGEST_SIZE);
    return 0;
}

static json_t *path_vector(uint8_t path[][DIGEST_SIZE], size_t n)
{
    json_t *hashes = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(hashes, hex(path[i], DIGEST_SIZE));
    return hashes;
}

static json_t *tree_vector(struct story *story)
{
    struct tree tree;
    uint8_t old_root[DIGEST_SIZE], path[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    struct checkpoint checkpoint = {.origin = SAMPLE_ORIGIN, .size = ENTRIES};
    char note[NOTE_MAX];
    size_t n;

    tree_init(&tree);
    for (size_t i = 0; i < ENTRIES; i++)
        tree_append(&tree, story->crypter, story->entry[i].leaf, hash_store, story);
    tree_root(&tree, story->crypter, checkpoint.root);
    must(story, checkpoint_sign(note, sizeof note, &checkpoint, SAMPLE_ORIGIN, story->key, NULL));
    must(story, tree_inclusion(story->crypter, 5, ENTRIES, hash_read, story, path, &n, &story->err));
    json_t *inclusion = path_vector(path, n);
    must(story,
         tree_consistency(story->crypter, OLD_TREE_SIZE, ENTRIES, hash_read, story, path, &n, &story->err));
    must(story, tree_root_at(story->crypter, OLD_TREE_SIZE, hash_read, story, old_root, &story->err));
    return json_pack("{so so ss s{so so} s{so so so}}", "size", json_integer(ENTRIES), "root",
                     hex(checkpoint.root, DIGEST_SIZE), "note", note, "inclusion", "position",
                     json_integer(5), "path", inclusion, "consistency", "from_size",
                     json_integer(OLD_TREE_SIZE), "from_root", hex(old_root, DIGEST_SIZE), "proof",
                     path_vector(path, n));
}

/* --- a sealed body ------------------------------------------------------------------------------------- */

static struct bytes with_origin(struct story *story, const char *label, const uint8_t *subject, int index)
{
    uint8_t *out = arena_alloc(story->arena, 256);
    size_t size = strlen(label) + 1;

    memcpy(out, label, size);
    memcpy(out + size, SAMPLE_ORIGIN, sizeof SAMPLE_ORIGIN);
    size += sizeof SAMPLE_ORIGIN;
    memcpy(out + size, subject, DIGEST_SIZE);
    size += DIGEST_SIZE;
    if (index >= 0) {
        put_u32be(out + size, (uint32_t)index);
        size += 4;
    }
    return bytes_of(out, size);
}

static struct bytes seal(struct story *story, const uint8_t *key, const uint8_t *nonce, struct bytes aad,
                         struct bytes plain)
{
    uint8_t *out = arena_alloc(story->arena, plain.size + SEAL_EXTRA);

    crypter_seal(story->crypter, key, nonce, aad, plain, out);
    return bytes_of(out, plain.size + SEAL_EXTRA);
}

/* Keys and the nonce of the wrapped key are random in life; here they are fixed. */
static json_t *body_vector(struct story *story)
{
    static const uint8_t slot_key[KEY_SIZE] = "key of the vault slot (32 bytes)";
    static const uint8_t key[KEY_SIZE] = "single-use key of this body (32)";
    static const uint8_t wrap_nonce[12] = "random nonce";
    static const uint8_t digest[DIGEST_SIZE] = "content digest: only carried 32";
    const uint8_t *subject = story->event_hash[0];
    const Casebus__V1__Event *event = story->event[0];
    Casebus__V1__SealedBody body = CASEBUS__V1__SEALED_BODY__INIT;
    ProtobufCBinaryData sealed[3];
    json_t *items = json_array();

    for (size_t i = 0; i < 3; i++) {
        uint8_t nonce[12] = {0};
        struct bytes plain = bytes_of(event->header.data, event->header.len);
        if (i > 0) {
            const Casebus__V1__Part *part = event->part[i - 1];
            uint8_t *joined = arena_alloc(story->arena, SALT_SIZE + part->content.len);
            memcpy(joined, part->salt.data, SALT_SIZE);
            memcpy(joined + SALT_SIZE, part->content.data, part->content.len);
            plain = bytes_of(joined, SALT_SIZE + part->content.len);
        }
        nonce[11] = (uint8_t)i;
        struct bytes aad = with_origin(story, "casebus/v1/body", subject, (int)i);
        sealed[i] = field_of(seal(story, key, nonce, aad, plain));
        json_array_append_new(items, json_pack("{so so so}", "plain", hex_of(plain), "associated",
                                               hex_of(aad), "sealed", hex(sealed[i].data, sealed[i].len)));
    }
    struct bytes aad = with_origin(story, "casebus/v1/wrap", subject, -1);
    struct bytes wrapped = seal(story, slot_key, wrap_nonce, aad, bytes_of(key, KEY_SIZE));
    body.format = 1;
    body.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    body.slot = SLOT;
    body.wrapped_key = field_of(wrapped);
    body.item = sealed;
    body.n_item = 3;
    body.content_digest = field(digest, DIGEST_SIZE);
    return json_pack("{ss so so so so so so so}", "origin", SAMPLE_ORIGIN, "subject",
                     hex(subject, DIGEST_SIZE), "slot_key", hex(slot_key, KEY_SIZE), "key",
                     hex(key, KEY_SIZE), "wrapped_key", hex_of(wrapped), "wrap_associated", hex_of(aad),
                     "items", items, "body", hex_of(pack(story, &body)));
}

/* --- bytes that have to be refused -----------------------------------------------------------------------
 */

static json_t *refusals_vector(void)
{
    static const struct {
        const char *what, *message, *bytes, *code;
    } rows[] = {
        {"a singular field given twice", "Limit", "08010801", "CB-MALFORMED"},
        {"two members of a oneof", "Frame", "52005a00", "CB-MALFORMED"},
        {"a varint that is not in its shortest form", "Limit", "088100", "CB-MALFORMED"},
        {"a length that is not in its shortest form", "Limit", "12810044", "CB-MALFORMED"},
        {"a varint of more than 64 bits", "Limit", "08ffffffffffffffffff02", "CB-MALFORMED"},
        {"a number too large for its field", "Limit", "088080808010", "CB-MALFORMED"},
        {"a bool that is neither 0 nor 1", "Grants", "0802", "CB-MALFORMED"},
        {"a wrong wire type", "Limit", "0a00", "CB-MALFORMED"},
        {"a group", "Limit", "4b4c", "CB-MALFORMED"},
        {"field number 0", "Limit", "0000", "CB-MALFORMED"},
        {"a length past the end", "Limit", "120244", "CB-MALFORMED"},
        {"a text with NUL", "Limit", "120100", "CB-TEXT"},
        {"a text that is not UTF-8 (GB18030)", "Limit", "1204b4b0bfda", "CB-TEXT"},
        {"a frame without a body", "Frame", "", "CB-MALFORMED"},
        {"a frame of a kind that does not exist yet", "Frame", "6a00", "CB-VERSION"},
        {"a frame with a known and an unknown body", "Frame", "6a005200", "CB-MALFORMED"},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        json_array_append_new(list, json_pack("{ss ss ss ss}", "what", rows[i].what, "message",
                                              rows[i].message, "bytes", rows[i].bytes, "code", rows[i].code));
    return list;
}

json_t *vectors_make(void)
{
    struct story *story = calloc(1, sizeof *story);

    if (!story)
        exit(1);
    sample_init(&story->sample);
    story->crypter = story->sample.crypter;
    story->arena = &story->sample.arena;
    key_load(story);

    json_t *all = json_object();
    json_object_set_new(all, "format", json_integer(1));
    json_object_set_new(
        all, "about",
        json_string("Golden vectors of casebus v1 (docs/protocol.md). Bytes are in hexadecimal. "
                    "Suite intl. All keys are test values."));
    json_object_set_new(all, "key", key_vector(story));
    json_object_set_new(all, "events", events_vector(story));
    json_object_set_new(all, "batches", batches_vector(story));
    json_object_set_new(all, "publish_frame", publish_vector(story));
    json_object_set_new(all, "enrolment", enrolment_vector(story));
    json_object_set_new(all, "session", session_vector(story));
    json_object_set_new(all, "confirm", confirm_vector(story));
    json_object_set_new(all, "ledger", ledger_vector(story));
    json_object_set_new(all, "tree", tree_vector(story));
    json_object_set_new(all, "body", body_vector(story));
    json_object_set_new(all, "refused", refusals_vector());

    signing_key_free(story->key);
    sample_deinit(&story->sample);
    free(story);
    return all;
}
