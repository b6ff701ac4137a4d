/* A journal in a folder of its own, and groups that can be told from their numbers. For tests. */
#ifndef JOURNAL_JOURNAL_FIXTURE_H
#define JOURNAL_JOURNAL_FIXTURE_H

#include "hub/journal/journal.h"

#include "hub/journal/folder_fixture.h"

#define ENTRIES_MAX 64

struct made_group {
    struct journal_group group;
    struct journal_entry entries[ENTRIES_MAX];
    char texts[ENTRIES_MAX][64];
    uint8_t *body; /* shared by the entries, of which each takes a piece */
};

/* How many entries group @number has, and how many came before it. */
static inline size_t entries_of(uint64_t number)
{
    return 1 + number * 7 % 20;
}

static inline uint64_t position_of(uint64_t number)
{
    uint64_t position = 0;
    for (uint64_t i = 1; i < number; i++)
        position += entries_of(i);
    return position;
}

/* Group @number at @position, its bodies together about @size bytes. */
static inline void group_make(struct made_group *made, uint64_t epoch, uint64_t number, uint64_t position,
                              size_t size)
{
    size_t n = entries_of(number);

    made->body = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        made->body[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
    for (size_t i = 0; i < n; i++) {
        int length = snprintf(made->texts[i], sizeof made->texts[i], "leaf %zu of group %llu", i,
                              (unsigned long long)number);
        made->entries[i].leaf = bytes_of(made->texts[i], (size_t)length);
        made->entries[i].body =
            i % 3 == 1 ? bytes_of(NULL, 0) : bytes_of(made->body + size / n * i, size / n);
    }
    made->group = (struct journal_group){.epoch = epoch,
                                         .number = number,
                                         .hub_time_us = 1700000000000000 + (int64_t)number,
                                         .first_position = position,
                                         .tree_size = position + n,
                                         .entries = made->entries,
                                         .n_entries = n};
    memset(made->group.root, (int)number, DIGEST_SIZE);
}

static inline void group_unmake(struct made_group *made)
{
    free(made->body);
}

static inline void expect_group(const struct journal_group *found, const struct journal_group *expected)
{
    assert_int_equal(found->epoch, expected->epoch);
    assert_int_equal(found->number, expected->number);
    assert_int_equal(found->hub_time_us, expected->hub_time_us);
    assert_int_equal(found->first_position, expected->first_position);
    assert_int_equal(found->tree_size, expected->tree_size);
    assert_int_equal(found->n_entries, expected->n_entries);
    assert_memory_equal(found->root, expected->root, DIGEST_SIZE);
    for (size_t i = 0; i < found->n_entries; i++) {
        assert_true(bytes_equal(found->entries[i].leaf, expected->entries[i].leaf));
        assert_true(bytes_equal(found->entries[i].body, expected->entries[i].body));
    }
}

#endif
