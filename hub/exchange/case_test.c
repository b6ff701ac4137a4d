#include "hub/exchange/case.h"

#include "hub/exchange/case_dump.h"
#include "proto/casebus/v1/event.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_US INT64_C(3600000000)
#define DAY_US  (24 * HOUR_US)

#define KIND(name) CASEBUS__V1__KIND__KIND_##name

/* A case in a test: records numbered as they come, one an hour unless the test says otherwise. */
struct story {
    struct case_record records[64];
    uint32_t n;
    struct case_state state;
};

static struct case_record *tell_at(struct story *story, int kind, int64_t at_us)
{
    struct case_record *record = &story->records[story->n];
    *record = (struct case_record){.revision = 1,
                                   .occurred_at_us = at_us,
                                   .operation = CASEBUS__V1__OPERATION__OPERATION_PUT,
                                   .kind = (uint8_t)kind,
                                   .precision = CASEBUS__V1__PRECISION__PRECISION_INSTANT};
    put_u32be(record->key, ++story->n);
    return record;
}

static struct case_record *tell(struct story *story, int kind)
{
    return tell_at(story, kind, 100 * DAY_US + story->n * HOUR_US);
}

static struct case_record *tell_date(struct story *story, int kind, int64_t day)
{
    struct case_record *record = tell_at(story, kind, day * DAY_US);
    record->precision = CASEBUS__V1__PRECISION__PRECISION_DATE;
    return record;
}

static enum case_status ends_as(struct story *story)
{
    case_fold(story->records, story->n, &story->state);
    return story->state.status;
}

static void test_case_without_records_is_nothing(void **unused)
{
    (void)unused;
    struct story story = {0};
    assert_int_equal(ends_as(&story), CASE_NOTHING);
    assert_int_equal(story.state.findings, 0);
    assert_int_equal(story.state.first_at_us, 0);
}

static void test_case_goes_through_its_stages(void **unused)
{
    (void)unused;
    static const struct {
        int kind;
        enum case_status status;
    } stages[] = {
        {KIND(STEP), CASE_NOTHING},         {KIND(APPLY), CASE_APPLIED},
        {KIND(RECEIVE), CASE_RECEIVED},     {KIND(SUPPLEMENT_NOTICE), CASE_SUPPLEMENT},
        {KIND(SUPPLEMENT), CASE_RECEIVED},  {KIND(ACCEPT), CASE_ACCEPTED},
        {KIND(STEP), CASE_ACCEPTED},        {KIND(SPECIAL_BEGIN), CASE_STOPPED},
        {KIND(SPECIAL_END), CASE_ACCEPTED}, {KIND(EXTEND), CASE_ACCEPTED},
        {KIND(DECIDE), CASE_DECIDED},       {KIND(FINISH), CASE_FINISHED},
        {KIND(DELIVER), CASE_DELIVERED},    {KIND(RATE), CASE_DELIVERED},
        {KIND(ANNUL), CASE_ANNULLED},
    };
    struct story story = {0};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        tell(&story, stages[i].kind);
        assert_int_equal(ends_as(&story), stages[i].status);
    }
    assert_int_equal(story.state.findings, 0);
    assert_int_equal(story.state.n_records, sizeof stages / sizeof *stages);
}

static void test_case_keeps_first_acceptance_and_last_finish(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell_at(&story, KIND(ACCEPT), 3 * DAY_US);
    tell_at(&story, KIND(ACCEPT), 2 * DAY_US);
    tell_at(&story, KIND(FINISH), 8 * DAY_US)->detail = 1;
    tell_at(&story, KIND(FINISH), 9 * DAY_US)->detail = 2;
    assert_int_equal(ends_as(&story), CASE_FINISHED);
    assert_int_equal(story.state.accepted_at_us, 2 * DAY_US);
    assert_int_equal(story.state.finished_at_us, 9 * DAY_US);
    assert_int_equal(story.state.finish_kind_plus1, 2);
    assert_int_equal(story.state.first_at_us, 2 * DAY_US);
    assert_int_equal(story.state.last_at_us, 9 * DAY_US);
}

