/* What of the copy only grows is written in place: rows behind the former end are nothing to the former
 * manifest. The vault is a new file each time, and so is each paper that has changed. Erased contents are
 * what has to change, and they change in the one transaction that makes all of it count (changes.h,
 * manifest.h). */
#include "hub/backup/backup.h"

#include "hub/backup/changes.h"
#include "hub/backup/wrapped.h"
#include "hub/ledger/outside.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES_MAX 16

struct run {
    const struct backup_options *options;
    struct backup_result *result;
    struct manifest before; /* size 0: this is the first run */
    struct ledger *from, *to;
    struct checkpoint target;
    struct changes changes;
};

static int dest_lock(const char *dest, bool shared, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof(path), dest, "lock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return shared ? file_lock_shared(path, err) : file_lock(path, err);
}

int backup_lock_shared(const char *dest, struct casebus_error *err)
{
    return dest_lock(dest, true, err);
}

/* The newest checkpoint that the hub has published. */
static int target_find(struct run *run, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct note_verifier verifier = {.verifier = NULL};
    struct manifest *manifest = &run->result->manifest;
    struct bytes note;
    if (ledger_view_open(&view, run->from, err))
        return -1;
    int r = ledger_view_checkpoint(view, ledger_view_size(view), &note, err);
    if (r && err->code == CASEBUS_NOT_FOUND)
        error_set(err, CASEBUS_NOT_FOUND, _("the ledger in '%s' is empty: there is nothing to copy yet"),
                  run->options->dir);
    if (!r)
        r = note_verifier_init(&verifier, run->options->log_key, err);
    if (!r)
        r = checkpoint_check(&run->target, note, &verifier, err);
    if (!r && note.size >= sizeof(manifest->note))
        r = error_set(err, CASEBUS_TOO_LARGE, _("a checkpoint of %zu bytes is too large"), note.size);
    if (!r) {
        memcpy(manifest->note, note.data, note.size);
        manifest->note[note.size] = '\0';
        manifest->size = run->target.size;
    }
    note_verifier_deinit(&verifier);
    ledger_view_close(view);
    return r;
}

/* Made when this is the first run. */
static int dest_open(struct run *run, struct casebus_error *err)
{
    size_t n;
    const char *dest = run->options->dest;
    if (ledger_open_any(&run->to, dest, err) == 0)
        return 0;
    if (run->before.size || err->code != CASEBUS_NOT_FOUND)
        return -1;
    return ledger_open(&run->to, dest, ledger_generations(run->from, &n)->origin, err);
}

/* Contents as they are now: an erasure at the hub changes what was copied before. */
static int ledger_copy(struct run *run, struct casebus_error *err)
{
    uint64_t before = ledger_size(run->to), size = run->target.size;
    struct bytes note = bytes_of_text(run->result->manifest.note);
    if (rows_copy(run->to, run->from, size, run->target.root, run->options->progress, run->options->self,
                  err))
        return -1;
    run->result->entries += size - before;
    return ledger_publish(run->to, size, note, err);
}

/* Opened anew each time: it has grown. */
static int vault_copy(struct run *run, struct casebus_error *err)
{
    struct manifest *manifest = &run->result->manifest;
    struct vault *vault = NULL;
    struct vault_counts counts;
    uint8_t chance[4];
    char path[PATH_MAX], hex[2 * sizeof(chance) + 1];
    random_bytes(chance, sizeof(chance));
    snprintf(manifest->vault, sizeof(manifest->vault), "vault-%llu-%s", (unsigned long long)manifest->size,
             hex_encode(hex, chance, sizeof(chance)));
    if (path_join(path, sizeof(path), run->options->dest, manifest->vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), run->options->dest);
    if (vault_open_readonly(&vault, run->options->dir, run->options->suite, run->options->kek, err))
        return -1;
    manifest->slots = vault_made(vault);
    manifest->has_vault_digest = true;
    int r = vault_export(vault, path, &counts, err) ||
            wrapped_digest(run->options->suite, path, manifest->vault_digest, err);
    vault_close(vault);
    return r ? -1 : 0;
}

