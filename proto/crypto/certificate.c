/* Certificates: a narrow profile of X.509 v3, written and read by this file alone.
 *
 * What is read has to be exactly what certificate_issue writes: these names, these extensions, nothing else.
 * A field that this code does not know would be a promise that it does not keep, so it is refused and named.
 */
#include "proto/crypto/certificate.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/algorithms.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ORIGIN_URI "casebus:origin:"
#define CURVE_URI  "casebus:curve:"

#define SERIAL_SIZE 16
#define PEM_MAX     (4 * CERTIFICATE_MAX)
#define DAY_S       86400

/* --- names --------------------------------------------------------------------------------------------- */

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool node_name_valid(const char *name)
{
    size_t size = strnlen(name, NODE_NAME_MAX);

    if (size == 0 || size >= NODE_NAME_MAX || !is_lower_or_digit(name[0]))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_lower_or_digit(name[i]) && name[i] != '.' && name[i] != '-')
            return false;
    return true;
}

/* [a-z0-9-]+, neither beginning nor ending with a hyphen, as a label of a DNS name; a path segment too. */
static bool label_valid(const char *label, size_t size)
{
    if (size == 0 || size > 63 || label[0] == '-' || label[size - 1] == '-')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_lower_or_digit(label[i]) && label[i] != '-')
            return false;
    return true;
}

static bool host_valid(const char *host, size_t size)
{
    const char *end = host + size;

    for (;;) {
        const char *dot = memchr(host, '.', (size_t)(end - host));
        if (!label_valid(host, (size_t)((dot ? dot : end) - host)))
            return false;
        if (!dot)
            return true;
        host = dot + 1;
    }
}

static bool generation_valid(const char *text)
{
    size_t size = strlen(text);

    return size >= 1 && size <= 9 && text[0] != '0' && strspn(text, "0123456789") == size;
}

bool origin_valid(const char *origin)
{
    const char *slash = strchr(origin, '/');

    if (strnlen(origin, ORIGIN_MAX) >= ORIGIN_MAX || !slash || !host_valid(origin, (size_t)(slash - origin)))
        return false;
    for (;;) {
        const char *segment = slash + 1;
        slash = strchr(segment, '/');
        if (!slash)
            return generation_valid(segment);
        if (!label_valid(segment, (size_t)(slash - segment)))
            return false;
    }
}

/* Where the generation's number begins in a valid origin. */
static size_t name_size(const char *origin)
{
    return (size_t)(strrchr(origin, '/') + 1 - origin);
}

/* What was signed by a hub is no valid origin for that: the names are looked at here, not by who asks. */
bool origin_follows(const char *later, const char *earlier)
{
    if (!origin_valid(later) || !origin_valid(earlier))
        return false;
    size_t size = name_size(earlier);
    return name_size(later) == size && memcmp(later, earlier, size) == 0 &&
           strtoul(later + size, NULL, 10) >= strtoul(earlier + size, NULL, 10);
}

bool origin_next(char next[], size_t size, const char *origin)
{
    size_t name = name_size(origin);
    int n = snprintf(next, size, "%.*s%lu", (int)name, origin, strtoul(origin + name, NULL, 10) + 1);
    return n > 0 && (size_t)n < size && origin_valid(next);
}

static bool area_valid(const char *area)
{
    return strnlen(area, 7) == 6 && strspn(area, "0123456789") == 6;
}

/* Text for people inside a name: UTF-8 without control characters. */
static bool department_valid(const char *text)
{
    size_t size = strnlen(text, sizeof((struct certificate_info *)0)->department);

    if (size == 0 || size >= sizeof((struct certificate_info *)0)->department || !utf8_valid(text, size))
        return false;
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static int openssl_failed(struct casebus_error *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    error_set(err, CASEBUS_CERTIFICATE, _("OpenSSL could not make the certificate: %s"),
              reason ? reason : _("no reason given"));
    ERR_clear_error();
    return -1;
}

/* 16 random bytes, positive and without leading zero, so that every serial has the same length. */
static bool set_serial(X509 *cert)
{
    uint8_t serial[SERIAL_SIZE];

    random_bytes(serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

static bool set_validity(X509 *cert, int64_t not_before, int64_t not_after)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after);
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)text, -1, -1, 0) == 1;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* Both places that name the algorithm; it has no parameters. */
static bool set_algorithm(X509 *cert, int nid)
{
    const X509_ALGOR *outer = NULL;

    X509_get0_signature(NULL, &outer, cert);
    return X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)X509_get0_tbs_sigalg(cert), OBJ_nid2obj(nid),
                           V_ASN1_UNDEF, NULL) == 1 &&
           X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)outer, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL) == 1;
}

