#include "hub/watch/logs.h"

#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

static bool related(const char *a, const char *b)
{
    return origin_valid(a) && (origin_follows(a, b) || origin_follows(b, a));
}

int logs_init(struct logs *logs, const char *const *vkeys, size_t n, struct casebus_error *err)
{
    *logs = (struct logs){.n = 0};
    if (n == 0 || n > LOGS_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("one to %d keys of the log have to be given"), LOGS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct note_verifier *log = &logs->given[i];
        if (note_verifier_init(log, vkeys[i], err))
            return -1;
        logs->n++;
        if (!origin_valid(log->name))
            return error_set(err, CASEBUS_KEY, _("'%s' is not the name of a hub's log"), log->name);
        if (!related(log->name, logs->given[0].name) || log->key.suite != logs->given[0].key.suite)
            return error_set(err, CASEBUS_ARGUMENT, _("'%s' and '%s' are not generations of one hub"),
                             logs->given[0].name, log->name);
    }
    return 0;
}

void logs_deinit(struct logs *logs)
{
    for (size_t i = 0; i < logs->n; i++)
        note_verifier_deinit(&logs->given[i]);
    logs->n = 0;
}

const struct suite *logs_suite(const struct logs *logs)
{
    return suite_get(logs->given[0].key.suite);
}

bool logs_know(const struct logs *logs, const char *origin)
{
    return related(origin, logs->given[0].name);
}

/* The newest of those that count for @origin; NULL: it is older than all of them. */
static const struct note_verifier *key_for(const struct logs *logs, const char *origin)
{
    const struct note_verifier *found = NULL;
    for (size_t i = 0; i < logs->n; i++) {
        const struct note_verifier *log = &logs->given[i];
        if (origin_follows(origin, log->name) && (!found || origin_follows(log->name, found->name)))
            found = log;
    }
    return found;
}

static int key_check(const struct note_verifier *key, struct bytes note, struct checkpoint *checkpoint,
                     char vkey[VKEY_MAX], struct casebus_error *err)
{
    struct note_verifier named = {.verifier = NULL};
    char origin[KEY_NAME_MAX];
    strcpy(origin, checkpoint->origin);
    if (note_vkey_format(vkey, VKEY_MAX, origin, &key->key) < 0)
        return error_set(err, CASEBUS_KEY, _("the log's key cannot stand under the name '%s'"), origin);
    int r = note_verifier_init(&named, vkey, err);
    if (r == 0 && checkpoint_check(checkpoint, note, &named, err)) {
        error_context(err, _("the checkpoint of '%s'"), origin);
        if (strcmp(key->name, origin) != 0)
            error_hint(
                err, _("if the hub was restored with another log key, give that key with a further --trust"));
        r = 1;
    }
    note_verifier_deinit(&named);
    return r;
}

int logs_hint(struct casebus_error *err)
{
    return error_hint(err,
                      _("the address has to be that of the hub's monitors' listener (setting monitor), such "
                        "as http://HUB:7480, or a directory that casebus ledger export has filled"));
}

int logs_check(const struct logs *logs, struct bytes note, struct checkpoint *checkpoint, char vkey[VKEY_MAX],
               struct casebus_error *err)
{
    if (checkpoint_parse(checkpoint, note, err)) {
        error_context(err, _("what is shown as the checkpoint is none"));
        error_hint(err,
                   _("the address has to be that of the hub's monitors' listener (setting monitor), or a "
                     "directory that casebus ledger export has filled"));
        return -1;
    }
    if (!logs_know(logs, checkpoint->origin)) {
        error_set(err, CASEBUS_HUB_IDENTITY, _("this is the log of '%.100s', not of '%.100s'"),
                  checkpoint->origin, logs->given[0].name);
        error_hint(err, _("give the address of the hub whose key is trusted, or the key of this one"));
        return 1;
    }
    const struct note_verifier *key = key_for(logs, checkpoint->origin);
    if (key)
        return key_check(key, note, checkpoint, vkey, err);
    return error_set(err, CASEBUS_BEHIND, _("it shows a checkpoint of '%s', which is older than '%s'"),
                     checkpoint->origin, logs->given[0].name);
}
