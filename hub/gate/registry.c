/* The registry believes nobody: what the ledger says of a node is checked again when the picture is built,
 * because the picture is what every right of a node hangs on. The certificate ties name and keys together by
 * the authority's word; the enrolment statement does it by the node's own, and both have to say the same. */
#include "hub/gate/registry.h"

#include "proto/base/texts.h"
#include "proto/casebus/v1/ledger.pb-c.h"
#include "proto/codec/statement.h"

#include <stdlib.h>

#define ENROLLED_MAX (16 * 1024)

static struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static bool data_is(ProtobufCBinaryData data, const void *expected, size_t size)
{
    return data.len == size && memcmp(data.data, expected, size) == 0;
}

static bool statement_agrees(const Casebus__V1__EnrolmentStatement *statement,
                             const struct certificate_info *info)
{
    return strcmp(statement->node, info->node) == 0 && strcmp(statement->origin, info->origin) == 0 &&
           strcmp(statement->department, info->department) == 0 && strcmp(statement->area, info->area) == 0 &&
           (unsigned)statement->suite == (unsigned)info->key.suite &&
           data_is(statement->public_key, info->key.bytes, info->key.size) &&
           data_is(statement->curve_key, info->curve_key, CURVE_KEY_SIZE);
}

static int node_check(struct registry_node *node, const Casebus__V1__NodeEnrolled *enrolled,
                      struct arena *arena, struct casebus_error *err)
{
    Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of_data(enrolled->statement), arena, err);
    if (!statement)
        return error_context(err, _("enrolment of node '%s'"), node->info.node);
    if (!statement_agrees(statement, &node->info))
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("node '%s' signed another enrolment than its certificate"), node->info.node);
    node->verifier = verifier_new(&node->info.key);
    if (!node->verifier)
        return error_set(err, CASEBUS_KEY, _("the key of node '%s' is not usable"), node->info.node);
    if (enrolled->signature.len != SIGNATURE_SIZE ||
        !verifier_check(node->verifier, bytes_of_data(enrolled->statement), enrolled->signature.data))
        return error_set(err, CASEBUS_SIGNATURE, _("node '%s' did not sign its enrolment"), node->info.node);
    return 0;
}

static void node_grant(struct registry_node *node, const Casebus__V1__Grants *grants)
{
    if (!grants)
        return;
    node->publish = grants->publish;
    node->receive_all = grants->receive_all;
    for (size_t i = 0; i < grants->n_receive_part_kind; i++)
        node->receive_part_kinds |= part_kind_bit((Casebus__V1__PartKind)grants->receive_part_kind[i]);
}

static int node_build(struct registry_node *node, const struct registry_fact *fact,
                      const struct authorities *authorities, struct arena *arena, struct casebus_error *err)
{
    static const struct codec_limits limits = {.max_size = ENROLLED_MAX, .max_fields = 256, .max_depth = 2};
    arena_reset(arena);
    Casebus__V1__NodeEnrolled *enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(
        &casebus__v1__node_enrolled__descriptor, fact->enrolled, &limits, arena, err);
    if (!enrolled)
        return -1;
    if (!authorities_check(authorities, bytes_of_data(enrolled->certificate), &node->info, err))
        return -1;
    public_key_id(&node->info.key, node->key_id);
    node->status = fact->status;
    node_grant(node, enrolled->grants);
    return node_check(node, enrolled, arena, err);
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct registry_node *)a)->info.node, ((const struct registry_node *)b)->info.node);
}

/* The second picture, and what has to be true of all nodes together. */
static int registry_finish(struct registry *registry, struct casebus_error *err)
{
    size_t n_receivers = 0;
    if (registry->n_nodes > 0)
        qsort(registry->nodes, registry->n_nodes, sizeof *registry->nodes, compare_nodes);
    for (size_t i = 0; i < registry->n_nodes; i++) {
        const struct registry_node *node = &registry->nodes[i];
        if (i > 0 && compare_nodes(node - 1, node) == 0)
            return error_set(err, CASEBUS_EXISTS, _("node '%s' is enrolled twice"), node->info.node);
        registry->exchange[i] =
            (struct exchange_node){.name = node->info.node,
                                   .department = node->info.department,
                                   .area = node->info.area,
                                   .publish = node->publish && registry_node_active(node),
                                   .gone = node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED,
                                   .receive_all = node->receive_all,
                                   .receive_part_kinds = node->receive_part_kinds};
        n_receivers += node->receive_all && !registry->exchange[i].gone;
    }
    if (n_receivers > RECEIVERS_MAX)
        return error_set(err, CASEBUS_CONFIG, _("%zu nodes may receive all events; at most %d can"),
                         n_receivers, RECEIVERS_MAX);
    return 0;
}

static int registry_fill(struct registry *registry, const struct registry_fact *facts, size_t n,
                         const struct authorities *authorities, struct casebus_error *err)
{
    struct arena arena;
    arena_init(&arena, 8 * 1024, 4 * ENROLLED_MAX);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        registry->n_nodes = i + 1;
        r = node_build(&registry->nodes[i], &facts[i], authorities, &arena, err);
    }
    arena_deinit(&arena);
    return r == 0 ? registry_finish(registry, err) : -1;
}

int registry_build(struct registry **registryp, const struct registry_fact *facts, size_t n,
                   const struct authorities *authorities, struct casebus_error *err)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    atomic_init(&registry->references, 1);
    registry->nodes = calloc(n + 1, sizeof *registry->nodes);
    registry->exchange = calloc(n + 1, sizeof *registry->exchange);
    int r = registry->nodes && registry->exchange
                ? registry_fill(registry, facts, n, authorities, err)
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory for the registry of nodes"));
    if (r < 0) {
        registry_unref(registry);
        return -1;
    }
    *registryp = registry;
    return 0;
}

struct registry *registry_ref(struct registry *registry)
{
    if (registry)
        atomic_fetch_add_explicit(&registry->references, 1, memory_order_relaxed);
    return registry;
}

struct registry *registry_unref(struct registry *registry)
{
    if (!registry || atomic_fetch_sub_explicit(&registry->references, 1, memory_order_acq_rel) > 1)
        return NULL;
    for (size_t i = 0; i < registry->n_nodes; i++)
        verifier_free(registry->nodes[i].verifier);
    free(registry->nodes);
    free(registry->exchange);
    free(registry);
    return NULL;
}

static int compare_name(const void *name, const void *node)
{
    return strcmp(name, ((const struct registry_node *)node)->info.node);
}

const struct registry_node *registry_find(const struct registry *registry, const char *name)
{
    if (registry->n_nodes == 0)
        return NULL;
    return bsearch(name, registry->nodes, registry->n_nodes, sizeof *registry->nodes, compare_name);
}

const struct registry_node *registry_find_curve(const struct registry *registry,
                                                const uint8_t key[CURVE_KEY_SIZE])
{
    for (size_t i = 0; i < registry->n_nodes; i++) /* once a connection */
        if (memcmp(registry->nodes[i].info.curve_key, key, CURVE_KEY_SIZE) == 0)
            return &registry->nodes[i];
    return NULL;
}
