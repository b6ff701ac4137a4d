/* Whether a backup is what it says: every paper has its digest, every leaf is hashed and the tree made again,
 * every body names a slot that the copied vault has, every slot is whole. What is sealed is not opened: the
 * key is elsewhere. */
#include "hub/backup/backup.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct bodies {
    struct arena arena;
    uint64_t slots;
    uint64_t *erased; /* slots, rising */
    size_t n_erased, capacity;
};

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Whether the slot was destroyed, but not what is sealed under it. */
static bool left_behind(const struct bodies *bodies, const Casebus__V1__SealedBody *body)
{
    if (!bodies->n_erased ||
        !bsearch(&body->slot, bodies->erased, bodies->n_erased, sizeof(*bodies->erased), by_number))
        return false;
    for (size_t i = 0; i < body->n_item; i++)
        if (!body_item_erased(body, i))
            return true;
    return false;
}

static int body_look(void *self, uint64_t position, struct bytes leaf, struct bytes sealed,
                     struct casebus_error *err)
{
    struct bodies *bodies = self;
    arena_reset(&bodies->arena);
    if (!entry_decode(leaf, &bodies->arena, err))
        return error_context(err, _("entry %llu of the ledger"), (unsigned long long)position);
    if (!sealed.size)
        return 0;
    Casebus__V1__SealedBody *body = body_decode(sealed, &bodies->arena, err);
    if (!body)
        return error_context(err, _("the content of entry %llu"), (unsigned long long)position);
    if (left_behind(bodies, body)) {
        error_set(err, CASEBUS_DAMAGED,
                  _("the content of entry %llu was destroyed at the hub, but its sealed bytes are still in "
                    "the copy"),
                  (unsigned long long)position);
        return error_hint(err, _("run casebus-hub backup again with this directory"));
    }
    if (body->slot <= bodies->slots)
        return 0;
    return error_set(
        err, CASEBUS_DAMAGED, _("entry %llu is sealed under slot %llu, but the copy of the vault has %llu"),
        (unsigned long long)position, (unsigned long long)body->slot, (unsigned long long)bodies->slots);
}

static int on_erased(void *self, uint64_t slot, struct casebus_error *err)
{
    struct bodies *bodies = self;
    if (bodies->n_erased == bodies->capacity) {
        size_t wanted = bodies->capacity ? 2 * bodies->capacity : 64;
        uint64_t *erased = realloc(bodies->erased, wanted * sizeof(*erased));
        if (!erased)
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
        bodies->erased = erased;
        bodies->capacity = wanted;
    }
    bodies->erased[bodies->n_erased++] = slot;
    return 0;
}

static int slots_check(struct bodies *bodies, const char *dest, const struct manifest *manifest,
                       struct casebus_error *err)
{
    char path[PATH_MAX];
    struct vault_counts counts;
    if (path_join(path, sizeof(path), dest, manifest->vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    if (vault_export_survey(path, &counts, on_erased, bodies, err))
        return -1;
    if (counts.keys + counts.erased + counts.damaged != manifest->slots)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' has not the %llu slots that the backup names"), path,
                         (unsigned long long)manifest->slots);
    if (counts.damaged)
        return error_set(err, CASEBUS_DAMAGED,
                         _n("'%s': %llu slot is damaged", "'%s': %llu slots are damaged", counts.damaged),
                         path, (unsigned long long)counts.damaged);
    return 0;
}

static int ledger_check(struct bodies *bodies, const char *dest, const struct checkpoint *checkpoint,
                        rows_progress_fn *progress, void *self, struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    if (ledger_open_readonly(&ledger, dest, err))
        return -1;
    int r = rows_check(ledger, checkpoint->size, checkpoint->root, body_look, bodies, progress, self, err);
    ledger_close(ledger);
    return r;
}

/* The manifest and what it lists, without ledger and vault. */
static int head_check(const char *dest, struct manifest *manifest, struct casebus_error *err)
{
    int there = manifest_read(manifest, dest, err);
    if (there < 0)
        return -1;
    if (!there) {
        error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no backup that was completed"), dest);
        return error_hint(err, _("make one: casebus-hub backup DIR %s"), dest);
    }
    return papers_check(&manifest->papers, dest, err);
}

static int copy_check(const char *dest, struct manifest *manifest, rows_progress_fn *progress, void *self,
                      struct casebus_error *err)
{
    struct checkpoint checkpoint;
    struct bodies bodies = {.n_erased = 0};
    if (head_check(dest, manifest, err))
        return -1;
    bodies.slots = manifest->slots;
    arena_init(&bodies.arena, 64 * 1024, 16 * 1024 * 1024);
    int r = manifest_checkpoint(manifest, &checkpoint, err) || slots_check(&bodies, dest, manifest, err) ||
            ledger_check(&bodies, dest, &checkpoint, progress, self, err);
    arena_deinit(&bodies.arena);
    free(bodies.erased);
    return r ? -1 : 0;
}

int backup_check(const char *dest, struct manifest *manifest, rows_progress_fn *progress, void *self,
                 struct casebus_error *err)
{
    *manifest = (struct manifest){.size = 0};
    int lock = backup_lock(dest, err);
    if (lock < 0)
        return -1;
    int r = copy_check(dest, manifest, progress, self, err);
    close(lock);
    return r;
}

int backup_glance(const char *dest, struct manifest *manifest, struct casebus_error *err)
{
    char path[PATH_MAX];
    *manifest = (struct manifest){.size = 0};
    if (path_join(path, sizeof(path), dest, "lock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    int lock = open(path, O_RDONLY | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK) {
        close(lock);
        return 0;
    }
    int r = head_check(dest, manifest, err);
    if (lock >= 0)
        close(lock);
    return r ? -1 : 1;
}
