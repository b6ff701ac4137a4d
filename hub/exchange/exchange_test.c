#include "hub/exchange/exchange_fixture.h"

#include "proto/casebus/v1/session.pb-c.h"
#include "proto/codec/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIND(name)      CASEBUS__V1__KIND__KIND_##name
#define OPERATION(name) CASEBUS__V1__OPERATION__OPERATION_##name

/* STATEMENT("record", "case number", .field = value ...) */
#define STATEMENT(id, ...) (&(struct statement){.record = id, .number = __VA_ARGS__})

static int setup(void **state)
{
    *state = malloc(sizeof(struct fixture));
    fixture_init(*state);
    return 0;
}

static int teardown(void **state)
{
    fixture_deinit(*state);
    free(*state);
    return 0;
}

static void assert_refused(struct fixture *hub, const char *node, const struct statement *statement,
                           enum casebus_code code)
{
    assert_int_equal(fixture_publish(hub, node, statement), VERDICT_REFUSED);
    assert_int_equal(hub->decision.refusal.code, code);
    assert_true(hub->decision.refusal.text[0] != '\0');
}

/* ---- decide ---- */

static void test_decide_opens_a_case_with_the_fresh_id(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "2020-1", .kind = KIND(APPLY))),
                     VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.slot, 0);
    assert_int_equal(get_u64be(hub->decision.case_id), 1);
    assert_true(fixture_case(hub, "2020-1", &row, NULL));
    assert_int_equal(row.position, 1);
    assert_int_equal(row.slot, 1);
    assert_int_equal(row.opened_at_us, hub->hub_time_us);
    assert_int_equal(row.state.status, CASE_APPLIED);
}

static void test_decide_finds_the_case_and_its_slot(void **state)
{
    struct fixture *hub = *state;
    uint8_t first[16];
    fixture_publish(hub, "desk", STATEMENT("r1", "2020-1"));
    memcpy(first, hub->decision.case_id, sizeof first);
    fixture_publish(hub, "desk", STATEMENT("r2", "2020-2"));
    assert_int_equal(fixture_publish(hub, "bureau", STATEMENT("r3", "2020-1")), VERDICT_ACCEPTED);
    assert_memory_equal(hub->decision.case_id, first, sizeof first);
    assert_int_equal(hub->decision.slot, 1);
}

static void test_decide_refuses_who_may_not_publish(void **state)
{
    struct fixture *hub = *state;
    assert_refused(hub, "quiet", STATEMENT("r1", "1"), CASEBUS_NOT_ALLOWED);
    assert_refused(hub, "office", STATEMENT("r1", "1"), CASEBUS_NOT_ALLOWED);
    assert_refused(hub, "stranger", STATEMENT("r1", "1"), CASEBUS_NOT_ALLOWED);
    hub->n_nodes = 0;
    assert_refused(hub, "desk", STATEMENT("r1", "1"), CASEBUS_NOT_ALLOWED);
}

/* The statement has no item: only a row about every one lets it. */
static void test_decide_refuses_what_no_row_lets_publish(void **state)
{
    struct fixture *hub = *state;
    struct rights_row row = {.number = 3,
                             .relation = RIGHTS_PUBLISHING,
                             .to = {.node = "desk"},
                             .publish_kinds = RIGHTS_ALL_KINDS};
    struct rights rights = {.version = 1, .rows = &row, .n_rows = 1};
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r0", "1")), VERDICT_ACCEPTED);
    hub->rights = &rights; /* it says nothing of publishing */
    assert_int_equal(fixture_publish(hub, "bureau", STATEMENT("r1", "1")), VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.rule, 0);
    rights.limits_publishing = true;
    assert_refused(hub, "bureau", STATEMENT("r2", "1"), CASEBUS_NOT_COMPETENT);
    assert_non_null(strstr(hub->decision.refusal.text, "'bureau'"));
    assert_true(hub->decision.refusal.hint[0]);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r3", "1")), VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.rule, 3);
    /* What was taken before is no news, whatever the policy says by now. */
    assert_int_equal(fixture_publish(hub, "bureau", STATEMENT("r1", "1")), VERDICT_DUPLICATE);
    assert_refused(hub, "quiet", STATEMENT("r4", "1"), CASEBUS_NOT_ALLOWED);
}

static void test_decide_refuses_event_without_case_number(void **state)
{
    assert_refused(*state, "desk", STATEMENT("r1", ""), CASEBUS_MISSING_FIELD);
}

static void test_decide_refuses_endless_case_number(void **state)
{
    char number[CASE_NUMBER_MAX + 2];
    memset(number, '1', sizeof number);
    number[CASE_NUMBER_MAX + 1] = 0;
    assert_refused(*state, "desk", STATEMENT("r1", number), CASEBUS_BAD_FIELD);
    number[CASE_NUMBER_MAX] = 0;
    assert_int_equal(fixture_publish(*state, "desk", STATEMENT("r1", number)), VERDICT_ACCEPTED);
}

static void test_decide_refuses_the_future_even_as_history(void **state)
{
    struct fixture *hub = *state;
    int64_t tomorrow = hub->hub_time_us + DAY_US;
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .at_us = tomorrow)), VERDICT_ACCEPTED);
    assert_refused(hub, "desk", STATEMENT("r2", "1", .at_us = tomorrow + 1), CASEBUS_FUTURE);
    assert_refused(hub, "desk", STATEMENT("r2", "1", .at_us = INT64_MAX, .backfill = true), CASEBUS_FUTURE);
}

static void test_decide_knows_a_resent_record(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r0", "1"));
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "as before"));
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "as before")),
                     VERDICT_DUPLICATE);
    assert_int_equal(hub->decision.duplicate_of, 2);
}

static void test_decide_knows_older_revisions_again(void **state)
{
    struct fixture *hub = *state;
    for (uint64_t revision = 1; revision <= RECORD_STATEMENTS_MAX; revision++)
        assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .revision = revision)),
                         VERDICT_ACCEPTED);
    for (uint64_t revision = 1; revision <= RECORD_STATEMENTS_MAX; revision++) {
        assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .revision = revision)),
                         VERDICT_DUPLICATE);
        assert_int_equal(hub->decision.duplicate_of, revision);
    }
}

/* Even a source that changes its rows often may send its whole past again, in any order. */
static void test_decide_knows_every_revision_again(void **state)
{
    struct fixture *hub = *state;
    enum { N = 3 * RECORD_STATEMENTS_MAX + 2 };
    uint64_t order[N];
    for (uint64_t i = 0; i < N; i++)
        order[i] = i * 7 % N + 1;
    for (size_t i = 0; i < N; i++)
        assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .revision = order[i])),
                         VERDICT_ACCEPTED);
    for (size_t i = N; i-- > 0;) {
        assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .revision = order[i])),
                         VERDICT_DUPLICATE);
        assert_int_equal(hub->decision.duplicate_of, i + 1);
    }
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "new", .revision = 1)),
                     VERDICT_ACCEPTED);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "new", .revision = 1)),
                     VERDICT_DUPLICATE);
}

static void test_decide_tells_put_from_delete(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .operation = OPERATION(DELETE))),
                     VERDICT_ACCEPTED);
}

static void test_decide_refuses_a_record_of_another_node(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    assert_refused(hub, "bureau", STATEMENT("r1", "1", .revision = 2), CASEBUS_RECORD_OWNER);
    assert_refused(hub, "bureau", STATEMENT("r1", "1"), CASEBUS_RECORD_OWNER);
}

static void test_decide_sentences_repeat_no_record_and_no_case(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r-zhang-san", "zhang-1"));
    assert_refused(hub, "bureau", STATEMENT("r-zhang-san", "zhang-1"), CASEBUS_RECORD_OWNER);
    assert_null(strstr(hub->decision.refusal.text, "zhang"));
    assert_refused(hub, "desk", STATEMENT("r-zhang-2", "zhang-1", .at_us = INT64_MAX), CASEBUS_FUTURE);
    assert_null(strstr(hub->decision.refusal.text, "zhang"));
}

