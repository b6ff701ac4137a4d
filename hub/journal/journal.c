/* The front of the journal: what a group is, that one follows the other, and where to begin reading.
 *
 * Groups are numbered by themselves, apart from the records of the back-end. To find the record for a
 * position, a mark is kept in memory for about every mebibyte; reading begins at the mark before, trimming
 * ends at it. One mutex orders the writer and the keeper's trimming; what others may ask is kept in atomics
 * beside it. */
#include "hub/journal/journal.h"

#include "hub/journal/backend.h"
#include "hub/journal/record.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MARK_EVERY ((size_t)1 << 20)

/* All groups before this record lie below this position. */
struct mark {
    uint64_t record;
    uint64_t position;
};

struct journal {
    const struct journal_backend *backend;
    void *self;
    uint32_t partition;
    pthread_mutex_t lock;
    uint64_t epoch;   /* the greatest ever seen */
    bool claimed;     /* it is ours */
    struct mark last; /* the newest group: its record and first position */
    struct mark *marks;
    size_t n_marks, marks_room;
    size_t since_mark; /* bytes of groups */
    atomic_uint_fast64_t last_group, tree_size, used;

    struct iovec *parts; /* room to gather a group of n_gather entries */
    uint8_t *lengths;
    size_t n_gather;
};

struct journal_reader {
    struct journal *journal;
    void *self;
    uint64_t position;
    uint64_t number, tree_size; /* of the group before; number 0: none was read */
};

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the journal"));
}

static bool marks_reserve(struct journal *journal)
{
    if (journal->n_marks < journal->marks_room)
        return true;
    size_t room = journal->marks_room ? journal->marks_room * 2 : 64;
    struct mark *marks = realloc(journal->marks, room * sizeof *marks);
    if (!marks)
        return false;
    journal->marks = marks;
    journal->marks_room = room;
    return true;
}

/* Takes note of a group that stands in record @record; room for a mark was reserved. */
static void group_note(struct journal *journal, const struct journal_group *group, uint64_t record,
                       size_t size)
{
    journal->last = (struct mark){record, group->first_position};
    if (journal->n_marks == 0 || journal->since_mark >= MARK_EVERY) {
        journal->marks[journal->n_marks++] = journal->last;
        journal->since_mark = 0;
    }
    journal->since_mark += size;
    atomic_store_explicit(&journal->last_group, group->number, memory_order_release);
    atomic_store_explicit(&journal->tree_size, group->tree_size, memory_order_release);
}

static void used_note(struct journal *journal)
{
    atomic_store_explicit(&journal->used, journal->backend->used(journal->self), memory_order_relaxed);
}

uint64_t journal_last(const struct journal *journal)
{
    return atomic_load_explicit(&journal->last_group, memory_order_acquire);
}

uint64_t journal_tree_size(const struct journal *journal)
{
    return atomic_load_explicit(&journal->tree_size, memory_order_acquire);
}

uint64_t journal_used(const struct journal *journal)
{
    return atomic_load_explicit(&journal->used, memory_order_relaxed);
}

/* --- opening ------------------------------------------------------------------------------------------- */

static int follows_not(const struct journal_group *group, struct casebus_error *err)
{
    return error_set(err, CASEBUS_DAMAGED, _("group %llu of the journal does not follow the one before it"),
                     (unsigned long long)group->number);
}

static int record_note(struct journal *journal, const struct journal_record *record,
                       struct casebus_error *err)
{
    struct journal_group group;
    uint64_t epoch;

    if (claim_decode(record->payload, journal->partition, &epoch, err) != 0)
        return -1;
    if (epoch > journal->epoch)
        journal->epoch = epoch;
    if (record->kind != JOURNAL_GROUP)
        return 0;
    if (group_decode_head(record->payload, journal->partition, &group, err) != 0)
        return -1;
    if (journal_last(journal) > 0 &&
        (group.number != journal_last(journal) + 1 || group.first_position != journal_tree_size(journal)))
        return follows_not(&group, err);
    if (!marks_reserve(journal))
        return no_memory(err);
    group_note(journal, &group, record->number, record->payload.size);
    return 0;
}