static void test_case_last_word_on_acceptance_counts(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(REFUSE_ACCEPT));
    assert_int_equal(ends_as(&story), CASE_REFUSED);
    tell(&story, KIND(ACCEPT));
    assert_int_equal(ends_as(&story), CASE_ACCEPTED);
}

static void test_case_withdrawn_only_while_open(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(ACCEPT));
    tell(&story, KIND(WITHDRAW));
    tell(&story, KIND(FINISH));
    assert_int_equal(ends_as(&story), CASE_WITHDRAWN);

    struct story late = {0};
    tell(&late, KIND(FINISH));
    tell(&late, KIND(WITHDRAW));
    assert_int_equal(ends_as(&late), CASE_FINISHED);
}

static void test_case_deleted_record_says_nothing(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(APPLY));
    tell(&story, KIND(FINISH))->operation = CASEBUS__V1__OPERATION__OPERATION_DELETE;
    assert_int_equal(ends_as(&story), CASE_APPLIED);
    assert_int_equal(story.state.n_records, 1);
    assert_int_equal(story.state.n_deleted, 1);
    assert_int_equal(story.state.finished_at_us, 0);
}

static void test_case_extension_stops_no_clock(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(ACCEPT));
    tell(&story, KIND(SPECIAL_BEGIN))->detail = 1;
    assert_int_equal(ends_as(&story), CASE_ACCEPTED);
    tell(&story, KIND(SPECIAL_END))->detail = 1;
    assert_int_equal(ends_as(&story), CASE_ACCEPTED);
    assert_int_equal(story.state.findings, 0);
}

static void test_case_finds_second_supplement_notice(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(SUPPLEMENT_NOTICE));
    tell(&story, KIND(SUPPLEMENT));
    tell(&story, KIND(SUPPLEMENT_NOTICE));
    assert_int_equal(ends_as(&story), CASE_SUPPLEMENT);
    assert_int_equal(story.state.findings, FINDING_SECOND_SUPPLEMENT);
}

static void test_case_finds_special_that_never_began(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(ACCEPT));
    tell(&story, KIND(SPECIAL_END));
    assert_int_equal(ends_as(&story), CASE_ACCEPTED);
    assert_int_equal(story.state.findings, FINDING_SPECIAL_NOT_BEGUN);
}

static void test_case_finds_finish_while_stopped(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(SPECIAL_BEGIN));
    tell(&story, KIND(FINISH));
    tell(&story, KIND(SPECIAL_END));
    assert_int_equal(ends_as(&story), CASE_FINISHED);
    assert_int_equal(story.state.findings, FINDING_FINISH_WHILE_STOPPED);
}

static void test_case_finds_accept_after_finish(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell(&story, KIND(FINISH));
    tell(&story, KIND(ACCEPT));
    assert_int_equal(ends_as(&story), CASE_FINISHED);
    assert_int_equal(story.state.findings, FINDING_ACCEPT_AFTER_FINISH);
}

static void test_case_accuses_nobody_within_a_date(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell_at(&story, KIND(ACCEPT), 5 * DAY_US + 10 * HOUR_US);
    tell_at(&story, KIND(SPECIAL_BEGIN), 5 * DAY_US + 11 * HOUR_US);
    tell_date(&story, KIND(SPECIAL_END), 5);
    tell_date(&story, KIND(FINISH), 5);
    assert_int_equal(ends_as(&story), CASE_FINISHED);
    assert_int_equal(story.state.findings, 0);

    struct story ended_that_day = {0};
    tell_at(&ended_that_day, KIND(SPECIAL_BEGIN), 3 * DAY_US);
    tell_at(&ended_that_day, KIND(SPECIAL_END), 5 * DAY_US + 9 * HOUR_US);
    tell_at(&ended_that_day, KIND(ACCEPT), 5 * DAY_US + 9 * HOUR_US);
    tell_date(&ended_that_day, KIND(FINISH), 5);
    tell_at(&ended_that_day, KIND(WITHDRAW), 5 * DAY_US + 10 * HOUR_US);
    assert_int_equal(ends_as(&ended_that_day), CASE_WITHDRAWN);
    assert_int_equal(ended_that_day.state.findings, 0);

    struct story answered = {0};
    tell_at(&answered, KIND(SUPPLEMENT_NOTICE), 5 * DAY_US + 10 * HOUR_US);
    tell_date(&answered, KIND(SUPPLEMENT), 5);
    assert_int_equal(ends_as(&answered), CASE_RECEIVED);
}