static void test_decide_sends_to_all_receivers_but_the_sender(void **state)
{
    struct fixture *hub = *state;
    hub->nodes[1].receive_all = true;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    assert_int_equal(hub->decision.n_receivers, 1);
    assert_string_equal(hub->decision.receivers[0].node, "office");
    assert_int_equal(hub->decision.receivers[0].part_mask, 2); /* the form, not the contact */
    fixture_publish(hub, "bureau", STATEMENT("r2", "1"));
    assert_int_equal(hub->decision.n_receivers, 2);
    assert_string_equal(hub->decision.receivers[0].node, "desk");
    assert_int_equal(hub->decision.receivers[0].part_mask, 0);
}

static void test_part_kinds_have_bits_of_their_own(void **unused)
{
    (void)unused;
    assert_int_equal(part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_UNSPECIFIED), 0);
    assert_int_equal(part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_IDENTITY), 2);
    assert_int_equal(part_kind_bit(CASEBUS__V1__PART_KIND__PART_KIND_OTHER), UINT32_C(1) << 31);
    assert_int_equal(part_kind_bit((Casebus__V1__PartKind)31), 0);
    assert_int_equal(part_kind_bit((Casebus__V1__PartKind)-1), 0);
}

/* Nobody may have more records in a case than are left: one alone has half of them, and another that knows
 * its number cannot fill it. */
static void test_no_publisher_fills_a_case(void **state)
{
    struct fixture *hub = *state;
    char record[16];
    enum { ALONE = CASE_RECORDS_MAX / 2, SECOND = CASE_RECORDS_MAX / 4 };
    for (unsigned i = 0; i < ALONE; i++) {
        snprintf(record, sizeof record, "r%u", i);
        assert_int_equal(fixture_publish(hub, "desk", STATEMENT(record, "1")), VERDICT_ACCEPTED);
        if (i % 64 == 0)
            arena_reset(&hub->arena);
    }
    fixture_publish(hub, "desk", STATEMENT("elsewhere", "2"));
    assert_refused(hub, "desk", STATEMENT("one more", "1"), CASEBUS_CASE_FULL);
    assert_refused(hub, "desk", STATEMENT("elsewhere", "1", .revision = 2), CASEBUS_CASE_FULL);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r7", "1", .revision = 2)), VERDICT_ACCEPTED);
    for (unsigned i = 0; i < SECOND; i++) {
        snprintf(record, sizeof record, "s%u", i);
        assert_int_equal(fixture_publish(hub, "bureau", STATEMENT(record, "1")), VERDICT_ACCEPTED);
        if (i % 64 == 0)
            arena_reset(&hub->arena);
    }
    assert_refused(hub, "bureau", STATEMENT("one more", "1"), CASEBUS_CASE_FULL);
    hub->nodes[3].publish = true;
    assert_int_equal(fixture_publish(hub, "quiet", STATEMENT("mine", "1")), VERDICT_ACCEPTED);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r7", "3", .revision = 3)), VERDICT_ACCEPTED);
}

/* ---- what an event changes for those who knew its record ---- */

/* Item "company" is the desk's to publish and quiet's to see; item "seal" is the bureau's, and the desk's,
 * too, and sent to nobody. "told" asks about companies. */
static const char *const company[] = {"company"}, *const stamp[] = {"seal"};
static const struct rights_row changing[] = {
    {.number = 1,
     .relation = RIGHTS_PUBLISHING,
     .to = {.node = "desk"},
     .items = {company, 1},
     .publish_kinds = RIGHTS_ALL_KINDS},
    {.number = 2,
     .relation = RIGHTS_PUBLISHING,
     .to = {.node = "desk"},
     .items = {stamp, 1},
     .publish_kinds = RIGHTS_ALL_KINDS},
    {.number = 3,
     .relation = RIGHTS_GRANT,
     .to = {.node = "quiet"},
     .items = {company, 1},
     .kinds = RIGHTS_ALL_KINDS},
    {.number = 4,
     .relation = RIGHTS_GRANT,
     .to = {.node = "told"},
     .items = {company, 1},
     .kinds = RIGHTS_ALL_KINDS,
     .questions = UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_FINISHED |
                  UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE},
    {.number = 5,
     .relation = RIGHTS_PUBLISHING,
     .to = {.node = "bureau"},
     .items = {stamp, 1},
     .publish_kinds = RIGHTS_ALL_KINDS},
};
#define FINISHED    (UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_FINISHED)
#define CERTIFICATE (UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_CERTIFICATE)

static void change_policy(struct fixture *hub, struct rights *rights)
{
    *rights = (struct rights){.version = 1, .rows = changing, .n_rows = 5, .limits_publishing = true};
    hub->rights = rights;
    hub->nodes[2] = (struct exchange_node){.name = "quiet", .department = "rsj", .area = ""};
    hub->nodes[3] = (struct exchange_node){.name = "told", .department = "gjj", .area = ""};
}

/* The only receiver of the last event that is @node and retracts or not; NULL when there is none. */
static const struct exchange_receiver *receiver_of(const struct fixture *hub, const char *node, bool retracts)
{
    const struct exchange_receiver *found = NULL;
    for (size_t i = 0; i < hub->decision.n_receivers; i++) {
        const struct exchange_receiver *receiver = &hub->decision.receivers[i];
        if (strcmp(receiver->node, node) != 0 || receiver->retracts != retracts)
            continue;
        assert_null(found);
        found = receiver;
    }
    return found;
}

static void test_an_item_that_was_lost_cannot_be_corrected_or_deleted_under_another(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    change_policy(hub, &rights);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company")), VERDICT_ACCEPTED);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r2", "1", .item = "seal")), VERDICT_ACCEPTED);
    struct rights_row rows[5];
    memcpy(rows, changing, sizeof rows);
    rows[0].to.node = "bureau"; /* companies are another's now */
    rights = (struct rights){.version = 2, .rows = rows, .n_rows = 5, .limits_publishing = true};
    for (int operation = OPERATION(CORRECT); operation <= OPERATION(DELETE); operation++)
        assert_refused(hub, "desk",
                       STATEMENT("r1", "1", .item = "seal", .revision = 2,
                                 .operation = (Casebus__V1__Operation)operation),
                       CASEBUS_NOT_COMPETENT);
    assert_non_null(strstr(hub->decision.refusal.text, "'company'"));
    assert_refused(hub, "desk", STATEMENT("r1", "1", .item = "company", .revision = 2),
                   CASEBUS_NOT_COMPETENT);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r2", "1", .item = "seal", .revision = 2)),
                     VERDICT_ACCEPTED);
}

static void test_the_kind_that_a_record_had_has_to_be_the_senders_too(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    struct rights_row rows[5];
    change_policy(hub, &rights);
    assert_int_equal(
        fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company", .kind = KIND(FINISH))),
        VERDICT_ACCEPTED);
    memcpy(rows, changing, sizeof rows);
    rows[0].publish_kinds = rights_kind_bit(KIND(RECEIVE)); /* a window for all */
    rights = (struct rights){.version = 2, .rows = rows, .n_rows = 5, .limits_publishing = true};
    assert_refused(hub, "desk",
                   STATEMENT("r1", "1", .item = "company", .kind = KIND(RECEIVE), .revision = 2,
                             .operation = OPERATION(DELETE)),
                   CASEBUS_NOT_COMPETENT);
}

