/* The Merkle tree against the vectors of Certificate Transparency, and against every small tree there is. */
#include "proto/merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZES 71 /* 0 .. 70 leaves: every shape up to six levels, and past a power of two */

/* All subtree hashes of one growing tree, as a ledger would keep them. */
struct store {
    uint8_t hashes[8][SIZES][DIGEST_SIZE];
    bool there[8][SIZES];
    int fail_after; /* reads until one fails; -1: never */
};

static void store_put(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE])
{
    struct store *store = self;

    assert_true(level < 8 && index < SIZES);
    assert_false(store->there[level][index]);
    store->there[level][index] = true;
    memcpy(store->hashes[level][index], hash, DIGEST_SIZE);
}

static int store_get(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                     struct casebus_error *err)
{
    struct store *store = self;

    if (store->fail_after == 0)
        return error_set(err, CASEBUS_DAMAGED, "no hash at level %u", level);
    if (store->fail_after > 0)
        store->fail_after--;
    assert_true(level < 8 && index < SIZES && store->there[level][index]);
    memcpy(hash, store->hashes[level][index], DIGEST_SIZE);
    return 0;
}

struct fixture {
    struct crypter *crypter;
    struct store store;
    struct tree trees[SIZES]; /* [n]: after n leaves */
    uint8_t roots[SIZES][DIGEST_SIZE];
    uint8_t leaves[SIZES][DIGEST_SIZE];
};

static void fill(struct fixture *f, const struct bytes *entries, size_t n)
{
    struct tree tree;

    tree_init(&tree);
    for (size_t i = 0;; i++) {
        f->trees[i] = tree;
        tree_root(&tree, f->crypter, f->roots[i]);
        if (i == n)
            return;
        tree_leaf_hash(f->crypter, entries[i], f->leaves[i]);
        tree_append(&tree, f->crypter, f->leaves[i], store_put, &f->store);
    }
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->store.fail_after = -1;
    f->crypter = crypter_new(suite_get(SUITE_INTL));
    assert_non_null(f->crypter);
    return f;
}

/* Leaves of our own, all different. */
static int setup(void **state)
{
    struct fixture *f = fixture_new();
    char texts[SIZES][8];
    struct bytes entries[SIZES];

    for (int i = 0; i < SIZES; i++) {
        snprintf(texts[i], sizeof texts[i], "leaf %d", i);
        entries[i] = bytes_of_text(texts[i]);
    }
    fill(f, entries, SIZES - 1);
    *state = f;
    return 0;
}

/* The eight leaves of the Certificate Transparency reference implementation. */
static int setup_ct(void **state)
{
    static const uint8_t data[] = {0x00, 0x10, 0x20, 0x21, 0x30, 0x31, 0x40, 0x41, 0x42, 0x43, 0x50, 0x51,
                                   0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x60, 0x61, 0x62, 0x63, 0x64, 0x65,
                                   0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f};
    static const size_t sizes[] = {0, 1, 1, 2, 2, 4, 8, 16};
    struct fixture *f = fixture_new();
    struct bytes entries[8];
    size_t at = 0;

    for (size_t i = 0; i < 8; i++) {
        entries[i] = bytes_of(data + at, sizes[i]);
        at += sizes[i];
    }
    fill(f, entries, 8);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    crypter_free(f->crypter);
    free(f);
    return 0;
}

static void assert_hash(const uint8_t hash[DIGEST_SIZE], const char *hex)
{
    uint8_t want[DIGEST_SIZE];

    assert_true(hex_decode(want, sizeof want, hex));
    assert_memory_equal(hash, want, sizeof want);
}

/* --- published vectors --------------------------------------------------------------------------------- */

