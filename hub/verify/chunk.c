/* A chunk is the leaves below one node of the tree. Its tree hashes follow each other in the ledger, so one
 * walk over the leaves and one over the hashes compare a whole subtree; only what stands above it has to wait
 * for the chunks before. What can be said of an entry by itself is said here too: its form, its signature
 * under the key that is known by now, its body. */
#include "hub/verify/internal.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <stdio.h>
#include <stdlib.h>

#define VIEW_NS           1000000000ull
#define VIEW_EVERY        16 /* bodies */
#define CHUNK_ARENA_MAX   ((size_t)512 * 1024 * 1024)
#define SCANNER_ARENA_MAX ((size_t)16 * 1024 * 1024)

/* ---- scanner ---- */

int scanner_init(struct scanner *scanner, struct verify *verify, struct casebus_error *err)
{
    *scanner = (struct scanner){.verify = verify, .view_ns = clock_monotonic_ns()};
    arena_init(&scanner->arena, 64 * 1024, SCANNER_ARENA_MAX);
    scanner->crypter = crypter_new(verify->suite);
    scanner->stored = malloc((2 * verify->chunk_size + TREE_LEVELS) * sizeof *scanner->stored);
    if (!scanner->crypter || !scanner->stored)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    return ledger_view_open(&scanner->view, verify->options->ledger, err);
}

void scanner_deinit(struct scanner *scanner)
{
    ledger_view_close(scanner->view);
    crypter_free(scanner->crypter);
    free(scanner->stored);
    arena_deinit(&scanner->arena);
    secret_clear(scanner->slot_key, sizeof scanner->slot_key);
    *scanner = (struct scanner){0};
}

int scanner_refresh(struct scanner *scanner, struct casebus_error *err)
{
    uint64_t now = clock_monotonic_ns();
    if (now - scanner->view_ns < VIEW_NS)
        return 0;
    scanner->view_ns = now;
    return ledger_view_renew(scanner->view, err);
}

/* ---- leaves and their tree ---- */

struct walk {
    struct chunk *chunk;
    struct scanner *scanner;
    uint64_t position;
    size_t next;               /* of scanner->stored */
    size_t n_stored;           /* that could be read */
    struct casebus_error *why; /* could the others not */
};

/* Compares what the ledger stores with what its entries give. */
static void on_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct walk *walk = self;
    struct casebus_error err = {0};
    size_t at = walk->next++;
    if (at < walk->n_stored && memcmp(walk->scanner->stored[at], hash, DIGEST_SIZE) == 0)
        return;
    if (at < walk->n_stored)
        error_set(&err, CASEBUS_DAMAGED,
                  _("the tree's hash at level %u, index %llu is not the one of the entries"), level,
                  (unsigned long long)((walk->chunk->first >> level) + index));
    else
        err = *walk->why;
    fault_note(&walk->chunk->fault, walk->position, RANK_TREE, &err);
}

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct walk *walk = self;
    struct chunk *chunk = walk->chunk;
    struct casebus_error err = {0};
    uint8_t hash[DIGEST_SIZE];
    walk->position = position;
    tree_leaf_hash(walk->scanner->crypter, leaf, hash);
    tree_append(&chunk->tree, walk->scanner->crypter, hash, on_hash, walk);
    if (chunk->fault.set || !chunk->facts)
        return chunk->fault.set;
    struct fact *fact = &chunk->facts[position - chunk->first];
    fact->entry = entry_decode(leaf, &chunk->arena, &err);
    if (fact->entry && (unsigned)fact->entry->suite != (unsigned)suite_id(walk->scanner->verify->suite)) {
        error_set(&err, CASEBUS_BAD_FIELD, _("its suite is not the ledger's"));
        fact->entry = NULL;
    }
    if (!fact->entry)
        fault_note(&chunk->fault, position, RANK_ENTRY, &err);
    return !fact->entry;
}

