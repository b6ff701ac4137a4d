/* Outbox: nothing that was synced is lost, nothing is sent in two versions, whatever moment a crash chooses.
 */
#include "adapters/sdk/event.h"
#include "adapters/sdk/outbox.h"
#include "adapters/sdk/testbed.h"
#include "proto/codec/frame.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct testbed bed;
static struct enrolment enrolment;
static struct casebus_error err;
static struct crypter *crypter;
static struct arena arena;
static struct arena scratch; /* of publish */
static struct outbox *outbox;
static char dir[PATH_MAX];
static uint64_t max_bytes, keep_max_bytes;

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s", #call, err.text);                                                             \
    } while (0)

static void reopen(const char *path)
{
    outbox = outbox_close(outbox);
    OK(outbox_open(&outbox, &(struct outbox_options){path, max_bytes, keep_max_bytes, &enrolment, crypter},
                   &err));
}

static int open_all(void **state)
{
    (void)state;
    testbed_open(&bed);
    OK(enrolment_load(&enrolment, bed.dir, bed.now, &err));
    crypter = crypter_new(enrolment.suite);
    arena_init(&arena, 65536, 64 << 20);
    arena_init(&scratch, 65536, 1 << 20);
    testbed_path(&bed, "outbox", dir);
    max_bytes = keep_max_bytes = 1 << 30;
    reopen(dir);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    outbox = outbox_close(outbox);
    arena_deinit(&arena);
    arena_deinit(&scratch);
    crypter = crypter_free(crypter);
    enrolment_deinit(&enrolment);
    testbed_close(&bed);
    return 0;
}

/* Publishes @n events of about @size bytes with marks counting on. */
static void publish(int n, size_t size)
{
    static char text[PART_MAX];
    struct casebus_event *event = casebus_event_new();
    for (int i = 0; i < n; i++) {
        struct bytes packed;
        uint8_t hash[DIGEST_SIZE];
        uint64_t number;
        casebus_event_clear(event);
        OK(casebus_event_set(event, "record_namespace", "t", &err));
        OK(casebus_event_set(event, "record_id", "r", &err));
        OK(casebus_event_set(event, "kind", "accept", &err));
        OK(casebus_event_set(event, "case_number", "C", &err));
        OK(casebus_event_set(event, "occurred_at", "2020-01-02", &err));
        OK(casebus_event_add_part(event, text, size, &err));
        OK(event_pack(event, crypter, &scratch, &packed, hash, &err));
        OK(outbox_append(outbox, packed, hash, outbox_last_mark(outbox) + 1, &number, &err));
        arena_reset(&scratch);
    }
    casebus_event_free(event);
}

/* Freezes and sends one batch; its frame is returned. */
static struct bytes send_one(void)
{
    uint8_t *frame;
    size_t size;
    if (!outbox_unsent(outbox))
        OK(outbox_freeze(outbox, BATCH_MAX_EVENTS, BATCH_MAX_BYTES, false, &err));
    if (!outbox_unsent(outbox))
        return bytes_of(NULL, 0);
    OK(outbox_send(outbox, SIZE_MAX, &frame, &size, &err));
    struct bytes copy = bytes_of(arena_copy(&arena, frame, size), size);
    free(frame);
    return copy;
}

static void answer_one(void)
{
    assert_non_null(outbox_awaited(outbox));
    OK(outbox_answered(outbox, 0, &err));
}

static void test_numbers_and_marks_go_on_after_reopening(void **state)
{
    (void)state;
    publish(3, 10);
    reopen(dir);
    publish(2, 10);
    assert_int_equal(outbox_pending(outbox), 5);
    assert_int_equal(outbox_last_mark(outbox), 5);
    send_one();
    answer_one();
    assert_int_equal(outbox_pending(outbox), 0);
    assert_int_equal(outbox_pending_bytes(outbox), 0);
    reopen(dir);
    assert_int_equal(outbox_pending(outbox), 0);
    assert_int_equal(outbox_last_mark(outbox), 5);
}