static void test_roots_are_those_of_certificate_transparency(void **state)
{
    static const char *const roots[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    struct fixture *f = *state;

    for (size_t n = 0; n <= 8; n++)
        assert_hash(f->roots[n], roots[n]);
}

/* A proof of the reference: its two trees or its leaf and tree, and its hashes, NULL behind the last. */
struct proof_row {
    uint64_t from; /* leaf, or old size */
    uint64_t size;
    const char *hashes[5];
};

static void assert_proof(uint8_t proof[][DIGEST_SIZE], size_t n_proof, const struct proof_row *row)
{
    size_t n = 0;

    for (; row->hashes[n]; n++)
        if (n < n_proof)
            assert_hash(proof[n], row->hashes[n]);
    assert_int_equal(n_proof, n);
}

static void test_inclusion_paths_are_those_of_certificate_transparency(void **state)
{
    static const struct proof_row rows[] = {
        {0, 1, {NULL}},
        {0,
         8,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {5,
         8,
         {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {2, 3, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
        {1,
         5,
         {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
    };
    struct fixture *f = *state;
    uint8_t path[TREE_PROOF_MAX][DIGEST_SIZE];
    size_t n;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(
            tree_inclusion(f->crypter, rows[i].from, rows[i].size, store_get, &f->store, path, &n, NULL), 0);
        assert_proof(path, n, &rows[i]);
    }
}

static void test_consistency_proofs_are_those_of_certificate_transparency(void **state)
{
    static const struct proof_row rows[] = {
        {1, 1, {NULL}},
        {1,
         8,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {6,
         8,
         {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {2,
         5,
         {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
    };
    struct fixture *f = *state;
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    size_t n;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(
            tree_consistency(f->crypter, rows[i].from, rows[i].size, store_get, &f->store, proof, &n, NULL),
            0);
        assert_proof(proof, n, &rows[i]);
    }
}

/* --- every small tree ---------------------------------------------------------------------------------- */

static void test_tree_opened_from_its_hashes_is_the_tree(void **state)
{
    struct fixture *f = *state;
    uint8_t root[DIGEST_SIZE];
    struct tree tree;

    for (uint64_t n = 0; n < SIZES; n++) {
        assert_int_equal(tree_open(&tree, n, store_get, &f->store, NULL), 0);
        assert_int_equal(tree.size, n);
        tree_root(&tree, f->crypter, root);
        assert_memory_equal(root, f->roots[n], sizeof root);
        assert_int_equal(tree_root_at(f->crypter, n, store_get, &f->store, root, NULL), 0);
        assert_memory_equal(root, f->roots[n], sizeof root);
        tree_root_of(f->crypter, (const uint8_t(*)[DIGEST_SIZE])f->leaves, n, root);
        assert_memory_equal(root, f->roots[n], sizeof root);
        if (n + 1 < SIZES) {
            tree_append(&tree, f->crypter, f->leaves[n], NULL, NULL);
            tree_root(&tree, f->crypter, root);
            assert_memory_equal(root, f->roots[n + 1], sizeof root);
        }
    }
}

static void test_every_inclusion_path_holds_and_no_altered_one_does(void **state)
{
    struct fixture *f = *state;
    uint8_t path[TREE_PROOF_MAX + 1][DIGEST_SIZE] = {{0}};
    uint8_t *bytes = path[0];
    size_t n;

    for (uint64_t size = 1; size < SIZES; size++)
        for (uint64_t i = 0; i < size; i++) {
            const uint8_t *leaf = f->leaves[i];
            const uint8_t *root = f->roots[size];
#define HOLDS(at, of, hashes, from) tree_check_inclusion(f->crypter, at, of, from, bytes, hashes, root)
            assert_int_equal(tree_inclusion(f->crypter, i, size, store_get, &f->store, path, &n, NULL), 0);
            assert_true(HOLDS(i, size, n, leaf));
            for (size_t b = 0; b < n * DIGEST_SIZE * 8; b++) {
                bytes[b / 8] ^= (uint8_t)(1 << b % 8);
                assert_false(HOLDS(i, size, n, leaf));
                bytes[b / 8] ^= (uint8_t)(1 << b % 8);
            }
            assert_false(HOLDS(i, size, n + 1, leaf));
            assert_false(n > 0 && HOLDS(i, size, n - 1, leaf));
            for (uint64_t other = 0; other < size + 2; other++)
                if (other != i)
                    assert_false(HOLDS(other, size, n, leaf));
            assert_false(HOLDS(i, size, n, f->leaves[(i + 1) % (SIZES - 1)]));
            assert_false(size > i + 1 && HOLDS(i, i, n, leaf));
#undef HOLDS
        }
}

static void test_every_consistency_proof_holds_and_no_altered_one_does(void **state)
{
    struct fixture *f = *state;
    uint8_t proof[TREE_PROOF_MAX + 2][DIGEST_SIZE] = {{0}};
    uint8_t *bytes = proof[0];
    uint8_t root[DIGEST_SIZE];
    size_t n;

    for (uint64_t new = 0; new < SIZES; new ++)
        for (uint64_t old = 0; old <= new; old++) {
#define HOLDS(from, to, hashes, from_root, to_root)                                                          \
    tree_check_consistency(f->crypter, from, to, from_root, to_root, bytes, hashes)
            assert_int_equal(tree_consistency(f->crypter, old, new, store_get, &f->store, proof, &n, NULL),
                             0);
            assert_true(HOLDS(old, new, n, f->roots[old], f->roots[new]));
            for (size_t b = 0; b < n * DIGEST_SIZE * 8; b++) {
                bytes[b / 8] ^= (uint8_t)(1 << b % 8);
                assert_false(HOLDS(old, new, n, f->roots[old], f->roots[new]));
                bytes[b / 8] ^= (uint8_t)(1 << b % 8);
            }
            assert_false(HOLDS(old, new, n + 1, f->roots[old], f->roots[new]));
            assert_false(n > 0 && HOLDS(old, new, n - 1, f->roots[old], f->roots[new]));
            assert_false(old < new &&HOLDS(new, old, n, f->roots[new], f->roots[old]));
            memcpy(root, f->roots[old], sizeof root);
            root[0] ^= 1;
            assert_false(HOLDS(old, new, n, root, f->roots[new]));
            memcpy(root, f->roots[new], sizeof root);
            root[31] ^= 0x80;
            /* Every tree grows from the empty one: nothing ties the new root then. */
            assert_true(HOLDS(old, new, n, f->roots[old], root) == (old == 0 && new > 0));
#undef HOLDS
        }
}

static void test_node_of_another_tree_is_no_leaf(void **state)
{
    struct fixture *f = *state;
    uint8_t node[2 * DIGEST_SIZE];
    uint8_t hash[DIGEST_SIZE];

    memcpy(node, f->leaves[0], DIGEST_SIZE);
    memcpy(node + DIGEST_SIZE, f->leaves[1], DIGEST_SIZE);
    tree_leaf_hash(f->crypter, bytes_of(node, sizeof node), hash);
    assert_memory_not_equal(hash, f->roots[2], sizeof hash);
}

static void test_checks_refuse_impossible_sizes(void **state)
{
    struct fixture *f = *state;
    uint8_t path[(TREE_PROOF_MAX + 2) * DIGEST_SIZE] = {0};

    assert_false(tree_check_inclusion(f->crypter, 0, 0, f->leaves[0], path, 0, f->leaves[0]));
    assert_false(
        tree_check_inclusion(f->crypter, 0, UINT64_MAX, f->leaves[0], path, TREE_PROOF_MAX + 1, f->roots[1]));
    assert_false(tree_check_inclusion(f->crypter, UINT64_MAX, UINT64_MAX, f->leaves[0], path, TREE_PROOF_MAX,
                                      f->roots[1]));
    assert_false(tree_check_inclusion(f->crypter, UINT64_MAX - 1, UINT64_MAX, f->leaves[0], path,
                                      TREE_PROOF_MAX, f->roots[1]));
    assert_false(tree_check_consistency(f->crypter, 1, UINT64_MAX, f->roots[1], f->roots[2], path,
                                        TREE_PROOF_MAX + 2));
    assert_false(tree_check_consistency(f->crypter, UINT64_MAX - 1, UINT64_MAX, f->roots[1], f->roots[2],
                                        path, TREE_PROOF_MAX + 1));
}

static void test_failed_read_travels_up(void **state)
{
    struct fixture *f = *state;
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    struct casebus_error err;
    struct tree tree;
    size_t n;

    for (int reads = 0; reads < 3; reads++) {
        f->store.fail_after = reads;
        assert_int_equal(tree_open(&tree, 63, store_get, &f->store, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        f->store.fail_after = reads;
        assert_int_equal(tree_root_at(f->crypter, 63, store_get, &f->store, proof[0], &err), -1);
        f->store.fail_after = reads;
        assert_int_equal(tree_inclusion(f->crypter, 9, 63, store_get, &f->store, proof, &n, &err), -1);
        f->store.fail_after = reads;
        assert_int_equal(tree_consistency(f->crypter, 10, 63, store_get, &f->store, proof, &n, &err), -1);
    }
    f->store.fail_after = -1;
}

int main(void)
{
    const struct CMUnitTest ct[] = {
        cmocka_unit_test(test_roots_are_those_of_certificate_transparency),
        cmocka_unit_test(test_inclusion_paths_are_those_of_certificate_transparency),
        cmocka_unit_test(test_consistency_proofs_are_those_of_certificate_transparency),
    };
    const struct CMUnitTest ours[] = {
        cmocka_unit_test(test_tree_opened_from_its_hashes_is_the_tree),
        cmocka_unit_test(test_every_inclusion_path_holds_and_no_altered_one_does),
        cmocka_unit_test(test_every_consistency_proof_holds_and_no_altered_one_does),
        cmocka_unit_test(test_node_of_another_tree_is_no_leaf),
        cmocka_unit_test(test_checks_refuse_impossible_sizes),
        cmocka_unit_test(test_failed_read_travels_up),
    };
    int failed = cmocka_run_group_tests(ct, setup_ct, teardown);

    return failed + cmocka_run_group_tests(ours, setup, teardown);
}