static void test_case_equal_times_go_by_rank(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell_at(&story, KIND(ACCEPT), DAY_US);
    tell_at(&story, KIND(REFUSE_ACCEPT), DAY_US);
    tell_at(&story, KIND(APPLY), DAY_US);
    tell_at(&story, KIND(OTHER), DAY_US);
    case_fold(story.records, story.n, &story.state);
    assert_int_equal(story.records[0].kind, KIND(APPLY));
    assert_int_equal(story.records[1].kind, KIND(ACCEPT));
    assert_int_equal(story.records[3].kind, KIND(OTHER));
    assert_int_equal(story.state.status, CASE_REFUSED);
}

static void test_case_survives_times_at_the_edge(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell_at(&story, KIND(FINISH), INT64_MAX)->precision = CASEBUS__V1__PRECISION__PRECISION_DATE;
    tell_at(&story, KIND(SPECIAL_BEGIN), INT64_MIN)->precision = CASEBUS__V1__PRECISION__PRECISION_DATE;
    tell_at(&story, KIND(SUPPLEMENT_NOTICE), INT64_MIN);
    assert_int_equal(ends_as(&story), CASE_FINISHED);
}

static bool in_order(const struct case_record *records, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (records[i - 1].occurred_at_us > records[i].occurred_at_us ||
            (records[i - 1].occurred_at_us == records[i].occurred_at_us &&
             memcmp(records[i - 1].key, records[i].key, RECORD_KEY_SIZE) >= 0))
            return false;
    return true;
}

static void test_case_sorts_any_order(void **unused)
{
    (void)unused;
    struct case_record *records = calloc(CASE_RECORDS_MAX, sizeof *records);
    assert_non_null(records);
    for (unsigned order = 0; order < 3; order++) {
        for (uint32_t i = 0; i < CASE_RECORDS_MAX; i++) {
            uint32_t at = order == 0 ? i : order == 1 ? CASE_RECORDS_MAX - i : i * 2654435761u % 97;
            records[i] = (struct case_record){.kind = KIND(STEP), .occurred_at_us = at};
            put_u32be(records[i].key, order == 1 ? at : i);
        }
        struct case_state state;
        case_fold(records, CASE_RECORDS_MAX, &state);
        assert_true(in_order(records, CASE_RECORDS_MAX));
        assert_int_equal(state.n_records, CASE_RECORDS_MAX);
    }
    free(records);
}

/* ---- the set ---- */

static struct case_record statement(uint64_t revision, unsigned operation, uint8_t digest)
{
    struct case_record record = {.revision = revision, .operation = (uint8_t)operation, .kind = KIND(STEP)};
    record.key[0] = 7;
    record.header_digest[0] = digest;
    return record;
}

static void test_record_greatest_statement_wins(void **unused)
{
    (void)unused;
    struct case_record rising[] = {statement(0, 1, 9), statement(0, 3, 1), statement(1, 1, 1),
                                   statement(1, 2, 1), statement(1, 2, 2), statement(2, 1, 0)};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++)
            assert_int_equal(record_wins(&rising[i], &rising[j]), i > j);
}

static void test_record_set_does_not_depend_on_order(void **unused)
{
    (void)unused;
    struct case_record said[] = {statement(1, 1, 1), statement(1, 1, 2), statement(2, 2, 3),
                                 statement(2, 2, 4)};
    for (unsigned order = 0; order < 24; order++) {
        struct case_record records[4];
        uint32_t n = 0, left = 4, pick = order;
        size_t at[] = {0, 1, 2, 3};
        for (; left > 0; pick /= left, left--) {
            size_t i = pick % left;
            assert_int_equal(case_put(records, &n, 4, &said[at[i]], NULL), 0);
            memmove(&at[i], &at[i + 1], (3 - i) * sizeof *at);
        }
        assert_int_equal(n, 1);
        assert_int_equal(records[0].header_digest[0], 4);
        assert_int_equal(records[0].flags, RECORD_CONFLICTED);
    }
}