/* All bits count: without the flag, zeros at the end would be dropped. */
static bool set_signature(X509 *cert, const struct signing *signing, const uint8_t raw[SIGNATURE_SIZE])
{
    const ASN1_BIT_STRING *found = NULL;
    uint8_t encoded[SIGNATURE_DER_MAX];
    size_t size = signing->encode(encoded, raw);

    X509_get0_signature(&found, NULL, cert);
    ASN1_BIT_STRING *bits = (ASN1_BIT_STRING *)(uintptr_t)found;
    if (!size || ASN1_STRING_set(bits, encoded, (int)size) != 1)
        return false;
    bits->flags = (bits->flags & ~(ASN1_STRING_FLAG_BITS_LEFT | 7)) | ASN1_STRING_FLAG_BITS_LEFT;
    return true;
}

/* Signs @cert and writes its DER. OpenSSL signs certificates by keys of its own only; a key may be held by a
 * token, so what is to be signed is written out, and the signature put in. */
static int sign_out(X509 *cert, const struct signing_key *key, uint8_t *out, size_t *sizep,
                    struct casebus_error *err)
{
    const struct signing *signing = suite_get(signing_key_public(key)->suite)->signing;
    uint8_t signature[SIGNATURE_SIZE];
    uint8_t *tbs = NULL;

    int size = set_algorithm(cert, signing->certificate_nid) ? i2d_re_X509_tbs(cert, &tbs) : 0;
    if (size <= 0)
        return openssl_failed(err);
    int r = signing_key_sign(key, bytes_of(tbs, (size_t)size), signature, err);
    OPENSSL_free(tbs);
    if (r != 0)
        return -1;
    size = set_signature(cert, signing, signature) ? i2d_X509(cert, NULL) : 0;
    if (size <= 0 || size > CERTIFICATE_MAX)
        return openssl_failed(err);
    *sizep = (size_t)i2d_X509(cert, &out);
    return 0;
}

static bool authority_fill(X509 *cert, const struct signing_key *key, const char *origin, unsigned days,
                           int64_t now)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && add_name(name, "CN", origin) &&
           X509_set_issuer_name(cert, name) && set_validity(cert, now, now + (int64_t)days * DAY_S) &&
           X509_set_pubkey(cert, signing_key_pkey(key)) &&
           add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, cert, NID_key_usage, "critical,keyCertSign") &&
           add_extension(cert, cert, NID_subject_key_identifier, "hash");
}

int authority_make(const struct signing_key *key, const char *origin, unsigned days, int64_t now,
                   uint8_t *out, size_t *sizep, struct casebus_error *err)
{
    if (!origin_valid(origin)) {
        error_set(err, CASEBUS_ARGUMENT, _("'%s' is not usable as an origin"), origin);
        return error_hint(err, _("Use a host name, path segments and a generation number, such as "
                                 "js.example/exchange/1 (at most 64 characters)."));
    }
    if (days == 0)
        return error_set(err, CASEBUS_ARGUMENT, _("an authority has to be valid for at least one day"));

    X509 *cert = X509_new();
    int r = cert && authority_fill(cert, key, origin, days, now) ? sign_out(cert, key, out, sizep, err)
                                                                 : openssl_failed(err);
    X509_free(cert);
    return r;
}

/* --- reading ------------------------------------------------------------------------------------------- */

static int refuse(struct casebus_error *err, const char *what)
{
    ERR_clear_error();
    return error_set(err, CASEBUS_CERTIFICATE, "%s", what);
}

