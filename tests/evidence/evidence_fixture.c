#include "tests/evidence/evidence_fixture.h"

#include "proto/merkle/tree.h"

#include <openssl/evp.h>

/* ---- the story ---- */

void evidence_fixture_tell(struct hub_fixture *hub)
{
    static const char *const receivers[] = {"office", "registry"};
    Casebus__V1__Grants publish = CASEBUS__V1__GRANTS__INIT, receive = CASEBUS__V1__GRANTS__INIT;
    publish.publish = true;
    receive.receive_all = true;
    hub_fixture_enrol(hub, "bureau", &publish);
    hub_fixture_enrol(hub, "desk", &publish);
    hub_fixture_enrol(hub, "office", &receive);
    hub_fixture_enrol(hub, "registry", &receive);
    const struct fixture_event first[] = {{.record = "r1",
                                           .number = "2026/1",
                                           .kind = CASEBUS__V1__KIND__KIND_APPLY,
                                           .name = "张三",
                                           .receivers = {"office", "registry"}},
                                          {.record = "r2",
                                           .number = "2026/1",
                                           .at_us = FIXTURE_TIME_US + 1000000,
                                           .action = "初审",
                                           .receivers = {"office"}},
                                          {.record = "r3",
                                           .number = "2026-2",
                                           .kind = CASEBUS__V1__KIND__KIND_APPLY,
                                           .name = "李四",
                                           .receivers = {"registry", "office"}}};
    hub_fixture_batch(hub, "bureau", first, 3);
    hub_fixture_confirm(hub, receivers, 1, 7);
    const struct fixture_event second[] = {
        {.record = "r1", .number = "2026/1", .duplicate_of = 7},
        {.record = "d1",
         .number = "2026/1",
         .kind = CASEBUS__V1__KIND__KIND_ACCEPT,
         .at_us = FIXTURE_TIME_US + 2000000,
         .receivers = {"office", "registry"}},
        {.record = "d2", .number = "2026-2", .refused = "CB-RECORD-OWNER"}};
    hub_fixture_batch(hub, "desk", second, 3);
    hub_fixture_quarantine(hub, "desk", "bytes of a frame");
    hub_fixture_confirm(hub, receivers, 2, 13);
    const struct fixture_event third[] = {
        {.record = "r4", .number = "2026/1", .action = "复审", .receivers = {"office"}}};
    hub_fixture_batch(hub, "bureau", third, 1);
}

size_t evidence_fixture_open(struct hub_fixture *hub, const char *origin, const char *previous)
{
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__LedgerOpened opened = *hub_fixture_edit(hub, 0)->act->ledger_opened;
    char vkey[VKEY_MAX], note[NOTE_MAX];
    assert_true(note_vkey_format(vkey, sizeof vkey, origin, signing_key_public(hub->keys.log)) > 0);
    opened.origin = (char *)origin;
    opened.log_key = vkey;
    opened.previous_origin = (char *)previous;
    if (*previous) {
        evidence_fixture_checkpoint(hub, previous, hub->keys.log, note);
        opened.previous_checkpoint = data_of(bytes_of_text(note));
    }
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    return hub_fixture_act(hub, &act, bytes_of(NULL, 0));
}

void evidence_fixture_reseal(struct hub_fixture *hub, size_t position,
                             void (*change)(Casebus__V1__BatchStatement *statement), const char *signer)
{
    struct casebus_error err;
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(hub, position);
    Casebus__V1__BatchStatement *statement = statement_decode(
        bytes_of(entry->seal->statement.data, entry->seal->statement.len), &hub->arena, &err);
    if (change)
        change(statement);
    struct bytes packed = codec_pack(statement, &hub->arena);
    entry->seal->statement = data_of(packed);
    assert_int_equal(
        signing_key_sign(hub_fixture_node(hub, signer)->key, packed, entry->seal->signature.data, NULL), 0);
    hub_fixture_put(hub, position, entry);
}

/* ---- trees of what is at hand ---- */

/* Hashes of leaves; every subtree is counted anew. */
struct leaves {
    struct crypter *crypter;
    uint8_t hashes[FIXTURE_ENTRIES][DIGEST_SIZE];
    size_t n;
};

static int leaves_read(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                       struct casebus_error *err)
{
    struct leaves *leaves = self;
    (void)err;
    tree_root_of(leaves->crypter, (const uint8_t(*)[DIGEST_SIZE])leaves->hashes + (index << level),
                 (size_t)1 << level, hash);
    return 0;
}

static void leaves_add(struct leaves *leaves, struct bytes entry)
{
    tree_leaf_hash(leaves->crypter, entry, leaves->hashes[leaves->n++]);
}

