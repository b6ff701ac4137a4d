/* The checks stand in the order of their cost: whose bytes, what form, meant for whom, signed, and only then
 * one by one. What is wrong with the batch refuses the batch, and its frame is sealed for quarantine as it
 * came; what is wrong with one event refuses that event, since a signature over its hash is good whatever its
 * bytes are, and its neighbours go on. */
#include "hub/gate/gate.h"

#include "hub/exchange/tables.h"
#include "hub/gate/marking.h"
#include "proto/base/texts.h"
#include "proto/codec/event.h"
#include "proto/codec/frame.h"

#include <assert.h>
#include <stdlib.h>

/* A full batch of ordinary events fits into one block, which is kept for the next batch. */
#define ARENA_BLOCK_MIN (8 * 1024)
#define ARENA_BLOCK_MAX (96 * 1024) /* below what malloc maps apart */
/* Decoded small events can be many times their bytes; a hostile frame ends here. */
#define ARENA_MAX        (16 * 1024 * 1024)
#define HEADER_ARENA_MAX (1024 * 1024) /* for one header */

struct gate {
    const struct suite *suite;
    struct crypter *crypter;
    char origin[ORIGIN_MAX];
    uint8_t content_key[KEY_SIZE];
    uint8_t joined[EVENT_MAX]; /* salt ‖ content of the parts of the event at hand */
};

struct gate *gate_new(const struct suite *suite, const char *origin, const uint8_t content_key[KEY_SIZE])
{
    assert(origin_valid(origin));
    struct gate *gate = calloc(1, sizeof *gate);
    struct crypter *crypter = crypter_new(suite);
    if (!gate || !crypter) {
        crypter_free(crypter);
        free(gate);
        return NULL;
    }
    gate->suite = suite;
    gate->crypter = crypter;
    memcpy(gate->origin, origin, strlen(origin) + 1);
    memcpy(gate->content_key, content_key, KEY_SIZE);
    return gate;
}

struct gate *gate_free(struct gate *gate)
{
    if (!gate)
        return NULL;
    crypter_free(gate->crypter);
    secret_clear(gate->content_key, sizeof gate->content_key);
    free(gate);
    return NULL;
}

void gate_batch_init(struct gate_batch *batch)
{
    *batch = (struct gate_batch){0};
    arena_init(&batch->arena, ARENA_BLOCK_MIN, ARENA_MAX);
}

/* Blocks as large as the frame: a batch of one event holds little while it waits for the ledger. */
static void gate_batch_reset(struct gate_batch *batch, size_t frame_size)
{
    struct arena arena = batch->arena;
    arena_reset(&arena);
    arena.block_size = frame_size < ARENA_BLOCK_MIN   ? ARENA_BLOCK_MIN
                       : frame_size > ARENA_BLOCK_MAX ? ARENA_BLOCK_MAX
                                                      : frame_size;
    *batch = (struct gate_batch){.arena = arena};
}

void gate_batch_deinit(struct gate_batch *batch)
{
    arena_deinit(&batch->arena);
}

static struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

/* ---- the batch ---- */

static int read_batch(struct gate_batch *batch, struct bytes frame_bytes, struct casebus_error *err)
{
    Casebus__V1__Frame *frame = frame_decode(frame_bytes, &batch->arena, err);
    if (!frame)
        return -1;
    if (frame->body_case != CASEBUS__V1__FRAME__BODY_PUBLISH || !frame->publish->batch)
        return error_set(err, CASEBUS_MALFORMED, _("the frame holds no batch"));
    batch->batch = frame->publish->batch;
    batch->statement = statement_decode(bytes_of_data(batch->batch->statement), &batch->arena, err);
    return batch->statement ? 0 : -1;
}

static int refuse_stranger(struct casebus_error *err)
{
    error_set(err, CASEBUS_UNKNOWN_NODE, _("the sender is not enrolled at this hub"));
    return error_hint(err, _("on the hub, run: casebus node add NAME"));
}

