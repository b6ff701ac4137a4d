/* One request at a time: "is it the size that I know" and "now I know this one" have no gap between them, and
 * the second is on disk before the answer goes out. A witness that forgot would sign a fork. */
#include "hub/witness/notary.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/tree.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGS_FILE_MAX  (NOTARY_LOGS_MAX * VKEY_MAX * 2)
#define EVIDENCE_FILES 64 /* kept of all logs together; the first are the ones that tell */
#define TELL_S         60 /* between two lines that a stranger can bring about */
#define NAME_HEX       16 /* bytes of the origin's hash that name a file */

struct known {
    struct note_verifier verifier;
    bool loaded;            /* whether DIR/witness/seen was looked at */
    struct checkpoint seen; /* size 0 and no note: none */
    char note[NOTE_MAX + 1];
    int64_t cosigned_at_s;
    int64_t told_at_s; /* when the log last heard of something that anybody can bring about */
};

struct notary {
    struct notary_options options;
    char vkey[VKEY_MAX], name[KEY_NAME_MAX];
    char logs_path[PATH_MAX], seen_dir[PATH_MAX], evidence_dir[PATH_MAX];
    struct crypter *crypter;
    pthread_mutex_t lock; /* guards all below */
    struct timespec logs_changed;
    off_t logs_size;
    struct known *known;
    size_t n_known;
};

/* ---- which logs ---- */

static void known_free(struct known *known, size_t n)
{
    for (size_t i = 0; i < n; i++)
        note_verifier_deinit(&known[i].verifier);
    free(known);
}

struct logs_reading {
    struct known *known;
    size_t n;
    const char *path;
    unsigned line;
    struct buffer faults;
};

static void fault(struct logs_reading *reading, const char *what)
{
    if (reading->faults.size)
        buffer_printf(&reading->faults, _("; line %u: %s"), reading->line, what);
    else
        buffer_printf(&reading->faults, "%s:%u: %s", reading->path, reading->line, what);
}

static void vkey_take(struct logs_reading *reading, const char *vkey)
{
    struct casebus_error err;
    struct known *next = &reading->known[reading->n];

    if (reading->n == NOTARY_LOGS_MAX) {
        fault(reading, _("more logs than can be taken"));
        return;
    }
    if (note_verifier_init(&next->verifier, vkey, &err)) {
        fault(reading, err.text);
        return;
    }
    for (size_t i = 0; i < reading->n; i++)
        if (strcmp(reading->known[i].verifier.name, next->verifier.name) == 0) {
            fault(reading, _("this origin stands there twice"));
            note_verifier_deinit(&next->verifier);
            return;
        }
    reading->n++;
}

static void logs_parse(struct logs_reading *reading, char *text)
{
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        reading->line++;
        line += strspn(line, " \t");
        line[strcspn(line, " \t\r")] = '\0';
        if (line[0] && line[0] != '#')
            vkey_take(reading, line);
    }
}

/* Takes the place of what was known; what was seen is read again from its files. */
static int logs_load(struct notary *notary, struct casebus_error *err)
{
    struct buffer text;
    struct logs_reading reading = {.path = notary->logs_path,
                                   .known = calloc(NOTARY_LOGS_MAX + 1, sizeof *reading.known)};
    int r = reading.known ? file_read(notary->logs_path, LOGS_FILE_MAX, &text, err)
                          : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a witness"));
    if (!reading.known)
        return r;
    buffer_init(&reading.faults, LOGS_FILE_MAX);
    if (r == 0)
        logs_parse(&reading, (char *)text.data);
    buffer_deinit(&text);
    if (reading.faults.size) {
        r = error_set(err, CASEBUS_CONFIG, "%.*s", (int)reading.faults.size,
                      (const char *)reading.faults.data);
        error_hint(err, _("each line is the verifier key of a log"));
    }
    buffer_deinit(&reading.faults);
    if (r == 0) {
        known_free(notary->known, notary->n_known);
        notary->known = reading.known;
        notary->n_known = reading.n;
    } else {
        known_free(reading.known, reading.n);
    }
    return r;
}

