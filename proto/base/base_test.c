/* Errors, bytes, arena, log and files. */
#include "proto/base/arena.h"
#include "proto/base/clock.h"
#include "proto/base/error.h"
#include "proto/base/files.h"
#include "proto/base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- errors ---- */

static void test_codes_go_there_and_back(void **state)
{
    (void)state;
#define CHECK_CODE(name, value, text, meaning, actor, resend, hint)                                          \
    assert_string_equal(casebus_code_text(CASEBUS_##name), text);                                            \
    assert_string_equal(casebus_code_meaning(CASEBUS_##name), meaning);                                      \
    assert_string_equal(casebus_code_hint(CASEBUS_##name), hint);                                            \
    assert_int_equal(casebus_code_actor(CASEBUS_##name), CASEBUS_ACTOR_##actor);                             \
    assert_int_equal(casebus_code_resend(CASEBUS_##name), CASEBUS_RESEND_##resend);                          \
    assert_true(hint[0]);                                                                                    \
    assert_int_equal(casebus_code_parse(text), CASEBUS_##name);
    CASEBUS_CODES(CHECK_CODE)
    assert_string_equal(casebus_code_text((enum casebus_code)9999), "CB-UNKNOWN");
    assert_non_null(casebus_code_meaning((enum casebus_code)9999));
    assert_string_equal(casebus_code_hint((enum casebus_code)9999), "");
    assert_string_equal(casebus_actor_text((enum casebus_actor)9999), "unknown");
    assert_string_equal(casebus_resend_text((enum casebus_resend)9999), "unknown");
    assert_string_equal(casebus_actor_text(casebus_code_actor(CASEBUS_REVOKED)), "operator");
    assert_string_equal(casebus_resend_text(casebus_code_resend(CASEBUS_BUSY)), "later");
    assert_int_equal(casebus_code_parse("CB-NONSENSE"), CASEBUS_INTERNAL);
    assert_int_equal(casebus_code_parse(NULL), CASEBUS_INTERNAL);
}

static void test_error_gains_context_on_its_way_up(void **state)
{
    (void)state;
    struct casebus_error err = {0};
    assert_int_equal(error_set(&err, CASEBUS_NOT_FOUND, "no node '%s'", "scj"), -1);
    assert_int_equal(error_hint(&err, "see 'casebus node list'"), -1);
    assert_int_equal(error_context(&err, "line %d", 7), -1);
    assert_string_equal(err.text, "line 7: no node 'scj'");
    assert_string_equal(err.hint, "see 'casebus node list'");
    assert_int_equal(err.code, CASEBUS_NOT_FOUND);
    error_set(&err, CASEBUS_ROW, "row 3: %s", err.text); /* its own text among the arguments */
    assert_string_equal(err.text, "row 3: line 7: no node 'scj'");
    assert_string_equal(err.hint, "");
    assert_int_equal(error_set(NULL, CASEBUS_ROW, "nobody listens"), -1);
    assert_int_equal(error_hint(NULL, "x"), -1);
    assert_int_equal(error_context(NULL, "x"), -1);
    assert_int_equal(error_set_errno(NULL, ENOSPC, "x"), -1);
}

static void test_full_disk_has_its_own_code_and_a_way_out(void **state)
{
    (void)state;
    struct casebus_error err = {0};
    error_set_errno(&err, ENOSPC, "cannot write '%s'", "/x");
    assert_int_equal(err.code, CASEBUS_DISK_FULL);
    assert_true(err.hint[0]);
    error_set_errno(&err, EACCES, "cannot write '%s'", "/x");
    assert_int_equal(err.code, CASEBUS_FILE);
    assert_string_equal(err.text, "cannot write '/x': Permission denied");
    assert_string_equal(err.hint, "");
}

static void test_long_sentence_is_cut_between_characters(void **state)
{
    (void)state;
    char text[1200];
    for (size_t lead = 0; lead < 3; lead++) {
        struct casebus_error err = {0};
        memset(text, 'x', lead);
        for (size_t i = 0; i < 390; i++)
            memcpy(text + lead + 3 * i, "案", 4);
        error_set(&err, CASEBUS_TEXT, "%s", text);
        error_hint(&err, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_true(utf8_valid(err.hint, strlen(err.hint)));
        assert_true(strlen(err.text) >= sizeof err.text - 3);
        error_context(&err, "还有");
        assert_true(utf8_valid(err.text, strlen(err.text)));
        error_set_errno(&err, EIO, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
    }
}

/* ---- bytes ---- */

static void test_hex_is_read_and_written(void **state)
{
    (void)state;
    uint8_t bytes[3];
    char text[7];
    assert_true(hex_decode(bytes, 3, "00aBfF"));
    assert_string_equal(hex_encode(text, bytes, 3), "00abff");
    assert_false(hex_decode(bytes, 3, "00abf"));
    assert_false(hex_decode(bytes, 3, "00abff0"));
    assert_false(hex_decode(bytes, 3, "00abfg"));
    assert_true(hex_decode(bytes, 0, ""));
}

static void test_utf8_is_judged_by_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"办件", true},
        {"\xF0\x9F\x93\x84", true},
        {"\x7F", true},
        {"\xC2\x80", true},
        {"\xEF\xBF\xBF", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"\xC0\x80", false},         /* overlong NUL */
        {"\xC1\xBF", false},         /* overlong */
        {"\xE0\x9F\xBF", false},     /* overlong */
        {"\xF0\x8F\xBF\xBF", false}, /* overlong */
        {"\xED\xA0\x80", false},     /* surrogate */
        {"\xF4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xF8\x88\x80\x80\x80", false},
        {"\x80", false},
        {"\xE5\x8A", false}, /* cut */
        {"\xE5x\x9E", false},
        {"\xFF", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(utf8_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid);
    assert_false(utf8_valid("a\0b", 3));
}

static void test_cut_leaves_whole_characters(void **state)
{
    (void)state;
    const char *text = "a办\xF0\x9F\x93\x84z";
    for (size_t size = 0; size <= strlen(text); size++) {
        char copy[16] = {0};
        memcpy(copy, text, size);
        utf8_cut(copy);
        assert_true(utf8_valid(copy, strlen(copy)));
        assert_true(size - strlen(copy) < 4);
    }
    char stray[] = "a\x80\x80\x80\x80\x80";
    utf8_cut(stray);
    assert_true(strlen(stray) < 6);
}

static void test_escaped_text_cannot_forge_lines(void **state)
{
    (void)state;
    char out[128];
    text_escape(out, sizeof out, "name\n2026 ERROR \x1b[2J 办件 \xFF \xE2\x80\xAE\xC2\x85");
    assert_string_equal(out, "name\\x0a2026 ERROR \\x1b[2J 办件 \\xff \\xe2\\x80\\xae\\xc2\\x85");
    for (size_t size = 1; size < 40; size++) {
        assert_true(text_escape(out, size, "\n办\x01 件\xFFxyz办件办件") < size);
        assert_true(utf8_valid(out, strlen(out)));
    }
}

static void test_characters_that_steer_terminals_are_known(void **state)
{
    (void)state;
    uint32_t point;
    bool unsafe;
    assert_int_equal(text_point("办件", &point, &unsafe), 3);
    assert_int_equal(point, 0x529E);
    assert_false(unsafe);
    const char *const steering[] = {"\x1b",       "\x7f",   "\xC2\x9B", "\u202E", "\u2028", "\u2029",
                                    "\u2066",     "\u200F", "\u061C",   "\uFEFF", "\u200B", "\u2060",
                                    "\U000E0041", "\xFF",   "\xE5\x8A", "\n"};
    for (size_t i = 0; i < sizeof steering / sizeof steering[0]; i++) {
        text_point(steering[i], &point, &unsafe);
        assert_true(unsafe);
    }
    char json[POINT_JSON];
    assert_string_equal(point_json(json, 0x9B), "\\u009b");
    assert_string_equal(point_json(json, 0xE0041), "\\udb40\\udc41");
    assert_string_equal(point_json(json, 0x10FFFF), "\\udbff\\udfff");
    const char *const plain[] = {"a", "~", "é", "\u200D", "\u2027", "\u2030", "ئۇيغۇر", "\U0002070E"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        text_point(plain[i], &point, &unsafe);
        assert_false(unsafe);
    }
}

static void test_buffer_grows_up_to_its_bound(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    for (int i = 0; i < 100; i++)
        assert_true(buffer_append(&buffer, "0123456789", 10));
    assert_false(buffer_append(&buffer, "x", 1));
    assert_false(buffer_printf(&buffer, "%d", 5));
    assert_null(buffer_reserve(&buffer, 1));
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.size, 1000);
    assert_true(buffer_append(&buffer, NULL, 0));
    buffer_reset(&buffer);
    assert_true(buffer_printf(&buffer, "%s-%d", "a", 7));
    assert_true(bytes_equal(bytes_of(buffer.data, buffer.size), bytes_of_text("a-7")));
    buffer_deinit(&buffer);
    buffer_deinit(&buffer);
    assert_false(buffer_append(&buffer, "x", 1)); /* a zeroed buffer has no room */
}

static void test_integers_have_their_byte_order(void **state)
{
    (void)state;
    uint8_t bytes[8];
    put_u64le(bytes, 0x0102030405060708);
    assert_int_equal(bytes[0], 8);
    assert_true(get_u64le(bytes) == 0x0102030405060708);
    put_u64be(bytes, 0xF102030405060708);
    assert_int_equal(bytes[0], 0xF1);
    assert_true(get_u64be(bytes) == 0xF102030405060708);
    put_u32be(bytes, 0xFEDCBA98);
    assert_true(get_u32be(bytes) == 0xFEDCBA98 && get_u32le(bytes) == 0x98BADCFE);
    put_u16le(bytes, 0xFFEE);
    assert_int_equal(get_u16le(bytes), 0xFFEE);
}

/* ---- arena ---- */

static void test_arena_gives_aligned_memory_up_to_its_bound(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 256, 10000);
    size_t given = 0;
    for (size_t size = 1; given + size <= 10000; size += 13) {
        uint8_t *piece = arena_alloc(&arena, size);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        memset(piece, 0xAA, size); /* the sanitizer watches */
        given += size;
    }
    assert_null(arena_alloc(&arena, 10000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(arena.used, given);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 9000));
    arena_reset(&arena);
    assert_string_equal(arena_printf(&arena, "%s %d", "case", 7), "case 7");
    assert_string_equal(arena_copy(&arena, "ab", 3), "ab");
    assert_non_null(arena_alloc(&arena, 0));
    arena_deinit(&arena);
    arena_deinit(&arena);
}

/* ---- log ---- */

struct heard {
    unsigned n;
    char text[256];
};

static void hear(void *self, enum log_level level, const char *id, const char *text)
{
    struct heard *heard = self;
    heard->n++;
    snprintf(heard->text, sizeof heard->text, "%d %s %s", (int)level, id, text);
}

static void test_log_passes_what_is_loud_enough_to_its_sink(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct log log = {.min_level = LOG_INFO, .sink = hear, .self = &heard};
    log_debug(&log, "NODE-DETAIL", "unheard");
    assert_int_equal(heard.n, 0);
    log_warning(&log, "NODE-REFUSED", "node '%s': certificate ended", "js-scj\n-01");
    assert_string_equal(heard.text, "3 NODE-REFUSED node 'js-scj\\x0a-01': certificate ended");
    log_info(NULL, "X", "nobody listens");
    log_info(&(struct log){0}, "X", "nobody listens");
}

static void log_read(FILE *file, char *out, size_t size)
{
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
}

static void test_log_line_has_time_level_id_and_sentence(void **state)
{
    (void)state;
    char text[8192];
    FILE *file = tmpfile();
    struct log log = {.file = file, .program = "casebus-hub"};
    char *name = malloc(5000);
    memset(name, 'n', 4999);
    name[4999] = '\0';
    log_notice(&log, "HUB-UP", "listening on %s", "tcp://*:7400");
    log_error(&log, "NAME-LONG", "%s", name);
    free(name);
    log_read(file, text, sizeof text);
    assert_true(strlen(text) > 60 && text[4] == '-' && text[10] == 'T' && text[23] == 'Z');
    assert_memory_equal(text + 24, " NOTICE HUB-UP casebus-hub: listening on tcp://*:7400\n", 53);
    assert_true(strlen(text) < 4096);
    fclose(file);
}

static void test_journal_gets_priorities_instead_of_times(void **state)
{
    (void)state;
    char text[512];
    char stream[64];
    struct stat status;
    FILE *file = tmpfile();
    assert_int_equal(fstat(fileno(file), &status), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    struct log log = {.file = file};
    log_warning(&log, "DISK-LOW", "%d MB left", 7);
    unsetenv("JOURNAL_STREAM");
    log_read(file, text, sizeof text);
    assert_string_equal(text, "<4>DISK-LOW 7 MB left\n");
    fclose(file);
}

/* ---- files ---- */

struct room {
    char dir[64];
    char path[96];
};

static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof *room);
    snprintf(room->dir, sizeof room->dir, "/tmp/base_test.XXXXXX");
    *state = room;
    if (!mkdtemp(room->dir))
        return -1;
    snprintf(room->path, sizeof room->path, "%s/file", room->dir);
    return 0;
}

static int room_teardown(void **state)
{
    struct room *room = *state;
    unlink(room->path);
    rmdir(room->dir);
    free(room);
    return 0;
}

static void test_file_is_written_whole_and_read_back(void **state)
{
    struct room *room = *state;
    struct buffer buffer;
    struct stat status;
    assert_int_equal(file_write(room->path, bytes_of_text("first"), 0600, NULL), 0);
    assert_int_equal(file_write(room->path, bytes_of_text("second"), 0640, NULL), 0);
    assert_int_equal(stat(room->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(file_read(room->path, 6, &buffer, NULL), 0);
    assert_true(bytes_equal(bytes_of(buffer.data, buffer.size), bytes_of_text("second")));
    assert_int_equal(buffer.data[buffer.size], 0);
    buffer_deinit(&buffer);
    struct casebus_error err;
    assert_int_equal(file_read(room->path, 5, &buffer, &err), -1);
    assert_int_equal(err.code, CASEBUS_TOO_LARGE);
    buffer_deinit(&buffer);
    assert_int_equal(file_write(room->path, bytes_of(NULL, 0), 0600, NULL), 0);
    assert_int_equal(file_read(room->path, 100, &buffer, NULL), 0);
    assert_int_equal(buffer.size, 0);
    assert_string_equal((char *)buffer.data, "");
    buffer_deinit(&buffer);
}

static void test_missing_file_is_named(void **state)
{
    struct room *room = *state;
    struct buffer buffer;
    struct casebus_error err;
    assert_int_equal(file_read(room->path, 100, &buffer, &err), -1);
    assert_int_equal(err.code, CASEBUS_FILE);
    assert_non_null(strstr(err.text, room->path));
    buffer_deinit(&buffer);
    assert_int_equal(file_write("/nowhere/at/all", bytes_of_text("x"), 0600, &err), -1);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_int_equal(file_read(room->dir, 100, &buffer, &err), -1);
    buffer_deinit(&buffer);
}

static void test_directories_are_made_with_their_parents(void **state)
{
    struct room *room = *state;
    char path[192];
    struct stat status;
    snprintf(path, sizeof path, "%s/a//b/c/", room->dir);
    assert_int_equal(dir_make(path, NULL), 0);
    assert_int_equal(dir_make(path, NULL), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(file_write(room->path, bytes_of_text("x"), 0600, NULL), 0);
    snprintf(path, sizeof path, "%s/below", room->path);
    struct casebus_error err;
    assert_int_equal(dir_make(path, &err), -1);
    assert_non_null(strstr(err.text, room->path));
    assert_int_equal(dir_make("", &err), -1);
    static const char *const parts[] = {"a/b/c", "a/b", "a"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", room->dir, parts[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void test_lock_is_held_by_one_and_given_back_by_death(void **state)
{
    struct room *room = *state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c = file_lock(room->path, NULL) >= 0 ? 'y' : 'n';
        (void)!write(ready[1], &c, 1);
        pause();
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    struct casebus_error err;
    char holder[32];
    snprintf(holder, sizeof holder, "process %ld", (long)pid);
    assert_int_equal(file_lock(room->path, &err), -1);
    assert_int_equal(err.code, CASEBUS_LOCKED);
    assert_non_null(strstr(err.text, holder));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    int fd = file_lock(room->path, &err);
    assert_true(fd >= 0);
    close(fd);
    close(ready[0]);
    close(ready[1]);
}

static void test_paths_are_joined_or_refused(void **state)
{
    (void)state;
    char path[8];
    assert_int_equal(path_join(path, sizeof path, "/a", "b"), 0);
    assert_string_equal(path, "/a/b");
    assert_int_equal(path_join(path, sizeof path, "/a/", "bcde"), 0);
    assert_string_equal(path, "/a/bcde");
    assert_int_equal(path_join(path, sizeof path, "/a", "bcdef"), -1);
}

static void test_clocks_run(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= before);
    assert_true(clock_unix_us() > 1700000000000000);
}

#define IN_A_ROOM(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_go_there_and_back),
        cmocka_unit_test(test_error_gains_context_on_its_way_up),
        cmocka_unit_test(test_full_disk_has_its_own_code_and_a_way_out),
        cmocka_unit_test(test_long_sentence_is_cut_between_characters),
        cmocka_unit_test(test_hex_is_read_and_written),
        cmocka_unit_test(test_utf8_is_judged_by_rfc_3629),
        cmocka_unit_test(test_cut_leaves_whole_characters),
        cmocka_unit_test(test_escaped_text_cannot_forge_lines),
        cmocka_unit_test(test_characters_that_steer_terminals_are_known),
        cmocka_unit_test(test_buffer_grows_up_to_its_bound),
        cmocka_unit_test(test_integers_have_their_byte_order),
        cmocka_unit_test(test_arena_gives_aligned_memory_up_to_its_bound),
        cmocka_unit_test(test_log_passes_what_is_loud_enough_to_its_sink),
        cmocka_unit_test(test_log_line_has_time_level_id_and_sentence),
        cmocka_unit_test(test_journal_gets_priorities_instead_of_times),
        IN_A_ROOM(test_file_is_written_whole_and_read_back),
        IN_A_ROOM(test_missing_file_is_named),
        IN_A_ROOM(test_directories_are_made_with_their_parents),
        IN_A_ROOM(test_lock_is_held_by_one_and_given_back_by_death),
        cmocka_unit_test(test_paths_are_joined_or_refused),
        cmocka_unit_test(test_clocks_run),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
