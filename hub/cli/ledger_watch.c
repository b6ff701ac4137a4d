/* casebus ledger watch: the monitor that a department, an auditor or a witness runs. It needs no hub's files
 * and no hub's key, only what it trusts. */
#include "hub/cli/cli.h"
#include "hub/cli/trust.h"
#include "hub/watch/watch.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define TOKEN_MAX 256
#define TRUST_MAX 16
#define ASKED_MAX 256 /* options of one kind */
#define TELL_NS   200000000ull

struct watching {
    const char *where, *trust[TRUST_MAX], *state, *token_file, *witnesses;
    const char *departments[ASKED_MAX], *accept[ASKED_MAX];
    size_t n_trust, n_departments, n_accept;
    bool once;
    uint64_t every_s;
    /* loaded */
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    char vkeys[TRUST_MAX][VKEY_MAX], token[TOKEN_MAX];
    uint8_t accepted[ASKED_MAX][KEY_ID_SIZE];
    struct policy *policy;
    struct source *source;
    struct watch *watch;
    struct log log, to_stderr;
    int64_t silent_since_us;
    enum casebus_code silent_code; /* why */
    bool asked;                    /* a key was told of that nobody has accepted */
    uint64_t shown_ns;             /* when progress was shown; 0: it is not on the screen */
};

enum { OPT_ONCE = 256, OPT_EVERY, OPT_TOKEN, OPT_WITNESSES, OPT_STATE, OPT_ACCEPT, OPT_DEPARTMENT };

static const struct argp_option options[] = {
    {"trust", 't', N_("CA,VKEY"), 0,
     N_("Whom to believe: the certificate of the departments' authority, and the key of the log, or the "
        "enrolment.json of a node, which holds both; once more for a generation of a restored hub that has "
        "another key"),
     0},
    {"state", OPT_STATE, N_("DIR"), 0, N_("Where what was seen is kept: a directory of its own"), 0},
    {"token", OPT_TOKEN, N_("FILE"), 0, N_("File with the auditor's token; else $CASEBUS_TOKEN"), 0},
    {"witnesses", OPT_WITNESSES, N_("FILE"), 0,
     N_("Policy file: whose cosignatures each checkpoint must carry"), 0},
    {"accept-key", OPT_ACCEPT, N_("KEY"), 0,
     N_("The department has said that this key is its own: the id of the key, or the enrolment.json of the "
        "node; remembered, may be given more than once"),
     0},
    {"department", OPT_DEPARTMENT, N_("NAME"), 0,
     N_("Ask about the first key of each node of this department as well; may be given more than once"), 0},
    {"once", OPT_ONCE, NULL, 0, N_("Look once"), 0},
    {"every", OPT_EVERY, N_("SECONDS"), 0, N_("Look so often (60)"), 0},
    {0}};

