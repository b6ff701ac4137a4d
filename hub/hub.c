#include "hub/hub.h"

#include "hub/authority.h"
#include "hub/bus/bus.h"
#include "hub/console/console.h"
#include "hub/console/invite.h"
#include "hub/console/monitor.h"
#include "hub/door/door.h"
#include "hub/exchange/exchange.h"
#include "hub/expiry.h"
#include "hub/pipeline/inviting.h"
#include "hub/pipeline/release.h"
#include "hub/pipeline/sharing.h"
#include "hub/pipeline/standing.h"
#include "hub/renewing.h"
#include "hub/retention.h"
#include "hub/rotation.h"
#include "hub/stores.h"
#include "hub/waiting.h"
#include "hub/witnessing.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/crypto/shield.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>
#include <zmq.h>

#include "proto/base/files.h"

#define CLOCK_BACK_US     (5ll * 60 * 1000000)
#define DESCRIPTORS       8192
#define KEYS_LOOKED_AT_MS 500

struct hub {
    const char *dir;
    struct log *log;
    struct stores stores;
    struct bus *bus;
    struct pipeline *pipeline;
    struct console_hub console_hub; /* as console and door see this hub */
    struct console *console;
    struct monitor *monitor;
    struct invitations *invitations;
    struct door *door;
    struct renewing *_Atomic renewing; /* the bus may ask before it is there */
    struct rotation *rotation;
    char door_address[256];
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct witnessing witnessing;
    int64_t started_at_us;
    uint64_t started_at_ns;
    uv_loop_t loop;
    uv_signal_t sigterm, sigint;
    uv_async_t fatal;
    uv_timer_t waiting, expiry, keys;
    uv_mutex_t lock; /* guards @err and @failed */
    struct casebus_error err;
    bool failed;
};

/* ---- the pipeline and the bus call ---- */

static void hub_on_group(void *self, struct group *group)
{
    bus_post_group(((struct hub *)self)->bus, group);
}

static void hub_on_persisted(void *self, uint64_t size)
{
    bus_post_persisted(((struct hub *)self)->bus, size);
}

static void hub_on_fatal(void *self, const struct casebus_error *err)
{
    struct hub *hub = self;
    uv_mutex_lock(&hub->lock);
    if (!hub->failed)
        hub->err = *err;
    hub->failed = true;
    uv_mutex_unlock(&hub->lock);
    uv_async_send(&hub->fatal);
}

/* Before there is a pipeline, all that was durable is in the ledger. */
static uint64_t hub_committed(void *self)
{
    struct hub *hub = self;
    struct pipeline_counters counters;
    if (!hub->pipeline)
        return ledger_size(hub->stores.ledger);
    pipeline_get_counters(hub->pipeline, &counters);
    return counters.committed_size;
}

static void hub_on_cosigned(void *self, uint64_t size, const char *note)
{
    struct hub *hub = self;
    if (hub->bus)
        bus_post_cosigned(hub->bus, size, note);
}

static int hub_renew(void *self, uint64_t session, const char *node, struct bytes statement,
                     struct bytes signature, struct casebus_error *err)
{
    struct hub *hub = self;
    struct renewing *renewing = atomic_load(&hub->renewing);
    return renewing ? renewing_ask(renewing, session, node, statement, signature, err)
                    : error_set(err, CASEBUS_BUSY, _("the hub is starting, or stopping"));
}

static void hub_on_behind(void *self, const struct casebus_error *err)
{
    bus_post_behind(((struct hub *)self)->bus, err);
}

/* ---- the console calls ---- */

static struct registry *hub_registry(void *self)
{
    return pipeline_registry(((struct hub *)self)->pipeline);
}

static int hub_barrier(void *self, int timeout_ms, struct casebus_error *err)
{
    return pipeline_barrier(((struct hub *)self)->pipeline, timeout_ms, err);
}

