#include "hub/cli/grants.h"

#include "proto/base/texts.h"
#include "proto/codec/event.h"

#include <stdlib.h>
#include <string.h>

json_t *grants_wanted_json(const struct grants_wanted *wanted, struct casebus_error *err)
{
    json_t *parts = json_array();
    char *list = strdup(wanted->parts ? wanted->parts : ""), *save = NULL;
    if (list && strcmp(list, "all") == 0) {
        free(list);
        list = strdup("identity,contact,form,opinion,other");
    }
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        if (!part_kind_parse(name)) {
            error_set(err, CASEBUS_ARGUMENT, _("'%s' is no kind of part"), name);
            error_hint(err, _("one of identity, contact, form, opinion, other"));
            json_decref(parts);
            free(list);
            return NULL;
        }
        json_array_append_new(parts, json_string(name));
    }
    free(list);
    return json_pack("{s:b, s:b, s:o}", "publish", (int)wanted->publish, "receive_all",
                     (int)wanted->receive_all, "receive_parts", parts);
}