static void test_frame_is_a_publish_that_verifies(void **state)
{
    (void)state;
    publish(7, 100);
    struct bytes frame = send_one();
    Casebus__V1__Frame *message = frame_decode(frame, &arena, &err);
    assert_non_null(message);
    assert_int_equal(message->body_case, CASEBUS__V1__FRAME__BODY_PUBLISH);
    Casebus__V1__Batch *batch = message->publish->batch;
    assert_int_equal(batch->n_event, 7);
    struct bytes bytes = bytes_of(batch->statement.data, batch->statement.len);
    Casebus__V1__BatchStatement *statement = statement_decode(bytes, &arena, &err);
    assert_non_null(statement);
    uint8_t hashes[7][DIGEST_SIZE], root[DIGEST_SIZE];
    for (size_t i = 0; i < 7; i++)
        event_hash(crypter, bytes_of(batch->event[i]->header.data, batch->event[i]->header.len), hashes[i]);
    events_root(crypter, (const uint8_t(*)[DIGEST_SIZE])hashes, 7, root);
    assert_memory_equal(root, statement->events_root.data, DIGEST_SIZE);
    assert_int_equal(statement->first, 1);
    struct verifier *verifier = verifier_new(signing_key_public(enrolment.key));
    assert_true(verifier_check(verifier, bytes, batch->signature.data));
    verifier_free(verifier);
}

static void test_batches_are_chained_and_bounded(void **state)
{
    (void)state;
    publish(300, 10);
    publish(5, 60000);
    uint64_t next = 1;
    uint8_t before[DIGEST_SIZE] = {0};
    while (send_one().data) {
        struct outbox_batch *batch = outbox_awaited(outbox);
        Casebus__V1__BatchStatement *statement = statement_decode(batch->statement, &arena, &err);
        assert_int_equal(batch->first, next);
        assert_true(batch->count <= BATCH_MAX_EVENTS);
        assert_true(batch->count == 1 || batch->event_bytes <= BATCH_MAX_BYTES);
        assert_memory_equal(statement->previous.data, before, DIGEST_SIZE);
        assert_int_equal(batch->marks[0], next);
        memcpy(before, batch->hash, DIGEST_SIZE);
        next += batch->count;
        answer_one();
    }
    assert_int_equal(next, 306);
    assert_int_equal(outbox_pending_bytes(outbox), 0);
}

static void test_only_whole_batches_when_asked(void **state)
{
    (void)state;
    publish(255, 10);
    assert_int_equal(outbox_freeze(outbox, 256, BATCH_MAX_BYTES, true, &err), 0);
    publish(1, 10);
    assert_int_equal(outbox_freeze(outbox, 256, BATCH_MAX_BYTES, true, &err), 1);
}

static void test_frozen_batch_is_sent_again_as_the_same_bytes(void **state)
{
    (void)state;
    publish(10, 10);
    struct bytes first = send_one();
    publish(10, 10);
    struct bytes second = send_one();
    outbox_rewind(outbox);
    publish(1, 10);
    assert_true(bytes_equal(send_one(), first));
    reopen(dir);
    assert_true(bytes_equal(send_one(), first));
    assert_true(bytes_equal(send_one(), second));
    answer_one();
    reopen(dir);
    assert_true(bytes_equal(send_one(), second));
    answer_one();
    assert_int_equal(outbox_pending(outbox), 1);
}

static void test_many_events_wait_on_disk_and_come_in_order(void **state)
{
    (void)state;
    publish(6000, 500); /* more than the feed holds */
    uint64_t next = 1;
    while (send_one().data) {
        struct outbox_batch *batch = outbox_awaited(outbox);
        for (uint32_t i = 0; i < batch->count; i++)
            assert_int_equal(batch->marks[i], next++);
        answer_one();
        if (next < 3000)
            publish(100, 500);
    }
    assert_int_equal(next, outbox_last_mark(outbox) + 1);
    assert_int_equal(outbox_pending_bytes(outbox), 0);
}