/* A second copy exists: kept in DIR/secured, so that a restart does not make the nodes keep more. */
static int hub_secured(void *self, uint64_t size, const char *dest, struct casebus_error *err)
{
    struct hub *hub = self;
    struct secured secured = {.size = size, .at_us = clock_unix_us()};
    if (size > ledger_size(hub->stores.ledger))
        return error_set(err, CASEBUS_ARGUMENT,
                         _("%llu entries cannot have a second copy: the ledger has %llu"),
                         (unsigned long long)size, (unsigned long long)ledger_size(hub->stores.ledger));
    if (size < hub->stores.secured.size)
        return 0;
    snprintf(secured.dest, sizeof(secured.dest), "%s", dest);
    if (secured_write(hub->dir, &secured, err))
        return -1;
    hub->stores.secured = secured;
    bus_set_secured(hub->bus, size);
    log_info(
        hub->log, "SECURED",
        _n("the first entry (%llu) has a second copy", "the first %llu entries have a second copy", size),
        (unsigned long long)size);
    return 0;
}

/* Before anything new goes into the ledger. */
static int may_sign(const struct hub *hub, struct casebus_error *err)
{
    return bus_behind(hub->bus)
               ? error_set(err, CASEBUS_BEHIND,
                           _("this hub is behind what it showed to others, and signs nothing"))
               : 0;
}

static int hub_enrol(void *self, struct bytes statement, struct bytes signature, struct bytes certificate,
                     const Casebus__V1__Grants *grants, struct bytes invitation, const char *by,
                     int timeout_ms, struct casebus_error *err)
{
    struct hub *hub = self;
    struct arena arena;
    if (may_sign(hub, err))
        return -1;
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    arena_init(&arena, 4096, 65536);
    enrolled.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)statement.data};
    enrolled.signature = (ProtobufCBinaryData){signature.size, (uint8_t *)signature.data};
    enrolled.certificate = (ProtobufCBinaryData){certificate.size, (uint8_t *)certificate.data};
    enrolled.grants = (Casebus__V1__Grants *)grants;
    enrolled.invitation = (ProtobufCBinaryData){invitation.size, (uint8_t *)(uintptr_t)invitation.data};
    struct bytes packed = codec_pack(&enrolled, &arena);
    int r = packed.data ? pipeline_enrol(hub->pipeline, packed, by, timeout_ms, err)
                        : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    arena_deinit(&arena);
    return r;
}

/* What the ledger says of an invitation: not the code, nor what could be made of it. */
static int invitation_commit(struct hub *hub, const struct invitation *invitation, const char *by,
                             struct casebus_error *err)
{
    const struct act_note note = {by, "", ""};
    uint32_t kinds[32];
    Casebus__V1__Grants grants = CASEBUS__V1__GRANTS__INIT;
    Casebus__V1__NodeInvited invited = CASEBUS__V1__NODE_INVITED__INIT;
    for (uint32_t kind = 1; kind < 32; kind++)
        if (invitation->part_kinds & part_kind_bit((Casebus__V1__PartKind)kind))
            kinds[grants.n_receive_part_kind++] = kind;
    grants.receive_part_kind = kinds;
    grants.publish = invitation->publish;
    grants.receive_all = invitation->receive_all;
    invited.invitation = (ProtobufCBinaryData){INVITATION_SIZE, (uint8_t *)(uintptr_t)invitation->id};
    invited.node = (char *)(uintptr_t)invitation->node;
    invited.department = (char *)(uintptr_t)invitation->department;
    invited.area = (char *)(uintptr_t)invitation->area;
    invited.grants = &grants;
    invited.automatic = invitation->automatic;
    invited.expires_at_us = invitation->expires_at_us;
    return pipeline_invite(hub->pipeline, &invited, &note, err);
}

static int hub_invite(void *self, const struct invitation *invitation, const char *by,
                      struct casebus_error *err)
{
    struct hub *hub = self;
    struct invitation same;
    if (may_sign(hub, err))
        return -1;
    if (invitations_find_node(hub->invitations, invitation->node, &same) &&
        invitation_alive(&same, clock_unix_us()))
        return invitations_add(hub->invitations, invitation, clock_unix_us(), err); /* says why not */
    if (door_hold(hub->door, err))
        return -1;
    int r = invitation_commit(hub, invitation, by, err) ||
                    invitations_add(hub->invitations, invitation, clock_unix_us(), err)
                ? -1
                : 0;
    door_release(hub->door);
    return r;
}

