/* Receipts: signed checkpoints and the proofs that go with them. Hashes come from a window of what the ledger
 * does not have yet, and from the ledger's tables before that. */
#include "hub/bus/internal.h"
#include "proto/base/texts.h"
#include "proto/merkle/tree.h"

#include <stdlib.h>

static int read_hash(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct bus *bus = self;
    uint64_t stored = stored_hash_index(level, index);
    if (stored < bus->window.base)
        return ledger_view_hash(bus->ledger_view, level, index, hash, err);
    if (stored - bus->window.base >= bus->window.n)
        return error_set(err, CASEBUS_INTERNAL, "tree hash %u/%llu is not there yet", level,
                         (unsigned long long)index);
    memcpy(hash, bus->window.hashes[stored - bus->window.base], DIGEST_SIZE);
    return 0;
}

int receipts_open(struct bus *bus, struct casebus_error *err)
{
    if (ledger_view_open(&bus->ledger_view, bus->options.ledger, err) ||
        state_view_open(&bus->state_view, bus->options.state, err) ||
        note_verifier_init(&bus->verifier, bus->options.log_vkey, err))
        return -1;
    bus->size = ledger_view_size(bus->ledger_view);
    bus->window.base = stored_hash_count(bus->size);
    bus->note_size = UINT64_MAX;
    return tree_root_at(bus->crypter, bus->size, read_hash, bus, bus->root, err);
}

void receipts_close(struct bus *bus)
{
    note_verifier_deinit(&bus->verifier);
    ledger_view_close(bus->ledger_view);
    state_view_close(bus->state_view);
    for (size_t i = 0; i < bus->n_tail; i++)
        group_unref(bus->tail[i]);
    free(bus->tail);
    free(bus->window.hashes);
}

static bool window_reserve(struct hash_window *window, size_t n)
{
    if (window->n + n <= window->capacity)
        return true;
    size_t capacity = (window->n + n) * 3 / 2 + 1024;
    void *hashes = realloc(window->hashes, capacity * DIGEST_SIZE);
    if (!hashes)
        return false;
    window->hashes = hashes;
    window->capacity = capacity;
    return true;
}

int receipts_add_group(struct bus *bus, struct group *group, struct casebus_error *err)
{
    struct hash_window *window = &bus->window;
    if (!window_reserve(window, group->n_hashes))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for tree hashes"));
    if (bus->n_tail == bus->tail_capacity) {
        size_t capacity = bus->tail_capacity * 2 + 64;
        struct group **tail = realloc(bus->tail, capacity * sizeof(struct group *));
        if (!tail)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for tree hashes"));
        bus->tail = tail;
        bus->tail_capacity = capacity;
    }
    if (group->n_hashes)
        memcpy(window->hashes[window->n], group->hashes, group->n_hashes * DIGEST_SIZE);
    window->n += group->n_hashes;
    bus->tail[bus->n_tail++] = group_ref(group);
    bus->size = group->tree_size;
    memcpy(bus->root, group->root, DIGEST_SIZE);
    return 0;
}

/* Ledger and state cover the first @size entries; the views have been renewed. */
void receipts_persisted(struct bus *bus, uint64_t size)
{
    struct hash_window *window = &bus->window;
    uint64_t base = stored_hash_count(size);
    if (base > window->base) {
        size_t gone = base - window->base < window->n ? (size_t)(base - window->base) : window->n;
        memmove(window->hashes, window->hashes + gone, (window->n - gone) * DIGEST_SIZE);
        window->n -= gone;
        window->base = base;
    }
    size_t n = 0;
    while (n < bus->n_tail && bus->tail[n]->tree_size <= size)
        group_unref(bus->tail[n++]);
    if (n)
        memmove(bus->tail, bus->tail + n, (bus->n_tail - n) * sizeof(struct group *));
    bus->n_tail -= n;
}

/* @n hashes in the arena as protobuf fields. */
static ProtobufCBinaryData *as_fields(struct arena *arena, uint8_t (*hashes)[DIGEST_SIZE], size_t n)
{
    ProtobufCBinaryData *fields = arena_alloc(arena, (n + 1) * sizeof(*fields));
    uint8_t *copy = n ? arena_copy(arena, hashes, n * DIGEST_SIZE) : arena_alloc(arena, 1);
    if (!fields || !copy)
        return NULL;
    for (size_t i = 0; i < n; i++)
        fields[i] = (ProtobufCBinaryData){DIGEST_SIZE, copy + i * DIGEST_SIZE};
    return fields;
}

