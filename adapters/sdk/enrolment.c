/* A node's directory is copied by people from machine to machine, so anything in it can be missing, mixed up
 * with another node's or out of date. All of it is checked before the first byte is sent, because the other
 * end can only refuse a wrong key without saying why. */
#include "adapters/sdk/enrolment.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/secret_file.h"
#include "proto/enrol/enrolment_file.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

enum { ENROLMENT_MAX = 64 * 1024 };

/* What is at hand while an enrolment is read. */
struct reading {
    struct enrolment *enrolment;
    const char *dir;
    char path[PATH_MAX]; /* of enrolment.json */
    json_t *json;
    uint8_t certificate[CERTIFICATE_MAX];
    size_t certificate_size;
};

static int json_read(struct reading *reading, struct casebus_error *err)
{
    struct buffer text;
    json_error_t fault;
    int r = file_read(reading->path, ENROLMENT_MAX, &text, err);
    if (r == 0) {
        reading->json = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
        if (!json_is_object(reading->json))
            r = error_set(err, CASEBUS_CONFIG, _("'%s' line %d is not JSON: %s"), reading->path, fault.line,
                          reading->json ? _("no object") : fault.text);
    } else if (err && err->code == CASEBUS_FILE) {
        error_hint(err, _("the directory is made by 'casebus node add NAME --out DIR' at the hub"));
    }
    buffer_deinit(&text);
    return r;
}

/* The text of @name, which has to be there; NULL with @err. */
static const char *text_get(struct reading *reading, const char *name, struct casebus_error *err)
{
    const char *text = json_string_value(json_object_get(reading->json, name));
    if (text && *text)
        return text;
    error_set(err, CASEBUS_CONFIG, _("'%s' has no text \"%s\""), reading->path, name);
    return NULL;
}

static int text_take(struct reading *reading, const char *name, char *out, size_t size,
                     struct casebus_error *err)
{
    const char *text = text_get(reading, name, err);
    if (!text)
        return -1;
    if (strlen(text) >= size)
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"%s\" is longer than %zu bytes"), reading->path, name,
                         size - 1);
    strcpy(out, text);
    return 0;
}

static int format_check(struct reading *reading, struct casebus_error *err)
{
    json_int_t format = json_integer_value(json_object_get(reading->json, "format"));
    if (format == 1)
        return 0;
    return error_set(err, CASEBUS_BAD_VERSION, _("'%s' has format %lld; this version knows only format 1"),
                     reading->path, (long long)format);
}

static int names_take(struct reading *reading, struct casebus_error *err)
{
    struct enrolment *enrolment = reading->enrolment;
    char suite[16];
    if (text_take(reading, "suite", suite, sizeof suite, err) != 0 ||
        text_take(reading, "origin", enrolment->origin, sizeof enrolment->origin, err) != 0 ||
        text_take(reading, "node", enrolment->node, sizeof enrolment->node, err) != 0 ||
        text_take(reading, "endpoint", enrolment->endpoint, sizeof enrolment->endpoint, err) != 0)
        return -1;
    enrolment->suite = suite_by_name(suite);
    if (!enrolment->suite)
        return error_set(err, CASEBUS_CONFIG, _("'%s': this build has no suite \"%s\""), reading->path,
                         suite);
    if (!origin_valid(enrolment->origin))
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"%s\" is not the origin of a hub"), reading->path,
                         enrolment->origin);
    if (!node_name_valid(enrolment->node))
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"%s\" is not the name of a node"), reading->path,
                         enrolment->node);
    return 0;
}

static int log_key_take(struct reading *reading, struct casebus_error *err)
{
    struct enrolment *enrolment = reading->enrolment;
    const char *vkey = text_get(reading, "log_key", err);
    if (!vkey)
        return -1;
    if (note_verifier_init(&enrolment->log, vkey, err) != 0)
        return error_context(err, "'%s', \"log_key\"", reading->path);
    if (strcmp(enrolment->log.name, enrolment->origin) != 0)
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"log_key\" is of '%s', the hub is '%s'"),
                         reading->path, enrolment->log.name, enrolment->origin);
    if (enrolment->log.key.suite != suite_id(enrolment->suite))
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"log_key\" is not of suite \"%s\""), reading->path,
                         suite_name(enrolment->suite));
    return 0;
}

/* The first certificate of a PEM text as DER. */
static int pem_take(struct reading *reading, const char *name, uint8_t out[CERTIFICATE_MAX], size_t *size,
                    struct casebus_error *err)
{
    const char *text = text_get(reading, name, err);
    if (!text)
        return -1;
    return certificate_from_pem(bytes_of_text(text), out, size)
               ? 0
               : error_set(err, CASEBUS_CERTIFICATE, _("'%s': \"%s\" is not a certificate in PEM"),
                           reading->path, name);
}

/* The path of the key file that @name says. */
static int key_path(struct reading *reading, const char *name, char path[PATH_MAX], struct casebus_error *err)
{
    const char *file = text_get(reading, name, err);
    if (!file)
        return -1;
    if (strchr(file, '/') || path_join(path, PATH_MAX, reading->dir, file) != 0)
        return error_set(err, CASEBUS_CONFIG, _("'%s': \"%s\" is not a file name"), reading->path, name);
    return 0;
}

