/* Runs itself in clean environments and looks at the language in which it speaks. The machine that tests may
 * have no locale but C.UTF-8; that is the case that matters. */
#include "proto/base/error.h"
#include "proto/base/texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char english[] = "the disk is full";
static const char chinese[] = "磁盘已满";

static void speak(void)
{
    texts_init();
    fputs(casebus_code_meaning(CASEBUS_DISK_FULL), stdout);
    fflush(stdout);
}

/* How many codes have words that this process, which speaks Chinese, leaves in English. */
static void count(void)
{
    int left = 0;
    texts_init();
#define IN_ENGLISH(name, value, text, meaning, actor, resend, hint)                                          \
    left += strcmp(casebus_code_meaning(CASEBUS_##name), meaning) == 0 ||                                    \
            strcmp(casebus_code_hint(CASEBUS_##name), hint) == 0;
    CASEBUS_CODES(IN_ENGLISH)
    printf("%d", left);
    fflush(stdout);
}

/* What a process says whose environment is @environment and nothing else. */
static void expect_from(const char *mode, char *const *environment, const char *words)
{
    int channel[2];
    assert_int_equal(pipe(channel), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(channel[1], 1);
        execve("/proc/self/exe", (char *[]){"texts_test", (char *)(uintptr_t)mode, NULL}, environment);
        _exit(1);
    }
    close(channel[1]);
    char heard[256] = {0};
    size_t n = 0;
    ssize_t got;
    while (n < sizeof heard - 1 && (got = read(channel[0], heard + n, sizeof heard - 1 - n)) > 0)
        n += (size_t)got;
    close(channel[0]);
    waitpid(pid, NULL, 0);
    assert_string_equal(heard, words);
}

static void expect_words(char *const *environment, const char *words)
{
    expect_from("speak", environment, words);
}

#define ENVIRONMENT(...)                                                                                     \
    (char *const[])                                                                                          \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void test_chinese_is_spoken_without_an_installed_locale(void **state)
{
    (void)state;
    expect_words(ENVIRONMENT("LANG=zh_CN.UTF-8"), chinese);
    expect_words(ENVIRONMENT("LC_ALL=zh_CN.UTF-8"), chinese);
    expect_words(ENVIRONMENT("LC_ALL=zh_CN"), chinese);
    expect_words(ENVIRONMENT("LC_MESSAGES=zh_CN.UTF-8"), chinese);
    expect_words(ENVIRONMENT("LANG=C.UTF-8", "LANGUAGE=zh_CN"), chinese);
    expect_words(ENVIRONMENT("LANG=C.UTF-8", "LANGUAGE=zh"), chinese);
    expect_words(ENVIRONMENT("LANG=C.UTF-8", "LANGUAGE=zh_CN:en"), chinese);
}

static void test_casebus_lang_decides_over_everything(void **state)
{
    (void)state;
    expect_words(ENVIRONMENT("CASEBUS_LANG=zh"), chinese);
    expect_words(ENVIRONMENT("CASEBUS_LANG=zh_CN", "LC_ALL=C"), chinese);
    expect_words(ENVIRONMENT("CASEBUS_LANG=en", "LC_ALL=zh_CN.UTF-8"), english);
    expect_words(ENVIRONMENT("CASEBUS_LANG=en", "LANG=C.UTF-8", "LANGUAGE=zh_CN"), english);
}

static void test_english_is_spoken_otherwise(void **state)
{
    (void)state;
    expect_words(ENVIRONMENT("PATH=/bin"), english);
    expect_words(ENVIRONMENT("LANG=C.UTF-8"), english);
    expect_words(ENVIRONMENT("LC_ALL=C", "LANGUAGE=zh_CN"), english);
    expect_words(ENVIRONMENT("LANG=en_US.UTF-8"), english);
    expect_words(ENVIRONMENT("LANG=zhx_YY.UTF-8"), english);
    expect_words(ENVIRONMENT("LANG="), english);
}

static void test_missing_catalogue_leaves_english(void **state)
{
    (void)state;
    expect_words(ENVIRONMENT("CASEBUS_LANG=zh", "CASEBUS_LOCALEDIR=/nowhere"), english);
}

static void test_every_code_has_its_meaning_and_its_way_out_in_chinese(void **state)
{
    (void)state;
    expect_from("count", ENVIRONMENT("CASEBUS_LANG=zh"), "0");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "speak") == 0) {
        speak();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "count") == 0) {
        count();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chinese_is_spoken_without_an_installed_locale),
        cmocka_unit_test(test_casebus_lang_decides_over_everything),
        cmocka_unit_test(test_english_is_spoken_otherwise),
        cmocka_unit_test(test_missing_catalogue_leaves_english),
        cmocka_unit_test(test_every_code_has_its_meaning_and_its_way_out_in_chinese),
    };
    return cmocka_run_group_tests_name("texts", tests, NULL, NULL);
}
