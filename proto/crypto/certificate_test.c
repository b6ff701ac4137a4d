/* Certificates: what is issued is read back, other software agrees, and everything else is refused by name.
 */
#include "proto/crypto/certificate.h"

#include "proto/base/files.h"
#include "proto/crypto/algorithms.h"

#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ORIGIN "js.example/exchange/1"
#define NOW    INT64_C(1795444714) /* 2026-11-23 */
#define DAY    86400

struct fixture {
    const struct suite *suite;
    struct signing_key *authority_key;
    struct signing_key *node_key;
    uint8_t authority[CERTIFICATE_MAX];
    size_t authority_size;
    uint8_t node[CERTIFICATE_MAX];
    size_t node_size;
    struct certificate_info info;
};

static struct bytes authority_of(const struct fixture *f)
{
    return bytes_of(f->authority, f->authority_size);
}

static struct bytes node_of(const struct fixture *f)
{
    return bytes_of(f->node, f->node_size);
}

static int setup_suite(void **state, enum suite_id id)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->suite = suite_get(id);
    assert_int_equal(signing_key_generate(&f->authority_key, f->suite, NULL), 0);
    assert_int_equal(signing_key_generate(&f->node_key, f->suite, NULL), 0);
    assert_int_equal(
        authority_make(f->authority_key, ORIGIN, 3650, NOW, f->authority, &f->authority_size, NULL), 0);
    f->info = (struct certificate_info){.node = "js-scj-01",
                                        .department = "江苏省市场监督管理局",
                                        .area = "320000",
                                        .origin = ORIGIN,
                                        .key = *signing_key_public(f->node_key),
                                        .not_before = NOW,
                                        .not_after = NOW + 365 * DAY};
    random_bytes(f->info.curve_key, sizeof f->info.curve_key);
    assert_int_equal(
        certificate_issue(f->authority_key, authority_of(f), &f->info, f->node, &f->node_size, NULL), 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_suite(state, SUITE_INTL);
}

static int setup_gm(void **state)
{
    return setup_suite(state, SUITE_GM);
}

static bool is_gm(const struct fixture *f)
{
    return f->suite == suite_get(SUITE_GM);
}

/* To OpenSSL: whose signature this is. */
static X509 *with_id(X509 *cert, const struct fixture *f)
{
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();

    ASN1_OCTET_STRING_set(id, (const uint8_t *)"1234567812345678", 16);
    if (is_gm(f))
        X509_set0_distinguishing_id(cert, id);
    else
        ASN1_OCTET_STRING_free(id);
    return cert;
}

static void sign(X509 *cert, const struct fixture *f)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key = signing_key_pkey(f->authority_key);

    assert_true(signing_begin(ctx, suite_of_key(key)->signing, key));
    assert_true(X509_sign_ctx(cert, ctx) > 0);
    EVP_MD_CTX_free(ctx);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    signing_key_free(f->authority_key);
    signing_key_free(f->node_key);
    free(f);
    return 0;
}

/* --- names --------------------------------------------------------------------------------------------- */

