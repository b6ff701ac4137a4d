/* The public face: puts the parts of a node together in one order and takes them apart in the reverse one,
 * and lends its loop to the session. All that happens, happens on that loop, in the thread that runs it. */
#include "casebus/node.h"

#include "adapters/sdk/event.h"
#include "adapters/sdk/generation.h"
#include "adapters/sdk/session.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/passphrase.h"
#include "proto/crypto/shield.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

enum {
    RECEIVE_WINDOW = 4 * 1024 * 1024,
    RENEW_DAYS = 60,
    ARENA_BLOCK = 16 * 1024,
    ARENA_MAX = 4 * 1024 * 1024,
};

#define OUTBOX_MAX  ((uint64_t)1 << 30)
#define OUTBOX_KEEP ((uint64_t)1 << 29)

struct casebus_node {
    struct casebus_node_handlers handlers;
    void *self;
    struct log log;
    int lock;
    struct enrolment enrolment;
    char dir[PATH_MAX];
    char endpoint[ENDPOINT_MAX];
    struct crypter *crypter;
    struct outbox *outbox;
    struct witness witness;
    struct confirmed confirmed;
    struct inbox inbox;
    struct arena arena; /* of the event being published */

    uv_loop_t own_loop;
    uv_loop_t *loop;
    void *context; /* of ZeroMQ */
    struct session session;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t run_timer; /* of casebus_node_run; only on our own loop */
    uv_work_t goodbye;
    int handles; /* that the loop still knows, the session counted as one */
    bool timed_out;
    bool active; /* a handler was called */
    enum casebus_node_state state;
    struct casebus_node_status counts;
    void (*on_closed)(void *self);
    void *on_closed_self;
};

const char *casebus_version(void)
{
    return CASEBUS_RELEASE;
}

/* --- what the session reports --- */

static void node_on_state(void *self, enum casebus_node_state state, const struct casebus_error *err)
{
    struct casebus_node *node = self;
    node->state = state;
    node->active = true;
    if (node->handlers.on_state)
        node->handlers.on_state(node->self, state, err);
}

static void node_on_outcome(void *self, const struct casebus_outcome *outcome)
{
    struct casebus_node *node = self;
    uint64_t *counts[] = {[CASEBUS_ACCEPTED] = &node->counts.accepted,
                          [CASEBUS_DUPLICATE] = &node->counts.duplicate,
                          [CASEBUS_REFUSED] = &node->counts.refused};
    ++*counts[outcome->kind];
    node->active = true;
    if (node->handlers.on_outcome)
        node->handlers.on_outcome(node->self, outcome);
}

static int node_on_delivery(void *self, const struct casebus_delivery *delivery)
{
    struct casebus_node *node = self;
    node->active = true;
    int r = node->handlers.on_delivery(node->self, delivery);
    node->counts.delivered += r == 0;
    return r;
}

static void node_on_log(void *self, enum log_level level, const char *id, const char *text)
{
    struct casebus_node *node = self;
    if (node->handlers.on_log)
        node->handlers.on_log(node->self, (int)level, id, text);
}

static const struct session_events node_events = {node_on_state, node_on_outcome, node_on_delivery};

/* --- opening --- */

static int options_check(const struct casebus_node_options *options, struct casebus_error *err)
{
    if (!options->dir || !*options->dir)
        return error_set(err, CASEBUS_ARGUMENT, _("a node needs its directory"));
    if (options->endpoint && strlen(options->endpoint) >= ENDPOINT_MAX)
        return error_set(err, CASEBUS_ARGUMENT, _("the endpoint '%.60s...' is too long"), options->endpoint);
    if (options->subscribe && (!options->handlers || !options->handlers->on_delivery))
        return error_set(err, CASEBUS_ARGUMENT, _("a node that subscribes needs the handler on_delivery"));
    return 0;
}

