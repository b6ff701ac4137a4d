/* What the follower knows between two chunks, in a small file, so that a later run begins there. It is bound
 * to the ledger by the root at that size, which names the origin and every entry before. Openings, enrolments
 * and erasures are kept as positions and read again from the ledger; what else is in it is numbers. A file
 * that does not fit in any way is as good as none: verifying begins at the first entry then.
 *
 * All numbers are little endian:
 *   magic 16, then what is set when it is saved: checkpoints done below (8), checkpoints counted (8)
 *   flags 1, size 8, root 32, counters 9 * 8, hub time 8
 *   acts: n 8, positions         streams: n 8, (node 8, id 8, last 8, statement 32)
 *   batch, the last one: open 1, count 4, then if count  seal 8, node 64, stream 8, first 8, next 4, root 32,
 *                                count * (told 1, hash 32, duplicate 8, refused 4)
 *   missing: n 8, (position 8, slot 8, flags 1, parts 4)
 *   HMAC 32 over all before it */
#include "hub/verify/internal.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#define MAGIC       "casebus-verify-2"
#define MAGIC_SIZE  16
#define RESUME_MAX  ((size_t)1 << 30)
#define N_COUNTERS  9
#define FLAG_BODIES 1
#define FLAG_TREE   2
#define LIST_MAX    ((uint64_t)1 << 26)

/* ---- both ways by one description ---- */

/* Writes when out is set, reads otherwise; after a failure it does nothing more. */
struct strip {
    struct buffer *out;
    struct bytes in;
    bool failed;
};

static void strip_bytes(struct strip *strip, void *data, size_t size)
{
    if (strip->failed)
        return;
    if (strip->out) {
        strip->failed = !buffer_append(strip->out, data, size);
        return;
    }
    strip->failed = strip->in.size < size;
    if (strip->failed)
        return;
    memcpy(data, strip->in.data, size);
    strip->in = bytes_of(strip->in.data + size, strip->in.size - size);
}

static void strip_u64(struct strip *strip, uint64_t *number)
{
    uint8_t bytes[8] = {0};
    put_u64le(bytes, *number);
    strip_bytes(strip, bytes, sizeof bytes);
    *number = get_u64le(bytes);
}

static void strip_u32(struct strip *strip, uint32_t *number)
{
    uint8_t bytes[4] = {0};
    put_u32le(bytes, *number);
    strip_bytes(strip, bytes, sizeof bytes);
    *number = get_u32le(bytes);
}

static void strip_u8(struct strip *strip, uint8_t *number)
{
    strip_bytes(strip, number, 1);
}

static void strip_bool(struct strip *strip, bool *yes)
{
    uint8_t byte = *yes;
    strip_u8(strip, &byte);
    strip->failed = strip->failed || byte > 1;
    *yes = byte == 1;
}

/* Number of elements that follow; when reading, makes room for them. */
static size_t strip_count(struct strip *strip, void **array, size_t n, size_t element)
{
    uint64_t number = n;
    strip_u64(strip, &number);
    if (!strip->out && !strip->failed) {
        strip->failed = number > LIST_MAX || number > strip->in.size; /* each takes a byte or more */
        for (size_t i = 0; i < number && !strip->failed; i++)
            strip->failed = verify_grow(array, i, element, NULL) != 0;
    }
    return strip->failed ? 0 : (size_t)number;
}

static void strip_counters(struct strip *strip, struct verify_result *result)
{
    uint64_t *counters[N_COUNTERS] = {&result->entries,    &result->seals,    &result->events,
                                      &result->acts,       &result->confirms, &result->quarantined,
                                      &result->duplicates, &result->refused,  &result->bodies};
    for (size_t i = 0; i < N_COUNTERS; i++)
        strip_u64(strip, counters[i]);
}