static void test_node_names_are_bounded(void **state)
{
    static const char *const good[] = {"a", "7", "js-scj-01", "a.b-c",
                                       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"};
    static const char *const bad[] = {
        "",    "-a",  ".a", "A",   "a b",
        "a/b", "a_b", "é",  "a\n", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(node_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(node_name_valid(bad[i]));
}

static void test_origins_end_in_a_generation(void **state)
{
    static const char *const good[] = {ORIGIN, "js.example/1", "localhost/hub/999999999", "a-b.c/d-e/f/12",
                                       "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh/1"};
    static const char *const bad[] = {
        "",
        "/",
        "/1",
        "js.example",
        "js.example/",
        "js.example/exchange",
        "js.example//1",
        "js.example/exchange/0",
        "js.example/exchange/01",
        "js.example/exchange/1/",
        "js.example/exchange/-1",
        "js.example/exchange/1000000000",
        "JS.example/1",
        ".example/1",
        "example./1",
        "a..b/1",
        "-a/1",
        "a-/1",
        "a b/1",
        "a+b/1",
        "a/b+c/1",
        "a/b\n/1",
        "https://js.example/1",
        "a/é/1",
        "a,b/1",
        "a/b,URI:x/1",
        "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh/1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(origin_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(origin_valid(bad[i]));
}

/* --- issued and read ----------------------------------------------------------------------------------- */

static void test_issued_certificate_says_what_was_asked(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    struct casebus_error err;
    static const uint8_t zero[16];

    assert_int_equal(certificate_check(node_of(f), authority_of(f), NOW + DAY, &info, &err), 0);
    assert_string_equal(info.node, f->info.node);
    assert_string_equal(info.department, f->info.department);
    assert_string_equal(info.area, f->info.area);
    assert_string_equal(info.origin, ORIGIN);
    assert_memory_equal(info.curve_key, f->info.curve_key, sizeof info.curve_key);
    assert_true(public_key_equal(&info.key, &f->info.key));
    assert_int_equal(info.not_before, f->info.not_before);
    assert_int_equal(info.not_after, f->info.not_after);
    assert_memory_not_equal(info.serial, zero, sizeof zero);
}

static void test_two_certificates_have_different_serials(void **state)
{
    struct fixture *f = *state;
    uint8_t again[CERTIFICATE_MAX];
    size_t size;
    struct certificate_info one;
    struct certificate_info two;

    assert_int_equal(certificate_issue(f->authority_key, authority_of(f), &f->info, again, &size, NULL), 0);
    assert_int_equal(certificate_check(node_of(f), authority_of(f), 0, &one, NULL), 0);
    assert_int_equal(certificate_check(bytes_of(again, size), authority_of(f), 0, &two, NULL), 0);
    assert_memory_not_equal(one.serial, two.serial, sizeof one.serial);
}

/* OpenSSL's own chain building, with its strict checks of RFC 5280. */
static void test_openssl_accepts_the_chain(void **state)
{
    struct fixture *f = *state;
    const uint8_t *p = f->authority;
    const uint8_t *q = f->node;
    X509 *authority = with_id(d2i_X509(NULL, &p, (long)f->authority_size), f);
    X509 *node = with_id(d2i_X509(NULL, &q, (long)f->node_size), f);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    assert_int_equal(X509_STORE_add_cert(store, authority), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, node, NULL), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), NOW + DAY);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    int ok = X509_verify_cert(ctx);
    if (ok != 1)
        print_error("%s\n", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    assert_int_equal(ok, 1);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(node);
    X509_free(authority);
}

static void test_certificate_holds_only_in_its_time(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    struct casebus_error err;

    assert_int_equal(certificate_check(node_of(f), authority_of(f), NOW, &info, &err), 0);
    assert_int_equal(certificate_check(node_of(f), authority_of(f), NOW + 365 * DAY, &info, &err), 0);
    assert_int_equal(certificate_check(node_of(f), authority_of(f), NOW - 1, &info, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    assert_int_equal(certificate_check(node_of(f), authority_of(f), NOW + 365 * DAY + 1, &info, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    assert_non_null(strstr(err.text, "js-scj-01"));
    assert_non_null(strstr(err.text, "2027-11-23"));
    assert_int_equal(info.node[0], '\0'); /* nothing is handed out that was not accepted */
}

static void test_pem_files_keep_the_certificate(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/certificate_test.XXXXXX";
    uint8_t back[CERTIFICATE_MAX];
    struct casebus_error err;
    size_t size;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(certificate_load(path, back, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    assert_int_equal(certificate_save(node_of(f), path, &err), 0);
    assert_int_equal(certificate_load(path, back, &size, &err), 0);
    assert_true(bytes_equal(bytes_of(back, size), node_of(f)));
    assert_int_equal(signing_key_load(&(struct signing_key *){NULL}, f->suite, path, &err), -1);
    unlink(path);
    assert_int_equal(certificate_load(path, back, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_FILE);
    assert_int_equal(signing_key_save(f->node_key, path, &err), 0);
    assert_int_equal(certificate_load(path, back, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    unlink(path);
}

/* --- refused ------------------------------------------------------------------------------------------- */

static void test_every_flipped_bit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    uint8_t copy[CERTIFICATE_MAX];
    size_t step = is_gm(f) ? 13 : 1; /* SM2 is slow */

    memcpy(copy, f->node, f->node_size);
    for (size_t i = 0; i < f->node_size * 8; i += step) {
        struct casebus_error err = {0};
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(certificate_check(bytes_of(copy, f->node_size), authority_of(f), NOW, &info, &err),
                         -1);
        assert_int_equal(err.code, CASEBUS_CERTIFICATE);
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    memcpy(copy, f->authority, f->authority_size);
    for (size_t i = 0; i < f->authority_size * 8; i += step) {
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(certificate_check(node_of(f), bytes_of(copy, f->authority_size), NOW, &info, NULL),
                         -1);
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_cut_and_lengthened_bytes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    uint8_t longer[CERTIFICATE_MAX + 1] = {0};
    struct casebus_error err;

    for (size_t size = 0; size < f->node_size; size += is_gm(f) ? 13 : 1)
        assert_int_equal(certificate_check(bytes_of(f->node, size), authority_of(f), NOW, &info, NULL), -1);
    memcpy(longer, f->node, f->node_size);
    assert_int_equal(certificate_check(bytes_of(longer, f->node_size + 1), authority_of(f), NOW, &info, NULL),
                     -1);
    assert_int_equal(certificate_check(bytes_of(longer, sizeof longer), authority_of(f), NOW, &info, &err),
                     -1);
    assert_non_null(strstr(err.text, "2049"));
}

static void test_generations_follow_each_other(void **state)
{
    char next[ORIGIN_MAX];
    (void)state;
    assert_true(origin_follows("js.example/exchange/2", "js.example/exchange/1"));
    assert_true(origin_follows("js.example/exchange/1", "js.example/exchange/1"));
    assert_true(origin_follows("js.example/exchange/10", "js.example/exchange/9"));
    assert_false(origin_follows("js.example/exchange/1", "js.example/exchange/2"));
    assert_false(origin_follows("js.example/exchanges/2", "js.example/exchange/1"));
    assert_false(origin_follows("jt.example/exchange/2", "js.example/exchange/1"));
    assert_false(origin_follows("js.example/exchange/2x", "js.example/exchange/1"));
    assert_false(origin_follows("js.example", "js.example"));
    assert_false(origin_follows("", ""));
    assert_true(origin_next(next, sizeof next, "js.example/exchange/9"));
    assert_string_equal(next, "js.example/exchange/10");
    assert_false(origin_next(next, sizeof next, "js.example/exchange/999999999"));
}

static void test_another_authority_is_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    struct casebus_error err;
    struct signing_key *key;
    uint8_t other[CERTIFICATE_MAX];
    size_t size;

    assert_int_equal(signing_key_generate(&key, f->suite, NULL), 0);
    assert_int_equal(authority_make(key, ORIGIN, 3650, NOW, other, &size, NULL), 0);
    assert_int_equal(certificate_check(node_of(f), bytes_of(other, size), NOW, &info, &err), -1);
    assert_non_null(strstr(err.text, ORIGIN));
    /* Neither half of an authority stands in for the other. */
    assert_int_equal(certificate_issue(key, authority_of(f), &f->info, other, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    assert_int_equal(certificate_check(authority_of(f), authority_of(f), NOW, &info, &err), -1);
    assert_int_equal(certificate_check(node_of(f), node_of(f), NOW, &info, &err), -1);
    signing_key_free(key);
}

/* Certificates that the authority did sign, but that are not of the profile. */

static void put_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    int at = X509_get_ext_by_NID(cert, nid, -1);

    if (at >= 0)
        X509_EXTENSION_free(X509_delete_ext(cert, at));
    if (!value)
        return;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, at), 1);
    X509_EXTENSION_free(extension);
}

static void put_name(X509 *cert, const char *field, const char *text, int type)
{
    X509_NAME *name = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(name, OBJ_txt2nid(field), -1);

    if (at >= 0)
        X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
    if (text)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, field, type, (const uint8_t *)text, -1, at, 0), 1);
}

#define CURVE_HEX "URI:casebus:curve:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void no_extensions(X509 *cert)
{
    while (X509_get_ext_count(cert))
        X509_EXTENSION_free(X509_delete_ext(cert, 0));
}
static void ca_true(X509 *cert)
{
    put_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
}
static void constraints_not_critical(X509 *cert)
{
    put_extension(cert, NID_basic_constraints, "CA:FALSE");
}
static void usage_key_cert_sign(X509 *cert)
{
    put_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign");
}
static void usage_not_critical(X509 *cert)
{
    put_extension(cert, NID_key_usage, "digitalSignature");
}
static void no_usage(X509 *cert)
{
    put_extension(cert, NID_key_usage, NULL);
}
static void extended_usage(X509 *cert)
{
    put_extension(cert, NID_ext_key_usage, "serverAuth");
}
static void uri_missing(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, "URI:casebus:origin:" ORIGIN);
}
static void uri_too_many(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, "URI:casebus:origin:" ORIGIN "," CURVE_HEX ",DNS:js.example");
}
static void uri_other_order(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, CURVE_HEX ",URI:casebus:origin:" ORIGIN);
}
static void uri_other_origin(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, "URI:casebus:origin:js.example/other/1," CURVE_HEX);
}
static void uri_short_curve(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, "URI:casebus:origin:" ORIGIN ",URI:casebus:curve:0011");
}
static void uri_upper_curve(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name,
                  "URI:casebus:origin:" ORIGIN
                  ",URI:casebus:curve:00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF");
}
static void name_is_dns(X509 *cert)
{
    put_extension(cert, NID_subject_alt_name, "DNS:casebus:origin:" ORIGIN "," CURVE_HEX);
}
static void node_name_bad(X509 *cert)
{
    put_name(cert, "CN", "Not A Node", MBSTRING_UTF8);
}
static void department_missing(X509 *cert)
{
    put_name(cert, "O", NULL, 0);
}
static void department_with_control(X509 *cert)
{
    put_name(cert, "O", "Office\nof forged lines", MBSTRING_UTF8);
}
static void area_short(X509 *cert)
{
    put_name(cert, "L", "3200", MBSTRING_UTF8);
}
static void subject_more(X509 *cert)
{
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "OU", MBSTRING_UTF8, (const uint8_t *)"x", -1, -1,
                               0);
}
static void serial_short(X509 *cert)
{
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
}
static void version_one(X509 *cert)
{
    X509_set_version(cert, X509_VERSION_1);
}
static void times_crossed(X509 *cert)
{
    ASN1_TIME_set(X509_getm_notAfter(cert), NOW - DAY);
}
static void issuer_other(X509 *cert)
{
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
}
static void key_of_another_type(X509 *cert)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509_set_pubkey(cert, key);
    EVP_PKEY_free(key);
}
static void key_of_small_order(X509 *cert)
{
    static const uint8_t one[32] = {1};
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, one, sizeof one);
    X509_set_pubkey(cert, key);
    EVP_PKEY_free(key);
}

