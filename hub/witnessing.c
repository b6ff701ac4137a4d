#include "hub/witnessing.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int notary_begin(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                        const struct log *log, struct casebus_error *err)
{
    char name[KEY_NAME_MAX];
    struct notary_options options = {.dir = dir, .name = name, .suite = stores->suite, .log = log};
    if (hub_witness_key(&witnessing->key, dir, stores->suite, err) ||
        hub_witness_name(name, sizeof(name), stores->settings.origin, err))
        return -1;
    options.key = witnessing->key;
    return notary_open(&witnessing->notary, &options, err);
}

static int policy_begin(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                        struct casebus_error *err)
{
    char path[PATH_MAX];
    int r = settings_policy(path, &stores->settings, dir, err);
    return r > 0 ? policy_read(&witnessing->policy, path, err) : r;
}

static void behind_set(struct witnessing *witnessing, const struct casebus_error *err)
{
    if (!witnessing->behind)
        witnessing->behind_why = *err;
    witnessing->behind = true;
}

/* Nobody answering is no reason not to serve: cosigning says who is silent, and since when. */
static int cosigning_begin(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                           const struct witnessing_events *events, const struct log *log,
                           struct casebus_error *err)
{
    const struct cosigning_options options = {
        .dir = dir,
        .policy = witnessing->policy,
        .log_vkey = stores->keys.log_vkey,
        .suite = stores->suite,
        .ledger = stores->ledger,
        .log = log,
        .committed = events->committed,
        .on_cosigned = events->on_cosigned,
        .on_behind = events->on_behind,
        .self = events->self,
    };
    int r = cosigning_open(&witnessing->cosigning, &options, err);
    if (r == 0)
        r = cosigning_ask_first(witnessing->cosigning, err);
    if (r > 0)
        behind_set(witnessing, err);
    return r < 0 ? -1 : 0;
}

int witnessing_open(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                    const struct witnessing_events *events, const struct log *log, struct casebus_error *err)
{
    *witnessing = (struct witnessing){0};
    if (notary_begin(witnessing, stores, dir, log, err) || policy_begin(witnessing, stores, dir, err))
        return -1;
    return witnessing->policy ? cosigning_begin(witnessing, stores, dir, events, log, err) : 0;
}

static int stamping_begin(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                          const struct log *log, struct casebus_error *err)
{
    const struct stamping_options options = {
        .dir = dir,
        .url = stores->settings.timestamp,
        .ca_path = witnessing->ca_path,
        .minutes = stores->settings.timestamp_minutes,
        .ledger = stores->ledger,
        .cosigning = witnessing->cosigning,
        .log = log,
    };
    if (strcmp(options.url, TIMESTAMP_NONE) == 0)
        return 0;
    if (settings_file(witnessing->ca_path, dir, stores->settings.timestamp_ca, err))
        return -1;
    if (access(witnessing->ca_path, R_OK)) {
        error_set_errno(err, errno, "%s", witnessing->ca_path);
        return error_hint(err,
                          _("put the certificates of the time-stamping authority there, or name their file "
                            "with `timestamp_ca:` in hub.yaml"));
    }
    return stamping_start(&witnessing->stamping, &options, err);
}

int witnessing_start(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                     const struct log *log, struct casebus_error *err)
{
    if (witnessing->cosigning && cosigning_start(witnessing->cosigning, err))
        return -1;
    return stamping_begin(witnessing, stores, dir, log, err);
}

void witnessing_close(struct witnessing *witnessing)
{
    witnessing->stamping = stamping_stop(witnessing->stamping);
    witnessing->cosigning = cosigning_close(witnessing->cosigning);
    witnessing->policy = policy_free(witnessing->policy);
    witnessing->notary = notary_close(witnessing->notary);
    witnessing->key = signing_key_free(witnessing->key);
}
