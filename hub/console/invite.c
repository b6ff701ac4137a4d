/* Invitations over HTTP: who is invited and who asks, one more, and what an operator decides. The code goes
 * out once, in the answer to the one who invites. */
#include "hub/console/invite.h"

#include "hub/console/answers.h"
#include "hub/console/enrol.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"
#include "proto/codec/statement.h"
#include "proto/crypto/code.h"

#define VALID_MIN_S 60
#define VALID_MAX_S (90 * 24 * 3600)

/* ---- who is invited, who asks ---- */

/* What an operator compares with the department, by telephone: the id of a public key. */
static void keys_json(const struct invitation *invitation, json_t *json)
{
    struct arena arena;
    char text[2 * CURVE_KEY_SIZE + 1];
    uint8_t id[KEY_ID_SIZE];
    arena_init(&arena, 4096, 16 * 1024);
    const Casebus__V1__EnrolmentStatement *statement =
        enrolment_decode(bytes_of(invitation->statement, invitation->statement_size), &arena, NULL);
    if (statement) {
        struct public_key key = {.suite = (enum suite_id)statement->suite,
                                 .size = (uint8_t)statement->public_key.len};
        memcpy(key.bytes, statement->public_key.data, key.size);
        public_key_id(&key, id);
        set_text(json, "key_id", hex_encode(text, id, KEY_ID_SIZE));
        set_text(json, "curve_key", hex_encode(text, statement->curve_key.data, CURVE_KEY_SIZE));
    }
    arena_deinit(&arena);
}

static json_t *invitation_json(const struct invitation *invitation)
{
    json_t *json = json_object();
    char text[2 * INVITATION_SIZE + 1];
    set_text(json, "invitation", hex_encode(text, invitation->id, INVITATION_SIZE));
    set_text(json, "node", invitation->node);
    set_text(json, "department", invitation->department);
    set_text(json, "area", invitation->area);
    set_bool(json, "publish", invitation->publish);
    set_bool(json, "receive_all", invitation->receive_all);
    json_object_set_new(json, "receive_parts", part_kinds_json(invitation->part_kinds));
    set_bool(json, "automatic", invitation->automatic);
    set_text(json, "state", invitation_state_name(invitation, clock_unix_us()));
    set_time(json, "expires_us", invitation->expires_at_us);
    set_time(json, "requested_us", invitation->requested_at_us);
    set_number(json, "wrong", invitation->wrong);
    keys_json(invitation, json);
    return json;
}

int handle_invitations(struct call *call, struct casebus_error *err)
{
    struct invitation invitation;
    json_t *list = json_array();
    int r = running_check(call, call->hub->invitations && call->hub->invite, err);
    for (size_t i = 0; r == 0 && invitations_at(call->hub->invitations, i, &invitation); i++)
        json_array_append_new(list, invitation_json(&invitation));
    json_object_set_new(call->answer, "invitations", list);
    return r;
}

/* ---- one more ---- */

static int text_field(const json_t *body, const char *name, char *out, size_t size, struct casebus_error *err)
{
    const char *text = json_string_value(json_object_get(body, name));
    if (!text || !*text)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), name);
    if ((size_t)snprintf(out, size, "%s", text) >= size)
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' has more than %zu bytes"), name, size - 1);
    return 0;
}

static int rights_field(const json_t *body, struct invitation *invitation, struct casebus_error *err)
{
    struct grant_list list;
    if (grants_read(&list, json_object_get(body, "grants"), err))
        return -1;
    invitation->publish = list.grants.publish;
    invitation->receive_all = list.grants.receive_all;
    for (size_t i = 0; i < list.grants.n_receive_part_kind; i++)
        invitation->part_kinds |= part_kind_bit((Casebus__V1__PartKind)list.part_kinds[i]);
    return 0;
}

static int invitation_read(const json_t *body, struct invitation *invitation, struct casebus_error *err)
{
    json_int_t valid_s = json_integer_value(json_object_get(body, "valid_s"));
    if (text_field(body, "node", invitation->node, sizeof invitation->node, err) ||
        text_field(body, "department", invitation->department, sizeof invitation->department, err) ||
        text_field(body, "area", invitation->area, sizeof invitation->area, err) ||
        rights_field(body, invitation, err))
        return -1;
    if (!node_name_valid(invitation->node))
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' cannot be a node's name"), invitation->node);
    if (strlen(invitation->area) != 6 || strspn(invitation->area, "0123456789") != 6)
        return error_set(err, CASEBUS_BAD_FIELD, _("area '%s' has not six digits (GB/T 2260)"),
                         invitation->area);
    if (valid_s < VALID_MIN_S || valid_s > VALID_MAX_S)
        return error_set(err, CASEBUS_BAD_FIELD, _("an invitation counts for a minute to 90 days"));
    invitation->automatic = json_is_true(json_object_get(body, "automatic"));
    invitation->expires_at_us = clock_unix_us() + valid_s * 1000000;
    invitation->state = INVITATION_OPEN;
    return 0;
}

/* A name that is taken cannot be given away again, unless its keys were revoked. */
static int name_free(const struct call *call, const char *name, struct casebus_error *err)
{
    struct registry *registry = call->hub->registry(call->hub->self);
    const struct registry_node *node = registry ? registry_find(registry, name) : NULL;
    bool taken = node && node->status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED;
    registry_unref(registry);
    if (!registry)
        return error_set(err, CASEBUS_DAMAGED, _("who is enrolled cannot be told"));
    if (!taken)
        return 0;
    error_set(err, CASEBUS_EXISTS, _("a node '%s' is enrolled already"), name);
    return error_hint(err, _("choose another name; see who is enrolled: casebus node list"));
}

