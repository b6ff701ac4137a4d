/* GET /v1/status, POST /v1/barrier, POST /v1/secured. Without a running hub, status tells what the stores
 * hold. */
#include "hub/console/answers.h"
#include "hub/console/proposal.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/merkle/note.h"

#include <limits.h>
#include <stdlib.h>

struct hub_status *hub_status_get(const struct console_hub *hub)
{
    struct hub_status *status = hub->status ? calloc(1, sizeof *status) : NULL;
    if (status)
        hub->status(hub->self, status);
    return status;
}

static json_t *peer_json(const struct hub_peer *peer)
{
    json_t *json = json_object();
    set_text(json, "node", peer->node);
    set_bool(json, "connected", peer->connected);
    set_text(json, "software", peer->software);
    set_time(json, "last_seen_us", peer->last_seen_us);
    set_number(json, "in_flight_bytes", peer->in_flight);
    set_number(json, "delivering_bytes", peer->delivering);
    set_number(json, "backlog", peer->backlog);
    set_number(json, "events", peer->events);
    set_number(json, "deliveries", peer->deliveries);
    set_time(json, "oldest_wait_us", peer->oldest_wait_us);
    return json;
}

static void disk_json(const struct console_hub *hub, const struct hub_status *status, json_t *json)
{
    json_t *part = json_object();
    set_number(part, "free_bytes", disk_free(hub->dir));
    if (status)
        set_bool(part, "low", status->disk_low);
    json_object_set_new(json, "disk", part);
}

static void running_json(json_t *json, const struct hub_status *status)
{
    set_time(json, "started_at_us", status->started_at_us);
    set_number(json, "uptime_s", status->uptime_s);
    set_number(json, "groups", status->groups);
    set_number(json, "entries", status->entries);
    set_number(json, "batches_accepted", status->batches_accepted);
    set_number(json, "batches_refused", status->batches_refused);
    set_number(json, "events_accepted", status->events_accepted);
    set_number(json, "events_duplicate", status->events_duplicate);
    set_number(json, "events_refused", status->events_refused);
    set_number(json, "deliveries", status->deliveries);
    set_number(json, "confirms", status->confirms);
    set_number(json, "connected", status->connected);
    set_number(json, "journal_bytes", status->journal_bytes);
    set_number(json, "committed_size", status->committed_size);
    set_number(json, "state_memory_bytes", status->state_memory);
    set_number(json, "vault_ready", status->vault_ready);
    set_number(json, "secured_size", status->secured_size);
    json_t *peers = json_array();
    for (size_t i = 0; i < status->n_peers && i < HUB_PEERS_MAX; i++)
        json_array_append_new(peers, peer_json(&status->peers[i]));
    json_object_set_new(json, "peers", peers);
}

/* The newest published checkpoint; null while there is none. */
static int checkpoint_json(struct reader *reader, json_t *json, struct casebus_error *err)
{
    struct bytes note;
    struct checkpoint checkpoint;
    struct casebus_error why;
    json_object_set_new(json, "checkpoint", json_null());
    if (ledger_view_checkpoint(reader->ledger, reader_size(reader), &note, &why)) {
        if (why.code == CASEBUS_NOT_FOUND)
            return 0;
        *err = why;
        return -1;
    }
    if (checkpoint_parse(&checkpoint, note, err))
        return -1;
    json_t *part = json_object();
    set_number(part, "size", checkpoint.size);
    json_object_set_new(part, "root", hex_json(checkpoint.root, DIGEST_SIZE));
    json_object_set_new(json, "checkpoint", part);
    return 0;
}

static int stores_json(const struct console_hub *hub, json_t *json, struct casebus_error *err)
{
    struct reader reader;
    int r = reader_init(&reader, hub, err);
    if (r == 0) {
        set_number(json, "ledger_size", reader_size(&reader));
        set_number(json, "state_applied", state_view_applied(reader.state));
        set_number(json, "nodes", state_view_count(reader.state, TABLE_NODES));
        set_number(json, "cases", state_view_count(reader.state, TABLE_CASES));
        set_number(json, "records", state_view_count(reader.state, TABLE_RECORDS));
        r = checkpoint_json(&reader, json, err);
        if (r == 0)
            r = erasures_status(&reader, json, err);
        if (r == 0)
            r = quarantine_status(&reader, json, err);
        if (r == 0)
            r = backup_status(&reader, json, err);
        if (r == 0)
            r = proposal_status(hub, json, err);
    }
    reader_deinit(&reader);
    return r;
}

