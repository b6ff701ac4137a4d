/* casebus-hub backup, restore. The room hub/backup does the work; here it is told where the hub's keys are,
 * and the hub is asked, if it runs, to catch up before and to keep in mind afterwards what is secured. */
#include "hub/backup/backup.h"
#include "hub/backup/phone.h"
#include "hub/backup/restore.h"
#include "hub/hub.h"
#include "hub/ledger/outside.h"
#include "hub/ledger/secured.h"
#include "hub/progress.h"
#include "hub/stores.h"
#include "hub/witness/notary.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/secret_file.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AUDITORS_FILE_MAX (64 * 1024)

/* A hub that does not run: its ledger is brought up to its journal, and a checkpoint says so. */
static int catch_up(const char *dir, struct log *log, struct casebus_error *err)
{
    struct stores stores;
    struct replay_result replayed;
    if (stores_open(&stores, dir, false, log, err))
        return -1;
    int r = stores_replay(&stores, log, NULL, NULL, &replayed, err) || stores_publish(&stores, err);
    stores_close(&stores);
    return r ? -1 : 0;
}

static int keys_open(struct hub_keys *keys, struct settings *settings, const char *dir,
                     struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof(path), dir, "hub.yaml"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (settings_read(settings, path, err))
        return -1;
    return hub_keys_load(keys, dir, suite_by_name(settings->suite), settings->origin, err);
}

/* A path that is no UTF-8 cannot be told. */
static char *secured_body(const struct secured *secured)
{
    json_int_t size = (json_int_t)secured->size;
    json_t *json = json_pack("{s:I, s:s}", "size", size, "dest", secured->dest);
    json = json ? json : json_pack("{s:I}", "size", size);
    char *body = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    return body;
}

static int secured_tell(const char *dir, bool running, uint64_t size, const char *dest,
                        struct casebus_error *err)
{
    struct secured secured = {.size = size, .at_us = clock_unix_us()};
    int r = 0;
    if (!realpath(dest, secured.dest))
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dest);
    if (running) {
        char *body = secured_body(&secured);
        r = phone_post(dir, "/v1/secured", body ? body : "{}", err);
        free(body);
    }
    return r == 0 ? secured_write(dir, &secured, err) : r > 0 ? 0 : -1;
}

static int backup(const char *dir, const char *dest, struct log *log, struct backup_result *result,
                  struct casebus_error *err)
{
    struct hub_keys keys = {.log = NULL};
    struct settings settings;
    int running = phone_post(dir, "/v1/barrier", NULL, err);
    if (running < 0 || (!running && catch_up(dir, log, err)) || keys_open(&keys, &settings, dir, err))
        return -1;
    const struct backup_options options = {.dir = dir,
                                           .dest = dest,
                                           .origin = settings.origin,
                                           .log_key = keys.log_vkey,
                                           .suite = keys.suite,
                                           .kek = keys.kek,
                                           .progress = progress_show};
    int r = backup_run(&options, result, err);
    progress_end();
    hub_keys_deinit(&keys);
    return r ? -1 : secured_tell(dir, running, result->manifest.size, dest, err);
}

/* Said each time, where cron sends it on: nobody may find it out after a loss. */
static void not_copied_tell(void *self, const char *path)
{
    (void)self;
    fprintf(stderr,
            _("casebus-hub: '%s' is not in the backup: only ordinary files of up to 1 MiB are copied. If it "
              "is needed, make it one; else keep it elsewhere.\n"),
            path);
}

int hub_backup(const char *dir, const char *dest, struct log *log, struct casebus_error *err)
{
    struct backup_result result = {.entries = 0};
    if (backup(dir, dest, log, &result, err) || papers_not_copied(dir, not_copied_tell, NULL, err)) {
        manifest_deinit(&result.manifest);
        return -1;
    }
    printf(_n("The backup in %s holds %" PRIu64 " entry; %" PRIu64 " are new, %" PRIu64
              " erased contents were erased in it, too.\nThe keys are not in it: keep a copy of %s/keys on "
              "another medium.\n",
              "The backup in %s holds %" PRIu64 " entries; %" PRIu64 " are new, %" PRIu64
              " erased contents were erased in it, too.\n"
              "The keys are not in it: keep a copy of %s/keys on another medium.\n",
              result.manifest.size),
           dest, result.manifest.size, result.entries, result.erased, dir);
    manifest_deinit(&result.manifest);
    return 0;
}

