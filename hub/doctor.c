#include "hub/doctor.h"

#include "hub/backup/backup.h"
#include "hub/console/unsecured.h"
#include "hub/hub.h"
#include "hub/ledger/secured.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_LEAST    (1ull << 30)
#define BACKUP_DAYS   7
#define SECONDS_A_DAY 86400

void doctor_say(struct doctor *doctor, enum verdict verdict, const char *what, const char *format, ...)
{
    static const char *const words[] = {N_("fine"), N_("note"), N_("LOOK")};
    va_list args;
    printf("%s\t%-11s ", _(words[verdict]), what);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    doctor->n_looks += verdict == VERDICT_LOOK;
}

void doctor_hint(const char *format, ...)
{
    va_list args;
    printf("\t            -> ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void doctor_error(struct doctor *doctor, const char *what, const struct casebus_error *err)
{
    doctor_say(doctor, VERDICT_LOOK, what, "%s (%s)", err->text, casebus_code_text(err->code));
    if (err->hint[0])
        doctor_hint("%s", err->hint);
}

/* --- the directory -------------------------------------------------------------------------------------- */

static bool find(const struct doctor *doctor, const char *name, char path[PATH_MAX], struct stat *status)
{
    return path_join(path, PATH_MAX, doctor->dir, name) == 0 && stat(path, status) == 0;
}

static void look_settings(struct doctor *doctor)
{
    char path[PATH_MAX];
    struct casebus_error err;
    if (path_join(path, sizeof(path), doctor->dir, "hub.yaml"))
        return;
    if (access(path, F_OK)) {
        doctor_say(doctor, VERDICT_LOOK, "hub.yaml",
                   _("'%s' has no hub.yaml: no hub was made here, or a restore "
                     "was cut short"),
                   doctor->dir);
        if (path_join(path, sizeof(path), doctor->dir, "backup.json") == 0 && access(path, F_OK) == 0) {
            doctor_hint(_("it is a backup; look at it: casebus-hub backup --verify %s"), doctor->dir);
            return;
        }
        doctor_hint(_("restore again into an empty directory, or put hub.yaml back"));
    } else if (settings_read(&doctor->settings, path, &err)) {
        doctor_error(doctor, "hub.yaml", &err);
        doctor_hint(_("mend the line; casebus-hub(8) tells what each setting may be. Until then the keys and "
                      "the vault are not looked at"));
    } else {
        doctor->has_settings = true;
        doctor_say(doctor, VERDICT_FINE, "hub.yaml", _("%s, listens on %s"), doctor->settings.origin,
                   doctor->settings.listen);
    }
}

/* Who may look into what. Secret files are asked about when they are read. */
static void look_rights(struct doctor *doctor)
{
    static const char *const names[] = {".", "keys", "hub.yaml"};
    unsigned open = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH_MAX];
        struct stat status;
        /* Operators of a group of their own reach the socket through the directory. */
        bool shared = doctor->has_settings && strcmp(doctor->settings.operators, OPERATORS_NONE) != 0;
        mode_t theirs = i == 0 && shared ? S_IXGRP : 0;
        if (!find(doctor, names[i], path, &status) || !(status.st_mode & 077 & ~theirs))
            continue;
        doctor_say(doctor, VERDICT_LOOK, "rights", _("'%s' is open to others than its owner (mode %04o)"),
                   path, (unsigned)status.st_mode & 07777);
        doctor_hint("chmod go= '%s'", path);
        open++;
    }
    if (!open)
        doctor_say(doctor, VERDICT_FINE, "rights", _("closed to others than the owner"));
}

static void look_lock(struct doctor *doctor)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof(path), doctor->dir, "lock"))
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    doctor->running = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    doctor_say(doctor, VERDICT_FINE, "lock", "%s",
               doctor->running ? _("a hub runs on it") : _("no hub runs on it"));
}