/* Nobody needs them, and programs read them in different ways. */
static bool has_unique_ids(const X509 *cert)
{
    const ASN1_BIT_STRING *issuer = NULL, *subject = NULL;
    X509_get0_uids(cert, &issuer, &subject);
    return issuer || subject;
}

/* Returns NULL with @err. Only the one encoding that DER allows is taken. */
static X509 *parse(struct bytes der, struct casebus_error *err)
{
    const uint8_t *p = der.data;
    uint8_t again[CERTIFICATE_MAX];
    uint8_t *q = again;

    if (der.size == 0 || der.size > CERTIFICATE_MAX) {
        error_set(err, CASEBUS_CERTIFICATE, _("the certificate has %zu bytes; 1 to %d are allowed"), der.size,
                  CERTIFICATE_MAX);
        return NULL;
    }
    X509 *cert = d2i_X509(NULL, &p, (long)der.size);
    if (!cert) {
        refuse(err, _("the certificate is not well-formed DER"));
        return NULL;
    }
    i2d_re_X509_tbs(cert, NULL); /* else i2d_X509 repeats the bytes that it was given */
    if (p != der.data + der.size || i2d_X509(cert, NULL) != (int)der.size || i2d_X509(cert, &q) <= 0 ||
        memcmp(again, der.data, der.size) != 0)
        refuse(err, _("the certificate has bytes behind its end or is not in DER"));
    else if (X509_get_version(cert) != X509_VERSION_3)
        refuse(err, _("the certificate is not of X.509 version 3"));
    else if (has_unique_ids(cert))
        refuse(err, _("the certificate is not well-formed DER"));
    else
        return cert;
    X509_free(cert);
    return NULL;
}

/* The text of the only entry of kind @nid; false when there is none, several, or it does not fit @size. */
static bool name_text(const X509_NAME *name, int nid, char *out, size_t size)
{
    int i = X509_NAME_get_index_by_NID(name, nid, -1);
    unsigned char *text = NULL;

    if (i < 0 || X509_NAME_get_index_by_NID(name, nid, i) >= 0)
        return false;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
    if (ASN1_STRING_type(value) != V_ASN1_UTF8STRING) /* of the others programs read different things */
        return false;
    int n = ASN1_STRING_to_UTF8(&text, value);
    bool ok = n > 0 && (size_t)n < size && utf8_valid(text, (size_t)n);
    if (ok) {
        memcpy(out, text, (size_t)n);
        out[n] = '\0';
    }
    OPENSSL_free(text);
    return ok;
}

/* Byte for byte: X509_NAME_cmp does not tell upper from lower case. */
static bool names_equal(const X509_NAME *a, const X509_NAME *b)
{
    const unsigned char *x, *y;
    size_t n_x, n_y;
    return X509_NAME_get0_der(a, &x, &n_x) == 1 && X509_NAME_get0_der(b, &y, &n_y) == 1 && n_x == n_y &&
           memcmp(x, y, n_x) == 0;
}

/* Whether the name is written as this one is: CN, then O and L unless they are NULL. */
static bool name_is(const X509_NAME *name, const char *cn, const char *o, const char *l)
{
    X509_NAME *made = X509_NAME_new();
    bool ok = made && add_name(made, "CN", cn) && (!o || add_name(made, "O", o)) &&
              (!l || add_name(made, "L", l)) && names_equal(name, made);
    X509_NAME_free(made);
    return ok;
}

/* Whether the extension is written as DER allows, what is inside of it too: X509's own decoder is lenient
 * there, and other programs are not. */
static bool extension_is_der(X509_EXTENSION *extension)
{
    unsigned char *given = NULL, *again = NULL;
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
    void *value = X509V3_EXT_d2i(extension);
    X509_EXTENSION *made = value ? X509V3_EXT_i2d(nid, X509_EXTENSION_get_critical(extension), value) : NULL;
    int n_given = made ? i2d_X509_EXTENSION(extension, &given) : -1;
    int n_again = made ? i2d_X509_EXTENSION(made, &again) : -1;
    bool ok = n_given > 0 && n_given == n_again && memcmp(given, again, (size_t)n_given) == 0;

    OPENSSL_free(given);
    OPENSSL_free(again);
    X509_EXTENSION_free(made);
    if (value)
        ASN1_item_free(value, ASN1_ITEM_ptr(X509V3_EXT_get_nid(nid)->it));
    return ok;
}

