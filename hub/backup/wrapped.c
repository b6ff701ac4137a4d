#include "hub/backup/wrapped.h"

#include "hub/backup/grown.h"

#include "hub/vault/vault.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE         (1024u * 1024)
#define LEAVES_A_LOOK 4096 /* a read transaction lives no longer */

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool among(const uint64_t *numbers, size_t n, uint64_t number)
{
    return n > 0 && bsearch(&number, numbers, n, sizeof(*numbers), by_number);
}

/* --- the file ------------------------------------------------------------------------------------------- */

/* Bytes read, fewer at the end alone; -1. */
static ssize_t piece_read(int fd, uint8_t *piece)
{
    size_t size = 0;
    while (size < PIECE) {
        ssize_t n = read(fd, piece + size, PIECE - size);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0)
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)size;
}

static int chain(int fd, const struct suite *suite, uint8_t *piece, uint8_t digest[DIGEST_SIZE])
{
    ssize_t n;
    memset(digest, 0, DIGEST_SIZE);
    while ((n = piece_read(fd, piece)) > 0) {
        const struct bytes parts[] = {bytes_of(digest, DIGEST_SIZE), bytes_of(piece, (size_t)n)};
        suite_hash(suite, parts, 2, digest);
    }
    return n < 0 ? -1 : 0;
}

int wrapped_digest(const struct suite *suite, const char *path, uint8_t digest[DIGEST_SIZE],
                   struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, _("cannot open '%s'"), path);
    uint8_t *piece = malloc(PIECE);
    int r = piece ? chain(fd, suite, piece, digest) : -1;
    if (r)
        r = piece ? error_set_errno(err, errno, _("cannot read '%s'"), path) : no_memory(err);
    free(piece);
    close(fd);
    return r;
}

