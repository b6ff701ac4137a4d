/* The Merkle tree of RFC 6962, without recursion and without memory of its own.
 *
 * Everything rests on one picture: at level L the tree of n leaves has nodes 0 .. (n - 1) >> L. All but the
 * last are complete and were stored when they were completed; the last one may be ragged, and is then folded
 * from the complete subtrees below it, one for each set bit of its number of leaves. A proof walks from a
 * node upwards and takes its sibling at each level where it has one. */
#include "proto/merkle/tree.h"

#include <assert.h>

void tree_init(struct tree *tree)
{
    *tree = (struct tree){0};
}

void tree_leaf_hash(struct crypter *crypter, struct bytes entry, uint8_t hash[DIGEST_SIZE])
{
    static const uint8_t prefix = 0x00;
    struct bytes parts[] = {bytes_of(&prefix, 1), entry};

    crypter_hash(crypter, parts, 2, hash);
}

void tree_node_hash(struct crypter *crypter, const uint8_t left[DIGEST_SIZE],
                    const uint8_t right[DIGEST_SIZE], uint8_t hash[DIGEST_SIZE])
{
    uint8_t node[1 + 2 * DIGEST_SIZE] = {0x01};

    memcpy(node + 1, left, DIGEST_SIZE);
    memcpy(node + 1 + DIGEST_SIZE, right, DIGEST_SIZE);
    crypter_hash1(crypter, bytes_of(node, sizeof node), hash);
}

static bool bit(uint64_t value, unsigned level)
{
    return value >> level & 1;
}

/* Index, at @level, of the complete subtree that bit @level of @size stands for. */
static uint64_t frontier_index(uint64_t size, unsigned level)
{
    return (size >> level) - 1;
}

void tree_append(struct tree *tree, struct crypter *crypter, const uint8_t leaf_hash[DIGEST_SIZE],
                 tree_store_fn *store, void *self)
{
    uint8_t hash[DIGEST_SIZE];
    uint64_t index = tree->size;
    unsigned level = 0;

    assert(tree->size != UINT64_MAX);
    memcpy(hash, leaf_hash, sizeof hash);
    if (store)
        store(self, 0, index, hash);
    for (; bit(tree->size, level); level++) {
        tree_node_hash(crypter, tree->frontier[level], hash, hash);
        index >>= 1;
        if (store)
            store(self, level + 1, index, hash);
    }
    memcpy(tree->frontier[level], hash, sizeof hash);
    tree->size++;
}

void tree_root(const struct tree *tree, struct crypter *crypter, uint8_t root[DIGEST_SIZE])
{
    bool begun = false;

    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if (!bit(tree->size, level))
            continue;
        if (begun)
            tree_node_hash(crypter, tree->frontier[level], root, root);
        else
            memcpy(root, tree->frontier[level], DIGEST_SIZE);
        begun = true;
    }
    if (!begun)
        crypter_hash(crypter, NULL, 0, root);
}

void tree_root_of(struct crypter *crypter, const uint8_t (*leaf_hashes)[DIGEST_SIZE], size_t n,
                  uint8_t root[DIGEST_SIZE])
{
    struct tree tree;

    tree.size = 0; /* a frontier row is written before it is read: no need to clear 2 KiB a batch */
    for (size_t i = 0; i < n; i++)
        tree_append(&tree, crypter, leaf_hashes[i], NULL, NULL);
    tree_root(&tree, crypter, root);
}

/* --- from stored subtrees ------------------------------------------------------------------------------ */

int tree_open(struct tree *tree, uint64_t size, tree_read_fn *read, void *self, struct casebus_error *err)
{
    tree_init(tree);
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        if (bit(size, level) &&
            read(self, level, frontier_index(size, level), tree->frontier[level], err) != 0)
            return -1;
    tree->size = size;
    return 0;
}

/* Hash of the leaves [first, first + count), count > 0, where @first is a multiple of a power of two that is
 * not less than @count. */
static int range_hash(struct crypter *crypter, uint64_t first, uint64_t count, tree_read_fn *read, void *self,
                      uint8_t hash[DIGEST_SIZE], struct casebus_error *err)
{
    uint8_t left[DIGEST_SIZE];
    bool begun = false;

    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        if (!bit(count, level))
            continue;
        uint64_t index = (first >> level) + frontier_index(count, level);
        if (read(self, level, index, begun ? left : hash, err) != 0)
            return -1;
        if (begun)
            tree_node_hash(crypter, left, hash, hash);
        begun = true;
    }
    return 0;
}

int tree_root_at(struct crypter *crypter, uint64_t size, tree_read_fn *read, void *self,
                 uint8_t root[DIGEST_SIZE], struct casebus_error *err)
{
    if (size == 0) {
        crypter_hash(crypter, NULL, 0, root);
        return 0;
    }
    return range_hash(crypter, 0, size, read, self, root, err);
}

/* Appends to @path the siblings met on the way from node (@level, @index) to the root of @size leaves. */
static int path_up(struct crypter *crypter, unsigned level, uint64_t index, uint64_t size, tree_read_fn *read,
                   void *self, uint8_t path[][DIGEST_SIZE], size_t *n_path, struct casebus_error *err)
{
    uint64_t last = (size - 1) >> level;

    for (; last > 0; level++, index >>= 1, last >>= 1) {
        uint64_t sibling = index ^ 1;
        if (sibling > last)
            continue; /* the ragged end moves up as it is */
        uint64_t first = sibling << level;
        uint64_t count = sibling < last ? (uint64_t)1 << level : size - first;
        if (range_hash(crypter, first, count, read, self, path[*n_path], err) != 0)
            return -1;
        (*n_path)++;
    }
    return 0;
}