static void test_who_saw_a_record_is_told_when_it_goes_where_it_may_not_look(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    change_policy(hub, &rights);
    fixture_publish(hub, "desk", STATEMENT("r0", "1", .item = "company"));
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company"));
    assert_non_null(receiver_of(hub, "quiet", false));
    assert_int_equal(hub->decision.replaces, 0);
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company", .revision = 2));
    assert_non_null(receiver_of(hub, "quiet", false));
    assert_null(receiver_of(hub, "quiet", true)); /* it sees what stands there now */
    fixture_publish(hub, "desk",
                    STATEMENT("r1", "1", .item = "seal", .revision = 3, .operation = OPERATION(DELETE)));
    assert_null(receiver_of(hub, "quiet", false));
    const struct exchange_receiver *receiver = receiver_of(hub, "quiet", true);
    assert_non_null(receiver);
    assert_int_equal(receiver->part_mask, 0);
    assert_int_equal(receiver->questions, 0);
    assert_int_equal(receiver->rule, 3);
    assert_int_equal(hub->decision.replaces, 3 + 1);
    assert_int_equal(store_memory_count(hub->memory, TABLE_INBOX), 4);
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "seal", .revision = 4));
    assert_int_equal(hub->decision.n_receivers, 0); /* it was told once */
}

static const struct statement *finish(uint64_t revision)
{
    static struct statement statement;
    statement = *STATEMENT("r1", "1", .item = "company", .kind = KIND(FINISH), .finish_kind_plus1 = 1,
                           .certificate = "7", .revision = revision);
    return &statement;
}

static void test_a_yes_is_taken_back_with_what_it_stood_on(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    struct statement moved[4];
    change_policy(hub, &rights);
    for (size_t i = 0; i < 4; i++)
        moved[i] = *finish(2);
    moved[0].number = "2"; /* another case: yes there, no here */
    moved[1].kind = KIND(STEP);
    moved[1].finish_kind_plus1 = 0;
    moved[1].certificate = NULL;
    moved[2].item = "seal";
    moved[3].operation = OPERATION(DELETE);
    moved[3].kind = KIND(STEP);
    moved[3].certificate = NULL;
    moved[3].finish_kind_plus1 = 0;
    for (size_t i = 0; i < 4; i++) {
        char record[8];
        snprintf(record, sizeof record, "m%zu", i);
        struct statement first = *finish(1);
        moved[i].record = first.record = record;
        fixture_publish(hub, "desk", &first);
        assert_int_equal(receiver_of(hub, "told", false)->questions, FINISHED | CERTIFICATE);
        assert_null(receiver_of(hub, "told", true));
        assert_int_equal(fixture_publish(hub, "desk", &moved[i]), VERDICT_ACCEPTED);
        const struct exchange_receiver *receiver = receiver_of(hub, "told", true);
        assert_non_null(receiver);
        assert_int_equal(receiver->questions, FINISHED | CERTIFICATE);
        assert_int_equal(receiver->rule, 4);
        assert_int_equal(receiver_of(hub, "told", false) != NULL, i == 0);
    }
}

static void test_nobody_hears_of_what_he_was_not_given_when_it_is_taken_back(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    struct rights_row rows[5];
    change_policy(hub, &rights);
    rights.n_rows = 2; /* nobody sees anything yet */
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company"));
    assert_int_equal(hub->decision.n_receivers, 0);
    rights.n_rows = 5;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "seal", .revision = 2));
    assert_int_equal(hub->decision.n_receivers, 0);

    /* Told a yes, and a step of which there was nothing to tell; then the right grows to all of it. */
    struct statement first = *finish(1), gone = *finish(2);
    first.record = gone.record = "r2";
    gone.item = "seal";
    fixture_publish(hub, "desk", &first);
    fixture_publish(hub, "desk", STATEMENT("r3", "1", .item = "company", .kind = KIND(STEP)));
    memcpy(rows, changing, sizeof rows);
    rows[3].questions = 0;
    rights = (struct rights){.version = 2, .rows = rows, .n_rows = 5, .limits_publishing = true};
    fixture_publish(hub, "desk", &gone);
    assert_int_equal(receiver_of(hub, "told", true)->questions, FINISHED | CERTIFICATE);
    fixture_publish(hub, "desk", STATEMENT("r3", "1", .item = "seal", .kind = KIND(STEP), .revision = 2));
    const struct exchange_receiver *receiver = receiver_of(hub, "told", true);
    assert_true(!receiver || (receiver->questions && !(receiver->questions & CERTIFICATE)));
}

static void test_a_yes_that_is_answered_anew_is_not_taken_back(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    change_policy(hub, &rights);
    fixture_publish(hub, "desk", finish(1));
    fixture_publish(hub, "desk", finish(2)); /* the same */
    assert_non_null(receiver_of(hub, "told", false));
    assert_null(receiver_of(hub, "told", true));
    struct statement gone = *finish(3); /* finished is answered, with no; the certificate is not */
    gone.operation = OPERATION(DELETE);
    gone.certificate = NULL;
    gone.finish_kind_plus1 = 0;
    fixture_publish(hub, "desk", &gone);
    assert_non_null(receiver_of(hub, "told", false));
    assert_int_equal(receiver_of(hub, "told", true)->questions, CERTIFICATE);
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company", .revision = 4));
    assert_null(receiver_of(hub, "told", true)); /* it has its no */
}

/* Whatever came when, nobody ends with a yes, or with a record, that does not hold. */
static void test_what_comes_too_late_is_no_news_to_who_cannot_see_what_counts(void **state)
{
    struct fixture *hub = *state;
    struct rights rights;
    change_policy(hub, &rights);
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "seal", .revision = 5));
    assert_int_equal(fixture_publish(hub, "desk", finish(1)), VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.n_receivers, 0);
    assert_refused(hub, "bureau", STATEMENT("r1", "1", .item = "seal", .revision = 6), CASEBUS_RECORD_OWNER);
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company", .revision = 6));
    assert_int_equal(fixture_publish(hub, "desk", finish(2)), VERDICT_ACCEPTED);
    assert_non_null(receiver_of(hub, "quiet", false)); /* it knows revision 6 */
    assert_null(receiver_of(hub, "told", false));
}

static void test_a_record_that_lost_content_says_no_item_any_more(void **state)
{
    struct fixture *hub = *state;
    struct record_row row;
    struct bytes value;
    struct exchange_event event;
    fixture_event(hub, finish(1), &event);
    fixture_give(hub, "desk", &event);
    struct bytes key = bytes_of(event.record_key, TEXT_KEY_SIZE);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_RECORDS, key, &value, NULL), 1);
    assert_int_equal(record_row_decode(value, &row, NULL), 0);
    assert_string_equal(row.item, "company");
    assert_int_equal(row.answered & FINISHED, FINISHED);
    assert_int_equal(exchange_close_record(&hub->store, event.record_key, NULL), 0);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_RECORDS, key, &value, NULL), 1);
    assert_int_equal(record_row_decode(value, &row, NULL), 0);
    assert_string_equal(row.item, "");
    assert_int_equal(row.answered, 0);
    fixture_event(hub, STATEMENT("r2", "1", .item = "张三", .area = "320100"), &event); /* no code: a name */
    fixture_give(hub, "desk", &event);
    key = bytes_of(event.record_key, TEXT_KEY_SIZE);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_RECORDS, key, &value, NULL), 1);
    assert_int_equal(record_row_decode(value, &row, NULL), 0);
    assert_string_equal(row.item, "");
    assert_string_equal(row.area, "320100");
}

/* ---- another's case ---- */

static void test_records_about_another_item_stand_beside_a_case(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .item = "company", .kind = KIND(ACCEPT)));
    fixture_publish(hub, "bureau",
                    STATEMENT("x1", "1", .item = "seal", .kind = KIND(FINISH), .at_us = NOON_US + 1));
    fixture_publish(hub, "bureau",
                    STATEMENT("x2", "1", .item = "seal", .kind = KIND(ANNUL), .at_us = NOON_US + 2));
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.state.status, CASE_ACCEPTED);
    assert_int_equal(row.state.n_records, 3);
    assert_int_equal(row.state.findings, FINDING_OTHER_ITEM);
    fixture_publish(hub, "desk", STATEMENT("r2", "1", .kind = KIND(FINISH), .at_us = NOON_US + 3));
    assert_true(fixture_case(hub, "1", &row, NULL)); /* it says no item: it goes with the case */
    assert_int_equal(row.state.status, CASE_FINISHED);
    assert_int_equal(row.state.finished_at_us, NOON_US + 3);
}

