#include "hub/console/hub_fixture.h"

#include "hub/pipeline/replay.h"
#include "proto/base/clock.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/statement.h"
#include "proto/merkle/note.h"

/* ---- gathering ---- */

static struct bytes pack(struct hub_fixture *fixture, const void *message)
{
    struct bytes bytes = codec_pack(message, &fixture->arena);
    assert_non_null(bytes.data);
    return bytes;
}

static void *allocate(struct hub_fixture *fixture, size_t size)
{
    void *memory = arena_alloc(&fixture->arena, size);
    assert_non_null(memory);
    memset(memory, 0, size);
    return memory;
}

void hub_fixture_put(struct hub_fixture *fixture, size_t position, const Casebus__V1__LedgerEntry *entry)
{
    fixture->entries[position].leaf = pack(fixture, entry);
}

static size_t add(struct hub_fixture *fixture, Casebus__V1__LedgerEntry *entry, struct bytes body)
{
    assert_true(fixture->n_entries < FIXTURE_ENTRIES);
    size_t position = fixture->n_entries++;
    entry->format = 1;
    entry->suite = (Casebus__V1__Suite)suite_id(fixture->suite);
    entry->hub_time_us = fixture->hub_time_us;
    fixture->hub_time_us += 1000;
    fixture->entries[position] = (struct fixture_entry){.body = body};
    hub_fixture_put(fixture, position, entry);
    return position;
}

size_t hub_fixture_act(struct hub_fixture *fixture, Casebus__V1__ActEntry *act, struct bytes body)
{
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = act;
    return add(fixture, &entry, body);
}

Casebus__V1__LedgerEntry *hub_fixture_edit(struct hub_fixture *fixture, size_t position)
{
    struct casebus_error err;
    Casebus__V1__LedgerEntry *entry = entry_decode(fixture->entries[position].leaf, &fixture->arena, &err);
    assert_non_null(entry);
    return entry;
}

void hub_fixture_remove(struct hub_fixture *fixture, size_t position)
{
    fixture->n_entries--;
    memmove(fixture->entries + position, fixture->entries + position + 1,
            (fixture->n_entries - position) * sizeof fixture->entries[0]);
}

/* ---- the ledger's beginning, and nodes ---- */

