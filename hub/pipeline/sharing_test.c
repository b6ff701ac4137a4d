/* P8 and P10: the policy in force decides who sees an event, from its entry on and after a restart. */
#include "hub/pipeline/pipeline_fixture.h"
#include "hub/pipeline/sharing.h"

struct fixture {
    struct pipeline_fixture pipeline;
    struct test_node bureau;
    struct buffer faults;
    struct casebus_error err;
};

static const struct act_note note = {"operator-1", "because of a test", ""};

static const char for_the_bureau[] = "grants:\n"
                                     "  - to: {node: bureau}\n"
                                     "    items: [\"*\"]\n"
                                     "    parts: [form]\n"
                                     "    purpose: p\n"
                                     "    basis: b\n"
                                     "    until: 2099-12-31\n";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    pipeline_fixture_init(&f->pipeline);
    fixture_start(&f->pipeline);
    fixture_enrol_both(&f->pipeline);
    test_node_init(&f->pipeline.gate, &f->bureau, "bureau");
    fixture_renew(&f->pipeline, &f->bureau);
    fixture_enrol(&f->pipeline, &f->bureau);
    buffer_init(&f->faults, 64 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    test_node_deinit(&f->bureau);
    pipeline_fixture_deinit(&f->pipeline);
    buffer_deinit(&f->faults);
    free(f);
    return 0;
}

static int apply(struct fixture *f, const char *text, uint32_t base)
{
    uint32_t version;
    return pipeline_apply_policy(f->pipeline.pipeline, bytes_of_text(text), base, &note, &version, &f->faults,
                                 &f->err);
}

/* What the entry of one more event says of the bureau; NULL: nothing. */
static const Casebus__V1__Receiver *bureau_sees(struct fixture *f, const char *label)
{
    const struct job *job = fixture_publish(&f->pipeline, label, 1);
    const Casebus__V1__EventEntry *event = fixture_entry(&f->pipeline, job->seal_position + 1)->event;
    for (size_t i = 0; i < event->n_receiver; i++)
        if (strcmp(event->receiver[i]->node, "bureau") == 0)
            return event->receiver[i];
    return NULL;
}

static uint32_t version_in_force(struct fixture *f)
{
    struct rights_book *book = pipeline_policy(f->pipeline.pipeline);
    uint32_t version = rights_book_version(book);
    rights_book_unref(book);
    return version;
}

static void test_a_policy_counts_from_its_entry_on_and_after_a_restart(void **state)
{
    struct fixture *f = *state;
    assert_null(bureau_sees(f, "before"));
    assert_int_equal(apply(f, for_the_bureau, 0), 0);
    const Casebus__V1__Receiver *receiver = bureau_sees(f, "after");
    assert_non_null(receiver);
    assert_int_equal(receiver->rule, 1);
    assert_int_not_equal(receiver->part_mask, 0);
    fixture_stop(&f->pipeline);
    fixture_start(&f->pipeline);
    assert_int_equal(version_in_force(f), 1);
    assert_non_null(bureau_sees(f, "again"));
    assert_int_equal(apply(f, "grants: []\n", 1), 0);
    assert_null(bureau_sees(f, "no-more"));
}

static void test_a_policy_made_from_an_older_one_is_not_applied(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(apply(f, for_the_bureau, 0), 0);
    assert_int_equal(apply(f, "grants: []\n", 0), -1);
    assert_int_equal(f->err.code, CASEBUS_EXISTS);
    assert_int_equal(version_in_force(f), 1);
    assert_non_null(bureau_sees(f, "a"));
}

static void test_a_policy_with_faults_changes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(apply(f, "grants: [7]\n", 0), -1);
    assert_int_equal(f->err.code, CASEBUS_CONFIG);
    assert_true(f->faults.size > 0);
    assert_int_equal(version_in_force(f), 0);
    assert_null(bureau_sees(f, "a"));
}

static void test_a_long_policy_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct buffer text;
    buffer_init(&text, RIGHTS_FILE_MAX);
    while (text.size < RIGHTS_FILE_MAX - 200)
        assert_true(buffer_printf(&text, "# %099d\n", 7));
    assert_true(buffer_append(&text, "grants: []\n\0", 12));
    assert_int_equal(apply(f, (const char *)text.data, 0), 0);
    fixture_stop(&f->pipeline);
    fixture_start(&f->pipeline);
    struct rights_book *book = pipeline_policy(f->pipeline.pipeline);
    struct bytes kept = rights_book_text(book);
    assert_int_equal(kept.size, text.size - 1);
    assert_memory_equal(kept.data, text.data, kept.size);
    rights_book_unref(book);
    buffer_deinit(&text);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_policy_counts_from_its_entry_on_and_after_a_restart),
        T(test_a_policy_made_from_an_older_one_is_not_applied),
        T(test_a_policy_with_faults_changes_nothing),
        T(test_a_long_policy_comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
