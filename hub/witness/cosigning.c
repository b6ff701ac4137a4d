/* A round: the newest published checkpoint goes to every witness that has not cosigned it yet, all at once.
 * Whoever answers 409 is asked again from the size that it named. A round begins at most once a second, and
 * only when there is something new or somebody to be tried again; who is silent is tried less and less often,
 * up to once a minute. */
#include "hub/witness/cosigning.h"

#include "hub/witness/asking.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/submission.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUND_MS     1000
#define ANSWER_MS    5000
#define FIRST_ASK_MS 3000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define TRIES        3 /* in one round: its size may have changed under us */

struct party {
    uint64_t known; /* size that it is thought to know; beyond what is shown: not asked until that much is */
    bool ahead;     /* its last answer named more than this hub has */
    uint64_t next_try_ns;
    uint64_t wait_ms;
    /* for the round */
    uint64_t sent_old;
    char url[POLICY_URL_MAX + 32];
    char body[SUBMISSION_MAX];
};

struct cosigning {
    struct cosigning_options options;
    struct note_verifier log_verifier;
    char path[PATH_MAX];
    struct crypter *crypter;
    struct asking asking;
    pthread_t thread;
    bool running;
    struct party parties[POLICY_WITNESSES_MAX];

    /* The checkpoint that is being shown; of the thread. */
    struct checkpoint shown;
    char note[NOTE_MAX + 1];
    uint64_t cosigned; /* a bit for each witness */
    bool again;        /* somebody named another size */
    struct casebus_error behind_why;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    char newest[NOTE_MAX + 1]; /* that satisfies the policy; "": none */
    struct cosigning_status status;
};

/* ---- what is known of a witness ---- */

static struct cosigning_witness *told(struct cosigning *cosigning, size_t i)
{
    return &cosigning->status.witnesses[i];
}

static void party_silent(struct cosigning *cosigning, size_t i, const char *why)
{
    struct party *party = &cosigning->parties[i];
    const char *name = cosigning->options.policy->witnesses[i].name;

    party->wait_ms = party->wait_ms ? party->wait_ms * 2 : RETRY_MIN_MS;
    if (party->wait_ms > RETRY_MAX_MS)
        party->wait_ms = RETRY_MAX_MS;
    party->next_try_ns = clock_monotonic_ns() + party->wait_ms * 1000000;
    pthread_mutex_lock(&cosigning->lock);
    bool news = told(cosigning, i)->silent_since_us == 0;
    if (news)
        told(cosigning, i)->silent_since_us = clock_unix_us();
    snprintf(told(cosigning, i)->trouble, sizeof told(cosigning, i)->trouble, "%s", why);
    utf8_cut(told(cosigning, i)->trouble);
    pthread_mutex_unlock(&cosigning->lock);
    if (news)
        log_warning(cosigning->options.log, "WITNESS-SILENT",
                    _("witness '%s' does not cosign: %s; the hub goes on and tries again"), name, why);
}

static void party_cosigned(struct cosigning *cosigning, size_t i, int64_t at_s)
{
    struct party *party = &cosigning->parties[i];
    const char *name = cosigning->options.policy->witnesses[i].name;

    party->known = cosigning->shown.size;
    party->wait_ms = 0;
    party->ahead = false;
    cosigning->cosigned |= UINT64_C(1) << i;
    pthread_mutex_lock(&cosigning->lock);
    int64_t since = told(cosigning, i)->silent_since_us;
    told(cosigning, i)->silent_since_us = 0;
    told(cosigning, i)->trouble[0] = '\0';
    told(cosigning, i)->cosigned_size = cosigning->shown.size;
    told(cosigning, i)->cosigned_at_s = at_s;
    pthread_mutex_unlock(&cosigning->lock);
    if (since)
        log_notice(cosigning->options.log, "WITNESS-BACK",
                   _("witness '%s' cosigns again, after %" PRId64 " s of silence"), name,
                   (clock_unix_us() - since) / 1000000);
}

static void found_behind(struct cosigning *cosigning)
{
    pthread_mutex_lock(&cosigning->lock);
    bool news = !cosigning->status.behind;
    cosigning->status.behind = true;
    pthread_mutex_unlock(&cosigning->lock);
    if (news && cosigning->options.on_behind && cosigning->running)
        cosigning->options.on_behind(cosigning->options.self, &cosigning->behind_why);
}

static void behind_hint(struct cosigning *cosigning)
{
    error_hint(&cosigning->behind_why, _("the hub was restored from an old copy, or its record was changed; "
                                         "docs/witness.md says what to do"));
}