static void test_record_newer_revision_heals_a_clash(void **unused)
{
    (void)unused;
    struct case_record records[4], said[] = {statement(1, 1, 1), statement(1, 1, 2), statement(2, 2, 3)};
    static const size_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    for (size_t order = 0; order < 3; order++) {
        uint32_t n = 0;
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(case_put(records, &n, 4, &said[orders[order][i]], NULL), 0);
        assert_int_equal(records[0].revision, 2);
        assert_int_equal(records[0].flags, 0);
    }
}

static void test_case_clash_becomes_a_finding(void **unused)
{
    (void)unused;
    struct case_record records[2], a = statement(1, 1, 1), b = statement(1, 1, 2);
    struct case_state state;
    uint32_t n = 0;
    assert_int_equal(case_put(records, &n, 2, &a, NULL), 0);
    assert_int_equal(case_put(records, &n, 2, &b, NULL), 0);
    case_fold(records, n, &state);
    assert_int_equal(state.findings, FINDING_CONFLICT);
    assert_int_equal(state.n_conflicts, 1);
}

static void test_case_refuses_more_than_its_capacity(void **unused)
{
    (void)unused;
    struct case_record records[2], a = statement(1, 1, 1);
    struct casebus_error err;
    uint32_t n = 0;
    for (uint8_t i = 0; i < 2; i++) {
        a.key[1] = i;
        assert_int_equal(case_put(records, &n, 2, &a, &err), 0);
    }
    a.key[1] = 9;
    assert_int_equal(case_put(records, &n, 2, &a, &err), -1);
    assert_int_equal(err.code, CASEBUS_CASE_FULL);
    a.key[1] = 1;
    assert_int_equal(case_put(records, &n, 2, &a, &err), 0);
    case_remove(records, &n, a.key);
    assert_int_equal(n, 1);
    assert_null(case_find(records, n, a.key));
}

static void test_case_row_reads_back_what_was_written(void **unused)
{
    (void)unused;
    static uint8_t encoded[CASE_ROW_MAX];
    struct story story = {0}, back = {0};
    tell(&story, KIND(ACCEPT))->position = 77;
    tell(&story, KIND(FINISH))->detail = 6;
    ends_as(&story);
    struct case_row row = {.position = 2020,
                           .slot = 5,
                           .opened_at_us = -3,
                           .state = story.state,
                           .n_records = story.n,
                           .n_aliases = 2,
                           .aliases = {{{1, 2}, 3}, {{4, 5}, 6}}};
    struct case_row read;
    size_t size = case_row_encode(encoded, &row, story.records);
    assert_int_equal(case_row_decode(bytes_of(encoded, size), &read, back.records, 64, NULL), 0);
    assert_int_equal(read.position, 2020);
    assert_int_equal(read.slot, 5);
    assert_int_equal(read.opened_at_us, -3);
    assert_int_equal(read.state.status, CASE_FINISHED);
    assert_int_equal(read.state.finished_at_us, story.state.finished_at_us);
    assert_int_equal(read.state.finish_kind_plus1, 6);
    assert_int_equal(read.n_aliases, 2);
    assert_memory_equal(read.aliases, row.aliases, 2 * sizeof row.aliases[0]);
    assert_memory_equal(back.records, story.records, story.n * sizeof *story.records);
}

