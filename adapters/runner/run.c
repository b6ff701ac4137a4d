/* `run`: rows into the outbox, deliveries into the sink, until there is nothing left to do or somebody says
 * stop.
 *
 *   open:   log, signals, configuration and source, node (outbox), rejects, sink
 *   loop:   up to 256 rows -> events -> outbox; let the node work; flush the sink and confirm
 *   close:  sync the outbox, then everything in the reverse order
 *
 * The row's number goes into the outbox with its event. After a crash the outbox itself says how far reading
 * had come, so there is no second file that could disagree with it. What the outbox cannot tell is whether
 * the source still is the same one: that is the mark's (mark.h).
 *
 * Log lines name rows by their number only; what stood in them is in the rejects file (no personal data in
 * logs). */
#include "adapters/runner/commands.h"
#include "adapters/runner/config.h"
#include "adapters/runner/mark.h"
#include "adapters/runner/progress.h"
#include "adapters/runner/rejects.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/crypto/shield.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ROWS_A_TURN = 256, WAIT_MS = 100, REJECTS_LOGGED = 20, SHUT_OUT_MAX = 3 };

struct run {
    const struct options *options;
    struct config config;
    struct log log;
    struct log log_below; /* under the bar */
    struct progress progress;
    struct counts counts;

    struct casebus_node *node;
    bool ready;
    bool welcomed; /* was ready once */
    struct casebus_event *event;
    bool event_waits; /* in `event`: the outbox was full */
    uint64_t event_row;
    struct mark mark;
    bool source_ended;
    bool source_damaged;
    bool row_left; /* the last one, which is not ended yet */
    struct rejects rejects;

    void *sink;
    struct casebus_delivery_id seen; /* the last one that was given to the sink */
    bool sink_took;
    bool sink_fails;
    uint64_t heard_ns; /* when the last delivery came */

    int signals;
    bool stopping;
};

/* ---- what the node tells ---- */

static void on_outcome(void *self, const struct casebus_outcome *outcome)
{
    struct run *run = self;
    struct casebus_error err;
    if (outcome->kind == CASEBUS_ACCEPTED) {
        run->counts.accepted++;
        return;
    }
    if (outcome->kind == CASEBUS_DUPLICATE) {
        run->counts.duplicate++;
        return;
    }
    if (run->counts.refused++ < REJECTS_LOGGED)
        log_warning(&run->log, "EVENT-REFUSED", _("row %llu: the hub refused its event: %s (%s)%s%s"),
                    (unsigned long long)outcome->mark, outcome->sentence ? outcome->sentence : "",
                    outcome->code ? outcome->code : "", outcome->hint && *outcome->hint ? "; " : "",
                    outcome->hint ? outcome->hint : "");
    if (rejects_add_refusal(&run->rejects, outcome->mark, outcome->code, outcome->sentence, outcome->hint,
                            &err) != 0)
        log_error(&run->log, "REJECTS-FAILED", "%s", err.text);
}

static void sink_trouble(struct run *run, const struct casebus_error *err)
{
    if (!run->sink_fails)
        log_error(&run->log, "SINK-FAILED", _("%s; deliveries wait at the hub until it works again"),
                  err->text);
    run->sink_fails = true;
}

static int on_delivery(void *self, const struct casebus_delivery *delivery)
{
    struct run *run = self;
    struct casebus_error err;
    if (!run->sink || run->sink_fails)
        return 1;
    int r = run->config.sink_kind->deliver(run->sink, delivery, &err);
    if (r < 0)
        sink_trouble(run, &err);
    if (r != 0)
        return 1;
    run->seen = delivery->id;
    run->sink_took = true;
    run->heard_ns = clock_monotonic_ns();
    run->counts.delivered++;
    return 0;
}

static void on_state(void *self, enum casebus_node_state state, const struct casebus_error *err)
{
    struct run *run = self;
    (void)err; /* the SDK logs its sessions itself */
    run->ready = state == CASEBUS_NODE_READY;
    run->welcomed |= run->ready;
}