/* Number = implementation code, day, serial: nobody else can take it, however early he dates his own. */
static void test_a_number_that_names_its_item_is_that_items_case(void **state)
{
#define OURS                                                                                                 \
    "113201000143244859"                                                                                     \
    "4"                                                                                                      \
    "000131001000"
#define NUMBER OURS "202007010001"
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "bureau", STATEMENT("x1", NUMBER, .item = "seal", .kind = KIND(ACCEPT), .at_us = 1));
    fixture_publish(hub, "bureau", STATEMENT("x2", NUMBER, .item = "seal", .kind = KIND(FINISH), .at_us = 2));
    assert_true(fixture_case(hub, NUMBER, &row, NULL));
    assert_int_equal(row.state.status, CASE_FINISHED); /* nobody else said anything */
    fixture_publish(hub, "desk", STATEMENT("r1", NUMBER, .item = OURS "01", .kind = KIND(APPLY)));
    fixture_publish(hub, "desk", STATEMENT("r2", NUMBER, .item = OURS, .kind = KIND(ACCEPT)));
    assert_true(fixture_case(hub, NUMBER, &row, NULL));
    assert_int_equal(row.state.status, CASE_ACCEPTED);
    assert_int_equal(row.state.findings, FINDING_OTHER_ITEM);
}

/* ---- cases after apply ---- */

static void test_case_follows_a_correction_to_another_case(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .kind = KIND(ACCEPT), .revision = 1));
    fixture_publish(hub, "desk", STATEMENT("r2", "1", .kind = KIND(APPLY)));
    fixture_publish(
        hub, "desk",
        STATEMENT("r1", "2", .kind = KIND(ACCEPT), .revision = 2, .operation = OPERATION(CORRECT)));
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.state.status, CASE_APPLIED);
    assert_int_equal(row.n_records, 1);
    assert_true(fixture_case(hub, "2", &row, NULL));
    assert_int_equal(row.state.status, CASE_ACCEPTED);
}

static void test_case_ignores_what_a_later_revision_moved_away(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "2", .kind = KIND(ACCEPT), .revision = 2));
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .kind = KIND(ACCEPT), .revision = 1)),
                     VERDICT_ACCEPTED);
    assert_true(fixture_case(hub, "1", &row, NULL)); /* it was named, so it is known */
    assert_int_equal(row.n_records, 0);
    assert_int_equal(row.state.status, CASE_NOTHING);
    assert_true(fixture_case(hub, "2", &row, NULL));
    assert_int_equal(row.state.status, CASE_ACCEPTED);
}

static void test_case_clash_is_seen_from_either_side(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .handler = "a"));
    fixture_publish(hub, "desk", STATEMENT("r1", "2", .handler = "b"));
    uint32_t clashes = 0, records = 0;
    for (const char *number = "1"; number; number = *number == '1' ? "2" : NULL) {
        assert_true(fixture_case(hub, number, &row, NULL));
        clashes += row.state.n_conflicts;
        records += row.n_records;
    }
    assert_int_equal(records, 1);
    assert_int_equal(clashes, 1);
}

static void test_case_clash_in_parts_alone_is_seen(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "one"));
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "other")), VERDICT_ACCEPTED);
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.n_records, 1);
    assert_int_equal(row.state.findings, FINDING_CONFLICT);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "one")), VERDICT_DUPLICATE);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "other")), VERDICT_DUPLICATE);
}

static void test_case_reads_details_of_its_records(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .kind = KIND(SPECIAL_BEGIN), .special_kind = 1));
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.state.status, CASE_NOTHING);
    fixture_publish(hub, "desk", STATEMENT("r2", "1", .kind = KIND(SPECIAL_BEGIN), .special_kind = 2));
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.state.status, CASE_STOPPED);
    fixture_publish(hub, "desk", STATEMENT("r3", "1", .kind = KIND(FINISH), .finish_kind_plus1 = 1));
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.state.finish_kind_plus1, 1);
}

static void test_case_remembers_its_first_aliases_in_any_order(void **state)
{
    struct fixture *hub = *state;
    struct case_row row;
    struct case_row before = {0};
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 20; i++) {
            char record[16], alias[16];
            unsigned which = round == 0 ? i : 19 - i;
            snprintf(record, sizeof record, "r%u", i);
            snprintf(alias, sizeof alias, "A-%02u", which);
            fixture_publish(hub, "desk",
                            STATEMENT(record, round == 0 ? "1" : "2", .alias = alias, .revision = round));
        }
        assert_true(fixture_case(hub, round == 0 ? "1" : "2", &row, NULL));
        assert_int_equal(row.n_aliases, CASE_ALIASES_MAX);
        for (unsigned i = 0; i < CASE_ALIASES_MAX; i++) {
            if (round == 1)
                assert_memory_equal(before.aliases[i].key, row.aliases[i].key, TEXT_KEY_SIZE);
            if (i > 0)
                assert_true(memcmp(row.aliases[i - 1].key, row.aliases[i].key, TEXT_KEY_SIZE) < 0);
        }
        before = row;
    }
    fixture_publish(hub, "desk", STATEMENT("r", "3", .alias = "3"));
    assert_true(fixture_case(hub, "3", &row, NULL));
    assert_int_equal(row.n_aliases, 0);
}

static struct receiver_row receiver(struct fixture *hub, const char *node)
{
    struct receiver_row row;
    struct bytes value;
    uint8_t key[TABLE_KEY_MAX];
    size_t size = receiver_key(key, node);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_RECEIVERS, bytes_of(key, size), &value, NULL), 1);
    assert_int_equal(receiver_row_decode(value, &row, NULL), 0);
    return row;
}

static void test_inbox_holds_each_delivery_once(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    fixture_publish(hub, "desk", STATEMENT("r2", "1"));
    fixture_publish(hub, "desk", STATEMENT("r2", "1"));
    assert_int_equal(store_memory_count(hub->memory, TABLE_INBOX), 2);
    struct receiver_row row = receiver(hub, "office");
    assert_true(row.has_last);
    assert_false(row.has_confirmed);
    assert_int_equal(row.n_decided, 2);
    assert_int_equal(row.last_position, 2);
    assert_int_equal(row.last_ordinal, 0);
}

static void test_inbox_keys_sort_by_position(void **unused)
{
    (void)unused;
    uint8_t a[TABLE_KEY_MAX], b[TABLE_KEY_MAX];
    size_t size = inbox_key(a, "office", 255, 9);
    assert_int_equal(inbox_key(b, "office", 256, 0), size);
    assert_true(memcmp(a, b, size) < 0);
    uint64_t position;
    uint32_t ordinal;
    assert_true(inbox_key_decode(bytes_of(a, size), "office", &position, &ordinal));
    assert_int_equal(position, 255);
    assert_int_equal(ordinal, 9);
    assert_false(inbox_key_decode(bytes_of(a, size), "offic", &position, &ordinal));
    assert_false(inbox_key_decode(bytes_of(a, size - 1), "office", &position, &ordinal));
}

/* ---- orders to destroy ---- */

/* Orders that the entries at @positions, whose records are named after them, lose their parts, or all.
 * Returns the order's position. */
