/* POST /v1/nodes: enrols a node.
 *
 * The node says who it is in a statement that it signs itself; the console checks statement and signature,
 * issues the certificate with the hub's authority, and the hub commits all of it as an entry of the ledger.
 * The answer is all that the node has to know of the hub. The same statement again gets the same answer, so
 * that whoever lost it may ask again: also when the hub was restored in between. It speaks then of the
 * generation that certified the node; to the later one the node finds its way when it connects. */
#include "hub/console/enrol.h"

#include "hub/console/answers.h"
#include "hub/gate/gate.h"
#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"
#include "proto/crypto/base64.h"
#include "proto/crypto/secret_file.h"
#include "proto/merkle/note.h"

#include <limits.h>
#include <stdlib.h>
#include <zmq.h>

#define CERTIFICATE_DAYS (3 * 365)
#define RENEWAL_DAYS     90 /* before its certificate ends a node that asks again gets a new one */
#define TIMEOUT_MS       10000

struct enrolment {
    struct arena arena;
    struct bytes statement;
    struct bytes signature;
    Casebus__V1__EnrolmentStatement *fields;
    struct grant_list rights;
    struct bytes invitation; /* empty: an operator enrols it by hand */
    const char *by;          /* who approves it; "": nobody looks */
    const char *renews;      /* the node that asks for itself, over its session; NULL: it is another way */
    uint64_t timeout_ms;
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t certificate_size;
    char origin[ORIGIN_MAX]; /* that the certificate names */
};

/* ---- what was asked ---- */

static int base64_field(struct enrolment *enrolment, const json_t *body, const char *name, size_t max,
                        struct bytes *out, struct casebus_error *err)
{
    const char *text = json_string_value(json_object_get(body, name));
    if (!text)
        return error_set(err, CASEBUS_MISSING_FIELD, _("the enrolment has no '%s'"), name);
    size_t length = strlen(text);
    if (length == 0 || length % 4 != 0 || length / 4 * 3 > max + 2)
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("'%s' of the enrolment is not base64 of at most %zu bytes"), name, max);
    uint8_t *data = arena_alloc(&enrolment->arena, length / 4 * 3);
    if (!data)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    int n = base64_decode(data, bytes_of(text, length));
    if (n < 0 || (size_t)n > max)
        return error_set(err, CASEBUS_BAD_FIELD,
                         _("'%s' of the enrolment is not base64 of at most %zu bytes"), name, max);
    *out = bytes_of(data, (size_t)n);
    return 0;
}

static int bool_field(const json_t *grants, const char *name, protobuf_c_boolean *out,
                      struct casebus_error *err)
{
    const json_t *value = json_object_get(grants, name);
    if (value && !json_is_boolean(value))
        return error_set(err, CASEBUS_BAD_FIELD, _("grant '%s' is neither true nor false"), name);
    *out = json_is_true(value);
    return 0;
}

static int parts_field(struct grant_list *list, const json_t *parts, struct casebus_error *err)
{
    size_t n = json_array_size(parts);
    if (parts && (!json_is_array(parts) || n > GRANT_PARTS_MAX))
        return error_set(err, CASEBUS_BAD_FIELD, _("grant 'receive_parts' is not a short list"));
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(parts, i));
        Casebus__V1__PartKind kind = name ? part_kind_parse(name) : 0;
        if (!kind)
            return error_set(err, CASEBUS_BAD_FIELD, _("'%s' is no kind of part"), name ? name : "");
        list->part_kinds[i] = kind;
    }
    list->grants.receive_part_kind = list->part_kinds;
    list->grants.n_receive_part_kind = n;
    return 0;
}

