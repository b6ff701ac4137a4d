/* Applying an act of the hub. Acts are rare, so these may allocate. */
#include "hub/exchange/exchange_private.h"
#include "proto/base/texts.h"
#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"

#define ACT_MAX (32 * 1024)

static const struct codec_limits act_limits = {.max_size = ACT_MAX, .max_fields = 256, .max_depth = 4};

static struct bytes bytes_of_data(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static int put_meta(const struct exchange_store *store, const char *name, const char *value,
                    struct casebus_error *err)
{
    return store->put(store->self, TABLE_META, bytes_of_text(name), bytes_of_text(value), err);
}

/* Where the policy in force stands. */
static int put_policy(const struct exchange_store *store, uint64_t position, struct casebus_error *err)
{
    uint8_t value[8];
    put_u64be(value, position);
    return store->put(store->self, TABLE_META, bytes_of_text("policy"), bytes_of(value, sizeof value), err);
}

/* Where each change of the hub's keys stands, in their order. */
static int put_hub_keys(const struct exchange_store *store, uint64_t position, struct casebus_error *err)
{
    static const char label[] = HUB_KEYS_LABEL; /* and its NUL */
    uint8_t name[sizeof label + 8];
    memcpy(name, label, sizeof label);
    put_u64be(name + sizeof label, position);
    return store->put(store->self, TABLE_META, bytes_of(name, sizeof name), bytes_of(name + sizeof label, 8),
                      err);
}

static int as_damage(struct casebus_error *err, uint64_t position)
{
    error_context(err, _("ledger entry %llu"), (unsigned long long)position);
    if (err)
        err->code = CASEBUS_DAMAGED;
    return -1;
}

/* The oldest one is forgotten when there is no place. */
static void enrolment_note(struct node_row *row, uint64_t position)
{
    if (row->n_enrolments == ENROLMENTS_MAX) {
        memmove(row->enrolments, row->enrolments + 1, (ENROLMENTS_MAX - 1) * sizeof row->enrolments[0]);
        memmove(row->revoked, row->revoked + 1, (ENROLMENTS_MAX - 1) * sizeof row->revoked[0]);
    } else {
        row->n_enrolments++;
    }
    row->enrolments[row->n_enrolments - 1] = position;
    row->revoked[row->n_enrolments - 1] = 0;
    row->position = position;
}

/* A node that is enrolled again keeps its counters, and its status unless its old key was revoked for good.
 */
static int put_node(const struct exchange_store *store, const char *node, struct bytes enrolled,
                    uint64_t position, struct arena *arena, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    size_t size = receiver_key(key, node);
    struct node_row row = {0};
    struct bytes value;
    int r = store->get(store->self, TABLE_NODES, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && node_row_decode(value, &row, err) < 0))
        return -1;
    row.enrolled = enrolled;
    enrolment_note(&row, position);
    if (r == 0 || row.status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED) {
        row.status = CASEBUS__V1__NODE_STATUS__NODE_STATUS_ACTIVE;
        row.status_position = 0;
        row.compromised_since_us = 0;
    }
    uint8_t *encoded = arena_alloc(arena, NODE_ROW_SIZE + enrolled.size);
    if (!encoded)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to enrol node '%s'"), node);
    return store->put(store->self, TABLE_NODES, bytes_of(key, size),
                      bytes_of(encoded, node_row_encode(encoded, &row)), err);
}