static int signing_key_take(struct reading *reading, struct casebus_error *err)
{
    struct enrolment *enrolment = reading->enrolment;
    char path[PATH_MAX];
    if (key_path(reading, "signing_key", path, err) != 0 ||
        signing_key_load(&enrolment->key, enrolment->suite, path, err) != 0)
        return -1;
    public_key_id(signing_key_public(enrolment->key), enrolment->key_id);
    return 0;
}

static bool curve_key_valid(const char *text)
{
    uint8_t key[CURVE_KEY_SIZE];
    bool good = strlen(text) == CURVE_Z85_MAX - 1 && zmq_z85_decode(key, text);
    secret_clear(key, sizeof key);
    return good;
}

static int curve_key_take(struct reading *reading, struct casebus_error *err)
{
    struct enrolment *enrolment = reading->enrolment;
    uint8_t text[SECRET_FILE_MAX];
    size_t size;
    char path[PATH_MAX];
    if (key_path(reading, "curve_key", path, err) != 0 || secret_file_load(path, text, &size, err) != 0)
        return -1;
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    if (size == CURVE_Z85_MAX - 1)
        memcpy(enrolment->curve_secret, text, size);
    secret_clear(text, sizeof text);
    if (curve_key_valid(enrolment->curve_secret) &&
        zmq_curve_public(enrolment->curve_public, enrolment->curve_secret) == 0)
        return 0;
    return error_set(err, CASEBUS_KEY, _("'%s' does not hold a CURVE key"), path);
}

static int hub_key_take(struct reading *reading, struct casebus_error *err)
{
    char *key = reading->enrolment->hub_curve_key;
    if (text_take(reading, "hub_curve_key", key, CURVE_Z85_MAX, err) != 0)
        return -1;
    return curve_key_valid(key) ? 0
                                : error_set(err, CASEBUS_CONFIG,
                                            _("'%s': \"hub_curve_key\" is not a CURVE key"), reading->path);
}

static bool curve_key_is(const char *text, const uint8_t key[CURVE_KEY_SIZE])
{
    uint8_t decoded[CURVE_KEY_SIZE];
    return zmq_z85_decode(decoded, text) && memcmp(decoded, key, CURVE_KEY_SIZE) == 0;
}

/* That the certificate binds together what stands in the directory: NULL, or why not. */
static const char *certificate_fault(const struct enrolment *enrolment, const struct certificate_info *info)
{
    if (strcmp(info->node, enrolment->node) != 0)
        return _("the certificate is for another node");
    /* A node that its restored hub did not know any more was certified again, by a later generation. */
    if (!origin_valid(info->origin) || !origin_follows(info->origin, enrolment->origin))
        return _("the certificate is for another hub");
    if (!public_key_equal(&info->key, signing_key_public(enrolment->key)))
        return _("the certificate is for another signing key");
    if (!curve_key_is(enrolment->curve_public, info->curve_key))
        return _("the certificate is for another CURVE key");
    return NULL;
}

static int certificate_compare(struct reading *reading, const struct certificate_info *info,
                               struct casebus_error *err)
{
    const char *why = certificate_fault(reading->enrolment, info);
    if (!why)
        return 0;
    error_set(err, CASEBUS_CERTIFICATE, "'%s': %s", reading->path, why);
    return error_hint(err, _("the files of one node belong together; enrol the node again at the hub"));
}

static int validity_check(struct reading *reading, const struct certificate_info *info, int64_t now,
                          struct casebus_error *err)
{
    char day[32] = "";
    struct tm tm;
    bool ended = now > info->not_after;
    time_t when = (time_t)(ended ? info->not_after : info->not_before);
    if (now >= info->not_before && !ended)
        return 0;
    if (gmtime_r(&when, &tm))
        strftime(day, sizeof day, "%Y-%m-%d %H:%M:%SZ", &tm);
    if (ended) {
        error_set(err, CASEBUS_CERTIFICATE, _("'%s': the certificate of '%s' ended %s"), reading->path,
                  info->node, day);
        return error_hint(err, _("enrol the node again at the hub"));
    }
    error_set(err, CASEBUS_CERTIFICATE, _("'%s': the certificate of '%s' begins %s"), reading->path,
              info->node, day);
    return error_hint(err, _("check the clock of this computer"));
}

/* The certificate is by the authority of the file, or by one that took its place. */
struct issuing {
    struct bytes certificate;
    struct certificate_info info;
    struct casebus_error err;
    bool found;
};

static void issuer_try(void *self, struct bytes authority)
{
    struct issuing *issuing = self;
    if (!issuing->found)
        issuing->found =
            certificate_check(issuing->certificate, authority, 0, &issuing->info, &issuing->err) == 0;
}

