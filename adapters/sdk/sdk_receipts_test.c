/* Receipts: a true one is believed, and each way of lying is noticed. */
#include "adapters/sdk/receipts.h"
#include "adapters/sdk/testpeer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 5 };

static struct testbed bed;
static struct testpeer peer;
static struct enrolment enrolment;
static struct witness witness;
static struct arena arena;
static struct casebus_error err;
static struct outbox_batch batch;
static uint8_t hashes[COUNT][DIGEST_SIZE];

/* A batch of five events that were never packed: a receipt knows only their hashes. */
static void batch_make(void)
{
    uint8_t root[DIGEST_SIZE], zeros[DIGEST_SIZE] = {0};
    struct bytes statement;
    random_bytes(hashes, sizeof hashes);
    events_root(peer.crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, COUNT, root);
    Casebus__V1__BatchStatement fields = CASEBUS__V1__BATCH_STATEMENT__INIT;
    fields.suite = (Casebus__V1__Suite)suite_id(bed.suite);
    fields.origin = enrolment.origin;
    fields.node = enrolment.node;
    fields.key_id = (ProtobufCBinaryData){KEY_ID_SIZE, enrolment.key_id};
    fields.stream = 7;
    fields.first = 1;
    fields.count = COUNT;
    fields.events_root = (ProtobufCBinaryData){DIGEST_SIZE, root};
    fields.previous = (ProtobufCBinaryData){DIGEST_SIZE, zeros};
    assert_int_equal(
        statement_make(peer.crypter, &fields, enrolment.key, &arena, &statement, batch.signature, &err), 0);
    batch.stream = 7;
    batch.first = batch.first_number = 1;
    batch.count = COUNT;
    batch.statement = statement;
    batch.event_hashes = hashes;
}

static int open_all(void **state)
{
    (void)state;
    testbed_open(&bed);
    testpeer_open(&peer, &bed);
    arena_init(&arena, 65536, 16 << 20);
    assert_int_equal(enrolment_load(&enrolment, bed.dir, bed.now, &err), 0);
    assert_int_equal(witness_open(&witness, bed.dir, &enrolment.log, peer.crypter, &err), 0);
    batch_make();
    for (int i = 0; i < 20; i++)
        testpeer_append(&peer, bytes_of("before", 6));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    arena_deinit(&arena);
    enrolment_deinit(&enrolment);
    testpeer_close(&peer);
    testbed_close(&bed);
    return 0;
}

static Casebus__V1__Accepted *answer(void)
{
    return testpeer_accept(&peer, batch.statement, batch.signature, (const uint8_t(*)[DIGEST_SIZE])hashes);
}

static void expect_refused(const Casebus__V1__Accepted *accepted, enum casebus_code code)
{
    struct receipt receipt;
    assert_int_equal(receipt_check(&receipt, &witness, &batch, accepted, &arena, &err), -1);
    assert_string_equal(casebus_code_text(err.code), casebus_code_text(code));
}