/* ---- what satisfies the policy ---- */

static void newest_set(struct cosigning *cosigning)
{
    struct casebus_error err;
    size_t size = strlen(cosigning->note);

    if (file_write(cosigning->path, bytes_of(cosigning->note, size), 0600, &err)) {
        log_error(cosigning->options.log, "COSIGNED-FAILED", "%s", err.text);
        return;
    }
    pthread_mutex_lock(&cosigning->lock);
    memcpy(cosigning->newest, cosigning->note, size + 1);
    if (cosigning->status.size != cosigning->shown.size || !cosigning->status.at_us)
        cosigning->status.at_us = clock_unix_us();
    cosigning->status.size = cosigning->shown.size;
    pthread_mutex_unlock(&cosigning->lock);
    if (cosigning->options.on_cosigned)
        cosigning->options.on_cosigned(cosigning->options.self, cosigning->shown.size, cosigning->note);
}

/* ---- answers ---- */

static void on_cosignature(struct cosigning *cosigning, size_t i, struct bytes lines)
{
    const struct policy *policy = cosigning->options.policy;
    const struct note_verifier *verifier = &policy->witnesses[i].verifier;
    struct casebus_error err = {0};
    int64_t at_s = 0;
    int r = note_add_cosignature(cosigning->note, sizeof cosigning->note, lines, verifier, &at_s, &err);

    if (r < 0)
        party_silent(cosigning, i, err.text);
    else if (r == 0)
        party_silent(cosigning, i, _("it answers without a signature by its key"));
    else {
        party_cosigned(cosigning, i, at_s);
        if (policy_quorum(policy, cosigning->cosigned))
            newest_set(cosigning);
    }
}

/* Entries that this hub may have signed for. What is shown is older: while the question was on its way,
 * others may have shown the witness what was signed since. */
static uint64_t committed(const struct cosigning *cosigning)
{
    const struct cosigning_options *options = &cosigning->options;
    uint64_t kept = ledger_size(options->ledger),
             durable = options->committed ? options->committed(options->self) : 0;

    return durable > kept ? durable : kept;
}

/* A witness names more than this hub has. It has to say so twice before that stops the hub. */
static void on_ahead(struct cosigning *cosigning, size_t i, uint64_t size, uint64_t has)
{
    struct party *party = &cosigning->parties[i];

    if (!party->ahead) {
        party->ahead = true;
        party->next_try_ns = 0;
        cosigning->again = true;
        return;
    }
    error_set(
        &cosigning->behind_why, CASEBUS_BEHIND,
        _("witness '%s' has cosigned a tree of %" PRIu64 " entries of this hub, which has only %" PRIu64),
        cosigning->options.policy->witnesses[i].name, size, has);
    behind_hint(cosigning);
}

/* The witness knows another size than we thought. */
static void on_conflict(struct cosigning *cosigning, size_t i, struct bytes text)
{
    struct party *party = &cosigning->parties[i];
    const char *name = cosigning->options.policy->witnesses[i].name;
    uint64_t size, has = committed(cosigning);

    if (text.size && text.data[text.size - 1] == '\n')
        text.size--;
    if (!note_number_parse(&size, text)) {
        party_silent(cosigning, i, _("its answer is not a tree size"));
    } else if (size > has) {
        on_ahead(cosigning, i, size, has);
    } else if (size == cosigning->shown.size && party->sent_old == size) {
        error_set(&cosigning->behind_why, CASEBUS_BEHIND,
                  _("witness '%s' has cosigned another tree of %" PRIu64 " entries of this hub than the one "
                    "that it has now"),
                  name, size);
        behind_hint(cosigning);
    } else if (size == party->sent_old) {
        party_silent(cosigning, i, _("it refuses the size that it names itself"));
    } else {
        party->known = size;
        party->ahead = false;
        party->next_try_ns = 0;
        cosigning->again = true;
    }
}

static void on_inconsistent(struct cosigning *cosigning, size_t i)
{
    error_set(&cosigning->behind_why, CASEBUS_BEHIND,
              _("witness '%s' says that this hub's tree of %" PRIu64 " entries does not continue its tree of "
                "%" PRIu64 " entries, which the witness has cosigned"),
              cosigning->options.policy->witnesses[i].name, cosigning->shown.size,
              cosigning->parties[i].sent_old);
    behind_hint(cosigning);
}

/* The index travels as a pointer into the array. */
struct asked {
    struct cosigning *cosigning;
    size_t index;
};

