#include "hub/backup/restore.h"

#include "hub/backup/shown.h"
#include "hub/backup/wrapped.h"
#include "hub/gate/authorities_ledger.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/entry.h"
#include "proto/crypto/certificate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct restore {
    const struct restore_options *options;
    struct restore_result *result;
    struct checkpoint target; /* of the backup */
    struct shown others;      /* the newest that was given */
    struct shown newest;      /* of that and the backup's own */
    struct ledger *from, *to;
    struct wrapped wrapped;
};

/* --- what others hold ----------------------------------------------------------------------------------- */

static int checkpoints_read(struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    const struct manifest *manifest = &restore->result->manifest;
    for (size_t i = 0; i < options->n_checkpoints; i++)
        if (shown_read(&restore->others, options->checkpoints[i], manifest->origin, options->log_key, err))
            return -1;
    restore->newest = restore->others;
    restore->result->others = options->n_checkpoints;
    restore->result->shown = restore->others.checkpoint.size;
    return shown_add(&restore->newest, bytes_of_text(manifest->note), manifest->origin, options->log_key,
                     err);
}

/* Every one is compared, not only the newest: an older one may tell of another tree. */
static int checkpoints_compare(const struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    for (size_t i = 0; i < options->n_checkpoints; i++) {
        struct shown one = {.checkpoint = {.size = 0}};
        if (shown_read(&one, options->checkpoints[i], restore->result->manifest.origin, options->log_key,
                       err))
            return -1;
        bool left_behind = strcmp(one.checkpoint.origin, ledger_origin(restore->to)) != 0 &&
                           origin_follows(ledger_origin(restore->to), one.checkpoint.origin);
        if (left_behind) /* what that generation had shown beyond its end is known to be lost */
            continue;
        if (shown_compare(&one, restore->to, err))
            return error_context(err, "'%s'", options->checkpoints[i]);
    }
    return 0;
}

/* --- the copies ----------------------------------------------------------------------------------------- */

static int ledger_back(struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    const struct checkpoint *target = &restore->target;
    size_t n;
    if (ledger_open_still(&restore->from, options->dest, err) ||
        ledger_open(&restore->to, options->dir, ledger_generations(restore->from, &n)->origin, err) ||
        rows_copy(restore->to, restore->from, target->size, target->root, options->progress, options->self,
                  err))
        return -1;
    return ledger_publish(restore->to, target->size, bytes_of_text(restore->result->manifest.note), err);
}

static int vault_back(struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    char path[PATH_MAX];
    struct vault *vault = NULL;
    if (path_join(path, sizeof(path), options->dest, restore->result->manifest.vault))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), options->dest);
    if (vault_import(options->dir, path, err))
        return -1;
    int r = vault_open_readonly(&vault, options->dir, suite_get(signing_key_public(options->log_key)->suite),
                                options->kek, err);
    vault_close(vault);
    if (r && err->code == CASEBUS_KEY)
        error_hint(err, _("give the copy of keys/ that was made after the last rotate-kek, and a backup made "
                          "after it"));
    return r;
}

/* The vault of the backup, before it is used. What is damaged may be left as it is, if it is all that there
 * is. */
static int vault_read(struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    if (wrapped_read(&restore->wrapped, options->dest, &restore->result->manifest, err) == 0)
        return 0;
    if (err->code != CASEBUS_DAMAGED || !options->left_out)
        return -1;
    options->left_out(options->self, err);
    return 0;
}

/* With --leave-damaged: an older copy of the vault is better than none, without what was destroyed since. */
static int vault_destroy(struct restore *restore, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    const struct wrapped *wrapped = &restore->wrapped;
    struct vault *vault = NULL;
    uint64_t *slots = calloc(wrapped->n_ordered, sizeof(*slots));
    if (!slots)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to follow what was erased"));
    for (size_t i = 0; i < wrapped->n_ordered; i++)
        slots[i] = wrapped->ordered[i].slot;
    int r = vault_open(&vault, options->dir, suite_get(signing_key_public(options->log_key)->suite),
                       options->kek, 1, NULL, err);
    if (!r) {
        vault_set_taken(vault, vault_made(vault)); /* which are is known when the hub starts */
        r = vault_erase_slots(vault, slots, wrapped->n_ordered, err);
    }
    vault_close(vault);
    free(slots);
    return r;
}

/* The ledger's word on the vault that is put back. */
static int vault_judge(struct restore *restore, struct casebus_error *err)
{
    struct wrapped *wrapped = &restore->wrapped;
    if (wrapped_hear_all(wrapped, restore->to, err))
        return -1;
    if (wrapped_judge(wrapped, err) == 0)
        return 0;
    if (!restore->options->left_out)
        return -1;
    restore->options->left_out(restore->options->self, err);
    return vault_destroy(restore, err);
}

/* --- the next generation -------------------------------------------------------------------------------- */

static int last_time(struct ledger *ledger, struct arena *arena, int64_t *time_us, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    struct bytes leaf;
    if (ledger_view_open(&view, ledger, err))
        return -1;
    int r = ledger_view_leaf(view, ledger_view_size(view) - 1, &leaf, err);
    const Casebus__V1__LedgerEntry *entry = r ? NULL : entry_decode(leaf, arena, err);
    if (entry)
        *time_us = entry->hub_time_us;
    ledger_view_close(view);
    return entry ? 0 : -1;
}

/* The generation before is the one before in this tree; what others were shown may be of a later one, that
 * was lost altogether. */