static void test_true_receipt_gives_each_event_its_position(void **state)
{
    (void)state;
    struct receipt receipt;
    peer.duplicate = 1;
    peer.refused = 3;
    if (receipt_check(&receipt, &witness, &batch, answer(), &arena, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(receipt.seal_position, 21);
    assert_int_equal(receipt.members[0].position, 22);
    assert_int_equal(receipt.members[1].kind, CASEBUS_DUPLICATE);
    assert_int_equal(receipt.members[1].position, 0);
    assert_int_equal(receipt.members[2].position, 23);
    assert_int_equal(receipt.members[3].kind, CASEBUS_REFUSED);
    assert_string_equal(receipt.members[3].code, "CB-RECORD-OWNER");
    assert_int_equal(receipt.members[4].position, 24);
    assert_int_equal(witness.newest.size, 25);
}

static void test_words_may_be_missing(void **state)
{
    (void)state;
    struct receipt receipt;
    peer.refused = 2;
    Casebus__V1__Accepted *accepted = answer();
    accepted->n_outcome = 0;
    assert_int_equal(receipt_check(&receipt, &witness, &batch, accepted, &arena, &err), 0);
    assert_null(receipt.members[2].words);
}

static void lie_position(Casebus__V1__Accepted *accepted)
{
    accepted->seal_position--;
}
static void lie_path(Casebus__V1__Accepted *accepted)
{
    accepted->inclusion[0].data[0] ^= 1;
}
static void lie_path_length(Casebus__V1__Accepted *accepted)
{
    accepted->n_inclusion--;
}
static void lie_path_size(Casebus__V1__Accepted *accepted)
{
    accepted->inclusion[0].len = 31;
}
static void lie_entry(Casebus__V1__Accepted *accepted)
{
    accepted->seal_entry.data[accepted->seal_entry.len - 1] ^= 1;
}
static void lie_words(Casebus__V1__Accepted *accepted)
{
    accepted->outcome[0]->duplicate_of = 5;
}
static void lie_words_index(Casebus__V1__Accepted *accepted)
{
    accepted->outcome[0]->index = 4;
}
static void lie_words_far(Casebus__V1__Accepted *accepted)
{
    accepted->outcome[0]->index = UINT32_MAX;
}

static void test_lies_in_a_receipt_are_noticed(void **state)
{
    (void)state;
    void (*const lies[])(Casebus__V1__Accepted *) = {lie_position, lie_path,  lie_path_length, lie_path_size,
                                                     lie_entry,    lie_words, lie_words_index, lie_words_far};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        peer.duplicate = 0;
        Casebus__V1__Accepted *accepted = answer();
        lies[i](accepted);
        expect_refused(accepted, CASEBUS_INCLUSION);
    }
}

static void test_seal_of_another_batch_is_noticed(void **state)
{
    (void)state;
    peer.lie_seal = true;
    expect_refused(answer(), CASEBUS_INCLUSION);
    peer.lie_seal = false;
    Casebus__V1__Accepted *accepted = answer();
    batch_make();
    expect_refused(accepted, CASEBUS_INCLUSION);
}

static void test_outcome_about_another_event_is_noticed(void **state)
{
    (void)state;
    peer.duplicate = 2;
    Casebus__V1__Accepted *accepted = answer();
    uint8_t others[COUNT][DIGEST_SIZE];
    random_bytes(others, sizeof others);
    batch.event_hashes = others;
    expect_refused(accepted, CASEBUS_INCLUSION);
}

static void test_duplicate_of_an_entry_that_was_not_there_is_noticed(void **state)
{
    (void)state;
    struct receipt receipt;
    peer.duplicate = 1;
    peer.duplicate_of = 22; /* the batch's first member, behind the seal at 21 */
    assert_int_equal(receipt_check(&receipt, &witness, &batch, answer(), &arena, &err), 0);
    assert_int_equal(receipt.members[1].position, 22);
    peer.duplicate_of = 26; /* the next batch's seal */
    expect_refused(answer(), CASEBUS_INCLUSION);
    peer.duplicate_of = UINT64_MAX - 1;
    expect_refused(answer(), CASEBUS_INCLUSION);
}

static void test_checkpoint_of_another_key_is_refused(void **state)
{
    (void)state;
    struct signing_key *right = bed.log_key;
    bed.log_key = bed.authority_key;
    expect_refused(answer(), CASEBUS_SIGNATURE);
    bed.log_key = right;
}

static void test_tree_that_was_rewritten_is_refused(void **state)
{
    (void)state;
    struct receipt receipt;
    assert_int_equal(receipt_check(&receipt, &witness, &batch, answer(), &arena, &err), 0);
    tree_init(&peer.tree);
    for (int i = 0; i < 40; i++)
        testpeer_append(&peer, bytes_of("other", 5));
    expect_refused(answer(), CASEBUS_CONSISTENCY);
}

static void test_tree_that_was_rewritten_at_the_same_size_is_refused(void **state)
{
    (void)state;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), 0);
    uint64_t size = peer.tree.size;
    tree_init(&peer.tree);
    while (peer.tree.size < size)
        testpeer_append(&peer, bytes_of("other", 5));
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), -1);
    assert_int_equal(err.code, CASEBUS_CONSISTENCY);
}

static void test_growth_without_proof_is_refused(void **state)
{
    (void)state;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), 0);
    testpeer_append(&peer, bytes_of("more", 4));
    peer.known_size = 0;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), -1);
    assert_int_equal(err.code, CASEBUS_CONSISTENCY);
}

static void test_smaller_tree_is_behind(void **state)
{
    (void)state;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), 0);
    tree_init(&peer.tree);
    testpeer_append(&peer, bytes_of("opened", 6));
    peer.known_size = 0;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), -1);
    assert_int_equal(err.code, CASEBUS_BEHIND);
}

static void test_witness_remembers_over_a_restart(void **state)
{
    (void)state;
    assert_int_equal(witness_advance(&witness, testpeer_checkpoint(&peer), &err), 0);
    assert_int_equal(witness_save(&witness, &err), 0);
    struct witness again;
    assert_int_equal(witness_open(&again, bed.dir, &enrolment.log, peer.crypter, &err), 0);
    assert_int_equal(again.newest.size, witness.newest.size);
    assert_memory_equal(again.newest.root, witness.newest.root, DIGEST_SIZE);
    FILE *file = fopen(witness.path, "r+");
    fputs("another", file);
    fclose(file);
    assert_int_equal(witness_open(&again, bed.dir, &enrolment.log, peer.crypter, &err), -1);
    assert_non_null(strstr(err.text, "checkpoint"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_true_receipt_gives_each_event_its_position),
        TEST(test_words_may_be_missing),
        TEST(test_lies_in_a_receipt_are_noticed),
        TEST(test_seal_of_another_batch_is_noticed),
        TEST(test_outcome_about_another_event_is_noticed),
        TEST(test_duplicate_of_an_entry_that_was_not_there_is_noticed),
        TEST(test_checkpoint_of_another_key_is_refused),
        TEST(test_tree_that_was_rewritten_is_refused),
        TEST(test_tree_that_was_rewritten_at_the_same_size_is_refused),
        TEST(test_growth_without_proof_is_refused),
        TEST(test_smaller_tree_is_behind),
        TEST(test_witness_remembers_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