/* The door's thread: an invitation that no operator looks at. */
static int hub_approve(void *self, const uint8_t id[INVITATION_SIZE], struct casebus_error *err)
{
    struct hub *hub = self;
    return console_approve(&hub->console_hub, hub->log, id, err);
}

static int hub_change_standing(void *self, const struct standing_change *change, const char *by,
                               const char *words, struct casebus_error *err)
{
    struct hub *hub = self;
    const struct act_note note = {by, words, ""};
    if (may_sign(hub, err))
        return -1;
    return pipeline_change_standing(hub->pipeline, change, &note, err);
}

static int hub_release(void *self, uint64_t position, const char *by, const char *words, uint64_t *decided,
                       struct casebus_error *err)
{
    struct hub *hub = self;
    const struct act_note note = {by, words, ""};
    if (may_sign(hub, err))
        return -1;
    return pipeline_release(hub->pipeline, position, &note, decided, err);
}

static int hub_rotate_curve(void *self, uint64_t after_s, const char *by, struct casebus_error *err)
{
    struct hub *hub = self;
    if (may_sign(hub, err))
        return -1;
    return rotation_curve(hub->rotation, after_s, by, err);
}

static int hub_rotate_authority(void *self, const char *by, struct casebus_error *err)
{
    struct hub *hub = self;
    uint8_t authority[CERTIFICATE_MAX];
    size_t size;
    if (may_sign(hub, err) || rotation_authority(hub->rotation, by, err))
        return -1;
    rotation_newest(hub->rotation, authority, &size);
    door_set_authority(hub->door, bytes_of(authority, size));
    return 0;
}

static int hub_issuer(void *self, struct bytes certificate, uint8_t authority[CERTIFICATE_MAX], size_t *size,
                      struct casebus_error *err)
{
    return rotation_issuer(((struct hub *)self)->rotation, certificate, authority, size, err);
}

static void hub_keys_show(void *self, struct console_keys *keys)
{
    rotation_tell(((struct hub *)self)->rotation, keys);
}

static struct rights_book *hub_policy(void *self)
{
    struct hub *hub = self;
    return pipeline_policy(hub->pipeline);
}

static int hub_apply_policy(void *self, struct bytes text, uint32_t base, const char *by, const char *words,
                            const char *second, uint32_t *version, struct casebus_error *err)
{
    struct hub *hub = self;
    struct buffer faults;
    const struct act_note note = {by, words, second};
    if (may_sign(hub, err))
        return -1;
    buffer_init(&faults, 64 * 1024);
    int r = pipeline_apply_policy(hub->pipeline, text, base, &note, version, &faults, err);
    buffer_deinit(&faults);
    return r;
}

/* To the world, what the witnesses of the policy have confirmed. */
static int hub_checkpoint(void *self, struct ledger_view *view, struct buffer *note,
                          struct casebus_error *err)
{
    struct hub *hub = self;
    char text[NOTE_MAX + 1];
    uint64_t size;
    (void)view;
    size_t n = cosigning_newest(hub->witnessing.cosigning, text, &size);
    if (!n)
        return error_set(err, CASEBUS_NOT_FOUND, _("witnesses have not confirmed any checkpoint yet"));
    return buffer_append(note, text, n) ? 0
                                        : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a checkpoint"));
}

static int hub_erase(void *self, const struct erasure_request *request, uint64_t *ticket,
                     struct casebus_error *err)
{
    struct hub *hub = self;
    struct erasure_request whole = *request;
    if (may_sign(hub, err))
        return -1;
    if (request->what == ERASE_RETENTION &&
        retention_read(hub->dir, whole.rules, &whole.n_rules, ERASURE_RULES_MAX, err))
        return -1;
    int r = pipeline_erase(hub->pipeline, &whole, ticket, err);
    secret_clear(&whole, sizeof whole);
    return r;
}

