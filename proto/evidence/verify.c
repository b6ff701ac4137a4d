/* A verification goes from what the stranger knows to what the file says: the log's key proves the
 * checkpoint, the checkpoint the leaves, the first leaves the authority and the origins, the authority the
 * nodes' keys, these the statements. Who may sign is judged by positions in the ledger, never by times. */
#include "proto/evidence/private.h"

#include "proto/base/texts.h"

#include <stdlib.h>

#define ARENA_BLOCK (64 * 1024)
#define ARENA_MAX   (256 * 1024 * 1024)
#define FACTS_MAX   (1 << 20)

/* ---- facts and gaps ---- */

/* One more in an array that doubles; the old ones stay in the arena until the end. */
static void *list_add(struct arena *arena, void **list, size_t *n, size_t *room, size_t size,
                      struct casebus_error *err)
{
    if (*n == *room) {
        size_t more = *room ? 2 * *room : 64;
        void *grown = more <= FACTS_MAX ? arena_alloc(arena, more * size) : NULL;
        if (!grown) {
            error_set(err, CASEBUS_NO_MEMORY, _("no memory for what the evidence proves"));
            return NULL;
        }
        if (*n > 0)
            memcpy(grown, *list, *n * size);
        *list = grown;
        *room = more;
    }
    void *added = (char *)*list + (*n)++ * size;
    memset(added, 0, size);
    return added;
}

struct evidence_fact *fact_add(struct verification *v, enum evidence_fact_kind kind,
                               struct casebus_error *err)
{
    void *list = v->report->facts;
    struct evidence_fact *fact =
        list_add(v->arena, &list, &v->report->n_facts, &v->facts_room, sizeof *fact, err);
    v->report->facts = list;
    if (fact)
        fact->kind = kind;
    return fact;
}

struct evidence_gap *gap_add(struct verification *v, enum evidence_gap_kind kind, struct casebus_error *err)
{
    void *list = v->report->gaps;
    struct evidence_gap *gap = list_add(v->arena, &list, &v->report->n_gaps, &v->gaps_room, sizeof *gap, err);
    v->report->gaps = list;
    if (gap)
        gap->kind = kind;
    return gap;
}

/* ---- the checkpoint ---- */

/* The trusted key for what @origin signed: the one of that name; or of the newest generation before it, since
 * a hub that was restored goes on under the next name with the key that it had. NULL: none. */
static const struct note_verifier *log_find(const struct evidence_trust *trust, const char *origin)
{
    const struct note_verifier *found = NULL;
    for (size_t i = 0; i < trust->n_logs; i++) {
        const struct note_verifier *log = trust->logs[i];
        if (strcmp(log->name, origin) == 0)
            return log;
        if (origin_follows(origin, log->name) &&
            (!found || (origin_follows(log->name, found->name) && strcmp(log->name, found->name) != 0)))
            found = log;
    }
    return found;
}

int log_key_name(struct note_verifier *verifier, char vkey[VKEY_MAX], const struct public_key *key,
                 const char *name, struct casebus_error *err)
{
    if (note_vkey_format(vkey, VKEY_MAX, name, key) < 0)
        return error_set(err, CASEBUS_KEY, _("the log's key cannot stand under the name '%s'"), name);
    return note_verifier_init(verifier, vkey, err);
}

static int witnesses_check(struct verification *v, struct bytes note, struct casebus_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < v->trust->n_witnesses; i++) {
        int64_t time_s = 0;
        int r = note_cosigned(&time_s, note, v->trust->witnesses[i], err);
        if (r < 0)
            return -1;
        if (r == 0)
            continue;
        struct evidence_fact *fact = fact_add(v, FACT_COSIGNED, err);
        if (!fact)
            return -1;
        fact->name = v->trust->witnesses[i]->name;
        fact->time_us = time_s * 1000000;
        n++;
    }
    if (n < v->trust->quorum)
        return error_set(err, CASEBUS_SIGNATURE,
                         _("%zu of the witnesses cosigned the checkpoint; %zu have to"), n, v->trust->quorum);
    return n > 0 || gap_add(v, GAP_UNWITNESSED, err) ? 0 : -1;
}

