#include "hub/backup/backup.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct run {
    const struct backup_options *options;
    struct backup_result *result;
    struct manifest before; /* size 0: this is the first run */
    struct ledger *from, *to;
    struct vault *vault;
    struct checkpoint target;
};

int backup_lock(const char *dest, struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof(path), dest, "lock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dest);
    return file_lock(path, err);
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
    if (run->before.size && ledger_open_any(&run->to, dest, err))
        return -1;
    if (!run->before.size && ledger_open(&run->to, dest, ledger_generations(run->from, &n)->origin, err))
        return -1;
    return 0;
}

/* Erasures change bodies in place: what was copied before is copied again where an order was done since. */
static int ledger_copy(struct run *run, struct casebus_error *err)
{
    uint64_t before = ledger_size(run->to), size = run->target.size;
    struct bytes note = bytes_of_text(run->result->manifest.note);
    if (rows_copy(run->to, run->from, size, run->target.root, run->options->progress, run->options->self,
                  err) ||
        erased_copy(run->to, run->from, run->before.size, size, before, &run->result->erased, err))
        return -1;
    run->result->entries += size - before;
    return ledger_publish(run->to, size, note, err);
}

static int vault_copy(struct run *run, struct casebus_error *err)
{
    struct manifest *manifest = &run->result->manifest;
    struct vault_counts counts;
    uint8_t chance[4];
    char path[PATH_MAX], hex[2 * sizeof(chance) + 1];
    random_bytes(chance, sizeof(chance));
    snprintf(manifest->vault, sizeof(manifest->vault), "vault-%llu-%s", (unsigned long long)manifest->size,
             hex_encode(hex, chance, sizeof(chance)));
    if (path_join(path, sizeof(path), run->options->dest, manifest->vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), run->options->dest);
    if (vault_export(run->vault, path, &counts, err))
        return -1;
    manifest->slots = vault_made(run->vault);
    return 0;
}

/* The hub may erase between the copy of the bodies and that of the keys. Bodies are looked at once more after
 * the keys; where one has changed meanwhile, both are, until nothing has.
 * The copy grows with it, so that it has the order, too, as soon as a checkpoint covers that. */
static int vault_follow(struct run *run, struct casebus_error *err)
{
    for (;;) {
        uint64_t replaced = 0;
        if (vault_copy(run, err) || erased_copy(run->to, run->from, run->before.size, UINT64_MAX,
                                                ledger_size(run->to), &replaced, err))
            return -1;
        if (!replaced)
            return 0;
        run->result->erased += replaced;
        if (target_find(run, err) || ledger_copy(run, err))
            return -1;
    }
}

/* Vaults of former runs go; of a run that was cut short, too. */
static int vaults_remove(const struct run *run, struct casebus_error *err)
{
    const char *dest = run->options->dest;
    DIR *folder = opendir(dest);
    if (!folder)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dest);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(folder));) {
        char path[PATH_MAX];
        bool old = strncmp(entry->d_name, "vault-", 6) == 0 &&
                   strcmp(entry->d_name, run->result->manifest.vault) != 0;
        if (old && (path_join(path, sizeof(path), dest, entry->d_name) || unlink(path)))
            r = error_set_errno(err, errno, _("cannot remove '%s'"), entry->d_name);
    }
    closedir(folder);
    return r ? -1 : dir_sync(dest, err);
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
    if (manifest_read(&run->before, options->dest, err) < 0 ||
        ledger_open_readonly(&run->from, options->dir, err) || target_find(run, err) || dest_open(run, err) ||
        ledger_copy(run, err) || vault_open_readonly(&run->vault, options->dir, options->kek, err) ||
        vault_follow(run, err) || files_copy(options->dir, options->dest, err) ||
        manifest_write(manifest, options->dest, err))
        return -1;
    return vaults_remove(run, err);
}

int backup_run(const struct backup_options *options, struct backup_result *result, struct casebus_error *err)
{
    struct run run = {.options = options, .result = result};
    *result = (struct backup_result){.entries = 0};
    if (dir_make(options->dest, err))
        return -1;
    int lock = backup_lock(options->dest, err);
    if (lock < 0)
        return -1;
    int r = run_all(&run, err);
    vault_close(run.vault);
    ledger_close(run.to);
    ledger_close(run.from);
    close(lock);
    return r;
}