static void test_case_row_refuses_cut_bytes(void **unused)
{
    (void)unused;
    static uint8_t encoded[CASE_ROW_MAX];
    struct story story = {0};
    tell(&story, KIND(ACCEPT));
    struct case_row row = {.n_records = 1, .n_aliases = 1, .aliases = {{{1}, 2}}}, read;
    size_t size = case_row_encode(encoded, &row, story.records);
    struct casebus_error err;
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(case_row_decode(bytes_of(encoded, cut), &read, NULL, 0, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
    }
    assert_int_equal(case_row_decode(bytes_of(encoded, size), &read, story.records, 0, &err), -1);
}

static void test_case_dump_is_one_line_of_json(void **unused)
{
    (void)unused;
    struct story story = {0};
    tell_date(&story, KIND(APPLY), 1);
    tell_date(&story, KIND(OTHER), 1)->operation = CASEBUS__V1__OPERATION__OPERATION_DELETE;
    ends_as(&story);
    struct case_told told = {.number = "苏\"1\\\n",
                             .aliases = {"b", "a"},
                             .n_aliases = 2,
                             .records = story.records,
                             .n_records = story.n};
    struct buffer out;
    buffer_init(&out, 4096);
    assert_int_equal(case_dump(&out, &told, NULL), 0);
    assert_true(buffer_append(&out, "", 1));
    assert_string_equal(
        out.data,
        "{\"number\":\"苏\\\"1\\\\\\u000a\",\"aliases\":[\"a\",\"b\"],\"status\":\"applied\",\"n_records\":1,"
        "\"n_deleted\":1,\"n_conflicts\":0,\"applied_at_us\":86400000000,\"received_at_us\":0,"
        "\"accepted_at_us\":0,\"decided_at_us\":0,\"finished_at_us\":0,\"first_at_us\":86400000000,"
        "\"last_at_us\":86400000000,\"finish_kind_plus1\":0,\"findings\":0,\"records\":["
        "{\"key\":\"00000001000000000000000000000000\",\"revision\":1,\"operation\":\"put\",\"kind\":"
        "\"apply\","
        "\"occurred_at_us\":86400000000,\"precision\":2,\"detail\":0,\"flags\":0},"
        "{\"key\":\"00000002000000000000000000000000\",\"revision\":1,\"operation\":\"delete\",\"kind\":"
        "\"other\","
        "\"occurred_at_us\":86400000000,\"precision\":2,\"detail\":0,\"flags\":0}]}\n");
    buffer_deinit(&out);
    buffer_init(&out, 100);
    assert_int_equal(case_dump(&out, &told, NULL), -1);
    buffer_deinit(&out);
}

static void test_status_has_a_name_and_a_title(void **unused)
{
    (void)unused;
    for (int status = CASE_NOTHING; status <= CASE_ANNULLED; status++) {
        assert_non_null(case_status_name((enum case_status)status));
        assert_non_null(case_status_title((enum case_status)status));
    }
    assert_string_equal(case_status_name((enum case_status)200), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_without_records_is_nothing),
        cmocka_unit_test(test_case_goes_through_its_stages),
        cmocka_unit_test(test_case_keeps_first_acceptance_and_last_finish),
        cmocka_unit_test(test_case_last_word_on_acceptance_counts),
        cmocka_unit_test(test_case_withdrawn_only_while_open),
        cmocka_unit_test(test_case_deleted_record_says_nothing),
        cmocka_unit_test(test_case_extension_stops_no_clock),
        cmocka_unit_test(test_case_finds_second_supplement_notice),
        cmocka_unit_test(test_case_finds_special_that_never_began),
        cmocka_unit_test(test_case_finds_finish_while_stopped),
        cmocka_unit_test(test_case_finds_accept_after_finish),
        cmocka_unit_test(test_case_accuses_nobody_within_a_date),
        cmocka_unit_test(test_case_equal_times_go_by_rank),
        cmocka_unit_test(test_case_survives_times_at_the_edge),
        cmocka_unit_test(test_case_sorts_any_order),
        cmocka_unit_test(test_record_greatest_statement_wins),
        cmocka_unit_test(test_record_set_does_not_depend_on_order),
        cmocka_unit_test(test_record_newer_revision_heals_a_clash),
        cmocka_unit_test(test_case_clash_becomes_a_finding),
        cmocka_unit_test(test_case_refuses_more_than_its_capacity),
        cmocka_unit_test(test_case_row_reads_back_what_was_written),
        cmocka_unit_test(test_case_row_refuses_cut_bytes),
        cmocka_unit_test(test_case_dump_is_one_line_of_json),
        cmocka_unit_test(test_status_has_a_name_and_a_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
