/* The hub's next keys: who may say what they are, and in which order. */
#include "proto/codec/statement.h"
#include "proto/codec/succession.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ORIGIN "js.example/exchange/1"
#define NOW    1790000000

struct fixture {
    struct signing_key *key;
    uint8_t der[CERTIFICATE_MAX];
    struct bytes authority;
    struct arena arena;
    struct succession succession;
    uint8_t signature[SIGNATURE_SIZE];
    struct casebus_error err;
};

static int setup(void **state)
{
    static struct fixture f;
    size_t size = 0;
    f = (struct fixture){.key = NULL};
    arena_init(&f.arena, 8192, 65536);
    assert_int_equal(signing_key_generate(&f.key, suite_get(SUITE_INTL), &f.err), 0);
    assert_int_equal(authority_make(f.key, ORIGIN, 100, NOW, f.der, &size, &f.err), 0);
    f.authority = bytes_of(f.der, size);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    signing_key_free(f->key);
    arena_deinit(&f->arena);
    return 0;
}

static Casebus__V1__HubKeysStatement statement_of(struct fixture *f, uint64_t number, uint8_t *curve)
{
    Casebus__V1__HubKeysStatement keys = CASEBUS__V1__HUB_KEYS_STATEMENT__INIT;
    keys.context = (char *)HUB_KEYS_CONTEXT;
    keys.suite = CASEBUS__V1__SUITE__SUITE_INTL;
    keys.origin = (char *)ORIGIN;
    keys.number = number;
    keys.authority = (ProtobufCBinaryData){f->authority.size, (uint8_t *)(uintptr_t)f->authority.data};
    keys.curve_key = (ProtobufCBinaryData){CURVE_KEY_SIZE, curve};
    keys.curve_from_us = NOW * INT64_C(1000000);
    return keys;
}

static int add(struct fixture *f, const Casebus__V1__HubKeysStatement *keys, const struct signing_key *signer)
{
    Casebus__V1__HubKeysChanged change = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;
    struct bytes statement = codec_pack(keys, &f->arena);
    assert_int_equal(signing_key_sign(signer, statement, f->signature, NULL), 0);
    change.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    change.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, f->signature};
    return succession_add(&f->succession, f->authority, ORIGIN, &change, &f->err);
}

static void test_keys_follow_one_another_and_none_comes_back(void **state)
{
    struct fixture *f = *state;
    uint8_t first[CURVE_KEY_SIZE] = {1}, second[CURVE_KEY_SIZE] = {2};
    Casebus__V1__HubKeysStatement keys = statement_of(f, 7, first);
    assert_int_equal(add(f, &keys, f->key), 1);
    assert_false(f->succession.has_before);
    assert_int_equal(add(f, &keys, f->key), 0);
    keys = statement_of(f, 9, second);
    keys.origin = (char *)"js.example/exchange/2"; /* the same hub, restored */
    assert_int_equal(add(f, &keys, f->key), 1);
    assert_memory_equal(f->succession.curve_key, second, CURVE_KEY_SIZE);
    assert_memory_equal(f->succession.curve_before, first, CURVE_KEY_SIZE);
    keys = statement_of(f, 8, first);
    assert_int_equal(add(f, &keys, f->key), 0);
    assert_memory_equal(f->succession.curve_key, second, CURVE_KEY_SIZE);
}

static void test_a_later_generation_numbers_higher_whatever_its_clock_says(void **state)
{
    (void)state;
    uint64_t first = succession_number("js.example/exchange/1", NOW + 1000000);
    assert_true(succession_number("js.example/exchange/2", NOW) > first);
    assert_true(succession_number("js.example/exchange/2", -1) > first);
    assert_true(succession_number("js.example/exchange/10", 0) >
                succession_number("js.example/exchange/9", NOW));
    assert_true(succession_number("js.example/exchange/1", NOW) >
                (uint64_t)NOW); /* those of older versions */
    assert_true(succession_number("js.example/exchange/99999999999999999999", NOW) <= INT64_MAX);
}

static void test_only_the_hub_s_own_authority_is_believed(void **state)
{
    struct fixture *f = *state;
    uint8_t curve[CURVE_KEY_SIZE] = {1}, der[CERTIFICATE_MAX];
    size_t size = 0;
    struct signing_key *stranger = NULL;
    Casebus__V1__HubKeysStatement keys = statement_of(f, 1, curve);
    assert_int_equal(signing_key_generate(&stranger, suite_get(SUITE_INTL), &f->err), 0);
    assert_int_equal(authority_make(stranger, ORIGIN, 100, NOW, der, &size, &f->err), 0);
    assert_int_equal(add(f, &keys, stranger), -1);
    assert_int_equal(f->err.code, CASEBUS_SIGNATURE);
    keys.origin = (char *)"js.example/other/1";
    assert_int_equal(add(f, &keys, f->key), -1);
    assert_int_equal(f->err.code, CASEBUS_HUB_IDENTITY);
    keys = statement_of(f, 1, curve);
    keys.authority = (ProtobufCBinaryData){size, der}; /* nobody follows that yet */
    assert_int_equal(add(f, &keys, f->key), -1);
    assert_int_equal(f->err.code, CASEBUS_BAD_VERSION);
    assert_int_equal(f->succession.number, 0);
    signing_key_free(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys_follow_one_another_and_none_comes_back, setup, teardown),
        cmocka_unit_test(test_a_later_generation_numbers_higher_whatever_its_clock_says),
        cmocka_unit_test_setup_teardown(test_only_the_hub_s_own_authority_is_believed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