static error_t one_more(const char **list, size_t *n, const char *arg, const struct argp_state *state)
{
    if (*n == ASKED_MAX)
        argp_error(state, _("an option is given more than %d times"), ASKED_MAX);
    list[(*n)++] = arg;
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct watching *watching = state->input;
    switch (key) {
    case 't':
        if (watching->n_trust == TRUST_MAX)
            argp_error(state, _("--trust is given more than %d times"), TRUST_MAX);
        watching->trust[watching->n_trust++] = arg;
        return 0;
    case OPT_ACCEPT:
        return one_more(watching->accept, &watching->n_accept, arg, state);
    case OPT_DEPARTMENT:
        return one_more(watching->departments, &watching->n_departments, arg, state);
    case OPT_STATE:
        watching->state = arg;
        return 0;
    case OPT_TOKEN:
        watching->token_file = arg;
        return 0;
    case OPT_WITNESSES:
        watching->witnesses = arg;
        return 0;
    case OPT_ONCE:
        watching->once = true;
        return 0;
    case OPT_EVERY:
        if (!number_parse(arg, 86400, &watching->every_s) || watching->every_s == 0)
            argp_error(state, _("'%s' is not a number from 1 to %d"), arg, 86400);
        return 0;
    case ARGP_KEY_ARG:
        if (watching->where)
            cli_words_wrong(state, arg);
        watching->where = arg;
        return 0;
    case ARGP_KEY_END:
        if (!watching->where || !watching->n_trust || !watching->state)
            argp_error(state, _("an address or a directory, --trust and --state are needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- while it runs ---- */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: waiting ends */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* A signal that comes before the waiting begins ends it, too. */
static void wait_or_stop(uint64_t seconds)
{
    const struct timespec time = {.tv_sec = (time_t)seconds};
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before);
    if (!stopped)
        ppoll(NULL, 0, &time, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static bool on_stop(void *self)
{
    (void)self;
    return stopped;
}

static void progress_clear(struct watching *watching)
{
    if (watching->shown_ns)
        fputs("\r\033[K", stderr);
    watching->shown_ns = 0;
}

static void on_progress(void *self, enum watch_phase phase, uint64_t done, uint64_t total)
{
    struct watching *watching = self;
    uint64_t now = clock_monotonic_ns();
    if (now - watching->shown_ns < TELL_NS || total == 0)
        return;
    watching->shown_ns = now;
    fprintf(stderr, "\r\033[K%s %llu / %llu",
            phase == WATCH_READING ? _("reading entries") : _("verifying entries"), (unsigned long long)done,
            (unsigned long long)total);
}

static void log_sink(void *self, enum log_level level, const char *id, const char *text)
{
    struct watching *watching = self;
    progress_clear(watching);
    log_line(&watching->to_stderr, level, id, "%s", text);
}

/* ---- beginning and end ---- */

static int token_load(struct watching *watching, struct casebus_error *err)
{
    struct buffer file;
    const char *set = getenv("CASEBUS_TOKEN");
    if (!watching->token_file) {
        snprintf(watching->token, sizeof watching->token, "%s", set ? set : "");
        return 0;
    }
    int r = file_read(watching->token_file, TOKEN_MAX - 1, &file, err);
    if (r == 0) {
        snprintf(watching->token, sizeof watching->token, "%.*s", (int)file.size, (const char *)file.data);
        for (size_t n = strlen(watching->token); n > 0 && isspace((unsigned char)watching->token[n - 1]); n--)
            watching->token[n - 1] = '\0';
    }
    buffer_deinit(&file);
    return r;
}

/* The authority is that of all generations. */
static int trust_load(struct watching *watching, struct casebus_error *err)
{
    for (size_t i = 0; i < watching->n_trust; i++) {
        uint8_t authority[CERTIFICATE_MAX];
        size_t size;
        if (trust_read(watching->trust[i], authority, &size, watching->vkeys[i], err))
            return -1;
        if (i > 0 &&
            !bytes_equal(bytes_of(authority, size), bytes_of(watching->authority, watching->authority_size)))
            return error_set(err, CASEBUS_ARGUMENT, _("'%s' names another authority than '%s'"),
                             watching->trust[i], watching->trust[0]);
        memcpy(watching->authority, authority, size);
        watching->authority_size = size;
    }
    return 0;
}

static int accepted_load(struct watching *watching, struct casebus_error *err)
{
    struct bytes authority = bytes_of(watching->authority, watching->authority_size);
    for (size_t i = 0; i < watching->n_accept; i++)
        if (trust_key_read(watching->accepted[i], watching->accept[i], authority, err))
            return -1;
    return 0;
}

static int begin(struct watching *watching, bool show, struct casebus_error *err)
{
    const char *vkeys[TRUST_MAX];
    for (size_t i = 0; i < watching->n_trust; i++)
        vkeys[i] = watching->vkeys[i];
    if (trust_load(watching, err) || accepted_load(watching, err) || token_load(watching, err) ||
        (watching->witnesses && policy_read(&watching->policy, watching->witnesses, err)) ||
        source_open(&watching->source, watching->where, watching->token[0] ? watching->token : NULL, on_stop,
                    NULL, err))
        return -1;
    const struct watch_options watch = {.dir = watching->state,
                                        .source = watching->source,
                                        .log_vkeys = vkeys,
                                        .n_logs = watching->n_trust,
                                        .authority = bytes_of(watching->authority, watching->authority_size),
                                        .policy = watching->policy,
                                        .log = &watching->log,
                                        .departments = watching->departments,
                                        .n_departments = watching->n_departments,
                                        .accepted = (const uint8_t(*)[KEY_ID_SIZE])watching->accepted,
                                        .n_accepted = watching->n_accept,
                                        .progress = show ? on_progress : NULL,
                                        .stop = on_stop,
                                        .self = watching};
    return watch_open(&watching->watch, &watch, err);
}

static void end(struct watching *watching)
{
    watch_close(watching->watch);
    source_close(watching->source);
    policy_free(watching->policy);
    secret_clear(watching->token, sizeof watching->token);
}

/* ---- what came out ---- */

static const char *answer_word(int answer, const struct watch_result *result)
{
    if (answer)
        return answer == 1 ? "ALARM" : "UNKNOWN";
    return result->n_open ? "VOUCHED" : result->n_lost ? "LOST" : "OK";
}

static json_t *lost_json(const struct watch_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->n_lost; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:s}", "from", (json_int_t)result->lost[i].from, "to",
                                        (json_int_t)result->lost[i].end - 1, "kept", result->lost[i].kept));
    return list;
}

static json_t *vouched_json(const struct watch_result *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->n_vouched; i++) {
        const struct vouched_key *key = &result->vouched[i];
        char id[2 * KEY_ID_SIZE + 1];
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:b, s:b}", "position",
                                              (json_int_t)key->position, "node", key->node, "department",
                                              key->department, "key", hex_encode(id, key->id, KEY_ID_SIZE),
                                              "first", key->first, "accepted", key->accepted));
    }
    return list;
}

