/* The bytes come back through checksums, but a checksum is no promise about their meaning: every length is
 * checked against what is there. */
#include "hub/journal/record.h"

#include "proto/base/texts.h"

size_t group_size(const struct journal_group *group)
{
    size_t size = GROUP_HEAD_SIZE;
    for (size_t i = 0; i < group->n_entries && size <= JOURNAL_GROUP_MAX; i++) {
        const struct journal_entry *entry = &group->entries[i];
        if (entry->leaf.size > JOURNAL_GROUP_MAX || entry->body.size > JOURNAL_GROUP_MAX)
            return JOURNAL_GROUP_MAX + 1;
        size += ENTRY_HEAD_SIZE + entry->leaf.size + entry->body.size;
    }
    return size;
}

void claim_encode(uint8_t out[CLAIM_SIZE], uint32_t partition, uint64_t epoch)
{
    put_u32le(out, JOURNAL_FORMAT);
    put_u32le(out + 4, partition);
    put_u64le(out + 8, epoch);
}

static void head_encode(uint8_t *out, const struct journal_group *group, uint32_t partition)
{
    claim_encode(out, partition, group->epoch);
    put_u64le(out + 16, group->number);
    put_u64le(out + 24, (uint64_t)group->hub_time_us);
    put_u64le(out + 32, group->first_position);
    put_u64le(out + 40, group->tree_size);
    memcpy(out + 48, group->root, DIGEST_SIZE);
    put_u32le(out + 80, (uint32_t)group->n_entries);
}

static struct iovec part_of(const void *data, size_t size)
{
    return (struct iovec){(void *)(uintptr_t)data, size};
}

void group_encode(const struct journal_group *group, uint32_t partition, uint8_t head[GROUP_HEAD_SIZE],
                  uint8_t *lengths, struct iovec *parts)
{
    head_encode(head, group, partition);
    *parts++ = part_of(head, GROUP_HEAD_SIZE);
    for (size_t i = 0; i < group->n_entries; i++) {
        const struct journal_entry *entry = &group->entries[i];
        put_u32le(lengths, (uint32_t)entry->leaf.size);
        put_u32le(lengths + 4, (uint32_t)entry->body.size);
        *parts++ = part_of(lengths, ENTRY_HEAD_SIZE);
        *parts++ = part_of(entry->leaf.data, entry->leaf.size);
        *parts++ = part_of(entry->body.data, entry->body.size);
        lengths += ENTRY_HEAD_SIZE;
    }
}

static int not_readable(struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("a record of the journal is not what it should be"));
}

int claim_decode(struct bytes payload, uint32_t partition, uint64_t *epoch, struct casebus_error *err)
{
    if (payload.size < CLAIM_SIZE)
        return not_readable(err);
    if (get_u32le(payload.data) != JOURNAL_FORMAT) {
        error_set(err, CASEBUS_DAMAGED,
                  _("a record of the journal has format %u; this program knows format %u"),
                  get_u32le(payload.data), JOURNAL_FORMAT);
        return error_hint(err, _("use the version of casebus that wrote it, or a newer one"));
    }
    if (get_u32le(payload.data + 4) != partition)
        return error_set(err, CASEBUS_DAMAGED, _("the journal belongs to partition %u, not to %u"),
                         get_u32le(payload.data + 4), partition);
    *epoch = get_u64le(payload.data + 8);
    return 0;
}

int group_decode_head(struct bytes payload, uint32_t partition, struct journal_group *group,
                      struct casebus_error *err)
{
    *group = (struct journal_group){0};
    if (claim_decode(payload, partition, &group->epoch, err) != 0)
        return -1;
    if (payload.size < GROUP_HEAD_SIZE)
        return not_readable(err);
    group->number = get_u64le(payload.data + 16);
    group->hub_time_us = (int64_t)get_u64le(payload.data + 24);
    group->first_position = get_u64le(payload.data + 32);
    group->tree_size = get_u64le(payload.data + 40);
    memcpy(group->root, payload.data + 48, DIGEST_SIZE);
    group->n_entries = get_u32le(payload.data + 80);
    if (group->n_entries > (payload.size - GROUP_HEAD_SIZE) / ENTRY_HEAD_SIZE ||
        group->tree_size - group->first_position != group->n_entries || group->tree_size < group->n_entries)
        return not_readable(err);
    return 0;
}

/* Cuts the next entry off @rest. */
static bool entry_decode(struct bytes *rest, struct journal_entry *entry)
{
    if (rest->size < ENTRY_HEAD_SIZE)
        return false;
    size_t leaf_size = get_u32le(rest->data);
    size_t body_size = get_u32le(rest->data + 4);
    size_t left = rest->size - ENTRY_HEAD_SIZE;
    if (leaf_size > left || body_size > left - leaf_size)
        return false;
    entry->leaf = bytes_of(rest->data + ENTRY_HEAD_SIZE, leaf_size);
    entry->body = bytes_of(entry->leaf.data + leaf_size, body_size);
    *rest = bytes_of(entry->body.data + body_size, left - leaf_size - body_size);
    return true;
}

int group_decode(struct bytes payload, uint32_t partition, struct arena *arena, struct journal_group *group,
                 struct casebus_error *err)
{
    if (group_decode_head(payload, partition, group, err) != 0)
        return -1;
    struct bytes rest = bytes_of(payload.data + GROUP_HEAD_SIZE, payload.size - GROUP_HEAD_SIZE);
    const uint8_t *copy = arena_copy(arena, rest.data, rest.size);
    struct journal_entry *entries = arena_alloc(arena, group->n_entries * sizeof *entries);
    if (!copy || !entries)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a group of %zu bytes from the journal"),
                         payload.size);
    rest.data = copy;
    for (size_t i = 0; i < group->n_entries; i++)
        if (!entry_decode(&rest, &entries[i]))
            return not_readable(err);
    group->entries = entries;
    return rest.size == 0 ? 0 : not_readable(err);
}
