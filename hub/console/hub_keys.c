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

int handle_hub_keys(struct call *call, struct casebus_error *err)
{
    struct console_keys keys = {.number = 0};
    if (running_check(call, call->hub->keys, err))
        return -1;
    call->hub->keys(call->hub->self, &keys);
    set_number(call->answer, "number", keys.number);
    set_text(call->answer, "curve_key", keys.curve_key);
    set_text(call->answer, "next_curve_key", keys.next_curve_key[0] ? keys.next_curve_key : NULL);
    set_time(call->answer, "next_from_us", keys.next_from_us);
    json_object_set_new(call->answer, "away", away_json(call));
    return 0;
}

int handle_hub_keys_rotate(struct call *call, struct casebus_error *err)
{
    const json_t *body = call->request->body;
    const char *what = json_string_value(json_object_get(body, "rotate"));
    const json_t *after = json_object_get(body, "after_s");
    if (!what || strcmp(what, "curve") != 0)
        return error_set(err, CASEBUS_BAD_FIELD, _("'rotate' has to be \"curve\""));
    if (!json_is_integer(after) || json_integer_value(after) < 0 || json_integer_value(after) > AFTER_MAX_S)
        return error_set(err, CASEBUS_BAD_FIELD, _("'after_s' has to be a number of seconds, at most %d"),
                         AFTER_MAX_S);
    if (json_integer_value(after) < AFTER_SANE_S && !json_is_true(json_object_get(body, "force"))) {
        error_set(err, CASEBUS_NOT_ALLOWED,
                  _("%lld s are too short: a node that is not connected until then is shut out"),
                  (long long)json_integer_value(after));
        return error_hint(err,
                          _("give it a day or more, or say --force: casebus hub keys tells who is away"));
    }
    if (running_check(call, call->hub->rotate_curve, err))
        return -1;
    if (call->hub->rotate_curve(call->hub->self, (uint64_t)json_integer_value(after), call->by, err))
        return -1;
    return handle_hub_keys(call, err);
}
