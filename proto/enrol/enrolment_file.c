#include "proto/enrol/enrolment_file.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/base64.h"
#include "proto/crypto/certificate.h"

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

static int json_append(const json_t *enrolment, struct buffer *out, struct casebus_error *err)
{
    char *text = json_dumps(enrolment, JSON_INDENT(2));
    bool whole = text && buffer_printf(out, "%s\n", text);
    free(text);
    return whole ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
}

static int json_write(const char *dir, const json_t *enrolment, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer content;
    if (path_join(path, sizeof path, dir, "enrolment.json"))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    buffer_init(&content, FILE_MAX);
    int r = json_append(enrolment, &content, err);
    if (r == 0)
        r = file_write(path, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    return r;
}

static json_t *json_read(const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    struct buffer text;
    json_error_t fault;
    json_t *json = NULL;
    if (path_join(path, sizeof path, dir, "enrolment.json")) {
        error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
        return NULL;
    }
    int r = file_read(path, FILE_MAX, &text, err);
    if (r == 0)
        json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
    buffer_deinit(&text);
    if (json_is_object(json))
        return json;
    if (r == 0)
        error_set(err, CASEBUS_CONFIG, _("'%s' line %d is not JSON: %s"), path, fault.line,
                  json ? _("no object") : fault.text);
    json_decref(json);
    return NULL;
}

static int pem_set(json_t *json, const char *name, struct bytes certificate, struct casebus_error *err)
{
    struct buffer pem;
    buffer_init(&pem, 2 * CERTIFICATE_MAX);
    int r = certificate_to_pem(certificate, &pem, err);
    if (r == 0 && json_object_set_new(json, name, json_stringn((const char *)pem.data, pem.size)))
        r = error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    buffer_deinit(&pem);
    return r;
}

int enrolment_file_renew(const char *dir, struct bytes certificate, struct casebus_error *err)
{
    json_t *json = json_read(dir, err);
    int r = json && pem_set(json, "certificate", certificate, err) == 0 ? json_write(dir, json, err) : -1;
    json_decref(json);
    return r;
}

/* --- the hub's next keys --- */

#define CHANGES_KEPT 2 /* the newest, and the one that was before it ... */
#define AUTHORITIES_KEPT                                                                                     \
    24 /* ... and each that named another authority: from the first one they lead here                       \
        */
#define CHANGE_MAX 8192

/* One of "hub_keys", decoded. */
struct change_kept {
    uint8_t statement[CHANGE_MAX], signature[CHANGE_MAX], authority_signature[CHANGE_MAX];
    Casebus__V1__HubKeysChanged change;
};

static bool base64_set(json_t *json, const char *name, ProtobufCBinaryData data)
{
    char *text = base64_encode(bytes_of(data.data, data.len));
    bool set = text && json_object_set_new(json, name, json_string(text)) == 0;
    free(text);
    return set;
}

/* All but the newest two, and those that another authority has signed. */
static int changes_forget(json_t *list)
{
    size_t i = 0;
    while (i + CHANGES_KEPT < json_array_size(list))
        if (json_object_get(json_array_get(list, i), "authority_signature"))
            i++;
        else
            json_array_remove(list, i);
    return i > AUTHORITIES_KEPT ? -1 : 0;
}

int enrolment_file_follow(const char *dir, const Casebus__V1__HubKeysChanged *change, const char *curve_key,
                          struct casebus_error *err)
{
    json_t *json = json_read(dir, err);
    if (!json)
        return -1;
    json_t *list = json_object_get(json, "hub_keys"), *one = json_object();
    if (!json_is_array(list))
        json_object_set_new(json, "hub_keys", list = json_array());
    bool whole =
        base64_set(one, "statement", change->statement) && base64_set(one, "signature", change->signature);
    if (change->authority_signature.len)
        whole = base64_set(one, "authority_signature", change->authority_signature) && whole;
    whole = json_array_append_new(list, one) == 0 && whole;
    if (*curve_key)
        whole = json_object_set_new(json, "hub_curve_key", json_string(curve_key)) == 0 && whole;
    int r = !whole ? error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"))
            : changes_forget(list)
                ? error_set(err, CASEBUS_TOO_LARGE,
                            _("the hub has had more than %d authorities since this node was "
                              "enrolled: it has to be given its enrolment.json anew"),
                            AUTHORITIES_KEPT)
                : json_write(dir, json, err);
    json_decref(json);
    return r;
}

/* Into @out of CHANGE_MAX bytes. */
static bool base64_take(const json_t *one, const char *name, uint8_t *out, ProtobufCBinaryData *data)
{
    const char *text = json_string_value(json_object_get(one, name));
    size_t length = text ? strlen(text) : 0;
    int n = length <= CHANGE_MAX ? base64_decode(out, bytes_of(text, length)) : -1;
    *data = (ProtobufCBinaryData){n < 0 ? 0 : (size_t)n, out};
    return n > 0;
}

static int change_take(const json_t *one, struct change_kept *kept, struct casebus_error *err)
{
    casebus__v1__hub_keys_changed__init(&kept->change);
    if (base64_take(one, "statement", kept->statement, &kept->change.statement) &&
        base64_take(one, "signature", kept->signature, &kept->change.signature) &&
        (!json_object_get(one, "authority_signature") ||
         base64_take(one, "authority_signature", kept->authority_signature,
                     &kept->change.authority_signature)))
        return 0;
    return error_set(err, CASEBUS_CONFIG, _("\"hub_keys\" of an enrolment.json cannot be read"));
}

int enrolment_file_succession(const json_t *enrolment, struct succession *succession, const char *origin,
                              authority_fn *on_authority, void *self, struct casebus_error *err)
{
    const json_t *list = json_object_get(enrolment, "hub_keys");
    struct change_kept *kept = malloc(sizeof *kept);
    int r = 0;
    if (!kept)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    on_authority(self, succession_authority(succession));
    for (size_t i = 0; r == 0 && i < json_array_size(list) && i < CHANGES_KEPT + AUTHORITIES_KEPT; i++) {
        r = change_take(json_array_get(list, i), kept, err);
        if (r == 0 && succession_add(succession, origin, &kept->change, err) < 0)
            r = error_context(err, "enrolment.json, \"hub_keys\"");
        if (r == 0 && kept->change.authority_signature.len)
            on_authority(self, succession_authority(succession));
    }
    free(kept);
    return r;
}

static void key_files_name(json_t *enrolment)
{
    json_object_set_new(enrolment, "signing_key", json_string("node.key"));
    json_object_set_new(enrolment, "curve_key", json_string("node.curve"));
}

int enrolment_file_text(json_t *enrolment, struct buffer *out, struct casebus_error *err)
{
    key_files_name(enrolment);
    return json_append(enrolment, out, err);
}

int enrolment_file_write(const char *dir, json_t *enrolment, const char *endpoint, struct casebus_error *err)
{
    key_files_name(enrolment);
    if (endpoint)
        json_object_set_new(enrolment, "endpoint", json_string(endpoint));
    if (!json_is_string(json_object_get(enrolment, "endpoint")))
        return error_set(err, CASEBUS_ARGUMENT,
                         _("the hub does not say where nodes find it; give --endpoint"));
    return json_write(dir, enrolment, err);
}
