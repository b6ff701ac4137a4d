#include "hub/witness/stamping.h"

#include "hub/witness/asking.h"
#include "hub/witness/timestamp.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS      1000
#define ANSWER_MS    15000
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 300000
#define STAMPS_MAX   1000000 /* listed */

struct stamping {
    struct stamping_options options;
    char folder[PATH_MAX];
    struct asking asking;
    pthread_t thread;
    uint64_t next_ns, wait_ms;
    struct bytes note, query; /* of the question that is asked */
    int64_t at_s;
    uint64_t note_size;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    struct stamping_status status;
};

/* ---- files ---- */

static int stamp_path(const char *folder, uint64_t size, const char *ending, char path[PATH_MAX],
                      struct casebus_error *err)
{
    char name[48];

    snprintf(name, sizeof name, "%" PRIu64 "%s", size, ending);
    return path_join(path, PATH_MAX, folder, name)
               ? error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), folder)
               : 0;
}

static int compare_sizes(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The sizes for which there is a token, ascending. */
static int sizes_list(const char *folder, uint64_t **sizesp, size_t *n, struct casebus_error *err)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    uint64_t size;

    *sizesp = NULL;
    *n = 0;
    if (!dir)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "%s", folder);
    while ((entry = readdir(dir)) && *n < STAMPS_MAX) {
        size_t length = strlen(entry->d_name);
        if (length <= 4 || strcmp(entry->d_name + length - 4, ".tsr") != 0 ||
            !note_number_parse(&size, bytes_of(entry->d_name, length - 4)))
            continue;
        uint64_t *grown = realloc(*sizesp, (*n + 1) * sizeof *grown);
        if (!grown) {
            closedir(dir);
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a list"));
        }
        *sizesp = grown;
        grown[(*n)++] = size;
    }
    closedir(dir);
    if (*n)
        qsort(*sizesp, *n, sizeof **sizesp, compare_sizes);
    return 0;
}

/* The log key under the name that @checkpoint has: after a restore, stamps of earlier generations are there
 * too. */
static int signer_find(struct note_verifier *signer, const struct note_verifier *log,
                       const struct checkpoint *checkpoint, struct casebus_error *err)
{
    char vkey[VKEY_MAX];
    const char *name = origin_valid(checkpoint->origin) && origin_valid(log->name) &&
                               origin_follows(log->name, checkpoint->origin)
                           ? checkpoint->origin
                           : log->name;
    if (note_vkey_format(vkey, sizeof vkey, name, &log->key) < 0)
        return error_set(err, CASEBUS_KEY, _("the hub's log key cannot stand under the name '%s'"), name);
    return note_verifier_init(signer, vkey, err);
}

static int stamp_check(struct stamp *stamp, const char *ca_path, const struct note_verifier *log,
                       struct casebus_error *err)
{
    struct buffer note, token;
    struct checkpoint checkpoint;
    struct note_verifier signer = {.verifier = NULL};
    int r = file_read(stamp->note_path, NOTE_MAX, &note, err);
    int s = file_read(stamp->token_path, TIMESTAMP_MAX, &token, r ? NULL : err);
    struct bytes bytes = bytes_of(note.data, note.size);

    if (r == 0)
        r = s;
    if (r == 0)
        r = checkpoint_parse(&checkpoint, bytes, err);
    if (r == 0 && log)
        r = signer_find(&signer, log, &checkpoint, err) || checkpoint_check(&checkpoint, bytes, &signer, err);
    note_verifier_deinit(&signer);
    if (r == 0 && checkpoint.size != stamp->size)
        r = error_set(err, CASEBUS_DAMAGED, _("the note is of %" PRIu64 " entries"), checkpoint.size);
    if (r == 0)
        r = timestamp_check(bytes_of(token.data, token.size), bytes, bytes_of(NULL, 0), ca_path, &stamp->at_s,
                            err);
    buffer_deinit(&note);
    buffer_deinit(&token);
    return r;
}

