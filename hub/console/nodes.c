/* GET /v1/nodes and /v1/nodes/NAME: who is enrolled (the registry), what came from them and what waits for
 * them (the state), and whether they are there (the running hub). */
#include "hub/console/answers.h"
#include "proto/base/texts.h"

#include <stdlib.h>

static const char *const statuses[] = {"unknown", "active", "suspended", "revoked"};

static const char *status_name(unsigned status)
{
    return statuses[status < sizeof statuses / sizeof *statuses ? status : 0];
}

static void identity_json(json_t *json, const struct registry_node *node)
{
    set_text(json, "node", node->info.node);
    set_text(json, "department", node->info.department);
    set_text(json, "area", node->info.area);
    json_object_set_new(json, "key_id", hex_json(node->key_id, KEY_ID_SIZE));
    set_time(json, "certificate_begins_us", node->info.not_before * 1000000);
    set_time(json, "certificate_ends_us", node->info.not_after * 1000000);
    certificate_left_json(json, node->info.not_after);
    set_text(json, "status", status_name(node->status));
    set_bool(json, "publish", node->publish);
    set_bool(json, "receive_all", node->receive_all);
    json_object_set_new(json, "receive_parts", part_kinds_json(node->receive_part_kinds));
}

static int published_json(struct reader *reader, const char *name, json_t *json, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    struct node_row row = {0};
    int r = state_view_get(reader->state, TABLE_NODES, bytes_of(key, receiver_key(key, name)), &value, err);
    if (r < 0 || (r > 0 && node_row_decode(value, &row, err)))
        return -1;
    json_object_set_new(json, "enrolled_position", r ? number_json(row.position) : json_null());
    json_object_set_new(json, "status_position",
                        row.status_position ? number_json(row.status_position) : json_null());
    set_time(json, "compromised_since_us", row.compromised_since_us);
    set_number(json, "accepted", row.n_accepted);
    set_number(json, "duplicate", row.n_duplicate);
    set_number(json, "refused", row.n_refused);
    set_time(json, "last_accepted_us", row.last_hub_time_us);
    return 0;
}

static int received_json(struct reader *reader, const char *name, json_t *json, struct casebus_error *err)
{
    struct receiver_row row;
    if (reader_receiver(reader, name, &row, err))
        return -1;
    set_number(json, "deliveries_decided", row.n_decided);
    json_object_set_new(json, "last_delivery_position",
                        row.has_last ? number_json(row.last_position) : json_null());
    json_object_set_new(json, "confirmed_position",
                        row.has_confirmed ? number_json(row.confirmed_position) : json_null());
    return 0;
}

static void presence_json(json_t *json, const struct hub_status *status, const char *name)
{
    const struct hub_peer *peer = hub_peer_find(status, name);
    json_object_set_new(json, "connected", status ? json_boolean(peer && peer->connected) : json_null());
    set_time(json, "last_seen_us", peer ? peer->last_seen_us : 0);
    json_object_set_new(json, "backlog", peer ? number_json(peer->backlog) : json_null());
    set_time(json, "oldest_wait_us", peer ? peer->oldest_wait_us : 0);
    set_text(json, "software", peer ? peer->software : NULL);
}

static int node_json(struct reader *reader, const struct registry_node *node, const struct hub_status *status,
                     json_t *json, struct casebus_error *err)
{
    identity_json(json, node);
    presence_json(json, status, node->info.node);
    return published_json(reader, node->info.node, json, err) ||
                   received_json(reader, node->info.node, json, err)
               ? -1
               : 0;
}

static int nodes_list(struct call *call, struct reader *reader, const struct registry *registry,
                      const struct hub_status *status, struct casebus_error *err)
{
    json_t *list = json_array();
    json_object_set_new(call->answer, "nodes", list);
    for (size_t i = 0; i < registry->n_nodes; i++) {
        json_t *json = json_object();
        json_array_append_new(list, json);
        if (node_json(reader, &registry->nodes[i], status, json, err))
            return -1;
    }
    return 0;
}

struct stream_walk {
    struct reader *reader;
    const char *node;
    json_t *list;
    struct casebus_error *err;
    bool failed;
};