/* The hashes of subtrees larger than the chunk, for the follower. */
static void above_take(struct chunk *chunk, struct walk *walk, size_t n_stored)
{
    chunk->n_above = n_stored - walk->next;
    for (size_t i = 0; i < chunk->n_above; i++)
        if (walk->next + i < walk->n_stored)
            memcpy(chunk->above[i], walk->scanner->stored[walk->next + i], DIGEST_SIZE);
        else
            fault_note(&chunk->fault, chunk->first + chunk->n - 1, RANK_TREE, walk->why);
}

static void leaves_read(struct chunk *chunk, struct scanner *scanner)
{
    struct casebus_error why = {0}, err = {0};
    struct walk walk = {.chunk = chunk, .scanner = scanner, .position = chunk->first, .why = &why};
    uint64_t at = stored_hash_count(chunk->first);
    size_t n = (size_t)(stored_hash_count(chunk->first + chunk->n) - at);
    walk.n_stored = ledger_view_hashes(scanner->view, at, n, scanner->stored, &why);
    int r = ledger_view_leaves(scanner->view, chunk->first, chunk->n, on_leaf, &walk, &err);
    if (r < 0) /* the one behind the last that was met, or the first */
        fault_note(&chunk->fault, chunk->first + chunk->tree.size, RANK_TREE, &err);
    else if (r == 0)
        above_take(chunk, &walk, n);
}

/* ---- signatures ---- */

static void signature_try(struct scanner *scanner, const char *node, ProtobufCBinaryData statement,
                          ProtobufCBinaryData signature, struct signed_fact *fact)
{
    fact->by = verify_shelf_find(scanner->verify, node);
    if (fact->by)
        fact->holds = signature.len == SIGNATURE_SIZE &&
                      verifier_check(fact->by, bytes_of(statement.data, statement.len), signature.data);
}

static void *chunk_alloc(struct chunk *chunk, size_t size, struct casebus_error *err)
{
    void *memory = arena_alloc(&chunk->arena, size);
    if (memory)
        return memset(memory, 0, size);
    error_set(err, CASEBUS_NO_MEMORY, _("no memory to verify the ledger"));
    return NULL;
}

static int seal_read(struct chunk *chunk, struct scanner *scanner, struct fact *fact,
                     struct casebus_error *err)
{
    const Casebus__V1__SealEntry *seal = fact->entry->seal;
    struct casebus_error why = {0};
    fact->signatures = chunk_alloc(chunk, sizeof *fact->signatures, err);
    fact->statement_fault = chunk_alloc(chunk, sizeof *fact->statement_fault, err);
    if (!fact->signatures || !fact->statement_fault)
        return -1;
    fact->statement =
        statement_decode(bytes_of(seal->statement.data, seal->statement.len), &chunk->arena, &why);
    if (fact->statement)
        signature_try(scanner, fact->statement->node, seal->statement, seal->signature, fact->signatures);
    else
        *fact->statement_fault = why;
    return 0;
}

static int confirmed_read(struct chunk *chunk, struct scanner *scanner, struct fact *fact,
                          struct casebus_error *err)
{
    const Casebus__V1__DeliveriesConfirmed *confirmed = fact->entry->act->deliveries_confirmed;
    size_t n = confirmed->n_confirm;
    fact->signatures = chunk_alloc(chunk, n * sizeof *fact->signatures, err);
    fact->confirmed = chunk_alloc(chunk, n * sizeof *fact->confirmed, err);
    fact->statement_fault = chunk_alloc(chunk, sizeof *fact->statement_fault, err);
    if (!fact->signatures || !fact->confirmed || !fact->statement_fault)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const Casebus__V1__SignedConfirm *confirm = confirmed->confirm[i];
        fact->confirmed[i] = confirm_decode(bytes_of(confirm->statement.data, confirm->statement.len),
                                            &chunk->arena, fact->statement_fault);
        if (!fact->confirmed[i])
            break;
        signature_try(scanner, fact->confirmed[i]->node, confirm->statement, confirm->signature,
                      &fact->signatures[i]);
    }
    return 0;
}