static void on_answer(struct question *question)
{
    const struct asked *asked = question->self;
    struct cosigning *cosigning = asked->cosigning;
    struct bytes answer = bytes_of(question->answer.data, question->answer.size);
    char words[300], first[120];

    if (cosigning->behind_why.code)
        return;
    switch (question->status) {
    case 200:
        on_cosignature(cosigning, asked->index, answer);
        break;
    case 409:
        on_conflict(cosigning, asked->index, answer);
        break;
    case 422:
        on_inconsistent(cosigning, asked->index);
        break;
    case 0:
        party_silent(cosigning, asked->index, question->reason);
        break;
    default:
        snprintf(words, sizeof words, "%.*s", (int)strcspn((const char *)answer.data, "\r\n"), answer.data);
        text_escape(first, sizeof first, words);
        snprintf(words, sizeof words, _("it answers %ld: %s"), question->status, first);
        party_silent(cosigning, asked->index, words);
    }
    if (cosigning->behind_why.code)
        found_behind(cosigning);
}

/* ---- a round ---- */

/* The newest published checkpoint takes the place of the one that is shown. */
static int shown_renew(struct cosigning *cosigning, struct ledger_view *view, struct casebus_error *err)
{
    struct checkpoint checkpoint;
    struct bytes note;
    struct casebus_error why;

    if (ledger_view_checkpoint(view, ledger_view_size(view), &note, &why)) {
        *err = why;
        return why.code == CASEBUS_NOT_FOUND ? 0 : -1;
    }
    if (checkpoint_check(&checkpoint, note, &cosigning->log_verifier, err))
        return -1;
    if (cosigning->note[0] && checkpoint.size == cosigning->shown.size)
        return 0;
    cosigning->shown = checkpoint;
    memcpy(cosigning->note, note.data, note.size);
    cosigning->note[note.size] = '\0';
    cosigning->cosigned = 0;
    return 0;
}

/* Writes what goes to witness @i. A witness of whom nothing is known is asked from zero: it says what it
 * knows. */
static int body_write(struct cosigning *cosigning, size_t i, struct ledger_view *view,
                      struct casebus_error *err)
{
    struct party *party = &cosigning->parties[i];
    uint8_t proof[TREE_PROOF_MAX + 1][DIGEST_SIZE];
    size_t n_proof = 0;

    party->sent_old = party->known;
    if (party->known && party->known < cosigning->shown.size &&
        tree_consistency(cosigning->crypter, party->known, cosigning->shown.size, ledger_view_hash, view,
                         proof, &n_proof, err))
        return -1;
    return submission_write(party->body, sizeof party->body, party->sent_old,
                            (const uint8_t(*)[DIGEST_SIZE])proof, n_proof, bytes_of_text(cosigning->note)) < 0
               ? error_set(err, CASEBUS_INTERNAL, "a submission does not fit")
               : 0;
}

static bool wanted(const struct cosigning *cosigning, size_t i)
{
    return cosigning->note[0] && cosigning->options.policy->witnesses[i].url[0] &&
           !(cosigning->cosigned >> i & 1) && cosigning->parties[i].known <= cosigning->shown.size &&
           cosigning->parties[i].next_try_ns <= clock_monotonic_ns();
}

/* Prepares what is to be asked while the ledger's snapshot is at hand, and gives that back before waiting. */
static int questions_make(struct cosigning *cosigning, struct question *questions, struct asked *asked,
                          size_t *n, long timeout_ms, struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    int r = ledger_view_open(&view, cosigning->options.ledger, err);

    *n = 0;
    if (r == 0)
        r = shown_renew(cosigning, view, err);
    for (size_t i = 0; r == 0 && i < cosigning->options.policy->n_witnesses; i++) {
        struct party *party = &cosigning->parties[i];
        if (!wanted(cosigning, i))
            continue;
        r = body_write(cosigning, i, view, err);
        asked[*n] = (struct asked){cosigning, i};
        questions[*n] = (struct question){.url = party->url,
                                          .type = "text/plain; charset=utf-8",
                                          .body = bytes_of_text(party->body),
                                          .timeout_ms = timeout_ms,
                                          .self = &asked[*n]};
        ++*n;
    }
    ledger_view_close(view);
    return r;
}