/* Each of @nids once, and nothing else. */
static int check_extensions(const X509 *cert, const int *nids, int n_nids, struct casebus_error *err)
{
    for (int i = 0; i < X509_get_ext_count(cert); i++) {
        const ASN1_OBJECT *object = X509_EXTENSION_get_object(X509_get_ext(cert, i));
        int nid = OBJ_obj2nid(object);
        char text[80];
        int known = 0;

        for (int k = 0; k < n_nids; k++)
            known |= nids[k] == nid;
        if (known && !extension_is_der(X509_get_ext(cert, i)))
            return refuse(err, _("the certificate is not well-formed DER"));
        if (known)
            continue;
        OBJ_obj2txt(text, sizeof text, object, 0);
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("the certificate has an extension that is not allowed: %s"), text);
    }
    for (int k = 0; k < n_nids; k++) {
        int i = X509_get_ext_by_NID(cert, nids[k], -1);
        if (i < 0 || X509_get_ext_by_NID(cert, nids[k], i) >= 0)
            return error_set(err, CASEBUS_CERTIFICATE,
                             _("the certificate does not have the extension %s exactly once"),
                             OBJ_nid2sn(nids[k]));
    }
    return 0;
}

static bool is_critical(const X509 *cert, int nid)
{
    return X509_EXTENSION_get_critical(X509_get_ext(cert, X509_get_ext_by_NID(cert, nid, -1))) == 1;
}

static bool constraints_are(const X509 *cert, bool authority)
{
    BASIC_CONSTRAINTS *constraints = X509_get_ext_d2i(cert, NID_basic_constraints, NULL, NULL);
    bool ok = constraints && is_critical(cert, NID_basic_constraints) &&
              (constraints->ca != 0) == authority && (constraints->pathlen != NULL) == authority &&
              (!authority || ASN1_INTEGER_get(constraints->pathlen) == 0);

    BASIC_CONSTRAINTS_free(constraints);
    return ok;
}

/* The id of a key and nothing more. */
static bool names_issuers_key(const X509 *cert)
{
    AUTHORITY_KEYID *id = X509_get_ext_d2i(cert, NID_authority_key_identifier, NULL, NULL);
    bool ok = id && id->keyid && !id->issuer && !id->serial;

    AUTHORITY_KEYID_free(id);
    return ok;
}

/* X509_get_key_usage would take a missing extension for every usage; check_extensions made sure of it. */
static bool usage_is(X509 *cert, uint32_t usage)
{
    return is_critical(cert, NID_key_usage) && X509_get_key_usage(cert) == usage;
}

static bool times_of(const X509 *cert, int64_t *not_before, int64_t *not_after)
{
    struct tm from;
    struct tm to;

    if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to) != 1)
        return false;
    *not_before = timegm(&from);
    *not_after = timegm(&to);
    return *not_before <= *not_after;
}

bool certificate_times(struct bytes certificate, int64_t *not_before, int64_t *not_after)
{
    const uint8_t *der = certificate.data;
    X509 *cert = certificate.size <= CERTIFICATE_MAX ? d2i_X509(NULL, &der, (long)certificate.size) : NULL;
    bool read = cert && times_of(cert, not_before, not_after);
    X509_free(cert);
    ERR_clear_error();
    return read;
}

int64_t certificate_days_left(int64_t not_after, int64_t now)
{
    int64_t left = not_after - now;
    return left < 0 ? -1 - (-left - 1) / 86400 : left / 86400;
}

static void date_format(char out[24], int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 24, "?");
}

static int check_time(const char *who, int64_t not_before, int64_t not_after, int64_t at,
                      struct casebus_error *err)
{
    char date[24];

    if (at != 0 && at < not_before) {
        date_format(date, not_before);
        error_set(err, CASEBUS_CERTIFICATE, _("the certificate of '%s' is not valid before %s"), who, date);
        return error_hint(err, _("Check the clock of this machine."));
    }
    if (at != 0 && at > not_after) {
        date_format(date, not_after);
        return error_set(err, CASEBUS_CERTIFICATE, _("the certificate of '%s' ended %s"), who, date);
    }
    return 0;
}