static bool hub_erasure(void *self, uint64_t ticket, struct erasure_progress *progress)
{
    return pipeline_erasure(((struct hub *)self)->pipeline, ticket, progress);
}

static void status_peers(struct hub *hub, struct hub_status *status)
{
    struct bus_peer *peers = calloc(HUB_PEERS_MAX, sizeof(*peers));
    if (!peers)
        return;
    size_t n = bus_get_peers(hub->bus, peers, HUB_PEERS_MAX, &status->deliveries, &status->confirms);
    for (size_t i = 0; i < n && i < HUB_PEERS_MAX; i++) {
        struct hub_peer *peer = &status->peers[status->n_peers++];
        snprintf(peer->node, sizeof(peer->node), "%s", peers[i].node);
        snprintf(peer->software, sizeof(peer->software), "%s", peers[i].software);
        peer->connected = true;
        peer->last_seen_us = peers[i].last_seen_us;
        peer->in_flight = peers[i].in_flight;
        peer->delivering = peers[i].delivering;
        peer->deliveries = peers[i].deliveries;
    }
    status->connected = (unsigned)n;
    free(peers);
}

static void hub_status_fill(void *self, struct hub_status *status)
{
    struct hub *hub = self;
    struct pipeline_counters counters;
    pipeline_get_counters(hub->pipeline, &counters);
    status->started_at_us = hub->started_at_us;
    status->uptime_s = (clock_monotonic_ns() - hub->started_at_ns) / 1000000000;
    status->groups = counters.groups;
    status->entries = counters.entries;
    status->batches_accepted = counters.batches;
    status->events_accepted = counters.accepted;
    status->events_duplicate = counters.duplicate;
    status->events_refused = counters.refused;
    status->journal_bytes = journal_used(hub->stores.journal);
    status->committed_size = counters.committed_size;
    status->ledger_size = ledger_size(hub->stores.ledger);
    status->state_applied = state_applied(hub->stores.state);
    status->state_memory = state_overlay_bytes(hub->stores.state);
    status->vault_ready = vault_ready(hub->stores.vault);
    status->secured_size = hub->stores.secured.size;
    status->disk_low = counters.disk_low;
    status->checkpoint_size = counters.committed_size;
    memcpy(status->checkpoint_root, counters.root, DIGEST_SIZE);
    status_peers(hub, status);
}

/* ---- starting and ending ---- */

static void check_clock(const struct hub *hub, int64_t last_hub_time_us)
{
    int64_t back = last_hub_time_us - clock_unix_us();
    if (back > CLOCK_BACK_US)
        log_warning(
            hub->log, "CLOCK-BACK",
            _("the newest ledger entry is %lld s ahead of this machine's clock: hub time stands still until "
              "the clock has caught up; check the clock"),
            (long long)(back / 1000000));
}

static int start_pipeline(struct hub *hub, const struct replay_result *replayed, struct casebus_error *err)
{
    struct stores *stores = &hub->stores;
    const struct pipeline_options options = {
        .suite = stores->suite,
        .origin = stores->settings.origin,
        .content_key = stores->keys.content,
        .authority = bytes_of(stores->keys.authority, stores->keys.authority_size),
        .authorities = rotation_authorities(hub->rotation),
        .log_key = stores->keys.log_vkey,
        .log_signing_key = stores->keys.log,
        .n_workers = stores->settings.workers,
        .last_hub_time_us = replayed->last_hub_time_us,
        .journal = stores->journal,
        .ledger = stores->ledger,
        .state = stores->state,
        .vault = stores->vault,
        .dir = hub->dir,
        .keep_free_bytes = (uint64_t)stores->settings.keep_free_mb << 20,
        .log = hub->log,
        .on_group = hub_on_group,
        .on_persisted = hub_on_persisted,
        .on_fatal = hub_on_fatal,
        .self = hub,
    };
    return pipeline_start(&hub->pipeline, &options, err);
}