/* Reads the list when it is another one than before. No file: no logs. */
static int logs_renew(struct notary *notary, struct casebus_error *err)
{
    struct stat now = {0};

    if (stat(notary->logs_path, &now) && errno != ENOENT)
        return error_set_errno(err, errno, "%s", notary->logs_path);
    if (now.st_mtim.tv_sec == notary->logs_changed.tv_sec &&
        now.st_mtim.tv_nsec == notary->logs_changed.tv_nsec && now.st_size == notary->logs_size)
        return 0;
    notary->logs_changed = now.st_mtim;
    notary->logs_size = now.st_size;
    if (now.st_nlink)
        return logs_load(notary, err);
    known_free(notary->known, notary->n_known);
    notary->known = NULL;
    notary->n_known = 0;
    return 0;
}

/* ---- what was seen ---- */

static int file_of(const struct notary *notary, const char *dir, const char *origin, const char *ending,
                   char path[PATH_MAX], struct casebus_error *err)
{
    struct bytes name = bytes_of_text(origin);
    uint8_t digest[DIGEST_SIZE];
    char file[2 * NAME_HEX + 40], hex[2 * NAME_HEX + 1];

    suite_hash(notary->options.suite, &name, 1, digest);
    snprintf(file, sizeof file, "%s%s", hex_encode(hex, digest, NAME_HEX), ending);
    return path_join(path, PATH_MAX, dir, file)
               ? error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir)
               : 0;
}

/* A file that is there and cannot be believed stops the witness for this log: it must not begin from zero. */
static int seen_load(const struct notary *notary, struct known *known, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer note;

    if (known->loaded)
        return 0;
    if (file_of(notary, notary->seen_dir, known->verifier.name, ".note", path, err))
        return -1;
    if (access(path, F_OK) && errno == ENOENT) {
        known->loaded = true;
        return 0;
    }
    int r = file_read(path, NOTE_MAX, &note, err);
    if (r == 0 && checkpoint_check(&known->seen, bytes_of(note.data, note.size), &known->verifier, err)) {
        error_context(err, "'%s'", path);
        error_hint(err, _("it is what this witness has cosigned; without it, it signs nothing for this log"));
        r = -1;
    }
    if (r == 0) {
        memcpy(known->note, note.data, note.size);
        known->note[note.size] = '\0';
        known->loaded = true;
    }
    buffer_deinit(&note);
    return r;
}

static int seen_save(const struct notary *notary, struct known *known, const struct checkpoint *checkpoint,
                     struct bytes note, struct casebus_error *err)
{
    char path[PATH_MAX];

    if (file_of(notary, notary->seen_dir, known->verifier.name, ".note", path, err) ||
        file_write(path, note, 0600, err))
        return -1;
    known->seen = *checkpoint;
    memcpy(known->note, note.data, note.size);
    known->note[note.size] = '\0';
    return 0;
}

/* How much evidence there is already; enough when it cannot be counted. */
static unsigned evidence_count(const struct notary *notary)
{
    DIR *dir = opendir(notary->evidence_dir);
    unsigned n = 0;

    if (!dir)
        return EVIDENCE_FILES;
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += strstr(entry->d_name, ".fork") != NULL;
    closedir(dir);
    return n;
}

/* Whether it is time for another line: anybody may repeat what the log signed as often as he likes. */
static bool may_tell(struct known *known, int64_t now_s)
{
    if (known->told_at_s && now_s >= known->told_at_s && now_s - known->told_at_s < TELL_S)
        return false;
    known->told_at_s = now_s;
    return true;
}

/* Two checkpoints of one size that one log signed, with different roots, in one file: they cannot both be
 * true, and nothing else is needed to see it. Once for each false tree, and bounded: a log that lies once may
 * lie a thousand times. */
static void evidence_keep(const struct notary *notary, struct known *known,
                          const struct submission *submission, const struct checkpoint *checkpoint,
                          int64_t now_s)
{
    char path[PATH_MAX], ending[60], root[17];
    struct buffer text;
    struct casebus_error err;

    snprintf(ending, sizeof ending, ".%" PRIu64 "-%s.fork", checkpoint->size,
             hex_encode(root, checkpoint->root, 8));
    if (file_of(notary, notary->evidence_dir, known->verifier.name, ending, path, &err) ||
        access(path, F_OK) == 0)
        return;
    buffer_init(&text, 4 * NOTE_MAX);
    bool kept = evidence_count(notary) < EVIDENCE_FILES &&
                buffer_printf(&text, "%s\n%.*s", known->note, (int)submission->note.size,
                              (const char *)submission->note.data) &&
                file_write(path, bytes_of(text.data, text.size), 0600, &err) == 0;
    buffer_deinit(&text);
    if (!kept && !may_tell(known, now_s))
        return;
    log_error(notary->options.log, "LOG-FORKED",
              _("the log '%s' has signed another tree of %" PRIu64
                " entries than the one that this hub cosigned: it shows different records to different "
                "people, or has changed its record%s%s"),
              known->verifier.name, checkpoint->size, kept ? _("; both signed checkpoints are kept in ") : "",
              kept ? path : "");
}