/* The same curve point in another form would be a second name for a key. */
static void key_compressed(X509 *cert)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
    EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
    X509_set_pubkey(cert, key);
    EVP_PKEY_free(key);
}

static void test_signed_certificate_outside_the_profile_is_refused(void **state)
{
    static const struct {
        void (*change)(X509 *cert);
        const char *says;
    } rows[] = {
        {no_extensions, "basicConstraints"},
        {ca_true, "CA:FALSE"},
        {constraints_not_critical, "CA:FALSE"},
        {usage_key_cert_sign, "digitalSignature"},
        {usage_not_critical, "digitalSignature"},
        {no_usage, "keyUsage"},
        {extended_usage, "Extended Key Usage"},
        {uri_missing, "two alternative names"},
        {uri_too_many, "two alternative names"},
        {uri_other_order, "casebus:origin"},
        {uri_other_origin, "js.example/other/1"},
        {uri_short_curve, "casebus:curve"},
        {uri_upper_curve, "casebus:curve"},
        {name_is_dns, "casebus:origin"},
        {node_name_bad, "CN"},
        {department_missing, "CN, O and L"},
        {department_with_control, "department"},
        {area_short, "six digits"},
        {subject_more, "CN, O and L"},
        {serial_short, "serial"},
        {version_one, "version 3"},
        {times_crossed, "times"},
        {issuer_other, "not signed by the authority"},
        {key_of_another_type, "key"},
        {key_of_small_order, "key"},
        {key_compressed, "key"},
    };
    struct fixture *f = *state;
    struct certificate_info info;
    uint8_t der[CERTIFICATE_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct casebus_error err = {0};
        const uint8_t *p = f->node;
        uint8_t *q = der;
        X509 *cert = d2i_X509(NULL, &p, (long)f->node_size);

        assert_non_null(cert);
        rows[i].change(cert);
        sign(cert, f);
        size_t size = (size_t)i2d_X509(cert, &q);
        assert_int_equal(certificate_check(bytes_of(der, size), authority_of(f), 0, &info, &err), -1);
        assert_int_equal(err.code, CASEBUS_CERTIFICATE);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu: '%s' does not say '%s'", i, err.text, rows[i].says);
        X509_free(cert);
    }
}