static int apply_enrolment(const struct exchange_store *store, uint64_t position,
                           const Casebus__V1__NodeEnrolled *enrolled, struct arena *arena,
                           struct casebus_error *err)
{
    Casebus__V1__EnrolmentStatement *statement = (Casebus__V1__EnrolmentStatement *)codec_unpack(
        &casebus__v1__enrolment_statement__descriptor, bytes_of_data(enrolled->statement), &act_limits, arena,
        err);
    if (!statement)
        return as_damage(err, position);
    if (!statement->node[0] || strlen(statement->node) >= NODE_TEXT_MAX) {
        error_set(err, CASEBUS_DAMAGED, _("an enrolment names no usable node"));
        return as_damage(err, position);
    }
    struct bytes packed = codec_pack(enrolled, arena);
    if (!packed.data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to enrol node '%s'"), statement->node);
    return put_node(store, statement->node, packed, position, arena, err);
}

/* ---- keys that were revoked, by their bytes ---- */

static size_t revoked_key(uint8_t out[TABLE_KEY_MAX], struct bytes key)
{
    static const char label[] = "revoked"; /* and its NUL */
    size_t size = key.size < TABLE_KEY_MAX - sizeof label ? key.size : TABLE_KEY_MAX - sizeof label;
    memcpy(out, label, sizeof label);
    if (size)
        memcpy(out + sizeof label, key.data, size);
    return sizeof label + size;
}

static int revoked_put(const struct exchange_store *store, struct bytes key, uint64_t position,
                       struct casebus_error *err)
{
    uint8_t name[TABLE_KEY_MAX], value[8];
    put_u64be(value, position);
    return store->put(store->self, TABLE_META, bytes_of(name, revoked_key(name, key)),
                      bytes_of(value, sizeof value), err);
}

int exchange_key_revoked(const struct exchange_store *store, struct bytes public_key, struct bytes curve_key,
                         struct casebus_error *err)
{
    uint8_t name[TABLE_KEY_MAX];
    struct bytes value;
    int r = store->get(store->self, TABLE_META, bytes_of(name, revoked_key(name, public_key)), &value, err);
    return r ? r
             : store->get(store->self, TABLE_META, bytes_of(name, revoked_key(name, curve_key)), &value, err);
}

/* Remembers the keys of the node's newest enrolment for ever. */
static int keys_revoke(const struct exchange_store *store, const struct node_row *row, uint64_t position,
                       struct arena *arena, struct casebus_error *err)
{
    Casebus__V1__NodeEnrolled *enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(
        &casebus__v1__node_enrolled__descriptor, row->enrolled, &act_limits, arena, err);
    Casebus__V1__EnrolmentStatement *statement =
        enrolled
            ? (Casebus__V1__EnrolmentStatement *)codec_unpack(&casebus__v1__enrolment_statement__descriptor,
                                                              bytes_of_data(enrolled->statement), &act_limits,
                                                              arena, err)
            : NULL;
    if (!statement)
        return as_damage(err, position);
    return revoked_put(store, bytes_of_data(statement->public_key), position, err) ||
                   revoked_put(store, bytes_of_data(statement->curve_key), position, err)
               ? -1
               : 0;
}

static int apply_status(const struct exchange_store *store, uint64_t position,
                        const Casebus__V1__NodeStatusChanged *changed, struct arena *arena,
                        struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX];
    struct node_row row;
    struct bytes value;
    size_t size = receiver_key(key, changed->node);
    int r = store->get(store->self, TABLE_NODES, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && node_row_decode(value, &row, err) < 0))
        return -1;
    if (r == 0) {
        error_set(err, CASEBUS_DAMAGED, _("it changes the status of a node that is not enrolled"));
        return as_damage(err, position);
    }
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED &&
        keys_revoke(store, &row, position, arena, err) < 0)
        return -1;
    if (changed->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED && row.n_enrolments > 0)
        row.revoked[row.n_enrolments - 1] = position;
    row.status = (uint8_t)changed->status;
    row.status_position = position;
    row.compromised_since_us = changed->compromised_since_us;
    uint8_t *encoded = arena_alloc(arena, NODE_ROW_SIZE + row.enrolled.size);
    if (!encoded)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to enrol node '%s'"), changed->node);
    return store->put(store->self, TABLE_NODES, bytes_of(key, size),
                      bytes_of(encoded, node_row_encode(encoded, &row)), err);
}

static bool delivery_after(const struct receiver_row *row, uint64_t position, uint32_t ordinal)
{
    if (!row->has_confirmed || position != row->confirmed_position)
        return !row->has_confirmed || position > row->confirmed_position;
    return ordinal > row->confirmed_ordinal;
}