static int sign_note(struct bus *bus, struct casebus_error *err)
{
    if (bus->note_size == bus->size)
        return 0;
    struct checkpoint checkpoint = {.size = bus->size};
    snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", bus->origin);
    memcpy(checkpoint.root, bus->root, DIGEST_SIZE);
    int n =
        checkpoint_sign(bus->note, sizeof(bus->note), &checkpoint, bus->origin, bus->options.log_key, err);
    if (n < 0)
        return -1;
    bus->note_bytes = (size_t)n;
    bus->note_size = bus->size;
    return 0;
}

Casebus__V1__SignedCheckpoint *receipts_checkpoint(struct bus *bus, struct session *session,
                                                   struct casebus_error *err)
{
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    size_t n_proof = 0;
    Casebus__V1__SignedCheckpoint *checkpoint = arena_alloc(&bus->arena, sizeof(*checkpoint));
    if (!checkpoint) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
        return NULL;
    }
    if (sign_note(bus, err))
        return NULL;
    casebus__v1__signed_checkpoint__init(checkpoint);
    checkpoint->note = (ProtobufCBinaryData){bus->note_bytes, (uint8_t *)bus->note};
    if (session->known_size && session->known_size < bus->size) {
        if (tree_consistency(bus->crypter, session->known_size, bus->size, read_hash, bus, proof, &n_proof,
                             err))
            return NULL;
        checkpoint->consistency = as_fields(&bus->arena, proof, n_proof);
        checkpoint->n_consistency = n_proof;
        if (!checkpoint->consistency) {
            error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
            return NULL;
        }
    }
    checkpoint->from_size = session->known_size;
    session->known_size = bus->size;
    return checkpoint;
}

Casebus__V1__SignedCheckpoint *receipts_cosigned(struct bus *bus)
{
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    size_t n_proof = 0;
    struct casebus_error err;
    Casebus__V1__SignedCheckpoint *checkpoint = arena_alloc(&bus->arena, sizeof(*checkpoint));
    char *note = arena_copy(&bus->arena, bus->cosigned, strlen(bus->cosigned));
    if (!bus->cosigned_serial || !checkpoint || !note || bus->cosigned_size > bus->size)
        return NULL;
    casebus__v1__signed_checkpoint__init(checkpoint);
    if (bus->cosigned_size < bus->size && tree_consistency(bus->crypter, bus->cosigned_size, bus->size,
                                                           read_hash, bus, proof, &n_proof, &err)) {
        log_error(bus->options.log, "CHECKPOINT", "%s", err.text);
        return NULL;
    }
    checkpoint->note = (ProtobufCBinaryData){strlen(bus->cosigned), (uint8_t *)note};
    checkpoint->from_size = bus->cosigned_size;
    checkpoint->consistency = as_fields(&bus->arena, proof, n_proof);
    checkpoint->n_consistency = checkpoint->consistency ? n_proof : 0;
    return checkpoint->consistency ? checkpoint : NULL;
}

int receipts_inclusion(struct bus *bus, uint64_t position, ProtobufCBinaryData **path, size_t *n_path,
                       struct casebus_error *err)
{
    uint8_t hashes[TREE_PROOF_MAX][DIGEST_SIZE];
    if (tree_inclusion(bus->crypter, position, bus->size, read_hash, bus, hashes, n_path, err))
        return -1;
    *path = as_fields(&bus->arena, hashes, *n_path);
    return *path ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a proof"));
}

int receipts_leaf(struct bus *bus, uint64_t position, struct bytes *leaf, struct casebus_error *err)
{
    for (size_t i = 0; i < bus->n_tail; i++) {
        *leaf = group_leaf(bus->tail[i], position);
        if (leaf->size)
            return 0;
    }
    return ledger_view_leaf(bus->ledger_view, position, leaf, err);
}

int receipts_root_is(struct bus *bus, uint64_t size, const uint8_t root[DIGEST_SIZE],
                     struct casebus_error *err)
{
    uint8_t made[DIGEST_SIZE];
    if (tree_root_at(bus->crypter, size, read_hash, bus, made, err))
        return -1;
    return memcmp(made, root, DIGEST_SIZE) == 0;
}

int receipts_fits(struct bus *bus, struct bytes note, uint64_t *size, struct casebus_error *err)
{
    struct checkpoint seen;
    struct casebus_error ignored;
    if (checkpoint_check(&seen, note, &bus->verifier, &ignored))
        return 1; /* not ours: says nothing about this hub */
    *size = seen.size;
    if (seen.size > bus->size)
        return 0;
    return receipts_root_is(bus, seen.size, seen.root, err);
}
