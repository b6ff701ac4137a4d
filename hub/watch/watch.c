/* Bundles are taken into files first, and into the copy only when they give the root that the hub signed:
 * what a stranger on the line puts in cannot spoil what was seen before. What they mean is then verified by
 * the same code that verifies a hub's own ledger (hub/verify), going on where it ended. */
#include "hub/watch/watch.h"

#include "hub/verify/verify.h"
#include "hub/watch/aside.h"
#include "hub/watch/evidence.h"
#include "hub/watch/internal.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY 65536 /* entries: reading them takes long enough to say so */

int watch_alarm(struct watch *watch, struct casebus_error *err)
{
    evidence_keep(watch->evidence, watch->newest, watch->note, &watch->bundles, err);
    return 1;
}

/* ---- into the copy ---- */

/* Who gets a key is said in words: that is what a department watches for. */
static void enrolment_tell(struct watch *watch, uint64_t position, const Casebus__V1__NodeEnrolled *enrolled)
{
    const Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of(enrolled->statement.data, enrolled->statement.len), &watch->arena, NULL);
    watch->result->enrolled++;
    if (statement)
        log_notice(watch->options.log, "WATCH-ENROLLED",
                   _("entry %" PRIu64 " enrols a key for node '%s' of department '%s'"), position,
                   statement->node, statement->department);
}

/* A hub that was restored says itself what it has lost, as far as it was told. */
static void opening_tell(struct watch *watch, uint64_t position, const Casebus__V1__LedgerOpened *opened)
{
    struct checkpoint shown;
    struct bytes note = bytes_of(opened->previous_checkpoint.data, opened->previous_checkpoint.len);
    if (position == 0)
        return;
    if (checkpoint_parse(&shown, note, NULL) == 0 && shown.size > position)
        log_notice(watch->options.log, "WATCH-RESTORED",
                   _("entry %" PRIu64
                     ": the hub was restored and goes on as '%s'; it says that entries %" PRIu64
                     " to %" PRIu64 " of '%s' are missing"),
                   position, opened->origin, position, shown.size - 1, shown.origin);
    else
        log_notice(watch->options.log, "WATCH-RESTORED",
                   _("entry %" PRIu64
                     ": the hub was restored and goes on as '%s'; it says that nothing that was "
                     "shown to others is missing"),
                   position, opened->origin);
}

/* The next key of a name whose keys were revoked is vouched for by the hub's operator alone: the department
 * has to be asked. */
static void standing_tell(struct watch *watch, uint64_t position,
                          const Casebus__V1__NodeStatusChanged *changed)
{
    const struct log *log = watch->options.log;
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED)
        log_warning(log, "WATCH-REVOKED",
                    _("entry %" PRIu64
                      ": the keys of node '%s' are revoked; for the next key of that name the "
                      "hub's operator alone vouches: ask the department"),
                    position, changed->node);
    else if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_SUSPENDED)
        log_notice(log, "WATCH-SUSPENDED", _("entry %" PRIu64 ": node '%s' is suspended"), position,
                   changed->node);
    else
        log_notice(log, "WATCH-RESUMED", _("entry %" PRIu64 ": node '%s' is active again"), position,
                   changed->node);
}

static void entry_tell(struct watch *watch, uint64_t position, struct bytes entry)
{
    arena_reset(&watch->arena);
    const Casebus__V1__LedgerEntry *decoded = entry_decode(entry, &watch->arena, NULL);
    if (!decoded || decoded->content_case != CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT)
        return;
    if (decoded->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED)
        enrolment_tell(watch, position, decoded->act->node_enrolled);
    else if (decoded->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED)
        opening_tell(watch, position, decoded->act->ledger_opened);
    else if (decoded->act->act_case == CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED)
        standing_tell(watch, position, decoded->act->node_status_changed);
}

struct storing {
    struct watch *watch;
    struct seen *seen;
};

static int on_entry(void *self, uint64_t position, struct bytes entry, struct casebus_error *err)
{
    struct storing *storing = self;
    if (entry.size == 0) {
        error_set(err, CASEBUS_MALFORMED, _("entry %" PRIu64 " of the tree that the hub signed is empty"),
                  position);
        return 1;
    }
    if (position == 0 && !opening_of(entry, &storing->watch->arena)) {
        error_set(err, CASEBUS_MALFORMED,
                  _("the first entry of the tree that the hub signed opens no ledger"));
        return 1;
    }
    if (seen_add(storing->seen, entry, err))
        return -1;
    entry_tell(storing->watch, position, entry);
    return 0;
}

