/* Tree: the RFC 6962 Merkle tree of the exchange ledger. leaf = H(0x00 ‖ entry), node = H(0x01 ‖ left ‖
 * right).
 *
 * A complete subtree of 2^level leaves that starts at index * 2^level has one hash for ever: (level, index).
 * The tree is kept as those hashes; roots and proofs are put together from them. The code here holds no
 * hashes but the frontier (one for each set bit of the size); older ones are asked from a reader. */
#ifndef MERKLE_TREE_H
#define MERKLE_TREE_H

#include "proto/crypto/suite.h"

#define TREE_LEVELS    64
#define TREE_PROOF_MAX 64 /* hashes in an inclusion path; a consistency proof has at most one more */

struct tree {
    uint64_t size;
    uint8_t frontier[TREE_LEVELS][DIGEST_SIZE]; /* [level] is set where bit `level` of size is set */
};

void tree_init(struct tree *tree);
void tree_leaf_hash(struct crypter *crypter, struct bytes entry, uint8_t hash[DIGEST_SIZE]);
void tree_node_hash(struct crypter *crypter, const uint8_t left[DIGEST_SIZE],
                    const uint8_t right[DIGEST_SIZE], uint8_t hash[DIGEST_SIZE]);
/* Adds a leaf. @store (may be NULL) is called for the leaf (level 0) and every subtree that it completes,
 * upwards. */
typedef void tree_store_fn(void *self, unsigned level, uint64_t index, const uint8_t hash[DIGEST_SIZE]);
void tree_append(struct tree *tree, struct crypter *crypter, const uint8_t leaf_hash[DIGEST_SIZE],
                 tree_store_fn *store, void *self);
/* The empty tree's root is H(""). */
void tree_root(const struct tree *tree, struct crypter *crypter, uint8_t root[DIGEST_SIZE]);

/* Reader of complete subtrees' hashes. Returns 0, or -1 with @err. */
typedef int tree_read_fn(void *self, unsigned level, uint64_t index, uint8_t hash[DIGEST_SIZE],
                         struct casebus_error *err);
/* Frontier of the first @size leaves, for opening a ledger. */
int tree_open(struct tree *tree, uint64_t size, tree_read_fn *read, void *self, struct casebus_error *err);
/* Root of the first @size leaves. */
int tree_root_at(struct crypter *crypter, uint64_t size, tree_read_fn *read, void *self,
                 uint8_t root[DIGEST_SIZE], struct casebus_error *err);
/* Inclusion path of leaf @index in the tree of @size leaves (RFC 6962 2.1.1). @n_path is set. */
int tree_inclusion(struct crypter *crypter, uint64_t index, uint64_t size, tree_read_fn *read, void *self,
                   uint8_t path[][DIGEST_SIZE], size_t *n_path, struct casebus_error *err);
/* Consistency proof from @old_size to @new_size (RFC 6962 2.1.2); empty when either is 0 or they are equal.
 */
int tree_consistency(struct crypter *crypter, uint64_t old_size, uint64_t new_size, tree_read_fn *read,
                     void *self, uint8_t proof[][DIGEST_SIZE], size_t *n_proof, struct casebus_error *err);

/* The two checks a stranger makes (RFC 9162 2.1.3.2 and 2.1.4.2). @path holds n_path * 32 bytes from outside.
 */
bool tree_check_inclusion(struct crypter *crypter, uint64_t index, uint64_t size,
                          const uint8_t leaf_hash[DIGEST_SIZE], const uint8_t *path, size_t n_path,
                          const uint8_t root[DIGEST_SIZE]);
bool tree_check_consistency(struct crypter *crypter, uint64_t old_size, uint64_t new_size,
                            const uint8_t old_root[DIGEST_SIZE], const uint8_t new_root[DIGEST_SIZE],
                            const uint8_t *proof, size_t n_proof);
/* Root over @n leaf hashes that are all at hand (a batch's events). */
void tree_root_of(struct crypter *crypter, const uint8_t (*leaf_hashes)[DIGEST_SIZE], size_t n,
                  uint8_t root[DIGEST_SIZE]);

#endif