int stamps_visit(const char *dir, const char *ca_path, const char *log_vkey,
                 int (*visit)(void *self, const struct stamp *stamp), void *self, struct casebus_error *err)
{
    char folder[PATH_MAX];
    uint64_t *sizes;
    size_t n;
    struct note_verifier log = {0};
    int r = 0;

    if (path_join(folder, PATH_MAX, dir, "witness/timestamps"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    if (sizes_list(folder, &sizes, &n, err) || (log_vkey && note_verifier_init(&log, log_vkey, err)))
        r = -1;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct stamp *stamp = calloc(1, sizeof *stamp);
        if (!stamp) {
            r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for a list"));
            break;
        }
        stamp->size = sizes[i];
        r = stamp_path(folder, sizes[i], ".note", stamp->note_path, err) ||
                    stamp_path(folder, sizes[i], ".tsr", stamp->token_path, err)
                ? -1
                : 0;
        if (r == 0) {
            stamp->holds = stamp_check(stamp, ca_path, log_vkey ? &log : NULL, &stamp->fault) == 0;
            r = visit(self, stamp);
        }
        free(stamp);
    }
    note_verifier_deinit(&log);
    free(sizes);
    return r;
}

/* ---- a stamp ---- */

static void silent(struct stamping *stamping, const char *why)
{
    stamping->wait_ms = stamping->wait_ms ? stamping->wait_ms * 2 : RETRY_MIN_MS;
    if (stamping->wait_ms > RETRY_MAX_MS)
        stamping->wait_ms = RETRY_MAX_MS;
    stamping->next_ns = clock_monotonic_ns() + stamping->wait_ms * 1000000;
    pthread_mutex_lock(&stamping->lock);
    bool news = !stamping->status.silent_since_us;
    if (news)
        stamping->status.silent_since_us = clock_unix_us();
    snprintf(stamping->status.trouble, sizeof stamping->status.trouble, "%s", why);
    utf8_cut(stamping->status.trouble);
    pthread_mutex_unlock(&stamping->lock);
    if (news)
        log_warning(stamping->options.log, "TIMESTAMP-SILENT",
                    _("the time-stamping authority does not stamp: %s; the hub goes on and tries again"),
                    why);
}

static void stamped(struct stamping *stamping)
{
    stamping->wait_ms = 0;
    stamping->next_ns = clock_monotonic_ns() + stamping->options.minutes * UINT64_C(60000000000);
    pthread_mutex_lock(&stamping->lock);
    int64_t since = stamping->status.silent_since_us;
    stamping->status.silent_since_us = 0;
    stamping->status.trouble[0] = '\0';
    stamping->status.size = stamping->note_size;
    stamping->status.stamped_at_s = stamping->at_s;
    pthread_mutex_unlock(&stamping->lock);
    if (since)
        log_notice(stamping->options.log, "TIMESTAMP-BACK",
                   _("the time-stamping authority stamps again, after %" PRId64 " s of silence"),
                   (clock_unix_us() - since) / 1000000);
    log_info(stamping->options.log, "TIMESTAMPED",
             _("the checkpoint of %" PRIu64 " entries has a time stamp"), stamping->note_size);
}

/* The note first: a token alone says nothing. */
static int keep(struct stamping *stamping, struct bytes token, struct casebus_error *err)
{
    char note_path[PATH_MAX], token_path[PATH_MAX];

    return stamp_path(stamping->folder, stamping->note_size, ".note", note_path, err) ||
                   stamp_path(stamping->folder, stamping->note_size, ".tsr", token_path, err) ||
                   file_write(note_path, stamping->note, 0600, err) ||
                   file_write(token_path, token, 0600, err)
               ? -1
               : 0;
}

static void on_answer(struct question *question)
{
    struct stamping *stamping = question->self;
    struct bytes answer = bytes_of(question->answer.data, question->answer.size);
    struct casebus_error err;
    char words[100];

    if (question->status == 0) {
        silent(stamping, question->reason);
    } else if (question->status != 200) {
        snprintf(words, sizeof words, _("it answers with status %ld"), question->status);
        silent(stamping, words);
    } else if (timestamp_check(answer, stamping->note, stamping->query, stamping->options.ca_path,
                               &stamping->at_s, &err) ||
               keep(stamping, answer, &err)) {
        silent(stamping, err.text);
    } else {
        stamped(stamping);
    }
}

/* The newest checkpoint: the one that witnesses confirmed, or else the one published last. Returns its
 * length. */
static size_t newest_note(struct stamping *stamping, char note[NOTE_MAX + 1], uint64_t *size)
{
    struct ledger_view *view = NULL;
    struct checkpoint checkpoint;
    struct casebus_error err;
    struct bytes published;
    size_t n = 0;

    if (stamping->options.cosigning && (n = cosigning_newest(stamping->options.cosigning, note, size)))
        return n;
    if (ledger_view_open(&view, stamping->options.ledger, &err) == 0 &&
        ledger_view_checkpoint(view, ledger_view_size(view), &published, &err) == 0 &&
        checkpoint_parse(&checkpoint, published, &err) == 0) {
        n = published.size;
        memcpy(note, published.data, n);
        note[n] = '\0';
        *size = checkpoint.size;
    }
    ledger_view_close(view);
    return n;
}

static void stamp_once(struct stamping *stamping)
{
    char note[NOTE_MAX + 1];
    struct buffer query;
    struct casebus_error err;
    size_t n = newest_note(stamping, note, &stamping->note_size);

    if (!n || stamping->note_size <= stamping->status.size)
        return;
    stamping->note = bytes_of(note, n);
    buffer_init(&query, 4096);
    if (timestamp_query(stamping->note, &query, &err)) {
        silent(stamping, err.text);
    } else {
        stamping->query = bytes_of(query.data, query.size);
        struct question question = {.url = stamping->options.url,
                                    .type = "application/timestamp-query",
                                    .body = stamping->query,
                                    .answer_most = TIMESTAMP_MAX + 1,
                                    .timeout_ms = ANSWER_MS,
                                    .self = stamping};
        asking_run(&stamping->asking, &question, 1, on_answer);
    }
    buffer_deinit(&query);
}

static bool sleep_a_while(struct stamping *stamping)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_MS / 1000;
    pthread_mutex_lock(&stamping->lock);
    while (!stamping->stop && pthread_cond_timedwait(&stamping->wake, &stamping->lock, &until) != ETIMEDOUT)
        ;
    bool on = !stamping->stop;
    pthread_mutex_unlock(&stamping->lock);
    return on;
}

