/* The stores, each opened to read. The journal is not made to be opened so, and opening it mends its torn
 * end; a copy of it is opened instead, and only when no hub has it. */
#include "hub/authority.h"
#include "hub/backup/rows.h"
#include "hub/doctor.h"
#include "hub/exchange/tables.h"
#include "hub/gate/authorities_ledger.h"
#include "hub/gate/registry.h"
#include "hub/journal/journal.h"
#include "hub/progress.h"
#include "hub/vault/vault.h"
#include "hub/waiting.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/merkle/note.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLE         256 /* entries that are looked at without --full */
#define CLOCK_SLACK_US (5ll * 60 * 1000000)
#define BLOCK          65536

/* --- ledger --------------------------------------------------------------------------------------------- */

static int entry_look(struct ledger_view *view, struct crypter *crypter, struct arena *arena,
                      uint64_t position, struct casebus_error *err)
{
    struct bytes leaf, body;
    uint8_t made[DIGEST_SIZE], stored[DIGEST_SIZE];
    arena_reset(arena);
    if (ledger_view_leaf(view, position, &leaf, err) || ledger_view_body(view, position, &body, err) ||
        ledger_view_hash(view, 0, position, stored, err))
        return -1;
    tree_leaf_hash(crypter, leaf, made);
    if (memcmp(made, stored, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_DAMAGED, _("entry %llu is not the one whose hash was kept"),
                         (unsigned long long)position);
    if (!entry_decode(leaf, arena, err) || (body.size && !body_decode(body, arena, err)))
        return error_context(err, _("entry %llu of the ledger"), (unsigned long long)position);
    return 0;
}

/* The newest entries and some from everywhere. */
static int sample_look(struct ledger *ledger, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct crypter *crypter = crypter_new(ledger_suite(ledger));
    struct arena arena;
    uint64_t size = ledger_size(ledger);
    int r = crypter ? ledger_view_open(&view, ledger, err)
                    : error_set(err, CASEBUS_NO_MEMORY, _("no memory to look at the ledger"));
    arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
    for (uint64_t i = 0; !r && i < SAMPLE && i < size; i++) {
        uint64_t chance;
        random_bytes(&chance, sizeof(chance));
        r = entry_look(view, crypter, &arena, size <= SAMPLE ? i : i % 2 ? chance % size : size - 1 - i, err);
    }
    arena_deinit(&arena);
    ledger_view_close(view);
    crypter_free(crypter);
    return r;
}

/* The newest checkpoint, and whether it is of these entries and signed by this key. */
static int checkpoint_get(const struct doctor *doctor, struct checkpoint *checkpoint,
                          struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct bytes note;
    struct note_verifier verifier = {.verifier = NULL};
    uint8_t root[DIGEST_SIZE];
    if (ledger_view_open(&view, doctor->ledger, err))
        return -1;
    int r = ledger_view_checkpoint(view, ledger_view_size(view), &note, err);
    if (!r && doctor->has_keys)
        r = note_verifier_init(&verifier, doctor->keys.log_vkey, err) ||
            checkpoint_check(checkpoint, note, &verifier, err);
    else if (!r)
        r = checkpoint_parse(checkpoint, note, err);
    note_verifier_deinit(&verifier);
    ledger_view_close(view);
    if (r)
        return -1;
    if (rows_root(doctor->ledger, checkpoint->size, root, err))
        return -1;
    if (memcmp(root, checkpoint->root, DIGEST_SIZE) != 0)
        return error_set(err, CASEBUS_CONSISTENCY,
                         _("the checkpoint of %llu entries was signed for other entries than these"),
                         (unsigned long long)checkpoint->size);
    return 0;
}

static void look_clock(struct doctor *doctor)
{
    struct ledger_view *view = NULL;
    struct bytes leaf;
    struct arena arena;
    arena_init(&arena, 64 * 1024, 4 * 1024 * 1024);
    const Casebus__V1__LedgerEntry *entry =
        ledger_view_open(&view, doctor->ledger, NULL) == 0 && ledger_view_size(view) &&
                ledger_view_leaf(view, ledger_view_size(view) - 1, &leaf, NULL) == 0
            ? entry_decode(leaf, &arena, NULL)
            : NULL;
    int64_t back = entry ? entry->hub_time_us - clock_unix_us() : 0;
    if (back > CLOCK_SLACK_US) {
        doctor_say(doctor, VERDICT_LOOK, "clock",
                   _("the newest entry is %lld s ahead of this computer's clock"),
                   (long long)(back / 1000000));
        doctor_hint(_("set the clock right: until it has caught up, hub time stands still"));
    } else {
        doctor_say(doctor, VERDICT_FINE, "clock", _("not behind the newest entry"));
    }
    ledger_view_close(view);
    arena_deinit(&arena);
}

static void ledger_hint(const struct doctor *doctor)
{
    doctor_hint(_("stop the hub; check the disk; restore from the last backup into a new directory, with the "
                  "nodes' checkpoints: casebus-hub restore DEST DIR (keep '%s' as it is)"),
                doctor->dir);
}

static void look_authority(struct doctor *doctor)
{
    struct casebus_error err;
    struct bytes authority = bytes_of(doctor->keys.authority, doctor->keys.authority_size);
    if (!doctor->has_keys)
        return;
    if (authority_fits(doctor->ledger, authority, &err)) {
        hub_authority_hint(doctor->dir, &err);
        doctor_error(doctor, "authority", &err);
    } else {
        doctor_say(doctor, VERDICT_FINE, "authority",
                   _("keys/authority.pem is the one that the ledger names"));
    }
}

void doctor_ledger(struct doctor *doctor)
{
    struct casebus_error err;
    struct checkpoint checkpoint = {.size = 0};
    if (ledger_open_readonly(&doctor->ledger, doctor->dir, &err)) {
        doctor->ledger = NULL;
        doctor_error(doctor, "ledger", &err);
        ledger_hint(doctor);
        return;
    }
    unsigned long long size = ledger_size(doctor->ledger);
    int r = checkpoint_get(doctor, &checkpoint, &err);
    if (r && err.code == CASEBUS_NOT_FOUND && size == 0)
        r = 0;
    if (!r)
        r = doctor->full ? rows_check(doctor->ledger, checkpoint.size, checkpoint.root, NULL, NULL,
                                      progress_show, NULL, &err)
                         : sample_look(doctor->ledger, &err);
    progress_end();
    if (doctor->has_settings && strcmp(ledger_origin(doctor->ledger), doctor->settings.origin) != 0) {
        doctor_say(doctor, VERDICT_LOOK, "ledger", _("the ledger is that of '%s', but hub.yaml says '%s'"),
                   ledger_origin(doctor->ledger), doctor->settings.origin);
        doctor_hint(_("put back the hub.yaml or the ledger that belongs to the other"));
    }
    if (r) {
        doctor_error(doctor, "ledger", &err);
        ledger_hint(doctor);
    } else if (doctor->full) {
        doctor_say(doctor, VERDICT_FINE, "ledger",
                   _n("%llu entry; all %llu below the newest checkpoint have the root that was signed",
                      "%llu entries; all %llu below the newest checkpoint have the root that was signed",
                      size),
                   size, (unsigned long long)checkpoint.size);
    } else {
        doctor_say(doctor, VERDICT_FINE, "ledger",
                   _n("%llu entry; the newest checkpoint (%llu) and a sample fit; --full reads all",
                      "%llu entries; the newest checkpoint (%llu) and a sample fit; --full reads all", size),
                   size, (unsigned long long)checkpoint.size);
    }
    look_clock(doctor);
    look_authority(doctor);
}

/* --- state ---------------------------------------------------------------------------------------------- */

void doctor_state(struct doctor *doctor)
{
    struct casebus_error err;
    if (state_open_readonly(&doctor->state, doctor->dir, &err)) {
        doctor->state = NULL;
        doctor_error(doctor, "state", &err);
        doctor_hint(_("it is derived; make it again: casebus-hub rebuild %s"), doctor->dir);
        return;
    }
    unsigned long long applied = state_applied(doctor->state);
    unsigned long long size = doctor->ledger ? ledger_size(doctor->ledger) : applied;
    if (applied > size && !doctor->running) {
        doctor_say(doctor, VERDICT_LOOK, "state",
                   _n("it reflects %llu entry, but the ledger has %llu",
                      "it reflects %llu entries, but the ledger has %llu", applied),
                   applied, size);
        doctor_hint(_("it is derived; make it again: casebus-hub rebuild %s"), doctor->dir);
    } else {
        doctor_say(doctor, VERDICT_FINE, "state", _n("reflects %llu entry", "reflects %llu entries", applied),
                   applied);
    }
}

/* --- vault ---------------------------------------------------------------------------------------------- */

/* The highest slot that the state knows to be in use. */
static uint64_t slots_used(const struct doctor *doctor)
{
    struct state_view *view = NULL;
    struct bytes value;
    uint64_t used = 0;
    if (!doctor->state || state_view_open(&view, doctor->state, NULL))
        return 0;
    if (state_view_get(view, TABLE_META, bytes_of_text("vault"), &value, NULL) == 1 && value.size == 8)
        used = get_u64be(value.data);
    state_view_close(view);
    return used;
}

static void vault_say(struct doctor *doctor, struct vault *vault, const struct vault_counts *counts)
{
    uint64_t used = slots_used(doctor);
    if (used > vault_made(vault)) {
        doctor_say(doctor, VERDICT_LOOK, "vault",
                   _n("it has %llu slot, but %llu are in use: keys were lost",
                      "it has %llu slots, but %llu are in use: keys were lost", vault_made(vault)),
                   (unsigned long long)vault_made(vault), (unsigned long long)used);
        doctor_hint(_("put back the newest copy of the folder vault/"));
    }
    if (counts->damaged) {
        doctor_say(doctor, VERDICT_LOOK, "vault",
                   _n("%llu slot is damaged in both copies", "%llu slots are damaged in both copies",
                      counts->damaged),
                   (unsigned long long)counts->damaged);
        doctor_hint(_("check the disk; what lies under these slots can only be read from a backup"));
    }
    if (counts->unlike) {
        doctor_say(doctor, VERDICT_NOTE, "vault",
                   _n("%llu slot differs between the copies; the next start of the hub mends it",
                      "%llu slots differ between the copies; the next start of the hub mends them",
                      counts->unlike),
                   (unsigned long long)counts->unlike);
    }
    if (used <= vault_made(vault) && !counts->damaged)
        doctor_say(doctor, VERDICT_FINE, "vault", _("%llu slots, %llu in use, %llu erased"),
                   (unsigned long long)vault_made(vault), (unsigned long long)used,
                   (unsigned long long)counts->erased);
}

void doctor_vault(struct doctor *doctor)
{
    struct casebus_error err;
    struct vault *vault = NULL;
    struct vault_counts counts;
    if (!doctor->has_keys)
        return;
    if (vault_open_readonly(&vault, doctor->dir, doctor->keys.suite, doctor->keys.kek, &err) ||
        vault_survey(vault, &counts, &err)) {
        doctor_error(doctor, "vault", &err);
        if (!err.hint[0])
            doctor_hint(_("put back the newest copy of the folder vault/"));
    } else {
        vault_say(doctor, vault, &counts);
    }
    vault_close(vault);
}

/* --- journal -------------------------------------------------------------------------------------------- */

/* Copies one file; blocks of zeros stay holes. */
static int file_copy(const char *from, const char *to)
{
    static const uint8_t zeros[BLOCK];
    uint8_t block[BLOCK];
    ssize_t got = -1;
    off_t at = 0;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    while (in >= 0 && out >= 0 && (got = pread(in, block, sizeof(block), at)) > 0) {
        if (memcmp(block, zeros, (size_t)got) != 0 && pwrite(out, block, (size_t)got, at) != got)
            break;
        at += got;
    }
    bool whole = got == 0 && ftruncate(out, at) == 0;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return whole ? 0 : -1;
}

/* For every file of the folder: copied to @to, or, without @from, removed. */
static int folder_each(const char *folder, const char *to)
{
    DIR *list = opendir(folder);
    int r = list ? 0 : -1;
    for (struct dirent *entry; !r && (entry = readdir(list));) {
        char path[PATH_MAX], copy[PATH_MAX];
        if (entry->d_name[0] == '.' || path_join(path, sizeof(path), folder, entry->d_name))
            continue;
        if (!to)
            r = unlink(path);
        else if (strcmp(entry->d_name, "lock") != 0)
            r = path_join(copy, sizeof(copy), to, entry->d_name) || file_copy(path, copy);
    }
    if (list)
        closedir(list);
    return r ? -1 : 0;
}

static void journal_hint(const struct doctor *doctor)
{
    doctor_hint(
        _("check the disk; put back the newest journal/; if there is none, move '%s/journal' away: what "
          "only it held will be missed by its senders, who name it"),
        doctor->dir);
}

/* From where the ledger ends to the newest group, without a gap. */
static int groups_read(struct journal *journal, uint64_t size, uint64_t *ahead, struct casebus_error *err)
{
    struct journal_reader *reader = NULL;
    struct journal_group group;
    struct arena arena;
    uint64_t end = size;
    int r = journal_reader_open(&reader, journal, size, err);
    if (r)
        return -1;
    arena_init(&arena, 256 * 1024, 256 * 1024 * 1024);
    while ((r = journal_reader_next(reader, &arena, &group, err)) > 0) {
        if (group.tree_size > end && group.first_position > end) {
            r = error_set(err, CASEBUS_DAMAGED,
                          _("the journal goes on at entry %llu, but the ledger ends at %llu"),
                          (unsigned long long)group.first_position, (unsigned long long)end);
            break;
        }
        end = group.tree_size > end ? group.tree_size : end;
    }
    *ahead = end - size;
    arena_deinit(&arena);
    journal_reader_close(reader);
    return r;
}

static void journal_look(struct doctor *doctor, const char *copy)
{
    struct casebus_error err;
    struct journal *journal = NULL;
    uint64_t ahead = 0, size = doctor->ledger ? ledger_size(doctor->ledger) : 0;
    int r = journal_open(&journal, copy, 0, &err);
    if (!r && doctor->ledger && journal_last(journal) && journal_tree_size(journal) < size)
        r = error_set(
            &err, CASEBUS_DAMAGED,
            _("the journal ends at entry %llu, but the ledger has %llu: the folder journal/ is an older "
              "copy"),
            (unsigned long long)journal_tree_size(journal), (unsigned long long)size);
    if (!r && doctor->ledger)
        r = groups_read(journal, size, &ahead, &err);
    if (r) {
        err.hint[0] = '\0';
        doctor_error(doctor, "journal", &err);
        journal_hint(doctor);
    } else if (ahead) {
        doctor_say(doctor, VERDICT_NOTE, "journal",
                   _n("%llu entry waits for the ledger; the next start of the hub brings it there",
                      "%llu entries wait for the ledger; the next start of the hub brings them there", ahead),
                   (unsigned long long)ahead);
    } else {
        doctor_say(doctor, VERDICT_FINE, "journal", _("whole, and the ledger has all of it"));
    }
    journal_close(journal);
}

void doctor_journal(struct doctor *doctor)
{
    char from[PATH_MAX], parent[PATH_MAX], copy[PATH_MAX];
    const char *temporary = getenv("TMPDIR");
    if (doctor->running) {
        doctor_say(doctor, VERDICT_FINE, "journal", _("the running hub has it open"));
        return;
    }
    snprintf(parent, sizeof(parent), "%s/casebus-doctor-XXXXXX", temporary ? temporary : "/var/tmp");
    if (path_join(from, sizeof(from), doctor->dir, "journal") || !mkdtemp(parent) ||
        path_join(copy, sizeof(copy), parent, "journal") || mkdir(copy, 0700)) {
        doctor_say(doctor, VERDICT_LOOK, "journal", _("it cannot be looked at: no copy can be made in '%s'"),
                   temporary ? temporary : "/var/tmp");
        return;
    }
    if (access(from, F_OK) == 0 && folder_each(from, copy))
        doctor_say(doctor, VERDICT_LOOK, "journal", _("it cannot be looked at: no copy can be made in '%s'"),
                   parent);
    else
        journal_look(doctor, parent);
    folder_each(copy, NULL);
    rmdir(copy);
    rmdir(parent);
}

/* --- quarantine ----------------------------------------------------------------------------------------- */

void doctor_quarantine(struct doctor *doctor)
{
    struct waiting waiting;
    char since[CLOCK_TEXT];
    if (!doctor->state || waiting_look(&waiting, NULL, doctor->state, NULL))
        return;
    if (waiting.n == 0) {
        doctor_say(doctor, VERDICT_FINE, "quarantine", _("nothing waits for a decision"));
        return;
    }
    doctor_say(doctor, VERDICT_LOOK, "quarantine", _("undecided: %llu, the oldest since %s"),
               (unsigned long long)waiting.n, clock_text(since, waiting.oldest_us / 1000000));
    doctor_hint(_("look: casebus quarantine list"));
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

struct endings {
    struct doctor *doctor;
    struct authorities authorities;
    unsigned n, ending;
};

/* The authority fits the ledger, so it is the row that is wrong; else the authority is. */
static void node_hint(const struct doctor *doctor, struct casebus_error *err)
{
    struct bytes authority = bytes_of(doctor->keys.authority, doctor->keys.authority_size);
    if (doctor->ledger && authority_fits(doctor->ledger, authority, NULL) == 0)
        error_hint(err, _("the state is derived; make it again: casebus-hub rebuild %s"), doctor->dir);
    else
        hub_authority_hint(doctor->dir, err);
}

/* A certificate that ends soon is a line; the node says so itself, too. */
static int node_visit(void *self, struct bytes key, struct bytes value)
{
    struct endings *endings = self;
    struct node_row row;
    struct registry *registry = NULL;
    char name[NODE_TEXT_MAX];
    struct casebus_error err;
    snprintf(name, sizeof(name), "%.*s", (int)key.size, (const char *)key.data);
    endings->n++;
    if (node_row_decode(value, &row, &err) ||
        registry_build(&registry, &(struct registry_fact){row.enrolled, (Casebus__V1__NodeStatus)row.status},
                       1, &endings->authorities, &err)) {
        error_context(&err, _("node '%s'"), name);
        node_hint(endings->doctor, &err);
        doctor_error(endings->doctor, "node", &err);
        endings->ending++;
        return 0;
    }
    const struct registry_node *node = registry_find(registry, name);
    int64_t days =
        node ? certificate_days_left(node->info.not_after, clock_unix_us() / 1000000) : CERTIFICATE_WARN_DAYS;
    if (days < CERTIFICATE_WARN_DAYS && row.status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED) {
        doctor_say(
            endings->doctor, VERDICT_LOOK, "node",
            _n("the certificate of '%s' ends in %lld day", "the certificate of '%s' ends in %lld days", days),
            name, (long long)days);
        doctor_hint(_("its adapter renews it while it is connected; else enrol it again: casebus node add"));
        endings->ending++;
    }
    registry_unref(registry);
    return 0;
}

/* What a crash has left, or an older copy of keys/: the start of the hub tells them apart. */
static void newest_look(struct doctor *doctor, struct bytes newest, struct bytes found)
{
    if (bytes_equal(newest, found))
        return;
    doctor_say(
        doctor, VERDICT_LOOK, "authority",
        _("the ledger names another authority than the one in keys/authority.pem, which was before it"));
    doctor_hint(_("start the hub: it puts the new one into its place; if it refuses, this keys/ is an older "
                  "copy: put the newest one in its place"));
}

void doctor_nodes(struct doctor *doctor)
{
    struct state_view *view = NULL;
    struct endings endings = {.doctor = doctor};
    if (!doctor->state || !doctor->has_keys || state_view_open(&view, doctor->state, NULL))
        return;
    struct bytes authority = bytes_of(doctor->keys.authority, doctor->keys.authority_size);
    if (!doctor->ledger || authority_fits(doctor->ledger, authority, NULL) ||
        authorities_read(&endings.authorities, doctor->ledger, doctor->state, NULL) ||
        endings.authorities.n == 0)
        authorities_add(&endings.authorities, authority, NULL);
    else
        newest_look(doctor, authorities_newest(&endings.authorities), authority);
    state_view_walk(view, TABLE_NODES, bytes_of("", 0), node_visit, &endings, NULL);
    authorities_deinit(&endings.authorities);
    state_view_close(view);
    if (!endings.ending)
        doctor_say(doctor, VERDICT_FINE, "nodes",
                   _n("%u node is enrolled; no certificate ends within %d days",
                      "%u nodes are enrolled; no certificate ends within %d days", endings.n),
                   endings.n, CERTIFICATE_WARN_DAYS);
}