static void test_unusable_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info bad[9];
    uint8_t der[CERTIFICATE_MAX];
    size_t size;

    for (size_t i = 0; i < 9; i++)
        bad[i] = f->info;
    snprintf(bad[0].node, sizeof bad[0].node, "Not A Node");
    bad[1].department[0] = '\0';
    snprintf(bad[2].department, sizeof bad[2].department, "\xff\xfe");
    snprintf(bad[3].area, sizeof bad[3].area, "32000");
    snprintf(bad[4].origin, sizeof bad[4].origin, "js.example/other/1");
    bad[5].not_after = bad[5].not_before - 1;
    bad[6].not_after = NOW + 3651 * (int64_t)DAY;
    bad[7].key.suite = is_gm(f) ? SUITE_INTL : SUITE_GM;
    memset(bad[8].key.bytes, 0, sizeof bad[8].key.bytes);
    for (size_t i = 0; i < 9; i++) {
        struct casebus_error err = {0};
        assert_int_equal(certificate_issue(f->authority_key, authority_of(f), &bad[i], der, &size, &err), -1);
        assert_true(err.code == (i < 7 ? CASEBUS_ARGUMENT : CASEBUS_KEY));
        assert_true(err.text[0] != '\0');
    }
    struct casebus_error err = {0};
    assert_int_equal(authority_make(f->authority_key, "no origin", 1, NOW, der, &size, &err), -1);
    assert_true(err.hint[0] != '\0');
    assert_int_equal(authority_make(f->authority_key, ORIGIN, 0, NOW, der, &size, &err), -1);
}