static void strip_streams(struct strip *strip, struct verify *verify)
{
    size_t n = strip_count(strip, (void **)&verify->streams, verify->n_streams, sizeof *verify->streams);
    for (size_t i = 0; i < n && !strip->failed; i++) {
        struct verify_stream *stream = &verify->streams[i];
        uint64_t node = strip->out ? stream->node : 0;
        if (!strip->out)
            *stream = (struct verify_stream){0};
        strip_u64(strip, &node);
        strip_u64(strip, &stream->id);
        strip_u64(strip, &stream->last);
        strip_bytes(strip, stream->last_statement, DIGEST_SIZE);
        strip->failed = strip->failed || node >= verify->n_nodes;
        stream->node = (size_t)node;
    }
    verify->n_streams = strip->failed ? 0 : n;
}

static void strip_batch(struct strip *strip, struct verify_batch *batch)
{
    strip_bool(strip, &batch->open);
    strip_u32(strip, &batch->count);
    strip->failed = strip->failed || batch->count > BATCH_MAX_EVENTS || (batch->open && batch->count == 0);
    if (batch->count == 0 || strip->failed)
        return;
    strip_u64(strip, &batch->seal_position);
    strip_bytes(strip, batch->node, sizeof batch->node);
    strip_u64(strip, &batch->stream);
    strip_u64(strip, &batch->first);
    strip_u32(strip, &batch->next);
    strip_bytes(strip, batch->root, DIGEST_SIZE);
    strip->failed = strip->failed || batch->next > batch->count ||
                    (batch->open && batch->next == batch->count) ||
                    !memchr(batch->node, '\0', sizeof batch->node);
    for (uint32_t i = 0; i < batch->count && !strip->failed; i++) {
        strip_bool(strip, &batch->told[i]);
        strip_bytes(strip, batch->hashes[i], DIGEST_SIZE);
        strip_u64(strip, &batch->duplicate_of[i]);
        uint32_t refused = (uint32_t)batch->refused[i];
        strip_u32(strip, &refused);
        batch->refused[i] = (enum casebus_code)refused;
    }
}

static void strip_missing(struct strip *strip, struct verify *verify)
{
    size_t n = strip_count(strip, (void **)&verify->missing, verify->n_missing, sizeof *verify->missing);
    for (size_t i = 0; i < n && !strip->failed; i++) {
        struct missing *missing = &verify->missing[i];
        if (!strip->out)
            *missing = (struct missing){0};
        strip_u64(strip, &missing->position);
        strip_u64(strip, &missing->slot);
        strip_bool(strip, &missing->header);
        strip_bool(strip, &missing->whole);
        strip_u32(strip, &missing->part_mask);
        strip->failed = strip->failed || (i > 0 && missing->position <= verify->missing[i - 1].position);
    }
    verify->n_missing = strip->failed ? 0 : n;
}

struct head {
    char magic[MAGIC_SIZE];
    uint64_t checkpoints_from;
    uint64_t checkpoints;
    uint8_t flags;
    uint64_t size;
    uint8_t root[DIGEST_SIZE];
};

static void strip_head(struct strip *strip, struct head *head)
{
    strip_bytes(strip, head->magic, MAGIC_SIZE);
    strip_u64(strip, &head->checkpoints_from);
    strip_u64(strip, &head->checkpoints);
    strip_u8(strip, &head->flags);
    strip_u64(strip, &head->size);
    strip_bytes(strip, head->root, DIGEST_SIZE);
}

static uint8_t flags_of(const struct verify *verify)
{
    return (uint8_t)((verify->options->vault ? FLAG_BODIES : 0) |
                     (verify->options->tree_only ? FLAG_TREE : 0));
}

/* ---- keeping ---- */

