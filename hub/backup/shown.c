#include "hub/backup/shown.h"

#include "hub/backup/rows.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

#include <string.h>

/* Of two generations the later one was shown later, whatever its size. */
static bool is_newer(const struct checkpoint *a, const struct checkpoint *b)
{
    if (b->size == 0)
        return true;
    if (strcmp(a->origin, b->origin) == 0)
        return a->size > b->size;
    return origin_follows(a->origin, b->origin);
}

static int not_ours(struct casebus_error *err)
{
    error_set(err, CASEBUS_SIGNATURE, _("it was not signed by this hub's log key"));
    return error_hint(err,
                      _("give a file with a checkpoint of this hub: DIR/checkpoint of one of its nodes, or "
                        "what a witness keeps"));
}

/* The same key signs for every generation, each time under the name of its origin. */
static int note_read(struct checkpoint *read, struct bytes note, const char *origin,
                     const struct signing_key *log_key, struct casebus_error *err)
{
    char vkey[VKEY_MAX];
    struct note_verifier verifier = {.verifier = NULL};
    struct checkpoint claimed;
    if (checkpoint_parse(&claimed, note, err))
        return -1;
    if (!origin_valid(claimed.origin) ||
        !(origin_follows(claimed.origin, origin) || origin_follows(origin, claimed.origin)) ||
        note_vkey_format(vkey, sizeof(vkey), claimed.origin, signing_key_public(log_key)) < 0)
        return not_ours(err);
    int r = note_verifier_init(&verifier, vkey, err);
    if (!r && checkpoint_check(read, note, &verifier, err))
        r = not_ours(err);
    note_verifier_deinit(&verifier);
    return r;
}

int shown_add(struct shown *shown, struct bytes note, const char *origin, const struct signing_key *log_key,
              struct casebus_error *err)
{
    struct checkpoint read = {.size = 0};
    if (note.size >= sizeof(shown->note))
        return error_set(err, CASEBUS_TOO_LARGE, _("a checkpoint of %zu bytes is too large"), note.size);
    if (note_read(&read, note, origin, log_key, err))
        return -1;
    if (!is_newer(&read, &shown->checkpoint))
        return 0;
    shown->checkpoint = read;
    memcpy(shown->note, note.data, note.size);
    shown->note[note.size] = '\0';
    return 0;
}

int shown_read(struct shown *shown, const char *path, const char *origin, const struct signing_key *log_key,
               struct casebus_error *err)
{
    struct buffer note;
    int r = file_read(path, NOTE_MAX, &note, err);
    if (!r && shown_add(shown, bytes_of(note.data, note.size), origin, log_key, err))
        r = error_context(err, _("the checkpoint '%s'"), path);
    buffer_deinit(&note);
    return r;
}

int shown_compare(const struct shown *shown, struct ledger *ledger, struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    const struct checkpoint *checkpoint = &shown->checkpoint;
    if (checkpoint->size == 0 || checkpoint->size > ledger_size(ledger))
        return 0;
    if (rows_root(ledger, checkpoint->size, root, err))
        return -1;
    if (memcmp(root, checkpoint->root, DIGEST_SIZE) == 0)
        return 0;
    error_set(err, CASEBUS_CONSISTENCY,
              _("the backup is not the beginning of what was shown to others: its first %llu entries have "
                "another root than the checkpoint of '%s' that they hold"),
              (unsigned long long)checkpoint->size, checkpoint->origin);
    return error_hint(err,
                      _("either this is the backup of another ledger, or it or the ledger was altered; keep "
                        "both, and use another backup"));
}
