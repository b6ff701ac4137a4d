/* The journal tells back, in order, every group that it took, and takes none that does not follow. */
#include "hub/journal/journal.h"

#include "hub/journal/journal_fixture.h"
#include "hub/journal/record.h"

#include <fcntl.h>
#include <sys/stat.h>

struct fixture {
    char dir[PATH_MAX];
    struct journal *journal;
    uint64_t epoch;
    uint64_t position; /* after the newest group */
    struct arena arena;
};

static void fixture_open(struct fixture *f)
{
    struct casebus_error err;
    must(journal_open(&f->journal, f->dir, 0, &err), &err);
    must(journal_claim(f->journal, &f->epoch, &err), &err);
}

static void fixture_reopen(struct fixture *f)
{
    f->journal = journal_close(f->journal);
    fixture_open(f);
}

static int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    folder_make(f->dir, "journal");
    arena_init(&f->arena, 64 * 1024, (size_t)32 << 20);
    fixture_open(f);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    journal_close(f->journal);
    arena_deinit(&f->arena);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static void append(struct fixture *f, uint64_t n_groups, size_t size)
{
    struct casebus_error err;
    for (uint64_t i = 0; i < n_groups; i++) {
        struct made_group made;
        group_make(&made, f->epoch, journal_last(f->journal) + 1, f->position, size);
        must(journal_append(f->journal, &made.group, &err), &err);
        f->position = made.group.tree_size;
        group_unmake(&made);
    }
}

/* Reads from @position: groups @first to @last, as of epoch @epoch and with bodies of @size bytes. */
static void expect_groups(struct fixture *f, uint64_t position, uint64_t first, uint64_t last, uint64_t epoch,
                          size_t size)
{
    struct journal_reader *reader;
    struct journal_group group;
    struct casebus_error err;

    must(journal_reader_open(&reader, f->journal, position, &err), &err);
    for (uint64_t number = first; number <= last; number++) {
        struct made_group made;
        int r = journal_reader_next(reader, &f->arena, &group, &err);
        must(r, &err);
        assert_int_equal(r, 1);
        group_make(&made, epoch, number, position_of(number), size);
        expect_group(&group, &made.group);
        group_unmake(&made);
    }
    assert_int_equal(journal_reader_next(reader, &f->arena, &group, &err), 0);
    journal_reader_close(reader);
}

static void test_groups_come_back_after_reopening(void **state)
{
    struct fixture *f = *state;
    uint64_t epoch = f->epoch;

    append(f, 200, 3000);
    expect_groups(f, 0, 1, 200, epoch, 3000);
    fixture_reopen(f);
    assert_int_equal(journal_last(f->journal), 200);
    assert_int_equal(journal_tree_size(f->journal), f->position);
    expect_groups(f, 0, 1, 200, epoch, 3000);
    append(f, 1, 10);
    assert_int_equal(journal_last(f->journal), 201);
}

static void test_reading_begins_at_the_group_that_holds_the_position(void **state)
{
    struct fixture *f = *state;

    append(f, 30, 400 * 1024); /* several marks */
    for (uint64_t number = 1; number <= 30; number += 3) {
        expect_groups(f, position_of(number), number, 30, f->epoch, 400 * 1024);
        expect_groups(f, position_of(number + 1) - 1, number, 30, f->epoch, 400 * 1024);
    }
    expect_groups(f, f->position, 31, 30, f->epoch, 0);
    expect_groups(f, UINT64_MAX, 31, 30, f->epoch, 0);
}

static void test_groups_of_eight_mebibytes_span_segments(void **state)
{
    struct fixture *f = *state;

    append(f, 6, (size_t)8 << 20);
    expect_groups(f, 0, 1, 6, f->epoch, (size_t)8 << 20);
}

static void expect_refused(struct fixture *f, const struct journal_group *group, enum casebus_code code)
{
    struct casebus_error err;
    uint64_t last = journal_last(f->journal);
    assert_int_equal(journal_append(f->journal, group, &err), -1);
    assert_int_equal(err.code, code);
    assert_int_equal(journal_last(f->journal), last);
}

