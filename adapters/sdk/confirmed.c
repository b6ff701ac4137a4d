/* "Unconfirmed since" begins when the node is shown something that goes beyond what witnesses have confirmed,
 * and begins anew with each confirmation that does not yet cover all. A quiet hub is not an unconfirmed one.
 */
#include "adapters/sdk/confirmed.h"

#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 3600
#define SINCE_KEEP_US                                                                                        \
    (INT64_C(60) * 1000000) /* a doubt of less than this is kept only when the node ends                     \
                             */

/* --- opening --- */

/* The last word of a witness in @note, 0 when there is none. */
static int64_t cosigned_at(const struct policy *policy, struct bytes note)
{
    int64_t last_s = 0;

    for (size_t i = 0; i < policy->n_witnesses; i++) {
        int64_t at_s = 0;
        if (note_cosigned(&at_s, note, &policy->witnesses[i].verifier, NULL) == 1 && at_s > last_s)
            last_s = at_s;
    }
    return last_s;
}

static int newest_load(struct confirmed *confirmed, struct casebus_error *err)
{
    struct buffer note;

    if (access(confirmed->path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int r = file_read(confirmed->path, NOTE_MAX, &note, err);
    struct bytes bytes = bytes_of(note.data, note.size);
    if (r == 0 && checkpoint_check(&confirmed->newest, bytes, confirmed->log, err) != 0) {
        error_context(err, "'%s'", confirmed->path);
        error_hint(err, _("it is what witnesses have confirmed of the hub; keep a copy before removing it"));
        r = -1;
    }
    /* The policy may have been changed since: then what is kept counts for nothing. */
    if (r == 0 && policy_check(confirmed->policy, bytes, NULL, NULL) != 1)
        confirmed->newest = (struct checkpoint){0};
    else if (r == 0)
        confirmed->newest_at_s = cosigned_at(confirmed->policy, bytes);
    buffer_deinit(&note);
    return r;
}

static void since_load(struct confirmed *confirmed)
{
    struct buffer text;
    uint64_t since;

    if (access(confirmed->since_path, F_OK) == 0 && file_read(confirmed->since_path, 32, &text, NULL) == 0) {
        if (text.size && note_number_parse(&since, bytes_of(text.data, text.size - 1)))
            confirmed->unconfirmed_since_us = (int64_t)since;
        confirmed->since_kept = true;
        buffer_deinit(&text);
    }
}

static void since_keep(struct confirmed *confirmed)
{
    char text[32];

    if (!confirmed->unconfirmed_since_us || confirmed->since_kept)
        return;
    int n = snprintf(text, sizeof text, "%" PRId64 "\n", confirmed->unconfirmed_since_us);
    confirmed->since_kept = file_write(confirmed->since_path, bytes_of(text, (size_t)n), 0600, NULL) == 0;
}

static void since_set(struct confirmed *confirmed, int64_t since_us)
{
    if (confirmed->since_kept && since_us != confirmed->unconfirmed_since_us) {
        unlink(confirmed->since_path);
        confirmed->since_kept = false;
    }
    confirmed->unconfirmed_since_us = since_us;
}

int confirmed_open(struct confirmed *confirmed, const char *dir, const char *policy_path, unsigned patience_s,
                   const struct note_verifier *log, struct crypter *crypter, const struct log *lines,
                   struct casebus_error *err)
{
    *confirmed = (struct confirmed){.log = log, .crypter = crypter, .lines = lines};
    if (!policy_path || !*policy_path)
        return 0;
    confirmed->patience_us = (int64_t)(patience_s ? patience_s : PATIENCE_S) * 1000000;
    if (path_join(confirmed->path, PATH_MAX, dir, "cosigned") != 0 ||
        path_join(confirmed->since_path, PATH_MAX, dir, "unconfirmed-since") != 0 ||
        path_join(confirmed->evidence, PATH_MAX, dir, "evidence") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    if (policy_read(&confirmed->policy, policy_path, err) != 0)
        return -1;
    if (!policy_knows_log(confirmed->policy, log)) {
        error_set(err, CASEBUS_CONFIG, _("'%s' does not list the log of this node's hub, '%s'"), policy_path,
                  log->name);
        return error_hint(err, _("its `log` lines name other logs, or another key of this one"));
    }
    if (newest_load(confirmed, err) != 0)
        return -1;
    since_load(confirmed);
    return 0;
}

void confirmed_close(struct confirmed *confirmed)
{
    if (confirmed->policy)
        since_keep(confirmed);
    confirmed->policy = policy_free(confirmed->policy);
}

/* --- contradictions --- */

static bool evidence_write(const struct confirmed *confirmed, int64_t now_s, const char *whose,
                           struct bytes note)
{
    char path[PATH_MAX], name[80];

    snprintf(name, sizeof name, "fork-%" PRId64 "-%s.note", now_s, whose);
    return path_join(path, sizeof path, confirmed->evidence, name) == 0 &&
           file_write(path, note, 0600, NULL) == 0;
}

/* Both are signed by the hub: whoever sees the two knows that it lied to somebody. */
static int contradiction(const struct confirmed *confirmed, const struct witness *witness, struct bytes note,
                         const struct checkpoint *cosigned, struct casebus_error *err)
{
    int64_t now_s = clock_unix_us() / 1000000;
    bool kept =
        dir_make(confirmed->evidence, NULL) == 0 &&
        evidence_write(confirmed, now_s, "shown-to-this-node", bytes_of(witness->note, witness->note_size)) &&
        evidence_write(confirmed, now_s, "shown-to-witnesses", note);

    error_set(
        err, CASEBUS_CONSISTENCY,
        _("the hub shows this node a tree of %" PRIu64
          " entries that does not agree with the tree of %" PRIu64
          " entries that it showed to witnesses: it shows different records to different people, or has "
          "changed its record"),
        witness->newest.size, cosigned->size);
    if (kept)
        return error_hint(
            err, _("both signed checkpoints are kept in '%.120s'; show them to whoever oversees the hub"),
            confirmed->evidence);
    return error_hint(err, _("keep this node's directory as it is, and tell whoever oversees the hub"));
}

static bool agrees(const struct confirmed *confirmed, const struct checkpoint *shown,
                   const struct checkpoint *cosigned, const Casebus__V1__SignedCheckpoint *sent)
{
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];

    if (cosigned->size > shown->size || sent->n_consistency > TREE_PROOF_MAX + 1)
        return false;
    for (size_t i = 0; i < sent->n_consistency; i++) {
        if (sent->consistency[i].len != DIGEST_SIZE)
            return false;
        memcpy(proof[i], sent->consistency[i].data, DIGEST_SIZE);
    }
    return tree_check_consistency(confirmed->crypter, cosigned->size, shown->size, cosigned->root,
                                  shown->root, proof[0], sent->n_consistency);
}

/* --- taking --- */

static int newest_set(struct confirmed *confirmed, const struct checkpoint *cosigned, struct bytes note,
                      const struct witness *witness, struct casebus_error *err)
{
    int64_t at_s = cosigned_at(confirmed->policy, note);
    bool news = cosigned->size > confirmed->newest.size || at_s > confirmed->newest_at_s;
    if (news && file_write(confirmed->path, note, 0600, err) != 0)
        return -1;
    confirmed->newest = *cosigned;
    confirmed->newest_at_s = at_s;
    since_set(confirmed, cosigned->size < witness->newest.size ? clock_unix_us() : 0);
    if (confirmed->told)
        log_notice(confirmed->lines, "WITNESSED-AGAIN",
                   _("witnesses confirm the hub's ledger again, up to entry %" PRIu64), cosigned->size);
    confirmed->told = false;
    return 0;
}

int confirmed_take(struct confirmed *confirmed, const struct witness *witness,
                   const Casebus__V1__SignedCheckpoint *sent, struct casebus_error *err)
{
    struct checkpoint cosigned;
    struct casebus_error why;

    if (!confirmed->policy)
        return 0;
    if (sent->note.len > NOTE_MAX)
        return error_set(err, CASEBUS_MALFORMED, _("the hub has sent a checkpoint that is too long"));
    struct bytes note = bytes_of(sent->note.data, sent->note.len);
    if (checkpoint_check(&cosigned, note, confirmed->log, err) != 0)
        return -1;
    int enough = policy_check(confirmed->policy, note, NULL, &why);
    if (enough < 0) {
        *err = why;
        return -1;
    }
    if (!enough) {
        log_debug(confirmed->lines, "TOO-FEW-WITNESSES", "%s", why.text);
        return 0;
    }
    if (!agrees(confirmed, &witness->newest, &cosigned, sent))
        return contradiction(confirmed, witness, note, &cosigned, err);
    if (cosigned.size < confirmed->newest.size)
        return 0;
    return newest_set(confirmed, &cosigned, note, witness, err);
}

/* --- the dated state --- */

static void tell(struct confirmed *confirmed)
{
    char since[CLOCK_TEXT], at[CLOCK_TEXT], last[160];

    clock_text(since, (time_t)(confirmed->unconfirmed_since_us / 1000000));
    clock_text(at, (time_t)confirmed->newest_at_s);
    if (confirmed->newest.size)
        snprintf(last, sizeof last, _("the last confirmation was given at %s for %" PRIu64 " entries"), at,
                 confirmed->newest.size);
    else
        snprintf(last, sizeof last, "%s", _("there was none before"));
    log_warning(
        confirmed->lines, "UNWITNESSED",
        _("no witness has confirmed this hub's ledger since %s (%s): whether others are shown the same "
          "record as this node is not known; events go on, and the hub's operator should look at "
          "`casebus witness show`"),
        since, last);
}

void confirmed_look(struct confirmed *confirmed, const struct witness *witness)
{
    int64_t now_us = clock_unix_us();

    if (!confirmed->policy)
        return;
    if (witness->newest.size <= confirmed->newest.size) {
        since_set(confirmed, 0);
        return;
    }
    if (!confirmed->unconfirmed_since_us || confirmed->unconfirmed_since_us > now_us)
        since_set(confirmed, now_us);
    if (now_us - confirmed->unconfirmed_since_us >= SINCE_KEEP_US)
        since_keep(confirmed);
    if (!confirmed->told && now_us - confirmed->unconfirmed_since_us >= confirmed->patience_us) {
        confirmed->told = true;
        tell(confirmed);
    }
}