static void open_entry(struct hub_fixture *fixture)
{
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    opened.origin = (char *)FIXTURE_ORIGIN;
    opened.log_key = fixture->keys.log_vkey;
    opened.authority = (ProtobufCBinaryData){fixture->keys.authority_size, fixture->keys.authority};
    opened.software = (char *)"test";
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

struct fixture_node *hub_fixture_node(struct hub_fixture *fixture, const char *name)
{
    for (size_t i = 0; i < fixture->n_nodes; i++)
        if (strcmp(fixture->nodes[i].name, name) == 0)
            return &fixture->nodes[i];
    assert_true(fixture->n_nodes < FIXTURE_NODES);
    struct fixture_node *node = &fixture->nodes[fixture->n_nodes++];
    struct casebus_error err;
    snprintf(node->name, sizeof node->name, "%s", name);
    must(signing_key_generate(&node->key, fixture->suite, &err), &err);
    memset(node->curve, (int)fixture->n_nodes, sizeof node->curve);
    node->stream = 0x1122334455667700u + fixture->n_nodes;
    return node;
}

/* Both the entries' time and today lie in what certificates are valid for. */
static int64_t fixture_begin_s(void)
{
    int64_t now = clock_unix_us() / 1000000, entries = FIXTURE_TIME_US / 1000000;
    return (now < entries ? now : entries) - 3600;
}

static struct bytes certificate_of(struct hub_fixture *fixture, const struct fixture_node *node)
{
    struct casebus_error err;
    char path[PATH_MAX];
    struct signing_key *authority_key;
    struct certificate_info info = {.key = *signing_key_public(node->key)};
    uint8_t *der = allocate(fixture, CERTIFICATE_MAX);
    size_t size;
    folder_path(path, fixture->dir, "keys/authority.key");
    must(signing_key_load(&authority_key, fixture->suite, path, &err), &err);
    strcpy(info.node, node->name);
    strcpy(info.department, "市监局");
    strcpy(info.area, "320100");
    strcpy(info.origin, FIXTURE_ORIGIN);
    memcpy(info.curve_key, node->curve, CURVE_KEY_SIZE);
    info.not_before = fixture_begin_s() + 60;
    info.not_after = info.not_before + FIXTURE_VALID_S;
    must(certificate_issue(authority_key, bytes_of(fixture->keys.authority, fixture->keys.authority_size),
                           &info, der, &size, &err),
         &err);
    signing_key_free(authority_key);
    return bytes_of(der, size);
}

size_t hub_fixture_enrol(struct hub_fixture *fixture, const char *name, const Casebus__V1__Grants *grants)
{
    struct fixture_node *node = hub_fixture_node(fixture, name);
    Casebus__V1__EnrolmentStatement statement = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    const struct public_key *public = signing_key_public(node->key);
    uint8_t signature[SIGNATURE_SIZE];
    statement.context = (char *)ENROLMENT_CONTEXT;
    statement.suite = (Casebus__V1__Suite)suite_id(fixture->suite);
    statement.origin = (char *)FIXTURE_ORIGIN;
    statement.node = node->name;
    statement.department = (char *)"市监局";
    statement.area = (char *)"320100";
    statement.public_key = (ProtobufCBinaryData){public->size, (uint8_t *)public->bytes};
    statement.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, node->curve};
    struct bytes packed = pack(fixture, &statement), certificate = certificate_of(fixture, node);
    assert_int_equal(signing_key_sign(node->key, packed, signature, NULL), 0);
    enrolled.statement = (ProtobufCBinaryData){packed.size, (uint8_t *)packed.data};
    enrolled.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    enrolled.certificate = (ProtobufCBinaryData){certificate.size, (uint8_t *)certificate.data};
    enrolled.grants = (Casebus__V1__Grants *)grants;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

size_t hub_fixture_authority(struct hub_fixture *fixture, bool certifies)
{
    struct casebus_error err;
    Casebus__V1__HubKeysStatement keys = CASEBUS__V1__HUB_KEYS_STATEMENT__INIT;
    Casebus__V1__HubKeysChanged changed = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct bytes authority = bytes_of(fixture->keys.authority, fixture->keys.authority_size);
    struct signing_key *before = NULL, *next = NULL;
    uint8_t der[CERTIFICATE_MAX], hash[DIGEST_SIZE], curve[CURVE_KEY_SIZE] = {1},
                                                     signatures[2][SIGNATURE_SIZE];
    size_t size;
    keys.number = fixture->n_entries + 1;
    must(hub_authority_key(&before, fixture->dir, fixture->suite, &err), &err);
    must(hub_authority_make(&next, fixture->dir, keys.number, fixture->suite, FIXTURE_ORIGIN,
                            fixture_begin_s(), der, &size, &err),
         &err);
    suite_hash(fixture->suite, &authority, 1, hash);
    keys.context = (char *)HUB_KEYS_CONTEXT;
    keys.suite = (Casebus__V1__Suite)suite_id(fixture->suite);
    keys.origin = (char *)FIXTURE_ORIGIN;
    keys.authority = (ProtobufCBinaryData){size, der};
    keys.authority_before = (ProtobufCBinaryData){DIGEST_SIZE, hash};
    keys.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, curve};
    keys.curve_from_us = FIXTURE_TIME_US;
    struct bytes statement = pack(fixture, &keys);
    must(signing_key_sign(before, statement, signatures[0], &err), &err);
    must(signing_key_sign(next, statement, signatures[1], &err), &err);
    signing_key_free(before);
    signing_key_free(next);
    changed.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    changed.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signatures[0]};
    changed.authority_signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signatures[1]};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED;
    act.hub_keys_changed = &changed;
    if (certifies)
        must(hub_authority_commit(&fixture->keys, fixture->dir, keys.number, bytes_of(der, size), &err),
             &err);
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

/* ---- events ---- */

struct made_event {
    Casebus__V1__EventHeader *header;
    struct bytes bytes; /* of the header */
    uint8_t hash[DIGEST_SIZE];
    struct bytes items[2];
    size_t n_items;
    uint8_t content_digest[DIGEST_SIZE];
};