/* Looks at all that is there once: where groups stand, the newest one, the greatest epoch. */
static int journal_scan(struct journal *journal, struct casebus_error *err)
{
    struct journal_record record;
    void *reader;
    int r;

    if (journal->backend->reader_open(&reader, journal->self, 1, err) != 0)
        return -1;
    while ((r = journal->backend->reader_next(reader, &record, err)) == 1)
        if (record_note(journal, &record, err) != 0) {
            r = -1;
            break;
        }
    journal->backend->reader_close(reader);
    used_note(journal);
    return r;
}

int journal_open(struct journal **journalp, const char *dir, uint32_t partition, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof path, dir, "journal") != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return no_memory(err);
    journal->backend = &journal_segments;
    journal->partition = partition;
    pthread_mutex_init(&journal->lock, NULL);
    if (journal->backend->open(&journal->self, path, err) != 0 || journal_scan(journal, err) != 0) {
        journal_close(journal);
        return -1;
    }
    *journalp = journal;
    return 0;
}

struct journal *journal_close(struct journal *journal)
{
    if (!journal)
        return NULL;
    if (journal->self)
        journal->backend->close(journal->self);
    pthread_mutex_destroy(&journal->lock);
    free(journal->marks);
    free(journal->parts);
    free(journal->lengths);
    free(journal);
    return NULL;
}

/* --- appending ----------------------------------------------------------------------------------------- */

static int claim_locked(struct journal *journal, struct casebus_error *err)
{
    uint8_t claim[CLAIM_SIZE];
    struct iovec part = {claim, sizeof claim};
    uint64_t epoch = journal->epoch + 1;

    claim_encode(claim, journal->partition, epoch);
    if (journal->backend->append(journal->self, JOURNAL_CLAIM, epoch, &part, 1, NULL, err) != 0)
        return -1;
    journal->epoch = epoch;
    journal->claimed = true;
    used_note(journal);
    return 0;
}

int journal_claim(struct journal *journal, uint64_t *epochp, struct casebus_error *err)
{
    pthread_mutex_lock(&journal->lock);
    int r = claim_locked(journal, err);
    *epochp = journal->epoch;
    pthread_mutex_unlock(&journal->lock);
    return r;
}

static int group_check(const struct journal *journal, const struct journal_group *group,
                       struct casebus_error *err)
{
    uint64_t last = journal_last(journal);
    if (!journal->claimed || group->epoch != journal->epoch)
        return error_set(err, CASEBUS_INTERNAL,
                         _("group %llu of epoch %llu comes to a journal of epoch %llu"),
                         (unsigned long long)group->number, (unsigned long long)group->epoch,
                         (unsigned long long)journal->epoch);
    if (group->number != last + 1)
        return error_set(err, CASEBUS_INTERNAL, _("group %llu cannot follow group %llu in the journal"),
                         (unsigned long long)group->number, (unsigned long long)last);
    if (group->tree_size != group->first_position + group->n_entries ||
        (last > 0 && group->first_position != journal_tree_size(journal)))
        return error_set(
            err, CASEBUS_INTERNAL, _("group %llu, entries %llu to %llu, does not follow entry %llu"),
            (unsigned long long)group->number, (unsigned long long)group->first_position,
            (unsigned long long)group->tree_size, (unsigned long long)journal_tree_size(journal));
    return 0;
}

static bool gather_reserve(struct journal *journal, size_t n)
{
    if (n <= journal->n_gather)
        return true;
    n += n / 2;
    struct iovec *parts = realloc(journal->parts, GROUP_PARTS(n) * sizeof *parts);
    if (parts)
        journal->parts = parts;
    uint8_t *lengths = realloc(journal->lengths, n * ENTRY_HEAD_SIZE);
    if (lengths)
        journal->lengths = lengths;
    if (!parts || !lengths)
        return false;
    journal->n_gather = n;
    return true;
}

static int append_locked(struct journal *journal, const struct journal_group *group,
                         struct casebus_error *err)
{
    uint8_t head[GROUP_HEAD_SIZE];
    uint64_t record;
    size_t size = group_size(group);

