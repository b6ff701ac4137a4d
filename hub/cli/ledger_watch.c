/* casebus ledger watch: the monitor that a department, an auditor or a witness runs. It needs no hub's files
 * and no hub's key, only what it trusts. */
#include "hub/cli/cli.h"
#include "hub/cli/trust.h"
#include "hub/watch/watch.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <signal.h>
#include <unistd.h>

#define TOKEN_MAX 256

struct watching {
    const char *where, *trust, *state, *token_file, *witnesses;
    bool once;
    uint64_t every_s;
    /* loaded */
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    char vkey[VKEY_MAX], token[TOKEN_MAX];
    struct policy *policy;
    struct source *source;
    struct watch *watch;
    struct log log;
    int64_t silent_since_us;
};

enum { OPT_ONCE = 256, OPT_EVERY, OPT_TOKEN, OPT_WITNESSES, OPT_STATE };

static const struct argp_option options[] = {
    {"trust", 't', N_("CA,VKEY"), 0,
     N_("Whom to believe: the certificate of the departments' authority, and the key of the log, or the "
        "enrolment.json of a node, which holds both"),
     0},
    {"state", OPT_STATE, N_("DIR"), 0, N_("Where what was seen is kept; one for each log"), 0},
    {"token", OPT_TOKEN, N_("FILE"), 0, N_("File with the auditor's token; else $CASEBUS_TOKEN"), 0},
    {"witnesses", OPT_WITNESSES, N_("FILE"), 0,
     N_("Policy file: whose cosignatures each checkpoint must carry"), 0},
    {"once", OPT_ONCE, NULL, 0, N_("Look once"), 0},
    {"every", OPT_EVERY, N_("SECONDS"), 0, N_("Look so often (60)"), 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct watching *watching = state->input;
    switch (key) {
    case 't':
        watching->trust = arg;
        return 0;
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
            argp_usage(state);
        watching->where = arg;
        return 0;
    case ARGP_KEY_END:
        if (!watching->where || !watching->trust || !watching->state)
            argp_error(state, _("an address or a directory, --trust and --state are needed"));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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

static int begin(struct watching *watching, struct casebus_error *err)
{
    if (trust_read(watching->trust, watching->authority, &watching->authority_size, watching->vkey, err) ||
        token_load(watching, err) ||
        (watching->witnesses && policy_read(&watching->policy, watching->witnesses, err)) ||
        source_open(&watching->source, watching->where, watching->token[0] ? watching->token : NULL, err))
        return -1;
    const struct watch_options watch = {.dir = watching->state,
                                        .source = watching->source,
                                        .log_vkey = watching->vkey,
                                        .authority = bytes_of(watching->authority, watching->authority_size),
                                        .policy = watching->policy,
                                        .log = &watching->log};
    return watch_open(&watching->watch, &watch, err);
}

static void end(struct watching *watching)
{
    watch_close(watching->watch);
    source_close(watching->source);
    policy_free(watching->policy);
    secret_clear(watching->token, sizeof watching->token);
}

static void tell_json(const struct cli *cli, const struct watch_result *result, int answer,
                      const struct casebus_error *err)
{
    char root[2 * DIGEST_SIZE + 1];
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:I, s:s}", "result",
                  answer == 0   ? "OK"
                  : answer == 1 ? "ALARM"
                                : "UNKNOWN",
                  "size", (json_int_t)result->size, "new", (json_int_t)result->fresh, "enrolled",
                  (json_int_t)result->enrolled, "root", hex_encode(root, result->root, DIGEST_SIZE));
    if (answer) {
        json_object_set_new(json, "code", json_string(casebus_code_text(err->code)));
        json_object_set_new(json, "sentence", json_string(err->text));
        json_object_set_new(json, "hint", json_string(err->hint));
    }
    cli_print_json(cli, json);
    json_decref(json);
    fflush(cli->out);
}

/* What is wrong with the log is told each time; that it cannot be reached, once. */
static void tell(struct watching *watching, const struct watch_result *result, int answer,
                 const struct casebus_error *err)
{
    if (answer == 1)
        log_error(&watching->log, "WATCH-ALARM", "%s (%s)%s%s", err->text, casebus_code_text(err->code),
                  err->hint[0] ? "; " : "", err->hint);
    if (answer < 0 && !watching->silent_since_us) {
        watching->silent_since_us = clock_unix_us();
        log_warning(&watching->log, "WATCH-SILENT", "%s%s%s", err->text, err->hint[0] ? "; " : "", err->hint);
    }
    if (answer >= 0 && watching->silent_since_us) {
        log_notice(&watching->log, "WATCH-BACK", _("the log can be read again, after %lld s"),
                   (long long)((clock_unix_us() - watching->silent_since_us) / 1000000));
        watching->silent_since_us = 0;
    }
    if (answer == 0 && (result->fresh || watching->once))
        log_info(&watching->log, "WATCH-OK",
                 _("%llu entries verified, %llu of them new, with %llu enrolments"),
                 (unsigned long long)result->size, (unsigned long long)result->fresh,
                 (unsigned long long)result->enrolled);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: sleep ends */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int look(struct watching *watching, const struct cli *cli)
{
    struct casebus_error err = {0};
    struct watch_result result;
    int answer = 0;
    do {
        answer = watch_round(watching->watch, &result, &err);
        tell(watching, &result, answer, &err);
        if (cli->json)
            tell_json(cli, &result, answer, &err);
        if (!watching->once && answer != 1 && !stopped)
            sleep((unsigned)watching->every_s);
    } while (!watching->once && answer != 1 && !stopped);
    return answer == 0 ? CLI_OK : answer == 1 ? CLI_NEGATIVE : CLI_UNREACHABLE;
}

int ledger_watch_main(struct cli *cli, int argc, char **argv)
{
    struct watching watching = {.every_s = 60,
                                .log = {.file = stderr, .min_level = LOG_INFO, .program = "casebus"}};
    struct casebus_error err = {0};
    struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = N_("URL|DIR"),
        .doc =
            N_("Watches a hub's ledger from outside: reads new entries, and checks that the ledger has only "
               "grown, that the entries give the root that the hub signed, that departments' own keys "
               "signed what is said to be theirs, and tells of each key that is enrolled. Ends with 1 "
               "when something is wrong, with 3 when --once could not look.")};
    cli_parse(cli, &argp, argc, argv, &watching);
    signals_catch();
    int code = begin(&watching, &err) ? cli_fail(cli, &err) : look(&watching, cli);
    end(&watching);
    return code;
}