static void make_part(struct hub_fixture *fixture, struct made_event *made, const char *name)
{
    Casebus__V1__IdentityPart identity = CASEBUS__V1__IDENTITY_PART__INIT;
    identity.name = (char *)name;
    struct bytes content = pack(fixture, &identity);
    uint8_t *item = allocate(fixture, SALT_SIZE + content.size);
    random_bytes(item, SALT_SIZE);
    memcpy(item + SALT_SIZE, content.data, content.size);
    made->items[made->n_items++] = bytes_of(item, SALT_SIZE + content.size);

    Casebus__V1__PartCommitment *commitment = allocate(fixture, sizeof *commitment);
    Casebus__V1__PartCommitment **list = allocate(fixture, sizeof *list);
    uint8_t *mac = allocate(fixture, DIGEST_SIZE);
    part_commitment(fixture->crypter, item, content, mac);
    casebus__v1__part_commitment__init(commitment);
    commitment->kind = CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY;
    commitment->mac = (ProtobufCBinaryData){DIGEST_SIZE, mac};
    commitment->size = (uint32_t)content.size;
    list[0] = commitment;
    made->header->commitment = list;
    made->header->n_commitment = 1;
}

static void make_event(struct hub_fixture *fixture, const struct fixture_event *event,
                       struct made_event *made)
{
    Casebus__V1__EventHeader *header = allocate(fixture, sizeof *header);
    Casebus__V1__StepFields *step = allocate(fixture, sizeof *step);
    uint8_t *random = allocate(fixture, RANDOM_SIZE);
    casebus__v1__event_header__init(header);
    casebus__v1__step_fields__init(step);
    random_bytes(random, RANDOM_SIZE);
    *made = (struct made_event){.header = header, .n_items = 1};
    header->random = (ProtobufCBinaryData){RANDOM_SIZE, random};
    header->format = 1;
    header->record_namespace = (char *)"test/rows";
    header->record_id = (char *)event->record;
    header->operation = CASEBUS__V1__OPERATION__OPERATION_PUT;
    header->kind = event->kind ? event->kind : CASEBUS__V1__KIND__KIND_STEP;
    header->case_number = (char *)event->number;
    header->area = (char *)"320100";
    header->occurred_at_us = event->at_us ? event->at_us : FIXTURE_TIME_US;
    header->precision = CASEBUS__V1__PRECISION__PRECISION_INSTANT;
    header->handler = (char *)"一组";
    if (event->action) {
        step->action = (char *)event->action;
        header->fields_case = CASEBUS__V1__EVENT_HEADER__FIELDS_STEP;
        header->step = step;
    }
    if (event->name)
        make_part(fixture, made, event->name);
    made->bytes = made->items[0] = pack(fixture, header);
    event_hash(fixture->crypter, made->bytes, made->hash);
    crypter_hash1(fixture->crypter, bytes_of_text(event->record), made->content_digest);
}

static struct bytes seal_body(struct hub_fixture *fixture, const uint8_t subject[DIGEST_SIZE],
                              const struct bytes *items, size_t n, uint64_t slot,
                              const uint8_t content_digest[DIGEST_SIZE])
{
    struct casebus_error err;
    struct body_seal seal = {0};
    struct bytes body;
    uint8_t key[KEY_SIZE];
    must(vault_key(fixture->vault, slot, key, &err), &err);
    must(body_seal_items(fixture->crypter, FIXTURE_ORIGIN, subject, items, n, &fixture->arena, &seal, &err),
         &err);
    memcpy(seal.content_digest, content_digest, DIGEST_SIZE);
    must(body_wrap(fixture->crypter, FIXTURE_ORIGIN, &seal, slot, key, &fixture->arena, &body, &err), &err);
    return body;
}

static uint64_t take_slot(struct hub_fixture *fixture)
{
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    uint64_t slot;
    must(vault_take(fixture->vault, &slot, key, &err), &err);
    return slot;
}