static void on_log(void *self, int level, const char *id, const char *text)
{
    struct run *run = self;
    log_line(&run->log, level < LOG_DEBUG || level > LOG_ERROR ? LOG_INFO : (enum log_level)level, id, "%s",
             text);
}

static const struct casebus_node_handlers handlers = {
    .on_outcome = on_outcome, .on_delivery = on_delivery, .on_state = on_state, .on_log = on_log};

/* ---- rows into the outbox ---- */

static int row_reject(struct run *run, const struct row *row, const struct casebus_error *why,
                      struct casebus_error *err)
{
    run->counts.rows++;
    if (run->counts.rejected++ < REJECTS_LOGGED)
        log_warning(
            &run->log, "ROW-REJECTED", _("row %llu (line %llu) cannot be used; the reason is in '%s'"),
            (unsigned long long)row->number, (unsigned long long)row->line, run->config.general.rejects);
    return rejects_add_row(&run->rejects, row->number, row->line, why, row->raw, err);
}

/* Puts the event that is in hand into the outbox. Returns 1, 0 when the outbox is full, or -1. */
static int event_publish(struct run *run, struct casebus_error *err)
{
    uint64_t number;
    if (casebus_node_publish(run->node, run->event, run->event_row, &number, err) == 0) {
        run->event_waits = false;
        run->counts.sent++;
        mark_published(&run->mark);
        return 1;
    }
    run->event_waits = true;
    return err->code == CASEBUS_BUSY ? 0 : -1;
}

static int row_publish(struct run *run, const struct row *row, struct casebus_error *err)
{
    struct casebus_error why = {0};
    if (!config_row_passes(&run->config, row)) {
        run->counts.filtered++;
        return 1;
    }
    if (mapping_apply(run->config.mapping, row, run->event, &why) != 0)
        return row_reject(run, row, &why, err) == 0 ? 1 : -1;
    run->counts.rows++;
    run->event_row = row->number;
    return event_publish(run, err);
}

/* What was read before stays good; the program ends when it is all answered. */
static void source_damage(struct run *run, const struct casebus_error *err)
{
    run->source_ended = true;
    run->source_damaged = true;
    log_error(&run->log, "SOURCE-DAMAGED", "%s%s%s", err->text, err->hint[0] ? "; " : "", err->hint);
}

static void row_leave(struct run *run, const struct row *row, const struct casebus_error *why)
{
    run->row_left = true;
    log_warning(&run->log, "ROW-OPEN", _("row %llu (line %llu) is left for the next run: %s; %s"),
                (unsigned long long)row->number, (unsigned long long)row->line, why->text, why->hint);
}

/* Returns 1 to go on, 0 when nothing more goes for now, or -1. */
static int row_next(struct run *run, struct casebus_error *err)
{
    struct row row;
    struct casebus_error why = {0};
    int r = run->config.source_kind->next(run->config.source, &row, &why);
    if (r < 0)
        source_damage(run, &why);
    if (r == SOURCE_OPEN_ROW && row.number > run->mark.read_to)
        row_leave(run, &row, &why);
    if (r <= 0 || r == SOURCE_OPEN_ROW) {
        run->source_ended = true;
        /* An open row that was read as it stood, by source.last_row: any, is compared when it has its end. */
        if (r >= 0 && mark_end(&run->mark, r == SOURCE_OPEN_ROW ? row.number : run->mark.now.row, err) != 0)
            return -1;
        /* Now, not when the program ends: without --once that may be long from now, and by kill -9. */
        return casebus_node_sync(run->node, err) != 0 ? -1 : mark_keep(&run->mark, err);
    }
    if (mark_row(&run->mark, &row, r == SOURCE_BAD_ROW, err) != 0)
        return -1;
    if (row.number <= run->mark.skip_to) {
        run->counts.skipped++;
        return 1;
    }
    if (r == SOURCE_BAD_ROW)
        return row_reject(run, &row, &why, err) == 0 ? 1 : -1;
    return row_publish(run, &row, err);
}