/* Nodes whose certificate ends within thirty days, or has ended; and the authority, when it does. */
static void certificates_json(const struct console_hub *hub, json_t *json)
{
    json_t *part = json_object(), *ending = json_array();
    struct registry *registry = hub->registry ? hub->registry(hub->self) : NULL;
    char path[PATH_MAX];
    uint8_t authority[CERTIFICATE_MAX];
    size_t size;
    int64_t first, last, now = clock_unix_us() / 1000000;
    for (size_t i = 0; registry && i < registry->n_nodes; i++) {
        const struct registry_node *node = &registry->nodes[i];
        if (node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED ||
            certificate_days_left(node->info.not_after, now) >= CERTIFICATE_WARN_DAYS)
            continue;
        json_t *one = json_object();
        set_text(one, "node", node->info.node);
        set_time(one, "certificate_ends_us", node->info.not_after * 1000000);
        certificate_left_json(one, node->info.not_after);
        json_array_append_new(ending, one);
    }
    registry_unref(registry);
    set_number(part, "warn_days", CERTIFICATE_WARN_DAYS);
    json_object_set_new(part, "ending", ending);
    if (path_join(path, sizeof path, hub->dir, "keys/authority.pem") == 0 &&
        certificate_load(path, authority, &size, NULL) == 0 &&
        certificate_times(bytes_of(authority, size), &first, &last)) {
        json_t *one = json_object();
        set_time(one, "certificate_ends_us", last * 1000000);
        certificate_left_json(one, last);
        json_object_set_new(part, "authority", one);
    }
    json_object_set_new(json, "certificates", part);
}

/* What the others have confirmed, and who is silent: while they are, nobody outside sees more. */
static void witnesses_json(const struct console_hub *hub, json_t *json)
{
    struct cosigning_status *status = hub->cosigning ? calloc(1, sizeof *status) : NULL;
    if (!status)
        return;
    json_t *part = json_object();
    size_t silent = 0;
    int64_t since_us = 0;
    cosigning_get_status(hub->cosigning, status);
    for (size_t i = 0; i < status->n_witnesses; i++) {
        int64_t us = status->witnesses[i].silent_since_us;
        silent += us > 0;
        if (us > 0 && (since_us == 0 || us < since_us))
            since_us = us;
    }
    set_number(part, "witnesses", status->n_witnesses);
    set_number(part, "silent", silent);
    set_time(part, "silent_since_us", since_us);
    set_number(part, "cosigned_size", status->size);
    set_time(part, "cosigned_at_us", status->at_us);
    json_object_set_new(json, "witnessing", part);
    free(status);
}

/* What everybody else has to know to check this ledger. */
static void log_key_set(json_t *json, const struct console_hub *hub)
{
    char vkey[VKEY_MAX];
    bool known = hub->log_key &&
                 note_vkey_format(vkey, sizeof vkey, hub->origin, signing_key_public(hub->log_key)) > 0;
    set_text(json, "log_key", known ? vkey : NULL);
}

int handle_status(struct call *call, struct casebus_error *err)
{
    struct hub_status *status = hub_status_get(call->hub);
    set_text(call->answer, "origin", call->hub->origin);
    set_text(call->answer, "suite", suite_name(call->hub->suite));
    log_key_set(call->answer, call->hub);
    set_text(call->answer, "software", "casebus-hub/" CASEBUS_RELEASE);
    set_text(call->answer, "endpoint", call->hub->endpoint);
    set_text(call->answer, "monitor", call->hub->monitor);
    set_bool(call->answer, "running", status);
    if (status)
        running_json(call->answer, status);
    disk_json(call->hub, status, call->answer);
    free(status);
    certificates_json(call->hub, call->answer);
    witnesses_json(call->hub, call->answer);
    return stores_json(call->hub, call->answer, err);
}

int handle_barrier(struct call *call, struct casebus_error *err)
{
    uint64_t timeout_ms = 10000;
    if (request_number(call->request, "timeout_ms", 30000, &timeout_ms, err) < 0)
        return -1;
    if (!call->hub->barrier) {
        error_set(err, CASEBUS_CLOSED, _("the hub does not run"));
        return error_hint(err, _("start it: casebus-hub run %s"), call->hub->dir);
    }
    if (call->hub->barrier(call->hub->self, (int)timeout_ms, err))
        return -1;
    return stores_json(call->hub, call->answer, err);
}

int handle_secured(struct call *call, struct casebus_error *err)
{
    const json_t *size = json_object_get(call->request->body, "size");
    const char *dest = json_string_value(json_object_get(call->request->body, "dest"));
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return error_set(err, CASEBUS_MISSING_FIELD,
                         _("'size' is missing: how many entries have a second copy"));
    if (dest && (dest[0] != '/' || strlen(dest) >= PATH_MAX))
        return error_set(err, CASEBUS_ARGUMENT, _("'dest' is not the path of a directory"));
    if (!call->hub->secured)
        return error_set(err, CASEBUS_CLOSED, _("the hub does not run"));
    if (call->hub->secured(call->hub->self, (uint64_t)json_integer_value(size), dest ? dest : "", err))
        return -1;
    json_object_set(call->answer, "size", (json_t *)(uintptr_t)size);
    return 0;
}