static int fact_read(struct chunk *chunk, struct scanner *scanner, struct fact *fact,
                     struct casebus_error *err)
{
    if (fact->entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_SEAL)
        return seal_read(chunk, scanner, fact, err);
    if (fact->entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        fact->entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED)
        return confirmed_read(chunk, scanner, fact, err);
    return 0;
}

/* How many entries stand before the fault. */
static size_t sound(const struct chunk *chunk)
{
    return chunk->fault.set ? (size_t)(chunk->fault.position - chunk->first) : chunk->n;
}

/* ---- bodies ---- */

static void origin_advance(const Casebus__V1__LedgerEntry *entry, char origin[ORIGIN_MAX])
{
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED &&
        origin_valid(entry->act->ledger_opened->origin))
        snprintf(origin, ORIGIN_MAX, "%s", entry->act->ledger_opened->origin);
}

int chunk_bodies(struct chunk *chunk, struct scanner *scanner, const char *origin, struct casebus_error *err)
{
    char now[ORIGIN_MAX];
    chunk->body_fault = (struct fault){0};
    chunk->n_missing = 0;
    chunk->n_bodies = 0;
    snprintf(chunk->origin, sizeof chunk->origin, "%s", origin);
    snprintf(now, sizeof now, "%s", origin);
    size_t n = sound(chunk);
    for (size_t i = 0; i < n && !chunk->body_fault.set; i++) {
        struct casebus_error why = {0};
        struct missing *missing = &chunk->missing[chunk->n_missing];
        if (i % VIEW_EVERY == 0 && scanner_refresh(scanner, err))
            return -1;
        arena_reset(&scanner->arena);
        origin_advance(chunk->facts[i].entry, now);
        int r = body_check(scanner, chunk->first + i, now, chunk->facts[i].entry, missing, &why);
        if (r < 0)
            fault_note(&chunk->body_fault, chunk->first + i, RANK_BODY, &why);
        chunk->n_missing += r == 0;
        chunk->n_bodies += r == 1;
    }
    return 0;
}

/* ---- the whole ---- */

static int chunk_clear(struct chunk *chunk, const struct scanner *scanner, struct casebus_error *err)
{
    if (!chunk->arena.block_size)
        arena_init(&chunk->arena, 256 * 1024, CHUNK_ARENA_MAX);
    arena_reset(&chunk->arena);
    tree_init(&chunk->tree);
    chunk->fault = chunk->body_fault = (struct fault){0};
    chunk->n_above = chunk->n_missing = 0;
    chunk->n_bodies = 0;
    chunk->facts = NULL;
    if (scanner->verify->options->tree_only)
        return 0;
    chunk->facts = chunk_alloc(chunk, chunk->n * sizeof *chunk->facts, err);
    chunk->missing = chunk_alloc(chunk, (chunk->n + 1) * sizeof *chunk->missing, err);
    return chunk->facts && chunk->missing ? 0 : -1;
}

int chunk_read(struct chunk *chunk, struct scanner *scanner, struct casebus_error *err)
{
    char origin[ORIGIN_MAX];
    struct verify *verify = scanner->verify;
    if (chunk_clear(chunk, scanner, err) || scanner_refresh(scanner, err))
        return -1;
    leaves_read(chunk, scanner);
    if (!chunk->facts)
        return 0;
    for (size_t i = 0; i < sound(chunk); i++)
        if (fact_read(chunk, scanner, &chunk->facts[i], err))
            return -1;
    pthread_mutex_lock(&verify->lock);
    memcpy(origin, verify->origin, sizeof origin);
    pthread_mutex_unlock(&verify->lock);
    return verify->options->vault ? chunk_bodies(chunk, scanner, origin, err) : 0;
}

void chunk_deinit(struct chunk *chunk)
{
    arena_deinit(&chunk->arena);
}
