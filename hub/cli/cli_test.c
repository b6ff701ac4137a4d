/* The program from outside: what it prints, where, and how it ends; with a hub that answers and without. */
#include "hub/console/hub_fixture.h"

#include <jansson.h>
#include <sys/stat.h>

static const char *program; /* of the build, given by the first argument */

struct harness {
    struct hub_fixture fixture;
    struct console *console;
    struct log log;
    char elsewhere[PATH_MAX], out_dir[PATH_MAX]; /* no hub's */
    char output[1 << 16];                        /* what the last run printed, both streams */
};

static int on_barrier(void *self, int timeout_ms, struct casebus_error *err)
{
    (void)self, (void)timeout_ms, (void)err;
    return 0;
}

static int on_enrol(void *self, struct bytes statement, struct bytes signature, struct bytes certificate,
                    const Casebus__V1__Grants *grants, struct bytes invitation, const char *by,
                    int timeout_ms, struct casebus_error *err)
{
    struct hub_fixture *fixture = self;
    assert_int_equal(invitation.size, 0);
    assert_true(strlen(by) > 0);
    (void)statement, (void)signature, (void)certificate, (void)timeout_ms, (void)err;
    assert_int_equal(grants->n_receive_part_kind, grants->receive_all ? 2 : 0);
    fixture->n_enrolled++;
    return 0;
}

/* With @more, a case that a department numbered in its own way. */
static int setup_told(void **state, const struct fixture_event *more)
{
    struct harness *harness = calloc(1, sizeof *harness);
    hub_fixture_init(&harness->fixture);
    hub_fixture_story(&harness->fixture);
    if (more)
        hub_fixture_batch(&harness->fixture, "desk", more, 1);
    hub_fixture_write(&harness->fixture);
    hub_fixture_publish(&harness->fixture, 10, NULL, true);
    hub_fixture_apply(&harness->fixture);
    folder_make(harness->elsewhere, "cli");
    folder_path(harness->out_dir, harness->elsewhere, "office");
    *state = harness;
    return 0;
}

static int setup_offline(void **state)
{
    return setup_told(state, NULL);
}

static int setup_hostile(void **state)
{
    const struct fixture_event event = {.record = "d3",
                                        .number = "2026/\033[2J\xC2\x9B"
                                                  "3",
                                        .kind = CASEBUS__V1__KIND__KIND_APPLY};
    return setup_told(state, &event);
}

static int setup_running(void **state)
{
    char path[PATH_MAX];
    struct casebus_error err;
    setup_offline(state);
    struct harness *harness = *state;
    harness->fixture.hub.barrier = on_barrier;
    harness->fixture.hub.enrol = on_enrol;
    folder_path(path, harness->fixture.dir, "hub.sock");
    must(console_start(&harness->console, &harness->fixture.hub, path, &harness->log, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    struct harness *harness = *state;
    console_stop(harness->console);
    folder_remove(harness->elsewhere);
    hub_fixture_deinit(&harness->fixture);
    free(harness);
    return 0;
}

/* Runs `casebus ARGUMENTS` and expects it to end with @code. */
__attribute__((format(printf, 3, 4))) static const char *run(struct harness *harness, int code,
                                                             const char *arguments, ...)
{
    char words[4096], command[3 * 4096];
    va_list args;
    va_start(args, arguments);
    vsnprintf(words, sizeof words, arguments, args);
    va_end(args);
    snprintf(command, sizeof command, "CASEBUS_HUB=%s TZ=UTC LC_ALL=C '%s' %s 2>&1", harness->fixture.dir,
             program, words);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(harness->output, 1, sizeof harness->output - 1, pipe);
    harness->output[n] = '\0';
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("casebus %s: ended with %d: %s", words, WEXITSTATUS(status), harness->output);
    return harness->output;
}

static void expect_in(const char *output, const char *words)
{
    if (!strstr(output, words))
        fail_msg("'%s' is not in: %s", words, output);
}

/* ---- with a hub ---- */

static void test_casebus_tells_of_nodes_and_cases(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 0, "status"), FIXTURE_ORIGIN);
    expect_in(run(harness, 0, "node list"), "市监局");
    expect_in(run(harness, 0, "node show desk"), "1122334455667702");
    expect_in(run(harness, 0, "case list"), "2026/1");
    expect_in(run(harness, 0, "case show 2026/1"), "初审");
    expect_in(run(harness, 0, "event tail -n 1"), "2026/1");
    expect_in(run(harness, 0, "event show desk:1122334455667702:3"), "CB-RECORD-OWNER");
    expect_in(run(harness, 0, "event show 4 --parts"), "张三");
    assert_null(strstr(run(harness, 0, "event show 4"), "张三"));
    assert_null(strstr(run(harness, 0, "event show 4"), "null"));
    assert_null(strstr(run(harness, 0, "event show 4"), "_us"));
}