    if (group_check(journal, group, err) != 0)
        return -1;
    if (size > JOURNAL_GROUP_MAX)
        return error_set(err, CASEBUS_TOO_LARGE, _("group %llu is larger than %zu bytes"),
                         (unsigned long long)group->number, JOURNAL_GROUP_MAX);
    if (!gather_reserve(journal, group->n_entries + 1) || !marks_reserve(journal))
        return no_memory(err);
    group_encode(group, journal->partition, head, journal->lengths, journal->parts);
    if (journal->backend->append(journal->self, JOURNAL_GROUP, group->epoch, journal->parts,
                                 (int)GROUP_PARTS(group->n_entries), &record, err) != 0)
        return -1;
    group_note(journal, group, record, size);
    used_note(journal);
    return 0;
}

int journal_append(struct journal *journal, const struct journal_group *group, struct casebus_error *err)
{
    pthread_mutex_lock(&journal->lock);
    int r = append_locked(journal, group, err);
    pthread_mutex_unlock(&journal->lock);
    return r;
}

int journal_idle(struct journal *journal, struct casebus_error *err)
{
    pthread_mutex_lock(&journal->lock);
    int r = journal->backend->idle(journal->self, err);
    pthread_mutex_unlock(&journal->lock);
    return r;
}

/* --- trimming and reading ------------------------------------------------------------------------------ */

/* Index of the last mark at or below @position; there is one mark at least. */
static size_t mark_find(const struct journal *journal, uint64_t position)
{
    size_t i = journal->n_marks - 1;
    while (i > 0 && journal->marks[i].position > position)
        i--;
    return i;
}

static void marks_drop(struct journal *journal, size_t n)
{
    journal->n_marks -= n;
    memmove(journal->marks, journal->marks + n, journal->n_marks * sizeof *journal->marks);
}

static int trim_locked(struct journal *journal, uint64_t position, struct casebus_error *err)
{
    if (journal->n_marks == 0)
        return 0;
    if (position >= journal->last.position) { /* all but the newest group */
        journal->marks[0] = journal->last;
        journal->n_marks = 1;
        journal->since_mark = 0;
    } else
        marks_drop(journal, mark_find(journal, position));
    if (journal->backend->trim(journal->self, journal->marks[0].record, err) != 0)
        return -1;
    used_note(journal);
    return 0;
}

int journal_trim(struct journal *journal, uint64_t position, struct casebus_error *err)
{
    pthread_mutex_lock(&journal->lock);
    int r = trim_locked(journal, position, err);
    pthread_mutex_unlock(&journal->lock);
    return r;
}

int journal_prepare(struct journal *journal, struct casebus_error *err)
{
    return journal->backend->prepare(journal->self, err);
}

int journal_reader_open(struct journal_reader **readerp, struct journal *journal, uint64_t position,
                        struct casebus_error *err)
{
    struct journal_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return no_memory(err);
    reader->journal = journal;
    reader->position = position;
    pthread_mutex_lock(&journal->lock);
    uint64_t record = journal->n_marks ? journal->marks[mark_find(journal, position)].record : 1;
    int r = journal->backend->reader_open(&reader->self, journal->self, record, err);
    pthread_mutex_unlock(&journal->lock);
    if (r != 0) {
        free(reader);
        return -1;
    }
    *readerp = reader;
    return 0;
}

/* The next record that holds a group. */
static int next_group(struct journal_reader *reader, struct journal_record *record, struct casebus_error *err)
{
    int r;
    do
        r = reader->journal->backend->reader_next(reader->self, record, err);
    while (r == 1 && record->kind != JOURNAL_GROUP);
    return r;
}

int journal_reader_next(struct journal_reader *reader, struct arena *arena, struct journal_group *group,
                        struct casebus_error *err)
{
    struct journal_record record;
    int r;

    do {
        arena_reset(arena);
        if ((r = next_group(reader, &record, err)) != 1)
            return r;
        if (group_decode(record.payload, reader->journal->partition, arena, group, err) != 0)
            return -1;
        if (reader->number > 0 &&
            (group->number != reader->number + 1 || group->first_position != reader->tree_size))
            return follows_not(group, err);
        reader->number = group->number;
        reader->tree_size = group->tree_size;
    } while (group->tree_size <= reader->position);
    return 1;
}

struct journal_reader *journal_reader_close(struct journal_reader *reader)
{
    if (!reader)
        return NULL;
    reader->journal->backend->reader_close(reader->self);
    free(reader);
    return NULL;
}