int resume_keep(struct verify *verify, struct casebus_error *err)
{
    struct tree tree;
    struct strip strip = {.out = &verify->saved};
    struct head head = {.flags = flags_of(verify)};
    assert(verify->remainder.size == 0);
    verify_tree(verify, &tree);
    memcpy(head.magic, MAGIC, MAGIC_SIZE);
    head.size = tree.size;
    tree_root(&tree, verify->scanner.crypter, head.root);
    buffer_reset(&verify->saved);
    strip_head(&strip, &head);
    strip_counters(&strip, verify->result);
    uint64_t time = (uint64_t)verify->hub_time_us;
    strip_u64(&strip, &time);
    strip_count(&strip, NULL, verify->n_acts, sizeof *verify->acts);
    for (size_t i = 0; i < verify->n_acts; i++)
        strip_u64(&strip, &verify->acts[i]);
    strip_streams(&strip, verify);
    strip_batch(&strip, &verify->batch);
    strip_missing(&strip, verify);
    if (!strip.failed)
        return 0;
    buffer_reset(&verify->saved);
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to keep how far verifying got"));
}

int resume_save(struct verify *verify, struct casebus_error *err)
{
    struct buffer *saved = &verify->saved;
    uint8_t mac[DIGEST_SIZE];
    if (saved->size == 0)
        return error_set(err, CASEBUS_NOT_FOUND, _("there is nothing to go on from yet"));
    put_u64le(saved->data + MAGIC_SIZE, verify->checkpoints_from);
    put_u64le(saved->data + MAGIC_SIZE + 8, verify->checkpoints_from ? verify->result->checkpoints : 0);
    struct bytes content = bytes_of(saved->data, saved->size);
    crypter_mac(verify->scanner.crypter, verify->options->resume_key, &content, 1, mac);
    if (!buffer_append(saved, mac, sizeof mac))
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to keep how far verifying got"));
    int r = file_write(verify->options->resume_path, bytes_of(saved->data, saved->size), 0600, err);
    saved->size -= sizeof mac; /* it may be saved again */
    verify->result->resume_saved = r == 0;
    return r;
}

/* ---- going on ---- */

static int unusable(const struct verify *verify, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("'%s' is damaged, or was not written with this hub's keys"),
                     verify->options->resume_path);
}

static int other_ledger(const struct verify *verify, struct casebus_error *err)
{
    return error_set(err, CASEBUS_CONSISTENCY, _("'%s' belongs to another ledger, or to another past of it"),
                     verify->options->resume_path);
}

