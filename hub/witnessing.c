#include "hub/witnessing.h"

#include "proto/base/files.h"
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

/* The file of the preset's name may be missing; one that was named must be there. */
static int policy_begin(struct witnessing *witnessing, const struct stores *stores, const char *dir,
                        struct casebus_error *err)
{
    char path[PATH_MAX];
    const char *name = stores->settings.witnesses;
    if (name[0] == '/' ? snprintf(path, sizeof(path), "%s", name) < 0
                       : path_join(path, sizeof(path), dir, name) != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (strcmp(name, WITNESSES_PRESET) == 0 && access(path, F_OK) && errno == ENOENT)
        return 0;
    return policy_read(&witnessing->policy, path, err);
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

int witnessing_start(struct witnessing *witnessing, struct casebus_error *err)
{
    return witnessing->cosigning ? cosigning_start(witnessing->cosigning, err) : 0;
}

void witnessing_close(struct witnessing *witnessing)
{
    witnessing->cosigning = cosigning_close(witnessing->cosigning);
    witnessing->policy = policy_free(witnessing->policy);
    witnessing->notary = notary_close(witnessing->notary);
    witnessing->key = signing_key_free(witnessing->key);
}