static int round_run(struct cosigning *cosigning, long timeout_ms, struct casebus_error *err)
{
    struct question questions[POLICY_WITNESSES_MAX];
    struct asked asked[POLICY_WITNESSES_MAX];
    size_t n;

    cosigning->again = true;
    for (int tries = 0; cosigning->again && tries < TRIES && !cosigning->behind_why.code; tries++) {
        cosigning->again = false;
        if (questions_make(cosigning, questions, asked, &n, timeout_ms, err))
            return -1;
        if (n)
            asking_run(&cosigning->asking, questions, n, on_answer);
    }
    return 0;
}

static bool sleep_until_round(struct cosigning *cosigning)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ROUND_MS / 1000;
    pthread_mutex_lock(&cosigning->lock);
    while (!cosigning->stop &&
           pthread_cond_timedwait(&cosigning->wake, &cosigning->lock, &until) != ETIMEDOUT)
        ;
    bool on = !cosigning->stop;
    pthread_mutex_unlock(&cosigning->lock);
    return on;
}

static void *cosigning_main(void *self)
{
    struct cosigning *cosigning = self;
    struct casebus_error err;
    bool failed = false;

    pthread_setname_np(pthread_self(), "cosigning");
    while (sleep_until_round(cosigning)) {
        if (cosigning->behind_why.code)
            continue;
        int r = round_run(cosigning, ANSWER_MS, &err);
        if (r && !failed)
            log_error(cosigning->options.log, "COSIGNING-FAILED", "%s", err.text);
        failed = r != 0;
    }
    return NULL;
}

/* ---- opening: what was cosigned before ---- */

/* What the ledger has at the size of @seen. 1: something else, or less. */
static int ledger_compare(struct cosigning *cosigning, const struct checkpoint *seen,
                          struct casebus_error *err)
{
    struct ledger_view *view = NULL;
    uint8_t root[DIGEST_SIZE];
    int r = ledger_view_open(&view, cosigning->options.ledger, err);
    uint64_t size = r ? 0 : ledger_view_size(view);

    if (r == 0 && seen->size <= size)
        r = tree_root_at(cosigning->crypter, seen->size, ledger_view_hash, view, root, err);
    ledger_view_close(view);
    if (r)
        return -1;
    if (seen->size <= size && memcmp(root, seen->root, DIGEST_SIZE) == 0)
        return 0;
    if (seen->size > size)
        error_set(err, CASEBUS_BEHIND,
                  _("witnesses have cosigned a tree of %" PRIu64
                    " entries of this hub, and its ledger has only "
                    "%" PRIu64),
                  seen->size, size);
    else
        error_set(
            err, CASEBUS_BEHIND,
            _("witnesses have cosigned another tree of %" PRIu64 " entries than the one in this ledger"),
            seen->size);
    cosigning->behind_why = *err;
    behind_hint(cosigning);
    *err = cosigning->behind_why;
    cosigning->status.behind = true;
    return 1;
}

/* Who cosigned what we hold knows at least that much. */
static void parties_recall(struct cosigning *cosigning, struct bytes note, uint64_t size)
{
    const struct policy *policy = cosigning->options.policy;

    for (size_t i = 0; i < policy->n_witnesses; i++) {
        struct casebus_error ignored;
        int64_t at_s;
        if (note_cosigned(&at_s, note, &policy->witnesses[i].verifier, &ignored) != 1)
            continue;
        cosigning->parties[i].known = size;
        told(cosigning, i)->cosigned_size = size;
        told(cosigning, i)->cosigned_at_s = at_s;
    }
}

static int newest_load(struct cosigning *cosigning, struct casebus_error *err)
{
    struct checkpoint checkpoint = {0};
    struct buffer note;
    struct casebus_error ignored;
    struct stat status;

    if (stat(cosigning->path, &status) && errno == ENOENT)
        return 0;
    int r = file_read(cosigning->path, NOTE_MAX, &note, err);
    struct bytes bytes = bytes_of(note.data, note.size);
    if (r == 0 && checkpoint_check(&checkpoint, bytes, &cosigning->log_verifier, err)) {
        error_context(err, "'%s'", cosigning->path);
        error_hint(err, _("it is what witnesses have confirmed of this hub; keep a copy before removing it"));
        r = -1;
    }
    if (r == 0)
        r = ledger_compare(cosigning, &checkpoint, err);
    if (r == 0)
        parties_recall(cosigning, bytes, checkpoint.size);
    /* A policy that was changed since may ask for more. */
    if (r >= 0 && policy_check(cosigning->options.policy, bytes, NULL, &ignored) == 1) {
        memcpy(cosigning->newest, note.data, note.size);
        cosigning->newest[note.size] = '\0';
        cosigning->status.size = checkpoint.size;
        cosigning->status.at_us = (int64_t)status.st_mtim.tv_sec * 1000000;
    }
    buffer_deinit(&note);
    return r;
}

