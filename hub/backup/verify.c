/* Whether a backup is what it says: every leaf is hashed and the tree made again, every body names a slot
 * that the copied vault has, every slot is whole. What is sealed is not opened: the key is elsewhere. */
#include "hub/backup/backup.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <limits.h>

struct bodies {
    struct arena arena;
    uint64_t slots;
};

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
    if (body->slot <= bodies->slots)
        return 0;
    return error_set(
        err, CASEBUS_DAMAGED, _("entry %llu is sealed under slot %llu, but the copy of the vault has %llu"),
        (unsigned long long)position, (unsigned long long)body->slot, (unsigned long long)bodies->slots);
}

static int slots_check(const char *dest, const struct manifest *manifest, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct vault_counts counts;
    if (path_join(path, sizeof(path), dest, manifest->vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    if (vault_export_survey(path, &counts, err))
        return -1;
    if (counts.keys + counts.erased + counts.damaged != manifest->slots)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' has not the %llu slots that the backup names"), path,
                         (unsigned long long)manifest->slots);
    if (counts.damaged)
        return error_set(err, CASEBUS_DAMAGED, _("'%s': %llu slots are damaged"), path,
                         (unsigned long long)counts.damaged);
    return 0;
}

static int ledger_check(const char *dest, const struct manifest *manifest,
                        const struct checkpoint *checkpoint, rows_progress_fn *progress, void *self,
                        struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    struct bodies bodies = {.slots = manifest->slots};
    if (ledger_open_readonly(&ledger, dest, err))
        return -1;
    arena_init(&bodies.arena, 64 * 1024, 16 * 1024 * 1024);
    int r = rows_check(ledger, checkpoint->size, checkpoint->root, body_look, &bodies, progress, self, err);
    arena_deinit(&bodies.arena);
    ledger_close(ledger);
    return r;
}

int backup_check(const char *dest, struct manifest *manifest, rows_progress_fn *progress, void *self,
                 struct casebus_error *err)
{
    struct checkpoint checkpoint;
    int there = manifest_read(manifest, dest, err);
    if (there < 0)
        return -1;
    if (!there) {
        error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no backup that was completed"), dest);
        return error_hint(err, _("make one: casebus-hub backup DIR %s"), dest);
    }
    if (manifest_checkpoint(manifest, &checkpoint, err) ||
        ledger_check(dest, manifest, &checkpoint, progress, self, err))
        return -1;
    return slots_check(dest, manifest, err);
}