static size_t leaves_path(struct leaves *leaves, size_t index, uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE])
{
    struct casebus_error err;
    size_t n;
    must(tree_inclusion(leaves->crypter, index, leaves->n, leaves_read, leaves, path, &n, &err), &err);
    return n;
}

static void leaves_of_ledger(struct leaves *leaves, struct hub_fixture *hub)
{
    *leaves = (struct leaves){.crypter = hub->crypter};
    for (size_t i = 0; i < hub->n_entries; i++)
        leaves_add(leaves, hub->entries[i].leaf);
}

/* ---- the checkpoint ---- */

void evidence_fixture_checkpoint(struct hub_fixture *hub, const char *origin, const struct signing_key *key,
                                 char note[NOTE_MAX])
{
    struct leaves leaves;
    struct checkpoint checkpoint = {.size = hub->n_entries};
    snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", origin);
    leaves_of_ledger(&leaves, hub);
    tree_root_of(hub->crypter, (const uint8_t(*)[DIGEST_SIZE])leaves.hashes, leaves.n, checkpoint.root);
    assert_true(checkpoint_sign(note, NOTE_MAX, &checkpoint, origin, key, NULL) > 0);
}

/* Four bytes of the verifier key's text are the hash of the key. */
static void key_hash_of(uint8_t hash[4], const char *name, const struct public_key *key)
{
    char vkey[VKEY_MAX];
    assert_true(note_witness_vkey_format(vkey, sizeof vkey, name, key) > 0);
    put_u32be(hash, (uint32_t)strtoul(vkey + strlen(name) + 1, NULL, 16));
}

void evidence_fixture_cosign(char note[NOTE_MAX], const char *name, const struct public_key *claimed,
                             const struct signing_key *key, uint64_t time_s)
{
    struct casebus_error err;
    struct bytes text, lines;
    char message[NOTE_MAX + 64], base64[128], line[KEY_NAME_MAX + 160];
    uint8_t value[4 + 8 + SIGNATURE_SIZE];
    must(note_parts(&text, &lines, bytes_of_text(note), &err), &err);
    int size = snprintf(message, sizeof message, "cosignature/v1\ntime %llu\n%.*s",
                        (unsigned long long)time_s, (int)text.size, (const char *)text.data);
    key_hash_of(value, name, claimed);
    put_u64be(value + 4, time_s);
    assert_int_equal(signing_key_sign(key, bytes_of(message, (size_t)size), value + 12, NULL), 0);
    EVP_EncodeBlock((uint8_t *)base64, value, sizeof value);
    snprintf(line, sizeof line, "\u2014 %s %s\n", name, base64);
    assert_true(strlen(note) + strlen(line) < NOTE_MAX);
    strcat(note, line);
}

/* ---- the file ---- */

struct maker {
    struct hub_fixture *hub;
    struct evidence_builder *builder;
    struct leaves leaves;
    enum evidence_fixture_shown shown;
};

static void leaf_put(struct maker *maker, uint64_t position)
{
    struct casebus_error err;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    size_t n = leaves_path(&maker->leaves, position, path);
    must(evidence_builder_leaf(maker->builder, position, maker->hub->entries[position].leaf,
                               (const uint8_t(*)[DIGEST_SIZE])path, n, &err),
         &err);
}

/* The header and the parts of the event at @position, out of its body. */
static void event_open(struct hub_fixture *hub, uint64_t position, struct evidence_claim_event *claim)
{
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    struct bytes item;
    const Casebus__V1__EventEntry *event = hub_fixture_edit(hub, position)->event;
    const Casebus__V1__SealedBody *body = body_decode(hub->entries[position].body, &hub->arena, &err);
    assert_non_null(body);
    must(vault_key(hub->vault, body->slot, key, &err), &err);
    for (size_t i = 0; i < body->n_item; i++) {
        must(body_open_item(hub->crypter, FIXTURE_ORIGIN, event->event_hash.data, body, key, i, &hub->arena,
                            &item, &err),
             &err);
        if (i == 0)
            claim->header = item;
        else
            claim->parts[claim->n_parts++] = (struct evidence_claim_part){
                .salt = bytes_of(item.data, SALT_SIZE),
                .content = bytes_of(item.data + SALT_SIZE, item.size - SALT_SIZE)};
    }
}