/* The largest that the rules allow still fits. */
static void test_longest_names_fit(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info = f->info;
    struct certificate_info back;
    uint8_t der[CERTIFICATE_MAX];
    uint8_t node[CERTIFICATE_MAX];
    struct casebus_error err;
    size_t size;
    size_t node_size;
    static const char origin[] = "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh/1";

    snprintf(info.origin, sizeof info.origin, "%s", origin);
    memset(info.node, 'n', NODE_NAME_MAX - 1);
    memset(info.department, 'd', sizeof info.department - 1);
    assert_int_equal(authority_make(f->authority_key, origin, 36500, NOW, der, &size, &err), 0);
    assert_int_equal(certificate_issue(f->authority_key, bytes_of(der, size), &info, node, &node_size, &err),
                     0);
    assert_int_equal(certificate_check(bytes_of(node, node_size), bytes_of(der, size), NOW, &back, &err), 0);
    assert_string_equal(back.node, info.node);
    assert_string_equal(back.department, info.department);
    assert_string_equal(back.origin, origin);
}

static void test_node_key_of_another_suite_is_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info = f->info;
    struct casebus_error err;
    struct signing_key *key;
    uint8_t der[CERTIFICATE_MAX];
    size_t size;

    assert_int_equal(signing_key_generate(&key, suite_get(is_gm(f) ? SUITE_INTL : SUITE_GM), NULL), 0);
    info.key = *signing_key_public(key);
    assert_int_equal(certificate_issue(f->authority_key, authority_of(f), &info, der, &size, &err), -1);
    assert_int_equal(err.code, CASEBUS_KEY);
    assert_non_null(strstr(err.text, "suite"));
    signing_key_free(key);
}