/* X509_verify signs along what the certificate object is told, and what it is not told not. */
static bool tell_id(X509 *cert, const char *id)
{
    ASN1_OCTET_STRING *told = id ? ASN1_OCTET_STRING_new() : NULL;

    if (told && ASN1_OCTET_STRING_set(told, (const uint8_t *)id, (int)strlen(id)) != 1) {
        ASN1_OCTET_STRING_free(told);
        return false;
    }
    if (told)
        X509_set0_distinguishing_id(cert, told);
    return told || !id;
}

/* The algorithm is the one that @authority_key's suite signs with, and the signature holds. */
static bool signature_holds(X509 *cert, EVP_PKEY *authority_key)
{
    const struct suite *suite = suite_of_key(authority_key);
    const X509_ALGOR *algorithm;
    int type;

    if (!suite || X509_get_signature_nid(cert) != suite->signing->certificate_nid)
        return false;
    X509_get0_signature(NULL, &algorithm, cert);
    X509_ALGOR_get0(NULL, &type, NULL, algorithm);
    bool ok = type == V_ASN1_UNDEF /* RFC 8410: no parameters; SM2's are written without, too */ &&
              tell_id(cert, suite->signing->distinguishing_id) && X509_verify(cert, authority_key) == 1;
    ERR_clear_error();
    return ok;
}

/* An authority's certificate that was parsed and found to be one. */
struct authority {
    X509 *cert;
    EVP_PKEY *pkey; /* of @cert */
    char origin[ORIGIN_MAX];
    int64_t not_before;
    int64_t not_after;
};

static void authority_deinit(struct authority *authority)
{
    X509_free(authority->cert);
}

static int authority_examine(struct authority *authority, struct casebus_error *err)
{
    static const int nids[] = {NID_basic_constraints, NID_key_usage, NID_subject_key_identifier};
    X509 *cert = authority->cert;
    const X509_NAME *subject = X509_get_subject_name(cert);
    struct public_key key;

    if (X509_NAME_entry_count(subject) != 1 ||
        !name_text(subject, NID_commonName, authority->origin, sizeof authority->origin) ||
        !origin_valid(authority->origin) || !name_is(subject, authority->origin, NULL, NULL))
        return refuse(err, _("its subject is not an origin"));
    if (!names_equal(subject, X509_get_issuer_name(cert)))
        return refuse(err, _("it was not issued by itself"));
    if (check_extensions(cert, nids, 3, err) != 0)
        return -1;
    if (!constraints_are(cert, true) || !usage_is(cert, KU_KEY_CERT_SIGN))
        return refuse(err, _("it is not an authority's (CA:TRUE, pathlen:0, keyCertSign)"));
    if (!authority->pkey || !public_key_from(&key, authority->pkey))
        return refuse(err, _("its key is not usable"));
    if (!signature_holds(cert, authority->pkey))
        return refuse(err, _("its signature does not hold"));
    if (!times_of(cert, &authority->not_before, &authority->not_after))
        return refuse(err, _("its times are not usable"));
    return 0;
}

static int authority_init(struct authority *authority, struct bytes der, struct casebus_error *err)
{
    *authority = (struct authority){.cert = parse(der, err)};
    if (authority->cert) {
        authority->pkey = X509_get0_pubkey(authority->cert);
        if (authority_examine(authority, err) == 0)
            return 0;
        authority_deinit(authority);
    }
    return error_context(err, "%s", _("the authority's certificate"));
}

static bool key_is(const struct authority *authority, const struct public_key *key)
{
    struct public_key public;
    return public_key_from(&public, authority->pkey) && public_key_equal(&public, key);
}

int authority_sound(struct bytes der, const struct public_key *key, struct casebus_error *err)
{
    struct authority authority;
    if (authority_init(&authority, der, err))
        return -1;
    bool fits = !key || key_is(&authority, key);
    authority_deinit(&authority);
    return fits ? 0
                : error_set(err, CASEBUS_KEY, _("the authority's key does not belong to its certificate"));
}