int watch_store(struct watch *watch, struct seen *seen, struct casebus_error *err)
{
    struct storing storing = {.watch = watch, .seen = seen};
    int r = bundles_visit(&watch->bundles, seen->tree.size, watch->checkpoint.size, on_entry, &storing, err);
    if (r)
        return r;
    if (seen_flush(seen, err) || ledger_publish(seen->ledger, watch->checkpoint.size, watch->note, err))
        return -1;
    return 0;
}

/* ---- what it means ---- */

static void on_verified(void *self, enum verify_phase phase, uint64_t done, uint64_t total)
{
    const struct watch *watch = self;
    if (watch->options.progress && phase == VERIFY_ENTRIES)
        watch->options.progress(watch->options.self, WATCH_VERIFYING, done, total);
}

static bool on_stop(void *self)
{
    const struct watch *watch = self;
    return watch->options.stop && watch->options.stop(watch->options.self);
}

static void on_unvouched(void *self, uint64_t position, const struct certificate_info *info,
                         bool after_revoked)
{
    vouched_meet(&((struct watch *)self)->vouched, position, info, after_revoked);
}

int watch_meaning(struct watch *watch, const struct seen *seen, struct casebus_error *err)
{
    char resume[PATH_MAX];
    struct verify_result *verified = calloc(1, sizeof *verified);
    const struct verify_options options = {.ledger = seen->ledger,
                                           .log_key = watch->vkey,
                                           .authority = watch->options.authority,
                                           .resume_path = resume,
                                           .resume = true,
                                           .progress = on_verified,
                                           .stop = on_stop,
                                           .unvouched = on_unvouched,
                                           .self = watch};
    vouched_begin(&watch->vouched);
    if (!verified)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    int answer = -1;
    if (path_join(resume, sizeof resume, seen->dir, "verify.resume"))
        error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), seen->dir);
    else
        answer = verify_ledger(&options, verified, err);
    if (answer == VERIFY_WRONG)
        *err = verified->fault;
    if (answer == VERIFY_STOPPED)
        answer = error_set(err, CASEBUS_CLOSED, _("stopped before everything was read"));
    free(verified);
    return answer < 0 ? -1 : answer == VERIFY_WRONG;
}

/* ---- a round ---- */

static int checkpoint_get(struct watch *watch, struct buffer *note, struct casebus_error *err)
{
    if (source_get(watch->options.source, "checkpoint", NOTE_MAX, note, err))
        return err->code == CASEBUS_NOT_FOUND || err->code == CASEBUS_NETWORK ? logs_hint(err) : -1;
    watch->note = bytes_of(note->data, note->size);
    int r = logs_check(&watch->logs, watch->note, &watch->checkpoint, watch->vkey, err);
    if (r || !watch->options.policy)
        return r;
    int enough = policy_check(watch->options.policy, watch->note, NULL, err);
    return enough == 1 ? 0 : enough == 0 ? -1 : 1; /* too few may be more in a moment; a false one is a lie */
}

/* 1: the first entries of the copy are those that the hub signed. */
static int begins_with(struct watch *watch, struct casebus_error *err)
{
    uint8_t root[DIGEST_SIZE];
    if (seen_root(&watch->seen, watch->checkpoint.size, root, err))
        return -1;
    return memcmp(root, watch->checkpoint.root, DIGEST_SIZE) == 0;
}

static int behind(const struct watch *watch, struct casebus_error *err)
{
    error_set(err, CASEBUS_BEHIND,
              _("an older tree of %" PRIu64 " entries is shown; %" PRIu64
                " were seen before, and agree with it as far as it goes"),
              watch->checkpoint.size, watch->have);
    return error_hint(err,
                      _("an address that lags behind shows this, and so does a hub that has lost its newest "
                        "entries: ask its operator if it stays so"));
}

static int smaller_judge(struct watch *watch, struct casebus_error *err)
{
    int same = begins_with(watch, err);
    if (same != 1)
        return same < 0 ? -1 : watch_part(watch, err);
    return watch->checkpoint.size < watch->have ? behind(watch, err) : 0;
}