/* An authority that signed without an id signed for nobody who asks for one. */
static void test_certificate_signed_without_the_id_is_refused(void **state)
{
    struct fixture *f = *state;
    struct certificate_info info;
    struct casebus_error err;
    const uint8_t *p = f->node;
    uint8_t der[CERTIFICATE_MAX];
    uint8_t *q = der;
    X509 *cert = d2i_X509(NULL, &p, (long)f->node_size);

    X509_set_version(cert, X509_VERSION_3);
    assert_true(X509_sign(cert, signing_key_pkey(f->authority_key), EVP_sm3()) > 0);
    size_t size = (size_t)i2d_X509(cert, &q);
    assert_int_equal(certificate_check(bytes_of(der, size), authority_of(f), 0, &info, &err), -1);
    assert_int_equal(err.code, CASEBUS_CERTIFICATE);
    X509_free(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_names_are_bounded),
        cmocka_unit_test(test_origins_end_in_a_generation),
        cmocka_unit_test(test_generations_follow_each_other),
        cmocka_unit_test(test_issued_certificate_says_what_was_asked),
        cmocka_unit_test(test_two_certificates_have_different_serials),
        cmocka_unit_test(test_openssl_accepts_the_chain),
        cmocka_unit_test(test_certificate_holds_only_in_its_time),
        cmocka_unit_test(test_pem_files_keep_the_certificate),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_cut_and_lengthened_bytes_are_refused),
        cmocka_unit_test(test_another_authority_is_refused),
        cmocka_unit_test(test_signed_certificate_outside_the_profile_is_refused),
        cmocka_unit_test(test_unusable_requests_are_refused),
        cmocka_unit_test(test_longest_names_fit),
        cmocka_unit_test(test_node_key_of_another_suite_is_refused),
    };
    const struct CMUnitTest gm[] = {
        cmocka_unit_test(test_issued_certificate_says_what_was_asked),
        cmocka_unit_test(test_openssl_accepts_the_chain),
        cmocka_unit_test(test_pem_files_keep_the_certificate),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_cut_and_lengthened_bytes_are_refused),
        cmocka_unit_test(test_another_authority_is_refused),
        cmocka_unit_test(test_signed_certificate_outside_the_profile_is_refused),
        cmocka_unit_test(test_unusable_requests_are_refused),
        cmocka_unit_test(test_longest_names_fit),
        cmocka_unit_test(test_node_key_of_another_suite_is_refused),
        cmocka_unit_test(test_certificate_signed_without_the_id_is_refused),
    };

    int failed = cmocka_run_group_tests(tests, setup, teardown);
    return failed + cmocka_run_group_tests(gm, setup_gm, teardown);
}