/* Where the confirmation stands, so that it is found by any delivery that it covers. */
static int index_confirm(const struct exchange_store *store, const char *node, const struct receiver_row *row,
                         const Casebus__V1__DeliveryId *last, uint64_t position, uint32_t index,
                         struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[CONFIRM_ROW_SIZE];
    size_t size = inbox_key(key, node, last->position, last->ordinal);
    const struct confirm_row confirm = {.position = position,
                                        .index = index,
                                        .before_position = row->confirmed_position,
                                        .before_ordinal = row->confirmed_ordinal,
                                        .has_before = row->has_confirmed};
    confirm_row_encode(encoded, &confirm);
    return store->put(store->self, TABLE_CONFIRMS, bytes_of(key, size), bytes_of(encoded, sizeof encoded),
                      err);
}

/* @index: in the act at @position. */
static int apply_confirm(const struct exchange_store *store, const Casebus__V1__ConfirmStatement *statement,
                         uint64_t position, uint32_t index, struct casebus_error *err)
{
    uint8_t key[TABLE_KEY_MAX], encoded[RECEIVER_ROW_SIZE];
    size_t size = receiver_key(key, statement->node);
    struct receiver_row row = {0};
    struct bytes value;
    int r = store->get(store->self, TABLE_RECEIVERS, bytes_of(key, size), &value, err);
    if (r < 0 || (r > 0 && receiver_row_decode(value, &row, err) < 0))
        return -1;
    if (!delivery_after(&row, statement->last->position, statement->last->ordinal))
        return 0;
    if (index_confirm(store, statement->node, &row, statement->last, position, index, err) < 0)
        return -1;
    row.has_confirmed = true;
    row.confirmed_position = statement->last->position;
    row.confirmed_ordinal = statement->last->ordinal;
    receiver_row_encode(encoded, &row);
    return store->put(store->self, TABLE_RECEIVERS, bytes_of(key, size), bytes_of(encoded, sizeof encoded),
                      err);
}

static int apply_confirms(const struct exchange_store *store, uint64_t position,
                          const Casebus__V1__DeliveriesConfirmed *confirmed, struct arena *arena,
                          struct casebus_error *err)
{
    for (size_t i = 0; i < confirmed->n_confirm; i++) {
        arena_reset(arena);
        Casebus__V1__ConfirmStatement *statement = (Casebus__V1__ConfirmStatement *)codec_unpack(
            &casebus__v1__confirm_statement__descriptor, bytes_of_data(confirmed->confirm[i]->statement),
            &act_limits, arena, err);
        if (!statement)
            return as_damage(err, position);
        if (!statement->node[0] || strlen(statement->node) >= NODE_TEXT_MAX || !statement->last) {
            error_set(err, CASEBUS_DAMAGED, _("a confirmation names no node or no delivery"));
            return as_damage(err, position);
        }
        if (apply_confirm(store, statement, position, (uint32_t)i, err) < 0)
            return -1;
    }
    return 0;
}

int exchange_apply_act(const struct exchange_store *store, uint64_t position, int64_t hub_time_us,
                       const Casebus__V1__ActEntry *act, struct casebus_error *err)
{
    struct arena arena;
    arena_init(&arena, ACT_MAX, 4 * ACT_MAX);
    int r = 0;
    switch (act->act_case) {
    case CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED:
        r = put_meta(store, "origin", act->ledger_opened->origin, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED:
        r = apply_enrolment(store, position, act->node_enrolled, &arena, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_NODE_STATUS_CHANGED:
        r = apply_status(store, position, act->node_status_changed, &arena, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED:
        r = apply_quarantined(store, position, hub_time_us, act->quarantined, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED:
        r = apply_quarantine_decided(store, position, act->quarantine_decided, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED:
        r = apply_confirms(store, position, act->deliveries_confirmed, &arena, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED:
        r = apply_erasure_ordered(store, position, hub_time_us, act->erasure_ordered, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE:
        r = apply_erasure_done(store, position, hub_time_us, act->erasure_done, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_POLICY_APPLIED:
        r = put_policy(store, position, err);
        break;
    case CASEBUS__V1__ACT_ENTRY__ACT_HUB_KEYS_CHANGED:
        r = put_hub_keys(store, position, err);
        break;
    default: /* changes nothing here */
        break;
    }
    arena_deinit(&arena);
    return r;
}