/* A generation that is over: what it signed up to the next one is in the copy; what it signed beyond that was
 * lost, and cannot be compared. */
static int earlier_judge(struct watch *watch, struct casebus_error *err)
{
    size_t n, i = 1;
    const struct ledger_generation *generations = ledger_generations(watch->seen.ledger, &n);
    while (i < n - 1 && origin_follows(watch->checkpoint.origin, generations[i].origin))
        i++;
    if (watch->checkpoint.size <= generations[i].position)
        return smaller_judge(watch, err);
    error_set(err, CASEBUS_BEHIND,
              _("a checkpoint of '%s' is shown, but the hub goes on as '%s' since entry %" PRIu64),
              watch->checkpoint.origin, seen_origin(&watch->seen), generations[i].position);
    return error_hint(err,
                      _("an address that lags behind shows this, and so does the hub of before the restore, "
                        "which must not run any more"));
}

bool watch_again(struct watch *watch, int r, const struct casebus_error *err)
{
    bool doubtful = r == 0 || (r < 0 && (err->code == CASEBUS_MALFORMED || err->code == CASEBUS_TOO_LARGE));
    if (!doubtful || watch->bundles.kept == 0)
        return false;
    bundles_drop(&watch->bundles);
    return true;
}

/* 1: the entries that were seen and those that are shown give the root that was signed. */
static int continues(struct watch *watch, struct casebus_error *err)
{
    struct tree tree;
    uint8_t root[DIGEST_SIZE];
    if (bundles_take(&watch->bundles, watch->have, err) || seen_tree(&watch->seen, watch->have, &tree, err) ||
        bundles_grow(&watch->bundles, &tree, watch->seen.crypter, err))
        return -1;
    tree_root(&tree, watch->seen.crypter, root);
    return memcmp(root, watch->checkpoint.root, DIGEST_SIZE) == 0;
}

static int larger_judge(struct watch *watch, struct casebus_error *err)
{
    if (watch->checkpoint.size - watch->have >= MANY)
        log_info(watch->options.log, "WATCH-READING", _("%" PRIu64 " new entries are read"),
                 watch->checkpoint.size - watch->have);
    int r = continues(watch, err);
    if (watch_again(watch, r, err))
        r = continues(watch, err);
    if (r <= 0)
        return r < 0 ? -1 : watch_part(watch, err);
    r = watch_store(watch, &watch->seen, err);
    if (r) {
        seen_close(&watch->seen); /* entries that were added wait in it, and are not written */
        return r > 0 ? watch_alarm(watch, err) : -1;
    }
    return file_write(watch->newest, watch->note, 0600, err);
}

static bool is_earlier(const struct watch *watch)
{
    const char *known = seen_origin(&watch->seen), *shown = watch->checkpoint.origin;
    return watch->have && strcmp(known, shown) != 0 && origin_follows(known, shown);
}

static int round_judge(struct watch *watch, struct casebus_error *err)
{
    if (is_earlier(watch))
        return earlier_judge(watch, err);
    if (watch->checkpoint.size <= watch->have)
        return smaller_judge(watch, err);
    return larger_judge(watch, err);
}

static void round_end(struct watch *watch)
{
    struct watch_result *result = watch->result;
    result->size = seen_size(&watch->seen);
    result->fresh = result->size - watch->stays;
    snprintf(result->origin, sizeof result->origin, "%s", seen_origin(&watch->seen));
    memcpy(result->root, watch->checkpoint.root, DIGEST_SIZE);
    result->vouched = watch->vouched.keys;
    result->n_vouched = watch->vouched.n;
    result->n_open = watch->vouched.n_open;
}

static int round_run(struct watch *watch, struct casebus_error *err)
{
    if (!watch->seen.rows && watch_seen_open(watch, err)) /* it was closed when something failed */
        return -1;
    watch->have = watch->stays = watch->result->size = seen_size(&watch->seen);
    bundles_begin(&watch->bundles, watch->checkpoint.size);
    int r = round_judge(watch, err);
    if (r == 0 && seen_size(&watch->seen) > 0)
        r = watch_meaning(watch, &watch->seen, err);
    if (r == 0)
        r = vouched_judge(&watch->vouched, err);
    if (r == 0)
        round_end(watch);
    if (r >= 0) /* otherwise the next look goes on with them */
        bundles_drop(&watch->bundles);
    return r;
}