int verify_checkpoint(struct verification *v, struct casebus_error *err)
{
    struct bytes note = bytes_of_data(v->evidence->checkpoint);
    struct checkpoint said;
    if (checkpoint_parse(&said, note, err))
        return error_context(err, "%s", _("the evidence's checkpoint"));
    const struct note_verifier *log = log_find(v->trust, said.origin);
    if (!log) {
        error_set(err, CASEBUS_HUB_IDENTITY,
                  _("the evidence is of the hub '%s', whose log's key is not trusted"), said.origin);
        return error_hint(err,
                          _("give its authority and its log's verifier key with --trust, if you know them"));
    }
    bool taken = strcmp(log->name, said.origin) != 0;
    if (log_key_name(&v->log.verifier, v->log.vkey, &log->key, said.origin, err))
        return -1;
    if (checkpoint_check(&v->checkpoint, note, &v->log.verifier, err)) {
        error_context(err, "%s", _("the evidence's checkpoint"));
        return taken ? error_hint(err, _("if the hub was restored with another log key, give that key with a "
                                         "further --trust"))
                     : -1;
    }
    v->log.former = taken ? arena_printf(v->arena, "%s", log->name) : NULL;
    if (taken && !v->log.former)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    if (log->key.suite != suite_id(crypter_suite(v->crypter)))
        return error_set(err, CASEBUS_KEY, _("the key of '%s' is of another suite than the evidence"),
                         said.origin);
    struct evidence_fact *fact = fact_add(v, FACT_CHECKPOINT, err);
    uint8_t *root = arena_copy(v->arena, v->checkpoint.root, DIGEST_SIZE);
    if (!fact || !root)
        return -1;
    v->report->origin = fact->name = arena_printf(v->arena, "%s", v->checkpoint.origin);
    fact->size = v->checkpoint.size;
    fact->hash = bytes_of(root, DIGEST_SIZE);
    return witnesses_check(v, note, err);
}

/* ---- the leaves ---- */

/* The hashes of a path one behind the other. */
static const uint8_t *path_join_hashes(uint8_t out[TREE_PROOF_MAX * DIGEST_SIZE],
                                       const ProtobufCBinaryData *path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * DIGEST_SIZE, path[i].data, DIGEST_SIZE);
    return out;
}

static int leaf_check(struct verification *v, size_t index, struct casebus_error *err)
{
    const Casebus__V1__EvidenceLeaf *given = v->evidence->leaf[index];
    struct proven_leaf *leaf = &v->leaves[index];
    uint8_t path[TREE_PROOF_MAX * DIGEST_SIZE];
    leaf->position = given->position;
    tree_leaf_hash(v->crypter, bytes_of_data(given->entry), leaf->hash);
    if (!tree_check_inclusion(v->crypter, given->position, v->checkpoint.size, leaf->hash,
                              path_join_hashes(path, given->inclusion, given->n_inclusion),
                              given->n_inclusion, v->checkpoint.root))
        return error_set(err, CASEBUS_INCLUSION, _("entry %llu is not in the tree of the checkpoint"),
                         (unsigned long long)given->position);
    leaf->entry = entry_decode(bytes_of_data(given->entry), v->arena, err);
    if (!leaf->entry)
        return error_context(err, _("entry %llu"), (unsigned long long)given->position);
    if ((unsigned)leaf->entry->suite != (unsigned)v->evidence->suite)
        return error_set(err, CASEBUS_BAD_FIELD, _("entry %llu is of another suite"),
                         (unsigned long long)given->position);
    if (index > 0 && leaf->entry->hub_time_us < v->leaves[index - 1].entry->hub_time_us)
        return error_set(err, CASEBUS_CLOCK, _("entry %llu is of an earlier time than one before it"),
                         (unsigned long long)given->position);
    return 0;
}

int verify_leaves(struct verification *v, struct casebus_error *err)
{
    size_t n = v->evidence->n_leaf;
    v->leaves = arena_alloc(v->arena, (n + 1) * sizeof *v->leaves);
    if (!v->leaves)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    memset(v->leaves, 0, (n + 1) * sizeof *v->leaves);
    for (size_t i = 0; i < n; i++)
        if (leaf_check(v, i, err))
            return -1;
    v->n_leaves = n;
    return 0;
}

const struct proven_leaf *leaf_find(const struct verification *v, uint64_t position)
{
    size_t low = 0, high = v->n_leaves;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->leaves[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->n_leaves && v->leaves[low].position == position ? &v->leaves[low] : NULL;
}

/* ---- life ---- */

static int verify_all(struct verification *v, struct casebus_error *err)
{
    static int (*const steps[])(struct verification * v, struct casebus_error * err) = {
        verify_checkpoint, verify_leaves, verify_generations, verify_enrolments, verify_seals,
        verify_acts,       verify_events, verify_outcomes,    verify_confirms};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i](v, err))
            return -1;
    return gap_add(v, GAP_COMPLETE, err) && gap_add(v, GAP_TRUE, err) ? 0 : -1;
}

int evidence_verify(struct bytes file, const struct evidence_trust *trust, struct evidence_report *report,
                    struct casebus_error *err)
{
    struct verification v = {.trust = trust, .report = report, .arena = &report->arena};
    *report = (struct evidence_report){0};
    arena_init(&report->arena, ARENA_BLOCK, ARENA_MAX);
    v.evidence = evidence_decode(file, v.arena, err);
    if (!v.evidence)
        return -1;
    v.crypter = crypter_new(suite_get((enum suite_id)v.evidence->suite));
    int r =
        v.crypter ? verify_all(&v, err) : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
    for (size_t i = 0; i < v.n_enrolments; i++)
        verifier_free(v.enrolments[i].verifier);
    note_verifier_deinit(&v.log.verifier);
    crypter_free(v.crypter);
    if (r)
        report->n_facts = report->n_gaps = 0;
    return r;
}

void evidence_report_deinit(struct evidence_report *report)
{
    arena_deinit(&report->arena);
    *report = (struct evidence_report){0};
}