static size_t find_case(struct hub_fixture *fixture, const char *number)
{
    size_t i = 0;
    while (i < fixture->n_cases && strcmp(fixture->cases[i].number, number) != 0)
        i++;
    if (i == fixture->n_cases) {
        fixture->n_cases++;
        snprintf(fixture->cases[i].number, sizeof fixture->cases[i].number, "%s", number);
        random_bytes(fixture->cases[i].id, 16);
        put_u64be(fixture->cases[i].id,
                  i + 1); /* in the order in which they were opened, as the writer does */
        fixture->cases[i].slot = take_slot(fixture);
    }
    return i;
}

static void add_event(struct hub_fixture *fixture, struct fixture_node *node, uint64_t number,
                      const struct fixture_event *event, struct made_event *made)
{
    size_t of = find_case(fixture, event->number);
    Casebus__V1__EventEntry content = CASEBUS__V1__EVENT_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    content.node = node->name;
    content.stream = node->stream;
    content.number = number;
    content.event_hash = (ProtobufCBinaryData){DIGEST_SIZE, made->hash};
    content.case_id = (ProtobufCBinaryData){16, fixture->cases[of].id};
    content.receiver = allocate(fixture, 3 * sizeof *content.receiver);
    while (content.n_receiver < 3 && event->receivers[content.n_receiver]) {
        Casebus__V1__Receiver *receiver = allocate(fixture, sizeof *receiver);
        casebus__v1__receiver__init(receiver);
        receiver->node = (char *)event->receivers[content.n_receiver];
        receiver->part_mask = event->name ? 1 : 0;
        content.receiver[content.n_receiver++] = receiver;
    }
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT;
    entry.event = &content;
    add(fixture, &entry,
        seal_body(fixture, made->hash, made->items, made->n_items, fixture->cases[of].slot,
                  made->content_digest));
}

static struct bytes sign_batch(struct hub_fixture *fixture, struct fixture_node *node,
                               const struct made_event *made, size_t n, uint8_t signature[SIGNATURE_SIZE])
{
    struct casebus_error err;
    struct bytes statement;
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE], root[DIGEST_SIZE], key_id[KEY_ID_SIZE];
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    for (size_t i = 0; i < n; i++)
        memcpy(hashes[i], made[i].hash, DIGEST_SIZE);
    events_root(fixture->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, n, root);
    public_key_id(signing_key_public(node->key), key_id);
    fields.context = (char *)"casebus/v1/batch";
    fields.suite = (Casebus__V1__Suite)suite_id(fixture->suite);
    fields.origin = (char *)FIXTURE_ORIGIN;
    fields.node = node->name;
    fields.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, key_id};
    fields.stream = node->stream;
    fields.first = node->last + 1;
    fields.count = (uint32_t)n;
    fields.events_root = (ProtobufCBinaryData){DIGEST_SIZE, root};
    fields.previous = (ProtobufCBinaryData){DIGEST_SIZE, node->previous};
    must(statement_make(fixture->crypter, &fields, node->key, &fixture->arena, &statement, signature, &err),
         &err);
    statement_hash(fixture->crypter, statement, node->previous);
    return statement;
}

static size_t add_seal(struct hub_fixture *fixture, struct bytes statement, uint8_t *signature,
                       const struct fixture_event *events, struct made_event *made, size_t n)
{
    Casebus__V1__SealEntry seal = CASEBUS__V1__SEAL_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    seal.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)statement.data};
    seal.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    seal.outcome = allocate(fixture, n * sizeof *seal.outcome);
    for (size_t i = 0; i < n; i++) {
        if (!events[i].duplicate_of && !events[i].refused)
            continue;
        Casebus__V1__SealOutcome *outcome = allocate(fixture, sizeof *outcome);
        casebus__v1__seal_outcome__init(outcome);
        outcome->index = (uint32_t)i;
        outcome->event_hash = (ProtobufCBinaryData){DIGEST_SIZE, made[i].hash};
        outcome->duplicate_of = events[i].duplicate_of;
        if (events[i].refused)
            outcome->code = (char *)events[i].refused;
        seal.outcome[seal.n_outcome++] = outcome;
    }
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL;
    entry.seal = &seal;
    return add(fixture, &entry, bytes_of(NULL, 0));
}

