/* Published checkpoints, from the newest to the oldest: signed by the log's key, and with the root of the
 * entries. The tree hashes that the roots are put together from have been compared with the entries before.
 */
#include "hub/verify/internal.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

static int checkpoint_root_check(struct verify *verify, const struct checkpoint *checkpoint,
                                 struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    if (tree_root_at(verify->crypter, checkpoint->size, ledger_view_hash, verify->view, root, err))
        return -1;
    if (memcmp(root, checkpoint->root, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_CONSISTENCY, _("it was signed for other entries than these"));
    return 0;
}

/* The newest one at or below @size. 1: checked, @size is set to its own; 0: there is none; -1: it is wrong.
 */
static int checkpoint_next(struct verify *verify, const struct note_verifier *verifier, uint64_t *size,
                           struct casebus_error *err)
{
    struct bytes note;
    struct checkpoint checkpoint;
    struct casebus_error why = {0};
    if (ledger_view_checkpoint(verify->view, *size, &note, &why)) {
        *err = why;
        return why.code == CASEBUS_NOT_FOUND ? 0 : -1;
    }
    if (checkpoint_check(&checkpoint, note, verifier, err))
        return -1;
    if (checkpoint.size > *size)
        return error_set(err, CASEBUS_CONSISTENCY, _("it is of size %llu and filed under a smaller one"),
                         (unsigned long long)checkpoint.size);
    *size = checkpoint.size;
    return checkpoint_root_check(verify, &checkpoint, err) ? -1 : 1;
}

int verify_checkpoints(struct verify *verify, struct casebus_error *err)
{
    struct note_verifier verifier = {0};
    uint64_t size = verify->size;
    int r = note_verifier_init(&verifier, verify->log_key, err);
    if (r)
        return error_context(err, _("the log's key"));
    while ((r = verify_view_fresh(verify, err)) == 0 &&
           (r = checkpoint_next(verify, &verifier, &size, err)) > 0) {
        verify->result->checkpoints++;
        if (size-- == 0)
            break;
    }
    note_verifier_deinit(&verifier);
    if (r < 0)
        return error_context(err, _("the checkpoint at or below size %llu"), (unsigned long long)size);
    *err = (struct casebus_error){0};
    return 0;
}
