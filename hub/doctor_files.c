/* The files beside hub.yaml that people write, and the one that the auditor command does. A running hub goes
 * on with what it read before, and says so once in its log; here it is found before the next start. */
#include "hub/console/auditors.h"
#include "hub/doctor.h"
#include "hub/retention.h"
#include "hub/witness/notary.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/policy.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* The policy has to speak of this hub's own log. */
static void policy_look(struct doctor *doctor, const char *path, const struct policy *policy)
{
    struct note_verifier log = {.verifier = NULL};
    bool known = !doctor->has_keys || (note_verifier_init(&log, doctor->keys.log_vkey, NULL) == 0 &&
                                       policy_knows_log(policy, &log));
    note_verifier_deinit(&log);
    if (!known) {
        doctor_say(doctor, VERDICT_LOOK, "witnesses", _("'%s' does not list this hub's log"), path);
        doctor_hint(_("add the line: log %s"), doctor->keys.log_vkey);
        return;
    }
    doctor_say(doctor, VERDICT_FINE, "witnesses", _("'%s' names %zu"), path, policy->n_witnesses);
}

static void look_policy(struct doctor *doctor)
{
    char path[PATH_MAX];
    struct casebus_error err;
    struct policy *policy = NULL;
    const char *name = doctor->settings.witnesses;
    if (!doctor->has_settings)
        return;
    if (name[0] == '/' ? (size_t)snprintf(path, sizeof(path), "%s", name) >= sizeof(path)
                       : path_join(path, sizeof(path), doctor->dir, name) != 0)
        return;
    if (strcmp(name, WITNESSES_PRESET) == 0 && access(path, F_OK) && errno == ENOENT) {
        doctor_say(doctor, VERDICT_FINE, "witnesses", _("nobody: there is no policy of witnesses"));
    } else if (policy_read(&policy, path, &err)) {
        doctor_error(doctor, "witnesses", &err);
        doctor_hint(_("mend the line; the hub does not start with it (docs/witness.md)"));
    } else {
        policy_look(doctor, path, policy);
    }
    policy_free(policy);
}

static void look_logs(struct doctor *doctor)
{
    struct casebus_error err;
    size_t n = 0;
    if (notary_logs_check(doctor->dir, &n, &err)) {
        doctor_error(doctor, "witnessed", &err);
        doctor_hint(_("mend the line; the hub does not start with it (docs/witness.md)"));
    } else {
        doctor_say(doctor, VERDICT_FINE, "witnessed", _("logs of others: %zu"), n);
    }
}

static void look_retention(struct doctor *doctor)
{
    struct casebus_error err;
    struct erasure_rule rules[ERASURE_RULES_MAX];
    size_t n = 0;
    if (retention_read(doctor->dir, rules, &n, ERASURE_RULES_MAX, &err) == 0) {
        doctor_say(doctor, VERDICT_FINE, "retention", _n("%zu rule", "%zu rules", n), n);
    } else if (err.code == CASEBUS_NOT_FOUND) {
        doctor_say(doctor, VERDICT_FINE, "retention", _("no rules: nothing is destroyed by its age"));
    } else {
        doctor_error(doctor, "retention", &err);
        doctor_hint(
            _("mend the line; until then `casebus erase --retention` does nothing (docs/erasure.md)"));
    }
}

static void look_auditors(struct doctor *doctor)
{
    struct casebus_error err;
    struct auditors auditors = {.list = NULL};
    if (auditors_load(&auditors, doctor->dir, &err)) {
        doctor_error(doctor, "auditors", &err);
        if (!err.hint[0])
            doctor_hint(_("take the line out, and add the auditor again: casebus auditor add NAME"));
    } else {
        doctor_say(doctor, VERDICT_FINE, "auditors", _("%zu may read the entries"), auditors.n);
    }
    auditors_free(&auditors);
}

void doctor_files(struct doctor *doctor)
{
    look_policy(doctor);
    look_logs(doctor);
    look_retention(doctor);
    look_auditors(doctor);
}