int grants_read(struct grant_list *list, const json_t *grants, struct casebus_error *err)
{
    static const char *const known[] = {"publish", "receive_all", "receive_parts"};
    const char *name;
    json_t *value;
    casebus__v1__grants__init(&list->grants);
    if (!json_is_object(grants))
        return error_set(err, CASEBUS_MISSING_FIELD, _("the enrolment has no 'grants'"));
    json_object_foreach((json_t *)(uintptr_t)grants, name, value)
    {
        if (strcmp(name, known[0]) != 0 && strcmp(name, known[1]) != 0 && strcmp(name, known[2]) != 0)
            return error_set(err, CASEBUS_BAD_FIELD, _("there is no grant '%s'"), name);
    }
    if (bool_field(grants, "publish", &list->grants.publish, err) ||
        bool_field(grants, "receive_all", &list->grants.receive_all, err) ||
        parts_field(list, json_object_get(grants, "receive_parts"), err))
        return -1;
    if (list->grants.n_receive_part_kind && !list->grants.receive_all)
        return error_set(err, CASEBUS_BAD_FIELD, _("parts are granted to a node that receives nothing"));
    return 0;
}

/* ---- whether it may be ---- */

/* The form was checked by the codec; these are this hub's own rules. */
static int fields_check(const struct call *call, const Casebus__V1__EnrolmentStatement *fields,
                        struct casebus_error *err)
{
    if (strcmp(fields->origin, call->hub->origin) != 0)
        return error_set(err, CASEBUS_HUB_IDENTITY, _("the statement is for hub '%s'; this is '%s'"),
                         fields->origin, call->hub->origin);
    if ((unsigned)fields->suite != (unsigned)suite_id(call->hub->suite))
        return error_set(err, CASEBUS_KEY, _("the node's key is not of suite '%s', which is this hub's"),
                         suite_name(call->hub->suite));
    if (fields->curve_key.len != CURVE_KEY_SIZE)
        return error_set(err, CASEBUS_KEY, _("the node's CURVE key has not %d bytes"), CURVE_KEY_SIZE);
    if (!node_name_valid(fields->node)) {
        error_set(err, CASEBUS_BAD_FIELD, _("'%s' cannot be a node's name"), fields->node);
        return error_hint(err, _("a to z, digits, '.' and '-', at most 63 characters"));
    }
    if (!*fields->department || strlen(fields->department) > 63)
        return error_set(err, CASEBUS_BAD_FIELD, _("the department has to have 1 to 63 bytes"));
    if (strlen(fields->area) != 6 || strspn(fields->area, "0123456789") != 6)
        return error_set(err, CASEBUS_BAD_FIELD, _("area '%s' has not six digits (GB/T 2260)"), fields->area);
    return 0;
}

static int signature_check(const struct enrolment *enrolment, struct casebus_error *err)
{
    struct public_key key = {.suite = (enum suite_id)enrolment->fields->suite,
                             .size = (uint8_t)enrolment->fields->public_key.len};
    memcpy(key.bytes, enrolment->fields->public_key.data, key.size);
    struct verifier *verifier = verifier_new(&key);
    bool good = verifier && enrolment->signature.size == SIGNATURE_SIZE &&
                verifier_check(verifier, enrolment->statement, enrolment->signature.data);
    verifier_free(verifier);
    if (!good)
        return error_set(err, CASEBUS_SIGNATURE,
                         _("the enrolment of '%s' is not signed with the key that it names"),
                         enrolment->fields->node);
    return 0;
}

static int enrolment_read(struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    const json_t *body = call->request->body;
    if (!body)
        return error_set(err, CASEBUS_MISSING_FIELD, _("the enrolment has no body"));
    if (base64_field(enrolment, body, "statement", STATEMENT_MAX, &enrolment->statement, err) ||
        base64_field(enrolment, body, "signature", SIGNATURE_SIZE, &enrolment->signature, err) ||
        grants_read(&enrolment->rights, json_object_get(body, "grants"), err) ||
        request_number(call->request, "timeout_ms", 30000, &enrolment->timeout_ms, err) < 0)
        return -1;
    return 0;
}

