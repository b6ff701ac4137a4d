/* Record: a group, a claim and their bytes. Private to this folder.
 *
 *   both   format u32, partition u32, epoch u64
 *   group  number u64, hub time i64, first position u64, tree size u64, root 32, entries u32,
 *          then for each entry: leaf length u32, body length u32, leaf, body
 *
 * Little-endian. The hash of the record before and the checksum are the segment log's. */
#ifndef JOURNAL_RECORD_H
#define JOURNAL_RECORD_H

#include "hub/journal/journal.h"

#include <sys/uio.h>

#define CLAIM_SIZE      16
#define GROUP_HEAD_SIZE (CLAIM_SIZE + 4 * 8 + DIGEST_SIZE + 4)
#define ENTRY_HEAD_SIZE 8
#define GROUP_PARTS(n)  (1 + 3 * (n))

/* Bytes that the group takes, or more than JOURNAL_GROUP_MAX. */
size_t group_size(const struct journal_group *group);
/* Gathers the group into GROUP_PARTS(n_entries) parts; @head and @lengths (ENTRY_HEAD_SIZE for each entry)
 * are filled in and pointed into. */
void group_encode(const struct journal_group *group, uint32_t partition, uint8_t head[GROUP_HEAD_SIZE],
                  uint8_t *lengths, struct iovec *parts);
void claim_encode(uint8_t out[CLAIM_SIZE], uint32_t partition, uint64_t epoch);

/* All but the entries. */
int group_decode_head(struct bytes payload, uint32_t partition, struct journal_group *group,
                      struct casebus_error *err);
/* The whole group, copied into @arena. */
int group_decode(struct bytes payload, uint32_t partition, struct arena *arena, struct journal_group *group,
                 struct casebus_error *err);
int claim_decode(struct bytes payload, uint32_t partition, uint64_t *epoch, struct casebus_error *err);

#endif