/* @uri behind @prefix goes to @out. */
static bool uri_read(const GENERAL_NAME *name, const char *prefix, char *out, size_t size)
{
    if (name->type != GEN_URI)
        return false;
    const uint8_t *data = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
    size_t n = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
    size_t skip = strlen(prefix);

    if (n <= skip || memcmp(data, prefix, skip) != 0 || n - skip >= size || memchr(data, '\0', n))
        return false;
    memcpy(out, data + skip, n - skip);
    out[n - skip] = '\0';
    return true;
}

/* Exactly two URIs, in the order in which they are written. */
static int read_uris(const X509 *cert, struct certificate_info *info, struct casebus_error *err)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char curve[2 * CURVE_KEY_SIZE + 1];
    char lower[2 * CURVE_KEY_SIZE + 1];
    int r = 0;

    if (!names || sk_GENERAL_NAME_num(names) != 2)
        r = refuse(err, _("the certificate does not have exactly two alternative names"));
    else if (!uri_read(sk_GENERAL_NAME_value(names, 0), ORIGIN_URI, info->origin, sizeof info->origin))
        r = refuse(err, _("the certificate's first alternative name is not casebus:origin:ORIGIN"));
    else if (!uri_read(sk_GENERAL_NAME_value(names, 1), CURVE_URI, curve, sizeof curve) ||
             !hex_decode(info->curve_key, sizeof info->curve_key, curve) ||
             strcmp(hex_encode(lower, info->curve_key, sizeof info->curve_key), curve) != 0)
        r = refuse(err, _("the certificate's second alternative name is not casebus:curve:HEX64"));
    GENERAL_NAMES_free(names);
    return r;
}

static int read_subject(const X509 *cert, struct certificate_info *info, struct casebus_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(cert);

    if (X509_NAME_entry_count(subject) != 3)
        return refuse(err, _("the certificate's subject does not have exactly CN, O and L"));
    if (!name_text(subject, NID_commonName, info->node, sizeof info->node) || !node_name_valid(info->node))
        return refuse(err, _("the certificate's CN is not a node's name"));
    if (!name_text(subject, NID_organizationName, info->department, sizeof info->department) ||
        !department_valid(info->department))
        return refuse(err, _("the certificate's O is not a department"));
    if (!name_text(subject, NID_localityName, info->area, sizeof info->area) || !area_valid(info->area))
        return refuse(err, _("the certificate's L is not an area of six digits"));
    if (!name_is(subject, info->node, info->department, info->area))
        return refuse(err, _("the certificate's subject does not have exactly CN, O and L"));
    return 0;
}

static int read_serial(const X509 *cert, struct certificate_info *info, struct casebus_error *err)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int size = ASN1_STRING_length(serial);

    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || size != SERIAL_SIZE)
        return refuse(err, _("the certificate's serial number is not a positive one of 16 bytes"));
    memcpy(info->serial, ASN1_STRING_get0_data(serial), SERIAL_SIZE);
    return 0;
}

static int read_form(X509 *cert, struct certificate_info *info, struct casebus_error *err)
{
    static const int nids[] = {NID_basic_constraints, NID_key_usage, NID_subject_alt_name,
                               NID_subject_key_identifier, NID_authority_key_identifier};
    const EVP_PKEY *pkey = X509_get0_pubkey(cert);

    if (check_extensions(cert, nids, 5, err) != 0 || read_subject(cert, info, err) != 0 ||
        read_uris(cert, info, err) != 0 || read_serial(cert, info, err) != 0)
        return -1;
    if (!constraints_are(cert, false) || !usage_is(cert, KU_DIGITAL_SIGNATURE) || !names_issuers_key(cert))
        return refuse(err, _("the certificate is not a node's (CA:FALSE, digitalSignature)"));
    if (!pkey || !public_key_from(&info->key, pkey))
        return refuse(err, _("the certificate's key is not usable"));
    if (!times_of(cert, &info->not_before, &info->not_after))
        return refuse(err, _("the certificate's times are not usable"));
    return 0;
}

