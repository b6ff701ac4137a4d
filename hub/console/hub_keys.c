/* GET and POST /v1/hub-keys: the hub's own CURVE key, and the one that is to come. */
#include "hub/console/answers.h"
#include "hub/gate/registry.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#include <stdlib.h>

#define DAY_S        86400
#define AFTER_MAX_S  (400 * DAY_S)
#define AFTER_SANE_S DAY_S /* a node that is switched off for a night comes back in time */

/* Those that would not learn of a next key now. */
static json_t *away_json(const struct call *call)
{
    json_t *list = json_array();
    struct registry *registry = call->hub->registry(call->hub->self);
    struct hub_status *status = hub_status_get(call->hub);
    for (size_t i = 0; registry && i < registry->n_nodes; i++) {
        const struct registry_node *node = &registry->nodes[i];
        const struct hub_peer *peer = hub_peer_find(status, node->info.node);
        if (node->status != CASEBUS__V1__NODE_STATUS__NODE_STATUS_REVOKED && !(peer && peer->connected))
            json_array_append_new(list, json_string(node->info.node));
    }
    free(status);
    registry_unref(registry);
    return list;
}

/* As openssl x509 -fingerprint -sha256 tells it, without the colons. */
static void authority_json(json_t *json, struct bytes authority)
{
    uint8_t digest[DIGEST_SIZE];
    int64_t first = 0, last = 0;
    suite_hash(suite_get(SUITE_INTL), &authority, 1, digest);
    json_object_set_new(json, "authority_sha256", hex_json(digest, DIGEST_SIZE));
    certificate_times(authority, &first, &last);
    set_time(json, "authority_begins_us", first * 1000000);
    set_time(json, "authority_ends_us", last * 1000000);
}

int handle_hub_keys(struct call *call, struct casebus_error *err)
{
    struct console_keys keys = {.number = 0};
    if (running_check(call, call->hub->keys, err))
        return -1;
    call->hub->keys(call->hub->self, &keys);
    set_number(call->answer, "number", keys.number);
    authority_json(call->answer, bytes_of(keys.authority, keys.authority_size));
    set_text(call->answer, "curve_key", keys.curve_key);
    set_text(call->answer, "next_curve_key", keys.next_curve_key[0] ? keys.next_curve_key : NULL);
    set_time(call->answer, "next_from_us", keys.next_from_us);
    json_object_set_new(call->answer, "away", away_json(call));
    return 0;
}

static int curve_rotate(struct call *call, struct casebus_error *err)
{
    const json_t *after = json_object_get(call->request->body, "after_s");
    if (!json_is_integer(after) || json_integer_value(after) < 0 || json_integer_value(after) > AFTER_MAX_S)
        return error_set(err, CASEBUS_BAD_FIELD, _("'after_s' has to be a number of seconds, at most %d"),
                         AFTER_MAX_S);
    if (json_integer_value(after) < AFTER_SANE_S &&
        !json_is_true(json_object_get(call->request->body, "force"))) {
        error_set(err, CASEBUS_NOT_ALLOWED,
                  _("%lld s are too short: a node that is not connected until then is shut out"),
                  (long long)json_integer_value(after));
        return error_hint(err,
                          _("give it a day or more, or say --force: casebus hub keys tells who is away"));
    }
    if (running_check(call, call->hub->rotate_curve, err))
        return -1;
    return call->hub->rotate_curve(call->hub->self, (uint64_t)json_integer_value(after), call->by, err);
}

static int authority_rotate(struct call *call, struct casebus_error *err)
{
    if (running_check(call, call->hub->rotate_authority, err))
        return -1;
    return call->hub->rotate_authority(call->hub->self, call->by, err);
}

int handle_hub_keys_rotate(struct call *call, struct casebus_error *err)
{
    const char *what = json_string_value(json_object_get(call->request->body, "rotate"));
    int r = what && strcmp(what, "curve") == 0 ? curve_rotate(call, err)
            : what && strcmp(what, "authority") == 0
                ? authority_rotate(call, err)
                : error_set(err, CASEBUS_BAD_FIELD, _("'rotate' has to be \"curve\" or \"authority\""));
    return r ? -1 : handle_hub_keys(call, err);
}
