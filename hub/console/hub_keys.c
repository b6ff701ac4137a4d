/* GET and POST /v1/hub-keys: the hub's own CURVE key, and the one that is to come. */
#include "hub/console/answers.h"
#include "proto/base/clock.h"
#include "proto/base/texts.h"

#define AFTER_MAX_S (400 * 86400)

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
    if (running_check(call, call->hub->rotate_curve, err))
        return -1;
    if (call->hub->rotate_curve(call->hub->self, (uint64_t)json_integer_value(after), call->by, err))
        return -1;
    return handle_hub_keys(call, err);
}