static int check_against(X509 *cert, const struct authority *authority, int64_t at,
                         struct certificate_info *info, struct casebus_error *err)
{
    if (!names_equal(X509_get_issuer_name(cert), X509_get_subject_name(authority->cert)) ||
        !signature_holds(cert, authority->pkey))
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("the certificate was not signed by the authority of '%s'"), authority->origin);
    if (read_form(cert, info, err) != 0)
        return -1;
    if (!origin_follows(info->origin, authority->origin))
        return error_set(err, CASEBUS_CERTIFICATE,
                         _("the certificate of '%s' is for the hub '%.*s', not for '%s'"), info->node,
                         ORIGIN_MAX, info->origin, authority->origin);
    if (info->key.suite != suite_of_key(authority->pkey)->id)
        return error_set(err, CASEBUS_CERTIFICATE, _("the certificate of '%s' has a key of another suite"),
                         info->node);
    if (check_time(authority->origin, authority->not_before, authority->not_after, at, err) != 0)
        return -1;
    return check_time(info->node, info->not_before, info->not_after, at, err);
}

int certificate_check(struct bytes certificate, struct bytes authority_der, int64_t at,
                      struct certificate_info *info, struct casebus_error *err)
{
    struct authority authority;
    int r = -1;

    *info = (struct certificate_info){0};
    if (authority_init(&authority, authority_der, err) != 0)
        return -1;
    X509 *cert = parse(certificate, err);
    if (cert)
        r = check_against(cert, &authority, at, info, err);
    X509_free(cert);
    authority_deinit(&authority);
    if (r != 0)
        *info = (struct certificate_info){0};
    return r;
}

bool authority_signed(struct bytes authority_der, struct bytes message,
                      const uint8_t signature[SIGNATURE_SIZE])
{
    struct authority authority;
    struct public_key key;

    if (authority_init(&authority, authority_der, NULL) != 0)
        return false;
    struct verifier *verifier = public_key_from(&key, authority.pkey) ? verifier_new(&key) : NULL;
    bool good = verifier && verifier_check(verifier, message, signature);
    verifier_free(verifier);
    authority_deinit(&authority);
    return good;
}

/* --- issuing ------------------------------------------------------------------------------------------- */

static int check_request(const struct certificate_info *info, const struct authority *authority,
                         const struct signing_key *key, struct casebus_error *err)
{
    if (!key_is(authority, signing_key_public(key)))
        return error_set(err, CASEBUS_KEY, _("the authority's key does not belong to its certificate"));
    if (!node_name_valid(info->node)) {
        error_set(err, CASEBUS_ARGUMENT, _("'%.*s' is not usable as a node's name"), NODE_NAME_MAX,
                  info->node);
        return error_hint(err, _("Use lower-case letters, digits, dots and hyphens, at most 63 characters."));
    }
    if (!department_valid(info->department))
        return error_set(err, CASEBUS_ARGUMENT,
                         _("node '%s': its department is empty, too long or not UTF-8"), info->node);
    if (!area_valid(info->area))
        return error_set(err, CASEBUS_ARGUMENT, _("node '%s': its area has to have six digits"), info->node);
    if (!origin_valid(info->origin) || !origin_follows(info->origin, authority->origin))
        return error_set(err, CASEBUS_ARGUMENT, _("node '%s': the authority is the one of '%s'"), info->node,
                         authority->origin);
    if (info->not_before > info->not_after || info->not_before < authority->not_before ||
        info->not_after > authority->not_after)
        return error_set(err, CASEBUS_ARGUMENT, _("node '%s': the certificate would outlast its authority"),
                         info->node);
    return 0;
}

static bool add_uris(X509 *cert, X509 *authority, const struct certificate_info *info)
{
    char curve[2 * CURVE_KEY_SIZE + 1];
    char names[400];

    snprintf(names, sizeof names, "URI:" ORIGIN_URI "%s,URI:" CURVE_URI "%s", info->origin,
             hex_encode(curve, info->curve_key, sizeof info->curve_key));
    return add_extension(cert, authority, NID_subject_alt_name, names);
}