static void member_put(struct maker *maker, uint64_t seal, uint32_t index, uint64_t position,
                       struct leaves *members)
{
    struct casebus_error err;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    struct evidence_claim_event claim = {
        .position = position, .seal = seal, .batch_path = (const uint8_t(*)[DIGEST_SIZE])path};
    claim.n_batch_path = leaves_path(members, index, path);
    if (!position) {
        must(
            evidence_builder_outcome(maker->builder, seal, index, claim.batch_path, claim.n_batch_path, &err),
            &err);
        return;
    }
    if (maker->shown == SHOWN_OPEN)
        event_open(maker->hub, position, &claim);
    else
        claim.header_withheld = CASEBUS__V1__WITHHELD__WITHHELD_NOT_ASKED;
    must(evidence_builder_event(maker->builder, &claim, &err), &err);
}

/* The members of a batch as its seal and the entries behind it tell them. */
static void batch_put(struct maker *maker, uint64_t seal_position)
{
    struct casebus_error err;
    struct hub_fixture *hub = maker->hub;
    const Casebus__V1__SealEntry *seal = hub_fixture_edit(hub, seal_position)->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &hub->arena, &err);
    struct leaves members = {.crypter = hub->crypter};
    uint64_t positions[BATCH_MAX_EVENTS] = {0}, next = seal_position + 1;
    for (uint32_t i = 0, told = 0; i < statement->count; i++) {
        ProtobufCBinaryData hash = {DIGEST_SIZE, (uint8_t[DIGEST_SIZE]){0}};
        if (told < seal->n_outcome && seal->outcome[told]->index == i) {
            hash = seal->outcome[told++]->event_hash;
        } else if (next < hub->n_entries) {
            const Casebus__V1__LedgerEntry *entry = hub_fixture_edit(hub, next);
            if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT) {
                positions[i] = next++;
                hash = entry->event->event_hash;
            }
        }
        leaves_add(&members, bytes_of(hash.data, hash.len));
    }
    for (uint32_t i = 0; i < members.n; i++)
        member_put(maker, seal_position, i, positions[i], &members);
}

/* What was delivered to @node up to the last delivery that it confirmed. */
static size_t links_of(struct hub_fixture *hub, const Casebus__V1__ConfirmStatement *statement,
                       struct evidence_claim_link links[FIXTURE_ENTRIES])
{
    size_t n = 0;
    for (size_t i = 0; i <= statement->last->position && i < hub->n_entries; i++) {
        const Casebus__V1__LedgerEntry *entry = hub_fixture_edit(hub, i);
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
            continue;
        for (uint32_t k = 0; k < entry->event->n_receiver; k++) {
            if (strcmp(entry->event->receiver[k]->node, statement->node) != 0)
                continue;
            links[n] = (struct evidence_claim_link){.position = i, .ordinal = k};
            memcpy(links[n++].event_hash, entry->event->event_hash.data, DIGEST_SIZE);
        }
    }
    return n;
}

static void confirm_put(struct maker *maker, uint64_t position, uint32_t index,
                        const Casebus__V1__SignedConfirm *confirm)
{
    static const uint8_t beginning[DIGEST_SIZE];
    struct evidence_claim_link links[FIXTURE_ENTRIES];
    struct casebus_error err;
    size_t n = 0;
    if (maker->shown == SHOWN_OPEN) {
        const Casebus__V1__ConfirmStatement *statement = confirm_decode(
            bytes_of(confirm->statement.data, confirm->statement.len), &maker->hub->arena, &err);
        assert_non_null(statement);
        n = links_of(maker->hub, statement, links);
    }
    must(evidence_builder_confirm(maker->builder, position, index, beginning, links, n, &err), &err);
}

static void entry_put(struct maker *maker, uint64_t position)
{
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(maker->hub->entries[position].leaf, &maker->hub->arena, NULL);
    leaf_put(maker, position);
    if (!entry)
        return; /* no hub would write it, and no claim can be made of it */
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        batch_put(maker, position);
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED)
        for (uint32_t i = 0; i < entry->act->deliveries_confirmed->n_confirm; i++)
            confirm_put(maker, position, i, entry->act->deliveries_confirmed->confirm[i]);
}

struct bytes evidence_fixture_file(struct hub_fixture *hub, const char *note,
                                   enum evidence_fixture_shown shown)
{
    struct casebus_error err;
    struct bytes file;
    struct maker maker = {.hub = hub, .builder = evidence_builder_new(hub->suite), .shown = shown};
    leaves_of_ledger(&maker.leaves, hub);
    for (uint64_t i = 0; i < hub->n_entries; i++)
        entry_put(&maker, i);
    must(evidence_builder_finish(maker.builder, bytes_of_text(note), &file, &err), &err);
    uint8_t *copy = arena_copy(&hub->arena, file.data, file.size);
    assert_non_null(copy);
    evidence_builder_free(maker.builder);
    return bytes_of(copy, file.size);
}