static void test_answered_events_give_their_disk_back(void **state)
{
    (void)state;
    char command[2 * PATH_MAX];
    for (int i = 0; i < 100; i++) {
        publish(200, 3000);
        while (send_one().data)
            answer_one();
        arena_reset(&arena);
    }
    OK(outbox_settle(outbox, &err));
    snprintf(command, sizeof command, "test $(du -sm '%s' | cut -f1) -lt 24", dir);
    assert_int_equal(system(command), 0);
    reopen(dir);
    assert_int_equal(outbox_last_mark(outbox), 20000);
}

static void test_full_outbox_is_busy_until_something_is_answered(void **state)
{
    (void)state;
    struct bytes event = bytes_of("\x0a\x01x", 3);
    uint8_t hash[DIGEST_SIZE] = {0};
    uint64_t number;
    max_bytes = 100000;
    reopen(dir);
    publish(9, 10000);
    publish(1, 5000);
    while (outbox_append(outbox, event, hash, 12, &number, &err) == 0)
        ;
    assert_int_equal(err.code, CASEBUS_BUSY);
    while (send_one().data)
        answer_one();
    publish(1, 10000);
}

static void test_agreement_is_told_from_copies_and_losses(void **state)
{
    (void)state;
    uint8_t hash[DIGEST_SIZE], other[DIGEST_SIZE] = {1};
    struct bytes right = bytes_of(hash, DIGEST_SIZE), wrong = bytes_of(other, DIGEST_SIZE);
    assert_int_equal(outbox_compare(outbox, 0, bytes_of(NULL, 0)), OUTBOX_AGREES);
    publish(4, 10);
    send_one();
    assert_int_equal(outbox_frozen(outbox, hash), 4);
    assert_int_equal(outbox_compare(outbox, 0, bytes_of(NULL, 0)), OUTBOX_AGREES);
    assert_int_equal(outbox_compare(outbox, 4, right), OUTBOX_AGREES);
    assert_int_equal(outbox_compare(outbox, 4, wrong), OUTBOX_COPIED);
    assert_int_equal(outbox_compare(outbox, 3, right), OUTBOX_COPIED);
    assert_int_equal(outbox_compare(outbox, 5, right), OUTBOX_COPIED);
    answer_one();
    assert_int_equal(outbox_compare(outbox, 4, right), OUTBOX_AGREES);
    assert_int_equal(outbox_compare(outbox, 4, wrong), OUTBOX_COPIED);
    assert_int_equal(outbox_compare(outbox, 3, right), OUTBOX_FORGOTTEN);
    assert_int_equal(outbox_compare(outbox, 0, bytes_of(NULL, 0)), OUTBOX_FORGOTTEN);
}

static void test_new_stream_renumbers_what_is_not_answered(void **state)
{
    (void)state;
    publish(4, 10);
    send_one();
    answer_one();
    publish(3, 10);
    send_one();
    publish(2, 10);
    uint64_t before = outbox_stream(outbox);
    OK(outbox_restream(outbox, &err));
    reopen(dir);
    assert_true(outbox_stream(outbox) != before);
    assert_int_equal(outbox_pending(outbox), 5);
    assert_int_equal(outbox_compare(outbox, 0, bytes_of(NULL, 0)), OUTBOX_AGREES);
    assert_non_null(send_one().data);
    assert_int_equal(outbox_awaited(outbox)->first, 1);
    assert_int_equal(outbox_awaited(outbox)->count, 5);
    assert_int_equal(outbox_awaited(outbox)->first_number, 5);
    answer_one();
    reopen(dir);
    assert_int_equal(outbox_pending(outbox), 0);
    assert_int_equal(outbox_last_mark(outbox), 9);
}

