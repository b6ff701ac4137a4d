/* What is added lies in the builder's arena until the end; then positions become indexes and all is put in
 * order. */
#include "proto/evidence/builder.h"

#include "proto/base/texts.h"

#include <stdlib.h>

struct list {
    void **items;
    size_t n, room;
};

/* Messages of the schema, and the positions that become indexes when all leaves are known. */
struct event_item {
    Casebus__V1__EvidenceEvent message;
    uint64_t position, seal;
};
struct outcome_item {
    Casebus__V1__EvidenceOutcome message;
    uint64_t seal;
};
struct confirm_item {
    Casebus__V1__EvidenceConfirm message;
    uint64_t position;
};

struct evidence_builder {
    const struct suite *suite;
    struct arena arena;
    struct list leaves; /* Casebus__V1__EvidenceLeaf */
    struct list events, outcomes, confirms;
};

struct evidence_builder *evidence_builder_new(const struct suite *suite)
{
    struct evidence_builder *builder = calloc(1, sizeof *builder);
    if (builder) {
        builder->suite = suite;
        arena_init(&builder->arena, 64 * 1024, 4 * (size_t)EVIDENCE_MAX);
    }
    return builder;
}

struct evidence_builder *evidence_builder_free(struct evidence_builder *builder)
{
    if (!builder)
        return NULL;
    free(builder->leaves.items);
    free(builder->events.items);
    free(builder->outcomes.items);
    free(builder->confirms.items);
    arena_deinit(&builder->arena);
    free(builder);
    return NULL;
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the evidence"));
}

static int list_add(struct list *list, void *item, size_t max, struct casebus_error *err)
{
    if (list->n == max) {
        error_set(err, CASEBUS_TOO_LARGE, _("one evidence file cannot hold all of it"));
        return error_hint(err, _("ask for single events, or leave the parts closed"));
    }
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        void **grown = realloc(list->items, room * sizeof *grown);
        if (!grown)
            return no_memory(err);
        list->items = grown;
        list->room = room;
    }
    list->items[list->n++] = item;
    return 0;
}

/* False without memory. */
static bool copy(struct evidence_builder *builder, struct bytes from, ProtobufCBinaryData *to)
{
    *to = (ProtobufCBinaryData){0};
    if (from.size == 0)
        return true;
    *to = (ProtobufCBinaryData){from.size, arena_copy(&builder->arena, from.data, from.size)};
    return to->data;
}

static bool copy_path(struct evidence_builder *builder, const uint8_t (*path)[DIGEST_SIZE], size_t n,
                      ProtobufCBinaryData **to)
{
    *to = arena_alloc(&builder->arena, (n + 1) * sizeof **to);
    for (size_t i = 0; *to && i < n; i++)
        if (!copy(builder, bytes_of(path[i], DIGEST_SIZE), &(*to)[i]))
            return false;
    return *to;
}

/* ---- leaves: kept sorted, so that they are found ---- */

static Casebus__V1__EvidenceLeaf *leaf_at(const struct evidence_builder *builder, size_t i)
{
    return builder->leaves.items[i];
}

