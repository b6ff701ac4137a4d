#include "hub/pipeline/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define N_JOBS 5

struct fixture {
    struct queue queue;
    struct job jobs[N_JOBS];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    queue_init(&f->queue);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    queue_deinit(&f->queue);
    free(f);
    return 0;
}

static void push_all(struct fixture *f)
{
    for (size_t i = 0; i < N_JOBS; i++)
        assert_true(queue_push(&f->queue, &f->jobs[i]));
}

static void test_workers_are_given_jobs_in_the_order_of_arrival(void **state)
{
    struct fixture *f = *state;
    push_all(f);
    for (size_t i = 0; i < N_JOBS; i++)
        assert_ptr_equal(queue_take_unchecked(&f->queue), &f->jobs[i]);
}

static void test_the_writer_takes_in_order_whatever_is_checked_first(void **state)
{
    struct fixture *f = *state;
    push_all(f);
    for (size_t i = 0; i < N_JOBS; i++)
        queue_take_unchecked(&f->queue);
    for (size_t i = N_JOBS; i-- > 1;) {
        queue_checked(&f->queue, &f->jobs[i]);
        assert_null(queue_take_checked(&f->queue, 0)); /* the first one is not checked yet */
    }
    queue_checked(&f->queue, &f->jobs[0]);
    for (size_t i = 0; i < N_JOBS; i++)
        assert_ptr_equal(queue_take_checked(&f->queue, 1000), &f->jobs[i]);
    assert_int_equal(queue_length(&f->queue), 0);
}

static void test_a_full_queue_takes_no_more_until_the_writer_took_one(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < QUEUE_JOBS; i++)
        assert_true(queue_push(&f->queue, &f->jobs[0]));
    assert_false(queue_push(&f->queue, &f->jobs[1]));
    queue_checked(&f->queue, queue_take_unchecked(&f->queue));
    assert_false(queue_push(&f->queue, &f->jobs[1])); /* a worker's taking makes no room */
    assert_non_null(queue_take_checked(&f->queue, 0));
    assert_true(queue_push(&f->queue, &f->jobs[1]));
}

static void test_a_closed_queue_is_drained_and_takes_nothing(void **state)
{
    struct fixture *f = *state;
    push_all(f);
    queue_close(&f->queue);
    struct job late = {0};
    assert_false(queue_push(&f->queue, &late));
    assert_false(queue_drained(&f->queue));
    for (size_t i = 0; i < N_JOBS; i++)
        queue_checked(&f->queue, queue_take_unchecked(&f->queue));
    assert_null(queue_take_unchecked(&f->queue));
    for (size_t i = 0; i < N_JOBS; i++)
        assert_non_null(queue_take_checked(&f->queue, 1000));
    assert_true(queue_drained(&f->queue));
    assert_null(queue_take_checked(&f->queue, 60000)); /* does not wait: nothing can come */
}

static void *wait_for_job(void *queue)
{
    return queue_take_unchecked(queue);
}

static void test_closing_wakes_the_workers(void **state)
{
    struct fixture *f = *state;
    pthread_t workers[3];
    void *taken;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, wait_for_job, &f->queue), 0);
    queue_close(&f->queue);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(workers[i], &taken);
        assert_null(taken);
    }
}

static void test_a_nudge_ends_one_wait_and_is_not_lost_on_a_glance(void **state)
{
    struct fixture *f = *state;
    queue_nudge(&f->queue);
    assert_null(queue_take_checked(&f->queue, 0));
    assert_null(queue_take_checked(&f->queue, 60000)); /* returns at once */
    assert_null(queue_take_checked(&f->queue, 1));     /* the nudge is used up: by time */
}

static void test_a_job_wakes_the_writer_when_it_is_checked(void **state)
{
    struct fixture *f = *state;
    pthread_t worker;
    void *taken;
    assert_int_equal(pthread_create(&worker, NULL, wait_for_job, &f->queue), 0);
    assert_true(queue_push(&f->queue, &f->jobs[0]));
    pthread_join(worker, &taken);
    queue_checked(&f->queue, taken);
    assert_ptr_equal(queue_take_checked(&f->queue, 60000), &f->jobs[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_workers_are_given_jobs_in_the_order_of_arrival, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_writer_takes_in_order_whatever_is_checked_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_full_queue_takes_no_more_until_the_writer_took_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_closed_queue_is_drained_and_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_wakes_the_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_nudge_ends_one_wait_and_is_not_lost_on_a_glance, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_job_wakes_the_writer_when_it_is_checked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
