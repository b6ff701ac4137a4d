/* casebus-hub backup. The room hub/backup does the work; here it is told where the hub's keys are, and the
 * hub is asked, if it runs, to catch up before and to keep in mind afterwards what is secured. */
#include "hub/backup/backup.h"
#include "hub/backup/phone.h"
#include "hub/hub.h"
#include "hub/progress.h"
#include "hub/stores.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

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

static int secured_tell(const char *dir, bool running, uint64_t size, struct casebus_error *err)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"size\": %" PRIu64 "}", size);
    int r = running ? phone_post(dir, "/v1/secured", body, err) : 0;
    return r == 0 ? secured_write(dir, size, err) : r > 0 ? 0 : -1;
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
                                           .kek = keys.kek,
                                           .progress = progress_show};
    int r = backup_run(&options, result, err);
    progress_end();
    hub_keys_deinit(&keys);
    return r ? -1 : secured_tell(dir, running, result->manifest.size, err);
}

int hub_backup(const char *dir, const char *dest, struct log *log, struct casebus_error *err)
{
    struct backup_result result;
    if (backup(dir, dest, log, &result, err))
        return -1;
    printf(_("The backup in %s holds %" PRIu64 " entries; %" PRIu64 " are new, %" PRIu64
             " erased contents were erased in it, too.\n"
             "The keys are not in it: keep a copy of %s/keys on another medium.\n"),
           dest, result.manifest.size, result.entries, result.erased, dir);
    return 0;
}

int hub_backup_verify(const char *dest, struct casebus_error *err)
{
    struct manifest manifest;
    int r = backup_check(dest, &manifest, progress_show, NULL, err);
    progress_end();
    if (r)
        return -1;
    printf(_("The backup in %s is whole: %" PRIu64 " entries of %s, made %s.\n"), dest, manifest.size,
           manifest.origin, manifest.made_at);
    return 0;
}
