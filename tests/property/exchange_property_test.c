/* Promise P4 on real logs: whatever order, however often, however late the statements come, the cases are the
 * same, byte for byte. Around each record of a log a world of trouble is made up from a seed: corrections,
 * deletions, moves to another case or item, clashes in the header, in a part or in the case number, strangers
 * who know its number. Then the same set is told in several ways. CASEBUS_SEED=n tries another seed. */
#include "hub/exchange/answers.h"
#include "hub/exchange/exchange_fixture.h"
#include "tests/property/log_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_US      INT64_C(3600000000)
#define DUMP_MAX     (256u << 20)
#define OPERATION(x) CASEBUS__V1__OPERATION__OPERATION_##x

/* ---- chance, from a seed ---- */

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *dice, uint64_t n) /* splitmix64 */
{
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

static uint64_t test_seed(uint64_t usual)
{
    const char *text = getenv("CASEBUS_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : usual;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- a set of statements ---- */

struct world {
    struct fixture maker; /* only makes events */
    struct exchange_event *events;
    bool *strange; /* for each: it is not the desk's */
    size_t n, capacity;
};

static void say(struct world *world, const struct statement *statement)
{
    assert_true(world->n < world->capacity);
    world->strange[world->n] = statement->record[0] == 'x';
    fixture_event(&world->maker, statement, &world->events[world->n++]);
}

static const char *teller(const struct world *world, uint32_t index)
{
    return world->strange[index] ? "bureau" : "desk";
}

/* What else is said about the record of @first. */
static void make_trouble(struct world *world, const struct log_fixture *log, const struct statement *first,
                         struct dice *dice)
{
    struct statement other = *first;
    char record[128];
    switch (roll(dice, 24)) {
    case 0:
    case 1: /* corrected */
        other.revision = 2;
        other.operation = OPERATION(CORRECT);
        other.at_us += (int64_t)roll(dice, 100) * HOUR_US - 50 * HOUR_US;
        break;
    case 2: /* deleted, with a correction before that may come later */
        other.revision = 2;
        other.operation = OPERATION(CORRECT);
        other.handler = "desk 2";
        say(world, &other);
        other.revision = 3;
        other.operation = OPERATION(DELETE);
        break;
    case 3: /* deleted by mistake and put again */
        other.revision = 2;
        other.operation = OPERATION(DELETE);
        say(world, &other);
        other.revision = 3;
        other.operation = OPERATION(PUT);
        break;
    case 4: /* belongs to another case */
        other.revision = 2;
        other.operation = OPERATION(CORRECT);
        other.number = log->rows[roll(dice, log->n_rows)].number;
        break;
    case 5: /* clash about the time */
        other.at_us += HOUR_US;
        break;
    case 6: /* clash about the case */
        other.number = log->rows[roll(dice, log->n_rows)].number;
        other.handler = "desk 3";
        break;
    case 7: /* clash in a part only, healed or not */
        other.text = "something else";
        say(world, &other);
        if (roll(dice, 2) == 0)
            return;
        other.revision = 9;
        break;
    case 9: /* it was about another item */
        other.revision = 2;
        other.operation = roll(dice, 2) ? OPERATION(CORRECT) : OPERATION(DELETE);
        other.item = "seal";
        break;
    case 10: /* a stranger adds to it, and would end it */
        snprintf(record, sizeof record, "x/%s", first->record);
        other.record = record;
        other.item = "stamp";
        other.kind = roll(dice, 2) ? CASEBUS__V1__KIND__KIND_FINISH : CASEBUS__V1__KIND__KIND_ANNUL;
        other.at_us += (int64_t)roll(dice, 100) * HOUR_US - 50 * HOUR_US;
        break;
    case 11: /* it was of another kind */
        other.revision = 2;
        other.operation = OPERATION(CORRECT);
        other.kind = CASEBUS__V1__KIND__KIND_STEP;
        other.finish_kind_plus1 = 0;
        break;
    case 8: /* clash among corrections */
        other.revision = 4;
        other.operation = OPERATION(CORRECT);
        say(world, &other);
        other.handler = "desk 4";
        break;
    default:
        return;
    }
    say(world, &other);
}

static void world_init(struct world *world, const struct log_fixture *log, struct dice *dice)
{
    *world = (struct world){.capacity = 3 * log->n_rows};
    fixture_init(&world->maker);
    world->events = malloc(world->capacity * sizeof *world->events);
    world->strange = calloc(world->capacity, sizeof *world->strange);
    assert_true(world->events && world->strange);
    for (size_t i = 0; i < log->n_rows; i++) {
        const struct log_row *row = &log->rows[i];
        struct statement statement = {.record = row->record,
                                      .number = row->number,
                                      .kind = row->kind,
                                      .at_us = row->at_us,
                                      .revision = 1,
                                      .is_date = row->is_date,
                                      .backfill = true,
                                      .finish_kind_plus1 = row->finish_kind_plus1,
                                      .item = "company"};
        if (dice && roll(dice, 50) == 0)
            statement.alias = log->rows[roll(dice, log->n_rows)].number;
        say(world, &statement);
        if (dice)
            make_trouble(world, log, &statement, dice);
    }
}

static void world_deinit(struct world *world)
{
    fixture_deinit(&world->maker);
    free(world->events);
    free(world->strange);
}

/* ---- telling it ---- */

static uint32_t *order_as_said(const struct world *world, size_t room)
{
    uint32_t *order = malloc((world->n + room) * sizeof *order);
    assert_non_null(order);
    for (size_t i = 0; i < world->n; i++)
        order[i] = (uint32_t)i;
    return order;
}

static void shuffle(uint32_t *order, size_t n, struct dice *dice)
{
    for (size_t i = n; i-- > 1;) {
        size_t j = roll(dice, i + 1);
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

/* Gives the events in @order to a fresh hub; each shall count once. */
static void tell(const struct world *world, const uint32_t *order, size_t n, struct buffer *dump)
{
    struct fixture hub;
    size_t n_accepted = 0, n_duplicate = 0;
    fixture_init(&hub);
    for (size_t i = 0; i < n; i++) {
        enum exchange_verdict verdict = fixture_give(&hub, teller(world, order[i]), &world->events[order[i]]);
        if (verdict == VERDICT_REFUSED)
            fail_msg("refused: %s", hub.decision.refusal.text);
        n_accepted += verdict == VERDICT_ACCEPTED;
        n_duplicate += verdict == VERDICT_DUPLICATE;
    }
    assert_int_equal(n_accepted, world->n);
    assert_int_equal(n_duplicate, n - world->n);
    assert_int_equal(store_memory_count(hub.memory, TABLE_INBOX), world->n);
    buffer_init(dump, DUMP_MAX);
    fixture_dump(&hub, dump);
    fixture_deinit(&hub);
}

static void assert_same(const struct buffer *expected, const struct buffer *dump, const char *way)
{
    size_t n = expected->size < dump->size ? expected->size : dump->size, at = 0, line = 0;
    while (at < n && expected->data[at] == dump->data[at])
        at++;
    if (at == expected->size && at == dump->size)
        return;
    for (line = at; line > 0 && expected->data[line - 1] != '\n'; line--)
        ;
    fail_msg("%s: cases differ at byte %zu\nexpected %.1500s\ngot      %.1500s", way, at,
             (const char *)expected->data + line, (const char *)dump->data + line);
}

static void expect_same(const struct world *world, const uint32_t *order, size_t n,
                        const struct buffer *expected, const char *way)
{
    struct buffer dump;
    tell(world, order, n, &dump);
    assert_same(expected, &dump, way);
    buffer_deinit(&dump);
}

/* Shuffled, with every third statement sent again somewhere. */
static void expect_same_shuffled(const struct world *world, struct dice *dice, const struct buffer *expected)
{
    uint32_t *order = order_as_said(world, world->n);
    size_t n = world->n;
    for (size_t i = 0; i < world->n; i++)
        if (roll(dice, 3) == 0)
            order[n++] = (uint32_t)i;
    shuffle(order, n, dice);
    expect_same(world, order, n, expected, "shuffled and repeated");
    free(order);
}

static void expect_same_backwards(const struct world *world, const struct buffer *expected)
{
    uint32_t *order = order_as_said(world, 0);
    for (size_t i = 0; i < world->n; i++)
        order[i] = (uint32_t)(world->n - 1 - i);
    expect_same(world, order, world->n, expected, "backwards");
    free(order);
}

/* As said, but every eighth statement comes when all the others are there, one after another. */
static void expect_same_late(const struct world *world, struct dice *dice, const struct buffer *expected)
{
    uint32_t *order = order_as_said(world, 0), *late = malloc((world->n + 1) * sizeof *late);
    assert_non_null(late);
    size_t n = 0, n_late = 0;
    for (size_t i = 0; i < world->n; i++)
        if (roll(dice, 8) == 0)
            late[n_late++] = (uint32_t)i;
        else
            order[n++] = (uint32_t)i;
    shuffle(late, n_late, dice);
    memcpy(order + n, late, n_late * sizeof *late);
    expect_same(world, order, world->n, expected, "late");
    free(late);
    free(order);
}

static void check_log(const char *name, const char *map, uint64_t seed, unsigned rounds)
{
    struct log_fixture log;
    struct world world;
    struct buffer expected;
    struct dice dice = {test_seed(seed)};
    log_fixture_open(&log, name, map);
    world_init(&world, &log, &dice);
    print_message("%s: %zu events, %zu statements\n", name, log.n_rows, world.n);
    uint32_t *order = order_as_said(&world, 0);
    tell(&world, order, world.n, &expected);
    expect_same_backwards(&world, &expected);
    for (unsigned round = 0; round < rounds; round++) {
        expect_same_shuffled(&world, &dice, &expected);
        expect_same_late(&world, &dice, &expected);
    }
    free(order);
    buffer_deinit(&expected);
    world_deinit(&world);
    log_fixture_close(&log);
}

static void test_receipt_is_the_same_in_any_order(void **unused)
{
    (void)unused;
    check_log("receipt", "receipt_activity_map.csv", 1, 12);
}

static void test_building_permits_are_the_same_in_any_order(void **unused)
{
    (void)unused;
    check_log("bpic15_1", "bpic15_activity_map.csv", 2, 2);
}

static void test_road_fines_are_the_same_in_any_order(void **unused)
{
    (void)unused;
    check_log("road_fines_tenth", NULL, 3, 2);
}

/* ---- what readers know in the end ---- */

/* "quiet" sees acceptances and ends of companies, "told" asks whether they are accepted and finished. */
static const char *const companies[] = {"company"};
#define ENDS                                                                                                 \
    (UINT64_C(1) << CASEBUS__V1__KIND__KIND_ACCEPT | UINT64_C(1) << CASEBUS__V1__KIND__KIND_FINISH |         \
     UINT64_C(1) << CASEBUS__V1__KIND__KIND_REFUSE_ACCEPT)
#define ASKED                                                                                                \
    (UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_ACCEPTED |                                               \
     UINT32_C(1) << CASEBUS__V1__QUESTION__QUESTION_FINISHED)
static const struct rights_row reading_rows[] = {
    {.number = 1, .relation = RIGHTS_GRANT, .to = {.node = "quiet"}, .items = {companies, 1}, .kinds = ENDS},
    {.number = 2,
     .relation = RIGHTS_GRANT,
     .to = {.node = "told"},
     .items = {companies, 1},
     .kinds = RIGHTS_ALL_KINDS,
     .questions = ASKED},
};
static const struct rights reading_policy = {.version = 1, .rows = reading_rows, .n_rows = 2};

/* What the two know of each record, in the order in which the world said it first. */
struct known {
    const struct exchange_event *seen; /* by "quiet"; NULL: nothing that holds */
    uint8_t case_key[TEXT_KEY_SIZE];   /* of the case for which "told" was answered yes, to ... */
    uint32_t yes;                      /* ... these */
};

static size_t record_index(const struct world *world, const struct exchange_event *event)
{
    for (size_t i = (size_t)(event - world->events) + 1;
         i-- > 0;) /* what is said of a record stands together */
        if (memcmp(world->events[i].record_key, event->record_key, TEXT_KEY_SIZE) == 0 &&
            (i == 0 || memcmp(world->events[i - 1].record_key, event->record_key, TEXT_KEY_SIZE) != 0))
            return i;
    return 0;
}

static bool newer(const struct exchange_event *a, const struct exchange_event *b)
{
    struct case_record x = {.revision = a->revision, .operation = a->operation},
                       y = {.revision = b->revision, .operation = b->operation};
    return record_wins(&x, &y);
}

/* @former: what @event replaces. */
static void learn(struct known *known, const struct fixture *hub, const struct exchange_event *event,
                  const struct exchange_event *former)
{
    for (size_t i = 0; i < hub->decision.n_receivers; i++) {
        const struct exchange_receiver *receiver = &hub->decision.receivers[i];
        bool told = strcmp(receiver->node, "told") == 0;
        if (!told && receiver->retracts)
            known->seen = NULL;
        else if (!told && (!known->seen || newer(event, known->seen)))
            known->seen = event;
        else if (told && receiver->retracts)
            known->yes &= former && memcmp(known->case_key, former->case_number_key, TEXT_KEY_SIZE) == 0
                              ? ~receiver->questions
                              : UINT32_MAX;
        else if (told) {
            assert_true(receiver->questions & answers_known(event->header));
            known->yes &= ~(answers_known(event->header) & ASKED);
            known->yes |= event->answered & ASKED;
            memcpy(known->case_key, event->case_number_key, TEXT_KEY_SIZE);
        }
    }
}

static void know(const struct world *world, const uint32_t *order, struct known *known)
{
    struct fixture hub;
    fixture_init(&hub);
    hub.nodes[2] = (struct exchange_node){.name = "quiet", .department = "rsj", .area = ""};
    hub.nodes[3] = (struct exchange_node){.name = "told", .department = "gjj", .area = ""};
    hub.rights = &reading_policy;
    memset(known, 0, world->n * sizeof *known);
    for (size_t i = 0; i < world->n; i++) {
        const struct exchange_event *event = &world->events[order[i]];
        assert_int_equal(fixture_give(&hub, teller(world, order[i]), event), VERDICT_ACCEPTED);
        const struct exchange_event *former = /* positions begin with 1 */
            hub.decision.replaces ? &world->events[order[hub.decision.replaces - 2]] : NULL;
        learn(&known[record_index(world, event)], &hub, event, former);
    }
    fixture_deinit(&hub);
}

/* What holds of the record that @first begins: its greatest revision and operation; NULL when it clashes. */
static const struct exchange_event *holds(const struct world *world, size_t first)
{
    const struct exchange_event *found = NULL;
    bool clash = false;
    for (size_t i = first; i < world->n && memcmp(world->events[i].record_key,
                                                  world->events[first].record_key, TEXT_KEY_SIZE) == 0;
         i++) {
        if (!found || newer(&world->events[i], found)) {
            found = &world->events[i];
            clash = false;
        } else {
            clash = clash || !newer(found, &world->events[i]);
        }
    }
    return clash ? NULL : found;
}

/* Nobody is left with what does not hold, and nobody misses what does. */
static void check_known(const struct world *world, const struct known *known)
{
    for (size_t i = 0; i < world->n; i++) {
        const struct exchange_event *event = &world->events[i];
        if (record_index(world, event) != i || !(event = holds(world, i)))
            continue;
        bool company = strcmp(event->item, "company") == 0;
        bool ends = (rights_kind_bit(event->header->kind) & ENDS) != 0;
        assert_ptr_equal(known[i].seen, company && ends ? event : NULL);
        assert_int_equal(known[i].yes, company ? event->answered & ASKED : 0);
        if (known[i].yes)
            assert_memory_equal(known[i].case_key, event->case_number_key, TEXT_KEY_SIZE);
    }
}

static void test_readers_know_the_same_in_the_end_in_any_order(void **unused)
{
    (void)unused;
    struct log_fixture log;
    struct world world;
    struct dice dice = {test_seed(5)};
    log_fixture_open(&log, "receipt", "receipt_activity_map.csv");
    world_init(&world, &log, &dice);
    uint32_t *order = order_as_said(&world, 0);
    struct known *known = malloc(world.n * sizeof *known);
    assert_non_null(known);
    for (unsigned round = 0; round < 6; round++) {
        know(&world, order, known);
        check_known(&world, known);
        shuffle(order, world.n, &dice);
    }
    free(known);
    free(order);
    world_deinit(&world);
    log_fixture_close(&log);
}

/* ---- nothing is lost, nothing is added ---- */

struct counted {
    struct fixture *hub;
    size_t n_cases, n_records, n_findings;
};

static int count_case(void *self, struct bytes key, struct bytes value)
{
    (void)key;
    struct counted *counted = self;
    struct case_row row;
    assert_int_equal(case_row_decode(value, &row, NULL, 0, NULL), 0);
    assert_int_equal(row.n_records, row.state.n_records);
    counted->n_cases++;
    counted->n_records += row.n_records;
    return 0;
}

static void test_receipt_keeps_every_event_of_every_case(void **unused)
{
    (void)unused;
    struct log_fixture log;
    struct world world;
    struct fixture hub;
    log_fixture_open(&log, "receipt", "receipt_activity_map.csv");
    world_init(&world, &log, NULL);
    fixture_init(&hub);
    for (size_t i = 0; i < world.n; i++)
        assert_int_equal(fixture_give(&hub, i % 2 ? "desk" : "bureau", &world.events[i]), VERDICT_ACCEPTED);
    struct counted counted = {.hub = &hub};
    assert_int_equal(store_memory_walk(hub.memory, TABLE_CASES, count_case, &counted), 0);
    assert_int_equal(counted.n_records, 8577);
    assert_int_equal(counted.n_cases, 1434);
    fixture_deinit(&hub);
    world_deinit(&world);
    log_fixture_close(&log);
}

/* ---- replay ---- */

/* @event as it is read back when its header was destroyed. */
static void destroy_header(const struct exchange_event *event, struct exchange_event *left,
                           struct arena *arena)
{
    Casebus__V1__EventSkeleton skeleton;
    ProtobufCBinaryData aliases[ALIASES_MAX];
    exchange_event_skeleton(event, &skeleton, aliases);
    assert_int_equal(
        exchange_event_of_skeleton(left, &skeleton, event->event_hash, event->content_digest, arena, NULL),
        0);
    assert_null(left->header);
}

/* Promise P10: what was decided once is applied again to an empty store, and gives the same rows, whatever
 * headers were destroyed since: the order to destroy them closed their records. */
static void test_replay_gives_the_same_rows(void **unused)
{
    (void)unused;
    struct log_fixture log;
    struct world world;
    struct fixture hub, replay;
    struct dice dice = {test_seed(4)};
    log_fixture_open(&log, "receipt", "receipt_activity_map.csv");
    world_init(&world, &log, &dice);
    fixture_init(&hub);
    fixture_init(&replay);
    bool *destroyed = calloc(world.n, sizeof *destroyed);
    assert_non_null(destroyed);
    for (size_t i = 0; i < world.n; i++) {
        const char *node = teller(&world, (uint32_t)i);
        assert_int_equal(fixture_give(&hub, node, &world.events[i]), VERDICT_ACCEPTED);
        replay.decision = hub.decision; /* as the entry keeps it */
        struct exchange_event left = world.events[i];
        destroyed[i] = roll(&dice, 2) == 0;
        if (destroyed[i])
            destroy_header(&world.events[i], &left, &replay.arena);
        fixture_apply(&replay, node, &left);
    }
    for (size_t i = 0; i < world.n; i++)
        if (destroyed[i]) {
            assert_int_equal(exchange_close_record(&hub.store, world.events[i].record_key, NULL), 0);
            assert_int_equal(exchange_close_record(&replay.store, world.events[i].record_key, NULL), 0);
        }
    free(destroyed);
    for (int table = 0; table < TABLE_COUNT; table++) {
        struct buffer a, b;
        buffer_init(&a, DUMP_MAX);
        buffer_init(&b, DUMP_MAX);
        fixture_dump_table(&hub, (enum exchange_table)table, &a);
        fixture_dump_table(&replay, (enum exchange_table)table, &b);
        assert_int_equal(a.size, b.size);
        if (a.size > 0)
            assert_memory_equal(a.data, b.data, a.size);
        buffer_deinit(&a);
        buffer_deinit(&b);
    }
    fixture_deinit(&replay);
    fixture_deinit(&hub);
    world_deinit(&world);
    log_fixture_close(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipt_keeps_every_event_of_every_case),
        cmocka_unit_test(test_receipt_is_the_same_in_any_order),
        cmocka_unit_test(test_building_permits_are_the_same_in_any_order),
        cmocka_unit_test(test_road_fines_are_the_same_in_any_order),
        cmocka_unit_test(test_replay_gives_the_same_rows),
        cmocka_unit_test(test_readers_know_the_same_in_the_end_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