static void test_sent_events_can_be_read_again(void **state)
{
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, EVENT_MAX);
    publish(5, 10);
    send_one();
    publish(5, 20);
    send_one();
    const struct outbox_batch *first = outbox_awaited(outbox);
    const struct outbox_batch *order[] = {first, first, first->next, first};
    const uint32_t index[] = {1, 4, 2, 0};
    for (int i = 0; i < 4; i++) {
        struct casebus_event *event = casebus_event_new();
        size_t size;
        OK(outbox_read(outbox, order[i], index[i], &bytes, &err));
        OK(event_read_packed(event, bytes_of(bytes.data, bytes.size), &err));
        assert_non_null(casebus_event_part(event, 0, &size));
        assert_int_equal(size, order[i] == first ? 10 : 20);
        casebus_event_free(event);
    }
    buffer_deinit(&bytes);
}

static void test_another_key_signs_new_batches(void **state)
{
    (void)state;
    publish(2, 10);
    send_one();
    uint64_t before = outbox_stream(outbox);
    enrolment.key_id[0] ^= 1;
    reopen(dir);
    assert_true(outbox_stream(outbox) != before);
    assert_int_equal(outbox_pending(outbox), 2);
}

/* --- crashes --- */

/* What a reopened outbox says: never less than what was synced when the copy was taken. */
struct moment {
    uint64_t synced; /* events that were synced by then */
    uint64_t sent;   /* highest number that a sent batch held */
    uint8_t hash[DIGEST_SIZE];
};

static struct moment moments[64];
static size_t n_moments;

static void copy_moment(uint64_t synced)
{
    char name[32], to[PATH_MAX];
    struct moment *moment = &moments[n_moments];
    snprintf(name, sizeof name, "copy-%zu", n_moments++);
    testbed_path(&bed, name, to);
    testbed_copy(dir, to);
    moment->synced = synced;
    moment->sent = outbox_unsent(outbox) ? 0 : outbox_frozen(outbox, moment->hash);
}

static void test_each_moment_of_a_life_can_be_gone_on_from(void **state)
{
    (void)state;
    n_moments = 0;
    for (int round = 0; round < 8; round++) {
        uint64_t before = outbox_last_mark(outbox);
        publish(5, 200);
        copy_moment(before);
        OK(outbox_sync(outbox, &err));
        copy_moment(outbox_last_mark(outbox));
        send_one();
        copy_moment(outbox_last_mark(outbox));
        if (round % 3)
            answer_one();
        copy_moment(outbox_last_mark(outbox));
    }
    for (size_t i = 0; i < n_moments; i++) {
        char name[32], path[PATH_MAX];
        uint8_t hash[DIGEST_SIZE];
        snprintf(name, sizeof name, "copy-%zu", i);
        testbed_path(&bed, name, path);
        reopen(path);
        assert_true(outbox_last_mark(outbox) >= moments[i].synced);
        assert_true(outbox_frozen(outbox, hash) >= (i % 4 == 0 ? 0 : moments[i].sent));
        if (outbox_frozen(outbox, hash) == moments[i].sent && moments[i].sent > 0)
            assert_memory_equal(hash, moments[i].hash, DIGEST_SIZE);
        while (send_one().data)
            answer_one();
        assert_int_equal(outbox_pending(outbox), 0);
    }
    outbox = outbox_close(outbox);
}

/* Zeroes the only segment from @offset on, as if the rest had never reached the disk. */
static void tear(const char *path, off_t offset)
{
    char file[2 * PATH_MAX];
    DIR *list = opendir(path);
    struct dirent *entry;
    assert_non_null(list);
    while ((entry = readdir(list))) {
        struct stat status;
        if (!strstr(entry->d_name, ".seg"))
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        int fd = open(file, O_RDWR);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(ftruncate(fd, offset), 0);
        assert_int_equal(ftruncate(fd, status.st_size), 0);
        close(fd);
    }
    closedir(list);
}