/* Says nothing against the log: whoever brings a genuine checkpoint may bring any proof with it. */
static void not_shown(const struct notary *notary, struct known *known, const struct checkpoint *checkpoint,
                      int64_t now_s)
{
    if (may_tell(known, now_s))
        log_info(notary->options.log, "NOT-COSIGNED",
                 _("somebody brought a tree of %" PRIu64
                   " entries of the log '%s', not shown to be consistent "
                   "with its tree of %" PRIu64 " entries, which this hub cosigned"),
                 checkpoint->size, known->verifier.name, known->seen.size);
}

/* ---- answering ---- */

static void answer_words(struct notary_answer *answer, unsigned status, const char *words)
{
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    snprintf(answer->body, sizeof answer->body, "%s\n", words);
    utf8_cut(answer->body);
}

/* 409 and what the witness knows, as the standard wants it. */
static void answer_size(struct notary_answer *answer, uint64_t size)
{
    answer->status = 409;
    answer->type = "text/x.tlog.size";
    snprintf(answer->body, sizeof answer->body, "%" PRIu64 "\n", size);
}

static struct known *known_find(const struct notary *notary, const char *origin)
{
    for (size_t i = 0; i < notary->n_known; i++)
        if (strcmp(notary->known[i].verifier.name, origin) == 0)
            return &notary->known[i];
    return NULL;
}

/* The empty tree has one root. */
static bool grown(struct notary *notary, const struct known *known, const struct submission *submission,
                  const struct checkpoint *checkpoint)
{
    uint8_t empty[DIGEST_SIZE];
    const uint8_t *old_root = known->seen.root;

    if (submission->old_size == 0) {
        crypter_hash(notary->crypter, NULL, 0, empty);
        old_root = empty;
    }
    return tree_check_consistency(notary->crypter, submission->old_size, checkpoint->size, old_root,
                                  checkpoint->root, submission->proof[0], submission->n_proof);
}

static void cosign(struct notary *notary, struct known *known, const struct submission *submission,
                   const struct checkpoint *checkpoint, int64_t now_s, struct notary_answer *answer)
{
    struct casebus_error err;
    struct bytes text, lines;

    if ((checkpoint->size > known->seen.size || !known->note[0]) &&
        seen_save(notary, known, checkpoint, submission->note, &err)) {
        log_error(notary->options.log, "WITNESS-FAILED", "%s", err.text);
        answer_words(answer, 500, err.text);
        return;
    }
    note_parts(&text, &lines, submission->note, NULL); /* it was parsed before */
    if (note_cosign(answer->body, sizeof answer->body, text, notary->name, now_s, notary->options.key, &err) <
        0) {
        log_error(notary->options.log, "WITNESS-FAILED", "%s", err.text);
        answer_words(answer, 500, _("the checkpoint cannot be cosigned"));
        return;
    }
    known->cosigned_at_s = now_s;
    answer->status = 200;
    answer->type = "text/plain; charset=utf-8";
}

/* In the standard's order of questions. */
static void decide(struct notary *notary, struct known *known, const struct submission *submission,
                   int64_t now_s, struct notary_answer *answer)
{
    struct checkpoint checkpoint;
    struct casebus_error err;

    if (checkpoint_check(&checkpoint, submission->note, &known->verifier, &err))
        answer_words(answer, err.code == CASEBUS_MALFORMED ? 400 : 403, err.text);
    else if (submission->old_size > checkpoint.size)
        answer_words(answer, 400, _("the old size is larger than the checkpoint's"));
    else if (seen_load(notary, known, &err)) {
        log_error(notary->options.log, "WITNESS-FAILED", "%s", err.text);
        answer_words(answer, 500, err.text);
    } else if (known->note[0] && checkpoint.size == known->seen.size &&
               memcmp(checkpoint.root, known->seen.root, DIGEST_SIZE) != 0) {
        evidence_keep(notary, known, submission, &checkpoint, now_s);
        answer_size(answer, known->seen.size);
    } else if (submission->old_size != known->seen.size)
        answer_size(answer, known->seen.size);
    else if (!grown(notary, known, submission, &checkpoint)) {
        if (known->note[0])
            not_shown(notary, known, &checkpoint, now_s);
        answer_words(answer, 422, _("the consistency proof does not hold"));
    } else
        cosign(notary, known, submission, &checkpoint, now_s, answer);
}

