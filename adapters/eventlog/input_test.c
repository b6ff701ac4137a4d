#include "adapters/eventlog/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

static struct buffer gzipped(const char *text, size_t size)
{
    struct buffer out;
    z_stream stream = {0};
    buffer_init(&out, 16 << 20);
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, size) + 32;
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)size;
    stream.next_out = buffer_reserve(&out, room);
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.size = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static char *lines_text(size_t n, size_t *size)
{
    char *text = malloc(n * 16);
    *size = 0;
    for (size_t i = 0; i < n; i++)
        *size += (size_t)sprintf(text + *size, "line %zu\n", i);
    return text;
}

/* Reads lines to the end or a failure; returns how many. */
static size_t lines_read(struct bytes content, int *end, struct casebus_error *err)
{
    struct input *input;
    struct buffer line;
    bool cut;
    size_t n = 0;
    assert_int_equal(input_open_memory(&input, "test", content, err), 0);
    buffer_init(&line, 1 << 20);
    while ((*end = input_line(input, &line, 1000, &cut, err)) > 0) {
        if (line.data[line.size - 1] == '\n')
            n++;
        buffer_reset(&line);
    }
    buffer_deinit(&line);
    input_close(input);
    return n;
}

static void test_gzip_and_plain_give_the_same_lines(void **state)
{
    (void)state;
    size_t size;
    int end;
    char *text = lines_text(50000, &size);
    struct buffer gz = gzipped(text, size);
    assert_int_equal(lines_read(bytes_of(text, size), &end, NULL), 50000);
    assert_int_equal(end, 0);
    assert_int_equal(lines_read(bytes_of(gz.data, gz.size), &end, NULL), 50000);
    assert_int_equal(end, 0);
    buffer_deinit(&gz);
    free(text);
}

static void test_members_one_after_the_other_are_one_file(void **state)
{
    (void)state;
    int end;
    struct buffer first = gzipped("a\nb\n", 4), second = gzipped("c\n", 2);
    assert_true(buffer_append(&first, second.data, second.size));
    assert_true(buffer_append(&first, "\0\0\0\0", 4));
    assert_int_equal(lines_read(bytes_of(first.data, first.size), &end, NULL), 3);
    assert_int_equal(end, 0);
    buffer_deinit(&first);
    buffer_deinit(&second);
}

static void test_rubbish_behind_the_end_is_told_after_the_lines(void **state)
{
    (void)state;
    int end;
    struct casebus_error err;
    struct buffer gz = gzipped("a\nb\n", 4);
    assert_true(buffer_append(&gz, "rubbish", 7));
    assert_int_equal(lines_read(bytes_of(gz.data, gz.size), &end, &err), 2);
    assert_int_equal(end, -1);
    assert_non_null(strstr(err.text, "is not gzip"));
    buffer_deinit(&gz);
}

static void test_every_cut_is_noticed_and_nothing_before_it_is_lost(void **state)
{
    (void)state;
    size_t size;
    char *text = lines_text(2000, &size);
    struct buffer gz = gzipped(text, size);
    for (size_t cut = 2; cut < gz.size; cut++) {
        struct casebus_error err;
        int end;
        size_t n = lines_read(bytes_of(gz.data, cut), &end, &err);
        assert_int_equal(end, -1);
        assert_non_null(strstr(err.text, "cut off at byte"));
        if (cut > gz.size - 8)
            assert_int_equal(n, 2000);
    }
    buffer_deinit(&gz);
    free(text);
}

static void test_a_wrong_check_sum_costs_no_line(void **state)
{
    (void)state;
    size_t size;
    int end;
    struct casebus_error err;
    char *text = lines_text(20000, &size);
    struct buffer gz = gzipped(text, size);
    gz.data[gz.size - 8] ^= 1;
    assert_int_equal(lines_read(bytes_of(gz.data, gz.size), &end, &err), 20000);
    assert_int_equal(end, -1);
    assert_non_null(strstr(err.text, "check sum"));
    buffer_deinit(&gz);
    free(text);
}

static void test_a_long_line_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    struct input *input;
    struct buffer line;
    bool cut;
    buffer_init(&line, 100);
    assert_int_equal(input_open_memory(&input, "test", bytes_of_text("0123456789\nab\nlast"), NULL), 0);
    assert_int_equal(input_line(input, &line, 4, &cut, NULL), 1);
    assert_true(cut);
    assert_memory_equal(line.data, "0123", 4);
    buffer_reset(&line);
    uint64_t lines = 0;
    assert_int_equal(input_skip_row(input, false, &lines, NULL), 1);
    assert_int_equal(lines, 1);
    assert_int_equal(input_line(input, &line, 4, &cut, NULL), 1);
    assert_false(cut);
    assert_memory_equal(line.data, "ab\n", 3);
    buffer_reset(&line);
    assert_int_equal(input_line(input, &line, 4, &cut, NULL), 1);
    assert_memory_equal(line.data, "last", 4);
    assert_int_equal(input_line(input, &line, 4, &cut, NULL), 0);
    input_close(input);
    buffer_deinit(&line);
}

static void test_a_missing_file_and_a_folder_are_sentences(void **state)
{
    (void)state;
    struct input *input;
    struct casebus_error err;
    assert_int_equal(input_open(&input, "/nowhere/x.csv", &err), -1);
    assert_non_null(strstr(err.text, "/nowhere/x.csv"));
    assert_int_equal(input_open(&input, "/", &err), -1);
    assert_non_null(strstr(err.text, "folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip_and_plain_give_the_same_lines),
        cmocka_unit_test(test_members_one_after_the_other_are_one_file),
        cmocka_unit_test(test_rubbish_behind_the_end_is_told_after_the_lines),
        cmocka_unit_test(test_every_cut_is_noticed_and_nothing_before_it_is_lost),
        cmocka_unit_test(test_a_wrong_check_sum_costs_no_line),
        cmocka_unit_test(test_a_long_line_is_cut_and_the_next_is_whole),
        cmocka_unit_test(test_a_missing_file_and_a_folder_are_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