static void tell_json(const struct cli *cli, const struct watch_result *result, int answer,
                      const struct casebus_error *err)
{
    char root[2 * DIGEST_SIZE + 1];
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "result", answer_word(answer, result),
                             "origin", result->origin, "size", (json_int_t)result->size, "new",
                             (json_int_t)result->fresh, "enrolled", (json_int_t)result->enrolled, "root",
                             hex_encode(root, result->root, DIGEST_SIZE));
    if (result->n_lost)
        json_object_set_new(json, "lost", lost_json(result));
    if (result->n_vouched)
        json_object_set_new(json, "vouched", vouched_json(result));
    if (answer) {
        json_object_set_new(json, "code", json_string(casebus_code_text(err->code)));
        json_object_set_new(json, "sentence", json_string(err->text));
        json_object_set_new(json, "hint", json_string(err->hint));
    }
    cli_print_json(cli, json);
    json_decref(json);
    fflush(cli->out);
}

/* Once for each reason, until it is over. */
static void tell_unknown(struct watching *watching, const struct casebus_error *err)
{
    if (watching->silent_since_us && watching->silent_code == err->code)
        return;
    if (!watching->silent_since_us)
        watching->silent_since_us = clock_unix_us();
    watching->silent_code = err->code;
    log_warning(&watching->log, err->code == CASEBUS_BEHIND ? "WATCH-BEHIND" : "WATCH-SILENT", "%s (%s)%s%s",
                err->text, casebus_code_text(err->code), err->hint[0] ? "; " : "", err->hint);
}

static void tell_back(struct watching *watching)
{
    if (!watching->silent_since_us)
        return;
    log_notice(&watching->log, "WATCH-BACK", _("all of the log can be read again, after %lld s"),
               (long long)((clock_unix_us() - watching->silent_since_us) / 1000000));
    watching->silent_since_us = 0;
}

static void tell_vouched(const struct watching *watching, const struct watch_result *result)
{
    for (size_t i = 0; i < result->n_vouched; i++) {
        const struct vouched_key *key = &result->vouched[i];
        char id[2 * KEY_ID_SIZE + 1];
        if (!key->accepted)
            log_error(&watching->log, "WATCH-VOUCHED",
                      key->first
                          ? _("entry %llu: the hub's operator alone vouches for the key of node '%s', the "
                              "first of this name; ask department '%s', not the hub, whether it is its "
                              "own; if it is, it counts with --accept-key %s")
                          : _("entry %llu: the hub's operator alone vouches for the key of node '%s', "
                              "since the one before is revoked; ask department '%s', not the hub, whether "
                              "it is its own; if it is, it counts with --accept-key %s"),
                      (unsigned long long)key->position, key->node, key->department,
                      hex_encode(id, key->id, KEY_ID_SIZE));
    }
}