static void *stamping_main(void *self)
{
    struct stamping *stamping = self;

    pthread_setname_np(pthread_self(), "stamping");
    while (sleep_a_while(stamping))
        if (clock_monotonic_ns() >= stamping->next_ns)
            stamp_once(stamping);
    return NULL;
}

/* ---- life ---- */

/* The newest kept stamp that holds; how long ago it was says when the next one is due. */
static int on_kept(void *self, const struct stamp *stamp)
{
    struct stamping *stamping = self;

    if (stamp->holds) {
        stamping->status.size = stamp->size;
        stamping->status.stamped_at_s = stamp->at_s;
    } else {
        log_warning(stamping->options.log, "TIMESTAMP-DAMAGED", "%s: %s", stamp->token_path,
                    stamp->fault.text);
    }
    return 0;
}

static int parts_open(struct stamping *stamping, struct casebus_error *err)
{
    const struct stamping_options *options = &stamping->options;

    if (path_join(stamping->folder, PATH_MAX, options->dir, "witness/timestamps"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), options->dir);
    if (dir_make(stamping->folder, err) ||
        stamps_visit(options->dir, options->ca_path, NULL, on_kept, stamping, err) ||
        asking_init(&stamping->asking, err))
        return -1;
    int64_t ago_s = clock_unix_us() / 1000000 - stamping->status.stamped_at_s;
    int64_t due_s = (int64_t)options->minutes * 60 - ago_s;
    if (stamping->status.size && due_s > 0)
        stamping->next_ns = clock_monotonic_ns() + (uint64_t)due_s * 1000000000;
    snprintf(stamping->status.url, sizeof stamping->status.url, "%s", options->url);
    return 0;
}

int stamping_start(struct stamping **stampingp, const struct stamping_options *options,
                   struct casebus_error *err)
{
    struct stamping *stamping = calloc(1, sizeof *stamping);
    pthread_condattr_t attributes;

    *stampingp = NULL;
    if (!stamping)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for time stamps"));
    stamping->options = *options;
    pthread_mutex_init(&stamping->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stamping->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int r = parts_open(stamping, err);
    if (r == 0 && (r = pthread_create(&stamping->thread, NULL, stamping_main, stamping)) != 0)
        r = error_set_errno(err, r, _("cannot start the thread of time stamps"));
    if (r == 0) {
        *stampingp = stamping;
        return 0;
    }
    if (stamping->asking.multi)
        asking_deinit(&stamping->asking);
    pthread_cond_destroy(&stamping->wake);
    pthread_mutex_destroy(&stamping->lock);
    free(stamping);
    return -1;
}

struct stamping *stamping_stop(struct stamping *stamping)
{
    if (!stamping)
        return NULL;
    pthread_mutex_lock(&stamping->lock);
    stamping->stop = true;
    pthread_cond_signal(&stamping->wake);
    pthread_mutex_unlock(&stamping->lock);
    asking_stop(&stamping->asking);
    pthread_join(stamping->thread, NULL);
    asking_deinit(&stamping->asking);
    pthread_cond_destroy(&stamping->wake);
    pthread_mutex_destroy(&stamping->lock);
    free(stamping);
    return NULL;
}

void stamping_get_status(struct stamping *stamping, struct stamping_status *status)
{
    pthread_mutex_lock(&stamping->lock);
    *status = stamping->status;
    pthread_mutex_unlock(&stamping->lock);
}
