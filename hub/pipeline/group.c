#include "hub/pipeline/group.h"

#include "proto/base/texts.h"
#include "proto/merkle/tree.h"

#include <assert.h>
#include <stdlib.h>

#define GROUP_ARENA_BLOCK (8 * 1024) /* a group of one event needs about two */
#define GROUP_ARENA_MAX   (256u * 1024 * 1024)

struct group *group_new(struct registry *registry)
{
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    atomic_init(&group->references, 1);
    arena_init(&group->arena, GROUP_ARENA_BLOCK, GROUP_ARENA_MAX);
    group->registry = registry_ref(registry);
    return group;
}

struct group *group_ref(struct group *group)
{
    atomic_fetch_add(&group->references, 1);
    return group;
}

struct group *group_unref(struct group *group)
{
    if (!group || atomic_fetch_sub(&group->references, 1) != 1)
        return NULL;
    while (group->jobs) {
        struct job *job = group->jobs;
        group->jobs = job->next;
        job_free(job);
    }
    registry_unref(group->registry);
    arena_deinit(&group->arena);
    free(group->entries);
    free(group->hash_counts);
    free(group->hashes);
    free(group->events);
    free(group->erasures);
    free(group);
    return NULL;
}

/* Grows *itemsp so that one more of @size bytes fits. */
static bool grow(void **itemsp, size_t *capacity, size_t n, size_t size)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *items = realloc(*itemsp, wanted * size);
    if (!items)
        return false;
    *itemsp = items;
    *capacity = wanted;
    return true;
}

struct journal_entry *group_add_entry(struct group *group)
{
    size_t capacity = group->entries_capacity;
    if (!grow((void **)&group->entries, &group->entries_capacity, group->n_entries, sizeof(*group->entries)))
        return NULL;
    if (!grow((void **)&group->hash_counts, &capacity, group->n_entries, sizeof(*group->hash_counts)))
        return NULL;
    struct journal_entry *entry = &group->entries[group->n_entries];
    group->hash_counts[group->n_entries] = 0;
    group->n_entries++;
    *entry = (struct journal_entry){{NULL, 0}, {NULL, 0}};
    return entry;
}

struct group_event *group_add_event(struct group *group)
{
    if (!grow((void **)&group->events, &group->events_capacity, group->n_events, sizeof(*group->events)))
        return NULL;
    return &group->events[group->n_events++];
}

bool group_add_erasure(struct group *group)
{
    if (!grow((void **)&group->erasures, &group->erasures_capacity, group->n_erasures,
              sizeof(*group->erasures)))
        return false;
    group->erasures[group->n_erasures++] = group->first_position + group->n_entries;
    return true;
}

bool group_reserve_hashes(struct group *group, size_t n)
{
    /* A leaf completes at most 63 subtrees, but n leaves store fewer than 2n hashes and 64 more. */
    size_t wanted = group->n_hashes + 2 * n + TREE_LEVELS;
    if (wanted <= group->hashes_capacity)
        return true;
    if (group->hashes_capacity)
        wanted += wanted / 2; /* asked again and again at replay */
    void *hashes = realloc(group->hashes, wanted * DIGEST_SIZE);
    if (!hashes)
        return false;
    group->hashes = hashes;
    group->hashes_capacity = wanted;
    return true;
}

void group_store_hash(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct group *group = self;
    (void)level;
    (void)index;
    /* The writer reserved room before it began to append (group_reserve_hashes). */
    assert(group->n_hashes < group->hashes_capacity);
    memcpy(group->hashes[group->n_hashes++], hash, DIGEST_SIZE);
}

int groups_to_ledger(const struct group *groups, struct ledger *ledger, struct casebus_error *err)
{
    size_t n = 0, i = 0;
    if (!groups)
        return 0;
    for (const struct group *group = groups; group; group = group->next)
        n += group->n_entries;
    struct ledger_row *rows = calloc(n + 1, sizeof(*rows));
    if (!rows)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to write %zu ledger entries"), n);
    for (const struct group *group = groups; group; group = group->next) {
        size_t at = 0; /* in the group's hashes */
        for (size_t k = 0; k < group->n_entries; k++) {
            rows[i++] = (struct ledger_row){group->entries[k].leaf, group->entries[k].body, group->hashes[at],
                                            group->hash_counts[k]};
            at += group->hash_counts[k];
        }
    }
    int r = ledger_append(ledger, groups->first_position, rows, n, err);
    free(rows);
    return r;
}

struct bytes group_leaf(const struct group *group, uint64_t position)
{
    if (position < group->first_position || position - group->first_position >= group->n_entries)
        return (struct bytes){NULL, 0};
    return group->entries[position - group->first_position].leaf;
}
