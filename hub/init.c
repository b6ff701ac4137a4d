/* casebus-hub init, rebuild: what is done to a hub that does not run. */
#include "hub/hub.h"
#include "hub/keys.h"
#include "hub/progress.h"
#include "hub/stores.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int write_settings(const char *dir, const char *origin, const char *suite, const char *listen,
                          struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text;
    buffer_init(&text, 8192);
    int r = -1;
    if (path_join(path, sizeof(path), dir, "hub.yaml") || !settings_write(&text, origin, suite, listen))
        error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    else
        r = file_write(path, bytes_of(text.data, text.size), 0600, err);
    buffer_deinit(&text);
    return r;
}

int hub_init(const char *dir, const struct hub_wish *wish, struct casebus_error *err)
{
    const char *origin = wish->origin, *suite = wish->suite, *listen = wish->listen;
    const struct hub_tokens tokens = {wish->log_key, wish->authority_key};
    char path[PATH_MAX];
    struct stores stores;
    const struct log silent = {.file = NULL};
    if (!origin_valid(origin)) {
        error_set(err, CASEBUS_ARGUMENT, _("'%s' is not an origin"), origin);
        return error_hint(err, _("an origin is a name and a generation, such as js.example/exchange/1"));
    }
    const char *expected = suite ? settings_fault("suite", suite) : NULL;
    if (expected)
        return error_set(err, CASEBUS_ARGUMENT, _("--suite %s: expected %s"), suite, expected);
    expected = listen ? settings_fault("listen", listen) : NULL;
    if (expected)
        return error_set(err, CASEBUS_ARGUMENT, _("--listen %s: expected %s"), listen, expected);
    if (path_join(path, sizeof(path), dir, "hub.yaml"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (access(path, F_OK) == 0) {
        error_set(err, CASEBUS_EXISTS, _("there is a hub in %s already"), dir);
        return error_hint(err, _("run it with `casebus-hub run %s`, or choose another directory"), dir);
    }
    /* hub.yaml is written last but one, so that an init that was interrupted can be seen and the directory
     * removed. */
    if (dir_make(dir, err) ||
        hub_keys_make(dir, suite_by_name(suite ? suite : "intl"), origin, clock_unix_us() / 1000000, &tokens,
                      err) ||
        write_settings(dir, origin, suite, listen, err) || stores_open(&stores, dir, false, &silent, err))
        return -1;
    stores_close(&stores);
    return 0;
}

int hub_rebuild(const char *dir, struct log *log, struct casebus_error *err)
{
    struct stores stores;
    struct replay_result result;
    if (stores_open(&stores, dir, true, log, err))
        return -1;
    int r = stores_replay(&stores, log, progress_show, NULL, &result, err);
    stores_close(&stores);
    progress_end();
    if (!r)
        printf(_n("The state was made again from %" PRIu64 " ledger entry.\n",
                  "The state was made again from %" PRIu64 " ledger entries.\n", result.size),
               result.size);
    return r;
}
