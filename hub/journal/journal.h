/* Journal: the commit point. Everything that is ever acknowledged crosses it, a group at a time.
 *
 * This header is the seam of architecture §7: append, read, claim, trim. The back-end of today is local
 * segments (proto/base/seglog); a replicated one takes the same groups. A group is on disk when
 * journal_append returns 0; only then may anything be signed, acknowledged or delivered. The ledger and the
 * state follow behind and are made again from here after a crash. */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "proto/base/arena.h"
#include "proto/crypto/suite.h"

#define JOURNAL_FORMAT    1
#define JOURNAL_GROUP_MAX ((size_t)16 << 20) /* bytes of a group as it is written */

struct journal_entry {
    struct bytes leaf; /* serialised LedgerEntry */
    struct bytes body; /* serialised SealedBody, or empty */
};

struct journal_group {
    uint64_t epoch;  /* of the writer that claimed the journal */
    uint64_t number; /* from 1, without gaps */
    int64_t hub_time_us;
    uint64_t first_position; /* of entries[0] in the ledger */
    uint64_t tree_size;      /* with this group: first_position + n_entries */
    uint8_t root[DIGEST_SIZE];
    const struct journal_entry *entries;
    size_t n_entries;
};

struct journal;

/* Opens DIR/journal (made when missing). @partition is 0 until ledgers are split. CASEBUS_LOCKED when another
 * process has it open. */
int journal_open(struct journal **journalp, const char *dir, uint32_t partition, struct casebus_error *err);
struct journal *journal_close(struct journal *journal);
/* Begins a new epoch, greater than any before: a writer that lost its claim can append nothing more. Nothing
 * can be appended before the first claim. */
int journal_claim(struct journal *journal, uint64_t *epochp, struct casebus_error *err);
/* Appends the group and returns when it is on disk. That it follows the one before in epoch, number and
 * position is checked (CASEBUS_INTERNAL). CASEBUS_DISK_FULL and CASEBUS_TOO_LARGE: nothing was appended, it
 * can be tried again unless the disk failed in between (then the next answer says so). */
int journal_append(struct journal *journal, const struct journal_group *group, struct casebus_error *err);
/* Number of the newest group; 0: none. Any thread. */
uint64_t journal_last(const struct journal *journal);
/* Size of the tree with the newest group; 0: none. Any thread. */
uint64_t journal_tree_size(const struct journal *journal);
/* Writes a closing record when the newest record is a group, so that damage to it is told from a torn write.
 */
int journal_idle(struct journal *journal, struct casebus_error *err);
/* Groups whose entries all lie below @position are no longer needed: the ledger's sync covers them. The
 * newest group always stays. Any thread. */
int journal_trim(struct journal *journal, uint64_t position, struct casebus_error *err);
/* Zero-fills spare segments ahead; slow, from the keeper's thread, which ends before journal_close. */
int journal_prepare(struct journal *journal, struct casebus_error *err);
uint64_t journal_used(const struct journal *journal); /* bytes not yet trimmed; any thread */

/* Reads groups from the first one that holds an entry at or above @position, up to the newest at this moment;
 * it begins above @position when that was trimmed. It may be used by another thread than the appender, as
 * long as nothing is trimmed that it still has to read, and is closed before the journal. */
struct journal_reader;
int journal_reader_open(struct journal_reader **readerp, struct journal *journal, uint64_t position,
                        struct casebus_error *err);
/* 1: @group is filled in, its memory in @arena (which is reset first); 0: end; -1: failure. */
int journal_reader_next(struct journal_reader *reader, struct arena *arena, struct journal_group *group,
                        struct casebus_error *err);
struct journal_reader *journal_reader_close(struct journal_reader *reader);

#endif