static int make_bus(struct hub *hub, struct casebus_error *err)
{
    struct stores *stores = &hub->stores;
    const struct bus_options options = {
        .listen = stores->settings.listen,
        .curve_secret = stores->keys.curve_secret,
        .origin = stores->settings.origin,
        .suite = stores->suite,
        .log_key = stores->keys.log,
        .log_vkey = stores->keys.log_vkey,
        .ledger = stores->ledger,
        .state = stores->state,
        .vault = stores->vault,
        .log = hub->log,
        .silence_ms = stores->settings.silence_seconds * 1000,
        .on_fatal = hub_on_fatal,
        .renew = hub_renew,
        .self = hub,
    };
    return bus_new(&hub->bus, &options, err);
}

static void fill_console(struct hub *hub)
{
    hub->console_hub = (struct console_hub){
        .self = hub,
        .dir = hub->dir,
        .origin = hub->stores.settings.origin,
        .suite = hub->stores.suite,
        .endpoint = hub->stores.settings.listen,
        .log_key = hub->stores.keys.log,
        .ledger = hub->stores.ledger,
        .state = hub->stores.state,
        .vault = hub->stores.vault,
        .notary = hub->witnessing.notary,
        .cosigning = hub->witnessing.cosigning,
        .stamping = hub->witnessing.stamping,
        .content_key = hub->stores.keys.content,
        .registry = hub_registry,
        .barrier = hub_barrier,
        .enrol = hub_enrol,
        .invitations = hub->invitations,
        .door = hub->door_address,
        .invite = hub_invite,
        .secured = hub_secured,
        .change_standing = hub_change_standing,
        .rotate_curve = hub_rotate_curve,
        .rotate_authority = hub_rotate_authority,
        .issuer = hub_issuer,
        .keys = hub_keys_show,
        .release = hub_release,
        .policy = hub_policy,
        .apply_policy = hub_apply_policy,
        .four_eyes = strcmp(hub->stores.settings.four_eyes, FOUR_EYES_ON) == 0,
        .operators =
            strcmp(hub->stores.settings.operators, OPERATORS_NONE) ? hub->stores.settings.operators : NULL,
        .erase = hub_erase,
        .erasure = hub_erasure,
        .erasure_days = hub->stores.settings.erasure_days,
        .backup_to =
            strcmp(hub->stores.settings.backup, BACKUP_NONE) != 0 ? hub->stores.settings.backup : NULL,
        .status = hub_status_fill,
    };
    if (hub->witnessing.policy && hub->witnessing.policy->demands)
        hub->console_hub.checkpoint = hub_checkpoint;
}

/* The console, and the monitors' listener if there shall be one. */
static int start_console(struct hub *hub, struct casebus_error *err)
{
    char path[PATH_MAX];
    const char *monitor = hub->stores.settings.monitor;
    if (path_join(path, sizeof(path), hub->dir, "hub.sock"))
        return error_set(err, CASEBUS_ARGUMENT, _("the name '%s' is too long for a directory"), hub->dir);
    if (strcmp(monitor, MONITOR_OFF) != 0 &&
        monitor_start(&hub->monitor, &hub->console_hub, monitor, hub->log, err))
        return -1;
    hub->console_hub.monitor = monitor_address(hub->monitor);
    return console_start(&hub->console, &hub->console_hub, path, hub->log, err);
}

static int start_renewing(struct hub *hub, struct casebus_error *err)
{
    struct renewing *renewing = NULL;
    int r = renewing_start(&renewing, &hub->console_hub, hub->bus, hub->log, err);
    atomic_store(&hub->renewing, renewing);
    return r;
}

