/* GET /v1/witness: who cosigns this hub's checkpoints, and whose this hub cosigns. */
#include "hub/console/answers.h"
#include "proto/base/texts.h"

#include <stdlib.h>

static json_t *witness_json(const struct cosigning_witness *witness)
{
    json_t *json = json_object();
    set_text(json, "name", witness->name);
    set_text(json, "url", witness->url);
    set_number(json, "cosigned_size", witness->cosigned_size);
    set_time(json, "cosigned_at_us", witness->cosigned_at_s * 1000000);
    set_time(json, "silent_since_us", witness->silent_since_us);
    set_text(json, "trouble", witness->trouble);
    return json;
}

static int witnesses_json(struct cosigning *cosigning, json_t *answer, struct casebus_error *err)
{
    struct cosigning_status *status = calloc(1, sizeof *status);
    json_t *list = json_array();
    if (!status || !list) {
        free(status);
        json_decref(list);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an answer"));
    }
    cosigning_get_status(cosigning, status);
    for (size_t i = 0; i < status->n_witnesses; i++)
        json_array_append_new(list, witness_json(&status->witnesses[i]));
    json_object_set_new(answer, "witnesses", list);
    set_number(answer, "cosigned_size", status->size);
    set_time(answer, "cosigned_at_us", status->at_us);
    set_bool(answer, "behind", status->behind);
    free(status);
    return 0;
}

static int logs_json(struct notary *notary, json_t *answer, struct casebus_error *err)
{
    struct notary_log *logs = calloc(NOTARY_LOGS_MAX, sizeof *logs);
    json_t *list = json_array();
    if (!logs || !list) {
        free(logs);
        json_decref(list);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an answer"));
    }
    size_t n = notary_get_logs(notary, logs, NOTARY_LOGS_MAX);
    for (size_t i = 0; i < n && i < NOTARY_LOGS_MAX; i++) {
        json_t *json = json_object();
        set_text(json, "origin", logs[i].origin);
        json_object_set_new(json, "size", logs[i].seen ? number_json(logs[i].size) : json_null());
        json_object_set_new(json, "root", logs[i].seen ? hex_json(logs[i].root, DIGEST_SIZE) : json_null());
        set_time(json, "cosigned_at_us", logs[i].cosigned_at_s * 1000000);
        json_array_append_new(list, json);
    }
    json_object_set_new(answer, "logs", list);
    free(logs);
    return 0;
}

static json_t *stamping_json(struct stamping *stamping)
{
    struct stamping_status status;
    json_t *json = json_object();
    stamping_get_status(stamping, &status);
    set_text(json, "url", status.url);
    set_number(json, "size", status.size);
    set_time(json, "stamped_at_us", status.stamped_at_s * 1000000);
    set_time(json, "silent_since_us", status.silent_since_us);
    set_text(json, "trouble", status.trouble);
    return json;
}

int handle_witness(struct call *call, struct casebus_error *err)
{
    const struct console_hub *hub = call->hub;
    if (!hub->notary) {
        error_set(err, CASEBUS_CLOSED, _("the hub does not run"));
        return error_hint(err, _("start it: casebus-hub run %s"), hub->dir);
    }
    set_text(call->answer, "origin", hub->origin);
    set_text(call->answer, "vkey", notary_vkey(hub->notary));
    set_bool(call->answer, "witnessed", hub->cosigning != NULL);
    if (hub->cosigning && witnesses_json(hub->cosigning, call->answer, err))
        return -1;
    if (hub->stamping)
        json_object_set_new(call->answer, "timestamps", stamping_json(hub->stamping));
    return logs_json(hub->notary, call->answer, err);
}