static void test_casebus_shows_all_of_what_takes_many_pages(void **state)
{
    struct harness *harness = *state;
    hub_fixture_large(&harness->fixture, "desk");
    hub_fixture_write(&harness->fixture);
    assert_int_equal(atoi(run(harness, 0, "event tail -n %d --parts --json | wc -l", FIXTURE_LARGE)),
                     FIXTURE_LARGE);
    assert_int_equal(atoi(run(harness, 0, "event tail -n 7 --parts --json | wc -l")), 7);
}

static void test_casebus_speaks_json_when_asked(void **state)
{
    struct harness *harness = *state;
    json_t *answer = json_loads(run(harness, 0, "--json node list"), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(answer, "nodes")), 2);
    json_decref(answer);
    answer = json_loads(run(harness, 0, "ledger verify --json"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "result")), "OK");
    assert_int_equal(json_integer_value(json_object_get(answer, "events")), 4);
    json_decref(answer);
    const char *lines = run(harness, 0, "ledger dump --from 8");
    answer = json_loads(lines, JSON_DISABLE_EOF_CHECK, NULL);
    assert_int_equal(json_integer_value(json_object_get(answer, "position")), 8);
    json_decref(answer);
    assert_non_null(strchr(lines, '\n'));
}

static void test_casebus_exports_the_ledger(void **state)
{
    struct harness *harness = *state;
    char path[PATH_MAX];
    expect_in(run(harness, 0, "ledger export %s", harness->out_dir), "10 entries");
    expect_in(run(harness, 1, "ledger export %s/copy", harness->fixture.dir),
              "lies in the directory of a hub");
    for (const char *const *name = (const char *const[]){"checkpoint", "log.vkey", "tile/0/000.p/10",
                                                         "tile/entries/000.p/10", NULL};
         *name; name++) {
        folder_path(path, harness->out_dir, *name);
        assert_int_equal(access(path, R_OK), 0);
    }
    json_t *answer =
        json_loads(strchr(run(harness, 0, "ledger export --json %s", harness->out_dir), '{'), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(answer, "size")), 10);
    assert_int_equal(json_integer_value(json_object_get(answer, "old_size")), 10);
    assert_int_equal(json_integer_value(json_object_get(answer, "written")), 0);
    json_decref(answer);
    expect_in(run(harness, 2, "ledger export"), "directory");
    expect_in(run(harness, 1, "ledger export %s", harness->fixture.dir), "is the directory of a hub");
    expect_in(run(harness, 1, "ledger export %s", harness->elsewhere), "is not empty");
    folder_path(path, harness->fixture.dir, "log.vkey");
    assert_int_not_equal(access(path, F_OK), 0);
    expect_in(run(harness, 1, "ledger export /proc/nowhere"), "/proc/nowhere");
}

/* For those who may read the ledger and not the keys: its first entry names the log's key. */
static void test_casebus_exports_without_the_hubs_keys(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    char path[PATH_MAX];
    struct buffer text;
    folder_path(path, harness->fixture.dir, "keys/kek.key");
    assert_int_equal(unlink(path), 0);
    expect_in(run(harness, 0, "ledger export --no-entries %s", harness->out_dir), "10 entries");
    folder_path(path, harness->out_dir, "log.vkey");
    must(file_read(path, 4096, &text, &err), &err);
    text.data[text.size - 1] = '\0';
    assert_string_equal((char *)text.data, harness->fixture.keys.log_vkey);
    buffer_deinit(&text);
    folder_path(path, harness->out_dir, "tile/entries");
    assert_int_not_equal(access(path, F_OK), 0);
    expect_in(run(harness, 1, "ledger export --log-key %s %s", "other+00000000+AAAA", harness->out_dir),
              "CB-");
}