size_t hub_fixture_batch(struct hub_fixture *fixture, const char *name, const struct fixture_event *events,
                         size_t n)
{
    struct fixture_node *node = hub_fixture_node(fixture, name);
    struct made_event *made = allocate(fixture, n * sizeof *made);
    uint8_t signature[SIGNATURE_SIZE];
    for (size_t i = 0; i < n; i++)
        make_event(fixture, &events[i], &made[i]);
    struct bytes statement = sign_batch(fixture, node, made, n, signature);
    size_t position = add_seal(fixture, statement, signature, events, made, n);
    for (size_t i = 0; i < n; i++)
        if (!events[i].duplicate_of && !events[i].refused)
            add_event(fixture, node, node->last + 1 + i, &events[i], &made[i]);
    node->last += n;
    return position;
}

size_t hub_fixture_quarantine(struct hub_fixture *fixture, const char *node, const char *content)
{
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct bytes item = bytes_of_text(content);
    uint8_t subject[DIGEST_SIZE];
    crypter_hash1(fixture->crypter, item, subject);
    quarantined.node = (char *)node;
    quarantined.code = (char *)"CB-MALFORMED";
    quarantined.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    quarantined.size = (uint32_t)item.size;
    quarantined.whole_batch = true;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    return hub_fixture_act(fixture, &act, seal_body(fixture, subject, &item, 1, take_slot(fixture), subject));
}

/* ---- what else an operator or the hub says ---- */

size_t hub_fixture_refused(struct hub_fixture *fixture, size_t seal, size_t outcome, const char *code)
{
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct casebus_error err;
    const Casebus__V1__SealEntry *sealed = hub_fixture_edit(fixture, seal)->seal;
    const Casebus__V1__BatchStatement *statement =
        statement_decode(bytes_of(sealed->statement.data, sealed->statement.len), &fixture->arena, &err);
    quarantined.node = statement->node;
    quarantined.code = (char *)(uintptr_t)code;
    quarantined.subject = sealed->outcome[outcome]->event_hash;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

/* With the note that is beside every act of an operator. */
static size_t noted_act(struct hub_fixture *fixture, Casebus__V1__ActEntry *act,
                        const uint8_t subject[DIGEST_SIZE])
{
    Casebus__V1__OperatorNote note = CASEBUS__V1__OPERATOR_NOTE__INIT;
    static const uint8_t none[DIGEST_SIZE];
    note.operator_ = (char *)"tester";
    struct bytes item = pack(fixture, &note);
    return hub_fixture_act(fixture, act, seal_body(fixture, subject, &item, 1, take_slot(fixture), none));
}

size_t hub_fixture_standing(struct hub_fixture *fixture, const char *node, Casebus__V1__NodeStatus status)
{
    Casebus__V1__NodeStatusChanged changed = CASEBUS__V1__NODE_STATUS_CHANGED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    uint8_t subject[DIGEST_SIZE];
    random_bytes(subject, sizeof subject);
    changed.node = (char *)(uintptr_t)node;
    changed.status = status;
    changed.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED;
    act.node_status_changed = &changed;
    return noted_act(fixture, &act, subject);
}

size_t hub_fixture_invite(struct hub_fixture *fixture, const char *node, const Casebus__V1__Grants *grants,
                          const uint8_t invitation[INVITATION_SIZE])
{
    Casebus__V1__NodeInvited invited = CASEBUS__V1__NODE_INVITED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    uint8_t subject[DIGEST_SIZE];
    random_bytes(subject, sizeof subject);
    invited.invitation = (ProtobufCBinaryData){INVITATION_SIZE, (uint8_t *)(uintptr_t)invitation};
    invited.node = (char *)(uintptr_t)node;
    invited.department = (char *)"市监局";
    invited.area = (char *)"320100";
    invited.grants = (Casebus__V1__Grants *)(uintptr_t)grants;
    invited.expires_at_us = fixture->hub_time_us + INT64_C(3600000000);
    invited.subject = (ProtobufCBinaryData){DIGEST_SIZE, subject};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED;
    act.node_invited = &invited;
    return noted_act(fixture, &act, subject);
}

size_t hub_fixture_enrol_invited(struct hub_fixture *fixture, const char *name,
                                 const Casebus__V1__Grants *grants, const uint8_t invitation[INVITATION_SIZE])
{
    size_t position = hub_fixture_enrol(fixture, name, grants);
    Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, position);
    entry->act->node_enrolled->invitation =
        (ProtobufCBinaryData){INVITATION_SIZE, (uint8_t *)(uintptr_t)invitation};
    hub_fixture_put(fixture, position, entry);
    return position;
}