static void stray_tell(void *self, const char *path)
{
    (void)self;
    printf(
        _("'%s' is not of this backup, and restore does not use it: a run was cut short, or somebody put it "
          "there. The next backup removes it.\n"),
        path);
}

static void verified_tell(const char *dest, const struct manifest *manifest)
{
    printf(_n("The backup in %s is whole: %" PRIu64 " entry of %s, made %s.\n",
              "The backup in %s is whole: %" PRIu64 " entries of %s, made %s.\n", manifest->size),
           dest, manifest->size, manifest->origin, manifest->made_at);
    if (!manifest->papers.suite)
        printf(
            _("A former version made it: settings and certificates have no check sums in it, and damage to "
              "them is not seen. Back up again.\n"));
}

int hub_backup_verify(const char *dest, struct casebus_error *err)
{
    struct manifest manifest;
    int r = backup_check(dest, &manifest, progress_show, NULL, err);
    progress_end();
    if (!r) {
        verified_tell(dest, &manifest);
        r = papers_strays(&manifest.papers, dest, stray_tell, NULL, err);
    }
    manifest_deinit(&manifest);
    return r;
}

/* --- restore -------------------------------------------------------------------------------------------- */

/* Nothing but keys/ may be there, and not even that when keys are brought. */
static int check_empty(const char *dir, bool brings_keys, struct casebus_error *err)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open the directory '%s'"), dir);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (brings_keys || strcmp(entry->d_name, "keys") != 0)) {
            r = error_set(err, CASEBUS_EXISTS, _("'%s' is not empty: it holds '%s'"), dir, entry->d_name);
            error_hint(err, _("restore into a new directory; what is left of the lost hub may be needed as "
                              "evidence"));
        }
    closedir(folder);
    return r;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

/* What a restore that failed has made, so that it can be tried again: the directory held nothing before, or
 * keys/ alone, which stays then. */
static void made_remove(const struct hub_restore *wanted, bool dir_made)
{
    DIR *folder = opendir(wanted->dir);
    char path[PATH_MAX];
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (wanted->keys || strcmp(entry->d_name, "keys") != 0) &&
            path_join(path, sizeof(path), wanted->dir, entry->d_name) == 0)
            nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (folder)
        closedir(folder);
    if (dir_made)
        rmdir(wanted->dir);
}

static int key_copy(const char *from, const char *dir, const char *name, struct casebus_error *err)
{
    char source[PATH_MAX], target[PATH_MAX], file[NAME_MAX + 8];
    snprintf(file, sizeof(file), "keys/%s", name);
    if (path_join(source, sizeof(source), from, name) || path_join(target, sizeof(target), dir, file))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    return secret_file_copy(source, target, err);
}