static int outbox_part_open(struct casebus_node *node, const struct casebus_node_options *options,
                            struct casebus_error *err)
{
    char path[PATH_MAX];
    if (path_join(path, sizeof path, options->dir, "outbox") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), options->dir);
    const struct outbox_options outbox = {
        .dir = path,
        .max_bytes = options->outbox_max_bytes ? options->outbox_max_bytes : OUTBOX_MAX,
        .keep_max_bytes = options->outbox_keep_bytes ? options->outbox_keep_bytes : OUTBOX_KEEP,
        .enrolment = &node->enrolment,
        .crypter = node->crypter};
    return outbox_open(&node->outbox, &outbox, err);
}

/* Everything that lives in the node's directory. */
static int node_load(struct casebus_node *node, const struct casebus_node_options *options,
                     struct casebus_error *err)
{
    char path[PATH_MAX];
    passphrase_here(options->passphrase_file);
    int r = enrolment_load(&node->enrolment, options->dir, clock_unix_us() / 1000000, err);
    passphrase_here(NULL);
    if (r != 0)
        return -1;
    if (path_join(path, sizeof path, options->dir, "lock") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), options->dir);
    node->lock = file_lock(path, err);
    if (node->lock < 0 || generation_load(&node->enrolment, options->dir, err) != 0)
        return -1;
    strcpy(node->dir, options->dir); /* shorter than the path of the lock */
    node->crypter = crypter_new(node->enrolment.suite);
    if (!node->crypter)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a node"));
    if (outbox_part_open(node, options, err) != 0 ||
        witness_open(&node->witness, options->dir, &node->enrolment.log, node->crypter, err) != 0)
        return -1;
    if (confirmed_open(&node->confirmed, options->dir, options->witnesses, options->witness_patience_s,
                       &node->enrolment.log, node->crypter, &node->log, err) != 0)
        return -1;
    return inbox_open(&node->inbox, options->dir, node->crypter, err);
}

/* Keeps what is worth keeping; the outbox keeps its own by itself. */
static void node_unload(struct casebus_node *node)
{
    node->outbox = outbox_close(node->outbox);
    if (node->inbox.stale)
        inbox_save(&node->inbox, NULL);
    if (node->witness.stale)
        witness_save(&node->witness, NULL);
    confirmed_close(&node->confirmed);
    inbox_close(&node->inbox);
    node->crypter = crypter_free(node->crypter);
    enrolment_deinit(&node->enrolment);
    arena_deinit(&node->arena);
    if (node->lock >= 0)
        close(node->lock);
    node->lock = -1;
}

static void node_on_prepare(uv_prepare_t *prepare)
{
    struct casebus_node *node = prepare->data;
    session_work(&node->session);
}

static void node_on_check(uv_check_t *check)
{
    struct casebus_node *node = check->data;
    session_work(&node->session);
}

static void node_on_run_timer(uv_timer_t *timer)
{
    struct casebus_node *node = timer->data;
    node->timed_out = true;
}

static int loop_begin(struct casebus_node *node, struct uv_loop_s *loop, struct casebus_error *err)
{
    node->loop = loop;
    if (!loop) {
        if (uv_loop_init(&node->own_loop) != 0)
            return error_set(err, CASEBUS_INTERNAL, _("cannot make an event loop"));
        node->loop = &node->own_loop;
        uv_timer_init(node->loop, &node->run_timer);
        node->run_timer.data = node;
        node->handles++;
    }
    uv_prepare_init(node->loop, &node->prepare);
    uv_check_init(node->loop, &node->check);
    node->prepare.data = node->check.data = node;
    node->handles += 2;
    uv_prepare_start(&node->prepare, node_on_prepare);
    uv_check_start(&node->check, node_on_check);
    return 0;
}