/* Returns 1 when there is more, 0 when not or not now, or -1. */
static int rows_turn(struct run *run, struct casebus_error *err)
{
    int r = 1;
    if (run->event_waits)
        r = event_publish(run, err);
    for (int i = 0; r > 0 && i < ROWS_A_TURN && !run->source_ended; i++)
        r = row_next(run, err);
    if (rejects_sync(&run->rejects, err) != 0)
        return -1;
    if (mark_due(&run->mark) && (casebus_node_sync(run->node, err) != 0 || mark_keep(&run->mark, err) != 0))
        return -1;
    return r;
}

/* ---- deliveries into the sink ---- */

static int sink_turn(struct run *run, struct casebus_error *err)
{
    struct casebus_delivery_id safe;
    struct casebus_error why;
    if (!run->sink || (!run->sink_took && !run->sink_fails))
        return 0;
    if (run->config.sink_kind->flush(run->sink, &safe, &why) != 0) {
        sink_trouble(run, &why);
        return 0;
    }
    if (run->sink_fails)
        log_notice(&run->log, "SINK-WORKS", _("the sink works again"));
    run->sink_fails = false;
    bool took = run->sink_took;
    run->sink_took = false;
    return took ? casebus_node_confirm(run->node, run->seen, err) : 0;
}

/* ---- the loop ---- */

static bool signal_came(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof info) != sizeof info)
        return false;
    log_notice(&run->log, "STOPPING", _("stopping, as asked; what is in the outbox stays there"));
    return true;
}

static bool all_done(const struct run *run)
{
    if (!run->source_ended || run->event_waits)
        return false;
    if (!run->options->once && !(run->source_damaged && !run->sink))
        return false;
    /* A hub that was restored asks for what it has lost: even who has nothing new has to meet it. */
    if (run->options->once && !run->welcomed)
        return false;
    if (casebus_node_pending(run->node) > 0 || run->sink_took || run->sink_fails)
        return false;
    uint64_t idle_ns = run->options->idle_seconds * 1000000000ull;
    return !run->sink || clock_monotonic_ns() - run->heard_ns >= idle_ns;
}

/* How much is read and answered, from 0 to 1; below 0 when nobody knows. */
static double part_done(const struct run *run)
{
    const struct counts *counts = &run->counts;
    uint64_t answered = counts->accepted + counts->duplicate + counts->refused;
    if (!run->config.source)
        return -1;
    double part = run->source_ended ? 1 : run->config.source_kind->progress(run->config.source);
    return part > 0 && answered < counts->sent ? part * (double)answered / (double)counts->sent : part;
}

/* A hub that does not know this node may learn to know it, but a run that is to come to an end cannot wait
 * for that. One that is just being stopped looks alike, so it is asked more than once. */
static int shut_out(const struct run *run, struct casebus_error *err)
{
    struct casebus_node_status status;
    if (!run->options->once || run->welcomed)
        return 0;
    casebus_node_get_status(run->node, &status);
    if (status.shut_out < SHUT_OUT_MAX)
        return 0;
    *err = status.last_error;
    return -1;
}

static int loop(struct run *run, struct casebus_error *err)
{
    while (!run->stopping && !all_done(run)) {
        int more = run->source_ended && !run->event_waits ? 0 : rows_turn(run, err);
        if (more < 0 || casebus_node_run(run->node, more > 0 ? 0 : WAIT_MS, err) < 0 ||
            sink_turn(run, err) != 0 || shut_out(run, err) != 0)
            return -1;
        progress_show(&run->progress, &run->counts, part_done(run), run->ready);
        run->stopping = signal_came(run);
    }
    if (casebus_node_sync(run->node, err) != 0)
        return -1;
    return run->config.source ? mark_keep(&run->mark, err) : 0;
}

