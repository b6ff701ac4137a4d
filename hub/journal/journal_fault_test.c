/* P1: a writer is killed at random moments; every group that it was told to be on disk is there. */
#include "hub/journal/journal.h"

#include "hub/journal/journal_fixture.h"
#include "hub/journal/kill_fixture.h"

#define ROUNDS    30
#define BODY_SIZE 20000

struct fixture {
    char dir[PATH_MAX];
};

/* The child: appends without end, with trimming and idling in between. */
static void append_for_ever(void *self, int pipe_end)
{
    struct fixture *f = self;
    struct casebus_error err;
    struct journal *journal;
    uint64_t epoch;

    if (journal_open(&journal, f->dir, 0, &err) != 0 || journal_claim(journal, &epoch, &err) != 0)
        _exit(1);
    for (;;) {
        struct made_group made;
        uint64_t number = journal_last(journal) + 1;
        group_make(&made, epoch, number, position_of(number), BODY_SIZE);
        if (journal_append(journal, &made.group, &err) != 0)
            _exit(2);
        promise(pipe_end, number);
        group_unmake(&made);
        if (number % 50 == 0 && journal_trim(journal, position_of(number - 20), &err) != 0)
            _exit(3);
        if (number % 17 == 0 && journal_idle(journal, &err) != 0)
            _exit(4);
    }
}

/* What is there is whole, without gaps, and reaches at least to @promised. Returns the newest. */
static uint64_t check_groups(struct fixture *f, uint64_t promised)
{
    struct casebus_error err;
    struct journal *journal;
    struct journal_reader *reader;
    struct journal_group group;
    struct arena arena;
    int r;

    arena_init(&arena, 1 << 20, 64 << 20);
    must(journal_open(&journal, f->dir, 0, &err), &err);
    uint64_t last = journal_last(journal);
    assert_true(last >= promised);
    must(journal_reader_open(&reader, journal, last > 20 ? position_of(last - 19) : 0, &err), &err);
    uint64_t n = 0;
    while ((r = journal_reader_next(reader, &arena, &group, &err)) == 1) {
        struct made_group made;
        group_make(&made, group.epoch, group.number, position_of(group.number), BODY_SIZE);
        expect_group(&group, &made.group);
        group_unmake(&made);
        n++;
    }
    must(r, &err);
    assert_int_equal(n, last < 20 ? last : 20);
    journal_reader_close(reader);
    journal_close(journal);
    arena_deinit(&arena);
    return last;
}

static void test_what_was_promised_survives_a_kill(void **state)
{
    struct fixture f;
    struct chance chance = chance_begin();
    uint64_t last = 0;

    (void)state;
    folder_make(f.dir, "journal");
    for (int round = 0; round < ROUNDS; round++)
        last = check_groups(&f, run_and_kill(append_for_ever, &f, &chance, 30000, last));
    folder_remove(f.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_promised_survives_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
