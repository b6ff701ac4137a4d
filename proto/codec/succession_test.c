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
    succession_init(&f.succession, f.authority);
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

/* @successor: signs as well; NULL: nobody does. */
static int add_two(struct fixture *f, const Casebus__V1__HubKeysStatement *keys,
                   const struct signing_key *signer, const struct signing_key *successor)
{
    uint8_t second[SIGNATURE_SIZE];
    Casebus__V1__HubKeysChanged change = CASEBUS__V1__HUB_KEYS_CHANGED__INIT;
    struct bytes statement = codec_pack(keys, &f->arena);
    assert_int_equal(signing_key_sign(signer, statement, f->signature, NULL), 0);
    change.statement = (ProtobufCBinaryData){statement.size, (uint8_t *)(uintptr_t)statement.data};
    change.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, f->signature};
    if (successor) {
        assert_int_equal(signing_key_sign(successor, statement, second, NULL), 0);
        change.authority_signature = (ProtobufCBinaryData){SIGNATURE_SIZE, second};
    }
    return succession_add(&f->succession, ORIGIN, &change, &f->err);
}

static int add(struct fixture *f, const Casebus__V1__HubKeysStatement *keys, const struct signing_key *signer)
{
    return add_two(f, keys, signer, NULL);
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
    assert_int_equal(f->succession.number, 0);
    signing_key_free(stranger);
}

struct successor {
    struct signing_key *key;
    uint8_t der[CERTIFICATE_MAX];
    struct bytes authority;
    uint8_t before[DIGEST_SIZE];
};

static void successor_make(struct fixture *f, struct successor *next, struct bytes before)
{
    size_t size = 0;
    next->key = NULL;
    assert_int_equal(signing_key_generate(&next->key, suite_get(SUITE_INTL), &f->err), 0);
    assert_int_equal(authority_make(next->key, ORIGIN, 100, NOW, next->der, &size, &f->err), 0);
    next->authority = bytes_of(next->der, size);
    suite_hash(suite_get(SUITE_INTL), &before, 1, next->before);
}

static Casebus__V1__HubKeysStatement naming(struct fixture *f, struct successor *next, uint64_t number,
                                            uint8_t *curve)
{
    Casebus__V1__HubKeysStatement keys = statement_of(f, number, curve);
    keys.authority = (ProtobufCBinaryData){next->authority.size, next->der};
    keys.authority_before = (ProtobufCBinaryData){DIGEST_SIZE, next->before};
    return keys;
}

static void test_another_authority_is_named_by_the_one_before_and_signs_itself(void **state)
{
    struct fixture *f = *state;
    uint8_t curve[CURVE_KEY_SIZE] = {1}, other[CURVE_KEY_SIZE] = {2};
    struct successor next, third;
    successor_make(f, &next, f->authority);
    successor_make(f, &third, next.authority);
    Casebus__V1__HubKeysStatement keys = naming(f, &next, 2, curve);
    assert_int_equal(add_two(f, &keys, next.key, next.key), -1); /* nobody who is known names it */
    assert_int_equal(f->err.code, CASEBUS_SIGNATURE);
    assert_int_equal(add_two(f, &keys, f->key, NULL), -1); /* it does not take it on */
    assert_int_equal(f->err.code, CASEBUS_SIGNATURE);
    assert_int_equal(add_two(f, &keys, f->key, f->key), -1);
    assert_int_equal(f->err.code, CASEBUS_SIGNATURE);
    keys.authority_before = (ProtobufCBinaryData){DIGEST_SIZE, third.before};
    assert_int_equal(add_two(f, &keys, f->key, next.key), -1); /* it takes another one's place */
    assert_int_equal(f->err.code, CASEBUS_HUB_IDENTITY);
    keys = naming(f, &next, 2, curve);
    keys.authority = (ProtobufCBinaryData){5, (uint8_t *)"00000"};
    assert_int_equal(add_two(f, &keys, f->key, next.key), -1); /* it is none */
    assert_int_equal(f->err.code, CASEBUS_CERTIFICATE);
    assert_int_equal(f->succession.number, 0);
    assert_true(bytes_equal(succession_authority(&f->succession), f->authority));

    keys = naming(f, &next, 2, curve);
    assert_int_equal(add_two(f, &keys, f->key, next.key), 1);
    assert_true(bytes_equal(succession_authority(&f->succession), next.authority));
    keys = naming(f, &third, 3, curve);
    assert_int_equal(add_two(f, &keys, f->key, third.key), -1); /* the first one's word is over */
    assert_int_equal(add_two(f, &keys, next.key, third.key), 1);
    assert_false(f->succession.has_before); /* the CURVE key is the same */
    keys = statement_of(f, 4, other);
    keys.authority = (ProtobufCBinaryData){third.authority.size, third.der};
    assert_int_equal(add(f, &keys, third.key), 1);
    assert_memory_equal(f->succession.curve_before, curve, CURVE_KEY_SIZE);
    assert_true(bytes_equal(succession_authority(&f->succession), third.authority));
    signing_key_free(next.key);
    signing_key_free(third.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys_follow_one_another_and_none_comes_back, setup, teardown),
        cmocka_unit_test(test_a_later_generation_numbers_higher_whatever_its_clock_says),
        cmocka_unit_test_setup_teardown(test_only_the_hub_s_own_authority_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_authority_is_named_by_the_one_before_and_signs_itself,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
