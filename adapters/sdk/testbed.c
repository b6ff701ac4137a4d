#include "adapters/sdk/testbed.h"

#include "proto/base/clock.h"
#include "proto/base/files.h"
#include "proto/crypto/secret_file.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

void testbed_path(const struct testbed *bed, const char *name, char path[PATH_MAX])
{
    assert_int_equal(path_join(path, PATH_MAX, bed->dir, name), 0);
}

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

void testbed_copy(const char *from, const char *to)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    run(command);
}

static void pem_put(json_t *object, const char *name, struct bytes der)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(bio, PEM_STRING_X509, "", der.data, (long)der.size) > 0);
    long size = BIO_get_mem_data(bio, &data);
    json_object_set_new(object, name, json_stringn(data, (size_t)size));
    BIO_free(bio);
}

static void certificate_put(struct testbed *bed, json_t *object, int64_t not_after)
{
    struct certificate_info info = {.node = TESTBED_NODE,
                                    .department = "市场监督管理局",
                                    .area = "320100",
                                    .key = *signing_key_public(bed->node_key),
                                    .not_before = bed->now - 100000,
                                    .not_after = not_after};
    struct bytes authority = bytes_of(bed->authority, bed->authority_size);
    uint8_t certificate[CERTIFICATE_MAX];
    size_t size;
    strcpy(info.origin, bed->certified_for);
    assert_non_null(zmq_z85_decode(info.curve_key, bed->curve_public));
    assert_int_equal(certificate_issue(bed->authority_key, authority, &info, certificate, &size, NULL), 0);
    pem_put(object, "certificate", bytes_of(certificate, size));
    pem_put(object, "authority", authority);
}

/* CASEBUS_SUITE: intl or gm. */
static const struct suite *testbed_suite(void)
{
    const char *name = getenv("CASEBUS_SUITE");
    const struct suite *suite = suite_by_name(name ? name : "intl");
    assert_non_null(suite);
    return suite;
}

void testbed_enrol(struct testbed *bed, const char *name, const char *value, int64_t not_after)
{
    char path[PATH_MAX], vkey[512];
    assert_true(note_vkey_format(vkey, sizeof vkey, TESTBED_ORIGIN, signing_key_public(bed->log_key)) >= 0);
    json_t *object = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "format", 1, "suite",
                               suite_name(bed->suite), "origin", TESTBED_ORIGIN, "node", TESTBED_NODE,
                               "department", "市场监督管理局", "area", "320100", "endpoint",
                               "tcp://127.0.0.1:7400", "hub_curve_key", bed->hub_curve_public, "log_key",
                               vkey, "signing_key", "node.key", "curve_key", "node.curve");
    certificate_put(bed, object, not_after);
    if (name && value)
        json_object_set_new(object, name, json_string(value));
    else if (name)
        json_object_del(object, name);
    testbed_path(bed, "enrolment.json", path);
    assert_int_equal(json_dump_file(object, path, JSON_INDENT(2)), 0);
    json_decref(object);
}

static void keys_write(struct testbed *bed)
{
    char path[PATH_MAX], line[CURVE_Z85_MAX + 2];
    testbed_path(bed, "node.key", path);
    assert_int_equal(signing_key_save(bed->node_key, path, NULL), 0);
    testbed_path(bed, "node.curve", path);
    int length = snprintf(line, sizeof line, "%s\n", bed->curve_secret);
    assert_int_equal(secret_file_save(path, bytes_of(line, (size_t)length), NULL), 0);
}

void testbed_open(struct testbed *bed)
{
    *bed = (struct testbed){
        .suite = testbed_suite(), .now = clock_unix_us() / 1000000, .certified_for = TESTBED_ORIGIN};
    snprintf(bed->dir, sizeof bed->dir, "/tmp/casebus-sdk-XXXXXX");
    assert_non_null(mkdtemp(bed->dir));
    assert_int_equal(signing_key_generate(&bed->authority_key, bed->suite, NULL), 0);
    assert_int_equal(signing_key_generate(&bed->log_key, bed->suite, NULL), 0);
    assert_int_equal(signing_key_generate(&bed->node_key, bed->suite, NULL), 0);
    assert_int_equal(authority_make(bed->authority_key, TESTBED_ORIGIN, 3650, bed->now - 200000,
                                    bed->authority, &bed->authority_size, NULL),
                     0);
    assert_int_equal(zmq_curve_keypair(bed->hub_curve_public, bed->hub_curve_secret), 0);
    assert_int_equal(zmq_curve_keypair(bed->curve_public, bed->curve_secret), 0);
    keys_write(bed);
    testbed_enrol(bed, NULL, NULL, bed->now + 1000000);
}

void testbed_close(struct testbed *bed)
{
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "rm -rf '%s'", bed->dir);
    run(command);
    signing_key_free(bed->authority_key);
    signing_key_free(bed->log_key);
    signing_key_free(bed->node_key);
}
