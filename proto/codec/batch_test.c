/* Statements of batches: made, signed, decoded, and every way in which one may be wrong. */
#include "proto/codec/sample.h"

#include "proto/merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct sample sample;
    struct signing_key *key;
    uint8_t root[DIGEST_SIZE];
    uint8_t previous[DIGEST_SIZE];
    Casebus__V1__BatchStatement fields;
    struct bytes statement;
    uint8_t signature[SIGNATURE_SIZE];
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    sample_init(&f->sample);
    assert_int_equal(signing_key_generate(&f->key, suite_get(SUITE_INTL), &f->err), 0);
    casebus__v1__batch_statement__init(&f->fields);
    f->fields.origin = (char *)(uintptr_t)SAMPLE_ORIGIN;
    f->fields.node = (char *)(uintptr_t) "group-1";
    f->fields.stream = UINT64_C(0x1122334455667788);
    f->fields.first = 1;
    f->fields.count = 3;
    f->fields.events_root = (ProtobufCBinaryData){DIGEST_SIZE, f->root};
    f->fields.previous = (ProtobufCBinaryData){DIGEST_SIZE, f->previous};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    signing_key_free(f->key);
    sample_deinit(&f->sample);
    free(f);
    return 0;
}

static int make(struct fixture *f)
{
    return statement_make(f->sample.crypter, &f->fields, f->key, &f->sample.arena, &f->statement,
                          f->signature, &f->err);
}

static void test_statement_is_signed_and_decodes(void **state)
{
    struct fixture *f = *state;
    uint8_t key_id[KEY_ID_SIZE];

    assert_int_equal(make(f), 0);
    Casebus__V1__BatchStatement *decoded = statement_decode(f->statement, &f->sample.arena, &f->err);
    assert_non_null(decoded);
    assert_string_equal(decoded->context, "casebus/v1/batch");
    assert_int_equal(decoded->suite, CASEBUS__V1__SUITE__SUITE_INTL);
    assert_int_equal(decoded->stream, f->fields.stream);
    public_key_id(signing_key_public(f->key), key_id);
    assert_memory_equal(decoded->key_id.data, key_id, KEY_ID_SIZE);

    struct verifier *verifier = verifier_new(signing_key_public(f->key));
    assert_non_null(verifier);
    assert_true(verifier_check(verifier, f->statement, f->signature));
    verifier_free(verifier);
}

static void test_statement_that_would_be_refused_is_not_signed(void **state)
{
    struct fixture *f = *state;
    Casebus__V1__BatchStatement good = f->fields;

#define WRONG(change, want, words)                                                                           \
    do {                                                                                                     \
        f->fields = good;                                                                                    \
        f->fields.change;                                                                                    \
        assert_int_equal(make(f), -1);                                                                       \
        assert_refused(NULL, f->err, want, words);                                                           \
    } while (0)
    WRONG(stream = 0, CASEBUS_MISSING_FIELD, "BatchStatement.stream");
    WRONG(first = 0, CASEBUS_MISSING_FIELD, "BatchStatement.first");
    WRONG(count = 0, CASEBUS_MISSING_FIELD, "BatchStatement.count");
    WRONG(count = 257, CASEBUS_TOO_LARGE, "a batch of 257 events");
    WRONG(first = UINT64_MAX - 1, CASEBUS_BAD_FIELD, "run past 2^64");
    WRONG(events_root.len = 31, CASEBUS_BAD_FIELD, "BatchStatement.events_root");
    WRONG(previous.len = 0, CASEBUS_MISSING_FIELD, "BatchStatement.previous");
    WRONG(origin = "Not An Origin", CASEBUS_BAD_FIELD, "BatchStatement.origin");
    WRONG(node = "UPPER", CASEBUS_BAD_FIELD, "BatchStatement.node");
    f->previous[0] = 1;
    WRONG(first = 1, CASEBUS_BAD_FIELD, "names one before it");
    f->fields.first = 4;
    assert_int_equal(make(f), 0);
#undef WRONG
}

static void test_statement_begins_with_its_context(void **state)
{
    struct fixture *f = *state;
    uint8_t other[512];

    assert_int_equal(make(f), 0);
    memcpy(other, f->statement.data, f->statement.size);
    other[2 + 11] = 'c'; /* casebus/v1/catch */
    assert_refused(statement_decode(bytes_of(other, f->statement.size), &f->sample.arena, &f->err), f->err,
                   CASEBUS_BAD_FIELD, "does not begin with its context");
    /* the context moved behind the suite: the same message, but no longer told apart by its first bytes */
    other[0] = 0x10;
    other[1] = 1;
    memcpy(other + 2, f->statement.data, 18);
    memcpy(other + 20, f->statement.data + 20, f->statement.size - 20);
    assert_refused(statement_decode(bytes_of(other, f->statement.size), &f->sample.arena, &f->err), f->err,
                   CASEBUS_BAD_FIELD, "does not begin with its context");
}

static void test_statement_cut_anywhere_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(make(f), 0);
    for (size_t size = 0; size < f->statement.size; size++)
        assert_null(statement_decode(bytes_of(f->statement.data, size), &f->sample.arena, &f->err));
}

static void test_events_root_is_the_tree_over_event_hashes(void **state)
{
    struct fixture *f = *state;
    uint8_t hashes[5][DIGEST_SIZE], leaves[5][DIGEST_SIZE], root[DIGEST_SIZE], again[DIGEST_SIZE];

    for (size_t i = 0; i < 5; i++) {
        memset(hashes[i], (int)i, DIGEST_SIZE);
        tree_leaf_hash(f->sample.crypter, bytes_of(hashes[i], DIGEST_SIZE), leaves[i]);
    }
    events_root(f->sample.crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, 5, root);
    tree_root_of(f->sample.crypter, (const uint8_t(*)[DIGEST_SIZE])leaves, 5, again);
    assert_memory_equal(root, again, DIGEST_SIZE);
    events_root(f->sample.crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, 1, root);
    assert_memory_equal(root, leaves[0], DIGEST_SIZE);
}

static void test_running_hash_tells_order_and_place(void **state)
{
    struct fixture *f = *state;
    uint8_t a[DIGEST_SIZE] = {0}, b[DIGEST_SIZE] = {0}, c[DIGEST_SIZE] = {0}, event[DIGEST_SIZE] = {9};

    delivered_hash(f->sample.crypter, a, 1, 0, event);
    delivered_hash(f->sample.crypter, b, 0, 1, event);
    assert_memory_not_equal(a, b, DIGEST_SIZE);
    memcpy(c, a, DIGEST_SIZE);
    delivered_hash(f->sample.crypter, a, 2, 0, event);
    delivered_hash(f->sample.crypter, c, 2, 0, event);
    assert_memory_equal(a, c, DIGEST_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_statement_is_signed_and_decodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statement_that_would_be_refused_is_not_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statement_begins_with_its_context, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statement_cut_anywhere_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_root_is_the_tree_over_event_hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_running_hash_tells_order_and_place, setup, teardown),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
