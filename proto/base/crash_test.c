/* Whoever dies of a watched file names it; whoever dies of anything else dies as before. */
#include "proto/base/crash.h"

#include <openssl/rand.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 65536 };

struct death {
    int status;
    char said[1024];
};

/* What is left of a child that does this. */
static struct death died_of(void (*act)(void *map), void *map)
{
    struct death death = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        for (int i = 0; i < 3; i++) /* the test's own handlers would see them, too */
            signal((int[]){SIGSEGV, SIGBUS, SIGABRT}[i], SIG_DFL);
        crash_words_begin("program");
        act(map);
        _exit(0);
    }
    close(ends[1]);
    for (size_t n = 0; n < sizeof death.said - 1;) {
        ssize_t got = read(ends[0], death.said + n, sizeof death.said - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &death.status, 0), child);
    return death;
}

static void *map_make(void)
{
    void *map = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    return map;
}

static void touch(void *map)
{
    ((volatile char *)map)[5000] = 1;
}

static void touch_watched(void *map)
{
    crash_watch(map, SIZE, NULL, "'FILE' is damaged");
    touch(map);
}

static void touch_another(void *map)
{
    crash_watch((char *)map + SIZE, SIZE, NULL, "'FILE' is damaged");
    touch(map);
}

static void touch_forgotten(void *map)
{
    crash_watch(map, SIZE, NULL, "'FILE' is damaged");
    crash_forget(map);
    touch(map);
}

static void assert_in_watched_code(void *map)
{
    crash_watch(map, SIZE, (const void *)(uintptr_t)assert_in_watched_code, "'FILE' is damaged");
    abort();
}

static void assert_elsewhere(void *map)
{
    crash_watch(map, SIZE, (const void *)(uintptr_t)RAND_bytes, "'FILE' is damaged");
    abort();
}

static void expect_named(void (*act)(void *map))
{
    struct death death = died_of(act, map_make());
    assert_true(WIFEXITED(death.status));
    assert_int_equal(WEXITSTATUS(death.status), CRASH_EXIT);
    assert_string_equal(death.said, "program: 'FILE' is damaged\n");
}

static void expect_as_before(void (*act)(void *map), int number)
{
    struct death death = died_of(act, map_make());
    assert_null(strstr(death.said, "FILE"));
    if (WIFSIGNALED(death.status)) /* a sanitizer ends in its own way */
        assert_int_equal(WTERMSIG(death.status), number);
    else
        assert_int_not_equal(WEXITSTATUS(death.status), CRASH_EXIT);
}

static void test_a_fault_in_a_watched_map_is_named(void **state)
{
    (void)state;
    expect_named(touch_watched);
}

static void test_an_assertion_of_the_code_that_reads_it_is_named(void **state)
{
    (void)state;
    expect_named(assert_in_watched_code);
}

static void test_any_other_fault_is_as_before(void **state)
{
    (void)state;
    expect_as_before(touch, SIGSEGV);
    expect_as_before(touch_another, SIGSEGV);
    expect_as_before(touch_forgotten, SIGSEGV);
    expect_as_before(assert_elsewhere, SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fault_in_a_watched_map_is_named),
        cmocka_unit_test(test_an_assertion_of_the_code_that_reads_it_is_named),
        cmocka_unit_test(test_any_other_fault_is_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
