/* Whether a backup is what it says: every paper has its digest, every leaf is hashed and the tree made again,
 * every body names a slot that the copied vault has, every slot is whole, and destroyed if the ledger says
 * so. What is sealed is not opened: the key is elsewhere. */
#include "hub/backup/backup.h"
#include "hub/backup/wrapped.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"

#include <limits.h>
#include <unistd.h>

struct bodies {
    struct arena arena;
    uint64_t slots;
    struct wrapped wrapped;
};

/* Whether the slot was destroyed, but not what is sealed under it. */
static bool left_behind(const struct bodies *bodies, const Casebus__V1__SealedBody *body)
{
    if (!wrapped_erased(&bodies->wrapped, body->slot))
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
    const Casebus__V1__LedgerEntry *entry = entry_decode(leaf, &bodies->arena, err);
    if (!entry || wrapped_hear(&bodies->wrapped, position, entry, err))
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

static int ledger_check(struct bodies *bodies, const char *dest, const struct checkpoint *checkpoint,
                        rows_progress_fn *progress, void *self, struct casebus_error *err)
{
    struct ledger *ledger = NULL;
    if (ledger_open_still(&ledger, dest, err))
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
    struct bodies bodies = {.slots = 0};
    if (head_check(dest, manifest, err))
        return -1;
    bodies.slots = manifest->slots;
    arena_init(&bodies.arena, 64 * 1024, 16 * 1024 * 1024);
    int r = manifest_checkpoint(manifest, &checkpoint, err) ||
            wrapped_read(&bodies.wrapped, dest, manifest, err) ||
            ledger_check(&bodies, dest, &checkpoint, progress, self, err) ||
            wrapped_judge(&bodies.wrapped, err);
    arena_deinit(&bodies.arena);
    wrapped_deinit(&bodies.wrapped);
    return r ? -1 : 0;
}

int backup_check(const char *dest, struct manifest *manifest, rows_progress_fn *progress, void *self,
                 struct casebus_error *err)
{
    *manifest = (struct manifest){.size = 0};
    int lock = backup_lock_shared(dest, err);
    if (lock < 0)
        return -1;
    int r = copy_check(dest, manifest, progress, self, err);
    close(lock);
    return r;
}

int backup_glance(const char *dest, struct manifest *manifest, struct casebus_error *err)
{
    *manifest = (struct manifest){.size = 0};
    int lock = backup_lock_shared(dest, err);
    if (lock < 0)
        return err->code == CASEBUS_LOCKED ? 0 : -1;
    int r = head_check(dest, manifest, err) || wrapped_check(dest, manifest, err);
    close(lock);
    return r ? -1 : 1;
}
