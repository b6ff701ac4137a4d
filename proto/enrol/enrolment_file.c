#include "proto/enrol/enrolment_file.h"

#include "proto/base/bytes.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <limits.h>
#include <stdlib.h>

#define FILE_MAX (64 * 1024)

bool endpoint_usable(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "ipc://", 6) == 0)
        return endpoint[6] != '\0';
    return strncmp(endpoint, "tcp://", 6) == 0 && colon > endpoint + 6 && colon[1] &&
           colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

int enrolment_file_write(const char *dir, json_t *enrolment, const char *endpoint, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer content;
    json_object_set_new(enrolment, "signing_key", json_string("node.key"));
    json_object_set_new(enrolment, "curve_key", json_string("node.curve"));
    if (endpoint)
        json_object_set_new(enrolment, "endpoint", json_string(endpoint));
    if (!json_is_string(json_object_get(enrolment, "endpoint")))
        return error_set(err, CASEBUS_ARGUMENT,
                         _("the hub does not say where nodes find it; give --endpoint"));
    if (path_join(path, sizeof path, dir, "enrolment.json"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    char *text = json_dumps(enrolment, JSON_INDENT(2));
    buffer_init(&content, FILE_MAX);
    int r = text && buffer_printf(&content, "%s\n", text)
                ? file_write(path, bytes_of(content.data, content.size), 0600, err)
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    buffer_deinit(&content);
    free(text);
    return r;
}