/* Vaults but for @kept go: of former runs, and of one that was cut short. */
static int vaults_remove(const struct run *run, const char *kept, struct casebus_error *err)
{
    const char *dest = run->options->dest;
    DIR *folder = opendir(dest);
    if (!folder)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dest);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(folder));) {
        char path[PATH_MAX];
        bool old = strncmp(entry->d_name, "vault-", 6) == 0 && strcmp(entry->d_name, kept) != 0;
        if (old && (path_join(path, sizeof(path), dest, entry->d_name) || unlink(path)))
            r = error_set_errno(err, errno, _("cannot remove '%s'"), entry->d_name);
    }
    closedir(folder);
    return r ? -1 : dir_sync(dest, err);
}

/* Entries first, keys second, and then a look at what was erased: a slot that is destroyed in the copied
 * vault was so after its contents were, which is seen. The orders for that have to be in the copy, too, and
 * nothing may change until the copy does. 1: the copy is the new one; 0: there is more to be done. */
static int copy_try(struct run *run, struct casebus_error *err)
{
    struct manifest *manifest = &run->result->manifest;
    struct changes *changes = &run->changes;
    changes_deinit(changes);
    if (vaults_remove(run, run->before.vault, err) || target_find(run, err) || ledger_copy(run, err) ||
        vault_copy(run, err) ||
        changes_find(changes, run->to, run->from, run->before.orders_from, manifest->size, err))
        return -1;
    if (changes->beyond)
        return 0;
    manifest->orders_from = changes->orders_from;
    run->result->erased = changes->n;
    if (manifest_propose(manifest, run->options->dest, err))
        return -1;
    return changes_make(changes, run->to, run->from, manifest->vault, err);
}

static int copy_make_new(struct run *run, struct casebus_error *err)
{
    int made = 0;
    for (unsigned i = 0; made == 0 && i < TRIES_MAX; i++)
        made = copy_try(run, err);
    if (made)
        return made < 0 ? -1 : 0;
    error_set(
        err, CASEBUS_BUSY,
        _("the hub erases content all the time: after %d tries the copy and its keys are not of one moment"),
        TRIES_MAX);
    return error_hint(err,
                      _("the former backup is as it was; give the command again when the erasures are done "
                        "(casebus erasure list)"));
}

static void time_put(char out[32])
{
    struct tm tm;
    time_t now = time(NULL);
    if (!gmtime_r(&now, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "?");
}

static int run_all(struct run *run, struct casebus_error *err)
{
    const struct backup_options *options = run->options;
    struct manifest *manifest = &run->result->manifest;
    snprintf(manifest->origin, sizeof(manifest->origin), "%s", options->origin);
    snprintf(manifest->log_key, sizeof(manifest->log_key), "%s", options->log_key);
    time_put(manifest->made_at);
    if (manifest_settle(options->dest, err) || manifest_read(&run->before, options->dest, err) < 0 ||
        ledger_open_readonly(&run->from, options->dir, err) || target_find(run, err) || dest_open(run, err) ||
        papers_copy(&manifest->papers, options->suite, options->dir, options->dest, err) ||
        copy_make_new(run, err) || manifest_settle(options->dest, err))
        return -1;
    return vaults_remove(run, manifest->vault, err) || papers_sweep(&manifest->papers, options->dest, err)
               ? -1
               : 0;
}

int backup_run(const struct backup_options *options, struct backup_result *result, struct casebus_error *err)
{
    struct run run = {.options = options, .result = result};
    *result = (struct backup_result){.entries = 0};
    if (outside_hub(options->dest, err) || dir_make(options->dest, err))
        return -1;
    int lock = dest_lock(options->dest, false, err);
    if (lock < 0)
        return -1;
    int r = run_all(&run, err);
    changes_deinit(&run.changes);
    manifest_deinit(&run.before);
    ledger_close(run.to);
    ledger_close(run.from);
    close(lock);
    return r;
}