/* A door that cannot be opened again for those who were invited before keeps nobody else out. */
static int start_door(struct hub *hub, struct casebus_error *err)
{
    struct stores *stores = &hub->stores;
    char public[41];
    struct casebus_error shut;
    if (zmq_curve_public(public, stores->keys.curve_secret) || !zmq_z85_decode(hub->curve_key, public))
        return error_set(err, CASEBUS_KEY, _("the hub's CURVE key is not usable"));
    settings_door(hub->door_address, &stores->settings);
    const struct door_options options = {
        .address = hub->door_address,
        .book = hub->invitations,
        .suite = stores->suite,
        .origin = stores->settings.origin,
        .authority = bytes_of(stores->keys.authority, stores->keys.authority_size),
        .log_key = stores->keys.log_vkey,
        .curve_key = hub->curve_key,
        .endpoint = stores->settings.listen,
        .log = hub->log,
        .approve = hub_approve,
        .self = hub,
    };
    if (door_new(&hub->door, &options, err))
        return -1;
    if (!invitations_wait(hub->invitations, clock_unix_us()))
        return 0;
    if (door_hold(hub->door, &shut))
        log_warning(hub->log, "DOOR-FAILED", "%s", shut.text);
    else
        door_release(hub->door);
    return 0;
}

static void set_log_level(struct log *log, const char *level)
{
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
        if (strcmp(levels[i], level) == 0)
            log->min_level = (enum log_level)i;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct hub *hub = handle->data;
    log_notice(hub->log, "HUB-STOPPING", _("stopping on signal %d"), number);
    uv_stop(&hub->loop);
}

static void on_fatal(uv_async_t *handle)
{
    struct hub *hub = handle->data;
    uv_stop(&hub->loop);
}