static uint64_t order_erasure(struct fixture *hub, const char *number, const uint64_t *positions, size_t n,
                              bool whole, uint64_t kept_slot)
{
    Casebus__V1__ErasedContent contents[8], *list[8];
    Casebus__V1__Receiver receiver = CASEBUS__V1__RECEIVER__INIT, *receivers[] = {&receiver};
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    struct bytes id;
    uint8_t key[TEXT_KEY_SIZE], case_id[16];
    fixture_number_key(hub, number, key);
    assert_int_equal(
        hub->store.get(hub->store.self, TABLE_CASE_NUMBERS, bytes_of(key, sizeof key), &id, NULL), 1);
    memcpy(case_id, id.data, sizeof case_id);
    for (size_t i = 0; i < n; i++) {
        casebus__v1__erased_content__init(&contents[i]);
        contents[i].position = positions[i];
        contents[i].header = whole;
        contents[i].part_mask = 3;
        list[i] = &contents[i];
    }
    receiver.node = (char *)(uintptr_t) "office";
    ordered.case_id = (ProtobufCBinaryData){16, case_id};
    ordered.content = list;
    ordered.n_content = n;
    ordered.receiver = receivers;
    ordered.n_receiver = 1;
    ordered.kept_slot = kept_slot;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    assert_int_equal(exchange_apply_act(&hub->store, hub->position, hub->hub_time_us, &act, &hub->err), 0);
    for (size_t i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "r%llu", (unsigned long long)positions[i]);
        record_key(hub->crypter, hub->key, "js.test/cases", name, key);
        assert_int_equal(exchange_close_record(&hub->store, key, &hub->err), 0);
    }
    return hub->position++;
}

static void test_erased_record_takes_no_new_content(void **state)
{
    struct fixture *hub = *state;
    const uint64_t positions[] = {1, 2};
    fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "told"));
    fixture_publish(hub, "desk", STATEMENT("r2", "1"));
    order_erasure(hub, "1", positions, 2, true, 0);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "told")), VERDICT_DUPLICATE);
    assert_int_equal(hub->decision.duplicate_of, 1);
    assert_refused(hub, "desk", STATEMENT("r1", "1", .text = "told again"), CASEBUS_ERASED);
    assert_refused(hub, "desk", STATEMENT("r2", "1", .revision = 2), CASEBUS_ERASED);
    assert_null(strstr(hub->decision.refusal.text, "r2"));
}

/* Nobody closes what is another's by having it refused under its own name. */
static void test_content_that_was_refused_and_destroyed_is_closed_for_its_sender_alone(void **state)
{
    struct fixture *hub = *state;
    struct exchange_event event;
    fixture_event(hub, STATEMENT("r1", "1", .text = "told"), &event);
    const uint8_t *digest = event.content_digest;
    assert_int_equal(exchange_refused_close(&hub->store, "bureau", digest, GONE_ORDERED, &hub->err), 0);
    assert_int_equal(exchange_refused_close(&hub->store, "desk", digest, GONE_DISCARDED, &hub->err), 0);
    assert_refused(hub, "bureau", STATEMENT("r1", "1", .text = "told"), CASEBUS_ERASED);
    assert_int_equal(fixture_publish(hub, "bureau", STATEMENT("r9", "1", .text = "told")), VERDICT_ACCEPTED);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "told")), VERDICT_ACCEPTED);
    assert_int_equal(exchange_refused_close(&hub->store, "bureau", digest, GONE_DISCARDED, &hub->err), 0);
    assert_int_equal(exchange_refused_gone(&hub->store, "bureau", digest, &hub->err), GONE_ORDERED);
    assert_int_equal(exchange_refused_close(&hub->store, "desk", digest, GONE_ORDERED, &hub->err), 0);
    assert_int_equal(exchange_refused_gone(&hub->store, "desk", digest, &hub->err), GONE_ORDERED);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r1", "1", .text = "told")), VERDICT_DUPLICATE);
}

static void test_erased_case_goes_on_under_a_fresh_slot(void **state)
{
    struct fixture *hub = *state;
    const uint64_t positions[] = {1};
    struct case_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    order_erasure(hub, "1", positions, 1, true, 0);
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.slot, 0);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r2", "1")), VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.slot, 0);
    assert_true(fixture_case(hub, "1", &row, NULL));
    assert_int_equal(row.slot, 2);
    assert_int_equal(row.position, 3); /* whose header tells the number */
    assert_int_equal(row.n_records, 2);
}

static void test_case_that_lost_parts_goes_on_under_the_slot_of_what_is_kept(void **state)
{
    struct fixture *hub = *state;
    const uint64_t positions[] = {1};
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    fixture_publish(hub, "desk", STATEMENT("r2", "1"));
    order_erasure(hub, "1", positions, 1, false, 77);
    assert_int_equal(fixture_publish(hub, "desk", STATEMENT("r2", "1", .revision = 1)), VERDICT_ACCEPTED);
    assert_int_equal(hub->decision.slot, 77);
    assert_refused(hub, "desk", STATEMENT("r1", "1", .revision = 1), CASEBUS_ERASED);
}