static int vault_path(char path[PATH_MAX], const char *dest, const struct manifest *manifest,
                      struct casebus_error *err)
{
    if (path_join(path, PATH_MAX, dest, manifest->vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return 0;
}

static int another_copy_hint(struct casebus_error *err)
{
    return error_hint(err, _("casebus-hub backup, given again, copies it anew; when the hub is lost, take "
                             "another copy of this backup, or restore with --leave-damaged: what the ledger "
                             "says is destroyed is destroyed then, too"));
}

int wrapped_check(const char *dest, const struct manifest *manifest, struct casebus_error *err)
{
    char path[PATH_MAX];
    uint8_t digest[DIGEST_SIZE];
    if (!manifest->has_vault_digest)
        return 0;
    if (vault_path(path, dest, manifest, err) || wrapped_digest(manifest->papers.suite, path, digest, err))
        return -1;
    if (memcmp(digest, manifest->vault_digest, DIGEST_SIZE) == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED,
              _("'%s' is not the copy of the vault that was made: it is damaged, or an "
                "older one"),
              path);
    return another_copy_hint(err);
}

/* --- slots ---------------------------------------------------------------------------------------------- */

static int on_erased(void *self, uint64_t slot, struct casebus_error *err)
{
    struct wrapped *wrapped = self;
    if (grown(&wrapped->erased, wrapped->n_erased, &wrapped->erased_capacity, sizeof(*wrapped->erased), err))
        return -1;
    wrapped->erased[wrapped->n_erased++] = slot;
    return 0;
}

/* Slots before the digest: of one that is damaged the number is told. */
int wrapped_read(struct wrapped *wrapped, const char *dest, const struct manifest *manifest,
                 struct casebus_error *err)
{
    struct vault_counts counts;
    *wrapped = (struct wrapped){.n_erased = 0};
    if (vault_path(wrapped->path, dest, manifest, err) ||
        vault_export_survey(wrapped->path, &counts, on_erased, wrapped, err))
        return -1;
    if (counts.keys + counts.erased + counts.damaged != manifest->slots)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' has not the %llu slots that the backup names"),
                         wrapped->path, (unsigned long long)manifest->slots);
    if (counts.damaged)
        return error_set(err, CASEBUS_DAMAGED,
                         _n("'%s': %llu slot is damaged", "'%s': %llu slots are damaged", counts.damaged),
                         wrapped->path, (unsigned long long)counts.damaged);
    return wrapped_check(dest, manifest, err);
}

void wrapped_deinit(struct wrapped *wrapped)
{
    free(wrapped->erased);
    free(wrapped->ordered);
    free(wrapped->done);
    *wrapped = (struct wrapped){.n_erased = 0};
}

bool wrapped_erased(const struct wrapped *wrapped, uint64_t slot)
{
    return among(wrapped->erased, wrapped->n_erased, slot);
}

/* --- the ledger's word ---------------------------------------------------------------------------------- */

static int hear_order(struct wrapped *wrapped, uint64_t position, const Casebus__V1__ErasureOrdered *ordered,
                      struct casebus_error *err)
{
    for (size_t i = 0; i < ordered->n_slot; i++) {
        if (grown(&wrapped->ordered, wrapped->n_ordered, &wrapped->ordered_capacity,
                  sizeof(*wrapped->ordered), err))
            return -1;
        wrapped->ordered[wrapped->n_ordered++] = (struct wrapped_order){position, ordered->slot[i]};
    }
    return 0;
}

static int hear_done(struct wrapped *wrapped, const Casebus__V1__ErasureDone *done, struct casebus_error *err)
{
    for (size_t i = 0; i < done->n_ordered; i++) {
        if (grown(&wrapped->done, wrapped->n_done, &wrapped->done_capacity, sizeof(*wrapped->done), err))
            return -1;
        wrapped->done[wrapped->n_done++] = done->ordered[i];
    }
    return 0;
}

int wrapped_hear(struct wrapped *wrapped, uint64_t position, const Casebus__V1__LedgerEntry *entry,
                 struct casebus_error *err)
{
    if (entry->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        return 0;
    if (entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED)
        return hear_order(wrapped, position, entry->act->erasure_ordered, err);
    return entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE
               ? hear_done(wrapped, entry->act->erasure_done, err)
               : 0;
}

struct hearing {
    struct wrapped *wrapped;
    struct arena arena;
    struct casebus_error *err;
};

static int on_leaf(void *self, uint64_t position, struct bytes leaf)
{
    struct hearing *hearing = self;
    arena_reset(&hearing->arena);
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &hearing->arena, hearing->err);
    if (!entry)
        return error_context(hearing->err, _("entry %llu of the ledger"), (unsigned long long)position);
    return wrapped_hear(hearing->wrapped, position, entry, hearing->err);
}

int wrapped_hear_all(struct wrapped *wrapped, struct ledger *ledger, struct casebus_error *err)
{
    struct hearing hearing = {.wrapped = wrapped, .err = err};
    struct ledger_view *view = NULL;
    if (ledger_view_open(&view, ledger, err))
        return -1;
    arena_init(&hearing.arena, 64 * 1024, 16 * 1024 * 1024);
    uint64_t size = ledger_view_size(view);
    int r = 0;
    for (uint64_t at = 0; !r && at < size; at += LEAVES_A_LOOK) {
        size_t n = size - at < LEAVES_A_LOOK ? (size_t)(size - at) : LEAVES_A_LOOK;
        r = ledger_view_renew(view, err) || ledger_view_leaves(view, at, n, on_leaf, &hearing, err);
    }
    arena_deinit(&hearing.arena);
    ledger_view_close(view);
    return r ? -1 : 0;
}

int wrapped_judge(struct wrapped *wrapped, struct casebus_error *err)
{
    size_t n = 0;
    if (wrapped->n_done)
        qsort(wrapped->done, wrapped->n_done, sizeof(*wrapped->done), by_number);
    for (size_t i = 0; i < wrapped->n_ordered; i++)
        if (among(wrapped->done, wrapped->n_done, wrapped->ordered[i].position) &&
            !wrapped_erased(wrapped, wrapped->ordered[i].slot))
            wrapped->ordered[n++] = wrapped->ordered[i];
    wrapped->n_ordered = n;
    if (n == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED,
              _("'%s' is an older copy of the vault: it still has the key in slot %llu, which entry %llu "
                "ordered to be destroyed, and the ledger says that it was"),
              wrapped->path, (unsigned long long)wrapped->ordered[0].slot,
              (unsigned long long)wrapped->ordered[0].position);
    return another_copy_hint(err);
}