/* ---- opening and closing ---- */

/* Log lines and the bar share a terminal. */
static void log_over_bar(void *self, enum log_level level, const char *id, const char *text)
{
    struct run *run = self;
    progress_clear(&run->progress);
    log_line(&run->log_below, level, id, "%s", text);
}

static int signals_open(struct run *run, struct casebus_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    run->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return run->signals >= 0 ? 0 : error_set_errno(err, errno, _("cannot wait for signals"));
}

static int node_open(struct run *run, struct casebus_error *err)
{
    struct casebus_node_options options = {.dir = run->config.general.node,
                                           .endpoint = run->config.general.endpoint,
                                           .handlers = &handlers,
                                           .self = run,
                                           .witnesses = run->config.general.witnesses,
                                           .witness_patience_s = run->config.general.witness_patience_s,
                                           .outbox_keep_bytes = (uint64_t)run->config.general.outbox_keep
                                                                << 20,
                                           .renew_days = run->config.general.renew_days,
                                           .subscribe = run->config.sink_kind != NULL};
    run->event = casebus_event_new();
    if (!run->event)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an event"));
    if (casebus_node_open(&run->node, &options, err) != 0)
        return -1;
    run->progress.name = casebus_node_name(run->node);
    return 0;
}

static int source_begin(struct run *run, struct casebus_error *err)
{
    run->source_ended = !run->config.source;
    if (!run->config.source)
        return rejects_open(&run->rejects, run->config.general.rejects, false, err);
    uint64_t read_to = run->options->from_start ? 0 : casebus_node_last_mark(run->node);
    if (mark_open(&run->mark, &run->config, read_to, err) != 0)
        return -1;
    if (run->mark.skip_to > 0)
        log_info(&run->log, "RESUMED", _("rows 1 to %llu were read before; going on behind them"),
                 (unsigned long long)run->mark.skip_to);
    if (run->mark.skip_to < read_to)
        log_notice(&run->log, "ROWS-AGAIN",
                   _("the adapter was killed behind row %llu: rows up to %llu may be published already, and "
                     "are once more; the hub recognises them"),
                   (unsigned long long)run->mark.skip_to, (unsigned long long)read_to);
    return rejects_open(&run->rejects, run->config.general.rejects, read_to == 0, err);
}

static int sink_open(struct run *run, struct casebus_error *err)
{
    struct casebus_delivery_id last = {0}, confirmed = {0};
    if (!run->config.sink_kind)
        return 0;
    if (run->config.sink_kind->open(&run->sink, run->config.sink_config.bytes, casebus_node_origin(run->node),
                                    &last, err) != 0)
        return -1;
    casebus_node_last_confirmed(run->node, &confirmed);
    if (last.position < confirmed.position ||
        (last.position == confirmed.position && last.ordinal < confirmed.ordinal))
        log_warning(&run->log, "SINK-LACKS",
                    _("the sink ends at position %llu, but deliveries up to %llu were confirmed: was its "
                      "file moved?"),
                    (unsigned long long)last.position, (unsigned long long)confirmed.position);
    run->heard_ns = clock_monotonic_ns();
    return 0;
}

static int parts_open(struct run *run, struct casebus_error *err)
{
    if (shield_lacks())
        log_warning(&run->log, "MEMORY-OPEN", "%s", shield_lacks());
    if (signals_open(run, err) != 0 || node_open(run, err) != 0 || source_begin(run, err) != 0)
        return -1;
    return sink_open(run, err);
}

static void parts_close(struct run *run)
{
    run->node = casebus_node_close(run->node);
    if (run->sink)
        run->config.sink_kind->close(run->sink);
    rejects_close(&run->rejects);
    casebus_event_free(run->event);
    if (run->signals >= 0)
        close(run->signals);
}

/* ---- the result ---- */