int handle_invite(struct call *call, struct casebus_error *err)
{
    struct invitation invitation = {.state = INVITATION_OPEN};
    struct code code;
    char text[CODE_TEXT];
    if (running_check(call, call->hub->invitations && call->hub->invite, err) ||
        invitation_read(call->request->body, &invitation, err) || name_free(call, invitation.node, err))
        return -1;
    code_make(&code);
    code_derive(&code, invitation.id, invitation.key);
    code_format(&code, text);
    int r = call->hub->invite(call->hub->self, &invitation, call->by, err);
    if (r == 0) {
        json_t *json = invitation_json(&invitation);
        json_object_update(call->answer, json);
        json_decref(json);
        set_text(call->answer, "code", text);
        set_text(call->answer, "endpoint", call->hub->endpoint);
        set_text(call->answer, "door", call->hub->door);
        log_notice(call->log, "NODE-INVITED", _("'%s' of department '%s' is invited"), invitation.node,
                   invitation.department);
        call->status = 201;
    }
    secret_clear(&code, sizeof code);
    secret_clear(text, sizeof text);
    secret_clear(invitation.key, sizeof invitation.key);
    return r;
}

/* ---- what is decided ---- */

static void rights_invited(const struct invitation *invitation, struct grant_list *list)
{
    casebus__v1__grants__init(&list->grants);
    list->grants.publish = invitation->publish;
    list->grants.receive_all = invitation->receive_all;
    list->grants.receive_part_kind = list->part_kinds;
    for (uint32_t kind = 1; kind < 32 && list->grants.n_receive_part_kind < GRANT_PARTS_MAX; kind++)
        if (invitation->part_kinds & part_kind_bit((Casebus__V1__PartKind)kind))
            list->part_kinds[list->grants.n_receive_part_kind++] = kind;
}

static int approve(const struct console_hub *hub, const struct log *log, const struct invitation *invitation,
                   const char *by, struct casebus_error *err)
{
    struct grant_list rights;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size;
    if (invitation->state != INVITATION_REQUESTED) {
        error_set(err, invitation->state == INVITATION_OPEN ? CASEBUS_NOT_FOUND : CASEBUS_EXISTS,
                  invitation->state == INVITATION_OPEN ? _("'%s' has not yet asked to be enrolled")
                                                       : _("the request of '%s' has been decided already"),
                  invitation->node);
        return error_hint(err, _("see who asks: casebus node requests"));
    }
    if (!invitation_alive(invitation, clock_unix_us())) {
        error_set(err, CASEBUS_CLOSED, _("the invitation of '%s' has expired"), invitation->node);
        return error_hint(err, _("invite it again: casebus node invite"));
    }
    rights_invited(invitation, &rights);
    const struct enrolment_asked asked = {.statement =
                                              bytes_of(invitation->statement, invitation->statement_size),
                                          .signature = bytes_of(invitation->signature, SIGNATURE_SIZE),
                                          .invitation = bytes_of(invitation->id, INVITATION_SIZE),
                                          .by = by,
                                          .rights = &rights};
    return console_enrol(hub, log, &asked, certificate, &size, err) ||
                   invitations_enrolled(hub->invitations, invitation->id, bytes_of(certificate, size), err)
               ? -1
               : 0;
}

int console_approve(const struct console_hub *hub, const struct log *log, const uint8_t id[INVITATION_SIZE],
                    struct casebus_error *err)
{
    struct invitation invitation;
    if (!invitations_find(hub->invitations, id, &invitation))
        return error_set(err, CASEBUS_NOT_FOUND, _("there is no such invitation"));
    return approve(hub, log, &invitation, "", err); /* of its own accord */
}

static int refuse(const struct call *call, const struct invitation *invitation, struct casebus_error *err)
{
    const char *why = json_string_value(json_object_get(call->request->body, "why"));
    if (!why || !*why)
        return error_set(err, CASEBUS_MISSING_FIELD, _("'%s' is missing"), "why");
    if (strlen(why) >= INVITATION_WORDS_MAX)
        return error_set(err, CASEBUS_BAD_FIELD, _("'%s' has more than %zu bytes"), "why",
                         (size_t)INVITATION_WORDS_MAX - 1);
    if (invitations_refuse(call->hub->invitations, invitation->id, why, err))
        return -1;
    log_notice(call->log, "JOIN-REFUSED", _("an operator refused '%s'"), invitation->node);
    return 0;
}

int handle_invitation_decide(struct call *call, struct casebus_error *err)
{
    struct invitation invitation;
    const char *decision = json_string_value(json_object_get(call->request->body, "decision"));
    if (running_check(call, call->hub->invitations && call->hub->invite, err))
        return -1;
    if (!invitations_find_node(call->hub->invitations, call->request->rest, &invitation)) {
        error_set(err, CASEBUS_NOT_FOUND, _("nobody is invited as '%s'"), call->request->rest);
        return error_hint(err, _("see who is: casebus node requests"));
    }
    if (!decision || (strcmp(decision, "approve") != 0 && strcmp(decision, "refuse") != 0))
        return error_set(err, CASEBUS_BAD_FIELD, _("'decision' is approve or refuse"));
    int r = strcmp(decision, "approve") == 0 ? approve(call->hub, call->log, &invitation, call->by, err)
                                             : refuse(call, &invitation, err);
    if (r || !invitations_find_node(call->hub->invitations, call->request->rest, &invitation))
        return r;
    json_t *json = invitation_json(&invitation);
    json_object_update(call->answer, json);
    json_decref(json);
    return 0;
}