static void test_casebus_keeps_auditors(void **state)
{
    struct harness *harness = *state;
    assert_string_equal(run(harness, 0, "auditor list"), "");
    json_t *answer = json_loads(run(harness, 0, "auditor add audit-office --json"), 0, NULL);
    assert_int_equal(strlen(json_string_value(json_object_get(answer, "token"))), 64);
    json_decref(answer);
    expect_in(run(harness, 0, "auditor add second"), "shown this once");
    assert_string_equal(run(harness, 0, "auditor list"), "audit-office\nsecond\n");
    expect_in(run(harness, 1, "auditor add second"), "CB-EXISTS");
    expect_in(run(harness, 1, "auditor add 'Nobody At All'"), "audit-office");
    assert_string_equal(run(harness, 0, "auditor remove audit-office"), "");
    expect_in(run(harness, 0, "auditor list --json"), "{\"auditors\":[{\"auditor\":\"second\"}]}");
    expect_in(run(harness, 1, "auditor remove audit-office"), "CB-NOT-FOUND");
    expect_in(run(harness, 2, "auditor remove"), "name");
    expect_in(run(harness, 1, "auditor list --hub /nowhere"), "/nowhere");
    expect_in(run(harness, 2, "auditor list --hub http://hub"), "directory");
}

static void test_casebus_says_when_there_is_nothing(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 1, "event tail --node nix"), "'nix'");
    expect_in(run(harness, 1, "ledger dump --from 99"), "99");
    expect_in(run(harness, 2, "event tail --parts"), "--json");
}

static void test_casebus_explains_every_code_in_both_languages(void **state)
{
    struct harness *harness = *state;
    const char *one = run(harness, 0, "codes seq-gap");
    expect_in(one, casebus_code_hint(CASEBUS_SEQ_GAP));
    expect_in(one, "有缺号");
    expect_in(one, "会自行处理");
    expect_in(run(harness, 0, "codes"), "CB-CLASSIFIED");
    json_t *codes = json_loads(run(harness, 0, "codes --json"), 0, NULL);
    const json_t *list = json_object_get(codes, "codes");
    assert_true(json_array_size(list) > 40);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *en = json_object_get(json_array_get(list, i), "en"),
                     *zh = json_object_get(json_array_get(list, i), "zh");
        static const char *const words[] = {"meaning", "actor", "resend", "hint"};
        for (size_t k = 0; k < 4; k++)
            assert_string_not_equal(json_string_value(json_object_get(en, words[k])),
                                    json_string_value(json_object_get(zh, words[k])));
    }
    json_decref(codes);
    expect_in(run(harness, 1, "codes CB-NONSENSE"), "CB-NONSENSE");
}

static void test_casebus_takes_options_before_and_behind(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 0, "--hub %s --json version", harness->fixture.dir), "{\"version\"");
    expect_in(run(harness, 0, "status --hub http+unix://%s/hub.sock", harness->fixture.dir), "ledger");
    run(harness, 3, "status --hub http+unix:///nowhere/hub.sock");
    expect_in(run(harness, 1, "ledger verify --hub http+unix://%s/hub.sock", harness->fixture.dir),
              "directory");
}

static void test_casebus_adds_a_node(void **state)
{
    struct harness *harness = *state;
    char path[PATH_MAX];
    struct stat status;
    struct casebus_error err;
    run(harness, 0, "node add office --department sjj --area 320100 --publish --out %s", harness->out_dir);
    assert_int_equal(harness->fixture.n_enrolled, 1);
    for (const char *const *name = (const char *const[]){"node.key", "node.curve", "enrolment.json", NULL};
         *name; name++) {
        folder_path(path, harness->out_dir, *name);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    struct buffer text;
    must(file_read(path, 65536, &text, &err), &err);
    json_t *enrolment = json_loadb((char *)text.data, text.size, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(enrolment, "signing_key")), "node.key");
    assert_string_equal(json_string_value(json_object_get(enrolment, "node")), "office");
    json_decref(enrolment);
    buffer_deinit(&text);
    expect_in(
        run(harness, 1, "node add other --department sjj --area 320100 --publish --out %s", harness->out_dir),
        "CB-EXISTS");
    assert_int_equal(harness->fixture.n_enrolled, 1);
}