static void test_group_that_does_not_follow_is_refused(void **state)
{
    struct fixture *f = *state;
    struct made_group made;
    struct journal_group group;

    append(f, 3, 100);
    group_make(&made, f->epoch, 4, f->position, 100);
    group = made.group;
    group.number = 5;
    expect_refused(f, &group, CASEBUS_INTERNAL);
    group.number = 3;
    expect_refused(f, &group, CASEBUS_INTERNAL);
    group = made.group;
    group.first_position++;
    group.tree_size++;
    expect_refused(f, &group, CASEBUS_INTERNAL);
    group = made.group;
    group.tree_size++;
    expect_refused(f, &group, CASEBUS_INTERNAL);
    group = made.group;
    group.epoch++;
    expect_refused(f, &group, CASEBUS_INTERNAL);
    struct casebus_error err;
    must(journal_append(f->journal, &made.group, &err), &err);
    group_unmake(&made);
}

static void test_nothing_is_appended_before_a_claim(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct made_group made;
    uint64_t old = f->epoch;

    append(f, 1, 10);
    f->journal = journal_close(f->journal);
    must(journal_open(&f->journal, f->dir, 0, &err), &err);
    group_make(&made, old, 2, f->position, 10);
    expect_refused(f, &made.group, CASEBUS_INTERNAL);
    must(journal_claim(f->journal, &f->epoch, &err), &err);
    assert_true(f->epoch > old);
    expect_refused(f, &made.group, CASEBUS_INTERNAL); /* the writer of before has lost it */
    made.group.epoch = f->epoch;
    must(journal_append(f->journal, &made.group, &err), &err);
    group_unmake(&made);
}

static void test_group_that_is_too_large_is_refused_and_work_goes_on(void **state)
{
    struct fixture *f = *state;
    struct made_group made;

    group_make(&made, f->epoch, 1, 0, 3 * JOURNAL_GROUP_MAX);
    expect_refused(f, &made.group, CASEBUS_TOO_LARGE);
    group_unmake(&made);
    append(f, 2, 100);
    expect_groups(f, 0, 1, 2, f->epoch, 100);
}

static void test_trimming_gives_segments_back_and_keeps_the_newest(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    const size_t size = (size_t)4 << 20;

    append(f, 20, size);
    uint64_t used = journal_used(f->journal);
    assert_true(used > 12 * size);
    must(journal_trim(f->journal, 0, &err), &err);
    expect_groups(f, 0, 1, 20, f->epoch, size);
    must(journal_trim(f->journal, position_of(15), &err), &err);
    assert_true(journal_used(f->journal) < used / 2 + size);
    expect_groups(f, position_of(15), 15, 20, f->epoch, size);
    must(journal_trim(f->journal, f->position, &err), &err);
    expect_groups(f, position_of(20), 20, 20, f->epoch, size);
    uint64_t epoch = f->epoch;
    fixture_reopen(f);
    assert_true(f->epoch > epoch);
    assert_int_equal(journal_last(f->journal), 20);
    expect_groups(f, position_of(20), 20, 20, epoch, size);
    append(f, 1, 10);
}

static void test_epoch_and_number_survive_much_trimming(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    for (int round = 0; round < 12; round++) {
        append(f, 2, (size_t)5 << 20);
        must(journal_trim(f->journal, f->position, &err), &err);
        must(journal_idle(f->journal, &err), &err);
        must(journal_prepare(f->journal, &err), &err);
        uint64_t epoch = f->epoch;
        if (round % 3 == 0) {
            fixture_reopen(f);
            assert_int_equal(f->epoch, epoch + 1);
        }
        assert_int_equal(journal_last(f->journal), 2 * (round + 1));
    }
}

static void test_second_process_cannot_open_it(void **state)
{
    struct fixture *f = *state;
    struct journal *other;
    struct casebus_error err;

    assert_int_equal(journal_open(&other, f->dir, 0, &err), -1);
    assert_int_equal(err.code, CASEBUS_LOCKED);
}

static void test_journal_of_another_partition_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    append(f, 1, 10);
    f->journal = journal_close(f->journal);
    assert_int_equal(journal_open(&f->journal, f->dir, 3, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    f->journal = NULL;
}

/* Turns a byte wherever @text stands in the journal's files. */
static void damage(struct fixture *f, const char *text)
{
    char path[PATH_MAX];
    struct stat status;
    int n = 0;

    for (int i = 1; i <= 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "journal/%08d.seg", i);
        folder_path(path, f->dir, name);
        int fd = open(path, O_RDWR);
        if (fd < 0 || fstat(fd, &status) != 0)
            continue;
        uint8_t *bytes = malloc((size_t)status.st_size);
        assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
        uint8_t *at = memmem(bytes, (size_t)status.st_size, text, strlen(text));
        if (at) {
            uint8_t turned = *at ^ 1;
            assert_int_equal(pwrite(fd, &turned, 1, at - bytes), 1);
            n++;
        }
        free(bytes);
        close(fd);
    }
    assert_true(n > 0);
}

