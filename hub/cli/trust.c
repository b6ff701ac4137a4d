#include "hub/cli/trust.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>

#define VKEY_FILE_MAX      4096
#define ENROLMENT_FILE_MAX (64 * 1024)

int trust_vkey_read(char out[VKEY_MAX], const char *text, struct casebus_error *err)
{
    struct buffer file;
    const char *first = strchr(text, '+');
    bool is_key = *text != '@' && first && strchr(first + 1, '+');
    if (is_key && strlen(text) < VKEY_MAX) {
        strcpy(out, text);
        return 0;
    }
    int r = file_read(*text == '@' ? text + 1 : text, VKEY_FILE_MAX, &file, err);
    size_t size = r == 0 ? file.size : 0;
    while (size > 0 && isspace(file.data[size - 1]))
        size--;
    if (r == 0 && (size == 0 || size >= VKEY_MAX || memchr(file.data, '\0', size)))
        r = error_set(err, CASEBUS_KEY, _("'%s' holds no verifier key"), text);
    if (r == 0) {
        memcpy(out, file.data, size);
        out[size] = '\0';
    }
    buffer_deinit(&file);
    return r;
}

/* The two members of the node's file that a stranger needs; the others are the node's own business. */
static int enrolment_take(const char *path, const json_t *json, uint8_t authority[CERTIFICATE_MAX],
                          size_t *size, char vkey[VKEY_MAX], struct casebus_error *err)
{
    const char *pem = json_string_value(json_object_get(json, "authority"));
    const char *key = json_string_value(json_object_get(json, "log_key"));
    if (json_integer_value(json_object_get(json, "format")) != 1)
        return error_set(err, CASEBUS_BAD_VERSION, _("'%s' is not an enrolment of format 1"), path);
    if (!pem || !certificate_from_pem(bytes_of_text(pem), authority, size))
        return error_set(err, CASEBUS_CERTIFICATE, _("'%s': \"%s\" is not a certificate in PEM"), path,
                         "authority");
    if (!key || !*key || strlen(key) >= VKEY_MAX)
        return error_set(err, CASEBUS_KEY, _("'%s' holds no verifier key"), path);
    strcpy(vkey, key);
    return 0;
}

/* NULL with @err; otherwise to be released. */
static json_t *enrolment_open(const char *path, struct casebus_error *err)
{
    struct buffer file;
    json_t *json = NULL;
    if (file_read(path, ENROLMENT_FILE_MAX, &file, err) == 0) {
        json = json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(json))
            error_set(err, CASEBUS_CONFIG, _("'%s' is not an enrolment.json"), path);
    }
    buffer_deinit(&file);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static int enrolment_read(const char *path, uint8_t authority[CERTIFICATE_MAX], size_t *size,
                          char vkey[VKEY_MAX], struct casebus_error *err)
{
    json_t *json = enrolment_open(path, err);
    int r = json ? enrolment_take(path, json, authority, size, vkey, err) : -1;
    if (r)
        error_hint(err, _("either the enrolment.json of a node, or a certificate file, a comma, and the "
                          "log's verifier key or a file with it"));
    json_decref(json);
    return r;
}

static int certificate_take(uint8_t id[KEY_ID_SIZE], const char *path, const json_t *json,
                            struct bytes authority, struct casebus_error *err)
{
    uint8_t der[CERTIFICATE_MAX];
    size_t size;
    struct certificate_info info;
    const char *pem = json_string_value(json_object_get(json, "certificate"));
    if (!pem || !certificate_from_pem(bytes_of_text(pem), der, &size))
        return error_set(err, CASEBUS_CERTIFICATE, _("'%s': \"%s\" is not a certificate in PEM"), path,
                         "certificate");
    if (certificate_check(bytes_of(der, size), authority, 0, &info, err))
        return error_context(err, "'%s'", path);
    public_key_id(&info.key, id);
    return 0;
}

int trust_key_read(uint8_t id[KEY_ID_SIZE], const char *text, struct bytes authority,
                   struct casebus_error *err)
{
    if (hex_decode(id, KEY_ID_SIZE, text))
        return 0;
    json_t *json = enrolment_open(text, err);
    int r = json ? certificate_take(id, text, json, authority, err) : -1;
    if (r)
        error_hint(err,
                   _("give the id of the key, %d hex digits, as casebus-adapter join shows it, or the "
                     "enrolment.json of the node"),
                   2 * KEY_ID_SIZE);
    json_decref(json);
    return r;
}

int trust_read(const char *text, uint8_t authority[CERTIFICATE_MAX], size_t *size, char vkey[VKEY_MAX],
               struct casebus_error *err)
{
    char path[PATH_MAX];
    const char *comma = strchr(text, ',');
    if (!comma)
        return enrolment_read(text, authority, size, vkey, err);
    if ((size_t)(comma - text) >= sizeof path)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), text);
    memcpy(path, text, (size_t)(comma - text));
    path[comma - text] = '\0';
    return certificate_load(path, authority, size, err) || trust_vkey_read(vkey, comma + 1, err) ? -1 : 0;
}