static void test_torn_end_is_cut_at_every_place(void **state)
{
    (void)state;
    char copy[PATH_MAX], torn[PATH_MAX];
    testbed_path(&bed, "whole", copy);
    testbed_path(&bed, "torn", torn);
    OK(outbox_sync(outbox, &err));
    publish(2, 30);
    send_one();
    publish(2, 30);
    send_one();
    answer_one();
    OK(outbox_sync(outbox, &err));
    testbed_copy(dir, copy);
    uint64_t best = 0;
    for (off_t offset = 4096 + 160; offset < 4096 + 3600; offset += 13) {
        testbed_copy(copy, torn);
        tear(torn, offset);
        outbox = outbox_close(outbox);
        if (outbox_open(&outbox,
                        &(struct outbox_options){torn, max_bytes, keep_max_bytes, &enrolment, crypter},
                        &err) != 0) {
            /* A synced record may be missed and named, never passed over in silence. */
            assert_int_equal(err.code, CASEBUS_DAMAGED);
            continue;
        }
        assert_true(outbox_last_mark(outbox) >= best);
        best = outbox_last_mark(outbox);
        publish(1, 30);
        while (send_one().data)
            answer_one();
    }
    assert_int_equal(best, 4);
}

/* ---- kept until there is a second copy ---- */

/* @n events, one batch each; the ledger is @step entries longer after each. */
static void answer_each(int n, uint64_t *end, uint64_t step)
{
    for (int i = 0; i < n; i++) {
        publish(1, 60000); /* too large to be kept as one with its neighbour */
        send_one();
        OK(outbox_answered(outbox, *end += step, &err));
    }
}

static void test_without_a_second_copy_nothing_is_kept(void **state)
{
    uint64_t end = 100, first, count;
    (void)state;
    answer_each(5, &end, 2);
    assert_int_equal(outbox_kept(outbox, NULL), 0);
    OK(outbox_lost(outbox, 100, &first, &count, &err));
    assert_int_equal(count, 0);
    assert_int_equal(outbox_pending(outbox), 0);
}

static void test_what_is_not_secured_is_kept_over_a_restart_and_goes_when_it_is(void **state)
{
    uint64_t end = 100;
    (void)state;
    OK(outbox_set_secured(outbox, 50, &err));
    answer_each(5, &end, 2); /* ends at 102 .. 110 */
    assert_int_equal(outbox_kept(outbox, NULL), 5);
    reopen(dir);
    assert_int_equal(outbox_kept(outbox, NULL), 5);
    OK(outbox_set_secured(outbox, 105, &err));
    assert_int_equal(outbox_kept(outbox, NULL), 3);
    OK(outbox_set_secured(outbox, 110, &err));
    assert_int_equal(outbox_kept(outbox, NULL), 0);
    assert_int_equal(outbox_pending(outbox), 0);
}

static void test_what_a_restored_hub_has_lost_is_unanswered_again(void **state)
{
    uint64_t end = 100, first, count, stream = outbox_stream(outbox);
    (void)state;
    OK(outbox_set_secured(outbox, 50, &err));
    answer_each(5, &end, 2);
    publish(2, 10);
    uint64_t mark = outbox_last_mark(outbox), waiting = outbox_pending_bytes(outbox);
    for (int round = 0; round < 2; round++) { /* said twice, it is the same */
        OK(outbox_lost(outbox, 104, &first, &count, &err));
        assert_int_equal(count, round ? 0 : 3);
        assert_int_equal(outbox_pending(outbox), 5);
        assert_int_not_equal(outbox_stream(outbox), stream);
        assert_int_equal(outbox_last_mark(outbox), mark);
        assert_true(outbox_pending_bytes(outbox) > waiting + 170000);
        reopen(dir);
    }
    assert_int_equal(first, 3);
    assert_int_equal(outbox_pending(outbox), 5);
    OK(outbox_set_secured(outbox, 104, &err));
    for (int i = 0; outbox_pending(outbox) > 0; i++) {
        send_one();
        struct outbox_batch *batch = outbox_awaited(outbox);
        assert_non_null(batch);
        if (i == 0) {
            assert_int_equal(batch->first, 1); /* of the new stream */
            assert_int_equal(batch->first_number, 3);
            assert_int_equal(batch->marks[0], 3);
        }
        OK(outbox_answered(outbox, end += 2, &err));
    }
    assert_int_equal(outbox_pending_bytes(outbox), 0);
    assert_int_equal(outbox_kept(outbox, NULL), 5); /* of the new answers; the first two are secured */
    reopen(dir);
    OK(outbox_set_secured(outbox, 104, &err));
    assert_int_equal(outbox_kept(outbox, NULL), 5);
    assert_int_equal(outbox_pending(outbox), 0);
}

