#include "hub/stores.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_TRIES    40
#define LOCK_PAUSE_US 50000
#define VAULT_AHEAD   8192 /* slots ready; a keeper's round brings at most about as many new cases */

static int remove_state(const char *dir, struct casebus_error *err)
{
    static const char *const names[] = {"state/data.mdb", "state/lock.mdb"};
    char path[PATH_MAX];
    for (size_t i = 0; i < 2; i++) {
        if (path_join(path, sizeof(path), dir, names[i]))
            return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
        if (unlink(path) && errno != ENOENT)
            return error_set_errno(err, errno, _("%s: cannot remove"), path);
    }
    if (path_join(path, sizeof(path), dir, "state") == 0 && rmdir(path) && errno != ENOENT)
        return error_set_errno(err, errno, _("%s: cannot remove"), path);
    return 0;
}

/* A command of the operator holds the lock for a moment when it finds no hub running. */
static int lock_patiently(const char *path, struct casebus_error *err)
{
    int lock = file_lock(path, err);
    for (int tries = 0; lock < 0 && err->code == CASEBUS_LOCKED && tries < LOCK_TRIES; tries++) {
        usleep(LOCK_PAUSE_US);
        lock = file_lock(path, err);
    }
    return lock;
}

static int lock_dir(struct stores *stores, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof(path), dir, "hub.yaml"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (access(path, R_OK)) {
        int reason = errno;
        error_set_errno(err, reason, "%s", path);
        if (reason == EACCES)
            return error_hint(err,
                              _("run it as the user who made it: a hub's files are for its owner alone"));
        return error_hint(err, _("make a hub with `casebus-hub init %s --origin NAME`"), dir);
    }
    if (settings_read(&stores->settings, path, err))
        return -1;
    stores->suite = suite_by_name(stores->settings.suite);
    path_join(path, sizeof(path), dir, "lock");
    stores->lock = lock_patiently(path, err);
    return stores->lock < 0 ? -1 : 0;
}

/* What is derived can always be made again. */
static int state_open_or_say(struct state **statep, const char *dir, struct casebus_error *err)
{
    if (state_open(statep, dir, err) == 0)
        return 0;
    if (err->code == CASEBUS_DAMAGED && !err->hint[0])
        error_hint(err, _("make it again from the ledger: casebus-hub rebuild %s"), dir);
    return -1;
}

int stores_lock(struct stores *stores, const char *dir, struct casebus_error *err)
{
    memset(stores, 0, sizeof(*stores));
    stores->lock = -1;
    return lock_dir(stores, dir, err);
}

int stores_open(struct stores *stores, const char *dir, bool fresh_state, const struct log *log,
                struct casebus_error *err)
{
    unsigned mended = 0;
    if (stores_lock(stores, dir, err) ||
        hub_keys_load(&stores->keys, dir, stores->suite, stores->settings.origin, err) ||
        vault_open(&stores->vault, dir, stores->suite, stores->keys.kek, VAULT_AHEAD, &mended, err) ||
        hub_kek_settle(dir, err) || journal_open(&stores->journal, dir, 0, err) ||
        ledger_open(&stores->ledger, dir, stores->settings.origin, err) ||
        (fresh_state && remove_state(dir, err)) || state_open_or_say(&stores->state, dir, err)) {
        stores_close(stores);
        return -1;
    }
    secured_read(&stores->secured, dir, ledger_size(stores->ledger));
    if (mended)
        log_warning(log, "VAULT-MENDED",
                    _("%u vault slots were damaged in one copy and mended from the other"), mended);
    return 0;
}

void stores_close(struct stores *stores)
{
    stores->state = state_close(stores->state);
    stores->ledger = ledger_close(stores->ledger);
    stores->journal = journal_close(stores->journal);
    stores->vault = vault_close(stores->vault);
    hub_keys_deinit(&stores->keys);
    if (stores->lock >= 0)
        close(stores->lock);
    stores->lock = -1;
}

int stores_replay(struct stores *stores, const struct log *log,
                  void (*on_progress)(void *self, uint64_t done, uint64_t total), void *self,
                  struct replay_result *result, struct casebus_error *err)
{
    const struct replay_options options = {
        .suite = stores->suite,
        .origin = stores->settings.origin,
        .content_key = stores->keys.content,
        .journal = stores->journal,
        .ledger = stores->ledger,
        .state = stores->state,
        .vault = stores->vault,
        .on_progress = on_progress,
        .self = self,
    };
    if (replay_run(&options, result, err))
        return -1;
    if (result->from_journal || result->applied)
        log_notice(log, "REPLAYED",
                   _n("%llu entry came from the journal, %llu were applied to the state",
                      "%llu entries came from the journal, %llu were applied to the state",
                      result->from_journal),
                   (unsigned long long)result->from_journal, (unsigned long long)result->applied);
    return vault_prepare(stores->vault, err);
}

static int note_make(struct stores *stores, struct ledger_view *view, char note[NOTE_MAX],
                     struct casebus_error *err)
{
    struct checkpoint checkpoint = {.size = ledger_view_size(view)};
    struct crypter *crypter = crypter_new(stores->suite);
    if (!crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
    snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", stores->settings.origin);
    int r = tree_root_at(crypter, checkpoint.size, ledger_view_hash, view, checkpoint.root, err);
    crypter_free(crypter);
    if (!r && checkpoint_sign(note, NOTE_MAX, &checkpoint, checkpoint.origin, stores->keys.log, err) < 0)
        r = -1;
    return r;
}

static bool is_published(struct ledger_view *view)
{
    struct bytes note;
    struct checkpoint newest;
    return ledger_view_checkpoint(view, ledger_view_size(view), &note, NULL) == 0 &&
           checkpoint_parse(&newest, note, NULL) == 0 && newest.size == ledger_view_size(view);
}

int stores_publish(struct stores *stores, struct casebus_error *err)
{
    char note[NOTE_MAX] = "";
    struct ledger_view *view = NULL;
    if (ledger_view_open(&view, stores->ledger, err))
        return -1;
    uint64_t size = ledger_view_size(view);
    bool due = size && !is_published(view);
    int r = due ? note_make(stores, view, note, err) : 0;
    ledger_view_close(view);
    return !r && due ? ledger_publish(stores->ledger, size, bytes_of_text(note), err) : r;
}