/* Each time there is something new, and when nothing has to be asked any more. */
static void tell_good(struct watching *watching, const struct watch_result *result, bool first)
{
    bool asked = result->n_open > 0;
    if (!result->fresh && !first && asked == watching->asked)
        return;
    watching->asked = asked;
    if (asked)
        tell_vouched(watching, result);
    else
        log_info(&watching->log, "WATCH-OK",
                 _n("%llu entry verified; new: %llu, enrolments: %llu",
                    "%llu entries verified; new: %llu, enrolments: %llu", result->size),
                 (unsigned long long)result->size, (unsigned long long)result->fresh,
                 (unsigned long long)result->enrolled);
}

static void tell(struct watching *watching, const struct watch_result *result, bool first, int answer,
                 const struct casebus_error *err)
{
    progress_clear(watching);
    if (answer < 0) {
        tell_unknown(watching, err);
        return;
    }
    tell_back(watching);
    if (answer == 1)
        log_error(&watching->log, "WATCH-ALARM", "%s (%s)%s%s", err->text, casebus_code_text(err->code),
                  err->hint[0] ? "; " : "", err->hint);
    else
        tell_good(watching, result, first);
}

/* What could not be written was not heard; a run that is killed before it comes here tells it once more. */
static void lost_heard(const struct watching *watching, const struct cli *cli,
                       const struct watch_result *result)
{
    struct casebus_error err;
    if (ferror(cli->out) || fflush(cli->out) != 0 || ferror(stderr))
        return;
    if (watch_told(result, &err))
        log_warning(&watching->log, "WATCH-AGAIN", _("what was lost will be told again: %s"), err.text);
}

static int look(struct watching *watching, const struct cli *cli)
{
    int answer = -1;
    bool asked = false, lost = false, cut_short = false;
    for (bool first = true; answer != 1 && !stopped; first = false) {
        struct casebus_error err = {0};
        struct watch_result result;
        int now = watch_round(watching->watch, &result, &err);
        cut_short = now < 0 && stopped; /* says nothing about the log; what was said last still stands */
        if (cut_short)
            break;
        answer = now;
        asked = now == 0 ? result.n_open > 0 : asked;
        tell(watching, &result, first, answer, &err);
        if (cli->json)
            tell_json(cli, &result, answer, &err);
        if (result.n_lost)
            lost_heard(watching, cli, &result);
        lost = watching->once && result.n_lost > 0; /* one that runs on has told somebody who listens */
        if (watching->once)
            break;
        if (answer != 1)
            wait_or_stop(watching->every_s);
    }
    if (cut_short || (stopped && answer < 0)) { /* the second also before there was a look */
        progress_clear(watching);
        log_notice(&watching->log, "WATCH-STOPPED",
                   _("stopped while looking; the next run goes on with what is verified"));
    }
    if (answer < 0)
        return CLI_UNREACHABLE;
    return answer == 1 || asked || lost ? CLI_NEGATIVE : CLI_OK;
}

int ledger_watch_main(struct cli *cli, int argc, char **argv)
{
    struct watching watching = {.every_s = 60,
                                .to_stderr = {.file = stderr, .min_level = LOG_INFO, .program = "casebus"}};
    struct casebus_error err = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = N_("URL|DIR"),
        .doc = N_(
            "Watches a hub's ledger from outside: reads new entries, and checks that the ledger has only "
            "grown, that the entries give the root that the hub signed, that departments' own keys "
            "signed what is said to be theirs, and tells of each key that is enrolled. Ends with 1 "
            "when something is wrong. --once ends with 0 when all is well, with 1 as well while a key is not "
            "accepted for which the hub's operator alone vouches, and when a restored hub has lost entries, "
            "with 3 when it could not look or an older "
            "tree is shown.")};
    cli_parse(cli, &argp, argc, argv, &watching);
    signals_catch();
    watching.log = (struct log){.min_level = LOG_INFO, .sink = log_sink, .self = &watching};
    int code = begin(&watching, !cli->json && isatty(STDERR_FILENO), &err) ? cli_fail(cli, &err)
                                                                           : look(&watching, cli);
    end(&watching);
    return code;
}