static int stream_visit(void *self, struct bytes key, struct bytes value)
{
    struct stream_walk *walk = self;
    size_t n = strlen(walk->node) + 1;
    (void)value;
    if (key.size != n + 8 || memcmp(key.data, walk->node, n) != 0)
        return 1;
    uint64_t id = get_u64be(key.data + n);
    struct exchange_store store = reader_store(walk->reader);
    struct exchange_stream stream;
    if (exchange_stream_get(&store, walk->node, id, &stream, walk->err)) {
        walk->failed = true;
        return 1;
    }
    json_t *json = json_object();
    json_object_set_new(json, "stream", stream_json(id));
    set_number(json, "last", stream.last);
    json_object_set_new(json, "last_statement", hex_json(stream.last_statement, DIGEST_SIZE));
    json_array_append_new(walk->list, json);
    return reader_late(walk->reader);
}

static int streams_json(struct reader *reader, const char *name, json_t *json, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct stream_walk walk = {.reader = reader, .node = name, .list = json_array(), .err = err};
    json_object_set_new(json, "streams", walk.list);
    int r = state_view_walk(reader->state, TABLE_STREAMS, bytes_of(key, stream_key(key, name, 0)),
                            stream_visit, &walk, err);
    return r < 0 || walk.failed ? -1 : 0;
}

static int node_show(struct call *call, struct reader *reader, const struct registry *registry,
                     const struct hub_status *status, struct casebus_error *err)
{
    const struct registry_node *node = node_find(call, registry, call->request->rest, err);
    if (!node)
        return -1;
    if (node_json(reader, node, status, call->answer, err))
        return -1;
    return streams_json(reader, node->info.node, call->answer, err);
}

typedef int nodes_fn(struct call *call, struct reader *reader, const struct registry *registry,
                     const struct hub_status *status, struct casebus_error *err);

static int nodes_ask(struct call *call, nodes_fn *answer, struct casebus_error *err)
{
    struct registry *registry = call->hub->registry(call->hub->self);
    if (!registry)
        return error_set(err, CASEBUS_DAMAGED, _("who is enrolled cannot be told"));
    struct hub_status *status = hub_status_get(call->hub);
    struct reader reader;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = answer(call, &reader, registry, status, err);
    reader_deinit(&reader);
    free(status);
    registry_unref(registry);
    return r;
}

int handle_nodes(struct call *call, struct casebus_error *err)
{
    return nodes_ask(call, nodes_list, err);
}

int handle_node(struct call *call, struct casebus_error *err)
{
    return nodes_ask(call, node_show, err);
}

/* ---- suspended, active again, revoked ---- */

static int status_parse(const char *name, Casebus__V1__NodeStatus *status, struct casebus_error *err)
{
    for (unsigned i = 1; name && i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp(statuses[i], name) == 0) {
            *status = (Casebus__V1__NodeStatus)i;
            return 0;
        }
    return error_set(err, CASEBUS_BAD_FIELD, _("'status' is one of active, suspended and revoked"));
}

/* The answer is read from the state, which has it when the barrier is reached. */
static int standing_answer(struct call *call, struct casebus_error *err)
{
    if (call->hub->barrier && call->hub->barrier(call->hub->self, 10000, err))
        return -1;
    return handle_node(call, err);
}

int handle_node_standing(struct call *call, struct casebus_error *err)
{
    const json_t *body = call->request->body;
    const char *why = json_string_value(json_object_get(body, "why"));
    struct standing_change change = {.node = call->request->rest,
                                     .compromised_since_us =
                                         json_integer_value(json_object_get(body, "compromised_since_us"))};
    if (!why || !*why)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "why");
    if (status_parse(json_string_value(json_object_get(body, "status")), &change.status, err))
        return -1;
    if (!node_name_valid(change.node) || change.compromised_since_us < 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' is not the name of a node"), change.node);
    if (running_check(call, call->hub->change_standing, err))
        return -1;
    if (call->hub->change_standing(call->hub->self, &change, call->by, why, err))
        return -1;
    log_notice(call->log, "NODE-STANDING", _("node '%s' is now: %s"), change.node,
               status_name(change.status));
    return standing_answer(call, err);
}