static void test_damage_before_the_end_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    append(f, 10, 500);
    f->journal = journal_close(f->journal);
    damage(f, "of group 4");
    assert_int_equal(journal_open(&f->journal, f->dir, 0, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    f->journal = NULL;
}

static void test_damage_to_the_last_group_of_an_idle_journal_is_named(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;

    append(f, 10, 500);
    must(journal_idle(f->journal, &err), &err);
    f->journal = journal_close(f->journal);
    damage(f, "of group 10");
    assert_int_equal(journal_open(&f->journal, f->dir, 0, &err), -1);
    assert_int_equal(err.code, CASEBUS_DAMAGED);
    f->journal = NULL;
}

static void test_torn_last_group_is_cut_away(void **state)
{
    struct fixture *f = *state;

    append(f, 10, 500);
    f->journal = journal_close(f->journal);
    damage(f, "of group 10");
    fixture_open(f);
    assert_int_equal(journal_last(f->journal), 9);
    f->position = position_of(10);
    append(f, 1, 500);
}

/* Gathers as the back-end does. */
static size_t group_bytes(const struct journal_group *group, uint8_t *out)
{
    uint8_t head[GROUP_HEAD_SIZE], lengths[ENTRIES_MAX * ENTRY_HEAD_SIZE];
    struct iovec parts[GROUP_PARTS(ENTRIES_MAX)];
    size_t size = 0;

    group_encode(group, 0, head, lengths, parts);
    for (size_t i = 0; i < GROUP_PARTS(group->n_entries); i++) {
        if (parts[i].iov_len > 0)
            memcpy(out + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    assert_int_equal(size, group_size(group));
    return size;
}

static void test_no_bytes_are_read_as_a_group_that_they_do_not_hold(void **state)
{
    struct fixture *f = *state;
    struct casebus_error err;
    struct made_group made;
    struct journal_group group;
    uint8_t bytes[4096];

    group_make(&made, 1, 9, 100, 300);
    size_t size = group_bytes(&made.group, bytes);
    must(group_decode(bytes_of(bytes, size), 0, &f->arena, &group, &err), &err);
    expect_group(&group, &made.group);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1); /* so that a step outside is seen */
        memcpy(exact, bytes, cut);
        arena_reset(&f->arena);
        assert_int_equal(group_decode(bytes_of(exact, cut), 0, &f->arena, &group, &err), -1);
        assert_int_equal(err.code, CASEBUS_DAMAGED);
        free(exact);
    }
    for (size_t i = 0; i < size; i++) { /* a wrong byte may change a text, but never the bounds */
        uint8_t kept = bytes[i];
        bytes[i] ^= 0xff;
        arena_reset(&f->arena);
        if (group_decode(bytes_of(bytes, size), 0, &f->arena, &group, &err) == 0)
            assert_true(group.n_entries <= ENTRIES_MAX);
        bytes[i] = kept;
    }
    group_unmake(&made);
}

#define JOURNAL_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOURNAL_TEST(test_groups_come_back_after_reopening),
        JOURNAL_TEST(test_reading_begins_at_the_group_that_holds_the_position),
        JOURNAL_TEST(test_groups_of_eight_mebibytes_span_segments),
        JOURNAL_TEST(test_group_that_does_not_follow_is_refused),
        JOURNAL_TEST(test_nothing_is_appended_before_a_claim),
        JOURNAL_TEST(test_group_that_is_too_large_is_refused_and_work_goes_on),
        JOURNAL_TEST(test_trimming_gives_segments_back_and_keeps_the_newest),
        JOURNAL_TEST(test_epoch_and_number_survive_much_trimming),
        JOURNAL_TEST(test_second_process_cannot_open_it),
        JOURNAL_TEST(test_journal_of_another_partition_is_named),
        JOURNAL_TEST(test_damage_before_the_end_is_named),
        JOURNAL_TEST(test_damage_to_the_last_group_of_an_idle_journal_is_named),
        JOURNAL_TEST(test_torn_last_group_is_cut_away),
        JOURNAL_TEST(test_no_bytes_are_read_as_a_group_that_they_do_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