static int certificate_copy(const char *from, const char *dir, struct casebus_error *err)
{
    char source[PATH_MAX], target[PATH_MAX];
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size = 0;
    if (path_join(source, sizeof(source), from, "authority.pem") ||
        path_join(target, sizeof(target), dir, "keys/authority.pem"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (certificate_load(source, certificate, &size, err))
        return -1;
    return certificate_save(bytes_of(certificate, size), target, err);
}

/* What is no secret and may not be there: who may read the entries, and what became of the hub's keys. */
static int paper_copy(const char *from, const char *dir, const char *name, size_t max,
                      struct casebus_error *err)
{
    char source[PATH_MAX], target[PATH_MAX], file[NAME_MAX];
    struct buffer content;
    snprintf(file, sizeof(file), "keys/%s", name);
    if (path_join(source, sizeof(source), from, name) || path_join(target, sizeof(target), dir, file))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (access(source, F_OK) && errno == ENOENT)
        return 0;
    int r = file_read(source, max, &content, err);
    if (!r)
        r = file_write(target, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    return r;
}

static int keys_copy(const char *from, const char *dir, struct casebus_error *err)
{
    char keys[PATH_MAX];
    if (path_join(keys, sizeof(keys), dir, "keys"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    DIR *folder = opendir(from);
    if (!folder)
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), from);
    int r = dir_make(keys, err);
    for (struct dirent *entry; !r && (entry = readdir(folder));) {
        const char *end = strrchr(entry->d_name, '.');
        if (end && strcmp(end, ".key") == 0)
            r = key_copy(from, dir, entry->d_name, err);
    }
    closedir(folder);
    return r || certificate_copy(from, dir, err) ||
                   paper_copy(from, dir, "auditors", AUDITORS_FILE_MAX, err) ||
                   paper_copy(from, dir, "succession", HUB_CHANGES_MAX, err)
               ? -1
               : 0;
}

static int keys_find(struct hub_keys *keys, const struct hub_restore *wanted, const struct manifest *manifest,
                     struct casebus_error *err)
{
    if (wanted->keys && keys_copy(wanted->keys, wanted->dir, err))
        return -1;
    if (hub_keys_load(keys, wanted->dir, NULL, manifest->origin, err)) {
        if (!wanted->keys)
            error_hint(err,
                       _("keys are never in a backup: give the copy that was kept apart with --keys DIR"));
        return -1;
    }
    if (strcmp(keys->log_vkey, manifest->log_key) == 0)
        return 0;
    return error_set(err, CASEBUS_KEY, _("these keys do not belong to the hub whose backup this is (%s)"),
                     manifest->origin);
}

static void left_out_tell(void *self, const struct casebus_error *why)
{
    (void)self;
    progress_end();
    printf(_("Left out: %s.\n"), why->text);
}

static void settings_change(struct buffer *text, const struct buffer *old, const char *origin)
{
    for (char *line = (char *)old->data, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        if (strncmp(line, "origin:", 7) == 0)
            buffer_printf(text, "origin: %s\n", origin);
        else
            buffer_append(text, line, (size_t)(next - line));
    }
}

/* Those of a fresh hub, when the backup's are damaged and may be left out. */
static int settings_make(struct buffer *text, const struct hub_restore *wanted,
                         const struct restore_result *result, struct casebus_error *err)
{
    const struct suite *suite = result->manifest.papers.suite;
    if (!wanted->leave_damaged || !suite)
        return -1;
    left_out_tell(NULL, err);
    printf(_("The hub's settings are the presets, then: look at %s/hub.yaml before you start it.\n"),
           wanted->dir);
    return settings_write(text, result->origin, suite_name(suite), NULL)
               ? 0
               : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the settings"));
}

/* hub.yaml of the backup, with the origin under which the hub goes on. Its being there makes a hub of the
 * directory. */
static int settings_back(const struct hub_restore *wanted, const struct restore_result *result,
                         struct casebus_error *err)
{
    char to[PATH_MAX];
    struct buffer old, text;
    if (path_join(to, sizeof(to), wanted->dir, "hub.yaml"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), wanted->dir);
    buffer_init(&text, 2 * 1024 * 1024);
    int r = paper_read(&result->manifest.papers, wanted->dest, "hub.yaml", &old, err);
    if (r)
        r = settings_make(&text, wanted, result, err);
    else
        settings_change(&text, &old, result->origin);
    if (!r)
        r = file_write(to, bytes_of(text.data, text.size), 0600, err);
    buffer_deinit(&old);
    buffer_deinit(&text);
    return r;
}

static int restore_files(const struct hub_restore *wanted, struct restore_result *result,
                         struct casebus_error *err)
{
    struct hub_keys keys = {.log = NULL};
    struct manifest manifest;
    int there = manifest_read(&manifest, wanted->dest, err);
    if (there < 0)
        return -1;
    if (!there)
        return error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no backup that was completed"), wanted->dest);
    int r = dir_make(wanted->dir, err) || keys_find(&keys, wanted, &manifest, err) ? -1 : 0;
    manifest_deinit(&manifest);
    if (r) {
        hub_keys_deinit(&keys);
        return -1;
    }
    const struct restore_options options = {.dest = wanted->dest,
                                            .dir = wanted->dir,
                                            .log_key = keys.log,
                                            .kek = keys.kek,
                                            .checkpoints = wanted->checkpoints,
                                            .n_checkpoints = wanted->n_checkpoints,
                                            .left_out = wanted->leave_damaged ? left_out_tell : NULL,
                                            .same_generation = wanted->same_generation,
                                            .progress = progress_show};
    r = restore_run(&options, result, err);
    progress_end();
    hub_keys_deinit(&keys);
    return r;
}

static void restore_tell(const struct hub_restore *wanted, const struct restore_result *result)
{
    uint64_t size = result->manifest.size, shown = result->shown;
    printf(_n("Restored %" PRIu64 " entry of %s, as it was at %s.\n",
              "Restored %" PRIu64 " entries of %s, as they were at %s.\n", size),
           size, result->manifest.origin, result->manifest.made_at);
    if (result->others == 0)
        printf(_("Nobody's checkpoint was given: how much was shown to others after that is not known.\n"));
    else if (shown > size)
        printf(_("%" PRIu64 " were shown to others: entries %" PRIu64 " to %" PRIu64 " are missing.\n"),
               shown, size, shown - 1);
    else
        printf(_("Nothing is missing of what was shown to those whose checkpoints were given.\n"));
    if (strcmp(result->origin, result->manifest.origin) != 0) {
        printf(_("The hub goes on as %s. Nodes send again what it has lost, as far as they kept it; its log "
                 "says "
                 "for each node and stream from which number on (GENERATION-MET).\n"),
               result->origin);
        printf(_("For witnesses it is another log. Give its key to them: %s\n"), result->log_key);
        printf(_("Not in this backup is what operators did after it, that is after %s: orders to destroy, "
                 "enrolments, suspensions, revocations, policies. Give them\nagain before nodes connect: "
                 "docs/operating.md, Restore.\n"),
               result->manifest.made_at);
    }
    printf(_(
        "Nodes that were enrolled after this backup was made are not known any more: enrol them again, each "
        "with its own directory (casebus node add NAME --out DIR ...); keys and outbox in it stay.\n"));
    printf(_("Next: casebus-hub run %s\n"), wanted->dir);
}

/* The backup that was restored is the newest one of this hub. */
static int secured_back(const struct hub_restore *wanted, const struct manifest *manifest,
                        struct casebus_error *err)
{
    struct secured secured = {.size = manifest->size, .at_us = clock_unix_us()};
    struct tm tm = {.tm_sec = 0};
    if (strptime(manifest->made_at, "%Y-%m-%dT%H:%M:%SZ", &tm))
        secured.at_us = (int64_t)timegm(&tm) * 1000000;
    if (!realpath(wanted->dest, secured.dest))
        secured.dest[0] = '\0';
    return secured_write(wanted->dir, &secured, err);
}

static int restore(const struct hub_restore *wanted, struct log *log, struct restore_result *result,
                   struct casebus_error *err)
{
    struct replay_result replayed;
    struct stores stores;
    if (restore_files(wanted, result, err) || settings_back(wanted, result, err) ||
        secured_back(wanted, &result->manifest, err) || stores_open(&stores, wanted->dir, true, log, err))
        return -1;
    int r = stores_replay(&stores, log, progress_show, NULL, &replayed, err) || stores_publish(&stores, err);
    progress_end();
    stores_close(&stores);
    return r ? -1 : 0;
}

/* A witness that has forgotten what it cosigned would sign a fork. Under the next generation it has another
 * name, which nobody believes yet; under the same one it must have another key. */
static int witness_forget(const struct hub_restore *wanted, struct casebus_error *err)
{
    char key[PATH_MAX], before[PATH_MAX];
    struct casebus_error ignored;
    size_t n = 0;
    if (path_join(key, sizeof(key), wanted->dir, "keys/witness.key") ||
        path_join(before, sizeof(before), wanted->dir, "keys/witness.key.before"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), wanted->dir);
    if (notary_logs_check(wanted->dir, &n, &ignored) == 0 && n == 0)
        return 0;
    if (wanted->same_generation && rename(key, before) && errno != ENOENT)
        return error_set_errno(err, errno, _("cannot rename '%s'"), key);
    printf(_("This hub witnesses other logs, and has forgotten what it cosigned: it is another witness from "
             "now on. Give the "
             "line 'as a witness' of casebus witness show to those whose logs it witnesses.\n"));
    return 0;
}

int hub_restore(const struct hub_restore *wanted, struct log *log, struct casebus_error *err)
{
    struct restore_result result = {.shown = 0};
    bool dir_made = access(wanted->dir, F_OK) && errno == ENOENT;
    if (check_empty(wanted->dir, wanted->keys, err) || outside_hub(wanted->dir, err))
        return -1;
    int r = restore(wanted, log, &result, err);
    if (r) {
        made_remove(wanted, dir_made);
    } else {
        restore_tell(wanted, &result);
        r = witness_forget(wanted, err);
    }
    manifest_deinit(&result.manifest);
    return r;
}