int watch_round(struct watch *watch, struct watch_result *result, struct casebus_error *err)
{
    struct buffer note;
    struct casebus_error why = {0};
    *result = (struct watch_result){0};
    watch->result = result;
    int r = checkpoint_get(watch, &note, err);
    if (r == 0)
        r = round_run(watch, err);
    buffer_deinit(&note);
    if (aside_tell(watch->options.dir, watch->options.log, result, &why) && r == 0) {
        *err = why;
        r = -1;
    }
    return r;
}

int watch_told(const struct watch_result *result, struct casebus_error *err)
{
    for (size_t i = 0; i < result->n_lost; i++)
        if (aside_told(&result->lost[i], err))
            return -1;
    return 0;
}

/* ---- life ---- */

/* A hub's own directory has a ledger as well, and would be written into. */
static int dir_check(const char *path, struct casebus_error *err)
{
    struct dirent *entry;
    bool ours = false, empty = true;
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open the directory '%s'"), path);
    while ((entry = readdir(dir))) {
        ours = ours || strcmp(entry->d_name, "incoming") == 0;
        empty = empty && (entry->d_name[0] == '.' || strcmp(entry->d_name, "lost+found") == 0);
    }
    closedir(dir);
    if (ours || empty)
        return 0;
    error_set(err, CASEBUS_EXISTS, _("'%s' holds other things than what was seen of a ledger"), path);
    return error_hint(err, _("give --state a directory of its own; it is made when it is missing"));
}

static int paths_make(struct watch *watch, char lock[PATH_MAX], struct casebus_error *err)
{
    const char *dir = watch->options.dir;
    if (path_join(lock, PATH_MAX, dir, "lock") || path_join(watch->bundles.dir, PATH_MAX, dir, "incoming") ||
        path_join(watch->evidence, PATH_MAX, dir, "evidence") ||
        path_join(watch->newest, PATH_MAX, dir, "checkpoint") ||
        path_join(watch->next, PATH_MAX, dir, "next") ||
        path_join(watch->vouched.path, PATH_MAX, dir, "accepted"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    return 0;
}

static void on_taken(void *self, uint64_t done, uint64_t total)
{
    const struct watch *watch = self;
    if (watch->options.progress)
        watch->options.progress(watch->options.self, WATCH_READING, done, total);
}

static int parts_open(struct watch *watch, struct casebus_error *err)
{
    char lock[PATH_MAX];
    const struct watch_options *options = &watch->options;
    if (logs_init(&watch->logs, options->log_vkeys, options->n_logs, err) || paths_make(watch, lock, err) ||
        dir_check(options->dir, err) || dir_make(options->dir, err) || dir_make(watch->bundles.dir, err))
        return -1;
    watch->lock = file_lock(lock, err);
    if (watch->lock < 0 || vouched_accept(&watch->vouched, options->accepted, options->n_accepted, err) ||
        watch_seen_open(watch, err))
        return -1;
    if (!watch->seen.ledger || logs_know(&watch->logs, seen_origin(&watch->seen)))
        return 0;
    error_set(err, CASEBUS_HUB_IDENTITY, _("in '%s' is what was seen of '%s', not of '%s'"), options->dir,
              seen_origin(&watch->seen), watch->logs.given[0].name);
    return error_hint(err, _("give --state a directory of its own; it is made when it is missing"));
}

int watch_open(struct watch **watchp, const struct watch_options *options, struct casebus_error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    *watchp = NULL;
    if (!watch)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to watch a ledger"));
    watch->options = *options;
    watch->lock = -1;
    watch->bundles =
        (struct bundles){.source = options->source, .progress = on_taken, .stop = on_stop, .self = watch};
    watch->vouched.departments = options->departments;
    watch->vouched.n_departments = options->n_departments;
    arena_init(&watch->arena, 64 * 1024, 4 * 1024 * 1024);
    int r = parts_open(watch, err);
    *watchp = r ? watch_close(watch) : watch;
    return r;
}

struct watch *watch_close(struct watch *watch)
{
    if (!watch)
        return NULL;
    seen_close(&watch->seen);
    logs_deinit(&watch->logs);
    vouched_deinit(&watch->vouched);
    arena_deinit(&watch->arena);
    if (watch->lock >= 0)
        close(watch->lock);
    free(watch);
    return NULL;
}
