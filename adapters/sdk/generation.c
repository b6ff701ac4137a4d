#include "adapters/sdk/generation.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/merkle/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_FORMAT "casebus-generation/1\norigin %s\n"

enum { FILE_MAX = 256 };

/* --- what was adopted ----------------------------------------------------------------------------------- */

/* The same log key, under the name of a later generation. */
static int origin_set(struct enrolment *enrolment, const char *origin, struct casebus_error *err)
{
    char vkey[VKEY_MAX];
    struct note_verifier verifier = {.verifier = NULL};
    if (note_vkey_format(vkey, sizeof vkey, origin, &enrolment->log.key) < 0 ||
        note_verifier_init(&verifier, vkey, err) != 0)
        return error_set(err, CASEBUS_KEY, _("the hub's log key cannot stand under the name '%s'"), origin);
    note_verifier_deinit(&enrolment->log);
    enrolment->log = verifier;
    strcpy(enrolment->origin, origin);
    return 0;
}

static int file_path(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    if (path_join(path, PATH_MAX, dir, name) != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    return 0;
}

/* Where the generation's number begins. */
static const char *number_of(const char *origin)
{
    return strrchr(origin, '/') + 1;
}

/* A checkpoint of an earlier generation proves what that one had shown: it is never thrown away. */
static int note_move(const char *dir, const char *name, const char *origin, struct casebus_error *err)
{
    char path[PATH_MAX], folder[PATH_MAX], kept[PATH_MAX], file[64];
    struct buffer note;
    struct checkpoint old;
    if (file_path(path, dir, name, err) != 0 || file_path(folder, dir, "evidence", err) != 0)
        return -1;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(path, NOTE_MAX, &note, err);
    bool earlier = r == 0 && checkpoint_parse(&old, bytes_of(note.data, note.size), NULL) == 0 &&
                   origin_valid(old.origin) && strcmp(old.origin, origin) != 0 &&
                   origin_follows(origin, old.origin);
    buffer_deinit(&note);
    if (r != 0 || !earlier)
        return r;
    snprintf(file, sizeof file, "%s-generation-%.9s", name, number_of(old.origin));
    if (dir_make(folder, err) != 0 || file_path(kept, folder, file, err) != 0)
        return -1;
    if (rename(path, kept) != 0)
        return error_set_errno(err, errno, _("cannot rename '%s'"), path);
    return dir_sync(folder, err);
}

static int notes_move(const char *dir, const char *origin, struct casebus_error *err)
{
    return note_move(dir, "checkpoint", origin, err) != 0 || note_move(dir, "cosigned", origin, err) != 0 ? -1
                                                                                                          : 0;
}

static int file_apply(struct enrolment *enrolment, const char *path, struct casebus_error *err)
{
    char origin[ORIGIN_MAX] = "";
    struct buffer text;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(path, FILE_MAX, &text, err);
    if (r == 0 && (sscanf((const char *)text.data, "casebus-generation/1\norigin %63[^\n]\n", origin) != 1 ||
                   !origin_valid(origin)))
        r = error_set(err, CASEBUS_DAMAGED, _("'%s' does not tell a generation of the hub"), path);
    buffer_deinit(&text);
    /* A node that was enrolled anew since may know a later one. */
    return r == 0 && origin_follows(origin, enrolment->origin) ? origin_set(enrolment, origin, err) : r;
}

int generation_load(struct enrolment *enrolment, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (file_path(path, dir, "generation", err) != 0 || file_apply(enrolment, path, err) != 0)
        return -1;
    return notes_move(dir, enrolment->origin, err);
}

/* --- what the hub says ---------------------------------------------------------------------------------- */

static int unproved(const char *what, struct casebus_error *err)
{
    return error_set(err, CASEBUS_HUB_IDENTITY,
                     _("the hub says that it goes on under another generation: %s"), what);
}

/* The log key of @enrolment under the name @origin. */
static bool same_key(const char *vkey, const char *origin, const struct enrolment *enrolment)
{
    char expected[VKEY_MAX];
    return note_vkey_format(expected, sizeof expected, origin, &enrolment->log.key) > 0 &&
           strcmp(expected, vkey) == 0;
}

static bool note_holds(struct checkpoint *checkpoint, ProtobufCBinaryData note, const char *origin,
                       const struct enrolment *enrolment)
{
    char vkey[VKEY_MAX];
    struct note_verifier verifier = {.verifier = NULL};
    bool good = note.len <= NOTE_MAX &&
                note_vkey_format(vkey, sizeof vkey, origin, &enrolment->log.key) > 0 &&
                note_verifier_init(&verifier, vkey, NULL) == 0 &&
                checkpoint_check(checkpoint, bytes_of(note.data, note.len), &verifier, NULL) == 0;
    note_verifier_deinit(&verifier);
    return good;
}

static const Casebus__V1__LedgerOpened *opened_get(const Casebus__V1__Generation *sent, struct arena *arena,
                                                   struct casebus_error *err)
{
    const Casebus__V1__LedgerEntry *entry =
        entry_decode(bytes_of(sent->opened_entry.data, sent->opened_entry.len), arena, err);
    if (!entry)
        return NULL;
    if (entry->content_case == CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT &&
        entry->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
        return entry->act->ledger_opened;
    unproved(_("its proof is not an entry that opens one"), err);
    return NULL;
}

/* The hub's is the one that is opened or a later one, and that one is later than ours and than the one before
 * it in the tree. */
static int names_check(const Casebus__V1__LedgerOpened *opened, const char *ours, const char *hubs,
                       const struct enrolment *enrolment, struct casebus_error *err)
{
    if (!origin_valid(opened->origin) || !origin_valid(opened->previous_origin) || !origin_valid(hubs) ||
        !origin_follows(opened->origin, ours) || strcmp(opened->origin, ours) == 0 ||
        !origin_follows(opened->origin, opened->previous_origin) ||
        strcmp(opened->origin, opened->previous_origin) == 0 || !origin_follows(hubs, opened->origin))
        return unproved(_("it is not one that follows the generation that this node knows"), err);
    if (!same_key(opened->log_key, opened->origin, enrolment))
        return unproved(_("it names another log key"), err);
    return 0;
}

static int inclusion_check(const Casebus__V1__Generation *sent, const struct checkpoint *now,
                           struct crypter *crypter, struct casebus_error *err)
{
    uint8_t path[TREE_PROOF_MAX + 1][DIGEST_SIZE], leaf[DIGEST_SIZE];
    tree_leaf_hash(crypter, bytes_of(sent->opened_entry.data, sent->opened_entry.len), leaf);
    if (sent->position < now->size && hashes_join(path, sent->inclusion, sent->n_inclusion) &&
        tree_check_inclusion(crypter, sent->position, now->size, leaf, path[0], sent->n_inclusion, now->root))
        return 0;
    return error_set(err, CASEBUS_INCLUSION,
                     _("the entry that opens the hub's generation is not at position %" PRIu64
                       " of the tree that the hub signed"),
                     sent->position);
}

/* What this node was shown of the tree before must still be in it, as far as that is not lost. */
static int witness_compare(const struct generation *generation, const Casebus__V1__Welcome *welcome,
                           const struct checkpoint *now, const struct witness *witness,
                           struct casebus_error *err)
{
    const struct checkpoint *old = &witness->newest;
    if (old->size == 0 || old->size > generation->position ||
        checkpoint_grown(witness->crypter, old, now, welcome->checkpoint))
        return 0;
    error_set(err, CASEBUS_CONSISTENCY,
              _("the restored hub's tree of %" PRIu64 " entries is not an extension of that of %" PRIu64
                " entries that it signed before"),
              now->size, old->size);
    return error_hint(err, _("keep this node's directory as it is, and tell whoever oversees the hub"));
}

/* What others had been shown: of this hub, and of a generation before the one that is opened. */
static bool shown_take(struct generation *generation, const Casebus__V1__LedgerOpened *opened,
                       const struct enrolment *enrolment)
{
    struct checkpoint claimed;
    struct bytes note = bytes_of(opened->previous_checkpoint.data, opened->previous_checkpoint.len);
    return checkpoint_parse(&claimed, note, NULL) == 0 && origin_valid(claimed.origin) &&
           origin_follows(opened->origin, claimed.origin) && strcmp(opened->origin, claimed.origin) != 0 &&
           note_holds(&generation->shown, opened->previous_checkpoint, claimed.origin, enrolment);
}

int generation_check(struct generation *generation, const Casebus__V1__Welcome *welcome,
                     const struct enrolment *enrolment, const struct witness *witness, struct arena *arena,
                     struct casebus_error *err)
{
    struct checkpoint now;
    const Casebus__V1__Generation *sent = welcome->generation;
    const Casebus__V1__LedgerOpened *opened = opened_get(sent, arena, err);
    *generation = (struct generation){.position = sent->position};
    if (!opened || names_check(opened, enrolment->origin, welcome->origin, enrolment, err) != 0)
        return -1;
    strcpy(generation->origin, welcome->origin);
    if (!welcome->checkpoint || !note_holds(&now, welcome->checkpoint->note, welcome->origin, enrolment))
        return error_set(err, CASEBUS_SIGNATURE,
                         _("the checkpoint of the hub's generation is not signed by its "
                           "log key"));
    if (inclusion_check(sent, &now, witness->crypter, err) != 0)
        return -1;
    if (opened->previous_checkpoint.len > 0 && !shown_take(generation, opened, enrolment))
        return unproved(_("the checkpoint of the generation before is not signed by its log key"), err);
    return witness_compare(generation, welcome, &now, witness, err);
}

int generation_adopt(const struct generation *generation, struct enrolment *enrolment, const char *dir,
                     struct witness *witness, struct confirmed *confirmed, struct casebus_error *err)
{
    char path[PATH_MAX], text[FILE_MAX];
    int n = snprintf(text, sizeof text, FILE_FORMAT, generation->origin);
    if (witness_save(witness, err) != 0 || file_path(path, dir, "generation", err) != 0 ||
        file_write(path, bytes_of(text, (size_t)n), 0600, err) != 0 ||
        origin_set(enrolment, generation->origin, err) != 0 || notes_move(dir, enrolment->origin, err) != 0)
        return -1;
    witness->newest = (struct checkpoint){.size = 0};
    witness->note_size = 0;
    confirmed->newest = (struct checkpoint){.size = 0};
    confirmed->newest_at_s = 0;
    return 0;
}