struct signing_key *hub_fixture_rekey(struct hub_fixture *fixture, const char *name)
{
    struct casebus_error err;
    struct fixture_node *node = hub_fixture_node(fixture, name);
    struct signing_key *before = node->key;
    must(signing_key_generate(&node->key, fixture->suite, &err), &err);
    return before;
}

size_t hub_fixture_enrol_anew(struct hub_fixture *fixture, const char *name)
{
    const Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    signing_key_free(hub_fixture_rekey(fixture, name));
    hub_fixture_node(fixture, name)->curve[0]++;
    return hub_fixture_enrol(fixture, name, &grants);
}

/* ---- confirmations ---- */

static void take_deliveries(struct hub_fixture *fixture, struct fixture_node *node, size_t end)
{
    for (; node->n_seen < end; node->n_seen++) {
        const Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, node->n_seen);
        if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_EVENT)
            continue;
        for (uint32_t i = 0; i < entry->event->n_receiver; i++) {
            if (strcmp(entry->event->receiver[i]->node, node->name) != 0)
                continue;
            node->last_position = node->n_seen;
            node->last_ordinal = i;
            delivered_hash(fixture->crypter, node->running_hash, node->n_seen, i,
                           entry->event->event_hash.data);
        }
    }
}

static Casebus__V1__SignedConfirm *make_confirm(struct hub_fixture *fixture, struct fixture_node *node)
{
    Casebus__V1__DeliveryId last = CASEBUS__V1__DELIVERY_ID__INIT;
    Casebus__V1__ConfirmStatement statement = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    Casebus__V1__SignedConfirm *confirm = allocate(fixture, sizeof *confirm);
    uint8_t key_id[KEY_ID_SIZE], *signature = allocate(fixture, SIGNATURE_SIZE);
    public_key_id(signing_key_public(node->key), key_id);
    last.position = node->last_position;
    last.ordinal = node->last_ordinal;
    statement.context = (char *)CONFIRM_CONTEXT;
    statement.suite = (Casebus__V1__Suite)suite_id(fixture->suite);
    statement.origin = (char *)FIXTURE_ORIGIN;
    statement.node = node->name;
    statement.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, key_id};
    statement.last = &last;
    statement.running_hash = (ProtobufCBinaryData){DIGEST_SIZE, node->running_hash};
    statement.confirmed_at_us = fixture->hub_time_us;
    struct bytes packed = pack(fixture, &statement);
    assert_int_equal(signing_key_sign(node->key, packed, signature, NULL), 0);
    casebus__v1__signed_confirm__init(confirm);
    confirm->statement = (ProtobufCBinaryData){packed.size, (uint8_t *)packed.data};
    confirm->signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    return confirm;
}

size_t hub_fixture_confirm(struct hub_fixture *fixture, const char *const *nodes, size_t n, size_t end)
{
    Casebus__V1__DeliveriesConfirmed confirmed = CASEBUS__V1__DELIVERIES_CONFIRMED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    confirmed.confirm = allocate(fixture, n * sizeof *confirmed.confirm);
    confirmed.n_confirm = n;
    for (size_t i = 0; i < n; i++) {
        struct fixture_node *node = hub_fixture_node(fixture, nodes[i]);
        take_deliveries(fixture, node, end);
        confirmed.confirm[i] = make_confirm(fixture, node);
    }
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED;
    act.deliveries_confirmed = &confirmed;
    return hub_fixture_act(fixture, &act, bytes_of(NULL, 0));
}

/* ---- writing ---- */

struct row_hashes {
    uint8_t hashes[TREE_LEVELS][DIGEST_SIZE];
    size_t n;
};

static void on_store(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct row_hashes *row = self;
    (void)level, (void)index;
    memcpy(row->hashes[row->n++], hash, DIGEST_SIZE);
}

static struct bytes altered(struct hub_fixture *fixture, struct bytes leaf)
{
    Casebus__V1__LedgerEntry *entry;
    struct casebus_error err;
    entry = entry_decode(leaf, &fixture->arena, &err);
    assert_non_null(entry);
    entry->hub_time_us++;
    return pack(fixture, entry);
}