static void look_keys(struct doctor *doctor)
{
    struct casebus_error err;
    char path[PATH_MAX];
    struct stat status;
    if (!doctor->has_settings)
        return;
    if (hub_keys_load(&doctor->keys, doctor->dir, suite_by_name(doctor->settings.suite),
                      doctor->settings.origin, &err)) {
        doctor_error(doctor, "keys", &err);
        if (err.code != CASEBUS_PASSPHRASE && !err.hint[0])
            doctor_hint(_("put back the copy of keys/ that was kept apart"));
        return;
    }
    doctor->has_keys = true;
    if (hub_authority_check(&doctor->keys, doctor->dir, &err)) {
        doctor_error(doctor, "keys", &err);
        doctor_hint(_("put back the copy of keys/ that was kept apart; until then nobody can be enrolled"));
        return;
    }
    if (find(doctor, "keys/kek.old", path, &status) || find(doctor, "keys/kek.new", path, &status))
        doctor_say(doctor, VERDICT_NOTE, "keys",
                   _("a rotate-kek was cut short; the next start of the hub settles it"));
    else
        doctor_say(doctor, VERDICT_FINE, "keys", _("all there and readable; the log's key is %s"),
                   doctor->keys.log_vkey);
}

static void look_authority(struct doctor *doctor)
{
    int64_t first, last;
    char until[CLOCK_TEXT];
    if (!doctor->has_keys ||
        !certificate_times(bytes_of(doctor->keys.authority, doctor->keys.authority_size), &first, &last))
        return;
    bool soon = certificate_days_left(last, clock_unix_us() / 1000000) < CERTIFICATE_WARN_DAYS;
    doctor_say(doctor, soon ? VERDICT_LOOK : VERDICT_FINE, "authority",
               _("the certificate of this hub's authority ends %s"), clock_text(until, last));
}

static void look_disk(struct doctor *doctor)
{
    uint64_t left = disk_free(doctor->dir);
    uint64_t reserve = doctor->has_settings ? (uint64_t)doctor->settings.keep_free_mb << 20 : 0;
    enum verdict verdict = left < DISK_LEAST || left < reserve ? VERDICT_LOOK : VERDICT_FINE;
    if (left == UINT64_MAX)
        return;
    doctor_say(doctor, verdict, "disk", _("%llu MiB are free"), (unsigned long long)(left >> 20));
    if (verdict == VERDICT_LOOK)
        doctor_hint(_("make room: with less than %llu MiB (keep_free_mb) a hub takes nothing from nodes"),
                    (unsigned long long)(reserve >> 20));
}

/* What is quick of it: the ledger's copy is read by backup --verify. */
static void look_copy(struct doctor *doctor, const char *dest, uint64_t size)
{
    struct casebus_error err;
    struct manifest manifest;
    if (access(dest, F_OK)) {
        doctor_say(doctor, VERDICT_NOTE, "backup", _("'%s' cannot be looked at: %s"), dest, strerror(errno));
        doctor_hint(_("bring it here and read all of it now and then: casebus-hub backup --verify %s"), dest);
        return;
    }
    int r = backup_glance(dest, &manifest, &err);
    if (r < 0)
        doctor_error(doctor, "backup", &err);
    else if (r == 0)
        doctor_say(doctor, VERDICT_FINE, "backup", _("one is being made in '%s'"), dest);
    else if (manifest.size < size) {
        doctor_say(doctor, VERDICT_LOOK, "backup",
                   _("the one in '%s' ends with entry %llu, but one of %llu entries was made there: an older "
                     "copy stands in its place, and senders have let go of what it lacks"),
                   dest, (unsigned long long)manifest.size, (unsigned long long)size);
        doctor_hint("casebus-hub backup %s %s", doctor->dir, dest);
    } else if (!manifest.papers.suite)
        doctor_say(doctor, VERDICT_NOTE, "backup",
                   _("a former version made the one in '%s': its files have no check sums; back up again"),
                   dest);
    else
        doctor_say(
            doctor, VERDICT_FINE, "backup",
            _("vault, settings, certificates and evidence in '%s' are whole (files: %zu); backup --verify "
              "reads all"),
            dest, manifest.papers.n);
    manifest_deinit(&manifest);
}