static bool certificate_fill(X509 *cert, const struct authority *authority,
                             const struct certificate_info *info, EVP_PKEY *pkey)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && add_name(name, "CN", info->node) &&
           add_name(name, "O", info->department) && add_name(name, "L", info->area) &&
           X509_set_issuer_name(cert, X509_get_subject_name(authority->cert)) &&
           set_validity(cert, info->not_before, info->not_after) && X509_set_pubkey(cert, pkey) &&
           add_extension(cert, authority->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, authority->cert, NID_key_usage, "critical,digitalSignature") &&
           add_uris(cert, authority->cert, info) &&
           add_extension(cert, authority->cert, NID_subject_key_identifier, "hash") &&
           add_extension(cert, authority->cert, NID_authority_key_identifier, "keyid:always");
}

static int issue(const struct signing_key *key, const struct authority *authority,
                 const struct certificate_info *info, uint8_t *out, size_t *sizep, struct casebus_error *err)
{
    const struct suite *suite = suite_get(info->key.suite);

    if (check_request(info, authority, key, err) != 0)
        return -1;
    if (!suite || suite != suite_of_key(authority->pkey) || info->key.size != suite->signing->public_size)
        return error_set(err, CASEBUS_KEY, _("node '%s': its key is of another suite than the authority's"),
                         info->node);
    EVP_PKEY *pkey = suite->signing->import(bytes_of(info->key.bytes, info->key.size));
    if (!pkey)
        return error_set(err, CASEBUS_KEY, _("node '%s': its public key is not usable"), info->node);

    X509 *cert = X509_new();
    int r = cert && certificate_fill(cert, authority, info, pkey) ? sign_out(cert, key, out, sizep, err)
                                                                  : openssl_failed(err);
    X509_free(cert);
    EVP_PKEY_free(pkey);
    return r;
}

int certificate_issue(const struct signing_key *authority_key, struct bytes authority_der,
                      const struct certificate_info *info, uint8_t *out, size_t *sizep,
                      struct casebus_error *err)
{
    struct authority authority;

    if (authority_init(&authority, authority_der, err) != 0)
        return -1;
    int r = issue(authority_key, &authority, info, out, sizep, err);
    authority_deinit(&authority);
    return r;
}

/* --- files --------------------------------------------------------------------------------------------- */

int certificate_to_pem(struct bytes certificate, struct buffer *pem, struct casebus_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    bool ok = bio && PEM_write_bio(bio, PEM_STRING_X509, "", certificate.data, (long)certificate.size) > 0;
    if (ok) {
        long size = BIO_get_mem_data(bio, &text);
        ok = buffer_printf(pem, "%.*s", (int)size, text);
    }
    BIO_free(bio);
    return ok ? 0 : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a certificate"));
}

int certificate_save(struct bytes certificate, const char *path, struct casebus_error *err)
{
    struct buffer pem;
    buffer_init(&pem, 2 * CERTIFICATE_MAX);
    int r = certificate_to_pem(certificate, &pem, err);
    if (r == 0)
        r = file_write(path, bytes_of(pem.data, pem.size), 0644, err);
    buffer_deinit(&pem);
    return r;
}

bool certificate_from_pem(struct bytes pem, uint8_t *out, size_t *sizep)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    char *name = NULL;
    char *header = NULL;
    unsigned char *data = NULL;
    long size = 0;
    bool ok = bio && PEM_read_bio(bio, &name, &header, &data, &size) == 1 &&
              strcmp(name, PEM_STRING_X509) == 0 && header[0] == '\0' && size > 0 && size <= CERTIFICATE_MAX;

    if (ok) {
        memcpy(out, data, (size_t)size);
        *sizep = (size_t)size;
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    BIO_free(bio);
    ERR_clear_error();
    return ok;
}

int certificate_load(const char *path, uint8_t *out, size_t *sizep, struct casebus_error *err)
{
    struct buffer pem = {0};
    int r = file_read(path, PEM_MAX, &pem, err);
    if (r == 0 && !certificate_from_pem(bytes_of(pem.data, pem.size), out, sizep))
        r = error_set(err, CASEBUS_CERTIFICATE,
                      _("the file '%s' holds no certificate (PEM, at most %d bytes of DER)"), path,
                      CERTIFICATE_MAX);
    buffer_deinit(&pem);
    return r;
}