static void test_past_the_bound_the_oldest_go_and_their_numbers_are_told(void **state)
{
    uint64_t end = 100, first = 0, last = 0, bytes, count;
    (void)state;
    keep_max_bytes = 200000;
    reopen(dir);
    OK(outbox_set_secured(outbox, 50, &err));
    answer_each(3, &end, 2);
    assert_false(outbox_let_go(outbox, &first, &last));
    answer_each(2, &end, 2);
    assert_true(outbox_let_go(outbox, &first, &last));
    assert_int_equal(first, 1);
    assert_int_equal(last, 2);
    assert_int_equal(outbox_kept(outbox, &bytes), 3);
    assert_true(bytes <= keep_max_bytes);
    OK(outbox_lost(outbox, 50, &first, &count, &err));
    assert_int_equal(first, 3);
    assert_int_equal(count, 3);
}

static unsigned segment_count(void)
{
    unsigned n = 0;
    DIR *list = opendir(dir);
    for (const struct dirent *entry; list && (entry = readdir(list));)
        n += strstr(entry->d_name, ".seg") != NULL;
    if (list)
        closedir(list);
    return n;
}

static void test_segments_of_what_is_secured_are_used_again(void **state)
{
    uint64_t end = 100;
    unsigned files;
    (void)state;
    OK(outbox_set_secured(outbox, 1, &err));
    answer_each(300, &end, 2);
    OK(outbox_sync(outbox, &err));
    files = segment_count();
    assert_true(files > 3);
    for (int i = 0; i < 10; i++) {
        OK(outbox_set_secured(outbox, end, &err));
        answer_each(50, &end, 2);
        OK(outbox_sync(outbox, &err));
    }
    assert_true(segment_count() <= files);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_and_marks_go_on_after_reopening),
        TEST(test_frame_is_a_publish_that_verifies),
        TEST(test_batches_are_chained_and_bounded),
        TEST(test_only_whole_batches_when_asked),
        TEST(test_frozen_batch_is_sent_again_as_the_same_bytes),
        TEST(test_many_events_wait_on_disk_and_come_in_order),
        TEST(test_answered_events_give_their_disk_back),
        TEST(test_full_outbox_is_busy_until_something_is_answered),
        TEST(test_agreement_is_told_from_copies_and_losses),
        TEST(test_new_stream_renumbers_what_is_not_answered),
        TEST(test_sent_events_can_be_read_again),
        TEST(test_another_key_signs_new_batches),
        TEST(test_each_moment_of_a_life_can_be_gone_on_from),
        TEST(test_torn_end_is_cut_at_every_place),
        TEST(test_without_a_second_copy_nothing_is_kept),
        TEST(test_what_is_not_secured_is_kept_over_a_restart_and_goes_when_it_is),
        TEST(test_what_a_restored_hub_has_lost_is_unanswered_again),
        TEST(test_past_the_bound_the_oldest_go_and_their_numbers_are_told),
        TEST(test_segments_of_what_is_secured_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
