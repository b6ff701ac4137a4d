/* The hub's proof at the beginning of a session: holds for what was signed, and for nothing beside it. */
#include "proto/codec/proof.h"

#include "proto/codec/codec.h"
#include "proto/crypto/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check_suite(enum suite_id id)
{
    const struct proof proof = {.origin = "js.example/exchange/1",
                                .node = "office",
                                .nonce = {1},
                                .hub_curve = {2},
                                .node_curve = {3}};
    struct proof other;
    struct signing_key *key, *stranger;
    uint8_t signature[SIGNATURE_SIZE];
    char long_name[300];
    const struct bytes sent = bytes_of(signature, sizeof signature);
    assert_int_equal(signing_key_generate(&key, suite_get(id), NULL), 0);
    assert_int_equal(signing_key_generate(&stranger, suite_get(id), NULL), 0);
    struct verifier *verifier = verifier_new(signing_key_public(key));
    struct verifier *wrong = verifier_new(signing_key_public(stranger));
    assert_int_equal(proof_sign(&proof, key, signature, NULL), 0);
    assert_true(proof_check(&proof, verifier, sent));
    assert_false(proof_check(&proof, wrong, sent));
    assert_false(proof_check(&proof, verifier, bytes_of(signature, SIGNATURE_SIZE - 1)));
    assert_false(proof_check(&proof, verifier, bytes_of(NULL, 0)));

    other = proof, other.nonce[31] ^= 1;
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.hub_curve[31] ^= 1;
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.node_curve[31] ^= 1;
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.origin = "js.example/exchange/2";
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.node = "office-2";
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.origin = "", other.node = "js.example/exchange/1";
    assert_false(proof_check(&other, verifier, sent));
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    other = proof, other.origin = long_name;
    assert_false(proof_check(&other, verifier, sent));
    other = proof, other.node = long_name;
    assert_false(proof_check(&other, verifier, sent));

    verifier_free(verifier);
    verifier_free(wrong);
    signing_key_free(key);
    signing_key_free(stranger);
}

static void test_a_proof_holds_for_this_session_alone(void **state)
{
    (void)state;
    check_suite(SUITE_INTL);
    if (suite_get(SUITE_GM))
        check_suite(SUITE_GM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_proof_holds_for_this_session_alone)};
    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