static void test_casebus_goes_on_with_the_keys_of_a_broken_enrolment(void **state)
{
    struct harness *harness = *state;
    struct casebus_error err;
    char path[PATH_MAX];
    struct buffer first, second;
    run(harness, 0, "node add office -d sjj -a 320100 --receive-all --parts form,identity -o %s",
        harness->out_dir);
    folder_path(path, harness->out_dir, "enrolment.json");
    assert_int_equal(unlink(path), 0); /* as if the answer had been lost */
    folder_path(path, harness->out_dir, "node.key");
    must(file_read(path, 4096, &first, &err), &err);
    run(harness, 0, "node add office -d sjj -a 320100 --receive-all --parts form,identity -o %s",
        harness->out_dir);
    must(file_read(path, 4096, &second, &err), &err);
    assert_true(bytes_equal(bytes_of(first.data, first.size), bytes_of(second.data, second.size)));
    buffer_deinit(&first);
    buffer_deinit(&second);
}

static void test_casebus_leaves_nothing_of_a_refused_enrolment(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 1, "node add desk -d sjj -a 320100 --publish -o %s", harness->out_dir),
              "CB-EXISTS");
    assert_int_not_equal(access(harness->out_dir, F_OK), 0);
    run(harness, 1, "node add x -d sjj -a 32 --publish -o %s", harness->out_dir);
    run(harness, 1, "node add x -d sjj -a 320100 --receive-all --parts soul -o %s", harness->out_dir);
    assert_int_not_equal(access(harness->out_dir, F_OK), 0);
    assert_int_equal(harness->fixture.n_enrolled, 0);
}

static void expect_no_control(const char *output)
{
    assert_null(strchr(output, '\033'));
    assert_null(strstr(output, "\xC2\x9B"));
}

/* A department may write what it likes; nobody's terminal obeys it. */
static void test_casebus_shows_control_characters_of_departments_as_text(void **state)
{
    struct harness *harness = *state;
    run(harness, 0,
        "case show '2026/\033[2J\xC2\x9B"
        "3'");
    expect_in(harness->output, "2026/\\x1b[2J\\xc2\\x9b3");
    expect_no_control(harness->output);
    run(harness, 0,
        "--json case show '2026/\033[2J\xC2\x9B"
        "3'");
    expect_in(harness->output, "2026/\\u001B[2J\\u009b3");
    expect_no_control(harness->output);
    expect_no_control(run(harness, 0, "case list"));
    expect_no_control(run(harness, 0, "--json case list"));
    expect_no_control(run(harness, 0, "event tail"));
    expect_no_control(run(harness, 0, "state dump"));
}

/* ---- the command line ---- */

static void test_casebus_explains_wrong_usage(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 2, "%s", ""), "Usage: casebus");
    expect_in(run(harness, 2, "frobnicate"), "frobnicate");
    expect_in(run(harness, 2, "node"), "add invite requests approve refuse list show");
    expect_in(run(harness, 2, "node frob"), "add invite requests approve refuse list show");
    expect_in(run(harness, 2, "node show"), "casebus node show");
    expect_in(run(harness, 2, "node add x"), "--department");
    expect_in(run(harness, 2, "node add x -d d -a 320100 -o /nowhere --publish --parts form"),
              "--receive-all");
    expect_in(run(harness, 2, "node add x y -d d -a 320100 -o /nowhere"), "too many arguments: 'y'");
    expect_in(run(harness, 0, "node --help"), "node suspend");
    expect_in(run(harness, 2, "case list -n many"), "many");
    expect_in(run(harness, 2, "status --hub ''"), "--hub");
    expect_in(run(harness, 0, "--help"), "ledger verify");
    expect_in(run(harness, 0, "node add --help"), "--receive-all");
}