static void unmapped_log(struct run *run)
{
    struct tally *unmapped = run->config.mapping ? mapping_unmapped(run->config.mapping) : NULL;
    if (!unmapped || unmapped->n == 0)
        return;
    tally_sort(unmapped);
    log_notice(&run->log, "CODES-UNMAPPED",
               _("codes that are in no table went as the default: %zu, such as '%s' (times: %llu); "
                 "`casebus-adapter check` lists them"),
               unmapped->n, unmapped->rows[0].text, (unsigned long long)unmapped->rows[0].n);
}

static void filter_log(struct run *run)
{
    const struct counts *counts = &run->counts;
    if (counts->filtered > 0 && counts->rows + counts->skipped == 0)
        log_warning(&run->log, "FILTER-PASSED-NONE",
                    _("none of %llu rows passed the filter; is it spelled as the rows are?"),
                    (unsigned long long)counts->filtered);
}

static int result_print(const struct run *run, bool failed)
{
    const struct counts *counts = &run->counts;
    bool interrupted = run->stopping && run->options->once;
    bool some_bad = counts->refused + counts->rejected > 0 || run->row_left;
    failed |= run->source_damaged;
    const char *word = failed ? "FAILED" : interrupted ? "STOPPED" : some_bad ? "PARTIAL" : "OK";
    printf(
        "RESULT %s rows=%llu sent=%llu accepted=%llu duplicate=%llu refused=%llu rejected=%llu received=%llu "
        "skipped=%llu filtered=%llu seconds=%.3f\n",
        word, (unsigned long long)counts->rows, (unsigned long long)counts->sent,
        (unsigned long long)counts->accepted, (unsigned long long)counts->duplicate,
        (unsigned long long)counts->refused, (unsigned long long)counts->rejected,
        (unsigned long long)counts->delivered, (unsigned long long)counts->skipped,
        (unsigned long long)counts->filtered, progress_seconds(&run->progress));
    fflush(stdout);
    if (failed || interrupted)
        return EXIT_STUCK;
    return some_bad ? EXIT_SOME_BAD : EXIT_FINE;
}

static int run_configured(struct run *run)
{
    struct casebus_error err = {0};
    progress_init(&run->progress, "casebus-adapter", &run->log);
    bool failed = parts_open(run, &err) != 0 || loop(run, &err) != 0;
    progress_clear(&run->progress);
    if (failed)
        error_print("casebus-adapter", &err);
    unmapped_log(run);
    filter_log(run);
    parts_close(run);
    progress_clear(&run->progress);
    int code = result_print(run, failed);
    return failed && err.code == CASEBUS_PASSPHRASE ? EXIT_LOCKED : code;
}

int run_command(const struct options *options)
{
    struct run *run = calloc(1, sizeof *run);
    struct faults faults;
    if (!run)
        return EXIT_STUCK;
    run->options = options;
    run->signals = -1;
    run->log =
        (struct log){.min_level = options->verbose ? LOG_DEBUG : LOG_INFO, .sink = log_over_bar, .self = run};
    run->log_below = (struct log){.file = stderr, .min_level = LOG_DEBUG, .program = "casebus-adapter"};
    faults_init(&faults);
    config_init(&run->config, options->argument, options->sets, options->backfill, CONFIG_TO_RUN, &faults);
    if (faults.n_all == 0 && options->once && !run->config.source && options->idle_seconds == 0) {
        faults_add(&faults, NULL, _("--once would end before anything was received: there is no source"));
        faults_hint(&faults, _("add --idle=5: it ends when nothing has come for 5 seconds"));
    }
    int code = EXIT_USAGE;
    if (faults.n_all == 0) {
        code = run_configured(run);
    } else {
        faults_print(&faults, stderr);
        fprintf(stderr, _("casebus-adapter: faults in the configuration: %zu; nothing was started\n"),
                faults.n_all);
    }
    config_deinit(&run->config);
    faults_deinit(&faults);
    free(run);
    return code;
}