int gate_check_status(const struct registry_node *node, struct casebus_error *err)
{
    if (registry_node_active(node))
        return 0;
    if (node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked"), node->info.node);
    else
        error_set(err, CASEBUS_SUSPENDED, _("node '%s' is suspended until further notice"), node->info.node);
    return error_hint(err, _("ask the hub's operators why: they keep the reason"));
}

static int check_sender(const struct registry_node *node, int64_t now_us, struct casebus_error *err)
{
    if (gate_check_status(node, err) < 0)
        return -1;
    if (!node->publish)
        return error_set(err, CASEBUS_NOT_ALLOWED, _("node '%s' may not publish"), node->info.node);
    int64_t now = now_us / 1000000;
    if (now < node->info.not_before || now > node->info.not_after) {
        error_set(err, CASEBUS_CERTIFICATE, _("the certificate of node '%s' is not valid now"),
                  node->info.node);
        return error_hint(err, _("renew it on the hub, or check the clocks"));
    }
    return 0;
}

static int check_address(const struct gate *gate, const struct registry_node *node,
                         const Casebus__V1__BatchStatement *statement, struct casebus_error *err)
{
    if ((unsigned)statement->suite != (unsigned)suite_id(gate->suite))
        return error_set(err, CASEBUS_BAD_VERSION, _("the batch uses another suite than this hub's '%s'"),
                         suite_name(gate->suite));
    if (strcmp(statement->origin, gate->origin) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the batch is meant for hub '%s'; this is '%s'"),
                         statement->origin, gate->origin);
    if (strcmp(statement->node, node->info.node) != 0)
        return error_set(err, CASEBUS_NOT_ALLOWED, _("node '%s' sent a batch of node '%s'"), node->info.node,
                         statement->node);
    if (memcmp(statement->key_id.data, node->key_id, KEY_ID_SIZE) != 0)
        return error_set(err, CASEBUS_KEY, _("the batch is signed with another key than node '%s' has"),
                         node->info.node);
    return 0;
}

static size_t event_size(const Casebus__V1__Event *event)
{
    size_t size = event->header.len;
    for (size_t i = 0; i < event->n_part; i++)
        size += event->part[i]->salt.len + event->part[i]->content.len;
    return size;
}

static int check_sizes(const Casebus__V1__Batch *wire, const Casebus__V1__BatchStatement *statement,
                       struct casebus_error *err)
{
    if (wire->n_event != statement->count)
        return error_set(err, CASEBUS_MALFORMED, _("the batch holds %zu events and was signed for %u"),
                         wire->n_event, (unsigned)statement->count);
    size_t size = 0, max = wire->n_event == 1 ? EVENT_MAX : BATCH_MAX_BYTES;
    for (size_t i = 0; i < wire->n_event; i++) {
        if (wire->event[i]->n_part > PARTS_MAX)
            return error_set(err, CASEBUS_TOO_LARGE,
                             _("event %zu of the batch has %zu parts; at most %d are allowed"), i,
                             wire->event[i]->n_part, PARTS_MAX);
        size += event_size(wire->event[i]);
    }
    if (size > max)
        return error_set(err, CASEBUS_TOO_LARGE,
                         _("the events of the batch have %zu bytes; at most %zu are allowed"), size, max);
    return 0;
}

static int check_signature(struct gate *gate, const struct registry_node *node, struct gate_batch *batch,
                           struct casebus_error *err)
{
    const Casebus__V1__Batch *wire = batch->batch;
    struct bytes statement = bytes_of_data(wire->statement);
    if (wire->signature.len != SIGNATURE_SIZE ||
        !verifier_check(node->verifier, statement, wire->signature.data))
        return error_set(err, CASEBUS_SIGNATURE,
                         _("the signature of the batch does not verify for node '%s'"), node->info.node);
    statement_hash(gate->crypter, statement, batch->statement_hash);
    return 0;
}

/* Hashes every event, readable or not, and compares with what was signed. */
static int check_root(struct gate *gate, struct gate_batch *batch, struct casebus_error *err)
{
    const Casebus__V1__Batch *wire = batch->batch;
    uint8_t hashes[BATCH_MAX_EVENTS][DIGEST_SIZE], root[DIGEST_SIZE];
    for (size_t i = 0; i < wire->n_event; i++)
        event_hash(gate->crypter, bytes_of_data(wire->event[i]->header), hashes[i]);
    events_root(gate->crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, wire->n_event, root);
    if (memcmp(root, batch->statement->events_root.data, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_SIGNATURE,
                         _("the events of the batch are not those that node '%s' signed"),
                         batch->statement->node);
    batch->members = arena_alloc(&batch->arena, wire->n_event * sizeof *batch->members);
    if (!batch->members)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the events of a batch"));
    batch->n_members = wire->n_event;
    for (size_t i = 0; i < wire->n_event; i++) {
        struct gate_member *member = &batch->members[i];
        member->event = (struct exchange_event){0};
        member->wire = wire->event[i];
        member->seal = (struct body_seal){0};
        member->refusal = NULL;
        memcpy(member->event.event_hash, hashes[i], DIGEST_SIZE);
    }
    return 0;
}

/* ---- one event ---- */

static int read_event(struct gate *gate, struct gate_member *member, struct arena *arena,
                      struct casebus_error *err)
{
    struct exchange_event *event = &member->event;
    struct bytes header_bytes = bytes_of_data(member->wire->header);
    const Casebus__V1__EventHeader *header = event_header_decode(header_bytes, arena, err);
    uint8_t header_digest[DIGEST_SIZE];
    if (header) /* whatever else is wrong: nothing is kept of a record whose content was destroyed */
        record_key(gate->crypter, gate->content_key, header->record_namespace, header->record_id,
                   event->record_key);
    if (!header || event_parts_check(gate->crypter, header, member->wire, err) < 0 ||
        event_header_digest(gate->crypter, header_bytes, header_digest, err) < 0)
        return -1;
    event_content_digest(gate->crypter, gate->content_key, header_digest, header, member->wire,
                         event->content_digest);
    return exchange_event_fill(event, gate->crypter, gate->content_key, header, header_digest, arena, err);
}

/* What tells it when it is sent again, be it refused for the same reason or not: as of a good event as far as
 * it can be read like one. @header: NULL when it cannot. */
static void digest_refused(struct gate *gate, const Casebus__V1__EventHeader *header,
                           const Casebus__V1__Event *event, uint8_t digest[DIGEST_SIZE])
{
    uint8_t header_digest[DIGEST_SIZE];
    if (header && event->n_part == header->n_commitment &&
        event_header_digest(gate->crypter, bytes_of_data(event->header), header_digest, NULL) == 0)
        event_content_digest(gate->crypter, gate->content_key, header_digest, header, event, digest);
    else
        event_refused_digest(gate->crypter, gate->content_key, event, digest);
}

static void digest_member(struct gate *gate, struct gate_member *member)
{
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK_MIN, HEADER_ARENA_MAX);
    digest_refused(gate, event_header_decode(bytes_of_data(member->wire->header), &arena, NULL), member->wire,
                   member->event.content_digest);
    arena_deinit(&arena);
}

/* The sentence does not say where the mark stands: that would repeat some of it. */
static int check_marking(const Casebus__V1__Event *event, struct casebus_error *err)
{
    bool marked = marking_found(bytes_of_data(event->header));
    for (size_t i = 0; i < event->n_part && !marked; i++)
        marked = marking_found(bytes_of_data(event->part[i]->content));
    if (!marked)
        return 0;
    error_set(err, CASEBUS_CLASSIFIED,
              _("the event is marked as a state secret: it is refused, and nothing of it is kept"));
    return error_hint(err, _("such matters go another way; tell whoever is responsible for secrecy"));
}

/* Header, then salt ‖ content of each part; what a body holds. The parts fit: check_sizes bounds an event. */
static int seal_event(struct gate *gate, struct gate_member *member, struct arena *arena,
                      struct casebus_error *err)
{
    const Casebus__V1__Event *wire = member->wire;
    struct bytes items[1 + PARTS_MAX];
    uint8_t *p = gate->joined;
    items[0] = bytes_of_data(wire->header);
    for (size_t i = 0; i < wire->n_part; i++) {
        const Casebus__V1__Part *part = wire->part[i];
        items[1 + i] = bytes_of(p, part->salt.len + part->content.len);
        if (part->salt.len > 0)
            memcpy(p, part->salt.data, part->salt.len);
        p += part->salt.len;
        if (part->content.len > 0)
            memcpy(p, part->content.data, part->content.len);
        p += part->content.len;
    }
    return body_seal_items(gate->crypter, gate->origin, member->event.event_hash, items, 1 + wire->n_part,
                           arena, &member->seal, err);
}

static int check_event(struct gate *gate, struct gate_member *member, struct arena *arena,
                       struct casebus_error *err)
{
    struct casebus_error refusal;
    bool passed =
        check_marking(member->wire, &refusal) == 0 && read_event(gate, member, arena, &refusal) == 0;
    if (!passed && refusal.code == CASEBUS_NO_MEMORY) {
        *err = refusal;
        return -1;
    }
    if (!passed && !(member->refusal = arena_copy(arena, &refusal, sizeof refusal)))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the events of a batch"));
    if (seal_event(gate, member, arena, err) < 0)
        return -1;
    if (!passed)
        digest_member(gate, member);
    memcpy(member->seal.content_digest, member->event.content_digest, DIGEST_SIZE);
    return 0;
}

/* ---- all of it ---- */

static int check_all(struct gate *gate, const struct registry_node *node, struct bytes frame, int64_t now_us,
                     struct gate_batch *batch, struct casebus_error *err)
{
    if (read_batch(batch, frame, err) < 0)
        return -1;
    if (!node)
        return refuse_stranger(err);
    if (check_sender(node, now_us, err) < 0 || check_address(gate, node, batch->statement, err) < 0 ||
        check_sizes(batch->batch, batch->statement, err) < 0 || check_signature(gate, node, batch, err) < 0 ||
        check_root(gate, batch, err) < 0)
        return -1;
    for (size_t i = 0; i < batch->n_members; i++)
        if (check_event(gate, &batch->members[i], &batch->arena, err) < 0)
            return -1;
    return 0;
}

static int seal_frame(struct gate *gate, struct bytes frame, struct gate_batch *batch)
{
    if (frame.size > FRAME_MAX) /* the bus takes none; the hash is of all of it */
        frame.size = FRAME_MAX;
    return body_seal_items(gate->crypter, gate->origin, batch->frame_hash, &frame, 1, &batch->arena,
                           &batch->refused_seal, NULL);
}

struct refused_events {
    uint8_t keys[BATCH_MAX_EVENTS][TEXT_KEY_SIZE];
    size_t n_keys;
    uint8_t digests[BATCH_MAX_EVENTS][DIGEST_SIZE];
    size_t n_digests;
};

/* Nobody vouches for a batch that is refused: what its headers say serves only to keep less. */
static void events_read(struct gate *gate, const struct gate_batch *batch, struct refused_events *events)
{
    struct arena arena;
    events->n_keys = events->n_digests = 0;
    if (!batch->batch)
        return;
    arena_init(&arena, ARENA_BLOCK_MIN, HEADER_ARENA_MAX);
    for (size_t i = 0; i < batch->batch->n_event && i < BATCH_MAX_EVENTS; i++) {
        const Casebus__V1__Event *event = batch->batch->event[i];
        arena_reset(&arena);
        const Casebus__V1__EventHeader *header =
            event_header_decode(bytes_of_data(event->header), &arena, NULL);
        if (header)
            record_key(gate->crypter, gate->content_key, header->record_namespace, header->record_id,
                       events->keys[events->n_keys++]);
        digest_refused(gate, header, event, events->digests[events->n_digests++]);
    }
    arena_deinit(&arena);
}

static void events_keep(struct gate_batch *batch, const struct refused_events *events)
{
    uint8_t(*keys)[TEXT_KEY_SIZE] = NULL, (*digests)[DIGEST_SIZE] = NULL;
    if (events->n_keys)
        keys = arena_copy(&batch->arena, events->keys, events->n_keys * TEXT_KEY_SIZE);
    if (events->n_digests)
        digests = arena_copy(&batch->arena, events->digests, events->n_digests * DIGEST_SIZE);
    if ((events->n_keys && !keys) || (events->n_digests && !digests)) {
        batch->refused_seal = (struct body_seal){0}; /* rather nothing than what was destroyed */
        return;
    }
    batch->refused_records = keys;
    batch->n_refused_records = events->n_keys;
    batch->refused_seal.member_digests = digests;
    batch->refused_seal.n_member_digests = events->n_digests;
}

static void frame_keep(struct gate *gate, struct bytes frame, struct gate_batch *batch)
{
    if (seal_frame(gate, frame, batch) == 0)
        return;
    /* What was decoded fills the arena: keep the reason and the bytes, let the rest go. */
    struct casebus_error refusal = batch->refusal;
    uint8_t frame_hash[DIGEST_SIZE];
    memcpy(frame_hash, batch->frame_hash, DIGEST_SIZE);
    gate_batch_reset(batch, frame.size);
    batch->refusal = refusal;
    memcpy(batch->frame_hash, frame_hash, DIGEST_SIZE);
    if (seal_frame(gate, frame, batch) < 0)
        batch->refused_seal = (struct body_seal){0};
}

static void refuse_batch(struct gate *gate, struct bytes frame, struct gate_batch *batch)
{
    struct refused_events events;
    events_read(gate, batch, &events);
    batch->members = NULL;
    batch->n_members = 0;
    batch->refused_seal = (struct body_seal){0};
    crypter_hash1(gate->crypter, frame, batch->frame_hash);
    frame_keep(gate, frame, batch);
    batch->refused_marked = marking_found(frame);
    events_keep(batch, &events);
}

void gate_check(struct gate *gate, const struct registry_node *node, struct bytes frame, int64_t now_us,
                struct gate_batch *batch)
{
    gate_batch_reset(batch, frame.size);
    if (check_all(gate, node, frame, now_us, batch, &batch->refusal) < 0)
        refuse_batch(gate, frame, batch);
}

/* ---- one event that lay in quarantine ---- */

static ProtobufCBinaryData data_copy(struct arena *arena, const uint8_t *data, size_t size)
{
    return (ProtobufCBinaryData){size, size ? arena_copy(arena, data, size) : NULL};
}

/* What the body's items were made of. NULL without memory. */
static Casebus__V1__Event *event_again(const struct bytes *items, size_t n_items, struct arena *arena)
{
    size_t n = n_items - 1;
    Casebus__V1__Event *event = arena_alloc(arena, sizeof *event);
    Casebus__V1__Part *parts = arena_alloc(arena, (n + 1) * sizeof *parts);
    Casebus__V1__Part **list = arena_alloc(arena, (n + 1) * sizeof *list);
    if (!event || !parts || !list)
        return NULL;
    casebus__v1__event__init(event);
    event->header = data_copy(arena, items[0].data, items[0].size);
    event->n_part = n;
    event->part = list;
    for (size_t i = 0; i < n; i++) {
        struct bytes item = items[1 + i];
        size_t salt = item.size < SALT_SIZE ? item.size : SALT_SIZE;
        casebus__v1__part__init(&parts[i]);
        parts[i].salt = data_copy(arena, item.data, salt);
        parts[i].content = data_copy(arena, item.data + salt, item.size - salt);
        list[i] = &parts[i];
        if ((parts[i].salt.len && !parts[i].salt.data) || (parts[i].content.len && !parts[i].content.data))
            return NULL;
    }
    return event->header.data || !event->header.len ? event : NULL;
}

void gate_check_again(struct gate *gate, const struct bytes *items, size_t n_items, struct gate_batch *batch)
{
    size_t size = 0;
    for (size_t i = 0; i < n_items; i++)
        size += items[i].size;
    gate_batch_reset(batch, size);
    struct gate_member *member = arena_alloc(&batch->arena, sizeof *member);
    const Casebus__V1__Event *event = event_again(items, n_items, &batch->arena);
    if (!member || !event) {
        error_set(&batch->refusal, CASEBUS_NO_MEMORY, _("no memory for the events of a batch"));
        return;
    }
    if (event->n_part > PARTS_MAX || event_size(event) > EVENT_MAX) {
        error_set(&batch->refusal, CASEBUS_TOO_LARGE, _("the event is larger than an event may be"));
        return;
    }
    *member = (struct gate_member){.wire = event};
    event_hash(gate->crypter, bytes_of_data(event->header), member->event.event_hash);
    if (check_event(gate, member, &batch->arena, &batch->refusal) < 0)
        return;
    batch->members = member;
    batch->n_members = 1;
}