static void test_casebus_says_no_with_one(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 1, "case show nothing"), "CB-NOT-FOUND");
    expect_in(run(harness, 1, "node show nobody"), "CB-UNKNOWN-NODE");
    expect_in(run(harness, 1, "status --hub /nowhere"), "not the directory of a hub");
}

/* ---- without a hub ---- */

static void test_casebus_reads_the_files_when_no_hub_answers(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 0, "case show 2026/1"), "reading its files");
    expect_in(harness->output, "初审");
    expect_in(run(harness, 0, "node list"), "desk");
    expect_in(run(harness, 0, "ledger verify"), "RESULT OK entries=10 seals=2 events=4 checkpoints=1\n");
    expect_in(run(harness, 3, "node add x -d d -a 320100 --publish -o %s", harness->out_dir),
              "casebus-hub run");
    expect_in(run(harness, 3, "event tail -f"), "does not run");
}

static void test_casebus_asks_before_a_name_is_taken(void **state)
{
    struct harness *harness = *state;
    expect_in(run(harness, 2, "node add Desk -d d -a 320100 --publish -o x"), "not the name of a node");
    expect_in(run(harness, 2, "node add x -d '' -a 320100 --publish -o x"), "--department is missing");
    expect_in(run(harness, 2, "node add x -d d -a 320100 --publish -o x --endpoint hub"), "tcp://HOST:PORT");
    expect_in(run(harness, 2, "node add x -d d -a 320100 --publish -o x --endpoint tcp://:1"),
              "not an endpoint");
}

static void test_casebus_verifies_without_keys(void **state)
{
    struct harness *harness = *state;
    char from[PATH_MAX], to[PATH_MAX];
    folder_path(from, harness->fixture.dir, "keys");
    folder_path(to, harness->fixture.dir, "keys.away");
    assert_int_equal(rename(from, to), 0);
    expect_in(run(harness, 1, "ledger verify"), "--no-bodies");
    expect_in(run(harness, 0, "ledger verify --no-bodies"), "RESULT OK");
    expect_in(run(harness, 1, "ledger verify --no-bodies --log-key other+12345678+AA=="), "RESULT FAILED");
}

static void test_state_dumps_are_canonical(void **state)
{
    struct harness *harness = *state;
    const char *cases = run(harness, 0, "state dump");
    const char *first = strstr(cases, "\"2026-2\""), *second = strstr(cases, "\"2026/1\"");
    assert_true(first && second && first < second);
    const char *all = run(harness, 0, "state dump --all");
    expect_in(all, "case_numbers ");
    assert_null(strstr(all, "323032362d32")); /* "2026-2": nothing readable lies in the state */
}

#define offline(test) cmocka_unit_test_setup_teardown(test, setup_offline, teardown)
#define running(test) cmocka_unit_test_setup_teardown(test, setup_running, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        running(test_casebus_tells_of_nodes_and_cases),
        running(test_casebus_shows_all_of_what_takes_many_pages),
        running(test_casebus_speaks_json_when_asked),
        offline(test_casebus_exports_the_ledger),
        running(test_casebus_exports_without_the_hubs_keys),
        offline(test_casebus_keeps_auditors),
        running(test_casebus_says_when_there_is_nothing),
        running(test_casebus_explains_every_code_in_both_languages),
        running(test_casebus_takes_options_before_and_behind),
        running(test_casebus_adds_a_node),
        running(test_casebus_goes_on_with_the_keys_of_a_broken_enrolment),
        running(test_casebus_leaves_nothing_of_a_refused_enrolment),
        cmocka_unit_test_setup_teardown(test_casebus_shows_control_characters_of_departments_as_text,
                                        setup_hostile, teardown),
        running(test_casebus_explains_wrong_usage),
        running(test_casebus_says_no_with_one),
        running(test_casebus_asks_before_a_name_is_taken),
        offline(test_casebus_reads_the_files_when_no_hub_answers),
        offline(test_casebus_verifies_without_keys),
        offline(test_state_dumps_are_canonical),
    };
    if (argc != 2)
        return 2;
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