static int statement_read(const struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    enrolment->fields = enrolment_decode(enrolment->statement, &enrolment->arena, err);
    if (!enrolment->fields)
        return -1;
    return fields_check(call, enrolment->fields, err) || signature_check(enrolment, err) ? -1 : 0;
}

/* ---- the hub's side ---- */

static int key_path(const struct call *call, const char *name, char *out, struct casebus_error *err)
{
    char keys[PATH_MAX];
    if (path_join(keys, sizeof keys, call->hub->dir, "keys") || path_join(out, PATH_MAX, keys, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path of '%s' is too long"), call->hub->dir);
    return 0;
}

static int authority_load(const struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    char path[PATH_MAX];
    return key_path(call, "authority.pem", path, err) ||
                   certificate_load(path, enrolment->authority, &enrolment->authority_size, err)
               ? -1
               : 0;
}

/* A certificate lies within the authority's own time. */
static int validity_set(const struct enrolment *enrolment, struct certificate_info *info,
                        struct casebus_error *err)
{
    int64_t first = 0, last = 0, now = clock_unix_us() / 1000000;
    if (!certificate_times(bytes_of(enrolment->authority, enrolment->authority_size), &first, &last) ||
        now > last)
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("keys/authority.pem is unreadable, or its time is over"));
    info->not_before = now - 3600 > first ? now - 3600 : first; /* a node's clock may be behind */
    info->not_after = now + (int64_t)CERTIFICATE_DAYS * 86400;
    if (info->not_after > last)
        info->not_after = last;
    return 0;
}

static int certificate_make(const struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    const Casebus__V1__EnrolmentStatement *fields = enrolment->fields;
    struct certificate_info info = {
        .key = {.suite = (enum suite_id)fields->suite, .size = (uint8_t)fields->public_key.len}};
    snprintf(info.node, sizeof info.node, "%s", fields->node);
    snprintf(info.department, sizeof info.department, "%s", fields->department);
    snprintf(info.area, sizeof info.area, "%s", fields->area);
    snprintf(info.origin, sizeof info.origin, "%s", fields->origin);
    memcpy(info.curve_key, fields->curve_key.data, CURVE_KEY_SIZE);
    memcpy(info.key.bytes, fields->public_key.data, fields->public_key.len);

    char path[PATH_MAX];
    struct signing_key *key = NULL;
    if (validity_set(enrolment, &info, err) || key_path(call, "authority.key", path, err) ||
        signing_key_load(&key, call->hub->suite, path, err))
        return -1;
    if (authority_sound(bytes_of(enrolment->authority, enrolment->authority_size), signing_key_public(key),
                        err)) {
        signing_key_free(key);
        error_set(err, CASEBUS_BUSY, _("the hub's authority is being changed, or its files do not fit"));
        return error_hint(err, _("ask again; if it stays so: casebus-hub doctor"));
    }
    int r = certificate_issue(key, bytes_of(enrolment->authority, enrolment->authority_size), &info,
                              enrolment->certificate, &enrolment->certificate_size, err);
    signing_key_free(key);
    return r;
}

static bool same_identity(const struct registry_node *node, const Casebus__V1__EnrolmentStatement *fields)
{
    return strcmp(node->info.node, fields->node) == 0 &&
           strcmp(node->info.department, fields->department) == 0 &&
           strcmp(node->info.area, fields->area) == 0 &&
           bytes_equal(bytes_of(node->info.key.bytes, node->info.key.size),
                       bytes_of(fields->public_key.data, fields->public_key.len)) &&
           memcmp(node->info.curve_key, fields->curve_key.data, CURVE_KEY_SIZE) == 0;
}

static bool same_rights(const struct registry_node *node, const Casebus__V1__Grants *grants)
{
    uint32_t kinds = 0;
    for (size_t i = 0; i < grants->n_receive_part_kind; i++)
        kinds |= part_kind_bit((Casebus__V1__PartKind)grants->receive_part_kind[i]);
    return node->publish == (grants->publish != 0) && node->receive_all == (grants->receive_all != 0) &&
           node->receive_part_kinds == kinds;
}

/* The certificate that was issued before, as the ledger has it. */
static int certificate_find(struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    static const struct codec_limits limits = {ENTRY_MAX, 256, 3};
    uint8_t key[TABLE_KEY_MAX];
    struct reader reader;
    struct bytes value = {0};
    struct node_row row;
    if (call->hub->barrier && call->hub->barrier(call->hub->self, 10000, err))
        return -1;
    int r = reader_init(&reader, call->hub, err);
    if (r == 0)
        r = state_view_get(reader.state, TABLE_NODES,
                           bytes_of(key, receiver_key(key, enrolment->fields->node)), &value, err);
    if (r == 0)
        error_set(err, CASEBUS_INTERNAL, _("node '%s' is enrolled, but not in the state"),
                  enrolment->fields->node);
    Casebus__V1__NodeEnrolled *enrolled = NULL;
    if (r == 1 && node_row_decode(value, &row, err) == 0)
        enrolled = (Casebus__V1__NodeEnrolled *)codec_unpack(&casebus__v1__node_enrolled__descriptor,
                                                             row.enrolled, &limits, &enrolment->arena, err);
    if (enrolled && enrolled->certificate.len <= CERTIFICATE_MAX) {
        memcpy(enrolment->certificate, enrolled->certificate.data, enrolled->certificate.len);
        enrolment->certificate_size = enrolled->certificate.len;
    }
    reader_deinit(&reader);
    if (!enrolment->certificate_size)
        return -1;
    /* It may be by an authority of before; from there the node finds the way to the newest. */
    return call->hub->issuer
               ? call->hub->issuer(call->hub->self,
                                   bytes_of(enrolment->certificate, enrolment->certificate_size),
                                   enrolment->authority, &enrolment->authority_size, err)
               : 0;
}

static bool has_key_of(const struct registry_node *node, const Casebus__V1__EnrolmentStatement *fields)
{
    return bytes_equal(bytes_of(node->info.key.bytes, node->info.key.size),
                       bytes_of(fields->public_key.data, fields->public_key.len)) ||
           memcmp(node->info.curve_key, fields->curve_key.data, CURVE_KEY_SIZE) == 0;
}

/* A name whose keys were revoked takes new ones. */
static int revoked_check(const struct registry_node *node, const Casebus__V1__EnrolmentStatement *fields,
                         struct casebus_error *err)
{
    if (strcmp(node->info.department, fields->department) != 0 ||
        strcmp(node->info.area, fields->area) != 0) {
        error_set(err, CASEBUS_EXISTS, _("the name '%s' is that of department '%s', area '%s'"),
                  node->info.node, node->info.department, node->info.area);
        return error_hint(err, _("what waits for it is for nobody else: choose another name"));
    }
    if (!has_key_of(node, fields))
        return 0;
    error_set(err, CASEBUS_REVOKED, _("the keys of node '%s' were revoked, for good"), node->info.node);
    return error_hint(err, _("make new ones in another directory: --out"));
}

/* And a new one would last longer: it ends with the authority's at the latest. */
static bool certificate_ends(const struct enrolment *enrolment, const struct registry_node *node)
{
    struct certificate_info next = {.not_after = 0};
    const int64_t day = 86400;
    return node->info.not_after - clock_unix_us() / 1000000 < RENEWAL_DAYS * day &&
           validity_set(enrolment, &next, NULL) == 0 &&
           next.not_after > node->info.not_after + RENEWAL_DAYS / 2 * day;
}

/* A node may prolong what it has, and no more; and only while it has it. */
static int renewal_check(const struct registry_node *node, const struct enrolment *enrolment,
                         struct casebus_error *err)
{
    if (!node || strcmp(enrolment->fields->node, enrolment->renews) != 0)
        return error_set(err, CASEBUS_NOT_ALLOWED, _("node '%s' asks for a certificate of node '%s'"),
                         enrolment->renews, enrolment->fields->node);
    if (!registry_node_active(node))
        return gate_check_status(node, err);
    if (!same_identity(node, enrolment->fields)) {
        error_set(err, CASEBUS_KEY, _("a renewal keeps department, area and keys of node '%s'"),
                  node->info.node);
        return error_hint(err, _("other keys come by an invitation: casebus node invite"));
    }
    if (clock_unix_us() / 1000000 <= node->info.not_after)
        return 0;
    error_set(err, CASEBUS_CERTIFICATE, _("the certificate of node '%s' has ended"), node->info.node);
    return error_hint(err, _("the hub's operator enrols it again: casebus node add"));
}

static void rights_keep(struct enrolment *enrolment, const struct registry_node *node)
{
    struct grant_list *rights = &enrolment->rights;
    casebus__v1__grants__init(&rights->grants);
    rights->grants.publish = node->publish;
    rights->grants.receive_all = node->receive_all;
    rights->grants.receive_part_kind = rights->part_kinds;
    for (uint32_t kind = 1; kind < 32 && rights->grants.n_receive_part_kind < GRANT_PARTS_MAX; kind++)
        if (node->receive_part_kinds & part_kind_bit((Casebus__V1__PartKind)kind))
            rights->part_kinds[rights->grants.n_receive_part_kind++] = kind;
}

/* 1: this very node is enrolled already; 0: it gets a certificate: the name is free, or its own one ends; -1:
 * it is another's. */
static int name_check(const struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    struct registry *registry = call->hub->registry(call->hub->self);
    if (!registry)
        return error_set(err, CASEBUS_DAMAGED, _("who is enrolled cannot be told"));
    const struct registry_node *node = registry_find(registry, enrolment->fields->node);
    const struct registry_node *curve = registry_find_curve(registry, enrolment->fields->curve_key.data);
    int answer = 0;
    bool revoked = node && node->status == CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    if (enrolment->renews && renewal_check(node, enrolment, err)) {
        registry_unref(registry);
        return -1;
    }
    if (enrolment->renews && node)
        rights_keep(enrolment, node);
    if (revoked && (!curve || curve == node)) {
        answer = revoked_check(node, enrolment->fields, err);
    } else if (node && same_identity(node, enrolment->fields) &&
               same_rights(node, &enrolment->rights.grants)) {
        answer = !certificate_ends(enrolment, node);
    } else if (node && same_identity(node, enrolment->fields)) {
        answer = error_set(err, CASEBUS_EXISTS, _("node '%s' is enrolled already, with other rights"),
                           node->info.node);
        error_hint(err, _("rights cannot be changed yet: ask for the same ones, or enrol it under another "
                          "name with new keys"));
    } else if (node) {
        answer = error_set(err, CASEBUS_EXISTS, _("a node '%s' is enrolled already"), node->info.node);
        error_hint(err, _("choose another name; see who is enrolled: casebus node list"));
    } else if (curve) {
        answer =
            error_set(err, CASEBUS_EXISTS, _("this CURVE key is the one of node '%s'"), curve->info.node);
        error_hint(err, _("make new keys: a node's directory must not be copied"));
    }
    registry_unref(registry);
    return answer;
}

static int commit(struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    if (!call->hub->enrol) {
        error_set(err, CASEBUS_CLOSED, _("a node can only be enrolled while the hub runs"));
        return error_hint(err, _("start it: casebus-hub run %s"), call->hub->dir);
    }
    if (certificate_make(call, enrolment, err))
        return -1;
    if (call->hub->enrol(call->hub->self, enrolment->statement, enrolment->signature,
                         bytes_of(enrolment->certificate, enrolment->certificate_size),
                         &enrolment->rights.grants, enrolment->invitation, enrolment->by,
                         (int)enrolment->timeout_ms, err))
        return -1;
    if (enrolment->renews)
        log_notice(call->log, "NODE-RENEWED", _("the certificate of node '%s' was renewed"),
                   enrolment->fields->node);
    else
        log_notice(call->log, "NODE-ENROLLED", "node '%s' of department '%s' is enrolled",
                   enrolment->fields->node, enrolment->fields->department);
    call->status = 201;
    return 0;
}

/* ---- the answer: content of enrolment.json ---- */

static int set_pem(json_t *json, const char *name, const uint8_t *der, size_t size, struct casebus_error *err)
{
    struct buffer pem;
    buffer_init(&pem, 2 * CERTIFICATE_MAX);
    int r = certificate_to_pem(bytes_of(der, size), &pem, err);
    if (r == 0)
        json_object_set_new(json, name, json_stringn((const char *)pem.data, pem.size));
    buffer_deinit(&pem);
    return r;
}

static int set_hub_curve_key(const struct call *call, struct casebus_error *err)
{
    char path[PATH_MAX], public[41];
    uint8_t secret[SECRET_FILE_MAX];
    size_t size;
    if (key_path(call, "curve.key", path, err) || secret_file_load(path, secret, &size, err))
        return -1;
    bool good = size >= 40 && size <= 42; /* Z85, perhaps with a line end */
    if (good) {
        secret[40] = '\0';
        good = zmq_curve_public(public, (char *)secret) == 0;
    }
    secret_clear(secret, sizeof secret);
    if (!good)
        return error_set(err, CASEBUS_KEY, _("'%s' holds no CURVE key"), path);
    set_text(call->answer, "hub_curve_key", public);
    return 0;
}

static int set_log_key(const struct call *call, const char *origin, struct casebus_error *err)
{
    char path[PATH_MAX], vkey[512];
    struct signing_key *key = NULL;
    if (key_path(call, "log.key", path, err) || signing_key_load(&key, call->hub->suite, path, err))
        return -1;
    int r = note_vkey_format(vkey, sizeof vkey, origin, signing_key_public(key));
    signing_key_free(key);
    if (r < 0)
        return error_set(err, CASEBUS_KEY, _("the log's key cannot be written under the name '%s'"), origin);
    set_text(call->answer, "log_key", vkey);
    return 0;
}

static int origin_find(struct enrolment *enrolment, struct casebus_error *err)
{
    struct certificate_info info;
    if (certificate_check(bytes_of(enrolment->certificate, enrolment->certificate_size),
                          bytes_of(enrolment->authority, enrolment->authority_size), 0, &info, err))
        return -1;
    snprintf(enrolment->origin, sizeof enrolment->origin, "%.*s", ORIGIN_MAX - 1, info.origin);
    return 0;
}

static int answer_fill(struct call *call, const struct enrolment *enrolment, struct casebus_error *err)
{
    set_number(call->answer, "format", 1);
    set_text(call->answer, "suite", suite_name(call->hub->suite));
    set_text(call->answer, "origin", enrolment->origin);
    set_text(call->answer, "node", enrolment->fields->node);
    set_text(call->answer, "department", enrolment->fields->department);
    set_text(call->answer, "area", enrolment->fields->area);
    set_text(call->answer, "endpoint", call->hub->endpoint);
    if (set_hub_curve_key(call, err) || set_log_key(call, enrolment->origin, err) ||
        set_pem(call->answer, "authority", enrolment->authority, enrolment->authority_size, err) ||
        set_pem(call->answer, "certificate", enrolment->certificate, enrolment->certificate_size, err))
        return -1;
    return 0;
}

/* Checks, certifies and commits; or finds the certificate of the very same node. */
static int enrol(struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    if (statement_read(call, enrolment, err) || authority_load(call, enrolment, err))
        return -1;
    int known = name_check(call, enrolment, err);
    return known < 0 || (known ? certificate_find(call, enrolment, err) : commit(call, enrolment, err)) ? -1
                                                                                                        : 0;
}

static struct enrolment *enrolment_new(struct casebus_error *err)
{
    struct enrolment *enrolment = calloc(1, sizeof *enrolment);
    if (!enrolment) {
        error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
        return NULL;
    }
    arena_init(&enrolment->arena, 8192, 256 * 1024);
    enrolment->timeout_ms = TIMEOUT_MS;
    return enrolment;
}

static void enrolment_free(struct enrolment *enrolment)
{
    arena_deinit(&enrolment->arena);
    free(enrolment);
}

int handle_enrol(struct call *call, struct casebus_error *err)
{
    struct enrolment *enrolment = enrolment_new(err);
    if (!enrolment)
        return -1;
    enrolment->by = call->by;
    int r = enrolment_read(call, enrolment, err) || enrol(call, enrolment, err) ||
                    origin_find(enrolment, err) || answer_fill(call, enrolment, err)
                ? -1
                : 0;
    enrolment_free(enrolment);
    return r;
}

/* What a node that is enrolled has to know, once more: for one that was away while the hub changed its keys.
 */
static int enrolment_again(struct call *call, struct enrolment *enrolment, struct casebus_error *err)
{
    Casebus__V1__EnrolmentStatement fields = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    struct registry *registry = call->hub->registry(call->hub->self);
    const struct registry_node *node = registry ? registry_find(registry, call->request->rest) : NULL;
    int r = 0;
    enrolment->fields = &fields;
    if (!node) {
        r = error_set(err, CASEBUS_NOT_FOUND, _("no node '%s' is enrolled"), call->request->rest);
    } else {
        fields.node = (char *)(uintptr_t)node->info.node;
        fields.department = (char *)(uintptr_t)node->info.department;
        fields.area = (char *)(uintptr_t)node->info.area;
        r = authority_load(call, enrolment, err) || certificate_find(call, enrolment, err) ||
            origin_find(enrolment, err) || answer_fill(call, enrolment, err);
    }
    registry_unref(registry);
    return r ? -1 : 0;
}

int handle_enrolment(struct call *call, struct casebus_error *err)
{
    struct enrolment *enrolment = enrolment_new(err);
    if (!enrolment)
        return -1;
    int r = enrolment_again(call, enrolment, err);
    enrolment_free(enrolment);
    return r;
}

/* In process, for those who need no more than the certificate. */
static int enrol_alone(const struct console_hub *hub, const struct log *log, struct enrolment *enrolment,
                       uint8_t certificate[CERTIFICATE_MAX], size_t *size, struct casebus_error *err)
{
    struct call call = {.hub = hub, .log = log};
    if (enrol(&call, enrolment, err))
        return -1;
    memcpy(certificate, enrolment->certificate, enrolment->certificate_size);
    *size = enrolment->certificate_size;
    return 0;
}

int console_enrol(const struct console_hub *hub, const struct log *log, const struct enrolment_asked *asked,
                  uint8_t certificate[CERTIFICATE_MAX], size_t *size, struct casebus_error *err)
{
    struct enrolment *enrolment = enrolment_new(err);
    if (!enrolment)
        return -1;
    enrolment->statement = asked->statement;
    enrolment->signature = asked->signature;
    enrolment->invitation = asked->invitation;
    enrolment->by = asked->by;
    enrolment->rights = *asked->rights;
    enrolment->rights.grants.receive_part_kind = enrolment->rights.part_kinds;
    int r = enrol_alone(hub, log, enrolment, certificate, size, err);
    enrolment_free(enrolment);
    return r;
}

int console_renew(const struct console_hub *hub, const struct log *log, const char *name,
                  struct bytes statement, struct bytes signature, uint8_t certificate[CERTIFICATE_MAX],
                  size_t *size, struct casebus_error *err)
{
    struct enrolment *enrolment = enrolment_new(err);
    if (!enrolment)
        return -1;
    enrolment->statement = statement;
    enrolment->signature = signature;
    enrolment->renews = name;
    enrolment->by = "";
    int r = enrol_alone(hub, log, enrolment, certificate, size, err);
    enrolment_free(enrolment);
    return r;
}
