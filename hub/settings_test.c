#include "hub/settings.h"

#include "hub/journal/folder_fixture.h"

struct fixture {
    char dir[PATH_MAX], path[PATH_MAX];
    struct settings settings;
    struct casebus_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    folder_make(f->dir, "settings");
    folder_path(f->path, f->dir, "hub.yaml");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    folder_remove(f->dir);
    free(f);
    return 0;
}

static int read_text(struct fixture *f, const char *text)
{
    must(file_write(f->path, bytes_of_text(text), 0600, &f->err), &f->err);
    f->err.text[0] = 0;
    return settings_read(&f->settings, f->path, &f->err);
}

static void expect_faults(struct fixture *f, const char *text, const char *const *words)
{
    assert_int_equal(read_text(f, text), -1);
    assert_int_equal(f->err.code, CASEBUS_CONFIG);
    for (; *words; words++)
        if (!strstr(f->err.text, *words))
            fail_msg("'%s' does not say '%s'", f->err.text, *words);
}
#define FAULTS(f, text, ...) expect_faults(f, text, (const char *const[]){__VA_ARGS__, NULL})

static void test_what_init_writes_can_be_read(void **state)
{
    struct fixture *f = *state;
    struct buffer text;
    buffer_init(&text, 8192);
    assert_true(settings_write(&text, "js.example/exchange/1", NULL, "tcp://0.0.0.0:7401"));
    must(file_write(f->path, bytes_of(text.data, text.size), 0600, &f->err), &f->err);
    buffer_deinit(&text);
    must(settings_read(&f->settings, f->path, &f->err), &f->err);
    assert_string_equal(f->settings.origin, "js.example/exchange/1");
    assert_string_equal(f->settings.listen, "tcp://0.0.0.0:7401");
    assert_string_equal(f->settings.suite, "intl");
    assert_string_equal(f->settings.log_level, "info");
    assert_in_range(f->settings.workers, 1, 8);
}

static void test_what_is_not_said_has_a_preset(void **state)
{
    struct fixture *f = *state;
    must(read_text(f, "origin: js.example/exchange/1\nworkers: 3\n"), &f->err);
    assert_string_equal(f->settings.listen, "tcp://127.0.0.1:7400");
    assert_int_equal(f->settings.workers, 3);
}

static void test_all_faults_are_told_at_once_each_with_its_line(void **state)
{
    struct fixture *f = *state;
    FAULTS(f, "# a hub\nlisten: 7400\nworkers: 9\ncolour: red\nlog_level: loud\nsuite: [a, b]\n",
           "hub.yaml:2: listen: expected tcp://ADDRESS:PORT", "line 3: workers: expected auto",
           "line 4: colour: there is no such setting", "line 5: log_level: expected debug",
           "line 6: suite: expected a single value", "origin: is missing");
}

static void test_a_file_that_is_no_yaml_is_told_with_its_line(void **state)
{
    struct fixture *f = *state;
    FAULTS(f, "origin: js.example/exchange/1\nlisten: \"tcp://\n", "hub.yaml:");
    FAULTS(f, "", "cannot be read as settings");
    FAULTS(f, "a: b\n%: \xe0x\nc: d\n",
           "cannot be read as settings"); /* from which libfyaml never came back */
    FAULTS(f, "- a\n- b\n", "cannot be read as settings");
    FAULTS(f, "origin: a\norigin: b\n", "hub.yaml:2", "duplicate");
    assert_int_equal(settings_read(&f->settings, "/nowhere/hub.yaml", &f->err), -1);
}

static void test_numbers_and_addresses_are_what_they_say(void **state)
{
    (void)state;
    static const char *const good[][2] = {{"workers", "1"},           {"workers", "8"},
                                          {"workers", "auto"},        {"listen", "tcp://[::1]:7400"},
                                          {"listen", "ipc:///run/x"}, {"listen", "tcp://*:7400"},
                                          {"monitor", "off"},         {"monitor", "127.0.0.1:0"},
                                          {"monitor", "[::1]:7480"}};
    static const char *const bad[][2] = {{"workers", "0"},
                                         {"workers", "-18446744073709551615"},
                                         {"workers", "+1"},
                                         {"workers", "10"},
                                         {"workers", ""},
                                         {"listen", "tcp://"},
                                         {"listen", "tcp://:7400"},
                                         {"listen", "tcp://a"},
                                         {"monitor", "on"},
                                         {"monitor", "7480"},
                                         {"monitor", ":7480"},
                                         {"monitor", "a:70000"},
                                         {"monitor", "a:1 # b"},
                                         {"listen", "tcp://a:70000"},
                                         {"listen", "tcp://a:1\nsuite: gm"},
                                         {"listen", "tcp://a:1 # b"},
                                         {"listen", "http://a:1"},
                                         {"listen", "ipc://"},
                                         {"log_level", "INFO"},
                                         {"suite", "none"},
                                         {"origin", "x"}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_null(settings_fault(good[i][0], good[i][1]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!settings_fault(bad[i][0], bad[i][1]))
            fail_msg("%s: '%s' was accepted", bad[i][0], bad[i][1]);
    char long_text[400];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    memcpy(long_text, "ipc://", 6);
    assert_non_null(settings_fault("listen", long_text));
    assert_non_null(settings_fault("colour", "red"));
}

#define ORIGIN "origin: js.example/exchange/1\n"

static void test_two_listeners_need_two_ports(void **state)
{
    struct fixture *f = *state;
    FAULTS(f, ORIGIN "listen: tcp://127.0.0.1:7400\nmonitor: 127.0.0.1:7401\n", "monitor", "'door'", "7401");
    FAULTS(f, ORIGIN "listen: tcp://0.0.0.0:7400\nmonitor: 127.0.0.1:7400\n", "monitor", "'listen'");
    FAULTS(f, ORIGIN "listen: tcp://10.0.0.1:7400\ndoor: tcp://10.0.0.1:7400\n", "door", "'listen'");
    must(read_text(f, ORIGIN "listen: tcp://10.0.0.1:7400\nmonitor: 127.0.0.1:7401\n"), &f->err);
    must(read_text(f, ORIGIN "listen: tcp://127.0.0.1:0\nmonitor: 127.0.0.1:0\n"), &f->err);
    must(read_text(f, ORIGIN "listen: tcp://127.0.0.1:7400\ndoor: off\nmonitor: 127.0.0.1:7401\n"), &f->err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_what_init_writes_can_be_read),
        T(test_what_is_not_said_has_a_preset),
        T(test_all_faults_are_told_at_once_each_with_its_line),
        T(test_a_file_that_is_no_yaml_is_told_with_its_line),
        T(test_numbers_and_addresses_are_what_they_say),
        T(test_two_listeners_need_two_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