static int session_begin(struct casebus_node *node, const struct casebus_node_options *options,
                         struct casebus_error *err)
{
    const struct session_parts parts = {
        .loop = node->loop,
        .context = node->context,
        .endpoint = node->endpoint,
        .dir = node->dir,
        .enrolment = &node->enrolment,
        .crypter = node->crypter,
        .outbox = node->outbox,
        .witness = &node->witness,
        .confirmed = &node->confirmed,
        .inbox = &node->inbox,
        .log = &node->log,
        .subscribe = options->subscribe != 0,
        .receive_window = options->receive_window_bytes ? options->receive_window_bytes : RECEIVE_WINDOW,
        .renew_days = options->renew_days ? options->renew_days : RENEW_DAYS,
        .events = &node_events,
        .self = node};
    node->handles++;
    return session_open(&node->session, &parts, err);
}

static struct casebus_node *node_new(const struct casebus_node_options *options)
{
    struct casebus_node *node = secret_new(sizeof *node); /* it has keys in it */
    if (!node)
        return NULL;
    node->lock = -1;
    node->self = options->self;
    if (options->handlers)
        node->handlers = *options->handlers;
    node->log = (struct log){.min_level = LOG_DEBUG, .sink = node_on_log, .self = node};
    node->state = CASEBUS_NODE_CONNECTING;
    arena_init(&node->arena, ARENA_BLOCK, ARENA_MAX);
    return node;
}

static int node_start(struct casebus_node *node, const struct casebus_node_options *options,
                      struct casebus_error *err)
{
    strcpy(node->endpoint, options->endpoint ? options->endpoint : node->enrolment.endpoint);
    node->context = zmq_ctx_new();
    if (!node->context)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a node"));
    if (loop_begin(node, options->loop, err) != 0) {
        zmq_ctx_term(node->context);
        return -1;
    }
    return 0;
}

int casebus_node_open(struct casebus_node **nodep, const struct casebus_node_options *options,
                      struct casebus_error *err)
{
    struct casebus_error ignored;
    err = err ? err : &ignored;
    *nodep = NULL;
    if (options_check(options, err) != 0)
        return -1;
    struct casebus_node *node = node_new(options);
    if (!node)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for a node"));
    if (node_load(node, options, err) != 0 || node_start(node, options, err) != 0) {
        node_unload(node);
        secret_free(node, sizeof *node);
        return -1;
    }
    if (session_begin(node, options, err) != 0) {
        casebus_node_close(node);
        return -1;
    }
    *nodep = node;
    return 0;
}

/* --- closing: session and handles, then the sockets' last bytes, then the directory --- */

static void context_end(uv_work_t *work)
{
    struct casebus_node *node = work->data;
    zmq_ctx_term(node->context); /* waits until the goodbye has left, or its time is over */
}

static void node_on_ended(uv_work_t *work, int status)
{
    (void)status;
    struct casebus_node *node = work->data;
    void (*on_closed)(void *self) = node->on_closed;
    void *self = node->on_closed_self;
    node_unload(node);
    if (node->loop != &node->own_loop)
        secret_free(node, sizeof *node); /* else casebus_node_close has to close the loop first */
    if (on_closed)
        on_closed(self);
}

static void handle_ended(struct casebus_node *node)
{
    if (--node->handles > 0)
        return;
    node->goodbye.data = node;
    uv_queue_work(node->loop, &node->goodbye, context_end, node_on_ended);
}

static void node_on_handle_closed(uv_handle_t *handle)
{
    handle_ended(handle->data);
}

static void node_on_session_closed(void *self)
{
    handle_ended(self);
}

void casebus_node_close_async(struct casebus_node *node, void (*on_closed)(void *self), void *self)
{
    if (!node) {
        if (on_closed)
            on_closed(self);
        return;
    }
    node->on_closed = on_closed;
    node->on_closed_self = self;
    session_close(&node->session, node_on_session_closed);
    uv_close((uv_handle_t *)&node->prepare, node_on_handle_closed);
    uv_close((uv_handle_t *)&node->check, node_on_handle_closed);
    if (node->loop == &node->own_loop)
        uv_close((uv_handle_t *)&node->run_timer, node_on_handle_closed);
}