void hub_fixture_write(struct hub_fixture *fixture)
{
    struct casebus_error err;
    struct row_hashes *memory = calloc(fixture->n_entries + 1, sizeof *memory);
    struct ledger_row *rows = calloc(fixture->n_entries + 1, sizeof *rows);
    size_t first = fixture->n_written;
    struct tree tree;
    tree_init(&tree);
    for (size_t i = 0; i < fixture->n_entries; i++) {
        const struct fixture_entry *entry = &fixture->entries[i];
        uint8_t hash[DIGEST_SIZE];
        tree_leaf_hash(fixture->crypter, entry->leaf, hash);
        tree_append(&tree, fixture->crypter, hash, on_store, &memory[i]);
        memory[i].hashes[0][0] ^= entry->hash_altered;
        memory[i].hashes[memory[i].n - 1][0] ^= entry->top_altered;
        rows[i] = (struct ledger_row){entry->shown_altered ? altered(fixture, entry->leaf) : entry->leaf,
                                      entry->body, memory[i].hashes[0], memory[i].n};
    }
    must(ledger_append(fixture->ledger, first, rows + first, fixture->n_entries - first, &err), &err);
    fixture->n_written = fixture->n_entries;
    free(memory);
    free(rows);
}

void hub_fixture_publish(struct hub_fixture *fixture, uint64_t size, const struct signing_key *key,
                         bool true_root)
{
    struct casebus_error err;
    struct ledger_view *view;
    struct checkpoint checkpoint = {.origin = FIXTURE_ORIGIN, .size = size};
    char note[NOTE_MAX];
    must(ledger_view_open(&view, fixture->ledger, &err), &err);
    must(tree_root_at(fixture->crypter, size, ledger_view_hash, view, checkpoint.root, &err), &err);
    ledger_view_close(view);
    checkpoint.root[0] ^= !true_root;
    int length =
        checkpoint_sign(note, sizeof note, &checkpoint, FIXTURE_ORIGIN, key ? key : fixture->keys.log, NULL);
    assert_true(length > 0);
    must(ledger_publish(fixture->ledger, size, bytes_of(note, (size_t)length), &err), &err);
}

static struct registry *fixture_registry(void *self)
{
    struct hub_fixture *fixture = self;
    struct casebus_error err;
    struct registry *registry;
    static struct registry_fact enrolled[FIXTURE_ENTRIES];
    size_t n = 0;
    for (size_t i = 0; i < fixture->n_entries; i++) {
        Casebus__V1__LedgerEntry *entry = hub_fixture_edit(fixture, i);
        if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
            entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
            enrolled[n++] = (struct registry_fact){pack(fixture, entry->act->node_enrolled),
                                                   CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE};
    }
    struct bytes authority = bytes_of(fixture->keys.authority, fixture->keys.authority_size);
    must(registry_build(&registry, enrolled, n, &(struct authorities){&authority, 1}, &err), &err);
    return registry;
}

void hub_fixture_apply(struct hub_fixture *fixture)
{
    struct casebus_error err;
    struct replay_result result;
    const struct replay_options options = {.suite = fixture->suite,
                                           .origin = FIXTURE_ORIGIN,
                                           .content_key = fixture->keys.content,
                                           .ledger = fixture->ledger,
                                           .state = fixture->state,
                                           .vault = fixture->vault};
    must(replay_state(&options, fixture->n_entries, &result, &err), &err);
    assert_int_equal(result.applied, fixture->n_entries);
    fixture->hub = (struct console_hub){.self = fixture,
                                        .suite = fixture->suite,
                                        .dir = fixture->dir,
                                        .origin = FIXTURE_ORIGIN,
                                        .endpoint = "tcp://127.0.0.1:7400",
                                        .log_key = fixture->keys.log,
                                        .ledger = fixture->ledger,
                                        .state = fixture->state,
                                        .vault = fixture->vault,
                                        .content_key = fixture->keys.content,
                                        .registry = fixture_registry};
}