void notary_add_checkpoint(struct notary *notary, struct bytes body, int64_t now_s,
                           struct notary_answer *answer)
{
    struct submission submission;
    struct checkpoint claimed;
    struct casebus_error err;

    if (submission_parse(&submission, body, &err) || checkpoint_parse(&claimed, submission.note, &err)) {
        answer_words(answer, 400, err.text);
        return;
    }
    pthread_mutex_lock(&notary->lock);
    if (logs_renew(notary, &err))
        log_error(notary->options.log, "WITNESS-LOGS", _("%s; the logs known before are still witnessed"),
                  err.text);
    struct known *known = known_find(notary, claimed.origin);
    if (known)
        decide(notary, known, &submission, now_s, answer);
    else
        answer_words(answer, 404, _("this hub does not witness that log"));
    pthread_mutex_unlock(&notary->lock);
}

size_t notary_get_logs(struct notary *notary, struct notary_log *logs, size_t max)
{
    struct casebus_error err;

    pthread_mutex_lock(&notary->lock);
    size_t n = notary->n_known;
    for (size_t i = 0; i < n && i < max; i++) {
        struct known *known = &notary->known[i];
        bool ok = seen_load(notary, known, &err) == 0;
        logs[i] = (struct notary_log){
            .seen = ok && known->note[0], .size = known->seen.size, .cosigned_at_s = known->cosigned_at_s};
        memcpy(logs[i].root, known->seen.root, DIGEST_SIZE);
        snprintf(logs[i].origin, sizeof logs[i].origin, "%s", known->verifier.name);
    }
    pthread_mutex_unlock(&notary->lock);
    return n;
}

/* ---- life ---- */

static int paths_make(struct notary *notary, struct casebus_error *err)
{
    const char *dir = notary->options.dir;

    if (path_join(notary->logs_path, PATH_MAX, dir, "witness.logs") ||
        path_join(notary->seen_dir, PATH_MAX, dir, "witness/seen") ||
        path_join(notary->evidence_dir, PATH_MAX, dir, "witness/evidence"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    return dir_make(notary->seen_dir, err) || dir_make(notary->evidence_dir, err) ? -1 : 0;
}

int notary_logs_check(const char *dir, size_t *n, struct casebus_error *err)
{
    struct notary notary = {.known = NULL};

    if (path_join(notary.logs_path, PATH_MAX, dir, "witness.logs"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), dir);
    int r = logs_renew(&notary, err);
    *n = notary.n_known;
    known_free(notary.known, notary.n_known);
    return r;
}

int notary_open(struct notary **notaryp, const struct notary_options *options, struct casebus_error *err)
{
    struct notary *notary = calloc(1, sizeof *notary);

    *notaryp = NULL;
    if (!notary)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a witness"));
    notary->options = *options;
    snprintf(notary->name, sizeof notary->name, "%s", options->name);
    pthread_mutex_init(&notary->lock, NULL);
    notary->crypter = crypter_new(options->suite);
    int r = 0;
    if (!notary->crypter)
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for a witness"));
    else if (note_witness_vkey_format(notary->vkey, sizeof notary->vkey, notary->name,
                                      signing_key_public(options->key)) < 0)
        r = error_set(err, CASEBUS_ARGUMENT, _("'%s' cannot be the name of a witness"), options->name);
    else if (paths_make(notary, err) || logs_renew(notary, err))
        r = -1;
    *notaryp = r ? notary_close(notary) : notary;
    return r;
}

struct notary *notary_close(struct notary *notary)
{
    if (!notary)
        return NULL;
    known_free(notary->known, notary->n_known);
    crypter_free(notary->crypter);
    pthread_mutex_destroy(&notary->lock);
    free(notary);
    return NULL;
}

const char *notary_vkey(const struct notary *notary)
{
    return notary->vkey;
}