static int certificate_take(struct reading *reading, int64_t now, struct casebus_error *err)
{
    struct enrolment *enrolment = reading->enrolment;
    if (pem_take(reading, "authority", enrolment->authority, &enrolment->authority_size, err) != 0 ||
        pem_take(reading, "certificate", reading->certificate, &reading->certificate_size, err) != 0)
        return -1;
    struct issuing issuing = {.certificate = bytes_of(reading->certificate, reading->certificate_size)};
    succession_init(&enrolment->succession, bytes_of(enrolment->authority, enrolment->authority_size));
    if (enrolment_file_succession(reading->json, &enrolment->succession, enrolment->origin, issuer_try,
                                  &issuing, err) != 0)
        return -1;
    if (!issuing.found) {
        if (err)
            *err = issuing.err;
        return error_context(err, "'%s', \"certificate\"", reading->path);
    }
    if (validity_check(reading, &issuing.info, now, err) != 0)
        return -1;
    enrolment->certificate_ends = issuing.info.not_after;
    snprintf(enrolment->department, sizeof enrolment->department, "%s", issuing.info.department);
    snprintf(enrolment->area, sizeof enrolment->area, "%s", issuing.info.area);
    return certificate_compare(reading, &issuing.info, err);
}

int enrolment_load(struct enrolment *enrolment, const char *dir, int64_t now, struct casebus_error *err)
{
    struct reading reading = {.enrolment = enrolment, .dir = dir};
    *enrolment = (struct enrolment){0};
    if (path_join(reading.path, sizeof reading.path, dir, "enrolment.json") != 0)
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%.100s...' is too long"), dir);
    int r = json_read(&reading, err);
    if (r == 0 && (format_check(&reading, err) != 0 || names_take(&reading, err) != 0 ||
                   log_key_take(&reading, err) != 0 || hub_key_take(&reading, err) != 0 ||
                   signing_key_take(&reading, err) != 0 || curve_key_take(&reading, err) != 0 ||
                   certificate_take(&reading, now, err) != 0))
        r = -1;
    json_decref(reading.json);
    return r;
}

int enrolment_renew(struct enrolment *enrolment, const char *dir, struct bytes certificate,
                    struct casebus_error *err)
{
    struct certificate_info info;
    if (certificate_check(certificate, succession_authority(&enrolment->succession), 0, &info, err) != 0)
        return -1;
    const char *why = certificate_fault(enrolment, &info);
    if (!why &&
        (strcmp(info.department, enrolment->department) != 0 || strcmp(info.area, enrolment->area) != 0))
        why = _("the certificate is for another department or area");
    if (!why && info.not_after <= enrolment->certificate_ends)
        why = _("the certificate does not end later than the one before");
    if (why)
        return error_set(err, CASEBUS_CERTIFICATE, "%s", why);
    if (enrolment_file_renew(dir, certificate, err) != 0)
        return -1;
    enrolment->certificate_ends = info.not_after;
    return 0;
}

int enrolment_follow(struct enrolment *enrolment, const char *dir, const Casebus__V1__HubKeysChanged *change,
                     struct casebus_error *err)
{
    struct succession next = enrolment->succession;
    int r = succession_add(&next, enrolment->origin, change, err);
    if (r > 0 && enrolment_file_follow(dir, change, enrolment->hub_curve_tried, err) != 0)
        return -1;
    if (r > 0) {
        enrolment->succession = next;
        if (enrolment->hub_curve_tried[0])
            strcpy(enrolment->hub_curve_key, enrolment->hub_curve_tried);
    }
    return r;
}

/* ---- which of the hub's keys is tried ---- */

struct candidates {
    char keys[3][CURVE_Z85_MAX];
    unsigned n;
};

static void candidate_add(struct candidates *candidates, const char *key)
{
    for (unsigned i = 0; i < candidates->n; i++)
        if (strcmp(candidates->keys[i], key) == 0)
            return;
    strcpy(candidates->keys[candidates->n++], key);
}

/* A restored hub may have forgotten the newest word but one, and may have the key of before it: so the key
 * over which the newest word came is not forgotten until there is another word. */
void enrolment_choose_key(struct enrolment *enrolment, unsigned turn, int64_t now_us)
{
    const struct succession *succession = &enrolment->succession;
    struct candidates candidates = {.n = 0};
    char newest[CURVE_Z85_MAX], before[CURVE_Z85_MAX];
    zmq_z85_encode(newest, succession->curve_key, CURVE_KEY_SIZE);
    zmq_z85_encode(before, succession->curve_before, CURVE_KEY_SIZE);
    if (succession->number > 0 && now_us >= succession->curve_from_us)
        candidate_add(&candidates, newest);
    candidate_add(&candidates, enrolment->hub_curve_key);
    if (succession->number > 0)
        candidate_add(&candidates, newest);
    if (succession->has_before)
        candidate_add(&candidates, before);
    strcpy(enrolment->hub_curve_tried, candidates.keys[turn % candidates.n]);
}

void enrolment_deinit(struct enrolment *enrolment)
{
    note_verifier_deinit(&enrolment->log);
    signing_key_free(enrolment->key);
    secret_clear(enrolment->curve_secret, sizeof enrolment->curve_secret);
    *enrolment = (struct enrolment){0};
}