static size_t leaf_place(const struct evidence_builder *builder, uint64_t position)
{
    size_t low = 0, high = builder->leaves.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (leaf_at(builder, middle)->position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool evidence_builder_has(const struct evidence_builder *builder, uint64_t position)
{
    size_t place = leaf_place(builder, position);
    return place < builder->leaves.n && leaf_at(builder, place)->position == position;
}

bool evidence_builder_position(const struct evidence_builder *builder, size_t at, uint64_t *position)
{
    if (at >= builder->leaves.n)
        return false;
    *position = leaf_at(builder, at)->position;
    return true;
}

int evidence_builder_leaf(struct evidence_builder *builder, uint64_t position, struct bytes entry,
                          const uint8_t (*path)[DIGEST_SIZE], size_t n_path, struct casebus_error *err)
{
    size_t place = leaf_place(builder, position);
    if (evidence_builder_has(builder, position))
        return 0;
    Casebus__V1__EvidenceLeaf *leaf = arena_alloc(&builder->arena, sizeof *leaf);
    if (!leaf)
        return no_memory(err);
    casebus__v1__evidence_leaf__init(leaf);
    leaf->position = position;
    leaf->n_inclusion = n_path;
    if (!copy(builder, entry, &leaf->entry) || !copy_path(builder, path, n_path, &leaf->inclusion))
        return no_memory(err);
    if (list_add(&builder->leaves, leaf, EVIDENCE_LEAVES_MAX, err))
        return -1;
    memmove(builder->leaves.items + place + 1, builder->leaves.items + place,
            (builder->leaves.n - 1 - place) * sizeof *builder->leaves.items);
    builder->leaves.items[place] = leaf;
    return 0;
}

/* ---- claims ---- */

static bool copy_parts(struct evidence_builder *builder, const struct evidence_claim_event *claim,
                       Casebus__V1__EvidenceEvent *message)
{
    Casebus__V1__EvidencePart *parts = arena_alloc(&builder->arena, (claim->n_parts + 1) * sizeof *parts);
    message->part = arena_alloc(&builder->arena, (claim->n_parts + 1) * sizeof *message->part);
    message->n_part = claim->n_parts;
    for (size_t i = 0; parts && message->part && i < claim->n_parts; i++) {
        casebus__v1__evidence_part__init(&parts[i]);
        parts[i].withheld = claim->parts[i].withheld;
        message->part[i] = &parts[i];
        if (!copy(builder, claim->parts[i].salt, &parts[i].salt) ||
            !copy(builder, claim->parts[i].content, &parts[i].content))
            return false;
    }
    return parts && message->part;
}

int evidence_builder_event(struct evidence_builder *builder, const struct evidence_claim_event *claim,
                           struct casebus_error *err)
{
    for (size_t i = 0; i < builder->events.n; i++)
        if (((struct event_item *)builder->events.items[i])->position == claim->position)
            return 0;
    struct event_item *item = arena_alloc(&builder->arena, sizeof *item);
    if (!item)
        return no_memory(err);
    casebus__v1__evidence_event__init(&item->message);
    item->position = claim->position;
    item->seal = claim->seal;
    item->message.header_withheld = claim->header_withheld;
    item->message.n_batch_path = claim->n_batch_path;
    if (!copy(builder, claim->header, &item->message.header) ||
        !copy_path(builder, claim->batch_path, claim->n_batch_path, &item->message.batch_path) ||
        !copy_parts(builder, claim, &item->message))
        return no_memory(err);
    return list_add(&builder->events, item, EVIDENCE_EVENTS_MAX, err);
}

int evidence_builder_outcome(struct evidence_builder *builder, uint64_t seal, uint32_t index,
                             const uint8_t (*batch_path)[DIGEST_SIZE], size_t n_batch_path,
                             struct casebus_error *err)
{
    for (size_t i = 0; i < builder->outcomes.n; i++) {
        const struct outcome_item *known = builder->outcomes.items[i];
        if (known->seal == seal && known->message.index == index)
            return 0;
    }
    struct outcome_item *item = arena_alloc(&builder->arena, sizeof *item);
    if (!item)
        return no_memory(err);
    casebus__v1__evidence_outcome__init(&item->message);
    item->seal = seal;
    item->message.index = index;
    item->message.n_batch_path = n_batch_path;
    if (!copy_path(builder, batch_path, n_batch_path, &item->message.batch_path))
        return no_memory(err);
    return list_add(&builder->outcomes, item, EVIDENCE_OUTCOMES_MAX, err);
}

bool evidence_builder_confirms(const struct evidence_builder *builder, uint64_t position, uint32_t index)
{
    for (size_t i = 0; i < builder->confirms.n; i++) {
        const struct confirm_item *known = builder->confirms.items[i];
        if (known->position == position && known->message.index == index)
            return true;
    }
    return false;
}

static bool copy_links(struct evidence_builder *builder, const struct evidence_claim_link *links, size_t n,
                       Casebus__V1__EvidenceConfirm *message)
{
    Casebus__V1__EvidenceLink *copies = arena_alloc(&builder->arena, n * sizeof *copies);
    message->link = arena_alloc(&builder->arena, n * sizeof *message->link);
    message->n_link = n;
    for (size_t i = 0; copies && message->link && i < n; i++) {
        casebus__v1__evidence_link__init(&copies[i]);
        copies[i].position = links[i].position;
        copies[i].ordinal = links[i].ordinal;
        message->link[i] = &copies[i];
        if (!copy(builder, bytes_of(links[i].event_hash, DIGEST_SIZE), &copies[i].event_hash))
            return false;
    }
    return copies && message->link;
}

int evidence_builder_confirm(struct evidence_builder *builder, uint64_t position, uint32_t index,
                             const uint8_t running_before[DIGEST_SIZE],
                             const struct evidence_claim_link *links, size_t n_links,
                             struct casebus_error *err)
{
    if (evidence_builder_confirms(builder, position, index))
        return 0;
    struct confirm_item *item = arena_alloc(&builder->arena, sizeof *item);
    if (!item)
        return no_memory(err);
    casebus__v1__evidence_confirm__init(&item->message);
    item->position = position;
    item->message.index = index;
    if (n_links > 0 &&
        (!copy(builder, bytes_of(running_before, DIGEST_SIZE), &item->message.running_before) ||
         !copy_links(builder, links, n_links, &item->message)))
        return no_memory(err);
    return list_add(&builder->confirms, item, EVIDENCE_CONFIRMS_MAX, err);
}

/* ---- the end ---- */

static int leaf_index(const struct evidence_builder *builder, uint64_t position, uint32_t *index,
                      struct casebus_error *err)
{
    *index = (uint32_t)leaf_place(builder, position);
    if (evidence_builder_has(builder, position))
        return 0;
    return error_set(err, CASEBUS_INTERNAL, _("evidence was to be made without entry %llu"),
                     (unsigned long long)position);
}

static int compare(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    if (a != c)
        return a < c ? -1 : 1;
    return b < d ? -1 : b > d;
}

static int compare_events(const void *a, const void *b)
{
    const struct event_item *x = *(void *const *)a, *y = *(void *const *)b;
    return compare(x->message.leaf, 0, y->message.leaf, 0);
}

static int compare_outcomes(const void *a, const void *b)
{
    const struct outcome_item *x = *(void *const *)a, *y = *(void *const *)b;
    return compare(x->message.seal, x->message.index, y->message.seal, y->message.index);
}

static int compare_confirms(const void *a, const void *b)
{
    const struct confirm_item *x = *(void *const *)a, *y = *(void *const *)b;
    return compare(x->message.leaf, x->message.index, y->message.leaf, y->message.index);
}

static void list_sort(struct list *list, int (*order)(const void *a, const void *b))
{
    if (list->n > 0)
        qsort(list->items, list->n, sizeof *list->items, order);
}

static int claims_place(struct evidence_builder *builder, struct casebus_error *err)
{
    for (size_t i = 0; i < builder->events.n; i++) {
        struct event_item *item = builder->events.items[i];
        if (leaf_index(builder, item->position, &item->message.leaf, err) ||
            leaf_index(builder, item->seal, &item->message.seal, err))
            return -1;
    }
    for (size_t i = 0; i < builder->outcomes.n; i++) {
        struct outcome_item *item = builder->outcomes.items[i];
        if (leaf_index(builder, item->seal, &item->message.seal, err))
            return -1;
    }
    for (size_t i = 0; i < builder->confirms.n; i++) {
        struct confirm_item *item = builder->confirms.items[i];
        if (leaf_index(builder, item->position, &item->message.leaf, err))
            return -1;
    }
    list_sort(&builder->events, compare_events);
    list_sort(&builder->outcomes, compare_outcomes);
    list_sort(&builder->confirms, compare_confirms);
    return 0;
}

static int file_pack(struct evidence_builder *builder, const Casebus__V1__Evidence *evidence,
                     struct bytes *file, struct casebus_error *err)
{
    size_t magic = strlen(EVIDENCE_MAGIC), size = casebus__v1__evidence__get_packed_size(evidence);
    if (magic + size > EVIDENCE_MAX) {
        error_set(err, CASEBUS_TOO_LARGE, _("one evidence file cannot hold all of it"));
        return error_hint(err, _("ask for single events, or leave the parts closed"));
    }
    uint8_t *out = arena_alloc(&builder->arena, magic + size);
    if (!out)
        return no_memory(err);
    memcpy(out, EVIDENCE_MAGIC, magic);
    casebus__v1__evidence__pack(evidence, out + magic);
    *file = bytes_of(out, magic + size);
    return 0;
}

int evidence_builder_finish(struct evidence_builder *builder, struct bytes checkpoint, struct bytes *file,
                            struct casebus_error *err)
{
    Casebus__V1__Evidence evidence = CASEBUS__V1__EVIDENCE__INIT;
    if (claims_place(builder, err))
        return -1;
    evidence.format = 1;
    evidence.suite = (Casebus__V1__Suite)suite_id(builder->suite);
    evidence.checkpoint = (ProtobufCBinaryData){checkpoint.size, (uint8_t *)(uintptr_t)checkpoint.data};
    evidence.leaf = (Casebus__V1__EvidenceLeaf **)builder->leaves.items;
    evidence.n_leaf = builder->leaves.n;
    evidence.event =
        (Casebus__V1__EvidenceEvent **)builder->events.items; /* the message is each item's first */
    evidence.n_event = builder->events.n;
    evidence.outcome = (Casebus__V1__EvidenceOutcome **)builder->outcomes.items;
    evidence.n_outcome = builder->outcomes.n;
    evidence.confirm = (Casebus__V1__EvidenceConfirm **)builder->confirms.items;
    evidence.n_confirm = builder->confirms.n;
    return file_pack(builder, &evidence, file, err);
}