int tree_inclusion(struct crypter *crypter, uint64_t index, uint64_t size, tree_read_fn *read, void *self,
                   uint8_t path[][DIGEST_SIZE], size_t *n_path, struct casebus_error *err)
{
    assert(index < size);
    *n_path = 0;
    return path_up(crypter, 0, index, size, read, self, path, n_path, err);
}

/* The old tree ends with a complete subtree, of as many leaves as the lowest set bit of its size. The proof
 * is that subtree (when it is not the whole old tree, which the verifier has) and its path in the new tree.
 */
int tree_consistency(struct crypter *crypter, uint64_t old_size, uint64_t new_size, tree_read_fn *read,
                     void *self, uint8_t proof[][DIGEST_SIZE], size_t *n_proof, struct casebus_error *err)
{
    unsigned level = 0;

    assert(old_size <= new_size);
    *n_proof = 0;
    if (old_size == 0 || old_size == new_size)
        return 0;
    while (!bit(old_size, level))
        level++;
    uint64_t index = frontier_index(old_size, level);
    if (index > 0) {
        if (read(self, level, index, proof[0], err) != 0)
            return -1;
        *n_proof = 1;
    }
    return path_up(crypter, level, index, new_size, read, self, proof, n_proof, err);
}

/* --- checks -------------------------------------------------------------------------------------------- */

/* RFC 9162 2.1.3.2. */
bool tree_check_inclusion(struct crypter *crypter, uint64_t index, uint64_t size,
                          const uint8_t leaf_hash[DIGEST_SIZE], const uint8_t *path, size_t n_path,
                          const uint8_t root[DIGEST_SIZE])
{
    uint8_t hash[DIGEST_SIZE];
    uint64_t node = index;
    uint64_t last = size - 1;

    if (index >= size || n_path > TREE_PROOF_MAX)
        return false;
    memcpy(hash, leaf_hash, sizeof hash);
    for (const uint8_t *p = path; n_path > 0; n_path--, p += DIGEST_SIZE) {
        if (last == 0)
            return false;
        if (bit(node, 0) || node == last) {
            tree_node_hash(crypter, p, hash, hash);
            for (; !bit(node, 0) && node != 0; node >>= 1)
                last >>= 1;
        } else
            tree_node_hash(crypter, hash, p, hash);
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(hash, root, sizeof hash) == 0;
}

/* The part of RFC 9162 2.1.4.2 behind the trivial cases; @first is the hash of the old tree's last complete
 * subtree. */
static bool check_growth(struct crypter *crypter, uint64_t old_size, uint64_t new_size,
                         const uint8_t old_root[DIGEST_SIZE], const uint8_t new_root[DIGEST_SIZE],
                         const uint8_t first[DIGEST_SIZE], const uint8_t *proof, size_t n_proof)
{
    uint8_t old_hash[DIGEST_SIZE];
    uint8_t new_hash[DIGEST_SIZE];
    uint64_t node = old_size - 1;
    uint64_t last = new_size - 1;

    for (; bit(node, 0); node >>= 1)
        last >>= 1;
    memcpy(old_hash, first, sizeof old_hash);
    memcpy(new_hash, first, sizeof new_hash);
    for (const uint8_t *p = proof; n_proof > 0; n_proof--, p += DIGEST_SIZE) {
        if (last == 0)
            return false;
        if (bit(node, 0) || node == last) {
            tree_node_hash(crypter, p, old_hash, old_hash);
            tree_node_hash(crypter, p, new_hash, new_hash);
            for (; !bit(node, 0) && node != 0; node >>= 1)
                last >>= 1;
        } else
            tree_node_hash(crypter, new_hash, p, new_hash);
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(old_hash, old_root, sizeof old_hash) == 0 &&
           memcmp(new_hash, new_root, sizeof new_hash) == 0;
}

bool tree_check_consistency(struct crypter *crypter, uint64_t old_size, uint64_t new_size,
                            const uint8_t old_root[DIGEST_SIZE], const uint8_t new_root[DIGEST_SIZE],
                            const uint8_t *proof, size_t n_proof)
{
    uint8_t empty[DIGEST_SIZE];

    if (old_size > new_size || n_proof > TREE_PROOF_MAX + 1)
        return false;
    if (old_size == new_size)
        return n_proof == 0 && memcmp(old_root, new_root, DIGEST_SIZE) == 0;
    if (old_size == 0) {
        crypter_hash(crypter, NULL, 0, empty);
        return n_proof == 0 && memcmp(old_root, empty, sizeof empty) == 0;
    }
    if (n_proof == 0)
        return false;
    if ((old_size & (old_size - 1)) == 0)
        return check_growth(crypter, old_size, new_size, old_root, new_root, old_root, proof, n_proof);
    return check_growth(crypter, old_size, new_size, old_root, new_root, proof, proof + DIGEST_SIZE,
                        n_proof - 1);
}