/* An entry that was checked before, read again for what it says. */
static int act_again(struct verify *verify, uint64_t position, struct casebus_error *err)
{
    struct bytes leaf;
    uint8_t hash[DIGEST_SIZE], stored[DIGEST_SIZE];
    struct scanner *scanner = &verify->scanner;
    arena_reset(&scanner->arena);
    verify->position = position;
    if (scanner_refresh(scanner, err) || ledger_view_leaf(scanner->view, position, &leaf, err) ||
        ledger_view_hash(scanner->view, 0, position, stored, err))
        return -1;
    tree_leaf_hash(scanner->crypter, leaf, hash);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &scanner->arena, err);
    if (!entry || memcmp(hash, stored, DIGEST_SIZE) != 0 ||
        entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        return other_ledger(verify, err);
    verify->hub_time_us = entry->hub_time_us;
    switch (entry->act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        return verify_opened(verify, entry->act->ledger_opened, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        return verify_enrolled(verify, entry->act->node_enrolled, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        return verify_quarantine_decided(verify, entry->act->quarantine_decided, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        return verify_ordered(verify, entry->act->erasure_ordered, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        return verify_done(verify, entry->act->erasure_done, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        return verify_standing(verify, entry->act->node_status_changed, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_INVITED:
        return verify_invited(verify, entry->act->node_invited, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED:
        return verify_hub_keys(verify, entry->act->hub_keys_changed, err);
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        return verify_policy(verify, entry->act->policy_applied, err);
    default:
        return other_ledger(verify, err);
    }
}

static int acts_again(struct verify *verify, struct strip *strip, uint64_t size, struct casebus_error *err)
{
    size_t n = strip_count(strip, (void **)&verify->acts, 0, sizeof *verify->acts);
    for (size_t i = 0; i < n; i++) {
        strip_u64(strip, &verify->acts[i]);
        if (strip->failed || verify->acts[i] >= size || (i > 0 && verify->acts[i] <= verify->acts[i - 1]))
            return unusable(verify, err);
        if (act_again(verify, verify->acts[i], err))
            return -1;
    }
    verify->n_acts = n;
    return 0;
}

/* The ledger has the same past. */
static int tree_again(struct verify *verify, const struct head *head, struct casebus_error *err)
{
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    struct scanner *scanner = &verify->scanner;
    if (head->size % verify->chunk_size != 0)
        return unusable(verify, err);
    if (head->size > verify->size)
        return other_ledger(verify, err);
    if (tree_open(&tree, head->size, ledger_view_hash, scanner->view, err))
        return -1;
    tree_root(&tree, scanner->crypter, root);
    if (memcmp(root, head->root, DIGEST_SIZE) != 0)
        return other_ledger(verify, err);
    memcpy(verify->upper.frontier, tree.frontier + verify->chunk_level,
           (TREE_LEVELS - verify->chunk_level) * sizeof tree.frontier[0]);
    verify->upper.size = head->size / verify->chunk_size;
    return 0;
}

int resume_read(struct verify *verify, struct bytes content, struct casebus_error *err)
{
    struct head head = {0};
    struct strip strip = {.in = content};
    uint64_t time = 0;
    strip_head(&strip, &head);
    if (strip.failed || memcmp(head.magic, MAGIC, MAGIC_SIZE) != 0)
        return unusable(verify, err);
    if (head.flags != flags_of(verify))
        return error_set(err, CASEBUS_ARGUMENT, _("'%s' was written by a run that checked something else"),
                         verify->options->resume_path);
    struct strip counters = strip;
    strip_counters(&strip, &(struct verify_result){0});
    strip_u64(&strip, &time);
    if (tree_again(verify, &head, err) || acts_again(verify, &strip, head.size, err))
        return -1;
    strip_streams(&strip, verify);
    strip_batch(&strip, &verify->batch);
    strip_missing(&strip, verify);
    if (strip.failed || strip.in.size != 0)
        return unusable(verify, err);
    strip_counters(&counters, verify->result); /* reading the acts again has counted some of them twice */
    verify->hub_time_us = (int64_t)time;
    verify->checkpoints_from = head.checkpoints_from;
    verify->result->checkpoints = head.checkpoints;
    verify->result->resumed_from = head.size;
    return 0;
}

/* As before the first entry. Verifiers are freed at the end. */
static void forget(struct verify *verify)
{
    tree_init(&verify->upper);
    verify->n_generations = verify->n_nodes = verify->n_shelf = verify->n_streams = 0;
    verify->n_missing = verify->n_erasures = verify->n_slots = verify->n_done = verify->n_decided =
        verify->n_revoked = verify->n_invitations = verify->n_acts = 0;
    verify->policy_version = 0;
    verify->hub_time_us = 0;
    verify->trusted = false;
    verify->succession = (struct succession){0};
    verify->position = 0;
    verify->checkpoints_from = 0;
    memset(&verify->batch, 0, sizeof verify->batch);
    verify->result->nodes = verify->result->orders = 0;
}

int resume_load(struct verify *verify, struct casebus_error *err)
{
    struct buffer file;
    uint8_t mac[DIGEST_SIZE];
    if (access(verify->options->resume_path, F_OK) != 0 && errno == ENOENT)
        return 0; /* the first run */
    int r = file_read(verify->options->resume_path, RESUME_MAX, &file, err);
    if (r == 0 && file.size <= DIGEST_SIZE)
        r = unusable(verify, err);
    if (r == 0) {
        struct bytes content = bytes_of(file.data, file.size - DIGEST_SIZE);
        crypter_mac(verify->scanner.crypter, verify->options->resume_key, &content, 1, mac);
        r = secret_equal(mac, file.data + content.size, DIGEST_SIZE) ? resume_read(verify, content, err)
                                                                     : unusable(verify, err);
    }
    if (r)
        forget(verify);
    buffer_deinit(&file);
    return r;
}