static struct bytes opening_entry(const struct restore *restore, struct bytes authority, int64_t time_us,
                                  struct arena *arena)
{
    const struct restore_options *options = restore->options;
    const struct shown *newest = &restore->newest;
    char vkey[VKEY_MAX];
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    Casebus__V1__LedgerEntry entry = CASEBUS__V1__LEDGER_ENTRY__INIT;
    if (note_vkey_format(vkey, sizeof(vkey), restore->result->origin, signing_key_public(options->log_key)) <
        0)
        return bytes_of(NULL, 0);
    opened.origin = restore->result->origin;
    opened.log_key = vkey;
    opened.authority = (ProtobufCBinaryData){authority.size, (uint8_t *)(uintptr_t)authority.data};
    opened.software = (char *)"casebus-hub/" CASEBUS_RELEASE;
    opened.previous_origin = (char *)ledger_origin(restore->to);
    opened.previous_checkpoint = (ProtobufCBinaryData){strlen(newest->note), (uint8_t *)newest->note};
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    entry.format = 1;
    entry.suite = (Casebus__V1__Suite)signing_key_public(options->log_key)->suite;
    entry.hub_time_us = time_us;
    entry.content_case = CASEBUS__V1__LEDGER_ENTRY__CONTENT_ACT;
    entry.act = &act;
    return codec_pack(&entry, arena);
}

static int generation_open(struct restore *restore, struct arena *arena, struct casebus_error *err)
{
    int64_t time_us = 0, now_us = clock_unix_us();
    if (!origin_next(restore->result->origin, sizeof(restore->result->origin),
                     restore->newest.checkpoint.origin))
        return error_set(err, CASEBUS_ARGUMENT, _("there is no generation behind '%s'"),
                         restore->newest.checkpoint.origin);
    if (last_time(restore->to, arena, &time_us, err))
        return -1;
    struct authorities authorities = {.n = 0};
    if (authorities_read(&authorities, restore->to, NULL, err)) {
        authorities_deinit(&authorities);
        return -1;
    }
    struct bytes leaf =
        opening_entry(restore, authorities_newest(&authorities), now_us > time_us ? now_us : time_us, arena);
    authorities_deinit(&authorities);
    if (!leaf.size)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to open a generation"));
    if (ledger_begin_generation(restore->to, restore->result->origin, err))
        return -1;
    return rows_add(restore->to, leaf, err);
}

/* Whoever signed at a place must not sign something else there. */
static int generation_keep(struct restore *restore, struct casebus_error *err)
{
    const struct checkpoint *others = &restore->others.checkpoint;
    uint64_t size = restore->target.size;
    snprintf(restore->result->origin, sizeof(restore->result->origin), "%s",
             restore->result->manifest.origin);
    if (restore->options->n_checkpoints == 0) {
        error_set(err, CASEBUS_ARGUMENT,
                  _("--same-generation needs a checkpoint that somebody else holds: --checkpoint FILE"));
        return error_hint(err, _("without --same-generation the hub goes on under the next generation"));
    }
    if (others->size <= size && strcmp(others->origin, restore->result->origin) == 0)
        return 0;
    error_set(
        err, CASEBUS_BEHIND,
        _("others have seen %llu entries of '%s', but the backup holds %llu of '%s': the hub cannot go on "
          "in the same generation"),
        (unsigned long long)others->size, others->origin, (unsigned long long)size, restore->result->origin);
    return error_hint(err, _("leave --same-generation out"));
}

static int restore_all(struct restore *restore, struct arena *arena, struct casebus_error *err)
{
    const struct restore_options *options = restore->options;
    const struct papers *papers = &restore->result->manifest.papers;
    if (manifest_checkpoint(&restore->result->manifest, &restore->target, err) ||
        (!options->left_out && papers_check(papers, options->dest, err)) || vault_read(restore, err) ||
        checkpoints_read(restore, err) || (options->same_generation && generation_keep(restore, err)) ||
        ledger_back(restore, err) || checkpoints_compare(restore, err) || vault_back(restore, err) ||
        vault_judge(restore, err) ||
        papers_restore(papers, options->dest, options->dir, options->left_out, options->self, err))
        return -1;
    if (!options->same_generation && generation_open(restore, arena, err))
        return -1;
    if (note_vkey_format(restore->result->log_key, sizeof(restore->result->log_key), restore->result->origin,
                         signing_key_public(options->log_key)) < 0)
        return error_set(err, CASEBUS_KEY, _("the log's key cannot be written under the name '%s'"),
                         restore->result->origin);
    return 0;
}

int restore_run(const struct restore_options *options, struct restore_result *result,
                struct casebus_error *err)
{
    struct restore restore = {.options = options, .result = result};
    struct arena arena;
    *result = (struct restore_result){.shown = 0};
    int there = manifest_read(&result->manifest, options->dest, err);
    if (there < 0)
        return -1;
    if (!there)
        return error_set(err, CASEBUS_NOT_FOUND, _("'%s' holds no backup that was completed"), options->dest);
    int lock = backup_lock_shared(options->dest, err);
    if (lock < 0)
        return -1;
    arena_init(&arena, 16 * 1024, 256 * 1024);
    int r = restore_all(&restore, &arena, err);
    arena_deinit(&arena);
    wrapped_deinit(&restore.wrapped);
    ledger_close(restore.to);
    ledger_close(restore.from);
    close(lock);
    return r;
}
