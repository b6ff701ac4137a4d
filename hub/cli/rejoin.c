/* The old enrolment is evidence: it has the certificate by which a generation of the hub, whose entries are
 * lost, had taken the node in. */
#include "hub/cli/rejoin.h"
#include "hub/cli/people.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/certificate.h"
#include "proto/merkle/note.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ENROLMENT_FILE_MAX (64 * 1024)

static int in_folder(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    return path_join(path, PATH_MAX, dir, name)
               ? error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir)
               : 0;
}

static const char *before(const struct rejoin *rejoin, const char *name)
{
    const char *text = get_text(rejoin->before, name);
    return text ? text : "";
}

static int read_before(struct rejoin *rejoin, const char *path, struct casebus_error *err)
{
    struct buffer text;
    json_error_t fault;
    int r = file_read(path, ENROLMENT_FILE_MAX, &text, err);
    if (r == 0)
        rejoin->before = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &fault);
    buffer_deinit(&text);
    if (r == 0 && !json_is_object(rejoin->before)) {
        error_set(err, CASEBUS_CONFIG, _("'%s' line %d is not JSON: %s"), path, fault.line,
                  rejoin->before ? _("no object") : fault.text);
        return error_hint(err, _("give another directory with --out"));
    }
    return r;
}

int rejoin_open(struct rejoin *rejoin, const char *dir, struct casebus_error *err)
{
    char path[PATH_MAX];
    *rejoin = (struct rejoin){.dir = dir};
    if (in_folder(path, dir, "enrolment.json", err))
        return -1;
    return access(path, F_OK) && errno == ENOENT ? 0 : read_before(rejoin, path, err);
}

void rejoin_close(struct rejoin *rejoin)
{
    json_decref(rejoin->before);
    *rejoin = (struct rejoin){.before = NULL};
}

/* ---- is it the same node, and the same hub? ---- */

static int other_node(const struct rejoin *rejoin, struct casebus_error *err)
{
    error_set(err, CASEBUS_EXISTS,
              _("'%s' holds a node already: '%s' of department '%s', area '%s', at '%s'"), rejoin->dir,
              before(rejoin, "node"), before(rejoin, "department"), before(rejoin, "area"),
              before(rejoin, "origin"));
    return error_hint(err, _("give another directory with --out; the same node joins its restored hub again "
                             "with the same words as the first time"));
}

static int other_hub(const struct rejoin *rejoin, const char *what, struct casebus_error *err)
{
    error_set(err, CASEBUS_HUB_IDENTITY, _("the node in '%s' belongs to another hub of the name '%s': %s"),
              rejoin->dir, before(rejoin, "origin"), what);
    return error_hint(err, _("a restored hub has the keys that it had before: casebus-hub restore --keys"));
}

/* Whether @vkey, a verifier key under the name @origin, has the key that the folder knows. */
static bool same_log(const struct rejoin *rejoin, const char *vkey)
{
    struct note_verifier known = {.verifier = NULL}, now = {.verifier = NULL};
    bool same = note_verifier_init(&known, before(rejoin, "log_key"), NULL) == 0 &&
                note_verifier_init(&now, vkey, NULL) == 0 && public_key_equal(&known.key, &now.key);
    note_verifier_deinit(&known);
    note_verifier_deinit(&now);
    return same;
}

int rejoin_check(const struct rejoin *rejoin, const struct rejoin_wanted *wanted, struct casebus_error *err)
{
    const char *origin = before(rejoin, "origin");
    if (strcmp(before(rejoin, "node"), wanted->node) != 0 ||
        strcmp(before(rejoin, "department"), wanted->department) != 0 ||
        strcmp(before(rejoin, "area"), wanted->area) != 0 || !origin_valid(origin) ||
        !origin_valid(wanted->origin) || !origin_follows(wanted->origin, origin))
        return other_node(rejoin, err);
    if (!wanted->log_key || !same_log(rejoin, wanted->log_key))
        return other_hub(rejoin, _("its log key is another one"), err);
    return 0;
}

/* ---- the new certificate ---- */

/* A certificate in PEM of the old enrolment as DER, which the caller frees; NULL with @err. */
static unsigned char *der_get(const struct rejoin *rejoin, const char *name, size_t *size,
                              struct casebus_error *err)
{
    char *kind = NULL, *header = NULL;
    unsigned char *der = NULL;
    long length = 0;
    BIO *bio = BIO_new_mem_buf(before(rejoin, name), -1);
    if (!bio || PEM_read_bio(bio, &kind, &header, &der, &length) != 1)
        error_set(err, CASEBUS_CERTIFICATE, _("'%s': \"%s\" is not a certificate in PEM"), rejoin->dir, name);
    OPENSSL_free(kind);
    OPENSSL_free(header);
    BIO_free(bio);
    *size = (size_t)length;
    return der;
}

/* The number of the generation that certified the node before. */
static int generation_of(const struct rejoin *rejoin, char number[16], struct casebus_error *err)
{
    size_t size = 0, authority_size = 0;
    struct certificate_info info;
    unsigned char *authority = der_get(rejoin, "authority", &authority_size, err);
    unsigned char *der = authority ? der_get(rejoin, "certificate", &size, err) : NULL;
    int r =
        der ? certificate_check(bytes_of(der, size), bytes_of(authority, authority_size), 0, &info, err) : -1;
    if (r == 0 && !origin_valid(info.origin))
        r = error_set(err, CASEBUS_CERTIFICATE, _("'%s' is not the origin of a hub"), info.origin);
    if (r == 0)
        snprintf(number, 16, "%.9s", strrchr(info.origin, '/') + 1);
    OPENSSL_free(der);
    OPENSSL_free(authority);
    return r;
}

static int keep_before(const struct rejoin *rejoin, struct casebus_error *err)
{
    char number[16], name[64], from[PATH_MAX], folder[PATH_MAX], to[PATH_MAX];
    struct buffer text;
    if (generation_of(rejoin, number, err))
        return -1;
    snprintf(name, sizeof name, "enrolment-generation-%s.json", number);
    if (in_folder(from, rejoin->dir, "enrolment.json", err) ||
        in_folder(folder, rejoin->dir, "evidence", err) || in_folder(to, folder, name, err) ||
        dir_make(folder, err))
        return -1;
    int r = file_read(from, ENROLMENT_FILE_MAX, &text, err);
    if (r == 0)
        r = file_write(to, bytes_of(text.data, text.size), 0600, err);
    buffer_deinit(&text);
    return r;
}

int rejoin_take(const struct rejoin *rejoin, json_t *answer, struct casebus_error *err)
{
    static const char *const new_ones[] = {"certificate", "hub_curve_key"};
    const char *certificate = get_text(answer, "certificate"), *authority = get_text(answer, "authority");
    if (!authority || strcmp(authority, before(rejoin, "authority")) != 0)
        return other_hub(rejoin, _("its authority is another one"), err);
    bool known = certificate && strcmp(certificate, before(rejoin, "certificate")) == 0;
    if (!known && keep_before(rejoin, err))
        return -1;
    json_t *made = json_deep_copy(rejoin->before);
    for (size_t i = 0; made && !known && i < sizeof new_ones / sizeof new_ones[0]; i++)
        json_object_set(made, new_ones[i], json_object_get(answer, new_ones[i]));
    int r = made && json_object_clear(answer) == 0 && json_object_update(answer, made) == 0
                ? 0
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory for an enrolment"));
    json_decref(made);
    return r ? -1 : !known;
}