struct casebus_node *casebus_node_close(struct casebus_node *node)
{
    if (!node)
        return NULL;
    bool own = node->loop == &node->own_loop;
    casebus_node_close_async(node, NULL, NULL);
    if (own) {
        uv_run(&node->own_loop, UV_RUN_DEFAULT);
        uv_loop_close(&node->own_loop);
        secret_free(node, sizeof *node);
    }
    return NULL;
}

/* --- publishing --- */

int casebus_node_publish(struct casebus_node *node, const struct casebus_event *event, uint64_t mark,
                         uint64_t *numberp, struct casebus_error *err)
{
    struct bytes packed;
    uint8_t hash[DIGEST_SIZE];
    uint64_t number;
    arena_reset(&node->arena);
    if (event_pack(event, node->crypter, &node->arena, &packed, hash, err) != 0 ||
        outbox_append(node->outbox, packed, hash, mark, &number, err) != 0)
        return -1;
    if (numberp)
        *numberp = number;
    node->counts.published++;
    return 0;
}

int casebus_node_sync(struct casebus_node *node, struct casebus_error *err)
{
    return outbox_sync(node->outbox, err);
}

uint64_t casebus_node_last_mark(const struct casebus_node *node)
{
    return outbox_last_mark(node->outbox);
}

uint64_t casebus_node_pending(const struct casebus_node *node)
{
    return outbox_pending(node->outbox);
}

/* --- running --- */

static void run_until(struct casebus_node *node, int timeout_ms)
{
    node->timed_out = false;
    if (timeout_ms > 0) {
        uv_update_time(node->loop);
        uv_timer_start(&node->run_timer, node_on_run_timer, (uint64_t)timeout_ms, 0);
    }
    do
        uv_run(node->loop, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    while (timeout_ms != 0 && !node->active && !node->timed_out && node->state != CASEBUS_NODE_STOPPED);
    uv_timer_stop(&node->run_timer);
}

int casebus_node_run(struct casebus_node *node, int timeout_ms, struct casebus_error *err)
{
    if (node->loop != &node->own_loop)
        return error_set(err, CASEBUS_ARGUMENT, _("this node lives on the caller's loop, which runs it"));
    node->active = false;
    if (node->state != CASEBUS_NODE_STOPPED)
        run_until(node, timeout_ms);
    if (node->state != CASEBUS_NODE_STOPPED)
        return node->active ? 1 : 0;
    if (err)
        *err = node->session.last_error;
    return -1;
}

/* --- receiving --- */

int casebus_node_confirm(struct casebus_node *node, struct casebus_delivery_id id, struct casebus_error *err)
{
    size_t before = node->inbox.n;
    if (inbox_confirm(&node->inbox, id, err) != 0)
        return -1;
    node->counts.confirmed += before - node->inbox.n;
    if (node->inbox.stale)
        session_confirm(&node->session);
    return 0;
}

int casebus_node_last_confirmed(const struct casebus_node *node, struct casebus_delivery_id *id)
{
    *id = node->inbox.confirmed.id;
    return node->inbox.confirmed.any;
}

/* --- asking --- */

void casebus_node_get_status(const struct casebus_node *node, struct casebus_node_status *status)
{
    *status = node->counts;
    status->state = node->state;
    status->stream = outbox_stream(node->outbox);
    status->pending = outbox_pending(node->outbox);
    status->pending_bytes = outbox_pending_bytes(node->outbox);
    status->kept = outbox_kept(node->outbox, &status->kept_bytes);
    status->checkpoint_size = node->witness.newest.size;
    status->confirmed_size = node->confirmed.newest.size;
    status->unconfirmed_since = node->confirmed.unconfirmed_since_us / 1000000;
    status->certificate_ends = node->enrolment.certificate_ends;
    status->renewal_error = node->session.renewal.why;
    status->shut_out = node->session.shut_out;
    status->last_error = node->session.last_error;
}

const char *casebus_node_name(const struct casebus_node *node)
{
    return node->enrolment.node;
}

const char *casebus_node_origin(const struct casebus_node *node)
{
    return node->enrolment.origin;
}
