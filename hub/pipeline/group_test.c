#include "hub/pipeline/group.h"

#include "proto/merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void count_release(void *owner)
{
    ++*(int *)owner;
}

static struct job *job_of(int *released)
{
    struct job *job = job_new(JOB_BATCH, 1, NULL, NULL);
    assert_non_null(job);
    job->release = count_release;
    job->owner = released;
    return job;
}

static void test_the_last_reference_frees_the_jobs(void **state)
{
    (void)state;
    int released = 0;
    struct group *group = group_new(NULL);
    assert_non_null(group);
    group->jobs = job_of(&released);
    group->jobs->next = job_of(&released);
    assert_ptr_equal(group_ref(group), group);
    assert_null(group_unref(group));
    assert_int_equal(released, 0);
    assert_null(group_unref(group));
    assert_int_equal(released, 2);
    assert_null(group_unref(NULL));
}

static void test_a_frame_is_given_back_once(void **state)
{
    (void)state;
    int released = 0;
    struct job *job = job_of(&released);
    job_release_frame(job);
    assert_null(job->frame.data);
    job_free(job);
    assert_int_equal(released, 1);
    assert_null(job_free(NULL));
}

static void test_a_group_knows_its_own_leaves_only(void **state)
{
    (void)state;
    struct group *group = group_new(NULL);
    group->first_position = 100;
    for (unsigned i = 0; i < 100; i++) {
        struct journal_entry *entry = group_add_entry(group);
        assert_non_null(entry);
        assert_int_equal(entry->body.size, 0);
        entry->leaf = bytes_of(arena_copy(&group->arena, &i, sizeof(i)), sizeof(i));
        assert_non_null(group_add_event(group));
    }
    assert_int_equal(group_leaf(group, 99).size, 0);
    assert_int_equal(group_leaf(group, 200).size, 0);
    assert_int_equal(group_leaf(group, UINT64_MAX).size, 0);
    for (unsigned i = 0, found; i < 100; i++) {
        memcpy(&found, group_leaf(group, 100 + i).data, sizeof(found));
        assert_int_equal(found, i);
    }
    group_unref(group);
}

static void test_reserved_hashes_suffice_for_any_tree(void **state)
{
    (void)state;
    struct crypter *crypter = crypter_new(suite_get(SUITE_INTL));
    struct tree tree = {0};
    uint8_t leaf[DIGEST_SIZE] = {1};
    for (size_t n = 1; n < 40; n++) {
        struct group *group = group_new(NULL);
        assert_true(group_reserve_hashes(group, n));
        for (size_t i = 0; i < n; i++)
            tree_append(&tree, crypter, leaf, group_store_hash, group);
        assert_true(group->n_hashes >= n && group->n_hashes <= group->hashes_capacity);
        group_unref(group);
    }
    crypter_free(crypter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_reference_frees_the_jobs),
        cmocka_unit_test(test_a_frame_is_given_back_once),
        cmocka_unit_test(test_a_group_knows_its_own_leaves_only),
        cmocka_unit_test(test_reserved_hashes_suffice_for_any_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