/* What a restore would lose. Events come again from their senders; what an operator did has to be given
 * again by him. */
static void look_unsecured(struct doctor *doctor, const struct secured *secured)
{
    struct unsecured behind;
    struct state_view *view = NULL;
    if (!doctor->ledger || !doctor->state || state_view_open(&view, doctor->state, NULL))
        return;
    int r = unsecured_count(&behind, secured, ledger_size(doctor->ledger), view, NULL);
    state_view_close(view);
    if (r)
        return;
    doctor_say(doctor, unsecured_acts(&behind) ? VERDICT_NOTE : VERDICT_FINE, "backup",
               _("in none: entries: %llu; orders to destroy: %llu, enrolments: %llu, suspensions and "
                 "revocations: %llu, policies: %llu"),
               (unsigned long long)behind.entries, (unsigned long long)behind.erasures,
               (unsigned long long)behind.enrolments, (unsigned long long)behind.standings,
               (unsigned long long)behind.policies);
    if (unsecured_acts(&behind))
        doctor_hint("casebus-hub backup %s %s", doctor->dir, secured->dest[0] ? secured->dest : "DEST");
}

static void look_backup(struct doctor *doctor)
{
    struct secured secured;
    secured_read(&secured, doctor->dir, doctor->ledger ? ledger_size(doctor->ledger) : UINT64_MAX);
    if (!secured.size) {
        doctor_say(doctor, VERDICT_NOTE, "backup", _("no backup is known"));
        doctor_hint("casebus-hub backup %s DEST", doctor->dir);
        look_unsecured(doctor, &secured);
        return;
    }
    long long days = (long long)(clock_unix_us() - secured.at_us) / 1000000 / SECONDS_A_DAY;
    doctor_say(doctor, days >= BACKUP_DAYS ? VERDICT_NOTE : VERDICT_FINE, "backup",
               _n("the last one is %lld day old", "the last one is %lld days old", days),
               days > 0 ? days : 0);
    if (secured.dest[0])
        look_copy(doctor, secured.dest, secured.size);
    look_unsecured(doctor, &secured);
}

static void doctor_close(struct doctor *doctor)
{
    state_close(doctor->state);
    ledger_close(doctor->ledger);
    hub_keys_deinit(&doctor->keys);
}

int hub_doctor(const char *dir, bool full, struct casebus_error *err)
{
    struct doctor doctor = {.dir = dir, .full = full};
    struct stat status;
    if (stat(dir, &status))
        return error_set_errno(err, errno, _("cannot open the directory '%s'"), dir);
    if (access(dir, R_OK | X_OK)) { /* what cannot be seen must not be called damaged, or fine */
        error_set_errno(err, errno, _("'%s' cannot be looked into"), dir);
        return error_hint(err, _("a hub's directory is open to its own user only: become that user"));
    }
    look_settings(&doctor);
    look_rights(&doctor);
    look_lock(&doctor);
    look_keys(&doctor);
    look_authority(&doctor);
    doctor_files(&doctor);
    doctor_ledger(&doctor);
    doctor_state(&doctor);
    doctor_vault(&doctor);
    doctor_journal(&doctor);
    doctor_nodes(&doctor);
    doctor_quarantine(&doctor);
    look_disk(&doctor);
    look_backup(&doctor);
    doctor_close(&doctor);
    if (doctor.n_looks)
        return error_set(
            err, CASEBUS_DAMAGED,
            _n("%u thing needs somebody to look", "%u things need somebody to look", doctor.n_looks),
            doctor.n_looks);
    puts(_("Nothing needs you."));
    return 0;
}