static void test_order_to_destroy_is_delivered_and_marked_when_done(void **state)
{
    struct fixture *hub = *state;
    const uint64_t positions[] = {1};
    uint8_t key[TABLE_KEY_MAX];
    struct bytes value;
    struct erasure_row row;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    uint64_t ordered = order_erasure(hub, "1", positions, 1, true, 0);
    size_t size = inbox_key(key, "office", ordered, 0);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_INBOX, bytes_of(key, size), &value, NULL), 1);
    Casebus__V1__ErasureDone done = CASEBUS__V1__ERASURE_DONE__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_DONE;
    act.erasure_done = &done;
    done.ordered = &ordered;
    done.n_ordered = 1;
    assert_int_equal(exchange_apply_act(&hub->store, 9, 1234, &act, &hub->err), 0);
    size = erasure_key(key, ordered);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_ERASURES, bytes_of(key, size), &value, NULL), 1);
    assert_int_equal(erasure_row_decode(value, &row, &hub->err), 0);
    assert_int_equal(row.ordered_at_us, hub->hub_time_us);
    assert_int_equal(row.done_position, 9);
    assert_int_equal(row.done_at_us, 1234);
    ordered = 1000;
    assert_int_equal(exchange_apply_act(&hub->store, 10, 1234, &act, &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
}

/* ---- quarantine ---- */

static int refused(struct fixture *hub, uint64_t position, const char *code)
{
    Casebus__V1__Quarantined quarantined = CASEBUS__V1__QUARANTINED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    quarantined.node = (char *)(uintptr_t) "desk";
    quarantined.code = (char *)(uintptr_t)code;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINED;
    act.quarantined = &quarantined;
    return exchange_apply_act(&hub->store, position, (int64_t)position * 10, &act, &hub->err);
}

static int decided(struct fixture *hub, uint64_t position, uint64_t about)
{
    Casebus__V1__QuarantineDecided decision = CASEBUS__V1__QUARANTINE_DECIDED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    decision.quarantined = about;
    decision.decision = CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_RELEASED;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_QUARANTINE_DECIDED;
    act.quarantine_decided = &decision;
    return exchange_apply_act(&hub->store, position, 0, &act, &hub->err);
}

static void assert_undecided(struct fixture *hub, uint64_t count, uint64_t oldest)
{
    struct quarantine_chain chain;
    struct quarantine_row row;
    assert_int_equal(exchange_quarantine_chain(&hub->store, &chain, &hub->err), 0);
    assert_int_equal(chain.count, count);
    assert_int_equal(chain.first, count ? oldest + 1 : 0);
    uint64_t n = 0, last = 0;
    for (uint64_t link = chain.first; link; link = row.after, n++) {
        assert_int_equal(exchange_quarantine_get(&hub->store, link - 1, &row, &hub->err), 1);
        assert_int_equal(row.before, last);
        assert_int_equal(row.refused_at_us, (link - 1) * 10);
        assert_int_equal(row.decided_position, 0);
        last = link;
    }
    assert_int_equal(n, count);
    assert_int_equal(chain.last, last);
}

static void test_what_is_refused_is_undecided_until_somebody_decides(void **state)
{
    struct fixture *hub = *state;
    struct quarantine_row row;
    assert_undecided(hub, 0, 0);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(refused(hub, i, "CB-TEXT"), 0);
    assert_int_equal(refused(hub, 5, "CB-ERASED"), 0); /* nothing of it is kept */
    assert_undecided(hub, 5, 0);
    assert_int_equal(decided(hub, 6, 2), 0); /* from the middle, both ends */
    assert_undecided(hub, 4, 0);
    assert_int_equal(decided(hub, 7, 0), 0);
    assert_int_equal(decided(hub, 8, 4), 0);
    assert_undecided(hub, 2, 1);
    assert_int_equal(exchange_quarantine_get(&hub->store, 0, &row, &hub->err), 1);
    assert_int_equal(row.decided_position, 7);
    assert_int_equal(decided(hub, 9, 0), -1); /* twice */
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
    assert_int_equal(decided(hub, 9, 5), -1); /* never refused, or nothing kept */
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
}

static void test_what_is_destroyed_in_quarantine_is_decided(void **state)
{
    struct fixture *hub = *state;
    Casebus__V1__ErasedContent content = CASEBUS__V1__ERASED_CONTENT__INIT, *contents = &content;
    Casebus__V1__ErasureOrdered ordered = CASEBUS__V1__ERASURE_ORDERED__INIT;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_ERASURE_ORDERED;
    act.erasure_ordered = &ordered;
    content.position = 1;
    content.header = true;
    ordered.content = &contents;
    ordered.n_content = 1;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(refused(hub, i, "CB-TEXT"), 0);
    for (uint64_t i = 0; i < 2; i++) /* what was decided stays so */
        assert_int_equal(exchange_apply_act(&hub->store, 3 + i, 0, &act, &hub->err), 0);
    assert_undecided(hub, 2, 0);
    struct quarantine_row row;
    assert_int_equal(exchange_quarantine_get(&hub->store, 1, &row, &hub->err), 1);
    assert_int_equal(row.decided_position, 3);
    assert_int_equal(row.decision, CASEBUS__V1__QUARANTINE_DECISION__QUARANTINE_DECISION_DISCARDED);
}

/* ---- keys of texts ---- */

static void test_keys_of_texts_hide_them_and_keep_neighbours_together(void **state)
{
    struct fixture *hub = *state;
    static const char *const ids[] = {"case-100017", "case-100018", "case-110017", "17", "018", "", "0017"};
    uint8_t keys[7][TEXT_KEY_SIZE], other[TEXT_KEY_SIZE], another_key[KEY_SIZE] = {1};
    for (size_t i = 0; i < 7; i++) {
        record_key(hub->crypter, hub->key, "js.test/cases", ids[i], keys[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], TEXT_KEY_SIZE);
        record_key(hub->crypter, another_key, "js.test/cases", ids[i], other);
        assert_memory_not_equal(keys[i], other, TEXT_KEY_SIZE - 4);
        record_key(hub->crypter, hub->key, "js.test/other", ids[i], other);
        assert_memory_not_equal(keys[i], other, TEXT_KEY_SIZE - 4);
        case_number_key(hub->crypter, hub->key, ids[i], other);
        assert_memory_not_equal(keys[i], other, TEXT_KEY_SIZE - 4);
    }
    assert_memory_equal(keys[0], keys[1], TEXT_KEY_SIZE - 1);
    assert_memory_not_equal(keys[0], keys[2], TEXT_KEY_SIZE - 4);
}

/* ---- what contradicts itself ---- */

static int apply_to(struct fixture *hub, const char *node, const uint8_t *case_id, size_t case_id_size,
                    const struct statement *statement)
{
    struct exchange_event event;
    Casebus__V1__EventEntry entry = CASEBUS__V1__EVENT_ENTRY__INIT;
    fixture_event(hub, statement, &event);
    entry.node = (char *)(uintptr_t)node;
    entry.case_id = (ProtobufCBinaryData){case_id_size, (uint8_t *)(uintptr_t)case_id};
    return exchange_apply_event(&hub->store, 99, 0, &entry, &event, 1, &hub->err);
}

static void test_apply_names_a_ledger_that_contradicts_itself(void **state)
{
    struct fixture *hub = *state;
    static const uint8_t other[16] = {9};
    uint8_t id[16];
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    memcpy(id, hub->decision.case_id, sizeof id);
    assert_int_equal(apply_to(hub, "desk", other, 16, STATEMENT("r2", "1")), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
    assert_int_equal(apply_to(hub, "bureau", id, 16, STATEMENT("r1", "1", .revision = 1)), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
    assert_int_equal(apply_to(hub, "desk", id, 15, STATEMENT("r3", "1")), -1);
    assert_int_equal(apply_to(hub, "", id, 16, STATEMENT("r3", "1")), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
}

static void test_exchange_takes_no_event_without_its_key(void **state)
{
    struct fixture *hub = *state;
    struct exchange_moment moment = {.hub_time_us = hub->hub_time_us};
    struct exchange_event event;
    uint8_t id[16] = {1};
    Casebus__V1__EventEntry entry = CASEBUS__V1__EVENT_ENTRY__INIT;
    entry.node = (char *)(uintptr_t) "desk";
    entry.case_id = (ProtobufCBinaryData){16, id};
    fixture_event(hub, STATEMENT("r1", "1"), &event);
    memset(event.record_key, 0, sizeof event.record_key);
    assert_int_equal(exchange_decide(&hub->store,
                                     &(struct exchange_parties){hub->nodes, hub->n_nodes, NULL, NULL}, "desk",
                                     &event, &moment, &hub->decision, &hub->err),
                     -1);
    assert_int_equal(exchange_apply_event(&hub->store, 9, 0, &entry, &event, 1, &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_INTERNAL);
}

/* ---- streams, seals and acts ---- */

static void enrol(struct fixture *hub, const char *node, uint64_t position)
{
    Casebus__V1__EnrolmentStatement statement = CASEBUS__V1__ENROLMENT_STATEMENT__INIT;
    statement.node = (char *)(uintptr_t)node;
    struct bytes packed = codec_pack(&statement, &hub->arena);
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    enrolled.statement = (ProtobufCBinaryData){packed.size, (uint8_t *)(uintptr_t)packed.data};
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    assert_int_equal(exchange_apply_act(&hub->store, position, hub->hub_time_us, &act, &hub->err), 0);
}

static struct node_row node(struct fixture *hub, const char *name)
{
    struct node_row row;
    struct bytes value;
    assert_int_equal(hub->store.get(hub->store.self, TABLE_NODES, bytes_of_text(name), &value, NULL), 1);
    assert_int_equal(node_row_decode(value, &row, NULL), 0);
    return row;
}

struct batch {
    Casebus__V1__BatchStatement statement;
    uint8_t hash[DIGEST_SIZE];
    uint8_t previous[DIGEST_SIZE];
};

/* A batch whose statement hash is all @mark. */
static struct batch *batch(struct batch *batch, uint64_t first, uint32_t count, uint8_t mark,
                           uint8_t previous)
{
    casebus__v1__batch_statement__init(&batch->statement);
    memset(batch->hash, mark, sizeof batch->hash);
    memset(batch->previous, previous, sizeof batch->previous);
    batch->statement.node = (char *)(uintptr_t) "desk";
    batch->statement.stream = 42;
    batch->statement.first = first;
    batch->statement.count = count;
    batch->statement.previous = (ProtobufCBinaryData){DIGEST_SIZE, batch->previous};
    return batch;
}

static int sequence(struct fixture *hub, const struct batch *batch, struct exchange_stream *stream)
{
    return exchange_sequence(&hub->store, "desk", &batch->statement, batch->hash, stream, &hub->err);
}

static int seal(struct fixture *hub, uint64_t position, const struct batch *batch, size_t n_duplicate,
                size_t n_refused)
{
    Casebus__V1__SealOutcome outcomes[8], *pointers[8];
    for (size_t i = 0; i < n_duplicate + n_refused; i++) {
        casebus__v1__seal_outcome__init(&outcomes[i]);
        outcomes[i].index = (uint32_t)i;
        outcomes[i].duplicate_of = i < n_duplicate;
        pointers[i] = &outcomes[i];
    }
    Casebus__V1__SealEntry entry = CASEBUS__V1__SEAL_ENTRY__INIT;
    entry.n_outcome = n_duplicate + n_refused;
    entry.outcome = pointers;
    return exchange_apply_seal(&hub->store, position, 777, &entry, &batch->statement, batch->hash, &hub->err);
}

static void test_stream_takes_the_next_batch_only(void **state)
{
    struct fixture *hub = *state;
    struct batch a, b;
    struct exchange_stream stream;
    enrol(hub, "desk", 1);
    assert_int_equal(sequence(hub, batch(&a, 1, 3, 0xA1, 0), &stream), SEQUENCE_NEXT);
    assert_int_equal(stream.last, 0);
    assert_int_equal(sequence(hub, batch(&b, 1, 3, 0xA1, 0xFF), &stream), SEQUENCE_CONFLICT);
    assert_int_equal(sequence(hub, batch(&b, 2, 3, 0xB2, 0), &stream), SEQUENCE_GAP);
    assert_int_equal(seal(hub, 10, &a, 0, 0), 0);

    assert_int_equal(sequence(hub, &a, &stream), SEQUENCE_REPEATED);
    assert_int_equal(stream.seal_position, 10);
    assert_int_equal(stream.last, 3);
    assert_memory_equal(stream.last_statement, a.hash, DIGEST_SIZE);
    assert_int_equal(sequence(hub, batch(&b, 1, 3, 0xEE, 0), &stream), SEQUENCE_CONFLICT);
    assert_int_equal(sequence(hub, batch(&b, 1, 2, 0xA1, 0), &stream), SEQUENCE_CONFLICT);
    assert_int_equal(sequence(hub, batch(&b, 2, 3, 0xB2, 0xA1), &stream), SEQUENCE_CONFLICT);
    assert_int_equal(sequence(hub, batch(&b, 4, 2, 0xB2, 0xA0), &stream), SEQUENCE_CONFLICT);
    assert_int_equal(sequence(hub, batch(&b, 5, 2, 0xB2, 0xA1), &stream), SEQUENCE_GAP);
    assert_int_equal(sequence(hub, batch(&b, UINT64_MAX, 1, 0xB2, 0xA1), &stream), SEQUENCE_GAP);
    assert_int_equal(sequence(hub, batch(&b, 4, 2, 0xB2, 0xA1), &stream), SEQUENCE_NEXT);
    assert_int_equal(seal(hub, 20, &b, 0, 0), 0);
    assert_int_equal(sequence(hub, &a, &stream), SEQUENCE_REPEATED);
    assert_int_equal(stream.last, 5);

    assert_int_equal(exchange_stream_get(&hub->store, "desk", 43, &stream, &hub->err), 0);
    assert_int_equal(stream.last, 0);
    assert_int_equal(exchange_stream_get(&hub->store, "bureau", 42, &stream, &hub->err), 0);
    assert_int_equal(stream.last, 0);
}

static void test_seal_counts_what_became_of_its_members(void **state)
{
    struct fixture *hub = *state;
    struct batch a;
    enrol(hub, "desk", 1);
    assert_int_equal(seal(hub, 10, batch(&a, 1, 7, 0xA1, 0), 2, 1), 0);
    struct node_row row = node(hub, "desk");
    assert_int_equal(row.n_accepted, 4);
    assert_int_equal(row.n_duplicate, 2);
    assert_int_equal(row.n_refused, 1);
    assert_int_equal(row.last_hub_time_us, 777);
    enrol(hub, "desk", 30);
    row = node(hub, "desk");
    assert_int_equal(row.n_accepted, 4);
    assert_int_equal(row.position, 30);
    assert_true(row.enrolled.size > 0);
}

static void test_seal_of_a_stranger_is_damage(void **state)
{
    struct fixture *hub = *state;
    struct batch a;
    assert_int_equal(seal(hub, 10, batch(&a, 1, 7, 0xA1, 0), 0, 0), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
    enrol(hub, "desk", 1);
    assert_int_equal(seal(hub, 10, batch(&a, 1, 2, 0xA1, 0), 3, 0), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
}

static int confirm(struct fixture *hub, uint64_t position, uint32_t ordinal)
{
    Casebus__V1__DeliveryId last = CASEBUS__V1__DELIVERY_ID__INIT;
    last.position = position;
    last.ordinal = ordinal;
    Casebus__V1__ConfirmStatement statement = CASEBUS__V1__CONFIRM_STATEMENT__INIT;
    statement.node = (char *)(uintptr_t) "office";
    statement.last = &last;
    struct bytes packed = codec_pack(&statement, &hub->arena);
    Casebus__V1__SignedConfirm confirmation = CASEBUS__V1__SIGNED_CONFIRM__INIT, *list = &confirmation;
    confirmation.statement = (ProtobufCBinaryData){packed.size, (uint8_t *)(uintptr_t)packed.data};
    Casebus__V1__DeliveriesConfirmed confirmed = CASEBUS__V1__DELIVERIES_CONFIRMED__INIT;
    confirmed.n_confirm = 1;
    confirmed.confirm = &list;
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_DELIVERIES_CONFIRMED;
    act.deliveries_confirmed = &confirmed;
    return exchange_apply_act(&hub->store, 5, 0, &act, &hub->err);
}

static void test_confirmation_never_goes_back(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    assert_int_equal(confirm(hub, 0, 0), 0);
    struct receiver_row row = receiver(hub, "office");
    assert_true(row.has_confirmed);
    assert_int_equal(confirm(hub, 7, 2), 0);
    assert_int_equal(confirm(hub, 7, 1), 0);
    assert_int_equal(confirm(hub, 6, 9), 0);
    row = receiver(hub, "office");
    assert_int_equal(row.confirmed_position, 7);
    assert_int_equal(row.confirmed_ordinal, 2);
    assert_int_equal(row.n_decided, 1);
}

static void test_confirmation_is_found_by_what_it_covers(void **state)
{
    struct fixture *hub = *state;
    struct confirm_row row;
    struct bytes value;
    uint8_t key[TABLE_KEY_MAX];
    assert_int_equal(confirm(hub, 3, 1), 0);
    assert_int_equal(confirm(hub, 2, 0), 0); /* says nothing new */
    assert_int_equal(confirm(hub, 7, 2), 0);
    assert_int_equal(store_memory_count(hub->memory, TABLE_CONFIRMS), 2);
    size_t size = inbox_key(key, "office", 3, 1);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_CONFIRMS, bytes_of(key, size), &value, NULL), 1);
    assert_int_equal(confirm_row_decode(value, &row, NULL), 0);
    assert_int_equal(row.position, 5);
    assert_int_equal(row.index, 0);
    assert_false(row.has_before);
    size = inbox_key(key, "office", 7, 2);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_CONFIRMS, bytes_of(key, size), &value, NULL), 1);
    assert_int_equal(confirm_row_decode(value, &row, NULL), 0);
    assert_true(row.has_before);
    assert_int_equal(row.before_position, 3);
    assert_int_equal(row.before_ordinal, 1);
    assert_int_equal(confirm_row_decode(bytes_of(value.data, value.size - 1), &row, NULL), -1);
}

static void test_act_that_cannot_be_read_is_damage(void **state)
{
    struct fixture *hub = *state;
    uint8_t rubbish[] = {0xFF, 0xFF, 0xFF};
    Casebus__V1__NodeEnrolled enrolled = CASEBUS__V1__NODE_ENROLLED__INIT;
    enrolled.statement = (ProtobufCBinaryData){sizeof rubbish, rubbish};
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_NODE_ENROLLED;
    act.node_enrolled = &enrolled;
    assert_int_equal(exchange_apply_act(&hub->store, 5, 0, &act, &hub->err), -1);
    assert_int_equal(hub->err.code, CASEBUS_DAMAGED);
}

static void test_ledger_opened_tells_the_origin(void **state)
{
    struct fixture *hub = *state;
    Casebus__V1__LedgerOpened opened = CASEBUS__V1__LEDGER_OPENED__INIT;
    opened.origin = (char *)(uintptr_t) "js.example/exchange/1";
    Casebus__V1__ActEntry act = CASEBUS__V1__ACT_ENTRY__INIT;
    act.act_case = CASEBUS__V1__ACT_ENTRY__ACT_LEDGER_OPENED;
    act.ledger_opened = &opened;
    struct bytes value;
    assert_int_equal(exchange_apply_act(&hub->store, 0, 0, &act, &hub->err), 0);
    assert_int_equal(hub->store.get(hub->store.self, TABLE_META, bytes_of_text("origin"), &value, NULL), 1);
    assert_true(bytes_equal(value, bytes_of_text("js.example/exchange/1")));
}

static void test_rows_refuse_wrong_sizes(void **unused)
{
    (void)unused;
    static const uint8_t zeros[64];
    struct stream_row stream;
    struct batch_row a_batch;
    struct receiver_row a_receiver;
    struct node_row a_node;
    struct record_row a_record;
    for (size_t size = 0; size <= sizeof zeros; size++) {
        struct bytes value = bytes_of(zeros, size);
        assert_int_equal(stream_row_decode(value, &stream, NULL), size == STREAM_ROW_SIZE ? 0 : -1);
        assert_int_equal(batch_row_decode(value, &a_batch, NULL), size == BATCH_ROW_SIZE ? 0 : -1);
        assert_int_equal(receiver_row_decode(value, &a_receiver, NULL), size == RECEIVER_ROW_SIZE ? 0 : -1);
        assert_int_equal(node_row_decode(value, &a_node, NULL), -1);
        assert_int_equal(record_row_decode(value, &a_record, NULL), -1);
    }
}

/* ---- failing stores ---- */

struct failing {
    struct exchange_store inner;
    unsigned calls_left;
};

static int failing_get(void *self, enum exchange_table table, struct bytes key, struct bytes *value,
                       struct casebus_error *err)
{
    struct failing *failing = self;
    if (failing->calls_left-- == 0)
        return error_set(err, CASEBUS_FILE, "made to fail");
    return failing->inner.get(failing->inner.self, table, key, value, err);
}

static int failing_put(void *self, enum exchange_table table, struct bytes key, struct bytes value,
                       struct casebus_error *err)
{
    struct failing *failing = self;
    if (failing->calls_left-- == 0)
        return error_set(err, CASEBUS_FILE, "made to fail");
    return failing->inner.put(failing->inner.self, table, key, value, err);
}

static void test_failure_of_the_store_travels_up(void **state)
{
    struct fixture *hub = *state;
    fixture_publish(hub, "desk", STATEMENT("r1", "1"));
    uint8_t id[16];
    memcpy(id, hub->decision.case_id, sizeof id);
    struct failing failing = {.inner = hub->store};
    struct exchange_store store = {.self = &failing, .get = failing_get, .put = failing_put};
    struct exchange_moment moment = {.hub_time_us = hub->hub_time_us};
    struct exchange_event event;
    fixture_event(hub, STATEMENT("r1", "1", .revision = 2), &event);
    Casebus__V1__EventEntry entry = CASEBUS__V1__EVENT_ENTRY__INIT;
    entry.node = (char *)(uintptr_t) "desk";
    entry.case_id = (ProtobufCBinaryData){16, id};
    unsigned failures = 0;
    for (unsigned calls = 0; calls < 3; calls++) {
        failing.calls_left = calls;
        assert_int_equal(exchange_decide(&store,
                                         &(struct exchange_parties){hub->nodes, hub->n_nodes, NULL, NULL},
                                         "desk", &event, &moment, &hub->decision, &hub->err),
                         -1);
    }
    for (unsigned calls = 0;; calls++, failures++) {
        failing.calls_left = calls;
        if (exchange_apply_event(&store, 9, 0, &entry, &event, 1, &hub->err) == 0)
            break;
        assert_int_equal(hub->err.code, CASEBUS_FILE);
    }
    assert_true(failures >= 4);
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(test_decide_opens_a_case_with_the_fresh_id),
        HUB_TEST(test_decide_finds_the_case_and_its_slot),
        HUB_TEST(test_decide_refuses_who_may_not_publish),
        HUB_TEST(test_decide_refuses_what_no_row_lets_publish),
        HUB_TEST(test_decide_refuses_event_without_case_number),
        HUB_TEST(test_decide_refuses_endless_case_number),
        HUB_TEST(test_decide_refuses_the_future_even_as_history),
        HUB_TEST(test_decide_knows_a_resent_record),
        HUB_TEST(test_decide_knows_older_revisions_again),
        HUB_TEST(test_decide_knows_every_revision_again),
        HUB_TEST(test_decide_tells_put_from_delete),
        HUB_TEST(test_decide_refuses_a_record_of_another_node),
        HUB_TEST(test_decide_sentences_repeat_no_record_and_no_case),
        HUB_TEST(test_decide_sends_to_all_receivers_but_the_sender),
        HUB_TEST(test_no_publisher_fills_a_case),
        HUB_TEST(test_an_item_that_was_lost_cannot_be_corrected_or_deleted_under_another),
        HUB_TEST(test_the_kind_that_a_record_had_has_to_be_the_senders_too),
        HUB_TEST(test_who_saw_a_record_is_told_when_it_goes_where_it_may_not_look),
        HUB_TEST(test_a_yes_is_taken_back_with_what_it_stood_on),
        HUB_TEST(test_nobody_hears_of_what_he_was_not_given_when_it_is_taken_back),
        HUB_TEST(test_a_yes_that_is_answered_anew_is_not_taken_back),
        HUB_TEST(test_what_comes_too_late_is_no_news_to_who_cannot_see_what_counts),
        HUB_TEST(test_a_record_that_lost_content_says_no_item_any_more),
        HUB_TEST(test_records_about_another_item_stand_beside_a_case),
        HUB_TEST(test_a_number_that_names_its_item_is_that_items_case),
        HUB_TEST(test_case_follows_a_correction_to_another_case),
        HUB_TEST(test_case_ignores_what_a_later_revision_moved_away),
        HUB_TEST(test_case_clash_is_seen_from_either_side),
        HUB_TEST(test_case_clash_in_parts_alone_is_seen),
        HUB_TEST(test_case_reads_details_of_its_records),
        HUB_TEST(test_case_remembers_its_first_aliases_in_any_order),
        HUB_TEST(test_inbox_holds_each_delivery_once),
        HUB_TEST(test_erased_record_takes_no_new_content),
        HUB_TEST(test_content_that_was_refused_and_destroyed_is_closed_for_its_sender_alone),
        HUB_TEST(test_erased_case_goes_on_under_a_fresh_slot),
        HUB_TEST(test_case_that_lost_parts_goes_on_under_the_slot_of_what_is_kept),
        HUB_TEST(test_order_to_destroy_is_delivered_and_marked_when_done),
        HUB_TEST(test_keys_of_texts_hide_them_and_keep_neighbours_together),
        HUB_TEST(test_apply_names_a_ledger_that_contradicts_itself),
        HUB_TEST(test_exchange_takes_no_event_without_its_key),
        HUB_TEST(test_stream_takes_the_next_batch_only),
        HUB_TEST(test_seal_counts_what_became_of_its_members),
        HUB_TEST(test_seal_of_a_stranger_is_damage),
        HUB_TEST(test_confirmation_never_goes_back),
        HUB_TEST(test_confirmation_is_found_by_what_it_covers),
        HUB_TEST(test_act_that_cannot_be_read_is_damage),
        HUB_TEST(test_ledger_opened_tells_the_origin),
        HUB_TEST(test_failure_of_the_store_travels_up),
        HUB_TEST(test_what_is_refused_is_undecided_until_somebody_decides),
        HUB_TEST(test_what_is_destroyed_in_quarantine_is_decided),
        cmocka_unit_test(test_part_kinds_have_bits_of_their_own),
        cmocka_unit_test(test_inbox_keys_sort_by_position),
        cmocka_unit_test(test_rows_refuse_wrong_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
