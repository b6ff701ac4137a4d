/* Enrolment: what belongs together is taken, and every fault is named with its file. */
#include "adapters/sdk/testbed.h"

#include "proto/codec/statement.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

static struct testbed bed;
static struct enrolment enrolment;
static struct casebus_error err;

static int open_all(void **state)
{
    (void)state;
    testbed_open(&bed);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    enrolment_deinit(&enrolment);
    testbed_close(&bed);
    return 0;
}

static void expect_fault(enum casebus_code code, const char *file, const char *words)
{
    memset(&err, 0, sizeof err);
    assert_int_equal(enrolment_load(&enrolment, bed.dir, bed.now, &err), -1);
    assert_string_equal(casebus_code_text(err.code), casebus_code_text(code));
    if (!strstr(err.text, file) || !strstr(err.text, words))
        fail_msg("'%s' does not name '%s' and '%s'", err.text, file, words);
    enrolment_deinit(&enrolment);
}

static void test_good_directory_is_taken(void **state)
{
    (void)state;
    if (enrolment_load(&enrolment, bed.dir, bed.now, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(enrolment.node, TESTBED_NODE);
    assert_string_equal(enrolment.origin, TESTBED_ORIGIN);
    assert_string_equal(enrolment.curve_public, bed.curve_public);
    assert_int_equal(enrolment.certificate_ends, bed.now + 1000000);
}

static void test_each_missing_text_is_named(void **state)
{
    (void)state;
    const char *names[] = {"suite",   "origin",      "node",      "endpoint",  "hub_curve_key",
                           "log_key", "signing_key", "curve_key", "authority", "certificate"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        testbed_enrol(&bed, names[i], NULL, bed.now + 1);
        expect_fault(CASEBUS_CONFIG, "enrolment.json", names[i]);
    }
}

static void test_wrong_texts_are_named(void **state)
{
    (void)state;
    const struct {
        const char *name, *value;
        enum casebus_code code;
    } rows[] = {
        {"suite", "rot13", CASEBUS_CONFIG},
        {"origin", "not an origin", CASEBUS_CONFIG},
        {"node", "GROUP 1", CASEBUS_CONFIG},
        {"hub_curve_key", "short", CASEBUS_CONFIG},
        {"signing_key", "../node.key", CASEBUS_CONFIG},
        {"certificate", "no PEM", CASEBUS_CERTIFICATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        testbed_enrol(&bed, rows[i].name, rows[i].value, bed.now + 1);
        expect_fault(rows[i].code, "enrolment.json", rows[i].name);
    }
}

static void test_ended_certificate_says_when(void **state)
{
    (void)state;
    testbed_enrol(&bed, NULL, NULL, bed.now - 10);
    expect_fault(CASEBUS_CERTIFICATE, "enrolment.json", "20");
    assert_non_null(strstr(err.text, TESTBED_NODE));
}

static void test_another_nodes_key_is_refused(void **state)
{
    (void)state;
    char path[PATH_MAX];
    struct signing_key *key;
    testbed_path(&bed, "node.key", path);
    unlink(path);
    expect_fault(CASEBUS_KEY, "node.key", "");
    assert_int_equal(signing_key_generate(&key, bed.suite, &err), 0);
    assert_int_equal(signing_key_save(key, path, &err), 0);
    signing_key_free(key);
    expect_fault(CASEBUS_CERTIFICATE, "enrolment.json", "key");
}

static void test_key_that_others_can_read_is_refused(void **state)
{
    (void)state;
    char path[PATH_MAX];
    testbed_path(&bed, "node.curve", path);
    chmod(path, 0644);
    expect_fault(CASEBUS_KEY, "node.curve", "");
    chmod(path, 0600);
    FILE *file = fopen(path, "w");
    fputs("rubbish\n", file);
    fclose(file);
    expect_fault(CASEBUS_KEY, "node.curve", "CURVE");
}

static void test_name_of_another_node_is_refused(void **state)
{
    (void)state;
    testbed_enrol(&bed, "node", "group-2", bed.now + 1);
    expect_fault(CASEBUS_CERTIFICATE, "enrolment.json", "node");
}

/* A restored hub certifies again who it does not know any more; what the folder knows of it is older. */
static void test_certificate_of_a_later_generation_is_taken(void **state)
{
    (void)state;
    bed.certified_for = "js.example/exchange/3";
    testbed_enrol(&bed, NULL, NULL, bed.now + 1);
    assert_int_equal(enrolment_load(&enrolment, bed.dir, bed.now, &err), 0);
    assert_string_equal(enrolment.origin, TESTBED_ORIGIN);
}

/* The authority certifies for its own hub only; what is left is a certificate older than what stands beside
 * it. */
static void test_certificate_of_an_earlier_generation_is_refused(void **state)
{
    (void)state;
    char path[PATH_MAX], vkey[VKEY_MAX];
    testbed_path(&bed, "enrolment.json", path);
    json_t *object = json_load_file(path, 0, NULL);
    assert_true(
        note_vkey_format(vkey, sizeof vkey, "js.example/exchange/2", signing_key_public(bed.log_key)) > 0);
    json_object_set_new(object, "origin", json_string("js.example/exchange/2"));
    json_object_set_new(object, "log_key", json_string(vkey));
    assert_int_equal(json_dump_file(object, path, 0), 0);
    json_decref(object);
    expect_fault(CASEBUS_CERTIFICATE, "enrolment.json", "another hub");
}

static void test_suite_is_that_of_the_hubs_key(void **state)
{
    (void)state;
    char path[PATH_MAX];
    testbed_path(&bed, "enrolment.json", path);
    json_t *object = json_load_file(path, 0, NULL);
    json_object_set_new(object, "suite", json_string("gm"));
    assert_int_equal(json_dump_file(object, path, 0), 0);
    json_decref(object);
    expect_fault(CASEBUS_CONFIG, "enrolment.json", "suite \"gm\"");
}

static void test_broken_json_names_its_line(void **state)
{
    (void)state;
    char path[PATH_MAX];
    testbed_path(&bed, "enrolment.json", path);
    FILE *file = fopen(path, "w");
    fputs("{\n  \"format\": 1,\n  oops\n}\n", file);
    fclose(file);
    expect_fault(CASEBUS_CONFIG, "enrolment.json", "3");
}

static void test_missing_directory_hints_at_the_command(void **state)
{
    (void)state;
    assert_int_equal(enrolment_load(&enrolment, "/nonexistent", bed.now, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent/enrolment.json"));
    assert_non_null(strstr(err.hint, "casebus node add"));
}

/* ---- the hub's next keys ---- */

static void follow(uint64_t number, uint8_t mark, int64_t from_us)
{
    Casebus__V1__HubKeysStatement keys = CASEBUS__V1__HUB_KEYS_STATEMENT__INIT;
    Casebus__V1__HubKeysChanged change = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;
    uint8_t curve[CURVE_KEY_SIZE] = {mark}, signature[SIGNATURE_SIZE];
    struct arena arena;
    arena_init(&arena, 8192, 65536);
    keys.context = (char *)HUB_KEYS_CONTEXT;
    keys.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    keys.origin = enrolment.origin;
    keys.number = number;
    keys.authority = (ProtobufCBinaryData){bed.authority_size, bed.authority};
    keys.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, curve};
    keys.curve_from_us = from_us;
    struct bytes statement = codec_pack(&keys, &arena);
    assert_int_equal(signing_key_sign(bed.authority_key, statement, signature, NULL), 0);
    change.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    change.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    assert_int_equal(enrolment_follow(&enrolment, bed.dir, &change, &err), 1);
    arena_deinit(&arena);
}

static void expect_tried(unsigned turn, int64_t now_us, const uint8_t *mark)
{
    char key[CURVE_Z85_MAX];
    uint8_t curve[CURVE_KEY_SIZE] = {mark ? *mark : 0};
    strcpy(key, bed.hub_curve_public);
    if (mark)
        zmq_z85_encode(key, curve, CURVE_KEY_SIZE);
    enrolment_choose_key(&enrolment, turn, now_us);
    assert_string_equal(enrolment.hub_curve_tried, key);
}

static void test_every_key_that_a_restored_hub_may_have_is_tried(void **state)
{
    (void)state;
    const uint8_t first = 1, second = 2, third = 3;
    assert_int_equal(enrolment_load(&enrolment, bed.dir, bed.now, &err), 0);
    expect_tried(0, 10, NULL);
    expect_tried(1, 10, NULL);
    follow(1, first, 50);
    expect_tried(0, 10, NULL); /* the hub is lost, and restored without the first one: it has the old key */
    follow(2, second, 100);
    enrolment_deinit(&enrolment);
    assert_int_equal(enrolment_load(&enrolment, bed.dir, bed.now, &err), 0);
    expect_tried(0, 99, NULL);
    expect_tried(1, 99, &second);
    expect_tried(2, 99, &first);
    expect_tried(0, 100, &second);
    expect_tried(1, 100, NULL);
    expect_tried(2, 100, &first);
    expect_tried(3, 100, &second);
    follow(3, third, 200); /* told over the second one: what was before it is over */
    expect_tried(0, 150, &second);
    expect_tried(1, 150, &third);
    expect_tried(2, 150, &second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_good_directory_is_taken),
        TEST(test_each_missing_text_is_named),
        TEST(test_wrong_texts_are_named),
        TEST(test_ended_certificate_says_when),
        TEST(test_another_nodes_key_is_refused),
        TEST(test_key_that_others_can_read_is_refused),
        TEST(test_name_of_another_node_is_refused),
        TEST(test_certificate_of_a_later_generation_is_taken),
        TEST(test_certificate_of_an_earlier_generation_is_refused),
        TEST(test_suite_is_that_of_the_hubs_key),
        TEST(test_every_key_that_a_restored_hub_may_have_is_tried),
        TEST(test_broken_json_names_its_line),
        TEST(test_missing_directory_hints_at_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