void hub_fixture_story(struct hub_fixture *fixture)
{
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    grants.publish = true;
    hub_fixture_enrol(fixture, "bureau", &grants); /* 1 */
    hub_fixture_enrol(fixture, "desk", &grants);   /* 2 */
    const struct fixture_event first[] = {
        {.record = "r1", .number = "2026/1", .kind = CASEBUS__V1__KIND__KIND_APPLY, .name = "张三"},
        {.record = "r2", .number = "2026/1", .at_us = FIXTURE_TIME_US + 1000000, .action = "初审"},
        {.record = "r3", .number = "2026-2", .kind = CASEBUS__V1__KIND__KIND_APPLY, .name = "李四"}};
    hub_fixture_batch(fixture, "bureau", first, 3); /* 3: seal, 4 to 6 */
    const struct fixture_event second[] = {
        {.record = "r1", .number = "2026/1", .duplicate_of = 5},
        {.record = "d1",
         .number = "2026/1",
         .kind = CASEBUS__V1__KIND__KIND_ACCEPT,
         .at_us = FIXTURE_TIME_US + 2000000},
        {.record = "d2", .number = "2026-2", .refused = "CB-RECORD-OWNER"}};
    hub_fixture_batch(fixture, "desk", second, 3);               /* 7: seal, 8 */
    hub_fixture_quarantine(fixture, "desk", "bytes of a frame"); /* 9 */
}

void hub_fixture_large(struct hub_fixture *fixture, const char *node)
{
    static struct fixture_event events[FIXTURE_LARGE];
    static char records[FIXTURE_LARGE][16], name[60000];
    memset(name, 'x', sizeof name - 1);
    for (size_t i = 0; i < FIXTURE_LARGE; i++) {
        snprintf(records[i], sizeof records[i], "large-%zu", i);
        events[i] = (struct fixture_event){.record = records[i], .number = "2026/1", .name = name};
    }
    hub_fixture_batch(fixture, node, events, FIXTURE_LARGE);
}

/* ---- life ---- */

static void open_stores(struct hub_fixture *fixture)
{
    struct casebus_error err;
    char path[PATH_MAX];
    must(ledger_open(&fixture->ledger, fixture->dir, FIXTURE_ORIGIN, &err), &err);
    must(state_open(&fixture->state, fixture->dir, &err), &err);
    must(vault_open(&fixture->vault, fixture->dir, fixture->suite, fixture->keys.kek, 64, NULL, &err), &err);
    must(vault_prepare(fixture->vault, &err), &err);
    folder_path(path, fixture->dir, "hub.yaml");
    must(file_write(path, bytes_of_text("origin: " FIXTURE_ORIGIN "\n"), 0600, &err), &err);
}

void hub_fixture_init(struct hub_fixture *fixture)
{
    hub_fixture_init_suite(fixture, SUITE_INTL);
}

void hub_fixture_init_suite(struct hub_fixture *fixture, enum suite_id id)
{
    struct casebus_error err;
    const struct suite *suite = suite_get(id);
    char keys[PATH_MAX];
    memset(fixture, 0, sizeof *fixture);
    fixture->suite = suite;
    folder_make(fixture->dir, "hub");
    folder_path(keys, fixture->dir, "keys");
    must(dir_make(keys, &err), &err);
    must(hub_keys_make(fixture->dir, suite, FIXTURE_ORIGIN, fixture_begin_s(), NULL, &err), &err);
    must(hub_keys_load(&fixture->keys, fixture->dir, suite, FIXTURE_ORIGIN, &err), &err);
    fixture->crypter = crypter_new(suite);
    arena_init(&fixture->arena, 64 * 1024, 64 * 1024 * 1024);
    fixture->hub_time_us = FIXTURE_TIME_US;
    open_stores(fixture);
    open_entry(fixture);
}

void hub_fixture_deinit(struct hub_fixture *fixture)
{
    for (size_t i = 0; i < fixture->n_nodes; i++)
        signing_key_free(fixture->nodes[i].key);
    vault_close(fixture->vault);
    state_close(fixture->state);
    ledger_close(fixture->ledger);
    crypter_free(fixture->crypter);
    arena_deinit(&fixture->arena);
    hub_keys_deinit(&fixture->keys);
    folder_remove(fixture->dir);
}