static void parties_open(struct cosigning *cosigning)
{
    const struct policy *policy = cosigning->options.policy;

    cosigning->status.n_witnesses = policy->n_witnesses;
    for (size_t i = 0; i < policy->n_witnesses; i++) {
        const char *url = policy->witnesses[i].url;
        size_t size = strlen(url);
        while (size && url[size - 1] == '/')
            size--;
        snprintf(cosigning->parties[i].url, sizeof cosigning->parties[i].url, "%.*s/add-checkpoint",
                 (int)size, url);
        snprintf(told(cosigning, i)->name, KEY_NAME_MAX, "%s", policy->witnesses[i].name);
        snprintf(told(cosigning, i)->url, POLICY_URL_MAX, "%s", url);
    }
}

static int parts_open(struct cosigning *cosigning, struct casebus_error *err)
{
    const struct cosigning_options *options = &cosigning->options;
    char dir[PATH_MAX];

    if (path_join(dir, PATH_MAX, options->dir, "witness") ||
        path_join(cosigning->path, PATH_MAX, dir, "cosigned"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), options->dir);
    if (dir_make(dir, err) || note_verifier_init(&cosigning->log_verifier, options->log_vkey, err))
        return -1;
    if (!policy_knows_log(options->policy, &cosigning->log_verifier)) {
        error_set(err, CASEBUS_CONFIG, _("the policy of witnesses does not list this hub's log"));
        return error_hint(err, _("add the line: log %s"), options->log_vkey);
    }
    cosigning->crypter = crypter_new(options->suite);
    if (!cosigning->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for cosignatures"));
    return asking_init(&cosigning->asking, err);
}

int cosigning_open(struct cosigning **cosigningp, const struct cosigning_options *options,
                   struct casebus_error *err)
{
    struct cosigning *cosigning = calloc(1, sizeof *cosigning);
    pthread_condattr_t attributes;

    *cosigningp = NULL;
    if (!cosigning)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for cosignatures"));
    cosigning->options = *options;
    pthread_mutex_init(&cosigning->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cosigning->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    parties_open(cosigning);
    int r = parts_open(cosigning, err) ? -1 : newest_load(cosigning, err);
    *cosigningp = r < 0 ? cosigning_close(cosigning) : cosigning;
    return r;
}

int cosigning_ask_first(struct cosigning *cosigning, struct casebus_error *err)
{
    if (round_run(cosigning, FIRST_ASK_MS, err))
        return -1;
    if (!cosigning->behind_why.code)
        return 0;
    *err = cosigning->behind_why;
    return 1;
}

int cosigning_start(struct cosigning *cosigning, struct casebus_error *err)
{
    cosigning->running = true;
    int r = pthread_create(&cosigning->thread, NULL, cosigning_main, cosigning);
    if (r) {
        cosigning->running = false;
        return error_set_errno(err, r, _("cannot start the thread of cosignatures"));
    }
    return 0;
}

struct cosigning *cosigning_close(struct cosigning *cosigning)
{
    if (!cosigning)
        return NULL;
    if (cosigning->running) {
        pthread_mutex_lock(&cosigning->lock);
        cosigning->stop = true;
        pthread_cond_signal(&cosigning->wake);
        pthread_mutex_unlock(&cosigning->lock);
        asking_stop(&cosigning->asking);
        pthread_join(cosigning->thread, NULL);
    }
    if (cosigning->asking.multi)
        asking_deinit(&cosigning->asking);
    note_verifier_deinit(&cosigning->log_verifier);
    crypter_free(cosigning->crypter);
    pthread_cond_destroy(&cosigning->wake);
    pthread_mutex_destroy(&cosigning->lock);
    free(cosigning);
    return NULL;
}

/* ---- asking ---- */

size_t cosigning_newest(struct cosigning *cosigning, char note[NOTE_MAX + 1], uint64_t *size)
{
    pthread_mutex_lock(&cosigning->lock);
    size_t n = strlen(cosigning->newest);
    memcpy(note, cosigning->newest, n + 1);
    *size = cosigning->status.size;
    pthread_mutex_unlock(&cosigning->lock);
    return n;
}

void cosigning_get_status(struct cosigning *cosigning, struct cosigning_status *status)
{
    pthread_mutex_lock(&cosigning->lock);
    *status = cosigning->status;
    pthread_mutex_unlock(&cosigning->lock);
}