static void close_handle(uv_handle_t *handle, void *self)
{
    (void)self;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void loop_open(struct hub *hub)
{
    uv_mutex_init(&hub->lock);
    uv_loop_init(&hub->loop);
    uv_async_init(&hub->loop, &hub->fatal, on_fatal);
    uv_signal_init(&hub->loop, &hub->sigterm);
    uv_signal_init(&hub->loop, &hub->sigint);
    uv_timer_init(&hub->loop, &hub->waiting);
    uv_timer_init(&hub->loop, &hub->expiry);
    uv_timer_init(&hub->loop, &hub->keys);
    hub->waiting.data = hub->expiry.data = hub->keys.data = hub;
    hub->fatal.data = hub->sigterm.data = hub->sigint.data = hub;
}

static void on_waiting(uv_timer_t *timer)
{
    struct hub *hub = timer->data;
    waiting_tell(hub->stores.ledger, hub->stores.state, hub->log);
}

static void on_keys(uv_timer_t *timer)
{
    struct hub *hub = timer->data;
    uint8_t key[CURVE_KEY_SIZE];
    if (rotation_look(hub->rotation, key))
        door_set_curve_key(hub->door, key);
}

static void on_expiry(uv_timer_t *timer)
{
    struct hub *hub = timer->data;
    struct registry *registry = pipeline_registry(hub->pipeline);
    uint8_t authority[CERTIFICATE_MAX];
    size_t size;
    rotation_newest(hub->rotation, authority, &size);
    expiry_tell(registry, bytes_of(authority, size), hub->log);
    registry_unref(registry);
}

/* From here on a signal is a wish to stop in order; before, during a long replay, it ends the process, which
 * the stores can bear. */
static void catch_signals(struct hub *hub)
{
    uv_signal_start(&hub->sigterm, on_signal, SIGTERM);
    uv_signal_start(&hub->sigint, on_signal, SIGINT);
}

static void loop_close(struct hub *hub)
{
    uv_walk(&hub->loop, close_handle, NULL);
    uv_run(&hub->loop, UV_RUN_DEFAULT);
    uv_loop_close(&hub->loop);
    uv_mutex_destroy(&hub->lock);
}

/* Before anybody is served: does this hub have what it showed to others? */
static int start_witnessing(struct hub *hub, struct casebus_error *err)
{
    const struct witnessing_events events = {hub_committed, hub_on_cosigned, hub_on_behind, hub};
    return witnessing_open(&hub->witnessing, &hub->stores, hub->dir, &events, hub->log, err);
}

/* What was found before there was a bus. */
static void tell_bus(struct hub *hub)
{
    char note[NOTE_MAX + 1];
    uint64_t size;
    if (hub->witnessing.behind)
        bus_post_behind(hub->bus, &hub->witnessing.behind_why);
    if (hub->witnessing.cosigning && cosigning_newest(hub->witnessing.cosigning, note, &size))
        bus_post_cosigned(hub->bus, size, note);
}

/* Each connection takes a descriptor; a shell's preset of 1,024 is not meant for servers. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Stores, replay, witnesses' word, bus (not yet serving), pipeline, bus, console. */
static int hub_start(struct hub *hub, struct casebus_error *err)
{
    struct replay_result replayed;
    if (stores_open(&hub->stores, hub->dir, false, hub->log, err))
        return -1;
    set_log_level(hub->log, hub->stores.settings.log_level);
    if (stores_replay(&hub->stores, hub->log, NULL, NULL, &replayed, err))
        return -1;
    check_clock(hub, replayed.last_hub_time_us);
    if (shield_lacks())
        log_warning(hub->log, "MEMORY-OPEN", "%s", shield_lacks());
    catch_signals(hub);
    if (rotation_open(&hub->rotation, &hub->stores, hub->dir, hub->log, err) || start_witnessing(hub, err) ||
        make_bus(hub, err) || invitations_open(&hub->invitations, hub->dir, err))
        return -1;
    bus_set_secured(hub->bus, hub->stores.secured.size);
    tell_bus(hub);
    if (start_pipeline(hub, &replayed, err) || bus_start(hub->bus, hub->pipeline, err) ||
        witnessing_start(&hub->witnessing, &hub->stores, hub->dir, hub->log, err))
        return -1;
    if (rotation_start(hub->rotation, hub->pipeline, hub->bus, err))
        return -1;
    fill_console(hub);
    if (start_door(hub, err) || start_renewing(hub, err) || start_console(hub, err))
        return -1;
    log_notice(hub->log, "HUB-READY",
               _n("%s listens on %s; the ledger has %llu entry",
                  "%s listens on %s; the ledger has %llu entries", replayed.size),
               hub->stores.settings.origin, hub->stores.settings.listen, (unsigned long long)replayed.size);
    uv_timer_start(&hub->waiting, on_waiting, 0, WAITING_TOLD_EVERY_MS);
    uv_timer_start(&hub->keys, on_keys, KEYS_LOOKED_AT_MS, KEYS_LOOKED_AT_MS);
    uv_timer_start(&hub->expiry, on_expiry, 0, EXPIRY_TOLD_EVERY_MS);
    return 0;
}

/* No more questions; decide what came in and bring it to disk while the bus still answers; then say goodbye.
 */
static void hub_stop(struct hub *hub)
{
    if (hub->pipeline)
        pipeline_stopping(hub->pipeline); /* or a question may wait for it */
    hub->console = console_stop(hub->console);
    hub->door = door_free(hub->door);
    renewing_stop(hub->renewing);
    hub->monitor = monitor_stop(hub->monitor);
    witnessing_close(&hub->witnessing);
    if (hub->pipeline)
        pipeline_stop(hub->pipeline);
    if (hub->bus)
        bus_stop(hub->bus);
    hub->bus = bus_free(hub->bus);
    renewing_free(hub->renewing);
    hub->rotation = rotation_free(hub->rotation);
    hub->pipeline = pipeline_free(hub->pipeline);
    hub->invitations = invitations_close(hub->invitations);
    stores_close(&hub->stores);
}

int hub_run(const char *dir, struct log *log, struct casebus_error *err)
{
    struct hub *hub = secret_new(sizeof(*hub)); /* it has keys in it */
    if (!hub)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the hub"));
    hub->dir = dir;
    hub->log = log;
    hub->stores.lock = -1;
    hub->started_at_us = clock_unix_us();
    hub->started_at_ns = clock_monotonic_ns();
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    loop_open(hub);
    int r = hub_start(hub, err);
    if (!r)
        uv_run(&hub->loop, UV_RUN_DEFAULT);
    hub_stop(hub);
    loop_close(hub);
    if (!r && hub->failed) {
        *err = hub->err;
        r = -1;
    }
    if (!r)
        log_notice(log, "HUB-STOPPED", _("stopped; everything that was acknowledged is in the ledger"));
    secret_free(hub, sizeof(*hub));
    return r;
}
