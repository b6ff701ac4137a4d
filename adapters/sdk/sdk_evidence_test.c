/* Evidence through the SDK's face: a file that a hub made, checked by a program that has no hub. */
#include "casebus/evidence.h"

#include "proto/base/files.h"
#include "proto/codec/entry.h"
#include "proto/evidence/evidence.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED SOURCE_DIR "/tests/fuzz/seeds/evidence/case"

struct stranger {
    struct buffer file;
    char authority[64];
    char log_key[VKEY_MAX];
    const char *authorities[1], *log_keys[1];
    struct casebus_evidence_trust trust;
};

/* What somebody would know from elsewhere; here it is taken from the file itself. */
static int setup(void **state)
{
    struct stranger *stranger = calloc(1, sizeof *stranger);
    struct casebus_error err;
    struct arena arena;
    assert_int_equal(file_read(SEED, EVIDENCE_MAX, &stranger->file, &err), 0);
    arena_init(&arena, 65536, 1 << 24);
    Casebus__V1__Evidence *evidence =
        evidence_decode(bytes_of(stranger->file.data, stranger->file.size), &arena, &err);
    assert_non_null(evidence);
    Casebus__V1__LedgerEntry *entry =
        entry_decode(bytes_of(evidence->leaf[0]->entry.data, evidence->leaf[0]->entry.len), &arena, &err);
    assert_non_null(entry);
    const Casebus__V1__LedgerOpened *opened = entry->act->ledger_opened;
    snprintf(stranger->authority, sizeof stranger->authority, "/tmp/casebus-authority-%d.pem", (int)getpid());
    snprintf(stranger->log_key, sizeof stranger->log_key, "%s", opened->log_key);
    assert_int_equal(
        certificate_save(bytes_of(opened->authority.data, opened->authority.len), stranger->authority, &err),
        0);
    arena_deinit(&arena);
    stranger->authorities[0] = stranger->authority;
    stranger->log_keys[0] = stranger->log_key;
    stranger->trust = (struct casebus_evidence_trust){
        .authorities = stranger->authorities, .log_keys = stranger->log_keys, .n_hubs = 1};
    *state = stranger;
    return 0;
}

static int teardown(void **state)
{
    struct stranger *stranger = *state;
    unlink(stranger->authority);
    buffer_deinit(&stranger->file);
    free(stranger);
    return 0;
}

static size_t count_facts(const struct casebus_evidence *evidence, const char *name)
{
    struct casebus_evidence_fact fact;
    size_t n = 0;
    for (size_t i = 0; casebus_evidence_fact(evidence, i, &fact); i++)
        n += strcmp(fact.fact, name) == 0;
    return n;
}

static void test_facts_and_gaps_are_handed_out(void **state)
{
    struct stranger *stranger = *state;
    struct casebus_error err;
    struct casebus_evidence *evidence;
    struct casebus_evidence_fact fact;
    struct casebus_evidence_gap gap;
    assert_int_equal(
        casebus_evidence_verify(&evidence, stranger->file.data, stranger->file.size, &stranger->trust, &err),
        0);
    assert_int_equal(casebus_evidence_fact(evidence, 0, &fact), 1);
    assert_string_equal(fact.fact, "checkpoint");
    assert_string_equal(fact.name, "js.example/exchange/1");
    assert_int_equal(fact.count, 16);
    assert_int_equal(count_facts(evidence, "event"), 4);
    assert_int_equal(count_facts(evidence, "part"), 1);
    assert_true(count_facts(evidence, "received") > 0);
    assert_int_equal(casebus_evidence_gap(evidence, 0, &gap), 1);
    assert_string_equal(gap.gap, "unwitnessed");
    assert_int_equal(casebus_evidence_gap(evidence, 1000, &gap), 0);
    assert_null(casebus_evidence_free(evidence));
    assert_null(casebus_evidence_free(NULL));
}

static void refused(struct stranger *stranger, enum casebus_code code)
{
    struct casebus_error err = {0};
    struct casebus_evidence *evidence;
    assert_int_equal(
        casebus_evidence_verify(&evidence, stranger->file.data, stranger->file.size, &stranger->trust, &err),
        -1);
    assert_null(evidence);
    assert_string_equal(casebus_code_text(err.code), casebus_code_text(code));
}

static void test_what_was_changed_proves_nothing(void **state)
{
    struct stranger *stranger = *state;
    stranger->file.data[stranger->file.size - 1] ^= 1;
    refused(stranger, CASEBUS_BAD_FIELD); /* the last link of a confirmation */
}

static void test_trust_that_makes_no_sense_is_refused(void **state)
{
    struct stranger *stranger = *state;
    stranger->trust.quorum = 1;
    refused(stranger, CASEBUS_ARGUMENT);
    stranger->trust.quorum = 0;
    stranger->trust.n_hubs = 0;
    refused(stranger, CASEBUS_ARGUMENT);
    stranger->trust.n_hubs = 1;
    stranger->log_keys[0] = "nobody";
    refused(stranger, CASEBUS_KEY);
    stranger->log_keys[0] = stranger->log_key;
    stranger->authorities[0] = "/nowhere";
    refused(stranger, CASEBUS_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_facts_and_gaps_are_handed_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_changed_proves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trust_that_makes_no_sense_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
